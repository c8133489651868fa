"""Name the bug, by reproduction: only a hypothesis that gives the same wrong numbers counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bpcheck.diagnosis.bug import Bug
from bpcheck.diagnosis.catalogue import CATALOGUE
from bpcheck.diagnosis.hypothesis import Hypothesis, standing
from bpcheck.diagnosis.locate import locate
from bpcheck.diagnosis.observation import Observation
from bpcheck.diagnosis.other_loss import other_loss
from bpcheck.diagnosis.pattern import not_finite, pattern, wrong_shape
from bpcheck.diagnosis.words import BY_NUMBERS, sentence_case
from bpcheck.network.case import Case
from bpcheck.result import Comparison, Diagnosis
from bpcheck.verdict import Verdict

__all__ = ["by_numbers", "diagnose", "named"]

MOST_NAMED = 3
"""More bugs that all give the same numbers are no name: the reader is told how many there are."""


def diagnose(
    case: Case | None, comparisons: Sequence[Comparison], observations: Sequence[Observation] = ()
) -> tuple[Diagnosis, ...]:
    """Where a gradient goes wrong and, if a bug reproduces it on every observation, which bug it is.

    Parameters
    ----------
    case : Case or None
        The case that failed.
    comparisons : sequence of Comparison
        Of that case.
    observations : sequence of Observation
        The failing case and fresh ones, of networks whose layers diagnosis knows.

    Returns
    -------
    tuple of Diagnosis
        One for each bug that still explains everything, or a single one without a name. Of two bugs at once
        the two, each with its own equation.
    """
    located = locate(case, comparisons)
    if Verdict.worst(c.verdict for c in comparisons) is not Verdict.DISAGREES:
        found = wrong_shape(comparisons) or not_finite(comparisons)
        return (located if found is None else named(replace(located, evidence=()), *found),)
    if located.bug or located.equation in ("loss", "contract") or case is None or not observations:
        return (located,)
    return _explained(located, observations)


def _explained(located: Diagnosis, observations: Sequence[Observation]) -> tuple[Diagnosis, ...]:
    """What explains all that was observed: bugs, a pattern, or nothing that has a name."""
    hypotheses = standing(observations, CATALOGUE.values())
    exact = other_loss(observations)
    if exact is not None:
        located = _with_evidence(located, f"these numbers are the exact gradient of {exact}")
    if 0 < len(hypotheses) <= MOST_NAMED:
        told = [
            _told(located, h, number, len(observations), len(hypotheses))
            for number, h in enumerate(hypotheses)
        ]
        return tuple(d for diagnoses in told for d in diagnoses)
    found = pattern(observations)
    if found is not None:
        return (named(located, *found),)
    if exact is not None:
        hint = (
            "The gradient is right, for another loss than the one that was given: mend the one or the other, so that both "
            "belong together."
        )
        return (replace(located, equation="loss", bug="other-loss", hint=hint),)
    if hypotheses:
        many = f"{len(hypotheses)} bugs of the catalogue, or pairs of them, give these numbers: too many to name one"
        return (_with_evidence(located, many),)
    none = "no wrong formula of the catalogue explains these numbers, nor do two of them at once"
    return (_with_evidence(located, none),)


def _with_evidence(located: Diagnosis, *evidence: str) -> Diagnosis:
    return replace(located, evidence=(*located.evidence, *evidence))


def _called(located: Diagnosis, bug: Bug, **other: Any) -> Diagnosis:
    """A diagnosis with the name of a bug and its words."""
    hint = f"{sentence_case(bug.explanation)} {bug.hint}"
    return replace(located, bug=bug.slug, hint=hint, hints=bug.hints, **other)


def named(located: Diagnosis, slug: str, evidence: str) -> Diagnosis:
    """A diagnosis with the name of a bug that is no formula, and what it was recognised by."""
    bug = CATALOGUE[slug]
    # an entry belongs to the equation of its tensor, whichever that is
    equation = bug.equation or located.equation or "contract"
    return _called(_with_evidence(located, *[evidence] if evidence else []), bug, equation=equation)


def by_numbers(located: Diagnosis, slug: str) -> Diagnosis:
    """A diagnosis with the name of a bug that the numbers show, where no network is known and no equation."""
    bug = CATALOGUE[slug]
    explanation, hints = BY_NUMBERS.get(slug, (bug.explanation, bug.hints))
    return _called(located, replace(bug, explanation=explanation, hints=hints), equation="")


def _told(located: Diagnosis, hypothesis: Hypothesis, number: int, cases: int, tied: int) -> list[Diagnosis]:
    """A diagnosis for each bug of a hypothesis, the one of this number among those that are tied."""
    place = f" {hypothesis.where}" if hypothesis.where else ""
    several = len(hypothesis.bugs) > 1
    this = "these two mistakes at once" if several else "this mistake"
    evidence = [f"a backward pass with {this}{place} gives your numbers in {cases} case{'s' * (cases != 1)}"]
    if tied > 1:
        evidence.append(f"{tied} explanations give these numbers in every case tried")
    return [
        _called(
            _with_evidence(located, *evidence),
            bug,
            equation=bug.equation,
            layer=None if several else located.layer,
            path="" if several and bug.equation != located.equation else located.path,
            explanation=number,
        )
        for bug in hypothesis.bugs
    ]
