"""A product of matrices rounded once: exact fractions say so."""

from fractions import Fraction

import numpy as np
import pytest

from bpcheck.reference.numbers.ball import Ball
from bpcheck.reference.numbers.product import affine

U = 2.0**-53


def exact(x, weight, bias):
    """x Wᵀ + b in fractions."""
    return [[dot(row, column) + Fraction(b) for column, b in zip(weight, bias, strict=True)] for row in x]


def dot(a, b):
    return sum((Fraction(p) * Fraction(q) for p, q in zip(a.tolist(), b.tolist(), strict=True)), Fraction(0))


def off(ball, right):
    """Distance from the exact value of each entry."""
    rows = zip(ball.mid.tolist(), right, strict=True)
    return np.array([[abs(Fraction(m) - r) for m, r in zip(*row, strict=True)] for row in rows])


@pytest.mark.parametrize("terms", [1, 2, 3, 17, 784])
@pytest.mark.parametrize("spread", [0, 8])
def test_the_result_is_the_exact_sum_rounded_once(terms, spread):
    rng = np.random.default_rng(terms + spread)
    x, weight = (
        rng.standard_normal((3, terms)) * 10.0 ** rng.integers(-spread, spread + 1, (3, terms))
        for _ in range(2)
    )
    bias = rng.standard_normal(3)
    ball = affine(Ball.exact(x, U), weight, bias)
    wrong = off(ball, exact(x, weight, bias))
    assert (wrong <= ball.rad).all()
    assert (ball.rad <= 1.01 * U * abs(ball.mid) + 1e-22 * abs(x).max() * abs(weight).max() * terms).all()


def test_what_cancels_keeps_its_digits():
    x = np.array([[1e8, 1.0, -1e8, 3e-17]])
    weight = np.array([[1.0, 1e-17, 1.0, 1.0]])
    ball = affine(Ball.exact(x, U), weight, np.zeros(1))
    assert ball.mid[0, 0] == pytest.approx(4e-17, rel=1e-9)
    assert off(ball, exact(x, weight, np.zeros(1)))[0, 0] <= ball.rad[0, 0] < 1e-14
    plain = Ball.exact(x, U) @ weight.T
    assert plain.rad[0, 0] > 1e-9  # what the ordinary product cannot promise


def test_an_input_that_is_not_exact_widens_the_result():
    x = Ball.exact(np.ones((1, 2)), U).widened(1e-3)
    assert affine(x, np.array([[2.0, -3.0]]), np.zeros(1)).rad[0, 0] >= 5e-3


@pytest.mark.parametrize("size", [1e-310, 1e200])
def test_numbers_near_the_ends_of_the_range_are_multiplied_plainly(size):
    x, weight = np.array([[size, 1.0]]), np.array([[1.0, 2.0]])
    ball = affine(Ball.exact(x, U), weight, np.ones(1))
    assert np.isfinite(ball.mid).all()
    assert (off(ball, exact(x, weight, np.ones(1))) <= ball.rad).all()


def test_zeros():
    ball = affine(Ball.exact(np.zeros((2, 3)), U), np.zeros((4, 3)), np.arange(4.0))
    assert ball.mid.tolist() == [[0, 1, 2, 3]] * 2
    assert ball.rad.max() < 1e-15
