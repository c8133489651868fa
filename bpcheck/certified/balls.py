"""Matrices of balls: every number is a middle and a radius, and the exact value lies between."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from bpcheck.certified.engine import flint, precision
from bpcheck.tree import FloatArray

__all__ = ["Balls", "as_rows", "balls", "exactly", "nearest", "radii"]

# numpy.float64 and everything shorter is a Python float without rounding; x86's longdouble is not.
FLOAT_BYTES = 8


class Balls:
    """Ball arithmetic at a precision; what :mod:`bpcheck.certified.reverse` computes in.

    Parameters
    ----------
    bits : int
        Bits of every middle. The radius of a result covers all rounding, whatever ``bits`` is.

    Examples
    --------
    >>> numbers = Balls(128)
    >>> with numbers.working():
    ...     third = numbers.number(1.0) / 3
    ...     print((3 * third).contains(1), float(third.rad()) < 1e-38)
    True True
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.flint = flint()

    def working(self) -> AbstractContextManager[None]:
        """Where the arithmetic has to happen: the precision of flint is global."""
        return precision(self.bits)

    def number(self, value: Any) -> Any:
        """A float of any width, or a whole number, as it is."""
        return exactly(value)

    def matrix(self, rows: int, columns: int, entries: Sequence[Any]) -> Any:
        """A matrix from its entries, row by row."""
        return self.flint.arb_mat(rows, columns, entries)

    def given(self, array: FloatArray) -> Any:
        """An array of the caller's, without rounding; a vector becomes one row, further axes go into the columns."""
        rows = as_rows(array)
        return self.matrix(rows.shape[0], rows.shape[1], _listed(rows))

    def product(self, left: Any, right: Any) -> Any:
        """The matrix product."""
        return left * right

    def evaluated(self, values: list[Any], z: list[Any]) -> list[Any]:
        """Values of a smooth function at ``z``; a model of rounding widens them."""
        return values

    def stored(self, values: list[Any]) -> list[Any]:
        """Results of a few elementary operations; a model of rounding widens them."""
        return values

    def side(self, z: Any) -> int | None:
        """1 or −1 for a number that is certainly on one side of zero, 0 for zero, None if nobody knows."""
        return 1 if z > 0 else -1 if z < 0 else 0 if z.is_zero() else None

    def between(self, low: float, high: float) -> Any:
        """A ball that holds everything from ``low`` to ``high``."""
        return exactly(low).union(exactly(high))

    def above(self, z: Any, low: Any) -> Any:
        """The larger one of z and low·z, for 0 ≤ low < 1, also where the sign of z is not known."""
        return z.max(low * z)

    def clip(self, r: Any, limit: int) -> Any:
        """The number of [−limit, limit] nearest to r."""
        return r.max(-limit).min(limit)

    def binary_slopes(self, slopes: list[Any], z: list[Any], y: list[Any]) -> list[Any]:
        """σ(z) − y of one example; a model of rounding widens it."""
        return slopes

    def distribution_slopes(self, slopes: list[Any], p: list[Any], y: list[Any]) -> list[Any]:
        """The slopes p Σy − y of one example; a model of rounding widens them."""
        return slopes

    def rows(self, matrix: Any) -> list[list[Any]]:
        """Entries, one list a row."""
        found: list[list[Any]] = matrix.tolist()
        return found


def as_rows(array: FloatArray) -> FloatArray:
    """An array as a matrix: a vector becomes one row, further axes go into the columns.

    Examples
    --------
    >>> as_rows(np.zeros((2, 3, 4))).shape, as_rows(np.zeros(5)).shape
    ((2, 12), (1, 5))
    """
    return array.reshape(1 if array.ndim < 2 else len(array), -1)


def exactly(value: Any) -> Any:
    """A ball of radius zero around a number of the caller's."""
    arb = flint().arb
    if isinstance(value, np.floating) and value.dtype.itemsize > FLOAT_BYTES:
        numerator, denominator = value.as_integer_ratio()
        return arb((int(numerator), 1 - int(denominator).bit_length()))
    return arb(int(value)) if isinstance(value, int | np.integer) else arb(float(value))


def _listed(array: Any) -> list[Any]:
    """Entries as numbers that arb takes over exactly."""
    if array.dtype.kind == "f" and array.dtype.itemsize > FLOAT_BYTES:
        return [exactly(value) for value in array.flat]
    found: list[Any] = array.ravel().tolist()  # whole numbers stay whole
    return found


def balls(array: Any) -> list[Any]:
    """Every entry of an array of floats or whole numbers, as a ball of radius zero.

    Examples
    --------
    >>> balls(np.array([[1, 2]]))
    [1.00000000000000, 2.00000000000000]
    """
    arb = flint().arb
    return [arb(value) for value in _listed(array)]


def radii(entries: Sequence[Any]) -> FloatArray:
    """Radius of every ball, rounded up.

    Examples
    --------
    >>> radii([flint().arb(1, 0.5), flint().arb(2)]).tolist()
    [0.5000000009313226, 0.0]
    """
    rad = np.array([float(entry.rad()) for entry in entries])
    # A radius has 30 bits, which a double holds; only among the smallest doubles might it be rounded down.
    for index in np.flatnonzero(rad < np.finfo(float).tiny).tolist():
        rad[index] = 0.0 if entries[index].is_exact() else np.nextafter(rad[index], np.inf)
    return rad


def nearest(entries: Sequence[Any]) -> tuple[FloatArray, FloatArray]:
    """The double nearest to each middle, and a bound on its distance from the exact value.

    Infinite where a middle is beyond the range of doubles.

    Examples
    --------
    >>> values, errors = nearest([flint().arb(2), flint().arb(0.1)])
    >>> values.tolist(), errors.tolist()
    ([2.0, 0.1], [0.0, 0.0])
    """
    values = np.array([float(entry) for entry in entries]) + 0.0  # −0.0 becomes 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        # to nearest: off by half a unit in the last place, and half the smallest double would underflow
        errors = np.nextafter(radii(entries) + 0.5 * np.spacing(abs(values)), np.inf)
    exact = [bool(entry == value) for entry, value in zip(entries, values.tolist(), strict=True)]
    errors = np.where(exact, 0.0, errors)
    return values, np.where(np.isfinite(values) & np.isfinite(errors), errors, np.inf)
