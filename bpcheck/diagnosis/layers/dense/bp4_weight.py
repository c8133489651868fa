"""Bugs of BP4: the gradient of the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bpcheck.diagnosis.bug import Family
from bpcheck.diagnosis.layers.dense.steps import WEIGHT_GRADIENT, activation
from bpcheck.diagnosis.step import Layer, Run
from bpcheck.network.layers import Dense
from bpcheck.reference.layers.four_equations import bp4_weight_gradient
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

right = WEIGHT_GRADIENT.right


def _pre_activation(run: Run, layer: Layer, delta: FloatArray) -> Any:
    below = layer.below
    if (
        below is None
        or not isinstance(below.spec, Dense)
        or below.saved.activation is not layer.saved.previous
    ):
        return right(run, layer, delta)  # what comes in is no activation: x, or the end of a skip connection
    return bp4_weight_gradient(delta, below.saved.pre_activation)


def _of_examples(examples: slice) -> Callable[[Run, Layer, FloatArray], FloatArray]:
    return lambda run, layer, delta: bp4_weight_gradient(delta[examples], layer.saved.previous[examples])


def _input_everywhere(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    x = run.forward.case.x
    return bp4_weight_gradient(delta, x.reshape(len(x), -1))


WEIGHTS = Family(WEIGHT_GRADIENT, "The weights are wrong, the biases of the same layers are right.", "BP4")
PREVIOUS = "∂C/∂W^l = δ^l (a^{l−1})ᵀ: the right factor is the activation of the layer below."
FACTOR = "what stands beside δ^l in the gradient of W^l?"
ALIKE = "does δ reach the weights in the same way as the biases?"
ONCE = "The 1/m of a mean belongs into δ^L, once."
EXAMPLES = "do all examples of the batch count?"

BUGS = (
    WEIGHTS.bug(
        "wrong-layer-activation",
        "a^l for a^{l−1}",
        "a^l was used for a^{l−1}.",
        FACTOR,
        PREVIOUS,
        lambda run, layer, delta: bp4_weight_gradient(delta, activation(run, layer)),
        silent="raises unless widths are equal",
    ),
    WEIGHTS.bug(
        "pre-activation-for-activation",
        "z^{l−1} for a^{l−1}",
        "z^{l−1} was used for a^{l−1}.",
        FACTOR,
        PREVIOUS,
        _pre_activation,
        silent="one layer, identity activation",
        needs={"hidden"},
    ),
    WEIGHTS.bug(
        "outer-transposed",
        "the outer product transposed",
        "the outer product was formed the wrong way round: a δᵀ for δ aᵀ.",
        "which index of ∂C/∂W^l belongs to the neurons of layer l?",
        "Row j of ∂C/∂W^l belongs to neuron j of layer l.",
        lambda run, layer, delta: right(run, layer, delta).T,
        silent="raises unless the matrix is square",
    ),
    WEIGHTS.bug(
        "last-sample-wins",
        "only the last example counts",
        "only the last example of the batch counts: a loop assigns where it should add.",
        EXAMPLES,
        "Add up over the batch: += instead of =.",
        _of_examples(slice(-1, None)),
        silent="batch of one",
        confused=("first-sample-only",),
        needs={"batch"},
    ),
    WEIGHTS.bug(
        "first-sample-only",
        "only the first example counts",
        "only the first example of the batch counts.",
        EXAMPLES,
        "Add up over the batch.",
        _of_examples(slice(0, 1)),
        silent="batch of one",
        confused=("last-sample-wins",),
        needs={"batch"},
    ),
    WEIGHTS.bug(
        "weight-mean-bias-sum",
        "a 1/m too many at the weights",
        "the weight gradient is divided by the batch size once too often.",
        ALIKE,
        ONCE,
        lambda run, layer, delta: right(run, layer, delta) / run.forward.case.batch,
        silent="batch of one",
        needs={"batch"},
    ),
    WEIGHTS.bug(
        "weight-sum-bias-mean",
        "the 1/m forgotten at the weights",
        "the weight gradient is m times too large, the bias gradient is right.",
        ALIKE,
        ONCE,
        lambda run, layer, delta: right(run, layer, delta) * run.forward.case.batch,
        silent="batch of one",
        needs={"batch"},
    ),
    WEIGHTS.bug(
        "input-for-activation",
        "x in every layer",
        "the network's input x was used for a^{l−1} in every layer.",
        FACTOR,
        PREVIOUS,
        _input_everywhere,
        silent="one layer; raises unless widths are equal",
        needs={"hidden"},
    ),
    WEIGHTS.bug(
        "weight-absent",
        "no weight gradient",
        "δ does not reach the weights: their gradient is left out.",
        FACTOR,
        "∂C/∂W^l is δ^l (a^{l−1})ᵀ, summed over the examples: fill it in.",
        lambda run, layer, delta: 0.0 * right(run, layer, delta),
        silent="never: weights are looked at by everyone",
    ),
)
