"""Dense layers below the output."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from bpcheck.network.layers import Dense
from bpcheck.network.layers.spec import Shape
from bpcheck.strategies.layers.limits import Limits

__all__ = ["dense"]


def dense(shape: Shape, limits: Limits) -> Any:
    """Strategy of dense layers for inputs of ``shape``, None if they take no such inputs."""
    if len(shape) != 1:
        return None
    return st.integers(1, limits.max_width).map(lambda units: Dense(units, limits.activation))
