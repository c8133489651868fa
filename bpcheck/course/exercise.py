"""Putting questions to a reader's function: call it on copies, hold what it says against bounds, name the mistake.

A mistake is named only if it is *reproduced*: a function with that mistake gives the reader's numbers in
every trial (or stops with the same message). A mistake that nothing reproduces gets no name.
"""

from __future__ import annotations

import dis
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.agreement import judge
from bpcheck.check.contract import Clock, changed, guarded, guarded_call
from bpcheck.course.answer import Answer, State, shortened
from bpcheck.errors import BpcheckError
from bpcheck.network.architecture import Architecture
from bpcheck.numeric.noise import UNIT_ROUNDOFF
from bpcheck.precision import told_apart
from bpcheck.reference.numbers.ball import Ball
from bpcheck.report.text import equation
from bpcheck.result import Diagnosis
from bpcheck.search import compare
from bpcheck.tree import FloatArray, Tree

__all__ = [
    "SEED",
    "Mistakes",
    "Outcome",
    "Trial",
    "call",
    "compared",
    "first_hint",
    "hold",
    "holds_ellipsis",
    "is_stub",
    "unusable",
]

SEED = 0
"""The trials are random and the same each time, so that an answer can be looked into."""

# A formula with a mistake in it may round where the right one does not: so many units in the last place,
# as many as it has operations (the longest of them has about ten).
ROUNDINGS = 16

# What a function that only holds a docstring and `...` (or `pass`) compiles to, in Python 3.11 to 3.13.
NOTHING = {"RESUME", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "NOP"}


@dataclass(frozen=True, eq=False)
class Trial:
    """One question.

    ``about`` ends a sentence: ``"for a layer from 3 to 5 units"``. ``bound`` is how far rounding may take a right answer
    from ``right``, 0 where everything is exact; ``names`` are what the parts of the answer are called, in order.
    """

    about: str
    arguments: tuple[Any, ...]
    right: Tree
    bound: Tree
    names: tuple[str, ...]

    @classmethod
    def enclosed(cls, about: str, arguments: tuple[Any, ...], balls: Tree, names: tuple[str, ...]) -> Trial:
        """A trial whose right answer is known as balls: the bound is twice the radius.

        Once for the distance of the middle from the exact value, once for the reader's.
        """
        return cls(about, arguments, _each(balls, lambda b: b.mid), _each(balls, lambda b: 2 * b.rad), names)

    @classmethod
    def exact(cls, about: str, arguments: tuple[Any, ...], right: Tree, names: tuple[str, ...]) -> Trial:
        """A trial without any rounding."""
        arrays = _each(right, lambda value: np.asarray(value, dtype=float))
        return cls(about, arguments, arrays, _each(arrays, np.zeros_like), names)


Mistakes = Mapping[str, Callable[..., Any] | tuple[Callable[..., Any], ...]]
"""What to tell whoever makes a mistake, and a function with that mistake in it, or several."""


def first_hint(mistakes: Mapping[str, Any], is_made: Callable[[Any], bool]) -> str:
    """What to tell of the first mistake that is made, in whichever of its forms, or ``""``.

    Examples
    --------
    >>> first_hint({"Once.": 1, "Two or three times.": (2, 3)}, lambda wrong: wrong == 3)
    'Two or three times.'
    """
    for hint, wrong in mistakes.items():
        if any(map(is_made, wrong if isinstance(wrong, tuple) else (wrong,))):
            return hint
    return ""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one call of a reader's function came to.

    ``error`` holds type and message of an exception, and ``place`` the reader's line that raised it; ``changed`` is an
    argument that the call changed in place; a stub is ``undone``, which raises NotImplementedError or hands back ``...``.
    """

    value: Any = None
    error: str = ""
    place: str = ""
    changed: str = ""
    undone: bool = False

    def refusal(self, exercise: str, about: str, *, hint: str = "") -> Answer | None:
        """The answer to a call whose value need not be looked at: not done, an error, None, an argument changed in place.

        ``hint`` is for a call that raised.
        """
        if self.undone:
            return not_done(exercise)
        if self.error:
            place = f" ({self.place})" if self.place else ""
            return Answer(exercise, State.RAISED, f"{self.error}{place}, {about}.", hint=hint)
        if self.value is None:
            hint = "A Python function without `return` returns None."
            return Answer(exercise, State.WRONG, f"Your function returns None, {about}.", hint=hint)
        if self.changed:
            reason = f"Your function changes {self.changed} in place, {about}."
            hint = "The caller still needs it as it was. Work on a copy, or write x = x - … instead of x -= …"
            return Answer(exercise, State.WRONG, reason, hint=hint)
        return None


def _each(node: Tree, function: Callable[[Any], Any]) -> Tree:
    if isinstance(node, list | tuple):
        return [_each(child, function) for child in node]
    return function(node)


def is_stub(function: Any) -> bool:
    """Whether an exercise is still as it was handed out: ``...``, None, or a function that does nothing.

    Examples
    --------
    >>> def untouched(x):
    ...     ...
    >>> is_stub(untouched), is_stub(...), is_stub(lambda x: x + 1)
    (True, True, False)
    """
    if function is None or function is ...:
        return True
    code = getattr(function, "__code__", None)
    if code is None:
        return False
    returned = [i.argval for i in dis.get_instructions(code) if "CONST" in i.opname]
    does_nothing = all(i.opname in NOTHING for i in dis.get_instructions(code))
    return does_nothing and all(value is None or value is ... for value in returned)


def call(function: Callable[..., Any], arguments: Sequence[Any]) -> Outcome:
    """Call a reader's function on copies and look at everything it did.

    Examples
    --------
    >>> call(lambda x: 1 / x, [0.0]).error
    'ZeroDivisionError: float division by zero'
    """
    given = [tree.copy(argument) for argument in arguments]
    try:
        with guarded():
            value = guarded_call(lambda: function(*given), Clock())
    except NotImplementedError:
        return Outcome(undone=True)
    except (Exception, SystemExit) as error:
        return Outcome(error=f"{type(error).__name__}: {shortened(str(error))}", place=_place(error))
    if holds_ellipsis(value):
        return Outcome(undone=True)
    labels = _parameter_names(function, len(given))
    for label, before, after in zip(labels, arguments, given, strict=False):
        found = changed(before, after, label)
        if found:
            return Outcome(value, changed=found[0].path.removesuffix(" after the call"))
    return Outcome(value)


def _parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    code = getattr(function, "__code__", None)
    names = list(code.co_varnames[: code.co_argcount]) if code is not None else []
    return names if len(names) >= count else [f"argument {number}" for number in range(1, count + 1)]


def holds_ellipsis(value: Any) -> bool:
    """Whether three dots are left in an answer."""
    if isinstance(value, dict):
        return any(map(holds_ellipsis, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_ellipsis, value))
    return value is ...


def _place(error: BaseException) -> str:
    """The reader's own line, the innermost that lies neither in bpcheck nor in an installed package."""
    ours = str(FilePath(__file__).parents[1])
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [
        frame
        for frame in frames
        if not frame.filename.startswith(ours) and "site-packages" not in frame.filename and frame.line
    ]
    return f"line {theirs[-1].lineno} of the cell: {theirs[-1].line}" if theirs else ""


def unusable(exercise: str, function: Any) -> Answer | None:
    """An answer for what cannot be asked at all: a stub, or something that is no function.

    Examples
    --------
    >>> unusable("unit", ...)
    unit: not done yet
    <BLANKLINE>
      Replace the three dots, then run the cell again.
    """
    if is_stub(function):
        return not_done(exercise)
    if not callable(function):
        reason = f"A function is needed, but this is {tree.describe(function)}."
        return Answer(
            exercise, State.WRONG, reason, hint="Hand over the function itself, without calling it."
        )
    return None


def not_done(exercise: str) -> Answer:
    """The answer to a stub."""
    return Answer(exercise, State.NOT_DONE, "Replace the three dots, then run the cell again.")


def hold(
    exercise: str, function: Any, trials: Sequence[Trial], mistakes: Mistakes, *, checked: str
) -> Answer:
    """Put all trials to a reader's function, or a stub; ``checked`` says what was looked at, for an answer that is right.

    Of the commonest mistakes, the first that gives the reader's numbers everywhere is named.

    Examples
    --------
    >>> trials = [Trial.exact("for 3", (3.0,), 9.0, ("the square",))]
    >>> doubled = {"You doubled.": lambda x: 2 * x}
    >>> hold("square", lambda x: x * x, trials, doubled, checked="One number.").ok
    True
    >>> print(hold("square", lambda x: x + x, trials, doubled, checked="One number."))
    square: not right yet
    <BLANKLINE>
      the square is 6, but 9 is right, for 3.
      Hint: You doubled.
    """
    refused = unusable(exercise, function)
    if refused is not None:
        return refused
    outcomes = [call(function, trial.arguments) for trial in trials]
    if any(outcome.undone for outcome in outcomes):
        return not_done(exercise)
    widest = largest = 0.0
    for trial, outcome in zip(trials, outcomes, strict=True):
        hint = _recognise(trials, outcomes, mistakes) if outcome.error else ""
        refused = outcome.refusal(exercise, trial.about, hint=hint)
        if refused is not None:
            return refused
        fault, difference, bound = _fault(trial, outcome.value)
        if fault:
            return Answer(exercise, State.WRONG, fault, hint=_recognise(trials, outcomes, mistakes))
        largest, widest = max(largest, difference), max(widest, bound)
    numbers = (
        "Every number is exact."
        if widest == 0.0
        else f"The largest difference is {largest:.1e}; rounding allows up to {widest:.1e}."
    )
    return Answer(exercise, State.RIGHT, checked=f"{checked} {numbers}")


def compared(
    exercise: str, function: Any, architectures: Sequence[Architecture], *, of: str, **options: Any
) -> Answer:
    """What :func:`bpcheck.compare` says of a reader's function, as an answer; ``of`` says what the cases are."""
    try:
        report = compare(function, architectures=architectures, seed=SEED, progress=False, **options)
    except BpcheckError as error:
        return Answer(exercise, State.RAISED, shortened(str(error)))
    if not report.ok:
        found = (*report.diagnoses, Diagnosis(""))[0]
        where = (
            f" Where it begins: {equation(found.equation, report)}."
            if found.equation.startswith("BP")
            else ""
        )
        reason = f"bpcheck.compare() does not agree: {report.verdict.value}.{where}"
        return Answer(exercise, State.WRONG, reason, hint=found.hint)
    checked = (
        f"bpcheck.compare() agrees on {report.examples} random {of}; an entry that is wrong by "
        f"{report.detection_limit.maximum:.0e} of its tensor's size would have been seen."
    )
    return Answer(exercise, State.RIGHT, checked=checked)


def _recognise(trials: Sequence[Trial], outcomes: Sequence[Outcome], mistakes: Mistakes) -> str:
    """The hint of the first mistake that does what the reader's function did, in every trial."""
    asked = list(zip(trials, outcomes, strict=True))
    return first_hint(
        mistakes, lambda wrong: all(_same(trial, was, call(wrong, trial.arguments)) for trial, was in asked)
    )


def _same(trial: Trial, one: Outcome, other: Outcome) -> bool:
    if one.error or other.error:
        return one.error == other.error
    left, right = _flat(one.value), _flat(other.value)
    if one.changed or left is None or right is None or [a.shape for a in left] != [a.shape for a in right]:
        return False
    # rounding grows with the numbers: the bound of the right answer, in proportion
    size, largest = _largest(trial.right), _largest(right)
    allowed = _largest(trial.bound) * max(1.0, largest / (size or math.inf))
    allowed += ROUNDINGS * UNIT_ROUNDOFF * largest
    return all(bool(np.all(abs(a - b) <= allowed)) for a, b in zip(left, right, strict=True))


def _largest(arrays: Tree) -> float:
    return max((float(abs(array).max(initial=0.0)) for _, array in tree.leaves(arrays)), default=0.0)


def _flat(value: Any) -> list[FloatArray] | None:
    """All arrays of an answer, in order, or None if there is none, or something else in it."""
    if value is None:
        return None
    try:
        return [np.asarray(leaf, dtype=float) for _, leaf in tree.leaves(value)]
    except (TypeError, ValueError):
        return None


def _fault(trial: Trial, value: Any) -> tuple[str, float, float]:
    """What is wrong with one answer, or ``""``; the largest difference, the widest bound."""
    pairs: list[tuple[str, FloatArray, FloatArray, FloatArray]] = []
    fault = _pair(value, trial.right, trial.bound, iter(trial.names), "your answer", pairs)
    if fault:
        return f"{fault}, {trial.about}.", 0.0, 0.0
    largest = widest = 0.0
    for name, actual, expected, bound in pairs:
        comparison = judge(name, actual, expected, bound)
        if not comparison.verdict.ok:
            index = comparison.worst_index
            yours, right = told_apart(float(actual[index]), float(expected[index]))
            return f"{_entry(name, index)} is {yours}, but {right} is right, {trial.about}.", 0.0, 0.0
        largest = max(largest, float(abs(actual - expected).max(initial=0.0)))
        widest = max(widest, float(bound.max(initial=0.0)))
    return "", largest, widest


def _entry(name: str, index: tuple[int, ...]) -> str:
    """``z^2[0, 1]``, or of what has words for a name ``entry 0 of the shape of W of layer 2``."""
    place = ", ".join(map(str, index))
    if not place:
        return name
    return f"entry {place} of {name}" if " " in name else f"{name}[{place}]"


def _pair(value: Any, right: Tree, bound: Tree, names: Any, what: str, pairs: list[Any]) -> str:
    """Match an answer with what is right, part by part; the fault of its form, or ``""``."""
    if isinstance(right, list):
        listed = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)
        if not listed:
            return f"{what} is {tree.describe(value)}, but {len(right)} parts are needed"
        if len(value) != len(right):
            return f"{what} has {len(value)} parts, but {len(right)} are needed"
        for number, (child, its_right, its_bound) in enumerate(zip(value, right, bound, strict=True)):
            part = what if isinstance(its_right, np.ndarray) else f"part {number + 1} of {what}"
            fault = _pair(child, its_right, its_bound, names, part, pairs)
            if fault:
                return fault
        return ""
    name = next(names)
    try:
        actual = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return f"{name} is {tree.describe(value)}, but numbers are needed"
    if actual.shape != right.shape:
        return f"{name} has shape {actual.shape}, but {right.shape} is needed"
    pairs.append((name, actual, right, np.asarray(bound)))
    return ""


def exact(array: Any) -> Ball:
    """Numbers as a float64 ball of radius zero.

    Examples
    --------
    >>> exact([1.0]).rad
    array([0.])
    """
    return Ball.exact(array, u=UNIT_ROUNDOFF)
