"""Definitions written out, and derivatives carried out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy

from bpcheck.errors import InputError
from bpcheck.symbolic.index.given import Definition, Given, family
from bpcheck.symbolic.index.substitute import Fresh, freshen, limits_of, substitute
from bpcheck.symbolic.index.term import (
    Diff,
    Index,
    Member,
    UnknownValue,
    VectorValue,
    kronecker,
    total,
)

__all__ = ["derivative", "unfold"]


def unfold(expression: Any, given: Given, fresh: Fresh) -> Any:
    """The expression with every definition written out and every derivative carried out.

    Under ``Diff(…, x)`` the definition of x itself is not used: x is what varies there.
    """
    return _unfold(expression, given, fresh, frozenset())


def _unfold(expression: Any, given: Given, fresh: Fresh, kept: frozenset[Any]) -> Any:
    if isinstance(expression, Diff):
        variable = expression.variable
        inside = _unfold(expression.expression, given, fresh, kept | {family(variable)})
        return _unfold(derivative(inside, variable, fresh), given, fresh, kept)
    if isinstance(expression, sympy.Indexed):
        definition = None if family(expression) in kept else _definition(expression, given)
        if definition is None:
            return expression
        values = dict(zip(definition.left.indices, expression.indices, strict=True))
        values = {index: value for index, value in values.items() if isinstance(index, Index)}
        return _unfold(substitute(definition.right, values, fresh), given, fresh, kept)
    if isinstance(expression, sympy.Sum):
        bound = limits_of(expression)
        return total(_unfold(expression.function, given, fresh, kept), *bound)
    if isinstance(expression, VectorValue):
        body = _unfold(expression.body, given, fresh, kept)
        return VectorValue(
            expression.name, expression.components, expression.partials, expression.binders, body
        )
    if not expression.args or isinstance(expression, (sympy.KroneckerDelta, Member)):
        return expression
    return expression.func(*(_unfold(argument, given, fresh, kept) for argument in expression.args))


def _definition(entry: Any, given: Given) -> Definition | None:
    for fact in given:
        if isinstance(fact, Definition) and _speaks_of(fact, entry):
            return fact
    return None


def _speaks_of(definition: Definition, entry: Any) -> bool:
    left = definition.left
    return (
        left.base == entry.base
        and len(left.indices) == len(entry.indices)
        and all(
            isinstance(pattern, Index) or sympy.expand(pattern - index) == 0
            for pattern, index in zip(left.indices, entry.indices, strict=True)
        )
    )


# f ↦ f' for the known functions of one number; 1/cosh² is written with tanh, which has no overflow.
_SLOPES: Mapping[Any, Any] = {
    sympy.exp: sympy.exp,
    sympy.log: lambda x: 1 / x,
    sympy.tanh: lambda x: 1 - sympy.tanh(x) ** 2,
}


def derivative(expression: Any, variable: Any, fresh: Fresh) -> Any:
    """∂expression/∂variable, for an expression without definitions or derivatives that wait.

    Every bound index is renamed before the derivative goes under it, so that ``∂/∂x[k]`` of ``Sum(x[k], (k, 1, n))``
    does not take the bound k for the free one (sympy issue 21891).

    Examples
    --------
    >>> from bpcheck.symbolic.index.term import Size, Tensor
    >>> x, k = Tensor("x"), Index("k", Size("n"))
    >>> derivative(total(x[k] ** 2, k), x[k], Fresh())
    Sum(2*KroneckerDelta(k, ~1)*x[~1], (~1, 1, n))
    """
    if not expression.has(variable.base):
        return sympy.Integer(0)
    if isinstance(expression, sympy.Indexed):
        return _same_entry(expression, variable)
    if isinstance(expression, sympy.Add):
        return sympy.Add(*(derivative(term, variable, fresh) for term in expression.args))
    if isinstance(expression, sympy.Mul):
        factors = expression.args
        return sympy.Add(
            *(
                sympy.Mul(*factors[:place], derivative(factor, variable, fresh), *factors[place + 1 :])
                for place, factor in enumerate(factors)
            )
        )
    if isinstance(expression, sympy.Pow):
        base, exponent = expression.args
        if not exponent.is_Number:
            raise InputError(f"the calculus differentiates powers with a fixed number as exponent; given: {expression}.")
        return exponent * base ** (exponent - 1) * derivative(base, variable, fresh)
    if expression.func in _SLOPES:
        argument = expression.args[0]
        return _SLOPES[expression.func](argument) * derivative(argument, variable, fresh)
    if isinstance(expression, UnknownValue):
        outer = UnknownValue(expression.name, expression.order + 1, expression.argument)
        return outer * derivative(expression.argument, variable, fresh)
    if isinstance(expression, VectorValue):
        return _chain(expression, variable, fresh)
    if isinstance(expression, sympy.Sum):
        body, renamed = freshen(expression, fresh)
        return total(derivative(body, variable, fresh), *renamed)
    raise InputError(f"the calculus has no derivative for {expression.func.__name__}, in {expression}.")


def _same_entry(entry: Any, variable: Any) -> Any:
    if entry.base != variable.base or len(entry.indices) != len(variable.indices):
        return sympy.Integer(0)
    pairs = zip(entry.indices, variable.indices, strict=True)
    return sympy.Mul(*(kronecker(left, right) for left, right in pairs))


def _chain(value: VectorValue, variable: Any, fresh: Fresh) -> Any:
    """The multivariate chain rule: Σ over all entries of the array, ∂f/∂entry times ∂entry/∂variable."""
    entry = [fresh(binder) for binder in value.binders]
    moved = substitute(value.body, dict(zip(value.binders, entry, strict=True)), fresh)
    outer = VectorValue(value.name, value.components, (*value.partials, entry), value.binders, value.body)
    return total(outer * derivative(moved, variable, fresh), *entry)
