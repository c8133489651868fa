"""Gradient health: whether the error arrives at the lowest layer, and how large."""

from bpcheck.health.entry import gradient_health
from bpcheck.health.findings import Finding
from bpcheck.health.numbers import Clipping, DenseHealth, LayerHealth, TensorHealth
from bpcheck.health.result import GradientHealth

__all__ = [
    "Clipping",
    "DenseHealth",
    "Finding",
    "GradientHealth",
    "LayerHealth",
    "TensorHealth",
    "gradient_health",
]
