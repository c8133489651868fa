"""Bugs of BP1 and the loss: the error of the output."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bpcheck.diagnosis.backward import Forward, Rules
from bpcheck.diagnosis.bug import Bug
from bpcheck.reference.equations import bp1_output_error
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

RIGHT = Rules()


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


def _scaled(factor: Callable[[Forward], float]) -> Rules:
    return RIGHT.but(bp1=lambda f: RIGHT.bp1(f) * factor(f))


def _batch(f: Forward) -> float:
    return float(f.case.batch)


BUGS = (
    Bug(
        "output-derivative-missing",
        "BP1",
        "δ^L is ∇_a C alone: the factor σ'(z^L) is left out.",
        "Multiply by σ'(z^L) in the output error (it only cancels for sigmoid with binary cross-entropy "
        "and softmax with cross-entropy).",
        RIGHT.but(bp1=_derivative_missing),
        silent="identity output, fused pairs",
    ),
    Bug(
        "output-derivative-twice",
        "BP1",
        "δ^L is multiplied by σ'(z^L) once too often.",
        "For a cross-entropy with its own activation, a − y already contains σ'(z^L).",
        RIGHT.but(bp1=_derivative_twice),
        silent="losses that are not fused with their output",
    ),
    Bug(
        "softmax-diagonal",
        "BP1",
        "softmax was differentiated as if each output depended on its own z only.",
        "Use the whole Jacobian p_k (1[k=j] − p_j); with cross-entropy it collapses to p − y.",
        RIGHT.but(bp1=_softmax_diagonal),
        silent="no softmax at the output",
    ),
    Bug(
        "sign-flipped",
        "BP1",
        "the gradient points the wrong way: y − a for a − y.",
        "Look at the sign of the output error.",
        _scaled(lambda f: -1.0),
    ),
    Bug(
        "factor-two",
        "BP1",
        "the output error is twice what it should be.",
        "The ½ of ½‖a − y‖² cancels the 2 of its derivative.",
        _scaled(lambda f: 2.0),
    ),
    Bug(
        "factor-half",
        "BP1",
        "the output error is half of what it should be.",
        "A loss without ½ has a 2 in its derivative.",
        _scaled(lambda f: 0.5),
    ),
    Bug(
        "mean-over-outputs",
        "BP1",
        "the output error is divided by the number of outputs.",
        "The loss sums over outputs; only its batch axis is averaged.",
        _scaled(lambda f: 1.0 / f.case.architecture.widths[-1]),
        silent="one output",
    ),
    Bug(
        "outputs-not-averaged",
        "BP1",
        "the output error is not divided by the number of outputs.",
        "The loss is a mean over outputs; its derivative needs the same 1/n.",
        _scaled(lambda f: float(f.case.architecture.widths[-1])),
        silent="one output",
    ),
    Bug(
        "sum-for-mean",
        "BP1",
        "the gradient is summed over the batch, the loss is a mean: it is m times too large.",
        "Divide by the batch size m once.",
        _scaled(lambda f: _batch(f) if f.case.architecture.reduction == "mean" else 1.0),
        silent="batch of one",
    ),
    Bug(
        "averaged-twice",
        "BP1",
        "the gradient is divided by the batch size once too often.",
        "Divide by the batch size m once, not in the output error and again in the sums.",
        _scaled(lambda f: 1.0 / _batch(f)),
        silent="batch of one",
    ),
    Bug(
        "softmax-wrong-axis",
        "BP1",
        "softmax was normalised over the batch instead of over the outputs.",
        "Sum over axis=1 (the outputs) with keepdims=True.",
        RIGHT.but(bp1=lambda f: _softmax_over_batch(f)),
        silent="no softmax at the output",
    ),
)


def _softmax_over_batch(f: Forward) -> FloatArray:
    if f.sigma(f.top) != "softmax" or not f.fused:
        return RIGHT.bp1(f)
    weights = np.exp(f.z[-1] - f.z[-1].max(axis=0, keepdims=True))
    scale = 1.0 / f.case.batch if f.case.architecture.reduction == "mean" else 1.0
    return np.asarray(scale * (weights / weights.sum(axis=0, keepdims=True) - f.case.y))
