"""BP4, the gradient of the weights, for one example; a batch is in :mod:`derivations.batch_and_penalty`.

``python -m derivations.bp4_weight_gradient`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html``
write them as a document.
"""

from __future__ import annotations

from bpcheck.symbolic.index import Definition, Derivation, Diff, Mutant, Step, kronecker, total
from derivations.notation import CHAIN_RULE, C, W, a, b, delta, l, unit, z

j, i = unit("j", l), unit("i", l)
k, m = unit("k", l - 1), unit("m", l - 1)
cost = C(z[l, i], over=i)

weight_gradient = Derivation(
    "BP4, the gradient of the weights",
    Diff(cost, W[l, j, k]),
    (
        Step(
            total(C.partial(i, of=z[l, i], over=i) * Diff(z[l, i], W[l, j, k]), i),
            "chain rule",
            "A weight reaches the cost through the z of its layer.",
        ),
        Step(
            total(delta[l, i] * Diff(z[l, i], W[l, j, k]), i),
            "definition",
            "∂C/∂z^l_i is the error of unit i.",
        ),
        Step(
            total(delta[l, i] * total(kronecker(i, j) * kronecker(m, k) * a[l - 1, m], m), i),
            "derivative",
            "Of all weights in z^l_i = Σ_m W^l_{im} a^{l-1}_m + b^l_i only one can be W^l_{jk}.",
        ),
        Step(
            delta[l, j] * a[l - 1, k],
            "delta",
            "i = j and m = k are left: the error at the weight's end times the activation at its start, as a matrix "
            "δ^l (a^{l-1})ᵀ.",
        ),
    ),
    given=(
        Definition(z[l, i], total(W[l, i, m] * a[l - 1, m], m) + b[l, i], "forward"),
        Definition(delta[l, i], C.partial(i, of=z[l, i], over=i), "error of layer l"),
    ),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("the transpose: indices the other way round", 4, delta[l, k] * a[l - 1, j]),
        Mutant("activation of layer l", 4, delta[l, j] * a[l, k]),
        Mutant("z in the place of the activation", 4, delta[l, j] * z[l - 1, k]),
        Mutant("summed over the inputs", 4, delta[l, j] * total(a[l - 1, m], m)),
        Mutant("the activation is missing", 4, delta[l, j]),
    ),
    implemented_by=("bpcheck.reference.layers.four_equations.bp4_weight_gradient",),
    about="For one example. In a batch the same weight serves every example, and the products add up.",
)

DERIVATIONS = (weight_gradient,)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
