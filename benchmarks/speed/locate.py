"""How many evaluations locate() takes, and how long, against the number of parameters.

Run ``python benchmarks/speed/locate.py`` (about six minutes; ``--quick`` twenty seconds and up to 10^5
parameters). It plants wrong entries in the gradient of a tanh network with softmax cross-entropy and a batch
of four, asks ``bpcheck.locate`` for them, and writes ``benchmarks/results/locate.json`` and ``.md`` and
``docs/figures/locate.svg``. Times are processor time of one thread.

``--coverage`` counts instead how often the error bars of its short ladders fail on correct gradients.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from _timing import once

import bpcheck
from bpcheck import tree
from bpcheck.numeric.locate import Block, Probe, Prober

ROOT = Path(__file__).resolve().parents[2]
RESULTS, FIGURE = ROOT / "benchmarks" / "results", ROOT / "docs" / "figures" / "locate.svg"

WIDTHS = {
    10**4: (60, 120, 20),
    10**5: (300, 300, 30),
    10**6: (784, 900, 320, 10),
    10**7: (1600, 2500, 2400, 10),
}
BATCH = 4

RELATIVE_ERROR = {"float64": 1e-3, "float32": 1.0}
"""What is planted. In float32 a loss has seven digits: 1e-3 of one entry among 10^4 is lost in its noise."""

REPEATS = 10
"""Evaluations timed together: one alone takes no longer than the clock's tick on a small network."""

SMALL = 0.05
"""Quantile of |g| that is called small; the median is the other choice."""


class Network:
    """A network, its loss and its gradient; with tanh each entry of every tensor counts."""

    def __init__(self, widths: tuple[int, ...], dtype: Any, seed: int, activation: str = "tanh") -> None:
        rng = np.random.default_rng(seed)
        self.tanh = activation == "tanh"
        self.params = [
            {
                "weight": (rng.standard_normal((n, m)) / np.sqrt(m)).astype(dtype),
                "bias": (0.1 * rng.standard_normal(n)).astype(dtype),
            }
            for m, n in pairwise(widths)
        ]
        self.x = rng.standard_normal((BATCH, widths[0])).astype(dtype)
        self.target = rng.integers(widths[-1], size=BATCH)

    def forward(self, params: Any) -> tuple[list[Any], Any]:
        """Activations, and logits whose largest is 0."""
        a = [self.x.astype(params[0]["weight"].dtype, copy=False)]
        for k, layer in enumerate(params):
            z = a[-1] @ layer["weight"].T + layer["bias"]
            hidden = np.tanh if self.tanh else lambda z: np.maximum(z, 0.0)
            a.append(hidden(z) if k < len(params) - 1 else z)
        return a, a[-1] - a[-1].max(axis=1, keepdims=True)

    def loss(self, params: Any) -> Any:
        """Mean cross-entropy."""
        logits = self.forward(params)[1]
        return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(BATCH), self.target])

    def gradient(self) -> list[dict[str, Any]]:
        """In float64, of the parameters as they are stored."""
        params = [{name: leaf.astype(float) for name, leaf in layer.items()} for layer in self.params]
        a, logits = self.forward(params)
        delta = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        delta[np.arange(BATCH), self.target] -= 1.0
        delta /= BATCH
        found = []
        for k in reversed(range(len(params))):
            found.append({"weight": delta.T @ a[k], "bias": delta.sum(axis=0)})
            if k:
                delta = (delta @ params[k]["weight"]) * (1.0 - a[k] ** 2 if self.tanh else a[k] > 0.0)
        return found[::-1]


@dataclass
class Row:
    """One search."""

    parameters: int
    dtype: str
    errors: int
    where: str
    gradient: str
    planted: int
    found: int
    false: int
    limit: float
    evaluations: int
    seconds: float
    seconds_an_evaluation: float

    @property
    def entry_by_entry(self) -> float:
        """Seconds that two evaluations for each parameter would take."""
        return 2.0 * self.parameters * self.seconds_an_evaluation


def plant(
    gradient: list[dict[str, Any]], errors: int, where: str, gradient_size: str, factor: float, seed: int
) -> set[str]:
    """Make entries wrong, in place; their names."""
    rng = np.random.default_rng(seed)
    layers = range(len(gradient)) if where == "several" else [len(gradient) - 2 if len(gradient) > 2 else 0]
    planted: set[str] = set()
    while len(planted) < errors:
        k = int(rng.choice(layers))
        array = gradient[k]["weight"]
        sizes = abs(array.reshape(-1)[:: max(1, array.size // 10**5)])
        wanted = np.quantile(sizes[sizes > 0.0], 0.5 if gradient_size == "median" else SMALL)
        # the one of some thousand neighbours that is nearest to the size wanted
        start = int(rng.integers(max(1, array.size - 1000)))
        near = abs(array.reshape(-1)[start : start + 1000])
        flat = start + int(np.argmin(abs(near - wanted)))
        i, j = (int(at) for at in np.unravel_index(flat, array.shape))
        name = f"params[{k}]['weight'][{i}, {j}]"
        if name not in planted:
            planted.add(name)
            array[i, j] *= 1.0 + factor
    return planted


def search(network: Network, errors: int, where: str, size: str, dtype: str, seed: int) -> Row:
    gradient = network.gradient()
    planted = plant(gradient, errors, where, size, RELATIVE_ERROR[dtype], seed)
    evaluation = (
        min(once(lambda: [network.loss(network.params) for _ in range(REPEATS)])[0] for _ in range(3))
        / REPEATS
    )
    seconds, location = once(
        lambda: bpcheck.locate(
            network.loss, lambda params: gradient, network.params, seed=seed, progress=False
        )
    )
    found = {finding.place for finding in location.findings}
    return Row(
        sum(leaf.size for _, leaf in tree.leaves(network.params)), dtype, errors, where, size,
        len(planted), len(found & planted), len(found - planted),
        max(limit.relative for limit in location.limit.values()), location.evaluations, seconds, evaluation,
    )  # fmt: skip


def cases(*, quick: bool) -> Iterator[tuple[int, str, int, str, str]]:
    kinds = product(WIDTHS, RELATIVE_ERROR, (1, 3, 10), ("one", "several"), ("median", "small"))
    for count, dtype, errors, where, size in kinds:
        # at 10^7 one of each kind, and not all of their combinations
        common = (where == "one") + (size == "median") + (dtype == "float64")
        fits = count <= 10**5 if quick else count < 10**7 or common >= 2
        if fits and (errors > 1 or where == "one"):
            yield count, dtype, errors, where, size


def markdown(rows: list[Row]) -> str:
    lines = [
        "| parameters | precision | wrong entries | in tensors | gradient there | found | false | evaluations "
        "| seconds | entry by entry | smallest error visible |",
        "|---:|---|---:|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.parameters:,} | {row.dtype} | {row.errors} | {row.where} | {row.gradient} "
        f"| {row.found} of {row.planted} | {row.false} | {row.evaluations} | {row.seconds:.2f} "
        f"| {_duration(row.entry_by_entry)} | {row.limit:.0e} |"
        for row in rows
    ]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def picture(rows: list[Row], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.8), layout="constrained")
    float64 = [row for row in rows if row.dtype == "float64"]
    _evaluations(left, float64)
    _seconds(right, [row for row in float64 if row.errors == 1 and row.gradient == "median"])
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _evaluations(axes: Any, rows: list[Row]) -> None:
    for errors, color in ((1, "#0b6e8a"), (3, "#c2571a"), (10, "#6b4ba1")):
        by_count = defaultdict[int, list[int]](list)
        for row in sorted(rows, key=lambda row: row.parameters):
            if row.errors == errors and row.found:
                by_count[row.parameters].append(row.evaluations)
        label = "1 wrong entry" if errors == 1 else f"{errors} wrong entries"
        counts, found = list(by_count), by_count.values()
        axes.plot(counts, list(map(np.median, found)), "o-", color=color, label=label)
        axes.fill_between(counts, list(map(min, found)), list(map(max, found)), color=color, alpha=0.15, lw=0)
    axes.axhline(200, color="0.5", lw=1, ls="--")
    axes.text(1.4e7, 205, "200", color="0.4", fontsize=9, ha="right")
    axes.set(xscale="log", xlabel="parameters", ylabel="evaluations of the loss", ylim=(0, 1000))
    axes.set_title("Evaluations (float64)", fontsize=11)
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def _seconds(axes: Any, rows: list[Row]) -> None:
    counts = [row.parameters for row in rows]
    axes.plot(counts, [row.seconds for row in rows], "o-", color="#0b6e8a")
    axes.plot(counts, [row.entry_by_entry for row in rows], "s--", color="0.45")
    for length, name in ((60.0, "a minute"), (3600.0, "an hour"), (86400.0, "a day")):
        axes.axhline(length, color="0.85", lw=0.8, zorder=0)
        axes.text(0.8e4, length * 1.15, name, color="0.5", fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="seconds, one thread")
    axes.set_title("Time for one wrong entry (float64)", fontsize=11)
    axes.text(counts[2], 0.35 * rows[2].seconds, "locate()", color="#0b6e8a", fontsize=9, ha="left", va="top")
    axes.text(
        0.7 * counts[2],
        rows[2].entry_by_entry,
        "two evaluations\nfor each entry",
        color="0.35",
        fontsize=9,
        ha="right",
    )


def coverage(seeds: int) -> str:
    """How often a bar of two, six or more evaluations excludes a correct gradient."""
    lines = [
        "| precision | units | directions by | probes | bars that failed | largest error in bars |",
        "|---|---|---|---:|---:|---:|",
    ]
    for dtype, activation in product(RELATIVE_ERROR, ("tanh", "relu")):
        probes, failed, largest = Counter[str](), Counter[str](), defaultdict[str, float](float)
        for seed in range(seeds):
            widths = ((20, 30, 7), (50, 80, 60, 10), (12, 9, 9, 9, 9, 4))[seed % 3]
            for by, probe in right_probes(Network(widths, dtype, seed, activation), seed):
                probes[by] += 1
                failed[by] += probe.seen
                largest[by] = max(largest[by], abs(probe.value) / probe.bar)
        lines += [
            f"| {dtype} | {activation} | {by} | {probes[by]} | {failed[by]} | {largest[by]:.2f} |"
            for by in ("two evaluations", "six", "more")
        ]
    return "\n".join(lines)


def right_probes(network: Network, seed: int) -> Iterator[tuple[str, Probe]]:
    """Sixteen probes of each tensor of a right gradient, and how many evaluations each took."""
    theta, gradients = tree.arrays(network.params), tree.arrays(network.gradient())

    def evaluate(arrays: Any) -> float:
        return float(network.loss(tree.restore(network.params, list(arrays.values()))))

    prober = Prober(theta, evaluate, center=evaluate(theta))
    blocks = [
        Block(path, theta[path], gradients[path], 2.0**-53, None, np.random.SeedSequence([seed, k]))
        for k, path in enumerate(theta)
    ]
    prober.measure_noise(max(blocks, key=lambda block: block.theta.size))
    for block in blocks:
        for target in 8 * [0.0, np.inf]:
            before = prober.evaluations
            probe = prober.probe(block, block.new_family(), target=target)
            if probe.bar > 0.0:
                yield {2: "two evaluations", 6: "six"}.get(prober.evaluations - before, "more"), probe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="up to 10^5 parameters; writes nothing")
    parser.add_argument("--coverage", action="store_true", help="count bars that fail on correct gradients")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.coverage:
        print(coverage(20 if options.quick else 200))
        return
    rows: list[Row] = []
    network, key = None, None
    for count, dtype, errors, where, size in cases(quick=options.quick):
        if key != (count, dtype):
            network, key = Network(WIDTHS[count], dtype, options.seed), (count, dtype)
        assert network is not None
        rows.append(search(network, errors, where, size, dtype, options.seed + errors))
        print(markdown(rows[-1:]).splitlines()[-1], flush=True)
    if options.quick:
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    data = [asdict(row) for row in rows]
    (RESULTS / "locate.json").write_text(json.dumps(data, indent=1) + "\n")
    (RESULTS / "locate.md").write_text(markdown(rows) + "\n")
    picture(rows, FIGURE)
    print(f"\nwritten: {RESULTS / 'locate.md'}, {FIGURE}")


if __name__ == "__main__":
    main()
