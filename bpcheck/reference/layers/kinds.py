"""Which reference layer implements a kind: a line a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, LayerSpec, Skip
from bpcheck.network.layers.kinds import of_kind
from bpcheck.reference.layers.chain import Chain
from bpcheck.reference.layers.convolution import ConvolutionLayer
from bpcheck.reference.layers.dense import DenseLayer
from bpcheck.reference.layers.flatten import FlattenLayer
from bpcheck.reference.layers.layer import Layer
from bpcheck.reference.layers.skip import SkipLayer

__all__ = ["LAYERS", "layer_of"]


def _skip(spec: Skip) -> Layer:
    return SkipLayer(Chain([layer_of(inner) for inner in spec.layers]))


LAYERS: Mapping[type[LayerSpec], Callable[[Any], Layer]] = MappingProxyType(
    {
        Dense: DenseLayer,
        Skip: _skip,
        Flatten: FlattenLayer,
        Conv1d: ConvolutionLayer,
        Conv2d: ConvolutionLayer,
    }
)


def layer_of(spec: LayerSpec) -> Layer:
    """The layer that computes what ``spec`` describes."""
    return of_kind(LAYERS, spec, wing="the reference", instead="Add it in bpcheck/reference/layers/.")(spec)
