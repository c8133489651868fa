"""Flattening: what was kept stays kept, in a row."""

from __future__ import annotations

from bpcheck.network.layers import LayerSpec
from bpcheck.network.names import Place
from bpcheck.search.cases.layers.moves import Index, Moves

__all__ = ["FlattenMoves"]


class FlattenMoves(Moves):
    """Of :class:`bpcheck.layers.Flatten`."""

    def positions(
        self, place: Place, layer: LayerSpec, kept: Index
    ) -> tuple[dict[str, tuple[Index, ...]], Index]:
        """The inputs that stay, in a row."""
        return {}, kept.reshape(-1)
