"""Do the error bars of the numeric witness hold? Counts misses, evaluations and widths.

Run ``python benchmarks/numeric_coverage.py [--problems N] [--seed S]``; about two minutes with the
default. A miss is a true derivative outside value ± error. The constants in ``bpcheck.numeric`` that
say "measured" were chosen by this table.

Truth: formulas in mpmath with 60 digits (networks too: they are written again here, for numbers of
any precision, so that nothing is shared with ``bpcheck.reference`` but the mathematics).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import mpmath
import numpy as np

from bpcheck import Case, mlp, reference, tree
from bpcheck.network.dense_chain import dense_chain
from bpcheck.numeric import Central, OneSided, complex_step, derivative, measure_noise
from bpcheck.numeric.perturbation import Line, random_direction, real_phi
from bpcheck.result import Estimate

DIGITS = 60
STEP = mpmath.mpf(10) ** -30  # its square is lost in 60 digits only where the derivative is below 1e-30


@dataclass
class Tally:
    """Misses and costs of one family."""

    entries: int = 0
    misses: int = 0
    bars: list[float] = field(default_factory=list)
    use: list[float] = field(default_factory=list)
    evaluations: list[int] = field(default_factory=list)
    regimes: dict[str, int] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    def add(self, value: float, error: float, truth: float, scale: float, what: str = "") -> None:
        """Count one entry; ``scale`` is what its bar is relative to."""
        self.entries += 1
        gap = abs(value - truth)
        if not gap <= error:
            self.misses += 1
            self.missed.append(f"{what}: {value!r} ± {error:.3g}, truth {truth!r}")
        self.bars.append(error / scale if scale else math.inf)
        if error > 0.0:
            self.use.append(gap / error)

    def add_estimate(self, estimate: Estimate, truth: float, scale: float, what: str = "") -> None:
        """Count an estimate."""
        self.add(estimate.value, estimate.error, truth, scale, what)
        self.evaluations.append(estimate.evaluations)
        self.regimes[estimate.regime] = self.regimes.get(estimate.regime, 0) + 1

    def row(self, name: str) -> str:
        """One line of the table."""
        bars = np.array(self.bars)
        use = np.array(self.use) if self.use else np.zeros(1)
        calls = f"{np.median(self.evaluations):6.0f}" if self.evaluations else "     -"
        regimes = " ".join(f"{key}:{count}" for key, count in sorted(self.regimes.items()))
        return (
            f"{name:34s} {self.misses:4d} / {self.entries:5d}   bar median {np.median(bars):8.1e} "
            f"worst {bars.max():8.1e}   |gap|/bar median {np.median(use):.3f} worst {use.max():.3f}   "
            f"evaluations {calls}   {regimes}"
        )


# ---- networks in any precision ---------------------------------------------------------------


def _elementwise(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return np.frompyfunc(function, 1, 1)


def _softplus(z: Any) -> Any:
    return mpmath.log1p(mpmath.exp(z)) if z.real < 0 else z + mpmath.log1p(mpmath.exp(-z))


def _gelu(z: Any) -> Any:
    # mpmath's erfc has no digits left for complex numbers far to the left; real and derivative apart do
    x = mpmath.mpf(z.real)
    cdf = mpmath.erfc(-x / mpmath.sqrt(2)) / 2
    return mpmath.mpc(x * cdf, z.imag * (cdf + x * mpmath.npdf(x)))


PRECISE = {
    "identity": _elementwise(lambda z: z),
    "tanh": _elementwise(mpmath.tanh),
    "sigmoid": _elementwise(lambda z: 1 / (1 + mpmath.exp(-z))),
    "relu": _elementwise(lambda z: z if z.real > 0 else z * 0),
    "leaky_relu": _elementwise(lambda z: z if z.real > 0 else z * mpmath.mpf(0.01)),
    "softplus": _elementwise(_softplus),
    "gelu": _elementwise(_gelu),
    "silu": _elementwise(lambda z: z / (1 + mpmath.exp(-z))),
}


def precise_cost(params: list[dict[str, Any]], x: Any, y: Any, hidden: str, output: str, loss: str) -> Any:
    """Cost of a batch (mean) for arrays of mpmath numbers."""
    a = x
    for index, layer in enumerate(params):
        z = a @ layer["weight"].T + layer["bias"]
        a = PRECISE[output if index == len(params) - 1 else hidden](z)
    if loss == "half_mse":
        values = ((a - y) ** 2).sum(axis=1) / 2
    elif loss == "cross_entropy":  # of logits
        values = [
            -sum(t * (v - mpmath.log(sum(map(mpmath.exp, row)))) for t, v in zip(target, row, strict=True))
            for target, row in zip(y, a, strict=True)
        ]
    else:
        values = [
            sum(_softplus(v) - t * v for t, v in zip(target, row, strict=True))
            for target, row in zip(y, a, strict=True)
        ]
    return sum(values) / len(y)


def precise_gradient(params: Any, x: Any, y: Any, *how: str) -> tuple[float, list[np.ndarray]]:
    """Loss and gradient, 60 digits inside, rounded to floats at the end."""
    with mpmath.workdps(DIGITS):
        exact = _elementwise(lambda v: mpmath.mpf(float(v)))
        leaves = [np.asarray(exact(leaf)) for _, leaf in tree.leaves(params)]
        x, y = exact(x), exact(y)
        loss = float(precise_cost(tree.restore(params, leaves), x, y, *how).real)
        gradients = []
        for number, leaf in enumerate(leaves):
            gradient = np.zeros(leaf.shape)
            for index in np.ndindex(leaf.shape):
                moved = leaf.copy()
                moved[index] = mpmath.mpc(leaf[index], STEP)
                arrays = [*leaves[:number], moved, *leaves[number + 1 :]]
                cost = precise_cost(tree.restore(params, arrays), x, y, *how)
                gradient[index] = float(mpmath.mpmathify(cost).imag / STEP)
            gradients.append(gradient)
    return loss, gradients


LOSSES = (("half_mse", "identity"), ("half_mse", None), ("cross_entropy", "softmax"))


@dataclass
class Problem:
    """A random network with its exact loss and gradient."""

    name: str
    params: Any
    cost: Callable[[Any], Any]
    loss: float
    gradient: list[np.ndarray]


def network_problem(
    rng: np.random.Generator, hidden: str, kind: str, dtype: Any = np.float64
) -> tuple[Case, list[np.ndarray], float]:
    """Draw a network, with its exact gradient and loss. ``kind``: ordinary, saturated (|z| about 20) or cancelling."""
    widths = [int(w) for w in rng.integers(1, 4, size=int(rng.integers(2, 4)) + 1)]
    loss, output = LOSSES[int(rng.integers(len(LOSSES)))]
    output = output or ("sigmoid" if hidden == "softplus" else hidden)
    if loss == "cross_entropy":
        widths[-1] += 1
    network = reference.build(mlp(widths, activation=hidden, output=output, loss=loss))
    params = network.init(rng)
    batch = int(rng.integers(1, 5))
    x = rng.standard_normal((batch, widths[0]))
    y = rng.standard_normal((batch, widths[-1]))
    for layer in params:
        layer["bias"] = 0.5 * rng.standard_normal(layer["bias"].shape)
    if loss == "cross_entropy":
        y = np.eye(widths[-1])[rng.integers(widths[-1], size=batch)]
    if kind == "saturated":
        for layer in params:
            layer["bias"] = rng.choice([-1.0, 1.0], layer["bias"].shape) * rng.uniform(
                15, 22, layer["bias"].shape
            )
        if loss == "half_mse" and rng.random() < 0.5:
            y = np.ones_like(y)  # a − y cancels
    if kind == "cancelling":  # gradients of examples that nearly cancel in the mean
        x = np.concatenate([x, x * (1 + 1e-9 * rng.standard_normal(x.shape))])
        y = np.concatenate([y, y])
        if loss == "half_mse":
            a = network.trace(params, x, y).activations[-1]
            offset = np.abs(rng.standard_normal(y[: len(y) // 2].shape))
            y = a + np.concatenate([offset, -offset])
    params = tree.restore(params, [leaf.astype(dtype) for _, leaf in tree.leaves(params)])
    x, y = x.astype(dtype), y.astype(dtype)
    inner = "identity" if loss == "cross_entropy" else output
    exact_loss, gradient = precise_gradient(params, x, y, hidden, inner, loss)
    return Case(network.architecture, params, x, y), gradient, exact_loss


def problem(rng: np.random.Generator, hidden: str, kind: str, dtype: Any = np.float64) -> Problem:
    """The same as a function of its parameters."""
    case, gradient, exact_loss = network_problem(rng, hidden, kind, dtype)
    network, architecture = reference.build(case.architecture), case.architecture
    name = (
        f"{hidden} {list(dense_chain(architecture).widths)} {architecture.output} {architecture.loss} {kind}"
    )
    params = tree.copy(case.params)
    return Problem(name, params, lambda p: network.cost(p, case.x, case.y), exact_loss, gradient)


HIDDEN = ("tanh", "sigmoid", "relu", "softplus", "gelu")


def complex_families(problems: int, seed: int) -> Iterator[tuple[str, Tally]]:
    """The complex step on networks, all entries of all parameters."""
    for kind in ("ordinary", "saturated", "cancelling"):
        losses = Tally()
        for k, hidden in enumerate(HIDDEN):
            tally = Tally()
            for n in range(problems):
                rng = np.random.default_rng([seed, k, n, len(kind)])
                with np.errstate(all="ignore"):
                    p = problem(rng, hidden, kind)
                    testimony = complex_step(p.cost, p.params, rng=rng)
                losses.add(testimony.loss, testimony.loss_error, p.loss, abs(p.loss), p.name)
                tally.evaluations.append(testimony.evaluations)
                for value, error, truth in zip(
                    testimony.gradient.values(), testimony.error.values(), p.gradient, strict=True
                ):
                    scale = abs(truth).max()
                    for v, e, t in zip(value.ravel(), error.ravel(), truth.ravel(), strict=True):
                        tally.add(float(v), float(e), float(t), float(scale), p.name)
            yield f"complex step {kind} {hidden}", tally
        yield f"complex step {kind} loss", losses


def network_families(problems: int, seed: int, kinds: tuple[str, ...]) -> Iterator[tuple[str, Tally]]:
    """Central differences on networks.

    Once along a direction with everything measured, and for every entry with the noise measured once.
    """
    for name, dtype in (("float64", np.float64), ("float32", np.float32)):
        roundoff = float(np.finfo(dtype).eps) / 2
        for kind in kinds:
            for k, hidden in enumerate(HIDDEN):
                whole, single = Tally(), Tally()
                for n in range(problems):
                    rng = np.random.default_rng([seed, k, n, len(kind), len(name), roundoff < 1e-10])
                    with np.errstate(all="ignore"):
                        p = problem(rng, hidden, kind, dtype)
                        _directions(p, rng, roundoff, whole, single)
                yield f"{name} {kind} {hidden} direction", whole
                yield f"{name} {kind} {hidden} entries", single


def _directions(p: Problem, rng: np.random.Generator, roundoff: float, whole: Tally, single: Tally) -> None:
    leaves = [leaf for _, leaf in tree.leaves(p.params)]
    along = random_direction(leaves, rng)
    truth = sum(float((g * v).sum()) for g, v in zip(p.gradient, along, strict=True))
    scale = math.sqrt(sum(float(((g * v) ** 2).sum()) for g, v in zip(p.gradient, along, strict=True)))
    whole.add_estimate(derivative(p.cost, p.params, tree.restore(p.params, along)), truth, scale, p.name)
    sigma = 0.0
    for _ in range(3):
        path = Line(p.params, leaves, random_direction(leaves, rng))
        sigma = max(sigma, measure_noise(real_phi(p.cost, path), roundoff=roundoff))
    scheme = Central(noise=sigma, roundoff=roundoff)
    for number, leaf in enumerate(leaves):
        steps = np.maximum(abs(leaf.astype(float)), math.sqrt(float(np.mean(leaf.astype(float) ** 2))) / 10.0)
        rms = math.sqrt(float(np.mean((steps * p.gradient[number]) ** 2)))
        for index in np.ndindex(leaf.shape):
            one = [np.zeros(other.shape) for other in leaves]
            one[number][index] = steps[index]
            estimate = scheme(real_phi(p.cost, Line(p.params, leaves, one)))
            exact = float(steps[index] * p.gradient[number][index])
            single.add_estimate(estimate, exact, rms, f"{p.name} leaf {number} {index}")


# ---- functions of one variable, φ(t) = f(θ(1 + t)) or f(θ + t) -------------------------------------

Pair = tuple[Callable[[float], float], Any]


def _mp_slope(f: Callable[[Any], Any]) -> float:
    with mpmath.workdps(DIGITS):
        return float(mpmath.mpmathify(f(mpmath.mpc(0, STEP))).imag / STEP)


@dataclass(frozen=True)
class Member:
    """Random numbers that make a family's function."""

    a: float
    b: float
    tiny: float
    w: float
    c: list[float]


def _rosenbrock(x: Any, y: Any) -> Any:
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def _sine_and_exponential(d: Member, m: Any, t: Any) -> Any:
    return m.sin(d.a + t) + m.exp(d.b * t)


FORMULAS: dict[str, Callable[[Member, Any, Any], Any]] = {
    "polynomial": lambda d, m, t: sum(c * (d.a + t) ** k for k, c in enumerate(d.c)),
    "exp": lambda d, m, t: m.exp(3 * d.b * (d.a + t)),
    "sin, scales 1e-2..1e4": lambda d, m, t: m.sin(d.w * (d.a + t)),
    "offset 1e8": lambda d, m, t: 1e8 + m.sin(d.a + t) ** 2,
    "near a pole": lambda d, m, t: d.a / (d.tiny + t),
    "logarithm near 0": lambda d, m, t: m.log(d.tiny + t),
    "Rosenbrock": lambda d, m, t: _rosenbrock(d.a + t, d.b + d.c[0] * t),
    "logistic": lambda d, m, t: sum(m.log(1 + m.exp(-c * (d.a + t) * d.b * 3)) for c in d.c),
    "parameters 1e±8": lambda d, m, t: m.sin(1e8 * ((1 + t) * 1e-8) * d.b) + m.exp(1e-8 * (1e8 * (d.a + t))),
    "zero residual": lambda d, m, t: sum((c * (d.a + t) - c * d.a) ** 2 for c in d.c),
    "fast ripple": lambda d, m, t: m.sin(d.a + t) + 1e-3 * m.sin(1e3 * d.w * (d.b + t)),
    "cancellation": lambda d, m, t: (
        (m.exp(d.a + t) + 1e6) * (1 - m.tanh(d.a + t)) - 1e6 * (1 - m.tanh(d.a + t))
    ),
    "noise 1e-6": _sine_and_exponential,
    "float32": _sine_and_exponential,
}


def lines(rng: np.random.Generator, family: str) -> tuple[Callable[[float], float], float]:
    """A random member of a family and its exact derivative at 0."""
    a, b = float(rng.standard_normal()), float(rng.uniform(0.5, 2.0))
    tiny = float(10.0 ** rng.uniform(-6, -1))
    w = float(10.0 ** rng.uniform(-2, 4))
    drawn = Member(a, b, tiny, w, [float(c) for c in rng.standard_normal(6)])
    jitter = np.random.default_rng(int(rng.integers(2**32)))
    formula = partial(FORMULAS[family], drawn)
    exact = _mp_slope(lambda t: formula(mpmath, t))

    def phi(t: float) -> float:
        try:
            if family == "float32":
                return float(np.sin(np.float32(a) + np.float32(t)) + np.exp(np.float32(b) * np.float32(t)))
            value = float(formula(math, t))
        except (ValueError, OverflowError, ZeroDivisionError):
            return math.nan
        return value + 1e-6 * float(jitter.standard_normal()) if family == "noise 1e-6" else value

    return phi, (_float32_slope(a, b) if family == "float32" else exact)


def _float32_slope(a: float, b: float) -> float:
    return math.cos(float(np.float32(a))) + float(np.float32(b))


def line_families(problems: int, seed: int) -> Iterator[tuple[str, Tally]]:
    """Central differences on functions of one variable, noise measured each time."""
    for k, family in enumerate(FORMULAS):
        tally = Tally()
        for n in range(problems):
            phi, truth = lines(np.random.default_rng([seed, k, n]), family)
            estimate = Central(roundoff=2.0**-24 if family == "float32" else 2.0**-53)(phi)
            tally.add_estimate(estimate, truth, abs(truth), f"{family} #{n} {estimate}")
        yield family, tally


def _kinked(jump: float, side: float, distance: float, b: float, c: float) -> Callable[[float], float]:
    return lambda t: float(jump * max(side * t - distance, 0.0) + math.sin(b * t + c))


def kink_families(problems: int, seed: int) -> Iterator[tuple[str, Tally]]:
    """Plant a kink at a distance; at 0 either of the one-sided derivatives is right."""
    for exponent in (math.inf, *range(15, 0, -1)):
        tally = Tally()
        distance = 10.0**-exponent
        for n in range(problems):
            rng = np.random.default_rng([seed, 99, n])
            jump, b, c = rng.standard_normal(3) * [10.0 ** rng.uniform(-3, 1), 1.0, 1.0]
            side = float(rng.choice([-1.0, 1.0]))

            phi = _kinked(jump, side, distance, b, c)
            truth = b * math.cos(c)
            if distance == 0.0:  # either side is right; the midpoint would be no test
                truth += jump * side * float(rng.integers(2))
            tally.add_estimate(Central()(phi), truth, abs(truth) + abs(jump), f"kink at {distance} #{n}")
        yield f"kink at {distance:g}", tally


def one_sided_families(problems: int, seed: int) -> Iterator[tuple[str, Tally]]:
    """One-sided differences: the same functions of one variable, kinks and ends of the domain at θ."""
    for k, family in enumerate(FORMULAS):
        tally = Tally()
        for n in range(problems):
            phi, truth = lines(np.random.default_rng([seed, k, n]), family)
            side = 1 - 2 * (n % 2)
            estimate = OneSided(side=side, roundoff=2.0**-24 if family == "float32" else 2.0**-53)(phi)
            tally.add_estimate(estimate, truth, abs(truth), f"{family} #{n} {estimate}")
        yield f"one-sided {family}", tally
    for exponent in (math.inf, *range(15, 0, -2)):
        tally = Tally()
        distance = 10.0**-exponent
        for n in range(problems // 2):
            rng = np.random.default_rng([seed, 98, n])
            jump, b, c = rng.standard_normal(3) * [10.0 ** rng.uniform(-3, 1), 1.0, 1.0]
            side = int(rng.choice([-1, 1]))
            estimate = OneSided(side=side)(_kinked(jump, side, distance, b, c))
            truth, beyond = b * math.cos(c), b * math.cos(c) + jump * side
            # from one side a kink is at θ if all it does in between is below the rounding of φ: 8 u |φ|
            if abs(jump) * distance <= 8 * 2.0**-53 * max(abs(math.sin(c)), abs(b)):
                truth = min(truth, beyond, key=lambda slope: abs(slope - estimate.value))
                truth = beyond if distance == 0.0 else truth
            tally.add_estimate(estimate, truth, abs(truth) + abs(jump), f"kink at {distance} #{n} {estimate}")
        yield f"one-sided kink at {distance:g}", tally
    for power in (1.5, 2.5, 3.5):
        tally = Tally()
        for n in range(problems // 2):
            a, b, c = np.random.default_rng([seed, 97, n]).standard_normal(3)
            estimate = OneSided()(_ending(a, b, c, power))
            tally.add_estimate(estimate, b, abs(b), f"power {power} #{n} {estimate}")
        yield f"one-sided end of the domain, t^{power}", tally


def _ending(a: float, b: float, c: float, power: float) -> Callable[[float], float]:
    return lambda t: float(a + b * t + c * t**power) if t >= 0.0 else math.nan


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=20, help="problems a family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="complex,lines,kinks,one-sided,networks")
    options = parser.parse_args()
    groups = {
        "complex": lambda: complex_families(options.problems, options.seed),
        "lines": lambda: line_families(10 * options.problems, options.seed),
        "one-sided": lambda: one_sided_families(10 * options.problems, options.seed),
        "kinks": lambda: kink_families(2 * options.problems, options.seed),
        "networks": lambda: network_families(
            max(1, options.problems // 4), options.seed, ("ordinary", "saturated", "cancelling")
        ),
    }
    for group in options.only.split(","):
        start, total, misses = time.perf_counter(), 0, 0
        for name, tally in groups[group]():
            print(tally.row(name), flush=True)
            for line in tally.missed[:5]:
                print("      missed", line)
            total, misses = total + tally.entries, misses + tally.misses
        print(f"== {group}: {misses} misses in {total} ({time.perf_counter() - start:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
