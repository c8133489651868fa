"""compare() with subjects that answer in float32, float16 and bfloat16: judged by what rounding probably does."""

import functools

import ml_dtypes
import numpy as np
import pytest
from choosing import some
from students import make

import bpcheck
from bpcheck import Verdict, mlp
from bpcheck.check.contract import Clock
from bpcheck.search.cases.sample import random_case
from bpcheck.search.judging import Judge
from bpcheck.subject import as_subject

compare = functools.partial(
    bpcheck.compare, conventions=bpcheck.Conventions()
)  # in our own layout; no other is tried


NETWORK = mlp([64, 32, 10], loss="cross_entropy")
SMALL = mlp([8, 6, 4], loss="cross_entropy")  # a failure is shrunk, which takes hundreds of calls


def student(dtype, spoil=None, activation=np.tanh, slope=lambda a: 1 - a * a):
    """Softmax with cross-entropy, one hidden layer, every result in ``dtype``; ``spoil`` breaks the gradient."""

    def backprop(params, x, y):
        (w, b), (v, c) = ([layer[k].astype(dtype) for k in ("weight", "bias")] for layer in params)
        x, y, one = x.astype(dtype), y.astype(dtype), dtype(1)

        def mm(first, second):
            return (first @ second).astype(dtype)

        a = activation(mm(x, w.T) + b)
        z = mm(a, v.T) + c
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        d = (p - y) / dtype(len(x))
        below = mm(d, v) * slope(a) * one
        loss = -np.sum(np.float32(y) * np.log(np.float32(p))) / len(x)
        grads = [
            {"weight": mm(below.T.copy(), x), "bias": below.sum(axis=0)},
            {"weight": mm(d.T.copy(), a), "bias": d.sum(axis=0)},
        ]
        return np.asarray(loss).astype(dtype), grads if spoil is None else spoil(grads)

    return backprop


def bfloat16():
    return ml_dtypes.bfloat16


DTYPES = {"float32": lambda: np.float32, "float16": lambda: np.float16, "bfloat16": bfloat16}


@pytest.mark.parametrize("form", some(DTYPES, default=lambda form: form == "bfloat16"))
def test_a_right_student_agrees_with_a_limit_worth_having(form):
    report = compare(student(DTYPES[form]()), architectures=NETWORK, examples=10, seed=0)
    assert report.ok, str(report)
    assert report.detection_limit.maximum <= {"float32": 1e-4, "float16": 0.2, "bfloat16": 1.0}[form]
    note = f"the answer is {form} though the parameters are float64"
    assert any(w.startswith(note) and "standard deviations" in w for w in report.warnings)


@pytest.mark.parametrize(
    "widths", some([[64, 32, 10], [100, 60, 40, 10]], default=lambda widths: len(widths) == 3)
)
def test_float32_on_larger_networks_is_decided(widths):
    right = make()

    def single(params, x, y, architecture):
        down = [{name: value.astype(np.float32) for name, value in layer.items()} for layer in params]
        return right(down, x.astype(np.float32), y.astype(np.float32), architecture)

    for options in ({"activation": "sigmoid"}, {"activation": "relu", "loss": "mse"}):
        report = compare(single, architectures=mlp(widths, **options), examples=8, seed=1)
        assert report.ok, str(report)
        assert report.detection_limit.maximum <= 1e-3


def tensor(change):
    def spoil(grads):
        grads[0]["weight"] = change(grads[0]["weight"])
        return grads

    return spoil


def rolled(w):
    return np.roll(w, 1, axis=0)


def row_lost(w):
    w = w.copy()
    w[3] = 0
    return w


def factor(k):
    return lambda w: (np.float32(w) * np.float32(k)).astype(w.dtype)


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ("float32", factor(1 + 1e-4)),
        pytest.param("bfloat16", row_lost, marks=pytest.mark.full),
        *(
            pytest.param(form, change, marks=pytest.mark.full)
            for form in DTYPES
            for change in (rolled, row_lost, factor(-1.0))
        ),
    ],
)
def test_a_planted_bug_is_found(form, change):
    wrong = student(DTYPES[form](), tensor(change))
    report = compare(wrong, architectures=SMALL, examples=5, seed=0)
    assert report.verdict is Verdict.DISAGREES, str(report)
    assert any("params[0]['weight']" in d.path for d in report.diagnoses)


def test_a_doubt_makes_the_whole_run_inconclusive():
    """Ten standard deviations in one case of ten is not one of the cases that could not be decided."""
    calls = []

    def now_and_then(grads):
        calls.append(None)
        if len(calls) == 12:  # the first three cases are asked twice
            g = grads[1]["bias"].astype(float)
            grads[1]["bias"] = (g + 1.4 * allowed).astype(np.float32)
        return grads

    case = random_case(np.random.default_rng(0), NETWORK, "generic")
    judge = Judge(as_subject(student(np.float32)), 1e-3, Clock())
    allowed = next(c.bound for c in judge(case).comparisons if c.path == "params[1]['bias']")
    report = compare(student(np.float32, now_and_then), cases=[case] * 12, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE, str(report)
    assert "too small to be called wrong" in report.summary


def test_relu_units_at_an_exact_kink_still_agree_at_a_kink_in_float32():
    case = bpcheck.Case(
        mlp([1, 2, 1], activation="relu"),
        [{"weight": [[1.0], [0.5]], "bias": [-2.0, 0.0]}, {"weight": [[1.0, 1.0]], "bias": [0.0]}],
        x=[[2.0]],
        y=[[0.5]],
    )

    def backprop(params, x, y):
        (w, b), (v, c) = ([layer[k].astype(np.float32) for k in ("weight", "bias")] for layer in params)
        x, y = x.astype(np.float32), y.astype(np.float32)
        z = x @ w.T + b
        r = np.maximum(z, 0) @ v.T + c - y
        d = (r @ v) * (z >= 0)
        return np.sum(r**2) / 2, [
            {"weight": d.T @ x, "bias": d.sum(0)},
            {"weight": r.T @ np.maximum(z, 0), "bias": r.sum(0)},
        ]

    assert compare(backprop, cases=case, seed=0).verdict is Verdict.AGREES_AT_KINK
