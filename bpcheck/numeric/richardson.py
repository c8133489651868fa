"""Richardson extrapolation as plain weights: an entry of the table is a weighted sum of its rungs."""

from __future__ import annotations

from functools import cache

import numpy as np

from bpcheck.tree import FloatArray

__all__ = ["weights", "windows"]


@cache
def weights(columns: int, first_power: int, apart: int = 2) -> tuple[FloatArray, ...]:
    """Weights of the columns 0 … ``columns`` for steps h, h/2, h/4, …, coarsest first.

    Column q removes the first q terms of the error, in h^p, h^(p+a), h^(p+2a), … with p = ``first_power``
    and a = ``apart``: 2 and 2 for a central difference (errors h², h⁴, …), 1 and 2 for the jump of the
    slope (h, h³, …), 1 and 1 for a one-sided difference (h, h², …).

    Parameters
    ----------
    columns, first_power, apart : int
    first_power : int

    Returns
    -------
    tuple of arrays
        The q-th has q + 1 weights, which sum to 1.

    Notes
    -----
    Source: with T(h) = T + c h^p + …, (2^p T(h/2) − T(h)) / (2^p − 1) has no h^p term; repeat.

    Examples
    --------
    >>> [w.round(4).tolist() for w in weights(1, 2)]
    [[1.0], [-0.3333, 1.3333]]
    >>> weights(2, 1, 1)[2].round(4).tolist()
    [0.3333, -2.0, 2.6667]
    """
    found = [np.ones(1)]
    for q in range(1, columns + 1):
        gain = 2.0 ** (first_power + apart * (q - 1))
        previous = found[-1]
        found.append((gain * np.append(0.0, previous) - np.append(previous, 0.0)) / (gain - 1.0))
    for array in found:
        array.setflags(write=False)
    return tuple(found)


def windows(values: FloatArray, q: int) -> FloatArray:
    """All runs of q + 1 consecutive rungs, one a row: row k ends at rung k + q.

    A view of ``values``, which must be contiguous.

    Notes
    -----
    What :func:`numpy.lib.stride_tricks.sliding_window_view` gives, without its checks: it was half of the time
    of a judgement (18,920 calls of 24 µs in one check of 128 directions).

    Examples
    --------
    >>> windows(np.array([4.0, 2.0, 1.0]), 1)
    array([[4., 2.],
           [2., 1.]])
    """
    (step,) = values.strides
    return np.ndarray((len(values) - q, q + 1), values.dtype, values, strides=(step, step))
