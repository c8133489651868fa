"""Convolutions: fewer channels, smaller kernels and images; stride 1 and no padding where the code reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from bpcheck.network.layers import LayerSpec
from bpcheck.network.layers.convolution import Convolution
from bpcheck.network.names import Place
from bpcheck.search.cases.layers.moves import Index, Moves, first, overlap

__all__ = ["ConvolutionMoves"]


class ConvolutionMoves(Moves):
    """Of :class:`bpcheck.layers.Conv1d` and :class:`bpcheck.layers.Conv2d`."""

    def sizes(self, layer: LayerSpec) -> tuple[int, ...]:
        """Channels, and the kernel along each axis."""
        layer = cast(Convolution, layer)
        return (layer.channels, *layer.per_axis[0])

    def resized(self, layer: LayerSpec, sizes: Sequence[int]) -> LayerSpec:
        """As many channels, and such a kernel."""
        return replace(cast(Convolution, layer), channels=sizes[0], kernel=tuple(sizes[1:]))

    def plainer(self, layer: LayerSpec) -> Iterator[LayerSpec]:
        """Stride 1, no padding, and a kernel and its padding smaller together, along all axes and along each."""
        layer = cast(Convolution, layer)
        kernel, stride, padding = layer.per_axis
        once = (1,) * layer.axes
        yield replace(layer, kernel=once, stride=once, padding=(0,) * layer.axes)
        yield replace(layer, stride=once)
        yield replace(layer, padding=(0,) * layer.axes)
        for axis in range(layer.axes):
            yield replace(layer, stride=_but(stride, axis, 1))
            yield replace(layer, stride=_but(stride, axis, max(1, stride[axis] - 1)))
            yield replace(layer, padding=_but(padding, axis, 0))
            yield replace(layer, padding=_but(padding, axis, max(0, padding[axis] - 1)))
            if kernel[axis] > 2 and padding[axis]:  # as many positions as before
                smaller = _but(kernel, axis, kernel[axis] - 2)
                yield replace(layer, kernel=smaller, padding=_but(padding, axis, padding[axis] - 1))

    def positions(
        self, place: Place, layer: LayerSpec, kept: Index
    ) -> tuple[dict[str, tuple[Index, ...]], Index]:
        """The first channels and the first corner of the kernel, for the input channels that stay."""
        was, layer = cast(Convolution, place.layer), cast(Convolution, layer)
        channels = first(layer.channels, was.channels)
        # a channel stays if any of its numbers does; where an image was cut, that is its first corner
        corner = kept.reshape(len(kept), -1).max(axis=1)
        below = np.where(corner < 0, -1, corner // int(np.prod(place.shape[1:])))
        kernel = tuple(first(new, old) for new, old in zip(layer.per_axis[0], was.per_axis[0], strict=True))
        out = overlap(layer.output_shape(kept.shape), was.output_shape(place.shape))
        return {"weight": (channels, below, *kernel), "bias": (channels,)}, out

    def hidden_by(self, places: Sequence[Place]) -> Iterator[str]:
        """What kernels of one position, squares, and windows that always end at the edge hide."""
        return (text for text, hides in HIDES if hides(places))


def _but(values: tuple[int, ...], axis: int, value: int) -> tuple[int, ...]:
    return (*values[:axis], value, *values[axis + 1 :])


def _all(places: Sequence[Place], which: int) -> set[int]:
    """All kernels (0), strides (1) or paddings (2)."""
    return {size for place in places for size in cast(Convolution, place.layer).per_axis[which]}


def _are_square(places: Sequence[Place]) -> bool:
    images = [place for place in places if len(place.shape) > 2]
    return bool(images) and all(
        len(set(sizes)) == 1
        for place in images
        for sizes in (place.shape[1:], *cast(Convolution, place.layer).per_axis)
    )


def _end_at_the_edge(places: Sequence[Place]) -> bool:
    left_over = [
        (size + 2 * padding - kernel) % stride
        for place in places
        for size, kernel, stride, padding in zip(
            place.shape[1:], *cast(Convolution, place.layer).per_axis, strict=True
        )
    ]
    return _all(places, 1) != {1} and not any(left_over)


def _are_apart(places: Sequence[Place]) -> bool:
    """Whether no number lies under a kernel at two of its places, though kernels have more than one."""
    axes = [
        (kernel, stride)
        for place in places
        for kernel, stride, _ in zip(*cast(Convolution, place.layer).per_axis, strict=True)
    ]
    return all(kernel <= stride for kernel, stride in axes) and any(kernel > 1 for kernel, _ in axes)


HIDES: tuple[tuple[str, Callable[[Sequence[Place]], bool]], ...] = (
    (
        "every kernel has one position: one that is flipped, or lies a position beside, cannot be seen",
        lambda places: _all(places, 0) == {1},
    ),
    (
        "every convolution has stride 1: a mistake with the stride cannot be seen",
        lambda places: _all(places, 1) == {1},
    ),
    (
        "no convolution has padding: a mistake with the padding cannot be seen",
        lambda places: _all(places, 2) == {0},
    ),
    (
        "no two windows of a convolution overlap: a sum over windows left out on the way down cannot be seen",
        _are_apart,
    ),
    (
        "the last window of every convolution ends at the edge: what becomes of numbers that no window reaches cannot be "
        "seen",
        _end_at_the_edge,
    ),
    (
        "every image and kernel is square: height and width taken for one another cannot be seen",
        _are_square,
    ),
)
"""Sentences, and when they are true of all convolutions that there are."""
