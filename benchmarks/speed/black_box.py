"""check_gradient() beside jax.check_grads and torch's gradcheck (fast mode), on a black box.

Each checks the same hand-written gradient of the same network, in float64 with its default settings.
What a checker costs means little without what it sees: *one entry* and *a layer* say how large an error
must be (one weight's gradient, relative to its tensor's root mean square; a factor on the gradient of the
first layer) to be found in 99 of 100 runs with different seeds.

    python benchmarks/speed/black_box.py            # some minutes
    python benchmarks/speed/black_box.py --quick    # seconds, a smoke test

Writes benchmarks/results/black_box.md, black_box.json and docs/figures/black_box.svg.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from bpcheck import Verdict, check_gradient

ROOT = Path(__file__).resolve().parents[2]
SHARE = 0.99
SMALLEST, LARGEST = 1e-12, 1e6
DIGITS = 0.1
"""Half-decades are told apart: the thresholds are found to a factor 10^0.1."""

FIRST_GUESS, FIRST_WIDTH = 1e-3, 0.5
"""Where the first threshold is looked for, and how far around a guess, in decades."""


@dataclass(frozen=True)
class Problem:
    """A network with tanh units, half the mean squared error, and its gradient written by hand."""

    name: str
    params: tuple[np.ndarray, ...]
    x: np.ndarray
    y: np.ndarray

    def loss(self, params: Any) -> Any:
        """Half the mean squared error."""
        w, b, v, c = params
        a = np.tanh(self.x @ w.T + b)
        d = a @ v.T + c - self.y
        return (d * d).sum() / (2 * len(self.x))

    def gradient(self, params: Any) -> tuple[np.ndarray, ...]:
        """Its gradient, by hand."""
        w, b, v, c = params
        a = np.tanh(self.x @ w.T + b)
        d = (a @ v.T + c - self.y) / len(self.x)
        delta = (d @ v) * (1 - a * a)
        return delta.T @ self.x, delta.sum(0), d.T @ a, d.sum(0)


def problem(widths: tuple[int, int, int], batch: int) -> Problem:
    rng = np.random.default_rng(0)
    n, h, m = widths
    params = (
        rng.standard_normal((h, n)) / math.sqrt(n),
        0.1 * rng.standard_normal(h),
        rng.standard_normal((m, h)) / math.sqrt(h),
        0.1 * rng.standard_normal(m),
    )
    name = "-".join(map(str, widths)) + f", batch {batch}"
    return Problem(name, params, rng.standard_normal((batch, n)), rng.standard_normal((batch, m)))


Wrong = Callable[[tuple[np.ndarray, ...], float], tuple[np.ndarray, ...]]


def one_entry(gradient: tuple[np.ndarray, ...], error: float) -> tuple[np.ndarray, ...]:
    first = gradient[0].copy()
    size = math.sqrt(float(np.mean(first**2)))
    # the entry whose own gradient is the median one: neither easy nor hard
    order = np.argsort(abs(first).ravel())
    first.flat[order[len(order) // 2]] += error * size
    return (first, *gradient[1:])


def a_layer(gradient: tuple[np.ndarray, ...], error: float) -> tuple[np.ndarray, ...]:
    return ((1 + error) * gradient[0], *gradient[1:])


# --- the checkers: True if the gradient is accepted -------------------------------------------------


class Counter:
    """Counts evaluations of loss and gradient."""

    def __init__(self) -> None:
        self.losses = 0
        self.gradients = 0


def by_bpcheck(p: Problem, gradient: Callable[[Any], Any], seed: int, count: Counter) -> bool:
    def loss(params: Any) -> float:
        count.losses += 1
        return float(p.loss(params))

    def gradient_of(params: Any) -> Any:
        count.gradients += 1
        return gradient(params)

    return check_gradient(loss, gradient_of, p.params, seed=seed).verdict is not Verdict.DISAGREES


def by_gradcheck(p: Problem, gradient: Callable[[Any], Any], seed: int, count: Counter) -> bool:
    import torch

    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *params: Any) -> Any:
            count.losses += 1
            ctx.save_for_backward(*params)
            return torch.as_tensor(p.loss([q.detach().numpy() for q in params]))

        @staticmethod
        def backward(ctx: Any, cotangent: Any) -> Any:
            count.gradients += 1
            given = gradient([q.detach().numpy() for q in ctx.saved_tensors])
            return tuple(cotangent * torch.as_tensor(g) for g in given)

    torch.manual_seed(seed)
    params = [torch.tensor(q, requires_grad=True) for q in p.params]
    # having rejected, it runs its slow mode for the error message, minutes on the larger network: the verdict stands
    with patch("torch.autograd.gradcheck._run_slow_mode_and_get_error", return_value=""):
        return bool(torch.autograd.gradcheck(Loss.apply, params, fast_mode=True, raise_exception=False))


def by_check_grads(p: Problem, gradient: Callable[[Any], Any], seed: int, count: Counter) -> bool:
    import jax
    from jax.test_util import check_grads

    shapes = tuple(jax.ShapeDtypeStruct(q.shape, q.dtype) for q in p.params)

    def host_loss(*params: Any) -> Any:
        count.losses += 1
        return np.asarray(p.loss([np.asarray(q) for q in params]))

    def host_gradient(*params: Any) -> Any:
        count.gradients += 1
        return tuple(gradient([np.asarray(q) for q in params]))

    @jax.custom_vjp
    def loss(*params: Any) -> Any:
        return jax.pure_callback(host_loss, jax.ShapeDtypeStruct((), np.float64), *params)

    def forward(*params: Any) -> Any:
        return loss(*params), params

    def backward(params: Any, cotangent: Any) -> Any:
        given = jax.pure_callback(host_gradient, shapes, *params)
        return tuple(cotangent * g for g in given)

    loss.defvjp(forward, backward)
    # check_grads draws its directions from a fixed seed; permuting nothing, the point is moved a little instead
    rng = np.random.default_rng(seed)
    params = tuple(q + 1e-3 * rng.standard_normal(q.shape) for q in p.params)
    try:
        check_grads(loss, params, order=1, modes=["rev"])
    except AssertionError:
        return False
    return True


CHECKERS = {
    "bpcheck.check_gradient": by_bpcheck,
    "torch gradcheck, fast mode": by_gradcheck,
    "jax.test_util.check_grads": by_check_grads,
}


@dataclass(frozen=True)
class Row:
    """What one checker costs and sees on one problem."""

    checker: str
    problem: str
    losses: float
    gradients: float
    seconds: float
    rejected: float
    one_entry: float
    a_layer: float


def threshold(check: Any, p: Problem, wrong: Wrong, seed: int, guess: float) -> float:
    """Smallest error that this run's directions reject, by bisection on a logarithmic scale around a guess."""

    def accepted(log_error: float) -> bool:
        return bool(check(p, lambda params: wrong(p.gradient(params), 10.0**log_error), seed, Counter()))

    least, most = math.log10(SMALLEST), math.log10(LARGEST)
    low = high = min(max(math.log10(guess), least), most)
    width = FIRST_WIDTH
    while low > least and not accepted(low := max(low - width, least)):
        high, width = low, 2.0 * width
    width = FIRST_WIDTH
    while accepted(high):
        if high >= most:
            return math.inf
        low, high, width = high, min(high + width, most), 2.0 * width
    while high - low > DIGITS:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if accepted(middle) else (low, middle)
    return float(10.0**high)


def thresholds(check: Any, p: Problem, wrong: Wrong, runs: int) -> list[float]:
    """One for each seed, each guessed from the one before."""
    found = [FIRST_GUESS]
    for seed in range(runs):
        found.append(threshold(check, p, wrong, seed, min(found[-1], LARGEST)))
    return found[1:]


def measure(name: str, p: Problem, runs: int, repeats: int) -> Row:
    check, count = CHECKERS[name], Counter()
    wrongly = sum(not check(p, p.gradient, seed, count) for seed in range(runs))
    seen = {
        wrong.__name__: float(np.quantile(thresholds(check, p, wrong, runs), SHARE, method="higher"))
        for wrong in (one_entry, a_layer)
    }
    seconds = math.inf
    for _ in range(repeats):
        start = time.process_time()
        check(p, p.gradient, 0, Counter())
        seconds = min(seconds, time.process_time() - start)
    return Row(name, p.name, count.losses / runs, count.gradients / runs, seconds, wrongly / runs, **seen)


def table(rows: list[Row], runs: int) -> str:
    import jax
    import torch

    lines = [
        "# check_gradient() on a black box",
        "",
        f"float64, default settings, {runs} seeds; torch {torch.__version__.split('+')[0]}, jax {jax.__version__}. "
        "Written by `python benchmarks/speed/black_box.py`.",
        "",
        "| network | checker | losses | gradients | CPU time, bpcheck = 1 | right rejected | one entry seen from | "
        "a layer seen from |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours = next(r for r in rows if r.problem == row.problem and r.checker.startswith("bpcheck"))

        def size(error: float) -> str:
            return "never" if math.isinf(error) else f"{error:.0e}"

        lines.append(
            f"| {row.problem} | {row.checker} | {row.losses:.0f} | {row.gradients:.0f} | "
            f"{row.seconds / ours.seconds:.2f} | {row.rejected:.0%} | {size(row.one_entry)} | {size(row.a_layer)} |"
        )
    lines += [
        "",
        "*One entry seen from*: error of one weight's gradient, in units of its tensor's root mean square, that is "
        "found in 99 of 100 runs. *A layer*: relative error of the whole first layer's gradient.",
        "",
    ]
    return "\n".join(lines)


def picture(rows: list[Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    problems = list(dict.fromkeys(row.problem for row in rows))
    figure, axes = plt.subplots(
        1, len(problems), figsize=(4.6 * len(problems), 3.6), sharey=True, squeeze=False
    )
    markers = dict(zip(CHECKERS, "osD", strict=True))
    for axis, name in zip(axes[0], problems, strict=True):
        for row in (r for r in rows if r.problem == name):
            style = {"color": f"C{list(CHECKERS).index(row.checker)}", "marker": markers[row.checker]}
            axis.plot(row.losses + row.gradients, row.one_entry, linestyle="", label=row.checker, **style)
            axis.plot(row.losses + row.gradients, row.a_layer, linestyle="", fillstyle="none", **style)
        axis.set(title=name, xlabel="evaluations of loss and gradient", xscale="log", yscale="log")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("smallest error found\nin 99 of 100 runs")
    axes[0][-1].legend(fontsize=8, title="filled: one entry; open: a layer", title_fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few runs, small network, nothing written")
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    import jax

    jax.config.update("jax_enable_x64", True)
    problems = (
        [problem((12, 8, 4), 5)] if options.quick else [problem((30, 20, 5), 8), problem((784, 30, 10), 32)]
    )
    runs = 3 if options.quick else options.runs
    rows = []
    for p in problems:
        for name in CHECKERS:
            rows.append(measure(name, p, runs, repeats=2 if options.quick else 5))
            print(rows[-1], flush=True)
    text = table(rows, runs)
    print(text)
    if not options.quick:
        results = ROOT / "benchmarks" / "results"
        results.mkdir(exist_ok=True)
        (results / "black_box.md").write_text(text, encoding="utf-8")
        (results / "black_box.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
        picture(rows, ROOT / "docs" / "figures" / "black_box.svg")


if __name__ == "__main__":
    main()
