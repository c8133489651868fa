"""Families of networks: plain, deep, saturated, with kinks, badly scaled, recurrent, convolutional, attention.

Every gradient is written by hand. In float64 and float32 it uses the textbook forms (1 − a²) that
students write; in long double the forms that do not cancel.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from benchmarks.calibration.elementary import exp, log, log1p_exp, positive, relu, sigmoid, sqrt, tanh
from benchmarks.calibration.problem import AT_A_KINK, EXACT, Drawn, Family

__all__ = ["HELD_OUT", "TUNING"]

BATCH = 3

BOTH = ("float64", "float32")


# --- activations and losses -------------------------------------------------------------------------


def _activate(name: str, z: Any) -> Any:
    return {"tanh": tanh, "sigmoid": sigmoid, "relu": relu, "softplus": log1p_exp}[name](z)


def _slope(name: str, z: Any, a: Any, at_kink: float = 0.0) -> Any:
    """σ'(z)."""
    if name == "relu":
        return np.where(z == 0, z * 0 + at_kink, positive(z) * (z * 0 + 1))
    if name == "softplus":
        return sigmoid(z)
    if z.dtype != EXACT:
        return 1 - a * a if name == "tanh" else a * (1 - a)
    small = exp(-abs(2 * z if name == "tanh" else z))
    return (4 if name == "tanh" else 1) * small / (1 + small) ** 2


def _row_max(z: Any) -> Any:
    """Largest real part of each row: a constant that only guards against overflow."""
    return np.array([[max(v.real for v in row)] for row in z], dtype=object if z.dtype == object else None)


def _cross_entropy(z: Any, y: Any) -> Any:
    top = _row_max(z)
    return (log(exp(z - top).sum(axis=1)) + top[:, 0] - (y * z).sum(axis=1)).sum() / len(z)


def _softmax(z: Any) -> Any:
    e = exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _one_hot(rng: np.random.Generator, rows: int, classes: int) -> Any:
    return np.eye(classes)[rng.integers(classes, size=rows)]


# --- multilayer perceptrons --------------------------------------------------------------------------


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron with a linear or softmax output.

    ``scales`` multiplies each layer's stored parameters: w = θ/s. ``at_kink`` is σ'(0) for ReLU.
    ``stored``: parameters, activations and backward signals are kept in bfloat16.
    """

    activation: str = "tanh"
    cross_entropy: bool = False
    offset: float = 0.0
    scales: tuple[float, ...] = ()
    at_kink: float = 0.0
    stored: bool = False

    def keep(self, z: Any) -> Any:
        """What is left of z when it has been written to memory."""
        if not (self.stored and z.dtype == np.float32):
            return z
        return z.astype(ml_dtypes.bfloat16).astype(np.float32)

    def _layers(self, params: Any) -> list[tuple[Any, Any]]:
        scales = self.scales or (1.0,) * (2 * len(params))
        return [
            (self.keep(p["weight"] / scales[2 * k]), self.keep(p["bias"] / scales[2 * k + 1]))
            for k, p in enumerate(params)
        ]

    def _forward(self, params: Any, x: Any) -> tuple[list[Any], list[Any]]:
        zs, activations = [], [x]
        layers = self._layers(params)
        for number, (weight, bias) in enumerate(layers):
            z = self.keep(activations[-1] @ weight.T + bias)
            zs.append(z)
            activations.append(self.keep(_activate(self.activation, z)) if number < len(layers) - 1 else z)
        return zs, activations

    def loss(self, params: Any, x: Any, y: Any) -> Any:
        """Mean over the batch."""
        z = self._forward(params, x)[0][-1]
        value = _cross_entropy(z, y) if self.cross_entropy else ((z - y) ** 2).sum() / (2 * len(x))
        return value + self.offset

    def gradient(self, params: Any, x: Any, y: Any) -> Any:
        """Backpropagation."""
        zs, activations = self._forward(params, x)
        layers, found = self._layers(params), []
        delta = ((_softmax(zs[-1]) if self.cross_entropy else zs[-1]) - y) / len(x)
        scales = self.scales or (1.0,) * (2 * len(params))
        for k in reversed(range(len(layers))):
            delta = self.keep(delta)
            found.append(
                {
                    "weight": delta.T @ activations[k] / scales[2 * k],
                    "bias": delta.sum(axis=0) / scales[2 * k + 1],
                }
            )
            if k:
                delta = (
                    delta @ layers[k][0] * _slope(self.activation, zs[k - 1], activations[k], self.at_kink)
                )
        return found[::-1]


def _mlp(
    rng: np.random.Generator, widths: list[int], network: MLP, spread: float = 1.0
) -> tuple[Any, Any, Any]:
    params = [
        {
            "weight": spread * rng.standard_normal((n_out, n_in)) * math.sqrt(1.0 / n_in),
            "bias": 0.5 * rng.standard_normal(n_out),
        }
        for n_in, n_out in itertools.pairwise(widths)
    ]
    x = rng.standard_normal((BATCH, widths[0]))
    y = (
        _one_hot(rng, BATCH, widths[-1])
        if network.cross_entropy
        else rng.standard_normal((BATCH, widths[-1]))
    )
    return params, x, y


def _drawn(network: MLP, params: Any, x: Any, y: Any, **more: Any) -> Drawn:
    return Drawn(params, (x, y), network.loss, network.gradient, **more)


def small(rng: np.random.Generator, precision: str) -> Drawn:
    network = MLP(rng.choice(["tanh", "sigmoid", "softplus"]))
    return _drawn(network, *_mlp(rng, [1, 2, 1], network))


def medium(rng: np.random.Generator, precision: str) -> Drawn:
    network = MLP(rng.choice(["tanh", "sigmoid", "softplus"]), cross_entropy=bool(rng.integers(2)))
    return _drawn(network, *_mlp(rng, [2, 2, 2, 2], network))


def large(rng: np.random.Generator, precision: str) -> Drawn:
    network = MLP(rng.choice(["tanh", "sigmoid", "softplus"]), cross_entropy=bool(rng.integers(2)))
    return _drawn(network, *_mlp(rng, [16, 32, 10], network))


def deep(rng: np.random.Generator, precision: str) -> Drawn:
    network = MLP("tanh")
    return _drawn(network, *_mlp(rng, [1, 2, 1, 1, 2, 1, 1, 1], network, spread=1.5))


def saturated(rng: np.random.Generator, precision: str) -> Drawn:
    network = MLP("sigmoid")
    params, x, y = _mlp(rng, [2, 3, 1], network)
    far = rng.choice([-1.0, 1.0], 3) * rng.uniform(8.0, 22.0, 3)
    params[0]["bias"] = np.where(rng.random(3) < 0.7, far, params[0]["bias"])
    return _drawn(network, params, x, y)


def relu_network(rng: np.random.Generator, precision: str) -> Drawn:
    network = MLP("relu")
    return _drawn(network, *_mlp(rng, [2, 3, 1], network))


@dataclass(frozen=True)
class PlantedKink:
    """A ReLU network in which one unit's z is exactly ``distance`` for one example.

    Numbers are multiples of a power of two that leaves products and sums exact: z is the distance in every
    precision.
    """

    distance: float

    def __call__(self, rng: np.random.Generator, precision: str) -> Drawn:
        network = MLP("relu", at_kink=float(rng.integers(2)) if self.distance == 0.0 else 0.0)
        params, x, y = _mlp(rng, [2, 3, 1], network)
        grid = 2.0 ** (12 if precision == "float64" else 6)
        for layer in params:
            layer["weight"], layer["bias"] = (
                np.round(layer["weight"] * grid) / grid,
                np.round(layer["bias"] * grid) / grid,
            )
        x = np.round(x * grid) / grid
        unit, example = int(rng.integers(3)), int(rng.integers(BATCH))
        side = float(rng.choice([-1.0, 1.0]))
        params[0]["bias"][unit] = side * self.distance - float(x[example] @ params[0]["weight"][unit])
        accepts = AT_A_KINK if self.distance == 0.0 else _NEAR
        return _drawn(network, params, x, y, accepts=accepts)


# a kink closer than the last bits of θ can tell apart is a kink at θ: both words are right
_NEAR = AT_A_KINK


def spanning(rng: np.random.Generator, precision: str) -> Drawn:
    network = MLP("tanh", scales=tuple(float(10.0 ** rng.uniform(-8.0, 8.0)) for _ in range(4)))
    params, x, y = _mlp(rng, [2, 2, 1], network)
    for k, layer in enumerate(params):
        layer["weight"], layer["bias"] = (
            layer["weight"] * network.scales[2 * k],
            layer["bias"] * network.scales[2 * k + 1],
        )
    return _drawn(network, params, x, y)


def offset(rng: np.random.Generator, precision: str) -> Drawn:
    network = MLP("tanh", offset=1e8)
    return _drawn(network, *_mlp(rng, [2, 2, 1], network))


def half_stored(rng: np.random.Generator, precision: str) -> Drawn:
    network = MLP("tanh", stored=True)
    params, x, y = _mlp(rng, [2, 3, 1], network)
    bf16 = ml_dtypes.bfloat16
    params = [{name: leaf.astype(bf16).astype(float) for name, leaf in layer.items()} for layer in params]
    return _drawn(network, params, x.astype(bf16).astype(float), y.astype(bf16).astype(float))


# --- a recurrent network ------------------------------------------------------------------------------


def _rnn_states(params: Any, x: Any) -> list[Any]:
    states = [x[0, :1] * 0 + params["bias"] * 0]
    for step in x:
        states.append(tanh(params["recurrent"] @ states[-1] + params["input"] @ step + params["bias"]))
    return states


def _rnn_loss(params: Any, x: Any, y: Any) -> Any:
    outputs = np.array([params["output"] @ h for h in _rnn_states(params, x)[1:]])
    return ((outputs - y) ** 2).sum() / (2 * len(x))


def _rnn_gradient(params: Any, x: Any, y: Any) -> Any:
    """Backpropagation through time."""
    states = _rnn_states(params, x)
    found = {name: leaf * 0 for name, leaf in params.items()}
    ahead = params["bias"] * 0
    for t in reversed(range(len(x))):
        h = states[t + 1]
        error = (params["output"] @ h - y[t]) / len(x)
        found["output"] = found["output"] + error * h
        through = (1 - h * h) * (ahead + error * params["output"])
        found["recurrent"] = found["recurrent"] + np.outer(through, states[t])
        found["input"] = found["input"] + np.outer(through, x[t])
        found["bias"] = found["bias"] + through
        ahead = params["recurrent"].T @ through
    return found


def recurrent(rng: np.random.Generator, precision: str) -> Drawn:
    params = {
        "recurrent": rng.standard_normal((2, 2)),
        "input": rng.standard_normal((2, 1)),
        "bias": 0.5 * rng.standard_normal(2),
        "output": rng.standard_normal(2),
    }
    return Drawn(params, (rng.standard_normal((5, 1)), rng.standard_normal(5)), _rnn_loss, _rnn_gradient)


# --- attention, layer normalization, GELU -------------------------------------------------------------

GELU_SLOPE = math.sqrt(2.0 / math.pi)  # the tanh form of GELU, which every number type can compute
GELU_CUBE = 0.044715
VARIANCE_FLOOR = 1e-5


def _gelu(z: Any) -> tuple[Any, Any]:
    t = tanh(GELU_SLOPE * (z + GELU_CUBE * z * z * z))
    slope = (1 + t) / 2 + z * (1 - t * t) / 2 * GELU_SLOPE * (1 + 3 * GELU_CUBE * z * z)
    return z * (1 + t) / 2, slope


def _attention_forward(p: Any, x: Any) -> dict[str, Any]:
    q, k, v = x @ p["query"], x @ p["key"], x @ p["value"]
    scores = q @ k.T
    e = exp(scores - _row_max(scores))
    weights = e / e.sum(axis=1)[:, None]
    residual = x + weights @ v
    middle = residual - residual.sum(axis=1)[:, None] / x.shape[1]
    spread = sqrt((middle * middle).sum(axis=1)[:, None] / x.shape[1] + VARIANCE_FLOOR)
    normal = middle / spread
    scaled = normal * p["gain"] + p["shift"]
    hidden, slope = _gelu(scaled @ p["up"])
    return {
        "q": q, "k": k, "v": v, "weights": weights, "spread": spread, "normal": normal,
        "scaled": scaled, "hidden": hidden, "slope": slope, "out": hidden @ p["down"],
    }  # fmt: skip


def _attention_loss(p: Any, x: Any, y: Any) -> Any:
    return ((_attention_forward(p, x)["out"] - y) ** 2).sum() / (2 * len(x))


def _attention_gradient(p: Any, x: Any, y: Any) -> Any:
    f = _attention_forward(p, x)
    width = x.shape[1]
    error = (f["out"] - y) / len(x)
    inner = np.outer(error, p["down"]) * f["slope"]
    scaled = inner @ p["up"].T
    normal = scaled * p["gain"]
    mean = normal.sum(axis=1)[:, None] / width
    along = (normal * f["normal"]).sum(axis=1)[:, None] / width
    residual = (normal - mean - f["normal"] * along) / f["spread"]
    weights = residual @ f["v"].T
    scores = f["weights"] * (weights - (weights * f["weights"]).sum(axis=1)[:, None])
    return {
        "query": x.T @ (scores @ f["k"]),
        "key": x.T @ (scores.T @ f["q"]),
        "value": x.T @ (f["weights"].T @ residual),
        "gain": (scaled * f["normal"]).sum(axis=0),
        "shift": scaled.sum(axis=0),
        "up": f["scaled"].T @ inner,
        "down": f["hidden"].T @ error,
    }


def attention(rng: np.random.Generator, precision: str) -> Drawn:
    width, tokens = 3, 3
    params = {
        "query": rng.standard_normal((width, 1)),
        "key": rng.standard_normal((width, 1)),
        "value": rng.standard_normal((width, width)) / math.sqrt(width),
        "gain": 1.0 + 0.2 * rng.standard_normal(width),
        "shift": 0.2 * rng.standard_normal(width),
        "up": rng.standard_normal((width, 2)),
        "down": rng.standard_normal(2),
    }
    args = rng.standard_normal((tokens, width)), rng.standard_normal(tokens)
    return Drawn(params, args, _attention_loss, _attention_gradient)


# --- a convolution -----------------------------------------------------------------------------------


def _windows(x: Any, width: int) -> Any:
    return np.stack([x[:, k : x.shape[1] - width + 1 + k] for k in range(width)], axis=-1)


def _conv_forward(p: Any, x: Any) -> tuple[Any, ...]:
    views = _windows(x, p["kernel"].shape[1])
    z = views @ p["kernel"].T + p["bias"]
    pooled = log1p_exp(z).sum(axis=1) / z.shape[1]
    return views, z, pooled, pooled @ p["weight"].T


def _conv_loss(p: Any, x: Any, y: Any) -> Any:
    return _cross_entropy(_conv_forward(p, x)[-1], y)


def _conv_gradient(p: Any, x: Any, y: Any) -> Any:
    views, z, pooled, logits = _conv_forward(p, x)
    delta = (_softmax(logits) - y) / len(x)
    inner = (delta @ p["weight"])[:, None, :] * sigmoid(z) / z.shape[1]
    return {
        "kernel": np.einsum("nto,ntk->ok", inner, views),
        "bias": inner.sum(axis=(0, 1)),
        "weight": delta.T @ pooled,
    }


def convolution(rng: np.random.Generator, precision: str) -> Drawn:
    params = {
        "kernel": rng.standard_normal((2, 3)),
        "bias": 0.5 * rng.standard_normal(2),
        "weight": rng.standard_normal((3, 2)),
    }
    return Drawn(
        params, (rng.standard_normal((BATCH, 6)), _one_hot(rng, BATCH, 3)), _conv_loss, _conv_gradient
    )


def _kinks(distance: float, precisions: tuple[str, ...], share: float, share32: float = 0.1) -> Family:
    name = "relu, kink at θ" if distance == 0.0 else f"relu, kink {distance:.0e} away"
    return Family(
        name,
        PlantedKink(distance),
        precisions,
        smooth=False,
        kink_at_theta=distance == 0.0,
        share=share,
        share32=share32,
        meaning="2-3-1 ReLU; one z is exactly that",
    )


TUNING = (
    Family("mlp small", small, BOTH, share32=0.3, meaning="1-2-1, tanh, sigmoid or softplus, squared error"),
    Family(
        "mlp medium", medium, BOTH, share=0.4, share32=0.08, meaning="2-2-2-2, squared error or cross-entropy"
    ),
    Family("mlp large", large, BOTH, share=0.15, share32=0.05, meaning="16-32-10, 874 parameters"),
    Family(
        "deep tanh", deep, BOTH, share=0.2, share32=0.05, meaning="1-2-1-1-2-1-1-1, gradients vanish or grow"
    ),
    Family("saturated sigmoid", saturated, BOTH, share=0.4, share32=0.12, meaning="2-3-1, |z| up to 22"),
    Family(
        "relu",
        relu_network,
        BOTH,
        smooth=False,
        share=0.6,
        share32=0.2,
        meaning="2-3-1, kinks where they fall",
    ),
    _kinks(0.0, BOTH, 0.06),
    _kinks(1e-12, ("float64",), 0.06),
    _kinks(1e-9, ("float64",), 0.25),
    _kinks(1e-6, BOTH, 0.3),
    _kinks(1e-3, BOTH, 0.4),
    Family("parameters 1e±8", spanning, BOTH, share32=0.6, meaning="2-2-1, each tensor scaled by 1e-8 … 1e8"),
    Family("loss + 1e8", offset, BOTH, share32=0.08, meaning="2-2-1, a constant that swallows digits"),
    Family(
        "stored in bf16",
        half_stored,
        ("bfloat16",),
        analytic=False,
        smooth=False,
        share=0.06,
        meaning="2-3-1, mixed precision",
    ),
)

HELD_OUT = (
    Family("rnn", recurrent, BOTH, held_out=True, meaning="2 units, 5 steps, through time"),
    Family(
        "attention",
        attention,
        BOTH,
        held_out=True,
        share=0.4,
        share32=0.06,
        meaning="softmax attention, layer norm, GELU",
    ),
    Family(
        "convolution",
        convolution,
        BOTH,
        held_out=True,
        share=0.6,
        share32=0.25,
        meaning="softplus, mean pool, cross-entropy",
    ),
)
