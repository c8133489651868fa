"""Layers one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpcheck.certified.layers.layer import Layer, Pullback
from bpcheck.certified.units import Units
from bpcheck.tree import Path

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain(Layer):
    """Layers of which each takes what the one before it gives; its parameters are a list, one entry a layer."""

    layers: tuple[Layer, ...]

    def reverse(self, params: Any, a: Any, units: Units, path: Path) -> tuple[Any, Pullback]:
        """Up through the layers, and down again."""
        pullbacks: list[Pullback] = []
        for index, layer in enumerate(self.layers):
            a, pullback = layer.reverse(params[index], a, units, path.item(index))
            pullbacks.append(pullback)

        def back(g: Any, below: bool) -> tuple[Any, Any]:
            found: list[Any] = []
            for index, pullback in reversed(list(enumerate(pullbacks))):
                gradient, g = pullback(g, below or index > 0)
                found.insert(0, gradient)
            return found, g

        return a, back

    def forward(self, params: Any, x: Any) -> Any:
        """The output of the last layer."""
        for own, layer in zip(params, self.layers, strict=True):
            x = layer.forward(own, x)
        return x
