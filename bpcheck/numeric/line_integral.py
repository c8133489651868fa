r"""The line-integral test: a claimed gradient must add up to the change of its function.

.. math:: R(h) = \frac{1}{2h} \Big[ φ(h) − φ(−h) − \int_{−h}^{h} ⟨g(θ + tv), v⟩ \, dt \Big]

With a right g, R = 0 by the fundamental theorem of calculus, for a *large* h as well: no truncation
forces h down to where noise, which is divided by h, rules. It needs the claim at other points than
θ, and it says that g is right on the whole segment, on average; so R is looked at on two segments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scipy.integrate import quad_vec

from bpcheck.errors import InputError
from bpcheck.numeric.noise import UNIT_ROUNDOFF, coarseness, measure_noise
from bpcheck.numeric.scheme import Phi

__all__ = ["LineIntegral", "line_integral"]

FIRST_STEP = 0.5
"""Half-width of the first segment: half a relative step. Beyond, parameters change sign."""

SHRINK = 4.0
"""From one segment to the next. The fifteen nodes see a function with poles at distance d to a relative
(h/d)^23, so that one or two factors of 4 take any analytic function below its rounding."""

SEGMENTS = 8
"""½ · 4^−7 = 3e-5: φ that is not smooth at this scale is not smooth for this test."""

CONFIDENCE = 4.0
"""Standard deviations of the noise in the bar, as for central differences (coverage measured in
benchmarks/calibration)."""


@dataclass(frozen=True)
class LineIntegral:
    """What the test found.

    Attributes
    ----------
    residual : float
        R, in units of φ': how much the claimed derivative is too small, on average over the segment.
    quadrature : float
        Error of the integral, as the Gauss–Kronrod pair estimates it, per 2h.
    rounding : float
        Bound on the noise of φ and of the claim, per 2h.
    step : float
        h; NaN if no segment was usable.
    evaluations, slope_evaluations : int
        Calls of φ and of the claimed derivative.
    """

    residual: float
    quadrature: float
    rounding: float
    step: float
    evaluations: int
    slope_evaluations: int

    @property
    def error(self) -> float:
        """Bound on |R − mean error of the claim on the segment|; infinite if nothing can be said."""
        return self.quadrature + self.rounding


@dataclass(frozen=True)
class _Segment:
    residual: float
    quadrature: float
    rounding: float
    step: float

    @property
    def bar(self) -> float:
        return self.quadrature + self.rounding


def line_integral(
    phi: Phi,
    slope: Phi,
    *,
    noise: float,
    slope_noise: float = 0.0,
    roundoff: float = UNIT_ROUNDOFF,
    first_step: float = FIRST_STEP,
) -> LineIntegral:
    """Hold the integral of a claimed derivative against the change of its function.

    Parameters
    ----------
    phi : callable
        φ(t) = f(θ + t·v), scaled so that t = 1 is a relative step of about 1.
    slope : callable
        The claimed φ'(t) = ⟨g(θ + t·v), v⟩.
    noise, slope_noise : float
        Standard deviations of the noise in the values of the two.
    roundoff : float
        u of the arithmetic in which they compute.
    first_step : float
        Half-width of the first segment.

    Returns
    -------
    LineIntegral
        With an infinite error where no two segments say the same: φ jumps at θ, or is not smooth.

    Raises
    ------
    InputError
        If a noise is negative or not finite, or the first step not positive.

    Notes
    -----
    Source: the fundamental theorem of calculus; Gauss–Kronrod 7/15 with the error estimate of
    QUADPACK (Piessens et al. 1983), as SciPy's ``quad_vec`` has it. Segments shrink until the
    quadrature is better than the noise and two in a row say the same; the longer of them counts
    (choosing the smallest bar would choose the luckiest one). A wrong claim's error changes along the line
    and settles as the segments shrink; a jump of φ makes R grow fourfold each time, and settles nowhere.

    What it cannot see: an error of the claim whose mean over both segments is zero.

    Examples
    --------
    >>> right = line_integral(math.exp, math.exp, noise=1e-16)
    >>> abs(right.residual) <= right.error < 1e-13
    True
    >>> wrong = line_integral(math.exp, lambda t: 1.001 * math.exp(t), noise=1e-16)
    >>> abs(wrong.residual) <= wrong.error
    False
    """
    for name, value in (("noise", noise), ("slope_noise", slope_noise)):
        if not 0.0 <= value < math.inf:
            raise InputError(f"{name} is {value!r}; a finite number, 0 or more, is needed.")
    if not 0.0 < first_step < math.inf:
        raise InputError(f"first_step is {first_step!r}; a finite number above 0 is needed.")
    counts = [0, 0]
    previous: _Segment | None = None
    grown = 1.0
    h = first_step
    for _ in range(SEGMENTS):
        segment = _segment(phi, slope, h, grown * noise, grown * slope_noise, roundoff, counts)
        h /= SHRINK
        if not segment.quadrature <= segment.rounding:
            previous = None
            continue
        if previous is None:
            # noise grows with the values: what it is at the ends of the first segment holds for all within it
            grown = max(grown, _noise_at(phi, segment.step, roundoff, counts) / noise if noise > 0.0 else 1.0)
            segment = replace(segment, rounding=grown * segment.rounding)
        elif abs(segment.residual - previous.residual) <= segment.bar + previous.bar:
            return LineIntegral(
                previous.residual, previous.quadrature, previous.rounding, previous.step, counts[0], counts[1]
            )
        previous = segment
    return LineIntegral(math.nan, math.inf, math.inf, math.nan, counts[0], counts[1])


def _noise_at(phi: Phi, h: float, roundoff: float, counts: list[int]) -> float:
    """The noise at both ends of a segment, the larger: it grows with the values (e^t), and so does the claim's."""

    def counted(t: float) -> float:
        counts[0] += 1
        return float(phi(t))

    def around(end: float) -> float:
        return measure_noise(lambda t: counted(end + t), roundoff=roundoff, looks=1)

    return max(around(-h), around(h))


def _segment(
    phi: Phi, slope: Phi, h: float, noise: float, slope_noise: float, roundoff: float, counts: list[int]
) -> _Segment:
    up, down = float(phi(h)), float(phi(-h))
    counts[0] += 2

    def counted(t: float) -> float:
        counts[1] += 1
        return float(slope(t))

    # one application of the rule: an infinite tolerance is met at once
    integral, error = quad_vec(counted, -h, h, epsabs=math.inf, quadrature="gk15", limit=1)
    # a loss kept in float16, or rounded to two decimals, says so in its values, not in what moves at θ
    coarse, quantum = coarseness((up, down))
    sigma = max(noise, max(roundoff, coarse) * max(abs(up), abs(down)), quantum / math.sqrt(12.0))
    rounding = CONFIDENCE * (math.sqrt(2.0) * sigma / (2.0 * h) + slope_noise)
    residual = (up - down - float(integral)) / (2.0 * h)
    quadrature = float(error) / (2.0 * h)
    if not math.isfinite(residual + quadrature + rounding):
        return _Segment(math.nan, math.inf, 0.0, h)
    return _Segment(residual, quadrature, rounding, h)
