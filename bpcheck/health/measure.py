"""From arrays to the numbers of a layer and of a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from bpcheck.health.numbers import Clipping, DenseHealth, LayerHealth, TensorHealth
from bpcheck.network.names import FIRST_LAYER
from bpcheck.precision import format_of
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.jacobian import (
    DenseFlow,
    Node,
    expected_factors,
    products,
    spectral_norms,
    step_jacobians,
)
from bpcheck.tree import FloatArray, rms

__all__ = ["SATURATED", "clipped", "layer_health", "tensor_health"]

SATURATED = format_of("bfloat16").roundoff
"""2^−8 of the steepest slope. Where errors of both kinds of units are added up in bfloat16, what passes a unit that
flat is lost beside what passes a unit that is not: to a network in that format it is dead."""


def _dense(flow: DenseFlow) -> DenseHealth:
    # softmax has a matrix an example: column j is what passes from z_j
    slope = abs(flow.slope).max(axis=1) if flow.slope.ndim == 3 else abs(flow.slope)
    steepest = slope.max(axis=0)
    limit = SATURATED * ACTIVATION[flow.sigma].lipschitz
    return DenseHealth(
        str(flow.path),
        flow.weight.shape[0],
        flow.sigma,
        rms(flow.activation),
        rms(flow.delta),
        rms(flow.weight),
        rms(flow.weight_gradient),
        rms(flow.bias_gradient),
        float(np.mean(steepest == 0.0)),
        float(np.mean(steepest < limit)),
    )


def layer_health(cut: Sequence[Node], *, examples: int) -> tuple[LayerHealth, ...]:
    """The numbers of every layer, the lowest first; with Jacobians of so many examples, nan with 0."""
    size = [rms(node.error) for node in cut]
    factor = [_ratio(low, high) for low, high in pairwise(size)]
    steps = step_jacobians(cut, examples=examples) if examples else []
    unknown = [(np.nan, np.nan)] * len(cut)
    norms = [*map(_middle_and_most, steps), *unknown][: len(cut)]
    whole = [*map(_middle_and_most, products(steps)), *unknown][: len(cut)]
    rows = zip(cut, size, [*factor, np.nan], [*expected_factors(cut), np.nan], norms, whole, strict=True)
    return tuple(
        LayerHealth(
            number,
            "skip" if node.is_skip else "dense",
            rms(node.activation),
            error,
            change,
            theory,
            step[0],
            step[1],
            product[0],
            product[1],
            tuple(_dense(flow) for flow in node.dense),
        )
        for number, (node, error, change, theory, step, product) in enumerate(rows, FIRST_LAYER)
    )


def _ratio(below: float, above: float) -> float:
    return below / above if above else np.nan


def _middle_and_most(jacobians: FloatArray) -> tuple[float, float]:
    norms = spectral_norms(jacobians)
    # an example whose Jacobian is not finite makes both nan: it must not be left out silently
    return float(np.median(norms)), float(np.max(norms))


def tensor_health(path: str, array: FloatArray) -> TensorHealth:
    """The numbers of one tensor.

    Examples
    --------
    >>> tensor_health("w", np.array([3.0, 0.0, -4.0, 0.0, np.nan]))
    TensorHealth(path='w', shape=(5,), rms=2.5, norm=5.0, largest=4.0, zeros=0.4, nonfinite=1)
    """
    finite = array[np.isfinite(array)]
    size = rms(finite)
    return TensorHealth(
        path,
        array.shape,
        size,
        float(size * np.sqrt(finite.size)),
        float(np.max(abs(finite), initial=0.0)),
        float(np.mean(array == 0.0)) if array.size else 0.0,
        int(array.size - finite.size),
    )


def clipped(gradient: Mapping[str, FloatArray], rule: str, limit: float) -> Clipping:
    """What clipping would do to a gradient.

    Examples
    --------
    >>> found = clipped({"low": np.array([[3.0]]), "top": np.array([[4.0]])}, "norm", 1.0)
    >>> found.norm_before, found.norm_after, found.ratio_before, round(found.ratio_after, 9)
    (5.0, 1.0, 0.75, 0.75)
    >>> clipped({"low": np.array([[3.0]]), "top": np.array([[4.0]])}, "value", 1.0).ratio_after
    1.0
    """
    before = list(gradient.values())
    norm = _norm(before)
    if rule == "norm":
        scale = min(1.0, limit / norm) if norm else 1.0
        after = [array * scale for array in before]
    else:
        after = [np.clip(array, -limit, limit) for array in before]
    count = sum(array.size for array in before)
    changed = sum(int(np.sum(a != b)) for a, b in zip(before, after, strict=True))
    return Clipping(
        rule, limit, norm, _norm(after), changed / count, _lowest_over_last(before), _lowest_over_last(after)
    )


def _norm(arrays: Sequence[FloatArray]) -> float:
    return float(np.linalg.norm([rms(array) * np.sqrt(array.size) for array in arrays]))


def _lowest_over_last(arrays: Sequence[FloatArray]) -> float:
    weights = [array for array in arrays if array.ndim > 1] or list(arrays)
    return _ratio(rms(weights[0]), rms(weights[-1]))
