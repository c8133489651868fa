"""Level 2: what check_gradient says of right gradients, and of wrong ones by size of the error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.calibration.problem import Problem
from bpcheck import Report, Verdict, check_gradient, tree

__all__ = ["LADDER", "SIZES", "Planted", "check_problem", "plant", "power_problem"]

SIZES = (1e-2, 1e-4, 1e-6, 1e-8)
"""Relative errors at which the share found is measured."""

LADDER = tuple(10.0 ** (-k / 2) for k in range(27))
"""1 … 1e-13 by half decades: where the smallest error found is looked for."""

Check = Callable[..., Report]


@dataclass(frozen=True, eq=False)
class Planted:
    """A right gradient with one error of relative size ``size``.

    ``entry`` None: the tensor times 1 + size. Else this entry plus size times the root mean square of
    the tensor's exact gradient at θ. Either way the error is at least ``size`` in the unit of a
    detection limit.
    """

    gradient: Callable[..., Any]
    like: Any
    leaf: int
    entry: tuple[int, ...] | None
    size: float
    rms: float

    def __call__(self, params: Any, *args: Any) -> Any:
        """The wrong gradient at ``params``."""
        leaves = [np.array(leaf) for _, leaf in tree.leaves(self.gradient(params, *args))]
        wrong = leaves[self.leaf]
        if self.entry is None:
            leaves[self.leaf] = np.asarray(wrong * wrong.dtype.type(1.0 + self.size))
        else:
            wrong[self.entry] += wrong.dtype.type(self.size * self.rms)
        return tree.restore(self.like, leaves)


def plant(problem: Problem, rng: np.random.Generator) -> tuple[Callable[[float], Planted], str, str] | None:
    """Choose a tensor and a kind of error; None if the gradient is zero everywhere.

    Returns
    -------
    (make, path, kind)
        ``make(size)`` is the wrong gradient.
    """
    sizes = [
        (str(path), number, math.sqrt(float(np.mean(np.asarray(leaf, dtype=float) ** 2))))
        for number, (path, leaf) in enumerate(tree.leaves(problem.exact, "params"))
    ]
    usable = [entry for entry in sizes if entry[2] > 0.0]
    if not usable:
        return None
    path, number, rms = usable[int(rng.integers(len(usable)))]
    shape = [np.shape(leaf) for _, leaf in tree.leaves(problem.exact)][number]
    entry = tuple(int(rng.integers(n)) for n in shape) if rng.random() < 0.5 else None

    def make(size: float) -> Planted:
        return Planted(problem.gradient, problem.params, number, entry, size, rms)

    return make, path, "tensor" if entry is None else "entry"


def check_problem(problem: Problem, check: Check = check_gradient) -> list[Any]:
    """Verdict, accepted or not, limit and evaluations for the right gradient."""
    seed = int(problem.rng.integers(2**31))
    try:
        report = check(problem.loss, problem.gradient, problem.params, *problem.args, seed=seed)
    except Exception as error:  # a crash is a finding too
        return [f"{type(error).__name__}: {str(error)[:200]}", 0, None, 0]
    accepted = int(report.verdict in problem.drawn.accepts)
    return [report.verdict.name, accepted, _limit(report), report.evaluations]


def _limit(report: Report) -> float | None:
    known = list(report.detection_limit.values())
    return float(max(known)) if known else None


def _limit_at(report: Report, path: str, rms: float) -> float | None:
    """The limit that a report states for a tensor, in units of the root mean square ``rms`` of its exact gradient.

    The report's own unit is ``Comparison.reference_size``, which is another one where the tensor is zero to rounding.
    """
    stated = [
        comparison.detection_limit * comparison.reference_size
        for comparison in report.comparisons
        if comparison.path.startswith(path)
    ]
    known = [limit for limit in stated if math.isfinite(limit)]
    return max(known) / rms if known else None


def power_problem(problem: Problem, check: Check = check_gradient) -> dict[str, Any] | None:
    """Shares found at SIZES, the smallest error found, and wrong gradients that passed above the stated limit.

    Assumes that a larger error of the same kind is found if a smaller one is, except that SIZES are all
    tried. At a planted kink AGREES_AT_KINK is never counted as a violation: the claim may still be valid.
    """
    seed = int(problem.rng.integers(2**31))
    chosen = plant(problem, problem.rng)
    if chosen is None:
        return None
    make, path, kind = chosen
    # at a kink a claim with an error may still lie between the one-sided derivatives: a valid choice
    unexcused = {Verdict.AGREES, Verdict.AGREES_AT_KINK} - (problem.drawn.accepts - {Verdict.AGREES})
    verdicts: dict[float, str] = {}
    violations: list[list[Any]] = []

    def found(size: float) -> bool:
        report = check(problem.loss, make(size), problem.params, *problem.args, seed=seed)
        verdicts[size] = report.verdict.name
        limit = _limit_at(report, path, make(size).rms)
        if report.verdict in unexcused and not (limit is not None and size < limit):
            violations.append([size, limit, kind, path, report.verdict.name])
        return not report.ok and report.verdict is not Verdict.INCONCLUSIVE

    at_sizes = [found(size) for size in SIZES]
    smallest = _smallest(found, at_sizes)
    return {
        "found": [int(hit) for hit in at_sizes],
        "passed": [int(verdicts[size] in ("AGREES", "AGREES_AT_KINK")) for size in SIZES],
        "smallest": smallest,
        "kind": kind,
        "violations": violations,
    }


def _smallest(found: Callable[[float], bool], at_sizes: list[bool]) -> float | None:
    """Bisect the ladder between the smallest size found (with all larger ones) and the next."""
    hits = at_sizes.index(False) if False in at_sizes else len(at_sizes)
    if hits == 0:
        if not found(LADDER[0]):
            return None
        low = 0
    else:
        low = LADDER.index(min(LADDER, key=lambda s: abs(math.log(s / SIZES[hits - 1]))))
    high = (
        LADDER.index(min(LADDER, key=lambda s: abs(math.log(s / SIZES[hits]))))
        if hits < len(SIZES)
        else len(LADDER)
    )
    while high - low > 1:
        middle = (low + high) // 2
        if found(LADDER[middle]):
            low = middle
        else:
            high = middle
    return LADDER[low]
