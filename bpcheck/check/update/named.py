"""Which mistake of an update is it: the one with which the rule takes exactly the steps that were taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bpcheck.check.update.trajectory import Trajectory, follows, stacked
from bpcheck.diagnosis import UPDATES
from bpcheck.reference.optimizer import Rule
from bpcheck.result import Comparison, Diagnosis

__all__ = ["named"]

MOST_NAMED = 3
"""More explanations than these are none."""

WHOLE = 1e-6
"""How near to a whole number the factor must be that is taken for a batch size: it is measured to rounding, 1e-12, and a
learning rate that is simply another one hardly ever comes so near."""


def named(
    rule: Rule,
    trajectories: Sequence[Trajectory],
    wrong: Sequence[Sequence[Comparison]],
    step: int,
    place: str,
) -> Diagnosis:
    """What went wrong, with its name if a mistake reproduces all steps that were taken.

    Parameters
    ----------
    rule : Rule
        The right one.
    trajectories : sequence of Trajectory
    wrong : list of list of Comparison
        Of the last trajectory.
    step : int
        Index of the first wrong step there.
    place : str
        In words.
    """
    path = next(c.path for c in wrong[step] if not c.verdict.ok)
    standing = [
        bug
        for bug in UPDATES.values()
        if (mutant := bug.mutate(rule)) is not None and follows(mutant, trajectories)
    ]
    first = f"{place} is the first that is wrong"
    if 1 <= len(standing) <= MOST_NAMED:
        bug = standing[0]
        evidence = [
            first,
            f"the rule with this mistake takes the same steps, all {_steps(trajectories)} of them",
        ]
        if len(standing) > 1:
            others = ", ".join(other.slug for other in standing[1:])
            evidence.append(f"so would {others}: these cannot be told apart by what was tried")
        factor = _factor(wrong)
        if factor is not None and factor > 0:
            evidence.append(
                f"every step is {factor:.6g} times the right one: a learning rate of so much would give the same"
            )
        hint = f"{bug.sentence} {bug.line}"
        return Diagnosis("update", path, bug.slug, tuple(evidence), hint, hints=bug.hints)
    factor = _factor(wrong)
    if factor is not None:
        return _scaled(factor, path, first)
    return Diagnosis(
        "update",
        path,
        evidence=(first, "no known mistake gives these steps"),
        hint=f"Work out by hand what {type(rule).__name__} does in {place}, and compare term by term.",
    )


def _steps(trajectories: Sequence[Trajectory]) -> int:
    return sum(len(trajectory.steps) for trajectory in trajectories)


def _factor(wrong: Sequence[Sequence[Comparison]]) -> float | None:
    """C if every step of the run is c times the right one."""
    table = stacked(wrong)
    top = sum(float(np.sum(a * e)) for a, e, _ in table.values())
    below = sum(float(np.sum(e * e)) for _, e, _ in table.values())
    if not below or not np.isfinite(top):
        return None
    c = top / below
    fits = all(bool(np.all(abs(a - c * e) <= (1 + abs(c)) * b)) for a, e, b in table.values())
    # a factor of nearly 1 fits whatever lies near the bound: it must itself be what leads beyond it
    explains = any(bool(np.any(abs(c - 1) * abs(e) > b)) for _, e, b in table.values())
    return c if fits and explains and c else None


def _power_of_ten(count: int) -> bool:
    """As many learning rates as batch sizes are wrong by these."""
    return str(count).rstrip("0") == "1"


def _scaled(c: float, path: str, first: str) -> Diagnosis:
    share = 1.0 / c
    evidence = (first, f"every step is {c:.6g} times the right one")
    if share >= 1.5 and abs(share - round(share)) <= WHOLE * share and not _power_of_ten(round(share)):
        return Diagnosis(
            "update",
            path,
            "averaged-in-the-update",
            evidence,
            f"The steps are {round(share)} times too small. Is η divided by the batch size, although the gradient is a mean "
            "already? Divide once.",
            hints=(
                "Every step is the same fraction of the right one.",
                "Is the gradient a sum over the batch, or a mean?",
                "w −= η g with the gradient of the mean: no further 1/m.",
            ),
        )
    return Diagnosis(
        "update", path, "", evidence, f"The learning rate is {c:.6g} times the one that was given."
    )
