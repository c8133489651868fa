"""Two pictures of the tables: whether the bars hold, and how small an error is told from rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibration.verdicts import LADDER, SIZES

__all__ = ["draw"]

OURS = "bpcheck.derivative"
COLORS = {OURS: "#0072b2", "numdifftools.Derivative": "#d55e00", "jacobi.jacobi": "#009e73"}
COLORS |= {"scipy.differentiate.derivative": "#cc79a7"}
MARKS = dict(zip(COLORS, "osv^", strict=True))
"""Okabe and Ito's colors, told apart without color vision too; shapes for print."""

OFFSETS = dict(zip(COLORS, (0.0, 0.22, -0.22, 0.0), strict=True))
"""Rows apart, so that equal shares do not hide each other."""

AIM = 1e-3
"""Share outside that is aimed at, marked by a line."""

NOTHING = 1e-4
"""Where "none" is drawn on the logarithmic axis."""

Record = dict[str, Any]


def draw(summary: dict[str, list[Record]], target: Path) -> None:
    """Write the picture (SVG or PNG, by the name)."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "bpcheck", "font.size": 9, "axes.titlesize": 10})
    height = max(7.0, 1.6 + 0.19 * len(summary.get("estimate", [])))
    figure = plt.figure(figsize=(12.5, height), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.0, 0.9])
    _coverage(left, summary)
    _power(right, summary)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=100, metadata={"Date": None} if target.suffix == ".svg" else None)
    plt.close(figure)


def _label(record: Record) -> str:
    held = " (held out)" if record["split"] == "held out" else ""
    return f"{record['family']}, {record['precision']}{held}"


def _coverage(panel: Any, summary: dict[str, list[Record]]) -> None:
    axis = panel.subplots()
    ours, theirs = summary.get("estimate", []), summary.get("peer estimate", [])
    rows = {(r["family"], r["precision"]): k for k, r in enumerate(reversed(ours))}
    points: dict[str, list[tuple[float, int]]] = {name: [] for name in COLORS}
    for record in [*ours, *theirs]:
        at = rows.get((record["family"], record["precision"]))
        for name, entry in record["schemes"].items():
            label = OURS if name == "derivative" else name
            if at is not None and label in points and entry["answers"]:
                points[label].append((entry["misses"] / entry["answers"], at))
    for label, found in points.items():
        if found:
            shares, places = np.array(found).T
            axis.scatter(
                np.maximum(shares, NOTHING), places + OFFSETS[label], s=20, label=label, color=COLORS[label],
                marker=MARKS[label], zorder=4 if label == OURS else 3, linewidths=0, clip_on=False,
            )  # fmt: skip
    axis.set_xscale("log")
    axis.set_xlim(NOTHING / 2, 1.0)
    axis.set_xticks([NOTHING, AIM, 1e-2, 1e-1, 1.0], ["none", "0.1 %", "1 %", "10 %", "100 %"])
    axis.minorticks_off()
    axis.axvline(AIM, color="0.6", linewidth=0.8, zorder=1)
    axis.set_yticks(range(len(rows)), [_label(r) for r in reversed(ours)], fontsize=8)
    axis.set_ylim(-0.7, len(rows) - 0.3)
    axis.grid(axis="y", color="0.9", zorder=0)
    axis.set_xlabel("true derivatives outside value ± stated error (aim: left of the line)")
    _head(panel, axis, "Do the error bars hold?", 2)


def _head(panel: Any, axis: Any, title: str, columns: int) -> None:
    """A title with the legend below it."""
    handles, labels = axis.get_legend_handles_labels()
    legend = panel.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        title=title,
        title_fontsize=11,
    )
    legend.get_title().set_fontweight("bold")


CHECKER_MARKS = {
    "torch gradcheck": ("s", "#d55e00"),
    "torch gradcheck, fast": ("D", "#e69f00"),
    "jax check_grads": ("v", "#009e73"),
    "scipy check_grad": ("^", "#cc79a7"),
    "scipy approx_fprime": ("P", "#882255"),
    "autograd check_grads": ("X", "#666666"),
}


def _power(panel: Any, summary: dict[str, list[Record]]) -> None:
    """Share told apart against size: ours from the smallest errors found, theirs at SIZES; smooth families."""
    axes = panel.subplots(2, 1, sharex=True)
    for axis, precision in zip(axes, ("float64", "float32"), strict=True):
        _power_of(axis, precision, summary)
    axes[1].set_xlabel("relative error planted in one entry or one tensor (smaller to the right)")
    _head(panel, axes[0], "Told apart: the right gradient passes, the wrong one is rejected", 3)


def _power_of(axis: Any, precision: str, summary: dict[str, list[Record]]) -> None:
    def chosen(kind: str) -> list[Record]:
        return [
            r for r in summary.get(kind, []) if r["smooth"] and r["precision"] == precision and r["problems"]
        ]

    values = [np.inf if t is None else t for r in chosen("power") for t in r["thresholds"]]
    if values:
        # sizes tried are half decades; a share belongs to all sizes up to the next one tried
        shares = [np.mean(np.array(values) <= size * 1.01) for size in LADDER]
        axis.step(LADDER, shares, where="pre", color=COLORS[OURS], linewidth=2.4, label="bpcheck", zorder=5)
    for name, (mark, color) in CHECKER_MARKS.items():
        cells = [r["checkers"][name] for r in chosen("peer check") if r["checkers"][name].get("told_apart")]
        if cells:
            shares = [np.average([c["told_apart"][str(s)] for c in cells]) for s in SIZES]
            axis.plot(
                SIZES,
                shares,
                color=color,
                marker=mark,
                markersize=6,
                linewidth=1.0,
                linestyle=":",
                label=name,
            )
    axis.set_xscale("log")
    axis.set_xlim(1.5, 1e-13)
    axis.set_xticks([10.0**-k for k in range(0, 13, 2)])
    axis.set_ylim(-0.03, 1.03)
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axis.grid(color="0.9")
    axis.set_title(f"smooth families, {precision}", loc="left")
