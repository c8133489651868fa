"""Powers such as β^{t−i}, geometric sums, and the last term of a sum up to t + 1: rewriter and interpreter agree."""

import importlib
import random

import pytest
import sympy
from hypothesis import given, note
from hypothesis import strategies as st

from bpcheck.errors import InputError
from bpcheck.symbolic.index import (
    Contradiction,
    Definition,
    Diff,
    Index,
    Layer,
    Size,
    Tensor,
    Widths,
    canonical,
    check_line,
    is_zero,
    kronecker,
    total,
)

rewriter = importlib.import_module("bpcheck.symbolic.index.canonical")
Monomial, Rewriter = rewriter.Monomial, rewriter.Rewriter

t, n = Size("t"), Size("n")
i, j = Index("i", t), Index("j", t)
k = Index("k", t + 1)
late = Index("r", t + 1, lower=2)
empty = Index("e", t, lower=2)  # for t = 1
short = Index("u", t - 1, lower=0)
far = Index("f", t + 1, lower=4)
RANGES = (i, j, k, late, empty, short, Index("p", n), Index("s", 3), Index("one", 1))
beta, gamma = (sympy.Symbol(name, positive=True) for name in ("beta", "gamma"))
c = sympy.Symbol("c")
g, w = Tensor("g"), Tensor("w")


def power(rng, scope):
    """A power whose exponent names an index, more often than not one that is summed over."""
    index = rng.choice(scope) if scope and rng.random() < 0.8 else rng.choice(RANGES)
    exponent = rng.choice((1, -1, 1, -1, 2, -2)) * index + rng.choice((0, 0, t, 2 * t, n, 1, -1))
    return rng.choice((beta, beta, gamma)) ** exponent


def term(rng, depth, scope=()):
    """A term of powers, entries, conditions and sums."""
    kind = rng.randint(0, 9) if depth else rng.randint(0, 3)
    if kind <= 1:
        return power(rng, scope)
    if kind == 2:
        return rng.choice((g[rng.choice(scope or RANGES)], beta, sympy.Rational(-2, 3), 1 - beta))
    if kind == 3:
        return power(rng, scope) * rng.choice(
            (g[rng.choice(scope or RANGES)], kronecker(rng.choice(scope or RANGES), rng.choice(RANGES)), t)
        )
    if kind <= 6:
        bound = rng.choice(RANGES)
        return total(term(rng, depth - 1, (*scope, bound)), bound)
    if kind == 7:
        return term(rng, depth - 1, scope) + term(rng, depth - 1, scope)
    if kind == 8:
        return term(rng, depth - 1, scope) * term(rng, depth - 1, scope)
    return term(rng, depth - 1, scope) / (1 + term(rng, depth - 1, scope) ** 2)


def agrees(expression):
    """Whether the canonical form has the value of the term, in exact fractions and in digits."""
    form = canonical(expression)
    try:
        line = check_line(expression, form)
    except Contradiction:
        return False
    return line.instances and line.digits


@given(st.randoms(use_true_random=False))
def test_the_canonical_form_has_the_same_value(rng):
    expression = term(rng, 2)
    note(f"{expression}\n{canonical(expression)}")
    assert agrees(expression)


@given(st.randoms(use_true_random=False))
def test_the_form_of_the_form_is_the_form(rng):
    form = canonical(term(rng, 2))
    assert canonical(form) == form


@given(st.randoms(use_true_random=False))
def test_a_factor_goes_in_and_out_of_a_sum(rng):
    """What is equal is proved, however the exponents are written."""
    body = term(rng, 1, (i,))
    note(str(body))
    assert is_zero(total(beta ** (t + 1) * body, i) - beta**2 * total(beta ** (t - 1) * body, i))


EQUAL = {
    "one step of an average": (
        total(beta ** (t + 1 - k) * g[k], k),
        beta * total(beta ** (t - i) * g[i], i) + g[t + 1],
    ),
    "a geometric sum": (total(beta ** (t - i), i), (1 - beta**t) / (1 - beta)),
    "from 0": (total(beta**short, short), (1 - beta**t) / (1 - beta)),
    "one more term": (total(beta ** (t + 1 - k), k), (1 - beta ** (t + 1)) / (1 - beta)),
    "every other power": (total(beta ** (2 * i), i), beta**2 * (1 - beta ** (2 * t)) / (1 - beta**2)),
    "two at once": (
        total(beta**i * gamma**j, i, j),
        beta * (1 - beta**t) / (1 - beta) * gamma * (1 - gamma**t) / (1 - gamma),
    ),
    "one within another": (
        total(beta ** (i + j), i, j),
        (beta * (1 - beta**t) / (1 - beta)) ** 2,
    ),
    "a sum whose range may be empty": (
        total(beta**empty, empty),
        (beta**2 - beta ** (t + 1)) / (1 - beta),
    ),
    "two terms more": (
        total(g[Index("q", t + 2)], Index("q", t + 2)),
        total(g[i], i) + g[t + 1] + g[t + 2],
    ),
    "one term": (total(beta ** Index("one", 1) * g[Index("one", 1)], Index("one", 1)), beta * g[1]),
    "a delta": (total(kronecker(k, t + 1) * beta**k, k), beta ** (t + 1)),
    "a power of a power": ((beta**t) ** 2, beta ** (2 * t)),
    "the square of a sum": (
        total(beta ** (t - i) * g[i], i) ** 2,
        total(beta ** (2 * t - i - j) * g[i] * g[j], i, j),
    ),
    "a layer as exponent": (beta ** (Layer("l") + 1), beta * beta ** Layer("l")),
    "a width as exponent": (beta ** (Widths("n")(Layer("l")) + 1), beta * beta ** Widths("n")(Layer("l"))),
    "a root": (sympy.sqrt(beta**t), beta ** (t / 2)),
    "a derivative": (Diff(total(beta ** (t - i) * g[i], i), g[j]), beta ** (t - j)),
    "through a definition": (
        total(w[i] * g[i], i),
        beta**t * total(g[i] / beta**i, i),
        (Definition(w[i], beta ** (t - i)),),
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_a_line_that_holds(name):
    assert check_line(*EQUAL[name])


WRONG = {
    "one step too few": (total(beta ** (t - i), i), (1 - beta ** (t - 1)) / (1 - beta)),
    "the wrong way round": (total(beta ** (t - i) * g[i], i), total(beta**i * g[i], i)),
    "the last term is missing": (total(beta ** (t + 1 - k) * g[k], k), total(beta ** (t + 1 - i) * g[i], i)),
    "another base": (total(beta ** (t - i), i), (1 - gamma**t) / (1 - gamma)),
    "a sum that may be empty": (total(g[empty], empty), total(g[i], i)),
    "n for t": (beta**t, beta**n),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_line_that_does_not(name):
    line = check_line(*WRONG[name])
    assert not any((line.canonical, line.instances, line.digits))
    assert line.counterexample is not None


REFUSED = {
    "a symbol of which nothing is known": c**t,
    "an entry": g[1] ** t,
    "a number": sympy.Integer(2) ** t,
    "a sum": (1 - beta) ** t,
    "a symbol as exponent": beta**c,
    "a symbol beside a size": beta ** (c + t),
    "an entry as exponent": beta ** g[1],
    "a delta as exponent": beta ** kronecker(t, n),
    "the base is a size": n**t,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    with pytest.raises(InputError, match="an index or a size if the base is a positive symbol"):
        check_line(REFUSED[name], beta)


def test_what_may_be_empty_twice_over_is_left_alone():
    """A sum from 4 to t + 1 has no last term for t = 1, and is not −2 terms."""
    assert canonical(total(g[far], far)).has(sympy.Sum)
    assert canonical(total(beta**far, far)).has(sympy.Sum)
    assert check_line(total(beta**far * g[far], far), total(g[far] * beta**far, far))


# --- mistakes planted in the three rules -----------------------------------------------------------------

right_split, right_geometric, right_last = (
    Rewriter._split_exponent,
    Rewriter._geometric,
    Rewriter._last_term,
)


def number_forgotten(self, base, exponent):
    return right_split(self, base, exponent - exponent.as_coeff_Add()[0])


def sign_forgotten(self, base, exponent):
    (monomial,) = right_split(self, base, exponent)
    return [Monomial(factors={factor: abs(times) for factor, times in monomial.factors.items()})]


def one_end(self, monomial):
    ends = right_geometric(self, monomial)
    return ends and ends[:1]


def every_power(self, monomial):
    """Σ β^{2i} is taken for Σ β^i."""
    signs = {
        factor: sympy.sign(times) if isinstance(factor, sympy.Pow) else times
        for factor, times in monomial.factors.items()
    }
    return right_geometric(self, rewriter.replace(monomial, factors=signs))


def whatever_stands_beside(self, monomial):
    for index in monomial.bound:
        for factor, times in monomial.factors.items():
            if rewriter._is_power_of(factor, index):
                rest = {f: e for f, e in monomial.factors.items() if f != factor}
                named = set().union(*map(rewriter.indices_of, (*rest, *monomial.deltas)))
                bound = tuple(other for other in monomial.bound if other != index or other in named)
                closed = right_geometric(self, Monomial(bound=(index,), factors={factor: times}))
                start = rewriter.replace(monomial, bound=bound, factors=rest)
                return closed and [start.times(end) for end in closed]
    return None


def last_term_lost(self, monomial):
    parts = right_last(self, monomial)
    return parts and parts[:1]


def last_term_of_nothing(self, monomial):
    for index in monomial.bound:
        if index.upper.as_coeff_Add()[0] > 0 and not index.upper.is_number:
            fresh = self.fresh(Index("shorter", index.upper - 1, lower=index.lower))
            before = rewriter.replace(monomial, bound=(*monomial.bound, fresh))
            return [*self._put(before, index, fresh), *self._put(monomial, index, index.upper)]
    return right_last(self, monomial)


# The mistake, and a line that it makes true and that is wrong.
MISTAKES = {
    "the number in an exponent is forgotten": ("_split_exponent", number_forgotten, (beta ** (t + 1), beta**t)),
    "its signs are": ("_split_exponent", sign_forgotten, (beta ** (t - i), beta ** (t + i))),
    "one end of a geometric sum": ("_geometric", one_end, (total(beta**i, i), beta / (1 - beta))),
    "β for β²": ("_geometric", every_power, (total(beta ** (2 * i), i), total(beta**i, i))),
    "something beside the power names the index": (
        "_geometric",
        whatever_stands_beside,
        (total(beta**i * g[i], i), total(beta**i, i) * total(g[i], i)),
    ),
    "the last term is lost": ("_last_term", last_term_lost, (total(g[k], k), total(g[i], i))),
    "the last term of an empty sum": (
        "_last_term",
        last_term_of_nothing,
        (total(g[far], far), total(g[Index("f", t, lower=4)], Index("f", t, lower=4)) + g[t + 1]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_a_contradiction(mistake, monkeypatch):
    place, planted, line = MISTAKES[mistake]
    assert check_line(*line).counterexample is not None
    monkeypatch.setattr(Rewriter, place, planted)
    with pytest.raises(Contradiction, match="bug in bpcheck"):
        check_line(*line)


# The first seed of a random term that shows the mistake; none of some hundreds shows the last term of an empty sum.
FIRST_SEEN = {
    "the number in an exponent is forgotten": 0,
    "its signs are": 0,
    "one end of a geometric sum": 0,
    "β for β²": 27,
    "something beside the power names the index": 16,
    "the last term is lost": 81,
}


@pytest.mark.parametrize("mistake", FIRST_SEEN)
def test_random_terms_see_a_planted_mistake(mistake, monkeypatch):
    place, planted, _ = MISTAKES[mistake]
    seen = random.Random(FIRST_SEEN[mistake])
    assert agrees(term(random.Random(FIRST_SEEN[mistake]), 2))
    monkeypatch.setattr(Rewriter, place, planted)
    assert not agrees(term(seen, 2))
