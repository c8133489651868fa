"""The noise of a function, measured at several spacings."""

import math

import numpy as np
import pytest

from bpcheck.numeric import measure_noise
from bpcheck.numeric.kink import jumps
from bpcheck.numeric.noise import noise_levels
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
