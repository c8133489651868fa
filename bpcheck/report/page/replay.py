"""Run the failing case again: the reference's numbers for every layer, and the caller's δ where it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
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
from bpcheck.report.page.compared import SAME, Compared, rounding
from bpcheck.report.page.layers.kinds import unknown
from bpcheck.report.page.numbers import layer_name
from bpcheck.report.page.replayed import Layer, Replay
from bpcheck.result import Comparison, Report
from bpcheck.tree import Path

__all__ = ["replay"]


def replay(report: Report) -> Replay | None:
    """Run the case again; None without a network, or with a layer that the page or the reference does not know.

    Examples
    --------
    >>> from bpcheck import mlp, Verdict
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    >>> found = replay(Report("f", Verdict.DISAGREES, counterexample=case))
    >>> found.cost, found.layers[0].delta.right.tolist()
    (2.0, [[2.0]])
    """
    case = report.counterexample
    if case is None or unknown(case.architecture):
        return None
    said = {comparison.in_our_layout.path: comparison for comparison in report.comparisons}
    given = {path: comparison.in_our_layout for path, comparison in said.items()}
    with np.errstate(all="ignore"):
        try:
            network = build(case.architecture)
            cost = network.loss(case.params, case.x, case.y)
            factor = _factor(given, network.gradient(case.params, case.x, case.y))
            up = _Up({place.path: place.number for place in places(case.architecture)}, said)
            start = _Entering(case.x, "", layer_name("a", FIRST_LAYER - 1), FIRST_LAYER - 1, False)
            layers = up.through(
                start, case.architecture.layers, network.chain.layers, case.params, Path("params")
            )
        except InputError:
            return None
        claims = claimed(report, case, layers, given, factor)
        layers = _down(layers, up.pulls, _from_the_cost(case, layers[-1].a, factor), claims)
    return Replay(case, (*layers[:-1], _output(case, layers[-1])), float(cost), claims.source)


@dataclass(frozen=True, eq=False)
class _Entering:
    """What comes up to a layer: the numbers, the key of what they leave, what they are called, the book's number."""

    a: Any
    key: str
    name: str
    number: int
    has_below: bool


@dataclass(frozen=True, eq=False)
class _Up:
    """The forward pass; ``pulls`` takes what comes down to a layer to its trace and to what comes out below."""

    numbers: Mapping[Path, int | None]
    said: Mapping[str, Comparison]
    pulls: dict[Path, Callable[[Any], tuple[Any, Any]]] = field(default_factory=dict)

    def through(
        self,
        before: _Entering,
        specs: Sequence[LayerSpec],
        layers: Sequence[ReferenceLayer],
        params: Any,
        path: Path,
    ) -> tuple[Layer, ...]:
        """All layers of a chain, with everything but what comes down."""
        found: list[Layer] = []
        for index, (spec, layer, own) in enumerate(zip(specs, layers, params, strict=True)):
            here = path.item(index)
            a, residuals, _ = layer.forward(own, before.a, TRAINING)
            self.pulls[here] = partial(_pulled, layer, own, residuals)
            within = [layer_of(one) for one in spec.inner]
            inner = self.through(before, spec.inner, within, own if within else (), here)
            made = self._layer(before, here, spec, inner, own, a)
            found.append(made)
            before = _Entering(a, made.key, made.name, made.number, before.has_below or any(tree.leaves(own)))
        return tuple(found)

    def _layer(
        self, before: _Entering, path: Path, spec: LayerSpec, inner: tuple[Layer, ...], own: Any, a: Any
    ) -> Layer:
        """A layer with what was said of its gradients; of one made of others, the first knows its way."""
        number = inner[-1].number if inner else self.numbers[path] or before.number
        name = _name(spec, number, before.name, inner)
        paths = {role: str(path.item(key)) for key, role in spec.roles.items()}
        made = Layer(
            path, spec, number, name, before.key, before.name, before.a, a, inner=inner, has_below=before.has_below,
            params={role: np.asarray(own[key], dtype=float) for key, role in spec.roles.items()},
            comparisons={role: self.said[path] for role, path in paths.items() if path in self.said},
        )  # fmt: skip
        return replace(made, inner=(replace(inner[0], through=made.passed), *inner[1:])) if inner else made


def _name(spec: LayerSpec, number: int, entering: str, inner: Sequence[Layer]) -> str:
    """What a formula calls the numbers that leave a layer: a², h³ after a skip connection, vec(a²) in a row."""
    if not inner:
        flat = entering if entering.startswith("vec(") else f"vec({entering})"
        return layer_name("a", number) if spec.is_numbered else flat
    name = layer_name("h", number)
    last = inner[-1]
    return f"{last.name}′" if last.name.startswith(name) else name  # two that end in the same layer


def _pulled(layer: ReferenceLayer, own: Any, residuals: Any, down: Any) -> tuple[Any, Any]:
    trace = layer.trace(own, residuals, down) if isinstance(layer, Traceable) else None
    return trace, layer.pullback(own, residuals, down)[1]


def _from_the_cost(case: Case, output: Any, factor: float) -> Compared:
    """What comes down to the output, in the caller's unit of cost."""
    count = case.batch if case.architecture.reduction == "mean" else 1
    return Compared.of(LOSS[case.architecture.loss].gradient(output, case.y) / count * factor)


def _down(
    layers: Sequence[Layer],
    pulls: Mapping[Path, Callable[[Any], tuple[Any, Any]]],
    down: Compared,
    claims: Claims,
) -> tuple[Layer, ...]:
    """The layers of a chain with what comes down through them, and what is known of the caller's numbers."""
    found: list[Layer] = []
    for layer in reversed(layers):
        trace, right = pulls[layer.path](down.right)
        inner = _down(layer.inner, pulls, down, claims)
        below = Compared.of(right, claims.known.get(("below", layer.key)))
        here = replace(layer, inner=inner, down=down, below=below)
        if isinstance(trace, LayerTrace) and trace.delta is not None:
            slack = rounding(layer.comparisons.get("bias"))
            delta = Compared.of(trace.delta, claims.known.get(("delta", layer.key)), slack)
            here = replace(here, z=trace.pre_activation, delta=delta)
        found.append(here)
        down = below
    return tuple(found[::-1])


def _output(case: Case, last: Layer) -> Layer:
    """The last layer; where the chain ends in logits, what the book calls a^L is computed inside the loss."""
    output = case.architecture.output
    if isinstance(last.z, np.ndarray) and output == LOSS[case.architecture.loss].fused_output:
        last = replace(last, a=ACTIVATION[output].value(last.z))
    return replace(last, is_output=True)


def _factor(given: Mapping[str, Comparison], right: Any) -> float:
    """The unit in which the caller's cost is measured (the sum for the mean, say): its right gradient over ours."""
    top = dot = 0.0
    for path, ours in tree.leaves(right):
        theirs = given[str(path)].expected if str(path) in given else None
        if theirs is not None and theirs.shape == ours.shape and np.isfinite(theirs).all():
            top += float(np.sum(ours * ours))
            dot += float(np.sum(ours * theirs))
    factor = dot / top if top else 1.0
    return 1.0 if abs(factor - 1.0) <= SAME or not np.isfinite(factor) else factor
