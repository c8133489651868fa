"""The derivative at one wrong entry as a formula: the cost written out and differentiated by SymPy."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.network.case import Case
from bpcheck.network.names import places
from bpcheck.report.page.layers.kinds import weights_of
from bpcheck.report.page.wrong import wrong_entries
from bpcheck.report.text import indexed
from bpcheck.result import Comparison, Report
from bpcheck.symbolic import SymbolicCost, cost
from bpcheck.symbolic.size import ways

__all__ = ["Formula", "wrong_comparison", "wrong_formula"]

MOST_PATHS = 60
"""Ways from an input to an output, times examples, up to which a cost is written out for a page: 2-3-2 with five
examples (60) takes 0.2 s on a small server. Longer formulas nobody reads."""

LINE = 160
"""Characters that a reader takes in at once; a longer formula is given in steps t1, t2, …"""

LARGEST_DENOMINATOR = 10_000
"""Of a fraction that is left as it is: a penalty of 0.1 is 3602879701896397/36028797018963968 exactly."""

MOST_STEPS = 14
"""Steps that fit a screen."""

DIGITS = 30
"""Of the evaluation: twice those of a double, so that cancellation leaves enough of them."""


@dataclass(frozen=True)
class Formula:
    """A derivative, written out."""

    entry: str  # as the caller writes it, ``params[0]['weight'][0, 0]``
    lines: tuple[tuple[str, str], ...]  # name and expression; the last one is the derivative
    mathml: tuple[str, ...]  # the same lines as MathML
    value: float | None  # of the derivative at the case
    note: str  # what the formula leaves out; empty if nothing
    symbols: tuple[str, ...]  # what the symbols of weights mean, one for each kind of layer


def wrong_comparison(report: Report) -> Comparison | None:
    """The tensor whose worst entry stands for the mistake: the one that the diagnosis names, or the first wrong one.

    Examples
    --------
    >>> from bpcheck import Verdict
    >>> wrong_comparison(Report("f", Verdict.AGREES)) is None
    True
    """
    wrong = [c for c in report.comparisons if c.path != "loss" and wrong_entries(c).any()]
    path = report.diagnoses[0].path if report.diagnoses else None
    return next((c for c in wrong if c.path == path), next(iter(wrong), None))


def wrong_formula(report: Report) -> Formula | None:
    """The right derivative at one wrong entry; None without a network or mistake, or if it would fill a book.

    Examples
    --------
    >>> import numpy as np
    >>> from bpcheck import Verdict, mlp
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    >>> wrong = Comparison(
    ...     "params[0]['bias']", Verdict.DISAGREES, actual=np.zeros(1), expected=np.full(1, 2.0), bound=np.zeros(1),
    ...     worst_index=(0,),
    ... )
    >>> found = wrong_formula(Report("f", Verdict.DISAGREES, (wrong,), counterexample=case))
    >>> found.lines, found.value
    ((('∂C/∂b2_1', 'W2_1_1*x_1_1 + b2_1 - y_1_1'),), 2.0)
    """
    case, comparison = report.counterexample, wrong_comparison(report)
    if case is None or comparison is None:
        return None
    found = _written(case, comparison, "")
    if found is None and case.batch > 1:
        found = _single(case, comparison)
    return found


def _single(case: Case, comparison: Comparison) -> Formula | None:
    """The share of the first example, where all of them together would be too long."""
    unpenalised = replace(case.architecture, l1=0.0, l2=0.0)
    one = Case(unpenalised, case.params, case.x[:1], case.y[:1])
    penalty = ", and the penalty comes on top" if case.architecture.l1 or case.architecture.l2 else ""
    how = "mean" if case.architecture.reduction == "mean" else "sum"
    return _written(
        one,
        comparison,
        f"This is the share of the first example alone; the entry is the {how} of such shares over all "
        f"{case.batch} examples{penalty}.",
    )


def _written(case: Case, comparison: Comparison, note: str) -> Formula | None:
    import sympy

    written, ours = _short_cost(case), comparison.in_our_layout
    if written is None:
        return None
    symbols = {str(path): leaf for path, leaf in tree.leaves(written.params)}.get(ours.path)
    if symbols is None:
        return None
    symbol = symbols[ours.worst_index]
    expression = sympy.factor_terms(sympy.diff(written.expression, symbol))
    lines = _in_lines(f"∂C/∂{symbol}", expression)
    if lines is None:
        return None
    meanings = dict.fromkeys(weights_of(place.layer) for place in places(case.architecture))
    return Formula(
        comparison.path + indexed(comparison.worst_index),
        tuple((name, str(part)) for name, part in lines),
        tuple(_mathml(name, part) for name, part in lines),
        _value(expression, _numbers(written, case)),
        note,
        tuple(filter(None, meanings)),
    )


def _short_cost(case: Case) -> SymbolicCost | None:
    """The cost as a formula; None if it would be too long, or a layer has no formula."""
    try:
        short = ways(case.architecture, case.batch) <= MOST_PATHS
        return cost(case.architecture, case.batch) if short else None
    except InputError:
        return None


def _numbers(written: SymbolicCost, case: Case) -> dict[Any, float]:
    """The number of every symbol at a case."""
    leaves = zip(tree.leaves(written.params), tree.leaves(case.params), strict=True)
    pairs = [(symbols, numbers) for (_, symbols), (_, numbers) in leaves]
    pairs += [(written.x, case.x), (written.y, case.y)]
    values: dict[Any, float] = {}
    for symbols, numbers in pairs:
        values.update(zip(symbols.flat, map(float, numbers.flat), strict=True))
    return values


def _in_lines(name: str, expression: Any) -> list[tuple[str, Any]] | None:
    """The formula in lines that can be read, the last one being the derivative; None if it would fill a book."""
    import sympy

    long = {number for number in expression.atoms(sympy.Rational) if number.q > LARGEST_DENOMINATOR}
    readable = expression.xreplace({number: sympy.Symbol(repr(float(number))) for number in long})
    parts: list[tuple[Any, Any]] = []
    if len(str(readable)) > LINE:
        parts, (readable,) = sympy.cse(readable, symbols=sympy.numbered_symbols("t", start=1))
    lines = [*((str(part), value) for part, value in parts), (name, readable)]
    fits = len(parts) <= MOST_STEPS and all(len(str(value)) <= LINE for _, value in lines)
    return lines if fits else None


def _value(expression: Any, values: Any) -> float | None:
    # not evalf(): it walks the formula as a tree and takes seconds where this takes milliseconds
    import mpmath
    import sympy

    modules: list[Any] = [{"Heaviside": _heaviside}, "mpmath"]
    evaluate = sympy.lambdify(list(values), expression, modules, cse=True)
    try:
        with mpmath.workdps(DIGITS):
            return float(evaluate(*map(mpmath.mpf, values.values())))
    except (ArithmeticError, TypeError, ValueError):  # at a kink, or out of range
        return None


def _heaviside(z: Any, _at_zero: Any = None) -> int:
    if z == 0:
        raise ValueError("at a kink there is no derivative")
    return int(z > 0)


def _mathml(name: str, expression: Any) -> str:
    """An equation as MathML, with W2_1_1 as W² with the indices 1 1."""
    import sympy
    from sympy.printing.mathml import mathml

    renamed = {symbol: sympy.Symbol(_indexed(str(symbol))) for symbol in expression.free_symbols}
    right = mathml(expression.xreplace(renamed), printer="presentation").replace("<mo>-</mo>", "<mo>−</mo>")
    if name.startswith("∂C/∂"):
        below = mathml(sympy.Symbol(_indexed(name[4:])), printer="presentation")
        left = f"<mfrac><mrow><mo>∂</mo><mi>C</mi></mrow><mrow><mo>∂</mo>{below}</mrow></mfrac>"
    else:
        left = mathml(sympy.Symbol(name), printer="presentation")
    return f'<math display="block"><mrow>{left}<mo>=</mo>{right}</mrow></math>'


def _indexed(name: str) -> str:
    """SymPy writes ``W__2_1 1`` with 2 above and 1 1 below."""
    found = re.fullmatch(r"([Wb])([\d.]+)_(.+)", name)
    return f"{found[1]}__{found[2]}_{found[3]}" if found else name
