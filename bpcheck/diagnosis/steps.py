"""The backward pass of any network, step by step, with some steps replaced."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis.layers.kinds import OUTPUT, kind_of
from bpcheck.diagnosis.step import Forward, Gradient, Layer, Rules, Run, Step
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.layers.spec import LayerSpec
from bpcheck.network.names import is_penalised, walk
from bpcheck.reference import build
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.layers.kinds import layer_of
from bpcheck.reference.layers.layer import Layer as ReferenceLayer
from bpcheck.reference.loss import LOSS
from bpcheck.reference.network import TRAINING
from bpcheck.subject import STEP_RATES
from bpcheck.tree import FloatArray, Path

__all__ = ["COST_GRADIENT", "PENALTY", "RETURNED", "backward", "data_pass", "forward"]


def _penalty(run: Run, layer: Layer, key: str, values: FloatArray) -> Any:
    architecture = run.forward.case.architecture
    if not is_penalised(architecture, layer.place(key)):
        return 0.0
    return architecture.l1 * np.sign(values) + architecture.l2 * values


COST_GRADIENT = Step(
    "network", "gradient of the cost", OUTPUT, lambda run: run.forward.cost_gradient, once=True
)
"""``(run) -> ∂C/∂a^L``."""

PENALTY = Step("network", "penalty", None, _penalty)
"""``(run, layer, key, values) -> what is added to the gradient of a parameter``."""

RETURNED = Step("network", "returned", None, lambda run, gradient: gradient, once=True)
"""``(run, gradient) -> the gradient as it is returned``, or None where that would raise."""


def _ranks(architecture: Architecture) -> dict[Path, tuple[int, int]]:
    """Where each layer stands, and of how many: among those that books number, or among those of its own kind."""
    groups: dict[type[LayerSpec] | None, list[Path]] = defaultdict(list)
    for path, spec, _ in walk(architecture):
        groups[None if spec.is_numbered and not spec.inner else type(spec)].append(path)
    return {path: (rank, len(group)) for group in groups.values() for rank, path in enumerate(group)}


@dataclass(frozen=True, eq=False)
class _Recorder:
    """Makes a record of every layer, from the input up."""

    ranks: Mapping[Path, tuple[int, int]]
    leaves: list[Layer] = field(default_factory=list)

    def layers(
        self, specs: Sequence[LayerSpec], built: Sequence[ReferenceLayer], params: Any, x: Any, path: Path
    ) -> tuple[tuple[Layer, ...], Any]:
        """Records of a chain, and what comes out of it."""
        made = []
        for index, (spec, layer) in enumerate(zip(specs, built, strict=True)):
            output, saved, _ = layer.forward(params[index], x, TRAINING)
            made.append(self._layer(spec, params[index], x, saved, path.item(index)))
            x = output
        return tuple(made), x

    def _layer(self, spec: LayerSpec, params: Any, x: Any, saved: Any, path: Path) -> Layer:
        index, count = self.ranks[path]
        is_output = spec.is_numbered and not spec.inner and index == count - 1
        below = next((layer for layer in reversed(self.leaves) if layer.params), None)
        inner, _ = self.layers(spec.inner, [layer_of(one) for one in spec.inner], params, x, path)
        kind = kind_of(spec)
        layer = Layer(kind, spec, path, params, x, saved, index, count, is_output, below, inner)
        if not inner:
            self.leaves.append(layer)
        return layer


def forward(case: Case, params: Any = None, *, rate: float | None = None) -> Forward:
    """Run a network forward.

    Parameters
    ----------
    case : Case
    params : tree, optional
        In place of the case's own, for mistakes that are made on the way up.
    rate : float, optional
        That of the step from which a gradient was recovered; :func:`bpcheck.from_step`'s own where none is known.

    Returns
    -------
    Forward
    """
    architecture = case.architecture
    loss, recorder = LOSS[architecture.loss], _Recorder(_ranks(architecture))
    with np.errstate(all="ignore"):
        layers, logits = recorder.layers(
            architecture.layers,
            build(architecture).chain.layers,
            case.params if params is None else params,
            case.x,
            Path("params"),
        )
        fused = bool(loss.fused_output) and architecture.output == loss.fused_output
        output = ACTIVATION[architecture.output].value(logits) if fused else logits
        cost_gradient = loss.gradient(logits, case.y)
        if architecture.reduction == "mean":
            cost_gradient = cost_gradient / case.batch
    taken = STEP_RATES[0] if rate is None else rate
    return Forward(case, layers, tuple(recorder.leaves), output, logits, cost_gradient, fused, taken)


def data_pass(f: Forward, rules: Rules) -> Run | None:
    """A backward pass with these rules, as far as the gradient of the data term; None where its shapes do not fit.

    Its ``errors`` are the δ of all layers.
    """
    made = Run(f, rules)
    try:
        with np.errstate(all="ignore"):
            made.down(f.layers, made.step(COST_GRADIENT))
    except ValueError:  # NumPy's "shapes do not match": the bug cannot run silently on this network
        return None
    return made


def backward(f: Forward, rules: Rules) -> Gradient | None:
    """The gradient that code with these rules returns; None where its shapes do not fit (it would raise).

    Examples
    --------
    >>> from bpcheck import mlp
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    >>> {str(path): values.tolist() for path, values in backward(forward(case), Rules()).items()}
    {"params[0]['weight']": [[6.0]], "params[0]['bias']": [2.0]}
    """
    made, params = data_pass(f, rules), dict(tree.leaves(f.case.params))
    if made is None:
        return None
    gradient = {}
    try:
        with np.errstate(all="ignore"):
            for layer in f.leaves:
                for key in layer.params:
                    path = layer.place(key)
                    value = made.gradient[path] + made.step(PENALTY, layer, key, params[path])
                    if np.shape(value) != params[path].shape:
                        return None
                    gradient[path] = np.asarray(value)
            return made.step(RETURNED, {path: gradient[path] for path in params})  # type: ignore[no-any-return]
    except ValueError:
        return None
