"""Derivations that execute: one file for each equation, layer or update rule; ``python -m derivations`` lists them.

Each file holds :class:`bpcheck.symbolic.index.Derivation` values. Every line of each is checked in three ways
(canonical form for all sizes, instances in plain SymPy, numbers of 60 digits), and each carries planted
mistakes that all three checks must refuse.
"""

from __future__ import annotations

import importlib

from bpcheck.symbolic.index import Derivation

__all__ = ["COURSE", "load"]

# In the order of a course. A new file is a new name here; tests/derivations finds a file that is not listed.
COURSE = (
    "bp1_output_error",
    "bp2_hidden_error",
    "bp3_bias_gradient",
    "bp4_weight_gradient",
    "softmax_cross_entropy",
    "sigmoid_cross_entropy",
    "batch_and_penalty",
    "skip",
    "normalization",
    "attention",
    "convolution",
    "recurrent",
    "steepest_descent",
    "momentum_average",
    "adam_bias_correction",
)


def load(name: str) -> tuple[Derivation, ...]:
    """The derivations of one file."""
    derivations: tuple[Derivation, ...] = importlib.import_module(f"derivations.{name}").DERIVATIONS
    return derivations
