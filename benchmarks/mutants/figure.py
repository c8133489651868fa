"""The matrix as a picture: bugs down, activations and losses across, the share that is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mutants.settings import PLANTED
from bpcheck.network.architecture import LOSSES
from bpcheck.network.layers.activations import ACTIVATIONS

__all__ = ["draw"]

SHOWN = ("missed", "open", "wrong", "unknown", "tied", "first")


def _share(cells: Sequence[Mapping[str, Any]]) -> float:
    shown = [cell["outcome"] for cell in cells if cell["outcome"] in SHOWN]
    return sum(outcome in ("first", "tied") for outcome in shown) / len(shown) if shown else float("nan")


def draw(cells: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the picture as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    columns = [("activation", name) for name in ACTIVATIONS] + [("loss", name) for name in LOSSES]
    slugs = list(PLANTED)
    shares = np.array(
        [
            [
                _share([c for c in cells if c["slug"] == slug and c["setting"][key] == name])
                for key, name in columns
            ]
            for slug in slugs
        ]
    )
    with mpl.rc_context({"svg.hashsalt": "bpcheck", "svg.fonttype": "none", "font.size": 8}):
        figure, axes = plt.subplots(figsize=(7.5, 0.17 * len(slugs) + 1.6), layout="constrained")
        colours = mpl.colormaps["viridis"].with_extremes(bad="#dddddd")
        image = axes.imshow(np.ma.masked_invalid(shares), cmap=colours, vmin=0.0, vmax=1.0, aspect="auto")
        axes.set_xticks(range(len(columns)), [name for _, name in columns], rotation=60, ha="right")
        axes.set_yticks(range(len(slugs)), slugs)
        axes.axvline(len(ACTIVATIONS) - 0.5, color="white", linewidth=2)
        axes.set_title(
            "Planted bugs that were named (grey: silent, or raises, wherever it was planted)", fontsize=8
        )
        figure.colorbar(image, ax=axes, label="share named, alone or in a stated tie", shrink=0.3)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
