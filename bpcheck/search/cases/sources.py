"""Where cases come from: random networks of one kind or any, a caller's own, a strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.search.cases.sample import random_architecture, random_case, stratum
from bpcheck.search.judging import Judge
from bpcheck.strategies.draw import drawer, is_strategy

__all__ = ["Pins", "Source", "given", "listed", "pinned", "resolvable_cases", "templated"]

Source: TypeAlias = Callable[[int], Case]
"""The case of the index-th example."""

# A probe whose right answer is itself lost in rounding is drawn again, this often at most.
REDRAWS = 20


@dataclass(frozen=True)
class Pins:
    """What the command line can fix besides what compare() takes.

    Attributes
    ----------
    template : Architecture or None
        Activation, output, loss, reduction; its widths do not count.
    widths : tuple of int or None
    batch : int or None
    """

    template: Architecture | None = None
    widths: tuple[int, ...] | None = None
    batch: int | None = None


def given(cases: list[Case]) -> Source:
    """The caller's cases, round and round."""
    return lambda index: cases[index % len(cases)]


def templated(
    rng: np.random.Generator,
    pins: Pins,
    template: Architecture | None,
    depths: tuple[int, ...] = (1, 2, 3, 4),
) -> Source:
    """Random widths and batches (unless pinned) for one kind of network, or for any kind."""

    def make(index: int) -> Case:
        kind = stratum(index)
        architecture = random_architecture(rng, kind, template=template, depths=depths, widths=pins.widths)
        return random_case(rng, architecture, kind, batch=pins.batch)

    return make


def listed(architectures: Any) -> list[Architecture] | None:
    """The caller's architectures, one or several; None for a strategy, of which nobody knows what it draws.

    Raises
    ------
    InputError
        If they are something else.
    """
    if is_strategy(architectures):
        return None
    several = [architectures] if isinstance(architectures, Architecture) else architectures
    found = list(several) if isinstance(several, Iterable) else []
    if not found or not all(isinstance(a, Architecture) for a in found):
        raise InputError(
            f"architectures is {architectures!r:.80}; give bpcheck.mlp([...]), a list of such, or a "
            "Hypothesis strategy of them."
        )
    return found


def pinned(rng: np.random.Generator, architectures: Any) -> Source:
    """Random cases of the caller's architectures: one, a list, or a Hypothesis strategy.

    Raises
    ------
    InputError
        If they are something else.
    """
    several = listed(architectures)
    if several is not None:
        return lambda index: random_case(rng, several[index % len(several)], stratum(index // len(several)))
    draw = drawer(architectures)

    def make(index: int) -> Case:
        drawn = draw(rng)
        if isinstance(drawn, Case):
            return drawn
        if not isinstance(drawn, Architecture):
            raise InputError(f"the strategy drew {drawn!r:.80}; it must draw bpcheck.Architecture.")
        return random_case(rng, drawn, stratum(index))

    return make


def resolvable_cases(source: Source, judge: Judge) -> Iterator[Case]:
    """Cases without end; those whose right answer is lost in rounding are drawn again."""
    index = 0
    while True:
        for _ in range(REDRAWS):
            case = source(index)
            if judge.resolvable(case):
                break
        yield case
        index += 1
