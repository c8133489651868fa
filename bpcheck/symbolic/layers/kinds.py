"""Which formula a kind of layer has: a line a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, LayerSpec, Skip
from bpcheck.network.layers.kinds import of_kind
from bpcheck.network.layers.spec import Shape
from bpcheck.symbolic.layers.chain import Chain
from bpcheck.symbolic.layers.convolution import ConvolutionFormula
from bpcheck.symbolic.layers.dense import DenseFormula
from bpcheck.symbolic.layers.flatten import FlattenFormula
from bpcheck.symbolic.layers.layer import LayerFormula
from bpcheck.symbolic.layers.skip import SkipFormula

__all__ = ["LAYERS", "chain_of"]

LAYERS: Mapping[type[LayerSpec], Callable[[Any, Shape], LayerFormula]] = MappingProxyType(
    {
        Dense: DenseFormula,
        Skip: lambda spec, shape: SkipFormula(chain_of(spec.layers, shape)),
        Flatten: lambda spec, shape: FlattenFormula(),
        Conv1d: ConvolutionFormula,
        Conv2d: ConvolutionFormula,
    }
)
"""``LAYERS[type(spec)](spec, shape)``: the layer for inputs of ``shape``."""


def chain_of(specs: Sequence[LayerSpec], shape: Shape) -> Chain:
    """The layers that ``specs`` describe, for inputs of ``shape``.

    Raises
    ------
    InputError
        For a kind of layer that has no formula here.
    """
    layers = []
    for spec in specs:
        make = of_kind(
            LAYERS,
            spec,
            wing="the symbolic witness",
            instead="Use the numeric witness, which needs no formula: bpcheck.check_gradient.",
        )
        layers.append(make(spec, shape))
        shape = spec.output_shape(shape)
    return Chain(tuple(layers))
