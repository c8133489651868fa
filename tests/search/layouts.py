"""Backprops in the layouts of well-known books and libraries, written by hand, with a switch for a bug.

Nothing of bpcheck is used: each is written the way its books write it.
"""

import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def nielsen(bug=None):
    """Column vectors, one example at a time, sigmoid everywhere, ½‖a − y‖²; (biases, weights) in and out."""

    def backprop(params, x, y):
        biases, weights = params
        activation, activations = x, [x]
        for b, w in zip(biases, weights, strict=True):
            activation = sigmoid(np.dot(w, activation) + b)
            activations.append(activation)
        slope = activations[-1] * (1 - activations[-1])
        delta = activations[-1] - y if bug == "output derivative" else (activations[-1] - y) * slope
        nabla_b, nabla_w = [None] * len(biases), [None] * len(weights)
        for layer in range(len(weights) - 1, -1, -1):
            nabla_b[layer] = delta
            nabla_w[layer] = np.dot(delta, activations[layer].T)
            if bug == "square transposed" and weights[layer].shape[0] == weights[layer].shape[1]:
                nabla_w[layer] = nabla_w[layer].T
            if layer:
                a = activations[layer]
                delta = np.dot(weights[layer].T, delta) * (1 if bug == "hidden derivative" else a * (1 - a))
        loss = 0.5 * float(np.sum((activations[-1] - y) ** 2))
        if bug == "factor":
            return loss, ([2 * b for b in nabla_b], [2 * w for w in nabla_w])
        return loss, (nabla_b, nabla_w)

    return backprop


def torch(bug=None):
    """[W1, b1, W2, b2, …], weights (out, in), relu, cross-entropy of class indices, mean."""

    def backprop(params, x, y):
        y = one_hot(y, len(params[-1]))
        weights, biases = params[0::2], params[1::2]
        a = forward(x, weights, biases, lambda a, w: a @ w.T)
        p = softmax(a[-1])
        loss = -np.mean(np.sum(y * np.log(p), axis=1))
        delta = (p - y) / (1 if bug == "batch" else len(x))
        gradient = []
        for k in range(len(weights) - 1, -1, -1):
            dw = delta.T @ a[k]
            if bug == "square transposed" and dw.shape[0] == dw.shape[1]:
                dw = dw.T
            gradient = [dw, delta[0] if bug == "bias not summed" else delta.sum(axis=0), *gradient]
            if k:
                delta = (delta @ weights[k]) * (1 if bug == "hidden derivative" else a[k] > 0)
        return loss, [2 * g for g in gradient] if bug == "factor" else gradient

    return backprop


def keras(bug=None):
    """[kernel, bias, kernel, bias, …], kernels (in, out), relu, cross-entropy of one-hot rows, mean."""

    def backprop(params, x, y):
        loss, weights, biases = rows(params[0::2], params[1::2], x, y, bug)
        return loss, [g for pair in zip(weights, biases, strict=True) for g in pair]

    return backprop


def cs231n(bug=None):
    """A dict W1, b1, …, weights (in, out), relu, softmax of class indices, mean; (loss, dict)."""

    def backprop(params, x, y):
        depth = len(params) // 2
        weights = [params[f"W{k}"] for k in range(1, depth + 1)]
        biases = [params[f"b{k}"] for k in range(1, depth + 1)]
        loss, dw, db = rows(weights, biases, x, one_hot(y, len(biases[-1])), bug)
        grads = {f"W{k}": w for k, w in enumerate(dw, 1)}
        grads.update({f"b{k}": b for k, b in enumerate(db, 1)})
        return loss, grads

    return backprop


def sklearn(bug=None, alpha=0.3):
    """(coefs, intercepts), coefs (in, out), relu, cross-entropy, mean with ½ alpha ‖W‖² / m."""

    def backprop(params, x, y):
        coefs, intercepts = params
        loss, dw, db = rows(coefs, intercepts, x, y, bug)
        loss += 0.5 * alpha * sum(np.sum(w**2) for w in coefs) / len(x)
        m = 1 if bug == "penalty" else len(x)
        dw = [d + alpha * w / m for d, w in zip(dw, coefs, strict=True)]
        return loss, (dw, db)

    return backprop


def one_hot(y, classes):
    """Class indices only: anything else is not what these functions are written for."""
    assert y.dtype.kind == "i"
    return np.eye(classes)[y]


def forward(x, weights, biases, product):
    a = [x]
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = product(a[-1], w) + b
        a.append(z if k == len(weights) - 1 else np.maximum(z, 0))
    return a


def rows(weights, biases, x, y, bug):
    a = forward(x, weights, biases, lambda a, w: a @ w)
    p = softmax(a[-1])
    loss = -np.mean(np.sum(y * np.log(p), axis=1))
    delta = (p - y) / (1 if bug == "batch" else len(x))
    dw, db = [], []
    for k in range(len(weights) - 1, -1, -1):
        g = a[k].T @ delta
        if bug == "square transposed" and g.shape[0] == g.shape[1]:
            g = g.T
        factor = 2 if bug == "factor" else 1
        dw.insert(0, factor * g)
        db.insert(0, factor * (delta[0] if bug == "bias not summed" else delta.sum(axis=0)))
        if k:
            delta = (delta @ weights[k].T) * (1 if bug == "hidden derivative" else a[k] > 0)
    return loss, dw, db


PRESETS = {"nielsen": nielsen, "torch": torch, "keras": keras, "cs231n": cs231n, "sklearn": sklearn}
BUGS = {
    "nielsen": ("output derivative", "hidden derivative", "square transposed", "factor"),
    "torch": ("batch", "hidden derivative", "bias not summed", "square transposed", "factor"),
    "keras": ("batch", "hidden derivative", "bias not summed", "square transposed", "factor"),
    "cs231n": ("batch", "hidden derivative", "bias not summed", "square transposed", "factor"),
    "sklearn": ("batch", "hidden derivative", "bias not summed", "square transposed", "factor", "penalty"),
}
