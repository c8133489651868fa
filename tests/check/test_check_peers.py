"""What other gradient checkers get wrong, in their users' words: each is a case here that must come out right."""

import numpy as np
import pytest
from choosing import some

import bpcheck
from bpcheck import Verdict, check_gradient


def sines(dtype):
    """Σ sin(w), in one precision throughout."""

    def loss(w):
        assert w.dtype == dtype
        return np.sin(w).sum(dtype=dtype)

    return loss, np.cos


def point(n, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(dtype)


# --- a tolerance that grows with the array (jax#3130, open since 2020) -------------------------------


@pytest.mark.parametrize(
    ("n", "dtype"),
    [
        pytest.param(500, np.float32, marks=pytest.mark.full),  # entry by entry
        (1000, np.float32),
        pytest.param(20_000, np.float64, marks=pytest.mark.full),
    ],
)
def test_a_zero_gradient_is_never_accepted_however_large_the_array(n, dtype):
    loss, _ = sines(dtype)
    assert check_gradient(loss, np.zeros_like, point(n, dtype), seed=0).verdict is Verdict.DISAGREES


@pytest.mark.parametrize(
    ("n", "dtype"), [(1000, np.float32), pytest.param(20_000, np.float64, marks=pytest.mark.full)]
)
def test_a_flipped_sign_is_never_accepted(n, dtype):
    loss, gradient = sines(dtype)
    assert check_gradient(loss, lambda w: -gradient(w), point(n, dtype), seed=0).verdict is Verdict.DISAGREES


# --- float32 rejected (pytorch#5351, pytorch#114217; jax from n = 600) --------------------------------


@pytest.mark.parametrize(
    ("n", "seed"),
    # entry by entry up to 600, along lines beyond
    [
        pytest.param(n, seed, marks=() if (n, seed) in ((30, 0), (3000, 1)) else pytest.mark.full)
        for n in (30, 600, 3000)
        for seed in range(3)
    ],
)
def test_a_right_float32_gradient_is_not_rejected(n, seed):
    loss, gradient = sines(np.float32)
    report = check_gradient(loss, gradient, point(n, np.float32, seed), seed=seed, resolution=0.05)
    assert report.verdict is Verdict.AGREES, report
    assert report.detection_limit.maximum <= 0.05


def test_what_float32_cannot_see_is_said_with_the_remedy():
    loss, gradient = sines(np.float32)
    report = check_gradient(loss, gradient, point(3000, np.float32), seed=0, resolution=1e-6)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "float64" in report.remedies[0]


# --- one random projection (pytorch#59615, pytorch#59650: fast mode missed a wrong gradient) ------------


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(s, marks=pytest.mark.full) for s in (2, 3, 4))])
def test_a_permuted_jacobian_is_seen(seed):
    n = 1000
    order = np.random.default_rng(seed).permutation(n)
    report = bpcheck.check_vjp(
        np.sin, lambda w, cotangent: (np.cos(w) * cotangent)[order], point(n, seed=seed), seed=seed
    )
    assert report.verdict is Verdict.DISAGREES, report


@pytest.mark.parametrize("error", some([1e-3, 1.0, 16.0], default=lambda error: error == 1e-3))
def test_a_single_wrong_entry_among_a_thousand_is_seen(error):
    def off(w):
        gradient = np.cos(w)
        gradient[617] += error
        return gradient

    loss, _ = sines(np.float64)
    assert check_gradient(loss, off, point(1000), seed=0).verdict is Verdict.DISAGREES


# --- the slope of a Taylor test, read by eye (Manopt, pyadjoint: a relative error of 1e-4 passes) --------


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.full) for s in range(1, 10))])
@pytest.mark.parametrize("n", [20, 2000])
def test_a_relative_error_of_1e_4_is_seen_in_every_run(n, seed):
    loss, gradient = sines(np.float64)
    wrong = check_gradient(loss, lambda w: (1 + 1e-4) * gradient(w), point(n, seed=seed), seed=seed)
    assert wrong.verdict is Verdict.DISAGREES


# --- an absolute tolerance (PyTensor: anything below 1e-4; OpenMDAO#3413: none works across magnitudes) ---


@pytest.mark.parametrize(
    ("n", "scale"),
    [
        pytest.param(n, scale, marks=() if n == 20 and scale == 1e-12 else pytest.mark.full)
        for n in (20, 2000)
        for scale in (1e-12, 1e-8, 1e-4, 1e4, 1e8)
    ],
)
def test_the_size_of_the_gradient_decides_nothing(scale, n):
    w = point(n)

    def loss(w):
        return scale * float(np.sin(w).sum())

    right = check_gradient(loss, lambda w: scale * np.cos(w), w, seed=0)
    assert right.verdict is Verdict.AGREES, right
    for wrong in (lambda w: 0.0 * w, lambda w: scale * np.sin(w), lambda w: 1.001 * scale * np.cos(w)):
        assert check_gradient(loss, wrong, w, seed=0).verdict is Verdict.DISAGREES


@pytest.mark.full
def test_magnitudes_that_differ_by_1e16_in_one_problem():
    params = {"large": point(20) * 1e8, "small": point(20, seed=1) * 1e-8}

    def loss(p):
        return float(np.sin(p["large"] * 1e-8).sum() + np.sin(p["small"] * 1e8).sum())

    def gradient(p):
        return {"large": 1e-8 * np.cos(p["large"] * 1e-8), "small": 1e8 * np.cos(p["small"] * 1e8)}

    assert check_gradient(loss, gradient, params, seed=0).verdict is Verdict.AGREES
    for name in params:

        def wrong(p, name=name):
            claim = gradient(p)
            claim[name] = 1.01 * claim[name]
            return claim

        report = check_gradient(loss, wrong, params, seed=0)
        assert [c.verdict.ok for c in report.comparisons] == [name == "small", name == "large"]


# --- a number that nobody can interpret (scipy#7766), a huge one that passes (warp#508) -----------------


def test_the_answer_is_a_verdict_with_its_limit_and_not_a_number():
    loss, gradient = sines(np.float64)
    text = " ".join(str(check_gradient(loss, gradient, point(100), seed=0)).split())
    assert "AGREES" in text
    assert "would have been seen" in text


@pytest.mark.full
def test_a_relative_error_of_a_thousand_is_no_pass():
    loss, gradient = sines(np.float64)
    assert not check_gradient(loss, lambda w: 1587 * gradient(w), point(100), seed=0)


# --- kinks (caffe#1334: accept the subgradient interval; pytorch#114234) --------------------------------


@pytest.mark.parametrize(
    ("n", "choice"),
    [
        (5, 0.0),
        (5, 0.3),
        pytest.param(5, 1.0, marks=pytest.mark.full),
        pytest.param(1000, 0.3, marks=pytest.mark.full),
        pytest.param(1000, 0.0, marks=pytest.mark.full),
        pytest.param(1000, 1.0, marks=pytest.mark.full),
    ],
)
def test_every_choice_at_the_kink_of_relu_is_right(choice, n):
    w = point(n)
    w[1] = 0.0

    def gradient(w):
        return np.where(w > 0, 1.0, np.where(w == 0, choice, 0.0))

    report = check_gradient(lambda w: float(np.maximum(w, 0.0).sum()), gradient, w, seed=0)
    assert report.verdict is Verdict.AGREES_AT_KINK, report


@pytest.mark.parametrize("choice", some([-0.5, 1.5], default=lambda choice: choice == 1.5))
def test_a_value_that_is_no_choice_is_not_right(choice):
    def gradient(w):
        return np.where(w > 0, 1.0, np.where(w == 0, choice, 0.0))

    loss = lambda w: float(np.maximum(w, 0.0).sum())  # noqa: E731
    assert not check_gradient(loss, gradient, np.array([1.0, 0.0, -2.0]), seed=0)


# --- nondeterminism (pytorch#56202) ----------------------------------------------------------------------


def test_a_gradient_that_changes_from_call_to_call_is_told():
    rng = np.random.default_rng(0)
    loss, gradient = sines(np.float64)

    def jittery(w):
        return gradient(w) * (1 + 1e-3 * rng.standard_normal())

    assert not check_gradient(loss, jittery, point(50), seed=0)


# --- zeros pass (KernelBench#142, KernelBench#165) ------------------------------------------------------


def test_a_backward_that_returns_zeros_for_one_tensor_is_seen():
    params = {"weight": point(12).reshape(3, 4), "bias": np.zeros(3)}
    x = point(8, seed=1).reshape(2, 4)

    def loss(p, x):
        return float((np.tanh(x @ p["weight"].T + p["bias"]) ** 2).sum())

    def gradient(p, x):
        a = np.tanh(x @ p["weight"].T + p["bias"])
        delta = 2 * a * (1 - a * a)
        return {"weight": delta.T @ x, "bias": np.zeros(3)}

    report = check_gradient(loss, gradient, params, x, seed=0)
    assert [c.verdict for c in report.comparisons] == [Verdict.AGREES, Verdict.DISAGREES]
