"""Initialisers: how weights are drawn before training. Biases start at zero.

With z = Σ_k W_k a_k over n inputs, Var z = n Var(W) E[a²]: each rule chooses Var(W) so that the
signal neither dies nor explodes from layer to layer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from bpcheck.errors import InputError
from bpcheck.network.layers.spec import LayerSpec, Shape
from bpcheck.tree import FloatArray

__all__ = [
    "INITIALIZERS",
    "Initializer",
    "glorot",
    "he",
    "initial",
    "initializer",
    "lecun",
    "normal",
    "orthogonal",
    "small_random",
    "zeros",
]

Initializer: TypeAlias = Callable[[np.random.Generator, tuple[int, ...]], FloatArray]
"""Takes a generator and a shape (out, in), or (out, in, *kernel) for a convolution."""

RECTIFIERS = ("relu", "leaky_relu", "gelu", "silu", "softplus")

# The size of "small random values" in textbooks; there is no derivation behind it.
SMALL = 0.01


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """All zero: right for biases; for weights it keeps all neurons of a layer equal for ever."""
    return np.zeros(shape)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many inputs one output sums up, and how many outputs one input goes into."""
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def glorot(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Uniform with Var = 2/(n_in + n_out), for tanh and sigmoid (Glorot & Bengio 2010, eq. 16)."""
    limit = np.sqrt(6.0 / sum(_fans(shape)))
    return rng.uniform(-limit, limit, shape)


def he(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Normal with Var = 2/n_in, for ReLU and its kin (He et al. 2015, eq. 10)."""
    return rng.normal(0.0, np.sqrt(2.0 / _fans(shape)[0]), shape)


def lecun(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Normal with Var = 1/n_in (LeCun et al. 1998, §4.6)."""
    return rng.normal(0.0, np.sqrt(1.0 / _fans(shape)[0]), shape)


def small_random(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Normal with standard deviation 0.01: the "small random values" of many books; deep networks starve on it."""
    return rng.normal(0.0, SMALL, shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Orthonormal rows or columns, whichever are fewer: no length changes (Saxe et al. 2014).

    Q of a normal matrix, the signs of R's diagonal multiplied in so that all directions are equally
    likely (Mezzadri 2007).
    """
    rows, columns = shape[0], _fans(shape)[0]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diagonal(r) < 0.0, -1.0, 1.0)
    return np.ascontiguousarray(q if rows >= columns else q.T).reshape(shape)


def initial(
    layer: LayerSpec, rng: np.random.Generator, shape: Shape, initializer: Initializer | None = None
) -> dict[str, FloatArray]:
    """Parameters of a layer before training: weights drawn, all others as their role asks.

    Parameters
    ----------
    layer : LayerSpec
    rng : numpy.random.Generator
    shape : tuple of int
        Of one example before the layer.
    initializer : callable, optional
        For the weights; None means He before rectifiers and Glorot otherwise.
    """
    draw = initializer or (he if layer.output_activation in RECTIFIERS else glorot)
    found = {}
    for key, size in layer.parameter_shapes(shape).items():
        role = layer.roles[key]
        found[key] = draw(rng, size) if role == "weight" else np.full(size, 1.0 if role == "gain" else 0.0)
    return found


def normal(deviation: float) -> Initializer:
    """Normal with that standard deviation, whatever the width.

    Examples
    --------
    >>> normal(0.5)(np.random.default_rng(0), (1, 2)).round(3)
    array([[ 0.063, -0.066]])
    """

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        return rng.normal(0.0, deviation, shape)

    return draw


INITIALIZERS: Mapping[str, Initializer] = MappingProxyType(
    {"glorot": glorot, "he": he, "lecun": lecun, "orthogonal": orthogonal, "small_random": small_random}
)
"""By name; :func:`initializer` takes ``"normal(0.1)"`` and ``"orthogonal(1.4)"`` too."""


def initializer(name: str) -> Initializer:
    """The rule of that name.

    Parameters
    ----------
    name : str
        One of ``INITIALIZERS``, ``"normal(σ)"`` with a standard deviation, or ``"orthogonal(c)"``, orthogonal
        weights times c.

    Returns
    -------
    callable
        Takes a generator and a shape (out, in).

    Raises
    ------
    InputError
        If there is no such rule.

    Examples
    --------
    >>> weight = initializer("orthogonal(2)")(np.random.default_rng(0), (3, 3))
    >>> bool(np.allclose(weight @ weight.T, 4 * np.eye(3)))
    True
    """
    if isinstance(name, str):
        if name in INITIALIZERS:
            return INITIALIZERS[name]
        found = re.fullmatch(r"(normal|orthogonal)\(([0-9.]+(?:e[-+]?[0-9]+)?)\)", name.replace(" ", ""))
        try:
            number = float(found[2]) if found else np.nan
        except ValueError:
            number = np.nan
        if found and np.isfinite(number):
            return (
                normal(number) if found[1] == "normal" else lambda rng, shape: number * orthogonal(rng, shape)
            )
    names = ", ".join(map(repr, INITIALIZERS))
    raise InputError(
        f"there is no initialisation {name!r}; choose {names}, 'normal(0.1)' or 'orthogonal(1.4)'."
    )
