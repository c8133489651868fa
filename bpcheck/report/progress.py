"""Progress of anything that may take longer than two seconds, on stderr, never on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bpcheck.errors import InputError

__all__ = ["Progress", "progress_bar"]

# A bar that flashes up and goes distracts more than it tells.
SHOW_AFTER_SECONDS = 2.0


@dataclass(eq=False)
class Progress:
    """Tells somebody how far a search is.

    Attributes
    ----------
    tell : callable or None
        Gets ``(done, total)``.
    count : callable or None
        Gets the number of evaluations so far.
    """

    tell: Callable[[int, int], Any] | None = None
    count: Callable[[int], Any] | None = None

    def advance(self, done: int, total: int, *, evaluations: int | None = None) -> None:
        """Say that ``done`` of ``total`` steps are done, with so many evaluations."""
        if self.count is not None and evaluations is not None:
            self.count(evaluations)
        if self.tell is not None:
            self.tell(done, total)


@contextmanager
def progress_bar(progress: Any, label: str) -> Iterator[Progress]:
    """A bar on stderr, a caller's own function, or nothing.

    Parameters
    ----------
    progress : None, bool or callable
        None: a bar if stderr is a terminal; True: a bar in any case; False: nothing.
    label : str
        Stands before the bar.

    Raises
    ------
    InputError
        If ``progress`` is something else.
    """
    if callable(progress):
        yield Progress(progress)
        return
    if not (progress is None or isinstance(progress, bool)):
        raise InputError(f"progress is {progress!r}; give None, True, False or a function of (done, total).")
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(label, total=None)
    started = time.monotonic()

    def count(evaluations: int) -> None:
        bar.update(task, description=f"{label}, {evaluations:,} evaluations")

    def tell(done: int, total: int) -> None:
        if progress or time.monotonic() - started > SHOW_AFTER_SECONDS:
            bar.start()
            bar.update(task, completed=done, total=total)

    try:
        yield Progress(tell, count)
    finally:
        bar.stop()
