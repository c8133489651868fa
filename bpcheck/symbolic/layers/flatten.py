"""Flattening: the same numbers in one row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpcheck.symbolic.layers.layer import Expressions, Site

__all__ = ["FlattenFormula"]


@dataclass(frozen=True)
class FlattenFormula:
    """Flattening of inputs of any shape."""

    def forward(self, params: Any, x: Expressions, site: Site) -> Expressions:
        """The same expressions, the last axis running fastest."""
        return x.reshape(-1)

    @property
    def paths(self) -> int:
        """One."""
        return 1

    @property
    def connections(self) -> int:
        """No parameters."""
        return 0
