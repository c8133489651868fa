"""What searching and shrinking ask of a kind of layer; most kinds answer some of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bpcheck.network.layers import LayerSpec
from bpcheck.network.layers.spec import Shape
from bpcheck.network.names import Place
from bpcheck.tree import Path

__all__ = ["Carried", "Carry", "Edge", "Index", "Moves", "Piece", "Walk", "first", "overlap"]

Index: TypeAlias = NDArray[np.intp]
"""Which old positions the new ones were; −1 for one that was not there."""


def first(new: int, old: int) -> Index:
    """The first of ``old`` positions, and −1 for as many as there are more.

    Examples
    --------
    >>> first(2, 3).tolist(), first(3, 2).tolist()
    ([0, 1], [0, 1, -1])
    """
    places = np.arange(new)
    return np.where(places < old, places, -1)


def overlap(new: Shape, old: Shape) -> Index:
    """For every position of an array of shape ``new`` the same one in an array of shape ``old``, counted in a row.

    Examples
    --------
    >>> overlap((2, 2), (2, 3)).tolist()
    [[0, 1], [3, 4]]
    """
    if len(new) != len(old):
        return first(int(np.prod(new)), int(np.prod(old))).reshape(new)
    axes = np.ix_(*(first(n, m) for n, m in zip(new, old, strict=True)))
    there = np.ones(new, bool)
    place = np.zeros(new, np.intp)
    for axis, size in zip(axes, old, strict=True):
        there &= axis >= 0
        place = place * size + axis
    return np.where(there, place, -1)


@dataclass(frozen=True, eq=False)
class Edge:
    """What goes from one layer to the next, beside what went there before.

    Attributes
    ----------
    kept : Index
        Of the new shape (of one example); which of the old numbers each one was, counted in a row.
    old : tuple of int
        The shape before.
    """

    kept: Index
    old: Shape

    @classmethod
    def between(cls, new: Shape, old: Shape) -> Edge:
        """The first positions along every axis."""
        return cls(overlap(new, old), old)

    @property
    def shape(self) -> Shape:
        """The new shape."""
        return self.kept.shape

    def into(self, old: Shape) -> Edge:
        """The same numbers for a layer that had inputs of shape ``old``: another one, if layers between are gone."""
        return self if old == self.old else Edge.between(self.shape, old)


@dataclass(frozen=True)
class Piece:
    """A layer as it is wanted, and the one that it was.

    Attributes
    ----------
    layer : LayerSpec
        Its inner layers do not count: ``inner`` says what they are now.
    place : Place
        Path, layer and input's shape as they were.
    inner : tuple of Piece
    """

    layer: LayerSpec
    place: Place
    inner: tuple[Piece, ...] = ()


Carried: TypeAlias = tuple[LayerSpec, Any, Edge]
"""The layer as it fits its inputs, its parameters, and what comes out."""

Carry: TypeAlias = Callable[[Path, Sequence[Index]], Any]
"""The parameter at a path with the given positions along its axes."""

Walk: TypeAlias = Callable[
    [Sequence[Piece], Edge, Shape | None], tuple[tuple[LayerSpec, ...], list[Any], Edge]
]
"""Fits layers together that stand one after the other; the last one to the shape that is wanted, if one is."""


class Moves:
    """Of a layer that has no sizes and no parameters, and lets numbers pass as they are; kinds say what differs."""

    def sizes(self, layer: LayerSpec) -> tuple[int, ...]:
        """What can be made smaller and shows in the shapes of parameters; units or channels come first."""
        return ()

    def resized(self, layer: LayerSpec, sizes: Sequence[int]) -> LayerSpec:
        """The layer with other :meth:`sizes`."""
        return layer

    def giving(self, layer: LayerSpec, shape: Shape) -> LayerSpec:
        """The layer with as many units or channels as outputs of ``shape`` need."""
        sizes = self.sizes(layer)
        return self.resized(layer, (shape[0], *sizes[1:])) if sizes else layer

    def plainer(self, layer: LayerSpec) -> Iterator[LayerSpec]:
        """Plainer layers of the kind, plainest first: what only the network's description tells, activations apart."""
        yield from ()

    def without(self, piece: Piece) -> Iterator[tuple[Piece, ...]]:
        """What may stand in a layer's place, the fewest layers last."""
        yield ()

    def positions(
        self, place: Place, layer: LayerSpec, kept: Index
    ) -> tuple[dict[str, tuple[Index, ...]], Index]:
        """Which of the old parameters stay, position by position along each axis, and which outputs.

        Parameters
        ----------
        place : Place
            The layer as it was.
        layer : LayerSpec
            As it is now.
        kept : Index
            Which of the old inputs stay.

        Returns
        -------
        (dict of key to positions, Index)
        """
        return {}, kept

    def carried(self, piece: Piece, edge: Edge, wanted: Shape | None, carry: Carry, walk: Walk) -> Carried:
        """The layer fitted to its inputs, with what stays of its parameters."""
        layer = piece.layer if wanted is None else self.giving(piece.layer, wanted)
        layer.output_shape(edge.shape)
        axes, kept = self.positions(piece.place, layer, edge.kept)
        params = {key: carry(piece.place.path.item(key), positions) for key, positions in axes.items()}
        return layer, params, Edge(kept, piece.place.layer.output_shape(piece.place.shape))

    def hidden_by(self, places: Sequence[Place]) -> Iterator[str]:
        """A sentence for each kind of bug that is silent in all of these layers, which are all of this kind."""
        yield from ()
