"""Numbers in the words of a step: units in a row, maps as tables, yours beside the right ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bpcheck.report.page.compared import Compared
from bpcheck.report.page.markup import Html, join, scrolling, tag
from bpcheck.report.page.numbers import beside, layer_name, show
from bpcheck.report.page.replayed import Layer, Replay
from bpcheck.report.page.station import matrix
from bpcheck.report.page.wrong import wrong_entries

__all__ = [
    "MOST_LISTED",
    "came_down",
    "cells",
    "gradients",
    "listed",
    "products",
    "table",
    "written_product",
]

MOST_LISTED = 8
"""Numbers that are listed in a step."""

MOST_MAPS, MOST_CELLS = 3, 6
"""Maps, and rows and columns of each, that are listed in a step."""


def listed(name: str, values: Any) -> Html:
    """The numbers of one example: units in a row, maps as one table each.

    Examples
    --------
    >>> listed("a²", np.array([0.5, -1.0]))
    '<p>a² = (0.5,  −1)</p>'
    """
    if np.ndim(values) > 1:
        return _maps(name, values)
    numbers = ",  ".join(show(float(value)) for value in values[:MOST_LISTED])
    more = f", … and {len(values) - MOST_LISTED} more" if len(values) > MOST_LISTED else ""
    return tag("p", f"{name} = ({numbers}{more})")


def table(caption: str, rows: Sequence[Sequence[Html]]) -> Html:
    """A matrix as a table, its rows made by :func:`cells`; indices as in code, from 0.

    Examples
    --------
    >>> table("W²", cells(np.zeros((2, 2)))).count("<th ")
    4
    """
    heads = [tag("th", f"{j}", scope="col") for j in range(len(rows[0]) if rows else 0)]
    numbered = [tag("tr", tag("th", f"{i}", scope="row"), *row) for i, row in enumerate(rows)]
    body = numbered if len(rows) > 1 else [tag("tr", *row) for row in rows]
    corner = tag("td") if len(rows) > 1 else None
    head = tag("thead", tag("tr", corner, *heads))
    return tag("table", tag("caption", caption), head, tag("tbody", *body), class_="numbers")


def cells(values: Any, wrong: Any = None, against: Any = None) -> list[list[Html]]:
    """The cells of a matrix; wrong ones are marked, with as many digits as tell them from ``against``."""
    shown = matrix(values)[:MOST_CELLS, :MOST_CELLS]
    if wrong is None:
        return [[_cell(value) for value in row] for row in shown]
    rows = zip(shown, matrix(wrong), matrix(against), strict=False)  # the shown part is the shorter one
    return [[_cell(*one) for one in zip(*row, strict=False)] for row in rows]


def _cell(value: Any, wrong: Any = False, right: Any = None) -> Html:
    if not wrong:
        return tag("td", show(float(value)))
    mine = beside(float(value), float(right))[0]
    return tag("td", "✗ ", mine, tag("span", " (wrong)", class_="unseen"), class_="bad")


def products(caption: str, first: Any, second: Any) -> Html:
    """Two matrices entry by entry as products that are written out.

    Examples
    --------
    >>> "2 · (−3)" in products("w", np.array([2.0]), np.array([-3.0]))
    True
    """
    pairs = zip(matrix(first)[:MOST_CELLS], matrix(second)[:MOST_CELLS], strict=True)
    rows = [
        [tag("td", written_product(float(a), float(b))) for a, b in zip(one[:MOST_CELLS], other[:MOST_CELLS], strict=True)]
        for one, other in pairs
    ]  # fmt: skip
    more = "" if max(matrix(first).shape) <= MOST_CELLS else f", the first {MOST_CELLS}"
    return table(caption + more, rows)


def written_product(first: float, second: float) -> str:
    """Two factors.

    Examples
    --------
    >>> written_product(-2.0, -3.0)
    '−2 · (−3)'
    """
    return f"{show(first)} · {f'({show(second)})' if second < 0 else show(second)}"


def _left_out(values: Any) -> str:
    shape = matrix(values[0]).shape
    said = [f"of {len(values)} maps, {MOST_MAPS} are listed"] if len(values) > MOST_MAPS else []
    if max(shape) > MOST_CELLS:
        said.append(f"of {shape[0]} × {shape[1]} numbers, at most {MOST_CELLS} × {MOST_CELLS}")
    return "; ".join(said)


def _beside(tables: Sequence[Html], name: str, values: Any) -> Html:
    more = _left_out(values)
    board = scrolling(name, *tables, class_="tensor scroll")
    return join(board, tag("p", more, class_="soft small") if more else None)


def _maps(name: str, values: Any) -> Html:
    shown = [table(f"{name}, map {c + 1}", cells(one)) for c, one in enumerate(values[:MOST_MAPS])]
    return _beside(shown, name, values)


def came_down(found: Replay, name: str, batch: Compared, example: int) -> Html:
    """Something that comes down, of one example: the right numbers, and the caller's beside them where they are known."""
    numbers, caption = batch[example], f"{name} of example {example + 1}"
    right, yours, wrong = numbers.right, numbers.yours, numbers.wrong
    if yours is None:
        return tag("div", listed(name, right), tag("p", f"Yours: {_unknown(found)}.", class_="soft"))
    if np.ndim(right) == 1:
        return _units(caption, f"{name}, yours and right", numbers)
    tables = []
    for c in range(min(len(right), MOST_MAPS)):
        tables.append(table(f"{name}, map {c + 1}, yours", cells(yours[c], wrong[c], right[c])))
        tables.append(table(f"{name}, map {c + 1}, right", cells(right[c])))
    return _beside(tables, f"{caption}, yours and right", right)


def _unknown(found: Replay) -> str:
    """Why the caller's numbers are not known; where δ of other layers is, these gradients do not give it away."""
    known = any(layer.delta.yours is not None for layer in found.every)
    return "not known here, for these gradients do not give it away" if known else found.source


def _units(caption: str, label: str, numbers: Compared) -> Html:
    """Numbers of units as a table of two rows."""
    shown = numbers[:MOST_LISTED]
    yours = [_cell(*one) for one in zip(shown.yours, shown.wrong, shown.right, strict=True)]
    right = [
        tag("td", beside(float(a), float(b))[1] if bad else show(float(b)))
        for a, b, bad in zip(shown.yours, shown.right, shown.wrong, strict=True)
    ]
    heads = [tag("th", f"unit {unit + 1}", scope="col") for unit in range(len(yours))]
    rows = [
        tag("tr", tag("th", word, scope="row"), *row) for word, row in (("yours", yours), ("right", right))
    ]
    made = tag(
        "table",
        tag("caption", caption, class_="unseen"),
        tag("thead", tag("tr", tag("td"), *heads)),
        tag("tbody", *rows),
        class_="numbers",
    )
    left = len(numbers.right) - len(yours)
    more = tag("p", f"and {left} more units", class_="soft") if left else None
    return scrolling(label, made, more)


def gradients(layer: Layer) -> Html:
    """What was said of a layer's gradients; their numbers stand in the tables below."""
    return tag("div", *(_gradient(layer, letter, role) for letter, role in (("b", "bias"), ("W", "weight"))))


def _gradient(layer: Layer, letter: str, role: Any) -> Html:
    comparison, name = layer.comparisons.get(role), f"∂C/∂{layer_name(letter, layer.number)}"
    if comparison is None or comparison.actual is None or comparison.expected is None:
        return tag("p", f"{name}: nothing was compared here.")
    wrong = wrong_entries(comparison)
    if not wrong.any():
        return tag("p", f"{name}: {'right ✓' if comparison.verdict.ok else 'not decided'}")
    index = comparison.worst_index
    shown = beside(float(comparison.actual[index]), float(comparison.expected[index]))
    place = f" [{', '.join(map(str, index))}]" if index else ""
    said = f"✗ {int(wrong.sum())} of {wrong.size} wrong; the worst{place}: yours {shown[0]}, right {shown[1]}"
    return tag("p", f"{name}: {said}", class_="bad")
