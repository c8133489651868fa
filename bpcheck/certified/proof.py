"""Proofs: where the exact derivative lies, how far honest code may be off, and which of the two an entry shows.

At a kink a derivative is any number between two one-sided ones. The gradient is an affine function of the slope
of each single unit, so over a few units its extreme values are taken where every slope is one of the two: one
pass for each choice gives the exact interval of every entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.certified import penalty
from bpcheck.certified.balls import Balls, balls, exactly, nearest, radii
from bpcheck.certified.engine import precision
from bpcheck.certified.oracle import MAX_PRECISION, START
from bpcheck.certified.reverse import Pass, propagate
from bpcheck.certified.units import Unit
from bpcheck.certified.working import SAFETY, Working
from bpcheck.network.case import Case
from bpcheck.tree import FloatArray, Path

__all__ = ["MOST_UNITS", "Proof", "allowance", "near_kinks", "prove", "sides"]

# 2^4 passes; a check of 784-30-10 still takes a few seconds.
MOST_UNITS = 4


@dataclass(frozen=True, eq=False)
class Proof:
    """What is proved about one tensor of a gradient.

    Attributes
    ----------
    inside, outside : bool arrays
        Entries certainly within their bound of the exact derivative (at a kink: of an interval of valid
        ones), and entries certainly not. Neither is True for what stayed open.
    expected : float64 array
        Nearest to the exact derivative, or to the middle of the interval.
    error : float64 array
        |entry − expected|, correct to about 16 digits.
    kink : float64 array
        Half-widths of the intervals, 0 without a kink.
    bits : int
        Precision that it took.
    """

    inside: Any
    outside: Any
    expected: FloatArray
    error: FloatArray
    kink: FloatArray
    bits: int


def sides(case: Case) -> Pass:
    """An exact pass in which every unit with a kink is on one certain side of it, but for those in ``kinks``.

    Examples
    --------
    >>> from bpcheck import Case, mlp
    >>> params = [{"weight": [[1.0]], "bias": [-1.0]}, {"weight": [[2.0]], "bias": [0.0]}]
    >>> case = Case(mlp([1, 1, 1], activation="relu"), params, [[1.0], [2.0]], [[5.0], [5.0]])
    >>> [str(unit) for unit in sides(case).kinks]
    ['unit 0 of params[0] (relu), example 0']
    """
    bits = START
    while True:
        found = propagate(case, Balls(bits))
        if all(found.kinks.values()) or 2 * bits > MAX_PRECISION:
            return found
        bits *= 2


def near_kinks(case: Case, dtype: Any, slopes: Mapping[Unit, float | None]) -> list[Unit]:
    """Units that correct code in ``dtype`` may see on the wrong side of their kink."""
    return list(propagate(case, Working(dtype), slopes=slopes).kinks)


def allowance(
    case: Case, dtype: Any, slopes: Mapping[Unit, float | None] | None = None
) -> dict[Path, FloatArray]:
    """How far off a correct gradient in ``dtype`` may be, entry by entry: the radii of that computation, times 4.

    Parameters
    ----------
    case : Case
    dtype : floating dtype
    slopes : mapping of Unit to float or None, optional
        As for :func:`~bpcheck.certified.reverse.propagate`.

    Returns
    -------
    dict of Path to float64 array
        Infinite where balls of this precision know nothing.

    Examples
    --------
    >>> from bpcheck import Case, mlp
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], x=[[3.0]], y=[[5.0]])
    >>> [bool((bound < 1e-13).all()) for bound in allowance(case, np.float64).values()]
    [True, True]
    """
    found = propagate(case, Working(dtype), slopes=slopes)
    bounds = {}
    for path, leaf in tree.leaves(case.params):
        bound = SAFETY * radii(found.gradient[path].entries()).reshape(leaf.shape)
        bounds[path] = np.where(np.isfinite(bound), bound, np.inf)
    return bounds


def prove(
    case: Case,
    gradient: Mapping[Path, FloatArray],
    bounds: Mapping[Path, FloatArray],
    *,
    slopes: Mapping[Unit, float] | None = None,
    units: Sequence[Unit] = (),
    hull: bool = False,
) -> dict[Path, Proof]:
    """Decide for every entry whether it lies within its bound, at as many bits as that takes.

    Parameters
    ----------
    case : Case
    gradient : mapping of Path to array
        Any floating dtype, finite; not every tensor has to be there.
    bounds : mapping of Path to float64 array
        Largest distance allowed; infinite entries stay open.
    slopes : mapping of Unit to float, optional
        σ' of units whose side is known.
    units : sequence of Unit
        Units at a kink, whose slope may be any between the one-sided ones.
    hull : bool
        One pass with balls for their slopes, whatever their number: an entry may then be proved outside, but
        not inside, for the intervals come out too wide.

    Returns
    -------
    dict of Path to Proof
    """
    bits = START
    while True:
        proofs = _proofs(case, gradient, bounds, {} if slopes is None else slopes, units, hull, bits)
        is_open = any(
            (~proof.inside & ~proof.outside & np.isfinite(bounds[path])).any()
            for path, proof in proofs.items()
        )
        if hull or not is_open or 2 * bits > MAX_PRECISION:
            return proofs
        bits *= 2


def _choices(units: Sequence[Unit], hull: bool) -> Iterator[dict[Unit, float | None]]:
    if hull:
        yield dict.fromkeys(units)
        return
    for chosen in product(*(unit.slopes for unit in units)):
        yield dict(zip(units, chosen, strict=True))


def _proofs(
    case: Case,
    gradient: Mapping[Path, FloatArray],
    bounds: Mapping[Path, FloatArray],
    slopes: Mapping[Unit, float],
    units: Sequence[Unit],
    hull: bool,
    bits: int,
) -> dict[Path, Proof]:
    passes = [propagate(case, Balls(bits), slopes={**slopes, **chosen}) for chosen in _choices(units, hull)]
    weights = penalty.at_kink(case)
    proofs = {}
    with precision(bits):
        for path, array in gradient.items():
            low, high = _interval([found.gradient[path].entries() for found in passes])
            if path in weights and weights[path].any():
                # at a weight of 0 the slope of λ₁|w| is any in [−λ₁, λ₁]
                l1 = exactly(case.architecture.l1)
                at = weights[path].ravel().tolist()
                low = [a - l1 if where else a for a, where in zip(low, at, strict=True)]
                high = [b + l1 if where else b for b, where in zip(high, at, strict=True)]
            proofs[path] = _proof(array, bounds[path], low, high, bits)
    return proofs


def _interval(answers: list[list[Any]]) -> tuple[list[Any], list[Any]]:
    """The lowest and the highest of several answers, entry by entry; of a single one the same list twice."""
    low = high = answers[0]
    for entries in answers[1:]:
        low = [a.min(b) for a, b in zip(low, entries, strict=True)]
        high = [a.max(b) for a, b in zip(high, entries, strict=True)]
    return low, high


def _proof(array: FloatArray, bound: FloatArray, low: list[Any], high: list[Any], bits: int) -> Proof:
    values = balls(array)
    allowed = balls(bound)
    below = [value - a for value, a in zip(values, low, strict=True)]
    above = [value - b for value, b in zip(values, high, strict=True)]
    # a comparison of balls is true only where it is certain
    inside = [bool(u >= -b and v <= b) for u, v, b in zip(below, above, allowed, strict=True)]
    outside = [bool(u < -b or v > b) for u, v, b in zip(below, above, allowed, strict=True)]
    middle = low if high is low else [(a + b) / 2 for a, b in zip(low, high, strict=True)]
    expected, _ = nearest(middle)
    kink = abs(np.array([float((b - a) / 2) for a, b in zip(low, high, strict=True)]))
    error = abs(np.array([float(value - m) for value, m in zip(values, middle, strict=True)]))
    shape = array.shape
    known = np.isfinite(bound)
    return Proof(
        np.array(inside, dtype=bool).reshape(shape) & known,
        np.array(outside, dtype=bool).reshape(shape) & known,
        expected.reshape(shape),
        error.reshape(shape),
        kink.reshape(shape),
        bits,
    )
