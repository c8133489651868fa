"""Backpropagation through time: T steps with shared weights.

``python -m derivations.recurrent`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html`` write
them as a document. (The LSTM cell comes with its layer.)
"""

from __future__ import annotations

from bpcheck.symbolic.index import (
    Definition,
    Derivation,
    Diff,
    Index,
    Layer,
    Mutant,
    Size,
    Step,
    Tensor,
    Unknown,
    VectorFunction,
    kronecker,
    total,
)
from derivations.notation import CHAIN_RULE

units, into, steps = Size("n"), Size("r"), Size("T")
j, k, i, m = Index("j", units), Index("k", units), Index("i", units), Index("m", units)
f = Index("f", into)
sigma = Unknown("sigma")

# --- one step back in time, at a symbolic t --------------------------------------------------------

now = Layer("t")
W, U, b = Tensor("W"), Tensor("U"), Tensor("b")
z, h, x, delta = (Tensor(name, superscripts=1) for name in ("z", "h", "x", "delta"))
loss, later = VectorFunction("c"), VectorFunction("F")

through_time = Derivation(
    "BPTT: the error goes one step back in time",
    Diff(loss(h[now, j], over=j) + later(z[now + 1, k], over=k), z[now, j]),
    (
        Step(
            total(loss.partial(i, of=h[now, j], over=j) * Diff(h[now, i], z[now, j]), i)
            + total(delta[now + 1, k] * Diff(z[now + 1, k], z[now, j]), k),
            "chain rule",
            "Two ways: z^t has a loss of its own at time t, and all later steps hear of it through z^{t+1}.",
        ),
        Step(
            loss.partial(j, of=h[now, j], over=j) * sigma.prime(z[now, j])
            + total(delta[now + 1, k] * W[k, j] * sigma.prime(z[now, j]), k),
            "delta",
            "h^t_i = σ(z^t_i) in both: the term i = j is left, and in z^{t+1}_k the weight W_{kj}.",
        ),
        Step(
            (loss.partial(j, of=h[now, j], over=j) + total(W[k, j] * delta[now + 1, k], k)) * sigma.prime(z[now, j]),
            "algebra",
            "BP2 with a loss on the way. The same W at every t: its powers are why gradients vanish or explode.",
        ),
    ),
    given=(
        Definition(
            z[now + 1, k],
            total(W[k, i] * h[now, i], i) + total(U[k, f] * x[now + 1, f], f) + b[k],
            "the next step",
        ),
        Definition(h[now, i], sigma(z[now, i]), "state"),
        Definition(delta[now + 1, k], later.partial(k, of=z[now + 1, k], over=k), "error of step t + 1, known"),
    ),
    assumes=(
        CHAIN_RULE,
        "The induction over time: at t = T there is no later step and F is constant; this is the step from t + 1 to t.",
    ),
    mutants=(
        Mutant("the loss at time t is forgotten", 3, total(W[k, j] * delta[now + 1, k], k) * sigma.prime(z[now, j])),
        Mutant("what comes from later is forgotten: truncated after one step", 3,
               loss.partial(j, of=h[now, j], over=j) * sigma.prime(z[now, j])),
        Mutant("W is not transposed", 3,
               (loss.partial(j, of=h[now, j], over=j) + total(W[j, k] * delta[now + 1, k], k))
               * sigma.prime(z[now, j])),
        Mutant("σ' on one way only", 3,
               loss.partial(j, of=h[now, j], over=j) + total(W[k, j] * delta[now + 1, k], k) * sigma.prime(z[now, j])),
    ),
    about="F is all that happens from step t + 1 on, as an unknown function of z^{t+1}.",
    name=delta[now, j],
)  # fmt: skip

# --- shared weights: a copy for each step, and the copies add up -----------------------------------

t = Index("t", steps)
zs, hs, xs, errors = (
    Tensor("z", superscripts=1),
    Tensor("h", superscripts=1),
    Tensor("x", superscripts=1),
    delta,
)
weight_copy, input_copy = Tensor("W", superscripts=1), Tensor("U", superscripts=1)
cost = VectorFunction("C")
whole = cost(zs[t, i], over=(t, i))

unrolled = Definition(
    zs[t, i],
    total(weight_copy[t, i, m] * hs[t - 1, m], m) + total(input_copy[t, i, f] * xs[t, f], f) + b[i],
    "step t with weights of its own",
)
shared_weight = Definition(weight_copy[t, i, m], W[i, m], "all copies are one")
shared_input = Definition(input_copy[t, i, f], U[i, f], "all copies are one")
known = Definition(
    errors[t, i], cost.partial((t, i), of=zs[t, i], over=(t, i)), "error of every step, from above"
)

UNROLLED = (
    "C is the cost as a function of what arrives at each z^t; that z^t moves the later steps is inside C, so that "
    "∂C/∂z^t is the error δ^t of the derivation before. The copy of step t meets h^{t-1}, which it cannot move."
)

recurrent_weights = Derivation(
    "BPTT: the gradient of the recurrent weights",
    Diff(whole, W[j, k]),
    (
        Step(
            total(Diff(whole, weight_copy[t, i, m]) * Diff(weight_copy[t, i, m], W[j, k]), t, i, m),
            "chain rule",
            "Give every step a copy of W of its own: W reaches the cost through each of them.",
        ),
        Step(
            total(Diff(whole, weight_copy[t, i, m]) * kronecker(i, j) * kronecker(m, k), t, i, m),
            "derivative",
            "Every copy is W itself.",
        ),
        Step(
            total(Diff(whole, weight_copy[t, j, k]), t),
            "delta",
            "A shared weight: the gradients of its copies add up.",
        ),
        Step(
            total(errors[t, j] * hs[t - 1, k], t),
            "derivative",
            "BP4 for each step: error at the end times state at the start, which is the state of the step before.",
        ),
    ),
    given=(unrolled, shared_weight, shared_input, known),
    assumes=(CHAIN_RULE, UNROLLED),
    mutants=(
        Mutant("the state of the same step", 4, total(errors[t, j] * hs[t, k], t)),
        Mutant("the transpose", 4, total(errors[t, k] * hs[t - 1, j], t)),
        Mutant("the last step only", 4, errors[steps, j] * hs[steps - 1, k]),
        Mutant("the mean over the steps", 4, total(errors[t, j] * hs[t - 1, k], t) / steps),
    ),
)

input_weights = Derivation(
    "BPTT: the gradient of the input weights",
    Diff(whole, U[j, f]),
    (
        Step(total(Diff(whole, input_copy[t, j, f]), t), "chain rule", "As for W: the copies add up."),
        Step(total(errors[t, j] * xs[t, f], t), "derivative", "BP4 with the input of the same step."),
    ),
    given=(unrolled, shared_weight, shared_input, known),
    assumes=(CHAIN_RULE, UNROLLED),
    mutants=(Mutant("the input of the step before", 2, total(errors[t, j] * xs[t - 1, f], t)),),
)

bias = Derivation(
    "BPTT: the gradient of the bias",
    Diff(whole, b[j]),
    (
        Step(total(errors[t, i] * Diff(zs[t, i], b[j]), t, i), "chain rule", "The bias is in every step."),
        Step(total(errors[t, j], t), "delta", "BP3, summed over the steps."),
    ),
    given=(unrolled, shared_weight, shared_input, known),
    assumes=(CHAIN_RULE, UNROLLED),
    mutants=(Mutant("the last step only", 2, errors[steps, j]),),
)

DERIVATIONS = (through_time, recurrent_weights, input_weights, bias)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
