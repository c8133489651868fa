"""check_gradient(): memory, earlier results, tensors of size zero, and what the caller declares."""

import itertools
import json

import jsonschema
import numpy as np
import pytest
from choosing import product, some

from bpcheck import InputError, Verdict, assert_gradient, check_gradient
from bpcheck.errors import GradientMismatch
from bpcheck.report import schema

RNG = np.random.default_rng(0)
PARAMS = {"W": RNG.normal(size=(4, 3)), "b": RNG.normal(size=4)}
X = RNG.normal(size=(5, 3))


def loss(params, x):
    return 0.5 * np.sum(np.tanh(x @ params["W"].T + params["b"]) ** 2)


def gradient(params, x):
    a = np.tanh(x @ params["W"].T + params["b"])
    delta = a * (1 - a**2)
    return {"W": delta.T @ x, "b": delta.sum(axis=0)}


def check(gradient, params=PARAMS, **options):
    return check_gradient(loss, gradient, params, X, seed=0, **options)


# --- right code ---------------------------------------------------------------------------------------------------


def with_buffers(params, x, kept={}):  # noqa: B006
    for name, values in gradient(params, x).items():
        kept.setdefault(name, np.empty(values.shape))[...] = values
    return {name: values.copy() for name, values in kept.items()}


def in_fortran_order(params, x):
    return {name: np.asfortranarray(values) for name, values in gradient(params, x).items()}


@pytest.mark.parametrize("right", [gradient, with_buffers, in_fortran_order])
@pytest.mark.parametrize("directions", [None, 4], ids=["entries", "lines"])
def test_right_code_keeps_every_promise(right, directions):
    report = check(right, directions=directions)
    assert report.verdict is Verdict.AGREES, str(report)
    assert report.warnings == ()


def test_right_code_in_float32_keeps_every_promise():
    single = {name: values.astype(np.float32) for name, values in PARAMS.items()}
    report = check_gradient(loss, gradient, single, X.astype(np.float32), seed=0)
    assert report.ok, str(report)
    assert report.warnings == ()


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directions", [None, 4], ids=["entries", "lines"])
def test_memory_read_in_the_wrong_order_is_found_and_named(directions):
    def careless(params, x):
        return gradient(params, x.ravel(order="K").reshape(x.shape))

    report = check(careless, directions=directions)
    assert report.verdict is Verdict.DISAGREES, str(report)
    assert [d.bug for d in report.diagnoses] == ["memory-order-assumed"]
    assert "in Fortran order" in report.diagnoses[0].path
    assert "np.ascontiguousarray" in report.to_text()


def test_gaps_that_are_read_are_found():
    def careless(params, x):
        if not x.flags.forc:
            x = np.lib.stride_tricks.as_strided(x, x.shape, (x.shape[1] * x.itemsize, x.itemsize))
        return gradient(params, x)

    report = check(careless)
    assert report.verdict is Verdict.NONFINITE, str(report)
    assert [d.bug for d in report.diagnoses] == ["memory-order-assumed"]


def test_what_raises_for_a_layout_is_warned_of():
    def strict(params, x):
        if not x.flags.c_contiguous:
            raise ValueError("x must be C-contiguous")
        return gradient(params, x)

    report = check(strict)
    assert report.ok
    assert len(report.warnings) == 2
    assert all("x must be C-contiguous" in warning for warning in report.warnings)


def test_an_earlier_result_that_changes_is_warned_of():
    kept = {}

    def reusing(params, x):
        for name, values in gradient(params, x).items():
            kept.setdefault(name, np.empty(values.shape))[...] = values
        return dict(kept)

    report = check(reusing)
    assert report.ok
    assert len(report.warnings) == 1
    assert "gradient['W'] of an earlier call changed" in report.warnings[0]


# --- size zero ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directions", "shape"),
    some(
        itertools.product([None, 4], [(0,), (3, 0), (0, 2)]),
        default=lambda *case: case in ((None, (0,)), (4, (3, 0))),
    ),
)
def test_a_tensor_without_entries_has_nothing_to_check(shape, directions):
    params = {**PARAMS, "none": np.zeros(shape)}

    def with_none(params, x):
        return {**gradient(params, x), "none": np.zeros(shape)}

    report = check(with_none, params, directions=directions)
    assert report.verdict is Verdict.AGREES, str(report)
    assert report.warnings == ()
    assert "params['none']" in [c.path for c in report.comparisons]
    jsonschema.validate(json.loads(report.to_json()), schema())

    def with_a_wrong_bias(params, x):
        return {**with_none(params, x), "b": 2 * gradient(params, x)["b"]}

    wrong = check(with_a_wrong_bias, params, directions=directions)
    assert wrong.verdict is Verdict.DISAGREES
    assert "no entries" in wrong.to_text()
    assert "nothing to check" in wrong.to_html()
    jsonschema.validate(json.loads(wrong.to_json()), schema())

    def with_one(params, x):
        return {**gradient(params, x), "none": np.zeros(1)}

    wrong = check(with_one, params, directions=directions)
    assert wrong.verdict is Verdict.WRONG_STRUCTURE
    assert f"the parameter has shape {shape}" in str(wrong).replace("\n           ", " ")


@pytest.mark.parametrize("name", ["W", "x"])
def test_a_loss_that_reads_memory_in_the_wrong_order_is_found_though_its_gradient_is_right(name):
    params, x = {"W": np.arange(1.0, 7.0).reshape(2, 3)}, np.arange(0.5, 6.5).reshape(3, 2)

    def loss(params, x):
        given = {"W": params["W"], "x": x}
        given[name] = given[name].ravel(order="K").reshape(given[name].shape)
        return float(np.sum((given["W"] @ given["x"]) ** 2))

    def gradient(params, x):
        return {"W": 2 * params["W"] @ x @ x.T}

    report = check_gradient(loss, gradient, params, x, seed=0)
    assert report.verdict is Verdict.DISAGREES, str(report)
    assert [d.bug for d in report.diagnoses] == ["memory-order-assumed"]
    assert "loss in Fortran order" in str(report)
    right = check_gradient(
        lambda params, x: float(np.sum((params["W"] @ x) ** 2)), gradient, params, x, seed=0
    )
    assert right.ok, str(right)


# --- declared -----------------------------------------------------------------------------------------------------


def changed(change, name="W"):
    def wrong(params, x):
        found = gradient(params, x)
        return {**found, name: change(found[name])}

    return wrong


@pytest.mark.parametrize(("directions", "change"), product([None, 4], [np.zeros_like, lambda g: None]))
def test_an_ignored_tensor_is_not_judged_and_the_report_says_so(change, directions):
    assert not check(changed(change), directions=directions).ok
    report = check(changed(change), ignore=["params['W']"], directions=directions)
    assert report.verdict is Verdict.AGREES, str(report)
    assert "not judged, because ignore= says so: params['W']" in report.warnings
    assert any(warning.startswith("exact, within their bounds: params['b']") for warning in report.warnings)
    assert "that is held to be exact" in report.summary
    assert [(one.path, one.kind) for one in report.set_aside] == [("params['W']", "ignored")]
    jsonschema.validate(json.loads(report.to_json()), schema())


@pytest.mark.parametrize(
    "directions", some([None, 4], default=lambda directions: directions is None), ids=["entries", "lines"]
)
def test_an_approximate_tensor_is_measured_and_fails_nothing(directions):
    clipped = changed(lambda g: np.clip(g, -0.1, 0.1))
    assert not check(clipped, directions=directions).ok
    report = check(clipped, approximate=["params['W']"], directions=directions)
    assert report.verdict is Verdict.AGREES, str(report)
    (aside,) = report.set_aside
    assert 0.01 < aside.error < 100
    assert any("approximate, as declared: params['W'] is off by" in warning for warning in report.warnings)


@pytest.mark.parametrize("directions", [None, 4], ids=["entries", "lines"])
@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (np.zeros_like, Verdict.DISAGREES),
        (lambda g: None, Verdict.WRONG_STRUCTURE),
        (lambda g: g.T, Verdict.WRONG_STRUCTURE),
        (lambda g: g * np.inf, Verdict.NONFINITE),
    ],
    ids=["zero", "absent", "shape", "infinite"],
)
def test_what_is_no_approximation_fails_all_the_same(change, verdict, directions):
    report = check(changed(change), approximate=["params['W']"], directions=directions)
    assert report.verdict is verdict, str(report)


@pytest.mark.parametrize(
    ("directions", "change"), product([None, 4], [lambda g: -g, lambda g: -np.clip(g, -0.05, 0.05)])
)
def test_an_approximation_that_points_the_wrong_way_fails(change, directions):
    report = check(changed(change), approximate=["params['W']"], directions=directions)
    assert report.verdict is Verdict.DISAGREES, str(report)
    assert "points away from the right gradient" in str(report).replace("\n             ", " ")
    assert check(changed(change), ignore=["params['W']"], directions=directions).ok


def test_what_is_not_held_to_be_exact_stands_in_the_first_sentence():
    report = check(changed(lambda g: 1e6 * g), approximate=["params['W']"])
    assert report.ok
    assert "params['W'] (approximate, off by up to" in report.summary


@pytest.mark.parametrize("option", ["ignore", "approximate"])
def test_another_tensor_that_is_wrong_still_fails(option):
    def wrong(params, x):
        found = changed(lambda g: np.clip(g, -0.1, 0.1))(params, x)
        return {**found, "b": 2 * found["b"]}

    with pytest.raises(GradientMismatch):
        assert_gradient(loss, wrong, PARAMS, X, seed=0, **{option: ["params['W']"]})


def test_a_frozen_layer_may_be_none():
    def nested_loss(params, x):
        return loss(params[0], x) + np.sum(params[1] ** 2)

    report = check_gradient(
        nested_loss,
        lambda params, x: [None, 2 * params[1]],
        [PARAMS, np.ones(2)],
        X,
        ignore=["params[0]['W']", "params[0]['b']"],
        seed=0,
    )
    assert report.ok, str(report)


def test_nothing_is_left_to_judge():
    both = ["params['W']", "params['b']"]
    with pytest.raises(InputError, match="nothing is left to judge"):
        check(gradient, ignore=both)
    report = check(changed(lambda g: 0.9 * g), approximate=both)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "No tensor was held to be exact" in report.summary
    with pytest.raises(InputError, match=r"no such tensor. There are: params\['W'\], params\['b'\]"):
        check(gradient, ignore=["W"])
