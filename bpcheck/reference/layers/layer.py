"""The layer protocol: three methods that every kind of layer has, and the context they share.

``init`` makes parameters and state and says the shape that comes out; ``forward`` returns what the
pullback will need (the *residuals*) and the new state; ``pullback`` turns the cotangent of the
output into the cotangents of parameters and input. What only some layers can do is a further,
optional protocol: :class:`Enclosable` (error bounds), :class:`Traceable` (z, a and δ), :class:`Touching`
(which units a parameter touches).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from bpcheck.network.layers.spec import Shape
from bpcheck.reference.numbers.ball import Ball
from bpcheck.tree import FloatArray, Tree

__all__ = [
    "Column",
    "Context",
    "Enclosable",
    "Entries",
    "Layer",
    "LayerTrace",
    "Moved",
    "Seed",
    "Touch",
    "Touching",
    "Traceable",
]


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


@dataclass(frozen=True, eq=False)
class Column:
    """Imaginary parts of a layer's output where one unit alone has moved.

    Attributes
    ----------
    unit : int
    imaginary : (m, P)
        One row an example, one column a perturbation.
    """

    unit: int
    imaginary: FloatArray

    def full(self, width: int) -> FloatArray:
        """All units, (m, width, P)."""
        examples, perturbations = self.imaginary.shape
        every = np.zeros((examples, width, perturbations))
        every[:, self.unit] = self.imaginary
        return every


Moved = Any
"""What perturbations add to an output, times i: an array (m, …, P), a Ball of that shape, or a :class:`Column`."""


@dataclass(frozen=True)
class Entries:
    """A run of parameters: ``leaf[index]`` of the leaf at ``keys``, so many in all.

    Attributes
    ----------
    keys : tuple of str
        As :class:`bpcheck.tree.Path` writes them: ``("[0]", "['weight']")``.
    index : index expression
    count : int
    """

    keys: tuple[str, ...]
    index: Any
    count: int

    def below(self, number: int) -> Entries:
        """The same entries, seen from the list that holds their tree at ``number``."""
        return replace(self, keys=(f"[{number}]", *self.keys))


@dataclass(frozen=True, eq=False)
class Touch:
    """Parameters that are perturbed by ih, each alone, and what becomes of the layer's output.

    Attributes
    ----------
    entries : tuple of Entries
        In the order of the perturbations P.
    moved : Moved
    """

    entries: tuple[Entries, ...]
    moved: Moved


@dataclass(frozen=True, eq=False)
class Seed:
    """Units whose z is perturbed by ih, to bound the rounding of all that a layer touches.

    Attributes
    ----------
    moved : Ball
        What becomes of the layer's output, (m, …, S).
    gather : callable
        From the cost's imaginary parts that these perturbations end in, a Ball (m, S), one example a row, to
        a bound on the error of the sum over the examples, for each parameter that touches these units: pairs
        (entries, array).
    """

    moved: Any
    gather: Callable[[Ball], list[tuple[Entries, FloatArray]]]


@runtime_checkable
class Touching(Protocol):
    """A layer that states what a perturbation of one of its parameters touches.

    The structured complex step uses it: a parameter is moved by ih, and only what it touches is evaluated
    again, for many parameters at a time. Since h² is far below the last bit, the real parts are those of
    the unperturbed pass; only imaginary parts travel.
    """

    @property
    def touches(self) -> bool:
        """Whether the promise is kept (a layer made of layers keeps it if they do)."""
        ...

    def known(self, params: Tree, x: Ball, residuals: Any) -> tuple[Ball, Any]:
        """The output, and whatever of the unperturbed pass is worth keeping.

        ``x`` is nearly as exact as float64 can be. ``residuals`` are those of :meth:`Layer.forward` on balls
        (they say which units are so near a kink that other code may be on its other side), or on arrays.
        """
        ...

    def touched(self, params: Tree, known: Any, step: float, columns: int) -> Iterator[Touch]:
        """Every parameter once, at most ``columns`` of them a time."""
        ...

    def seeds(self, params: Tree, known: Any, step: float, columns: int) -> Iterator[Seed]:
        """Every unit that parameters touch, once, at most ``columns`` of them a time."""
        ...

    def follow(self, params: Tree, known: Any, moved: Moved) -> Moved:
        """What becomes of the output when the input has moved."""
        ...
