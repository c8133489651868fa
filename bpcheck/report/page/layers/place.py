"""One place of a kernel in numbers: what lies under it, what it is multiplied by, and what that adds up to.

Nothing here is the reference's: the sums are written out from the definition, so that what a reader adds up is checked
against the numbers that stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.network.layers.convolution import Convolution
from bpcheck.report.page.replayed import Layer

__all__ = ["Focus", "focus", "indices", "largest", "reached", "seen_by_kernel", "spec_of"]


@dataclass(frozen=True)
class Focus:
    """What is shown in numbers."""

    o: int  # map above
    c: int  # map below
    tap: tuple[int, ...]  # place within the kernel
    place: tuple[int, ...]  # of the kernel, in the map above

    @property
    def entry(self) -> tuple[int, ...]:
        """Of the weights."""
        return (self.o, self.c, *self.tap)


def spec_of(layer: Layer) -> Convolution:
    """The layer's spec as a convolution."""
    assert isinstance(layer.spec, Convolution)
    return layer.spec


def focus(layer: Layer) -> Focus:
    """The worst wrong entry of the kernel, and the place of the kernel that adds most to its gradient.

    Where no entry is wrong, the middle of the first kernel of the map whose bias is wrong, or whose δ is largest.
    """
    o, c, *tap = entry = _entry(layer)
    shown = np.nan_to_num(_shares(layer, entry))
    place = np.unravel_index(int(np.argmax(shown)), shown.shape)
    return Focus(o, c, tuple(tap), tuple(map(int, place)))


def largest(layer: Layer, example: int) -> tuple[int, ...]:
    """Map and place below that the largest ∂C/∂x comes down to."""
    below = np.nan_to_num(abs(layer.below.right[example]))
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(below)), below.shape))


def _entry(layer: Layer) -> tuple[int, ...]:
    comparison = layer.comparisons.get("weight")
    if comparison is not None and layer.wrong_gradient("weight").any():
        return tuple(map(int, comparison.in_our_layout.worst_index))
    wrong = layer.wrong_gradient("bias")
    sizes = abs(np.nan_to_num(layer.delta.right)).sum(axis=(0, *range(2, layer.z.ndim)))
    o = int(np.argmax(wrong)) if wrong.any() else int(np.argmax(sizes))
    return (o, 0, *(size // 2 for size in layer.params["weight"].shape[2:]))


def _shares(layer: Layer, entry: tuple[int, ...]) -> Any:
    """What each place adds to the gradient of an entry, added up in size over the examples."""
    o, c, *tap = entry
    delta = layer.delta.right[:, o]
    return sum(abs(one * seen_by_kernel(layer, m)[(c, ..., *tap)]) for m, one in enumerate(delta))


def seen_by_kernel(layer: Layer, example: int) -> Any:
    """The numbers under the kernel for every map below, every place and every entry of the kernel; padding is zero."""
    kernel, stride, padding = spec_of(layer).per_axis
    padded = np.pad(layer.x[example], [(0, 0), *((width, width) for width in padding)])
    every = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=tuple(range(1, padded.ndim)))
    return every[(slice(None), *(slice(None, None, step) for step in stride))]


def indices(layer: Layer, place: tuple[int, ...]) -> list[range]:
    """Which entries of a map below lie under the kernel, along each axis; outside of the map is padding."""
    starts = [
        s * p - pad for p, (s, pad) in zip(place, zip(*spec_of(layer).per_axis[1:], strict=True), strict=True)
    ]
    return [range(start, start + k) for start, k in zip(starts, spec_of(layer).per_axis[0], strict=True)]


def reached(layer: Layer, at: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """All places of the kernel that cover entry ``at`` of a map below, each with the tap that meets it."""
    for place in np.ndindex(*layer.z.shape[2:]):
        tap = tuple(i - one.start for i, one in zip(at, indices(layer, place), strict=True))
        if all(0 <= q < k for q, k in zip(tap, spec_of(layer).per_axis[0], strict=True)):
            yield place, tap
