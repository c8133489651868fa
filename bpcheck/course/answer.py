"""What an exercise answers: one of four words, the reason, and a hint."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import Enum
from html import escape

from bpcheck.course.prose import prose

__all__ = ["Answer", "State"]

WIDTH = 90
INDENT = "  "

MOST_CHARACTERS = 300
"""Longer messages of somebody else's exception are cut: the first lines hold what matters."""


class State(Enum):
    """How far an exercise is.

    Examples
    --------
    >>> State.NOT_DONE.value
    'not done yet'
    """

    RIGHT = "right"
    WRONG = "not right yet"
    RAISED = "your code stopped with an error"
    NOT_DONE = "not done yet"


# A sign besides the colour, for those who do not see the difference; colours with a contrast of more
# than 4.5 to 1 on white (WCAG 2.2, 1.4.3).
_LOOK = {
    State.RIGHT: ("✓", "#1a6b35"),
    State.WRONG: ("✗", "#a1260d"),
    State.RAISED: ("✗", "#a1260d"),
    State.NOT_DONE: ("…", "#595959"),
}


@dataclass(frozen=True)
class Answer:
    """The answer to one exercise. Prints itself, as plain text and in a notebook.

    Attributes
    ----------
    exercise : str
        Name of the checker.
    state : State
    reason : str
        What was found.
    hint : str
        What to look at; for a mistake that was recognised, what it is.
    checked : str
        What was looked at, for an answer that is right.

    Examples
    --------
    >>> answer = Answer("unit", State.WRONG, "z is 1, but 2 is right.", hint="Add the bias.")
    >>> answer.ok
    False
    >>> print(answer)
    unit: not right yet
    <BLANKLINE>
      z is 1, but 2 is right.
      Hint: Add the bias.
    """

    exercise: str
    state: State
    reason: str = ""
    hint: str = ""
    checked: str = ""

    @property
    def ok(self) -> bool:
        """Whether the exercise is done."""
        return self.state is State.RIGHT

    def __bool__(self) -> bool:
        return self.ok

    def _paragraphs(self) -> list[str]:
        hint = f"Hint: {self.hint}" if self.hint else ""
        return [text for text in (self.reason, hint, self.checked) if text]

    def __str__(self) -> str:
        body = "\n".join(
            textwrap.fill(
                text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT, break_long_words=False
            )
            for text in self._paragraphs()
        )
        head = f"{self.exercise}: {self.state.value}"
        return f"{head}\n\n{body}" if body else head

    __repr__ = __str__

    def _repr_html_(self) -> str:
        sign, colour = _LOOK[self.state]
        body = "".join(
            f'<p style="margin:.35em 0 0 0;color:#1f1f1f">{prose(text)}</p>' for text in self._paragraphs()
        )
        # background and text colour are both set, so that it can be read in a dark theme too
        return (
            f'<div style="border-left:5px solid {colour};background:#fff;padding:.6em .9em;max-width:46em;'
            f'font-family:system-ui,sans-serif;font-size:14px;line-height:1.45">'
            f'<strong style="color:{colour}">{sign} {escape(self.exercise)}: {self.state.value}</strong>{body}</div>'
        )


def shortened(text: str) -> str:
    """One paragraph of at most 300 characters.

    Examples
    --------
    >>> shortened("two   words")
    'two words'
    """
    joined = " ".join(text.split())
    return joined if len(joined) <= MOST_CHARACTERS else joined[: MOST_CHARACTERS - 1] + "…"
