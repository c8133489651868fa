"""Convolution over one axis or two, with stride and zero padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from bpcheck.errors import ArchitectureError
from bpcheck.network.layers.activations import ELEMENTWISE
from bpcheck.network.layers.spec import WEIGHT_AND_BIAS, LayerSpec, Shape, check_choice, whole_number

__all__ = ["Conv1d", "Conv2d", "Convolution"]

PerAxis: TypeAlias = int | Sequence[int]
"""One number for all axes, or one for each."""


@dataclass(frozen=True)
class Convolution(LayerSpec):
    """What :class:`Conv1d` and :class:`Conv2d` share: the number of axes is all that tells them apart.

    z[o, p] = b[o] + Σ_c Σ_q W[o, c, q] x[c, stride·p + q − padding], a = σ(z), where x is 0 outside of its range.
    It is the cross-correlation that every framework calls convolution: the kernel is not flipped.

    Attributes
    ----------
    axes : int
        How many axes a kernel moves along.
    """

    channels: int
    kernel: PerAxis
    stride: PerAxis = 1
    padding: PerAxis = 0
    activation: str = "identity"

    axes: ClassVar[int]
    roles = WEIGHT_AND_BIAS

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "channels", whole_number("channels", self.channels, what="a layer needs channels")
        )
        for name, least, what in (
            ("kernel", 1, "the size of a kernel"),
            ("stride", 1, "the step from one position of the kernel to the next"),
            ("padding", 0, "the number of zeros put on each side"),
        ):
            object.__setattr__(self, name, self._per_axis(name, getattr(self, name), least, what))
        check_choice("activation", self.activation, ELEMENTWISE)

    def _per_axis(self, name: str, given: Any, least: int, what: str) -> tuple[int, ...]:
        values = [given] * self.axes if isinstance(given, int | np.integer) else given
        if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != self.axes:
            numbers = "one number" if self.axes == 1 else f"one number, or {self.axes}"
            raise ArchitectureError(f"{name} is {given!r}; give {numbers}: {what}.")
        return tuple(whole_number(name, value, least=least, what=what) for value in values)

    def output_shape(self, shape: Shape) -> Shape:
        """(channels, positions of the kernel along each axis)."""
        wanted = ("channels", "length") if self.axes == 1 else ("channels", "height", "width")
        if len(shape) != 1 + self.axes:
            raise ArchitectureError(
                f"{type(self).__name__} needs inputs of shape ({', '.join(wanted)}) for one example, given {shape}."
            )
        positions = []
        for size, kernel, stride, padding in zip(shape[1:], *self.per_axis, strict=True):
            if size + 2 * padding < kernel:
                raise ArchitectureError(
                    f"{self!r} does not fit an input of shape {shape}: the kernel is {kernel} long, the input with its "
                    f"padding {size + 2 * padding}. Make the kernel smaller or the padding larger."
                )
            positions.append((size + 2 * padding - kernel) // stride + 1)
        return (self.channels, *positions)

    def parameter_shapes(self, shape: Shape) -> Any:
        """Weight (channels, channels below, kernel …) and bias (channels,)."""
        self.output_shape(shape)
        return {"weight": (self.channels, shape[0], *self.per_axis[0]), "bias": (self.channels,)}

    @property
    def output_activation(self) -> str:
        """σ."""
        return self.activation

    @property
    def per_axis(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Kernel, stride and padding along each axis."""
        kernel, stride, padding = (tuple(getattr(self, name)) for name in ("kernel", "stride", "padding"))
        return kernel, stride, padding

    def __repr__(self) -> str:
        words = [repr(self.channels)]
        for name, least in (("kernel", None), ("stride", 1), ("padding", 0)):
            values = getattr(self, name)
            same = values[0] if len(set(values)) == 1 else values
            if same != least:
                words.append(f"{name}={same!r}" if words[1:] else repr(same))
        if self.activation != "identity":
            words.append(f"activation={self.activation!r}")
        return f"{type(self).__name__}({', '.join(words)})"


@dataclass(frozen=True, repr=False)
class Conv1d(Convolution):
    """Convolution over one axis: inputs (channels, length).

    Parameters
    ----------
    channels : int
        Of the output; weight has shape (channels, channels below, kernel), bias (channels,).
    kernel : int
    stride : int
        How far the kernel moves from one output to the next.
    padding : int
        Zeros on either side.
    activation : str
        One that acts on single numbers.

    Examples
    --------
    >>> Conv1d(4, 3, stride=2, padding=1).output_shape((2, 9))
    (4, 5)
    """

    kind = "conv1d"
    axes = 1


@dataclass(frozen=True, repr=False)
class Conv2d(Convolution):
    """Convolution over two axes: inputs (channels, height, width).

    Parameters
    ----------
    channels : int
        Of the output; weight has shape (channels, channels below, height, width of the kernel), bias (channels,).
    kernel : int or (int, int)
    stride : int or (int, int)
        How far the kernel moves from one output to the next.
    padding : int or (int, int)
        Zeros on either side.
    activation : str
        One that acts on single numbers.

    Examples
    --------
    >>> layer = Conv2d(4, 3, stride=2, padding=1)
    >>> layer.output_shape((2, 7, 6)), layer.parameter_shapes((2, 7, 6))
    ((4, 4, 3), {'weight': (4, 2, 3, 3), 'bias': (4,)})
    """

    kind = "conv2d"
    axes = 2
