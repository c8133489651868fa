"""One-sided differences and the complex scheme: does the bar hold, and is the other side left alone?"""

import math

import numpy as np
import pytest

from bpcheck.errors import InputError
from bpcheck.numeric import Central, Complex, Forward, OneSided, Scheme, derivative
from bpcheck.numeric.richardson import weights


def holds(estimate, slope):
    return abs(estimate.value - slope) <= estimate.error


def only(side, f):
    """F, and a complaint if it is asked on the other side."""

    def phi(t):
        assert side * t >= 0.0, t
        return f(t)

    return phi


# name, φ, φ'(0), widest relative bar that is acceptable
SMOOTH = [
    ("linear", lambda t: 3.0 * t + 0.1, 3.0, 1e-11),
    ("cubic", lambda t: (1 + t) ** 3, 3.0, 1e-11),
    ("exp", lambda t: math.exp(1 + t), math.e, 1e-10),
    ("offset 1e8", lambda t: math.exp(1 + t) + 1e8, math.e, 1e-3),
    ("tiny values", lambda t: 1e-200 * math.exp(1 + t), 1e-200 * math.e, 1e-10),
    ("logarithm near 0", lambda t: math.log(1e-3 + t) if t > -1e-3 else math.nan, 1e3, 1e-8),
    ("pole at 1e-3", lambda t: 1 / (1e-3 + t), -1e6, 1e-7),
    ("sin, scale 1e3", lambda t: math.sin(1e3 * (1 + t)), 1e3 * math.cos(1e3), 1e-8),
    ("minimum", lambda t: t * t, 0.0, None),
]


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("name", "phi", "slope", "widest"), SMOOTH, ids=[row[0] for row in SMOOTH])
def test_the_truth_is_inside_a_narrow_bar_and_the_other_side_is_never_asked(side, name, phi, slope, widest):
    estimate = OneSided(side=side)(only(side, phi))
    assert holds(estimate, slope)
    if widest is not None:
        assert estimate.error <= widest * abs(slope)


def test_every_evaluation_is_counted():
    calls = []
    estimate = Forward()(lambda t: calls.append(t) or math.exp(t))
    assert estimate.evaluations == len(calls)
    assert min(calls) == 0.0


def random_smooth(seed):
    rng = np.random.default_rng(seed)
    a, b, c = rng.standard_normal(3)
    w = 10.0 ** rng.uniform(-1, 2)
    offset = rng.choice([0.0, 1.0, 1e4])

    def phi(t):
        return offset + a * math.sin(w * t + b) + math.exp(c * t)

    return phi, a * w * math.cos(b) + c


def test_no_miss_on_random_functions():
    for seed in range(40):
        phi, slope = random_smooth(seed)
        assert holds(OneSided(side=1 - 2 * (seed % 2))(phi), slope), seed


@pytest.mark.parametrize("sigma", [1e-9, 1e-4])
def test_additive_noise(sigma):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        phi, slope = random_smooth(seed)
        estimate = Forward()(lambda t: phi(t) + sigma * rng.standard_normal())  # noqa: B023
        assert holds(estimate, slope), seed


def test_float32_values():
    for seed in range(10):
        phi, slope = random_smooth(seed)
        estimate = Forward(roundoff=2.0**-24)(lambda t: float(np.float32(phi(t))))  # noqa: B023
        assert holds(estimate, slope), seed


def test_one_sided_derivatives_at_a_kink():
    for side in (1, -1):
        estimate = OneSided(side=side)(lambda t: abs(t) * 2.0 + math.sin(t))
        assert holds(estimate, 1.0 + 2.0 * side)
        assert estimate.error < 1e-10
        assert estimate.interval is None
    interval = Central()(lambda t: abs(t) * 2.0 + math.sin(t)).interval
    assert interval == pytest.approx((-1.0, 3.0), abs=1e-9)


@pytest.mark.parametrize("distance", [1e-11, 1e-9, 1e-6, 1e-3, 0.1])
def test_a_kink_nearby_is_not_mistaken_for_smooth(distance):
    for jump in (-3.0, 0.1):
        estimate = Forward()(lambda t, j=jump: math.sin(t + 1.0) + j * max(t - distance, 0.0))
        assert holds(estimate, math.cos(1.0))
    assert distance < 1e-7 or estimate.error < 1e-3


@pytest.mark.parametrize("power", [1.2, 1.35, 1.5, 1.7, 1.9, 2.5])
def test_a_power_that_is_no_whole_number_at_the_end_of_the_domain(power):
    for seed in range(4):
        a, b, c = np.random.default_rng(seed).standard_normal(3)
        estimate = Forward()(lambda t: a + b * t + c * t**power if t >= 0.0 else math.nan)  # noqa: B023
        assert holds(estimate, b)


@pytest.mark.parametrize(
    "phi",
    [math.sqrt, lambda t: t * math.log(t) if t else 0.0, lambda t: float(t > 0.0), lambda t: t**0.9],
    ids=["square root", "t log t", "step", "t^0.9"],
)
def test_where_there_is_no_derivative_none_is_claimed(phi):
    estimate = Forward()(phi)
    assert estimate.error == math.inf
    assert estimate.regime == "rough"


def test_flat_functions():
    assert Forward()(lambda t: 3.0).value == 0.0
    assert OneSided(side=-1)(lambda t: max(t, 0.0)).value == 0.0
    assert Forward()(lambda t: float(t > 0.5)).error == math.inf


def test_the_domain_may_end_ahead():
    # only t < 0.01 has values: the coarse rungs are dropped
    estimate = Forward()(lambda t: math.sqrt(0.01 - t) if t <= 0.01 else math.nan)
    assert holds(estimate, -5.0)
    assert Forward()(lambda t: math.nan if t > 0 else 1.0).error == math.inf


def test_schemes_are_values_that_derivative_takes():
    schemes: list[Scheme] = [Forward(), OneSided(side=-1, noise=1e-16), Central()]
    for scheme in schemes:
        estimate = derivative(
            lambda w: np.sum(w**3), np.array([1.0, 2.0]), np.array([0.5, 1.0]), scheme=scheme
        )
        assert holds(estimate, 1.5 + 12.0)
    assert Forward() == Forward(side=1)
    assert hash(Forward())


@pytest.mark.parametrize(
    "options", [{"side": 0}, {"side": 2}, {"side": True}, {"noise": -1.0}, {"first_step": 0.0}]
)
def test_bad_settings(options):
    with pytest.raises(InputError, match=next(iter(options))):
        OneSided(**options)
    with pytest.raises(InputError, match="not finite"):
        Forward()(lambda t: math.nan)


def test_weights_remove_all_powers():
    h = 0.3 * 0.5 ** np.arange(9)
    for q, w in enumerate(weights(8, 1, 1)):
        for power in range(1, q + 1):
            assert abs(w @ h[: q + 1] ** power) < 1e-12 * 0.3**power
        assert w.sum() == pytest.approx(1.0, abs=1e-12)


# ---- the complex step as a scheme -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("phi", "slope", "widest"),
    [
        (lambda t: np.exp(1 + t), math.e, 1e-14),
        (lambda t: np.exp(1 + t) + 1e8, math.e, 1e-14),  # a constant costs nothing
        (lambda t: np.sin(1e3 * (1 + t)), 1e3 * math.cos(1e3), 1e-9),  # φ'' is seen as noise
        (lambda t: np.log(1e-3 + t), 1e3, 1e-9),
        (lambda t: 3.0, 0.0, 0.0),
    ],
)
def test_the_complex_scheme(phi, slope, widest):
    estimate = Complex()(phi)
    assert holds(estimate, slope)
    assert estimate.error <= widest * abs(slope)
    assert estimate.regime == "exact"


def test_the_complex_scheme_checks_itself():
    broken = [lambda t: abs(1.0 + t) ** 2, lambda t: np.real(t) * 3.0, lambda t: np.conj(t) * 2.0]
    for phi in broken:
        with pytest.raises(InputError, match="not analytic"):
            Complex()(phi)
    assert Complex(cross_check=False)(broken[0]).value == 0.0  # silently wrong without the check
    with pytest.raises(InputError, match="one is needed"):
        Complex()(lambda t: np.array([t, t]))
    with pytest.raises(InputError, match="not finite"):
        Complex()(lambda t: complex(math.nan, 0.0))
