"""A skip connection: y = x + f(x), so x̄ = ȳ + f's pullback of ȳ. The +1 is why deep nets train."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.network.layers.spec import Shape
from bpcheck.reference.layers.chain import Chain
from bpcheck.reference.layers.layer import Context
from bpcheck.reference.numbers.ball import Ball
from bpcheck.reference.touching.touch import Column, Moved, Seed, Touch
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

    @property
    def touches(self) -> bool:
        """Whether the inner layers state what their parameters touch."""
        return self.inner.touches

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

    def known(self, params: Tree, x: Ball, residuals: Any) -> tuple[Ball, Any]:
        """What the inner layers keep."""
        y, known = self.inner.known(params, x, residuals)
        return x + y, known

    def touched(self, params: Tree, known: Any, step: float, columns: int) -> Iterator[Touch]:
        """What the inner layers touch: x is no parameter and does not move."""
        return self.inner.touched(params, known, step, columns)

    def seeds(self, params: Tree, known: Any, step: float, columns: int) -> Iterator[Seed]:
        """The units of the inner layers."""
        return self.inner.seeds(params, known, step, columns)

    def follow(self, params: Tree, known: Any, moved: Moved) -> Moved:
        """What moved, and what f makes of it."""
        through_inner = self.inner.follow(params, known, moved)
        if isinstance(moved, Column):
            moved = moved.full(through_inner.shape[1])
        return moved + through_inner
