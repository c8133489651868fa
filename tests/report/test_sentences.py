"""What reports say is true: of every bug of the catalogue and of right code, where there is one example, one output, no
hidden layer, no penalty, no step, no network at all.

``python tools/sentences.py`` prints the sentences that these reports are put together from.
"""

import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from choosing import product

import bpcheck
from bpcheck import Diagnosis, Report, SubjectError, Verdict, mlp
from bpcheck.diagnosis import CATALOGUE
from bpcheck.diagnosis.mutant import right_program
from bpcheck.diagnosis.words import BY_NUMBERS
from bpcheck.network.dense_chain import dense_chain
from bpcheck.precision import told_apart
from bpcheck.report.text import EQUATIONS, SYMBOLS
from bpcheck.search.cases.sample import GENERIC, random_case

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from sentences import ROOMS, sentences

SETTINGS = {
    "plain": (mlp([3, 4, 2]), 5),
    "one example": (mlp([3, 4, 2]), 1),
    "one output": (mlp([3, 4, 1], activation="relu"), 5),
    "one example, one output": (mlp([3, 4, 1], activation="leaky_relu", loss="binary_cross_entropy"), 1),
    "no hidden layer": (mlp([3, 2]), 5),
    "one number": (mlp([1, 1], l2=0.5), 1),
    "a sum": (mlp([3, 4, 4, 2], activation="sigmoid", output="sigmoid", reduction="sum"), 4),
    "softmax": (mlp([3, 4, 3], loss="cross_entropy"), 4),
    "L1": (mlp([3, 4, 2], l1=0.1), 5),
    "L2": (mlp([3, 4, 2], l2=0.1), 5),
    "L2 of one example": (mlp([3, 4, 2], l2=0.1, penalize_bias=True), 1),
    "both": (mlp([3, 4, 2], l1=0.1, l2=0.2), 3),
    "equal widths": (mlp([3, 3, 3]), 3),
}

CHEAP = {
    "plain": ("", "sum-for-mean", "factor-two", "weights-updated-first", "wrong-layer-activation"),
    "one example": ("", "factor-half", "pre-activation-for-activation", "gradient-aliases-parameter"),
    "one example, one output": ("", "leaky-slope-lost", "epsilon-in-log"),
    "no hidden layer": ("sign-flipped",),
    "one number": ("never-written-entry", "penalty-doubled"),
    "softmax": ("no-max-shift", "softmax-diagonal"),
    "L1": ("penalty-missing", "penalty-l1-as-l2"),
    "L2": ("penalty-missing", "penalty-on-bias"),
}
"""By setting: what the default suite looks at, some seconds; all of them together are looked at in full."""

OF_DENSE = [slug for slug, bug in CATALOGUE.items() if bug.kinds <= {"dense"}]

SHOWN = [(setting, slug) for setting, slugs in CHEAP.items() for slug in slugs]


def drawn(setting):
    architecture, batch = SETTINGS[setting]
    return random_case(np.random.default_rng(0), architecture, GENERIC, batch=batch)


@cache
def text_of(setting, slug):
    """The report on code with a bug (or on right code), or what is said where it raises."""
    try:
        program = CATALOGUE[slug].program() if slug else right_program
        return bpcheck.compare(program, cases=[drawn(setting)], seed=0)
    except SubjectError as error:
        return str(error)


def told(report):
    """All that it says in all its forms, without the code to paste and the numbers."""
    if isinstance(report, str):
        return report.partition("To see it again")[0]
    forms = [report.to_text(verbosity=v) for v in ("full", "hint", "equation", "symptom")]
    return "\n".join(text.replace(report.reproducer, "") for text in forms).partition("to paste:")[0]


def flat(text):
    return " ".join(text.split())


def complaints(text, architecture, batch, *, step=False):
    """What of a text is not true of a network and a batch, whatever went wrong."""
    said = flat(text)
    found = []

    def never(pattern, why):
        found.extend(f"{why}: {match[0]}" for match in re.finditer(pattern, said))

    never(r"([-\d.e]+), not \1 ", "two numbers that look alike")
    never(r"(factor|times) 1\b(?![./e])", "a factor of 1")
    never(r"\b(1 of 1|0 of|1 examples|1 outputs|1 cases|1 entries)\b", "counted like a machine")
    never(r"\bit is (-?0|1) times\b", "a factor that is none")
    never(r"[A-Z]\^l was|Z\^", "a symbol with a capital that is another symbol")
    never(r"\bof layer \d+\[", "an index of a phrase")
    never(r"  - +(-|$)", "evidence that is empty")
    if not step:
        never(r"η|\bsteps? (moves|divided)|learning rate|weights updated", "a step where there is none")
    if not architecture.l1:
        never(r"λ₁|sign\(W\)|‖₁|L1\b", "an L1 penalty where there is none")
    if not architecture.l2:
        never(r"λ₂|½λ|L2\b", "an L2 penalty where there is none")
    if not (architecture.l1 or architecture.l2):
        never(r"[Pp]enalt(y|ies)", "a penalty where there is none")
    if batch == 1:
        never(
            r"batch size|over the batch (once|twice)|examples? of the batch",
            "a batch where there is one example",
        )
    if architecture.outputs == 1:
        never(r"number of outputs", "outputs where there is one")
    return found


@pytest.mark.parametrize(("setting", "slug"), SHOWN)
def test_what_a_report_says_is_true_of_the_network(setting, slug):
    report = text_of(setting, slug)
    assert complaints(told(report), *SETTINGS[setting]) == []


@pytest.mark.parametrize(("setting", "slug"), SHOWN)
def test_a_bug_is_only_offered_where_there_is_what_it_is_about(setting, slug):
    report = text_of(setting, slug)
    if isinstance(report, str):
        return
    architecture, batch = SETTINGS[setting]
    there = {
        "batch": batch > 1,
        "outputs": architecture.outputs > 1,
        "hidden": len(dense_chain(architecture).widths) > 2,
        "penalty": bool(architecture.l1 or architecture.l2),
        "l1": bool(architecture.l1),
        "l2": bool(architecture.l2),
        "step": False,
    }
    for diagnosis in report.diagnoses:
        if diagnosis.bug in CATALOGUE:
            assert all(there[trait] for trait in CATALOGUE[diagnosis.bug].needs), str(report)


@pytest.mark.parametrize(("setting", "slug"), SHOWN)
def test_what_to_do_comes_first_and_what_was_not_looked_at_last(setting, slug):
    report = text_of(setting, slug)
    if isinstance(report, str):
        return
    labels = re.findall(
        r"^  (to do|or|and|which\?|note|unseen|symbols|equation|because)\b", str(report), re.M
    )
    assert labels == sorted(labels, key=lambda label: label == "unseen")
    if not report.ok:
        assert labels[0] == "to do"
    assert labels.count("symbols") <= 1
    for sentence in report.unchecked:
        assert not any(word in sentence for word in ("shares its memory", "at the second call"))


@pytest.mark.parametrize(("setting", "slug"), SHOWN)
def test_every_symbol_is_explained_and_only_once(setting, slug):
    report = text_of(setting, slug)
    if isinstance(report, str):
        return
    said = flat(told(report).partition("bpcheck:")[2].partition("bpcheck:")[0])  # the full form alone
    for pattern, meaning in SYMBOLS:
        if re.search(pattern, said.replace(meaning, "")):
            assert said.count(meaning) == 1, meaning


@pytest.mark.full
@pytest.mark.parametrize("setting", SETTINGS)
def test_all_of_this_holds_for_every_bug(setting):
    for slug in ("", *OF_DENSE):
        test_what_a_report_says_is_true_of_the_network(setting, slug)
        test_a_bug_is_only_offered_where_there_is_what_it_is_about(setting, slug)
        test_what_to_do_comes_first_and_what_was_not_looked_at_last(setting, slug)
        test_every_symbol_is_explained_and_only_once(setting, slug)


# --- a step, and no step --------------------------------------------------------------------------------------


def stepping(program, architecture, *, over=1.0):
    def step(params, x, y, lr):
        _, gradient = program(params, x, y, architecture)
        share = lr / (len(x) if over == "m" else over)
        return [
            {name: values - share * own[name] for name, values in layer.items()}
            for layer, own in zip(params, gradient, strict=True)
        ]

    return step


@pytest.mark.parametrize(
    ("batch", "program"), product([1, 5], [right_program, CATALOGUE["bias-absent"].program()])
)
def test_a_step_is_only_said_to_average_twice_where_it_does(program, batch):
    architecture = mlp([3, 4, 2])
    case = random_case(np.random.default_rng(1), architecture, GENERIC, batch=batch)
    for over in ("m", 1.0):
        step = bpcheck.from_step(stepping(program, architecture, over=over))
        report = bpcheck.compare(step, cases=[case], seed=0)
        assert ("η/m" in flat(str(report))) is (over == "m" and batch > 1), str(report)
        assert "changed no parameter" not in flat(str(report))  # only the smallest case may be such


class Layers:
    """Right code that keeps its parameters in attributes: an object, and no step."""

    def __init__(self, params):
        self.W1, self.b1 = params[0]["weight"], params[0]["bias"]

    def backward(self, x, y):
        residual = x @ self.W1.T + self.b1 - y
        self.dW1, self.db1 = residual.T @ x / len(x) ** 2, residual.sum(axis=0) / len(x) ** 2
        return 0.5 * float(np.sum(residual**2)) / len(x)


def test_an_object_that_averages_twice_is_no_step():
    case = random_case(np.random.default_rng(1), mlp([3, 2]), GENERIC, batch=5)
    subject = bpcheck.from_object(Layers(case.params), params=["W1", "b1"], gradients="d{}", loss="backward")
    report = bpcheck.compare(
        subject, cases=[case], conventions=bpcheck.Conventions(params="{W1, b1, W2, b2}"), seed=0
    )
    assert [d.bug for d in report.diagnoses] == ["averaged-twice"], str(report)
    assert "step" not in flat(told(report))
    assert "η" not in told(report)


# --- a loss and a gradient in other units ---------------------------------------------------------------------


def scaled(loss_factor, gradient_factor):
    def backprop(params, x, y, architecture):
        loss, gradient = right_program(params, x, y, architecture)
        return loss * loss_factor, [{k: gradient_factor * v for k, v in layer.items()} for layer in gradient]

    return backprop


@pytest.mark.parametrize("factor", [1 + 1e-12, 1 + 1e-9, 1.001])
def test_two_losses_are_told_apart_by_their_digits(factor):
    report = bpcheck.compare(scaled(factor, 1.0), cases=[drawn("plain")], seed=0)
    assert report.verdict is Verdict.DISAGREES
    loss = next(line for line in str(report).splitlines() if line.startswith("  loss "))
    assert loss.split()[1] != loss.split()[2]
    assert complaints(told(report), *SETTINGS["plain"]) == []


def test_a_shared_factor_is_a_convention_and_a_factor_of_one_is_none():
    report = bpcheck.compare(scaled(3.0, 3.0), cases=[drawn("plain")], seed=0)
    assert [d.equation for d in report.diagnoses] == ["loss"]
    assert "Conventions(factor=3)" in flat(str(report))
    nearly = bpcheck.compare(scaled(1 + 1e-9, 1 + 1e-9), cases=[drawn("plain")], seed=0)
    assert nearly.verdict is Verdict.DISAGREES
    assert "factor=1" not in flat(str(nearly))


# --- no network at all ----------------------------------------------------------------------------------------

ABOUT_NETWORKS = re.compile(
    r"δ|σ'|\blayers?\b|output error|\bbatch\b|∂C|W\^|\bneuron|[Wb][⁰¹²³⁴⁵⁶⁷⁸⁹]|activation|½‖a"
)


def cubes(w):
    return float(np.sum(np.asarray(w) ** 3))


def right(w):
    return 3 * np.asarray(w) ** 2


V = np.random.default_rng(2).normal(size=5)
M = np.random.default_rng(3).normal(size=(3, 3))

ANY_FUNCTION = {
    "right": (cubes, right, V),
    "a scalar": (cubes, right, np.float64(0.7)),
    "a scalar in float32": (cubes, right, np.float32(0.7)),
    "twice": (cubes, lambda w: 2 * right(w), V),
    "half": (cubes, lambda w: right(w) / 2, V),
    "the sign": (cubes, lambda w: -right(w), V),
    "zero": (cubes, lambda w: 0 * right(w), V),
    "one entry": (cubes, lambda w: right(w) * (1 + 1e-9 * np.eye(5)[2]), V),
    "an entry never written": (cubes, lambda w: right(w) * (1 - np.eye(5)[2]), V),
    "transposed": (lambda w: float(np.sum(M * np.sin(w))), lambda w: (M * np.cos(w)).T, M),
    "a scalar twice": (cubes, lambda w: 2 * right(w), np.float64(0.7)),
    "a corner": (lambda w: float(np.sum(abs(w))), np.sign, np.array([0.0, 1.0])),
    "piecewise constant": (lambda w: float(np.sum(np.round(w, 1))), np.ones_like, V),
    "exchanged": (
        lambda p: cubes(p["a"]) + float(np.sum(np.square(p["b"]))),
        lambda p: {"a": 2 * p["b"], "b": right(p["a"])},
        {"a": V, "b": 2 * V},
    ),
    "one entry of two": (
        lambda p: cubes(p["a"]) + float(np.sum(np.square(p["b"]))),
        lambda p: {"a": right(p["a"]) * (1 + np.eye(5)[1]), "b": 2 * p["b"] * (1 + np.eye(5)[3])},
        {"a": V, "b": 2 * V},
    ),
}


@pytest.mark.parametrize("name", ANY_FUNCTION)
def test_of_any_function_a_report_speaks_of_no_network(name):
    loss, gradient, at = ANY_FUNCTION[name]
    report = bpcheck.check_gradient(loss, gradient, at, seed=0)
    said = flat(told(report))
    assert not ABOUT_NETWORKS.findall(said.replace("swapped-layers", "")), str(report)
    assert complaints(said, mlp([1, 1]), 1) == []
    assert "symbols" not in said


@pytest.mark.parametrize("factor", [7.0, 1 / 7.0])
def test_a_factor_that_is_the_length_of_an_argument_is_not_said_to_be_a_batch(factor):
    weights = np.random.default_rng(4).normal(size=7)  # seven numbers, and no examples
    report = bpcheck.check_gradient(
        lambda w, a: cubes(w) * float(np.sum(a)),
        lambda w, a: factor * right(w) * np.sum(a),
        V,
        weights,
        seed=0,
    )
    said = flat(told(report))
    assert "(axis 0 of args[0] is 7)" in said
    assert "batch" not in said


def test_a_single_number_has_no_root_mean_square():
    said = flat(str(bpcheck.check_gradient(cubes, right, np.float64(0.7), seed=0)))
    assert "of itself" in said
    assert "root mean square" not in said


def test_every_bug_that_numbers_show_has_words_without_a_network():
    """What check/recognise.py names by numbers alone, and what it names by a format (where nothing is said of networks)."""
    from bpcheck.check.recognise import NAMES

    named = {*NAMES.values(), "sum-for-mean", "averaged-twice", "outer-transposed", "swapped-layers"}
    assert named <= set(BY_NUMBERS)
    for explanation, hints in BY_NUMBERS.values():
        assert not ABOUT_NETWORKS.search(" ".join((explanation, *hints)))


# --- alternatives, and what is wrong at the same time -----------------------------------------------------------


def test_alternatives_are_told_as_such_with_the_experiment_that_parts_them():
    case = drawn("one example")

    def for_this_shape_only(params, x, y, architecture):
        if x.shape != case.x.shape or y.shape != case.y.shape:
            raise ValueError("made for one shape")
        return CATALOGUE["factor-two"].program()(params, x, y, architecture)

    report = bpcheck.compare(for_this_shape_only, cases=[case], seed=0)
    assert {d.bug for d in report.diagnoses} == {"factor-two", "outputs-not-averaged"}
    labels = re.findall(r"^  (to do|or|and|which\?|bug \d/\d) ", str(report), re.M)
    assert labels == ["to do", "or", "which?", "bug 1/2", "bug 2/2"]
    assert "a network with 4 outputs" in flat(str(report))


def test_two_bugs_at_once_are_no_alternatives():
    both = (
        Diagnosis("BP3", bug="a", hint="First."),
        Diagnosis("BP4", bug="b", hint="Second."),
        Diagnosis("BP2", bug="c", hint="Third.", explanation=1, apart="Try five examples."),
    )
    text = str(Report("f", Verdict.DISAGREES, diagnoses=both))
    labels = re.findall(r"^  (to do|or|and bug|and|which\?|bug \d/\d|equation) ", text, re.M)
    assert labels == [
        *("to do", "and", "or", "which?"),
        *("equation", "bug 1/2", "equation", "and bug", "equation", "bug 2/2"),
    ]


# --- the battery itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("the loss is 0.6931471806, not 0.6931471806 (they", "look alike"),
        ("loss and gradient share the factor 1: this is", "a factor of 1"),
        ("the weight penalty: λ₁ sign(W) + λ₂ W", "penalty where there is none"),
        ("is the rate η/m applied", "a step where there is none"),
        ("divided by the batch size once too often", "where there is one example"),
        ("divided by the number of outputs", "outputs where there is one"),
        ("1 of 1 entries differ", "like a machine"),
        ("A^l was used for a^{l−1}", "capital"),
        ("the shape of W of layer 2[0]", "index of a phrase"),
    ],
)
def test_the_sentences_that_were_false_would_be_found(said, why):
    assert any(why in complaint for complaint in complaints(said, mlp([3, 1]), 1))


@pytest.mark.full
def test_every_sentence_can_be_listed():
    found = [sentence for room in ROOMS for sentence in sentences(room)]
    texts = {sentence.text for sentence in found}
    assert len(found) > 1500
    assert EQUATIONS["loss"] in texts
    assert any("differs by more than its bound" in text for text in texts)
    assert not any("Parameters ----------" in text for text in texts)  # docstrings


@pytest.mark.parametrize("pair", [(0.5, 0.25), (1.0, 1.0 + 2.0**-52), (0.1 + 0.2, 0.3), (-1e300, 1e300)])
def test_numbers_that_differ_look_different(pair):
    first, second = told_apart(*pair)
    assert first != second
    assert {float(first) == pair[0] or len(first) < 17, float(second) == pair[1] or len(second) < 17} == {
        True
    }
