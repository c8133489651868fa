"""Flattening: the numbers of all maps in one row, and back again."""

from __future__ import annotations

from collections.abc import Sequence

from bpcheck.diagnosis.layers.flatten import RESTORED
from bpcheck.report.page.layers.kind import Kind
from bpcheck.report.page.layers.unit import equal, named, target_row
from bpcheck.report.page.markup import Html
from bpcheck.report.page.replayed import Layer, Replay
from bpcheck.report.page.said import came_down, listed
from bpcheck.report.page.sketch import Sketch, edge
from bpcheck.report.page.station import Numbers, Row, Station
from bpcheck.report.page.step import Step

__all__ = ["FlattenKind"]


def _by(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


class FlattenKind(Kind):
    """The same numbers in another shape."""

    legend = "Flattening only reshapes: each number of a map becomes a unit."
    channel = 74  # lines that lead from a map to its numbers

    def forward(self, found: Replay, layer: Layer) -> Sequence[Step]:
        """One row."""
        shape, count = layer.x.shape[1:], layer.a.shape[1]
        return (
            Step(
                "flatten", layer.number, f"{layer.name}: {_by(shape)} → {count}",
                "The numbers of an example stand in one row, the last axis running fastest. No number changes.",
                key=layer.key, place="flatten", of_example=lambda example: listed(layer.name, layer.a[example]),
            ),
        )  # fmt: skip

    def backward(self, found: Replay, layer: Layer, above: str, inner: str) -> Sequence[Step]:
        """Back to the shape from before, if anybody below needs it."""
        if not layer.has_below:
            return ()
        shape, count = layer.x.shape[1:], layer.a.shape[1]
        comes = equal(f"∂C/∂{layer.name}", above)
        return (
            Step(
                "down", layer.number, f"{named(RESTORED)}{self.below(layer)}: {count} → {_by(shape)},   {comes}",
                "What comes down goes back to the places that the numbers came from. No number changes.",
                layer.below.is_wrong, layer.key, "flatten",
                of_example=lambda example: came_down(found, self.below(layer), layer.below, example),
            ),
        )  # fmt: skip

    def station(self, found: Replay, layer: Layer, numbers: Numbers) -> Station:
        """A slim box for every number."""

        def rows(item: int, example: int) -> Sequence[Row]:
            listed_rows = [Row(f"unit {item + 1}", layer.a[example, item], numbers["flatten", layer.key])]
            listed_rows += target_row(found, layer, item, example, numbers)
            if layer.has_below:
                listed_rows.append(Row("∂C/∂a", layer.down.right[example, item], numbers["down", layer.key]))
            return listed_rows

        return Station(
            layer.key, layer.number, layer.name, ("flatten", f"{_by(layer.x.shape[1:])} → {layer.a.shape[1]}"),
            layer.a.shape[1:], rows, counts=False, is_slim=True,
        )  # fmt: skip

    def joins(self, found: Replay, layer: Layer, sketch: Sketch) -> Sequence[Html]:
        """A line from each map to its numbers."""
        own, below = sketch.own(layer), sketch.entering(layer)
        if below is None:
            return ()
        each = layer.a.shape[1] // layer.x.shape[1]
        step = sketch.numbers["flatten", layer.key]
        return [
            edge(below.exit(unit // each), own.entry(unit), step)
            for unit in own.items
            if unit // each in below.items
        ]
