"""The exercises of notebook 4: right answers in several styles, wrong ones named."""

import functools
from typing import ClassVar

import numpy as np
import pytest
from choosing import some

from bpcheck.course import State
from bpcheck.course import updates as check
from bpcheck.reference.optimizer import Adam, Momentum

# Sentences of bpcheck.diagnosis.UPDATES, whose bugs are named in tests/optimizer; here one of them stands for all.
NAMED_BY_THE_CATALOGUE = {
    "gradient of the step before", "up the gradient", "v is an average", "without 1/(1 − μ)", "wrong sign", "not 0.9",
    "v is not", "m is not", "those of the next step", "RMSprop with a correction", "under the root",
    "those of the first step",
    "instead of its root", "not 1e-8", "not 0.9 and 0.999", "belongs to m",
}  # fmt: skip

# --- 1. rates in a bowl ---


@pytest.mark.parametrize(
    "function",
    [
        lambda low, high: (2 / high, 2 / (low + high)),
        lambda low, high: [2.0 / high, 1 / ((low + high) / 2)],
        lambda low, high: np.array([2 / high, 2 / (high + low)]),
    ],
)
def test_right_rates(function):
    assert check.bowl_rates(function).ok


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda low, high: (2 / (low + high), 2 / high), "swapped"),
        (lambda low, high: (2 / low, 2 / (low + high)), "The steep one diverges first"),
        (lambda low, high: (1 / high, 2 / (low + high)), "arrives in one step"),
        (lambda low, high: (1 / low, 2 / (low + high)), "beyond 2/h"),
        (lambda low, high: (2 / high, 1 / high), "shrinks by 1 − low/high"),
        (lambda low, high: (2 / high, 1 / (low + high)), "A factor of 2"),
        (lambda low, high: (2 / high, 2 / high), "never comes closer"),
        (lambda low, high: (2 / high, 1 / low), "At 1/low"),
        (lambda low, high: (2 / high, (low * high) ** -0.5), "geometric mean"),
        (lambda low, high: (2 / high, (1 / low + 1 / high) / 2), "The mean of"),
        (lambda low, high: 2 / high, "2 parts are needed"),
        (lambda low, high: (2 / high, "half"), "numbers are needed"),
        (lambda low, high: (2 / 0, 1), "ZeroDivisionError"),
    ],
)
def test_wrong_rates(function, words):
    said = check.bowl_rates(function)
    assert said.state in (State.WRONG, State.RAISED)
    assert words in f"{said.reason} {said.hint}", said


def test_the_best_rate_is_the_best_one():
    for low, high in check.BOWLS:
        rates = np.linspace(0, 2 / high, 100_001)
        worst = np.maximum(abs(1 - rates * low), abs(1 - rates * high))
        assert abs(rates[np.argmin(worst)] - 2 / (low + high)) <= 2 * (rates[1] - rates[0])


# --- 2. momentum ---


def momentum(w, g, v, eta, mu):
    v = mu * v + g
    return w - eta * v, v


def velocity(w, g, v, eta, mu):
    v = mu * v - eta * g
    return w + v, v


@pytest.mark.parametrize("function", [momentum, velocity])
def test_right_momentum(function):
    said = check.momentum_step(function)
    assert said.ok, said
    assert "308 steps" in said.checked


def in_place(w, g, v, eta, mu):
    w -= eta * (mu * v + g)
    return w, mu * v + g


def returns_nothing(w, g, v, eta, mu):
    w = w - eta * g


def forgets_all(w, g, v, eta, mu):
    return w - eta * g, np.zeros_like(v)


@pytest.mark.parametrize(
    ("function", "words"),
    some(
        [
            (lambda w, g, v, eta, mu: (w - eta * g, v), "plain gradient descent"),
            (forgets_all, "plain gradient descent"),
            (lambda w, g, v, eta, mu: (w - eta * (mu * v + g), v), "plain gradient descent"),
            (lambda w, g, v, eta, mu: (w - eta * v, mu * v + g), "gradient of the step before"),
            (lambda w, g, v, eta, mu: (w + eta * (mu * v + g), mu * v + g), "up the gradient"),
            (lambda w, g, v, eta, mu: momentum(w, g, v, mu, eta), "changed places"),
            (lambda w, g, v, eta, mu: momentum(w, g, v, eta, 0.9), "not 0.9"),
            (lambda w, g, v, eta, mu: momentum(w, (1 - mu) * g, v, eta, mu), "v is an average"),
            (lambda w, g, v, eta, mu: momentum(w, g, v, eta / (1 - mu), mu), "without 1/(1 − μ)"),
            (lambda w, g, v, eta, mu: momentum(w, g, -v, eta, mu), "wrong sign"),
            (lambda w, g, v, eta, mu: (w - eta * (g + mu * (mu * v + g)), mu * v + g), "Nesterov"),
            (lambda w, g, v, eta, mu: momentum(w, g, v, eta / 3, mu), "3 times too small"),
            (lambda w, g, v, eta, mu: momentum(w, g * abs(g), v, eta, mu), "term by term"),
            (lambda w, g, v, eta, mu: w - eta * g, "(w, v)"),
            (lambda w, g, v, eta, mu: (v, w - eta * g, 3), "(w, v)"),
            (lambda w, g, v, eta, mu: (float(np.sum(w)), v), "no array"),
            (lambda w, g, v, eta, mu: (w[0], v), "of shape (3,)"),
            (returns_nothing, "returns None"),
            (lambda w, g, v, eta, mu: (w + np.nan, v), "NaN"),
            (in_place, "changes w in place"),
            (lambda w, g, v, eta, mu: (w @ g, v), "ValueError"),
            (7, "A function is needed"),
        ],
        default=lambda function, words: words not in NAMED_BY_THE_CATALOGUE,
    ),
)
def test_wrong_momentum(function, words):
    said = check.momentum_step(function)
    assert said.state in (State.WRONG, State.RAISED)
    assert words in f"{said.reason} {said.hint}", said


def test_an_error_in_a_later_step_is_told():
    said = check.momentum_step(lambda w, g, v, eta, mu: (momentum(w, g, v, eta, mu)[0], "v"))
    assert said.state is State.RAISED
    assert "TypeError" in said.reason
    assert "one of the steps" in said.reason


def test_the_numbers_are_not_the_usual_ones():
    usual = {Momentum().momentum, Adam().beta1, Adam().beta2, Adam().epsilon, Adam().lr, Momentum().lr}
    assert usual.isdisjoint({check.ETA, check.MU, check.BETA_1, check.BETA_2, check.EPSILON})


# --- 3. Adam ---


def adam(w, g, state, eta, beta1, beta2, epsilon, *, late=0, correct=(True, True), inside=False):
    m, v, t = state
    t = t + 1
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    top = m / (1 - beta1 ** (t + late)) if correct[0] else m
    square = v / (1 - beta2 ** (t + late)) if correct[1] else v
    root = np.sqrt(square + epsilon) if inside else np.sqrt(square) + epsilon
    return w - eta * top / root, (m, v, t)


def folded(w, g, state, eta, beta1, beta2, epsilon):
    """Both corrections in one rate, ε corrected with them: another way to write the same."""
    m, v, t = state[0] * beta1 + (1 - beta1) * g, state[1] * beta2 + (1 - beta2) * g * g, state[2] + 1
    root = (1 - beta2**t) ** 0.5
    return w - eta * root / (1 - beta1**t) * m / (np.sqrt(v) + epsilon * root), (m, v, t)


@pytest.mark.parametrize("function", [lambda *a: adam(*a), folded])
def test_right_adam(function):
    assert check.adam_step(function).ok


def uncounted(w, g, state, *rest):
    w, (m, v, _) = adam(w, g, (state[0], state[1], 0), *rest)
    return w, (m, v, 0)


def counted_late(w, g, state, eta, beta1, beta2, epsilon):
    m, v, t = state
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    return w - eta * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon), (m, v, t + 1)


def no_root(w, g, state, eta, beta1, beta2, epsilon):
    m, v, t = state[0] * beta1 + (1 - beta1) * g, state[1] * beta2 + (1 - beta2) * g * g, state[2] + 1
    return w - eta * m / (1 - beta1**t) / (v / (1 - beta2**t) + epsilon), (m, v, t)


@pytest.mark.parametrize(
    ("function", "words"),
    some(
        [
            (lambda *a: adam(*a, correct=(False, False)), "m and v, which start at 0, are used as they are"),
            (lambda *a: adam(*a, correct=(True, False)), "v is not"),
            (lambda *a: adam(*a, correct=(False, True)), "m is not"),
            (lambda *a: adam(*a, late=1), "those of the next step"),
            (lambda *a: adam(*a, inside=True), "under the root"),
            (uncounted, "those of the first step"),
            (counted_late, "Count the step before"),
            (no_root, "instead of its root"),
            (lambda w, g, s, *rest: adam(w, g, s, *rest[:3], 0.0), "ε is missing"),
            (lambda w, g, s, *rest: adam(w, g, s, *rest[:3], 1e-8), "not 1e-8"),
            (lambda w, g, s, eta, *rest: adam(w, g, s, eta, 0.9, 0.999, rest[2]), "not 0.9 and 0.999"),
            (lambda w, g, s, eta, b1, b2, e: adam(w, g, s, eta, b2, b1, e), "belongs to m"),
            (lambda w, g, s, eta, b1, b2, e: adam(w, g, s, eta, 0.0, b2, e), "RMSprop with a correction"),
            (
                lambda w, g, s, *rest: (2 * w - adam(w, g, s, *rest)[0], adam(w, g, s, *rest)[1]),
                "up the gradient",
            ),
            (lambda w, g, s, *rest: adam(w, g, s, *rest)[0], "(w, state)"),
            (lambda w, g, s, *rest: 1 / 0, "ZeroDivisionError"),
        ],
        default=lambda function, words: words not in NAMED_BY_THE_CATALOGUE,
    ),
)
def test_wrong_adam(function, words):
    said = check.adam_step(function)
    assert said.state in (State.WRONG, State.RAISED)
    assert words in f"{said.reason} {said.hint}", said


# --- 4. an optimiser to mend ---


class Handed:
    limit, mu, eta = 1.0, 0.9, 0.1

    def __init__(self):
        self.v = None

    def clipped(self, gradients):
        return [g / max(np.linalg.norm(g), self.limit) for g in gradients]

    def update(self, params, gradients):
        gradients = self.clipped(gradients)
        if self.v is None:
            self.v = [np.zeros_like(w) for w in params]
        self.v = [self.mu * v + g for v, g in zip(self.v, gradients, strict=True)]
        return [w - self.eta * v for w, v in zip(params, self.v, strict=True)]


class Mended(Handed):
    def clipped(self, gradients):
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        return [g / norm * self.limit if norm > self.limit else g for g in gradients]


class InPlace(Mended):
    def update(self, params, gradients):
        for w, new in zip(params, super().update(params, gradients), strict=True):
            w[...] = new


@pytest.mark.parametrize(
    "optimizer", some([Mended, Mended(), InPlace], default=lambda optimizer: optimizer is InPlace)
)
def test_mended_optimizers(optimizer):
    said = check.mended_optimizer(optimizer)
    assert said.ok, said


def test_the_handed_out_optimizer_is_not_done_and_not_named():
    said = check.mended_optimizer(Handed)
    assert said.state is State.NOT_DONE
    assert "Over which entries does the norm run?" in said.hint
    assert "One norm" not in said.hint


class ByValue(Handed):
    def clipped(self, gradients):
        return [np.clip(g, -1.0, 1.0) for g in gradients]


class Unclipped(Handed):
    def clipped(self, gradients):
        return gradients


class NoMomentum(Mended):
    mu = 0.0


class Always(Mended):
    """Scales small gradients up as well."""

    def clipped(self, gradients):
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        return [g / norm for g in gradients]


class Shared(Mended):
    """Keeps what it remembers where all of them see it."""

    memory: ClassVar = []

    def update(self, params, gradients):
        gradients = self.clipped(gradients)
        if not Shared.memory:
            Shared.memory.extend(np.zeros_like(w) for w in params)
        Shared.memory[:] = [0.9 * v + g for v, g in zip(Shared.memory, gradients, strict=True)]
        return [w - 0.1 * v for w, v in zip(params, Shared.memory, strict=True)]


class Fails(Mended):
    def clipped(self, gradients):
        return gradients[9]


class Flat(Mended):
    def update(self, params, gradients):
        return np.concatenate([w.ravel() for w in super().update(params, gradients)])


@pytest.mark.parametrize(
    ("optimizer", "words"),
    some(
        [
            (ByValue, "every entry for itself"),
            (Unclipped, "not clipped"),
            (NoMomentum, "momentum is gone"),
            (Always, "gradients"),
            (Shared, "changes by"),
            (Fails, "IndexError"),
            (Flat, "missing"),
            (3, "int 3"),
        ],
        default=lambda optimizer, words: optimizer in (ByValue, Fails, Flat, 3),
    ),
)
def test_optimizers_that_are_not_mended(optimizer, words):
    said = check.mended_optimizer(optimizer)
    assert said.state in (State.WRONG, State.RAISED)
    assert words in f"{said.reason} {said.hint}", said


# --- 5. the factor a layer ---


def slope(z):
    s = 1 / (1 + np.exp(-z))
    return s * (1 - s)


@pytest.mark.parametrize(
    "function",
    [
        lambda n, v, z: np.sqrt(n * v * np.mean(slope(z) ** 2)),
        lambda n, v, z: (n * v) ** 0.5 * np.sqrt(np.mean(1 / (4 * np.cosh(z / 2) ** 2) ** 2)),
        lambda n, v, z: float(np.sqrt(n * v) * np.linalg.norm(slope(z)) / np.sqrt(z.size)),
    ],
)
def test_right_factors(function):
    said = check.layer_factor(function)
    assert said.ok, said
    assert "gradient_health measures 0.229" in said.checked


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda n, v, z: n * v * np.mean(slope(z) ** 2), "Take the root"),
        (lambda n, v, z: np.sqrt(n * v * np.mean(1 / (1 + np.exp(-z)) ** 2)), "σ stands there for σ'"),
        (lambda n, v, z: np.sqrt(n * v) / 4, "largest slope"),
        (lambda n, v, z: np.sqrt(n * v) * np.mean(slope(z)), "the other way round"),
        (lambda n, v, z: np.sqrt(v * np.mean(slope(z) ** 2)), "number of units"),
        (lambda n, v, z: np.sqrt(n * np.mean(slope(z) ** 2)) * v, "as if it were the spread"),
        (lambda n, v, z: n * np.sqrt(v * np.mean(slope(z) ** 2)), "n stands under the root"),
        (lambda n, v, z: np.sqrt(n * v), "slopes are missing"),
        (lambda n, v, z: np.sqrt(n * v * np.sum(slope(z) ** 2)), "not a sum"),
        (lambda n, v, z: np.sqrt(n * v) * slope(z), "one number for each z"),
        (lambda n, v, z: "a quarter", "numbers are needed"),
        (lambda n, v, z: z[99], "IndexError"),
    ],
)
def test_wrong_factors(function, words):
    said = check.layer_factor(function)
    assert said.state in (State.WRONG, State.RAISED)
    assert words in f"{said.reason} {said.hint}", said


# --- 6. two minima, predicted ---

RUN_ONCE = functools.cache(check.two_minima)  # the same four runs for every prediction
RIGHT = dict(zip(check.MINIMA, (True, True, True, False), strict=True))


@pytest.fixture
def run_once(monkeypatch):
    monkeypatch.setattr(check, "two_minima", RUN_ONCE)


def test_the_right_prediction(run_once):
    assert check.predicted_minima(RIGHT).ok
    assert check.predicted_minima({claim: np.bool_(value) for claim, value in RIGHT.items()}).ok


def test_every_claim_is_judged_for_itself(run_once):
    for claim in RIGHT:
        said = check.predicted_minima({**RIGHT, claim: not RIGHT[claim]})
        assert said.state is State.WRONG
        assert said.reason.startswith("3 of 4 predictions hold")
        assert claim in said.reason


def test_predictions_that_are_none():
    first = next(iter(RIGHT))
    assert check.predicted_minima({**RIGHT, first: ...}).state is State.NOT_DONE
    assert check.predicted_minima(...).state is State.NOT_DONE
    assert "predict True or False" in check.predicted_minima({**RIGHT, first: "yes"}).reason
    assert "A dict is needed" in check.predicted_minima([True] * 4).reason


# --- all ---


@pytest.mark.parametrize(
    "name", ["bowl_rates", "momentum_step", "adam_step", "layer_factor", "mended_optimizer"]
)
def test_stubs_are_not_done(name):
    def untouched(*arguments): ...

    for stub in (..., None, untouched):
        assert getattr(check, name)(stub).state is State.NOT_DONE
