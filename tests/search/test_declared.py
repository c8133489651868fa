"""ignore= and approximate= in compare(): what is declared fails nothing, is named, and hides nothing else."""

import json

import jsonschema
import numpy as np
import pytest
from choosing import product, some
from students import make

import bpcheck
from bpcheck import InputError, Verdict, mlp
from bpcheck.report import schema

DEEP = mlp([3, 4, 2])
right = make()
FIRST = "params[0]['weight']"
DICT = bpcheck.Conventions(weight="in, out", params="{W1, b1, W2, b2}")


def compare(backprop, architectures=DEEP, **options):
    given = {"examples": 30, "seed": 0, "conventions": bpcheck.Conventions(), **options}
    return bpcheck.compare(backprop, architectures=architectures, **given)


def changed(change, k=0, name="weight"):
    """Right code of which one tensor is changed."""

    def backprop(params, x, y, architecture):
        loss, gradient = right(params, x, y, architecture)
        gradient[k][name] = change(gradient[k][name])
        return loss, gradient

    return backprop


frozen = changed(np.zeros_like)
absent = changed(lambda g: None)
clipped = changed(lambda g: np.clip(g, -0.05, 0.05))


@pytest.mark.parametrize("backprop", [frozen, absent], ids=["zeros", "None"])
def test_an_ignored_tensor_is_not_judged_and_the_report_says_so(backprop):
    assert not compare(backprop).ok
    report = compare(backprop, ignore=[FIRST])
    assert report.verdict is Verdict.AGREES, str(report)
    assert FIRST not in [c.path for c in report.comparisons]
    assert f"not judged, because ignore= says so: {FIRST}" in report.warnings
    assert any(
        w.startswith("exact, within their bounds: params[0]['bias'], params[1]") for w in report.warnings
    )
    assert "that was held to be exact" in report.summary
    assert FIRST in report.to_text()
    assert "not judged" in report.to_html()
    assert all(FIRST in report.to_text(verbosity=short) for short in ("hint", "equation", "symptom"))
    data = json.loads(report.to_json())
    jsonschema.validate(data, schema())
    assert data["set_aside"] == [
        {"path": FIRST, "kind": "ignored", "error": None, "exact": False, "away": None}
    ]


def test_an_approximate_tensor_is_measured_and_fails_nothing():
    report = compare(clipped, approximate=[FIRST])
    assert report.verdict is Verdict.AGREES, str(report)
    (aside,) = report.set_aside
    assert aside.kind == "approximate"
    assert 0.1 < aside.error < 100
    assert any(f"approximate, as declared: {FIRST} is off by up to" in warning for warning in report.warnings)
    jsonschema.validate(json.loads(report.to_json()), schema())


@pytest.mark.parametrize(
    "change",
    some(
        [lambda g: -g, lambda g: -np.clip(g, -0.05, 0.05), lambda g: -1e-6 * g],
        default=lambda change: change(1.0) == -0.05,
    ),
    ids=["-1", "clipped", "tiny"],
)
def test_an_approximation_that_points_the_wrong_way_fails(change):
    report = compare(changed(change), approximate=[FIRST])
    assert report.verdict is Verdict.DISAGREES, str(report)
    assert report.diagnoses[0].path == FIRST
    assert "points away from the right gradient" in report.diagnoses[0].hint
    assert "ignore=" in report.diagnoses[0].hint
    assert report.counterexample is not None
    again = compare(changed(change), None, cases=[report.counterexample], approximate=[FIRST])
    assert again.verdict is Verdict.DISAGREES, str(again)
    assert compare(changed(change), ignore=[FIRST]).ok


def test_an_approximation_that_points_away_in_a_few_cases_does_not_fail_and_the_report_says_so():
    def backprop(params, x, y, architecture):
        loss, gradient = right(params, x, y, architecture)
        gradient[0]["weight"] *= 1.0 if params[0]["bias"][0] > -0.5 else -1.0
        return loss, gradient

    report = compare(backprop, approximate=[FIRST])
    assert report.verdict is Verdict.AGREES, str(report)
    assert 0.0 < report.set_aside[0].away < 0.5
    assert any("% of them it points away" in warning for warning in report.warnings)


def test_what_is_not_held_to_be_exact_stands_in_the_first_sentence():
    assert f"{FIRST} (ignored)" in compare(frozen, ignore=[FIRST]).summary
    huge = compare(changed(lambda g: 1e6 * g), approximate=[FIRST])
    assert f"{FIRST} (approximate, off by up to" in huge.summary
    assert "e+06 times its root mean square" in huge.summary


def test_an_approximation_that_is_exact_need_not_be_declared():
    report = compare(right, approximate=[FIRST])
    assert report.ok
    assert any("need not be declared" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("change", "verdict", "said"),
    [
        (np.zeros_like, Verdict.DISAGREES, "zero is no approximation"),
        (lambda g: None, Verdict.WRONG_STRUCTURE, "absent"),
        (lambda g: g.T, Verdict.WRONG_STRUCTURE, "another shape"),
        (lambda g: g * np.nan, Verdict.NONFINITE, "not finite"),
    ],
    ids=["zero", "absent", "shape", "NaN"],
)
def test_what_is_no_approximation_fails_all_the_same(change, verdict, said):
    report = compare(changed(change), approximate=[FIRST])
    assert report.verdict is verdict, str(report)
    assert any(said in comparison.reason for comparison in report.comparisons)


@pytest.mark.parametrize("option", ["ignore", "approximate"])
def test_another_tensor_that_is_wrong_still_fails(option):
    def backprop(params, x, y, architecture):
        loss, gradient = clipped(params, x, y, architecture)
        gradient[1]["bias"] = gradient[1]["bias"] * len(x)
        return loss, gradient

    report = compare(backprop, **{option: [FIRST]})
    assert report.verdict is Verdict.DISAGREES
    assert [c.path for c in report.comparisons if not c.verdict.ok] == ["params[1]['bias']"]
    assert report.set_aside
    assert f'{option}=["{FIRST}"]' in report.reproducer


def test_a_bug_is_named_though_a_tensor_is_ignored():
    def backprop(params, x, y, architecture):
        loss, gradient = make("hidden-derivative-missing")(params, x, y, architecture)
        gradient[0]["weight"] = None
        return loss, gradient

    report = compare(backprop, mlp([3, 5, 4, 2], activation="sigmoid"), ignore=[FIRST])
    assert [d.bug for d in report.diagnoses] == ["hidden-derivative-missing"], str(report)


def test_an_argument_that_is_changed_is_no_matter_of_the_gradient():
    def backprop(params, x, y, architecture):
        answer = right(params, x, y, architecture)
        params[0]["weight"] += 1.0
        return answer

    assert compare(backprop, ignore=[FIRST]).verdict is Verdict.DISAGREES


def test_a_frozen_layer_may_be_none():
    def backprop(params, x, y, architecture):
        loss, gradient = right(params, x, y, architecture)
        return loss, [None, *gradient[1:]]

    assert compare(backprop, ignore=[FIRST, "params[0]['bias']"]).ok
    assert compare(backprop, ignore=[FIRST]).verdict is Verdict.WRONG_STRUCTURE


@pytest.mark.parametrize(("conventions", "change"), product([DICT, "infer"], [np.zeros_like, lambda g: None]))
def test_the_path_is_the_callers_in_the_callers_layout(conventions, change):
    def backprop(params, x, y):
        hidden = np.tanh(x @ params["W1"] + params["b1"])
        residual = (hidden @ params["W2"] + params["b2"] - y) / len(x)
        down = residual @ params["W2"].T * (1 - hidden**2)
        gradient = {"W1": x.T @ down, "b1": down.sum(0), "W2": hidden.T @ residual, "b2": residual.sum(0)}
        return 0.5 * np.sum(residual**2) * len(x), {**gradient, "W1": change(gradient["W1"])}

    architecture = mlp([3, 4, 2], activation="tanh")
    report = compare(backprop, architecture, conventions=conventions, ignore=["params['W1']"])
    assert report.ok, str(report)
    assert "params['W1']" not in [c.path for c in report.comparisons]
    assert not compare(backprop, architecture, conventions=conventions, ignore=["params['b1']"]).ok


def test_float32_code_may_have_a_frozen_tensor():
    def single(params, x, y, architecture):
        down = [{name: value.astype(np.float32) for name, value in layer.items()} for layer in params]
        return absent(down, x.astype(np.float32), y.astype(np.float32), architecture)

    assert compare(single, ignore=[FIRST]).ok
    assert compare(single, approximate=[FIRST]).verdict is Verdict.WRONG_STRUCTURE


ALL = [f"params[{k}]['{name}']" for k in range(2) for name in ("weight", "bias")]


def test_nothing_is_left_to_judge():
    with pytest.raises(InputError, match="nothing is left to judge"):
        compare(right, ignore=ALL)
    report = compare(clipped, approximate=ALL)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "No tensor was held to be exact" in report.summary


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ignore": "params[0]['weight']"}, "give a list of paths"),
        ({"ignore": [0]}, "give a list of paths"),
        ({"approximate": 3}, "give a list of paths"),
        ({"ignore": [FIRST], "approximate": [FIRST]}, "say one of them"),
        ({"ignore": ["params[0].weight"]}, r"no such tensor. There are: params\[0\]\['bias'\]"),
        ({"approximate": ["W1"]}, "no such tensor"),
    ],
)
def test_paths_that_cannot_be_used_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        compare(right, **options)


def test_a_name_that_is_nowhere_is_told_with_a_failure():
    report = compare(frozen, ignore=["params[0].weight"])
    assert report.verdict is Verdict.DISAGREES
    assert any("no such tensor" in warning for warning in report.warnings)
