"""Pictures of gradient health: sizes against layers. Needs matplotlib, as :mod:`bpcheck.report.plots` does."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bpcheck.report.plots import BLUE, GREEN, GREY, ORANGE, SMALL, axes, frame

__all__ = ["courses"]

PINK = "#CC79A7"
"""A fifth colour of the palette of :mod:`bpcheck.report.plots`."""

STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"), (PINK, "^"), (GREY, "v"))
"""Colour and mark go together, for who prints in grey."""

TITLE_WIDTH = 62
"""Letters of a title in one line."""

FIGURE_TICKS = 12
"""Marks on the axis of the layers, at most."""


def courses(
    numbers: Sequence[int], series: Mapping[str, Sequence[float]], *, title: str, y: str, ax: Any = None
) -> Any:
    """Draw, or add to a picture, how sizes go from layer to layer.

    Parameters
    ----------
    numbers : sequence of int
        Of the layers.
    series : mapping of str to sequence of float
        By name.
    title, y : str
        What stands above, and beside the sizes.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes(ax)
    if not ax.lines:
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator(nbins=FIGURE_TICKS, integer=True))
        frame(ax, textwrap.fill(title, TITLE_WIDTH), "layer (the error comes from the right)", y)
    for name, values in series.items():
        _line(ax, numbers, values, name)
    ax.legend(loc="best", fontsize=SMALL, frameon=False)
    return ax


def _line(ax: Any, numbers: Sequence[int], values: Sequence[float], label: str) -> None:
    shown = np.array(values, dtype=float)
    shown[~(np.isfinite(shown) & (shown > 0.0))] = np.nan  # a logarithmic axis has no place for them
    colour, mark = STYLES[len(ax.lines) % len(STYLES)]
    ax.plot(numbers, shown, color=colour, marker=mark, markersize=4, linewidth=1.2, label=label)
