"""Checks again at parameters moved by 0.1 %, to tell a kink from a bug: before anything is called wrong, and at kinks.

One line sees one pair of one-sided derivatives; where several kinks meet, valid claims lie outside:
f = relu(x) − relu(y) has, along (1, −2), the one-sided derivatives 1 and 2, and relu' = 1 at 0, a valid
choice for each, gives 3. The median of three equal numbers stands still along every axis, and a
gradient of ⅓ each is as good as any. And a maximum that hands its gradient to both of two equal
elements looks right along each of them alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bpcheck.check.block import Block
from bpcheck.check.doubt import line_of
from bpcheck.check.kinks import is_beyond, is_counted_twice, joint_kinks_disagree
from bpcheck.check.problem import aside, moved
from bpcheck.result import Comparison
from bpcheck.verdict import Verdict

__all__ = ["beside_a_difference", "beside_a_kink"]

# Pairs of points around a kink at which the claim is asked for, and how far, in units of their range, it may lie
# outside: of k kinks that meet, sixteen points meet each one from both sides, all at once only for k up to 4: a
# quarter more is allowed for what they did not meet. (Chosen with one failure of benchmarks/calibration's max-pool ties in
# sight; a relu'(0) of 2, 5 or −1 stays wrong.)
AROUND, UNSEEN = 8, 0.25

BESIDE_LIMIT = (
    "the loss has a corner here (as ReLU at 0), where any value between its one-sided derivatives is right; the limit "
    "stated is that at parameters moved by 0.1 %"
)

TOGETHER = 8
"""Random lines that move all kinked entries at once: as many as look at a tensor."""


def beside_a_difference(block: Block, here: Comparison, there: Comparison | None) -> Comparison:
    """DISAGREES stands if it does beside θ too, or if the right value is the same there: then θ is no kink."""
    if there is not None and there.verdict is Verdict.DISAGREES:
        return here
    kinked = any(reading.half > 0.0 for reading in block.readings.values())
    if there is None:
        stands = not kinked
    else:
        # where a kink is seen, a claim among those around θ, one of which is right, chose a side
        chose = kinked and there.verdict.ok and _is_among_those_around(block, here)
        stands = not (_moves(here, there) or chose)
    if stands:
        return here
    said = " At parameters moved by 0.1 % it agrees" if there is not None and there.verdict.ok else ""
    reason = (
        "the claim is no valid slope along some line, but the loss has a corner here (as ReLU at 0): where several meet, "
        "the slopes chosen at each may add up to that, or a tie is counted twice."
    )
    return replace(here, verdict=Verdict.INCONCLUSIVE, reason=(reason + said).rstrip("."))


def _is_among_those_around(block: Block, here: Comparison) -> bool:
    """Whether what is claimed at θ along the worst line is about as large as what is claimed around θ.

    Kinks that meet cancel along a line; the choices of a claim, one for each of them, do not. A single unit claims
    0 or 1 on either side of its kink, and nothing like 2.
    """
    problem = block.problem
    direction = block.lines.make(line_of(block, here))
    around = []
    for _ in range(AROUND):
        step = {path: aside(array, problem.rng) for path, array in problem.theta.items()}
        for sign in (1.0, -1.0):
            claim = problem.claim({path: moved(a, sign * step[path]) for path, a in problem.theta.items()})
            around.append(float(np.sum(claim[block.path] * direction)))
    low, high = min(around), max(around)
    room = UNSEEN * (high - low)
    claimed = float(np.sum(block.claim.gradient[block.path] * direction))
    return low - room <= claimed <= high + room


def beside_a_kink(
    block: Block, here: Comparison, there: Comparison | None, *, warnings: list[str]
) -> Comparison:
    """A claim between one-sided derivatives is right at θ; how much that proves, the points beside it say."""
    if here.verdict not in (Verdict.AGREES_AT_KINK, Verdict.INCONCLUSIVE):
        return here
    if here.verdict is Verdict.AGREES_AT_KINK and joint_kinks_disagree(block, TOGETHER):
        reason = (
            "the loss has corners here (as ReLU at 0); each entry is a valid slope, but along lines that move several at "
            "once the claim is none: the slopes chosen at several corners may add up to that, or a tie is counted twice"
        )
        return replace(here, verdict=Verdict.INCONCLUSIVE, reason=reason)
    if there is None:
        return here
    inside = not block.is_in_doubt and not any(is_beyond(block, i) for i in block.known())
    if inside and not block.lines.entries:
        # a kink in one entry widens every random line: what they cannot see here they see beside it
        if there.verdict.ok and is_counted_twice(block):
            reason = (
                "the loss has corners here (as ReLU at 0); the claim is a valid slope along random lines, which many "
                "corners together leave wide, but not along lines that move all entries alike: a tie may be counted twice"
            )
            return replace(here, verdict=Verdict.INCONCLUSIVE, reason=reason)
        if there.verdict.ok:
            warnings.append(BESIDE_LIMIT)
            reason = (
                "the loss has a corner here (as ReLU at 0), and the claim is a valid slope; at parameters moved by 0.1 %: "
                f"{there.reason or 'agrees'}"
            )
            return replace(
                here,
                verdict=Verdict.AGREES_AT_KINK,
                reason=reason,
                detection_limit=there.detection_limit,
                reference_size=there.reference_size,
            )
        if there.verdict is Verdict.DISAGREES:
            return replace(
                there, reason=f"at parameters moved by 0.1 %, away from a corner of the loss: {there.reason}"
            )
    if here.verdict.ok and not there.verdict.ok:
        said = "wrong" if there.verdict is Verdict.DISAGREES else there.verdict.name
        warnings.append(
            "the loss has a corner here (as ReLU at 0), where any value between its one-sided derivatives is right; "
            f"at parameters moved by 0.1 % the gradient is {said}: check it at such a point"
        )
    return here


def _moves(here: Comparison, there: Comparison) -> bool:
    """Whether right values change from θ to beside it by as much as the claim is off: a kink lies at θ."""
    if here.actual is None or here.expected is None or there.expected is None:
        return False
    if here.expected.shape != there.expected.shape:
        return True  # lines that could not be read at one of the two points
    index = here.worst_index
    off = abs(float(here.actual[index]) - float(here.expected[index]))
    return not float(np.max(abs(there.expected - here.expected))) < 0.5 * off
