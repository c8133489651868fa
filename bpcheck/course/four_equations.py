"""The exercises of notebook 2, *The four equations, derived*.

What a reader writes as a formula is held against the line before it by
:func:`bpcheck.symbolic.index.check_line`; what a reader writes as code is held against
:mod:`bpcheck.reference` with a bound on its rounding. The lines are those of the package ``derivations``.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from typing import Any

import numpy as np
import sympy

from bpcheck import tree
from bpcheck.check.gradient import check_gradient
from bpcheck.course.answer import Answer, State
from bpcheck.course.display import SOFT, Shown, formula, table
from bpcheck.course.exercise import (
    SEED,
    Mistakes,
    Trial,
    call,
    compared,
    exact,
    hold,
    is_stub,
    not_done,
    unusable,
)
from bpcheck.course.line import DIFFERENTIATED, Asked, Demands, hold_line, judge_line
from bpcheck.course.networks import draw_case, draw_widths
from bpcheck.course.prediction import hold_predictions
from bpcheck.network.architecture import mlp
from bpcheck.network.dense_chain import dense_chain
from bpcheck.numeric.noise import UNIT_ROUNDOFF
from bpcheck.reference.layers import four_equations as equations
from bpcheck.reference.numbers.ball import Ball
from bpcheck.symbolic.index import (
    Definition,
    Derivation,
    Diff,
    Digits,
    Index,
    Tensor,
    VectorValue,
    World,
    check_line,
    kronecker,
    mathml,
    text,
    total,
)
from bpcheck.symbolic.index.interpret import Reading, points
from bpcheck.tree import FloatArray
from derivations import (
    bp1_output_error,
    bp2_hidden_error,
    bp3_bias_gradient,
    bp4_weight_gradient,
    softmax_cross_entropy,
)
from derivations.bp1_output_error import slope
from derivations.notation import C, L, W, a, b, delta, l, sigma, unit, z

__all__ = [
    "all_paths",
    "backward",
    "four_lines",
    "kink_verdict",
    "output_line",
    "paths",
    "side_by_side",
    "slope_at_kink",
    "softmax_error",
    "targets",
    "weight_proof",
]

TRIALS = 6
"""Random batches an exercise: widths and batch sizes are never equal, so one shows every mistake below."""


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


# --- 1. a line of BP1 ------------------------------------------------------------------------------


def output_line(line: Any) -> Answer:
    """The second line of BP1: Σ_k ∂C/∂a^L_k ∂a^L_k/∂z^L_j, with ∂a^L_k/∂z^L_j carried out for a^L_k = σ(z^L_k).

    Examples
    --------
    >>> j = unit("j", L)
    >>> output_line(slope(j) * sigma.prime(z[L, j])).ok
    True
    """
    j, k = unit("j", L), unit("k", L)
    derivation = bp1_output_error.elementwise
    asked = Asked(
        derivation.steps[0].after,
        derivation.given,
        {
            "That is one term, for one k. Put total(…, k) around it.": (
                slope(k) * sigma.prime(z[L, k]) * kronecker(k, j)
            ),
            "You sum σ' over all k. But a^L_k = σ(z^L_k) moves with z^L_j only where k is j: every other term "
            "has the factor 0. kronecker(k, j) is 1 there and 0 elsewhere.": (
                total(slope(k) * sigma.prime(z[L, k]), k)
            ),
            "You sum over all k although only one term is not 0. Multiply by kronecker(k, j), or leave the sum out.": (
                total(slope(k) * sigma.prime(z[L, j]), k)
            ),
            "∂C/∂a^L of unit j stands in every term of your sum. It belongs to unit k, and only k = j is left.": (
                total(slope(j) * sigma.prime(z[L, k]), k)
            ),
            "σ' is missing: a^L_j = σ(z^L_j), and its derivative by z^L_j is σ'(z^L_j).": slope(j),
            "σ' is missing: keep kronecker(k, j), and multiply by sigma.prime(z[L, k]).": (
                total(slope(k) * kronecker(k, j), k)
            ),
            "That is σ itself. Its derivative is sigma.prime(…).": slope(j) * sigma(z[L, j]),
            "σ' is taken at z, not at the activation: sigma.prime(z[L, j]).": slope(j) * sigma.prime(a[L, j]),
            "That is the last factor alone. ∂C/∂a^L_j, slope(j), belongs to it.": sigma.prime(z[L, j]),
        },
    )
    return hold_line(
        "output_line",
        line,
        asked,
        checked="Proved for every width, every cost and every activation of one unit.",
    )


# --- 2. softmax --------------------------------------------------------------------------------------


def softmax_error(line: Any) -> Answer:
    """δ^L_j for softmax and any cost, in ∂C/∂a^L and a^L.

    Examples
    --------
    >>> j, k = unit("j", L), unit("k", L)
    >>> softmax_error(a[L, j] * (slope(j) - total(slope(k) * a[L, k], k))).ok
    True
    """
    j, k = unit("j", L), unit("k", L)
    derivation = bp1_output_error.softmax_error
    y = Tensor("y")
    asked = Asked(
        derivation.steps[1].after,
        derivation.given,
        {
            "That is one term, for one k. Put total(…, k) around it.": (
                slope(k) * a[L, k] * (kronecker(k, j) - a[L, j])
            ),
            "That is the seeds' ⊙ σ', the diagonal of the Jacobian alone. z^L_j moves every a^L_k: sum over all k.": (
                slope(j) * a[L, j] * (1 - a[L, j])
            ),
            "Only the term k = j of the Jacobian's first part is there. The second part, −a_k a_j, has a term for "
            "every k: it takes a mean of all ∂C/∂a off.": a[L, j] * slope(j),
            "The first part has the factor [k = j] and keeps one term; you kept all. kronecker(k, j) is missing.": (
                total(slope(k) * a[L, k] * (1 - a[L, j]), k)
            ),
            "The sum adds up ∂a_k/∂z_j over k, but ∂C/∂a^L_k goes along: every term has a slope of its own.": (
                slope(j) * total(a[L, k] * (kronecker(k, j) - a[L, j]), k)
            ),
            "The indices of ∂C/∂a and of the Jacobian do not meet: the sum runs over the activations, so ∂C/∂a^L_k.": (
                slope(j) * a[L, j] - a[L, j] * total(slope(j) * a[L, k], k)
            ),
            "The sign: ∂a_k/∂z_j = a_k ([k = j] − a_j).": a[L, j] * (slope(j) + total(slope(k) * a[L, k], k)),
            "That is ∂C/∂a^L_j: as if softmax were not there.": slope(j),
            "a − y is the answer for one cost, the cross-entropy with targets that add up to 1. Here the cost is any.": (
                a[L, j] - y[j]
            ),
        },
        {
            "It is true, but a derivative is still waiting in it: put ∂a_k/∂z_j = a_k ([k = j] − a_j).": (
                lambda term: not term.has(Diff)
            )
        },
    )
    return hold_line(
        "softmax_error", line, asked, checked="Proved for softmax of any width and for every cost."
    )


# --- 3. where the targets must add up to 1 -----------------------------------------------------------


def targets(number: Any, without: Any) -> Answer:
    """Which line of p − y needs Σ_k y_k = 1, and what ∂C/∂z_j is without that fact.

    Parameters
    ----------
    number : int
        The first line is 1.
    without : term

    Examples
    --------
    >>> targets(..., ...).state.value
    'not done yet'
    """
    exercise = "targets"
    if is_stub(number) or is_stub(without):
        left = "the number of the line" if is_stub(number) else "the derivative for any targets"
        return Answer(exercise, State.NOT_DONE, f"Still missing: {left}.")
    derivation = softmax_cross_entropy.targets_that_sum_to_one
    softmax = derivation.given[:1]
    if (
        isinstance(number, bool)
        or not isinstance(number, (int, np.integer))
        or not 1 <= number <= len(derivation.steps)
    ):
        return Answer(
            exercise,
            State.WRONG,
            f"number is {number!r}; a line has a number from 1 to {len(derivation.steps)}.",
        )
    before, step = list(derivation.pairs())[int(number) - 1]
    if check_line(before, step.after, softmax).ok:
        reason = f"Line {number} holds without the fact: {text(step.after)} equals the line before for any targets."
        hint = "Run check_line on every line with given=[softmax] alone, and take the first that is wrong."
        return Answer(exercise, State.WRONG, reason, hint=hint)
    j, k, p, y = (getattr(softmax_cross_entropy, letter) for letter in "jkpy")
    asked = Asked(
        derivation.start,
        softmax,
        {
            "p − y holds only if the targets add up to 1. The line before it has not used that yet.": (
                p[j] - y[j]
            ),
            "The factor belongs to p_j alone, not to y_j.": (p[j] - y[j]) * total(y[k], k),
            "The sign is turned.": y[j] - p[j] * total(y[k], k),
            "Every class counts: p_j is multiplied by the sum of all targets.": p[j] * y[j] - y[j],
            "The sum is not a divisor here: look at the line before.": p[j] - y[j] / total(y[k], k),
        },
    )
    reason, hint = judge_line(asked, without)
    if reason:
        return Answer(exercise, State.WRONG, f"The line is right. {reason}", hint=hint)
    checked = "Proved for any number of classes and any targets, whatever they add up to."
    return Answer(exercise, State.RIGHT, checked=checked)


# --- 4. all paths ------------------------------------------------------------------------------------

_p, _q, _r = unit("p", L), unit("q", L - 1), unit("r", L - 2)
_j, _k = unit("j", L - 1), unit("k", L - 2)

paths = (
    Definition(z[L, _p], total(W[L, _p, _q] * a[L - 1, _q], _q) + b[L, _p], "the last layer"),
    Definition(a[L - 1, _q], sigma(z[L - 1, _q]), "the activation below it"),
    Definition(z[L - 1, _q], total(W[L - 1, _q, _r] * a[L - 2, _r], _r) + b[L - 1, _q], "the layer below"),
    Definition(delta[L, _p], C.partial(_p, of=z[L, _p], over=_p), "BP1"),
)
"""What exercise 4 may use: the last two layers."""


def all_paths(line: Any) -> Answer:
    """∂C/∂W^{L−1}_{jk} by δ^L: all the ways from a weight one layer below the output to the cost.

    Examples
    --------
    >>> p, j, k = unit("p", L), unit("j", L - 1), unit("k", L - 2)
    >>> all_paths(total(delta[L, p] * W[L, p, j], p) * sigma.prime(z[L - 1, j]) * a[L - 2, k]).ok
    True
    """
    p, j, k = _p, _j, _k
    rest = sigma.prime(z[L - 1, j]) * a[L - 2, k]
    asked = Asked(
        total(delta[L, p] * Diff(z[L, p], W[L - 1, j, k]), p),
        paths[:3],
        {
            "That is one path, through one unit p. The paths add up: put total(…, p) around it.": (
                delta[L, p] * W[L, p, j] * rest
            ),
            "That is one path: from unit j to unit j. It goes on to every unit p of layer L: sum over p.": (
                delta[L, j] * W[L, j, j] * rest
            ),
            "That is the path through unit 1 of layer L alone. Sum over p.": delta[L, 1] * W[L, 1, j] * rest,
            "The activation's slope is missing: between z^{L−1}_j and a^{L−1}_j lies σ.": (
                total(delta[L, p] * W[L, p, j], p) * a[L - 2, k]
            ),
            "W^L is used as in the forward direction. A path from j up to p has the weight W^L_{pj}: to p, from j.": (
                total(delta[L, p] * W[L, j, p], p) * rest
            ),
            "The last factor ∂z/∂w is missing: z^{L−1}_j holds W^{L−1}_{jk} a^{L−2}_k.": (
                total(delta[L, p] * W[L, p, j], p) * sigma.prime(z[L - 1, j])
            ),
            "That is an activation of layer L−1. What meets W^{L−1}_{jk} is the input of its layer, a^{L−2}_k.": (
                total(delta[L, p] * W[L, p, j], p) * sigma.prime(z[L - 1, j]) * a[L - 1, k],
                total(delta[L, p] * W[L, p, j], p) * sigma.prime(z[L - 1, j]) * a[L - 1, j],
            ),
            "The weights on the way up are missing: W^L_{pj}.": total(delta[L, p], p) * rest,
            "That is the gradient of a weight of the last layer. This one lies a layer below.": (
                delta[L, j] * a[L - 1, k]
            ),
        },
    )
    return hold_line(
        "all_paths",
        line,
        asked,
        checked="Proved for every width: one term for each unit of layer L, as many as there are paths.",
    )


# --- 5. a proof with blanks --------------------------------------------------------------------------


def weight_proof(lines: Any) -> Answer:
    """Three lines of BP4, after Σ_i ∂C/∂z^l_i ∂z^l_i/∂W^l_{jk}: each is checked on its own.

    Examples
    --------
    >>> weight_proof([..., ..., ...]).state.value
    'not done yet'
    """
    exercise = "weight_proof"
    derivation = bp4_weight_gradient.weight_gradient
    if is_stub(lines):
        return not_done(exercise)
    if not isinstance(lines, (list, tuple)) or len(lines) != len(PROOF):
        return Answer(exercise, State.WRONG, f"A list of {len(PROOF)} lines is needed.")
    befores = [before for before, _ in derivation.pairs()][1:]
    states, told, hints = [], [], []
    for number, (line, before, form) in enumerate(zip(lines, befores, PROOF, strict=True), start=2):
        state, reason, hint = _judged(Asked(before, derivation.given, *form), line)
        states.append(state)
        told.append(f"Line {number}: {reason}")
        hints += [f"(line {number}) {hint}"] if hint else []
    if set(states) == {State.NOT_DONE}:
        return not_done(exercise)
    for state in (State.WRONG, State.NOT_DONE):
        if state in states:
            return Answer(exercise, state, " ".join(told), hint=" ".join(hints))
    return Answer(exercise, State.RIGHT, checked="Three lines proved, for every width, cost and layer.")


def _judged(asked: Asked, line: Any) -> tuple[State, str, str]:
    """How far one line of several is, what is told of it, and a hint."""
    if is_stub(line):
        return State.NOT_DONE, "not done yet.", ""
    reason, hint = judge_line(asked, line)
    return (State.WRONG, reason, hint) if reason else (State.RIGHT, "right.", "")


def _proof() -> tuple[tuple[Mapping[str, Any], Demands], ...]:
    j, i, k, m = (getattr(bp4_weight_gradient, letter) for letter in "jikm")
    weight = W[l, j, k]
    named = {
        "It is true, but ∂C/∂z^l_i still stands there by its long name: call it delta[l, i].": (
            lambda term: not term.has(VectorValue)
        )
    }
    summed = {
        "It is true, but sums or brackets are left: of each sum one term stays.": (
            lambda term: not term.has(sympy.Sum, sympy.KroneckerDelta)
        )
    }
    first = {
        "That is one term, for one unit i. Keep the sum: put total(…, i) around it.": (
            delta[l, i] * Diff(z[l, i], weight)
        ),
        "δ^l_i is ∂C/∂z^l_i. What is left is ∂z^l_i/∂W^l_{jk}.": (
            total(delta[l, i] * Diff(a[l, i], weight), i)
        ),
    }
    second = {
        "Both brackets are missing: of all weights in z^l_i only one can be W^l_{jk}, where i = j and m = k.": (
            total(delta[l, i] * total(a[l - 1, m], m), i)
        ),
        "[m = k] is missing: in z^l_j only the term with the weight from unit k moves.": (
            total(delta[l, i] * kronecker(i, j) * total(a[l - 1, m], m), i)
        ),
        "[i = j] is missing: W^l_{jk} leads into unit j alone, so only z^l_j moves.": (
            total(delta[l, i] * total(kronecker(m, k) * a[l - 1, m], m), i),
            total(delta[l, i] * a[l - 1, k], i),
        ),
        "The derivative of W a by W is a, not W.": total(delta[l, i] * kronecker(i, j) * W[l, i, k], i),
        "The weight's factor is the activation below, a^{l−1}, not a^l.": delta[l, j] * a[l, k],
    }
    last = {
        "The two indices are swapped: δ at the weight's end (j), a at its start (k).": (
            delta[l, k] * a[l - 1, j]
        ),
        "The activation is that of the layer below: a[l - 1, k].": delta[l, j] * a[l, k],
        "The activation is missing: z holds W times a.": delta[l, j],
        "z in the place of a: what meets the weight is the activation.": delta[l, j] * z[l - 1, k],
        "A sum over all inputs is left: only the input k meets W^l_{jk}.": (
            delta[l, j] * total(a[l - 1, m], m)
        ),
    }
    return (first, named), (second, DIFFERENTIATED), (last, {**DIFFERENTIATED, **summed})


PROOF = _proof()
"""For each blank of the proof: the commonest slips, and what form a true line must have."""


# --- from the equations to the code ------------------------------------------------------------------

LAYER = 3
"""The layer at which the formulas are evaluated: any from 2 on would do, so that l − 1 exists."""


@dataclass(frozen=True)
class _Implemented:
    """An equation, the function that computes it, and the function's arguments as formulas."""

    name: str
    derivation: Derivation
    function: Callable[..., Any]
    result: Any
    indices: tuple[Index, ...]
    arguments: tuple[tuple[Any, tuple[Index, ...]], ...]
    rows: tuple[bool, ...]  # which arguments hold one row for each example


def _implemented() -> tuple[_Implemented, ...]:
    one, two, three, four = bp1_output_error, bp2_hidden_error, bp3_bias_gradient, bp4_weight_gradient
    return (
        _Implemented(
            "BP1", one.elementwise, equations.bp1_output_error, delta[L, one.j], (one.j,),
            ((slope(one.j), (one.j,)), (sigma.prime(z[L, one.j]), (one.j,))), (True, True),
        ),
        _Implemented(
            "BP2", two.hidden_error, equations.bp2_hidden_error, delta[l, two.j], (two.j,),
            (
                (W[l + 1, two.k, two.j], (two.k, two.j)),
                (delta[l + 1, two.k], (two.k,)),
                (sigma.prime(z[l, two.j]), (two.j,)),
            ),
            (False, True, True),
        ),
        _Implemented(
            "BP3", three.bias_gradient, equations.bp3_bias_gradient, three.bias_gradient.start, (three.j,),
            ((delta[l, three.j], (three.j,)),), (True,),
        ),
        _Implemented(
            "BP4", four.weight_gradient, equations.bp4_weight_gradient, four.weight_gradient.start, (four.j, four.k),
            ((delta[l, four.j], (four.j,)), (a[l - 1, four.k], (four.k,))), (True, True),
        ),
    )  # fmt: skip


def _numbers(derivation: Derivation, widths: Mapping[int, int], term: Any, indices: Sequence[Index]) -> Ball:
    """A formula as an array at random numbers: of 60 digits, rounded to float64."""
    layers = {L: LAYER, l: LAYER}
    world = World(
        {}, layers, {("n", number): width for number, width in widths.items()}, SEED, derivation.given
    )
    reading = Reading(world, Digits())
    shape = [len(world.range_of(index, {})) for index in indices]
    values = np.array([float(reading.value(term, at)) for at in points(indices, world)]).reshape(shape)
    return exact(values).widened(UNIT_ROUNDOFF * abs(values))


def _body(function: Callable[..., Any]) -> str:
    """The lines of a function below its docstring, without comments."""
    (tree_of,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree_of, ast.FunctionDef)
    return "\n".join(ast.unparse(statement) for statement in tree_of.body[1:])


def side_by_side() -> Shown:
    """The last line of each derivation and the function that computes it, both evaluated at the same numbers.

    Examples
    --------
    >>> print(side_by_side())  # doctest: +ELLIPSIS
    BP1: δ^L_j = ∂C/∂a^L_j σ'(z^L_j)
    ...
    """
    widths = dict(zip((LAYER - 1, LAYER, LAYER + 1), draw_widths(_rng(), 3)[0], strict=True))
    rows, lines = [], []
    for it in _implemented():
        right = _numbers(it.derivation, widths, it.derivation.result, it.indices)
        given = [
            # one example is a batch of one row
            ball[None] if row else ball
            for (term, indices), row in zip(it.arguments, it.rows, strict=True)
            for ball in [_numbers(it.derivation, widths, term, indices)]
        ]
        computed = it.function(*given)
        computed = computed[0] if computed.ndim > right.ndim else computed
        off = float(np.max(abs(computed.mid - right.mid)))
        allowed = float(np.max(computed.rad + right.rad))
        if not off <= allowed:
            raise AssertionError(
                f"{it.function.__name__} is off by {off:.1e} from {text(it.derivation.result)}."
            )
        body = _body(it.function)
        size = " × ".join(map(str, right.mid.shape))
        numbers = f"{off:.0e}" if off else "0"
        verdict = f"{size} numbers; the largest difference is {numbers}, rounding allows {allowed:.0e}"
        line = formula(it.derivation.result, lead=mathml(it.result) + "<mo>=</mo>")
        code = (
            f'<div style="font-family:ui-monospace,monospace;font-size:.9em;white-space:pre-wrap">{escape(body)}</div>'
            f'<div style="color:{SOFT}">{it.function.__name__}; {verdict}</div>'
        )
        rows.append([f"<b>{it.name}</b>", line, code])
        title = f"{it.name}: {text(it.result)} = {text(it.derivation.result)}"
        lines.append(f"{title}\n{textwrap.indent(body, '     ')}\n     {verdict}")
    head = ["", "last line of the derivation", "the code, and both at the same random numbers"]
    return Shown(table(rows, head), "\n".join(lines))


# --- 6. a kink -----------------------------------------------------------------------------------------

SLOPES = (0.0, 0.5, 1.0, 2.0)
"""What a backward pass may take for ReLU'(0)."""

CORNER = np.array([0.0, 0.75])
"""Pre-activations of two ReLU units, one on the kink and one beside it."""

DESIRED = np.array([-1.0, 0.25])
"""Targets: neither unit is where it should be, so that both slopes matter."""


@cache
def kink_verdict(at_zero: float) -> str:
    """What ``check_gradient`` says of δ = (a − y) ⊙ ReLU'(z) with ReLU'(0) = at_zero, on the kink.

    Examples
    --------
    >>> kink_verdict(1.0)
    'AGREES_AT_KINK'
    """

    def cost(z: FloatArray) -> float:
        return float(0.5 * np.sum((np.maximum(z, 0.0) - DESIRED) ** 2))

    def gradient(z: FloatArray) -> FloatArray:
        slopes = np.where(z == 0, at_zero, np.where(z > 0, 1.0, 0.0))
        return np.asarray((np.maximum(z, 0.0) - DESIRED) * slopes)

    return check_gradient(cost, gradient, CORNER, seed=SEED).verdict.name


def slope_at_kink(accepted: Any) -> Answer:
    """A dict with True or False for each choice of ReLU'(0): whether bpcheck accepts it.

    Examples
    --------
    >>> slope_at_kink({0.0: True}).state.value
    'not done yet'
    """
    return hold_predictions(
        "slope_at_kink",
        accepted,
        SLOPES,
        _kink_is_accepted,
        key="slope",
        hint="To the left of 0 the slope is 0, to the right it is 1. No number between them is better than another.",
        checked="check_gradient was asked about each of them, with a unit exactly on its kink.",
    )


def _kink_is_accepted(at_zero: float) -> tuple[bool, str]:
    verdict = kink_verdict(at_zero)
    return verdict.startswith("AGREES"), f"ReLU'(0) = {at_zero}: bpcheck says {verdict}."


# --- 7. four lines of code -----------------------------------------------------------------------------


def four_lines(bp1: Any, bp2: Any, bp3: Any, bp4: Any) -> Answer:
    """The four equations for a batch in rows.

    ``bp1(cost_gradient, derivative)``, ``bp2(weight, delta, derivative)``, ``bp3(delta)``,
    ``bp4(delta, previous)``.

    Examples
    --------
    >>> four_lines(
    ...     lambda g, s: g * s, lambda W, d, s: d @ W * s, lambda d: d.sum(axis=0), lambda d, a: d.T @ a
    ... ).ok
    True
    """
    exercise = "four_lines"
    functions = {"bp1": bp1, "bp2": bp2, "bp3": bp3, "bp4": bp4}
    stubs = [name for name, function in functions.items() if is_stub(function)]
    if stubs:
        return Answer(exercise, State.NOT_DONE, f"Still to be written: {', '.join(stubs)}.")
    rng = _rng()
    trials: dict[str, list[Trial]] = {name: [] for name in functions}
    for _ in range(TRIALS):
        (below, here, above), m = draw_widths(rng, 3)
        weight, delta_above, slopes, delta_here, previous = (
            rng.uniform(-1.0, 1.0, shape)
            for shape in ((above, here), (m, above), (m, here), (m, here), (m, below))
        )
        about = f"for a batch of {m} and layers of {below}, {here} and {above} units"
        asked = {
            "bp1": (equations.bp1_output_error, (delta_here, slopes), "δ^L"),
            "bp2": (equations.bp2_hidden_error, (weight, delta_above, slopes), "δ^l"),
            "bp3": (equations.bp3_bias_gradient, (delta_here,), "∂C/∂b"),
            "bp4": (equations.bp4_weight_gradient, (delta_here, previous), "∂C/∂W"),
        }
        for name, (function, arguments, what) in asked.items():
            right = function(*map(exact, arguments))  # type: ignore[operator]
            trials[name].append(Trial.enclosed(f"in {name} {about}", arguments, right, (what,)))
    for name, function in functions.items():
        answer = hold(
            exercise,
            function,
            trials[name],
            FOUR_LINES[name],
            checked=f"{TRIALS} random batches for each equation.",
        )
        if not answer.ok:
            return answer if name in answer.reason else replace(answer, reason=f"{name}: {answer.reason}")
    return answer


FOUR_LINES: Mapping[str, Mistakes] = {
    "bp1": {
        "A matrix product adds up over something. ⊙ multiplies entry by entry: *.": lambda g, s: g @ s.T,
        "σ' is missing: δ^L is ∂C/∂a ⊙ σ'(z).": lambda g, s: g,
        "You summed over the batch. Every example has a δ of its own; sums come in BP3 and BP4.": (
            lambda g, s: (g * s).sum(axis=0)
        ),
        "You added up over the units: ⊙ keeps them apart.": lambda g, s: (g * s).sum(axis=1),
    },
    "bp2": {
        "σ' is missing: the error that comes down is multiplied by σ'(z^l), entry by entry.": (
            lambda W, d, s: d @ W
        ),
        "W.T is one transpose too many. The rows of a batch are transposed already: (Wᵀ δ)ᵀ is δ @ W in rows.": (
            lambda W, d, s: d @ W.T * s
        ),
        "Wᵀ δ is meant for one example as a column. For a batch in rows it is δ @ W.": (
            lambda W, d, s: W.T @ d * s
        ),
        "Rows and columns: you hold the batch in columns. Here one example is one row.": (
            lambda W, d, s: W.T @ d.T * s.T
        ),
        "Forwards it is W, backwards it is transposed. In rows: δ @ W.": lambda W, d, s: W @ d * s,
        "* binds like @, from left to right: d @ (W * s) is something else. Multiply by σ' last.": (
            lambda W, d, s: d @ (W * s)
        ),
        "σ' multiplies the result, not the error above: (δ @ W) * σ'(z^l).": lambda W, d, s: (d * s) @ W,
        "You summed over the batch. Every example has a δ of its own; sums come in BP3 and BP4.": (
            lambda W, d, s: (d @ W * s).sum(axis=0)
        ),
        "You averaged over the batch. Every example has a δ of its own.": lambda W, d, s: d @ W * s / len(d),
    },
    "bp3": {
        "One b serves all examples: add up over the batch, axis 0.": lambda d: d,
        "You added up over the units. One b_j has an entry for each unit; add up over the batch, axis 0.": (
            lambda d: d.sum(axis=1)
        ),
        "You divided by m. Where C is a mean, δ holds the 1/m already: add up.": lambda d: d.mean(axis=0),
        "b is a vector (out,): no row or column is needed.": lambda d: d.sum(axis=0, keepdims=True),
        "A sum without an axis adds up everything. Each b_j has its own: axis=0.": lambda d: d.sum(),
        "That is one example's δ. All examples count: add up over axis 0.": lambda d: d[0],
    },
    "bp4": {
        "The gradient has the shape of W, (out, in). You have its transpose: δᵀ stands on the left.": (
            lambda d, a: a.T @ d
        ),
        "δ @ a.T adds up over the units and leaves the examples, and its shapes do not meet. One example gives a column "
        "times a row; for rows, δ.T @ a adds these up over the batch.": lambda d, a: d @ a.T,
        "You divided by m. Where C is a mean, δ holds the 1/m already: add up.": (
            lambda d, a: d.T @ a / len(d)
        ),
        "There is one matrix for each example. One W serves all of them: add up over the batch.": (
            lambda d, a: d[:, :, None] * a[:, None, :]
        ),
        "You added up over the batch before you multiplied. Each example's δ meets its own a.": (
            lambda d, a: np.outer(d.sum(axis=0), a.sum(axis=0))
        ),
        "d @ a: the shapes do not meet. δ.T @ a adds up over the batch.": lambda d, a: d @ a,
        "That is one example's product. All examples count: δ.T @ a.": lambda d, a: np.outer(d[0], a[0]),
    },
}


# --- 8. the whole backward pass ------------------------------------------------------------------------

DEPTHS = ((3, 2), (2, 4, 3), (4, 3, 5, 2))
"""Widths: without a hidden layer, with one, with two."""

CASES = 30
"""Random cases for ``compare``; with ten for each depth every mistake in the tests shows."""


def backward(function: Any) -> Answer:
    """``backward(params, x, y)`` → ``(loss, gradients)``: tanh hidden layers, linear output, mean of ½‖a − y‖².

    Examples
    --------
    >>> backward(...).state.value
    'not done yet'
    """
    exercise = "backward"
    refused = unusable(exercise, function)
    if refused is not None:
        return refused
    rng = _rng()
    for layers in (2, 3, 4):
        case = draw_case(rng, layers, activation="tanh", output="identity", loss="half_mse")
        outcome = call(function, (tree.copy(case.params), np.array(case.x), np.array(case.y)))
        widths = list(dense_chain(case.architecture).widths)
        refused = outcome.refusal(exercise, f"for widths {widths} and a batch of {case.batch}")
        if refused is not None:
            hint = "Backpropagation changes nothing; the optimiser does."
            return replace(refused, hint=hint) if outcome.changed else refused
    architectures = [mlp(widths, activation="tanh", output="identity", loss="half_mse") for widths in DEPTHS]
    return compared(exercise, function, architectures, of="cases of two to four layers", examples=CASES)
