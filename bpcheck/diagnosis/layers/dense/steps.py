"""The steps of dense layers: BP1 and BP2 make δ and send it down, BP3 and BP4 make gradients of it."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from bpcheck.diagnosis.step import Equation, Kind, Layer, Run, Step
from bpcheck.network.layers.spec import Role
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.layers.four_equations import (
    bp1_output_error,
    bp2_hidden_error,
    bp3_bias_gradient,
    bp4_weight_gradient,
)
from bpcheck.tree import FloatArray

__all__ = [
    "BIAS_GRADIENT",
    "BP1",
    "BP2",
    "BP3",
    "BP4",
    "DENSE",
    "HIDDEN_ERROR",
    "OUTPUT_ERROR",
    "SENT_DOWN",
    "WEIGHT_GRADIENT",
    "activation",
    "output_slope",
    "sigma",
]

BP1 = Equation(
    "BP1",
    "BP1, error of the output: δ^L = ∇_a C ⊙ σ'(z^L)",
    "δ is ∂C/∂z, how the cost C moves with the sum z of a unit; ⊙ multiplies entry by entry",
)
BP2 = Equation(
    "BP2",
    "BP2, error of a hidden layer: δ^l = ((W^{l+1})ᵀ δ^{l+1}) ⊙ σ'(z^l)",
    "δ is ∂C/∂z; it comes down from the layer above, through the weights and then the slope σ'",
    whole=True,
)
BP3 = Equation(
    "BP3",
    "BP3, bias gradient: ∂C/∂b^l = Σ δ^l over the batch",
    "a bias is added to z, so its gradient is the error δ of its unit",
)
BP4 = Equation(
    "BP4",
    "BP4, weight gradient: ∂C/∂W^l = Σ δ^l (a^{l-1})ᵀ over the batch",
    "a weight multiplies an activation a, so its gradient is the error δ above times the a below",
)


def sigma(layer: Layer) -> str:
    """Name of the activation, fused or not."""
    return layer.spec.output_activation


def activation(run: Run, layer: Layer) -> FloatArray:
    """a^l, whether or not the loss computes it."""
    return run.forward.output if run.forward.fused and layer.is_output else np.asarray(layer.saved.activation)


def output_slope(run: Run, layer: Layer) -> FloatArray:
    """σ'(z^L) of the output activation itself, fused or not."""
    z, a = layer.saved.pre_activation, activation(run, layer)
    return np.asarray(ACTIVATION[sigma(layer)].derivative(z, a))


def _error(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    return bp1_output_error(error, layer.saved.derivative)


OUTPUT_ERROR = Step("dense", "output error", BP1, _error, once=True)
"""``(run, layer, ∂C/∂a) -> δ``, of the last layer."""

HIDDEN_ERROR = Step("dense", "hidden error", BP2, _error)
"""The same, of all other layers."""

SENT_DOWN = Step(
    "dense",
    "error sent down",
    BP2,
    lambda run, layer, delta, error: bp2_hidden_error(layer.params["weight"], delta),
    where="on the way down from {layer} only",
)
"""``(run, layer, δ, ∂C/∂a) -> ∂C/∂a of the layer below``: the bracket of BP2."""

BIAS_GRADIENT = Step("dense", "bias gradient", BP3, lambda run, layer, delta: bp3_bias_gradient(delta))
"""``(run, layer, δ) -> ∂C/∂b``."""

WEIGHT_GRADIENT = Step(
    "dense",
    "weight gradient",
    BP4,
    lambda run, layer, delta: bp4_weight_gradient(delta, layer.saved.previous),
)
"""``(run, layer, δ) -> ∂C/∂W``."""


def _pullback(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    delta = run.keep(layer, run.step(OUTPUT_ERROR if layer.is_output else HIDDEN_ERROR, layer, error))
    run.gradient[layer.place("weight")] = run.step(WEIGHT_GRADIENT, layer, delta)
    run.gradient[layer.place("bias")] = run.step(BIAS_GRADIENT, layer, delta)
    return run.step(SENT_DOWN, layer, delta, error) if layer.sends_down else delta


_GRADIENTS: dict[Role, Equation] = {"weight": BP4, "bias": BP3}
_NOUNS: dict[Role, str] = {"weight": "weights", "bias": "biases"}

DENSE = Kind(
    "",
    _pullback,
    (OUTPUT_ERROR, HIDDEN_ERROR, WEIGHT_GRADIENT, BIAS_GRADIENT, SENT_DOWN),
    BP2,
    MappingProxyType(_GRADIENTS),
    MappingProxyType(_NOUNS),
)
