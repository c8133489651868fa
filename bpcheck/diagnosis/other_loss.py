"""Is the gradient exact for another loss than the one that was given? Then the loss, not the formula, is at odds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis.observation import Observation
from bpcheck.errors import InputError
from bpcheck.network.architecture import LOSSES, REDUCTIONS, Architecture
from bpcheck.reference import build

__all__ = ["other_loss"]

WORDS = {
    "half_mse": "½‖a − y‖²",
    "mse": "mean((a − y)²)",
    "huber": "Huber's loss",
    "cross_entropy": "categorical cross-entropy",
    "binary_cross_entropy": "binary cross-entropy",
}


def other_loss(observations: Sequence[Observation]) -> str | None:
    """The loss of which all claims are the exact gradient, through the same network; None if there is none.

    Parameters
    ----------
    observations : sequence of Observation

    Returns
    -------
    str or None
        ``the sum of ½‖a − y‖² over the batch, without the penalty``.
    """
    if not any(map(_speaks, observations)):
        return None
    # of one example a mean and a sum are the same
    single = all(observation.case.batch == 1 for observation in observations)
    given = observations[0].case.architecture
    for loss, reduction, penalised in _losses(given, (given.reduction,) if single else REDUCTIONS):
        if all(_is_gradient_of(loss, reduction, penalised, observation) for observation in observations):
            over = WORDS[loss] if single else f"the {reduction} of {WORDS[loss]} over the batch"
            return over + ("" if penalised else ", without the penalty")
    return None


def _losses(given: Architecture, reductions: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Loss, reduction, and whether with the penalty, but for those that were given."""
    for loss in LOSSES:
        for reduction in reductions:
            for penalised in (True, False) if given.l1 or given.l2 else (True,):
                if (loss, reduction, penalised) != (given.loss, given.reduction, True):
                    yield loss, reduction, penalised


def _speaks(observation: Observation) -> bool:
    """Whether it is wrong, and not 0: that is the gradient of any loss that does not depend on the parameters."""
    return bool(observation.wrong) and any(values.any() for values in observation.claimed.values())


def _is_gradient_of(loss: str, reduction: str, penalised: bool, observation: Observation) -> bool:
    given = observation.case
    network = given.architecture if penalised else given.architecture.without_penalty
    try:
        case = replace(given, architecture=replace(network, loss=loss, reduction=reduction))
    except InputError:  # targets that this loss does not take
        return False
    with np.errstate(all="ignore"):
        gradient = build(case.architecture).gradient(case.params, case.x, case.y)
    return observation.is_reproduced_by(dict(tree.leaves(gradient)))
