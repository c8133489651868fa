"""Flattening: the numbers of an example in one row. Going back, every cotangent returns to its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.network.layers import Flatten
from bpcheck.network.layers.spec import Shape
from bpcheck.reference.layers.layer import Context
from bpcheck.reference.numbers.ball import Ball
from bpcheck.reference.numbers.verbs import rearranged
from bpcheck.reference.touching.touch import Column, Moved, Seed, Touch
from bpcheck.tree import Tree

__all__ = ["FlattenLayer"]


@dataclass(frozen=True)
class FlattenLayer:
    """Inputs (m, …) as rows (m, n)."""

    spec: Flatten
    encloses: bool = True
    touches: bool = True

    def init(self, rng: np.random.Generator, shape: Shape) -> tuple[Tree, Tree, Shape]:
        """No parameters."""
        return {}, None, self.spec.output_shape(shape)

    def forward(self, params: Tree, x: Any, context: Context) -> tuple[Any, Shape, Tree]:
        """One row an example."""
        return rearranged(x, lambda array: array.reshape(len(array), -1)), x.shape, context.state

    def pullback(self, params: Tree, residuals: Shape, output_cotangent: Any) -> tuple[Tree, Any]:
        """∂C/∂x has the shape of x: y_i = x_i, so each cotangent goes back to where its number came from."""
        return {}, restored(output_cotangent, residuals)

    def known(self, params: Tree, x: Ball, residuals: Shape) -> tuple[Ball, int]:
        """How many numbers an example has."""
        row = self.forward(params, x, Context())[0]
        return row, row.shape[1]

    def touched(self, params: Tree, known: int, step: float, columns: int) -> Iterator[Touch]:
        """Nothing, for there are no parameters."""
        return iter(())

    def seeds(self, params: Tree, known: int, step: float, columns: int) -> Iterator[Seed]:
        """None."""
        return iter(())

    def follow(self, params: Tree, known: int, moved: Moved) -> Moved:
        """The same numbers in a row."""
        if isinstance(moved, Column):  # of a dense layer below: they were in a row before
            moved = moved.full(known)
        return rearranged(moved, lambda array: array.reshape(len(array), -1, array.shape[-1]))


def restored(output_cotangent: Any, shape: Shape) -> Any:
    """The cotangents where their numbers came from."""
    return rearranged(output_cotangent, lambda array: array.reshape(shape))
