"""Hand-written backprops for the tests: one correct core with switches for classic student bugs.

Written on its own, with nothing of bpcheck, the way student code looks.
"""

import math

import numpy as np

SLOPE = 0.01


def act(name, z):
    if name == "identity":
        return z
    if name == "tanh":
        return np.tanh(z)
    if name == "sigmoid":
        return 1 / (1 + np.exp(-z))
    if name == "relu":
        return np.maximum(z, 0)
    if name == "leaky_relu":
        return np.where(z > 0, z, SLOPE * z)
    if name == "softplus":
        return np.logaddexp(0, z)
    if name == "silu":
        return z / (1 + np.exp(-z))
    if name == "gelu":
        from scipy.special import erf

        return 0.5 * z * (1 + erf(z / math.sqrt(2)))
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def times_slope(name, z, upstream):
    """upstream ⊙ σ'(z), or Jᵀ upstream for softmax."""
    if name == "softmax":
        p = act(name, z)
        return p * (upstream - (upstream * p).sum(axis=1, keepdims=True))
    s = 1 / (1 + np.exp(-z))
    slope = {
        "identity": lambda: np.ones_like(z),
        "tanh": lambda: 1 - np.tanh(z) ** 2,
        "sigmoid": lambda: s * (1 - s),
        "relu": lambda: (z > 0).astype(float),
        "leaky_relu": lambda: np.where(z > 0, 1.0, SLOPE),
        "softplus": lambda: s,
        "silu": lambda: s + z * s * (1 - s),
        "gelu": lambda: gelu_slope(z),
    }[name]()
    return upstream * slope


def gelu_slope(z):
    from scipy.special import erf

    return 0.5 * (1 + erf(z / math.sqrt(2))) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def loss_and_slope(loss, output, z, a, y):
    """Loss of each example and the gradient by a, in textbook form; by z for the fused pairs."""
    r = a - y
    if loss == "half_mse":
        return 0.5 * (r**2).sum(axis=1), r, False
    if loss == "mse":
        return (r**2).mean(axis=1), 2 * r / r.shape[1], False
    if loss == "huber":
        value = np.where(abs(r) <= 1, 0.5 * r**2, abs(r) - 0.5)
        return value.sum(axis=1), np.clip(r, -1, 1), False
    if loss == "binary_cross_entropy":
        p = a if output == "sigmoid" else 1 / (1 + np.exp(-z))
        if output == "sigmoid":
            value = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(axis=1)
        else:
            value = (np.logaddexp(0, z) - y * z).sum(axis=1)
        return value, p - y, True
    p = a if output == "softmax" else act("softmax", z)
    if output == "softmax":
        value = -(y * np.log(p)).sum(axis=1)
    else:
        value = (np.logaddexp.reduce(z, axis=1, keepdims=True) - z)[y == 1]
    return value, p - y, True


def make(bug=None, *, order=1):
    """A backprop for any architecture it is handed; ``order=-1`` adds up in another order."""

    def backprop(params, x, y, architecture):
        names = [layer.activation for layer in architecture.layers]
        loss_name, m = architecture.loss, len(x)
        a, zs = [x], []
        for name, layer in zip(names, params, strict=True):
            zs.append(a[-1][:, ::order] @ layer["weight"][:, ::order].T + layer["bias"])
            a.append(act(name, zs[-1]))
        values, delta, fused = loss_and_slope(loss_name, names[-1], zs[-1], a[-1], y)
        loss = values.mean() if architecture.reduction == "mean" else values.sum()
        if architecture.reduction == "mean" and bug != "sum-for-mean":
            delta = delta / m
        if not fused and bug != "output-derivative-missing":
            delta = times_slope(names[-1], zs[-1], delta)
        if bug == "sign-flipped":
            delta = -delta
        if bug == "output-derivative-twice" and fused:
            delta = times_slope("sigmoid" if "binary" in loss_name else "softmax", zs[-1], delta)
        grads = [None] * len(params)
        top = len(params) - 1
        for k in range(top, -1, -1):
            rows = delta[::order]
            weight = rows.T @ a[k][::order]
            bias = rows.sum(axis=0)
            if bug == "bias-not-summed":
                bias = delta[0].copy()
            if bug == "bias-mean-weight-sum":
                bias = delta.mean(axis=0)
            if bug == "bias-absent":
                bias = 0 * bias
            if bug == "last-sample-wins":
                weight = np.outer(delta[-1], a[k][-1])
            if bug == "pre-activation-for-activation" and k > 0:
                weight = delta.T @ zs[k - 1]
            if bug == "one-entry-wrong" and k == 0:
                weight[0, 0] *= 1 + 1e-6
            if bug == "outer-transposed" and weight.shape[0] == weight.shape[1]:
                weight = weight.T
            for regularised, values_, gradient in (
                (True, params[k]["weight"], weight),
                (architecture.penalize_bias, params[k]["bias"], bias),
            ):
                if regularised:
                    if bug != "penalty-missing":
                        gradient += architecture.l2 * values_
                        gradient += architecture.l1 * np.sign(values_)
                    loss += 0.5 * architecture.l2 * (values_**2).sum()
                    loss += architecture.l1 * abs(values_).sum()
            grads[k] = {"weight": weight, "bias": bias}
            if k > 0:
                W = params[k]["weight"]
                if bug == "weight-not-transposed" and W.shape[0] == W.shape[1]:
                    W = W.T
                down = delta @ W
                if bug == "derivative-of-activation":
                    delta = times_slope(names[k - 1], a[k], down)
                elif bug == "hidden-derivative-missing":
                    delta = down
                else:
                    delta = times_slope(names[k - 1], zs[k - 1], down)
        return loss, grads

    return backprop


BUGS = {
    "output-derivative-missing": "BP1",
    "output-derivative-twice": "BP1",
    "sign-flipped": "BP1",
    "sum-for-mean": "BP1",
    "hidden-derivative-missing": "BP2",
    "derivative-of-activation": "BP2",
    "weight-not-transposed": "BP2",
    "bias-not-summed": "BP3",
    "bias-mean-weight-sum": "BP3",
    "bias-absent": "BP3",
    "last-sample-wins": "BP4",
    "pre-activation-for-activation": "BP4",
    "outer-transposed": "BP4",
    "one-entry-wrong": "BP4",
    "penalty-missing": "penalty",
}
