"""Right code that looks wrong: written by hand in many styles, with nothing of bpcheck. None may be flagged.

Each style is a choice that real code makes and that a careless checker takes for a bug: a − y without σ', the
derivative from the output, one example after the other, sums in another order, any slope at a kink, float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["STYLES", "make"]

SLOPE = 0.01
"""Of leaky ReLU, as in bpcheck.mlp (and PyTorch)."""

STYLES = (
    "a batch at once",
    "one example after the other",
    "derivatives from the outputs",
    "sums reversed",
    "column vectors inside",
    "the gradient of softmax as a Jacobian",
    "1/m at the end",
    "relu' = 1 at 0",
    "float32",
)


def _sigmoid(z: Any) -> Any:
    return np.where(z >= 0, 1.0, np.exp(np.minimum(z, 0))) / (1.0 + np.exp(-abs(z)))


def _erf(z: Any) -> Any:
    from scipy.special import erf

    return erf(z / math.sqrt(2.0))


def activate(name: str, z: Any) -> Any:
    """σ(z)."""
    if name == "softmax":
        e = np.exp(z - z.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)
    return {
        "identity": lambda: z,
        "tanh": lambda: np.tanh(z),
        "sigmoid": lambda: _sigmoid(z),
        "relu": lambda: z * (z > 0),
        "leaky_relu": lambda: np.where(z > 0, z, SLOPE * z),
        "softplus": lambda: np.log1p(np.exp(-abs(z))) + np.maximum(z, 0),
        "silu": lambda: z * _sigmoid(z),
        "gelu": lambda: 0.5 * z * (1.0 + _erf(z)),
    }[name]()


def pull(name: str, z: Any, a: Any, up: Any, style: str) -> Any:
    """What comes down through an activation."""
    if name == "softmax":
        if style == "the gradient of softmax as a Jacobian":
            jacobian = np.array([np.diag(row) - np.outer(row, row) for row in a])
            return np.einsum("mij,mi->mj", jacobian, up)
        return a * (up - (up * a).sum(axis=-1, keepdims=True))
    from_outputs = style == "derivatives from the outputs"
    at_zero = 1.0 if style == "relu' = 1 at 0" else 0.0
    s = _sigmoid(z)
    slope = {
        "identity": lambda: np.ones_like(z),
        "tanh": lambda: 1.0 - a * a if from_outputs else 1.0 / np.cosh(z) ** 2,
        "sigmoid": lambda: a * (1.0 - a) if from_outputs else s * _sigmoid(-z),
        "relu": lambda: (
            np.where(a > 0, 1.0, at_zero) if from_outputs else np.where(z > 0, 1.0, at_zero * (z == 0))
        ),
        "leaky_relu": lambda: np.where((a if from_outputs else z) > 0, 1.0, SLOPE),
        "softplus": lambda: -np.expm1(-a) if from_outputs else s,
        "silu": lambda: s + a * (1.0 - s),
        "gelu": lambda: 0.5 * (1.0 + _erf(z)) + z * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi),
    }[name]()
    return up * slope


def cost(loss: str, output: str, z: Any, a: Any, y: Any) -> tuple[Any, Any, bool]:
    """Loss of each example; its gradient, by z (True) where the activation is part of it."""
    r = a - y
    if loss == "half_mse":
        return 0.5 * (r * r).sum(axis=-1), r, False
    if loss == "mse":
        return (r * r).mean(axis=-1), 2.0 * r / r.shape[-1], False
    if loss == "huber":
        return np.where(abs(r) <= 1.0, 0.5 * r * r, abs(r) - 0.5).sum(axis=-1), np.clip(r, -1.0, 1.0), False
    if loss == "binary_cross_entropy":
        return (np.logaddexp(0.0, z) - y * z).sum(axis=-1), _sigmoid(z) - y, True
    log_p = z - np.logaddexp.reduce(z, axis=-1, keepdims=True)
    return -(y * log_p).sum(axis=-1), np.exp(log_p) * y.sum(axis=-1, keepdims=True) - y, True


def _each(function: Callable[..., Any], *trees: Any) -> list[dict[str, Any]]:
    """Array by array, over lists of dicts."""
    return [
        {k: function(*(layer[k] for layer in same)) for k in same[0]} for same in zip(*trees, strict=True)
    ]


def _penalised(loss: Any, grads: Any, params: Any, architecture: Any) -> tuple[Any, Any]:
    l1, l2 = (params[0]["weight"].dtype.type(factor) for factor in (architecture.l1, architecture.l2))
    for layer, total in zip(params, grads, strict=True):
        for k, value in layer.items():
            if (l1 or l2) and (k == "weight" or architecture.penalize_bias):
                loss = loss + l1 * abs(value).sum() + l2 * (value * value).sum() / 2
                total[k] = total[k] + l1 * np.sign(value) + l2 * value
    return loss, grads


def make(style: str) -> Callable[..., Any]:
    """A right backprop in a style: ``backprop(params, x, y, architecture) -> (loss, gradient)``."""

    def at_once(params: Any, x: Any, y: Any, architecture: Any) -> tuple[Any, Any]:
        names = [layer.activation for layer in architecture.layers]
        order = slice(None, None, -1) if style == "sums reversed" else slice(None)
        a, z = [x], []
        for name, layer in zip(names, params, strict=True):
            if style == "column vectors inside":
                z.append((layer["weight"] @ a[-1].T + layer["bias"][:, None]).T)
            else:
                z.append(a[-1][:, order] @ layer["weight"][:, order].T + layer["bias"])
            a.append(activate(name, z[-1]))
        values, delta, through = cost(architecture.loss, names[-1], z[-1], a[-1], y)
        mean, one = architecture.reduction == "mean", x.dtype.type(1)
        m = x.dtype.type(len(x)) if mean else one
        early, late = (one, m) if style == "1/m at the end" else (m, one)
        delta = delta / early
        if not through:
            delta = pull(names[-1], z[-1], a[-1], delta, style)
        grads: list[Any] = [None] * len(params)
        for k in range(len(params) - 1, -1, -1):
            rows, below = delta[order], a[k][order]
            weight, bias = np.einsum("mi,mj->ij", rows, below), rows.sum(axis=0)
            grads[k] = {"weight": weight / late, "bias": bias / late}
            if k:
                delta = pull(names[k - 1], z[k - 1], a[k], delta @ params[k]["weight"], style)
        return (values.mean() if mean else values.sum()), grads

    def backprop(params: Any, x: Any, y: Any, architecture: Any) -> tuple[Any, Any]:
        if style == "float32":
            params, x, y = (
                _each(lambda v: v.astype(np.float32), params),
                x.astype(np.float32),
                y.astype(np.float32),
            )
        if style == "one example after the other":
            examples = zip(x, y, strict=True)
            losses, parts = zip(
                *(at_once(params, row[None], target[None], architecture) for row, target in examples),
                strict=True,
            )
            m = len(x) if architecture.reduction == "mean" else 1
            loss, grads = sum(losses) / m, _each(lambda *own: sum(own) / m, *parts)
        else:
            loss, grads = at_once(params, x, y, architecture)
        loss, grads = _penalised(loss, grads, params, architecture)
        return x.dtype.type(loss), _each(lambda v: np.asarray(v, x.dtype), grads)

    backprop.__name__ = "".join(c if c.isalnum() else "_" for c in style)
    return backprop
