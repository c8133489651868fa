"""A hand-written backprop for networks with skip connections and convolutions, with switches for bugs of its own.

Loops and slices, nothing of bpcheck: the description is only read.
"""

from itertools import product

import numpy as np
from students import act, times_slope

BUGS = (
    "skip-dropped",  # x + f(x): only f's part of the error goes down
    "skip-doubled",  # the error goes down the connection twice
    "stride-ignored",  # the error is put back as if the kernel had moved by one
    "padding-not-cropped",  # the error's first columns, those of the padding, are handed down as the image's
    "kernel-flipped",  # the kernel is flipped for the error, as if the forward pass had been a true convolution
    "channels-mixed",  # the first input channel's gradient for all of them
    "bias-of-one-position",  # the bias gradient of the last position alone, not their sum
    "flatten-columns-first",  # the error is unflattened in another order than the image was flattened in
)


def windows(layer, shape):
    """Pairs (output position, slices of the padded input)."""
    kernel, stride, _ = layer.per_axis
    positions = layer.output_shape(shape)[1:]
    for place in product(*map(range, positions)):
        yield place, tuple(slice(p * s, p * s + k) for p, s, k in zip(place, stride, kernel, strict=True))


def padded(layer, x):
    return np.pad(x, [(0, 0), (0, 0), *((p, p) for p in layer.per_axis[2])])


def forward(layers, params, x, kept):
    for layer, own in zip(layers, params, strict=True):
        before = x
        if layer.kind == "skip":
            inside = []
            x = x + forward(layer.layers, own, x, inside)
            kept.append((layer, own, before, inside))
            continue
        if layer.kind == "flatten":
            x = z = x.reshape(len(x), -1)
        elif layer.kind == "dense":
            z = x @ own["weight"].T + own["bias"]
            x = act(layer.activation, z)
        else:
            wide = padded(layer, x)
            z = np.zeros((len(x), *layer.output_shape(x.shape[1:])))
            for place, window in windows(layer, x.shape[1:]):
                seen = wide[(slice(None), slice(None), *window)].reshape(len(x), -1)
                z[(slice(None), slice(None), *place)] = seen @ own["weight"].reshape(layer.channels, -1).T
            z += own["bias"].reshape(1, -1, *[1] * layer.axes)
            x = act(layer.activation, z)
        kept.append((layer, own, before, z))
    return x


def convolved_back(layer, own, x, delta, bug):
    wide = padded(layer, x)
    down = np.zeros_like(wide)
    weight = np.zeros_like(own["weight"])
    kernel = own["weight"]
    flipped = kernel[(slice(None), slice(None), *[slice(None, None, -1)] * layer.axes)]
    for place, window in windows(layer, x.shape[1:]):
        at = delta[(slice(None), slice(None), *place)]
        here = (slice(None), slice(None), *window)
        weight += np.tensordot(at, wide[here], axes=(0, 0))
        if bug == "stride-ignored":
            here = (
                slice(None),
                slice(None),
                *(slice(p, p + k) for p, k in zip(place, layer.per_axis[0], strict=True)),
            )
        down[here] += np.tensordot(at, flipped if bug == "kernel-flipped" else kernel, axes=1)
    if bug == "channels-mixed":
        weight = np.repeat(weight[:, :1], weight.shape[1], axis=1)
    inside = tuple(slice(p, p + n) for p, n in zip(layer.per_axis[2], x.shape[2:], strict=True))
    if bug == "padding-not-cropped":
        inside = tuple(slice(0, n) for n in x.shape[2:])
    bias = delta.sum(axis=(0, *range(2, delta.ndim)))
    if bug == "bias-of-one-position":
        bias = delta[(slice(None), slice(None), *[-1] * layer.axes)].sum(axis=0)
    return down[(slice(None), slice(None), *inside)], {"weight": weight, "bias": bias}


def backward(kept, delta, bug):
    gradients = []
    for layer, own, x, z in reversed(kept):
        if layer.kind == "skip":
            gradient, through = backward(z, delta, bug)
            delta = through + {"skip-dropped": 0, "skip-doubled": 2}.get(bug, 1) * delta
        elif layer.kind == "flatten":
            gradient = {}
            delta = delta.reshape(x.shape, order="F" if bug == "flatten-columns-first" else "C")
        elif layer.kind == "dense":
            delta = times_slope(layer.activation, z, delta)
            gradient = {"weight": delta.T @ x, "bias": delta.sum(axis=0)}
            delta = delta @ own["weight"]
        else:
            delta, gradient = convolved_back(layer, own, x, times_slope(layer.activation, z, delta), bug)
        gradients.append(gradient)
    return gradients[::-1], delta


def make_any(bug=None):
    """A backprop for any architecture with half_mse, mean over the batch."""

    def backprop(params, x, y, architecture):
        kept = []
        r = forward(architecture.layers, params, x, kept) - y
        gradient, _ = backward(kept, r / len(x), bug)
        return 0.5 * (r**2).sum() / len(x), gradient

    return backprop
