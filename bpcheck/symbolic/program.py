"""Expressions as a straight line of steps, every common subexpression once, and their evaluation on balls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy

from bpcheck.symbolic import ball
from bpcheck.symbolic.algebra import PRIME, Named, name_and_order
from bpcheck.symbolic.ball import Ball

__all__ = ["AtKink", "Program", "Run", "compile_expressions"]


class AtKink(Exception):
    """σ' does not exist here: two branches of a formula meet with different slopes."""


@dataclass(frozen=True)
class Step:
    """One operation on earlier results, which ``arguments`` counts.

    ``detail`` is what else it needs: a number, a power, a function's name and place.
    """

    operation: str
    arguments: tuple[int, ...] = ()
    detail: Any = None


@dataclass(frozen=True)
class Program:
    """Steps in order; the first ones, as many as there are inputs, read them. ``outputs`` are the results asked for."""

    steps: tuple[Step, ...]
    inputs: int
    outputs: tuple[int, ...]


def compile_expressions(
    expressions: Sequence[Any], inputs: Sequence[Any], places: Mapping[Any, str] | None = None
) -> Program:
    """Turn expressions of SymPy or symengine into a program that takes the values of ``inputs`` in their order.

    ``places`` tells by ``(name, z)`` the place in the network of a function that was left a name.

    Examples
    --------
    >>> u, v = sympy.symbols("u v")
    >>> [step.operation for step in compile_expressions([(u + v) ** 2, u + v], [u, v]).steps]
    ['input', 'input', 'Add', 'power']
    """
    steps = [Step("input") for _ in inputs]
    registers: dict[Any, int] = {symbol: index for index, symbol in enumerate(inputs)}
    # A stack of our own: a chain of 200 layers nests deeper than Python recurses.
    waiting = list(reversed(expressions))
    while waiting:
        expression = waiting[-1]
        if expression not in registers:
            operation, operands, detail = _read(expression, places or {})
            missing = [operand for operand in operands if operand not in registers]
            if missing:
                waiting.extend(missing)
                continue
            registers[expression] = len(steps)
            steps.append(Step(operation, tuple(registers[operand] for operand in operands), detail))
        waiting.pop()
    return Program(tuple(steps), len(inputs), tuple(registers[expression] for expression in expressions))


def _read(expression: Any, places: Mapping[Any, str]) -> tuple[str, Sequence[Any], Any]:
    """Operation, operands and detail of the outermost level of an expression."""
    kind = type(expression).__name__
    if isinstance(expression, Named):
        order = int(kind.endswith(PRIME))
        return _applied(kind.removesuffix(PRIME), order, expression.args[0], places)
    if kind == "polygamma":  # symengine's way of leaving σ a name, see bpcheck.symbolic.algebra
        name, order = name_and_order(int(expression.args[0]))
        return _applied(name, order, expression.args[1], places)
    # both libraries have a dozen classes of numbers; what they share is is_Rational
    if getattr(expression, "is_Rational", False):
        return "number", (), (int(expression.p), int(expression.q))
    if kind == "Pow":
        base, exponent = expression.args
        if type(base).__name__ == "Exp1":  # symengine writes e^z as a power
            return "exp", (exponent,), None
        if exponent.is_Rational and int(exponent.q) in (1, 2):
            return ("power" if int(exponent.q) == 1 else "power of root"), (base,), int(exponent.p)
    elif kind in ("Add", "Mul", "pi", "Pi", "Max", *_JUMPS, *_FUNCTIONS):
        # the second argument of Heaviside is its value at 0, which is not asked for
        return kind, expression.args[:1] if kind in _JUMPS else expression.args, None
    raise NotImplementedError(f"{kind} has no rule in bpcheck.symbolic.program: {expression}.")


def _applied(name: str, order: int, z: Any, places: Mapping[Any, str]) -> tuple[str, Sequence[Any], Any]:
    """σ(z) for order 0, σ'(z) for order 1, where σ was left a name."""
    return "apply", (z,), (name, order, places.get((name, z), name))


_JUMPS = ("Heaviside", "sign")


def _has_jump(formula: Callable[[Any], Any]) -> bool:
    return any(step.operation in _JUMPS for step in _value_and_slope(formula).steps)


@lru_cache(maxsize=256)
def _value_and_slope(formula: Callable[[Any], Any]) -> Program:
    """A formula of one variable and its derivative, which SymPy takes."""
    z = sympy.Symbol("z", real=True)
    expression = sympy.sympify(formula(z))
    return compile_expressions([expression, sympy.diff(expression, z)], [z])


class Run:
    """One evaluation of a program, with midpoints of ``precision`` bits; ``functions``: formulas of what was left a name.

    ``undecided`` lists places where this precision could not tell on which side of a kink the point is.
    """

    def __init__(self, precision: int, functions: Mapping[str, Callable[[Any], Any]]) -> None:
        self.precision = precision
        self.functions = functions
        self.undecided: list[str] = []

    def __call__(self, program: Program, inputs: Sequence[Ball]) -> list[Ball]:
        """The outputs; raises AtKink with the place as its message."""
        p = self.precision
        results: list[Ball] = list(inputs)
        applied: dict[tuple[str, int], list[Ball]] = {}
        for step in program.steps[program.inputs :]:
            operation, detail = step.operation, step.detail
            values = [results[i] for i in step.arguments]
            if operation == "Mul":
                result = ball.multiply(values, p)
            elif operation == "Add":
                result = ball.add(values, p)
            elif operation == "number":
                numerator, denominator = detail
                result = ball.from_ratio(numerator, denominator, p)
            elif operation == "power":
                result = ball.power(values[0], detail, p)
            elif operation == "apply":
                name, order, place = detail
                key = (name, step.arguments[0])
                if key not in applied:
                    applied[key] = self._apply(name, values[0], place)
                result = applied[key][order]
            elif operation == "Max":
                result = ball.maximum(values, p)
            elif operation in _JUMPS:
                result = ball.side(values[0], negative=0 if operation == "Heaviside" else -1)
            elif operation == "power of root":
                result = ball.power(ball.sqrt(values[0], p), detail, p)
            elif operation in ("pi", "Pi"):
                result = ball.constant_pi(p)
            else:
                result = _FUNCTIONS[operation](values[0], p)
            results.append(result)
        return [results[i] for i in program.outputs]

    def _apply(self, name: str, z: Ball, place: str) -> list[Ball]:
        """σ(z) and σ'(z); a slope that stays wide though z is sharp has a jump there (Huber at |r| = 1 has none)."""
        value, slope = self(_value_and_slope(self.functions[name]), [z])
        if (
            slope[1] is not ball.EXACT
            and slope[1] > -(self.precision // 2)
            and _has_jump(self.functions[name])
        ):
            if z[1] is ball.EXACT:
                raise AtKink(place)
            self.undecided.append(place)
        return [value, slope]


_FUNCTIONS: Mapping[str, Callable[[Ball, int], Ball]] = {
    "Abs": ball.absolute,
    "erf": ball.erf,
    "exp": ball.exp,
    "log": ball.log,
    "sqrt": ball.sqrt,
    "tanh": ball.tanh,
}
