"""BP1, the error of the output layer: elementwise, in the Jacobian form, and for softmax.

``python -m derivations.bp1_output_error`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html``
write them as a document.
"""

from __future__ import annotations

from typing import Any

import sympy

from bpcheck.symbolic.index import (
    Definition,
    Derivation,
    Diff,
    Mutant,
    Step,
    VectorFunction,
    kronecker,
    total,
)
from derivations.notation import CHAIN_RULE, C, L, a, delta, sigma, unit, z

j, k, m = unit("j", L), unit("k", L), unit("m", L)
cost = C(a[L, k], over=k)  # C(a^L_1, …, a^L_n): any cost


def slope(of: Any) -> Any:
    """∂C/∂a^L at an index: the formal partial derivative of the unknown cost."""
    return C.partial(of, of=a[L, k], over=k)


elementwise = Derivation(
    "BP1, the error of the output layer, for an activation that acts on each unit alone",
    Diff(cost, z[L, j]),
    (
        Step(
            total(slope(k) * Diff(a[L, k], z[L, j]), k),
            "chain rule",
            "z^L_j can reach the cost through every a^L_k, so there is one term for each k.",
        ),
        Step(
            total(slope(k) * sigma.prime(z[L, k]) * kronecker(k, j), k),
            "derivative",
            "a^L_k = σ(z^L_k) names z^L_j only where k = j; then its derivative is σ'(z^L_j).",
        ),
        Step(
            slope(j) * sigma.prime(z[L, j]),
            "delta",
            "Of the sum over k, the term k = j is left: as vectors, δ^L = ∇_a C ⊙ σ'(z^L).",
        ),
    ),
    given=(Definition(a[L, k], sigma(z[L, k]), "activation, unit by unit"),),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("σ' is missing", 3, slope(j)),
        Mutant("σ in the place of σ'", 3, slope(j) * sigma(z[L, j])),
        Mutant("σ' of the activation, not of z", 3, slope(j) * sigma.prime(a[L, j])),
        Mutant(
            "the sum is kept: every unit gets the same error", 3, total(slope(k) * sigma.prime(z[L, k]), k)
        ),
        Mutant("∂C/∂a of another unit", 2, total(slope(j) * sigma.prime(z[L, k]), k)),
    ),
    implemented_by=("bpcheck.reference.layers.four_equations.bp1_output_error",),
    about=(
        "The error of a unit is defined as δ^L_j = ∂C/∂z^L_j: how much the cost rises when z^L_j rises a little. "
        "Nothing is known of the cost but that it is a differentiable function of the outputs a^L."
    ),
    name=delta[L, j],
)

f = VectorFunction("sigma")
units = unit("i", L)


def output(component: Any) -> Any:
    """a_k as a function of all of z^L."""
    return f(z[L, units], over=units, component=component)


jacobian = Derivation(
    "BP1 in the Jacobian form: an activation that mixes the units",
    Diff(cost, z[L, j]),
    (
        Step(
            total(slope(k) * Diff(a[L, k], z[L, j]), k),
            "chain rule",
            "One term for each a^L_k that z^L_j can move; here that is all of them.",
        ),
        Step(
            total(slope(k) * f.partial(j, of=z[L, units], over=units, component=k), k),
            "derivative",
            "∂a^L_k/∂z^L_j is the entry (k, j) of the Jacobian J of the activation: δ^L = Jᵀ ∇_a C.",
        ),
    ),
    given=(Definition(a[L, k], output(k), "every output may depend on every z"),),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant(
            "J in the place of Jᵀ",
            2,
            total(slope(k) * f.partial(k, of=z[L, units], over=units, component=j), k),
        ),
        Mutant(
            "only the diagonal of J",
            2,
            slope(j) * f.partial(j, of=z[L, units], over=units, component=j),
        ),
    ),
    implemented_by=("bpcheck.reference.layers.four_equations.bp1_output_error",),
    about="With softmax, layer norm or a whitening step every output depends on every z, and σ' as a vector does not exist.",
    name=delta[L, j],
)

normalizer = total(sympy.exp(z[L, m]), m)

softmax_jacobian = Derivation(
    "The Jacobian of softmax",
    Diff(a[L, k], z[L, j]),
    (
        Step(
            Diff(sympy.exp(z[L, k]) / normalizer, z[L, j]),
            "definition",
            "Softmax is written out.",
        ),
        Step(
            kronecker(k, j) * sympy.exp(z[L, k]) / normalizer
            - sympy.exp(z[L, k]) * sympy.exp(z[L, j]) / normalizer**2,
            "quotient rule",
            "z^L_j is in the numerator where k = j, and in the denominator always, once.",
        ),
        Step(
            a[L, k] * (kronecker(k, j) - a[L, j]),
            "definition",
            "Each exp over the sum is an activation again.",
        ),
    ),
    given=(Definition(a[L, k], sympy.exp(z[L, k]) / normalizer, "softmax"),),
    mutants=(
        Mutant("only the diagonal", 3, a[L, k] * (1 - a[L, k]) * kronecker(k, j)),
        Mutant("sign of the second term", 3, a[L, k] * (kronecker(k, j) + a[L, j])),
        Mutant(
            "the denominator is taken for a constant", 2, kronecker(k, j) * sympy.exp(z[L, k]) / normalizer
        ),
    ),
    implemented_by=("bpcheck.reference.activation.ACTIVATION['softmax'].derivative",),
    about="The example of a Jacobian that every classifier needs.",
)

softmax_error = Derivation(
    "BP1 with softmax and any cost",
    Diff(cost, z[L, j]),
    (
        Step(
            total(slope(k) * Diff(a[L, k], z[L, j]), k),
            "chain rule",
            "As in the Jacobian form.",
        ),
        Step(
            total(slope(k) * a[L, k] * (kronecker(k, j) - a[L, j]), k),
            "derivative",
            "The Jacobian of softmax, from the derivation before.",
        ),
        Step(
            a[L, j] * (slope(j) - total(slope(k) * a[L, k], k)),
            "delta",
            "The first part keeps the term k = j; in the second, a^L_j does not depend on k.",
        ),
    ),
    given=(Definition(a[L, k], sympy.exp(z[L, k]) / normalizer, "softmax"),),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("only the diagonal of the Jacobian", 3, slope(j) * a[L, j] * (1 - a[L, j])),
        Mutant("the mean is not taken off", 3, a[L, j] * slope(j)),
        Mutant("∂C/∂a alone: as if softmax were not there", 3, slope(j)),
    ),
    implemented_by=("bpcheck.reference.layers.four_equations.bp1_output_error",),
    name=delta[L, j],
)

DERIVATIONS = (elementwise, jacobian, softmax_jacobian, softmax_error)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
