"""Skip connections: y = x + f(x), so that ∂C/∂x is ∂C/∂y, and what f's pullback makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpcheck.certified.layers.chain import Chain
from bpcheck.certified.layers.layer import Layer, Pullback
from bpcheck.certified.units import Units
from bpcheck.tree import Path

__all__ = ["SkipLayer"]


@dataclass(frozen=True)
class SkipLayer(Layer):
    """A chain f with its input added to its output."""

    inner: Chain

    def reverse(self, params: Any, a: Any, units: Units, path: Path) -> tuple[Any, Pullback]:
        """Two ways lead from the input to the output, and they add."""
        through, pullback = self.inner.reverse(params, a, units, path)

        def back(g: Any, below: bool) -> tuple[Any, Any]:
            gradient, inside = pullback(g, below)
            return gradient, g + inside if below else None

        return a + through, back

    def forward(self, params: Any, x: Any) -> Any:
        """X + f(x)."""
        return x + self.inner.forward(params, x)
