"""What a wrong gradient is, where nothing is known but numbers: no network, no equations, a loss as a black box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bpcheck.check.location import as_factor, times
from bpcheck.precision import FORMATS, rounded, told_apart
from bpcheck.result import Comparison
from bpcheck.tree import FloatArray
from bpcheck.verdict import Verdict

__all__ = ["Recognised", "recognise"]

FEWEST_ENTRIES = 4
"""Of fewer entries one is always alone, or nearly so."""

SHARED = 1e-6
"""Two tensors share a factor if theirs agree to this, or to what their bars leave open."""

NAMES = {"-1 times": "sign-flipped", "2 times": "factor-two", "1/2 times": "factor-half"}
"""Factors that are a bug of the catalogue by themselves."""

EXAMPLES = "(axis 0 of args["
"""What a factor is named after if it is the number of examples."""


@dataclass(frozen=True)
class Recognised:
    """One wrong tensor, recognised.

    Attributes
    ----------
    bug : str
        Slug of the catalogue, where it has one for this.
    text : str
        What the tensor is, in words.
    factor, doubt : float
        Claimed over right, and how far it may be off; NaN where the two are not in proportion.
    """

    bug: str
    text: str
    factor: float = np.nan
    doubt: float = 0.0


def recognise(comparisons: Sequence[Comparison], sizes: Mapping[str, int]) -> tuple[str, tuple[str, ...]]:
    """The bug that all wrong tensors share, if they do, and a sentence for each.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Of a gradient of which every entry was measured.
    sizes : mapping of str to int
        Lengths that a factor may be equal to, by what they are lengths of.

    Returns
    -------
    (slug, sentences)
        The slug is empty where no bug is all there is.

    Examples
    --------
    >>> right, none = np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4)
    >>> wrong = Comparison("w", Verdict.DISAGREES, actual=-right, expected=right, bound=none)
    >>> recognise([wrong], {})
    ('sign-flipped', ('w is -1 times what it should be',))
    """
    measured = [c for c in comparisons if _is_measured(c)]
    wrong = [c for c in measured if c.verdict is Verdict.DISAGREES]
    if not wrong or len(wrong) < sum(c.verdict is Verdict.DISAGREES for c in comparisons):
        return "", ()  # of some tensors too little is known
    found = [(c, _one(c, measured, sizes)) for c in wrong]
    sentences = tuple(f"{c.label} {r.text}" for c, r in found if r is not None)
    bugs = {r.bug if r is not None else "" for _, r in found}
    factors = [r.factor for _, r in found if r is not None]
    if len(bugs) != 1 or (len(wrong) > 1 and not _shared(found) and np.isfinite(factors).any()):
        return "", sentences
    bug = bugs.pop()
    everything = len(wrong) == len(measured)
    if np.isfinite(factors).all() and len(wrong) > 1 and len(sentences) == len(wrong):
        scope = "every tensor" if everything else f"each of the {len(wrong)} wrong tensors"
        first = found[0][1]
        assert first is not None
        return bug, (f"{scope} {first.text}",)
    return bug, sentences


def _is_measured(comparison: Comparison) -> bool:
    """Whether it holds a tensor entry by entry, not lines through one."""
    return (
        comparison.actual is not None
        and comparison.expected is not None
        and comparison.bound is not None
        and " along " not in comparison.path
    )


def _shared(found: Sequence[tuple[Comparison, Recognised | None]]) -> bool:
    factors = [(r.factor, r.doubt) for _, r in found if r is not None and np.isfinite(r.factor)]
    if len(factors) != len(found):
        return False
    (first, doubt), *others = factors
    return all(abs(f - first) <= SHARED * abs(first) + d + doubt for f, d in others)


def _one(comparison: Comparison, all_: Sequence[Comparison], sizes: Mapping[str, int]) -> Recognised | None:
    actual, expected, bound = (
        np.asarray(v) for v in (comparison.actual, comparison.expected, comparison.bound)
    )
    known = np.isfinite(expected) & np.isfinite(bound)
    if not known.all() or not actual.size:
        return None
    wrong = ~(abs(actual - expected) <= bound)
    return (
        _zero(actual)
        or _other(comparison, actual, all_)
        or _factor(actual, expected, bound, sizes)
        or _cast(actual, expected, bound)
        or _part(actual, expected, wrong)
    )


def _zero(actual: FloatArray) -> Recognised | None:
    return None if actual.any() else Recognised("", "is 0 everywhere, and should not be")


def _factor(
    actual: FloatArray, expected: FloatArray, bound: FloatArray, sizes: Mapping[str, int]
) -> Recognised | None:
    square = float(np.sum(expected * expected))
    if actual.size < 2 or square == 0.0:
        return None
    c = float(np.sum(actual * expected)) / square
    if not (abs(actual - c * expected) <= (1.0 + abs(c)) * bound).all():
        return None
    doubt = (1.0 + abs(c)) * float(np.sum(bound * abs(expected))) / square
    words = times(c, doubt, sizes)
    bug = NAMES.get(words, "")
    if EXAMPLES in words:
        bug = "averaged-twice" if "/" in words else "sum-for-mean"
    return Recognised(bug, as_factor(words), c, doubt)


def _other(comparison: Comparison, actual: FloatArray, all_: Sequence[Comparison]) -> Recognised | None:
    """The transpose, or another tensor's gradient."""
    expected, bound = np.asarray(comparison.expected), np.asarray(comparison.bound)
    square = expected.ndim == 2 and expected.shape[0] == expected.shape[1] > 1
    if square and (abs(actual - expected.T) <= bound.T).all():
        return Recognised("outer-transposed", "is the transpose of what it should be")
    for other in all_:
        theirs, its = np.asarray(other.expected), np.asarray(other.bound)
        if other is comparison or theirs.shape != actual.shape or actual.size < 2:
            continue
        if (abs(actual - theirs) <= its).all():
            return Recognised("swapped-layers", f"holds the gradient of {other.label}")
    return None


def _cast(actual: FloatArray, expected: FloatArray, bound: FloatArray) -> Recognised | None:
    for name in ("float32", "float16"):
        u, least = 2.0 ** -FORMATS[name].digits, float(np.finfo(name).smallest_subnormal)
        stored = np.array_equal(rounded(actual, name), actual)
        if stored and (abs(actual - expected) <= bound + u * abs(expected) + least).all():
            return Recognised(f"cast-to-{name}", f"is right, but rounded to {name}")
    return None


def _part(actual: FloatArray, expected: FloatArray, wrong: FloatArray) -> Recognised | None:
    """One entry, one row, one column."""
    if wrong.size < FEWEST_ENTRIES:
        return None
    index = np.argwhere(wrong)
    place = ", ".join(str(int(i)) for i in index[0])
    if len(index) == 1:
        at = tuple(index[0])
        slug = "never-written-entry" if actual[at] == 0.0 else "one-entry-wrong"
        yours, right = told_apart(float(actual[at]), float(expected[at]))
        text = f"is wrong in one entry: [{place}] is {yours}, not {right}"
        return Recognised(slug, text)
    if wrong.ndim != 2:
        return None
    for axis, word in ((0, "row"), (1, "column")):
        lines = np.unique(index[:, axis])
        if len(lines) == 1 and wrong.shape[axis] > 1:
            return Recognised("", f"is wrong in {word} {int(lines[0])} alone")
    return None
