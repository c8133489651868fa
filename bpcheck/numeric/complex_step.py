r"""The complex step: f(θ + ihv) = f(θ) + ih ⟨∇f, v⟩ − h²…, without any difference of two values.

The imaginary part holds the derivative to the last digits, for a step so small that its square
is lost. What error is left is the rounding of f's own arithmetic; it is measured: with every
parameter moved a little, all roundings happen anew, and what jumps about is the error.

f must be analytic: ``abs``, ``max``, a comparison or a cast to real break the complex step without
a sound, therefore every answer is held against one ladder of central differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.numeric.central import Central
from bpcheck.numeric.noise import SAMPLES, UNIT_ROUNDOFF, noise_levels
from bpcheck.numeric.perturbation import Line, call, line, number, random_direction, real_phi, rebuild
from bpcheck.result import Estimate, Testimony
from bpcheck.tree import FloatArray, Tree

__all__ = ["complex_derivative", "complex_step"]

STEP = 1e-30
"""h. Its square is 1e-60 of the derivative, and h·|derivative| stays a normal number down to 1e-278."""

SPACING = 2.0**-24
"""Relative distance of the points at which the noise is measured. Wide enough that a saturated unit
rounds anew (at z = 20, 1 − sigmoid = 2e-9 moves by 20 units of u), narrow enough that third
differences of the function itself stay below u: 20³ · 2^−72 = 2e-18 there. At 2^−40, the spacing of
design/numerics.md, saturated sigmoids are missed (benchmarks/numeric_coverage.py)."""

ORDERS = slice(2, 6)
"""Orders 3 … 6 of the differences: lower ones still see the function, higher ones have few samples."""

CONFIDENCE = 6.0
"""Standard deviations in the bar (design/numerics.md; misses: benchmarks/numeric_coverage.py)."""

FLOOR = 4.0
"""Least error in units of u·|value|: the last operations of f may round the same way at all nine
points (measured, benchmarks/numeric_coverage.py)."""

DISAGREEMENT = 10.0
"""The cross-check objects if the two derivatives differ by this many times the sum of their bars: far
from any false alarm, and a lost imaginary part is off by all of it."""


class _Cost:
    """f at complex points, counted."""

    def __init__(self, f: Callable[[Tree], Any]) -> None:
        self.f = f
        self.evaluations = 0

    def __call__(self, params: Tree) -> complex:
        self.evaluations += 1
        with call():
            returned = self.f(params)
        value: complex = number(returned, allow_complex=True)
        return value


def _points(point: list[FloatArray], rng: np.random.Generator) -> list[list[FloatArray]]:
    """θ and eight neighbours, equispaced on a random line on which every parameter moves; θ first."""
    wide = [leaf.astype(np.float64) for leaf in point]
    along = random_direction(wide, rng)
    middle = SAMPLES // 2
    return [
        [leaf + k * SPACING * step for leaf, step in zip(wide, along, strict=True)]
        for k in range(-middle, SAMPLES - middle)
    ]


def _error(values: FloatArray) -> float:
    """Bound on the error of the middle one of nine values at equispaced points."""
    largest = float(abs(values).max())
    if largest == 0.0:
        return 0.0  # zero wherever one looks: no operation took part that could round
    if not math.isfinite(largest):
        return math.inf
    sigma = float(noise_levels(values / largest)[ORDERS].max()) * largest
    return CONFIDENCE * sigma + FLOOR * UNIT_ROUNDOFF * largest


def complex_derivative(
    f: Callable[[Tree], Any], at: Tree, direction: Tree, *, rng: np.random.Generator | None = None
) -> Estimate:
    """Derivative of ``f`` along ``direction`` by the complex step.

    Parameters
    ----------
    f : callable
        Takes a tree like ``at`` with complex leaves and returns one complex number.
    at, direction : tree
        Of the same structure and shapes.
    rng : numpy.random.Generator, optional
        For the line on which the noise is measured; a fixed seed of its own by default.

    Returns
    -------
    Estimate
        Of regime ``exact``.

    Raises
    ------
    InputError
        If ``at`` and ``direction`` do not fit together or ``f`` does not return one number.
    SubjectError
        If ``f`` raises; the exception is chained.

    Notes
    -----
    Source: Squire and Trapp, *Using complex variables to estimate derivatives of real functions*,
    SIAM Review 40, 1998. No cross-check here: see :func:`complex_step`.

    Examples
    --------
    >>> estimate = complex_derivative(np.exp, 1.0, 1.0)
    >>> abs(estimate.value - np.e) <= estimate.error < 2e-14
    True
    """
    path = line(at, direction)
    cost = _Cost(f)
    longest = max(float(abs(step).max(initial=0.0)) for step in path.direction)
    h = STEP / longest
    values = np.array(
        [
            cost(_shifted(at, point, [h * step for step in path.direction])).imag / h
            for point in _points(path.point, np.random.default_rng(0) if rng is None else rng)
        ]
    )
    return Estimate(float(values[SAMPLES // 2]), 0.0, _error(values), h, 2, cost.evaluations, "exact")


def _shifted(like: Tree, point: list[FloatArray], imaginary: list[FloatArray]) -> Tree:
    return rebuild(like, [leaf + 1j * part for leaf, part in zip(point, imaginary, strict=True)])


def complex_step(f: Callable[[Tree], Any], params: Tree, *, rng: np.random.Generator) -> Testimony:
    """Loss and gradient with respect to every parameter by the complex step, each with its error.

    Parameters
    ----------
    f : callable
        The cost; takes complex parameters. A real return value counts as an imaginary part of 0.
    params : tree
        Real floating-point parameters; not modified.
    rng : numpy.random.Generator
        For the line on which the noise is measured and the direction of the cross-check.

    Returns
    -------
    Testimony
        Witness ``"numeric"``. Nine evaluations an entry, and about 80 for the cross-check.

    Raises
    ------
    InputError
        If ``params`` are no finite float arrays, ``f`` does not return one number, or its complex
        derivative contradicts its own differences (it uses abs, max or a cast to real).
    SubjectError
        If ``f`` raises; the exception is chained.

    Notes
    -----
    Source: Squire and Trapp (1998) for the step; Moré and Wild (2011) for the noise.

    An entry that is exactly 0 at all nine points has error 0. Where a unit is saturated to the last
    bit (tanh(20) is 1.0 in float64) that zero is the derivative of the program, not of the formula.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> testimony = complex_step(lambda p: (p["w"] ** 3).sum(), {"w": np.array([1.0, 2.0])}, rng=rng)
    >>> {str(path): gradient.round(12).tolist() for path, gradient in testimony.gradient.items()}
    {"params['w']": [3.0, 12.0]}
    """
    leaves = tree.arrays(params)
    cost = _Cost(f)
    point = list(leaves.values())
    points = _points(point, rng)
    middle = SAMPLES // 2
    losses = np.array([cost(_shifted(params, p, [np.zeros(leaf.shape) for leaf in p])).real for p in points])
    gradient, error = [], []
    for number_of_leaf, leaf in enumerate(point):
        value, bar = np.zeros(leaf.shape), np.zeros(leaf.shape)
        for index in np.ndindex(leaf.shape):
            seen = np.array([_entry(cost, params, p, number_of_leaf, index) for p in points])
            value[index], bar[index] = seen[middle], _error(seen)
        gradient.append(value)
        error.append(bar)
    evaluations = cost.evaluations + _cross_check(f, params, point, gradient, error, rng)
    return Testimony(
        "numeric",
        float(losses[middle]),
        _error(losses),
        dict(zip(leaves, map(tree.freeze, gradient), strict=True)),
        dict(zip(leaves, map(tree.freeze, error), strict=True)),
        evaluations,
    )


def _entry(cost: _Cost, like: Tree, point: list[FloatArray], leaf: int, index: tuple[int, ...]) -> float:
    """∂f/∂θ_i at one of the points."""
    arrays = [array.astype(np.complex128) for array in point]
    arrays[leaf][index] += 1j * STEP
    return cost(rebuild(like, arrays)).imag / STEP


def _cross_check(
    f: Callable[[Tree], Any],
    like: Tree,
    point: list[FloatArray],
    gradient: list[FloatArray],
    error: list[FloatArray],
    rng: np.random.Generator,
) -> int:
    """One ladder along a random line must agree; returns its evaluations."""
    wide = [leaf.astype(np.float64) for leaf in point]
    path = Line(like, wide, random_direction(wide, rng))

    def real(params: Tree) -> float:
        return number(f(params), allow_complex=True).real  # type: ignore[no-any-return]

    estimate = Central()(real_phi(real, path))
    expected = sum(float((g * v).sum()) for g, v in zip(gradient, path.direction, strict=True))
    doubt = sum(float((e * abs(v)).sum()) for e, v in zip(error, path.direction, strict=True))
    gap = abs(estimate.value - expected)
    if estimate.regime in ("smooth", "noise", "exact") and gap > DISAGREEMENT * (estimate.error + doubt):
        raise InputError(
            f"the complex step gives {expected:.6g} along a random direction, but differences of the same "
            f"function give {estimate.value:.6g} ± {estimate.error:.1g}: it is not analytic as written. Replace abs, "
            "max, comparisons, conj and casts to real (numpy.where on the real part is fine)."
        )
    return estimate.evaluations
