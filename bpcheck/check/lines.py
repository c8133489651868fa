"""The lines along which a tensor is looked at: one an entry, or random ones for entries of like size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc

from bpcheck.tree import FloatArray, rms

__all__ = ["Group", "Lines", "every_entry", "groups", "random_lines", "relative_steps"]

BoolArray: TypeAlias = NDArray[np.bool_]

SMALLEST_SHARE = 10.0
"""An entry near zero is stepped as if it were a tenth of its group's root mean square: a step relative
to the entry itself would drown in rounding."""

SPREADS = 10.0 ** -np.arange(2.0, 17.0)
"""Shares of the root mean square below which entries may be of another kind: a relative step of the large ones
moves them by a hundred times themselves or more."""

DENSITY = 0.8
"""2φ(0): a share r·DENSITY of a bell curve lies within r standard deviations of 0 (and so, about, does that of any
density that is finite there)."""

BY_ACCIDENT = 1e-3
"""… and they are of another kind if so many small ones would come up by accident with this probability at most."""

SMALLEST_STEP = np.sqrt(np.finfo(float).tiny)
"""1.5e-154. Squares and quotients of smaller steps leave the range of float64."""


@dataclass(frozen=True, eq=False)
class Group:
    """Entries of like size.

    Attributes
    ----------
    members : boolean array or None
        None means all of the tensor.
    step : float
        What counts as a relative step of 1: their root mean square, 1 if they are zero.
    """

    members: BoolArray | None
    step: float


def groups(theta: FloatArray) -> tuple[Group, ...]:
    """Take a tensor apart where its entries are of very different sizes; nearly always it is one group.

    Parameters
    ----------
    theta : array

    Returns
    -------
    tuple of Group
        The largest entries first; entries that are exactly 0 are a group of their own if there are several,
        with the median size of the others as their step.

    Examples
    --------
    >>> [round(group.step, 3) for group in groups(np.array([3.0, -4.0, 0.0]))]
    [2.887]
    >>> [round(group.step) for group in groups(np.array([3e8, -4e8, 1.0, 0.0]))]
    [353553391, 1, 300000000]
    """
    sizes = abs(np.asarray(theta, dtype=float))
    rest = sizes > 0.0
    found: list[Group] = []
    while rest.any():
        top = rms(sizes[rest])
        small = _of_another_kind(sizes, rest, top)
        if small is None:
            found.append(Group(np.asarray(rest), max(top, float(SMALLEST_STEP))))
            break
        large = rest & ~small
        found.append(Group(np.asarray(large), max(rms(sizes[large]), float(SMALLEST_STEP))))
        rest = small
    if len(found) <= 1:
        return (Group(None, max(rms(sizes), float(SMALLEST_STEP)) if sizes.any() else 1.0),)
    zero = sizes == 0.0
    if zero.any():
        found.append(Group(np.asarray(zero), float(np.median(sizes[~zero]))))
    return tuple(found)


def _of_another_kind(sizes: FloatArray, rest: BoolArray, top: float) -> BoolArray | None:
    """Entries far smaller than the others, more of them than accident explains."""
    count = np.count_nonzero(rest)
    for spread in SPREADS:
        small = rest & (sizes < spread * top)
        found = np.count_nonzero(small)
        if not found:
            return None
        # at least so many of a Poisson variable, whose mean is what a bell curve has there
        if pdtrc(found - 1, DENSITY * spread * count) <= BY_ACCIDENT:
            return np.asarray(small)
    return None


def relative_steps(theta: FloatArray) -> FloatArray | float:
    """What counts as a relative step of 1, for each entry; one number where it is the same for all.

    Examples
    --------
    >>> relative_steps(np.array([3e8, 1.0]))
    array([3.e+08, 1.e+00])
    """
    parts = groups(theta)
    if len(parts) == 1:
        return parts[0].step
    steps = np.ones(theta.shape)
    for part in parts:
        steps[part.members] = part.step
    return steps


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of one tensor, each made when it is needed: at 10⁷ parameters they would not fit.

    Attributes
    ----------
    count : int
    make : callable
        Number of the line to direction. Numbers from ``count`` on give fresh random lines.
    unit : callable
        What a derivative along it is divided by: the step of the entry, or 1.
    entries : bool
        Whether each line moves one entry only, in the order of the tensor.
    groups : tuple of Group
        Random line i moves the entries of group i mod len(groups).
    """

    count: int
    make: Callable[[int], FloatArray]
    unit: Callable[[int], float]
    entries: bool
    groups: tuple[Group, ...]

    @property
    def directions(self) -> int:
        """Random lines for each entry."""
        return self.count // len(self.groups)

    def group(self, i: int) -> int:
        """Which group random line ``i`` moves."""
        return i % len(self.groups)


def every_entry(theta: FloatArray) -> Lines:
    """One line for each entry, with a step relative to it."""
    least = np.broadcast_to(relative_steps(theta), theta.shape) / SMALLEST_SHARE
    steps = np.maximum(abs(np.asarray(theta, dtype=float)), np.maximum(least, SMALLEST_STEP)).ravel()

    def make(i: int) -> FloatArray:
        direction = np.zeros(theta.shape)
        direction.flat[i] = steps[i]
        return direction

    return Lines(theta.size, make, lambda i: float(steps[i]), True, groups(theta))


def random_lines(theta: FloatArray, seed: Sequence[int], directions: int) -> Lines:
    """Gaussian lines, scaled to relative steps, reproducible one by one."""
    parts = groups(theta)

    def make(i: int) -> FloatArray:
        part = parts[i % len(parts)]
        drawn = part.step * np.random.default_rng([*seed, i]).standard_normal(theta.shape)
        return np.asarray(drawn if part.members is None else np.where(part.members, drawn, 0.0))

    return Lines(directions * len(parts), make, lambda i: 1.0, False, parts)
