"""What a caller's own cases cannot show: each of these has hidden a real bug in somebody's code."""

from __future__ import annotations

from collections.abc import Sequence

from bpcheck.case import Case

__all__ = ["hidden_by"]


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
    widths = [case.architecture.widths for case in cases]
    if all(case.batch == 1 for case in cases):
        found.append(
            "every case has a batch of one: a wrong 1/m, or a sum over the batch left out, cannot be seen"
        )
    if all(len(w) == 2 for w in widths):
        found.append("no case has a hidden layer: BP2 was not checked")
    elif all(len(set(w[:-1])) == 1 or len(set(w[1:])) == 1 for w in widths) and any(
        w[-1] > 1 for w in widths
    ):
        found.append("all hidden widths are equal: a matrix of the wrong layer fits everywhere")
    if all(w[-1] == 1 for w in widths):
        found.append("every case has one output: a wrong factor 1/outputs cannot be seen")
    regularised = [case for case in cases if case.architecture.l1 or case.architecture.l2]
    if regularised and all(
        (layer["bias"] == 0).all() for c in regularised if c.architecture.is_chain for layer in c.params
    ):
        found.append("every bias is zero: a penalty on biases cannot be seen")
    return found
