"""Code in the manner of well-known courses, right and with slips of its own: inference hides nothing and asks nothing."""

import numpy as np
import pytest
from layouts import sigmoid

import bpcheck
from bpcheck import Conventions, Verdict, mlp

# --- columns, a mean over the batch, a penalty λ/2m: the deep-learning specialisation --------------------

RATE = 0.7
LAYOUT = Conventions(bias="column", batch="last", params="{W1, b1, W2, b2}", gradient_names="d{}")
NETWORK = mlp([4, 5, 3], activation="relu", output="sigmoid", loss="binary_cross_entropy", l2=RATE)


def in_columns(bug=""):
    def backprop(params, X, Y):
        depth, m, A = len(params) // 2, X.shape[1], [X]
        for k in range(1, depth + 1):
            Z = params[f"W{k}"] @ A[-1] + params[f"b{k}"]
            A.append(sigmoid(Z) if k == depth else np.maximum(Z, 0))
        cost = -np.sum(Y * np.log(A[-1]) + (1 - Y) * np.log(1 - A[-1])) / m
        cost += RATE / (2 * m) * sum(np.sum(params[f"W{k}"] ** 2) for k in range(1, depth + 1))
        dZ, grads = A[-1] - Y, {}
        for k in range(depth, 0, -1):
            grads[f"dW{k}"] = (
                dZ @ A[k - 1].T / m + {"penalty": 0, "whole": RATE}.get(bug, RATE / m) * params[f"W{k}"]
            )
            grads[f"db{k}"] = dZ / m if bug == "not summed" else dZ.sum(axis=1, keepdims=True) / m
            dZ = (params[f"W{k}"].T @ dZ) * (A[k - 1] > 0)
        return cost, grads

    return backprop


def test_columns_with_a_divided_penalty_agree():
    report = bpcheck.compare(in_columns(), seed=0, examples=10)
    assert report.ok, report
    assert "examples as columns" in report.inferred


@pytest.mark.parametrize("options", [{}, {"architectures": NETWORK}], ids=["inferred", "network given"])
def test_a_mean_with_a_divided_penalty_counts_the_batch_so_a_lost_sum_is_never_excused(options):
    report = bpcheck.compare(in_columns("not summed"), seed=0, examples=10, **options)
    assert report.verdict is Verdict.WRONG_STRUCTURE, report
    # and what is amiss is said of the bias alone, not of keys that are only called otherwise
    wrong = [c.path for c in report.comparisons if not c.verdict.ok]
    assert wrong
    assert all(path.startswith("gradient['db") for path in wrong), wrong


@pytest.mark.full
def test_a_divided_penalty_beside_a_given_network_is_named_as_a_convention_and_as_no_bug():
    report = bpcheck.compare(in_columns(), architectures=NETWORK, seed=0, examples=10)
    assert report.verdict is Verdict.DISAGREES, report
    assert any("penalty='λ/2m'" in warning for warning in report.warnings)
    assert [(d.equation, d.bug) for d in report.diagnoses] == [("loss", "")]
    pinned = LAYOUT.but(penalty="λ/2m")
    assert bpcheck.compare(in_columns(), architectures=NETWORK, conventions=pinned, seed=0, examples=10).ok
    wrong = bpcheck.compare(in_columns("penalty"), architectures=NETWORK, seed=0, examples=10)
    assert wrong.verdict is Verdict.DISAGREES
    assert not any("another convention" in warning for warning in wrong.warnings)


@pytest.mark.full
def test_a_penalty_that_only_the_loss_divides_by_the_batch_is_named():
    report = bpcheck.compare(in_columns("whole"), seed=0, examples=10)
    assert report.verdict is Verdict.DISAGREES
    assert [d.bug for d in report.diagnoses] == ["penalty-not-averaged"], report


# --- two layers by name, whatever else is there: the assignment of CS231n --------------------------------


def two_layers(params, X, y, *, wrong=1.0, reg=0.05):
    W1, b1, W2, b2 = params["W1"], params["b1"], params["W2"], params["b2"]
    h = np.maximum(0, X @ W1 + b1)
    scores = h @ W2 + b2
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.mean(np.log(p[np.arange(len(X)), y])) + reg * (np.sum(W1**2) + np.sum(W2**2))
    p[np.arange(len(X)), y] -= 1
    p /= len(X)
    dh = (p @ W2.T) * (h > 0)
    return loss, {
        "W1": wrong * X.T @ dh + 2 * reg * W1,
        "b1": dh.sum(axis=0),
        "W2": h.T @ p + 2 * reg * W2,
        "b2": p.sum(axis=0),
    }


def test_code_for_two_layers_that_runs_on_deeper_networks_is_compared_with_two():
    report = bpcheck.compare(two_layers, seed=0, examples=10)
    assert report.ok, report
    assert any("uses the first 2 only" in warning for warning in report.unchecked)
    wrong = bpcheck.compare(lambda p, X, y: two_layers(p, X, y, wrong=1.01), seed=0, examples=10)
    assert wrong.verdict is Verdict.DISAGREES


# --- targets −1 and 1 ------------------------------------------------------------------------------------


def signs(params, x, y, *, bug=""):
    z = x @ params[0]["weight"].T + params[0]["bias"]
    delta = -y * sigmoid(-y * z) / len(x)
    if bug == "0 and 1":
        delta = (sigmoid(z) - y) / len(x)
    return np.sum(np.logaddexp(0, -y * z)) / len(x), [{"weight": delta.T @ x, "bias": delta.sum(axis=0)}]


@pytest.mark.parametrize("bug", ["", "0 and 1"])
def test_targets_of_minus_one_and_one_are_inferred_beside_a_given_network(bug):
    network = mlp([4, 3], loss="binary_cross_entropy")
    report = bpcheck.compare(
        lambda p, x, y: signs(p, x, y, bug=bug), architectures=network, seed=0, examples=10
    )
    assert report.verdict is (Verdict.DISAGREES if bug else Verdict.AGREES), report
    assert "−1 and 1" in report.inferred


# --- one output: y (m,) ----------------------------------------------------------------------------------


def regression(params, x, y, *, wrong=1.0):
    W1, b1, W2, b2 = params
    h = np.tanh(x @ W1 + b1)
    r = ((h @ W2 + b2).ravel() - y) / len(x)  # (m, m) if y is (m, 1)
    d = np.outer(r, W2) * (1 - h**2)
    return 0.5 * np.sum(r**2) * len(x), [wrong * x.T @ d, d.sum(0), (h.T @ r)[:, None], np.array([r.sum()])]


@pytest.mark.parametrize("pinned", [False, True], ids=["inferred", "pinned"])
def test_targets_without_a_second_axis(pinned):
    options = {"architectures": mlp([3, 4, 1]), "seed": 0, "examples": 10}
    if pinned:
        options["conventions"] = Conventions.preset("keras").but(targets="flat")
    report = bpcheck.compare(regression, **options)
    assert report.ok, report
    assert pinned or "targets (m,)" in report.inferred
    wrong = bpcheck.compare(lambda p, x, y: regression(p, x, y, wrong=1.01), **options)
    assert wrong.verdict is Verdict.DISAGREES


def test_flat_targets_need_one_output():
    with pytest.raises(bpcheck.InputError, match="network with one output"):
        bpcheck.compare(
            regression, conventions=Conventions(targets="flat"), architectures=mlp([3, 2]), seed=0
        )


# --- one flat vector -------------------------------------------------------------------------------------


def unrolled(theta, x, y, *, wrong=1.0):
    W1, b1, W2, b2 = theta[:12].reshape(3, 4), theta[12:16], theta[16:24].reshape(4, 2), theta[24:]
    a = np.tanh(x @ W1 + b1)
    r = (a @ W2 + b2 - y) / len(x)
    d = (r @ W2.T) * (1 - a**2)
    parts = [wrong * x.T @ d, d.sum(0), a.T @ r, r.sum(0)]
    return 0.5 * np.sum(r**2) * len(x), np.concatenate([part.ravel() for part in parts])


@pytest.mark.full
def test_a_flat_vector_is_inferred_where_the_network_is_given():
    options = {"architectures": mlp([3, 4, 2]), "seed": 0, "examples": 10}
    report = bpcheck.compare(unrolled, **options)
    assert report.ok, report
    assert "vector W1 b1 W2 b2" in report.inferred
    wrong = bpcheck.compare(lambda p, x, y: unrolled(p, x, y, wrong=1.01), **options)
    assert wrong.verdict is Verdict.DISAGREES


def test_a_gradient_alone_in_another_layout_is_told_that_the_loss_is_missing():
    def gradient(biases, weights, x, y):
        assert all(b.shape[1] == 1 for b in biases)
        a = sigmoid(weights[0] @ x + biases[0])
        return [(a - y) * a * (1 - a)], [(a - y) * a * (1 - a) @ x.T]

    report = bpcheck.compare(gradient, architectures=mlp([3, 2], output="sigmoid"), seed=0, examples=10)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "batch='one column'" in report.summary or "batch='last'" in report.summary
    assert "must return the pair (loss, gradient)" in report.summary


# --- single precision ------------------------------------------------------------------------------------


def single(params, x, y, *, wrong=1.0):
    """[W1, b1, …], (in, out), tanh, float32 whatever comes in."""
    weights = [np.float32(w) for w in params[0::2]]
    biases = [np.float32(b) for b in params[1::2]]
    x, y, a = np.float32(x), np.float32(y), [np.float32(x)]
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = a[-1] @ w + b
        a.append(z if k == len(weights) - 1 else np.tanh(z))
    delta = (a[-1] - y) / np.float32(len(x))
    loss, grads = np.float32(0.5) * np.sum((a[-1] - y) ** 2) / np.float32(len(x)), []
    for k in range(len(weights) - 1, -1, -1):
        grads = [np.float32(wrong) * a[k].T @ delta, delta.sum(axis=0), *grads]
        delta = (delta @ weights[k].T) * (1 - a[k] ** 2)
    return loss, grads


@pytest.mark.full
def test_what_float32_computes_is_inferred_too():
    report = bpcheck.compare(single, seed=0, examples=10)
    assert report.ok, report
    wrong = bpcheck.compare(lambda p, x, y: single(p, x, y, wrong=1.01), seed=0, examples=10)
    assert wrong.verdict is Verdict.DISAGREES


# --- a loss that fits nothing ----------------------------------------------------------------------------


def test_where_the_loss_fits_nothing_the_network_is_asked_for_and_not_the_layout():
    """Both kinds of targets are accepted, and which is meant would not help: a tenth of a loss is no loss known."""

    def backprop(biases, weights, x, y):
        assert x.shape[1:] == (1,)
        a = sigmoid(weights[0] @ x + biases[0])
        for b, w in zip(biases[1:], weights[1:], strict=True):
            a = sigmoid(w @ a + b)
        return 0.1 * np.sum((a - y) ** 2), (biases, weights)

    report = bpcheck.compare(backprop, seed=0, examples=5)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "Which is it" not in report.summary
    assert "architectures=bpcheck.mlp" in report.summary


# --- what a convention cannot mean -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"names": ("W{}", "W{}"), "params": "{W1, b1, W2, b2}"}, "keys of their own"),
        ({"names": ("W", "W")}, "keys of their own"),
        ({"names": ("W{}{}", "b{}"), "params": "{W1, b1, W2, b2}"}, "no other braces"),
        ({"names": ("W{x}{}", "b{}"), "params": "{W1, b1, W2, b2}"}, "no other braces"),
        ({"names": ("{", "b")}, "no other braces"),
        ({"gradient_names": "{}{"}, "such as 'd{}'"),
        ({"gradient_names": "{{}}"}, "such as 'd{}'"),
        ({"factor": 10**400}, "positive"),
        ({"batch": "one", "reduction": "sum"}, "one example at a time"),
        ({"batch": "one column", "penalty": "λ/2m"}, "one example at a time"),
    ],
    ids=repr,
)
def test_more_conventions_that_make_no_sense_are_refused(options, says):
    with pytest.raises(bpcheck.InputError) as caught:
        Conventions(**options)
    assert says in str(caught.value)


def test_numbers_of_numpy_are_numbers_and_a_list_is_no_name():
    assert Conventions(factor=np.float32(2)) == Conventions(factor=2)
    with pytest.raises(bpcheck.InputError, match="known are"):
        Conventions.preset(["keras"])


def test_a_network_that_sums_is_refused_one_example_at_a_time():
    with pytest.raises(bpcheck.InputError, match="reduction='mean'"):
        bpcheck.compare(
            in_columns(),
            conventions="nielsen",
            architectures=mlp([3, 2], reduction="sum"),
            seed=0,
            examples=2,
        )
