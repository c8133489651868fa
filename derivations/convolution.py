"""Convolution in two dimensions with a stride: the gradients of kernel, bias and input.

``python -m derivations.convolution`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html`` write
them as a document. Padding is left out: it is a convolution of a larger image whose border is fixed.
"""

from __future__ import annotations

from bpcheck.symbolic.index import (
    Definition,
    Derivation,
    Diff,
    Index,
    Member,
    Mutant,
    Size,
    Step,
    Tensor,
    VectorFunction,
    kronecker,
    total,
)
from derivations.notation import CHAIN_RULE

stride, channels, filters = Size("s"), Size("M"), Size("F")
rows, columns = Size("R"), Size("T")  # of the output
high, wide = Size("H"), Size("B")  # of the kernel

o, o_ = Index("o", filters), Index("q", filters)
c, c_ = Index("c", channels), Index("d", channels)
i, j = Index("i", rows - 1, lower=0), Index("j", columns - 1, lower=0)
u, v = Index("u", high - 1, lower=0), Index("v", wide - 1, lower=0)
u_, v_ = Index("g", high - 1, lower=0), Index("h", wide - 1, lower=0)
x, y = (
    Index("x", stride * (rows - 1) + high - 1, lower=0),
    Index("y", stride * (columns - 1) + wide - 1, lower=0),
)

X, K, b, Y, Y_bar = Tensor("X"), Tensor("K"), Tensor("b"), Tensor("Y"), Tensor("Y_bar")
C = VectorFunction("C")

forward = Definition(
    Y[o, i, j],
    total(K[o, c, u, v] * X[c, stride * i + u, stride * j + v], c, u, v) + b[o],
    "forward; no flipping, as every framework has it",
)
from_above = Definition(Y_bar[o, i, j], C.partial((o, i, j), of=Y[o, i, j], over=(o, i, j)), "∂C/∂Y")
cost = C(Y[o, i, j], over=(o, i, j))

ONE_IMAGE = (
    "One image, without padding (which is a larger image whose border is fixed), and the kernel covers all of it: pixels "
    "that are left over at the border have the gradient 0. In a batch, kernel and bias serve every image, and sum."
)

kernel = Derivation(
    "Convolution: the gradient of the kernel",
    Diff(cost, K[o_, c_, u_, v_]),
    (
        Step(
            total(Y_bar[o, i, j] * Diff(Y[o, i, j], K[o_, c_, u_, v_]), o, i, j),
            "chain rule",
            "The same kernel is laid on every place (i, j).",
        ),
        Step(
            total(Y_bar[o_, i, j] * X[c_, stride * i + u_, stride * j + v_], i, j),
            "derivative",
            "Of the sum over the kernel one entry holds it, and of the filters the one it belongs to.",
        ),
    ),
    given=(forward, from_above),
    assumes=(CHAIN_RULE, ONE_IMAGE),
    mutants=(
        Mutant("the stride is forgotten", 2, total(Y_bar[o_, i, j] * X[c_, i + u_, j + v_], i, j)),
        Mutant("the kernel is flipped", 2,
               total(Y_bar[o_, i, j] * X[c_, stride * i + high - 1 - u_, stride * j + wide - 1 - v_], i, j)),
        Mutant("the mean over the places", 2,
               total(Y_bar[o_, i, j] * X[c_, stride * i + u_, stride * j + v_], i, j) / (rows * columns)),
        Mutant("rows and columns are swapped", 2,
               total(Y_bar[o_, i, j] * X[c_, stride * j + v_, stride * i + u_], i, j)),
    ),
    implemented_by=("bpcheck.reference.layers.convolution.kernel_gradient",),
)  # fmt: skip

bias = Derivation(
    "Convolution: the gradient of the bias",
    Diff(cost, b[o_]),
    (
        Step(
            total(Y_bar[o, i, j] * Diff(Y[o, i, j], b[o_]), o, i, j), "chain rule", "One bias for all places."
        ),
        Step(
            total(Y_bar[o_, i, j], i, j),
            "derivative",
            "One filter holds it, with the factor 1; the places add up.",
        ),
    ),
    given=(forward, from_above),
    assumes=(CHAIN_RULE, ONE_IMAGE),
    mutants=(
        Mutant("the mean", 2, total(Y_bar[o_, i, j], i, j) / (rows * columns)),
        Mutant("summed over the filters", 2, total(Y_bar[o, i, j], o, i, j)),
    ),
    implemented_by=("bpcheck.reference.layers.convolution.bias_gradient",),
)

inputs = Derivation(
    "Convolution: the gradient of the input, scattered and gathered",
    Diff(cost, X[c_, x, y]),
    (
        Step(
            total(Y_bar[o, i, j] * Diff(Y[o, i, j], X[c_, x, y]), o, i, j),
            "chain rule",
            "A pixel lies under the kernel at several places.",
        ),
        Step(
            total(
                Y_bar[o, i, j]
                * K[o, c_, u, v]
                * kronecker(stride * i + u, x)
                * kronecker(stride * j + v, y),
                o, i, j, u, v,
            ),
            "derivative",
            "Scatter: every place (i, j) throws its error, times the kernel, onto the pixels under it.",
        ),
        Step(
            total(
                Y_bar[o, i, j]
                * K[o, c_, x - stride * i, y - stride * j]
                * Member(x - stride * i, 0, high - 1)
                * Member(y - stride * j, 0, wide - 1),
                o, i, j,
            ),
            "delta",
            "Solved for the kernel's entry: u = x − s·i, if that is an entry of the kernel.",
        ),
        Step(
            total(
                Y_bar[o, (x - u) / stride, (y - v) / stride]
                * K[o, c_, u, v]
                * Member((x - u) / stride, 0, rows - 1)
                * Member((y - v) / stride, 0, columns - 1),
                o, u, v,
            ),
            "algebra",
            "Gather: the same sum, run over the kernel. The place is i = (x − u)/s, if s divides x − u and the place "
            "exists.",
        ),
    ),
    given=(forward, from_above),
    assumes=(CHAIN_RULE, ONE_IMAGE),
    mutants=(
        Mutant("the last place is left out", 4,
               total(Y_bar[o, (x - u) / stride, (y - v) / stride] * K[o, c_, u, v]
                     * Member((x - u) / stride, 0, rows - 2) * Member((y - v) / stride, 0, columns - 1), o, u, v)),
        Mutant("the kernel is flipped", 3,
               total(Y_bar[o, i, j] * K[o, c_, high - 1 - x + stride * i, wide - 1 - y + stride * j]
                     * Member(x - stride * i, 0, high - 1) * Member(y - stride * j, 0, wide - 1), o, i, j)),
        Mutant("the stride is forgotten", 2,
               total(Y_bar[o, i, j] * K[o, c_, u, v] * kronecker(i + u, x) * kronecker(j + v, y), o, i, j, u, v)),
        Mutant("filters and channels are swapped", 2,
               total(Y_bar[o, i, j] * K[c_, o, u, v] * kronecker(stride * i + u, x) * kronecker(stride * j + v, y),
                     o, i, j, u, v)),
    ),
    implemented_by=("bpcheck.reference.layers.convolution.error_below",),
)  # fmt: skip

DERIVATIONS = (kernel, bias, inputs)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
