"""What a caller's own cases cannot show: each of these has hidden a real bug in somebody's code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bpcheck import tree
from bpcheck.network.case import Case
from bpcheck.network.layers.spec import Role
from bpcheck.network.names import Place, places
from bpcheck.search.cases.layers.kinds import moves_of
from bpcheck.search.cases.layers.moves import Moves
from bpcheck.search.cases.passed import pre_activations
from bpcheck.search.cases.plan import planned
from bpcheck.tree import FloatArray

__all__ = ["HIDES", "hidden_by"]

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
    return [text for text, hides in HIDES if hides(cases)] + _hidden_by_kind(cases)


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


def _widths(cases: Sequence[Case]) -> list[tuple[int, ...]]:
    return [planned(case.architecture).widths for case in cases]


def _are_shallow(cases: Sequence[Case]) -> bool:
    return all(len(w) == 2 for w in _widths(cases))


def _are_equally_wide(cases: Sequence[Case]) -> bool:
    widths = _widths(cases)
    equal = all(len(set(w[:-1])) == 1 or len(set(w[1:])) == 1 for w in widths)
    return equal and any(w[-1] > 1 for w in widths) and not _are_shallow(cases)


def _have_no_bias_to_penalise(cases: Sequence[Case]) -> bool:
    regularised = [case for case in cases if case.architecture.l1 or case.architecture.l2]
    biases = [values for case in regularised for values in _of_role(case, "bias")]
    return bool(biases) and not any(values.any() for values in biases)


def _are_symmetric(cases: Sequence[Case]) -> bool:
    above = [weight for case in cases for weight in _of_role(case, "weight")[1:]]
    square = all(weight.ndim == 2 and weight.shape[0] == weight.shape[1] for weight in above)
    return (
        _are_deep(cases)
        and square
        and all((weight == weight.T).all() for weight in above)
        and any(weight.size > 1 for weight in above)
    )


def _are_deep(cases: Sequence[Case]) -> bool:
    return all(len(w) > 2 for w in _widths(cases))


def _hidden_activations(cases: Sequence[Case]) -> set[str]:
    """Of networks that have hidden layers, all of them."""
    if not _are_deep(cases):
        return set()
    return {
        place.layer.output_activation
        for case in cases
        for place in places(case.architecture)[:-1]
        if place.parameters
    }


def _are_linear(cases: Sequence[Case]) -> bool:
    return _hidden_activations(cases) == {"identity"}


def _are_above_zero(cases: Sequence[Case]) -> bool:
    used = _hidden_activations(cases)
    if not used & set(BENT_AT_ZERO) or used - {"identity", *BENT_AT_ZERO}:
        return False
    hidden = [passed for case in cases for passed in pre_activations(case)[:-1]]
    bent = [z for place, z in hidden if place.layer.output_activation in BENT_AT_ZERO]
    return all(bool((z > 0).all()) for z in bent if z is not None)


HIDES: tuple[tuple[str, Callable[[Sequence[Case]], bool]], ...] = (
    (
        "every case has a batch of one: a sum over the batch left out, or a wrong division by its size, cannot be seen",
        lambda cases: all(case.batch == 1 for case in cases),
    ),
    ("no case has a hidden layer: BP2 was not checked", _are_shallow),
    (
        "all widths are equal, but for the first or the last: a size that is taken from the wrong layer, or from "
        "the wrong axis, cannot be seen",
        _are_equally_wide,
    ),
    (
        "every layer above the input has one unit: a number for the layer in place of one for each unit cannot be seen",
        lambda cases: all(set(w[1:]) == {1} for w in _widths(cases)),
    ),
    (
        "every case has one output: a wrong factor 1/outputs cannot be seen",
        lambda cases: all(case.architecture.outputs == 1 for case in cases),
    ),
    ("every bias is zero: a penalty on biases cannot be seen", _have_no_bias_to_penalise),
    ("every matrix above the first is symmetric: a forgotten transpose cannot be seen", _are_symmetric),
    (
        "no hidden layer has an activation but the identity: a σ' that was left out, or taken elsewhere, cannot be seen",
        _are_linear,
    ),
    (
        "no hidden unit has z < 0 in any example: what its activation does there, and whether σ' is used at all, "
        "cannot be seen",
        _are_above_zero,
    ),
)
"""Sentences of networks of any kind, and when they are true."""
