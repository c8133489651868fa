"""What a term means at concrete sizes: loops over indices, entries of arrays, nothing rewritten.

This is the other opinion on every step of a derivation. It shares no code with the rewriter: it renames
nothing, for an index is a number here; it knows no derivative, for its arithmetic has one; and it finds
definitions on its own. An interpreter that borrowed the rewriter's renaming would share its mistakes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import singledispatchmethod
from typing import Any

import sympy

from bpcheck.errors import InputError
from bpcheck.symbolic.index.domain import Domain, random_fraction, unknown_of_array
from bpcheck.symbolic.index.given import Definition, TotalIs
from bpcheck.symbolic.index.term import Diff, Index, Layer, Member, Size, UnknownValue, VectorValue

__all__ = ["Reading", "World", "evaluate", "points", "symbols_of"]

Whole = int | Fraction
Entry = tuple[str, tuple[Whole, ...]]


@dataclass(frozen=True)
class World:
    """Concrete sizes, layers and values: an instance.

    Parameters
    ----------
    sizes : mapping of Size to int
    layers : mapping of Layer to int
    widths : mapping of (name, layer) to int
        ``n(3)`` is ``widths["n", 3]``.
    seed : int
        All values are drawn from it, each when it is first needed.
    given : tuple
        Definitions and facts that hold in it.
    values : mapping of (tensor, indices) to number
        Entries that are not to be drawn.
    """

    sizes: Mapping[Any, int]
    layers: Mapping[Any, int]
    widths: Mapping[tuple[str, int], int]
    seed: int = 0
    given: tuple[Any, ...] = ()
    values: Mapping[Entry, Any] = field(default_factory=dict)

    def whole(self, expression: Any, at: Mapping[Any, Whole]) -> Whole:
        """An index expression, a size or the end of a range."""
        try:
            value = self._whole(expression, at)
        except KeyError:
            raise InputError(
                f"{expression} has no value here: an index, size, layer or width in it is not known."
            ) from None
        return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value

    def _whole(self, expression: Any, at: Mapping[Any, Whole]) -> Whole:
        known = {Index: at, Size: self.sizes, Layer: self.layers}.get(expression.func)
        if known is not None:
            return known[expression]
        if expression.is_Rational:
            return Fraction(int(expression.p), int(expression.q))
        parts = [self._whole(argument, at) for argument in expression.args]
        if isinstance(expression, sympy.Add):
            return sum(parts)
        if isinstance(expression, sympy.Mul):
            return math.prod(parts)
        if isinstance(expression, sympy.Pow):
            return Fraction(parts[0]) ** int(parts[1])
        if isinstance(expression, sympy.core.function.AppliedUndef):
            return self.widths[expression.func.__name__, int(parts[0])]
        raise InputError(f"{expression} is no index, size or layer.")

    def range_of(self, index: Index, at: Mapping[Any, Whole]) -> range:
        """All values of an index."""
        return range(int(self.whole(index.lower, at)), int(self.whole(index.upper, at)) + 1)


def evaluate(expression: Any, world: World, domain: Domain, at: Mapping[Any, Any] | None = None) -> Any:
    """The value of a term.

    Parameters
    ----------
    expression : term
    world : World
    domain : Domain
        :class:`.domain.Exact` or :class:`.domain.Digits`.
    at : mapping of Index to int
        Values of the free indices.

    Raises
    ------
    ArithmeticError
        Where it has no value: 1/0, log 0.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Index, Size, Tensor, total
    >>> from bpcheck.symbolic.index.domain import Exact
    >>> n = Size("n")
    >>> world = World({n: 3}, {}, {})
    >>> evaluate(total(2 * n, Index("j", n)), world, Exact())
    Fraction(18, 1)
    """
    return Reading(world, domain).value(expression, at or {})


class Reading:
    """Many values in one world: what a definition gives is computed once.

    Parameters
    ----------
    world : World
    domain : Domain
    held : mapping of (tensor, indices) to number
        Entries that are not to be looked up: the one by which something is differentiated.
    drawn : dict
        Filled with the fractions that were drawn, of entries and (with no indices) of scalars.
    """

    def __init__(
        self,
        world: World,
        domain: Domain,
        held: Mapping[Entry, Any] | None = None,
        drawn: dict[Entry, Any] | None = None,
    ) -> None:
        self.world, self.domain, self.held = world, domain, held or {}
        self.known: dict[Entry, Any] = {}
        self.drawn: dict[Entry, Any] = {} if drawn is None else drawn

    @singledispatchmethod
    def value(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        """What a term is where the free indices have these values."""
        raise InputError(f"the interpreter does not know {type(expression).__name__}, in {expression}.")

    @value.register(sympy.Rational)
    def _rational(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        return self.domain.number(Fraction(int(expression.p), int(expression.q)))

    @value.register(sympy.Add)
    def _terms(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        return sum((self.value(term, at) for term in expression.args), self.domain.number(Fraction(0)))

    @value.register(sympy.Indexed)
    def _indexed(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        return self.entry((expression.base.name, self._wholes(expression.indices, at)))

    @value.register(sympy.KroneckerDelta)
    def _equal(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        left, right = self._wholes(expression.args, at)
        return self.domain.number(Fraction(int(left == right)))

    @value.register(Member)
    def _member(self, expression: Member, at: Mapping[Any, Whole]) -> Any:
        value, lower, upper = self._wholes(expression.args, at)
        return self.domain.number(Fraction(int(isinstance(value, int) and lower <= value <= upper)))

    @value.register(Index)
    @value.register(Size)
    @value.register(Layer)
    @value.register(sympy.core.function.AppliedUndef)
    def _count(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        return self.domain.number(Fraction(self.world.whole(expression, at)))

    @value.register(sympy.Symbol)
    def _scalar(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        value = random_fraction((self.world.seed, expression.name), positive=expression.is_positive is True)
        self.drawn[expression.name, ()] = value
        return self.domain.number(value)

    @value.register(sympy.Pow)
    def _power(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        base, exponent = expression.args
        # β^{t−i}: how often β is multiplied is a number here
        return self.domain.power(self.value(base, at), Fraction(self.world.whole(exponent, at)))

    @value.register(sympy.exp)
    @value.register(sympy.log)
    @value.register(sympy.tanh)
    def _function(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        return self.domain.apply(type(expression).__name__, self.value(expression.args[0], at))

    @value.register(type(sympy.E))
    def _e(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        return self.domain.apply("exp", self.domain.number(Fraction(1)))

    def _wholes(self, expressions: Iterable[Any], at: Mapping[Any, Whole]) -> tuple[Whole, ...]:
        return tuple(self.world.whole(expression, at) for expression in expressions)

    @value.register(sympy.Mul)
    def _product(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        # conditions first: what stands beside a 0 may have no value (a position outside the array)
        ordered = sorted(expression.args, key=lambda f: not isinstance(f, (sympy.KroneckerDelta, Member)))
        product = self.domain.number(Fraction(1))
        for factor in ordered:
            value = self.value(factor, at)
            if isinstance(factor, (sympy.KroneckerDelta, Member)) and value == 0:
                return value
            product = product * value
        return product

    @value.register(sympy.Sum)
    def _sum(self, expression: Any, at: Mapping[Any, Whole]) -> Any:
        # SymPy lists the innermost index first: loop from the last to the first
        result = self.domain.number(Fraction(0))
        indices = [limit[0] for limit in reversed(expression.limits)]
        for values in itertools.product(*(self.world.range_of(index, at) for index in indices)):
            # of an index that is bound twice, the innermost value counts: it stands last
            inner = {**at, **dict(zip(indices, values, strict=True))}
            result = result + self.value(expression.function, inner)
        return result

    def entry(self, entry: Entry) -> Any:
        """One number of a tensor: held, defined, fixed by a fact, or drawn."""
        if entry in self.held:
            return self.held[entry]
        if entry not in self.known:
            self.known[entry] = self._find(entry)
        return self.known[entry]

    def _find(self, entry: Entry) -> Any:
        if entry in self.world.values:
            return self.world.values[entry]
        name, where = entry
        for fact in self.world.given:
            if isinstance(fact, Definition):
                at = self._match(fact.left, entry)
                if at is not None:
                    return self.value(fact.right, at)
            elif isinstance(fact, TotalIs):
                at = self._match(fact.entry, entry)
                if at is not None and where[fact.place] == self.world.range_of(fact.over, at)[-1]:
                    others = self.world.range_of(fact.over, at)[:-1]
                    before, after = where[: fact.place], where[fact.place + 1 :]
                    # a fact is about values: while one entry is varied, the others stand still
                    still = Reading(self.world, self.domain, drawn=self.drawn) if self.held else self
                    rest = sum(
                        (still.entry((name, (*before, other, *after))) for other in others),
                        self.domain.number(Fraction(0)),
                    )
                    return self.value(fact.value, at) - rest
        value = random_fraction((self.world.seed, entry))
        self.drawn[entry] = value
        return self.domain.number(value)

    def _match(self, pattern: Any, entry: Entry) -> dict[Any, Whole] | None:
        """What a pattern's indices must be to mean an entry."""
        name, where = entry
        if pattern.base.name != name or len(pattern.indices) != len(where):
            return None
        at: dict[Any, Whole] = {}
        for index, value in zip(pattern.indices, where, strict=True):
            if isinstance(index, Index):
                # a definition holds in the range of its indices, and says nothing of h_0 where t begins at 1
                if value not in self.world.range_of(index, {}):
                    return None
                at[index] = value
            elif self.world.whole(index, {}) != value:
                return None
        return at

    @value.register(UnknownValue)
    def _unknown(self, expression: UnknownValue, at: Mapping[Any, Whole]) -> Any:
        return self._slope(expression.name, expression.order, self.value(expression.argument, at))

    def _slope(self, name: str, order: int, x: Any) -> Any:
        if order == 0:
            return self.domain.unknown(name, self.world.seed, x)
        return self.domain.differentiate(lambda t: self._slope(name, order - 1, t), x)

    @value.register(VectorValue)
    def _vector(self, expression: VectorValue, at: Mapping[Any, Whole]) -> Any:
        entries = {}
        for values in itertools.product(*(self.world.range_of(b, at) for b in expression.binders)):
            inner = dict(at)
            inner.update(zip(expression.binders, values, strict=True))
            entries[values] = self.value(expression.body, inner)
        component = tuple(map(str, self._wholes(expression.components, at)))
        partials = [self._wholes(partial, at) for partial in expression.partials]
        return self._partial((self.world.seed, expression.name, component), partials, entries)

    def _partial(self, key: object, partials: list[tuple[Whole, ...]], entries: dict[Any, Any]) -> Any:
        if not partials:
            return unknown_of_array(self.domain, key, entries)
        by, rest = partials[0], partials[1:]
        if by not in entries:
            return self.domain.number(Fraction(0))
        return self.domain.differentiate(lambda t: self._partial(key, rest, {**entries, by: t}), entries[by])

    @value.register(Diff)
    def _derivative(self, expression: Diff, at: Mapping[Any, Whole]) -> Any:
        variable = expression.variable
        entry = (variable.base.name, self._wholes(variable.indices, at))

        def moved(t: Any) -> Any:
            held = {**self.held, entry: t}
            return Reading(self.world, self.domain, held, self.drawn).value(expression.expression, at)

        return self.domain.differentiate(moved, self.entry(entry))


def symbols_of(expressions: Iterable[Any], kind: type) -> list[Any]:
    """All symbols of a kind, also those in ranges, by name."""
    found: set[Any] = set()
    pending = list(expressions)
    seen: set[Any] = set()
    while pending:
        expression = pending.pop()
        if expression in seen:
            continue
        seen.add(expression)
        if isinstance(expression, kind):
            found.add(expression)
        if isinstance(expression, Index):
            pending += [expression.lower, expression.upper]
        pending += expression.args
    return sorted(found, key=str)


def points(indices: Iterable[Index], world: World) -> Iterator[dict[Any, int]]:
    """All values of free indices."""
    indices = list(indices)
    for values in itertools.product(*(world.range_of(index, {}) for index in indices)):
        yield dict(zip(indices, values, strict=True))
