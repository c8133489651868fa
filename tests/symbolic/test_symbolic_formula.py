"""The cost as a formula that people read."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy

from bpcheck import Case, InputError, mlp, symbolic, tree
from bpcheck.network.architecture import Architecture
from bpcheck.network.layers import Dense, Skip


def test_it_prints_as_it_is_written():
    c = symbolic.cost(mlp([1, 1], output="tanh", loss="mse"), batch=2)
    assert str(c) == ("(-y_1_1 + tanh(W2_1_1*x_1_1 + b2_1))**2/2 + (-y_2_1 + tanh(W2_1_1*x_2_1 + b2_1))**2/2")


def test_symbols_are_laid_out_as_parameters_are():
    architecture = Architecture((2,), (Skip((Dense(3), Dense(2))), Dense(1)))
    c = symbolic.cost(architecture, batch=3)
    assert [leaf.shape for _, leaf in tree.leaves(c.params)] == [(3, 2), (3,), (2, 3), (2,), (1, 2), (1,)]
    assert str(c.params[0][1]["weight"][1, 2]) == "W3_2_3"
    assert str(c.params[1]["weight"][0, 1]) == "W4_1_2"
    assert (c.x.shape, c.y.shape) == ((3, 2), (3, 1))
    everything = {s for _, leaf in tree.leaves([c.params, c.x, c.y]) for s in leaf.flat}
    assert c.expression.free_symbols == everything
    assert all(symbol.is_real for symbol in everything)
    with pytest.raises(ValueError, match="read-only"):
        c.params[1]["bias"][0] = sympy.Symbol("q")


@pytest.mark.parametrize(
    "architecture",
    [
        mlp([2, 2, 1], activation="relu", loss="huber", l1=0.25),
        pytest.param(mlp([1, 2, 2], activation="gelu", loss="cross_entropy", l2=0.5), marks=pytest.mark.full),
        mlp([1, 1, 1], activation="leaky_relu", loss="binary_cross_entropy"),
        Architecture((1,), (Skip((Dense(2, "silu"), Dense(1, "softplus"))),), loss="mse", reduction="sum"),
    ],
    ids=repr,
)
def test_substituting_and_differentiating_gives_the_testimony(architecture):
    rng = np.random.default_rng(1)

    def fill(shapes):
        if isinstance(shapes, tuple):
            return rng.normal(size=shapes)
        return (
            {k: fill(s) for k, s in shapes.items()} if isinstance(shapes, dict) else [fill(s) for s in shapes]
        )

    x = rng.normal(size=(2, *architecture.input_shape))
    y = np.abs(rng.uniform(size=(2, *architecture.output_shape)))
    case = Case(architecture, fill(architecture.parameter_shapes), x, y)
    c = symbolic.cost(architecture, 2)
    testimony = symbolic.testify(case)
    pairs = zip(tree.leaves([c.params, c.x, c.y]), tree.leaves([case.params, x, y]), strict=True)
    arguments, values = [], []
    for (_, symbols), (_, array) in pairs:
        arguments += list(symbols.flat)
        values += [mpmath.mpf(float(value)) for value in array.flat]
    slopes = [sympy.diff(c.expression, symbol) for _, leaf in tree.leaves(c.params) for symbol in leaf.flat]
    functions = ["mpmath", {"Heaviside": lambda z, at_zero: mpmath.mpf(z > 0)}]
    with mpmath.workdps(60):
        numbers = sympy.lambdify(arguments, [c.expression, *slopes], functions, cse=True)(*values)
    answers = [testimony.loss, *(value for array in testimony.gradient.values() for value in array.flat)]
    assert [float(number) for number in numbers] == pytest.approx(answers, rel=1e-15, abs=1e-40)


@pytest.mark.parametrize("batch", [0, -1, True, 1.5, "2"])
def test_wrong_batch(batch):
    with pytest.raises(InputError, match="batch is"):
        symbolic.cost(mlp([1, 1]), batch)


def test_wrong_architecture():
    with pytest.raises(InputError, match=r"bpcheck\.mlp"):
        symbolic.cost([2, 1], 1)


def test_what_is_too_long_to_read_is_refused():
    with pytest.raises(InputError, match=r"235,200, the limit 5,000.*bpcheck\.numeric"):
        symbolic.cost(mlp([784, 30, 10]), batch=1)
