"""One cell of the matrix: a bug planted in one kind of network, and what compare() says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import bpcheck
from bpcheck import Case, mlp, tree
from bpcheck.diagnosis import CATALOGUE
from bpcheck.diagnosis.bug import Program
from bpcheck.diagnosis.mutant import Mutant
from bpcheck.network.architecture import Architecture
from bpcheck.network.names import FIRST_LAYER
from bpcheck.reference import build
from bpcheck.search.cases.sample import GENERIC, random_case

__all__ = ["OUTCOMES", "Cell", "Setting", "measure"]

CASES = 5
"""Networks a cell: as many as a student's code is asked about when it fails (one and four fresh ones)."""

SEEN = {"float64": 1e-9, "float32": 1e-4}
"""Relative difference from the right answer from which a mutant is no longer silent: rounding is 1e-13 and 1e-6, and a
bug below lies in the last digits of what a check could see (a leak whose unit is hardly ever on, …)."""

OUTCOMES = ("silent", "raises", "missed", "open", "wrong", "unknown", "tied", "first")
"""How a cell ends, the best last. ``missed``: called right; ``open``: INCONCLUSIVE; ``wrong``: named, but not so;
``tied``: one of several named, which give the same numbers; ``first``: the only one named."""


@dataclass(frozen=True)
class Setting:
    """A kind of network.

    Attributes
    ----------
    activation, output, loss, reduction : str
    widths : tuple of int
    batch : int
    precision : str
    penalty : bool
        L1 and L2 on the weights.
    on_biases : bool
        The penalty on the biases too.
    seed : int
    """

    activation: str
    output: str
    loss: str
    reduction: str
    widths: tuple[int, ...]
    batch: int
    precision: str
    penalty: bool
    on_biases: bool
    seed: int

    @property
    def architecture(self) -> Architecture:
        """As a network."""
        penalties = {"l1": 0.05, "l2": 0.3, "penalize_bias": self.on_biases} if self.penalty else {}
        return mlp(
            self.widths,
            activation=self.activation,
            output=self.output,
            loss=self.loss,
            reduction=self.reduction,
            **penalties,
        )

    def cases(self) -> list[Case]:
        """The networks of the cell, in its precision."""
        rng = np.random.default_rng(self.seed)
        kinds = [GENERIC] * (CASES - 1) + ["saturated"]  # a clipped probability shows in the last
        drawn = [random_case(rng, self.architecture, kind, batch=self.batch) for kind in kinds]
        if self.precision == "float64":
            return drawn
        kind = np.dtype(self.precision)
        return [
            Case(
                case.architecture,
                tree.restore(case.params, [leaf.astype(kind) for _, leaf in tree.leaves(case.params)]),
                case.x.astype(kind),
                case.y.astype(kind),
            )
            for case in drawn
        ]


@dataclass(frozen=True)
class Cell:
    """What came out.

    Attributes
    ----------
    slug : str
    outcome : str
        One of OUTCOMES.
    equation, layer : bool or None
        Whether they are right; None where the bug has none, or where nothing was called wrong.
    verdict : str
    named : tuple of str
    """

    slug: str
    outcome: str
    equation: bool | None = None
    layer: bool | None = None
    verdict: str = ""
    named: tuple[str, ...] = ()


def _shows(program: Program, cases: Sequence[Case], precision: str) -> bool | None:
    """Whether a mutant does anything but the right thing on these cases, by calling it; None if it always raises."""
    answered = False
    for case in cases:
        network = build(case.architecture)
        right = dict(tree.leaves(network.gradient(case.params, case.x, case.y)))
        loss = network.loss(case.params, case.x, case.y)
        size = max(float(np.max(abs(leaf))) for leaf in right.values()) or 1.0
        for _ in range(2):  # what is kept between calls shows in the second
            params, x, y = case.mutable()
            try:
                its_loss, its_gradient = program(params, x, y, case.architecture)
            except ValueError:
                break
            answered = True
            if not abs(float(its_loss) - loss) <= SEEN[precision] * abs(loss):
                return True
            if not np.array_equal(x, case.x) or any(
                not np.array_equal(a, b)
                for (_, a), (_, b) in zip(tree.leaves(params), tree.leaves(case.params), strict=True)
            ):
                return True
            for path, leaf in tree.leaves(its_gradient):
                if leaf.shape != right[path].shape:
                    return True
                if not (abs(leaf - right[path]) <= SEEN[precision] * size).all():
                    return True
    return False if answered else None


def measure(slug: str, setting: Setting) -> Cell:
    """Plant a bug, compare, and hold what is said against what was done."""
    bug = CATALOGUE[slug]
    cases = setting.cases()
    shows = _shows(bug.program(), cases, setting.precision)
    if not shows:
        return Cell(slug, "raises" if shows is None else "silent")
    try:
        report = bpcheck.compare(bug.subject(), cases=cases, seed=setting.seed)
    except bpcheck.SubjectError:
        return Cell(slug, "raises")
    if report.verdict.severity <= bpcheck.Verdict.INCONCLUSIVE.severity:
        return Cell(slug, "missed" if report.ok else "open", verdict=report.verdict.name)
    named = tuple(diagnosis.bug for diagnosis in report.diagnoses)
    equation = any(d.equation == bug.equation for d in report.diagnoses) if bug.equation else None
    return Cell(
        slug,
        _outcome(slug, named),
        equation,
        _layer_is_right(bug, report),
        report.verdict.name,
        named,
    )


def _outcome(slug: str, named: tuple[str, ...]) -> str:
    if slug in named:
        return "first" if len(named) == 1 else "tied"
    return "wrong" if any(named) else "unknown"


def _layer_is_right(bug: Mutant, report: Any) -> bool | None:
    """The topmost layer that the bug makes wrong in the network shown, against the layer named there."""
    case = report.counterexample
    predicted = (
        None if case is None or bug.equation not in ("BP1", "BP2", "BP3", "BP4") else bug.predict(case)
    )
    if predicted is None:
        return None
    right = dict(tree.leaves(build(case.architecture).gradient(case.params, case.x, case.y)))
    top = max(
        (k for k in range(len(case.params)) if _differs(predicted, right, f"params[{k}]")),
        default=None,
    )
    return None if top is None else report.diagnoses[0].layer == top + FIRST_LAYER


def _differs(predicted: Any, right: Any, start: str) -> bool:
    return any(
        not np.allclose(predicted[path], values, rtol=1e-6, atol=1e-9)
        for path, values in right.items()
        if str(path).startswith(start)
    )
