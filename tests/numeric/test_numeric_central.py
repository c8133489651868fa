"""Central differences: does the bar hold, and is a kink, a hole or a step called what it is?"""

import importlib
import math

import numpy as np
import pytest
from choosing import product, seeds

from bpcheck.errors import InputError
from bpcheck.numeric import Central, measure_noise

central = importlib.import_module("bpcheck.numeric.central")


def logarithm(offset):
    return lambda t: math.log(offset + t) if offset + t > 0 else math.nan


def rosenbrock(x, y, v):
    return lambda t: (1 - x - t) ** 2 + 100 * (y + v * t - (x + t) ** 2) ** 2


# name, φ, φ'(0), widest relative bar that is acceptable
SMOOTH = [
    ("constant", lambda t: 3.0, 0.0, None),
    ("linear", lambda t: 3.0 * t + 0.1, 3.0, 1e-13),
    ("square", lambda t: (1 + t) ** 2, 2.0, 1e-13),
    ("cubic", lambda t: (1 + t) ** 3, 3.0, 1e-13),
    ("degree 12", lambda t: (1 + t) ** 12, 12.0, 1e-11),
    ("minimum", lambda t: t * t, 0.0, None),
    ("exp", lambda t: math.exp(1 + t), math.e, 1e-12),
    ("steep exp", lambda t: math.exp(20 * (1 + t)), 20 * math.exp(20), 1e-11),
    ("offset 1e8", lambda t: math.exp(1 + t) + 1e8, math.e, 1e-5),
    ("tiny values", lambda t: 1e-200 * math.exp(1 + t), 1e-200 * math.e, 1e-12),
    ("huge values", lambda t: 1e200 * math.exp(1 + t), 1e200 * math.e, 1e-12),
    ("logarithm near 0", logarithm(1e-3), 1e3, 1e-10),
    ("logarithm very near 0", logarithm(1e-6), 1e6, 1e-7),
    ("pole at 1e-3", lambda t: 1 / (1e-3 + t), -1e6, 1e-10),
    ("Rosenbrock", rosenbrock(-1.2, 1.0, 0.7), -4.4 + 200 * (1 - 1.44) * (0.7 + 2.4), 1e-11),
    ("logistic", lambda t: math.log1p(math.exp(-(2 + 5 * t))), -5 / (1 + math.exp(2)), 1e-10),
    ("loss of a tanh unit", lambda t: (math.tanh(0.4 + t) - 0.3) ** 2 / 2, 0.0, None),
    ("saturated tanh", lambda t: (math.tanh(20 * (1 + t)) - 0.3) ** 2, 1.4 * 20 / math.cosh(20) ** 2, None),
    ("sum of two scales", lambda t: math.sin(t) + 1e-6 * math.sin(1e5 * t), 1.1, 1e-6),
]
_tanh = math.tanh(0.4)
SMOOTH = [
    (name, phi, (_tanh - 0.3) * (1 - _tanh**2) if "tanh unit" in name else slope, widest)
    for name, phi, slope, widest in SMOOTH
]
for _w in (0.01, 1.0, 30.0, 1e3, 1e4):
    SMOOTH.append((f"sin, scale {_w}", lambda t, w=_w: math.sin(w * (1 + t)), _w * math.cos(_w), 1e-7))


def holds(estimate, slope):
    return abs(estimate.value - slope) <= estimate.error


@pytest.mark.parametrize(
    ("phi", "slope", "widest"), [row[1:] for row in SMOOTH], ids=[row[0] for row in SMOOTH]
)
@pytest.mark.parametrize("measured_once", [False, True])
def test_the_truth_is_inside_the_bar_and_the_bar_is_narrow(phi, slope, widest, measured_once):
    estimate = Central(noise=measure_noise(phi) if measured_once else None)(phi)
    assert holds(estimate, slope)
    if widest is not None:
        assert estimate.error <= widest * abs(slope)
        assert estimate.interval is None


@pytest.mark.parametrize("phi", [math.exp, math.sin, lambda t: (1 + t) ** 2, lambda t: math.tanh(0.5 + t)])
def test_with_known_noise_a_smooth_function_takes_few_evaluations(phi):
    assert Central(noise=1e-16)(phi).evaluations <= 15


def test_every_evaluation_is_counted():
    calls = []
    estimate = Central()(lambda t: calls.append(t) or math.exp(t))
    assert estimate.evaluations == len(calls)


def random_smooth(seed):
    """A random function with a known slope; scales, offsets and curvatures drawn too."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.standard_normal(3)
    w = 10.0 ** rng.uniform(-1, 2)
    offset = rng.choice([0.0, 0.0, 1.0, 1e4])

    def phi(t):
        return offset + a * math.sin(w * t + b) + math.exp(c * t) + math.tanh(b + 3 * t)

    return phi, a * w * math.cos(b) + c + 3 / math.cosh(b) ** 2


def misses(scheme, seeds, *, enough=math.inf):
    """How many of the seeds leave their bar; counting ends when it has found enough."""
    found = 0
    for seed in seeds:
        phi, slope = random_smooth(seed)
        found += not holds(scheme(phi), slope)
        if found >= enough:
            break
    return found


@pytest.mark.parametrize("chosen", seeds(20, 150))
def test_no_miss_on_random_smooth_functions(chosen):
    assert misses(Central(), chosen) == 0


@pytest.mark.parametrize("sigma", [1e-9, 1e-6, 1e-3])
def test_additive_noise(sigma):
    for seed in range(25):
        rng = np.random.default_rng(seed)
        phi, slope = random_smooth(seed)
        estimate = Central()(lambda t: phi(t) + sigma * rng.standard_normal())  # noqa: B023
        assert holds(estimate, slope), seed
        assert estimate.error < 1e5 * sigma


def test_float32_values():
    for seed in range(25):
        phi, slope = random_smooth(seed)
        estimate = Central(roundoff=2.0**-24)(lambda t: float(np.float32(phi(t))))  # noqa: B023
        assert holds(estimate, slope), seed


def test_a_perfect_fit_has_noise_that_grows_with_the_step():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        a, *c = rng.standard_normal(6)
        targets = [ci * a for ci in c]
        estimate = Central()(lambda t: sum((ci * (a + t) - y) ** 2 for ci, y in zip(c, targets)))  # noqa: B023, B905
        assert holds(estimate, 0.0)
        assert estimate.error < 1e-13


def test_aliasing_is_seen_through():
    # 2kπ/FIRST_STEP: every rung down to the k-th halving samples the sine at a zero
    for k in range(4, 12):
        w = 2.0**k * math.pi / central.FIRST_STEP
        estimate = Central()(lambda t, w=w: math.sin(w * t) + t)
        assert holds(estimate, w + 1.0), k


# ---- kinks ----------------------------------------------------------------------------------------


def test_the_interval_of_abs_and_relu_at_zero():
    estimate = Central()(abs)
    assert (estimate.regime, estimate.value) == ("kink", 0.0)
    assert estimate.interval == pytest.approx((-1.0, 1.0), abs=1e-12)
    estimate = Central()(lambda t: max(t, 0.0) + math.sin(t))
    assert estimate.regime == "kink"
    assert estimate.value == pytest.approx(1.5, abs=1e-9)
    assert estimate.interval == pytest.approx((1.0, 2.0), abs=1e-9)
    assert holds(estimate, 1.0)
    assert holds(estimate, 2.0)


def test_a_concave_kink_has_its_interval_in_order():
    low, high = Central()(lambda t: -abs(t)).interval
    assert low < high


@pytest.mark.parametrize(("jump", "exponent"), product([3.0, 0.05, -0.5], range(1, 13)))
def test_a_planted_kink_never_gives_a_confident_wrong_answer(exponent, jump):
    for side in (-1, 1):
        distance = 10.0**-exponent
        estimate = Central()(lambda t: jump * max(side * t - distance, 0.0) + math.sin(0.7 * t + 1))  # noqa: B023
        assert holds(estimate, 0.7 * math.cos(1))
        if exponent <= 8:  # far enough to be resolved
            assert estimate.error < 1e-3
            assert estimate.interval is None


def test_smooth_functions_show_no_kink():
    regimes = [Central()(random_smooth(seed)[0]).regime for seed in range(60)]
    assert "kink" not in regimes


# ---- what has no derivative, or hides it -----------------------------------------------------------


def test_steps_are_not_believed():
    for width in (1e-6, 1e-3, 0.1, 1.0):
        estimate = Central()(lambda t: round((t + 0.3) / width) * width)  # noqa: B023
        assert holds(estimate, 1.0), width


def test_a_jump_has_no_derivative():
    for phi in (
        lambda t: float(t >= 0),
        lambda t: float(t == 0),
        lambda t: math.copysign(1.0, t) + math.sin(t),
    ):
        estimate = Central()(phi)
        assert (estimate.regime, estimate.error) == ("rough", math.inf)


def test_a_vertical_tangent_has_no_derivative():
    assert Central()(math.cbrt).error == math.inf
    assert Central()(lambda t: math.sqrt(abs(t))).error == math.inf


def test_a_dead_unit_is_flat_and_says_so():
    estimate = Central()(lambda t: 1.0 + max(t - 1.0, 0.0))
    assert (estimate.value, estimate.regime) == (0.0, "exact")
    assert 0.0 < estimate.error < 1e-12
    estimate = Central()(lambda t: 1.0 + max(t - 0.1, 0.0))  # it moves on the coarse rungs
    assert (estimate.value, estimate.regime) == (0.0, "exact")


def test_a_saturated_float32_loss_is_flat_but_the_bar_covers_what_was_absorbed():
    z = np.float32(18.0)

    def phi(t):
        logits = np.array([z * np.float32(1 + t), 0.0], dtype=np.float32)
        return float(np.log(np.exp(logits - logits.max()).sum()))

    estimate = Central(roundoff=2.0**-24)(phi)
    assert holds(estimate, -18.0 * math.exp(-18.0))


def test_where_the_function_has_no_value_the_step_shrinks():
    assert holds(Central()(logarithm(1e-4)), 1e4)
    estimate = Central()(lambda t: math.sqrt(t) if t >= 0 else math.nan)
    assert math.isnan(estimate.value)
    assert estimate.error == math.inf


def test_a_point_without_a_value_is_an_error():
    for bad in (math.nan, math.inf):
        with pytest.raises(InputError, match="not finite at the parameters"):
            Central()(lambda t: bad)  # noqa: B023
        with pytest.raises(InputError, match="noise is measured"):
            measure_noise(lambda t: bad)  # noqa: B023


@pytest.mark.parametrize(
    "settings", [{"noise": -1.0}, {"noise": math.nan}, {"first_step": 0.0}, {"roundoff": math.inf}]
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        Central(**settings)


# ---- negative controls ------------------------------------------------------------------------------


def test_a_claim_that_is_off_by_more_than_the_bar_is_outside():
    for seed in range(40):
        phi, slope = random_smooth(seed)
        estimate = Central()(phi)
        wrong = slope + 2.5 * estimate.error
        assert not holds(estimate, wrong)
        assert not holds(estimate, slope * (1 + 1e-4))
        assert not holds(estimate, math.nan)


def test_a_wrong_extrapolation_weight_is_caught_by_the_coverage(monkeypatch):
    right = central.weights

    def wrong(columns, power):
        return tuple(w * (1.0 + 1e-9 * (power == 2)) for w in right(columns, power))

    monkeypatch.setattr(central, "weights", wrong)
    assert misses(Central(), range(25), enough=6) > 5


def test_an_estimate_without_neighbours_is_caught_by_the_coverage(monkeypatch):
    def blind(table, noise, extra, shrink):
        none = np.zeros_like(table)
        return none, none

    monkeypatch.setattr(central, "doubts", blind)
    assert misses(Central(), range(25), enough=6) > 5


def test_ignored_noise_is_caught_by_the_coverage(monkeypatch):
    monkeypatch.setattr(central, "CONFIDENCE", 0.05)
    assert misses(Central(), range(150), enough=1) > 0


def test_nothing_global_changes():
    before, errors = np.random.get_state()[1].copy(), np.geterr()  # noqa: NPY002
    Central()(lambda t: float(np.log(1e-3 + np.float64(t))))
    assert np.geterr() == errors
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


# --- noise that θ itself does not show ---------------------------------------------------------


@pytest.mark.parametrize("chosen", seeds(4, 40))
def test_noise_that_grows_away_from_a_perfect_fit_is_in_the_bar(chosen):
    """At a minimum of Σ r², r = x' − x² cancels and leaves no noise; at θ ± h it does not."""
    for seed in chosen:
        rng = np.random.default_rng(seed)
        x = (1.0 + 1e-6 * rng.standard_normal(6)).astype(float)
        v = rng.standard_normal(6)

        def chain(x):
            return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

        exact = x.astype(np.longdouble)
        r = exact[1:] - exact[:-1] ** 2
        gradient = np.zeros(6, np.longdouble)
        gradient[1:] += 200 * r
        gradient[:-1] += -400 * exact[:-1] * r - 2 * (1 - exact[:-1])
        phi = lambda t: float(chain(x + t * v))  # noqa: B023, E731
        others = rng.standard_normal((3, 6))
        sigma = max(measure_noise(lambda t: float(chain(x + t * other))) for other in others)  # noqa: B023
        for noise in (None, sigma):
            assert holds(Central(noise=noise)(phi), float(gradient @ v)), seed


COARSE = {
    "rounded to 2 decimals": lambda value: round(value, 2),
    "rounded to 6 decimals": lambda value: round(value, 6),
    "stored in bfloat16": lambda value: float(np.round(value * 2.0**8) / 2.0**8),
    "stored in float16": lambda value: float(np.float16(value)),
    "stored in float32": lambda value: float(np.float32(value)),
}


@pytest.mark.parametrize(("stored", "size"), product(COARSE, [1e-9, 1e-6, 1e-3, 1.0]))
def test_a_loss_coarser_than_its_parameters_keeps_its_derivative_inside_the_bar(stored, size):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x, w, v = rng.standard_normal((8, 4)), size * rng.standard_normal(4), size * rng.standard_normal(4)

        def phi(t):
            return COARSE[stored](float(np.mean(np.logaddexp(0.0, x @ (w + t * v)))))  # noqa: B023

        slope = float(v @ (x.T @ (1.0 / (1.0 + np.exp(-x @ w)))) / 8)
        for noise in (None, measure_noise(phi)):
            assert holds(Central(noise=noise)(phi), slope)


# --- the ends of the interval at a kink --------------------------------------------------------


@pytest.mark.parametrize("chosen", seeds(4, 20))
@pytest.mark.parametrize("jump", [1e-2, pytest.param(1.0, marks=pytest.mark.full)])
def test_each_end_at_a_kink_is_known_though_the_curvature_jumps_too(jump, chosen):
    """½ r² through a ReLU: φ' and φ'' jump, so the mean of both sides has an error in h."""
    for seed in chosen:
        a, b, c, d = np.random.default_rng(seed).standard_normal(4)

        def phi(t):
            return math.sin(a + b * t) + (jump * c * t + d * t * t + t**3 if t > 0 else 0.0)  # noqa: B023

        slope = b * math.cos(a)
        low, high = sorted((slope, slope + jump * c))
        for noise in (None, measure_noise(phi)):
            estimate = Central(noise=noise)(phi)
            assert estimate.regime == "kink"
            ends = estimate.error - (estimate.interval[1] - estimate.interval[0]) / 2.0
            assert ends < 1e-9
            assert abs(estimate.interval[0] - low) <= ends
            assert abs(estimate.interval[1] - high) <= ends


# --- steps, however small the first of them ----------------------------------------------------


def test_a_table_whose_first_step_is_small_is_a_table():
    """A plateau up to 0.012, a first small step, a large one behind it."""

    def table(t):
        return 7e-6 * (t >= 0.012) + 2e-3 * (t >= 0.0161) + 0.1 * math.floor(t / 0.019)

    estimate = Central(first_step=0.018)(lambda t: math.pi + table(abs(t)))
    assert estimate.value == 0.0
    assert estimate.error == math.inf


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("start", [0.02, 0.1, 0.7])
def test_a_dead_unit_leaves_its_plateau_without_a_step(power, start):
    for scale in (1e-6, 1.0):
        estimate = Central()(lambda t: scale * max(t - start, 0.0) ** power)  # noqa: B023
        assert abs(estimate.value) <= estimate.error < 1e-6


@pytest.mark.parametrize("chosen", seeds(4, 20))
@pytest.mark.parametrize(
    "power",
    [1.1, 1.7, *(pytest.param(p, marks=pytest.mark.full) for p in (1.05, 1.2, 1.3, 1.4, 2.5))],
)
def test_an_error_in_a_small_power_of_the_step_is_in_the_bar(power, chosen):
    """D(h) − φ' = k h^(p−1): what is still to come is many times the last change."""
    for seed in chosen:
        a, b, k = np.random.default_rng(seed).standard_normal(3)
        estimate = Central()(lambda t: a + b * t + k * math.copysign(abs(t) ** power, t))  # noqa: B023
        assert holds(estimate, b)
        assert math.isfinite(estimate.error)
