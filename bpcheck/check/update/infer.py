"""Which rule is this? Its answer to a few gradients that are made for the question says so.

Every entry of one array is a probe of its own: a constant gradient, a single impulse, gradients of many sizes, and none
at all with a weight that may decay. What is read off is a guess; whether the rule really is that is decided by comparing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from bpcheck import tree
from bpcheck.reference.optimizer import SGD, Adam, Momentum, Nesterov, RMSprop, Rule
from bpcheck.tree import FloatArray, Tree

__all__ = ["PROBES", "guesses", "probe", "row_of"]

PROBE_STEPS = 4
"""Three unknowns (β₁, β₂, and what the first step fixes, η) want three steps; the fourth tells rules apart."""

TINY = tuple(10.0**k for k in range(-1, -13, -1))
"""Sizes of gradient, one of which is near ε: practice has 1e-3 to 1e-10."""

BIG = 2.0**20
"""Size of the other gradients: beside 1e6 even an ε of 1e-3 is a part in 1e9. A power of two: dividing by it is exact."""

CONSTANT, IMPULSE, DOUBLE, STILL = range(4)
"""Places of the first probes; those of TINY follow."""

LINEAR = 1e-6
"""How near to 2 the ratio of the steps with twice the gradient is where the step is in proportion to it."""

DIGITS = 6
"""Hyperparameters are numbers that people write: what a probe gives is rounded to so many digits."""

SLOPE_STEP = 1e-7
"""For Newton's slopes: near the root of the roundoff. Their error slows the method and does not move where it ends."""

TYPICAL_BETA1 = (0.9, 0.5, 0.8, 0.95, 0.99, 0.7, 0.1)
TYPICAL_BETA2 = (0.999, 0.99, 0.95, 0.9, 0.9999, 0.98, 0.5)
"""Where the search for the two begins."""

NEWTON_STEPS = 30
"""Newton's method doubles the digits at each step once it is near; from the grid above six were enough."""

Probe = FloatArray
"""The change of each probe's weight at each step: (steps, probes)."""

Shape = Callable[[FloatArray], tuple[Tree, Callable[[Tree], FloatArray]]]
"""Puts a row of numbers into parameters, and gives the function that takes it out again."""

PROBES = STILL + 1 + len(TINY)


def probe(step: Callable[[Tree, Tree], Tree], shape: Shape) -> Probe:
    """Let an optimiser answer the probes.

    Parameters
    ----------
    step : callable
        ``(params, gradient) -> new params``, begun anew.
    shape : callable
    """
    weights = np.zeros(PROBES)
    weights[STILL] = 1.0
    params, taken_out = shape(weights)
    seen = []
    for t in range(PROBE_STEPS):
        gradient = np.zeros(PROBES)
        gradient[CONSTANT], gradient[IMPULSE], gradient[DOUBLE] = BIG, BIG * (t == 0), 2 * BIG
        gradient[STILL + 1 :] = TINY
        before = taken_out(params)  # they may be changed in place
        params = step(params, shape(gradient)[0])
        seen.append(taken_out(params) - before)
    return np.array(seen)


def guesses(change: Probe) -> Iterator[Rule]:
    """Rules that would give these answers, the simplest first."""
    down = -change
    if not np.isfinite(down).all() or not down[0, CONSTANT]:
        return
    decay = float(down[0, STILL])  # ηλ: that weight was 1, and its gradient 0
    linear = abs(down[0, DOUBLE] / down[0, CONSTANT] - 2.0) <= LINEAR
    # a decay beside the step acts on what the earlier steps have moved
    moved = np.vstack([np.zeros(PROBES), -np.cumsum(down, axis=0)[:-1]])
    moved[:, STILL] += 1.0
    beside = down - decay * moved if decay else down
    for rule in _linear(beside / BIG) if linear else _adaptive(beside):
        if not decay:
            yield rule
        elif 0 < decay < 1:
            yield rule.but(weight_decay=_nice(decay / rule.lr), decoupled=True)
    if decay and linear:
        yield from _linear_with_decay(down / BIG, decay)


def _linear_with_decay(down: FloatArray, decay: float) -> Iterator[Rule]:
    """λw is part of the gradient: after the impulse 1 the weight is −η, and v becomes μ − ηλ."""
    first, second = float(down[0, IMPULSE]), float(down[1, IMPULSE])
    mu = _nice(second / first + decay) if first > 0 else math.nan
    if 0 < mu < 1:
        yield Momentum(lr=_nice(first), momentum=mu, weight_decay=_nice(decay / first))


def _nice(value: float) -> float:
    """The number somebody wrote, if what was measured is it to six digits."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else math.nan


def _linear(down: FloatArray) -> Iterator[Rule]:
    first, second, third = (float(down[t, IMPULSE]) for t in range(3))
    if first <= 0:
        return
    if abs(second) <= LINEAR * first:  # what a decay that was taken off leaves is no momentum
        yield SGD(lr=_nice(first))
        return
    mu = _nice(third / second)
    if 0 < mu < 1:
        yield Momentum(lr=_nice(first), momentum=mu)
        yield Nesterov(lr=_nice(first / (1 + mu)), momentum=mu)


def _adaptive(down: FloatArray) -> Iterator[Rule]:
    constant, impulse = down[:, CONSTANT], down[:, IMPULSE]
    for bare in (*_rmsprop(constant, impulse), *_adam(constant, impulse)):
        for place in ("outside", "inside", "uncorrected"):
            if place == "uncorrected" and not (isinstance(bare, Adam) and bare.bias_correction):
                continue
            placed = bare.but(epsilon_at=place)
            epsilon = _epsilon(placed, down[0])
            if epsilon is not None:
                yield placed.but(epsilon=epsilon)


def _rmsprop(constant: FloatArray, impulse: FloatArray) -> Iterator[Rule]:
    # √(1 − ρ²) / √(1 − ρ) = √(1 + ρ) without momentum; with it the impulse's second step is μ times its first
    mu = abs(_nice(impulse[1] / impulse[0])) if impulse[0] else math.nan
    if not 0 <= mu < 1:
        return
    second = constant[1] - mu * constant[0]
    rho = _nice((constant[0] / second) ** 2 - 1) if second > 0 else math.nan
    if 0 < rho < 1:
        yield RMSprop(lr=_nice(constant[0] * math.sqrt(1 - rho)), decay=rho, epsilon=0.0, momentum=mu)


def _adam(constant: FloatArray, impulse: FloatArray) -> Iterator[Rule]:
    if not (impulse[:3] > 0).all():  # no momentum: RMSprop, with corrections or without
        return
    corrected = _betas(np.array([impulse[1] / impulse[0], impulse[2] / impulse[1]]))
    if corrected is not None:
        beta1, beta2 = corrected
        yield Adam(lr=_nice(constant[0]), beta1=beta1, beta2=beta2, epsilon=0.0)
    for beta1, beta2 in _uncorrected(float(constant[1] / constant[0]), float(impulse[1] / impulse[0])):
        first = (1 - beta1) / math.sqrt(1 - beta2)
        rate = _nice(constant[0] / first)
        yield Adam(lr=rate, beta1=beta1, beta2=beta2, epsilon=0.0, bias_correction=False)


def _after_impulse(b: FloatArray) -> FloatArray:
    """Second step beside the first and third beside the second, after one gradient and none, with β₁ and β₂ corrected."""
    t = np.arange(1, 4)
    m = (1 - b[0]) * b[0] ** (t - 1) / (1 - b[0] ** t)
    v = (1 - b[1]) * b[1] ** (t - 1) / (1 - b[1] ** t)
    steps = m / np.sqrt(v)
    return np.asarray(steps[1:] / steps[:-1])


def _betas(wanted: FloatArray) -> tuple[float, float] | None:
    """β₁ and β₂ that give these quotients, by Newton's method from typical ones."""
    with np.errstate(all="ignore"):
        for start in itertools.product(TYPICAL_BETA1, TYPICAL_BETA2):
            b = np.array(start)
            for _ in range(NEWTON_STEPS):
                value = _after_impulse(b) - wanted
                slope = np.array(
                    [(_after_impulse(b + h) - wanted - value) / SLOPE_STEP for h in SLOPE_STEP * np.eye(2)]
                )
                if not np.isfinite(slope).all() or np.linalg.det(slope) == 0.0:
                    break
                b = b - np.linalg.solve(slope.T, value)
                if not (np.isfinite(b).all() and (b > 0).all() and (b < 1).all()):
                    break
            else:
                found = _nice(b[0]), _nice(b[1])
                if np.allclose(_after_impulse(np.array(found)), wanted, rtol=LINEAR):
                    return found
    return None


def _uncorrected(ratio: float, quotient: float) -> Iterator[tuple[float, float]]:
    """A constant gradient's second step is (1 + β₁)/√(1 + β₂) of its first; after an impulse each is β₁/√β₂ of the last."""
    # β₁ = q√β₂ put into (1 + β₁)² = r²(1 + β₂): a quadratic equation in √β₂
    a, b, c = quotient**2 - ratio**2, 2 * quotient, 1 - ratio**2
    if a == 0 or b * b < 4 * a * c:
        return
    for sign in (1, -1):
        root = (-b + sign * math.sqrt(b * b - 4 * a * c)) / (2 * a)
        beta1, beta2 = _nice(quotient * root), _nice(root * root)
        if root > 0 and 0 < beta1 < 1 and 0 < beta2 < 1:
            yield beta1, beta2


def _epsilon(rule: Rule, first: FloatArray) -> float | None:
    """ε from the first step of the smallest gradient that it halves, or nearly."""
    assert isinstance(rule, RMSprop | Adam)
    largest = float(first[CONSTANT])
    small = [(g, float(step)) for g, step in zip(TINY, first[STILL + 1 :], strict=True)]
    shares = [(abs(step / largest - 0.5), g, step / largest) for g, step in small]
    _, g, share = min(shares)
    if not 0 < share < 1:
        return 0.0 if share == 1 else None
    scale = 1.0  # what stands for |g| in the root at the first step
    if isinstance(rule, RMSprop):
        scale = math.sqrt(1 - rule.decay)
    elif not rule.bias_correction or rule.epsilon_at == "uncorrected":
        scale = math.sqrt(1 - rule.beta2)
    if rule.epsilon_at == "inside":
        return _nice((scale * g) ** 2 * (1 / share**2 - 1))
    return _nice(scale * g * (1 / share - 1))


def row_of(like: Tree) -> Shape:
    """Put a row into trees of a form, flat and padded with zeros; they must hold PROBES numbers."""
    leaves = [np.asarray(leaf) for _, leaf in tree.leaves(like)]

    def shape(row: FloatArray) -> tuple[Tree, Callable[[Tree], FloatArray]]:
        sizes = [leaf.size for leaf in leaves]
        padded = np.zeros(max(sum(sizes), row.size))
        padded[: row.size] = row
        filled, start = [], 0
        for leaf in leaves:
            filled.append(padded[start : start + leaf.size].reshape(leaf.shape).astype(leaf.dtype))
            start += leaf.size

        def out(params: Tree) -> FloatArray:
            flat = [np.asarray(leaf, dtype=float).ravel() for _, leaf in tree.leaves(params)]
            return np.concatenate(flat)[: row.size]

        return tree.restore(like, filled), out

    return shape
