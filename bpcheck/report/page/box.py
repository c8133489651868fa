"""The box of a unit or a map: its name, and its numbers one under the other."""

from __future__ import annotations

from bpcheck.report.page.grid import grid
from bpcheck.report.page.markup import Html, tag
from bpcheck.report.page.sketch import Column, text
from bpcheck.report.page.station import Row

__all__ = ["box"]


def box(column: Column, item: int) -> Html:
    """The box of a unit or map, counted from 0."""
    station, top, left = column.station, column.top(item), column.left
    lines = [] if station.is_slim else [_heading(column, item, top)]
    for row in column.listed(item):
        x, y = column.grid(item, row.name)
        if row.is_single:
            lines.append(_number(row, column, y - 5))
            continue
        mark = tag("tspan", row.mark, class_=row.kind)
        lines.append(text(x, y - 5, row.name, mark, class_="name", data_at=row.step))
        wrong = None if row.wrong is None else column.cut(row.wrong)
        lines.append(grid(column.cut(row.value), wrong, x, y, step=row.step, wrong_step=row.step))
    height = column.height(column.listed(item))
    border = tag("rect", x=left, y=top, width=column.width, height=height, rx=7)
    number = station.number if station.counts else f"{station.number}+"
    return tag("g", border, *lines, class_="box", data_layer=number)


def _heading(column: Column, item: int, top: float) -> Html:
    station = column.station
    behind = station.caption(item) if station.caption is not None else ()
    return text(column.left + 9, top + 18, f"{station.word} {item + 1}", *behind, class_="unit")


def _number(row: Row, column: Column, y: float) -> Html:
    return text(
        column.left + 9, y,
        tag("tspan", row.name, class_="name"),
        tag("tspan", row.written + row.mark, x=column.right - 9, class_=f"value {row.kind}".strip()),
        data_at=row.step,
    )  # fmt: skip
