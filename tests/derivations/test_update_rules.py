"""What the derivations of update rules say, held against the rules themselves: the induction, and what else is assumed."""

import fractions

import numpy as np
import pytest
import sympy

from bpcheck.symbolic.index import Digits, World
from bpcheck.symbolic.index.interpret import Reading
from derivations import adam_bias_correction as adam
from derivations import momentum_average as momentum
from derivations import steepest_descent as steepest

# Some tens of operations on numbers of size 1.
ROUNDING = 1e-13


def value(expression, scalars, sizes=None, entries=None, given=()):
    """A term at the numbers of a run: scalars by symbol, entries as arrays by tensor, the first index 1."""
    # a symbol is nowhere bound: to put a number in its place captures nothing
    number = {symbol: sympy.Rational(float(scalar)) for symbol, scalar in scalars.items()}
    numbers = {
        (tensor.name, tuple(place + 1 for place in at)): fractions.Fraction(float(array[at]))
        for tensor, array in (entries or {}).items()
        for at in np.ndindex(array.shape)
    }
    world = World(sizes or {}, {}, {}, values=numbers, given=given)
    return float(Reading(world, Digits()).value(expression.xreplace(number), {}))


def same(left, right, size=1.0):
    return abs(left - right) <= ROUNDING * max(size, abs(right))


# --- momentum ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
@pytest.mark.parametrize("rate", [0.5, 0.9, 0.99])
def test_momentum_that_runs_is_the_weighted_average(steps, rate):
    gradients = np.random.default_rng(steps).normal(size=steps)
    v = 0.0
    for gradient in gradients:
        v = rate * v + (1 - rate) * gradient
    after_t_steps = next(fact.right for fact in momentum.average.given if fact.left == momentum.v[momentum.t])
    assert same(value(after_t_steps, {momentum.beta: rate}, {momentum.t: steps}, {momentum.g: gradients}), v)
    last = momentum.average.result  # the same after one step more
    if steps > 1:
        assert same(value(last, {momentum.beta: rate}, {momentum.t: steps - 1}, {momentum.g: gradients}), v)


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
def test_the_weights_are_what_each_gradient_adds(steps):
    rate, weights = 0.9, np.zeros(steps)
    for place in range(steps):
        v = 0.0
        for step in range(steps):
            v = rate * v + (1 - rate) * (step == place)
        weights[place] = v
    for derivation, run in (
        (momentum.weights_add_up, weights.sum()),
        (momentum.length, weights.sum() / weights[-1]),
        (momentum.noise, weights.sum() ** 2 / (weights**2).sum()),
    ):
        assert same(value(derivation.result, {momentum.beta: rate}, {momentum.t: steps}), run)


def test_the_limits_that_the_text_names():
    nine_tenths = {momentum.beta: sympy.Rational(9, 10)}
    assert sympy.limit(momentum.length.result.xreplace(nine_tenths), momentum.t, sympy.oo) == 10
    assert sympy.limit(momentum.noise.result.xreplace(nine_tenths), momentum.t, sympy.oo) == 19
    b = sympy.Symbol("b", positive=True)
    assert sympy.limit(b ** (1 / (1 - b)), b, 1, "-") == sympy.exp(-1)


def quadratic(seed, size=4):
    """The gradient of a cost, as a function of the weights."""
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(size, size)), rng.normal(size=size)
    return lambda w: A.T @ (A @ w) / size - b


def test_the_two_forms_move_the_weights_alike():
    """Along a whole run, whose gradients are taken where the weights are, and with a rate that changes."""
    slope, mu = quadratic(0), 0.9
    w_avg = w_sum = np.ones(4)
    v = u = np.zeros(4)
    for step in range(20):
        eta_avg = 0.05 if step < 10 else 0.02
        v, u = mu * v + (1 - mu) * slope(w_avg), mu * u + slope(w_sum)
        w_avg, w_sum = w_avg - eta_avg * v, w_sum - eta_avg * (1 - mu) * u
        assert np.all(abs(w_avg - w_sum) <= ROUNDING)
    assert not np.allclose(w_avg, 1)


# --- Adam ----------------------------------------------------------------------------------------------


def adam_step(g, state, step, eta, betas, epsilon, *, corrected=True):
    """One step of algorithm 1: what is taken from the weights, and the averages."""
    m, v = state
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
    m_hat, v_hat = (m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)) if corrected else (m, v)
    return eta * m_hat / (np.sqrt(v_hat) + epsilon), (m, v)


@pytest.mark.parametrize("steps", [1, 3, 40])
def test_the_mean_over_outcomes_of_averages_that_run(steps):
    outcomes, mean, beta = 7, 0.75, 0.9
    drawn = np.random.default_rng(steps).uniform(0.5, 2, size=(steps, outcomes)) ** 2
    drawn *= mean / drawn.mean(axis=1, keepdims=True)  # stationary
    v = np.zeros(outcomes)
    for squares in drawn:
        v = beta * v + (1 - beta) * squares
    scalars, sizes = {adam.mu_2: mean, adam.beta_2: beta}, {adam.t: steps}
    assert same(value(adam.expected_square.result, scalars, sizes), v.mean())
    assert same(value(adam.corrected.result, scalars, sizes), (v / (1 - beta**steps)).mean())


@pytest.mark.parametrize("g", [0.3, -2.0, 1e-7])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.75)])
def test_the_first_step_of_adam(g, betas):
    eta, epsilon, zero = 0.01, 1e-8, (0.0, 0.0)
    scalars = {
        **{adam.eta: eta, adam.epsilon: epsilon},
        **{adam.kappa_1: 1 - betas[0], adam.kappa_2: 1 - betas[1]},
    }
    gradient = {adam.g: np.array([g])}
    for derivation, corrected in ((adam.first_step, True), (adam.without, False)):
        run, _ = adam_step(g, zero, 1, eta, betas, epsilon, corrected=corrected)
        derived = value(derivation.result, scalars, {}, gradient)
        assert abs(derived - run) <= ROUNDING * abs(run)


def test_how_much_larger_the_first_step_is_without_the_correction():
    with_it, without = (
        adam_step(1.0, (0.0, 0.0), 1, 1.0, (0.9, 0.999), 0.0, corrected=corrected)[0]
        for corrected in (True, False)
    )
    assert without / with_it == pytest.approx(float(adam.at_the_defaults.result), rel=ROUNDING)
    assert float(adam.at_the_defaults.result) == pytest.approx(3.16, abs=0.005)
    in_general = sympy.Symbol("kappa_1", positive=True) / sympy.sqrt(sympy.Symbol("kappa_2", positive=True))
    assert (
        adam.without.result.subs(adam.epsilon, 0) / (adam.first_step.result.subs(adam.epsilon, 0))
        == in_general
    )


# --- steepest descent and weight decay -------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5])
def test_no_other_step_is_better(size):
    rng, eta, r = np.random.default_rng(size), 0.3, 0.7
    g = rng.normal(size=size)
    scalars, sizes = {steepest.eta: eta, steepest.radius: r}, {steepest.n: size}

    def price(d):
        return value(steepest.model, scalars, sizes, {steepest.g: g, steepest.d: d})

    best, least = price(-eta * g), value(steepest.reached.result, scalars, sizes, {steepest.g: g})
    assert same(best, -eta / 2 * g @ g)
    assert same(least, -r * np.linalg.norm(g))
    for _ in range(30):
        d = -eta * g + rng.normal(size=size) * 10.0 ** -rng.integers(0, 4)
        assert price(d) > best
        d *= r / np.linalg.norm(d)
        assert g @ d >= least - ROUNDING


def test_weight_decay_coupled_and_decoupled_with_momentum():
    """Two steps on a real cost: the gradient of the second one is the same for both, because the first one was."""
    slope, eta, mu, decay, start = quadratic(1), 0.1, 0.9, 0.05, np.array([1.0, -2.0, 0.5, 3.0])
    w, v, x, u = start, np.zeros(4), start, np.zeros(4)
    gaps = []
    for _ in range(2):
        v = mu * v + slope(w) + decay * w
        u = mu * u + slope(x)
        w, x = w - eta * v, (1 - eta * decay) * x - eta * u
        gaps.append(w - x)
    assert np.all(abs(gaps[0]) <= ROUNDING)
    assert np.all(abs(gaps[1] + eta * mu * decay * start) <= ROUNDING)
    scalars = {steepest.eta: eta, steepest.mu: mu, steepest.decay: decay, steepest.w[0]: 1.0}
    assert same(value(steepest.momentum_differs.result, scalars), gaps[1][0])


def test_weight_decay_coupled_and_decoupled_with_adam():
    """A weight without a gradient: coupled, it moves by η whatever λ is."""
    eta, w = 0.01, np.array([2.0, -0.5])
    for decay in (1e-1, 1e-4):
        step, _ = adam_step(0.0 + decay * w, (0.0, 0.0), 1, eta, (0.9, 0.999), 0.0)
        assert np.all(abs(step - eta * np.sign(w)) <= ROUNDING)
        assert np.all(abs(step - eta * decay * w) > eta / 2)


# --- PyTorch's own ---------------------------------------------------------------------------------------


def torch_run(optimizer, slope, steps, **options):
    import torch

    weights = torch.ones(4, dtype=torch.float64, requires_grad=True)
    method = getattr(torch.optim, optimizer)([weights], **options)
    for _ in range(steps):
        weights.grad = torch.from_numpy(slope(weights.detach().numpy()))
        method.step()
    return weights.detach().numpy()


@pytest.mark.torch
def test_pytorchs_momentum_is_the_sum_form():
    slope, mu, eta_avg = quadratic(2), 0.9, 0.05
    w, v = np.ones(4), np.zeros(4)
    for _ in range(8):
        v = mu * v + (1 - mu) * slope(w)
        w = w - eta_avg * v
    run = torch_run("SGD", slope, 8, lr=eta_avg * (1 - mu), momentum=mu)
    assert np.all(abs(run - w) <= ROUNDING)
    # its dampening makes an average of all but the first gradient, which counts in full
    dampened = torch_run("SGD", slope, 1, lr=eta_avg, momentum=mu, dampening=mu)
    assert np.all(abs(dampened - (1 - eta_avg * slope(np.ones(4)))) <= ROUNDING)


@pytest.mark.torch
def test_pytorchs_first_step_of_adam_and_its_weight_decay():
    slope, eta, decay = quadratic(3), 0.01, 0.1
    g = slope(np.ones(4))
    assert np.all(abs(torch_run("Adam", slope, 1, lr=eta) - (1 - eta * g / (abs(g) + 1e-8))) <= ROUNDING)
    nothing = np.zeros_like
    coupled = torch_run("Adam", nothing, 1, lr=eta, weight_decay=decay)
    decoupled = torch_run("AdamW", nothing, 1, lr=eta, weight_decay=decay)
    assert np.all(abs(coupled - (1 - eta)) <= 1e-8)  # ε/λ of the step
    assert np.all(abs(decoupled - (1 - eta * decay)) <= ROUNDING)
