"""Every entry of a gradient, side by side: bpcheck, torch's gradcheck, a complex-step loop, jax's forward mode.

    pip install torch jax matplotlib
    OMP_NUM_THREADS=1 python benchmarks/speed/every_entry.py             # about eight minutes, most of it the others'
    OMP_NUM_THREADS=1 python benchmarks/speed/every_entry.py --only bpcheck floor
    OMP_NUM_THREADS=1 python benchmarks/speed/every_entry.py --blocks    # how the size of a block was chosen

784-30-10 and 784-100-10, batch 32, tanh and ReLU, softmax cross-entropy, float64. Everything runs in one process, each on
one thread, and CPU time counts. The fast ones are repeated in turns, the least counts; the slow ones, which take up
to a minute and more, run once.

*floor* is what it costs to just re-evaluate what each parameter touches, in plain real NumPy, at one perturbed point
(tanh of one unit, ten logits, softmax cross-entropy): no checking of anything, and differences of it are good for
1e-8. bpcheck's whole check is held against it, with its bounds and its cross-check.

Errors are those of the derivatives that the method itself finds, against ball arithmetic (``bpcheck.certified``): *of the
largest*, the largest error of an entry relative to the largest entry of its tensor, and *of itself*, relative to the
entry.

Writes benchmarks/results/every_entry.json, every_entry.md and docs/figures/every_entry.svg; what ``--only`` leaves out
stays as it was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np
from _timing import alternate, once, ratio, seconds

from bpcheck import Case, certified, check_every_entry, mlp, tree
from bpcheck.numeric import structured_step
from bpcheck.reference import Perturbations, build, perturbations

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
FIGURE = ROOT / "docs" / "figures" / "every_entry.svg"

BATCH, CLASSES, PIXELS = 32, 10, 784
HIDDEN = (30, 100)
ACTIVATIONS = ("tanh", "relu")
REPEATS = 7
STEP = 1e-30
FINITE_STEP = 1e-6
CHUNK = 256
"""Perturbations at a time: in ``floor`` the fastest of 64, 128, 256, 400 and 785; in jax, a basis that fits memory
(the whole one of 79,510 vectors would take 50 GB)."""

NAMES = {
    "bpcheck": "bpcheck.check_every_entry",
    "derivatives": "of which derivatives, bounds and cross-check",
    "floor": "floor: re-evaluating the touched units",
    "floor_complex": "the same in complex arithmetic",
    "jax": "jax.jacfwd, in chunks",
    "loop": "complex step, a NumPy loop",
    "torch": "torch.autograd.gradcheck (slow mode)",
}


@dataclass(frozen=True)
class Problem:
    """One network at one point."""

    hidden: int
    activation: str

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.hidden, len(self.activation)])
        network = build(mlp([PIXELS, self.hidden, CLASSES], activation=self.activation, loss="cross_entropy"))
        params = network.init(rng)
        for layer in params:
            layer["bias"] += 0.1 * rng.standard_normal(layer["bias"].shape)
        x = rng.random((BATCH, PIXELS))
        y = np.eye(CLASSES)[rng.integers(CLASSES, size=BATCH)]
        for name, value in (("network", network), ("params", params), ("x", x), ("y", y)):
            object.__setattr__(self, name, value)

    @property
    def name(self) -> str:
        """``784-30-10 tanh``."""
        return f"{PIXELS}-{self.hidden}-{CLASSES} {self.activation}"

    @property
    def leaves(self) -> list[np.ndarray]:
        """Weights and biases in order."""
        return [leaf for _, leaf in tree.leaves(self.params)]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(leaf.size for leaf in self.leaves)

    def flops(self) -> int:
        """Additions, multiplications and divisions of the structured step, for the first layer's parameters.

        For each of them and each example: σ takes 2 (a product with h, a quotient), each logit 1 for its
        product, 1 for the largest taken off, 2 + 2 for the sums with the weights and the targets; 4 for the
        logarithm and the sums over examples.
        """
        return self.hidden * (PIXELS + 1) * BATCH * (2 + 6 * CLASSES + 4)


# ---- the contenders; each returns its derivatives, leaf by leaf -------------------------------------------


def bpcheck(p: Problem) -> list[np.ndarray]:
    report = check_every_entry(p.network, p.params, p.x, p.y, seed=0)
    assert report.ok, report
    return [comparison.expected for comparison in report.comparisons]


def derivatives(p: Problem) -> list[np.ndarray]:
    function = Perturbations(p.network, p.params, p.x, p.y)
    return list(structured_step(function, rng=np.random.default_rng(0)).gradient.values())


def _sigma(p: Problem) -> Callable[[Any], Any]:
    return np.tanh if p.activation == "tanh" else lambda z: np.where(z.real > 0, z, 0.0)


def _re_evaluated(p: Problem, step: complex) -> list[np.ndarray]:
    """The cost with each parameter moved by ``step``: only the units that it touches."""
    (w, b), (v, c) = ((layer["weight"], layer["bias"]) for layer in p.params)
    sigma, m = _sigma(p), BATCH
    z = p.x @ w.T + b
    a = sigma(z)
    logits = a @ v.T + c
    moves = np.column_stack([p.x, np.ones(m)]) * step
    first = np.zeros((p.hidden, PIXELS + 1), dtype=type(step))
    for start in range(0, PIXELS + 1, CHUNK):
        part = np.ascontiguousarray(moves[:, start : start + CHUNK])
        for j in range(p.hidden):
            moved = sigma(z[:, j, None] + part) - a[:, j, None]
            first[j, start : start + CHUNK] = _cost(
                logits[:, :, None] + v[:, j, None] * moved[:, None, :], p.y
            )
    second = np.zeros((CLASSES, p.hidden + 1), dtype=type(step))
    for k in range(CLASSES):
        moved = np.repeat(logits[:, :, None].astype(type(step)), p.hidden + 1, axis=2)
        moved[:, k] += np.column_stack([a, np.ones(m)]) * step
        second[k] = _cost(moved, p.y)
    return [first[:, :-1], first[:, -1], second[:, :-1], second[:, -1]]


def _cost(z: Any, y: Any) -> Any:
    """Mean cross-entropy of logits (m, n, P); of the size that they have here e^z does not overflow."""
    values = np.log(np.exp(z).sum(axis=1)) - (y[:, :, None] * z).sum(axis=1)
    return values.sum(axis=0) / len(y)


def floor(p: Problem) -> list[np.ndarray]:
    here = float(p.network.loss(p.params, p.x, p.y))
    return [(cost - here) / FINITE_STEP for cost in _re_evaluated(p, FINITE_STEP)]


def floor_complex(p: Problem) -> list[np.ndarray]:
    return [cost.imag / STEP for cost in _re_evaluated(p, 1j * STEP)]


def loop(p: Problem) -> list[np.ndarray]:
    """What a textbook writes: the whole network for each parameter."""
    leaves = [leaf.astype(complex) for leaf in p.leaves]
    sigma = _sigma(p)
    found = [np.zeros(leaf.shape) for leaf in leaves]
    for leaf, slopes in zip(leaves, found, strict=True):
        for index in np.ndindex(leaf.shape):
            leaf[index] += 1j * STEP
            w, b, v, c = leaves
            z = sigma(p.x @ w.T + b) @ v.T + c
            cost = (np.log(np.exp(z).sum(axis=1)) - (p.y * z).sum(axis=1)).sum() / BATCH
            slopes[index] = cost.imag / STEP
            leaf[index] = leaf[index].real
    return found


def torch(p: Problem) -> list[np.ndarray]:
    """``gradcheck`` with its default settings; the derivatives are those that it compares with."""
    import torch as t

    t.set_num_threads(1)
    module = __import__("torch.autograd.gradcheck", fromlist=["gradcheck"])
    x, y = t.tensor(p.x), t.tensor(p.y)
    leaves = tuple(t.tensor(leaf, requires_grad=True) for leaf in p.leaves)
    sigma = t.tanh if p.activation == "tanh" else t.relu

    def cost(w: Any, b: Any, v: Any, c: Any) -> Any:
        return t.nn.functional.cross_entropy(sigma(x @ w.T + b) @ v.T + c, y)

    seen: list[Any] = []
    numerical = module._get_numerical_jacobian

    def watched(*args: Any, **options: Any) -> Any:
        seen.append(numerical(*args, **options))
        return seen[-1]

    module._get_numerical_jacobian = watched
    try:
        t.autograd.gradcheck(cost, leaves, raise_exception=False)
    finally:
        module._get_numerical_jacobian = numerical
    return [
        rows[0].detach().numpy().reshape(leaf.shape) for rows, leaf in zip(seen[0], p.leaves, strict=True)
    ]


def jax(p: Problem) -> list[np.ndarray]:
    import jax as j

    j.config.update("jax_enable_x64", True)
    x, y, shapes = j.numpy.asarray(p.x), j.numpy.asarray(p.y), [leaf.shape for leaf in p.leaves]
    cuts = np.cumsum([leaf.size for leaf in p.leaves])[:-1]
    sigma = j.numpy.tanh if p.activation == "tanh" else j.nn.relu

    def cost(flat: Any) -> Any:
        w, b, v, c = (part.reshape(s) for part, s in zip(j.numpy.split(flat, cuts), shapes, strict=True))
        z = sigma(x @ w.T + b) @ v.T + c
        return -(y * j.nn.log_softmax(z)).sum() / BATCH

    flat = j.numpy.concatenate([j.numpy.asarray(leaf).ravel() for leaf in p.leaves])

    @j.jit
    def chunk(start: Any) -> Any:
        basis = (start + j.numpy.arange(CHUNK))[:, None] == j.numpy.arange(p.size)
        return j.vmap(lambda v: j.jvp(cost, (flat,), (v,))[1])(basis.astype(float))

    found = np.concatenate([np.asarray(chunk(start)) for start in range(0, p.size, CHUNK)])[: p.size]
    return [part.reshape(s) for part, s in zip(np.split(found, cuts), shapes, strict=True)]


FAST = {"bpcheck": bpcheck, "derivatives": derivatives, "floor": floor, "floor_complex": floor_complex}
SLOW = {"jax": jax, "loop": loop, "torch": torch}


# ---- what comes out ---------------------------------------------------------------------------------------


def errors(found: list[np.ndarray], truth: list[np.ndarray]) -> dict[str, float]:
    """Largest error relative to the tensor's largest entry, and to the entry itself."""
    gaps = [(abs(value - true), abs(true)) for value, true in zip(found, truth, strict=True)]
    return {
        "of_largest": max(float(gap.max() / size.max()) for gap, size in gaps),
        "of_itself": max(float((gap[size > 0] / size[size > 0]).max()) for gap, size in gaps),
    }


def measure(p: Problem, only: list[str], record: dict[str, Any]) -> dict[str, Any]:
    """Times and errors of the chosen contenders, on top of what ``record`` has."""
    right = certified.testify(Case(p.network.architecture, p.params, p.x, p.y))
    truth = list(right.gradient.values())
    report = check_every_entry(p.network, p.params, p.x, p.y, seed=0)
    bound = structured_step(Perturbations(p.network, p.params, p.x, p.y), rng=np.random.default_rng(0)).error
    record |= {
        "parameters": p.size,
        "flops": p.flops(),
        "bound_of_largest": max(
            float(bound[path].max() / abs(true).max()) for path, true in right.gradient.items()
        ),
        "detection_limit": report.detection_limit.maximum,
    }
    methods = record.setdefault("methods", {})
    fast = {name: (lambda work=work: work(p)) for name, work in FAST.items() if name in only}
    if fast:
        times, found = alternate(fast, repeats=REPEATS)
        for name in fast:
            methods[name] = {"seconds": times[name], **errors(found[name], truth)}
    for name, work in SLOW.items():
        if name in only:
            spent, value = once(lambda work=work: work(p))
            methods[name] = {"seconds": spent, **errors(value, truth)}
            print(p.name, name, seconds(spent), flush=True)
    return record


def table(results: dict[str, Any]) -> str:
    """Ratios first: they depend least on the machine."""
    lines = []
    for name, record in results["problems"].items():
        methods = record["methods"]
        ours = methods["bpcheck"]["seconds"]
        lines += [
            f"### {name}, {record['parameters']:,} parameters",
            "",
            "| | CPU time, in that of bpcheck's whole check | error of the largest entry | of the entry itself "
            "| CPU time |",
            "|---|---:|---:|---:|---:|",
        ]
        for key, title in NAMES.items():
            if key in methods:
                m = methods[key]
                lines.append(
                    f"| {title} | {ratio(m['seconds'] / ours)} | {m['of_largest']:.0e} | {m['of_itself']:.0e} "
                    f"| {seconds(m['seconds'])} |"
                )
        derived = methods["derivatives"]["seconds"]
        lines += [
            "",
            f"The bound that comes with each derivative is at most {record['bound_of_largest']:.0e} of the "
            f"largest entry; the check would have seen any entry wrong by {record['detection_limit']:.0e} of its "
            f"tensor's root mean square. {record['flops'] / 1e6:.0f} million operations, "
            f"{record['flops'] / derived / 1e9:.1f} a nanosecond.",
            "",
        ]
    return "\n".join(lines)


def document(results: dict[str, Any]) -> str:
    bounds = results.get("passes", {})
    text = [
        "# Every entry of a gradient",
        "",
        "`OMP_NUM_THREADS=1 python benchmarks/speed/every_entry.py` writes this page. Batch 32, softmax",
        "cross-entropy, float64; one thread each, CPU time; jax's includes compiling once. Errors against ball",
        f"arithmetic. {results['versions']}.",
        "",
        table(results),
    ]
    if bounds:
        text += [
            "## What bounds it",
            "",
            "Arithmetic is not the limit, and no elementary function is evaluated for a perturbation: for each of",
            "the 2.5 million pairs of a parameter and an example (784-100-10), ten logits are written, shifted and read by",
            "a matrix product. Those three passes over blocks that stay in the cache, alone, take",
            f"{bounds['passes'] / bounds['values']:.0%} of the time in which all derivatives are evaluated (writing "
            f"{bounds['multiply'] / bounds['values']:.0%}, shifting {bounds['subtract'] / bounds['values']:.0%}, "
            f"reading {bounds['product'] / bounds['values']:.0%}); the rest is the hidden unit's quotient, the sums over "
            "the batch, and",
            "NumPy's calls.",
            "",
        ]
    return "\n".join(text)


def passes() -> dict[str, float]:
    """The passes over memory of the structured step on 784-100-10, without anything else."""
    p = Problem(100, "tanh")
    rng = np.random.default_rng(0)
    columns = perturbations.BLOCK // (BATCH * CLASSES)
    sizes = [min(columns, PIXELS + 1 - start) for start in range(0, PIXELS + 1, columns)] * p.hidden
    moved = {size: rng.standard_normal((BATCH, size)) for size in set(sizes)}
    column, both = rng.standard_normal((CLASSES, 1)), rng.standard_normal((BATCH, 2, CLASSES))
    examples, largest = np.arange(BATCH), rng.integers(CLASSES, size=BATCH)
    blocks = {size: column * values[:, None, :] for size, values in moved.items()}

    def multiply() -> None:
        for size in sizes:
            column * moved[size][:, None, :]

    def subtract() -> None:
        for size in sizes:
            blocks[size] - blocks[size][examples, largest][:, None, :]

    def product() -> None:
        for size in sizes:
            both @ blocks[size]

    function = Perturbations(p.network, p.params, p.x, p.y)
    work = {
        "multiply": multiply,
        "subtract": subtract,
        "product": product,
        "values": lambda: list(function.blocks()),
    }
    times, _ = alternate(work, repeats=REPEATS)
    return {**times, "passes": times["multiply"] + times["subtract"] + times["product"]}


def blocks() -> None:
    """The derivatives' time for several sizes of a block."""
    p = Problem(100, "tanh")
    for columns in (16, 32, 64, 128):
        perturbations.COLUMNS = columns
        line = []
        for power in range(13, 21):
            perturbations.BLOCK = 2**power
            times, _ = alternate({"": lambda: derivatives(p)}, repeats=5)
            line.append(f"2^{power} {times['']:.3f}")
        print(f"at least {columns:3d} columns:", "  ".join(line), flush=True)


COLORS = {"bpcheck": "#0072b2", "floor": "#666666", "jax": "#009e73", "loop": "#cc79a7", "torch": "#d55e00"}
LABELS = {
    "bpcheck": ("bpcheck, every entry", "below"),
    "floor": ("touched units only,\nreal, one-sided differences", "below"),
    "jax": ("jax.jacfwd", "above"),
    "loop": ("complex-step loop", "below"),
    "torch": ("torch gradcheck, slow mode", "below"),
}
"""Okabe and Ito's colors; on which side of its point a label stands."""


def draw(results: dict[str, Any], target: Path) -> None:
    """Time against error, one panel a network: lower left is better."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "bpcheck", "font.size": 10, "svg.fonttype": "none"})
    figure, axes = plt.subplots(1, len(HIDDEN), figsize=(11, 4.6), sharey=True, layout="constrained")
    for axis, hidden in zip(axes, HIDDEN, strict=True):
        record = results["problems"][f"{PIXELS}-{hidden}-{CLASSES} tanh"]
        methods = record["methods"]
        ours = methods["bpcheck"]["seconds"]
        for key, (label, side) in LABELS.items():
            if key not in methods:
                continue
            at = methods[key]["seconds"] / ours, methods[key]["of_largest"]
            axis.scatter(*at, s=70, color=COLORS[key], zorder=3)
            axis.annotate(
                label if key == "floor" else f"{label}: {ratio(at[0])} ×",
                at,
                xytext=(0, 9 if side == "above" else -9),
                textcoords="offset points",
                ha="center",
                va="bottom" if side == "above" else "top",
                color=COLORS[key],
                fontsize=9,
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlim(0.08, 6000)
        axis.set_ylim(1e-17, 1e-5)
        axis.grid(color="0.92", zorder=0)
        axis.set_xlabel("CPU time, in that of bpcheck's whole check")
        axis.set_title(
            f"{PIXELS}-{hidden}-{CLASSES}, tanh, batch {BATCH}: {record['parameters']:,} parameters",
            fontsize=10,
        )
    axes[0].set_ylabel("largest error of a derivative,\nof its tensor's largest entry")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
    plt.close(figure)


def versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("numpy", "torch", "jax"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"Python {platform.python_version()}, {', '.join(found)}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=[*FAST, *SLOW], default=[*FAST, *SLOW])
    parser.add_argument("--hidden", nargs="+", type=int, choices=HIDDEN, default=HIDDEN)
    parser.add_argument("--activation", nargs="+", choices=ACTIVATIONS, default=ACTIVATIONS)
    parser.add_argument("--blocks", action="store_true")
    args = parser.parse_args()
    if args.blocks:
        blocks()
        return
    file = RESULTS / "every_entry.json"
    results = json.loads(file.read_text()) if file.exists() else {"problems": {}}
    for activation in args.activation:
        for hidden in args.hidden:
            p = Problem(hidden, activation)
            results["problems"][p.name] = measure(p, args.only, results["problems"].get(p.name, {}))
    results |= {"versions": versions(), "passes": passes()}
    results["problems"] = {
        name: results["problems"][name]
        for name in (f"{PIXELS}-{h}-{CLASSES} {a}" for a in ACTIVATIONS for h in HIDDEN)
        if name in results["problems"]
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n")
    text = document(results)
    (RESULTS / "every_entry.md").write_text(text)
    if all(f"{PIXELS}-{hidden}-{CLASSES} tanh" in results["problems"] for hidden in HIDDEN):
        draw(results, FIGURE)
    print(text)


if __name__ == "__main__":
    main()
