"""What nobody said: no biases, columns beside rows, penalties, another network for two outputs; and no bug hides."""

import numpy as np
import pytest
from choosing import some

import bpcheck
from bpcheck import Conventions, Verdict, mlp


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# --- no biases ---------------------------------------------------------------------------------------------------


def two_matrices(bug=""):
    def backprop(params, x, y):
        w1, w2 = params
        h = sigmoid(x @ w1)
        o = sigmoid(h @ w2)
        d = (o - y) * (1 if bug == "output derivative" else o * (1 - o))
        down = (d @ w2.T) * (1 if bug == "hidden derivative" else h * (1 - h))
        return 0.5 * np.sum((o - y) ** 2), [x.T @ down, (2 if bug == "factor" else 1) * h.T @ d]

    return backprop


def test_a_network_without_biases_is_compared_without_them():
    report = bpcheck.compare(two_matrices(), seed=0, examples=10)
    assert report.verdict is Verdict.AGREES, report
    assert "no biases" in report.inferred
    assert {c.path for c in report.comparisons} == {"loss", "params[0]", "params[1]"}


@pytest.mark.parametrize(
    ("bug", "named"),
    some(
        [
            ("output derivative", "output-derivative-missing"),
            ("hidden derivative", "hidden-derivative-missing"),
            ("factor", ""),
        ],
        default=lambda bug, named: bug == "hidden derivative",
    ),
)
def test_without_biases_a_bug_is_caught_and_named(bug, named):
    report = bpcheck.compare(two_matrices(bug), seed=0, examples=20)
    assert report.verdict is Verdict.DISAGREES, report
    assert not named or [d.bug for d in report.diagnoses] == [named]
    assert all(not layer["bias"].any() for layer in report.counterexample.params)


def test_biases_that_are_not_zero_cannot_be_said_where_there_are_none():
    case = bpcheck.Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [0.5]}], [[1.0]], [[0.0]])
    with pytest.raises(bpcheck.InputError, match="has no biases"):
        bpcheck.compare(two_matrices(), cases=case, conventions=Conventions(bias="none", params="[W1, W2]"))


# --- biases as columns beside rows of examples, a list of pairs, a step with weight decay λ/m ----------------------


def pairs(x, y):
    return [(a[:, None], b[:, None]) for a, b in zip(x, y, strict=True)]


def cost(biases, weights, batch, decay):
    total = 0.0
    for x, y in batch:
        for b, w in zip(biases, weights, strict=True):
            x = sigmoid(w @ x + b)
        total += np.sum(-y * np.log(x) - (1 - y) * np.log(1 - x)) / len(batch)
    return total + 0.5 * decay / len(batch) * sum(np.sum(w**2) for w in weights)


def update(biases, weights, batch, rate, decay, bug):
    sums_b, sums_w, m = [0 * b for b in biases], [0 * w for w in weights], len(batch)
    for x, y in batch:
        a = [x]
        for b, w in zip(biases, weights, strict=True):
            a.append(sigmoid(w @ a[-1] + b))
        d = a[-1] - y
        for k in reversed(range(len(weights))):
            sums_b[k] = d if bug == "last example" else sums_b[k] + d
            sums_b[k] = (
                sums_b[k] + 0 * d.sum(axis=0) if bug != "wrong axis" else d.sum(axis=0) + 0 * sums_b[k]
            )
            sums_w[k] += d @ a[k].T
            d = weights[k].T @ d * a[k] * (1 - a[k])
    decay = {"half": decay / 2, "whole": decay * m, "none": 0.0}.get(bug, decay)
    new_b = [b - rate / m * g for b, g in zip(biases, sums_b, strict=True)]
    return new_b, [w - rate * decay / m * w - rate / m * g for w, g in zip(weights, sums_w, strict=True)]


def list_of_pairs(bug=""):
    return bpcheck.from_step(
        lambda p, x, y, lr: update(*p, pairs(x, y), lr, 0.7, bug),
        loss=lambda p, x, y: cost(*p, pairs(x, y), 0.7),
    )


def test_a_list_of_column_pairs_with_a_divided_penalty_is_inferred():
    report = bpcheck.compare(list_of_pairs(), seed=0, examples=8)
    assert report.verdict is Verdict.AGREES, report
    said = " ".join(report.inferred.split())
    assert "biases (n, 1), examples as rows" in said
    assert "l2=0.7, divided by the batch size" in said


@pytest.mark.parametrize(
    "bug",
    [
        "wrong axis",
        *(pytest.param(b, marks=pytest.mark.full) for b in ("half", "last example", "whole", "none")),
    ],
)
def test_in_a_list_of_column_pairs_a_bug_is_caught(bug):
    report = bpcheck.compare(list_of_pairs(bug), seed=0, examples=20)
    assert not report.ok
    assert report.verdict is Verdict.DISAGREES, report


# --- penalties ---------------------------------------------------------------------------------------------------


def penalised(l1=0.0, l2=0.0, *, divided=False, biases=False, bug=""):
    """Tanh, half mean squared error, in bpcheck's own layout."""

    def backprop(params, x, y):
        a, m = [x], len(x)
        for k, p in enumerate(params):
            z = a[-1] @ p["weight"].T + p["bias"]
            a.append(z if k == len(params) - 1 else np.tanh(z))
        d, gradient = (a[-1] - y) / m, []
        by = m if divided else 1
        held = [p[n] for p in params for n in (("weight", "bias") if biases else ("weight",))]
        penalty = sum(l1 * np.sum(abs(w)) + 0.5 * l2 * np.sum(w**2) for w in held)
        for k in reversed(range(len(params))):
            own = {"weight": d.T @ a[k], "bias": d.sum(0)}
            for name in ("weight", "bias") if biases else ("weight",):
                w = params[k][name]
                slope = l1 * (1.0 if bug == "sign lost" else np.sign(w)) + l2 * w * (
                    2 if bug == "twice" else 1
                )
                own[name] = own[name] + slope / (by if bug != "not divided" else 1)
            gradient.insert(0, own)
            d = (d @ params[k]["weight"]) * (1 - a[k] ** 2)
        return 0.5 * np.sum((a[-1] - y) ** 2) / m + penalty / by, gradient

    return backprop


@pytest.mark.parametrize(
    ("options", "says"),
    some(
        [
            ({"l1": 0.05}, "l1=0.05"),
            ({"l1": 0.05, "l2": 0.3}, "l1=0.05, l2=0.3"),
            ({"l2": 0.123456}, "l2=0.123456"),
            ({"l1": 0.2, "biases": True}, "l1=0.2 on biases too"),
            ({"l2": 0.7, "divided": True}, "l2=0.7, divided by the batch size"),
            ({"l1": 0.1, "l2": 0.7, "divided": True}, "l1=0.1, l2=0.7, divided by the batch size"),
        ],
        default=lambda options, says: len(options) == 2 and says != "l2=0.123456",
    ),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_penalty_of_any_kind_is_inferred_from_the_loss(options, says):
    report = bpcheck.compare(penalised(**options), seed=0, examples=6)
    assert report.ok, report
    assert says in report.inferred


@pytest.mark.parametrize(
    ("options", "bug"),
    some(
        [
            ({"l1": 0.05}, "sign lost"),
            ({"l1": 0.05, "l2": 0.3}, "twice"),
            ({"l2": 0.7, "divided": True}, "twice"),
            ({"l2": 0.7, "divided": True}, "not divided"),
            ({"l1": 0.7, "divided": True}, "not divided"),
        ],
        default=lambda options, bug: (
            (options, bug) in (({"l1": 0.05}, "sign lost"), ({"l2": 0.7, "divided": True}, "not divided"))
        ),
    ),
)
def test_a_penalty_that_is_inferred_hides_no_bug(options, bug):
    report = bpcheck.compare(penalised(**options, bug=bug), seed=0, examples=6)
    assert report.verdict is Verdict.DISAGREES, report


# --- another network for two outputs -----------------------------------------------------------------------------


def classifier(bug="", logistic_at=2):
    """Softmax and cross-entropy, but logistic and binary cross-entropy for two outputs: both right."""

    def backprop(params, x, y):
        a = [x]
        for p in params[:-1]:
            a.append(np.tanh(a[-1] @ p["weight"].T + p["bias"]))
        z = a[-1] @ params[-1]["weight"].T + params[-1]["bias"]
        few = y.shape[1] == logistic_at
        if few:
            q = sigmoid(z)
            loss = -np.sum(y * np.log(q) + (1 - y) * np.log(1 - q)) / len(x)
        else:
            e = np.exp(z - z.max(1, keepdims=True))
            q = e / e.sum(1, keepdims=True)
            loss = -np.sum(y * np.log(q)) / len(x)
        d = (q - y) / len(x)
        if (few and bug == "in the few") or (not few and bug == "in the many"):
            d = d * q * (1 - q)
        gradient = []
        for k in reversed(range(len(params))):
            gradient.insert(0, {"weight": d.T @ a[k], "bias": d.sum(0)})
            d = (d @ params[k]["weight"]) * (1 - a[k] ** 2)
        return loss, gradient

    return backprop


@pytest.mark.parametrize(
    ("outputs", "says"),
    some(
        [(2, "two outputs than for more"), (4, "4 outputs than for 3")],
        default=lambda outputs, says: outputs == 2,
    ),
)
def test_the_loss_decides_that_it_is_another_network_for_some_numbers_of_outputs(outputs, says):
    report = bpcheck.compare(classifier(logistic_at=outputs), seed=0, examples=20)
    assert report.verdict is Verdict.AGREES, report
    assert f"another network for {says}" in report.inferred
    assert "binary_cross_entropy" in report.inferred


@pytest.mark.parametrize("bug", some(["in the few", "in the many"], default=lambda bug: bug == "in the few"))
def test_a_bug_for_two_outputs_or_for_more_is_caught_and_has_nothing_to_do_with_equal_widths(bug):
    report = bpcheck.compare(classifier(bug), seed=0, examples=30)
    assert report.verdict is Verdict.DISAGREES, report
    assert "wrong-only-for-equal-widths" not in str(report)
    assert (report.counterexample.architecture.outputs == 2) is (bug == "in the few")


@pytest.mark.full
def test_a_gradient_that_is_wrong_for_two_outputs_alone_is_not_blamed_on_equal_widths():
    core = classifier(logistic_at=0)

    def backprop(params, x, y):
        loss, gradient = core(params, x, y)
        if y.shape[1] == 2:
            gradient[0]["weight"] = gradient[0]["weight"] * 1.5
        return loss, gradient

    report = bpcheck.compare(backprop, seed=0, examples=30)
    assert report.verdict is Verdict.DISAGREES
    assert "wrong-only-for-equal-widths" not in str(report)
