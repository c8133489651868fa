"""Convolutions: fewer channels, smaller kernels and images; stride 1 and no padding where the code reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        """Kernels of one position, squares, and windows that always end at the edge."""
        layers = [cast(Convolution, place.layer) for place in places]
        if all(set(layer.per_axis[0]) == {1} for layer in layers):
            yield "every kernel has one position: one that is flipped, or lies a position beside, cannot be seen"
        if all(set(layer.per_axis[1]) == {1} and not any(layer.per_axis[2]) for layer in layers):
            yield "every convolution has stride 1 and no padding: a mistake with either cannot be seen"
        elif any(max(layer.per_axis[1]) > 1 for layer in layers) and all(map(_ends_at_the_edge, places)):
            yield (
                "the last window of every convolution ends at the edge: what becomes of numbers that no window reaches "
                "cannot be seen"
            )
        images = [place for place in places if len(place.shape) > 2]
        if images and all(map(_is_square, images)):
            yield "every image and kernel is square: height and width taken for one another cannot be seen"


def _but(values: tuple[int, ...], axis: int, value: int) -> tuple[int, ...]:
    return (*values[:axis], value, *values[axis + 1 :])


def _is_square(place: Place) -> bool:
    layer = cast(Convolution, place.layer)
    return all(len(set(sizes)) == 1 for sizes in (place.shape[1:], *layer.per_axis))


def _ends_at_the_edge(place: Place) -> bool:
    layer = cast(Convolution, place.layer)
    return all(
        (size + 2 * padding - kernel) % stride == 0
        for size, kernel, stride, padding in zip(place.shape[1:], *layer.per_axis, strict=True)
    )
