"""Hypotheses: bugs everywhere, in one layer only, or two at once, and which of them reproduce what was seen.

A hypothesis is a mutated backward pass. It stands as long as it gives the claimed numbers in every
case that was observed, to rounding, and it counts only if it gives other numbers than the right
ones somewhere: what is never seen explains nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeAlias

from bpcheck.diagnosis.mutant import Mutant
from bpcheck.diagnosis.observation import Observation
from bpcheck.diagnosis.step import Forward, Gradient, Layer, Rules, Step
from bpcheck.diagnosis.steps import PENALTY, backward, forward
from bpcheck.network.case import Case
from bpcheck.network.names import FIRST_LAYER
from bpcheck.tree import Path

__all__ = ["Hypothesis", "standing"]

Seen: TypeAlias = tuple[Observation, Forward, bool]
"""What was observed, its network run forward, and whether anything was wrong."""


@dataclass(frozen=True)
class Hypothesis:
    """One bug or two, with the place if it is not every layer.

    Attributes
    ----------
    bugs : tuple of Mutant
    rules : Rules
    where : str
        ``""`` for everywhere.
    """

    bugs: tuple[Mutant, ...]
    rules: Rules
    where: str = ""

    def predict(self, case: Case, rate: float | None = None) -> Gradient | None:
        """The gradient that code with these bugs returns (recovered from a step at a rate); None if it would raise."""
        return backward(forward(case, rate=rate), self.rules)


@dataclass(frozen=True)
class _Layer:
    """The k-th layer counted from the input (0, 1, …) or from the output (−1, −2, …), of those with a noun if it has one."""

    k: int
    noun: str

    def __call__(self, layer: Layer) -> bool:
        return layer.index == (self.k if self.k >= 0 else layer.count + self.k)

    @property
    def words(self) -> str:
        if self.noun:
            return f"{self.noun} {self.k + 1}" if self.k >= 0 else f"{self.noun} {-self.k} from the output"
        if self.k >= 0:
            return f"layer {self.k + FIRST_LAYER}"
        near = {-1: "the output layer", -2: "the layer below the output"}
        return near.get(self.k, f"the layer that is {-1 - self.k} below the output")


def _in_one_layer(everywhere: Sequence[Hypothesis], networks: Sequence[Forward]) -> Iterator[Hypothesis]:
    """Written out by hand, layer after layer, a mistake is made in one of them."""
    for hypothesis in everywhere:
        for step in hypothesis.rules.changed:
            for layer in () if step.once else _places(step, networks):
                where = step.where.format(layer=layer.words)
                yield replace(hypothesis, rules=hypothesis.rules.only(layer), where=where)


def _places(step: Step, networks: Sequence[Forward]) -> list[_Layer]:
    """Where a step is done in these networks, counted from the input and, if they are of unlike depths, from the output."""
    layers = [layer for f in networks for layer in _with_step(f, step)]
    indices = sorted({layer.index for layer in layers})
    if len({layer.count for layer in layers}) > 1:
        indices += sorted({layer.index - layer.count for layer in layers}, reverse=True)
    return [_Layer(k, layers[0].kind.noun) for k in indices]


def _with_step(f: Forward, step: Step) -> list[Layer]:
    """The layers of a network in which a step is done."""
    if step is PENALTY:
        return [layer for layer in f.leaves if layer.params]
    return [layer for layer in f.every if step in layer.kind.steps]


@dataclass(frozen=True, eq=False)
class _Alone:
    """What one bug alone does to the tensors of one case, and which of the claimed ones it explains."""

    hypothesis: Hypothesis
    touched: frozenset[Path]
    explained: frozenset[Path]

    @classmethod
    def of(cls, hypothesis: Hypothesis, observation: Observation, f: Forward) -> _Alone:
        predicted = backward(f, hypothesis.rules)
        looked_at = frozenset(observation.claimed)
        if predicted is None:  # beside another bug it may run
            return cls(hypothesis, looked_at, looked_at)
        right = replace(observation, claimed=observation.right)
        touched = {path for path in looked_at if right.differs(path, predicted[path]).any()}
        explained = {path for path in looked_at if not observation.differs(path, predicted[path]).any()}
        return cls(hypothesis, frozenset(touched), frozenset(explained))

    def may_stand_beside(self, other: _Alone, wrong: Collection[Path]) -> bool:
        """A tensor that one of two touches must be as that one leaves it, and one that neither touches must be right."""
        return (
            self.touched - other.touched <= self.explained
            and other.touched - self.touched <= other.explained
            and self.touched | other.touched >= set(wrong)
        )


def _two(everywhere: Sequence[Hypothesis], seen: Sequence[Seen]) -> Iterator[Hypothesis]:
    """Two bugs in different steps: each then has numbers of its own."""
    observation, f, _ = seen[0]
    wrong = observation.wrong
    alone = [_Alone.of(hypothesis, observation, f) for hypothesis in everywhere]
    for one, other in combinations(alone, 2):
        first, second = one.hypothesis, other.hypothesis
        if not first.rules.equations & second.rules.equations and one.may_stand_beside(other, wrong):
            yield Hypothesis((*first.bugs, *second.bugs), first.rules.with_(second.rules))


def _shows(hypothesis: Hypothesis, seen: Sequence[Seen]) -> bool:
    """Whether a bug alone would change anything."""
    for observation, f, _ in seen:
        predicted = backward(f, hypothesis.rules)
        right = replace(observation, claimed=observation.right)
        if predicted is None or not right.is_reproduced_by(predicted):
            return True
    return False


def _everywhere(bugs: Iterable[Mutant], seen: Sequence[Seen]) -> list[Hypothesis]:
    """The bugs that are wrong formulas, of steps that one of the networks has, and about something that was observed."""
    traits = [observation.traits for observation, _, _ in seen]
    return [
        Hypothesis((bug,), bug.rules)
        for bug in bugs
        if bug.rules is not None
        and any(bug.needs <= there for there in traits)
        and all(step.once or any(_with_step(f, step) for _, f, _ in seen) for step in bug.rules.changed)
    ]


def _stands(hypothesis: Hypothesis, seen: Sequence[Seen]) -> bool:
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


def standing(observations: Sequence[Observation], bugs: Iterable[Mutant]) -> list[Hypothesis]:
    """The hypotheses that reproduce all observations, of the simplest kind that has any.

    Parameters
    ----------
    observations : sequence of Observation
    bugs : iterable of Mutant

    Returns
    -------
    list of Hypothesis
        One bug everywhere; else one bug in one layer; else two bugs; else none.
    """
    if not any(observation.wrong for observation in observations):
        return []
    seen = [(o, forward(o.case, rate=o.rate), bool(o.wrong)) for o in observations]
    seen.sort(key=lambda one: not one[2])  # the wrong ones first: most hypotheses fall at the first of them
    for hypotheses in _simplest_first(_everywhere(bugs, seen), seen):
        found = _once_each(h for h in hypotheses if _stands(h, seen))
        if found:
            return found
    return []


def _simplest_first(everywhere: Sequence[Hypothesis], seen: Sequence[Seen]) -> Iterator[Iterable[Hypothesis]]:
    yield everywhere
    # what changes nothing alone explains nothing in one layer, nor beside another bug
    telling = [hypothesis for hypothesis in everywhere if _shows(hypothesis, seen)]
    yield _in_one_layer(telling, [f for _, f, _ in seen])
    yield _two(telling, seen)
