"""Asking a subject without trusting it: copies in, a record of what it did, nothing of the caller's changed."""

from __future__ import annotations

import contextvars
import ctypes
import pickle
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.structure import Matched, match, scalar_loss
from bpcheck.errors import InputError, SubjectError
from bpcheck.precision import FORMATS, FloatFormat, coarsest, widened
from bpcheck.result import Comparison
from bpcheck.subject import Answer, NotAPair, Subject
from bpcheck.tree import FloatArray, Path, Tree
from bpcheck.verdict import Verdict

__all__ = [
    "ALIASED",
    "KEPT_BETWEEN_CALLS",
    "Asked",
    "Clock",
    "HungError",
    "ask",
    "changed",
    "from_its_own_frame",
    "guarded",
    "guarded_call",
    "where_raised",
]


KEPT_BETWEEN_CALLS = (
    "the first call agreed, a second one with the same arguments did not: something is kept between calls "
    "(a sum that is never reset, a cache, a random number)"
)


ALIASED = "shares its memory with"
"""Part of the warning about a gradient that is a parameter's own memory."""


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


@dataclass(eq=False)
class _Caller:
    """The caller's context, and where the subject's own use of the global random generators stands.

    ``plain`` says that NumPy's state is no more than a twister's bytes; ``given_up`` tells a thread
    that was left behind not to give back states of long ago.
    """

    context: contextvars.Context
    plain: bool
    states: tuple[Any, Any] | None = None
    given_up: bool = False


_CALLER: contextvars.ContextVar[_Caller] = contextvars.ContextVar("bpcheck_caller")


@contextmanager
def guarded() -> Iterator[None]:
    """Keep the caller's NumPy error state and global random states out of reach of the subject.

    Our own arithmetic runs with NumPy's floating-point warnings off (it judges what is not finite);
    the subject runs in the caller's own context, where ``np.seterr`` is as the caller set it.
    """
    token = _CALLER.set(_Caller(contextvars.copy_context(), _is_plain()))
    with np.errstate(all="ignore"):
        try:
            yield
        finally:
            _CALLER.reset(token)


# A Mersenne twister in memory: 624 words and a position. Copying these bytes takes 1 µs,
# np.random.get_state() 50 µs, which would be most of the time of a cheap loss.
TWISTER_BYTES = 624 * 4 + 4


def _is_plain() -> bool:
    """Whether those bytes are NumPy's whole global state: the usual generator, no normal number kept back."""
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    return bool(state["bit_generator"] == "MT19937" and not state["has_gauss"])


def _states(*, plain: bool = False) -> tuple[Any, Any]:
    """The global random states of NumPy (as bytes if ``plain``) and Python."""
    if not plain:
        return np.random.get_state(), random.getstate()  # noqa: NPY002
    address = np.random.get_bit_generator().ctypes.state_address  # type: ignore[attr-defined]
    return ctypes.string_at(int(address), TWISTER_BYTES), random.getstate()


def _set_states(states: tuple[Any, Any]) -> None:
    numpy_state, python_state = states
    if isinstance(numpy_state, bytes):
        words = np.frombuffer(numpy_state, np.uint32)
        numpy_state = ("MT19937", words[:-1], int(words[-1]), 0, 0.0)
    np.random.set_state(numpy_state)  # noqa: NPY002
    random.setstate(python_state)


def _same(first: tuple[Any, Any], second: tuple[Any, Any]) -> bool:
    if isinstance(first[0], bytes) and isinstance(second[0], bytes):
        return first == second
    return first[1] == second[1] and pickle.dumps(first[0]) == pickle.dumps(second[0])


def _apart(function: Callable[[], Any], caller: _Caller, before: tuple[Any, Any]) -> Any:
    """Call with the subject's own random states; nobody else's numbers are drawn or given back.

    Between calls the caller's states stand as they are: another thread may be drawing from them. (What
    another thread draws *during* a call cannot be told from what the subject draws, and is given back.)
    """
    if caller.states is not None:
        _set_states(caller.states)
    try:
        return function()
    finally:
        moved = caller.states is not None or not _same(_states(plain=caller.plain), before)
        if moved and not caller.given_up:
            caller.states, caller.plain = _states(), False
            _set_states(before)


def guarded_call(function: Callable[[], Any], clock: Clock) -> Any:
    """Call in a context of its own, and in a thread of its own if there is a time limit.

    The context keeps a subject's ``np.seterr`` away from the caller. Python cannot stop a thread: a
    call that hangs is left behind (as a daemon, so that the program can end).

    Raises
    ------
    HungError
        If the clock strikes first.
    """
    caller = _CALLER.get(None) or _Caller(contextvars.copy_context(), _is_plain())
    context, before = caller.context.copy(), _states(plain=caller.plain)
    if clock.deadline is None:
        return context.run(_apart, function, caller, before)
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["value"] = context.run(_apart, function, caller, before)
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=work, daemon=True, name="bpcheck subject")
    thread.start()
    thread.join(min(max(clock.left, 0.0), threading.TIMEOUT_MAX))
    if thread.is_alive():
        caller.given_up = True
        _set_states(before)
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
        The coarsest floating type in the answer; float32 stands for bfloat16, which NumPy has not.
    precision : FloatFormat
        The coarsest format in the answer, bfloat16 included.
    kept : tuple of (str, array, array)
        Every array of the gradient as the subject returned it, with its name and a copy, where that was asked for:
        a later call must not change it.
    """

    loss: float | None
    gradient: Mapping[Path, FloatArray]
    error: Mapping[Path, FloatArray]
    findings: tuple[Comparison, ...]
    warnings: tuple[str, ...]
    dtype: Any
    precision: FloatFormat = FORMATS["float64"]
    kept: tuple[tuple[str, Any, Any], ...] = ()


def ask(
    subject: Subject,
    params: Tree,
    args: tuple[Any, ...],
    *,
    clock: Clock = Clock(),
    architecture: Any = None,
    reproducer: str = "",
    keep: bool = False,
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
    keep : bool
        Whether to hold on to the arrays that it returns.

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
            f"{subject.name} raised {type(error).__name__}: {error}{where_raised(error)}",
            reproducer=reproducer,
        ) from from_its_own_frame(error)
    if not isinstance(answer, Answer):
        raise InputError(
            f"{subject.name}.answer returned {tree.describe(answer)}; a Subject returns bpcheck.Answer(loss, gradient)."
        )
    asked = _take_apart(subject, answer, (params, args), (given, given_args))
    return replace(asked, kept=_kept(answer)) if keep else asked


def _kept(answer: Answer) -> tuple[tuple[str, Any, Any], ...]:
    returned = answer.gradient if answer.returned is None else answer.returned
    return tuple(
        (str(path), leaf, np.array(leaf))
        for path, leaf in tree.leaves(returned, "gradient")
        if isinstance(leaf, np.ndarray)
    )


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
            f"{aliased[0]} {ALIASED} a parameter: the next update will change both. Return a new array."
        )
    if answer.faults:  # found in the subject's own layout, where its words are the caller's
        matched = Matched({}, tuple(Comparison(p, Verdict.WRONG_STRUCTURE, why) for p, why in answer.faults))
    else:
        matched = match(answer.gradient, before[0])
    findings += matched.findings
    loss: float | None = None
    if answer.loss is not None or subject.loss is not None:
        loss, fault = scalar_loss(answer.loss)
        if fault:
            findings.append(Comparison("loss", Verdict.WRONG_STRUCTURE, fault))
    findings += changed(before[0], after[0], "params")
    names = ("x", "y") if len(before[1]) == 2 else [f"args[{i}]" for i in range(len(before[1]))]
    for name, old, new in zip(names, before[1], after[1], strict=True):
        findings += changed(old, new, name)
    given = [
        *matched.arrays.values(),
        *([answer.loss] if isinstance(answer.loss, np.generic | np.ndarray) else []),
    ]
    dtypes = [leaf.dtype for leaf in given if np.asarray(widened(leaf)).dtype.kind == "f"]
    precision = coarsest([*dtypes, answer.precision or "float64"])
    dtype = np.dtype("float32" if precision.name == "bfloat16" else precision.name)
    gradient = {path: np.asarray(leaf, dtype=float) for path, leaf in matched.arrays.items()}
    extra = {} if answer.error is None else dict(tree.leaves(answer.error))
    error = {path: np.asarray(extra.get(path, 0.0), dtype=float) for path in gradient}
    return Asked(loss, gradient, error, tuple(findings), tuple(warnings), dtype, precision)


OURS = str(FilePath(__file__).parents[1])
"""Where our own files are."""


def from_its_own_frame(error: BaseException) -> BaseException:
    """The same exception with a traceback that begins at the first frame outside bpcheck (all of it, if there is none)."""
    outside = error.__traceback__
    while outside is not None and outside.tb_frame.f_code.co_filename.startswith(OURS):
        outside = outside.tb_next
    return error if outside is None else error.with_traceback(outside)


def where_raised(error: BaseException) -> str:
    """File, line and text of the innermost frame outside bpcheck, to end a message with."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(OURS)]
    if not frames:
        return ""
    frame = frames[-1]
    text = f": {frame.line}" if frame.line else ""
    return f"\n  in {frame.name}, {frame.filename}, line {frame.lineno}{text}"


def changed(old: Tree, new: Tree, root: str) -> list[Comparison]:
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
