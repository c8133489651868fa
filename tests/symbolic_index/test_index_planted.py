"""Mistakes planted in the rewriter: the comparison with the interpreter finds each of them.

The terms are the fuzzer's own, from fixed seeds; before a mistake is planted, every one of them agrees.
"""

import importlib
import random

import pytest
import sympy
from index_terms import derivative, differs, problem, term

from bpcheck.errors import InputError
from bpcheck.symbolic.index import (
    Contradiction,
    Definition,
    Diff,
    Index,
    Member,
    Size,
    Tensor,
    TotalIs,
    Unknown,
    UnknownValue,
    VectorFunction,
    VectorValue,
    canonical,
    check_line,
    derive,
    kronecker,
    total,
)
from bpcheck.symbolic.index import substitute as substituter
from bpcheck.symbolic.index.term import limits_of

# the package exports a function of the same name
rewriter = importlib.import_module("bpcheck.symbolic.index.canonical")
Monomial, Rewriter = rewriter.Monomial, rewriter.Rewriter


def not_renamed(sum_, fresh):
    return sum_.function, limits_of(sum_)


def rule_but(kind, wrong):
    """The derivative with another rule for one kind of term."""
    return [(derive, "_RULES", {**derive._RULES, kind: wrong})]


def half_a_product_rule(product, d, fresh):
    first, *rest = product.args
    return d(first) * sympy.Mul(*rest)


def wrong_power(power, d, fresh):
    base, exponent = power.args
    return (abs(exponent) if exponent < 0 else exponent) * base ** (exponent - 1) * d(base)


def same_order(value, d, fresh):
    return UnknownValue(value.name, max(value.order, 1), value.argument) * d(value.argument)


def wrong_partial(value, d, fresh):
    entry = [fresh(binder) for binder in value.binders]
    moved = substituter.substitute(value.body, dict(zip(value.binders, entry, strict=True)), fresh)
    first = [entry[0] - entry[0] + binder.lower for binder in value.binders]
    outer = VectorValue(value.name, value.components, (*value.partials, first), value.binders, value.body)
    return total(outer * d(moved), *entry)


def not_counted(self, monomial):
    named = set().union(*(rewriter.indices_of(part) for part in (*monomial.factors, *monomial.deltas)))
    bound = tuple(index for index in monomial.bound if index in named)
    return None if bound == monomial.bound else [rewriter.replace(monomial, bound=bound)]


def fact_everywhere(self, monomial):
    for factor, exponent in monomial.factors.items():
        for fact in self.facts if isinstance(factor, sympy.Indexed) and exponent == 1 else ():
            index = rewriter._matches(fact, factor)
            if index in monomial.bound:
                rest = {f: e for f, e in monomial.factors.items() if f != factor}
                others = set().union(*map(rewriter.indices_of, (*rest, *monomial.deltas)))
                bound = tuple(other for other in monomial.bound if other != index or other in others)
                start = rewriter.replace(monomial, bound=bound, factors=rest)
                return [start.times(value) for value in self.flatten(fact.value)]
    return None


def flatten_but(kind, wrong):
    right = Rewriter.flatten
    return lambda self, expression: (
        wrong(expression) if isinstance(expression, kind) else right(self, expression)
    )


def exp_of_a_sum(self, argument):
    return [Monomial(factors={sympy.exp(m.expression()): sympy.Integer(1)}) for m in self.normal(argument)]


MISTAKES = {
    "a derivative does not rename bound indices": lambda: [(derive, "freshen", not_renamed)],
    "substitution captures": lambda: [(substituter, "freshen", not_renamed)],
    "a contraction ignores ranges": lambda: [(rewriter, "lies_within", lambda value, index: True)],
    "(Σx)² = Σx²": lambda: [(rewriter, "freshen", not_renamed)],
    "an index that nothing names is not counted": lambda: [(Rewriter, "_count", not_counted)],
    "canonical names forget their ranges": lambda: [
        (rewriter, "_named", lambda letter, height, number, like: Index(f"{letter}{height}.{number}", 2))
    ],
    "half of the product rule": lambda: rule_but(sympy.Mul, half_a_product_rule),
    "σ'' is taken for σ'": lambda: rule_but(UnknownValue, same_order),
    "the chain rule with the first partial": lambda: rule_but(VectorValue, wrong_partial),
    "exp(a + b) = exp(a) + exp(b)": lambda: [(Rewriter, "_exponential", exp_of_a_sum)],
    "the sign of a denominator's derivative": lambda: rule_but(sympy.Pow, wrong_power),
    "a fact is used though its index is named elsewhere": lambda: [(Rewriter, "_use_fact", fact_everywhere)],
    "Member is dropped": lambda: [(Rewriter, "flatten", flatten_but(Member, lambda member: [Monomial()]))],
    "a delta compares with the negative": lambda: [
        (
            Rewriter,
            "flatten",
            flatten_but(sympy.KroneckerDelta, lambda d: [Monomial(deltas=(d.args[0] + d.args[1],))]),
        )
    ],
    "√(x²) = x": lambda: [(rewriter, "_powers_multiply", lambda factors: len(factors) == 1)],
    "tanh' = 1 − tanh": lambda: rule_but(sympy.tanh, lambda tanh, d, fresh: (1 - tanh) * d(tanh.args[0])),
    "definitions are not looked through": lambda: [(derive, "_defines", lambda definition, entry: False)],
}

# The first seed whose term shows the mistake. `python tests/symbolic_index/test_index_planted.py` finds them anew.
FIRST_SEEN = {
    "a derivative does not rename bound indices": 71,
    "substitution captures": 202,
    "a contraction ignores ranges": 3,
    "(Σx)² = Σx²": 66,
    "an index that nothing names is not counted": 8,
    "canonical names forget their ranges": 0,
    "half of the product rule": 17,
    "σ'' is taken for σ'": 79,
    "the chain rule with the first partial": 1,
    "exp(a + b) = exp(a) + exp(b)": 10,
    "the sign of a denominator's derivative": 99,
    "a fact is used though its index is named elsewhere": 150,
    "Member is dropped": 26,
    "a delta compares with the negative": 3,
    "√(x²) = x": 260,
    "tanh' = 1 − tanh": 27,
    "definitions are not looked through": 232,
}


def drawn(seed):
    return problem(random.Random(seed), 2, of=derivative if seed % 2 else term)


def disagreement(seed):
    """What the interpreter says against the canonical form of one of the fuzzer's terms."""
    expression, facts = drawn(seed)
    found, compared = differs(expression, canonical(expression, facts), facts, limit=3)
    assert compared
    return found


def plant(monkeypatch, mistake):
    for place in MISTAKES[mistake]():
        monkeypatch.setattr(*place)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_fuzzer_sees_a_planted_mistake(mistake, monkeypatch):
    seed = FIRST_SEEN[mistake]
    assert disagreement(seed) is None
    plant(monkeypatch, mistake)
    assert disagreement(seed) is not None


# --- the same mistakes in terms that a person would write ------------------------------------------------

n, m, s, T = Size("n"), Size("m"), Size("s"), Size("T")
j, k, p = (Index(name, n) for name in "jkp")
i = Index("i", m)
u = Index("u", s - 1, lower=0)
x, y, z, a, w = (Tensor(name) for name in "xyzaw")
sigma, C = Unknown("sigma"), VectorFunction("C")

# A line that the mistake makes true, and that is wrong.
WRONG_LINES = {
    "a derivative does not rename bound indices": (Diff(total(x[k] ** 2, k), x[k]), 2 * total(x[k], k)),
    "substitution captures": (a[k], total(x[k] ** 2, k), (Definition(a[j], total(x[k] * x[j], k)),)),
    "a contraction ignores ranges": (total(kronecker(j, i) * x[j], j), x[i]),
    "(Σx)² = Σx²": (total(x[j], j) ** 2, total(x[j] ** 2, j)),
    "an index that nothing names is not counted": (total(x[j], k), x[j]),
    "canonical names forget their ranges": (total(x[j], j), total(x[i], i)),
    "half of the product rule": (Diff(x[j] * sympy.exp(x[j]), x[j]), sympy.exp(x[j])),
    "σ'' is taken for σ'": (Diff(sigma.prime(z[j]), z[j]), sigma.prime(z[j])),
    "the chain rule with the first partial": (Diff(C(x[k], over=k), x[j]), C.partial(1, of=x[k], over=k)),
    "exp(a + b) = exp(a) + exp(b)": (sympy.exp(x[j] + y[j]), sympy.exp(x[j]) + sympy.exp(y[j])),
    "the sign of a denominator's derivative": (Diff(1 / x[j], x[j]), 1 / x[j] ** 2),
    "a fact is used though its index is named elsewhere": (
        total(y[k] * x[k], k),
        total(x[k], k),
        (TotalIs(y[k], over=k, value=1),),
    ),
    "Member is dropped": (Member(j, 1, m) * x[j], x[j]),
    "a delta compares with the negative": (total(kronecker(j, -k) * x[j], j), x[k]),
    "√(x²) = x": (sympy.sqrt(x[j] ** 2), x[j]),
    "tanh' = 1 − tanh": (Diff(sympy.tanh(x[j]), x[j]), 1 - sympy.tanh(x[j])),
    "definitions are not looked through": (Diff(a[j], z[k]), 0, (Definition(a[j], sigma(z[j])),)),
}


@pytest.mark.parametrize("mistake", WRONG_LINES)
def test_a_planted_mistake_is_a_contradiction(mistake, monkeypatch):
    """check_line does not believe the rewriter: what it calls proved has to hold in the instances too."""
    before, after, *facts = WRONG_LINES[mistake]
    line = check_line(before, after, *facts)
    assert not line
    assert line.counterexample is not None
    plant(monkeypatch, mistake)
    with pytest.raises(Contradiction, match="bug in bpcheck"):
        check_line(before, after, *facts)


def find_seeds():
    sound = [seed for seed in range(800) if _sound(seed)]
    for mistake in MISTAKES:
        with pytest.MonkeyPatch.context() as monkeypatch:
            plant(monkeypatch, mistake)
            seed = next((seed for seed in sound if _fails(seed)), None)
        print(f'    "{mistake}": {seed},')


def _sound(seed):
    try:
        return disagreement(seed) is None
    except InputError:  # refused, and says so
        return False


def _fails(seed):
    try:
        return disagreement(seed) is not None
    except Exception:  # a mistake may end in a crash: another seed shows it better
        return False


if __name__ == "__main__":
    find_seeds()
