"""The wrappers: from_joint, from_parts, from_step; what they hand over and what they make of odd code."""

import numpy as np
import pytest
from choosing import some

import bpcheck
from bpcheck import Answer, Case, Subject, Verdict, from_joint, from_parts, from_step, mlp, tree
from bpcheck.errors import InputError
from bpcheck.reference import build
from bpcheck.strategies.values import case_from_seed
from bpcheck.subject import STEP_RATES, NotAPair, as_subject

ARCHITECTURE = mlp([3, 4, 2], activation="tanh")
NETWORK = build(ARCHITECTURE)


def compare(subject, **options):
    """Random networks of one kind, few of them."""
    wanted = {"architectures": [ARCHITECTURE, mlp([2, 3, 4, 2])], "conventions": bpcheck.Conventions()}
    wanted |= {"examples": 12, "seed": 0}
    return bpcheck.compare(subject, **{**wanted, **options})


def forward(params, x):
    activations = [x]
    for k, layer in enumerate(params):
        z = activations[-1] @ layer["weight"].T + layer["bias"]
        activations.append(z if k == len(params) - 1 else np.tanh(z))
    return activations


def loss_of(params, x, y):
    return 0.5 * np.sum((forward(params, x)[-1] - y) ** 2) / len(x)


def gradient_of(params, x, y):
    activations = forward(params, x)
    delta = (activations[-1] - y) / len(x)
    gradients = []
    for k in reversed(range(len(params))):
        gradients.append({"weight": delta.T @ activations[k], "bias": delta.sum(axis=0)})
        if k:
            delta = (delta @ params[k]["weight"]) * (1 - activations[k] ** 2)
    return gradients[::-1]


def returning(params, x, y, lr):
    """A step that returns new parameters."""
    gradient = gradient_of(params, x, y)
    return [{n: layer[n] - lr * g[n] for n in layer} for layer, g in zip(params, gradient, strict=True)]


def in_place(params, x, y, lr):
    """A step that changes the arrays it was given and returns nothing."""
    for layer, gradient in zip(params, gradient_of(params, x, y), strict=True):
        for name in layer:
            layer[name] -= lr * gradient[name]


def rebinding(params, x, y, lr):
    """A step that puts new arrays into the dicts it was given."""
    for layer, gradient in zip(params, gradient_of(params, x, y), strict=True):
        for name in layer:
            layer[name] = layer[name] - lr * gradient[name]


def both(params, x, y, lr):
    """In place, and the same object returned."""
    in_place(params, x, y, lr)
    return params


def updated_first(params, x, y, lr):
    """The classic: δ is sent down through weights that have been stepped already."""
    activations = forward(params, x)
    delta = (activations[-1] - y) / len(x)
    for k in reversed(range(len(params))):
        params[k]["weight"] -= lr * delta.T @ activations[k]
        params[k]["bias"] -= lr * delta.sum(axis=0)
        if k:
            delta = (delta @ params[k]["weight"]) * (1 - activations[k] ** 2)


class Momentum:
    """A velocity that is kept between calls."""

    def __init__(self):
        self.velocity = None

    def __call__(self, params, x, y, lr):
        gradient = gradient_of(params, x, y)
        old = self.velocity
        fits = old is not None and [g["weight"].shape for g in old] == [g["weight"].shape for g in gradient]
        if fits:
            gradient = [{n: g[n] + 0.9 * v[n] for n in g} for g, v in zip(gradient, old, strict=True)]
        self.velocity = gradient
        return [{n: p[n] - lr * g[n] for n in p} for p, g in zip(params, gradient, strict=True)]


# --- from_joint ------------------------------------------------------------------------------------


def joint(params, x, y):
    return loss_of(params, x, y), gradient_of(params, x, y)


def test_a_joint_function_answers_with_loss_and_gradient():
    case = case_from_seed(ARCHITECTURE, 3, 0)
    subject = from_joint(joint)
    answer = subject.answer(*case.mutable())
    assert isinstance(answer, Answer)
    assert answer.loss == subject.loss(*case.mutable()) == loss_of(case.params, case.x, case.y)
    assert (subject.name, subject.takes_architecture, subject.notes) == ("joint", False, ())
    assert (answer.error, answer.notes) == (None, ())


def test_a_bare_callable_and_its_subject_are_the_same_to_compare():
    reports = [compare(subject) for subject in (joint, from_joint(joint))]
    assert [report.verdict for report in reports] == [Verdict.AGREES] * 2
    assert str(reports[0]) == str(reports[1])


def test_a_function_with_a_parameter_named_architecture_is_given_it():
    seen = []

    def with_architecture(params, x, y, architecture):
        seen.append(architecture)
        network = build(architecture)
        return network.loss(params, x, y), network.gradient(params, x, y)

    assert from_joint(with_architecture).takes_architecture
    report = bpcheck.compare(with_architecture, examples=40, seed=0)
    assert report.verdict is Verdict.AGREES, report
    assert len({a.loss for a in seen}) == 5
    assert len({a.layers[0].activation for a in seen}) >= 7


@pytest.mark.parametrize(
    "returned", [None, 1.0, (1.0,), (1.0, 2.0, 3.0), {"loss": 1.0}, "ab", np.ones(2)], ids=repr
)
def test_anything_but_a_pair_is_refused_with_what_it_was(returned):
    with pytest.raises(NotAPair, match=r"must return the pair \(loss, gradient\)"):
        from_joint(lambda params: returned).answer(1.0)


def test_callables_of_all_kinds_have_a_name_and_may_lack_a_signature():
    class Network:
        def step(self, params, x, y):
            return joint(params, x, y)

        def __call__(self, params, x, y):
            return joint(params, x, y)

    assert from_joint(Network()).name == "Network"
    assert from_joint(Network().step).name == "step"
    assert from_joint(max).name == "max"
    assert not from_joint(max).takes_architecture
    assert compare(Network()).verdict is Verdict.AGREES


def test_an_object_of_ones_own_with_an_answer_is_a_subject():
    class Mine:
        name, loss, takes_architecture, notes = "mine", None, False, ("from a notebook",)

        def answer(self, params, x, y):
            return Answer(None, gradient_of(params, x, y))

    mine = Mine()
    assert as_subject(mine).answer == mine.answer
    report = compare(mine)
    assert report.verdict is Verdict.AGREES
    assert "from a notebook" in report.unchecked
    assert "loss" not in {c.path for c in report.comparisons}
    mine.answer = lambda params, x, y: Answer(
        None, [{n: 2 * v for n, v in g.items()} for g in gradient_of(params, x, y)]
    )
    assert compare(mine).verdict is Verdict.DISAGREES


def test_an_answer_that_is_none_of_ours_is_refused():
    with pytest.raises(InputError, match=r"returned tuple .*bpcheck\.Answer"):
        compare(Subject("mine", lambda params, x, y: (1.0, params)))


# --- from_parts ------------------------------------------------------------------------------------


def test_two_functions_make_a_subject():
    report = compare(from_parts(loss=loss_of, gradient=gradient_of))
    assert report.verdict is Verdict.AGREES, report
    assert report.subject == "gradient_of"


def test_a_loss_that_spoils_its_parameters_does_not_spoil_the_gradient():
    def spoiling(params, x, y):
        value = loss_of(params, x, y)
        for layer in params:
            layer["weight"][...] = 0.0
        return value

    report = compare(from_parts(loss=spoiling, gradient=gradient_of))
    assert report.verdict is Verdict.DISAGREES  # a loss must leave its arguments alone ...
    wrong = [comparison.path for comparison in report.comparisons if not comparison.verdict.ok]
    assert wrong
    assert all(path.endswith("after the call") for path in wrong)  # ... but the gradient itself is right


def test_only_the_part_that_names_the_architecture_gets_it():
    def loss(params, x, y, architecture):
        return build(architecture).loss(params, x, y)

    subject = from_parts(loss=loss, gradient=gradient_of)
    assert subject.takes_architecture
    assert compare(subject).verdict is Verdict.AGREES

    def gradient(params, x, y, architecture):
        return build(architecture).gradient(params, x, y)

    assert compare(from_parts(loss=loss_of, gradient=gradient)).verdict is Verdict.AGREES


def test_loss_and_gradient_of_different_costs_are_told_apart():
    def doubled(params, x, y):
        return 2 * loss_of(params, x, y)

    report = compare(from_parts(loss=doubled, gradient=gradient_of))
    assert report.verdict is Verdict.DISAGREES
    assert report.diagnoses[0].equation == "loss"


@pytest.mark.parametrize("parts", [{"loss": 1, "gradient": gradient_of}, {"loss": loss_of, "gradient": None}])
def test_a_part_that_cannot_be_called_is_named(parts):
    with pytest.raises(InputError, match=r"(loss is int 1|gradient is None); pass a function"):
        from_parts(**parts)


# --- from_step -------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [returning, in_place, rebinding, both])
def test_the_gradient_is_recovered_from_a_step_of_every_form(step):
    report = compare(from_step(step))
    assert report.verdict is Verdict.AGREES, report
    assert report.detection_limit.maximum <= 1e-9
    assert "the subject has no loss, so only its gradient was compared" in report.unchecked
    assert not any("rates" in warning for warning in report.warnings)


@pytest.mark.parametrize("step", [returning, in_place])
def test_a_loss_may_be_given_beside_the_step(step):
    report = compare(from_step(step, loss=loss_of))
    assert report.verdict is Verdict.AGREES
    assert report.unchecked == (
        "12 examples do not visit all kinds of network (30 do): some bugs show only in special ones",
    )
    doubled = compare(from_step(step, loss=lambda params, x, y: 2 * loss_of(params, x, y)))
    assert doubled.verdict is Verdict.DISAGREES


def test_with_a_loss_the_network_is_inferred_and_without_it_the_remedy_is_named():
    with_loss = bpcheck.compare(from_step(in_place, loss=loss_of), seed=0, examples=30)
    assert with_loss.verdict is Verdict.AGREES
    assert "tanh" in with_loss.inferred
    without = bpcheck.compare(from_step(in_place), seed=0)
    assert without.verdict is Verdict.INCONCLUSIVE
    assert "architectures=bpcheck.mlp" in without.summary


@pytest.mark.parametrize("lr", some([0.1, 1, 1e-3], default=lambda lr: lr == 0.1))
def test_a_step_with_its_learning_rate_inside(lr):
    def fixed(params, x, y):
        return returning(params, x, y, lr)

    assert compare(from_step(fixed, lr=lr)).verdict is Verdict.AGREES
    wrong_rate = compare(from_step(fixed, lr=2 * lr))
    assert wrong_rate.verdict is Verdict.DISAGREES
    assert "0.5 times the right value" in " ".join(str(wrong_rate).split())


def test_a_step_that_takes_the_rate_by_name_is_probed_around_the_one_given():
    rates = []

    def step(params, x, y, lr=0.01):
        rates.append(lr)
        return returning(params, x, y, lr)

    assert compare(from_step(step, lr=0.25)).verdict is Verdict.AGREES
    assert set(rates) == {0.25, 0.25 / 64}


def test_a_step_is_probed_at_two_learning_rates_on_fresh_copies():
    rates, weights = [], []

    def step(params, x, y, lr):
        rates.append(lr)
        weights.append(params[0]["weight"].copy())
        in_place(params, x, y, lr)

    case = case_from_seed(ARCHITECTURE, 3, 0)
    params, x, y = case.mutable()
    from_step(step).answer(params, x, y)
    assert tuple(rates) == STEP_RATES
    # the larger one is judged: there an early update shows most; powers of two: dividing is exact
    assert STEP_RATES[0] > 10 * STEP_RATES[1]
    assert all(np.frexp(rate)[0] == 0.5 for rate in STEP_RATES)
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(params[0]["weight"], case.params[0]["weight"])


def test_weights_updated_before_delta_went_through_them_are_caught():
    report = compare(from_step(updated_first))
    assert report.verdict is Verdict.DISAGREES
    assert any("weights updated before δ" in warning for warning in report.warnings)
    verdicts = {c.path: c.verdict for c in report.comparisons}
    top = f"params[{len(report.counterexample.params) - 1}]['weight']"
    assert verdicts[top] is Verdict.AGREES
    assert verdicts["params[0]['bias']"] is Verdict.DISAGREES
    assert report.diagnoses[0].equation == "BP2"
    assert report.diagnoses[0].bug == "weights-updated-first"


def test_the_error_of_early_updates_grows_with_the_learning_rate():
    case = case_from_seed(ARCHITECTURE, 3, 1)
    right = gradient_of(case.params, case.x, case.y)[0]["weight"]

    def error(lr):
        subject = from_step(lambda params, x, y: updated_first(params, x, y, lr), lr=lr)
        return abs(subject.answer(*case.mutable()).gradient[0]["weight"] - right).max()

    assert error(0.5) / error(0.25) == pytest.approx(2.0, rel=1e-6)


def test_one_layer_has_no_weights_to_update_too_early():
    report = compare(from_step(updated_first), architectures=mlp([3, 2]))
    assert report.verdict is Verdict.AGREES


def test_momentum_is_noted():
    report = compare(from_step(Momentum()))
    assert report.verdict is Verdict.DISAGREES
    assert any("is there momentum?" in warning for warning in report.warnings)


def test_a_step_in_the_wrong_direction_is_a_sign():
    report = compare(from_step(lambda params, x, y, lr: returning(params, x, y, -lr)))
    assert report.verdict is Verdict.DISAGREES
    assert "-1 times the right value" in " ".join(str(report).split())


def test_a_step_that_rebinds_names_only_changes_nothing():
    def forgotten(params, x, y, lr):
        params = returning(params, x, y, lr)

    report = compare(from_step(forgotten))
    assert report.verdict is Verdict.DISAGREES
    assert all(not c.actual.any() for c in report.comparisons if c.path.startswith("params"))


def test_a_rate_divided_by_the_batch_again_is_a_factor():
    def averaged_twice(params, x, y, lr):
        return returning(params, x, y, lr / len(x))

    report = compare(from_step(averaged_twice))
    assert report.verdict is Verdict.DISAGREES
    scale = next(c for c in report.comparisons if c.verdict is Verdict.DISAGREES).scale
    assert scale == pytest.approx(1 / report.counterexample.batch, rel=1e-6)


def single(params, x, y, lr):
    """A step that computes and stores float32."""
    small = tree.restore(params, [leaf.astype(np.float32) for _, leaf in tree.leaves(params)])
    return returning(small, x.astype(np.float32), y.astype(np.float32), np.float32(lr))


@pytest.mark.parametrize("seed", some(range(4), default=lambda seed: seed == 0))
def test_a_float32_step_is_judged_with_the_digits_that_float32_leaves(seed):
    report = compare(from_step(single), seed=seed)
    assert report.verdict is Verdict.AGREES, report
    wrong = compare(from_step(lambda params, x, y, lr: single(params, x, y, 1.01 * lr)), seed=seed)
    assert wrong.verdict is Verdict.DISAGREES


def test_the_digits_that_a_small_rate_loses_widen_the_bound():
    case = case_from_seed(ARCHITECTURE, 3, 0)
    right = gradient_of(case.params, case.x, case.y)
    for lr in (1.0, 1e-6, 1e-12):
        answer = from_step(lambda params, x, y, lr=lr: returning(params, x, y, lr), lr=lr).answer(
            *case.mutable()
        )
        for (_, found), (_, error), (_, exact) in zip(
            tree.leaves(answer.gradient), tree.leaves(answer.error), tree.leaves(right), strict=True
        ):
            assert (abs(found - exact) <= error + 1e-15 * abs(exact)).all()
            assert (error <= 10 * 2.0**-53 * 10 / lr).all()
    # so small a rate says nothing about the gradient, and that is what the report says
    assert (
        compare(from_step(lambda p, x, y: returning(p, x, y, 1e-14), lr=1e-14)).verdict
        is Verdict.INCONCLUSIVE
    )


@pytest.mark.parametrize(
    ("step", "path"),
    [
        (lambda params, x, y, lr: params[:1], "params[1]"),
        (lambda params, x, y, lr: [{"weight": layer["weight"]} for layer in params], "['bias']"),
        (
            lambda params, x, y, lr: [{n: v.T[None] for n, v in layer.items()} for layer in params],
            "['weight']",
        ),
    ],
    ids=["a layer missing", "biases missing", "other shapes"],
)
def test_new_parameters_of_another_form_are_a_wrong_structure(step, path):
    report = compare(from_step(step))
    assert report.verdict is Verdict.WRONG_STRUCTURE
    assert path in str(report)


def test_a_step_that_returns_its_loss_and_updates_in_place_is_explained():
    def step(params, x, y, lr):
        in_place(params, x, y, lr)
        return loss_of(params, x, y)

    with pytest.raises(bpcheck.InputError, match=r"return the new parameters, or None") as caught:
        compare(from_step(step))
    assert "loss=" in str(caught.value)


def test_further_arguments_of_a_step_are_handed_on_as_they_are():
    seen = []

    def step(w, data, name, lr):
        seen.append((type(data), name))
        return w - lr * w

    subject = from_step(step, loss=lambda w, data, name: 0.5 * float(np.sum(w**2)))
    data = {"x": np.ones(2)}
    report = bpcheck.check_gradient(subject, np.array([0.5, -2.0]), data, "run 1", seed=0)
    assert report.verdict is Verdict.AGREES, report
    assert set(seen) == {(dict, "run 1")}
    assert data["x"].tolist() == [1.0, 1.0]


def test_float_leaves_and_other_trees_can_be_stepped():
    subject = from_step(lambda p, lr: {"a": p["a"] - lr * 3.0, "b": (p["b"][0] - lr * np.ones(2),)})
    answer = subject.answer({"a": 1.0, "b": (np.zeros(2),)})
    assert answer.gradient["a"] == 3.0
    np.testing.assert_array_equal(answer.gradient["b"][0], np.ones(2))


@pytest.mark.parametrize("lr", [0, -0.1, float("inf"), float("nan"), "0.1", True])
def test_a_learning_rate_that_is_none_is_refused(lr):
    with pytest.raises(InputError, match="positive learning rate"):
        from_step(returning, lr=lr)


@pytest.mark.parametrize("options", [{"step": None}, {"step": returning, "loss": 0.5}])
def test_a_step_or_loss_that_cannot_be_called_is_refused(options):
    with pytest.raises(InputError, match="pass a function"):
        from_step(**options)


def test_steps_on_real_data_in_compare():
    case = case_from_seed(ARCHITECTURE, 4, 3)
    report = bpcheck.compare(
        from_step(in_place, loss=loss_of), cases=Case(ARCHITECTURE, *case.mutable()), seed=0
    )
    assert report.verdict is Verdict.AGREES


def test_a_module_of_torch_is_sent_to_from_torch():
    class Net:
        def named_parameters(self):
            return []

        def __call__(self, x):
            return x

    with pytest.raises(bpcheck.InputError, match=r"Net is a PyTorch module.*from_torch\(module, loss\)"):
        compare(Net())
