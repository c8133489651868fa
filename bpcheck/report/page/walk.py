"""The walk through the network: the drawing, the steps in words and numbers, and the buttons that lead through them."""

from __future__ import annotations

from typing import Any

from bpcheck.report.page.drawing import Window, draw, legend, window
from bpcheck.report.page.markup import Html, tag
from bpcheck.report.page.numbers import beside, layer_name, show
from bpcheck.report.page.replay import Layer, Replay
from bpcheck.report.page.steps import Step, first_wrong, steps
from bpcheck.report.page.wrong import wrong_entries

__all__ = ["MOST_EXAMPLES", "walk"]

MOST_EXAMPLES = 8
"""Examples that can be chosen; each is a drawing of its own, and they are all in the file."""

MOST_LISTED = 8
"""Units whose numbers are listed in a step."""


def walk(found: Replay, *, interactive: bool = True) -> Html:
    """The network section of a report.

    Parameters
    ----------
    found : Replay
    interactive : bool
        With buttons for the page's script; without, the end of the backward pass is drawn for the first example.

    Returns
    -------
    Html

    Examples
    --------
    >>> from bpcheck import Case, Report, Verdict, mlp
    >>> from bpcheck.report.page.replay import replay
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    >>> html = walk(replay(Report("f", Verdict.DISAGREES, counterexample=case)))
    >>> html.count("<button"), html.count("<svg"), html.count("<li ")
    (5, 1, 6)
    """
    listed = steps(found)
    seen = window(found)
    examples = min(found.case.batch, MOST_EXAMPLES) if interactive else 1
    pictures = [
        tag("div", draw(found, listed, seen, example), data_example=example, hidden=example > 0)
        for example in range(examples)
    ]
    left_out = list(seen.left_out)
    if examples < found.case.batch:
        left_out.append(f"of {found.case.batch} examples, {examples} can be seen" if examples > 1 else
                        f"of {found.case.batch} examples, the first is drawn")  # fmt: skip
    omitted = f" Left out: {'; '.join(left_out)}." if left_out else ""
    board = tag(
        "div", *pictures, class_="scroll", tabindex="0", role="group", aria_label="Drawing of the network",
    )  # fmt: skip
    caption = tag("p", legend(found) + omitted, class_="soft small")
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


def _controls(start: int | None, examples: int) -> Html:
    buttons = [
        tag("button", "Start", type="button", data_go="first"),
        tag("button", "← Back", type="button", data_go="back"),
        tag("button", "Next →", type="button", data_go="next"),
        tag("button", "End", type="button", data_go="last"),
    ]
    first = (
        tag("button", "✗ First wrong step", type="button", data_go="wrong")
        if start is not None
        else tag("button", "No step is known to be wrong", type="button", data_go="wrong", disabled=True)
    )
    choice = None
    if examples > 1:
        options = [tag("option", f"{n + 1}", value=n) for n in range(examples)]
        choice = tag("label", "example ", tag("select", *options, data_choose="example"))
    return tag(
        "div", *buttons, first, choice, tag("span", class_="count soft"), class_="controls", role="group",
        aria_label="Steps through the network; the left and right arrow keys do the same",
    )  # fmt: skip


def _said(found: Replay, step: Step, examples: int, seen: Window) -> list[Html]:
    if step.phase == "forward":
        place = f"forward, layer {step.layer}" if step.kind != "cost" else "forward, the cost"
    else:
        place = f"backward, layer {step.layer}"
    if step.kind != "cost" and step.layer not in seen.layers:
        place += " (not drawn)"
    parts = [
        tag("p", tag("b", place), "   ", tag("span", step.equation, class_="equation"), class_="title"),
        tag("p", step.meaning, class_="soft"),
    ]
    if step.kind == "gradient":
        parts.append(_gradient(found.layers[step.layer - 2]))
    elif step.kind == "cost":
        parts.append(tag("p", f"C = {show(found.cost)}"))
    else:
        parts += [
            tag("div", _numbers(found, step, example), data_example=example, hidden=example > 0)
            for example in range(examples)
        ]
    return parts


def _numbers(found: Replay, step: Step, example: int) -> Html:
    if step.kind == "input":
        return _listed("a", 1, found.case.x[example])
    layer = found.layers[step.layer - 2]
    if step.kind in ("z", "a"):
        return _listed(step.kind, step.layer, (layer.z if step.kind == "z" else layer.a)[example])
    return _deltas(found, layer, example)


def _listed(letter: str, number: int, values: Any) -> Html:
    numbers = ",  ".join(show(float(value)) for value in values[:MOST_LISTED])
    more = f", … and {len(values) - MOST_LISTED} more" if len(values) > MOST_LISTED else ""
    return tag("p", f"{layer_name(letter, number)} = ({numbers}{more})")


def _deltas(found: Replay, layer: Layer, example: int) -> Html:
    name = layer_name("δ", layer.number)
    if layer.claimed is None:
        values = layer.delta[example]
        return tag(
            "div", _listed("δ", layer.number, values), tag("p", f"Yours: {found.source}.", class_="soft")
        )
    units = range(min(len(layer.delta[example]), MOST_LISTED))
    yours, right = [], []
    for unit in units:
        mine, true = float(layer.claimed[example, unit]), float(layer.delta[example, unit])
        bad = bool(layer.wrong_delta[example, unit])
        shown = beside(mine, true) if bad else (show(true), show(true))
        unseen = tag("span", " (wrong)", class_="unseen") if bad else None
        yours.append(tag("td", "✗ " if bad else None, shown[0], unseen, class_="bad" if bad else None))
        right.append(tag("td", shown[1]))
    left = len(layer.delta[example]) - len(units)
    heads = [tag("th", f"unit {unit + 1}", scope="col") for unit in units]
    table = tag(
        "table",
        tag("caption", f"{name} of example {example + 1}", class_="unseen"),
        tag("thead", tag("tr", tag("td"), *heads)),
        tag(
            "tbody",
            tag("tr", tag("th", "yours", scope="row"), *yours),
            tag("tr", tag("th", "right", scope="row"), *right),
        ),
        class_="numbers",
    )
    more = tag("p", f"and {left} more units", class_="soft") if left else None
    return tag(
        "div", table, more, class_="scroll", tabindex="0", role="group", aria_label=f"{name}, yours and right"
    )


def _gradient(layer: Layer) -> Html:
    """What was said of the two gradients; their numbers stand in the tables below."""
    said = []
    for letter, comparison in (("b", layer.bias_comparison), ("W", layer.weight_comparison)):
        name = layer_name(letter, layer.number)
        if comparison is None or comparison.actual is None:
            said.append(tag("p", f"∂C/∂{name}: nothing was compared here."))
            continue
        wrong = wrong_entries(comparison)
        if not wrong.any():
            fine = "right" if comparison.verdict.ok else "not decided"
            said.append(tag("p", f"∂C/∂{name}: {fine}{' ✓' if comparison.verdict.ok else ''}"))
            continue
        index = comparison.worst_index
        shown = beside(float(comparison.actual[index]), float(comparison.expected[index]))  # type: ignore[index]
        place = f" [{', '.join(map(str, index))}]" if index else ""
        count = f"{int(wrong.sum())} of {wrong.size} wrong"
        text = f"∂C/∂{name}: ✗ {count}; the worst{place}: yours {shown[0]}, right {shown[1]}"
        said.append(tag("p", text, class_="bad"))
    return tag("div", *said)
