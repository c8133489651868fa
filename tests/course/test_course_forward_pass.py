"""Notebook 1's checkers: right answers in several styles, and wrong ones that must be refused and named."""

from itertools import pairwise

import numpy as np
import pytest

from bpcheck import mlp
from bpcheck.course import State
from bpcheck.course import forward_pass as check
from bpcheck.course.forward_pass import PAIRS


def sums(W, a, b, j):
    total = 0.0
    for weight, activation in zip(W[j], a, strict=True):
        total += weight * activation
    return total + b[j]


RIGHT = {
    "unit": [sums, lambda W, a, b, j: W[j] @ a + b[j], lambda W, a, b, j: (W @ a + b)[j],
             lambda W, a, b, j: b[j] + np.einsum("k,k", W[j], a), lambda W, a, b, j: np.sum(a * W[j]) + b[j]],
    "layer": [lambda W, a, b: (W @ a + b, np.tanh(W @ a + b)), lambda W, a, b: [a @ W.T + b, np.tanh(a @ W.T + b)],
              lambda W, a, b: ([sums(W, a, b, j) for j in range(len(b))],
                               [np.tanh(sums(W, a, b, j)) for j in range(len(b))])],
    "shapes": [lambda n: [((out, into), (out,)) for into, out in pairwise(n)],
               lambda n: [[(n[k + 1], n[k]), (n[k + 1],)] for k in range(len(n) - 1)],
               lambda n: tuple((np.zeros((o, i)).shape, np.zeros(o).shape) for i, o in pairwise(n))],
    "update": [lambda w, g, batch, eta: w - eta / len(batch) * sum(g[i] for i in batch),
               lambda w, g, batch, eta: w - eta * np.mean(g[batch], axis=0)],
}  # fmt: skip


@pytest.mark.parametrize(("name", "function"), [(n, f) for n, fs in RIGHT.items() for f in fs])
def test_right_answers_are_accepted(name, function):
    said = getattr(check, name)(function)
    assert said.ok, said
    assert said.checked


def test_a_first_index_for_the_unit_below_is_refused():
    for wrong in (
        lambda W, a, b, j: W[:, j] @ a + b[j],
        lambda W, a, b, j: sum(W[k, j] * a[k] for k in range(len(a))),
    ):
        assert not check.unit(wrong).ok
    assert "row j" in check.unit(lambda W, a, b, j: W[:, j] @ a + b[j]).hint.lower()


WRONG = [
    ("unit", lambda W, a, b, j: W[j] @ a, "bias is missing"),
    ("unit", lambda W, a, b, j: sum(W[j, k] * a[k] + b[j] for k in range(len(a))), "counted once for every k"),
    ("unit", lambda W, a, b, j: W[j] * a + b[j], "add the terms up"),
    ("unit", lambda W, a, b, j: W @ a + b, "row j"),
    ("unit", lambda W, a, b, j: np.tanh(W[j] @ a + b[j]), "before the activation"),
    ("unit", lambda W, a, b, j: W[j] @ a - b[j], "z_j is"),
    ("layer", lambda W, a, b: (np.tanh(W @ a + b), W @ a + b), "swapped"),
    ("layer", lambda W, a, b: (W @ a, np.tanh(W @ a)), "bias is missing"),
    ("layer", lambda W, a, b: (W @ a + b, 1 / (1 + np.exp(-W @ a - b))), "tanh"),
    ("layer", lambda W, a, b: (W.T @ a + b, np.tanh(W.T @ a + b)), "transposed"),
    ("layer", lambda W, a, b: (a @ W + b, np.tanh(a @ W + b)), "a @ W.T"),
    ("layer", lambda W, a, b: np.tanh(W @ a + b), "part"),
    ("layer", lambda W, a, b: (W @ a[:, None] + b[:, None],) * 2, "shape"),
    ("shapes", lambda n: [((i, o), (o,)) for i, o in pairwise(n)], "transposed"),
    ("shapes", lambda n: [((n[max(i - 1, 0)], n[i])[::-1], (n[i],)) for i in range(len(n))], "no W¹"),
    ("shapes", lambda n: [((o, i), o) for i, o in pairwise(n)], "comma"),
    ("shapes", lambda n: [((o, i), (i,)) for i, o in pairwise(n)], "leads into"),
    ("shapes", lambda n: [((o, i), (o,)) for i, o in pairwise(n)][::-1], "reverse"),
    ("update", lambda w, g, batch, eta: w - eta * g.mean(axis=0), "all training examples"),
    ("update", lambda w, g, batch, eta: w - eta / len(g) * g[batch].sum(axis=0), "number of all"),
    ("update", lambda w, g, batch, eta: w - eta * g[batch].sum(axis=0), "not divided by m"),
    ("update", lambda w, g, batch, eta: w + eta * g[batch].mean(axis=0), "uphill"),
    ("update", lambda w, g, batch, eta: w - g[batch].mean(axis=0), "learning rate is missing"),
    ("update", lambda w, g, batch, eta: w - sum(i / len(batch) * g[i] for i in batch), "index"),
    ("update", lambda w, g, batch, eta: w - eta * g[batch].mean(), "axis=0"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "function", "words"), WRONG)
def test_wrong_answers_are_refused_and_named(name, function, words):
    said = getattr(check, name)(function)
    assert not said.ok
    assert words in f"{said.reason} {said.hint}", said


def test_an_update_in_place_is_refused():
    def moves(w, gradients, batch, eta):
        w -= eta * gradients[batch].mean(axis=0)
        return w

    assert "in place" in check.update(moves).reason


def network(params, x, *, sigma=np.tanh, last=lambda z: z, first=True, transposed=False, bias=True):
    zs, activations = [], [x]
    for number, p in enumerate(params):
        W, b = p["weight"], p["bias"] * bias
        zs.append(activations[-1] @ (W if transposed else W.T) + b)
        activations.append((last if number == len(params) - 1 else sigma)(zs[-1]))
    return zs, activations if first else activations[1:]


def columns(params, x):
    zs, activations = [], [x.T]
    for number, p in enumerate(params):
        zs.append(p["weight"] @ activations[-1] + p["bias"][:, None])
        activations.append(zs[-1] if number == len(params) - 1 else np.tanh(zs[-1]))
    return zs, activations


def one_row_at_a_time(params, x):
    rows = [network(params, row[None]) for row in x]
    return tuple(
        [np.concatenate(layer) for layer in zip(*part, strict=True)] for part in zip(*rows, strict=True)
    )


def test_the_forward_pass_in_two_styles():
    assert check.forward(network).ok
    assert check.forward(one_row_at_a_time).ok


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"last": np.tanh}, "output layer is linear"),
        ({"sigma": lambda z: z}, "hidden layers lack"),
        ({"sigma": lambda z: z, "last": np.tanh}, "wrong layers"),
        ({"sigma": lambda z: np.maximum(z, 0)}, "tanh"),
        ({"first": False}, "a¹ = x is missing"),
        ({"transposed": True}, "a @ W.T"),
        ({"bias": False}, "bias is missing"),
    ],
)
def test_wrong_forward_passes_are_named(options, words):
    said = check.forward(lambda params, x: network(params, x, **options))
    assert not said.ok
    assert words in said.hint, said


def test_a_batch_in_columns_is_named():
    assert "One example is one row" in check.forward(columns).hint


def test_a_forward_pass_that_is_off_in_the_last_layer_by_one_percent():
    def off(params, x):
        zs, activations = network(params, x)
        return zs, [*activations[:-1], 1.01 * activations[-1]]

    assert not check.forward(off).ok


def to_bishop(W, b):
    return np.concatenate([b[:, None], W], axis=1)


def test_the_passport():
    assert check.passport(lambda W, b: (W.T, b), to_bishop).ok
    assert check.passport(
        lambda W, b: [W.T.copy(), b], lambda W, b: np.hstack([b.reshape(-1, 1), W]).tolist()
    ).ok


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (lambda W, b: (W, b), to_bishop, "W.T"),
        (lambda W, b: (W.T, 0 * b), to_bishop, "b must come along"),
        (lambda W, b: (W.T, b), lambda W, b: np.column_stack([W, b]), "bias comes first"),
        (lambda W, b: (W.T, b), lambda W, b: W, "bias is missing"),
        (lambda W, b: (W.T, b), lambda W, b: np.column_stack([np.ones_like(b), W]), "Column 0 holds ones"),
        (lambda W, b: (W.T, b), lambda W, b: np.vstack([b, W.T]), "not transposed"),
        (lambda W, b: (W.T, b), lambda W, b: np.vstack([b, W]), "to_bishop"),
        (lambda W, b: print(end=""), to_bishop, "returns None, in to_cs231n"),
    ],
)
def test_wrong_passports(first, second, words):
    said = check.passport(first, second)
    assert not said.ok
    assert words in f"{said.reason} {said.hint}", said


def test_half_a_passport_is_not_done():
    def stub(W, b): ...

    assert check.passport(lambda W, b: (W.T, b), stub).state is State.NOT_DONE
    assert check.passport(stub, to_bishop).state is State.NOT_DONE


# By hand: δ = ∂C/∂z is a − y for these three and for no other of the six.
IS_DIFFERENCE = {("identity", "half_mse"), ("sigmoid", "binary_cross_entropy"), ("softmax", "cross_entropy")}


def test_predictions_about_the_error():
    right = {pair: pair in IS_DIFFERENCE for pair in PAIRS}
    assert check.error_is_difference(right).ok
    for pair in PAIRS:
        said = check.error_is_difference({**right, pair: not right[pair]})
        assert said.state is State.WRONG
        assert " with ".join(pair) in said.reason
        assert check.error_is_difference({**right, pair: ...}).state is State.NOT_DONE
    assert check.error_is_difference({**right, ("tanh", "mse"): True}).state is State.WRONG
    assert check.error_is_difference({**right, pair: "yes"}).state is State.WRONG
    assert check.error_is_difference([True] * 6).state is State.WRONG
    assert check.error_is_difference(...).state is State.NOT_DONE


def gradient(W, b, x, y, *, m=None):
    delta = (x @ W.T + b - y) / (len(x) if m is None else m)
    return delta.T @ x, delta.sum(axis=0)


def in_a_loop(W, b, x, y):
    dW, db = np.zeros_like(W), np.zeros_like(b)
    for x_i, y_i in zip(x, y, strict=True):
        delta = W @ x_i + b - y_i
        dW += np.outer(delta, x_i) / len(x)
        db += delta / len(x)
    return dW, db


def test_gradients_of_a_batch():
    assert check.batch_gradient(gradient).ok
    assert check.batch_gradient(in_a_loop).ok


def seeds_loop(W, b, x, y):
    eta = 0.1
    for x_i, y_i in zip(x, y, strict=True):
        delta = W @ x_i + b - y_i
        W -= eta * np.outer(delta, x_i)
        b -= eta * delta
    return W, b


def on_copies(W, b, x, y):
    after = seeds_loop(W.copy(), b.copy(), x, y)
    return (W - after[0]) / 0.1, (b - after[1]) / 0.1


def updates_too(W, b, x, y):
    found = gradient(W, b, x, y)
    W -= 0.1 * found[0]
    return found


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda W, b, x, y: gradient(W, b, x, y, m=1), "mean over the batch is missing"),
        (
            lambda W, b, x, y: (gradient(W, b, x, y, m=1)[0], gradient(W, b, x, y)[1]),
            "weights are only summed",
        ),
        (lambda W, b, x, y: tuple(-g for g in gradient(W, b, x, y)), "sign is turned"),
        (lambda W, b, x, y: (gradient(W, b, x, y)[0].T, gradient(W, b, x, y)[1]), "transposed"),
        (lambda W, b, x, y: gradient(W, b, x[-1:], y[-1:]), "last example"),
        (
            lambda W, b, x, y: (gradient(W, b, x, y)[0], (x @ W.T + b - y) / len(x)),
            "one row for each example",
        ),
        (on_copies, "the one before has moved"),
        (updates_too, "changes W in place"),
        (lambda W, b, x, y: gradient(W, b, x, y)[0], "parts"),
        (lambda W, b, x, y: gradient(W, 0 * b, x, y), "∂C/∂W"),
    ],
)
def test_wrong_gradients_of_a_batch(function, words):
    said = check.batch_gradient(function)
    assert said.state is State.WRONG
    assert words in f"{said.reason} {said.hint}", said


def test_the_seeds_loop_is_not_done_yet():
    assert check.batch_gradient(seeds_loop).state is State.NOT_DONE


def test_a_gradient_that_is_only_right_for_more_than_one_example_is_caught_by_compare():
    def squeezed(W, b, x, y):
        return gradient(W, b, x, y) if len(x) > 1 else gradient(W, b, x, 2 * y)

    assert check.batch_gradient(squeezed).state is State.WRONG


def test_a_raise_in_the_middle_is_told_without_our_frames():
    def shapes_do_not_fit(W, b, x, y):
        return (x @ W + b - y).T @ x, b

    said = check.batch_gradient(shapes_do_not_fit)
    assert said.state is State.RAISED
    assert "x @ W + b" in said.reason
    assert "exercise.py" not in str(said)


def test_the_expected_shapes_are_those_of_the_architecture():
    # the negative control of the exercise itself: our own answer against the house's
    widths = [3, 4, 2]
    assert [(p["weight"], p["bias"]) for p in mlp(widths).parameter_shapes] == RIGHT["shapes"][0](widths)
