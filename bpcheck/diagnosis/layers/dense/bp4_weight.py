"""Bugs of BP4: the gradient of the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bpcheck.diagnosis.bug import Bug, Hints
from bpcheck.diagnosis.layers.dense.steps import BP4, WEIGHT_GRADIENT, activation
from bpcheck.diagnosis.step import Layer, Rules, Run
from bpcheck.network.layers import Dense
from bpcheck.reference.layers.four_equations import bp4_weight_gradient
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

right = WEIGHT_GRADIENT.right

BATCH, HIDDEN = frozenset({"batch"}), frozenset({"hidden"})


def _wrong_layer(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta, activation(run, layer))


def _pre_activation(run: Run, layer: Layer, delta: FloatArray) -> Any:
    below = layer.below
    if (
        below is None
        or not isinstance(below.spec, Dense)
        or below.saved.activation is not layer.saved.previous
    ):
        return right(run, layer, delta)  # what comes in is no activation: x, or the end of a skip connection
    return bp4_weight_gradient(delta, below.saved.pre_activation)


def _transposed(run: Run, layer: Layer, delta: FloatArray) -> Any:
    return right(run, layer, delta).T


def _last_example(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta[-1:], layer.saved.previous[-1:])


def _first_example(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta[:1], layer.saved.previous[:1])


def _mean(run: Run, layer: Layer, delta: FloatArray) -> Any:
    return right(run, layer, delta) / run.forward.case.batch


def _summed_though_mean(run: Run, layer: Layer, delta: FloatArray) -> Any:
    return right(run, layer, delta) * run.forward.case.batch


def _absent(run: Run, layer: Layer, delta: FloatArray) -> Any:
    return 0.0 * right(run, layer, delta)


def _input_everywhere(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    x = run.forward.case.x
    return bp4_weight_gradient(delta, x.reshape(len(x), -1))


def _bug(
    slug: str,
    title: str,
    explanation: str,
    question: str,
    line: str,
    rule: Callable[..., Any],
    silent: str,
    confused: tuple[str, ...] = (),
    needs: frozenset[str] = frozenset(),
) -> Bug:
    hints = Hints("The weights are wrong, the biases of the same layers are right.", f"BP4: {question}", line)
    rules = Rules().but(WEIGHT_GRADIENT, rule)
    return Bug(
        slug, title, BP4.name, explanation, hints, rules, silent=silent, confused=confused, needs=needs
    )


PREVIOUS = "∂C/∂W^l = δ^l (a^{l−1})ᵀ: the right factor is the activation of the layer below."
FACTOR = "what stands beside δ^l in the gradient of W^l?"
EXAMPLES = "do all examples of the batch count?"

BUGS = (
    _bug(
        "wrong-layer-activation",
        "a^l for a^{l−1}",
        "a^l was used for a^{l−1}.",
        FACTOR,
        PREVIOUS,
        _wrong_layer,
        "raises unless widths are equal",
    ),
    _bug(
        "pre-activation-for-activation",
        "z^{l−1} for a^{l−1}",
        "z^{l−1} was used for a^{l−1}.",
        FACTOR,
        PREVIOUS,
        _pre_activation,
        "one layer, identity activation",
        needs=HIDDEN,
    ),
    _bug(
        "outer-transposed",
        "the outer product transposed",
        "the outer product was formed the wrong way round: a δᵀ for δ aᵀ.",
        "which index of ∂C/∂W^l belongs to the neurons of layer l?",
        "Row j of ∂C/∂W^l belongs to neuron j of layer l.",
        _transposed,
        "raises unless the matrix is square",
    ),
    _bug(
        "last-sample-wins",
        "only the last example counts",
        "only the last example of the batch counts: a loop assigns where it should add.",
        EXAMPLES,
        "Add up over the batch: += instead of =.",
        _last_example,
        "batch of one",
        ("first-sample-only",),
        needs=BATCH,
    ),
    _bug(
        "first-sample-only",
        "only the first example counts",
        "only the first example of the batch counts.",
        EXAMPLES,
        "Add up over the batch.",
        _first_example,
        "batch of one",
        ("last-sample-wins",),
        needs=BATCH,
    ),
    _bug(
        "weight-mean-bias-sum",
        "a 1/m too many at the weights",
        "the weight gradient is divided by the batch size once too often.",
        "does δ reach the weights in the same way as the biases?",
        "The 1/m of a mean belongs into δ^L, once.",
        _mean,
        "batch of one",
        needs=BATCH,
    ),
    _bug(
        "weight-sum-bias-mean",
        "the 1/m forgotten at the weights",
        "the weight gradient is m times too large, the bias gradient is right.",
        "does δ reach the weights in the same way as the biases?",
        "The 1/m of a mean belongs into δ^L, once.",
        _summed_though_mean,
        "batch of one",
        needs=BATCH,
    ),
    _bug(
        "input-for-activation",
        "x in every layer",
        "the network's input x was used for a^{l−1} in every layer.",
        FACTOR,
        PREVIOUS,
        _input_everywhere,
        "one layer; raises unless widths are equal",
        needs=HIDDEN,
    ),
    _bug(
        "weight-absent",
        "no weight gradient",
        "δ does not reach the weights: their gradient is left out.",
        FACTOR,
        "∂C/∂W^l is δ^l (a^{l−1})ᵀ, summed over the examples: fill it in.",
        _absent,
        "never: weights are looked at by everyone",
    ),
)
