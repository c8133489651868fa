"""How exact a claimed gradient can be: the rounding of the subject's own arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bpcheck import tree
from bpcheck.check.contract import Asked, HungError
from bpcheck.check.problem import Problem
from bpcheck.errors import SubjectError
from bpcheck.numeric.noise import SAMPLES, noise_levels
from bpcheck.tree import FloatArray, Path, rms

__all__ = ["Claim"]

CONFIDENCE = 6.0
"""Standard deviations of a claim's measured noise in a bound, as for the complex step, which measures
its error in the same way (benchmarks/numeric_coverage.py: worst seen 4.1)."""

FLOOR = 8.0
"""Least error in units of u: a saturated unit rounds without a trace (as for the complex step, measured there:
saturated networks need 5)."""

SPACING = 2.0**-1.5
"""Distance of the points, in units of √u: second differences of the gradient itself, SPACING² u g'', then
stay below its rounding while every operand moves by thousands of units in the last place (2^−28 for float64,
as for the complex step)."""

ORDERS = slice(1, 6)
"""Orders 2 … 6 of the differences, the largest, as for the complex step."""


SHORT = 2.0**16
"""Numbers of 16 binary digits or fewer (0, 1, ½, 0.75, small integers) are short in every format: only longer ones
that all fit into float32 tell that they were rounded to it. (One float64 number fits by accident with 2^−29.)"""


def _stored_roundoff(gradient: Mapping[Path, FloatArray]) -> float:
    """U of float32 if the claim holds float32 numbers in arrays of float64, else 0."""
    values = np.concatenate([array.ravel() for array in gradient.values()] or [np.zeros(0)])
    with np.errstate(over="ignore"):
        single = values.astype(np.float32).astype(float)
    fraction, _ = np.frexp(values)
    long = np.modf(fraction * SHORT)[0] != 0.0
    return 2.0**-24 if long.any() and np.array_equal(single, values) else 0.0


class Claim:
    """The claimed gradient with bounds on its own rounding.

    Two bounds are known. *A priori*: every sum has at most as many terms as numbers went in. It costs
    nothing and is far too wide for large networks in float32. *Measured*: the claim is asked for at nine
    points next to one another, where all roundings happen anew (nine calls, once).
    """

    def __init__(self, problem: Problem, asked: Asked) -> None:
        self.problem = problem
        self.gradient = asked.gradient
        self.extra = asked.error
        self.roundoff = max(asked.precision.roundoff, problem.roundoff, _stored_roundoff(asked.gradient))
        self._measured: dict[Path, FloatArray] = {}
        self.numbers = problem.count + sum(
            leaf.size
            for argument in problem.args
            for _, leaf in tree.leaves(argument)
            if isinstance(leaf, np.ndarray)
        )

    def measure(self) -> None:
        """Ask for the nine points now, before a time limit strikes."""
        for path in self.gradient:
            self._points(path)

    def a_priori(self, path: Path) -> FloatArray:
        """Bound on the rounding of each entry."""
        largest = float(np.max(abs(self.gradient[path]), initial=0.0))
        return np.broadcast_to(
            self.numbers * self.roundoff * largest + self.extra[path], self.gradient[path].shape
        )

    def _points(self, path: Path) -> FloatArray | None:
        try:
            claims = self.problem.nearby(SAMPLES, SPACING * math.sqrt(self.roundoff))
        except (SubjectError, HungError):  # a gradient that only works at θ itself, or no time for nine more
            return None
        return np.array([claim[path] for claim in claims])

    def measured(self, path: Path) -> FloatArray:
        """Bound on the rounding of each entry; infinite where it cannot be measured."""
        if path not in self._measured:
            self._measured[path] = self._measure(path)
        return self._measured[path]

    def _measure(self, path: Path) -> FloatArray:
        claim = self.gradient[path]
        values = self._points(path)
        if values is None or not np.isfinite(values).all():
            return np.full(claim.shape, np.inf)
        flat = values.reshape(SAMPLES, -1)
        # levels of each entry are few numbers: those of the whole tensor keep a lucky one from looking exact
        levels = np.array([noise_levels(column)[ORDERS].max() for column in flat.T]).reshape(claim.shape)
        typical = math.sqrt(float(np.mean(levels**2))) if levels.size else 0.0
        floor = FLOOR * self.roundoff * float(np.max(abs(claim), initial=0.0))
        return np.asarray(CONFIDENCE * np.maximum(levels, typical) + floor + self.extra[path])

    def along(self, path: Path, direction: FloatArray) -> float:
        """Bound on the rounding of ⟨claim, direction⟩: measured, or a priori where that is narrower."""
        size = abs(direction)
        worst = float(np.sum(self.a_priori(path) * size))
        noise = self.noise_along(path, direction)
        floor = FLOOR * self.roundoff * rms(self.gradient[path] * direction) * math.sqrt(direction.size)
        measured = CONFIDENCE * noise + floor + float(np.sum(self.extra[path] * size))
        return min(worst, measured)

    def noise_along(self, path: Path, direction: FloatArray) -> float:
        """Standard deviation of the noise in ⟨claim, direction⟩; infinite where it cannot be measured."""
        values = self._points(path)
        if values is None:
            return math.inf
        projected = np.array([float(np.sum(value * direction)) for value in values])
        if not np.isfinite(projected).all():
            return math.inf
        return float(noise_levels(projected)[ORDERS].max())
