"""The frame of all figures: one self-contained page in an ``<iframe srcdoc>``.

A figure is HTML, SVG and plain JavaScript without a single outside address, so that it works in
JupyterLab, VS Code, Colab and a static page, with and without a network. The iframe keeps its
styles and ids apart from the notebook's. Numbers come from bpcheck, embedded as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

__all__ = ["Figure", "figure"]

FOLDER = "pages"


@dataclass(frozen=True)
class Figure:
    """A picture to play with; a notebook shows it by itself.

    Attributes
    ----------
    title : str
        What it shows; screen readers say it.
    page : str
        A whole HTML page.
    height : int
        Pixels before the page has told its own height.

    Examples
    --------
    >>> Figure("A circle", "<!doctype html><p>○</p>", 100)
    <Figure: A circle (shown in a notebook; save("figure.html") writes a page)>
    """

    title: str
    page: str
    height: int

    def __repr__(self) -> str:
        return f'<Figure: {self.title} (shown in a notebook; save("figure.html") writes a page)>'

    def _repr_html_(self) -> str:
        return (
            f'<iframe title="{escape(self.title)}" srcdoc="{escape(self.page)}" '
            f'style="width:100%;height:{self.height}px;border:0;background:#fff;display:block"></iframe>'
        )

    def save(self, path: str | Path) -> None:
        """Write the figure as a page that opens in any browser."""
        Path(path).write_text(self.page, encoding="utf-8")


def figure(name: str, title: str, data: Any, *, height: int) -> Figure:
    """Put data, whatever JSON can hold, into the page ``pages/<name>.html``, whose script finds it as ``DATA``.

    Examples
    --------
    >>> from bpcheck.course.figures import step_figure
    >>> "<iframe" in step_figure()._repr_html_()
    True
    """
    # `<` as an escape: no text in the data can then end the script
    embedded = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    page = _read("frame.html")
    for place, text in (
        ("/*STYLE*/", _read("frame.css")),
        ("<!--TITLE-->", escape(title)),
        ("<!--BODY-->", _read(f"{name}.html")),
        ("/*FRAME*/", _read("frame.js")),
        ("/*SCRIPT*/", _read(f"{name}.js")),
        ("/*DATA*/", embedded),
    ):
        page = page.replace(place, text)
    return Figure(title, page, height)


def _read(name: str) -> str:
    return resources.files("bpcheck.course").joinpath(FOLDER, name).read_text(encoding="utf-8")
