"""From which tensors are wrong to which equation and layer are.

The order of the rules is the order in which errors spread: δ goes down, so the topmost wrong δ is
the culprit, and everything below it is only a consequence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bpcheck.network.architecture import PROBABILITY_LOSSES
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import is_dense_chain
from bpcheck.network.names import FIRST_LAYER
from bpcheck.precision import told_apart
from bpcheck.result import Comparison, Diagnosis
from bpcheck.tree import FloatArray
from bpcheck.verdict import Verdict

__all__ = ["locate"]

# Two numbers count as the same factor if they agree to this: far above rounding in the sums that
# form the factor (some 1e-14), far below any two factors that a person would write (1/m, ½, λ).
SAME_FACTOR = 1e-8

# A factor nearer to 1 than this prints as "1 times" with six digits, and anything this small seems to share it.
VISIBLE_FACTOR = 1e-5

LOSS_DIGITS = 10
"""Digits of two losses that differ, and more where it takes more to tell them apart."""


_FORM = {
    "return value": "Return the pair (loss, gradient).",
    "loss": "Return the loss as one finite number.",
}


def _tensors(comparisons: Sequence[Comparison]) -> dict[int, dict[str, Comparison]]:
    """Comparisons of a dense chain by layer index and kind."""
    found: dict[int, dict[str, Comparison]] = {}
    for comparison in comparisons:
        match = re.fullmatch(r"params\[(\d+)\]\['(weight|bias)'\]", comparison.path)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = comparison
    return found


def _is_wrong(comparison: Comparison | None) -> bool:
    return comparison is not None and comparison.verdict is Verdict.DISAGREES


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
            "", first.path, evidence=(_sentence(first),), hint=_FORM.get(first.path, first.verdict.remedy)
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
    layers = _tensors(comparisons)
    if case is None or not is_dense_chain(case.architecture) or len(layers) != len(case.architecture.layers):
        return Diagnosis("", wrong[0].path, evidence=tuple(_sentence(c) for c in wrong))
    located = _penalty(case, layers) or _by_layer(layers)
    loss = next((c for c in comparisons if c.path == "loss" and c.verdict is Verdict.DISAGREES), None)
    also = () if loss is None else (f"the loss is wrong too: it is {_apart(loss)}",)
    return replace(located, evidence=(*located.evidence, *also))


def _sentence(comparison: Comparison) -> str:
    text = f"{comparison.label}: {comparison.reason}"
    factor = comparison.verdict is Verdict.DISAGREES and np.isfinite(comparison.scale)
    if factor and comparison.residual <= SAME_FACTOR and abs(comparison.scale - 1) > VISIBLE_FACTOR:
        times = f"{comparison.scale:.6g} times the right value"
        text += f"; it is {times if comparison.scale else '0'}"
    return text


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


def _penalty(case: Case, layers: Mapping[int, Mapping[str, Comparison]]) -> Diagnosis | None:
    """If every difference is one multiple of the parameters themselves, the penalty is at fault."""
    if not (case.architecture.l2 or case.architecture.l1):
        return None
    if not all("weight" in tensors and "bias" in tensors for tensors in layers.values()):
        return None  # one of them was set aside
    said = [_multiple_of(case, layers, kind) for kind in ("weight", "bias")]
    if None in said or not any(said):
        return None
    path = next(c.path for tensors in layers.values() for c in tensors.values() if _is_wrong(c))
    return Diagnosis("penalty", path, evidence=tuple(text for text in said if text))


def _multiple_of(case: Case, layers: Mapping[int, Mapping[str, Comparison]], kind: str) -> str | None:
    """What all differences of weights (or of biases) are a multiple of; empty where nothing is wrong, None if of nothing."""
    wrong = any(_is_wrong(tensors[kind]) for tensors in layers.values())
    if wrong and sum(case.params[k][kind].size for k in layers) < 2:
        return None  # one number is always a multiple of another
    factors = []
    for k, tensors in layers.items():
        values = np.asarray(case.params[k][kind], dtype=float)
        # λ₂W for L2, λ₁ sign(W) for L1: one of the two spans the difference
        factor = _factor(tensors[kind], values if case.architecture.l2 else np.sign(values))
        if factor is None:
            return None
        factors += [factor] if values.any() else []
    if not any(factors):
        return ""
    if max(factors) - min(factors) > SAME_FACTOR * max(map(abs, factors)):
        return None
    if kind == "bias" and len(factors) < 2 and not case.architecture.penalize_bias:
        # a single layer's biases: only λ itself speaks for a penalty that should not be there
        penalty = case.architecture.l2 or case.architecture.l1
        if abs(abs(factors[0]) - penalty) > SAME_FACTOR * penalty:
            return None
    of = f"the {kind} itself" if case.architecture.l2 else f"the sign of the {kind}"
    return f"every {kind} gradient is off by exactly {factors[0]:.6g} times {of}"


def _factor(comparison: Comparison, shape: FloatArray) -> float | None:
    """By how many times an array a tensor is off, if that is all that is wrong with it."""
    if comparison.actual is None or comparison.expected is None or comparison.bound is None:
        return None
    difference = comparison.actual - comparison.expected if _is_wrong(comparison) else np.zeros(shape.shape)
    norm = float(np.sum(shape * shape))
    factor = float(np.sum(difference * shape)) / norm if norm else 0.0
    allowed = comparison.bound + SAME_FACTOR * float(np.max(abs(difference), initial=0.0))
    return factor if np.all(abs(difference - factor * shape) <= allowed) else None


def _half_seen(seen: Comparison, layer: int, missing: str) -> Diagnosis:
    """Of a layer only weights or only biases are looked at, and they are wrong: by δ or by themselves."""
    reason = f"everything above layer {layer} is right; its {missing} were set aside, so whether δ is wrong cannot be told"
    return Diagnosis("", seen.path, evidence=(reason, _sentence(seen)), layer=layer)


def _one_is_right(layer: int, wrong: str, right: Comparison) -> str:
    """What it says that of a layer one of weights and biases is wrong, and the other is not."""
    other = "weights" if wrong == "biases" else "biases"
    if not right.verdict.ok:
        return f"the {wrong} of layer {layer} are wrong, of its {other} the numbers cannot decide"
    return f"the {other} of layer {layer} are right, which speaks for its δ, but its {wrong} are wrong"


def _by_layer(layers: Mapping[int, Mapping[str, Comparison]]) -> Diagnosis:
    top = max(layers)
    for k in sorted(layers, reverse=True):
        weight, bias = layers[k].get("weight"), layers[k].get("bias")
        if weight is None or bias is None:  # one of them was set aside
            seen = weight or bias
            if seen is not None and _is_wrong(seen):
                return _half_seen(seen, k + FIRST_LAYER, "weights" if weight is None else "biases")
            continue
        wrong_weight, wrong_bias = _is_wrong(weight), _is_wrong(bias)
        if not (wrong_weight or wrong_bias):
            continue
        layer = k + FIRST_LAYER
        above = "" if k == top else "nothing wrong was found above this layer; "
        if wrong_weight and wrong_bias:
            equation = "BP1" if k == top else "BP2"
            reason = f"{above}weights and biases of layer {layer} are both wrong, which points to the δ that they share"
            evidence = (reason, _sentence(weight), _sentence(bias))
            return Diagnosis(equation, weight.path, evidence=evidence, layer=layer)
        equation, seen, right = ("BP3", bias, weight) if wrong_bias else ("BP4", weight, bias)
        reason = above + _one_is_right(layer, "biases" if wrong_bias else "weights", right)
        return Diagnosis(equation, seen.path, evidence=(reason, _sentence(seen)), layer=layer)
    raise AssertionError("locate() is only asked about gradients with a wrong tensor")
