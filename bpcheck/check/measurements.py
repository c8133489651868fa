"""The numbers behind check_vjp() and check_jvp(): ⟨ȳ, Jv⟩ as claimed, and by finite differences.

f is evaluated once for each step along a direction and serves all cotangents; each has its own ladder of
differences with its own noise, on the same evaluations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bpcheck.check.pairs import MIXED, Claim, Column, Once, Row, Table, dots, root_sum_squares, times
from bpcheck.check.questions import Questions
from bpcheck.numeric import Central, measure_noise
from bpcheck.numeric.noise import UNIT_ROUNDOFF, is_coarse
from bpcheck.report.progress import Progress
from bpcheck.result import Estimate
from bpcheck.tree import FloatArray, rms

__all__ = ["Measurements"]

# Up to so many entries the whole Jacobian is differenced, each entry on its own: 600 ladders take about a
# second of our own time, and f is evaluated some 12 times for each number that goes in.
EVERY_ENTRY_UP_TO = 600

# Cotangents of all outputs at once, or of a mixture of all entries where the Jacobian is checked entry by
# entry: a map that is right for each alone and wrong for both is not linear.
MIXTURES = 2

# A linear map does not care about the size of a cotangent, other maps do (a clipped gradient, a threshold).
# Powers of two: scaling back is exact. float16 holds 2^±6 times anything near 1.
SCALES = (1.0, 2.0**6, 2.0**-6)

# Calls that are watched for changed arguments; a call that changes them does so at once.
WATCHED = 2

# As in problem.py: the noise of f is the largest along this many directions.
NOISE_DIRECTIONS = 3

# Noise is measured this far beside the point: a unit exactly at its kink looks like noise that grows with
# the spacing (2e-11 instead of 3e-15 for a ReLU with 20 of 300 units at 0, measured), and 1e-3 of a step
# away all but the finest spacings are as they are at the point.
BESIDE = 2.0**-10

# Spacings at which the noise of a claim is measured: 3e-11 and 1e-9 of a relative step in float64.
CLAIM_LOOKS = 2

# f does not move at all within so many roundings (2^−20 in float64: 8 billion of them) but does further out:
# it is a table of values. Its steps look like noise then (floor of 400 numbers: 1.7, measured).
STILL = 2.0**-20
STILL_ULPS = 2.0**13

# Relative steps at which it is seen how much f changes at all (as in gradient.py).
VARIATION_STEPS = (1 / 8, 1 / 64, 1 / 512)

# What a claim is rounded by is measured like the noise of f, and enters with as many standard deviations as
# the complex step's own (numeric/complex_step.py).
CONFIDENCE = 6.0

# Rounding of a sum of n products, in units of u·Σ|products|: NumPy adds in blocks of 128, then pairwise,
# which is below 8 + log₂ n for any n that fits into memory (Higham, Accuracy and Stability of Numerical
# Algorithms, section 4.2; BLAS adds in blocks too). Σ|x| ≤ √n (Σx²)^½.
BLOCK_SUM = 8.0

# A step relative to an entry, or to a tenth of its tensor where the entry is smaller (as in gradient.py).
SMALLEST_SHARE = 10.0

# A component's slope jumps if it does by so many standard deviations (numeric/kink.py).
SIGNIFICANT_JUMP = 6.0


@dataclass(eq=False)
class Measurements:
    """Cotangents (rows), directions (columns of each block), and the numbers for all pairs of them.

    Attributes
    ----------
    asked : Questions
    reverse : bool
        Whether it is the vjp that is checked.
    count : int
        Random directions a tensor, random cotangents an output.
    rng : numpy.random.Generator
    bar : Progress
    whole : bool
        Whether every entry of the Jacobian is looked at; random pairs are if not.
    rows : (cotangents, numbers of the output) array
    noise : (cotangents,) array
        Standard deviation of the noise of ⟨ȳ, f⟩.
    variation : (outputs,) array
        How much a number of each output changes per relative step of 1.
    """

    asked: Questions
    reverse: bool
    count: int
    rng: np.random.Generator
    bar: Progress
    whole: bool = False
    rows: FloatArray = field(init=False)
    noise: FloatArray = field(init=False)
    variation: FloatArray = field(init=False)
    coarse: list[bool] = field(init=False)

    def plan(self) -> tuple[list[Row], list[list[Column]]]:
        """Choose the rows and, for each block, the columns."""
        blocks = self.asked.arguments.blocks
        entries = sum(block.array.size for block in blocks)
        self.whole = entries * self.asked.base.size <= EVERY_ENTRY_UP_TO
        rows = self.unit_rows() if self.whole else self.random_rows()
        numbers = range(len(blocks))
        columns = [self.unit_columns(n) if self.whole else self.random_columns(n) for n in numbers]
        self.rows = np.array([row.vector for row in rows])
        return rows, columns

    # --- cotangents and directions ---------------------------------------------------------------

    def unit_rows(self) -> list[Row]:
        """One cotangent for each number of the output, and mixtures."""
        owner = np.repeat(np.arange(len(self.asked.outputs.sizes)), self.asked.outputs.sizes)
        units = [
            Row(row, int(output)) for row, output in zip(np.eye(self.asked.base.size), owner, strict=True)
        ]
        return units + [self.gaussian_row(slice(None), MIXED) for _ in range(MIXTURES)]

    def random_rows(self) -> list[Row]:
        """Gaussian cotangents of each output alone, and of all of them where there are several."""
        rows = [
            self.gaussian_row(part, output, SCALES[k % len(SCALES)])
            for output, part in enumerate(self.asked.outputs.slices())
            for k in range(self.count)
            if self.asked.outputs.sizes[output]
        ]
        several = len([size for size in self.asked.outputs.sizes if size]) > 1
        return rows + [self.gaussian_row(slice(None), MIXED) for _ in range(MIXTURES * several)]

    def gaussian_row(self, part: slice, output: int, scale: float = 1.0) -> Row:
        """A cotangent that is zero outside ``part``, as the output's precision holds it."""
        vector = np.zeros(self.asked.base.size)
        vector[part] = self.rng.standard_normal(vector[part].shape)
        return Row(self.asked.outputs.rounded(vector), output, scale)

    def unit_columns(self, number: int) -> list[Column]:
        """One direction for each entry of a tensor, its step relative to the entry."""
        block = self.asked.arguments.blocks[number]
        found = []
        for index in np.ndindex(block.array.shape):
            unit = max(abs(float(block.array[index])), block.size / SMALLEST_SHARE)
            vector = np.zeros(block.array.shape)
            vector[index] = unit
            found.append(Column(number, vector, unit))
        return found

    def random_columns(self, number: int) -> list[Column]:
        """Gaussian directions of one tensor, as its precision holds them."""
        block = self.asked.arguments.blocks[number]
        return [
            Column(number, self.random_step(block.array.shape, block.size, block.array.dtype))
            for _ in range(self.count)
        ]

    def random_step(self, shape: tuple[int, ...], size: float, dtype: Any) -> FloatArray:
        """A Gaussian step in units of ``size``."""
        step = size * self.rng.standard_normal(shape)
        return np.asarray(np.asarray(step).astype(dtype).astype(np.float64))

    def random_steps(self) -> dict[int, FloatArray]:
        """A Gaussian step of every tensor."""
        return {
            number: self.random_step(block.array.shape, block.size, block.array.dtype)
            for number, block in enumerate(self.asked.arguments.blocks)
        }

    # --- what is claimed -------------------------------------------------------------------------

    def claims(self, reverse: bool, rows: list[Row], columns: list[list[Column]]) -> list[Claim]:
        """What vjp (or jvp) says ⟨ȳ, Jv⟩ is: for each block, every row and column."""
        found = [Claim.empty(len(rows), len(mine)) for mine in columns]
        if reverse:
            for r, row in enumerate(rows):
                arrays = self.asked.pull(row.scale * row.vector, watch=r < WATCHED)
                for number, array in arrays.items():
                    found[number].put(np.s_[r], *dots(array, columns[number]), row.scale)
                if self.asked.broken:
                    break
        else:
            for number, mine in enumerate(columns):
                for j, column in enumerate(mine):
                    scale = self.tangent_scale(j)
                    pushed = self.asked.push({number: scale * column.vector / column.unit}, watch=j < WATCHED)
                    sizes = root_sum_squares(self.rows, pushed)
                    found[number].put(np.s_[:, j], self.rows @ pushed, sizes, scale)
                    if self.asked.broken:
                        return found
        return found

    def tangent_scale(self, index: int) -> float:
        """By what a tangent is multiplied for jvp."""
        return 1.0 if self.whole else SCALES[index % len(SCALES)]

    def claim_noise(
        self, reverse: bool, rows: list[Row], columns: list[list[Column]], claims: list[Claim]
    ) -> list[FloatArray]:
        """How far rounding may have moved the claims: measured as the noise of f is.

        With all arguments moved a little, all roundings of the claim happen anew. One cotangent of
        each output (one tangent of each tensor) stands for the others.
        """
        along = self.random_steps()
        terms = (
            [block.array.size for block in self.asked.arguments.blocks]
            if reverse
            else [self.asked.base.size] * len(columns)
        )
        doubts = [
            claim.size
            * (
                CONFIDENCE * self.asked.claim_roundoff
                + (BLOCK_SUM + math.log2(n)) * math.sqrt(n) * UNIT_ROUNDOFF
            )
            for claim, n in zip(claims, terms, strict=True)
        ]
        if not reverse:
            for number, block in enumerate(self.asked.arguments.blocks):
                tangent = self.random_step(block.array.shape, block.size, block.array.dtype)
                pushed = self.pushed_around({number: tangent}, along)
                sigma = np.array([self.claim_sigma(pushed, r) for r in range(len(rows))])
                doubts[number] += CONFIDENCE * sigma[:, None] / (block.size if self.whole else 1.0)
            return doubts
        for output in [MIXED] if self.whole else sorted({row.output for row in rows}):
            row = next(row for row in rows if row.output == output)
            which = np.array([self.whole or other.output == output for other in rows])
            pulled = self.pulled_around(row.vector, along, columns)
            start = 0
            for number, mine in enumerate(columns):
                sigma = np.array([self.claim_sigma(pulled, start + j) for j in range(len(mine))])
                if not self.whole:  # Gaussian directions are alike
                    sigma[:] = sigma.max(initial=0.0)
                doubts[number][which] += CONFIDENCE * sigma
                start += len(mine)
        return doubts

    def pushed_around(self, tangent: dict[int, FloatArray], along: dict[int, FloatArray]) -> Once:
        """What jvp says of all cotangents, at points along a line."""
        return Once(lambda t: self.rows @ self.asked.push(tangent, at=times(t, along)))

    def pulled_around(
        self, vector: FloatArray, along: dict[int, FloatArray], columns: list[list[Column]]
    ) -> Once:
        """What vjp says of all directions, at points along a line."""
        return Once(lambda t: self.all_dots(self.asked.pull(vector, steps=times(t, along)), columns))

    def all_dots(self, arrays: dict[int, FloatArray], columns: list[list[Column]]) -> FloatArray:
        """A pulled cotangent along every direction of every block."""
        parts = [
            dots(arrays[number], mine)[0] if number in arrays else np.full(len(mine), math.nan)
            for number, mine in enumerate(columns)
        ]
        return np.concatenate(parts)

    def claim_sigma(self, values: Once, index: int) -> float:
        """Noise of one number of a claim, on the calmer side of the point.

        The slope of a unit jumps where it crosses its kink: close points only, and of two places the
        one where nothing does.
        """

        def near(place: float) -> float:
            def phi(t: float) -> float:
                return float(values(place + t)[index])

            if not math.isfinite(phi(0.0)):
                return math.inf
            return measure_noise(phi, roundoff=self.asked.claim_roundoff, looks=CLAIM_LOOKS)

        sigma = min(near(place) for place in (BESIDE, -BESIDE))
        if not math.isfinite(sigma):
            sigma = near(0.0)
        return sigma if math.isfinite(sigma) else 0.0  # no number at the point itself: judge() says so

    # --- what is right ---------------------------------------------------------------------------

    def along(self, steps: dict[int, FloatArray]) -> Once:
        """⟨ȳ, f(θ + t v)⟩ for all cotangents at once: f is evaluated once for each t."""
        return Once(
            lambda t: self.rows @ self.asked.evaluate(times(t, steps)), {0.0: self.rows @ self.asked.base}
        )

    def look_around(self) -> None:
        """Measure the noise of f in every row, and how much each output moves at all."""
        # each number of the output is rounded: their sum is known no better, however small it is
        self.noise = self.asked.roundoff / math.sqrt(3.0) * root_sum_squares(self.rows, self.asked.base)
        self.variation = np.zeros(len(self.asked.outputs.sizes))
        seen = []
        for _ in range(NOISE_DIRECTIONS):
            steps = self.random_steps()
            values = self.along(steps)
            seen.append(values(VARIATION_STEPS[0]))
            self.noise = np.maximum(self.noise, [self.f_noise(values, r) for r in range(len(self.rows))])
            for step in VARIATION_STEPS:
                change = abs(self.asked.evaluate(times(step, steps)) - self.asked.base) / step
                if np.isfinite(change).all():
                    moved = [rms(change[part]) for part in self.asked.outputs.slices()]
                    self.variation = np.maximum(self.variation, moved)
                    break
        self.coarse = [is_coarse(column) for column in np.array(seen).T]

    def f_noise(self, values: Once, row: int) -> float:
        """Noise of one row, measured a little beside the point, where no unit is exactly at its kink."""

        def phi(t: float) -> float:
            return float(values(t)[row])

        floor = self.asked.roundoff / math.sqrt(3.0) * abs(phi(0.0))
        near = max(STILL, STILL_ULPS * self.asked.roundoff)
        if all(phi(t) == phi(0.0) for t in (near, -near, near / 2.0, -near / 2.0)):
            return floor  # a table: further out its steps would pass for noise
        beside = BESIDE if math.isfinite(phi(BESIDE)) else 0.0
        return max(floor, measure_noise(lambda t: phi(beside + t), roundoff=self.asked.roundoff))

    def difference(self, rows: list[Row], columns: list[list[Column]]) -> list[Table]:
        """Difference every row along every direction, one ladder of evaluations a direction."""
        total, done = sum(map(len, columns)), 0
        tables = []
        own = [r for r, row in enumerate(rows) if not (self.whole and row.output == MIXED)]
        for mine in columns:
            table = Table.empty(len(rows), len(mine))
            for j, column in enumerate(mine):
                steps = {column.block: column.vector}
                estimates = self.estimates(steps, own, self.noise)
                for r, estimate in zip(own, estimates, strict=True):
                    table.put((r, j), estimate, column.unit)
                if not self.whole:
                    self.allow_for_kinks(table, j, steps, estimates)
                done += 1
                self.bar.advance(done, total)
            if self.whole:  # a mixture of outputs is a sum of those that are known
                mixed = np.array([row.vector for row in rows if row.output == MIXED])
                table.mix(len(own), mixed)
            tables.append(table)
        return tables

    def estimates(
        self, steps: dict[int, FloatArray], which: list[int], noise: FloatArray, first: float = 1.0
    ) -> list[Estimate]:
        """Derivatives of some rows along one direction."""
        values = self.along(steps)
        start = first * Central().first_step
        return [
            Central(
                noise=float(noise[r]),
                first_step=start,
                roundoff=self.asked.roundoff,
                may_be_coarse=self.coarse[r],
            )(
                lambda t, r=r: float(values(t)[r])  # type: ignore[misc]
            )
            for r in which
        ]

    def allow_for_kinks(
        self, table: Table, j: int, steps: dict[int, FloatArray], estimates: list[Estimate]
    ) -> None:
        """At a kink, each number of the output may choose its own slope: room for all of them.

        The sum ⟨ȳ, f⟩ shows the jumps of its terms summed up, where some cancel.
        """
        kinked = [estimate for estimate in estimates if estimate.interval is not None]
        if not kinked:
            return
        # the usual step: a single ladder may have ended where noise hides all jumps, or beyond other kinks
        h = float(np.median([estimate.step for estimate in kinked]))
        jumps = []
        for step in (h, h / 2.0):
            up, down = (self.asked.evaluate(times(t, steps)) for t in (step, -step))
            jumps.append(((up - self.asked.base) + (down - self.asked.base)) / step)
        noise = np.maximum(self.asked.roundoff * abs(self.asked.base), _typical(self.noise, self.rows))
        jump = abs(2.0 * jumps[1] - jumps[0])
        # 2 S(h/2) − S(h), each S of three values
        jump[~(jump > SIGNIFICANT_JUMP * 8.0 * noise / h)] = 0.0
        table.kink[:, j] = np.maximum(table.kink[:, j], 0.5 * abs(self.rows) @ jump)


def _typical(noise: FloatArray, rows: FloatArray) -> float:
    """Noise of one number of the output, from that of sums of them."""
    return float(np.max(noise / np.maximum(np.sqrt(np.sum(rows**2, axis=1)), np.finfo(float).tiny)))
