"""Random terms: the rewriter and the interpreter, which share no code, agree on what each is equal to."""

import random
from collections import Counter

import index_terms as terms
import pytest
from hypothesis import event, given, note
from hypothesis import strategies as st
from index_terms import derivative, differs, places, problem, term, world

from bpcheck.errors import InputError
from bpcheck.symbolic.index import Digits, Exact, canonical, is_zero
from bpcheck.symbolic.index.interpret import Reading
from bpcheck.symbolic.index.substitute import Fresh, substitute
from bpcheck.symbolic.index.term import indices_of

DICE = st.randoms(use_true_random=False)
# Free indices of a shrunk counterexample are few; of the others, so many values of each world show as much.
PLACES = 2

# What the calculus says it cannot do. Of 3,000 random terms (seeds 0 to 2999) 5.9 % are refused, nearly all of them
# derivatives of entries that may or may not lie in the range of a definition.
REFUSALS = ("look alike", "Carry out the inner derivative first", "may or may not be")
MOST_REFUSED = 0.1


def check_refusal(refused):
    assert any(reason in str(refused) for reason in REFUSALS), refused


def drawn(rng, *, of=term, depth=2, most=2):
    """A term, its facts and its canonical form; None where the calculus says that it cannot take it."""
    expression, facts = problem(rng, depth, of=of, most=most)
    try:
        return expression, facts, canonical(expression, facts)
    except InputError as refused:
        check_refusal(refused)
        return None


def check_value(rng, of, domains):
    case = drawn(rng, of=of)
    if case is None:
        event("refused")
        return
    expression, facts, form = case
    note(f"{expression}\ngiven {facts}")
    worlds = range(3) if domains == (Digits,) else (rng.randint(0, 1),)
    found, compared = differs(expression, form, facts, domains=domains, worlds=worlds, limit=PLACES)
    event("0" if form == 0 else "not 0")
    assert compared
    assert found is None, f"{found}\n{form}"


@given(DICE)
def test_the_canonical_form_has_the_same_value(rng):
    check_value(rng, term, (Digits,))


@given(DICE)
def test_a_derivative_has_the_value_of_a_difference_quotient(rng):
    check_value(rng, derivative, (Digits,))


@given(DICE)
def test_plain_sympy_agrees_with_the_canonical_form(rng):
    check_value(rng, derivative if rng.random() < 0.5 else term, (Exact,))


@given(DICE)
def test_the_form_of_the_form_is_the_form(rng):
    case = drawn(rng)
    if case is not None:
        _, facts, form = case
        assert canonical(form, facts) == form


@given(DICE)
def test_names_and_order_and_splitting_do_not_matter(rng):
    case = drawn(rng, of=derivative if rng.random() < 0.5 else term)
    if case is None:
        return
    expression, facts, form = case
    assert canonical(terms.renamed(expression), facts) == form
    other = terms.reworded(rng, terms.renamed(expression))
    event("renamed only" if other == terms.renamed(expression) else "split, moved or multiplied out")
    assert is_zero(expression - other, facts)


@given(DICE)
def test_substitution_captures_nothing(rng):
    expression, facts = problem(rng, 2)
    free = terms.ordered(indices_of(expression))
    if not free:
        event("no free index")
        return
    # every index of the fuzzer is bound somewhere
    old, new = rng.choice(free), rng.choice((*terms.INDICES, terms.j + 1, terms.s * terms.u + terms.v))
    note(f"{old} ↦ {new} in {expression}")
    check_substitution(expression, facts, old, new)


def check_substitution(expression, facts, old, new):
    moved = substitute(expression, {old: new}, Fresh())
    compared = 0
    for number in range(3):
        here = world(number, facts, seed=number)
        reading = Reading(here, Digits())
        for at in places(indices_of(expression) | indices_of(new) | indices_of(moved), here, PLACES):
            changed = reading.value(expression, {**at, old: here.whole(new, at)})
            assert reading.domain.same(reading.value(moved, at), changed), (number, at, moved)
            compared += 1
    assert compared


@given(DICE)
def test_what_is_called_zero_is_zero(rng):
    # second derivatives of roots and quotients take many seconds to multiply out
    case = drawn(rng, of=derivative if rng.random() < 0.5 else term, most=1)
    if case is not None:
        event(zero_or_not(rng, case[0], case[1]))


def zero_or_not(rng, expression, facts):
    """What is_zero and the interpreter say of a term and the same with a slip of the pen."""
    slip = terms.spoiled(rng, expression)
    try:
        zero = is_zero(expression - slip, facts)
    except InputError as refused:
        check_refusal(refused)
        return "a slip that is refused"
    found, _ = differs(expression, slip, facts, limit=PLACES)
    assert not (zero and found), (expression, slip, facts, found)
    return "a slip without effect, proved" if zero else "a slip seen" if found else "equal here, not proved"


@pytest.mark.full
def test_two_thousand_random_terms():
    """Values, derivatives, forms, names, slips; how many are refused and how many equal pairs are proved."""
    # (left out, beyond: seed 20_263_681, whose denominators multiply out to 30,000 terms, which takes minutes)
    first, count = 20_261_122, 2000
    print(f"seeds {first} to {first + count - 1}")
    seen = Counter()
    for seed in range(first, first + count):
        rng = random.Random(seed)
        case = drawn(rng, of=derivative if seed % 2 else term, most=1 + (seed % 20 == 0))
        if case is None:
            seen["refused"] += 1
            continue
        expression, facts, form = case
        found, _ = differs(expression, form, facts, limit=PLACES)
        assert found is None, (seed, expression, facts, found)
        assert canonical(form, facts) == form, seed
        assert canonical(terms.renamed(expression), facts) == form, seed
        other = terms.reworded(rng, terms.renamed(expression))
        proved = is_zero(expression - other, facts)
        if other != terms.renamed(expression):
            seen["equal pairs"] += 1
            seen["equal pairs proved"] += proved
        assert proved or differs(expression, other, facts, limit=PLACES)[0] is None, seed
        seen[zero_or_not(rng, expression, facts)] += 1
        seen["terms"] += 1
    print(dict(seen))
    assert seen["refused"] <= MOST_REFUSED * count
    assert seen["equal pairs"] >= count / 10
    assert seen["equal pairs proved"] == seen["equal pairs"]
    assert seen["a slip seen"] >= count / 4
