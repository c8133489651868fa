"""Believing a difference: a claim is only called wrong after a second measurement that says so too."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bpcheck.check.block import CONTRADICTORY, TABLE, Block
from bpcheck.check.claim import CONFIDENCE
from bpcheck.check.reading import SECOND_STEP, Reading, by_complex, by_differences, by_line
from bpcheck.numeric.adaptive import FAR_OUTWARD
from bpcheck.numeric.ladder import FIRST_STEP
from bpcheck.numeric.noise import coarseness, is_continuous
from bpcheck.result import Comparison
from bpcheck.tree import FloatArray, rms
from bpcheck.verdict import Verdict

__all__ = ["confirmed", "line_of"]

CONFIRMATIONS = 8
"""A difference is only called wrong after a second measurement; if the first suspects of a tensor do not
stand up to it, the next ones are tried, up to this many, at the price of a line each (13 evaluations); where none
stands, the answer is INCONCLUSIVE, whatever their number."""

FRESH = 4
"""Fresh random directions of which one at least must show the error too. One whose size is that of the
difference just seen shows along a random direction with probability 0.6 or more: four miss it in 2 %,
and the answer is then INCONCLUSIVE."""

MOVED = 256.0
"""Roundings by which a loss must have moved where it stands still to be told from a table: of terms that are absorbed one
by one (each moves by half a unit of a sum 2^8 times larger at most) none is left standing."""

STILL = 2.0**-20
"""… and at least so far, 16 units of float32: parameters that are only cast to float32 inside have moved by then."""


def confirmed(block: Block) -> Comparison:
    """Compare, and believe DISAGREES only if a second measurement says so too."""
    for _ in range(CONFIRMATIONS):
        comparison = block.compare()
        if comparison.verdict is not Verdict.DISAGREES:
            return comparison
        line = line_of(block, comparison)
        objection = _objection(block, line)
        if not objection:
            return comparison
        block.readings[line] = replace(block.readings[line], error=math.inf, regime=objection, value=math.nan)
    comparison = block.compare()
    if comparison.verdict is not Verdict.DISAGREES:
        return comparison
    # as many suspects as were tried did not stand up to it: nor do those that were not
    return replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=block.why_unknown())


def line_of(block: Block, comparison: Comparison) -> int:
    """Which line the worst entry of a comparison is."""
    if block.lines.entries:
        shape = block.claim.gradient[block.path].shape
        return int(np.ravel_multi_index(comparison.worst_index, shape)) if shape else 0
    known = block.known()
    return known[comparison.worst_index[0]]


def _objection(block: Block, line: int) -> str:
    """Why a difference along a line is not to be believed (a regime), or nothing.

    It is measured once more, with noise measured anew, other steps, and fresh directions.
    """
    first, direction = block.readings[line], block.lines.make(line)
    rounding = block.rounding_along(line) + _measured_rounding(block, direction)
    actual = float(np.sum(block.claim.gradient[block.path] * direction))
    if first.method == "complex":
        # analytic as far as the cross-check can see: below that, who asked for this method vouches for it
        second = (
            by_complex(block.problem, block.path, direction, block.rng)
            if block.method == "complex"
            else by_differences(block.problem, block.path, direction)
        )
        allowed = second.error + second.half + rounding
        beyond = math.isfinite(allowed) and not abs(actual - second.value) <= allowed
        return "" if beyond else CONTRADICTORY
    if first.value and (
        _is_still(block, direction, first.value) or (actual == 0.0 and _is_on_level(block, direction))
    ):
        return TABLE
    confirm = _confirm_differences if first.method == "central" else _confirm_line
    objection = confirm(block, first, direction, actual, rounding)
    if objection or block.lines.entries or _shows_elsewhere(block, line, first.method):
        return objection
    return CONTRADICTORY


def _confirm_differences(
    block: Block, first: Reading, direction: FloatArray, actual: float, rounding: float
) -> str:
    second = by_differences(
        block.problem,
        block.path,
        direction,
        noise=block.problem.fresh_noise(block.path),
        shrunk=SECOND_STEP,
        outward=FAR_OUTWARD,
    )
    if second.is_table:
        block.problem.has_tables = True
        return TABLE
    same = abs(second.value - first.value) <= second.error + first.error + second.half + first.half
    if (
        not same
        or not math.isfinite(second.error)
        or abs(actual - second.value) <= second.error + second.half + rounding
    ):
        return CONTRADICTORY
    block.is_followed = block.is_followed or _follows_steps(block, direction, actual, second.value)
    return TABLE if block.is_followed else ""


def _confirm_line(block: Block, first: Reading, direction: FloatArray, actual: float, rounding: float) -> str:
    second = by_line(
        block.problem,
        block.path,
        direction,
        actual,
        block.claim.noise_along(block.path, direction),
        noise=block.problem.fresh_noise(block.path),
        shrunk=SECOND_STEP,
    )
    if second is None or abs(actual - second.value) <= second.error + rounding:
        return CONTRADICTORY
    # another segment has another mean error: of the same sign if the claim is wrong around θ
    return "" if (first.value - actual) * (second.value - actual) > 0.0 else CONTRADICTORY


def _is_still(block: Block, direction: FloatArray, value: float) -> bool:
    """Whether the loss does not move at all so close to θ, though with this slope it would by MOVED roundings.

    Many steps close together have a trend, which differences take for a derivative, and noise; between them the
    loss stands still.
    """
    seen = [
        block.problem.loss(block.problem.at(block.path, t * direction)) for t in (-FIRST_STEP, FIRST_STEP)
    ]
    coarse, quantum = coarseness([block.problem.level, *seen])
    unit = max(max(block.problem.roundoff, coarse) * max(map(abs, seen)), quantum)
    h = max(STILL, MOVED * unit / abs(value))
    if not h < FIRST_STEP:
        return False
    along = block.problem.along(block.path, direction)
    return along(h) == along(-h) == block.problem.level


def _is_on_level(block: Block, direction: FloatArray) -> bool:
    """Whether the loss, on a grid that is no format's, stands still around θ: there its derivative is zero indeed.

    A count of mistakes has a trend, as a loss printed with six decimals has; which of the two it is, no value tells.
    """
    problem = block.problem
    if not problem.grid.quantum > STILL * abs(problem.level):
        return False
    along = problem.along(block.path, direction)
    return along(STILL) == along(-STILL) == problem.level


def _follows_steps(block: Block, direction: FloatArray, actual: float, value: float) -> bool:
    """Whether the loss goes up in steps along a line, and the claim follows these instead of the slope between.

    So does a straight-through gradient: of int8 weights with a smooth penalty, differences see the penalty's.
    """
    along = block.problem.along(block.path, direction)
    for h in (FIRST_STEP, FIRST_STEP / 2.0):
        up, down = along(h), along(-h)
        steps = (up - down) / (2.0 * h)
        if not abs(actual - steps) < 0.5 * abs(value - steps):
            return False
    rounding = block.problem.roundoff * max(abs(up), abs(down))
    return not is_continuous(along, 0.0, FIRST_STEP, slope=value, rounding=rounding)


def _measured_rounding(block: Block, direction: FloatArray) -> float:
    """What the claim's own arithmetic does along a line, where that is rounding.

    A claim that jitters by more than √u has lost half its digits or more: that is no excuse, but a fault.
    """
    noise = CONFIDENCE * block.claim.noise_along(block.path, direction)
    terms = rms(block.claim.gradient[block.path] * direction) * math.sqrt(direction.size)
    return noise if noise <= math.sqrt(block.claim.roundoff) * terms else 0.0


def _shows_elsewhere(block: Block, line: int, method: str) -> bool:
    """Whether the error shows along a direction that was not looked at before."""
    for _ in range(FRESH):
        direction = block.fresh_direction(line)
        actual = float(np.sum(block.claim.gradient[block.path] * direction))
        reading = by_differences(block.problem, block.path, direction)
        if method == "line":
            reading = block.sharper(reading, block.line_along(direction))
        allowed = reading.error + reading.half + block.claim.along(block.path, direction)
        if math.isfinite(reading.error) and not abs(actual - reading.value) <= allowed:
            return True
    return False
