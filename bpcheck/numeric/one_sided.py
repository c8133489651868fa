r"""Adaptive one-sided differences, where φ may be evaluated on one side of θ only, or has a kink there.

Rungs h, h/2, h/4, … each give D = (φ(±h) − φ(0)) / (±h), whose error is a series in h, h², h³, …; the table
is judged by :mod:`~bpcheck.numeric.judgement`. φ(0) enters every rung: its noise is common to them and is summed
before it is squared. Half of the points of a central difference are missing, and so are the powers that it
gets for nothing: bars are 7 to 28 times wider (medians of the families of benchmarks/numeric_coverage.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bpcheck.errors import InputError
from bpcheck.numeric.adaptive import SENTINEL, SMALLEST_STEP, UNRESOLVED, AdaptiveScheme
from bpcheck.numeric.judgement import CHANGE, CONFIDENCE, Judgement, best_entry, doubts, is_growing
from bpcheck.numeric.ladder import Ladder
from bpcheck.numeric.noise import FIRST_SPACING, LARGEST_GROWTH, SAMPLES, UNIT_ROUNDOFF, measure_noise
from bpcheck.numeric.richardson import weights, windows
from bpcheck.result import Estimate
from bpcheck.tree import FloatArray

__all__ = ["Forward", "OneSided", "tail"]

COLUMNS = 8
"""Highest column."""

CONVERGING = 1.6
"""Smallest ratio of successive changes of D that counts as smooth: 2 for an error in h, √2 for one in √h."""

STALLED = 1.25
"""Changes of D must shrink by this much, or no derivative is in sight: t log t changes by log 2 at every rung
for ever. √h shrinks by √2."""

STALLED_RUNGS = 5
"""Changes above the noise that must have stalled: fewer happen on the way to a pole nearby."""

SLOW = 2.0
"""Where changes shrink by less than they do for an error in h, the bar has no room for what is to come."""

TAIL = 1.25
"""Room for the ratio, which is seen from three rungs only (of 1.0 none is left for t^1.7: measured)."""

REALISED = 0.5
"""As for central differences: the step really made is off by up to u."""

ARITHMETIC = 24.0
"""Roundings of the weighted sum itself, in u·|value|: 9 terms whose weights add up to 8.3."""

NOISE_CENTERS = (2.0**-5, 2.0**-16)
"""Noise is measured around points on the side allowed: so far out that all spacings fit, and so near that
φ is what it is at θ."""

ROOM = 4
"""Points at which noise is measured, on either side of the middle one."""


@dataclass(frozen=True)
class OneSided(AdaptiveScheme[Judgement]):
    """Differences to one side on a ladder of steps, with a bound on truncation and rounding.

    Parameters
    ----------
    noise, first_step, largest_step, roundoff, magnitude, may_be_coarse, outward
        As for :class:`~bpcheck.numeric.central.Central`.
    side : {+1, -1}
        Where φ may be evaluated. The answer is the derivative φ'(0±) with respect to t on that side, not
        that of |t|.

    Raises
    ------
    InputError
        If a setting makes no sense, or φ(0) is not finite.

    Notes
    -----
    Source: Richardson (1911) for the table; the bar is that of central differences, with the powers of a
    one-sided difference, and was measured on its own (benchmarks/numeric_coverage.py).

    Never evaluates φ on the other side. A kink at θ itself is not seen from one side: the answer is the
    one-sided derivative. One that is near is, unless all that it does to φ on the way is below the noise, or
    it is nearer than some 1e-11: it then counts as at θ (benchmarks/numeric_coverage.py, group one-sided).

    Examples
    --------
    >>> estimate = OneSided(side=-1)(lambda t: np.exp(1.0 + t))
    >>> abs(estimate.value - np.e) <= estimate.error < 1e-9
    True
    >>> [round(OneSided(side=side)(abs).value, 12) for side in (-1, 1)]
    [-1.0, 1.0]
    """

    side: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.side, bool) or self.side not in (1, -1):
            raise InputError(f"side is {self.side!r}; give +1 for steps forward or -1 for steps backward.")

    @property
    def _sides(self) -> tuple[float, ...]:
        return (float(self.side),)

    def _measure(self, ladder: Ladder) -> float:
        # the widest of the spacings that a look begins with must leave room up to θ
        first = FIRST_SPACING.get(self.roundoff, FIRST_SPACING[UNIT_ROUNDOFF]) * self.roundoff
        found = []
        for center in NOISE_CENTERS:
            looks, spacing = 0, first
            while ROOM * spacing <= center / 2.0 and looks < 64:
                looks, spacing = looks + 1, 32.0 * spacing
            if looks and not math.isnan(middle := ladder.at(self.side * center)):
                found.append(self._noise_around(ladder, center, middle, looks))
        return max(found, default=self.roundoff * abs(ladder.center))

    def _noise_around(
        self, ladder: Ladder, center: float, middle: float, looks: int, spacing: float | None = None
    ) -> float:
        return measure_noise(
            lambda t: ladder.at(self.side * (center + t)),
            roundoff=self.roundoff,
            center=middle,
            looks=looks,
            spacing=spacing,
        )

    def _noise_at(self, ladder: Ladder, judgement: Judgement, sigma: float) -> float:
        step = float(judgement.steps[judgement.rung])
        middle = ladder.at(self.side * step / 2.0)
        if math.isnan(middle):
            return 0.0
        again = self._noise_around(ladder, step / 2.0, middle, 1, step / (2.0 * SAMPLES))
        return again if again <= LARGEST_GROWTH * sigma else 0.0

    def _judge(self, ladder: Ladder, sigma: float) -> Judgement:
        h, (values,) = ladder.arrays()
        u, n = ladder.roundoff, len(h)
        columns = min(COLUMNS, n - 1)
        slope = self.side * (values - ladder.center) / h
        s = ladder.noise(sigma)
        s = np.maximum(s, REALISED * u * abs(slope))
        center_noise = max(sigma, u * abs(ladder.center))
        table, noise = np.full((n, columns + 1), np.nan), np.full((n, columns + 1), np.nan)
        for q, w in enumerate(weights(columns, 1, 1)):
            table[q:, q] = windows(slope, q) @ w
            own = np.hypot.reduce(windows(s / h, q) * w, axis=1)
            noise[q:, q] = np.hypot(own, abs(windows(1.0 / h, q) @ w) * center_noise)
        noise += ARITHMETIC * UNIT_ROUNDOFF / CONFIDENCE * abs(table)
        apart, truncation = doubts(table, noise, None, shrink=2.0)
        rung, column = best_entry(table, noise, truncation)
        slope_noise = np.hypot(s, center_noise) / h
        return Judgement(
            steps=h,
            differences=slope,
            difference_noise=slope_noise,
            table=table,
            noise=noise,
            apart=apart,
            truncation=truncation,
            rung=rung,
            column=column,
            growing=is_growing(abs(slope), slope_noise) or _has_stalled(slope, slope_noise),
            converging=CONVERGING,
        )

    def _sentinel_agrees(self, ladder: Ladder, judgement: Judgement, sigma: float) -> bool:
        gap, allowed = self._sentinel(ladder, judgement, sigma)
        return gap <= allowed

    def _sentinel(self, ladder: Ladder, judgement: Judgement, sigma: float) -> tuple[float, float]:
        """How far D of a much finer step is from what the table predicts, and may be; NaN if it cannot be had."""
        h = float(judgement.steps[judgement.rung]) * SENTINEL
        found = ladder.rung(h) if h >= SMALLEST_STEP * self.roundoff else None
        if found is None:
            return math.nan, 0.0
        s = max(sigma, self.roundoff * max(abs(found[0]), abs(ladder.center)))  # so close to θ, σ holds
        slope = self.side * (found[0] - ladder.center) / h
        bend, own = _bend(judgement, h)
        gap = abs(slope - float(judgement.table[judgement.rung, judgement.column]) - bend)
        return gap, CHANGE * math.sqrt(2.0) * s / h + judgement.bar + own

    def _tell(self, ladder: Ladder, judgement: Judgement, sigma: float) -> Estimate:
        entry = judgement.rung, judgement.column
        truncation, rounding = self.bars(judgement)
        regime = judgement.regime
        gap, allowed = self._sentinel(ladder, judgement, sigma)
        if judgement.growing or not judgement.calm or gap > allowed:
            # no derivative in sight; or a kink so close to θ that no rung lies between
            truncation, regime = math.inf, "rough"
        return Estimate(
            float(judgement.table[entry]),
            truncation,
            rounding,
            float(judgement.steps[entry[0]]),
            entry[1] + 1,
            ladder.evaluations,
            regime,
        )

    def bars(self, judgement: Judgement) -> tuple[float, float]:
        """Truncation and rounding of the entry chosen, but for what the sentinel says."""
        noise = judgement.best_noise
        truncation = max(float(judgement.truncation[judgement.rung, judgement.column]), tail(judgement))
        if judgement.regime == "rough":
            truncation = max(truncation, judgement.scatter)
        unresolved = UNRESOLVED if judgement.regime == "noise" else 0.0
        return truncation, (CONFIDENCE + unresolved) * noise

    def judge(self, ladder: Ladder, sigma: float) -> Judgement:
        """The table of a ladder that has this side only."""
        return self._judge(ladder, sigma)


def tail(judgement: Judgement) -> float:
    """What is still to come where the chosen column converges slowly: a sum of changes that shrink by ρ.

    Powers that are no whole numbers are not removed: t^p leaves an error in h^(p−1), whose changes
    shrink by ρ = 2^(p−1), and after a change Δ there is Δ / (ρ − 1) to come.
    """
    column = judgement.table[:, judgement.column]
    noise = judgement.noise[:, judgement.column]
    change = abs(np.diff(column))
    with np.errstate(invalid="ignore"):
        seen = change > CHANGE * np.hypot(noise[1:], noise[:-1])
    last = judgement.rung - 1
    ratios = [
        float(change[k - 1] / change[k]) for k in (last, last - 1) if k >= 1 and seen[k] and seen[k - 1]
    ]
    shrink = min(ratios, default=math.inf)
    if not shrink < SLOW:
        return 0.0
    return math.inf if shrink <= 1.0 else TAIL * float(change[last]) / (shrink - 1.0)


def _bend(judgement: Judgement, h: float) -> tuple[float, float]:
    """D(h) − φ'(0) for a step far below the ladder, from the rungs around the chosen one, and its doubt.

    D = φ' + a h + b h²: two rungs give a and b, another two tell how well.
    """
    last = judgement.rung
    gap = judgement.differences - judgement.table[last, judgement.column]
    found = []
    for rung in (last, last - 1):
        if rung >= 1:
            step = judgement.steps[rung]
            linear = (4.0 * gap[rung] - gap[rung - 1]) / 2.0
            found.append((linear * h / step, (gap[rung] - linear) * (h / step) ** 2))
    first = found[0]
    unsure = abs(first[0] - found[1][0]) if len(found) > 1 else abs(first[0])
    return float(first[0]), 2.0 * float(unsure + abs(first[1]))


def _has_stalled(slope: FloatArray, noise: FloatArray) -> bool:
    """Whether the finest changes that rise above the noise do not die out."""
    change = abs(np.diff(slope))
    seen = np.flatnonzero(change > CHANGE * np.hypot(noise[1:], noise[:-1]))[-STALLED_RUNGS:]
    if len(seen) < STALLED_RUNGS or seen[-1] - seen[0] != STALLED_RUNGS - 1:
        return False
    return bool((change[seen[:-1]] < STALLED * change[seen[1:]]).all())


class Forward(OneSided):
    """Differences forward, to t > 0: :class:`OneSided` with ``side=+1``.

    Examples
    --------
    >>> estimate = Forward()(lambda t: np.log1p(t) if t >= 0 else np.nan)
    >>> abs(estimate.value - 1.0) <= estimate.error < 1e-9
    True
    """
