"""Options that are numbers or words: the value as Python's own, or an error that says what is needed."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from numbers import Integral, Real
from typing import Any

from bpcheck.errors import InputError

__all__ = ["non_negative", "one_of", "positive", "share", "whole"]


def whole(name: str, value: Any, *, least: int = 1, of: str = "") -> int:
    """A whole number of at least ``least``, NumPy's included; True is none.

    Raises
    ------
    InputError
        Named after the option. ``of`` says what is counted.

    Examples
    --------
    >>> whole("epochs", 3)
    3
    >>> whole("epochs", 2.5)
    Traceback (most recent call last):
        ...
    bpcheck.errors.InputError: epochs is 2.5; give a whole number, 1 or more.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name} is {value!r}; give a whole number{of and ' of '}{of}, {least} or more.")
    return int(value)


def non_negative(name: str, value: Any) -> float:
    """A finite number of 0 or more.

    Examples
    --------
    >>> non_negative("lr", 1)
    1.0
    """
    return _number(name, value, lambda number: 0 <= number < inf, "a finite number, 0 or more")


def positive(name: str, value: Any) -> float:
    """A finite number above 0.

    Examples
    --------
    >>> positive("limit", 0.0)
    Traceback (most recent call last):
        ...
    bpcheck.errors.InputError: limit is 0.0; give a positive, finite number.
    """
    return _number(name, value, lambda number: 0 < number < inf, "a positive, finite number")


def share(name: str, value: Any) -> float:
    """A number of at least 0 and below 1.

    Examples
    --------
    >>> share("momentum", 0.9)
    0.9
    """
    return _number(name, value, lambda number: 0 <= number < 1, "a number of at least 0 and below 1")


def _number(name: str, value: Any, fits: Any, needed: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not fits(value):
        raise InputError(f"{name} is {value!r}; give {needed}.")
    return float(value)


def one_of(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Refuse a word that is not among those allowed.

    Examples
    --------
    >>> one_of("form", "heavy", ("sum", "average"))
    Traceback (most recent call last):
        ...
    bpcheck.errors.InputError: form is 'heavy'; one of 'sum', 'average' is needed.
    """
    allowed = tuple(allowed)
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; one of {', '.join(map(repr, allowed))} is needed.")
