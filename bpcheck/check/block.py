"""One tensor of a check: its lines, what was read along them, and what that says about the claim."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from bpcheck.check.agreement import judge
from bpcheck.check.claim import CONFIDENCE, Claim
from bpcheck.check.lines import Lines, relative_steps
from bpcheck.check.power import smallest_seen
from bpcheck.check.problem import Problem
from bpcheck.check.reading import Reading, by_complex, by_differences, by_line
from bpcheck.errors import InputError, SubjectError
from bpcheck.numeric.adaptive import FAR_OUTWARD
from bpcheck.numeric.ladder import FIRST_STEP
from bpcheck.numeric.noise import coarseness, is_continuous
from bpcheck.result import Comparison
from bpcheck.tree import FloatArray, Path, rms
from bpcheck.verdict import Verdict

__all__ = ["Block"]

SECOND_STEP = 0.7
"""First step of a second measurement, against the first: near 1/√2, so that all rungs, halvings of one another, lie
midway between those of the first."""

CONFIRMATIONS = 8
"""A difference is only called wrong after a second measurement; if the first suspects of a tensor do not
stand up to it, the next ones are tried, up to this many, at the price of a line each (13 evaluations); where none
stands, the answer is INCONCLUSIVE, whatever their number."""

FRESH = 4
"""Fresh random directions of which one at least must show the error too. One whose size is that of the
difference just seen shows along a random direction with probability 0.6 or more: four miss it in 2 %,
and the answer is then INCONCLUSIVE."""

ENOUGH = 1.0 / 8.0
"""A bound on the claim's rounding within this share of the resolution is not worth nine more gradients:
it widens a limit of the resolution itself by an eighth."""

KINK_STEP = 2.0**-10
"""Relative step at which the sign of a kink is read: the second difference is J·h there, plus curvature times h²."""

ADDS_UP = 0.1
"""Share of the jumps within which a joint one must be known before it may tell that they add up: a maximum of two equal
numbers jumps by ||v₁| − |v₂|| instead of |v₁| + |v₂|, which some of eight random lines tell apart by far more."""

MOVED = 256.0
"""Roundings by which a loss must have moved where it stands still to be told from a table: of terms that are absorbed one
by one (each moves by half a unit of a sum 2^8 times larger at most) none is left standing."""

STILL = 2.0**-20
"""… and at least so far, 16 units of float32: parameters that are only cast to float32 inside have moved by then."""

ALIKE, ALIKE_LINES = 0.1, 2
"""All entries move by the same relative step, but for a tenth: the two of a tie then differ by 0.14 of what each moves
(√2 · 0.1, in the median 0.1), and a claim that counts both is outside by the other 0.9. Twice, for entries may cancel."""

CONTRADICTORY, TABLE = "contradictory", "table"
"""Regimes of a line that objected to the claim and is not believed: a second measurement said something else, or the
loss is a table of values along it."""

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
            reading = self._sharper_than(reading, self._line_along(direction))
        elif method == "complex":
            reading = by_complex(self.problem, self.path, direction, self.rng)
        else:
            reading = by_differences(self.problem, self.path, direction)
        self.readings[i] = reading
        self.problem.has_tables |= reading.is_table

    def _line_along(self, direction: FloatArray) -> Reading | None:
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
        if old.regime == "rough" or not abs(actual - old.value) <= old.error + self._rounding(i):
            return None
        new = self._line_along(direction)
        return new if new is not None and self._is_better(new, old) else None

    def _sharper_than(self, old: Reading, new: Reading | None) -> Reading:
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

    def _rounding(self, i: int) -> float:
        """Bound on the claim's own rounding along line ``i``."""
        if i not in self._roundings:
            if self.lines.entries:
                bounds = self._entry_rounding().ravel()
                self._roundings = {k: float(b) * self.lines.unit(k) for k, b in enumerate(bounds)}
            else:
                self._roundings[i] = self.claim.along(self.path, self.lines.make(i))
        return self._roundings[i]

    def _entry_rounding(self) -> FloatArray:
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
        return (self.readings[i].error + self._rounding(i)) / self.lines.unit(i)

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
            reason = self._why_unknown() or "it was not looked at before the time was up"
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
        comparison = replace(comparison, detection_limit=limit, reference_size=self.reference_size())
        if comparison.verdict.ok and self.is_in_doubt:
            # the other lines agree; but one that objected may not be left out because it did
            return replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=self._why_unknown())
        if comparison.verdict.ok and not limit <= self.resolution:
            reason = f"only relative errors above {limit:.1e} are visible, {self.resolution:.1e} is asked for"
            return self._explained(replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason))
        return comparison

    def _explained(self, comparison: Comparison) -> Comparison:
        """Say why nothing could be decided, where the readings know."""
        why = self._why_unknown()
        if comparison.verdict is Verdict.INCONCLUSIVE and why:
            return replace(comparison, reason=why)
        return comparison

    def _why_unknown(self) -> str:
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
                "and what was seen may be that"
            )
        if count:
            return (
                f"along {count} of {len(self.readings)} lines a difference was seen that a second measurement "
                "did not confirm"
            )
        if self.problem.has_tables or self.is_in_doubt:
            return (
                f"{of} the loss stands still and then jumps: it is a table of values (rounding, a "
                "threshold, an argmax), of which differences say nothing"
            )
        return f"{of} the loss jumps, is infinitely steep, or has values on one side only"

    # --- believing a difference ----------------------------------------------------------------------

    def confirmed(self) -> Comparison:
        """Compare, and believe DISAGREES only if a second measurement says so too."""
        for _ in range(CONFIRMATIONS):
            comparison = self.compare()
            if comparison.verdict is not Verdict.DISAGREES:
                return comparison
            line = self.line_of(comparison)
            objection = self._objection(line)
            if not objection:
                return comparison
            self.readings[line] = replace(
                self.readings[line], error=math.inf, regime=objection, value=math.nan
            )
        comparison = self.compare()
        if comparison.verdict is not Verdict.DISAGREES:
            return comparison
        # as many suspects as were tried did not stand up to it: nor do those that were not
        return replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=self._why_unknown())

    def line_of(self, comparison: Comparison) -> int:
        """Which line the worst entry of a comparison is."""
        if self.lines.entries:
            shape = self.claim.gradient[self.path].shape
            return int(np.ravel_multi_index(comparison.worst_index, shape)) if shape else 0
        known = self.known()
        return known[comparison.worst_index[0]]

    def _objection(self, line: int) -> str:
        """Why a difference along a line is not to be believed (a regime), or nothing.

        It is measured once more, with noise measured anew, other steps, and fresh directions.
        """
        first, direction = self.readings[line], self.lines.make(line)
        rounding = self._rounding(line) + self._measured_rounding(direction)
        actual = float(np.sum(self.claim.gradient[self.path] * direction))
        if first.method == "complex":
            # analytic as far as the cross-check can see: below that, who asked for this method vouches for it
            second = (
                by_complex(self.problem, self.path, direction, self.rng)
                if self.method == "complex"
                else by_differences(self.problem, self.path, direction)
            )
            allowed = second.error + second.half + rounding
            beyond = math.isfinite(allowed) and not abs(actual - second.value) <= allowed
            return "" if beyond else CONTRADICTORY
        if first.value and self._is_still(direction, first.value):
            return TABLE
        confirm = self._confirm_differences if first.method == "central" else self._confirm_line
        objection = confirm(first, direction, actual, rounding)
        if objection or self.lines.entries or self._shows_elsewhere(line, first.method):
            return objection
        return CONTRADICTORY

    def _confirm_differences(
        self, first: Reading, direction: FloatArray, actual: float, rounding: float
    ) -> str:
        second = by_differences(
            self.problem,
            self.path,
            direction,
            noise=self.problem.fresh_noise(self.path),
            shrunk=SECOND_STEP,
            outward=FAR_OUTWARD,
        )
        if second.is_table:
            self.problem.has_tables = True
            return TABLE
        same = abs(second.value - first.value) <= second.error + first.error + second.half + first.half
        if (
            not same
            or not math.isfinite(second.error)
            or abs(actual - second.value) <= second.error + second.half + rounding
        ):
            return CONTRADICTORY
        self.is_followed = self.is_followed or self._follows_steps(direction, actual, second.value)
        return TABLE if self.is_followed else ""

    def _confirm_line(self, first: Reading, direction: FloatArray, actual: float, rounding: float) -> str:
        second = by_line(
            self.problem,
            self.path,
            direction,
            actual,
            self.claim.noise_along(self.path, direction),
            noise=self.problem.fresh_noise(self.path),
            shrunk=SECOND_STEP,
        )
        if second is None or abs(actual - second.value) <= second.error + rounding:
            return CONTRADICTORY
        # another segment has another mean error: of the same sign if the claim is wrong around θ
        return "" if (first.value - actual) * (second.value - actual) > 0.0 else CONTRADICTORY

    def _is_still(self, direction: FloatArray, value: float) -> bool:
        """Whether the loss does not move at all so close to θ, though with this slope it would by MOVED roundings.

        Many steps close together have a trend, which differences take for a derivative, and noise; between them the
        loss stands still.
        """
        seen = [
            self.problem.loss(self.problem.at(self.path, t * direction)) for t in (-FIRST_STEP, FIRST_STEP)
        ]
        coarse, quantum = coarseness([self.problem.level, *seen])
        unit = max(max(self.problem.roundoff, coarse) * max(map(abs, seen)), quantum)
        h = max(STILL, MOVED * unit / abs(value))
        if not h < FIRST_STEP:
            return False
        along = self.problem.along(self.path, direction)
        return along(h) == along(-h) == self.problem.level

    def _follows_steps(self, direction: FloatArray, actual: float, value: float) -> bool:
        """Whether the loss goes up in steps along a line, and the claim follows these instead of the slope between.

        So does a straight-through gradient: of int8 weights with a smooth penalty, differences see the penalty's.
        """
        along = self.problem.along(self.path, direction)
        for h in (FIRST_STEP, FIRST_STEP / 2.0):
            up, down = along(h), along(-h)
            steps = (up - down) / (2.0 * h)
            if not abs(actual - steps) < 0.5 * abs(value - steps):
                return False
        rounding = self.problem.roundoff * max(abs(up), abs(down))
        return not is_continuous(along, 0.0, FIRST_STEP, slope=value, rounding=rounding)

    def _measured_rounding(self, direction: FloatArray) -> float:
        """What the claim's own arithmetic does along a line, where that is rounding.

        A claim that jitters by more than √u has lost half its digits or more: that is no excuse, but a fault.
        """
        noise = CONFIDENCE * self.claim.noise_along(self.path, direction)
        terms = rms(self.claim.gradient[self.path] * direction) * math.sqrt(direction.size)
        return noise if noise <= math.sqrt(self.claim.roundoff) * terms else 0.0

    def _shows_elsewhere(self, line: int, method: str) -> bool:
        """Whether the error shows along a direction that was not looked at before."""
        for _ in range(FRESH):
            self._fresh += 1
            direction = self.lines.make(line + self._fresh * self.lines.count)
            actual = float(np.sum(self.claim.gradient[self.path] * direction))
            reading = by_differences(self.problem, self.path, direction)
            if method == "line":
                reading = self._sharper_than(reading, self._line_along(direction))
            allowed = reading.error + reading.half + self.claim.along(self.path, direction)
            if math.isfinite(reading.error) and not abs(actual - reading.value) <= allowed:
                return True
        return False

    # --- kinks ---------------------------------------------------------------------------------------

    def is_beyond(self, i: int) -> bool:
        """Whether the claim along line ``i`` is further from the reading than its bar and kink allow."""
        reading, direction = self.readings[i], self.lines.make(i)
        actual = float(np.sum(self.claim.gradient[self.path] * direction))
        allowed = reading.error + reading.half + self._rounding(i)
        return not abs(actual - reading.value) <= allowed

    def joint_kinks_disagree(self, directions: int) -> bool:
        """Whether the claim is outside the one-sided derivatives along lines that move all kinked entries.

        Only where each line moved one entry: random lines have moved them together already. A loss in which
        the kinks add up, f = |x| − |y|, is no objection: there each entry may choose for itself, whatever
        lines that move both say. It shows in the jumps of the slope, which then add up too.
        """
        kinked = [i for i, reading in self.readings.items() if reading.half > 0.0]
        if not self.lines.entries or len(kinked) < 2:
            return False
        jumps = np.array([self._signed_jump(i) for i in kinked])
        outside, additive = False, True
        for _ in range(directions):
            amounts = self.rng.standard_normal(len(kinked))
            direction = np.zeros(self.problem.theta[self.path].shape)
            for i, amount in zip(kinked, amounts, strict=True):
                direction.flat[i] = self.lines.unit(i) * amount
            reading = by_differences(self.problem, self.path, direction)
            if not math.isfinite(reading.error):
                continue
            doubt = sum(abs(a) * self.readings[i].error for i, a in zip(kinked, amounts, strict=True))
            together = 0.5 * abs(float(np.sum(jumps * abs(amounts))))
            slack = reading.error + doubt
            sharp = slack <= ADDS_UP * float(np.sum(abs(jumps * amounts)))
            additive &= sharp and abs(reading.half - together) <= slack
            rounding = float(np.sum(self._entry_rounding() * abs(direction)))
            actual = float(np.sum(self.claim.gradient[self.path] * direction))
            outside |= not abs(actual - reading.value) <= reading.error + reading.half + rounding
        return outside and not additive

    def is_counted_twice(self) -> bool:
        """Whether the claim is beyond the one-sided derivatives along lines that move all entries alike.

        Random lines move the two elements of a tie apart, and the intervals of many ties add up until they hide
        everything. Moved alike, a tie is hardly a kink, but counts twice if both elements were given its gradient.
        """
        steps = relative_steps(self.problem.theta[self.path])
        for _ in range(ALIKE_LINES):
            direction = np.asarray(steps * (1.0 + ALIKE * self.rng.standard_normal(self._shape)))
            reading = by_differences(self.problem, self.path, direction)
            actual = float(np.sum(self.claim.gradient[self.path] * direction))
            allowed = reading.error + reading.half + self.claim.along(self.path, direction)
            if not math.isfinite(allowed) or abs(actual - reading.value) <= allowed:
                return False  # inside, or nothing can be said
        return True

    def confirm_kinks(self) -> None:
        """A kink that a second measurement does not see excuses nothing: its interval is doubt, and counts as such.

        Noise with heavy tails makes a jump of the slope now and then (1 in 15,000 lines of Student's t).
        """
        for i, reading in self.readings.items():
            if reading.half == 0.0:
                continue
            second = by_differences(self.problem, self.path, self.lines.make(i), shrunk=SECOND_STEP)
            if second.half == 0.0:
                self.readings[i] = replace(
                    reading,
                    error=reading.error + reading.half,
                    half=0.0,
                    rounding=reading.rounding + reading.half,
                    regime="noise",
                )

    def _signed_jump(self, i: int) -> float:
        """φ'(0+) − φ'(0−) along line ``i``: its size as it was read, its sign by a second difference."""
        along = self.problem.along(self.path, self.lines.make(i))
        second = (along(KINK_STEP) - self.problem.level) + (along(-KINK_STEP) - self.problem.level)
        return math.copysign(2.0 * self.readings[i].half, second)

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
            shape = self.lines.make(number + self.lines.count * (CONFIRMATIONS * FRESH + 1))
            amount = PLANTED * self.seen(number) or 1.0
            norm = rms(shape) * math.sqrt(shape.size)  # ‖e∘s‖ = amount for e = amount·shape/(norm·step)
            if not (norm > 0.0 and math.isfinite(amount)):
                return True
            planted += amount / self.lines.groups[number].step * (shape / norm)
        return self.compare(planted).verdict is Verdict.DISAGREES
