"""How far off correct code is, in radii of the same computation in balls of its own precision.

    python benchmarks/certified_bound.py

1. Correct NumPy backprops in several styles, float64 and float32, on random networks: the largest |error| of
   an entry over the radius of plain balls (flint alone) and over the radius that ``bpcheck.certify`` takes
   (``bpcheck/certified/working.py``: plain balls, widened where flint is better than honest code). The second
   is the source of ``SAFETY``. The same for convolutions in three styles (``_convolution.py``).
2. How tight the resulting bound is: its size relative to the root mean square of the tensor.
3. Times for 784-30-10, and how large an error is refuted there.
"""

import argparse
import math
import time
from dataclasses import dataclass
from functools import partial, reduce

import _convolution
import numpy as np
from scipy.special import erf

from bpcheck import Case, certified, certify, mlp, tree
from bpcheck.certified.balls import Balls, radii
from bpcheck.certified.reverse import propagate
from bpcheck.certified.working import SAFETY, Working
from bpcheck.network.architecture import DEFAULT_OUTPUT, LOSSES, PROBABILITY_LOSSES
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.search.cases.sample import STRATA, random_architecture, random_case
from bpcheck.tree import rms

# --- correct code, as people write it ------------------------------------------------------------


def _sequential(a, b):
    """A matrix product that adds term after term, as a loop does."""
    total = np.zeros((a.shape[0], b.shape[1]), dtype=a.dtype)
    for k in range(a.shape[1]):
        total = total + a[:, k : k + 1] * b[k : k + 1]
    return total


@dataclass(frozen=True)
class Style:
    """One way to write the same backprop."""

    name: str
    product: object = staticmethod(np.matmul)
    one_by_one: bool = False  # a Python loop over the examples that adds up the gradients
    textbook: bool = False  # e^z − e^−z over e^z + e^−z, a(1 − a), 1 − a²; else tanh, σ(z)σ(−z), (1−a)(1+a)
    fused: bool = True  # δ^L = a − y for the cross-entropies; else ∂C/∂a and then σ'
    mean_last: bool = False  # divide the gradients by m at the end
    backwards: bool = False  # inputs, units and examples in reverse order
    sigmoid: str = "exp"  # which form of σ: 1/(1 + e^−z); (1 + tanh ½z)/2; e^{z − softplus(z)}


STYLES = (
    Style("matrices"),
    Style("einsum", product=lambda a, b: np.einsum("ij,jk->ik", a, b)),
    Style("term by term", product=_sequential),
    Style("one example at a time", one_by_one=True, mean_last=True),
    Style("one by one, textbook, unfused", one_by_one=True, mean_last=True, textbook=True, fused=False),
    Style("matrices, textbook, unfused", textbook=True, fused=False),
    Style("in reverse order", backwards=True, textbook=True, mean_last=True),
    Style("matrices, σ by tanh", sigmoid="tanh"),
    Style("term by term, σ by softplus", product=_sequential, textbook=True, sigmoid="softplus"),
)


def _sigmoid(z, form):
    if form == "tanh":
        return (1 + np.tanh(z / 2)) / 2
    if form == "softplus":
        return np.exp(z - np.logaddexp(z.dtype.type(0), z))
    return 1 / (1 + np.exp(-z))


def _softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _tanh(z):
    return (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))


def _value_and_slope(name, z, style):
    textbook, form = style.textbook, style.sigmoid
    one = z.dtype.type(1)
    if name == "identity":
        return z, np.ones_like(z)
    if name == "sigmoid":
        a = _sigmoid(z, form)
        return a, a * (1 - a) if textbook else a * _sigmoid(-z, form)
    if name == "tanh":
        a = _tanh(z) if textbook else np.tanh(z)
        return a, 1 - a**2 if textbook else (1 - a) * (1 + a)
    if name in ("relu", "leaky_relu"):
        slope = np.where(z > 0, one, z.dtype.type(0.0 if name == "relu" else 0.01))
        return z * slope, slope
    if name == "softplus":
        return np.log(1 + np.exp(z)) if textbook else np.logaddexp(z.dtype.type(0), z), _sigmoid(z, form)
    if name == "gelu":
        cdf = z.dtype.type(0.5) * (1 + erf(z / z.dtype.type(math.sqrt(2))))
        density = np.exp(-(z**2) / 2) / z.dtype.type(math.sqrt(2 * math.pi))
        return z * cdf, cdf + z * density
    # e^{z − softplus(z)} is off by u|z|, so that z σ(z) and its slope would be off by u z²: 3.2 of certify's radii at
    # z = 56, and more farther out. It stands for code that takes e^{ln σ(z)} of logits, not for a silu.
    s = _sigmoid(z, "exp" if form == "softplus" else form)
    return z * s, s + z * s * (1 - s)


def backprop(case, dtype, style):
    """The gradient of a chain of dense layers, in ``dtype`` throughout."""
    network = case.architecture
    order = slice(None, None, -1 if style.backwards else 1)
    params = [
        {name: np.asarray(array, dtype=dtype) for name, array in layer.items()} for layer in case.params
    ]
    params = _turned(params, order)
    x, y = np.asarray(case.x, dtype=dtype)[order, order], np.asarray(case.y, dtype=dtype)[order]
    batches = [(x[i : i + 1], y[i : i + 1]) for i in range(len(x))] if style.one_by_one else [(x, y)]
    total = reduce(_sum, (_one_batch(network, params, *part, len(x), style) for part in batches))
    m = dtype(len(x)) if network.reduction == "mean" and style.mean_last else dtype(1)
    l1, l2 = dtype(network.l1), dtype(network.l2)
    for layer, own in zip(total, params, strict=True):
        for name in layer:
            layer[name] = layer[name] / m
            if name == "weight" or network.penalize_bias:
                layer[name] = layer[name] + l1 * np.sign(own[name])
                layer[name] = layer[name] + l2 * own[name]
    return _turned(total, order)


def _turned(layers, order):
    """The inputs and the units of hidden layers in another order."""
    rows = [order] * (len(layers) - 1) + [slice(None)]
    return [
        {"weight": layer["weight"][own, order], "bias": layer["bias"][own]}
        for layer, own in zip(layers, rows, strict=True)
    ]


def _sum(first, second):
    return [{name: one[name] + two[name] for name in one} for one, two in zip(first, second, strict=True)]


def _one_batch(network, params, x, y, examples, style):
    a, record = x, []
    for spec, layer in zip(network.layers, params, strict=True):
        z = style.product(a, layer["weight"].T) + layer["bias"]
        below = a
        a, slope = _activated(spec.activation, z, style=style)
        record.append((below, a, slope))
    delta = _output_error(network, a, record[-1][2], y, style=style)
    if network.reduction == "mean" and not style.mean_last:
        delta = delta / x.dtype.type(examples)
    gradients = []
    for number in reversed(range(len(params))):
        below = record[number][0]
        gradients.insert(0, {"weight": style.product(delta.T, below), "bias": delta.sum(axis=0)})
        if number:
            g = style.product(delta, params[number]["weight"])
            _, a, slope = record[number - 1]
            delta = a * (g - (a * g).sum(axis=1, keepdims=True)) if slope is None else g * slope
    return gradients


def _activated(name, z, *, style):
    return (_softmax(z), None) if name == "softmax" else _value_and_slope(name, z, style)


def _output_error(network, a, slope, y, *, style):
    name = network.loss
    if name in PROBABILITY_LOSSES:
        p = a
        if network.output == "identity":
            p = _sigmoid(a, style.sigmoid) if name == "binary_cross_entropy" else _softmax(a)
        if style.fused:
            return p - y
        if name == "binary_cross_entropy":
            return (p - y) / (p * (1 - p)) * (p * (1 - p))
        g = -y / p
        return p * (g - (p * g).sum(axis=1, keepdims=True))
    r = a - y
    g = {"half_mse": r, "mse": 2 * r / r.dtype.type(r.shape[1]), "huber": np.clip(r, -1, 1)}[name]
    return a * (g - (a * g).sum(axis=1, keepdims=True)) if slope is None else g * slope


DENSE = {style.name: partial(backprop, style=style) for style in STYLES}
CONVOLUTION = {
    name: partial(
        _convolution.backprop,
        name=name,
        activate=partial(_activated, style=forms),
        output_error=partial(_output_error, style=forms),
    )
    for name, forms in zip(_convolution.STYLES, (STYLES[5], STYLES[0], STYLES[7]), strict=True)
}


# --- cases ---------------------------------------------------------------------------------------


def real_numbers(rng, network, batch, *, inputs=1.0, weights=1.0, biases=1.0):
    """A case with random parameters of all digits; ``inputs`` and so on scale them."""
    params = [
        {
            "weight": weights * rng.standard_normal(shapes["weight"]) / math.sqrt(shapes["weight"][1]),
            "bias": biases * rng.standard_normal(shapes["bias"]),
        }
        for shapes in network.parameter_shapes
    ]
    x = inputs * rng.standard_normal((batch, network.input_shape[0]))
    y = rng.standard_normal((batch, network.outputs))
    if network.loss == "cross_entropy":
        y = np.eye(y.shape[1])[rng.integers(y.shape[1], size=batch)]
    elif network.loss == "binary_cross_entropy":
        y = rng.integers(0, 2, y.shape).astype(float)
    return Case(network, params, x, y)


def sorted_batch(case):
    """The same case, its examples in the order of their first input: partial sums wander far off."""
    order = np.argsort(case.x[:, 0])
    return Case(case.architecture, case.params, case.x[order], case.y[order])


def digits_like(rng, *, loss="half_mse", output="sigmoid", batch=1):
    """784-30-10 with inputs in [0, 1]."""
    case = real_numbers(rng, mlp([784, 30, 10], activation="sigmoid", output=output, loss=loss), batch)
    y = rng.random((batch, 10)) if loss == "half_mse" else case.y
    return Case(case.architecture, case.params, rng.random((batch, 784)), y)


def _network(rng, widths):
    loss = str(rng.choice(LOSSES))
    output = DEFAULT_OUTPUT[loss] if loss in PROBABILITY_LOSSES else str(rng.choice(ACTIVATIONS))
    activation = str(rng.choice(ACTIVATIONS))
    options = {"l1": 0.01, "l2": 0.1} if rng.random() < 0.25 else {}
    reduction = str(rng.choice(["mean", "sum"]))
    return mlp(widths, activation=activation, output=output, loss=loss, reduction=reduction, **options)


def families(rng, count):
    """Name and cases: small ones as compare() draws them, then what stresses one sum or one scale each."""

    def small():
        for index in range(count):
            kind = STRATA[index % len(STRATA)]
            yield random_case(rng, random_architecture(rng, kind, depths=(1, 2, 3, 4)), kind)

    def scaled(widths, batch, number, **scales):
        for _ in range(number):
            yield real_numbers(rng, _network(rng, widths), batch, **scales)

    few = max(4, count // 10)
    return {
        "small, compare()'s strata": small(),
        "deep, 6-8-8-8-8-8-3": scaled([6, 8, 8, 8, 8, 8, 3], 5, few),
        "inputs of 1e-6": scaled([5, 7, 6, 3], 4, few, inputs=1e-6, biases=1e-6),
        "inputs of 10, saturated": scaled([5, 7, 6, 3], 4, few, inputs=10.0, weights=2.0),
        "biases of 30": scaled([5, 7, 6, 3], 4, few, biases=30.0),
        "one wide layer, 2000-3-2": scaled([2000, 3, 2], 3, few),
        "a batch of 1000, 4-3-2": scaled([4, 3, 2], 1000, few),
        "a batch of 20,000, 4-3-2": scaled([4, 3, 2], 20_000, 3),
        "a sorted batch of 1000, 4-3-2": map(sorted_batch, scaled([4, 3, 2], 1000, few)),
        "σ and p, saturated, 3-2": (
            real_numbers(rng, mlp([3, 2], loss=loss, output=output), 4, weights=scale)
            for loss, output in [("binary_cross_entropy", "identity"), ("cross_entropy", "identity")]
            for scale in [3.0, 10.0, 30.0] * few
        ),
        "784-30-10, batch 8": (
            digits_like(rng, loss=loss, output=output, batch=8)
            for loss, output in [("half_mse", "sigmoid"), ("binary_cross_entropy", "sigmoid")]
        ),
    }


# --- measurements --------------------------------------------------------------------------------


def ratios(case, dtype, code, worst, widths):
    """Update the largest ratio of every style of code; False if the case lies at a kink or leaves the range."""
    # the same numbers for everybody: float32 code cannot see more of them
    case = Case(
        case.architecture,
        tree.restore(case.params, [leaf.astype(dtype) for _, leaf in tree.leaves(case.params)]),
        case.x.astype(dtype),
        case.y.astype(dtype),
    )
    wide, unwidened = propagate(case, Working(dtype)), propagate(case, Balls(Working(dtype).bits))
    if wide.kinks or unwidened.kinks:
        return False
    truth = certified.testify(case)
    for number, (style, gradient) in enumerate(code.items()):
        with np.errstate(all="ignore"):
            answer = dict(tree.leaves(gradient(case, dtype)))
        for path, right in truth.gradient.items():
            given = np.asarray(answer[path], dtype=float)
            if not np.isfinite(given).all():
                continue  # textbook code beyond its range, which certify calls NONFINITE
            error = abs(given - right)
            for column, found in enumerate((unwidened, wide)):
                rad = radii(found.gradient[path].entries()).reshape(right.shape)
                with np.errstate(all="ignore"):
                    ratio = float(np.max(np.where(error > 0, error / rad, 0.0)))
                worst[style][column] = max(worst[style][column], ratio)
                if column and not number and rms(right) > 0 and np.isfinite(rad).all():
                    widths.append(SAFETY * float(rad.max()) / rms(right))
    return True


def convolutions(rng, count):
    few = max(4, count // 10)
    return {
        name: (_convolution.draw(rng, network, 3) for _ in range(few))
        for name, network in _convolution.NETWORKS.items()
    }


def bounds(rng, count, code, drawn):
    for dtype in (np.float64, np.float32):
        totals = {style: [0.0, 0.0] for style in code}
        widths = []
        print(f"{np.dtype(dtype).name}: largest |error| in radii, of plain balls and as certify takes them")
        for name, cases in drawn(rng, count).items():
            worst = {style: [0.0, 0.0] for style in code}
            used = sum(ratios(case, dtype, code, worst, widths) for case in cases)
            pair = [max(value[column] for value in worst.values()) for column in (0, 1)]
            print(f"  {name:<34}{used:>5} cases{pair[0]:>10.2f}{pair[1]:>10.2f}")
            for style, value in worst.items():
                totals[style] = [max(a, b) for a, b in zip(totals[style], value, strict=True)]
        for style, pair in totals.items():
            print(f"  style: {style:<38}{pair[0]:>10.2f}{pair[1]:>10.2f}")
        wide = np.array(widths)
        print(f"  bound / rms of the tensor: median {np.median(wide):.1e}, largest {wide.max():.1e}")
        print(
            f"  tensors with a bound below 5e-4 (so that AGREES is possible): {(wide <= 5e-4).mean():.1%}\n"
        )


def times(rng):
    print("784-30-10 (23,860 entries)                     certify   testify    proved   smallest refuted")
    for loss, output in [("half_mse", "sigmoid"), ("cross_entropy", "softmax")]:
        for batch in (1, 32):
            case = digits_like(rng, loss=loss, output=output, batch=batch)
            gradient = backprop(case, np.float64, STYLES[0])
            arguments = case.architecture, case.params, case.x, case.y
            start = time.perf_counter()
            report = certify(*arguments, gradient)
            took = time.perf_counter() - start
            start = time.perf_counter()
            certified.testify(case)
            testified = time.perf_counter() - start
            proved = sum(c.actual.size for c in report.comparisons if c.verdict.ok)
            typical = np.unravel_index(
                np.argmin(abs(abs(gradient[0]["weight"]) - rms(gradient[0]["weight"]))), (30, 784)
            )
            smallest = 1.0
            for power in range(4, 16):
                wrong = tree.copy(gradient)
                wrong[0]["weight"][typical] *= 1 + 10.0**-power
                if certify(*arguments, wrong).ok:
                    break
                smallest = 10.0**-power
            label = f"{output}, {loss}, batch {batch}"
            print(f"  {label:<42}{took:>8.2f} s{testified:>8.2f} s{proved:>10,}{smallest:>12.0e}")
            print(f"    {report.summary}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--convolutions", action="store_true", help="these alone")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print(f"seed {options.seed}\n")
    if not options.convolutions:
        bounds(rng, options.networks, DENSE, families)
        times(rng)
    bounds(rng, options.networks, CONVOLUTION, convolutions)


if __name__ == "__main__":
    main()
