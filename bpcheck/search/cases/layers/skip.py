"""Skip connections: the connection goes and its layers stay, or all of it goes."""

from __future__ import annotations

from collections.abc import Iterator

from bpcheck.network.layers import Skip
from bpcheck.network.layers.spec import Shape
from bpcheck.search.cases.layers.moves import Carried, Carry, Edge, Moves, Piece, Walk

__all__ = ["SkipMoves"]


class SkipMoves(Moves):
    """Of :class:`bpcheck.layers.Skip`."""

    def without(self, piece: Piece) -> Iterator[tuple[Piece, ...]]:
        """F(x) in place of x + f(x), then x alone."""
        yield piece.inner
        yield ()

    def carried(self, piece: Piece, edge: Edge, wanted: Shape | None, carry: Carry, walk: Walk) -> Carried:
        """The last inner layer gets the shape of the input, whatever that is now."""
        layers, params, _ = walk(piece.inner, edge, edge.shape)
        return Skip(layers), params, edge
