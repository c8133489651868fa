"""Is the gradient exact for another loss than the one that was given? Then the loss, not the formula, is at odds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis.observation import Observation
from bpcheck.errors import InputError
from bpcheck.network.architecture import LOSSES, REDUCTIONS, Architecture
from bpcheck.network.case import Case
from bpcheck.reference import build

__all__ = ["OtherLoss", "other_loss"]

WORDS = {
    "half_mse": "½‖a − y‖²",
    "mse": "mean((a − y)²)",
    "huber": "Huber's loss",
    "cross_entropy": "categorical cross-entropy",
    "binary_cross_entropy": "binary cross-entropy",
}


@dataclass(frozen=True)
class OtherLoss:
    """A loss of which a gradient is exact.

    Attributes
    ----------
    loss, reduction : str
    penalised : bool
        Whether with the given penalty.
    single : bool
        Whether every case seen has a batch of one, where a mean and a sum are the same.
    """

    loss: str
    reduction: str
    penalised: bool
    single: bool = False

    @property
    def words(self) -> str:
        """``the sum of ½‖a − y‖² over the batch, without the penalty``."""
        over = "{}" if self.single else f"the {self.reduction} of {{}} over the batch"
        return over.format(WORDS[self.loss]) + ("" if self.penalised else ", without the penalty")


def _losses(given: Architecture, *, single: bool) -> Iterator[OtherLoss]:
    for loss in LOSSES:
        for reduction in (given.reduction,) if single else REDUCTIONS:
            for penalised in (True, False) if given.l1 or given.l2 else (True,):
                if (loss, reduction, penalised) != (given.loss, given.reduction, True):
                    yield OtherLoss(loss, reduction, penalised, single)


def other_loss(observations: Sequence[Observation]) -> OtherLoss | None:
    """The loss of which all claims are the exact gradient, through the same network; None if there is none.

    Parameters
    ----------
    observations : sequence of Observation

    Returns
    -------
    OtherLoss or None
    """
    wrong = [observation for observation in observations if observation.wrong]
    # a gradient of 0 is that of any loss that does not depend on the parameters: it speaks for none
    if not any(values.any() for observation in wrong for values in observation.claimed.values()):
        return None
    single = all(observation.case.batch == 1 for observation in observations)
    for described in _losses(observations[0].case.architecture, single=single):
        if all(_is_gradient_of(described, observation) for observation in observations):
            return described
    return None


def _is_gradient_of(described: OtherLoss, observation: Observation) -> bool:
    case = observation.case
    given = case.architecture
    try:
        other = replace(given, loss=described.loss, reduction=described.reduction)
        if not described.penalised:
            other = replace(other, l1=0.0, l2=0.0, penalize_bias=False)
        same = Case(other, case.params, case.x, case.y)
    except InputError:  # targets that this loss does not take
        return False
    with np.errstate(all="ignore"):
        gradient = build(other).gradient(same.params, same.x, same.y)
    return observation.is_reproduced_by(dict(tree.leaves(gradient)))
