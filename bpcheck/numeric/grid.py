"""The grid on which all values of a function lie, if they are rounded to one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Grid"]

LEVELS = 4
"""Three gaps: that one is a multiple of itself says nothing, and that two others are by chance has a probability of 4e-6
(``OFF_MULTIPLE`` on either side of a whole number, squared)."""

MOST_LEVELS = 1024
"""A grid on which more values than these were met is fine enough to be measured as noise."""

OFF_MULTIPLE = 2.0**-10
"""How far from a whole number the ratio of two gaps may be: values are rounded themselves, and a grid that is less than
2^10 roundings wide is not told from them."""


@dataclass(eq=False)
class Grid:
    """The values that were met, as long as there are few.

    Attributes
    ----------
    count : int
        How often a value was met.
    levels : set of float
        The different ones.

    Examples
    --------
    >>> grid = Grid()
    >>> for t in np.linspace(0.0, 1.0, 50):
    ...     grid.add(round(8.0 * math.sin(t)) / 8.0)
    >>> grid.quantum
    0.125
    """

    count: int = 0
    levels: set[float] = field(default_factory=set)

    def add(self, value: float) -> None:
        """Take note of a value."""
        if math.isfinite(value):
            self.count += 1
            if len(self.levels) <= MOST_LEVELS:
                self.levels.add(value)

    @property
    def quantum(self) -> float:
        """Distance of neighbours on the grid; 0 where none is seen.

        A grid is seen where most values were met before (those of a smooth function differ wherever it is asked)
        and all gaps between them are multiples of the smallest.
        """
        if not LEVELS <= len(self.levels) <= MOST_LEVELS or 2 * len(self.levels) > self.count:
            return 0.0
        gaps = np.diff(np.sort(np.array(list(self.levels))))
        multiples = gaps / gaps.min()
        return float(gaps.min()) if (abs(multiples - np.round(multiples)) <= OFF_MULTIPLE).all() else 0.0

    @property
    def noise(self) -> float:
        """Standard deviation of rounding to the grid: uniform in ± half its distance."""
        return self.quantum / math.sqrt(12.0)
