"""Large arrays in pieces: no temporary of the size of a tensor, and sums that stay exact to the last digits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from bpcheck.tree import FloatArray

__all__ = ["blocks", "dot", "norm"]

CHUNK = 2**18
"""Entries in a piece: 2 MB of float64, so that the temporaries of a piece stay in the second-level cache."""


def blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Index tuples that cover an array of this shape once, each piece of at most CHUNK entries.

    Parameters
    ----------
    shape : tuple of int

    Yields
    ------
    tuple of slice
        For the leading axes; the axes not named are whole.

    Examples
    --------
    >>> list(blocks((3, 5)))
    [(slice(0, 3, None),)]
    >>> sum(np.ones((7, 2**18))[piece].size for piece in blocks((7, 2**18))) == 7 * 2**18
    True
    """
    if not shape:
        yield ()
        return
    inner = math.prod(shape[1:])
    if inner > CHUNK:
        for row in range(shape[0]):
            for rest in blocks(shape[1:]):
                yield (slice(row, row + 1), *rest)
        return
    rows = max(1, CHUNK // max(inner, 1))
    for start in range(0, shape[0], rows):
        yield (slice(start, min(start + rows, shape[0])),)


def dot(first: FloatArray, second: FloatArray) -> float:
    """⟨first, second⟩ in float64, each piece by BLAS, the pieces summed exactly.

    Notes
    -----
    The rounding of one running sum over 10^7 terms of random sign is about √n u of the result; of
    pieces it is √CHUNK u, shared by the accumulators of BLAS.

    Examples
    --------
    >>> dot(np.ones((3, 4), np.float32), np.full((3, 4), 0.25))
    3.0
    """
    return math.fsum(
        float(np.dot(_flat(first[piece]), _flat(second[piece]))) for piece in blocks(first.shape)
    )


def norm(array: FloatArray) -> float:
    """‖array‖₂.

    Examples
    --------
    >>> norm(np.array([3.0, 4.0]))
    5.0
    """
    return math.sqrt(dot(array, array))


def _flat(piece: Any) -> FloatArray:
    return np.asarray(piece, dtype=np.float64).reshape(-1)
