"""Momentum is a weighted average of the gradients, and its two usual forms are one up to the learning rate.

``python -m derivations.momentum_average`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html``
write them as a document.

The recursion v_t = β v_{t−1} + (1−β) g_t is not unrolled all at once, for the calculus has no definitions that go round
in a circle. It is an induction, like BP2 and the step back in time: the first step, and the step from t to t + 1 at a
symbolic t, where what holds at t is given. The calculus knows powers whose exponent is made of indices and sizes, takes
the last term out of a sum up to t + 1, and knows the geometric sum; the interpreter adds up the same sums term by term.

References
----------
B. T. Polyak, Some methods of speeding up the convergence of iteration methods, 1964. I. Sutskever, J. Martens,
G. Dahl, G. Hinton, On the importance of initialization and momentum in deep learning, 2013, section 2. The form with
v = μ v + g and w −= η v is that of ``torch.optim.SGD``.
"""

from __future__ import annotations

import sympy

from bpcheck.symbolic.index import Definition, Derivation, Index, Mutant, Size, Step, Tensor, total

t = Size("t")
i, j = Index("i", t), Index("j", t)  # the steps so far
k = Index("k", t + 1)  # and one more
only = Index("i", 1)
v, u, g, w = Tensor("v"), Tensor("u"), Tensor("g"), Tensor("w")
beta, mu, eta_avg, eta_sum = (
    sympy.Symbol(name, positive=True) for name in ("beta", "mu", "eta_avg", "eta_sum")
)

INDUCTION = (
    "The induction: the first step is a derivation of its own, this is the step from t to t + 1. The calculus checks it "
    "for a symbolic t; that such steps make a proof for every t is the principle of induction."
)
FACTOR = (
    "0 < β < 1; of that the lines use that β is positive and not 1. The gradients are any numbers: where they are taken "
    "does not matter."
)

first_step = Derivation(
    "Momentum: after one step",
    v[1],
    (
        Step(beta * v[0] + (1 - beta) * g[1], "definition", "The recursion at t = 1."),
        Step((1 - beta) * g[1], "definition", "There is no past: v_0 = 0."),
        Step(
            (1 - beta) * total(beta ** (1 - only) * g[only], only),
            "last term",
            "A sum of one term, with the weight β to the power of 0.",
        ),
    ),
    given=(
        Definition(v[1], beta * v[0] + (1 - beta) * g[1], "momentum"),
        Definition(v[0], 0, "the start"),
    ),
    assumes=(FACTOR,),
    mutants=(
        Mutant("the first gradient counts in full", 2, g[1]),
        Mutant("the weights of old and new change places", 2, beta * g[1]),
        Mutant("β to the power of i", 3, (1 - beta) * total(beta**only * g[only], only)),
    ),
    about=(
        "The beginning of the induction. It starts at v_0 = 0, which is why Adam needs a correction. (With dampening, "
        "torch.optim.SGD begins at v_1 = g_1, and is no such average.)"
    ),
)

average = Derivation(
    "Momentum: a weighted average of all gradients so far",
    v[t + 1],
    (
        Step(beta * v[t] + (1 - beta) * g[t + 1], "definition", "The recursion."),
        Step(
            beta * ((1 - beta) * total(beta ** (t - i) * g[i], i)) + (1 - beta) * g[t + 1],
            "definition",
            "What holds after t steps.",
        ),
        Step(
            (1 - beta) * (total(beta ** (t + 1 - i) * g[i], i) + g[t + 1]),
            "algebra",
            "One more β on every old gradient: each step makes all of them smaller by the same factor.",
        ),
        Step(
            (1 - beta) * total(beta ** (t + 1 - k) * g[k], k),
            "last term",
            "The newest gradient is the last term, with β to the power of 0. That is the same formula with t + 1 for t.",
        ),
    ),
    given=(
        Definition(v[t + 1], beta * v[t] + (1 - beta) * g[t + 1], "momentum"),
        Definition(v[t], (1 - beta) * total(beta ** (t - i) * g[i], i), "after t steps, known"),
    ),
    assumes=(INDUCTION, FACTOR),
    mutants=(
        Mutant("the weights are those of the step before", 4, (1 - beta) * total(beta ** (t - k) * g[k], k)),
        Mutant("the oldest gradient weighs most", 4, (1 - beta) * total(beta ** (k - 1) * g[k], k)),
        Mutant("a sum and no average: 1 − β is missing", 4, total(beta ** (t + 1 - k) * g[k], k)),
        Mutant("the newest gradient is missing", 4, (1 - beta) * total(beta ** (t + 1 - i) * g[i], i)),
        Mutant("the plain mean", 4, total(g[k], k) / (t + 1)),
        Mutant("old gradients keep their weights", 3,
               (1 - beta) * (total(beta ** (t - i) * g[i], i) + g[t + 1])),
    ),
    about="The gradient of i steps ago weighs less by the factor β to the power of i: an exponential average.",
)  # fmt: skip

weights_add_up = Derivation(
    "Momentum: what the weights add up to",
    total((1 - beta) * beta ** (t - i), i),
    (
        Step(
            total(beta ** (t - i) - beta ** (t - i + 1), i),
            "algebra",
            "Each weight is the difference of two powers that follow one another.",
        ),
        Step(
            1 - beta**t,
            "geometric sum",
            "What one term adds the next one takes away; the newest term's β to the power of 0 is left, and the oldest "
            "term's β^t.",
        ),
    ),
    assumes=(FACTOR,),
    mutants=(
        Mutant("they add up to 1 from the start", 2, sympy.Integer(1)),
        Mutant("one step too few", 2, 1 - beta ** (t - 1)),
        Mutant("one step too many", 2, 1 - beta ** (t + 1)),
        Mutant("what is missing to 1", 2, beta**t),
        Mutant("powers two apart", 1, total(beta ** (t - i) - beta ** (t - i + 2), i)),
    ),
    about=(
        "What is missing to 1, β^t, is the weight of v_0 = 0. An average of t equal gradients is too small by the factor "
        "1 − β^t; derivations.adam_bias_correction divides by it."
    ),
)

length = Derivation(
    "Momentum: its effective length",
    total(w[i], i) / w[t],
    (
        Step(
            total((1 - beta) * beta ** (t - i), i) / (1 - beta),
            "definition",
            "All weights, counted in weights of the newest gradient: so long would the average be if all weighed as much.",
        ),
        Step((1 - beta**t) / (1 - beta), "geometric sum", "The weights add up to 1 − β^t."),
    ),
    given=(Definition(w[i], (1 - beta) * beta ** (t - i), "the weight of gradient i after t steps"),),
    assumes=(
        FACTOR,
        "For many steps β^t goes to 0 and the length to 1/(1 − β): 10 steps for β = 0.9, 100 for 0.99. The calculus has no "
        "limits; tests/derivations takes this one with SymPy, and another: as β goes to 1, the weight of a gradient "
        "that is 1/(1 − β) steps old goes to 1/e of the newest one's.",
    ),
    mutants=(
        Mutant("its limit, at every t", 2, 1 / (1 - beta)),
        Mutant("all steps weigh as much", 2, t),
        Mutant("1/β", 2, (1 - beta**t) / beta),
        Mutant("counted in weights of the oldest gradient", 1,
               total((1 - beta) * beta ** (t - i), i) / ((1 - beta) * beta ** (t - 1))),
    ),
)  # fmt: skip

noise = Derivation(
    "Momentum: how many gradients' noise it averages",
    total(w[i], i) ** 2 / total(w[i] ** 2, i),
    (
        Step(
            total((1 - beta) * beta ** (t - i), i) ** 2 / total((1 - beta) ** 2 * beta ** (2 * (t - i)), i),
            "definition",
            "Independent noise of equal size in every gradient: its variance in the sum goes with the squares "
            "of the weights.",
        ),
        Step(
            (1 - beta**t) ** 2 * (1 - beta**2) / ((1 - beta) ** 2 * (1 - beta ** (2 * t))),
            "geometric sum",
            "Above the weights add up to 1 − β^t; below it is a geometric sum with β² for β.",
        ),
        Step(
            (1 - beta**t) * (1 + beta) / ((1 + beta**t) * (1 - beta)),
            "algebra",
            "1 − β² = (1 − β)(1 + β), and the same with β^t.",
        ),
    ),
    given=(Definition(w[i], (1 - beta) * beta ** (t - i), "the weight of gradient i after t steps"),),
    assumes=(
        FACTOR,
        "That a plain mean of N gradients has 1/N of the noise's variance, so that this quotient is the N of an average "
        "with weights.",
    ),
    mutants=(
        Mutant("the effective length", 3, (1 - beta**t) / (1 - beta)),
        Mutant("β and not β² below", 2, (1 - beta**t) ** 2 / ((1 - beta) * (1 - beta**t))),
        Mutant("its limit, at every t", 3, (1 + beta) / (1 - beta)),
    ),
    about=(
        "For many steps it is (1 + β)/(1 − β), nearly twice the effective length: 19 gradients for β = 0.9. How long an "
        "exponential average is depends on what is asked of it, and 1/(1 − β) is a rule of thumb."
    ),
)

two_forms = Derivation(
    "Momentum: the sum form and the average form",
    eta_avg * (1 - mu) * u[t + 1],
    (
        Step(eta_avg * (1 - mu) * (mu * u[t] + g[t + 1]), "definition", "The sum form: the gradient counts in full."),
        Step(
            eta_avg * (1 - mu) * (mu * (v[t] / (1 - mu)) + g[t + 1]),
            "definition",
            "After t steps the sum is larger than the average by 1/(1 − μ).",
        ),
        Step(
            eta_avg * (mu * v[t] + (1 - mu) * g[t + 1]),
            "algebra",
            "The factor goes into the bracket.",
        ),
        Step(
            eta_avg * v[t + 1],
            "definition",
            "The same step of the weights: η_{sum} = η_{avg} (1 − μ). And u_{t+1} = v_{t+1}/(1 − μ), so it holds after "
            "t + 1 steps too.",
        ),
    ),
    given=(
        Definition(u[t + 1], mu * u[t] + g[t + 1], "the sum form"),
        Definition(v[t + 1], mu * v[t] + (1 - mu) * g[t + 1], "the average form, with β = μ"),
        Definition(u[t], v[t] / (1 - mu), "after t steps, known"),
    ),
    assumes=(
        "The induction: before the first step both are 0, so the sum is 1/(1 − μ) of the average; this is "
        "the step from t to t + 1.",
        "Both are multiplied by the learning rate of the same step when the weights move. A rate that is multiplied into "
        "the velocity instead stays there when a schedule changes it, and that is another method.",
    ),
    mutants=(
        Mutant("the same learning rate for both", 4, eta_avg * v[t + 1] / (1 - mu)),
        Mutant("the factor is used twice", 4, eta_avg * (1 - mu) * v[t + 1]),
        Mutant("the sum is taken for the average", 2, eta_avg * (1 - mu) * (mu * v[t] + g[t + 1])),
        Mutant("the gradient counts in full in both", 3, eta_avg * (mu * v[t] + g[t + 1])),
    ),
    about=(
        "With μ = 0.9 a learning rate for the average form is 10 times that for the sum form. In the end, "
        "a gradient g that stays the same moves the weights by η_{sum} g/(1 − μ) a step."
    ),
    name=eta_sum * u[t + 1],
)  # fmt: skip

DERIVATIONS = (first_step, average, weights_add_up, length, noise, two_forms)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
