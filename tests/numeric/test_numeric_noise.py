"""The noise of a function, measured at several spacings."""

import math

import numpy as np
import pytest
from choosing import product

from bpcheck.numeric import Central, measure_noise
from bpcheck.numeric.kink import jumps
from bpcheck.numeric.noise import coarse_part, noise_levels
from bpcheck.numeric.richardson import weights


@pytest.mark.parametrize("sigma", [1e-12, 1e-9, 1e-6, 1e-3])
def test_additive_gaussian_noise_is_found_within_a_factor(sigma):
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        found.append(measure_noise(lambda t: math.exp(t) + sigma * rng.standard_normal()))  # noqa: B023
    assert sigma / 3 < min(found)
    assert max(found) < 6 * sigma
    assert sigma / 2 < np.median(found) < 3 * sigma


@pytest.mark.parametrize(
    "phi", [math.exp, math.cos, lambda t: (1 + t) ** 5, lambda t: math.sin(100 * (1 + t))]
)
def test_the_noise_of_a_smooth_function_is_its_rounding(phi):
    assert 0.5 * 2.0**-53 * abs(phi(0.0)) < measure_noise(phi) < 2.0**-53 * 100


def test_an_offset_is_the_noise():
    assert 1e-9 < measure_noise(lambda t: math.exp(t) + 1e8) < 2e-8


def test_values_rounded_inside_are_noisy_though_small():
    assert measure_noise(lambda t: (math.exp(t) + 1e8) - 1e8) > 1e-9


def test_float32_inside_of_float64():
    assert 1e-8 < measure_noise(lambda t: float(np.exp(np.float32(1 + t)))) < 1e-6


def test_scale_invariance():
    assert measure_noise(lambda t: math.exp(t) * 2.0**700) == measure_noise(math.exp) * 2.0**700


def test_a_constant_has_the_rounding_of_its_value():
    assert 0 < measure_noise(lambda t: 5.0) < 1e-14
    assert measure_noise(lambda t: 0.0) == 0.0


def test_levels_of_white_noise_agree():
    values = np.random.default_rng(0).standard_normal((3000, 9))
    levels = np.array([noise_levels(row) for row in values])
    assert np.sqrt((levels**2).mean(axis=0)) == pytest.approx(1.0, rel=0.1)


def test_weights_remove_the_powers_that_they_should():
    h = 0.5 ** np.arange(8)
    for power in (1, 2):
        for q, w in enumerate(weights(5, power)):
            assert w.sum() == pytest.approx(1.0)
            for k in range(q):
                assert abs(w @ h[: q + 1] ** (power + 2 * k)) < 1e-14


def test_jumps_of_a_smooth_function_vanish():
    h = 0.3 * 0.5 ** np.arange(6)
    smooth = jumps(h, np.exp(h), np.exp(-h), 1.0, np.full(6, 1e-16), 5)
    kinked = jumps(h, np.exp(h) + 0.1 * h, np.exp(-h), 1.0, np.full(6, 1e-16), 5)
    assert not smooth.significant(5)
    assert kinked.significant(5)
    assert kinked.value[5, 4] == pytest.approx(0.1, abs=1e-10)


# --- shape is no noise ------------------------------------------------------------------------

RIPPLES = {
    "ripple of 1e6 u": (lambda w: w + 1e-8 * np.sin(1e8 * w), np.array([100.0])),
    "ripple of 1e5 u": (lambda w: w + 1e-9 * np.sin(1e9 * w), np.array([100.0])),
    "fast oscillation": (lambda w: np.sin(1e3 * w), np.array([1e8, 1.0])),
    "inverse": (lambda w: 1.0 / w, np.array([1e6, 1e-6])),
    "logarithm": (lambda w: np.log(abs(w)), np.array([1e6, 1e-6])),
    "arctangent": (lambda w: np.arctan(1e6 * w), np.array([1e6, 1e-6])),
    "bump in float32": (lambda w: np.exp(-(w**2)), np.array([1e6, 1.0], np.float32)),
}


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize(("name", "entry"), product(RIPPLES, [None, 0, -1]))
def test_shape_too_fast_for_the_spacing_is_no_noise(name, entry):
    f, w = RIPPLES[name]
    size = math.sqrt(float(np.mean(w.astype(float) ** 2)))
    v = np.full(w.shape, size) * [0.7, -0.3][: w.size] if entry is None else size * np.eye(w.size)[entry]

    def phi(t):
        return float(f((w.astype(float) + t * v).astype(w.dtype)).sum())

    u = np.finfo(w.dtype).eps / 2
    step = 1e-30
    slope = float(sum(f(w.astype(complex) + 1j * step * v).imag / step)) if "log" not in name else None
    if slope is None:
        slope = float(v @ (1.0 / w))
    for noise in (None, measure_noise(phi, roundoff=u)):
        estimate = Central(noise=noise, roundoff=u)(phi)
        assert abs(estimate.value - slope) <= estimate.error


@pytest.mark.parametrize("size", [1e-11, 1e-8, 1e-5])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_steps_are_noise_and_no_shape(size, shift):
    rounded = measure_noise(lambda t: size * round((math.exp(t) + shift) / size))
    assert 0.2 * size < rounded < 2.0 * size


def test_steps_on_a_slope_that_goes_against_them_are_noise():
    found = [
        measure_noise(lambda t, c=c: 1e-11 * round(math.exp(t) / 1e-11) - c * t) for c in (0.1, 0.5, 2, 8)
    ]
    assert min(found) > 2e-12


def test_noise_from_a_generator_is_noise_however_large():
    rng = np.random.default_rng(0)
    assert 3e-4 < measure_noise(lambda t: math.exp(t) + 1e-3 * rng.standard_normal()) < 6e-3


def test_the_noise_at_a_kink_is_its_rounding():
    rng = np.random.default_rng(0)
    w, v = rng.standard_normal((2, 300))
    w[:20] = 0.0
    assert measure_noise(lambda t: float(np.maximum(w + t * v, 0.0).sum())) < 1e-12


def single(t):
    return float(np.sin(np.float32(0.7 + 0.7 * t)))


def test_what_changes_from_call_to_call_is_no_part_in_a_coarser_format():
    rng = np.random.default_rng(0)
    assert (
        coarse_part(lambda t: math.sin(0.7 + t) + 1e-6 * rng.standard_normal(), math.sin(0.7), 1e-16) == 0.0
    )


@pytest.mark.parametrize("smooth", [1.0, 1e-3])
def test_a_float32_part_beside_a_smooth_one_is_noise(smooth):
    # close to 0 the float32 part stands still, and the other one has the noise of float64
    sigma = measure_noise(lambda t: single(t) + smooth * (0.5 + t) ** 2)
    assert 1e-9 < sigma < 1e-7


@pytest.mark.parametrize(
    "phi",
    [
        lambda t: np.sin(0.7 + t) + 1e-7 * np.sin(1e5 * t),
        lambda t: np.sin(0.7 + t) + 1e-5 * abs(t - 1e-5),
        lambda t: np.sin(0.7 + t) + 1e-5 * (t > 1e-5),
    ],
    ids=["oscillation", "kink", "step"],
)
def test_what_is_no_coarse_part_is_not_taken_for_one(phi):
    assert measure_noise(phi) < 1e-14
