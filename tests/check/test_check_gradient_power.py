"""What a verdict of check_gradient() proves: limits, probabilities, methods, controls, remedies, time."""

import itertools
import json
import time
from dataclasses import replace

import numpy as np
import pytest
from choosing import product, some

import bpcheck.check.block as block_module
from bpcheck import Verdict, assert_gradient, check_gradient
from bpcheck.check.contract import Clock
from bpcheck.check.power import bars_seen, smallest_seen
from bpcheck.errors import GradientInconclusive, InputError

RNG = np.random.default_rng(7)
SMALL = RNG.standard_normal((3, 4))
LARGE = RNG.standard_normal((40, 25))


def loss(w):
    return float(np.sum(np.sin(w)) + 0.5 * np.sum(w * w))


def gradient(w):
    return np.cos(w) + w


def analytic(w):
    return np.sum(np.sin(w)) + 0.5 * np.sum(w * w)


def off(index, error):
    def wrong(w):
        claim = gradient(w)
        claim[index] += error
        return claim

    return wrong


# --- the limit and its probability -----------------------------------------------------------------


def test_random_directions_state_their_probability_and_entries_none():
    by_entry = check_gradient(loss, gradient, SMALL, seed=0)
    by_direction = check_gradient(loss, gradient, LARGE, seed=0, miss_probability=1e-4)
    assert by_entry.detection_limit.miss_probability == 0.0
    assert by_direction.detection_limit.miss_probability == 1e-4
    assert "with probability 1 - 1e-04" in " ".join(str(by_direction).split())
    assert json.loads(by_direction.to_json())["miss_probability"] == 1e-4
    assert "probability" not in str(by_entry)


def test_more_directions_and_a_larger_miss_probability_lower_the_limit():
    limits = [
        check_gradient(
            loss, gradient, LARGE, seed=0, directions=m, miss_probability=p
        ).detection_limit.maximum
        for m, p in ((4, 1e-6), (8, 1e-6), (16, 1e-6), (16, 1e-2))
    ]
    assert limits == sorted(limits, reverse=True)
    assert limits[0] / limits[1] == pytest.approx(bars_seen(4, 1e-6) / bars_seen(8, 1e-6), rel=0.6)


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.full) for s in range(1, 20))])
def test_an_error_of_the_stated_limit_is_seen(seed):
    limit = check_gradient(loss, gradient, LARGE, seed=seed).detection_limit.maximum
    error = limit * float(np.sqrt(np.mean(gradient(LARGE) ** 2)))
    report = check_gradient(loss, off((11, 7), error), LARGE, seed=1000 + seed)
    assert report.verdict is not Verdict.AGREES, report


def test_an_error_far_below_the_limit_may_pass_and_never_disagrees_for_nothing():
    limit = check_gradient(loss, gradient, LARGE, seed=3).detection_limit.maximum
    report = check_gradient(loss, off((11, 7), 1e-4 * limit), LARGE, seed=3)
    assert report.verdict is Verdict.AGREES


def test_the_power_law_by_simulation():
    rng = np.random.default_rng(0)
    bars = np.array([1.0, 2.0, 0.5, 1.0])
    size = smallest_seen(bars, 0.05)
    missed = (abs(size * rng.standard_normal((40_000, 4))) <= 2 * bars).all(axis=1).mean()
    assert missed == pytest.approx(0.05, abs=0.005)


def test_directions_may_be_asked_for_where_every_entry_could_be_looked_at():
    report = check_gradient(loss, gradient, SMALL, seed=0, directions=3)
    assert report.comparisons[0].path == "params along 3 random directions"
    assert report.verdict is Verdict.AGREES
    one = check_gradient(loss, gradient, SMALL, seed=0, directions=1)
    assert one.comparisons[0].path == "params along 1 random direction"
    assert one.detection_limit.maximum > 1e3 * report.detection_limit.maximum


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"directions": 0}, "directions is 0"),
        ({"directions": 2.5}, "whole number"),
        ({"directions": True}, "whole number"),
        ({"miss_probability": 0}, "between 0 and 1"),
        ({"miss_probability": 1.0}, "between 0 and 1"),
        ({"miss_probability": "low"}, "between 0 and 1"),
        ({"method": "forward"}, "give one of 'auto'"),
        ({"method": None}, "give one of 'auto'"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        check_gradient(loss, gradient, SMALL, **options)


@pytest.mark.parametrize(("chance", "directions"), product([1e-300, 1e-17, 1 - 1e-16], [1, 2, 32]))
def test_no_probability_is_too_extreme(chance, directions):
    report = check_gradient(loss, gradient, SMALL, seed=0, directions=directions, miss_probability=chance)
    assert report.verdict in (Verdict.AGREES, Verdict.INCONCLUSIVE)


def test_bars_that_differ_by_a_rounding_are_bars_too():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        bars = 1e-9 * rng.random() * (1 + 2.0**-52 * rng.integers(0, 3, 4))
        assert smallest_seen(bars, 1e-6) == pytest.approx(bars_seen(4, 1e-6) * bars.max())


def test_the_limit_answers_to_the_name_of_the_tensor():
    report = check_gradient(loss, gradient, LARGE, seed=0)
    assert report.detection_limit["params"] == report.detection_limit.maximum
    with pytest.raises(KeyError):
        report.detection_limit["other"]


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e200])
def test_losses_and_parameters_at_the_ends_of_the_range(scale):
    w = np.array([0.3, 1.2, -0.7])
    for report in (
        check_gradient(
            lambda w: 0.5 * float(np.sum(np.sin(w))) * scale, lambda w: 0.5 * np.cos(w) * scale, w, seed=0
        ),
        check_gradient(lambda w: float(np.sum(w)), np.ones_like, w * scale, seed=0),
    ):
        assert report.verdict is not Verdict.DISAGREES


# --- parameters of very different sizes in one tensor ------------------------------------------------


@pytest.mark.full
@pytest.mark.parametrize("indices", [(0,), range(0, 1000, 111)], ids=["smallest", "many"])
def test_entries_that_span_sixteen_decades(indices):
    sizes = 10.0 ** np.linspace(-8, 8, 1000)

    def spanning(w):
        return float(np.sum(np.sin(w / sizes)))

    def right(w):
        return np.cos(w / sizes) / sizes

    w = sizes * np.random.default_rng(0).standard_normal(1000)
    assert check_gradient(spanning, right, w, seed=0).verdict is Verdict.AGREES
    for index in indices:

        def wrong(w, index=index):
            claim = right(w)
            claim[index] *= 1.5
            return claim

        assert check_gradient(spanning, wrong, w, seed=0).verdict is Verdict.DISAGREES


def test_a_limit_is_that_of_an_entry_also_where_sizes_differ():
    # an error of some of the tensor's root mean square in an entry that is a million times smaller than others
    rng = np.random.default_rng(0)
    w = np.where(rng.random(1000) < 0.9, 1e-6, 1.0) * rng.standard_normal(1000)
    small = int(np.argmin(abs(abs(w) - 1e-6)))
    right = check_gradient(lambda w: float(np.sum(np.sin(w))), np.cos, w, seed=1)
    assert right.verdict is Verdict.AGREES, right

    def off(w):
        claim = np.cos(w)
        claim[small] += 1.5 * right.detection_limit["params"]
        return claim

    assert check_gradient(lambda w: float(np.sum(np.sin(w))), off, w, seed=1).verdict is Verdict.DISAGREES

    def zeroed(w):
        return np.where(abs(w) < 1e-4, 0.0, np.cos(w))

    assert check_gradient(lambda w: float(np.sum(np.sin(w))), zeroed, w, seed=1).verdict is Verdict.DISAGREES


# --- methods -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(SMALL[:2, :3], id="entries"),
        pytest.param(LARGE, id="directions", marks=pytest.mark.full),
    ],
)
@pytest.mark.parametrize("method", ["central", "line", "complex"])
def test_every_method_tells_right_from_wrong(method, point):
    right = check_gradient(analytic, gradient, point, seed=0, method=method)
    assert right.verdict is Verdict.AGREES, right
    size = float(np.sqrt(np.mean(gradient(point) ** 2)))
    wrong = check_gradient(analytic, off((1, 2), 1e-4 * size), point, seed=0, method=method)
    assert wrong.verdict is Verdict.DISAGREES, wrong
    half = check_gradient(analytic, lambda w: 0.5 * gradient(w), point, seed=0, method=method)
    assert half.verdict is Verdict.DISAGREES


def test_the_complex_step_sees_what_a_constant_hides():
    def offset(w):
        return analytic(w) + 1e10

    limits = {
        method: check_gradient(offset, gradient, SMALL, seed=0, method=method).detection_limit.maximum
        for method in ("central", "complex")
    }
    assert limits["complex"] < 1e-6 * limits["central"]


def test_a_loss_that_is_not_analytic_is_refused_by_the_complex_method_and_no_other():
    def absolute(w):
        return np.sum(abs(w))

    with pytest.raises(InputError, match="not analytic"):
        check_gradient(absolute, np.sign, SMALL, seed=0, method="complex")
    assert check_gradient(absolute, np.sign, SMALL, seed=0).verdict is Verdict.AGREES


def test_a_small_part_that_the_complex_step_loses_makes_no_right_gradient_wrong():
    # |w| loses its imaginary part; 1e-13 of it is far below what the cross-check or differences can see
    def mostly(w):
        return analytic(w) + 1e-13 * np.sum(abs(w))

    report = check_gradient(
        mostly, lambda w: gradient(w) + 1e-13 * np.sign(w), SMALL, seed=0, resolution=1e-14
    )
    assert report.verdict is not Verdict.DISAGREES, report


@pytest.mark.parametrize("noise", some([1e-9, 1e-7, 1e-5], default=lambda noise: noise == 1e-5))
def test_line_integrals_decide_what_noise_hides_from_differences(noise):
    def noisy():
        rng = np.random.default_rng(0)
        return lambda w: loss(w) + noise * rng.standard_normal()

    central = check_gradient(noisy(), gradient, SMALL, seed=0, method="central", resolution=1e-2)
    auto = check_gradient(noisy(), gradient, SMALL, seed=0, resolution=1e-2)
    assert auto.verdict is Verdict.AGREES, auto
    assert central.verdict in (Verdict.AGREES, Verdict.INCONCLUSIVE)
    if noise == 1e-5:
        assert central.verdict is Verdict.INCONCLUSIVE
    wrong = check_gradient(noisy(), off((1, 1), 0.1), SMALL, seed=0, resolution=1e-2)
    assert wrong.verdict is not Verdict.AGREES


def test_float32_numbers_in_an_array_of_float64_are_known_for_what_they_are():
    def widened(w):
        return gradient(w).astype(np.float32).astype(np.float64)

    for point in (SMALL, LARGE):
        assert check_gradient(loss, widened, point, seed=0).verdict is Verdict.AGREES


# --- the negative control ----------------------------------------------------------------------------


@pytest.mark.parametrize("point", [SMALL, LARGE], ids=["entries", "directions"])
def test_a_check_that_sees_nothing_is_void(monkeypatch, point):
    honest = block_module.judge

    def blind(path, actual, expected, bound, **options):
        return honest(path, expected, expected, bound, **options)

    monkeypatch.setattr(block_module, "judge", blind)
    report = check_gradient(loss, lambda w: 2 * gradient(w), point, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "self-test failed" in report.summary


@pytest.mark.parametrize("point", [SMALL, LARGE], ids=["entries", "directions"])
def test_every_pass_has_passed_the_control(monkeypatch, point):
    seen = []
    honest = block_module.Block.control

    def watched(self):
        seen.append(honest(self))
        return seen[-1]

    monkeypatch.setattr(block_module.Block, "control", watched)
    assert check_gradient(loss, gradient, point, seed=0)
    assert seen == [True]


# --- a difference is confirmed before it is believed -------------------------------------------------


def test_a_single_bad_reading_is_no_verdict(monkeypatch):
    honest = block_module.by_differences
    calls = []

    def glitch(problem, path, direction, **options):
        reading = honest(problem, path, direction, **options)
        calls.append(1)
        return block_module.replace(reading, value=reading.value + 1.0) if len(calls) == 3 else reading

    monkeypatch.setattr(block_module, "by_differences", glitch)
    report = check_gradient(loss, gradient, SMALL, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "did not confirm" in report.summary


@pytest.mark.parametrize("seed", range(3))
def test_a_line_that_objected_is_not_left_out_because_it_did(monkeypatch, seed):
    # a real error, seen along one line only, whose second measurement finds nothing: that is a doubt, no pass
    honest = block_module.by_differences
    calls = []

    def glitch(problem, path, direction, **options):
        reading = honest(problem, path, direction, **options)
        calls.append(1)
        return block_module.replace(reading, value=reading.value + 1.0) if len(calls) == 3 else reading

    monkeypatch.setattr(block_module, "by_differences", glitch)
    report = check_gradient(loss, gradient, LARGE, seed=seed)
    assert report.verdict is Verdict.INCONCLUSIVE, report
    assert "along 1 of 8 lines a difference was seen" in report.summary


@pytest.mark.parametrize(
    "method", some(["central", "line", "complex"], default=lambda method: method == "central")
)
def test_an_empty_tensor_beside_random_lines(method):
    params = {"w": LARGE, "empty": np.zeros((0, 3))}

    def with_empty(scale):
        return lambda p: {"w": scale * gradient(p["w"]), "empty": np.zeros((0, 3))}

    for scale, verdict in ((1.0, Verdict.AGREES), (1.001, Verdict.DISAGREES)):
        report = check_gradient(
            lambda p: analytic(p["w"]), with_empty(scale), params, seed=0, directions=8, method=method
        )
        assert report.verdict is verdict, report


# --- kinks -------------------------------------------------------------------------------------------


def maximum(w):
    return float(np.max(w))


@pytest.mark.full
@pytest.mark.parametrize(
    "shares", [(1.0, 0.0), *(pytest.param(s, marks=pytest.mark.full) for s in ((0.2, 0.8), (0.5, 0.5)))]
)
def test_a_tie_may_be_shared_out_in_any_way(shares):
    report = check_gradient(maximum, lambda w: np.array([*shares, 0.0]), np.array([2.0, 2.0, 1.0]), seed=0)
    assert report.verdict is Verdict.AGREES_AT_KINK, report


def test_a_tie_that_is_counted_twice_does_not_pass():
    def twice(w):
        return (w == w.max()).astype(float)

    report = check_gradient(maximum, twice, np.array([2.0, 2.0, 1.0]), seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE, report
    assert "counted twice" in report.summary


@pytest.mark.full
def test_conventions_that_add_up_beyond_the_interval_are_not_called_wrong():
    # relu' = 1 at 0 is a valid choice; with f = relu(x) − relu(y) both together lie outside the interval along
    # most lines, and no line of function values can tell that from a bug
    def ramp(w):
        return float(np.maximum(w[0], 0.0) - np.maximum(w[1], 0.0))

    def right(w):
        return np.where(w >= 0, [1.0, -1.0], 0.0)

    assert (
        check_gradient(ramp, right, np.zeros(2), seed=0).verdict is Verdict.AGREES_AT_KINK
    )  # entry by entry
    along = check_gradient(ramp, right, np.zeros(2), seed=0, directions=8)
    assert along.verdict is Verdict.INCONCLUSIVE, along


def pooled(w):
    return float(np.sum(np.max(w.reshape(-1, 2), axis=1) ** 2))


def pooled_gradient(w):
    pairs = w.reshape(-1, 2)
    first = np.zeros_like(pairs)
    np.put_along_axis(first, pairs.argmax(axis=1)[:, None], 1.0, axis=1)
    return (2 * pairs.max(axis=1)[:, None] * first).ravel()


KINKED = {
    "relu": (
        lambda w: float(np.sum(np.maximum(w, 0) ** 1.0)),
        lambda w: (w > 0) * 1.0,
        [0.0, 1.2, -0.4, 0.7],
    ),
    "leaky relu": (
        lambda w: float(np.sum(np.where(w > 0, w, 0.01 * w))),
        lambda w: np.where(w > 0, 1.0, 0.01),
        [0.0, 1.2, -0.4, 0.7],
    ),
    "abs": (lambda w: float(np.sum(abs(w))), np.sign, [0.0, 1.2, -0.4, 0.7]),
    "L1 penalty": (
        lambda w: float(np.sum(np.tanh(w)) + 0.01 * np.sum(abs(w))),
        lambda w: 1 - np.tanh(w) ** 2 + 0.01 * np.sign(w),
        [0.0, 0.0, -0.4, 0.7],
    ),
    "clip": (
        lambda w: float(np.sum(np.clip(w, -1, 1))),
        lambda w: (abs(w) < 1) * 1.0,
        [1.0, 1.2, -0.4, -1.0],
    ),
    "max-pool tie": (pooled, pooled_gradient, [1.0, 1.0, -0.4, 0.7]),
}


QUICK = (("relu", None),)


@pytest.mark.parametrize(
    ("kind", "directions"),
    [
        pytest.param(kind, directions, marks=() if (kind, directions) in QUICK else pytest.mark.full)
        for directions in (None, 8)
        for kind in KINKED
    ],
)
def test_every_common_kink_is_known_and_a_wrong_slope_beside_it_too(kind, directions):
    kinked, right, point = KINKED[kind]
    w = np.array(point)
    report = check_gradient(kinked, right, w, seed=0, directions=directions)
    if kind == "clip" and directions:  # two kinks, whose choices lie outside the interval of most lines
        assert report.verdict is Verdict.INCONCLUSIVE, report
        assert "At parameters moved by 0.1 % it agrees" in report.summary
    else:
        assert report.verdict is Verdict.AGREES_AT_KINK, report
    wrong = check_gradient(kinked, lambda w: 1.01 * right(w) + 0.1, w, seed=0, directions=directions)
    assert not wrong, wrong


@pytest.mark.full
def test_a_steep_kink_does_not_hide_the_other_entries():
    w = np.random.default_rng(1).standard_normal(1000)
    w[0] = 0.0

    def steep(w):
        return float(200 * abs(w[0]) + np.sum(np.sin(w)))

    def right(w):
        return np.cos(w) + 200 * np.sign(w) * (np.arange(1000) == 0)

    def wrong(w):
        return right(w) + 1.0 * (np.arange(1000) == 7)

    assert check_gradient(steep, right, w, seed=0).verdict is Verdict.AGREES_AT_KINK
    assert check_gradient(steep, wrong, w, seed=0).verdict is Verdict.DISAGREES


@pytest.mark.parametrize("directions", [None, 8])
def test_a_median_of_equal_numbers_has_many_gradients(directions):
    # along every axis it stands still; along other lines it is one of the entries
    def shared(w):
        tied = w == np.median(w)
        return tied / tied.sum()

    report = check_gradient(lambda w: float(np.median(w)), shared, np.zeros(3), seed=0, directions=directions)
    assert report.verdict is not Verdict.DISAGREES, report


def test_units_at_their_kinks_in_float32():
    a, c = np.array([1, 2, -1.5, 0.7]), np.array([1, 1, -0.2, 3])

    def units(w):
        return np.float32(c @ np.maximum(a * w[0], 0.0) + np.sin(w[1]))

    def right(w):
        return np.array([c @ (a * (a * w[0] > 0)), np.cos(w[1])], np.float32)

    report = check_gradient(units, right, np.array([0.0, 0.4], np.float32), seed=0)
    assert report.verdict is not Verdict.DISAGREES, report


def test_a_smooth_function_with_a_wrong_value_at_one_point_is_wrong_there():
    def sinc(w):
        return float(np.sum(np.sinc(w)))

    def special(w):
        x = np.pi * np.where(w == 0, 1.0, w)
        return np.where(w == 0, 0.5, np.pi * (np.cos(x) / x - np.sin(x) / x**2))

    report = check_gradient(sinc, special, np.array([0.0, 0.3]), seed=0)
    assert report.verdict is Verdict.DISAGREES, report


def test_what_is_wrong_beside_the_kink_is_told():
    report = check_gradient(lambda w: float(np.sum(abs(w))), np.zeros_like, np.zeros(3), seed=0)
    assert report.verdict is Verdict.AGREES_AT_KINK
    assert any("moved by 0.1 %" in warning and "wrong" in warning for warning in report.warnings)


DISTANCES = [0.0, *(10.0**-k for k in range(12, 2, -1))]


@pytest.mark.parametrize(
    ("directions", "distance"),
    some(
        itertools.product([None, 8], DISTANCES),
        # at the kink, within the rounding of a step, within the steps of a ladder
        default=lambda directions, distance: directions is None and distance in (0.0, 1e-12, 1e-7, 1e-4),
    ),
)
def test_a_kink_at_any_distance_makes_no_right_gradient_wrong(distance, directions):
    w = np.array([0.5, distance, -1.3])

    def hinge(w):
        return float(np.sum(np.maximum(w, 0.0)) + np.sum(np.sin(w)))

    report = check_gradient(
        hinge, lambda w: (w > 0) + np.cos(w), w, seed=0, directions=directions, resolution=0.5
    )
    assert report.verdict is not Verdict.DISAGREES, report


@pytest.mark.parametrize(
    "table",
    [lambda w: float(np.sum(np.round(w))), lambda w: float(np.argmax(w)), lambda w: float(np.sum(w > 0.35))],
)
def test_a_table_of_values_is_called_a_table(table):
    w = np.array([0.4, 1.3, -0.7])
    for claim in (np.zeros_like, np.ones_like):
        report = check_gradient(table, claim, w, seed=0)
        assert not report.ok, report
    assert (
        "piecewise constant"
        in check_gradient(lambda w: float(np.sum(np.round(w))), np.zeros_like, w, seed=0).summary
    )


# int8 weights and a tensor of zeros: moved by a tenth of its natural size it is still zero
def test_quantised_zeros_are_a_table_though_the_nearest_step_is_far():
    w = {"inner": np.array([1.0, -2.0]), "outer": np.zeros(2)}

    def quantised(w):
        inner, outer = (np.round(w[name]) for name in ("inner", "outer"))
        return float((np.tanh(inner) @ outer - 1.3) ** 2)

    def straight_through(w):
        return {"inner": np.zeros(2), "outer": 2.0 * -1.3 * np.tanh(w["inner"])}

    assert check_gradient(quantised, straight_through, w, seed=0).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("seed", some(range(3), default=lambda seed: seed == 0))
def test_a_loss_on_a_coarse_grid_does_not_refute_its_straight_through_gradient(seed):
    # 1/32 apart: close to θ one step is met or none, and the noise measured there is a tenth of what the grid makes
    w = {
        "inner": np.array([[-0.576, -1.446], [-0.291, -1.331]]),
        "inner bias": np.array([-0.99, 0.613]),
        "outer": np.array([-1.109, 0.576]),
        "outer bias": np.array([-0.931]),
    }
    x = np.array([[-0.422, 1.398], [1.468, 0.883], [0.26, -0.119]])
    y = np.array([-0.058, -1.35, -0.358])

    def forward(w):
        a = np.tanh(x @ w["inner"].T + w["inner bias"])
        return a, a @ w["outer"] + w["outer bias"]

    def smooth(w):
        return float(np.sum((forward(w)[1] - y) ** 2)) / 6.0

    def rounded(w):
        return float(np.round(32.0 * smooth(w))) / 32.0

    def straight_through(w):
        a, z = forward(w)
        delta = (z - y) / 3.0
        back = delta[:, None] * w["outer"] * (1.0 - a**2)
        return {
            "inner": back.T @ x,
            "inner bias": back.sum(axis=0),
            "outer": a.T @ delta,
            "outer bias": np.array([delta.sum()]),
        }

    assert check_gradient(smooth, straight_through, w, seed=seed).verdict is Verdict.AGREES
    assert check_gradient(rounded, straight_through, w, seed=seed).verdict is Verdict.INCONCLUSIVE


def test_a_grid_is_named_in_the_remedies_and_hides_no_gross_error():
    w = np.array([0.7, -1.3, 0.2])

    def rounded(w):
        return float(np.round(256.0 * np.sum(np.sin(3.0 * w) + 2.0 * w))) / 256.0

    report = check_gradient(rounded, lambda w: 3.0 * np.cos(3.0 * w) + 2.0, w, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "3.9e-03 apart" in report.remedies[0]
    opposite = check_gradient(rounded, lambda w: -3.0 * np.cos(3.0 * w) - 2.0, w, seed=0)
    assert opposite.verdict is Verdict.DISAGREES


@pytest.mark.parametrize("examples", some([50, 1_000, 10_000], default=lambda examples: examples == 50))
def test_counted_mistakes_do_not_refute_their_zero_gradient(examples):
    # between two mistakes the count stands still: zero is its derivative, whatever its trend
    rng = np.random.default_rng(examples)
    x, w = rng.standard_normal((examples, 5)), rng.standard_normal(5)
    y = x @ w + rng.standard_normal(examples) > 0.0

    def error_rate(w):
        return float(np.mean((x @ w > 0.0) != y))

    assert check_gradient(error_rate, np.zeros_like, w, seed=0).verdict is Verdict.INCONCLUSIVE


def test_a_table_that_shows_in_the_last_tensor_counts_for_the_first():
    # only the outer weights are ever large enough to move what is rounded
    w = {"inner": np.array([0.5, -0.3]), "outer": np.array([0.09, -0.2])}

    def coarse(w):
        return float(np.round((np.tanh(w["inner"]) @ w["outer"]) ** 2))

    def straight_through(w):
        a = np.tanh(w["inner"])
        return {
            "inner": 2.0 * (a @ w["outer"]) * w["outer"] * (1.0 - a**2),
            "outer": 2.0 * (a @ w["outer"]) * a,
        }

    assert check_gradient(coarse, straight_through, w, seed=0).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("height", some([1e-2, 1e-3, 3e-4, 1e-5], default=lambda height: height == 3e-4))
def test_a_step_at_the_parameters_is_no_noise(height):
    w = np.array([0.5, -0.8, 1.1])
    report = check_gradient(lambda w: float(np.sum(np.sin(w)) + height * (w[0] >= 0.5)), np.cos, w, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE


# int8 weights with a smooth penalty: the penalty's slope is all that differences see between the steps
@pytest.mark.parametrize("seed", some(range(4), default=lambda seed: seed == 0))
def test_a_straight_through_gradient_is_not_called_wrong_and_a_wrong_one_is(seed):
    w = np.random.default_rng(seed).standard_normal(3)

    def straight_through(w):
        a = np.tanh(0.7 * w)
        return 1.4 * a * (1.0 - a * a) + 0.1 * w

    def quantised(w):
        return float(np.sum(np.tanh(0.7 * np.round(w * 128.0) / 128.0) ** 2) + 0.05 * np.sum(w * w))

    assert check_gradient(quantised, straight_through, w, seed=seed).verdict is Verdict.INCONCLUSIVE
    opposite = check_gradient(quantised, lambda w: -straight_through(w), w, seed=seed)
    assert opposite.verdict is Verdict.DISAGREES


@pytest.mark.parametrize("seed", some(range(4), default=lambda seed: seed == 0))
def test_a_float32_part_beside_a_float64_penalty(seed):
    w = np.random.default_rng(seed).standard_normal(3)

    def network(w):
        return float(np.sum(np.tanh(w.astype(np.float32) * np.float32(0.7)) ** 2))

    def penalised(w):
        return network(w) + 0.05 * float(np.sum(w * w))

    def right(w):
        a = np.tanh(0.7 * w)
        return 2.0 * a * (1.0 - a * a) * 0.7 + 0.1 * w

    assert check_gradient(penalised, right, w, seed=seed).verdict is Verdict.AGREES
    # the gradient of the penalty alone: all that differences see so close to w that the network stands still
    assert check_gradient(penalised, lambda w: 0.1 * w, w, seed=seed).verdict is Verdict.DISAGREES


# in noise with heavy tails one measurement alone sees a kink in 4 of 2,000 checks: here it is told so
def test_a_kink_that_a_second_measurement_does_not_see_is_doubt(monkeypatch):
    measured = block_module.by_differences

    def with_a_kink(problem, path, direction, *, shrunk=1.0, **rest):
        reading = measured(problem, path, direction, shrunk=shrunk, **rest)
        return replace(reading, half=0.01, regime="kink") if shrunk == 1.0 else reading

    monkeypatch.setattr(block_module, "by_differences", with_a_kink)
    report = check_gradient(loss, gradient, SMALL, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.detection_limit.maximum > 0.01


def test_a_line_integral_of_a_loss_that_stands_still_is_not_believed():
    still = block_module.Reading(0.0, 1e-14, regime="exact")
    sharp = block_module.Reading(1e-16, 1e-18, method="line")
    assert not block_module.Block._is_better(sharp, still)
    assert block_module.Block._is_better(sharp, replace(still, regime="noise"))


# 1,000 thresholds a line are closer together than any rung: their trend looks like a noisy derivative
@pytest.mark.parametrize("size", some([3, 6, 10], default=lambda size: size == 3))
def test_a_dense_staircase_is_a_table_and_its_zero_gradient_not_called_wrong(size):
    rng = np.random.default_rng(0)
    x, y, w = (rng.standard_normal(shape) for shape in ((16, size), (16, size), (size, size)))

    def quantised(w):
        return float(np.mean((np.round(8.0 * (x @ w)) / 8.0 - y) ** 2))

    report = check_gradient(quantised, np.zeros_like, w, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "piecewise constant" in report.summary


# what excuses a claim in one place must not excuse a wrong one beside it
@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0])
def test_parameters_that_are_cast_to_float32_inside_are_no_table(factor):
    rng = np.random.default_rng(0)
    x, y, w = (
        rng.standard_normal((1000, 4)).astype(np.float32),
        rng.standard_normal(1000),
        rng.standard_normal(4),
    )

    def mean_error(w):
        return float(np.mean((np.tanh(x @ w.astype(np.float32)).astype(float) - y) ** 2))

    def claim(w):
        a = np.tanh(x @ w)
        return factor * 2.0 * x.T.astype(float) @ ((a - y) * (1.0 - a * a)) / len(y)

    report = check_gradient(mean_error, claim, w, seed=0, resolution=0.01)
    assert report.verdict is (Verdict.AGREES if factor == 1.0 else Verdict.DISAGREES)


@pytest.mark.parametrize("factor", some([2.0, -1.0, 100.0], default=lambda factor: factor == 2.0))
def test_a_straight_through_tensor_excuses_no_other(factor):
    rng = np.random.default_rng(1)
    params = {"w": rng.standard_normal(6), "b": rng.standard_normal(4)}

    def straight_through(p):
        a = np.tanh(0.7 * p["w"])
        return {"w": 1.4 * a * (1.0 - a * a) + 0.1 * p["w"], "b": factor * np.cos(p["b"])}

    def quantised(p):
        w = np.round(p["w"] * 128.0) / 128.0
        penalty = 0.05 * np.sum(p["w"] ** 2)
        return float(np.sum(np.tanh(0.7 * w) ** 2) + penalty + np.sum(np.sin(p["b"])))

    report = check_gradient(quantised, straight_through, params, seed=0)
    assert [c.verdict for c in report.comparisons[:2]] == [Verdict.INCONCLUSIVE, Verdict.DISAGREES]


@pytest.mark.parametrize("slope", some([2.0, 5.0, -1.0], default=lambda slope: slope == 2.0))
def test_no_side_of_a_kink_has_such_a_slope(slope):
    w = np.array([0.5, 0.0, -1.3, 0.7])

    def claim(w):
        return np.where(w == 0.0, slope, (w > 0.0) * 1.0)

    report = check_gradient(lambda w: float(np.sum(np.maximum(w, 0.0))), claim, w, seed=0)
    assert report.verdict is Verdict.DISAGREES


def test_a_loss_that_is_undefined_far_away_is_not_followed_there():
    params = {"w": np.array([0.3, -0.4]), "unused": np.array([0.5, 1.0])}

    def bounded(p):
        if np.any(abs(p["unused"]) > 20.0):
            raise ValueError("out of the domain")
        return float(np.sum(np.sin(p["w"])))

    def claim(p):
        return {"w": np.cos(p["w"]), "unused": np.ones(2)}

    assert check_gradient(bounded, claim, params, seed=0).verdict is Verdict.DISAGREES


# exp(-32) is absorbed by 1 + …: the loss stands still at 0, and its integral is 0 to 1e-18
@pytest.mark.parametrize(("seed", "inside"), product(range(4), [False, True]))
def test_a_saturated_float32_cross_entropy_is_not_called_wrong(inside, seed):
    def entropy(w):
        z = w - w.max()
        return float(np.log(np.sum(np.exp(z))) - z[0])

    def claimed(w):
        p = np.exp(w - w.max())
        p = p / p.sum()
        p[0] -= 1.0
        return p

    if inside:
        w = np.array([34.2, 0.65, -0.65, -1.8])
        report = check_gradient(
            lambda w: entropy(w.astype(np.float32)), lambda w: claimed(w.astype(np.float32)), w, seed=seed
        )
    else:
        report = check_gradient(entropy, claimed, np.array([32.6, 0.7], np.float32), seed=seed)
    assert report.verdict is Verdict.INCONCLUSIVE


@pytest.mark.full
@pytest.mark.parametrize("ties", some([1, 30], default=lambda ties: ties == 1))
def test_many_ties_that_are_counted_twice_do_not_pass_along_random_lines(ties):
    x = np.ones((30, 30))
    x[:, 2:] = 0.0
    x[ties:, 1] = 0.0

    def largest(x):
        return float(x.max(axis=1).sum())

    def both(x):
        return (x == x.max(axis=1, keepdims=True)) * 1.0

    def shared(x):
        return both(x) / both(x).sum(axis=1, keepdims=True)

    assert check_gradient(largest, both, x, seed=0).verdict is Verdict.INCONCLUSIVE
    report = check_gradient(largest, shared, x, seed=0)
    assert report.verdict is Verdict.AGREES_AT_KINK
    assert "the limit stated is that at parameters moved by" in " ".join(report.warnings)


def test_float16_parameters_are_decided_where_a_coarse_limit_is_asked_for():
    w = np.array([1.0, 2.0, 3.0], np.float16)

    def squares(w):
        return float(np.sum(w.astype(float) ** 2))

    right = check_gradient(squares, lambda w: 2.0 * w.astype(float), w, seed=0, resolution=0.5)
    assert right.verdict is Verdict.AGREES
    wrong = check_gradient(squares, lambda w: w.astype(float), w, seed=0, resolution=0.5)
    assert wrong.verdict is Verdict.DISAGREES


class Foreign:
    """An array of another library, as JAX's are: NumPy can have it, and it is none of NumPy's."""

    def __init__(self, value):
        self.value = value

    def __array__(self, dtype=None, copy=None):
        return np.array(self.value, dtype=dtype)


def test_arrays_of_other_libraries_are_taken():
    report = check_gradient(lambda w: Foreign(loss(w)), lambda w: Foreign(gradient(w)), SMALL, seed=0)
    assert report.verdict is Verdict.AGREES


# --- remedies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "first"),
    [
        ((lambda w: np.float32(loss(w)), gradient, SMALL.astype(np.float32)), "float64"),
        ((lambda w: loss(w) + 1e12, gradient, SMALL), "constant out of the loss"),
    ],
    ids=["float32", "constant"],
)
def test_the_first_remedy_is_the_one_that_helps_most(case, first):
    report = check_gradient(*case, seed=0, resolution=1e-8, method="central")
    assert report.verdict is Verdict.INCONCLUSIVE
    assert first in report.remedies[0], report.remedies
    assert report.remedies[0] in " ".join(str(report).split())
    assert json.loads(report.to_json())["remedies"] == list(report.remedies)


def test_noise_is_named_where_it_hides_everything():
    rng = np.random.default_rng(0)
    report = check_gradient(
        lambda w: loss(w) + 1e-3 * rng.standard_normal(), gradient, SMALL, seed=0, resolution=1e-6
    )
    assert report.verdict is Verdict.INCONCLUSIVE
    assert any("Fix the seed" in remedy for remedy in report.remedies)


def test_the_resolution_that_is_offered_is_enough():
    with pytest.raises(GradientInconclusive) as caught:
        assert_gradient(loss, gradient, SMALL, seed=0, resolution=1e-15)
    text = caught.value.report.remedies[-1]
    offered = float(text.split("resolution: ")[1].split(" ")[0])
    assert "can be seen here" in text
    assert check_gradient(loss, gradient, SMALL, seed=0, resolution=offered).verdict is Verdict.AGREES


# --- time --------------------------------------------------------------------------------------------


def slowly(seconds):
    def slow(w):
        time.sleep(seconds)
        return loss(w)

    return slow


def test_what_was_measured_before_the_time_limit_is_reported_with_its_limit(monkeypatch):
    params, calls = {"a": LARGE, "b": LARGE[:20]}, []

    def counted(p):
        calls.append(1)
        return loss(p["a"]) + loss(p["b"])

    # the clock strikes after a number of evaluations: no machine is too slow or too fast for that
    monkeypatch.setattr(Clock, "struck", property(lambda self: len(calls) > 700))
    report = check_gradient(
        counted, lambda p: {"a": gradient(p["a"]), "b": gradient(p["b"])}, params, seed=0, directions=200
    )
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "Stopped by the time limit" in report.summary
    assert "of 400 lines were measured" in report.summary
    assert [c.verdict for c in report.comparisons] == [Verdict.AGREES] * 2
    assert 0 < report.detection_limit.maximum < 1e-6


def test_a_difference_that_could_not_be_confirmed_in_time_is_no_verdict():
    early = check_gradient(slowly(0.02), lambda w: -gradient(w), SMALL, seed=0, time_limit=0.2)
    assert early.verdict is Verdict.INCONCLUSIVE
    assert "time limit" in early.summary
