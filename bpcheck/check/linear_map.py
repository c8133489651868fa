"""Judging a claimed derivative map: vjp or jvp against finite differences, against each other, against itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bpcheck.check.agreement import judge
from bpcheck.check.kinks import ALIKE
from bpcheck.check.measurements import CONFIDENCE, MIXTURES, Measurements
from bpcheck.check.pairs import MIXED, Claim, Column, Row, Table, dots, parts, root_sum_squares
from bpcheck.check.power import bars_seen_by_pairs
from bpcheck.check.questions import Questions
from bpcheck.result import Comparison, Estimate
from bpcheck.tree import FloatArray, rms
from bpcheck.verdict import Verdict

__all__ = ["KEPT", "MapCheck"]

# As in doubt.py: a difference counts after a second measurement with other steps and fresh noise.
CONFIRMATIONS = 8
SECOND_STEP = 0.7

# Where kinks lie everywhere (a sort or a ReLU network in float32), bars of one ladder hold in 93 to 99 % only, and
# two ladders may err alike: a difference must be so much larger there. (1 false alarm in 96 such checks without.)
ROUGH = 10.0

# At a kink the check is made once more so far away, in units of each tensor's size. Far enough that a unit
# which was at its kink is beside it by 1e-3 of its input, near enough to be the same code path otherwise.
JITTER = 1e-3

# Leaving out a pair must narrow the bars by this factor to be worth it: with 8 × 8 pairs c grows by 1.2 for each
# direction or cotangent that is missing.
USELESS = 0.5

# A planted error of this many detection limits must be caught on the caller's own problem.
CONTROL = 2.0

KEPT = (
    "a second call with the same arguments gave another answer: something is kept between calls "
    "(a sum that is never reset, a cache, a random number)"
)


@dataclass(eq=False, kw_only=True)
class MapCheck(Measurements):
    """One run, at one point; what it finds is added to ``asked.findings``.

    Attributes
    ----------
    resolution, miss_probability : float
    is_second_look : bool
        Whether this is a run beside a kink.
    kinked : set of str
        Paths of comparisons that disagree, but at a kink.
    """

    resolution: float
    miss_probability: float
    is_second_look: bool = False
    kinked: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Ask, difference, judge."""
        self.asked.start()
        if self.asked.broken:
            return
        rows, columns = self.plan()
        claims = self.claims(self.reverse, rows, columns)
        if not self.asked.broken:
            self.second_call(rows, columns, claims)
        if self.asked.broken:
            return
        doubts = self.claim_noise(self.reverse, rows, columns, claims)
        self.look_around()
        tables = self.difference(rows, columns)
        for table, doubt in zip(tables, doubts, strict=True):
            table.doubt = doubt
            table.bound += doubt
        self.judge_all(rows, columns, claims, tables)
        if not self.reverse:
            self.judge_joint_tangent(columns, tables)
        if self.asked.vjp is not None and self.asked.jvp is not None:
            self.judge_dots(rows, columns, claims, doubts)
        at_kink = any(c.verdict is Verdict.AGREES_AT_KINK for c in self.asked.findings)
        if at_kink and not self.is_second_look:
            self.judge_ties(rows)
        if not self.is_second_look and (self.kinked or (at_kink and not self.whole)):
            self.look_beside()

    # --- judging ---------------------------------------------------------------------------------

    def judge_all(
        self, rows: list[Row], columns: list[list[Column]], claims: list[Claim], tables: list[Table]
    ) -> None:
        """One comparison for each tensor and output; one for mixtures where they alone are wrong."""
        for number, block in enumerate(self.asked.arguments.blocks):
            for output in sorted({row.output for row in rows} - {MIXED}):
                self.judge_one(number, output, rows, columns[number], claims[number], tables)
            mixed = [r for r, row in enumerate(rows) if row.output == MIXED]
            if mixed and self.reverse:
                comparison = self.confirmed(
                    f"{block.path}: cotangents of several outputs at once",
                    mixed,
                    columns[number],
                    claims[number],
                    tables[number],
                    self.natural(number, MIXED, rows, tables),
                )
                if comparison.verdict.severity > Verdict.INCONCLUSIVE.severity:
                    self.asked.find([comparison])

    def judge_one(
        self,
        number: int,
        output: int,
        rows: list[Row],
        mine: list[Column],
        claim: Claim,
        tables: list[Table],
    ) -> None:
        """One tensor against one output."""
        block, table = self.asked.arguments.blocks[number], tables[number]
        which = [r for r, row in enumerate(rows) if row.output == output]
        natural = self.natural(number, output, rows, tables)
        of = f" of {self.asked.outputs.paths[output]}" if len(self.asked.outputs.paths) > 1 else ""
        if self.whole:
            label = f"{block.path}: every entry of the Jacobian{of}"
        elif self.reverse:
            label = f"{block.path}: cotangent{of} along {len(mine)} random direction{'s' * (len(mine) != 1)}"
        else:
            label = f"{block.path}: {len(mine)} random tangent{'s' * (len(mine) != 1)}{of}"
        shape = (*self.asked.outputs.shapes[output], *block.array.shape) if self.whole else None
        comparison = self.confirmed(label, which, mine, claim, table, natural, shape)
        if not self.whole:
            comparison = self.with_limit(
                comparison, block.array.size, output, natural, kinked=bool(table.kink[which].any())
            )
        if comparison.verdict.ok and not self.control_is_caught(comparison, number, output, rows, mine):
            reason = "self-test failed: a deliberate error of twice the stated limit went unnoticed, so no verdict is given"
            comparison = replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason)
        self.asked.find([comparison])

    def natural(self, number: int, output: int, rows: list[Row], tables: list[Table]) -> float:
        """The size to which a derivative that is zero is held: what other tensors do, or what f does at all."""
        block = self.asked.arguments.blocks[number]
        which = [r for r, row in enumerate(rows) if row.output == output]
        # per relative step of the whole tensor in both cases, then per unit of an entry
        sizes = [
            rms(table.value[which]) * (other.size if self.whole else 1.0)
            for other, table in zip(self.asked.arguments.blocks, tables, strict=True)
        ]
        moved = float(self.variation.max() if output == MIXED else self.variation[output])
        if not self.whole:
            moved *= math.sqrt(self.asked.base.size if output == MIXED else self.asked.outputs.sizes[output])
        largest = max((size for size in sizes if math.isfinite(size)), default=0.0)
        return max(largest, moved) / (block.size if self.whole else 1.0)

    def confirmed(
        self,
        label: str,
        which: list[int],
        mine: list[Column],
        claim: Claim,
        table: Table,
        natural: float,
        shape: tuple[int, ...] | None = None,
    ) -> Comparison:
        """Judge, and believe DISAGREES only if a second measurement says so too."""
        actual = claim.value[which]
        value, bound, kink = table.value[which], table.bound[which], table.kink[which]
        form = actual.shape if shape is None else shape

        def verdict() -> Comparison:
            return judge(
                label,
                actual.reshape(form),
                value.reshape(form),
                bound.reshape(form),
                kink=kink.reshape(form),
                resolution=self.resolution,
                fallback=natural,
            )

        for _ in range(CONFIRMATIONS):
            comparison = verdict()
            if comparison.verdict is not Verdict.DISAGREES:
                return comparison
            flat = int(np.ravel_multi_index(comparison.worst_index, form)) if form else 0
            r, j = divmod(flat, len(mine))
            again = self.once_more(which[r], mine[j])
            middle, error, half = parts(again, mine[j].unit)
            if again.regime == "rough":
                error *= ROUGH
            error, half = error + table.doubt[which[r], j], max(half, kink[r, j])
            same = abs(middle - value[r, j]) <= error + bound[r, j] + half + kink[r, j]
            if same and not abs(actual[r, j] - middle) <= error + half:
                if kink.any() or again.interval is not None:
                    self.kinked.add(comparison.path)
                return comparison
            value[r, j], bound[r, j] = middle, math.inf  # the two contradict each other: cannot be decided
        return verdict()

    def once_more(self, row: int, column: Column) -> Estimate:
        """Difference one row along one direction again: other steps, noise measured anew."""
        values = self.along(self.random_steps())
        noise = self.noise.copy()
        floor = (
            self.asked.roundoff
            / math.sqrt(3.0)
            * float(root_sum_squares(self.rows[row : row + 1], self.asked.base)[0])
        )
        noise[row] = max(self.f_noise(values, row), floor)
        return self.estimates({column.block: column.vector}, [row], noise, SECOND_STEP)[0]

    def with_limit(
        self, comparison: Comparison, size: int, output: int, natural: float, *, kinked: bool = False
    ) -> Comparison:
        """The smallest error that random pairs see, of one entry of a cotangent (of a tangent, for jvp).

        In units of the root mean square of that tensor: ‖J‖/√n for a cotangent of n entries, whose
        error is ‖E‖ where E is a single column.
        """
        if comparison.expected is None or comparison.bound is None:
            return comparison
        if comparison.verdict.severity > Verdict.INCONCLUSIVE.severity:
            return comparison
        size_of_output = self.asked.base.size if output == MIXED else self.asked.outputs.sizes[output]
        scale = rms(np.where(np.isfinite(comparison.bound), comparison.expected, 0.0))
        if not scale > float(np.min(comparison.bound)):
            scale = natural
        seen = self.smallest_seen(np.asarray(comparison.bound)) * math.sqrt(
            size if self.reverse else size_of_output
        )
        limit = seen / scale if scale > 0 else math.inf
        if limit <= self.resolution:
            # a ladder that ended nowhere sees nothing and spoils nothing: the other pairs are enough
            verdict = Verdict.AGREES_AT_KINK if kinked else Verdict.AGREES
            reason = comparison.reason if comparison.verdict.ok else ""
        else:
            verdict = Verdict.INCONCLUSIVE
            reason = f"only relative errors above {limit:.1e} are visible, {self.resolution:.1e} is asked for"
        return replace(comparison, verdict=verdict, reason=reason, detection_limit=limit)

    def smallest_seen(self, bound: FloatArray) -> float:
        """The norm of an error that pairs see, some of which have wide bars: the best of the narrow ones."""
        columns = np.argsort(bound.max(axis=0))
        widest = bound.max(axis=0)[columns]
        best = math.inf
        for m in _worth_it(widest):
            rows = np.sort(bound[:, columns[:m]].max(axis=1))
            for k in _worth_it(rows):
                bars = bars_seen_by_pairs(m, k, self.miss_probability)
                best = min(best, bars * float(rows[k - 1]))
        return best

    def control_is_caught(
        self, comparison: Comparison, number: int, output: int, rows: list[Row], mine: list[Column]
    ) -> bool:
        """Whether an error of rank one, twice the limit, planted in the claim, would be called wrong."""
        actual, expected, bound = comparison.actual, comparison.expected, comparison.bound
        assert actual is not None
        assert expected is not None
        assert bound is not None
        widest = float(np.max(bound[np.isfinite(bound)], initial=0.0))
        excused = abs(actual - expected) > bound  # what lies elsewhere in the interval of a kink
        if widest == 0.0 or excused.all():
            return True  # known exactly: every difference is seen; or nothing is claimed to be known
        if excused.any() and not self.whole:
            return True  # the limit is that of the second look, beside the kink, with its own control
        if self.whole:
            planted = np.zeros(actual.shape)
            planted.flat[self.rng.choice(np.flatnonzero(~excused))] = CONTROL * 2.0 * widest
        else:
            part, block = self.asked.outputs.slices()[output], self.asked.arguments.blocks[number]
            left = _unit(self.rng.standard_normal(self.asked.outputs.sizes[output]))
            right = _unit(self.rng.standard_normal(block.array.size))
            seen = np.array([row.vector[part] @ left for row in rows if row.output == output])
            along = np.array([column.vector.ravel() @ right for column in mine]) / block.size
            planted = CONTROL * self.smallest_seen(bound) * np.outer(seen, along)
        # from the right value, not from the claim: the claim may lie anywhere within its bound
        wrong = expected + planted + np.where(excused, actual - expected, 0.0)
        kink = np.where(excused, abs(actual - expected), 0.0)
        return judge("control", wrong, expected, bound, kink=kink).verdict is Verdict.DISAGREES

    def judge_ties(self, rows: list[Row]) -> None:
        """A claim within one-sided derivatives, along a direction that moves all entries of a tensor alike.

        Each element of a tie may have its gradient, but not both: that shows where they are moved together.
        """
        columns = [
            [Column(number, block.size * (1.0 + ALIKE * self.rng.standard_normal(block.array.shape)))]
            for number, block in enumerate(self.asked.arguments.blocks)
        ]
        claims = self.claims(self.reverse, rows, columns)
        if self.asked.broken:
            return
        doubts = self.claim_noise(self.reverse, rows, columns, claims)
        tables = self.difference(rows, columns)
        for number, block in enumerate(self.asked.arguments.blocks):
            table = tables[number]
            allowed = table.bound + doubts[number] + table.kink
            known = np.isfinite(allowed) & np.isfinite(table.value)
            if (abs(claims[number].value - table.value) <= allowed)[known].all():
                continue
            reason = (
                "f has corners here (as ReLU at 0); what is claimed is valid where one entry moves, but not where all move "
                "alike: a tie may be counted twice, or the slopes chosen at several corners add up to that"
            )
            for i, found in enumerate(self.asked.findings):
                if found.verdict is Verdict.AGREES_AT_KINK and found.path.startswith(f"{block.path}:"):
                    self.asked.findings[i] = replace(found, verdict=Verdict.INCONCLUSIVE, reason=reason)

    def judge_joint_tangent(self, columns: list[list[Column]], tables: list[Table]) -> None:
        """A tangent of all arguments (of all entries) at once: right for each alone is not enough."""
        if self.asked.broken:
            return
        outputs = list(range(len(self.rows)))
        for _ in range(MIXTURES):
            steps = self.random_steps()
            pushed = self.asked.push(steps)
            claim, size = self.rows @ pushed, root_sum_squares(self.rows, pushed)
            if self.asked.broken:
                return
            if self.whole:
                units = [
                    np.array([float(steps[b][index]) for index in np.ndindex(steps[b].shape)])
                    for b in range(len(tables))
                ]
                value = sum(t.value @ v for t, v in zip(tables, units, strict=True))
                bound = sum(t.bound @ abs(v) for t, v in zip(tables, units, strict=True))
                kink = sum(t.kink @ abs(v) for t, v in zip(tables, units, strict=True))
            else:
                table = Table.empty(len(outputs), 1)
                estimates = self.estimates(steps, outputs, self.noise)
                for r, estimate in enumerate(estimates):
                    table.put((r, 0), estimate, 1.0)
                self.allow_for_kinks(table, 0, steps, estimates)
                value, kink = table.value[:, 0], table.kink[:, 0]
                doubt = (
                    sum(t.doubt.max(axis=1) for t in tables) + CONFIDENCE * self.asked.claim_roundoff * size
                )
                bound = table.bound[:, 0] + doubt
            comparison = judge(
                "all arguments at once", claim, value, bound, kink=kink, resolution=1.0, fallback=1.0
            )
            if comparison.verdict.severity > Verdict.INCONCLUSIVE.severity:
                self.asked.find([comparison])

    def judge_dots(
        self, rows: list[Row], columns: list[list[Column]], claims: list[Claim], doubts: list[FloatArray]
    ) -> None:
        """⟨ȳ, jvp(v)⟩ against ⟨vjp(ȳ), v⟩: no finite differences, only rounding."""
        others = self.claims(not self.reverse, rows, columns)
        if any(c.verdict in (Verdict.WRONG_STRUCTURE,) for c in self.asked.findings):
            return
        more = self.claim_noise(not self.reverse, rows, columns, others)
        pulled, pushed = (claims, others) if self.reverse else (others, claims)
        for number, block in enumerate(self.asked.arguments.blocks):
            bound = doubts[number] + more[number]
            value = pushed[number].value
            natural = max(rms(claim.value) for claim in pushed) or float(self.variation.max())
            comparison = judge(
                f"{block.path}: vjp against jvp",
                pulled[number].value,
                value,
                bound,
                resolution=self.resolution,
                fallback=natural,
            )
            if not self.whole:
                comparison = self.with_limit(comparison, block.array.size, MIXED, natural)
            self.asked.find([comparison])

    def second_call(self, rows: list[Row], columns: list[list[Column]], claims: list[Claim]) -> None:
        """The same question again must give the same answer."""
        again = [Claim.empty(len(rows), len(mine)) for mine in columns]
        if self.reverse:
            part: Any = np.s_[:1]
            for number, array in self.asked.pull(rows[0].scale * rows[0].vector).items():
                again[number].put(0, *dots(array, columns[number]), rows[0].scale)
        else:
            part = np.s_[:, :1]
            for number, mine in enumerate(columns):
                scale = self.tangent_scale(0)
                pushed = self.asked.push({number: scale * mine[0].vector / mine[0].unit})
                again[number].put(np.s_[:, 0], self.rows @ pushed, 0.0 * self.rows[:, 0], scale)
        for number, block in enumerate(self.asked.arguments.blocks):
            now, before = again[number].value[part], claims[number].value[part]
            if np.array_equal(now, before, equal_nan=True):
                continue
            size = rms(claims[number].size[part])
            if not float(np.max(abs(now - before))) <= self.resolution * size:
                allowed = np.full(now.shape, self.resolution * size)
                self.asked.warn(KEPT)
                self.asked.find([judge(f"{block.path} at the second call", now, before, allowed)])
            else:
                self.asked.warn("two calls with the same arguments gave slightly different answers")

    def look_beside(self) -> None:
        """At a kink many answers are valid along a direction; beside it only one is.

        Where several units are at their kinks and are added up, a claim may choose for each of them and
        so leave the interval between the one-sided derivatives of the sum: nothing is wrong then.
        """
        steps = {number: JITTER * step for number, step in self.random_steps().items()}
        asked = self.asked
        there_asked = Questions(
            asked.f, asked.vjp, asked.jvp, asked.arguments.beside(steps), asked.clock, asked.evaluations
        )
        beside = replace(self, asked=there_asked, is_second_look=True, kinked=set())
        try:
            beside.run()
        finally:
            asked.evaluations = there_asked.evaluations
            for warning in there_asked.warnings:
                asked.warn(warning)
        there = {comparison.path: comparison for comparison in there_asked.findings}
        worst = max((c.verdict.severity for c in there_asked.findings), default=0)
        beside_is_fine = (
            worst <= Verdict.INCONCLUSIVE.severity
        )  # mixtures are only told of where they are wrong
        for i, comparison in enumerate(asked.findings):
            other = there.pop(comparison.path, None)
            fine = (
                beside_is_fine
                if other is None
                else not other.verdict.severity > Verdict.INCONCLUSIVE.severity
            )
            if comparison.path in self.kinked and fine:
                reason = (
                    f"it is no valid slope of a single corner of f, but at arguments moved by {JITTER:g} nothing is wrong: "
                    "several units may be at their corners at once"
                )
                asked.findings[i] = replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason)
            if comparison.verdict is not Verdict.AGREES_AT_KINK or other is None or self.whole:
                continue
            if other.verdict is Verdict.AGREES:
                reason = f"{comparison.reason}; at arguments moved by {JITTER:g} the claim is right"
                limit = other.detection_limit
                asked.findings[i] = replace(comparison, reason=reason, detection_limit=limit)
            elif not other.verdict.ok:
                asked.findings[i] = replace(
                    other, reason=f"at arguments moved by {JITTER:g}, beside a corner of f: {other.reason}"
                )
            else:
                reason = "f has corners here and everywhere around: no point was found that decides it"
                asked.findings[i] = replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason)
        asked.find([other for other in there.values() if not other.verdict.ok])


def _worth_it(ascending: FloatArray) -> list[int]:
    """How many of the narrowest bars to take: all, or those before a jump."""
    count = len(ascending)
    return [
        n
        for n in range(count, 0, -1)
        if math.isfinite(ascending[n - 1]) and (n == count or ascending[n - 1] <= USELESS * ascending[n])
    ]


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / math.sqrt(float(np.sum(vector**2))))
