"""The skip connection: an arc past the layers, a plus where it arrives, and two paths that add on the way back."""

from __future__ import annotations

from collections.abc import Sequence

from bpcheck.diagnosis.layers.skip import PLUS_ONE
from bpcheck.report.page.layers.kind import Kind
from bpcheck.report.page.layers.unit import coming, equal, named, target_row
from bpcheck.report.page.markup import Html, join, tag
from bpcheck.report.page.replayed import Layer, Replay
from bpcheck.report.page.said import came_down, listed
from bpcheck.report.page.sketch import MARGIN, Column, Sketch, edge, text
from bpcheck.report.page.station import Numbers, Row, Station, beside_rows, matrix
from bpcheck.report.page.step import Step

__all__ = ["SkipKind"]

PLUS = 10
"""Radius of a plus."""

BUS = 26
"""Pixels between a column and the vertical line that collects what passes by, or hands it out."""


class SkipKind(Kind):
    """x + f(x)."""

    legend = "The arc carries numbers past the layers to the +, unchanged; ∂C/∂h comes back along both paths."
    channel = 84  # lines, the plus, an arrow

    def forward(self, found: Replay, layer: Layer) -> Sequence[Step]:
        """The sum; what it adds is computed before."""
        return (
            Step(
                "sum", layer.number, f"{layer.name} = {layer.entering} + {layer.inner[-1].name}",
                "The skip connection adds what came in to what its layers made of it: x + f(x).",
                key=layer.key, place=self._place(layer),
                of_example=lambda example: _sum(
                    (layer.entering, layer.x[example]), (layer.inner[-1].name, layer.inner[-1].a[example]),
                    (layer.name, layer.a[example]),
                ),
            ),
        )  # fmt: skip

    def _place(self, layer: Layer) -> str:
        return f"the skip connection past {layer.passed}"

    def arrival(self, found: Replay, layer: Layer, above: str) -> Sequence[Step]:
        """At the plus, both paths get the same."""
        comes = f"∂C/∂{layer.name}"
        return (
            Step(
                "arrival", layer.number, equal(comes, above),
                "A sum hands what comes down to both of its terms unchanged: past the layers, and into them.",
                layer.down.is_wrong, layer.key, self._place(layer),
                of_example=lambda example: came_down(found, comes, layer.down, example),
            ),
        )  # fmt: skip

    def backward(self, found: Replay, layer: Layer, above: str, inner: str) -> Sequence[Step]:
        """Where the paths part on the way up, they add on the way down."""
        if not layer.has_below:
            return ()
        comes, past = self.below(layer), f"∂C/∂{layer.name}"
        through = f"({inner})" if inner.startswith("∂C/∂") else inner
        return (
            Step(
                "down", layer.number, f"{named(PLUS_ONE)}{comes} = {past} + {through}",
                f"{layer.entering} reaches the cost along two paths, past the layers and through them, "
                "so what comes back along the two is added.",
                layer.below.is_wrong, layer.key, self._place(layer),
                of_example=lambda example: join(
                    _sum(
                        ("past the layers", layer.down.right[example]),
                        ("through them", layer.inner[0].below.right[example]),
                    ),
                    tag("p", "their sum:"),
                    came_down(found, comes, layer.below, example),
                ),
            ),
        )  # fmt: skip

    def station(self, found: Replay, layer: Layer, numbers: Numbers) -> Station:
        """A box for every sum."""
        step = coming(found, layer, numbers)
        arrives = numbers["arrival", layer.key] if step is None else step

        def rows(item: int, example: int) -> Sequence[Row]:
            return [
                Row("h", matrix(layer.a[example, item]), numbers["sum", layer.key]),
                *target_row(found, layer, item, example, numbers),
                *beside_rows("∂C/∂h", layer.down[example, item], arrives),
            ]

        return Station(
            layer.key, layer.number, layer.name,
            (layer.name, f"{layer.entering} + {layer.inner[-1].name}"), layer.a.shape[1:], rows, counts=False,
            leaving="h",
        )  # fmt: skip

    def joins(self, found: Replay, layer: Layer, sketch: Sketch) -> Sequence[Html]:
        """The arc, and a plus for every sum."""
        own, last, source = sketch.own(layer), sketch.columns.get(layer.inner[-1].key), sketch.entering(layer)
        step, x = sketch.numbers["sum", layer.key], own.left - BUS
        drawn = [_arc(own, source, sketch.lanes[layer.key], class_="bypass", data_at=step)]
        drawn.append(_name(layer, source, sketch.lanes[layer.key], step))
        if ("down", layer.key) in sketch.numbers:  # on the way back, the arc where both paths meet again
            at = {"class_": "back moving", "data_during": sketch.numbers["down", layer.key]}
            drawn.append(_arc(own, source, sketch.lanes[layer.key], **at))
        for item in own.items:
            y = own.middles[item]
            if last is not None and item in last.items:
                drawn.append(edge(last.exit(item), (x, y), step))
            drawn.append(edge((x, y), own.entry(item), step))
            circle = tag("circle", cx=x, cy=y, r=PLUS)
            drawn.append(tag("g", circle, text(x, y + 5, "+", class_="middle"), class_="plus", data_at=step))
        return drawn

    def marks(self, layer: Layer, sketch: Sketch) -> Sequence[Html]:
        """On the way back: the plus where both paths begin."""
        own, step = sketch.own(layer), sketch.numbers["arrival", layer.key]
        places = ((f"{own.left - BUS:.0f}", f"{own.middles[item]:.0f}") for item in own.items)
        return [
            tag("circle", cx=x, cy=y, r=PLUS + 3, class_="back moving", data_during=step) for x, y in places
        ]


def _sum(*parts: tuple[str, object]) -> Html:
    return join(*(listed(name, values) for name, values in parts))


def _from(source: Column | None) -> float:
    """Where the arc begins; at the left margin if its column is not drawn."""
    return MARGIN if source is None else source.right + BUS


def _arc(own: Column, source: Column | None, lane: float, **attributes: object) -> Html:
    """From every box up to the lane, past the layers, and down to every sum."""
    start, end, lowest = _from(source), own.left - BUS, max(own.middles.values())
    rises = ""
    if source is not None:
        rises = "".join(f"M{source.right:.0f} {y:.0f}H{start:.0f}" for y in source.middles.values())
        rises += f"M{start:.0f} {max(source.middles.values()):.0f}V{lane:.0f}"
    return tag("path", d=f"{rises}M{start:.0f} {lane:.0f}H{end:.0f}V{lowest:.0f}", **attributes)


def _name(layer: Layer, source: Column | None, lane: float, step: int) -> Html:
    """What passes."""
    return text(_from(source) + 8, lane - 6, layer.entering, class_="name bypass-name", data_at=step)
