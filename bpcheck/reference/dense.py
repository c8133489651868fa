"""The dense layer: forward and backward side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.architecture import Dense, Shape
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.ball import Ball
from bpcheck.reference.equations import (
    bp1_output_error,
    bp2_hidden_error,
    bp3_bias_gradient,
    bp4_weight_gradient,
)
from bpcheck.reference.initialize import Initializer, glorot, he, zeros
from bpcheck.reference.layer import Context, LayerTrace
from bpcheck.tree import Tree

__all__ = ["DenseLayer", "DenseResiduals"]

RECTIFIERS = ("relu", "leaky_relu", "gelu", "silu", "softplus")


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

    def init(self, rng: np.random.Generator, shape: Shape) -> tuple[Tree, Tree, Shape]:
        """Weights (n, inputs) and zero biases (n,)."""
        shapes = self.spec.parameter_shapes(shape)
        draw = self.initializer or (he if self.spec.activation in RECTIFIERS else glorot)
        params = {"weight": draw(rng, shapes["weight"]), "bias": zeros(rng, shapes["bias"])}
        return params, None, self.spec.output_shape(shape)

    def forward(self, params: Tree, x: Any, context: Context) -> tuple[Any, DenseResiduals, Tree]:
        """Z = x Wᵀ + b, a = σ(z)."""
        sigma = ACTIVATION[self.spec.activation]
        z = x @ params["weight"].T + params["bias"]
        derivative: Any
        if isinstance(z, Ball):
            a, derivative = sigma.enclose(z)
        else:
            a = sigma.value(z)
            # a complex pass only wants the value: σ' is never differentiated
            derivative = None if np.iscomplexobj(z) else sigma.derivative(z, a)
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
