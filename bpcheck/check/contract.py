"""Asking a subject without trusting it: copies in, a record of what it did, nothing of the caller's changed."""

from __future__ import annotations

import contextvars
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.structure import match, scalar_loss
from bpcheck.errors import InputError, SubjectError
from bpcheck.result import Comparison
from bpcheck.subject import Answer, NotAPair, Subject
from bpcheck.tree import FloatArray, Path, Tree
from bpcheck.verdict import Verdict

__all__ = ["Asked", "Clock", "HungError", "ask", "guarded", "guarded_call"]


class HungError(Exception):
    """A subject did not return within the time limit."""


@dataclass(frozen=True)
class Clock:
    """A deadline; ``Clock(None)`` never strikes.

    Attributes
    ----------
    deadline : float or None
        On :func:`time.monotonic`'s scale.
    """

    deadline: float | None = None

    @classmethod
    def start(cls, seconds: float | None) -> Clock:
        """A clock that strikes in ``seconds``."""
        if seconds is None:
            return cls(None)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            raise InputError(f"time_limit is {seconds!r}; give a positive number of seconds, or None.")
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left, infinite without a limit."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    @property
    def struck(self) -> bool:
        """Whether time is up."""
        return self.left <= 0


_CALLER: contextvars.ContextVar[contextvars.Context] = contextvars.ContextVar("bpcheck_caller")


@contextmanager
def guarded() -> Iterator[None]:
    """Give back NumPy's error state and the global random states, whatever happens inside.

    Our own arithmetic runs with NumPy's floating-point warnings off (it judges what is not finite);
    the subject runs in the caller's own context, where ``np.seterr`` is as the caller set it.
    """
    legacy, python = np.random.get_state(), random.getstate()  # noqa: NPY002
    token = _CALLER.set(contextvars.copy_context())
    with np.errstate(all="ignore"):
        try:
            yield
        finally:
            _CALLER.reset(token)
            np.random.set_state(legacy)  # noqa: NPY002
            random.setstate(python)


def guarded_call(function: Callable[[], Any], clock: Clock) -> Any:
    """Call in a context of its own, and in a thread of its own if there is a time limit.

    The context keeps a subject's ``np.seterr`` away from the caller. Python cannot stop a thread: a
    call that hangs is left behind (as a daemon, so that the program can end).

    Raises
    ------
    HungError
        If the clock strikes first.
    """
    context = _CALLER.get(None)
    context = contextvars.copy_context() if context is None else context.copy()
    if clock.deadline is None:
        return context.run(function)
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["value"] = context.run(function)
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=work, daemon=True, name="bpcheck subject")
    thread.start()
    thread.join(min(max(clock.left, 0.0), threading.TIMEOUT_MAX))
    if thread.is_alive():
        raise HungError
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


@dataclass(frozen=True, eq=False)
class Asked:
    """One answer of a subject, taken apart.

    Attributes
    ----------
    loss : float or None
    gradient : mapping of Path to array
        Leaves of the right form, copied.
    error : mapping of Path to array
        Extra absolute error that the way of asking brought in (zero for most subjects).
    findings : tuple of Comparison
        What is wrong before any number is compared: structure, arguments changed.
    warnings : tuple of str
    dtype : numpy.dtype
        The coarsest floating type in the answer.
    """

    loss: float | None
    gradient: Mapping[Path, FloatArray]
    error: Mapping[Path, FloatArray]
    findings: tuple[Comparison, ...]
    warnings: tuple[str, ...]
    dtype: Any


def ask(
    subject: Subject,
    params: Tree,
    args: tuple[Any, ...],
    *,
    clock: Clock = Clock(),
    architecture: Any = None,
    reproducer: str = "",
) -> Asked:
    """Call a subject on copies and look at everything it did.

    Parameters
    ----------
    subject : Subject
    params : tree of arrays
    args : tuple
        Further arguments (x, y).
    clock : Clock
    architecture : Architecture, optional
        Handed over if the subject has a parameter of that name.
    reproducer : str
        Goes into the error if the subject raises.

    Returns
    -------
    Asked

    Raises
    ------
    SubjectError
        If the subject raises; its exception is the ``__cause__``.
    HungError
        If it does not return in time.
    """
    given = tree.copy(params)
    given_args = tuple(tree.copy(argument) for argument in args)
    options = {"architecture": architecture} if subject.takes_architecture else {}
    try:
        answer = guarded_call(lambda: subject.answer(given, *given_args, **options), clock)
    except NotAPair as error:
        finding = Comparison("return value", Verdict.WRONG_STRUCTURE, str(error))
        return Asked(None, {}, {}, (finding,), (), np.dtype(float))
    except (HungError, InputError):
        raise
    except (Exception, SystemExit) as error:
        raise SubjectError(
            f"{subject.name} raised {type(error).__name__}: {error}", reproducer=reproducer
        ) from error
    if not isinstance(answer, Answer):
        raise InputError(
            f"{subject.name}.answer returned {tree.describe(answer)}; a Subject returns bpcheck.Answer(loss, gradient)."
        )
    return _take_apart(subject, answer, (params, args), (given, given_args))


def _take_apart(
    subject: Subject, answer: Answer, before: tuple[Tree, Tree], after: tuple[Tree, Tree]
) -> Asked:
    findings: list[Comparison] = []
    warnings = list(answer.notes)
    aliased = [
        str(path)
        for path, leaf in tree.leaves(answer.gradient, "gradient")
        for _, memory in tree.leaves(after[0])
        if isinstance(leaf, np.ndarray) and isinstance(memory, np.ndarray) and np.shares_memory(leaf, memory)
    ]
    if aliased:
        warnings.append(
            f"{aliased[0]} shares its memory with a parameter: the next update will change both. "
            "Return a new array."
        )
    matched = match(answer.gradient, before[0])
    findings += matched.findings
    loss: float | None = None
    if answer.loss is not None or subject.loss is not None:
        loss, fault = scalar_loss(answer.loss)
        if fault:
            findings.append(Comparison("loss", Verdict.WRONG_STRUCTURE, fault))
    findings += _changed(before[0], after[0], "params")
    names = ("x", "y") if len(before[1]) == 2 else [f"args[{i}]" for i in range(len(before[1]))]
    for name, old, new in zip(names, before[1], after[1], strict=True):
        findings += _changed(old, new, name)
    dtypes = [leaf.dtype for leaf in matched.arrays.values() if leaf.dtype.kind == "f"]
    if isinstance(answer.loss, np.floating | np.ndarray) and np.asarray(answer.loss).dtype.kind == "f":
        dtypes.append(np.asarray(answer.loss).dtype)
    coarsest = max(dtypes, key=lambda dtype: np.finfo(dtype).eps, default=np.dtype(float))
    if np.finfo(coarsest).eps < np.finfo(float).eps:
        coarsest = np.dtype(float)
    gradient = {path: np.asarray(leaf, dtype=float) for path, leaf in matched.arrays.items()}
    extra = {} if answer.error is None else dict(tree.leaves(answer.error))
    error = {path: np.asarray(extra.get(path, 0.0), dtype=float) for path in gradient}
    return Asked(loss, gradient, error, tuple(findings), tuple(warnings), coarsest)


def _changed(old: Tree, new: Tree, root: str) -> list[Comparison]:
    """A DISAGREES for every argument that the call changed: after it must equal before."""
    was, became = dict(tree.leaves(old, root)), dict(tree.leaves(new, root))
    if was.keys() != became.keys():
        return [
            Comparison(
                f"{root} after the call", Verdict.DISAGREES, "entries were added or removed by the call"
            )
        ]
    changed = []
    for path, before in was.items():
        if not isinstance(before, np.ndarray | np.generic | float | int):
            continue
        now, then = np.asarray(became[path]), np.asarray(before)
        if now.shape != then.shape or not np.array_equal(now, then, equal_nan=now.dtype.kind == "f"):
            changed.append(
                Comparison(
                    f"{path} after the call",
                    Verdict.DISAGREES,
                    "the call changed its argument in place; work on a copy",
                )
            )
    return changed
