"""Every activation against a formula of its own in 50-digit arithmetic: value, slope, constants, extremes."""

import mpmath
import numpy as np
import pytest

from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.reference.activation import ACTIVATION, log_softmax, softmax
from bpcheck.reference.numbers.ball import EVALUATION_ULPS

mp = mpmath.mp.clone()
mp.dps = 50

U = 2.0**-53

# Written from the definitions, not from the code: no stable rearrangement is needed with 50 digits
# (and 20 more, for 1 + e^30 needs 13 of them).
FORMULA = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
    "tanh": lambda z: mp.tanh(z),
    "relu": lambda z: max(z, mp.mpf(0)),
    "leaky_relu": lambda z: z if z > 0 else mp.mpf(0.01) * z,
    "softplus": lambda z: mp.log1p(mp.exp(z)),
    "gelu": lambda z: z * mp.erfc(-z / mp.sqrt(2)) / 2,
    "silu": lambda z: z / (1 + mp.exp(-z)),
}
ELEMENTWISE = tuple(FORMULA)

# ±30 and beyond the usual saturation, crossing every branch, with tiny numbers; 0 is tested apart.
GRID = np.concatenate(
    [np.linspace(-30, 30, 121) + 1 / 64, [1e-300, -1e-300, 1e-9, -1e-9, 36.9, -36.9, -40.0]]
)

# σ computed with a few roundings of its own (2u each) at a z that is off by a few u: a mixed
# forward-backward bound with the constant that the enclosures use.
STABLE = EVALUATION_ULPS

# The smallest positive double: what underflows to 0 (gelu(−40) is 1e-348) is off by less than this.
UNDERFLOW = mp.mpf(2) ** -1074


def truth(name, z):
    return FORMULA[name](mp.mpf(float(z)))


def slope(name, z):
    with mp.workdps(80):
        return mp.diff(FORMULA[name], mp.mpf(float(z)))


def test_no_activation_is_missing_here_or_in_the_table():
    assert set(ACTIVATION) == set(ACTIVATIONS) == {*FORMULA, "softmax"}
    assert all(name == activation.name for name, activation in ACTIVATION.items())


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_value_is_right_to_a_few_units_in_the_last_place(name):
    computed = ACTIVATION[name].value(GRID)
    assert computed.shape == GRID.shape
    for z, value in zip(GRID, computed, strict=True):
        exact, steep = truth(name, z), abs(z * slope(name, z))
        assert abs(mp.mpf(float(value)) - exact) <= STABLE * U * (abs(exact) + steep) + UNDERFLOW, z


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_derivative_is_that_of_the_formula(name):
    activation = ACTIVATION[name]
    computed = activation.derivative(GRID, activation.value(GRID))
    assert computed.shape == GRID.shape
    for z, value in zip(GRID, computed, strict=True):
        # absolute: 1 − tanh² has lost its last digit at z = 19
        bound = EVALUATION_ULPS * U * max(1.0, abs(z)) if activation.curvature else 0.0
        exact = slope(name, z) if activation.kink is None else mp.mpf(activation.kink[int(z > 0)])
        assert abs(mp.mpf(float(value)) - exact) <= bound, z


@pytest.mark.parametrize("name", ["sigmoid", "softplus"])
def test_the_derivative_keeps_its_digits_where_it_is_tiny(name):
    activation = ACTIVATION[name]
    z = np.array([-600.0, -40.0, 40.0, 600.0])
    computed = activation.derivative(z, activation.value(z))
    for point, value in zip(z, computed, strict=True):
        with mp.workdps(600):  # 1 − σ(600) begins at the 260th digit
            a = 1 / (1 + mp.exp(-mp.mpf(point)))
            exact = a * (1 - a) if name == "sigmoid" else a
            assert abs(mp.mpf(float(value)) - exact) <= EVALUATION_ULPS * U * exact


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_complex_step_of_the_value_is_the_derivative(name):
    # an imaginary part of 1e-200 squares to zero: Im σ(z + ih)/h is σ'(z) to rounding
    activation = ACTIVATION[name]
    z = np.linspace(-20.0, 20.0, 161) + 1 / 64
    by_step = activation.value(z + 1e-200j).imag / 1e-200
    by_rule = activation.derivative(z, activation.value(z))
    # SciPy's complex erfc (Faddeeva) is exact to 1e-13 relative; times |z| in gelu
    bound = 20e-13 if name == "gelu" else 2 * EVALUATION_ULPS * U * np.maximum(1.0, abs(z))
    assert (abs(by_step - by_rule) <= bound).all()
    np.testing.assert_allclose(
        activation.value(z + 1e-200j).real, activation.value(z), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_extreme_inputs_give_the_limit_without_a_warning(name):
    z = np.array([-1e4, -710.0, -36.9, -0.0, 0.0, 36.9, 710.0, 1e4])
    activation = ACTIVATION[name]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value = activation.value(z)
        derivative = activation.derivative(z, value)
    assert np.isfinite(value).all()
    assert np.isfinite(derivative).all()
    low = {"identity": (-1e4, 1), "leaky_relu": (0.01 * -1e4, 0.01), "tanh": (-1, 0)}.get(name, (0, 0))
    high = {"sigmoid": (1, 0), "tanh": (1, 0)}.get(name, (1e4, 1))
    assert (value[0], derivative[0]) == low
    assert (value[-1], derivative[-1]) == high


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_lipschitz_and_curvature_bound_the_slopes_and_are_no_wider_than_they_must(name):
    activation = ACTIVATION[name]
    z = np.linspace(-12.0, 12.0, 240_001)  # includes 0, steps of 1e-4
    steep = abs(activation.derivative(z, activation.value(z)))
    assert steep.max() <= activation.lipschitz
    assert steep.max() >= 0.99 * activation.lipschitz
    off_kink = z[abs(z) > 1e-3] if activation.kink else z

    def at(points):
        return activation.derivative(points, activation.value(points))

    # central difference of σ' with h = 1e-5: truncation h²/6 max|σ''''| < 1e-9, rounding u/h < 1e-10
    bend = abs(at(off_kink + 1e-5) - at(off_kink - 1e-5)) / 2e-5
    assert bend.max() <= activation.curvature + 1e-9
    assert bend.max() >= 0.99 * activation.curvature


@pytest.mark.parametrize("name", ["gelu", "silu"])
def test_the_bounds_hold_to_all_digits_at_the_extremum(name):
    # where σ'' = 0 the slope is extremal; the constant must lie above, not merely near
    top = mp.findroot(lambda z: mp.diff(FORMULA[name], z, 2), 2 ** mp.mpf(0.5) if name == "gelu" else 2.4)
    assert mp.diff(FORMULA[name], top) <= ACTIVATION[name].lipschitz
    assert abs(mp.diff(FORMULA[name], mp.mpf(0), 2)) <= ACTIVATION[name].curvature


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_kink_is_declared_exactly_where_the_one_sided_slopes_differ(name):
    activation = ACTIVATION[name]
    h = 2.0**-20
    at_zero = float(activation.value(np.array([0.0]))[0])
    left = (at_zero - float(activation.value(np.array([-h]))[0])) / h
    right = (float(activation.value(np.array([h]))[0]) - at_zero) / h
    if activation.kink is None:
        assert abs(left - right) <= 2 * h  # |σ''| ≤ 1: the slopes over h differ by h at most
    else:
        assert (left, right) == activation.kink
        chosen = activation.derivative(np.array([0.0]), np.array([0.0]))[0]
        assert min(activation.kink) <= chosen <= max(activation.kink)


def test_relu_and_its_leaky_kin_take_the_left_slope_at_zero():
    zero = np.array([0.0, -0.0])
    assert ACTIVATION["relu"].derivative(zero, zero).tolist() == [0.0, 0.0]
    assert ACTIVATION["leaky_relu"].derivative(zero, zero).tolist() == [0.01, 0.01]


# --- softmax ---------------------------------------------------------------------------------------

LOGITS = np.array([[0.5, -1.0, 2.0], [30.0, -30.0, 0.0], [3.0, 3.0, 3.0], [-700.0, 0.0, 1.5]])


def exact_softmax(row):
    weights = [mp.exp(mp.mpf(float(z))) for z in row]
    return [w / mp.fsum(weights) for w in weights]


def test_softmax_and_its_logarithm_row_by_row():
    p, log_p = softmax(LOGITS), log_softmax(LOGITS)
    for i, row in enumerate(LOGITS):
        gap = max(row) - min(row)
        for j, exact in enumerate(exact_softmax(row)):
            # e^{−d} of a rounded d is off by a relative d·u
            assert abs(mp.mpf(float(p[i, j])) - exact) <= (STABLE + gap) * U * exact
            assert abs(mp.mpf(float(log_p[i, j])) - mp.log(exact)) <= STABLE * U * (1 + abs(mp.log(exact)))
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=0, atol=4 * U)


def test_softmax_jacobian_against_fifty_digits_with_rows_and_columns_that_sum_to_zero():
    p = softmax(LOGITS)
    J = ACTIVATION["softmax"].derivative(LOGITS, p)
    assert J.shape == (4, 3, 3)
    for i, row in enumerate(LOGITS):
        exact = exact_softmax(row)
        gap = max(row) - min(row)
        for k in range(3):
            for j in range(3):
                right = exact[k] * ((k == j) - exact[j])
                assert abs(mp.mpf(float(J[i, k, j])) - right) <= 2 * (STABLE + gap) * U * exact[k]
    np.testing.assert_array_equal(J, J.transpose(0, 2, 1))
    np.testing.assert_allclose(J.sum(axis=1), 0.0, atol=4 * U)
    np.testing.assert_allclose(J.sum(axis=2), 0.0, atol=4 * U)


def test_softmax_jacobian_against_the_complex_step():
    z = LOGITS[:1]
    J = ACTIVATION["softmax"].derivative(z, softmax(z))[0]
    for j in range(3):
        step = np.zeros_like(z, dtype=complex)
        step[0, j] = 1e-200j
        np.testing.assert_allclose(softmax(z + step)[0].imag / 1e-200, J[:, j], rtol=1e-14, atol=1e-16)


def test_softmax_works_on_each_row_alone_and_ignores_a_common_shift():
    np.testing.assert_array_equal(softmax(LOGITS)[1], softmax(LOGITS[1:2])[0])
    np.testing.assert_array_equal(softmax(LOGITS[:3]), softmax(LOGITS[:3] + 64.0))


@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_softmax_is_exact_at_extremes_without_a_warning(shift):
    z = np.array([[-1e4, 0.0, 1e4], [0.0, 0.0, -1e4]]) + shift
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        p, log_p = softmax(z), log_softmax(z)
        J = ACTIVATION["softmax"].derivative(z, p)
    assert p.tolist() == [[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]
    np.testing.assert_allclose(
        log_p, [[-2e4, -1e4, 0.0], [-np.log(2), -np.log(2), -1e4 - np.log(2)]], rtol=1e-15
    )
    assert np.isfinite(J).all()


def test_the_softmax_constants_bound_how_fast_it_moves():
    rng = np.random.default_rng(3)
    activation = ACTIVATION["softmax"]
    for width in (1, 2, 3, 6):
        z = rng.normal(scale=2.0, size=(400, width))
        z[0] = 0.0
        J = activation.derivative(z, softmax(z))
        # max |Δp_k| for |Δz_j| ≤ 1 is the largest row sum of |J|
        assert abs(J).sum(axis=2).max() <= activation.lipschitz + 4 * U
        h, direction = 1e-5, rng.choice([-1.0, 1.0], size=z.shape)
        moved = [
            activation.derivative(z + s * h * direction, softmax(z + s * h * direction)) for s in (1, -1)
        ]
        assert abs(moved[0] - moved[1]).max() / (2 * h) <= activation.curvature
