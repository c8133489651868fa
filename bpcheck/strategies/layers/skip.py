"""Skip connections around two layers of the kind that the shape of their inputs asks for."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from bpcheck.network.layers import Dense, LayerSpec, Skip
from bpcheck.network.layers.spec import Shape
from bpcheck.strategies.layers.limits import CONVOLUTIONS, Limits

__all__ = ["skip"]


def skip(shape: Shape, limits: Limits) -> Any:
    """Strategy of skip connections for inputs of ``shape``: dense layers, or convolutions that keep an image's size."""

    def around(inner: int) -> LayerSpec:
        if len(shape) == 1:
            return Skip((Dense(inner, limits.activation), Dense(shape[0])))
        make = CONVOLUTIONS[len(shape)]
        return Skip((make(inner, 3, padding=1, activation=limits.elementwise), make(shape[0], 1)))

    return st.integers(1, limits.max_width if len(shape) == 1 else limits.max_channels).map(around)
