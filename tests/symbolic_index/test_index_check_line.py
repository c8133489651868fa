"""What check_line and Derivation say of right lines, wrong ones, and of what a student may type."""

import itertools

import numpy as np
import pytest
import sympy
from choosing import some
from sympy import Rational, sqrt

from bpcheck.errors import InputError
from bpcheck.symbolic.index import (
    Contradiction,
    Definition,
    Derivation,
    Diff,
    Index,
    Layer,
    Member,
    Mutant,
    MutantSurvives,
    Size,
    Step,
    StepFails,
    Tensor,
    TotalIs,
    Unknown,
    VectorFunction,
    Widths,
    check_line,
    is_zero,
    kronecker,
    total,
)
from bpcheck.symbolic.index import check as check_module
from bpcheck.symbolic.index.domain import random_fraction

n, m, T, s = Size("n"), Size("m"), Size("T"), Size("s")
N, l = Widths("n"), Layer("l")  # noqa: E741  # the field's letter
j, k, p = (Index(name, n) for name in "jkp")
i, q = Index("i", m), Index("q", m)
t = Index("t", T)
a, h, w, x, y, z = (Tensor(name) for name in "ahwxyz")
W, penalty = Tensor("W", superscripts=1), sympy.Symbol("lambda", positive=True)
sigma, C = Unknown("sigma"), VectorFunction("C")
free = sympy.Symbol("i")

# --- right lines -----------------------------------------------------------------------------------------

RIGHT = {
    "a bound index may have any name": (total(x[j], j), total(x[k], k)),
    "also that of a free one": (x[j] * total(x[j], j), x[j] * total(x[k], k)),
    "(Σx)² is a double sum": (total(x[j], j) ** 2, total(x[j] * x[k], j, k)),
    "a free index in a derivative": (Diff(total(x[k] ** 2, k), x[k]), 2 * x[k]),
    "a long power of a sum": (total(x[j], j) ** 8, total(x[k], k) ** 3 * total(x[p], p) ** 5),
    "the trace of a power": (
        total(w[j, k] * w[k, p] * w[p, j], j, k, p),
        total(w[p, j] * w[j, k] * w[k, p], k, p, j),
    ),
    "mean": (total(x[j], j) / n, total(x[k] / n, k)),
    "denominators that are 0 at n = 1": (total(x[j], j) / (n - 1), total(x[k] / (n - 1), k)),
    "denominators that are 0 at j = k": (1 / (x[j] - x[k]), -1 / (x[k] - x[j])),
    "also after exp": (1 / (sympy.exp(x[j]) - sympy.exp(x[k])), -1 / (sympy.exp(x[k]) - sympy.exp(x[j]))),
    "logarithms of any sign": (Diff(total(y[k] * sympy.log(x[k]), k), x[j]), y[j] / x[j]),
    "√2 √2 = 2": (sqrt(2) * total(sqrt(2) * x[j], j), 2 * total(x[j], j)),
    "√2 √3 = √6": (sqrt(2) * total(sqrt(3) * x[j], j), sqrt(6) * total(x[j], j)),
    "√exp": (sqrt(sympy.exp(x[j])) ** 2, sympy.exp(x[j])),
    "an index as a number": (total(j * kronecker(j, k), j), k),
    "an index of another range": (total(kronecker(j, i) * x[j], j), x[i] * Member(i, 1, n)),
    "shadowed": (total(x[j] * total(y[j], j), j), total(x[j], j) * total(y[k], k)),
    "five layers": (sum(x[Layer(name)] for name in "abcde"), sum(x[Layer(name)] for name in "edcba")),
    "the hyperbolic tangent": (Diff(sympy.tanh(x[j]), x[j]), 1 - sympy.tanh(x[j]) ** 2),
    "1/(1 + exp(−x))": (
        Diff(1 / (1 + sympy.exp(-x[j])), x[j]),
        (1 - 1 / (1 + sympy.exp(-x[j]))) / (1 + sympy.exp(-x[j])),
    ),
    "mixed second derivatives": (
        Diff(Diff(C(x[k], over=k), x[j]), x[p]),
        Diff(Diff(C(x[k], over=k), x[p]), x[j]),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_line_is_accepted(name):
    line = check_line(*RIGHT[name])
    assert line
    assert line.ok
    assert line.counterexample is None
    assert not line.undecided
    assert str(line).startswith("holds: ")


@pytest.mark.parametrize("seed", [1, 2, 12345])
def test_any_seed_does(seed):
    assert check_line(*RIGHT["mean"], seed=seed)
    assert not check_line(total(x[j], j), x[k] * 0, seed=seed)


GIVEN = {
    "a definition of all entries, a derivative by one of them": (
        Diff(total(h[t, j], t, j), h[T, k]),
        1,
        (Definition(h[t, j], sigma(z[t, j])),),
    ),
    "what adds up to 1 is varied entry by entry": (
        Diff(total(y[k], k), y[j]),
        1,
        (TotalIs(y[k], over=k, value=1),),
    ),
    "a total that is a size": (total(y[k] * m, k), m**2, (TotalIs(y[k], over=k, value=m),)),
    "a definition with a derivative in it": (
        Diff(h[j], x[k]),
        2 * kronecker(j, k),
        (Definition(h[j], Diff(total(x[p] ** 2, p), x[j])),),
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_right_line_with_something_given(name):
    assert check_line(*GIVEN[name])


# --- wrong lines -----------------------------------------------------------------------------------------

WRONG = {
    "√(x²) is |x|": (sqrt(x[j] ** 2), x[j]),
    "√(1/x) for negative x": (sqrt(1 / x[j]), x[j] ** Rational(-1, 2)),
    "an empty sum is not −1 times": (total(x[j], Index("u", n - 2)), (n - 2) * x[j]),
    "a diagonal is no row": (total(y[k, k], k), 1, (TotalIs(y[j, k], over=k, value=1),)),
    "a definition of all entries": (
        Diff(total(h[t, j], t, j), h[T, k]),
        0,
        (Definition(h[t, j], sigma(z[t, j])),),
    ),
    "a fact of rows that there are": (
        total(y[Index("u", s - 1, lower=0), k], k),
        1,
        (TotalIs(y[i, k], over=k, value=1),),
    ),
    "logarithm": (sympy.log(x[j]), 2 * sympy.log(x[j])),
    "complex numbers": (sympy.log(x[j] * y[j]), sympy.log(x[j]) + sympy.log(y[j])),
    "(Σx)² is not Σx²": (total(x[j], j) ** 2, total(x[j] ** 2, j)),
    "Gauss was off by one": (total(j, j), n * (n - 1) / 2),
    "transposed": (total(w[j, k] * x[k], k), total(w[k, j] * x[k], k)),
    "layers that are not the same": (z[Layer("L") + 4, j], z[l, j]),
    "half a place": (x[j / 2], 2 * x[j / 2]),
    "another range": (total(x[j], j), total(x[i], i)),
    "the partial derivative of another function": (
        C.partial(j, of=x[k], over=k),
        VectorFunction("D").partial(j, of=x[k], over=k),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_line_is_refuted(name):
    line = check_line(*WRONG[name])
    assert not line
    assert not line.canonical
    assert not line.undecided
    assert str(line).startswith("wrong: ")
    found = line.counterexample
    assert abs(found.before - found.after) > 1e-9
    assert f"the first is {found.before:.6g} and the second {found.after:.6g}" in str(line)


def array(name, found, *shape):
    """The entries that a counterexample was computed with, as the documentation says they are drawn."""
    entries = np.empty(shape)
    for place in itertools.product(*map(range, shape)):
        entries[place] = float(random_fraction((found.seed, (name, tuple(one + 1 for one in place)))))
    return entries


@pytest.mark.parametrize("seed", range(4))
def test_the_numbers_of_a_counterexample_by_numpy(seed):
    line = check_line(total(w[i, k] * x[k], k) + y[i], total(w[i, k], k) * y[i], seed=seed)
    found = line.counterexample
    columns, rows, at = found.sizes["n"], found.sizes["m"], found.at["i"] - 1
    matrix, vector, bias = (
        array("w", found, rows, columns),
        array("x", found, columns),
        array("y", found, rows),
    )
    assert found.before == pytest.approx((matrix @ vector + bias)[at], abs=1e-12)
    assert found.after == pytest.approx(matrix[at].sum() * bias[at], abs=1e-12)


def test_the_numbers_of_a_derivative_by_numpy():
    line = check_line(Diff(total(sympy.tanh(x[k]) * x[k], k), x[j]), sympy.tanh(x[j]))
    found = line.counterexample
    value = array("x", found, found.sizes["n"])[found.at["j"] - 1]
    assert found.before == pytest.approx(np.tanh(value) + value * (1 - np.tanh(value) ** 2), abs=1e-12)
    assert found.after == pytest.approx(np.tanh(value), abs=1e-12)


def test_a_counterexample_shows_its_numbers_under_the_names_of_the_formula():
    line = check_line(total(W[l + 1, i, k] * x[k], k), x[1] * penalty)
    found = line.counterexample
    assert found.numbers.keys() == {"W^{l+1}_{1,1}", "x_1", "λ"}
    assert found.before == pytest.approx(found.numbers["W^{l+1}_{1,1}"] * found.numbers["x_1"])
    assert found.after == pytest.approx(found.numbers["x_1"] * found.numbers["λ"])
    assert f"x_1 = {found.numbers['x_1']:.6g}" in str(line)


def test_numbers_alone_need_no_instance():
    assert "wrong: 1 = 2\n  the first is 1 and the second 2 (seed 0)" in str(check_line(1, 2))


def test_a_definition_holds_in_the_range_of_its_indices():
    definition = Definition(h[t, j], sympy.tanh(x[t]))
    assert check_line(h[t, j], sympy.tanh(x[t]), (definition,))
    line = check_line(h[t - 1, j], sympy.tanh(x[t - 1]), (definition,))
    assert not line.canonical
    assert line.counterexample is not None  # at the first t there is no step before


def test_a_counterexample_names_widths_as_they_are_typed():
    unit = Index("u", N(l))
    assert check_line(total(x[unit], unit), 0).counterexample.sizes == {"n(l)": 1}


# --- undecided lines -------------------------------------------------------------------------------------

UNDECIDED = {
    "Gauss": (total(j, j), n * (n + 1) / 2),
    "tanh by exp": (sympy.tanh(x[j]), (sympy.exp(2 * x[j]) - 1) / (sympy.exp(2 * x[j]) + 1)),
    "log exp, true for real x alone": (sympy.log(sympy.exp(x[j])), x[j]),
    "wrong, but not at the sizes that are tried": (x[j], x[j] + (n - 1) * (n - 2) * (n - 3) * y[j]),
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_a_line_without_proof_or_counterexample(name):
    line = check_line(*UNDECIDED[name])
    assert not line
    assert line.undecided
    assert line.instances
    assert line.digits
    assert "no proof" in str(line)


def test_a_contradiction_is_a_bug_of_ours(monkeypatch):
    monkeypatch.setattr(check_module, "is_zero", lambda *_: True)
    with pytest.raises(
        Contradiction, match=r"proves x_j = 2 x_j; this is a bug in bpcheck.*: with n = 1 at j = 1"
    ):
        check_line(x[j], 2 * x[j])


# --- what a student may type -----------------------------------------------------------------------------

NO_TERMS = [None, "x", [1], (1, 2), {1}, {}, True, np.ones(2), sympy.Eq(x[j], y[j]), x[j] < 1, sympy.Matrix([1]),
            sympy.MatrixSymbol("W", 2, 2), C, sigma, len]  # fmt: skip


@pytest.mark.parametrize("value", NO_TERMS, ids=lambda value: type(value).__name__)
def test_what_is_no_term(value):
    with pytest.raises(InputError, match="a line of a derivation is an expression"):
        check_line(value, x[j])
    with pytest.raises(InputError, match="a line of a derivation is an expression"):
        check_line(x[j], value)


def trace_of_power(count):
    """tr(W^count): its indices look alike, and cannot be interchanged."""
    around = [Index(f"c{number}", n) for number in range(count)]
    return total(
        sympy.Mul(*(w[one, other] for one, other in zip(around, around[1:] + around[:1], strict=True))),
        *around,
    )


OUTSIDE = {
    "a free index on the right": (lambda: check_line(total(x[j], j), x[j]), "free index j"),
    "two of them": (lambda: check_line(0 * x[j], x[j] * y[i]), "free index i, j"),
    "a tensor without indices": (lambda: check_line(x, 0), "does not know Tensor"),
    "a sum over a symbol": (lambda: check_line(sympy.Sum(x[free], (free, 1, n)), 0), "whole range of an Index"),
    "part of a sum": (lambda: check_line(sympy.Sum(x[j], (j, 2, n)), 0), "whole range of an Index"),
    "total over a symbol": (lambda: total(x[free], free), "sums over an Index"),
    "total over a name": (lambda: total(x[j], "j"), "sums over an Index"),
    "an index without a range": (lambda: check_line(x[free], 2 * x[free]), "no index, size or layer"),
    "a place of 1.5": (lambda: check_line(x[1.5], 2 * x[1.5]), "no index, size or layer"),
    "a float": (lambda: check_line(x[j], 0.5 * x[j]), "numbers are exact"),
    "infinity": (lambda: check_line(sympy.oo, x[j] * 0), "numbers are exact"),
    "i": (lambda: check_line(sympy.I * x[j], x[j]), "does not know ImaginaryUnit"),
    "an index as exponent": (lambda: check_line(x[j] ** j, x[j]), "fixed rational number"),
    "its derivative": (lambda: check_line(Diff(x[j] ** n, x[j]), 0), "fixed number as exponent"),
    "a tensor as exponent": (lambda: check_line(2 ** x[j], x[j]), "fixed rational number"),
    "a float as exponent": (lambda: check_line(x[j] ** 0.5, x[j]), "fixed rational number"),
    "sin": (lambda: check_line(sympy.sin(x[j]), sympy.sin(x[j])), "does not know sin"),
    "the derivative of sin": (lambda: check_line(Diff(sympy.sin(x[j]), x[j]), 0), "no derivative for sin"),
    "Piecewise": (lambda: check_line(sympy.Piecewise((x[j], x[j] > 0), (0, True)), x[j]), "not know Piecewise"),
    "Max": (lambda: check_line(sympy.Max(x[j], 0), x[j]), "does not know Max"),
    "Abs": (lambda: check_line(sympy.Abs(x[j]), x[j]), "does not know Abs"),
    "Derivative": (lambda: check_line(sympy.Derivative(x[j] ** 2, x[j]), 2 * x[j]), "does not know Derivative"),
    "a function of SymPy's": (lambda: check_line(sympy.Function("f")(x[j]), x[j]), "does not know f"),
    "the width of a size": (lambda: check_line(N(m) * x[j], x[j]), "has no value here"),
    "the width of an index": (lambda: check_line(N(j) * x[j], x[j]), "does not know n"),
    "0 in a denominator": (
        lambda: check_line(x[j] / (total(x[k], k) - total(x[p], p)), x[j]),
        "stands in a denominator",
    ),
    "a denominator that is 0 in every instance": (
        lambda: check_line(1 / ((n - 1) * (n - 2) * (n - 3)), n),
        "cannot be tried",
    ),
    "a range that is always empty": (lambda: check_line(x[Index("u", 0)], y[Index("u", 0)]), "cannot be tried"),
    "a range that begins late": (
        lambda: check_line(x[Index("u", T, lower=4)], y[Index("u", T, lower=4)]),
        "cannot be tried",
    ),
    "a long product round a circle": (lambda: check_line(trace_of_power(8), 0), "look alike"),
    "a long power of a sum": (lambda: check_line((x[j] + y[j]) ** 18, 0), "too many terms"),
    "a name of the calculus's own": (
        lambda: check_line(total(x[k] * y[Index("~2", n)], k), total(x[k] * y[k], k) + 0 * x[Index("~2", n)]),
        "the name ~2 is one that the calculus",
    ),
    "another one": (lambda: check_line(total(x[k] * y[Index("ι0.0", n)], k), 0), "the name ι0.0 is one"),
    "a function of a string": (lambda: sigma("abc("), "made of the names"),
    "a derivative of nothing": (lambda: Diff(None, x[j]), "made of the names"),
    "a sum of a list": (lambda: total([x[j]], j), "made of the names"),
    "a derivative by a tensor": (lambda: Diff(x[j], x), "one entry of a tensor"),
    "a derivative by a sum": (lambda: Diff(x[j], total(x[j], j)), "one entry of a tensor"),
    "a range of another index": (lambda: Index("r", j), "depends on another index"),
    "a range of the width of an index": (lambda: Index("r", N(j)), "depends on another index"),
    "half a range": (lambda: Index("r", n / 2), "need not be a whole number"),
    "a range of 3.5": (lambda: Index("r", 3.5), "a number, a Size, or a width"),
    "a negative range": (lambda: Index("r", -3), "before its beginning"),
    "a range named by a string": (lambda: Index("r", "n"), "a number, a Size, or a width"),
    "a range of a symbol": (lambda: Index("r", sympy.Symbol("n")), "make n a Size"),
    "a range of a whole symbol": (lambda: Index("r", sympy.Symbol("n", integer=True)), "make n a Size"),
    "an infinite range": (lambda: Index("r", sympy.oo), "whole number"),
    "no range": (lambda: Index("r", None), "a number, a Size, or a width"),
    "no name": (lambda: Index(None, n), "needs a name"),
    "an array of two axes with one index": (lambda: C.partial((j, k), of=x[p], over=p), "as many indices"),
    "an array over a symbol": (lambda: C(x[free], over=free), "one Index for each axis"),
    "an array over a name": (lambda: C(x[j], over="j"), "one Index for each axis"),
    "an array over one index twice": (lambda: C(x[j], over=(j, j)), "one Index for each axis"),
    "given without a comma": (lambda: check_line(x[j], x[j], Definition(a[k], x[k])), "a tuple of definitions"),
    "given None": (lambda: check_line(x[j], x[j], None), "a tuple of definitions"),
    "given a string": (lambda: check_line(x[j], x[j], "x"), "it takes Definition"),
}  # fmt: skip


@pytest.mark.parametrize("name", some(OUTSIDE, default=lambda name: name != "a long power of a sum"))
def test_what_lies_outside_is_said_clearly(name):
    typed, message = OUTSIDE[name]
    with pytest.raises(InputError, match=message):
        typed()


def defined(*facts):
    return lambda: check_line(x[j], y[j], facts)


BAD_FACTS = {
    "a circle": (defined(Definition(a[k], h[k]), Definition(h[k], a[k] + x[k])), "in a circle: a.k., h.k."),
    "itself": (defined(Definition(a[k], a[k] + 1)), "circle"),
    "its own entry at one place": (defined(Definition(a[k], a[1] + 1)), "circle"),
    "its own entry at the last place": (defined(Definition(h[t, j], h[T, j] * x[j])), "circle"),
    "the step before": (defined(Definition(h[t, j], h[t - 1, j])), "circle"),
    "twice": (defined(Definition(a[k], x[k]), Definition(a[j], y[j])), "defined twice"),
    "a base case and all cases": (defined(Definition(a[1], 0), Definition(a[k], y[k])), "defined twice"),
    "two totals": (defined(TotalIs(y[k], over=k, value=1), TotalIs(y[k], over=k, value=2)), "given twice"),
    "a definition and a total": (
        defined(Definition(y[k], x[k]), TotalIs(y[k], over=k, value=1)),
        "given twice",
    ),
    "a free index on the right": (lambda: Definition(a[k], z[k] * x[j]), "free index j"),
    "a string": (lambda: Definition(a[k], "z"), "is an expression"),
    "nothing": (lambda: Definition(a[k], None), "is an expression"),
    "a calculation on the left": (lambda: Definition(a[k + 1], x[k]), "no calculation"),
    "an index twice on the left": (lambda: Definition(w[k, k], x[k]), "names an index twice"),
    "a sum on the left": (lambda: Definition(x[k] + y[k], z[k]), "one entry"),
    "a total with an index twice": (lambda: TotalIs(w[j, j, k], over=k, value=1), "names an index twice"),
    "a total of a diagonal": (lambda: TotalIs(w[k, k], over=k, value=1), "names k once"),
    "a total of shifted entries": (lambda: TotalIs(w[j + 1, k], over=k, value=1), "no calculation"),
    "a total that is an entry": (lambda: TotalIs(w[j, k], over=k, value=a[j]), "fixed number or size"),
    "a total that is an index": (lambda: TotalIs(w[j, k], over=k, value=j), "fixed number or size"),
    "a total over nothing": (
        lambda: TotalIs(y[Index("u", T - 1)], over=Index("u", T - 1), value=1),
        "may be empty",
    ),
    "a derivative that cannot look through": (
        lambda: check_line(Diff(total(h[t - 1, j], t, j), x[k]), 0, (Definition(h[0, j], x[j]),)),
        "may or may not be",
    ),
    "a derivative by an entry that may be defined": (
        lambda: check_line(Diff(h[T, j], h[t, k]), 0, (Definition(h[T, j], x[j]),)),
        "may or may not be",
    ),
    "a way that is cut by a derivative, or not": (
        lambda: check_line(
            Diff(a[j] * h[k], a[p]),
            0,
            (Definition(a[j], sigma(z[j])), Definition(h[k], Diff(total(a[j], j), z[k]))),
        ),
        "Carry out the inner derivative first",
    ),
}


@pytest.mark.parametrize("name", BAD_FACTS)
def test_what_cannot_be_given(name):
    typed, message = BAD_FACTS[name]
    with pytest.raises(InputError, match=message):
        typed()


def test_a_base_case_beside_later_steps_is_no_circle():
    later = Index("t", T, lower=2)
    facts = (Definition(h[0, j], x[j]),)
    assert check_line(Diff(total(h[later - 1, j], later, j), x[k]), 0, facts)


# --- derivations -----------------------------------------------------------------------------------------

SQUARE = (
    Step(total(Diff(x[k] ** 2, x[j]), k), "sum rule", "Term by term."),
    Step(2 * x[j], "delta", "Only k = j names it."),
)
START = Diff(total(x[k] ** 2, k), x[j])


def test_a_derivation_holds():
    mutant = Mutant("a sum left over", 2, 2 * total(x[k], k))
    proof = Derivation("A square", START, SQUARE, mutants=(mutant,)).check()
    assert [line.ok for line in proof.lines] == [True, True]
    assert [bool(line) for line in proof.refused] == [False]
    assert proof.refused[0].counterexample is not None


def test_the_step_that_fails_is_named():
    wrong = Derivation("A square", START, (SQUARE[0], Step(x[j], "delta", "The 2 is lost.")))
    with pytest.raises(StepFails) as failed:
        wrong.check()
    assert failed.value.number == 2
    assert failed.value.line.after == x[j]
    message = str(failed.value)
    assert "step 2 does not hold (canonical form, instances in plain SymPy, 60-digit numbers)" in message
    assert "before  Σ_k ∂(x_k²)/∂x_j" in message
    assert "after   x_j" in message
    assert "with n = 1 at j = 1" in message


def test_an_undecided_step_fails_too():
    line = Step(n * (n + 1) / 2, "algebra", "Gauss.")
    with pytest.raises(StepFails, match=r"step 1 does not hold \(canonical form\)"):
        Derivation("Numbers", total(j, j), (line,)).check()


@pytest.mark.parametrize("truth", [2 * x[j], x[j] + total(x[k] * kronecker(j, k), k)])
def test_a_mutant_that_is_right_survives(truth):
    with pytest.raises(MutantSurvives, match="'no mistake' in step 2 is accepted"):
        Derivation("A square", START, SQUARE, mutants=(Mutant("no mistake", 2, truth),)).check()


def test_a_mutant_that_no_instance_shows_survives():
    hidden = 2 * x[j] + (n - 1) * (n - 2) * (n - 3)
    with pytest.raises(MutantSurvives):
        Derivation("A square", START, SQUARE, mutants=(Mutant("far away", 2, hidden),)).check()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Derivation("t", START, SQUARE[0]), "steps is a tuple of Step"),
        (lambda: Derivation("t", START, ("x",)), "steps is a tuple of Step"),
        (lambda: Derivation("t", START, ()), "at least one step"),
        (lambda: Derivation("t", START, SQUARE, mutants=Mutant("m", 1, 0)), "mutants is a tuple of Mutant"),
        (lambda: Derivation("t", START, SQUARE, mutants=(Mutant("m", 3, 0),)), "replaces step 3 of 2"),
        (lambda: Derivation("t", START, SQUARE, given=Definition(a[k], x[k])), "a tuple of definitions"),
        (lambda: Step("x", "algebra", ""), "a step holds an expression"),
        (lambda: Step(x[j], "magic", ""), "rule 'magic' is unknown"),
    ],
)
def test_a_derivation_that_is_none(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_is_zero_says_only_what_is_proved():
    assert is_zero(total(x[j], j) - total(x[k], k))
    assert not is_zero(total(j, j) - n * (n + 1) / 2)
    assert not is_zero(total(x[j], j))
