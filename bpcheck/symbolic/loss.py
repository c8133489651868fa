"""Losses of one example and the pieces of a penalty, as formulas. No derivative is written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sympy

from bpcheck.symbolic.activation import softmax
from bpcheck.symbolic.algebra import Algebra

__all__ = ["LOSS", "SCALAR", "to_probabilities"]


def _huber(r: Any) -> Any:
    # ½r² for |r| ≤ 1, and beyond, where r exceeds ±1 by e, less ½e²: |r| − ½
    return r**2 / 2 - sympy.Max(0, r - 1) ** 2 / 2 - sympy.Max(0, -r - 1) ** 2 / 2


SCALAR: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"huber": _huber, "abs": lambda w: sympy.Abs(w)}
)
"""Formulas of one variable, in SymPy, beside the activations: Huber's loss (δ = 1) and |w|."""


def _squares(a: Sequence[Any], y: Sequence[Any]) -> Any:
    return sum((p - q) ** 2 for p, q in zip(a, y, strict=True))


def _binary(a: Sequence[Any], y: Sequence[Any], algebra: Algebra) -> Any:
    pairs = zip(a, y, strict=True)
    return -sum(q * algebra.log(p) + (1 - q) * algebra.log(1 - p) for p, q in pairs)


def _cross_entropy(a: Sequence[Any], y: Sequence[Any], algebra: Algebra) -> Any:
    return -sum(q * algebra.log(p) for p, q in zip(a, y, strict=True))


LOSS: Mapping[str, Callable[[Sequence[Any], Sequence[Any], Algebra], Any]] = MappingProxyType(
    {
        "half_mse": lambda a, y, algebra: _squares(a, y) / 2,
        "mse": lambda a, y, algebra: _squares(a, y) / len(a),
        "huber": lambda a, y, algebra: sum(
            algebra.apply("huber", p - q, f"output {k}") for k, (p, q) in enumerate(zip(a, y, strict=True))
        ),
        "binary_cross_entropy": _binary,
        "cross_entropy": _cross_entropy,
    }
)
"""``LOSS[name](a, y, algebra)``: the loss of one example from its outputs and targets."""


def to_probabilities(loss: str, logits: Sequence[Any], algebra: Algebra) -> list[Any]:
    """What the two cross-entropies make of logits before they take logarithms."""
    if loss == "binary_cross_entropy":
        return [algebra.apply("sigmoid", z, f"output {k}") for k, z in enumerate(logits)]
    return softmax(logits, algebra.exp)
