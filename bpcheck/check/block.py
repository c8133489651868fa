"""One tensor of a check: its lines, what was read along them, and what that says about the claim."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from bpcheck.check.agreement import judge
from bpcheck.check.claim import Claim
from bpcheck.check.lines import Lines, relative_steps
from bpcheck.check.power import smallest_seen
from bpcheck.check.problem import Problem
from bpcheck.check.reading import Reading, by_complex, by_differences, by_line
from bpcheck.errors import InputError, SubjectError
from bpcheck.result import Comparison
from bpcheck.tree import FloatArray, Path, rms
from bpcheck.verdict import Verdict

__all__ = ["Block"]

ENOUGH = 1.0 / 8.0
"""A bound on the claim's rounding within this share of the resolution is not worth nine more gradients:
it widens a limit of the resolution itself by an eighth."""

CONTRADICTORY, TABLE = "contradictory", "table"
"""Regimes of a line that objected to the claim and is not believed: a second measurement said something else, or the
loss is a table of values along it."""

MOST_FRESH = 32
"""Fresh directions that doubt may ask for, 4 for each of 8 suspects (check/doubt.py); the one after is the control's."""

PLANTED = 2.0
"""The negative control plants an error of twice the limit (twice what must be seen)."""


@dataclass(eq=False)
class Block:
    """One tensor under check.

    Attributes
    ----------
    problem : Problem
    claim : Claim
    path : Path
    lines : Lines
    resolution, miss_probability : float
    rng : numpy.random.Generator
    readings : dict of int to Reading
        By number of the line; those missing were not reached.
    is_followed : bool
        Whether the loss goes up in steps along some line, and the claim follows these: a straight-through gradient.
    """

    problem: Problem
    claim: Claim
    path: Path
    lines: Lines
    resolution: float
    miss_probability: float
    rng: np.random.Generator
    method: str = "auto"
    readings: dict[int, Reading] = field(default_factory=dict)
    complex_fault: str = ""
    is_followed: bool = False
    _fresh: int = 0
    _roundings: dict[int, float] = field(default_factory=dict)

    # --- reading -----------------------------------------------------------------------------------

    def read(self, i: int, method: str) -> None:
        """Measure along line ``i``."""
        direction = self.lines.make(i)
        if method == "line":
            # differences first: they know a table or a kink, and what a line integral may not contradict
            reading = by_differences(self.problem, self.path, direction)
            reading = self.sharper(reading, self.line_along(direction))
        elif method == "complex":
            reading = by_complex(self.problem, self.path, direction, self.rng)
        else:
            reading = by_differences(self.problem, self.path, direction)
        self.readings[i] = reading
        self.problem.has_tables |= reading.is_table

    def line_along(self, direction: FloatArray) -> Reading | None:
        """The line-integral test along a direction; None where it says nothing."""
        actual = float(np.sum(self.claim.gradient[self.path] * direction))
        noise = self.claim.noise_along(self.path, direction)
        return by_line(self.problem, self.path, direction, actual, noise) if math.isfinite(noise) else None

    def sharpen(self) -> Iterator[int]:
        """Where differences cannot see what is asked for: line integrals, then the complex step.

        Yields how many lines are still to be read so, before each.
        """
        for method in (self._by_line, self._by_complex):
            if self.limit() <= self.resolution:
                return
            wide = [i for i in self._widest() if self.readings[i].half == 0.0]
            for done, i in enumerate(wide):
                yield len(wide) - done
                better = method(i)
                if better is not None:
                    self.readings[i] = better

    def _widest(self) -> list[int]:
        """Lines whose bar is too wide, the widest first."""
        size_ = self.reference_size()
        bars = {i: self.bar(i) for i in self.readings}
        wide = [i for i, bar in bars.items() if not 2.0 * bar <= self.resolution * size_] or list(bars)
        if not self.lines.entries:
            wide = list(bars)
        return sorted(wide, key=lambda i: -bars[i])

    def _by_line(self, i: int) -> Reading | None:
        old = self.readings[i]
        direction = self.lines.make(i)
        actual = float(np.sum(self.claim.gradient[self.path] * direction))
        if old.regime == "rough" or not abs(actual - old.value) <= old.error + self.rounding_along(i):
            return None
        new = self.line_along(direction)
        return new if new is not None and self._is_better(new, old) else None

    def sharper(self, old: Reading, new: Reading | None) -> Reading:
        """The new reading where it narrows the old one."""
        return new if new is not None and old.half == 0.0 and self._is_better(new, old) else old

    def _by_complex(self, i: int) -> Reading | None:
        if self.complex_fault:
            return None
        try:
            new = by_complex(self.problem, self.path, self.lines.make(i), self.rng)
        except (InputError, SubjectError) as error:  # it does not take complex parameters: then not
            self.complex_fault = str(error)
            return None
        return new if self._is_better(new, self.readings[i]) else None

    @staticmethod
    def _is_better(new: Reading, old: Reading) -> bool:
        """Narrower than differences, which must say the same as far as they see anything (a table has slope 0).

        The complex step does not see a jump (a comparison has no imaginary part), and a small jump at θ looks
        like noise to differences: it is believed where they found the loss smooth.
        """
        smooth = new.method != "complex" or old.regime == "smooth"
        # where the loss stands still, a change may have been absorbed by what is larger inside: differences allow
        # for that, an integral of zeros does not
        still = new.method == "line" and old.regime == "exact"
        return (
            smooth
            and not still
            and new.error < old.error < math.inf
            and abs(new.value - old.value) <= new.error + old.error
        )

    # --- what the readings say -----------------------------------------------------------------------

    def rounding_along(self, i: int) -> float:
        """Bound on the claim's own rounding along line ``i``."""
        if i not in self._roundings:
            if self.lines.entries:
                bounds = self.entry_rounding().ravel()
                self._roundings = {k: float(b) * self.lines.unit(k) for k, b in enumerate(bounds)}
            else:
                self._roundings[i] = self.claim.along(self.path, self.lines.make(i))
        return self._roundings[i]

    def entry_rounding(self) -> FloatArray:
        """Bound on the claim's own rounding in every entry."""
        a_priori = self.claim.a_priori(self.path)
        claim = self.claim.gradient[self.path]
        if float(a_priori.max(initial=0.0)) <= ENOUGH * self.resolution * rms(claim):
            return a_priori
        return np.minimum(a_priori, self.claim.measured(self.path))

    def bar(self, i: int) -> float:
        """Bound on |claim − value| along line ``i`` for a right claim, kinks apart, per unit.

        Where the loss is a table along some lines, standing still along another says nothing.
        """
        if self.problem.has_tables and self.readings[i].regime == "exact":
            return math.inf
        return (self.readings[i].error + self.rounding_along(i)) / self.lines.unit(i)

    @property
    def is_in_doubt(self) -> bool:
        """Whether a difference was seen that a second measurement did not confirm, or that a table explains."""
        return any(reading.regime in (CONTRADICTORY, TABLE) for reading in self.readings.values())

    def known(self) -> list[int]:
        """Lines of which something is known, in order."""
        return sorted(i for i in self.readings if math.isfinite(self.bar(i)))

    def reference_size(self) -> float:
        """Root mean square of the tensor's gradient as measured; of what is natural where it is zero."""
        known = self.known()
        values = np.array([self.readings[i].value / self.lines.unit(i) for i in known])
        bars = np.array([self.bar(i) + self.readings[i].half / self.lines.unit(i) for i in known])
        if not known or not (abs(values) > bars).any():
            step = rms(np.broadcast_to(relative_steps(self.problem.theta[self.path]), self._shape)) or 1.0
            return self.problem.variation / math.sqrt(max(self.problem.count, 1)) / step
        if self.lines.entries:
            return rms(values)
        # ⟨g, v⟩ of a line has the variance step² Σ g², summed over the entries of its group
        squares = 0.0
        for number, group in enumerate(self.lines.groups):
            own = [abs(v) for i, v in zip(known, values, strict=True) if self.lines.group(i) == number]
            squares = math.hypot(squares, rms(np.array(own)) / group.step)
        return squares / math.sqrt(max(self.claim.gradient[self.path].size, 1))

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.claim.gradient[self.path].shape

    def seen(self, group: int) -> float:
        """Norm of an error, in relative steps of a group, that its random lines show but for the miss probability.

        A kink hides as much as the one-sided derivatives are apart.
        """
        bars = [
            self.bar(i) + reading.half for i, reading in self.readings.items() if self.lines.group(i) == group
        ]
        return smallest_seen(bars, self.miss_probability)

    def limit(self) -> float:
        """Smallest error of an entry, in units of the tensor's root mean square, that is sure to be seen."""
        if self.lines.entries:
            bars = [self.bar(i) for i in self.readings]
            widest = max(bars, default=math.inf) if len(bars) == self.lines.count else math.inf
            seen = 2.0 * widest
        else:
            seen = max(self.seen(k) / group.step for k, group in enumerate(self.lines.groups))
        reference = self.reference_size()
        if seen == 0.0:
            return 0.0
        return seen / reference if reference > 0.0 else math.inf

    def compare(self, claim: FloatArray | None = None) -> Comparison:
        """Hold the claim (or another one in its place) against the readings, without confirmation."""
        held = self.claim.gradient[self.path] if claim is None else claim
        return self._by_entry(held) if self.lines.entries else self._by_line_number(held)

    def _by_entry(self, held: FloatArray) -> Comparison:
        expected, kink = np.full(held.shape, np.nan), np.zeros(held.shape)
        bound = np.full(held.shape, np.inf)
        for i, reading in self.readings.items():
            unit = self.lines.unit(i)
            expected.flat[i], kink.flat[i] = reading.value / unit, reading.half / unit
            bound.flat[i] = self.bar(i)
        comparison = judge(
            str(self.path),
            held,
            expected,
            bound,
            kink=kink,
            resolution=self.resolution,
            fallback=self.reference_size(),
        )
        return self._explained(comparison)

    def _by_line_number(self, held: FloatArray) -> Comparison:
        known = self.known()
        label = (
            f"{self.path} along {self.lines.directions} random direction{'s' * (self.lines.directions != 1)}"
        )
        if not known:
            reason = self.why_unknown() or "it was not looked at before the time was up"
            return Comparison(label, Verdict.INCONCLUSIVE, reason)
        actual = np.array([float(np.sum(held * self.lines.make(i))) for i in known])
        comparison = judge(
            label,
            actual,
            np.array([self.readings[i].value for i in known]),
            np.array([self.bar(i) for i in known]),
            kink=np.array([self.readings[i].half for i in known]),
            resolution=math.inf,
            fallback=self.reference_size(),
        )
        limit = self.limit()
        comparison = replace(
            comparison,
            detection_limit=limit,
            reference_size=self.reference_size(),
            reason=comparison.reason.replace(" entries", " slopes").replace("it ", "its slope "),
        )
        if comparison.verdict.ok and self.is_in_doubt:
            # the other lines agree; but one that objected may not be left out because it did
            return replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=self.why_unknown())
        if comparison.verdict.ok and not limit <= self.resolution:
            reason = f"only relative errors above {limit:.1e} are visible, {self.resolution:.1e} is asked for"
            return self._explained(replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason))
        return comparison

    def _explained(self, comparison: Comparison) -> Comparison:
        """Say why nothing could be decided, where the readings know."""
        why = self.why_unknown()
        if comparison.verdict is Verdict.INCONCLUSIVE and why:
            return replace(comparison, reason=why)
        return comparison

    def why_unknown(self) -> str:
        """Why nothing is known along some lines, or nothing."""
        unknown = [reading for i, reading in self.readings.items() if not math.isfinite(self.bar(i))]
        if not unknown and len(self.readings) < self.lines.count and self.lines.entries:
            return (
                f"{self.lines.count - len(self.readings)} of {self.lines.count} entries were not looked at "
                "before the time was up"
            )
        if not unknown:
            return ""
        of = f"along {len(unknown)} of {len(self.readings)} lines"
        count = sum(reading.regime == CONTRADICTORY for reading in unknown)
        if count and self.problem.grid.noise > self.problem.noise:
            return (
                f"the values of the loss lie {self.problem.grid.quantum:.1e} apart or a multiple of it: it is rounded, "
                "which may be all that was seen"
            )
        if count:
            return (
                f"along {count} of {len(self.readings)} lines a difference was seen that a second measurement "
                "did not confirm"
            )
        if self.problem.has_tables or self.is_in_doubt:
            return (
                f"{of} the loss is piecewise constant (rounding, a threshold, an argmax): it stands still and then jumps, "
                "so that differences say nothing about a gradient"
            )
        return f"{of} the loss jumps, is infinitely steep, or has values on one side only"

    def fresh_direction(self, line: int) -> FloatArray:
        """A direction of the same group that was not looked at before."""
        self._fresh += 1
        return self.lines.make(line + self._fresh * self.lines.count)

    # --- the direction -------------------------------------------------------------------------------

    def away(self) -> float:
        """1 if the loss falls where the claim says that it rises, 0 if it does not, NaN if that cannot be seen."""
        claim = self.claim.gradient[self.path]
        largest = float(abs(claim).max(initial=0.0))
        if not 0.0 < largest < math.inf:
            return math.nan
        step = rms(np.broadcast_to(relative_steps(self.problem.theta[self.path]), claim.shape)) or 1.0
        unit = claim / largest
        reading = by_differences(self.problem, self.path, step / rms(unit) * unit)
        if not math.isfinite(reading.error):
            return math.nan
        return float(reading.value + reading.error + reading.half < 0.0)

    # --- the negative control ------------------------------------------------------------------------

    def control(self) -> bool:
        """Whether an error of twice the limit, planted in the claim, is seen with the readings at hand."""
        claim = self.claim.gradient[self.path]
        if not claim.size:
            return True
        planted = np.array(claim)
        if self.lines.entries:
            entry = int(self.rng.integers(claim.size))
            reading = self.readings[entry]
            widest = max(self.bar(i) for i in self.readings)
            planted.flat[entry] += PLANTED * (2.0 * widest + 2.0 * reading.half / self.lines.unit(entry))
            if planted.flat[entry] == claim.flat[entry]:  # nothing to see: no error is too small
                planted.flat[entry] = np.nextafter(claim.flat[entry], np.inf)
        else:
            number = int(self.rng.integers(len(self.lines.groups)))
            # a random shape within one group, independent of the lines
            shape = self.lines.make(number + self.lines.count * (MOST_FRESH + 1))
            amount = PLANTED * self.seen(number) or 1.0
            norm = rms(shape) * math.sqrt(shape.size)  # ‖e∘s‖ = amount for e = amount·shape/(norm·step)
            if not (norm > 0.0 and math.isfinite(amount)):
                return True
            planted += amount / self.lines.groups[number].step * (shape / norm)
        return self.compare(planted).verdict is Verdict.DISAGREES
