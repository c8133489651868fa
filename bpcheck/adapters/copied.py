"""A deep copy of an object in which arrays that share memory still do."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from bpcheck.errors import InputError
from bpcheck.tree import FloatArray

__all__ = ["copied"]


def copied(obj: Any) -> Any:
    """A deep copy in which views still look into the copy of what they looked into.

    Raises
    ------
    InputError
        If the object holds something that cannot be copied.

    Examples
    --------
    >>> class Net:
    ...     def __init__(self):
    ...         self.flat = np.zeros(4)
    ...         self.W = self.flat.reshape(2, 2)
    >>> net = copied(Net())
    >>> net.W[...] = 1.0
    >>> net.flat
    array([1., 1., 1., 1.])
    """
    memo: dict[int, Any] = {}
    for array in _arrays_in(obj, set()):
        base = array.base
        if isinstance(base, np.ndarray) and base.flags.forc:
            fresh = memo.setdefault(id(base), base.copy(order="K"))
            memo[id(array)] = _same_view(array, base, fresh)
    try:
        return copy.deepcopy(obj, memo)
    except (TypeError, RuntimeError) as error:
        raise InputError(
            f"the object ({type(obj).__name__}) cannot be copied: {error}. Keep only arrays and plain values in it, or "
            "write a function (params, x, y) -> (loss, gradient) around it."
        ) from error


def _same_view(array: FloatArray, base: FloatArray, fresh: FloatArray) -> FloatArray:
    start = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    buffer = fresh.reshape(-1, order="A")  # a view: what owns its memory lies in one piece
    return np.ndarray(array.shape, array.dtype, buffer=buffer, offset=start, strides=array.strides)


def _arrays_in(node: Any, seen: set[int]) -> list[FloatArray]:
    """Every array that can be reached through attributes and containers."""
    if id(node) in seen:
        return []
    seen.add(id(node))
    if isinstance(node, np.ndarray):
        return [node]
    inner = list(node.values()) if isinstance(node, dict) else []
    inner += list(node) if isinstance(node, list | tuple | set) else []
    inner += list(getattr(node, "__dict__", {}).values()) if not isinstance(node, type) else []
    return [array for value in inner for array in _arrays_in(value, seen)]
