"""BP1 to BP4 against the index forms of their docstrings, written out as loops."""

import numpy as np
import pytest

from bpcheck.reference.layers.four_equations import (
    bp1_output_error,
    bp2_hidden_error,
    bp3_bias_gradient,
    bp4_weight_gradient,
)
from bpcheck.reference.numbers.ball import Ball

# (m, n_l, n_{l+1}): generic, square, a batch of one, single units.
SHAPES = [(4, 3, 5), (3, 3, 3), (1, 4, 2), (5, 1, 3), (5, 3, 1), (1, 1, 1)]

# A sum of n products in another order differs by at most 2 γ_n Σ|terms| (Higham §3.1); n ≤ 5 here, and
# one more factor is multiplied in.
ROUNDINGS = 2 * 7 * 2.0**-53


@pytest.fixture
def rng():
    return np.random.default_rng(20260102)


def assert_same(actual, expected, magnitude):
    """Equal up to the order of sums; ``magnitude`` is the same loop with absolute values."""
    assert actual.shape == expected.shape
    assert (abs(actual - expected) <= ROUNDINGS * magnitude).all()


def looped(shape, count, term):
    """Σ over ``count`` values of the last index, with the sum of the absolute values beside it."""
    total, magnitude = np.zeros(shape), np.zeros(shape)
    for index in np.ndindex(*shape):
        for k in range(count):
            total[index] += term(*index, k)
            magnitude[index] += abs(term(*index, k))
    return total, magnitude


def softmax_jacobians(rng, m, n):
    """J[i, k, j] = p_k (1[k = j] − p_j), entry by entry."""
    J = np.empty((m, n, n))
    for i in range(m):
        weights = np.exp(rng.normal(size=n))
        p = weights / weights.sum()
        for k in range(n):
            for j in range(n):
                J[i, k, j] = p[k] * ((k == j) - p[j])
    return J


@pytest.mark.parametrize(("m", "n", "_"), SHAPES)
def test_bp1_is_the_gradient_times_the_derivative_neuron_by_neuron(rng, m, n, _):
    nabla, slope = rng.normal(size=(m, n)), rng.normal(size=(m, n))
    delta = np.empty((m, n))
    for i in range(m):
        for j in range(n):
            delta[i, j] = nabla[i, j] * slope[i, j]
    np.testing.assert_array_equal(bp1_output_error(nabla, slope), delta)


@pytest.mark.parametrize(("m", "n", "_"), SHAPES)
def test_bp1_with_jacobians_sums_over_every_output_that_depends_on_z(rng, m, n, _):
    nabla, J = rng.normal(size=(m, n)), rng.normal(size=(m, n, n))  # not symmetric: Jᵀ and J differ
    delta, magnitude = looped((m, n), n, lambda i, j, k: nabla[i, k] * J[i, k, j])
    assert_same(bp1_output_error(nabla, J), delta, magnitude)


def test_bp1_with_softmax_jacobians_sends_down_errors_that_sum_to_zero(rng):
    nabla, J = rng.normal(size=(4, 3)), softmax_jacobians(rng, 4, 3)
    delta, magnitude = looped((4, 3), 3, lambda i, j, k: nabla[i, k] * J[i, k, j])
    assert_same(bp1_output_error(nabla, J), delta, magnitude)
    assert (abs(bp1_output_error(nabla, J).sum(axis=1)) <= 1e-15).all()


def test_bp1_with_the_vector_of_derivatives_is_wrong_for_softmax(rng):
    # The seeds' form of BP1, cut to the diagonal, is not the softmax error: the test above can fail.
    nabla, J = rng.normal(size=(4, 3)), softmax_jacobians(rng, 4, 3)
    diagonal = np.einsum("ijj->ij", J)
    assert abs(bp1_output_error(nabla, diagonal) - bp1_output_error(nabla, J)).max() > 0.01


@pytest.mark.parametrize(("m", "n", "above"), SHAPES)
def test_bp2_without_derivative_is_the_bracket(rng, m, n, above):
    weight, delta = rng.normal(size=(above, n)), rng.normal(size=(m, above))
    bracket, magnitude = looped((m, n), above, lambda i, j, k: weight[k, j] * delta[i, k])
    assert_same(bp2_hidden_error(weight, delta), bracket, magnitude)


@pytest.mark.parametrize(("m", "n", "above"), SHAPES)
def test_bp2_with_derivatives(rng, m, n, above):
    weight, delta, slope = (
        rng.normal(size=(above, n)),
        rng.normal(size=(m, above)),
        rng.normal(size=(m, n)),
    )
    lower, magnitude = looped((m, n), above, lambda i, j, k: weight[k, j] * delta[i, k] * slope[i, j])
    assert_same(bp2_hidden_error(weight, delta, slope), lower, magnitude)


@pytest.mark.parametrize(("m", "n", "above"), SHAPES)
def test_bp2_with_jacobians(rng, m, n, above):
    weight, delta, J = (
        rng.normal(size=(above, n)),
        rng.normal(size=(m, above)),
        softmax_jacobians(rng, m, n),
    )
    lower, magnitude = np.zeros((m, n)), np.zeros((m, n))
    for i, j in np.ndindex(m, n):
        for k in range(n):
            for q in range(above):
                lower[i, j] += weight[q, k] * delta[i, q] * J[i, k, j]
                magnitude[i, j] += abs(weight[q, k] * delta[i, q] * J[i, k, j])
    assert_same(bp2_hidden_error(weight, delta, J), lower, 2 * magnitude)  # two nested sums


@pytest.mark.parametrize(("m", "n", "_"), SHAPES)
def test_bp3_sums_the_errors_of_the_batch(rng, m, n, _):
    delta = rng.normal(size=(m, n))
    gradient, magnitude = looped((n,), m, lambda j, i: delta[i, j])
    assert_same(bp3_bias_gradient(delta), gradient, magnitude)


@pytest.mark.parametrize(("m", "below", "n"), SHAPES)
def test_bp4_sums_the_outer_products_of_the_batch(rng, m, below, n):
    delta, previous = rng.normal(size=(m, n)), rng.normal(size=(m, below))
    gradient, magnitude = looped((n, below), m, lambda j, k, i: delta[i, j] * previous[i, k])
    assert_same(bp4_weight_gradient(delta, previous), gradient, magnitude)


def test_the_same_equations_run_on_balls_with_the_same_midpoints(rng):
    nabla, slope, J = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), softmax_jacobians(rng, 4, 3)
    weight, previous = rng.normal(size=(3, 2)), rng.normal(size=(4, 2))

    def ball(array):
        return Ball.exact(array, 2.0**-53)

    pairs = [
        (bp1_output_error(ball(nabla), ball(slope)), bp1_output_error(nabla, slope)),
        (bp1_output_error(ball(nabla), ball(J)), bp1_output_error(nabla, J)),
        (bp2_hidden_error(ball(weight), ball(nabla)), bp2_hidden_error(weight, nabla)),
        (bp3_bias_gradient(ball(nabla)), bp3_bias_gradient(nabla)),
        (bp4_weight_gradient(ball(nabla), ball(previous)), bp4_weight_gradient(nabla, previous)),
    ]
    for enclosed, plain in pairs:
        np.testing.assert_array_equal(enclosed.mid, plain)
        assert (enclosed.rad > 0).all()
        assert (enclosed.rad <= 1e-14).all()
        assert not enclosed.kink.any()
