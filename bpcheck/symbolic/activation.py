"""Activations as formulas of one real variable, in SymPy. No derivative is written here.

They are written again on purpose: a formula shared with :mod:`bpcheck.reference` would carry its
mistake into both witnesses. Derivatives come from SymPy, which differentiates these lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sympy

__all__ = ["ACTIVATION", "LEAKY_SLOPE", "softmax"]

# The slope of float code is the double next to 0.01, not 1/100: the same function needs its exact value.
LEAKY_SLOPE = sympy.Rational(0.01)


# Max, not Piecewise: SymPy folds conditions that hold a Piecewise into one another, and needs minutes to
# write down the cost of a relu network of widths 3-3-3-3-2 where Max takes milliseconds.
ACTIVATION: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "identity": lambda z: z,
        "sigmoid": lambda z: 1 / (1 + sympy.exp(-z)),
        "tanh": lambda z: sympy.tanh(z),
        "relu": lambda z: sympy.Max(0, z),
        "leaky_relu": lambda z: sympy.Max(z, LEAKY_SLOPE * z),
        "softplus": lambda z: sympy.log(1 + sympy.exp(z)),
        "gelu": lambda z: z * (1 + sympy.erf(z / sympy.sqrt(2))) / 2,
        "silu": lambda z: z / (1 + sympy.exp(-z)),
    }
)
"""σ(z) for one unit; softmax, which mixes units, is :func:`softmax`."""


def softmax(z: Sequence[Any], exp: Callable[[Any], Any]) -> list[Any]:
    """e^{z_k} / Σ_j e^{z_j}, with the exponential of whichever engine ``z`` belongs to.

    Examples
    --------
    >>> softmax([sympy.Symbol("u"), sympy.Symbol("v")], sympy.exp)
    [exp(u)/(exp(u) + exp(v)), exp(v)/(exp(u) + exp(v))]
    """
    weights = [exp(value) for value in z]
    total = sum(weights[1:], weights[0])
    return [weight / total for weight in weights]
