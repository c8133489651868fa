"""Matrices of rational numbers: nothing is rounded at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from bpcheck.certified.balls import as_rows
from bpcheck.certified.engine import flint
from bpcheck.tree import FloatArray

__all__ = ["Rationals"]


class Rationals:
    """Rational arithmetic, with the methods of :class:`~bpcheck.certified.balls.Balls` that rationals can have.

    Examples
    --------
    >>> numbers = Rationals()
    >>> numbers.number(0.75) / 3
    1/4
    """

    def __init__(self) -> None:
        self.flint = flint()

    def working(self) -> AbstractContextManager[None]:
        """Rationals need no setting."""
        return nullcontext()

    def number(self, value: Any) -> Any:
        """A float of any width as it is."""
        numerator, denominator = value.as_integer_ratio()
        return self.flint.fmpq(int(numerator), int(denominator))

    def matrix(self, rows: int, columns: int, entries: Sequence[Any]) -> Any:
        """A matrix from its entries, row by row."""
        return self.flint.fmpq_mat(rows, columns, entries)

    def given(self, array: FloatArray) -> Any:
        """An array of the caller's; a vector becomes one row, further axes go into the columns."""
        rows = as_rows(array)
        return self.matrix(rows.shape[0], rows.shape[1], [self.number(value) for value in rows.flat])

    def product(self, left: Any, right: Any) -> Any:
        """The matrix product."""
        return left * right

    def stored(self, values: list[Any]) -> list[Any]:
        """Nothing is lost in storing."""
        return values

    def side(self, z: Any) -> int:
        """The sign of z."""
        return 1 if z > 0 else -1 if z < 0 else 0

    def between(self, low: float, high: float) -> Any:
        """At a kink there is no slope; the caller refuses before this number counts."""
        return self.number(high)

    def above(self, z: Any, low: Any) -> Any:
        """The larger one of z and low·z, for 0 ≤ low < 1."""
        return max(z, low * z)

    def clip(self, r: Any, limit: int) -> Any:
        """The number of [−limit, limit] nearest to r."""
        return min(max(r, self.flint.fmpq(-limit)), self.flint.fmpq(limit))

    def rows(self, matrix: Any) -> list[list[Any]]:
        """Entries, one list a row."""
        found: list[list[Any]] = matrix.tolist()
        return found
