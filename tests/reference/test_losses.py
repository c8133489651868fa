"""Every loss and its gradient against its definition in 50-digit arithmetic, and at extremes."""

import itertools

import mpmath
import numpy as np
import pytest

from bpcheck import mlp
from bpcheck.network.architecture import LOSSES, REDUCTIONS
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.reference import build
from bpcheck.reference.loss import LOSS, reduce
from bpcheck.reference.numbers.ball import EVALUATION_ULPS

mp = mpmath.mp.clone()
mp.dps = 50

U = 2.0**-53
M, N = 5, 3


@pytest.fixture
def rng():
    return np.random.default_rng(20260103)


def exact(row):
    return [mp.mpf(float(value)) for value in row]


def _half_mse(a, y):
    return mp.fsum((p - q) ** 2 for p, q in zip(a, y, strict=True)) / 2


def _mse(a, y):
    return mp.fsum((p - q) ** 2 for p, q in zip(a, y, strict=True)) / len(a)


def _huber(a, y):
    sizes = [abs(p - q) for p, q in zip(a, y, strict=True)]
    return mp.fsum(r**2 / 2 if r <= 1 else r - mp.mpf(1) / 2 for r in sizes)


def _binary_cross_entropy(z, y):
    a = [1 / (1 + mp.exp(-v)) for v in z]
    return -mp.fsum(q * mp.log(p) + (1 - q) * mp.log(1 - p) for p, q in zip(a, y, strict=True))


def _cross_entropy(z, y):
    total = mp.fsum(mp.exp(v) for v in z)
    return -mp.fsum(q * mp.log(mp.exp(v) / total) for v, q in zip(z, y, strict=True))


DEFINITION = {
    "half_mse": _half_mse,
    "mse": _mse,
    "huber": _huber,
    "binary_cross_entropy": _binary_cross_entropy,
    "cross_entropy": _cross_entropy,
}


def targets(rng, name, kind):
    if name == "cross_entropy":
        if kind == "hard":
            return np.eye(N)[rng.integers(N, size=M)]
        return rng.dirichlet(np.ones(N), size=M)
    if name == "binary_cross_entropy":
        return rng.integers(0, 2, (M, N)).astype(float) if kind == "hard" else rng.uniform(size=(M, N))
    return rng.normal(size=(M, N)) if kind == "soft" else np.zeros((M, N))


def test_no_loss_is_missing_here_or_in_the_table():
    assert set(LOSS) == set(LOSSES) == set(DEFINITION)
    assert all(name == loss.name for name, loss in LOSS.items())
    fused = {name: loss.fused_output for name, loss in LOSS.items() if loss.fused_output}
    assert fused == {"binary_cross_entropy": "sigmoid", "cross_entropy": "softmax"}


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("scale", [0.3, 3.0, 12.0])
@pytest.mark.parametrize("name", LOSSES)
def test_the_value_of_each_example_is_the_definition(rng, name, scale, kind):
    a, y = rng.normal(scale=scale, size=(M, N)), targets(rng, name, kind)
    values = LOSS[name].value(a, y)
    assert values.shape == (M,)
    for i in range(M):
        right = DEFINITION[name](exact(a[i]), exact(y[i]))
        # a few roundings of each of the N terms; the cross-entropies subtract terms as large as z
        size = abs(right) + (np.abs(a[i]).sum() if LOSS[name].fused_output else 0.0)
        assert abs(mp.mpf(float(values[i])) - right) <= (EVALUATION_ULPS + N) * U * size


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("scale", [0.3, 3.0, 12.0])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_that_of_the_definition(rng, name, scale, kind):
    a, y = rng.normal(scale=scale, size=(M, N)), targets(rng, name, kind)
    gradient = LOSS[name].gradient(a, y)
    assert gradient.shape == (M, N)
    for i, j in np.ndindex(M, N):

        def along(v, i=i, j=j):
            row = exact(a[i])
            row[j] = v
            return DEFINITION[name](row, exact(y[i]))

        right = mp.diff(along, mp.mpf(float(a[i, j])))
        # e^{−d} of the shifted logits is off by a relative d·u, d ≤ max z − min z
        allowed = (EVALUATION_ULPS + N + np.ptp(a[i])) * U * (1 + abs(y[i, j]) + abs(right))
        assert abs(mp.mpf(float(gradient[i, j])) - right) <= allowed


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_the_complex_step_of_the_value(rng, name, kind):
    a, y = rng.normal(scale=3.0, size=(M, N)), targets(rng, name, kind)
    gradient = LOSS[name].gradient(a, y)
    for i, j in np.ndindex(M, N):
        moved = a.astype(complex)
        moved[i, j] += 1e-200j
        steps = LOSS[name].value(moved, y).imag / 1e-200
        assert abs(steps[i] - gradient[i, j]) <= 4 * EVALUATION_ULPS * U * (1 + abs(gradient[i, j]))
        assert not np.delete(steps, i).any()  # no example leaks into another


def test_huber_is_quadratic_inside_one_and_linear_outside_and_joins_smoothly():
    r = np.array([[-3.0], [-1.0], [-0.5], [0.0], [1.0], [2.0]])
    y = np.zeros_like(r)
    assert LOSS["huber"].value(r, y).tolist() == [2.5, 0.5, 0.125, 0.0, 0.5, 1.5]
    assert LOSS["huber"].gradient(r, y).ravel().tolist() == [-1.0, -1.0, -0.5, 0.0, 1.0, 1.0]


def test_sum_over_outputs_or_mean_over_outputs():
    a, y = np.array([[2.0, 0.0]]), np.array([[0.0, 0.0]])
    assert LOSS["half_mse"].value(a, y).tolist() == [2.0]  # ½ · 4, summed
    assert LOSS["mse"].value(a, y).tolist() == [2.0]  # 4 / 2 outputs
    wide = np.array([[2.0, 0.0, 0.0, 0.0]])
    assert LOSS["half_mse"].value(wide, 0 * wide).tolist() == [2.0]
    assert LOSS["mse"].value(wide, 0 * wide).tolist() == [1.0]
    both = np.log([[3.0, 3.0]])  # σ(ln 3) = ¾
    np.testing.assert_allclose(LOSS["binary_cross_entropy"].value(both, 1 + 0 * both), 2 * np.log(4 / 3))


def test_cross_entropy_of_one_hot_is_minus_the_logarithm_of_the_true_class():
    z = np.log(np.array([[0.2, 0.3, 0.5]]))
    np.testing.assert_allclose(LOSS["cross_entropy"].value(z, np.array([[0.0, 1.0, 0.0]])), -np.log(0.3))
    np.testing.assert_allclose(
        LOSS["cross_entropy"].gradient(z, np.array([[0.0, 1.0, 0.0]])), [[0.2, -0.7, 0.5]], atol=1e-16
    )


def test_reductions_are_mean_and_sum_over_the_batch():
    values = np.array([1.0, 2.0, 6.0])
    assert reduce(values, "sum") == 9.0
    assert reduce(values, "mean") == 3.0
    assert set(REDUCTIONS) == {"mean", "sum"}


# --- extremes --------------------------------------------------------------------------------------

BIG = 1e4


@pytest.mark.parametrize("y", [0.0, 1.0, 0.25])
@pytest.mark.parametrize("z", [BIG, -BIG, 800.0, -800.0])
def test_binary_cross_entropy_is_finite_and_exact_at_large_logits(z, y):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value = LOSS["binary_cross_entropy"].value(np.array([[z]]), np.array([[y]]))
        gradient = LOSS["binary_cross_entropy"].gradient(np.array([[z]]), np.array([[y]]))
    assert value.tolist() == [(1 - y) * z if z > 0 else -y * z]
    assert gradient.tolist() == [[(z > 0) - y]]


@pytest.mark.parametrize("y", [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.25, 0.25]])
def test_cross_entropy_is_finite_and_exact_at_large_logits(y):
    z, y = np.array([[BIG, 0.0, -BIG]]), np.array([y])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value = LOSS["cross_entropy"].value(z, y)
        gradient = LOSS["cross_entropy"].gradient(z, y)
    assert value.tolist() == [BIG * y[0, 1] + 2 * BIG * y[0, 2]]
    assert gradient.tolist() == (np.array([[1.0, 0.0, 0.0]]) - y).tolist()


@pytest.mark.parametrize("name", ["half_mse", "mse", "huber"])
def test_the_squared_losses_at_large_outputs(name):
    a, y = np.array([[BIG, -BIG]]), np.zeros((1, 2))
    square = {"half_mse": BIG**2, "mse": BIG**2, "huber": 2 * BIG - 1.0}[name]
    slope = {"half_mse": BIG, "mse": BIG, "huber": 1.0}[name]
    assert LOSS[name].value(a, y).tolist() == [square]
    assert LOSS[name].gradient(a, y).tolist() == [[slope, -slope]]


def _networks():
    for loss, activation in itertools.product(LOSSES, ACTIVATIONS):
        fused = LOSS[loss].fused_output
        for output in (fused, "identity") if fused else ACTIVATIONS:
            yield pytest.param(activation, output, loss, id=f"{activation}-{output}-{loss}")


@pytest.mark.parametrize(("activation", "output", "loss"), list(_networks()))
def test_networks_with_pre_activations_of_ten_thousand_stay_finite(activation, output, loss):
    # hidden z = ±1e4 and 0, output z of the order 1e4 (1e8 behind an unbounded activation)
    architecture = mlp([2, 3, 2], activation=activation, output=output, loss=loss)
    hidden = {"weight": np.array([[BIG, 0.0], [-BIG, 0.0], [0.0, BIG]]), "bias": np.zeros(3)}
    last = {"weight": np.array([[BIG, -BIG, 1.0], [-BIG, BIG, 2.0]]), "bias": np.array([0.5, -0.5])}
    x = np.array([[1.0, 0.0], [-1.0, 1.0], [0.0, -1.0]])
    y = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    network = build(architecture)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(network.loss([hidden, last], x, y))
        gradient = network.gradient([hidden, last], x, y)
        enclosure = network.enclose([hidden, last], x, y)
    assert all(np.isfinite(array).all() for layer in gradient for array in layer.values())
    # what is known is known with a bound, and no bound is NaN (an infinite one would say "unknown")
    assert np.isfinite(enclosure.loss.mid)
    assert not np.isnan(enclosure.loss.rad)
    for ball in enclosure.gradient.values():
        assert np.isfinite(ball.mid).all()
        assert not np.isnan(ball.rad).any()
