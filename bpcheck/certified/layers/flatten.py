"""Flattening: matrices have an example a row anyway, so that nothing is left to do in reverse."""

from __future__ import annotations

from typing import Any

from bpcheck.certified.layers.layer import Layer, Pullback
from bpcheck.certified.units import Units
from bpcheck.tree import Path

__all__ = ["FlattenLayer"]


class FlattenLayer(Layer):
    """Flattening of inputs of any shape."""

    def reverse(self, params: Any, a: Any, units: Units, path: Path) -> tuple[Any, Pullback]:
        """The matrix itself."""
        return a, lambda g, below: ({}, g)

    def forward(self, params: Any, x: Any) -> Any:
        """The same numbers in one row, the last axis running fastest."""
        return x.reshape(-1)
