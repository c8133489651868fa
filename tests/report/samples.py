"""Real reports of every verdict, and of every kind of check: what the forms of a report are tested on."""

from functools import cache

import numpy as np

import bpcheck
import bpcheck.check.agreement
import bpcheck.reference
from bpcheck import Architecture, Case, Report, Verdict, mlp
from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, Skip


def backprop(*, slope=True, entry=1.0, mean=True):
    """A tanh network's backprop; without the slope, with one wrong entry, or with the sum for the mean."""

    def backprop(params, x, y):
        a = [x]
        for layer in params[:-1]:
            a.append(np.tanh(a[-1] @ layer["weight"].T + layer["bias"]))
        residual = a[-1] @ params[-1]["weight"].T + params[-1]["bias"] - y
        delta = residual / len(x) if mean else residual
        gradients = []
        for k in reversed(range(len(params))):
            weight = delta.T @ a[k]
            if k == 0:
                weight[0, 0] *= entry
            gradients.insert(0, {"weight": weight, "bias": delta.sum(axis=0)})
            delta = delta @ params[k]["weight"]
            if slope and k:
                delta = delta * (1 - a[k] ** 2)
        return 0.5 * np.sum(residual**2) / len(x), gradients

    return backprop


def case(widths, batch, *, seed=0, **options):
    rng = np.random.default_rng(seed)
    architecture = mlp(widths, **options)
    params = [
        {name: rng.normal(size=shape).round(2) for name, shape in layer.items()}
        for layer in architecture.parameter_shapes
    ]
    x, y = rng.normal(size=(batch, widths[0])).round(2), rng.normal(size=(batch, widths[-1])).round(2)
    return Case(architecture, params, x, y)


def in_float32(function):
    def rounded(params, x, y):
        single = [{name: np.float32(array) for name, array in layer.items()} for layer in params]
        loss, gradients = function(single, np.float32(x), np.float32(y))
        return np.float32(loss), gradients

    return rounded


def seen_by_kernel(x, kernel, stride, padding):
    """What lies under a kernel at every place, (m, c, *places, *kernel); written out, and nothing of bpcheck's."""
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    places = [(n - k) // s + 1 for n, k, s in zip(padded.shape[2:], kernel, stride, strict=True)]
    seen = np.zeros((*x.shape[:2], *places, *kernel))
    for place in np.ndindex(*places):
        cut = tuple(slice(s * p, s * p + k) for s, p, k in zip(stride, place, kernel, strict=True))
        seen[(slice(None), slice(None), *place)] = padded[(slice(None), slice(None), *cut)]
    return seen


class Code:
    """Hand-written code for any network of dense, skip, flatten and convolution layers with tanh or no activation.

    ``mistake`` is one of "identity" (the skip connection's own path is forgotten on the way back), "kernel" (the kernel's
    gradient is written in reverse), "slope" (σ' is left out in convolutions), "place" (the last place of the kernel is
    left out of its gradient) and "bias" (a convolution's bias gradient is a mean over the places).
    """

    def __init__(self, architecture, mistake=""):
        self.architecture, self.mistake = architecture, mistake

    def __call__(self, params, x, y):
        a, saved = self.forward(self.architecture.layers, params, x)
        residual = a - y
        gradients, _ = self.backward(self.architecture.layers, params, saved, residual / len(x))
        return 0.5 * np.sum(residual**2) / len(x), gradients

    def forward(self, specs, params, x):
        saved = []
        for spec, own in zip(specs, params, strict=True):
            if spec.kind == "skip":
                inside, kept = self.forward(spec.layers, own, x)
                a = x + inside
            elif spec.kind == "flatten":
                a, kept = x.reshape(len(x), -1), None
            else:
                if spec.kind == "dense":
                    kept, z = None, x @ own["weight"].T + own["bias"]
                else:
                    kept = seen_by_kernel(x, *spec.per_axis)
                    places, within = "xy"[: spec.axes], "uv"[: spec.axes]
                    z = np.einsum(f"mc{places}{within},oc{within}->mo{places}", kept, own["weight"])
                    z = z + own["bias"].reshape(-1, *[1] * spec.axes)
                a = np.tanh(z) if spec.activation == "tanh" else z
            saved.append((x, kept, a))
            x = a
        return x, saved

    def backward(self, specs, params, saved, down):
        gradients = []
        for spec, own, (x, kept, a) in reversed(list(zip(specs, params, saved, strict=True))):
            gradient = {}
            if spec.kind == "skip":
                gradient, through = self.backward(spec.layers, own, kept, down)
                down = through if self.mistake == "identity" else down + through
            elif spec.kind == "flatten":
                down = down.reshape(x.shape)
            elif spec.kind == "dense":
                delta = down * (1 - a**2) if spec.activation == "tanh" else down
                gradient = {"weight": delta.T @ x, "bias": delta.sum(axis=0)}
                down = delta @ own["weight"]
            else:
                gradient, down = self.convolution(spec, own, x, kept, a, down)
            gradients.insert(0, gradient)
        return gradients, down

    def convolution(self, spec, own, x, seen, a, down):
        delta = down * (1 - a**2) if spec.activation == "tanh" and self.mistake != "slope" else down
        places, within = "xy"[: spec.axes], "uv"[: spec.axes]
        counted = delta
        if self.mistake == "place":
            counted = delta.copy()
            counted[..., -1] = 0
        weight = np.einsum(f"mo{places},mc{places}{within}->oc{within}", counted, seen)
        bias = delta.sum(axis=(0, *range(2, delta.ndim)))
        if self.mistake == "kernel":
            weight = np.flip(weight, axis=tuple(range(2, weight.ndim)))
        if self.mistake == "bias":
            bias = bias / np.prod(delta.shape[2:])
        kernel, stride, padding = spec.per_axis
        padded = np.zeros((*x.shape[:2], *(n + 2 * p for n, p in zip(x.shape[2:], padding, strict=True))))
        for place in np.ndindex(*delta.shape[2:]):
            cut = tuple(slice(s * p, s * p + k) for s, p, k in zip(stride, place, kernel, strict=True))
            back = np.einsum(
                f"mo,oc{within}->mc{within}", delta[(slice(None), slice(None), *place)], own["weight"]
            )
            padded[(slice(None), slice(None), *cut)] += back
        crop = tuple(slice(p, p + n) for p, n in zip(padding, x.shape[2:], strict=True))
        return {"weight": weight, "bias": bias}, padded[(slice(None), slice(None), *crop)]


NETWORKS = {
    "skip": Architecture((2,), (Dense(2, "tanh"), Skip((Dense(3, "tanh"), Dense(2, "tanh"))), Dense(1))),
    "nested skips": Architecture((2,), (Skip((Dense(2, "tanh"), Skip((Dense(2, "tanh"),)))), Dense(2))),
    "conv1d": Architecture(
        (1, 5), (Conv1d(2, 2, stride=2, padding=1, activation="tanh"), Flatten(), Dense(2))
    ),
    "conv2d": Architecture(
        (1, 4, 4), (Conv2d(2, 2, activation="tanh"), Conv2d(2, (2, 2)), Flatten(), Dense(1))
    ),
    "skip around conv": Architecture(
        (2, 4), (Conv1d(2, 1), Skip((Conv1d(2, 3, padding=1, activation="tanh"),)), Flatten(), Dense(2))
    ),
    "large conv": Architecture(
        (3, 9, 9), (Conv2d(8, 3, padding=1, activation="tanh"), Conv2d(4, 7, stride=2), Flatten(), Dense(3))
    ),
}


def any_case(architecture, batch, *, seed=0):
    rng = np.random.default_rng(seed)

    def drawn(shapes):
        if isinstance(shapes, tuple):
            return rng.normal(size=shapes).round(2)
        if isinstance(shapes, dict):
            return {name: drawn(shape) for name, shape in shapes.items()}
        return [drawn(one) for one in shapes]

    params = drawn(architecture.parameter_shapes)
    x = rng.normal(size=(batch, *architecture.input_shape)).round(2)
    return Case(architecture, params, x, rng.normal(size=(batch, *architecture.output_shape)).round(2))


def failing_network(name, mistake, batch=1):
    """A report on a network of any layers with a mistake in hand-written code."""
    given = any_case(NETWORKS[name], batch)
    return _judged(given, Code(given.architecture, mistake), "backward")


def failing(widths=(2, 3, 2), batch=3, precision=lambda function: function, **mistake):
    """A report on exactly this case: it is not made smaller, so that there is something to see."""
    given = case(widths, batch)
    return _judged(given, precision(backprop(**(mistake or {"slope": False}))), "backprop")


def _judged(given, code, name):
    from bpcheck.check.contract import Clock
    from bpcheck.diagnosis import Observation, diagnose
    from bpcheck.search.judging import Judge
    from bpcheck.search.reproducer import reproducer
    from bpcheck.subject import as_subject

    judge = Judge(as_subject(code), 1e-3, Clock.start(None))
    judged = judge(given)
    observed = [Observation(given, judged.claimed, judged.right, judged.roundoff)]
    return Report(
        name,
        judged.verdict,
        judged.comparisons,
        () if judged.verdict.ok else diagnose(given, judged.comparisons, observed),
        given,
        reproducer(given, name),
        summary="Wrong in the first case; that case is shown below.",
        examples=1,
        seed=0,
    )


def _kink():
    return bpcheck.check_gradient(
        lambda w: float(np.sum(abs(w))), lambda w: np.sign(w), np.array([0.0, 1.0]), seed=0
    )


def _inconclusive():
    return bpcheck.check_gradient(
        lambda w: float(np.sum(w**2).real + 1e12), lambda w: 2 * w, np.ones(4), seed=0, method="central"
    )


def _black_box():
    def loss(p):
        return float(np.sum(np.sin(p["w"])) + np.sum(p["b"] ** 2))

    def gradient(p):
        wrong = np.cos(p["w"])
        wrong[2, 3] *= -1
        return {"w": wrong, "b": 2 * p["b"]}

    rng = np.random.default_rng(1)
    return bpcheck.check_gradient(
        loss, gradient, {"w": rng.normal(size=(12, 9)), "b": rng.normal(size=5)}, seed=0
    )


def _incomplete():
    right = backprop()

    def incomplete(params, x, y):
        loss, gradients = right(params, x, y)
        return loss, gradients[:-1]

    return bpcheck.compare(incomplete, seed=0)


def _not_finite():
    right = backprop()

    def not_finite(params, x, y):
        loss, gradients = right(params, x, y)
        gradients[0]["bias"][0] = np.nan
        return loss, gradients

    return bpcheck.compare(not_finite, seed=0)


def _vjp():
    def f(x):
        return np.sin(x)

    return bpcheck.check_vjp(f, lambda x, cotangent: cotangent * np.sin(x), (np.array([0.3, 1.0]),), seed=0)


def _certified():
    given = case((3, 4, 2), 5)
    network = bpcheck.reference.build(given.architecture)
    wrong = network.gradient(given.params, given.x, given.y)
    wrong[0]["weight"][1, 1] += 0.1
    return bpcheck.certify(given.architecture, given.params, given.x, given.y, wrong)


def _low_precision():
    x = np.ones(4, dtype=np.float32)
    return bpcheck.check_low_precision(np.float32(2.0) * x, lambda x: 2.5 * x, x, seed=0)


MAKERS = {
    "agrees": lambda: bpcheck.compare(backprop(), seed=0, examples=20),
    "kink": _kink,
    "inconclusive": _inconclusive,
    "named bug": lambda: bpcheck.compare(backprop(slope=False), seed=0),
    "2-3-2": failing,
    "one entry": lambda: failing(batch=1, entry=1.5),
    "unnamed, batch": lambda: failing(entry=1.5),
    "black box": _black_box,
    "vjp": _vjp,
    "certify": _certified,
    "low precision": _low_precision,
    "structure": _incomplete,
    "not finite": _not_finite,
    "large": lambda: failing((20, 30, 30, 30, 10, 4), 12),
    "skip": lambda: failing_network("skip", "identity"),
    "nested skips": lambda: failing_network("nested skips", "identity", batch=2),
    "conv1d": lambda: failing_network("conv1d", "kernel"),
    "conv2d": lambda: failing_network("conv2d", "slope", batch=2),
    "skip around conv": lambda: failing_network("skip around conv", "place"),
    "large conv": lambda: failing_network("large conv", "kernel"),
    "empty": lambda: Report("f", Verdict.AGREES),
}

VERDICTS = {
    "agrees": Verdict.AGREES,
    "kink": Verdict.AGREES_AT_KINK,
    "inconclusive": Verdict.INCONCLUSIVE,
    "named bug": Verdict.DISAGREES,
    "black box": Verdict.DISAGREES,
    "structure": Verdict.WRONG_STRUCTURE,
    "not finite": Verdict.NONFINITE,
}
"""One sample at least for each of the six."""


@cache
def sample(name):
    return MAKERS[name]()
