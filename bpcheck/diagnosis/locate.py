"""From which tensors are wrong to which equation and layer are.

The order of the rules is the order in which errors spread: δ goes down, so the topmost wrong δ is
the culprit, and everything below it is only a consequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis.topmost import (
    SAME_FACTOR,
    VISIBLE_FACTOR,
    Compared,
    by_layer,
    compared,
    is_wrong,
    sentence,
)
from bpcheck.network.architecture import PROBABILITY_LOSSES
from bpcheck.network.case import Case
from bpcheck.network.layers.spec import Role
from bpcheck.precision import told_apart
from bpcheck.result import Comparison, Diagnosis
from bpcheck.tree import FloatArray
from bpcheck.verdict import Verdict

__all__ = ["locate"]

PENALISED: tuple[Role, ...] = ("weight", "table", "bias")
"""Roles that a penalty may cover, rightly or not."""

FEWEST_NUMBERS = 2
"""One number is always a multiple of another."""

LOSS_DIGITS = 10
"""Digits of two losses that differ, and more where it takes more to tell them apart."""


_FORM = {
    "return value": "Return the pair (loss, gradient).",
    "loss": "Return the loss as one finite number.",
}


def locate(case: Case | None, comparisons: Sequence[Comparison]) -> Diagnosis:
    """Equation, layer and tensor where a gradient first goes wrong.

    Parameters
    ----------
    case : Case or None
        None if there is no network behind the comparisons.
    comparisons : sequence of Comparison
        Loss and all tensors of one case.

    Returns
    -------
    Diagnosis
        Without a bug's name; ``equation`` is empty where nothing can be said.
    """
    bad = [c for c in comparisons if not c.verdict.ok]
    first = max(bad, key=lambda c: c.verdict.severity)
    if first.verdict is not Verdict.DISAGREES:
        return Diagnosis(
            "", first.path, evidence=(sentence(first),), hint=_FORM.get(first.path, first.verdict.remedy)
        )
    changed = [c for c in bad if c.path.endswith(" after the call")]
    if changed:
        evidence = tuple(f"{c.path}: {c.reason}" for c in changed)
        return Diagnosis(
            "contract", changed[0].path, "input-mutated", evidence, "Work on copies of the arguments."
        )
    wrong = [c for c in bad if c.path != "loss" and c.verdict is Verdict.DISAGREES]
    if not wrong:
        return _loss(case, comparisons)
    factor = _shared_factor(comparisons)
    if factor is not None:
        return _in_other_units(case, factor)
    layers = None if case is None else compared(case.architecture, comparisons)
    if case is None or layers is None:
        return Diagnosis("", wrong[0].path, evidence=tuple(sentence(c) for c in wrong))
    located = _penalty(case, layers) or by_layer(case.architecture, layers)
    loss = next((c for c in comparisons if c.path == "loss" and c.verdict is Verdict.DISAGREES), None)
    also = () if loss is None else (f"the loss is wrong too: it is {_apart(loss)}",)
    return replace(located, evidence=(*located.evidence, *also))


def _apart(loss: Comparison) -> str:
    """Two numbers with their difference, which may be smaller than the digits shown."""
    assert loss.actual is not None
    assert loss.expected is not None
    actual, expected = float(loss.actual), float(loss.expected)
    texts = told_apart(actual, expected, LOSS_DIGITS)
    return f"{texts[0]}, not {texts[1]} (they differ by {abs(actual - expected):.1e})"


def _loss(case: Case | None, comparisons: Sequence[Comparison]) -> Diagnosis:
    loss = next(c for c in comparisons if c.path == "loss")
    assert loss.actual is not None
    assert loss.expected is not None
    evidence = (f"no tensor of the gradient is wrong, but the loss is {_apart(loss)}",)
    hint = (
        "The gradient belongs to the loss that was asked for; the number returned as loss is another one"
        f"{_what_a_loss_may_lack(case)}."
    )
    return Diagnosis("loss", "loss", evidence=evidence, hint=hint)


def _what_a_loss_may_lack(case: Case | None) -> str:
    """What may be wrong with a loss, of what the network's own has."""
    if case is None:
        return ""
    network = case.architecture
    may = [
        "a constant factor" if network.loss not in PROBABILITY_LOSSES else "an ε inside a logarithm",
        *(["the 1/m of a mean over the batch"] if case.batch > 1 and network.reduction == "mean" else []),
        *(["a penalty that is left out"] if network.l1 or network.l2 else []),
    ]
    return f": look for {', '.join(may[:-1])}{' or ' if len(may) > 1 else ''}{may[-1]}"


def _in_other_units(case: Case | None, factor: float) -> Diagnosis:
    """The same cost, multiplied by a number: a convention, or what both have in common and should not."""
    batch = 1 if case is None else case.batch
    sums = f" ({batch} examples in the batch: a sum for a mean?)" if batch > 1 and _is(factor, batch) else ""
    evidence = (f"loss and gradient are both {factor:.6g} times what they should be{sums}",)
    hint = (
        f"Both are right for the same cost times {factor:.6g}. If that is meant, say so with conventions=, "
        f"bpcheck.Conventions(factor={factor:.6g}) for instance; if not, take the factor out of both."
    )
    return Diagnosis("loss", "loss", evidence=evidence, hint=hint)


def _is(factor: float, size: int) -> bool:
    return abs(factor - size) <= SAME_FACTOR * size


def _shared_factor(comparisons: Sequence[Comparison]) -> float | None:
    """By what loss and gradient are off, if it is one common factor (other than 1, which tells nothing)."""
    loss = next((c for c in comparisons if c.path == "loss"), None)
    others = [c for c in comparisons if c.path != "loss" and np.isfinite(c.scale)]
    if loss is None or loss.verdict is not Verdict.DISAGREES or not others:
        return None
    assert loss.actual is not None
    assert loss.expected is not None
    if float(loss.expected) == 0.0:
        return None
    factor = float(loss.actual) / float(loss.expected)
    same = all(
        abs(c.scale - factor) <= SAME_FACTOR * abs(factor) and c.residual <= SAME_FACTOR for c in others
    )
    return factor if same and abs(factor - 1.0) > VISIBLE_FACTOR else None


def _penalty(case: Case, layers: Sequence[Compared]) -> Diagnosis | None:
    """If every difference is one multiple of the parameters themselves, the penalty is at fault."""
    if not (case.architecture.l2 or case.architecture.l1) or any(layer.missing for layer in layers):
        return None  # where a tensor was set aside, what is wrong with it is not known
    by_role: dict[Role, list[Comparison]] = {}
    for layer in layers:
        for role, comparison in layer.tensors.items():
            by_role.setdefault(role, []).append(comparison)
    said = [_multiple_of(case, role, tensors) for role, tensors in by_role.items()]
    if None in said or not any(said):
        return None
    path = next(c.path for layer in layers for c in layer.tensors.values() if is_wrong(c))
    return Diagnosis("penalty", path, evidence=tuple(text for text in said if text))


def _multiple_of(case: Case, role: Role, tensors: Sequence[Comparison]) -> str | None:
    """What all differences of one role are a multiple of; empty where nothing is wrong, None if of nothing."""
    if not any(map(is_wrong, tensors)):
        return ""
    params = {str(path): np.asarray(leaf, dtype=float) for path, leaf in tree.leaves(case.params)}
    values = [params[comparison.path] for comparison in tensors]
    if role not in PENALISED or sum(array.size for array in values) < FEWEST_NUMBERS:
        return None
    # λ₂W for L2, λ₁ sign(W) for L1: one of the two spans the difference
    network = case.architecture
    found = [_factor(c, v if network.l2 else np.sign(v)) for c, v in zip(tensors, values, strict=True)]
    if None in found:
        return None
    factors = [f for f, array in zip(found, values, strict=True) if f is not None and array.any()]
    if not any(factors):
        return ""
    if max(factors) - min(factors) > SAME_FACTOR * max(map(abs, factors)):
        return None
    if role == "bias" and len(factors) < 2 and not network.penalize_bias:
        # a single layer's biases: only λ itself speaks for a penalty that should not be there
        penalty = network.l2 or network.l1
        if abs(abs(factors[0]) - penalty) > SAME_FACTOR * penalty:
            return None
    of = f"the {role} itself" if network.l2 else f"the sign of the {role}"
    return f"every {role} gradient is off by exactly {factors[0]:.6g} times {of}"


def _factor(comparison: Comparison, shape: FloatArray) -> float | None:
    """By how many times an array a tensor is off, if that is all that is wrong with it."""
    if comparison.actual is None or comparison.expected is None or comparison.bound is None:
        return None
    difference = comparison.actual - comparison.expected if is_wrong(comparison) else np.zeros(shape.shape)
    norm = float(np.sum(shape * shape))
    factor = float(np.sum(difference * shape)) / norm if norm else 0.0
    allowed = comparison.bound + SAME_FACTOR * float(np.max(abs(difference), initial=0.0))
    return factor if np.all(abs(difference - factor * shape) <= allowed) else None
