"""What stands in a column of the drawing: units or feature maps, each with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bpcheck.report.page.compared import Compared
from bpcheck.report.page.numbers import beside, show

__all__ = ["Caption", "Numbers", "Row", "Station", "beside_rows", "matrix", "of_input"]

Numbers: TypeAlias = Mapping[tuple[str, str], int]
"""The number of a step, by its kind and the key of its layer."""


@dataclass(frozen=True, eq=False)
class Row:
    """A number of a unit or a map, and the step that computes it.

    Attributes
    ----------
    name : str
    value : float or matrix
    step : int
    kind : {"", "bad", "fine"}
    wrong : matrix of bool or None
    text : str
        How a single number is written, where that is not as every other.
    """

    name: str
    value: Any
    step: int
    kind: str = ""
    wrong: Any = None
    text: str = ""

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


@dataclass(frozen=True)
class Caption:
    """What stands behind the name of a unit or map: its bias, and whether that one's gradient is wrong.

    Attributes
    ----------
    text : str
    is_wrong : bool
    step : int
        Of the gradient.
    """

    text: str = ""
    is_wrong: bool = False
    step: int = 0


def _plain(item: int) -> Caption:
    return Caption()


@dataclass(frozen=True, eq=False)
class Station:
    """A column.

    Attributes
    ----------
    key : str
        Of its layer; empty for the input.
    number : int
        The book's number.
    called : str
        The column in words, as in "of layer 2, 6 of 30 units are drawn".
    heads : (str, str)
        Two lines above it.
    shape : tuple of int
        Of one example.
    rows : callable
        ``rows(item, example)``: what stands in the box of a unit or map.
    caption : callable
        ``caption(item)``.
    worst : int or None
        The unit or map with the worst wrong entry.
    focus : tuple of int or None
        Map and place that are shown in numbers: they are drawn, whatever is left out.
    counts : bool
        Whether it counts as one of the columns that fit a page.
    is_slim : bool
        Whether its boxes have no heading.
    room : int
        Pixels from top to bottom that what is drawn beside a box needs for each box of the column before.
    leaving : str
        Name of the row that has what leaves the layer.
    """

    key: str
    number: int
    called: str
    heads: tuple[str, str]
    shape: tuple[int, ...]
    rows: Callable[[int, int], Sequence[Row]]
    caption: Callable[[int], Caption] = _plain
    worst: int | None = None
    focus: tuple[int, ...] | None = None
    counts: bool = True
    is_slim: bool = False
    room: int = 0
    leaving: str = "a"

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
