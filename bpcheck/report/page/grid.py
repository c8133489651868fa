"""A small matrix in the drawing: its numbers in cells, the wrong ones framed and crossed."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck.report.page.markup import Html, tag
from bpcheck.report.page.numbers import show
from bpcheck.report.page.sketch import CELL, CELL_HEIGHT, text

__all__ = ["grid"]

LETTERS = 6
"""That fit a cell; a longer number keeps fewer digits."""


def grid(values: Any, wrong: Any, left: float, top: float, *, step: int, wrong_step: int) -> Html:
    """The matrix, computed by one step; another one may show which of its numbers are wrong.

    Examples
    --------
    >>> drawn = grid(np.eye(2), np.eye(2) > 0, 0, 0, step=1, wrong_step=2)
    >>> drawn.count("<text"), drawn.count('class="wrong"')
    (4, 2)
    """
    rows, columns = values.shape
    across = "".join(f"M{left:.0f} {top + i * CELL_HEIGHT:.0f}h{columns * CELL}" for i in range(rows + 1))
    down = "".join(f"M{left + j * CELL:.0f} {top:.0f}v{rows * CELL_HEIGHT}" for j in range(columns + 1))
    numbers = [
        text(left + (j + 0.5) * CELL, top + i * CELL_HEIGHT + 16, _short(float(value)), class_="middle")
        for (i, j), value in np.ndenumerate(values)
    ]
    marks = [] if wrong is None else [
        _wrong(left + j * CELL, top + i * CELL_HEIGHT, wrong_step) for i, j in np.argwhere(wrong)
    ]  # fmt: skip
    return tag("g", tag("path", d=across + down, class_="cells"), *marks, *numbers, data_at=step)


def _short(value: float) -> str:
    written = [show(value, digits) for digits in (3, 2, 1)]
    return next((one for one in written if len(one) <= LETTERS), written[-1])


def _wrong(x: float, y: float, step: int) -> Html:
    cross = f"M{x + CELL - 10:.0f} {y + 4:.0f}l6 6m0 -6l-6 6"
    return tag(
        "g", tag("rect", x=x + 1, y=y + 1, width=CELL - 2, height=CELL_HEIGHT - 2),
        tag("path", d=cross), class_="wrong", data_at=step,
    )  # fmt: skip
