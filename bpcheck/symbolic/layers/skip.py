"""Skip connections: x + f(x)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpcheck.symbolic.layers.chain import Chain
from bpcheck.symbolic.layers.layer import Expressions, Site

__all__ = ["SkipFormula"]


@dataclass(frozen=True)
class SkipFormula:
    """A chain f with its input added to its output."""

    inner: Chain

    def forward(self, params: Any, x: Expressions, site: Site) -> Expressions:
        """X + f(x)."""
        return x + self.inner.forward(params, x, site)

    @property
    def paths(self) -> int:
        """Through f, and past it."""
        return 1 + self.inner.paths

    @property
    def connections(self) -> int:
        """Those of f."""
        return self.inner.connections
