"""Two backprops as students write them: one right, one with the commonest mistake of all.

Both are for tanh hidden layers, softmax and cross-entropy, averaged over the batch. They use NumPy
alone and nothing of bpcheck.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["careful_backprop", "hasty_backprop"]


def careful_backprop(params: Any, x: Any, y: Any) -> Any:
    """Loss and gradient, as they should be."""
    activations, a = [x], x
    for layer in params[:-1]:
        a = np.tanh(a @ layer["weight"].T + layer["bias"])
        activations.append(a)
    logits = a @ params[-1]["weight"].T + params[-1]["bias"]
    logits = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.sum(y * np.log(p)) / len(x)

    delta = (p - y) / len(x)
    gradients: list[Any] = []
    for layer, a in zip(reversed(params), reversed(activations), strict=True):
        gradients.append({"weight": delta.T @ a, "bias": delta.sum(axis=0)})
        delta = (delta @ layer["weight"]) * (1 - a**2)
    return loss, gradients[::-1]


def hasty_backprop(params: Any, x: Any, y: Any) -> Any:
    """The same with a factor forgotten: find it before bpcheck does."""
    activations, a = [x], x
    for layer in params[:-1]:
        a = np.tanh(a @ layer["weight"].T + layer["bias"])
        activations.append(a)
    logits = a @ params[-1]["weight"].T + params[-1]["bias"]
    logits = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.sum(y * np.log(p)) / len(x)

    delta = (p - y) / len(x)
    gradients: list[Any] = []
    for layer, a in zip(reversed(params), reversed(activations), strict=True):
        gradients.append({"weight": delta.T @ a, "bias": delta.sum(axis=0)})
        delta = delta @ layer["weight"]
    return loss, gradients[::-1]
