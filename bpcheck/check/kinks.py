"""Kinks of one tensor: what its claim may be where one-sided derivatives differ, and what it may not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bpcheck.check.block import Block
from bpcheck.check.lines import relative_steps
from bpcheck.check.reading import SECOND_STEP, by_differences

__all__ = ["ALIKE", "confirm_kinks", "is_beyond", "is_counted_twice", "joint_kinks_disagree"]

KINK_STEP = 2.0**-10
"""Relative step at which the sign of a kink is read: the second difference is J·h there, plus curvature times h²."""

ADDS_UP = 0.1
"""Share of the jumps within which a joint one must be known before it may tell that they add up: a maximum of two equal
numbers jumps by ||v₁| − |v₂|| instead of |v₁| + |v₂|, which some of eight random lines tell apart by far more."""

ALIKE, ALIKE_LINES = 0.1, 2
"""All entries move by the same relative step, but for a tenth: the two of a tie then differ by 0.14 of what each moves
(√2 · 0.1, in the median 0.1), and a claim that counts both is outside by the other 0.9. Twice, for entries may cancel."""


def is_beyond(block: Block, i: int) -> bool:
    """Whether the claim along line ``i`` is further from the reading than its bar and kink allow."""
    reading, direction = block.readings[i], block.lines.make(i)
    actual = float(np.sum(block.claim.gradient[block.path] * direction))
    allowed = reading.error + reading.half + block.rounding_along(i)
    return not abs(actual - reading.value) <= allowed


def joint_kinks_disagree(block: Block, directions: int) -> bool:
    """Whether the claim is outside the one-sided derivatives along lines that move all kinked entries.

    Only where each line moved one entry: random lines have moved them together already. A loss in which
    the kinks add up, f = |x| − |y|, is no objection: there each entry may choose for itself, whatever
    lines that move both say. It shows in the jumps of the slope, which then add up too.
    """
    kinked = [i for i, reading in block.readings.items() if reading.half > 0.0]
    if not block.lines.entries or len(kinked) < 2:
        return False
    jumps = np.array([_signed_jump(block, i) for i in kinked])
    outside, additive = False, True
    for _ in range(directions):
        amounts = block.rng.standard_normal(len(kinked))
        direction = np.zeros(block.problem.theta[block.path].shape)
        for i, amount in zip(kinked, amounts, strict=True):
            direction.flat[i] = block.lines.unit(i) * amount
        reading = by_differences(block.problem, block.path, direction)
        if not math.isfinite(reading.error):
            continue
        doubt = sum(abs(a) * block.readings[i].error for i, a in zip(kinked, amounts, strict=True))
        together = 0.5 * abs(float(np.sum(jumps * abs(amounts))))
        slack = reading.error + doubt
        sharp = slack <= ADDS_UP * float(np.sum(abs(jumps * amounts)))
        additive &= sharp and abs(reading.half - together) <= slack
        rounding = float(np.sum(block.entry_rounding() * abs(direction)))
        actual = float(np.sum(block.claim.gradient[block.path] * direction))
        outside |= not abs(actual - reading.value) <= reading.error + reading.half + rounding
    return outside and not additive


def is_counted_twice(block: Block) -> bool:
    """Whether the claim is beyond the one-sided derivatives along lines that move all entries alike.

    Random lines move the two elements of a tie apart, and the intervals of many ties add up until they hide
    everything. Moved alike, a tie is hardly a kink, but counts twice if both elements were given its gradient.
    """
    steps = relative_steps(block.problem.theta[block.path])
    for _ in range(ALIKE_LINES):
        direction = np.asarray(steps * (1.0 + ALIKE * block.rng.standard_normal(block._shape)))
        reading = by_differences(block.problem, block.path, direction)
        actual = float(np.sum(block.claim.gradient[block.path] * direction))
        allowed = reading.error + reading.half + block.claim.along(block.path, direction)
        if not math.isfinite(allowed) or abs(actual - reading.value) <= allowed:
            return False  # inside, or nothing can be said
    return True


def confirm_kinks(block: Block) -> None:
    """A kink that a second measurement does not see excuses nothing: its interval is doubt, and counts as such.

    Noise with heavy tails makes a jump of the slope now and then (1 in 15,000 lines of Student's t).
    """
    for i, reading in block.readings.items():
        if reading.half == 0.0:
            continue
        second = by_differences(block.problem, block.path, block.lines.make(i), shrunk=SECOND_STEP)
        if second.half == 0.0:
            block.readings[i] = replace(
                reading,
                error=reading.error + reading.half,
                half=0.0,
                rounding=reading.rounding + reading.half,
                regime="noise",
            )


def _signed_jump(block: Block, i: int) -> float:
    """φ'(0+) − φ'(0−) along line ``i``: its size as it was read, its sign by a second difference."""
    along = block.problem.along(block.path, block.lines.make(i))
    second = (along(KINK_STEP) - block.problem.level) + (along(-KINK_STEP) - block.problem.level)
    return math.copysign(2.0 * block.readings[i].half, second)
