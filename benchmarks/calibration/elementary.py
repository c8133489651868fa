"""Elementary functions for arrays of any number: float32, float64, long double, complex, mpmath.

A family writes its loss once, with these. The benchmark runs it in the precision under test, the
truth in long double, and the tests in mpmath with 60 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

__all__ = ["absolute", "cos", "exp", "log", "log1p_exp", "positive", "relu", "sigmoid", "sin", "sqrt", "tanh"]


def _both(name: str) -> Callable[[Any], Any]:
    ufunc, precise = getattr(np, name), np.frompyfunc(getattr(mpmath, name), 1, 1)

    def function(z: Any) -> Any:
        return precise(z) if np.asarray(z).dtype == object else ufunc(z)

    return function


sin, cos, exp, log, sqrt, tanh = map(_both, ("sin", "cos", "exp", "log", "sqrt", "tanh"))

_real = np.frompyfunc(lambda z: z.real, 1, 1)


def positive(z: Any) -> Any:
    """Where the real part is above zero."""
    z = np.asarray(z)
    return (_real(z) if z.dtype == object else z.real) > 0


def relu(z: Any) -> Any:
    """max(z, 0), by the real part."""
    return np.where(positive(z), z, z * 0)


def absolute(z: Any) -> Any:
    """|z| continued analytically from either side of the kink."""
    return np.where(positive(z), z, -z)


def sigmoid(z: Any) -> Any:
    """1 / (1 + exp(−z)), by the half that does not overflow."""
    small = exp(-absolute(z))
    return np.where(positive(z), 1 / (1 + small), small / (1 + small))


def log1p_exp(z: Any) -> Any:
    """log(1 + exp(z)), without overflow."""
    small = exp(-absolute(z))
    return relu(z) + log(1 + small)
