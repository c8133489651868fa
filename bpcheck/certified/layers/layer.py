"""What every kind of layer gives to the certified witness: two routes, which share nothing but its shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from bpcheck.certified.units import Units
from bpcheck.tree import Path

__all__ = ["Layer", "Pullback"]

Pullback: TypeAlias = Callable[[Any, bool], tuple[Any, Any]]
"""∂C/∂output ↦ (gradients of the parameters, ∂C/∂input); the second only where it is asked for."""


class Layer(ABC):
    """A layer for inputs of a known shape."""

    @abstractmethod
    def reverse(self, params: Any, a: Any, units: Units, path: Path) -> tuple[Any, Pullback]:
        """The output and its pullback, for a batch: matrices with one example a row, whatever its shape."""

    @abstractmethod
    def forward(self, params: Any, x: Any) -> Any:
        """The output for one example, an object array; numbers and series may be mixed."""

    def pre_activation(self, params: Any, x: Any) -> Any:
        """What :meth:`moved` wants to know of the pass in which nothing moves."""
        return None

    def moved(self, params: Any, x: Any, before: Any, index: Sequence[int]) -> Any:
        """The output where the entry at ``index`` of one parameter has become a series."""
        return self.forward(params, x)
