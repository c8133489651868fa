"""Patterns: wrong in one entry, for one example, rounded on the way, or in an entry that is no number.

These need no formula of the mistake; they are seen in the numbers that are wrong, and must be seen
in the same form in every case that is wrong.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis.observation import ROUNDINGS, Observation
from bpcheck.network.architecture import Architecture
from bpcheck.network.layers import Dense, Flatten
from bpcheck.network.names import places
from bpcheck.precision import FORMATS, rounded, told_apart
from bpcheck.reference import build
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
    wrong = [c for c in comparisons if c.verdict is Verdict.NONFINITE and c.actual is not None]
    if len(wrong) != 1 or wrong[0].path == "loss" or _entries(comparisons) < FEWEST_ENTRIES:
        return None
    values = np.asarray(wrong[0].actual, dtype=float)
    indices = np.argwhere(~np.isfinite(values))
    if len(indices) != 1:
        return None
    value = values[tuple(indices[0])]
    slug = "nan-entry" if np.isnan(value) else "inf-entry"
    return slug, f"{_entry(wrong[0].path, indices[0])} is {value}; every other entry is finite"


def _entries(comparisons: Sequence[Comparison]) -> int:
    return sum(np.size(c.actual) for c in comparisons if c.actual is not None and c.path != "loss")


def _entry(path: object, index: Iterable[int]) -> str:
    return f"{path}[{', '.join(str(int(i)) for i in index)}]"


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
    return _rounded_on_the_way(wrong) or _one_entry(wrong) or _one_example(wrong)


def _one_entry(wrong: Sequence[Observation]) -> tuple[str, str] | None:
    zeros, sentence = 0, ""
    for observation in wrong:
        marked = observation.wrong
        if sum(int(entries.sum()) for entries in marked.values()) != 1:
            return None
        if sum(values.size for values in observation.right.values()) < FEWEST_ENTRIES:
            return None
        path, entries = next(iter(marked.items()))
        index = tuple(np.argwhere(entries)[0])
        claimed, right = float(observation.claimed[path][index]), float(observation.right[path][index])
        zeros += claimed == 0.0
        place = _entry(path, index) if index else str(path)
        yours, other = told_apart(claimed, right)
        sentence = sentence or f"{place} is {yours}, not {other}; every other entry is right"
    cases = f" (and so in {len(wrong)} cases)" if len(wrong) > 1 else ""
    slug = "never-written-entry" if zeros == len(wrong) else "one-entry-wrong"
    return slug, sentence + cases


def _one_example(wrong: Sequence[Observation]) -> tuple[str, str] | None:
    several = [observation for observation in wrong if observation.case.batch > 1]
    said = [_in_proportion(observation) for observation in several]
    told = [sentence for sentence in said if sentence]
    if None in said or 2 * len(told) <= len(several):
        return None
    return "one-example-wrong", told[0]


def _in_proportion(observation: Observation) -> str | None:
    """Which example alone what is wrong is in proportion to; empty where nothing can be seen, None if to none."""
    path = _fed_by_the_input(observation.case.architecture)
    if path is None:
        return _to_its_gradient(observation)
    x = np.asarray(observation.case.x, dtype=float).reshape(observation.case.batch, -1)
    if path not in observation.right or x.shape[1] < 2:
        return None
    if path not in observation.wrong:  # the example's error did not come down so far: a ReLU was off
        return ""
    right = np.asarray(observation.right[path])
    # the weights tell the examples apart: each adds δ_i x_iᵀ
    example = _only_one(observation, observation.claimed[path] - right, right, x)
    if example is None:
        return None
    return (
        f"what is wrong with {path} is in proportion to example {example} of the batch (counted from 0) alone"
    )


def _to_its_gradient(observation: Observation) -> str | None:
    """The same where the first layer does not tell examples apart: one that counts twice, or not at all."""
    case = observation.case
    network = build(case.architecture.without_penalty)
    rows = []
    for i in range(case.batch):
        own = dict(tree.leaves(network.gradient(case.params, case.x[i : i + 1], case.y[i : i + 1])))
        rows.append(np.concatenate([own[path].ravel() for path in observation.right]))
    right = np.concatenate([array.ravel() for array in observation.right.values()])
    claimed = np.concatenate([observation.claimed[path].ravel() for path in observation.right])
    example = _only_one(observation, (claimed - right)[None, :], right, np.array(rows))
    if example is None:
        return None
    return f"what is wrong is in proportion to the gradient of example {example} of the batch (counted from 0) alone"


def _only_one(
    observation: Observation, difference: FloatArray, right: FloatArray, rows: FloatArray
) -> int | None:
    """The one row that all rows of a difference are in proportion to, if there is one."""
    # the difference is rounded as the gradient is
    rounding = ROUNDINGS * observation.roundoff * rms(right)
    least = min(rounding / rms(difference), MOST_LEFT)
    fitting = [i for i, row in enumerate(rows) if _left_beside(difference, row) <= least]
    return fitting[0] if len(fitting) == 1 else None


def _fed_by_the_input(architecture: Architecture) -> Path | None:
    """The weights of a dense layer that x comes to, as it is or flattened."""
    for place in places(architecture):
        if isinstance(place.layer, Dense):
            return place.path.item("weight")
        if not isinstance(place.layer, Flatten):
            break
    return None


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
