r"""Adaptive central differences: a ladder of steps, Richardson extrapolation and an honest bar.

Rungs h, h/2, h/4, … each give D = (φ(h) − φ(−h)) / 2h. Extrapolated columns remove h², h⁴, …; an
entry of the table is judged by what its neighbours and all finer rungs say, never by its own
elegance, and pays for the noise that its weights magnify. The smallest bar wins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bpcheck.errors import InputError
from bpcheck.numeric.kink import Jumps, is_discontinuous, jumps
from bpcheck.numeric.noise import LARGEST_GROWTH, SAMPLES, UNIT_ROUNDOFF, measure_noise
from bpcheck.numeric.richardson import weights, windows
from bpcheck.numeric.scheme import Phi
from bpcheck.result import Estimate
from bpcheck.tree import FloatArray

__all__ = ["FIRST_STEP", "Central"]

FIRST_STEP = 1.0 - math.sqrt(0.5)
"""0.29. Five rungs from here reach a truncation (Π h_j)² ≈ 5e-12 times φ^(11)/11!, where the noise of
float64 lies for a function whose Taylor series converges up to |t| = 1. Irrational: a power of
two would sample sin(2πkt) at its zeros only."""

COLUMNS = 5
"""Highest column; beyond, weights only magnify the noise (tuned on MLP losses)."""

FIRST_RUNGS = 5
"""Rungs before the first judgement: an entry, its neighbours and a ratio to compare."""

MOST_RUNGS = 64
"""Halvings from 0.29 to 2^−66: past the last bit of float64 relative to θ."""

SMALLEST_STEP = 4.0
"""In units of u: below, θ + h·v is θ or its neighbour."""

REALISED = 0.5
"""θ ± h·v lies on the grid of floating-point numbers: the step really made is off by up to u, for t is
relative, and D by u·|D|/h; this much in φ(±h), times CONFIDENCE/√2, covers it 1.4 times. The noise
measured holds it too, as a rule; where nine roundings of one number happen to lie on a line it does not
(4 misses in 28,000 functions without this, all of the kind sin(wθ), w from 1e3 to 1e7)."""

CONFIDENCE = 4.0
"""Standard deviations of propagated noise in the bar (tuned on MLP losses, coverage in benchmarks/numeric_coverage.py)."""

CHANGE = 6.0
"""Standard deviations from which a difference between rungs is not noise (tuned on MLP losses)."""

UNRESOLVED = 8.0
"""Extra standard deviations where no difference between rungs rises above the noise: truncation is
then unseen and could be as large as the noise of the differences (tuned on MLP losses)."""

CONVERGING = 2.2
"""Smallest ratio of successive differences of D: 4 for an h² error, 2 for a kink (C)."""

DIVERGING = 1.25
"""Growth a rung of D or S from which no derivative is in sight: 2 for a step, √2 for √|t|."""

NOISE_RULES = 4.0
"""A bar within this factor of its noise term is not worth another rung."""

REACH = 2
"""Rungs on either side that a rough function is held against."""

SENTINEL = 2.0**-9 / math.sqrt(2.0)
"""A last pair, this much finer than the step chosen, looks for whatever hides between the rungs and
θ: a kink or an oscillation too fast for the ladder. Off the binary grid of the rungs, and so of their
aliases."""

STORED = 2.0
"""Noise of φ(±h) is at least u·|φ(±h)|, for the result is rounded, and this many u·|φ'(±h) − φ'(0)|, for
θ + h·v is rounded before f sees it and so is what f computes first: a relative error u of θ is one of
u in t. What φ'(0) does is in σ already; at a perfect fit (a sum of squares that is 0 at θ) φ'(0) = 0, and
the noise grows with h."""

ARITHMETIC = 8.0
"""Roundings of the weighted sum itself, in u·|value|: 6 terms with weights of |sum| < 2."""

MAGNITUDE = 16.0
"""Logits of a saturated softmax are about this large when its loss no longer moves: ln(1/u) = 17 for
float32. Without it a float32 cross-entropy of 1e-7 has "derivative 0 ± 1e-13" (measured)."""

OUTWARD = (4.0, 16.0)
"""A function that is flat on all rungs is looked at this much further out, for steps."""

HUGE = 1e300
"""Values beyond count as infinite: their differences would overflow."""


@dataclass
class _Ladder:
    """Rungs evaluated so far, the coarsest first."""

    phi: Phi
    roundoff: float
    center: float = math.nan
    evaluations: int = 0
    steps: list[float] = field(default_factory=list)
    up: list[float] = field(default_factory=list)
    down: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.center = self.at(0.0)

    def at(self, t: float) -> float:
        """φ(t), counted."""
        self.evaluations += 1
        value = float(self.phi(t))
        return value if abs(value) < HUGE else math.nan

    def pair(self, h: float) -> tuple[float, float] | None:
        """φ(h) and φ(−h), or None if one of them is not finite."""
        up, down = self.at(h), self.at(-h)
        return None if math.isnan(up) or math.isnan(down) else (up, down)

    def descend(self, h: float) -> None:
        """Add a finer rung; where φ has no value, forget the coarser ones, they straddle a hole."""
        pair = self.pair(h)
        if pair is None:
            self.steps, self.up, self.down = [], [], []
            return
        self.steps.append(h)
        self.up.append(pair[0])
        self.down.append(pair[1])

    def climb(self, h: float) -> bool:
        """Add a coarser rung; False if φ has no value there."""
        pair = self.pair(h)
        if pair is None:
            return False
        self.steps.insert(0, h)
        self.up.insert(0, pair[0])
        self.down.insert(0, pair[1])
        return True

    def is_still(self, rung: int) -> bool:
        """Whether φ did not move at all at ±h."""
        return self.up[rung] == self.center == self.down[rung]


@dataclass(frozen=True, eq=False)
class _Judgement:
    """The table of a ladder and the entry with the smallest bar."""

    steps: FloatArray
    differences: FloatArray
    difference_noise: FloatArray
    table: FloatArray
    noise: FloatArray
    apart: FloatArray
    truncation: FloatArray
    jumps: Jumps
    rung: int
    column: int
    growing: bool

    @property
    def bar(self) -> float:
        entry = self.rung, self.column
        return float(self.truncation[entry] + CONFIDENCE * self.noise[entry])

    @property
    def best_noise(self) -> float:
        """Standard deviation of the noise in the chosen entry."""
        return float(self.noise[self.rung, self.column])

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
    def midpoint(self) -> tuple[int, int]:
        """At a kink, the entry that knows the mean of the two slopes best: there J says nothing against it."""
        doubt = self.apart + CONFIDENCE * self.noise
        doubt[: self.rung] = np.inf  # coarser rungs may see other kinks
        rung, column = np.unravel_index(int(np.nanargmin(doubt)), doubt.shape)
        return int(rung), int(column)

    @property
    def scatter(self) -> float:
        """How far the rungs around the chosen one are from it, noise or not.

        Where neighbours differ by more than the noise explains, two that agree mean little.
        """
        value = self.table[self.rung, self.column]
        near = self.table[max(0, self.rung - REACH) : self.rung + REACH + 1, : self.column + 1]
        return float(np.nanmax(np.nanmin(abs(near - value), axis=1)))

    @property
    def calm(self) -> bool:
        """Whether the finest rungs change by noise only, or less and less.

        Coarse rungs may agree by aliasing (sin(ωh) = 0 at one h is 0 at 2h, 4h, …); the finer ones
        then run wild, and may not be left alone however narrow the bar.
        """
        change, seen = self._changes()
        return all(not seen[k] or change[k - 1] >= CONVERGING * change[k] for k in (-1, -2))

    def _changes(self) -> tuple[FloatArray, Any]:
        change = abs(np.diff(self.differences))
        return change, change > CHANGE * np.hypot(self.difference_noise[1:], self.difference_noise[:-1])

    @property
    def regime(self) -> str:
        """``smooth``, ``noise`` or ``rough`` (tuned on MLP losses)."""
        change, seen = self._changes()
        # the run of changes that are not noise, from the coarsest rung on
        length = len(seen) if seen.all() else int(np.argmin(seen))
        if length < 2:
            return "rough" if np.count_nonzero(seen) >= 2 else "noise"
        last = change[max(0, length - 3) : length]
        return "smooth" if (last[:-1] >= CONVERGING * last[1:]).all() else "rough"


def _judge(ladder: _Ladder, sigma: float) -> _Judgement:
    h, up, down = (np.array(values) for values in (ladder.steps, ladder.up, ladder.down))
    u, n = ladder.roundoff, len(h)
    columns = min(COLUMNS, n - 1)
    slope = (up - down) / (2.0 * h)
    s = np.maximum(sigma, u * _sensitivity(h, up, down))
    s = np.maximum(s, REALISED * u * abs(slope))
    slope_noise = s / (math.sqrt(2.0) * h)
    table, noise = np.full((n, columns + 1), np.nan), np.full((n, columns + 1), np.nan)
    for q, w in enumerate(weights(columns, 2)):
        table[q:, q] = windows(slope, q) @ w
        noise[q:, q] = np.hypot.reduce(windows(slope_noise, q) * w, axis=1)
    noise += ARITHMETIC * UNIT_ROUNDOFF / CONFIDENCE * abs(table)
    jump = jumps(h, up, down, ladder.center, s, columns)
    apart, truncation = _truncation(table, noise, jump)
    bars = np.where(np.isnan(table), np.inf, truncation + CONFIDENCE * noise)
    rung, column = np.unravel_index(int(np.argmin(bars)), bars.shape)
    growing = _is_growing(abs(slope), slope_noise) or _is_growing(abs(jump.value[:, 0]), jump.noise[:, 0])
    return _Judgement(
        h, slope, slope_noise, table, noise, apart, truncation, jump, int(rung), int(column), growing
    )


def _sensitivity(h: FloatArray, up: FloatArray, down: FloatArray) -> FloatArray:
    """By how much a relative error 1 of result and parameters would change φ(±h)."""
    slopes = []
    for side in (up, down):
        # between a rung and the next; not between the finest and φ(0), where there may be a jump
        between = np.diff(side) / np.diff(h)
        slopes.append(abs(np.append(between, between[-1]) - between[-1]))
    size = np.maximum(abs(up), abs(down))
    return np.asarray(np.maximum(size, STORED * np.maximum(*slopes)))


def _truncation(table: FloatArray, noise: FloatArray, jump: Jumps) -> tuple[FloatArray, FloatArray]:
    """Differences to the neighbours, and E: the largest of what speaks against an entry (B)."""
    rows, columns = table.shape
    against = np.zeros_like(table)
    in_row = abs(np.diff(table, axis=1))
    against[:, 1:] = np.fmax(against[:, 1:], in_row)
    in_column = abs(np.diff(table, axis=0))
    against[1:] = np.fmax(against[1:], in_column)
    for q in range(1, columns):  # the top of a column has no neighbour above it: the one before it
        against[q, q] = max(against[q, q], abs(table[q, q] - table[q - 1, q - 1]))
    local = against.copy()
    # the next rung's, and the coarser rung's / 4^q: two neighbours may agree by accident, three do not
    against[:-1] = np.fmax(against[:-1], in_column)
    against[1:] = np.fmax(against[1:], local[:-1] / 4.0 ** np.arange(columns))
    # a kink inside the rung that the differences do not show
    against = np.fmax(against, 0.5 * abs(jump.value))
    # what finer rungs say, each by its best entry, and how sure it is
    sure = np.where(np.isnan(table), np.inf, against + CONFIDENCE * noise)
    best = np.argmin(sure, axis=1)
    rung = np.arange(rows)
    finer, doubt = table[rung, best], sure[rung, best]
    for j in range(rows - 1):
        gap = abs(table[j][:, None] - finer[None, j + 1 :]) - doubt[None, j + 1 :]
        against[j] = np.fmax(against[j], gap.max(axis=1))
    against[0] = np.inf  # the coarsest rung has nothing to be compared with
    return local, against


def _is_growing(size: FloatArray, noise: FloatArray) -> bool:
    """Whether the finest rungs that rise above the noise grow without end."""
    seen = np.flatnonzero(size > CHANGE * noise)[-5:]
    if len(seen) < 5 or seen[-1] - seen[0] != 4:
        return False
    return bool((size[seen[1:]] >= DIVERGING * size[seen[:-1]]).all())


@dataclass(frozen=True)
class Central:
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

    noise: float | None = None
    first_step: float = FIRST_STEP
    largest_step: float | None = None
    roundoff: float = UNIT_ROUNDOFF
    magnitude: float = MAGNITUDE

    def __post_init__(self) -> None:
        for name in ("noise", "first_step", "largest_step", "roundoff", "magnitude"):
            value = getattr(self, name)
            least = 0.0 if name in ("noise", "magnitude") else math.ulp(0.0)
            if value is not None and not least <= value < math.inf:
                raise InputError(f"{name} is {value!r}; a finite number above zero is needed.")

    def __call__(self, phi: Phi, /) -> Estimate:
        """Differentiate ``phi`` at 0."""
        with np.errstate(all="ignore"):
            return self._estimate(phi)

    def _estimate(self, phi: Phi) -> Estimate:
        ladder = _Ladder(phi, self.roundoff)
        if math.isnan(ladder.center):
            raise InputError(
                "the function is not finite at the parameters themselves (step 0): "
                "a derivative needs a point at which it has a value."
            )
        sigma = self.noise
        if sigma is None:
            sigma = measure_noise(ladder.at, roundoff=self.roundoff, center=ladder.center)
        judgement = self._search(ladder, sigma)
        if judgement is None:
            return self._without_ladder(ladder, sigma)
        if self.noise is None and judgement.regime != "rough" and judgement.kink is None:
            sigma = max(sigma, self._noise_at(ladder, judgement, sigma))
            judgement = _judge(ladder, sigma)
        return _estimate(ladder, judgement)

    def _search(self, ladder: _Ladder, sigma: float) -> _Judgement | None:
        """Add rungs until another is not worth it; None if φ has no usable pair or stands still."""
        h = self.first_step
        judgement: _Judgement | None = None
        not_before = math.inf
        for _ in range(MOST_RUNGS):
            if not h >= SMALLEST_STEP * self.roundoff:
                break
            ladder.descend(h)
            h *= 0.5
            rungs = len(ladder.steps)
            if rungs >= 3 and all(ladder.is_still(-k) for k in (1, 2, 3)):
                return None
            if rungs < FIRST_RUNGS:
                continue
            judgement = _judge(ladder, sigma)
            exhausted = judgement.calm and CONFIDENCE * judgement.difference_noise[-1] > judgement.bar
            settled = judgement.regime != "rough" and judgement.kink is None
            enough = settled and judgement.bar <= NOISE_RULES * CONFIDENCE * judgement.best_noise
            if not (exhausted or enough) or h > not_before:
                continue
            if not settled or self._sentinel_agrees(ladder, judgement, sigma):
                break
            not_before = judgement.steps[judgement.rung] * SENTINEL
        if judgement is None:
            return _judge(ladder, sigma) if len(ladder.steps) >= 3 else None
        return self._climb(ladder, judgement, sigma)

    def _sentinel_agrees(self, ladder: _Ladder, judgement: _Judgement, sigma: float) -> bool:
        h = float(judgement.steps[judgement.rung]) * SENTINEL
        pair = ladder.pair(h) if h >= SMALLEST_STEP * self.roundoff else None
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

    def _climb(self, ladder: _Ladder, judgement: _Judgement, sigma: float) -> _Judgement:
        """Coarser rungs, as long as noise limits the bar and they shrink it."""
        limit = self.first_step if self.largest_step is None else self.largest_step
        failures = 0
        while failures < 2 and judgement.kink is None and not judgement.growing:
            h = 2.0 * ladder.steps[0]
            if judgement.rung - judgement.column > 1 or not h <= limit or not ladder.climb(h):
                break
            better = _judge(ladder, sigma)
            failures = 0 if better.bar < judgement.bar else failures + 1
            judgement = better
        return judgement

    def _noise_at(self, ladder: _Ladder, judgement: _Judgement, sigma: float) -> float:
        """Noise once more, at the scale of the step chosen: it may grow away from θ."""
        spacing = float(judgement.steps[judgement.rung]) / (SAMPLES - 1)
        again = measure_noise(
            ladder.at, roundoff=self.roundoff, spacing=spacing, center=ladder.center, looks=1
        )
        return again if again <= LARGEST_GROWTH * sigma else 0.0

    def _without_ladder(self, ladder: _Ladder, sigma: float) -> Estimate:
        """φ stands still on the last rungs, or has values on one side of θ only."""
        if len(ladder.steps) < 3 or not ladder.is_still(-1):
            return Estimate(math.nan, math.inf, 0.0, math.nan, 2, ladder.evaluations, regime="rough")
        still = [
            rung
            for rung in range(len(ladder.steps))
            if all(map(ladder.is_still, range(rung, len(ladder.steps))))
        ]
        h = ladder.steps[still[0]]
        moved = self._first_move(ladder, h, still[0])
        absorbed = self.roundoff * max(abs(ladder.center), self.magnitude)
        stepped = moved is not None and is_discontinuous(
            ladder.at,
            ladder.center,
            math.copysign(h, moved),
            moved,
            CHANGE * max(sigma, self.roundoff * abs(ladder.center)),
        )
        rounding = CONFIDENCE * max(sigma, absorbed) / (math.sqrt(2.0) * h)
        truncation, regime = (math.inf, "rough") if stepped else (0.0, "exact")
        return Estimate(0.0, truncation, rounding, h, 2, ladder.evaluations, regime)

    def _first_move(self, ladder: _Ladder, h: float, rung: int) -> float | None:
        """Find the nearest point at which φ is not φ(0)."""
        if rung > 0:
            side = 1.0 if ladder.up[rung - 1] != ladder.center else -1.0
            return side * ladder.steps[rung - 1]
        for factor in OUTWARD:
            for t in (factor * h, -factor * h):
                value = ladder.at(t)
                if not math.isnan(value) and value != ladder.center:
                    return t
        return None


def _estimate(ladder: _Ladder, judgement: _Judgement) -> Estimate:
    """Tell the chosen entry as an estimate, with its regime."""
    entry = (judgement.rung, judgement.column) if judgement.kink is None else judgement.midpoint
    value = float(judgement.table[entry])
    truncation = float(judgement.truncation[entry])
    noise = float(judgement.noise[entry])
    rounding = CONFIDENCE * noise
    step, order = float(judgement.steps[entry[0]]), 2 * (entry[1] + 1)
    regime, interval = judgement.regime, None
    if judgement.growing:
        truncation, regime = math.inf, "rough"
    elif judgement.kink is not None:
        best = judgement.kink, judgement.jumps.column(judgement.kink)
        jump = float(judgement.jumps.value[best])
        half = 0.5 * abs(jump)
        regime, interval = "kink", (value - half, value + half)
        truncation = half + 0.5 * float(judgement.jumps.truncation[best]) + float(judgement.apart[entry])
        rounding += 0.5 * CONFIDENCE * float(judgement.jumps.noise[best])
    elif regime == "noise":
        rounding += UNRESOLVED * noise
    elif regime == "rough":
        truncation = max(truncation, judgement.scatter)
    return Estimate(value, truncation, rounding, step, order, ladder.evaluations, regime, interval)
