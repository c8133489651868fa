"""Definitions written out, and derivatives carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy

from bpcheck.errors import InputError
from bpcheck.symbolic.index.given import Definition, overlap, speaks_of
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

Definitions = tuple[Definition, ...]
_Derivative = Callable[[Any], Any]


def unfold(expression: Any, given: Definitions, fresh: Fresh, written_out: Definitions) -> Any:
    """The expression with every derivative carried out, and definitions written out.

    A derivative looks through all definitions. Outside of derivatives only those of ``written_out`` are used: what holds
    for any tensors holds for the defined ones, and is shorter.
    """
    if isinstance(expression, Diff):
        variable = expression.variable
        kept = tuple(fact for fact in given if not _defines(fact, variable))
        if len(kept) < len(given):
            _check_ways(expression.expression, variable, given)
        inside = (
            unfold(expression.expression, kept, fresh, ())
            if expression.expression.has(Diff)
            else expression.expression
        )
        return unfold(derivative(inside, variable, fresh, kept), given, fresh, written_out)
    if isinstance(expression, sympy.Indexed):
        definition = next((fact for fact in written_out if speaks_of(fact.left, expression)), None)
        if definition is None:
            return expression
        return unfold(_instance(definition, expression, fresh), given, fresh, written_out)
    return _in_parts(expression, lambda part: unfold(part, given, fresh, written_out))


def _defines(definition: Definition, entry: Any) -> bool:
    """Whether a definition says what an entry is; a derivative must know."""
    certain = speaks_of(definition.left, entry)
    if certain is None:
        raise InputError(
            f"{entry} may or may not be {definition.left}, which is defined: a derivative cannot look through it. "
            "Split the sum, or define it for every index."
        )
    return certain


def _check_ways(expression: Any, variable: Any, given: Definitions) -> None:
    """Refuse ∂/∂a of something with ∂/∂z in it where a is defined through z: no convention says whether z moves a."""
    inner = [diff for part in _all_parts(expression, given) for diff in part.atoms(Diff)]
    moves = {e for part in _all_parts(variable, given) for e in part.atoms(sympy.Indexed)} - {variable}
    for diff in inner:
        if any(overlap(diff.variable, entry) for entry in moves):
            raise InputError(
                f"{variable} is varied, and under that derivative stands another one by {diff.variable}, through which "
                f"{variable} is defined. Carry out the inner derivative first, in a line of its own."
            )


def _all_parts(expression: Any, given: Definitions) -> list[Any]:
    """An expression, the right sides of the definitions that it uses, and of those that they use."""
    parts, pending = [expression], [expression]
    while pending:
        for entry in pending.pop().atoms(sympy.Indexed):
            used = [fact.right for fact in given if speaks_of(fact.left, entry) is not False]
            fresh = [right for right in used if right not in parts]
            parts += fresh
            pending += fresh
    return parts


def _instance(definition: Definition, entry: Any, fresh: Fresh) -> Any:
    """The right side of a definition for one entry."""
    pairs = zip(definition.left.indices, entry.indices, strict=True)
    values = {index: value for index, value in pairs if isinstance(index, Index)}
    return fresh.once((definition.left, entry), lambda: substitute(definition.right, values, fresh))


def _in_parts(expression: Any, change: Callable[[Any], Any]) -> Any:
    """The expression with the parts that can hold tensors changed."""
    if isinstance(expression, sympy.Sum):
        return total(change(expression.function), *limits_of(expression))
    if isinstance(expression, VectorValue):
        body = change(expression.body)
        return VectorValue(
            expression.name, expression.components, expression.partials, expression.binders, body
        )
    if not expression.args or isinstance(expression, (sympy.Indexed, sympy.KroneckerDelta, Member)):
        return expression
    return expression.func(*(change(argument) for argument in expression.args))


def derivative(expression: Any, variable: Any, fresh: Fresh, given: Definitions = ()) -> Any:
    """∂expression/∂variable, for an expression without derivatives that wait; definitions are looked through.

    Every bound index is renamed before the derivative goes under it, so that ``∂/∂x[k]`` of ``Sum(x[k], (k, 1, n))``
    does not take the bound k for the free one (sympy issue 21891).

    Examples
    --------
    >>> from bpcheck.symbolic.index.term import Size, Tensor
    >>> x, k = Tensor("x"), Index("k", Size("n"))
    >>> derivative(total(x[k] ** 2, k), x[k], Fresh())
    Sum(2*KroneckerDelta(k, ~1)*x[~1], (~1, 1, n))
    """
    if not expression.has(sympy.Indexed):
        return sympy.Integer(0)

    def d(part: Any) -> Any:
        return derivative(part, variable, fresh, given)

    if isinstance(expression, sympy.Indexed):
        definition = next((fact for fact in given if _defines(fact, expression)), None)
        if definition is None:
            return _same_entry(expression, variable)
        return d(unfold(_instance(definition, expression, fresh), given, fresh, ()))
    rule = _RULES.get(expression.func)
    if rule is None:
        raise InputError(f"the calculus has no derivative for {expression.func.__name__}, in {expression}.")
    return rule(expression, d, fresh)


def _same_entry(entry: Any, variable: Any) -> Any:
    if entry.base != variable.base or len(entry.indices) != len(variable.indices):
        return sympy.Integer(0)
    pairs = zip(entry.indices, variable.indices, strict=True)
    return sympy.Mul(*(kronecker(left, right) for left, right in pairs))


def _product(product: Any, d: _Derivative, fresh: Fresh) -> Any:
    factors = product.args
    return sympy.Add(
        *(sympy.Mul(*factors[:at], d(factor), *factors[at + 1 :]) for at, factor in enumerate(factors))
    )


def _power(power: Any, d: _Derivative, fresh: Fresh) -> Any:
    base, exponent = power.args
    if not exponent.is_Number:
        raise InputError(
            f"the calculus differentiates powers with a fixed number as exponent; given: {power}."
        )
    return exponent * base ** (exponent - 1) * d(base)


def _sum(sum_: Any, d: _Derivative, fresh: Fresh) -> Any:
    body, renamed = freshen(sum_, fresh)
    slope = d(body)
    return total(slope, *renamed) if slope != 0 else slope


def _unknown(value: UnknownValue, d: _Derivative, fresh: Fresh) -> Any:
    return UnknownValue(value.name, value.order + 1, value.argument) * d(value.argument)


def _chain(value: VectorValue, d: _Derivative, fresh: Fresh) -> Any:
    """The multivariate chain rule: Σ over all entries of the array, ∂f/∂entry times ∂entry/∂variable."""
    entry = [fresh(binder) for binder in value.binders]
    moved = substitute(value.body, dict(zip(value.binders, entry, strict=True)), fresh)
    outer = VectorValue(value.name, value.components, (*value.partials, entry), value.binders, value.body)
    return total(outer * d(moved), *entry)


_RULES: Mapping[Any, Callable[[Any, _Derivative, Fresh], Any]] = {
    sympy.Add: lambda sum_, d, fresh: sympy.Add(*map(d, sum_.args)),
    sympy.Mul: _product,
    sympy.Pow: _power,
    sympy.Sum: _sum,
    sympy.exp: lambda power, d, fresh: power * d(power.args[0]),
    sympy.log: lambda log, d, fresh: d(log.args[0]) / log.args[0],
    # not 1/cosh², which overflows
    sympy.tanh: lambda tanh, d, fresh: (1 - tanh**2) * d(tanh.args[0]),
    UnknownValue: _unknown,
    VectorValue: _chain,
}
