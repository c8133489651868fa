"""Weight penalties λ₁‖W‖₁ + ½λ₂‖W‖², in balls or in rationals."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.network.case import Case
from bpcheck.network.names import is_penalised
from bpcheck.tree import Path

__all__ = ["add", "at_kink"]


def _penalised(case: Case) -> list[tuple[Path, Any]]:
    return [(path, leaf) for path, leaf in tree.leaves(case.params) if is_penalised(case.architecture, path)]


def add(case: Case, gradient: dict[Path, Any], numbers: Any) -> Any:
    """Add the penalty's gradient to ``gradient``, and return its value.

    At a weight of 0 the slope of ‖·‖₁ is left out: 0 is the middle of [−λ₁, λ₁].
    """
    l1, l2 = numbers.number(case.architecture.l1), numbers.number(case.architecture.l2)
    total = numbers.number(0)

    def stored(matrix: Any) -> Any:
        return numbers.matrix(matrix.nrows(), matrix.ncols(), numbers.stored(matrix.entries()))

    for path, leaf in _penalised(case):
        if case.architecture.l1:
            gradient[path] = gradient[path] + stored(numbers.given(np.sign(leaf)) * l1)
            total = total + sum(numbers.given(abs(leaf)).entries(), numbers.number(0)) * l1
        if case.architecture.l2:
            weights = numbers.given(leaf)
            gradient[path] = gradient[path] + stored(weights * l2)
            total = total + sum((w * w for w in weights.entries()), numbers.number(0)) * l2 / 2
    return total


def at_kink(case: Case) -> dict[Path, Any]:
    """Where ‖W‖₁ has no derivative: True for a weight of exactly 0, for every penalised tensor.

    Examples
    --------
    >>> from bpcheck import Case, mlp
    >>> case = Case(mlp([2, 1], l1=0.5), [{"weight": [[0.0, 2.0]], "bias": [0.0]}], [[1.0, 1.0]], [[1.0]])
    >>> {str(path): where.tolist() for path, where in at_kink(case).items()}
    {"params[0]['weight']": [[True, False]]}
    """
    return {path: leaf == 0 for path, leaf in _penalised(case)} if case.architecture.l1 else {}
