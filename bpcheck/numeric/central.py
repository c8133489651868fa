r"""Adaptive central differences: a ladder of steps, Richardson extrapolation and an honest bar.

Rungs h, h/2, h/4, … each give D = (φ(h) − φ(−h)) / 2h. Extrapolated columns remove h², h⁴, …; the table is
judged by :mod:`~bpcheck.numeric.judgement`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bpcheck.numeric.adaptive import SENTINEL, SMALLEST_STEP, UNRESOLVED, AdaptiveScheme
from bpcheck.numeric.judgement import CHANGE, CONFIDENCE, Judgement, best_entry, doubts, is_growing
from bpcheck.numeric.kink import Jumps, jumps
from bpcheck.numeric.ladder import FIRST_STEP, Ladder
from bpcheck.numeric.noise import LARGEST_GROWTH, SAMPLES, UNIT_ROUNDOFF, measure_noise
from bpcheck.numeric.one_sided import OneSided, tail
from bpcheck.numeric.richardson import weights, windows
from bpcheck.result import Estimate

__all__ = ["FIRST_STEP", "Central"]

COLUMNS = 5
"""Highest column; beyond, weights only magnify the noise (tuned on MLP losses)."""

REALISED = 0.5
"""θ ± h·v lies on the grid of floating-point numbers: the step really made is off by up to u, for t is
relative, and D by u·|D|/h; this much in φ(±h), times CONFIDENCE/√2, covers it 1.4 times. The noise
measured holds it too, as a rule; where nine roundings of one number happen to lie on a line it does not
(4 misses in 28,000 functions without this, all of the kind sin(wθ), w from 1e3 to 1e7)."""

CONVERGING = 2.2
"""Smallest ratio of successive differences of D: 4 for an h² error, 2 for a kink (C)."""

ARITHMETIC = 8.0
"""Roundings of the weighted sum itself, in u·|value|: 6 terms with weights of |sum| < 2."""


@dataclass(frozen=True, eq=False)
class _CentralJudgement(Judgement):
    """With the jumps of the slope, which only both sides together see."""

    jumps: Jumps

    @property
    def kink(self) -> int | None:
        """The rung, from the chosen one down, at which the slope clearly jumps; the surest of them."""
        rungs = range(self.rung, len(self.steps))
        return max(
            (rung for rung in rungs if self.jumps.significant(rung)),
            key=self.jumps.significance,
            default=None,
        )

    @property
    def has_kink(self) -> bool:
        """Whether the slope clearly jumps at θ."""
        return self.kink is not None


@dataclass(frozen=True)
class Central(AdaptiveScheme[_CentralJudgement]):
    """Central differences on a ladder of steps, with a bound on truncation and rounding.

    Parameters
    ----------
    noise : float, optional
        σ of φ's values, as :func:`~bpcheck.numeric.noise.measure_noise` finds it. Measured first if
        not given, which takes most of the evaluations: with many directions measure once.
    first_step : float
        Where the ladder starts. φ is expected to be scaled so that h = 1 is a relative step of 1.
    largest_step : float, optional
        The ladder may climb up to here where noise, not truncation, limits it. By default it does
        not climb.
    roundoff : float
        u of the arithmetic in which φ computes, 2^−53 or 2^−24.
    magnitude : float
        Where φ does not move at all, a change may have been absorbed by an intermediate value of this
        size: the error is at least u·magnitude/h then. 0 trusts the result's own size.
    may_be_coarse : bool
        Where φ does not move at all and its value is short (0.693147), it may have been rounded. False where
        other values of the same function are known to have all their digits.
    outward : tuple of float
        Where φ does not move at all, it is looked at so many times further out: a step there tells a table.

    Raises
    ------
    InputError
        If a setting makes no sense, or φ(0) is not finite.

    Notes
    -----
    Source: Richardson (1911) and Ridders (1982) for the table; Moré and Wild (2011) for the noise;
    the bar is our own and was measured (benchmarks/numeric_coverage.py).

    What it cannot see: a function that is constant on every rung *and* sixteen times as far out is
    reported as 0, regime ``exact``. A forward pass rounded to a coarse table looks just so.

    At a kink, ``value`` is the midpoint of ``interval`` and ``error`` reaches from it past both
    one-sided derivatives; what is left of it beyond half the interval is the uncertainty of the ends.

    Examples
    --------
    >>> estimate = Central()(lambda t: np.exp(1.0 + t))
    >>> abs(estimate.value - np.e) <= estimate.error < 1e-10
    True
    >>> Central()(abs).interval
    (-1.0, 1.0)
    """

    @property
    def _sides(self) -> tuple[float, ...]:
        return 1.0, -1.0

    def _measure(self, ladder: Ladder) -> float:
        return measure_noise(ladder.at, roundoff=self.roundoff, center=ladder.center)

    def _noise_at(self, ladder: Ladder, judgement: _CentralJudgement, sigma: float) -> float:
        spacing = float(judgement.steps[judgement.rung]) / (SAMPLES - 1)
        again = measure_noise(
            ladder.at, roundoff=self.roundoff, spacing=spacing, center=ladder.center, looks=1
        )
        return again if again <= LARGEST_GROWTH * sigma else 0.0

    def _judge(self, ladder: Ladder, sigma: float) -> _CentralJudgement:
        h, (up, down) = ladder.arrays()
        u, n = ladder.roundoff, len(h)
        columns = min(COLUMNS, n - 1)
        slope = (up - down) / (2.0 * h)
        s = ladder.noise(sigma)
        s = np.maximum(s, REALISED * u * abs(slope))
        slope_noise = s / (math.sqrt(2.0) * h)
        table, noise = np.full((n, columns + 1), np.nan), np.full((n, columns + 1), np.nan)
        for q, w in enumerate(weights(columns, 2)):
            table[q:, q] = windows(slope, q) @ w
            noise[q:, q] = np.hypot.reduce(windows(slope_noise, q) * w, axis=1)
        noise += ARITHMETIC * UNIT_ROUNDOFF / CONFIDENCE * abs(table)
        jump = jumps(h, up, down, ladder.center, s, columns)
        apart, truncation = doubts(table, noise, 0.5 * abs(jump.value), shrink=4.0)
        rung, column = best_entry(table, noise, truncation)
        growing = is_growing(abs(slope), slope_noise) or is_growing(abs(jump.value[:, 0]), jump.noise[:, 0])
        return _CentralJudgement(
            steps=h,
            differences=slope,
            difference_noise=slope_noise,
            table=table,
            noise=noise,
            apart=apart,
            truncation=truncation,
            rung=rung,
            column=column,
            growing=growing,
            converging=CONVERGING,
            jumps=jump,
        )

    def _sentinel_agrees(self, ladder: Ladder, judgement: _CentralJudgement, sigma: float) -> bool:
        h = float(judgement.steps[judgement.rung]) * SENTINEL
        pair = ladder.rung(h) if h >= SMALLEST_STEP * self.roundoff else None
        if pair is None:
            return False
        s = max(sigma, self.roundoff * max(map(abs, pair)))  # so close to θ, σ holds
        doubt = CHANGE * s / (math.sqrt(2.0) * h)
        slope = (pair[0] - pair[1]) / (2.0 * h)
        jump = ((pair[0] - ladder.center) + (pair[1] - ladder.center)) / h
        # S of a smooth function shrinks with h: the finest rung's bounds the sentinel's
        coarse = abs(judgement.jumps.value[-1, 0]) + CHANGE * judgement.jumps.noise[-1, 0]
        value = judgement.table[judgement.rung, judgement.column]
        # an h² error shrinks by SENTINEL²; twice that, for higher powers
        own = 2.0 * SENTINEL**2 * abs(judgement.differences[judgement.rung] - value)
        return bool(
            abs(slope - value) <= doubt + judgement.bar + own
            and abs(jump) <= coarse * h / judgement.steps[-1] * 2.0 + math.sqrt(12.0) * doubt
        )

    def _tell(self, ladder: Ladder, judgement: _CentralJudgement, sigma: float) -> Estimate:
        if judgement.kink is not None and not judgement.growing:
            return self._tell_kink(ladder, judgement, sigma)
        entry = judgement.rung, judgement.column
        value = float(judgement.table[entry])
        truncation = float(judgement.truncation[entry])
        noise = judgement.best_noise
        rounding, regime = CONFIDENCE * noise, judgement.regime
        step, order = float(judgement.steps[entry[0]]), 2 * (entry[1] + 1)
        if judgement.growing:
            truncation, regime = math.inf, "rough"
        elif regime == "noise":
            rounding += UNRESOLVED * noise
        elif regime == "rough":
            truncation = max(truncation, judgement.scatter)
            # changes that do not shrink are a kink nearby, seen from the rungs beyond it
            to_come = tail(judgement)
            truncation = max(truncation, to_come if to_come < math.inf else 0.0)
            # a jump of the slope may hide in its noise
            rounding += 0.5 * CONFIDENCE * float(judgement.jumps.noise[entry])
        return Estimate(value, truncation, rounding, step, order, ladder.evaluations, regime)

    def _tell_kink(self, ladder: Ladder, judgement: _CentralJudgement, sigma: float) -> Estimate:
        """The one-sided derivatives, each from its own side: φ'' jumps as well, and the mean of both has odd powers."""
        ends, truncations, roundings, steps = [], [], [], []
        for index, side in enumerate((1, -1)):
            scheme = OneSided(side=side, noise=sigma, roundoff=self.roundoff)
            end = scheme.judge(ladder.one_side(index), sigma)
            truncation, rounding = scheme.bars(end)
            ends.append(float(end.table[end.rung, end.column]))
            truncations.append(truncation)
            roundings.append(rounding)
            steps.append(float(end.steps[end.rung]))
        low, high = sorted(ends)
        half = 0.5 * (high - low)
        return Estimate(
            low + half,
            half + max(truncations),
            max(roundings),
            min(steps),
            1,
            ladder.evaluations,
            "kink",
            (low, high),
        )
