"""Losses of one example and their gradients ∇_a, and how a batch is reduced. Defined here once.

The two cross-entropies are computed from logits, which is exact and cannot overflow: softmax and
cross-entropy together are −Σ y ln softmax(z) with ∇_z = (Σy) p − y, sigmoid and binary
cross-entropy are Σ softplus(z) − y z with ∇_z = σ(z) − y. The network therefore hands them z^L,
and BP1 is applied with the identity as output activation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from bpcheck.reference.activation import ACTIVATION, log_softmax, softmax, softplus
from bpcheck.reference.numbers.ball import EVALUATION_ULPS, Ball
from bpcheck.reference.numbers.variance import NEAR_KINK, Noisy, through

__all__ = ["LOSS", "Loss", "reduce"]

HUBER_DELTA = 1.0

# A distribution stored in float32 over up to some tens of classes sums to 1 within this.
ROUNDED_SUM = 1e-6


@dataclass(frozen=True)
class Loss:
    """A loss of one example.

    Attributes
    ----------
    name : str
    value : callable
        ``value(a, y)`` of shape (m,) for a, y of shape (m, n); a are logits for the cross-entropies.
    gradient : callable
        ``gradient(a, y)``, ∂value/∂a, of shape (m, n).
    fused_output : str
        The output activation that is computed inside the loss ("" if none).
    """

    name: str
    value: Callable[[Any, Any], Any]
    gradient: Callable[[Any, Any], Any]
    fused_output: str = ""


def reduce(values: Any, reduction: str) -> Any:
    """The cost of a batch from the losses of its examples: their mean or their sum.

    Examples
    --------
    >>> float(reduce(np.array([1.0, 3.0]), "mean"))
    2.0
    """
    total = values.sum(axis=0)
    return total / values.shape[0] if reduction == "mean" else total


def _half_mse(a: Any, y: Any) -> Any:
    r = a - y
    return (r * r).sum(axis=1) * 0.5


def _mse(a: Any, y: Any) -> Any:
    r = a - y
    return (r * r).sum(axis=1) / a.shape[1]


def _mse_gradient(a: Any, y: Any) -> Any:
    return (a - y) * 2.0 / a.shape[1]


def _huber(a: Any, y: Any) -> Any:
    if isinstance(a, Ball):
        r = a - y
        # |dH/dr| ≤ 1; the value itself takes a few roundings
        value = _huber_value(r.mid)
        rounding = EVALUATION_ULPS * a.u * (value + abs(r.mid))
        return Ball(value, r.rad + rounding, r.kink, a.u).sum(axis=1)
    if isinstance(a, Noisy):
        return _noisy_value(_huber_value, a - y).sum(axis=1)
    return _huber_value(a - y).sum(axis=1)


def _noisy_value(function: Callable[[Any], Any], r: Noisy) -> Noisy:
    """A smooth function of one number: what its argument's error does, and two roundings of its own."""
    value = function(r.value)
    return Noisy(value, through(function, r) + 2 * r.rounding.storing(value), r.rounding)


def _huber_value(r: Any) -> Any:
    size = np.where(r.real >= 0, r, -r)
    return np.where(size.real <= HUBER_DELTA, 0.5 * r * r, HUBER_DELTA * (size - 0.5 * HUBER_DELTA))


def _huber_gradient(a: Any, y: Any) -> Any:
    if isinstance(a, Ball):
        r = a - y  # clipping is continuous and never widens a ball
        return Ball(np.clip(r.mid, -HUBER_DELTA, HUBER_DELTA), r.rad, r.kink, a.u)
    if isinstance(a, Noisy):
        r = a - y  # what is clipped is exact
        inside = abs(r.value) <= HUBER_DELTA + NEAR_KINK * r.deviation
        return Noisy(
            np.clip(r.value, -HUBER_DELTA, HUBER_DELTA), np.where(inside, r.variance, 0.0), r.rounding
        )
    return np.clip(a - y, -HUBER_DELTA, HUBER_DELTA)


def _binary_cross_entropy(z: Any, y: Any) -> Any:
    if isinstance(z, Ball):
        value = softplus(z.mid) - y.mid * z.mid
        slope = abs(ACTIVATION["sigmoid"].value(z.mid) - y.mid) + y.rad
        # ∂/∂z = a − y; second derivative ≤ 1/4
        rad = slope * z.rad + 0.125 * z.rad * z.rad + y.rad * abs(z.mid)
        kink = slope * z.kink + 0.125 * z.kink * (z.kink + 2 * z.rad)
        rounding = EVALUATION_ULPS * z.u * (1.0 + abs(z.mid) + _textbook_logarithms(z.u, z.mid, y.mid))
        return Ball(value, rad + rounding, kink, z.u).sum(axis=1)
    if isinstance(z, Noisy):
        how, slope = z.rounding, ACTIVATION["sigmoid"].value(z.value) - y.value
        rounding = how.elementary(
            1.0 + abs(z.value) + _textbook_logarithms(how.computed.roundoff, z.value, y.value)
        )
        # ln a of an a that is stored, and so rounded
        stored = how.storing(1.0 + abs(z.value) + _textbook_logarithms(how.stored.roundoff, z.value, y.value))
        variance = slope**2 * z.variance + z.value**2 * y.variance + rounding + stored
        return Noisy(softplus(z.value) - y.value * z.value, variance, how).sum(axis=1)
    return (softplus(z) - y * z).sum(axis=1)


def _textbook_logarithms(u: float, z: Any, y: Any) -> Any:
    """Error of ln a and ln(1 − a) computed from a rounded a, in units of u: 1/a and 1/(1 − a)."""
    over_a, over_not_a = _reciprocals(u, z)
    return y * over_a + (1.0 - y) * over_not_a


def _reciprocals(u: float, z: Any) -> tuple[Any, Any]:
    """1/a and 1/(1 − a); 0 where the number itself rounds to 0, for textbook code then is infinite: wrong."""
    a, not_a = ACTIVATION["sigmoid"].value(z), ACTIVATION["sigmoid"].value(-z)
    return tuple(np.where(v >= u / 4, 1.0 / np.maximum(v, u / 4), 0.0) for v in (a, not_a))  # type: ignore[return-value]


def _binary_cross_entropy_gradient(z: Any, y: Any) -> Any:
    if isinstance(z, Ball):
        a, _ = ACTIVATION["sigmoid"].enclose(z)
        # textbook code forms (a − y) / (a (1 − a)) from a rounded a, and multiplies by a σ' of its own
        over_a, over_not_a = _reciprocals(z.u, z.mid)
        not_a = ACTIVATION["sigmoid"].value(-z.mid)
        unfused = y.mid * not_a * over_a + (1.0 - y.mid) * a.mid * over_not_a
        return (a - y).widened(EVALUATION_ULPS * z.u * unfused)
    if isinstance(z, Noisy):
        how = z.rounding
        noisy, _ = ACTIVATION["sigmoid"].noisy(z)
        over_a, over_not_a = _reciprocals(how.computed.roundoff, z.value)
        unfused = y.value * (1.0 - noisy.value) * over_a + (1.0 - y.value) * noisy.value * over_not_a
        return (noisy - y).noisier(how.elementary(unfused))
    return ACTIVATION["sigmoid"].value(z) - y


def _cross_entropy(z: Any, y: Any) -> Any:
    if isinstance(z, Ball):
        log_p = log_softmax(z.mid)
        worst = 2.0 * z.rad.max(axis=1, keepdims=True)  # |∂ ln p_k / ∂z|₁ ≤ 2
        worst_kink = 2.0 * z.kink.max(axis=1, keepdims=True)
        magnitude = abs(z.mid).max(axis=1, keepdims=True) + abs(log_p)
        rounding = z.u * (EVALUATION_ULPS + z.shape[1]) * (1.0 + magnitude)
        rad = (y.mid + y.rad) * (worst + rounding) + y.rad * abs(log_p)
        return Ball(-y.mid * log_p, rad, y.mid * worst_kink, z.u).sum(axis=1)
    if isinstance(z, Noisy):
        how, log_p, p = z.rounding, log_softmax(z.value), softmax(z.value)
        shared = (p**2 * z.variance).sum(axis=1, keepdims=True)
        magnitude = 1.0 + abs(z.value).max(axis=1, keepdims=True) + abs(log_p)
        # ln p of a p that is stored is off by u / p · p: u again
        own = how.elementary(magnitude) * (1 + z.shape[1] / 3) + how.storing(magnitude)
        variance = y.value**2 * (z.variance + shared + own) + y.variance * log_p**2
        return Noisy(-y.value * log_p, variance, how).sum(axis=1)
    return -(y * log_softmax(z)).sum(axis=1)


def _cross_entropy_gradient(z: Any, y: Any) -> Any:
    total = y.sum(axis=1)[:, None]  # 1 for a distribution; the formula holds without
    if isinstance(z, Ball):
        p, _ = ACTIVATION["softmax"].enclose(z)
        # For targets that sum to 1 up to rounding, p − y is what everybody writes, and right.
        off = abs((total.mid if isinstance(total, Ball) else total) - 1.0)
        unsummed = np.where(off <= ROUNDED_SUM, off, 0.0)
        return (p * total - y).widened(p.mid * unsummed)
    if isinstance(z, Noisy):
        noisy, _ = ACTIVATION["softmax"].noisy(z)
        off = abs(total.value - 1.0)
        unsummed = np.where(off <= ROUNDED_SUM, off, 0.0)
        return (noisy * total - y).noisier((noisy.value * unsummed) ** 2)
    return softmax(z) * total - y


LOSS: Mapping[str, Loss] = MappingProxyType(
    {
        loss.name: loss
        for loss in (
            Loss("half_mse", _half_mse, lambda a, y: a - y),
            Loss("mse", _mse, _mse_gradient),
            Loss("huber", _huber, _huber_gradient),
            Loss(
                "binary_cross_entropy",
                _binary_cross_entropy,
                _binary_cross_entropy_gradient,
                fused_output="sigmoid",
            ),
            Loss("cross_entropy", _cross_entropy, _cross_entropy_gradient, fused_output="softmax"),
        )
    }
)
