"""The canonical form: two expressions are equal when their forms are.

An expression becomes a sum of monomials. A monomial is a number, bound indices, Kronecker deltas that could
not be contracted, and factors with exponents:

1. sums move to the front (prenex), each with an index of its own, so that (Σ_j x_j)² is Σ_jk x_j x_k;
2. Σ_j δ_{jp} f_j becomes f_p where p is certain to lie in j's range; otherwise the delta stays;
3. a sum over an index that nothing names becomes a multiplication with the size of its range;
4. β^{t−i} becomes β^t (β^i)⁻¹; Σ_i β^{si} over a whole range gets its closed form, a geometric sum; of a sum up to
   t + 1 the last term is taken out;
5. bound indices get canonical names: of all ways to number them, the one whose text comes first;
6. equal monomials are collected.

Denominators and arguments of functions are closed subexpressions and get a canonical form of their own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import sympy

from bpcheck.errors import InputError
from bpcheck.symbolic.index.derive import unfold
from bpcheck.symbolic.index.given import (
    Definition,
    Given,
    TotalIs,
    lies_within,
    speaks_of,
    topmost_first,
    validate,
)
from bpcheck.symbolic.index.substitute import Fresh, freshen, indices_of, limits_of, substitute
from bpcheck.symbolic.index.term import (
    Diff,
    Index,
    Layer,
    Member,
    Size,
    UnknownValue,
    VectorValue,
    kronecker,
    total,
)

__all__ = ["canonical", "is_zero"]

# Ways to number bound indices that look alike. Seven that cannot be told apart are 5 040; a derivation has
# at most 2 ways (benchmarks/index_calculus.py); a longer product of equal sums is refused.
MAX_NUMBERINGS = 5_040

# Terms of a power of a sum, multiplied out; a derivation has at most 8 (measured over `derivations/`), and
# (a + b)^12, which is 4 096, takes half a second.
MAX_TERMS = 4_096

# Rounds of "multiply by the denominators and look again". A denominator within a denominator takes one round
# each; over `derivations/` two rounds were enough (benchmarks/index_calculus.py).
MAX_CLEARINGS = 4


@dataclass(frozen=True)
class Monomial:
    """coefficient · Σ_bound Π δ(delta = 0) · Π factor^exponent."""

    coefficient: Any = sympy.S.One
    bound: tuple[Index, ...] = ()
    deltas: tuple[Any, ...] = ()
    factors: Mapping[Any, Any] = field(default_factory=dict)

    def times(self, other: Monomial) -> Monomial:
        """The product; bound indices are different already."""
        factors = dict(self.factors)
        for factor, exponent in other.factors.items():
            factors[factor] = factors.get(factor, 0) + exponent
        return Monomial(
            self.coefficient * other.coefficient,
            self.bound + other.bound,
            self.deltas + other.deltas,
            {factor: exponent for factor, exponent in factors.items() if exponent != 0},
        )

    def allows(self, exponent: Any) -> bool:
        """Whether a power of it is the product of the powers of its factors."""
        if self.bound or self.deltas:
            return False
        return bool(exponent.is_Integer) or (self.coefficient == 1 and _powers_multiply(self.factors))

    def without(self, *factors: Any, index: Index | None = None) -> Monomial:
        """Without some factors, and without the sum over an index."""
        rest = {factor: exponent for factor, exponent in self.factors.items() if factor not in factors}
        return replace(self, factors=rest, bound=tuple(other for other in self.bound if other != index))

    def expression(self) -> Any:
        """As a SymPy expression."""
        deltas = (kronecker(delta, 0) for delta in self.deltas)
        body = sympy.Mul(*deltas, *(factor**exponent for factor, exponent in self.factors.items()))
        if self.bound:
            body = sympy.Sum(body, *((index, index.lower, index.upper) for index in self.bound))
        return self.coefficient * body


Polynomial = list[Monomial]


def canonical(expression: Any, given: Iterable[Any] = ()) -> Any:
    """The canonical form: definitions written out, derivatives carried out, sums in front.

    Parameters
    ----------
    expression : term
        See :mod:`bpcheck.symbolic.index`.
    given : iterable of Definition and TotalIs
        What may be used.

    Returns
    -------
    term
        Equal for expressions that differ by names of bound indices, order, and the rules above.

    Raises
    ------
    InputError
        For what lies outside the grammar: a tensor as an exponent, a sum whose range depends on an index.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Index, Size, Tensor, kronecker, total
    >>> n, x = Size("n"), Tensor("x")
    >>> j, k, p = Index("j", n), Index("k", n), Index("p", n)
    >>> canonical(total(kronecker(j, p) * x[j], j))
    x[p]
    >>> canonical(total(x[j], j) - total(x[k], k))
    0
    """
    facts = validate(given)
    _check_names(expression)
    rewriter = Rewriter(facts)
    definitions = topmost_first(facts)
    unfolded = unfold(sympy.sympify(expression), definitions, rewriter.fresh, definitions)
    return rewriter.form(unfolded)


def is_zero(expression: Any, given: Iterable[Any] = ()) -> bool:
    """Whether an expression is 0 for all sizes and values; denominators are multiplied out.

    False means: not shown. A counterexample is the interpreter's business.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Index, Size, Tensor, total
    >>> x, j, k = Tensor("x"), Index("j", Size("n")), Index("k", Size("n"))
    >>> is_zero(total(x[j] / total(x[k], k), j) - 1)
    True
    """
    facts = validate(given)
    expression = sympy.sympify(expression)
    _check_names(expression)
    # From the top: first the names that no other definition uses, such as δ for ∂C/∂z; what they are made of
    # when that was not enough. A line of layer norm without derivatives takes
    # 0.02 s so, and 3.6 s with everything written out at once; a step that needs all of it takes twice as long.
    top_first = topmost_first(facts)
    return any(_vanishes(expression, facts, top_first[:count]) for count in range(len(top_first) + 1))


def _vanishes(expression: Any, facts: Given, written_out: tuple[Definition, ...]) -> bool:
    rewriter = Rewriter(facts)
    monomials = rewriter.normal(unfold(expression, topmost_first(facts), rewriter.fresh, written_out))
    for _ in range(MAX_CLEARINGS):
        denominators = _denominators(monomials)
        if not monomials or not denominators:
            break
        common = Monomial(factors=denominators)
        monomials = rewriter.collect([monomial.times(common) for monomial in monomials])
    return not monomials


def _check_names(expression: Any) -> None:
    """The names that the rewriter makes must be its own."""
    for symbol in sympy.sympify(expression).atoms(Index):
        if symbol.name.startswith("~") or (
            symbol.name[0] in "ιλ" and symbol in indices_of(expression) and symbol.name[1:]
        ):
            raise InputError(
                f"the name {symbol} is one that the calculus gives to indices itself; take another one."
            )


def _is_composite(factor: Any) -> bool:
    return isinstance(factor, (sympy.Add, sympy.Mul, sympy.Sum, sympy.KroneckerDelta))


def _denominators(monomials: Polynomial) -> dict[Any, Any]:
    """What to multiply by, so that no closed sum is left in a denominator (or under a root)."""
    lowest: dict[Any, Any] = {}
    for monomial in monomials:
        for factor, exponent in monomial.factors.items():
            if not indices_of(factor) & set(monomial.bound):
                lowest[factor] = min(lowest.get(factor, 0), exponent)
    for factor in lowest:
        if any(factor not in monomial.factors for monomial in monomials):
            lowest[factor] = min(lowest[factor], 0)
    return {
        factor: -exponent for factor, exponent in lowest.items() if _is_composite(factor) and exponent < 0
    }


def _of_a_sum(inside: Polynomial, exponent: Any) -> Monomial:
    """(2x + 2y)⁻¹ and (x + y)⁻¹/2 are one: the first coefficient is 1."""
    first = min(inside, key=lambda m: str(m.expression() / m.coefficient)).coefficient
    taken = first**exponent
    if not taken.is_Rational or (first < 0 and not exponent.is_Integer):
        first = taken = sympy.Integer(1)
    base = sympy.Add(*(replace(m, coefficient=m.coefficient / first).expression() for m in inside))
    return Monomial(taken, factors={base: exponent})


class Rewriter:
    """One piece of rewriting: the facts it may use, and its source of fresh indices."""

    def __init__(self, given: Given = ()) -> None:
        self.fresh = Fresh()
        self._forms: dict[Any, Any] = {}
        self.facts = tuple(fact for fact in given if isinstance(fact, TotalIs))

    def form(self, expression: Any) -> Any:
        """The canonical form as an expression."""
        if expression not in self._forms:
            self._forms[expression] = sympy.Add(*(m.expression() for m in self.normal(expression)))
        return self._forms[expression]

    def normal(self, expression: Any) -> Polynomial:
        """The canonical form as monomials."""
        return self.collect(self.flatten(expression))

    def collect(self, monomials: Polynomial) -> Polynomial:
        """Reduce each, name its indices, add up what is alike."""
        found: dict[Any, Any] = {}
        for monomial in itertools.chain.from_iterable(self.reduce(m) for m in monomials):
            named = self.named(monomial)
            key = (named.bound, frozenset(named.deltas), frozenset(named.factors.items()))
            found[key] = found.get(key, 0) + named.coefficient
        return [
            Monomial(coefficient, bound, tuple(deltas), dict(factors))
            for (bound, deltas, factors), coefficient in found.items()
            if coefficient != 0
        ]

    # --- 1: to monomials, sums in front -------------------------------------------------------------

    def flatten(self, expression: Any) -> Polynomial:
        """Monomials that are not reduced yet."""
        if expression.is_Number:
            if not expression.is_Rational:
                raise InputError(f"numbers are exact: sympy.Rational(1, 2) for 0.5; given: {expression}.")
            return [Monomial(expression)] if expression != 0 else []
        rule = _MONOMIALS.get(expression.func)
        return rule(self, expression) if rule else [Monomial(factors={self._atom(expression): sympy.S.One})]

    def _sum(self, expression: Any) -> Polynomial:
        body, bound = freshen(expression, self.fresh)
        return [replace(m, bound=(*m.bound, *bound)) for m in self.flatten(body)]

    def _member(self, expression: Member) -> Polynomial:
        value, lower, upper = expression.args
        index = self.fresh(Index("member", upper, lower=lower))
        return [Monomial(bound=(index,), deltas=(sympy.expand(index - value),))]

    def _atom(self, expression: Any) -> Any:
        """A factor that is not taken apart, its own parts in canonical form."""
        rule = _ATOMS.get(expression.func)
        if rule is not None:
            return rule(self, expression)
        if isinstance(expression, Diff):
            raise AssertionError("derivatives are carried out before the canonical form is taken")
        is_width = isinstance(expression, sympy.core.function.AppliedUndef) and not expression.has(Index)
        if is_width or expression.is_number or isinstance(expression, sympy.Symbol):
            return expression
        raise InputError(f"the calculus does not know {expression.func.__name__}, in {expression}.")

    def _vector(self, expression: VectorValue) -> Any:
        body, binders = expression.body, list(expression.binders)
        for like in ([self.fresh(binder) for binder in binders], None):
            # twice: the final names depend on how deep the body is, and its form on the names
            named = like or [_named("λ", _height(body), p, b) for p, b in enumerate(binders)]
            body = self.form(substitute(body, dict(zip(binders, named, strict=True)), self.fresh))
            binders = named
        value = expression.moved(sympy.expand, binders, body)
        # ∂_j ∂_k = ∂_k ∂_j
        return VectorValue(value.name, value.components, sorted(value.partials, key=str), binders, body)

    def _product(self, arguments: Iterable[Any]) -> Polynomial:
        arguments = list(arguments)
        # Under a denominator, a sum waits as one factor: it may cancel before it is multiplied out.
        divides = any(
            isinstance(a, sympy.Pow) and a.args[1].is_Rational and not _is_natural(a.args[1])
            for a in arguments
        )
        product = [Monomial()]
        for argument in arguments:
            waits = divides and _is_composite(argument)
            product = [
                left.times(right)
                for left in product
                # anew for each: one more use of the same sums needs names of its own
                for right in (self._power(argument, sympy.S.One) if waits else self.flatten(argument))
            ]
        return product

    def _power(self, base: Any, exponent: Any) -> Polynomial:
        if _counts(exponent) and type(base) is sympy.Symbol and base.is_positive:
            return self._split_exponent(base, exponent)
        if not exponent.is_Rational:
            raise InputError(
                "an exponent must be a fixed rational number, or an index or a size if the base is a positive symbol; "
                f"given: {base}**({exponent})."
            )
        inside = self.normal(base)
        if not inside:
            if exponent > 0:
                return []
            raise InputError(f"{base} is 0 and stands in a denominator.")
        if len(inside) == 1 and inside[0].allows(exponent):
            (only,) = inside
            factors = {factor: power * exponent for factor, power in only.factors.items()}
            return [Monomial(only.coefficient**exponent, factors=factors)]
        return [_of_a_sum(inside, exponent)]

    def _exponential(self, argument: Any) -> Polynomial:
        """exp(a + b) = exp(a) exp(b), and exp(2a) = exp(a)²."""
        result = Monomial()
        for monomial in self.normal(argument):
            one = replace(monomial, coefficient=sympy.Integer(1)).expression()
            result = result.times(Monomial(factors={sympy.exp(one): monomial.coefficient}))
        return [result]

    def _split_exponent(self, base: Any, exponent: Any) -> Polynomial:
        """β^{t−i+1} = β^t (β^i)⁻¹ β: one factor for each index and size, as powers with a fixed exponent."""
        factors: dict[Any, Any] = {}
        for term in sympy.Add.make_args(sympy.expand(exponent)):
            coefficient, rest = term.as_coeff_Mul()
            factors[base**rest] = coefficient
        return [Monomial(factors=factors)]

    # --- 2, 3, 4: contract ---------------------------------------------------------------------------

    def reduce(self, monomial: Monomial) -> Polynomial:
        """Contract deltas, use facts, sum over what nothing names, multiply out; all until nothing changes."""
        pending, done = [monomial], []
        while pending:
            current = pending.pop()
            if current.coefficient == 0:
                continue
            for rule in (
                self._contract,
                self._tidy,
                self._use_fact,
                self._count,
                self._multiply_out,
                self._geometric,
                self._last_term,
                self._roots,
            ):
                changed = rule(current)
                if changed is not None:
                    pending.extend(changed)
                    break
            else:
                done.append(current)
        return done

    def _contract(self, monomial: Monomial) -> Polynomial | None:
        for place, delta in enumerate(monomial.deltas):
            others = monomial.deltas[:place] + monomial.deltas[place + 1 :]
            whole = _without_fractions(delta)
            if whole != delta:
                return [replace(monomial, deltas=(*others, whole))]
            if delta == 0:
                return [replace(monomial, deltas=others)]
            if delta.is_nonzero:
                return []
            for index in monomial.bound:
                slope = delta.coeff(index)
                if slope not in (1, -1):
                    continue
                value = sympy.expand(index - slope * delta)
                if lies_within(value, index):
                    return self._put(replace(monomial, deltas=others), index, value)
        return None

    def _put(self, monomial: Monomial, index: Index, value: Any) -> Polynomial:
        """The monomial at index = value, without the sum over it."""
        start = replace(monomial.without(index=index), deltas=(), factors={})
        return self._rebuilt(start, monomial, {index: value})

    def _rebuilt(self, start: Monomial, monomial: Monomial, values: Mapping[Any, Any]) -> Polynomial:
        deltas = tuple(sympy.expand(delta.subs(values, simultaneous=True)) for delta in monomial.deltas)
        product = [replace(start, deltas=deltas)]
        for factor, exponent in monomial.factors.items():
            moved = substitute(factor, values, self.fresh)
            if moved is factor or isinstance(factor, sympy.Indexed):
                terms = [Monomial(factors={moved: exponent})]
            else:
                terms = self._power(moved, exponent)
            product = [left.times(right) for left in product for right in terms]
        return product

    def _tidy(self, monomial: Monomial) -> Polynomial | None:
        """Under a delta that stays, write an entry's position as one index where that is possible."""
        for delta in monomial.deltas:
            slopes = {delta.coeff(index) for index in indices_of(delta)} - {0}
            steps = {sign / slope for slope in slopes for sign in (1, -1)}
            for factor, exponent in monomial.factors.items():
                better = _map_positions(factor, partial(_as_one_index, delta, steps, monomial.bound))
                if better != factor:
                    return [monomial.without(factor).times(t) for t in self._power(better, exponent)]
        return None

    def _use_fact(self, monomial: Monomial) -> Polynomial | None:
        for factor, fact in itertools.product(monomial.factors, self.facts):
            index = _matches(fact, factor)
            if index not in monomial.bound or monomial.factors[factor] != 1:
                continue
            start = monomial.without(factor, index=index)
            positions = [position for place, position in enumerate(factor.indices) if place != fact.place]
            if not any(index in indices_of(other) for other in (*start.factors, *start.deltas, *positions)):
                return [start.times(value) for value in self.flatten(fact.value)]
        return None

    def _count(self, monomial: Monomial) -> Polynomial | None:
        named = set().union(*(indices_of(part) for part in (*monomial.factors, *monomial.deltas)))
        for index in monomial.bound:
            count = index.upper - index.lower + 1
            # Σ over t from 3 to T is empty for T = 1, and not −1 times
            if index not in named and count.is_nonnegative:
                size = self.flatten(sympy.expand(count))
                return [monomial.without(index=index).times(term) for term in size]
        return None

    def _multiply_out(self, monomial: Monomial) -> Polynomial | None:
        for factor, exponent in monomial.factors.items():
            if _is_composite(factor) and _is_natural(exponent):
                product = [monomial.without(factor)]
                for _ in range(int(exponent)):
                    if len(product) > MAX_TERMS:
                        raise InputError(
                            f"({factor})**{exponent} has too many terms, multiplied out; take it apart by definitions."
                        )
                    # flattened anew each time: every copy of a sum has an index of its own
                    product = [left.times(right) for left in product for right in self.flatten(factor)]
                return product
        return None

    def _geometric(self, monomial: Monomial) -> Polynomial | None:
        """Σ_{i=a…b} β^i = (β^a − β^{b+1})/(1 − β), where β^i is all that names i."""
        for index in monomial.bound:
            naming = [part for part in (*monomial.factors, *monomial.deltas) if index in indices_of(part)]
            powers = [factor for factor in monomial.factors if _is_power_of(factor, index)]
            # a sum from 3 to T is 0 for T = 1, and its closed form is not
            if len(powers) != 1 or naming != powers or not (index.upper - index.lower + 1).is_nonnegative:
                continue
            (power,) = powers
            base, slope, first, last = power.args[0], monomial.factors[power], index.lower, index.upper
            low, beyond = (first, last + 1) if slope > 0 else (last, first - 1)
            (divided,) = self._power(1 - base ** abs(slope), sympy.Integer(-1))
            start = monomial.without(power, index=index).times(divided)
            return [
                start.times(end) for end in self.flatten(base ** (slope * low) - base ** (slope * beyond))
            ]
        return None

    def _last_term(self, monomial: Monomial) -> Polynomial | None:
        """Σ over i = 1 … t + 1 is Σ over i = 1 … t, and the term i = t + 1; a range of one index is one term."""
        for index in monomial.bound:
            if index.upper == index.lower:
                return self._put(monomial, index, index.lower)
            beyond, size = index.upper.as_coeff_Add()
            if size != 0 and beyond > 0 and (index.upper - index.lower).is_nonnegative:
                shorter = self.fresh(Index("shorter", index.upper - 1, lower=index.lower))
                before = replace(monomial, bound=(*monomial.bound, shorter))
                return [
                    *self._put(before, index, shorter),
                    *self._put(monomial, index, index.upper),
                ]
        return None

    def _roots(self, monomial: Monomial) -> Polynomial | None:
        """√2 √2 is a number like any other; √2 √3 is √6."""
        numbers = {f: e for f, e in monomial.factors.items() if f.is_Rational}
        value = sympy.Mul(*(factor**exponent for factor, exponent in numbers.items()))
        coefficient, rest = value.as_coeff_Mul()
        roots = dict(part.as_base_exp() for part in sympy.Mul.make_args(rest) if part != 1)
        if roots == numbers:
            return None
        return [monomial.without(*numbers).times(Monomial(coefficient, factors=roots))]

    # --- 4: canonical names --------------------------------------------------------------------------

    def named(self, monomial: Monomial) -> Monomial:
        """Bound indices numbered in the way whose text comes first."""
        orders = list(self._orders(monomial))
        if len(orders) == 1:
            return self._numbered(monomial, orders[0])
        best, best_text = None, None
        for order in orders:
            candidate = self._numbered(monomial, order)
            text = sorted(f"{factor}^{exponent}" for factor, exponent in candidate.factors.items())
            text += ["δ", *sorted(str(delta) for delta in candidate.deltas)]
            if best_text is None or text < best_text:
                best, best_text = candidate, text
        assert best is not None
        return best

    def _numbered(self, monomial: Monomial, order: Iterable[Index]) -> Monomial:
        height = max((_height(factor) for factor in monomial.factors), default=0)
        names = {index: _named("ι", height, number, index) for number, index in enumerate(order)}
        start = Monomial(monomial.coefficient, tuple(names.values()))
        if names:
            (renamed,) = self._rebuilt(start, monomial, names)
        else:
            renamed = monomial
        deltas = tuple(min(delta, sympy.expand(-delta), key=_delta_order) for delta in renamed.deltas)
        return replace(renamed, deltas=deltas)

    def _orders(self, monomial: Monomial) -> Iterable[list[Index]]:
        """All ways to number the bound indices, less those that their surroundings tell apart."""
        colour = self._colours(monomial)
        order = sorted(colour, key=colour.__getitem__)
        groups = [list(group) for _, group in itertools.groupby(order, colour.__getitem__)]
        ways = [[group] if self._alike(monomial, group) else group for group in groups]
        # a group in a list of its own is in one order: any other would give the same
        if math.prod(math.factorial(len(way)) for way in ways) > MAX_NUMBERINGS:
            raise InputError(
                f"{monomial.expression()} has too many summation indices that look alike; take it apart by definitions."
            )
        for choice in itertools.product(*(itertools.permutations(way) for way in ways)):
            yield [index for part in choice for index in _flat(part)]

    def _colours(self, monomial: Monomial) -> dict[Index, str]:
        """What can be said of each bound index without naming another one."""
        colour = {index: f"{index.lower}…{index.upper}" for index in monomial.bound}
        for _ in range(2):
            if len(set(colour.values())) < len(colour):
                colour = {i: f"{colour[i]} {self._surroundings(monomial, i, colour)}" for i in colour}
        return colour

    def _alike(self, monomial: Monomial, group: Sequence[Index]) -> bool:
        """Whether any two of a group may change places and the monomial stays: Σ_jk x_j x_k."""

        def parts(values: Mapping[Any, Any]) -> tuple[Any, ...]:
            factors = {self.form(substitute(f, values, self.fresh)): e for f, e in monomial.factors.items()}
            deltas = {sympy.expand(delta.subs(values, simultaneous=True)) for delta in monomial.deltas}
            return factors, {min(delta, sympy.expand(-delta), key=_delta_order) for delta in deltas}

        return all(parts({one: other, other: one}) == parts({}) for one, other in itertools.pairwise(group))

    def _surroundings(self, monomial: Monomial, index: Index, colour: Mapping[Index, str]) -> str:
        """Where an index occurs, with every other bound one known by its colour alone."""
        names = {other: Index(f"⟨{colour[other]}⟩", 0) for other in monomial.bound}
        names[index] = Index("★", 0)
        seen = [
            f"{self.form(substitute(factor, names, self.fresh))}^{exponent}"
            for factor, exponent in monomial.factors.items()
            if index in indices_of(factor)
        ]
        for delta in monomial.deltas:
            if index in indices_of(delta):
                moved = sympy.expand(delta.subs(names, simultaneous=True))
                seen.append(min(str(moved), str(sympy.expand(-moved))))
        return str(sorted(seen))


_MONOMIALS: Mapping[Any, Callable[[Rewriter, Any], Polynomial]] = {
    sympy.Add: lambda self, sum_: [m for term in sum_.args for m in self.flatten(term)],
    sympy.Mul: lambda self, product: self._product(product.args),
    sympy.Pow: lambda self, power: self._power(*power.args),
    sympy.Sum: Rewriter._sum,
    sympy.KroneckerDelta: lambda self, d: [Monomial(deltas=(sympy.expand(d.args[0] - d.args[1]),))],
    Member: Rewriter._member,
    sympy.exp: lambda self, power: self._exponential(power.args[0]),
}
_ATOMS: Mapping[Any, Callable[[Rewriter, Any], Any]] = {
    sympy.Indexed: lambda self, entry: entry.base[tuple(map(sympy.expand, entry.indices))],
    UnknownValue: lambda self, value: UnknownValue(value.name, value.order, self.form(value.argument)),
    VectorValue: Rewriter._vector,
    sympy.log: lambda self, log: sympy.log(self.form(log.args[0])),
    sympy.tanh: lambda self, tanh: sympy.tanh(self.form(tanh.args[0])),
}


def _delta_order(delta: Any) -> list[str]:
    """Tells δ and −δ apart, also where two indices have one name and different ranges."""
    return [str(delta), *sorted(f"{i.name} {i.lower} {i.upper} {delta.coeff(i)}" for i in indices_of(delta))]


def _flat(part: Any) -> Iterable[Index]:
    return itertools.chain.from_iterable(one if isinstance(one, list) else [one] for one in part)


def _height(expression: Any) -> int:
    """How many sums (and arrays given to unknown functions) stand within one another."""
    below = max((_height(argument) for argument in expression.args), default=0)
    return below + isinstance(expression, (sympy.Sum, VectorValue))


def _named(letter: str, height: int, number: int, like: Index) -> Index:
    """A canonical name. The height keeps it apart from every name that is bound further inside."""
    return Index(f"{letter}{height}.{number}", like.upper, lower=like.lower)


def _powers_multiply(factors: Mapping[Any, Any]) -> bool:
    """(x^p)^q is x^pq: for one factor which is positive, or for −1 < p ≤ 1; √(x²) is |x|."""
    return len(factors) == 1 and all(
        factor.is_positive or -1 < power <= 1 for factor, power in factors.items()
    )


def _counts(exponent: Any) -> bool:
    """Whether an exponent is made of indices, sizes, layers and widths: t − i."""
    kinds = (Index, Size, Layer, sympy.core.function.AppliedUndef, sympy.Rational, sympy.Add, sympy.Mul)
    parts = sympy.preorder_traversal(exponent)
    return not exponent.is_number and all(isinstance(part, kinds) for part in parts)


def _is_power_of(factor: Any, index: Index) -> bool:
    """Whether a factor is β^i."""
    return isinstance(factor, sympy.Pow) and factor.args[1] == index


def _is_natural(exponent: Any) -> bool:
    return bool(exponent.is_Integer and exponent > 0)


def _without_fractions(delta: Any) -> Any:
    """(p − u)/s − i and p − u − s·i vanish together; so do 2i − 2j and i − j."""
    numerator, _ = sympy.fraction(sympy.together(delta))
    return sympy.expand(numerator).as_content_primitive()[1]


def _map_positions(expression: Any, change: Callable[[Any], Any]) -> Any:
    """The expression with a function applied wherever an index says which entry is meant."""
    if isinstance(expression, sympy.Indexed):
        return expression.base[tuple(change(index) for index in expression.indices)]
    if isinstance(expression, VectorValue):
        return expression.moved(change, expression.binders, _map_positions(expression.body, change))
    if isinstance(expression, sympy.Sum):
        return total(_map_positions(expression.function, change), *limits_of(expression))
    if not expression.args:
        return expression
    return expression.func(*(_map_positions(argument, change) for argument in expression.args))


def _as_one_index(delta: Any, steps: Iterable[Any], bound: tuple[Index, ...], position: Any) -> Any:
    """An index that a delta makes equal to a position, if it is simpler; otherwise the position."""
    if not indices_of(position) & indices_of(delta):
        return position
    for step in steps:
        candidate = sympy.expand(position - step * delta)
        if not isinstance(candidate, Index):
            continue
        # one index beats a calculation, free beats bound, and of two free ones the first by name
        if not isinstance(position, Index) or (
            candidate not in bound and (position in bound or candidate.name < position.name)
        ):
            return candidate
    return position


def _matches(fact: TotalIs, entry: Any) -> Index | None:
    """The index of an entry over which a fact gives the sum, if the fact speaks of the entry."""
    if not isinstance(entry, sympy.Indexed) or not speaks_of(fact.entry, entry):
        return None
    index = entry.indices[fact.place]
    same_range = isinstance(index, Index) and (index.lower, index.upper) == (fact.over.lower, fact.over.upper)
    return index if same_range else None
