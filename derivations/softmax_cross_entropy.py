"""Softmax with cross-entropy: δ = p − y, which needs targets that add up to 1.

``python -m derivations.softmax_cross_entropy`` prints the steps; ``--check`` checks them, ``--latex`` and
``--html`` write them as a document.
"""

from __future__ import annotations

import sympy

from bpcheck.symbolic.index import (
    Definition,
    Derivation,
    Diff,
    Index,
    Mutant,
    Size,
    Step,
    Tensor,
    TotalIs,
    kronecker,
    total,
)

n = Size("n")
j, k, m = Index("j", n), Index("k", n), Index("m", n)
p, y, z = Tensor("p"), Tensor("y"), Tensor("z")

normalizer = total(sympy.exp(z[m]), m)
cost = -total(y[k] * sympy.log(p[k]), k)
softmax = Definition(p[k], sympy.exp(z[k]) / normalizer, "softmax")
distribution = TotalIs(y[k], over=k, value=1, because="the target is a distribution; one-hot, for example")

targets_that_sum_to_one = Derivation(
    "Softmax and cross-entropy: δ = p − y",
    Diff(cost, z[j]),
    (
        Step(
            -total(y[k] / p[k] * Diff(p[k], z[j]), k),
            "chain rule",
            "The derivative of log p_k is 1/p_k times that of p_k.",
        ),
        Step(
            -total(y[k] / p[k] * p[k] * (kronecker(k, j) - p[j]), k),
            "derivative",
            "The Jacobian of softmax is p_k ([j = k] − p_j) (derivations.bp1_output_error). Its p_k cancels the one in "
            "the denominator, whatever its size: this is why the pair is computed as one.",
        ),
        Step(
            -total(y[k] * kronecker(k, j), k) + p[j] * total(y[k], k),
            "algebra",
            "Two sums; p_j does not depend on k.",
        ),
        Step(
            p[j] * total(y[k], k) - y[j],
            "delta",
            "Of the first sum the term k = j is left. So far nothing was said about y.",
        ),
        Step(p[j] - y[j], "fact", "Σ_k y_k = 1."),
    ),
    given=(softmax, distribution),
    mutants=(
        Mutant("sign", 5, y[j] - p[j]),
        Mutant("times p(1 − p): softmax taken for a sigmoid", 5, (p[j] - y[j]) * p[j] * (1 - p[j])),
        Mutant("divided by the number of classes", 5, (p[j] - y[j]) / n),
        Mutant("a sum of exponentials in the place of 1", 5, p[j] * normalizer - y[j]),
        Mutant("the other classes are forgotten", 4, y[j] * (p[j] - 1)),
    ),
    implemented_by=("bpcheck.reference.loss.LOSS['cross_entropy'].gradient",),
    about="The short form of BP1 for this pair. Only the last step uses that the targets add up to 1.",
    name=Tensor("delta")[j],
)

any_targets = Derivation(
    "Softmax and cross-entropy for targets that do not add up to 1",
    Diff(cost, z[j]),
    (
        Step(
            -total(y[k] / p[k] * Diff(p[k], z[j]), k),
            "chain rule",
            "As before.",
        ),
        Step(
            p[j] * total(y[k], k) - y[j],
            "derivative",
            "Steps 2 to 4 of the derivation before, and not its last: the factor Σ_k y_k stays.",
        ),
    ),
    given=(softmax,),
    mutants=(Mutant("p − y, which now is wrong", 2, p[j] - y[j]),),
    implemented_by=("bpcheck.reference.loss.LOSS['cross_entropy'].gradient",),
    about="Weighted targets need not add up to 1 (smoothed ones do); then p − y is not the gradient.",
    name=Tensor("delta")[j],
)

DERIVATIONS = (targets_that_sum_to_one, any_targets)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
