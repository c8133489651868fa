"""How a page begins: the verdict, the one thing to do, and where."""

from __future__ import annotations

from bpcheck.diagnosis import CATALOGUE
from bpcheck.report.page.markup import Html, join, prose, tag
from bpcheck.report.page.signs import SIGNS
from bpcheck.report.text import EQUATIONS, MEANINGS, TITLES, advice, equation, meaning
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
    said, rows = meaning(report), advice(report)
    items = [tag("p", tag("b", f"{label.capitalize().rstrip('?')}: "), prose(text)) for label, text in rows]
    others = [tag("li", text) for text in report.remedies if text not in [row[1] for row in rows]]
    return tag(
        "header",
        tag("h1", badge, " ", tag("code", report.subject)),
        tag("p", f"{said[:1].upper()}{said[1:]}.", class_="soft") if said else None,
        tag("div", *items, class_=f"todo {kind}") if items else None,
        tag("p", prose(report.summary)) if report.summary else None,
        join(tag("p", "What else would help:"), tag("ul", *others)) if others else None,
        *(tag("p", tag("b", "Note: "), warning) for warning in report.warnings),
    )


def where(report: Report) -> Html | None:
    """Equation, place and bug, each with its meaning; None where nothing is known.

    Examples
    --------
    >>> from bpcheck import Report, Verdict
    >>> where(Report("f", Verdict.AGREES, inferred="tanh"))
    '<dl><div><dt>network</dt><dd>tanh</dd></div></dl>'
    """
    rows = [
        *(
            ("equation", _equation(name, report))
            for name in dict.fromkeys(d.equation for d in report.diagnoses)
        ),
        *(("where", _place(diagnosis)) for diagnosis in report.diagnoses[:1]),
        *(("bug", _bug(diagnosis)) for diagnosis in report.diagnoses),
        ("network", report.inferred),
    ]
    known = [tag("div", tag("dt", name), tag("dd", value)) for name, value in rows if value]
    return tag("dl", *known) if known else None


def _equation(name: str, report: Report) -> str:
    if name not in EQUATIONS:
        return ""
    said = tag("span", f"{MEANINGS[name]}.", class_="soft")
    return join(tag("span", prose(equation(name, report)), class_="equation"), tag("br"), said)


def _place(diagnosis: Diagnosis) -> str:
    layer = f" (layer {diagnosis.layer})" if diagnosis.layer is not None else ""
    return diagnosis.path and join(tag("code", diagnosis.path), layer)


def _bug(diagnosis: Diagnosis) -> str:
    known = CATALOGUE.get(diagnosis.bug)
    return diagnosis.bug and join(tag("code", diagnosis.bug), f": {known.title}" if known else None)
