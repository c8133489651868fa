"""The convolution: maps as small grids, a kernel on each line, and one place of it in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bpcheck.diagnosis.layers.convolution import ERROR, KERNEL_GRADIENT, PLACES_SUMMED, SENT_DOWN
from bpcheck.network.layers import LayerSpec
from bpcheck.report.page.grid import grid
from bpcheck.report.page.layers.kind import Kind
from bpcheck.report.page.layers.place import Focus, focus, indices, largest, reached, seen_by_kernel, spec_of
from bpcheck.report.page.layers.unit import activation_step, caption, delta_step, named, rows_of, worst_item
from bpcheck.report.page.markup import Html, join, scrolling, tag
from bpcheck.report.page.numbers import around, layer_name, show
from bpcheck.report.page.replayed import Layer, Replay
from bpcheck.report.page.said import came_down, gradients, listed, products, written_product
from bpcheck.report.page.sketch import CELL, CELL_HEIGHT, LINE, MOST_CELLS, Column, Sketch, edge, text
from bpcheck.report.page.station import Numbers, Station, matrix
from bpcheck.report.page.step import Step
from bpcheck.report.text import indexed

__all__ = ["ConvolutionKind"]

MOST_TABLES = 3
"""Maps whose products are written out."""

MOST_TERMS = 6
"""Products that are written in a line."""

BEFORE, BEHIND = 56, 30
"""Pixels of the lines that lead to a kernel, and on to the map."""

BETWEEN = 12
"""Pixels between two kernels."""


class ConvolutionKind(Kind):
    """A kernel that moves over the maps below."""

    legend = (
        "On a line between two maps: the kernel. The blue frames mark the numbers under the kernel at one of its places, "
        "and the number that they give; the orange ones, on the way down, a number of a map and the δ that come back to it."
    )

    def weights(self, spec: LayerSpec) -> str:
        """W_ocq."""
        taps = "u" if spec.kind == "conv1d" else "u_v"
        return f"Wl_o_c_{taps} is the weight at place {taps.replace('_', ', ')} of the kernel from map c to map o of layer l"

    def forward(self, found: Replay, layer: Layer) -> Sequence[Step]:
        """z, and a where σ is not the identity."""
        n, names = layer.number, _Letters(layer)
        z = Step(
            "z", n, f"{names.of('z')} = {layer_name('b', n)}[o] + Σ {names.weight} {names.seen}",
            f"At each place {names.place} the kernel lies over a part of the maps c below: the numbers under it, each times "
            "its weight, are added up, and the bias comes on top.",
            key=layer.key, of_example=lambda example: _forward_said(layer, example),
        )  # fmt: skip
        if layer.activation == "identity":
            return (z,)
        return z, activation_step(
            layer, "The activation function turns every z of a map into what it sends on, a."
        )

    def backward(self, found: Replay, layer: Layer, above: str, inner: str) -> Sequence[Step]:
        """δ, the gradients, and what comes down to the maps below if anybody needs it."""
        n, names = layer.number, _Letters(layer)
        examples = " and over the examples" if found.case.batch > 1 else ""
        gradient = Step(
            "gradient", n,
            f"{named(PLACES_SUMMED, KERNEL_GRADIENT)}∂C/∂{layer_name('b', n)}[o] = Σ {names.of('δ')},   "
            f"∂C/∂{names.weight} = Σ {names.of('δ')} {names.seen}",
            f"One bias and one kernel serve all places {names.place}: their gradients are sums over the places{examples}.",
            layer.has_wrong_gradient, layer.key,
            of_example=lambda example: _gradient_said(found, layer, example), of_all=gradients(layer),
        )  # fmt: skip
        meaning = "δ is ∂C/∂z: what comes down to each number of a map, times the slope σ'."
        delta = delta_step(found, layer, above, named(ERROR), meaning)
        if not layer.has_below:
            return delta, gradient
        down = Step(
            "down", n,
            f"{named(SENT_DOWN)}{layer.below_of(names.entering)} = Σ {names.weight} {names.of('δ')}   where {names.meeting}",
            "A number of a map below lies under the kernel at several places, and in every map o. What comes back to it is "
            "the sum of all weights that met it, each times the δ of its place; one such sum is framed.",
            layer.below.is_wrong, layer.key, of_example=lambda example: _down_said(found, layer, example),
        )  # fmt: skip
        return delta, gradient, down

    def station(self, found: Replay, layer: Layer, numbers: Numbers) -> Station:
        """A box of grids for every map."""
        n, spec, at = layer.number, spec_of(layer), focus(layer)
        room = len(_kernel_part(layer)[0]) * CELL_HEIGHT + LINE + BETWEEN
        return Station(
            layer.key, n, f"layer {n}", (f"layer {n}", f"{spec.kind}, {layer.activation}"), layer.a.shape[1:],
            rows_of(found, layer, numbers), caption(layer, numbers), worst_item(layer), (at.o, *at.place), room=room,
            leaving="a" if ("a", layer.key) in numbers else "z = a",
        )  # fmt: skip

    def looks_at(self, layer: Layer) -> tuple[int, ...] | None:
        """The middle of what lies under the kernel."""
        at = focus(layer)
        return (at.c, *(one[len(one) // 2] for one in indices(layer, at.place)))

    def gap(self, layer: Layer) -> int:
        """Room for a kernel and its lines."""
        return BEFORE + BEHIND + len(_kernel_part(layer)[1]) * CELL

    def joins(self, found: Replay, layer: Layer, sketch: Sketch) -> Sequence[Html]:
        """A kernel on the way from every map to every map."""
        own, below = sketch.own(layer), sketch.entering(layer)
        maps = range(len(layer.params["weight"][0])) if below is None else below.items
        return [part for o in own.items for part in _kernels(layer, sketch, o, maps)]

    def marks(self, layer: Layer, sketch: Sketch) -> Sequence[Html | None]:
        """The numbers under the kernel at one place, and the number that comes of them; on the way back, what adds up."""
        return [*_frames(layer, sketch), *(_returned(layer, sketch) if layer.has_below else ())]


class _Letters:
    """The names of a convolution's indices in formulas: o and c for maps, i, j for places, u, v within the kernel."""

    def __init__(self, layer: Layer) -> None:
        spec = spec_of(layer)
        places, taps, points = "ij"[: spec.axes], "uv"[: spec.axes], "xy"[: spec.axes]
        self.number = layer.number
        self.place = places if spec.axes == 1 else f"({', '.join(places)})"
        self._places = ", ".join(places)
        self.weight = f"{layer_name('W', layer.number)}[o, c, {', '.join(taps)}]"
        sums = [
            f"{s if s > 1 else ''}{i} + {u}{f' − {pad}' if pad else ''}"
            for i, u, s, pad in zip(places, taps, *spec.per_axis[1:], strict=True)
        ]
        self.seen = f"{layer.entering}[c, {', '.join(sums)}]"
        self.entering = f"{layer.entering}[c, {', '.join(points)}]"
        self.meeting = " and ".join(f"{one} = {x}" for one, x in zip(sums, points, strict=True))

    def of(self, letter: str) -> str:
        """z[o, i, j]."""
        return f"{layer_name(letter, self.number)}[o, {self._places}]"


def _forward_said(layer: Layer, example: int) -> Html:
    """The product sum at one place."""
    at, n = focus(layer), layer.number
    kernels, bias = layer.params["weight"][at.o], float(layer.params["bias"][at.o])
    under = seen_by_kernel(layer, example)[(slice(None), *at.place)]
    sums = [float(np.sum(one * kernel)) for one, kernel in zip(under, kernels, strict=True)]
    shown = sorted(
        {at.c, *range(len(kernels))[:MOST_TABLES]} - ({MOST_TABLES - 1} if at.c >= MOST_TABLES else set())
    )
    tables = [
        products(f"{layer.entering}, map {c + 1}, under the kernel · weight", under[c], kernels[c])
        for c in shown
    ]
    terms = [f"{show(bias)} (bias)", *(f"{show(sums[c])} (map {c + 1})" for c in shown)]
    others = [total for c, total in enumerate(sums) if c not in shown]
    if others:
        terms.append(f"{show(sum(others))} ({len(others)} more maps)")
    name = f"{layer_name('z', n)}{indexed((at.o, *at.place))}"
    said = tag("p", f"{name} = {_added(terms)} = {show(float(layer.z[(example, at.o, *at.place)]))}")
    return join(
        listed(layer_name("z", n), layer.z[example]),
        scrolling(f"The place of the kernel that gives {name}", *tables, class_="tensor scroll"),
        said,
    )


def _gradient_said(found: Replay, layer: Layer, example: int) -> Html:
    """The product sum of one entry of the kernel, or the sum of one bias."""
    at, n = focus(layer), layer.number
    delta, architecture = layer.delta.right[example, at.o], found.case.architecture
    only_bias = layer.wrong_gradient("bias").any() and not layer.wrong_gradient("weight").any()
    if only_bias:
        name, letter, summands = f"∂C/∂{layer_name('b', n)}{indexed((at.o,))}", "δ", delta
        shown: Html = listed(f"{layer_name('δ', n)}, map {at.o + 1}", delta[None])
        penalised = architecture.penalize_bias
    else:
        name, letter = f"∂C/∂{layer_name('W', n)}{indexed(at.entry)}", "δ · a"
        under = seen_by_kernel(layer, example)[(at.c, ..., *at.tap)]
        summands, penalised = delta * under, True
        caption_ = (
            f"for every place: {layer_name('δ', n)} of map {at.o + 1} · {layer.entering} of map {at.c + 1}"
        )
        shown = scrolling(
            f"The sum that gives {name}", products(caption_, delta, under), class_="tensor scroll"
        )
    share = " from this example" if found.case.batch > 1 else ""
    penalty = ", before the penalty" if penalised and (architecture.l1 or architecture.l2) else ""
    return join(shown, tag("p", f"{name}: Σ {letter} = {show(float(np.sum(summands)))}{share}{penalty}"))


def _down_said(found: Replay, layer: Layer, example: int) -> Html:
    """The product sum at one number of a map below."""
    c, *at = largest(layer, example)
    weight, delta = layer.params["weight"], layer.delta.right[example]
    terms = [
        written_product(float(weight[(o, c, *tap)]), float(delta[(o, *place)]))
        for o in range(len(weight))
        for place, tap in reached(layer, tuple(at))
    ]
    more = [f"{len(terms) - MOST_TERMS} more products"] if len(terms) > MOST_TERMS else []
    name, total = (
        layer.below_of(layer.entering + indexed((c, *at))),
        show(float(layer.below.right[(example, c, *at)])),
    )
    said = f"{name} = {_added(terms[:MOST_TERMS] + more)} = {total}"
    return join(came_down(found, layer.below_name, layer.below, example), tag("p", said))


def _added(terms: Sequence[str]) -> str:
    return " + ".join(terms).replace("+ −", "− ")


def _kernel_part(layer: Layer) -> tuple[range, range]:
    """The rows and columns of a kernel that are drawn."""
    shape = matrix(layer.params["weight"][0, 0]).shape
    tap = (0, *focus(layer).tap)[-2:]
    rows, columns = (around(place, size, MOST_CELLS) for place, size in zip(tap, shape, strict=True))
    return rows, columns


def _kernels(layer: Layer, sketch: Sketch, o: int, maps: Sequence[int]) -> list[Html]:
    """The kernels that lead to one map, one under the other."""
    own, below = sketch.own(layer), sketch.entering(layer)
    rows, columns = _kernel_part(layer)
    width, height = len(columns) * CELL, len(rows) * CELL_HEIGHT
    left, pitch = own.left - BEHIND - width, height + LINE + BETWEEN
    forward, backward = sketch.numbers["z", layer.key], sketch.numbers["gradient", layer.key]
    wrong, drawn = layer.wrong_gradient("weight"), []
    for row, c in enumerate(maps):
        y = own.middles[o] + (row - (len(maps) - 1) / 2) * pitch
        if below is not None:
            drawn.append(edge(below.exit(c), (left, y), forward))
        drawn.append(edge((left + width, y), own.entry(o), forward))
        label = layer_name("W", layer.number) + (f" from map {c + 1}" if len(maps) > 1 else "")
        drawn.append(
            text(left + width / 2, y - height / 2 - 5, label, class_="middle kernel", data_at=forward)
        )
        cut = (slice(rows.start, rows.stop), slice(columns.start, columns.stop))
        values, marks = matrix(layer.params["weight"][o, c])[cut], matrix(wrong[o, c])[cut]
        drawn.append(grid(values, marks, left, y - height / 2, step=forward, wrong_step=backward))
    return drawn


def _frames(layer: Layer, sketch: Sketch) -> list[Html | None]:
    """What lies under the kernel at one place, and the number that comes of it."""
    at, own, below = focus(layer), sketch.own(layer), sketch.entering(layer)
    attributes = {"class_": "window", "data_during": sketch.numbers["z", layer.key]}
    first = own.listed(at.o)[0].name
    drawn = [own.frame(at.o, first, _one(at.place), **attributes)] if at.o in own.items else []
    if below is None:
        return drawn
    ranges, leaving = [range(1), *indices(layer, at.place)][-2:], below.station.leaving
    drawn += [below.frame(c, leaving, ranges, **attributes) for c in below.items]
    return drawn + _met(layer, sketch, below, at)


def _met(layer: Layer, sketch: Sketch, below: Column, at: Focus) -> list[Html | None]:
    """The numbers that one entry of the kernel meets: they make its gradient."""
    if at.c not in below.items:
        return []
    attributes = {"class_": "window moving", "data_during": sketch.numbers["gradient", layer.key]}
    met = (
        tuple(one[q] for one, q in zip(indices(layer, place), at.tap, strict=True))
        for place in np.ndindex(*layer.z.shape[2:])
    )
    return [below.frame(at.c, below.station.leaving, _one(place), **attributes) for place in met]


def _returned(layer: Layer, sketch: Sketch) -> list[Html | None]:
    """A number of a map below, and the δ that come back to it."""
    own, below = sketch.own(layer), sketch.entering(layer)
    c, *at = largest(layer, own.example)
    attributes = {"class_": "back moving", "data_during": sketch.numbers["down", layer.key]}
    places = [_one(place) for place, _ in reached(layer, tuple(at))]
    drawn = [
        own.frame(o, row.name, place, **attributes)
        for o in own.items
        for row in own.listed(o)
        if row.name in ("δ", "δ right")
        for place in places
    ]
    if below is None or c not in below.items:
        return drawn
    return [*drawn, below.frame(c, below.station.leaving, _one(tuple(at)), **attributes)]


def _one(place: tuple[int, ...]) -> list[range]:
    """A single cell."""
    return [range(i, i + 1) for i in (0, *place)[-2:]]
