"""Patterns: wrong in one entry, for one example, rounded on the way, or in an entry that is no number.

These need no formula of the mistake; they are seen in the numbers that are wrong, and must be seen
in the same form in every case that is wrong.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence

import numpy as np

from bpcheck.diagnosis.observation import ROUNDINGS, Observation
from bpcheck.network.dense_chain import dense_chain
from bpcheck.precision import FORMATS, rounded
from bpcheck.result import Comparison
from bpcheck.tree import FloatArray, Path, rms
from bpcheck.verdict import Verdict

__all__ = ["not_finite", "pattern", "wrong_shape"]

SHAPES = re.compile(r"its gradient has shape (\(.*?\)), but the parameter has shape (\(.*?\))")
"""How check/structure.py says that a shape is wrong."""

FEWEST_ENTRIES = 4
"""Of fewer entries one is always alone or nearly so."""

MOST_LEFT = 1e-2
"""What may be left of a difference, relative to it, beside one example's share, however large the rounding of the gradient
is beside the difference: another direction leaves anything between 0 and 1, one in a hundred of them less than this in
each of the cases, which must all fit."""

ROUNDINGS_STORED = 2.0
"""A number stored once in a format is off by one roundoff; computed from such numbers, by some more: those are not named."""


def not_finite(comparisons: Sequence[Comparison]) -> tuple[str, str] | None:
    """Slug and evidence if a single entry is NaN or infinite."""
    found = []
    for comparison in comparisons:
        if comparison.verdict is Verdict.NONFINITE and comparison.actual is not None:
            values = np.asarray(comparison.actual, dtype=float)
            found += [(comparison, tuple(i), values[tuple(i)]) for i in np.argwhere(~np.isfinite(values))]
    entries = sum(np.size(c.actual) for c in comparisons if c.actual is not None and c.path != "loss")
    if len(found) != 1 or entries < FEWEST_ENTRIES or found[0][0].path == "loss":
        return None
    comparison, index, value = found[0]
    place = ", ".join(str(int(i)) for i in index)
    slug = "nan-entry" if np.isnan(value) else "inf-entry"
    return slug, f"{comparison.path}[{place}] is {value}; every other entry is finite"


def wrong_shape(comparisons: Sequence[Comparison]) -> tuple[str, str] | None:
    """Slug and evidence if gradients of another shape than their parameters would pass in an update unnoticed."""
    for comparison in comparisons:
        found = SHAPES.search(comparison.reason) if comparison.verdict is Verdict.WRONG_STRUCTURE else None
        if found is None:
            continue
        claimed, right = ast.literal_eval(found[1]), ast.literal_eval(found[2])
        shapes = f"{comparison.path} has the shape {right}, its gradient {claimed}"
        if len(claimed) == len(right) == 2 and claimed == right[::-1]:
            return "outer-transposed", f"{shapes}: transposed"
        if _broadcasts(claimed, right):
            return (
                "wrong-shape-broadcasts",
                f"{shapes}: NumPy would broadcast one to the other without a word",
            )
    return None


def _broadcasts(claimed: tuple[int, ...], right: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(claimed, right)
    except ValueError:
        return False
    return True


def pattern(observations: Sequence[Observation]) -> tuple[str, str] | None:
    """Slug and evidence of the pattern that all wrong observations show; None if there is none.

    Parameters
    ----------
    observations : sequence of Observation

    Returns
    -------
    (slug, evidence) or None
    """
    wrong = [observation for observation in observations if observation.wrong]
    if not wrong:
        return _rounded_on_the_way(observations)
    for look in (_rounded_on_the_way, _one_entry, _one_example):
        found = look(wrong)
        if found is not None:
            return found
    return None


def _one_entry(wrong: Sequence[Observation]) -> tuple[str, str] | None:
    zeros, sentence = 0, ""
    for observation in wrong:
        marked = observation.wrong
        if sum(int(entries.sum()) for entries in marked.values()) != 1:
            return None
        if sum(values.size for values in observation.right.values()) < FEWEST_ENTRIES:
            return None
        path, entries = next(iter(marked.items()))
        index = tuple(int(i[0]) for i in np.nonzero(entries))
        claimed, right = float(observation.claimed[path][index]), float(observation.right[path][index])
        zeros += claimed == 0.0
        place = f"{path}[{', '.join(map(str, index))}]" if index else str(path)
        sentence = sentence or f"{place} is {claimed:.6g}, not {right:.6g}; every other entry is right"
    cases = f" (and so in {len(wrong)} cases)" if len(wrong) > 1 else ""
    slug = "never-written-entry" if zeros == len(wrong) else "one-entry-wrong"
    return slug, sentence + cases


def _one_example(wrong: Sequence[Observation]) -> tuple[str, str] | None:
    """The first layer's weights tell the examples apart: each adds δ_i x_iᵀ."""
    sentence, telling = "", 0
    several = [observation for observation in wrong if observation.case.batch > 1]
    for observation in several:
        path = next(iter(observation.right))  # params[0]['weight'], unless it was set aside
        if observation.right[path].shape != (
            dense_chain(observation.case.architecture).widths[1],
            observation.case.x.shape[1],
        ):
            return None
        x = np.asarray(observation.case.x, dtype=float)
        difference = np.asarray(observation.claimed[path] - observation.right[path])
        if x.shape[1] < 2:
            return None
        if path not in observation.wrong:  # the example's error did not come down so far: a ReLU was off
            continue
        telling += 1
        # the difference is rounded as the gradient is
        rounding = ROUNDINGS * observation.roundoff * rms(np.asarray(observation.right[path]))
        least = min(rounding / rms(difference), MOST_LEFT)
        fitting = [i for i in range(len(x)) if _left_beside(difference, x[i]) <= least]
        if len(fitting) != 1:
            return None
        amount = difference @ x[fitting[0]]
        sentence = sentence or (
            f"what is wrong with {path} is in proportion to example {fitting[0]} of the batch (counted from 0) alone"
            if amount.any()
            else ""
        )
    if not sentence or 2 * telling <= len(several):
        return None
    return "one-example-wrong", sentence


def _left_beside(difference: FloatArray, x: FloatArray) -> float:
    """What is left of a matrix, relative to it, when its part in proportion to a row is taken off."""
    norm = float(x @ x)
    if norm == 0.0:
        return np.inf
    rest = difference - np.outer(difference @ x / norm, x)
    return rms(rest) / rms(difference)


def _rounded_on_the_way(observations: Sequence[Observation]) -> tuple[str, str] | None:
    for name in ("float32", "float16"):
        if all(_is_stored(o.claimed, o.right, name) for o in observations if o.claimed):
            return f"cast-to-{name}", f"every number is the right one, rounded to {name}"
    return None


def _is_stored(claimed: Mapping[Path, FloatArray], right: Mapping[Path, FloatArray], name: str) -> bool:
    u, least = ROUNDINGS_STORED * 2.0 ** -FORMATS[name].digits, float(np.finfo(name).smallest_subnormal)
    return any(values.any() for values in right.values()) and all(
        np.array_equal(rounded(values, name), values)
        and bool(np.all(abs(values - right[path]) <= u * abs(right[path]) + least))
        for path, values in claimed.items()
    )
