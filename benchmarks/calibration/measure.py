"""What is measured, one chunk of problems at a time: a pure function of picklable arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.calibration.estimates import estimate_problem
from benchmarks.calibration.families import FAMILIES, TUNING, find
from benchmarks.calibration.problem import Family
from benchmarks.calibration.verdicts import check_problem, power_problem

__all__ = ["CHUNKS", "KINDS", "Task", "measure", "measurement", "tasks"]

CHUNKS = {"estimate": 20, "check": 10, "power": 2, "peer estimate": 20, "peer check": 4}
"""Problems a task, for each kind of measurement: a second or two, so that little is lost when a run is stopped."""

KINDS = tuple(CHUNKS)


@dataclass(frozen=True, order=True)
class Task:
    """Problems ``start … stop − 1`` of one family, precision and kind of measurement."""

    kind: str
    family: str
    precision: str
    start: int
    stop: int

    @property
    def key(self) -> str:
        """Names the task in the file of results."""
        return f"{self.kind}/{self.family}/{self.precision}/{self.start}-{self.stop}"


def measurement(kind: str) -> Callable[[Any], Any]:
    """What turns a problem into a row."""
    if kind in ("peer estimate", "peer check"):
        from benchmarks.calibration import peers  # torch and jax are loaded only where they are needed

        return peers.estimate_problem if kind == "peer estimate" else peers.check_problem
    return {"estimate": estimate_problem, "check": check_problem, "power": power_problem}[kind]


def measure(task: Task, seed: int) -> list[Any]:
    """The rows of a task; always the same for the same code and seed."""
    family, ask = find(task.family), measurement(task.kind)
    return [
        ask(family.problem(task.precision, task.kind, index, seed)) for index in range(task.start, task.stop)
    ]


def tasks(
    amounts: dict[str, int],
    *,
    tune: bool = False,
    only: tuple[str, ...] = (),
    precisions: tuple[str, ...] = (),
) -> list[Task]:
    """Everything to do.

    Parameters
    ----------
    amounts : dict
        Kind to number: for ``check`` in all, shared out by ``Family.share``; for the others, problems of
        each family and precision.
    tune : bool
        Tuning families alone.
    only : tuple of str
        Parts of family names; all if empty.
    precisions : tuple of str
        All if empty.
    """
    chosen = [
        (family, precision)
        for family in (TUNING if tune else FAMILIES)
        if not only or any(part in family.name for part in only)
        for precision in family.precisions
        if not precisions or precision in precisions
    ]
    total = sum(family.share_of(precision) for family, precision in chosen)
    found = []
    for kind, amount in amounts.items():
        for family, precision in chosen:
            count = _count(kind, amount, family, family.share_of(precision) / total)
            found += [
                Task(kind, family.name, precision, start, min(start + CHUNKS[kind], count))
                for start in range(0, count, CHUNKS[kind])
            ]
    return found


LEAST = 0.25
"""Of the problems of other kinds, costly families get this much at least."""


def _count(kind: str, amount: int, family: Family, share: float) -> int:
    if kind == "check":
        return math.ceil(amount * share)
    if kind in ("estimate", "peer estimate"):
        return amount if family.differentiable else 0
    return math.ceil(amount * max(LEAST, min(1.0, 2.0 * min(family.share, family.share32))))
