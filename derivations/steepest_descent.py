"""The gradient step as a minimum, the direction of steepest descent, and the penalties that weight decay comes from.

``python -m derivations.steepest_descent`` prints the steps; ``--check`` checks them, ``--latex`` and ``--html``
write them as a document.

What is a minimum is shown by squares: a line of algebra takes them apart, and that a square is not negative stands among
the assumptions. It says more than a derivative of 0 does (which is here too): the minimum is the only one, and global.

References
----------
S. Boyd, L. Vandenberghe, Convex optimization, 2004, section 9.4 (steepest descent in a norm). I. Loshchilov, F. Hutter,
Decoupled weight decay regularization, 2019, propositions 1 to 3.
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

n = Size("n")
i, j, k = (Index(name, n) for name in "ijk")
g, d, w = Tensor("g"), Tensor("d"), Tensor("w")
eta, decay, mu, radius = (sympy.Symbol(name, positive=True) for name in ("eta", "lambda", "mu", "r"))

SQUARES = "A sum of squares of real numbers is not negative, and 0 only where each of them is."
LINEAR = "g is the gradient at w, and gᵀd the change of the cost to first order when w moves by d."

# --- the step as a minimum -------------------------------------------------------------------------------

model = total(g[i] * d[i], i) + total(d[i] ** 2, i) / (2 * eta)

slope = Derivation(
    "The gradient step: the derivative of what it minimises",
    Diff(model, d[j]),
    (
        Step(
            total(g[i] * Diff(d[i], d[j]), i) + total(2 * d[i] * Diff(d[i], d[j]), i) / (2 * eta),
            "sum rule",
            "Term by term; the gradient g is fixed while d moves.",
        ),
        Step(
            total(g[i] * kronecker(i, j), i) + total(2 * d[i] * kronecker(i, j), i) / (2 * eta),
            "derivative",
            "Only i = j names d_j.",
        ),
        Step(
            g[j] + d[j] / eta,
            "delta",
            "The 2 of the square cancels. This is 0 at d_j = −η g_j and nowhere else.",
        ),
    ),
    assumes=(LINEAR,),
    mutants=(
        Mutant("the rate is not divided by", 3, g[j] + d[j]),
        Mutant("multiplied by η", 3, g[j] + eta * d[j]),
        Mutant("the 2 stays", 3, g[j] + 2 * d[j] / eta),
        Mutant("the sum stays", 3, total(g[i], i) + d[j] / eta),
    ),
    about=(
        "The cost to first order, and a price ‖d‖²/(2η) for going far, because first order is true only "
        "nearby: a small η is a high price."
    ),
)

stationary = Derivation(
    "The gradient step: where that derivative is zero",
    g[j] + d[j] / eta,
    (Step(sympy.Integer(0), "definition", "g_j − η g_j/η."),),
    given=(Definition(d[j], -eta * g[j], "the step of gradient descent"),),
    mutants=(
        Mutant("uphill", 1, 2 * g[j]),
        Mutant("without the rate", 1, g[j] - g[j] / eta),
        Mutant("no step at all", 1, g[j]),
    ),
)

squares = Derivation(
    "The gradient step: it is the minimum",
    model,
    (
        Step(
            total(d[i] ** 2 + 2 * eta * g[i] * d[i], i) / (2 * eta),
            "algebra",
            "Over one denominator.",
        ),
        Step(
            total((d[i] + eta * g[i]) ** 2 - eta**2 * g[i] ** 2, i) / (2 * eta),
            "algebra",
            "The square is completed.",
        ),
        Step(
            total((d[i] + eta * g[i]) ** 2, i) / (2 * eta) - eta / 2 * total(g[i] ** 2, i),
            "algebra",
            "What is left does not depend on d. So the least value is −η/2 ‖g‖², at d = −η g alone.",
        ),
    ),
    assumes=(LINEAR, SQUARES),
    mutants=(
        Mutant("uphill", 3, total((d[i] - eta * g[i]) ** 2, i) / (2 * eta) - eta / 2 * total(g[i] ** 2, i)),
        Mutant("the gain without ½", 3,
               total((d[i] + eta * g[i]) ** 2, i) / (2 * eta) - eta * total(g[i] ** 2, i)),
        Mutant("the square of the sum", 3,
               total(d[i] + eta * g[i], i) ** 2 / (2 * eta) - eta / 2 * total(g[i] ** 2, i)),
        Mutant("without the rate", 3, total((d[i] + g[i]) ** 2, i) / (2 * eta) - eta / 2 * total(g[i] ** 2, i)),
    ),
    about="The same without a derivative: no second one is needed, and no word about convexity.",
)  # fmt: skip

# --- the direction of steepest descent -------------------------------------------------------------------

cauchy_schwarz = Derivation(
    "Steepest descent: no step of the same length goes down further",
    total(g[i] ** 2, i) * total(d[j] ** 2, j) - total(g[i] * d[i], i) ** 2,
    (
        Step(
            total(g[i] ** 2 * d[j] ** 2 - g[i] * d[i] * g[j] * d[j], i, j),
            "algebra",
            "Each product of two sums is a sum over two indices.",
        ),
        Step(
            total(g[i] ** 2 * d[j] ** 2 + g[j] ** 2 * d[i] ** 2 - 2 * g[i] * d[i] * g[j] * d[j], i, j) / 2,
            "algebra",
            "The sum over all pairs is the same when i and j change names: half of each.",
        ),
        Step(
            total((g[i] * d[j] - g[j] * d[i]) ** 2, i, j) / 2,
            "algebra",
            "Squares: not negative, and 0 only where d and g are parallel. So (gᵀd)² ≤ ‖g‖² ‖d‖²: to first order, no "
            "step of length r lowers the cost by more than r ‖g‖.",
        ),
    ),
    assumes=(LINEAR, SQUARES),
    mutants=(
        Mutant("a plus in the bracket", 3, total((g[i] * d[j] + g[j] * d[i]) ** 2, i, j) / 2),
        Mutant("every pair twice", 3, total((g[i] * d[j] - g[j] * d[i]) ** 2, i, j)),
        Mutant("the indices do not cross", 3, total((g[i] * d[i] - g[j] * d[j]) ** 2, i, j) / 2),
        Mutant("one sum for two", 1, total(g[i] ** 2 * d[i] ** 2 - g[i] * d[i] * g[i] * d[i], i)),
    ),
    about=(
        "The identity of Lagrange. It holds for g and d of any length, and has the inequality of Cauchy and "
        "Schwarz in it."
    ),
)

norm = sympy.sqrt(total(g[k] ** 2, k))
steepest = Definition(d[i], -radius * g[i] / norm, "length r, against the gradient")

reached = Derivation(
    "Steepest descent: the step against the gradient reaches that bound",
    total(g[i] * d[i], i),
    (
        Step(-radius * total(g[i] ** 2, i) / norm, "definition", "r and ‖g‖ do not depend on i."),
        Step(-radius * norm, "algebra", "‖g‖²/‖g‖."),
    ),
    given=(steepest,),
    assumes=(LINEAR, "The gradient is not 0."),
    mutants=(
        Mutant("uphill", 2, radius * norm),
        Mutant("the norm squared", 2, -radius * total(g[k] ** 2, k)),
        Mutant("the direction alone", 2, -radius),
    ),
)

its_length = Derivation(
    "Steepest descent: that step has length r",
    total(d[i] ** 2, i),
    (
        Step(radius**2 * total(g[i] ** 2, i) / norm**2, "definition", "The sign is squared away."),
        Step(radius**2, "algebra", "‖g‖² cancels."),
    ),
    given=(steepest,),
    assumes=("The gradient is not 0.",),
    mutants=(
        Mutant("not squared", 2, radius),
        Mutant("times the norm", 2, radius**2 * norm),
        Mutant("counted for every entry", 2, n * radius**2),
    ),
)

same_direction = Derivation(
    "Steepest descent: gradient descent is the step of length η ‖g‖",
    -(eta * norm) * g[j] / sympy.sqrt(total(g[i] ** 2, i)),
    (
        Step(
            -eta * g[j],
            "algebra",
            "With r = η ‖g‖ the norm cancels, and the step of the learning rate η is left.",
        ),
    ),
    assumes=("The gradient is not 0.",),
    mutants=(
        Mutant("normalised", 1, -eta * g[j] / norm),
        Mutant("uphill", 1, eta * g[j]),
    ),
    about=(
        "A constraint on the length and a price for it give one direction. Another norm gives another: steepest descent "
        "belongs to the norm, not to the cost alone."
    ),
)

# --- weight decay ----------------------------------------------------------------------------------------

cost = VectorFunction("C")
value = cost(w[i], over=i)
gradient = cost.partial(j, of=w[i], over=i)
penalty = decay / 2 * total(w[i] ** 2, i)

coupled = Derivation(
    "Weight decay: for plain gradient descent, the penalty and the decay are one",
    w[j] - eta * Diff(value + penalty, w[j]),
    (
        Step(
            w[j] - eta * (Diff(value, w[j]) + Diff(penalty, w[j])),
            "sum rule",
            "The penalty λ/2 ‖w‖² is a part of the cost: coupled.",
        ),
        Step(
            w[j] - eta * (gradient + decay * w[j]),
            "derivative",
            "The derivative of the penalty is λ w_j: the gradient that the step sees is g + λ w.",
        ),
        Step(
            (1 - eta * decay) * w[j] - eta * gradient,
            "algebra",
            "The weights shrink by the factor 1 − ηλ and then take the step without a penalty: decoupled.",
        ),
    ),
    assumes=(CHAIN_RULE,),
    mutants=(
        Mutant("the decay without the rate", 3, (1 - decay) * w[j] - eta * gradient),
        Mutant("the decay takes the gradient's step too", 3, (1 - eta * decay) * (w[j] - eta * gradient)),
        Mutant("a penalty without ½", 3, (1 - 2 * eta * decay) * w[j] - eta * gradient),
        Mutant("growing weights", 3, (1 + eta * decay) * w[j] - eta * gradient),
    ),
)

# Momentum in the sum form, coupled and decoupled, from the same weights.
v, u, x = Tensor("v"), Tensor("u"), Tensor("x")
TWO_STEPS = (
    Definition(v[1], g[1] + decay * w[0], "coupled: the penalty is in the velocity"),
    Definition(w[1], w[0] - eta * v[1], "coupled"),
    Definition(v[2], mu * v[1] + g[2] + decay * w[1], "coupled"),
    Definition(w[2], w[1] - eta * v[2], "coupled"),
    Definition(u[1], g[1], "decoupled: the velocity knows the gradients alone"),
    Definition(x[1], (1 - eta * decay) * w[0] - eta * u[1], "decoupled, from the same weights w_0"),
    Definition(u[2], mu * u[1] + g[2], "decoupled"),
    Definition(x[2], (1 - eta * decay) * x[1] - eta * u[2], "decoupled"),
)
ONE_ENTRY = "One entry of the weights, at step 0, 1 and 2; every entry moves in the same way."

momentum_begins = Derivation(
    "Weight decay with momentum: the first step is the same",
    w[1] - x[1],
    (
        Step(
            (w[0] - eta * (g[1] + decay * w[0])) - ((1 - eta * decay) * w[0] - eta * g[1]),
            "definition",
            "There is no velocity yet.",
        ),
        Step(sympy.Integer(0), "algebra", "Plain gradient descent, for which both are one."),
    ),
    given=TWO_STEPS,
    assumes=(ONE_ENTRY,),
    mutants=(
        Mutant("the decay is in one of them alone", 2, -eta * decay * w[0]),
        Mutant("it differs by the gradient", 2, -eta * g[1]),
    ),
    about="The velocity begins at 0. After this step both stand at the same weights and see the same gradient g_2.",
)

momentum_differs = Derivation(
    "Weight decay with momentum: the second step is not",
    w[2] - x[2],
    (
        Step(
            (w[1] - eta * v[2]) - ((1 - eta * decay) * x[1] - eta * u[2]),
            "definition",
            "The second step of both.",
        ),
        Step(
            (w[1] - x[1]) * (1 - eta * decay) - eta * mu * (v[1] - u[1]),
            "algebra",
            "What both have in common cancels, g_2 too; the velocities differ by what the first step left in them.",
        ),
        Step(
            -eta * mu * decay * w[0],
            "definition",
            "The weights are the same after the first step, and v_1 − u_1 is λ w_0. Coupled, the decay of "
            "the first step goes on; decoupled, it is over.",
        ),
    ),
    given=TWO_STEPS,
    assumes=(ONE_ENTRY,),
    mutants=(
        Mutant("the same with momentum too", 3, sympy.Integer(0)),
        Mutant("without μ", 3, -eta * decay * w[0]),
        Mutant("the other way round", 3, eta * mu * decay * w[0]),
        Mutant("the weights of the first step", 3, -eta * mu * decay * w[1]),
    ),
)

# --- weight decay and a step that divides ----------------------------------------------------------------

s, G = Tensor("s"), Tensor("G")
DIVIDED = (
    "A method that divides the gradient of entry i by s_i > 0, as Adam does by √v̂ + ε. The s_i are fixed for "
    "this one step."
)

coupled_divided = Derivation(
    "Weight decay: what a step that divides minimises when the penalty is coupled",
    total((g[i] + decay * w[i]) * d[i], i) + total(s[i] * d[i] ** 2, i) / (2 * eta),
    (
        Step(
            total(s[i] * (d[i] ** 2 + 2 * eta * (g[i] + decay * w[i]) / s[i] * d[i]), i) / (2 * eta),
            "algebra",
            "Over one denominator.",
        ),
        Step(
            total(s[i] * (d[i] + eta * (g[i] + decay * w[i]) / s[i]) ** 2, i) / (2 * eta)
            - eta / 2 * total((g[i] + decay * w[i]) ** 2 / s[i], i),
            "algebra",
            "The square is completed: the minimum is d_i = −η (g_i + λ w_i)/s_i, where the decay is divided by s_i like "
            "everything else. An entry with large gradients decays less.",
        ),
    ),
    assumes=(DIVIDED, SQUARES),
    mutants=(
        Mutant("the decay is not divided", 2,
               total(s[i] * (d[i] + eta * g[i] / s[i] + eta * decay * w[i]) ** 2, i) / (2 * eta)
               - eta / 2 * total((g[i] + decay * w[i]) ** 2 / s[i], i)),
        Mutant("multiplied by s", 2,
               total(s[i] * (d[i] + eta * (g[i] + decay * w[i]) * s[i]) ** 2, i) / (2 * eta)
               - eta / 2 * total((g[i] + decay * w[i]) ** 2 / s[i], i)),
        Mutant("the price of a plain step", 2,
               total((d[i] + eta * (g[i] + decay * w[i]) / s[i]) ** 2, i) / (2 * eta)
               - eta / 2 * total((g[i] + decay * w[i]) ** 2 / s[i], i)),
    ),
    about=(
        "The price of a step weighs the square of d_i by s_i here: another norm, and another direction of "
        "steepest descent."
    ),
)  # fmt: skip

scaled = decay / 2 * total(s[i] * w[i] ** 2, i)

decoupled_divided = Derivation(
    "Weight decay: the penalty that decoupled decay comes from",
    w[j] - eta * Diff(value + scaled, w[j]) / s[j],
    (
        Step(
            w[j] - eta * (gradient + decay * total(s[i] * w[i] * kronecker(i, j), i)) / s[j],
            "derivative",
            "Each square in the penalty is weighted by s_i: an entry that is divided by more pays more.",
        ),
        Step(w[j] - eta * (gradient + decay * s[j] * w[j]) / s[j], "delta", "Only i = j is left."),
        Step(
            (1 - eta * decay) * w[j] - eta * gradient / s[j],
            "algebra",
            "s_j cancels in the decay alone: all weights shrink by the same factor, whatever divides their gradients.",
        ),
    ),
    assumes=(
        CHAIN_RULE,
        DIVIDED,
        "Adam's s changes from step to step, and this penalty with it: decoupled decay is then the gradient of no penalty "
        "that stays the same.",
    ),
    mutants=(
        Mutant("the plain penalty's decay", 3, (1 - eta * decay / s[j]) * w[j] - eta * gradient / s[j]),
        Mutant("the gradient is not divided", 3, (1 - eta * decay) * w[j] - eta * gradient),
        Mutant("the decay is multiplied by s", 3, (1 - eta * decay * s[j]) * w[j] - eta * gradient / s[j]),
        Mutant("the sum stays", 2, w[j] - eta * (gradient + decay * total(s[i] * w[i], i)) / s[j]),
    ),
)

adam_coupled = Derivation(
    "Weight decay with Adam: coupled, λ is gone where there is no gradient",
    eta * G[j] / sympy.sqrt(G[j] ** 2),
    (
        Step(
            eta * w[j] / sympy.sqrt(w[j] ** 2),
            "definition",
            "λ w_j/(λ |w_j|): the weight moves by η towards 0, however small λ is. Decoupled it moves by ηλ w_j.",
        ),
    ),
    given=(
        Definition(G[j], g[j] + decay * w[j], "coupled: what Adam takes for the gradient"),
        Definition(g[j], 0, "a weight whose cost has no gradient"),
    ),
    assumes=(
        "Adam's first step, η G/(|G| + ε), with ε = 0; see derivations.adam_bias_correction. √(G²) is |G|.",
        "w_j is not 0.",
    ),
    mutants=(
        Mutant("decoupled decay", 1, eta * decay * w[j]),
        Mutant("λ stays", 1, eta * decay * w[j] / sympy.sqrt(w[j] ** 2)),
        Mutant("no decay without a gradient", 1, sympy.Integer(0)),
    ),
)

DERIVATIONS = (
    slope,
    stationary,
    squares,
    cauchy_schwarz,
    reached,
    its_length,
    same_direction,
    coupled,
    momentum_begins,
    momentum_differs,
    coupled_divided,
    decoupled_divided,
    adam_coupled,
)

if __name__ == "__main__":
    from derivations.run import main

    main(DERIVATIONS)
