"""Why Adam divides by 1 − β^t, and what its first step is with and without that.

``python -m derivations.adam_bias_correction`` prints the steps; ``--check`` checks them, ``--latex`` and
``--html`` write them as a document.

An expectation is a sum over outcomes here: K of them, equally likely, so that its linearity is a line which is checked
(two sums change places) and not an assumption. That Adam's averages are sums with the weights (1−β) β^{t−i} is
:mod:`derivations.momentum_average`, with g² for g.

References
----------
D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, 2015, algorithm 1 and section 3.
"""

from __future__ import annotations

import sympy

from bpcheck.symbolic.index import Definition, Derivation, Index, Mutant, Size, Step, Tensor, TotalIs, total

# --- what the averages are expected to be ----------------------------------------------------------------

t, K = Size("t"), Size("K")
i, o = Index("i", t), Index("o", K)
G, M, V = Tensor("G"), Tensor("M"), Tensor("V")  # of one entry: squares, and both averages, in each outcome
g, m, v = Tensor("g"), Tensor("m"), Tensor("v")
beta_1, beta_2, mu_1, mu_2, eta, epsilon = (
    sympy.Symbol(name, positive=True) for name in ("beta_1", "beta_2", "mu_1", "mu_2", "eta", "epsilon")
)

OUTCOMES = (
    "Expectations over K equally likely outcomes. Other probabilities are approached by outcomes that come "
    "several times."
)
STATIONARY = (
    "The gradients are stationary: E[g²] is the same number μ_2 at every step. Where it changes, the paper adds a term, "
    "which is small as long as the average gives old gradients small weights."
)
squares = Definition(V[o], (1 - beta_2) * total(beta_2 ** (t - i) * G[i, o], i), "v_t in outcome o")
same_square = TotalIs(
    G[i, o], over=o, value=K * mu_2, because="stationary: the mean over the outcomes is μ_2"
)

expected_square = Derivation(
    "Adam: the expected average of the squares",
    total(V[o], o) / K,
    (
        Step(
            total((1 - beta_2) * total(beta_2 ** (t - i) * G[i, o], i), o) / K,
            "definition",
            "The average of the squares is a sum with weights in each outcome, where G_{io} is the square of "
            "the gradient of step i.",
        ),
        Step(
            (1 - beta_2) * total(beta_2 ** (t - i) * (total(G[i, o], o) / K), i),
            "algebra",
            "The two sums change places: an expectation is linear, and the weights are no random numbers.",
        ),
        Step(
            mu_2 * total((1 - beta_2) * beta_2 ** (t - i), i),
            "fact",
            "Each of the squares is expected to be μ_2, and what does not depend on i stands in front.",
        ),
        Step(
            mu_2 * (1 - beta_2**t),
            "geometric sum",
            "The weights add up to 1 − β^t only: the start, v_0 = 0, has the rest.",
        ),
    ),
    given=(squares, same_square),
    assumes=(OUTCOMES, STATIONARY),
    mutants=(
        Mutant("no bias", 4, mu_2),
        Mutant("the bias of the first step at every t", 4, mu_2 * (1 - beta_2)),
        Mutant("the weight of the start", 4, mu_2 * beta_2**t),
        Mutant("one step too many", 4, mu_2 * (1 - beta_2 ** (t + 1))),
        Mutant("the first moment's β", 4, mu_2 * (1 - beta_1**t)),
        Mutant("1 − β is missing", 3, mu_2 * total(beta_2 ** (t - i), i)),
        Mutant("a sum over the outcomes, no mean", 3, K * mu_2 * total((1 - beta_2) * beta_2 ** (t - i), i)),
    ),
    about=(
        "E[v_t] is smaller than E[g²] by the factor 1 − β^t: 0.001 at the first step with β = 0.999, and still 0.63 after "
        "1000 steps."
    ),
)

corrected = Derivation(
    "Adam: the bias correction",
    total(V[o] / (1 - beta_2**t), o) / K,
    (
        Step(
            (total(V[o], o) / K) / (1 - beta_2**t),
            "algebra",
            "The divisor is the same in every outcome.",
        ),
        Step(
            mu_2,
            "fact",
            "The derivation before: E[v_t] is μ_2 (1 − β^t), and that factor cancels.",
        ),
    ),
    given=(squares, same_square),
    assumes=(OUTCOMES, STATIONARY),
    mutants=(
        Mutant("the correction of the first step at every t", 1, (total(V[o], o) / K) / (1 - beta_2)),
        Mutant("multiplied and not divided", 1, (total(V[o], o) / K) * (1 - beta_2**t)),
        Mutant("one step too many is counted", 2, mu_2 * (1 - beta_2**t) / (1 - beta_2 ** (t + 1))),
        Mutant("still biased", 2, mu_2 * (1 - beta_2**t)),
    ),
    about=(
        "What is divided by 1 − β^t is expected to be E[g²] at every step. The square root of it is not expected to be the "
        "root of E[g²]: a root is not linear."
    ),
)

averages = Definition(M[o], (1 - beta_1) * total(beta_1 ** (t - i) * g[i, o], i), "m_t in outcome o")

first_moment = Derivation(
    "Adam: the same for the average of the gradients",
    total(M[o] / (1 - beta_1**t), o) / K,
    (
        Step(
            (1 - beta_1) * total(beta_1 ** (t - i) * (total(g[i, o], o) / K), i) / (1 - beta_1**t),
            "definition",
            "The average is written out, and the sums change places.",
        ),
        Step(
            mu_1 * total((1 - beta_1) * beta_1 ** (t - i), i) / (1 - beta_1**t),
            "fact",
            "Each gradient is expected to be μ_1.",
        ),
        Step(mu_1, "geometric sum", "The weights add up to 1 − β^t, which cancels."),
    ),
    given=(
        averages,
        TotalIs(g[i, o], over=o, value=K * mu_1, because="stationary: the mean over the outcomes is μ_1"),
    ),
    assumes=(OUTCOMES, "The gradients are stationary: E[g] is the same number μ_1 at every step."),
    mutants=(
        Mutant("not corrected", 3, mu_1 * (1 - beta_1**t)),
        Mutant("corrected with the second moment's β", 1,
               (1 - beta_1) * total(beta_1 ** (t - i) * (total(g[i, o], o) / K), i) / (1 - beta_2**t)),
    ),
)  # fmt: skip

# --- the first step --------------------------------------------------------------------------------------

ONE_ENTRY = "One entry of the parameters, for Adam treats each by itself. √(g²) is |g|; the calculus writes it as a root."
start = (Definition(m[0], 0, "the start"), Definition(v[0], 0, "the start"))

first_step = Derivation(
    "Adam: its first step",
    eta * (m[1] / (1 - beta_1)) / (sympy.sqrt(v[1] / (1 - beta_2)) + epsilon),
    (
        Step(
            eta
            * ((beta_1 * m[0] + (1 - beta_1) * g[1]) / (1 - beta_1))
            / (sympy.sqrt((beta_2 * v[0] + (1 - beta_2) * g[1] ** 2) / (1 - beta_2)) + epsilon),
            "definition",
            "Both recursions at t = 1, where 1 − β^t is 1 − β.",
        ),
        Step(
            eta * g[1] / (sympy.sqrt(g[1] ** 2) + epsilon),
            "definition",
            "m_0 = v_0 = 0, and the corrections cancel what the newest gradient's weights were.",
        ),
    ),
    given=(
        *start,
        Definition(m[1], beta_1 * m[0] + (1 - beta_1) * g[1], "the average of the gradients"),
        Definition(v[1], beta_2 * v[0] + (1 - beta_2) * g[1] ** 2, "the average of the squares"),
    ),
    assumes=(ONE_ENTRY,),
    mutants=(
        Mutant("ε under the root", 2, eta * g[1] / sympy.sqrt(g[1] ** 2 + epsilon)),
        Mutant("no root", 2, eta * g[1] / (g[1] ** 2 + epsilon)),
        Mutant("the gradient alone", 2, eta * g[1]),
        Mutant("the first moment is not corrected", 2,
               eta * (1 - beta_1) * g[1] / (sympy.sqrt(g[1] ** 2) + epsilon)),
        Mutant("the betas change places", 1,
               eta * ((beta_2 * m[0] + (1 - beta_2) * g[1]) / (1 - beta_1))
               / (sympy.sqrt((beta_1 * v[0] + (1 - beta_1) * g[1] ** 2) / (1 - beta_2)) + epsilon)),
    ),
    about=(
        "Where |g| is much larger than ε, the first step is η in the direction of the sign, whatever the "
        "size of the gradient and the betas. By that bpcheck.from_step() sees that a step is not plain "
        "gradient descent."
    ),
)  # fmt: skip

# A root of (1 − β_2) g² is taken apart where 1 − β_2 is positive; a symbol of its own says that it is.
kappa_1, kappa_2 = (sympy.Symbol(name, positive=True) for name in ("kappa_1", "kappa_2"))

without = Derivation(
    "Adam: the first step without the correction",
    eta * m[1] / (sympy.sqrt(v[1]) + epsilon),
    (
        Step(
            eta * kappa_1 * g[1] / (sympy.sqrt(kappa_2 * g[1] ** 2) + epsilon),
            "definition",
            "Both recursions at t = 1, from m_0 = v_0 = 0.",
        ),
        Step(
            (kappa_1 / sympy.sqrt(kappa_2)) * eta * g[1] / (sympy.sqrt(g[1] ** 2) + epsilon / sympy.sqrt(kappa_2)),
            "algebra",
            "The step with the correction, times κ_1/√κ_2, and with a larger ε. The average below is taken a root of, so "
            "its weight does not cancel the weight above.",
        ),
    ),
    given=(
        *start,
        Definition(m[1], (1 - kappa_1) * m[0] + kappa_1 * g[1], "the average of the gradients, κ_1 = 1 − β_1"),
        Definition(v[1], (1 - kappa_2) * v[0] + kappa_2 * g[1] ** 2, "the average of the squares, κ_2 = 1 − β_2"),
    ),
    assumes=(ONE_ENTRY, "Both betas are below 1, so that κ_1 and κ_2 are positive."),
    mutants=(
        Mutant("both weights cancel", 2, eta * g[1] / (sympy.sqrt(g[1] ** 2) + epsilon)),
        Mutant("the root is forgotten", 2,
               (kappa_1 / kappa_2) * eta * g[1] / (sympy.sqrt(g[1] ** 2) + epsilon / kappa_2)),
        Mutant("ε stays as it is", 2,
               (kappa_1 / sympy.sqrt(kappa_2)) * eta * g[1] / (sympy.sqrt(g[1] ** 2) + epsilon)),
        Mutant("smaller, not larger", 2,
               (kappa_2 / sympy.sqrt(kappa_1)) * eta * g[1] / (sympy.sqrt(g[1] ** 2) + epsilon / sympy.sqrt(kappa_1))),
    ),
)  # fmt: skip

beta = Tensor("beta")

at_the_defaults = Derivation(
    "Adam: how much larger the first step is without the correction, at the defaults",
    (1 - beta[1]) / sympy.sqrt(1 - beta[2]),
    (
        Step(
            sympy.sqrt(10),
            "definition",
            "0.1/√0.001, which is about 3.16: without the correction Adam begins with steps that are too large, though "
            "both of its averages are too small.",
        ),
    ),
    given=(
        Definition(beta[1], sympy.Rational(9, 10), "the default"),
        Definition(beta[2], sympy.Rational(999, 1000), "the default"),
    ),
    assumes=("|g| is much larger than ε/√κ_2, which is 32 ε at the defaults.",),
    mutants=(
        Mutant("without the root", 1, sympy.Integer(100)),
        Mutant("the quotient upside down", 1, 1 / sympy.sqrt(10)),
        Mutant("no difference", 1, sympy.Integer(1)),
        Mutant("the root of both", 1, sympy.Integer(10)),
    ),
    about="κ_1/√κ_2 with numbers: the quotient of the two first steps.",
)

DERIVATIONS = (expected_square, corrected, first_moment, first_step, without, at_the_defaults)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
