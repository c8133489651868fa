"""The caller's δ. A backward pass hands out gradients, not its δ; two things give it away.

A bug of the catalogue that reproduces the gradient (its δ is then run again), or a batch of a single example, where the
bias gradient of a dense layer is δ itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis import CATALOGUE, Observation
from bpcheck.diagnosis.hypothesis import standing
from bpcheck.diagnosis.layers.kinds import knows
from bpcheck.diagnosis.mutant import Mutant
from bpcheck.diagnosis.observation import ROUNDINGS
from bpcheck.diagnosis.step import Forward, Rules
from bpcheck.diagnosis.steps import data_pass, forward
from bpcheck.network.case import Case
from bpcheck.report.page.compared import close, rounding
from bpcheck.report.page.layers.kinds import kind_of
from bpcheck.report.page.replayed import Layer, walked
from bpcheck.result import Comparison, Report
from bpcheck.subject import STEP_RATES
from bpcheck.tree import rms

__all__ = ["BY_BIAS", "BY_BUG", "UNKNOWN", "Claims", "claimed"]

DOUBLE, BFLOAT16 = 2.0**-53, 2.0**-8
"""Roundoff of the finest and of the coarsest arithmetic that is checked."""

BY_BUG = "run again with the mistake that was named, which gives your gradient"
BY_BIAS = "read off your bias gradient: with one example in the batch it is δ itself"
UNKNOWN = "not known: your function returns gradients, not δ"


@dataclass(frozen=True, eq=False)
class Claims:
    """What is known of the caller's backward pass."""

    source: str = UNKNOWN  # how it is known, in words
    # "delta" and the key of a layer: its δ; "below" and the key: the ∂C/∂(input) that it sends down
    known: Mapping[tuple[str, str], Any] = field(default_factory=lambda: MappingProxyType({}))


def claimed(
    report: Report, case: Case, layers: Sequence[Layer], given: Mapping[str, Comparison], factor: float
) -> Claims:
    """What is known of the caller's backward pass.

    ``given`` is by path, in our layout; ``factor`` is the unit of the caller's cost over ours.
    """
    bugs = [CATALOGUE[slug] for slug in {d.bug: None for d in report.diagnoses} if slug in CATALOGUE]
    found = _with_bugs(bugs, case, given, factor) if bugs and knows(case.architecture.layers) else None
    return found or _by_bias(case, layers, factor) or Claims()


def _by_bias(case: Case, layers: Sequence[Layer], factor: float) -> Claims | None:
    """δ of the layers whose gradients give it away."""
    architecture = case.architecture
    if case.batch > 1 or (architecture.penalize_bias and (architecture.l1 or architecture.l2)):
        return None
    read = {
        ("delta", layer.key): kind_of(layer.spec).read_off(layer, case, factor) for layer in walked(layers)
    }
    known = {key: delta for key, delta in read.items() if delta is not None}
    return Claims(BY_BIAS, known) if known else None


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
    # the bug was named already, and of a step only where there is one
    return Observation(case, mine, right, _roundoff(given.values()), rate=STEP_RATES[0])


def _with_bugs(
    bugs: list[Mutant], case: Case, given: Mapping[str, Comparison], factor: float
) -> Claims | None:
    """A backward pass with the bugs that were named; None if it does not give the caller's gradient here."""
    seen = _observed(case, given, factor)
    if seen is None:
        return None
    f, found = forward(case), None
    for hypothesis in standing([seen], bugs):
        claims = _run(f, hypothesis.rules, factor)
        if claims is None or (found is not None and not _alike(found, claims)):
            return None  # two explanations with different δ: which one it was is not known
        found = claims
    return found


def _run(f: Forward, rules: Rules, factor: float) -> Claims | None:
    """What comes down; None where it has another shape than z, or than x, and no unit to stand in."""
    made = data_pass(f, rules)
    if made is None:
        return None
    shapes = {("below", layer.path): np.shape(layer.x) for layer in f.every}
    shapes |= {
        ("delta", layer.path): np.shape(layer.saved.pre_activation)
        for layer in f.every
        if layer.path in made.errors
    }
    found = {("delta", path): array for path, array in made.errors.items()}
    found |= {("below", path): array for path, array in made.below.items()}
    if any(np.shape(array) != shapes[place] for place, array in found.items()):
        return None
    return Claims(
        BY_BUG,
        {(what, str(path)): np.asarray(array, dtype=float) * factor for (what, path), array in found.items()},
    )


def _alike(first: Claims, second: Claims) -> bool:
    one, other = first.known, second.known
    return one.keys() == other.keys() and all(bool(np.all(close(one[key], other[key]))) for key in one)
