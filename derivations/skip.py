"""A skip connection: y = x + f(x), and the error that goes round f.

``python -m derivations.skip`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html`` write them
as a document.
"""

from __future__ import annotations

from typing import Any

from bpcheck.symbolic.index import (
    Definition,
    Derivation,
    Diff,
    Index,
    Mutant,
    Size,
    Step,
    Tensor,
    VectorFunction,
    kronecker,
    total,
)
from derivations.notation import CHAIN_RULE

n = Size("n")
j, k, i = Index("j", n), Index("k", n), Index("i", n)
x, y, y_bar = Tensor("x"), Tensor("y"), Tensor("y_bar")
f, C = VectorFunction("f"), VectorFunction("C")

cost = C(y[k], over=k)


def slope(component: Any, by: Any) -> Any:
    """∂f_component/∂x_by."""
    return f.partial(by, of=x[i], over=i, component=component)


skip = Derivation(
    "The error through a skip connection",
    Diff(cost, x[j]),
    (
        Step(
            total(y_bar[k] * Diff(y[k], x[j]), k),
            "chain rule",
            "ȳ_k = ∂C/∂y_k comes from above.",
        ),
        Step(
            total(y_bar[k] * (kronecker(k, j) + slope(k, j)), k),
            "sum rule",
            "y_k = x_k + f_k(x): x_j is in y_j itself, with the factor 1, and in every f_k.",
        ),
        Step(
            y_bar[j] + total(y_bar[k] * slope(k, j), k),
            "delta",
            "Two ways, and they add: round f, unchanged, and through f, by its transposed Jacobian. The 1 does not "
            "vanish, however deep the network is.",
        ),
    ),
    given=(
        Definition(y[k], x[k] + f(x[i], over=i, component=k), "skip connection around any f"),
        Definition(y_bar[k], C.partial(k, of=y[k], over=k), "∂C/∂y"),
    ),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("the way round f is forgotten", 3, total(y_bar[k] * slope(k, j), k)),
        Mutant("the way through f is forgotten", 3, y_bar[j]),
        Mutant("the Jacobian is not transposed", 3, y_bar[j] + total(y_bar[k] * slope(j, k), k)),
        Mutant("the two ways are multiplied", 3, y_bar[j] * (1 + total(slope(k, j), k))),
    ),
    implemented_by=("bpcheck.reference.layers.skip.SkipLayer.pullback",),
    about="f is any map from n numbers to n numbers: a whole block of layers.",
    name=Tensor("x_bar")[j],
)

DERIVATIONS = (skip,)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
