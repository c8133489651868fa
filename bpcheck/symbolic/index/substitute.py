"""Put expressions in the place of indices without capturing a bound one.

``Sum(x[k]*y[j], (k, 1, n))`` at j = k is not ``Sum(x[k]*y[k], (k, 1, n))``: SymPy's ``subs`` and ``xreplace``
make that mistake (sympy issues 20127 and 11829). Here every bound index gets a fresh name on the way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import sympy

from bpcheck.symbolic.index.term import Index, VectorValue, indices_of, limits_of, total

__all__ = ["Fresh", "freshen", "indices_of", "limits_of", "substitute"]


class Fresh:
    """A source of indices that occur nowhere else: ``~1``, ``~2``, …; one for each piece of work.

    Examples
    --------
    >>> fresh = Fresh()
    >>> fresh(Index("j", 3)), fresh(Index("j", 3))
    (~1, ~2)
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._made: dict[Any, Any] = {}

    def __call__(self, like: Index) -> Index:
        """A new index with the range of another one."""
        return Index(f"~{next(self._numbers)}", like.upper, lower=like.lower)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was made for a key the first time: equal parts keep equal names, and are worked on once."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def substitute(expression: Any, values: Mapping[Any, Any], fresh: Fresh) -> Any:
    """The expression with indices replaced by expressions; bound indices are renamed to fresh ones.

    Examples
    --------
    >>> from bpcheck.symbolic.index.term import Size, Tensor, total
    >>> x, y, j, k = Tensor("x"), Tensor("y"), Index("j", Size("n")), Index("k", Size("n"))
    >>> substitute(total(x[k] * y[j], k), {j: k}, Fresh())
    Sum(x[~1]*y[k], (~1, 1, n))
    """
    if isinstance(expression, Index):
        return values.get(expression, expression)
    if indices_of(expression).isdisjoint(values):
        return expression
    if isinstance(expression, sympy.Indexed):
        return expression.base[tuple(_position(index, values) for index in expression.indices)]
    if isinstance(expression, sympy.Sum):
        body, renamed = freshen(expression, fresh)
        return total(substitute(body, values, fresh), *renamed)
    if isinstance(expression, VectorValue):
        binders = [fresh(index) for index in expression.binders]
        inner = {**values, **dict(zip(expression.binders, binders, strict=True))}
        body = substitute(expression.body, inner, fresh)
        return expression.moved(lambda index: _position(index, values), binders, body)
    return expression.func(*(substitute(argument, values, fresh) for argument in expression.args))


def freshen(sum_: Any, fresh: Fresh) -> tuple[Any, list[Index]]:
    """What a sum adds up, its indices renamed; and the new indices, the innermost first.

    Examples
    --------
    >>> from bpcheck.symbolic.index.term import Size, Tensor, total
    >>> x, k = Tensor("x"), Index("k", Size("n"))
    >>> freshen(total(x[k], k), Fresh())
    (x[~1], [~1])
    """
    bound = limits_of(sum_)
    renamed = [fresh(index) for index in bound]
    # an inner index hides an outer one of the same name: it is renamed first, and then it is gone
    body = sum_.function
    for old, new in zip(bound, renamed, strict=True):
        body = substitute(body, {old: new}, fresh)
    return body, renamed


def _position(index: Any, values: Mapping[Any, Any]) -> Any:
    """An index expression (a sum of multiples of indices) with the indices replaced."""
    if isinstance(index, Index):
        return values.get(index, index)
    return sympy.expand(index.subs(values, simultaneous=True)) if index.has(Index) else index
