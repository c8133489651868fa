"""Notebook 2's checkers: formulas in several forms, wrong ones refused with numbers and the name of the mistake."""

import numpy as np
import pytest
from choosing import some

from bpcheck.course import State, show
from bpcheck.course import four_equations as check
from bpcheck.course.line import Asked, hold_line, judge_line
from bpcheck.errors import InputError
from bpcheck.reference.layers import four_equations as equations
from bpcheck.symbolic.index import Diff, check_line, kronecker, total
from derivations.bp1_output_error import slope
from derivations.notation import L, W, a, delta, l, sigma, unit, z
from derivations.softmax_cross_entropy import j as class_j
from derivations.softmax_cross_entropy import k as class_k
from derivations.softmax_cross_entropy import p, y

j, k, i = unit("j", L), unit("k", L), unit("i", L)


# --- 1: a line of BP1 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        total(slope(k) * sigma.prime(z[L, k]) * kronecker(k, j), k),
        total(kronecker(j, i) * sigma.prime(z[L, j]) * slope(i), i),  # another letter, the bracket turned
        slope(j) * sigma.prime(z[L, j]),
    ],
)
def test_the_line_of_bp1_in_several_forms(line):
    assert check.output_line(line).ok


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (total(slope(k) * sigma.prime(z[L, k]), k), "only where k is j"),
        (total(slope(k) * sigma.prime(z[L, j]), k), "only one term"),
        (total(slope(k) * kronecker(k, j), k), "σ' is missing"),
        (slope(j), "σ' is missing"),
        (slope(j) * sigma(z[L, j]), "σ itself"),
        (slope(j) * sigma.prime(a[L, j]), "taken at z"),
        (2 * slope(j) * sigma.prime(z[L, j]), "but"),  # no known mistake: numbers alone
        (slope(k) * sigma.prime(z[L, k]), "free index k"),
        (slope(k) * sigma.prime(z[L, k]) * kronecker(k, j), "total(…, k) around it"),
        (total(slope(k) * Diff(a[L, k], z[L, j]), k), "still waiting"),
        (slope(unit("j", l)) * sigma.prime(z[L, unit("j", l)]), "j runs from 1 to n_l in your line"),
        (slope(j) * sigma.prime(z[j]), "z[j] is no entry of z: write it like z[L, "),
        (lambda k: slope(k), "expression"),
        (np.ones(3), "expression"),
        ("slope(j)", "expression"),
        (True, "expression"),
    ],
)
def test_wrong_lines_of_bp1(line, words):
    said = check.output_line(line)
    assert said.state is State.WRONG
    assert words in f"{said.reason} {said.hint}", said


def test_a_refusal_shows_sizes_and_numbers():
    said = check.output_line(total(slope(k) * sigma.prime(z[L, k]), k))
    assert said.reason.startswith("With n_L = 2, at j = ")
    assert "is right" in said.reason


@pytest.mark.parametrize(
    "name", ["output_line", "softmax_error", "all_paths", "weight_proof", "slope_at_kink", "backward"]
)
@pytest.mark.parametrize("stub", [..., None])
def test_stubs_are_not_done(name, stub):
    assert getattr(check, name)(stub).state is State.NOT_DONE


# --- 2: softmax ---------------------------------------------------------------------------------------


@pytest.mark.full
def test_softmax_in_three_forms():
    for line in (
        a[L, j] * slope(j) - total(a[L, j] * slope(k) * a[L, k], k),
        total(slope(k) * a[L, k] * (kronecker(k, j) - a[L, j]), k),
        total((slope(j) - slope(k)) * a[L, k] * a[L, j], k),  # uses that softmax adds up to 1
    ):
        assert check.softmax_error(line).ok


@pytest.mark.parametrize(
    ("line", "words"),
    some(
        [
            (slope(j) * a[L, j] * (1 - a[L, j]), "diagonal"),
            (a[L, j] * slope(j), "takes a mean"),
            (slope(k) * a[L, k] * (kronecker(k, j) - a[L, j]), "total(…, k) around it"),
            (total(slope(k) * a[L, k] * (1 - a[L, j]), k), "kronecker(k, j) is missing"),
            (a[L, j] * (slope(j) + total(slope(k) * a[L, k], k)), "sign"),
            (slope(j), "as if softmax were not there"),
            (slope(j) * sigma.prime(z[L, j]), "but"),
            (total(slope(k) * Diff(a[L, k], z[L, j]), k), "still waiting"),
        ],
        default=lambda line, words: words in ("diagonal", "takes a mean", "sign"),
    ),
)
def test_wrong_errors_of_softmax(line, words):
    said = check.softmax_error(line)
    assert said.state is State.WRONG
    assert words in f"{said.reason} {said.hint}", said


# --- 3: where the targets add up to 1 -----------------------------------------------------------------

ANY_TARGETS = p[class_j] * total(y[class_k], class_k) - y[class_j]


@pytest.mark.full
def test_the_line_that_needs_the_targets():
    assert check.targets(5, ANY_TARGETS).ok
    assert check.targets(
        np.int64(5), -total(y[class_k] * (kronecker(class_k, class_j) - p[class_j]), class_k)
    ).ok
    for number in range(1, 5):
        assert "holds without the fact" in check.targets(number, ANY_TARGETS).reason


@pytest.mark.parametrize(
    ("number", "without", "words"),
    [
        (0, ANY_TARGETS, "from 1 to 5"),
        (True, ANY_TARGETS, "from 1 to 5"),
        ("5", ANY_TARGETS, "from 1 to 5"),
        (5, p[class_j] - y[class_j], "only if the targets add up to 1"),
        (5, (p[class_j] - y[class_j]) * total(y[class_k], class_k), "p_j alone"),
        (5, p[class_j] * y[class_j] - y[class_j], "Every class"),
    ],
)
def test_wrong_answers_about_targets(number, without, words):
    said = check.targets(number, without)
    assert said.state is State.WRONG
    assert words in f"{said.reason} {said.hint}", said


def test_half_an_answer_about_targets_is_not_done():
    assert check.targets(..., ANY_TARGETS).state is State.NOT_DONE
    assert check.targets(5, ...).state is State.NOT_DONE


# --- 4: all paths -------------------------------------------------------------------------------------

q, u, v = unit("p", L), unit("j", L - 1), unit("k", L - 2)
REST = sigma.prime(z[L - 1, u]) * a[L - 2, v]


def test_all_paths_in_two_forms():
    assert check.all_paths(total(delta[L, q] * W[L, q, u], q) * REST).ok
    assert check.all_paths(total(a[L - 2, v] * delta[L, q] * sigma.prime(z[L - 1, u]) * W[L, q, u], q)).ok


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (delta[L, u] * W[L, u, u] * REST, "one path"),
        (total(delta[L, q] * W[L, q, u], q) * a[L - 2, v], "slope is missing"),
        (total(delta[L, q] * W[L, u, q], q) * REST, "W^L_{pj}"),
        (total(delta[L, q] * W[L, q, u], q) * sigma.prime(z[L - 1, u]), "∂z/∂w is missing"),
        (total(delta[L, q] * W[L, q, u], q) * sigma.prime(z[L - 1, u]) * a[L - 1, u], "input of its layer"),
        (total(delta[L, q], q) * REST, "weights on the way up"),
        (total(delta[L, q] * W[q, u], q) * REST, "is no entry of W"),
        (delta[L, q] * W[L, q, u] * REST, "put total(…, p) around it"),
    ],
)
def test_missing_paths(line, words):
    said = check.all_paths(line)
    assert said.state is State.WRONG
    assert words in f"{said.reason} {said.hint}", said


# --- 5: a proof with blanks ---------------------------------------------------------------------------

d, e = unit("i", l), unit("j", l)
g, h = unit("m", l - 1), unit("k", l - 1)
LINES = (
    total(delta[l, d] * Diff(z[l, d], W[l, e, h]), d),
    total(delta[l, d] * total(kronecker(d, e) * kronecker(g, h) * a[l - 1, g], g), d),
    delta[l, e] * a[l - 1, h],
)


def test_the_proof():
    assert check.weight_proof(list(LINES)).ok
    assert check.weight_proof((LINES[0], total(delta[l, d] * kronecker(d, e) * a[l - 1, h], d), LINES[2])).ok


@pytest.mark.parametrize(
    ("place", "line", "words"),
    [
        (0, delta[l, e] * Diff(z[l, e], a[l - 1, h]), "but"),
        (0, check.bp4_weight_gradient.weight_gradient.steps[0].after, "long name"),
        (1, total(delta[l, d] * total(a[l - 1, g], g), d), "Both brackets"),
        (1, total(delta[l, d] * kronecker(d, e) * total(a[l - 1, g], g), d), "[m = k] is missing"),
        (1, total(delta[l, d] * a[l - 1, h], d), "[i = j] is missing"),
        (1, LINES[0], "still waiting"),
        (2, delta[l, h] * a[l - 1, e], "swapped"),
        (2, delta[l, e] * a[l, h], "layer below"),
        (2, delta[l, e], "activation is missing"),
        (2, LINES[1], "sums or brackets are left"),
    ],
)
def test_the_wrong_line_of_a_proof_is_named(place, line, words):
    lines = [*LINES[:place], line, *LINES[place + 1 :]]
    said = check.weight_proof(lines)
    assert said.state is State.WRONG
    assert words in f"{said.reason} {said.hint}", said
    for number in (2, 3, 4):
        assert (f"Line {number}: right." in said.reason) is (number != place + 2)


def test_a_proof_that_is_not_finished():
    said = check.weight_proof([LINES[0], ..., ...])
    assert said.state is State.NOT_DONE
    assert "Line 2: right. Line 3: not done yet." in said.reason
    assert check.weight_proof([...] * 3).state is State.NOT_DONE
    assert check.weight_proof(LINES[:2]).state is State.WRONG
    assert check.weight_proof("proof").state is State.WRONG


# --- 6, 7: the code -------------------------------------------------------------------------------------


RIGHT = {
    "bp1": lambda g, s: g * s,
    "bp2": lambda W, d, s: d @ W * s,
    "bp3": lambda d: d.sum(axis=0),
    "bp4": lambda d, a: d.T @ a,
}
OTHERS = {
    "bp1": lambda g, s: np.einsum("ij,ij->ij", s, g),
    "bp2": lambda W, d, s: np.array([(W.T @ row) * t for row, t in zip(d, s, strict=True)]),
    "bp3": lambda d: np.ones(len(d)) @ d,
    "bp4": lambda d, a: sum(np.outer(row, below) for row, below in zip(d, a, strict=True)),
}


def test_four_lines_in_two_styles():
    assert check.four_lines(**RIGHT).ok
    assert check.four_lines(**OTHERS).ok


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("bp1", lambda g, s: g, "σ' is missing"),
        ("bp1", lambda g, s: (g * s).sum(axis=0), "summed over the batch"),
        ("bp2", lambda W, d, s: d @ W, "σ' is missing"),
        ("bp2", lambda W, d, s: d @ W.T * s, "one transpose too many"),
        ("bp2", lambda W, d, s: W.T @ d * s, "as a column"),
        ("bp2", lambda W, d, s: (W.T @ d.T).T * s / len(d), "averaged"),
        ("bp3", lambda d: d, "One b serves"),
        ("bp3", lambda d: np.mean(d, 0), "divided by m"),
        ("bp3", lambda d: d.sum(axis=1), "over the units"),
        ("bp4", lambda d, a: a.T @ d, "its transpose"),
        ("bp4", lambda d, a: d @ a.T, "adds up over the units"),
        ("bp4", lambda d, a: d.T @ a / len(a), "divided by m"),
        ("bp4", lambda d, a: d.T @ a * 1.01, "∂C/∂W"),
        ("bp4", lambda d, a: print(end=""), "None"),
    ],
)
def test_wrong_lines_of_code(name, wrong, words):
    said = check.four_lines(**{**RIGHT, name: wrong})
    assert not said.ok
    assert words in f"{said.reason} {said.hint}", said
    assert name in said.reason


def test_what_is_left_of_the_four_lines():
    def stub(delta): ...

    said = check.four_lines(**{**RIGHT, "bp3": stub})
    assert said.state is State.NOT_DONE
    assert said.reason == "Still to be written: bp3."


@pytest.mark.full
def test_predictions_about_the_kink():
    right = {0.0: True, 0.5: True, 1.0: True, 2.0: False}
    assert check.slope_at_kink(right).ok
    for at_zero in right:
        said = check.slope_at_kink({**right, at_zero: not right[at_zero]})
        assert said.state is State.WRONG
        assert f"ReLU'(0) = {at_zero}" in said.reason
    assert check.slope_at_kink({**right, 0.5: ...}).state is State.NOT_DONE
    assert check.slope_at_kink({**right, 0.5: "yes"}).state is State.WRONG
    assert check.slope_at_kink([True]).state is State.WRONG


# --- 8: the backward pass -------------------------------------------------------------------------------


def network(params, x, y, *, slopes=True, transpose=False, mean=True, update=False):
    activations = [x]
    for number, layer in enumerate(params):
        z = activations[-1] @ layer["weight"].T + layer["bias"]
        activations.append(z if number == len(params) - 1 else np.tanh(z))
    residual = activations[-1] - y
    delta = residual / (len(x) if mean else 1)
    gradients = [None] * len(params)
    for number in range(len(params) - 1, -1, -1):
        below = activations[number]
        gradients[number] = {"weight": delta.T @ below, "bias": delta.sum(axis=0)}
        if update:
            params[number]["weight"] -= gradients[number]["weight"]
        if number:
            weight = params[number]["weight"]
            delta = (delta @ weight) * ((1 - below**2) if slopes else 1)
    return 0.5 * np.sum(residual**2) / len(x), gradients


def test_a_backward_pass():
    assert check.backward(network).ok


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"slopes": False}, "the factor σ'(z^l) is left out"),
        ({"mean": False}, "m"),
        ({"update": True}, "in place"),
    ],
)
def test_wrong_backward_passes(options, words):
    said = check.backward(lambda params, x, y: network(params, x, y, **options))
    assert said.state is State.WRONG
    assert words in f"{said.reason} {said.hint}", said


def test_backward_passes_that_stop():
    assert check.backward(lambda params, x, y: params[9]).state is State.RAISED
    assert check.backward(lambda params, x, y: None).state is not State.RIGHT


# --- what they are judged by ------------------------------------------------------------------------------


def test_side_by_side_is_refused_where_the_code_is_another(monkeypatch):
    assert str(check.side_by_side()).count("largest difference") == 4
    monkeypatch.setattr(equations, "bp4_weight_gradient", doubled)
    with pytest.raises(AssertionError, match="doubled is off"):
        check.side_by_side()


def doubled(delta, previous_activation):
    """BP4 with a factor 2."""
    return (delta.T @ previous_activation) * 2.0


def test_a_true_line_that_the_calculus_cannot_prove_is_not_called_wrong(monkeypatch):
    monkeypatch.setattr("bpcheck.symbolic.index.check.is_zero", lambda *_: False)
    asked = Asked(3 * slope(j))  # a line that no other test has asked about
    reason, _ = judge_line(asked, 3 * slope(j))
    assert "no proof" in reason
    assert hold_line("x", 3 * slope(j), asked, checked="").state is State.WRONG


def test_show():
    derivation = check.bp3_bias_gradient.bias_gradient
    html = show(derivation)._repr_html_()
    assert html.count('aria-label="holds"') == 3 * len(derivation.steps)
    assert html.count("<details>") == 1
    assert "Assumed" in html
    for mutant in derivation.mutants:
        assert mutant.mistake in html
    assert "does not hold" not in html
    assert not any(word in html for word in ("http", "<script", "url("))
    said = show(check_line(slope(j), 2 * slope(j)))
    assert "✗ wrong" in said._repr_html_()
    assert "n_L = 1" in str(said)
    assert "holds" in str(show(check_line(slope(j), slope(j))))
    assert str(show([slope(j), z[L, j]])) == "   ∂C/∂a^L_j\n1  = z^L_j"
    assert "=" in str(show(derivation.given[0]))
    for nothing in ("a^L_j", [], [1]):
        with pytest.raises(InputError, match="show"):
            show(nothing)


def test_colours_are_set_against_the_page():
    """A dark notebook's own colours must not shine through: every cell has its own."""
    html = show(check.bp3_bias_gradient.bias_gradient)._repr_html_()
    for tag in ("<td", "<th", "<tr"):
        pieces = html.split(tag)[1:]
        assert pieces
        assert all("background:#fff" in piece.split(">")[0] for piece in pieces)
