"""Readable numbers for parameters, inputs and targets: two decimals, mixed signs, never zero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bpcheck.network.architecture import Architecture
from bpcheck.network.layers import LayerSpec
from bpcheck.network.layers.spec import Role
from bpcheck.tree import FloatArray

__all__ = ["DECIMALS", "fill", "fitting_targets", "random_targets", "readable"]

# With one decimal, z = 0 exactly (a kink) in about one ReLU network in ten; with two it is rare.
DECIMALS = 2


def readable(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> FloatArray:
    """Numbers of both signs with two decimals and magnitudes in [low, high].

    Examples
    --------
    >>> bool((abs(readable(np.random.default_rng(0), (3, 2), 0.5, 1.0)) >= 0.5).all())
    True
    """
    size = np.round(rng.uniform(low, high, shape), DECIMALS)
    return size * np.where(rng.random(shape) < 0.5, -1.0, 1.0)


def random_targets(rng: np.random.Generator, loss: str, shape: tuple[int, int]) -> FloatArray:
    """Targets that suit a loss: one-hot rows, zeros and ones, or readable numbers.

    Examples
    --------
    >>> random_targets(np.random.default_rng(0), "cross_entropy", (2, 3)).sum(axis=1)
    array([1., 1.])
    """
    if loss == "cross_entropy":
        return np.eye(shape[1])[rng.integers(shape[1], size=shape[0])]
    if loss == "binary_cross_entropy":
        return rng.integers(0, 2, shape).astype(float)
    return readable(rng, shape, 0.1, 2.0)


def fitting_targets(loss: str, y: FloatArray) -> FloatArray:
    """The targets, or the nearest that a loss takes: one-hot rows, zeros and ones.

    Examples
    --------
    >>> fitting_targets("cross_entropy", np.array([[1.0, 1.0, 0.0]]))
    array([[1., 0., 0.]])
    """
    if loss == "cross_entropy" and not (np.isin(y, (0.0, 1.0)).all() and (y.sum(axis=1) == 1).all()):
        return np.asarray(np.eye(y.shape[1])[y.argmax(axis=1)])
    if loss == "binary_cross_entropy" and not ((y >= 0) & (y <= 1)).all():
        return np.asarray(y > 0, dtype=float)
    return y


def fill(architecture: Architecture, make: Callable[[Role, tuple[int, ...]], FloatArray]) -> Any:
    """Parameters of a network; ``make(role, shape)`` makes each tensor.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> fill(mlp([1, 2]), lambda role, shape: np.full(shape, 1.0 if role == "weight" else 0.0))
    [{'weight': array([[1.],
           [1.]]), 'bias': array([0., 0.])}]
    """
    return _filled(architecture.layers, architecture.parameter_shapes, make)


def _filled(
    layers: Sequence[LayerSpec], shapes: Sequence[Any], make: Callable[[Role, tuple[int, ...]], FloatArray]
) -> list[Any]:
    return [
        _filled(layer.inner, own, make)
        if layer.inner
        else {key: make(layer.roles[key], shape) for key, shape in own.items()}
        for layer, own in zip(layers, shapes, strict=True)
    ]
