"""Which entries of a tensor are wrong, as a mask: the same rule by which the tensor was judged."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck.result import Comparison
from bpcheck.verdict import Verdict

__all__ = ["difference", "wrong_entries"]


def difference(comparison: Comparison) -> Any:
    """Yours minus right, entry by entry; empty where either is missing.

    Examples
    --------
    >>> difference(Comparison("w", Verdict.DISAGREES, actual=np.array([1.5]), expected=np.array([1.0])))
    array([0.5])
    """
    if comparison.actual is None or comparison.expected is None:
        return np.empty(0)
    with np.errstate(all="ignore"):
        return np.asarray(comparison.actual - comparison.expected)


def wrong_entries(comparison: Comparison) -> Any:
    """True for every entry that is further from the right value than rounding explains, or is not finite.

    Nothing is marked in a tensor that was not found wrong: at a kink, an entry may lie outside its rounding and be
    right all the same.

    Examples
    --------
    >>> wrong_entries(
    ...     Comparison("w", Verdict.DISAGREES, actual=np.array([1.5, 1.0]), expected=np.ones(2), bound=np.zeros(2))
    ... )
    array([ True, False])
    """
    off = difference(comparison)
    if comparison.verdict.severity <= Verdict.INCONCLUSIVE.severity or not np.size(off):
        return np.zeros(np.shape(off), dtype=bool)
    expected = np.asarray(comparison.expected)
    bound = np.zeros_like(expected) if comparison.bound is None else np.asarray(comparison.bound)
    known = np.isfinite(expected)
    nonfinite = ~np.isfinite(np.asarray(comparison.actual)) & known
    return nonfinite | (known & np.isfinite(bound) & ~(abs(off) <= bound))
