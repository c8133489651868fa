"""BP2, the error of a hidden layer, as the step of an induction from layer l + 1 down to layer l.

``python -m derivations.bp2_hidden_error`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html``
write them as a document.
"""

from __future__ import annotations

from bpcheck.symbolic.index import Definition, Derivation, Diff, Mutant, Step, kronecker, total
from derivations.notation import CHAIN_RULE, C, W, a, b, delta, l, sigma, unit, z

j, i = unit("j", l), unit("i", l)
k = unit("k", l + 1)
cost = C(z[l + 1, k], over=k)  # all that lies above layer l, in one unknown function

hidden_error = Derivation(
    "BP2, the error of a hidden layer",
    Diff(cost, z[l, j]),
    (
        Step(
            total(C.partial(k, of=z[l + 1, k], over=k) * Diff(z[l + 1, k], z[l, j]), k),
            "chain rule",
            "z^l_j reaches the cost through every unit k of the next layer, and the ways add up.",
        ),
        Step(
            total(delta[l + 1, k] * Diff(z[l + 1, k], z[l, j]), k),
            "definition",
            "∂C/∂z^{l+1}_k is the error of unit k, which is known already: we go from the output to the input.",
        ),
        Step(
            total(delta[l + 1, k] * total(W[l + 1, k, i] * Diff(a[l, i], z[l, j]), i), k),
            "sum rule",
            "z^{l+1}_k is written out; the weights and the bias do not move when z^l_j does.",
        ),
        Step(
            total(delta[l + 1, k] * total(W[l + 1, k, i] * sigma.prime(z[l, i]) * kronecker(i, j), i), k),
            "derivative",
            "a^l_i = σ(z^l_i) names z^l_j only where i = j.",
        ),
        Step(
            total(delta[l + 1, k] * W[l + 1, k, j] * sigma.prime(z[l, j]), k),
            "delta",
            "Of the inner sum the term i = j is left.",
        ),
        Step(
            total(W[l + 1, k, j] * delta[l + 1, k], k) * sigma.prime(z[l, j]),
            "algebra",
            "σ'(z^l_j) does not depend on k. The sum runs over the first index of W: (W^{l+1})ᵀ δ^{l+1}, transposed "
            "because the weights are used backwards.",
        ),
    ),
    given=(
        Definition(z[l + 1, k], total(W[l + 1, k, i] * a[l, i], i) + b[l + 1, k], "forward"),
        Definition(a[l, i], sigma(z[l, i]), "activation"),
        Definition(delta[l + 1, k], C.partial(k, of=z[l + 1, k], over=k), "error of layer l + 1, known"),
    ),
    assumes=(
        CHAIN_RULE,
        "The induction: layer L is BP1, this is the step from l + 1 to l, so BP2 holds for l = L − 1, …, 2. The "
        "calculus checks the step for a symbolic l; that such steps make a proof for every l is the principle of "
        "induction.",
        "The cost depends on z^l through z^{l+1} alone, as it does in a chain of layers; a skip connection has a "
        "second way, see derivations.skip.",
    ),
    mutants=(
        Mutant("σ' is missing", 6, total(W[l + 1, k, j] * delta[l + 1, k], k)),
        Mutant("W is not transposed", 6, total(W[l + 1, j, k] * delta[l + 1, k], k) * sigma.prime(z[l, j])),
        Mutant(
            "σ' of the layer above",
            6,
            total(W[l + 1, k, j] * delta[l + 1, k] * sigma.prime(z[l + 1, k]), k),
        ),
        Mutant("weights of layer l", 6, total(W[l, k, j] * delta[l + 1, k], k) * sigma.prime(z[l, j])),
        Mutant(
            "error of layer l + 1 of the same unit",
            6,
            W[l + 1, j, j] * delta[l + 1, j] * sigma.prime(z[l, j]),
        ),
        Mutant(
            "σ' of the activation, not of z",
            6,
            total(W[l + 1, k, j] * delta[l + 1, k], k) * sigma.prime(a[l, j]),
        ),
        Mutant(
            "the sum over i is kept",
            5,
            total(delta[l + 1, k] * total(W[l + 1, k, i] * sigma.prime(z[l, i]), i), k),
        ),
    ),
    implemented_by=("bpcheck.reference.layers.four_equations.bp2_hidden_error",),
    about=(
        "All that happens above layer l is one unknown function of z^{l+1}. The error of layer l + 1 is known; the "
        "error of layer l follows, whatever the cost, the activation, the widths and l."
    ),
    name=delta[l, j],
)

DERIVATIONS = (hidden_error,)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
