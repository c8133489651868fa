"""Any layer as one that states what its parameters touch: everything above them, evaluated again.

For layers without :class:`~bpcheck.reference.touching.touch.Touching`: their own forward pass in complex arithmetic, once
for each perturbed parameter, and once for each perturbation that arrives from below; never from the input on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.reference.layers.layer import Context, Layer
from bpcheck.reference.numbers.ball import Ball
from bpcheck.reference.touching.touch import Column, Entries, Moved, Seed, Touch
from bpcheck.tree import FloatArray, Tree

__all__ = ["Reevaluated"]


@dataclass(frozen=True)
class Reevaluated:
    """A layer that is evaluated again for whatever has moved.

    Its rounding has no bound of its own: it is measured by whoever uses this.

    Attributes
    ----------
    layer : Layer
        If it has an attribute ``separates_examples`` that is true, each example's output depends on its own
        input alone, and all perturbations go through it as one large batch; else one after the other.
    """

    layer: Layer
    touches: bool = False

    def known(self, params: Tree, x: Ball, residuals: Any) -> tuple[Ball, FloatArray]:
        """The input."""
        y, _, _ = self.layer.forward(params, x.mid, Context())
        return Ball.exact(y, x.u), x.mid

    def touched(self, params: Tree, known: FloatArray, step: float, columns: int) -> Iterator[Touch]:
        """The layer's forward pass for each parameter."""
        leaves = list(tree.leaves(params))
        for number, (path, leaf) in enumerate(leaves):
            for start in range(0, leaf.size, columns):
                indices = [
                    np.unravel_index(k, leaf.shape) for k in range(start, min(start + columns, leaf.size))
                ]
                outputs = []
                for index in indices:
                    moved = leaf.astype(complex)
                    moved[index] += 1j * step
                    arrays = [moved if k == number else other for k, (_, other) in enumerate(leaves)]
                    y, _, _ = self.layer.forward(tree.restore(params, arrays), known, Context())
                    outputs.append(np.imag(y))
                where = tuple(np.array(axis) for axis in zip(*indices, strict=True))
                yield Touch((Entries(path.keys, where, len(indices)),), np.stack(outputs, axis=-1))

    def seeds(self, params: Tree, known: FloatArray, step: float, columns: int) -> Iterator[Seed]:
        """Not known."""
        raise InputError(f"{self.layer!r} does not state what its parameters touch.")

    def follow(self, params: Tree, known: FloatArray, moved: Moved) -> Moved:
        """The layer's forward pass for each perturbation, all at once where examples do not mix."""
        x = known
        moved = moved.full(x.shape[1]) if isinstance(moved, Column) else moved
        perturbations = np.moveaxis(x[..., None] + 1j * moved, -1, 0)
        if getattr(self.layer, "separates_examples", False):
            y, _, _ = self.layer.forward(params, perturbations.reshape(-1, *x.shape[1:]), Context())
            every = np.imag(y).reshape(len(perturbations), len(x), *y.shape[1:])
        else:
            every = np.array(
                [np.imag(self.layer.forward(params, one, Context())[0]) for one in perturbations]
            )
        return np.moveaxis(every, 0, -1)
