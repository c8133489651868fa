"""Activations and their derivatives in balls, as a textbook writes them.

Written again on purpose: nothing is shared with the other witnesses, nor with :mod:`~bpcheck.certified.series`,
which knows σ alone and confirms the derivatives below. Textbook forms such as 1 − tanh² lose digits where a
unit is saturated; at 53 bits that is what honest code loses too, and at more bits the radius still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["LOW_SLOPE", "SMOOTH", "Smooth", "sigmoid", "softmax", "softmax_pullback", "softplus"]

LOW_SLOPE: Mapping[str, float] = MappingProxyType({"relu": 0.0, "leaky_relu": 0.01})
"""Slope for z < 0 of the activations that have a kink; it is 1 for z > 0."""


@dataclass(frozen=True)
class Smooth:
    """An activation without a kink, for one number.

    Attributes
    ----------
    value : callable
        σ(z).
    slope : callable
        σ'(z) from (z, a).
    """

    value: Callable[[Any], Any]
    slope: Callable[[Any, Any], Any]


def sigmoid(z: Any) -> Any:
    """1/(1 + e⁻ᶻ), which is eᶻ/(1 + eᶻ): the form whose exponential does not overflow."""
    if z.mid() < 0:
        growth = z.exp()
        return growth / (1 + growth)
    return 1 / (1 + (-z).exp())


def softplus(z: Any) -> Any:
    """ln(1 + eᶻ), which is z + ln(1 + e⁻ᶻ)."""
    if z.mid() < 0:
        return z.exp().log1p()
    return z + (-z).exp().log1p()


def softmax(z: list[Any]) -> tuple[list[Any], Any]:
    """e^{z_k}/Σ e^{z_j} and ln Σ e^{z_j}; both take a shift by a constant, here the largest middle."""
    shift = max((value.mid() for value in z), key=float)
    weights = [(value - shift).exp() for value in z]
    total = sum(weights[1:], weights[0])
    return [weight / total for weight in weights], shift + total.log()


def _cdf(z: Any) -> Any:
    return (-z / type(z)(2).sqrt()).erfc() / 2


def _density(z: Any) -> Any:
    return (-z * z / 2).exp() / (2 * type(z).pi()).sqrt()


SMOOTH: Mapping[str, Smooth] = MappingProxyType(
    {
        "sigmoid": Smooth(sigmoid, lambda z, a: a * (1 - a)),
        "tanh": Smooth(lambda z: z.tanh(), lambda z, a: 1 - a * a),
        "softplus": Smooth(softplus, lambda z, a: sigmoid(z)),
        "gelu": Smooth(lambda z: z * _cdf(z), lambda z, a: _cdf(z) + z * _density(z)),
        "silu": Smooth(lambda z: z * sigmoid(z), lambda z, a: sigmoid(z) * (1 + z * (1 - sigmoid(z)))),
    }
)


def softmax_pullback(p: list[Any], g: list[Any]) -> list[Any]:
    """Jᵀg for J[k, j] = p_k (1[k = j] − p_j), one example."""
    products = [a * b for a, b in zip(p, g, strict=True)]
    mean = sum(products[1:], products[0])
    return [a * (b - mean) for a, b in zip(p, g, strict=True)]
