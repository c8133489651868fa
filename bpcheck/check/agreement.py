"""Agreement: does a difference lie within the error bounds, and are they narrow enough to mean it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bpcheck.result import Comparison, DetectionLimit, Testimony
from bpcheck.tree import FloatArray, Path, freeze, rms
from bpcheck.verdict import Verdict

__all__ = ["RESOLUTION", "agree", "detection_limit", "entries", "judge"]

# The relative error (of a tensor's root mean square) that a check must be able to see before it may
# say AGREES. The smallest deliberate factors among the bugs of real code are one weight decay of
# 1e-2 and one lost example in a batch of some hundreds; 1e-3 lies below both. It is a demand on the
# check, not a tolerance: differences are judged by the bounds alone, which are far narrower.
RESOLUTION = 1e-3


def judge(
    path: Path | str,
    actual: Any,
    expected: Any,
    bound: Any,
    *,
    kink: Any = 0.0,
    resolution: float = RESOLUTION,
    fallback: float = 1.0,
    name: str = "",
) -> Comparison:
    """Hold one tensor against what it should be.

    Parameters
    ----------
    path : Path or str
    actual, expected : array
        Claim and right value, of one shape.
    bound : array
        Largest difference that rounding (of both sides) explains.
    kink : array
        How much further a valid choice at a kink may move the value; ``expected`` is then the
        middle of the interval.
    resolution : float
        The relative error that must be visible for AGREES.
    fallback : float
        Size to which a structural zero (a gradient that is zero to rounding) is held.
    name : str
        Book name of the tensor.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> judge("w", np.array([1.0]), np.array([1.0]), np.array([1e-15])).verdict
    <Verdict.AGREES>
    >>> judge("w", np.array([1.1]), np.array([1.0]), np.array([1e-15])).verdict
    <Verdict.DISAGREES>
    >>> judge("w", np.array([1.1]), np.array([1.0]), np.array([0.5])).verdict
    <Verdict.INCONCLUSIVE>
    >>> judge("w", np.array([np.nan]), np.array([1.0]), np.array([0.5])).verdict
    <Verdict.NONFINITE>
    """
    actual, expected = np.asarray(actual, dtype=float), np.asarray(expected, dtype=float)
    bound = np.broadcast_to(np.asarray(bound, dtype=float), expected.shape)
    kink = np.broadcast_to(np.asarray(kink, dtype=float), expected.shape)
    with np.errstate(all="ignore"):
        return _judge(str(path), actual, expected, bound, kink, resolution, fallback, name)


def _judge(
    path: str,
    actual: FloatArray,
    expected: FloatArray,
    bound: FloatArray,
    kink: FloatArray,
    resolution: float,
    fallback: float,
    name: str,
) -> Comparison:
    size = rms(expected)
    is_zero = bool(np.all(abs(expected) <= bound + kink))
    widest = float(bound.max(initial=0.0))
    # An honest difference may use up the whole bound in the other direction: only an error of more
    # than twice the bound is certain to be seen.
    reference_size = fallback if is_zero or size == 0.0 else size
    limit = 2.0 * widest / reference_size if reference_size > 0 else (0.0 if widest == 0.0 else np.inf)
    difference = abs(actual - expected)
    # One entry that cannot be known excuses no other one.
    known = np.isfinite(expected) & np.isfinite(bound) & np.isfinite(kink)
    nonfinite = ~np.isfinite(actual) & np.isfinite(expected)
    beyond = known & ~(difference <= bound + kink)
    wrong = nonfinite if nonfinite.any() else beyond
    ratio = np.where(known, difference / np.maximum(bound + kink, np.finfo(float).tiny), np.inf)
    if wrong.any():
        ratio = np.where(wrong, np.nan_to_num(ratio, nan=np.inf, posinf=np.inf), -1.0)
    worst_flat = int(np.argmax(ratio)) if ratio.size else 0
    worst = tuple(int(i) for i in np.unravel_index(worst_flat, expected.shape)) if ratio.size else ()
    scale, residual = _scale(actual, expected)

    def verdict(which: Verdict, reason: str) -> Comparison:
        return Comparison(
            path,
            which,
            reason,
            freeze(actual),
            freeze(expected),
            freeze(bound),
            worst,
            scale,
            residual,
            float(limit),
            name,
            float(reference_size),
        )

    if not actual.size:
        return verdict(Verdict.AGREES, "it has no entries, so there is nothing to check")
    if nonfinite.any():
        count = int(nonfinite.sum())
        return verdict(
            Verdict.NONFINITE, entries(count, actual.size, "is NaN or infinite", "are NaN or infinite")
        )
    if beyond.any():
        count = int(beyond.sum())
        return verdict(
            Verdict.DISAGREES,
            entries(count, actual.size, "differs by more than its bound", "differ by more than their bounds"),
        )
    if not known.all():
        return verdict(Verdict.INCONCLUSIVE, "the right value or its bound is not finite at this point")
    if limit == np.inf:
        return verdict(
            Verdict.INCONCLUSIVE,
            "it is zero to rounding, and so is all else: no size is known that an error could be compared with",
        )
    if not limit <= resolution:
        reason = f"only relative errors above {limit:.1e} are visible, {resolution:.1e} is asked for"
        return verdict(Verdict.INCONCLUSIVE, reason)
    if kink.any():
        count = int((kink > 0).sum())
        said = entries(count, actual.size, "depends", "depend")
        return verdict(
            Verdict.AGREES_AT_KINK,
            f"{said} on a corner of the loss (as ReLU at 0); each is a valid slope there",
        )
    return verdict(Verdict.AGREES, f"zero to within {widest:.0e}" if is_zero else "")


def entries(count: int, size: int, one: str, several: str) -> str:
    """So many entries of a tensor, with the verb for one and for several.

    Examples
    --------
    >>> [entries(n, 3, "is wrong", "are wrong") for n in (1, 2, 3)], entries(1, 1, "is wrong", "are wrong")
    (['1 of 3 entries is wrong', '2 of 3 entries are wrong', 'all 3 entries are wrong'], 'it is wrong')
    """
    if size == 1:
        return f"it {one}"
    every = "both entries" if size == 2 else f"all {size:,} entries"
    which = every if count == size else f"{count:,} of {size:,} entries"
    return f"{which} {one if count == 1 else several}"


def _scale(actual: FloatArray, expected: FloatArray) -> tuple[float, float]:
    """C of the least-squares fit actual ≈ c·expected, and what it leaves, relative to expected."""
    top = max(float(np.max(abs(expected), initial=0.0)), float(np.max(abs(actual), initial=0.0)))
    if not (np.isfinite(top) and top > 0):
        return float("nan"), float("nan")
    a, e = actual / top, expected / top
    norm = float(np.sum(e * e))
    if norm == 0.0:
        return float("nan"), float("nan")
    c = float(np.sum(a * e)) / norm
    return c, float(np.sqrt(np.sum((a - c * e) ** 2) / norm))


def detection_limit(comparisons: Iterable[Comparison], *, miss_probability: float = 0.0) -> DetectionLimit:
    """The widest limit of each path over all comparisons that could be judged."""
    limits: dict[str, float] = {}
    for comparison in comparisons:
        if np.isfinite(comparison.detection_limit):
            limits[comparison.path] = max(limits.get(comparison.path, 0.0), comparison.detection_limit)
    return DetectionLimit(limits, miss_probability=miss_probability)


def agree(
    first: Testimony, second: Testimony, *, kink: Mapping[Path, FloatArray] | None = None
) -> tuple[Comparison, ...]:
    """Hold two witnesses against each other: loss, then every tensor, within the sum of their bounds.

    Parameters
    ----------
    first, second : Testimony
    kink : mapping of Path to array, optional
        Half-widths of intervals at kinks.

    Returns
    -------
    tuple of Comparison
    """
    comparisons = [judge("loss", first.loss, second.loss, first.loss_error + second.loss_error)]
    fallback = max((rms(array) for array in second.gradient.values()), default=0.0) or 1.0
    for path, expected in second.gradient.items():
        comparisons.append(
            judge(
                path,
                first.gradient[path],
                expected,
                first.error[path] + second.error[path],
                kink=0.0 if kink is None else kink[path],
                fallback=fallback,
            )
        )
    return tuple(comparisons)
