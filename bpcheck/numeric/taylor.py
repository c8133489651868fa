r"""The Taylor test: how fast remainders die with the step, above the noise and nowhere else.

.. math:: R_1(h) = |φ(h) − φ(0)| = O(h), \qquad R_2(h) = |φ(h) − φ(0) − h g| = O(h²) \text{ if } g = φ'(0).

With a wrong g, off by e, R₂ = |h e + h² φ''/2 + …| falls like h² as long as h φ'' is larger than e, and like h
below. So a slope of 2 speaks for errors larger than R₂/h at the finest usable step, and for no smaller one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bpcheck.errors import InputError
from bpcheck.numeric.ladder import FIRST_STEP
from bpcheck.numeric.noise import UNIT_ROUNDOFF, measure_noise
from bpcheck.numeric.scheme import Phi
from bpcheck.tree import FloatArray, freeze

__all__ = ["Order", "Remainders", "remainders"]

RUNGS = 14
"""Of the default steps, a factor of 4 apart: from 0.29 down to 4e-9, where h² is the roundoff of float64."""

FACTOR = 4.0
"""From one default step to the next."""

ABOVE_NOISE = 10.0
"""A remainder counts for an order if it is so many standard deviations of its noise: its logarithm is then
known to 0.1."""

FITTED = 4
"""The order is fitted to so many of the finest usable rungs: the coarse ones know higher powers of h."""

CONFIDENCE = 2.0
"""Standard deviations in the uncertainty of an order: 95 % for noise that is normal."""

CLAIM_ROUNDINGS = 4.0
"""⟨g, v⟩ is a sum that was rounded: so many units of u·|g| are not counted against it."""


@dataclass(frozen=True)
class Order:
    """An order of convergence.

    Attributes
    ----------
    value : float
        Slope of log R against log h; NaN if fewer than two rungs rise above the noise.
    uncertainty : float
        From noise, and from how much the slope still changes from rung to rung.
    rungs : int
        How many rungs it was fitted to.

    Examples
    --------
    >>> print(Order(2.0, 0.01, 4))
    2.00 ± 0.01
    """

    value: float
    uncertainty: float
    rungs: int

    def __str__(self) -> str:
        return f"{self.value:.2f} ± {self.uncertainty:.2f}" if self.rungs >= 2 else "not known"


@dataclass(frozen=True, eq=False)
class Remainders:
    """Taylor remainders of a function along a line.

    Attributes
    ----------
    steps : (rungs,) array
        h, the largest first.
    first, second : (rungs,) arrays
        |φ(h) − φ(0)| and |φ(h) − φ(0) − h g|; NaN where φ has no value.
    floor : (rungs,) array
        Standard deviation of the noise in ``second``.
    first_order, second_order : Order
    slope : float
        g, the derivative that is claimed.
    visible_error : float
        About the smallest error of ``slope`` that could show in the orders: R₂/h at the finest usable step.
        A smaller one leaves the picture as it is. Where the second order is 1, it is the error itself.
    noise : float
        Standard deviation of the noise of φ.
    evaluations : int
        Calls of φ.
    """

    steps: FloatArray
    first: FloatArray
    second: FloatArray
    floor: FloatArray
    first_order: Order
    second_order: Order
    slope: float
    visible_error: float
    noise: float
    evaluations: int

    @property
    def visible_relative_error(self) -> float:
        """``visible_error`` in units of the slope."""
        return self.visible_error / abs(self.slope) if self.slope else math.inf

    @property
    def summary(self) -> str:
        """What the orders say, and what they cannot say."""
        order = self.second_order
        blind = (
            f"An error of the slope below about {self.visible_error:.1e} ({self.visible_relative_error:.1e} of it) "
            "would not show"
            if self.slope
            else f"An error of the slope below about {self.visible_error:.1e} would not show"
        )
        limits = f"{blind}, nor would errors that cancel along this one direction."
        if order.rungs < 2:
            usable = int(np.count_nonzero(self.usable))
            return f"Only {usable} of {len(self.steps)} remainders rise above the noise: no order can be told. {limits}"
        falls = f"The second remainder falls like h^({order})"
        if abs(order.value - 2.0) <= max(order.uncertainty, ORDER_TOLERANCE):
            return f"{falls}, as it does for a right gradient. {limits}"
        if abs(order.value - 1.0) <= max(order.uncertainty, ORDER_TOLERANCE):
            error = self.visible_error
            share = f" ({error / abs(self.slope):.1e} of it)" if self.slope else ""
            return f"{falls}, not like h²: the slope is off by about {error:.1e}{share} along this direction."
        return f"{falls}, which is neither h² nor h: a kink nearby, or too few rungs. {limits}"

    @property
    def usable(self) -> FloatArray:
        """Which rungs of ``second`` rise above the noise, as booleans."""
        return np.asarray(self.second > ABOVE_NOISE * self.floor)

    def __str__(self) -> str:
        rows = [f"{'h':>9}  {'|φ(h) − φ(0)|':>14}  {'|φ(h) − φ(0) − h g|':>20}  {'noise':>8}"]
        for h, first, second, floor in zip(self.steps, self.first, self.second, self.floor, strict=True):
            mark = "" if second > ABOVE_NOISE * floor else "  in the noise"
            rows.append(f"{h:9.1e}  {first:14.3e}  {second:20.3e}  {floor:8.1e}{mark}")
        rows.append(f"orders: {self.first_order} and {self.second_order}")
        return "\n".join([*rows, self.summary])


ORDER_TOLERANCE = 0.1
"""Orders within this of 1 or 2 are called so, though noise alone would explain less: at R₂ = h e + h² φ''/2
the slope between two rungs is 1.9 where h e is a tenth of the remainder, and the sentence says so."""


def remainders(
    phi: Phi,
    slope: float,
    *,
    steps: Sequence[float] | None = None,
    roundoff: float = UNIT_ROUNDOFF,
    noise: float | None = None,
) -> Remainders:
    """Measure the Taylor remainders of ``phi`` with a claimed slope.

    Parameters
    ----------
    phi : callable
        φ(t) = f(θ + t·v), scaled so that t = 1 is a relative step of about 1.
    slope : float
        What φ'(0) is claimed to be.
    steps : sequence of float, optional
        14 steps from 0.29 down, a factor of 4 apart, if not given.
    roundoff : float
        u of the arithmetic in which ``phi`` computes.
    noise : float, optional
        Standard deviation of the noise of φ; measured if not given.

    Returns
    -------
    Remainders

    Raises
    ------
    InputError
        If φ(0) or the slope is not finite, or a step makes no sense.

    Notes
    -----
    Source: the Taylor test of adjoint models, as in Farrell, Ham, Funke and Rognes, *Automated derivation
    of the adjoint of high-level transient finite element programs*, SIAM J. Sci. Comput. 35, 2013; noise by Moré
    and Wild (2011).

    Examples
    --------
    >>> found = remainders(np.exp, 1.0)
    >>> round(found.first_order.value, 1), round(found.second_order.value, 1)
    (1.0, 2.0)
    >>> round(remainders(np.exp, 1.01).second_order.value, 1)
    1.0
    """
    h = _steps(steps)
    if not math.isfinite(slope):
        raise InputError(f"the slope claimed is {slope}: a finite one is needed.")
    count = 0

    def counted(t: float) -> float:
        nonlocal count
        count += 1
        return float(phi(t))

    with np.errstate(all="ignore"):
        center = counted(0.0)
        if not math.isfinite(center):
            raise InputError("the function is not finite at the parameters themselves (step 0).")
        sigma = measure_noise(counted, roundoff=roundoff, center=center) if noise is None else float(noise)
        values = np.array([counted(float(step)) for step in h])
        first = abs(values - center)
        second = abs((values - center) - h * slope)
        # each value is rounded, φ(0) too, and so is h·g
        own = np.maximum(sigma, roundoff * np.maximum(abs(values), abs(center)))
        floor = np.hypot(np.hypot(own, sigma), CLAIM_ROUNDINGS * roundoff * h * abs(slope))
        visible = _visible(h, second, ABOVE_NOISE * floor)
    return Remainders(
        steps=freeze(h),
        first=freeze(np.where(np.isfinite(first), first, math.nan)),
        second=freeze(np.where(np.isfinite(second), second, math.nan)),
        floor=freeze(np.where(np.isfinite(values), floor, math.nan)),
        first_order=_order(h, first, np.hypot(own, sigma)),
        second_order=_order(h, second, floor),
        slope=float(slope),
        visible_error=visible,
        noise=sigma,
        evaluations=count,
    )


def _visible(h: FloatArray, second: FloatArray, floor: FloatArray) -> float:
    """R₂/h at the finest usable step; where none is, the smallest that noise would have let through.

    Not the smallest of all R₂/h: at one step h e and h² φ''/2 may happen to cancel.
    """
    usable = np.flatnonzero(second > floor)
    if len(usable):
        return float(second[usable[-1]] / h[usable[-1]])
    return float(np.nanmin(floor / h, initial=math.inf))


def _steps(steps: Sequence[float] | None) -> FloatArray:
    if steps is None:
        return FIRST_STEP / FACTOR ** np.arange(RUNGS)
    given = np.asarray(steps, dtype=float)
    if given.ndim != 1 or len(given) < 2 or not (np.isfinite(given).all() and (given > 0.0).all()):
        raise InputError(
            f"steps is {steps!r}; give two or more positive numbers, for example [1e-1, 1e-2, 1e-3]."
        )
    if len(np.unique(given)) != len(given):
        raise InputError("steps holds a number twice: every step gives one point.")
    return np.asarray(np.sort(given)[::-1])


def _order(h: FloatArray, remainder: FloatArray, noise: FloatArray) -> Order:
    """Slope of log R against log h over the finest rungs that rise above the noise."""
    with np.errstate(invalid="ignore"):
        usable = np.flatnonzero((remainder > ABOVE_NOISE * noise) & np.isfinite(remainder))[-FITTED:]
    if len(usable) < 2:
        return Order(math.nan, math.inf, len(usable))
    x, y = np.log(h[usable]), np.log(remainder[usable])
    sigma = noise[usable] / remainder[usable]
    weight = 1.0 / np.maximum(sigma, UNIT_ROUNDOFF) ** 2
    weight /= weight.max()
    # no rung alone decides, however sure: what bends is not noise
    weight = np.maximum(weight, 1.0 / len(usable))
    centered = x - np.average(x, weights=weight)
    factors = weight * centered / np.sum(weight * centered**2)
    value = float(factors @ y)
    doubt = CONFIDENCE * float(np.sqrt(np.sum((factors * sigma) ** 2)))
    # the slope still changes: by as much from one pair of rungs to the next, and again from there to h = 0
    pairs = (np.diff(y) / np.diff(x))[-2:]
    return Order(value, doubt + float(np.ptp(pairs)), len(usable))
