r"""A Richardson table and what speaks against each of its entries.

An entry is judged by what its neighbours and all finer rungs say, never by its own elegance, and pays for the
noise that its weights magnify. The smallest bar wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.tree import FloatArray

__all__ = ["CHANGE", "CONFIDENCE", "DIVERGING", "Judgement", "best_entry", "doubts", "is_growing"]

CONFIDENCE = 4.0
"""Standard deviations of propagated noise in the bar (tuned on MLP losses, coverage in benchmarks/numeric_coverage.py)."""

CHANGE = 6.0
"""Standard deviations from which a difference between rungs is not noise (tuned on MLP losses)."""

DIVERGING = 1.25
"""Growth a rung of D or S from which no derivative is in sight: 2 for a step, √2 for √|t|."""

REACH = 2
"""Rungs on either side that a rough function is held against."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """The table of a ladder and the entry with the smallest bar.

    Attributes
    ----------
    steps : (rungs,) array
        h, the coarsest first.
    differences, difference_noise : (rungs,) arrays
        The plain quotients D and their standard deviations.
    table, noise, apart, truncation : (rungs, columns) arrays
        Entries, their standard deviations, differences to the neighbours, and the largest of what
        speaks against them. NaN where there is no entry.
    rung, column : int
        The entry chosen.
    growing : bool
        Whether no derivative is in sight.
    converging : float
        Smallest ratio of successive changes of D that counts as smooth.
    """

    steps: FloatArray
    differences: FloatArray
    difference_noise: FloatArray
    table: FloatArray
    noise: FloatArray
    apart: FloatArray
    truncation: FloatArray
    rung: int
    column: int
    growing: bool
    converging: float

    @property
    def bar(self) -> float:
        """Bound on the error of the chosen entry."""
        entry = self.rung, self.column
        return float(self.truncation[entry] + CONFIDENCE * self.noise[entry])

    @property
    def best_noise(self) -> float:
        """Standard deviation of the noise in the chosen entry."""
        return float(self.noise[self.rung, self.column])

    @property
    def has_kink(self) -> bool:
        """Whether the slope clearly jumps at θ."""
        return False

    @property
    def settled(self) -> bool:
        """Whether nothing odd is seen."""
        return self.regime != "rough" and not self.has_kink

    @property
    def scatter(self) -> float:
        """How far the rungs around the chosen one are from it, noise or not.

        Where neighbours differ by more than the noise explains, two that agree mean little.
        """
        value = self.table[self.rung, self.column]
        near = self.table[max(0, self.rung - REACH) : self.rung + REACH + 1, : self.column + 1]
        return float(np.nanmax(np.nanmin(abs(near - value), axis=1)))

    @property
    def calm(self) -> bool:
        """Whether the finest rungs change by noise only, or less and less.

        Coarse rungs may agree by aliasing (sin(ωh) = 0 at one h is 0 at 2h, 4h, …); the finer ones
        then run wild, and may not be left alone however narrow the bar.
        """
        change, seen = self._changes()
        return all(not seen[k] or change[k - 1] >= self.converging * change[k] for k in (-1, -2))

    def _changes(self) -> tuple[FloatArray, Any]:
        change = abs(np.diff(self.differences))
        return change, change > CHANGE * np.hypot(self.difference_noise[1:], self.difference_noise[:-1])

    @property
    def regime(self) -> str:
        """``smooth``, ``noise`` or ``rough`` (tuned on MLP losses)."""
        change, seen = self._changes()
        # the run of changes that are not noise, from the coarsest rung on
        length = len(seen) if seen.all() else int(np.argmin(seen))
        if length < 2:
            return "rough" if np.count_nonzero(seen) >= 2 else "noise"
        last = change[max(0, length - 3) : length]
        return "smooth" if (last[:-1] >= self.converging * last[1:]).all() else "rough"


def doubts(
    table: FloatArray, noise: FloatArray, extra: FloatArray | None, shrink: float
) -> tuple[FloatArray, FloatArray]:
    """Differences to the neighbours, and E: the largest of what speaks against an entry (B).

    Parameters
    ----------
    table, noise : (rungs, columns) arrays
    extra : (rungs, columns) array, optional
        What speaks against an entry besides, such as a kink inside the rung.
    shrink : float
        By how much an error of one more column shrinks from a rung to the next: 4 where powers of h² are
        removed, 2 for powers of h.

    Returns
    -------
    apart, against : (rungs, columns) arrays
    """
    rows, columns = table.shape
    against = np.zeros_like(table)
    in_row = abs(np.diff(table, axis=1))
    against[:, 1:] = np.fmax(against[:, 1:], in_row)
    in_column = abs(np.diff(table, axis=0))
    against[1:] = np.fmax(against[1:], in_column)
    for q in range(1, columns):  # the top of a column has no neighbour above it: the one before it
        against[q, q] = max(against[q, q], abs(table[q, q] - table[q - 1, q - 1]))
    local = against.copy()
    # the next rung's, and the coarser rung's / 4^q: two neighbours may agree by accident, three do not
    against[:-1] = np.fmax(against[:-1], in_column)
    against[1:] = np.fmax(against[1:], local[:-1] / shrink ** np.arange(columns))
    if extra is not None:
        against = np.fmax(against, extra)
    # what finer rungs say, each by its best entry, and how sure it is
    sure = np.where(np.isnan(table), np.inf, against + CONFIDENCE * noise)
    best = np.argmin(sure, axis=1)
    rung = np.arange(rows)
    finer, doubt = table[rung, best], sure[rung, best]
    for j in range(rows - 1):
        gap = abs(table[j][:, None] - finer[None, j + 1 :]) - doubt[None, j + 1 :]
        against[j] = np.fmax(against[j], gap.max(axis=1))
    against[0] = np.inf  # the coarsest rung has nothing to be compared with
    return local, against


def best_entry(table: FloatArray, noise: FloatArray, truncation: FloatArray) -> tuple[int, int]:
    """Rung and column of the smallest bar."""
    bars = np.where(np.isnan(table), np.inf, truncation + CONFIDENCE * noise)
    rung, column = np.unravel_index(int(np.argmin(bars)), bars.shape)
    return int(rung), int(column)


def is_growing(size: FloatArray, noise: FloatArray) -> bool:
    """Whether the finest rungs that rise above the noise grow without end."""
    seen = np.flatnonzero(size > CHANGE * noise)[-5:]
    if len(seen) < 5 or seen[-1] - seen[0] != 4:
        return False
    return bool((size[seen[1:]] >= DIVERGING * size[seen[:-1]]).all())
