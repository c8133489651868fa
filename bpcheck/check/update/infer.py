"""Which rule is this? Its answer to a few gradients that are made for the question says so.

Every entry of one array is a probe of its own: a constant gradient, a single impulse, gradients of many sizes, and none
at all with a weight that may decay. What is read off is a guess; whether the rule really is that is decided by comparing.
"""

from __future__ import annotations

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

CONSTANT, IMPULSE, DOUBLE, STILL = range(4)
"""Places of the first probes; those of TINY follow."""

LINEAR = 1e-6
"""How near to 2 the ratio of the steps with twice the gradient is where the step is in proportion to it."""

DIGITS = 6
"""Hyperparameters are numbers that people write: what a probe gives is rounded to so many digits."""

TYPICAL_BETA1 = (0.9, 0.5, 0.0, 0.8, 0.95, 0.99, 0.7)
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
        gradient[CONSTANT], gradient[IMPULSE], gradient[DOUBLE] = 1.0, float(t == 0), 2.0
        gradient[STILL + 1 :] = TINY
        new = step(params, shape(gradient)[0])
        seen.append(taken_out(new) - taken_out(params))
        params = new
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
    for rule in (_linear if linear else _adaptive)(down - decay * moved if decay else down):
        if not decay:
            yield rule
        elif 0 < decay < 1:
            yield rule.but(weight_decay=_nice(decay / rule.lr), decoupled=True)
    if decay and linear:
        yield from _linear_with_decay(down, decay)


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
    for corrected in (True, False):
        for start1 in TYPICAL_BETA1:
            for start2 in TYPICAL_BETA2:
                found = _betas(constant, impulse, start1, start2, corrected=corrected)
                if found is None:
                    continue
                beta1, beta2 = found
                first = 1.0 if corrected else (1 - beta1) / math.sqrt(1 - beta2)
                yield Adam(
                    lr=_nice(constant[0] / first),
                    beta1=beta1,
                    beta2=beta2,
                    epsilon=0.0,
                    bias_correction=corrected,
                )
                break
            else:
                continue
            break


def _betas(
    constant: FloatArray, impulse: FloatArray, beta1: float, beta2: float, *, corrected: bool
) -> tuple[float, float] | None:
    """β₁ and β₂ from the second and third step after an impulse, beside the first; by Newton's method."""
    if impulse[0] <= 0 or impulse[1] < 0:
        return None
    if impulse[1] == 0:  # no momentum: RMSprop with corrections
        return None
    wanted = np.array([impulse[1] / impulse[0], impulse[2] / impulse[1]])

    def after_impulse(b: FloatArray) -> FloatArray:
        steps = []
        for t in (1, 2, 3):
            m, v = (1 - b[0]) * b[0] ** (t - 1), (1 - b[1]) * b[1] ** (t - 1)
            if corrected:
                m, v = m / (1 - b[0] ** t), v / (1 - b[1] ** t)
            steps.append(m / np.sqrt(v))
        return np.array([steps[1] / steps[0], steps[2] / steps[1]])

    if not corrected:  # each step is β₁/√β₂ of the one before: the constant gradient tells them apart
        return _uncorrected(constant, float(wanted[0]))
    b = np.array([beta1 or 0.01, beta2])
    with np.errstate(all="ignore"):
        for _ in range(NEWTON_STEPS):
            value = after_impulse(b) - wanted
            slope = np.array([(after_impulse(b + h) - wanted - value) / 1e-7 for h in 1e-7 * np.eye(2)]).T
            try:
                b = b - np.linalg.solve(slope, value)
            except np.linalg.LinAlgError:
                return None
            if not (np.isfinite(b).all() and (b > 0).all() and (b < 1).all()):
                return None
    found = _nice(b[0]), _nice(b[1])
    exact = bool(np.allclose(after_impulse(np.array(found)), wanted, rtol=1e-6))
    return found if exact and all(0 < one < 1 for one in found) else None


def _uncorrected(constant: FloatArray, quotient: float) -> tuple[float, float] | None:
    """(1 + β₁)/√(1 + β₂) is the second step of a constant gradient beside the first; β₁ = q √β₂."""
    ratio = constant[1] / constant[0]
    # (1 + q√x)² = r²(1 + x), a quadratic equation in √x
    a, b, c = quotient**2 - ratio**2, 2 * quotient, 1 - ratio**2
    if a == 0 or b * b - 4 * a * c < 0:
        return None
    for root in ((-b + s * math.sqrt(b * b - 4 * a * c)) / (2 * a) for s in (1, -1)):
        beta2, beta1 = _nice(root * root), _nice(quotient * root)
        if root > 0 and 0 < beta2 < 1 and 0 < beta1 < 1:
            return beta1, beta2
    return None


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
