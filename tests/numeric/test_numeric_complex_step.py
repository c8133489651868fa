"""The complex step: every entry within its error, no silent zero."""

import cmath
import importlib
import itertools
import math

import mpmath
import numpy as np
import pytest
from choosing import some

from bpcheck import mlp, reference, tree
from bpcheck.errors import InputError, SubjectError
from bpcheck.numeric import Central, complex_derivative, complex_step
from bpcheck.result import Estimate

complex_module = importlib.import_module("bpcheck.numeric.complex_step")


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("f", "at", "slope"),
    [
        (np.exp, 1.0, math.e),
        (np.sin, 1e3, math.cos(1e3)),
        (lambda x: x**5, 2.0, 80.0),
        (lambda x: 1 / x, 1e-4, -1e8),
        (np.log, 1e-8, 1e8),
        (lambda x: np.exp(x) + 1e8, 1.0, math.e),
        (lambda x: 3.0 + 0 * x, 1.0, 0.0),
        (lambda x: 5.0, 1.0, 0.0),
        (cmath.tan, 1.5, 1 / math.cos(1.5) ** 2),
        (lambda x: np.where(x.real > 0, x, 0.0), -1.0, 0.0),
        # ((e^x − 1) − x)' at 1e-5 cancels to 1e-5 of its terms
        (lambda x: np.exp(x) - 1 - x, 1e-5, math.expm1(1e-5)),
    ],
)
def test_known_derivatives(f, at, slope):
    estimate = complex_derivative(f, at, 1.0)
    assert abs(estimate.value - slope) <= estimate.error
    assert estimate.error <= 1e-9 * max(abs(slope), 1e-6)
    doubled = complex_derivative(f, at, 2.0)
    assert abs(doubled.value - 2 * slope) <= doubled.error


def precise_network(params, x, y, activation):
    """Loss and gradient of a two-layer network, by hand, with 50 digits."""
    function = {
        "tanh": (mpmath.tanh, lambda z: 1 / mpmath.cosh(z) ** 2),
        "sigmoid": (lambda z: 1 / (1 + mpmath.exp(-z)), lambda z: 1 / (2 + mpmath.exp(z) + mpmath.exp(-z))),
        "softplus": (lambda z: mpmath.log1p(mpmath.exp(z)), lambda z: 1 / (1 + mpmath.exp(-z))),
        "relu": (lambda z: z if z > 0 else z * 0, lambda z: mpmath.mpf(z > 0)),
        "gelu": (
            lambda z: z * mpmath.erfc(-z / mpmath.sqrt(2)) / 2,
            lambda z: mpmath.erfc(-z / mpmath.sqrt(2)) / 2 + z * mpmath.npdf(z),
        ),
    }[activation]
    with mpmath.workdps(50):
        value, slope = (np.frompyfunc(g, 1, 1) for g in function)
        exact = np.frompyfunc(lambda v: mpmath.mpf(float(v)), 1, 1)
        (w1, b1), (w2, b2) = ((exact(layer["weight"]), exact(layer["bias"])) for layer in params)
        x, y = exact(x), exact(y)
        z1 = x @ w1.T + b1
        a1 = value(z1)
        residual = a1 @ w2.T + b2 - y
        loss = (residual**2).sum() / 2 / len(x)
        output = residual / len(x)
        hidden = output @ w2 * slope(z1)
        gradients = [hidden.T @ x, hidden.sum(0), output.T @ a1, output.sum(0)]
        return float(loss), [np.array(g, dtype=float) for g in gradients]


@pytest.mark.parametrize(
    ("kind", "activation"),
    some(
        itertools.product(
            ["ordinary", "saturated", "cancelling"], ["tanh", "relu", "sigmoid", "softplus", "gelu"]
        ),
        default=lambda *case: case in (("ordinary", "tanh"), ("saturated", "relu"), ("cancelling", "tanh")),
    ),
)
def test_every_entry_of_networks_is_within_its_error(activation, kind):
    entries = 0
    for seed in range(6):
        r = np.random.default_rng(seed)
        x, y = r.standard_normal((3, 2)), r.standard_normal((3, 2))
        params = [
            {"weight": r.standard_normal((3, 2)), "bias": r.standard_normal(3)},
            {"weight": r.standard_normal((2, 3)), "bias": r.standard_normal(2)},
        ]
        network = reference.build(mlp([2, 3, 2], activation=activation))
        if kind == "saturated":
            params[0]["bias"] = r.choice([-20.0, 20.0], 3)
        if kind == "cancelling":  # two targets on either side of the output
            output = network.trace(params, x, y).activations[-1]
            x, y = np.concatenate([x, x * (1 + 1e-9)]), np.concatenate([output + 1, output - 1])
        before = [leaf.copy() for _, leaf in tree.leaves(params)]
        testimony = complex_step(lambda p: network.cost(p, x, y), params, rng=r)  # noqa: B023
        loss, gradients = precise_network(params, x, y, activation)
        assert testimony.witness == "numeric"
        assert abs(testimony.loss - loss) <= testimony.loss_error <= 1e-10 * loss
        for (path, value), truth in zip(testimony.gradient.items(), gradients, strict=True):
            assert path.root == "params"
            error = testimony.error[path]
            assert (abs(value - truth) <= error).all(), (seed, str(path))
            if kind == "ordinary":
                assert (error <= 1e-12 * (1 + abs(value).max())).all()
            entries += value.size
        assert all((a == b).all() for a, (_, b) in zip(before, tree.leaves(params), strict=True))
        assert testimony.evaluations >= 10 * 17
    assert entries == 6 * 17


def test_misses_show_without_the_floor(monkeypatch):
    """The control of the test above: what saturated units lose is not in the measured noise."""
    monkeypatch.setattr(complex_module, "FLOOR", 0.0)
    monkeypatch.setattr(complex_module, "CONFIDENCE", 0.5)
    failed = 0
    for kind in ("ordinary", "saturated"):
        try:
            test_every_entry_of_networks_is_within_its_error("sigmoid", kind)
        except AssertionError:
            failed += 1
    assert failed == 2


def test_an_error_of_a_claim_is_seen():
    network = reference.build(mlp([2, 3, 1]))
    r = rng()
    params, x, y = network.init(r), r.standard_normal((4, 2)), r.standard_normal((4, 1))
    testimony = complex_step(lambda p: network.cost(p, x, y), params, rng=r)
    claim = dict(tree.leaves(network.gradient(params, x, y)))
    for path, value in testimony.gradient.items():
        assert np.allclose(claim[path], value, rtol=1e-12, atol=1e-15)
        wrong = claim[path] * (1 + 1e-10)
        assert not (abs(wrong - value) <= testimony.error[path]).all()


def test_zeros_of_the_structure_are_exact():
    testimony = complex_step(
        lambda p: (p["used"] ** 2).sum(), {"used": np.ones(2), "unused": np.ones(3)}, rng=rng()
    )
    values, errors = ({str(k): v for k, v in m.items()} for m in (testimony.gradient, testimony.error))
    assert (values["params['unused']"] == 0).all()
    assert (errors["params['unused']"] == 0).all()
    assert (errors["params['used']"] > 0).all()


def test_results_are_read_only_and_repeatable():
    first, second = (complex_step(lambda p: np.sin(p).sum(), np.ones((2, 2)), rng=rng()) for _ in range(2))
    for path, array in first.gradient.items():
        assert not array.flags.writeable
        assert (first.error[path] == second.error[path]).all()


@pytest.mark.parametrize(
    "f",
    [
        lambda p: np.abs(p).sum(),
        lambda p: (p.real**2).sum(),
        lambda p: (p * np.conj(p)).sum(),
        lambda p: np.linalg.norm(p),
    ],
)
def test_a_lost_imaginary_part_is_noticed(f):
    with pytest.raises(InputError, match="not analytic"):
        complex_step(f, np.array([1.0, -2.0]), rng=rng())
    with pytest.raises(InputError, match="not analytic"):
        complex_derivative(f, np.array([1.0, -2.0]), np.array([1.0, 0.3]))


def test_scalars_arrays_and_float32():
    assert complex_step(lambda p: p**2, 3.0, rng=rng()).gradient[tree.Path("params")] == 6.0
    testimony = complex_step(lambda p: (p**2).sum(), np.full(2, 0.1, np.float32), rng=rng())
    gradient = testimony.gradient[tree.Path("params")]
    assert abs(gradient - 2 * float(np.float32(0.1))).max() < 1e-15


def test_agrees_with_differences():
    network = reference.build(mlp([2, 4, 3], activation="gelu", loss="cross_entropy"))
    r = rng()
    params, x = network.init(r), r.standard_normal((4, 2))
    y = np.eye(3)[[0, 1, 2, 0]]

    def shifted(t):
        moved = tree.copy(params)
        moved[0]["weight"][1, 0] += t
        return network.cost(moved, x, y)

    estimate = Central()(shifted)
    testimony = complex_step(lambda p: network.cost(p, x, y), params, rng=r)
    path = tree.Path("params").item(0).item("weight")
    assert (
        abs(estimate.value - testimony.gradient[path][1, 0]) <= estimate.error + testimony.error[path][1, 0]
    )


@pytest.mark.parametrize("returned", [None, np.ones(2), "x"])
def test_what_f_returns_is_checked(returned):
    with pytest.raises(InputError, match="the function returned"):
        complex_step(lambda p: returned, np.ones(1), rng=rng())


def test_an_exception_of_f_is_chained():
    def broken(p):
        raise TypeError("no complex")

    with pytest.raises(SubjectError, match="no complex") as caught:
        complex_step(broken, np.ones(1), rng=rng())
    assert isinstance(caught.value.__cause__, TypeError)


def test_nothing_global_changes():
    errors, state = np.geterr(), np.random.get_state()[1].copy()  # noqa: NPY002
    complex_step(lambda p: np.exp(p * 1000).sum() * 0 + p.sum(), np.ones(2), rng=rng())
    assert np.geterr() == errors
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


# --- what the cross-check does not vouch for ----------------------------------------------------


def test_a_gap_that_the_bars_do_not_explain_goes_into_the_error():
    explained = complex_module.unexplained(Estimate(1.0, 0.1, 0.1, regime="smooth"), 1.15, 0.0)
    assert explained == 0.0
    gap = complex_module.unexplained(Estimate(1.0, 0.1, 0.1, regime="smooth"), 1.5, 0.0)
    assert gap == 0.5
    with pytest.raises(InputError, match="not analytic"):
        complex_module.unexplained(Estimate(1.0, 0.1, 0.1, regime="smooth"), 4.0, 0.0)
    for regime in ("kink", "rough"):
        with pytest.raises(InputError, match="not analytic"):
            complex_module.unexplained(Estimate(1.0, 0.1, 0.1, regime=regime), 1.5, 0.0)


def test_a_part_that_the_complex_step_cannot_see_next_to_a_kink_is_refused():
    with pytest.raises(InputError, match="not analytic"):
        complex_derivative(lambda w: np.sin(w) + 0.1 * abs(w.real - 0.5 - 1e-6), 0.5, 1.0)


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e-160, 1e160, 1e290])
def test_a_linear_function_has_its_slope_at_any_size(size):
    w = size * np.array([1.0, -2.0])
    estimate = complex_derivative(lambda w: 3.0 * w[0] + w[1], w, np.array([1.0, 0.5]))
    assert abs(estimate.value - 3.5) <= estimate.error < 1e-13
    testimony = complex_step(lambda w: 3.0 * w[0] + w[1], w, rng=np.random.default_rng(0))
    (gradient,) = testimony.gradient.values()
    assert gradient.tolist() == [3.0, 1.0]


def test_a_value_too_large_to_difference_is_called_what_it_is():
    with pytest.raises(InputError, match="overflow"):
        Central()(lambda t: 1.1e305 * (1.0 + t))
    with pytest.raises(InputError, match="not finite"):
        Central()(lambda t: math.inf)
