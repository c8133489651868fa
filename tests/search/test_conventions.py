"""Conventions are not bugs, and no bug hides behind one: every preset right and wrong, pinned and inferred."""

import dataclasses

import numpy as np
import pytest
from choosing import each, product, some
from layouts import BUGS, PRESETS, nielsen, one_hot, sigmoid

import bpcheck
from bpcheck import Conventions, Verdict, mlp, tree
from bpcheck.conventions.convert import params_into, tensors_back, tensors_into
from bpcheck.conventions.nesting import NESTINGS, WEIGHTS_ALONE
from bpcheck.conventions.sayable import sayable
from bpcheck.reference import build
from bpcheck.search.dialect.candidates import known_layouts
from bpcheck.strategies.values import case_from_seed

PINNED = {
    **{name: Conventions.preset(name) for name in PRESETS},
    "torch": Conventions.preset("torch").but(targets="index"),
}
ONE_PRESET_EACH = {
    "output derivative": "nielsen", "hidden derivative": "torch", "square transposed": "keras", "factor": "cs231n",
    "batch": "keras", "bias not summed": "cs231n", "penalty": "sklearn",
}  # fmt: skip
EVERY_BUG = [(name, bug) for name, bugs in BUGS.items() for bug in bugs]


# Inferring costs as much as ten comparisons: two presets here, all of them in full.
INFERRED_HERE = ("nielsen", "cs231n")


@pytest.mark.parametrize(
    ("name", "pinned"),
    [
        pytest.param(name, pinned, marks=() if pinned is (name not in INFERRED_HERE) else pytest.mark.full)
        for name in PRESETS
        for pinned in (True, False)
    ],
)
def test_a_right_backprop_agrees_in_every_preset(name, pinned):
    report = bpcheck.compare(
        PRESETS[name](), conventions=PINNED[name] if pinned else "infer", seed=0, examples=12
    )
    assert report.verdict is Verdict.AGREES, report
    assert (PINNED[name].words in report.inferred) is not pinned, report.inferred


@pytest.mark.parametrize(
    ("name", "bug", "pinned"),
    some(
        [(name, bug, pinned) for name, bug in EVERY_BUG for pinned in (True, False)],
        # each preset, each bug, and one that has to be told apart from a layout
        default=lambda name, bug, pinned: (
            (pinned and ONE_PRESET_EACH[bug] == name and bug in ("square transposed", "penalty"))
            or (name, bug, pinned) == ("nielsen", "factor", False)
        ),
    ),
)
def test_a_planted_bug_is_caught_in_every_preset(name, bug, pinned):
    report = bpcheck.compare(
        PRESETS[name](bug), conventions=PINNED[name] if pinned else "infer", seed=0, examples=30
    )
    assert report.verdict in (Verdict.DISAGREES, Verdict.WRONG_STRUCTURE), report


def test_a_preset_may_be_given_by_name_and_a_wrong_one_never_agrees():
    assert bpcheck.compare(PRESETS["keras"](), conventions="keras", seed=0, examples=10).ok
    assert not bpcheck.compare(PRESETS["keras"](), conventions="torch", seed=0, examples=10).ok
    network = mlp([4, 5, 3], activation="relu", loss="cross_entropy")
    with pytest.raises(bpcheck.SubjectError):
        bpcheck.compare(PRESETS["keras"](), conventions="torch", architectures=network, seed=0, examples=10)


# --- carrying there and back -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "conventions", each(known_layouts()[::7], of=lambda c: dataclasses.asdict(c).items()), ids=repr
)
def test_parameters_come_back_exactly(conventions):
    case = sayable(conventions, case_from_seed(mlp([2, 3, 4]), 2, 1))
    back = tensors_back(conventions, tensors_into(conventions, case.params))
    for (path, was), (_, now) in zip(tree.leaves(case.params), tree.leaves(back), strict=True):
        np.testing.assert_array_equal(was, now, err_msg=str(path))


def generic(conventions, network, bug=""):
    """A backprop in any conventions whatever, by way of the reference: what is tested is the way there and back."""
    per_example, axis = conventions.per_example, -1 if conventions.batch == "last" else 0

    def backprop(*arguments):
        *params, x, y = arguments
        params = params if conventions.spread else params[0]
        slots = tensors_into(conventions, case_from_seed(network, 2, 0).params)
        plan = params_into(conventions, case_from_seed(network, 2, 0).params)
        leaves = [leaf for _, leaf in tree.leaves(params)]
        order = name_by_name(conventions, slots, plan)
        ours = tensors_back(conventions, dict(zip(order, leaves, strict=True)))
        rows = np.reshape(x, (1, -1)) if per_example else np.moveaxis(x, axis, 0)
        if conventions.targets == "index":
            targets = np.eye(network.outputs)[np.atleast_1d(y)]
        else:
            targets = np.reshape(y, (1, -1)) if per_example else np.moveaxis(y, axis, 0)
        reference = build(network)
        gradient = reference.gradient(ours, rows, targets)
        if bug:
            gradient[0]["weight"] *= 1.001
        return reference.loss(ours, rows, targets), params_into(conventions, gradient)

    return backprop


def name_by_name(conventions, slots, plan):
    """Which slot each leaf is, found by the shape alone: all shapes differ."""
    shapes = {array.shape: slot for slot, array in slots.items()}
    return [shapes[np.shape(leaf)] for _, leaf in tree.leaves(plan)]


WAYS = [
    c
    for c in known_layouts()
    if c.params in ("([b], [W])", "{W1, b1, W2, b2}", "[(b, W)]", "[W1, W2]")
    and c.names is None
    and not c.spread
][::5]  # a fifth: every choice of every field is still among them


@pytest.mark.parametrize("conventions", each(WAYS, of=lambda c: [c.batch]), ids=repr)
def test_any_pinned_convention_carries_a_right_gradient_and_not_a_wrong_one(conventions):
    network = mlp([3, 4, 2], loss="cross_entropy")
    options = {"conventions": conventions, "architectures": network, "examples": 2, "seed": 0}
    assert bpcheck.compare(generic(conventions, network), **options).ok
    report = bpcheck.compare(generic(conventions, network, "wrong"), **options)
    assert report.verdict is Verdict.DISAGREES, report


@pytest.mark.parametrize("nesting", ["vector W1 b1 W2 b2", "vector W1 W2 b1 b2"])
def test_a_flat_vector_of_parameters(nesting):
    network = mlp([3, 4, 2])

    def backprop(theta, x, y, wrong=1.0):
        shapes = [(4, 3), (4,), (2, 4), (2,)]
        order = [0, 1, 2, 3] if nesting == "vector W1 b1 W2 b2" else [0, 2, 1, 3]
        parts, start = [None] * 4, 0
        for index in order:
            size = int(np.prod(shapes[index]))
            parts[index], start = theta[start : start + size].reshape(shapes[index]), start + size
        W1, b1, W2, b2 = parts
        a = np.tanh(x @ W1.T + b1)
        r = (a @ W2.T + b2 - y) / len(x)
        d = (r @ W2) * (1 - a**2)
        gradient = [d.T @ x, d.sum(0), wrong * r.T @ a, r.sum(0)]
        return 0.5 * np.sum(r**2) * len(x), np.concatenate([gradient[index].ravel() for index in order])

    options = {"conventions": Conventions(params=nesting), "architectures": network, "examples": 5, "seed": 0}
    assert bpcheck.compare(backprop, **options).ok
    wrong = bpcheck.compare(lambda theta, x, y: backprop(theta, x, y, 2.0), **options)
    assert wrong.verdict is Verdict.DISAGREES


# --- inference -------------------------------------------------------------------------------------


@pytest.mark.full
def test_weights_and_biases_as_arguments_of_their_own():
    core = nielsen()
    report = bpcheck.compare(lambda biases, weights, x, y: core((biases, weights), x, y), seed=0, examples=10)
    assert report.ok, report
    assert "each part an argument of its own" in report.inferred


@pytest.mark.parametrize(
    "arrange",
    some(
        [
            lambda dw, db: [{"dW": w, "db": b} for w, b in zip(dw, db, strict=True)],
            lambda dw, db: [(w, b) for w, b in zip(dw, db, strict=True)],
            lambda dw, db: (dw, db),
            lambda dw, db: (db, dw),
        ],
        default=lambda arrange: arrange([1], [2]) in ([{"dW": 1, "db": 2}], ([2], [1])),
    ),
)
def test_only_the_nesting_of_the_gradient_is_another(arrange):
    def backprop(params, x, y):
        a = [x]
        for layer in params[:-1]:
            a.append(np.tanh(a[-1] @ layer["W"].T + layer["b"]))
        delta = (a[-1] @ params[-1]["W"].T + params[-1]["b"] - y) / len(x)
        loss, dw, db = 0.5 * np.sum(delta**2) * len(x), [], []
        for k in range(len(params) - 1, -1, -1):
            dw.insert(0, delta.T @ a[k])
            db.insert(0, delta.sum(axis=0))
            delta = (delta @ params[k]["W"]) * (1 - a[k] ** 2)
        return loss, arrange(dw, db)

    report = bpcheck.compare(backprop, seed=0, examples=10)
    assert report.ok, report
    assert "(inferred: " in report.inferred


def columns(params, x, y, bug=None, mean=True):
    """Batches as columns, biases (n, 1), tanh, ½‖·‖²."""
    a = [x]
    for k, (w, b) in enumerate(params):
        z = w @ a[-1] + b
        a.append(z if k == len(params) - 1 else np.tanh(z))
    m = x.shape[1] if mean else 1
    delta, gradient = (a[-1] - y) / m, []
    loss = 0.5 * np.sum((a[-1] - y) ** 2) / m
    for k in range(len(params) - 1, -1, -1):
        db = delta if bug == "not summed" else delta.sum(axis=1, keepdims=True)
        gradient.insert(0, (delta @ a[k].T, db))
        delta = (params[k][0].T @ delta) * (1 - a[k] ** 2)
    return loss, gradient


def test_batches_as_columns_are_inferred():
    report = bpcheck.compare(columns, seed=0, examples=10)
    assert report.ok, report
    assert "examples as columns" in report.inferred


def test_a_function_that_counts_its_batch_is_not_excused_one_example_at_a_time():
    report = bpcheck.compare(lambda p, x, y: columns(p, x, y, "not summed"), seed=0, examples=10)
    assert report.verdict is Verdict.WRONG_STRUCTURE, report


def test_a_sum_over_columns_that_may_be_meant_for_one_example_says_so():
    report = bpcheck.compare(lambda p, x, y: columns(p, x, y, "not summed", mean=False), seed=0, examples=10)
    assert report.ok
    assert any(
        "one example at a time" in warning and "that is a bug" in warning for warning in report.warnings
    )


def test_rows_that_are_not_summed_are_never_taken_for_single_examples():
    def backprop(params, x, y):
        r = x @ params[0]["weight"].T + params[0]["bias"] - y
        return 0.5 * np.sum(r**2), [{"weight": r.T @ x, "bias": r}]

    for reduction in (
        "sum",
        "mean",
    ):  # the second is not what it computes: its loss speaks for single examples
        report = bpcheck.compare(
            backprop, architectures=mlp([3, 2], reduction=reduction), seed=0, examples=10
        )
        assert report.verdict is Verdict.WRONG_STRUCTURE
        assert any("If one at a time is meant, say" in warning for warning in report.warnings)
    assert bpcheck.compare(
        backprop, seed=0, examples=10, conventions=Conventions(batch="one row", bias="row")
    ).ok


def logistic(params, x, y, bug=None):
    """One output, targets −1 and 1, ln(1 + exp(−y z)), as in the books on support vectors."""
    a = [x]
    for layer in params[:-1]:
        a.append(np.tanh(a[-1] @ layer["weight"].T + layer["bias"]))
    z = a[-1] @ params[-1]["weight"].T + params[-1]["bias"]
    assert set(np.unique(y)) <= {-1.0, 1.0}
    loss = np.sum(np.logaddexp(0, -y * z)) / len(x)
    delta, gradient = -y * sigmoid(-y * z) / len(x) * (2 if bug else 1), []
    for k in range(len(params) - 1, -1, -1):
        gradient.insert(0, {"weight": delta.T @ a[k], "bias": delta.sum(axis=0)})
        delta = (delta @ params[k]["weight"]) * (1 - a[k] ** 2)
    return loss, gradient


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "inferred"])
def test_targets_of_minus_one_and_one(pinned):
    options = {"conventions": Conventions(targets="±1")} if pinned else {}
    if not pinned:  # whose loss shows what y it takes, without an assertion in the way
        report = bpcheck.compare(plain_logistic, seed=0, examples=10)
        assert report.ok, report
        assert "−1 and 1" in report.inferred
        return
    network = mlp([3, 4, 1], loss="binary_cross_entropy")
    assert bpcheck.compare(logistic, architectures=network, seed=0, examples=10, **options).ok
    wrong = bpcheck.compare(
        lambda p, x, y: logistic(p, x, y, "bug"), architectures=network, seed=0, examples=10, **options
    )
    assert wrong.verdict is Verdict.DISAGREES


def plain_logistic(params, x, y):
    a = [x]
    for layer in params[:-1]:
        a.append(np.tanh(a[-1] @ layer["weight"].T + layer["bias"]))
    z = a[-1] @ params[-1]["weight"].T + params[-1]["bias"]
    loss = np.sum(np.logaddexp(0, -y * z)) / len(x)
    delta, gradient = -y * sigmoid(-y * z) / len(x), []
    for k in range(len(params) - 1, -1, -1):
        gradient.insert(0, {"weight": delta.T @ a[k], "bias": delta.sum(axis=0)})
        delta = (delta @ params[k]["weight"]) * (1 - a[k] ** 2)
    return loss, gradient


@pytest.mark.full
def test_square_weights_are_read_by_the_forward_value():
    """All widths equal: both orientations fit, only the numbers tell."""
    network = mlp([3, 3, 3], activation="relu", loss="cross_entropy")
    case = case_from_seed(network, 4, 5)
    report = bpcheck.compare(PRESETS["keras"](), cases=case, seed=0)
    assert report.ok, report
    assert "weights (in, out)" in report.inferred
    wrong = bpcheck.compare(PRESETS["keras"]("square transposed"), cases=case, seed=0)
    assert wrong.verdict is Verdict.DISAGREES


def test_what_cannot_be_told_is_asked_in_one_line():
    """No loss and a gradient that is wrong in both readings: nothing tells the orientation of square weights."""

    def gradient(params, x, y):
        (W1, b1), (W2, b2) = params
        return [(W1 * 7.0, b1), (W2 * 7.0, b2)]

    subject = bpcheck.Subject("mine", lambda params, x, y: bpcheck.Answer(None, gradient(params, x, y)))
    report = bpcheck.compare(subject, architectures=mlp([3, 3, 3]), seed=0, examples=5)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "Which is it: conventions=bpcheck.Conventions(" in report.summary
    assert len(report.summary.splitlines()) == 1


@pytest.mark.full
def test_the_default_layout_costs_no_call_more():
    def count(**options):
        return bpcheck.compare(in_our_layout, seed=0, examples=10, **options).evaluations

    assert count() == count(conventions=Conventions())


def in_our_layout(params, x, y):
    loss, gradient = PRESETS["keras"]()([v for p in params for v in (p["weight"].T, p["bias"])], x, y)
    return loss, [{"weight": w.T, "bias": b} for w, b in zip(gradient[0::2], gradient[1::2], strict=True)]


# --- reduction, factor, penalty --------------------------------------------------------------------


def scaled(loss_factor, gradient_factor):
    def backprop(params, x, y):
        loss, gradient = in_our_layout(params, x, y)
        m = len(x)
        return loss_factor(m) * loss, [
            {n: gradient_factor(m) * g for n, g in layer.items()} for layer in gradient
        ]

    return backprop


def test_a_shared_factor_agrees_with_a_warning_unless_it_is_pinned():
    double = scaled(lambda m: 2.0, lambda m: 2.0)
    report = bpcheck.compare(double, seed=0, examples=10)
    assert report.ok
    assert any("2 × cross_entropy" in warning for warning in report.warnings)
    assert bpcheck.compare(double, seed=0, examples=10, conventions=Conventions(factor=2)).ok
    for pinned in (Conventions(factor=1), Conventions(reduction="mean")):
        assert bpcheck.compare(double, seed=0, examples=10, conventions=pinned).verdict is Verdict.DISAGREES


@pytest.mark.full
def test_a_pinned_reduction_is_held_to():
    total = scaled(lambda m: m, lambda m: m)
    assert bpcheck.compare(total, seed=0, examples=10).ok
    assert bpcheck.compare(total, seed=0, examples=10, conventions=Conventions(reduction="sum")).ok
    report = bpcheck.compare(total, seed=0, examples=10, conventions=Conventions(reduction="mean"))
    assert report.verdict is Verdict.DISAGREES


@pytest.mark.parametrize(
    ("factor", "conventions"),
    product(
        [lambda m: m, lambda m: 1 / m, lambda m: 2, lambda m: 0.5],
        ["infer", "torch", Conventions(reduction="sum"), Conventions(penalty="λ/2m")],
    ),
)
def test_a_factor_of_the_gradient_alone_is_never_a_convention(factor, conventions):
    wrong = scaled(lambda m: 1.0, factor)
    if conventions == "torch":
        ours = wrong

        def wrong(params, x, y):
            loss, gradient = ours(
                [{"weight": w, "bias": b} for w, b in zip(params[0::2], params[1::2], strict=True)], x, y
            )
            return loss, [layer[name] for layer in gradient for name in ("weight", "bias")]

    report = bpcheck.compare(wrong, seed=0, examples=10, conventions=conventions)
    assert report.verdict is Verdict.DISAGREES, report


def test_a_penalty_divided_by_the_batch_with_given_networks():
    network = mlp([4, 5, 3], activation="relu", loss="cross_entropy", l2=0.3)
    right = bpcheck.compare(
        PRESETS["sklearn"](), conventions="sklearn", architectures=network, seed=0, examples=10
    )
    assert right.ok, right
    for other in ({"alpha": 0.6}, {"bug": "penalty"}):
        wrong = bpcheck.compare(
            PRESETS["sklearn"](**other), conventions="sklearn", architectures=network, seed=0, examples=10
        )
        assert wrong.verdict is Verdict.DISAGREES
    assert wrong.counterexample.architecture.reduction == "mean"
    again = bpcheck.compare(PRESETS["sklearn"](**other), conventions="sklearn", cases=[wrong.counterexample])
    assert again.verdict is Verdict.DISAGREES


# --- what the report says --------------------------------------------------------------------------


def test_paths_and_entries_are_the_callers():
    def backprop(params, x, y):
        loss, grads = PRESETS["cs231n"]()(params, x, y)
        grads["W1"][0, 1] += 1.0
        return loss, grads

    network = mlp([4, 5, 3], activation="relu", loss="cross_entropy")
    report = bpcheck.compare(backprop, cases=case_from_seed(network, 6, 0), seed=0)
    wrong = [c for c in report.comparisons if not c.verdict.ok]
    assert [c.path for c in wrong] == ["params['W1']"]
    c = wrong[0]
    assert c.worst_index == (0, 1)
    assert c.actual[0, 1] - c.expected[0, 1] == pytest.approx(1.0)
    assert "params['W1'][0, 1] (W²)" in str(report)


def test_the_snippet_to_paste_says_the_conventions_and_runs():
    backprop = PRESETS["cs231n"]("bias not summed")
    report = bpcheck.compare(backprop, seed=0, examples=10)
    assert "conventions=bpcheck.Conventions(" in report.reproducer
    told = {}
    exec(report.reproducer.replace("print(", "report = ("), {"backprop": backprop, "report": None}, told)
    assert told["report"].verdict is Verdict.DISAGREES


@pytest.mark.parametrize("what", some(["params", "x", "y"], default=lambda what: what == "params"))
def test_a_changed_argument_is_seen_through_the_translation(what):
    def backprop(params, x, y):
        answer = PRESETS["keras"]()(params, x, y)
        {"params": params[0], "x": x, "y": y}[what][...] *= 0.5
        return answer

    report = bpcheck.compare(backprop, conventions="keras", seed=0, examples=10)
    assert report.verdict is Verdict.DISAGREES
    assert any(c.path.endswith("after the call") and not c.verdict.ok for c in report.comparisons)


def test_a_gradient_in_a_parameters_memory_is_noted():
    def backprop(params, x, y):
        loss, grads = PRESETS["keras"]()(params, x, y)
        params[0][...] = grads[0]
        return loss, [params[0], *grads[1:]]

    report = bpcheck.compare(backprop, conventions="keras", seed=0, examples=3)
    assert any("params[0] shares its memory" in warning for warning in report.warnings)


def test_a_wrong_shape_is_said_in_the_callers_words():
    def backprop(params, x, y):
        loss, grads = PRESETS["cs231n"]()(params, x, y)
        grads["b1"] = grads["b1"][None]
        return loss, grads

    report = bpcheck.compare(backprop, conventions="cs231n", seed=0, examples=3)
    assert report.verdict is Verdict.WRONG_STRUCTURE
    assert report.comparisons[0].path == "params['b1']"


# --- the value -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"weight": "out,in"}, "'out, in', 'in, out'"),
        ({"bias": "folded"}, "'folded first'"),
        ({"batch": "columns"}, "'last'"),
        ({"params": "list"}, "[{W, b}]"),
        ({"bias": "folded first"}, "[W1, W2]"),
        ({"params": "[W1, W2]"}, "which has no biases"),
        ({"names": ("W",), "params": "[{W, b}]"}, "two keys"),
        ({"names": ("W", "b"), "params": "{W1, b1, W2, b2}"}, "write {}"),
        ({"names": ("W", "b"), "params": "[(W, b)]"}, "has no keys"),
        ({"gradient_names": "d"}, "such as 'd{}'"),
        ({"number_from": -1}, "0 or 1"),
        ({"factor": 0}, "positive"),
        ({"factor": True}, "positive"),
        ({"penalize_bias": 1}, "penalize_bias is 1"),
        ({"spread": True}, None),
        ({"spread": True, "params": "{W1, b1, W2, b2}"}, "spread=True"),
    ],
    ids=repr,
)
def test_conventions_that_make_no_sense_are_refused_with_what_would(options, says):
    if says is None:
        assert "argument of its own" in Conventions(**options).words
        return
    with pytest.raises(bpcheck.InputError) as caught:
        Conventions(**options)
    assert says in str(caught.value)


def test_presets_are_listed_where_one_is_not_known():
    with pytest.raises(bpcheck.InputError, match="'nielsen', 'torch', 'keras', 'sklearn', 'cs231n'"):
        Conventions.preset("numpy")
    with pytest.raises(bpcheck.InputError, match="have no 'weights'"):
        Conventions().but(weights="in, out")


@pytest.mark.parametrize(
    "conventions", each(known_layouts()[::7], of=lambda c: dataclasses.asdict(c).items()), ids=repr
)
def test_the_text_of_conventions_builds_them_again(conventions):
    assert eval(repr(conventions)) == conventions
    assert (conventions.params in WEIGHTS_ALONE) is not conventions.has_biases
    assert conventions.params in NESTINGS


def test_index_targets_need_one_hot_rows():
    case = case_from_seed(mlp([3, 4, 2]), 3, 0)
    with pytest.raises(bpcheck.InputError, match="one-hot rows"):
        bpcheck.compare(PRESETS["cs231n"](), conventions="cs231n", cases=case)
    assert one_hot(np.array([1]), 2).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    ("count", "says"),
    some(
        [
            (lambda m: m, "reduction='sum'"),
            (lambda m: 2.0, "factor=2.0"),
            (lambda m: 0.5 * m, "reduction='sum', factor=0.5"),
            (lambda m: 1 / 3, "factor='1/outputs'"),
        ],
        default=lambda count, says: "1/outputs" in says or "sum', factor" in says,
    ),
)
def test_a_pinned_cost_that_is_counted_otherwise_disagrees_and_says_which_convention_it_is(count, says):
    network = mlp([4, 5, 3], activation="relu", loss="cross_entropy")
    report = bpcheck.compare(scaled(count, count), architectures=network, seed=0, examples=6)
    assert report.verdict is Verdict.DISAGREES
    assert any(f"say conventions=bpcheck.Conventions({says})" in warning for warning in report.warnings), (
        report
    )
    options = eval(f"dict({says})")
    accepted = bpcheck.compare(
        scaled(count, count), architectures=network, conventions=Conventions(**options), seed=0, examples=6
    )
    assert accepted.ok, accepted


@pytest.mark.parametrize(
    ("loss", "gradient"),
    some(
        [(lambda m: m, lambda m: 2 * m), (lambda m: 2, lambda m: 1), (lambda m: m, lambda m: 1)],
        default=lambda loss, gradient: loss(7) == 7 and gradient(7) == 14,
    ),
)
def test_a_count_that_loss_and_gradient_do_not_share_is_never_called_a_convention(loss, gradient):
    network = mlp([4, 5, 3], activation="relu", loss="cross_entropy")
    report = bpcheck.compare(scaled(loss, gradient), architectures=network, seed=0, examples=6)
    assert report.verdict is Verdict.DISAGREES
    assert not any("another convention" in warning for warning in report.warnings)


@pytest.mark.parametrize(("bug", "said"), [(None, True), ("penalty", False), ("hidden derivative", False)])
def test_a_penalty_that_is_divided_by_the_batch_is_called_a_convention_only_if_the_gradient_shares_it(
    bug, said
):
    network = mlp([4, 5, 3], activation="relu", loss="cross_entropy", l2=0.3)
    layout = Conventions.preset("sklearn").but(penalty=None)
    report = bpcheck.compare(
        PRESETS["sklearn"](bug), architectures=network, conventions=layout, seed=0, examples=6
    )
    assert report.verdict is Verdict.DISAGREES
    assert any("penalty='λ/2m'" in warning for warning in report.warnings) is said
