"""Balls: numbers that carry a bound on their own rounding error (midpoint-radius arithmetic).

A :class:`Ball` stands for every value that a correct implementation may have computed: ``mid`` is
ours, ``rad`` bounds the distance of any of them from the exact value, whatever the order of sums
(Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §3.1: |fl(xᵀy) − xᵀy| ≤ γ_n |x|ᵀ|y|;
ibid. §2.3: a product that underflows is off by an absolute η besides). ``mid`` lies within ``rad`` of the
exact value too, so two factors a', b' and their middles may err in opposite directions, and
|a'b' − ab| ≤ |mid_a| rad_b + rad_a |mid_b| + 3 rad_a rad_b.
``kink`` is kept apart from ``rad``: it bounds what a different, equally valid choice at a kink
(ReLU'(0) anywhere in [0, 1]) may change. Running the reference's own equations on balls gives the
error bound of the analytic witness.

The radius's own rounding, a relative n·u, is far inside EXTRA_ROUNDINGS.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bpcheck.precision import format_of
from bpcheck.tree import FloatArray

__all__ = ["EVALUATION_ULPS", "EXTRA_ROUNDINGS", "Ball", "count_terms", "gamma", "underflow", "unit_roundoff"]

# Operations that an implementation may do besides the sum of products itself: dividing by the batch
# size, scaling a penalty, storing to another buffer, a factor 2 and a factor ½. Each rounds once.
EXTRA_ROUNDINGS = 6

# An elementary function and its derivative in their textbook forms: 1 − tanh², a(1 − a), z Φ(z) + z φ(z):
# at most four elementary functions, each within 1 unit in the last place (2u) in the libraries in use.
# Measured in benchmarks/rounding_bound.py: at most 2.0 u of max(1, |z|) for the five smooth ones.
EVALUATION_ULPS = 8.0


def unit_roundoff(dtype: Any) -> float:
    """u, half the distance from 1 to the next number: 1.1e-16 for float64.

    Examples
    --------
    >>> unit_roundoff(np.float64) == 2.0**-53
    True
    """
    return format_of(dtype).roundoff


# Smallest positive numbers (subnormal) by unit roundoff: bfloat16, float16, float32, float64.
_SMALLEST = {2.0**-8: 2.0**-133, 2.0**-11: 2.0**-24, 2.0**-24: 2.0**-149, 2.0**-53: 2.0**-1074}

# The radius is computed in float64, where up to eight of its own terms may underflow.
_RADIUS_UNDERFLOW = 8 * 2.0**-1074


def underflow(u: float) -> float:
    """η, what one product that underflows may be off by, for the format with unit roundoff u.

    Examples
    --------
    >>> underflow(2.0**-24) == np.finfo(np.float32).smallest_subnormal
    np.True_
    """
    return _SMALLEST.get(u, 0.0) + _RADIUS_UNDERFLOW


def gamma(n: int, u: float) -> float:
    """γ_n = n u / (1 − n u), the bound on n successive roundings (Higham §3.1); infinite from n u ≥ 1."""
    return n * u / (1 - n * u) if n * u < 1 else float("inf")


def count_terms(shape: tuple[int, ...], axis: int | tuple[int, ...] | None) -> int:
    """How many numbers a sum along ``axis`` adds up.

    Examples
    --------
    >>> count_terms((2, 3, 4), (0, -1)), count_terms((2, 3), None)
    (8, 6)
    """
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return math.prod(shape[one] for one in axes)


class Ball:
    """An array of numbers with error bounds.

    Attributes
    ----------
    mid : float64 array
    rad : float64 array, same shape
        Bound on rounding error.
    kink : float64 array, same shape
        Bound on the effect of choices at kinks.
    u : float
        Unit roundoff of the implementation that is bounded.

    Examples
    --------
    >>> x = Ball.exact(np.array([[1.0, 2.0]]), u=2.0**-53)
    >>> product = x @ np.array([[3.0], [4.0]])
    >>> product.mid, bool(product.rad[0, 0] < 1e-13)
    (array([[11.]]), True)
    """

    # A plain class: as a dataclass it would be a container of arrays to bpcheck.tree, not a leaf.
    __slots__ = ("kink", "mid", "rad", "u")

    def __init__(self, mid: FloatArray, rad: FloatArray, kink: FloatArray, u: float) -> None:
        self.mid, self.rad, self.kink, self.u = mid, rad, kink, u

    # NumPy must hand `array @ ball` to Ball.__rmatmul__ instead of looping over it.
    __array_ufunc__ = None

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: NumPy's functions (pad, where, stack …) would make an array of objects of it, and lose the bounds."""
        raise TypeError("a Ball is no array: use the verbs of bpcheck.reference.numbers.verbs, or its mid.")

    @classmethod
    def exact(cls, array: Any, u: float) -> Ball:
        """A ball of radius zero."""
        mid = np.asarray(array, dtype=float)
        return cls(mid, np.zeros_like(mid), np.zeros_like(mid), u)

    def _lift(self, other: Any) -> Ball:
        return other if isinstance(other, Ball) else Ball.exact(other, self.u)

    def _with(self, mid: Any, rad: Any, kink: Any) -> Ball:
        return Ball(np.asarray(mid), np.asarray(rad), np.asarray(kink), self.u)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the midpoints."""
        return self.mid.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.mid.ndim

    @property
    def T(self) -> Ball:
        """Transpose."""
        return self._with(self.mid.T, self.rad.T, self.kink.T)

    def __getitem__(self, key: Any) -> Ball:
        return self._with(self.mid[key], self.rad[key], self.kink[key])

    def widened(self, extra: Any) -> Ball:
        """The same ball with a larger rounding radius."""
        return self._with(self.mid, self.rad + extra, self.kink)

    def __neg__(self) -> Ball:
        return self._with(-self.mid, self.rad, self.kink)

    def __add__(self, other: Any) -> Ball:
        b = self._lift(other)
        mid = self.mid + b.mid
        return self._with(mid, self.rad + b.rad + self.u * abs(mid), self.kink + b.kink)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Ball:
        return self + (-self._lift(other))

    def __rsub__(self, other: Any) -> Ball:
        return self._lift(other) + (-self)

    def __mul__(self, other: Any) -> Ball:
        b = self._lift(other)
        mid, a_mag, b_mag = self.mid * b.mid, abs(self.mid), abs(b.mid)
        kink = a_mag * b.kink + self.kink * (b_mag + b.kink)
        rad = a_mag * b.rad + self.rad * (b_mag + 3 * b.rad + b.kink) + self.kink * b.rad + self.u * abs(mid)
        # a product with an exact 0 cannot underflow
        return self._with(mid, rad + underflow(self.u) * ((a_mag > 0) & (b_mag > 0)), kink)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Ball:
        if isinstance(other, Ball):
            return self._over(other)
        number = other
        mid = self.mid / number
        rad = self.rad / abs(number) + self.u * abs(mid) + underflow(self.u) * (self.mid != 0)
        return self._with(mid, rad, self.kink / abs(number))

    def _over(self, b: Ball) -> Ball:
        """|a'/b' − a/b| ≤ (r_a + |a/b| r_b) / |b'|; |a| ≤ |mid_a| + r_a, |b| ≥ |mid_b| − r_b, |b'| ≥ |mid_b| − 2r_b."""
        with np.errstate(all="ignore"):
            mid = self.mid / b.mid
            largest = (abs(self.mid) + self.rad) / np.maximum(abs(b.mid) - b.rad, 0.0)
            rad = (self.rad + largest * b.rad) / np.maximum(abs(b.mid) - 2 * b.rad, 0.0)
        rad = np.where(np.isnan(rad), np.inf, rad) + self.u * abs(mid) + underflow(self.u) * (self.mid != 0)
        kinked = np.where((self.kink > 0) | (b.kink > 0), np.inf, 0.0)  # no caller divides what has a kink
        return self._with(mid, rad, kinked + np.zeros_like(mid))

    def sqrt(self) -> Ball:
        """√: |√v' − √v| is at most |v' − v| / (√v' + √v), and at most √|v' − v|."""
        with np.errstate(all="ignore"):
            mid = np.sqrt(self.mid)
            below = np.sqrt(np.maximum(self.mid - 2 * self.rad, 0.0)) + np.sqrt(
                np.maximum(self.mid - self.rad, 0.0)
            )
            rad = np.fmin(self.rad / below, np.sqrt(self.rad))
        return self._with(mid, rad + self.u * abs(mid), np.where(self.kink > 0, np.inf, 0.0))

    def maximum(self, other: Any) -> Ball:
        """The larger one, entry by entry."""
        b = self._lift(other)
        return self._with(
            np.maximum(self.mid, b.mid), np.maximum(self.rad, b.rad), np.maximum(self.kink, b.kink)
        )

    def bilinear(self, other: Any, product: Callable[[Any, Any], Any], terms: int) -> Ball:
        """Sums of ``terms`` products in any order: ``product(a, b)`` says of which entries."""
        b = self._lift(other)
        mid, a_mag, b_mag = product(self.mid, b.mid), abs(self.mid), abs(b.mid)
        kink = product(a_mag, b.kink) + product(self.kink, b_mag + b.kink)
        rad = (
            product(a_mag, b.rad) + product(self.rad, b_mag + 3 * b.rad + b.kink) + product(self.kink, b.rad)
        )
        roundings = terms + EXTRA_ROUNDINGS
        lost = roundings * underflow(self.u) * product(a_mag > 0, b_mag > 0)
        return self._with(mid, rad + gamma(roundings, self.u) * product(a_mag, b_mag) + lost, kink)

    def __matmul__(self, other: Any) -> Ball:
        return self.bilinear(other, np.matmul, self.shape[-1])

    def __rmatmul__(self, other: Any) -> Ball:
        return self._lift(other) @ self

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Ball:
        """Sum along one axis or several (all for None), in any order."""
        terms = count_terms(self.shape, axis) + EXTRA_ROUNDINGS
        rad = self.rad.sum(axis=axis) + gamma(terms, self.u) * abs(self.mid).sum(axis=axis)
        return self._with(self.mid.sum(axis=axis), rad, self.kink.sum(axis=axis))
