"""Bugs of BP4: the gradient of the weights."""

from __future__ import annotations

from typing import Any

from bpcheck.diagnosis.backward import Forward, Rules
from bpcheck.diagnosis.bug import Bug
from bpcheck.reference.equations import bp4_weight_gradient
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


def _input_everywhere(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta, f.a[0])


def _bug(slug: str, explanation: str, hint: str, rule: Any, silent: str) -> Bug:
    return Bug(slug, "BP4", explanation, hint, RIGHT.but(bp4=rule), silent)


PREVIOUS = "∂C/∂W^l = δ^l (a^{l−1})ᵀ: the right factor is the activation of the layer below."

BUGS = (
    _bug(
        "wrong-layer-activation",
        "a^l was used for a^{l−1}.",
        PREVIOUS,
        _wrong_layer,
        "raises unless widths are equal",
    ),
    _bug(
        "pre-activation-for-activation",
        "z^{l−1} was used for a^{l−1}.",
        PREVIOUS,
        _pre_activation,
        "one layer, identity activation",
    ),
    _bug(
        "outer-transposed",
        "the outer product was formed the wrong way round: a δᵀ for δ aᵀ.",
        "Row j of ∂C/∂W^l belongs to neuron j of layer l.",
        _transposed,
        "raises unless the matrix is square",
    ),
    _bug(
        "last-sample-wins",
        "only the last example of the batch counts: a loop assigns where it should add.",
        "Add up over the batch: += instead of =.",
        _last_example,
        "batch of one",
    ),
    _bug(
        "first-sample-only",
        "only the first example of the batch counts.",
        "Add up over the batch.",
        _first_example,
        "batch of one",
    ),
    _bug(
        "weight-mean-bias-sum",
        "the weight gradient is divided by the batch size once too often.",
        "The 1/m of a mean belongs into δ^L, once.",
        _mean,
        "batch of one",
    ),
    _bug(
        "input-for-activation",
        "the network's input x was used for a^{l−1} in every layer.",
        PREVIOUS,
        _input_everywhere,
        "one layer; raises unless widths are equal",
    ),
)
