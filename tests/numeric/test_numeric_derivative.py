"""derivative(): trees, precision, messages."""

import math

import numpy as np
import pytest

from bpcheck.errors import InputError, SubjectError
from bpcheck.numeric import Central, derivative
from bpcheck.result import Estimate


def holds(estimate, slope):
    return abs(estimate.value - slope) <= estimate.error


def tanh_problem(seed, dtype=np.float64, scale=1.0):
    """A tanh network written here, its loss, a direction, and the slope by hand."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    params = [
        {"weight": rng.standard_normal((4, 3)) * scale, "bias": rng.standard_normal(4)},
        {"weight": rng.standard_normal((2, 4)), "bias": rng.standard_normal(2)},
    ]
    params = [{key: leaf.astype(dtype) for key, leaf in layer.items()} for layer in params]
    direction = [{key: rng.standard_normal(leaf.shape) for key, leaf in layer.items()} for layer in params]
    x, y, divisor = (x / scale).astype(dtype), y.astype(dtype), dtype(10)

    def loss(p):
        a = np.tanh(x @ p[0]["weight"].T + p[0]["bias"])
        return ((a @ p[1]["weight"].T + p[1]["bias"] - y) ** 2).sum() / divisor

    exact = [{key: leaf.astype(float) for key, leaf in layer.items()} for layer in params]
    wide = x.astype(float)
    a = np.tanh(wide @ exact[0]["weight"].T + exact[0]["bias"])
    output = (a @ exact[1]["weight"].T + exact[1]["bias"] - y.astype(float)) / 5
    hidden = output @ exact[1]["weight"] * (1 - a**2)
    v = direction
    slope = ((hidden.T @ wide) * v[0]["weight"]).sum() + (hidden.sum(0) * v[0]["bias"]).sum()
    slope += ((output.T @ a) * v[1]["weight"]).sum() + (output.sum(0) * v[1]["bias"]).sum()
    return loss, params, direction, float(slope)


@pytest.mark.parametrize("scale", [1.0, 1e8, 1e-8])
def test_networks_in_float64(scale):
    for seed in range(12):
        loss, params, direction, slope = tanh_problem(seed, scale=scale)
        if scale != 1.0:
            direction[0]["weight"] *= scale
            loss, params, direction, slope = rescaled(loss, params, direction, scale, seed)
        estimate = derivative(loss, params, direction)
        assert holds(estimate, slope), seed
        assert estimate.error < 1e-8 * (1 + abs(slope))


def rescaled(loss, params, direction, scale, seed):
    """Weights of the first layer of size ``scale``: the direction's slope is that of the plain problem."""
    plain = tanh_problem(seed)
    first = {"weight": plain[1][0]["weight"] * scale, "bias": plain[1][0]["bias"]}
    along = {"weight": plain[2][0]["weight"] * scale, "bias": plain[2][0]["bias"]}

    def stretched(p):
        return plain[0]([{"weight": p[0]["weight"] / scale, "bias": p[0]["bias"]}, p[1]])

    return stretched, [first, plain[1][1]], [along, plain[2][1]], plain[3]


def test_networks_in_float32():
    for seed in range(12):
        loss, params, direction, slope = tanh_problem(seed, np.float32)
        estimate = derivative(loss, params, direction)
        assert holds(estimate, slope), seed
        assert estimate.error < 1e-2 * (1 + abs(slope))


def test_single_entries_in_float32():
    for seed in range(4):
        loss, params, _, _ = tanh_problem(seed, np.float32)
        for index in range(4):
            direction = [{key: np.zeros(leaf.shape) for key, leaf in layer.items()} for layer in params]
            direction[0]["bias"][index] = 1.0
            double = [{key: leaf.astype(float) for key, leaf in layer.items()} for layer in params]
            truth = derivative(loss, double, direction)
            assert truth.error < 1e-6
            assert abs(derivative(loss, params, direction).value - truth.value) <= (
                derivative(loss, params, direction).error + truth.error
            )


def test_float32_stays_float32():
    seen = []
    derivative(lambda p: seen.append(p.dtype) or float(p.sum()), np.ones(3, np.float32), np.ones(3))
    assert set(seen) == {np.dtype(np.float32)}


@pytest.mark.parametrize("length", [1e-12, 1e-3, 1.0, 1e3, 1e12])
def test_the_length_of_the_direction_does_not_matter(length):
    estimate = derivative(np.exp, 1.0, length)
    assert holds(estimate, length * math.e)
    assert estimate.error < 1e-11 * length


@pytest.mark.parametrize("at", [0.0, 1e-300, 1e-8, 1e-3, 1.0, 100.0])
def test_parameters_of_any_size(at):
    estimate = derivative(np.exp, at, 1.0)
    assert holds(estimate, math.exp(at))
    assert estimate.error < 1e-9 * math.exp(at)


def test_the_interval_of_a_kink_is_scaled_back():
    estimate = derivative(lambda w: np.abs(w).sum(), np.array([0.0, 5.0]), np.array([8.0, 0.0]))
    assert estimate.interval == pytest.approx((-8.0, 8.0), abs=1e-9)


def test_trees_of_any_shape():
    at = {"a": (np.array([1.0, 2.0]), [0.5]), "b": np.float64(3.0)}
    direction = {"a": (np.array([1.0, 0.0]), [2.0]), "b": np.float64(1.0)}

    def f(p):
        assert isinstance(p["a"], tuple)
        assert isinstance(p["a"][1][0], float)
        return p["a"][0].prod() * p["a"][1][0] * p["b"]

    assert holds(derivative(f, at, direction), 3.0 + 12.0 + 1.0)


def test_a_scheme_of_ones_own():
    def forward(phi):
        return Estimate((phi(1e-6) - phi(0.0)) / 1e-6, truncation=1e-5, rounding=1e-9, evaluations=2)

    estimate = derivative(np.exp, 1.0, 2.0, scheme=forward)
    assert estimate.evaluations == 2
    assert holds(estimate, 2 * math.e)
    assert holds(derivative(np.exp, 1.0, 2.0, scheme=Central(noise=1e-16)), 2 * math.e)


def test_the_callers_arrays_stay_as_they_are():
    at, direction = {"w": np.ones(3)}, {"w": np.arange(3.0)}

    def vandal(p):
        value = float((p["w"] ** 2).sum())
        p["w"][:] = 7.0
        return value

    errors, state = np.geterr(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert holds(derivative(vandal, at, direction), 6.0)
    assert (at["w"] == 1.0).all()
    assert (direction["w"] == np.arange(3.0)).all()
    assert np.geterr() == errors
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


W = np.ones((2, 3))


@pytest.mark.parametrize(
    ("at", "direction", "match"),
    [
        ({"w": W}, {"w": W.T}, r"direction\['w'\] has shape \(3, 2\), but at\['w'\] needs \(2, 3\)"),
        ({"w": W}, {"v": W}, r"direction\['v'\] has no counterpart"),
        ({"w": W, "b": 1.0}, {"w": W}, r"no leaf for at\['b'\]"),
        ({"w": W}, {"w": 0 * W}, "zero everywhere"),
        ({"w": W}, {"w": W * math.nan}, r"direction\['w'\] holds nan"),
        ({"w": W * math.inf}, {"w": W}, r"at\['w'\] holds inf"),
        ({"w": W.astype(int)}, {"w": W}, r"at\['w'\] is int"),
        ({"w": W + 0j}, {"w": W}, "complex values cannot be perturbed"),
        ([], [], "at is empty"),
    ],
)
def test_what_does_not_fit_is_named(at, direction, match):
    with pytest.raises(InputError, match=match):
        derivative(lambda p: 0.0, at, direction)


@pytest.mark.parametrize(
    ("returned", "match"),
    [
        (None, "returned None"),
        (np.ones(3), "returned 3 numbers"),
        ("1", "returned str"),
        (1j, "complex"),
        ([1.0], "returned list"),
        (True, "returned bool"),
        (math.nan, "not finite at the parameters"),
    ],
)
def test_what_f_returns_is_checked(returned, match):
    with pytest.raises(InputError, match=match):
        derivative(lambda p: returned, 1.0, 1.0)


@pytest.mark.parametrize(
    "wrap", [float, np.float32, np.array, lambda v: np.array([[v]]), lambda v: np.longdouble(v)]
)
def test_one_number_may_come_in_many_forms(wrap):
    assert holds(derivative(lambda p: wrap(3.0 * p), 1.0, 1.0, scheme=Central(roundoff=2.0**-24)), 3.0)


def test_an_exception_of_f_is_chained():
    def broken(p):
        raise KeyError("bias")

    with pytest.raises(SubjectError, match="KeyError") as caught:
        derivative(broken, 1.0, 1.0)
    assert isinstance(caught.value.__cause__, KeyError)
