"""What update rules compute with, on arrays and on balls alike: the rules are written once, and bound themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bpcheck.reference.numbers.ball import Ball, gamma

__all__ = ["constant", "maximum", "power", "sign", "sqrt", "zeros_like"]


def constant(value: float, like: Any) -> Any:
    """A hyperparameter beside arrays, or beside balls: then rounded once, as code that stores 0.9 in float32 does."""
    if not isinstance(like, Ball):
        return value
    return Ball.exact(np.asarray(value, dtype=float), like.u).widened(like.u * abs(value))


def sqrt(value: Any) -> Any:
    """√. Of a Python number a Python number: NumPy's would make float64 of float32 arrays."""
    if isinstance(value, Ball):
        return value.sqrt()
    return math.sqrt(value) if isinstance(value, float) else np.sqrt(value)


def maximum(a: Any, b: Any) -> Any:
    """The larger one, entry by entry."""
    return a.maximum(b) if isinstance(a, Ball) else np.maximum(a, b)


def sign(value: Any) -> Any:
    """−1, 0 or 1. Of a ball, that of its middle: arguments are exact where it is used."""
    return np.sign(value.mid) if isinstance(value, Ball) else np.sign(value)


def power(base: Any, exponent: int) -> Any:
    """Base to a whole power, which code computes by ``**`` or by multiplying once a step."""
    if not isinstance(base, Ball):
        return base**exponent
    mid = base.mid**exponent
    # (b ± r)^t − b^t ≤ t r (b + r)^(t − 1), and t roundings of products
    moved = exponent * base.rad * (abs(base.mid) + base.rad) ** (exponent - 1)
    return Ball(mid, moved + gamma(exponent, base.u) * abs(mid), base.kink, base.u)


def zeros_like(leaf: Any) -> Any:
    """Zeros in the form of a parameter."""
    return Ball.exact(np.zeros(leaf.shape), leaf.u) if isinstance(leaf, Ball) else np.zeros_like(leaf)
