"""A layout tried on a subject: whether it answers there, and what its loss then says.

Nothing here changes a number, and no layout is preferred to another: that is for ``bpcheck.search.dialect.layout``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from bpcheck.conventions import Conventions
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.case import Case
from bpcheck.search.cost.infer import Inference, infer
from bpcheck.search.cost.observe import observe
from bpcheck.search.dialect.translate import translated
from bpcheck.search.judging import Judge

__all__ = ["Only", "Trial", "agrees", "judge_of", "loss_fits", "signed", "with_networks"]

Only: TypeAlias = tuple[Sequence[int] | None, int | None]
"""The only widths and batch size that a subject takes."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A layout in which the subject gave an answer.

    Attributes
    ----------
    conventions : Conventions
    judge : Judge
        Of the translated subject.
    structured : bool
        Whether its gradient has the form that the layout says.
    inference : Inference or None
        What it computes, where nobody said.
    """

    conventions: Conventions
    judge: Judge
    structured: bool
    inference: Inference | None = None


def judge_of(judge: Judge, conventions: Conventions) -> Judge:
    """A judge of the subject in a layout, which counts its own calls."""
    subject = judge.subject
    if not conventions.is_ours:
        subject = translated(subject, conventions, ignore=judge.declared.ignore)
    return replace(judge, subject=subject, conventions=conventions, evaluations=0)


def loss_fits(trial: Trial, case: Case, times: float = 1.0) -> bool:
    """Whether the forward value, multiplied by ``times``, is the right one, within its rounding."""
    if trial.judge.subject.loss is None:
        return False
    try:
        case = trial.judge.fitted(case)
        asked = trial.judge.ask(case)
    except (SubjectError, InputError):
        return False
    loss = trial.judge.enclose(case, asked.precision).loss
    return asked.loss is not None and bool(
        abs(asked.loss * times - float(loss.mid)) <= 2 * float(loss.rad) + float(loss.kink)
    )


def agrees(trial: Trial, case: Case) -> bool:
    """Whether loss and gradient are right on a case."""
    scaling = trial.judge.scaling if trial.inference is None else trial.inference.scaling
    judge = replace(trial.judge, scaling=scaling, evaluations=0)
    try:
        return judge(case).verdict.ok
    except (SubjectError, InputError):
        return False
    finally:
        trial.judge.evaluations += judge.evaluations


def signed(trials: list[Trial], case: Case, judge: Judge) -> list[Trial]:
    """The same layouts with targets −1 and 1, where the loss is right for those and for nothing else."""
    if any(loss_fits(trial, case) for trial in trials):
        return []
    found = []
    for trial in trials:
        if trial.conventions.targets == "as given":
            signs = trial.conventions.but(targets="±1")
            other = Trial(signs, judge_of(judge, signs), trial.structured)
            found += [other] if loss_fits(other, case) else []
    return found


def with_networks(
    trials: Sequence[Trial], judge: Judge, seed: Sequence[int], only: Only = (None, None)
) -> list[Trial]:
    """Those whose loss shows what they compute; with targets of −1 and 1 only if none does without.

    All are asked on the same networks: where two layouts give the same losses, what they compute is inferred once.

    Parameters
    ----------
    trials : sequence of Trial
    judge : Judge
        Of the subject itself.
    seed : sequence of int
        Draws the networks.
    only : Only
    """
    inferred: dict[Any, Inference | str] = {}
    for signs in (False, True):
        ways = [t.conventions.but(targets="±1") if signs else t.conventions for t in trials if _may(t, signs)]
        formed = [t.structured for t in trials if _may(t, signs)]
        known = [
            found
            for conventions, structured in zip(ways, formed, strict=True)
            if (found := _with_network(judge, conventions, structured, seed, only, inferred)) is not None
        ]
        if known:
            return known
    return []


def _may(trial: Trial, signs: bool) -> bool:
    return not signs or trial.conventions.targets == "as given"


def _with_network(
    judge: Judge,
    conventions: Conventions,
    structured: bool,
    seed: Sequence[int],
    only: Only,
    inferred: dict[Any, Inference | str],
) -> Trial | None:
    own = judge_of(judge, conventions)
    rng = np.random.default_rng(seed)
    try:
        observations = observe(own, rng, widths=only[0], batch=only[1])
        seen = tuple((o.depth, o.equal, o.losses) for o in observations.seen)
        key = (seen, conventions.targets == "±1", conventions.per_example)
        if not observations.fault and key not in inferred:
            inferred[key] = infer(own, rng, observations)
    except InputError:
        return None
    finally:
        judge.evaluations += own.evaluations
    found = observations.fault or inferred[key]
    if isinstance(found, str):
        return None
    if found.divided:
        conventions = conventions.but(penalty="λ/2m")
    return Trial(conventions, judge_of(judge, conventions), structured, found)
