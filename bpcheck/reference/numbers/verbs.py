"""What layers do with numbers, said so that it holds for arrays, complex arrays, balls and the variance model alike.

A layer written in these verbs (and in ``+ - *``) needs one forward pass and one pullback: run on balls they give the
bound on their own rounding, on :class:`~bpcheck.reference.numbers.variance.Noisy` numbers what low precision
probably does to them, on complex arrays the complex step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bpcheck.reference.numbers.ball import Ball
from bpcheck.reference.numbers.variance import Noisy
from bpcheck.tree import FloatArray

__all__ = ["contracted", "dilated", "padded", "rearranged", "windows"]

View = Callable[[FloatArray], FloatArray]


def rearranged(numbers: Any, view: View) -> Any:
    """The same numbers in other places, with exact zeros where ``view`` puts any.

    Parameters
    ----------
    numbers : array, Ball or Noisy
    view : callable
        From an array to an array that holds some of its entries and zeros; no arithmetic, for it is applied to the
        errors as it is to the numbers.

    Returns
    -------
    array, Ball or Noisy

    Examples
    --------
    >>> rearranged(np.array([[1.0, 2.0]]), np.transpose)
    array([[1.],
           [2.]])
    """
    if isinstance(numbers, Ball):
        return Ball(view(numbers.mid), view(numbers.rad), view(numbers.kink), numbers.u)
    if isinstance(numbers, Noisy):
        return Noisy(view(numbers.value), view(numbers.variance), numbers.rounding)
    return view(numbers)


def contracted(subscripts: str, a: Any, b: Any) -> Any:
    """Products of two factors, summed: ``np.einsum`` of two operands.

    Parameters
    ----------
    subscripts : str
        As for ``np.einsum``, with the output named: ``"ij,jk->ik"``. No letter twice in one operand.
    a, b : array, Ball or Noisy

    Returns
    -------
    array, Ball or Noisy

    Examples
    --------
    >>> contracted("ij,jk->ik", np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """

    def product(left: FloatArray, right: FloatArray) -> FloatArray:
        return np.einsum(subscripts, left, right, optimize=True)  # type: ignore[no-any-return]

    if not isinstance(a, Ball | Noisy) and isinstance(b, Ball | Noisy):
        a = type(b).exact(a, b.u if isinstance(b, Ball) else b.rounding)  # type: ignore[arg-type]
    if not isinstance(a, Ball | Noisy):
        return product(a, b)
    operands, result = subscripts.split("->")
    left, right = operands.split(",")
    sizes = dict(zip(left + right, (*a.shape, *b.shape), strict=True))
    return a.bilinear(b, product, math.prod(size for letter, size in sizes.items() if letter not in result))


def padded(numbers: Any, widths: Sequence[tuple[int, int]]) -> Any:
    """Zeros before and after, along every axis.

    Examples
    --------
    >>> padded(np.array([[1.0]]), [(0, 0), (1, 2)])
    array([[0., 1., 0., 0.]])
    """
    return rearranged(numbers, lambda array: np.pad(array, widths))


def windows(numbers: Any, kernel: Sequence[int], stride: Sequence[int], *, first: int) -> Any:
    """All places of a kernel on a few axes: those axes become places, the places within the kernel come last.

    Parameters
    ----------
    numbers : array, Ball or Noisy
        Of shape (…, *sizes, …).
    kernel, stride : sequence of int
        For each of the axes ``first``, ``first + 1``, ….
    first : int

    Returns
    -------
    array, Ball or Noisy
        Of shape (…, *places, …, *kernel), read-only.

    Examples
    --------
    >>> windows(np.arange(5.0), [3], [2], first=0)
    array([[0., 1., 2.],
           [2., 3., 4.]])
    """
    axes = tuple(range(first, first + len(kernel)))
    steps = (*[slice(None)] * first, *(slice(None, None, step) for step in stride))
    return rearranged(
        numbers, lambda array: np.lib.stride_tricks.sliding_window_view(array, tuple(kernel), axes)[steps]
    )


def dilated(numbers: Any, stride: Sequence[int], *, first: int) -> Any:
    """Zeros between the entries: along each of a few axes, entry p moves to stride·p.

    Examples
    --------
    >>> dilated(np.array([1.0, 2.0]), [3], first=0)
    array([1., 0., 0., 2.])
    """

    def view(array: FloatArray) -> FloatArray:
        shape, places = list(array.shape), [slice(None)] * array.ndim
        for axis, step in enumerate(stride, first):
            shape[axis] = step * (shape[axis] - 1) + 1
            places[axis] = slice(None, None, step)
        spread = np.zeros(shape, dtype=array.dtype)
        spread[tuple(places)] = array
        return spread

    return rearranged(numbers, view)
