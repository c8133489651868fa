"""Terms as a textbook prints them: plain text, LaTeX, and MathML (which browsers show without help).

One walk over the term decides what stands where; a dialect says how it is written.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Any

import sympy

from bpcheck.symbolic.index.term import Diff, Index, Layer, Member, Size, UnknownValue, VectorValue

__all__ = ["latex", "mathml", "text"]

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eta": "η", "theta": "θ",
    "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ",
    "psi": "ψ", "omega": "ω",
}  # fmt: skip
ACCENTS = {"bar": "\N{COMBINING MACRON}", "hat": "\N{COMBINING CIRCUMFLEX ACCENT}"}
LATEX_ACCENTS = {"bar": r"\bar", "hat": r"\hat"}
MATHML_ACCENTS = {"bar": "¯", "hat": "^"}

MOST_PRIMES = 3
"""A higher derivative is f⁽⁴⁾, not f′′′′."""


def _split(name: str) -> tuple[str, str]:
    base, _, accent = name.partition("_")
    return base, accent


class _Text:
    """Plain text with Unicode letters, ``W^{l+1}_{kj}`` for scripts."""

    gap = ""  # behind ∂

    def primes(self, count: int) -> str:
        """σ', σ''."""
        return "'" * count

    def number(self, value: str) -> str:
        """A number."""
        return value

    def name(self, name: str) -> str:
        """A symbol: a letter or a Greek name, with ``_bar`` or ``_hat`` for an accent."""
        base, accent = _split(name)
        letter = GREEK.get(base, base)
        return (
            letter[:1] + ACCENTS[accent] + letter[1:]
            if accent in ACCENTS
            else GREEK.get(name, letter if not accent else name)
        )

    def word(self, name: str) -> str:
        """The name of a known function."""
        return name

    def operator(self, sign: str) -> str:
        """A sign between two things, with a space on each side of all but a comma."""
        return "," if sign == "," else f" {sign} "

    def scripts(self, base: str, below: str, above: str) -> str:
        """Base with a subscript and a superscript; either may be empty, and braces stand around more than one character."""
        if above in ("2", "3") and not below:
            return base + {"2": "²", "3": "³"}[above]
        if above in ("2", "3"):
            return f"{base}_{_brace(below)}{ {'2': '²', '3': '³'}[above] }"
        return base + (f"^{_brace(above)}" if above else "") + (f"_{_brace(below)}" if below else "")

    def fraction(self, above: str, below: str) -> str:
        """A quotient, with brackets where they are needed."""
        above = f"({above})" if "/" in _outside(above) else _bracket(above)
        return f"{above}/{_bracket(below, product=True)}"

    def root(self, inside: str) -> str:
        """A square root."""
        return f"√{inside}" if len(inside) == 1 else f"√({inside})"

    def sum(self, indices: Sequence[str], body: str) -> str:
        """A sum over indices."""
        return f"Σ_{_brace(','.join(indices) if max(map(len, indices)) > 1 else ''.join(indices))} {body}"

    def group(self, inside: str, left: str, right: str) -> str:
        """Something in brackets."""
        return f"{left}{inside}{right}"

    def row(self, parts: Sequence[str], between: str) -> str:
        """Parts side by side; ``thin`` is a thin space."""
        return (" " if between == "thin" else between).join(parts)


def _brace(script: str) -> str:
    return script if len(script) == 1 else f"{{{script.replace(' ', '')}}}"


def _outside(part: str) -> str:
    """What is in no brackets."""
    previous = ""
    while previous != part:
        previous, part = part, re.sub(r"\([^()]*\)|\{[^{}]*\}|\[[^][]*\]", "", part)
    return part


def _bracket(part: str, *, product: bool = False) -> str:
    outside = _outside(part)
    needs = " + " in outside or " − " in outside or (product and " " in outside) or "Σ" in outside
    needs = needs or (product and "/" in outside)
    return f"({part})" if needs else part


class _Latex:
    """LaTeX for mathematics mode."""

    gap = " "

    def primes(self, count: int) -> str:
        return "'" * count

    def number(self, value: str) -> str:
        return value

    def name(self, name: str) -> str:
        base, accent = _split(name)
        if accent and accent not in LATEX_ACCENTS:
            typed = name.replace("_", r"\_")
            return rf"\mathit{{{typed}}}"
        letter = rf"\{base}" if base in GREEK else base if len(base) == 1 else rf"\mathit{{{base}}}"
        if base == "epsilon":
            letter = r"\varepsilon"
        return f"{LATEX_ACCENTS[accent]}{{{letter}}}" if accent in LATEX_ACCENTS else letter

    def word(self, name: str) -> str:
        return rf"\{name}"

    def operator(self, sign: str) -> str:
        return {"−": " - ", "∈": r" \in ", "…": r" \ldots ", "∂": r"\partial ", "·": r" \cdot "}.get(
            sign, f" {sign} "
        )

    def scripts(self, base: str, below: str, above: str) -> str:
        return base + (f"^{{{above}}}" if above else "") + (f"_{{{below}}}" if below else "")

    def fraction(self, above: str, below: str) -> str:
        return rf"\frac{{{above}}}{{{below}}}"

    def root(self, inside: str) -> str:
        return rf"\sqrt{{{inside}}}"

    def sum(self, indices: Sequence[str], body: str) -> str:
        return rf"\sum_{{{','.join(indices)}}} {body}"

    def group(self, inside: str, left: str, right: str) -> str:
        escaped = {"{": r"\{", "}": r"\}"}
        return rf"\left{escaped.get(left, left)} {inside} \right{escaped.get(right, right)}"

    def row(self, parts: Sequence[str], between: str) -> str:
        return (r" \, " if between == "thin" else between).join(parts)


class _MathML:
    """MathML Core, which browsers show offline and without a script."""

    gap = ""

    def primes(self, count: int) -> str:
        return f"<mo>{'′' * count}</mo>"

    def number(self, value: str) -> str:
        return f"<mn>{value}</mn>"

    def name(self, name: str) -> str:
        base, accent = _split(name)
        if accent and accent not in MATHML_ACCENTS:
            return f"<mi>{html.escape(name)}</mi>"
        letter = f"<mi>{html.escape(GREEK.get(base, base))}</mi>"
        if accent in MATHML_ACCENTS:
            # without accent="true": with it, Chromium draws the bar into the letter
            return f'<mover>{letter}<mo stretchy="false">{MATHML_ACCENTS[accent]}</mo></mover>'
        return letter

    def word(self, name: str) -> str:
        return f'<mi mathvariant="normal">{name}</mi><mo>&#x2061;</mo>'

    def operator(self, sign: str) -> str:
        return f"<mo>{html.escape(sign)}</mo>"

    def scripts(self, base: str, below: str, above: str) -> str:
        base = f"<mrow>{base}</mrow>"
        if below and above:
            return f"<msubsup>{base}<mrow>{below}</mrow><mrow>{above}</mrow></msubsup>"
        if below:
            return f"<msub>{base}<mrow>{below}</mrow></msub>"
        return f"<msup>{base}<mrow>{above}</mrow></msup>"

    def fraction(self, above: str, below: str) -> str:
        return f"<mfrac><mrow>{above}</mrow><mrow>{below}</mrow></mfrac>"

    def root(self, inside: str) -> str:
        return f"<msqrt>{inside}</msqrt>"

    def sum(self, indices: Sequence[str], body: str) -> str:
        below = "<mo>,</mo>".join(indices)
        return f"<munder><mo>∑</mo><mrow>{below}</mrow></munder>{body}"

    def group(self, inside: str, left: str, right: str) -> str:
        return f"<mrow><mo>{left}</mo>{inside}<mo>{right}</mo></mrow>"

    def row(self, parts: Sequence[str], between: str) -> str:
        return ('<mspace width="0.17em"></mspace>' if between == "thin" else between).join(parts)


Dialect = _Text | _Latex | _MathML


@dataclass(frozen=True)
class _Written:
    """A piece of output, and whether it needs brackets inside a product or under a power."""

    text: str
    kind: str = "atom"  # atom, product, sum (Σ), terms (+)


class _Writer:
    def __init__(self, dialect: Dialect) -> None:
        self.d = dialect

    def bare(self, expression: Any) -> str:
        """Without brackets."""
        return self.write(expression).text

    def tight(self, expression: Any, *kinds: str) -> str:
        """In brackets if it is of one of the kinds."""
        written = self.write(expression)
        return self.d.group(written.text, "(", ")") if written.kind in kinds else written.text

    def write(self, expression: Any) -> _Written:
        written = self._write(expression)
        return written if isinstance(written, _Written) else _Written(written)

    @singledispatchmethod
    def _write(self, expression: Any) -> str | _Written:
        """By its kind: text is an atom. What is of no other kind is a symbol."""
        return self._symbol(str(expression))

    @_write.register(sympy.Sum)
    def _sum(self, expression: Any) -> _Written:
        indices = [self.bare(limit[0]) for limit in expression.limits]
        return _Written(self.d.sum(indices, self.tight(expression.function, "terms")), "sum")

    @_write.register(sympy.Rational)
    def _fraction(self, expression: Any) -> _Written:
        sign = self.d.operator("−").strip() if expression < 0 else ""
        quotient = self.d.fraction(self.d.number(str(abs(expression.p))), self.d.number(str(expression.q)))
        return _Written(sign + quotient, "terms" if sign else "atom")

    @_write.register(sympy.Integer)
    @_write.register(sympy.Float)
    def _number(self, expression: Any) -> _Written:
        number = self.d.number(str(expression).replace("-", "−"))
        return _Written(number, "terms" if expression.is_negative else "atom")

    @_write.register(sympy.KroneckerDelta)
    def _equal(self, expression: Any) -> str:
        sides = sorted(map(self.bare, expression.args), key=lambda side: (side.isdigit(), side))
        return self.d.group(self.d.row([sides[0], self.d.operator("="), sides[1]], ""), "[", "]")

    @_write.register(UnknownValue)
    def _unknown(self, expression: UnknownValue) -> str:
        name, order = self.d.name(expression.name), expression.order
        if order > MOST_PRIMES:
            name = self.d.scripts(name, "", self.d.group(self.d.number(str(order)), "(", ")"))
        elif order:
            name += self.d.primes(order)
        return self._call(name, expression.argument)

    @_write.register(sympy.core.function.AppliedUndef)
    def _width(self, expression: Any) -> str:
        return self.d.scripts(self.d.name(expression.func.__name__), self.bare(expression.args[0]), "")

    @_write.register(sympy.Function)
    def _function(self, expression: Any) -> str:
        return self._call(self.d.word(type(expression).__name__), expression.args[0])

    @_write.register(type(sympy.E))
    def _e(self, expression: Any) -> str:
        return self.d.name("e")

    def _call(self, function: str, argument: Any) -> str:
        return function + self.d.group(self.bare(argument), "(", ")")

    def _symbol(self, name: str) -> str:
        """A letter with what is typed after _ below it: β_2 for beta_2."""
        letter, below = _split(name)
        if not below.isalnum() or below in ACCENTS or not (letter in GREEK or len(letter) == 1):
            return self.d.name(name)
        write = self.d.number if below.isdigit() else self.d.name
        return self.d.scripts(self.d.name(letter), write(below), "")

    @_write.register(sympy.Indexed)
    def _entry(self, entry: Any) -> str:
        count = getattr(entry.base, "superscripts", 0)
        above, below = entry.indices[:count], entry.indices[count:]
        return self.d.scripts(self.d.name(str(entry.base.label)), self._indices(below), self._indices(above))

    def _indices(self, indices: Iterable[Any]) -> str:
        written = [self.bare(index) for index in indices]
        simple = all(isinstance(index, (Index, Layer, Size)) and len(index.name) == 1 for index in indices)
        return self.d.row(written, "" if simple else self.d.operator(","))

    @_write.register(sympy.Add)
    def _terms(self, expression: Any) -> _Written:
        content, primitive = expression.as_content_primitive()
        if content.is_Integer and content != 1 and isinstance(primitive, sympy.Add):
            inside = self.d.group(self.bare(primitive), "(", ")")
            return _Written(self.d.row([self.d.number(str(content)), inside], "thin"), "product")
        terms = sorted(expression.args, key=_term_order)
        parts = []
        for place, term in enumerate(terms):
            negative = term.could_extract_minus_sign() and not isinstance(term, sympy.Add)
            sign = "−" if negative else "+"
            if place:
                parts.append(self.d.operator(sign))
            elif negative:
                parts.append(self.d.operator("−").strip())
            parts.append(self.tight(-term if negative else term, "terms"))
        return _Written(self.d.row(parts, ""), "terms")

    @_write.register(sympy.Mul)
    def _product(self, expression: Any) -> _Written:
        d = self.d
        if expression.could_extract_minus_sign():
            return _Written(d.operator("−").strip() + self.tight(-expression, "terms"), "terms")
        above, below = _sides(expression)
        if not below:
            return _Written(d.row(self._factors(above), "thin"), "product")
        after = _after_the_bar(above, below)
        on_the_bar = [factor for factor in above if factor not in after] or [sympy.Integer(1)]
        quotient = d.fraction(self._side(on_the_bar), self._side(below))
        if not after:
            return _Written(quotient)
        return _Written(d.row([self._in_front(quotient), *self._factors(after)], "thin"), "product")

    def _in_front(self, fraction: str) -> str:
        """A fraction before other factors: (1/n) x in plain text, where 1/n x could be 1/(n x)."""
        return self.d.group(fraction, "(", ")") if isinstance(self.d, _Text) else fraction

    def _side(self, factors: list[Any]) -> str:
        return self.bare(factors[0]) if len(factors) == 1 else self.d.row(self._factors(factors), "thin")

    def _factors(self, factors: list[Any]) -> list[str]:
        ordered = sorted(factors, key=_factor_order)
        # a sum may stand last without brackets: Σ_k W δ; anywhere else it would swallow what follows
        return [
            self.tight(factor, "terms", "product", *(() if place == len(ordered) - 1 else ("sum",)))
            for place, factor in enumerate(ordered)
        ]

    @_write.register(sympy.Pow)
    def _power(self, expression: Any) -> str:
        d, (base, exponent) = self.d, expression.args
        if exponent == sympy.Rational(1, 2):
            return d.root(self.bare(base))
        if exponent.is_Number and exponent < 0:
            return d.fraction(d.number("1"), self.bare(base**-exponent))
        if isinstance(base, sympy.Indexed) and not getattr(base.base, "superscripts", 0):
            name = d.name(str(base.base.label))
            return d.scripts(name, self._indices(base.indices), self.bare(exponent))
        alone = isinstance(base, (sympy.Symbol, sympy.KroneckerDelta, Member)) or base is sympy.E
        alone = alone or (base.is_Integer and base >= 0)
        inside = self.bare(base) if alone else d.group(self.bare(base), "(", ")")
        return d.scripts(inside, "", self.bare(exponent))

    @_write.register(Member)
    def _member(self, expression: Member) -> str:
        d = self.d
        value, lower, upper = (self.bare(argument) for argument in expression.args)
        numbers = d.group(
            d.row([lower, d.operator(","), d.operator("…").strip(), d.operator(","), upper], ""), "{", "}"
        )
        return d.group(d.row([value, d.operator("∈"), numbers], ""), "[", "]")

    @_write.register(VectorValue)
    def _vector(self, expression: VectorValue) -> str:
        d = self.d
        function = self._name(expression)
        if not expression.partials:
            return function + d.group(self._array(expression), "(", ")")
        if not isinstance(expression.body, sympy.Indexed):
            signs = [
                d.scripts(d.operator("∂").strip(), self._indices(partial), "")
                for partial in expression.partials
            ]
            return d.row([*signs, function + d.group(self._array(expression), "(", ")")], "thin")
        below = []
        for partial in expression.partials:
            values = dict(zip(expression.binders, partial, strict=True))
            shown = self._entry(expression.body.subs(values, simultaneous=True))
            below.append(d.operator("∂").strip() + d.gap + shown)
        top = d.operator("∂").strip()
        if len(expression.partials) > 1:
            top = d.scripts(top, "", d.number(str(len(expression.partials))))
        return d.fraction(top + d.gap + function, d.row(below, "thin"))

    def _name(self, expression: VectorValue) -> str:
        """That of an unknown function, with the entry of its value that is meant."""
        name = self.d.name(expression.name)
        return (
            self.d.scripts(name, self._indices(expression.components), "") if expression.components else name
        )

    def _array(self, expression: VectorValue) -> str:
        """The argument of an unknown function: the whole tensor if it is one, otherwise its entry."""
        body = expression.body
        if isinstance(body, sympy.Indexed):
            count = getattr(body.base, "superscripts", 0)
            rest = [index for index in body.indices[count:] if index not in expression.binders]
            if len(rest) + len(expression.binders) == len(body.indices[count:]):
                name = self.d.name(str(body.base.label))
                above = self._indices(body.indices[:count])
                return self.d.scripts(name, self._indices(rest), above) if above or rest else name
        return self.bare(body)

    @_write.register(Diff)
    def _quotient(self, expression: Diff) -> str:
        d = self.d
        sign = d.operator("∂").strip() + d.gap
        inside = expression.expression
        below = sign + self._entry(expression.variable)
        if isinstance(inside, VectorValue) and not inside.partials:
            return d.fraction(sign + self._name(inside), below)
        if isinstance(inside, sympy.Indexed):
            return d.fraction(sign + self._entry(inside), below)
        if isinstance(d, _Text):
            return f"∂{d.group(self.bare(inside), '(', ')')}/{below}"
        return d.fraction(sign, below) + d.group(self.bare(inside), "(", ")")


def _sides(product: Any) -> tuple[list[Any], list[Any]]:
    """The factors above and below the bar of a fraction."""
    above, below = [], []
    for factor in _with_contents(product.args):
        if isinstance(factor, sympy.Pow) and factor.args[1].is_Number and factor.args[1] < 0:
            below.append(factor.args[0] ** -factor.args[1])
        elif isinstance(factor, sympy.Rational) and factor.q != 1:
            below.append(sympy.Integer(factor.q))
            above += [sympy.Integer(factor.p)] if factor.p != 1 else []
        else:
            above.append(factor)
    return above, below


def _after_the_bar(above: list[Any], below: list[Any]) -> list[Any]:
    """The factors that stand after a fraction, not on its bar: Σ … after 1/m, a derivative y/p ∂p/∂z."""
    small = all(isinstance(factor, (sympy.Symbol, sympy.Integer)) or factor.is_Function for factor in below)
    large = (sympy.Sum, sympy.Add, VectorValue, Diff)
    if small and (len(above) > 1 or isinstance((*above, None)[0], large)):
        return [factor for factor in above if not factor.is_Number]
    after = [factor for factor in above if isinstance(factor, (Diff, VectorValue))]
    return after if len(after) < len(above) else []


def _with_contents(factors: Iterable[Any]) -> list[Any]:
    """Factors, with 2 (x − y) for SymPy's 2x − 2y."""
    number, rest = sympy.Integer(1), []
    for factor in factors:
        if factor.is_Rational:
            number *= factor
            continue
        content, primitive = (
            factor.as_content_primitive() if isinstance(factor, sympy.Add) else (sympy.S.One, factor)
        )
        if content.is_Integer:
            number, factor = number * content, primitive
        rest.append(factor)
    return [number, *rest] if number != 1 else rest


def _factor_order(factor: Any) -> tuple[int, str]:
    """Numbers, scalars, brackets [j = k], sums with weights, tensors as W δ a, functions last."""
    base = factor.args[0] if isinstance(factor, sympy.Pow) else factor
    if isinstance(base, sympy.Indexed):
        label = str(base.base.label)
        return (4 if label[0].isupper() else 5 if label.partition("_")[0] in GREEK else 6), str(base)
    return next((place for kinds, place in _PLACES if isinstance(base, kinds)), 6), str(base)


_PLACES: Sequence[tuple[Any, int]] = (
    (sympy.Number, 0),
    ((sympy.Symbol, sympy.core.function.AppliedUndef), 1),
    (VectorValue, 2),
    (Diff, 7),
    (sympy.Add, 8),
    (sympy.Sum, 9),
    ((sympy.KroneckerDelta, Member), 11),
    ((UnknownValue, sympy.Function), 10),
)
"""Of factors that are no entries of tensors; the first kind that fits counts."""


def _term_order(term: Any) -> tuple[int, int, str]:
    """Positive before negative; numbers and sums first."""
    negative = int(term.could_extract_minus_sign())
    inner = -term if negative else term
    if not inner.has(sympy.Indexed, UnknownValue, VectorValue):  # l + 1, n − 1: the number last
        return negative, 1 if inner.is_Number else 0, str(inner)
    return negative, 0 if inner.is_Number else 1 if inner.has(sympy.Sum) else 2, str(inner)


def text(expression: Any) -> str:
    """A term as plain text.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Index, Layer, Tensor, Unknown, Widths, total
    >>> n, l = Widths("n"), Layer("l")
    >>> W, delta = Tensor("W", superscripts=1), Tensor("delta", superscripts=1)
    >>> j, k = Index("j", n(l)), Index("k", n(l + 1))
    >>> text(total(W[l + 1, k, j] * delta[l + 1, k], k))
    'Σ_k W^{l+1}_{kj} δ^{l+1}_k'
    """
    return _Writer(_Text()).bare(sympy.sympify(expression))


def latex(expression: Any) -> str:
    r"""A term as LaTeX, for mathematics mode.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Index, Layer, Tensor, Widths
    >>> n, l = Widths("n"), Layer("l")
    >>> print(latex(Tensor("delta", superscripts=1)[l, Index("j", n(l))]))
    \delta^{l}_{j}
    """
    return _Writer(_Latex()).bare(sympy.sympify(expression))


def mathml(expression: Any) -> str:
    """A term as the inside of a ``<math>`` element.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Index, Size, Tensor
    >>> mathml(Tensor("x")[Index("j", Size("n"))])
    '<msub><mrow><mi>x</mi></mrow><mrow><mi>j</mi></mrow></msub>'
    """
    return _Writer(_MathML()).bare(sympy.sympify(expression))
