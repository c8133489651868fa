"""Experiments on training, for notebook 4: each runs in seconds, from a fixed seed, and returns its numbers.

They put sentences about training to the test that are often read as general. Every one is small, so that it can be run
again with other numbers, and every one shows what happened once, in one setting: the docstrings say which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.data import load_digits
from bpcheck.errors import InputError
from bpcheck.health import GradientHealth, gradient_health
from bpcheck.network.architecture import Architecture, mlp
from bpcheck.network.layers import Dense, Skip
from bpcheck.reference import build
from bpcheck.reference.initialize import initializer
from bpcheck.reference.optimizer import SGD, Adam, Momentum, RMSprop, Rule
from bpcheck.strategies.numbers import fill
from bpcheck.training import EarlyStopping, Training, fit
from bpcheck.tree import FloatArray, Tree

__all__ = [
    "DEEP",
    "MINIMA",
    "Run",
    "Starts",
    "digits",
    "explosion",
    "gradient_noise",
    "health",
    "noise_floor",
    "optimizers",
    "overfitted",
    "progress_of",
    "rare_gradients",
    "saddle",
    "train",
    "two_minima",
    "xor",
]

SEED = 0
TRAINED_ON = 1400
"""Of the 1797 digits; the other 397, drawn at random, are held out."""

NETWORK = mlp([64, 32, 10], activation="relu", loss="cross_entropy")
_fit = partial(fit, NETWORK, progress=False)


@lru_cache(maxsize=1)
def digits() -> tuple[FloatArray, FloatArray, tuple[FloatArray, FloatArray]]:
    """Images and one-hot targets to train on, and a pair of those that are held out.

    Examples
    --------
    >>> x, y, held_out = digits()
    >>> x.shape, y.shape, held_out[0].shape
    ((1400, 64), (1400, 10), (397, 64))
    """
    data = load_digits()
    order = np.random.default_rng(SEED).permutation(len(data.images))
    few, rest = order[:TRAINED_ON], order[TRAINED_ON:]
    x, y = np.asarray(data.images), np.asarray(data.one_hot)
    return x[few], y[few], (x[rest], y[rest])


def train(rule: Rule, *, epochs: int = 10, batch: int = 32, seed: int = SEED, **options: Any) -> Training:
    """A network of 64-32-10 units on the digits; :func:`bpcheck.training.fit` with everything but the rule chosen.

    Examples
    --------
    >>> train(SGD(lr=0.1), epochs=1).last.number
    1
    """
    x, y, held_out = digits()
    return _fit(x, y, rule=rule, epochs=epochs, batch=batch, seed=seed, held_out=held_out, **options)


FEW, WRONG = 300, 0.2
"""Of the digits, and the share of them whose label is drawn at random: a network can learn these by heart, to its harm."""


def overfitted(rule: Rule, *, epochs: int = 40, stop: EarlyStopping | None = None) -> Training:
    """The same network on 300 digits, a fifth of them with a label drawn at random; those held out have right ones.

    Examples
    --------
    >>> overfitted(Momentum(lr=0.05), epochs=2).last.number
    2
    """
    x, y, held_out = digits()
    rng = np.random.default_rng(SEED)
    labels = y[:FEW].copy()
    spoilt = rng.choice(FEW, int(WRONG * FEW), replace=False)
    labels[spoilt] = np.eye(y.shape[1])[rng.integers(y.shape[1], size=len(spoilt))]
    return _fit(x[:FEW], labels, rule=rule, epochs=epochs, batch=16, seed=SEED, held_out=held_out, stop=stop)


# --- noise of the gradient -----------------------------------------------------------------------------

DRAWS = 200
"""Mini-batches drawn for each size: the root mean square over 200 is known to some 5 %."""


def gradient_noise(sizes: Sequence[int] = (1, 4, 16, 64, 256)) -> dict[int, tuple[float, float]]:
    """How far the gradient of a mini-batch is from that of all examples, relative to the latter's norm.

    At the parameters at which training starts; mini-batches drawn without replacement.

    Returns
    -------
    dict
        size → (measured, expected): ‖g_batch − g‖/‖g‖ as root mean square, and √((N − m)/((N − 1) m)) times that of one
        example.

    Examples
    --------
    >>> noise = gradient_noise((1, 4))
    >>> 1.8 < noise[1][0] / noise[4][0] < 2.2
    True
    """
    x, y, _ = digits()
    network, rng = build(NETWORK), np.random.default_rng(SEED)
    params = network.init(rng)
    each = np.stack([_flat(network.gradient(params, x[i : i + 1], y[i : i + 1])) for i in range(len(x))])
    mean = each.mean(axis=0)
    size, one = float(np.linalg.norm(mean)), float(np.sqrt(np.mean(np.sum((each - mean) ** 2, axis=1))))
    found = {}
    for m in sizes:
        rows = (rng.choice(len(each), m, replace=False) for _ in range(DRAWS))
        squares = [float(np.sum((each[chosen].mean(axis=0) - mean) ** 2)) for chosen in rows]
        expected = one * float(np.sqrt((len(each) - m) / ((len(each) - 1) * m)))
        found[m] = float(np.sqrt(np.mean(squares))) / size, expected / size
    return found


def _flat(gradient: Tree) -> FloatArray:
    return np.concatenate([np.asarray(leaf, dtype=float).ravel() for _, leaf in tree.leaves(gradient)])


# --- one example at a time, mini-batches, all of them ------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """The loss on all training examples, as training goes on; ``steps`` had been taken when each was looked at."""

    batch: int
    rate: float
    steps: tuple[int, ...]
    losses: tuple[float, ...]

    def after(self, *, steps: int | None = None, examples: int | None = None) -> float:
        """The loss when it was last looked at, at most so many steps or examples in; the first one before that."""
        most = steps if steps is not None else (examples or 0) // self.batch
        return [loss for at, loss in zip(self.steps, self.losses, strict=True) if at <= most][-1]


def progress_of(batch: int, rate: float, *, steps: int, looks: Sequence[int] | None = None) -> Run:
    """Plain gradient descent on the digits, the loss on all 1400 examples looked at on the way.

    ``looks`` says after how many steps; powers of two and the end if not given. A batch of 1400 is all of them.

    Examples
    --------
    >>> run = progress_of(1400, 0.5, steps=2)
    >>> run.steps, run.losses[0] > run.losses[2]
    ((0, 1, 2), True)
    """
    x, y, _ = digits()
    if not 1 <= batch <= len(x):
        raise InputError(f"batch is {batch}; give 1 to {len(x)} examples.")
    network, rng = build(NETWORK), np.random.default_rng(SEED)
    params, rule = network.init(rng), SGD(lr=rate)
    state = rule.init(params)
    wanted = set(looks if looks is not None else [0, *(2**k for k in range(steps.bit_length())), steps])
    order: list[int] = []
    at, losses = [], []
    for step in range(steps + 1):
        if step in wanted and step <= steps:
            at.append(step)
            losses.append(float(network.loss(params, x, y)))
        if len(order) < batch:  # a new pass over the data; a rest that is too small for a batch is left out
            order = list(rng.permutation(len(x)))
        rows, order = order[:batch], order[batch:]
        params, state = rule.step(params, network.gradient(params, x[rows], y[rows]), state)
    return Run(batch, rate, tuple(at), tuple(losses))


def noise_floor(rates: Sequence[float] = (0.02, 0.01, 0.005), *, epochs: int = 40) -> dict[str, float]:
    """Where stochastic gradient descent stays at a constant learning rate, one example at a time, and what helps.

    Linear regression of the ten classes on the pixels: no line goes through all targets, and the minimum is known
    exactly, by least squares. (A network that fits every example has no floor: there each example's own gradient ends
    at 0.)

    Returns
    -------
    dict of str to float
        The mean of C − C_min over the last quarter of the steps, by name: for each rate, for mini-batches of 16 at the
        first rate, and for the first rate over 1 + t/N.

    Examples
    --------
    >>> floors = noise_floor((0.02, 0.01), epochs=4)
    >>> floors["one example, η = 0.02"] > floors["one example, η = 0.01"] > 0
    True
    """
    x, y, _ = digits()
    inputs = np.column_stack([x, np.ones(len(x))])
    best = np.linalg.lstsq(inputs, y, rcond=None)[0]
    least = _half_squares(inputs, y, best)

    def excess(rate: float, batch: int, *, decays: bool = False) -> float:
        rng = np.random.default_rng(SEED)
        w = best.copy()  # begun at the minimum itself: what comes is noise alone
        steps = epochs * len(x) // batch
        seen = []
        for t in range(steps):
            rows = rng.integers(len(x), size=batch)
            eta = rate / (1 + t * batch / len(x)) if decays else rate
            w -= eta / batch * inputs[rows].T @ (inputs[rows] @ w - y[rows])
            if t >= 3 * steps // 4 and t % (len(x) // batch // 4) == 0:
                seen.append(_half_squares(inputs, y, w) - least)
        return float(np.mean(seen))

    return {
        **{f"one example, η = {rate:g}": excess(rate, 1) for rate in rates},
        f"16 examples, η = {rates[0]:g}": excess(rates[0], 16),
        f"one example, η = {rates[0]:g}/(1 + t/N)": excess(rates[0], 1, decays=True),
    }


def _half_squares(x: FloatArray, y: FloatArray, w: FloatArray) -> float:
    return float(0.5 * np.mean(np.sum((x @ w - y) ** 2, axis=1)))


# --- two minima, a saddle, and networks that are stuck -----------------------------------------------------

TILT = 0.3
"""Of C(w) = (w² − 1)² + 0.3w, which has its lower minimum near −1 and its higher one near 1."""

MINIMA = (-1.035579, 0.960150)
"""Where they are, to six digits."""

TOP = float(np.sort(np.roots([4.0, 0.0, -4.0, TILT]).real)[1])
"""The maximum between the valleys."""


def tilted(w: Any) -> Any:
    """C(w) = (w² − 1)² + 0.3w."""
    return (w**2 - 1) ** 2 + TILT * w


def slope_of_tilted(w: Any) -> Any:
    """C'(w)."""
    return 4 * w * (w**2 - 1) + TILT


@dataclass(frozen=True)
class Starts:
    """Starting points by the minimum whose valley they lie in and the one that they end in.

    Good is the lower minimum; lost are those that ended at neither.
    """

    stayed_good: int
    stayed_bad: int
    left_bad: int
    left_good: int
    lost: int

    @property
    def ended_good(self) -> int:
        """How many ended in the lower minimum."""
        return self.stayed_good + self.left_bad


def two_minima(rule: Rule, *, starts: int = 401, steps: int = 2000, reach: float = 2.0) -> Starts:
    """Count where a rule ends on :func:`tilted`, from starting points spread evenly over [−reach, reach].

    Examples
    --------
    >>> two_minima(SGD(lr=0.01), starts=41).left_bad
    0
    """
    w = start = np.linspace(-reach, reach, starts)
    state = rule.init(w)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            w, state = rule.step(w, slope_of_tilted(w), state)
    near = [np.abs(w - minimum) < 0.01 for minimum in MINIMA]
    was_good = start < TOP
    return Starts(
        int(np.sum(near[0] & was_good)),
        int(np.sum(near[1] & ~was_good)),
        int(np.sum(near[0] & ~was_good)),
        int(np.sum(near[1] & was_good)),
        int(np.sum(~near[0] & ~near[1])),
    )


def saddle(rule: Rule, *, offset: float = 1e-6, most: int = 10_000) -> int:
    """Steps until the saddle of C(u, v) = ½u² + ¼v⁴ − ½v² is left, begun at (1, offset): until v is beyond ±½.

    Examples
    --------
    >>> saddle(SGD(lr=0.1)) > saddle(Momentum(lr=0.1))
    True
    """
    w = np.array([1.0, offset])
    state = rule.init(w)
    for step in range(1, most + 1):
        w, state = rule.step(w, np.array([w[0], w[1] ** 3 - w[1]]), state)
        if abs(w[1]) > 0.5:
            return step
    return most


XOR_X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_Y = np.array([0.0, 1.0, 1.0, 0.0])
SOLVED = 0.05
"""A cross-entropy at which all four are read right; a network that reads three of them right stays above 0.3."""


def xor(rule: Rule, *, hidden: int, runs: int = 200, steps: int = 3000) -> int:
    """XOR by one hidden layer of tanh, from many starts: how many are not stuck at the end.

    The rule must treat each entry for itself: all runs are made at once. Two hidden units are enough to compute XOR.

    Examples
    --------
    >>> xor(SGD(lr=0.5), hidden=8, runs=20)
    20
    """
    rng = np.random.default_rng(SEED)
    params = {
        "W": rng.normal(size=(runs, hidden, 2)),
        "b": np.zeros((runs, hidden, 1)),
        "u": rng.normal(size=(runs, 1, hidden)) / np.sqrt(hidden),
        "c": np.zeros((runs, 1, 1)),
    }
    state = rule.init(params)
    for _ in range(steps):
        a = np.tanh(params["W"] @ XOR_X.T + params["b"])
        z = params["u"] @ a + params["c"]
        delta = (1 / (1 + np.exp(-z)) - XOR_Y) / len(XOR_Y)
        below = params["u"].swapaxes(1, 2) * delta * (1 - a**2)
        gradient = {
            "W": below @ XOR_X,
            "b": below.sum(axis=2, keepdims=True),
            "u": delta @ a.swapaxes(1, 2),
            "c": delta.sum(axis=2, keepdims=True),
        }
        params, state = rule.step(params, gradient, state)
    z = (params["u"] @ np.tanh(params["W"] @ XOR_X.T + params["b"]) + params["c"])[:, 0]
    loss = np.mean(np.logaddexp(0, z) - XOR_Y * z, axis=1)
    return int(np.sum(loss < SOLVED))


# --- rare gradients --------------------------------------------------------------------------------------


def rare_gradients(rule: Rule, *, every: int, size: float = 1.0, steps: int = 2000) -> float:
    """How far one weight moves, in units of η, if its gradient is ``size`` at every so-many-th step and else 0.

    Examples
    --------
    >>> rare_gradients(SGD(lr=1.0), every=100)
    20.0
    """
    w = np.array([0.0])
    state = rule.init(w)
    for t in range(1, steps + 1):
        w, state = rule.step(w, np.array([size if t % every == 0 else 0.0]), state)
    return float(-w[0] / rule.lr)


# --- errors that vanish and explode ------------------------------------------------------------------------

LAYERS, UNITS, EXAMPLES = 20, 64, 64


def _with_skips(activation: str) -> Architecture:
    hidden = [Skip((Dense(UNITS, activation),))] * (LAYERS - 2)
    return Architecture(
        (UNITS,), (Dense(UNITS, activation), *hidden, Dense(10, "softmax")), loss="cross_entropy"
    )


DEEP: Mapping[str, tuple[Architecture, str | None]] = {
    "sigmoid": (mlp([UNITS] * LAYERS + [10], activation="sigmoid", loss="cross_entropy"), None),
    "relu": (mlp([UNITS] * LAYERS + [10], activation="relu", loss="cross_entropy"), None),
    "sigmoid, skips": (_with_skips("sigmoid"), None),
    "relu, skips": (_with_skips("relu"), None),
    "relu, skips, small start": (_with_skips("relu"), "small_random"),
}
"""Networks of 20 layers of 64 units, and how their weights are drawn: as in ``docs/gradient_health.md``."""


@lru_cache(maxsize=8)
def health(name: str) -> GradientHealth:
    """Gradient health of one of ``DEEP`` on 64 digits.

    Examples
    --------
    >>> health("sigmoid").verdict
    'vanishing'
    """
    network, rule = DEEP[name]
    data = load_digits()
    return gradient_health(
        network,
        x=data.images[:EXAMPLES],
        y=data.one_hot[:EXAMPLES],
        initialization=rule,
        seed=SEED,
        jacobians=0,
    )


def explosion(
    rule: Rule, *, penalty: float = 0.0, small: bool = False, epochs: int = 2
) -> tuple[float, float, float]:
    """A deep ReLU network with skips, whose errors explode, and what is done about it.

    ``penalty`` is λ₂ of ½λ₂‖W‖² in the cost; ``small`` draws the weights small.

    Returns
    -------
    tuple of float
        Norm of the gradient at the start, penalty included; the factor a layer; the loss on the training digits at the end,
        penalty not included, NaN if the run did not get there.

    Examples
    --------
    >>> norm, factor, loss = explosion(SGD(lr=0.01), epochs=1)
    >>> norm > 1000, bool(np.isnan(loss))
    (True, True)
    """
    unpenalised, _ = DEEP["relu, skips"]
    network = build(
        Architecture(unpenalised.input_shape, unpenalised.layers, loss="cross_entropy", l2=penalty)
    )
    rng = np.random.default_rng(SEED)
    params = network.init(rng)
    if small:
        draw = initializer("small_random")
        params = fill(
            unpenalised,
            lambda role, shape: draw(rng, (shape[0], shape[1])) if role == "weight" else np.zeros(shape),
        )
    x, y, _ = digits()
    first = x[:EXAMPLES], y[:EXAMPLES]
    norm = float(np.linalg.norm(_flat(network.gradient(params, *first))))
    factor = gradient_health(network, params, *first, jacobians=0, seed=SEED).factor
    run = fit(network, x, y, rule=rule, epochs=epochs, params=params, seed=SEED, progress=False)
    return norm, factor, float("nan") if run.stopped else float(build(unpenalised).loss(run.params, x, y))


# --- which rule is best ------------------------------------------------------------------------------------

CANDIDATES: Mapping[str, tuple[Rule, ...]] = {
    "SGD": tuple(SGD(lr=rate) for rate in (0.125, 0.25, 0.5, 1.0)),
    "SGD, momentum 0.9": tuple(Momentum(lr=rate) for rate in (0.0125, 0.025, 0.05, 0.1)),
    "RMSprop": tuple(RMSprop(lr=rate) for rate in (0.0025, 0.005, 0.01, 0.02)),
    "Adam": tuple(Adam(lr=rate) for rate in (0.0025, 0.005, 0.01, 0.02)),
}
"""Four rates for each, a factor of 2 apart."""


def optimizers(*, seeds: int = 5, epochs: int = 10) -> dict[str, dict[float, tuple[FloatArray, FloatArray]]]:
    """Four rules at four rates each on the digits: loss and accuracy on those held out, one number for each seed.

    Examples
    --------
    >>> found = optimizers(seeds=1, epochs=1)
    >>> sorted(found["Adam"]), found["Adam"][0.01][0].shape
    ([0.0025, 0.005, 0.01, 0.02], (1,))
    """
    found: dict[str, dict[float, tuple[FloatArray, FloatArray]]] = {}
    for name, rules in CANDIDATES.items():
        found[name] = {}
        for rule in rules:
            last = [train(rule, epochs=epochs, seed=seed).last for seed in range(seeds)]
            found[name][rule.lr] = (
                np.array([one.held_out_loss for one in last], dtype=float),
                np.array([one.held_out_accuracy for one in last], dtype=float),
            )
    return found
