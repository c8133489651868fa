"""Floating-point formats: float64, float32, float16 and bfloat16, by name, and rounding to them.

NumPy has no bfloat16. Arrays of the extension type of ``ml_dtypes`` are recognised by the name of their
dtype and widened to float32, which holds every bfloat16 exactly; ``ml_dtypes`` itself is never imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bpcheck.errors import InputError

__all__ = ["FORMATS", "FloatFormat", "coarsest", "format_of", "rounded", "told_apart", "widened"]

EXACT_DIGITS = 17
"""Decimal digits that tell any two doubles apart (IEEE 754-2019 §5.12.2)."""


@dataclass(frozen=True)
class FloatFormat:
    """A binary floating-point format (IEEE 754-2019 §3.3; bfloat16 has float32's exponents).

    Attributes
    ----------
    name : str
    digits : int
        p, binary digits of the significand, the hidden one included.
    least, most : int
        Exponents of the smallest and of the largest normal numbers: 2^least and just below 2^(most + 1).

    Examples
    --------
    >>> bfloat16 = format_of("bfloat16")
    >>> bfloat16.roundoff == 2.0**-8, bfloat16.largest
    (True, 3.3895313892515355e+38)
    """

    name: str
    digits: int
    least: int
    most: int

    @property
    def roundoff(self) -> float:
        """u, half the distance from 1 to the next number: the largest relative error of one rounding."""
        return 2.0**-self.digits

    @property
    def smallest(self) -> float:
        """The smallest positive number (subnormal)."""
        return 2.0 ** (self.least - self.digits + 1)

    @property
    def smallest_normal(self) -> float:
        """The smallest positive number with all its digits."""
        return 2.0**self.least

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2.0 - 2.0 ** (1 - self.digits)) * 2.0**self.most

    def __str__(self) -> str:
        return self.name


FORMATS = {
    known.name: known
    for known in (
        FloatFormat("bfloat16", 8, -126, 127),
        FloatFormat("float16", 11, -14, 15),
        FloatFormat("float32", 24, -126, 127),
        FloatFormat("float64", 53, -1022, 1023),
    )
}
"""The four formats by name, the coarsest first."""


def format_of(dtype: Any) -> FloatFormat:
    """The format that a dtype, a framework's dtype or a name stands for.

    Parameters
    ----------
    dtype : str, numpy.dtype, type or FloatFormat
        ``"bfloat16"``, ``np.float32``, ``torch.float16``, an array's ``.dtype``, …

    Returns
    -------
    FloatFormat
        Wider types than float64 count as float64: that is what everything here is computed in.

    Raises
    ------
    InputError
        If it is none of the four formats.

    Examples
    --------
    >>> format_of(np.float16).roundoff == 2.0**-11
    True
    """
    if isinstance(dtype, FloatFormat):
        return dtype
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", "") or str(dtype)
    name = name.removeprefix("torch.")
    if name not in FORMATS:
        try:
            found = np.dtype(object if dtype is None else dtype)  # np.dtype(None) would be float64
        except TypeError:
            found = np.dtype(object)
        name = found.name
        if found.kind == "f" and found.itemsize > np.dtype(float).itemsize:
            name = "float64"
    if name not in FORMATS:
        raise InputError(
            f"the precision {dtype!r} is not known; give one of {', '.join(map(repr, FORMATS))}."
        )
    return FORMATS[name]


def coarsest(formats: Any, default: Any = "float64") -> FloatFormat:
    """The format with the fewest digits, ``default`` if there is none."""
    return min((format_of(f) for f in formats), key=lambda f: f.digits, default=format_of(default))


def rounded(array: Any, precision: Any) -> NDArray[np.float64]:
    """Float64 numbers rounded to the nearest of a format, ties to even; too large ones become infinite.

    Parameters
    ----------
    array : array of float
    precision : str, dtype or FloatFormat

    Returns
    -------
    float64 array

    Examples
    --------
    >>> rounded([1.0, 1 / 3, 1e39], "bfloat16")
    array([1.        , 0.33398438,        inf])
    """
    values = np.asarray(array, dtype=float)
    form = format_of(precision)
    if form.name == "float64":
        return values
    if form.name == "float32" and form.digits == 24:  # NumPy has it, and is faster
        with np.errstate(all="ignore"):
            return np.asarray(values.astype(np.float32), dtype=float)
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(values)  # |value| in [2^(exponent−1), 2^exponent)
        unit = np.maximum(exponent - 1, form.least) - (form.digits - 1)
        nearest = np.ldexp(np.rint(np.ldexp(values, -unit)), unit)
    return np.asarray(np.where(abs(nearest) > form.largest, np.copysign(np.inf, values), nearest))


def widened(value: Any) -> Any:
    """Arrays and numbers of bfloat16 as float32; anything else as it is.

    Examples
    --------
    >>> widened(np.float16(0.5)).dtype
    dtype('float16')
    """
    # kind first: a bfloat16 is a "V" to NumPy, and names are slow
    if (
        isinstance(value, np.ndarray | np.generic)
        and value.dtype.kind not in "fiu"
        and value.dtype.name == "bfloat16"
    ):
        return value.astype(np.float32)
    return value


def told_apart(first: float, second: float, digits: int = 6) -> tuple[str, str]:
    """Two numbers as text, with as many digits as it takes to tell them apart, and ``digits`` at least.

    Examples
    --------
    >>> told_apart(0.5, 0.25), told_apart(0.6931471806, 0.69314718056), told_apart(-0.0, 0.0)
    (('0.5', '0.25'), ('0.6931471806', '0.69314718056'), ('0', '0'))
    """
    for enough in range(digits, EXACT_DIGITS + 1):
        texts = (
            f"{first + 0.0:.{enough}g}",
            f"{second + 0.0:.{enough}g}",
        )  # + 0.0: there is no −0 for a reader
        if texts[0] != texts[1] or first == second:
            break
    return texts
