"""Layers one after the other: forward up, pullback down. A layer itself, so chains nest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.network.layers.spec import Shape
from bpcheck.reference.layers.layer import Context, Enclosable, Layer, Traceable
from bpcheck.reference.layers.reevaluated import Reevaluated
from bpcheck.reference.numbers.ball import Ball
from bpcheck.reference.touching.touch import Entries, Moved, Seed, Touch, Touching
from bpcheck.tree import FloatArray, Tree

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain:
    """f_n ∘ … ∘ f_1; parameters and state are lists with one entry a layer."""

    layers: Sequence[Layer]

    @property
    def encloses(self) -> bool:
        """Whether every layer can bound its rounding."""
        return all(isinstance(layer, Enclosable) and layer.encloses for layer in self.layers)

    @property
    def touches(self) -> bool:
        """Whether every layer states what its parameters touch."""
        return all(isinstance(layer, Touching) and layer.touches for layer in self.layers)

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

    @property
    def _touching(self) -> list[Touching]:
        return [_touching(layer) for layer in self.layers]

    def known(self, params: Tree, x: Ball, residuals: Any) -> tuple[Ball, list[Any]]:
        """What each layer keeps."""
        kept = []
        for layer, layer_params, saved in zip(self._touching, params, residuals, strict=True):
            x, known = layer.known(layer_params, x, saved)
            kept.append(known)
        return x, kept

    def touched(self, params: Tree, known: list[Any], step: float, columns: int) -> Iterator[Touch]:
        """What each layer touches, followed through the layers above it; the last layer first, it is done soonest."""
        for number, layer in reversed(list(enumerate(self._touching))):
            for touch in layer.touched(params[number], known[number], step, columns):
                entries = tuple(run.below(number) for run in touch.entries)
                yield Touch(entries, self._above(number, params, known, touch.moved))

    def seeds(self, params: Tree, known: list[Any], step: float, columns: int) -> Iterator[Seed]:
        """The units of each layer, followed through the layers above it."""
        for number, layer in enumerate(self._touching):
            for seed in layer.seeds(params[number], known[number], step, columns):
                moved = self._above(number, params, known, seed.moved)
                yield Seed(moved, _Below(number, seed.gather))

    def _above(self, number: int, params: Tree, known: list[Any], moved: Moved) -> Moved:
        layers = list(zip(self._touching, params, known, strict=True))
        for layer, layer_params, kept in layers[number + 1 :]:
            moved = layer.follow(layer_params, kept, moved)
        return moved

    def follow(self, params: Tree, known: list[Any], moved: Moved) -> Moved:
        """Through all layers."""
        return self._above(-1, params, known, moved)


def _touching(layer: Layer) -> Touching:
    return layer if isinstance(layer, Touching) else Reevaluated(layer)


@dataclass(frozen=True, eq=False)
class _Below:
    """A layer's gather, with its number before the names of its entries."""

    number: int
    gather: Callable[[Ball], list[tuple[Entries, FloatArray]]]

    def __call__(self, cost: Ball) -> list[tuple[Entries, FloatArray]]:
        return [(run.below(self.number), bound) for run, bound in self.gather(cost)]
