"""The noun: immutable, printable, safe to show; and the machinery that puts questions."""

import dataclasses
import html.parser

import numpy as np
import pytest

from bpcheck.course import Answer, State
from bpcheck.course.answer import MOST_CHARACTERS
from bpcheck.course.exercise import Trial, call, hold, is_stub


def test_it_is_immutable_and_true_only_when_right():
    for state in State:
        answer = Answer("unit", state)
        assert answer.ok is bool(answer) is (state is State.RIGHT)
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.reason = "other"


def test_it_prints_the_same_words_as_text_and_as_html():
    answer = Answer("unit", State.WRONG, "z is <1> & not 2.", hint="Add b.", checked="Six units.")
    words = []
    parser = html.parser.HTMLParser()
    parser.handle_data = words.append
    parser.feed(answer._repr_html_())
    shown = " ".join(" ".join(words).split())
    for text in ("unit: not right yet", "z is <1> & not 2.", "Hint: Add b.", "Six units."):
        assert text in str(answer)
        assert text in shown
    assert repr(answer) == str(answer)
    assert "background:#fff" in answer._repr_html_()  # readable in a dark theme


def test_stubs_are_told_from_functions_that_forget_to_return():
    def dots(x): ...

    def documented(x):
        """Return x."""

    def passes(x):
        pass

    def gives_dots(x):
        return ...

    def forgets(x):
        x + 1

    def one(x):
        return 1

    assert all(map(is_stub, (dots, documented, passes, gives_dots, None, ...)))
    assert not any(map(is_stub, (forgets, one, np.sin, len, 3)))


def trials():
    return [Trial.exact(f"for {n}", (np.arange(n) * 1.0,), np.arange(n) * 2.0, ("twice",)) for n in (2, 3)]


FORGOT = {"That is the square.": lambda x: x * x, "Doubled twice.": lambda x: 4 * x}


def test_an_entry_of_what_has_words_for_a_name_is_no_index_of_a_phrase():
    asked = [Trial.exact("for two", (np.ones(2),), np.zeros(2), ("the shape of W of layer 2",))]
    said = hold("shapes", lambda x: np.array([0.0, 1e-9]), asked, {}, checked="").reason
    assert said == "entry 1 of the shape of W of layer 2 is 1e-09, but 0 is right, for two."


def answer(function):
    return hold("double", function, trials(), FORGOT, checked="Two.")


def test_right_in_any_style():
    for function in (
        lambda x: x + x,
        lambda x: [2 * v for v in x],
        lambda x: tuple(2 * x),
        lambda x: 2 * x.copy(),
    ):
        assert answer(function).ok, answer(function)


@pytest.mark.parametrize(
    ("function", "state", "words"),
    [
        (lambda x: 4 * x, State.WRONG, "Doubled twice"),
        (lambda x: 2 * x + 1, State.WRONG, "twice[0] is 1, but 0 is right"),
        (lambda x: 2 * x + np.nan, State.WRONG, "nan"),
        (lambda x: 2 * x[:1], State.WRONG, "shape (1,), but (2,)"),
        (lambda x: "2x", State.WRONG, "numbers are needed"),
        (lambda x: [2 * x, ...], State.NOT_DONE, "three dots"),
        (lambda x: print(end=""), State.WRONG, "returns None"),
        (lambda x: x.nothing, State.RAISED, "AttributeError"),
        (lambda x: exec("raise NotImplementedError"), State.NOT_DONE, "three dots"),
        (lambda x: exec("raise SystemExit(3)"), State.RAISED, "SystemExit"),
        (lambda x: x[1 / 0], State.RAISED, "ZeroDivisionError"),
        (3.0, State.WRONG, "A function is needed"),
        (..., State.NOT_DONE, ""),
    ],
)
def test_what_is_not_right(function, state, words):
    said = answer(function)
    assert said.state is state
    assert words in str(said)


def test_a_mistake_is_named_only_if_it_is_made_every_time():
    # x² and 4x agree at 0 alone; a function that is each of them once is neither
    assert answer(lambda x: x * x if len(x) == 2 else 4 * x).hint == ""


def test_a_change_in_place_is_seen():
    def doubles(x):
        x *= 2
        return x

    said = answer(doubles)
    assert said.state is State.WRONG
    assert "changes x in place" in said.reason


def test_the_line_that_raised_is_the_readers_own():
    def breaks(x):
        return np.linalg.inv(x)  # here

    outcome = call(breaks, [np.zeros(3)])
    assert outcome.error.startswith("LinAlgError")
    assert "np.linalg.inv(x)  # here" in outcome.place


def test_long_messages_are_cut():
    def breaks(x):
        raise ValueError("long " * 1000)

    assert len(answer(breaks).reason) < MOST_CHARACTERS + 200


def test_the_readers_random_state_and_error_state_do_not_leak():
    def leaks(x):
        np.random.seed(1)  # noqa: NPY002
        np.seterr(all="ignore")
        return 2 * x

    before, errors = np.random.get_state()[1].copy(), np.geterr()  # noqa: NPY002
    assert answer(leaks).ok
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert np.geterr() == errors
