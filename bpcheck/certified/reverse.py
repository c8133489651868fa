"""The reverse pass: forward, then the error of every layer from the top down, in any numbers.

The same lines run in balls (rigorous at any precision), in balls widened like a caller's dtype (how far off
honest code may be) and in rationals (exact). Rows are examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bpcheck import tree
from bpcheck.certified import penalty
from bpcheck.certified.layers.kinds import chain_of
from bpcheck.certified.loss import LOSS
from bpcheck.certified.units import Unit, Units
from bpcheck.network.architecture import PROBABILITY_LOSSES
from bpcheck.network.case import Case
from bpcheck.tree import Path

__all__ = ["Pass", "propagate"]


@dataclass(frozen=True, eq=False)
class Pass:
    """Cost and gradient of a case.

    Attributes
    ----------
    loss : number
    gradient : dict of Path to matrix
        A bias is one row.
    slopes : dict of Unit to float
        σ' of every unit that has a kink and is certainly not at it.
    kinks : dict of Unit to bool
        Units whose z may be 0, and whether it certainly is.
    """

    loss: Any
    gradient: Mapping[Path, Any]
    slopes: Mapping[Unit, float]
    kinks: Mapping[Unit, bool]


def propagate(case: Case, numbers: Any, *, slopes: Mapping[Unit, float | None] | None = None) -> Pass:
    """Cost and gradient of a case in balls or in rationals.

    Parameters
    ----------
    case : Case
    numbers : Balls, Working or Rationals
    slopes : mapping of Unit to float or None, optional
        σ' to take for some units, whatever their z is; None for a ball from one one-sided derivative to
        the other, which is what a unit gets whose z may be 0.

    Returns
    -------
    Pass

    Examples
    --------
    >>> from bpcheck import Case, mlp
    >>> from bpcheck.certified.balls import Balls
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], x=[[3.0]], y=[[5.0]])
    >>> found = propagate(case, Balls(128))
    >>> found.loss, [matrix.entries() for matrix in found.gradient.values()]
    (2.00000000000000, [[6.00000000000000], [2.00000000000000]])
    """
    with numbers.working():
        return _propagate(case, numbers, Units(numbers, {} if slopes is None else slopes))


def _propagate(case: Case, numbers: Any, units: Units) -> Pass:
    network = case.architecture
    layers = network.layers
    if network.loss in PROBABILITY_LOSSES:  # which compute the output activation themselves
        layers = (*layers[:-1], layers[-1].before_activation())
    chain = chain_of(layers, network.input_shape)
    out, pullback = chain.reverse(case.params, numbers.given(case.x), units, Path("params"))
    targets = numbers.rows(numbers.given(case.y))
    loss, slopes = LOSS[network.loss](numbers.rows(out), targets, numbers)
    delta = numbers.matrix(len(slopes), len(slopes[0]), [value for row in slopes for value in row])
    if network.reduction == "mean":
        loss, delta = loss / case.batch, delta / case.batch
    found, _ = pullback(delta, False)
    gradient = dict(tree.leaves(found))
    loss = loss + penalty.add(case, gradient, numbers)
    return Pass(loss, gradient, units.slopes, units.kinks)
