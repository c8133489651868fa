"""Points and directions: trees taken apart, checked and moved along a line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import BpcheckError, InputError, SubjectError
from bpcheck.tree import FloatArray, Tree

__all__ = ["Line", "call", "line", "number", "random_direction", "real_phi", "rebuild", "relative_step"]

SMALLEST_SIZE = 2.0**-40
"""A tensor smaller than 1e-12 counts as this large: below, steps drown in the noise of any f(θ) near 1."""


@dataclass(frozen=True, eq=False)
class Line:
    """θ + t·v.

    Attributes
    ----------
    like : tree
        What θ was nested as.
    point, direction : list of arrays
        The leaves of θ and v, as copies.
    """

    like: Tree
    point: list[FloatArray]
    direction: list[FloatArray]

    def at(self, t: complex) -> Tree:
        """Build the tree θ + t·v of fresh arrays; each leaf keeps its precision."""
        moved = []
        for leaf, step in zip(self.point, self.direction, strict=True):
            # the sum is rounded once, in the precision of the parameter
            wide = np.asarray(leaf.astype(np.float64) + t * step)
            moved.append(wide if isinstance(t, complex) else wide.astype(leaf.dtype))
        return rebuild(self.like, moved)


def rebuild(like: Tree, arrays: list[Any]) -> Tree:
    """Nest ``arrays`` as ``like``; leaves that were numbers are numbers again."""
    values = [
        array.item()
        if isinstance(leaf, float) and not isinstance(leaf, np.floating)
        else array[()]
        if not isinstance(leaf, np.ndarray)
        else array
        for (_, leaf), array in zip(tree.leaves(like), arrays, strict=True)
    ]
    return tree.restore(like, values)


def line(at: Tree, direction: Tree) -> Line:
    """Lay a line through ``at`` along ``direction``, both checked.

    Parameters
    ----------
    at, direction : tree
        Of the same structure and shapes.

    Returns
    -------
    Line

    Raises
    ------
    InputError
        If they do not fit together, a value is not finite, or the direction is zero.

    Examples
    --------
    >>> line({"w": np.ones(2), "b": 0.0}, {"w": np.zeros(2), "b": 1.0}).at(0.5)
    {'w': array([1., 1.]), 'b': 0.5}
    """
    point, along = tree.arrays(at, "at"), tree.arrays(direction, "direction")
    needed = {path.keys: (path, array) for path, array in point.items()}
    given = {path.keys: (path, array) for path, array in along.items()}
    for keys, (path, _) in given.items():
        if keys not in needed:
            raise InputError(
                f"{path} has no counterpart in at: the direction needs the same structure, "
                f"with the leaves {_names(point)}."
            )
    for keys, (path, array) in needed.items():
        if keys not in given:
            raise InputError(
                f"direction has no leaf for {path}: it needs the same structure; "
                "use zeros for what is not to move."
            )
        other, step = given[keys]
        if step.shape != array.shape:
            raise InputError(f"{other} has shape {step.shape}, but {path} needs {array.shape}.")
    steps: list[FloatArray] = [given[keys][1].astype(np.float64) for keys in needed]
    if not any(step.any() for step in steps):
        raise InputError(
            "direction is zero everywhere: there is no way to go. Make at least one entry nonzero."
        )
    return Line(at, list(point.values()), steps)


def _names(arrays: dict[tree.Path, FloatArray]) -> str:
    names = [str(path) for path in arrays]
    return ", ".join(names if len(names) <= 5 else [*names[:5], "…"])


def random_direction(point: list[FloatArray], rng: np.random.Generator) -> list[FloatArray]:
    """Gaussian steps, each in proportion to its parameter (to its tensor's size where that is larger).

    The scale is s_i = max(|θ_i|, rms/10), so that a step of 1 is a
    relative one and no entry stands still.
    """
    found: list[FloatArray] = []
    for leaf in point:
        size = abs(leaf.astype(np.float64))
        rms = tree.rms(size)
        scale = np.maximum(size, rms / 10.0 if rms > 0.0 else 1.0)
        found.append(np.asarray(scale * rng.standard_normal(leaf.shape)))
    return found


def relative_step(path: Line) -> float:
    """Scale the direction: a step of 1 along s·v moves no tensor by more than its own size.

    The size of a tensor is its root mean square, or 1 where it is zero; s is a power of two.
    """
    scales = []
    for leaf, step in zip(path.point, path.direction, strict=True):
        longest = float(abs(step).max(initial=0.0))
        if longest > 0.0:
            wide = leaf.astype(np.float64)
            largest = float(abs(wide).max())
            rms = largest * math.sqrt(float(np.mean((wide / largest) ** 2))) if largest > 0.0 else 1.0
            scales.append(math.log2(max(rms, SMALLEST_SIZE)) - math.log2(longest))
    # a power of two: scaling back is exact
    return 2.0 ** max(-1000, min(1000, math.floor(min(scales))))


@contextmanager
def call() -> Iterator[None]:
    """Turn whatever the caller's function raises into a :class:`SubjectError`, chained."""
    try:
        yield
    except BpcheckError:
        raise
    except Exception as error:
        raise SubjectError(f"the function raised {type(error).__name__}: {error}") from error


def number(returned: object, *, allow_complex: bool = False) -> Any:
    """Take the one number out of what a cost function returned.

    Raises
    ------
    InputError
        If it is not one number, or complex where a real one is needed.

    Examples
    --------
    >>> number(np.array([[2.5]]))
    2.5
    """
    array = returned if isinstance(returned, np.ndarray) else None
    if array is None and isinstance(returned, int | float | complex | np.number):
        array = np.asarray(returned)
    needed = "one number is needed, for example the mean over the batch"
    if array is None or isinstance(returned, bool) or array.dtype.kind not in "fciu":
        raise InputError(f"the function returned {tree.describe(returned)}, but {needed}.")
    if array.size != 1:
        raise InputError(
            f"the function returned {array.size} numbers ({tree.describe(returned)}), but {needed}."
        )
    value = array.reshape(()).item()
    if isinstance(value, complex):
        if allow_complex:
            return value
        raise InputError(f"the function returned the complex number {value!r}, but a real one is needed.")
    return complex(value) if allow_complex else float(value)


def real_phi(f: Callable[[Tree], Any], path: Line) -> Callable[[float], float]:
    """φ(t) = f(θ + t·v) for real t."""

    def phi(t: float) -> float:
        with call():
            returned = f(path.at(float(t)))
        value: float = number(returned)
        return value

    return phi
