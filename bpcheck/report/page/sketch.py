"""The drawing board: where the columns stand, and the strokes that all kinds of layers are drawn with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bpcheck.report.page.markup import Html, tag
from bpcheck.report.page.replayed import Layer
from bpcheck.report.page.station import Numbers, Row, Station

__all__ = [
    "ABOVE",
    "BOX",
    "CELL",
    "CELL_HEIGHT",
    "CHANNEL",
    "GAP",
    "LANE",
    "LINE",
    "MARGIN",
    "MOST_CELLS",
    "Column",
    "Seen",
    "Sketch",
    "edge",
    "text",
]  # fmt: skip

# Geometry in pixels at full size, chosen by looking: a box holds "yours −0.1234 ✗" in 13-pixel letters.
BOX, LINE, GAP, ABOVE, MARGIN = 162, 17, 22, 44, 8

CELL, CELL_HEIGHT = 60, 22
"""Of a cell of a map: it holds "−0.123" in 13-pixel letters, with a cross in its corner."""

CHANNEL = 128
"""Free space between two columns of units; a weight in three digits needs 50."""

LANE = 26
"""Height of the lane in which a skip connection passes above the columns."""


MOST_CELLS = 5
"""Rows and columns of a map that are drawn: three such maps beside their kernels are as wide as two pages."""


def text(x: float, y: float, *children: object, **attributes: object) -> Html:
    """An SVG text."""
    return tag("text", *children, x=x, y=y, **attributes)


def edge(start: tuple[float, float], end: tuple[float, float], step: int, kind: str = "edge") -> Html:
    """A line from one point to another that appears at a step."""
    (x1, y1), (x2, y2) = start, end
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind, data_at=step)


@dataclass(frozen=True, eq=False)
class Seen:
    """What is drawn of a column."""

    station: Station
    items: tuple[int, ...]  # units or maps, counted from 0
    rows: range  # of each map
    columns: range

    def height(self, listed: Sequence[Row]) -> float:
        """Of a box with these numbers."""
        return sum(map(self._height, listed)) + (12 if self.station.is_slim else LINE + 12)

    def _height(self, row: Row) -> float:
        return LINE if row.is_single else LINE + len(self.rows) * CELL_HEIGHT + 5

    def cut(self, values: Any) -> Any:
        """What is drawn of a map."""
        return values[self.rows.start : self.rows.stop, self.columns.start : self.columns.stop]


@dataclass(frozen=True, eq=False)
class Column(Seen):
    """A column at its place, with the numbers of one example."""

    example: int
    left: float
    width: float
    middles: Mapping[int, float]  # height of each item's middle

    @property
    def right(self) -> float:
        """Its right side."""
        return self.left + self.width

    def entry(self, item: int) -> tuple[float, float]:
        """Where lines arrive at a unit or map."""
        return self.left, self.middles[item]

    def exit(self, item: int) -> tuple[float, float]:
        """Where lines leave it."""
        return self.right, self.middles[item]

    def listed(self, item: int) -> list[Row]:
        """What stands in a box."""
        return list(self.station.rows(item, self.example))

    def top(self, item: int) -> float:
        """Of a box."""
        return self.middles[item] - self.height(self.listed(item)) / 2

    def grid(self, item: int, name: str) -> tuple[float, float]:
        """Where the numbers begin that stand under a name."""
        listed = self.listed(item)
        above = listed[: [row.name for row in listed].index(name)]
        y = self.top(item) + (1 if self.station.is_slim else 18) + sum(map(self._height, above))
        return self.left + 9, y + LINE + 5

    def frame(self, item: int, name: str, ranges: Sequence[range], **attributes: object) -> Html | None:
        """A frame around some cells of the numbers under a name; None if none of them is drawn."""
        (i0, i1), (j0, j1) = (
            (max(one.start, drawn.start) - drawn.start, min(one.stop, drawn.stop) - drawn.start)
            for one, drawn in zip(ranges, (self.rows, self.columns), strict=True)
        )
        if i0 >= i1 or j0 >= j1:
            return None
        left, top = self.grid(item, name)
        return tag(
            "rect", x=left + j0 * CELL, y=top + i0 * CELL_HEIGHT,
            width=(j1 - j0) * CELL, height=(i1 - i0) * CELL_HEIGHT, **attributes,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sketch:
    """All columns of a drawing."""

    # by the key of their station, from left to right; those that are not drawn are missing
    columns: Mapping[str, Column]
    lanes: Mapping[str, float]  # height of the lane of each skip connection
    numbers: Numbers
    height: float

    def own(self, layer: Layer) -> Column:
        """The layer's column."""
        return self.columns[layer.key]

    def entering(self, layer: Layer) -> Column | None:
        """The column whose numbers enter the layer; None if it is not drawn."""
        return self.columns.get(layer.before)
