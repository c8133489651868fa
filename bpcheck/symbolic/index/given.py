"""What a derivation may use: definitions of tensors, and facts about them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import sympy

from bpcheck.errors import InputError
from bpcheck.symbolic.index.term import Index, expression_of, indices_of, total

__all__ = [
    "Definition",
    "Fact",
    "Given",
    "TotalIs",
    "lies_within",
    "overlap",
    "speaks_of",
    "topmost_first",
    "validate",
]


@dataclass(frozen=True)
class Definition:
    """``left = right``, for every value of the indices of ``left`` in their ranges.

    Other superscripts than the one written are left alone: a definition of ``z[l + 1, k]`` says nothing
    of ``z[l, j]``, and one of ``h[t, j]`` with t = 1 … T nothing of ``h[0, j]``.

    Parameters
    ----------
    left : Indexed
        One entry, ``z[l + 1, k]``.
    right : expression
    because : str
        A name or a sentence for the reader.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Index, Size, Tensor, Unknown
    >>> a, z, sigma, k = Tensor("a"), Tensor("z"), Unknown("sigma"), Index("k", Size("n"))
    >>> Definition(a[k], sigma(z[k])).parameters
    (k,)
    """

    left: Any
    right: Any
    because: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.left, sympy.Indexed):
            raise InputError(
                f"the left side of a definition is one entry, such as z[l, j]; given: {self.left}."
            )
        _check_pattern(self.left, "a definition")
        object.__setattr__(self, "right", _expression(self.right, f"the right side of {self.left}"))
        extra = indices_of(self.right) - set(self.parameters)
        if extra:
            names = ", ".join(sorted(map(str, extra)))
            raise InputError(
                f"{self.right} has the free index {names}, which {self.left} has not: its value is not fixed."
            )

    @property
    def about(self) -> Any:
        """The entry of which it speaks."""
        return self.left

    @property
    def sides(self) -> tuple[Any, Any]:
        """Left and right of the equals sign."""
        return self.left, self.right

    @property
    def entries(self) -> set[Any]:
        """Of tensors, on the right side."""
        return set(self.right.atoms(sympy.Indexed))

    @property
    def parameters(self) -> tuple[Index, ...]:
        """The indices for which it holds."""
        return tuple(index for index in self.left.indices if isinstance(index, Index))


@dataclass(frozen=True)
class TotalIs:
    """The fact that a tensor's entries add up: Σ_index entry = value (targets that are a distribution).

    Parameters
    ----------
    entry : Indexed
    over : Index
        Summed over its whole range; the other indices are free.
    value : number
    because : str

    Examples
    --------
    >>> from bpcheck.symbolic.index import Index, Size, Tensor
    >>> y, k = Tensor("y"), Index("k", Size("n"))
    >>> TotalIs(y[k], over=k, value=1).place
    0
    """

    entry: Any
    over: Index
    value: Any
    because: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.entry, sympy.Indexed) or tuple(self.entry.indices).count(self.over) != 1:
            raise InputError(f"{self.entry} must be one entry of a tensor that names {self.over} once.")
        _check_pattern(self.entry, "a fact")
        value = _expression(self.value, f"the total of {self.entry}")
        if value.has(sympy.Indexed, Index):
            raise InputError(f"the total of {self.entry} must be a fixed number or size; given: {value}.")
        if not (self.over.upper - self.over.lower).is_nonnegative:
            raise InputError(f"the range of {self.over} may be empty, and an empty sum is 0.")
        object.__setattr__(self, "value", value)

    @property
    def about(self) -> Any:
        """The entry of which it speaks."""
        return self.entry

    @property
    def sides(self) -> tuple[Any, Any]:
        """Left and right of the equals sign."""
        return total(self.entry, self.over), self.value

    @property
    def place(self) -> int:
        """Which of the entry's indices is summed over."""
        return tuple(self.entry.indices).index(self.over)


def _check_pattern(entry: Any, what: str) -> None:
    named = [index for index in entry.indices if isinstance(index, Index)]
    if len(set(named)) != len(named):
        raise InputError(f"{entry} names an index twice; {what} needs a different one at each place.")
    if any(not isinstance(i, Index) and i.has(Index) for i in entry.indices):
        raise InputError(f"{entry}: an index of {what} is an Index or a fixed layer, no calculation.")


def _expression(value: Any, what: str) -> Any:
    return expression_of(value, f"{what} is an expression of bpcheck.symbolic.index")


Fact = Definition | TotalIs
Given = tuple[Fact, ...]


def lies_within(value: Any, index: Index) -> bool:
    """Whether every value that an index expression can take is certain to lie in an index's range."""
    indices = indices_of(value)
    if len(indices) > 1:
        return False
    lower = upper = value
    for only in indices:
        if value.coeff(only) != 1:
            return False
        lower, upper = value - only + only.lower, value - only + only.upper
    return bool(
        sympy.expand(lower - index.lower).is_nonnegative and sympy.expand(index.upper - upper).is_nonnegative
    )


def speaks_of(pattern: Any, entry: Any) -> bool | None:
    """Whether what is given for one entry holds for another one; None: for some values of its indices only.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Index, Size, Tensor
    >>> h, t = Tensor("h"), Index("t", Size("T"))
    >>> speaks_of(h[t], h[Size("T")]), speaks_of(h[1], h[t]), speaks_of(h[0], h[t]), speaks_of(h[t], h[t - 1])
    (True, None, False, None)
    """
    if pattern.base != entry.base or len(pattern.indices) != len(entry.indices):
        return False
    certain = True
    for left, right in zip(pattern.indices, entry.indices, strict=True):
        fits = _within(right, left) if isinstance(left, Index) else _equal(left, right)
        if fits is False:
            return False
        certain = certain and bool(fits)
    return certain or None


def _within(value: Any, index: Index) -> bool | None:
    """Whether an index expression lies in an index's range; None: for some values of its indices only."""
    if lies_within(value, index):
        return True
    return False if _lies_outside(value, index) else None


def _equal(left: Any, right: Any) -> bool | None:
    """Whether two index expressions are equal; None: for some values of their indices only."""
    difference = sympy.expand(left - right)
    if difference == 0:
        return True
    return False if not difference.has(Index) or _never_zero(difference) else None


def _never_zero(difference: Any) -> bool:
    """Whether an index expression is certain not to be 0 for any values of its indices."""
    ends = _ends(difference)
    return ends is not None and bool(ends[0].is_positive or ends[1].is_negative)


def _ends(expression: Any) -> tuple[Any, Any] | None:
    """The smallest and the largest value of an index expression with rational slopes."""
    lowest = highest = expression
    for index in indices_of(expression):
        slope = expression.coeff(index)
        if not slope.is_Rational or (expression - slope * index).has(index):
            return None
        ends = (index.lower, index.upper) if slope > 0 else (index.upper, index.lower)
        lowest, highest = (
            value + slope * (end - index) for value, end in zip((lowest, highest), ends, strict=True)
        )
    return sympy.expand(lowest), sympy.expand(highest)


def _lies_outside(value: Any, index: Index) -> bool:
    """Whether no value of an index expression can lie in an index's range."""
    ends = _ends(value)
    return ends is not None and bool(
        sympy.expand(ends[0] - index.upper).is_positive or sympy.expand(index.lower - ends[1]).is_positive
    )


def validate(given: Iterable[Fact]) -> Given:
    """The facts as a tuple.

    Raises
    ------
    InputError
        If something else is among them, a tensor is defined twice, or definitions go round in a circle.
    """
    if isinstance(given, (Definition, TotalIs)) or not isinstance(given, Iterable):
        raise InputError(f"given is a tuple of definitions and facts, (definition,); given: {given!r}.")
    facts = tuple(given)
    for fact in facts:
        if not isinstance(fact, (Definition, TotalIs)):
            raise InputError(
                f"given holds {fact!r}; it takes Definition(left, right) and TotalIs(entry, over, value)."
            )
    for one, other in itertools.combinations(facts, 2):
        if overlap(one.about, other.about):
            kinds = "defined" if {type(one), type(other)} == {Definition} else "given"
            raise InputError(f"{one.about} is {kinds} twice: {other.about} speaks of the same entries.")
    topmost_first(facts)
    return facts


def overlap(one: Any, other: Any) -> bool:
    """Whether two patterns may mean the same entry; an index in a pattern stands for any whole number."""
    return (
        one.base == other.base
        and len(one.indices) == len(other.indices)
        and all(
            left.has(Index) or right.has(Index) or sympy.expand(left - right) == 0
            for left, right in zip(one.indices, other.indices, strict=True)
        )
    )


def topmost_first(given: Given) -> tuple[Definition, ...]:
    """The definitions, each before those that its right side uses.

    Raises
    ------
    InputError
        If they go round in a circle.
    """
    definitions = [fact for fact in given if isinstance(fact, Definition)]
    users = {
        used: [own for own in definitions if any(speaks_of(used.left, e) is not False for e in own.entries)]
        for used in definitions
    }
    try:
        return tuple(TopologicalSorter(users).static_order())
    except CycleError as error:
        names = ", ".join(sorted({str(definition.left) for definition in error.args[1]}))
        raise InputError(f"these definitions go round in a circle: {names}.") from None
