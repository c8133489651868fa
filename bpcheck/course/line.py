"""Putting a reader's line to the index calculus: does it hold, is it what was asked for, which mistake is it.

A mistake is named only if the reader's line *is* that mistake: the calculus must prove the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sympy

from bpcheck.course.answer import Answer, State, shortened
from bpcheck.course.display import counterexample
from bpcheck.course.exercise import first_hint, not_done
from bpcheck.errors import BpcheckError
from bpcheck.symbolic.index import (
    Contradiction,
    Definition,
    Diff,
    Index,
    Line,
    TotalIs,
    check_line,
    is_zero,
    text,
)
from bpcheck.symbolic.index.interpret import symbols_of

__all__ = ["DIFFERENTIATED", "Asked", "Demands", "hold_line", "judge_line", "same"]


Demands = Mapping[str, Callable[[Any], bool]]
"""What the form of a true line must meet: what is told where it is not met, and what takes the line."""

DIFFERENTIATED: Demands = {
    "It is true, but a derivative is still waiting in it: carry it out.": lambda term: not term.has(Diff)
}


@dataclass(frozen=True)
class Asked:
    """One line that a reader is asked for, equal to the one before.

    ``slips`` says what to tell whoever writes a wrong line: by that, the line, or several in a tuple.
    """

    before: Any
    given: Sequence[Definition | TotalIs] = ()
    slips: Mapping[str, Any] = field(default_factory=dict)
    demands: Demands = field(default_factory=lambda: DIFFERENTIATED)


def same(one: Any, other: Any, given: Iterable[Definition | TotalIs] = ()) -> bool:
    """Whether the calculus proves two terms equal; False also where it cannot read one of them.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Size, Tensor, total
    >>> n, x = Size("n"), Tensor("x")
    >>> same(total(x[Index("j", n)], Index("j", n)), total(x[Index("k", n)], Index("k", n)))
    True
    """
    try:
        return bool(is_zero(sympy.sympify(one) - sympy.sympify(other), tuple(given)))
    except (BpcheckError, TypeError, ValueError, AttributeError):
        return False


def judge_line(asked: Asked, line: Any) -> tuple[str, str]:
    """Why a line is not right, and a hint; nothing if it is right.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Size, Tensor, total
    >>> n, x = Size("n"), Tensor("x")
    >>> j, k = Index("j", n), Index("k", n)
    >>> asked = Asked(Diff(total(x[k] ** 2, k), x[j]), slips={"Where is the 2?": x[j]})
    >>> judge_line(asked, 2 * x[j])
    ('', '')
    >>> judge_line(asked, x[j])  # doctest: +ELLIPSIS
    ('With n = 1, at j = 1: x_j is ..., but ... is right.', 'Where is the 2?')
    """
    reason, hint = _misread(asked, line)
    if reason:
        return reason, hint
    try:
        hashable = isinstance(line, sympy.Basic)
        said = (_checked if hashable else check_line)(asked.before, line, tuple(asked.given))
    except Contradiction:
        raise
    except BpcheckError as error:
        return shortened(str(error)), _recognise(asked, line)
    except (TypeError, AttributeError, ValueError) as error:
        what = f"{type(error).__name__}: {shortened(str(error))}"
        return f"This is no line that the calculus can read ({what}).", ""
    if said.undecided:
        reason = "It holds in every instance tried, but the calculus finds no proof."
        return reason, "Write it in a simpler form, with the letters of this section alone."
    if not said.ok:
        return _difference(said), _recognise(asked, line)
    return next((reply for reply, met in asked.demands.items() if not met(said.after)), ""), ""


# A proof with blanks is checked again as a whole whenever one of its lines changes.
LINES_KEPT = 64


@lru_cache(maxsize=LINES_KEPT)
def _checked(before: Any, line: Any, given: tuple[Definition | TotalIs, ...]) -> Line:
    return check_line(before, line, given)


def _difference(line: Line) -> str:
    where, before, after = counterexample(line)
    place = "With" if not where.startswith("at ") else ""
    return f"{place} {where}: {text(line.after)} is {after}, but {before} is right.".strip()


def _recognise(asked: Asked, line: Any) -> str:
    # definitions are looked up only where a derivative needs them: the line must be the slip, not just equal it
    needed = asked.given if isinstance(line, sympy.Basic) and line.has(Diff) else ()
    return first_hint(asked.slips, lambda slip: same(line, slip, needed))


def _misread(asked: Asked, line: Any) -> tuple[str, str]:
    """What the calculus would read in another sense than it was meant, and what to do about it."""
    if not isinstance(line, sympy.Basic):
        return "", ""
    terms = [asked.before]
    for slip in asked.slips.values():
        terms += slip if isinstance(slip, tuple) else [slip]
    ours = {index.name: index for index in symbols_of(terms, Index)}
    for index in symbols_of([line], Index):
        own = ours.get(index.name, index)
        if own != index:
            reason = (
                f"{index.name} runs from {text(index.lower)} to {text(index.upper)} in your line; "
                f"here it runs from {text(own.lower)} to {text(own.upper)}."
            )
            return reason, "Run the cell that makes the letters of this section again."
    return _misread_entry(terms, line)


def _misread_entry(terms: list[Any], line: Any) -> tuple[str, str]:
    """The same of an entry with more or fewer indices than in the terms of this section."""
    examples = {entry.base: entry for entry in symbols_of(terms, sympy.Indexed)}
    for entry in symbols_of([line], sympy.Indexed):
        example = examples.get(entry.base, entry)
        if len(example.indices) != len(entry.indices):
            layered = (
                "The layer comes first, then the units." if getattr(entry.base, "superscripts", 0) else ""
            )
            return f"{entry} is no entry of {entry.base.name}: write it like {example}.", layered
    return "", ""


def hold_line(exercise: str, line: Any, asked: Asked, *, checked: str) -> Answer:
    """Judge a reader's line.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Size, Tensor, total
    >>> n, x = Size("n"), Tensor("x")
    >>> j, k = Index("j", n), Index("k", n)
    >>> hold_line("square", ..., Asked(Diff(total(x[k] ** 2, k), x[j])), checked="").state.value
    'not done yet'
    """
    if line is None or line is ...:
        return not_done(exercise)
    reason, hint = judge_line(asked, line)
    if reason:
        return Answer(exercise, State.WRONG, reason, hint=hint)
    return Answer(exercise, State.RIGHT, checked=checked)
