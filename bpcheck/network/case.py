"""A case: one concrete point at which a gradient is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.network.architecture import PROBABILITY_LOSSES, Architecture
from bpcheck.precision import widened

__all__ = ["Case"]

MOST_DRAWN = 20_000
"""Numbers of a case that a report keeps of itself, so that its page can draw the network: half a megabyte of JSON. The
784-100-10 networks of the course have four times as many; they are the caller's own, who has them."""


@dataclass(frozen=True, eq=False)
class Case:
    """An architecture with parameters and a batch: what is drawn, what is given, what is reported.

    Parameters
    ----------
    architecture : Architecture
    params : list
        One entry a layer, with the keys and shapes of ``architecture.parameter_shapes``: for dense networks
        ``[{"weight": (out, in), "bias": (out,)}, …]``. Nested lists of numbers are turned into arrays.
    x : array of shape (batch, *architecture.input_shape)
        (batch, in) for dense networks, (batch, channels, height, width) for images.
    y : array of shape (batch, out)
        Targets; one-hot (or any distribution) for cross_entropy, values in [0, 1] for
        binary_cross_entropy.
    seed : int, optional
        The seed that this case was drawn with, if it was drawn.

    Raises
    ------
    InputError
        If shapes do not fit the architecture, a value is not finite, or the batch is empty.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [0.5]}], x=[[1.0]], y=[[0.0]])
    Case(architecture=mlp([1, 1], output='identity', loss='half_mse', reduction='mean'), \
params=[{'weight': [[2.0]], 'bias': [0.5]}], x=[[1.0]], y=[[0.0]])
    """

    architecture: Architecture
    params: Any
    x: Any
    y: Any
    seed: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.architecture, Architecture):
            raise InputError(f"architecture is {self.architecture!r}; make one with bpcheck.mlp([...]).")
        x, y = _batch(self.x, "x"), _batch(self.y, "y")
        if x.shape[1:] != self.architecture.input_shape:
            raise InputError(
                f"x has shape {x.shape}, but {self.architecture!r} needs "
                f"({', '.join(['batch', *map(str, self.architecture.input_shape)])})."
            )
        if y.shape != (len(x), *self.architecture.output_shape):
            needed = (len(x), *self.architecture.output_shape)
            raise InputError(
                f"y has shape {y.shape}, but {needed} is needed: one row per example of x, one column per "
                "output unit (one-hot rows for classes)."
            )
        if self.architecture.loss in PROBABILITY_LOSSES and not ((y >= 0) & (y <= 1)).all():
            raise InputError(
                f"y has values outside [0, 1], which {self.architecture.loss} has no meaning for."
            )
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "params", _parameters(self.params, self.architecture))

    @property
    def batch(self) -> int:
        """Number of examples."""
        return len(self.x)

    @property
    def if_small(self) -> Case | None:
        """The case itself where a report may keep it, None where it has more numbers than anybody looks at."""
        numbers = self.x.size + self.y.size + sum(leaf.size for _, leaf in tree.leaves(self.params))
        return self if numbers <= MOST_DRAWN else None

    def mutable(self) -> tuple[Any, Any, Any]:
        """Fresh writable copies of ``(params, x, y)``, to hand to code that may change them."""
        return tree.copy(self.params), np.array(self.x), np.array(self.y)

    def __repr__(self) -> str:
        listed = tree.restore(self.params, [_Source(_source(leaf)) for _, leaf in tree.leaves(self.params)])
        seed = "" if self.seed is None else f", seed={self.seed}"
        return (
            f"Case(architecture={self.architecture!r}, params={listed!r}, "
            f"x={_source(self.x)}, y={_source(self.y)}{seed})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Case) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


class _Source(str):
    """Text that prints as itself: source code inside a printed container."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _source(array: Any) -> str:
    """An array as source: nested lists, inside ``np.float32(…)`` where the dtype is not float64."""
    listed = repr(array.tolist())
    return listed if array.dtype == np.float64 else f"np.{array.dtype.name}({listed})"


def _floats(value: Any, path: tree.Path | str) -> tree.FloatArray:
    """Numbers in any form (nested lists, integers) as a read-only float array."""
    try:
        array = np.asarray(widened(value))
        if array.dtype.kind in "iub":
            array = array.astype(float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} is not a rectangular array of numbers: {error}.") from error
    if array.dtype.kind not in "fc":
        raise InputError(
            f"{path} is {tree.describe(value)}, but numbers are needed: give a float array or nested lists."
        )
    return tree.freeze(tree.real_array(array, path))


def _batch(value: Any, name: str) -> tree.FloatArray:
    array = _floats(value, name)
    if array.ndim < 2:
        raise InputError(
            f"{name} has shape {array.shape}; a batch has one row per example: "
            f"for a single example use {name}[None, :]."
        )
    if array.size == 0:
        raise InputError(f"{name} has shape {array.shape}: the batch is empty, give at least one example.")
    return array


def _parameters(given: Any, architecture: Architecture) -> Any:
    """Parameters as frozen arrays, laid out exactly as the architecture says."""

    def build(node: Any, shapes: Any, path: tree.Path) -> Any:
        if isinstance(shapes, tuple):
            array = _floats(node, path)
            if array.shape != shapes:
                raise InputError(f"{path} has shape {array.shape}, but {architecture!r} needs {shapes}.")
            return array
        if isinstance(shapes, list):
            if not isinstance(node, list | tuple) or len(node) != len(shapes):
                size = f" of {len(node)}" if isinstance(node, list | tuple) else ""
                raise InputError(
                    f"{path} is a {type(node).__name__}{size}, but {architecture!r} needs a list of "
                    f"{len(shapes)}, one entry a layer."
                )
            return [build(node[i], shape, path.item(i)) for i, shape in enumerate(shapes)]
        if not isinstance(node, dict) or set(node) != set(shapes):
            keys = sorted(map(str, node)) if isinstance(node, dict) else type(node).__name__
            raise InputError(
                f"{path} is {keys}, but a dict with exactly the keys {sorted(shapes)} is needed."
            )
        return {key: build(node[key], shape, path.item(key)) for key, shape in shapes.items()}

    return build(given, architecture.parameter_shapes, tree.Path("params"))
