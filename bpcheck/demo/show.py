"""The demonstration itself: train on digits, check every entry, compare two students."""

from __future__ import annotations

import time

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bpcheck import numeric, symbolic
from bpcheck.check.agreement import agree
from bpcheck.check.witness import testify
from bpcheck.data import load_digits
from bpcheck.demo.students import careful_backprop, hasty_backprop
from bpcheck.network.architecture import mlp
from bpcheck.network.case import Case
from bpcheck.reference import Perturbations, build
from bpcheck.reference.optimizer import Momentum
from bpcheck.result import Comparison, Report
from bpcheck.search import compare
from bpcheck.training import fit
from bpcheck.verdict import Verdict

__all__ = ["show"]

HIDDEN = 16
TRAINING = 1500  # of 1,797 images, drawn at random; the rest is held out
EPOCHS = 25
BATCH = 32
LEARNING_RATE = 0.1
# The corner of the network that the symbolic witness can differentiate as one formula.
CORNER = (3, 2, 3)


def show(*, seed: int = 0, console: Console | None = None) -> bool:
    """Run the demonstration and print it.

    Parameters
    ----------
    seed : int
        For initial weights, shuffling and the random networks.
    console : rich.console.Console, optional

    Returns
    -------
    bool
        Whether everything came out as it should: witnesses agree, the right student passes, the
        wrong one does not.
    """
    out = console or Console()
    started = time.monotonic()
    case = _train(out, seed)
    witnesses = _every_entry(out, case, seed)
    careful, hasty = _students(out, seed)
    out.print(f"Done in {time.monotonic() - started:.0f} s. Your own code: ", end="", highlight=False)
    out.print("bpcheck compare your_file.py:your_function", style="bold", highlight=False)
    return witnesses and careful.ok and not hasty.ok


def _heading(out: Console, number: int, text: str) -> None:
    out.print(f"\n{number}. {text}\n", style="bold", highlight=False, soft_wrap=True)


def _train(out: Console, seed: int) -> Case:
    digits = load_digits()
    architecture = mlp([64, HIDDEN, 10], activation="tanh", loss="cross_entropy")
    network, rng = build(architecture), np.random.default_rng(seed)
    _heading(out, 1, "Train a small network on handwritten digits, by the four equations")
    order = rng.permutation(len(digits.images))  # the last images are by other hands than the first
    x, y = digits.images[order], digits.one_hot[order]
    with Progress(
        TextColumn("  training"),
        BarColumn(),
        TextColumn("epoch {task.completed} of {task.total}"),
        console=out,
        transient=True,
    ) as progress:
        task = progress.add_task("training", total=EPOCHS)
        run = fit(
            network,
            x[:TRAINING],
            y[:TRAINING],
            rule=Momentum(lr=LEARNING_RATE, momentum=0.9),
            epochs=EPOCHS,
            batch=BATCH,
            held_out=(x[TRAINING:], y[TRAINING:]),
            seed=seed,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    params, held_out = run.params, run.last.held_out_accuracy
    out.print(
        f"  64 pixels, {HIDDEN} tanh units, 10 classes: {EPOCHS} epochs with momentum, loss {run.last.loss:.3f}."
    )
    out.print(
        f"  {held_out:.1%} of the {len(x) - TRAINING} images held out, drawn at random, are read correctly."
    )
    return Case(architecture, params, x[:BATCH], y[:BATCH])


def _every_entry(out: Console, case: Case, seed: int) -> bool:
    network = build(case.architecture)
    _heading(out, 2, "Check every entry of that network's gradient with independent witnesses")
    analytic = testify(case)
    with out.status("  perturbing every weight …"):
        measured = numeric.structured_step(
            Perturbations(network, case.params, case.x, case.y), rng=np.random.default_rng(seed)
        )
    entries = sum(array.size for array in analytic.gradient.values())
    ok = _say(out, f"backprop against perturbing each of {entries:,} weights", agree(analytic, measured))
    corner = _corner(case)
    with out.status("  differentiating a formula …"):
        formula = symbolic.testify(corner)
    small = testify(corner)
    entries = sum(array.size for array in small.gradient.values())
    also = _say(
        out,
        f"backprop against the differentiated formula, {entries} weights of a corner of it",
        agree(small, formula),
    )
    return ok and also


def _say(out: Console, what: str, comparisons: tuple[Comparison, ...]) -> bool:
    verdict = Verdict.worst(c.verdict for c in comparisons)
    gradients = [c for c in comparisons if c.path != "loss"]
    assert all(c.actual is not None and c.expected is not None and c.bound is not None for c in gradients)
    largest = max(float(np.max(abs(c.actual - c.expected))) for c in gradients)  # type: ignore[operator]
    bound = max(float(np.max(c.bound)) for c in gradients)  # type: ignore[arg-type]
    out.print(f"  {what}: {verdict.name}", highlight=False, soft_wrap=True)
    out.print(f"    largest difference {largest:.1e}, largest bound on rounding {bound:.1e}", highlight=False)
    return verdict.ok


def _corner(case: Case) -> Case:
    """A few units of every layer, on two of the images."""
    widths = CORNER
    centre = slice(18, 18 + widths[0])  # pixels near the middle: those at the rim are always blank
    params = [
        {
            "weight": case.params[0]["weight"][: widths[1], centre],
            "bias": case.params[0]["bias"][: widths[1]],
        },
        {
            "weight": case.params[1]["weight"][: widths[2], : widths[1]],
            "bias": case.params[1]["bias"][: widths[2]],
        },
    ]
    y = np.eye(widths[2])[[0, 1]]
    return Case(mlp(widths, activation="tanh", loss="cross_entropy"), params, case.x[:2, centre], y)


def _students(out: Console, seed: int) -> tuple[Report, Report]:
    _heading(out, 3, "Compare a backprop that a careful student wrote by hand")
    careful = compare(careful_backprop, seed=seed)
    out.print(str(careful), highlight=False, markup=False, soft_wrap=True)
    _heading(out, 4, "Compare one that a hasty student wrote")
    hasty = compare(hasty_backprop, seed=seed)
    out.print(str(hasty), highlight=False, markup=False, soft_wrap=True)
    out.print()
    return careful, hasty
