"""Layers one after the other: forward up, pullback down. A layer itself, so chains nest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.architecture import Shape
from bpcheck.reference.layer import Context, Enclosable, Layer, Traceable
from bpcheck.tree import Tree

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain:
    """f_n ∘ … ∘ f_1; parameters and state are lists with one entry a layer."""

    layers: Sequence[Layer]

    @property
    def encloses(self) -> bool:
        """Whether every layer can bound its rounding."""
        return all(isinstance(layer, Enclosable) and layer.encloses for layer in self.layers)

    def init(self, rng: np.random.Generator, shape: Shape) -> tuple[Tree, Tree, Shape]:
        """Initialise the layers in order."""
        params, states = [], []
        for layer in self.layers:
            layer_params, state, shape = layer.init(rng, shape)
            params.append(layer_params)
            states.append(state)
        return params, states, shape

    def forward(self, params: Tree, x: Any, context: Context) -> tuple[Any, Any, Tree]:
        """Each output is the next layer's input."""
        before = [None] * len(self.layers) if context.state is None else context.state
        residuals, after = [], []
        for layer, layer_params, state in zip(self.layers, params, before, strict=True):
            x, saved, new_state = layer.forward(layer_params, x, context.with_state(state))
            residuals.append(saved)
            after.append(new_state)
        return x, residuals, after

    def pullback(self, params: Tree, residuals: Any, output_cotangent: Any) -> tuple[Tree, Any]:
        """The layers in reverse order, each handing its input's cotangent to the one below."""
        gradients: list[Tree] = []
        for layer, layer_params, saved in zip(
            reversed(self.layers), reversed(params), reversed(residuals), strict=True
        ):
            gradient, output_cotangent = layer.pullback(layer_params, saved, output_cotangent)
            gradients.append(gradient)
        return gradients[::-1], output_cotangent

    def trace(self, params: Tree, residuals: Any, output_cotangent: Any) -> list[Any]:
        """The traces of the layers, None for a layer that has none."""
        traces: list[Any] = []
        for layer, layer_params, saved in zip(
            reversed(self.layers), reversed(params), reversed(residuals), strict=True
        ):
            traces.append(
                layer.trace(layer_params, saved, output_cotangent) if isinstance(layer, Traceable) else None
            )
            _, output_cotangent = layer.pullback(layer_params, saved, output_cotangent)
        return traces[::-1]
