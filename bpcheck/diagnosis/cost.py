"""Bugs of the loss itself: the gradient is right, or would be for the loss that was meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bpcheck.diagnosis.bug import Bug, Program
from bpcheck.diagnosis.steps import forward
from bpcheck.network.architecture import PROBABILITY_LOSSES, Architecture
from bpcheck.network.case import Case
from bpcheck.reference.penalty import penalty
from bpcheck.tree import FloatArray

__all__ = ["BUGS", "logarithm"]

PLANTED_EPSILON, PLANTED_CLIP = 1e-6, 1e-4
"""What the mutants of the catalogue carry: an ε that shows in 1e-8 of the loss, and a clip that logits of 10 reach."""

Log = Callable[[FloatArray, float], FloatArray]


def _log_with_epsilon(p: FloatArray, epsilon: float) -> FloatArray:
    return np.asarray(np.log(p + epsilon))


def _log_of_clipped(p: FloatArray, epsilon: float) -> FloatArray:
    return np.asarray(np.log(np.clip(p, epsilon, 1.0 - epsilon)))


LOG_FORMS = {"epsilon-in-log": _log_with_epsilon, "clip-in-forward-only": _log_of_clipped}
"""By slug: the logarithm that stands in the loss, ``log(p, ε)``."""


def loss_with(log: Log, epsilon: float, case: Case) -> tuple[float, float] | None:
    """The loss of a cross-entropy that is computed with another logarithm, and by how much a rounding of p = 1 moves it.

    None for other losses.
    """
    architecture = case.architecture
    if architecture.loss not in PROBABILITY_LOSSES:
        return None
    f = forward(case)
    if not f.fused:
        return None
    p, y = f.output, case.y
    with np.errstate(all="ignore"):
        values, moved = -(y * log(p, epsilon)), y / np.maximum(p, epsilon)
        if architecture.loss == "binary_cross_entropy":
            values = values - (1.0 - y) * log(1.0 - p, epsilon)
            moved = moved + (1.0 - y) / np.maximum(1.0 - p, epsilon)
    count = case.batch if architecture.reduction == "mean" else 1
    loss = float(values.sum()) / count + float(penalty(case.params, architecture))
    return loss, float(moved.sum()) / count


EPSILONS = (*(10.0**-k for k in range(1, 17)), 2.0**-52, 2.0**-23)
"""What people write inside a logarithm or a clip: a power of ten, or a format's eps."""

ROUNDING = 256.0
"""Rounding of a loss in textbook form, in units of u: each p is off by some u, log p by some u/p, and some dozens of terms
are added up."""

VISIBLE = 16.0
"""An ε that moves the loss by less than so many roundings is not told from its neighbours, ten times larger and smaller."""


def logarithm(
    seen: Sequence[tuple[Case, float, float]], *, roundoff: float = 2.0**-53
) -> tuple[str, str] | None:
    """Slug and evidence if a logarithm with an ε gives the losses that were returned.

    Parameters
    ----------
    seen : sequence of (case, loss as returned, right loss)
    roundoff : float
        u of the precision in which the loss was computed.

    Returns
    -------
    (slug, evidence) or None
    """
    rounding = ROUNDING * roundoff
    fits = [
        (slug, epsilon)
        for slug, log in LOG_FORMS.items()
        for epsilon in EPSILONS
        if _fits(log, epsilon, seen, rounding)
    ]
    if len(fits) != 1:  # none, or rounding hides which
        return None
    slug, epsilon = fits[0]
    form = "log(p + ε)" if slug == "epsilon-in-log" else "log(p) of p clipped to [ε, 1 − ε]"
    return slug, f"{form} with ε = {epsilon:.3g} gives the loss that was returned"


def _fits(log: Log, epsilon: float, seen: Sequence[tuple[Case, float, float]], rounding: float) -> bool:
    visible = False
    for case, returned, right in seen:
        found = loss_with(log, epsilon, case)
        if found is None:
            return False
        loss, moved = found
        allowed = rounding * (1.0 + abs(right) + moved)
        if not abs(returned - loss) <= allowed:
            return False
        visible = visible or abs(returned - right) > VISIBLE * allowed
    return visible


def _planted(log: Log, epsilon: float) -> Callable[[Program], Program]:
    def plant(right: Program) -> Program:
        def program(params: Any, x: Any, y: Any, architecture: Architecture) -> tuple[Any, Any]:
            loss, gradient = right(params, x, y, architecture)
            other = loss_with(log, epsilon, Case(architecture, params, x, y))
            return (loss if other is None else type(loss)(other[0])), gradient

        return program

    return plant


BUGS = (
    Bug(
        "epsilon-in-log",
        "an ε inside the logarithm of the loss",
        "loss",
        "the loss is computed as log(p + ε), the gradient is that of log p.",
        (
            "Every gradient is right, the loss is a little too small.",
            "The loss: is its logarithm that of p?",
            "Compute the logarithm from z (log-softmax, softplus) instead of adding ε to p.",
        ),
        silent="losses without a logarithm; ε below a rounding of p",
        plant=_planted(_log_with_epsilon, PLANTED_EPSILON),
    ),
    Bug(
        "clip-in-forward-only",
        "probabilities clipped in the loss alone",
        "loss",
        "the loss clips p to [ε, 1 − ε]; where it does, it is flat, and the gradient is not 0.",
        (
            "Every gradient is right, the loss is wrong for examples that are far off or very sure.",
            "The loss: what is the derivative where p is clipped?",
            "Compute the logarithm from z (log-softmax, softplus) instead of clipping p.",
        ),
        silent="losses without a logarithm; examples whose p lies inside [ε, 1 − ε]",
        plant=_planted(_log_of_clipped, PLANTED_CLIP),
    ),
)
