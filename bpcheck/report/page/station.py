"""What stands in a column of the drawing: units or feature maps, each with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bpcheck.report.page.compared import Compared
from bpcheck.report.page.markup import Html
from bpcheck.report.page.numbers import beside, show

__all__ = ["Numbers", "Row", "Station", "beside_rows", "matrix", "of_input"]

Numbers: TypeAlias = Mapping[tuple[str, str], int]
"""The number of a step, by its kind and the key of its layer."""


@dataclass(frozen=True, eq=False)
class Row:
    """A number of a unit or a map, and the step that computes it."""

    name: str
    value: Any
    step: int
    kind: str = ""  # or "bad" or "fine"
    wrong: Any = None
    text: str = ""  # how a single number is written, where that is not as every other

    @property
    def is_single(self) -> bool:
        """Whether it is one number."""
        return np.ndim(self.value) == 0

    @property
    def written(self) -> str:
        """A single number."""
        return self.text or show(float(self.value))

    @property
    def mark(self) -> str:
        """What stands behind it."""
        return {"bad": " ✗", "fine": " ✓"}.get(self.kind, "")


@dataclass(frozen=True, eq=False)
class Station:
    """A column."""

    key: str  # of its layer; empty for the input
    number: int  # the book's number
    called: str  # the column in words, as in "of layer 2, 6 of 30 units are drawn"
    heads: tuple[str, str]  # two lines above it
    shape: tuple[int, ...]  # of one example
    # ``rows(item, example)``: what stands in the box of a unit or map
    rows: Callable[[int, int], Sequence[Row]]
    # what stands behind the name of a unit or map
    caption: Callable[[int], Sequence[Html]] | None = None
    worst: int | None = None  # the unit or map with the worst wrong entry
    # map and place that are shown in numbers: they are drawn, whatever is left out
    focus: tuple[int, ...] | None = None
    counts: bool = True  # whether it counts as one of the columns that fit a page
    is_slim: bool = False  # whether its boxes have no heading
    # pixels that what is drawn beside a box needs, from top to bottom, for each box of the column before
    room: int = 0
    leaving: str = "a"  # name of the row that has what leaves the layer

    @property
    def is_flat(self) -> bool:
        """Whether it is made of units, and not of maps."""
        return len(self.shape) == 1

    @property
    def word(self) -> str:
        """``"unit"`` or ``"map"``."""
        return "unit" if self.is_flat else "map"


def matrix(value: Any) -> Any:
    """A number as it is; a map over one axis as a matrix of one row.

    Examples
    --------
    >>> matrix(np.zeros(3)).shape, matrix(np.zeros((2, 3))).shape, float(matrix(np.float64(2.0)))
    ((1, 3), (2, 3), 2.0)
    """
    return np.asarray(value)[None, :] if np.ndim(value) == 1 else value


def of_input(x: Any, numbers: Numbers, focus: tuple[int, ...] | None) -> Station:
    """The column of the input; ``x`` is the batch."""

    def rows(item: int, example: int) -> Sequence[Row]:
        return [Row("a", matrix(x[example, item]), numbers["input", ""])]

    return Station("", 1, "layer 1", ("layer 1", "input"), np.shape(x)[1:], rows, focus=focus)


def beside_rows(name: str, numbers: Compared, step: int) -> list[Row]:
    """Rows for something that comes down to a unit or map: the right one, and the caller's beside it where it is wrong.

    Examples
    --------
    >>> [row.name for row in beside_rows("δ", Compared(1.0, 2.0, True), 3)]
    ['δ right', 'δ yours']
    """
    right, yours = matrix(numbers.right), numbers.yours
    if not numbers.is_wrong:
        return [Row(name, right, step, "" if yours is None else "fine")]
    texts = beside(float(yours), float(right)) if np.ndim(right) == 0 else ("", "")
    return [
        Row(f"{name} right", right, step, text=texts[1]),
        Row(f"{name} yours", matrix(yours), step, "bad", matrix(numbers.wrong), texts[0]),
    ]
