"""Attention: the gradients of values, weights, scores, queries and keys.

``python -m derivations.attention`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html`` write
them as a document.
"""

from __future__ import annotations

import sympy

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

queries, keys, depth, width = Size("T"), Size("S"), Size("d"), Size("e")
i, p = Index("i", queries), Index("p", queries)
j, k, q = Index("j", keys), Index("k", keys), Index("q", keys)
f, r = Index("f", depth), Index("r", depth)
h, g = Index("h", width), Index("g", width)

Q, K, V = Tensor("Q"), Tensor("K"), Tensor("V")
S, A, O = Tensor("S"), Tensor("A"), Tensor("O")  # noqa: E741  # the field's letter
O_bar, A_bar, S_bar = Tensor("O_bar"), Tensor("A_bar"), Tensor("S_bar")
C = VectorFunction("C")
root = sympy.sqrt(depth)

scores = Definition(S[i, j], total(Q[i, f] * K[j, f], f) / root, "scores")
weights = Definition(A[i, j], sympy.exp(S[i, j]) / total(sympy.exp(S[i, k]), k), "softmax over the keys")
outputs = Definition(O[i, h], total(A[i, j] * V[j, h], j), "output")
from_above = Definition(O_bar[i, h], C.partial((i, h), of=O[i, h], over=(i, h)), "∂C/∂O")
cost = C(O[i, h], over=(i, h))

values = Derivation(
    "Attention: the gradient of the values",
    Diff(cost, V[q, g]),
    (
        Step(
            total(O_bar[i, h] * Diff(O[i, h], V[q, g]), i, h),
            "chain rule",
            "Every query may look at the value q.",
        ),
        Step(
            total(O_bar[i, h] * A[i, j] * kronecker(j, q) * kronecker(h, g), i, h, j),
            "derivative",
            "O_{ih} holds V_{qg} where h = g, with the weight A_{iq}.",
        ),
        Step(total(A[i, q] * O_bar[i, g], i), "delta", "As matrices: Aᵀ Ō."),
    ),
    given=(outputs, from_above),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("A is not transposed", 3, total(A[q, i] * O_bar[i, g], i)),
        Mutant("summed over the keys", 3, total(A[i, j] * O_bar[i, g], i, j)),
    ),
)

softmax_in = Derivation(
    "Attention: the gradient of the weights",
    Diff(cost, A[p, q]),
    (
        Step(
            total(O_bar[i, h] * Diff(O[i, h], A[p, q]), i, h),
            "chain rule",
            "A_{pq} moves the output of query p.",
        ),
        Step(
            total(O_bar[p, h] * V[q, h], h),
            "derivative",
            "Only O_{ph} holds A_{pq}, with the factor V_{qh}: Ō Vᵀ.",
        ),
    ),
    given=(outputs, from_above),
    assumes=(CHAIN_RULE,),
    mutants=(Mutant("the transpose", 2, total(O_bar[q, h] * V[p, h], h)),),
)

weights_bar = Definition(
    A_bar[i, j], C.partial((i, j), of=A[i, j], over=(i, j)), "∂C/∂A, from the derivation before"
)
cost_of_weights = C(A[i, j], over=(i, j))

through_softmax = Derivation(
    "Attention: the gradient of the scores, through the softmax of each row",
    Diff(cost_of_weights, S[p, q]),
    (
        Step(
            total(A_bar[i, j] * Diff(A[i, j], S[p, q]), i, j),
            "chain rule",
            "A score moves all weights of its row.",
        ),
        Step(
            total(A_bar[i, j] * kronecker(i, p) * A[i, j] * (kronecker(j, q) - A[i, q]), i, j),
            "derivative",
            "The Jacobian of softmax in row p; other rows do not know S_{pq}.",
        ),
        Step(
            A[p, q] * (A_bar[p, q] - total(A_bar[p, j] * A[p, j], j)),
            "delta",
            "What comes from above, less its mean with the weights of the row.",
        ),
    ),
    given=(weights, weights_bar),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("the row's mean is forgotten", 3, A[p, q] * A_bar[p, q]),
        Mutant("only the diagonal of the Jacobian", 3, A_bar[p, q] * A[p, q] * (1 - A[p, q])),
        Mutant("the mean over the queries: softmax along the wrong axis", 3,
               A[p, q] * (A_bar[p, q] - total(A_bar[i, q] * A[i, q], i))),
    ),
)  # fmt: skip

scores_bar = Definition(
    S_bar[i, j], C.partial((i, j), of=S[i, j], over=(i, j)), "∂C/∂S, from the derivation before"
)
cost_of_scores = C(S[i, j], over=(i, j))

queries_gradient = Derivation(
    "Attention: the gradient of the queries",
    Diff(cost_of_scores, Q[p, r]),
    (
        Step(
            total(S_bar[i, j] * Diff(S[i, j], Q[p, r]), i, j),
            "chain rule",
            "Query p is in the scores of row p.",
        ),
        Step(
            total(S_bar[i, j] * kronecker(i, p) * kronecker(f, r) * K[j, f] / root, i, j, f),
            "derivative",
            "The product Q_{if} K_{jf} holds Q_{pr} where i = p and f = r.",
        ),
        Step(total(S_bar[p, j] * K[j, r], j) / root, "delta", "S̄ K / √d."),
    ),
    given=(scores, scores_bar),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("1/√d is forgotten", 3, total(S_bar[p, j] * K[j, r], j)),
        Mutant("1/d", 3, total(S_bar[p, j] * K[j, r], j) / depth),
        Mutant("S̄ is transposed", 3, total(S_bar[j, p] * K[j, r], j) / root),
    ),
)

keys_gradient = Derivation(
    "Attention: the gradient of the keys",
    Diff(cost_of_scores, K[q, r]),
    (
        Step(
            total(S_bar[i, j] * Diff(S[i, j], K[q, r]), i, j),
            "chain rule",
            "Key q is in the scores of column q.",
        ),
        Step(
            total(S_bar[i, j] * kronecker(j, q) * kronecker(f, r) * Q[i, f] / root, i, j, f),
            "derivative",
            "The product Q_{if} K_{jf} holds K_{qr} where j = q and f = r.",
        ),
        Step(total(S_bar[i, q] * Q[i, r], i) / root, "delta", "S̄ᵀ Q / √d."),
    ),
    given=(scores, scores_bar),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("S̄ is not transposed", 3, total(S_bar[q, i] * Q[i, r], i) / root),
        Mutant("keys in the place of queries", 3, total(S_bar[i, q] * K[i, r], i) / root),
        Mutant("1/√d is forgotten", 3, total(S_bar[i, q] * Q[i, r], i)),
    ),
)

DERIVATIONS = (values, softmax_in, through_softmax, queries_gradient, keys_gradient)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
