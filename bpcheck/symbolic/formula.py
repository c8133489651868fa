"""The cost of a whole network and batch as one formula: forward pass, loss, reduction, penalty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.network.architecture import PROBABILITY_LOSSES, Architecture
from bpcheck.network.names import LETTERS, is_penalised, places
from bpcheck.symbolic import activation, loss
from bpcheck.symbolic.algebra import Algebra, Explicit
from bpcheck.symbolic.layers.kinds import chain_of
from bpcheck.symbolic.layers.layer import Site
from bpcheck.symbolic.size import refuse_large_formula
from bpcheck.tree import Tree

__all__ = ["SymbolicCost", "build", "cost", "formulas"]


@dataclass(frozen=True, eq=False)
class SymbolicCost:
    """The cost of a network as an expression, of SymPy in what :func:`cost` returns; printing it prints the formula.

    Attributes
    ----------
    architecture : Architecture
    expression : expression
        C(params, x, y) for the whole batch, penalty included.
    params : list
        Shaped as the network's parameters, with read-only object arrays of symbols. The weight in row
        j and column k of the book's layer l (2 is the first that has weights) is ``Wl_j_k`` with
        indices from 1, so ``params[0]["weight"][1, 0]`` is W2_2_1. Layers inside a skip connection are
        counted with the others.
    x, y : object arrays of shape (m, …)
        Symbols x_i_k and y_i_k of example i, with an index for each axis.
    """

    architecture: Architecture
    expression: Any
    params: Tree
    x: Any
    y: Any

    def __str__(self) -> str:
        return str(self.expression)


def formulas() -> dict[str, Any]:
    """Every function of one variable by name, as SymPy formulas."""
    return {**activation.ACTIVATION, **loss.SCALAR}


def _symbols(algebra: Algebra, name: str, shape: tuple[int, ...]) -> Any:
    array = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        array[index] = algebra.symbol("_".join([name, *(str(i + 1) for i in index)]))
    array.setflags(write=False)
    return array


def _stems(architecture: Architecture) -> dict[str, str]:
    """W2, b2, …: what the variables of each parameter begin with, by its path."""
    found = {
        str(path): f"{LETTERS[role]}{place.number}" if place.number else str(path)
        for place in places(architecture)
        for path, role in place.parameters.items()
    }
    taken = Counter(found.values())  # two parameters of one role in a layer must not be one variable
    return {path: stem if taken[stem] == 1 else path for path, stem in found.items()}


def _parameters(algebra: Algebra, shapes: Any, path: tree.Path, stems: Mapping[str, str]) -> Any:
    """Variables for ``architecture.parameter_shapes``, nested as they are."""
    if isinstance(shapes, tuple):
        return _symbols(algebra, stems[str(path)], shapes)
    if isinstance(shapes, dict):
        return {key: _parameters(algebra, shape, path.item(key), stems) for key, shape in shapes.items()}
    return [_parameters(algebra, shape, path.item(index), stems) for index, shape in enumerate(shapes)]


def _penalty(architecture: Architecture, params: Tree, algebra: Algebra) -> Any:
    l1, l2 = algebra.number(Fraction(architecture.l1)), algebra.number(Fraction(architecture.l2))
    total: Any = algebra.number(Fraction(0))
    for path, weights in tree.leaves(params):
        if not is_penalised(architecture, path):
            continue
        for index, w in np.ndenumerate(weights):
            if architecture.l1:
                total = total + l1 * algebra.apply("abs", w, f"{path}{list(index)} under the l1 penalty")
            if architecture.l2:
                total = total + l2 * w**2 / 2
    return total


def build(architecture: Architecture, batch: int, algebra: Algebra) -> SymbolicCost:
    """The cost of ``batch`` examples, in any algebra."""
    root = tree.Path("params")
    params = _parameters(algebra, architecture.parameter_shapes, root, _stems(architecture))
    x = _symbols(algebra, "x", (batch, *architecture.input_shape))
    y = _symbols(algebra, "y", (batch, *architecture.output_shape))
    total: Any = algebra.number(Fraction(0))
    chain = chain_of(architecture.layers, architecture.input_shape)
    takes_logits = architecture.loss in PROBABILITY_LOSSES and architecture.output == "identity"
    for example in range(batch):
        a = list(chain.forward(params, x[example], Site(algebra, root, example)))
        if takes_logits:
            a = loss.to_probabilities(architecture.loss, a, algebra)
        total = total + loss.LOSS[architecture.loss](a, list(y[example]), algebra)
    if architecture.reduction == "mean":
        total = total / batch
    return SymbolicCost(architecture, total + _penalty(architecture, params, algebra), params, x, y)


def cost(architecture: Architecture, batch: int) -> SymbolicCost:
    """The cost of a small network as a formula that can be printed, substituted and differentiated.

    Parameters
    ----------
    architecture : Architecture
        From :func:`bpcheck.mlp`, or composed of layers.
    batch : int
        Number of examples, 1 or more; with 1, a forgotten 1/m cannot be seen.

    Raises
    ------
    InputError
        If an argument is of the wrong kind, or the network is too large to be written out.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> c = cost(mlp([1, 1], l2=2.0), batch=1)
    >>> print(c)
    W2_1_1**2 + (W2_1_1*x_1_1 + b2_1 - y_1_1)**2/2
    >>> sympy.diff(c.expression, c.params[0]["bias"][0])
    W2_1_1*x_1_1 + b2_1 - y_1_1
    """
    if not isinstance(architecture, Architecture):
        raise InputError(f"architecture is {architecture!r}; make one with bpcheck.mlp([2, 3, 1]).")
    if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 1:
        raise InputError(f"batch is {batch!r}; give the number of examples, 1 or more.")
    refuse_large_formula(architecture, int(batch))
    formula = build(architecture, int(batch), Explicit(formulas()))
    return replace(formula, expression=sympy.sympify(formula.expression))
