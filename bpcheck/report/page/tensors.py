"""Every tensor number by number, the wrong ones unfolded."""

from __future__ import annotations

from bpcheck.report.page.heat import heat_map
from bpcheck.report.page.markup import Html, join, scrolling, tag
from bpcheck.report.page.signs import SIGNS, has_numbers, most_severe, word
from bpcheck.report.page.tables import part, side_by_side
from bpcheck.report.page.wrong import wrong_entries
from bpcheck.result import Comparison, Report

__all__ = ["tensors"]

MOST_OPEN = 4
"""Wrong tensors that are unfolded from the start: more than two layers of them, and nobody scrolls on."""


def tensors(report: Report) -> Html | None:
    """Every tensor that has numbers: yours, right and the difference; None if there is none.

    Examples
    --------
    >>> from bpcheck import Report, Verdict
    >>> tensors(Report("f", Verdict.AGREES)) is None
    True
    """
    shown = [c for c in report.comparisons if has_numbers(c) and c.path != "loss"]
    if not shown:
        return None
    kept = most_severe(shown)
    opened = _opened(report, kept)
    parts = [_tensor(c, is_open=any(c is one for one in opened)) for c in kept]
    drawn = ": unit 1 or map 1 of the drawing has index 0" if report.counterexample is not None else ""
    note = f"Indices as in code, from 0{drawn}."
    if len(shown) > len(kept):
        note += f" {len(shown) - len(kept)} more tensors are left out."
    return join(tag("p", note, class_="soft small"), *parts)


def _opened(report: Report, judged: list[Comparison]) -> list[Comparison]:
    """The wrong tensors; of many, those of the layer where the mistake is, for the rest follows from it."""
    wrong = [c for c in judged if SIGNS[c.verdict][1] == "bad"]
    at_fault: list[Comparison] = []
    if len(wrong) > MOST_OPEN and report.diagnoses:
        at_fault = _of_layer(report.diagnoses[0].path, judged, wrong)
    return (at_fault or wrong)[:MOST_OPEN]


def _of_layer(named: str, judged: list[Comparison], wrong: list[Comparison]) -> list[Comparison]:
    """The wrong tensors of the layer of the one that was named."""
    ours = next((c.in_our_layout.path for c in judged if c.path == named), named)
    layer = ours.rpartition("[")[0]
    return [c for c in wrong if layer and c.in_our_layout.path.startswith(layer)]


def _tensor(comparison: Comparison, *, is_open: bool) -> Html:
    assert comparison.expected is not None
    sign, kind = SIGNS[comparison.verdict]
    wrong = wrong_entries(comparison)
    count = f", {int(wrong.sum())} of {wrong.size} entries wrong" if wrong.any() else ""
    name = f" {comparison.name}" if comparison.name else ""
    head = tag(
        "summary", tag("span", f"{sign} ", class_=kind, aria_hidden="true"), tag("code", comparison.path),
        f"{name}: {word(comparison)}{count}",
    )  # fmt: skip
    said = part(comparison).said
    notes = [f"Shape {comparison.expected.shape}."]
    if comparison.expected.ndim > 2:
        notes.append("Dimensions after the second lie beside one another.")
    if said:
        notes.append(f"The tables show {said}.")
    if comparison.reason:
        notes.append(f"{comparison.reason[:1].upper()}{comparison.reason[1:]}.")
    label = f"{comparison.label}: yours, right and the difference"
    body = scrolling(label, side_by_side(comparison), heat_map(comparison), class_="tensor scroll")
    return tag("details", head, tag("p", " ".join(notes), class_="soft small"), body, open=is_open)
