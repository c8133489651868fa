"""Numbers as a reader sees them: short, with a true minus sign, and never alike where they differ."""

from __future__ import annotations

import math

from bpcheck.precision import EXACT_DIGITS

__all__ = ["around", "beside", "layer_name", "show"]

SHORT = 4
"""Significant digits in the drawing and in tables: enough to see a factor, few enough to fit a unit's box."""

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def show(value: float, digits: int = SHORT) -> str:
    """A number in a few digits.

    Examples
    --------
    >>> show(-0.25), show(1 / 3), show(float("nan")), show(-1e-17)
    ('−0.25', '0.3333', 'NaN', '−1e−17')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value + 0.0:.{digits}g}".replace("-", "−")  # + 0.0: there is no −0 for a reader


def beside(yours: float, right: float) -> tuple[str, str]:
    """Two numbers that differ, with as many digits as it takes to see it.

    Examples
    --------
    >>> beside(0.5, 0.25), beside(1.0, 1.0000001)
    (('0.5', '0.25'), ('1', '1.0000001'))
    """
    for digits in range(SHORT, EXACT_DIGITS + 1):
        pair = show(yours, digits), show(right, digits)
        if pair[0] != pair[1]:
            break
    return pair


def layer_name(letter: str, layer: int) -> str:
    """The book's name for something of a layer.

    Examples
    --------
    >>> layer_name("δ", 12)
    'δ¹²'
    """
    return letter + str(layer).translate(SUPERSCRIPTS)


def around(place: int, count: int, most: int) -> range:
    """At most ``most`` of ``count`` entries, with ``place`` among them and in the middle where it can be.

    Examples
    --------
    >>> around(7, 9, 5)
    range(4, 9)
    """
    start = min(max(0, place - most // 2), max(0, count - most))
    return range(start, min(count, start + most))
