"""What passes through the layers of a case's network on the way up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from bpcheck.network.case import Case
from bpcheck.network.names import Place, places
from bpcheck.reference import build
from bpcheck.reference.network import TRAINING
from bpcheck.tree import FloatArray

__all__ = ["largest_logit", "pre_activations"]


def pre_activations(case: Case) -> list[tuple[Place, FloatArray | None]]:
    """The pre-activations z of every layer that is not made of others, None where there is none.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [0.5]}], x=[[1.0]], y=[[0.0]])
    >>> [z.tolist() for _, z in pre_activations(case)]
    [[[2.5]]]
    """
    with np.errstate(all="ignore"):
        trace = build(case.architecture).trace(case.params, case.x, case.y)
    return list(zip(places(case.architecture), _in_a_row(trace.pre_activations), strict=True))


def _in_a_row(nested: list[Any]) -> Iterator[Any]:
    for one in nested:
        if isinstance(one, list):
            yield from _in_a_row(one)
        else:
            yield one


def largest_logit(case: Case) -> float:
    """The largest output in absolute value, before the last layer's activation."""
    a = case.architecture
    bare = replace(a, layers=(*a.layers[:-1], a.layers[-1].before_activation()))
    with np.errstate(all="ignore"):
        output, _, _ = build(bare).chain.forward(case.params, case.x, TRAINING)
    return float(abs(output).max())
