"""What a caller's own cases cannot show: each of these has hidden a real bug in somebody's code."""

from __future__ import annotations

from collections.abc import Sequence

from bpcheck import tree
from bpcheck.network.case import Case
from bpcheck.network.layers.spec import Role
from bpcheck.network.names import Place, places
from bpcheck.search.cases.layers.kinds import moves_of
from bpcheck.search.cases.layers.moves import Moves
from bpcheck.search.cases.passed import pre_activations
from bpcheck.search.cases.plan import planned
from bpcheck.tree import FloatArray

__all__ = ["hidden_by"]

BENT_AT_ZERO = ("relu", "leaky_relu")
"""Activations that are the identity above zero: only below it does anybody see which one it is."""


def hidden_by(cases: Sequence[Case]) -> list[str]:
    """One sentence for each kind of bug that is silent in all of these cases.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> case = Case(mlp([1, 2]), [{"weight": [[1.0], [2.0]], "bias": [0.0, 0.0]}], [[1.0]], [[0.0, 1.0]])
    >>> for sentence in hidden_by([case]):
    ...     print(sentence)
    every case has a batch of one: a sum over the batch left out, or a wrong division by its size, cannot be seen
    no case has a hidden layer: BP2 was not checked
    """
    found = []
    widths = [planned(case.architecture).widths for case in cases]
    if all(case.batch == 1 for case in cases):
        found.append(
            "every case has a batch of one: a sum over the batch left out, or a wrong division by its size, cannot be seen"
        )
    if all(len(w) == 2 for w in widths):
        found.append("no case has a hidden layer: BP2 was not checked")
    elif all(len(set(w[:-1])) == 1 or len(set(w[1:])) == 1 for w in widths) and any(
        w[-1] > 1 for w in widths
    ):
        found.append(
            "all widths are equal, but for the first or the last: a size that is taken from the wrong layer, or from "
            "the wrong axis, cannot be seen"
        )
    if all(set(w[1:]) == {1} for w in widths):
        found.append(
            "every layer above the input has one unit: a number for the layer in place of one for each unit cannot be seen"
        )
    if all(case.architecture.outputs == 1 for case in cases):
        found.append("every case has one output: a wrong factor 1/outputs cannot be seen")
    regularised = [case for case in cases if case.architecture.l1 or case.architecture.l2]
    biases = [values for case in regularised for values in _of_role(case, "bias")]
    if biases and not any(values.any() for values in biases):
        found.append("every bias is zero: a penalty on biases cannot be seen")
    if all(len(w) > 2 for w in widths):
        found += _hidden_below(cases)
    return found + _hidden_by_kind(cases)


def _of_role(case: Case, role: Role) -> list[FloatArray]:
    """The parameters that are for something, from the input up."""
    values = dict(tree.leaves(case.params))
    return [
        values[path]
        for place in places(case.architecture)
        for path, its in place.parameters.items()
        if its == role
    ]


def _hidden_by_kind(cases: Sequence[Case]) -> list[str]:
    """What the layers of one kind hide, kind by kind."""
    alike: dict[Moves, list[Place]] = {}
    for case in cases:
        for place in places(case.architecture):
            alike.setdefault(moves_of(place.layer), []).append(place)
    return [text for moves, found in alike.items() for text in moves.hidden_by(found)]


def _hidden_below(cases: Sequence[Case]) -> list[str]:
    """What hides bugs of the way down through hidden layers: of networks with one at least."""
    found = []
    above = [weight for case in cases for weight in _of_role(case, "weight")[1:]]
    if all(map(_is_symmetric, above)) and any(weight.size > 1 for weight in above):
        found.append("every matrix above the first is symmetric: a forgotten transpose cannot be seen")
    hidden = {
        place.layer.output_activation
        for case in cases
        for place in places(case.architecture)[:-1]
        if place.parameters
    }
    if hidden == {"identity"}:
        found.append(
            "no hidden layer has an activation but the identity: a σ' that was left out, or taken elsewhere, cannot be seen"
        )
    elif hidden <= {"identity", *BENT_AT_ZERO} and all(map(_is_above_zero, cases)):
        found.append(
            "no hidden unit has z < 0 in any example: what its activation does there, and whether σ' is used at all, "
            "cannot be seen"
        )
    return found


def _is_symmetric(weight: FloatArray) -> bool:
    return weight.ndim == 2 and weight.shape[0] == weight.shape[1] and bool((weight == weight.T).all())


def _is_above_zero(case: Case) -> bool:
    bent = [z for place, z in pre_activations(case)[:-1] if place.layer.output_activation in BENT_AT_ZERO]
    return all(bool((z > 0).all()) for z in bent if z is not None)
