"""The layer protocol: three methods that every kind of layer has, and the context they share.

``init`` makes parameters and state and says the shape that comes out; ``forward`` returns what the
pullback will need (the *residuals*) and the new state; ``pullback`` turns the cotangent of the
output into the cotangents of parameters and input. What only some layers can do is a further,
optional protocol: :class:`Enclosable` (error bounds), :class:`Traceable` (z, a and δ),
:class:`~bpcheck.reference.touching.touch.Touching` (which units a parameter touches).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from bpcheck.network.layers.spec import Shape
from bpcheck.tree import Tree

__all__ = ["Context", "Enclosable", "Layer", "LayerTrace", "Traceable"]


@dataclass(frozen=True)
class Context:
    """What a forward pass needs besides parameters and input.

    Attributes
    ----------
    training : bool
        Train (dropout active, batch statistics) or inference.
    state : tree
        State of this layer before the pass (running statistics); ``None`` for most.
    rng : numpy.random.Generator or None
        For layers that draw (dropout); passed in, never global.
    masks : mapping
        Named masks (attention, padding).
    """

    training: bool = True
    state: Tree = None
    rng: np.random.Generator | None = None
    masks: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def with_state(self, state: Tree) -> Context:
        """The same context for a layer whose state is ``state``."""
        return replace(self, state=state)


class Layer(Protocol):
    """What a network composes.

    ``ȳ`` (``output_cotangent``) is ∂C/∂y, of the shape of the output.
    """

    def init(self, rng: np.random.Generator, shape: Shape) -> tuple[Tree, Tree, Shape]:
        """Parameters, state and output shape for inputs of ``shape`` (without the batch axis)."""
        ...

    def forward(self, params: Tree, x: Any, context: Context) -> tuple[Any, Any, Tree]:
        """Output, residuals and new state; also for complex arrays, for the complex step."""
        ...

    def pullback(self, params: Tree, residuals: Any, output_cotangent: Any) -> tuple[Tree, Any]:
        """Cotangents of the parameters and of the input."""
        ...


@runtime_checkable
class Enclosable(Protocol):
    """A layer whose forward and pullback also accept :class:`~bpcheck.reference.numbers.ball.Ball`."""

    encloses: bool


@dataclass(frozen=True)
class LayerTrace:
    """What a textbook writes down for one layer: z^l, a^l and δ^l = ∂C/∂z^l."""

    pre_activation: Any
    activation: Any
    delta: Any


@runtime_checkable
class Traceable(Protocol):
    """A layer that can show its pre-activation, activation and error."""

    def trace(self, params: Tree, residuals: Any, output_cotangent: Any) -> Any:
        """A :class:`LayerTrace`, or a list of them for a layer made of layers."""
        ...
