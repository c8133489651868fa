"""Activations σ and their derivatives σ', written out by hand.

Every value function also takes complex arrays that differ from real ones by a tiny imaginary part
(the complex-step witness feeds them): branches look at the real part, and nothing uses ``abs``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.special import erfc

from bpcheck.reference.numbers.ball import EVALUATION_ULPS, Ball, underflow
from bpcheck.reference.numbers.variance import Noisy, emerging, flips, through

__all__ = ["ACTIVATION", "Activation", "enclosed_softmax", "log_softmax", "softmax", "softplus"]

LEAKY_SLOPE = 0.01

# σ'(a): what most code computes from the stored, hence rounded, a, and how fast σ' changes with a.
SLOPE_FROM_OUTPUT: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"tanh": lambda a: -2.0 * a, "sigmoid": lambda a: 1.0 - 2.0 * a}
)


@dataclass(frozen=True)
class Activation:
    """An activation with its derivative and what is needed to bound their errors.

    Attributes
    ----------
    name : str
    value : callable
        σ(z), elementwise; softmax along the last axis.
    derivative : callable
        σ'(z) given (z, a): the shape of z, or one Jacobian J[k, j] = ∂a_k/∂z_j an example.
    lipschitz, curvature : float
        max |σ'| and max |σ''| away from kinks: how fast an error of z grows in a and in σ'.
    kink : (float, float) or None
        The one-sided derivatives at z = 0, where they differ.
    """

    name: str
    value: Callable[[Any], Any]
    derivative: Callable[[Any, Any], Any]
    lipschitz: float
    curvature: float
    kink: tuple[float, float] | None = None

    def enclose(self, z: Ball) -> tuple[Ball, Ball]:
        """σ(z) and σ'(z) for a z that is known up to its radius.

        The rounding of σ' is bounded absolutely, not relatively: 1 − tanh² has lost all its digits at
        z = 25, and correct code may compute it so.
        """
        if self.name == "softmax":
            return _enclose_softmax(z)
        rounding = EVALUATION_ULPS * z.u * np.maximum(1.0, abs(z.mid))
        # the exact z and another implementation's may lie on different sides of 0
        spread = 2.0 * z.rad + z.kink
        mid = self.value(z.mid)
        slope = self.derivative(z.mid, mid)
        value_rad = self.lipschitz * z.rad + (rounding if self.curvature or self.kink else 0.0)
        value = Ball(mid, np.broadcast_to(value_rad, mid.shape), self.lipschitz * z.kink, z.u)
        slope_rad = self.curvature * z.rad + (rounding if self.curvature else 0.0)
        slope_kink = self.curvature * z.kink
        if self.kink is not None:
            # Within its radius of 0 a unit may be on either side: any slope between the one-sided
            # derivatives is a valid answer.
            low, high = self.kink
            undecided = abs(z.mid) <= spread
            slope = np.where(undecided, (low + high) / 2, slope)
            slope_kink = np.where(undecided, (high - low) / 2, slope_kink)
            slope_rad = np.where(slope == 0.0, 0.0, z.u * abs(slope))
        return value, Ball(slope, np.broadcast_to(slope_rad, mid.shape), slope_kink, z.u)

    def noisy(self, z: Noisy) -> tuple[Noisy, Noisy]:
        """σ(z) and σ'(z) for a z with a variance (:mod:`bpcheck.reference.numbers.variance`)."""
        if self.name == "softmax":
            return _noisy_softmax(z)
        how = z.rounding
        value = self.value(z.value)
        slope = self.derivative(z.value, value)
        variance = through(self.value, z)
        slope_variance = np.zeros(slope.shape)
        if self.curvature:
            # intermediate results are of order one (1 + e^−z, tanh², Φ(z)), and z times them
            variance = variance + how.elementary(np.maximum(1.0, abs(z.value))) + how.storing(value)
            slope_variance = through(lambda at: self.derivative(at, self.value(at)), z)
            slope_variance = slope_variance + how.elementary(1.0) + how.storing(slope)
        if self.name in SLOPE_FROM_OUTPUT:
            slope_variance = slope_variance + SLOPE_FROM_OUTPUT[self.name](value) ** 2 * how.storing(value)
        if self.kink is not None:
            low, high = self.kink
            variance = np.maximum(variance, high**2 * emerging(z))
            variance = variance + how.storing(value) * (low != 0.0)  # a maximum is exact, a product is not
            slope_variance = (high - low) ** 2 * flips(z)
        return Noisy(value, variance, how), Noisy(slope, slope_variance, how)

    def applied(self, z: Any) -> tuple[Any, Any]:
        """σ(z) and σ'(z), for any kind of numbers; a complex pass wants the value alone, for σ' is never differentiated."""
        if isinstance(z, Ball):
            return self.enclose(z)
        if isinstance(z, Noisy):
            return self.noisy(z)
        a = self.value(z)
        return a, None if np.iscomplexobj(z) else self.derivative(z, a)


def _decay(z: Any) -> Any:
    """exp(−|z|): never overflows."""
    return np.exp(np.where(z.real >= 0, -z, z))


def _sigmoid(z: Any) -> Any:
    # 1/(1+e^{−z}) for z ≥ 0 and e^z/(1+e^z) for z < 0 are the same function; neither overflows.
    decay = _decay(z)
    return np.where(z.real >= 0, 1.0, decay) / (1.0 + decay)


def softplus(z: Any) -> Any:
    """ln(1 + e^z) = max(z, 0) + ln(1 + e^{−|z|})."""
    return np.where(z.real >= 0, z, 0.0) + np.log1p(_decay(z))


def _normal_cdf(z: Any) -> Any:
    # ½ erfc(−z/√2) keeps its digits for z → −∞, where 1 + erf cancels.
    return 0.5 * erfc(-z / math.sqrt(2.0))


def _normal_density(z: Any) -> Any:
    return np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def log_softmax(z: Any) -> Any:
    """The logarithm of softmax, z − ln Σ e^z, along the last axis.

    Shifted by the largest z nothing overflows, and its own term is exactly 1: ln(1 + the others)
    keeps its digits when they are tiny. For the complex step the imaginary part is shifted too.
    """
    largest = z.real.argmax(axis=-1)[..., None]
    shifted = z - np.take_along_axis(z, largest, axis=-1)
    is_largest = np.arange(z.shape[-1]) == largest
    return shifted - np.log1p(np.where(is_largest, 0.0, np.exp(shifted)).sum(axis=-1, keepdims=True))


def softmax(z: Any) -> Any:
    """Softmax, e^z / Σ e^z, along the last axis."""
    weights = np.exp(z - z.real.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _softmax_jacobian(z: Any, a: Any) -> Any:
    # ∂p_k/∂z_j = p_k (1[k=j] − p_j)
    return a[..., :, None] * (np.eye(z.shape[-1]) - a[..., None, :])


def _enclose_softmax(z: Ball) -> tuple[Ball, Ball]:
    """Softmax on balls, and its Jacobian."""
    value = enclosed_softmax(z)
    jacobian = value[..., :, None] * (np.eye(z.shape[-1]) - value[..., None, :])
    return value, jacobian


def enclosed_softmax(z: Ball) -> Ball:
    """Softmax on balls: every z_j off by ≤ r changes p_k by at most p_k (e^{2r} − 1).

    The exact p_k in it is at most e^{2r} times the one computed from the middle.
    """
    p = softmax(z.mid)
    width = z.shape[-1]
    reach = np.minimum(2.0 * z.rad.max(axis=-1, keepdims=True), 50.0)
    spread_rad = np.expm1(reach) * np.exp(reach)
    spread_kink = np.expm1(np.minimum(2.0 * z.kink.max(axis=-1, keepdims=True), 50.0))
    distance = z.mid.max(axis=-1, keepdims=True) - z.mid
    # e^{−d} computed from a rounded d is off by a relative d·u; the sum adds n roundings.
    rounding = z.u * p * (EVALUATION_ULPS + width + distance + (p * distance).sum(axis=-1, keepdims=True))
    rounding = rounding + (2 + width) * underflow(z.u)  # numerator, division, and what the sum lost
    return Ball(p, p * spread_rad + rounding, p * spread_kink, z.u)


def _noisy_softmax(z: Noisy) -> tuple[Noisy, Noisy]:
    """Softmax: dp_k = p_k (dz_k − Σ_j p_j dz_j), and every weight e^{z_k − max} has a relative error of its own."""
    how, width = z.rounding, z.shape[-1]
    p = softmax(z.value)
    # z − max is rounded, which e^· turns into a relative error of that size; then the exponential itself, the
    # sum (width roundings of a sum of positives) and the division
    distance = z.value.max(axis=-1, keepdims=True) - z.value
    relative = z.variance + how.elementary(1.0 + distance)
    # frameworks keep ln p, rounded where it is stored, and take e^ of that
    stored_log = how.storing(log_softmax(z.value))
    together = (p**2 * relative).sum(axis=-1, keepdims=True) + how.elementary(1.0) * width / 3
    variance = p**2 * ((1.0 - p) ** 2 * relative + together + stored_log) + how.storing(p)
    value = Noisy(p, variance, how)
    jacobian = value[..., :, None] * (np.eye(width) - value[..., None, :])
    return value, jacobian


def _relu_slope(z: Any, a: Any) -> Any:
    return (z > 0).astype(z.dtype)  # the value at 0 is a convention


def _leaky_slope(z: Any, a: Any) -> Any:
    return np.where(z > 0, z.dtype.type(1.0), z.dtype.type(LEAKY_SLOPE))


def _silu_slope(z: Any, a: Any) -> Any:
    s = _sigmoid(z)
    return s + z * s * (1.0 - s)


# max |σ'| and max |σ''|, from the maxima of the derivatives:
#   sigmoid  σ'' extremal at z = ±ln(2+√3): 1/(6√3) = 0.0963
#   tanh     σ'' extremal at tanh² z = 1/3: 4/(3√3) = 0.7699
#   gelu     σ' = Φ + zφ ≤ 1.1290 at z = √2;  σ'' = (2 − z²)φ ≤ 2φ(0) = 0.7979
#   silu     σ' ≤ 1.0999 at z ≈ 2.3994;       σ'' ≤ σ''(0) = 1/2
#   softplus σ' = sigmoid ≤ 1;                σ'' ≤ 1/4
ACTIVATION: Mapping[str, Activation] = MappingProxyType(
    {
        activation.name: activation
        for activation in (
            Activation("identity", lambda z: z, lambda z, a: np.ones_like(z), 1.0, 0.0),
            Activation("sigmoid", _sigmoid, lambda z, a: a * _sigmoid(-z), 0.25, 0.0963),
            Activation("tanh", np.tanh, lambda z, a: (1.0 - a) * (1.0 + a), 1.0, 0.77),
            Activation("relu", lambda z: np.where(z.real > 0, z, 0.0), _relu_slope, 1.0, 0.0, (0.0, 1.0)),
            Activation(
                "leaky_relu",
                lambda z: np.where(z.real > 0, z, LEAKY_SLOPE * z),
                _leaky_slope,
                1.0,
                0.0,
                (LEAKY_SLOPE, 1.0),
            ),
            Activation("softplus", softplus, lambda z, a: _sigmoid(z), 1.0, 0.25),
            Activation(
                "gelu",
                lambda z: z * _normal_cdf(z),
                lambda z, a: _normal_cdf(z) + z * _normal_density(z),
                1.13,
                0.798,
            ),
            Activation("silu", lambda z: z * _sigmoid(z), _silu_slope, 1.1, 0.5),
            Activation("softmax", softmax, _softmax_jacobian, 0.5, 0.5),
        )
    }
)
