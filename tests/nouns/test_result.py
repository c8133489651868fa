"""Reports: what they raise, what they write as JSON and as text, and what their detection limit means."""

import json
import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from bpcheck import Case, Comparison, Diagnosis, Estimate, Report, Verdict, mlp
from bpcheck import result as results
from bpcheck.check.agreement import RESOLUTION, agree, detection_limit, judge
from bpcheck.errors import GradientInconclusive, GradientMismatch
from bpcheck.result import DetectionLimit
from bpcheck.tree import Path

CASE = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]], seed=3)


def report(verdict, **fields):
    return Report("backprop", verdict, summary="What was seen.", seed=1, **fields)


# --- verdict and raising ---------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", Verdict)
def test_a_report_is_true_exactly_when_it_is_ok(verdict):
    made = report(verdict)
    assert made.ok is bool(made) is verdict.ok


@pytest.mark.parametrize("verdict", Verdict)
def test_it_raises_whenever_it_is_not_ok(verdict):
    made = report(verdict)
    if verdict.ok:
        assert made.raise_for_disagreement() is None
        return
    with pytest.raises(GradientMismatch) as caught:
        made.raise_for_disagreement()
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, GradientInconclusive) is (verdict is Verdict.INCONCLUSIVE)
    assert caught.value.report is made
    assert str(caught.value) == str(made)


def test_reports_and_comparisons_are_immutable():
    made = report(Verdict.AGREES)
    with pytest.raises(FrozenInstanceError):
        made.verdict = Verdict.DISAGREES
    comparison = judge("w", np.ones(2), np.ones(2), np.zeros(2))
    for array in (comparison.actual, comparison.expected, comparison.bound):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5.0


# --- JSON ------------------------------------------------------------------------------------------


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_is_strict_and_complete():
    comparisons = (
        judge("params[0]['weight']", [[np.nan]], [[1.0]], [[1e-15]], name="W²"),
        judge("params[0]['bias']", [1.0], [1.0], [np.inf]),
        Comparison("loss", Verdict.WRONG_STRUCTURE, "it is None"),
    )
    made = report(
        Verdict.WRONG_STRUCTURE,
        comparisons=comparisons,
        diagnoses=(Diagnosis("BP4", "params[0]['weight']", "outer-transposed", ("because",), "look", 2),),
        counterexample=CASE,
        reproducer="print()",
        detection_limit=DetectionLimit({"a": math.inf, "b": 1e-9}),
        warnings=("note",),
        inferred="tanh",
        examples=4,
        evaluations=9,
    )
    data = strict(made.to_json())
    assert data["verdict"] == "WRONG_STRUCTURE"
    assert data["ok"] is False
    assert (data["seed"], data["examples"], data["evaluations"]) == (1, 4, 9)
    assert data["detection_limit"] == {"maximum": None, "paths": {"a": None, "b": 1e-9}}
    first, second, third = data["comparisons"]
    assert (first["path"], first["name"], first["verdict"]) == ("params[0]['weight']", "W²", "NONFINITE")
    assert (first["actual"], first["expected"], first["worst_index"]) == (None, 1.0, [0, 0])
    assert (second["verdict"], second["bound"]) == ("INCONCLUSIVE", None)
    assert (third["actual"], third["scale"], third["reason"]) == (None, None, "it is None")
    assert data["diagnoses"][0] == {
        "equation": "BP4",
        "layer": 2,
        "path": "params[0]['weight']",
        "bug": "outer-transposed",
        "evidence": ["because"],
        "hint": "look",
        "hints": [],
        "explanation": 0,
        "apart": "",
    }
    again = data["counterexample"]
    assert Case(CASE.architecture, again["params"], again["x"], again["y"], seed=again["seed"]) == CASE
    assert data["counterexample"]["architecture"]["loss"] == "half_mse"


@pytest.mark.parametrize("verdict", Verdict)
def test_an_empty_report_is_json_and_text_too(verdict):
    made = Report("f", verdict)
    data = strict(made.to_json())
    assert data["counterexample"] is None
    assert data["detection_limit"] == {"maximum": None, "paths": {}}
    assert str(made).startswith("bpcheck: f")


# --- text ------------------------------------------------------------------------------------------


def test_the_text_shows_the_verdict_first_and_the_worst_entry_of_a_wrong_tensor():
    comparison = judge("params[1]['bias']", [0.0, 1.0, 2.5], [0.0, 1.0, 2.0], 1e-15, name="b³")
    text = str(report(Verdict.DISAGREES, comparisons=(comparison,)))
    assert text.splitlines()[0] == "bpcheck: backprop  DISAGREES"
    assert "params[1]['bias'][2] (b³)" in text
    assert "2.5" in text
    assert "1.0e-15" in text
    assert text.rstrip().endswith("seed 1")


def test_a_pass_says_what_it_could_have_missed_and_a_failure_does_not():
    limit = DetectionLimit({"params[0]": 1e-9, "params[1]": 3e-7})
    passed = " ".join(str(report(Verdict.AGREES, detection_limit=limit)).split())
    assert "3.0e-07" in passed
    assert "coarsest is params[1]" in passed
    assert "3.0e-07" not in str(report(Verdict.DISAGREES, detection_limit=limit))


def test_long_tables_are_cut_with_a_count():
    comparisons = tuple(judge(f"params[{k}]", [1.0], [2.0], [0.0]) for k in range(20))
    text = str(report(Verdict.DISAGREES, comparisons=comparisons))
    assert "params[11]" in text
    assert "params[12]" not in text
    assert "… and 8 more" in text
    assert len(strict(report(Verdict.DISAGREES, comparisons=comparisons).to_json())["comparisons"]) == 20


# --- detection limit -------------------------------------------------------------------------------


def test_a_detection_limit_is_a_mapping_with_a_maximum():
    limit = DetectionLimit({"a": 1e-9, "b": 1e-7})
    assert dict(limit) == {"a": 1e-9, "b": 1e-7}
    assert (len(limit), "a" in limit, "c" in limit) == (2, True, False)
    assert limit[Path("a")] == 1e-9
    assert limit.maximum == 1e-7
    assert eval(repr(limit)) == limit
    assert math.isnan(DetectionLimit({}).maximum)
    with pytest.raises(KeyError):
        limit["c"]


def test_limits_of_several_cases_keep_the_worst_of_each_path():
    comparisons = [
        replace(judge("a", [1.0], [1.0], [0.0]), detection_limit=limit)
        for limit in (1e-9, 1e-6, 1e-8, math.nan, math.inf)
    ]
    assert dict(detection_limit(comparisons)) == {"a": 1e-6}


def test_an_entry_wrong_by_more_than_the_limit_is_seen_whatever_the_rounding():
    expected, bound = np.array([3.0, -4.0, 0.1]), np.array([1e-9, 2e-9, 1e-9])
    size = np.sqrt(np.mean(expected**2))
    limit = judge("w", expected, expected, bound).detection_limit
    assert limit == pytest.approx(2 * 2e-9 / size)
    for index in range(3):
        for rounding in (-1.0, 1.0):  # the reference may be off by its whole bound
            actual = expected + rounding * bound
            actual[index] += 1.001 * limit * size * (1 if rounding < 0 else -1)
            assert judge("w", actual, expected, bound).verdict is Verdict.DISAGREES


# --- judging ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actual", "expected", "bound", "kink", "verdict"),
    [
        pytest.param([1.0], [1.0], 0.0, 0.0, "AGREES", id="equal, no bound"),
        pytest.param([1.0 + 2**-30], [1.0], 2**-30, 0.0, "AGREES", id="just within"),
        pytest.param([1.0 + 2.1e-9], [1.0], 1e-9, 0.0, "DISAGREES", id="beyond"),
        pytest.param([1.0], [1.0], 0.6e-3, 0.0, "INCONCLUSIVE", id="right, but 1e-3 is not visible"),
        pytest.param([1.0], [1.0], 0.4e-3, 0.0, "AGREES", id="right, and 1e-3 is visible"),
        pytest.param([9.0], [1.0], 0.6e-3, 0.0, "DISAGREES", id="a wide bound does not excuse"),
        pytest.param([np.nan], [1.0], 1e-9, 0.0, "NONFINITE", id="NaN"),
        pytest.param([np.inf], [1.0], 1e-9, 0.0, "NONFINITE", id="infinite"),
        pytest.param([1.0], [np.nan], 1e-9, 0.0, "INCONCLUSIVE", id="the right value is NaN"),
        pytest.param([np.nan], [np.nan], 1e-9, 0.0, "INCONCLUSIVE", id="both are NaN"),
        pytest.param([1.0], [1.0], np.nan, 0.0, "INCONCLUSIVE", id="the bound is NaN"),
        pytest.param([1.0], [1.0], np.inf, 0.0, "INCONCLUSIVE", id="the bound is infinite"),
        pytest.param([1.0], [1.0], 1e-9, np.nan, "INCONCLUSIVE", id="the kink is NaN"),
        pytest.param([5.0], [1.0], np.inf, 0.0, "INCONCLUSIVE", id="far off under an infinite bound"),
        pytest.param(
            [1.0, 5.0], [1.0, 1.0], [np.inf, 1e-9], 0.0, "DISAGREES", id="wrong beside an infinite bound"
        ),
        pytest.param([1.0, 5.0], [np.nan, 1.0], 1e-9, 0.0, "DISAGREES", id="wrong beside an unknown value"),
        pytest.param([np.nan, 1.0], [1.0, np.nan], 1e-9, 0.0, "NONFINITE", id="NaN beside an unknown value"),
        pytest.param(
            [np.nan, 1.0], [1.0, 1.0], [np.inf, 1e-9], 0.0, "NONFINITE", id="NaN under an infinite bound"
        ),
        pytest.param(
            [0.0, 1.0], [0.5, 1.0], 1e-12, [0.5, 0.0], "AGREES_AT_KINK", id="at an end of the interval"
        ),
        pytest.param([0.5, 1.0], [0.5, 1.0], 1e-12, [0.5, 0.0], "AGREES_AT_KINK", id="in its middle"),
        pytest.param([1.1, 1.0], [0.5, 1.0], 1e-12, [0.5, 0.0], "DISAGREES", id="outside it"),
        pytest.param(
            [0.5, 1.1], [0.5, 1.0], 1e-12, [0.5, 0.0], "DISAGREES", id="another entry wrong at a kink"
        ),
        pytest.param([0.0], [0.0], 0.0, 0.0, "AGREES", id="zero"),
        pytest.param([1e-30], [0.0], 0.0, 0.0, "DISAGREES", id="not zero"),
        pytest.param([1e-17], [1e-17], 1e-16, 0.0, "AGREES", id="a structural zero, held to 1"),
        pytest.param([], [], 0.0, 0.0, "AGREES", id="no entries"),
    ],
)
def test_a_tensor_is_judged_by_its_bounds(actual, expected, bound, kink, verdict):
    made = judge("w", np.array(actual), np.array(expected), bound, kink=kink)
    assert made.verdict is Verdict[verdict], made.reason


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-8, 1.0, 1e8, 1e150, 1e300])
def test_a_verdict_does_not_depend_on_the_unit_of_the_gradient(scale):
    expected = scale * np.array([1.0, -2.0])
    bound = 1e-12 * scale
    assert judge("w", expected, expected, bound).verdict is Verdict.AGREES
    assert judge("w", 1.01 * expected, expected, bound).verdict is Verdict.DISAGREES
    assert judge("w", expected, expected, 1e-2 * scale).verdict is Verdict.INCONCLUSIVE
    assert judge("w", 1.01 * expected, expected, bound).scale == pytest.approx(1.01)


def test_a_structural_zero_is_held_to_the_size_of_the_other_tensors():
    zero = np.zeros(3)
    for fallback, verdict in ((1.0, Verdict.AGREES), (1e-9, Verdict.INCONCLUSIVE)):
        assert judge("w", zero, zero, 1e-11, fallback=fallback).verdict is verdict


def test_scale_and_residual_tell_a_factor_from_another_direction():
    expected = np.array([1.0, 2.0, -2.0])
    doubled = judge("w", 2 * expected, expected, 1e-12)
    assert (doubled.scale, doubled.residual) == (pytest.approx(2.0), pytest.approx(0.0, abs=1e-15))
    turned = judge("w", np.array([2.0, -1.0, 0.0]), expected, 1e-12)
    assert (turned.scale, turned.residual) == (pytest.approx(0.0), pytest.approx(np.sqrt(5) / 3))
    assert math.isnan(judge("w", expected, 0 * expected, 1e-12).scale)


def test_the_worst_entry_is_the_worst_in_units_of_its_bound():
    made = judge(
        "w", np.array([[1.5, 1.0], [1.0, 1.1]]), np.ones((2, 2)), np.array([[1.0, 1.0], [1.0, 1e-3]])
    )
    assert made.worst_index == (1, 1)
    assert judge("w", np.array([1.0, np.nan]), np.ones(2), 1e-3).worst_index == (1,)
    assert judge("loss", 2.0, 1.0, 1e-3).worst_index == ()
    # the entry that the verdict is about, not one that nothing is known of
    for unknown in ([np.inf, 1.0, 1e-3], [np.nan, 1.0, 1e-3]):
        assert judge("w", np.array([1.0, 1.0, 2.0]), np.ones(3), np.array(unknown)).worst_index == (2,)
    assert judge("w", np.ones(3), np.ones(3), np.array([1e-3, np.inf, 1e-3])).worst_index == (1,)


def test_the_resolution_is_a_demand_and_not_a_tolerance():
    assert RESOLUTION == 1e-3
    off = 1.0 + 1e-6
    for resolution in (1e-3, 0.5):  # a coarser demand lets no larger difference pass
        assert judge("w", [off], [1.0], 1e-9, resolution=resolution).verdict is Verdict.DISAGREES
    assert judge("w", [1.0], [1.0], 1e-9, resolution=1e-9).verdict is Verdict.INCONCLUSIVE


def test_labels_carry_the_name_of_the_book():
    assert Comparison("params[0]['weight']", Verdict.AGREES, name="W²").label == "params[0]['weight'] (W²)"
    assert Comparison("loss", Verdict.AGREES).label == "loss"


# --- testimonies and estimates ---------------------------------------------------------------------


def said(witness, loss, value, error):
    path = Path("params").item("w")
    return results.Testimony(witness, loss, 1e-12, {path: np.array(value)}, {path: np.array(error)})


def test_two_witnesses_agree_within_the_sum_of_their_bounds():
    first = said("analytic", 1.0, [1.0, 2.0], [1e-9, 1e-9])
    for shift, verdict in ((1.5e-9, Verdict.AGREES), (2.5e-9, Verdict.DISAGREES)):
        second = said("numeric", 1.0, [1.0 + shift, 2.0], [1e-9, 1e-9])
        loss, w = agree(first, second)
        assert (loss.path, loss.verdict) == ("loss", Verdict.AGREES)
        assert (w.path, w.verdict) == ("params['w']", verdict)
    assert agree(first, said("symbolic", 1.1, [1.0, 2.0], [0.0, 0.0]))[0].verdict is Verdict.DISAGREES


def test_the_error_of_an_estimate_is_the_sum_of_its_parts():
    estimate = Estimate(2.0, truncation=3e-9, rounding=1e-9)
    assert estimate.error == 4e-9
    assert estimate.regime == "smooth"
    assert estimate.interval is None
