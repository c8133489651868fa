"""Terms in print: nothing of Python leaks out, brackets balance, and the text means what the term means."""

import itertools
import re
import xml.etree.ElementTree as ET
from fractions import Fraction

import pytest
import sympy
from hypothesis import given, note
from hypothesis import strategies as st
from index_terms import derivative, term
from sympy import Rational, Symbol, sqrt

from bpcheck.symbolic.index import (
    Diff,
    Digits,
    Index,
    Layer,
    Member,
    Size,
    Tensor,
    Unknown,
    UnknownValue,
    VectorFunction,
    VectorValue,
    World,
    kronecker,
    latex,
    mathml,
    text,
    total,
)
from bpcheck.symbolic.index.interpret import Reading

n, m, l = Size("n"), Size("m"), Layer("l")  # noqa: E741  # the field's letter
j, k = Index("j", n), Index("k", n)
x, y, out = Tensor("x"), Tensor("y"), Tensor("W_out")
z = Tensor("z", superscripts=1)
beta = Symbol("beta", positive=True)
a, b, c = Tensor("a")[j], Tensor("b")[j], Tensor("c")[j]
sigma, C = Unknown("sigma"), VectorFunction("C")

PRINTED = [
    ((a + b) * c, "c_j (a_j + b_j)"),
    (total(x[k], k) * a, "a_j Σ_k x_k"),
    (total(x[j], j) * total(y[k], k), "(Σ_j x_j) Σ_k y_k"),
    (total(x[k], k) * kronecker(j, k), "(Σ_k x_k) [j = k]"),
    (-(a - b), "b_j − a_j"),
    (-(a - b) * c, "c_j (b_j − a_j)"),
    (a / (b * c), "a_j/(b_j c_j)"),
    (a / b / c, "a_j/(b_j c_j)"),
    (a / (b + c), "a_j/(b_j + c_j)"),
    (1 / total(x[k], k), "1/(Σ_k x_k)"),
    (a * total(x[k], k) / x[k], "(a_j Σ_k x_k)/x_k"),
    (total(x[k] / a, k), "Σ_k x_k/a_j"),
    (total(-x[k], k), "Σ_k (−x_k)"),
    (total(a + x[k], k), "Σ_k (a_j + x_k)"),
    (total(x[k], k) ** 2, "(Σ_k x_k)²"),
    (x[j] ** 2, "x_j²"),
    (z[l, j] ** 2, "(z^l_j)²"),
    (1 / z[l + 1, j] ** 2, "1/(z^{l+1}_j)²"),
    ((a / b) ** Rational(1, 3), "(a_j/b_j)^{1/3}"),
    ((a**2) ** Rational(1, 3), "(a_j²)^{1/3}"),
    (sqrt(a * b), "√(a_j b_j)"),
    (sqrt(n), "√n"),
    ((1 + sympy.exp(-a)) ** -2, "1/(1 + exp(−a_j))²"),
    (-a / 2, "−a_j/2"),
    (a * (b - 1), "a_j (b_j − 1)"),
    (Diff(C(x[k], over=k), x[j]), "∂C/∂x_j"),
    (a / Diff(C(x[k], over=k), x[j]), "a_j/(∂C/∂x_j)"),
    (C.partial(j, of=x[k], over=k) ** 2, "(∂C/∂x_j)²"),
    (VectorValue("C", (), ((j,), (k,)), (k,), x[k]), "∂²C/(∂x_j ∂x_k)"),
    (C.partial(j, of=2 * x[k], over=k), "∂_j C(2 x_k)"),
    (UnknownValue("sigma", 2, a), "σ''(a_j)"),
    (UnknownValue("sigma", 5, a), "σ^{(5)}(a_j)"),
    (sigma(a) ** 2, "(σ(a_j))²"),
    (Member(j / m, 0, n - 1), "[j/m ∈ {0,…,n − 1}]"),
    (out[j, k], "W_out_{jk}"),
    (beta ** (n - j), "β^{n−j}"),
    (1 / (n * m), "1/(m n)"),
    (beta**n, "β^n"),
    (Symbol("beta_2") ** 2 * a, "β_2² a_j"),
    (Symbol("beta_2") ** (n + 1), "β_2^{n+1}"),
    (Symbol("eta_avg") * a, "η_{avg} a_j"),
    (Symbol("W_in"), "W_{in}"),
    (Symbol("x_hat"), "x\N{COMBINING CIRCUMFLEX ACCENT}"),
    (Symbol("rate_0") + Symbol("a_b_c"), "a_b_c + rate_0"),
]


@pytest.mark.parametrize(("expression", "printed"), PRINTED, ids=[printed for _, printed in PRINTED])
def test_the_text_of_a_term(expression, printed):
    assert text(expression) == printed


@pytest.mark.parametrize("expression", [expression for expression, _ in PRINTED])
def test_every_dialect_prints_it(expression):
    check_print(expression)


# What SymPy and the nodes would print by themselves.
PYTHON = re.compile(
    r"UnknownValue|VectorValue|Sum\(|Diff\(|KroneckerDelta|Member|Tensor|\*|Tuple|Rational|object at|exp_polar"
)
# A script on something that has the same script already: LaTeX stops with "double superscript".
GROUP = r"(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*\})*\})*"
DOUBLE = re.compile(rf"(?P<sign>[\^_])\{{{GROUP}\}}(?:[\^_]\{{{GROUP}\}})?(?P=sign)\{{")


def check_print(expression):
    said, typeset, marked_up = text(expression), latex(expression), mathml(expression)
    for printed in (said, typeset, re.sub(r"<[^>]*>", "", marked_up)):
        assert printed.strip()
        assert not PYTHON.search(printed), printed
    assert "∂∂" not in said
    for left, right in ("()", "[]", "{}"):
        assert balanced(said, left, right), said
    assert balanced(re.sub(r"\\[{}]", "", typeset), "{", "}"), typeset
    assert typeset.count(r"\left") - typeset.count(r"\leftarrow") == typeset.count(r"\right")
    assert not DOUBLE.search(typeset), typeset
    tree = ET.fromstring(f"<math>{marked_up}</math>")
    for node in tree.iter():
        wanted = {"msub": 2, "msup": 2, "mfrac": 2, "mover": 2, "munder": 2, "msubsup": 3}.get(node.tag)
        assert wanted is None or len(node) == wanted, marked_up
        assert node.tag not in {"mi", "mn"} or node.text


def balanced(printed, left, right):
    depth = 0
    for character in printed:
        depth += (character == left) - (character == right)
        if depth < 0:
            return False
    return depth == 0


@given(st.randoms(use_true_random=False))
def test_random_terms_leak_no_python(rng):
    check_print((derivative if rng.random() < 0.4 else term)(rng, 3))


def test_the_checks_of_print_can_fail():
    assert PYTHON.search("2*x")
    assert DOUBLE.search("a^{2}_{j}^{\\frac{1}{3}}")
    assert DOUBLE.search("x^{2}^{3}")
    assert not DOUBLE.search("x^{2}_{j} y^{3}_{j}")
    assert not balanced("(a))(", "(", ")")


def test_names_with_an_underscore_stay_apart():
    other = Tensor("W_in")
    for write in (text, latex, mathml):
        assert write(out[j, k]) != write(other[j, k])


def test_scripts_are_not_those_of_a_tensor_seen_before():
    """SymPy keeps what it has built; two tensors of one name differ in print."""
    above, below = Tensor("x", superscripts=1), Tensor("x")
    assert [text(tensor[l, j] ** 2) for tensor in (above, below, above)] == [
        "(x^l_j)²",
        "x_{lj}²",
        "(x^l_j)²",
    ]


# --- the text is read back, by the rules that a reader follows --------------------------------------------

TOKEN = re.compile(
    r"\s*(?P<sum>Σ_)|\s*(?P<entry>[xyabc]_(?:\w|\{\w+\}))|\s*(?P<word>√|n)|\s*(?P<number>\d+)|\s*(?P<sign>.)"
)


class Reader:
    """Products before sums; Σ reaches to the end of its product; a slash takes what stands right beside it."""

    def __init__(self, printed, entries, size):
        self.tokens = [(match.lastgroup, match[match.lastgroup]) for match in TOKEN.finditer(printed)]
        self.entries, self.size, self.at = entries, size, 0

    @property
    def next(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self, expected=None):
        token = self.next[1]
        assert expected is None or token == expected, (expected, token)
        self.at += 1
        return token

    def whole(self, env):
        value = self.terms(env)
        assert self.next[0] == "end", self.tokens[self.at :]
        return value

    def terms(self, env):
        negative = self.next[1] == "−"
        if negative:
            self.take()
        value = self.product(env) * (-1 if negative else 1)
        while self.next[1] in ("+", "−"):
            value += self.product(env) if self.take() == "+" else -self.product(env)
        return value

    def product(self, env):
        value = 1
        while self.next[1] not in ("+", "−", ")", "}", ""):
            value *= self.quotient(env)
        return value

    def quotient(self, env):
        if self.next[0] == "sum":
            return self.sum(env)
        value = self.power(env)
        if self.next[1] == "/":
            self.take()
            value /= self.power(env)
        return value

    def sum(self, env):
        self.take()
        names = [self.take()]
        if names == ["{"]:
            names = list(iter(self.take, "}"))
        start, value = self.at, 0
        for numbers in itertools.product(range(1, self.size + 1), repeat=len(names)):
            self.at = start
            value += self.product({**env, **dict(zip(names, numbers, strict=True))})
        return value

    def power(self, env):
        value = self.atom(env)
        token = self.next[1]
        if token in ("²", "³"):
            self.take()
            return power_of(value, {"²": 2, "³": 3}[token])
        if token == "^":
            self.take()
            return power_of(value, self.exponent(env))
        return value

    def exponent(self, env):
        if self.next[1] != "{":
            return self.atom(env)
        self.take("{")
        value = self.terms(env)
        self.take("}")
        return value

    def atom(self, env):
        kind, token = self.next
        self.take()
        if kind == "entry":
            return self.entries[token[0], env[token[2]]]
        if kind == "number":
            return complex(token)
        if token == "√":
            return power_of(self.atom(env), 0.5)
        if token == "n":
            return self.size
        assert token == "(", (token, self.tokens)
        value = self.terms(env)
        self.take(")")
        return value


def power_of(base, exponent):
    """The principal value; a −0 in the imaginary part would choose another one."""
    base = complex(base)
    return (base if base.imag else complex(base.real, 0)) ** exponent


def formula(rng, depth, scope=(j,)):
    """Sums, products, quotients and powers: what precedence is about."""
    kind = rng.randint(0, 8) if depth else 0
    if kind <= 1:
        name = rng.choice("xyabc")
        number = rng.choice((Rational(2), Rational(-1), Rational(-2, 3), n))
        return Tensor(name)[rng.choice(scope)] if rng.random() < 0.8 else number
    if kind <= 3:
        return formula(rng, depth - 1, scope) + rng.choice((1, -1)) * formula(rng, depth - 1, scope)
    if kind <= 5:
        return formula(rng, depth - 1, scope) * formula(rng, depth - 1, scope)
    if kind == 6:
        return total(formula(rng, depth - 1, (*scope, k)), k)
    base = formula(rng, depth - 1, scope)
    power = Rational(rng.choice(("2", "3", "-1", "-2", "1/2", "1/3", "-1/2", "3/2")))
    return base if base.is_number and (base == 0 or not power.is_Integer) else base**power


# Floats against 60 digits: the powers of a few numbers of size 1 lose a handful of digits at worst.
ROUNDING = 1e-9


@given(st.randoms(use_true_random=False))
def test_the_text_means_what_the_term_means(rng):
    expression = formula(rng, 4)
    # a power is written over the index of an entry, x^{3/2}_j: read it after the index
    printed = re.sub(r"([xyabc])\^(\{[^{}]*\}|\w)_(\{\w+\}|\w)", r"\1_\3^\2", text(expression))
    note(f"{expression}\n{printed}")
    reading = Reading(World({n: 2}, {}, {}), Digits())
    try:
        meant = complex(reading.value(expression, {j: 1, k: 2}))
    except ArithmeticError:  # a denominator is 0
        return
    entries = {(name, at): float(reading.entry((name, (at,)))) for name in "xyabc" for at in (1, 2)}
    read = Reader(printed, entries, 2).whole({"j": 1, "k": 2})
    assert abs(read - meant) <= ROUNDING * max(1, abs(meant))


def test_the_reader_takes_brackets_seriously():
    entries = {("x", 1): Fraction(2), ("y", 1): Fraction(3), ("x", 2): Fraction(5), ("y", 2): Fraction(7)}

    def read(printed):
        return Reader(printed, entries, 2).whole({"j": 1})

    assert read("x_j (y_j − 1)") == 4
    assert read("x_j y_j − 1") == 5
    assert read("Σ_k x_k y_k") == 41
    assert read("(Σ_k x_k) y_j") == 21
    assert read("1/x_j y_j") == 1.5
    assert read("(x_j/y_j)²") == pytest.approx(4 / 9)
    assert read("−x_j + y_j") == 1
