"""Numbers in the words of a step: units in a row, maps as tables, yours beside the right ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bpcheck.report.page.cells import pairs, table
from bpcheck.report.page.compared import Compared
from bpcheck.report.page.markup import Html, join, scrolling, tag
from bpcheck.report.page.numbers import beside, layer_name, show
from bpcheck.report.page.replayed import Layer, Replay
from bpcheck.report.page.station import matrix
from bpcheck.report.page.wrong import wrong_entries
from bpcheck.report.text import indexed

__all__ = ["MOST_LISTED", "came_down", "gradients", "listed", "products", "written_product"]

MOST_LISTED = 8
"""Numbers that are listed in a step."""

BOTH = ("yours", "right")

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


def _matrix(caption: str, cells: Sequence[Sequence[Html]]) -> Html:
    """A matrix as a table; indices as in code, from 0."""
    rows = [(str(i) if len(cells) > 1 else "", row) for i, row in enumerate(cells)]
    return table(tag("caption", caption), [str(j) for j in range(len(cells[0]))], rows)


def _cut(values: Any) -> Any:
    """What is listed of a map."""
    return matrix(values)[:MOST_CELLS, :MOST_CELLS]


def products(caption: str, first: Any, second: Any) -> Html:
    """Two matrices entry by entry as products that are written out.

    Examples
    --------
    >>> "2 · (−3)" in products("w", np.array([2.0]), np.array([-3.0]))
    True
    """
    rows = [
        [tag("td", written_product(float(a), float(b))) for a, b in zip(*row, strict=True)]
        for row in zip(_cut(first), _cut(second), strict=True)
    ]
    more = "" if max(matrix(first).shape) <= MOST_CELLS else f", the first {MOST_CELLS}"
    return _matrix(caption + more, rows)


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
    shown = [
        _matrix(
            f"{name}, map {c + 1}", [[tag("td", show(float(value))) for value in row] for row in _cut(one)]
        )
        for c, one in enumerate(values[:MOST_MAPS])
    ]
    return _beside(shown, name, values)


def came_down(found: Replay, name: str, batch: Compared, example: int) -> Html:
    """Something that comes down, of one example: the right numbers, and the caller's beside them where they are known."""
    numbers, caption = batch[example], f"{name} of example {example + 1}"
    if numbers.yours is None:
        return tag("div", listed(name, numbers.right), tag("p", f"Yours: {_unknown(found)}.", class_="soft"))
    if np.ndim(numbers.right) == 1:
        return _units(caption, f"{name}, yours and right", numbers)
    tables = []
    for c in range(min(len(numbers.right), MOST_MAPS)):
        one = numbers[c]
        both = pairs(_cut(one.yours), _cut(one.right), _cut(one.wrong))
        tables += [
            _matrix(f"{name}, map {c + 1}, {word}", cells) for word, cells in zip(BOTH, both, strict=True)
        ]
    return _beside(tables, f"{caption}, yours and right", numbers.right)


def _unknown(found: Replay) -> str:
    """Why the caller's numbers are not known; where δ of other layers is, these gradients do not give it away."""
    known = any(layer.delta.yours is not None for layer in found.every)
    return "not known here, for these gradients do not give it away" if known else found.source


def _units(caption: str, label: str, numbers: Compared) -> Html:
    """Numbers of units as a table of two rows."""
    shown, count = numbers[:MOST_LISTED], len(numbers.right)
    (yours,), (right,) = pairs([shown.yours], [shown.right], [shown.wrong])
    columns = [f"unit {unit + 1}" for unit in range(len(yours))]
    made = table(
        tag("caption", caption, class_="unseen"), columns, list(zip(BOTH, (yours, right), strict=True))
    )
    more = tag("p", f"and {count - len(yours)} more units", class_="soft") if count > len(yours) else None
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
    place = f" {indexed(index)}" if index else ""
    said = f"✗ {int(wrong.sum())} of {wrong.size} wrong; the worst{place}: yours {shown[0]}, right {shown[1]}"
    return tag("p", f"{name}: {said}", class_="bad")
