"""Right, but for another count of the cost: a sum for a mean, a factor, a penalty written otherwise.

Where the caller has pinned the cost, another count stays a DISAGREES; but it is another thing than a wrong
gradient, and a report that says so, and what to say to have it accepted, spares a search for a bug.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from bpcheck.check.contract import Asked
from bpcheck.conventions import Conventions
from bpcheck.network.architecture import REDUCTIONS, Architecture
from bpcheck.network.case import Case
from bpcheck.search.judging import Judge
from bpcheck.search.scaling import scaling_of

__all__ = ["counted_otherwise"]

FACTORS: tuple[float | str, ...] = (1.0, 2.0, 0.5, "1/outputs")
PENALTIES = ("λ/2", "λ", "λ/2m", "λ/m")


def counted_otherwise(judge: Judge, cases: list[Case]) -> str:
    """A sentence that says how the subject counts its cost, if loss and gradient are right for that.

    Parameters
    ----------
    judge : Judge
        Of the subject, in whatever layout.
    cases : list of Case
        Two or more, of different batch sizes, so that no factor is taken for another.

    Returns
    -------
    str
        Empty if no other count explains both.
    """
    asked = [judge.ask(case) for case in cases]
    if any(answer.loss is None or len(answer.findings) for answer in asked):
        return ""
    given = [judge.conventions.as_given(case.architecture) for case in cases]
    for conventions in _counts(judge.conventions, given[0]):
        if all(
            _fits(judge, conventions, architecture, case, answer)
            for architecture, case, answer in zip(given, cases, asked, strict=True)
        ):
            changed = {
                name: getattr(conventions, name)
                for name in ("reduction", "factor", "penalty", "penalize_bias")
                if getattr(conventions, name) != getattr(judge.conventions, name)
            }
            said = ", ".join(f"{name}={value!r}" for name, value in changed.items())
            return (
                "loss and gradient are both right for the same network with another scale or penalty convention: no wrong "
                f"gradient. If it is meant, say conventions=bpcheck.Conventions({said}), beside what else you say there"
            )
    return ""


def _counts(said: Conventions, architecture: Architecture) -> Iterator[Conventions]:
    """Every other way to count the cost, the simplest first."""
    penalised = bool(architecture.l2)
    penalties = PENALTIES if penalised else (said.penalty,)
    biases = (architecture.penalize_bias, not architecture.penalize_bias) if penalised else (None,)
    for scope, penalty, factor, reduction in product(biases, penalties, FACTORS, REDUCTIONS):
        if penalty in ("λ/2m", "λ/m") and (reduction != "mean" or said.per_example):
            continue
        if reduction == "sum" and said.per_example:
            continue
        yield said.but(
            reduction=None if reduction == architecture.reduction else reduction,
            factor=None if factor == 1.0 else factor,
            penalty=None if penalty == "λ/2" else penalty,
            penalize_bias=None if scope == architecture.penalize_bias else scope,
        )


def _fits(judge: Judge, conventions: Conventions, given: Architecture, case: Case, asked: Asked) -> bool:
    """Whether loss and every entry lie within the bounds of the right values for that count."""
    described = replace(case, architecture=conventions.describe(given))
    other = replace(judge, scaling=scaling_of(conventions)).enclose(described, asked.precision)
    # What the translation multiplied by already, and what it would multiply by for this count.
    unit = (case.batch if conventions.times_batch else 1) / (
        case.batch if judge.conventions.times_batch else 1
    )
    bound = 2 * float(other.loss.rad) + float(other.loss.kink)
    assert asked.loss is not None
    if not abs(asked.loss * unit - float(other.loss.mid)) <= bound:
        return False
    return bool(asked.gradient) and all(
        bool(np.all(abs(claim * unit - ball.mid) <= 2 * ball.rad + ball.kink + asked.error[path] * unit))
        for path, claim in asked.gradient.items()
        for ball in (other.gradient[path],)
    )
