"""The topmost wrong layer of any network, and which of its steps is wrong.

Errors come down: what is wrong above makes everything below it wrong. Within a layer all gradients are made of one δ, so
if one of them is right, δ is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bpcheck.diagnosis.layers.kinds import OUTPUT, kind_of, knows
from bpcheck.network.architecture import Architecture
from bpcheck.network.layers.spec import Role
from bpcheck.network.names import Place, places, walk
from bpcheck.result import Comparison, Diagnosis
from bpcheck.verdict import Verdict

__all__ = [
    "SAME_FACTOR",
    "VISIBLE_FACTOR",
    "Compared",
    "by_layer",
    "compared",
    "is_wrong",
    "sentence",
]

SAME_FACTOR = 1e-8
"""Two numbers count as the same factor if they agree to this: far above rounding in the sums that form the factor (some
1e-14), far below any two factors that a person would write (1/m, ½, λ)."""

VISIBLE_FACTOR = 1e-5
"""A factor nearer to 1 than this prints as "1 times" with six digits, and anything this small seems to share it."""


@dataclass(frozen=True, eq=False)
class Compared:
    """A layer with parameters, and what was found out about their gradients.

    Attributes
    ----------
    place : Place
    tensors : mapping of Role to Comparison
        Without those that were set aside.
    """

    place: Place
    tensors: Mapping[Role, Comparison]

    @property
    def missing(self) -> tuple[Role, ...]:
        """What its parameters that were set aside are for."""
        return tuple(role for role in self.place.parameters.values() if role not in self.tensors)

    @property
    def wrong(self) -> tuple[Role, ...]:
        """What its parameters with a wrong gradient are for."""
        return tuple(role for role, comparison in self.tensors.items() if is_wrong(comparison))

    @property
    def name(self) -> str:
        """``layer 3``, or the path where books have no number."""
        return str(self.place.path) if self.place.number is None else f"layer {self.place.number}"

    def nouns(self, roles: Sequence[Role]) -> str:
        """``weights and biases``."""
        nouns = kind_of(self.place.layer).nouns
        return " and ".join(nouns.get(role, role) for role in roles)


def is_wrong(comparison: Comparison) -> bool:
    """Whether a tensor is wrong, and not only of another form."""
    return comparison.verdict is Verdict.DISAGREES


def sentence(comparison: Comparison) -> str:
    """What was found out about a tensor."""
    text = f"{comparison.label}: {comparison.reason}"
    factor = comparison.verdict is Verdict.DISAGREES and np.isfinite(comparison.scale)
    if factor and comparison.residual <= SAME_FACTOR and abs(comparison.scale - 1) > VISIBLE_FACTOR:
        times = f"{comparison.scale:.6g} times the right value"
        text += f"; it is {times if comparison.scale else '0'}"
    return text


def compared(architecture: Architecture, comparisons: Sequence[Comparison]) -> list[Compared] | None:
    """The layers with parameters, from the input up; None where one was not looked at, or is of an unknown kind."""
    if not knows(architecture.layers):
        return None
    by_path = {comparison.path: comparison for comparison in comparisons}
    found = [
        Compared(
            place,
            {role: by_path[str(path)] for path, role in place.parameters.items() if str(path) in by_path},
        )
        for place in places(architecture)
        if place.parameters
    ]
    return found if all(layer.tensors for layer in found) else None


def by_layer(architecture: Architecture, layers: Sequence[Compared]) -> Diagnosis:
    """Equation, layer and tensor of the topmost wrong layer.

    Parameters
    ----------
    architecture : Architecture
    layers : sequence of Compared
        From the input up; one of them has a wrong tensor.

    Returns
    -------
    Diagnosis
    """
    index = max(index for index, layer in enumerate(layers) if layer.wrong)
    layer, above = layers[index], layers[index + 1 :]
    wrong, right = layer.wrong, [role for role in layer.tensors if role not in layer.wrong]
    if layer.missing:  # only weights or only biases were looked at, and they are wrong: by δ or by themselves
        told = (
            f"everything above {layer.name} is right; its {layer.nouns(layer.missing)} were not compared, so whether δ is "
            "wrong cannot be told"
        )
        return _diagnosis("", layer, wrong[:1], told)
    seen = "nothing wrong was found above this layer; " if above else ""
    if not right:
        return _error(architecture, layer, above, seen)
    equation = kind_of(layer.place.layer).gradients[wrong[0]]
    return _diagnosis(equation.name, layer, wrong[:1], seen + _one_is_right(layer, right))


def _error(architecture: Architecture, layer: Compared, above: Sequence[Compared], seen: str) -> Diagnosis:
    """All gradients of a layer are wrong: its δ is."""
    wrong = layer.wrong
    shared = (
        f"{seen}{layer.nouns(wrong)} of {layer.name} are both wrong, which points to the δ that they share"
    )
    if not above:
        return _diagnosis(OUTPUT.name, layer, wrong, shared)
    error = kind_of(layer.place.layer).error
    assert error is not None
    passed = _passed(architecture, layer.place, above[0].place)
    if error.whole and not passed:
        return _diagnosis(error.name, layer, wrong, shared)
    down = f"that δ is made of its own σ' and of what comes down: from {above[0].name}{passed}"
    return _diagnosis(error.name, layer, wrong, shared, down)


def _diagnosis(equation: str, layer: Compared, roles: Sequence[Role], *told: str) -> Diagnosis:
    tensors = [layer.tensors[role] for role in roles]
    evidence = (*told, *map(sentence, tensors))
    return Diagnosis(equation, tensors[0].path, evidence=evidence, layer=layer.place.number)


def _one_is_right(layer: Compared, right: Sequence[Role]) -> str:
    """What it says that of a layer one of weights and biases is wrong, and the other is not."""
    wrong, other = layer.nouns(layer.wrong), layer.nouns(right)
    if not all(layer.tensors[role].verdict.ok for role in right):
        return f"the {wrong} of {layer.name} are wrong, of its {other} the numbers cannot decide"
    return f"the {other} of {layer.name} are right, which speaks for its δ, but its {wrong} are wrong"


def _passed(architecture: Architecture, below: Place, above: Place) -> str:
    """What the error passes on its way from one place to the one below, in words."""
    layers = {path: layer for path, layer, _ in walk(architecture)}
    paths = list(layers)
    between = paths[paths.index(below.path) + 1 : paths.index(above.path)]
    return "".join(f" {kind_of(layers[path]).passed}" for path in reversed(between))
