"""Bugs of BP3: the gradient of the biases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis.bug import Bug, Hints
from bpcheck.diagnosis.layers.dense.steps import BIAS_GRADIENT, BP3
from bpcheck.diagnosis.step import Gradient, Layer, Rules, Run
from bpcheck.diagnosis.steps import RETURNED, backward, forward
from bpcheck.network.layers import Dense
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]


BATCH = frozenset({"batch"})


def _first(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    return np.asarray(delta[0])


def _last(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    return np.asarray(delta[-1])


def _mean(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    return np.asarray(delta.mean(axis=0))


def _summed_though_mean(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    return np.asarray(delta.sum(axis=0) * run.forward.case.batch)


def _over_units(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    return np.asarray(delta.sum(axis=1))


def _scalar(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    return np.full(delta.shape[1], delta.sum())


def _absent(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    return np.zeros(delta.shape[1])


def _times_bias(run: Run, layer: Layer, delta: FloatArray) -> Any:
    return delta.sum(axis=0) * layer.params["bias"]


def _along_the_batch(run: Run, gradient: Gradient) -> Gradient | None:
    """The whole pass again with (n, 1) for a bias beside rows, or (n,) beside columns: b_i is added to example i."""
    case = run.forward.case
    biases = {layer.place("bias") for layer in run.forward.leaves if isinstance(layer.spec, Dense)}
    leaves = dict(tree.leaves(case.params))
    if any(len(leaves[path]) != case.batch for path in biases):
        return None  # does not fit (or, for one example, makes a square of it: the loss is no number then)
    columns = [leaf[:, None] if path in biases else leaf for path, leaf in leaves.items()]
    return backward(forward(case, tree.restore(case.params, columns)), Rules())


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
    hints = Hints("The biases are wrong, the weights of the same layers are right.", f"BP3: {question}", line)
    rules = Rules().but(BIAS_GRADIENT, rule)
    return Bug(
        slug, title, BP3.name, explanation, hints, rules, silent=silent, confused=confused, needs=needs
    )


SUM = "Sum δ over the examples: delta.sum(axis=0) where they are rows."
WHICH = "over which axis of δ does the sum run, that of the examples or that of the units?"
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
        needs=BATCH,
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
        needs=BATCH,
    ),
    _bug(
        "bias-mean-weight-sum",
        "a 1/m too many at the biases",
        "the bias gradient is divided by the batch size once too often: a mean of δ, not its sum.",
        ALIKE,
        ONCE,
        _mean,
        "batch of one",
        needs=BATCH,
    ),
    _bug(
        "bias-sum-weight-mean",
        "the 1/m forgotten at the biases",
        "the bias gradient is m times too large, the weight gradient is right.",
        ALIKE,
        ONCE,
        _summed_though_mean,
        "batch of one",
        needs=BATCH,
    ),
    _bug(
        "bias-summed-over-units",
        "summed over the units",
        "δ was summed over the units instead of over the batch.",
        WHICH,
        SUM,
        _over_units,
        "raises unless the batch is as large as the layer is wide",
        needs=BATCH,
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
        "δ does not reach the biases: their gradient is left out.",
        "what is ∂z^l/∂b^l?",
        "∂C/∂b^l is δ^l, summed over the examples: fill it in.",
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
        Rules().but(RETURNED, _along_the_batch),
        silent="raises unless the batch is as large as every layer is wide",
    ),
)
