"""How a page ends: one right derivative as a formula, the case to paste, and how much an AGREES proves."""

from __future__ import annotations

from bpcheck.report.page.formula import Formula
from bpcheck.report.page.markup import Html, join, scrolling, tag
from bpcheck.report.page.numbers import show
from bpcheck.report.page.signs import MOST_TENSORS
from bpcheck.report.text import limits
from bpcheck.result import Report

__all__ = ["proof", "reproducer", "written"]


def written(found: Formula | None) -> Html | None:
    """The derivative at one wrong entry, as mathematics and as text; None where there is none.

    Examples
    --------
    >>> written(None) is None
    True
    """
    if found is None:
        return None
    names = (
        f"{'; '.join(found.symbols)}; bl_j is a bias. x_i_… and y_i_… are input and target of example i. "
        "Everything counts from 1."
    )
    steps = "t1, t2, … are parts that are used again. " if len(found.lines) > 1 else ""
    text = "\n".join(f"{name} = {expression}" for name, expression in found.lines)
    if "Heaviside" in text:
        steps += "Heaviside(z) is 1 for z > 0 and 0 for z < 0. "
    how = ", by writing the cost out and differentiating it with SymPy. No rule of backpropagation is used."
    formulas = [Html(line) for line in found.mathml]
    board = scrolling("The formula", *formulas, class_="scroll math")
    as_text = scrolling("The formula as text", text, name="pre", class_=None)
    value = None
    if found.value is not None:
        value = tag("p", "At the numbers of this case it is ", tag("b", show(found.value, 6)), ".")
    return join(
        tag("p", "The right derivative for ", tag("code", found.entry), how),
        board,
        tag("details", tag("summary", "The same as text"), as_text),
        value,
        tag("p", found.note) if found.note else None,
        tag("p", steps + names, class_="soft small"),
    )


def reproducer(report: Report, *, interactive: bool) -> Html | None:
    """The code that shows it again, with a button that copies it.

    Examples
    --------
    >>> from bpcheck import Report, Verdict
    >>> reproducer(Report("f", Verdict.AGREES), interactive=True) is None
    True
    """
    if not report.reproducer:
        return None
    code = scrolling("Code that shows it again", report.reproducer, name="pre", class_=None)
    if not interactive:
        return code
    button = tag("button", "Copy", type="button", data_copy=True)
    return tag(
        "div", tag("p", button, " ", tag("span", role="status", class_="soft")), code, class_="reproducer"
    )


def proof(report: Report) -> Html | None:
    """What an AGREES could have missed, for every tensor, and what was not looked at; None where nothing is to be said.

    Examples
    --------
    >>> from bpcheck import Report, Verdict
    >>> proof(Report("f", Verdict.DISAGREES)) is None
    True
    """
    left_out = tag("ul", *(tag("li", text) for text in report.unchecked)) if report.unchecked else None
    unseen = left_out and join(tag("p", "Not looked at:"), left_out)
    said = limits(report)
    if not said:
        return unseen
    limit = report.detection_limit
    rows = [
        tag("tr", tag("th", tag("code", path), scope="row"), tag("td", show(value, 2)))
        for path, value in sorted(limit.items(), key=lambda item: -item[1])[:MOST_TENSORS]
    ]
    more = f"; {len(limit) - len(rows)} more are left out" if len(limit) > len(rows) else ""
    head = tag("tr", tag("th", "tensor", scope="col"), tag("th", "limit", scope="col"))
    caption = tag("caption", f"Smallest relative error that would have been seen{more}")
    table = tag("table", caption, tag("thead", head), tag("tbody", *rows), class_="evidence")
    return join(tag("p", said), scrolling("Table of the limits", table), unseen)
