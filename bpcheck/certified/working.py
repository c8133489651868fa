"""How far off honest code may be: the same computation in balls of the caller's own precision.

A ball of 53 bits grows with every operation by what rounding can do there, and with everything that
rounded numbers do to later ones: its radius is the conditioning of that very entry. flint is better than
honest code in two places, which are widened here:

- It sums products with more bits than it returns. NumPy and Python's loops round every partial sum; independent
  roundings add up like the root of their squares (Higham & Mary 2019, "A new approach to probabilistic rounding
  error analysis", SIAM J. Sci. Comput. 41), so a product gets u·√(3 Σ S_k²) more, S_k being the partial sums in
  either direction, or those of an order drawn at random if they are larger. Terms of one sign get the
  √n·u·|A||B| of that paper; terms that cancel get as much less as their partial sums are smaller. Without, the
  ratio of correct code grows with the length of its sums: 9 radii for a layer of 2,000 inputs in float32. With
  √n·u·|A||B| throughout, a correct float32 gradient of 784-30-10 resolves 1e-3 to 3e-3 of a tensor's rms, with
  partial sums 2e-4 to 4e-4.
- It evaluates functions to the last bit. Textbook code writes tanh as (eᶻ − e⁻ᶻ)/(eᶻ + e⁻ᶻ), which is off
  by u for every z, however small tanh z is: a smooth function gets u·max(1, |z|) more. Without, correct code
  is 1e5 radii off at inputs of 1e-6 and any number of them where units are saturated.

All ratios are measured by benchmarks/certified_bound.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bpcheck.certified.activation import sigmoid
from bpcheck.certified.balls import Balls, as_rows, exactly, radii
from bpcheck.tree import FloatArray

__all__ = ["SAFETY", "Working", "bits_of", "rounded_sum"]

# How many radii a correct gradient may be off. The largest ratio seen was 0.95 in float64 and 0.77 in float32, for 9
# styles of correct code on some 700 networks a seed (benchmarks/certified_bound.py, seeds 0 and 1): a factor of 4 to
# spare; of convolutions 0.14 in both, for 3 styles (loops, im2col, einsum) on 120 networks a seed. (Radii of plain
# balls, as they come out of flint, would take any factor: see above.) One form is not allowed for: z σ(z) with σ as
# e^{z − softplus(z)} is off by u z², 3.2 radii at z = 56 and more farther out.
SAFETY = 4.0

# Unit roundoff of float32, in which targets are often kept whatever the network is computed in.
FLOAT32 = 2.0**-24

# Last bits of terms that do not matter for how they are rounded in a sum of some hundred of them.
SAME_BITS = 8

# Numbers that a block of partial sums holds: 8 MB.
BLOCK = 1 << 20


def bits_of(dtype: Any) -> int:
    """Bits of a floating-point number, the leading one included.

    Examples
    --------
    >>> bits_of(np.float64), bits_of(np.float32)
    (53, 24)
    """
    return int(np.finfo(dtype).nmant) + 1


class Working(Balls):
    """Balls with the precision of a dtype, widened by what correct code does worse than flint.

    Parameters
    ----------
    dtype : floating dtype
        In which the gradient was computed.

    Attributes
    ----------
    u : float
        Unit roundoff, 2^-53 for float64.
    smallest : float
        Smallest positive number, what an underflow may lose.

    Examples
    --------
    >>> numbers = Working(np.float64)
    >>> numbers.bits, numbers.u == 2.0**-53
    (53, True)
    """

    def __init__(self, dtype: Any) -> None:
        super().__init__(bits_of(dtype))
        self.dtype = np.dtype(dtype)
        self.u = 2.0**-self.bits
        self.smallest = float(np.finfo(dtype).smallest_subnormal)

    def number(self, value: Any) -> Any:
        """A number, with the error of storing it."""
        return self._stored(np.asarray(value))[0]

    def given(self, array: FloatArray) -> Any:
        """An array, with the error of storing it in this precision if it does not fit."""
        rows = as_rows(array)
        return (
            super().given(rows)
            if self._fits(rows).all()
            else self.matrix(rows.shape[0], rows.shape[1], self._stored(rows))
        )

    def product(self, left: Any, right: Any) -> Any:
        """The matrix product and the roundings of its partial sums."""
        found = left * right
        terms, shape = left.ncols(), (left.nrows(), right.ncols())
        with np.errstate(all="ignore"):
            # partial sums of the middles, and √n roundings of what they may be off
            spread = _partial_sums(_middles(left), _middles(right), self.bits)
            spread = self.u * (spread + math.sqrt(terms) * radii(found.entries()).reshape(shape))
        return found + self._widening(np.nan_to_num(spread, nan=np.inf) + terms * self.smallest)

    def evaluated(self, values: list[Any], z: list[Any]) -> list[Any]:
        """Values, each off by one rounding of the largest of 1 and |z|."""
        sizes = np.maximum(1.0, _sizes(z))
        return self.widened(values, self.u * sizes)

    def stored(self, values: list[Any]) -> list[Any]:
        """Values, each off by one rounding of its own."""
        return self.widened(values, self.u * _sizes(values))

    def widened(self, values: list[Any], spread: FloatArray) -> list[Any]:
        """Every ball larger by ``spread``, and by an underflow."""
        arb = self.flint.arb
        more = (spread + self.smallest).ravel().tolist()
        return [value + arb(0, rad) for value, rad in zip(values, more, strict=True)]

    def side(self, z: Any) -> int | None:
        """As for the exact number, but None within the safety factor of zero."""
        wide = z + self.flint.arb(0, 1) * (SAFETY * z.rad())
        return super().side(wide)

    def binary_slopes(self, slopes: list[Any], z: list[Any], y: list[Any]) -> list[Any]:
        """As correct code gets it, whatever its form of σ, and as textbook code gets it, unfused.

        Forms such as (1 + tanh ½z)/2 are off by u where a is near 0, and e^{z − softplus(z)} by u|z| where it is
        near 1. Textbook code multiplies ∂/∂a = −y/a + (1 − y)/(1 − a) by a σ' of its own, both from a rounded
        a; where a or 1 − a itself rounds to 0 it divides by 0, and is wrong: nothing is allowed for that.
        """
        over_a, over_rest = (
            np.array([_reciprocal(float(sigmoid(sign * value)), self.u) for value in z]) for sign in (1, -1)
        )
        a, t = _sizes([sigmoid(value) for value in z]), _sizes(y)
        unfused = (t * (1 - a) * over_a + (1 - t) * a * over_rest).clip(0)
        return self.widened(slopes, self.u * (unfused + np.maximum(1.0, _sizes(z))))

    def distribution_slopes(self, slopes: list[Any], p: list[Any], y: list[Any]) -> list[Any]:
        """As everybody writes it, p − y, where Σy is 1 but for its rounding; the derivative is p Σy − y."""
        targets = np.array([float(target) for target in y])
        off = abs(math.fsum(targets.tolist()) - 1.0)
        return self.widened(slopes, _sizes(p) * (off if off <= rounded_sum(targets, self.u) else 0.0))

    def _stored(self, array: Any) -> list[Any]:
        arb = self.flint.arb
        return [
            exactly(value) if fit else exactly(value) + arb(0, self.u * abs(float(value)) + self.smallest)
            for value, fit in zip(array.flat, self._fits(array).flat, strict=True)
        ]

    def _fits(self, array: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(array.astype(self.dtype) == array)

    def _widening(self, spread: FloatArray) -> Any:
        arb = self.flint.arb
        return self.matrix(spread.shape[0], spread.shape[1], [arb(0, rad) for rad in spread.ravel().tolist()])


def _sizes(entries: list[Any]) -> FloatArray:
    """|middle| + radius, as floats."""
    return abs(np.array([float(entry) for entry in entries])) + radii(entries)


def rounded_sum(y: FloatArray, u: float) -> float:
    """How far from 1 the sum of one row of targets may be by its rounding alone.

    n targets that were rounded one by one are off by u in all, if their sum was computed to normalise them by
    n u more. They count as rounded to float32 if each is a float32, whatever array holds them.

    Examples
    --------
    >>> thirds = np.full(3, 1 / 3)
    >>> rounded_sum(thirds, 2.0**-53) < 5e-16, rounded_sum(thirds.astype(np.float32), 2.0**-53) > 2e-7
    (True, True)
    """
    with np.errstate(all="ignore"):
        if (y.astype(np.float32) == y).all():
            u = max(u, FLOAT32)
    return (len(y) + 1) * u


def _middles(matrix: Any) -> FloatArray:
    entries = np.array([float(entry) for entry in matrix.entries()])
    return entries.reshape(matrix.nrows(), matrix.ncols())


def _partial_sums(a: FloatArray, b: FloatArray, bits: int) -> FloatArray:
    """√(3 r Σ_k S_k²) of the partial sums of every entry of ab, and of its terms.

    The largest of the given order, the reverse, and what an order drawn at random has on average:
    Σ_k E S_k² ≤ ⅓n (S_n² + Σ t_k²). Of r equal terms all are rounded alike, so that their roundings add up like r
    and not like √r (the clipped slopes of 20,000 examples under a Huber loss, summed up for a bias in float32).
    """
    repeats: Any = _repeats(a, bits)[:, None]
    if repeats.max() > 1.0:
        repeats = np.minimum(repeats, _repeats(b.T, bits))
    rows, columns = _tops(a, 1), _tops(b, 0)
    a, b, terms = a / rows, b / columns, a.shape[1]  # so that no square overflows
    last = np.zeros((a.shape[0], b.shape[1]))
    first, second = np.zeros_like(last), np.zeros_like(last)
    step = max(1, BLOCK // max(1, last.size))
    for start in range(0, terms, step):
        block = a.T[start : start + step, :, None] * b[start : start + step, None, :]
        sums = last + np.cumsum(block, axis=0)
        first += sums.sum(axis=0)
        second += (sums * sums).sum(axis=0)
        last = sums[-1]
    squares = (a * a) @ (b * b)
    backwards = second - 2 * last * first + (terms + 1) * last * last
    shuffled = terms * (last * last + squares) / 3
    largest = np.maximum(np.maximum(second, backwards), shuffled)
    return np.asarray(np.sqrt(3 * repeats * largest + squares) * rows * columns)


def _repeats(rows: FloatArray, bits: int) -> FloatArray:
    """How often a number of each row occurs there, on average over its numbers that are not 0.

    Numbers that differ in the last SAME_BITS bits alone count as the same: added to a sum that is larger than
    they are they are rounded alike.
    """
    fraction, exponent = np.frexp(rows)
    same = np.sort(np.ldexp(np.round(np.ldexp(fraction, bits - SAME_BITS)), exponent), axis=1)
    first = np.ones(same.shape, dtype=bool)
    first[:, 1:] = same[:, 1:] != same[:, :-1]
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, same.size))
    counts[same.ravel()[starts] == 0] = 0
    where = starts // same.shape[1]
    squares, numbers = (np.bincount(where, counts**power, minlength=len(rows)) for power in (2, 1))
    return np.asarray(np.maximum(1.0, squares / np.maximum(numbers, 1)))


def _tops(array: FloatArray, axis: int) -> FloatArray:
    top = abs(array).max(axis=axis, keepdims=True)
    return np.where(top > 0, top, 1.0)


def _reciprocal(value: float, u: float) -> float:
    """1/value; 0 for what rounds to 0 beside 1."""
    return 1.0 / value if value >= u / 4 else 0.0
