"""Bugs of BP2: the error of the hidden layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck.diagnosis.bug import Family
from bpcheck.diagnosis.layers.dense.steps import HIDDEN_ERROR, SENT_DOWN, WEIGHT_GRADIENT, sigma
from bpcheck.diagnosis.step import Layer, Run
from bpcheck.diagnosis.steps import PENALTY
from bpcheck.network.layers import Dense
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.layers.four_equations import bp1_output_error, bp2_hidden_error
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

right_error, right_bracket = HIDDEN_ERROR.right, SENT_DOWN.right


def _derivative_of_activation(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    activation, a = ACTIVATION[sigma(layer)], layer.saved.activation
    return bp1_output_error(error, activation.derivative(a, activation.value(a)))


# σ' as a formula in a, for the activations that have one
FORMULA_IN_A = {"sigmoid": lambda v: v * (1.0 - v), "tanh": lambda v: 1.0 - v * v}


def _formula_on_z(run: Run, layer: Layer, error: FloatArray) -> Any:
    formula = FORMULA_IN_A.get(sigma(layer))
    if formula is None:
        return right_error(run, layer, error)
    return bp1_output_error(error, formula(layer.saved.pre_activation))


def _mask_overwrites(run: Run, layer: Layer, error: FloatArray) -> Any:
    return layer.saved.derivative if sigma(layer) == "relu" else right_error(run, layer, error)


def _leak_lost(run: Run, layer: Layer, error: FloatArray) -> Any:
    if sigma(layer) != "leaky_relu":
        return right_error(run, layer, error)
    return bp1_output_error(error, np.where(layer.saved.pre_activation > 0, 1.0, 0.0))


def _wrong_matrix(run: Run, layer: Layer, delta: FloatArray, error: FloatArray) -> Any:
    below = layer.below
    if below is None or not isinstance(below.spec, Dense):
        return right_bracket(run, layer, delta, error)
    return bp2_hidden_error(below.params["weight"], delta)


def _stale(run: Run, layer: Layer, delta: FloatArray, error: FloatArray) -> FloatArray:
    last = next(one for one in reversed(run.forward.leaves) if isinstance(one.spec, Dense))
    return bp2_hidden_error(last.params["weight"], run.errors[last.path])


def _updated_first(run: Run, layer: Layer, delta: FloatArray, error: FloatArray) -> FloatArray:
    weight = layer.params["weight"]
    gradient = WEIGHT_GRADIENT.right(run, layer, delta) + PENALTY.right(run, layer, "weight", weight)
    return bp2_hidden_error(weight - run.forward.rate * gradient, delta)


NEEDS = frozenset({"hidden"})
HIDDEN = Family(
    HIDDEN_ERROR, "The layers below the output are wrong, the output layer is right.", "BP2", NEEDS
)
DOWN = Family(SENT_DOWN, HIDDEN.symptom, "BP2", NEEDS)
THIRD = Family(SENT_DOWN, "The top two layers are right, everything below is wrong.", "BP2", NEEDS)

BUGS = (
    HIDDEN.bug(
        "hidden-derivative-missing",
        "σ' forgotten in the hidden layers",
        "δ^l is (W^{l+1})ᵀ δ^{l+1} alone: the factor σ'(z^l) is left out in the hidden layers.",
        "what does the activation of the hidden layer do to the error that comes down?",
        "Multiply the error that comes down by σ'(z^l), elementwise.",
        lambda run, layer, error: error,
        silent="no hidden layer, identity activation",
    ),
    DOWN.bug(
        "raw-error-propagated",
        "the raw error sent down",
        "the raw output error is sent down through all the weights; the σ' of the layers above is lost.",
        "which error goes down, the one before or the one after the factor σ'(z^{l+1})?",
        "Send δ^{l+1} down, not the error before it was multiplied by σ'(z^{l+1}).",
        lambda run, layer, delta, error: bp2_hidden_error(layer.params["weight"], error),
        silent="fewer than two hidden layers with identity or fused output",
    ),
    HIDDEN.bug(
        "derivative-of-activation",
        "σ' at a for σ' at z",
        "σ' was evaluated at a^l instead of at z^l.",
        "at which of z^l and a^l is σ' taken?",
        "Keep z^l from the forward pass and use σ'(z^l).",
        _derivative_of_activation,
        silent="ReLU, leaky ReLU, identity",
    ),
    HIDDEN.bug(
        "derivative-formula-on-z",
        "the formula in a, given z",
        "the formula for σ' in terms of a (a(1 − a), 1 − a²) was given z.",
        "is your formula for σ' one in z or one in a?",
        "Give the formula the activation a^l.",
        _formula_on_z,
        silent="activations other than sigmoid and tanh",
    ),
    DOWN.bug(
        "weight-not-transposed",
        "W for Wᵀ",
        "the error was sent down through W^{l+1} instead of its transpose.",
        "over which index of W^{l+1} does the sum run on the way down?",
        "δ^l needs Σ_k W_{kj} δ_k: the sum runs over the first index of W.",
        lambda run, layer, delta, error: delta @ layer.params["weight"].T,
        silent="raises unless the matrix is square; right if it is symmetric",
        confused=("wrong-weight-matrix",),
    ),
    DOWN.bug(
        "wrong-weight-matrix",
        "the weights of the wrong layer",
        "the error was sent down through W^l instead of W^{l+1}.",
        "through which layer's weights does the error of layer l come down?",
        "The error of layer l comes through the weights above it.",
        _wrong_matrix,
        silent="raises unless widths are equal",
        confused=("weight-not-transposed",),
    ),
    THIRD.bug(
        "stale-delta",
        "the same δ in every step of the loop",
        "δ^L and W^L were used in every step of the loop.",
        "which δ and which W belong to the step from layer l + 1 to layer l?",
        "Update the error variable in each step.",
        _stale,
        silent="fewer than two hidden layers",
    ),
    DOWN.bug(
        "weights-updated-first",
        "weights updated before δ went through them",
        "the weights of a layer were updated before the error was sent down through them.",
        "at which moment are the weights through which δ comes down those of the forward pass?",
        "Compute the gradients of all layers first, then update.",
        _updated_first,
        silent="no hidden layer; a gradient without an update step",
        needs={"step"},
    ),
    HIDDEN.bug(
        "relu-mask-overwrites",
        "the ReLU mask in place of the error",
        "the error was replaced by the ReLU mask (0 or 1).",
        "is the error multiplied by σ'(z^l), or replaced by it?",
        "Multiply the error by the mask; do not assign it.",
        _mask_overwrites,
        silent="activations other than ReLU",
    ),
    HIDDEN.bug(
        "leaky-slope-lost",
        "the leak forgotten",
        "the slope of leaky ReLU for z < 0 was taken as 0.",
        "what is σ'(z) for z < 0?",
        "σ'(z) is the small slope for z < 0.",
        _leak_lost,
        silent="activations other than leaky ReLU, z > 0",
    ),
    HIDDEN.bug(
        "error-not-propagated",
        "no error sent down",
        "δ^l of the hidden layers is zero: the error stops at the output.",
        "is δ^l computed before the gradients of layer l are?",
        "Compute δ^l = ((W^{l+1})ᵀ δ^{l+1}) ⊙ σ'(z^l) for every hidden layer.",
        lambda run, layer, error: np.zeros_like(layer.saved.pre_activation),
        silent="no hidden layer",
    ),
)
