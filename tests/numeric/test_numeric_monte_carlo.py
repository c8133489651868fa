"""Monte-Carlo arithmetic: every NumPy operation is followed by a rounding of the right size, and equal by equal."""

import numpy as np
import pytest
from scipy.special import expit

from bpcheck import InputError
from bpcheck.numeric.monte_carlo import Arithmetic, MonteCarlo, simulate, smoothed_variance
from bpcheck.tree import Path

U = 2.0**-8
RNG = np.random.default_rng(1)


def many(array, seed=0, **options):
    return MonteCarlo.of(array, Arithmetic.of("bfloat16", seed=seed, **options))


A, V = RNG.standard_normal((5, 4)), RNG.standard_normal(4)
S = A.T @ A + np.eye(4)

FOLLOWED = {
    "operator": lambda a: 2.5 * a - 1 / a,
    "matmul": lambda a: a @ V,
    "matmul from the left": lambda a: np.ones(5) @ a,
    "dot": lambda a: np.dot(a, V),
    "dot method": lambda a: a.dot(V),
    "einsum": lambda a: np.einsum("ij,j->i", a, V),
    "tensordot": lambda a: np.tensordot(a, V, axes=1),
    "outer": lambda a: np.outer(a[0], V),
    "inner": lambda a: np.inner(a, V),
    "sum": lambda a: a.sum(axis=0),
    "mean": lambda a: np.mean(a, axis=1),
    "whole sum": lambda a: np.sum(a),
    "std": lambda a: a.std(axis=0),
    "cumsum": lambda a: np.cumsum(a, axis=1),
    "cumsum method": lambda a: a.cumsum(axis=1),
    "trace": lambda a: a.trace(),
    "prod": lambda a: np.prod(a, axis=0),
    "where": lambda a: np.where(a > 0, a * 1.1, np.exp(a)),
    "clip": lambda a: np.clip(a * 1.1, -1, 1),
    "concatenate": lambda a: np.concatenate([a, a]) * 1.1,
    "stack": lambda a: np.stack([row * 1.1 for row in a]),
    "scipy ufunc": lambda a: expit(a),
    "solve": lambda a: np.linalg.solve(a.T @ a + np.eye(4), V),
    "norm": lambda a: np.linalg.norm(a),
    "elements": lambda a: a[0, 0] * a[1, 1] * 1.1,
    "zeros_like": lambda a: np.zeros_like(a) + a * 1.1,
    "logaddexp": lambda a: np.logaddexp(0, a),
    "convolve": lambda a: np.convolve(a[0], V),
    "max": lambda a: (a * 1.1).max(axis=0),
    "interp": lambda a: np.interp(a[0], np.arange(-5.0, 6.0), np.arange(11.0) ** 2),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_an_operation_is_rounded_and_its_result_is_followed(name):
    function = FOLLOWED[name]
    exact = np.asarray(function(A))
    runs = [function(many(A, seed)) for seed in range(6)]
    assert all(isinstance(run, MonteCarlo) for run in runs)
    off = np.stack([np.asarray(run, dtype=float) - exact for run in runs])
    scale = max(1.0, float(abs(exact).max()))
    assert 1e-5 * scale < abs(off).max() < 40 * U * scale
    assert len({float(np.sum(run)) for run in runs}) > 1  # the seeds differ


@pytest.mark.parametrize(
    "function",
    [
        lambda a: -a,
        abs,
        np.sign,
        lambda a: np.maximum(a, 0),
        lambda a: a.T,
        lambda a: a[::-1],
        lambda a: a.max(),
    ],
    ids=["negative", "abs", "sign", "maximum", "transpose", "slice", "max"],
)
def test_what_has_no_rounding_gets_none(function):
    assert np.array_equal(np.asarray(function(many(A))), function(A))


def test_in_place_operations_and_assignments():
    a = many(A)
    a += 0.1
    a[:, 0] = a[:, 1]
    a *= 3.0
    assert isinstance(a, MonteCarlo)
    assert not np.array_equal(np.asarray(a)[:, 1], (A[:, 1] + 0.1) * 3.0)
    target = many(np.zeros(3))
    np.add.at(target, np.array([0, 0, 2]), np.array([0.1, 0.2, 0.3]))
    assert np.asarray(target)[1] == 0.0
    assert abs(np.asarray(target) - [0.3, 0.0, 0.3]).max() < 4 * U


def test_one_rounding_has_the_modelled_variance():
    x = RNG.uniform(1, 2, 2000)
    off = np.stack([np.asarray(many(x, seed) * 1.0) - x for seed in range(40)])
    # uniform over a spacing of 2u at its largest: between a quarter of u²/3 and u²/3 of the square
    assert 0.25 < np.mean((off / x) ** 2) / (U**2 / 3) < 1.0
    assert abs(off / x).max() <= U


def test_equal_numbers_are_rounded_equally_and_nearly_equal_ones_nearly_so():
    x = np.full(1000, 1 / 3)
    total = np.array([float(np.sum(many(x, seed) * 1.7)) for seed in range(30)]) / (1000 * 1.7 / 3) - 1
    assert np.std(total) > U / 5  # as large as one rounding, not smaller by √1000
    near = (many(np.full(1000, 1 / 3) * (1 + 1e-5 * RNG.standard_normal(1000)), 4) * 1.7) / 1.7
    assert len(np.unique(np.asarray(near))) <= 3
    signs = many(np.array([0.3, -0.3, 0.6]), 5) * 1.1
    assert signs[0] == -signs[1]
    assert float(signs[2]) == 2 * float(signs[0])


def test_amplified_errors_are_larger():
    off = [np.std(np.asarray(many(A, 2, amplification=k) * 1.1) / (A * 1.1) - 1) for k in (1.0, 8.0)]
    assert 4 < off[1] / off[0] < 16


def test_sums_in_low_precision_err_more_than_in_float32():
    x = RNG.standard_normal((400, 300))
    w = RNG.standard_normal(300)
    off = [np.std(np.asarray(many(x, 1, **how) @ w) - x @ w) for how in ({}, {"compute": "bfloat16"})]
    assert off[1] > 3 * off[0]


def test_too_large_numbers_overflow():
    big = MonteCarlo.of(np.array([300.0]), Arithmetic.of("float16"))
    assert np.isinf(np.asarray(big * big)).all()


def test_a_simulated_gradient_is_near_the_exact_one_and_leaves_the_arguments_alone():
    w, x = {"w": A.copy()}, V.copy()

    def gradient(params, x):
        params["w"] *= 1.0  # a function that writes into its arguments
        return {"w": np.outer(np.tanh(params["w"] @ x), x)}

    run = simulate(gradient, (w, x), Arithmetic.of("bfloat16", seed=1))
    right = np.outer(np.tanh(A @ V), V)
    assert 0 < abs(run[Path("params").item("w")] - right).max() < 20 * U
    assert np.array_equal(w["w"], A)
    assert np.array_equal(x, V)


def test_whole_numbers_are_handed_on_as_they_are():
    def gradient(w, labels):
        assert labels.dtype.kind == "i"
        return w[labels] * 2.5

    simulate(gradient, (V, np.array([0, 2])), Arithmetic.of("float16"))


@pytest.mark.parametrize(
    "lossy",
    [
        lambda w: np.array([float(v) * 1.1 for v in w]),
        lambda w: np.asarray(w) * 1.1,
        lambda w: np.fft.irfft(np.fft.rfft(w)),
    ],
    ids=["floats", "asarray", "complex numbers"],
)
def test_a_reference_that_leaves_numpy_is_refused(lossy):
    with pytest.raises(InputError, match=r"cannot be followed.*np\.asarray"):
        simulate(lossy, (V,), Arithmetic.of("float32"))


def test_a_constant_zero_is_no_loss():
    run = simulate(lambda w: (w * 1.1, np.zeros(3)), (V,), Arithmetic.of("float32"))
    assert not run[Path("params").item(1)].any()


def test_a_smoothed_variance_of_three_samples_is_near_the_truth():
    sizes = np.outer(RNG.uniform(0.1, 10, 50), RNG.uniform(0.1, 10, 40))
    seen = np.sqrt(smoothed_variance(sizes * RNG.standard_normal((3, 50, 40)), typical=False)) / sizes
    assert 0.8 < np.median(seen) < 1.5
    assert seen.min() > 0.4  # three samples alone would be off by a factor of 20 somewhere
    flat = smoothed_variance(RNG.standard_normal((8, 30)))
    assert flat.min() >= 0.5 * np.mean(flat)
    assert not smoothed_variance(np.zeros((3, 4))).any()


def test_a_typical_variance_ignores_a_jump_in_one_sample():
    seen = RNG.standard_normal((9, 20, 10))
    jumped = seen.copy()
    jumped[4, 3, :] += 1000.0
    assert smoothed_variance(jumped).max() > 1e4
    assert smoothed_variance(jumped, typical=True).max() < 20
