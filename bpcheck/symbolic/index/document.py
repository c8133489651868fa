"""A derivation, or all of them, as a page: plain text, LaTeX, HTML that needs no network."""

from __future__ import annotations

import html
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bpcheck.symbolic.index.derivation import Derivation
from bpcheck.symbolic.index.interpret import symbols_of
from bpcheck.symbolic.index.render import GREEK, latex, mathml, text
from bpcheck.symbolic.index.term import Index

__all__ = ["as_html", "as_latex", "as_text", "html_page", "latex_page"]


def ranges(derivation: Derivation) -> list[Index]:
    """All indices, one of each name."""
    parts = [derivation.start, *(step.after for step in derivation.steps)]
    for fact in derivation.given:
        parts += fact.sides
    seen: dict[str, Index] = {}
    for index in symbols_of(parts, Index):
        seen.setdefault(index.name, index)
    return list(seen.values())


def _start(derivation: Derivation, write: Callable[[Any], str], equals: str) -> str:
    name = "" if derivation.name is None else f"{write(derivation.name)}{equals}"
    return f"{name}{write(derivation.start)}"


def _in_brackets(because: str, prose: Callable[[str], str] = str) -> str:
    return f" ({prose(because)})" if because else ""


def as_text(derivation: Derivation) -> str:
    """For a terminal."""
    lines = [derivation.title, "=" * len(derivation.title), ""]
    if derivation.about:
        lines += [*_wrapped(derivation.about, 96), ""]
    spans = [f"{text(i)} = {text(i.lower)} … {text(i.upper)}" for i in ranges(derivation)]
    lines += [f"  indices   {', '.join(spans)}"] if spans else []
    for fact in derivation.given:
        because = _in_brackets(fact.because)
        lines.append(f"  given     {' = '.join(map(text, fact.sides))}{because and '  '}{because}")
    for sentence in derivation.assumes:
        lines += _wrapped(sentence, 84, first="  assumed   ", others=" " * 12)
    lines += ["", f"  {_start(derivation, text, ' = ')}"]
    for number, step in enumerate(derivation.steps, start=1):
        lines += ["", f"  {number}  = {text(step.after)}"]
        lines += _wrapped(f"{step.rule}: {step.because}", 90, first=" " * 7, others=" " * 7)
    for path in derivation.implemented_by:
        lines += ["", f"  computed by {path}"]
    return "\n".join(lines)


def _wrapped(sentence: str, width: int, *, first: str = "", others: str = "") -> list[str]:
    filled = textwrap.wrap(sentence, width + len(others), initial_indent=first, subsequent_indent=others)
    return filled or [first]


# --- LaTeX -------------------------------------------------------------------------------------------

# What LaTeX's text fonts lack or take for a command.
_SPECIAL = {
    **{character: f"\\{character}" for character in "&%#_{}"},
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
    "∂": r"$\partial$", "⊙": r"$\odot$", "ᵀ": r"$^{\mathsf T}$", "Σ": r"$\sum$", "∇": r"$\nabla$", "√": r"$\surd$",
    "−": "$-$", "½": r"$\frac12$", "²": "$^2$", "·": r"$\cdot$", "…": r"\ldots{}", "′": "$'$",
    "‖": r"$\Vert$", "≤": r"$\leq$",
    **{letter: f"$\\{name}$" for name, letter in GREEK.items()},
}  # fmt: skip
_COMBINING = {"\N{COMBINING MACRON}": r"\bar", "\N{COMBINING CIRCUMFLEX ACCENT}": r"\hat"}


def _prose(sentence: str) -> str:
    """A sentence for LaTeX; z^L_j in it is mathematics."""
    sentence = unicodedata.normalize("NFD", sentence)
    pieces, end = [], 0
    for match in _SCRIPTED.finditer(sentence):
        pieces += [_escaped(sentence[end : match.start()]), _scripted(match)]
        end = match.end()
    return "".join([*pieces, _escaped(sentence[end:])])


def _scripted(match: re.Match[str]) -> str:
    letter, accent, above, below = match["letter"], match["accent"], match["above"], match["below"]
    letter = _LETTERS.get(letter, letter)
    letter = f"{_COMBINING[accent]}{{{letter}}}" if accent else letter
    return (
        "$"
        + letter
        + (f"^{{{_bare(above)}}}" if above else "")
        + (f"_{{{_bare(below)}}}" if below else "")
        + "$"
    )


def _escaped(sentence: str) -> str:
    sentence = re.sub("(\\w)([\u0304\u0302])", lambda m: f"\0{_COMBINING[m[2]]}\1{m[1]}\2", sentence)
    marks = {"\0": "$", "\1": "{", "\2": "}$"}  # set apart from the braces and dollars that are escaped
    pieces = re.split("(\0[^\2]*\2)", sentence)
    return "".join(
        "".join(marks.get(c, c) for c in piece)
        if piece.startswith("\0")
        else "".join(_SPECIAL.get(c, c) for c in piece)
        for piece in pieces
    )


# A letter with an index or two in running text: z^L_j, W^{l+1}_{kj}, x_1.
_SCRIPTED = re.compile(
    "(?<![\\w.])(?P<letter>[A-Za-zα-ωΔ∇])(?P<accent>[\u0304\u0302])?(?=[\\^_])"
    r"(?:\^(?P<above>\{[^}]*\}|\w))?(?:_(?P<below>\{[^}]*\}|\w(?!\w)))?"
)
_LETTERS = {letter: f"\\{name} " for name, letter in GREEK.items()} | {"∇": r"\nabla "}


def _bare(script: str) -> str:
    return script.removeprefix("{").removesuffix("}")


def _html_prose(sentence: str) -> str:
    """A sentence for a page; z^L_j in it gets its scripts."""

    def formula(match: re.Match[str]) -> str:
        letter, above, below = match["letter"] + (match["accent"] or ""), match["above"], match["below"]
        above = f"<sup>{_bare(above)}</sup>" if above else ""
        return f"<i>{letter}</i>{above}" + (f"<sub>{_bare(below)}</sub>" if below else "")

    sentence = unicodedata.normalize("NFD", sentence)
    return _SCRIPTED.sub(formula, html.escape(sentence, quote=False))


def as_latex(derivation: Derivation) -> str:
    """A section."""
    lines = [rf"\section{{{_prose(derivation.title)}}}"]
    if derivation.about:
        lines.append(_prose(derivation.about) + "\n")
    spans = [f"${latex(i)} = {latex(i.lower)}, \\ldots, {latex(i.upper)}$" for i in ranges(derivation)]
    if spans:
        lines.append(rf"\noindent Indices: {', '.join(spans)}.")
    items = [
        rf"\item Given: ${' = '.join(map(latex, fact.sides))}${_in_brackets(fact.because, _prose)}"
        for fact in derivation.given
    ]
    items += [rf"\item Assumed: {_prose(sentence)}" for sentence in derivation.assumes]
    if items:
        lines += [r"\begin{itemize}", *items, r"\end{itemize}"]
    lines += [r"\begin{align*}", f"& {_start(derivation, latex, ' = ')} \\\\"]
    for number, step in enumerate(derivation.steps, start=1):
        lines.append(rf"& \quad = {latex(step.after)} && \text{{({number}) {_prose(step.rule)}}} \\")
    lines += [r"\end{align*}", r"\begin{enumerate}"]
    lines += [rf"\item {_prose(step.because)}" for step in derivation.steps]
    lines.append(r"\end{enumerate}")
    lines += [
        rf"\noindent Computed by \texttt{{{_escaped(path)}}}.\par" for path in derivation.implemented_by
    ]
    return "\n".join(lines)


def latex_page(derivations: Iterable[Derivation], title: str) -> str:
    """A whole document in plain ASCII, for any LaTeX."""
    body = "\n\n".join(as_latex(derivation) for derivation in derivations)
    return "\n".join(
        [
            r"\documentclass[11pt]{article}",
            r"\usepackage[margin=1.7cm]{geometry}",
            r"\usepackage{amsmath,amssymb}",
            rf"\title{{{_prose(title)}}}",
            r"\date{}",
            r"\begin{document}",
            r"\maketitle",
            r"\tableofcontents",
            body,
            r"\end{document}",
            "",
        ]
    )


# --- HTML --------------------------------------------------------------------------------------------

_STYLE = """
body { font: 17px/1.55 Georgia, 'Times New Roman', serif; color: #1b1b1f; background: #fff;
       max-width: 60rem; margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.9rem; } h2 { font-size: 1.35rem; margin-top: 3rem; border-top: 1px solid #d8d8de; padding-top: 1.4rem; }
nav ol { columns: 2; column-gap: 3rem; } nav li { break-inside: avoid; } nav a, a { color: #1f4e9c; }
ol.steps { list-style: none; counter-reset: step; padding: 0; }
ol.steps > li { counter-increment: step; margin: .9rem 0; padding-left: 2.6rem; position: relative; }
ol.steps > li::before { content: counter(step); position: absolute; left: 0; top: .3rem; width: 1.7rem; height: 1.7rem;
  border-radius: 50%; background: #eef1f7; color: #33466b; font: 600 .85rem/1.7rem sans-serif; text-align: center; }
ol.steps > li.start::before { content: ""; background: none; } ol.steps > li.start { counter-increment: none; }
.formula { overflow: auto hidden; padding: .15rem 0; } math { font-size: 1.12em; }
.because { color: #4a4a55; font-size: .95rem; } .rule { font-variant: small-caps; color: #33466b; }
ul.given { padding-left: 1.2rem; } ul.given li { margin: .5rem 0; } .assumed { color: #7a4b00; }
.status { font: .9rem/1.4 sans-serif; color: #1c6b35; background: #eef7f0; padding: .35rem .7rem; border-radius: .3rem; }
code { font-size: .88em; background: #f3f3f6; padding: .08em .3em; border-radius: .2em; }
@media print { h2 { break-before: page; border: 0; } nav { display: none; } }
"""


def _math(formula: str, *, block: bool = False) -> str:
    display = ' displaystyle="true"' if block else ""
    return f"<math{display}><mrow>{formula}</mrow></math>"


def as_html(derivation: Derivation, *, anchor: str = "", status: str = "") -> str:
    """A section."""
    escape = html.escape
    parts = [f'<h2 id="{escape(anchor)}">{_html_prose(derivation.title)}</h2>']
    if derivation.about:
        parts.append(f"<p>{_html_prose(derivation.about)}</p>")
    equals = "<mo>=</mo>"
    spans = [
        _math(mathml(i) + equals + mathml(i.lower) + "<mo>,</mo><mo>…</mo><mo>,</mo>" + mathml(i.upper))
        for i in ranges(derivation)
    ]
    items = [f"<li>Indices: {', '.join(spans)}.</li>"] if spans else []
    items += [
        f"<li>Given: {_math(equals.join(map(mathml, fact.sides)), block=True)}{_in_brackets(fact.because, _html_prose)}</li>"
        for fact in derivation.given
    ]
    items += [f'<li class="assumed">Assumed: {_html_prose(sentence)}</li>' for sentence in derivation.assumes]
    parts.append(f'<ul class="given">{"".join(items)}</ul>')
    start = _start(derivation, mathml, equals)
    parts.append(
        f'<ol class="steps"><li class="start"><div class="formula">{_math(start, block=True)}</div></li>'
    )
    parts += [
        f'<li><div class="formula">{_math(equals + mathml(step.after), block=True)}</div>'
        f'<div class="because"><span class="rule">{escape(step.rule)}</span>: {_html_prose(step.because)}</div></li>'
        for step in derivation.steps
    ]
    parts.append("</ol>")
    parts += [f"<p>Computed by <code>{escape(path)}</code>.</p>" for path in derivation.implemented_by]
    if status:
        parts.append(f'<p class="status">{_html_prose(status)}</p>')
    return f"<section>{''.join(parts)}</section>"


def html_page(derivations: Sequence[Derivation], title: str, *, statuses: Sequence[str] = ()) -> str:
    """A whole page: one file, no script, nothing fetched; formulas are MathML."""
    escape = html.escape
    contents = "".join(
        f'<li><a href="#d{number}">{_html_prose(derivation.title)}</a></li>'
        for number, derivation in enumerate(derivations, start=1)
    )
    sections = "".join(
        as_html(derivation, anchor=f"d{number}", status=statuses[number - 1] if statuses else "")
        for number, derivation in enumerate(derivations, start=1)
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1><nav><ol>{contents}</ol></nav>{sections}</body></html>\n"
    )
