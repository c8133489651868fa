"""A backward pass in which each equation can be replaced by a wrong one.

A bug is predicted by *running* the mutated pass, never by patching numbers: what it gives on any
network is then what a student's code with that bug gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from bpcheck.network.case import Case
from bpcheck.network.layers import Dense
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.layers.four_equations import (
    bp1_output_error,
    bp2_hidden_error,
    bp3_bias_gradient,
    bp4_weight_gradient,
)
from bpcheck.reference.loss import LOSS
from bpcheck.tree import FloatArray, Path

__all__ = ["Forward", "Gradient", "Rules", "backward", "forward"]

Gradient = dict[Path, FloatArray]

IN_A_LAYER = frozenset({"bp2", "bp3", "bp4", "penalty"})
"""The steps of :class:`Rules` that run once a layer."""


@dataclass(frozen=True, eq=False)
class Forward:
    """What is known before the backward pass; index k counts weight layers from 0.

    Attributes
    ----------
    case : Case
    z, a : list
        Pre-activations, and activations with a[0] = x, so that layer k maps a[k] to a[k + 1].
    derivative : list
        σ'(z) of each layer; ones at the top if the output activation is fused into the loss.
    cost_gradient : array
        ∂C/∂a^L (∂C/∂z^L if fused), the 1/m of a mean included.
    fused : bool
        Whether softmax or sigmoid at the output is computed inside the loss.
    """

    case: Case
    z: list[FloatArray]
    a: list[FloatArray]
    derivative: list[FloatArray]
    cost_gradient: FloatArray
    fused: bool

    @property
    def top(self) -> int:
        """Index of the output layer."""
        return len(self.z) - 1

    def weight(self, k: int) -> FloatArray:
        """W of layer k."""
        return np.asarray(self.case.params[k]["weight"])

    def sigma(self, k: int) -> str:
        """Name of the activation of layer k."""
        layer = self.case.architecture.layers[k]
        return layer.activation if isinstance(layer, Dense) else "identity"

    @property
    def output_slope(self) -> FloatArray:
        """σ'(z^L) of the output activation itself, fused or not."""
        activation = ACTIVATION[self.sigma(self.top)]
        return np.asarray(activation.derivative(self.z[-1], self.a[-1]))


def forward(case: Case) -> Forward:
    """Run a dense chain forward."""
    architecture = case.architecture
    loss = LOSS[architecture.loss]
    fused = bool(loss.fused_output) and architecture.output == loss.fused_output
    z, a, derivative = [], [np.asarray(case.x)], []
    for layer, spec in zip(case.params, architecture.layers, strict=True):
        activation = ACTIVATION[spec.activation if isinstance(spec, Dense) else "identity"]
        z.append(a[-1] @ layer["weight"].T + layer["bias"])
        a.append(activation.value(z[-1]))
        derivative.append(activation.derivative(z[-1], a[-1]))
    if fused:
        derivative[-1] = np.ones_like(z[-1])
    cost_gradient = loss.gradient(z[-1] if fused else a[-1], case.y)
    if architecture.reduction == "mean":
        cost_gradient = cost_gradient / case.batch
    return Forward(case, z, a, derivative, cost_gradient, fused)


def _bp1(f: Forward) -> FloatArray:
    return bp1_output_error(f.cost_gradient, f.derivative[-1])


def _bp2(f: Forward, k: int, delta: list[FloatArray]) -> FloatArray:
    return bp2_hidden_error(f.weight(k + 1), delta[k + 1], f.derivative[k])


def _bp3(f: Forward, k: int, delta: FloatArray) -> Any:
    return bp3_bias_gradient(delta)


def _bp4(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return bp4_weight_gradient(delta, f.a[k])


def _penalty(f: Forward, k: int, name: str, values: FloatArray) -> Any:
    architecture = f.case.architecture
    if name == "bias" and not architecture.penalize_bias:
        return 0.0
    return architecture.l1 * np.sign(values) + architecture.l2 * values


def _as_it_is(f: Forward, gradient: Gradient) -> Gradient | None:
    return gradient


@dataclass(frozen=True)
class Rules:
    """The steps of a backward pass; a bug replaces one.

    Attributes
    ----------
    bp1 : (forward) -> δ^L
    bp2 : (forward, k, deltas above) -> δ of layer k
    bp3 : (forward, k, δ) -> bias gradient
    bp4 : (forward, k, δ) -> weight gradient
    penalty : (forward, k, "weight" or "bias", values) -> what is added
    finish : (forward, gradient) -> the gradient as it is returned, or None where that would raise
    """

    bp1: Callable[[Forward], FloatArray] = _bp1
    bp2: Callable[[Forward, int, list[FloatArray]], FloatArray] = _bp2
    bp3: Callable[[Forward, int, FloatArray], Any] = _bp3
    bp4: Callable[[Forward, int, FloatArray], FloatArray] = _bp4
    penalty: Callable[[Forward, int, str, FloatArray], Any] = _penalty
    finish: Callable[[Forward, Gradient], Gradient | None] = _as_it_is

    def but(self, **replaced: Any) -> Rules:
        """These rules with some replaced."""
        return replace(self, **replaced)

    @property
    def changed(self) -> frozenset[str]:
        """Names of the steps that are not the right ones."""
        return frozenset(step.name for step in fields(self) if getattr(self, step.name) is not step.default)

    def only(self, where: Callable[[Forward, int], bool]) -> Rules:
        """These rules in some layers, the right ones in the others (BP1 and ``finish`` stay as they are)."""
        right = Rules()

        def chosen(name: str) -> Callable[..., Any]:
            mine, theirs = getattr(self, name), getattr(right, name)
            return lambda f, k, *rest: (mine if where(f, k) else theirs)(f, k, *rest)

        return replace(self, **{name: chosen(name) for name in self.changed & IN_A_LAYER})

    def with_(self, other: Rules) -> Rules:
        """These rules with the other's changes too; where both change a step, the other's counts."""
        return replace(self, **{name: getattr(other, name) for name in other.changed})


def backward(f: Forward, rules: Rules) -> Gradient | None:
    """The gradient that code with these rules returns; None where its shapes do not fit (it would raise)."""
    delta: list[FloatArray] = [np.empty(0)] * len(f.z)
    gradient: Gradient = {}
    try:
        with np.errstate(all="ignore"):
            delta[f.top] = rules.bp1(f)
            for k in range(f.top - 1, -1, -1):
                delta[k] = rules.bp2(f, k, delta)
            for k, params in enumerate(f.case.params):
                found = {"weight": rules.bp4(f, k, delta[k]), "bias": rules.bp3(f, k, delta[k])}
                for name, values in params.items():
                    value = found[name] + rules.penalty(f, k, name, values)
                    if np.shape(value) != values.shape:
                        return None
                    gradient[Path("params").item(k).item(name)] = np.asarray(value)
            return rules.finish(f, gradient)
    except ValueError:  # NumPy's "shapes do not match": the bug cannot run silently on this network
        return None
