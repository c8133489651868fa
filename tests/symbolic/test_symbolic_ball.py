"""Balls contain what they stand for."""

from __future__ import annotations

import mpmath
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from mpmath import libmp

from bpcheck.symbolic import ball
from bpcheck.symbolic.program import Run, compile_expressions

BITS = 64
U, V = sympy.symbols("u v", real=True)
half = sympy.Rational(1, 2)
EXPRESSIONS = [
    1 - sympy.tanh(U) ** 2 + V / 3,
    sympy.exp(U) * sympy.log(1 + sympy.exp(V)) - sympy.exp(U + V),
    (U - V) ** 3 / (1 + (U + V) ** 2),
    sympy.erf(U / sympy.sqrt(2)) + 1 - sympy.pi * V**-3,
    sympy.sqrt(1 + U**2) - (1 + U**2) ** (-half),
    sympy.Max(U, V, U * V / 3) - sympy.Abs(U - V),
    sympy.exp(-(sympy.exp(U) ** 2)) - sympy.tanh(sympy.erf(V)),
    sympy.log(sympy.exp(U) / (sympy.exp(U) + sympy.exp(V))) / 7,
]
doubles = st.floats(-30, 30, allow_nan=False).filter(lambda v: v == 0 or abs(v) > 1e-12)


def contains(found: ball.Ball, exact: mpmath.mpf) -> bool:
    radius = mpmath.mpf(0) if found[1] is ball.EXACT else mpmath.mpf(2) ** found[1]
    return abs(mpmath.mpf(found[0]) - exact) <= radius


@given(u=doubles, v=doubles.filter(bool))
@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_a_ball_contains_the_exact_value(expression, u, v):
    program = compile_expressions([expression], [U, V])
    inputs = [ball.from_ratio(*value.as_integer_ratio(), BITS) for value in (u, v)]
    (found,) = Run(BITS, {})(program, inputs)
    with mpmath.workprec(3000):
        exact = sympy.lambdify([U, V], expression, "mpmath")(mpmath.mpf(u), mpmath.mpf(v))
        assert contains(found, exact)


def from_float(value: float, radius: int | None = None) -> ball.Ball:
    return libmp.from_float(value), radius


def test_the_radius_of_a_function_covers_its_whole_input():
    for function, exact in [
        (ball.exp, mpmath.exp),
        (ball.log, mpmath.log),
        (ball.tanh, mpmath.tanh),
        (ball.erf, mpmath.erf),
        (ball.sqrt, mpmath.sqrt),
        (ball.reciprocal, lambda v: 1 / v),
    ]:
        for middle in (0.75, 1.0, 3.0):
            found = function(from_float(middle, -3), BITS)
            assert ball.is_known(found)
            for end in (-0.125, 0.125):
                assert contains(found, exact(mpmath.mpf(middle + end)))


@pytest.mark.parametrize("function", [ball.log, ball.sqrt, ball.reciprocal])
def test_a_ball_that_touches_the_edge_of_the_domain_is_unknown(function):
    assert not ball.is_known(function(from_float(0.25, -2), BITS))
    assert not ball.is_known(function(from_float(0.0), BITS))


def test_out_of_hand_exponents_are_unknown_and_do_not_take_memory():
    assert not ball.is_known(ball.exp(from_float(1e300), BITS))
    assert not ball.is_known(ball.exp(from_float(-1e300), BITS))
    assert contains(ball.tanh(from_float(-1e300), BITS), mpmath.mpf(-1))


def test_unknown_spreads_except_through_zero():
    zero, one = from_float(0.0), from_float(1.0)
    assert not ball.is_known(ball.add([ball.UNKNOWN, one], BITS))
    assert not ball.is_known(ball.multiply([ball.UNKNOWN, one], BITS))
    assert not ball.is_known(ball.power(ball.UNKNOWN, 2, BITS))
    assert ball.multiply([ball.UNKNOWN, zero], BITS) == zero


def test_sums_are_exact_while_they_fit():
    assert ball.add([from_float(2.0**50), from_float(2.0**-10)], 64)[1] is ball.EXACT
    rounded = ball.add([from_float(2.0**50), from_float(2.0**-50)], 64)
    assert rounded[1] is not ball.EXACT
    with mpmath.workprec(200):
        assert contains(rounded, mpmath.mpf(2) ** 50 + mpmath.mpf(2) ** -50)


def test_sides_of_zero():
    assert ball.side(from_float(-2.0), negative=0) == (libmp.fzero, ball.EXACT)
    assert ball.side(from_float(-2.0), negative=-1) == (libmp.fnone, ball.EXACT)
    assert ball.side(from_float(2.0), negative=-1) == (libmp.fone, ball.EXACT)
    for negative in (0, -1):
        both = ball.side(from_float(0.0), negative=negative)
        assert contains(both, mpmath.mpf(1))
        assert contains(both, mpmath.mpf(negative))


def test_an_expression_without_a_rule_is_named():
    with pytest.raises(NotImplementedError, match=r"besselj.*bpcheck\.symbolic\.program"):
        compile_expressions([sympy.besselj(0, U)], [U])
