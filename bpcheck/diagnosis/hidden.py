"""Bugs of BP2: the error of the hidden layers."""

from __future__ import annotations

import numpy as np

from bpcheck.diagnosis.backward import Forward, Rules
from bpcheck.diagnosis.bug import Bug
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.equations import bp1_output_error, bp2_hidden_error
from bpcheck.tree import FloatArray

__all__ = ["BUGS"]

RIGHT = Rules()
Deltas = list[FloatArray]


def _derivative_missing(f: Forward, k: int, delta: Deltas) -> FloatArray:
    return bp2_hidden_error(f.weight(k + 1), delta[k + 1])


def _raw_error(f: Forward, k: int, delta: Deltas) -> FloatArray:
    raw = f.cost_gradient
    for above in range(f.top, k, -1):
        raw = bp2_hidden_error(f.weight(above), raw)
    return bp1_output_error(raw, f.derivative[k])


def _with_slope(f: Forward, k: int, delta: Deltas, slope: FloatArray) -> FloatArray:
    return bp2_hidden_error(f.weight(k + 1), delta[k + 1], slope)


def _derivative_of_activation(f: Forward, k: int, delta: Deltas) -> FloatArray:
    activation = ACTIVATION[f.sigma(k)]
    a = f.a[k + 1]
    return _with_slope(f, k, delta, activation.derivative(a, activation.value(a)))


# σ' as a formula in a, for the activations that have one
FORMULA_IN_A = {"sigmoid": lambda v: v * (1.0 - v), "tanh": lambda v: 1.0 - v * v}


def _formula_on_z(f: Forward, k: int, delta: Deltas) -> FloatArray:
    formula = FORMULA_IN_A.get(f.sigma(k))
    return RIGHT.bp2(f, k, delta) if formula is None else _with_slope(f, k, delta, formula(f.z[k]))


def _not_transposed(f: Forward, k: int, delta: Deltas) -> FloatArray:
    return bp1_output_error(delta[k + 1] @ f.weight(k + 1).T, f.derivative[k])


def _wrong_matrix(f: Forward, k: int, delta: Deltas) -> FloatArray:
    return bp2_hidden_error(f.weight(k), delta[k + 1], f.derivative[k])


def _stale(f: Forward, k: int, delta: Deltas) -> FloatArray:
    return bp2_hidden_error(f.weight(f.top), delta[f.top], f.derivative[k])


def _mask_overwrites(f: Forward, k: int, delta: Deltas) -> FloatArray:
    return f.derivative[k] if f.sigma(k) == "relu" else RIGHT.bp2(f, k, delta)


def _leak_lost(f: Forward, k: int, delta: Deltas) -> FloatArray:
    if f.sigma(k) != "leaky_relu":
        return RIGHT.bp2(f, k, delta)
    return _with_slope(f, k, delta, np.where(f.z[k] > 0, 1.0, 0.0))


BUGS = (
    Bug(
        "hidden-derivative-missing",
        "BP2",
        "δ^l is (W^{l+1})ᵀ δ^{l+1} alone: the factor σ'(z^l) is left out in the hidden layers.",
        "Multiply the error that comes down by σ'(z^l), elementwise.",
        RIGHT.but(bp2=_derivative_missing),
        silent="no hidden layer, identity activation",
    ),
    Bug(
        "raw-error-propagated",
        "BP2",
        "the raw output error is sent down through all the weights; the σ' of the layers above is lost.",
        "Send δ^{l+1} down, not the error before it was multiplied by σ'(z^{l+1}).",
        RIGHT.but(bp2=_raw_error),
        silent="fewer than two hidden layers with identity or fused output",
    ),
    Bug(
        "derivative-of-activation",
        "BP2",
        "σ' was evaluated at a^l instead of at z^l.",
        "Keep z^l from the forward pass and use σ'(z^l).",
        RIGHT.but(bp2=_derivative_of_activation),
        silent="ReLU, identity",
    ),
    Bug(
        "derivative-formula-on-z",
        "BP2",
        "the formula for σ' in terms of a (a(1 − a), 1 − a²) was given z.",
        "Give the formula the activation a^l.",
        RIGHT.but(bp2=_formula_on_z),
        silent="activations other than sigmoid and tanh",
    ),
    Bug(
        "weight-not-transposed",
        "BP2",
        "the error was sent down through W^{l+1} instead of its transpose.",
        "δ^l needs Σ_k W_{kj} δ_k: the sum runs over the first index of W.",
        RIGHT.but(bp2=_not_transposed),
        silent="raises unless the matrix is square; right if it is symmetric",
    ),
    Bug(
        "wrong-weight-matrix",
        "BP2",
        "the error was sent down through W^l instead of W^{l+1}.",
        "The error of layer l comes through the weights above it.",
        RIGHT.but(bp2=_wrong_matrix),
        silent="raises unless widths are equal",
    ),
    Bug(
        "stale-delta",
        "BP2",
        "δ^L and W^L were used in every step of the loop.",
        "Update the error variable in each step.",
        RIGHT.but(bp2=_stale),
        silent="fewer than two hidden layers",
    ),
    Bug(
        "relu-mask-overwrites",
        "BP2",
        "the error was replaced by the ReLU mask (0 or 1).",
        "Multiply the error by the mask; do not assign it.",
        RIGHT.but(bp2=_mask_overwrites),
        silent="activations other than ReLU",
    ),
    Bug(
        "leaky-slope-lost",
        "BP2",
        "the slope of leaky ReLU for z < 0 was taken as 0.",
        "σ'(z) is the small slope for z < 0.",
        RIGHT.but(bp2=_leak_lost),
        silent="activations other than leaky ReLU, z > 0",
    ),
)
