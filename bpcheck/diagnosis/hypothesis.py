"""Hypotheses: bugs everywhere, in one layer only, or two at once, and which of them reproduce what was seen.

A hypothesis is a mutated backward pass. It stands as long as it gives the claimed numbers in every
case that was observed, to rounding, and it counts only if it gives other numbers than the right
ones somewhere: what is never seen explains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from bpcheck.diagnosis.bug import Bug
from bpcheck.diagnosis.layers.dense.steps import IN_A_LAYER, Forward, Gradient, Rules, backward, forward
from bpcheck.diagnosis.observation import Observation
from bpcheck.network.case import Case

__all__ = ["Hypothesis", "standing"]


@dataclass(frozen=True)
class Hypothesis:
    """One bug or two, with the place if it is not every layer.

    Attributes
    ----------
    bugs : tuple of Bug
    rules : Rules
    where : str
        ``""`` for everywhere.
    """

    bugs: tuple[Bug, ...]
    rules: Rules
    where: str = ""

    def predict(self, case: Case) -> Gradient | None:
        """The gradient that code with these bugs returns; None if it would raise."""
        return backward(forward(case), self.rules)


@dataclass(frozen=True)
class _Layer:
    """The k-th layer counted from the input (0, 1, …) or from the output (−1, −2, …)."""

    k: int

    def __call__(self, f: Forward, k: int) -> bool:
        return k == (self.k if self.k >= 0 else len(f.z) + self.k)

    @property
    def words(self) -> str:
        if self.k < 0:
            return (
                "in the output layer only" if self.k == -1 else f"only {-1 - self.k} below the output layer"
            )
        return "in the first layer only" if self.k == 0 else f"in layer {self.k + 2} only"


def _everywhere(bugs: Iterable[Bug]) -> Iterator[Hypothesis]:
    for bug in bugs:
        if bug.rules is not None:
            yield Hypothesis((bug,), bug.rules)


def _in_one_layer(bugs: Iterable[Bug], depth: int) -> Iterator[Hypothesis]:
    """Written out by hand, layer after layer, a mistake is made in one of them."""
    for bug in bugs:
        if bug.rules is None or not bug.rules.changed & IN_A_LAYER:
            continue
        for k in (*range(depth), *range(-1, -depth - 1, -1)):
            layer = _Layer(k)
            yield Hypothesis((bug,), bug.rules.only(layer), layer.words)


def _two(bugs: Iterable[Bug]) -> Iterator[Hypothesis]:
    """Two bugs in different steps: each then has numbers of its own."""
    able = [bug for bug in bugs if bug.rules is not None]
    for first, second in combinations(able, 2):
        assert first.rules is not None
        assert second.rules is not None
        if not first.rules.changed & second.rules.changed:
            yield Hypothesis((first, second), first.rules.with_(second.rules))


def _stands(hypothesis: Hypothesis, seen: Sequence[tuple[Observation, Forward, bool]]) -> bool:
    visible = False
    for observation, f, wrong in seen:
        predicted = backward(f, hypothesis.rules)
        if predicted is None:
            # such code would raise here; one that answers rightly instead (where shapes differ, say) may have the bug
            # where it does not raise
            if wrong:
                return False
            continue
        if not observation.is_reproduced_by(predicted):
            return False
        visible = visible or wrong
    return visible


def _once_each(found: Iterable[Hypothesis]) -> list[Hypothesis]:
    """The first of several places of the same bugs: networks of one depth cannot tell them apart."""
    first: dict[tuple[str, ...], Hypothesis] = {}
    for hypothesis in found:
        first.setdefault(tuple(bug.slug for bug in hypothesis.bugs), hypothesis)
    return list(first.values())


def standing(observations: Sequence[Observation], bugs: Iterable[Bug]) -> list[Hypothesis]:
    """The hypotheses that reproduce all observations, of the simplest kind that has any.

    Parameters
    ----------
    observations : sequence of Observation
    bugs : iterable of Bug

    Returns
    -------
    list of Hypothesis
        One bug everywhere; else one bug in one layer; else two bugs; else none.
    """
    if not observations:
        return []
    listed = list(bugs)
    seen = [(observation, forward(observation.case), bool(observation.wrong)) for observation in observations]
    seen.sort(key=lambda one: not one[2])  # the wrong ones first: most hypotheses fall at the first of them
    depth = max(len(f.z) for _, f, _ in seen)
    for kind in (_everywhere(listed), _in_one_layer(listed, depth), _two(listed)):
        found = _once_each(h for h in kind if _stands(h, seen))
        if found:
            return found
    return []
