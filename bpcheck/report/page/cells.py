"""Tables of numbers: yours beside the right ones, with as many digits as it takes to see where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bpcheck.report.page.markup import Html, tag
from bpcheck.report.page.numbers import beside, show

__all__ = ["pairs", "table"]


def pairs(yours: Any, right: Any, wrong: Any) -> tuple[list[list[Html]], list[list[Html]]]:
    """The cells of two matrices, row by row; the wrong ones of yours are marked.

    Examples
    --------
    >>> pairs([[1.5]], [[1.0]], [[False]])
    ([['<td>1.5</td>']], [['<td>1</td>']])
    """
    rows = [[_pair(*one) for one in zip(*row, strict=True)] for row in zip(yours, right, wrong, strict=True)]
    return [[mine for mine, _ in row] for row in rows], [[theirs for _, theirs in row] for row in rows]


def _pair(yours: float, right: float, wrong: bool) -> tuple[Html, Html]:
    if not wrong:
        return tag("td", show(yours)), tag("td", show(right))
    mine, theirs = beside(yours, right)
    return tag("td", "✗ ", mine, tag("span", " (wrong)", class_="unseen"), class_="bad"), tag("td", theirs)


def table(caption: Html, columns: Sequence[str] | None, rows: Sequence[tuple[str, Sequence[Html]]]) -> Html:
    """A table of cells; rows have a heading of their own, and columns if there are any names for them.

    Examples
    --------
    >>> table(tag("caption", "w"), None, [("0", [tag("td", "1.5")])])
    '<table class="numbers"><caption>w</caption><tbody><tr><th scope="row">0</th><td>1.5</td></tr></tbody></table>'
    """
    heads = [tag("th", column, scope="col") for column in columns or ()]
    head = None if columns is None else tag("thead", tag("tr", _corner(rows), *heads))
    body = [tag("tr", tag("th", name, scope="row") if name else None, *cells) for name, cells in rows]
    return tag("table", caption, head, tag("tbody", *body), class_="numbers")


def _corner(rows: Sequence[tuple[str, Sequence[Html]]]) -> Html | None:
    """Above the names of the rows."""
    return tag("td") if any(name for name, _ in rows) else None
