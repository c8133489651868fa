"""The search that all ladder schemes share: add rungs until another is not worth it, look once more, tell."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from bpcheck.errors import InputError
from bpcheck.numeric.judgement import CHANGE, CONFIDENCE, Judgement
from bpcheck.numeric.kink import is_discontinuous
from bpcheck.numeric.ladder import FIRST_STEP, HUGE, Ladder
from bpcheck.numeric.noise import UNIT_ROUNDOFF, coarseness, measure_noise
from bpcheck.numeric.scheme import Phi
from bpcheck.result import Estimate

__all__ = ["FAR_OUTWARD", "OUTWARD", "SENTINEL", "SMALLEST_STEP", "UNRESOLVED", "AdaptiveScheme"]

FIRST_RUNGS = 5
"""Rungs before the first judgement: an entry, its neighbours and a ratio to compare."""

MOST_RUNGS = 64
"""Halvings from 0.29 to 2^−66: past the last bit of float64 relative to θ."""

SMALLEST_STEP = 4.0
"""In units of u: below, θ + h·v is θ or its neighbour."""

UNRESOLVED = 8.0
"""Extra standard deviations where no difference between rungs rises above the noise: truncation is
then unseen and could be as large as the noise of the differences (tuned on MLP losses)."""

NOISE_RULES = 4.0
"""A bar within this factor of its noise term is not worth another rung: another could narrow it by so much at most."""

NEAR_ZERO = 2.0
"""φ(h) and φ(−h) larger than this many φ(0): θ is near a minimum of 0. Elsewhere the rounding of φ(±h), u|φ(±h)|, is at
most this many times that of φ(0), which a bar of four standard deviations holds."""

SENTINEL = 2.0**-9 / math.sqrt(2.0)
"""A last pair, this much finer than the step chosen, looks for whatever hides between the rungs and
θ: a kink or an oscillation too fast for the ladder. Off the binary grid of the rungs, and so of their
aliases."""

MAGNITUDE = 16.0
"""Logits of a saturated softmax are about this large when its loss no longer moves: ln(1/u) = 17 for
float32. Without it a float32 cross-entropy of 1e-7 has "derivative 0 ± 1e-13" (measured)."""

OUTWARD = (4.0, 16.0)
"""A function that is flat on all rungs is looked at this much further out, for steps: 1.2 and 4.7 relative steps where
the first rung was flat, beyond what rounds to the number at hand in any format."""

FAR_OUTWARD = (4.0, 16.0, 64.0, 256.0, 1024.0)
"""The same before a claim is called wrong because the function is flat: a tensor of zeros, quantised, is moved by 0.03
(a tenth, times the first rung) of the only size that is natural to it, 1, and the nearest step may be some units away:
1,024 times that is 30."""


J = TypeVar("J", bound=Judgement)


@dataclass(frozen=True)
class AdaptiveScheme(ABC, Generic[J]):
    """Differences on a ladder of steps; what kind of differences, a subclass says.

    The fields are explained in :class:`~bpcheck.numeric.central.Central`.
    """

    noise: float | None = None
    first_step: float = FIRST_STEP
    largest_step: float | None = None
    roundoff: float = UNIT_ROUNDOFF
    magnitude: float = MAGNITUDE
    may_be_coarse: bool = True
    outward: tuple[float, ...] = OUTWARD

    @property
    @abstractmethod
    def _sides(self) -> tuple[float, ...]:
        """Where φ may be evaluated."""

    @abstractmethod
    def _measure(self, ladder: Ladder) -> float:
        """Noise of φ near 0."""

    @abstractmethod
    def _noise_at(self, ladder: Ladder, judgement: J, sigma: float) -> float:
        """Noise once more, at the scale of the step chosen: it may grow away from θ."""

    @abstractmethod
    def _judge(self, ladder: Ladder, sigma: float) -> J:
        """The table of the ladder as it is."""

    @abstractmethod
    def _sentinel_agrees(self, ladder: Ladder, judgement: J, sigma: float) -> bool:
        """Whether a last, much finer step sees the same derivative."""

    @abstractmethod
    def _tell(self, ladder: Ladder, judgement: J, sigma: float) -> Estimate:
        """The chosen entry as an estimate."""

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
        ladder = Ladder(phi, self.roundoff, self._sides)
        if math.isnan(ladder.center):
            if any(map(math.isfinite, ladder.seen)):
                raise InputError(
                    f"the function is {min(ladder.seen):g} at the parameters themselves: beyond {HUGE:g} "
                    "differences overflow. Divide it by a constant first."
                )
            raise InputError(
                "the function is not finite at the parameters themselves (step 0): "
                "a derivative needs a point at which it has a value."
            )
        sigma = self.noise
        if sigma is None:
            sigma = self._measure(ladder)
        judgement = self._search(ladder, sigma)
        if judgement is None:
            return self._without_ladder(ladder, sigma)
        if self.noise is None and judgement.settled:
            sigma = max(sigma, self._noise_at(ladder, judgement, sigma))
            judgement = self._judge(ladder, sigma)
        if judgement.settled and ladder.rises(judgement.rung, NEAR_ZERO):
            ladder.growth = self._growth(ladder, judgement)
            judgement = self._judge(ladder, sigma)
        return self._tell(ladder, judgement, sigma)

    def _growth(self, ladder: Ladder, judgement: J) -> float:
        """Noise at the end of the step chosen, per unit of step.

        Where φ(0) is a sum of squares near 0, its terms cancel and leave little noise; away from θ they
        do not, and their rounding grows as they do.
        """
        h = float(judgement.steps[judgement.rung])
        end = self._sides[0] * h
        at_end = ladder.values[0][judgement.rung]
        noise = measure_noise(lambda t: ladder.at(end + t), roundoff=self.roundoff, center=at_end, looks=1)
        return noise / h

    def _search(self, ladder: Ladder, sigma: float) -> J | None:
        """Add rungs until another is not worth it; None if φ has no usable pair or stands still."""
        h = self.first_step
        judgement: J | None = None
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
            judgement = self._judge(ladder, sigma)
            exhausted = judgement.calm and CONFIDENCE * judgement.difference_noise[-1] > judgement.bar
            settled = judgement.settled
            enough = settled and judgement.bar <= NOISE_RULES * CONFIDENCE * judgement.best_noise
            if not (exhausted or enough) or h > not_before:
                continue
            if not settled or self._sentinel_agrees(ladder, judgement, sigma):
                break
            not_before = judgement.steps[judgement.rung] * SENTINEL
        if judgement is None:
            return self._judge(ladder, sigma) if len(ladder.steps) >= 3 else None
        return self._climb(ladder, judgement, sigma)

    def _climb(self, ladder: Ladder, judgement: J, sigma: float) -> J:
        """Coarser rungs, as long as noise limits the bar and they shrink it."""
        limit = self.first_step if self.largest_step is None else self.largest_step
        failures = 0
        while failures < 2 and not judgement.has_kink and not judgement.growing:
            h = 2.0 * ladder.steps[0]
            if judgement.rung - judgement.column > 1 or not h <= limit or not ladder.climb(h):
                break
            better = self._judge(ladder, sigma)
            failures = 0 if better.bar < judgement.bar else failures + 1
            judgement = better
        return judgement

    def _without_ladder(self, ladder: Ladder, sigma: float) -> Estimate:
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
        coarse, quantum = coarseness(ladder.seen) if self.may_be_coarse else (UNIT_ROUNDOFF, 0.0)
        absorbed = max(self.roundoff, coarse) * max(abs(ladder.center), self.magnitude)
        absorbed = max(absorbed, quantum)
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

    def _first_move(self, ladder: Ladder, h: float, rung: int) -> float | None:
        """Find the nearest point at which φ is not φ(0)."""
        if rung > 0:
            moved = [values[rung - 1] != ladder.center for values in ladder.values]
            return self._sides[moved.index(True)] * ladder.steps[rung - 1]
        for factor in self.outward:
            for side in self._sides:
                t = side * factor * h
                value = ladder.at(t)
                if not math.isnan(value) and value != ladder.center:
                    return t
        return None
