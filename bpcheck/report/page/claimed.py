"""The caller's δ. A backward pass hands out gradients, not its δ; two things give it away.

A bug of the catalogue that reproduces the gradient (its δ is then run again), or a batch of a single example, where the
bias gradient of a dense layer is δ itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis import CATALOGUE, Observation
from bpcheck.diagnosis.bug import Bug
from bpcheck.diagnosis.hypothesis import standing
from bpcheck.diagnosis.layers.dense.steps import Forward, Rules, forward
from bpcheck.diagnosis.observation import ROUNDINGS
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import is_dense_chain
from bpcheck.report.page.layers.kinds import kind_of
from bpcheck.report.page.replayed import Layer, close, rounding, walked
from bpcheck.result import Comparison, Report
from bpcheck.tree import rms

__all__ = ["BY_BIAS", "BY_BUG", "UNKNOWN", "claimed"]

DOUBLE, BFLOAT16 = 2.0**-53, 2.0**-8
"""Roundoff of the finest and of the coarsest arithmetic that is checked."""

BY_BUG = "run again with the mistake that was named, which gives your gradient"
BY_BIAS = "read off your bias gradient: with one example in the batch it is δ itself"
UNKNOWN = "not known: your function returns gradients, not δ"


def claimed(
    report: Report, case: Case, layers: Sequence[Layer], given: Mapping[str, Comparison], factor: float
) -> tuple[dict[str, Any], str]:
    """The caller's δ by layer, where it is known, and how it is known, in words.

    Parameters
    ----------
    report : Report
    case : Case
    layers : sequence of Layer
    given : mapping of str to Comparison
        By path, in our layout.
    factor : float
        The unit of the caller's cost over ours.

    Returns
    -------
    dict of str to array
    str
    """
    bugs = [CATALOGUE[slug] for slug in {d.bug: None for d in report.diagnoses} if slug in CATALOGUE]
    if bugs and is_dense_chain(case.architecture):
        deltas = _with_bugs(bugs, case, given, factor)
        if deltas is not None:
            return {layer.key: delta for layer, delta in zip(layers, deltas, strict=True)}, BY_BUG
    penalized = case.architecture.penalize_bias and (case.architecture.l1 or case.architecture.l2)
    if case.batch == 1 and not penalized:
        read = {layer.key: kind_of(layer.spec).read_off(layer, case, factor) for layer in walked(layers)}
        known = {key: delta for key, delta in read.items() if delta is not None}
        if known:
            return known, BY_BIAS
    return {}, UNKNOWN


def _roundoff(comparisons: Iterable[Comparison]) -> float:
    """About the roundoff of the caller's arithmetic, which a report does not hold: from how wide the bounds are."""
    ratios = [
        rounding(c) / rms(c.expected) for c in comparisons if c.expected is not None and rms(c.expected) > 0.0
    ]
    return max(DOUBLE, min(BFLOAT16, float(np.median(ratios or [0.0])) / ROUNDINGS))


def _observed(case: Case, given: Mapping[str, Comparison], factor: float) -> Observation | None:
    """What was seen at this case; None where a tensor is missing or has no finite numbers."""
    mine, right = {}, {}
    for path, _ in tree.leaves(case.params, "params"):
        comparison = given.get(str(path))
        if comparison is None or comparison.actual is None or comparison.expected is None:
            return None
        mine[path], right[path] = comparison.actual / factor, comparison.expected / factor
    if not all(np.isfinite(array).all() for array in (*mine.values(), *right.values())):
        return None
    return Observation(case, mine, right, _roundoff(given.values()))


def _with_bugs(
    bugs: list[Bug], case: Case, given: Mapping[str, Comparison], factor: float
) -> list[Any] | None:
    """Every δ of a backward pass with the bugs that were named; None if it does not give the caller's gradient here."""
    seen = _observed(case, given, factor)
    if seen is None:
        return None
    f, found = forward(case), None
    for hypothesis in standing([seen], bugs):
        deltas = _deltas(f, hypothesis.rules)
        if deltas is None or (found is not None and not _alike(found, deltas)):
            return None  # two explanations with different δ: which one it was is not known
        found = deltas
    return None if found is None else [delta * factor for delta in found]


def _deltas(f: Forward, rules: Rules) -> list[Any] | None:
    deltas: list[Any] = [np.empty(0)] * len(f.z)
    with np.errstate(all="ignore"):
        deltas[f.top] = np.asarray(rules.bp1(f), dtype=float)
        for k in range(f.top - 1, -1, -1):
            deltas[k] = np.asarray(rules.bp2(f, k, deltas), dtype=float)
    fits = all(delta.shape == z.shape for delta, z in zip(deltas, f.z, strict=True))
    return deltas if fits else None  # some mistakes make a δ of another shape, which has no unit to stand in


def _alike(first: list[Any], second: list[Any]) -> bool:
    return all(bool(np.all(close(one, two))) for one, two in zip(first, second, strict=True))
