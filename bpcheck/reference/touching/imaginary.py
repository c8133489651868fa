r"""Activations at a complex argument x + iy: the imaginary part Im σ(x + iy), with what is known of x reused.

A complex step perturbs one real number by ih, and what it then evaluates is the *function*, at complex
arguments x + iy whose real part x is the same for every perturbation. Addition theorems separate the two:
e^{x+iy} = e^x (cos y + i sin y), and the C library computes tanh(x + iy) from sinh x and tan y. So e^x and sinh x
are computed once, and an evaluation costs a few products instead of a complex elementary function.

Everything here is an identity of σ at a complex argument. y is of the order of h = 2^−200, so that in float64
cos y *is* 1, sin y, tan y and arctan y *are* y, and 1 + y² *is* 1: those are roundings, each within 2^−200 of the exact
value, relatively, as long as |y| stays below 2^−100. No derivative of σ is used or known: σ' would be a
second formula that a bug could share with backpropagation. What has no such identity (the Gaussian
distribution function) is evaluated as it stands, in complex arithmetic.

Sources: W. Kahan, *Branch cuts for complex elementary functions*, in The State of the Art in Numerical
Analysis, 1987 (tanh); Abramowitz and Stegun, §4.3.47, §4.2.2 (e^z and ln z).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from bpcheck.reference.activation import ACTIVATION, LEAKY_SLOPE, enclosed_softmax
from bpcheck.reference.numbers.ball import EVALUATION_ULPS, Ball
from bpcheck.reference.touching.touch import Known

__all__ = ["LARGEST_IMAGINARY", "STEP", "activated", "at", "enclose", "is_elementwise", "known", "mixed"]

STEP = 2.0**-400
"""h. A power of two, so that multiplying by it and dividing by it round nothing; its square is far below any
float64's last bit, and h·|derivative| is a normal number down to derivatives of 1e-247."""

LARGEST_IMAGINARY = 2.0**-100
"""|y| up to here: y² is 2^−200 of 1. Reached by tangents (∂a/∂θ) of 1e30; beyond, sin y = y no longer is a rounding."""

Imaginary = Callable[[Any], Any]
"""From y to Im σ(x + iy)."""


def _identity(x: Any, undecided: Any) -> Imaginary:
    return lambda y: y


def _sigmoid(x: Any, undecided: Any) -> Imaginary:
    # With d = e^{−|x|}: σ = 1/(1 + d e^{−iy}) for x ≥ 0 and d e^{iy}/(1 + d e^{iy}) for x < 0. Either way
    # Im σ = d sin y / |1 + d e^{iy}|², and |1 + d e^{iy}|² = (1 + d cos y)² + (d sin y)².
    d = np.exp(-abs(x))
    factor = d / (1.0 + d) ** 2
    return lambda y: y * factor


def _tanh(x: Any, undecided: Any) -> Imaginary:
    # Kahan: with τ = tan y and s = sinh x, tanh(x + iy) = ((1 + τ²) s √(1 + s²) + iτ) / (1 + (1 + τ²) s²).
    s = np.sinh(x)
    denominator = 1.0 + s * s
    return lambda y: y / denominator


def _relu(x: Any, undecided: Any) -> Imaginary:
    passed = np.where(undecided, 0.5, x > 0)
    return lambda y: y * passed


def _leaky_relu(x: Any, undecided: Any) -> Imaginary:
    passed = np.where(undecided, (1.0 + LEAKY_SLOPE) / 2, np.where(x > 0, 1.0, LEAKY_SLOPE))
    return lambda y: y * passed


def _softplus(x: Any, undecided: Any) -> Imaginary:
    # Im ln(1 + e^{x+iy}) is the angle of 1 + e^{x+iy}; for x ≥ 0 that is the angle of e^{−x} + e^{iy}.
    d = np.exp(-abs(x))
    opposite, adjacent = np.where(x >= 0, 1.0, d), 1.0 + d
    factor = opposite / adjacent
    return lambda y: y * factor


def _silu(x: Any, undecided: Any) -> Imaginary:
    # (x + iy)(S + iT), with S + iT the sigmoid at x + iy
    s, imaginary = ACTIVATION["sigmoid"].value(x), _sigmoid(x, undecided)
    return lambda y: x * imaginary(y) + y * s


def _gelu(x: Any, undecided: Any) -> Imaginary:
    value = ACTIVATION["gelu"].value
    return lambda y: value(x + 1j * y).imag


_AT: Mapping[str, Callable[[Any, Any], Imaginary]] = MappingProxyType(
    {
        "identity": _identity,
        "sigmoid": _sigmoid,
        "tanh": _tanh,
        "relu": _relu,
        "leaky_relu": _leaky_relu,
        "softplus": _softplus,
        "gelu": _gelu,
        "silu": _silu,
    }
)


def is_elementwise(name: str) -> bool:
    """Whether a perturbed z moves its own unit's activation alone: all but softmax.

    Examples
    --------
    >>> is_elementwise("tanh"), is_elementwise("softmax")
    (True, False)
    """
    return name in _AT


def at(name: str, x: Any, undecided: Any = False) -> Imaginary:
    """The function y ↦ Im σ(x + iy) for an elementwise σ, with everything that x alone decides done.

    Parameters
    ----------
    name : str
        Of the activation.
    x : array
        Real parts; y must broadcast with it.
    undecided : bool array
        Units at their kink, to within rounding: the two branches' values are averaged there, so that the
        answer is the middle of the interval between the one-sided derivatives. Elsewhere x > 0 decides.

    Returns
    -------
    callable

    Examples
    --------
    >>> y = STEP * np.array([1.0, 2.0])
    >>> bool((at("tanh", np.array([0.3, 0.7]))(y) == np.tanh(np.array([0.3, 0.7]) + 1j * y).imag).all())
    True
    """
    return _AT[name](x, undecided)


def known(name: str, previous: Ball, z: Ball, computed: Any) -> tuple[Ball, Known]:
    """σ(z), and what is kept of a layer: z is known nearly exactly, ``computed`` is what correct code may have.

    ``computed`` is a ball where that is bounded, and says which units are so near a kink that other code may be on its
    other side.
    """
    sigma = ACTIVATION[name]
    a = enclosed_softmax(z) if name == "softmax" else sigma.enclose(z)[0]
    undecided: Any = np.zeros(z.shape, dtype=bool)
    if sigma.kink is not None:
        # as Activation.enclose has it: what correct code may have on either side of 0
        spread = 2.0 * computed.rad + computed.kink if isinstance(computed, Ball) else 0.0
        undecided = abs(computed.mid if isinstance(computed, Ball) else computed) <= spread
    return a, Known(previous, z, undecided)


def activated(name: str, z: Ball, undecided: Any, moved: Any) -> Any:
    """Im σ(z + i·moved) for an elementwise σ; ``moved`` has one more axis than z, the perturbations."""
    if isinstance(moved, Ball):
        return enclose(name, z[..., None], moved, undecided[..., None])
    return at(name, z.mid[..., None], undecided[..., None])(moved)


def mixed(x: Any) -> Imaginary:
    """The function y ↦ Im softmax(x + iy) along axis 1, for y of shape (m, n, P).

    With w_k = e^{x_k − max}, softmax is w_k e^{iy_k} / Σ_j w_j e^{iy_j}. A common phase e^{iy_L} cancels; that of
    the largest x_L is taken out, so that where one unit has nearly all the weight no digit is lost.

    Parameters
    ----------
    x : array or Ball of shape (m, n)

    Returns
    -------
    callable

    Examples
    --------
    >>> mixed(np.zeros((1, 2)))(STEP * np.array([[[1.0], [0.0]]])) / STEP
    array([[[ 0.25],
            [-0.25]]])
    """
    p = enclosed_softmax(x) if isinstance(x, Ball) else ACTIVATION["softmax"].value(x)
    without_phase = shifted(x)

    def imaginary(y: Any) -> Any:
        y = without_phase(y)
        # (p_k + i p_k y_k) / (1 + i Σ_j p_j y_j)
        return p[:, :, None] * (y - p[:, None, :] @ y)

    return imaginary


def shifted(x: Any) -> Imaginary:
    """The function that takes y_L off every y, L being each example's largest x; its own becomes exactly 0."""
    largest = (x.mid if isinstance(x, Ball) else x).argmax(axis=1)
    examples, own = np.arange(len(largest)), np.arange(x.shape[1]) == largest[:, None]

    def shift(y: Any) -> Any:
        difference = y - y[examples, largest][:, None, :]
        return difference * ~own[:, :, None] if isinstance(y, Ball) else difference

    return shift


# max |(ln |Im σ|)'|: by how much, relatively, an error of x changes Im σ(x + iy). 2|tanh x|, |tanh x/2| and
# 1/(1 + e^x) are at most 2, 1 and 1; the piecewise linear ones do not change. For the others no such bound holds (Im σ
# passes through 0), and the absolute one of their table applies.
RELATIVE: Mapping[str, float] = MappingProxyType(
    {"identity": 0.0, "relu": 0.0, "leaky_relu": 0.0, "tanh": 2.0, "sigmoid": 1.0, "softplus": 1.0}
)

# Where d = e^{−|x|} or 1/sinh² x leaves the range of float64, what is lost is below the smallest normal number.
UNDERFLOW = float(np.finfo(float).tiny)


def enclose(name: str, x: Ball, y: Ball, undecided: Any = False) -> Ball:
    """Im σ(x + iy) for x and y known up to their radii: what :func:`at` computes, and how far off it may be.

    The rounding is that of the identities above: within EVALUATION_ULPS of the result for those that have one
    term; of max(1, |x|)·|y| where two terms may cancel.

    Parameters
    ----------
    name : str
        Of an elementwise activation.
    x, y : Ball
        Of shapes that broadcast.
    undecided : bool array
        As for :func:`at`.

    Returns
    -------
    Ball
    """
    imaginary = at(name, x.mid, undecided)
    mid, gain = imaginary(y.mid), abs(imaginary(np.full(x.shape, STEP))) / STEP
    relative = RELATIVE.get(name)
    if relative is None:
        slack = ACTIVATION[name].curvature * x.rad
        rounding = EVALUATION_ULPS * x.u * np.maximum(1.0, abs(x.mid))
    else:
        slack = gain * np.expm1(relative * x.rad)
        rounding = EVALUATION_ULPS * x.u * gain if relative else x.u * gain
    wrong = slack + rounding + UNDERFLOW
    return Ball(mid, (gain + wrong) * y.rad + wrong * abs(y.mid), 0.0 * mid, x.u)
