"""What an update step betrays besides its gradient: memory, early updates, nothing at all, η/m on a mean."""

import numpy as np
import pytest

import bpcheck
from bpcheck import Verdict, from_step, mlp
from bpcheck.subject import STEP_RATES
from bpcheck.subject.step import EARLY, MEMORY, NOTHING, OTHER_RATE, SIGNS

PARAMS = {"w": np.array([[0.5, -1.0], [2.0, 0.25]]), "v": np.array([1.5, -0.75])}
X = np.array([0.3, -0.8])


def gradient(p, x):
    """Of ½(v·tanh(W x))²."""
    a = np.tanh(p["w"] @ x)
    s = p["v"] @ a
    return {"w": np.outer(s * p["v"] * (1 - a**2), x), "v": s * a}


def plain(p, x, lr):
    g = gradient(p, x)
    return {n: p[n] - lr * g[n] for n in p}


def notes(step, **options):
    return from_step(step, **options).answer({n: v.copy() for n, v in PARAMS.items()}, X.copy()).notes


class Momentum:
    def __init__(self):
        self.v = None

    def __call__(self, p, x, lr=0.1):
        g = gradient(p, x)
        self.v = g if self.v is None else {n: 0.9 * self.v[n] + g[n] for n in g}
        return {n: p[n] - lr * self.v[n] for n in p}


def early(p, x, lr):
    a = np.tanh(p["w"] @ x)
    s = p["v"] @ a
    v = p["v"] - lr * s * a
    return {"w": p["w"] - lr * np.outer(s * v * (1 - a**2), x), "v": v}


def clipped(p, x, lr):
    return {n: p[n] - np.clip(lr * g, -0.01, 0.01) for n, g in gradient(p, x).items()}


def forgotten(p, x, lr):
    p = plain(p, x, lr)


def unchanged(p, x, lr):
    return p


def signs(p, x, lr):
    return {n: p[n] - lr * g / (abs(g) + 1e-8) for n, g in gradient(p, x).items()}


def drunken(p, x, lr):
    rng = np.random.default_rng()
    return {n: p[n] - lr * (g + rng.normal(size=g.shape)) for n, g in gradient(p, x).items()}


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (plain, ()),
        (Momentum(), (MEMORY,)),
        (drunken, (MEMORY,)),
        (early, (EARLY,)),
        (clipped, (OTHER_RATE,)),
        (forgotten, (NOTHING,)),
        (unchanged, (NOTHING,)),
        (signs, (SIGNS,)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_step_is_told_by_its_own_remark(step, said):
    assert notes(step) == said


def test_memory_is_seen_at_a_rate_that_cannot_be_chosen():
    momentum = Momentum()
    assert notes(lambda p, x: momentum(p, x, 0.1), lr=0.1) == (MEMORY,)
    assert notes(lambda p, x: plain(p, x, 0.1), lr=0.1) == ()


def test_a_plain_step_is_asked_twice_only():
    rates = []

    def counted(p, x, lr):
        rates.append(lr)
        return plain(p, x, lr)

    assert notes(counted) == ()
    assert tuple(rates) == STEP_RATES


def layers(params, x, y, lr, divisor):
    a = np.tanh(x @ params[0]["weight"].T + params[0]["bias"])
    r = (a @ params[1]["weight"].T + params[1]["bias"] - y) / divisor
    d = (r @ params[1]["weight"]) * (1 - a**2)
    grads = [{"weight": d.T @ x, "bias": d.sum(0)}, {"weight": r.T @ a, "bias": r.sum(0)}]
    return [{n: p[n] - lr * g[n] for n in p} for p, g in zip(params, grads, strict=True)]


@pytest.mark.parametrize(("power", "said"), [(1, False), (2, True)])
def test_a_rate_over_m_on_a_mean_is_named(power, said):
    report = bpcheck.compare(
        from_step(lambda p, x, y, lr: layers(p, x, y, lr, len(x) ** power)),
        architectures=mlp([3, 4, 2]),
        seed=0,
        examples=6,
    )
    assert report.verdict is (Verdict.DISAGREES if said else Verdict.AGREES)
    assert ("η/m" in str(report)) is said


def test_another_factor_is_not_called_a_mean_of_a_mean():
    report = bpcheck.compare(
        from_step(lambda p, x, y, lr: layers(p, x, y, lr, 2 * len(x))), architectures=mlp([3, 4, 2]), seed=0
    )
    assert report.verdict is Verdict.DISAGREES
    assert not any("η/m" in warning for warning in report.warnings)


@pytest.mark.parametrize("wrong", [False, True])
def test_a_step_in_another_layout_is_inferred_by_its_gradient(wrong):
    """No loss: the shapes leave what the gradient decides."""

    def step(params, x, y, lr):
        W1, b1, W2, b2 = params
        a = np.tanh(x @ W1 + b1)
        r = (a @ W2 + b2 - y) / len(x)
        d = (r @ W2.T) * (1 if wrong else 1 - a**2)
        for p, g in zip(params, (x.T @ d, d.sum(0), a.T @ r, r.sum(0)), strict=True):
            p -= lr * g

    report = bpcheck.compare(from_step(step), architectures=mlp([3, 4, 2]), seed=0, examples=6)
    assert report.verdict is (Verdict.DISAGREES if wrong else Verdict.AGREES), report
    assert "weights (in, out)" in report.inferred


@pytest.mark.parametrize(("rate", "said"), [(1e-9, True), (1e-3, False)])
def test_a_rate_too_small_to_see_an_early_update_is_said(rate, said):
    subject = from_step(lambda params, x, y: params, lr=rate)
    assert any("updated before δ" in note for note in subject.notes) is said


RATE = 0.03


@pytest.mark.parametrize(
    ("factor", "decay"),
    [
        (1.0, 0.0),
        *(pytest.param(f, d, marks=pytest.mark.full) for f, d in ((1.0, 0.7), (2.0, 0.0), (2.0, 0.7))),
    ],
)
def test_weights_that_are_updated_too_early_are_named_at_the_rate_that_the_caller_says(factor, decay):
    """A fixed rate, unlike that at which steps are probed: the prediction has to be made at it."""

    def run(params, x):
        a = [x]
        for k, p in enumerate(params):
            z = a[-1] @ p["weight"].T + p["bias"]
            a.append(z if k == len(params) - 1 else np.tanh(z))
        return a

    def loss(params, x, y):
        data = 0.5 * np.sum((run(params, x)[-1] - y) ** 2)
        return factor * (data + 0.5 * decay * sum(np.sum(p["weight"] ** 2) for p in params)) / len(x)

    def step(params, x, y):
        a = run(params, x)
        d = factor * (a[-1] - y) / len(x)
        for k in reversed(range(len(params))):
            p = params[k]
            p["weight"] -= RATE * (d.T @ a[k] + factor * decay / len(x) * p["weight"])
            p["bias"] -= RATE * d.sum(axis=0)
            d = (d @ p["weight"]) * (1 - a[k] ** 2)  # the weights are new already

    report = bpcheck.compare(from_step(step, lr=RATE, loss=loss), seed=0, examples=10)
    assert report.verdict is Verdict.DISAGREES, report
    assert [d.bug for d in report.diagnoses] == ["weights-updated-first"]


def test_a_step_that_takes_no_rate_is_asked_which_one_it_uses():
    def step(p, x):
        return plain(p, x, RATE)

    with pytest.raises(
        bpcheck.InputError, match=r"say which one stands inside it, from_step\(step, lr=0\.1\)"
    ):
        notes(step)
    assert notes(step, lr=RATE) == notes(plain)


def test_what_is_pasted_does_not_hand_over_the_bare_step():
    step = from_step(lambda p, x, y, lr: layers(p, x, y, lr, 2 * len(x)), loss=None)
    report = bpcheck.compare(step, architectures=mlp([3, 4, 2]), seed=0, examples=3)
    assert report.verdict is Verdict.DISAGREES
    assert "compare(your_subject, cases=[case]" in report.reproducer
