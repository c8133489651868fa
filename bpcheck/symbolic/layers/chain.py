"""Layers one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from bpcheck.symbolic.layers.layer import Expressions, LayerFormula, Site

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain:
    """Layers of which each takes what the one before it gives; its parameters are a list, one entry a layer."""

    layers: tuple[LayerFormula, ...]

    def forward(self, params: Any, x: Expressions, site: Site) -> Expressions:
        """The output of the last layer."""
        for index, layer in enumerate(self.layers):
            x = layer.forward(params[index], x, site.item(index))
        return x

    @property
    def paths(self) -> int:
        """The layers' ways, multiplied."""
        return math.prod(layer.paths for layer in self.layers)

    @property
    def connections(self) -> int:
        """Those of all layers."""
        return sum(layer.connections for layer in self.layers)
