"""Low precision: how far off correct gradients are, which wrong ones are seen, what correlates. Writes a table.

    python -m benchmarks.calibration.low_precision [--networks 60] [--seed 0] [--write]

The source of the constants in ``bpcheck/check/low_precision.py`` and ``bpcheck/reference/numbers/variance.py``. Needs
PyTorch and ml_dtypes. With ``--write`` the table goes to ``benchmarks/results/low_precision.md``; the committed one
took 4 minutes of CPU time.

Correct implementations, over random networks of 2 to 4 layers of 8 to 128 units and batches of 1 to 64, every
activation and loss: NumPy float32 (in order, permuted sums, einsum, example by example, unfused losses), PyTorch
float32, float16, bfloat16 and autocast, NumPy float16 and ml_dtypes bfloat16 operation by operation.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch
from scipy.special import erf

from bpcheck import Case, check_low_precision, mlp, tree
from bpcheck.numeric.monte_carlo import Arithmetic, simulate, smoothed_variance
from bpcheck.precision import FloatFormat, rounded
from bpcheck.reference import build

RESULTS = Path(__file__).parents[1] / "results" / "low_precision.md"
BFLOAT16 = ml_dtypes.bfloat16
HIDDEN = ("tanh", "relu", "sigmoid", "gelu", "softplus", "silu", "leaky_relu", "softmax")
LOSSES = ("half_mse", "cross_entropy", "mse", "binary_cross_entropy", "huber")

Layers = list[dict[str, Any]]


# --- correct implementations, in any dtype ------------------------------------------------------------


def sigma(name: str, z: Any) -> Any:
    one = z.dtype.type(1)
    if name == "identity":
        return z
    if name == "tanh":
        return np.tanh(z)
    if name == "sigmoid":
        return one / (one + np.exp(-z))
    if name == "relu":
        return np.maximum(z, z.dtype.type(0))
    if name == "leaky_relu":
        return np.where(z > 0, z, z.dtype.type(0.01) * z)
    if name == "softplus":
        return np.maximum(z, z.dtype.type(0)) + np.log1p(np.exp(-abs(z)))
    if name == "silu":
        return z * (one / (one + np.exp(-z)))
    if name == "gelu":
        return (0.5 * z * (1 + erf(np.float32(z) / np.float32(math.sqrt(2))))).astype(z.dtype)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def times_slope(name: str, z: Any, a: Any, upstream: Any) -> Any:
    one = z.dtype.type(1)
    if name == "identity":
        return upstream
    if name == "tanh":
        return upstream * (one - a * a)
    if name == "sigmoid":
        return upstream * (a * (one - a))
    if name == "relu":
        return upstream * (z > 0).astype(z.dtype)
    if name == "leaky_relu":
        return upstream * np.where(z > 0, one, z.dtype.type(0.01))
    if name == "softplus":
        return upstream * (one / (one + np.exp(-z)))
    if name == "silu":
        s = one / (one + np.exp(-z))
        return upstream * (s + z * s * (one - s))
    if name == "gelu":
        z32 = np.float32(z)
        density = np.exp(-z32 * z32 / 2) / np.float32(math.sqrt(2 * math.pi))
        return upstream * (0.5 * (1 + erf(z32 / np.float32(math.sqrt(2)))) + z32 * density).astype(z.dtype)
    return a * (upstream - (upstream * a).sum(axis=1, keepdims=True))


def product(a: Any, b: Any, how: str, dtype: Any) -> Any:
    if how == "permuted":
        order = np.random.default_rng(a.shape[1]).permutation(a.shape[1])
        a, b = a[:, order], b[order]
    return (np.einsum("ij,jk->ik", a, b) if how == "einsum" else a @ b).astype(dtype)


def backprop(case: Case, params: Layers, x: Any, y: Any, m: Any, how: str, dtype: Any) -> Layers:
    architecture = case.architecture
    names = [layer.activation for layer in architecture.layers]
    a, z = [x], []
    for name, p in zip(names, params, strict=True):
        z.append(product(a[-1], p["weight"].T, how, dtype) + p["bias"])
        a.append(sigma(name, z[-1]))
    r = a[-1] - y
    if architecture.loss == "half_mse":
        upstream = r
    elif architecture.loss == "mse":
        upstream = r * dtype(2) / dtype(y.shape[1])
    elif architecture.loss == "huber":
        upstream = np.clip(r, dtype(-1), dtype(1))
    elif how == "unfused" and architecture.loss == "cross_entropy":
        upstream = -y / a[-1]
    elif how == "unfused":
        upstream = r / (a[-1] * (dtype(1) - a[-1]))
    else:
        upstream, names[-1] = r, "identity"  # softmax or sigmoid with its own loss: p − y
    delta = times_slope(names[-1], z[-1], a[-1], upstream / m)
    found: Layers = []
    for k in range(len(params) - 1, -1, -1):
        found.insert(0, {"weight": product(delta.T.copy(), a[k], how, dtype), "bias": delta.sum(axis=0)})
        if k:
            bracket = product(delta, params[k]["weight"], how, dtype)
            delta = times_slope(names[k - 1], z[k - 1], a[k], bracket)
    return found


def in_numpy(dtype: Any, how: str = "in order") -> Callable[[Case], Layers]:
    def gradient(case: Case) -> Layers:
        params = [{k: np.asarray(v).astype(dtype) for k, v in layer.items()} for layer in case.params]
        x, y = case.x.astype(dtype), case.y.astype(dtype)
        m = dtype(len(x)) if case.architecture.reduction == "mean" else dtype(1)
        if how == "by example":
            one = [
                backprop(case, params, x[i : i + 1], y[i : i + 1], dtype(1), how, dtype)
                for i in range(len(x))
            ]
            found = [{k: sum(g[j][k] for g in one) / m for k in layer} for j, layer in enumerate(params)]
        else:
            found = backprop(case, params, x, y, m, how, dtype)
        return [{k: np.asarray(v).astype(dtype) for k, v in layer.items()} for layer in found]

    return gradient


def in_torch(dtype: Any, *, autocast: bool = False) -> Callable[[Case], Layers]:
    f = torch.nn.functional
    sigmas: dict[str, Any] = {
        "identity": lambda z: z, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu,
        "leaky_relu": lambda z: f.leaky_relu(z, 0.01), "softplus": f.softplus, "silu": f.silu, "gelu": f.gelu,
        "softmax": lambda z: torch.softmax(z, 1),
    }  # fmt: skip

    def gradient(case: Case) -> Layers:
        architecture, m = case.architecture, len(case.x)
        held = torch.float32 if autocast else dtype
        params = [
            {k: torch.tensor(np.array(v)).to(held).requires_grad_() for k, v in layer.items()}
            for layer in case.params
        ]
        a, y = torch.tensor(np.array(case.x)).to(held), torch.tensor(np.array(case.y)).to(held)
        with torch.autocast("cpu", dtype=dtype) if autocast else contextlib.nullcontext():
            for layer, p in zip(architecture.layers, params, strict=True):
                a = f.linear(a, p["weight"], p["bias"])
                if not (p is params[-1] and architecture.loss in ("cross_entropy", "binary_cross_entropy")):
                    a = sigmas[layer.activation](a)
            if architecture.loss == "half_mse":
                cost = 0.5 * ((a - y) ** 2).sum()
            elif architecture.loss == "mse":
                cost = ((a - y) ** 2).sum() / y.shape[1]
            elif architecture.loss == "huber":
                cost = f.huber_loss(a, y, reduction="sum")
            elif architecture.loss == "cross_entropy":
                cost = f.cross_entropy(a, y, reduction="sum")
            else:
                cost = f.binary_cross_entropy_with_logits(a, y, reduction="sum")
            cost = cost / m if architecture.reduction == "mean" else cost
        cost.backward()
        return [{k: v.grad.float().numpy() for k, v in layer.items()} for layer in params]

    return gradient


CORRECT: dict[str, tuple[str, Callable[[Case], Layers]]] = {
    "NumPy float32": ("float32", in_numpy(np.float32)),
    "NumPy float32, permuted sums": ("float32", in_numpy(np.float32, "permuted")),
    "NumPy float32, einsum": ("float32", in_numpy(np.float32, "einsum")),
    "NumPy float32, by example": ("float32", in_numpy(np.float32, "by example")),
    "NumPy float32, unfused loss": ("float32", in_numpy(np.float32, "unfused")),
    "PyTorch float32": ("float32", in_torch(torch.float32)),
    "NumPy float16": ("float16", in_numpy(np.float16)),
    "PyTorch float16": ("float16", in_torch(torch.float16)),
    "ml_dtypes bfloat16": ("bfloat16", in_numpy(BFLOAT16)),
    "PyTorch bfloat16": ("bfloat16", in_torch(torch.bfloat16)),
    "PyTorch autocast bfloat16": ("bfloat16", in_torch(torch.bfloat16, autocast=True)),
}
ONE_OF_EACH = {"float32": "NumPy float32", "float16": "PyTorch float16", "bfloat16": "PyTorch bfloat16"}


# --- networks -----------------------------------------------------------------------------------------


def networks(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for index in range(count):
        depth = int(rng.integers(2, 5))
        widths = [*(int(rng.integers(8, 129)) for _ in range(depth)), int(rng.integers(2, 12))]
        architecture = mlp(
            widths,
            activation=HIDDEN[index % len(HIDDEN)],
            loss=str(rng.choice(LOSSES)),
            reduction="mean" if rng.random() < 0.7 else "sum",
        )
        params = build(architecture).init(rng)
        for layer in params:
            layer["bias"] += 0.3 * rng.standard_normal(layer["bias"].shape)
        m, n = int(rng.integers(1, 65)), widths[-1]
        classes = architecture.loss in ("cross_entropy", "binary_cross_entropy")
        y = np.eye(n)[rng.integers(n, size=m)] if classes else rng.standard_normal((m, n))
        yield Case(architecture, params, rng.standard_normal((m, widths[0])), y)


def at_rounded(case: Case, form: Any) -> Case:
    def once(array: Any) -> Any:
        return rounded(rounded(array, "float32"), form)

    params = tree.restore(case.params, [once(leaf) for _, leaf in tree.leaves(case.params)])
    return Case(case.architecture, params, once(case.x), once(case.y))


# --- tables -------------------------------------------------------------------------------------------


def kind(report: Any) -> str:
    if report.verdict.name != "INCONCLUSIVE":
        return str(report.verdict.name)
    called_wrong = any("called wrong" in c.reason for c in report.comparisons)
    return "INCONCLUSIVE, doubt" if called_wrong else "INCONCLUSIVE, limit"


def check(given: Layers, case: Case, form: str, by: str) -> Any:
    if by == "model":
        return check_low_precision(given, case, dtype=form, seed=1)
    network = build(case.architecture)
    params = [{k: np.array(v) for k, v in layer.items()} for layer in case.params]
    return check_low_precision(
        given,
        lambda p, x, y: network.evaluate(p, x, y)[1],
        params,
        np.array(case.x),
        np.array(case.y),
        dtype=form,
        seed=1,
    )


def standardised(cases: list[Case], out: list[str]) -> None:
    """Errors of correct code in standard deviations of the model."""
    out += ["## Correct code, in standard deviations of the model (sums inside an operation in float32)", ""]
    out += [
        "| code | tensors | entries | largest abs z | rms z of a tensor, median | largest |",
        "|---|---|---|---|---|---|",
    ]
    for name, (form, gradient) in CORRECT.items():
        largest, sizes, entries = 0.0, [], 0
        for case in cases:
            fits = "unfused" not in name or case.architecture.output != "identity"
            if not fits:
                continue
            at = at_rounded(case, form)
            _, told = build(at.architecture).noisy(at.params, at.x, at.y, dtype=form)
            given = dict(tree.leaves(gradient(case)))
            for path, noisy in told.items():
                difference = np.asarray(given[path]).astype(float) - noisy.value
                z = np.where(difference == 0, 0.0, difference / np.maximum(noisy.deviation, 1e-300))
                largest = max(largest, float(abs(z).max()))
                sizes.append(float(np.sqrt((z**2).mean())))
                entries += z.size
        out.append(
            f"| {name} | {len(sizes)} | {entries} | {largest:.1f} | {np.median(sizes):.2f} | {max(sizes):.2f} |"
        )
    out.append("")


def verdicts(cases: list[Case], by: str, out: list[str]) -> None:
    """What is said about correct code."""
    out += [f"## Verdicts on correct code, by {by}", ""]
    out += ["| code | verdicts | limit, median | 90 % | 99 % |", "|---|---|---|---|---|"]
    for name, (form, gradient) in CORRECT.items():
        seen: Counter[str] = Counter()
        limits: list[float] = []
        for case in cases:
            if "unfused" in name and case.architecture.output == "identity":
                continue
            report = check(gradient(case), case, form, by)
            seen[kind(report)] += 1
            limits += [c.detection_limit for c in report.comparisons]
        counts = ", ".join(f"{k} {n}" for k, n in sorted(seen.items()))
        middle, most, nearly = np.quantile(limits, [0.5, 0.9, 0.99])
        out.append(f"| {name} | {counts} | {middle:.1e} | {most:.1e} | {nearly:.1e} |")
    out.append("")


def spoiled(form: str) -> dict[str, Callable[[Callable[[Case], Layers], Case, np.random.Generator], Layers]]:
    """Wrong gradients: each makes one out of a correct implementation."""

    def change(edit: Callable[[Any, np.random.Generator], Any]) -> Any:
        def make(gradient: Any, case: Case, rng: np.random.Generator) -> Layers:
            found = [{k: np.asarray(v).astype(float) for k, v in layer.items()} for layer in gradient(case)]
            layer = found[int(rng.integers(len(found)))]
            layer["weight"] = edit(layer["weight"], rng)
            return found

        return make

    def entry(relative: float, *, of_rms: bool = False) -> Any:
        def edit(w: Any, rng: np.random.Generator) -> Any:
            index = tuple(int(rng.integers(n)) for n in w.shape)
            w[index] += relative * (np.sqrt(np.mean(w**2)) if of_rms else w[index])
            return w

        return change(edit)

    def row_zeroed(w: Any, rng: np.random.Generator) -> Any:
        row = rng.permutation(np.flatnonzero(np.any(w != 0, axis=1)))[:1]
        w[row] = 0.0
        return w

    def factor(k: float) -> Any:
        return change(lambda w, rng: w * k)

    def dropped(gradient: Any, case: Case, rng: np.random.Generator) -> Layers:
        m = len(case.x)
        less = Case(case.architecture, case.params, case.x[1:], case.y[1:])
        share = (m - 1) / m if case.architecture.reduction == "mean" else 1.0
        return [{k: np.asarray(v).astype(float) * share for k, v in g.items()} for g in gradient(less)]

    def tf32(gradient: Any, case: Case, rng: np.random.Generator) -> Layers:
        coarse = FloatFormat("tf32", 11, -126, 127)
        params = tree.restore(case.params, [rounded(leaf, coarse) for _, leaf in tree.leaves(case.params)])
        return gradient(Case(case.architecture, params, rounded(case.x, coarse), case.y))

    always = {"one example of the batch dropped": dropped, "a row set to zero": change(row_zeroed)}
    if form == "float32":
        return {
            "one entry off by 1e-2": entry(1e-2),
            "one entry off by 1e-3": entry(1e-3),
            "one entry off by 1e-4": entry(1e-4),
            "a tensor × (1 + 1e-5)": factor(1 + 1e-5),
            "inputs rounded to TF32": tf32,
            **always,
        }
    return {
        "one entry off by 10 %": entry(0.1),
        "one entry off by the rms": entry(1.0, of_rms=True),
        "a tensor × 1.001": factor(1.001),
        "a tensor × 1.01": factor(1.01),
        "a tensor × 1.1": factor(1.1),
        **always,
    }


def power(cases: list[Case], by: str, rng: np.random.Generator, out: list[str]) -> None:
    """What is said about wrong code."""
    out += [f"## Verdicts on wrong code, by {by}", "", "| format | error | verdicts |", "|---|---|---|"]
    for form, name in ONE_OF_EACH.items():
        for error, make in spoiled(form).items():
            seen = Counter(
                kind(check(make(CORRECT[name][1], case, rng), case, form, by))
                for case in cases
                if len(case.x) >= 8
            )
            counts = ", ".join(f"{k} {n}" for k, n in sorted(seen.items()))
            out.append(f"| {form} | {error} | {counts} |")
    out.append("")


def agreement(cases: list[Case], runs: int, out: list[str]) -> None:
    """Model against simulation, and how much the errors of a tensor correlate."""
    rows: dict[tuple[str, str], list[float]] = defaultdict(list)
    for case in cases:
        network = build(case.architecture)
        for form in ("float32", "bfloat16"):
            at = at_rounded(case, form)
            _, told = network.noisy(at.params, at.x, at.y, dtype=form)
            seen = [
                simulate(
                    lambda p, x, y, network=network: network.evaluate(p, x, y)[1],
                    (at.params, at.x, at.y),
                    Arithmetic.of(form, seed=s),
                )
                for s in range(runs)
            ]
            for path, noisy in told.items():
                live = noisy.deviation > 0
                if not live.any() or not noisy.value.any():
                    continue
                off = np.stack([run[path] - noisy.value for run in seen])
                z = np.where(live, off / np.where(live, noisy.deviation, 1.0), 0.0)
                for count in (3, 8, runs):
                    ratio = np.sqrt(smoothed_variance(off[:count]))[live] / noisy.deviation[live]
                    rows[form, f"simulated / modelled deviation, {count} runs"].append(
                        float(np.median(ratio))
                    )
                sizes = np.mean(z.reshape(runs, -1) ** 2, axis=1)
                rows[form, "effective number of errors / entries"].append(
                    min(1.0, float(2 * sizes.mean() ** 2 / max(sizes.var(ddof=1), 1e-30)) / noisy.value.size)
                )
                weight = np.where(live, 1 / np.where(live, noisy.variance, 1.0), 0.0)
                norm = float((weight * noisy.value**2).sum())
                slopes = [(weight * noisy.value * o).sum() / norm for o in off]
                rows[form, "deviation of the slope"].append(float(np.std(slopes)))
                rows[form, "the same / if entries were independent"].append(
                    float(np.std(slopes) * np.sqrt(norm))
                )
    out += [f"## Model and simulation ({runs} runs), one number a tensor", ""]
    out += ["| format | quantity | 10 % | median | 90 % | 99 % |", "|---|---|---|---|---|---|"]
    for (form, quantity), numbers in rows.items():
        cells = " | ".join(f"{q:.2g}" for q in np.quantile(numbers, [0.1, 0.5, 0.9, 0.99]))
        out.append(f"| {form} | {quantity} | {cells} |")
    out.append("")


def libraries(out: list[str]) -> None:
    """Errors of PyTorch's elementary functions in float32, in units of u·max(1, |z|)."""
    z = np.linspace(-8, 8, 400_001).astype(np.float32)
    z64 = z.astype(float)
    cdf = 0.5 * (1 + erf(z64 / math.sqrt(2)))
    exact = {
        "tanh": np.tanh(z64),
        "sigmoid": 1 / (1 + np.exp(-z64)),
        "silu": z64 / (1 + np.exp(-z64)),
        "softplus": np.logaddexp(0, z64),
        "gelu": z64 * cdf,
    }
    out += [
        "## PyTorch's elementary functions, float32, error in u·max(1, abs z)",
        "",
        "| function | largest | rms |",
        "|---|---|---|",
    ]
    for name, right in exact.items():
        function = getattr(torch, name, None) or getattr(torch.nn.functional, name)
        error = abs(function(torch.tensor(z)).numpy() - right) / np.maximum(1, abs(z64)) * 2**24
        out.append(f"| {name} | {error.max():.1f} | {np.sqrt(np.mean(error**2)):.2f} |")
    out.append("")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    started = time.process_time()
    rng = np.random.default_rng(options.seed)
    cases = list(networks(rng, options.networks))
    some = cases[: max(8, options.networks // 3)]
    out = [
        "# Low precision",
        "",
        f"`python -m benchmarks.calibration.low_precision --networks {options.networks} --seed {options.seed}`",
        "",
    ]
    standardised(cases + list(networks(rng, 3 * options.networks)), out)
    verdicts(cases, "model", out)
    verdicts(some, "simulation", out)
    power(some, "model", rng, out)
    power(some[: len(some) // 2], "simulation", rng, out)
    agreement(some, 16, out)
    libraries(out)
    text = "\n".join(out)
    print(text)
    print(f"{time.process_time() - started:.0f} s of CPU time")
    if options.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
