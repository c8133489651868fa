"""The evidence: what was observed, in sentences and in a table."""

from __future__ import annotations

import math

from bpcheck.report.page.markup import Html, join, prose, tag
from bpcheck.report.page.numbers import beside, show
from bpcheck.report.page.signs import MOST_TENSORS, SIGNS, has_numbers
from bpcheck.report.text import ALLOWED, TITLES
from bpcheck.result import Comparison, Report
from bpcheck.verdict import Verdict

__all__ = ["evidence"]


def evidence(report: Report) -> Html | None:
    """Why the verdict is what it is: what was observed, and the worst entry of every tensor.

    Examples
    --------
    >>> from bpcheck import Report, Verdict
    >>> evidence(Report("f", Verdict.AGREES)) is None
    True
    """
    parts: list[Html] = []
    reasons = report.diagnoses[0].evidence if report.diagnoses else ()
    if reasons:
        parts.append(tag("ul", *(tag("li", prose(text)) for text in reasons)))
    if report.comparisons:
        shown = sorted(report.comparisons, key=lambda c: -c.verdict.severity)[:MOST_TENSORS]
        kept = [c for c in report.comparisons if any(c is other for other in shown)]
        columns = ("tensor", "yours", "right", "difference", "allowed", "verdict")
        heads = tag("tr", *(tag("th", name, scope="col") for name in columns))
        more = len(report.comparisons) - len(kept)
        note = ALLOWED
        if more:
            note += f" {more} more tensors are left out; the JSON report has them."
        table = tag(
            "table",
            tag("caption", note),
            tag("thead", heads),
            tag("tbody", *(_row(comparison) for comparison in kept)),
            class_="evidence",
        )
        parts.append(
            tag("div", table, class_="scroll", tabindex="0", role="group", aria_label="Table of the evidence")
        )
    return join(*parts) if parts else None


def _row(comparison: Comparison) -> Html:
    sign, kind = SIGNS[comparison.verdict]
    word = "ok" if comparison.verdict is Verdict.AGREES else TITLES[comparison.verdict].lower()
    index = comparison.worst_index
    place = f"[{', '.join(map(str, index))}]" if index else ""
    name = f" ({comparison.name})" if comparison.name else ""
    head = tag("th", tag("code", f"{comparison.path}{place}"), name, scope="row")
    verdict = tag("td", tag("span", f"{sign} ", aria_hidden="true"), word, class_=kind)
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
