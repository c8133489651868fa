"""Sigmoid with binary cross-entropy: δ = a − y for every unit.

``python -m derivations.sigmoid_cross_entropy`` prints the steps; ``--check`` checks them, ``--latex`` and
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
    kronecker,
    total,
)

n = Size("n")
j, k = Index("j", n), Index("k", n)
a, y, z = Tensor("a"), Tensor("y"), Tensor("z")

sigmoid = Definition(a[k], 1 / (1 + sympy.exp(-z[k])), "sigmoid")
cost = -total(y[k] * sympy.log(a[k]) + (1 - y[k]) * sympy.log(1 - a[k]), k)

slope = Derivation(
    "The derivative of the sigmoid",
    Diff(a[k], z[j]),
    (
        Step(
            kronecker(k, j) * sympy.exp(-z[j]) / (1 + sympy.exp(-z[j])) ** 2,
            "quotient rule",
            "The derivative of exp(−z) is −exp(−z); the two signs cancel.",
        ),
        Step(
            kronecker(k, j) * a[j] * (1 - a[j]),
            "definition",
            "exp(−z)/(1 + exp(−z)) is 1 − a.",
        ),
    ),
    given=(sigmoid,),
    mutants=(
        Mutant("1 − a²: that is tanh", 2, kronecker(k, j) * (1 - a[j] ** 2)),
        Mutant("z in the place of a", 2, kronecker(k, j) * z[j] * (1 - z[j])),
        Mutant("σ' of the activation: the sigmoid is applied twice", 2,
               kronecker(k, j) / (1 + sympy.exp(-a[j])) * (1 - 1 / (1 + sympy.exp(-a[j])))),
    ),
    implemented_by=("bpcheck.reference.activation.ACTIVATION['sigmoid'].derivative",),
)  # fmt: skip

error = Derivation(
    "Sigmoid and binary cross-entropy: δ = a − y",
    Diff(cost, z[j]),
    (
        Step(
            -total((y[k] / a[k] - (1 - y[k]) / (1 - a[k])) * Diff(a[k], z[j]), k),
            "chain rule",
            "The derivatives of log a and log(1 − a) are 1/a and −1/(1 − a).",
        ),
        Step(
            -total((y[k] / a[k] - (1 - y[k]) / (1 - a[k])) * kronecker(k, j) * a[j] * (1 - a[j]), k),
            "derivative",
            "The derivative of the sigmoid, from the derivation before.",
        ),
        Step(
            -(y[j] * (1 - a[j]) - (1 - y[j]) * a[j]),
            "delta",
            "k = j is left, and each denominator cancels with a factor of σ'.",
        ),
        Step(a[j] - y[j], "algebra", "The products a y cancel."),
    ),
    given=(sigmoid,),
    mutants=(
        Mutant("σ' once more", 4, (a[j] - y[j]) * a[j] * (1 - a[j])),
        Mutant("sign", 4, y[j] - a[j]),
        Mutant("the second half of the cost is forgotten", 4, -y[j] * (1 - a[j])),
        Mutant("the mean over the units", 4, (a[j] - y[j]) / n),
    ),
    implemented_by=("bpcheck.reference.loss.LOSS['binary_cross_entropy'].gradient",),
    about="Nothing is asked of y here: it need not be 0 or 1.",
    name=Tensor("delta")[j],
)

DERIVATIONS = (slope, error)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
