r"""Power: what a check along random directions can miss, and with which probability.

A difference within ± b is allowed, and an honest one may use up all of it in the other direction: an
error is certain to be seen where it makes a difference of more than 2b.

*Directions.* An error e of a gradient makes the difference ⟨e, r⟩ along a Gaussian direction r, a normal
variable of standard deviation ‖e‖. It stays within ± 2b with probability 2Φ(2b/‖e‖) − 1, along all of
m directions with that to the power m. Set equal to δ and solved for ‖e‖:

.. math:: c = ‖e‖ / b = 2 / Φ^{-1}((1 + δ^{1/m}) / 2).

*Pairs.* An error E of a Jacobian makes the differences ⟨ȳ_i, E v_j⟩ for k Gaussian cotangents and m
Gaussian directions. The hardest E of a given Frobenius norm has rank one, E = ‖E‖ a bᵀ: all is seen
through the two numbers A = max |⟨ȳ_i, a⟩| and B = max |⟨b, v_j⟩|, and a miss needs AB ≤ 2b/‖E‖:

.. math:: δ = ∫_0^∞ F(x/t)^k\, d F(t)^m, \qquad F(t) = 2Φ(t) − 1, \qquad c = 2/x.

That rank one is the hardest: given the cotangents' images, the variance along a direction is a quadratic
form Σ λ_i z_i² with Σ λ_i = ‖E‖², and of all such forms the one with a single λ is the most likely to be
small (Székely and Bakirov, *Extremal probabilities for Gaussian quadratic forms*, 2003, for thresholds up
to its mean). Simulated for other spectra in ``tests/check/test_check_vjp.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import erf, erfinv

from bpcheck.errors import InputError

__all__ = ["bars_seen", "bars_seen_by_pairs", "check_power", "smallest_seen"]

LARGEST_NORMAL = 40.0
"""Beyond 40 standard deviations a normal variable has no probability that a float64 holds (1e-350)."""

SMALLEST_PRODUCT, LARGEST_PRODUCT = 1e-200, LARGEST_NORMAL**2
"""Between these lies the x of every miss probability above 1e-198."""

TAIL = 40.0
"""Below x·exp(−40) the integrand, which falls like t^m, is below 1e-17 of what it was at x."""

NODES = 4001
"""Of the quadrature: against scipy.integrate.quad relative differences below 1e-9 (measured, m and k from
1 to 16); c itself needs three digits."""


def check_power(directions: int, miss_probability: float) -> None:
    """Refuse a number of directions or a probability that makes no sense.

    Raises
    ------
    InputError

    Examples
    --------
    >>> check_power(8, 1e-6)
    """
    whole = isinstance(directions, int | np.integer) and not isinstance(directions, bool)
    if not whole or not directions >= 1:
        raise InputError(f"directions is {directions!r}; give a whole number, 1 or more.")
    real = isinstance(miss_probability, int | float | np.floating) and not isinstance(miss_probability, bool)
    if not real or not 0.0 < miss_probability < 1.0:
        raise InputError(
            f"miss_probability is {miss_probability!r}; give a number between 0 and 1, such as 1e-6."
        )


def bars_seen(directions: int, miss_probability: float) -> float:
    """Find c: an error of norm c bars along Gaussian directions is missed with this probability at most.

    Parameters
    ----------
    directions : int
        m, how many independent Gaussian directions (unit variance in every entry).
    miss_probability : float
        δ.

    Returns
    -------
    float
        c = ‖e‖₂ / bar. Conditional on the bars holding.

    Raises
    ------
    InputError
        If an argument makes no sense.

    Notes
    -----
    Source: derived at the head of this module.

    Examples
    --------
    >>> [round(bars_seen(m, 1e-3), 1) for m in (1, 2, 4, 8)]
    [1595.8, 50.4, 8.9, 3.6]
    >>> round(bars_seen(8, 1e-6), 1)
    8.9
    """
    check_power(directions, miss_probability)
    # Φ⁻¹((1 + p)/2) = √2 erf⁻¹(p), which keeps its digits for small p
    return float(math.sqrt(2.0) / erfinv(miss_probability ** (1.0 / directions)))


def bars_seen_by_pairs(directions: int, cotangents: int, miss_probability: float) -> float:
    """Find c for a Jacobian: an error of Frobenius norm c bars is missed with this probability at most.

    Parameters
    ----------
    directions, cotangents : int
        m Gaussian directions and k Gaussian cotangents, each of unit variance in every entry; all k·m
        pairs are compared.
    miss_probability : float
        δ.

    Returns
    -------
    float
        c = ‖E‖_F / bar for the error E that is hardest to see. Conditional on the bars holding.

    Raises
    ------
    InputError
        If an argument makes no sense.

    Notes
    -----
    Source: derived at the head of this module. One pair sees less than one direction, for a product
    of two normal variables is small more often than one of them. 8 × 8 pairs cost 8 directions and 8
    cotangents; they see what 8 directions see of a gradient (c = 8.9 for δ = 1e-6, both).

    Examples
    --------
    >>> [round(bars_seen_by_pairs(m, m, 1e-3), 1) for m in (2, 4, 8)]
    [120.1, 11.2, 3.1]
    >>> bars_seen_by_pairs(8, 10**9, 1e-6) < bars_seen(8, 1e-6)  # many cotangents: A is always large
    True
    """
    check_power(directions, miss_probability)
    check_power(cotangents, miss_probability)
    return _bars_by_pairs(int(directions), int(cotangents), float(miss_probability))


@cache
def _bars_by_pairs(directions: int, cotangents: int, miss_probability: float) -> float:
    def too_likely(log_x: float) -> float:
        return math.log(max(missed_by_pairs(math.exp(log_x), directions, cotangents), 5e-324)) - math.log(
            miss_probability
        )

    return 2.0 / math.exp(brentq(too_likely, math.log(SMALLEST_PRODUCT), math.log(LARGEST_PRODUCT)))


def missed_by_pairs(x: float, directions: int, cotangents: int) -> float:
    """P(AB ≤ x), A the largest of ``cotangents`` and B of ``directions`` absolute normal variables.

    Examples
    --------
    >>> round(missed_by_pairs(0.1, 1, 1), 3)  # a single pair: (2/π) ∫₀^x K₀
    0.218
    """
    # with t = exp(s) the integrand is smooth and dies at both ends: the trapezoidal rule converges fast
    s = np.linspace(math.log(min(x, 1.0)) - TAIL, math.log(LARGEST_NORMAL), NODES)
    t = np.exp(s)
    root = math.sqrt(2.0)
    density = math.sqrt(2.0 / math.pi) * np.exp(-t * t / 2.0) * t
    below = erf(x / t / root) ** cotangents
    return float(np.trapezoid(below * directions * erf(t / root) ** (directions - 1) * density, s))


def smallest_seen(bars: Sequence[float], miss_probability: float) -> float:
    """Find the norm of an error that is missed along Gaussian directions with the given probability.

    Like :func:`bars_seen` for directions whose bars differ: one that could not be read (an infinite bar)
    sees nothing and spoils nothing.

    Parameters
    ----------
    bars : sequence of float
        b_k, one for each direction; a difference of more than 2 b_k is seen.
    miss_probability : float

    Returns
    -------
    float
        x with Π_k (2Φ(2 b_k/x) − 1) = δ; infinite if no bar is finite, 0 if one is 0.

    Examples
    --------
    >>> round(smallest_seen([1.0] * 8, 1e-6), 1), smallest_seen([0.0, 1.0], 1e-6)
    (8.9, 0.0)
    >>> smallest_seen([1.0] * 8 + [np.inf], 1e-6) == smallest_seen([1.0] * 8, 1e-6)
    True
    """
    known = np.array([bar for bar in bars if math.isfinite(bar)])
    check_power(max(known.size, 1), miss_probability)
    if not known.size:
        return math.inf
    if not known.min() > 0.0:
        return 0.0
    # between the answers for all bars as narrow as the narrowest and as wide as the widest
    c = bars_seen(int(known.size), miss_probability)
    if not c * known.min() > 0.0:
        return 0.0
    low, high = math.log(c * known.min()), math.log(c * known.max())

    def excess(log_x: float) -> float:
        return float(np.sum(np.log(erf(math.sqrt(2.0) * known / math.exp(log_x))))) - math.log(
            miss_probability
        )

    if not excess(low) > 0.0 > excess(high):  # bars that differ by a rounding
        return math.exp(high)
    return math.exp(float(brentq(excess, low, high)))
