"""The same question once more: at the same arguments, in other memory, and what became of the first answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bpcheck import tree
from bpcheck.check.agreement import judge
from bpcheck.check.block import Block
from bpcheck.check.contract import KEPT_BETWEEN_CALLS, Asked, HungError, ask
from bpcheck.check.declared import EXACT, Declared
from bpcheck.check.memory import FIX, LAYOUTS, laid_out, overwritten, refused
from bpcheck.check.problem import Problem, aside, moved
from bpcheck.errors import InputError, SubjectError
from bpcheck.result import Comparison
from bpcheck.subject import Subject
from bpcheck.tree import FloatArray, Path

__all__ = ["Again", "ask_again"]

SECOND = "at the second call"

DEVIATIONS = 1e3
"""A loss whose sums are taken in another order may be off by its noise, and by more where the noise happens to be small:
so many standard deviations, or half of the digits, are no rounding."""


@dataclass(eq=False)
class Again:
    """What further calls showed.

    Attributes
    ----------
    findings : list of Comparison
        Answers further from the truth than their bars allow.
    warnings : list of str
    bug : str
        Slug of the bug that they show, or empty.
    """

    findings: list[Comparison] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    bug: str = ""


def ask_again(problem: Problem, blocks: Sequence[Block], first: Asked, loose: Declared = EXACT) -> Again:
    """Ask a subject that was right again; every answer must lie as near to the truth as the first.

    Parameters
    ----------
    problem : Problem
    blocks : sequence of Block
        What was measured, for each tensor that is held to be exact.
    first : Asked
        The first answer, with the arrays as they were returned.
    loose : Declared
        What is not looked at.

    Returns
    -------
    Again
    """
    found = Again()

    def answer(subject: Subject) -> Asked:
        asked = ask(subject, problem.params, problem.args, clock=problem.clock)
        problem.evaluations += 1
        return loose.without_ignored(asked, {str(path): str(path) for path in problem.theta})

    _hold(found, answer(problem.subject), blocks, first, SECOND)
    if found.findings:
        if any(c.path.endswith(SECOND) for c in found.findings):
            found.warnings.append(KEPT_BETWEEN_CALLS)
        return found
    try:
        _earlier_result(found, problem, first)
        for layout in LAYOUTS:
            if found.findings or not layout.differs((problem.params, problem.args)):
                continue
            try:
                asked = laid_out(problem.subject, layout)
                _hold(found, answer(asked), blocks, first, layout.name)
                _hold_loss(found, problem, asked, layout.name)
            except (SubjectError, InputError) as error:
                found.warnings.append(refused(problem.subject.name, layout, error))
            if found.findings:
                found.bug = "memory-order-assumed"
                reason = f"right for arrays in C order, wrong for the same numbers {layout.words}. {FIX}"
                found.findings = [replace(c, reason=reason) for c in found.findings]
    except HungError:  # the gradient itself is decided: what time does not allow is left out
        pass
    return found


def _hold(found: Again, again: Asked, blocks: Sequence[Block], first: Asked, when: str) -> None:
    """One more answer against the bars of the first; what differs by no more than rounding is the same."""
    found.findings += again.findings
    for block in blocks:
        claim, answer = first.gradient[block.path], again.gradient.get(block.path)
        if answer is None or np.array_equal(answer, claim) or block.compare(answer).verdict.ok:
            continue
        found.findings.append(_apart(block.path, answer, claim, when))


def _hold_loss(found: Again, problem: Problem, subject: Subject, when: str) -> None:
    """The loss once more: another order in memory may round otherwise, and changes no number."""
    there = replace(problem, subject=subject)
    value = there.loss(problem.theta)
    problem.evaluations = there.evaluations
    size = max(abs(problem.level), problem.variation)
    allowed = max(DEVIATIONS * max(map(problem.noise_of, problem.theta)), math.sqrt(problem.roundoff) * size)
    if not abs(value - problem.level) <= allowed:
        found.findings.append(judge(f"loss {when}", value, problem.level, np.asarray(allowed)))


def _apart(path: Path, again: FloatArray, claim: FloatArray, when: str) -> Comparison:
    """Two answers to the same question, entry by entry."""
    largest = float(np.max(abs(again - claim)))
    allowed = np.full(claim.shape, 0.5 * largest if math.isfinite(largest) else 0.0)
    return judge(f"{path} {when}", again, claim, allowed)


def _earlier_result(found: Again, problem: Problem, first: Asked) -> None:
    """Whether the arrays of the first answer are still what they were, after a call at other parameters."""
    theta = {path: moved(array, aside(array, problem.rng)) for path, array in problem.theta.items()}
    try:
        ask(
            problem.subject,
            tree.restore(problem.params, list(theta.values())),
            problem.args,
            clock=problem.clock,
        )
    except (SubjectError, InputError):  # a gradient that only works at these parameters
        return
    problem.evaluations += 1
    if told := overwritten(first.kept):
        found.warnings.append(told)
