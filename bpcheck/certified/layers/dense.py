"""Fully connected layers: z_j = b_j + Σ_k W_jk a_k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpcheck.certified.layers.affine import AffineLayer, affine
from bpcheck.certified.layers.layer import Pullback
from bpcheck.certified.units import Units
from bpcheck.network.layers import Dense
from bpcheck.network.layers.spec import Shape
from bpcheck.tree import Path

__all__ = ["DenseLayer"]


@dataclass(frozen=True)
class DenseLayer(AffineLayer):
    """A dense layer for inputs of ``shape``."""

    spec: Dense
    shape: Shape

    def reverse(self, params: Any, a: Any, units: Units, path: Path) -> tuple[Any, Pullback]:
        """Products of matrices."""
        z, below_z = affine(params, a, units.numbers)
        out, below_out = units.activate(self.spec.activation, z, path, (self.spec.units,))
        return out, lambda g, below: below_z(below_out(g), below)

    def part(self, params: Any, x: Any, unit: int) -> Any:
        """Z of one unit."""
        pairs = zip(params["weight"][unit], x, strict=True)
        return sum((w * value for w, value in pairs), params["bias"][unit])
