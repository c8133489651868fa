"""certify(): proved inside, proved outside, or an honest word about why not."""

import copy
import math

import numpy as np
import pytest
from choosing import product, some
from hypothesis import assume, event, given
from hypothesis import strategies as st

import bpcheck
from bpcheck import Architecture, Case, InputError, Verdict, certify, mlp, reference, strategies, tree
from bpcheck.certified import forward, proof, reverse
from bpcheck.certified.layers import affine
from bpcheck.certified.oracle import MAX_PRECISION
from bpcheck.check.agreement import RESOLUTION
from bpcheck.network.architecture import LOSSES
from bpcheck.network.layers import Dense, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.strategies.values import case_from_seed


def backprop(case, dtype=np.float64):
    """Correct code that is not the project's: a chain of dense layers, textbook formulas, one dtype."""
    network = case.architecture
    forms = {
        "identity": (lambda z: z, lambda z, a: np.ones_like(z)),
        "tanh": (np.tanh, lambda z, a: 1 - a**2),
        "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z, a: a * (1 - a)),
        "relu": (lambda z: np.maximum(z, 0), lambda z, a: (z > 0).astype(z.dtype)),
    }
    params = [{k: np.asarray(v, dtype=dtype) for k, v in layer.items()} for layer in case.params]
    a, record = np.asarray(case.x, dtype=dtype), []
    for spec, layer in zip(network.layers, params, strict=True):
        below, z = a, a @ layer["weight"].T + layer["bias"]
        a = np.exp(z - z.max(axis=1, keepdims=True))
        if spec.activation == "softmax":
            a, slope = a / a.sum(axis=1, keepdims=True), 1
        else:
            value, derivative = forms[spec.activation]
            a = value(z)
            slope = derivative(z, a)
        record.append((below, slope))
    delta = a - np.asarray(case.y, dtype=dtype)
    if network.loss == "half_mse":
        delta = delta * record[-1][1]
    delta = delta / dtype(case.batch)
    gradient = []
    for number in reversed(range(len(params))):
        gradient.insert(0, {"weight": delta.T @ record[number][0], "bias": delta.sum(axis=0)})
        if number:
            delta = (delta @ params[number]["weight"]) * record[number - 1][1]
    return gradient


def real_case(network, batch, seed):
    """Numbers with all their digits, of the size that networks are initialised with."""
    rng = np.random.default_rng(seed)
    params = [
        {
            "weight": rng.standard_normal(shapes["weight"]) / math.sqrt(shapes["weight"][1]),
            "bias": rng.standard_normal(shapes["bias"]),
        }
        for shapes in network.parameter_shapes
    ]
    y = np.eye(network.outputs)[rng.integers(network.outputs, size=batch)]
    return Case(network, params, rng.random((batch, network.input_shape[0])), y)


def ask(case, gradient, **options):
    return certify(case.architecture, case.params, case.x, case.y, gradient, **options)


def typical(array):
    """Index of the entry whose size is nearest to the tensor's root mean square."""
    nearest = np.argmin(abs(abs(array) - np.sqrt(np.mean(array**2))))
    return tuple(int(i) for i in np.unravel_index(nearest, array.shape))


LARGE = {
    "sigmoid, half_mse": mlp([784, 30, 10], activation="sigmoid", output="sigmoid"),
    "softmax, cross_entropy": mlp([784, 30, 10], activation="sigmoid", loss="cross_entropy"),
}
SMALL = real_case(mlp([3, 4, 2]), 3, 0)


# --- the acceptance test -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "batch"),
    some([("sigmoid, half_mse", 1), ("softmax, cross_entropy", 3)], default=lambda name, batch: batch == 1),
)
def test_784_30_10_is_proved_and_one_entry_off_by_a_relative_1e_10_is_refuted(name, batch):
    case = real_case(LARGE[name], batch, 1)
    gradient = backprop(case)
    report = ask(case, gradient)
    assert report.verdict is Verdict.AGREES
    assert sum(c.actual.size for c in report.comparisons) == 23_860
    assert "23,860 of 23,860 entries are proved inside their bounds, 0 outside" in report.summary
    for layer, key in [(0, "weight"), (1, "bias")]:
        index = typical(gradient[layer][key])
        wrong = tree.copy(gradient)
        wrong[layer][key][index] *= 1 + 1e-10
        refuted = ask(case, wrong)
        assert refuted.verdict is Verdict.DISAGREES
        bad = [c for c in refuted.comparisons if not c.verdict.ok]
        assert [(c.path, c.worst_index) for c in bad] == [(f"params[{layer}]['{key}']", index)]
        assert "1 of" in bad[0].reason
        assert "proved outside its bound" in bad[0].reason


# --- correct code agrees, whatever the network ---------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_activation(name, dtype):
    case = case_from_seed(mlp([3, 4, 2], activation=name, output=name), 3, 3)
    found = reference.build(case.architecture).gradient(case.params, case.x, case.y)
    rounded = tree.restore(found, [leaf.astype(dtype) for _, leaf in tree.leaves(found)])
    if (name, dtype) == ("softmax", np.float32):  # two softmax layers on end leave float32 two digits
        assert ask(case, rounded).verdict is Verdict.INCONCLUSIVE
        assert ask(case, rounded, resolution=0.1).verdict is Verdict.AGREES
        return
    assert ask(case, rounded).verdict is Verdict.AGREES


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "options", [{}, {"output": "identity", "reduction": "sum", "l1": 0.1, "l2": 0.2}], ids=repr
)
def test_every_loss(name, options):
    case = case_from_seed(mlp([3, 4, 2], loss=name, **options), 3, 3)
    assert ask(case, reference.build(case.architecture).gradient(case.params, case.x, case.y)).ok


def test_skip_connections():
    layers = (Dense(3, "tanh"), Skip((Dense(2, "relu"), Dense(3))), Dense(2))
    case = case_from_seed(Architecture((2,), layers), 3, 3)
    assert ask(case, reference.build(case.architecture).gradient(case.params, case.x, case.y)).ok


@given(strategies.cases(kinds=["dense", "skip"]), st.integers(0, 2**32 - 1))
def test_random_networks_agree_and_a_planted_error_of_twice_the_bound_is_refuted(case, seed):
    gradient = reference.build(case.architecture).gradient(case.params, case.x, case.y)
    report = ask(case, gradient)
    event(report.verdict.name)
    assert report.verdict.severity <= Verdict.INCONCLUSIVE.severity, report
    assume(report.verdict is Verdict.AGREES)
    rng = np.random.default_rng(seed)
    comparison = report.comparisons[rng.integers(len(report.comparisons))]
    index = tuple(int(rng.integers(n)) for n in comparison.actual.shape)
    wrong = [tree.copy(leaf) for _, leaf in tree.leaves(gradient)]
    place = [str(path) for path, _ in tree.leaves(gradient)].index(comparison.path)
    wrong[place] = np.array(wrong[place])
    wrong[place][index] += 2.1 * comparison.bound[index] * (1 if rng.random() < 0.5 else -1)
    refuted = ask(case, tree.restore(gradient, wrong))
    assert refuted.verdict is Verdict.DISAGREES
    assert [c.worst_index for c in refuted.comparisons if not c.verdict.ok] == [index]


@given(
    strategies.cases(
        max_width=4,
        max_depth=3,
        activations=["tanh", "sigmoid", "relu"],
        outputs=["identity"],
        losses=["half_mse"],
        reductions=["mean"],
        penalties=False,
    )
)
def test_other_peoples_float32_code_is_never_called_wrong(case):
    report = ask(case, backprop(case, np.float32))
    event(report.verdict.name)
    assert report.verdict.severity <= Verdict.INCONCLUSIVE.severity, report


def test_float32_is_judged_as_float32():
    case = real_case(mlp([20, 8, 3]), 4, 2)
    low = backprop(case, np.float32)
    assert ask(case, low).verdict is Verdict.AGREES
    assert "(float32)" in ask(case, low).summary
    # and one tensor in float32 makes all of them as coarse
    mixed = backprop(case)
    mixed[1]["bias"] = mixed[1]["bias"].astype(np.float32)
    mixed[0]["weight"] = low[0]["weight"].astype(float)
    assert ask(case, mixed).verdict is Verdict.AGREES


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_other_floats(dtype):
    case = real_case(mlp([3, 4, 2]), 3, 4)
    gradient = backprop(case)
    rounded = tree.restore(gradient, [leaf.astype(dtype) for _, leaf in tree.leaves(gradient)])
    verdict = ask(case, rounded).verdict
    if dtype is np.longdouble:  # no more digits than its parameters have
        assert verdict is Verdict.AGREES
    else:
        assert verdict is Verdict.INCONCLUSIVE  # 11 bits do not resolve 1e-3
        assert ask(case, rounded, resolution=0.5).verdict is Verdict.AGREES
        rounded[0]["weight"][0, 0] += 1
        assert ask(case, rounded, resolution=0.5).verdict is Verdict.DISAGREES


def cast(case, dtype):
    """The case with params and x in another dtype, y as it is."""
    params = tree.restore(case.params, [leaf.astype(dtype) for _, leaf in tree.leaves(case.params)])
    return Case(case.architecture, params, case.x.astype(dtype), case.y)


def as_dtype(gradient, dtype):
    return tree.restore(gradient, [leaf.astype(dtype) for _, leaf in tree.leaves(gradient)])


def mixed_backprop(case):
    """6-5-3 as NumPy computes it from float32 params and x and float64 targets: forward in float32, back in float64."""
    (first, last), x, y = case.params, case.x, case.y
    a = np.tanh(x @ first["weight"].T + first["bias"])
    z = a @ last["weight"].T + last["bias"]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    delta = (e / e.sum(axis=1, keepdims=True) - y) / len(x)
    below = delta @ last["weight"] * (1 - a**2)
    return [
        {"weight": below.T @ x, "bias": below.sum(axis=0)},
        {"weight": delta.T @ a, "bias": delta.sum(axis=0)},
    ]


MIXED = cast(real_case(mlp([6, 5, 3], loss="cross_entropy"), 8, 1), np.float32)


def test_a_float64_gradient_of_float32_parameters_is_judged_as_float32():
    gradient = mixed_backprop(MIXED)
    assert gradient[0]["weight"].dtype == np.float64
    report = ask(MIXED, gradient)
    assert report.verdict is Verdict.AGREES
    assert "judged as computed in float32" in str(report.warnings)
    gradient[0]["weight"][1, 2] *= 1 + 1e-3
    assert ask(MIXED, gradient).verdict is Verdict.DISAGREES
    # what holds in 53 bits is judged with 53 bits all the same
    best = ask(MIXED, backprop(MIXED))
    assert best.verdict is Verdict.AGREES
    assert best.detection_limit.maximum < 1e-12
    assert not best.warnings


@pytest.mark.parametrize("trace", ["stored as float64", "computed in both"])
def test_float32_errors_in_an_all_float64_call_are_no_verdict(trace):
    gradient = mixed_backprop(MIXED)
    if trace == "stored as float64":
        gradient = as_dtype(backprop(MIXED, np.float32), float)
    case = cast(MIXED, float)
    report = ask(case, gradient)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "was part of it computed in float32? Give the gradient as float32" in str(
        report.comparisons[0].reason
    )
    assert "none is outside those of float32" in report.summary
    assert ask(case, as_dtype(gradient, np.float32)).verdict is Verdict.AGREES
    assert ask(case, gradient, bound=1e-14).verdict is Verdict.DISAGREES  # nobody spoke of rounding
    gradient[0]["weight"][1, 2] *= 1 + 1e-3
    assert ask(case, gradient).verdict is Verdict.DISAGREES


@pytest.mark.parametrize("relative", [1e-10, 1e-9, 1e-7, 1e-3])
def test_one_wrong_entry_is_not_taken_for_rounding(relative):
    case = cast(MIXED, float)
    gradient = backprop(case)
    index = typical(gradient[0]["weight"])
    gradient[0]["weight"][index] *= 1 + relative
    assert ask(case, gradient).verdict is Verdict.DISAGREES


@pytest.mark.parametrize("relative", [1e-10, 1e-3])
def test_all_entries_wrong_are_not_taken_for_rounding_of_another_size(relative):
    case = cast(MIXED, float)
    gradient = [{k: v * (1 + relative) for k, v in layer.items()} for layer in backprop(case)]
    assert ask(case, gradient).verdict is Verdict.DISAGREES


def test_a_float32_gradient_as_long_double():
    case = cast(MIXED, float)
    report = ask(case, as_dtype(backprop(MIXED, np.float32), np.longdouble))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "computed in float32?" in report.comparisons[0].reason


def test_each_dtype_has_its_own_ulps():
    gradient = backprop(SMALL)
    gradient[1]["bias"] = gradient[1]["bias"].astype(np.float32)
    summary = ask(SMALL, gradient).summary
    assert "(float64) they are off by" in summary
    assert "(float32) they are off by" in summary


# --- correct code that single styles of one's own do not show ---------------------------------------


@pytest.mark.parametrize(
    ("dtype", "place", "form"),
    product(
        [np.float64, np.float32],
        [(-2.0, 0.0), (-10.1, 0.0), (-15.0, 0.0), (10.1, 1.0), (10.1, 0.0)],
        ["tanh", "exp", "softplus"],
        together=2,
    ),
)
def test_binary_cross_entropy_with_any_form_of_the_sigmoid(form, place, dtype):
    z, y = dtype(place[0]), place[1]
    forms = {
        "tanh": (1 + np.tanh(z / 2)) / 2,
        "exp": 1 / (1 + np.exp(-z)),
        "softplus": np.exp(z - np.logaddexp(dtype(0), z)),
    }
    delta = dtype(forms[form]) - dtype(y)
    params = [{"weight": np.array([[z]]), "bias": np.zeros(1, dtype)}]
    case = Case(mlp([1, 1], loss="binary_cross_entropy"), params, np.ones((1, 1), dtype), np.full((1, 1), y))
    report = ask(case, [{"weight": np.array([[delta]]), "bias": np.array([delta])}])
    assert report.verdict.severity <= Verdict.INCONCLUSIVE.severity
    if dtype is np.float64:
        assert report.verdict is Verdict.AGREES
        wrong = delta + dtype(1e-10)
        assert not ask(case, [{"weight": np.array([[wrong]]), "bias": np.array([wrong])}]).ok


@pytest.mark.full
def test_float32_of_an_ordinary_large_network_is_resolved():
    case = cast(real_case(mlp([784, 30, 10], activation="relu", loss="cross_entropy"), 32, 3), np.float32)
    gradient = backprop(case, np.float32)
    assert ask(case, gradient).verdict is Verdict.AGREES
    index = typical(gradient[0]["weight"])
    gradient[0]["weight"][index] *= 1 + np.float32(1e-3)
    assert ask(case, gradient).verdict is Verdict.DISAGREES


def test_what_to_do_where_float32_does_not_resolve_it():
    case = cast(real_case(mlp([20, 30, 30, 30, 3]), 32, 3), np.float32)
    gradient = backprop(case, np.float32)
    report = ask(case, gradient, resolution=1e-6)
    assert report.verdict is Verdict.INCONCLUSIVE
    reason = report.comparisons[0].reason
    assert "or a gradient computed in float64" in reason
    enough = float(reason.split("pass resolution=")[1].split()[0])
    assert (
        ask(case, gradient, resolution=max(enough, report.detection_limit.maximum)).verdict is Verdict.AGREES
    )


def test_roundings_of_equal_terms_add_up():
    """20,000 times the slope 1/20000 of a clipped residual: NumPy's float32 sum is off by 30 √n u."""
    count = 20_000
    rng = np.random.default_rng(5)
    x = rng.standard_normal((count, 1)).astype(np.float32)
    params = [{"weight": np.array([[0.5], [0.25]], np.float32), "bias": np.array([30.0, -20.0], np.float32)}]
    case = Case(mlp([1, 2], loss="huber"), params, x, np.zeros((count, 2)))
    delta = np.clip(x @ params[0]["weight"].T + params[0]["bias"], -1, 1) / np.float32(count)
    report = ask(case, [{"weight": delta.T @ x, "bias": delta.sum(axis=0)}])
    assert report.verdict.severity <= Verdict.INCONCLUSIVE.severity
    off = abs(report.comparisons[1].actual - report.comparisons[1].expected).max()
    assert off > 4 * math.sqrt(count) * 2.0**-24  # what independent roundings would be allowed


# --- targets whose sum is not 1 ----------------------------------------------------------------------


def soft(dtype, off=0.0):
    rng = np.random.default_rng(4)
    y = rng.dirichlet(np.ones(3), 5).astype(dtype).astype(float)
    y[:, 0] += off
    case = real_case(mlp([4, 3], loss="cross_entropy"), 5, 4)
    return Case(case.architecture, case.params, case.x, y)


def test_float64_targets_that_sum_to_1():
    case = soft(float)
    report = ask(case, backprop(case))
    assert report.verdict is Verdict.AGREES
    assert not report.warnings


@pytest.mark.parametrize("kept", [True, False])
def test_targets_rounded_to_float32_take_p_minus_y_and_say_so(kept):
    case = soft(np.float32)
    y = case.y.astype(np.float32) if kept else case.y
    case = Case(case.architecture, case.params, case.x, y)
    report = ask(case, backprop(case))  # p − y
    assert report.verdict is Verdict.AGREES
    assert "p − y was accepted" in str(report.warnings)
    assert "Σy differs from 1 by" in str(report)


def test_targets_that_do_not_sum_to_1_take_the_derivative_alone():
    case = soft(float, off=9e-7)
    report = ask(case, backprop(case))
    assert not report.ok
    assert "p − y is not accepted" in str(report.warnings)
    assert ask(case, backprop_reference(case)).verdict is Verdict.AGREES


def test_whole_numbers_are_taken_as_they_are():
    case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    assert ask(case, [{"weight": np.array([[6]]), "bias": np.array([2])}]).ok
    assert not ask(case, [{"weight": np.array([[6]]), "bias": np.array([3])}]).ok


# --- a bound of one's own ------------------------------------------------------------------------


def test_a_number_as_bound_is_decided_to_the_last_digit():
    """|g − exact| against the bound, where both differ by far less than a float64 can tell."""
    case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    gradient = [{"weight": np.array([[6.0 + 2**-20]]), "bias": np.array([2.0])}]
    assert ask(case, gradient, bound=2.0**-20).verdict is Verdict.AGREES
    tighter = float(np.nextafter(2.0**-20, 0))
    assert ask(case, gradient, bound=tighter).verdict is Verdict.DISAGREES


def test_a_bound_of_zero_asks_for_the_exact_number():
    case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    assert (
        ask(case, [{"weight": np.array([[6.0]]), "bias": np.array([2.0])}], bound=0).verdict is Verdict.AGREES
    )
    assert ask(case, backprop(case), bound=0.0).ok
    assert ask(SMALL, backprop(SMALL), bound=0.0).verdict is Verdict.DISAGREES  # tanh is no float


def test_arrays_as_bound():
    gradient = backprop(SMALL)
    bound = tree.restore(gradient, [np.full(leaf.shape, 1e-12) for _, leaf in tree.leaves(gradient)])
    assert ask(SMALL, gradient, bound=bound).ok
    bound[1]["bias"][1] = 0.0
    report = ask(SMALL, gradient, bound=bound)
    assert [(c.path, c.worst_index) for c in report.comparisons if not c.verdict.ok] == [
        ("params[1]['bias']", (1,))
    ]


def test_precision_is_doubled_until_it_is_decided():
    """tanh(½)² − … against the nearest float: the bound is that float's own error, to 200 digits."""
    case = Case(mlp([1, 1], output="tanh"), [{"weight": [[1.0]], "bias": [0.0]}], [[0.5]], [[0.0]])
    gradient = backprop(case)
    path = tree.Path("params").item(0).item("bias")
    with_bound = proof.prove(case, {path: gradient[0]["bias"]}, {path: np.array([0.0])})[path]
    exact_error = float(with_bound.error[0])
    assert exact_error > 0
    found = {}
    for factor in (1 - 1e-9, 1 + 1e-9):
        found[factor] = ask(case, gradient, bound=exact_error * factor).comparisons[1]
    assert found[1 - 1e-9].verdict is Verdict.DISAGREES
    assert found[1 + 1e-9].verdict is Verdict.AGREES


def test_more_bits_are_asked_for_and_stop_at_the_cap(monkeypatch):
    """The claim is exactly the bound away from the right value: no precision decides it, short of luck."""
    asked = []
    right = reverse.propagate

    def watched(case, numbers, **options):
        asked.append(numbers.bits)
        return right(case, numbers, **options)

    monkeypatch.setattr(proof, "propagate", watched)
    # 1/3 is no float: with 3 examples the mean is a ball for ever, here 1/3 exactly 1/3 − 0 away from 0
    case = Case(mlp([1, 1]), [{"weight": [[1.0]], "bias": [0.0]}], [[1.0], [0.0], [0.0]], [[0.0]] * 3)
    third = 1 / 3
    gradient = [{"weight": np.array([[third]]), "bias": np.array([third])}]
    close = (2.0**-54) / 3  # |fl(1/3) − 1/3|, itself rounded: 1e-33 relative away from the exact distance
    report = ask(case, gradient, bound=close)
    assert report.verdict is not Verdict.INCONCLUSIVE
    assert max(asked) <= 256
    monkeypatch.setattr(
        proof,
        "_proof",
        lambda claim, bound, low, high, bits: proof.Proof(
            np.zeros(claim.shape, bool), np.zeros(claim.shape, bool), claim, claim * 0, claim * 0, bits
        ),
    )
    asked.clear()
    report = ask(case, gradient, bound=close)
    assert max(asked) == MAX_PRECISION
    assert report.verdict is Verdict.INCONCLUSIVE
    assert f"it is proved neither inside its bound nor outside, with {MAX_PRECISION} bits" in str(
        report.comparisons[0].reason
    )


# --- what cannot be said -------------------------------------------------------------------------


def test_a_bound_that_sees_nothing_is_no_pass():
    report = ask(SMALL, backprop(SMALL), bound=10.0)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "only relative errors above" in report.comparisons[0].reason
    assert not report.ok
    assert ask(SMALL, backprop(SMALL), bound=10.0, resolution=1e6).ok


def test_the_limit_is_what_it_says():
    report = ask(SMALL, backprop(SMALL))
    assert 0 < report.detection_limit.maximum < 1e-12 < RESOLUTION
    for number, comparison in enumerate(report.comparisons):
        size = float(np.sqrt(np.mean(comparison.expected**2)))
        wrong = backprop(SMALL)
        leaf = wrong[number // 2][("weight", "bias")[number % 2]]
        leaf[(0,) * leaf.ndim] += 1.01 * comparison.detection_limit * size
        assert ask(SMALL, wrong).verdict is Verdict.DISAGREES


def test_numbers_that_float64_balls_know_nothing_about():
    """z = 1e17 − 1e17 + …: its 53-bit radius is 32, and e³² of anything is no bound."""
    params = [{"weight": [[1e17, -1e17]], "bias": [0.5]}, {"weight": [[1.0]], "bias": [0.0]}]
    case = Case(mlp([2, 1, 1], activation="softplus"), params, [[1.1, 1.1]], [[0.0]])
    report = ask(case, backprop_reference(case))
    assert report.verdict is Verdict.INCONCLUSIVE
    worse = [{"weight": [[1e300, -1e300]], "bias": [0.5]}, {"weight": [[1e300]], "bias": [0.0]}]
    report = ask(Case(case.architecture, worse, case.x, case.y), backprop_reference(case))
    assert report.verdict is Verdict.INCONCLUSIVE


def backprop_reference(case):
    return reference.build(case.architecture).gradient(case.params, case.x, case.y)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite(value):
    gradient = backprop(SMALL)
    gradient[0]["weight"][1, 2] = value
    report = ask(SMALL, gradient)
    assert report.verdict is Verdict.NONFINITE
    bad = [c for c in report.comparisons if not c.verdict.ok]
    assert [(c.path, c.worst_index) for c in bad] == [("params[0]['weight']", (1, 2))]
    assert "25 of 26 entries are proved inside their bounds, 1 outside" in report.summary


def test_a_right_value_beyond_float64_is_no_verdict_on_an_infinity():
    case = Case(mlp([1, 1]), [{"weight": [[1e200]], "bias": [0.0]}], [[1e200]], [[0.0]])
    report = ask(case, [{"weight": np.array([[np.inf]]), "bias": np.array([np.inf])}])
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "beyond the range of float64" in report.comparisons[0].reason


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        (lambda g: g[:1], "params[1]", "there is no gradient"),
        (lambda g: [{**g[0], "weight": g[0]["weight"].T}, g[1]], "params[0]['weight']", "shape"),
        (lambda g: [{**g[0], "weight": None}, g[1]], "params[0]['weight']", "None"),
        (lambda g: [{**g[0], "scale": np.ones(2)}, g[1]], "params[0]['scale']", "no such parameter"),
        (lambda g: [{**g[0], "bias": g[0]["bias"] * 1j}, g[1]], "params[0]['bias']", "complex"),
        (lambda g: None, "params", "None"),
    ],
)
def test_a_gradient_of_another_form(change, path, reason):
    report = ask(SMALL, change(backprop(SMALL)))
    assert report.verdict is Verdict.WRONG_STRUCTURE
    wrong = [c for c in report.comparisons if c.verdict is Verdict.WRONG_STRUCTURE]
    assert wrong[0].path == path
    assert reason in wrong[0].reason
    assert str(report)


# --- kinks ---------------------------------------------------------------------------------------


def at_kink(activation="relu", shift=0.0, weight=3.0):
    """Unit 1 has z = shift; C = ½ (a₀ + weight·a₁ − 9)², a₀ = 1.5."""
    layers = [
        {"weight": [[1.0], [1.0]], "bias": [0.5, -1.0 + shift]},
        {"weight": [[1.0, weight]], "bias": [0.0]},
    ]
    return Case(mlp([1, 2, 1], activation=activation), layers, [[1.0]], [[9.0]])


def at_kink_gradient(slope, r=-7.5, weight=3.0):
    delta = np.array([r, weight * r * slope])
    return [
        {"weight": delta[:, None].copy(), "bias": delta.copy()},
        {"weight": np.array([[1.5 * r, 0.0]]), "bias": np.array([r])},
    ]


@pytest.mark.parametrize(("name", "low"), [("relu", 0.0), ("leaky_relu", 0.01)])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_at_a_kink_every_slope_between_the_sides_is_right(name, low, share):
    report = ask(at_kink(name), at_kink_gradient(low + share * (1 - low)))
    assert report.verdict is Verdict.AGREES_AT_KINK
    verdicts = {c.path: c.verdict for c in report.comparisons}
    assert verdicts["params[1]['weight']"] is Verdict.AGREES  # nothing in it depends on the kink
    assert "1 of 2 entries depends on a corner of the loss" in report.comparisons[0].reason


@pytest.mark.parametrize(
    ("name", "slope"), [("relu", -0.01), ("relu", 1.0 + 1e-12), ("leaky_relu", 0.01 - 1e-12)]
)
def test_at_a_kink_a_slope_outside_is_wrong(name, slope):
    report = ask(at_kink(name), at_kink_gradient(slope))
    assert report.verdict is Verdict.DISAGREES
    assert report.comparisons[0].worst_index == (1, 0)


def test_at_a_kink_an_error_elsewhere_is_still_seen():
    wrong = at_kink_gradient(0.5)
    wrong[1]["weight"][0, 0] *= 1 + 1e-12
    assert ask(at_kink(), wrong).verdict is Verdict.DISAGREES


def test_two_units_at_kinks_that_cancel_have_the_interval_of_their_choices():
    """δ of the unit below is w (s₁ − s₂) r: any number of [−wr, wr], and 0 does not mean much."""
    layers = [
        {"weight": [[1.0]], "bias": [0.0]},
        {"weight": [[1.0], [1.0]], "bias": [-1.0, -1.0]},
        {"weight": [[1.0, -1.0]], "bias": [0.0]},
    ]
    network = Architecture((1,), (Dense(1), Dense(2, "relu"), Dense(1)))
    case = Case(network, layers, [[1.0]], [[4.0]])
    r = -4.0

    def gradient(first, second, below):
        return [
            {"weight": np.array([[below]]), "bias": np.array([below])},
            {"weight": np.array([[r * first], [-r * second]]), "bias": np.array([r * first, -r * second])},
            {"weight": np.zeros((1, 2)), "bias": np.array([r])},
        ]

    assert ask(case, gradient(1.0, 0.0, r)).verdict is Verdict.AGREES_AT_KINK
    assert ask(case, gradient(0.0, 0.0, 0.0)).verdict is Verdict.AGREES_AT_KINK
    assert ask(case, gradient(1.0, 0.0, 1.01 * r)).verdict is Verdict.DISAGREES


def test_more_units_at_kinks_than_can_be_tried_out():
    count = proof.MOST_UNITS + 1
    layers = [
        {"weight": np.ones((count, 1)), "bias": -np.ones(count)},
        {"weight": np.ones((1, count)), "bias": [0.0]},
    ]
    case = Case(mlp([1, count, 1], activation="relu"), layers, [[1.0]], [[4.0]])
    gradient = [
        {"weight": np.zeros((count, 1)), "bias": np.zeros(count)},
        {"weight": np.zeros((1, count)), "bias": np.array([-4.0])},
    ]
    report = ask(case, gradient)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert f"{count} units lie at a kink" in str(report)
    assert report.summary == "0 of 16 entries are proved wrong, with 128 bits; none could be proved right."
    gradient[0]["bias"][0] = 100.0
    assert ask(case, gradient).verdict is Verdict.DISAGREES


def test_a_unit_that_rounding_moves_over_its_kink():
    """z = (0.1 + 0.2) − 0.3 is 2.8e-17 exactly in one order of summation and −2.8e-17 + … in another."""
    layers = [
        {"weight": [[1.0, 1.0, -1.0]], "bias": [0.0]},
        {"weight": [[2.0]], "bias": [1.0]},
    ]
    case = Case(mlp([3, 1, 1], activation="relu"), layers, [[0.1, 0.2, 0.3]], [[0.0]])
    on = [
        {"weight": 2.0 * np.array([[0.1, 0.2, 0.3]]), "bias": np.array([2.0])},
        {"weight": np.array([[2.0**-55]]), "bias": np.array([1.0])},
    ]
    off = [{"weight": np.zeros((1, 3)), "bias": np.zeros(1)}, on[1]]
    assert ask(case, on).verdict is Verdict.AGREES
    assert ask(case, off).verdict is Verdict.AGREES_AT_KINK
    assert ask(case, off, bound=1e-12).verdict is Verdict.DISAGREES  # from the exact derivative, it is far
    half = [{"weight": on[0]["weight"] * 1.001, "bias": on[0]["bias"]}, on[1]]
    assert ask(case, half).verdict is Verdict.DISAGREES


@pytest.mark.parametrize(
    ("slope", "verdict"),
    [
        (-0.25, Verdict.AGREES_AT_KINK),
        (0.0, Verdict.AGREES_AT_KINK),
        (0.25, Verdict.AGREES_AT_KINK),
        (0.2500001, Verdict.DISAGREES),
        (-0.26, Verdict.DISAGREES),
    ],
)
def test_a_weight_of_zero_under_an_l1_penalty(slope, verdict):
    case = Case(mlp([2, 1], l1=0.25), [{"weight": [[1.0, 0.0]], "bias": [0.0]}], [[1.0, 1.0]], [[0.0]])
    gradient = [{"weight": np.array([[1.25, 1.0 + slope]]), "bias": np.array([1.0])}]
    assert ask(case, gradient).verdict is verdict


# --- the second route ----------------------------------------------------------------------------


def test_confirm_asks_the_second_route():
    report = ask(SMALL, backprop(SMALL), confirm=True)
    assert report.verdict is Verdict.AGREES
    assert "A second route, forward, confirms 26 enclosures" in report.summary
    some = ask(SMALL, backprop(SMALL), confirm=[("params[0]['weight']", (2, 1))])
    assert "confirms 1 enclosures" in some.summary
    assert "confirms 1 enclosures" in ask(SMALL, backprop(SMALL), confirm=[("params[0]['bias']", 0)]).summary
    assert "second route" not in ask(SMALL, backprop(SMALL), confirm=np.False_).summary
    with pytest.raises(InputError, match="does not lie in"):
        ask(SMALL, backprop(SMALL), confirm=[("params[0]['weight']", (9, 1))])


def test_a_contradiction_between_the_routes_is_no_pass(monkeypatch):
    """A wrong reverse pass certifies a gradient that is wrong alike; the second route sees it."""
    right = affine._bias_gradient

    def wrong(numbers, delta, ones):
        return right(numbers, delta, ones) * 2

    gradient = backprop(SMALL)
    for layer in gradient:
        layer["bias"] *= 2
    monkeypatch.setattr(affine, "_bias_gradient", wrong)
    assert ask(SMALL, gradient).verdict is Verdict.AGREES
    report = ask(SMALL, gradient, confirm=True)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "contradict one another" in report.summary
    monkeypatch.undo()
    assert ask(SMALL, gradient).verdict is Verdict.DISAGREES
    assert forward.confirm(SMALL).ok


# --- arguments, manners, words -------------------------------------------------------------------


def test_what_the_reference_builds_is_a_network_too():
    network = reference.build(SMALL.architecture)
    assert certify(network, SMALL.params, SMALL.x, SMALL.y, backprop(SMALL)).ok


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "mlp"}, r"network is str 'mlp'; give a bpcheck\.Architecture"),
        ({"params": [1, 2]}, r"params\[0\] is int"),
        ({"x": np.zeros((3, 7))}, r"x has shape \(3, 7\)"),
        ({"y": np.zeros((2, 2))}, r"y has shape \(2, 2\)"),
        ({"x": np.full((3, 3), np.nan)}, "x holds nan"),
        ({"bound": -1.0}, r"the bound for params\[0\]\['weight'\] holds -1\.0; a bound is a finite distance"),
        ({"bound": np.inf}, "holds inf"),
        ({"bound": np.nan}, "holds nan"),
        ({"bound": True}, "bound does not fit the parameters"),
        ({"bound": [1.0]}, r"bound does not fit the parameters: for params\[0\] its bound is float 1\.0"),
        ({"resolution": 0}, "resolution is 0; give a positive number"),
        ({"resolution": "fine"}, "resolution is 'fine'"),
        ({"resolution": np.nan}, "resolution is nan"),
        ({"resolution": 10**400}, "resolution is 1000"),
        ({"bound": 10**400}, "holds inf; a bound is a finite distance"),
        ({"bound": np.array("x")}, "bound does not fit the parameters"),
        ({"bound": np.ma.masked_array(1.0)}, "bound is a masked array"),
        ({"confirm": 1}, "confirm: int 1 names no entries"),
        ({"confirm": 0}, "confirm: int 0 names no entries"),
        ({"confirm": "x"}, "confirm: str 'x' names no entries"),
        ({"confirm": ["params[0]['bias']"]}, "names no entries of the gradient; give pairs"),
        ({"confirm": [("params[0]['bias']", 0.5)]}, "names no entries of the gradient; give pairs"),
        ({"y": np.full((3, 2), np.nan)}, r"y holds nan at index \(0, 0\); inputs and targets"),
        ({"x": np.ma.masked_array(np.ones((3, 3)))}, "x is a masked array, and its mask would be lost"),
    ],
    ids=repr,
)
def test_bad_arguments(change, message):
    arguments = {
        "network": SMALL.architecture,
        "params": SMALL.params,
        "x": SMALL.x,
        "y": SMALL.y,
        "gradient": backprop(SMALL),
    }
    with pytest.raises(InputError, match=message):
        certify(**{**arguments, **change})


@pytest.mark.parametrize("value", [np.float32(1e-3), np.int64(1), np.array(1e-3)], ids=repr)
def test_numbers_of_any_kind(value):
    assert ask(SMALL, backprop(SMALL), resolution=value).ok
    assert ask(SMALL, backprop(SMALL), bound=value, resolution=1e6).ok


def test_nested_lists_are_a_gradient_too():
    listed = [{key: value.tolist() for key, value in layer.items()} for layer in backprop(SMALL)]
    assert ask(SMALL, listed).verdict is Verdict.AGREES
    listed[0]["weight"][1][2] *= 1 + 1e-10
    assert ask(SMALL, listed).verdict is Verdict.DISAGREES
    listed[0]["weight"][1] = [1.0]
    report = ask(SMALL, listed)
    assert report.verdict is Verdict.WRONG_STRUCTURE
    assert "not an array" in report.comparisons[0].reason


def test_a_mask_is_not_dropped():
    gradient = backprop(SMALL)
    gradient[1]["bias"] = np.ma.masked_array(gradient[1]["bias"], mask=[True, False])
    with pytest.raises(InputError, match=r"gradient\[1\]\['bias'\] is a masked array"):
        ask(SMALL, gradient)


def test_a_tensor_is_told_how_to_become_an_array():
    class Tensor:
        requires_grad = True

        def detach(self):
            raise AssertionError

    gradient = backprop(SMALL)
    gradient[1]["bias"] = Tensor()
    assert "call .detach().cpu().numpy() on it" in str(ask(SMALL, gradient).comparisons[0].reason)
    with pytest.raises(InputError, match=r"x is a tensor that records its gradient; call \.detach\(\)"):
        certify(SMALL.architecture, SMALL.params, Tensor(), SMALL.y, gradient)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_the_callers_floating_point_errors_are_not_ours(scale):
    case = Case(SMALL.architecture, SMALL.params, SMALL.x * scale, SMALL.y)
    gradient = backprop(SMALL)
    rational = Case(mlp([3, 4, 2], activation="relu"), SMALL.params, case.x, SMALL.y)
    with np.errstate(all="raise"):
        assert ask(case, gradient).verdict.severity >= (scale == 1e200)
        assert bpcheck.certified.testify(case).loss > 0
        assert bpcheck.certified.confirm(case, [("params[0]['bias']", 0)]).confirmed == 1
        assert bpcheck.certified.exact(rational).loss > 0


@pytest.mark.filterwarnings("error")
def test_a_long_double_beyond_float64_is_a_number():
    huge = np.longdouble(10) ** 400 if np.finfo(np.longdouble).maxexp > 1024 else np.longdouble(1e300)
    gradient = as_dtype(backprop(SMALL), np.longdouble)
    gradient[0]["weight"][1, 2] = huge
    report = ask(SMALL, gradient)
    assert report.verdict is Verdict.DISAGREES
    assert report.comparisons[0].worst_index == (1, 2)


def test_options_are_by_name():
    with pytest.raises(TypeError):
        certify(SMALL.architecture, SMALL.params, SMALL.x, SMALL.y, backprop(SMALL), 1.0)


def test_without_python_flint_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "flint", None)
    with pytest.raises(InputError, match=r"pip install 'bpcheck\[certify\]'"):
        ask(SMALL, backprop(SMALL))


def test_nothing_of_the_callers_is_changed_and_the_report_is_read_only():
    params, x, y = SMALL.mutable()
    gradient = backprop(SMALL)
    before = copy.deepcopy((params, x, y, gradient))
    report = certify(SMALL.architecture, params, x, y, gradient)
    for (_, old), (_, new) in zip(
        tree.leaves(list(before)), tree.leaves([params, x, y, gradient]), strict=True
    ):
        assert np.array_equal(old, new)
        assert new.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        report.comparisons[0].expected[0, 0] = 0.0


def test_the_report_speaks():
    text = str(ask(SMALL, backprop(SMALL)))
    assert text.startswith(
        "bpcheck: gradient  AGREES\n\n  26 of 26 entries are proved inside their bounds, 0 outside"
    )
    assert "units in the last place (float64)" in " ".join(text.split())
    assert "limit" in text
    wrong = backprop(SMALL)
    wrong[0]["weight"][1, 2] *= 1 + 1e-9
    text = str(ask(SMALL, wrong))
    assert "DISAGREES" in text
    assert "params[0]['weight'][1, 2] (W²)" in text
    assert bpcheck.Report is type(ask(SMALL, wrong))
    assert '"DISAGREES"' in ask(SMALL, wrong).to_json()


def test_ulps_do_not_decide():
    """Where terms cancel, a right entry is millions of ulps off; where they do not, a wrong one 200."""
    x, w, b = np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([[0.1, 0.3]]), np.array([0.7])
    residual = np.array([[0.3], [-0.3 * (1 + 1e-8)]])
    case = Case(mlp([2, 1]), [{"weight": w, "bias": b}], x, x @ w.T + b - residual)
    right = backprop(case)
    exact = np.asarray(bpcheck.certified.testify(case).gradient[tree.Path("params").item(0).item("weight")])
    off = abs(right[0]["weight"] - exact) / np.spacing(abs(exact))
    assert off[0, 0] > 1e6
    assert ask(case, right).verdict is Verdict.AGREES
    assert "e+0" in ask(case, right).summary  # and the report says so
    wrong = tree.copy(right)
    wrong[0]["weight"][0, 1] += 200 * np.spacing(wrong[0]["weight"][0, 1])
    assert ask(case, wrong).verdict is Verdict.DISAGREES
