"""One reading: the derivative along one line through one tensor, by one of three methods, with its error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bpcheck import tree
from bpcheck.check.problem import Problem
from bpcheck.errors import InputError, SubjectError
from bpcheck.numeric import Central, complex_derivative, line_integral
from bpcheck.numeric.adaptive import OUTWARD
from bpcheck.numeric.line_integral import FIRST_STEP
from bpcheck.numeric.noise import UNIT_ROUNDOFF
from bpcheck.result import Estimate
from bpcheck.tree import FloatArray, Path

__all__ = ["SECOND_STEP", "Reading", "by_complex", "by_differences", "by_line", "exact"]

SECOND_STEP = 0.7
"""First step of a second measurement, against the first: near 1/√2, so that all rungs, halvings of one another, lie
midway between those of the first."""


@dataclass(frozen=True)
class Reading:
    """What was measured along one line.

    Attributes
    ----------
    value, error : float
        The derivative along the line and a bound on its error; ``error`` is infinite where nothing
        can be said.
    half : float
        Half-width of the interval between the one-sided derivatives, where a kink was seen; ``value``
        is its middle then.
    truncation, rounding : float
        The parts of ``error``.
    regime : str
        As :class:`~bpcheck.result.Estimate` has it.
    method : {"central", "line", "complex"}
    """

    value: float
    error: float
    half: float = 0.0
    truncation: float = 0.0
    rounding: float = 0.0
    regime: str = "smooth"
    method: str = "central"

    @property
    def is_table(self) -> bool:
        """Whether the loss stood still and then jumped, as a table of values does."""
        return self.value == 0.0 and not math.isfinite(self.error)


def _reading(estimate: Estimate) -> Reading:
    if estimate.interval is None:
        return Reading(
            estimate.value,
            estimate.error,
            0.0,
            estimate.truncation,
            estimate.rounding,
            estimate.regime,
        )
    low, high = estimate.interval
    half = (high - low) / 2.0
    # the estimate's error reaches from the middle past both ends: what exceeds the half is uncertainty
    return Reading(
        (low + high) / 2.0,
        max(estimate.error - half, 0.0),
        half,
        max(estimate.truncation - half, 0.0),
        estimate.rounding,
        estimate.regime,
    )


def by_differences(
    problem: Problem,
    path: Path,
    direction: FloatArray,
    *,
    noise: float | None = None,
    shrunk: float = 1.0,
    outward: tuple[float, ...] = OUTWARD,
) -> Reading:
    """Central differences of the loss.

    For a second measurement, ``shrunk`` moves every step, and ``outward`` says how far a loss that stands still is
    followed.
    """
    scheme = Central(
        noise=problem.noise_of(path) if noise is None else noise,
        first_step=shrunk * Central().first_step,
        roundoff=problem.roundoff,
        may_be_coarse=problem.is_coarse,
        outward=outward,
    )
    along = problem.along(path, direction)

    def phi(t: float) -> float:
        try:
            return along(t)
        except (SubjectError, InputError):
            if abs(t) <= scheme.first_step:
                raise
            return math.nan  # so far out a loss may be undefined

    return _reading(scheme(phi if outward is not OUTWARD else along))


def by_line(
    problem: Problem,
    path: Path,
    direction: FloatArray,
    actual: float,
    slope_noise: float,
    *,
    noise: float | None = None,
    shrunk: float = 1.0,
) -> Reading | None:
    """The line-integral test: the value that the claim should have had, on average over the segment.

    None if the claim cannot be asked, or has no value, at other points. ``shrunk`` is for a second
    measurement, as for differences.
    """
    try:
        test = line_integral(
            problem.along(path, direction),
            problem.slope(path, direction),
            noise=problem.noise_of(path) if noise is None else noise,
            slope_noise=slope_noise,
            roundoff=problem.roundoff,
            first_step=shrunk * FIRST_STEP,
        )
    except (SubjectError, InputError):  # a loss or claim that only works near θ
        return None
    if not math.isfinite(test.error):
        return None
    return Reading(actual + test.residual, test.error, 0.0, test.quadrature, test.rounding, "smooth", "line")


def by_complex(problem: Problem, path: Path, direction: FloatArray, rng: np.random.Generator) -> Reading:
    """The complex step along the line.

    Raises
    ------
    InputError, SubjectError
        If the loss does not take complex parameters, or is not analytic as written.
    """
    still = [direction if other == path else np.zeros(array.shape) for other, array in problem.theta.items()]
    estimate = complex_derivative(
        problem.complex_loss, problem.params, tree.restore(problem.params, still), rng=rng
    )
    return exact(problem, estimate.value, estimate.error)


def exact(problem: Problem, value: float, error: float) -> Reading:
    """A reading by the complex step; a zero without any error may be an imaginary part that was lost."""
    if value == 0.0 and error == 0.0:
        error = UNIT_ROUNDOFF * abs(problem.level)
    return Reading(value, error, 0.0, 0.0, error, "exact", "complex")
