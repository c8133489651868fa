"""Bugs of the loss itself: the gradient is right, or would be for the loss that was meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bpcheck.architecture import PROBABILITY_LOSSES, Architecture
from bpcheck.case import Case
from bpcheck.diagnosis.backward import forward
from bpcheck.diagnosis.bug import Bug, Hints, Program
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


def loss_with(log: Log, epsilon: float, case: Case) -> float | None:
    """The data term of a cross-entropy that is computed with another logarithm; None for other losses."""
    architecture = case.architecture
    if architecture.loss not in PROBABILITY_LOSSES:
        return None
    f = forward(case)
    if not f.fused:
        return None
    p, y = f.a[-1], case.y
    with np.errstate(all="ignore"):
        values = -(y * log(p, epsilon)).sum(axis=1)
        if architecture.loss == "binary_cross_entropy":
            values = values - ((1.0 - y) * log(1.0 - p, epsilon)).sum(axis=1)
    return float(values.mean() if architecture.reduction == "mean" else values.sum())


EPSILONS = (*(10.0**-k for k in range(1, 17)), 2.0**-52, 2.0**-23)
"""What people write inside a logarithm or a clip: a power of ten, or a format's eps."""

SAME_LOSS = 1e-9
"""A difference of losses is explained if it is reproduced to this share of the loss, or to EXPLAINED of itself, whichever
is less: the rounding of textbook code's loss is 1e-13 of it."""

EXPLAINED = 1e-3


def logarithm(seen: Sequence[tuple[Case, float, float]]) -> tuple[str, str] | None:
    """Slug and evidence if a logarithm with an ε gives the losses that were returned.

    Parameters
    ----------
    seen : sequence of (case, loss as returned, right loss)

    Returns
    -------
    (slug, evidence) or None
    """
    for slug, log in LOG_FORMS.items():
        for epsilon in EPSILONS:
            visible = 0
            for case, returned, right in seen:
                other, plain = loss_with(log, epsilon, case), loss_with(_log_with_epsilon, 0.0, case)
                if other is None or plain is None:
                    return None
                off = returned - right
                allowed = min(EXPLAINED * abs(off), SAME_LOSS * abs(right)) + ROUNDING * abs(right)
                if not abs(off - (other - plain)) <= allowed:
                    break
                visible += abs(off) > 10.0 * ROUNDING * abs(right)
            else:
                if visible:
                    form = "log(p + ε)" if slug == "epsilon-in-log" else "log(p) of p clipped to [ε, 1 − ε]"
                    return slug, f"{form} with ε = {epsilon:.3g} gives the loss that was returned"
    return None


ROUNDING = 1e-13
"""Relative rounding of a loss in textbook form, and of the difference formed here."""


def _planted(slug: str, epsilon: float) -> Callable[[Program], Program]:
    def plant(right: Program) -> Program:
        def program(params: Any, x: Any, y: Any, architecture: Architecture) -> tuple[Any, Any]:
            loss, gradient = right(params, x, y, architecture)
            case = Case(architecture, params, x, y)
            exact = loss_with(_log_with_epsilon, 0.0, case)
            other = loss_with(LOG_FORMS[slug], epsilon, case)
            if exact is None or other is None:
                return loss, gradient
            return type(loss)(loss + (other - exact)), gradient

        return program

    return plant


def _bug(slug: str, title: str, explanation: str, hints: Hints, epsilon: float, silent: str) -> Bug:
    return Bug(slug, title, "loss", explanation, hints, silent=silent, plant=_planted(slug, epsilon))


BUGS = (
    _bug(
        "epsilon-in-log",
        "an ε inside the logarithm of the loss",
        "the loss is computed as log(p + ε), the gradient is that of log p.",
        Hints(
            "Every gradient is right, the loss is a little too small.",
            "The loss: is its logarithm that of p?",
            "Compute the logarithm from z (log-softmax, softplus) instead of adding ε to p.",
        ),
        PLANTED_EPSILON,
        "losses without a logarithm; ε below a rounding of p",
    ),
    _bug(
        "clip-in-forward-only",
        "probabilities clipped in the loss alone",
        "the loss clips p to [ε, 1 − ε]; where it does, it is flat, and the gradient is not 0.",
        Hints(
            "Every gradient is right, the loss is wrong for examples that are far off or very sure.",
            "The loss: what is the derivative where p is clipped?",
            "Compute the logarithm from z (log-softmax, softplus) instead of clipping p.",
        ),
        PLANTED_CLIP,
        "losses without a logarithm; examples whose p lies inside [ε, 1 − ε]",
    ),
)
