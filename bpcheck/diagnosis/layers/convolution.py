"""The steps of convolutions, over one axis or two, and the bugs of each.

z[o, p] = b[o] + Σ_c Σ_q W[o, c, q] x[c, s p + q − padding]. Arrays are (m, channels, places), where an example has one
axis of places or two; what the kernel saw is (m, channels, places, kernel).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from bpcheck.diagnosis.bug import Family
from bpcheck.diagnosis.step import Equation, Kind, Layer, Run, Step
from bpcheck.network.layers.convolution import Convolution
from bpcheck.network.layers.spec import Role
from bpcheck.reference.layers.convolution import bias_gradient, error_below, kernel_gradient, laid_out
from bpcheck.reference.numbers.verbs import padded, windows
from bpcheck.tree import FloatArray

__all__ = ["BUGS", "CONVOLUTION", "ERROR", "KERNEL_GRADIENT", "PLACES_SUMMED", "SENT_DOWN"]

DELTA = Equation(
    "convolution error",
    "error of a convolution: δ[o, p] = ∂C/∂a[o, p] ⊙ σ'(z[o, p])",
    "δ is ∂C/∂z at every place p of every channel o; ∂C/∂a comes down from the layer above",
    "what comes down to the convolution, and its error δ,",
)
BIAS = Equation(
    "convolution bias",
    "bias gradient of a convolution: ∂C/∂b[o] = Σ δ[o, p] over the batch and all places p",
    "the bias of a channel is added at every place, so its gradient is the sum of the errors at all of them",
    "the bias gradient of the convolution",
)
KERNEL = Equation(
    "kernel gradient",
    "kernel gradient: ∂C/∂W[o, c, q] = Σ δ[o, p] x[c, s·p + q − padding] over the batch and all places p",
    "an entry of the kernel multiplies one number of x at every place p, so all places add to its gradient",
    "the kernel gradient",
)
BELOW = Equation(
    "error below a convolution",
    "error sent down: ∂C/∂x[c, i] = Σ δ[o, p] W[o, c, i + padding − s·p] over all o, and all p whose kernel covers i",
    "a number of x lies under the kernel at several places, so the errors of all of them come down to it",
    "the error that the convolution sends down",
)


def _sent_through(layer: Layer, weight: FloatArray, delta: FloatArray) -> Any:
    return error_below(weight, delta, _spec(layer), layer.x.shape)


def _spec(layer: Layer) -> Convolution:
    assert isinstance(layer.spec, Convolution)
    return layer.spec


ERROR = Step(
    "convolution", "convolution error", DELTA, lambda run, layer, error: error * layer.saved.derivative
)
"""``(run, layer, ∂C/∂a) -> δ``."""

KERNEL_GRADIENT = Step(
    "convolution",
    "kernel gradient",
    KERNEL,
    lambda run, layer, delta: kernel_gradient(delta, layer.saved.seen),
)
"""``(run, layer, δ) -> ∂C/∂W``."""

PLACES_SUMMED = Step("convolution", "bias gradient", BIAS, lambda run, layer, delta: bias_gradient(delta))
"""``(run, layer, δ) -> ∂C/∂b``."""

SENT_DOWN = Step(
    "convolution",
    "error sent down",
    BELOW,
    lambda run, layer, delta: _sent_through(layer, layer.params["weight"], delta),
    where="on the way down from {layer} only",
)
"""``(run, layer, δ) -> ∂C/∂x``."""


def _pullback(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    delta = run.keep(layer, run.step(ERROR, layer, error))
    run.gradient[layer.place("weight")] = run.step(KERNEL_GRADIENT, layer, delta)
    run.gradient[layer.place("bias")] = run.step(PLACES_SUMMED, layer, delta)
    return run.step(SENT_DOWN, layer, delta) if layer.sends_down else delta


_GRADIENTS: dict[Role, Equation] = {"weight": KERNEL, "bias": BIAS}
_NOUNS: dict[Role, str] = {"weight": "kernels", "bias": "biases"}

CONVOLUTION = Kind(
    "",
    _pullback,
    (ERROR, KERNEL_GRADIENT, PLACES_SUMMED, SENT_DOWN),
    DELTA,
    MappingProxyType(_GRADIENTS),
    MappingProxyType(_NOUNS),
)


# --- the mistakes -----------------------------------------------------------------------------------------------


def _flipped(kernel: Any) -> Any:
    """A kernel, or the gradient of one, in reverse along all axes of places."""
    return np.flip(kernel, tuple(range(2, kernel.ndim)))


def _one_place(index: int) -> Callable[[Run, Layer, FloatArray], Any]:
    def rule(run: Run, layer: Layer, delta: FloatArray) -> Any:
        place: Any = (..., *[index] * _spec(layer).axes)
        return delta[place].sum(axis=0)

    return rule


def _next_to_one_another(run: Run, layer: Layer, delta: FloatArray) -> Any:
    """Windows at distance 1, as many as there are places."""
    seen = laid_out(layer.x, replace(_spec(layer), stride=1))
    places = tuple(slice(0, count) for count in delta.shape[2:])
    return kernel_gradient(delta, seen[(slice(None), slice(None), *places)])


def _padded_behind(run: Run, layer: Layer, delta: FloatArray) -> Any:
    """All zeros behind the numbers, none before them."""
    kernel, stride, padding = _spec(layer).per_axis
    behind = padded(layer.x, [(0, 0), (0, 0), *((0, 2 * width) for width in padding)])
    return kernel_gradient(delta, windows(behind, kernel, stride, first=2))


def _last_place(run: Run, layer: Layer, delta: FloatArray) -> Any:
    last: Any = (slice(None), slice(None), *[slice(-1, None)] * _spec(layer).axes)
    return kernel_gradient(delta[last], layer.saved.seen[last])


Put: TypeAlias = Callable[[FloatArray, Any, FloatArray, int], None]
"""``put(numbers, positions, values, axes)``: ``positions`` is (*places, *kernel), with so many axes each."""


def _added(numbers: FloatArray, positions: Any, values: FloatArray, axes: int) -> None:
    where: Any = (slice(None), slice(None), positions)
    np.add.at(numbers, where, values)


def _place_after_place(numbers: FloatArray, positions: Any, values: FloatArray, axes: int) -> None:
    numbers[:, :, positions] = values  # of several values for one position the last one stays


def _entry_after_entry(numbers: FloatArray, positions: Any, values: FloatArray, axes: int) -> None:
    places, kernel = tuple(range(-2 * axes, -axes)), tuple(range(-axes, 0))
    numbers[:, :, np.moveaxis(positions, kernel, places)] = np.moveaxis(values, kernel, places)


def _scattered(
    layer: Layer, delta: FloatArray, *, put: Put = _added, stride: Any = None, padding: Any = None
) -> Any:
    """δ through the kernel, put down into x with its padding, which is then cropped.

    The stride may be another than the layer's own, and so may what is cropped in front.
    """
    kernel, own_stride, own_padding = _spec(layer).per_axis
    sizes, axes = layer.x.shape[2:], len(kernel)
    around = [size + 2 * width for size, width in zip(sizes, own_padding, strict=True)]
    positions = windows(np.arange(np.prod(around)).reshape(around), kernel, stride or own_stride, first=0)
    reached = positions[tuple(slice(0, count) for count in delta.shape[2:])]
    through = np.tensordot(delta, layer.params["weight"], axes=(1, 0))  # (m, places, c, kernel)
    numbers = np.zeros((*layer.x.shape[:2], np.prod(around)), dtype=delta.dtype)
    put(numbers, reached, np.moveaxis(through, 1 + axes, 1), axes)
    crop: Any = (..., *(slice(pad, pad + n) for pad, n in zip(padding or own_padding, sizes, strict=True)))
    return numbers.reshape(*layer.x.shape[:2], *around)[crop]


def _channels_not_swapped(run: Run, layer: Layer, delta: FloatArray) -> Any:
    weight = np.swapaxes(layer.params["weight"], 0, 1)
    if weight.shape != layer.params["weight"].shape:
        raise ValueError("shapes do not fit: as many channels above as below are needed")
    return _sent_through(layer, weight, delta)


ERRORS = Family(
    ERROR,
    "Kernel and biases of the convolution are wrong, everything above it is right.",
    "The error δ of the convolution",
)
KERNELS = Family(
    KERNEL_GRADIENT,
    "The kernel's gradient is wrong, the biases of the same convolution are right.",
    "The kernel gradient",
)
BIASES = Family(
    PLACES_SUMMED,
    "The biases of the convolution are wrong, its kernel's gradient is right.",
    "The bias gradient of the convolution",
)
DOWN = Family(
    SENT_DOWN,
    "The convolution's own gradients are right, the layers below it are wrong.",
    "The error that the convolution sends down",
)

FIRST = "no layer with parameters below the convolution"
PLACES = "over what does the sum run besides the batch?"
COVERED = "which places p have entry i of x under their kernel, and at which entry of it?"
SUM = "Sum δ over the batch and all axes of places: delta.sum(axis=(0, 2, 3)), (0, 2) for one axis."
ADD = "Add up: dx[window] += …, for windows that overlap share numbers of x."

BUGS = (
    ERRORS.bug(
        "conv-derivative-missing",
        "σ' forgotten in a convolution",
        "the error of a convolution is what comes down from above: the factor σ'(z) is left out.",
        "what does the activation do to the error that comes down?",
        "Multiply the error that comes down by σ'(z), entry by entry, before it is used.",
        lambda run, layer, error: error,
        silent="no convolution, identity activation",
    ),
    BIASES.bug(
        "conv-bias-not-summed",
        "the bias of a convolution sees one place",
        "the bias gradient is summed over the batch and not over places: only the first place's δ is used.",
        PLACES,
        SUM,
        _one_place(0),
        silent="no convolution, one place",
        confused=("conv-bias-last-place",),
    ),
    BIASES.bug(
        "conv-bias-last-place",
        "the bias of a convolution sees the last place",
        "only the last place's δ is used for the bias: a loop over places assigns where it should add.",
        PLACES,
        SUM,
        _one_place(-1),
        silent="no convolution, one place",
        confused=("conv-bias-not-summed",),
    ),
    BIASES.bug(
        "conv-bias-averaged",
        "the bias of a convolution averaged over places",
        "the bias gradient is divided by the number of places.",
        PLACES,
        "The bias is added at every place, once: sum over places, without dividing.",
        lambda run, layer, delta: bias_gradient(delta) / np.prod(delta.shape[2:]),
        silent="no convolution, one place",
    ),
    KERNELS.bug(
        "kernel-gradient-flipped",
        "the kernel's gradient flipped",
        "the kernel's gradient is flipped along all axes of the kernel.",
        "which entry of x does entry q of the kernel multiply at place p?",
        "∂C/∂W[o, c, q] takes x[c, s·p + q − padding]: do not flip, for the forward pass does not flip.",
        lambda run, layer, delta: _flipped(KERNEL_GRADIENT.right(run, layer, delta)),
        silent="no convolution, a kernel of size 1",
    ),
    KERNELS.bug(
        "kernel-gradient-stride",
        "the stride forgotten in the kernel's gradient",
        "the windows that the kernel's gradient is made of lie next to one another: the stride is left out.",
        "how far are the windows of two neighbouring places from one another?",
        "Place p saw the window that begins at s·p: step by the stride here too.",
        _next_to_one_another,
        silent="no convolution, stride 1, one place",
    ),
    KERNELS.bug(
        "kernel-gradient-padding",
        "the padding on one side in the kernel's gradient",
        "x is padded behind only for the kernel's gradient: each window begins too far on by the padding.",
        "where does the window of place 0 begin?",
        "Use the same padded x as in the forward pass: zeros on both sides.",
        _padded_behind,
        silent="no convolution, padding 0",
    ),
    KERNELS.bug(
        "kernel-last-place",
        "only the last place counts for the kernel",
        "only the last place of each example counts for the kernel: a loop assigns where it should add.",
        PLACES,
        "Add up over places: dW += …, not dW = ….",
        _last_place,
        silent="no convolution, one place",
    ),
    DOWN.bug(
        "kernel-not-flipped",
        "the kernel not flipped on the way down",
        "the error was sent down through the kernel as it is: seen from below it stands the other way round.",
        COVERED,
        "Going down, entry q of the kernel takes δ from place p to i = s·p + q − padding: flip the kernel, or scatter.",
        lambda run, layer, delta: _sent_through(layer, _flipped(layer.params["weight"]), delta),
        silent=f"{FIRST}, a kernel of size 1 or one that is its own mirror image",
    ),
    DOWN.bug(
        "kernel-channels-not-swapped",
        "the kernel's channels not swapped on the way down",
        "the error was sent down through W[o, c] for W[c, o]: the channels of both sides were taken for one another.",
        "over which channels does the sum run on the way down?",
        "∂C/∂x[c] needs Σ_o W[o, c] δ[o]: the sum runs over the first index of W.",
        _channels_not_swapped,
        silent=f"{FIRST}; raises unless there are as many channels above as below; one channel",
    ),
    DOWN.bug(
        "stride-not-dilated",
        "the stride forgotten on the way down",
        "the error was sent down as if the stride were 1: place p went to x at p instead of at s·p.",
        COVERED,
        "Place p belongs to the window of x that begins at s·p − padding: step by the stride, or put s − 1 zeros between "
        "the entries of δ.",
        lambda run, layer, delta: _scattered(layer, delta, stride=[1] * _spec(layer).axes),
        silent=f"{FIRST}, stride 1, one place",
    ),
    DOWN.bug(
        "padding-not-cropped",
        "the padding not cropped on the way down",
        "the error was sent down into x with its padding, and cut off behind only: all entries lie too far on.",
        COVERED,
        "Cut the padding off on both sides: dx = padded[..., p:p + n].",
        lambda run, layer, delta: _scattered(layer, delta, padding=[0] * _spec(layer).axes),
        silent=f"{FIRST}, padding 0",
    ),
    DOWN.bug(
        "overlap-assigned",
        "windows that overlap overwrite one another",
        "on the way down each window overwrites what others have put there: where several overlap, the last one counts.",
        COVERED,
        ADD,
        lambda run, layer, delta: _scattered(layer, delta, put=_place_after_place),
        silent=f"{FIRST}, a stride as large as the kernel",
        confused=("overlap-fancy-index",),
    ),
    DOWN.bug(
        "overlap-fancy-index",
        "+= through repeated indices",
        "on the way down dx[indices] += … keeps one of the errors for a number of x under several windows.",
        COVERED,
        "Use np.add.at(dx, indices, …): += through repeated indices keeps the last one only.",
        lambda run, layer, delta: _scattered(layer, delta, put=_entry_after_entry),
        silent=f"{FIRST}, a stride as large as the kernel",
        confused=("overlap-assigned",),
    ),
    DOWN.bug(
        "conv-error-not-propagated",
        "no error below a convolution",
        "the convolution sends nothing down: the layers below it get a gradient of zero.",
        "is ∂C/∂x computed, and handed to the layer below?",
        "Return ∂C/∂x from the convolution's backward pass, and use it below.",
        lambda run, layer, delta: np.zeros(layer.x.shape, dtype=delta.dtype),
        silent=FIRST,
        confused=("skip-inner-dropped",),
    ),
)
