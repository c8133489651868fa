"""What a caller's own cases cannot show: each of these has hidden a real bug in somebody's code."""

from __future__ import annotations

from collections.abc import Sequence

from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain, is_dense_chain
from bpcheck.reference import build
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
    every case has a batch of one: a wrong 1/m, or a sum over the batch left out, cannot be seen
    no case has a hidden layer: BP2 was not checked
    """
    found = []
    widths = [dense_chain(case.architecture).widths for case in cases]
    if all(case.batch == 1 for case in cases):
        found.append(
            "every case has a batch of one: a wrong 1/m, or a sum over the batch left out, cannot be seen"
        )
    if all(len(w) == 2 for w in widths):
        found.append("no case has a hidden layer: BP2 was not checked")
    elif all(len(set(w[:-1])) == 1 or len(set(w[1:])) == 1 for w in widths) and any(
        w[-1] > 1 for w in widths
    ):
        found.append(
            "all hidden widths are equal: a size that is taken from the wrong layer, or from the wrong axis, cannot be seen"
        )
    if all(set(w[1:]) == {1} for w in widths):
        found.append(
            "every layer has one unit: a number for the layer in place of one for each unit cannot be seen"
        )
    if all(w[-1] == 1 for w in widths):
        found.append("every case has one output: a wrong factor 1/outputs cannot be seen")
    regularised = [case for case in cases if case.architecture.l1 or case.architecture.l2]
    if regularised and all(
        (layer["bias"] == 0).all()
        for c in regularised
        if is_dense_chain(c.architecture)
        for layer in c.params
    ):
        found.append("every bias is zero: a penalty on biases cannot be seen")
    deep = [
        case
        for case in cases
        if is_dense_chain(case.architecture) and len(dense_chain(case.architecture).widths) > 2
    ]
    return found + (_hidden_below(deep) if len(deep) == len(cases) else [])


def _hidden_below(cases: Sequence[Case]) -> list[str]:
    """What hides bugs of the way down through hidden layers: of chains with one at least."""
    found = []
    if all(_is_symmetric(layer["weight"]) for case in cases for layer in case.params[1:]) and any(
        layer["weight"].size > 1 for case in cases for layer in case.params[1:]
    ):
        found.append("every matrix above the first is symmetric: a forgotten transpose cannot be seen")
    if all(dense_chain(case.architecture).hidden == "identity" for case in cases):
        found.append(
            "no hidden layer has an activation but the identity: a σ' that was left out, or taken elsewhere, cannot be seen"
        )
    elif all(
        dense_chain(case.architecture).hidden in BENT_AT_ZERO and _is_above_zero(case) for case in cases
    ):
        found.append(
            "no hidden unit has z < 0 in any example: what its activation does there, and whether σ' is used at all, "
            "cannot be seen"
        )
    return found


def _is_symmetric(weight: FloatArray) -> bool:
    return weight.shape[0] == weight.shape[1] and bool((weight == weight.T).all())


def _is_above_zero(case: Case) -> bool:
    trace = build(case.architecture).trace(case.params, case.x, case.y)
    return all(bool((z > 0).all()) for z in trace.pre_activations[:-1])
