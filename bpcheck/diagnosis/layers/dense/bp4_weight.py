"""Bugs of BP4: the gradient of the weights."""

from __future__ import annotations

from typing import Any

from bpcheck.diagnosis.bug import Bug, Hints
from bpcheck.diagnosis.layers.dense.steps import Forward, Rules
from bpcheck.reference.layers.four_equations import bp4_weight_gradient
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

RIGHT = Rules()


def _wrong_layer(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta, f.a[k + 1])


def _pre_activation(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta, f.z[k - 1] if k else f.a[0])


def _transposed(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta, f.a[k]).T


def _last_example(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta[-1:], f.a[k][-1:])


def _first_example(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta[:1], f.a[k][:1])


def _mean(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta, f.a[k]) / f.case.batch


def _summed_though_mean(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta, f.a[k]) * f.case.batch


def _absent(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return 0.0 * bp4_weight_gradient(delta, f.a[k])


def _input_everywhere(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta, f.a[0])


def _bug(
    slug: str,
    title: str,
    explanation: str,
    question: str,
    line: str,
    gradient: Any,
    silent: str,
    confused: tuple[str, ...] = (),
) -> Bug:
    hints = Hints("The weights are wrong, the biases of the same layers are right.", f"BP4: {question}", line)
    return Bug(
        slug, title, "BP4", explanation, hints, RIGHT.but(bp4=gradient), silent=silent, confused=confused
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
    ),
    _bug(
        "weight-mean-bias-sum",
        "a 1/m too many at the weights",
        "the weight gradient is divided by the batch size once too often.",
        "does δ reach the weights in the same way as the biases?",
        "The 1/m of a mean belongs into δ^L, once.",
        _mean,
        "batch of one",
    ),
    _bug(
        "weight-sum-bias-mean",
        "the 1/m forgotten at the weights",
        "the bias gradient is divided by the batch size, the weight gradient is not.",
        "does δ reach the weights in the same way as the biases?",
        "The 1/m of a mean belongs into δ^L, once.",
        _summed_though_mean,
        "batch of one",
    ),
    _bug(
        "input-for-activation",
        "x in every layer",
        "the network's input x was used for a^{l−1} in every layer.",
        FACTOR,
        PREVIOUS,
        _input_everywhere,
        "one layer; raises unless widths are equal",
    ),
    _bug(
        "weight-absent",
        "no weight gradient",
        "the weight gradient is zero.",
        FACTOR,
        "∂C/∂W^l = δ^l (a^{l−1})ᵀ: fill it in.",
        _absent,
        "never: weights are looked at by everyone",
    ),
)
