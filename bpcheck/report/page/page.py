"""The whole page, and the same as a fragment for a notebook."""

from __future__ import annotations

from importlib import resources

from bpcheck.network.architecture import Architecture
from bpcheck.report.page.closing import proof, reproducer, written
from bpcheck.report.page.evidence import evidence
from bpcheck.report.page.formula import wrong_formula
from bpcheck.report.page.layers.kinds import unknown
from bpcheck.report.page.markup import Html, join, scrolling, tag
from bpcheck.report.page.opening import opening, where
from bpcheck.report.page.replay import replay
from bpcheck.report.page.replayed import Replay
from bpcheck.report.page.tensors import tensors
from bpcheck.report.page.walk import walk
from bpcheck.report.text import TITLES, footer
from bpcheck.result import Report
from bpcheck.verdict import Verdict

__all__ = ["fragment", "page"]

# Nothing may be fetched, whatever a caller's text says; style and script are in the page itself.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(report: Report) -> str:
    """A report as one page that works without a network.

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
    wrong = report.verdict.severity > Verdict.INCONCLUSIVE.severity
    shrunk = wrong and bool(report.reproducer)  # a network that was given is the one that is shown
    network = f"{'The smallest network that fails' if shrunk else 'The network'}{', step by step' if interactive else ''}"
    bodies = {
        "What to look at" if report.diagnoses else "What was compared": where(report),
        network: _network(report, found, interactive=interactive),
        "The evidence": evidence(report),
        "Number by number": tensors(report),
        "One wrong entry as a formula": written(wrong_formula(report)),
        "The smallest case, to paste" if wrong else "The case, to paste": reproducer(
            report, interactive=interactive
        ),
        "How much this proves" if report.ok else "What this leaves open": proof(report),
    }
    sections = [
        tag("section", tag("h2", title), body, aria_label=title)
        for title, body in bodies.items()
        if body is not None
    ]
    return [opening(report), *sections, tag("footer", tag("p", footer(report), class_="soft small"))]


def _network(report: Report, found: Replay | None, *, interactive: bool) -> Html | None:
    case = report.counterexample
    if case is None:
        return None
    described = scrolling("The network", tag("code", repr(case.architecture)), name="p")
    if found is None:
        return join(described, tag("p", _why_not(case.architecture)))
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


def _why_not(architecture: Architecture) -> str:
    """Why a network is not drawn."""
    kinds = unknown(architecture)
    if kinds:
        return f"The page cannot draw {' and '.join(kinds)} layers yet; the evidence and the tables below hold all numbers."
    return "Its numbers cannot be computed again, so there is nothing to draw; the tables below hold what was found."
