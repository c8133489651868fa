"""The network as an SVG: a column for every layer, and what each kind of layer draws between two of them.

Everything is drawn once, for the end of the backward pass. What a step has not reached yet carries ``data-at``, the
number of the step that computes it, and the page's script hides it; without a script the whole picture is seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from bpcheck.report.page.box import box
from bpcheck.report.page.layers.kinds import kind_of
from bpcheck.report.page.markup import Html, join, tag
from bpcheck.report.page.numbers import show
from bpcheck.report.page.replayed import Layer, Replay
from bpcheck.report.page.sketch import (
    ABOVE,
    BOX,
    CELL,
    CHANNEL,
    GAP,
    LANE,
    LINE,
    MARGIN,
    Column,
    Sketch,
    edge,
    text,
)
from bpcheck.report.page.window import Window

__all__ = ["draw", "legend"]

COST_WIDTH = 92

NARROWEST = 132
"""Width of a box of maps: its heading holds a name and a bias."""

PITCH = LINE * 6 + 12 + GAP
"""From one unit's middle to the next: the highest box, with δ twice, and a gap."""

SHRINKS_TO = 0.85
"""Of its full size; on a narrower screen the drawing scrolls, for letters below 11 pixels are hard to read."""


def draw(found: Replay, seen: Window, example: int) -> Html:
    """The network as an ``<svg>``, with the numbers of one example, counted from 0."""
    sketch = _laid_out(found, seen, example)
    columns, drawn = list(sketch.columns.values()), [one for one in found.every if one.key in sketch.columns]
    heads = [_head(column) for column in columns]
    joins = [part for layer in drawn for part in kind_of(layer.spec).joins(found, layer, sketch)]
    boxes = [box(column, item) for column in columns for item in column.items]
    marks = [part for layer in drawn for part in kind_of(layer.spec).marks(layer, sketch)]
    cost, width = _cost(found, columns[-1], sketch)
    said = (
        f"The network, {_described(found)}, with the numbers of example {example + 1}. "
        "The same numbers stand in the steps beside it."
    )
    return tag(
        "svg", *joins, *cost, *heads, *boxes, *marks, viewBox=f"0 0 {width:.0f} {sketch.height:.0f}",
        width=width, height=sketch.height, role="img", aria_label=said, class_="network",
        style=f"max-width:{width:.0f}px;min-width:{round(SHRINKS_TO * width)}px",
    )  # fmt: skip


def _described(found: Replay) -> str:
    """Kinds and sizes, from the input up."""
    sizes = [" × ".join(map(str, found.case.x.shape[1:]))]
    sizes += [f"{layer.spec.kind} {' × '.join(map(str, layer.a.shape[1:]))}" for layer in found.layers]
    return f"input {', '.join(sizes)}"


def _laid_out(found: Replay, seen: Window, example: int) -> Sketch:
    lanes = dict(_lanes(found.layers, 0))
    used = [lane for key, lane in lanes.items() if key in seen.keys]
    above = ABOVE + (LANE * (1 + max(used)) if used else 0)
    pitches = _pitches(seen, example)
    height = (
        above + max(pitch * len(one.items) for one, pitch in zip(seen.seen, pitches, strict=True)) + MARGIN
    )
    columns = _columns(found, seen, pitches, above + (height - above - MARGIN) / 2, example)
    heights = {key: ABOVE + 12 + LANE * lane for key, lane in lanes.items()}
    return Sketch(columns, heights, seen.numbers, height)


def _lanes(layers: Sequence[Layer], depth: int) -> Iterator[tuple[str, int]]:
    """Layers that are made of others, with how deep they stand in one another."""
    for layer in layers:
        if layer.inner:
            yield layer.key, depth
            yield from _lanes(layer.inner, depth + 1)


def _columns(
    found: Replay, seen: Window, pitches: Sequence[float], centre: float, example: int
) -> Mapping[str, Column]:
    layers, columns, left = {layer.key: layer for layer in found.every}, {}, float(MARGIN)
    for place, (one, pitch) in enumerate(zip(seen.seen, pitches, strict=True)):
        station = one.station
        if station.key and place:
            left += kind_of(layers[station.key].spec).gap(layers[station.key])
        middles = {item: centre + (n - (len(one.items) - 1) / 2) * pitch for n, item in enumerate(one.items)}
        width = BOX if station.is_flat else max(len(one.columns) * CELL + 18, NARROWEST)
        columns[station.key] = Column(
            station, one.items, one.rows, one.columns, example, left, width, middles
        )
        left += width
    return columns


def _pitches(seen: Window, example: int) -> list[float]:
    """From middle to middle of the boxes of each column: units alike everywhere, and maps alike everywhere."""
    heights = [max(one.height(one.station.rows(item, example)) for item in one.items) for one in seen.seen]
    rooms = [after.station.room * len(one.items) for one, after in pairwise(seen.seen)]
    maps = [height for one, height in zip(seen.seen, heights, strict=True) if not one.station.is_flat]
    of_maps = max([*maps, *rooms], default=0) + GAP
    return [
        of_maps if not one.station.is_flat else height + GAP / 2 if one.station.is_slim else PITCH
        for one, height in zip(seen.seen, heights, strict=True)
    ]


def _head(column: Column) -> Html:
    x, (first, second) = column.left + column.width / 2, column.station.heads
    return join(text(x, 16, first, class_="head"), text(x, 33, second, class_="soft middle"))


def _cost(found: Replay, last: Column, sketch: Sketch) -> tuple[list[Html], float]:
    """The cost, where the output is drawn, and how wide the drawing is."""
    if last.station.key != found.layers[-1].key:
        return [], last.right + MARGIN
    left, y, step = last.right + CHANNEL // 2, sketch.height / 2 + 18, sketch.numbers["cost", ""]
    lines = [edge(last.exit(item), (left, y), step) for item in last.items]
    shown = tag(
        "g",
        tag("rect", x=left, y=y - 26, width=COST_WIDTH, height=52, rx=26),
        text(left + COST_WIDTH / 2, y - 4, "cost C", class_="middle unit"),
        text(left + COST_WIDTH / 2, y + 14, show(found.cost), class_="middle"),
        class_="box",
        data_at=step,
    )
    return [*lines, shown], left + COST_WIDTH + MARGIN


def legend(found: Replay) -> str:
    """What the marks mean."""
    kinds = dict.fromkeys(kind_of(layer.spec).legend for layer in found.every)
    marks = (
        "✗ a wrong number of yours (beside b, on a line or in a kernel: the gradient of that bias or weight)."
    )
    return f"{' '.join(kinds)} {marks} Your δ: {found.source}."
