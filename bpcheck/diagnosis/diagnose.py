"""Name the bug, by reproduction: only a hypothesis that gives the same wrong numbers counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bpcheck.case import Case
from bpcheck.diagnosis.bug import Bug
from bpcheck.diagnosis.catalogue import CATALOGUE
from bpcheck.diagnosis.locate import locate
from bpcheck.result import Comparison, Diagnosis
from bpcheck.tree import FloatArray, Path, rms

__all__ = ["Observation", "diagnose"]

# A prediction reproduces an entry if they agree to this fraction of the tensor's root mean square.
# Both are rounded to about 1e-13 of it on the networks compared; the nearest wrong hypotheses differ
# by 1e-3 and more, so any value between them serves.
REPRODUCTION = 1e-8

Observation = tuple[Case, Mapping[Path, FloatArray], Mapping[Path, FloatArray]]
"""A case, the subject's gradient there and the right one."""


def _reproduces(predicted: Mapping[Path, FloatArray], claimed: Mapping[Path, FloatArray]) -> bool:
    for path, actual in claimed.items():
        allowed = REPRODUCTION * (rms(np.asarray(predicted[path])) + rms(actual))
        if not np.all(abs(predicted[path] - actual) <= allowed):
            return False
    return True


def _survivors(observations: Sequence[Observation]) -> list[tuple[Bug, int]]:
    """Bugs that reproduce every observation, with the number of cases where they are visible."""
    found = []
    for bug in CATALOGUE.values():
        visible = 0
        for case, claimed, right in observations:
            predicted = bug.predict(case)
            if predicted is None or not _reproduces(predicted, claimed):
                break
            visible += not _reproduces(predicted, right)
        else:
            if visible:
                found.append((bug, visible))
    return found


def _sentence_case(text: str) -> str:
    """A capital at the front, but δ stays δ."""
    return text[:1].upper() + text[1:] if text[:1].isascii() else text


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
    observations : sequence of (case, claimed gradient, right gradient)
        The failing case and fresh ones, all of dense chains.

    Returns
    -------
    tuple of Diagnosis
        One for each bug that still explains everything, or a single one without a name.
    """
    located = locate(case, comparisons)
    if located.bug or located.equation in ("loss", "contract") or case is None or not observations:
        return (located,)
    survivors = _survivors(observations)
    if not survivors:
        return (
            replace(located, evidence=(*located.evidence, "no bug of the catalogue gives these numbers")),
        )
    tied = f"{len(survivors)} bugs of the catalogue give these numbers in every case tried"
    tie = [tied] if len(survivors) > 1 else []
    return tuple(
        replace(
            located,
            equation=bug.equation,
            bug=bug.slug,
            evidence=(
                *located.evidence,
                f"a backward pass with this mistake gives your numbers in {len(observations)} "
                f"case{'s' * (len(observations) != 1)}",
                *tie,
            ),
            hint=f"{_sentence_case(bug.explanation)} {bug.hint}",
        )
        for bug, _ in survivors
    )
