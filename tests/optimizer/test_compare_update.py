"""compare_update(): right optimisers of every form agree, every mistake is found and named, and nothing else changes."""

import numpy as np
import pytest

import bpcheck
from bpcheck import Verdict
from bpcheck.diagnosis import UPDATES
from bpcheck.errors import InputError, SubjectError
from bpcheck.reference.optimizer import SGD, Adam, AdamW, Clipped, Grouped, Momentum, Nesterov, RMSprop

RULES = {
    "sgd": SGD(lr=0.1),
    "sgd with decay": SGD(lr=0.1, weight_decay=0.2),
    "lasso": Momentum(lr=0.1, l1=0.2),
    "momentum": Momentum(lr=0.1, momentum=0.8),
    "average": Momentum(lr=0.1, form="average"),
    "velocity": Momentum(lr=0.1, form="velocity", weight_decay=0.1),
    "nesterov": Nesterov(lr=0.1, momentum=0.8),
    "rmsprop": RMSprop(lr=0.1),
    "rmsprop inside": RMSprop(lr=0.1, epsilon_at="inside", momentum=0.5),
    "adam": Adam(),
    "adam with decay": Adam(lr=0.1, weight_decay=0.1),
    "adamw": AdamW(lr=0.1),
    "amsgrad": Adam(lr=0.1, amsgrad=True),
    "centered": RMSprop(lr=0.1, centered=True, epsilon=1e-3),
    "grouped": Grouped(rule=AdamW(lr=0.1), groups=(("bias", Momentum(lr=0.1)),)),
    "clipped": Clipped(rule=Momentum(lr=0.1), by="global norm", limit=0.5),
}


def code(rule):
    """A function that does what a rule does, with its state handed in and out."""

    def step(params, gradient, state):
        return rule.step(params, gradient, rule.init(params) if state is None else state)

    return step


PAIRS = [
    (name, slug)
    for name, rule in RULES.items()
    for slug, bug in UPDATES.items()
    if bug.mutate(rule) is not None
]


@pytest.mark.parametrize("name", RULES)
def test_right_code_agrees(name):
    report = bpcheck.compare_update(code(RULES[name]), rule=RULES[name], seed=3)
    assert report.verdict is Verdict.AGREES, str(report)
    assert report.detection_limit.maximum < 1e-10
    assert report.warnings == ()
    assert "runs lie within the rounding of" in report.summary


# One pair in six here, all of them in the nightly run: a second each.
@pytest.mark.parametrize(
    ("name", "slug"),
    [pytest.param(*pair, marks=() if i % 6 == 0 else pytest.mark.nightly) for i, pair in enumerate(PAIRS)],
)
def test_every_mistake_is_found_and_named(name, slug):
    mutant = UPDATES[slug].mutate(RULES[name])
    report = bpcheck.compare_update(code(mutant), rule=RULES[name], seed=5)
    assert report.verdict is Verdict.DISAGREES, str(report)
    assert report.diagnoses[0].bug == slug, str(report)
    assert report.diagnoses[0].equation == "update"
    assert len(report.diagnoses[0].hints) == 3


def test_every_mistake_of_the_catalogue_has_a_rule_in_which_it_shows():
    assert {slug for _, slug in PAIRS} | {"epsilon-outside-root"} == set(UPDATES)
    for bug in UPDATES.values():
        assert all(
            hint.endswith((".", "?", ".)"))
            for hint in (bug.hints.symptom, bug.hints.equation, bug.hints.line)
        )


@pytest.mark.parametrize("batch", [2, 32])
def test_a_rate_that_is_divided_by_the_batch_again(batch):
    report = bpcheck.compare_update(code(Adam(lr=0.1 / batch)), rule=Adam(lr=0.1), seed=0)
    assert report.diagnoses[0].bug == "averaged-in-the-update"
    assert f"{batch} times too small" in report.diagnoses[0].hint


def test_another_rate_is_said_and_is_no_bug_of_the_batch():
    report = bpcheck.compare_update(code(Adam(lr=0.03)), rule=Adam(lr=0.1), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert report.diagnoses[0].bug == ""
    assert "0.3 times" in report.diagnoses[0].hint


def test_what_no_mistake_explains_has_no_name():
    def odd(params, gradient, state):
        new, state = code(Adam(lr=0.1))(params, gradient, state)
        new[0]["weight"][0, 0] += 1e-6
        return new, state

    report = bpcheck.compare_update(odd, rule=Adam(lr=0.1), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert report.diagnoses[0].bug == ""
    assert report.comparisons[0].worst_index == (0, 0)


@pytest.mark.parametrize("size", [1e-9, 1e-12])
def test_a_small_error_of_one_step_is_seen(size):
    def odd(params, gradient, state):
        new, state = code(SGD(lr=0.1))(params, gradient, state)
        return [{n: w * (1 + size) for n, w in layer.items()} for layer in new], state

    assert bpcheck.compare_update(odd, rule=SGD(lr=0.1), seed=0).verdict is Verdict.DISAGREES


# --- the forms in which optimisers are written ----------------------------------------------------------


class InPlace:
    """As in many books: attributes, created at the first call, and arrays changed in place."""

    def __init__(self, lr=0.1, momentum=0.9):
        self.lr, self.momentum, self.v = lr, momentum, None

    def update(self, params, grads):
        if self.v is None:
            self.v = {name: np.zeros_like(value) for name, value in params.items()}
        for name in params:
            self.v[name] = self.momentum * self.v[name] - self.lr * grads[name]
            params[name] += self.v[name]


class Returning(InPlace):
    def step(self, params, grads):
        super().update(params, grads)
        return params

    update = None


class Callable(InPlace):
    update = None

    def __call__(self, params, grads):
        InPlace.update(self, params, grads)


@pytest.mark.parametrize("form", [InPlace, InPlace(), Returning(), Callable(), Returning])
def test_objects_and_classes_of_every_form(form):
    report = bpcheck.compare_update(form, rule=Momentum(lr=0.1, form="velocity"), seed=0)
    assert report.verdict is Verdict.AGREES, str(report)
    assert "{W1, b1, W2, b2}" in report.inferred


def test_an_object_is_not_used_up():
    mine = InPlace()
    assert bpcheck.compare_update(mine, rule=Momentum(lr=0.1), seed=0).ok
    assert mine.v is None


def test_a_function_without_a_state_is_run_once_and_that_is_said():
    report = bpcheck.compare_update(
        lambda params, gradient: [p - 0.1 * g for p, g in zip(params, gradient, strict=True)],
        rule=SGD(lr=0.1),
        seed=0,
    )
    assert report.verdict is Verdict.AGREES
    assert "cannot be told to begin anew" in report.warnings[0]


def test_one_array_is_enough():
    report = bpcheck.compare_update(lambda w, g, state: (w - 0.1 * g, None), seed=0)
    assert report.inferred == "SGD(lr=0.1), from its steps; params one array"


def test_parameters_of_the_callers_own():
    params = {"a": np.ones((3, 2), dtype=np.float32), "b": [np.zeros(4, dtype=np.float32)]}
    report = bpcheck.compare_update(code(Adam(lr=0.1)), rule=Adam(lr=0.1), params=params, seed=0)
    assert report.verdict is Verdict.AGREES
    assert {c.path for c in report.comparisons} == {"params['a']", "params['b'][0]"}
    assert (params["a"] == 1).all()


def test_a_state_that_all_models_share_is_found():
    class Shared:
        v = {}  # noqa: RUF012  (the mistake)

        def update(self, params, grads):
            for name in params:
                self.v[name] = 0.9 * self.v.get(name, 0.0) + grads[name]
                params[name] = params[name] - 0.1 * self.v[name]

    assert bpcheck.compare_update(Shared, rule=Momentum(lr=0.1), seed=0).verdict is Verdict.DISAGREES


def test_a_step_that_changes_its_gradient_is_noted():
    def step(params, gradient, state):
        for layer, slope in zip(params, gradient, strict=True):
            for name in layer:
                slope[name] *= 0.1
                layer[name] -= slope[name]
        return params, state

    report = bpcheck.compare_update(step, rule=SGD(lr=0.1), seed=0)
    assert report.verdict is Verdict.AGREES
    assert "changes the gradient" in report.warnings[0]


# --- inference -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        SGD(lr=0.03),
        SGD(lr=0.1, weight_decay=0.2),
        Momentum(lr=0.02, momentum=0.95),
        Momentum(lr=0.1, momentum=0.5, weight_decay=0.1),
        Nesterov(lr=0.5, momentum=0.3),
        RMSprop(lr=0.02, decay=0.95, epsilon=1e-6),
        RMSprop(lr=0.02, epsilon_at="inside", momentum=0.4),
        Adam(lr=0.3, beta1=0.8, beta2=0.99, epsilon=1e-7),
        Adam(epsilon_at="inside"),
        Adam(epsilon_at="uncorrected", epsilon=1e-7),
        Adam(bias_correction=False),
        AdamW(lr=0.02, weight_decay=0.1),
    ],
    ids=repr,
)
def test_a_rule_is_read_off_its_steps(rule):
    report = bpcheck.compare_update(code(rule), seed=1)
    assert report.verdict is Verdict.AGREES, str(report)
    for name in ("lr", "momentum", "beta1", "beta2", "decay", "epsilon", "epsilon_at", "weight_decay"):
        if hasattr(rule, name) and getattr(rule, name) != getattr(type(rule)(), name):
            assert f"{name}=" in report.inferred, report.inferred


@pytest.mark.parametrize(
    "rule", [Adam(amsgrad=True), Clipped(rule=SGD(lr=0.1), limit=0.5), RMSprop(centered=True)]
)
def test_what_cannot_be_read_off_is_inconclusive_and_asked_for(rule):
    report = bpcheck.compare_update(code(rule), seed=1)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "rule=" in report.remedies[0]


# --- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "options", "words"),
    [
        (3, {}, "step is int 3; give a function"),
        (code(SGD()), {"rule": "adam"}, "rule is str .adam."),
        (code(SGD()), {"dtype": np.int64}, "dtype is"),
        (code(SGD()), {"params": [1, 2]}, "give float arrays"),
        (code(SGD()), {"params": [np.ones(2)]}, "fewer than 16 numbers"),
        (lambda p, g, s: p, {"rule": SGD()}, r"return \(params, state\)"),
        (type("Needs", (), {"__init__": lambda self, lr: None}), {}, "cannot be called without arguments"),
    ],
)
def test_what_cannot_be_used_is_told(step, options, words):
    with pytest.raises(InputError, match=words):
        bpcheck.compare_update(step, seed=0, **options)


def test_an_optimizer_that_raises_is_a_subject_error():
    def step(params, gradient, state):
        raise KeyError("v")

    with pytest.raises(SubjectError, match="step raised KeyError") as caught:
        bpcheck.compare_update(step, rule=SGD(), seed=0)
    assert isinstance(caught.value.__cause__, KeyError)


def test_new_parameters_of_another_shape_are_a_wrong_structure():
    def step(params, gradient, state):
        return [{n: np.ravel(w) for n, w in layer.items()} for layer in params], None

    report = bpcheck.compare_update(step, rule=SGD(), seed=0)
    assert report.verdict is Verdict.WRONG_STRUCTURE
    assert "shape (12,)" in report.comparisons[0].reason


def test_nan_is_not_right():
    def step(params, gradient, state):
        return [{n: w * np.nan for n, w in layer.items()} for layer in params], None

    assert bpcheck.compare_update(step, rule=SGD(), seed=0).verdict is Verdict.NONFINITE


def test_steps_that_rounding_hides_are_inconclusive():
    report = bpcheck.compare_update(code(SGD(lr=1e-40)), rule=SGD(lr=1e-40), seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "larger learning rate" in report.remedies[0]


def test_a_step_that_never_returns_is_given_up():
    def step(params, gradient, state):
        import time

        time.sleep(5)

    assert bpcheck.compare_update(step, rule=SGD(), time_limit=0.2, seed=0).verdict is Verdict.INCONCLUSIVE


def test_the_same_seed_gives_the_same_report_and_the_seed_is_said():
    first, second = (bpcheck.compare_update(code(Adam(lr=0.2)), rule=Adam(lr=0.1), seed=7) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert bpcheck.compare_update(code(SGD()), rule=SGD()).seed is not None


def test_a_beta_of_zero_is_a_rule_like_any_other():
    # 1 − β is then no β: the mistake of exchanging them cannot be made
    for rule in (Adam(lr=0.1, beta1=0.0), RMSprop(lr=0.1, decay=0.0)):
        report = bpcheck.compare_update(
            lambda w, g, state: (w - 0.5 * g, 0), rule=rule, params=np.zeros(4), seed=0
        )
        assert report.verdict is Verdict.DISAGREES


def test_a_symbol_at_the_beginning_of_a_sentence_stays_small():
    said = {slug: bug.sentence for slug, bug in UPDATES.items()}
    assert said["momentum-average-for-sum"].startswith("v is an average")
    assert said["adam-no-bias-correction"].startswith("The averages m and v, which")
    assert said["update-sign"].startswith("The step goes up")
    assert said["momentum-sum-for-average"].startswith("v is a sum")
    assert said["weight-decay-coupled"].startswith("λw was added")
