"""How a page begins: the verdict, the one thing to do, and where."""

from __future__ import annotations

from bpcheck.diagnosis import CATALOGUE
from bpcheck.report.page.markup import Html, join, prose, tag
from bpcheck.report.page.signs import SIGNS
from bpcheck.report.text import EQUATIONS, MEANINGS, TITLES, meaning, to_do
from bpcheck.result import Diagnosis, Report

__all__ = ["opening", "where"]


def opening(report: Report) -> Html:
    """Verdict, the one thing to do, what was seen, and what is odd.

    Examples
    --------
    >>> from bpcheck import Report, Verdict
    >>> "INCONCLUSIVE" in opening(Report("f", Verdict.INCONCLUSIVE))
    True
    """
    sign, kind = SIGNS[report.verdict]
    badge = tag(
        "span", tag("span", sign, aria_hidden="true"), f" {TITLES[report.verdict]}", class_=f"badge {kind}"
    )
    said = meaning(report)
    lines = [tag("h1", badge, " ", tag("code", report.subject))]
    if said:
        lines.append(tag("p", f"{said[:1].upper()}{said[1:]}.", class_="soft"))
    advice = to_do(report)
    if advice:
        items = [
            tag("p", tag("b", "To do: " if i == 0 else "Or: "), prose(text)) for i, text in enumerate(advice)
        ]
        lines.append(tag("div", *items, class_=f"todo {kind}"))
    if report.summary:
        lines.append(tag("p", prose(report.summary)))
    others = [text for text in report.remedies if text not in advice]
    if others:
        lines.append(tag("p", "What else would help:"))
        lines.append(tag("ul", *(tag("li", text) for text in others)))
    lines += [tag("p", tag("b", "Note: "), warning) for warning in report.warnings]
    return tag("header", *lines)


def where(report: Report) -> Html | None:
    """Equation, place and bug, each with its meaning; None where nothing is known.

    Examples
    --------
    >>> from bpcheck import Report, Verdict
    >>> where(Report("f", Verdict.AGREES, inferred="tanh"))
    '<dl><div><dt>network</dt><dd>tanh</dd></div></dl>'
    """
    rows: list[Html] = []
    for equation in dict.fromkeys(d.equation for d in report.diagnoses):
        if equation in EQUATIONS:
            said = tag("span", f"{MEANINGS[equation]}.", class_="soft")
            rows.append(
                _pair(
                    "equation",
                    join(tag("span", prose(EQUATIONS[equation]), class_="equation"), tag("br"), said),
                )
            )
    first = report.diagnoses[0] if report.diagnoses else None
    if first is not None and first.path:
        layer = f" (layer {first.layer})" if first.layer is not None else ""
        rows.append(_pair("where", join(tag("code", first.path), layer)))
    rows += [_bug(diagnosis) for diagnosis in report.diagnoses if diagnosis.bug]
    if report.inferred:
        rows.append(_pair("network", report.inferred))
    return tag("dl", *rows) if rows else None


def _pair(name: str, value: str) -> Html:
    return tag("div", tag("dt", name), tag("dd", value))


def _bug(diagnosis: Diagnosis) -> Html:
    known = CATALOGUE.get(diagnosis.bug)
    return _pair("bug", join(tag("code", diagnosis.bug), f": {known.title}" if known else None))
