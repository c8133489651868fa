"""The variance model: rounding errors of correct low-precision code have the modelled size, and no larger.

Measured over many more networks by benchmarks/calibration/low_precision.py.
"""

import ml_dtypes
import numpy as np
import pytest

from bpcheck import Architecture, Case, InputError, mlp, tree
from bpcheck.network.layers import Dense, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.precision import FORMATS, coarsest, format_of, rounded, widened
from bpcheck.reference import build
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.numbers.variance import Noisy, Rounding, flips, through
from bpcheck.strategies.values import case_from_seed

BFLOAT16 = ml_dtypes.bfloat16


# --- formats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dtype"), [("float16", np.float16), ("float32", np.float32), ("bfloat16", BFLOAT16)]
)
def test_rounding_is_that_of_the_dtype(name, dtype):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(20_000) * 10.0 ** rng.integers(-46, 39, 20_000)
    x = x.astype(np.float32)  # ml_dtypes rounds float64 twice
    ties = np.ldexp(rng.integers(1, 4096, 2000).astype(float), rng.integers(-150, 100, 2000))
    special = [0.0, -0.0, 65504.0, 65519.0, 65520.0, 3.4e38, np.inf]
    values = np.concatenate([x, ties, special])
    with np.errstate(all="ignore"):
        expected = values.astype(dtype).astype(float)
        found = rounded(values, name)
    assert np.array_equal(found, expected)
    assert rounded(0.1, "float64") == 0.1


def test_formats_are_known_by_many_names():
    assert format_of(BFLOAT16) == format_of("bfloat16") == format_of("torch.bfloat16") == FORMATS["bfloat16"]
    assert format_of(np.dtype("float16")).largest == np.finfo(np.float16).max
    assert format_of("float32").smallest == np.finfo(np.float32).smallest_subnormal
    assert format_of("float32").smallest_normal == np.finfo(np.float32).smallest_normal
    assert format_of(np.longdouble).name == "float64"
    assert coarsest([np.float32, BFLOAT16, "float16"]).name == "bfloat16"
    assert widened(np.ones(2).astype(BFLOAT16)).dtype == np.float32
    for unknown in ("float8", int, "int32", None):
        with pytest.raises(InputError, match="not known"):
            format_of(unknown)


# --- single operations, against many roundings ----------------------------------------------------

ROUNDING = Rounding.of("float32")
RNG = np.random.default_rng(3)


def single(array):
    return np.asarray(array, dtype=np.float32)


@pytest.mark.parametrize(
    ("model", "computed"),
    [
        (lambda a, b: a @ b, lambda a, b: a @ b),
        (lambda a, b: (a * a).sum(axis=1), lambda a, b: (a * a).sum(axis=1)),
        (lambda a, b: (a @ b).sum(axis=0), lambda a, b: (a @ b).sum(axis=0)),
        (lambda a, b: (a @ b - 1.5) * 0.3 / 7, lambda a, b: (a @ b - single(1.5)) * single(0.3) / single(7)),
        (lambda a, b: (2.0 - a @ b)[:, 1] + b.T[0, 0], lambda a, b: (2 - a @ b)[:, 1] + b[0, 0]),
        (lambda a, b: -((a @ b) * (a @ b)), lambda a, b: -((a @ b) ** 2)),
    ],
    ids=["product", "squares", "sum of products", "scaled", "mixed", "square"],
)
def test_an_operation_errs_as_modelled(model, computed):
    a, b = (single(RNG.standard_normal((400, 30))), single(RNG.standard_normal((30, 300))))
    with np.errstate(all="ignore"):
        noisy = model(Noisy.exact(a, ROUNDING), Noisy.exact(b, ROUNDING))
    z = (computed(a, b).astype(float) - noisy.value) / noisy.deviation
    assert abs(z).max() < 6
    assert 0.1 < np.sqrt(np.mean(z**2)) < 1.3


def test_bfloat16_is_rounded_with_a_unit_of_2_to_the_minus_8():
    """u = 2⁻⁸: half of it, the half ulp of some other convention, would underestimate the variance four times."""
    x = RNG.uniform(1.0, 2.0, 100_000)
    off = (rounded(x, "bfloat16") - x) ** 2
    modelled = Rounding.of("bfloat16").storing(x)
    assert off.mean() < modelled.mean() < 4 * off.mean()
    assert np.all(off <= 3 * modelled)


def test_a_result_too_large_for_the_format_is_not_known():
    noisy = Noisy.exact(np.array([300.0, 30.0]), Rounding.of("float16"))
    squares = noisy * noisy
    assert np.isinf(squares.variance[0])
    assert np.isfinite(squares.variance[1])


@pytest.mark.parametrize("name", [a for a in ACTIVATIONS if a not in ("softmax", "identity")])
def test_activations_carry_the_error_of_z(name):
    sigma = ACTIVATION[name]
    z = RNG.uniform(-4, 4, 2000)
    z = z[abs(z) > 1e-3]
    noisy, slope = sigma.noisy(Noisy(z, 1e-10, ROUNDING))
    shaken = z + 1e-5 * RNG.standard_normal(z.shape)
    value = ((sigma.value(shaken) - noisy.value) / np.maximum(noisy.deviation, 1e-30))[noisy.deviation > 0]
    assert 0.5 < np.sqrt(np.mean(value**2)) < 1.2
    assert abs(value).max() < 6
    moved = (sigma.derivative(shaken, sigma.value(shaken)) - slope.value)[slope.deviation > 0]
    assert moved.size == 0 or np.max(abs(moved) / slope.deviation[slope.deviation > 0]) < 6


def test_a_unit_near_its_kink_may_lie_on_either_side_and_one_far_from_it_may_not():
    z = Noisy(np.array([0.0, 0.5, 2.0, 5.9, 6.1, -0.5]), 1.0, ROUNDING)
    assert np.allclose(flips(z), [0.5, 0.3085, 1 / 36, 1 / 36, 0.0, 0.3085], atol=1e-4)
    exact = Noisy(np.array([0.0, 1e-300]), 0.0, ROUNDING)
    assert list(flips(exact)) == [0.5, 0.0]
    without = Noisy(np.zeros(1), 1.0, Rounding.of("float32", kinks=False))
    assert list(flips(without)) == [0.0]


def test_through_averages_a_slope():
    z = Noisy(np.array([0.0, 3.0]), 1e-4, ROUNDING)
    assert np.allclose(through(np.square, z), [0.0, 36e-4])


# --- whole networks ----------------------------------------------------------------------------------


def drawn(architecture, batch):
    rng = np.random.default_rng(11)
    params = build(architecture).init(rng)
    for layer in params:
        layer["bias"] += 0.3 * rng.standard_normal(layer["bias"].shape)
    x, n = rng.standard_normal((batch, architecture.input_shape[0])), architecture.outputs
    return Case(architecture, params, x, np.eye(n)[rng.integers(n, size=batch)])


def in_float32(case):
    """The same case, of numbers that float32 holds."""
    params = tree.restore(case.params, [single(leaf).astype(float) for _, leaf in tree.leaves(case.params)])
    return Case(case.architecture, params, single(case.x).astype(float), single(case.y).astype(float))


def float32_gradient(case):
    """The reference's own equations on float32 arrays: a correct float32 implementation."""
    params = tree.restore(case.params, [single(leaf) for _, leaf in tree.leaves(case.params)])
    network = build(case.architecture)
    loss, gradient = network.evaluate(params, single(case.x), single(case.y))
    return float(loss), dict(tree.leaves(gradient))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ["half_mse", "cross_entropy", "binary_cross_entropy", "huber", "mse"])
def test_a_float32_network_errs_as_modelled(activation, loss):
    architecture = mlp([20, 16, 12, 4], activation=activation, loss=loss, l2=0.1, l1=0.01)
    case = in_float32(drawn(architecture, 8))
    loss_told, told = build(architecture).noisy(case.params, case.x, case.y)
    value, claimed = float32_gradient(case)
    assert abs(value - loss_told.value) < 6 * loss_told.deviation
    for path, noisy in told.items():
        off = claimed[path].astype(float) - noisy.value
        assert np.all(abs(off) <= 6 * noisy.deviation), path
        size = np.sqrt(np.mean(noisy.value**2))
        if activation not in ("relu", "leaky_relu"):
            assert 12 * noisy.deviation.max() < 1e-3 * size, path  # and it is a bound worth having


def test_skip_connections_have_a_model_too():
    layers = (Dense(6, "tanh"), Skip((Dense(5, "silu"), Dense(6))), Dense(2))
    case = in_float32(case_from_seed(Architecture((4,), layers), 6, 1))
    _, told = build(case.architecture).noisy(case.params, case.x, case.y)
    _, claimed = float32_gradient(case)
    for path, noisy in told.items():
        assert np.all(abs(claimed[path] - noisy.value) <= 6 * noisy.deviation), path


def test_the_values_are_the_reference_s_own():
    case = case_from_seed(mlp([5, 4, 3], loss="cross_entropy", l2=0.1), 4, 2)
    loss, told = build(case.architecture).noisy(case.params, case.x, case.y, dtype="bfloat16")
    right = dict(tree.leaves(build(case.architecture).gradient(case.params, case.x, case.y)))
    assert abs(loss.value - build(case.architecture).loss(case.params, case.x, case.y)) < 1e-12
    for path, noisy in told.items():
        assert np.allclose(noisy.value, right[path], rtol=1e-12, atol=1e-15)


def test_inputs_that_the_format_cannot_hold_have_a_variance():
    architecture = mlp([1, 1])
    held = [{"weight": [[0.5]], "bias": [0.25]}]
    rounded_away = [{"weight": [[0.5 + 2.0**-10]], "bias": [0.25]}]
    network = build(architecture)
    _, exact = network.noisy(held, [[1.0]], [[0.0]], dtype="bfloat16")
    _, inexact = network.noisy(rounded_away, [[1.0]], [[0.0]], dtype="bfloat16")
    path = tree.Path("params").item(0).item("bias")
    assert inexact[path].variance[0] - exact[path].variance[0] == pytest.approx(2.0**-20, rel=0.1)


def test_computing_in_the_stored_format_errs_more():
    case = case_from_seed(mlp([30, 20, 5]), 16, 2)
    network = build(case.architecture)
    _, fine = network.noisy(case.params, case.x, case.y, dtype="bfloat16")
    _, coarse = network.noisy(case.params, case.x, case.y, dtype="bfloat16", compute="bfloat16")
    assert all(np.all(coarse[path].variance >= fine[path].variance) for path in fine)
    assert all(coarse[path].deviation.mean() > 1.2 * fine[path].deviation.mean() for path in fine)
