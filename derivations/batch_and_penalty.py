"""A batch with a mean, and an L2 penalty: where 1/m and λ come in, and where they do not.

``python -m derivations.batch_and_penalty`` prints the steps; ``--check`` checks them, ``--latex`` and
``--html`` write them as a document.
"""

from __future__ import annotations

from typing import Any

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
    VectorFunction,
    kronecker,
    total,
)
from derivations.notation import CHAIN_RULE

m, out, into = Size("m"), Size("n"), Size("r")
i, i2 = Index("i", m), Index("h", m)
j, p = Index("j", out), Index("p", out)
k, q = Index("k", into), Index("q", into)
W, b, a, z, delta = Tensor("W"), Tensor("b"), Tensor("a"), Tensor("z"), Tensor("delta")
loss = VectorFunction(
    "c"
)  # the loss of one example, a function of all its z; every example has its own target
penalty = sympy.Symbol("lambda", positive=True)


def loss_of(example: Any) -> Any:
    """The loss of one example, as an unknown function with the example as a parameter."""
    return loss(z[example, p], over=p, component=example)


def slope_of(example: Any, at: Any) -> Any:
    """Its partial derivative by one z of the example."""
    return loss.partial(at, of=z[example, p], over=p, component=example)


forward = Definition(z[i, p], total(W[p, q] * a[i, q], q) + b[p], "forward; one row an example")
error = Definition(delta[i, p], slope_of(i, p) / m, "δ = ∂C/∂z holds the 1/m of the mean")
cost = total(loss_of(i), i) / m

bias = Derivation(
    "BP3 for the mean over a batch",
    Diff(cost, b[j]),
    (
        Step(
            total(total(slope_of(i, p) * Diff(z[i, p], b[j]), p), i) / m,
            "chain rule",
            "The same bias serves every example, and every example adds its part.",
        ),
        Step(
            total(total(delta[i, p] * Diff(z[i, p], b[j]), p), i),
            "definition",
            "The factor 1/m goes into δ, and appears nowhere again.",
        ),
        Step(
            total(total(delta[i, p] * kronecker(p, j), p), i), "derivative", "z_{ip} holds b_j where p = j."
        ),
        Step(total(delta[i, j], i), "delta", "The sum of the errors of unit j over the examples."),
    ),
    given=(forward, error),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("1/m once more", 4, total(delta[i, j], i) / m),
        Mutant("m times too large: δ without its 1/m", 4, m * total(delta[i, j], i)),
        Mutant("summed over the units", 4, total(delta[i, p], i, p)),
    ),
    implemented_by=("bpcheck.reference.layers.four_equations.bp3_bias_gradient",),
)

weight = Derivation(
    "BP4 for the mean over a batch",
    Diff(cost, W[j, k]),
    (
        Step(
            total(total(slope_of(i, p) * Diff(z[i, p], W[j, k]), p), i) / m,
            "chain rule",
            "The same weight serves every example.",
        ),
        Step(
            total(total(delta[i, p] * Diff(z[i, p], W[j, k]), p), i),
            "definition",
            "The factor 1/m goes into δ.",
        ),
        Step(
            total(delta[i, p] * kronecker(p, j) * kronecker(q, k) * a[i, q], i, p, q),
            "derivative",
            "z_{ip} holds W_{jk} where p = j, times a_{ik}.",
        ),
        Step(total(delta[i, j] * a[i, k], i), "delta", "As matrices with one row an example: δᵀ a."),
    ),
    given=(forward, error),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("the transpose", 4, total(delta[i, k] * a[i, j], i)),
        Mutant("1/m once more", 4, total(delta[i, j] * a[i, k], i) / m),
        Mutant("every pair of examples", 4, total(delta[i, j] * a[i2, k], i, i2)),
        Mutant("the activations are averaged first", 4, total(delta[i, j], i) * total(a[i2, k], i2) / m),
    ),
    implemented_by=("bpcheck.reference.layers.four_equations.bp4_weight_gradient",),
)

square = penalty * total(W[p, q] ** 2, p, q) / 2

with_penalty = Derivation(
    "BP4 with an L2 penalty",
    Diff(cost + square, W[j, k]),
    (
        Step(
            Diff(cost, W[j, k]) + Diff(square, W[j, k]),
            "sum rule",
            "The penalty is added to the mean, once for the batch.",
        ),
        Step(
            Diff(cost, W[j, k]) + penalty * total(W[p, q] * kronecker(p, j) * kronecker(q, k), p, q),
            "derivative",
            "The derivative of a square brings a factor 2, which cancels the ½.",
        ),
        Step(Diff(cost, W[j, k]) + penalty * W[j, k], "delta", "Only W_{jk} itself is left."),
        Step(
            total(delta[i, j] * a[i, k], i) + penalty * W[j, k],
            "definition",
            "BP4 for a batch, from the derivation before.",
        ),
    ),
    given=(forward, error),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("the penalty is divided by m too", 4, total(delta[i, j] * a[i, k], i) + penalty * W[j, k] / m),
        Mutant("factor 2 for a penalty with ½", 4, total(delta[i, j] * a[i, k], i) + 2 * penalty * W[j, k]),
        Mutant("added once for every example", 4, total(delta[i, j] * a[i, k] + penalty * W[j, k], i)),
        Mutant("transposed weights", 4, total(delta[i, j] * a[i, k], i) + penalty * W[k, j]),
    ),
    implemented_by=(
        "bpcheck.reference.layers.four_equations.bp4_weight_gradient",
        "bpcheck.reference.penalty.penalty_gradient",
    ),
)

DERIVATIONS = (bias, weight, with_penalty)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
