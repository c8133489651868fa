"""How a page begins: the verdict, the one thing to do, and where."""

from __future__ import annotations

from collections.abc import Sequence

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
    said = meaning(report)
    rows = advice(report)
    items = [tag("p", tag("b", f"{label.capitalize().rstrip('?')}: "), prose(text)) for label, text in rows]
    others = [text for text in report.remedies if text not in [said for _, said in rows]]
    return tag(
        "header",
        tag("h1", badge, " ", tag("code", report.subject)),
        tag("p", f"{said[:1].upper()}{said[1:]}.", class_="soft") if said else None,
        tag("div", *items, class_=f"todo {kind}") if items else None,
        tag("p", prose(report.summary)) if report.summary else None,
        _would_help(others) if others else None,
        *(tag("p", tag("b", "Note: "), warning) for warning in report.warnings),
    )


def _would_help(remedies: Sequence[str]) -> Html:
    return join(tag("p", "What else would help:"), tag("ul", *(tag("li", text) for text in remedies)))


def where(report: Report) -> Html | None:
    """Equation, place and bug, each with its meaning; None where nothing is known.

    Examples
    --------
    >>> from bpcheck import Report, Verdict
    >>> where(Report("f", Verdict.AGREES, inferred="tanh"))
    '<dl><div><dt>network</dt><dd>tanh</dd></div></dl>'
    """
    names = dict.fromkeys(d.equation for d in report.diagnoses)
    rows = [_equation(name, report) for name in names if name in EQUATIONS]
    rows += [_place(diagnosis) for diagnosis in report.diagnoses[:1] if diagnosis.path]
    rows += [_bug(diagnosis) for diagnosis in report.diagnoses if diagnosis.bug]
    if report.inferred:
        rows.append(_pair("network", report.inferred))
    return tag("dl", *rows) if rows else None


def _equation(name: str, report: Report) -> Html:
    heading = tag("span", prose(equation(name, report)), class_="equation")
    return _pair("equation", join(heading, tag("br"), tag("span", f"{MEANINGS[name]}.", class_="soft")))


def _place(diagnosis: Diagnosis) -> Html:
    layer = f" (layer {diagnosis.layer})" if diagnosis.layer is not None else ""
    return _pair("where", join(tag("code", diagnosis.path), layer))


def _pair(name: str, value: str) -> Html:
    return tag("div", tag("dt", name), tag("dd", value))


def _bug(diagnosis: Diagnosis) -> Html:
    known = CATALOGUE.get(diagnosis.bug)
    return _pair("bug", join(tag("code", diagnosis.bug), f": {known.title}" if known else None))
