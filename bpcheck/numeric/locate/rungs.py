"""Short ladders for a function whose kind is known: six evaluations, or two, instead of some fifteen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.numeric.richardson import weights
from bpcheck.numeric.scheme import Phi
from bpcheck.result import Estimate

__all__ = ["Rungs", "first_of_three", "one_rung", "pair_error", "three_rungs"]

CONFIDENCE = 6.0
"""Standard deviations of noise in a bar: two more than numeric/central.py has, for three rungs see less
of the truncation. Nothing is called wrong by this bar alone."""

HUGE = 1e300
"""Values beyond count as infinite: their differences would overflow."""

SMOOTH = (2.5, 6.0)
"""Ratios of successive differences that an h² error, whose ratio is 4, may have with h⁴ and noise in it."""

SIMILAR = 64.0
"""The third derivative along another direction of a tensor is at most so many times what it was along those
seen: it is of random sign and may have been near 0. With 8 and one direction seen 3 % of the bars failed, by up
to 441 times; with 64 and the largest seen 1 of 10,400 with tanh and 8 of 10,400 with ReLU, which only costs a
decoding (benchmarks/speed/locate.py --coverage). The bar grows with the cube root of this."""

BALANCE = 1.0 / 5.0
"""The truncation that a bar of three rungs sees shrinks with h⁴, its noise grows with 1/h: they meet at
h·(noise/truncation)^(1/5)."""

LARGEST_CHANGE = (1.0 / 16.0, 1.25)
"""The step is not changed by more than this at a time: one direction may be odd, and too wide a step costs
more (h⁴) than too narrow a one (1/h)."""

RAGGED = 4.0
"""Where kinks, not h², make the rungs differ, the finest one is off by up to so many of their differences: the
number of kinks within h grows with h and their signs are random, so that an error decays with √h only."""

LARGEST_PAIR = 0.25
"""A pair is not wider than this, a quarter of a relative step."""


@dataclass(frozen=True)
class Rungs:
    """An estimate from three rungs, and what they say about the steps for the next direction.

    Attributes
    ----------
    estimate : Estimate
    next_step : float
        Where truncation and noise would balance.
    curvature : float or None
        c of the error c·h² of a central difference; None where the rungs do not look like that.
    """

    estimate: Estimate
    next_step: float
    curvature: float | None


def first_of_three(estimate: Estimate) -> float:
    """The coarsest of three rungs that end where a full ladder found its best entry."""
    column = max(0, estimate.order // 2 - 1)
    return estimate.step * 2.0 ** min(column, 2)


def three_rungs(phi: Phi, step: float, *, noise: float, roundoff: float) -> Rungs:
    """Differentiate ``phi`` at 0 from the steps h, h/2 and h/4.

    Parameters
    ----------
    phi : callable
    step : float
        h.
    noise : float
        σ of φ's values.
    roundoff : float
        u of the arithmetic in which φ computes.

    Returns
    -------
    Rungs
        With an infinite error where φ has no value at one of the steps.

    Notes
    -----
    Source: Richardson's table of three rungs. An entry pays for the differences to its neighbours in
    row and column, as in :class:`~bpcheck.numeric.central.Central`, and for the jump of the slope,
    (φ(h) + φ(−h) − 2φ(0)) / h without its powers h and h³. A kink at θ puts a difference off by half its
    jump, one closer than the rungs by less, but then its jump looks smaller too: hence all of it. φ(0) is
    asked for as well.

    Examples
    --------
    >>> estimate = three_rungs(np.exp, 0.01, noise=1e-16, roundoff=2.0**-53).estimate
    >>> bool(abs(estimate.value - 1.0) <= estimate.error < 1e-10)
    True
    """
    h = step * np.array([1.0, 0.5, 0.25])
    up = np.array([phi(float(t)) for t in h])
    down = np.array([phi(float(-t)) for t in h])
    if not (abs(up) < HUGE).all() or not (abs(down) < HUGE).all():
        return Rungs(Estimate(math.nan, math.inf, 0.0, step, 2, 6, regime="rough"), step, None)
    slope = (up - down) / (2.0 * h)
    center = phi(0.0)
    jump = abs(float(((up - center) + (down - center)) / h @ weights(2, 1)[2]))
    sd = _slope_noise(h, slope, np.maximum(noise, roundoff * np.maximum(abs(up), abs(down))), roundoff)
    w1, w2 = weights(2, 2)[1:]
    once = np.array([slope[:2] @ w1, slope[1:] @ w1])
    twice = float(slope @ w2)
    first, last = abs(np.diff(slope))
    in_row, in_column = abs(once[1] - twice), abs(once[1] - once[0])
    unseen = CONFIDENCE * np.hypot(sd[:-1], sd[1:])
    if last > unseen[1]:
        smooth = SMOOTH[0] * last <= first <= SMOOTH[1] * last
    else:
        smooth = first <= max(unseen[0], SMOOTH[1] * (last + unseen[1]))
    entries = [(slope[2], RAGGED * max(first, last), sd[2], 2)]
    if smooth:
        entries += [
            (slope[2], max(last, abs(slope[2] - once[1])), sd[2], 2),
            (once[1], max(in_column, in_row, last / 4.0), np.hypot.reduce(sd[1:] * w1), 4),
            (twice, max(in_row, in_column / 4.0), np.hypot.reduce(sd * w2), 6),
        ]
    value, truncation, deviation, order = min(entries, key=lambda entry: entry[1] + CONFIDENCE * entry[2])
    truncation = max(truncation, jump)
    rounding = CONFIDENCE * float(deviation)
    estimate = Estimate(float(value), float(truncation), rounding, float(h[2]), order, 6)
    balance = (rounding / float(truncation)) ** BALANCE if truncation > 0.0 else LARGEST_CHANGE[1]
    change = min(max(balance, LARGEST_CHANGE[0]), LARGEST_CHANGE[1])
    # slope(h) − slope(h/2) = ¾ c h²
    curvature = float(min((first + unseen[0]) / h[0] ** 2, (last + unseen[1]) / h[1] ** 2)) / 0.75
    return Rungs(estimate, change * step, curvature if smooth else None)


def one_rung(phi: Phi, curvature: float, *, noise: float, roundoff: float) -> Estimate:
    """One central difference, its truncation foretold from another direction: two evaluations.

    Parameters
    ----------
    phi : callable
    curvature : float
        c of :class:`Rungs`.
    noise, roundoff : float
        As for :func:`three_rungs`.

    Returns
    -------
    Estimate

    Examples
    --------
    >>> estimate = one_rung(np.exp, 1 / 6, noise=1e-16, roundoff=2.0**-53)
    >>> bool(abs(estimate.value - 1.0) <= estimate.error < 1e-8)
    True
    """
    h = _pair_step(curvature, noise)
    up, down = phi(h), phi(-h)
    if not abs(up) < HUGE or not abs(down) < HUGE:
        return Estimate(math.nan, math.inf, 0.0, h, 2, 2, regime="rough")
    slope = (up - down) / (2.0 * h)
    sigma = max(noise, roundoff * max(abs(up), abs(down)))
    deviation = float(_slope_noise(h, slope, sigma, roundoff))
    return Estimate(slope, SIMILAR * curvature * h**2, CONFIDENCE * deviation, h, 2, 2)


def _pair_step(curvature: float, noise: float) -> float:
    """Where the two parts of a pair's error, S c h² and C σ/(√2 h), are least together."""
    cube = CONFIDENCE * noise / (2.0 * math.sqrt(2.0) * SIMILAR * curvature) if curvature > 0.0 else math.inf
    return float(min(cube ** (1.0 / 3.0), LARGEST_PAIR))


def pair_error(curvature: float, noise: float) -> float:
    """The error that :func:`one_rung` will have.

    Examples
    --------
    >>> 1e-11 < pair_error(1.0, 1e-16) < 1e-8
    True
    """
    if not noise > 0.0:
        return math.inf
    h = _pair_step(curvature, noise)
    return SIMILAR * curvature * h**2 + CONFIDENCE * noise / (math.sqrt(2.0) * h)


def _slope_noise(h: Any, slope: Any, sigma: Any, roundoff: float) -> Any:
    # θ ± h·v lies on the grid of floating-point numbers: half a unit of t in each, see numeric/central.py
    return np.maximum(sigma, 0.5 * roundoff * abs(slope)) / (math.sqrt(2.0) * h)
