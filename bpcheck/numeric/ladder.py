"""A ladder of steps: φ at h, h/2, h/4, … on one side of θ or on both, and what the arithmetic does to it."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, field

import numpy as np

from bpcheck.numeric.scheme import Phi
from bpcheck.tree import FloatArray

__all__ = ["FIRST_STEP", "HUGE", "Ladder", "sensitivity"]

FIRST_STEP = 1.0 - math.sqrt(0.5)
"""0.29. Five rungs from here reach a truncation (Π h_j)² ≈ 5e-12 times φ^(11)/11!, where the noise of
float64 lies for a function whose Taylor series converges up to |t| = 1. Irrational: a power of
two would sample sin(2πkt) at its zeros only."""

STORED = 2.0
"""Noise of φ(±h) is at least u·|φ(±h)|, for the result is rounded, and this many u·|φ'(±h) − φ'(0)|, for
θ + h·v is rounded before f sees it and so is what f computes first: a relative error u of θ is one of
u in t. What φ'(0) does is in σ already; at a perfect fit (a sum of squares that is 0 at θ) φ'(0) = 0, and
the noise grows with h."""

HUGE = 1e300
"""Values beyond count as infinite: their differences would overflow."""


@dataclass
class Ladder:
    """Rungs evaluated so far, the coarsest first.

    Attributes
    ----------
    phi : callable
    roundoff : float
    sides : tuple of float
        +1 and −1, or one of them: where φ is evaluated.
    center : float
        φ(0).
    evaluations : int
    steps : list of float
    values : list of lists
        For each side, φ at the rungs.
    growth : float
        Noise of φ(±h) per unit of h, where it grows away from θ.
    seen : set of float
        All values so far.
    """

    phi: Phi
    roundoff: float
    sides: tuple[float, ...] = (1.0, -1.0)
    center: float = math.nan
    evaluations: int = 0
    steps: list[float] = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)
    growth: float = 0.0
    seen: set[float] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.values = [[] for _ in self.sides]
        self.center = self.at(0.0)

    def at(self, t: float) -> float:
        """φ(t), counted; NaN where it is not finite."""
        self.evaluations += 1
        value = float(self.phi(t))
        self.seen.add(value)
        return value if abs(value) < HUGE else math.nan

    def rung(self, h: float) -> list[float] | None:
        """φ at h on every side, or None if one of them is not finite."""
        found = [self.at(side * h) for side in self.sides]
        return None if any(map(math.isnan, found)) else found

    def descend(self, h: float) -> None:
        """Add a finer rung; where φ has no value, forget the coarser ones, they straddle a hole."""
        found = self.rung(h)
        if found is None:
            self.steps, self.values = [], [[] for _ in self.sides]
            return
        self.steps.append(h)
        for values, value in zip(self.values, found, strict=True):
            values.append(value)

    def climb(self, h: float) -> bool:
        """Add a coarser rung; False if φ has no value there."""
        found = self.rung(h)
        if found is None:
            return False
        self.steps.insert(0, h)
        for values, value in zip(self.values, found, strict=True):
            values.insert(0, value)
        return True

    def is_still(self, rung: int) -> bool:
        """Whether φ did not move at all at ±h."""
        return all(values[rung] == self.center for values in self.values)

    def rises(self, rung: int, factor: float) -> bool:
        """Whether φ at ±h is, on every side alike, more than so many times φ(0)."""
        found = [values[rung] for values in self.values]
        return min(map(abs, found)) > factor * abs(self.center) and min(found) * max(found) > 0.0

    def one_side(self, index: int) -> Ladder:
        """The rungs of one side alone."""
        part = copy(self)
        part.sides, part.values = (self.sides[index],), [self.values[index]]
        return part

    def noise(self, sigma: float) -> FloatArray:
        """Standard deviation of the noise in φ(±h), at least ``sigma``."""
        h, sides = self.arrays()
        least = np.maximum(sigma, self.growth * h)
        return np.asarray(np.maximum(least, self.roundoff * sensitivity(h, sides)))

    def arrays(self) -> tuple[FloatArray, list[FloatArray]]:
        """Steps and, for each side, values."""
        return np.array(self.steps), [np.array(values) for values in self.values]


def sensitivity(h: FloatArray, sides: list[FloatArray]) -> FloatArray:
    """By how much a relative error 1 of result and parameters would change φ(±h), the larger of the sides."""
    slopes = []
    for side in sides:
        # between a rung and the next; not between the finest and φ(0), where there may be a jump
        between = np.diff(side) / np.diff(h)
        slopes.append(abs(np.append(between, between[-1]) - between[-1]))
    size = np.maximum.reduce([abs(side) for side in sides])
    return np.asarray(np.maximum(size, STORED * np.maximum.reduce(slopes)))
