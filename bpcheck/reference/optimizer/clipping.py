"""Clipping a gradient: by value, by the norm of each tensor, by the norm of all together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.options import positive
from bpcheck.tree import Tree

__all__ = ["clip_by_global_norm", "clip_by_norm", "clip_by_value", "global_norm"]


def global_norm(gradient: Tree) -> float:
    """‖g‖₂ over all entries of all tensors.

    Computed in float64, and scaled, so that squares neither overflow nor vanish.

    Examples
    --------
    >>> global_norm([np.array([3.0]), np.array([[4.0]])])
    5.0
    """
    return math.hypot(*(_norm(leaf) for _, leaf in tree.leaves(gradient)))


def clip_by_value(gradient: Tree, limit: float) -> Tree:
    """Every entry into [−limit, limit]: cheap, and the direction changes.

    Parameters
    ----------
    gradient : tree of arrays
    limit : float
        Positive.

    Returns
    -------
    tree of arrays

    Examples
    --------
    >>> clip_by_value(np.array([3.0, -4.0]), 3.5)
    array([ 3. , -3.5])
    """
    bound = positive("limit", limit)
    return _each(gradient, lambda leaf: np.clip(leaf, -bound, bound))


def clip_by_norm(gradient: Tree, limit: float, *, margin: float = 0.0) -> Tree:
    """Each tensor scaled down to ‖·‖₂ ≤ limit, if it is longer: its direction stays, that of all together may change.

    ``margin`` is added to the norm, as torch adds 1e-6.

    Examples
    --------
    >>> clip_by_norm([np.array([3.0, 4.0]), np.array([1.0])], 2.5)
    [array([1.5, 2. ]), array([1.])]
    """
    bound = positive("limit", limit)
    return _each(gradient, lambda leaf: leaf * _factor(_norm(leaf) + margin, bound))


def clip_by_global_norm(gradient: Tree, limit: float, *, margin: float = 0.0) -> Tree:
    """All tensors scaled by one factor, so that ‖g‖₂ of all together is at most limit: the direction stays.

    ``margin`` is added to the norm, as torch adds 1e-6.

    Notes
    -----
    Source: Pascanu, Mikolov and Bengio, *On the difficulty of training recurrent neural networks*, ICML 2013.

    Examples
    --------
    >>> clip_by_global_norm([np.array([3.0]), np.array([4.0])], 2.5)
    [array([1.5]), array([2.])]
    """
    factor = _factor(global_norm(gradient) + margin, positive("limit", limit))
    return _each(gradient, lambda leaf: leaf * factor)


def _norm(leaf: Any) -> float:
    values = np.asarray(leaf, dtype=float).ravel()
    largest = float(np.max(abs(values), initial=0.0))
    if largest == 0.0 or not math.isfinite(largest):
        return largest if largest == largest else math.nan
    return largest * float(np.linalg.norm(values / largest))


def _factor(norm: float, limit: float) -> float:
    if not math.isfinite(norm):
        raise InputError(
            f"the gradient's norm is {norm}: there is nothing to clip to; look for what overflowed."
        )
    return limit / norm if norm > limit else 1.0


def _each(gradient: Tree, change: Any) -> Tree:
    return tree.restore(gradient, [np.asarray(change(leaf)) for _, leaf in tree.leaves(gradient)])
