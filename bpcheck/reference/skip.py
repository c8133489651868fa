"""A skip connection: y = x + f(x), so x̄ = ȳ + f's pullback of ȳ. The +1 is why deep nets train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.architecture import Shape
from bpcheck.reference.chain import Chain
from bpcheck.reference.layer import Context
from bpcheck.tree import Tree

__all__ = ["SkipLayer"]


@dataclass(frozen=True)
class SkipLayer:
    """A chain f with its input added to its output (He et al. 2016, eq. 1)."""

    inner: Chain

    @property
    def encloses(self) -> bool:
        """Whether the inner layers can bound their rounding."""
        return self.inner.encloses

    def init(self, rng: np.random.Generator, shape: Shape) -> tuple[Tree, Tree, Shape]:
        """Parameters of the inner layers."""
        return self.inner.init(rng, shape)

    def forward(self, params: Tree, x: Any, context: Context) -> tuple[Any, Any, Tree]:
        """X + f(x)."""
        y, residuals, state = self.inner.forward(params, x, context)
        return x + y, residuals, state

    def pullback(self, params: Tree, residuals: Any, output_cotangent: Any) -> tuple[Tree, Any]:
        """∂C/∂x = ȳ + (∂f/∂x)ᵀ ȳ: two paths lead from x to y, and they add."""
        gradient, through_inner = self.inner.pullback(params, residuals, output_cotangent)
        return gradient, output_cotangent + through_inner

    def trace(self, params: Tree, residuals: Any, output_cotangent: Any) -> list[Any]:
        """Traces of the inner layers."""
        return self.inner.trace(params, residuals, output_cotangent)
