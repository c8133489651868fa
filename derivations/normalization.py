"""Layer norm: every input moves the mean and the spread, and so every output of its example.

``python -m derivations.normalization`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html``
write them as a document. (Batch norm sums over the examples where layer norm sums over the units; it comes with
its layer.)
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
    VectorFunction,
    kronecker,
    total,
)
from derivations.notation import CHAIN_RULE

m, n = Size("m"), Size("n")
i, h = Index("i", m), Index("h", m)
j, k, p = Index("j", n), Index("k", n), Index("p", n)
x, mean, variance, x_hat = Tensor("x"), Tensor("mu"), Tensor("v"), Tensor("x_hat")
gain, shift, y, y_bar, x_hat_bar = Tensor("gamma"), Tensor("beta"), Tensor("y"), Tensor("y_bar"), Tensor("g")
epsilon = sympy.Symbol("epsilon", positive=True)
C = VectorFunction("C")

mean_of = Definition(mean[i], total(x[i, p], p) / n, "mean over the units of one example")
variance_of = Definition(variance[i], total((x[i, p] - mean[i]) ** 2, p) / n, "variance, divided by n")
normalized = Definition(x_hat[i, k], (x[i, k] - mean[i]) / sympy.sqrt(variance[i] + epsilon), "normalised")
spread = sympy.sqrt(variance[i] + epsilon)

moments = Derivation(
    "Layer norm: how the variance moves",
    Diff(variance[i], x[i, j]),
    (
        Step(
            total(2 * (x[i, k] - mean[i]) * (Diff(x[i, k], x[i, j]) - Diff(mean[i], x[i, j])), k) / n,
            "chain rule",
            "Each square has the derivative 2 times what is squared, times the derivative of that.",
        ),
        Step(
            total(2 * (x[i, k] - mean[i]) * (kronecker(k, j) - 1 / n), k) / n,
            "derivative",
            "x_j is one of the n numbers whose mean is taken.",
        ),
        Step(
            2 * (x[i, j] - mean[i]) / n - 2 * total(x[i, k] - mean[i], k) / n**2,
            "delta",
            "The bracket takes the term k = j; 1/n takes them all.",
        ),
        Step(
            2 * (x[i, j] - mean[i]) / n,
            "algebra",
            "Deviations from the mean add up to 0: the variance does not feel that the mean moves.",
        ),
    ),
    given=(mean_of, variance_of),
    mutants=(
        Mutant("the factor 2", 4, (x[i, j] - mean[i]) / n),
        Mutant("1/n is forgotten", 4, 2 * (x[i, j] - mean[i])),
        Mutant("divided by n − 1, as statistics does it", 4, 2 * (x[i, j] - mean[i]) / (n - 1)),
        Mutant("the deviation of all", 4, 2 * total(x[i, k] - mean[i], k) / n),
    ),
)

jacobian = Derivation(
    "Layer norm: the Jacobian of the normalisation",
    Diff(x_hat[i, k], x[i, j]),
    (
        Step(
            (kronecker(k, j) - 1 / n) / spread
            - (x[i, k] - mean[i]) * Diff(variance[i], x[i, j]) / (2 * spread**3),
            "quotient rule",
            "The numerator moves with x and its mean, the root with the variance.",
        ),
        Step(
            (kronecker(k, j) - 1 / n) / spread
            - (x[i, k] - mean[i]) * (x[i, j] - mean[i]) / (n * spread**3),
            "derivative",
            "The derivative of the variance, from the derivation before.",
        ),
        Step(
            (kronecker(k, j) - 1 / n - x_hat[i, k] * x_hat[i, j] / n) / spread,
            "definition",
            "Each deviation over the root is a normalised x again.",
        ),
    ),
    given=(mean_of, variance_of, normalized),
    mutants=(
        Mutant("the variance is taken for a constant", 3, (kronecker(k, j) - 1 / n) / spread),
        Mutant("the mean is taken for a constant", 3, (kronecker(k, j) - x_hat[i, k] * x_hat[i, j] / n) / spread),
        Mutant("as if each unit were alone", 3, kronecker(k, j) / spread),
    ),
)  # fmt: skip

upstream = Definition(x_hat_bar[i, k], C.partial((i, k), of=x_hat[i, k], over=(i, k)), "∂C/∂x̂")
cost = C(x_hat[i, k], over=(i, k))

inputs = Derivation(
    "Layer norm: the gradient of the inputs",
    Diff(cost, x[i, j]),
    (
        Step(
            total(x_hat_bar[i, k] * Diff(x_hat[i, k], x[i, j]), k),
            "chain rule",
            "x_{ij} moves all units of its own example, and no other example.",
        ),
        Step(
            total(x_hat_bar[i, k] * (kronecker(k, j) - 1 / n - x_hat[i, k] * x_hat[i, j] / n), k) / spread,
            "derivative",
            "The Jacobian, from the derivation before.",
        ),
        Step(
            (
                x_hat_bar[i, j]
                - total(x_hat_bar[i, k], k) / n
                - x_hat[i, j] * total(x_hat_bar[i, k] * x_hat[i, k], k) / n
            )
            / spread,
            "delta",
            "What comes from above, less its mean, less its part along x̂ (all of that part where ε = 0). These are the "
            "two directions that normalising takes away.",
        ),
    ),
    given=(mean_of, variance_of, normalized, upstream),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("the mean's way is forgotten", 3,
               (x_hat_bar[i, j] - x_hat[i, j] * total(x_hat_bar[i, k] * x_hat[i, k], k) / n) / spread),
        Mutant("the variance's way is forgotten", 3, (x_hat_bar[i, j] - total(x_hat_bar[i, k], k) / n) / spread),
        Mutant("only divided by the spread", 3, x_hat_bar[i, j] / spread),
        Mutant("sums over the examples, as in batch norm", 3,
               (x_hat_bar[i, j] - total(x_hat_bar[h, j], h) / m
                - x_hat[i, j] * total(x_hat_bar[h, j] * x_hat[h, j], h) / m) / spread),
    ),
)  # fmt: skip

scaled = Definition(y[i, k], gain[k] * x_hat[i, k] + shift[k], "gain γ and shift β")
from_above = Definition(y_bar[i, k], C.partial((i, k), of=y[i, k], over=(i, k)), "∂C/∂y")
cost_of_y = C(y[i, k], over=(i, k))

gains = Derivation(
    "Layer norm: the gradient of the gain",
    Diff(cost_of_y, gain[j]),
    (
        Step(
            total(y_bar[i, k] * Diff(y[i, k], gain[j]), i, k),
            "chain rule",
            "The same gain serves every example.",
        ),
        Step(
            total(y_bar[i, k] * kronecker(k, j) * x_hat[i, k], i, k), "derivative", "Only y_{ij} holds γ_j."
        ),
        Step(total(y_bar[i, j] * x_hat[i, j], i), "delta", "k = j is left; the examples add up."),
    ),
    given=(scaled, from_above),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("x in the place of x̂", 3, total(y_bar[i, j] * x[i, j], i)),
        Mutant("summed over the units", 3, total(y_bar[i, k] * x_hat[i, k], i, k)),
    ),
)

shifts = Derivation(
    "Layer norm: the gradient of the shift",
    Diff(cost_of_y, shift[j]),
    (
        Step(total(y_bar[i, k] * Diff(y[i, k], shift[j]), i, k), "chain rule", "As for a bias."),
        Step(total(y_bar[i, j], i), "derivative", "Only y_{ij} holds β_j, with the factor 1: BP3 once more."),
    ),
    given=(scaled, from_above),
    assumes=(CHAIN_RULE,),
    mutants=(Mutant("times the gain", 2, total(y_bar[i, j] * gain[j], i)),),
)

handed_on = Derivation(
    "Layer norm: the error of x̂",
    Diff(cost_of_y, x_hat[i, j]),
    (
        Step(total(y_bar[i, k] * Diff(y[i, k], x_hat[i, j]), k), "chain rule", "x̂_{ij} is in y_{ij} alone."),
        Step(
            y_bar[i, j] * gain[j],
            "derivative",
            "Only k = j holds it. This is g_{ij}, with which the gradient of the inputs starts.",
        ),
    ),
    given=(scaled, from_above),
    assumes=(CHAIN_RULE,),
    mutants=(Mutant("the gain is forgotten", 2, y_bar[i, j]),),
)

DERIVATIONS = (moments, jacobian, inputs, gains, shifts, handed_on)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
