"""Bugs of BP3: the gradient of the biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck.diagnosis.backward import Forward, Rules
from bpcheck.diagnosis.bug import Bug
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

RIGHT = Rules()


def _first(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.asarray(delta[0])


def _last(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.asarray(delta[-1])


def _mean(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.asarray(delta.mean(axis=0))


def _summed_though_mean(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.asarray(delta.sum(axis=0) * f.case.batch)


def _over_units(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.asarray(delta.sum(axis=1))


def _scalar(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.full(delta.shape[1], delta.sum())


def _absent(f: Forward, k: int, delta: FloatArray) -> FloatArray:
    return np.zeros(delta.shape[1])


def _times_bias(f: Forward, k: int, delta: FloatArray) -> Any:
    return delta.sum(axis=0) * f.case.params[k]["bias"]


def _bug(slug: str, explanation: str, hint: str, rule: Any, silent: str) -> Bug:
    return Bug(slug, "BP3", explanation, hint, RIGHT.but(bp3=rule), silent)


SUM = "Sum δ over the batch axis: delta.sum(axis=0)."

BUGS = (
    _bug(
        "bias-not-summed", "only the first example's δ was used for the biases.", SUM, _first, "batch of one"
    ),
    _bug(
        "bias-last-example", "only the last example's δ was used for the biases.", SUM, _last, "batch of one"
    ),
    _bug(
        "bias-mean-weight-sum",
        "the bias gradient is divided by the batch size, the weight gradient is not.",
        "Treat both alike: the 1/m of a mean belongs into δ^L, once.",
        _mean,
        "batch of one",
    ),
    _bug(
        "bias-sum-weight-mean",
        "the weight gradient is divided by the batch size, the bias gradient is not.",
        "Treat both alike: the 1/m of a mean belongs into δ^L, once.",
        _summed_though_mean,
        "batch of one",
    ),
    _bug(
        "bias-summed-over-units",
        "δ was summed over the units instead of over the batch.",
        SUM,
        _over_units,
        "raises unless the batch is as large as the layer is wide",
    ),
    _bug("bias-scalar", "one number for the whole layer was used for every bias.", SUM, _scalar, "one unit"),
    _bug(
        "bias-absent",
        "the bias gradient is zero.",
        "∂C/∂b^l = δ^l: fill it in.",
        _absent,
        "never: biases must be looked at",
    ),
    _bug(
        "bias-times-value",
        "the bias gradient was multiplied by the bias.",
        "∂z/∂b = 1, not b.",
        _times_bias,
        "all biases 1",
    ),
)
