"""Does the bound of the structured complex step hold, and how tight is it? Counts misses.

    python benchmarks/structured_bound.py [--problems N] [--seed S]

About a minute with the default. For each family: entries whose true derivative lies outside value ± bound, the
largest error and the median bound relative to the largest entry of the tensor, the largest share of a bound
that was used, and the largest gap of the cross-check in units of what it allows (beyond 1 the check would be void).

Truth: networks written again in mpmath (``numeric_coverage.py``, with 140 digits), for ordinary, saturated (|z| about
20) and cancelling ones; ball arithmetic (``bpcheck.certified``) for random architectures with all activations,
losses, penalties, depths and skip connections.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numeric_coverage
import numpy as np

from bpcheck import Case, certified, tree
from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.layers import Dense, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.numeric import structured_step
from bpcheck.numeric.perturbation import random_direction
from bpcheck.reference import Perturbations, build
from bpcheck.search.cases.sample import STRATA, random_architecture, random_case

DIGITS = 140
"""The derivative of a saturated softmax may be 1e-56: of 60 digits of a cost near 1, four are left for it."""

numeric_coverage.DIGITS, numeric_coverage.STEP = DIGITS, numeric_coverage.STEP**2


@dataclass
class Tally:
    """What came out for one family."""

    networks: int = 0
    entries: int = 0
    misses: int = 0
    worst_error: float = 0.0
    bounds: list[float] = field(default_factory=list)
    use: float = 0.0
    check: float = 0.0

    def add(self, value: Any, bound: Any, truth: Any, truth_error: Any) -> None:
        """One tensor."""
        top = abs(truth).max() or 1.0
        gap = abs(value - truth)
        allowed = bound + truth_error
        self.entries += truth.size
        self.misses += int((~(gap <= allowed)).sum())
        self.worst_error = max(self.worst_error, float(gap.max() / top))
        self.bounds += (bound / top).ravel().tolist()
        self.use = max(self.use, float((gap / np.maximum(allowed, np.finfo(float).tiny)).max()))

    def row(self, name: str) -> str:
        """One line of the table."""
        bounds = np.array(self.bounds)
        return (
            f"{name:28s} {self.networks:5d} networks {self.misses:3d} / {self.entries:6d} missed   "
            f"error ≤ {self.worst_error:.1e}   bound median {np.median(bounds):.1e} worst {bounds.max():.1e}   "
            f"used ≤ {self.use:.3f}   cross-check ≤ {self.check:.1e}"
        )


def measure(
    tally: Tally, case: Case, truth: list[Any], truth_error: list[Any], rng: np.random.Generator
) -> None:
    """One network: every entry, and the cross-check."""
    function = Perturbations(build(case.architecture), case.params, case.x, case.y)
    testimony = structured_step(function, rng=rng)
    tally.networks += 1
    for value, bound, true, error in zip(
        testimony.gradient.values(), testimony.error.values(), truth, truth_error, strict=True
    ):
        tally.add(value, bound, true, error)
    for _ in range(4):
        along = random_direction([leaf for _, leaf in tree.leaves(function.params)], rng)
        expected = sum(float((g * v).sum()) for g, v in zip(testimony.gradient.values(), along, strict=True))
        error = sum(float((b * abs(v)).sum()) for b, v in zip(testimony.error.values(), along, strict=True))
        with np.errstate(all="ignore"):
            slope, rounding = function.plain(tree.restore(function.params, along))
        tally.check = max(tally.check, abs(slope - expected) / (error + rounding))


def precise(problems: int, seed: int) -> Iterator[tuple[str, Tally]]:
    """Against numbers of 140 digits."""
    for kind in ("ordinary", "saturated", "cancelling"):
        tally = Tally()
        for number, hidden in enumerate(numeric_coverage.HIDDEN):
            for n in range(problems):
                rng = np.random.default_rng([seed, number, n, len(kind)])
                with np.errstate(all="ignore"):
                    case, gradient, _ = numeric_coverage.network_problem(rng, hidden, kind)
                measure(tally, case, gradient, [np.spacing(abs(g)) for g in gradient], rng)
        yield f"{DIGITS} digits, {kind}", tally


def with_skips(rng: np.random.Generator, architecture: Architecture) -> Architecture:
    """The same with a skip connection (and one inside it) after the first layer."""
    width = architecture.layers[0].units
    names = rng.choice(ACTIVATIONS, size=3)
    inner = Skip((Dense(width, str(names[0])),))
    skip = Skip((Dense(width + 1, str(names[1])), Dense(width, str(names[2])), inner))
    return replace(architecture, layers=(architecture.layers[0], skip, *architecture.layers[1:]))


def random_networks(problems: int, seed: int) -> Iterator[tuple[str, Tally]]:
    """Against balls."""
    for name in (*STRATA, "skip connections"):
        tally, n = Tally(), 0
        while tally.networks < 10 * problems:
            n += 1
            rng = np.random.default_rng([seed, n, len(name)])
            kind = "generic" if name == "skip connections" else name
            architecture = random_architecture(rng, kind)
            if name == "skip connections":
                if len(architecture.layers) < 2:
                    continue
                case = at_random(rng, with_skips(rng, architecture))
            else:
                case = random_case(rng, architecture, kind)
            try:
                right = certified.testify(case)
            except InputError:  # exactly at a kink: there is no derivative
                continue
            if Perturbations(build(case.architecture), case.params, case.x, case.y).kinks():
                continue  # within rounding of one: the middle of the interval is answered
            measure(tally, case, list(right.gradient.values()), list(right.error.values()), rng)
        yield f"balls, {name}", tally


def at_random(rng: np.random.Generator, architecture: Architecture) -> Case:
    """A case with numbers of many digits."""
    network = build(architecture)
    params = network.init(rng)
    params = tree.restore(
        params, [leaf + 0.3 * rng.standard_normal(leaf.shape) for _, leaf in tree.leaves(params)]
    )
    batch = int(rng.integers(1, 6))
    x = rng.standard_normal((batch, *architecture.input_shape))
    y = rng.random((batch, *architecture.output_shape))
    if architecture.loss == "cross_entropy":
        y = np.eye(y.shape[1])[rng.integers(y.shape[1], size=batch)]
    return Case(architecture, params, x, y)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for families in (precise, random_networks):
        for name, tally in families(args.problems, args.seed):
            print(tally.row(name), flush=True)


if __name__ == "__main__":
    main()
