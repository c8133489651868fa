"""Bugs of BP1: the error of the output."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bpcheck.diagnosis.bug import Bug, Hints
from bpcheck.diagnosis.layers.dense.steps import Forward, Rules
from bpcheck.reference.layers.four_equations import bp1_output_error
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

RIGHT = Rules()

Delta = Callable[[Forward], FloatArray]


def _derivative_missing(f: Forward) -> FloatArray:
    return f.cost_gradient


def _derivative_twice(f: Forward) -> FloatArray:
    return bp1_output_error(RIGHT.bp1(f), f.output_slope) if f.fused else RIGHT.bp1(f)


def _softmax_diagonal(f: Forward) -> FloatArray:
    if f.sigma(f.top) != "softmax":
        return RIGHT.bp1(f)
    p = f.a[-1]
    if not f.fused:
        return np.asarray(f.cost_gradient * p * (1.0 - p))
    weight = 1.0 / f.case.batch if f.case.architecture.reduction == "mean" else 1.0
    return np.asarray(-weight * f.case.y * (1.0 - p))  # −y/p times the diagonal p(1 − p)


def _softmax_over_batch(f: Forward) -> FloatArray:
    if f.sigma(f.top) != "softmax" or not f.fused:
        return RIGHT.bp1(f)
    weights = np.exp(f.z[-1] - f.z[-1].max(axis=0, keepdims=True))
    scale = 1.0 / f.case.batch if f.case.architecture.reduction == "mean" else 1.0
    return np.asarray(scale * (weights / weights.sum(axis=0, keepdims=True) - f.case.y))


def _scaled(factor: Callable[[Forward], float]) -> Delta:
    return lambda f: RIGHT.bp1(f) * factor(f)


def _batch(f: Forward) -> float:
    return float(f.case.batch)


def _outputs(f: Forward) -> float:
    return float(f.case.architecture.outputs)


def _bug(
    slug: str,
    title: str,
    explanation: str,
    hints: tuple[str, str, str],
    delta: Delta,
    *,
    silent: str = "",
    confused: tuple[str, ...] = (),
) -> Bug:
    return Bug(
        slug, title, "BP1", explanation, Hints(*hints), RIGHT.but(bp1=delta), silent=silent, confused=confused
    )


FROM_THE_TOP = "All layers are wrong, the output layer too."
ONE_FACTOR = "All gradients point the right way, but all are {} by one factor."
AVERAGE = "BP1: how often is the 1/m of the mean over the batch applied, in the loss and in δ^L?"

BUGS = (
    _bug(
        "output-derivative-missing",
        "σ' forgotten in the output layer",
        "δ^L is ∇_a C alone: the factor σ'(z^L) is left out.",
        (
            FROM_THE_TOP,
            "BP1: what happens to ∇_a C on its way through the output activation?",
            "Multiply by σ'(z^L) in the output error (it only cancels for sigmoid with binary cross-entropy "
            "and softmax with cross-entropy).",
        ),
        _derivative_missing,
        silent="identity output, fused pairs",
    ),
    _bug(
        "output-derivative-twice",
        "σ' once too often in the output layer",
        "δ^L is multiplied by σ'(z^L) once too often.",
        (
            FROM_THE_TOP,
            "BP1: is σ'(z^L) already inside the a − y of this cross-entropy?",
            "For a cross-entropy with its own activation, a − y already contains σ'(z^L).",
        ),
        _derivative_twice,
        silent="losses that are not fused with their output",
    ),
    _bug(
        "softmax-diagonal",
        "softmax differentiated like a sigmoid",
        "softmax was differentiated as if each output depended on its own z only.",
        (
            FROM_THE_TOP,
            "BP1: does output k of a softmax depend on z_k alone?",
            "Use the whole Jacobian p_k (1[k=j] − p_j); with cross-entropy it collapses to p − y.",
        ),
        _softmax_diagonal,
        silent="no softmax at the output",
        confused=("output-derivative-twice",),
    ),
    _bug(
        "softmax-wrong-axis",
        "softmax over the batch",
        "softmax was normalised over the batch instead of over the outputs.",
        (
            FROM_THE_TOP,
            "BP1: which numbers must add up to 1, those of an example or those of an output?",
            "Sum over axis=1 (the outputs) with keepdims=True.",
        ),
        _softmax_over_batch,
        silent="no softmax at the output",
    ),
    _bug(
        "sign-flipped",
        "the sign is wrong",
        "the gradient points the wrong way: y − a for a − y.",
        (
            "All gradients have the right size and the wrong sign.",
            "BP1: is ∇_a C equal to a − y or to y − a?",
            "Look at the sign of the output error.",
        ),
        _scaled(lambda f: -1.0),
    ),
    _bug(
        "factor-two",
        "a 2 too many",
        "the output error is twice what it should be.",
        (
            ONE_FACTOR.format("too large"),
            "BP1: has the loss a ½ that cancels the 2 of the square's derivative?",
            "The ½ of ½‖a − y‖² cancels the 2 of its derivative.",
        ),
        _scaled(lambda f: 2.0),
        confused=("outputs-not-averaged", "sum-for-mean"),
    ),
    _bug(
        "factor-half",
        "a ½ too many",
        "the output error is half of what it should be.",
        (
            ONE_FACTOR.format("too small"),
            "BP1: has the loss a ½, or does the 2 of the square's derivative stay?",
            "A loss without ½ has a 2 in its derivative.",
        ),
        _scaled(lambda f: 0.5),
        confused=("mean-over-outputs", "averaged-twice"),
    ),
    _bug(
        "mean-over-outputs",
        "divided by the number of outputs",
        "the output error is divided by the number of outputs.",
        (
            ONE_FACTOR.format("too small"),
            "BP1: which axes does the loss average over, and which does δ^L?",
            "The loss sums over outputs; only its batch axis is averaged.",
        ),
        _scaled(lambda f: 1.0 / _outputs(f)),
        silent="one output",
        confused=("averaged-twice", "factor-half"),
    ),
    _bug(
        "outputs-not-averaged",
        "not divided by the number of outputs",
        "the output error is not divided by the number of outputs.",
        (
            ONE_FACTOR.format("too large"),
            "BP1: which axes does the loss average over, and which does δ^L?",
            "The loss is a mean over outputs; its derivative needs the same 1/n.",
        ),
        _scaled(_outputs),
        silent="one output",
        confused=("sum-for-mean", "factor-two"),
    ),
    _bug(
        "sum-for-mean",
        "the 1/m of the mean forgotten",
        "the gradient is summed over the batch, the loss is a mean: it is m times too large.",
        (ONE_FACTOR.format("too large"), AVERAGE, "Divide by the batch size m once."),
        _scaled(lambda f: _batch(f) if f.case.architecture.reduction == "mean" else 1.0),
        silent="batch of one, a loss that is a sum",
        confused=("outputs-not-averaged", "factor-two"),
    ),
    _bug(
        "averaged-twice",
        "a 1/m too many",
        "the gradient is divided by the batch size once too often.",
        (
            ONE_FACTOR.format("too small"),
            AVERAGE,
            "Divide by the batch size m once, not in the output error and again in the sums.",
        ),
        _scaled(lambda f: 1.0 / _batch(f)),
        silent="batch of one",
        confused=("mean-over-outputs", "factor-half"),
    ),
    _bug(
        "output-error-zero",
        "the output error is zero",
        "δ^L is 0: the gradient is zero everywhere, whatever the loss does.",
        (
            "All gradients are zero though the loss depends on the parameters.",
            "BP1: is δ^L computed before it is used?",
            "Compute δ^L = ∇_a C ⊙ σ'(z^L) and hand it on; look for arrays that are allocated and never filled.",
        ),
        lambda f: np.zeros_like(RIGHT.bp1(f)),
    ),
)
