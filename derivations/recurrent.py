"""Backpropagation through time: T steps with shared weights.

``python -m derivations.recurrent`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html`` write
them as a document. What is missing: that the total derivative ∂C/∂e^t is the δ^t of the recursion stands among the
assumptions, because the calculus has no definitions that go back in time; tests/derivations holds all four results
against a real recurrent network. (The LSTM cell comes with its layer.)
"""

from __future__ import annotations

from typing import Any

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
            "derivative",
            "h^t_i = σ(z^t_i) in both, and only i = j holds z^t_j; in z^{t+1}_k it has the weight W_{kj}.",
        ),
        Step(
            (loss.partial(j, of=h[now, j], over=j) + total(W[k, j] * delta[now + 1, k], k)) * sigma.prime(z[now, j]),
            "algebra",
            "BP2 with a loss on the way. The same W at every t: over many steps the factors Wᵀ and σ' "
            "multiply, which is why gradients vanish or explode.",
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
weight_copy, input_copy, bias_copy = (Tensor(name, superscripts=1) for name in "WUb")
weight_value, input_value, bias_value = Tensor("V"), Tensor("Q"), Tensor("c")
push, cost = Tensor("e", superscripts=1), VectorFunction("C")
pushed = cost(push[t, i], over=(t, i))


def parameters(body: Any) -> Definition:
    """What one parameter adds to z^t when its copy for step t leaves its value."""
    return Definition(push[t, i], body, "what the copy of step t adds to z^t when it moves")


known = Definition(delta[t, i], cost.partial((t, i), of=push[t, i], over=(t, i)), "error of step t")

UNROLLED = (
    "C(e) is the cost when e^t is added to z^t and all later steps follow. That ∂C/∂e^t at e = 0 is the error δ^t of the "
    "derivation before is the induction over time.",
    "The state h^{t-1} is a number here. Earlier copies move it, but what that adds to e^t is multiplied by the copy's "
    "distance from its value, which is 0 where the derivative is taken.",
)

recurrent_weights = Derivation(
    "BPTT: the gradient of the recurrent weights",
    Diff(pushed, W[j, k]),
    (
        Step(
            total(Diff(pushed, weight_copy[t, i, m]) * Diff(weight_copy[t, i, m], W[j, k]), t, i, m),
            "chain rule",
            "Give every step a copy of W of its own: W reaches the cost through each of them.",
        ),
        Step(
            total(Diff(pushed, weight_copy[t, i, m]) * kronecker(i, j) * kronecker(m, k), t, i, m),
            "derivative",
            "Every copy is W itself.",
        ),
        Step(
            total(Diff(pushed, weight_copy[t, j, k]), t),
            "delta",
            "A shared weight: the gradients of its copies add up.",
        ),
        Step(
            total(delta[t, j] * h[t - 1, k], t),
            "derivative",
            "BP4 for each step: error at the end times state at the start, which is the state of the step before.",
        ),
    ),
    given=(
        parameters(total((weight_copy[t, i, m] - weight_value[i, m]) * h[t - 1, m], m)),
        Definition(weight_copy[t, i, m], W[i, m], "all copies are one"),
        known,
    ),
    assumes=(CHAIN_RULE, *UNROLLED),
    mutants=(
        Mutant("the state of the same step", 4, total(delta[t, j] * h[t, k], t)),
        Mutant("the transpose", 4, total(delta[t, k] * h[t - 1, j], t)),
        Mutant("the last step only", 4, delta[steps, j] * h[steps - 1, k]),
        Mutant("the mean over the steps", 4, total(delta[t, j] * h[t - 1, k], t) / steps),
    ),
    about="V holds the values of W at which the derivative is taken.",
)

input_weights = Derivation(
    "BPTT: the gradient of the input weights",
    Diff(pushed, U[j, f]),
    (
        Step(total(Diff(pushed, input_copy[t, j, f]), t), "chain rule", "As for W: the copies add up."),
        Step(total(delta[t, j] * x[t, f], t), "derivative", "BP4 with the input of the same step."),
    ),
    given=(
        parameters(total((input_copy[t, i, f] - input_value[i, f]) * x[t, f], f)),
        Definition(input_copy[t, i, f], U[i, f], "all copies are one"),
        known,
    ),
    assumes=(CHAIN_RULE, *UNROLLED),
    mutants=(
        Mutant("the input of the step before", 2, total(delta[t, j] * x[t - 1, f], t)),
        Mutant("the last step only", 2, delta[steps, j] * x[steps, f]),
    ),
    about="Q holds the values of U at which the derivative is taken.",
)

bias = Derivation(
    "BPTT: the gradient of the bias",
    Diff(pushed, b[j]),
    (
        Step(total(delta[t, i] * Diff(push[t, i], b[j]), t, i), "chain rule", "The bias is in every step."),
        Step(
            total(delta[t, j], t),
            "derivative",
            "Only i = j holds it, with the factor 1: BP3, summed over the steps.",
        ),
    ),
    given=(
        parameters(bias_copy[t, i] - bias_value[i]),
        Definition(bias_copy[t, i], b[i], "all copies are one"),
        known,
    ),
    assumes=(CHAIN_RULE, *UNROLLED),
    mutants=(
        Mutant("the last step only", 2, delta[steps, j]),
        Mutant("the errors of all units", 2, total(delta[t, i], t, i)),
    ),
)

DERIVATIONS = (through_time, recurrent_weights, input_weights, bias)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
