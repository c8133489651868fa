"""What it takes to write a cost down: symbols, numbers, exp, log and functions of one variable.

Three ways to do it. :class:`Explicit` writes every function out in SymPy, for people to read. The
other two leave σ a name while the cost is differentiated, which keeps the expressions small: σ and σ'
are put in only when numbers are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import sympy

from bpcheck.errors import InputError

__all__ = [
    "ENGINES",
    "Algebra",
    "Explicit",
    "Named",
    "NamedSymengine",
    "NamedSympy",
    "choose",
    "name_and_order",
    "named",
]

ENGINES = ("symengine", "sympy")
"""Fastest first; the first one that is installed is the default."""

PRIME = "_prime"


class _InSympy:
    """What the two algebras made of SymPy share."""

    def symbol(self, name: str) -> Any:
        # All real or none: mixing the two makes SymPy a hundred times slower.
        return sympy.Symbol(name, real=True)

    def number(self, value: Fraction) -> Any:
        return sympy.Rational(value.numerator, value.denominator)

    def exp(self, z: Any) -> Any:
        return sympy.exp(z)

    def log(self, z: Any) -> Any:
        return sympy.log(z)


class Explicit(_InSympy):
    """Plain SymPy with every formula, of one variable, written out."""

    def __init__(self, formulas: Mapping[str, Callable[[Any], Any]]) -> None:
        self._formulas = formulas

    def apply(self, name: str, z: Any, place: str) -> Any:
        """The formula called ``name`` at ``z``; ``place``, where in the network that is, is for messages of others."""
        return self._formulas[name](z)


class Named(sympy.Function):  # type: ignore[misc]
    """A SymPy function of which nothing is known but the name of its derivative."""


@cache
def _opaque(name: str) -> Any:
    prime = type(name + PRIME, (Named,), {})
    return type(name, (Named,), {"fdiff": lambda self, argindex=1: prime(self.args[0])})


class NamedSympy(_InSympy):
    """SymPy with σ left a name; ``places`` holds where in the network each σ(z) is, by its name and z."""

    def __init__(self) -> None:
        self.places: dict[Any, str] = {}

    def apply(self, name: str, z: Any, place: str) -> Any:
        """σ(z), with its place noted."""
        self.places[(name, z)] = place
        return _opaque(name)(z)

    def diff(self, expression: Any, symbol: Any) -> Any:
        """∂expression/∂symbol."""
        return sympy.diff(expression, symbol)


class NamedSymengine:
    """symengine with σ left a name; 30 to 200 times faster than SymPy.

    The name is written as ``polygamma(n, z)``, with an even n for σ and n + 1 for σ'. symengine leaves
    it alone and differentiates it to ``polygamma(n + 1, z)`` at once. For a function without a formula,
    ``Function("f")(z)``, it searches all of z for a variable that is not taken yet, at every derivative,
    as a tree: 24 s instead of 0.06 s for eleven layers of 3 units. Nothing of Γ is used. ``places`` is as with SymPy.
    """

    def __init__(self) -> None:
        import symengine

        self._engine = symengine
        self.places: dict[Any, str] = {}

    def symbol(self, name: str) -> Any:
        """A variable."""
        return self._engine.Symbol(name)

    def number(self, value: Fraction) -> Any:
        """An exact rational number."""
        return self._engine.Integer(value.numerator) / self._engine.Integer(value.denominator)

    def exp(self, z: Any) -> Any:
        """e^z."""
        return self._engine.exp(z)

    def log(self, z: Any) -> Any:
        """Natural logarithm."""
        return self._engine.log(z)

    def apply(self, name: str, z: Any, place: str) -> Any:
        """σ(z), with its place noted."""
        self.places[(name, z)] = place
        return self._engine.polygamma(_number_of(name), z)

    def diff(self, expression: Any, symbol: Any) -> Any:
        """∂expression/∂symbol."""
        return expression.diff(symbol)


Algebra = Explicit | NamedSympy | NamedSymengine
"""What the builder of a cost needs beside + − × / and whole powers."""

_NAMES: list[str] = []


def _number_of(name: str) -> int:
    """The even number that stands for a name, from 2 on: polygamma of 0 and 1 have special rules."""
    if name not in _NAMES:
        _NAMES.append(name)
    return 2 * _NAMES.index(name) + 2


def name_and_order(number: int) -> tuple[str, int]:
    """The name that a number stands for, and 1 if it is the derivative's number."""
    return _NAMES[number // 2 - 1], number % 2


def _has_symengine() -> bool:
    try:
        import symengine  # noqa: F401
    except ImportError:
        return False
    return True


def choose(engine: str | None) -> str:
    """Name of the engine to differentiate with; None takes symengine where it is installed.

    Raises
    ------
    InputError
        For another name, or if symengine is asked for and not installed.

    Examples
    --------
    >>> choose("sympy")
    'sympy'
    """
    if engine is None:
        return "symengine" if _has_symengine() else "sympy"
    if engine not in ENGINES:
        raise InputError(f"engine is {engine!r}; choose one of {', '.join(map(repr, ENGINES))}, or None.")
    if engine == "symengine" and not _has_symengine():
        raise InputError(
            "engine is 'symengine', which is not installed: run  pip install symengine , "
            "or use engine='sympy' (slower)."
        )
    return engine


def named(engine: str) -> NamedSympy | NamedSymengine:
    """A fresh algebra of the engine."""
    return NamedSymengine() if engine == "symengine" else NamedSympy()
