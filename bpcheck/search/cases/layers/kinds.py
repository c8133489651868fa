"""Which moves a kind of layer has: a line a kind."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, LayerSpec, Skip
from bpcheck.network.layers.kinds import of_kind
from bpcheck.search.cases.layers.convolution import ConvolutionMoves
from bpcheck.search.cases.layers.dense import DenseMoves
from bpcheck.search.cases.layers.flatten import FlattenMoves
from bpcheck.search.cases.layers.moves import Moves
from bpcheck.search.cases.layers.skip import SkipMoves

__all__ = ["MOVES", "moves_of"]

_CONVOLUTION = ConvolutionMoves()

MOVES: Mapping[type[LayerSpec], Moves] = MappingProxyType(
    {
        Dense: DenseMoves(),
        Skip: SkipMoves(),
        Flatten: FlattenMoves(),
        Conv1d: _CONVOLUTION,
        Conv2d: _CONVOLUTION,
    }
)


def moves_of(layer: LayerSpec) -> Moves:
    """What the search knows of a layer."""
    return of_kind(MOVES, layer, wing="the search", instead="Add it in bpcheck/search/cases/layers/.")
