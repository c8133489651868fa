"""The terms of the index calculus: tensors with indices, sums over them, unknown functions, derivatives.

Terms are SymPy expressions: ``Indexed``, ``Sum``, ``KroneckerDelta``, ``Add``, ``Mul``, ``Pow``, ``exp``,
``log``, ``tanh``, and five nodes that SymPy lacks. An exponent is a number; that of a positive symbol may be
made of indices and sizes, β^{t−i}. Nothing is simplified here: the rewriter (:mod:`.canonical`) and the
interpreter (:mod:`.interpret`) each say on their own what a term means, and are held against each other.

SymPy's ``diff``, ``subs``, ``xreplace`` and ``doit`` must not be applied to terms: they capture bound indices
(sympy issues 20127, 11829, 21891).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, SupportsIndex

import sympy

from bpcheck.errors import InputError

__all__ = [
    "Diff",
    "Index",
    "Layer",
    "Member",
    "Size",
    "Tensor",
    "Unknown",
    "UnknownValue",
    "VectorFunction",
    "VectorValue",
    "Widths",
    "expression_of",
    "indices_of",
    "kronecker",
    "limits_of",
    "total",
]

kronecker = sympy.KroneckerDelta
"""``kronecker(i, j)``: 1 where i = j, otherwise 0."""


# A line of a derivation has some tens of different ranges.
RANGES_KEPT = 1 << 10


class Index(sympy.Symbol):  # type: ignore[misc]  # SymPy is not typed
    """An index and its range, both ends included.

    Parameters
    ----------
    name : str
        As it is printed.
    upper : expression
        Last value, such as ``n(l)``.
    lower : expression
        First value.

    Examples
    --------
    >>> n, l = Widths("n"), Layer("l")
    >>> j = Index("j", n(l))
    >>> j.lower, j.upper
    (1, n(l))
    """

    __slots__ = ("lower", "upper")

    def __new__(cls, name: str, upper: Any, *, lower: Any = 1) -> Index:
        """An index with its range."""
        if not isinstance(name, str) or not name:
            raise InputError(f"an index needs a name, such as Index('j', n); given: {name!r}.")
        index = sympy.Symbol.__xnew__(cls, name, integer=True)
        for end in (lower, upper):
            if not isinstance(end, (int, sympy.Expr, SupportsIndex)):
                raise InputError(
                    f"the range of {name} ends at a number, a Size, or a width n(l); given: {end!r}."
                )
        index.lower, index.upper = (_end_of_range(name, end) for end in (lower, upper))
        if (index.upper - index.lower + 1).is_negative:
            raise InputError(
                f"the range of {name} ends at {index.upper}, before its beginning {index.lower}."
            )
        return index  # type: ignore[no-any-return]

    def _hashable_content(self) -> tuple[Any, ...]:
        return (*super()._hashable_content(), self.lower, self.upper)

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.name, self.upper), {"lower": self.lower}


@lru_cache(maxsize=RANGES_KEPT)
def _end_of_range(name: str, end: Any) -> Any:
    """An end of a range: a whole number made of sizes, widths and layers."""
    value = sympy.sympify(end)
    if value.has(Index):
        raise InputError(f"the range of {name} depends on another index, {value}; ranges are fixed sizes.")
    strange = [s for s in value.free_symbols if not isinstance(s, (Size, Layer))]
    if strange:
        raise InputError(
            f"the range of {name} ends at {value}; make {strange[0]} a Size, or use a width n(l)."
        )
    if value.is_integer is not True:
        raise InputError(f"the range of {name} ends at {value}, which need not be a whole number.")
    return value


class Layer(sympy.Symbol):  # type: ignore[misc]
    """A layer's number, printed as a superscript: l, L.

    Examples
    --------
    >>> Layer("l") + 1
    l + 1
    """

    def __new__(cls, name: str) -> Layer:
        """A layer with a name."""
        return sympy.Symbol.__xnew__(cls, name, integer=True)  # type: ignore[no-any-return]

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.name,), {}


class Size(sympy.Symbol):  # type: ignore[misc]
    """A whole number of at least 1: how many examples, time steps, channels.

    Examples
    --------
    >>> Index("i", Size("m")).upper
    m
    """

    def __new__(cls, name: str) -> Size:
        """A size with a name."""
        return sympy.Symbol.__xnew__(cls, name, integer=True, positive=True)  # type: ignore[no-any-return]

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.name,), {}


def Widths(name: str) -> Any:
    """The width of every layer: ``n(l)`` is a whole number of at least 1.

    Examples
    --------
    >>> Widths("n")(Layer("l") + 1)
    n(l + 1)
    """
    return sympy.Function(name, integer=True, positive=True)


class Tensor(sympy.IndexedBase):  # type: ignore[misc]
    """A named array of numbers: ``W[l, j, k]``.

    Parameters
    ----------
    name : str
        As it is typed.
    superscripts : int
        How many of the first indices are printed above: 1 for ``W[l, j, k]`` as W^{l}_{jk}.

    Examples
    --------
    >>> W, l, n = Tensor("W", superscripts=1), Layer("l"), Widths("n")
    >>> W[l, Index("j", n(l)), Index("k", n(l - 1))]
    W[l, j, k]
    """

    superscripts: int

    def __new__(cls, name: str, *, superscripts: int = 0) -> Tensor:
        """A tensor with a name."""
        tensor = super().__new__(cls, name)
        tensor.superscripts = superscripts
        return tensor  # type: ignore[no-any-return]

    def _hashable_content(self) -> tuple[Any, ...]:
        # SymPy hands out what it has seen before: x_{lj} would be printed where x^l_j was meant
        return (*super()._hashable_content(), self.superscripts)


class UnknownValue(sympy.Expr):  # type: ignore[misc]
    """σ(z), σ'(z), σ''(z), …: the value of an unknown function of one number, or of a derivative of it."""

    is_commutative = True

    def __new__(cls, name: Any, order: Any, argument: Any) -> UnknownValue:
        """The value of the function ``name``, differentiated ``order`` times."""
        return sympy.Expr.__new__(cls, sympy.Symbol(str(name)), sympy.Integer(order), _expression(argument))  # type: ignore[no-any-return]

    @property
    def name(self) -> str:
        """The function's name."""
        return str(self.args[0].name)

    @property
    def order(self) -> int:
        """How many times it is differentiated."""
        return int(self.args[1])

    @property
    def argument(self) -> Any:
        """Where it is evaluated."""
        return self.args[2]


class Unknown:
    """An unknown function of one number, any activation for example.

    Examples
    --------
    >>> sigma, z = Unknown("sigma"), Tensor("z")
    >>> j = Index("j", Size("n"))
    >>> sigma.prime(z[j])
    UnknownValue(sigma, 1, z[j])
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, argument: Any) -> UnknownValue:
        """σ(argument)."""
        return UnknownValue(self.name, 0, argument)

    def prime(self, argument: Any) -> UnknownValue:
        """σ'(argument)."""
        return UnknownValue(self.name, 1, argument)


class VectorValue(sympy.Expr):  # type: ignore[misc]
    """The value of an unknown function of a whole array, or a formal partial derivative of it.

    The array is given as a rule: ``body`` with the indices ``binders`` running over their ranges.
    """

    is_commutative = True

    def __new__(cls, name: Any, components: Any, partials: Any, binders: Any, body: Any) -> VectorValue:
        """The value of the function ``name`` at an array, or an entry of it, or a partial derivative."""
        binders = tuple(binders)
        if not binders or not all(isinstance(b, Index) for b in binders) or len(set(binders)) != len(binders):
            raise InputError(
                f"{name}(…, over=index) needs one Index for each axis of the array; given: {binders}."
            )
        for partial in partials:
            if len(tuple(partial)) != len(binders):
                raise InputError(
                    f"{name} is a function of an array with {len(binders)} axes, and an entry of it has as many "
                    f"indices; given: {tuple(partial)}."
                )
        return sympy.Expr.__new__(  # type: ignore[no-any-return]
            cls,
            sympy.Symbol(str(name)),
            sympy.Tuple(*components),
            sympy.Tuple(*(sympy.Tuple(*partial) for partial in partials)),
            sympy.Tuple(*binders),
            _expression(body),
        )

    @property
    def name(self) -> str:
        """The function's name."""
        return str(self.args[0].name)

    @property
    def components(self) -> tuple[Any, ...]:
        """Which entry of the function's value; empty for a function whose value is one number."""
        return tuple(self.args[1])

    @property
    def partials(self) -> tuple[tuple[Any, ...], ...]:
        """The entries of the array by which it is differentiated, one after the other."""
        return tuple(tuple(partial) for partial in self.args[2])

    @property
    def binders(self) -> tuple[Index, ...]:
        """Indices of the array; bound in the body."""
        return tuple(self.args[3])

    @property
    def body(self) -> Any:
        """An entry of the array."""
        return self.args[4]

    def moved(self, change: Callable[[Any], Any], binders: Iterable[Index], body: Any) -> VectorValue:
        """With every position changed, and another array."""
        partials = [[change(index) for index in partial] for partial in self.partials]
        return VectorValue(self.name, map(change, self.components), partials, binders, body)


class VectorFunction:
    """An unknown function of a whole array: any cost C(a_1, …, a_n), any map f_k(x_1, …, x_n).

    Examples
    --------
    >>> C, a, k = VectorFunction("C"), Tensor("a"), Index("k", Size("n"))
    >>> C(a[k], over=k)
    VectorValue(C, (), (), (k,), a[k])
    >>> C.partial(k, of=a[k], over=k)
    VectorValue(C, (), ((k,),), (k,), a[k])
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(
        self, body: Any, *, over: Index | Sequence[Index], component: Any | Sequence[Any] = ()
    ) -> VectorValue:
        """The value at the array ``body``, whose indices are ``over``."""
        return VectorValue(self.name, _tuple(component), (), _tuple(over), body)

    def partial(
        self,
        index: Any | Sequence[Any],
        *,
        of: Any,
        over: Index | Sequence[Index],
        component: Any | Sequence[Any] = (),
    ) -> VectorValue:
        """The formal partial derivative by the entry ``index`` of the array, at the array ``of``."""
        return VectorValue(self.name, _tuple(component), (_tuple(index),), _tuple(over), of)


class Diff(sympy.Expr):  # type: ignore[misc]
    """∂expression/∂variable, not carried out yet; the variable is one entry of a tensor.

    All that is defined through the variable moves with it; everything else stands still.

    Examples
    --------
    >>> a, j, k = Tensor("a"), Index("j", Size("n")), Index("k", Size("n"))
    >>> Diff(a[j] ** 2, a[k])
    Diff(a[j]**2, a[k])
    """

    is_commutative = True

    def __new__(cls, expression: Any, variable: Any) -> Diff:
        """The derivative of an expression by one entry."""
        if not isinstance(variable, sympy.Indexed):
            raise InputError(
                f"a derivative is taken by one entry of a tensor, such as z[l, j]; given: {variable}."
            )
        return sympy.Expr.__new__(cls, _expression(expression), variable)  # type: ignore[no-any-return]

    @property
    def expression(self) -> Any:
        """What is differentiated."""
        return self.args[0]

    @property
    def variable(self) -> Any:
        """By which entry."""
        return self.args[1]


class Member(sympy.Expr):  # type: ignore[misc]
    """1 where ``value`` is a whole number from ``lower`` to ``upper``, otherwise 0.

    It says at once that a division has no remainder and that the quotient is in range.

    Examples
    --------
    >>> p, s = Index("p", Size("n") - 1, lower=0), Size("s")
    >>> Member(p / s, 0, Size("k") - 1)
    Member(p/s, 0, k - 1)
    """

    is_commutative = True

    def __new__(cls, value: Any, lower: Any, upper: Any) -> Member:
        """The condition that a value is in a range."""
        return sympy.Expr.__new__(cls, *map(_expression, (value, lower, upper)))  # type: ignore[no-any-return]


def total(body: Any, *indices: Index) -> Any:
    """Σ body over the whole range of each index.

    Examples
    --------
    >>> a, k = Tensor("a"), Index("k", Size("n"))
    >>> total(a[k], k)
    Sum(a[k], (k, 1, n))
    """
    for index in indices:
        if not isinstance(index, Index):
            raise InputError(
                f"total(body, index, ...) sums over an Index, which knows its range; given: {index!r}."
            )
    return sympy.Sum(_expression(body), *((index, index.lower, index.upper) for index in indices))


def expression_of(value: Any, needed: str) -> Any:
    """A value as an expression, or an error that says what is needed."""
    try:
        expression = sympy.sympify(value, strict=True)
    except sympy.SympifyError:
        expression = None
    if not isinstance(expression, sympy.Expr) or isinstance(expression, sympy.MatrixExpr):
        raise InputError(f"{needed}; given: {value!r}.")
    return expression


def _expression(value: Any) -> Any:
    return expression_of(value, "terms are made of the names of bpcheck.symbolic.index and numbers")


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def limits_of(sum_: Any) -> list[Index]:
    """The bound indices of a sum, the innermost first.

    Raises
    ------
    InputError
        If a sum runs over something else than the whole range of an Index.
    """
    found = []
    for limit in sum_.limits:
        index = limit[0]
        if not isinstance(index, Index) or tuple(limit[1:]) not in {(), (index.lower, index.upper)}:
            raise InputError(
                f"a sum runs over the whole range of an Index, total(body, index); given: {sum_}."
            )
        if any(bound.has(Index) for bound in (index.lower, index.upper)):
            raise InputError(f"the range of {index} depends on another index; ranges are fixed sizes.")
        found.append(index)
    return found


# A derivation meets some hundreds of different subexpressions, 1 200 in attention; only layer norm's inputs fill it
# (benchmarks/index_calculus.py).
SUBEXPRESSIONS_KEPT = 1 << 14


@lru_cache(maxsize=SUBEXPRESSIONS_KEPT)
def indices_of(expression: Any) -> frozenset[Index]:
    """The free indices of an expression.

    Examples
    --------
    >>> x, j, k = Tensor("x"), Index("j", Size("n")), Index("k", Size("n"))
    >>> indices_of(total(x[j, k], k))
    frozenset({j})
    """
    if isinstance(expression, Index):
        return frozenset({expression})
    if isinstance(expression, sympy.Sum):
        return indices_of(expression.function) - set(limits_of(expression))
    if isinstance(expression, VectorValue):
        outside = (*expression.components, *itertools.chain(*expression.partials))
        return _union(outside) | (indices_of(expression.body) - set(expression.binders))
    return _union(expression.args)


def _union(expressions: Iterable[Any]) -> frozenset[Index]:
    return frozenset().union(*(indices_of(expression) for expression in expressions))
