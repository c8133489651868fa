"""Real numbers known up to a radius, at any precision: mpmath's integers underneath, no global state.

A ball is a midpoint (mpmath's raw tuple sign, mantissa, exponent, bits) and the exponent e of its
radius 2^e, or ``EXACT``. A power of two is a coarse radius, it loses a bit or two in every operation,
and a cheap one: at 200 bits there is room for it, and where not, the caller doubles the precision.

Comparing two precisions instead would be fooled: 1 − tanh²(200) comes out as 0 at 200 bits and at 400,
but it is 8e-174. A ball says 0 ± 2^-198 and is not believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from mpmath import libmp

__all__ = [
    "EXACT",
    "UNKNOWN",
    "Ball",
    "absolute",
    "add",
    "constant_pi",
    "contains_zero",
    "erf",
    "exp",
    "from_ratio",
    "is_known",
    "log",
    "magnitude",
    "maximum",
    "multiply",
    "power",
    "reciprocal",
    "side",
    "sqrt",
    "tanh",
]

Ball: TypeAlias = tuple[Any, int | None]

EXACT = None

# Any real number at all. Exponents met here stay below 2^70 (see EXP_LIMIT), so that adding them to this
# one leaves it beyond every exponent of a known ball.
UNKNOWN_RADIUS = 1 << 200
UNKNOWN: Ball = (libmp.fzero, UNKNOWN_RADIUS)

# exp(±2^64) is beyond any use and its exponent would no longer be a small integer.
EXP_LIMIT = 64

# mpmath's elementary functions promise the last bit (half an ulp plus a little); four ulps are granted.
FUNCTION_SLACK = 2

NEAREST = libmp.round_nearest


def magnitude(ball: Ball) -> int | None:
    """The e with 2^(e−1) ≤ |midpoint| < 2^e, None for a midpoint of 0."""
    _, mantissa, exponent, bits = ball[0]
    return exponent + bits if mantissa else None


def is_known(ball: Ball) -> bool:
    """Whether the radius says anything."""
    return ball[1] is EXACT or ball[1] < UNKNOWN_RADIUS >> 1


def contains_zero(ball: Ball) -> bool:
    """Whether 0 is possible."""
    size = magnitude(ball)
    return size is None or (ball[1] is not EXACT and ball[1] > size - 2)


def _spread(errors: Sequence[int | None]) -> int | None:
    """Exponent of a radius as large as the sum of 2^e over ``errors``."""
    found = [error for error in errors if error is not EXACT]
    return max(found) + (len(found) - 1).bit_length() if found else EXACT


def _rounding(mid: Any, precision: int, slack: int = 0) -> int | None:
    """Exponent of an ulp of a result that was rounded; a result of 0 came from exact cancellation."""
    return mid[2] + mid[3] - precision + slack if mid[1] else EXACT


def from_ratio(numerator: int, denominator: int, precision: int) -> Ball:
    """A rational number; exact where the denominator is a power of two."""
    if denominator & (denominator - 1) == 0:
        return libmp.from_man_exp(numerator, 1 - denominator.bit_length()), EXACT
    mid = libmp.from_rational(numerator, denominator, precision, NEAREST)
    return mid, _rounding(mid, precision)


def constant_pi(precision: int) -> Ball:
    """π."""
    mid = libmp.mpf_pi(precision, NEAREST)
    return mid, _rounding(mid, precision)


def add(balls: Sequence[Ball], precision: int) -> Ball:
    """A sum; exact if its terms are and fit into the precision."""
    errors = [error for _, error in balls]
    mids = [mid for mid, _ in balls if mid[1]]
    if not mids:
        return libmp.fzero, _spread(errors)
    top = max(mid[2] + mid[3] for mid in mids)
    fits = top - min(mid[2] for mid in mids) + len(mids).bit_length() <= precision
    total, *others = mids
    for mid in others or [libmp.fzero]:
        total = libmp.mpf_add(total, mid, precision, NEAREST)
        if not fits:  # a partial sum of 0 was exact; otherwise an ulp of it
            errors.append(_rounding(total, precision))
    return total, _spread(errors)


def _product(a: Ball, b: Ball, precision: int) -> Ball:
    (x, r), (y, s) = a, b
    # 0 times anything is 0, also times a number that could not be told yet
    if (r is EXACT and not x[1]) or (s is EXACT and not y[1]):
        return libmp.fzero, EXACT
    mid = libmp.mpf_mul(x, y, precision, NEAREST)
    # |x s| + |y r| + r s, each a product of powers of two; None where one of them is 0
    powers = ((magnitude(a), s), (magnitude(b), r), (r, s))
    errors = [p + q for p, q in powers if p is not None and q is not None]
    return mid, _spread([*errors, _rounding(mid, precision) if x[3] + y[3] > precision else EXACT])


def multiply(balls: Sequence[Ball], precision: int) -> Ball:
    """A product."""
    total = balls[0]
    for ball in balls[1:]:
        total = _product(total, ball, precision)
    return total


def reciprocal(a: Ball, precision: int) -> Ball:
    """1/a; unknown if 0 is possible."""
    x, r = a
    if not is_known(a) or contains_zero(a):
        return UNKNOWN
    mid = libmp.mpf_div(libmp.fone, x, precision, NEAREST)
    # |1/x − 1/(x+r)| = r / |x (x+r)| ≤ 2r/x², because contains_zero is false only for r ≤ |x|/2
    error = EXACT if r is EXACT else r - 2 * (x[2] + x[3]) + 3
    return mid, _spread([error, _rounding(mid, precision)])


def power(a: Ball, exponent: int, precision: int) -> Ball:
    """A whole power, by squaring."""
    if exponent < 0:
        return reciprocal(power(a, -exponent, precision), precision)
    result: Ball = (libmp.fone, EXACT)
    while exponent:
        if exponent & 1:
            result = _product(result, a, precision)
        exponent >>= 1
        if exponent:
            a = _product(a, a, precision)
    return result


def sqrt(a: Ball, precision: int) -> Ball:
    """Square root; unknown unless positive for certain."""
    # |√x − √(x+r)| ≤ r/√x, and √x ≥ 2^(mag − 1)
    return _of_positive(libmp.mpf_sqrt, a, precision, lambda x, root: 1 - (root[2] + root[3]))


def _of_positive(function: Any, a: Ball, precision: int, slope: Any) -> Ball:
    """A function of numbers above 0; ``slope`` is the exponent of what the radius is multiplied by."""
    x, r = a
    if not is_known(a) or contains_zero(a) or x[0]:
        return UNKNOWN
    mid = function(x, precision, NEAREST)
    error = EXACT if r is EXACT else r + slope(x, mid)
    return mid, _spread([error, _rounding(mid, precision, FUNCTION_SLACK)])


def exp(a: Ball, precision: int) -> Ball:
    """e^a; unknown if the exponent is out of hand, or known to less than 1."""
    x, r = a
    size = magnitude(a)
    if not is_known(a) or (r is not EXACT and r > 0) or (size is not None and size > EXP_LIMIT):
        return UNKNOWN
    mid = libmp.mpf_exp(x, precision, NEAREST)
    if size is None and r is EXACT:
        return mid, EXACT
    # e^r − 1 ≤ 2r for r ≤ 1
    error = EXACT if r is EXACT else mid[2] + mid[3] + r + 1
    return mid, _spread([error, _rounding(mid, precision, FUNCTION_SLACK)])


def log(a: Ball, precision: int) -> Ball:
    """Natural logarithm; unknown unless ``a`` is positive for certain."""
    # r ≤ x/2: |ln(x+r) − ln x| ≤ 2r/x
    return _of_positive(libmp.mpf_log, a, precision, lambda x, _: 2 - (x[2] + x[3]))


def tanh(a: Ball, precision: int) -> Ball:
    """Hyperbolic tangent; its slope is at most 1."""
    return _bounded(libmp.mpf_tanh, a, 0, precision)


def erf(a: Ball, precision: int) -> Ball:
    """Error function; its slope is at most 2/√π < 2."""
    return _bounded(libmp.mpf_erf, a, 1, precision)


def _bounded(function: Any, a: Ball, slope: int, precision: int) -> Ball:
    """A function with values in [−1, 1], f(0) = 0 and a slope of at most 2^slope."""
    x, r = a
    error = EXACT if r is EXACT else r + slope
    if not x[1]:
        return libmp.fzero, error
    if x[2] + x[3] > EXP_LIMIT:  # 1 − |f| < e^{−2^63}; mpmath would square such an argument
        mid = libmp.fnone if x[0] else libmp.fone
        return mid, _spread([error, -precision])
    mid = function(x, precision, NEAREST)
    return mid, _spread([error, _rounding(mid, precision, FUNCTION_SLACK)])


def _minus(a: Ball) -> Ball:
    return libmp.mpf_neg(a[0]), a[1]


def absolute(a: Ball, precision: int) -> Ball:
    """|a|; takes a precision as the other functions do."""
    return libmp.mpf_abs(a[0]), a[1]


def maximum(balls: Sequence[Ball], precision: int) -> Ball:
    """The largest of several numbers; where two cannot be told apart, a ball that holds both."""
    largest = balls[0]
    for other in balls[1:]:
        gap = add([largest, _minus(other)], precision)
        if contains_zero(gap):
            largest = largest[0], _spread([largest[1], magnitude(gap), gap[1]])
        elif gap[0][0]:
            largest = other
    return largest


def side(a: Ball, negative: int) -> Ball:
    """1 for a > 0 and ``negative`` (0 or −1) for a < 0; any number in between if 0 is possible."""
    if contains_zero(a):
        return libmp.from_man_exp(1 + negative, -1), -1 if negative == 0 else 0
    return libmp.from_int(negative if a[0][0] else 1), EXACT
