"""Taylor remainders and the V: orders only from above the noise, and sentences that claim no more than they saw."""

import math

import numpy as np
import pytest

from bpcheck import step_curve, taylor_remainder
from bpcheck.errors import InputError, SubjectError
from bpcheck.numeric.step_curve import step_errors
from bpcheck.numeric.taylor import remainders

W = {"w": np.array([[0.3, -1.0], [2.0, 0.7]]), "b": np.array([0.1, -0.4])}
X = np.random.default_rng(0).standard_normal((5, 2))


def loss(params, x):
    return float(np.mean(np.tanh(x @ params["w"].T + params["b"]) ** 2))


def gradient(params, x):
    a = np.tanh(x @ params["w"].T + params["b"])
    delta = 2 * a * (1 - a**2) / a.size
    return {"w": delta.T @ x, "b": delta.sum(axis=0)}


def scaled(factor):
    return lambda params, x: {name: factor * g for name, g in gradient(params, x).items()}


def test_a_right_gradient_has_orders_one_and_two():
    for seed in range(5):
        found = taylor_remainder(loss, gradient, W, X, seed=seed)
        assert found.first_order.value == pytest.approx(1.0, abs=0.02)
        assert abs(found.second_order.value - 2.0) <= found.second_order.uncertainty < 0.3
        assert found.visible_relative_error < 1e-5
        assert "as it does for a right gradient" in found.summary
        assert "would not show" in found.summary


@pytest.mark.parametrize("error", [1.0, 1e-1, 1e-2, 1e-3, 1e-4])
def test_a_wrong_gradient_has_order_one_and_its_error_is_read_off(error):
    for seed in range(5):
        found = taylor_remainder(loss, scaled(1 + error), W, X, seed=seed)
        assert found.second_order.value == pytest.approx(1.0, abs=0.05)
        assert found.visible_error == pytest.approx(abs(found.slope) * error / (1 + error), rel=0.05)
        assert "not like h²" in found.summary


def test_an_error_below_what_is_visible_is_said_to_be_invisible():
    right = taylor_remainder(loss, gradient, W, X, seed=1)
    tiny = 0.05 * right.visible_relative_error
    wrong = taylor_remainder(loss, scaled(1 + tiny), W, X, seed=1)
    assert "as it does for a right gradient" in wrong.summary  # the picture cannot know better
    assert wrong.visible_relative_error > tiny  # and says so
    seen = taylor_remainder(loss, scaled(1 + 30 * right.visible_relative_error), W, X, seed=1)
    assert "as it does for a right gradient" not in seen.summary


def test_noise_never_makes_an_order():
    rng = np.random.default_rng(3)
    for sigma in (1e-9, 1e-6, 1e-3):
        found = remainders(lambda t: math.exp(t) + sigma * rng.standard_normal(), 1.0)  # noqa: B023
        assert found.noise == pytest.approx(sigma, rel=2.0)
        assert (found.steps[found.usable] ** 2 > sigma).all()
        assert found.second_order.rungs < 2 or abs(found.second_order.value - 2.0) < 0.5
    found = remainders(lambda t: 1.0 + 1e-3 * rng.standard_normal(), 0.0)
    assert found.second_order.rungs < 2
    assert "no order can be told" in found.summary


def test_a_linear_function_leaves_nothing_but_noise():
    found = taylor_remainder(
        lambda w: float(3.0 * w.sum()), lambda w: 0 * w + 3.0, np.array([1.0, 2.0]), seed=0
    )
    assert not found.usable.any()
    assert math.isnan(found.second_order.value)
    assert "no order can be told" in str(found)


def test_a_kink_is_neither():
    found = remainders(lambda t: abs(t) ** 1.5, 0.0)
    assert found.second_order.value == pytest.approx(1.5, abs=0.01)
    assert "neither h² nor h" in found.summary


def test_float32_parameters_give_fewer_rungs():
    params = {name: value.astype(np.float32) for name, value in W.items()}
    x = X.astype(np.float32)
    found = taylor_remainder(loss, gradient, params, x, seed=0)
    assert 2 <= np.count_nonzero(found.usable) <= 6
    assert found.second_order.value == pytest.approx(2.0, abs=0.3)


def test_a_direction_and_steps_in_its_own_units():
    direction = {"w": 100.0 * np.ones((2, 2)), "b": np.zeros(2)}
    steps = [1e-3, 1e-4, 1e-5]
    found = taylor_remainder(loss, gradient, W, X, direction=direction, steps=steps)
    assert found.steps == pytest.approx(steps)
    assert found.slope == pytest.approx(100.0 * gradient(W, X)["w"].sum())
    assert found.first[-1] == pytest.approx(1e-5 * abs(found.slope), rel=1e-2)
    assert abs(found.second_order.value - 2.0) <= found.second_order.uncertainty < 0.5
    assert found.seed is None


def test_results_are_frozen_and_arguments_kept():
    kept = {name: value.copy() for name, value in W.items()}
    found = taylor_remainder(loss, gradient, W, X)
    assert found.seed is not None
    with pytest.raises(ValueError, match="read-only"):
        found.steps[0] = 1.0
    assert all(np.array_equal(W[name], kept[name]) for name in W)


def test_the_v_has_two_arms_and_the_estimate_lies_below_its_bottom():
    found = step_errors(np.exp, exact=1.0)
    steps, errors = np.log(found.steps), np.log(np.maximum(found.errors, 1e-17))
    right = (found.steps > 1e-3) & (found.steps < 0.3)
    left = (found.steps > 1e-13) & (found.steps < 1e-8)
    assert np.polyfit(steps[right], errors[right], 1)[0] == pytest.approx(2.0, abs=0.1)
    assert np.polyfit(steps[left], errors[left], 1)[0] == pytest.approx(-1.0, abs=0.3)
    assert abs(found.estimate.value - 1.0) <= found.estimate.error < 1e-12


def test_a_step_curve_of_a_loss():
    curve = step_curve(loss, W, X, seed=2)
    assert not curve.is_exact
    assert curve.seed == 2
    assert curve.reference == curve.estimate.value
    along = {"w": np.ones((2, 2)), "b": np.ones(2)}
    exact = sum(g.sum() for g in gradient(W, X).values())
    curve = step_curve(loss, W, X, direction=along, exact=exact)
    assert abs(curve.estimate.value - exact) <= curve.estimate.error
    assert curve.best[1] < 1e-8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": [1e-3]}, "two or more"),
        ({"steps": [1e-3, -1.0]}, "positive"),
        ({"steps": [1e-3, 1e-3]}, "twice"),
        ({"seed": -1}, "seed"),
        ({"direction": {"w": np.ones((2, 2))}}, "direction has no leaf"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(InputError, match=words):
        taylor_remainder(loss, gradient, W, X, **options)


def test_bad_functions():
    with pytest.raises(InputError, match="shape"):
        taylor_remainder(loss, lambda p, x: {"w": np.ones(3), "b": np.ones(2)}, W, X)
    with pytest.raises(InputError, match="one number is needed"):
        taylor_remainder(lambda p, x: x, gradient, W, X)
    with pytest.raises(InputError, match="not finite"):
        taylor_remainder(lambda p, x: math.nan, gradient, W, X)
    with pytest.raises(SubjectError, match="ZeroDivisionError"):
        taylor_remainder(lambda p, x: 1 / 0, gradient, W, X)
    with pytest.raises(InputError, match="slope"):
        remainders(np.exp, math.nan)
    with pytest.raises(InputError, match="give the direction too"):
        step_curve(loss, W, X, exact=1.0)
