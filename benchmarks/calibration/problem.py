"""What a family is, and a problem drawn from it: a loss, its exact gradient, and what may be said of it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import mpmath
import numpy as np

from bpcheck import Verdict, tree

__all__ = [
    "AT_A_KINK",
    "DTYPES",
    "EXACT",
    "SMOOTH",
    "UNDECIDABLE",
    "Drawn",
    "Family",
    "Problem",
    "cast",
    "cast_args",
    "precise_gradient",
]

EXACT = np.longdouble
"""The truth is computed in this. On x86 it has 64 bits: rounding of the hand-derived gradient is then
2,000 times smaller than float64's. Where it is no wider than float64 (:func:`wide_enough` says so) the
complex step's bars cannot be judged and the run refuses them."""

DTYPES = {"float64": np.float64, "float32": np.float32, "bfloat16": np.float32}
"""Type of the parameters. Under ``bfloat16`` they are float32 (as in mixed-precision training) with values
that bfloat16 can hold, and everything computed on the way is stored in bfloat16."""

SMOOTH = frozenset({Verdict.AGREES, Verdict.INCONCLUSIVE})
"""A right gradient of a differentiable function: it agrees, or nothing can be said."""

AT_A_KINK = frozenset({Verdict.AGREES_AT_KINK, Verdict.AGREES, Verdict.INCONCLUSIVE})
"""A valid choice at a kink. AGREES is a kink overlooked, which the table counts, but no false alarm."""

UNDECIDABLE = frozenset({Verdict.INCONCLUSIVE})
"""No derivative exists at the point, or the values say nothing about it: any other verdict is a violation."""

DIGITS = 60
STEP = mpmath.mpf(10) ** -30  # its square is lost in 60 digits


def wide_enough() -> bool:
    """Whether long double is wider than float64 here."""
    return bool(np.finfo(EXACT).eps < 0.01 * np.finfo(np.float64).eps)


def cast(params: Any, dtype: Any) -> Any:
    """The same tree with every leaf in ``dtype``."""
    return tree.restore(params, [np.asarray(leaf).astype(dtype) for _, leaf in tree.leaves(params)])


def cast_args(args: tuple[Any, ...], dtype: Any) -> tuple[Any, ...]:
    """Arrays of floating-point numbers in ``dtype``; whatever else is an argument stays."""
    return tuple(
        arg.astype(dtype) if isinstance(arg, np.ndarray) and arg.dtype.kind == "f" else arg for arg in args
    )


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a family returns: the mathematics, in float64 numbers, before a precision is chosen.

    Attributes
    ----------
    params : tree of float64 arrays
    args : tuple
    loss, gradient : callable
        ``(params, *args)``, for arrays of any number. ``gradient`` is the exact one, derived by hand.
    working : callable, optional
        What the check is given for ``loss`` where that is not the formula itself (noise is added, steps
        are rounded).
    accepts : frozenset of Verdict
        What may be said of the right gradient.
    """

    params: Any
    args: tuple[Any, ...]
    loss: Callable[..., Any]
    gradient: Callable[..., Any]
    working: Callable[..., Any] | None = None
    accepts: frozenset[Verdict] = SMOOTH


@dataclass(frozen=True)
class Family:
    """A kind of problem, as a value.

    Attributes
    ----------
    name : str
    draw : callable
        ``draw(rng, precision) -> Drawn``.
    precisions : tuple of str
    held_out : bool
        Never looked at to choose a constant.
    analytic : bool
        The loss takes complex numbers.
    smooth : bool
        Bars are expected to hold in 99.9 %.
    differentiable : bool
        False where there is no derivative to estimate: only verdicts are counted.
    kink_at_theta : bool
        The derivative has two sides; one-sided schemes see another one than the gradient's.
    share, share32 : float
        Of the checks, relative to other families, in float64 (or bfloat16) and in float32: problems that
        cost more than about 100 ms get fewer.
    meaning : str
        One line for the table.
    """

    name: str
    draw: Callable[[np.random.Generator, str], Drawn]
    precisions: tuple[str, ...] = ("float64",)
    held_out: bool = False
    analytic: bool = True
    smooth: bool = True
    differentiable: bool = True
    kink_at_theta: bool = False
    share: float = 1.0
    share32: float = 1.0
    meaning: str = ""

    def share_of(self, precision: str) -> float:
        """``share`` or ``share32``."""
        return self.share32 if precision == "float32" else self.share

    def problem(self, precision: str, kind: str, index: int, seed: int) -> Problem:
        """The ``index``-th problem of a kind of measurement; always the same one."""
        key = zlib.crc32(f"{self.name}/{precision}/{kind}".encode())
        rng = np.random.default_rng([seed, key, index])
        with np.errstate(all="ignore"):
            drawn = self.draw(rng, precision)
            params = cast(drawn.params, DTYPES[precision])
            args = cast_args(drawn.args, DTYPES[precision])
            exact = drawn.gradient(cast(params, EXACT), *cast_args(args, EXACT))
        return Problem(self, precision, params, args, drawn, exact, rng)


@dataclass(frozen=True, eq=False)
class Problem:
    """One loss at one point in one precision.

    Attributes
    ----------
    family : Family
    precision : str
    params : tree of arrays
    args : tuple
    drawn : Drawn
    exact : tree of long double arrays
        The gradient at exactly these parameters and arguments.
    rng : numpy.random.Generator
        For directions, seeds and planted errors.
    """

    family: Family
    precision: str
    params: Any
    args: tuple[Any, ...]
    drawn: Drawn
    exact: Any
    rng: np.random.Generator = field(repr=False)

    @property
    def loss(self) -> Callable[..., Any]:
        """What the check evaluates."""
        working = self.drawn.loss if self.drawn.working is None else self.drawn.working

        def loss(params: Any, *args: Any) -> Any:
            with np.errstate(all="ignore"):
                return working(params, *args)

        return loss

    @property
    def gradient(self) -> Callable[..., Any]:
        """A right gradient as its author would write it: in the precision of the parameters."""

        def gradient(params: Any, *args: Any) -> Any:
            with np.errstate(all="ignore"):
                return self.drawn.gradient(params, *args)

        return gradient

    @property
    def roundoff(self) -> float:
        """Unit roundoff of the parameters."""
        return float(np.finfo(DTYPES[self.precision]).eps) / 2.0

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(np.size(leaf) for _, leaf in tree.leaves(self.params))

    def slope(self, direction: list[Any]) -> tuple[Any, float]:
        """Exact derivative along a direction, in long double, and its natural size √Σ(g_i v_i)²."""
        products = [
            leaf * np.asarray(step).astype(EXACT)
            for (_, leaf), step in zip(tree.leaves(self.exact), direction, strict=True)
        ]
        return sum(p.sum() for p in products), math.sqrt(float(sum((p * p).sum() for p in products)))


JITTERS = 6
"""Points around θ, 1e-40 away, at which a kink is looked at from its several sides."""

JITTER = mpmath.mpf(10) ** -40

Bounds = dict[tuple[int, ...], Any]


def precise_gradient(
    problem: Problem, *, entries: list[list[tuple[int, ...]]] | None = None
) -> tuple[list[Bounds], list[Bounds]]:
    """The least and the largest derivative around θ by the complex step with 60 digits, as mpmath numbers.

    It shares the formula of the loss with the exact gradient and no derivative. The two differ where θ
    lies on a kink: a right gradient is then between them.

    Parameters
    ----------
    problem : Problem
    entries : list of lists of indices, optional
        Of each tensor; all entries by default (slow).

    Returns
    -------
    (lowest, highest)
        For each tensor, by index.
    """
    rng = np.random.default_rng(0)
    with mpmath.workdps(DIGITS):
        exact = np.frompyfunc(lambda v: mpmath.mpf(float(v)), 1, 1)
        leaves = [np.asarray(exact(leaf), dtype=object) for _, leaf in tree.leaves(problem.params)]
        args = tuple(
            exact(arg) if isinstance(arg, np.ndarray) and arg.dtype.kind == "f" else arg
            for arg in problem.args
        )
        points = [leaves]
        if Verdict.AGREES_AT_KINK in problem.drawn.accepts:
            points = [
                [leaf + JITTER * exact(rng.standard_normal(leaf.shape)) for leaf in leaves]
                for _ in range(JITTERS)
            ]
        where = entries or [list(np.ndindex(leaf.shape)) for leaf in leaves]
        lowest: list[Bounds] = []
        highest: list[Bounds] = []
        for number, indices in enumerate(where):
            found = {
                index: [_imaginary(problem, point, args, number, index) for point in points]
                for index in indices
            }
            lowest.append({index: min(values) for index, values in found.items()})
            highest.append({index: max(values) for index, values in found.items()})
    return lowest, highest


def _imaginary(problem: Problem, leaves: list[Any], args: Any, number: int, index: tuple[int, ...]) -> Any:
    moved = leaves[number].copy()
    moved[index] = mpmath.mpc(moved[index], STEP)
    arrays = [*leaves[:number], moved, *leaves[number + 1 :]]
    cost = problem.drawn.loss(tree.restore(problem.params, arrays), *args)
    return mpmath.mpmathify(np.asarray(cost).item()).imag / STEP
