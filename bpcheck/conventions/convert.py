"""Numbers from our layout into a subject's and back: copies, transposes, reshapes, nothing that rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.conventions.nesting import VECTORS, slots
from bpcheck.conventions.value import Conventions
from bpcheck.tree import FloatArray, Tree

__all__ = [
    "carry_x",
    "carry_y",
    "gradient_like",
    "nest",
    "params_into",
    "paths",
    "plan_of",
    "tensors_back",
    "tensors_into",
]


def tensors_into(conventions: Conventions, layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every tensor of our layout in the subject's shape, by slot.

    Examples
    --------
    >>> layer = {"weight": np.ones((2, 3)), "bias": np.zeros(2)}
    >>> {slot: a.shape for slot, a in tensors_into(Conventions(weight="in, out", bias="column"), [layer]).items()}
    {'b0': (2, 1), 'W0': (3, 2)}
    """
    found: dict[str, Any] = {}
    for k, layer in enumerate(layers):
        weight, bias = np.asarray(layer["weight"]), np.asarray(layer["bias"])
        if conventions.folded:
            parts = [bias[:, None], weight] if conventions.bias == "folded first" else [weight, bias[:, None]]
            weight = np.concatenate(parts, axis=1)
        elif conventions.has_biases:
            shape = {"vector": (-1,), "column": (-1, 1), "row": (1, -1)}[conventions.bias]
            found[f"b{k}"] = np.array(bias.reshape(shape))
        # order="C": what a subject is handed should be no stranger than what it allocates itself
        found[f"W{k}"] = np.array(weight.T if conventions.weight == "in, out" else weight, order="C")
    return found


def tensors_back(conventions: Conventions, tensors: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The inverse of :func:`tensors_into`; where there are no biases, they are 0.

    Examples
    --------
    >>> layers = [{"weight": np.arange(6.0).reshape(2, 3), "bias": np.array([7.0, 8.0])}]
    >>> folded = Conventions(bias="folded first", params="[W1, W2]")
    >>> back = tensors_back(folded, tensors_into(folded, layers))
    >>> all(np.array_equal(back[0][name], layers[0][name]) for name in layers[0])
    True
    """
    layers = []
    for k in range(sum(slot.startswith("W") for slot in tensors)):
        weight = np.asarray(tensors[f"W{k}"])
        weight = weight.T if conventions.weight == "in, out" else weight
        if conventions.folded:
            first = conventions.bias == "folded first"
            bias, weight = weight[:, 0 if first else -1], weight[:, 1:] if first else weight[:, :-1]
        elif conventions.has_biases:
            bias = np.asarray(tensors[f"b{k}"]).reshape(-1)
        else:
            bias = np.zeros(len(weight), dtype=weight.dtype)
        layers.append({"weight": np.array(weight), "bias": np.array(bias)})
    return layers


def plan_of(conventions: Conventions, count: int, *, gradient: bool = False) -> Tree:
    """The containers of a network with ``count`` weight layers, a slot at each leaf."""
    return slots(
        _nesting(conventions, gradient),
        count,
        names=conventions.names,
        first=conventions.number_from,
        pattern=conventions.gradient_names if gradient else "{}",
    )


def _nesting(conventions: Conventions, gradient: bool) -> str:
    return conventions.gradients if gradient and conventions.gradients else conventions.params


def nest(conventions: Conventions, tensors: Mapping[str, Any], *, gradient: bool = False) -> Tree:
    """Tensors by slot, in the subject's containers."""
    plan = plan_of(conventions, sum(slot.startswith("W") for slot in tensors), gradient=gradient)
    values = [np.array(tensors[slot]) for _, slot in tree.leaves(plan)]
    if _nesting(conventions, gradient) in VECTORS:
        return np.concatenate([value.reshape(-1) for value in values])
    return tree.restore(plan, values)


def params_into(conventions: Conventions, layers: Sequence[Mapping[str, Any]]) -> Tree:
    """Parameters as the subject takes them, in fresh arrays.

    Examples
    --------
    >>> layer = {"weight": np.ones((2, 3)), "bias": np.zeros(2)}
    >>> params_into(Conventions.preset("cs231n"), [layer])["W1"].shape
    (3, 2)
    """
    return nest(conventions, tensors_into(conventions, layers))


def gradient_like(
    conventions: Conventions, leaves: Sequence[Any], like: Mapping[str, Any], *, gradient: bool
) -> dict[str, Any]:
    """The leaves of a nested gradient, in order, by slot; a flat vector is cut to the shapes of the parameters ``like``.

    They come from a tree that has the form of :func:`nest`; ``gradient``: whether it is nested as gradients are.
    """
    plan = plan_of(conventions, sum(slot.startswith("W") for slot in like), gradient=gradient)
    order = [slot for _, slot in tree.leaves(plan)]
    if _nesting(conventions, gradient) not in VECTORS:
        return dict(zip(order, leaves, strict=True))
    (vector,) = leaves
    ends = np.cumsum([like[slot].size for slot in order])
    parts = np.split(np.asarray(vector), ends[:-1])
    return {slot: part.reshape(like[slot].shape) for slot, part in zip(order, parts, strict=True)}


def paths(conventions: Conventions, count: int) -> dict[str, str]:
    """What the caller calls each tensor, by what we call it.

    Where a tensor of ours is only a part of one of theirs (folded biases, a flat vector), nothing; a tensor that the
    layout does not have is left out.

    Examples
    --------
    >>> paths(Conventions.preset("nielsen"), 1)
    {"params[0]['bias']": 'params[0][0]', "params[0]['weight']": 'params[1][0]'}
    """
    if conventions.folded or conventions.params in VECTORS:
        return {}
    plan = plan_of(conventions, count)
    return {str(_our_path(slot)): str(path) for path, slot in tree.leaves(plan)}


def _our_path(slot: str) -> tree.Path:
    return tree.Path("params").item(int(slot[1:])).item("weight" if slot[0] == "W" else "bias")


def carry_x(conventions: Conventions, x: FloatArray) -> list[Any]:
    """Inputs as the subject takes them: one batch, or a list of examples.

    Examples
    --------
    >>> [a.shape for a in carry_x(Conventions(batch="one column"), np.ones((2, 3)))]
    [(3, 1), (3, 1)]
    """
    if conventions.batch == "first":
        return [np.array(x)]
    if conventions.batch == "last":
        return [np.array(x.T, order="C")]
    shape = {"one": (-1,), "one column": (-1, 1), "one row": (1, -1)}[conventions.batch]
    return [np.array(row.reshape(shape)) for row in x]


def carry_y(conventions: Conventions, y: FloatArray) -> list[Any]:
    """Targets as the subject takes them; :func:`sayable` has seen to it that it can.

    Examples
    --------
    >>> carry_y(Conventions(targets="index"), np.eye(3)[[2, 0]])
    [array([2, 0])]
    """
    if conventions.targets == "±1":
        return carry_x(conventions, 2.0 * y - 1.0)
    if conventions.targets == "flat":
        return [float(number) for number in y[:, 0]] if conventions.per_example else [y[:, 0].copy()]
    if conventions.targets == "index":
        classes = y.argmax(axis=1)
        return [int(index) for index in classes] if conventions.per_example else [classes]
    return carry_x(conventions, y)
