"""The rules against what is known of them in closed form, and their rounding bounds against exact arithmetic."""

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest

from bpcheck import mlp
from bpcheck.errors import InputError
from bpcheck.reference import build
from bpcheck.reference.numbers.ball import Ball
from bpcheck.reference.optimizer import (
    SGD,
    Adam,
    AdamW,
    Clipped,
    Grouped,
    Momentum,
    Nesterov,
    RMSprop,
    State,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    constant_rate,
    cosine,
    global_norm,
    step_decay,
    warm_up,
)

RULES = [
    SGD(lr=0.1, weight_decay=0.2),
    Momentum(lr=0.1, momentum=0.7, l1=0.3),
    Momentum(lr=0.1, form="average"),
    Momentum(lr=0.1, form="velocity", weight_decay=0.1, decoupled=True),
    Nesterov(lr=0.1, momentum=0.7),
    Nesterov(lr=0.1, form="velocity"),
    Nesterov(lr=0.1, form="average"),
    RMSprop(lr=0.1, epsilon_at="inside"),
    RMSprop(lr=0.1, centered=True, momentum=0.5, epsilon=1e-3),
    RMSprop(lr=0.1, momentum=0.5, form="velocity"),
    Adam(lr=0.1, amsgrad=True),
    Adam(lr=0.1, epsilon_at="uncorrected"),
    Adam(lr=0.1, bias_correction=False),
    AdamW(lr=0.1),
    Clipped(rule=Momentum(lr=0.1), by="norm", limit=0.5),
    Grouped(rule=Adam(lr=0.1), groups=(("nothing", SGD()),)),
]


def run(rule, gradients, start=0.0):
    w, state, moved = np.array([start]), rule.init(np.array([start])), []
    for g in gradients:
        new, state = rule.step(w, np.array([float(g)]), state)
        moved.append(float(new[0] - w[0]))
        w = new
    return moved


def test_plain_descent_goes_against_the_gradient_by_the_rate():
    params = [{"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])}]
    gradient = [{"weight": np.array([[10.0, -10.0]]), "bias": np.array([0.0])}]
    stepped, _ = SGD(lr=0.125).step(params, gradient, State())
    assert stepped[0]["weight"].tolist() == [[-0.25, 3.25]]
    assert stepped[0]["bias"].tolist() == [3.0]
    assert params[0]["weight"].tolist() == [[1.0, 2.0]]
    assert not np.shares_memory(stepped[0]["bias"], params[0]["bias"])


def test_a_small_step_of_plain_descent_lowers_the_cost_by_the_rate_times_the_squared_gradient():
    rng, rate = np.random.default_rng(5), 1e-4
    network = build(mlp([6, 4, 3], activation="tanh", loss="cross_entropy"))
    x, y, params = rng.normal(size=(20, 6)), np.eye(3)[rng.integers(3, size=20)], network.init(rng)
    gradient = network.gradient(params, x, y)
    stepped, _ = SGD(lr=rate).step(params, gradient, State())
    fall = network.loss(params, x, y) - network.loss(stepped, x, y)
    assert fall == pytest.approx(rate * global_norm(gradient) ** 2, rel=1e-2)


@pytest.mark.parametrize("rate", [np.float64(0.5), np.float32(0.5), np.int64(1)])
def test_a_rate_of_numpy_leaves_float32_as_it_is(rate):
    w = np.ones(2, dtype=np.float32)
    assert SGD(lr=rate).step(w, w, State())[0].dtype == np.float32


def test_momentum_is_a_weighted_sum_of_all_gradients():
    g = np.random.default_rng(0).normal(size=30)
    mu, lr = 0.8, 0.1
    sums = [sum(mu ** (t - i) * g[i] for i in range(t + 1)) for t in range(30)]
    assert run(Momentum(lr=lr, momentum=mu), g) == pytest.approx([-lr * v for v in sums], rel=1e-12)
    assert run(Momentum(lr=lr, momentum=mu, form="velocity"), g) == pytest.approx(
        [-lr * v for v in sums], rel=1e-12
    )
    averages = [-lr * (1 - mu) * v for v in sums]
    assert run(Momentum(lr=lr, momentum=mu, form="average"), g) == pytest.approx(averages, rel=1e-12)


def test_the_velocity_carries_an_old_rate_along_and_the_sum_does_not():
    for form, second in (("sum", -0.1 * 1.9), ("velocity", -0.9 - 0.1)):
        rule, w = Momentum(lr=1.0, momentum=0.9, form=form), np.array([0.0])
        w, state = rule.step(w, np.array([1.0]), rule.init(w), lr=1.0)
        new, _ = rule.step(w, np.array([1.0]), state, lr=0.1)
        assert float(new[0] - w[0]) == pytest.approx(second)


@pytest.mark.parametrize("form", ["sum", "velocity"])
def test_nesterov_is_momentum_whose_gradient_is_taken_ahead(form):
    """The rewritten form against the original one, on a quadratic cost with slope a·w."""
    a, mu, lr, rule = 3.0, 0.6, 0.1, Nesterov(lr=0.1, momentum=0.6, form=form)
    x, v = 1.0, 0.0  # the original: v ← μv − η ∇C(x + μv), x ← x + v
    w, state = np.array([1.0]), rule.init(np.array([1.0]))
    for _ in range(20):
        v = mu * v - lr * a * (x + mu * v)
        x += v
        w, state = rule.step(w, a * w, state)
        assert float(rule.underlying(w, state)[0]) == pytest.approx(x, rel=1e-12)


def test_adam_takes_a_first_step_of_the_rate_and_keeps_it_while_the_gradient_stays():
    assert run(Adam(lr=0.1, epsilon=0.0), [5.0] * 50) == pytest.approx([-0.1] * 50, rel=1e-12)
    first = run(Adam(lr=0.1, epsilon=0.0, bias_correction=False), [5.0])[0]
    assert first == pytest.approx(-0.1 * (1 - 0.9) / np.sqrt(1 - 0.999), rel=1e-12)


def test_rmsprop_starts_with_too_large_a_step():
    moved = run(RMSprop(lr=0.1, decay=0.9, epsilon=0.0), [2.0] * 200)
    assert moved[0] == pytest.approx(-0.1 / np.sqrt(0.1), rel=1e-12)
    assert moved[-1] == pytest.approx(-0.1, rel=1e-6)


def test_coupled_and_decoupled_decay_are_the_same_for_plain_descent_and_not_for_adam():
    for rule, same in ((SGD(lr=0.1, weight_decay=0.3), True), (Adam(lr=0.1, weight_decay=0.3), False)):
        coupled, apart = (run(rule.but(decoupled=d), [1.0, 2.0, -1.0], start=2.0) for d in (False, True))
        assert (coupled == pytest.approx(apart, rel=1e-12)) is same


def test_l1_draws_every_weight_by_the_same_amount_and_leaves_zero_alone():
    w, rule = np.array([2.0, -0.5, 0.0]), SGD(lr=0.5, l1=0.5)
    new, _ = rule.step(w, np.zeros(3), rule.init(w))
    assert new.tolist() == [1.75, -0.25, 0.0]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_nothing_that_is_given_changes_and_a_state_can_be_saved(rule):
    params = [{"w": np.array([1.0, 2.0])}, (np.array([[3.0]]),)]
    gradient = [{"w": np.array([0.5, -1.0])}, (np.array([[2.0]]),)]
    state = rule.init(params)
    kept = copy.deepcopy((params, gradient, state.slots | {}))
    once, state = rule.step(params, gradient, state)
    rule.step(once, gradient, state)
    restored = pickle.loads(pickle.dumps(state))
    for a, b in zip(rule.step(once, gradient, state), rule.step(once, gradient, restored), strict=True):
        assert str(a.slots if isinstance(a, State) else a) == str(b.slots if isinstance(b, State) else b)
    assert str((params, gradient)) == str(kept[:2])
    with pytest.raises(TypeError):
        state.slots["m"] = 0


# --- the bounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_ball_holds_what_the_rule_computes_in_its_precision(rule, dtype):
    """Balls of twice the precision's roundoff against the rule in long double, with hyperparameters as they are."""
    rng, u = np.random.default_rng(1), 2 * float(np.finfo(dtype).eps) / 2
    w = rng.normal(size=6).astype(dtype)
    plain, balls, exact = rule.init(w), rule.init(Ball.exact(w, u)), rule.init(w.astype(np.longdouble))
    for t in range(40):
        g = (rng.normal(size=6) * 10.0 ** rng.integers(-4, 2)).astype(dtype) * (t % 5 != 2)
        new, plain = rule.step(w, g, plain)
        ball, balls = rule.step(Ball.exact(w, u), Ball.exact(g, u), balls)
        best, exact = rule.step(w.astype(np.longdouble), g.astype(np.longdouble), exact)
        assert new.dtype == dtype
        assert (abs(new.astype(float) - ball.mid) <= 2 * ball.rad).all()
        assert (abs(best - ball.mid) <= ball.rad).all()
        w = new


def test_quotients_and_roots_of_balls_hold_every_quotient_and_root():
    rng = np.random.default_rng(2)
    for _ in range(300):
        a, b = (Fraction(int(n), 1000) for n in rng.integers(-4000, 4000, size=2))
        ra, rb = (Fraction(int(n), 10**5) for n in rng.integers(0, 3000, size=2))
        x = Ball(np.array(float(a)), np.array(float(ra)), np.array(0.0), 2.0**-53)
        y = Ball(np.array(float(b)), np.array(float(rb)), np.array(0.0), 2.0**-53)
        quotient = x / y
        for sa in (-1, 1):
            for sb in (-2, -1, 1, 2):
                # the exact value lies within one radius of the middle, what another code computes within two
                below, exact = b + sb * rb, b + (sb // abs(sb)) * rb
                if below * b <= 0 or exact * b <= 0 or abs(b) <= 2 * rb:
                    assert np.isinf(quotient.rad) or abs(b) > 2 * rb
                    continue
                gap = abs((a + sa * ra) / below - a / exact)
                assert float(gap) <= 2 * float(quotient.rad) * (1 + 1e-9)
        root = Ball(np.array(float(abs(a))), np.array(float(ra)), np.array(0.0), 2.0**-53).sqrt()
        other = max(float(abs(a) + ra), 0.0) ** 0.5
        assert abs(other - float(abs(a)) ** 0.5) <= float(root.rad) * (1 + 1e-9)


def test_a_ball_over_zero_is_unbounded_and_zero_over_epsilon_is_zero():
    ball = Ball.exact(np.array([1.0, 0.0]), 2.0**-53)
    with np.errstate(all="ignore"):
        assert np.isinf((ball / Ball.exact(np.array([0.0, 0.0]), 2.0**-53)).rad[0])
    quotient = Ball.exact(np.array([0.0]), 2.0**-53) / Ball.exact(np.array([1e-8]), 2.0**-53)
    assert (quotient.mid[0], quotient.rad[0]) == (0.0, 0.0)


# --- clipping and schedules -----------------------------------------------------------------------


def test_a_norm_that_overflows_when_it_is_squared_is_a_norm():
    big = [np.array([3e200, 0.0]), np.array([4e200])]
    assert global_norm(big) == pytest.approx(5e200)
    assert global_norm([np.array([3e-200]), np.array([4e-200])]) == pytest.approx(5e-200)
    assert np.concatenate(clip_by_global_norm(big, 1.0)) == pytest.approx([0.6, 0.0, 0.8])


def test_what_is_short_enough_is_not_touched():
    g = [np.array([0.3, 0.4], dtype=np.float32)]
    for clip in (clip_by_value, clip_by_norm, clip_by_global_norm):
        clipped = clip(g, 1.0)
        assert clipped[0].dtype == np.float32
        assert np.array_equal(clipped[0], g[0])


def test_a_gradient_that_is_not_finite_is_not_clipped_into_one():
    with pytest.raises(InputError, match="norm is nan"):
        clip_by_global_norm([np.array([np.nan])], 1.0)
    with pytest.raises(InputError, match="norm is inf"):
        clip_by_norm([np.array([np.inf])], 1.0)


def test_schedules():
    rate = warm_up(cosine(1.0, steps=10, least=0.1), steps=2)
    assert rate(0) == 0.5
    assert rate(10) == pytest.approx(0.1)
    assert rate(1000) == pytest.approx(0.1)
    assert step_decay(1.0, every=10)(25) == pytest.approx(0.01)
    assert constant_rate(0.3)(7) == 0.3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SGD(lr=-1), "lr is -1"),
        (lambda: SGD(lr=float("nan")), "lr is nan"),
        (lambda: SGD(lr=float("inf")), "lr is inf"),
        (lambda: SGD(lr="0.1"), "lr is '0.1'"),
        (lambda: SGD(lr=True), "lr is True"),
        (lambda: SGD(weight_decay="x"), "weight_decay is 'x'"),
        (lambda: Momentum(momentum=1.0), "momentum is 1.0"),
        (lambda: Momentum(form="heavy"), "form is 'heavy'; one of 'sum', 'average', 'velocity'"),
        (lambda: RMSprop(epsilon_at="x"), "epsilon_at is 'x'"),
        (lambda: Adam(beta2=1), "beta2 is 1"),
        (lambda: Adam(epsilon_at="x"), "epsilon_at is 'x'"),
        (lambda: Clipped(by="x"), "by is 'x'"),
        (lambda: Grouped(groups=(SGD(),)), "give pairs"),
        (lambda: Clipped(limit=0), "limit is 0"),
        (lambda: clip_by_value(np.ones(2), -1), "limit is -1"),
        (lambda: cosine(1.0, steps=0), "steps is 0"),
        (lambda: step_decay(1.0, every=True), "every is True"),
        (lambda: SGD().step([np.ones(2)], {"a": np.ones(2)}, State()), "gradient"),
        (lambda: Adam().step([np.ones(2)], [np.ones(2)], State()), "state.slots"),
        (lambda: SGD().step([np.ones(2)], [np.ones(2), np.ones(1)], State()), "has no parameter"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, words):
    with pytest.raises(InputError, match=words.replace("[", r"\[")):
        make()
