"""Plans: another network made of the layers of one, some smaller, some gone, and what of its parameters stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import ArchitectureError, InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.layers import LayerSpec
from bpcheck.network.layers.spec import Shape
from bpcheck.network.names import Place
from bpcheck.search.cases.layers.kinds import moves_of
from bpcheck.search.cases.layers.moves import Edge, Index, Piece
from bpcheck.tree import FloatArray, Path

__all__ = ["Plan", "changed", "planned"]


@dataclass(frozen=True)
class Plan:
    """Layers in their order, not yet fitted together: whether they are a network, :meth:`architecture` says.

    Attributes
    ----------
    origin : Architecture
        What it is made from; the cost is that of this one.
    input_shape : tuple of int
    pieces : tuple of Piece
    """

    origin: Architecture
    input_shape: Shape
    pieces: tuple[Piece, ...]

    @property
    def leaves(self) -> list[Piece]:
        """The layers that are not made of others, from the input up."""
        return list(_leaves(self.pieces))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Those of the input, then those of every layer: what can be made smaller."""
        return (
            *self.input_shape,
            *(size for piece in self.leaves for size in moves_of(piece.layer).sizes(piece.layer)),
        )

    @property
    def which_are_widths(self) -> tuple[bool, ...]:
        """Which of the sizes are numbers of features, units or channels: not those of images and kernels."""
        found = [[True] + [False] * (len(self.input_shape) - 1)]
        for piece in self.leaves:
            count = len(moves_of(piece.layer).sizes(piece.layer))
            found.append([i == 0 for i in range(count)])
        return tuple(one for several in found for one in several)

    @property
    def widths(self) -> tuple[int, ...]:
        """Features of the input and units or channels of every layer that has some."""
        return tuple(
            size for size, is_width in zip(self.sizes, self.which_are_widths, strict=True) if is_width
        )

    def resized(self, sizes: Sequence[int]) -> Plan:
        """The same layers with other sizes."""
        rank = len(self.input_shape)
        rest = iter(sizes[rank:])

        def change(layer: LayerSpec) -> LayerSpec:
            moves = moves_of(layer)
            return moves.resized(layer, [next(rest) for _ in moves.sizes(layer)])

        return replace(self, input_shape=tuple(sizes[:rank]), pieces=changed(self.pieces, change))

    def of_widths(self, widths: Sequence[int]) -> Plan:
        """The same layers with other :attr:`widths`; images and kernels stay."""
        rest = iter(widths)
        return self.resized(
            [
                next(rest) if is_width else size
                for size, is_width in zip(self.sizes, self.which_are_widths, strict=True)
            ]
        )

    def with_hidden(self, count: int) -> Plan:
        """With the lowest so many of the layers below the last one; layers without parameters all stay."""
        numbers = [number for number, piece in enumerate(self.pieces) if _has_parameters(piece.layer)]
        gone = set(numbers[count:-1])
        return replace(
            self, pieces=tuple(piece for number, piece in enumerate(self.pieces) if number not in gone)
        )

    def architecture(self) -> Architecture | None:
        """The network, None if the layers do not fit together."""
        try:
            return self._fitted(lambda path, positions: None)[0]
        except ArchitectureError:
            return None

    def of(self, case: Case, *, rng: np.random.Generator | None = None) -> Case | None:
        """The case on this network, None if there is none.

        What stays of the parameters stays as it is, and ones are where there was nothing; with ``rng`` all of them are
        fresh readable numbers.

        Parameters
        ----------
        case : Case
            Of the network that the plan was made from.
        rng : numpy.random.Generator, optional
        """
        values = dict(tree.leaves(case.params))
        try:
            architecture, params, out = self._fitted(lambda path, places: _taken(values[path], places, rng))
            x = case.x[(slice(None), *map(slice, self.input_shape))]
            y = _targets(case, architecture, out)
            return None if y is None else Case(architecture, params, x, y, seed=case.seed)
        except InputError:
            return None

    def _fitted(self, carry: Callable[[Path, Sequence[Index]], Any]) -> tuple[Architecture, list[Any], Edge]:
        """The network with its parameters, and what comes out.

        Raises
        ------
        ArchitectureError
            If the layers do not fit together.
        """

        def walk(
            pieces: Sequence[Piece], edge: Edge, wanted: Shape | None
        ) -> tuple[tuple[LayerSpec, ...], list[Any], Edge]:
            layers, params = [], []
            for number, piece in enumerate(pieces):
                last = wanted if number == len(pieces) - 1 else None
                layer, own, edge = moves_of(piece.layer).carried(
                    piece, edge.into(piece.place.shape), last, carry, walk
                )
                layers.append(layer)
                params.append(own)
            return tuple(layers), params, edge

        layers, params, out = walk(self.pieces, Edge.between(self.input_shape, self.origin.input_shape), None)
        return replace(self.origin, input_shape=self.input_shape, layers=layers), params, out


def planned(architecture: Architecture) -> Plan:
    """The network as it is.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> plan = planned(mlp([3, 4, 2]))
    >>> plan.widths, plan.of_widths([2, 2, 2]).architecture()
    ((3, 4, 2), mlp([2, 2, 2], activation='tanh', output='identity', loss='half_mse', reduction='mean'))
    """
    pieces = tuple(_pieces(architecture.layers, Path("params"), architecture.input_shape))
    return Plan(architecture, architecture.input_shape, pieces)


def _pieces(layers: Sequence[LayerSpec], path: Path, shape: Shape) -> Iterator[Piece]:
    for number, layer in enumerate(layers):
        here = path.item(number)
        yield Piece(layer, Place(here, layer, shape, None), tuple(_pieces(layer.inner, here, shape)))
        shape = layer.output_shape(shape)


def _has_parameters(layer: LayerSpec) -> bool:
    return bool(layer.roles) or any(map(_has_parameters, layer.inner))


def _leaves(pieces: Iterable[Piece]) -> Iterator[Piece]:
    for piece in pieces:
        if piece.inner:
            yield from _leaves(piece.inner)
        else:
            yield piece


def changed(pieces: Sequence[Piece], change: Callable[[LayerSpec], LayerSpec]) -> tuple[Piece, ...]:
    """The pieces with every layer that is not made of others changed, from the input up."""
    return tuple(
        replace(piece, inner=changed(piece.inner, change))
        if piece.inner
        else replace(piece, layer=change(piece.layer))
        for piece in pieces
    )


def _taken(values: FloatArray, places: Sequence[Index], rng: np.random.Generator | None) -> FloatArray:
    """The entries at these positions, ones where there was none; or fresh numbers."""
    shape = tuple(len(axis) for axis in places)
    if rng is not None:
        fresh = np.round(rng.uniform(0.5, 1.5, shape), 1) * np.where(rng.random(shape) < 0.5, -1.0, 1.0)
        return fresh.astype(values.dtype)
    there = np.all(np.meshgrid(*(axis >= 0 for axis in places), indexing="ij"), axis=0)
    return np.where(there, values[np.ix_(*(np.maximum(axis, 0) for axis in places))], values.dtype.type(1))


def _targets(case: Case, architecture: Architecture, out: Edge) -> FloatArray | None:
    """The targets of the outputs that stay; None if there are others, or too few to tell classes apart."""
    kept = out.into(case.architecture.output_shape).kept
    one_hot = architecture.loss == "cross_entropy"
    if (kept < 0).any() or (one_hot and len(kept) < 2):
        return None
    y: FloatArray = case.y[:, kept].copy()
    if one_hot:
        y[y.sum(axis=1) == 0, 0] = 1.0  # the class that was cut away becomes the first one
    return y
