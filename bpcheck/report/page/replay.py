"""Run the failing case again: the reference's numbers for every layer, and the caller's δ where it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.network.case import Case
from bpcheck.network.layers import LayerSpec
from bpcheck.network.names import FIRST_LAYER, places
from bpcheck.reference import build
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.layers.kinds import layer_of
from bpcheck.reference.layers.layer import Layer as ReferenceLayer
from bpcheck.reference.layers.layer import LayerTrace, Traceable
from bpcheck.reference.loss import LOSS
from bpcheck.reference.network import TRAINING
from bpcheck.report.page.claimed import Claims, claimed
from bpcheck.report.page.layers.kinds import unknown
from bpcheck.report.page.numbers import layer_name
from bpcheck.report.page.replayed import SAME, Layer, Replay
from bpcheck.result import Comparison, Report
from bpcheck.tree import Path

__all__ = ["replay"]


def replay(report: Report) -> Replay | None:
    """Run the smallest failing case again.

    Parameters
    ----------
    report : Report

    Returns
    -------
    Replay or None
        None where there is no network, or one with a layer that the page or the reference does not know.

    Examples
    --------
    >>> from bpcheck import mlp, Verdict
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    >>> found = replay(Report("f", Verdict.DISAGREES, counterexample=case))
    >>> found.cost, found.layers[0].delta.tolist()
    (2.0, [[2.0]])
    """
    case = report.counterexample
    if case is None or unknown(case.architecture):
        return None
    said = {comparison.in_our_layout.path: comparison for comparison in report.comparisons}
    given = {path: comparison.in_our_layout for path, comparison in said.items()}
    try:
        with np.errstate(all="ignore"):
            network = build(case.architecture)
            cost = network.loss(case.params, case.x, case.y)
            right = tree.leaves(network.gradient(case.params, case.x, case.y))
            layers = _through(case, network.chain.layers)
    except InputError:
        return None
    factor = _factor(given, {str(path): array for path, array in right})
    layers = tuple(_finished(layer, factor, said) for layer in layers)
    claims = claimed(report, case, layers, given, factor)
    return Replay(case, _with_claims(layers, claims, None), float(cost), claims.source)


@dataclass(frozen=True, eq=False)
class _Entering:
    """What comes up to a layer: the numbers, what they are called, and of which layer of the book they are."""

    a: Any
    name: str
    number: int
    has_below: bool


@dataclass(frozen=True, eq=False)
class _Up:
    """What the forward pass leaves at a layer."""

    found: Layer
    layer: ReferenceLayer
    params: Any
    residuals: Any
    inner: tuple[_Up, ...]


def _through(case: Case, layers: Sequence[ReferenceLayer]) -> tuple[Layer, ...]:
    """Up through all layers, and down again."""
    architecture = case.architecture
    numbers = {place.path: place.number for place in places(architecture)}
    start = _Entering(case.x, layer_name("a", FIRST_LAYER - 1), FIRST_LAYER - 1, False)
    up = _up(start, architecture.layers, layers, case.params, Path("params"), numbers)
    loss, output = LOSS[architecture.loss], up[-1].found.a
    down = loss.gradient(output, case.y) / (case.batch if architecture.reduction == "mean" else 1)
    *found, last = _down(up, down)
    if isinstance(last.z, np.ndarray) and architecture.output == loss.fused_output:
        # the chain ends in logits: what the book calls a^L is computed inside the loss
        last = replace(last, a=ACTIVATION[architecture.output].value(last.z))
    return (*found, replace(last, is_output=True))


def _up(
    before: _Entering,
    specs: Sequence[LayerSpec],
    layers: Sequence[ReferenceLayer],
    params: Sequence[Any],
    path: Path,
    numbers: Mapping[Path, int | None],
) -> tuple[_Up, ...]:
    found: list[_Up] = []
    for index, (spec, layer, own) in enumerate(zip(specs, layers, params, strict=True)):
        here = path.item(index)
        a, residuals, _ = layer.forward(own, before.a, TRAINING)
        inner = (
            _up(before, spec.inner, [layer_of(one) for one in spec.inner], own, here, numbers)
            if spec.inner
            else ()
        )
        number = inner[-1].found.number if inner else numbers[here] or before.number
        name = _name(spec, number, before.name, inner)
        values = (
            {} if inner else {role: np.asarray(own[key], dtype=float) for key, role in spec.roles.items()}
        )
        after = Layer(here, spec, number, name, before.name, before.a, a, None, None, params=values,
                      has_below=before.has_below)  # fmt: skip
        found.append(_Up(after, layer, own, residuals, inner))
        has_parameters = any(True for _ in tree.leaves(own))
        before = _Entering(a, name, number, before.has_below or has_parameters)
    return tuple(found)


def _name(spec: LayerSpec, number: int, entering: str, inner: Sequence[_Up]) -> str:
    """What a formula calls the numbers that leave a layer: a², h³ after a skip connection, vec(a²) in a row."""
    if not inner:
        flat = entering if entering.startswith("vec(") else f"vec({entering})"
        return layer_name("a", number) if spec.is_numbered else flat
    name = layer_name("h", number)
    last = inner[-1].found
    return f"{last.name}′" if last.name.startswith(name) else name  # two that end in the same layer


def _down(up: Sequence[_Up], down: Any) -> list[Layer]:
    found: list[Layer] = []
    for one in reversed(up):
        _, below = one.layer.pullback(one.params, one.residuals, down)
        inner = tuple(_down(one.inner, down)) if one.inner else ()
        trace = None
        if isinstance(one.layer, Traceable) and not inner:
            trace = one.layer.trace(one.params, one.residuals, down)
        z, delta = (trace.pre_activation, trace.delta) if isinstance(trace, LayerTrace) else (None, None)
        here = replace(one.found, down=down, below=below, z=z, delta=delta, inner=inner)
        if inner:
            here = replace(here, inner=(replace(inner[0], through=here.passed), *inner[1:]))
        found.append(here)
        down = below
    return found[::-1]


def _finished(layer: Layer, factor: float, said: Mapping[str, Comparison]) -> Layer:
    """The layer in the caller's unit of cost, with what was said of its gradients."""
    comparisons = {
        role: said[path]
        for role, path in ((role, str(layer.path.item(key))) for key, role in layer.spec.roles.items())
        if path in said
    }
    return replace(
        layer,
        down=layer.down * factor,
        below=layer.below * factor,
        delta=None if layer.delta is None else layer.delta * factor,
        comparisons=comparisons,
        inner=tuple(_finished(one, factor, said) for one in layer.inner),
    )


def _with_claims(layers: Sequence[Layer], claims: Claims, down: Any) -> tuple[Layer, ...]:
    """The layers of a chain with what is known of the caller's numbers; ``down`` is the caller's ∂C/∂(output)."""
    found: list[Layer] = []
    for layer in reversed(layers):
        inner, below = _with_claims(layer.inner, claims, down), claims.below.get(layer.key)
        delta = claims.deltas.get(layer.key)
        found.append(replace(layer, claimed=delta, claimed_down=down, claimed_below=below, inner=inner))
        down = below
    return tuple(found[::-1])


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
