"""Sweeps: for which inputs an unnamed mistake shows, and for which it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from bpcheck.errors import InputError, SubjectError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.names import places
from bpcheck.search.cases.plan import planned
from bpcheck.search.cases.sample import GENERIC, random_case
from bpcheck.search.judging import Judge
from bpcheck.verdict import Verdict

__all__ = ["depth", "sweep"]

TRIES = 4
"""Cases a sweep asks for: a mistake that shows in half of them is missed by all in 6 %, and then it is the sentence that
is wrong, not the verdict."""


def sweep(judge: Judge, case: Case, rng: np.random.Generator) -> tuple[str, str] | None:
    """Slug and evidence where a mistake shows for one kind of input only; None where it shows for all.

    Parameters
    ----------
    judge : Judge
    case : Case
        One that is wrong.
    rng : numpy.random.Generator

    Returns
    -------
    (slug, evidence) or None
    """
    for look in (_by_batch, _by_depth, _by_width):
        shows, found = look(judge, case, rng)
        if shows:
            return found
    return None


Found: TypeAlias = tuple[bool, tuple[str, str] | None]
"""Whether some inputs are answered rightly, so that nothing else is to be asked; slug and evidence if that has a name."""


def _by_batch(judge: Judge, case: Case, rng: np.random.Generator) -> Found:
    if case.batch == 1 or not _all_right(judge, _examples(case)):
        return False, None
    if case.batch > 2 and _all_right(judge, iter([replace(case, x=case.x[:2], y=case.y[:2])])):
        return True, None  # wrong for some batches, and not for all of several examples
    return True, (
        "right-only-for-batch-1",
        f"right for each of the {case.batch} examples alone, wrong for the batch of them",
    )


def _by_depth(judge: Judge, case: Case, rng: np.random.Generator) -> Found:
    plan = planned(case.architecture)
    shallow = plan.with_hidden(0).architecture()
    if depth(case.architecture) == 1 or depth(shallow) != 1 or not _all_right(judge, _fresh(shallow, rng)):
        return False, None
    deeper = plan.with_hidden(1).architecture()
    if deeper != case.architecture and _all_right(judge, _fresh(deeper, rng)):
        return True, None  # one hidden layer does no harm either
    return True, (
        "right-only-for-depth-1",
        f"right on {TRIES} networks without a hidden layer, wrong with one",
    )


def _by_width(judge: Judge, case: Case, rng: np.random.Generator) -> Found:
    plan = planned(case.architecture)
    widths = plan.widths
    # as many outputs as before: what is wrong for two of them and right for three is no matter of equal widths
    distinct = plan.of_widths((*range(widths[0] + 1, widths[0] + len(widths)), widths[-1])).architecture()
    if len(widths) == 1 or len(set(widths)) > 1 or not _all_right(judge, _fresh(distinct, rng)):
        return False, None
    assert distinct is not None
    return True, (
        "wrong-only-for-equal-widths",
        f"right on {TRIES} networks of widths {list(planned(distinct).widths)}, wrong where all widths are equal",
    )


def depth(architecture: Architecture | None) -> int:
    """How many layers have parameters."""
    return 0 if architecture is None else sum(bool(place.parameters) for place in places(architecture))


def _examples(case: Case) -> Iterator[Case]:
    for i in range(case.batch):
        yield replace(case, x=case.x[i : i + 1], y=case.y[i : i + 1])


def _fresh(architecture: Architecture | None, rng: np.random.Generator) -> Iterator[Case]:
    if architecture is None:
        return
    for _ in range(TRIES):
        yield random_case(rng, architecture, GENERIC)


def _all_right(judge: Judge, cases: Iterator[Case]) -> bool:
    """Whether the subject answers all of them rightly; False if it does not take one, or there is none."""
    verdicts: list[Verdict] = []
    try:
        for case in cases:
            verdicts.append(judge(case).verdict)
            if not verdicts[-1].ok:
                return False
    except (SubjectError, InputError):
        return False
    return bool(verdicts)
