"""Bugs of BP3: the gradient of the biases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bpcheck.diagnosis.bug import Bug, Hints
from bpcheck.diagnosis.layers.dense.steps import Forward, Gradient, Rules, backward
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.loss import LOSS
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

RIGHT = Rules()


def _first(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.asarray(delta[0])


def _last(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.asarray(delta[-1])


def _mean(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.asarray(delta.mean(axis=0))


def _summed_though_mean(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.asarray(delta.sum(axis=0) * f.case.batch)


def _over_units(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.asarray(delta.sum(axis=1))


def _scalar(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.full(delta.shape[1], delta.sum())


def _absent(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.zeros(delta.shape[1])


def _times_bias(f: Forward, k: int, delta: FloatArray) -> Any:
    return delta.sum(axis=0) * f.case.params[k]["bias"]


def _along_the_batch(f: Forward, gradient: Gradient) -> Gradient | None:
    """The whole pass again with (n, 1) for a bias beside rows, or (n,) beside columns: b_i is added to example i."""
    case = f.case
    if any(len(layer["bias"]) != case.batch for layer in case.params):
        return None  # does not fit (or, for one example, makes a square of it: the loss is no number then)
    z, a, derivative = [], [f.a[0]], []
    for k, layer in enumerate(case.params):
        activation = ACTIVATION[f.sigma(k)]
        z.append(a[-1] @ layer["weight"].T + layer["bias"][:, None])
        a.append(activation.value(z[-1]))
        derivative.append(activation.derivative(z[-1], a[-1]))
    if f.fused:
        derivative[-1] = np.ones_like(z[-1])
    cost_gradient = LOSS[case.architecture.loss].gradient(z[-1] if f.fused else a[-1], case.y)
    if case.architecture.reduction == "mean":
        cost_gradient = cost_gradient / case.batch
    moved = replace(f, z=z, a=a, derivative=derivative, cost_gradient=cost_gradient)
    return backward(moved, RIGHT)


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
    hints = Hints("The biases are wrong, the weights of the same layers are right.", f"BP3: {question}", line)
    return Bug(
        slug, title, "BP3", explanation, hints, RIGHT.but(bp3=gradient), silent=silent, confused=confused
    )


SUM = "Sum δ over the batch axis: delta.sum(axis=0)."
WHICH = "over which axis of δ, one row an example, does the sum run?"
ONCE = "Treat both alike: the 1/m of a mean belongs into δ^L, once."
ALIKE = "does δ reach the biases in the same way as the weights?"

BUGS = (
    _bug(
        "bias-not-summed",
        "the biases see one example",
        "only the first example's δ was used for the biases.",
        WHICH,
        SUM,
        _first,
        "batch of one",
        ("bias-last-example",),
    ),
    _bug(
        "bias-last-example",
        "the biases see the last example",
        "only the last example's δ was used for the biases.",
        WHICH,
        SUM,
        _last,
        "batch of one",
        ("bias-not-summed",),
    ),
    _bug(
        "bias-mean-weight-sum",
        "a 1/m too many at the biases",
        "the bias gradient is divided by the batch size once too often: a mean of δ, not its sum.",
        ALIKE,
        ONCE,
        _mean,
        "batch of one",
    ),
    _bug(
        "bias-sum-weight-mean",
        "the 1/m forgotten at the biases",
        "the weight gradient is divided by the batch size, the bias gradient is not.",
        ALIKE,
        ONCE,
        _summed_though_mean,
        "batch of one",
    ),
    _bug(
        "bias-summed-over-units",
        "summed over the units",
        "δ was summed over the units instead of over the batch.",
        WHICH,
        SUM,
        _over_units,
        "raises unless the batch is as large as the layer is wide",
    ),
    _bug(
        "bias-scalar",
        "one number for all biases of a layer",
        "one number for the whole layer was used for every bias.",
        WHICH,
        SUM,
        _scalar,
        "one unit",
    ),
    _bug(
        "bias-absent",
        "no bias gradient",
        "the bias gradient is zero.",
        "what is ∂z^l/∂b^l?",
        "∂C/∂b^l = δ^l: fill it in.",
        _absent,
        "never: biases must be looked at",
    ),
    _bug(
        "bias-times-value",
        "multiplied by the bias",
        "the bias gradient was multiplied by the bias.",
        "what is ∂z^l/∂b^l?",
        "∂z/∂b = 1, not b.",
        _times_bias,
        "all biases 1",
    ),
    Bug(
        "bias-broadcast-square",
        "the bias added along the batch",
        "",
        "the bias was added along the batch axis: b_i to all units of example i instead of to unit i of all examples.",
        Hints(
            "Everything is wrong, the loss too, where the batch is as large as the layers are wide; elsewhere it raises.",
            "z^l = W^l a^{l-1} + b^l: to which axis of z does b belong?",
            "Give b the shape (n,) beside rows, or (n, 1) beside columns; NumPy fits axes from the right.",
        ),
        RIGHT.but(finish=_along_the_batch),
        silent="raises unless the batch is as large as every layer is wide",
    ),
)
