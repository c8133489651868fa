"""Richardson extrapolation as plain weights: an entry of the table is a weighted sum of its rungs."""

from __future__ import annotations

from functools import cache

import numpy as np

from bpcheck.tree import FloatArray

__all__ = ["weights", "windows"]


@cache
def weights(columns: int, first_power: int) -> tuple[FloatArray, ...]:
    """Weights of the columns 0 … ``columns`` for steps h, h/2, h/4, …, coarsest first.

    Column q removes the q terms h^p, h^(p+2), … of the error, p = ``first_power``: 2 for a central
    difference (errors h², h⁴, …), 1 for the jump of the slope (errors h, h³, …).

    Parameters
    ----------
    columns : int
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
    """
    found = [np.ones(1)]
    for q in range(1, columns + 1):
        gain = 2.0 ** (first_power + 2 * (q - 1))
        previous = found[-1]
        found.append((gain * np.append(0.0, previous) - np.append(previous, 0.0)) / (gain - 1.0))
    for array in found:
        array.setflags(write=False)
    return tuple(found)


def windows(values: FloatArray, q: int) -> FloatArray:
    """All runs of q + 1 consecutive rungs, one a row: row k ends at rung k + q."""
    return np.lib.stride_tricks.sliding_window_view(values, q + 1)
