"""How far off honest code may be: the same computation in balls of the caller's own precision.

A ball of 53 bits grows with every operation by what rounding can do there, and with everything that
rounded numbers do to later ones: its radius is the conditioning of that very entry. flint is better than
honest code in two places, which are widened here:

- It sums products with more bits than it returns. NumPy and Python's loops round n times; independent
  roundings add up like √n (Higham & Mary 2019, "A new approach to probabilistic rounding error analysis",
  SIAM J. Sci. Comput. 41), so a product gets √n·u·|A||B| more. Without, the ratio of correct code grows with
  the length of its sums: 9 radii for a layer of 2,000 inputs in float32.
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
from bpcheck.certified.balls import Balls, exactly, radii
from bpcheck.tree import FloatArray

__all__ = ["SAFETY", "Working", "bits_of"]

# How many radii a correct gradient may be off. The largest ratio seen was 0.96 in float64 and 0.86 in float32,
# for 7 styles of correct code on some 900 networks (benchmarks/certified_bound.py, several seeds): a factor of 4 to
# spare. (Radii of plain balls, as they come out of flint, would take any factor: see above.)
SAFETY = 4.0

# Targets that sum to 1 as far as they were rounded (float32, up to some tens of classes): p − y is what
# everybody writes there, though the derivative is p Σy − y.
ROUNDED_SUM = 1e-6


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
        rows = np.atleast_2d(array)
        return (
            super().given(rows)
            if self._fits(rows).all()
            else self.matrix(rows.shape[0], rows.shape[1], self._stored(rows))
        )

    def product(self, left: Any, right: Any) -> Any:
        """The matrix product and √n roundings of its terms."""
        found = left * right
        terms = left.ncols()
        with np.errstate(all="ignore"):
            spread = math.sqrt(terms) * self.u * (_magnitude(left) @ _magnitude(right))
        return found + self._widening(spread + terms * self.smallest)

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
        """As textbook code gets it: ∂/∂a = −y/a + (1 − y)/(1 − a) times a σ' of its own, both from a rounded a.

        Where a or 1 − a itself rounds to 0 such code divides by 0, and is wrong: nothing is allowed for it.
        """
        over_a, over_rest = (
            np.array([_reciprocal(float(sigmoid(sign * value)), self.u) for value in z]) for sign in (1, -1)
        )
        a, t = _sizes([sigmoid(value) for value in z]), _sizes(y)
        return self.widened(slopes, self.u * (t * (1 - a) * over_a + (1 - t) * a * over_rest).clip(0))

    def distribution_slopes(self, slopes: list[Any], p: list[Any], mass: Any) -> list[Any]:
        """As everybody writes it, p − y, where Σy is 1 but for its rounding."""
        off = abs(float(mass) - 1.0)
        return self.widened(slopes, off * _sizes(p) if off <= ROUNDED_SUM else np.zeros(len(p)))

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


def _magnitude(matrix: Any) -> FloatArray:
    return _sizes(matrix.entries()).reshape(matrix.nrows(), matrix.ncols())


def _reciprocal(value: float, u: float) -> float:
    """1/value; 0 for what rounds to 0 beside 1."""
    return 1.0 / value if value >= u / 4 else 0.0
