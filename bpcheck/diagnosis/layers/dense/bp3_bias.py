"""Bugs of BP3: the gradient of the biases."""

from __future__ import annotations

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis.bug import Bug, Family
from bpcheck.diagnosis.layers.dense.steps import BIAS_GRADIENT
from bpcheck.diagnosis.step import Gradient, Rules, Run
from bpcheck.diagnosis.steps import RETURNED, backward, forward
from bpcheck.network.layers import Dense

__all__ = ["BUGS"]


def _along_the_batch(run: Run, gradient: Gradient) -> Gradient | None:
    """The whole pass again with (n, 1) for a bias beside rows, or (n,) beside columns: b_i is added to example i."""
    case = run.forward.case
    biases = {layer.place("bias") for layer in run.forward.leaves if isinstance(layer.spec, Dense)}
    leaves = dict(tree.leaves(case.params))
    if any(len(leaves[path]) != case.batch for path in biases):
        return None  # does not fit (or, for one example, makes a square of it: the loss is no number then)
    columns = [leaf[:, None] if path in biases else leaf for path, leaf in leaves.items()]
    return backward(forward(case, tree.restore(case.params, columns)), Rules())


BIASES = Family(BIAS_GRADIENT, "The biases are wrong, the weights of the same layers are right.", "BP3")
SUM = "Sum δ over the examples: delta.sum(axis=0) where they are rows."
WHICH = "over which axis of δ does the sum run, that of the examples or that of the units?"
ONCE = "Treat both alike: the 1/m of a mean belongs into δ^L, once."
ALIKE = "does δ reach the biases in the same way as the weights?"

BUGS = (
    BIASES.bug(
        "bias-not-summed",
        "the biases see one example",
        "only the first example's δ was used for the biases.",
        WHICH,
        SUM,
        lambda run, layer, delta: delta[0],
        silent="batch of one",
        confused=("bias-last-example",),
        needs={"batch"},
    ),
    BIASES.bug(
        "bias-last-example",
        "the biases see the last example",
        "only the last example's δ was used for the biases.",
        WHICH,
        SUM,
        lambda run, layer, delta: delta[-1],
        silent="batch of one",
        confused=("bias-not-summed",),
        needs={"batch"},
    ),
    BIASES.bug(
        "bias-mean-weight-sum",
        "a 1/m too many at the biases",
        "the bias gradient is divided by the batch size once too often: a mean of δ, not its sum.",
        ALIKE,
        ONCE,
        lambda run, layer, delta: delta.mean(axis=0),
        silent="batch of one",
        needs={"batch"},
    ),
    BIASES.bug(
        "bias-sum-weight-mean",
        "the 1/m forgotten at the biases",
        "the bias gradient is m times too large, the weight gradient is right.",
        ALIKE,
        ONCE,
        lambda run, layer, delta: delta.sum(axis=0) * run.forward.case.batch,
        silent="batch of one",
        needs={"batch"},
    ),
    BIASES.bug(
        "bias-summed-over-units",
        "summed over the units",
        "δ was summed over the units instead of over the batch.",
        WHICH,
        SUM,
        lambda run, layer, delta: delta.sum(axis=1),
        silent="raises unless the batch is as large as the layer is wide, or is one and a penalty broadcasts the sum",
    ),
    BIASES.bug(
        "bias-scalar",
        "one number for all biases of a layer",
        "one number for the whole layer was used for every bias.",
        WHICH,
        SUM,
        lambda run, layer, delta: np.full(delta.shape[1], delta.sum()),
        silent="one unit",
    ),
    BIASES.bug(
        "bias-absent",
        "no bias gradient",
        "δ does not reach the biases: their gradient is left out.",
        "what is ∂z^l/∂b^l?",
        "∂C/∂b^l is δ^l, summed over the examples: fill it in.",
        lambda run, layer, delta: np.zeros(delta.shape[1]),
        silent="never: biases must be looked at",
    ),
    BIASES.bug(
        "bias-times-value",
        "multiplied by the bias",
        "the bias gradient was multiplied by the bias.",
        "what is ∂z^l/∂b^l?",
        "∂z/∂b = 1, not b.",
        lambda run, layer, delta: delta.sum(axis=0) * layer.params["bias"],
        silent="all biases 1",
    ),
    Bug(
        "bias-broadcast-square",
        "the bias added along the batch",
        "",
        "the bias was added along the batch axis: b_i to all units of example i instead of to unit i of all examples.",
        (
            "Everything is wrong, the loss too, where the batch is as large as the layers are wide; elsewhere it raises.",
            "z^l = W^l a^{l-1} + b^l: to which axis of z does b belong?",
            "Give b the shape (n,) beside rows, or (n, 1) beside columns; NumPy fits axes from the right.",
        ),
        Rules().but(RETURNED, _along_the_batch),
        silent="raises unless the batch is as large as every layer is wide",
    ),
)
