"""A heat map of a tensor's discrepancy, yours minus right: blue above, orange below, a cross where it is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck.report.page.markup import Html, tag
from bpcheck.report.page.numbers import show
from bpcheck.report.page.tables import as_matrix
from bpcheck.report.page.wrong import difference, wrong_entries
from bpcheck.result import Comparison

__all__ = ["heat_map"]

MOST = 40
"""Squares in a row or column; beyond, one square stands for several entries, and shows the worst of them."""

SIDE = 200
"""Pixels of the longer side, as long as squares stay within the next two."""

SMALLEST, LARGEST = 5, 30
CROSS_FROM = 9
"""Pixels of a square in which a cross can be told from a blot; below, a wrong square gets a dark frame."""

PALEST = 0.12
"""Opacity of the smallest difference that is not zero, so that it is not taken for none."""


def heat_map(comparison: Comparison) -> Html:
    """The discrepancy of one tensor as a picture with a caption.

    Parameters
    ----------
    comparison : Comparison
        One that has arrays.

    Returns
    -------
    Html

    Examples
    --------
    >>> from bpcheck import Verdict
    >>> html = heat_map(
    ...     Comparison("w", Verdict.DISAGREES, actual=np.array([1.5, 1]), expected=np.ones(2), bound=np.zeros(2))
    ... )
    >>> "1 of 2 entries is wrong; the largest difference is 0.5" in html
    True
    """
    off, wrong = as_matrix(difference(comparison)), as_matrix(wrong_entries(comparison)).astype(bool)
    count, total = int(wrong.sum()), int(wrong.size)
    off, wrong, block = _squeezed(off, wrong)
    rows, columns = off.shape
    side = int(np.clip(SIDE // max(rows, columns, 1), SMALLEST, LARGEST))
    finite = abs(off[np.isfinite(off)])
    largest = float(finite.max(initial=0.0))
    squares = []
    for (i, j), value in np.ndenumerate(off):
        squares += _square(float(value), bool(wrong[i, j]), largest, j * side, i * side, side)
    are = "are" if count != 1 else "is"
    said = f"{count} of {total} entries {are} wrong; the largest difference is {show(largest, 2)}"
    width, height = columns * side + 2, rows * side + 2
    picture = tag(
        "svg", *squares, viewBox=f"-1 -1 {width} {height}", width=width, height=height, role="img",
        aria_label=f"Discrepancy of {comparison.label}: {said}.", class_="heat",
    )  # fmt: skip
    several = (
        f" One square stands for up to {block[0]} × {block[1]} entries and shows the worst."
        if block != (1, 1)
        else ""
    )
    return tag(
        "figure",
        tag("figcaption", "yours − right"),
        picture,
        tag("p", f"{said}.{several}", class_="soft small"),
        class_="map",
    )


def _squeezed(off: Any, wrong: Any) -> tuple[Any, Any, tuple[int, int]]:
    """Blocks of a large matrix, each by its largest difference."""
    rows, columns = off.shape
    block = (max(1, -(-rows // MOST)), max(1, -(-columns // MOST)))
    if block == (1, 1):
        return off, wrong, block
    shape = (-(-rows // block[0]), -(-columns // block[1]))
    small, marks = np.zeros(shape), np.zeros(shape, dtype=bool)
    for i, j in np.ndindex(shape):
        place = (slice(i * block[0], (i + 1) * block[0]), slice(j * block[1], (j + 1) * block[1]))
        values = off[place].ravel()
        with np.errstate(all="ignore"):
            sizes = np.where(np.isfinite(values), abs(values), np.inf)
        small[i, j], marks[i, j] = values[int(np.argmax(sizes))], wrong[place].any()
    return small, marks, block


def _square(value: float, is_wrong: bool, largest: float, x: int, y: int, side: int) -> list[Html]:
    if not np.isfinite(value):
        kind, strength = "odd", 1.0
    elif value == 0.0 or largest == 0.0:
        kind, strength = "none", 0.0
    else:
        kind = "plus" if value > 0 else "minus"
        strength = PALEST + (1 - PALEST) * abs(value) / largest
    drawn = [
        tag("rect", x=x, y=y, width=side, height=side, class_="cell"),
        tag("rect", x=x, y=y, width=side, height=side, class_=f"cell {kind}", fill_opacity=f"{strength:.2f}"),
    ]
    if is_wrong and side >= CROSS_FROM:
        low, high = 0.3 * side, 0.7 * side
        left, right, top, bottom = (f"{v:.1f}" for v in (x + low, x + high, y + low, y + high))
        path = f"M{left} {top}L{right} {bottom}M{right} {top}L{left} {bottom}"
        drawn += [tag("path", d=path, class_="halo"), tag("path", d=path, class_="cross")]
    elif is_wrong:
        drawn.append(tag("rect", x=x + 1, y=y + 1, width=side - 2, height=side - 2, class_="frame"))
    return drawn
