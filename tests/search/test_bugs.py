"""Wrong gradients are found, located, and named where they reproduce; nothing is missed."""

import functools

import numpy as np
import pytest
from choosing import each, product, some
from students import BUGS, make

import bpcheck
import bpcheck.search.cases.sample
from bpcheck import Verdict, mlp
from bpcheck.diagnosis import CATALOGUE
from bpcheck.reference import build

compare = functools.partial(
    bpcheck.compare, conventions=bpcheck.Conventions()
)  # in our own layout; no other is tried

# One of these needs a width or a shape at which a student's code would otherwise raise: the switch
# then falls back to the right answer, which is another bug ("wrong only for square matrices").
FALLS_BACK = {"weight-not-transposed", "outer-transposed", "output-derivative-twice"}


@pytest.mark.parametrize(
    ("bug", "seed"),
    each([(bug, seed) for seed in (0, 1) for bug in BUGS], of=lambda bug, seed: [BUGS[bug]]),
)
def test_every_planted_bug_is_caught_in_its_equation(bug, seed):
    report = compare(make(bug), seed=seed)
    assert report.verdict is Verdict.DISAGREES, str(report)
    assert {diagnosis.equation for diagnosis in report.diagnoses} == {BUGS[bug]}, str(report)
    if bug in CATALOGUE and bug not in FALLS_BACK:
        assert bug in [diagnosis.bug for diagnosis in report.diagnoses], str(report)


def test_there_are_two_bugs_of_each_equation_at_least():
    assert all(sum(e == equation for e in BUGS.values()) >= 2 for equation in ("BP1", "BP2", "BP3", "BP4"))


def predicted_by(bug):
    """A subject that answers what the catalogue predicts (the right gradient where the bug would raise)."""

    def backprop(params, x, y, architecture):
        case = bpcheck.Case(architecture, params, x, y)
        network = build(architecture)
        right = network.gradient(params, x, y)
        wrong = bug.predict(case)
        if wrong is not None:
            right = bpcheck.tree.restore(right, list(wrong.values()))
        return network.loss(params, x, y), right

    return backprop


OF_DENSE = sorted(slug for slug, bug in CATALOGUE.items() if bug.kinds <= {"dense"})
"""Those of other kinds of layers are planted in tests/diagnosis/test_diagnosis_steps.py."""

FORMULAS = [slug for slug in OF_DENSE if CATALOGUE[slug].rules is not None]


# Students make many of these above, and tests/mutants and test_check_every_entry.py plant them too: of each equation one
# here, all in full.
@pytest.mark.parametrize("slug", each(OF_DENSE, of=lambda slug: [CATALOGUE[slug].equation]))
def test_every_bug_of_the_catalogue_is_caught_and_never_misnamed(slug):
    bug = CATALOGUE[slug]
    as_predicted = bug.rules is not None and "step" not in bug.needs
    report = compare(predicted_by(bug) if as_predicted else bug.subject(), seed=3)
    assert report.verdict.severity >= Verdict.DISAGREES.severity, str(report)
    names = {diagnosis.bug for diagnosis in report.diagnoses}
    assert names == {slug}, str(report)


@pytest.mark.parametrize("slug", FORMULAS)
def test_a_prediction_differs_from_the_right_gradient_somewhere(slug):
    """Negative control of the catalogue: a bug that never changes anything is no bug."""
    rng = np.random.default_rng(1)

    def differs(kind):
        case = bpcheck.search.cases.sample.random_case(
            rng, bpcheck.search.cases.sample.random_architecture(rng, kind), kind
        )
        predicted = CATALOGUE[slug].predict(case)
        right = dict(bpcheck.tree.leaves(build(case.architecture).gradient(case.params, case.x, case.y)))
        return predicted is not None and any(not np.allclose(predicted[p], right[p]) for p in right)

    assert any(differs(kind) for kind in ("generic", "equal widths") * 30)  # the first that differs is enough


def test_unmutated_rules_give_the_reference_gradient():
    from bpcheck.diagnosis.step import Rules
    from bpcheck.diagnosis.steps import backward, forward

    rng = np.random.default_rng(2)
    for _ in range(40):
        case = bpcheck.search.cases.sample.random_case(
            rng, bpcheck.search.cases.sample.random_architecture(rng, "generic"), "generic"
        )
        again = backward(forward(case), Rules())
        right = dict(bpcheck.tree.leaves(build(case.architecture).gradient(case.params, case.x, case.y)))
        for path, array in right.items():
            np.testing.assert_allclose(again[path], array, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("relative", "tensor"), product([1e-2, 1e-8, 1e-4, 1e-6], ["weight", "bias"]))
def test_one_wrong_entry_is_seen_down_to_the_stated_limit(relative, tensor):
    right = make()

    def backprop(params, x, y, architecture):
        loss, grads = right(params, x, y, architecture)
        grads[-1][tensor].flat[0] *= 1 + relative
        return loss, grads

    report = compare(backprop, architectures=mlp([3, 4, 2]), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert report.diagnoses[0].equation == ("BP4" if tensor == "weight" else "BP3")


@pytest.mark.parametrize(
    ("factor", "slug"), [(2.0, "factor-two"), (0.5, "factor-half"), (-1.0, "sign-flipped")]
)
def test_a_uniform_factor_is_named(factor, slug):
    right = make()

    def backprop(params, x, y, architecture):
        loss, grads = right(params, x, y, architecture)
        return loss, [{name: factor * value for name, value in layer.items()} for layer in grads]

    report = compare(backprop, architectures=mlp([3, 5, 4, 2], activation="sigmoid"), seed=0)
    assert slug in [diagnosis.bug for diagnosis in report.diagnoses], str(report)


def test_rounding_to_float32_on_the_way_is_caught_and_named():
    right = make()

    def backprop(params, x, y, architecture):
        loss, grads = right(params, x.astype(np.float32).astype(float), y, architecture)
        return loss, grads

    report = compare(backprop, architectures=mlp([3, 4, 2]), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert [d.bug for d in report.diagnoses] == ["cast-to-float32"]


def test_a_wrong_loss_with_a_right_gradient_is_told_apart():
    right = make()

    def backprop(params, x, y, architecture):
        loss, grads = right(params, x, y, architecture)
        return loss * 1.001, grads

    report = compare(backprop, architectures=mlp([3, 4, 2]), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert report.diagnoses[0].equation == "loss"
    assert "no tensor of the gradient is wrong" in report.diagnoses[0].evidence[0]


def test_a_gradient_that_adds_up_over_calls_is_caught_at_the_second():
    right, kept = make(), []

    def backprop(params, x, y, architecture):
        loss, grads = right(params, x, y, architecture)
        kept.append(grads)
        same = [g for g in kept if [v["weight"].shape for v in g] == [v["weight"].shape for v in grads]]
        total = [{name: sum(g[k][name] for g in same) for name in grads[k]} for k in range(len(grads))]
        return loss, total

    report = compare(backprop, architectures=mlp([3, 4, 2]), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert any("the first call agreed" in warning for warning in report.warnings)


def test_a_code_that_raises_on_odd_shapes_is_told_its_bug_where_they_fit():
    def backprop(params, x, y):
        a = [x]
        for layer in params[:-1]:
            a.append(np.tanh(a[-1] @ layer["weight"].T + layer["bias"]))
        delta = (a[-1] @ params[-1]["weight"].T + params[-1]["bias"] - y) / len(x)
        loss = 0.5 * np.sum(delta**2) * len(x)
        grads = []
        for k in range(len(params) - 1, -1, -1):
            grads.insert(0, {"weight": delta.T @ a[k], "bias": delta.sum(0)})
            if k:
                delta = (delta @ params[k]["weight"].T) * (1 - a[k] ** 2)  # should not be transposed
        return loss, grads

    with pytest.raises(bpcheck.SubjectError, match="weight-not-transposed") as caught:
        compare(backprop, seed=0)
    assert isinstance(caught.value.__cause__, ValueError)
    assert "mlp([1, 1, 2]" in caught.value.reproducer or "mlp([1, 2, 1]" in caught.value.reproducer


@pytest.mark.parametrize(
    ("change", "equation"),
    some(
        [(lambda b: 0.5 * b, "BP3"), (lambda b: -b, "BP3"), (lambda b: b + 1.0, "BP3")],
        default=lambda change, equation: change(3.0) == 4.0,
    ),
    ids=["half", "negated", "plus one"],
)
def test_a_wrong_bias_is_not_blamed_on_the_penalty(change, equation):
    right = make()

    def backprop(params, x, y, architecture):
        loss, grads = right(params, x, y, architecture)
        grads[-1]["bias"] = change(grads[-1]["bias"])
        return loss, grads

    architecture = mlp([4, 1], loss="binary_cross_entropy", l2=0.1)
    report = compare(backprop, architectures=architecture, seed=0)
    assert report.diagnoses[0].equation == equation, str(report)


@pytest.mark.parametrize(
    "spoil",
    some(
        [lambda g: g + 1e-9, lambda g: np.round(g, 6), lambda g: np.round(g, 10)],
        default=lambda spoil: spoil(1.23456789012) != 1.234568,
    ),
)
def test_other_small_errors_are_not_called_float32(spoil):
    right = make()

    def backprop(params, x, y, architecture):
        loss, grads = right(params, x, y, architecture)
        return loss, [{k: spoil(v) for k, v in g.items()} for g in grads]

    report = compare(backprop, architectures=mlp([3, 4, 2]), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert "cast-to-float32" not in [d.bug for d in report.diagnoses], str(report)


@pytest.mark.parametrize("limit", some([1e-3, 1e-6], default=lambda limit: limit == 1e-6))
@pytest.mark.parametrize("seed", [1, *(pytest.param(s, marks=pytest.mark.full) for s in (0, 2))])
def test_a_gradient_that_is_masked_where_the_output_saturates_is_caught(limit, seed):
    def backprop(params, x, y):
        a = [x]
        for layer in params[:-1]:
            a.append(np.tanh(a[-1] @ layer["weight"].T + layer["bias"]))
        z = a[-1] @ params[-1]["weight"].T + params[-1]["bias"]
        p = 1 / (1 + np.exp(-z))
        loss = np.mean(np.sum(np.logaddexp(0, z) - y * z, axis=1))
        d = np.where((p < limit) | (p > 1 - limit), 0.0, p - y) / len(x)
        gradients = []
        for k in range(len(params) - 1, -1, -1):
            gradients.insert(0, {"weight": d.T @ a[k], "bias": d.sum(0)})
            d = (d @ params[k]["weight"]) * (1 - a[k] ** 2)
        return loss, gradients

    assert compare(backprop, seed=seed).verdict is Verdict.DISAGREES


def test_degenerate_cases_of_the_callers_own_say_what_they_hide():
    case = bpcheck.Case(
        mlp([2, 2, 2]),
        [{"weight": np.eye(2) + 0.5, "bias": [0.1, 0.2]}, {"weight": np.eye(2) - 0.3, "bias": [0.3, 0.1]}],
        x=[[1.0, 2.0]],
        y=[[0.5, -0.5]],
    )
    report = compare(make("sum-for-mean"), cases=case, seed=0)
    assert report.ok  # a batch of one cannot show it ...
    assert any("batch of one" in warning for warning in report.unchecked)  # ... and the report says so
    assert any("widths are equal" in warning for warning in report.unchecked)


@pytest.mark.parametrize("seed", [2, *(pytest.param(s, marks=pytest.mark.full) for s in (0, 1))])
def test_a_clipping_left_in_the_gradient_is_caught(seed):
    right = make()

    def backprop(params, x, y, architecture):
        loss, grads = right(params, x, y, architecture)
        return loss, [{name: np.clip(value, -5, 5) for name, value in layer.items()} for layer in grads]

    report = compare(backprop, architectures=[mlp([3, 4, 2]), mlp([4, 5, 3])], seed=seed)
    assert report.verdict is Verdict.DISAGREES


def test_a_cache_that_looks_at_shapes_only_is_caught():
    right, kept = make(), {}

    def backprop(params, x, y, architecture):
        shapes = (x.shape, *(layer["weight"].shape for layer in params))
        if shapes not in kept:
            kept[shapes] = right(params, x, y, architecture)
        return kept[shapes]

    report = compare(backprop, architectures=mlp([3, 4, 2]), seed=0)
    assert report.verdict is Verdict.DISAGREES
