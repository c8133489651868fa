"""The network as an SVG: a box for every unit with its numbers, a line for every weight.

Everything is drawn once, for the end of the backward pass. What a step has not reached yet carries ``data-at``, the
number of the step that computes it, and the page's script hides it; without a script the whole picture is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bpcheck.network.dense_chain import dense_chain
from bpcheck.report.page.markup import Html, join, tag
from bpcheck.report.page.numbers import beside, show
from bpcheck.report.page.replay import Layer, Replay
from bpcheck.report.page.steps import Step
from bpcheck.report.page.wrong import wrong_entries

__all__ = ["MOST_LAYERS", "MOST_UNITS", "Window", "draw", "legend", "window"]

MOST_UNITS = 6
"""Boxes on top of one another: six fill the height of a laptop's screen."""

MOST_LAYERS = 4
"""Columns beside one another: four are as wide as a page, with numbers that can still be read."""

MOST_LABELS = 12
"""Lines between two layers that carry their weight; more labels would lie on one another."""

# Geometry in pixels at full size, chosen by looking: a box holds "yours −0.1234 ✗" in 13-pixel letters.
BOX, LINE, GAP, ABOVE, MARGIN = 162, 17, 22, 44, 8
CHANNEL = 128
"""Free space between two columns; a weight in three digits needs 50."""

LABEL_AT = 0.72
"""Where on a line its weight stands: near the unit that it leads to, where lines from up to four units are
further apart than a letter is high."""

COST_WIDTH = 92

SHRINKS_TO = 0.85
"""Of its full size; on a narrower screen the drawing scrolls, for letters below 11 pixels are hard to read."""


@dataclass(frozen=True)
class Window:
    """What of a network is drawn.

    Attributes
    ----------
    layers : tuple of int
        Numbers of the layers, 1 being the input.
    units : dict of int to tuple of int
        Units of each, counted from 0.
    left_out : tuple of str
        One sentence for whatever is not drawn.
    """

    layers: tuple[int, ...]
    units: dict[int, tuple[int, ...]]
    left_out: tuple[str, ...]


def window(found: Replay) -> Window:
    """Choose what can be read: all of a small network; of a large one, what lies around the mistake.

    Parameters
    ----------
    found : Replay

    Returns
    -------
    Window

    Examples
    --------
    >>> from bpcheck import Case, Report, Verdict, mlp
    >>> from bpcheck.report.page.replay import replay
    >>> case = Case(mlp([9, 1]), [{"weight": [[1.0] * 9], "bias": [1.0]}], [[3.0] * 9], [[5.0]])
    >>> window(replay(Report("f", Verdict.DISAGREES, counterexample=case))).left_out
    ('of layer 1, 6 of 9 units are drawn',)
    """
    widths = dense_chain(found.case.architecture).widths
    depth = len(widths)
    centre = found.culprit or depth
    first = min(max(1, centre - MOST_LAYERS // 2), max(1, depth - MOST_LAYERS + 1))
    layers = tuple(range(first, min(depth, first + MOST_LAYERS - 1) + 1))
    left_out, units = [], {}
    if len(layers) < depth:
        left_out.append(f"layers {layers[0]} to {layers[-1]} of {depth} are drawn")
    for number in layers:
        count = widths[number - 1]
        chosen = set(range(min(count, MOST_UNITS)))
        worst = _worst_unit(found, number)
        if worst is not None and worst not in chosen:
            chosen = {*range(MOST_UNITS - 1), worst}
        units[number] = tuple(sorted(chosen))
        if len(chosen) < count:
            left_out.append(f"of layer {number}, {len(chosen)} of {count} units are drawn")
    return Window(layers, units, tuple(left_out))


def _worst_unit(found: Replay, number: int) -> int | None:
    if number == 1:
        return None
    layer = found.layers[number - 2]
    for comparison in (layer.bias_comparison, layer.weight_comparison):
        ours = None if comparison is None else comparison.in_our_layout
        if ours is not None and wrong_entries(ours).any() and ours.worst_index:
            return ours.worst_index[0]
    return None


def draw(found: Replay, listed: Sequence[Step], seen: Window, example: int) -> Html:
    """The network with the numbers of one example.

    Parameters
    ----------
    found : Replay
    listed : sequence of Step
    seen : Window
    example : int
        Row of the batch, from 0.

    Returns
    -------
    Html
        An ``<svg>``.
    """
    at = {(step.kind, step.layer): number for number, step in enumerate(listed)}
    tallest = max(len(units) for units in seen.units.values())
    pitch = LINE * 6 + 12 + GAP
    height = ABOVE + tallest * pitch + MARGIN
    lefts = {number: MARGIN + column * (BOX + CHANNEL) for column, number in enumerate(seen.layers)}
    shows_cost = seen.layers[-1] == found.layers[-1].number
    width = lefts[seen.layers[-1]] + BOX + MARGIN + (CHANNEL // 2 + COST_WIDTH if shows_cost else 0)

    def middle(number: int, place: int) -> float:
        return ABOVE + (height - ABOVE - MARGIN) / 2 + (place - (len(seen.units[number]) - 1) / 2) * pitch

    lines, boxes, heads = [], [], []
    for number in seen.layers:
        layer = None if number == 1 else found.layers[number - 2]
        heads.append(_head(lefts[number] + BOX / 2, number, layer))
        for place, unit in enumerate(seen.units[number]):
            y = middle(number, place)
            boxes.append(_box(found, layer, number, unit, example, lefts[number], y, at))
            if layer is not None and number - 1 in seen.units:
                lines += _lines(layer, seen, unit, lefts, (lefts[number], y), middle, at)
            if shows_cost and number == seen.layers[-1]:
                right = lefts[number] + BOX
                lines.append(
                    tag("line", x1=right, y1=f"{y:.0f}", x2=right + CHANNEL // 2, y2=f"{height / 2 + 18:.0f}",
                        class_="edge", data_at=at["cost", number])
                )  # fmt: skip
    if shows_cost:
        left = lefts[seen.layers[-1]] + BOX + CHANNEL // 2
        boxes.append(_cost(found, left, height / 2 + 18, at["cost", seen.layers[-1]]))
    name = "-".join(map(str, dense_chain(found.case.architecture).widths))
    said = (
        f"Network of widths {name} with the numbers of example {example + 1}. "
        "The same numbers stand in the steps beside it."
    )
    return tag(
        "svg", *lines, *heads, *boxes, viewBox=f"0 0 {width} {height}", width=width, height=height,
        role="img", aria_label=said, class_="network",
        style=f"max-width:{width}px;min-width:{round(SHRINKS_TO * width)}px",
    )  # fmt: skip


def _text(x: float, y: float, *children: object, **attributes: object) -> Html:
    return tag("text", *children, x=f"{x:.0f}", y=f"{y:.0f}", **attributes)


def _head(x: float, number: int, layer: Layer | None) -> Html:
    return join(
        _text(x, 16, f"layer {number}", class_="head"),
        _text(x, 33, "input" if layer is None else layer.activation, class_="soft middle"),
    )


@dataclass(frozen=True)
class _Row:
    """A line in a unit's box: a name, a number, and the step that computes it."""

    name: str
    value: str
    step: int
    kind: str = ""

    def drawn(self, left: float, y: float) -> Html:
        mark = {"bad": " ✗", "fine": " ✓"}.get(self.kind, "")
        return _text(
            left + 9, y,
            tag("tspan", self.name, class_="name"),
            tag("tspan", self.value + mark, x=f"{left + BOX - 9:.0f}", class_=f"value {self.kind}".strip()),
            data_at=self.step,
        )  # fmt: skip


def _rows(
    found: Replay, layer: Layer | None, number: int, unit: int, example: int, at: dict[tuple[str, int], int]
) -> list[_Row]:
    if layer is None:
        return [_Row("a", show(float(found.case.x[example, unit])), at["input", 1])]
    rows = [
        _Row("z", show(float(layer.z[example, unit])), at["z", number]),
        _Row("a", show(float(layer.a[example, unit])), at["a", number]),
    ]
    if number == found.layers[-1].number:
        rows.append(_Row("target y", show(float(found.case.y[example, unit])), at["cost", number]))
    step = at["delta", number]
    right = float(layer.delta[example, unit])
    if layer.claimed is None:
        return [*rows, _Row("δ", show(right), step)]
    if not layer.wrong_delta[example, unit]:
        return [*rows, _Row("δ", show(right), step, "fine")]
    said = beside(float(layer.claimed[example, unit]), right)
    return [*rows, _Row("δ right", said[1], step), _Row("δ yours", said[0], step, "bad")]


def _box(
    found: Replay,
    layer: Layer | None,
    number: int,
    unit: int,
    example: int,
    left: float,
    y: float,
    at: dict[tuple[str, int], int],
) -> Html:
    rows = _rows(found, layer, number, unit, example, at)
    head: list[object] = [f"unit {unit + 1}"]
    if layer is not None:
        head.append(tag("tspan", f"   b {show(float(layer.bias[unit]), 3)}", class_="soft"))
        comparison = layer.bias_comparison
        if comparison is not None and wrong_entries(comparison).ravel()[unit : unit + 1].any():
            head.append(tag("tspan", " ✗", class_="bad", data_at=at["gradient", number]))
    height = LINE * (len(rows) + 1) + 12
    top = y - height / 2
    lines = [_text(left + 9, top + 18, *head, class_="unit")]
    for place, row in enumerate(rows):
        lines.append(row.drawn(left, top + 18 + LINE * (place + 1)))
    frame = tag("rect", x=f"{left:.0f}", y=f"{top:.0f}", width=BOX, height=f"{height:.0f}", rx=7)
    return tag("g", frame, *lines, class_="box", data_layer=number)


def _lines(
    layer: Layer,
    seen: Window,
    unit: int,
    lefts: dict[int, int],
    end: tuple[float, float],
    middle: Callable[[int, int], float],
    at: dict[tuple[str, int], int],
) -> list[Html]:
    number = layer.number
    below = seen.units[number - 1]
    labelled = len(below) * len(seen.units[number]) <= MOST_LABELS
    comparison = layer.weight_comparison
    wrong = np.zeros(layer.weight.shape, dtype=bool)
    if comparison is not None and wrong_entries(comparison.in_our_layout).shape == wrong.shape:
        wrong = wrong_entries(comparison.in_our_layout)
    drawn, labels = [], []
    for place, source in enumerate(below):
        x1, y1 = lefts[number - 1] + BOX, middle(number - 1, place)
        x2, y2 = end
        bad = bool(wrong[unit, source])
        coordinates = {"x1": x1, "y1": f"{y1:.0f}", "x2": f"{x2:.0f}", "y2": f"{y2:.0f}"}
        drawn.append(tag("line", **coordinates, class_="edge", data_at=at["z", number]))
        if bad:
            drawn.append(tag("line", **coordinates, class_="edge bad", data_at=at["gradient", number]))
        if labelled:
            mark = tag("tspan", " ✗", class_="bad", data_at=at["gradient", number]) if bad else None
            labels.append(
                _text(
                    x1 + (x2 - x1) * LABEL_AT, y1 + (y2 - y1) * LABEL_AT + 4,
                    show(float(layer.weight[unit, source]), 3), mark,
                    class_="weight", data_at=at["z", number],
                )
            )  # fmt: skip
    return drawn + labels


def _cost(found: Replay, left: float, y: float, step: int) -> Html:
    return tag(
        "g",
        tag("rect", x=left, y=f"{y - 26:.0f}", width=COST_WIDTH, height=52, rx=26),
        _text(left + COST_WIDTH / 2, y - 4, "cost C", class_="middle unit"),
        _text(left + COST_WIDTH / 2, y + 14, show(found.cost), class_="middle"),
        class_="box",
        data_at=step,
    )


def legend(found: Replay) -> str:
    """One line that says what the marks mean."""
    marks = "✗ a wrong number of yours (beside b or on a line: the gradient of that bias or weight)"
    return f"On a line: its weight. {marks}. Your δ: {found.source}."
