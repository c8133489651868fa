"""Which certified layer implements a kind: a line a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bpcheck.certified.layers.chain import Chain
from bpcheck.certified.layers.convolution import ConvolutionLayer
from bpcheck.certified.layers.dense import DenseLayer
from bpcheck.certified.layers.flatten import FlattenLayer
from bpcheck.certified.layers.layer import Layer
from bpcheck.certified.layers.skip import SkipLayer
from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, LayerSpec, Skip
from bpcheck.network.layers.kinds import of_kind
from bpcheck.network.layers.spec import Shape

__all__ = ["LAYERS", "chain_of"]

LAYERS: Mapping[type[LayerSpec], Callable[[Any, Shape], Layer]] = MappingProxyType(
    {
        Dense: DenseLayer,
        Skip: lambda spec, shape: SkipLayer(chain_of(spec.layers, shape)),
        Flatten: lambda spec, shape: FlattenLayer(),
        Conv1d: ConvolutionLayer,
        Conv2d: ConvolutionLayer,
    }
)
"""``LAYERS[type(spec)](spec, shape)``: the layer for inputs of ``shape``."""


def chain_of(specs: Sequence[LayerSpec], shape: Shape) -> Chain:
    """The layers that ``specs`` describe, for inputs of ``shape``.

    Raises
    ------
    InputError
        For a kind of layer that is not computed in balls here.
    """
    layers = []
    for spec in specs:
        make = of_kind(
            LAYERS,
            spec,
            wing="the certified witness",
            instead="Use the numeric witness, which needs no method of a layer: bpcheck.check_gradient.",
        )
        layers.append(make(spec, shape))
        shape = spec.output_shape(shape)
    return Chain(tuple(layers))
