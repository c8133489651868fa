"""Bugs of BP1: the error of the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bpcheck.diagnosis.bug import Family
from bpcheck.diagnosis.layers.dense.steps import OUTPUT_ERROR, activation, output_slope, sigma
from bpcheck.diagnosis.step import Forward, Layer, Run
from bpcheck.diagnosis.steps import COST_GRADIENT
from bpcheck.reference.layers.four_equations import bp1_output_error
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

right = OUTPUT_ERROR.right


def _share(f: Forward) -> float:
    """What the loss multiplies each example by."""
    return 1.0 / f.case.batch if f.case.architecture.reduction == "mean" else 1.0


def _derivative_twice(run: Run, layer: Layer, error: FloatArray) -> Any:
    delta = right(run, layer, error)
    return bp1_output_error(delta, output_slope(run, layer)) if run.forward.fused else delta


def _softmax_diagonal(run: Run, layer: Layer, error: FloatArray) -> Any:
    f = run.forward
    if sigma(layer) != "softmax":
        return right(run, layer, error)
    p = activation(run, layer)
    if not f.fused:
        return np.asarray(error * p * (1.0 - p))
    return np.asarray(-_share(f) * f.case.y * (1.0 - p))  # −y/p times the diagonal p(1 − p)


def _softmax_over_batch(run: Run, layer: Layer, error: FloatArray) -> Any:
    f = run.forward
    if sigma(layer) != "softmax" or not f.fused:
        return right(run, layer, error)
    weights = np.exp(f.logits - f.logits.max(axis=0, keepdims=True))
    return np.asarray(_share(f) * (weights / weights.sum(axis=0, keepdims=True) - f.case.y))


def _scaled(factor: Callable[[Forward], float]) -> Callable[[Run], FloatArray]:
    return lambda run: run.forward.cost_gradient * factor(run.forward)


FROM_THE_TOP = Family(OUTPUT_ERROR, "All layers are wrong, the output layer too.", "BP1")
TOO_LARGE, TOO_SMALL = (
    Family(
        COST_GRADIENT,
        f"What the loss adds to the gradients points the right way, but is too {much} by one factor.",
        "BP1",
    )
    for much in ("large", "small")
)
WRONG_SIGN = Family(
    COST_GRADIENT, "What the loss adds to the gradients has the right size and the wrong sign.", "BP1"
)
NO_DATA = Family(COST_GRADIENT, "No gradient depends on the data, though the loss does.", "BP1")
AVERAGE = "how often is 1/m applied, in the loss and in δ^L?"
AXES = "which axes does the loss average over, and which does δ^L?"

BUGS = (
    FROM_THE_TOP.bug(
        "output-derivative-missing",
        "σ' forgotten in the output layer",
        "δ^L is ∇_a C alone: the factor σ'(z^L) is left out.",
        "what happens to ∇_a C on its way through the output activation?",
        "Multiply by σ'(z^L) in the output error (it only cancels for sigmoid with binary cross-entropy "
        "and softmax with cross-entropy).",
        lambda run, layer, error: error,
        silent="identity output, fused pairs",
    ),
    FROM_THE_TOP.bug(
        "output-derivative-twice",
        "σ' once too often in the output layer",
        "δ^L is multiplied by σ'(z^L) once too often.",
        "is σ'(z^L) already inside the a − y of this cross-entropy?",
        "For a cross-entropy with its own activation, a − y already contains σ'(z^L).",
        _derivative_twice,
        silent="losses that are not fused with their output",
    ),
    FROM_THE_TOP.bug(
        "softmax-diagonal",
        "softmax differentiated like a sigmoid",
        "softmax was differentiated as if each output depended on its own z only.",
        "does output k of a softmax depend on z_k alone?",
        "Use the whole Jacobian p_k (1[k=j] − p_j); with cross-entropy, and targets that sum to 1, δ^L becomes p − y.",
        _softmax_diagonal,
        silent="no softmax at the output",
        confused=("output-derivative-twice",),
    ),
    FROM_THE_TOP.bug(
        "softmax-wrong-axis",
        "softmax over the batch",
        "softmax was normalised over the batch instead of over the outputs.",
        "which numbers must add up to 1, those of an example or those of an output?",
        "Sum over the outputs of each example, with keepdims=True: axis=1 where examples are rows.",
        _softmax_over_batch,
        silent="no softmax at the output",
    ),
    WRONG_SIGN.bug(
        "sign-flipped",
        "the sign is wrong",
        "the gradient points the wrong way: y − a for a − y.",
        "is ∇_a C equal to a − y or to y − a?",
        "Look at the sign of the output error.",
        _scaled(lambda f: -1.0),
    ),
    TOO_LARGE.bug(
        "factor-two",
        "a 2 too many",
        "the output error is twice what it should be.",
        "which constant factors has the loss, and which has δ^L?",
        "Take the 2 out of δ^L: where the loss has a ½, that cancels the 2 of a square's derivative.",
        _scaled(lambda f: 2.0),
        confused=("outputs-not-averaged", "sum-for-mean"),
    ),
    TOO_SMALL.bug(
        "factor-half",
        "a ½ too many",
        "the output error is half of what it should be.",
        "which constant factors has δ^L that the loss has not?",
        "Take the ½ out of δ^L: only a ½ in the loss cancels the 2 of a square's derivative.",
        _scaled(lambda f: 0.5),
        confused=("mean-over-outputs", "averaged-twice"),
    ),
    TOO_SMALL.bug(
        "mean-over-outputs",
        "divided by the number of outputs",
        "the output error is divided by the number of outputs once too often.",
        AXES,
        "Divide by the number of outputs as often as the loss does: never, if it is a sum over them.",
        _scaled(lambda f: 1.0 / f.case.architecture.outputs),
        silent="one output",
        confused=("averaged-twice", "factor-half"),
        needs={"outputs"},
    ),
    TOO_LARGE.bug(
        "outputs-not-averaged",
        "not divided by the number of outputs",
        "the output error is the number of outputs times too large.",
        AXES,
        "If the loss is a mean over the n outputs, δ^L needs the same 1/n; if it is a sum, neither has a factor.",
        _scaled(lambda f: f.case.architecture.outputs),
        silent="one output",
        confused=("sum-for-mean", "factor-two"),
        needs={"outputs"},
    ),
    TOO_LARGE.bug(
        "sum-for-mean",
        "the 1/m of the mean forgotten",
        "the gradient is summed over the batch, the loss is a mean: it is m times too large.",
        AVERAGE,
        "Divide δ^L by the batch size m, once, as the loss does.",
        _scaled(lambda f: f.case.batch if f.case.architecture.reduction == "mean" else 1.0),
        silent="batch of one, a loss that is a sum",
        confused=("outputs-not-averaged", "factor-two"),
        needs={"batch"},
    ),
    TOO_SMALL.bug(
        "averaged-twice",
        "a 1/m too many",
        "the gradient is divided by the batch size once too often.",
        AVERAGE,
        "Divide by the batch size m as often as the loss does: once for a mean, in δ^L or in the sums over the "
        "batch, and never for a sum.",
        _scaled(lambda f: 1.0 / f.case.batch),
        silent="batch of one",
        confused=("mean-over-outputs", "factor-half"),
        needs={"batch"},
    ),
    NO_DATA.bug(
        "output-error-zero",
        "the output error is zero",
        "δ^L is 0: nothing of the loss reaches the gradients.",
        "is δ^L computed before it is used?",
        "Compute δ^L = ∇_a C ⊙ σ'(z^L) and hand it on; look for arrays that are allocated and never filled.",
        _scaled(lambda f: 0.0),
    ),
)
