"""Numbers with the variance of their rounding error: what low precision probably does, not what it may do at worst.

A :class:`Noisy` holds the float64 value and the variance V of the error with which an implementation in a
coarser format arrives at it. The reference's own equations run on it, as they do on balls. A ball's radius
adds all roundings as if they conspired (γ_n Σ|ab| for every sum); measured errors are 10³ to 10⁶ times
smaller, because roundings have random signs and add like the steps of a random walk (Higham & Mary,
*SIAM J. Sci. Comput.* 41 (2019), A2815: √n u in place of n u). V follows that walk to first order:

- one rounding of x is off by at most u|x|, uniformly: variance at most (u²/3) x²;
- products of independent errors: V = V_a b² + a² V_b + V_a V_b;
- a sum of n terms t_k, added one after the other: the partial sum S_k is rounded each time. Its square is
  about (k/n)² S² + (k/n) Σt², a drift and a walk; summed over k that is (n/3) S² + (n/2) Σt², and the
  products themselves add Σt²: V = (u²/3) [Σt² (1 + n/2) + (n/3) S²]. Blocked and pairwise sums do better;
- σ(z): V times the squared slope, averaged over one standard deviation of z to either side.

Two precisions matter (:class:`Rounding`): kernels *store* their results in a coarse format and *compute*
inside an operation in a finer one. What the model leaves out: that operands share errors (a factor 2 in V
at most, for two of them) and that equal numbers are rounded equally (then errors add up; simulation
sees it, :mod:`bpcheck.numeric.monte_carlo`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from bpcheck.precision import FloatFormat, format_of
from bpcheck.reference.numbers.ball import count_terms
from bpcheck.tree import FloatArray

__all__ = ["ELEMENTARY_ROUNDINGS", "FLIP", "NEAR_KINK", "Noisy", "Rounding", "emerging", "flips", "through"]

# Roundings inside an elementary function or its derivative in textbook form: 1/(1 + e^−z), a(1 − a),
# s + z s (1 − s), as one number: the errors of libraries are systematic. The largest measured in float32 (largest
# of all: torch.nn.functional.gelu at z = 3.48) is 5.8 u of max(1, |z|), NumPy's textbook forms reach 2.0; 12
# roundings of variance u²/3 have a standard deviation of 2 u. See benchmarks/calibration/low_precision.py.
ELEMENTARY_ROUNDINGS = 12

# A unit within this many standard deviations of its kink may be on either side of it: as far as an error
# is called possible at all (bpcheck/check/low_precision.py).
NEAR_KINK = 6.0

# One unit on the other side is a single event, no sum of small ones: its variance must be large enough for
# the whole jump to lie within those six standard deviations, however improbable it is.
FLIP = 1.0 / NEAR_KINK**2

# Step at which slopes are averaged where z is known (almost) exactly: small against every curvature.
LEAST_STEP = 1e-6


@dataclass(frozen=True)
class Rounding:
    """How an implementation rounds.

    Attributes
    ----------
    stored : FloatFormat
        What the result of every operation is rounded to.
    computed : FloatFormat
        What products of matrices and elementary functions are computed in, inside one operation.
    added : FloatFormat
        What plain sums are added up in.
    kinks : bool
        Whether a unit near its kink may be taken to lie on either side of it.

    Examples
    --------
    >>> print(Rounding.of("bfloat16"), "|", Rounding.of("bfloat16", "bfloat16"))
    bfloat16, computed in float32 | bfloat16
    """

    stored: FloatFormat
    computed: FloatFormat
    added: FloatFormat
    kinks: bool = True

    @classmethod
    def of(cls, dtype: Any, compute: Any = None, *, sums: Any = None, kinks: bool = True) -> Rounding:
        """Storing in ``dtype``, computing in ``compute`` (None: float32 or finer), adding in ``sums`` (None: so too)."""
        stored = format_of(dtype)
        single = format_of("float32")
        finer = single if single.digits > stored.digits else stored
        computed = finer if compute is None else format_of(compute)
        return cls(stored, computed, computed if sums is None else format_of(sums), kinks)

    def __str__(self) -> str:
        apart = "" if self.stored == self.computed else f", computed in {self.computed}"
        return f"{self.stored}{apart}"

    def storing(self, value: Any) -> FloatArray:
        """Variance of rounding ``value`` once; infinite where it overflows."""
        return _once(value, self.stored)

    def summing(self, squares: FloatArray, total: FloatArray, terms: int, *, products: bool) -> FloatArray:
        """Variance of adding ``terms`` numbers, given Σt² and the sum, and of their products' own rounding."""
        walk = (float(products) + terms / 2) * squares + terms / 3 * total**2
        form = self.computed if products else self.added
        return form.roundoff**2 / 3 * walk + terms * _flushed(form) * (squares > 0)

    def elementary(self, scale: Any) -> FloatArray:
        """Variance of an elementary function whose intermediate results are of size ``scale``."""
        rounding = self.computed.roundoff**2 / 3 * np.square(scale)
        return np.asarray(ELEMENTARY_ROUNDINGS * rounding)


def _flushed(form: FloatFormat) -> float:
    """Variance of losing a number too small for the format: hardware sets float32's subnormals to zero."""
    lost = form.smallest if form.name == "float16" else form.smallest_normal
    return lost**2 / 3


def _once(value: Any, form: FloatFormat) -> FloatArray:
    variance = form.roundoff**2 / 3 * value**2 + _flushed(form) * (value != 0)
    return np.asarray(np.where(abs(value) > form.largest, np.inf, variance))


class Noisy:
    """An array of numbers with the variances of their errors.

    Attributes
    ----------
    value : float64 array
    variance : float64 array, same shape
        Of the rounding error, as the model sees it.
    rounding : Rounding

    Examples
    --------
    >>> x = Noisy.exact(np.array([[1.0, 2.0]]), Rounding.of("float32"))
    >>> product = x @ np.array([[3.0], [4.0]])
    >>> product.value, bool(0 < product.deviation[0, 0] < 1e-6)
    (array([[11.]]), True)
    """

    # A plain class: as a dataclass it would be a container of arrays to bpcheck.tree, not a leaf.
    __slots__ = ("rounding", "value", "variance")

    # NumPy must hand `array @ noisy` to Noisy.__rmatmul__ instead of looping over it.
    __array_ufunc__ = None

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: NumPy's functions (pad, where, stack …) would make an array of objects of it, and lose the errors."""
        raise TypeError(
            "a Noisy is no array: use the verbs of bpcheck.reference.numbers.verbs, or its value."
        )

    def __init__(self, value: Any, variance: Any, rounding: Rounding) -> None:
        self.value, self.rounding = np.asarray(value, dtype=float), rounding
        self.variance = np.broadcast_to(np.asarray(variance, dtype=float), self.value.shape)

    @classmethod
    def exact(cls, array: Any, rounding: Rounding) -> Noisy:
        """Numbers without error."""
        return cls(array, 0.0, rounding)

    @property
    def deviation(self) -> FloatArray:
        """Standard deviation of the error."""
        return np.asarray(np.sqrt(self.variance))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the values."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.value.ndim

    @property
    def T(self) -> Noisy:
        """Transpose."""
        return Noisy(self.value.T, self.variance.T, self.rounding)

    def _lift(self, other: Any) -> Noisy:
        return other if isinstance(other, Noisy) else Noisy.exact(other, self.rounding)

    def _stored(self, value: Any, variance: Any) -> Noisy:
        value = np.asarray(value)
        return Noisy(value, variance + self.rounding.storing(value), self.rounding)

    def noisier(self, extra: Any) -> Noisy:
        """The same numbers with more variance."""
        return Noisy(self.value, self.variance + extra, self.rounding)

    def __getitem__(self, key: Any) -> Noisy:
        return Noisy(self.value[key], self.variance[key], self.rounding)

    def __neg__(self) -> Noisy:
        return Noisy(-self.value, self.variance, self.rounding)

    def __add__(self, other: Any) -> Noisy:
        b = self._lift(other)
        return self._stored(self.value + b.value, self.variance + b.variance)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Noisy:
        return self + (-self._lift(other))

    def __rsub__(self, other: Any) -> Noisy:
        return self._lift(other) + (-self)

    def __mul__(self, other: Any) -> Noisy:
        b = self._lift(other)
        if b is self:  # one error, twice: (x + e)² = x² + 2xe + …
            return b._stored(b.value**2, 4 * b.value**2 * b.variance + 3 * b.variance**2)
        variance = self.variance * (b.value**2 + b.variance) + self.value**2 * b.variance
        return self._stored(self.value * b.value, variance)

    __rmul__ = __mul__

    def __truediv__(self, number: float) -> Noisy:
        # some divide, some multiply by a rounded 1/n: two roundings
        value = self.value / number
        return self._stored(value, self.variance / number**2 + self.rounding.storing(value))

    def bilinear(self, other: Any, product: Callable[[FloatArray, FloatArray], Any], terms: int) -> Noisy:
        """Sums of ``terms`` products: ``product(a, b)`` says of which entries."""
        b = self._lift(other)
        value = product(self.value, b.value)
        a_squared, b_squared = self.value**2, b.value**2
        squares = product(a_squared, b_squared)
        variance = product(self.variance, b_squared + b.variance) + product(a_squared, b.variance)
        own = self.rounding.summing(squares, value, terms, products=True)
        return self._stored(value, variance + own)

    def __matmul__(self, other: Any) -> Noisy:
        return self.bilinear(other, np.matmul, self.shape[-1])

    def __rmatmul__(self, other: Any) -> Noisy:
        return self._lift(other) @ self

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Noisy:
        """Sum along one axis or several (all for None), one term after the other."""
        value = self.value.sum(axis=axis)
        terms = count_terms(self.shape, axis)
        own = self.rounding.summing((self.value**2).sum(axis=axis), value, terms, products=False)
        return self._stored(value, self.variance.sum(axis=axis) + own)


def through(function: Any, z: Noisy) -> FloatArray:
    """Variance of ``function(z)`` that the error of z brings: squared mean slope over z ± √V, times V.

    Parameters
    ----------
    function : callable
        Elementwise, of a float64 array.
    z : Noisy

    Returns
    -------
    float64 array

    Examples
    --------
    >>> z = Noisy(np.array([0.5]), 1e-8, Rounding.of("float32"))
    >>> print(f"{through(np.square, z)[0]:.3g}")  # (2 z)² V
    1e-08
    """
    step = np.maximum(z.deviation, LEAST_STEP * np.maximum(1.0, abs(z.value)))
    step = np.where(np.isfinite(step), step, 1.0)
    slope = (function(z.value + step) - function(z.value - step)) / (2 * step)
    return np.asarray(slope**2 * z.variance)


def flips(z: Noisy) -> FloatArray:
    """Variance of the indicator [z > 0] where rounding may change it, 0 elsewhere.

    A unit at |z| = t standard deviations is on the wrong side with probability Φ(−t): the variance of a
    0/1 error is that probability.
    """
    if not z.rounding.kinks:
        return np.zeros(z.shape)
    distance = _distance(z)
    return np.asarray(np.where(distance <= NEAR_KINK, np.maximum(ndtr(-distance), FLIP), 0.0))


def emerging(z: Noisy) -> FloatArray:
    """Variance of max(z, 0) that covers a unit below zero which rounding lifts above it, where it may.

    At t standard deviations from zero an error of six of them shows by 6 − t: a sixth of that, squared.
    """
    if not z.rounding.kinks:
        return np.zeros(z.shape)
    return np.asarray(z.variance * np.maximum(1.0 - _distance(z) / NEAR_KINK, 0.0) ** 2)


def _distance(z: Noisy) -> FloatArray:
    """|z| in standard deviations."""
    known = np.where(z.value == 0, 0.0, np.inf)
    return np.asarray(
        np.where(z.variance > 0, abs(z.value) / np.maximum(z.deviation, np.finfo(float).tiny), known)
    )
