"""How wide is the reference's rounding bound, and does it hold? Prints two tables.

    python benchmarks/rounding_bound.py

1. Activations and their derivatives in textbook form against 50 digits, as a multiple of
   u·max(1, |z|): the source of ``EVALUATION_ULPS`` in ``bpcheck/reference/numbers/ball.py``.
2. Gradients of random networks, computed in order and with all sums reversed, against the symbolic
   witness: largest |error| / bound (must stay below 1), and the bound relative to each tensor's size.
"""

import argparse
import math

import mpmath
import numpy as np
from scipy.special import erf

from bpcheck import symbolic, tree
from bpcheck.errors import InputError
from bpcheck.reference import build
from bpcheck.search.cases.sample import STRATA, random_architecture, random_case
from bpcheck.tree import rms

U = 2.0**-53


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _density(z):
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


# name: (textbook σ, textbook σ', exact σ, exact σ')
FORMS = {
    "sigmoid": (
        _sigmoid,
        lambda z: _sigmoid(z) * (1 - _sigmoid(z)),
        lambda z: 1 / (1 + mpmath.exp(-z)),
        lambda z: mpmath.exp(-z) / (1 + mpmath.exp(-z)) ** 2,
    ),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2, mpmath.tanh, lambda z: mpmath.sech(z) ** 2),
    "softplus": (
        lambda z: np.log(1 + np.exp(z)),
        _sigmoid,
        lambda z: mpmath.log1p(mpmath.exp(z)),
        lambda z: 1 / (1 + mpmath.exp(-z)),
    ),
    "gelu": (
        lambda z: 0.5 * z * (1 + erf(z / math.sqrt(2))),
        lambda z: 0.5 * (1 + erf(z / math.sqrt(2))) + z * _density(z),
        lambda z: z * mpmath.ncdf(z),
        lambda z: mpmath.ncdf(z) + z * mpmath.npdf(z),
    ),
    "silu": (
        lambda z: z * _sigmoid(z),
        lambda z: _sigmoid(z) + z * _sigmoid(z) * (1 - _sigmoid(z)),
        lambda z: z / (1 + mpmath.exp(-z)),
        lambda z: 1 / (1 + mpmath.exp(-z)) + z * mpmath.exp(-z) / (1 + mpmath.exp(-z)) ** 2,
    ),
}


def activations(rng, points):
    print(f"{'activation':<12}{'σ, ulps':>12}{'σ′, ulps':>12}")
    z = np.concatenate([rng.normal(0, 3, points), rng.uniform(-30, 30, points)])
    for name, (value, slope, exact_value, exact_slope) in FORMS.items():
        worst = []
        for textbook, exact in ((value, exact_value), (slope, exact_slope)):
            computed = textbook(z)
            with mpmath.workdps(50):
                truth = [exact(mpmath.mpf(float(x))) for x in z]
                errors = [float(abs(mpmath.mpf(float(c)) - t)) for c, t in zip(computed, truth, strict=True)]
            worst.append(float(np.max(np.array(errors) / (U * np.maximum(1, abs(z))))))
        print(f"{name:<12}{worst[0]:>12.2f}{worst[1]:>12.2f}")


def _reversed(case):
    """The same network with every unit, input and example in reverse order: all sums run the other way."""
    params = []
    for k, layer in enumerate(case.params):
        rows = slice(None, None, -1) if k < len(case.params) - 1 else slice(None)
        params.append({"weight": layer["weight"][rows, ::-1], "bias": layer["bias"][rows]})
    gradient = build(case.architecture).gradient(params, case.x[::-1, ::-1], case.y[::-1])
    back = []
    for k, layer in enumerate(gradient):
        rows = slice(None, None, -1) if k < len(gradient) - 1 else slice(None)
        back.append({"weight": layer["weight"][rows, ::-1], "bias": layer["bias"][rows]})
    return back


def networks(rng, count):
    worst, widths, compared = 0.0, [], 0
    for index in range(count):
        kind = STRATA[index % len(STRATA)]
        case = random_case(rng, random_architecture(rng, kind, depths=(1, 2, 3)), kind)
        enclosure = build(case.architecture).enclose(case.params, case.x, case.y)
        if any(np.any(ball.kink) for ball in enclosure.gradient.values()):
            continue
        try:
            truth = symbolic.testify(case)
        except InputError:
            continue
        compared += 1
        answers = [build(case.architecture).gradient(case.params, case.x, case.y), _reversed(case)]
        for path, ball in enclosure.gradient.items():
            for answer in answers:
                given = dict(tree.leaves(answer))[path]
                error = abs(given - truth.gradient[path])
                worst = max(worst, float(np.max(error / np.maximum(ball.rad, np.finfo(float).tiny))))
            if rms(ball.mid) > 0:
                widths.append(float(ball.rad.max()) / rms(ball.mid))
    print(f"networks compared               {compared}")
    print(f"largest error / bound           {worst:.3f}")
    print(f"bound relative to the tensor    median {np.median(widths):.1e}, largest {max(widths):.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--networks", type=int, default=300)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print(f"seed {options.seed}\n")
    activations(rng, options.points)
    print()
    networks(rng, options.networks)


if __name__ == "__main__":
    main()
