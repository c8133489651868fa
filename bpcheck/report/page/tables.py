"""A tensor as two tables, yours and right, of which the part around the worst entry is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.report.page.markup import Html, join, tag
from bpcheck.report.page.numbers import beside, show
from bpcheck.report.page.wrong import wrong_entries
from bpcheck.result import Comparison

__all__ = ["Part", "as_matrix", "part", "side_by_side"]

MOST_ROWS, MOST_COLUMNS = 8, 5
"""What fits beside its right counterpart on a page of 1000 pixels without scrolling."""


@dataclass(frozen=True)
class Part:
    """The rows and columns that are shown.

    Attributes
    ----------
    rows, columns : range
    said : str
        What is left out; empty if nothing is.
    """

    rows: range
    columns: range
    said: str


def as_matrix(array: Any) -> Any:
    """Any array as a matrix: a vector is a column, further dimensions lie beside one another.

    Examples
    --------
    >>> as_matrix(np.zeros(3)).shape, as_matrix(np.zeros(())).shape, as_matrix(np.zeros((2, 3, 4))).shape
    ((3, 1), (1, 1), (2, 12))
    """
    array = np.asarray(array, dtype=float)
    if array.ndim < 2:
        return array.reshape(-1, 1)
    return array.reshape(array.shape[0], -1)


def _around(place: int, count: int, most: int) -> range:
    start = min(max(0, place - most // 2), max(0, count - most))
    return range(start, min(count, start + most))


def part(comparison: Comparison) -> Part:
    """The part of a tensor around its worst entry.

    Examples
    --------
    >>> from bpcheck import Verdict
    >>> big = Comparison("w", Verdict.AGREES, actual=np.zeros((30, 2)), expected=np.zeros((30, 2)), worst_index=(29, 0))
    >>> part(big)
    Part(rows=range(22, 30), columns=range(0, 2), said='rows 22 to 29 of 0 to 29')
    """
    expected = np.asarray(comparison.expected)
    matrix = as_matrix(expected)
    worst = (0, 0)
    if comparison.worst_index and matrix.size:
        flat = int(np.ravel_multi_index(comparison.worst_index, expected.shape))
        worst = (flat // matrix.shape[1], flat % matrix.shape[1])
    rows = _around(worst[0], matrix.shape[0], MOST_ROWS)
    columns = _around(worst[1], matrix.shape[1], MOST_COLUMNS)
    said = []
    for word, shown, count in (("rows", rows, matrix.shape[0]), ("columns", columns, matrix.shape[1])):
        if len(shown) < count:
            said.append(f"{word} {shown[0]} to {shown[-1]} of 0 to {count - 1}")
    return Part(rows, columns, ", ".join(said))


def side_by_side(comparison: Comparison) -> Html:
    """Two tables: what was claimed, with the wrong entries marked, and what is right.

    Parameters
    ----------
    comparison : Comparison
        One that has arrays.

    Examples
    --------
    >>> from bpcheck import Verdict
    >>> html = side_by_side(
    ...     Comparison("w", Verdict.DISAGREES, actual=np.array([1.5]), expected=np.ones(1), bound=np.zeros(1))
    ... )
    >>> html.count("<table"), html.count('class="bad"')
    (2, 1)
    """
    yours, right = as_matrix(comparison.actual), as_matrix(comparison.expected)
    wrong = as_matrix(wrong_entries(comparison)).astype(bool)
    shown = part(comparison)
    mine, theirs = {}, {}
    for i in shown.rows:
        for j in shown.columns:
            pair = (show(yours[i, j]), show(right[i, j]))
            if wrong[i, j]:
                pair = beside(yours[i, j], right[i, j])
            mine[i, j], theirs[i, j] = pair
    is_vector = np.asarray(comparison.expected).ndim < 2
    return join(
        _table("yours", comparison, shown, mine, wrong, is_vector),
        _table("right", comparison, shown, theirs, np.zeros_like(wrong), is_vector),
    )


def _table(
    word: str,
    comparison: Comparison,
    shown: Part,
    cells: dict[tuple[int, int], str],
    wrong: Any,
    is_vector: bool,
) -> Html:
    head = None
    if not is_vector:
        axes = np.asarray(comparison.expected).shape[1:]
        places = (np.unravel_index(j, axes) for j in shown.columns)
        heads = [tag("th", ", ".join(map(str, place)), scope="col") for place in places]
        head = tag("thead", tag("tr", tag("td"), *heads))
    rows = []
    for i in shown.rows:
        row = [tag("th", str(i), scope="row")]
        for j in shown.columns:
            if wrong[i, j]:
                row.append(
                    tag("td", "✗ ", cells[i, j], tag("span", " (wrong)", class_="unseen"), class_="bad")
                )
            else:
                row.append(tag("td", cells[i, j]))
        rows.append(tag("tr", *row))
    name = comparison.name or comparison.path
    caption = tag("caption", word, tag("span", f" {name}", class_="unseen"))
    return tag("table", caption, head, tag("tbody", *rows), class_="numbers")
