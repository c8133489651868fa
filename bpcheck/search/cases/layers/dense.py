"""Dense layers: units go, and with them a row here and a column in the layer above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from bpcheck.network.layers import Dense, LayerSpec
from bpcheck.network.names import Place
from bpcheck.search.cases.layers.moves import Index, Moves, first

__all__ = ["DenseMoves"]


class DenseMoves(Moves):
    """Of :class:`bpcheck.layers.Dense`."""

    def sizes(self, layer: LayerSpec) -> tuple[int, ...]:
        """Units."""
        return (cast(Dense, layer).units,)

    def resized(self, layer: LayerSpec, sizes: Sequence[int]) -> LayerSpec:
        """As many units."""
        return replace(cast(Dense, layer), units=sizes[0])

    def positions(
        self, place: Place, layer: LayerSpec, kept: Index
    ) -> tuple[dict[str, tuple[Index, ...]], Index]:
        """The first units, and the columns of the inputs that stay."""
        rows = first(cast(Dense, layer).units, cast(Dense, place.layer).units)
        return {"weight": (rows, kept), "bias": (rows,)}, rows
