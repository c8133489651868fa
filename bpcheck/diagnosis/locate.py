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
from bpcheck.network.architecture import PROBABILITY_LOSSES, Architecture
from bpcheck.network.case import Case
from bpcheck.network.layers.spec import Role
from bpcheck.precision import told_apart
from bpcheck.result import Comparison, Diagnosis
from bpcheck.tree import FloatArray

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
    first = max(comparisons, key=lambda c: c.verdict.severity)
    if not is_wrong(first):
        hint = _FORM.get(first.path, first.verdict.remedy)
        return Diagnosis("", first.path, evidence=(sentence(first),), hint=hint)
    changed = [c for c in comparisons if is_wrong(c) and c.path.endswith(" after the call")]
    if changed:
        return _in_the_arguments(changed)
    loss, tensors = _split(comparisons)
    if loss is not None and not any(map(is_wrong, tensors)):
        return _in_the_loss(case, loss)
    factor = _shared_factor(loss, tensors)
    return _in_other_units(case, factor) if factor is not None else _in_the_gradient(case, loss, tensors)


def _split(comparisons: Sequence[Comparison]) -> tuple[Comparison | None, list[Comparison]]:
    """The loss, if it was looked at, and everything else."""
    loss = next((c for c in comparisons if c.path == "loss"), None)
    return loss, [c for c in comparisons if c is not loss]


def _in_the_arguments(changed: Sequence[Comparison]) -> Diagnosis:
    evidence = tuple(f"{c.path}: {c.reason}" for c in changed)
    return Diagnosis(
        "contract", changed[0].path, "input-mutated", evidence, "Work on copies of the arguments."
    )


def _in_the_gradient(case: Case | None, loss: Comparison | None, tensors: Sequence[Comparison]) -> Diagnosis:
    layers = None if case is None else compared(case.architecture, tensors)
    if case is None or layers is None:
        wrong = [c for c in tensors if is_wrong(c)]
        return Diagnosis("", wrong[0].path, evidence=tuple(map(sentence, wrong)))
    located = _penalty(case, layers) or by_layer(case.architecture, layers)
    also = (f"the loss is wrong too: it is {_apart(loss)}",) if loss is not None and is_wrong(loss) else ()
    return replace(located, evidence=(*located.evidence, *also))


def _apart(loss: Comparison) -> str:
    """Two numbers with their difference, which may be smaller than the digits shown."""
    assert loss.actual is not None
    assert loss.expected is not None
    actual, expected = float(loss.actual), float(loss.expected)
    texts = told_apart(actual, expected, LOSS_DIGITS)
    return f"{texts[0]}, not {texts[1]} (they differ by {abs(actual - expected):.1e})"


def _in_the_loss(case: Case | None, loss: Comparison) -> Diagnosis:
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
    is_batch = batch > 1 and abs(factor - batch) <= SAME_FACTOR * batch
    sums = f" ({batch} examples in the batch: a sum for a mean?)" if is_batch else ""
    evidence = (f"loss and gradient are both {factor:.6g} times what they should be{sums}",)
    hint = (
        f"Both are right for the same cost times {factor:.6g}. If that is meant, say so with conventions=, "
        f"bpcheck.Conventions(factor={factor:.6g}) for instance; if not, take the factor out of both."
    )
    return Diagnosis("loss", "loss", evidence=evidence, hint=hint)


def _shared_factor(loss: Comparison | None, tensors: Sequence[Comparison]) -> float | None:
    """By what loss and gradient are off, if it is one common factor (other than 1, which tells nothing)."""
    known = [c for c in tensors if np.isfinite(c.scale)]
    factor = _factor(loss)
    if factor is None or not known:
        return None
    alike = all(
        c.residual <= SAME_FACTOR and abs(c.scale - factor) <= SAME_FACTOR * abs(factor) for c in known
    )
    return factor if alike else None


def _factor(loss: Comparison | None) -> float | None:
    """By what a wrong loss is off, where that can be said."""
    if loss is None or not is_wrong(loss) or loss.actual is None or not loss.expected:
        return None
    factor = float(loss.actual) / float(loss.expected)
    return None if abs(factor - 1.0) <= VISIBLE_FACTOR else factor


def _penalty(case: Case, layers: Sequence[Compared]) -> Diagnosis | None:
    """If every difference is one multiple of the parameters themselves, the penalty is at fault."""
    network = case.architecture
    if not (network.l2 or network.l1) or any(layer.missing for layer in layers):
        return None  # where a tensor was set aside, what is wrong with it is not known
    said, wrong = [], _wrong(layers)
    for role in dict(wrong):
        factor = _one_factor(case, role, [layer.tensors[role] for layer in layers if role in layer.tensors])
        if factor is None:
            return None
        said.append(f"every {role} gradient is off by exactly {factor:.6g} times {_direction(network, role)}")
    return Diagnosis("penalty", wrong[0][1].path, evidence=tuple(said))


def _wrong(layers: Sequence[Compared]) -> list[tuple[Role, Comparison]]:
    return [(role, layer.tensors[role]) for layer in layers for role in layer.wrong]


def _direction(network: Architecture, role: Role) -> str:
    return f"the {role} itself" if network.l2 else f"the sign of the {role}"


def _one_factor(case: Case, role: Role, tensors: Sequence[Comparison]) -> float | None:
    """By how many times themselves (or their signs) all parameters of one role are off, if that is all that is wrong."""
    params = {str(path): np.ravel(leaf).astype(float) for path, leaf in tree.leaves(case.params)}
    values = [params[comparison.path] for comparison in tensors]
    every = np.concatenate(values)
    if role not in PENALISED or len(every) < FEWEST_NUMBERS or not every.any():
        return None
    # λ₂W for L2, λ₁ sign(W) for L1: one of the two spans the difference
    shape = every if case.architecture.l2 else np.sign(every)
    difference, allowed = np.hstack([_difference(c, len(v)) for c, v in zip(tensors, values, strict=True)])
    factor = float(difference @ shape) / float(shape @ shape)
    explained = np.all(abs(difference - factor * shape) <= allowed)
    return factor if explained and not _may_be_chance(case.architecture, role, values, factor) else None


def _may_be_chance(network: Architecture, role: Role, values: Sequence[FloatArray], factor: float) -> bool:
    """Of a single layer's biases only λ itself speaks for a penalty that should not be there."""
    alone = role == "bias" and sum(array.any() for array in values) == 1
    penalty = network.l2 or network.l1
    return alone and not network.penalize_bias and not abs(abs(factor) - penalty) <= SAME_FACTOR * penalty


def _difference(comparison: Comparison, size: int) -> FloatArray:
    """How far a tensor is off, entry by entry, and what rounding may add; NaN where that is not known."""
    actual, expected, bound = comparison.actual, comparison.expected, comparison.bound
    if actual is None or expected is None or bound is None:
        return np.full((2, size), np.nan)
    difference = np.ravel(actual - expected) if is_wrong(comparison) else np.zeros(size)
    return np.stack([difference, np.ravel(bound) + SAME_FACTOR * np.max(abs(difference), initial=0.0)])
