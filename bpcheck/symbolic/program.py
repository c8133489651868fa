"""Expressions as a straight line of steps, every common subexpression once, and their evaluation on balls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sympy

from bpcheck.symbolic import ball
from bpcheck.symbolic.algebra import PRIME
from bpcheck.symbolic.ball import Ball

__all__ = ["AtKink", "Program", "Run", "compile_expressions"]


class AtKink(Exception):  # noqa: N818 - an answer about the point, not a fault
    """σ' does not exist here: two branches of a case distinction meet with different values."""


@dataclass(frozen=True)
class Step:
    """One operation on earlier results.

    Attributes
    ----------
    operation : str
    arguments : tuple of int
        Which earlier results it takes.
    detail : object
        What else it needs: a number, a power, a function's name and place, strictness of inequalities.
    """

    operation: str
    arguments: tuple[int, ...] = ()
    detail: Any = None


@dataclass(frozen=True)
class Program:
    """Steps in order; the first ones read the inputs.

    Attributes
    ----------
    steps : tuple of Step
    inputs : int
        How many of the results are given from outside.
    outputs : tuple of int
        Which results are asked for.
    """

    steps: tuple[Step, ...]
    inputs: int
    outputs: tuple[int, ...]


def compile_expressions(
    expressions: Sequence[Any], inputs: Sequence[Any], places: Mapping[Any, str] | None = None
) -> Program:
    """Turn expressions of SymPy or symengine into a program.

    Parameters
    ----------
    expressions : sequence of expressions
    inputs : sequence of symbols
        In the order in which their values will be given.
    places : mapping, optional
        ``(name, z)`` to the place in the network of the function that was left a name there.

    Returns
    -------
    Program

    Examples
    --------
    >>> u, v = sympy.symbols("u v")
    >>> [step.operation for step in compile_expressions([(u + v) ** 2, u + v], [u, v]).steps]
    ['input', 'input', 'add', 'number', 'power']
    """
    compiler = _Compiler(places or {})
    for symbol in inputs:
        compiler.registers[symbol] = compiler.emit("input")
    outputs = tuple(compiler.visit(expression) for expression in expressions)
    return Program(tuple(compiler.steps), len(inputs), outputs)


class _Compiler:
    """Walks expressions once; equal subexpressions share a register."""

    def __init__(self, places: Mapping[Any, str]) -> None:
        self.places = places
        self.steps: list[Step] = []
        self.registers: dict[Any, int] = {}

    def emit(self, operation: str, arguments: Sequence[int] = (), detail: Any = None) -> int:
        self.steps.append(Step(operation, tuple(arguments), detail))
        return len(self.steps) - 1

    def visit(self, expression: Any) -> int:
        found = self.registers.get(expression)
        if found is None:
            found = self.registers[expression] = self.translate(expression)
        return found

    def translate(self, expression: Any) -> int:
        kind = type(expression).__name__
        # both libraries have a dozen classes of numbers; what they share is is_Rational
        if getattr(expression, "is_Rational", False):
            return self.emit("number", detail=(int(expression.p), int(expression.q)))
        if kind in ("Add", "Mul"):
            operation = "add" if kind == "Add" else "multiply"
            return self.emit(operation, [self.visit(argument) for argument in expression.args])
        if kind == "Pow":
            return self.power(*expression.args)
        if kind in ("exp", "log", "tanh", "erf"):
            return self.emit(kind, [self.visit(expression.args[0])])
        if kind in ("Pi", "pi"):
            return self.emit("pi")
        if kind == "Piecewise":
            return self.piecewise(expression)
        return self.function(expression, kind)

    def power(self, base: Any, exponent: Any) -> int:
        if type(base).__name__ == "Exp1":  # symengine writes e^z as a power
            return self.emit("exp", [self.visit(exponent)])
        register = self.visit(base)
        if exponent.is_Integer:
            return self.emit("power", [register], int(exponent))
        if exponent.is_Rational and int(exponent.q) == 2:
            root = self.emit("sqrt", [register])
            return self.emit("power", [root], int(exponent.p))
        raise NotImplementedError(f"a power with the exponent {exponent} has no rule in bpcheck.symbolic.program.")

    def piecewise(self, expression: Any) -> int:
        """Branches with their conditions as "difference > 0" (or ≥ 0), in order; the last one is for the rest."""
        arguments: list[int] = []
        strict: list[bool] = []
        for value, condition in expression.args:
            arguments.append(self.visit(value))
            if condition == sympy.true:
                break
            strict.append(isinstance(condition, sympy.StrictGreaterThan | sympy.StrictLessThan))
            arguments.append(self.visit(condition.gts - condition.lts))
        return self.emit("piecewise", arguments, tuple(strict))

    def function(self, expression: Any, kind: str) -> int:
        """σ(z) and σ'(z), where σ was left a name: four ways of writing it in two libraries."""
        order = 0
        if kind == "Subs":  # symengine's σ'(z): Subs(Derivative(σ(ξ), ξ), ξ, z)
            derivative, _, z = expression.args
            name, order = derivative.args[0].get_name(), 1
        elif kind == "Derivative":  # the same where z is a plain symbol
            name, z, order = expression.args[0].get_name(), expression.args[0].args[0], 1
        elif kind == "FunctionSymbol":
            name, z = expression.get_name(), expression.args[0]
        elif isinstance(expression, sympy.Function):
            order = int(kind.endswith(PRIME))
            name, z = kind.removesuffix(PRIME), expression.args[0]
        else:
            raise NotImplementedError(f"{kind} has no rule in bpcheck.symbolic.program: {expression}.")
        return self.emit("apply", [self.visit(z)], (name, order, self.places.get((name, z), name)))


@lru_cache(maxsize=256)
def _value_and_slope(formula: Callable[[Any], Any]) -> Program:
    """A formula of one variable and its derivative, which SymPy takes."""
    z = sympy.Symbol("z", real=True)
    expression = sympy.sympify(formula(z))
    return compile_expressions([expression, sympy.diff(expression, z)], [z])


@dataclass
class Run:
    """One evaluation of a program.

    Parameters
    ----------
    precision : int
        Bits of the midpoints.
    functions : mapping of str to callable
        SymPy formulas of the functions that were left names.

    Attributes
    ----------
    undecided : list of str
        Places where this precision could not tell which branch of σ' is the right one.
    """

    precision: int
    functions: Mapping[str, Callable[[Any], Any]]
    undecided: list[str] = field(default_factory=list)

    def __call__(self, program: Program, inputs: Sequence[Ball], place: str = "") -> list[Ball]:
        """The outputs; raises AtKink with the place as its message."""
        p = self.precision
        results: list[Ball] = list(inputs)
        applied: dict[tuple[str, int], list[Ball]] = {}
        for step in program.steps[program.inputs :]:
            operation, detail = step.operation, step.detail
            values = [results[i] for i in step.arguments]
            if operation == "multiply":
                result = ball.multiply(values, p)
            elif operation == "add":
                result = ball.add(values, p)
            elif operation == "number":
                result = ball.from_ratio(*detail, p)
            elif operation == "power":
                result = ball.power(values[0], detail, p)
            elif operation == "apply":
                name, order, where = detail
                key = (name, step.arguments[0])
                if key not in applied:
                    applied[key] = self(_value_and_slope(self.functions[name]), values, where)
                result = applied[key][order]
            elif operation == "piecewise":
                result = self._piecewise(values, detail, place)
            elif operation == "pi":
                result = ball.constant_pi(p)
            else:
                result = _FUNCTIONS[operation](values[0], p)
            results.append(result)
        return [results[i] for i in program.outputs]

    def _piecewise(self, values: Sequence[Ball], strict: Sequence[bool], place: str) -> Ball:
        if not strict:
            return values[0]
        value, difference = values[:2]
        if not ball.contains_zero(difference):
            positive = not difference[0][0]
            return value if positive else self._piecewise(values[2:], strict[1:], place)
        other = self._piecewise(values[2:], strict[1:], place)
        agree = ball.overlap(value, other, self.precision)
        if difference[1] is not ball.EXACT:
            if not agree:
                self.undecided.append(place)
            return ball.hull(value, other, self.precision)
        if not agree:
            raise AtKink(place)
        return other if strict[0] else value


_FUNCTIONS: Mapping[str, Callable[[Ball, int], Ball]] = {
    "exp": ball.exp,
    "log": ball.log,
    "tanh": ball.tanh,
    "erf": ball.erf,
    "sqrt": ball.sqrt,
}
