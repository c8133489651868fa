"""What is no formula: one entry, one example, rounding, chance, the loss's logarithm, inputs of one kind only."""

import itertools

import numpy as np
import pytest
from choosing import product, some

import bpcheck
from bpcheck import Case, Verdict, mlp
from bpcheck.diagnosis import CATALOGUE, Observation
from bpcheck.diagnosis.cost import logarithm, loss_with
from bpcheck.diagnosis.pattern import pattern
from bpcheck.network.dense_chain import dense_chain
from bpcheck.reference import build
from bpcheck.search.cases.sample import GENERIC, random_case
from bpcheck.tree import Path, leaves

DEEP = mlp([3, 5, 4, 2])


def right_code(params, x, y, architecture):
    network = build(architecture)
    return network.loss(params, x, y), network.gradient(params, x, y)


def named(change, architectures=DEEP, seed=0):
    """What is said of right code whose gradient is changed afterwards."""

    def backprop(params, x, y, architecture):
        loss, gradient = right_code(params, x, y, architecture)
        return loss, change([{k: np.array(v) for k, v in layer.items()} for layer in gradient], x, y)

    report = bpcheck.compare(
        backprop, architectures=architectures, conventions=bpcheck.Conventions(), seed=seed
    )
    return report, [d.bug for d in report.diagnoses]


def drawn(architecture, count=3, seed=0, batch=4):
    rng = np.random.default_rng(seed)
    return [random_case(rng, architecture, GENERIC, batch=batch) for _ in range(count)]


# --- one entry ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "mistake"),
    some(
        itertools.product(
            [(0, "weight", "BP4"), (1, "bias", "BP3"), (2, "weight", "BP4")],
            [(lambda v: 1.01 * v, "one-entry-wrong"), (lambda v: 0.0, "never-written-entry")],
        ),
        default=lambda place, mistake: (place[0], mistake[1]) == (1, "never-written-entry"),
    ),
)
def test_one_entry_is_named_in_the_equation_of_its_tensor(place, mistake):
    (layer, name, equation), (value, slug) = place, mistake

    def change(gradient, x, y):
        gradient[layer][name].flat[1] = value(gradient[layer][name].flat[1])
        return gradient

    report, bugs = named(change)
    assert bugs == [slug], str(report)
    assert report.diagnoses[0].equation == equation


def test_two_wrong_entries_are_not_called_one():
    def change(gradient, x, y):
        gradient[0]["weight"].flat[:2] *= 1.01
        return gradient

    assert named(change)[1] == [""]


@pytest.mark.parametrize(("value", "slug"), [(np.nan, "nan-entry"), (-np.inf, "inf-entry")])
def test_one_entry_that_is_no_number_is_named(value, slug):
    def change(gradient, x, y):
        gradient[1]["weight"][0, 0] = value
        return gradient

    report, bugs = named(change)
    assert report.verdict is Verdict.NONFINITE
    assert bugs == [slug]


def test_a_tensor_of_nan_is_not_one_entry():
    def change(gradient, x, y):
        gradient[1]["weight"][...] = np.nan
        return gradient

    assert named(change)[1] == [""]


# --- shapes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "slug"),
    [
        (lambda w: {**w, "bias": w["bias"][:, None]}, "wrong-shape-broadcasts"),
        (lambda w: {**w, "bias": w["bias"][None, :]}, "wrong-shape-broadcasts"),
        (lambda w: {**w, "bias": w["bias"].sum()}, "wrong-shape-broadcasts"),
        (lambda w: {**w, "weight": w["weight"].T}, "outer-transposed"),
        (lambda w: {**w, "weight": w["weight"][:, 1:]}, ""),
    ],
)
def test_wrong_shapes_are_named_where_numpy_would_not_complain(change, slug):
    report, bugs = named(lambda gradient, x, y: [change(layer) for layer in gradient])
    assert report.verdict is Verdict.WRONG_STRUCTURE
    assert bugs == [slug], str(report)


# --- one example -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", some([-1.0, 1.0, 0.3], default=lambda factor: factor == -1.0))
def test_an_example_that_is_dropped_or_counted_twice_is_named(factor):
    def backprop(params, x, y, architecture):
        loss, gradient = right_code(params, x, y, architecture)
        if len(x) > 1:
            _, own = right_code(params, x[-1:], y[-1:], architecture)
            for layer, part in zip(gradient, own, strict=True):
                for name in layer:
                    layer[name] = layer[name] + factor * part[name] / len(x)
        return loss, gradient

    report = bpcheck.compare(backprop, architectures=DEEP, conventions=bpcheck.Conventions(), seed=0)
    assert [d.bug for d in report.diagnoses] == ["one-example-wrong"], str(report)


def test_two_wrong_examples_are_not_called_one():
    seen = []
    for case in drawn(DEEP):
        right = dict(leaves(build(DEEP).gradient(case.params, case.x, case.y)))
        own = [
            dict(leaves(build(DEEP).gradient(case.params, case.x[i : i + 1], case.y[i : i + 1])))
            for i in (0, 2)
        ]
        seen.append(Observation(case, {p: v + own[0][p] + own[1][p] for p, v in right.items()}, right))
    assert pattern(seen) is None
    one = [
        Observation(o.case, {p: o.right[p] + v for p, v in first.items()}, o.right)
        for o, first in [
            (o, dict(leaves(build(DEEP).gradient(o.case.params, o.case.x[:1], o.case.y[:1])))) for o in seen
        ]
    ]
    assert pattern(one)[0] == "one-example-wrong"


# --- rounding on the way, chance, inputs of one kind --------------------------------------------------------


@pytest.mark.parametrize("kind", some(["float32", "float16"], default=lambda kind: kind == "float32"))
def test_a_gradient_that_was_stored_in_a_shorter_format_is_named(kind):
    cast = lambda layer: {k: v.astype(kind).astype(float) for k, v in layer.items()}  # noqa: E731
    assert named(lambda gradient, x, y: [cast(layer) for layer in gradient])[1] == [f"cast-to-{kind}"]


@pytest.mark.parametrize("kind", some(["float32", "float16"], default=lambda kind: kind == "float16"))
def test_a_gradient_that_was_stored_in_a_shorter_format_is_named_for_one_example_at_a_time(kind):
    def backprop(params, x, y):
        biases, weights = params
        a = [x]
        for w, b in zip(weights, biases, strict=True):
            a.append(np.tanh(w @ a[-1] + b))
        delta = (a[-1] - y) * (1 - a[-1] ** 2)
        nabla_b, nabla_w = [], []
        for k in range(len(weights) - 1, -1, -1):
            nabla_b.insert(0, delta.astype(kind).astype(float))
            nabla_w.insert(0, np.outer(delta, a[k]).astype(kind).astype(float))
            delta = (weights[k].T @ delta) * (1 - a[k] ** 2)
        return 0.5 * np.sum((a[-1] - y) ** 2), (nabla_b, nabla_w)

    conventions = bpcheck.Conventions(batch="one", params="([b], [W])")
    report = bpcheck.compare(backprop, conventions=conventions, seed=0)
    assert [d.bug for d in report.diagnoses] == [f"cast-to-{kind}"], str(report)


def test_two_answers_to_one_question_are_called_that():
    rng = np.random.default_rng(0)
    report, bugs = named(
        lambda g, x, y: [{k: v * rng.uniform(0.5, 1.5, v.shape) for k, v in w.items()} for w in g]
    )
    assert bugs == ["nondeterministic"], str(report)


@pytest.mark.parametrize(
    ("wrong", "slug"),
    some(
        [
            (lambda x, g: len(x) > 1, "right-only-for-batch-1"),
            (lambda x, g: len(g) > 1, "right-only-for-depth-1"),
            (
                lambda x, g: len({*x.shape[1:], *(len(w["bias"]) for w in g)}) == 1,
                "wrong-only-for-equal-widths",
            ),
        ],
        default=lambda wrong, slug: slug == "right-only-for-batch-1",
    ),
)
def test_a_mistake_of_one_kind_of_input_is_swept_for(wrong, slug):
    def change(gradient, x, y):
        return [{**w, "weight": np.sin(w["weight"])} if wrong(x, gradient) else w for w in gradient]

    report, bugs = named(change, architectures=None)
    assert bugs == [slug], str(report)


@pytest.mark.parametrize(
    "wrong",
    some([lambda x, g: len(x) > 2, lambda x, g: len(g) > 2], default=lambda wrong: wrong(np.zeros(3), [])),
    ids=["batch", "depth"],
)
def test_what_is_right_for_two_as_well_is_not_called_right_for_one_only(wrong):
    def change(gradient, x, y):
        return [{**w, "weight": np.sin(w["weight"])} if wrong(x, gradient) else w for w in gradient]

    report, bugs = named(change, architectures=None)
    assert bugs == [""], str(report)


@pytest.mark.full
def test_a_layer_that_a_network_without_hidden_layers_has_not_is_not_blamed_on_depth():
    def change(gradient, x, y):
        return [{**w, "weight": -w["weight"]} if k == 1 else w for k, w in enumerate(gradient)]

    report, bugs = named(change, architectures=None)
    assert bugs == [""], str(report)


@pytest.mark.full
def test_a_forward_pass_that_is_wrong_for_large_values_is_not_blamed_on_depth():
    def clipped(params, x, y):
        a = [x]
        for layer in params[:-1]:
            a.append(np.tanh(np.clip(a[-1] @ layer["weight"].T + layer["bias"], -8, 8)))
        delta = (a[-1] @ params[-1]["weight"].T + params[-1]["bias"] - y) / len(x)
        loss, gradient = 0.5 * np.sum(delta**2) * len(x), []
        for k in reversed(range(len(params))):
            gradient.insert(0, {"weight": delta.T @ a[k], "bias": delta.sum(axis=0)})
            delta = (delta @ params[k]["weight"]) * (1 - a[k] ** 2)
        return loss, gradient

    report = bpcheck.compare(clipped, conventions=bpcheck.Conventions(), seed=0)
    assert report.verdict is bpcheck.Verdict.DISAGREES
    assert [d.bug for d in report.diagnoses] == [""], str(report)


def test_a_mistake_of_all_inputs_is_left_unnamed():
    report, bugs = named(lambda gradient, x, y: [{k: np.sin(v) for k, v in w.items()} for w in gradient])
    assert bugs == [""]
    assert any("no wrong formula of the catalogue" in text for text in report.diagnoses[0].evidence)


@pytest.mark.full
def test_a_gradient_in_the_parameters_memory_is_more_than_an_argument_changed():
    names = {}
    for slug in ("gradient-aliases-parameter", "input-mutated"):
        report = bpcheck.compare(
            CATALOGUE[slug].program(), architectures=DEEP, conventions=bpcheck.Conventions(), seed=0
        )
        names[slug] = [d.bug for d in report.diagnoses]
    assert names == {slug: [slug] for slug in names}


@pytest.mark.parametrize("slug", ["accumulated", "nondeterministic"])
def test_what_shows_at_the_second_call_is_named(slug):
    kept = {"calls": 0, "total": {}}

    def backprop(params, x, y, architecture):
        loss, gradient = right_code(params, x, y, architecture)
        kept["calls"] += 1
        if slug == "accumulated":
            key = (dense_chain(architecture).widths, len(x))
            for path, leaf in leaves(gradient):
                kept["total"][key, path] = kept["total"].get((key, path), 0.0) + leaf
            return loss, [
                {name: kept["total"][key, Path("params").item(k).item(name)] for name in layer}
                for k, layer in enumerate(gradient)
            ]
        factor = 1.0 if kept["calls"] == 1 else 1.0 + kept["calls"] % 3
        return loss, [{name: factor * value for name, value in layer.items()} for layer in gradient]

    report = bpcheck.compare(backprop, architectures=DEEP, conventions=bpcheck.Conventions(), seed=0)
    assert [d.bug for d in report.diagnoses] == [slug], str(report)


# --- the loss's logarithm ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "epsilon"), product(["cross_entropy", "binary_cross_entropy"], [1e-3, 1e-8, 1e-12])
)
def test_an_epsilon_inside_the_logarithm_is_found_with_its_size(loss, epsilon):
    def backprop(params, x, y, architecture):
        case = Case(architecture, params, x, y)
        found = loss_with(lambda p, e: np.log(p + epsilon), 0.0, case)
        return found[0], build(architecture).gradient(params, x, y)

    report = bpcheck.compare(
        backprop, architectures=mlp([3, 4, 2], loss=loss), conventions=bpcheck.Conventions(), seed=0
    )
    assert [d.bug for d in report.diagnoses] == ["epsilon-in-log"], str(report)
    assert any(f"ε = {epsilon:.3g}" in text for text in report.diagnoses[0].evidence)


def test_a_loss_that_is_wrong_otherwise_is_not_called_an_epsilon():
    cases = drawn(mlp([3, 4, 2], loss="cross_entropy"))
    for spoil in (lambda v: 1.001 * v, lambda v: v + 1e-6, lambda v: 2.0 * v):
        seen = []
        for case in cases:
            right = float(build(case.architecture).loss(case.params, case.x, case.y))
            seen.append((case, spoil(right), right))
        assert logarithm(seen) is None
