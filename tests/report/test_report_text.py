"""The text of a report: what comes first, what a hint keeps to itself, and that it fits a terminal."""

import re

import pytest
from samples import MAKERS, sample

from bpcheck import Comparison, Diagnosis, Report, Verdict
from bpcheck.errors import InputError
from bpcheck.report.text import EQUATIONS, MEANINGS, WIDTH, symbols, to_do


def flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize("name", MAKERS)
def test_the_full_text_is_what_print_shows(name):
    report = sample(name)
    assert str(report) == report.to_text() == report.to_text(verbosity="full")


def test_first_the_verdict_then_what_to_do_then_the_evidence():
    text = str(sample("named bug"))
    order = ["DISAGREES", "larger than all rounding", "to do", "equation", "because", "yours", "to paste"]
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert text.index("to do") < 200  # within the first lines


@pytest.mark.parametrize("name", MAKERS)
def test_sentences_fit_a_terminal(name):
    # tables and code keep their lines
    lines = sample(name).to_text(verbosity="hint").splitlines()
    assert max(map(len, lines)) <= WIDTH


@pytest.mark.parametrize("name", [n for n in MAKERS if n not in ("agrees", "kink", "inconclusive", "empty")])
def test_a_hint_gives_neither_the_numbers_nor_the_case(name):
    report = sample(name)
    text = report.to_text(verbosity="hint")
    assert report.verdict.value in flat(text)
    assert to_do(report)
    for sentence in to_do(report):
        assert sentence in flat(text)
    diagnoses = report.diagnoses[:1] or (Diagnosis(""),)
    if diagnoses[0].equation:
        assert flat(EQUATIONS[report.diagnoses[0].equation]) in flat(text)
        assert flat(MEANINGS[report.diagnoses[0].equation]) in flat(text)
    assert "Case(" not in text
    assert "yours" not in text  # the table
    # no number with a decimal point, but for those in the caller's own names
    assert not re.findall(r"\d\.\d", text)
    full = report.to_text()
    assert len(text) < len(full)
    for evidence in diagnoses[0].evidence:
        assert evidence in flat(full)
        assert evidence not in flat(text)


def test_a_hint_on_what_could_not_be_decided_says_what_helps():
    text = flat(sample("inconclusive").to_text(verbosity="hint"))
    assert "Leave the constant out of the loss" in text


@pytest.mark.parametrize("verbosity", ["short", None, 1, "FULL"])
def test_another_verbosity_is_refused(verbosity):
    with pytest.raises(InputError, match="give 'full', or for less and less 'hint'"):
        Report("f", Verdict.AGREES).to_text(verbosity=verbosity)


def test_every_equation_has_its_meaning():
    assert set(EQUATIONS) == set(MEANINGS)


@pytest.mark.parametrize(
    ("diagnoses", "expected"),
    [
        ((), "compute the gradient."),
        ((Diagnosis("", "params['w']"),), "compute the gradient of params['w']."),
        ((Diagnosis("", "z: every entry of the Jacobian"),), "compute the derivatives with respect to z."),
        ((Diagnosis("BP4", "params[0]['weight']", layer=2),), "computes BP4 in layer 2"),
        ((Diagnosis("BP4", hint="Swap."), Diagnosis("BP4", hint="Swap.")), "Swap."),
    ],
)
def test_there_is_always_something_to_do(diagnoses, expected):
    said = to_do(Report("f", Verdict.DISAGREES, diagnoses=diagnoses))
    assert len(said) == 1
    assert expected in said[0]


def test_where_several_tensors_are_wrong_the_steps_above_them_are_suspect_too():
    wrong = tuple(Comparison(f"params['{name}']", Verdict.DISAGREES) for name in "vw")
    assert "backward steps" in to_do(Report("f", Verdict.DISAGREES, wrong))[0]
    assert "backward steps" not in to_do(Report("f", Verdict.DISAGREES, wrong[:1]))[0]


def test_two_bugs_that_explain_the_same_numbers_are_both_told():
    both = (Diagnosis("BP3", bug="a", hint="First."), Diagnosis("BP4", bug="b", hint="Second."))
    report = Report("f", Verdict.DISAGREES, diagnoses=both)
    for text in (report.to_text(), report.to_text(verbosity="hint")):
        assert text.index("First.") < text.index("Second.")
    assert "BP4" in report.to_text(verbosity="hint")


def test_three_hints_each_tell_more_than_the_one_before():
    report = sample("named bug")
    texts = [flat(report.to_text(verbosity=v)) for v in ("symptom", "equation", "hint", "full")]
    (diagnosis,) = report.diagnoses
    assert diagnosis.hints
    symptom, question, line = diagnosis.hints
    assert [symptom in text for text in texts] == [True, True, True, False]
    assert [question in text for text in texts] == [False, True, True, False]
    assert [line in text for text in texts] == [False, False, True, True]
    assert not any(re.findall(r"\d\.\d", text) for text in texts[:3])


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("kernel gradient", ["o is", "p a place", "c is", "q is", "s is"]),
        ("error below a convolution", ["o is", "p a place", "c is", "i is", "s is"]),
        ("skip path", ["x and y are", "f what"]),
    ],
)
def test_every_letter_of_an_equation_of_a_convolution_or_a_skip_connection_is_explained(name, letters):
    said = symbols(EQUATIONS[name])
    assert [one for one in letters if one not in said] == []
    assert not any(one in symbols(EQUATIONS["BP2"]) for one in letters)
