"""Correct backprops of networks with convolutions, written in three ways that share no sum; for certified_bound.py."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bpcheck import Architecture, Case
from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten

NETWORKS = {
    "images, stride and padding": Architecture(
        (2, 7, 6),
        (Conv2d(3, 3, padding=1, activation="tanh"), Conv2d(2, 2, stride=2, activation="silu"), Flatten(), Dense(3)),
    ),
    "overlap with a stride": Architecture(
        (1, 8, 8), (Conv2d(2, 3, stride=2, activation="relu"), Flatten(), Dense(3, "softmax")), "cross_entropy"
    ),
    "a long line, 300 places": Architecture(
        (1, 302), (Conv1d(2, 3, activation="sigmoid"), Flatten(), Dense(2)), "huber"
    ),
    "a wide kernel, 200 terms": Architecture(
        (50, 12), (Conv1d(2, 4, padding=1, activation="tanh"), Conv1d(2, 3), Flatten(), Dense(2)), reduction="sum"
    ),
}  # fmt: skip


def draw(rng, network, batch):
    """A case with random parameters of all digits."""
    params = [
        {name: rng.standard_normal(shape) / math.sqrt(math.prod(shape[1:])) for name, shape in shapes.items()}
        for shapes in network.parameter_shapes
    ]
    y = rng.standard_normal((batch, network.outputs))
    if network.loss == "cross_entropy":
        y = np.eye(y.shape[1])[rng.integers(y.shape[1], size=batch)]
    return Case(network, params, rng.standard_normal((batch, *network.input_shape)), y)


# --- three ways to write a convolution: z, the gradient of the kernel, the error below -----------


def _windows(x, spec):
    """(m, c, *places, *kernel)."""
    kernel, stride, padding = spec.per_axis
    padded = np.pad(x, [(0, 0), (0, 0), *((n, n) for n in padding)])
    seen = sliding_window_view(padded, kernel, tuple(range(2, x.ndim)))
    return seen[(..., *(slice(None, None, s) for s in stride), *[slice(None)] * spec.axes)]


def _scattered(shape, spec, parts, dtype):
    """The sum of what every place hands to the numbers under the kernel; ``parts(place)`` is (m, c, *kernel)."""
    kernel, stride, padding = spec.per_axis
    total = np.zeros((*shape[:2], *(n + 2 * p for n, p in zip(shape[2:], padding, strict=True))), dtype)
    for place in np.ndindex(*spec.output_shape(shape[1:])[1:]):
        under = (slice(s * p, s * p + k) for s, p, k in zip(stride, place, kernel, strict=True))
        total[(..., *under)] += parts(place)
    return total[(..., *(slice(p, p + n) for p, n in zip(padding, shape[2:], strict=True)))]


class Loops:
    """Term after term, place after place."""

    def forward(self, weight, x, spec):
        seen, z = _windows(x, spec), 0
        for c, *q in np.ndindex(weight.shape[1:]):
            z = z + np.multiply.outer(seen[(slice(None), c, ..., *q)], weight[(slice(None), c, *q)])
        return np.moveaxis(z, -1, 1)

    def gradient(self, delta, x, spec):
        seen, total = _windows(x, spec), 0
        for i, *place in np.ndindex(delta.shape[0], *delta.shape[2:]):
            total = total + np.multiply.outer(delta[(i, slice(None), *place)], seen[(i, slice(None), *place)])
        return total

    def below(self, weight, delta, spec, shape):
        def parts(place):
            return sum(
                np.multiply.outer(delta[(slice(None), o, *place)], weight[o]) for o in range(len(weight))
            )

        return _scattered(shape, spec, parts, delta.dtype)


class Im2col:
    """Windows as the rows of one matrix, products of matrices, and rows added to pixels."""

    def _rows(self, x, spec):
        seen = np.moveaxis(_windows(x, spec), 1, 1 + spec.axes)
        return seen.reshape(math.prod(seen.shape[: 1 + spec.axes]), -1), seen.shape[: 1 + spec.axes]

    def forward(self, weight, x, spec):
        rows, places = self._rows(x, spec)
        return np.moveaxis((rows @ weight.reshape(len(weight), -1).T).reshape(*places, -1), -1, 1)

    def gradient(self, delta, x, spec):
        rows, _ = self._rows(x, spec)
        by_place = np.moveaxis(delta, 1, -1).reshape(len(rows), -1)
        return (by_place.T @ rows).reshape(delta.shape[1], x.shape[1], *spec.per_axis[0])

    def below(self, weight, delta, spec, shape):
        windows = np.moveaxis(delta, 1, -1) @ weight.reshape(len(weight), -1)
        windows = windows.reshape(*windows.shape[:-1], *weight.shape[1:])
        return _scattered(shape, spec, lambda place: windows[(slice(None), *place)], delta.dtype)


class Einsum:
    """One contraction each; the error below is gathered, by a convolution with the kernel in reverse."""

    def forward(self, weight, x, spec):
        q = "uv"[: spec.axes]
        return np.einsum(f"mc...{q},oc{q}->mo...", _windows(x, spec), weight)

    def gradient(self, delta, x, spec):
        p, q = "xy"[: spec.axes], "uv"[: spec.axes]
        return np.einsum(f"mo{p},mc{p}{q}->oc{q}", delta, _windows(x, spec))

    def below(self, weight, delta, spec, shape):
        kernel, stride, padding = spec.per_axis
        sizes = [n + 2 * p + k - 1 for n, p, k in zip(shape[2:], padding, kernel, strict=True)]
        spread = np.zeros((*delta.shape[:2], *sizes), delta.dtype)
        axes = zip(kernel, stride, delta.shape[2:], strict=True)
        spread[(..., *(slice(k - 1, k + s * (n - 1), s) for k, s, n in axes))] = delta
        seen = sliding_window_view(spread, kernel, tuple(range(2, spread.ndim)))
        turned = weight[(..., *[slice(None, None, -1)] * spec.axes)]
        q = "uv"[: spec.axes]
        whole = np.einsum(f"mo...{q},oc{q}->mc...", seen, turned)
        return whole[(..., *(slice(p, p + n) for p, n in zip(padding, shape[2:], strict=True)))]


STYLES = {"loops": Loops(), "im2col": Im2col(), "einsum": Einsum()}


def backprop(case, dtype, name, activate, output_error):
    """The gradient, in ``dtype`` throughout; the two functions are the dense code's, in its textbook form for loops."""
    style, network = STYLES[name], case.architecture
    a = np.asarray(case.x, dtype)
    y, record = np.asarray(case.y, dtype), []
    for spec, own in zip(network.layers, case.params, strict=True):
        below, slope = a, None
        weight, bias = (np.asarray(own[key], dtype) for key in ("weight", "bias")) if own else (None, None)
        if isinstance(spec, Flatten):
            a = a.reshape(len(a), -1)
        elif isinstance(spec, Dense):
            a, slope = activate(spec.activation, a @ weight.T + bias)
        else:
            z = style.forward(weight, a, spec) + bias.reshape(-1, *[1] * spec.axes)
            a, slope = activate(spec.activation, z)
        record.append((spec, weight, below, slope))
    delta = output_error(network, a, slope, y)
    if network.reduction == "mean":
        delta = delta / dtype(len(y))
    gradients = []
    for number, (spec, weight, below, slope) in reversed(list(enumerate(record))):
        if number < len(record) - 1 and slope is not None:
            delta = delta * slope
        if isinstance(spec, Flatten):
            gradient, delta = {}, delta.reshape(below.shape)
        elif isinstance(spec, Dense):
            gradient, delta = {"weight": delta.T @ below, "bias": delta.sum(axis=0)}, delta @ weight
        else:
            bias = delta.sum(axis=(0, *range(2, delta.ndim)))
            gradient = {"weight": style.gradient(delta, below, spec), "bias": bias}
            delta = style.below(weight, delta, spec, below.shape)
        gradients.insert(0, gradient)
    return gradients
