"""The same numbers, laid out otherwise in memory: what a transpose, a slice or a Fortran library hands over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.subject import Answer, Subject
from bpcheck.tree import Tree

__all__ = ["FIX", "LAYOUTS", "OVERWRITTEN", "Layout", "laid_out", "overwritten", "refused"]

FIX = (
    "Where the order in memory matters (a.ravel(order='K'), a pointer through ctypes, .view(), a.data) put "
    "a = np.ascontiguousarray(a) first; np.reshape, np.ravel and @ go by index and need nothing."
)
"""What to do about code that reads memory in the wrong order."""

OVERWRITTEN = (
    "{path} of an earlier call changed when the function was called again: it returns the same array every time, so "
    "whoever keeps a gradient (momentum, a sum over batches) finds another one there. Return new arrays, or copies of "
    "your buffers."
)
"""The warning about results that do not last; ``path`` is the tensor."""


@dataclass(frozen=True)
class Layout:
    """One way to lay an array out.

    Attributes
    ----------
    name : str
        Ends "the gradient of w …".
    words : str
        Ends "the same numbers were handed over …".
    make : callable
        From an array to an equal one, in memory of its own.
    least : int
        Axes that an array needs for this to be another layout than C order.
    """

    name: str
    words: str
    make: Callable[[Any], Any]
    least: int

    def differs(self, given: Tree) -> bool:
        """Whether anything of what is given would lie otherwise in memory.

        Examples
        --------
        >>> LAYOUTS[0].differs([np.ones(3), 0.5]), LAYOUTS[1].differs([np.ones(3), 0.5])
        (False, True)
        """
        return any(
            type(leaf) is np.ndarray and sum(n > 1 for n in leaf.shape) >= self.least
            for _, leaf in tree.leaves(given)
        )


def _fortran(array: Any) -> Any:
    return np.array(array, order="F")


def _strided(array: Any) -> Any:
    """Every second column of a wider array; in the gaps lies what no right code can have read."""
    if not array.ndim:
        return np.array(array)
    gaps = np.nan if array.dtype.kind == "f" else _largest(array.dtype)
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), gaps, dtype=array.dtype)
    view = wide[..., ::2]
    view[...] = array
    return view


def _largest(dtype: Any) -> Any:
    return np.iinfo(dtype).max if dtype.kind in "iu" else np.zeros((), dtype)[()]


LAYOUTS = (
    Layout("in Fortran order", "in Fortran order, column after column, as a transpose has them", _fortran, 2),
    Layout("as a view with gaps", "as a view with gaps, as a slice like a[:, ::2] is one", _strided, 1),
)


def laid_out(subject: Subject, layout: Layout) -> Subject:
    """The subject, handed its parameters and arguments in another layout.

    Only plain NumPy arrays are laid out anew; whatever else an argument is, it stays as it is.

    Parameters
    ----------
    subject : Subject
    layout : Layout

    Returns
    -------
    Subject

    Examples
    --------
    >>> from bpcheck.subject import from_joint
    >>> careless = from_joint(lambda w: (0.0, w.ravel(order="K").reshape(w.shape)))
    >>> laid_out(careless, LAYOUTS[0]).answer(np.array([[1.0, 2.0], [3.0, 4.0]])).gradient
    array([[1., 3.],
           [2., 4.]])
    """

    def answer(params: Tree, *args: Any, **options: Any) -> Answer:
        return subject.answer(_again(params, layout), *(_again(a, layout) for a in args), **options)

    def loss(params: Tree, *args: Any) -> Any:
        assert subject.loss is not None
        return subject.loss(_again(params, layout), *(_again(a, layout) for a in args))

    # anything with these attributes is a subject, whatever its class
    own = None if subject.loss is None else loss
    return Subject(subject.name, answer, own, takes_architecture=subject.takes_architecture)


def _again(given: Tree, layout: Layout) -> Tree:
    return tree.restore(
        given,
        [layout.make(leaf) if type(leaf) is np.ndarray else leaf for _, leaf in tree.leaves(given)],
    )


def refused(name: str, layout: Layout, error: Exception) -> str:
    """The warning about code that raises for a layout: it says so itself, which is no wrong gradient."""
    told = str(error).splitlines()[0].rstrip(" .:")
    return f"{name} does not take the same numbers {layout.words}: {told}. {FIX}"


def overwritten(kept: tuple[tuple[str, Any, Any], ...]) -> str:
    """The warning about results of an earlier call that have changed since, or an empty string.

    Parameters
    ----------
    kept : tuple of (str, array, array)
        Name, the array as it was returned, and a copy made at once.
    """
    for path, array, then in kept:
        if not np.array_equal(array, then, equal_nan=then.dtype.kind in "fc"):
            return OVERWRITTEN.format(path=path)
    return ""
