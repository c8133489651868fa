"""The dense layer: a box for every unit, a line for every weight, and the four equations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bpcheck.network.case import Case
from bpcheck.network.layers import LayerSpec
from bpcheck.report.page.compared import close, rounding
from bpcheck.report.page.layers.kind import Kind
from bpcheck.report.page.layers.unit import activation_step, caption, delta_step, rows_of, worst_item
from bpcheck.report.page.markup import Html, tag
from bpcheck.report.page.numbers import layer_name, show
from bpcheck.report.page.replayed import Layer, Replay
from bpcheck.report.page.said import gradients, listed
from bpcheck.report.page.sketch import CHANNEL, Column, Sketch, edge, text
from bpcheck.report.page.station import Numbers, Station
from bpcheck.report.page.step import Step
from bpcheck.report.text import MEANINGS

__all__ = ["DenseKind"]

MOST_LABELS = 12
"""Lines between two layers that carry their weight; more labels would lie on one another."""

LABEL_AT = 0.72
"""Where on a line its weight stands: near the unit that it leads to, where lines from up to four units are
further apart than a letter is high."""


class DenseKind(Kind):
    """Units that all see all units below."""

    legend = "On a line: its weight."
    channel = CHANNEL  # lines and weights

    def weights(self, spec: LayerSpec) -> str:
        """W_jk."""
        return "Wl_j_k is the weight from number k of those that enter layer l to its unit j"

    def forward(self, found: Replay, layer: Layer) -> Sequence[Step]:
        """The steps z and a."""
        n = layer.number
        z = layer_name("z", n)
        return (
            Step(
                "z", n, f"{z} = {layer_name('W', n)} {layer.entering} + {layer_name('b', n)}",
                "Every unit adds up what comes in, each number times its weight, and its bias.",
                key=layer.key, of_example=lambda example: listed(z, layer.z[example]),
            ),
            activation_step(layer, "The activation function turns the sum z of a unit into what it sends on, a."),
        )  # fmt: skip

    def backward(self, found: Replay, layer: Layer, above: str, inner: str) -> Sequence[Step]:
        """δ by BP1 or BP2, then both gradients."""
        n, several = layer.number, found.case.batch > 1
        rule = "BP1" if layer.is_output else "BP2"
        through_weights = layer.is_output or not above.startswith("∂C/∂")
        meaning = (
            MEANINGS[rule]
            if through_weights
            else "δ is ∂C/∂z: what comes down to a unit's a, times the slope σ'"
        )
        delta, sign = layer_name("δ", n), "Σ " if several else ""
        entering = layer.entering if layer.entering.endswith(")") else f"({layer.entering})"
        return (
            delta_step(found, layer, above, f"{rule}: ", f"{meaning}."),
            Step(
                "gradient", n,
                f"BP3, BP4: ∂C/∂{layer_name('b', n)} = {sign}{delta},   "
                f"∂C/∂{layer_name('W', n)} = {sign}{delta} {entering}ᵀ",
                "A bias is added to z, so its gradient is the error of its unit; a weight multiplies an activation, so "
                "its gradient is the error above times the activation below"
                + (", summed over the examples." if several else "."),
                layer.has_wrong_gradient,
                layer.key, of_all=gradients(layer),
            ),
        )  # fmt: skip

    def below(self, layer: Layer) -> str:
        """The bracket of BP2: (Wᵀ δ)."""
        return f"({layer_name('W', layer.number)})ᵀ {layer_name('δ', layer.number)}"

    def read_off(self, layer: Layer, case: Case, factor: float) -> Any:
        """δ from the bias gradient of a single example, if the weight gradient is made of the same δ."""
        bias, weight = (layer.comparisons.get(role) for role in ("bias", "weight"))
        if bias is None or weight is None:
            return None
        bias, weight = bias.in_our_layout, weight.in_our_layout
        if bias.actual is None or weight.actual is None:
            return None
        weights = layer.params["weight"]
        penalty = case.architecture.l2 * weights + case.architecture.l1 * np.sign(weights)
        made = np.outer(bias.actual, layer.x[0]) + factor * penalty
        if made.shape != weight.actual.shape or not np.all(close(made, weight.actual, rounding(weight))):
            return None
        return np.asarray(bias.actual, dtype=float)[None, :]

    def station(self, found: Replay, layer: Layer, numbers: Numbers) -> Station:
        """A box for every unit."""
        n = layer.number
        return Station(
            layer.key, n, f"layer {n}", (f"layer {n}", layer.activation), layer.a.shape[1:],
            rows_of(found, layer, numbers), caption(layer, numbers), worst_item(layer),
        )  # fmt: skip

    def joins(self, found: Replay, layer: Layer, sketch: Sketch) -> Sequence[Html]:
        """A line for every weight, from unit to unit."""
        own, below = sketch.own(layer), sketch.entering(layer)
        if below is None:
            return ()
        return [line for unit in own.items for line in _lines(layer, own, below, unit, sketch.numbers)]


def _lines(layer: Layer, own: Column, below: Column, unit: int, numbers: Numbers) -> list[Html]:
    forward, backward = numbers["z", layer.key], numbers["gradient", layer.key]
    labelled = len(below.items) * len(own.items) <= MOST_LABELS
    wrong, end = layer.wrong_gradient("weight"), own.entry(unit)
    drawn, labels = [], []
    for source in below.items:
        start, bad = below.exit(source), bool(wrong[unit, source])
        drawn.append(edge(start, end, forward))
        if bad:
            drawn.append(edge(start, end, backward, "edge bad"))
        if labelled:
            mark = tag("tspan", " ✗", class_="bad", data_at=backward) if bad else None
            x, y = (a + (b - a) * LABEL_AT for a, b in zip(start, end, strict=True))
            weight = show(float(layer.params["weight"][unit, source]), 3)
            labels.append(text(x, y + 4, weight, mark, class_="weight", data_at=forward))
    return drawn + labels
