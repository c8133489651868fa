"""Losses and penalties at a complex argument: the imaginary part alone, what is known of the real part reused.

The same as :mod:`bpcheck.reference.touching.imaginary` does for activations: identities of the losses themselves, at
a + iv with v of the order of 2^−200, and no derivative of any of them. Each function takes what is known and
returns the map from v of shape (m, n, P) to the imaginary parts of the m examples' losses, (m, P). All of them
also run on balls (:class:`bpcheck.reference.numbers.ball.Ball`), which bounds their rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.network.architecture import Architecture
from bpcheck.network.names import is_penalised
from bpcheck.reference.activation import enclosed_softmax
from bpcheck.reference.loss import HUBER_DELTA
from bpcheck.reference.numbers.ball import EVALUATION_ULPS, Ball
from bpcheck.reference.touching.imaginary import Imaginary, shifted
from bpcheck.tree import FloatArray, Path, Tree

__all__ = ["LOSS_AT", "penalty_at"]


def _dot(r: Any, v: Any) -> Any:
    """Σ_k r_k v_k of each example and perturbation."""
    return (r[:, None, :] @ v)[:, 0, :]


def _half_mse(a: Any, y: Any) -> Imaginary:
    r = a - y
    # ½ (r + iv)(r + iv) = ½ (r r − v v) + ½ i (r v + v r)
    return lambda v: _dot(r, v)


def _mse(a: Any, y: Any) -> Imaginary:
    r = a - y
    return lambda v: _dot(r, v) * 2.0 / a.shape[1]


def _huber(a: Any, y: Any) -> Imaginary:
    # ½ (r + iv)² where |r| ≤ δ, and δ (±(r + iv) − ½δ) outside: the real part decides which
    r = a - y
    mid = r.mid if isinstance(r, Ball) else r
    factor: Any = np.where(abs(mid) <= HUBER_DELTA, mid, np.where(mid >= 0, HUBER_DELTA, -HUBER_DELTA))
    if isinstance(r, Ball):  # continuous in r, and no steeper than r itself
        factor = Ball(factor, r.rad, r.kink, r.u)
    return lambda v: _dot(factor, v)


def _binary_cross_entropy(z: Any, y: Any) -> Imaginary:
    # ln(1 + e^z) − y z = ln(1 + e^{−|z|}) + (1 − y) z for z ≥ 0, and ln(1 + e^{−|z|}) − y z below. With d = e^{−|z|}, the
    # logarithm's imaginary part is the angle of 1 + d e^{∓iv}: ∓d sin v over 1 + d cos v.
    mid = z.mid if isinstance(z, Ball) else z
    d = np.exp(-abs(mid))
    tangent = np.where(mid >= 0, -d, d) / (1.0 + d)
    linear = np.where(mid >= 0, 1.0, 0.0) - y
    if isinstance(z, Ball):
        # |(ln (d/(1 + d)))'| ≤ 1
        rad = abs(tangent) * (np.expm1(z.rad) + EVALUATION_ULPS * z.u)
        tangent = Ball(tangent, rad, 0.0 * rad, z.u)
    return lambda v: _dot(tangent, v) + _dot(linear, v)


def _cross_entropy(z: Any, y: Any) -> Imaginary:
    # −Σ y_k (z_k − ln Σ_j e^{z_j}), from which the largest z_L may be taken off everywhere, its imaginary part too.
    # With w_k = e^{x_k − x_L}, Σ_j w_j e^{iv_j} = S + iT, and the logarithm's imaginary part is arctan T/S.
    without_largest, total = shifted(z), y.sum(axis=1)[:, None]
    if isinstance(z, Ball):
        p = enclosed_softmax(z)

        def ball(v: Any) -> Any:
            v = without_largest(v)
            return total * _dot(p, v) - _dot(y, v)

        return ball
    w = np.exp(z - z.max(axis=1, keepdims=True))
    s = w.sum(axis=1)[:, None]
    both = np.stack([w, y], axis=1)

    def imaginary(v: Any) -> Any:
        sums = both @ without_largest(v)
        return total * (sums[:, 0] / s) - sums[:, 1]

    return imaginary


LOSS_AT: Mapping[str, Callable[[Any, Any], Imaginary]] = MappingProxyType(
    {
        "half_mse": _half_mse,
        "mse": _mse,
        "huber": _huber,
        "binary_cross_entropy": _binary_cross_entropy,
        "cross_entropy": _cross_entropy,
    }
)
"""From real outputs a and targets y, arrays or balls of shape (m, n), to the map v ↦ Im loss(a + iv)."""


def penalty_at(
    params: Tree, architecture: Architecture, step: float
) -> Mapping[Path, tuple[FloatArray, FloatArray]]:
    """Imaginary part of the penalty with one entry w moved to w + ih, and its rounding, entry by entry.

    λ₁ ±(w + ih) + ½ λ₂ (w + ih)(w + ih) in complex arithmetic; at w = 0 the two branches are averaged.

    Parameters
    ----------
    params : tree of float64 arrays
    architecture : Architecture
    step : float
        h.

    Returns
    -------
    mapping of Path to (array, array)
        Without the tensors that are not penalised.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> architecture = mlp([1, 1], l1=0.5, l2=0.25)
    >>> [(value, _)] = penalty_at([{"weight": np.array([[-2.0]]), "bias": np.zeros(1)}], architecture, 1.0).values()
    >>> value
    array([[-1.]])
    """
    if not (architecture.l1 or architecture.l2):
        return {}
    found = {}
    for path, w in tree.leaves(params):
        if not is_penalised(architecture, path):
            continue
        moved = w + 1j * step
        size = np.where(w == 0, 0.0, np.where(w > 0, moved, -moved))
        imaginary = (architecture.l1 * size + 0.5 * architecture.l2 * (moved * moved)).imag
        magnitude = architecture.l1 + architecture.l2 * abs(w)
        found[path] = (imaginary, EVALUATION_ULPS * 2.0**-53 * magnitude * step)
    return found
