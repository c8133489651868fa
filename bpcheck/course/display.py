"""Derivations, lines and formulas as a notebook shows them: MathML, which needs no script and no network.

Colours and backgrounds are written at every element: a notebook's own table style, light or dark, would
otherwise shine through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import sympy

from bpcheck.course.prose import prose
from bpcheck.errors import InputError
from bpcheck.symbolic.index import Definition, Derivation, Line, Proof, TotalIs, mathml, text
from bpcheck.symbolic.index.document import ranges
from bpcheck.symbolic.index.interpret import symbols_of

__all__ = ["Shown", "counterexample", "formula", "show", "table"]

INK, SOFT, BLUE, RIGHT = "#1f1f1f", "#595959", "#0060a8", "#1a6b35"
WRONG, AMBER, LINE = "#a1260d", "#7a4b00", "#d8d8d4"
"""Every one has a contrast of more than 4.5 to 1 on white (WCAG 2.2, 1.4.3), but for the last: it draws lines."""

CHECKS = (
    (
        "all sizes",
        "rewritten to a canonical form that decides equality, with symbols for all sizes and functions",
    ),
    ("exact", "small instances of unequal sizes in plain SymPy, with exact fractions"),
    ("60 digits", "numbers of 60 digits with other unknown functions"),
)


@dataclass(frozen=True)
class Shown:
    """Something that a notebook shows as HTML and a terminal as text.

    Examples
    --------
    >>> Shown("<b>2</b>", "2")
    2
    """

    html: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return (
            f'<div style="background:#fff;color:{INK};padding:.7em .9em;border:1px solid {LINE};border-radius:4px;'
            f'font:14.5px/1.5 system-ui,sans-serif;overflow-x:auto">{self.html}</div>'
        )


def formula(term: Any, *, lead: str = "") -> str:
    """A term as MathML, with ``lead`` (MathML too) in front.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Size
    >>> formula(Size("n"))[:25]
    '<math displaystyle="true"'
    """
    return f'<math displaystyle="true" style="font-size:1.12em;color:{INK}"><mrow>{lead}{mathml(term)}</mrow></math>'


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """A plain table that looks the same in every notebook.

    Examples
    --------
    >>> table([["1"]]).count("<td")
    1
    """
    cell = (
        f"text-align:left;vertical-align:middle;padding:.35em .7em;border:0;border-top:1px solid {LINE};"
        f"background:#fff;color:{INK};white-space:normal;max-width:none;line-height:1.45"
    )
    first = (
        '<tr style="background:#fff">'
        + "".join(
            f'<th scope="col" style="{cell};border-top:0;color:{SOFT};font-weight:400;font-size:.88em">{title}</th>'
            for title in head
        )
        + "</tr>"
    )
    body = "".join(
        '<tr style="background:#fff">' + "".join(f'<td style="{cell}">{part}</td>' for part in row) + "</tr>"
        for row in rows
    )
    return (
        '<table style="border-collapse:collapse;border:0;background:#fff;margin:.4em 0;font-size:1em;table-layout:auto">'
        f"{first if head else ''}{body}</table>"
    )


def show(thing: Any) -> Shown:
    """A derivation with its checks run, the answer of ``check_line``, a formula, or a list of lines.

    Raises
    ------
    StepFails, MutantSurvives
        If a derivation does not hold; then there is nothing to show.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Diff, Index, Size, Tensor, check_line, total
    >>> n, x = Size("n"), Tensor("x")
    >>> j, k = Index("j", n), Index("k", n)
    >>> show(check_line(Diff(total(x[k] ** 2, k), x[j]), x[j]))  # doctest: +ELLIPSIS
    wrong: ∂(Σ_k x_k²)/∂x_j = x_j
      with n = 1, at j = 1: the first is ..., the second ...
    >>> show(x[j])
    x_j
    """
    if isinstance(thing, Derivation):
        return _derivation(thing)
    if isinstance(thing, Line):
        return _line(thing)
    if isinstance(thing, (Definition, TotalIs)):
        return Shown(_given(thing), " = ".join(map(text, thing.sides)))
    if isinstance(thing, sympy.Basic):
        return Shown(formula(thing), text(thing))
    if isinstance(thing, (list, tuple)) and thing and all(isinstance(term, sympy.Basic) for term in thing):
        return _lines(thing)
    raise InputError(
        f"show() takes a derivation, the answer of check_line(), a formula, or a list of formulas; "
        f"given: {thing!r}."
    )


def _lines(terms: Sequence[Any]) -> Shown:
    """A first line and what it is equal to, numbered."""
    first, *rest = terms
    rows = [["", formula(first)]]
    rows += [[str(number), formula(term, lead="<mo>=</mo>")] for number, term in enumerate(rest, start=1)]
    lines = [f"   {text(first)}", *(f"{number}  = {text(term)}" for number, term in enumerate(rest, start=1))]
    return Shown(table(rows), "\n".join(lines))


def counterexample(line: Line) -> tuple[str, str, str]:
    """Where the two sides of a wrong line differ, and both numbers; sizes by their names in the formula.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Layer, Index, Tensor, Widths, check_line, total
    >>> n, l, a = Widths("n"), Layer("l"), Tensor("a", superscripts=1)
    >>> k = Index("k", n(l + 1))
    >>> counterexample(check_line(total(a[l + 1, k], k), 0))[0]
    'n_{l+1} = 1'
    """
    found = line.counterexample
    if found is None:
        return "", "", ""
    widths = symbols_of([line.before, line.after], sympy.core.function.AppliedUndef)
    names = {str(width): text(width) for width in widths}
    # a width that only a definition names says nothing to the reader
    sizes = [
        f"{names.get(name, name)} = {value}"
        for name, value in found.sizes.items()
        if name in names or "(" not in name
    ]
    where = ", ".join(sizes)
    if found.at:
        where += (
            ("," if where else "")
            + " at "
            + ", ".join(f"{name} = {value}" for name, value in found.at.items())
        )
    return where.strip(), f"{found.before:.6g}", f"{found.after:.6g}"


def _line(line: Line) -> Shown:
    where, before, after = counterexample(line)
    if line.ok:
        sign, colour, head, rest = "✓", RIGHT, "holds", "for all sizes, functions and numbers"
        as_text = str(line)
    elif line.undecided:
        sign, colour, head = "?", AMBER, "not decided"
        rest = "it holds in every instance tried, but the calculus finds no proof"
        as_text = str(line)
    else:
        sign, colour, head = "✗", WRONG, "wrong"
        rest = f"with {where}: the first is {before}, the second {after}"
        as_text = f"wrong: {text(line.before)} = {text(line.after)}\n  {rest}"
    both = formula(line.after, lead=mathml(line.before) + "<mo>=</mo>")
    html = (
        f'<div style="color:{colour}"><strong>{sign} {head}</strong>: {prose(rest)}</div>'
        f'<div style="margin-top:.3em">{both}</div>'
    )
    return Shown(html, as_text)


def _given(fact: Definition | TotalIs) -> str:
    left, right = fact.sides
    return formula(right, lead=mathml(left) + "<mo>=</mo>")


def _tick(held: bool, what: str) -> str:
    sign, colour, word = ("✓", RIGHT, "holds") if held else ("✗", WRONG, "does not hold")
    return f'<span title="{escape(what)}" aria-label="{word}" style="color:{colour};font-weight:600">{sign}</span>'


def _derivation(derivation: Derivation) -> Shown:
    proof = derivation.check()
    parts = [f'<div style="font-weight:600;font-size:1.08em">{prose(derivation.title)}</div>']
    if derivation.about:
        parts.append(f'<div style="margin:.2em 0 .4em">{prose(derivation.about)}</div>')
    parts.append(_premises(derivation))
    start = formula(
        derivation.start, lead="" if derivation.name is None else mathml(derivation.name) + "<mo>=</mo>"
    )
    rows = [["", start, "", "", ""]]
    for number, (step, line) in enumerate(zip(derivation.steps, proof.lines, strict=True), start=1):
        held = (line.canonical, line.instances, line.digits)
        rows.append(
            [
                str(number),
                formula(step.after, lead="<mo>=</mo>")
                + f'<div style="color:{SOFT}"><span style="color:{BLUE}">{escape(step.rule)}:</span> '
                + f"{prose(step.because)}</div>",
                *(_tick(holds, what) for holds, (_, what) in zip(held, CHECKS, strict=True)),
            ]
        )
    titles = [f'<span title="{escape(what)}">{name}</span>' for name, what in CHECKS]
    parts.append(table(rows, ["", "line, rule and why", *titles]))
    parts.append(_refused(derivation, proof))
    return Shown("".join(parts), f"{derivation}\n\n{proof}")


def _premises(derivation: Derivation) -> str:
    """What is given, over what the indices run, and what is assumed."""
    equals = "<mo>=</mo>"
    spans = [
        formula(i.upper, lead=mathml(i) + equals + mathml(i.lower) + "<mo>,</mo><mo>…</mo><mo>,</mo>")
        for i in ranges(derivation)
    ]
    lines = [f"<b>Given</b> {_given(fact)} &nbsp;{prose(fact.because)}" for fact in derivation.given]
    if spans:
        lines.append(f"<b>Indices</b> {', &nbsp;'.join(spans)}")
    lines += [f'<b style="color:{AMBER}">Assumed</b> {prose(sentence)}' for sentence in derivation.assumes]
    return "".join(f'<div style="margin:.15em 0">{line}</div>' for line in lines)


def _refused(derivation: Derivation, proof: Proof) -> str:
    """The planted mistakes, folded."""
    rows = []
    for mutant, line in zip(derivation.mutants, proof.refused, strict=True):
        where, before, after = counterexample(line)
        rows.append(
            [
                prose(mutant.mistake),
                formula(mutant.after, lead="<mo>=</mo>"),
                f"line {mutant.step}: with {prose(where)}, {before} is right and this gives {after}",
            ]
        )
    summary = (
        f"{len(proof.lines)} lines hold, each checked three ways. "
        f"{len(rows)} lines with a planted mistake are refused, by every check."
    )
    return (
        f'<details><summary style="cursor:pointer;color:{RIGHT}">{summary}</summary>'
        f"{table(rows, ['mistake', 'as a line', 'counterexample'])}</details>"
    )
