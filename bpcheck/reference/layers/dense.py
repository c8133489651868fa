"""The dense layer: forward and backward side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.network.layers import Dense
from bpcheck.network.layers.spec import Shape
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.initialize import Initializer, initial
from bpcheck.reference.layers.four_equations import (
    bp1_output_error,
    bp2_hidden_error,
    bp3_bias_gradient,
    bp4_weight_gradient,
)
from bpcheck.reference.layers.layer import Context, LayerTrace
from bpcheck.reference.numbers.ball import EXTRA_ROUNDINGS, Ball, gamma
from bpcheck.reference.numbers.product import affine
from bpcheck.reference.touching import imaginary
from bpcheck.reference.touching.touch import Column, Entries, Known, Moved, Seed, Touch
from bpcheck.tree import FloatArray, Tree

__all__ = ["DenseLayer", "DenseResiduals"]

WEIGHT, BIAS = ("['weight']",), ("['bias']",)


@dataclass(frozen=True)
class DenseResiduals:
    """What the backward pass needs: a^{l-1}, z^l, a^l and σ'(z^l)."""

    previous: Any
    pre_activation: Any
    activation: Any
    derivative: Any


@dataclass(frozen=True)
class DenseLayer:
    """a^l = σ(W^l a^{l-1} + b^l), one example a row.

    Parameters
    ----------
    spec : Dense
    initializer : callable, optional
        For the weights; None means He for rectifiers and Glorot otherwise.
    """

    spec: Dense
    initializer: Initializer | None = None
    encloses: bool = True
    touches: bool = True

    def init(self, rng: np.random.Generator, shape: Shape) -> tuple[Tree, Tree, Shape]:
        """Weights (n, inputs) and zero biases (n,)."""
        return initial(self.spec, rng, shape, self.initializer), None, self.spec.output_shape(shape)

    def forward(self, params: Tree, x: Any, context: Context) -> tuple[Any, DenseResiduals, Tree]:
        """Z = x Wᵀ + b, a = σ(z)."""
        z = x @ params["weight"].T + params["bias"]
        a, derivative = ACTIVATION[self.spec.activation].applied(z)
        return a, DenseResiduals(x, z, a, derivative), context.state

    def _delta(self, residuals: DenseResiduals, output_cotangent: Any) -> Any:
        # BP1 for the output, where the cotangent is ∇_a C; below, where the layer above has already
        # formed the bracket of BP2, the same product completes BP2.
        return bp1_output_error(output_cotangent, residuals.derivative)

    def pullback(self, params: Tree, residuals: DenseResiduals, output_cotangent: Any) -> tuple[Tree, Any]:
        """BP1 or the second half of BP2, then BP3, BP4 and the bracket of BP2 for the layer below."""
        delta = self._delta(residuals, output_cotangent)
        gradient = {
            "weight": bp4_weight_gradient(delta, residuals.previous),
            "bias": bp3_bias_gradient(delta),
        }
        return gradient, bp2_hidden_error(params["weight"], delta)

    def trace(self, params: Tree, residuals: DenseResiduals, output_cotangent: Any) -> LayerTrace:
        """z^l, a^l, δ^l."""
        delta = self._delta(residuals, output_cotangent)
        return LayerTrace(residuals.pre_activation, residuals.activation, delta)

    def known(self, params: Tree, x: Ball, residuals: DenseResiduals) -> tuple[Ball, Known]:
        """z^l rounded once, and a^l."""
        z = affine(x, params["weight"], params["bias"])
        return imaginary.known(self.spec.activation, x, z, residuals.pre_activation)

    def touched(self, params: Tree, known: Known, step: float, columns: int) -> Iterator[Touch]:
        """W_jk + ih moves z_j by ih a_k, b_j + ih moves it by ih, and nothing else."""
        examples, inputs = known.previous.shape
        one_unit = np.column_stack([known.previous.mid, np.ones(examples)]) * step
        for start in range(0, inputs + 1, columns):
            stop = min(start + columns, inputs + 1)
            z_moved = np.ascontiguousarray(one_unit[:, start:stop])
            for j in range(self.spec.units):
                row = slice(start, min(stop, inputs))
                entries = [Entries(WEIGHT, (j, row), row.stop - row.start)]
                if stop > inputs:
                    entries.append(Entries(BIAS, (j,), 1))
                yield Touch(tuple(entries), self._activate(known, Column(j, z_moved)))

    def seeds(self, params: Tree, known: Known, step: float, columns: int) -> Iterator[Seed]:
        """Each z_j moved by ih."""
        examples, units = known.z.shape
        for start in range(0, units, columns):
            stop = min(start + columns, units)
            moved = np.broadcast_to(step * np.eye(units)[:, start:stop], (examples, units, stop - start))
            yield Seed(
                self._activate(known, Ball.exact(moved, known.z.u)), _Gather(known.previous, start, stop)
            )

    def follow(self, params: Tree, known: Known, moved: Moved) -> Moved:
        """Multiply by W, z' = W a', with the imaginary parts of a alone, then σ at z + iz'."""
        weight = params["weight"]
        if isinstance(moved, Column):
            return self._activate(known, weight[:, moved.unit, None] * moved.imaginary[:, None, :])
        return self._activate(known, weight @ moved)

    def _activate(self, known: Known, z_moved: Moved) -> Moved:
        """Im σ(z + iz'), of one unit or of all."""
        name, z = self.spec.activation, known.z
        if not imaginary.is_elementwise(name):
            if isinstance(z_moved, Column):
                z_moved = z_moved.full(self.spec.units)
            return imaginary.mixed(z if isinstance(z_moved, Ball) else z.mid)(z_moved)
        if isinstance(z_moved, Column):
            j = z_moved.unit
            sigma = imaginary.at(name, z.mid[:, j, None], known.undecided[:, j, None])
            return Column(j, sigma(z_moved.imaginary))
        return imaginary.activated(name, z, known.undecided, z_moved)


@dataclass(frozen=True, eq=False)
class _Gather:
    """From ∂C/∂z_ij, with its error, to the error of Σ_i a_ik ∂C/∂z_ij and Σ_i ∂C/∂z_ij."""

    previous: Ball
    start: int
    stop: int

    def __call__(self, cost: Ball) -> list[tuple[Entries, FloatArray]]:
        a, u = self.previous, self.previous.u
        size = abs(cost.mid) + cost.rad
        # the sum over the examples, in any order, then a division by m or by h
        wrong = cost.rad + gamma(len(a.mid) + EXTRA_ROUNDINGS, u) * size
        weight = wrong.T @ abs(a.mid) + (size + wrong).T @ a.rad
        units, inputs = slice(self.start, self.stop), a.shape[1]
        count = self.stop - self.start
        return [
            (Entries(WEIGHT, (units, slice(0, inputs)), count * inputs), weight),
            (Entries(BIAS, (units,), count), wrong.sum(axis=0)),
        ]
