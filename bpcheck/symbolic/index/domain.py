"""Two arithmetics for the interpreter: plain SymPy with exact fractions, and numbers of 60 digits.

Each says how an unknown function looks and how a derivative is taken. In the first, unknown functions are
polynomials and SymPy differentiates; in the second, they are transcendental and a difference quotient at
many digits differentiates. Neither knows a rule of the calculus.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath
import sympy
from sympy import QQ, ring
from sympy.polys.polyerrors import ExactQuotientFailed
from sympy.polys.rings import PolyElement

__all__ = ["DIGITS", "Digits", "Domain", "Exact", "random_fraction"]

# Decimal digits of the numeric check, and how many of them must agree. A difference quotient loses some:
# the worst difference between equal sides over `derivations/` was 1e-60 (benchmarks/index_calculus.py).
DIGITS = 60
AGREEING_DIGITS = 45

# What is smaller in a denominator is a 0 that was not recognised.
NOTHING = sympy.Float(10, DIGITS) ** -AGREEING_DIGITS

# Random numbers are quotients of small whole numbers between 1/4 and 7/4, with a sign: large enough that
# nothing is lost beside something else, small enough that exp and cubes stay tame.
NUMERATORS = range(16, 113)
DENOMINATOR = 64

# A derivation draws at most 190 different numbers, each of them many times (benchmarks/index_calculus.py).
NUMBERS_KEPT = 1 << 14


@lru_cache(maxsize=NUMBERS_KEPT)
def random_fraction(key: object, *, positive: bool = False) -> Fraction:
    """A fraction that depends on the key alone, of size 1/4 to 7/4.

    Examples
    --------
    >>> random_fraction("W") == random_fraction("W")
    True
    >>> random_fraction("W", positive=True) > 0
    True
    """
    rng = random.Random(repr(key))
    size = Fraction(rng.choice(NUMERATORS), DENOMINATOR)
    return size if positive or rng.random() < 0.5 else -size


def unknown_of_array(domain: Domain, key: object, entries: Mapping[Any, Any]) -> Any:
    """An unknown function of a whole array: Σ bᵢxᵢ + (Σ cᵢxᵢ)² + Σ dᵢxᵢ³, so that all entries interact."""
    zero = domain.number(Fraction(0))
    linear, mixed, cubic = zero, zero, zero
    for index, x in entries.items():
        b, c, d = (domain.number(random_fraction((key, index, part))) for part in "bcd")
        linear, mixed, cubic = linear + b * x, mixed + c * x, cubic + d * x * x * x
    return linear + mixed * mixed + cubic


class NotPolynomial(Exception):
    """An expression has something in it that is no polynomial."""


# One unknown for each derivative within a derivative; deeper ones go by expressions.
_UNKNOWNS = ring("t:6", QQ)[1:]


class Exact:
    """Exact fractions, and plain SymPy where something is differentiated."""

    name = "plain SymPy"

    def __init__(self) -> None:
        self._depth = 0

    def number(self, value: Fraction) -> Any:
        """The fraction itself."""
        return value

    def apply(self, name: str, x: Any) -> Any:
        """SymPy's function, unevaluated."""
        if isinstance(x, PolyElement):
            raise NotPolynomial
        return _value(getattr(sympy, name)(sympy.sympify(x)))

    def power(self, x: Any, exponent: Fraction) -> Any:
        """An exact power."""
        if isinstance(x, PolyElement) and (exponent < 0 or exponent.denominator != 1):
            raise NotPolynomial
        if exponent.denominator == 1 and not isinstance(x, sympy.Basic):
            return x ** int(exponent)
        if exponent < 0 and not isinstance(x, Fraction) and not x.free_symbols and abs(_digits(x)) < NOTHING:
            raise ZeroDivisionError(f"{x} in a denominator")
        return _value(sympy.sympify(x) ** sympy.Rational(exponent.numerator, exponent.denominator))

    def unknown(self, name: str, seed: object, x: Any) -> Any:
        """A polynomial of degree 3."""
        return sum(random_fraction((seed, name, power)) * x**power for power in range(4))

    def differentiate(self, function: Callable[[Any], Any], x: Any) -> Any:
        """SymPy's diff by a plain symbol."""
        depth = self._depth
        self._depth += 1
        try:
            return self._polynomial_slope(function, x, depth)
        except (NotPolynomial, ExactQuotientFailed, TypeError, ValueError):
            return self._slope(function, x, depth)
        finally:
            self._depth -= 1

    def _polynomial_slope(self, function: Callable[[Any], Any], x: Any, depth: int) -> Any:
        """By SymPy's polynomials, which take a hundredth of the time; anything else is refused."""
        if not isinstance(x, (Fraction, PolyElement)) or depth >= len(_UNKNOWNS):
            raise NotPolynomial
        t = _UNKNOWNS[depth]
        value = function(t)
        if not isinstance(value, PolyElement):
            return Fraction(value) * 0
        slope = value.diff(t).compose(t, x)
        if not slope.is_ground:
            return slope
        constant = slope.coeff(1)
        return Fraction(int(constant.numerator), int(constant.denominator))

    def _slope(self, function: Callable[[Any], Any], x: Any, depth: int) -> Any:
        """By SymPy's diff of an expression."""
        t = sympy.Symbol(f"t{depth}")
        value = sympy.sympify(function(t))
        if not value.has(t):
            return Fraction(0)
        slope = _value(sympy.diff(value, t).subs(t, sympy.sympify(x)))
        return Fraction(int(slope.p), int(slope.q)) if slope.is_Rational else slope

    def same(self, left: Any, right: Any) -> bool:
        """Exactly, or to many digits where a function left no fraction."""
        difference = sympy.sympify(left - right)
        if difference.is_Rational or difference.free_symbols:
            return bool(sympy.expand(difference) == 0)
        left, right = _digits(left), _digits(right)
        size = max(abs(left), abs(right), 1)
        return bool(abs(left - right) <= sympy.Rational(1, 10**AGREEING_DIGITS) * size)

    def as_float(self, x: Any) -> float | complex:
        """The nearest float."""
        return _real_if_possible(complex(_digits(x)))


def _digits(x: Any) -> Any:
    return sympy.sympify(x).evalf(DIGITS)


def _value(x: Any) -> Any:
    """A SymPy number that is one: 1/0 and log 0 are not."""
    if x.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
        raise ZeroDivisionError(f"{x} is no number")
    return x


def _real_if_possible(x: complex) -> float | complex:
    return x if x.imag else x.real


class Digits:
    """Numbers of 60 digits; derivatives are difference quotients."""

    name = f"{DIGITS}-digit numbers"

    def __init__(self) -> None:
        self._context = mpmath.MPContext()
        self._context.dps = DIGITS

    def number(self, value: Fraction) -> Any:
        """Rounded to the digits in use; asked again when there are more."""
        return self._context.mpf(value.numerator) / value.denominator

    def apply(self, name: str, x: Any) -> Any:
        """Mpmath's function."""
        if name == "log" and x == 0:
            raise ZeroDivisionError("log 0 is no number")
        return getattr(self._context, name)(x)

    def power(self, x: Any, exponent: Fraction) -> Any:
        """Mpmath's power."""
        return self._context.power(x, self.number(exponent))

    def unknown(self, name: str, seed: object, x: Any) -> Any:
        """A bend, a slope and a curvature: c₁ tanh(c₂ x + c₃) + c₄ x + c₅ x²."""
        c = [self.number(random_fraction((seed, name, place))) for place in range(5)]
        return c[0] * self._context.tanh(c[1] * x + c[2]) + c[3] * x + c[4] * x * x

    def differentiate(self, function: Callable[[Any], Any], x: Any) -> Any:
        """A central difference with three times the digits, its step a third of them."""
        context = self._context
        before = context.dps
        context.dps = 3 * before
        try:
            # error h² ~ 10^(-2·dps), rounding 10^(-3·dps)/h ~ 10^(-2·dps): more than the digits kept
            h = context.mpf(10) ** -before
            slope = (function(x + h) - function(x - h)) / (2 * h)
        finally:
            context.dps = before
        return +slope

    def same(self, left: Any, right: Any) -> bool:
        """To all but the last digits, which a difference quotient may lose."""
        size = max(abs(left), abs(right), 1)
        return bool(abs(left - right) <= self._context.mpf(10) ** -AGREEING_DIGITS * size)

    def as_float(self, x: Any) -> float | complex:
        """The nearest float."""
        return _real_if_possible(complex(x))


Domain = Exact | Digits
"""What the interpreter computes with."""
