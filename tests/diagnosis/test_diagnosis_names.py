"""Bugs are named by reproduction: everywhere, in one layer, two at once; and not where something else would do as well."""

import sys

import numpy as np
import pytest

import bpcheck
from bpcheck import Verdict, mlp
from bpcheck.diagnosis import CATALOGUE, Observation, diagnose
from bpcheck.diagnosis.hypothesis import standing
from bpcheck.diagnosis.layers.kinds import EQUATIONS
from bpcheck.diagnosis.mutant import program_of
from bpcheck.diagnosis.step import Rules
from bpcheck.diagnosis.steps import PENALTY, RETURNED, backward, forward
from bpcheck.network.dense_chain import dense_chain
from bpcheck.reference import build
from bpcheck.search.cases.sample import GENERIC, random_case

RIGHT = Rules()
DEEP = mlp([3, 5, 4, 2], activation="sigmoid")


def drawn(architecture, count=3, seed=0, batch=4):
    rng = np.random.default_rng(seed)
    return [random_case(rng, architecture, GENERIC, batch=batch) for _ in range(count)]


def observed(rules, architecture, **options):
    return [
        Observation(case, backward(forward(case), rules), backward(forward(case), RIGHT))
        for case in drawn(architecture, **options)
    ]


def slugs(hypotheses):
    return [tuple(bug.slug for bug in h.bugs) for h in hypotheses]


# --- the catalogue --------------------------------------------------------------------------------


def test_every_bug_has_a_title_and_three_hints_of_its_own():
    assert len({bug.title for bug in CATALOGUE.values()}) == len(CATALOGUE)
    for bug in CATALOGUE.values():
        assert all(hint.endswith((".", "?")) for hint in bug.hints), bug.slug
        assert len(set(bug.hints)) == 3
        assert (bug.rules is None) != (bug.plant is None), bug.slug
        assert all(other in CATALOGUE and other != bug.slug for other in bug.confused), bug.slug


def test_the_equation_of_a_bug_is_the_step_that_it_changes():
    for bug in CATALOGUE.values():
        if bug.rules is None:
            continue
        (step,) = bug.rules.changed
        if step.equation is None:
            assert step is (PENALTY if bug.equation == "penalty" else RETURNED), bug.slug
        else:
            assert step.equation is EQUATIONS[bug.equation], bug.slug


@pytest.mark.parametrize(
    "slug", ["sign-flipped", "weight-not-transposed", "bias-summed-over-units", "accumulated"]
)
def test_a_mutant_is_a_program(slug):
    program = CATALOGUE[slug].program()
    case = drawn(mlp([3, 3, 3]), count=1, batch=3)[0]
    params, x, y = case.mutable()
    loss, gradient = program(params, x, y, case.architecture)
    assert float(loss) == pytest.approx(float(build(case.architecture).loss(case.params, case.x, case.y)))
    assert [layer["weight"].shape for layer in gradient] == [(3, 3), (3, 3)]


def test_a_mutant_raises_where_its_shapes_do_not_fit():
    case = drawn(DEEP, count=1)[0]
    with pytest.raises(ValueError, match="broadcast"):
        CATALOGUE["weight-not-transposed"].program()(*case.mutable(), case.architecture)


# --- hypotheses -------------------------------------------------------------------------------------


def test_a_right_gradient_has_no_bug():
    assert standing(observed(RIGHT, DEEP), CATALOGUE.values()) == []
    assert standing([], CATALOGUE.values()) == []


@pytest.mark.parametrize("k", [0, 1, 2])
@pytest.mark.parametrize("slug", ["bias-not-summed", "last-sample-wins", "weight-absent"])
def test_a_bug_in_one_layer_only_is_named_with_its_place(slug, k):
    rules = CATALOGUE[slug].rules.only(lambda layer: layer.index == k)
    found = standing(observed(rules, DEEP), CATALOGUE.values())
    assert slugs(found) == [(slug,)]
    assert found[0].where == ("in layer 2 only", "in layer 3 only", "in layer 4 only")[k]


def test_a_bug_of_one_hidden_layer_is_not_taken_for_one_of_all():
    rules = CATALOGUE["hidden-derivative-missing"].rules.only(lambda layer: layer.index == 0)
    found = standing(observed(rules, DEEP), CATALOGUE.values())
    assert slugs(found) == [("hidden-derivative-missing",)]
    assert found[0].where == "in layer 2 only"


PAIRS = [
    ("output-derivative-missing", "bias-not-summed"),
    ("hidden-derivative-missing", "last-sample-wins"),
    ("derivative-of-activation", "bias-mean-weight-sum"),
    ("pre-activation-for-activation", "penalty-sign"),
]


@pytest.mark.parametrize("pair", PAIRS)
def test_two_bugs_at_once_are_both_named(pair):
    first, second = (CATALOGUE[slug].rules for slug in pair)
    architecture = mlp([3, 5, 4, 2], activation="sigmoid", output="tanh", l2=0.3)
    assert slugs(standing(observed(first.with_(second), architecture), CATALOGUE.values())) == [pair]


@pytest.mark.parametrize(
    "pair", [PAIRS[0], *(pytest.param(pair, marks=pytest.mark.full) for pair in PAIRS[1:])]
)
def test_two_bugs_at_once_each_have_their_equation(pair):
    first, second = (CATALOGUE[slug] for slug in pair)
    architecture = mlp([3, 5, 4, 2], activation="sigmoid", output="tanh", l2=0.3)
    program = program_of(first.rules.with_(second.rules))
    report = bpcheck.compare(program, architectures=architecture, conventions=bpcheck.Conventions(), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert [(d.equation, d.bug) for d in report.diagnoses] == [(b.equation, b.slug) for b in (first, second)]
    assert "these two mistakes at once" in str(report)


def test_code_that_answers_rightly_where_the_mistake_would_raise_is_named_where_it_does_not():
    square = observed(CATALOGUE["outer-transposed"].rules, mlp([3, 3, 3]))
    oblong = observed(RIGHT, DEEP)
    assert slugs(standing([*square, *oblong], CATALOGUE.values())) == [("outer-transposed",)]
    # … but not if it is wrong there in another way
    other = observed(CATALOGUE["sign-flipped"].rules, DEEP)
    assert standing([*square, *other], CATALOGUE.values()) == []


def test_one_number_off_by_a_millionth_is_no_reproduction():
    seen = observed(CATALOGUE["sign-flipped"].rules, DEEP)
    path = next(iter(seen[1].claimed))
    spoiled = {**seen[1].claimed, path: seen[1].claimed[path] * (1.0 + 1e-6)}
    assert slugs(standing(seen, CATALOGUE.values())) == [("sign-flipped",)]
    again = [seen[0], Observation(seen[1].case, spoiled, seen[1].right), seen[2]]
    assert standing(again, CATALOGUE.values()) == []


def test_a_claim_in_float32_is_reproduced_to_its_own_rounding():
    seen = [
        Observation(
            o.case, {p: v.astype(np.float32).astype(float) for p, v in o.claimed.items()}, o.right, 2.0**-24
        )
        for o in observed(CATALOGUE["hidden-derivative-missing"].rules, DEEP)
    ]
    assert slugs(standing(seen, CATALOGUE.values())) == [("hidden-derivative-missing",)]


def test_more_explanations_than_a_few_are_no_name(monkeypatch):
    # two outputs, two examples, one case: ½, 1/outputs and 1/examples are one and the same factor
    case = drawn(mlp([3, 4, 2], loss="mse"), count=1, batch=2)[0]
    right = backward(forward(case), RIGHT)
    seen = [Observation(case, {path: 0.5 * values for path, values in right.items()}, right)]
    comparisons = bpcheck.compare(CATALOGUE["factor-half"].program(), cases=[case], seed=0).comparisons
    three = {"factor-half", "mean-over-outputs", "averaged-twice"}
    assert {d.bug for d in diagnose(case, comparisons, seen)} == three
    monkeypatch.setattr(sys.modules["bpcheck.diagnosis.diagnose"], "MOST_NAMED", 2)
    (only,) = diagnose(case, comparisons, seen)
    assert only.bug == ""
    assert any("too many to name one" in text for text in only.evidence)


# --- told apart by an experiment ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("truth", "other"), [("outputs-not-averaged", "factor-two"), ("factor-two", "outputs-not-averaged")]
)
def test_two_explanations_of_the_callers_own_case_are_told_apart_elsewhere(truth, other):
    cases = drawn(mlp([3, 4, 2], loss="mse"))  # two outputs: a forgotten 1/2 and a 2 too many are the same
    tied = standing(observed(CATALOGUE[truth].rules, cases[0].architecture), CATALOGUE.values())
    assert {(truth,), (other,)} <= set(slugs(tied))
    report = bpcheck.compare(CATALOGUE[truth].program(), cases=cases, seed=0)
    assert [d.bug for d in report.diagnoses] == [truth], str(report)
    assert any("tells this from the other explanations" in e for e in report.diagnoses[0].evidence)


def test_what_no_experiment_can_tell_apart_is_named_together():
    case = drawn(mlp([3, 4, 2], loss="mse"), count=1)[0]
    program = CATALOGUE["factor-two"].program()

    def for_this_shape_only(params, x, y, architecture):
        if (
            x.shape != case.x.shape
            or dense_chain(architecture).widths != dense_chain(case.architecture).widths
        ):
            raise ValueError("made for one shape")
        return program(params, x, y, architecture)

    report = bpcheck.compare(for_this_shape_only, cases=[case], seed=0)
    assert {"factor-two", "outputs-not-averaged"} <= {d.bug for d in report.diagnoses}
    assert all("did not take: there they give other numbers" in d.apart for d in report.diagnoses), str(
        report
    )
    assert [d.explanation for d in report.diagnoses] == list(range(len(report.diagnoses)))


# --- the loss that was meant ------------------------------------------------------------------------------


def test_the_exact_gradient_of_another_loss_is_said_to_be_that():
    def huber_gradient(params, x, y, architecture):
        other = build(mlp(dense_chain(architecture).widths, activation="tanh", loss="huber"))
        return build(architecture).loss(params, x, y), other.gradient(params, x, y)

    report = bpcheck.compare(huber_gradient, architectures=mlp([3, 4, 2]), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert [d.bug for d in report.diagnoses] == ["other-loss"]
    assert "Huber's loss" in str(report)


def test_a_sum_in_place_of_a_mean_is_named_and_its_loss_too():
    report = bpcheck.compare(CATALOGUE["sum-for-mean"].program(), architectures=mlp([3, 4, 2]), seed=0)
    assert [d.bug for d in report.diagnoses] == ["sum-for-mean"]
    assert any(
        "the sum of ½‖a − y‖² over the batch" in " ".join(e.split()) for e in report.diagnoses[0].evidence
    )


def test_without_observations_nothing_is_named():
    case = drawn(DEEP, count=1)[0]
    report = bpcheck.compare(CATALOGUE["sign-flipped"].program(), cases=[case], seed=0)
    assert [d.bug for d in diagnose(case, report.comparisons)] == [""]


# --- bpcheck.diagnose -------------------------------------------------------------------------------------


def test_diagnose_takes_what_compare_takes():
    found = bpcheck.diagnose(CATALOGUE["sign-flipped"].program(), architectures=mlp([3, 4, 2]), seed=0)
    assert [(d.equation, d.bug) for d in found] == [("BP1", "sign-flipped")]
    assert bpcheck.diagnose(program_of(RIGHT), architectures=mlp([3, 4, 2]), seed=0) == ()


def test_diagnose_takes_what_check_gradient_takes():
    w = np.array([0.3, 1.0, -2.0])
    (found,) = bpcheck.diagnose(lambda w: float(np.sum(np.sin(w))), lambda w: -np.cos(w), w, seed=0)
    assert found.bug == "sign-flipped"
    assert bpcheck.diagnose(lambda w: float(np.sum(np.sin(w))), np.cos, params=w, seed=0) == ()


def test_no_decision_is_no_diagnosis():
    w = np.array([0.3, 1.0])
    with pytest.raises(bpcheck.GradientInconclusive):
        bpcheck.diagnose(lambda w: float(np.round(np.sum(w))), np.ones_like, w, seed=0)


def test_an_explanation_that_fails_elsewhere_is_no_name():
    # 2 for two outputs, as a factor-two and as a forgotten mean over outputs; 7 for any other number of them
    def backprop(params, x, y, architecture):
        network = build(architecture)
        factor = 2.0 if architecture.outputs == 2 else 7.0
        gradient = [{k: factor * v for k, v in w.items()} for w in network.gradient(params, x, y)]
        return network.loss(params, x, y), gradient

    report = bpcheck.compare(backprop, cases=drawn(mlp([3, 4, 2], loss="mse")), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert [d.bug for d in report.diagnoses] == [""], str(report)
    assert any("gave these numbers too, until" in e for e in report.diagnoses[0].evidence)


def added_along_the_batch(params, x, y):
    """Biases as columns beside rows: NumPy raises, or adds b_i to example i."""
    (W1, b1), (W2, b2) = ((layer["weight"], layer["bias"][:, None]) for layer in params)
    a = np.tanh(x @ W1.T + b1)
    r = (a @ W2.T + b2 - y) / len(x)
    d = (r @ W2) * (1 - a**2)
    gradient = [{"weight": d.T @ x, "bias": d.sum(0)}, {"weight": r.T @ a, "bias": r.sum(0)}]
    return 0.5 * len(x) * np.sum(r**2), gradient


def test_a_bias_that_is_added_along_the_batch_is_named_where_it_fits():
    cases = drawn(mlp([4, 4, 4]), batch=4, count=5)
    report = bpcheck.compare(added_along_the_batch, cases=cases, conventions=bpcheck.Conventions(), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert [d.bug for d in report.diagnoses] == ["bias-broadcast-square"]


def test_where_it_does_not_fit_it_raises_and_the_error_names_it():
    with pytest.raises(bpcheck.SubjectError, match=r"broadcast.*") as caught:
        bpcheck.compare(added_along_the_batch, architectures=mlp([3, 4, 2]), seed=0)
    assert isinstance(caught.value.__cause__, ValueError)
