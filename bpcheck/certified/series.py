"""Formulas that take numbers and truncated power series alike: σ and the losses, no derivative among them.

python-flint's ``arb_series`` carries a function along its argument, f(s) = f₀ + f₁t + O(t²). Branches look
at the constant term; where its side is not certain, the answer is not a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from bpcheck.certified.engine import SERIES_LENGTH, flint

__all__ = ["ACTIVATION", "HALF", "LOSS", "activate", "constant", "first", "to_probabilities"]

Numbers: TypeAlias = list[Any]

# The slope of float code is the double next to 0.01.
LEAKY_SLOPE = 0.01

# Nothing that may be 0 is divided here: python-flint up to 0.8 raises AttributeError for a series 0 / 2.
HALF = 0.5


def constant(s: Any) -> Any:
    """The value of a number or series, f₀."""
    return s[0] if isinstance(s, flint().arb_series) else s


def first(s: Any) -> Any:
    """The derivative, f₁; 0 for a plain number."""
    return s[1] if isinstance(s, flint().arb_series) else flint().arb(0)


def _unknown() -> Any:
    nan = flint().arb.nan()
    return flint().arb_series([nan, nan], prec=SERIES_LENGTH)


def _over(top: Any, s: Any) -> Any:
    """The quotient; not a number where s is too wide to be told from 0."""
    return _unknown() if constant(s).contains(0) else top / s


def _by_side(s: Any, left: Any, right: Any) -> Any:
    value = constant(s)
    return right if value > 0 else left if value < 0 else _unknown()


def _piecewise(s: Any, low: float) -> Any:
    """The larger one of s and low·s; a unit at its kink that does not move stays there."""
    if constant(s).is_zero() and first(s).is_zero():
        return flint().arb(0)
    return _by_side(s, low * s, s)


def _sigmoid(s: Any) -> Any:
    if constant(s) < 0:  # of the two forms the one whose exponential does not overflow
        growth = s.exp()
        return growth * _over(1, 1 + growth)
    return _over(1, 1 + (-s).exp())


def _softplus(s: Any) -> Any:
    return s + (1 + (-s).exp()).log() if constant(s) > 0 else (1 + s.exp()).log()


def _gelu(s: Any) -> Any:
    return s * (1 + (s * flint().arb(2).rsqrt()).erf()) * HALF


ACTIVATION: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "identity": lambda s: s,
        "sigmoid": _sigmoid,
        "tanh": lambda s: 2 * _sigmoid(2 * s) - 1,  # arb_series has no tanh
        "relu": lambda s: _piecewise(s, 0.0),
        "leaky_relu": lambda s: _piecewise(s, LEAKY_SLOPE),
        "softplus": _softplus,
        "gelu": _gelu,
        "silu": lambda s: s * _sigmoid(s),
    }
)
"""σ of one unit; softmax, which mixes units, is in :func:`to_probabilities`."""


def _softmax(z: Numbers) -> Numbers:
    shift = max((constant(s).mid() for s in z), key=float)
    weights = [(s - shift).exp() for s in z]
    total = sum(weights[1:], weights[0])
    return [_over(weight, total) for weight in weights]


def activate(name: str, z: Numbers) -> Numbers:
    """σ of a whole layer.

    Examples
    --------
    >>> activate("relu", [flint().arb(-1), flint().arb(2)])
    [0, 2.00000000000000]
    """
    return _softmax(z) if name == "softmax" else [ACTIVATION[name](s) for s in z]


def to_probabilities(loss: str, logits: Numbers) -> Numbers:
    """What the two cross-entropies make of logits before they take logarithms."""
    return activate("sigmoid" if loss == "binary_cross_entropy" else "softmax", logits)


def _huber(r: Any) -> Any:
    if abs(constant(r)) <= 1:  # at |r| = 1 both branches have the same value and the same slope
        return r * r * HALF
    size = _by_side(r, -r, r)
    return _by_side(size - 1, _unknown(), size - HALF)


def _squares(a: Numbers, y: Numbers) -> Any:
    return sum(((p - q) * (p - q) for p, q in zip(a[1:], y[1:], strict=True)), (a[0] - y[0]) * (a[0] - y[0]))


def _binary(a: Numbers, y: Numbers) -> Any:
    terms = []
    for p, q in zip(a, y, strict=True):
        terms += [] if q == 0 else [-q * p.log()]
        terms += [] if q == 1 else [(q - 1) * (1 - p).log()]
    return sum(terms[1:], terms[0])


def _cross_entropy(a: Numbers, y: Numbers) -> Any:
    terms = [-q * p.log() for p, q in zip(a, y, strict=True) if not q.is_zero()]
    return sum(terms, flint().arb(0))


LOSS: Mapping[str, Callable[[Numbers, Numbers], Any]] = MappingProxyType(
    {
        "half_mse": lambda a, y: _squares(a, y) * HALF,
        "mse": lambda a, y: _squares(a, y) * (1 / flint().arb(len(y))),
        "huber": lambda a, y: sum((_huber(p - q) for p, q in zip(a, y, strict=True)), flint().arb(0)),
        "binary_cross_entropy": _binary,
        "cross_entropy": _cross_entropy,
    }
)
"""``LOSS[name](a, y)``: the loss of one example from its outputs and targets."""
