"""Convolutions: z[o, p] = b[o] + Σ_c Σ_q W[o, c, q] x[c, stride·p + q − padding].

In reverse the windows of all positions are the rows of a matrix, so that the convolution is a dense layer that every
window goes through; a pixel's derivative is the sum over the windows that it lies in. Forward it is the sum as it is
written above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.certified.layers.affine import AffineLayer, affine
from bpcheck.certified.layers.layer import Pullback
from bpcheck.certified.units import Units
from bpcheck.network.layers.convolution import Convolution
from bpcheck.network.layers.spec import Shape
from bpcheck.tree import Path

__all__ = ["ConvolutionLayer"]


@dataclass(frozen=True)
class ConvolutionLayer(AffineLayer):
    """A convolution over any number of axes, for inputs of ``shape``."""

    spec: Convolution
    shape: Shape

    def reverse(self, params: Any, a: Any, units: Units, path: Path) -> tuple[Any, Pullback]:
        """Windows to rows, products of matrices, and rows to pixels."""
        numbers, examples = units.numbers, a.nrows()
        seen = _pixels_of_windows(self.spec, self.shape)
        channels, *positions = self.spec.output_shape(self.shape)
        by_window = examples, math.prod(positions), channels
        z, below_z = affine(params, _windows(a, seen, numbers), numbers)
        z = _matrix(numbers, _entries(z).reshape(by_window).swapaxes(1, 2), rows=examples)
        out, below_out = units.activate(self.spec.activation, z, path, (channels, *positions))

        def back(g: Any, below: bool) -> tuple[Any, Any]:
            delta = _entries(below_out(g)).reshape(examples, channels, -1).swapaxes(1, 2)
            gradient, inside = below_z(_matrix(numbers, delta, rows=examples * by_window[1]), below)
            return gradient, _pixels(inside, seen, numbers, math.prod(self.shape)) if below else None

        return out, back

    def part(self, params: Any, x: Any, unit: int) -> Any:
        """Z of one channel, entry by entry from the definition; outside of its range x is 0."""
        weight, (_, stride, padding) = params["weight"][unit], self.spec.per_axis
        z = np.empty(self.spec.output_shape(self.shape)[1:], dtype=object)
        for p in np.ndindex(z.shape):
            z[p] = params["bias"][unit]
            for c, *q in np.ndindex(weight.shape):
                place = [s * i + k - n for s, i, k, n in zip(stride, p, q, padding, strict=True)]
                if all(0 <= i < size for i, size in zip(place, self.shape[1:], strict=True)):
                    z[p] = z[p] + weight[(c, *q)] * x[(c, *place)]
        return z


def _pixels_of_windows(spec: Convolution, shape: Shape) -> Any:
    """Which pixel of an example in one row each place of each window shows, (windows, places).

    The pixel after the last one stands for the zeros of the padding.
    """
    kernel, stride, padding = spec.per_axis
    pixels = np.arange(math.prod(shape)).reshape(shape)
    padded = np.pad(pixels, [(0, 0), *((n, n) for n in padding)], constant_values=pixels.size)
    axes = tuple(range(1, padded.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axes)
    windows = windows[(slice(None), *(slice(None, None, s) for s in stride))]
    by_position = np.moveaxis(windows, 0, len(kernel))
    return by_position.reshape(math.prod(by_position.shape[: len(kernel)]), -1)


def _windows(a: Any, seen: Any, numbers: Any) -> Any:
    """A row for every window of every example."""
    pixels = _entries(a).reshape(a.nrows(), -1)
    with_border = np.concatenate([pixels, np.zeros((len(pixels), 1), dtype=int)], axis=1)
    return _matrix(numbers, with_border[:, seen], rows=a.nrows() * len(seen))


def _pixels(windows: Any, seen: Any, numbers: Any, count: int) -> Any:
    """A row for every example: at each pixel the sum over the windows' places that show it."""
    entries = _entries(windows).reshape(-1, *seen.shape)
    pixels = np.zeros((len(entries), count + 1), dtype=object)
    for place, pixel in np.ndenumerate(seen):
        pixels[:, pixel] += entries[(slice(None), *place)]
    return _matrix(numbers, pixels[:, :count], rows=len(entries))


def _entries(matrix: Any) -> Any:
    """The entries of a matrix, row by row, as an object array."""
    entries = matrix.entries()
    found = np.empty(len(entries), dtype=object)
    found[:] = entries
    return found


def _matrix(numbers: Any, array: Any, *, rows: int) -> Any:
    entries = array.ravel().tolist()
    return numbers.matrix(rows, len(entries) // rows, entries)
