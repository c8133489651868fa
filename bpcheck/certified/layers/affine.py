"""What dense layers and convolutions share: Z = A Wᵀ + 1 bᵀ in reverse, and σ of a z that one entry moves in part."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bpcheck.certified.layers.layer import Layer
from bpcheck.certified.series import activate
from bpcheck.network.layers.spec import Shape

__all__ = ["AffineLayer", "affine"]


def affine(params: Any, rows: Any, numbers: Any) -> tuple[Any, Callable[[Any, bool], tuple[Any, Any]]]:
    """Z = A Wᵀ + 1 bᵀ, and ∂C/∂Z ↦ (gradients of weight and bias, ∂C/∂A).

    Parameters
    ----------
    params : dict
        ``weight`` (its first axis in rows, all others in columns) and ``bias``.
    rows : matrix
        A.
    numbers : Balls, Working or Rationals
    """
    weight, bias = numbers.given(params["weight"]), numbers.given(params["bias"])
    ones = numbers.matrix(rows.nrows(), 1, [1] * rows.nrows())
    z = numbers.product(rows, weight.transpose()) + ones * bias

    def back(delta: Any, below: bool) -> tuple[Any, Any]:
        gradient = {
            "weight": _weight_gradient(numbers, delta, rows),
            "bias": _bias_gradient(numbers, delta, ones),
        }
        return gradient, _error_below(numbers, delta, weight) if below else None

    return z, back


def _weight_gradient(numbers: Any, delta: Any, a: Any) -> Any:
    return numbers.product(delta.transpose(), a)


def _bias_gradient(numbers: Any, delta: Any, ones: Any) -> Any:
    return numbers.product(ones.transpose(), delta)


def _error_below(numbers: Any, delta: Any, weight: Any) -> Any:
    return numbers.product(delta, weight)


class AffineLayer(Layer):
    """A layer whose parameters all have output units (or channels) as their first axis."""

    spec: Any
    shape: Shape

    @abstractmethod
    def part(self, params: Any, x: Any, unit: int) -> Any:
        """Z of one unit or channel, for one example."""

    def pre_activation(self, params: Any, x: Any) -> Any:
        """Z, for one example."""
        z = np.empty(self.spec.output_shape(self.shape), dtype=object)
        for unit in range(len(z)):
            z[unit] = self.part(params, x, unit)
        return z

    def forward(self, params: Any, x: Any) -> Any:
        """σ(z)."""
        return self._activated(self.pre_activation(params, x))

    def moved(self, params: Any, x: Any, before: Any, index: Sequence[int]) -> Any:
        """An entry of weight or bias moves one unit or channel alone."""
        z = before.copy()
        z[index[0]] = self.part(params, x, index[0])
        return self._activated(z)

    def _activated(self, z: Any) -> Any:
        a = np.empty(z.shape, dtype=object)
        for index, value in zip(
            np.ndindex(z.shape), activate(self.spec.activation, list(z.flat)), strict=True
        ):
            a[index] = value
        return a
