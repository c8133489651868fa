"""compare_update(): right optimisers of every form agree, every mistake is found and named, and nothing else changes."""

import numpy as np
import pytest
from choosing import each, product, some

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


# Two tensors where their form is not the question: a run costs a fraction of that with the four of the default.
SMALL = {"weight": np.zeros((3, 2)), "bias": np.zeros(2)}
ONE = np.zeros(16)


@pytest.mark.parametrize("name", some(RULES, default=lambda name: name in ("adam", "grouped")))
def test_right_code_agrees(name):
    report = bpcheck.compare_update(
        code(RULES[name]), rule=RULES[name], params=SMALL if name in ("grouped", "clipped") else ONE, seed=3
    )
    assert report.verdict is Verdict.AGREES, str(report)
    assert report.detection_limit.maximum < 1e-10
    assert report.warnings == ()
    assert "runs lie within the rounding of" in report.summary


# Each mistake with the first rule in which it can be made; the whole product is run in full.
@pytest.mark.parametrize(("name", "slug"), each(PAIRS, of=lambda name, slug: [slug]))
def test_every_mistake_is_found_and_named(name, slug):
    mutant = UPDATES[slug].mutate(RULES[name])
    params = (
        SMALL if name in ("grouped", "clipped") else ONE
    )  # two tensors where groups or norms tell them apart
    report = bpcheck.compare_update(code(mutant), rule=RULES[name], params=params, seed=5)
    assert report.verdict is Verdict.DISAGREES, str(report)
    assert report.diagnoses[0].bug == slug, str(report)
    assert report.diagnoses[0].equation == "update"
    assert len(report.diagnoses[0].hints) == 3


def test_every_mistake_of_the_catalogue_has_a_rule_in_which_it_shows():
    assert {slug for _, slug in PAIRS} | {"epsilon-outside-root"} == set(UPDATES)
    for bug in UPDATES.values():
        assert all(hint.endswith((".", "?", ".)")) for hint in bug.hints)


@pytest.mark.parametrize("batch", [2, 32])
def test_a_rate_that_is_divided_by_the_batch_again(batch):
    report = bpcheck.compare_update(code(Adam(lr=0.1 / batch)), rule=Adam(lr=0.1), params=ONE, seed=0)
    assert report.diagnoses[0].bug == "averaged-in-the-update"
    assert f"{batch} times too small" in report.diagnoses[0].hint


def test_another_rate_is_said_and_is_no_bug_of_the_batch():
    report = bpcheck.compare_update(code(Adam(lr=0.03)), rule=Adam(lr=0.1), params=ONE, seed=0)
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


@pytest.mark.parametrize(
    "form",
    some(
        [InPlace, InPlace(), Returning(), Callable(), Returning], default=lambda form: form is not Returning
    ),
)
def test_objects_and_classes_of_every_form(form):
    report = bpcheck.compare_update(form, rule=Momentum(lr=0.1, form="velocity"), seed=0)
    assert report.verdict is Verdict.AGREES, str(report)
    assert "{W1, b1, W2, b2}" in report.inferred


def test_an_object_is_not_used_up():
    mine = InPlace()
    assert bpcheck.compare_update(mine, rule=Momentum(lr=0.1), params=SMALL, seed=0).ok
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
        gradient *= 0.1
        params -= gradient
        return params, state

    report = bpcheck.compare_update(step, rule=SGD(lr=0.1), params=ONE, seed=0)
    assert report.verdict is Verdict.AGREES
    assert "changes the gradient" in report.warnings[0]


# --- inference -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    some(
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
        default=lambda rule: (
            rule.weight_decay
            or isinstance(rule, Nesterov)
            or getattr(rule, "epsilon_at", "outside") != "outside"
        ),
    ),
    ids=repr,
)
def test_a_rule_is_read_off_its_steps(rule):
    report = bpcheck.compare_update(code(rule), params=ONE, seed=1)
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
    report = bpcheck.compare_update(code(SGD(lr=1e-18)), rule=SGD(lr=1e-18), params=ONE, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "larger learning rate" in report.remedies[0]


def test_a_step_that_never_returns_is_given_up():
    def step(params, gradient, state):
        import time

        time.sleep(5)

    assert bpcheck.compare_update(step, rule=SGD(), time_limit=0.2, seed=0).verdict is Verdict.INCONCLUSIVE


def test_the_same_seed_gives_the_same_report_and_the_seed_is_said():
    first, second = (
        bpcheck.compare_update(code(Adam(lr=0.2)), rule=Adam(lr=0.1), params=SMALL, seed=7) for _ in range(2)
    )
    assert first.to_json() == second.to_json()
    assert bpcheck.compare_update(code(SGD()), rule=SGD(), params=ONE).seed is not None


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


# --- memory in the wrong place, and right code that remembers in its own way -------------------------------


class Remembering:
    """Momentum; where it keeps v, and what it does to a gradient first, is for others to say."""

    def __init__(self):
        self.v = {}

    def key(self, name, w):
        return name

    def changed(self, g):
        return g

    def update(self, params, grads):
        for name, w in params.items():
            key = self.key(name, w)
            self.v[key] = 0.9 * self.v.get(key, 0.0) + self.changed(grads[name])
            w -= 0.1 * self.v[key]


MOMENTUM = Momentum(lr=0.1, momentum=0.9)


def test_a_memory_by_the_identity_of_arrays_that_stay_is_right():
    class ById(Remembering):
        def key(self, name, w):
            return id(w)

    report = bpcheck.compare_update(ById, rule=MOMENTUM, params=SMALL, seed=0)
    assert report.verdict is Verdict.AGREES, str(report)


@pytest.mark.parametrize(("limit", "dtype"), product([5.0, 1e4], [np.float64, np.float32]))
def test_what_is_wrong_for_huge_gradients_alone_is_found(limit, dtype):
    class Limited(Remembering):
        def changed(self, g):
            return np.clip(g, -limit, limit)

    params = {name: value.astype(dtype) for name, value in SMALL.items()}
    report = bpcheck.compare_update(Limited, rule=MOMENTUM, params=params, seed=0)
    assert report.verdict is Verdict.DISAGREES


@pytest.mark.parametrize("limit", [1e-6, 1e-8, 1e-10])
def test_what_is_wrong_for_tiny_gradients_alone_is_found(limit):
    def flushed(params, gradient, state):
        return code(Adam(lr=0.1))(params, np.where(abs(gradient) < limit, 0.0, gradient), state)

    report = bpcheck.compare_update(flushed, rule=Adam(lr=0.1), params=ONE, seed=0)
    assert report.verdict is Verdict.DISAGREES


def test_numbers_of_numpy_that_make_float64_of_float32_are_right():
    def step(params, gradient, state):
        m, v, t = state or ([0.0] * len(params), [0.0] * len(params), 0)
        t += 1
        m = [0.9 * a + 0.1 * g for a, g in zip(m, gradient, strict=True)]
        v = [0.999 * a + 0.001 * g * g for a, g in zip(v, gradient, strict=True)]
        root = np.sqrt(1 - 0.999**t)  # an np.float64, not a float
        rate = 0.01 / (1 - 0.9**t)
        new = [w - rate * a / (np.sqrt(b) / root + 1e-8) for w, a, b in zip(params, m, v, strict=True)]
        return new, (m, v, t)

    params = [value.astype(np.float32) for value in SMALL.values()]
    report = bpcheck.compare_update(step, rule=Adam(lr=0.01), params=params, seed=0)
    assert report.verdict is Verdict.AGREES, str(report)


def function_with_a_memory(changed=lambda g: g):
    memory = {}

    def step(params, gradient):
        for name, g in gradient.items():
            memory[name] = 0.9 * memory.get(name, 0.0) + changed(g)
            params[name] = params[name] - 0.1 * memory[name]
        return params

    return step


def test_a_function_with_a_memory_is_right_from_its_first_call():
    report = bpcheck.compare_update(function_with_a_memory(), rule=MOMENTUM, seed=0)
    assert report.verdict is Verdict.AGREES, str(report)


def test_a_function_without_a_state_gets_gradients_of_every_kind():
    step = function_with_a_memory(lambda g: np.clip(g, -20.0, 20.0))
    report = bpcheck.compare_update(step, rule=MOMENTUM, params={"w": np.zeros(4)}, seed=0)
    assert report.verdict is Verdict.DISAGREES


class GradientFirst(Remembering):
    def update(self, grads, params):
        super().update(params, grads)


class Counting(Remembering):
    def update(self, params, grads):
        super().update(params, grads)
        return 3


class Emptying(Remembering):
    def update(self, params, grads):
        super().update(params, grads)
        grads.clear()


class Chained:
    """As optax has it."""

    def init(self, params):
        return [0.0 * w for w in params]

    def update(self, updates, state, params=None):
        v = [0.9 * a + g for a, g in zip(state, updates, strict=True)]
        return [-0.1 * a for a in v], v


def optional_state(params, gradient, state=None):
    v = [0.9 * a + g for a, g in zip(state or [0.0] * len(params), gradient, strict=True)]
    return [w - 0.1 * a for w, a in zip(params, v, strict=True)], v


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda: Remembering(), marks=pytest.mark.full),
        Remembering().update,
        GradientFirst,
        pytest.param(Counting, marks=pytest.mark.full),
        pytest.param(Emptying, marks=pytest.mark.full),
        Chained(),
        pytest.param(optional_state, marks=pytest.mark.full),
    ],
)
def test_more_forms_of_the_same_momentum(form):
    listed = form is optional_state or isinstance(form, Chained)
    params = list(SMALL.values()) if listed else SMALL
    report = bpcheck.compare_update(form, rule=MOMENTUM, params=params, seed=0)
    assert report.verdict is Verdict.AGREES, str(report)


def test_a_parameter_without_axes_may_become_a_number_of_numpy():
    params = {"w": np.ones(3), "b": np.array(1.0)}
    step = code(SGD(lr=0.1))
    assert bpcheck.compare_update(step, rule=SGD(lr=0.1), params=params, seed=0).ok


def test_what_cannot_be_copied_or_has_another_form_is_told():
    mine = Remembering()
    mine.rates = (0.1 for _ in range(3))
    with pytest.raises(InputError, match=r"cannot be copied .* lambda"):
        bpcheck.compare_update(mine, rule=MOMENTUM, seed=0)
    mine = type("Own", (), {"step": lambda self: None})()
    with pytest.raises(InputError, match=r"does not take \(params, gradient\).*from_torch_optimizer"):
        bpcheck.compare_update(mine, rule=MOMENTUM, seed=0)
    with pytest.raises(InputError, match="dtype is 'foo'"):
        bpcheck.compare_update(Remembering, rule=MOMENTUM, dtype="foo")


# --- no name that is not sure ------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.01])
def test_a_rate_ten_times_too_small_is_no_batch_size(share):
    report = bpcheck.compare_update(code(SGD(lr=0.1 * share)), rule=SGD(lr=0.1), seed=0)
    assert report.diagnoses[0].bug == ""
    assert f"{share} times" in report.diagnoses[0].hint


def test_a_name_that_another_rate_would_explain_says_so():
    report = bpcheck.compare_update(code(MOMENTUM.but(form="average")), rule=MOMENTUM, seed=0)
    assert report.diagnoses[0].bug == "momentum-average-for-sum"
    assert "a learning rate of so much" in report.diagnoses[0].evidence[-1]


def test_a_decay_that_is_slightly_off_is_no_rate():
    rule = AdamW(lr=0.01, weight_decay=0.01)
    wrong = code(rule.but(weight_decay=0.0101))
    params = np.zeros(16, dtype=np.float32)
    for seed in range(3):
        report = bpcheck.compare_update(wrong, rule=rule, params=params, seed=seed)
        assert "learning rate is" not in str(report), str(report)
