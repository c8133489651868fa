"""Predictions: which of several sentences hold, said before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bpcheck.course.answer import Answer, State
from bpcheck.course.exercise import is_stub, not_done

__all__ = ["hold_predictions"]


def hold_predictions(
    exercise: str,
    given: Any,
    measured: Mapping[Any, Callable[[], tuple[bool, str]]],
    *,
    key: str,
    named: Callable[[Any], str] = str,
    hint: str,
    checked: str,
) -> Answer:
    """Hold True or False, for each of several questions, against what is measured.

    Parameters
    ----------
    exercise : str
    given : dict, or a stub
    measured : mapping of question to callable
        Each gives whether it holds, and a sentence that shows it.
    key : str
        What the keys of the dict are.
    named : callable
        A question as words.
    hint : str
        If a prediction is wrong.
    checked : str
        What was looked at, for an answer that is right.

    Examples
    --------
    >>> even = {2: lambda: (True, "2 is even."), 3: lambda: (False, "3 is odd.")}
    >>> said = {"key": "number", "hint": "Divide by 2.", "checked": "Both."}
    >>> hold_predictions("even", {2: True, 3: False}, even, **said).ok
    True
    >>> hold_predictions("even", {2: True, 3: True}, even, **said).reason
    '1 of 2 predictions hold. 3 is odd.'
    """
    if is_stub(given):
        return not_done(exercise)
    if not isinstance(given, Mapping):
        return Answer(exercise, State.WRONG, f"A dict is needed: {{{key}: True or False, …}}.")
    missing = [named(question) for question in measured if is_stub(given.get(question))]
    if missing:
        return Answer(exercise, State.NOT_DONE, f"Still to be predicted: {', '.join(missing)}.")
    wrong = []
    for question, measure in measured.items():
        if not isinstance(given[question], bool | np.bool_):
            reason = f"{named(question)} holds {given[question]!r}; predict True or False."
            return Answer(exercise, State.WRONG, reason)
        holds, sentence = measure()
        wrong += [] if bool(given[question]) is holds else [sentence]
    if wrong:
        count = f"{len(measured) - len(wrong)} of {len(measured)} predictions hold. "
        return Answer(exercise, State.WRONG, count + " ".join(wrong), hint=hint)
    return Answer(exercise, State.RIGHT, checked=checked)
