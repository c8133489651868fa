"""The silent column: a bug that a caller's own cases cannot show passes there, with the warning that says so."""

import numpy as np
import pytest
from choosing import each
from students import make

import bpcheck
from bpcheck import Case, Verdict, mlp
from bpcheck.diagnosis import CATALOGUE
from bpcheck.search.cases.degenerate import HIDES, hidden_by
from bpcheck.search.cases.sample import random_case


def drawn(widths, *, batch=4, change=lambda name, values: values, positive=False, **options):
    """One random case, with its parameters changed."""
    case = random_case(np.random.default_rng(7), mlp(widths, **options), "generic", batch=batch)
    params = [{name: change(name, values) for name, values in layer.items()} for layer in case.params]
    return Case(case.architecture, params, abs(case.x) if positive else case.x, case.y)


def with_zero_biases(name, values):
    return 0 * values if name == "bias" else values


def symmetric(name, values):
    return values + values.T if name == "weight" and values.shape[0] == values.shape[1] else values


def positive(name, values):
    return abs(values)


def size_of_the_wrong_layer(params, x, y, architecture):
    """The mean over outputs, with the number of inputs for that of outputs."""
    loss, gradient = make()(params, x, y, architecture)
    factor = y.shape[1] / params[-1]["weight"].shape[1]
    return loss, [{name: factor * values for name, values in layer.items()} for layer in gradient]


# warning, slug (or program), the case that hides it, and the generic one that does not
ROWS = [
    *(
        ("batch of one", slug, drawn([3, 4, 2], batch=1), drawn([3, 4, 2]))
        for slug in (
            "sum-for-mean",
            "averaged-twice",
            "bias-not-summed",
            "bias-last-example",
            "bias-mean-weight-sum",
            "last-sample-wins",
            "first-sample-only",
            "one-example-wrong",
            "right-only-for-batch-1",
        )
    ),
    *(
        (
            "no case has a hidden layer",
            slug,
            drawn([3, 2], activation="tanh"),
            drawn([3, 4, 2], activation="tanh"),
        )
        for slug in (
            "hidden-derivative-missing",
            "derivative-of-activation",
            "error-not-propagated",
            "right-only-for-depth-1",
        )
    ),
    (
        "all widths are equal",
        size_of_the_wrong_layer,
        drawn([3, 3, 3], loss="mse"),
        drawn([3, 4, 2], loss="mse"),
    ),
    ("one unit", "bias-scalar", drawn([3, 1, 1], activation="tanh"), drawn([3, 4, 2], activation="tanh")),
    ("one output", "mean-over-outputs", drawn([3, 4, 1]), drawn([3, 4, 2])),
    ("one output", "outputs-not-averaged", drawn([3, 4, 1], loss="mse"), drawn([3, 4, 2], loss="mse")),
    (
        "every bias is zero",
        "penalty-on-bias",
        drawn([3, 4, 2], l2=0.3, change=with_zero_biases),
        drawn([3, 4, 2], l2=0.3),
    ),
    (
        "is symmetric",
        "weight-not-transposed",
        drawn([3, 4, 4], activation="tanh", change=symmetric),
        drawn([3, 4, 4], activation="tanh"),
    ),
    (
        "activation but the identity",
        "hidden-derivative-missing",
        drawn([3, 4, 2], activation="identity"),
        drawn([3, 4, 2], activation="sigmoid"),
    ),
    (
        "has z < 0",
        "leaky-slope-lost",
        drawn([3, 4, 2], activation="leaky_relu", change=positive, positive=True),
        drawn([3, 4, 2], activation="leaky_relu"),
    ),
]


def name_of(row):
    bug = row[1] if isinstance(row[1], str) else row[1].__name__
    return f"{row[0]}-{bug}".replace(" ", "_")


@pytest.mark.parametrize(
    ("warning", "bug", "hiding", "generic"), each(ROWS, of=lambda warning, *_: [warning])
)
def test_what_a_case_hides_passes_with_its_warning_and_is_caught_elsewhere(warning, bug, hiding, generic):
    program = CATALOGUE[bug].program() if isinstance(bug, str) else bug
    silent = bpcheck.compare(program, cases=[hiding], conventions=bpcheck.Conventions(), seed=0)
    assert silent.ok, str(silent)
    assert any(warning in text for text in silent.unchecked), silent.unchecked
    seen = bpcheck.compare(program, cases=[generic], conventions=bpcheck.Conventions(), seed=0)
    assert seen.verdict is Verdict.DISAGREES, str(seen)
    assert not any(warning in text for text in seen.unchecked)


def test_every_warning_is_tried():
    tried = {text for _, _, hiding, _ in ROWS for text in hidden_by([hiding])}
    assert tried == {text for text, _ in HIDES}


@pytest.mark.parametrize(("warning", "bug", "hiding", "generic"), ROWS, ids=map(name_of, ROWS))
def test_one_case_that_shows_it_is_enough(warning, bug, hiding, generic):
    assert not any(warning in text for text in hidden_by([hiding, generic]))


@pytest.mark.parametrize("activation", ["tanh", "relu", "leaky_relu", "sigmoid"])
def test_a_generic_case_hides_nothing(activation):
    case = drawn([3, 5, 4, 2], activation=activation)
    report = bpcheck.compare(make(), cases=[case], seed=0)
    assert report.verdict is Verdict.AGREES
    assert report.warnings == ()
