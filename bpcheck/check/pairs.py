"""Cotangents and directions, and tables of ⟨ȳ, Jv⟩ for all pairs of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.result import Estimate
from bpcheck.tree import FloatArray, rms

__all__ = ["MIXED", "Claim", "Column", "Once", "Row", "Table", "dots", "parts", "root_sum_squares", "times"]

# The number of the output that a mixture of outputs belongs to: to none alone.
MIXED = -1


@dataclass(eq=False)
class Row:
    """One cotangent.

    ``output`` is the number of the leaf that it belongs to, or -1 for all of them; ``scale`` is what the
    vjp sees it multiplied by.
    """

    vector: FloatArray
    output: int
    scale: float = 1.0


@dataclass(eq=False)
class Column:
    """One direction of one block: f is moved along ``step``; ``unit`` is what a derivative refers to."""

    block: int
    vector: FloatArray
    unit: float = 1.0


@dataclass(eq=False)
class Claim:
    """What is claimed for every row and column, and the root of the sum of squares of what was added up."""

    value: FloatArray
    size: FloatArray

    @classmethod
    def empty(cls, rows: int, columns: int) -> Claim:
        """Nothing claimed yet: NaN."""
        return cls(np.full((rows, columns), math.nan), np.zeros((rows, columns)))

    def put(self, where: Any, value: FloatArray, size: FloatArray, scale: float) -> None:
        """Enter a row or column that was asked for ``scale`` times too large."""
        self.value[where], self.size[where] = value / scale, size / scale


@dataclass(eq=False)
class Table:
    """Differences for every row and column: middle, bound and half-width of the kink's interval.

    ``doubt`` is the part of the bound that is the claim's own.
    """

    value: FloatArray
    bound: FloatArray
    kink: FloatArray
    doubt: FloatArray

    @classmethod
    def empty(cls, rows: int, columns: int) -> Table:
        """Zeros, to be filled."""
        return cls(*(np.zeros((rows, columns)) for _ in range(4)))

    def put(self, where: tuple[int, int], estimate: Estimate, unit: float) -> None:
        """Enter one estimate."""
        self.value[where], self.bound[where], self.kink[where] = parts(estimate, unit)

    def mix(self, units: int, weights: FloatArray) -> None:
        """Fill the rows from ``units`` on with mixtures of the first ones."""
        for array, w in ((self.value, weights), (self.bound, abs(weights)), (self.kink, abs(weights))):
            array[units:] = w @ array[:units]


class Once:
    """A function of t that is asked once for each t."""

    def __init__(
        self, function: Callable[[float], FloatArray], known: dict[float, FloatArray] | None = None
    ) -> None:
        self.function, self.known = function, dict(known or {})

    def __call__(self, t: float) -> FloatArray:
        """Its value, from memory if it was asked before."""
        if t not in self.known:
            self.known[t] = self.function(t)
        return self.known[t]


def times(t: float, steps: Mapping[int, FloatArray]) -> dict[int, FloatArray]:
    """Scale the steps of all blocks by t."""
    return {number: t * step for number, step in steps.items()}


def dots(array: FloatArray, columns: list[Column]) -> tuple[FloatArray, FloatArray]:
    """⟨array, v⟩ for each column, and the root of the sum of its squared terms."""
    values, sizes = [], []
    for column in columns:
        terms = array * (column.vector / column.unit)
        values.append(float(terms.sum()))
        sizes.append(rms(terms) * math.sqrt(terms.size))
    return np.array(values), np.array(sizes)


def root_sum_squares(rows: FloatArray, vector: FloatArray) -> FloatArray:
    """√Σ (row_i vector_i)² for each row, without overflow."""
    top = float(np.max(abs(vector), initial=0.0))
    if not (math.isfinite(top) and top > 0.0):
        return np.full(len(rows), top)
    return np.asarray(top * np.sqrt(rows**2 @ (vector / top) ** 2))


def parts(estimate: Estimate, unit: float) -> tuple[float, float, float]:
    """Middle, error and half-width of the kink's interval, per unit."""
    if estimate.interval is None:
        return estimate.value / unit, estimate.error / unit, 0.0
    low, high = estimate.interval
    half = (high - low) / 2.0
    # the error reaches from the middle past both ends: what exceeds the half is uncertainty
    return (low + high) / 2.0 / unit, max(estimate.error - half, 0.0) / unit, half / unit
