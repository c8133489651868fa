"""Real reports of every verdict, and of every kind of check: what the forms of a report are tested on."""

from functools import cache

import numpy as np

import bpcheck
import bpcheck.check.agreement
import bpcheck.reference
from bpcheck import Case, Report, Verdict, mlp


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


def failing(widths=(2, 3, 2), batch=3, precision=lambda function: function, **mistake):
    """A report on exactly this case: it is not made smaller, so that there is something to see."""
    given = case(widths, batch)
    from bpcheck.check.contract import Clock
    from bpcheck.diagnosis import Observation, diagnose
    from bpcheck.search.judging import Judge
    from bpcheck.search.reproducer import reproducer
    from bpcheck.subject import as_subject

    judge = Judge(as_subject(precision(backprop(**(mistake or {"slope": False})))), 1e-3, Clock.start(None))
    judged = judge(given)
    observed = [Observation(given, judged.claimed, judged.right, judged.roundoff)]
    return Report(
        "backprop",
        judged.verdict,
        judged.comparisons,
        diagnose(given, judged.comparisons, observed),
        given,
        reproducer(given, "backprop"),
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
    def claimed(x):
        return np.float32(2.0) * x

    return bpcheck.check_low_precision(claimed, lambda x: 2.5 * x, np.ones(4, dtype=np.float32), seed=0)


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
