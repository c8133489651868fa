"""A layout tried on a subject: whether it answers there, and what its loss then says.

Nothing here changes a number, and no layout is preferred to another: that is for ``bpcheck.search.dialect.layout``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from bpcheck import tree
from bpcheck.check.contract import Asked, HungError, ask
from bpcheck.conventions import Conventions
from bpcheck.conventions.convert import nest, tensors_into
from bpcheck.conventions.nesting import VECTORS
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.result import Comparison
from bpcheck.search.cost.infer import Inference, infer, observe
from bpcheck.search.dialect.candidates import (
    candidates,
    fitted,
    readings_of_gradients,
    tried_on,
    variants,
)
from bpcheck.search.dialect.translate import translated
from bpcheck.search.judging import Judge
from bpcheck.verdict import Verdict

__all__ = [
    "Only",
    "Trial",
    "accepted",
    "agrees",
    "judge_of",
    "loss_fits",
    "signed",
    "with_network",
    "with_networks",
]


# So many layouts, far apart, are tried first: what raises the same at the same line in all is no matter of layout.
SAMPLED = 16

# What a wrong layout raises, or what checks its arguments: these may be the same in all but one layout.
LAYOUT_ERRORS = (TypeError, ValueError, LookupError, AttributeError, AssertionError)

# Where a finding says that there is no loss to look at.
NUMBERLESS = ("loss", "return value")

RETURNED = (
    "In most layouts the function raises. With conventions=bpcheck.{!r} it returns, but {}: {}. It must return the pair "
    "(loss, gradient); where loss and gradient are two functions, give bpcheck.from_parts(loss=..., gradient=...)."
)

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


def accepted(judge: Judge, case: Case) -> tuple[list[Trial], str]:
    """The layouts in which the subject answers, each with the first nesting that its gradient has.

    Where there is none, also what is wrong with what it returned in the first in which it returned at all.
    """
    found: list[Trial] = []
    returned: list[tuple[Conventions, Comparison]] = []
    counted = False
    if _raises_anyway(judge, case):
        return [], ""
    for conventions in tried_on(case):
        if conventions.params in VECTORS and any(t.conventions.params not in VECTORS for t in found):
            break  # only where nothing else will do
        asked = _try(judge, conventions, case)
        if not isinstance(asked, Asked):
            continue
        if asked.loss is None or np.isnan(asked.loss):
            # Something that is no number came back for a whole batch: it runs on batches, and is held to them.
            counted = counted or not conventions.per_example
            amiss = [f for f in asked.findings if f.path in NUMBERLESS]
            if amiss:
                returned.append((conventions, amiss[0]))
                continue
        wrong = _leaves_misformed(asked, conventions, case)
        if wrong and not judge.subject.gradient_like_params:
            for other in readings_of_gradients(conventions):
                again = _try(judge, other, case)
                fewer = wrong if not isinstance(again, Asked) else _leaves_misformed(again, other, case)
                if fewer < wrong:  # else what is said about the form would be said about the wrong containers
                    conventions, wrong = other, fewer
                if not wrong:
                    break
        found.append(Trial(conventions, judge_of(judge, conventions), not wrong))
    kept = [trial for trial in found if not (counted and trial.conventions.per_example)]
    if kept or not returned or returned[0][0].is_ours:  # in ours it is looked at anyway
        return kept, ""
    conventions, finding = returned[0]
    return [], RETURNED.format(conventions, finding.path, finding.reason)


def _raises_anyway(judge: Judge, case: Case) -> bool:
    """Whether what the subject raises has nothing to do with the layout: the same in very different ones."""
    raised = set()
    for conventions in candidates()[:: len(candidates()) // SAMPLED]:
        error = _try(judge, conventions, case)
        if isinstance(error, Asked):
            return False
        cause = error.__cause__ or error
        if isinstance(cause, LAYOUT_ERRORS):
            return False
        line = cause.__traceback__
        while line is not None and line.tb_next is not None:
            line = line.tb_next
        raised.add((type(cause), str(cause), line and line.tb_lineno))
    return len(raised) == 1


def judge_of(judge: Judge, conventions: Conventions) -> Judge:
    """A judge of the subject in a layout, which counts its own calls."""
    subject = judge.subject
    if not conventions.is_ours:
        subject = translated(subject, conventions, ignore=judge.declared.ignore)
    return replace(judge, subject=subject, conventions=conventions, evaluations=0)


def _try(judge: Judge, conventions: Conventions, case: Case) -> Asked | Exception:
    """One answer, or what was raised where the subject does not take such arguments."""
    if judge.clock.struck:
        raise HungError
    judge.evaluations += 1
    subject = judge_of(judge, conventions).subject
    case = fitted(case, conventions)
    if judge.announce is not None:
        judge.announce(case)
    try:  # without the text of a reproducer, which takes longer than most subjects
        return ask(subject, case.params, (case.x, case.y), clock=judge.clock, architecture=case.architecture)
    except (SubjectError, InputError) as error:
        return error


def _leaves_misformed(asked: Asked, conventions: Conventions, case: Case) -> int:
    """How many tensors of the gradient have not the form that the layout says; 0 if nothing else is amiss either."""
    faults = [str(f.path) for f in asked.findings if f.verdict is Verdict.WRONG_STRUCTURE]
    if not faults:
        return 0
    wanted = nest(conventions, tensors_into(conventions, case.params), gradient=True)
    leaves = [str(path) for root in ("params", "gradient") for path, _ in tree.leaves(wanted, root)]
    return max(1, sum(any(leaf.startswith(fault) for fault in faults) for leaf in leaves))


def loss_fits(trial: Trial, case: Case, times: float = 1.0) -> bool:
    """Whether the forward value, multiplied by ``times``, is the right one, within its rounding."""
    if trial.judge.subject.loss is None:
        return False
    try:
        asked = trial.judge.ask(case)
    except (SubjectError, InputError):
        return False
    loss = trial.judge.enclose(case, asked.precision).loss
    return asked.loss is not None and bool(
        abs(asked.loss * times - float(loss.mid)) <= 2 * float(loss.rad) + float(loss.kink)
    )


def agrees(trial: Trial, case: Case) -> bool:
    """Whether loss and gradient are right on a case."""
    try:
        scaling = trial.judge.scaling if trial.inference is None else trial.inference.scaling
        judge = replace(trial.judge, scaling=scaling, evaluations=0)
        verdict = judge(fitted(case, trial.conventions)).verdict
        trial.judge.evaluations += judge.evaluations
        return verdict.ok
    except (SubjectError, InputError):
        return False


def signed(trials: list[Trial], case: Case, judge: Judge) -> list[Trial]:
    """The same layouts with targets −1 and 1, where the loss is right for those and for nothing else."""
    if any(loss_fits(trial, fitted(case, trial.conventions)) for trial in trials):
        return []
    found = []
    for trial in trials:
        if trial.conventions.targets == "as given":
            signs = trial.conventions.but(targets="±1")
            signed = Trial(signs, judge_of(judge, signs), trial.structured)
            found += [signed] if loss_fits(signed, fitted(case, signs)) else []
    return found


def with_networks(
    trials: list[Trial], judge: Judge, rng: np.random.Generator, only: Only = (None, None)
) -> list[Trial]:
    """Those whose loss shows what they compute; with targets ±1 or a divided penalty only if none does without."""
    for ways in (lambda conventions: [conventions], variants):
        known = [
            found
            for trial in trials
            if (found := with_network(trial, ways(trial.conventions), judge, rng, only))
        ]
        if known:
            return known
    return []


def with_network(
    trial: Trial,
    ways: Sequence[Conventions],
    judge: Judge,
    rng: np.random.Generator,
    only: Only = (None, None),
) -> Trial | None:
    """The trial with what it computes, if its loss shows it when it is read in one of some ways."""
    for conventions in ways:
        own = judge_of(judge, conventions)
        try:
            observations, fault = observe(own, rng, widths=only[0], batch=only[1])
            found = fault or infer(own, rng, observations)
        except InputError:
            continue
        finally:
            judge.evaluations += own.evaluations
        if isinstance(found, Inference) and (not conventions.times_batch or _is_divided(found.template)):
            return Trial(conventions, replace(own, evaluations=0), trial.structured, found)
    return None


def _is_divided(template: Architecture) -> bool:
    """Whether m times the cost is a sum over the batch with a penalty: only then is it divided by m."""
    return template.reduction == "sum" and template.l2 > 0
