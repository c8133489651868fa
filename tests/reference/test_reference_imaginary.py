"""Im f(x + iy) by addition theorems: what NumPy's own complex functions and 60 digits say."""

import mpmath
import numpy as np
import pytest

from bpcheck import mlp
from bpcheck.network.architecture import LOSSES
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.loss import LOSS
from bpcheck.reference.numbers.ball import Ball
from bpcheck.reference.penalty import penalty
from bpcheck.reference.touching import imaginary
from bpcheck.reference.touching.imaginary import STEP
from bpcheck.reference.touching.imaginary_cost import LOSS_AT, penalty_at

U = 2.0**-53
X = np.concatenate([np.linspace(-6, 6, 25), [-40.0, -19.5, -0.1, 1e-3, 19.5, 40.0]])
ELEMENTWISE = [name for name in ACTIVATIONS if imaginary.is_elementwise(name)]

PRECISE = {
    "identity": lambda z: z,
    "tanh": mpmath.tanh,
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "relu": lambda z: z if z.real > 0 else z * 0,
    "leaky_relu": lambda z: z if z.real > 0 else z * mpmath.mpf(0.01),
    "softplus": lambda z: mpmath.log1p(mpmath.exp(z)),
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
    # erfc of a complex number by its own integral from the real part on: exact to first order in y
    "gelu": lambda z: mpmath.mpc(0, z.imag * (mpmath.ncdf(z.real) + z.real * mpmath.npdf(z.real))),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_activations_against_sixty_digits(name):
    y = STEP * np.random.default_rng(0).standard_normal(len(X))
    found = imaginary.enclose(name, Ball.exact(X, U), Ball.exact(y, U))
    with mpmath.workdps(60):
        right = [PRECISE[name](mpmath.mpc(a, b)).imag for a, b in zip(X.tolist(), y.tolist(), strict=True)]
        gap = np.array(
            [float(abs(mpmath.mpf(m) - r)) for m, r in zip(found.mid.tolist(), right, strict=True)]
        )
    assert (gap <= found.rad).all()
    # the bound is about 8 units in the last place of the answer, or of max(1, |x|) |y| where two terms may cancel
    assert (found.rad <= 1.01 * 8 * U * np.maximum(1.0, abs(X)) * abs(y) * 1.13 + 1e-300 * abs(y)).all()


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if imaginary.RELATIVE.get(name)])
def test_saturated_units_keep_their_digits(name):
    x = np.array([-40.0, -30.0, -20.0, 20.0, 30.0])
    y = np.full(5, STEP)
    found = imaginary.at(name, x)(y)
    with mpmath.workdps(60):
        right = np.array([float(PRECISE[name](mpmath.mpc(a, STEP)).imag) for a in x.tolist()])
    assert found == pytest.approx(right, rel=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_against_their_own_complex_values(name):
    rng = np.random.default_rng(1)
    x = 2 * rng.standard_normal((3, 4))
    y = STEP * rng.standard_normal((3, 4, 5))
    sigma = imaginary.at(name, x[:, :, None]) if imaginary.is_elementwise(name) else imaginary.mixed(x)
    found = sigma(y)
    moved = np.moveaxis(x[:, :, None] + 1j * y, 2, 1)
    right = np.moveaxis(ACTIVATION[name].value(moved).imag, 1, 2)
    assert abs(found - right).max() <= 1e-15 * abs(y).max()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", ["ordinary", "far"])
def test_losses_against_their_own_complex_values(name, kind):
    rng = np.random.default_rng(2)
    a = (8.0 if kind == "far" else 1.0) * rng.standard_normal((6, 3))
    y = rng.random((6, 3))
    v = STEP * rng.standard_normal((6, 3, 4))
    found = LOSS_AT[name](a, y)(v)
    right = np.stack([LOSS[name].value(a + 1j * v[:, :, p], y).imag for p in range(4)], axis=1)
    assert abs(found - right).max() <= 1e-14 * abs(v).max() * max(1.0, abs(a).max())
    balls = LOSS_AT[name](Ball.exact(a, U), Ball.exact(y, U))(Ball.exact(v, U))
    assert (abs(balls.mid - found) <= 2 * balls.rad).all()
    assert balls.rad.max() <= 1e-13 * abs(v).max() * abs(a).max()


def test_a_softmax_that_is_nearly_certain_keeps_its_digits():
    z, y = np.array([[30.0, 0.0]]), np.array([[1.0, 0.0]])
    found = LOSS_AT["cross_entropy"](z, y)(STEP * np.array([[[1.0], [0.0]]]))[0, 0] / STEP
    assert found == pytest.approx(-1 / (1 + np.exp(30.0)), rel=1e-14)


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_at_a_kink_the_branches_are_averaged(name):
    x = np.array([-1.0, 0.0, 1.0])
    low, high = ACTIVATION[name].kink
    assert (imaginary.at(name, x, x == 0)(np.ones(3)) == [low, (low + high) / 2, high]).all()


def test_penalties_against_their_own_complex_values():
    architecture = mlp([2, 2, 1], l1=0.3, l2=0.7, penalize_bias=True)
    rng = np.random.default_rng(3)
    params = [
        {"weight": rng.standard_normal((2, 2)), "bias": np.array([0.0, -1.0])},
        {"weight": rng.standard_normal((1, 2)), "bias": rng.standard_normal(1)},
    ]
    found = penalty_at(params, architecture, STEP)
    for path, (values, rounding) in found.items():
        layer, name = int(path.keys[0][1]), path.keys[1][2:-2]
        for index in np.ndindex(values.shape):
            moved = [dict(part) for part in params]
            moved[layer][name] = params[layer][name].astype(complex)
            moved[layer][name][index] += 1j * STEP
            right = 0.0 if params[layer][name][index] == 0 else penalty(moved, architecture).imag
            assert abs(values[index] - right) <= 4 * rounding[index]
    assert len(found) == 4
    assert len(penalty_at(params, mlp([2, 2, 1], l2=0.7), STEP)) == 2
    assert not penalty_at(params, mlp([2, 2, 1]), STEP)
