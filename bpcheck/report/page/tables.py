"""A tensor as two tables, yours and right, of which the part around the worst entry is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.report.page.cells import pairs, table
from bpcheck.report.page.markup import Html, join, tag
from bpcheck.report.page.numbers import around
from bpcheck.report.page.wrong import wrong_entries
from bpcheck.result import Comparison

__all__ = ["Part", "as_matrix", "part", "side_by_side"]

MOST_ROWS, MOST_COLUMNS = 8, 5
"""What fits beside its right counterpart on a page of 1000 pixels without scrolling."""


@dataclass(frozen=True)
class Part:
    """The rows and columns that are shown."""

    rows: range
    columns: range
    said: str  # what is left out; empty if nothing is


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
        worst = divmod(int(np.ravel_multi_index(comparison.worst_index, expected.shape)), matrix.shape[1])
    rows = around(worst[0], matrix.shape[0], MOST_ROWS)
    columns = around(worst[1], matrix.shape[1], MOST_COLUMNS)
    said = []
    for word, shown, count in (("rows", rows, matrix.shape[0]), ("columns", columns, matrix.shape[1])):
        if len(shown) < count:
            said.append(f"{word} {shown[0]} to {shown[-1]} of 0 to {count - 1}")
    return Part(rows, columns, ", ".join(said))


def side_by_side(comparison: Comparison) -> Html:
    """Two tables: what was claimed, with the wrong entries marked, and what is right.

    Examples
    --------
    >>> from bpcheck import Verdict
    >>> html = side_by_side(
    ...     Comparison("w", Verdict.DISAGREES, actual=np.array([1.5]), expected=np.ones(1), bound=np.zeros(1))
    ... )
    >>> html.count("<table"), html.count('class="bad"')
    (2, 1)
    """
    shown, axes = part(comparison), np.asarray(comparison.expected).shape[1:]
    arrays = comparison.actual, comparison.expected, wrong_entries(comparison)
    both = pairs(*(as_matrix(array)[np.ix_(shown.rows, shown.columns)] for array in arrays))
    columns = [", ".join(map(str, np.unravel_index(j, axes))) for j in shown.columns] if axes else None
    hidden = tag("span", f" {comparison.name or comparison.path}", class_="unseen")
    return join(
        *(
            table(tag("caption", word, hidden), columns, list(zip(map(str, shown.rows), cells, strict=True)))
            for word, cells in zip(("yours", "right"), both, strict=True)
        )
    )
