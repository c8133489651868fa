"""The steps of convolutions, over one axis or two, and the bugs of each.

z[o, p] = b[o] + Σ_c Σ_q W[o, c, q] x[c, s p + q − padding]. Arrays are (m, channels, places), where an example has one
axis of places or two; what the kernel saw is (m, channels, places, kernel).
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from bpcheck.diagnosis.bug import Bug, Hints
from bpcheck.diagnosis.step import Equation, Kind, Layer, Rules, Run, Step
from bpcheck.network.layers.convolution import Convolution
from bpcheck.network.layers.spec import Role
from bpcheck.reference.layers.convolution import bias_gradient, error_below, kernel_gradient
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


def _error(run: Run, layer: Layer, error: FloatArray) -> Any:
    return error * layer.saved.derivative


def _kernel_gradient(run: Run, layer: Layer, delta: FloatArray) -> Any:
    return kernel_gradient(delta, layer.saved.seen)


def _bias_gradient(run: Run, layer: Layer, delta: FloatArray) -> Any:
    return bias_gradient(delta)


def _sent_down(run: Run, layer: Layer, delta: FloatArray) -> Any:
    return error_below(layer.params["weight"], delta, _spec(layer), layer.saved.shape)


ERROR = Step("convolution", "convolution error", DELTA, _error)
"""``(run, layer, ∂C/∂a) -> δ``."""

KERNEL_GRADIENT = Step("convolution", "kernel gradient", KERNEL, _kernel_gradient)
"""``(run, layer, δ) -> ∂C/∂W``."""

PLACES_SUMMED = Step("convolution", "bias gradient", BIAS, _bias_gradient)
"""``(run, layer, δ) -> ∂C/∂b``."""

SENT_DOWN = Step(
    "convolution", "error sent down", BELOW, _sent_down, where="on the way down from {layer} only"
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


def _spec(layer: Layer) -> Convolution:
    assert isinstance(layer.spec, Convolution)
    return layer.spec


def _axes(layer: Layer) -> tuple[int, ...]:
    """The axes of a kernel that move over places."""
    return tuple(range(2, layer.params["weight"].ndim))


# --- the mistakes -----------------------------------------------------------------------------------------------


def _derivative_missing(run: Run, layer: Layer, error: FloatArray) -> FloatArray:
    return error


def _one_place(index: int) -> Callable[[Run, Layer, FloatArray], FloatArray]:
    def rule(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
        place: Any = (slice(None), slice(None), *[index] * _spec(layer).axes)
        return np.asarray(delta[place].sum(axis=0))

    return rule


def _averaged(run: Run, layer: Layer, delta: FloatArray) -> Any:
    return bias_gradient(delta) / np.prod(delta.shape[2:])


def _gradient_flipped(run: Run, layer: Layer, delta: FloatArray) -> Any:
    return np.flip(kernel_gradient(delta, layer.saved.seen), _axes(layer))


def _next_to_one_another(run: Run, layer: Layer, delta: FloatArray) -> Any:
    """Windows at distance 1, as many as there are places."""
    spec = _spec(layer)
    seen = _seen(layer, tuple([1] * spec.axes), spec.per_axis[2])
    places = tuple(slice(0, count) for count in delta.shape[2:])
    return kernel_gradient(delta, seen[(slice(None), slice(None), *places)])


def _padded_behind(run: Run, layer: Layer, delta: FloatArray) -> Any:
    """All zeros behind the numbers, none before them."""
    spec = _spec(layer)
    seen = _seen(layer, spec.per_axis[1], spec.per_axis[2], before=False)
    return kernel_gradient(delta, seen)


def _last_place(run: Run, layer: Layer, delta: FloatArray) -> Any:
    last: Any = (slice(None), slice(None), *[slice(-1, None)] * _spec(layer).axes)
    return kernel_gradient(delta[last], layer.saved.seen[last])


def _seen(layer: Layer, stride: tuple[int, ...], padding: tuple[int, ...], *, before: bool = True) -> Any:
    """What a kernel with another stride, or another padding, would have seen."""
    spec = _spec(layer)
    around = [(width, width) if before else (0, 2 * width) for width in padding]
    return windows(padded(layer.x, [(0, 0), (0, 0), *around]), spec.per_axis[0], stride, first=2)


def _around(layer: Layer) -> tuple[int, ...]:
    """Shape of x with its padding."""
    examples, channels, *sizes = layer.saved.shape
    padding = _spec(layer).per_axis[2]
    return (examples, channels, *(size + 2 * pad for size, pad in zip(sizes, padding, strict=True)))


def _window(layer: Layer, place: tuple[int, ...], stride: tuple[int, ...]) -> Any:
    """What the kernel covers at one place."""
    kernel = _spec(layer).per_axis[0]
    starts = [p * s for p, s in zip(place, stride, strict=True)]
    return (
        slice(None),
        slice(None),
        *(slice(start, start + k) for start, k in zip(starts, kernel, strict=True)),
    )


def _cropped(layer: Layer, padding: tuple[int, ...]) -> Any:
    sizes = layer.saved.shape[2:]
    return (..., *(slice(pad, pad + size) for pad, size in zip(padding, sizes, strict=True)))


def _scattered(
    layer: Layer, delta: FloatArray, *, stride: tuple[int, ...] | None = None, assigned: str = ""
) -> FloatArray:
    """δ through the kernel, put down place after place into x with its padding, as loops over windows do.

    Parameters
    ----------
    stride : tuple of int, optional
        Another than the layer's own.
    assigned : {"", "places", "kernel"}
        What is put down replaces what was there, in a loop over places or over the entries of the kernel.
    """
    spec, weight = _spec(layer), layer.params["weight"]
    steps = spec.per_axis[1] if stride is None else stride
    whole = np.zeros(_around(layer), dtype=delta.dtype)
    through = np.tensordot(delta, weight, axes=(1, 0))  # (m, places, c, kernel)
    through = np.moveaxis(through, 1 + spec.axes, 1)
    places, kernel = delta.shape[2:], spec.per_axis[0]
    if assigned == "kernel":
        for entry in np.ndindex(*kernel):
            covered = tuple(
                slice(q, q + s * (n - 1) + 1, s) for q, s, n in zip(entry, steps, places, strict=True)
            )
            whole[(slice(None), slice(None), *covered)] = through[(..., *entry)]
        return whole
    for place in np.ndindex(*places):
        window, down = _window(layer, place, steps), through[(slice(None), slice(None), *place)]
        whole[window] = down if assigned else whole[window] + down
    return whole


def _not_flipped(run: Run, layer: Layer, delta: FloatArray) -> Any:
    weight = np.flip(layer.params["weight"], _axes(layer))
    return error_below(weight, delta, _spec(layer), layer.saved.shape)


def _channels_not_swapped(run: Run, layer: Layer, delta: FloatArray) -> Any:
    weight = np.swapaxes(layer.params["weight"], 0, 1)
    if weight.shape != layer.params["weight"].shape:
        raise ValueError("shapes do not fit: as many channels above as below are needed")
    return error_below(weight, delta, _spec(layer), layer.saved.shape)


def _not_dilated(run: Run, layer: Layer, delta: FloatArray) -> Any:
    whole = _scattered(layer, delta, stride=tuple([1] * _spec(layer).axes))
    return whole[_cropped(layer, _spec(layer).per_axis[2])]


def _not_cropped(run: Run, layer: Layer, delta: FloatArray) -> Any:
    return _scattered(layer, delta)[_cropped(layer, tuple([0] * _spec(layer).axes))]


def _assigned(by: str) -> Callable[[Run, Layer, FloatArray], FloatArray]:
    def rule(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
        return np.asarray(_scattered(layer, delta, assigned=by)[_cropped(layer, _spec(layer).per_axis[2])])

    return rule


def _nothing(run: Run, layer: Layer, delta: FloatArray) -> FloatArray:
    return np.zeros(layer.saved.shape, dtype=delta.dtype)


SEEN = {
    ERROR: (
        "Kernel and biases of the convolution are wrong, everything above it is right.",
        "The error δ of the convolution",
    ),
    KERNEL_GRADIENT: (
        "The kernel's gradient is wrong, the biases of the same convolution are right.",
        "The kernel gradient",
    ),
    PLACES_SUMMED: (
        "The biases of the convolution are wrong, its kernel's gradient is right.",
        "The bias gradient of the convolution",
    ),
    SENT_DOWN: (
        "The convolution's own gradients are right, the layers below it are wrong.",
        "The error that the convolution sends down",
    ),
}
"""What is seen, and which equation to read again."""


def _bug(
    slug: str,
    title: str,
    explanation: str,
    question: str,
    line: str,
    step: Step,
    rule: Callable[..., Any],
    silent: str,
    confused: tuple[str, ...] = (),
) -> Bug:
    assert step.equation is not None
    symptom, equation = SEEN[step]
    hints = Hints(symptom, f"{equation}: {question}", line)
    rules = Rules().but(step, rule)
    return Bug(slug, title, step.equation.name, explanation, hints, rules, silent=silent, confused=confused)


FIRST = "no layer with parameters below the convolution"
PLACES = "over what does the sum run besides the batch?"
COVERED = "which places p have entry i of x under their kernel, and at which entry of it?"
SUM = "Sum δ over the batch and all axes of places: delta.sum(axis=(0, 2, 3)), (0, 2) for one axis."
ADD = "Add up: dx[window] += …, for windows that overlap share numbers of x."

BUGS = (
    _bug(
        "conv-derivative-missing",
        "σ' forgotten in a convolution",
        "the error of a convolution is what comes down from above: the factor σ'(z) is left out.",
        "what does the activation do to the error that comes down?",
        "Multiply the error that comes down by σ'(z), entry by entry, before it is used.",
        ERROR,
        _derivative_missing,
        "no convolution, identity activation",
    ),
    _bug(
        "conv-bias-not-summed",
        "the bias of a convolution sees one place",
        "the bias gradient is summed over the batch and not over places: only the first place's δ is used.",
        PLACES,
        SUM,
        PLACES_SUMMED,
        _one_place(0),
        "no convolution, one place",
        ("conv-bias-last-place",),
    ),
    _bug(
        "conv-bias-last-place",
        "the bias of a convolution sees the last place",
        "only the last place's δ is used for the bias: a loop over places assigns where it should add.",
        PLACES,
        SUM,
        PLACES_SUMMED,
        _one_place(-1),
        "no convolution, one place",
        ("conv-bias-not-summed",),
    ),
    _bug(
        "conv-bias-averaged",
        "the bias of a convolution averaged over places",
        "the bias gradient is divided by the number of places.",
        PLACES,
        "The bias is added at every place, once: sum over places, without dividing.",
        PLACES_SUMMED,
        _averaged,
        "no convolution, one place",
    ),
    _bug(
        "kernel-gradient-flipped",
        "the kernel's gradient flipped",
        "the kernel's gradient is flipped along all axes of the kernel.",
        "which entry of x does entry q of the kernel multiply at place p?",
        "∂C/∂W[o, c, q] takes x[c, s·p + q − padding]: do not flip, for the forward pass does not flip.",
        KERNEL_GRADIENT,
        _gradient_flipped,
        "no convolution, a kernel of size 1",
    ),
    _bug(
        "kernel-gradient-stride",
        "the stride forgotten in the kernel's gradient",
        "the windows that the kernel's gradient is made of lie next to one another: the stride is left out.",
        "how far are the windows of two neighbouring places from one another?",
        "Place p saw the window that begins at s·p: step by the stride here too.",
        KERNEL_GRADIENT,
        _next_to_one_another,
        "no convolution, stride 1, one place",
    ),
    _bug(
        "kernel-gradient-padding",
        "the padding on one side in the kernel's gradient",
        "x is padded behind only for the kernel's gradient: each window begins too far on by the padding.",
        "where does the window of place 0 begin?",
        "Use the same padded x as in the forward pass: zeros on both sides.",
        KERNEL_GRADIENT,
        _padded_behind,
        "no convolution, padding 0",
    ),
    _bug(
        "kernel-last-place",
        "only the last place counts for the kernel",
        "only the last place of each example counts for the kernel: a loop assigns where it should add.",
        PLACES,
        "Add up over places: dW += …, not dW = ….",
        KERNEL_GRADIENT,
        _last_place,
        "no convolution, one place",
    ),
    _bug(
        "kernel-not-flipped",
        "the kernel not flipped on the way down",
        "the error was sent down through the kernel as it is: seen from below it stands the other way round.",
        COVERED,
        "Going down, entry q of the kernel takes δ from place p to i = s·p + q − padding: flip the kernel, or scatter.",
        SENT_DOWN,
        _not_flipped,
        f"{FIRST}, a kernel of size 1 or one that is its own mirror image",
    ),
    _bug(
        "kernel-channels-not-swapped",
        "the kernel's channels not swapped on the way down",
        "the error was sent down through W[o, c] for W[c, o]: the channels of both sides were taken for one another.",
        "over which channels does the sum run on the way down?",
        "∂C/∂x[c] needs Σ_o W[o, c] δ[o]: the sum runs over the first index of W.",
        SENT_DOWN,
        _channels_not_swapped,
        f"{FIRST}; raises unless there are as many channels above as below; one channel",
    ),
    _bug(
        "stride-not-dilated",
        "the stride forgotten on the way down",
        "the error was sent down as if the stride were 1: place p went to x at p instead of at s·p.",
        COVERED,
        "Place p belongs to the window of x that begins at s·p − padding: step by the stride, or put s − 1 zeros between "
        "the entries of δ.",
        SENT_DOWN,
        _not_dilated,
        f"{FIRST}, stride 1, one place",
    ),
    _bug(
        "padding-not-cropped",
        "the padding not cropped on the way down",
        "the error was sent down into x with its padding, and cut off behind only: all entries lie too far on.",
        COVERED,
        "Cut the padding off on both sides: dx = padded[..., p:p + n].",
        SENT_DOWN,
        _not_cropped,
        f"{FIRST}, padding 0",
    ),
    _bug(
        "overlap-assigned",
        "windows that overlap overwrite one another",
        "on the way down each window overwrites what others have put there: where several overlap, the last one counts.",
        COVERED,
        ADD,
        SENT_DOWN,
        _assigned("places"),
        f"{FIRST}, a stride as large as the kernel",
        ("overlap-fancy-index",),
    ),
    _bug(
        "overlap-fancy-index",
        "+= through repeated indices",
        "on the way down dx[indices] += … keeps one of the errors for a number of x under several windows.",
        COVERED,
        "Use np.add.at(dx, indices, …): += through repeated indices keeps the last one only.",
        SENT_DOWN,
        _assigned("kernel"),
        f"{FIRST}, a stride as large as the kernel",
        ("overlap-assigned",),
    ),
    _bug(
        "conv-error-not-propagated",
        "no error below a convolution",
        "the convolution sends nothing down: the layers below it get a gradient of zero.",
        "is ∂C/∂x computed, and handed to the layer below?",
        "Return ∂C/∂x from the convolution's backward pass, and use it below.",
        SENT_DOWN,
        _nothing,
        FIRST,
        ("skip-inner-dropped",),
    ),
)
