"""The names of the activations. What they compute is each witness's own business."""

from __future__ import annotations

__all__ = ["ACTIVATIONS", "ELEMENTWISE"]

ELEMENTWISE = ("identity", "tanh", "sigmoid", "relu", "leaky_relu", "softplus", "gelu", "silu")
"""Those that act on one number at a time."""

ACTIVATIONS = (*ELEMENTWISE, "softmax")
"""Simplest first: shrinking tries them in this order."""
