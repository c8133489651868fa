"""Plain mini-batch gradient descent: the optimiser trains, backpropagation only computes the gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.reference.network import Network
from bpcheck.tree import FloatArray, Tree

__all__ = ["EpochResult", "accuracy", "sgd_step", "train"]


@dataclass(frozen=True)
class EpochResult:
    """State after one pass over the data.

    Attributes
    ----------
    epoch : int
        Counts from 1.
    params : list of dict
    loss : float
        Mean over the mini-batches, each taken before its update.
    """

    epoch: int
    params: Tree
    loss: float


def sgd_step(params: Tree, gradient: Tree, learning_rate: float) -> Tree:
    """W ← W − η ∂C/∂W, b ← b − η ∂C/∂b, as new arrays.

    C already is the mean over the mini-batch, so η is not divided by its size again.

    Examples
    --------
    >>> sgd_step([{"w": np.array([1.0])}], [{"w": np.array([2.0])}], 0.25)
    [{'w': array([0.5])}]
    """
    return tree.restore(
        params,
        [
            w - learning_rate * g
            for (_, w), (_, g) in zip(tree.leaves(params), tree.leaves(gradient), strict=True)
        ],
    )


def train(
    network: Network,
    params: Tree,
    x: FloatArray,
    y: FloatArray,
    *,
    epochs: int,
    batch: int,
    learning_rate: float,
    rng: np.random.Generator,
) -> Iterator[EpochResult]:
    """Mini-batch gradient descent, one result an epoch.

    Parameters
    ----------
    network : Network
    params : list of dict
        Where to start; not changed.
    x, y : (N, in), (N, out)
        Training set.
    epochs, batch : int
        Passes over the data; examples a mini-batch (the last one may be smaller).
    learning_rate : float
        η.
    rng : numpy.random.Generator
        Shuffles the examples anew each epoch.

    Returns
    -------
    iterator of EpochResult

    Raises
    ------
    InputError
        If a number is not positive, or there is not one row of y for each of x. At the call, before
        the first epoch.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> from bpcheck.reference import build
    >>> network, rng = build(mlp([1, 1])), np.random.default_rng(0)
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> *_, last = train(network, network.init(rng), x, 3 * x, epochs=50, batch=5, learning_rate=0.5, rng=rng)
    >>> bool(abs(last.params[0]["weight"][0, 0] - 3) < 1e-3)
    True
    """
    for name, count in (("epochs", epochs), ("batch", batch)):
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise InputError(f"{name} is {count!r}; give a whole number, 1 or more.")
    if not isinstance(learning_rate, int | float | np.floating) or not 0 < learning_rate < float("inf"):
        raise InputError(f"learning_rate is {learning_rate!r}; it must be positive and finite.")
    if not len(x) == len(y) > 0:
        raise InputError(f"x has {len(x)} examples and y has {len(y)}: give one row of y for each of x.")
    return _epochs(network, params, x, y, int(epochs), int(batch), learning_rate, rng)


def _epochs(
    network: Network,
    params: Tree,
    x: FloatArray,
    y: FloatArray,
    epochs: int,
    batch: int,
    learning_rate: float,
    rng: np.random.Generator,
) -> Iterator[EpochResult]:
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(x))
        losses = []
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            losses.append(network.loss(params, x[rows], y[rows]))
            params = sgd_step(params, network.gradient(params, x[rows], y[rows]), learning_rate)
        yield EpochResult(epoch, params, float(np.mean(losses)))


def accuracy(network: Network, params: Tree, x: FloatArray, y: FloatArray) -> float:
    """Share of examples whose largest output is the target's largest entry."""
    output = network.trace(params, x, y).activations[-1]
    return float(np.mean(output.argmax(axis=1) == y.argmax(axis=1)))
