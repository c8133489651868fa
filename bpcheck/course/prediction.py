"""Predictions: which of several sentences hold, said before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from bpcheck.course.answer import Answer, State
from bpcheck.course.exercise import is_stub, not_done

__all__ = ["hold_predictions"]


def hold_predictions(
    exercise: str,
    given: Any,
    questions: Collection[Any],
    measure: Callable[[Any], tuple[bool, str]],
    *,
    key: str,
    named: Callable[[Any], str] = str,
    hint: str,
    checked: str,
) -> Answer:
    """Hold True or False, for each of several questions, against what is measured.

    ``measure`` gives whether a question holds, and a sentence that shows it; ``key`` says what the keys of the dict are,
    ``named`` turns a question into words. The hint is for a wrong prediction; ``checked`` says what was looked at.

    Examples
    --------
    >>> def even(n):
    ...     return n % 2 == 0, f"{n} is {'odd' if n % 2 else 'even'}."
    >>> said = {"key": "number", "hint": "Divide by 2.", "checked": "Both."}
    >>> hold_predictions("even", {2: True, 3: False}, (2, 3), even, **said).ok
    True
    >>> hold_predictions("even", {2: True, 3: True}, (2, 3), even, **said).reason
    '1 of 2 predictions hold. 3 is odd.'
    """
    if is_stub(given):
        return not_done(exercise)
    if not isinstance(given, Mapping):
        return Answer(exercise, State.WRONG, f"A dict is needed: {{{key}: True or False, …}}.")
    missing = [named(question) for question in questions if is_stub(given.get(question))]
    if missing:
        return Answer(exercise, State.NOT_DONE, f"Still to be predicted: {', '.join(missing)}.")
    wrong = []
    for question in questions:
        if not isinstance(given[question], bool | np.bool_):
            reason = f"{named(question)} holds {given[question]!r}; predict True or False."
            return Answer(exercise, State.WRONG, reason)
        holds, sentence = measure(question)
        wrong += [] if bool(given[question]) is holds else [sentence]
    if wrong:
        count = f"{len(questions) - len(wrong)} of {len(questions)} predictions hold. "
        return Answer(exercise, State.WRONG, count + " ".join(wrong), hint=hint)
    return Answer(exercise, State.RIGHT, checked=checked)
