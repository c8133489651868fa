"""A comparison in a process of its own, so that a subject that hangs or crashes takes nothing with it."""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bpcheck.check.contract import from_its_own_frame, where_raised
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.case import Case
from bpcheck.result import Report
from bpcheck.search.cases.sources import Pins
from bpcheck.search.reproducer import reproducer
from bpcheck.search.run import search
from bpcheck.verdict import Verdict

__all__ = ["Outcome", "Task", "run"]

# Between being asked to end and being killed.
GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Task:
    """What to compare.

    Attributes
    ----------
    file, function : str
    pins : Pins
    resolution : float or None
    examples : int
    seed : int
    conventions : str
        "infer" or the name of a preset.
    ignore, approximate : tuple of str
        Paths of tensors that are not held to be exact.
    """

    file: str
    function: str
    pins: Pins
    resolution: float | None
    examples: int
    seed: int
    conventions: str = "infer"
    ignore: tuple[str, ...] = ()
    approximate: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came back: a report, or why there is none.

    Attributes
    ----------
    report : Report or None
    error : str
    usage : bool
        Whether the caller's arguments are at fault.
    """

    report: Report | None = None
    error: str = ""
    usage: bool = False


def run(task: Task, *, timeout: float) -> Outcome:
    """Compare in a fresh process and end it after ``timeout`` seconds.

    Parameters
    ----------
    task : Task
    timeout : float
        Seconds, the start of the process included.

    Returns
    -------
    Outcome
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(task, sender), daemon=True)
    deadline = time.monotonic() + timeout
    process.start()
    sender.close()
    last: Case | None = None
    try:
        while True:
            if not receiver.poll(max(0.0, deadline - time.monotonic())):
                return Outcome(_timed_out(task, timeout, last))
            try:
                kind, value = receiver.recv()
            except EOFError:
                process.join(GRACE_SECONDS)
                return Outcome(error=_died(task, process.exitcode, last))
            if kind == "case":
                last = value
            else:
                return value  # type: ignore[no-any-return]
    finally:
        process.terminate()
        process.join(GRACE_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
        receiver.close()


def _timed_out(task: Task, timeout: float, last: Case | None) -> Report:
    where = "while it was being imported" if last is None else "on the case below"
    return Report(
        task.function,
        Verdict.INCONCLUSIVE,
        counterexample=last,
        reproducer="" if last is None else reproducer(last, task.function),
        seed=task.seed,
        summary=(
            f"The process was ended after {timeout:g} s: {task.function} had not returned {where}. "
            "Look for an endless loop; if it is only slow, give a longer --timeout or fewer --examples."
        ),
    )


def _died(task: Task, code: int | None, last: Case | None) -> str:
    how = f"was ended by signal {-code}" if code is not None and code < 0 else f"exited with code {code}"
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            how += f" ({signal.Signals(-code).name})"
    last_call = "" if last is None else f"\n\nThe last call:\n{reproducer(last, task.function)}"
    return f"the process that ran {task.function} {how} without an answer.{last_call}"


def _work(task: Task, sender: Connection) -> None:
    """In the child: what the subject prints goes to stderr, stdout belongs to the report."""
    sys.stdout.flush()
    os.dup2(2, 1)
    sys.dont_write_bytecode = True  # leave no __pycache__ in the caller's folder
    try:
        subject = _load(task)
        report = search(
            subject,
            conventions=task.conventions,
            ignore=task.ignore,
            approximate=task.approximate,
            resolution=task.resolution,
            examples=task.examples,
            seed=task.seed,
            pins=task.pins,
            announce=lambda case: sender.send(("case", case)),
        )
        outcome = Outcome(report)
    except SubjectError as error:
        outcome = Outcome(error=str(error))
    except InputError as error:
        outcome = Outcome(error=str(error), usage=True)
    sender.send(("outcome", outcome))


def _load(task: Task) -> Any:
    path = Path(task.file)
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path.name} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise SubjectError(
            f"importing {path.name} raised {type(error).__name__}: {error}{where_raised(error)}"
        ) from from_its_own_frame(error)
    if not hasattr(module, task.function):
        names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise InputError(
            f"{path.name} has no {task.function!r}; it has {', '.join(names) or 'no functions'}."
        )
    return getattr(module, task.function)
