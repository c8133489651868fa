"""Right gradients are never flagged, however they are written."""

import itertools

import numpy as np
import pytest
from choosing import some
from students import make

import bpcheck
from bpcheck import Case, Verdict, mlp
from bpcheck.network.dense_chain import dense_chain
from bpcheck.search.cases.sample import STRATA, random_architecture, random_case, stratum


# both orders and both seeds; the other two pairs, and a thousand networks below, are full
@pytest.mark.parametrize(
    ("order", "seed"),
    [
        pytest.param(1, 0, id="in order-0"),
        pytest.param(-1, 1, id="sums reversed-1", marks=pytest.mark.full),
        pytest.param(1, 1, id="in order-1", marks=pytest.mark.full),
        pytest.param(-1, 0, id="sums reversed-0", marks=pytest.mark.full),
    ],
)
def test_correct_textbook_code_agrees(order, seed):
    report = bpcheck.compare(make(order=order), seed=seed)
    assert report.ok, str(report)
    assert report.examples == 100
    assert report.detection_limit.maximum <= 1e-3


@pytest.mark.full
@pytest.mark.parametrize("order", [1, -1], ids=["in order", "sums reversed"])
def test_correct_code_is_flagged_in_none_of_a_thousand_networks(order):
    report = bpcheck.compare(make(order=order), examples=1000, seed=20261121)
    assert report.ok, str(report)
    assert report.examples == 1000


@pytest.mark.parametrize(
    ("activation", "examples"),
    some(
        itertools.product(
            ["identity", "tanh", "sigmoid", "relu", "leaky_relu", "softplus", "gelu", "silu"], [12, 40]
        ),
        default=lambda *case: case in (("tanh", 12), ("relu", 12)),
    ),
)
def test_a_float32_implementation_is_not_flagged(activation, examples):
    right = make()

    def single(params, x, y, architecture):
        down = [{name: value.astype(np.float32) for name, value in layer.items()} for layer in params]
        return right(down, x.astype(np.float32), y.astype(np.float32), architecture)

    report = bpcheck.compare(
        single, architectures=mlp([3, 4, 2], activation=activation), examples=examples, seed=4
    )
    assert report.ok, str(report)  # small networks are decided even in float32
    assert any("float32" in warning for warning in report.warnings)


@pytest.mark.parametrize("choice", [0.0, 0.3, 1.0])
def test_any_slope_at_an_exact_kink_agrees_at_kink(choice):
    architecture = mlp([1, 2, 1], activation="relu")
    params = [{"weight": [[1.0], [0.5]], "bias": [-2.0, 0.0]}, {"weight": [[1.0, 1.0]], "bias": [0.0]}]
    case = Case(architecture, params, x=[[2.0]], y=[[0.5]])  # the first unit sits at z = 0 exactly

    def backprop(params, x, y):
        z = x @ params[0]["weight"].T + params[0]["bias"]
        a = np.maximum(z, 0)
        r = a @ params[1]["weight"].T + params[1]["bias"] - y
        slope = np.where(z == 0, choice, (z > 0) * 1.0)
        d = r @ params[1]["weight"] * slope
        return 0.5 * np.sum(r**2), [
            {"weight": d.T @ x, "bias": d.sum(0)},
            {"weight": r.T @ a, "bias": r.sum(0)},
        ]

    report = bpcheck.compare(backprop, cases=case, seed=0)
    assert report.verdict is Verdict.AGREES_AT_KINK, str(report)


def test_a_slope_outside_the_interval_disagrees_at_a_kink():
    case = Case(
        mlp([1, 1, 1], activation="relu"),
        [{"weight": [[1.0]], "bias": [-2.0]}, {"weight": [[1.0]], "bias": [1.0]}],
        x=[[2.0]],
        y=[[0.5]],
    )

    def backprop(params, x, y):
        r = params[1]["bias"] - y
        wrong = r * 1.5
        return 0.5 * np.sum(r**2), [
            {"weight": wrong * x, "bias": wrong[0]},
            {"weight": 0 * r, "bias": r[0]},
        ]

    assert bpcheck.compare(backprop, cases=case, seed=0).verdict is Verdict.DISAGREES


def test_a_wrong_gradient_cannot_hide_in_the_interval_of_a_kink():
    """All units tied at a kink: halving the gradient lies inside the interval, but not a hair beside it."""
    case = Case(
        mlp([1, 2, 1], activation="relu"),
        [{"weight": [[1.0], [1.0]], "bias": [-2.0, -2.0]}, {"weight": [[1.0, 1.0]], "bias": [1.0]}],
        x=[[2.0]],
        y=[[0.5]],
    )
    right = make()

    def halved(params, x, y):
        loss, grads = right(params, x, y, mlp([1, 2, 1], activation="relu"))
        return loss, [{k: 0.5 * v for k, v in grads[0].items()}, grads[1]]

    assert bpcheck.compare(halved, cases=case, seed=0).verdict is Verdict.DISAGREES


def test_every_stratum_is_visited_in_a_default_run():
    assert {stratum(index) for index in range(100)} == set(STRATA)
    assert sum(stratum(index) == "generic" for index in range(100)) == 80


@pytest.mark.parametrize("kind", STRATA)
def test_strata_are_what_their_names_say(kind):
    rng = np.random.default_rng(5)
    for _ in range(20):
        case = random_case(
            rng, random_architecture(rng, kind, template=mlp([2, 2, 2], activation="tanh")), kind
        )
        widths = dense_chain(case.architecture).widths
        leaves = [array for layer in case.params for array in layer.values()]
        assert all((array != 0).all() for array in leaves)
        if kind == "generic":
            assert len(set(widths)) == len(widths) >= 4
            assert case.batch >= 3
            assert any((array > 0).any() for array in leaves)
            assert any((array < 0).any() for array in leaves)
        elif kind == "equal widths":
            assert len({*widths, case.batch}) == 1
        elif kind == "batch of one":
            assert case.batch == 1
        elif kind == "no hidden layer":
            assert len(widths) == 2
        elif kind == "one output":
            assert widths[-1] == 1
        elif kind == "pre-activations of one sign":
            assert all((array > 0).all() for array in [*leaves, case.x])
        else:
            assert abs(case.x).max() <= 8.0


def test_saturated_cases_do_saturate():
    rng = np.random.default_rng(6)
    largest = 0.0
    for _ in range(20):
        case = random_case(rng, mlp([4, 5, 3], activation="tanh"), "saturated")
        trace = bpcheck.reference.build(case.architecture).trace(case.params, case.x, case.y)
        largest = max(largest, float(abs(trace.pre_activations[0]).max()))
    assert largest > 8.0


def test_targets_that_sum_to_one_in_float32_only_are_distributions():
    """p − y is what everybody writes, and right for them; for rows that sum to 2 it is wrong."""
    architecture = mlp([3, 4, 2], loss="cross_entropy")
    rng = np.random.default_rng(0)
    params = bpcheck.reference.build(architecture).init(rng)
    for layer in params:
        layer["bias"] += rng.normal(size=layer["bias"].shape)
    y = np.float32([[0.1, 0.9], [0.3, 0.7]])
    x = rng.normal(size=(2, 3))
    core = make()

    def with_soft_targets(params, x, y, architecture):
        z = np.tanh(x @ params[0]["weight"].T + params[0]["bias"]) @ params[1]["weight"].T + params[1]["bias"]
        _, grads = core(params, x, y, architecture)
        loss = np.mean(np.logaddexp.reduce(z, axis=1) - np.sum(y * z, axis=1))
        return loss, grads

    for targets, ok in ((y.astype(float), True), (2 * y.astype(float) / 2.5, False)):
        case = Case(architecture, params, x, targets)
        report = bpcheck.compare(with_soft_targets, cases=case, conventions=bpcheck.Conventions(), seed=0)
        gradients = [c.verdict.ok for c in report.comparisons if c.path != "loss"]
        assert all(gradients) is ok, str(report)
