"""check_low_precision(): right gradients of coarse formats agree, wrong ones do not, and limits are honest.

Rates over many networks and implementations: benchmarks/calibration/low_precision.py.
"""

import itertools

import ml_dtypes
import numpy as np
import pytest
from choosing import some

import bpcheck
from bpcheck import Case, InputError, Verdict, mlp, tree
from bpcheck.check.low_precision import SURE, check_low_precision, default_resolution, of_case
from bpcheck.errors import SubjectError
from bpcheck.precision import rounded
from bpcheck.reference import build

RNG = np.random.default_rng(0)
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def reference(params, x, y):
    """A float64 NumPy function, as a caller writes one: two layers, tanh, half mean squared error."""
    a = np.tanh(x @ params["w1"] + params["b1"])
    r = (a @ params["w2"] - y) / len(x)
    d = (r @ params["w2"].T) * (1 - a * a)
    return {"w1": x.T @ d, "b1": d.sum(axis=0), "w2": a.T @ r}


def problem(m=32, n=24, hidden=16, outputs=5):
    params = {
        "w1": RNG.standard_normal((n, hidden)) / np.sqrt(n),
        "b1": 0.3 * RNG.standard_normal(hidden),
        "w2": RNG.standard_normal((hidden, outputs)) / np.sqrt(hidden),
    }
    return params, RNG.standard_normal((m, n)), RNG.standard_normal((m, outputs))


def kernel(name, params, x, y):
    """The same, every result stored in a coarse format, products summed in float32: what a kernel does."""
    dtype = DTYPES[name]

    def q(array):
        return np.asarray(array).astype(dtype)

    def mm(a, b):
        return q(np.float32(a) @ np.float32(b))

    w1, b1, w2 = (q(params[k]) for k in ("w1", "b1", "w2"))
    x, y = q(x), q(y)
    a = q(np.tanh(q(mm(x, w1) + b1)))
    r = q(q(mm(a, w2) - y) / dtype(len(x)))
    d = q(mm(r, w2.T) * q(dtype(1) - q(a * a)))
    return {"w1": mm(x.T, d), "b1": q(np.float32(d).sum(axis=0)), "w2": mm(a.T, r)}


PROBLEM = problem()
ARCHITECTURE = mlp([24, 16, 5])


def as_case(params, x, y):
    layers = [
        {"weight": params["w1"].T, "bias": params["b1"]},
        {"weight": params["w2"].T, "bias": np.zeros(params["w2"].shape[1])},
    ]
    return Case(ARCHITECTURE, layers, x, y)


def as_layers(gradient, form="float32"):
    """The kernel's answer in the layout of a case; the second bias is not in it, its gradient is taken as right."""
    params, x, y = PROBLEM
    case = as_case(params, x, y)
    last = build(ARCHITECTURE).gradient(case.params, x, y)[1]["bias"]
    return [
        {"weight": np.asarray(gradient["w1"].T), "bias": gradient["b1"]},
        {"weight": np.asarray(gradient["w2"].T), "bias": last.astype(DTYPES[form])},
    ]


def copied(gradient):
    return {k: v.astype(float) for k, v in gradient.items()}


# --- right ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", DTYPES)
@pytest.mark.parametrize("seed", range(2))
def test_a_right_kernel_agrees_with_a_numpy_function(form, seed):
    report = check_low_precision(kernel(form, *PROBLEM), reference, *PROBLEM, seed=seed)
    assert report.verdict is Verdict.AGREES, str(report)
    assert report.detection_limit.maximum <= {"float32": 2e-5, "float16": 0.1, "bfloat16": 0.8}[form]
    assert report.seed == seed
    assert any(form in warning and "standard deviations" in warning for warning in report.warnings)


@pytest.mark.parametrize("form", DTYPES)
def test_a_right_kernel_agrees_with_a_case(form):
    report = check_low_precision(as_layers(kernel(form, *PROBLEM), form), as_case(*PROBLEM), seed=0)
    assert report.verdict is Verdict.AGREES, str(report)
    assert report.detection_limit.maximum <= {"float32": 2e-5, "float16": 0.1, "bfloat16": 0.8}[form]
    assert "W²" in [c.name for c in report.comparisons]


def test_the_precision_can_be_said_instead():
    held = {k: v.astype(np.float32) for k, v in kernel("bfloat16", *PROBLEM).items()}
    assert check_low_precision(held, reference, *PROBLEM, dtype="bfloat16", seed=0).ok
    assert check_low_precision(held, reference, *PROBLEM, seed=0).verdict is Verdict.DISAGREES


def test_parameters_that_were_not_rounded_are_tried_too():
    """Float32 arithmetic on float64 inputs whose rounding a float32 check would otherwise expect."""
    params, x, y = PROBLEM
    right = reference(params, x, y)
    stored = {k: v.astype(np.float32) for k, v in right.items()}
    assert check_low_precision(stored, reference, params, x, y, seed=0).ok
    assert check_low_precision(as_layers(stored), as_case(*PROBLEM), seed=0).ok


def test_identical_examples_whose_errors_add_up_are_not_flagged():
    params, x, y = PROBLEM
    same = params, np.repeat(x[:1], 64, axis=0), np.repeat(y[:1], 64, axis=0)
    for form in DTYPES:
        report = check_low_precision(kernel(form, *same), reference, *same, seed=0)
        assert report.verdict.severity <= Verdict.INCONCLUSIVE.severity, str(report)
        assert form != "float32" or report.ok


def test_sums_kept_in_low_precision_agree_where_that_is_said():
    params, x, y = problem(m=400)
    claimed = kernel("bfloat16", params, x, y)
    a = np.tanh(x @ params["w1"] + params["b1"])
    d = ((a @ params["w2"] - y) / len(x) @ params["w2"].T) * (1 - a * a)
    claimed["b1"] = d.astype(ml_dtypes.bfloat16).sum(axis=0)  # ml_dtypes adds in bfloat16
    report = check_low_precision(claimed, reference, params, x, y, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE, str(report)
    assert any("pass compute='bfloat16'" in warning for warning in report.warnings)
    told = check_low_precision(claimed, reference, params, x, y, compute="bfloat16", resolution=10.0, seed=0)
    assert told.ok, str(told)


@pytest.mark.parametrize("form", ["float32", "bfloat16"])
def test_units_near_a_kink_are_no_error(form):
    def relu(w, x, y):
        z = x @ w
        r = (np.maximum(z, 0) - y) / len(x)
        return x.T @ (r * (z > 0))

    w, x, y = RNG.standard_normal((6, 40)), RNG.standard_normal((60, 6)), RNG.standard_normal((60, 40))
    w[:, 0] = [1.0, 1.0, 0, 0, 0, 0]
    x[:8, 1] = -x[:8, 0] * (1 + 1e-3 * RNG.standard_normal(8))  # z within 1e-3 of its kink

    def low(array):
        return np.float32(rounded(array, form))

    z = low(low(x) @ low(w))
    r = low((np.maximum(z, 0) - low(y)) / 60)
    report = check_low_precision(low(low(x).T @ (r * (z > 0))), relu, w, x, y, dtype=form, seed=0)
    assert report.verdict.severity <= Verdict.INCONCLUSIVE.severity, str(report)


def test_given_variances_are_used():
    right = np.arange(1.0, 7.0).reshape(2, 3)
    claimed = (right + 3e-3).astype(np.float32)
    for deviation, verdict in (
        (1e-3, Verdict.AGREES),
        (4e-4, Verdict.INCONCLUSIVE),
        (1e-4, Verdict.DISAGREES),
    ):
        told = check_low_precision(
            claimed, right, variance=np.full((2, 3), deviation**2), resolution=0.1, seed=0
        )
        assert told.verdict is verdict, str(told)


# --- wrong ----------------------------------------------------------------------------------------------


def spoil(name, gradient):
    found = copied(gradient)
    w = found["w1"]
    if name == "an entry":
        i = np.unravel_index(np.argmax(abs(w)), w.shape)
        w[i] *= 1 + 1e-3
    elif name == "a factor":
        w *= 1 + 1e-4
    elif name == "transposed tile":
        w[:16] = w[:16].T.copy()
    elif name == "a row":
        w[3] = 0.0
    elif name == "sign":
        found["b1"] *= -1
    else:
        found["w2"][:] = 0.0
    return found


PLANTED = [("float32", b) for b in ("an entry", "a factor", "transposed tile", "a row", "sign", "zeros")] + [
    (f, b) for f in ("float16", "bfloat16") for b in ("transposed tile", "a row", "sign", "zeros")
]
SIMULATED = (("float32", "an entry"), ("float16", "transposed tile"), ("bfloat16", "a row"))


@pytest.mark.parametrize(
    ("form", "bug", "how"),
    # each by the model; by simulation, which takes three times as long, one in each format
    some(
        [(form, bug, how) for how in ("model", "function") for form, bug in PLANTED],
        default=lambda form, bug, how: (form, bug) in SIMULATED or (form, how) == ("float32", "model"),
    ),
)
def test_planted_bugs_are_found(how, form, bug):
    wrong = spoil(bug, kernel(form, *PROBLEM))
    if how == "function":
        report = check_low_precision(wrong, reference, *PROBLEM, dtype=form, seed=0)
    else:
        report = check_low_precision(as_layers(wrong, form), as_case(*PROBLEM), dtype=form, seed=0)
    assert report.verdict is Verdict.DISAGREES, str(report)


def test_a_dropped_example_is_found_in_bfloat16():
    params, x, y = PROBLEM
    less = kernel("bfloat16", params, x[1:], y[1:])
    wrong = {k: np.float32(v) * 31 / 32 for k, v in less.items()}
    report = check_low_precision(wrong, reference, *PROBLEM, dtype="bfloat16", seed=0)
    assert report.verdict is Verdict.DISAGREES, str(report)


@pytest.mark.parametrize(
    ("form", "sign"),
    some(
        itertools.product(["float32", "float16", "bfloat16"], [1, -1]),
        default=lambda *case: case == ("float16", -1),
    ),
)
def test_an_error_of_the_stated_limit_never_agrees(form, sign):
    """The model's negative control: in each tensor an entry is moved by the limit, to either side."""
    claimed = copied(kernel(form, *PROBLEM))
    report = check_low_precision(claimed, reference, *PROBLEM, dtype=form, seed=0)
    for comparison in report.comparisons:
        name = comparison.path[-4:-2]
        size = np.sqrt(np.mean(comparison.expected**2))
        wrong = {k: v.copy() for k, v in claimed.items()}
        index = np.unravel_index(np.argmax(comparison.bound), comparison.bound.shape)
        wrong[name][index] += sign * 1.01 * comparison.detection_limit * size
        told = check_low_precision(wrong, reference, *PROBLEM, dtype=form, seed=0)
        assert not told.ok, (comparison.path, str(told))


def test_a_common_factor_of_the_stated_size_never_agrees():
    claimed = copied(kernel("bfloat16", *PROBLEM))
    case = as_case(*PROBLEM)
    model = of_case(case, dict(tree.leaves(as_layers(claimed, "bfloat16"))), "bfloat16")
    for path, name in zip(list(model.values)[1:], ("w1", "b1", "w2"), strict=False):
        limit = model.factor_limit(path)
        assert limit < 0.2
        for factor in (1 + 1.05 * limit, 1 - 1.05 * limit):
            wrong = {k: v * (factor if k == name else 1.0) for k, v in claimed.items()}
            if name != "b1":
                continue  # the second path is the bias of the first layer
            assert not check_low_precision(wrong, reference, *PROBLEM, dtype="bfloat16", seed=0).ok


def test_nan_and_structure_are_seen():
    claimed = copied(kernel("bfloat16", *PROBLEM))
    claimed["b1"][2] = np.nan
    report = check_low_precision(claimed, reference, *PROBLEM, dtype="bfloat16", seed=0)
    assert report.verdict is Verdict.NONFINITE
    del claimed["w2"]
    report = check_low_precision(claimed, reference, *PROBLEM, dtype="bfloat16", seed=0)
    assert report.verdict is Verdict.WRONG_STRUCTURE


def test_what_cannot_be_seen_is_inconclusive_with_a_remedy():
    claimed = kernel("bfloat16", *PROBLEM)
    report = check_low_precision(claimed, reference, *PROBLEM, resolution=1e-4, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "finer precision" in report.summary


# --- arguments ------------------------------------------------------------------------------------------


def test_nothing_of_the_caller_s_is_changed_and_a_seed_repeats():
    params, x, y = PROBLEM
    claimed = kernel("bfloat16", *PROBLEM)
    before = [np.array(a) for a in (params["w1"], x, y, np.float32(claimed["w1"]))]

    def rude(params, x, y):
        found = reference(params, x, y)
        params["w1"] *= 0.0
        x *= 0.0
        return found

    first = check_low_precision(claimed, rude, params, x, y, seed=3)
    second = check_low_precision(claimed, rude, params, x, y, seed=3)
    assert first.to_json() == second.to_json()
    for kept, now in zip(before, (params["w1"], x, y, np.float32(claimed["w1"])), strict=True):
        assert np.array_equal(kept, now)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"args": ()}, "is given no arrays"),
        ({"reference": np.zeros(3), "args": ()}, "together with variance="),
        ({"dtype": "float8"}, "not known"),
        ({"dtype": "float64"}, "say which precision"),
        ({"samples": 2}, "3 or more"),
        ({"resolution": 0.0}, "relative error"),
        ({"seed": -1}, "whole number"),
        ({"variance": np.zeros(3)}, "found by simulation"),
    ],
)
def test_bad_arguments_are_explained(change, message):
    options = {"reference": lambda w: 2 * w, "args": (np.ones(3),), **change}
    given, args = options.pop("reference"), options.pop("args")
    with pytest.raises(InputError, match=message):
        check_low_precision(np.ones(3, np.float32) * 2, given, *args, **options)


def test_more_bad_arguments():
    case = as_case(*PROBLEM)
    with pytest.raises(InputError, match="whole reference"):
        check_low_precision(as_layers(kernel("float32", *PROBLEM)), case, np.ones(3))
    with pytest.raises(InputError, match="say which precision"):
        check_low_precision(np.ones(3), lambda w: w, np.ones(3))
    with pytest.raises(InputError, match="negative"):
        check_low_precision(np.float32([1.0]), np.ones(1), variance=-np.ones(1))
    with pytest.raises(InputError, match="does not fit"):
        check_low_precision(np.float32([1.0]), np.ones(1), variance=np.ones(2))
    with pytest.raises(InputError, match="cannot be run in simulated low precision"):
        check_low_precision(
            np.float32([2.0]), lambda w: 2 * w if type(w) is np.ndarray else w.nothing, np.ones(1)
        )
    with pytest.raises(InputError, match="cannot be followed"):
        check_low_precision(np.float32([2.0]), lambda w: 2 * np.asarray(w), np.ones(1))


def test_constants():
    assert default_resolution("float32") == bpcheck.check.agreement.RESOLUTION
    assert default_resolution("bfloat16") > default_resolution("float16") > default_resolution("float32")
    assert SURE == 6.0


def test_a_small_tensor_that_drowns_is_no_structural_zero():
    right = {"small": np.full(8, 0.004), "large": np.full(8, 100.0)}
    variance = {"small": np.full(8, 0.002**2), "large": np.full(8, 1e-4**2)}
    claim = {"small": np.zeros(8, np.float32), "large": right["large"].astype(np.float32)}
    report = check_low_precision(claim, right, variance=variance)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.detection_limit["params['small']"] > 1.0


def test_what_is_zero_but_for_float64_rounding_is_a_structural_zero():
    right = {"zero": np.full(8, 3e-15), "large": np.full(8, 100.0)}
    variance = {"zero": np.full(8, 1e-4**2), "large": np.full(8, 1e-4**2)}
    claim = {"zero": np.full(8, 1e-5, np.float32), "large": right["large"].astype(np.float32)}
    report = check_low_precision(claim, right, variance=variance)
    assert report.verdict is Verdict.AGREES
    assert report.detection_limit.maximum < 1e-3


def test_a_reference_that_raises_is_told():
    def reference(x):
        raise ValueError("no such layer")

    with pytest.raises(SubjectError, match="the reference raised ValueError: no such layer"):
        check_low_precision(np.zeros(3, np.float32), reference, np.zeros(3))


def test_a_function_in_place_of_the_gradient_it_returns_is_refused():
    with pytest.raises(
        InputError, match="claimed is a function: call it, and give the gradient that it returns"
    ):
        check_low_precision(np.cos, np.cos, np.zeros(3))
