"""A report in the caller's words: their paths, and indices into their arrays."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from bpcheck.conventions import Conventions
from bpcheck.conventions.convert import paths, tensors_into
from bpcheck.result import Comparison, Report

__all__ = ["in_callers_words"]

_OURS = re.compile(r"params\[(\d+)\]\['(weight|bias)'\]")
# More weight layers than any network that compare() draws.
DEEPEST = 16


def in_callers_words(report: Report, conventions: Conventions) -> Report:
    """The same report with the caller's names of tensors, and numbers laid out as theirs.

    Where a tensor of ours is only a part of one of theirs (folded biases, a flat vector), and in
    sentences about networks of another depth whose names depend on it, our names stay.

    Parameters
    ----------
    report : Report
    conventions : Conventions

    Returns
    -------
    Report

    Examples
    --------
    >>> from bpcheck.result import Diagnosis
    >>> from bpcheck.verdict import Verdict
    >>> report = Report("f", Verdict.DISAGREES, (Comparison("params[0]['bias']", Verdict.DISAGREES),))
    >>> in_callers_words(report, Conventions.preset("cs231n")).comparisons[0].path
    "params['b1']"
    """
    found = [_OURS.match(comparison.path) for comparison in report.comparisons]
    count = 1 + max((int(match[1]) for match in found if match), default=-1)
    if conventions.is_ours or not count or not (names := paths(conventions, count)):
        return report
    # The same name whatever the depth: safe in a sentence about another network.
    deep, deeper = paths(conventions, DEEPEST), paths(conventions, DEEPEST + 1)
    steady = {ours: name for ours, name in deep.items() if deeper[ours] == name}
    limit = type(report.detection_limit)(
        {_renamed(path, names): value for path, value in report.detection_limit.items()},
        miss_probability=report.detection_limit.miss_probability,
    )
    return replace(
        report,
        comparisons=tuple(_comparison(c, conventions, names) for c in report.comparisons),
        diagnoses=tuple(
            replace(
                d,
                path=_renamed(d.path, names),
                evidence=tuple(_renamed(text, steady) for text in d.evidence),
                hint=_renamed(d.hint, steady),
            )
            for d in report.diagnoses
        ),
        detection_limit=limit,
        warnings=tuple(_renamed(text, steady) for text in report.warnings),
        summary=_renamed(report.summary, steady),
    )


def _renamed(text: str, names: dict[str, str]) -> str:
    return _OURS.sub(lambda match: names.get(match[0], match[0]), text)


def _comparison(comparison: Comparison, conventions: Conventions, names: dict[str, str]) -> Comparison:
    """One comparison, its arrays and its worst entry in the caller's shape."""
    match = _OURS.fullmatch(comparison.path)
    renamed = replace(
        comparison, path=_renamed(comparison.path, names), reason=_renamed(comparison.reason, names),
        ours=comparison,
    )  # fmt: skip
    if match is None or comparison.actual is None:
        return renamed

    def theirs(array: Any) -> Any:
        if array is None:
            return None
        weight = match[2] == "weight"
        layer = {
            "weight": array if weight else np.zeros((array.size, 1)),
            "bias": np.zeros(len(array)) if weight else array,
        }
        return tensors_into(conventions, [layer])["W0" if weight else "b0"]

    mark = np.zeros(np.shape(comparison.actual))
    mark[comparison.worst_index] = 1.0
    index = np.unravel_index(int(theirs(mark).argmax()), theirs(mark).shape)
    return replace(
        renamed,
        actual=theirs(comparison.actual),
        expected=theirs(comparison.expected),
        bound=theirs(comparison.bound),
        worst_index=tuple(int(i) for i in index),
    )
