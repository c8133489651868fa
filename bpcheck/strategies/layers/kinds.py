"""Which strategy draws a kind of layer, and the inputs that networks of it have: a line a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from bpcheck.network.layers.spec import Shape
from bpcheck.strategies.layers.convolution import convolution
from bpcheck.strategies.layers.dense import dense
from bpcheck.strategies.layers.flatten import flatten
from bpcheck.strategies.layers.limits import Limits
from bpcheck.strategies.layers.skip import skip

__all__ = ["AXES", "LAYERS"]

LAYERS: Mapping[str, Callable[[Shape, Limits], Any]] = MappingProxyType(
    {
        "dense": dense,
        "skip": skip,
        "flatten": flatten,
        "conv1d": convolution(1),
        "conv2d": convolution(2),
    }
)

AXES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"dense": (1,), "skip": (1,), "flatten": (2, 3), "conv1d": (2,), "conv2d": (3,)}
)
"""How many axes one example has in the networks that a kind is drawn for."""
