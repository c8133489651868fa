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
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np

from bpcheck.errors import InputError
from bpcheck.numeric.scheme import Phi
from bpcheck.tree import FloatArray

__all__ = [
    "UNIT_ROUNDOFF",
    "coarse_part",
    "coarseness",
    "is_coarse",
    "is_continuous",
    "measure_noise",
    "noise_levels",
]

UNIT_ROUNDOFF = 2.0**-53
"""u of float64: the largest relative error of rounding to nearest."""

SAMPLES = 9
"""Points a spacing. Moré and Wild, section 5: 7 to 9 suffice for noise that is nearly random."""

AGREEMENT = 4.0
"""Three consecutive orders must agree within this factor (Moré and Wild, section 6)."""

LARGEST_RANGE = 0.1
"""Relative range of the values above which the spacing is too wide (Moré and Wild, section 6)."""

FIRST_SPACING = {2.0**-53: 2.0**18, 2.0**-24: 2.0**5, 2.0**-11: 1.0}
"""First spacing in units of u. 2^18 u = 3e-11 moves every float64 operand by thousands of units in
the last place and a smooth function by nothing that shows in third differences; float32 leaves no
such room (tuned on MLP losses), float16 least of all: nine points one unit apart span half a percent."""

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

CLOSEST_SPACING = 2.0**3
"""In units of u, where all that is wider shows shape: nine points still differ in every parameter."""

SECOND_SPACING = 0.5 * (1.0 + math.sqrt(5.0))
"""The closest spacing is looked at twice, the second time so much wider. Where a single number θ + k·d is
what is rounded, nine roundings may happen to lie on a line and vanish in the differences: the noise
then came out 1000 times too small in 1 of 400 measurements (sin(wθ), w from 1e3 to 1e7)."""


RESOLVED = 5
"""So many halvings in a row that halve a change are no noise: one draw does so with a chance of about 0.1."""

HALVED = 0.55
"""What counts as halved: a smooth change has 0.5 once its interval is short."""

SHRUNK = 16.0
"""By how much the change must have shrunk below the supposed noise by then (5 halvings: 32)."""

PART_SPACINGS = (2.0**-17, 2.0**-8)
"""Where a part of φ that is computed in a coarser format shows beside a part that is not (a float32 network with a
float64 penalty): close to θ it stands still, and the noise measured there is that of the other part. Nine points
2^−17 apart lie hundreds of float32 numbers from one another, 2^−8 half a bfloat16 number, and differences of
order 6 to 8 of a function whose Taylor series converges up to |t| = 1 are below 1e-16."""

SEVERAL = 2
"""Of eight intervals so many must hold a step, those on either side of θ counted as one: a single step is none of ours,
nor is a value of its own at θ."""

VISIBLE = 256.0
"""In units of u|f|: less noise cannot be told from shape, for after a shrinkage of 16 the rounding of the values
(±u|f| each) would be more than an eighth of the change."""

POLE = 64.0
"""A change that has grown by this much as its interval shrank is a pole; that of noise grows by a few at most
(the largest of 100 normal differences is 4 times a typical one; 64 leaves room for heavy tails)."""

MOST_HALVINGS = 64
"""From the widest spacing to 2^−72: shape hides below u where some parameter moves by 10^5 times itself."""


FORMATS = (8, 11, 24)
"""Bits of a bfloat16, a float16 and a float32, the leading one counted."""

CASUAL_BITS = 3
"""1.0, 0.5, 5.0 are what any constant may be: so few bits are no sign of a coarse format."""

CASUAL_DIGITS = 1
"""As for bits: 0.3 may be any constant."""

MOST_BITS = 40
"""A float64 has 53 random bits; one of 2^13 ends in 13 zeros. A float64 mean of float32 values has a few more
than their 24."""

MOST_DIGITS = 12
"""Decimal digits, for the same reason: one float64 of 10^3 or more ends in three zeros or nines of 16 digits."""

_Interval = tuple[float, float, float, float]


def coarseness(values: Iterable[float]) -> tuple[float, float]:
    """How coarse the numbers are that these values were taken from, judged by themselves.

    A loss that is computed in float32, or rounded to six decimals, says so in its values, though it may
    stand still wherever one looks.

    Parameters
    ----------
    values : iterable of float

    Returns
    -------
    roundoff : float
        u of the coarsest format that holds them all: 2^−8 (bfloat16), 2^−11, 2^−24 or 2^−53.
    quantum : float
        The smallest step of their decimals, 0 if there are too many.

    Examples
    --------
    >>> coarseness([0.693147, 0.7])
    (1.1102230246251565e-16, 1e-06)
    >>> coarseness([float(np.float16(0.1))])[0] == 2.0**-11
    True
    """
    seen = [abs(value) for value in set(values) if value != 0.0 and math.isfinite(value)]
    bits = max((_bits(value) for value in seen), default=0)
    if bits <= CASUAL_BITS:
        return UNIT_ROUNDOFF, 0.0
    if bits <= MOST_BITS:
        fitting = next((size for size in FORMATS if bits <= size), FORMATS[-1])
        return 2.0**-fitting, 0.0
    least = math.floor(math.log10(max(seen))) + 1  # digits before the point
    for decimals in range(max(0, CASUAL_DIGITS + 1 - least), MOST_DIGITS - least + 1):
        if all(round(value, decimals) == value for value in seen):
            return UNIT_ROUNDOFF, 10.0**-decimals
    return UNIT_ROUNDOFF, 0.0


def is_coarse(values: Iterable[float]) -> bool:
    """Whether all these values are shorter than float64 numbers are.

    Examples
    --------
    >>> is_coarse([0.693147, 0.7]), is_coarse([0.7, 1 / 3])
    (True, False)
    """
    found = list(values)
    return not found or coarseness(found) != (UNIT_ROUNDOFF, 0.0)


def _bits(value: float) -> int:
    """Bits from the first one that is set to the last."""
    numerator = int(math.ldexp(math.frexp(value)[0], 53))
    return 53 - ((numerator & -numerator).bit_length() - 1)


def _points(spacing: float) -> list[float]:
    """Equispaced points around 0."""
    middle = SAMPLES // 2
    return [k * spacing for k in range(-middle, SAMPLES - middle)]


@dataclass(frozen=True)
class _Look:
    """One spacing: ``sigma`` is None unless believable; ``verdict`` says why.

    ``quantum`` is the smallest step between values where most did not move, or none did a spacing
    before: they are rounded to multiples of it. ``ceiling`` is what noise and shape together leave in
    the highest orders: the noise is not larger. ``intervals`` are pairs of neighbours: one between which
    φ moves least as it does elsewhere, and the one at θ where it moves most: t, φ(t), t', φ(t'). ``trend`` is
    how much φ grows per unit of t between most.
    """

    sigma: float | None
    verdict: str
    largest: float
    quantum: float = 0.0
    ceiling: float = math.inf
    intervals: tuple[_Interval, ...] = ()
    trend: float = 0.0


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
    points, middle = _points(spacing), SAMPLES // 2
    values = np.array([center if t == 0.0 else phi(t) for t in points])
    if not np.isfinite(values).all():
        return _Look(None, "too wide", abs(center))
    largest = float(abs(values).max())
    steps = np.diff(values)
    moves = abs(steps)
    usual = float(np.median(steps))
    odd = int(np.argmax(abs(steps - usual)))
    at_theta = middle if moves[middle] >= moves[middle - 1] else middle - 1
    intervals = tuple(
        (points[k], float(values[k]), points[k + 1], float(values[k + 1])) for k in (odd, at_theta)
    )
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
            sigma = float(trio.max()) * largest
            return _Look(sigma, "noise", largest, quantum, math.inf, intervals, usual / spacing)
    ceiling = float(levels[-3:].max()) * largest
    return _Look(None, "shape", largest, quantum, ceiling, intervals, usual / spacing)


def _steps_at(phi: Phi, spacing: float, center: float, sigma: float, roundoff: float) -> float:
    """Noise of a part of φ that stands still near θ, 0 if there is none.

    Known by its steps: there are several, and they stay however short the interval, which a fast oscillation
    does not.
    """
    points = _points(spacing)
    values = np.array([center if t == 0.0 else phi(t) for t in points])
    if not np.isfinite(values).all():
        return 0.0
    largest = float(abs(values).max()) or 1.0
    rounding = roundoff * largest
    found = float(noise_levels(values / largest)[-3:].max()) * largest
    if not found > max(LARGEST_GROWTH * sigma, VISIBLE * rounding):
        return 0.0
    if phi(points[0]) != values[0]:
        return 0.0  # random: then it is so close to θ as well, and what grew is shape
    steps, middle = np.diff(values), SAMPLES // 2
    stepped: set[int] = set()
    # the extremes first: of intervals with a step and without, one of them has one
    order = np.argsort(steps)
    for number, k in enumerate([order[0], order[-1], *order[1:-1]]):
        interval = points[k], float(values[k]), points[k + 1], float(values[k + 1])
        if abs(steps[k]) > 0.5 * found and _halve(phi, 0.0, interval, found, rounding) is False:
            stepped.add(max(int(k), middle) if k == middle - 1 else int(k))
        if len(stepped) == SEVERAL:
            return found
        if number == 1 and not stepped:
            break
    return 0.0


def coarse_part(
    phi: Phi,
    center: float,
    sigma: float,
    roundoff: float = UNIT_ROUNDOFF,
    *,
    spacings: tuple[float, ...] = PART_SPACINGS,
) -> float:
    """Noise of a part of φ that is computed in a coarser format and stands still near 0; 0 if there is none.

    Parameters
    ----------
    phi : callable
    center : float
        φ(0).
    sigma : float
        Noise of φ near 0: a part counts whose noise is far larger.
    roundoff : float
        u of the arithmetic of the rest of φ.
    spacings : tuple of float
        At which distances of points: the first shows a part in float32, the second one in 8 to 11 bits.

    Returns
    -------
    float
        Takes 16 evaluations, some 60 where φ bends so much that shape has to be told from steps.

    Examples
    --------
    >>> 1e-9 < coarse_part(lambda t: float(np.sin(np.float32(1.0 + t))) + t, float(np.sin(np.float32(1.0))), 1e-16)
    True
    >>> coarse_part(lambda t: np.sin(1.0 + t), np.sin(1.0), 1e-16)
    0.0
    """
    return max(_steps_at(phi, wide * OFF_GRID, center, sigma, roundoff) for wide in spacings)


def _is_shape(phi: Phi, look: _Look, sigma: float, rounding: float) -> bool:
    """Whether what φ does at this spacing is no noise, but shape too fast for it."""
    left, value = look.intervals[0][:2]
    if phi(left) != value:
        return False  # not the same twice: noise indeed
    # with the trend and without: it could hide a step that goes against it, or be all there is between steps
    for (left, at_left, right, at_right), slope in product(look.intervals, (0.0, look.trend)):
        if _halve(phi, slope, (left, at_left, right, at_right), sigma, rounding) is False:
            return False
    return True  # continuous, or grows without end, wherever one looks


def _halve(phi: Phi, trend: float, interval: _Interval, sigma: float, rounding: float) -> bool | None:
    """Whether φ is continuous in an interval; None if it has a pole there. A slope ``trend`` is taken off.

    The interval is halved, and the half in which φ changes more kept. Noise and steps stay; what is
    continuous is halved each time once the interval is shorter than its wiggles.
    """
    left, at_left, right, at_right = interval
    at_left, at_right = at_left - trend * left, at_right - trend * right
    regular, same = 0, 0
    first = change = abs(at_right - at_left)
    for _ in range(MOST_HALVINGS):
        middle = 0.5 * (left + right)
        at_middle = phi(middle) - trend * middle
        if not math.isfinite(at_middle):
            return None
        if abs(at_middle - at_left) > abs(at_right - at_middle):
            right, at_right = middle, at_middle
        else:
            left, at_left = middle, at_middle
        halved = abs(at_right - at_left)
        if halved > POLE * first > 0.0:
            return None
        regular = regular + 1 if halved <= HALVED * change else 0
        same = same + 1 if halved == change else 0
        change = halved
        if regular >= RESOLVED and SHRUNK * change <= sigma:
            return True
        if same >= RESOLVED or not change > VISIBLE / SHRUNK**2 * rounding:
            break
    return False


def is_continuous(phi: Phi, left: float, right: float, *, slope: float, rounding: float) -> bool:
    """Whether φ, a slope taken off, changes less and less as an interval is halved; noise and steps do not.

    Parameters
    ----------
    phi : callable
    left, right : float
    slope : float
        What is taken off; a step is then seen earlier.
    rounding : float
        Changes below some of these say nothing.

    Returns
    -------
    bool

    Examples
    --------
    >>> [is_continuous(phi, 0.0, 1.0, slope=0.0, rounding=1e-16) for phi in (np.exp, np.round)]
    [True, False]
    """
    at_left, at_right = phi(left), phi(right)
    change = abs(at_right - at_left - slope * (right - left))
    return _halve(phi, slope, (left, at_left, right, at_right), change, rounding) is not False


def measure_noise(
    phi: Phi,
    *,
    roundoff: float = UNIT_ROUNDOFF,
    spacing: float | None = None,
    center: float | None = None,
    looks: int | None = None,
    parts: bool = True,
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
    parts : bool
        Look for parts of φ that are computed in a coarser format: 16 evaluations more, some 60 where φ bends so
        much that shape has to be told from steps. Not where ``looks`` is given.

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
    supposed = look  # where the noise believed was seen
    while True:
        count += 1
        if best is None:
            largest = max(largest, look.largest)
        quantum = max(quantum, look.quantum)
        if look.ceiling < ceiling:
            ceiling = look.ceiling
            supposed = look if best is None else supposed
        if look.sigma is not None and (best is None or look.sigma <= growth * best):
            supposed = look if best is None or look.sigma > best else supposed
            best = max(look.sigma, best or 0.0)
        elif best is not None or look.verdict == "too wide" or near_zero:
            break
        if count == 1 and looks is None:
            again = _look(phi, SECOND_SPACING * h, value, any_range=near_zero)
            if again.sigma is not None and again.sigma > (best or 0.0):
                best, supposed = again.sigma, again
        h *= CLIMB
        if count >= most or not h <= WIDEST_SPACING:
            break
        still = look.verdict == "still"
        look = _look(phi, h, value, any_range=near_zero, after_stillness=still)
    if best is None and ceiling == math.inf and quantum == 0.0:
        # nothing moved: the values themselves must say how coarse they are
        coarse, quantum = coarseness([value])
        roundoff = max(roundoff, coarse)
    # uniform in ±u|f|, or in ± half a quantum, has this standard deviation
    floor = max(roundoff * largest / math.sqrt(3.0), quantum / math.sqrt(12.0))
    sigma = max(UNKNOWN * floor, ceiling if ceiling < math.inf else 0.0) if best is None else best
    rounding = roundoff * largest
    if supposed.intervals and sigma > VISIBLE * rounding and _is_shape(phi, supposed, sigma, rounding):
        close = _look(phi, CLOSEST_SPACING * roundoff * OFF_GRID, value)
        sigma = max(UNKNOWN * rounding, close.sigma or 0.0)
    elif near_zero and looks is None:
        far = _look(phi, FAR_SPACING * OFF_GRID, value, any_range=True)
        if far.sigma is not None and far.sigma <= FAR_SHARE * roundoff * far.largest:
            sigma = max(far.sigma, sigma if best is not None else 0.0)
    if parts and looks is None and not near_zero:
        sigma = max(sigma, coarse_part(phi, value, sigma, roundoff))
    return max(sigma, floor)
