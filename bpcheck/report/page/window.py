"""What of a network is drawn: all of a small one; of a large one, what lies around the mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from bpcheck.report.page.layers.kinds import kind_of
from bpcheck.report.page.numbers import around
from bpcheck.report.page.replayed import Replay
from bpcheck.report.page.sketch import MOST_CELLS, Seen
from bpcheck.report.page.station import Numbers, Station, of_input
from bpcheck.report.page.steps import numbers_of, steps

__all__ = ["MOST_COLUMNS", "Window", "window"]

MOST_UNITS, MOST_SLIM, MOST_MAPS, MOST_LARGE = 6, 12, 3, 2
"""Boxes on top of one another: six units, twelve slim boxes, three maps, or two maps with more rows than ``LARGE`` fill
the height of a laptop's screen."""

LARGE = 3

MOST_COLUMNS = 4
"""Columns beside one another: four are as wide as a page, with numbers that can still be read. Sums and flattened rows
do not count; they stand close to the layer that they belong to."""


@dataclass(frozen=True, eq=False)
class Window:
    """What of a network is drawn."""

    seen: tuple[Seen, ...]  # from left to right
    left_out: tuple[str, ...]  # one sentence for whatever is not drawn
    numbers: Numbers

    @property
    def keys(self) -> frozenset[str]:
        """Of the columns that are drawn."""
        return frozenset(one.station.key for one in self.seen)


def window(found: Replay) -> Window:
    """Choose what can be read.

    Examples
    --------
    >>> from bpcheck import Case, Report, Verdict, mlp
    >>> from bpcheck.report.page.replay import replay
    >>> case = Case(mlp([9, 1]), [{"weight": [[1.0] * 9], "bias": [1.0]}], [[3.0] * 9], [[5.0]])
    >>> window(replay(Report("f", Verdict.DISAGREES, counterexample=case))).left_out
    ('of layer 1, 6 of 9 units are drawn',)
    """
    numbers = numbers_of(steps(found))
    first = found.every[0]
    every = [
        of_input(found.case.x, numbers, kind_of(first.spec).looks_at(first)),
        *(kind_of(layer.spec).station(found, layer, numbers) for layer in found.every),
    ]
    shown = _columns(found, every)
    seen = tuple(_seen(one, _focus(found, one)) for one in shown)
    left_out = [sentence for one in seen for sentence in _left_out(one)]
    if len(shown) < len(every):
        numbered = f"layers {shown[0].number} to {shown[-1].number} of {every[-1].number}"
        left_out.insert(0, f"{numbered} are drawn")
    return Window(seen, tuple(left_out), numbers)


def _columns(found: Replay, every: Sequence[Station]) -> Sequence[Station]:
    """So many columns around the mistake, with the sums and rows that belong to them."""
    places = [index for index, one in enumerate(every) if one.counts]
    if len(places) <= MOST_COLUMNS:
        return every
    culprit = None if found.culprit is None else found.culprit.key
    centre = next((n for n, index in enumerate(places) if every[index].key == culprit), len(places) - 1)
    first = min(max(0, centre - MOST_COLUMNS // 2), len(places) - MOST_COLUMNS)
    end = first + MOST_COLUMNS
    return every[places[first] : places[end] if end < len(places) else None]


def _focus(found: Replay, station: Station) -> tuple[int, ...] | None:
    """Around which entry the maps of a column are cut out: what the mistake above looks at comes first."""
    above = next((layer for layer in found.every if layer.before == station.key), None)
    if above is not None and (above is found.culprit or station.focus is None):
        return kind_of(above.spec).looks_at(above) or station.focus
    return station.focus


def _seen(station: Station, focus: tuple[int, ...] | None) -> Seen:
    count, *sizes = station.shape
    height, width = [1, *sizes][-2:] if sizes else (1, 1)
    row, column = (0, *focus[1:])[-2:] if focus else (0, 0)
    rows, columns, most = (
        around(row, height, MOST_CELLS),
        around(column, width, MOST_CELLS),
        _most(station, height),
    )
    chosen = {one for one in (station.worst, focus[0] if focus else None) if one is not None}
    others = (one for one in range(count) if one not in chosen)
    chosen.update(islice(others, max(0, most - len(chosen))))
    return Seen(station, tuple(sorted(chosen)), rows, columns)


def _most(station: Station, height: int) -> int:
    """How many boxes."""
    if station.is_flat:
        return MOST_SLIM if station.is_slim else MOST_UNITS
    return MOST_LARGE if height > LARGE else MOST_MAPS


def _left_out(one: Seen) -> list[str]:
    station, (count, *sizes) = one.station, one.station.shape
    said = []
    if len(one.items) < count:
        said.append(f"of {station.called}, {len(one.items)} of {count} {station.word}s are drawn")
    if sizes and max(sizes) > MOST_CELLS:
        names = ("rows", one.rows), ("columns", one.columns)
        parts = [f"{name} {part.start} to {part.stop - 1}" for name, part in names[-len(sizes) :]]
        said.append(f"of each map of {station.called}, {' and '.join(parts)} are drawn")
    return said
