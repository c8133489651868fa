"""Fully connected layers: z_j = b_j + Σ_k W_jk a_k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.network.layers import Dense
from bpcheck.network.layers.spec import Shape
from bpcheck.symbolic.layers.layer import Expressions, Site, activated

__all__ = ["DenseFormula"]


@dataclass(frozen=True)
class DenseFormula:
    """A dense layer for inputs of ``shape``."""

    spec: Dense
    shape: Shape

    def forward(self, params: Any, x: Expressions, site: Site) -> Expressions:
        """σ(W x + b)."""
        z = np.empty(self.spec.units, dtype=object)
        for j, b in enumerate(params["bias"]):
            z[j] = sum((w * value for w, value in zip(params["weight"][j], x, strict=True)), b)
        return activated(self.spec.activation, z, site)

    @property
    def paths(self) -> int:
        """One for each input; of a softmax every unit is a quotient that names all n units, and itself."""
        return self.shape[0] * (self.spec.units + 1 if self.spec.activation == "softmax" else 1)

    @property
    def connections(self) -> int:
        """Every parameter once."""
        return self.spec.units * (self.shape[0] + 1)
