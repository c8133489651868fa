"""flint's precision is global: it is set, and whatever happens it is put back."""

from concurrent.futures import ThreadPoolExecutor

import flint
import numpy as np
import pytest

from bpcheck import Case, InputError, certified, certify, mlp
from bpcheck.certified.balls import Balls, balls, exactly, nearest, radii
from bpcheck.certified.engine import precision
from bpcheck.certified.working import Working
from bpcheck.strategies.values import case_from_seed

# not the default, so that a reset to the default would show
ODD = {"prec": 77, "cap": 5}


@pytest.fixture(autouse=True)
def _settings():
    before = {name: getattr(flint.ctx, name) for name in ODD}
    for name, value in ODD.items():
        setattr(flint.ctx, name, value)
    yield
    left = {name: getattr(flint.ctx, name) for name in ODD}
    for name, value in before.items():
        setattr(flint.ctx, name, value)
    assert left == ODD


def case():
    return case_from_seed(mlp([2, 3, 2], activation="relu"), 2, 1)


def test_after_a_testimony_and_a_certificate():
    said = certified.testify(case())
    arrays = list(said.gradient.values())
    gradient = [{"weight": arrays[i], "bias": arrays[i + 1]} for i in (0, 2)]
    assert certify(case().architecture, case().params, case().x, case().y, gradient, confirm=True).ok
    assert certified.exact(case()).loss > 0


def test_after_an_error_inside():
    def fails():
        with precision(200):
            assert flint.ctx.prec == 200
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert flint.ctx.prec == ODD["prec"]
    at_kink = Case(mlp([1, 1], output="relu"), [{"weight": [[1.0]], "bias": [0.0]}], [[0.0]], [[1.0]])
    with pytest.raises(InputError):
        certified.testify(at_kink)


def test_contexts_nest():
    with precision(200):
        with precision(300):
            assert flint.ctx.prec == 300
        assert flint.ctx.prec == 200


def test_threads_take_turns():
    """Passes at different precisions at once: none sees the other's bits."""
    right = certified.testify(case())

    def again(bits):
        return certified.testify(case(), precision=bits)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(again, [64, 4096, 128, 2048] * 5))
    for testimony in found:
        assert testimony.loss == right.loss
        for path, values in testimony.gradient.items():
            assert np.array_equal(values, right.gradient[path])


# --- conversions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 24, 53, 128])
def test_numbers_go_in_without_rounding_at_any_precision(bits):
    array = np.array([[0.1, -1e-320, 1.7e308], [3.0, 2.0**60 + 2.0**8, -0.0]])
    numbers = Balls(bits)
    with numbers.working():
        for ball, value in zip(numbers.given(array).entries(), array.flat, strict=True):
            assert ball.is_exact()
            assert float(ball) == value
        assert exactly(2**100 + 1) == flint.arb(2) ** 100 + 1 or bits < 101
        assert [float(ball) for ball in balls(np.array([3, -4]))] == [3.0, -4.0]


def test_numbers_come_out_to_nearest_with_a_rigorous_error():
    rng = np.random.default_rng(0)
    with precision(200):
        exact = [
            flint.fmpq(int(a), int(b))
            for a, b in zip(rng.integers(-(2**60), 2**60, 50), rng.integers(1, 2**60, 50), strict=True)
        ]
        exact += [q * flint.fmpq(1, 2**1070) for q in exact[:20]]  # subnormal, or lost
        values, errors = nearest([flint.arb(q) for q in exact])
    for q, value, error in zip(exact, values.tolist(), errors.tolist(), strict=True):
        numerator, denominator = value.as_integer_ratio()
        off = abs(q - flint.fmpq(numerator, denominator))
        numerator, denominator = error.as_integer_ratio()
        assert off <= flint.fmpq(numerator, denominator)
        assert error <= 0.5001 * np.spacing(abs(value)) or error <= 1e-323
        assert error == 0.0 or off > 0


def test_what_does_not_fit_a_double_has_an_infinite_error():
    with precision(64):
        values, errors = nearest(
            [flint.arb(2) ** 2000, flint.arb.nan(), flint.arb(1, float("inf")), flint.arb(1)]
        )
    assert errors.tolist() == [np.inf, np.inf, np.inf, 0.0]
    assert values[3] == 1.0


def test_a_tiny_radius_does_not_become_zero():
    with precision(64):
        tiny = flint.arb(0, 1) * flint.arb(2) ** -2000
    assert 0.0 < radii([tiny])[0] <= 1e-323
    assert 0.0 < nearest([tiny])[1][0] <= 1e-323


# --- the model of honest code --------------------------------------------------------------------


def widening(a, b):
    numbers, plain = Working(np.float32), Balls(24)
    with numbers.working():
        wide = radii(numbers.product(plain.given(a), plain.given(b)).entries())
        narrow = radii(plain.product(plain.given(a), plain.given(b)).entries())
    return wide, narrow


def test_products_of_one_sign_are_widened_by_what_n_roundings_do():
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 400)), rng.random((400, 2))
    wide, narrow = widening(a, b)
    least = 20 * 2.0**-24 * (a @ b).ravel()
    assert (wide >= least).all()
    assert (wide <= 2 * least + narrow).all()
    assert (narrow < least).all()


@pytest.mark.parametrize("order", ["as it comes", "sorted", "descending"])
def test_products_that_cancel_are_widened_by_their_partial_sums(order):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((1, 400))
    if order != "as it comes":
        a = np.sort(a)[:, :: 1 if order == "sorted" else -1]
    b = rng.random((400, 1))
    wide, narrow = widening(a, b)
    sums = np.cumsum(a[0] * b[:, 0])
    least = 2.0**-24 * np.sqrt(3 * np.sum(sums**2))
    assert wide[0] >= least
    if order == "as it comes":
        assert wide[0] <= narrow[0] + 0.5 * 20 * 2.0**-24 * (abs(a) @ b)[0, 0]
    mirrored, _ = widening(a[:, ::-1], b[::-1])
    assert mirrored[0] == pytest.approx(wide[0], rel=1e-5)


def test_roundings_of_equal_terms_are_not_independent():
    ones, rng = np.ones((1, 400)), np.random.default_rng(0)
    equal, _ = widening(ones, np.full((400, 1), 0.1))
    different, _ = widening(ones, 0.1 + 0.01 * rng.random((400, 1)))
    assert equal[0] > 10 * different[0]
    zeros = rng.random((400, 1)) * (np.arange(400) % 2)[:, None]  # adding 0 is no rounding
    assert widening(ones, zeros)[0][0] < different[0] * 10


def test_huge_numbers_have_partial_sums_too():
    numbers = Working(np.float64)
    a, b = np.array([[1e200, -1e200, 3e-200]]), np.array([[1e100], [1e100], [1e-100]])
    with numbers.working():
        wide = radii(numbers.product(numbers.given(a), numbers.given(b)).entries())
    assert 1e284 < wide[0] < 1e286


def test_what_float32_cannot_store_is_a_ball_there():
    numbers = Working(np.float32)
    with numbers.working():
        fits, rounded = (numbers.given(np.array([[value]])).entries()[0] for value in (0.5, 0.1))
        assert fits.is_exact()
        assert rounded.contains(exactly(float(np.float32(0.1))))
        assert rounded.contains(exactly(0.1))


def test_a_unit_so_near_its_kink_that_rounding_decides_has_no_side():
    numbers = Working(np.float64)
    ball = flint.arb(1, 0.3)
    assert Balls(53).side(ball) == 1
    assert numbers.side(ball) is None  # 0.3 + 4 · 0.3 > 1
    assert numbers.side(flint.arb(1, 0.19)) == 1
