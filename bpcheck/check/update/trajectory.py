"""Steps that were taken, and whether a rule takes the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bpcheck import tree
from bpcheck.check.agreement import judge
from bpcheck.reference.numbers.ball import Ball
from bpcheck.reference.optimizer import Rule
from bpcheck.result import Comparison
from bpcheck.tree import FloatArray, Path, Tree
from bpcheck.verdict import Verdict

__all__ = ["Step", "Trajectory", "first_wrong", "follows", "judged", "stacked"]

FORMULATIONS = 2.0
"""Roundings of another formulation of the same rule, for each of ours: torch folds η into m/(1 − β₁ᵗ), Keras both
corrections into η. Measured in tests/optimizer: torch.optim uses 0.31 of the bound that this gives, at most."""

SIDES = 2.0
"""Both the claim and our own number lie within the radius of the exact value."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step as it was taken.

    Attributes
    ----------
    before, gradient, after : tree of arrays
    """

    before: Tree
    gradient: Tree
    after: Tree


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The steps of one run.

    Attributes
    ----------
    name : str
        Of the scenario.
    steps : tuple of Step
    """

    name: str
    steps: tuple[Step, ...]

    @property
    def roundoff(self) -> float:
        """U of the coarsest dtype of parameters and gradients, old and new: all may take part in a rounding."""
        first = self.steps[0]
        trees = (first.before, first.gradient, first.after)
        kinds = [leaf.dtype for one in trees for _, leaf in tree.leaves(one) if leaf.dtype.kind == "f"]
        return max((float(np.finfo(kind).eps) / 2 for kind in kinds), default=2.0**-53)


def judged(rule: Rule, trajectory: Trajectory) -> list[list[Comparison]]:
    """For each step, each tensor's change against the rule's.

    The rule starts every step from the parameters that the claim has reached, so that one wrong step is not held against
    the next; what the rule remembers is its own.
    """
    u = FORMULATIONS * trajectory.roundoff
    found = []
    state = rule.init(_balls(trajectory.steps[0].before, u))
    for step in trajectory.steps:
        with np.errstate(all="ignore"):
            new, state = rule.step(_balls(step.before, u), _balls(step.gradient, u), state)
        found.append(_compared(step, dict(tree.leaves(new)), u))
    return found


def _balls(params: Tree, u: float) -> Tree:
    return tree.restore(params, [Ball.exact(leaf, u) for _, leaf in tree.leaves(params)])


def _compared(step: Step, new: dict[Path, Ball], u: float) -> list[Comparison]:
    before, after = dict(tree.leaves(step.before)), dict(tree.leaves(step.after))
    compared = []
    changes = {path: ball.mid - before[path] for path, ball in new.items()}
    size = max((float(np.sqrt(np.mean(c * c))) for c in changes.values() if c.size), default=0.0)
    for path, ball in new.items():
        old = np.asarray(before[path], dtype=float)
        claimed = np.asarray(after[path], dtype=float) - old
        # the claim is stored once more when it is rounded to the parameter's dtype
        bound = SIDES * np.asarray(ball.rad) + u * abs(np.asarray(after[path], dtype=float))
        # what a step can show is not smaller than one rounding of the parameter
        natural = max(size, u * float(np.max(abs(old), initial=0.0)), float(np.finfo(float).tiny))
        compared.append(judge(path, claimed, changes[path], bound, resolution=np.inf, fallback=natural))
    return compared


def follows(rule: Rule, trajectories: Iterable[Trajectory]) -> bool:
    """Whether no step is another one than the rule's, and most of them are known well enough to say so."""
    ok = known = 0
    for trajectory in trajectories:
        for step in judged(rule, trajectory):
            for comparison in step:
                if comparison.verdict.severity > Verdict.INCONCLUSIVE.severity:
                    return False
                ok += comparison.verdict.ok
                known += 1
    return 2 * ok > known


def first_wrong(found: Sequence[Sequence[Comparison]]) -> int | None:
    """Index of the first step that the rule does not take."""
    for i, step in enumerate(found):
        if any(comparison.verdict.severity > Verdict.INCONCLUSIVE.severity for comparison in step):
            return i
    return None


def stacked(found: Sequence[Sequence[Comparison]]) -> dict[str, tuple[FloatArray, FloatArray, FloatArray]]:
    """Claims, right values and bounds of all steps, by tensor."""
    table: dict[str, tuple[list[FloatArray], list[FloatArray], list[FloatArray]]] = {}
    for step in found:
        for c in step:
            if c.actual is None or c.expected is None or c.bound is None:
                continue
            columns = table.setdefault(c.path, ([], [], []))
            for column, value in zip(columns, (c.actual, c.expected, c.bound), strict=True):
                column.append(value)
    return {path: (np.stack(a), np.stack(e), np.stack(b)) for path, (a, e, b) in table.items()}
