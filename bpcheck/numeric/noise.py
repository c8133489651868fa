r"""Noise, by which a function's values jitter when nothing should change.

ECnoise (Moré and Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33, 2011) looks at
equispaced points. Differences of order k wipe out a smooth function and leave the noise,
magnified by :math:`\sqrt{(2k)!}/k!`; where three consecutive orders tell the same tale, it is noise.

One spacing is not enough. Too close together, neighbouring points share their rounding (or do
not differ at all) and the noise looks smaller than it is; so the spacing is widened while the
answer stays believable, and the largest believable answer counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bpcheck.errors import InputError
from bpcheck.numeric.scheme import Phi
from bpcheck.tree import FloatArray

__all__ = ["UNIT_ROUNDOFF", "measure_noise", "noise_levels"]

UNIT_ROUNDOFF = 2.0**-53
"""u of float64: the largest relative error of rounding to nearest."""

SAMPLES = 9
"""Points a spacing. Moré and Wild, section 5: 7 to 9 suffice for noise that is nearly random."""

AGREEMENT = 4.0
"""Three consecutive orders must agree within this factor (Moré and Wild, section 6)."""

LARGEST_RANGE = 0.1
"""Relative range of the values above which the spacing is too wide (Moré and Wild, section 6)."""

FIRST_SPACING = {2.0**-53: 2.0**18, 2.0**-24: 2.0**5}
"""First spacing in units of u. 2^18 u = 3e-11 moves every float64 operand by thousands of units in
the last place and a smooth function by nothing that shows in third differences; float32 leaves no
such room (tuned on MLP losses)."""

CLIMB = 2.0**5
"""Factor from one spacing to the next (tuned on MLP losses)."""

LARGEST_GROWTH = 16.0
"""An answer that grows faster than this from one spacing to the next is the function's shape, not
noise: noise hardly depends on the spacing (tuned on MLP losses)."""

WIDEST_SPACING = 2.0**-8
"""Nine points then span 3 % of a relative step: beyond, shape is always taken for noise."""

STEADY_GROWTH = 2.0
"""The same where φ(0) is so close to 0 that the range tells nothing: only noise that stays as it is
counts then, for rounding grows with the values themselves (and is bounded where they are used)."""

EVEN_MOVES = 1.0 / 50.0
"""Median over largest move between neighbours, in the same place: 0.3 for noise, 0.5 for a parabola, 0
for a step, which would otherwise pass for noise."""

FAR_SPACING = 2.0**-7
"""At a perfect fit (a sum of squares that is 0 at θ) noise grows with the distance and counts where the
steps of a ladder are: an eighth of 0.02 … 0.15."""

FAR_SHARE = 2.0**12
"""So far out only noise within this many u of the values is believed, anything larger is shape. The
residual r' d of a fit is rounded at u·|z|: in units of the value, u |z| / (8 r' d) = 16 u |z / r'|."""

UNKNOWN = 4.0
"""Nothing believable: this many times the rounding of the value itself (tuned on MLP losses)."""

# Points off the binary grid: θ + k·d·v is then rounded as any other point is, and the noise that this
# brings in is seen. 2/3 is 0.101010… in binary: whatever the unit in the last place, some multiples of it
# miss the grid by a third of one.
OFF_GRID = 2.0 / 3.0

SECOND_SPACING = 0.5 * (1.0 + math.sqrt(5.0))
"""The closest spacing is looked at twice, the second time so much wider. Where a single number θ + k·d is
what is rounded, nine roundings may happen to lie on a line and vanish in the differences: the noise
then came out 1000 times too small in 1 of 400 measurements (sin(wθ), w from 1e3 to 1e7)."""


@dataclass(frozen=True)
class _Look:
    """One spacing: ``sigma`` is None unless believable; ``verdict`` says why.

    ``quantum`` is the smallest step between values where most did not move, or none did a spacing
    before: they are rounded to multiples of it. ``ceiling`` is what noise and shape together leave in
    the highest orders: the noise is not larger.
    """

    sigma: float | None
    verdict: str
    largest: float
    quantum: float = 0.0
    ceiling: float = math.inf


def noise_levels(values: FloatArray) -> FloatArray:
    """Estimate the standard deviation of the noise, one value for each order 1 … n−1 of differences.

    Parameters
    ----------
    values : (n,) array
        Function values at equispaced points.

    Returns
    -------
    (n−1,) array

    Notes
    -----
    Source: Moré and Wild (2011), eq. (2.3): E[(Δ^k ε)²] = σ² (2k)!/(k!)².

    Examples
    --------
    >>> noise_levels(np.array([0.0, 1.0, 0.0, 1.0])).round(2)
    array([0.71, 0.82, 0.89])
    """
    levels = []
    differences = np.asarray(values, dtype=float)
    for order in range(1, len(values)):
        differences = np.diff(differences)
        levels.append(math.sqrt(np.mean(differences**2) / math.comb(2 * order, order)))
    return np.array(levels)


def _look(
    phi: Phi, spacing: float, center: float, *, any_range: bool = False, after_stillness: bool = False
) -> _Look:
    middle = SAMPLES // 2
    values = np.array([center if k == 0 else phi(k * spacing) for k in range(-middle, SAMPLES - middle)])
    if not np.isfinite(values).all():
        return _Look(None, "too wide", abs(center))
    largest = float(abs(values).max())
    moves = abs(np.diff(values))
    if not moves.any():
        return _Look(None, "still", largest)
    least = float(moves[moves > 0.0].min())
    few = np.count_nonzero(moves == 0.0) >= (SAMPLES - 1) / 2
    quantum = least if (few or after_stillness) and least <= LARGEST_RANGE * largest else 0.0
    if few:
        return _Look(None, "too close", largest, quantum)
    scaled = values / largest
    if scaled.max() - scaled.min() > LARGEST_RANGE and not any_range:
        return _Look(None, "too wide", largest)
    if any_range and not np.median(moves) >= EVEN_MOVES * moves.max():
        return _Look(None, "shape", largest)
    levels = noise_levels(scaled)
    differences = scaled
    for order in range(1, SAMPLES - 2):
        differences = np.diff(differences)
        trio = levels[order - 1 : order + 2]
        changes_sign = differences.min() * differences.max() < 0.0
        if changes_sign and trio.max() <= AGREEMENT * trio.min():
            return _Look(float(trio.max()) * largest, "noise", largest, quantum)
    return _Look(None, "shape", largest, quantum, float(levels[-3:].max()) * largest)


def measure_noise(
    phi: Phi,
    *,
    roundoff: float = UNIT_ROUNDOFF,
    spacing: float | None = None,
    center: float | None = None,
    looks: int | None = None,
) -> float:
    """Measure the standard deviation of the noise in the values of ``phi`` near 0.

    Parameters
    ----------
    phi : callable
        φ(t) = f(θ + t·v), scaled so that t = 1 is a relative step of about 1.
    roundoff : float
        u of the arithmetic in which ``phi`` computes: 2^−53 for float64, 2^−24 for float32.
    spacing : float, optional
        Distance of the closest points; chosen from ``roundoff`` if not given.
    center : float, optional
        φ(0) where it is known already.

    looks : int, optional
        At most so many spacings.

    Returns
    -------
    float
        σ > 0 unless φ is zero everywhere near 0. Takes 8 evaluations a spacing, 30 to 50 in all as a
        rule.

    Raises
    ------
    InputError
        If φ(0) is not finite.

    Notes
    -----
    Source: Moré and Wild (2011); several spacings, after the authors' own
    advice to repeat with another spacing where the answer is not believable.

    Examples
    --------
    >>> sigma = measure_noise(lambda t: np.exp(t) + 1e8)  # values near 1e8 are 1.5e-8 apart
    >>> 1e-9 < sigma < 2e-8
    True
    """
    value = phi(0.0) if center is None else center
    if not math.isfinite(value):
        raise InputError(
            f"the function is {value} at the parameters themselves: noise is measured around them."
        )
    h = (FIRST_SPACING.get(roundoff, 2.0**18) * roundoff if spacing is None else spacing) * OFF_GRID
    count, most = 0, math.inf if looks is None else looks
    best: float | None = None
    largest, quantum, ceiling = abs(value), 0.0, math.inf
    look = _look(phi, h, value)
    near_zero = look.verdict == "too wide"
    growth = STEADY_GROWTH if near_zero else LARGEST_GROWTH
    if near_zero:
        look = _look(phi, h, value, any_range=True)
    while True:
        count += 1
        if best is None:
            largest = max(largest, look.largest)
        quantum = max(quantum, look.quantum)
        ceiling = min(ceiling, look.ceiling)
        if look.sigma is not None and (best is None or look.sigma <= growth * best):
            best = max(look.sigma, best or 0.0)
        elif best is not None or look.verdict == "too wide" or near_zero:
            break
        if count == 1 and looks is None:
            again = _look(phi, SECOND_SPACING * h, value, any_range=near_zero)
            if again.sigma is not None:
                best = max(again.sigma, best or 0.0)
        h *= CLIMB
        if count >= most or not h <= WIDEST_SPACING:
            break
        still = look.verdict == "still"
        look = _look(phi, h, value, any_range=near_zero, after_stillness=still)
    if near_zero and looks is None:
        far = _look(phi, FAR_SPACING * OFF_GRID, value, any_range=True)
        if far.sigma is not None and far.sigma <= FAR_SHARE * roundoff * far.largest:
            best = max(far.sigma, best or 0.0)
    # uniform in ±u|f|, or in ± half a quantum, has this standard deviation
    floor = max(roundoff * largest / math.sqrt(3.0), quantum / math.sqrt(12.0))
    if best is None:
        return max(UNKNOWN * floor, ceiling if ceiling < math.inf else 0.0)
    return max(best, floor)
