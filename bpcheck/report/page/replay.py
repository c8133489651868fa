"""The failing case once more, step by step: z and a of every layer, the right δ, and the caller's where it is known.

A backward pass hands out gradients, not its δ. Two things give it away: a bug of the catalogue that reproduces the
gradient (its δ is then run again), or a batch of a single example, where ∂C/∂b is δ itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis import CATALOGUE, Observation
from bpcheck.diagnosis.bug import Bug
from bpcheck.diagnosis.hypothesis import standing
from bpcheck.diagnosis.layers.dense.steps import Forward, Rules, forward
from bpcheck.diagnosis.observation import ROUNDINGS
from bpcheck.errors import InputError
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import is_dense_chain
from bpcheck.network.layers import Dense
from bpcheck.network.names import FIRST_LAYER
from bpcheck.reference import build
from bpcheck.result import Comparison, Report
from bpcheck.tree import rms

__all__ = ["Layer", "Replay", "replay"]

# Two δ count as the same up to this fraction of the layer's size: the same line as for naming a bug
# (bpcheck.diagnosis.diagnose: rounding is about 1e-13, other hypotheses differ by 1e-3 and more).
SAME = 1e-8

DOUBLE, BFLOAT16 = 2.0**-53, 2.0**-8
"""Roundoff of the finest and of the coarsest arithmetic that is checked."""

BY_BUG = "run again with the mistake that was named, which gives your gradient"
BY_BIAS = "read off your bias gradient: with one example in the batch it is δ itself"
UNKNOWN = "not known: your function returns gradients, not δ"


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of weights at the failing case.

    Attributes
    ----------
    number : int
        The book's: 2 is the first layer that has weights.
    activation : str
    weight, bias : arrays
    z, a, delta : (m, n) arrays
        δ is the right one.
    claimed : (m, n) array or None
        The caller's δ, where it is known.
    weight_comparison, bias_comparison : Comparison or None
        What was said of its two gradients, in the caller's layout.
    """

    number: int
    activation: str
    weight: Any
    bias: Any
    z: Any
    a: Any
    delta: Any
    claimed: Any
    weight_comparison: Comparison | None
    bias_comparison: Comparison | None

    @property
    def wrong_delta(self) -> Any:
        """True where the caller's δ is known and wrong."""
        if self.claimed is None:
            return np.zeros(self.delta.shape, dtype=bool)
        return ~_close(self.claimed, self.delta, _rounding(self.bias_comparison))


@dataclass(frozen=True, eq=False)
class Replay:
    """The whole case.

    Attributes
    ----------
    case : Case
    layers : tuple of Layer
    cost : float
    source : str
        Where the caller's δ comes from, in words.
    """

    case: Case
    layers: tuple[Layer, ...]
    cost: float
    source: str

    @property
    def culprit(self) -> int | None:
        """The topmost layer with something wrong: errors come down, so it is where they begin."""
        from bpcheck.report.page.wrong import wrong_entries

        for layer in reversed(self.layers):
            both = (layer.weight_comparison, layer.bias_comparison)
            if layer.wrong_delta.any() or any(c is not None and wrong_entries(c).any() for c in both):
                return layer.number
        return None


def _close(first: Any, second: Any, rounding: float = 0.0) -> Any:
    with np.errstate(all="ignore"):
        size = max(float(np.max(abs(second), initial=0.0)), float(np.finfo(float).tiny))
        return abs(first - second) <= SAME * size + rounding  # NaN is not close


def _rounding(comparison: Comparison | None) -> float:
    """What rounding explains in a tensor: far below ``SAME`` in float64, far above it in float32."""
    if comparison is None or comparison.bound is None:
        return 0.0
    bound = np.asarray(comparison.bound)
    return float(np.max(bound[np.isfinite(bound)], initial=0.0))


def _roundoff(comparisons: Iterable[Comparison]) -> float:
    """About the roundoff of the caller's arithmetic, which a report does not hold: from how wide the bounds are."""
    ratios = [
        _rounding(c) / rms(c.expected)
        for c in comparisons
        if c.expected is not None and rms(c.expected) > 0.0
    ]
    return max(DOUBLE, min(BFLOAT16, float(np.median(ratios or [0.0])) / ROUNDINGS))


def replay(report: Report) -> Replay | None:
    """Run the smallest failing case again.

    Parameters
    ----------
    report : Report

    Returns
    -------
    Replay or None
        None where there is no network, or it is no plain chain of dense layers.

    Examples
    --------
    >>> from bpcheck import mlp, Verdict
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    >>> found = replay(Report("f", Verdict.DISAGREES, counterexample=case))
    >>> found.cost, found.layers[0].delta.tolist()
    (2.0, [[2.0]])
    """
    case = report.counterexample
    if case is None or not is_dense_chain(case.architecture):
        return None
    network = build(case.architecture)
    with np.errstate(all="ignore"):
        try:
            trace = network.trace(case.params, case.x, case.y)
            right = dict(tree.leaves(network.gradient(case.params, case.x, case.y)))
            cost = network.loss(case.params, case.x, case.y)
        except InputError:
            return None
    said = {comparison.in_our_layout.path: comparison for comparison in report.comparisons}
    given = {path: comparison.in_our_layout for path, comparison in said.items()}
    factor = _factor(given, {str(path): array for path, array in right.items()})
    deltas = [np.asarray(delta) * factor for delta in trace.deltas]
    claimed, source = _claimed(report, case, given, factor)
    layers = []
    for k, spec in enumerate(case.architecture.layers):
        assert isinstance(spec, Dense)
        layers.append(
            Layer(
                k + FIRST_LAYER,
                spec.activation,
                np.asarray(case.params[k]["weight"], dtype=float),
                np.asarray(case.params[k]["bias"], dtype=float),
                np.asarray(trace.pre_activations[k], dtype=float),
                np.asarray(trace.activations[k], dtype=float),
                np.asarray(deltas[k], dtype=float),
                claimed[k],
                said.get(f"params[{k}]['weight']"),
                said.get(f"params[{k}]['bias']"),
            )
        )
    return Replay(case, tuple(layers), float(cost), source)


def _factor(given: Mapping[str, Comparison], right: Mapping[str, Any]) -> float:
    """The unit in which the caller's cost is measured (the sum for the mean, say): its right gradient over ours."""
    top = dot = 0.0
    for path, ours in right.items():
        theirs = given[path].expected if path in given else None
        if theirs is not None and theirs.shape == ours.shape and np.isfinite(theirs).all():
            top += float(np.sum(ours * ours))
            dot += float(np.sum(ours * theirs))
    factor = dot / top if top else 1.0
    return 1.0 if abs(factor - 1.0) <= SAME or not np.isfinite(factor) else factor


def _claimed(
    report: Report, case: Case, given: Mapping[str, Comparison], factor: float
) -> tuple[list[Any], str]:
    count = len(case.architecture.layers)
    bugs = [CATALOGUE[slug] for slug in {d.bug: None for d in report.diagnoses} if slug in CATALOGUE]
    if bugs:
        deltas = _with_bugs(bugs, case, given, factor)
        if deltas is not None:
            return deltas, BY_BUG
    penalized = case.architecture.penalize_bias and (case.architecture.l1 or case.architecture.l2)
    if case.batch == 1 and not penalized:
        read = [_from_bias(k, case, given, factor) for k in range(count)]
        if any(delta is not None for delta in read):
            return read, BY_BIAS
    return [None] * count, UNKNOWN


def _with_bugs(
    bugs: list[Bug], case: Case, given: Mapping[str, Comparison], factor: float
) -> list[Any] | None:
    """Every δ of a backward pass with the bugs that were named; None if it does not give the caller's gradient here."""
    claimed, right = {}, {}
    for path, _ in tree.leaves(case.params, "params"):
        comparison = given.get(str(path))
        if comparison is None or comparison.actual is None or comparison.expected is None:
            return None
        claimed[path], right[path] = comparison.actual / factor, comparison.expected / factor
    if not all(np.isfinite(array).all() for array in (*claimed.values(), *right.values())):
        return None
    f, found = forward(case), None
    seen = Observation(case, claimed, right, _roundoff(given.values()))
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
    return all(bool(np.all(_close(one, two))) for one, two in zip(first, second, strict=True))


def _from_bias(k: int, case: Case, given: Mapping[str, Comparison], factor: float) -> Any:
    """δ from the bias gradient of a single example, if the weight gradient is made of the same δ."""
    bias, weight = given.get(f"params[{k}]['bias']"), given.get(f"params[{k}]['weight']")
    if bias is None or weight is None or bias.actual is None or weight.actual is None:
        return None
    below = np.asarray(case.x if k == 0 else forward(case).a[k], dtype=float)
    weights = np.asarray(case.params[k]["weight"], dtype=float)
    penalty = case.architecture.l2 * weights + case.architecture.l1 * np.sign(weights)
    made = np.outer(bias.actual, below[0]) + factor * penalty
    if made.shape != weight.actual.shape or not np.all(_close(made, weight.actual, _rounding(weight))):
        return None
    return np.asarray(bias.actual, dtype=float)[None, :]
