"""Convolutions with any kernel that fits, strides and padding, unlike along the two axes of an image."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from bpcheck.network.layers.spec import Shape
from bpcheck.strategies.layers.limits import CONVOLUTIONS, Limits

__all__ = ["convolution"]

MAX_KERNEL, MAX_STRIDE, MAX_PADDING = 3, 3, 1
"""A kernel of three positions has a middle and two ends, a stride of three leaves numbers out where the kernel has two,
and one number of padding is enough to be cropped wrongly."""


@st.composite
def _convolutions(draw: Any, shape: Shape, limits: Limits) -> Any:
    padding = [draw(st.integers(0, MAX_PADDING)) for _ in shape[1:]]
    longest = [min(MAX_KERNEL, size + 2 * own) for size, own in zip(shape[1:], padding, strict=True)]
    return CONVOLUTIONS[len(shape)](
        draw(st.integers(1, limits.max_channels)),
        [draw(st.integers(1, most)) for most in longest],
        stride=[draw(st.integers(1, MAX_STRIDE)) for _ in longest],
        padding=padding,
        activation=limits.elementwise,
    )


def convolution(axes: int) -> Any:
    """What draws convolutions along so many axes: a strategy for inputs of a shape, None if they take no such inputs."""
    return lambda shape, limits: _convolutions(shape, limits) if len(shape) == 1 + axes else None
