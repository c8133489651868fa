"""Flattening of images."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from bpcheck.network.layers import Flatten
from bpcheck.network.layers.spec import Shape
from bpcheck.strategies.layers.limits import Limits

__all__ = ["flatten"]


def flatten(shape: Shape, limits: Limits) -> Any:
    """Strategy of the one layer that flattens inputs of ``shape``, None if they are flat."""
    return None if len(shape) == 1 else st.just(Flatten())
