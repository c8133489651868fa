"""What a layer says of which units its parameters touch, for the complex step that evaluates nothing else again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from bpcheck.reference.numbers.ball import Ball
from bpcheck.tree import FloatArray, Tree

__all__ = ["Column", "Entries", "Known", "Moved", "Seed", "Touch", "Touching"]


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


@dataclass(frozen=True, eq=False)
class Known:
    """What all perturbed passes through an affine map and its activation share.

    Attributes
    ----------
    previous : Ball
        What the weights multiply, one row a place where they do.
    z : Ball
    undecided : bool array
        Units that are at their kink, as far as correct code can tell.
    """

    previous: Ball
    z: Ball
    undecided: Any


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

        ``x`` is nearly as exact as float64 can be. ``residuals`` are those of the layer's forward pass on balls
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
