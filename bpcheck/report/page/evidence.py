"""The evidence: what was observed, in sentences and in a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bpcheck.report.page.markup import Html, join, prose, scrolling, tag
from bpcheck.report.page.numbers import beside, show
from bpcheck.report.page.signs import SIGNS, has_numbers, most_severe, word
from bpcheck.report.text import ALLOWED, indexed
from bpcheck.result import Comparison, Report

__all__ = ["evidence"]


def evidence(report: Report) -> Html | None:
    """Why the verdict is what it is: what was observed, and the worst entry of every tensor.

    Examples
    --------
    >>> from bpcheck import Report, Verdict
    >>> evidence(Report("f", Verdict.AGREES)) is None
    True
    """
    reasons = [tag("li", prose(text)) for diagnosis in report.diagnoses[:1] for text in diagnosis.evidence]
    return join(tag("ul", *reasons) if reasons else None, _table(report.comparisons)) or None


def _table(comparisons: Sequence[Comparison]) -> Html | None:
    kept = most_severe(comparisons)
    if not kept:
        return None
    columns = ("tensor", "yours", "right", "difference", "allowed", "verdict")
    more = len(comparisons) - len(kept)
    left_out = f" {more} more tensors are left out; the JSON report has them." if more else ""
    table = tag(
        "table",
        tag("caption", f"{ALLOWED}{left_out}"),
        tag("thead", tag("tr", *(tag("th", name, scope="col") for name in columns))),
        tag("tbody", *map(_row, kept)),
        class_="evidence",
    )
    return scrolling("Table of the evidence", table)


def _row(comparison: Comparison) -> Html:
    sign, kind = SIGNS[comparison.verdict]
    index = comparison.worst_index
    name = f" ({comparison.name})" if comparison.name else ""
    head = tag("th", tag("code", f"{comparison.path}{indexed(index)}"), name, scope="row")
    verdict = tag("td", tag("span", f"{sign} ", aria_hidden="true"), word(comparison), class_=kind)
    if not has_numbers(comparison):
        return tag("tr", head, tag("td", comparison.reason, colspan=4, class_="text"), verdict)
    assert comparison.actual is not None
    assert comparison.expected is not None
    yours, right = float(comparison.actual[index]), float(comparison.expected[index])
    pair = beside(yours, right) if kind == "bad" else (show(yours, 6), show(right, 6))
    bound = math.nan if comparison.bound is None else float(comparison.bound[index])
    return tag(
        "tr",
        head,
        tag("td", pair[0], class_=kind if kind == "bad" else None),
        tag("td", pair[1]),
        tag("td", show(abs(yours - right), 2)),
        tag("td", show(bound, 2)),
        verdict,
    )
