"""Initialisers: how weights are drawn before training. Biases start at zero.

With z = Σ_k W_k a_k over n inputs, Var z = n Var(W) E[a²]: each rule chooses Var(W) so that the
signal neither dies nor explodes from layer to layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from bpcheck.tree import FloatArray

__all__ = ["Initializer", "glorot", "he", "lecun", "small_random", "zeros"]

Initializer: TypeAlias = Callable[[np.random.Generator, tuple[int, int]], FloatArray]

# The size of "small random values" in textbooks; there is no derivation behind it.
SMALL = 0.01


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """All zero: right for biases; for weights it keeps all neurons of a layer equal for ever."""
    return np.zeros(shape)


def glorot(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    """Uniform with Var = 2/(n_in + n_out), for tanh and sigmoid (Glorot & Bengio 2010, eq. 16)."""
    limit = np.sqrt(6.0 / (shape[0] + shape[1]))
    return rng.uniform(-limit, limit, shape)


def he(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    """Normal with Var = 2/n_in, for ReLU and its kin (He et al. 2015, eq. 10)."""
    return rng.normal(0.0, np.sqrt(2.0 / shape[1]), shape)


def lecun(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    """Normal with Var = 1/n_in (LeCun et al. 1998, §4.6)."""
    return rng.normal(0.0, np.sqrt(1.0 / shape[1]), shape)


def small_random(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    """Normal with standard deviation 0.01: the "small random values" of many books; deep networks starve on it."""
    return rng.normal(0.0, SMALL, shape)
