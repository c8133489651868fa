"""From which tensors are wrong to which equation and layer are.

The order of the rules is the order in which errors spread: δ goes down, so the topmost wrong δ is
the culprit, and everything below it is only a consequence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from bpcheck.network.case import Case
from bpcheck.network.dense_chain import is_dense_chain
from bpcheck.network.names import FIRST_LAYER
from bpcheck.result import Comparison, Diagnosis
from bpcheck.verdict import Verdict

__all__ = ["locate"]

# Two numbers count as the same factor if they agree to this: far above rounding in the sums that
# form the factor (some 1e-14), far below any two factors that a person would write (1/m, ½, λ).
SAME_FACTOR = 1e-8

# A factor nearer to 1 than this prints as "1 times" with six digits.
VISIBLE_FACTOR = 1e-5


_FORM = {
    "return value": "Return the pair (loss, gradient).",
    "loss": "Return the loss of the whole batch as one finite number.",
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
        return _loss(comparisons)
    layers = _tensors(comparisons)
    if case is None or not is_dense_chain(case.architecture) or len(layers) != len(case.architecture.layers):
        return Diagnosis("", wrong[0].path, evidence=tuple(_sentence(c) for c in wrong))
    loss_note = _shared_factor(comparisons)
    located = _penalty(case, layers) or _by_layer(layers)
    if loss_note:
        located = Diagnosis(
            located.equation, located.path, evidence=(*located.evidence, loss_note), layer=located.layer
        )
    return located


def _sentence(comparison: Comparison) -> str:
    text = f"{comparison.label}: {comparison.reason}"
    factor = comparison.verdict is Verdict.DISAGREES and np.isfinite(comparison.scale)
    if factor and comparison.residual <= SAME_FACTOR and abs(comparison.scale - 1) > VISIBLE_FACTOR:
        text += f"; it is {comparison.scale:.6g} times the right value"
    return text


def _apart(loss: Comparison) -> str:
    """Two numbers with their difference, which may be smaller than the digits shown."""
    assert loss.actual is not None
    assert loss.expected is not None
    actual, expected = float(loss.actual), float(loss.expected)
    return f"{actual:.10g}, not {expected:.10g} (they differ by {abs(actual - expected):.1e})"


def _loss(comparisons: Sequence[Comparison]) -> Diagnosis:
    loss = next(c for c in comparisons if c.path == "loss")
    assert loss.actual is not None
    assert loss.expected is not None
    evidence = (f"every gradient tensor is right, but the loss is {_apart(loss)}",)
    hint = (
        "The gradient belongs to the loss that was asked for; the number returned as loss is another one "
        "(an ε inside a logarithm, a missing ½ or 1/m, a penalty left out)."
    )
    return Diagnosis("loss", "loss", evidence=evidence, hint=hint)


def _shared_factor(comparisons: Sequence[Comparison]) -> str:
    """A sentence if loss and gradient are off by one common factor."""
    loss = next((c for c in comparisons if c.path == "loss"), None)
    others = [c for c in comparisons if c.path != "loss" and np.isfinite(c.scale)]
    if loss is None or loss.verdict is not Verdict.DISAGREES or not others:
        return ""
    assert loss.actual is not None
    assert loss.expected is not None
    if float(loss.expected) == 0.0:
        return ""
    factor = float(loss.actual) / float(loss.expected)
    same = all(
        abs(c.scale - factor) <= SAME_FACTOR * abs(factor) and c.residual <= SAME_FACTOR for c in others
    )
    if same:
        return f"loss and gradient share the factor {factor:.6g}: this is the same cost in other units, not a bug"
    return f"the loss itself is {_apart(loss)}"


def _penalty(case: Case, layers: Mapping[int, Mapping[str, Comparison]]) -> Diagnosis | None:
    """If every difference is one multiple of the parameters themselves, the penalty is at fault."""
    if not (case.architecture.l2 or case.architecture.l1):
        return None
    if not all("weight" in tensors and "bias" in tensors for tensors in layers.values()):
        return None  # one of them was set aside
    evidence = []
    for kind in ("weight", "bias"):
        factors = []
        if sum(case.params[k][kind].size for k in layers) < 2 and any(
            _is_wrong(t[kind]) for t in layers.values()
        ):
            return None  # one number is always a multiple of another
        for k, tensors in layers.items():
            comparison = tensors[kind]
            if comparison.actual is None or comparison.expected is None or comparison.bound is None:
                return None
            difference = comparison.actual - comparison.expected
            if not _is_wrong(comparison):
                difference = np.zeros_like(difference)
            values = np.asarray(case.params[k][kind], dtype=float)
            # λ₂W for L2, λ₁ sign(W) for L1: one of the two spans the difference
            shape = values if case.architecture.l2 else np.sign(values)
            norm = float(np.sum(shape * shape))
            factor = float(np.sum(difference * shape)) / norm if norm else 0.0
            allowed = comparison.bound + SAME_FACTOR * float(np.max(abs(difference), initial=0.0))
            if not np.all(abs(difference - factor * shape) <= allowed):
                return None
            if norm:
                factors.append(factor)
        if factors and max(factors) - min(factors) > SAME_FACTOR * max(map(abs, factors)):
            return None
        if kind == "bias" and len(factors) < 2 and any(factors) and not case.architecture.penalize_bias:
            # a single layer's biases: only λ itself speaks for a penalty that should not be there
            penalty = case.architecture.l2 or case.architecture.l1
            if abs(abs(factors[0]) - penalty) > SAME_FACTOR * penalty:
                return None
        if factors and any(factors):
            evidence.append(
                f"every {kind} gradient is off by exactly {factors[0]:.6g} times the {kind} itself"
            )
    if not evidence:
        return None
    path = next(c.path for tensors in layers.values() for c in tensors.values() if _is_wrong(c))
    return Diagnosis("penalty", path, evidence=tuple(evidence))


def _half_seen(seen: Comparison, layer: int, missing: str) -> Diagnosis:
    """Of a layer only weights or only biases are looked at, and they are wrong: by δ or by themselves."""
    reason = f"everything above layer {layer} is right; its {missing} were set aside, so whether δ is wrong cannot be told"
    return Diagnosis("", seen.path, evidence=(reason, _sentence(seen)), layer=layer)


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
        above = "" if k == top else "everything above this layer is right; "
        if wrong_weight and wrong_bias:
            equation = "BP1" if k == top else "BP2"
            reason = f"{above}weights and biases of layer {layer} are both wrong, so the δ that they share is wrong"
            evidence = (reason, _sentence(weight), _sentence(bias))
            return Diagnosis(equation, weight.path, evidence=evidence, layer=layer)
        if wrong_bias:
            reason = f"{above}the weights of layer {layer} are right, so δ is right, but its biases are wrong"
            return Diagnosis("BP3", bias.path, evidence=(reason, _sentence(bias)), layer=layer)
        reason = f"{above}the biases of layer {layer} are right, so δ is right, but its weights are wrong"
        return Diagnosis("BP4", weight.path, evidence=(reason, _sentence(weight)), layer=layer)
    raise AssertionError("locate() is only asked about gradients with a wrong tensor")
