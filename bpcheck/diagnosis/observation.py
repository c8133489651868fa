"""What was seen at one case: the claimed gradient and the right one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bpcheck.network.case import Case
from bpcheck.network.names import places
from bpcheck.tree import FloatArray, Path, rms

__all__ = ["ROUNDINGS", "Observation"]

REPRODUCTION = 1e-8
"""A prediction reproduces an entry if they agree to this fraction of the tensor's root mean square. Both are rounded to
about 1e-13 of it on the networks compared; the nearest wrong hypotheses differ by 1e-3 and more, so any value between
them serves."""

ROUNDINGS = 2.0**9
"""The same in units of the claim's roundoff, for claims of lower precision: 3e-5 in float32, between the rounding of some
sums of products (64 u were needed by networks of 2 to 6 layers, see numeric/locate/probe.py) and that 1e-3."""


@dataclass(frozen=True, eq=False)
class Observation:
    """One case that somebody's code was asked about.

    Attributes
    ----------
    case : Case
    claimed, right : mapping of Path to array
        Without tensors that the caller set aside.
    roundoff : float
        u of the precision in which the claim was computed.
    rate : float or None
        The learning rate of the step from which the claim was recovered, in units of the cost of the case; None if it was
        not recovered from a step.
    """

    case: Case
    claimed: Mapping[Path, FloatArray]
    right: Mapping[Path, FloatArray]
    roundoff: float = 2.0**-53
    rate: float | None = None

    @property
    def traits(self) -> frozenset[str]:
        """What a mistake can be about here: several examples, several outputs, hidden layers, a penalty, a step.

        Examples
        --------
        >>> from bpcheck import mlp
        >>> case = Case(mlp([1, 2], l2=0.1), [{"weight": [[1.0], [2.0]], "bias": [0.0, 0.0]}], [[1.0]], [[0.0, 1.0]])
        >>> sorted(Observation(case, {}, {}).traits)
        ['l2', 'outputs', 'penalty']
        """
        network = self.case.architecture
        there = {
            "batch": self.case.batch > 1,
            "outputs": network.outputs > 1,
            "hidden": sum(place.number is not None for place in places(network)) > 1,
            "penalty": bool(network.l1 or network.l2),
            "l1": bool(network.l1),
            "l2": bool(network.l2),
            "step": self.rate is not None,
        }
        return frozenset(name for name, is_there in there.items() if is_there)

    @property
    def same(self) -> float:
        """Fraction of a tensor's root mean square up to which numbers count as the same."""
        return max(REPRODUCTION, ROUNDINGS * self.roundoff)

    def is_reproduced_by(self, predicted: Mapping[Path, FloatArray]) -> bool:
        """Whether these are the claimed numbers, of the tensors that are looked at."""
        return not any(
            self.differs(path, values).any() for path, values in predicted.items() if path in self.claimed
        )

    def differs(self, path: Path, values: FloatArray) -> FloatArray:
        """Where the claim of a tensor is another one than these values, entry by entry."""
        claimed = self.claimed[path]
        allowed = self.same * (rms(np.asarray(values)) + rms(claimed))
        return np.asarray(~(abs(values - claimed) <= allowed))

    @property
    def wrong(self) -> Mapping[Path, FloatArray]:
        """Where the claim is not the right value, for tensors that have such entries."""
        marked = {path: self.differs(path, values) for path, values in self.right.items()}
        return {path: entries for path, entries in marked.items() if entries.any()}
