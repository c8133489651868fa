"""A heat map of a tensor's discrepancy, yours minus right: blue above, orange below, a cross where it is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from bpcheck.report.page.markup import Html, tag
from bpcheck.report.page.numbers import show
from bpcheck.report.page.tables import as_matrix
from bpcheck.report.page.wrong import difference, wrong_entries
from bpcheck.result import Comparison

__all__ = ["heat_map"]

MOST = 32
"""Squares in a row or column; beyond, one square stands for several entries, and shows the worst of them."""

SIDE, SMALLEST, LARGEST = 280, 8, 30
"""Pixels: of the longer side of the map, and of a square. In 8 pixels a cross can still be told from a blot."""

HALO_FROM = 14
"""Pixels of a square that has room for a pale rim around its cross."""

SHADES = 8
"""Steps of colour. The eye tells few more apart, and a map of a thousand squares stays small as a file."""


def heat_map(comparison: Comparison) -> Html:
    """The discrepancy of one tensor as a picture with a caption.

    In a wrong tensor, colour goes by the largest difference, and entries within their rounding have none. Where nothing
    is wrong, it goes by what rounding is allowed.

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
    share, said = _shares(comparison, off, wrong)
    share, wrong, block = _squeezed(share, wrong)
    rows, columns = share.shape
    side = int(np.clip(SIDE // max(rows, columns, 1), SMALLEST, LARGEST))
    width, height = columns * side, rows * side
    picture = tag(
        "svg",
        *_grid(rows, columns, side),
        *_squares(share, side),
        *_crosses(np.argwhere(wrong), side),
        viewBox=f"-1 -1 {width + 2} {height + 2}",
        width=width + 2,
        height=height + 2,
        role="img",
        aria_label=f"Discrepancy of {comparison.label}: {said}.",
        class_="heat",
    )
    blocks = f" One square stands for up to {block[0]} × {block[1]} entries and shows the worst."
    return tag(
        "figure",
        tag("figcaption", "yours − right"),
        picture,
        tag("p", f"{said}.{blocks if block != (1, 1) else ''}", class_="soft small"),
        class_="map",
    )


def _shares(comparison: Comparison, off: Any, wrong: Any) -> tuple[Any, str]:
    """How strong each entry's colour is, from −1 to 1 (NaN where the difference is not finite), and a caption."""
    finite = np.isfinite(off)
    largest = float(abs(off[finite]).max(initial=0.0))
    ending = f"the largest difference is {show(largest, 2)}"
    if wrong.any():
        count = int(wrong.sum())
        shown = np.where(wrong, np.where(finite, off / (largest or 1.0), np.nan), 0.0)
        return shown, f"{count} of {wrong.size} entries {'are' if count != 1 else 'is'} wrong; {ending}"
    bound = np.broadcast_to(as_matrix(0.0 if comparison.bound is None else comparison.bound), off.shape)
    with np.errstate(all="ignore"):
        shown = np.where(off == 0.0, 0.0, np.clip(off / bound, -1.0, 1.0))
    worst = float(np.nanmax(abs(shown), initial=0.0))
    used = f", and {worst:.0%} of what is allowed is the most that is used" if worst else ""
    return (
        shown,
        f"no entry is wrong; {ending if largest or worst else 'there is no difference at all'}{used}",
    )


def _squeezed(share: Any, wrong: Any) -> tuple[Any, Any, tuple[int, int]]:
    """Blocks of a large matrix, each by its largest difference."""
    rows, columns = share.shape
    block = (max(1, -(-rows // MOST)), max(1, -(-columns // MOST)))
    if block == (1, 1):
        return share, wrong, block
    shape = (-(-rows // block[0]), -(-columns // block[1]))
    small, marks = np.zeros(shape), np.zeros(shape, dtype=bool)
    for i, j in np.ndindex(shape):
        place = (slice(i * block[0], (i + 1) * block[0]), slice(j * block[1], (j + 1) * block[1]))
        values = share[place].ravel()
        sizes = np.where(np.isnan(values), np.inf, abs(values))
        small[i, j], marks[i, j] = values[int(np.argmax(sizes))], wrong[place].any()
    return small, marks, block


def _grid(rows: int, columns: int, side: int) -> list[Html]:
    width, height = columns * side, rows * side
    across = "".join(f"M0 {i * side}h{width}" for i in range(1, rows))
    down = "".join(f"M{j * side} 0v{height}" for j in range(1, columns))
    return [
        tag("rect", width=width, height=height, class_="grid"),
        tag("path", d=(across + down) or "M0 0", class_="grid"),
    ]


def _squares(share: Any, side: int) -> Iterable[Html]:
    """One path for each sign and shade."""
    paths: dict[tuple[str, int], str] = {}
    for (i, j), value in np.ndenumerate(share):
        if value == 0.0:
            continue
        kind = "odd" if np.isnan(value) else "plus" if value > 0 else "minus"
        # rounded up: the smallest difference is not taken for none
        shade = SHADES if np.isnan(value) else int(np.ceil(SHADES * abs(value)))
        square = f"M{j * side} {i * side}h{side}v{side}h-{side}z"
        paths[kind, shade] = paths.get((kind, shade), "") + square
    for (kind, shade), path in sorted(paths.items()):
        yield tag("path", d=path, class_=f"cell {kind}", fill_opacity=f"{shade / SHADES:.2f}")


def _crosses(places: Any, side: int) -> Iterable[Html]:
    low, arm = round(0.28 * side, 1), round(0.44 * side, 1)
    path = "".join(
        f"M{j * side + low:g} {i * side + low:g}l{arm} {arm}m0 -{arm}l-{arm} {arm}"
        for i, j in places.tolist()
    )
    if path and side >= HALO_FROM:
        yield tag("path", d=path, class_="halo", stroke_width="4.5")
    if path:
        yield tag("path", d=path, class_="cross", stroke_width="1.8" if side >= HALO_FROM else "1.1")
