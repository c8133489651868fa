"""Sweeps: for which inputs an unnamed mistake shows, and for which it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bpcheck.errors import InputError, SubjectError
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain
from bpcheck.search.cases.sample import GENERIC, random_case
from bpcheck.search.judging import Judge
from bpcheck.verdict import Verdict

__all__ = ["sweep"]

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
    widths = dense_chain(case.architecture).widths
    if case.batch > 1 and _all_right(judge, _examples(case)):
        if case.batch > 2 and _all_right(judge, iter([replace(case, x=case.x[:2], y=case.y[:2])])):
            return None  # wrong for some batches, and not for all of several examples
        return (
            "right-only-for-batch-1",
            f"right for each of the {case.batch} examples alone, wrong for the batch of them",
        )
    if len(widths) > 2 and _all_right(judge, _fresh(case, (widths[0], widths[-1]), rng)):
        if len(widths) > 3 and _all_right(judge, _fresh(case, (*widths[:2], widths[-1]), rng)):
            return None  # one hidden layer does no harm either
        return "right-only-for-depth-1", f"right on {TRIES} networks without a hidden layer, wrong with one"
    distinct = tuple(int(width) for width in range(widths[0] + 1, widths[0] + 1 + len(widths)))
    if len(widths) > 1 and len(set(widths)) == 1 and _all_right(judge, _fresh(case, distinct, rng)):
        return (
            "wrong-only-for-equal-widths",
            f"right on {TRIES} networks of widths {list(distinct)}, wrong where all widths are equal",
        )
    return None


def _examples(case: Case) -> Iterator[Case]:
    for i in range(case.batch):
        yield replace(case, x=case.x[i : i + 1], y=case.y[i : i + 1])


def _fresh(case: Case, widths: tuple[int, ...], rng: np.random.Generator) -> Iterator[Case]:
    try:
        architecture = dense_chain(case.architecture).with_widths(widths)
    except InputError:
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
