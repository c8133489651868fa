"""The whole page, and the same as a fragment for a notebook."""

from __future__ import annotations

import math
from importlib import resources

from bpcheck.plain import EQUATIONS, MEANINGS, TITLES, meaning, to_do
from bpcheck.report.page.formula import Formula, wrong_formula
from bpcheck.report.page.heat import heat_map
from bpcheck.report.page.markup import Html, join, prose, tag
from bpcheck.report.page.numbers import beside, show
from bpcheck.report.page.replay import Replay, replay
from bpcheck.report.page.tables import part, side_by_side
from bpcheck.report.page.walk import walk
from bpcheck.report.page.wrong import wrong_entries
from bpcheck.result import Comparison, Diagnosis, Report
from bpcheck.verdict import Verdict

__all__ = ["fragment", "page"]

SIGNS = {
    Verdict.WRONG_STRUCTURE: ("✗", "bad"),
    Verdict.NONFINITE: ("✗", "bad"),
    Verdict.DISAGREES: ("✗", "bad"),
    Verdict.INCONCLUSIVE: ("?", "open"),
    Verdict.AGREES_AT_KINK: ("✓", "fine"),
    Verdict.AGREES: ("✓", "fine"),
}

MOST_TENSORS = 24
"""Tensors shown number by number: two for each of twelve layers. The JSON report has a line for every one."""

MOST_OPEN = 4
"""Wrong tensors that are unfolded from the start: more than two layers of them, and nobody scrolls on."""

# Nothing may be fetched, whatever a caller's text says; style and script are in the page itself.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(report: Report) -> str:
    """A report as one page that works without a network.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str

    Examples
    --------
    >>> html = page(Report("<script>", Verdict.AGREES))
    >>> "<title>bpcheck: &lt;script&gt; AGREES</title>" in html
    True
    """
    title = f"bpcheck: {report.subject} {TITLES[report.verdict]}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(_read("page.css") + _read("page_alone.css"))),
    )
    body = tag(
        "body",
        tag("main", *_sections(report, interactive=True), class_="bpcheck-report bpcheck-page"),
        tag("script", Html(_read("page.js"))),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def fragment(report: Report) -> str:
    """A report inside somebody else's page: no script, no id, and styles that reach nothing outside of it.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str

    Examples
    --------
    >>> html = fragment(Report("f", Verdict.AGREES))
    >>> html.startswith('<div class="bpcheck-report"><style>'), "<script" in html, " id=" in html
    (True, False, False)
    """
    style = tag("style", Html(_read("page.css")))
    return tag("div", style, *_sections(report, interactive=False), class_="bpcheck-report")


def _read(name: str) -> str:
    return resources.files("bpcheck.report.page").joinpath(name).read_text(encoding="utf-8")


def _sections(report: Report, *, interactive: bool) -> list[Html]:
    found = replay(report)
    parts = [
        _verdict(report),
        *(_section(title, body) for title, body in [
            ("What to look at" if report.diagnoses else "What was compared", _where(report)),
            (_network_title(report, interactive=interactive), _network(report, found, interactive=interactive)),
            ("The evidence", _evidence(report)),
            ("Number by number", _tensors(report)),
            ("One wrong entry as a formula", _formula(wrong_formula(report))),
            (_case_title(report), _reproducer(report, interactive=interactive)),
            ("How much this proves", _limits(report)),
        ]),
        _footer(report),
    ]  # fmt: skip
    return [p for p in parts if p is not None]


def _section(title: str, body: Html | None) -> Html | None:
    return None if body is None else tag("section", tag("h2", title), body, aria_label=title)


# --- the verdict, and the one thing to do -------------------------------------------------------------


def _verdict(report: Report) -> Html:
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


def _where(report: Report) -> Html | None:
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
    return _pair("bug", tag("code", diagnosis.bug))


# --- the network --------------------------------------------------------------------------------------


def _network_title(report: Report, *, interactive: bool) -> str:
    wrong = report.verdict.severity > Verdict.INCONCLUSIVE.severity
    name = "The smallest network that fails" if wrong else "The network"
    return f"{name}, step by step" if interactive else name


def _network(report: Report, found: Replay | None, *, interactive: bool) -> Html | None:
    case = report.counterexample
    if case is None:
        return None
    described = tag("p", tag("code", repr(case.architecture)), class_="scroll", tabindex="0", role="group",
                    aria_label="The network")  # fmt: skip
    if found is None:
        why = (
            "It has skip connections, which are not drawn."
            if not case.architecture.is_chain
            else "Its numbers leave the range of float64, so there is nothing to draw."
        )
        return join(described, tag("p", why))
    drawn = walk(found, interactive=interactive)
    if interactive:
        return join(described, drawn)
    how = tag(
        "p",
        tag("code", 'report.to_html("report.html")'),
        " writes a page that steps through it.",
        class_="soft small",
    )
    return join(described, drawn, how)


# --- the evidence -------------------------------------------------------------------------------------


def _evidence(report: Report) -> Html | None:
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
        note = "The worst entry of each tensor; allowed is what rounding alone can explain."
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
    if not _has_numbers(comparison):
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


def _has_numbers(comparison: Comparison) -> bool:
    return comparison.actual is not None and comparison.expected is not None and comparison.expected.size > 0


# --- number by number ---------------------------------------------------------------------------------


def _tensors(report: Report) -> Html | None:
    shown = [c for c in report.comparisons if _has_numbers(c) and c.path != "loss"]
    if not shown:
        return None
    kept = sorted(shown, key=lambda c: -c.verdict.severity)[:MOST_TENSORS]
    opened = _opened(report, kept)
    parts = [
        _tensor(c, is_open=any(c is other for other in opened))
        for c in shown
        if any(c is other for other in kept)
    ]
    drawn = ": unit 1 of the drawing has index 0" if report.counterexample is not None else ""
    note = f"Indices as in code, from 0{drawn}."
    if len(shown) > len(kept):
        note += f" {len(shown) - len(kept)} more tensors are left out."
    return join(tag("p", note, class_="soft small"), *parts)


def _opened(report: Report, tensors: list[Comparison]) -> list[Comparison]:
    """The wrong tensors; of many, those of the layer where the mistake is, for the rest follows from it."""
    wrong = [c for c in tensors if SIGNS[c.verdict][1] == "bad"]
    if len(wrong) <= MOST_OPEN or not report.diagnoses:
        return wrong[:MOST_OPEN]
    layer = report.diagnoses[0].path.rpartition("[")[0]
    return [c for c in wrong if layer and c.path.startswith(layer)][:MOST_OPEN] or wrong[:MOST_OPEN]


def _tensor(comparison: Comparison, *, is_open: bool) -> Html:
    assert comparison.expected is not None
    sign, kind = SIGNS[comparison.verdict]
    wrong = wrong_entries(comparison)
    count = f", {int(wrong.sum())} of {wrong.size} entries wrong" if wrong.any() else ""
    word = "ok" if comparison.verdict is Verdict.AGREES else TITLES[comparison.verdict].lower()
    head = tag(
        "summary", tag("span", f"{sign} ", class_=kind, aria_hidden="true"), tag("code", comparison.path),
        f" {comparison.name}: {word}{count}" if comparison.name else f": {word}{count}",
    )  # fmt: skip
    said = part(comparison).said
    notes = [f"Shape {comparison.expected.shape}."]
    if comparison.expected.ndim > 2:
        notes.append("Dimensions after the second lie beside one another.")
    if said:
        notes.append(f"The tables show {said}.")
    if comparison.reason:
        notes.append(f"{comparison.reason[:1].upper()}{comparison.reason[1:]}.")
    body = tag(
        "div", side_by_side(comparison), heat_map(comparison), class_="tensor scroll", tabindex="0", role="group",
        aria_label=f"{comparison.label}: yours, right and the difference",
    )  # fmt: skip
    return tag("details", head, tag("p", " ".join(notes), class_="soft small"), body, open=is_open)


# --- formula, case, limits ----------------------------------------------------------------------------


def _formula(found: Formula | None) -> Html | None:
    if found is None:
        return None
    names = (
        "Wl_j_k is the weight from unit k of layer l − 1 to unit j of layer l, bl_j a bias; x_i_k and y_i_k are input "
        "and target of example i. Everything counts from 1."
    )
    steps = "t1, t2, … are parts that are used again. " if len(found.lines) > 1 else ""
    text = "\n".join(f"{name} = {expression}" for name, expression in found.lines)
    if "Heaviside" in text:
        steps += "Heaviside(z) is 1 for z > 0 and 0 for z < 0. "
    how = ", by writing the cost out and differentiating it with SymPy. No rule of backpropagation is used."
    formulas = [Html(line) for line in found.mathml]
    board = tag("div", *formulas, class_="scroll math", tabindex="0", role="group", aria_label="The formula")
    plain = tag("pre", text, tabindex="0", role="group", aria_label="The formula as text")
    value = None
    if found.value is not None:
        value = tag("p", "At the numbers of this case it is ", tag("b", show(found.value, 6)), ".")
    return join(
        tag("p", "The right derivative for ", tag("code", found.entry), how),
        board,
        tag("details", tag("summary", "The same as text"), plain),
        value,
        tag("p", found.note) if found.note else None,
        tag("p", steps + names, class_="soft small"),
    )


def _case_title(report: Report) -> str:
    wrong = report.verdict.severity > Verdict.INCONCLUSIVE.severity
    return "The smallest case, to paste" if wrong else "The case, to paste"


def _reproducer(report: Report, *, interactive: bool) -> Html | None:
    if not report.reproducer:
        return None
    code = tag("pre", report.reproducer, tabindex="0", role="group", aria_label="Code that shows it again")
    if not interactive:
        return code
    button = tag("button", "Copy", type="button", data_copy=True)
    return tag(
        "div", tag("p", button, " ", tag("span", role="status", class_="soft")), code, class_="reproducer"
    )


def _limits(report: Report) -> Html | None:
    limit = report.detection_limit
    if not report.ok or math.isnan(limit.maximum):
        return None
    chance = limit.miss_probability
    cases = " in every case" if report.examples > 1 else ""
    text = (
        f"An entry that is wrong by more than {show(limit.maximum, 2)} of its tensor's root mean square would have been "
        f"seen{cases}{f' with probability 1 − {chance:.0e}' if chance else ''}. Smaller errors may have passed."
    )
    if report.examples > 1:
        text += " Networks of other kinds than those compared were not looked at."
    rows = [
        tag("tr", tag("th", tag("code", path), scope="row"), tag("td", show(value, 2)))
        for path, value in sorted(limit.items(), key=lambda item: -item[1])[:MOST_TENSORS]
    ]
    more = len(limit) - len(rows)
    note = "Smallest relative error that would have been seen" + (
        f"; {more} more are left out" if more else ""
    )
    table = tag(
        "table", tag("caption", note),
        tag("thead", tag("tr", tag("th", "tensor", scope="col"), tag("th", "limit", scope="col"))),
        tag("tbody", *rows), class_="evidence",
    )  # fmt: skip
    board = tag("div", table, class_="scroll", tabindex="0", role="group", aria_label="Table of the limits")
    return join(tag("p", text), board)


def _footer(report: Report) -> Html:
    said = []
    if report.examples:
        said.append(f"{report.examples} case{'s' * (report.examples != 1)}")
    if report.evaluations:
        said.append(f"{report.evaluations} calls")
    if report.seed is not None:
        said.append(f"seed {report.seed}")
    return tag("footer", tag("p", ", ".join(said), class_="soft small"))
