"""Pictures of numbers that were found elsewhere: Taylor remainders, the V of a step size, and sizes against layers.

Needs matplotlib (``pip install 'bpcheck[plot]'``), which is imported when a picture is first drawn.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bpcheck.errors import InputError
from bpcheck.tree import FloatArray

__all__ = ["courses", "step_curve", "taylor"]

# From the palette of Okabe and Ito (2008), which eyes of all kinds tell apart; grey for what is no data.
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6E6E6E"

SIZE = (6.4, 4.4)
"""Inches: as wide as a column of text, and matplotlib's own default in width."""

TITLE, SMALL = 11, 9
"""Points: of a title, and of text within the picture."""

HEADROOM = 3.0
"""Free space above and below the data, as a factor."""

LEGEND_ROOM = 0.3
"""Share of the height that a legend of five lines takes, added above the data."""

BELOW = 4.0
"""By what factor the guides lie below the data, which would hide them."""

STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"), (PINK, "^"), (GREY, "v"))
"""Colour and mark go together, for who prints in grey."""

TITLE_WIDTH = 62
"""Letters of a title in one line."""

FIGURE_TICKS = 12
"""Marks on the axis of the layers, at most."""


def _axes(ax: Any = None) -> Any:
    """The axes to draw on: those given, or those of a new figure; InputError if matplotlib is not installed."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise InputError(
            "pictures need matplotlib, which is not installed: pip install 'bpcheck[plot]'."
        ) from error
    _, made = pyplot.subplots(figsize=SIZE, layout="constrained")
    return made


def _frame(ax: Any, title: str, x: str, y: str) -> None:
    """Title, axes and grid; y is logarithmic."""
    ax.set_yscale("log")
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.set_title(title, fontsize=TITLE, loc="left")
    ax.grid(True, which="major", color="#E4E4E4", linewidth=0.7)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _limits(ax: Any, *values: FloatArray) -> float:
    """Show all positive numbers, with some room; the lower end."""
    shown = np.concatenate([np.ravel(v) for v in values])
    shown = shown[np.isfinite(shown) & (shown > 0.0)]
    low, high = (float(shown.min()), float(shown.max())) if shown.size else (0.1, 10.0)
    ax.set_ylim(low / HEADROOM, high * HEADROOM)
    return low / HEADROOM


def _legend_above(ax: Any, place: str) -> None:
    ax.legend(loc=place, fontsize=SMALL, frameon=False)
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top * (top / bottom) ** LEGEND_ROOM)


def taylor(
    steps: FloatArray,
    first: FloatArray,
    second: FloatArray,
    floor: FloatArray,
    *,
    orders: tuple[str, str],
    ax: Any = None,
) -> Any:
    """Draw Taylor remainders against the step.

    Parameters
    ----------
    steps, first, second : (rungs,) arrays
    floor : (rungs,) array
        Below, a remainder is noise.
    orders : (str, str)
        Of both, for the legend.
    ax : matplotlib.axes.Axes, optional
    """
    ax = _axes(ax)
    ax.set_xscale("log")
    _frame(ax, "Taylor remainders", "step h", "remainder")
    low = _limits(ax, first, second, floor)
    ax.fill_between(steps, low, floor, color="#EDEDED", linewidth=0, label="noise: no order can be read here")
    ax.plot(
        steps,
        np.where(first > 0.0, first, np.nan),
        "o-",
        color=BLUE,
        markersize=4,
        label=f"|φ(h) − φ(0)|: order {orders[0]}",
    )
    usable = second > floor
    label = f"|φ(h) − φ(0) − h⟨g, v⟩|: order {orders[1]}"
    ax.plot(steps, np.where(second > 0.0, second, np.nan), "-", color=ORANGE, linewidth=1.0)
    ax.plot(steps[usable], second[usable], "s", color=ORANGE, markersize=5, label=label)
    hidden = ~usable & (second > 0.0)
    ax.plot(steps[hidden], second[hidden], "s", color=ORANGE, markersize=5, markerfacecolor="white")
    if usable.any():
        _guide(ax, steps, second, usable)
    _legend_above(ax, "upper left")
    return ax


def _guide(ax: Any, steps: FloatArray, second: FloatArray, usable: Any) -> None:
    """Slopes 1 and 2 from below the finest usable remainder, to hold the points against."""
    anchor = int(np.flatnonzero(usable)[-1])
    start, top = second[anchor] / BELOW, float(np.max(second[usable]))
    for order, style in ((1, ":"), (2, "--")):
        end = min(float(steps[0]), float(steps[anchor]) * (top / start) ** (1.0 / order))
        h = np.array([steps[anchor], end])
        line = start * (h / steps[anchor]) ** order
        ax.plot(h, line, style, color=GREY, linewidth=1.2, zorder=1, label=f"slope {order}")


def step_curve(
    steps: FloatArray,
    errors: FloatArray,
    *,
    step: float,
    bar: float,
    noise: float,
    is_exact: bool,
    ax: Any = None,
) -> Any:
    """Draw the error of a central difference against its step.

    Parameters
    ----------
    steps, errors : (n,) arrays
    step, bar : float
        The step that the adaptive estimate chose, and the bound on its error.
    noise : float
        Standard deviation of the noise of the function.
    is_exact : bool
        Whether the errors are held against the exact derivative.
    ax : matplotlib.axes.Axes, optional
    """
    ax = _axes(ax)
    against = "the exact derivative" if is_exact else "the extrapolated estimate"
    ax.set_xscale("log")
    _frame(ax, "Error of a central difference", "step h", f"difference to {against}")
    shown = np.where(errors > 0.0, errors, np.nan)
    rounding = noise / (np.sqrt(2.0) * steps)
    marks = np.array([bar]) if np.isfinite(bar) else np.array([])
    _limits(ax, shown, marks)
    ax.plot(steps, shown, "o-", color=BLUE, markersize=3.5, linewidth=1.0, label="one step h")
    ax.plot(steps, rounding, ":", color=GREY, linewidth=1.2, label="noise of f over √2 h")
    if np.isfinite(bar):
        ax.axhline(
            bar, color=ORANGE, linewidth=1.2, linestyle="--", label="bound of the extrapolated estimate"
        )
    if np.isfinite(step) and np.isfinite(bar):
        ax.plot([step], [bar], "D", color=ORANGE, markersize=6, label="the finest step that it uses")
    _legend_above(ax, "upper right")
    return ax


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
    ax = _axes(ax)
    if not ax.lines:
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator(nbins=FIGURE_TICKS, integer=True))
        _frame(ax, textwrap.fill(title, TITLE_WIDTH), "layer (the error comes from the right)", y)
    for name, values in series.items():
        _line(ax, numbers, values, name)
    ax.legend(loc="best", fontsize=SMALL, frameon=False)
    return ax


def _line(ax: Any, numbers: Sequence[int], values: Sequence[float], label: str) -> None:
    shown = np.array(values, dtype=float)
    shown[~(np.isfinite(shown) & (shown > 0.0))] = np.nan  # a logarithmic axis has no place for them
    colour, mark = STYLES[len(ax.lines) % len(STYLES)]
    ax.plot(numbers, shown, color=colour, marker=mark, markersize=4, linewidth=1.2, label=label)
