"""BP3, the gradient of the biases, for one example; a batch is in :mod:`derivations.batch_and_penalty`.

``python -m derivations.bp3_bias_gradient`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html``
write them as a document.
"""

from __future__ import annotations

from bpcheck.symbolic.index import Definition, Derivation, Diff, Mutant, Step, kronecker, total
from derivations.notation import CHAIN_RULE, C, W, a, b, delta, l, unit, z

j, i = unit("j", l), unit("i", l)
k = unit("k", l - 1)
cost = C(z[l, i], over=i)

bias_gradient = Derivation(
    "BP3, the gradient of the biases",
    Diff(cost, b[l, j]),
    (
        Step(
            total(C.partial(i, of=z[l, i], over=i) * Diff(z[l, i], b[l, j]), i),
            "chain rule",
            "A bias reaches the cost through the z of its layer.",
        ),
        Step(
            total(delta[l, i] * Diff(z[l, i], b[l, j]), i),
            "definition",
            "∂C/∂z^l_i is the error of unit i.",
        ),
        Step(
            total(delta[l, i] * kronecker(i, j), i),
            "derivative",
            "z^l_i = … + b^l_i holds b^l_j only where i = j, with the factor 1.",
        ),
        Step(delta[l, j], "delta", "The term i = j is left."),
    ),
    given=(
        Definition(z[l, i], total(W[l, i, k] * a[l - 1, k], k) + b[l, i], "forward"),
        Definition(delta[l, i], C.partial(i, of=z[l, i], over=i), "error of layer l"),
    ),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("the errors of all units are added up", 4, total(delta[l, i], i)),
        Mutant("times the bias", 4, delta[l, j] * b[l, j]),
        Mutant("error of the layer below", 4, delta[l - 1, j]),
    ),
    implemented_by=("bpcheck.reference.layers.four_equations.bp3_bias_gradient",),
    about="For one example. In a batch the same bias serves every example, and the errors add up.",
)

DERIVATIONS = (bias_gradient,)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
