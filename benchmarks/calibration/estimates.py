"""Level 1: is the true directional derivative inside the bar? bpcheck's schemes, on one line of a problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import bpcheck.numeric
from benchmarks.calibration.problem import EXACT, Problem
from bpcheck import derivative, tree
from bpcheck.numeric import Central, complex_derivative, line_integral, measure_noise
from bpcheck.result import Estimate

__all__ = ["SCHEMES", "counted", "draw_direction", "estimate_problem", "line", "row"]

NOISE_DIRECTIONS = 3
"""As check_gradient does: the largest of three, for one may run along a valley."""

Row = list[Any]
"""covered (1, 0, or None without a finite bar), bar relative to √Σ(g_i v_i)², evaluations, regime."""


def draw_direction(params: Any, rng: np.random.Generator) -> list[Any]:
    """Gaussian steps relative to each parameter, or to a tenth of its tensor's size where that is larger."""
    found = []
    for _, leaf in tree.leaves(params):
        size = abs(np.asarray(leaf, dtype=float))
        rms = math.sqrt(float(np.mean(size**2)))
        found.append(np.maximum(size, rms / 10.0 if rms > 0.0 else 1.0) * rng.standard_normal(size.shape))
    return found


def _moved(problem: Problem, direction: list[Any], t: float) -> Any:
    """θ + t·v, rounded once to the precision of each parameter."""
    leaves = [leaf for _, leaf in tree.leaves(problem.params)]
    moved = [
        (leaf.astype(float) + t * step).astype(leaf.dtype)
        for leaf, step in zip(leaves, direction, strict=True)
    ]
    return tree.restore(problem.params, moved)


def line(problem: Problem, direction: list[Any]) -> Callable[[float], float]:
    """φ(t) = loss(θ + t·v), rounded once to the precision of each parameter."""

    def phi(t: float) -> float:
        return float(problem.loss(_moved(problem, direction, t), *problem.args))

    return phi


def counted(phi: Callable[[float], float]) -> tuple[Callable[[float], float], list[int]]:
    """φ and a list whose one entry is the number of calls so far."""
    calls = [0]

    def counting(t: float) -> float:
        calls[0] += 1
        return phi(t)

    return counting, calls


def row(value: float, error: float, truth: Any, size: float, evaluations: int, regime: str = "") -> Row:
    """Judge one estimate."""
    bar = float(error) / size if size > 0.0 else math.inf
    if not math.isfinite(error):
        return [None, math.inf, evaluations, regime]
    inside = bool(abs(EXACT(value) - truth) <= error)  # NaN fails
    return [int(inside), bar, evaluations, regime]


def _derivative(problem: Problem, direction: list[Any], sigma: float) -> Any:
    def f(params: Any) -> Any:
        return problem.loss(params, *problem.args)

    return derivative(f, problem.params, tree.restore(problem.params, direction))


def _central(problem: Problem, direction: list[Any], sigma: float) -> Any:
    return Central(noise=sigma, roundoff=problem.roundoff)(line(problem, direction))


def _complex(problem: Problem, direction: list[Any], sigma: float) -> Any:
    def f(params: Any) -> Any:
        return problem.loss(params, *problem.args)

    return complex_derivative(f, problem.params, tree.restore(problem.params, direction))


def stated_slope(problem: Problem, direction: list[Any]) -> Callable[[float], float]:
    """The right gradient, in the precision of the problem, along the line."""

    def slope(t: float) -> float:
        found = problem.gradient(_moved(problem, direction, t), *problem.args)
        return sum(
            float(np.sum(np.asarray(leaf, dtype=float) * step))
            for (_, leaf), step in zip(tree.leaves(found), direction, strict=True)
        )

    return slope


def _line_integral(problem: Problem, direction: list[Any], sigma: float) -> Any:
    """A right slope leaves R = 0: what is estimated is the stated slope plus R."""
    slope = stated_slope(problem, direction)
    noise = measure_noise(slope, roundoff=problem.roundoff)
    test = line_integral(
        line(problem, direction), slope, noise=sigma, slope_noise=noise, roundoff=problem.roundoff
    )
    calls = test.evaluations + test.slope_evaluations
    truth = float(problem.slope(direction)[0])
    return Estimate(truth + test.residual, test.quadrature, test.rounding, test.step, evaluations=calls)


def _named(name: str) -> Callable[[Problem, list[Any], float], Any]:
    def scheme(problem: Problem, direction: list[Any], sigma: float) -> Any:
        return getattr(bpcheck.numeric, name)(noise=sigma, roundoff=problem.roundoff)(
            line(problem, direction)
        )

    return scheme


SCHEMES: dict[str, Callable[[Problem, list[Any], float], Any]] = {
    "derivative": _derivative,
    "Central, noise known": _central,
    "complex_derivative": _complex,
    "line_integral": _line_integral,
    **{
        f"{name}, noise known": _named(name)
        for name in ("Forward", "OneSided")
        if hasattr(bpcheck.numeric, name)
    },
}
"""``derivative`` measures the noise each time; the others are given the largest of three measurements.
``line_integral`` counts calls of loss and gradient together."""


def applies(name: str, problem: Problem) -> bool:
    """The complex step needs an analytic loss in float64; at a kink one side's derivative is not the gradient's."""
    if name == "complex_derivative":
        return problem.family.analytic and problem.precision == "float64"
    return not (problem.family.kink_at_theta and name.startswith(("Forward", "OneSided")))


def estimate_problem(
    problem: Problem, schemes: dict[str, Callable[[Problem, list[Any], float], Any]] | None = None
) -> dict[str, Row]:
    """All schemes along one random direction."""
    return dict(_rows(problem, SCHEMES if schemes is None else schemes))


def _rows(problem: Problem, schemes: dict[str, Any]) -> Iterator[tuple[str, Row]]:
    direction = draw_direction(problem.params, problem.rng)
    truth, size = problem.slope(direction)
    sigma = 0.0
    for _ in range(NOISE_DIRECTIONS):
        other = line(problem, draw_direction(problem.params, problem.rng))
        sigma = max(sigma, measure_noise(other, roundoff=problem.roundoff))
    for name, scheme in schemes.items():
        if applies(name, problem):
            found = scheme(problem, direction, sigma)
            yield name, row(found.value, found.error, truth, size, found.evaluations, found.regime)
