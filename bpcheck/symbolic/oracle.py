"""The testimony: differentiate the cost of one small network plainly, evaluate it beyond rounding."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from mpmath import libmp

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.result import Testimony
from bpcheck.symbolic import ball
from bpcheck.symbolic.algebra import choose, named
from bpcheck.symbolic.ball import Ball
from bpcheck.symbolic.formula import build, formulas
from bpcheck.symbolic.program import AtKink, Program, Run, compile_expressions
from bpcheck.symbolic.size import refuse_much_work

__all__ = ["testify"]

# Where the float64 result is rounded correctly anyway: 2^-60 is 1/64 of half an ulp.
RELATIVE_BITS = 60

# Half the smallest positive double is 2^-1075; 60 bits below it, a value is 0 for every float64 purpose.
FLOOR = -1075 - RELATIVE_BITS

# 1 − σ(z) in binary cross-entropy is the greediest formula: it takes 1.44 |z| bits, so 2^15 reach
# |z| ≈ 20 000. A whole round of doublings from 200 bits up takes about 0.2 s for 1-2-1 (measured).
MAX_PRECISION = 1 << 15

# The longest float (x86's longdouble) has 64 bits; with fewer, nothing would be exact from the start.
MIN_PRECISION = 64

# A property test looks at one architecture many times while it shrinks. The largest program allowed
# (8-8-8-4 with softmax, 58 000 steps) takes 12 MB.
PROGRAMS_KEPT = 16


@lru_cache(maxsize=PROGRAMS_KEPT)
def _compiled(
    architecture: Architecture, batch: int, engine: str
) -> tuple[Program, dict[tree.Path, tuple[int, ...]]]:
    """Cost and gradient at a batch size, ready for numbers, and the shapes of the parameters."""
    algebra = named(engine)
    formula = build(architecture, batch, algebra)
    leaves = dict(tree.leaves(formula.params))
    symbols = [symbol for leaf in leaves.values() for symbol in leaf.flat]
    derivatives = [algebra.diff(formula.expression, symbol) for symbol in symbols]
    inputs = [*symbols, *formula.x.flat, *formula.y.flat]
    program = compile_expressions([formula.expression, *derivatives], inputs, algebra.places)
    return program, {path: leaf.shape for path, leaf in leaves.items()}


def testify(  # a witness's word, not a test
    case: Case,
    *,
    engine: str | None = None,  # noqa: PT028
    precision: int = 200,  # noqa: PT028
) -> Testimony:
    """Loss and gradient by differentiating the cost as a formula, rounded to float64 once at the end.

    No rule of backpropagation is used: the cost of the batch is written down, SymPy or symengine
    differentiates it with respect to every parameter, and the formulas are evaluated in balls at
    ``precision`` bits, at more where cancellation asks for it, until each value is known to 2^-60 of
    itself (or 2^-1135, which float64 cannot tell from 0).

    Parameters
    ----------
    case : Case
        A small network; see Raises.
    engine : {"symengine", "sympy"} or None
        What differentiates; None takes symengine where it is installed, which is far faster.
    precision : int
        Bits to begin with, at least 64.

    Returns
    -------
    Testimony
        ``error`` is a rigorous bound, about half an ulp of the float64 value, 0 where that is exact.

    Raises
    ------
    InputError
        If a derivative does not exist (relu or leaky_relu at exactly z = 0, an l1 penalty at a weight
        of 0), the network is too large, the cost overflows float64, or symengine is missing.

    Examples
    --------
    >>> from bpcheck import Case, mlp
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], x=[[3.0]], y=[[5.0]])
    >>> testimony = testify(case)
    >>> testimony.loss
    2.0
    >>> {str(path): value.tolist() for path, value in testimony.gradient.items()}
    {"params[0]['weight']": [[6.0]], "params[0]['bias']": [2.0]}
    """
    if not isinstance(case, Case):
        raise InputError(
            f"case is {tree.describe(case)}; make one with bpcheck.Case(architecture, params, x, y)."
        )
    if (
        isinstance(precision, bool)
        or not isinstance(precision, int)
        or not MIN_PRECISION <= precision <= MAX_PRECISION
    ):
        raise InputError(
            f"precision is {precision!r}; give bits between {MIN_PRECISION} and {MAX_PRECISION}."
        )
    name = choose(engine)
    refuse_much_work(case.architecture, case.batch, name)
    program, shapes = _compiled(case.architecture, case.batch, name)
    arrays = [leaf for _, leaf in tree.leaves(case.params)]
    inputs = [_exactly(value) for array in (*arrays, case.x, case.y) for value in array.flat]
    loss, *slopes = _evaluate(program, inputs, precision)
    value, error = _to_float(loss, "the cost")
    gradient, errors = {}, {}
    for path, shape in shapes.items():
        count = int(np.prod(shape))
        here, slopes = slopes[:count], slopes[count:]
        pairs = np.array([_to_float(slope, f"the gradient of {path}") for slope in here])
        gradient[path] = tree.freeze(pairs[:, 0].reshape(shape))
        errors[path] = tree.freeze(pairs[:, 1].reshape(shape))
    return Testimony("symbolic", value, error, gradient, errors)


def _exactly(value: Any) -> Ball:
    """A float of any width as it is, without rounding."""
    numerator, denominator = value.as_integer_ratio()
    return ball.from_ratio(int(numerator), int(denominator), MIN_PRECISION)


def _is_sharp(value: Ball) -> bool:
    """Whether the float64 nearest to a ball is settled."""
    error, size = value[1], ball.magnitude(value)
    return error is ball.EXACT or error <= FLOOR or (size is not None and error <= size - 1 - RELATIVE_BITS)


def _evaluate(program: Program, inputs: list[Ball], precision: int) -> list[Ball]:
    """Outputs that are sharp; precision is doubled until they are."""
    while True:
        run = Run(precision, formulas())
        try:
            outputs = run(program, inputs)
        except AtKink as kink:
            raise InputError(_kink_message(str(kink), "is exactly at its kink")) from None
        if all(_is_sharp(output) for output in outputs):
            return outputs
        if 2 * precision > MAX_PRECISION:
            break
        precision *= 2
    if run.undecided:
        message = f"cannot be told apart from its kink with {precision} bits"
        raise InputError(_kink_message(run.undecided[0], message))
    raise InputError(
        f"the cost or its gradient cancels so far that {precision} bits do not settle it (units saturated "
        "beyond |z| of some ten thousand). Use smaller parameters or inputs, or take the analytic witness, "
        "bpcheck.reference."
    )


def _kink_message(place: str, what: str) -> str:
    return (
        f"{place}: it {what}, where the derivative does not exist. Move the point, or take a witness that "
        "answers with an interval there: the analytic (bpcheck.reference) or the numeric one (bpcheck.numeric)."
    )


def _to_float(value: Ball, what: str) -> tuple[float, float]:
    """The nearest double and a bound on its distance from the real value."""
    mid, radius = value
    try:
        nearest = libmp.to_float(mid, strict=True, rnd=libmp.round_nearest)
    except OverflowError:
        raise InputError(
            f"{what} is beyond the range of float64; use smaller parameters, inputs or targets."
        ) from None
    # + 0.0 below turns −0.0 into 0.0
    error = libmp.mpf_abs(libmp.mpf_sub(mid, libmp.from_float(nearest)))
    if radius is not ball.EXACT:
        error = libmp.mpf_add(error, libmp.from_man_exp(1, radius), 53, libmp.round_up)
    if not error[1]:
        return nearest + 0.0, 0.0
    # to_float may round down: one step up, and never to 0
    return nearest + 0.0, float(np.nextafter(libmp.to_float(error, rnd=libmp.round_up), np.inf))


testify.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test by its name
