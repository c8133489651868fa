r"""The complex step: f(θ + ihv) = f(θ) + ih ⟨∇f, v⟩ − h²…, without any difference of two values.

The imaginary part holds the derivative to the last digits, for a step so small that its square
is lost. What error is left is the rounding of f's own arithmetic; it is measured: with every
parameter moved a little, all roundings happen anew, and what jumps about is the error. Saturated
units round without a trace, so the bound never falls below u times the gradient's natural size.

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
from bpcheck.numeric.perturbation import (
    Line,
    call,
    line,
    number,
    random_direction,
    real_phi,
    rebuild,
    relative_step,
)
from bpcheck.result import Estimate, Testimony
from bpcheck.tree import FloatArray, Tree

__all__ = ["complex_derivative", "complex_step", "entry_errors", "points_around", "value_error"]

MIDDLE = SAMPLES // 2

STEP = 1e-30
"""h. Its square is 1e-60 of the derivative, and h·|derivative| stays a normal number down to 1e-278."""

SPACING = 2.0**-28
"""Relative distance of the points at which the noise is measured. Wide enough that every operand moves by
millions of units in the last place, narrow enough that second differences of the function itself
(2^−56 f'') stay near u. Measured, worst error in standard deviations of 1,600 to 2,500 entries each,
with strong cancellation: 3.3 … 4.0 for spacings 2^−40 … 2^−24, no difference that matters; saturated
units prefer the wide ones."""

ORDERS = slice(1, 6)
"""Orders 2 … 6 of the differences, the largest: order 1 sees the slope of the function, higher ones have
few samples. Without order 2 the worst error grows from 4 to 7 standard deviations (measured)."""

CONFIDENCE = 6.0
"""Standard deviations in the bar (worst seen in benchmarks/numeric_coverage.py: 4.1)."""

SHRINK = 2.0**-5
"""A saturated unit rounds without a trace: 1 + 1e-17 is 1 at all nine points, and what is lost by that
is lost silently. With all parameters this much smaller, units with |z| = 20 are back at 0.6, and the
gradient there tells the natural size to which u applies."""

FLOOR = 8.0
"""Least error in units of u times that natural size. Measured: saturated networks need 5, all others
less than 2."""

DISAGREEMENT = 10.0
"""The cross-check objects if the two derivatives differ by this many times the sum of their bars: far
from any false alarm, and a lost imaginary part is off by all of it. A smaller gap that the bars do not
explain goes into the error; next to a kink, none is allowed."""


class _Cost:
    """f at complex points, counted."""

    def __init__(self, f: Callable[[Tree], Any]) -> None:
        self.f = f
        self.evaluations = 0

    def __call__(self, params: Tree) -> complex:
        self.evaluations += 1
        with call(), np.errstate(all="ignore"):
            returned = self.f(params)
        value: complex = number(returned, allow_complex=True)
        return value


def points_around(point: list[FloatArray], rng: np.random.Generator) -> list[list[FloatArray]]:
    """Nine equispaced points around θ, on a random line on which every parameter moves; then θ shrunk.

    Shrunk as a whole, and one tensor at a time: a saturated output behind a long linear network is
    back in its range when the last tensor shrinks, while the size of what comes before stays.
    """
    wide: list[FloatArray] = [leaf.astype(np.float64) for leaf in point]
    along = random_direction(wide, rng)
    middle = SAMPLES // 2
    line_of_points = [
        [np.asarray(leaf + k * SPACING * step) for leaf, step in zip(wide, along, strict=True)]
        for k in range(-middle, SAMPLES - middle)
    ]
    shrunk = [[np.asarray(SHRINK * leaf) for leaf in wide]]
    shrunk += [
        [np.asarray(SHRINK * leaf) if i == alone else leaf for i, leaf in enumerate(wide)]
        for alone in range(len(wide))
    ]
    return [*line_of_points, *shrunk]


def _natural_size(values: FloatArray, own: int | None) -> float:
    """The gradient's natural size from its values at the points of :func:`points_around`.

    A gradient is at most proportional to another tensor that shrank, so it is scaled back; not so
    where the tensor itself shrank (``own``) or all did.
    """
    alone = np.full(values.shape[-1], 1.0)
    alone[SAMPLES + 1 :] = 1.0 / SHRINK
    if own is not None:
        alone[SAMPLES + 1 + own] = 1.0
    return _finite_size(values * alone)


def _finite_size(values: FloatArray) -> float:
    """Largest absolute value; points outside the function's domain say nothing."""
    size = abs(values)
    return float(np.max(size, initial=0.0, where=np.isfinite(size)))


def _error(values: FloatArray, natural: float) -> float:
    """Bound on the error of the middle one of nine values at equispaced points.

    ``values`` holds more, at θ shrunk; ``natural`` is the size to which the roundoff applies.
    """
    if not values.any():
        return 0.0  # zero wherever one looks: no operation took part that could round
    near = values[:SAMPLES]
    largest = float(abs(near).max())
    if not math.isfinite(largest):
        return math.inf
    sigma = float(noise_levels(near / largest)[ORDERS].max()) * largest if largest > 0.0 else 0.0
    return CONFIDENCE * sigma + FLOOR * UNIT_ROUNDOFF * natural


def complex_derivative(
    f: Callable[[Tree], Any], at: Tree, direction: Tree, *, rng: np.random.Generator | None = None
) -> Estimate:
    """Differentiate ``f`` along ``direction`` by the complex step.

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
        If ``at`` and ``direction`` do not fit together, ``f`` does not return one number, or its complex
        derivative contradicts its own differences.
    SubjectError
        If ``f`` raises; the exception is chained.

    Notes
    -----
    Source: Squire and Trapp, *Using complex variables to estimate derivatives of real functions*,
    SIAM Review 40, 1998.

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
            for point in points_around(path.point, np.random.default_rng(0) if rng is None else rng)
        ]
    )
    value, error = (
        float(values[MIDDLE]),
        _error(values, _natural_size(values, 0 if len(path.point) == 1 else None)),
    )
    scale = relative_step(path)
    wide: list[FloatArray] = [leaf.astype(np.float64) for leaf in path.point]
    unit = Line(at, wide, [np.asarray(scale * v) for v in path.direction])
    evaluations, gap = _cross_check(f, unit, scale * value, scale * error)
    return Estimate(value, 0.0, max(error, gap / scale), h, 2, cost.evaluations + evaluations, "exact")


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
        Witness ``"numeric"``. Ten evaluations an entry and one more for each tensor, and about 80 for the cross-check.

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

    An entry that is exactly 0 wherever one looks has error 0.

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
    points = points_around(point, rng)
    losses = np.array([cost(_shifted(params, p, [np.zeros(leaf.shape) for leaf in p])).real for p in points])
    seen = []  # for each leaf: shape of the leaf, then the ten points
    for number_of_leaf, leaf in enumerate(point):
        values = np.zeros((*leaf.shape, len(points)))
        for index in np.ndindex(leaf.shape):
            values[index] = [_entry(cost, params, p, number_of_leaf, index) for p in points]
        seen.append(values)
    gradient: list[FloatArray] = [np.asarray(values[..., MIDDLE]) for values in seen]
    error = entry_errors(point, seen)
    wide: list[FloatArray] = [leaf.astype(np.float64) for leaf in point]
    path = Line(params, wide, random_direction(wide, rng))
    expected = sum(float((g * v).sum()) for g, v in zip(gradient, path.direction, strict=True))
    doubt = sum(float((e * abs(v)).sum()) for e, v in zip(error, path.direction, strict=True))
    evaluations, gap = _cross_check(f, path, expected, doubt)
    if gap > 0.0:  # any entry may be to blame for what the differences contradict
        length = sum(float(abs(v).sum()) for v in path.direction)
        error = [np.asarray(bars + gap / length) for bars in error]
    return Testimony(
        "numeric",
        float(losses[MIDDLE]),
        value_error(losses),
        dict(zip(leaves, map(tree.freeze, gradient), strict=True)),
        dict(zip(leaves, map(tree.freeze, error), strict=True)),
        cost.evaluations + evaluations,
    )


def entry_errors(leaves: list[FloatArray], seen: list[FloatArray]) -> list[FloatArray]:
    """Bound on the error of each derivative at θ, from the derivatives at the points of :func:`points_around`.

    Parameters
    ----------
    leaves : list of arrays
        θ.
    seen : list of arrays
        For each leaf its shape and, last, the points.

    Returns
    -------
    list of arrays
    """
    # what a relative change of a whole tensor does to the cost: comparable across tensors
    scales = [_size(leaf) for leaf in leaves]
    change = max(
        scale * _natural_size(values, own)
        for own, (scale, values) in enumerate(zip(scales, seen, strict=True))
    )
    error: list[FloatArray] = []
    for scale, values in zip(scales, seen, strict=True):
        bars = [_error(row, change / scale) for row in values.reshape(-1, values.shape[-1])]
        error.append(np.array(bars).reshape(values.shape[:-1]))
    return error


def value_error(values: FloatArray) -> float:
    """Bound on the error of the cost itself, from its values at the points of :func:`points_around`."""
    return _error(values, _finite_size(values))


def _size(leaf: FloatArray) -> float:
    """Root mean square of a tensor; 1 if it is zero or empty."""
    # a size below the smallest normal number, 2e-308, has no inverse
    return max(tree.rms(leaf.astype(np.float64)), float(np.finfo(float).tiny)) if leaf.any() else 1.0


def _entry(cost: _Cost, like: Tree, point: list[FloatArray], leaf: int, index: tuple[int, ...]) -> float:
    """∂f/∂θ_i at one of the points."""
    arrays = [array.astype(np.complex128) for array in point]
    arrays[leaf][index] += 1j * STEP
    return cost(rebuild(like, arrays)).imag / STEP


def _cross_check(f: Callable[[Tree], Any], path: Line, expected: float, doubt: float) -> tuple[int, float]:
    """Hold ``expected`` ± ``doubt`` against one ladder along the line; its evaluations and :func:`unexplained`."""

    def real(params: Tree) -> float:
        return float(number(f(params), allow_complex=True).real)

    phi = real_phi(real, path)
    with np.errstate(all="ignore"):
        if not math.isfinite(phi(0.0)):
            return 1, 0.0
    estimate = Central()(phi)
    return estimate.evaluations + 1, unexplained(estimate, expected, doubt)


def unexplained(estimate: Estimate, expected: float, doubt: float) -> float:
    """The gap between a complex step and differences of the same function, 0 where their bars explain it.

    Parameters
    ----------
    estimate : Estimate
        By differences.
    expected, doubt : float
        By the complex step, with its bound.

    Raises
    ------
    InputError
        If the gap is so large that the function cannot be analytic as written.
    """
    gap, bars = abs(estimate.value - expected), estimate.error + doubt
    if not gap > bars:
        return 0.0
    if estimate.regime in ("kink", "rough") or gap > DISAGREEMENT * bars:
        raise InputError(
            f"the complex step gives {expected:.6g} along a line, but differences of the same "
            f"function give {estimate.value:.6g} ± {estimate.error:.1g}: it is not analytic as written. "
            "Replace abs, max, comparisons, conj and casts to real (numpy.where on the real part is fine)."
        )
    return gap
