"""The walk through the network: the drawing, the steps in words and numbers, and the buttons that lead through them."""

from __future__ import annotations

from bpcheck.report.page.drawing import draw, legend
from bpcheck.report.page.markup import Html, scrolling, tag
from bpcheck.report.page.replayed import Replay
from bpcheck.report.page.step import Step
from bpcheck.report.page.steps import first_wrong, steps
from bpcheck.report.page.window import Window, window

__all__ = ["MOST_EXAMPLES", "walk"]

MOST_EXAMPLES = 8
"""Examples that can be chosen; each is a drawing of its own, and they are all in the file."""


def walk(found: Replay, *, interactive: bool = True) -> Html:
    """The network section of a report, with buttons for the page's script if it is interactive.

    If not, the end of the backward pass is drawn for the first example.

    Examples
    --------
    >>> from bpcheck import Case, Report, Verdict, mlp
    >>> from bpcheck.report.page.replay import replay
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    >>> html = walk(replay(Report("f", Verdict.DISAGREES, counterexample=case)))
    >>> html.count("<button"), html.count("<svg"), html.count("<li ")
    (5, 1, 6)
    """
    listed, seen = steps(found), window(found)
    examples = min(found.case.batch, MOST_EXAMPLES) if interactive else 1
    pictures = [
        tag("div", draw(found, seen, example), data_example=example, hidden=example > 0)
        for example in range(examples)
    ]
    board = scrolling("Drawing of the network", *pictures)
    caption = tag("p", legend(found) + _left_out(found, seen, examples), class_="soft small")
    if not interactive:
        return tag("div", board, caption, class_="walk")
    start = first_wrong(listed)
    rows = [
        tag("li", *_said(found, step, examples, seen), data_step=number, class_=step.phase)
        for number, step in enumerate(listed)
    ]
    return tag(
        "div",
        _controls(start, examples),
        tag("ol", *rows, class_="steps", aria_live="polite"),
        board,
        caption,
        class_="walk",
        data_start=len(listed) - 1 if start is None else start,
    )


def _left_out(found: Replay, seen: Window, examples: int) -> str:
    said, batch = list(seen.left_out), found.case.batch
    if examples < batch:
        how = f"{examples} can be seen" if examples > 1 else "the first is drawn"
        said.append(f"of {batch} examples, {how}")
    return f" Left out: {'; '.join(said)}." if said else ""


def _controls(start: int | None, examples: int) -> Html:
    wrong = "No step is known to be wrong" if start is None else "✗ First wrong step"
    moves = {"first": "Start", "back": "← Back", "next": "Next →", "last": "End", "wrong": wrong}
    buttons = [
        tag("button", said, type="button", data_go=move, disabled=move == "wrong" and start is None)
        for move, said in moves.items()
    ]
    choice = None
    if examples > 1:
        options = [tag("option", f"{n + 1}", value=n) for n in range(examples)]
        choice = tag("label", "example ", tag("select", *options, data_choose="example"))
    return tag(
        "div", *buttons, choice, tag("span", class_="count soft"), class_="controls", role="group",
        aria_label="Steps through the network; the left and right arrow keys do the same",
    )  # fmt: skip


def _said(found: Replay, step: Step, examples: int, seen: Window) -> list[Html | None]:
    key = found.layers[-1].key if step.kind == "cost" else step.key
    hidden = "" if key in seen.keys else " (not drawn)"
    shown = [] if step.of_example is None else [
        tag("div", step.of_example(example), data_example=example, hidden=example > 0) for example in range(examples)
    ]  # fmt: skip
    return [
        tag(
            "p",
            tag("b", step.title + hidden),
            "   ",
            tag("span", step.equation, class_="equation"),
            class_="title",
        ),
        tag("p", step.meaning, class_="soft"),
        step.of_all,
        *shown,
    ]
