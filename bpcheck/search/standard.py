"""What the numbers of a case should be, the loss among them, and how far right ones may lie from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck.check.agreement import judge
from bpcheck.check.contract import Asked
from bpcheck.check.low_precision import LOSS, ZERO
from bpcheck.network.case import Case
from bpcheck.network.names import book_name
from bpcheck.reference import Enclosure
from bpcheck.result import Comparison
from bpcheck.tree import FloatArray, Path, rms

__all__ = ["Standard", "numbers_told"]


def numbers_told(asked: Asked) -> dict[Path, FloatArray]:
    """The loss, if there is one, and every tensor of an answer."""
    misformed = {finding.path for finding in asked.findings}
    if asked.loss is None or str(LOSS) in misformed:
        return dict(asked.gradient)
    return {LOSS: np.asarray(asked.loss, dtype=float), **asked.gradient}


@dataclass(frozen=True, eq=False)
class Standard:
    """The right numbers with their bounds, by path.

    Attributes
    ----------
    case : Case
    right, bound, kink : mapping of Path to array
    zero : frozenset of Path
        Tensors that are zero to rounding: structural zeros.
    """

    case: Case
    right: Mapping[Path, FloatArray]
    bound: Mapping[Path, FloatArray]
    kink: Mapping[Path, FloatArray]
    zero: frozenset[Path]

    @classmethod
    def of(cls, case: Case, exact: Enclosure, claim: Enclosure) -> Standard:
        """Our own numbers, with the rounding of ours and of a claim in its precision."""
        balls, theirs = ({LOSS: e.loss, **e.gradient} for e in (exact, claim))
        right = {path: np.asarray(ball.mid) for path, ball in balls.items()}
        return cls(
            case,
            right,
            {path: ball.rad + theirs[path].rad for path, ball in balls.items()},
            {path: np.maximum(ball.kink, theirs[path].kink) for path, ball in balls.items()},
            _zeros(right, exact),
        )

    def by(self, other: Asked, exact: Enclosure, its: Enclosure) -> Standard:
        """Somebody else's numbers in place of ours, ``its`` being what rounding may do to them."""
        right = {**self.right, **numbers_told(other)}
        balls = {LOSS: its.loss, **its.gradient}
        bound = {
            path: bound + balls[path].rad + other.error.get(path, 0.0) for path, bound in self.bound.items()
        }
        # at a kink each of the two may have made another choice
        kink = {path: 2.0 * radius for path, radius in self.kink.items()}
        return replace(self, right=right, bound=bound, kink=kink, zero=_zeros(right, exact))

    @property
    def largest(self) -> float:
        """Size of the largest tensor: a structural zero is held to it."""
        sizes = (rms(array) for path, array in self.right.items() if path != LOSS)
        return max(sizes, default=0.0) or 1.0

    def compare(
        self, told: Mapping[Path, FloatArray], error: Mapping[Path, Any], resolution: float
    ) -> list[Comparison]:
        """Every number that was told, held against the right one; ``error`` is what the way of asking brought in."""
        largest = self.largest
        return [
            judge(
                path,
                actual,
                self.right[path],
                self.bound[path] + error.get(path, 0.0),
                kink=self.kink[path],
                resolution=resolution,
                fallback=1.0 if path == LOSS else largest if path in self.zero else rms(self.right[path]),
                name=book_name(self.case.architecture, path),
            )
            for path, actual in told.items()
        ]


def _zeros(right: Mapping[Path, FloatArray], exact: Enclosure) -> frozenset[Path]:
    # a structural zero is one in float64 too: what only drowns in float32 is held to its own size
    return frozenset(
        path
        for path, ball in exact.gradient.items()
        if bool(np.all(abs(right[path]) <= ZERO * ball.rad + ball.kink))
    )
