"""Losses of a batch and their gradients by the network's outputs, in balls or in rationals.

Each function takes outputs and targets as rows and returns the sum over the examples, and one row of
∂(loss of the example)/∂output for each. The two cross-entropies take logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from bpcheck.certified.activation import sigmoid, softmax, softplus

__all__ = ["LOSS"]

Rows: TypeAlias = list[list[Any]]

HUBER_DELTA = 1


def _residuals(a: Rows, y: Rows) -> Rows:
    return [[p - q for p, q in zip(left, right, strict=True)] for left, right in zip(a, y, strict=True)]


def _half_mse(a: Rows, y: Rows, numbers: Any) -> tuple[Any, Rows]:
    r = _residuals(a, y)
    return sum((value * value for row in r for value in row), numbers.number(0)) / 2, r


def _mse(a: Rows, y: Rows, numbers: Any) -> tuple[Any, Rows]:
    r, units = _residuals(a, y), len(y[0])
    total = sum((value * value for row in r for value in row), numbers.number(0)) / units
    return total, [[2 * value / units for value in row] for row in r]


def _huber(a: Rows, y: Rows, numbers: Any) -> tuple[Any, Rows]:
    # with c the residual clipped to [−δ, δ], c r − ½c² is ½r² inside and δ|r| − ½δ² outside; c is the slope
    r = _residuals(a, y)
    c = [[numbers.clip(value, HUBER_DELTA) for value in row] for row in r]
    pairs = [pair for left, right in zip(c, r, strict=True) for pair in zip(left, right, strict=True)]
    return sum((p * q - p * p / 2 for p, q in pairs), numbers.number(0)), c


def _binary_cross_entropy(z: Rows, y: Rows, numbers: Any) -> tuple[Any, Rows]:
    # with a = σ(z): −y ln a − (1 − y) ln(1 − a) = softplus(z) − y z, and its slope is a − y
    total, slopes = numbers.number(0), []
    for row, targets in zip(z, y, strict=True):
        total = sum((softplus(v) - t * v for v, t in zip(row, targets, strict=True)), total)
        slope = [sigmoid(v) - t for v, t in zip(row, targets, strict=True)]
        slopes.append(numbers.binary_slopes(slope, row, targets))
    return total, slopes


def _cross_entropy(z: Rows, y: Rows, numbers: Any) -> tuple[Any, Rows]:
    # −Σ y_k ln p_k = Σ y_k (ln Σ e^z − z_k), and its slope is p Σy − y
    total, slopes = numbers.number(0), []
    for row, targets in zip(z, y, strict=True):
        p, logarithm = softmax(row)
        p = numbers.stored(p)
        mass = sum(targets[1:], targets[0])
        total = sum((t * (logarithm - v) for v, t in zip(row, targets, strict=True)), total)
        slope = [mass * q - t for q, t in zip(p, targets, strict=True)]
        slopes.append(numbers.distribution_slopes(slope, p, targets))
    return total, slopes


LOSS: Mapping[str, Callable[[Rows, Rows, Any], tuple[Any, Rows]]] = MappingProxyType(
    {
        "half_mse": _half_mse,
        "mse": _mse,
        "huber": _huber,
        "binary_cross_entropy": _binary_cross_entropy,
        "cross_entropy": _cross_entropy,
    }
)
"""``LOSS[name](outputs, targets, numbers)``."""
