"""Name the bug, by reproduction: only a hypothesis that gives the same wrong numbers counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    hypotheses = standing(observations, CATALOGUE.values())
    exact = other_loss(observations)
    said = () if exact is None else (f"these numbers are the exact gradient of {exact.words}",)
    located = replace(located, evidence=(*located.evidence, *said))
    if hypotheses and len(hypotheses) <= MOST_NAMED:
        tied = len(hypotheses)
        return tuple(
            d
            for number, h in enumerate(hypotheses)
            for d in _told(located, h, number, len(observations), tied)
        )
    found = pattern(observations)
    if found is not None:
        return (named(located, *found),)
    return (_unnamed(located, exact is not None, len(hypotheses)),)


def _unnamed(located: Diagnosis, is_exact: bool, fitting: int) -> Diagnosis:
    """What is said where no bug has a name, or so many would do that none has."""
    if is_exact:
        hint = (
            "The gradient is right, for another loss than the one that was given: mend the one or the other, so that both "
            "belong together."
        )
        return replace(located, equation="loss", bug="other-loss", hint=hint)
    told = (
        f"{fitting} bugs of the catalogue, or pairs of them, give these numbers: too many to name one"
        if fitting
        else "no wrong formula of the catalogue explains these numbers, nor do two of them at once"
    )
    return replace(located, evidence=(*located.evidence, told))


def named(located: Diagnosis, slug: str, evidence: str) -> Diagnosis:
    """A diagnosis with the name of a bug that is no formula, and what it was recognised by."""
    bug = CATALOGUE[slug]
    # an entry belongs to the equation of its tensor, whichever that is
    keeps = bug.equation == "" and located.equation
    return replace(
        located,
        equation=located.equation if keeps else bug.equation or "contract",
        bug=slug,
        evidence=(*located.evidence, evidence) if evidence else located.evidence,
        hint=f"{sentence_case(bug.explanation)} {bug.hint}",
        hints=bug.hints,
    )


def by_numbers(located: Diagnosis, slug: str) -> Diagnosis:
    """A diagnosis with the name of a bug that the numbers show, where no network is known and no equation."""
    bug = CATALOGUE[slug]
    explanation, hints = BY_NUMBERS.get(slug, (bug.explanation, bug.hints))
    return replace(
        located,
        equation="",
        bug=slug,
        hint=f"{sentence_case(explanation)} {hints[-1]}",
        hints=hints,
    )


def _told(located: Diagnosis, hypothesis: Hypothesis, number: int, cases: int, tied: int) -> list[Diagnosis]:
    """A diagnosis for each bug of a hypothesis, the one of this number among those that are tied."""
    place = f" {hypothesis.where}" if hypothesis.where else ""
    this = "this mistake" if len(hypothesis.bugs) == 1 else "these two mistakes at once"
    evidence = [f"a backward pass with {this}{place} gives your numbers in {cases} case{'s' * (cases != 1)}"]
    if tied > 1:
        evidence.append(f"{tied} explanations give these numbers in every case tried")
    several = len(hypothesis.bugs) > 1
    return [
        replace(
            located,
            equation=bug.equation,
            bug=bug.slug,
            layer=None if several else located.layer,
            path="" if several and bug.equation != located.equation else located.path,
            evidence=(*located.evidence, *evidence),
            hint=f"{sentence_case(bug.explanation)} {bug.hint}",
            hints=bug.hints,
            explanation=number,
        )
        for bug in hypothesis.bugs
    ]
