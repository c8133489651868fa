"""The symbols that several derivations share; the whole table is in ``docs/notation.md``."""

from __future__ import annotations

from bpcheck.symbolic.index import Index, Layer, Tensor, Unknown, VectorFunction, Widths

n = Widths("n")
l = Layer("l")  # noqa: E741  # the book's letter
L = Layer("L")

W = Tensor("W", superscripts=1)
b = Tensor("b", superscripts=1)
z = Tensor("z", superscripts=1)
a = Tensor("a", superscripts=1)
delta = Tensor("delta", superscripts=1)

sigma = Unknown("sigma")
C = VectorFunction("C")


def unit(name: str, layer: object) -> Index:
    """An index over the units of a layer: 1 … n(layer)."""
    return Index(name, n(layer))


CHAIN_RULE = (
    "The multivariate chain rule for any number of arguments: the calculus applies it to C(x_1, …, x_n) with n a "
    "symbol; it is proved in every calculus book and not here. The unknown functions are differentiable."
)
