"""What would help a check that could not decide, ranked by how much it would help."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bpcheck.check.block import CONTRADICTORY, Block
from bpcheck.check.power import smallest_seen
from bpcheck.check.problem import Problem
from bpcheck.check.reading import Reading
from bpcheck.numeric.noise import UNIT_ROUNDOFF

__all__ = ["remedies"]

NOISY = 1e3
"""Noise this many times the rounding of the result is not rounding of a sum or two: it is a random number, a
coarser precision inside, or an iteration that stops early. (Sums of 10⁶ terms reach 10³ u at worst.)"""

OFFSET = 1e3
"""A loss this many times larger than what a relative step of one changes it by holds a constant."""

AMPLE = 2.0
"""A resolution of twice the limit is offered: the limit is measured, and comes out otherwise next time."""

INSTEAD = math.inf
"""Rank of what has to be changed before any precision helps."""

MORE_DIRECTIONS = 32
"""Beyond, c falls from 1.7 towards 1.3 bars only (see bpcheck.check.power)."""


def remedies(problem: Problem, blocks: Sequence[Block], resolution: float) -> tuple[str, ...]:
    """Sentences, the most helpful first.

    Parameters
    ----------
    problem : Problem
    blocks : sequence of Block
        Those that could not be decided.
    resolution : float

    Returns
    -------
    tuple of str
    """
    found: list[tuple[float, str]] = []
    limits = [block.limit() for block in blocks]
    limit = max((value for value in limits if math.isfinite(value)), default=math.inf)
    readings = [reading for block in blocks for reading in block.readings.values()]
    found += _of_the_shape(problem, readings)
    single = problem.roundoff > UNIT_ROUNDOFF
    if single:
        gain = problem.roundoff / UNIT_ROUNDOFF
        found.append((gain, "Hand over the parameters in float64 and compute the loss in float64."))
    found += _of_the_claim(blocks, problem)
    found += _of_the_loss(problem, single=single)
    if math.isfinite(limit):
        found += _of_directions(blocks, limit, resolution)
    if AMPLE * limit < 1.0:
        found.append((0.0, f"Ask for a coarser resolution: {_rounded_up(AMPLE * limit)} can be seen here."))
    found.sort(key=lambda pair: -pair[0])
    return tuple(dict.fromkeys(text for _, text in found))


def _of_the_shape(problem: Problem, readings: Sequence[Reading]) -> list[tuple[float, str]]:
    """Where the loss has no derivative that differences could find."""
    if problem.has_tables:
        text = (
            "Take out what makes the loss piecewise constant: rounding (round, a cast to a short format), a threshold, "
            "an argmax. Check the function without it."
        )
        return [(INSTEAD, text)]
    if _is_on_grid(problem):
        text = (
            f"All values of the loss that were met lie {problem.grid.quantum:.1e} apart or a multiple of it: it is "
            "rounded, counts something, or is computed in a lower precision inside. Check what is smooth in its place: "
            "the loss before it is rounded, or a surrogate."
        )
        return [(INSTEAD, text)]
    rough = [r for r in readings if r.regime in ("rough", "kink")]
    if any(r.regime == CONTRADICTORY for r in readings) and not rough:
        text = (
            "Two measurements of the same loss differ: fix the seed of what is random in it, and look for what is "
            "kept between calls."
        )
        return [(INSTEAD, text)]
    if not rough:
        return []
    text = (
        f"Corners or jumps of the loss lie on {len(rough)} of {len(readings)} lines: use other parameters, or, where the "
        "loss has them, fewer examples (each brings its own corners) or a smooth activation."
    )
    return [(INSTEAD, text)]


def _is_on_grid(problem: Problem) -> bool:
    return problem.grid.noise > NOISY * problem.roundoff * abs(problem.level)


def _of_the_claim(blocks: Sequence[Block], problem: Problem) -> list[tuple[float, str]]:
    """Where the gradient's own rounding is the larger part of a bar."""
    shares = [
        1.0 - block.readings[i].error / (block.bar(i) * block.lines.unit(i))
        for block in blocks
        for i in block.readings
        if 0.0 < block.bar(i) < math.inf
    ]
    roundoff = max((block.claim.roundoff for block in blocks), default=UNIT_ROUNDOFF)
    if not shares or not float(np.median(shares)) > 0.5 or not roundoff > UNIT_ROUNDOFF:
        return []
    gain = 1.0 / max(1.0 - float(np.median(shares)), UNIT_ROUNDOFF / roundoff)
    return [(gain, "Return the gradient in float64: its own rounding is most of what may differ.")]


def _of_the_loss(problem: Problem, *, single: bool) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    rounding = problem.roundoff * abs(problem.level)
    if problem.variation > 0.0 and abs(problem.level) > OFFSET * problem.variation:
        gain = abs(problem.level) / problem.variation
        found.append(
            (
                gain,
                f"Leave the constant out of the loss: it is {problem.level:.3g}, and a relative step of one "
                f"changes it by {problem.variation:.1e} only.",
            )
        )
    if rounding > 0.0 and problem.noise > NOISY * rounding and not _is_on_grid(problem):
        text = (
            f"The loss is noisy: it jitters by {problem.noise:.1e}, {problem.noise / rounding:.0e} times its "
            "rounding. Fix the seed of what is random in it, and look for a lower precision inside."
        )
        found.append((problem.noise / rounding, text))
    return found


def _of_directions(blocks: Sequence[Block], limit: float, resolution: float) -> list[tuple[float, str]]:
    for block in blocks:
        if block.lines.entries or block.lines.directions >= MORE_DIRECTIONS or block.limit() != limit:
            continue
        bars = [block.bar(i) for i in block.readings]
        more = smallest_seen([float(np.median(bars))] * MORE_DIRECTIONS, block.miss_probability)
        now = smallest_seen(bars, block.miss_probability)
        if math.isfinite(now) and 0.0 < more < now:
            reached = limit * more / now
            text = (
                f"directions={MORE_DIRECTIONS} would bring the limit from {limit:.1e} to about {reached:.1e}."
            )
            return [(now / more if reached <= resolution else 1.0, text)]
    return []


def _rounded_up(limit: float) -> str:
    """The limit with one digit, rounded up."""
    if limit <= 0.0:
        return "0"
    power = 10.0 ** math.floor(math.log10(limit))
    return f"{math.ceil(limit / power * (1.0 - 1e-12)) * power:.0e}"
