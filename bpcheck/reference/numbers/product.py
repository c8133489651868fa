"""A product of matrices that is rounded once, from products without any rounding.

Each factor is cut into slices of so few bits that a dot product of two slices is exact in float64; BLAS
multiplies the slices, and the exact parts are added with the errors of the additions kept. It costs as
much as ten plain products, where a forward pass is done once and read very often.

Source: Ozaki, Ogita, Oishi and Rump, *Error-free transformations of matrix multiplication by using fast
routines of matrix multiplication and its applications*, Numerical Algorithms 59, 2012 (the slices);
Ogita, Rump and Oishi, *Accurate sum and dot product*, SIAM J. Sci. Comput. 26, 2005 (the sum).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck.reference.numbers.ball import Ball, unit_roundoff
from bpcheck.tree import FloatArray

__all__ = ["affine"]

DIGITS = np.finfo(np.float64).nmant + 1
"""53 bits of a float64."""

SLICES = 4
"""Four slices hold 4·21 = 84 bits for sums of 784 terms, and 64 bits for a million."""

RANGE = 2.0**300
"""Numbers outside 2^±300 are multiplied plainly: the constants that cut them could overflow, their products
underflow."""

DROPPED = 32.0
"""What is left out, in units of K·max|a|·max|b|·2^(−SLICES·bits): slice p is at most 2·2^(−(p−1)·bits)·max, so that
each of the three pairs p + q = 6 is at most 4 of them, those beyond together less than 1, and the two rests behind the
last slice 2·2 each; one more for the radius's own rounding. 3·4 + 1 + 2·4 = 21, and the additions of ten parts, each
of relative 2^−104, stay far below the rest."""


def affine(x: Ball, weight: FloatArray, bias: FloatArray) -> Ball:
    """Compute x Wᵀ + b, rounded once, for x that is known up to its radius.

    Parameters
    ----------
    x : Ball of shape (m, K)
    weight : (n, K)
    bias : (n,)

    Returns
    -------
    Ball of shape (m, n)

    Examples
    --------
    >>> x = Ball.exact([[1.0, 1e-20, -1.0]], u=2.0**-53)
    >>> affine(x, np.ones((1, 3)), np.zeros(1)).mid
    array([[1.e-20]])
    """
    u = unit_roundoff(np.float64)
    largest = max(float(abs(array).max(initial=0.0)) for array in (x.mid, weight, bias))
    smallest = min(float(abs(array).min(initial=1.0, where=array != 0)) for array in (x.mid, weight, bias))
    if not (largest <= RANGE and smallest >= 1 / RANGE):
        return x @ weight.T + bias
    terms = x.shape[1]
    bits = int(DIGITS - np.ceil(np.log2(max(terms, 2)))) // 2
    rows, columns = _slices(x.mid, bits), _slices(weight, bits)
    high: FloatArray = np.zeros((x.shape[0], len(weight)))
    low = np.zeros_like(high)
    parts = [rows[p] @ columns[q].T for p in range(SLICES) for q in range(SLICES - p)]
    for part in [*parts, np.broadcast_to(bias, high.shape)]:
        high, error = _two_sum(high, part)
        low = low + error
    mid = high + low
    left_out = terms * abs(x.mid).max(axis=1)[:, None] * abs(weight).max(axis=1) * 2.0 ** (-SLICES * bits)
    added = (len(parts) + 2) ** 2 * u * u * (abs(x.mid) @ abs(weight).T + abs(bias))
    rad = (x.rad @ abs(weight).T) * (1 + 2 * terms * u) + u * abs(mid) + DROPPED * left_out + added
    return Ball(mid, rad, x.kink @ abs(weight).T, x.u)


def _slices(matrix: FloatArray, bits: int) -> list[FloatArray]:
    """Cut each row: the sum of the slices is the row but for a rest, each slice a few bits on one grid."""
    slices: list[FloatArray] = []
    rest: Any = np.asarray(matrix, dtype=float)
    for _ in range(SLICES):
        _, exponent = np.frexp(abs(rest).max(axis=1, initial=0.0))
        # adding 1.5·2^e pushes all bits but the first ones out, by rounding to nearest
        grid = np.ldexp(1.5, exponent + DIGITS - 1 - bits)[:, None]
        piece = (rest + grid) - grid
        rest = rest - piece
        slices.append(piece)
    return slices


def _two_sum(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The rounded sum and its exact error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)
