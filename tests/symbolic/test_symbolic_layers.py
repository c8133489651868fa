"""The formulas of the kinds of layers, and what the symbolic witness says of a kind that it lacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import sympy

from bpcheck import Case, InputError, symbolic, tree
from bpcheck.network.architecture import Architecture
from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, LayerSpec, Skip
from bpcheck.strategies.values import case_from_seed
from bpcheck.symbolic.algebra import Explicit
from bpcheck.symbolic.index import Exact, World
from bpcheck.symbolic.index.interpret import Reading
from bpcheck.symbolic.layers.convolution import ConvolutionFormula
from bpcheck.symbolic.layers.layer import Site
from bpcheck.symbolic.size import refuse_large_formula, refuse_much_work
from derivations import convolution as derivation


def symbols(name, shape):
    found = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        found[index] = sympy.Symbol("_".join([name, *map(str, index)]))
    return found


def by_the_derivation(weight, bias, image, stride, padding, shape):
    """The forward pass that the derivation of convolution begins with, read by the interpreter of the index calculus.

    It has two axes, one stride and no padding: the image is given with its border of zeros.
    """
    padded = np.pad(image, [(0, 0), *((n, n) for n in padding)])
    # it counts filters and channels from 1, and places from 0
    values = {("X", (c + 1, *place)): value for (c, *place), value in np.ndenumerate(padded)}
    values |= {("K", (o + 1, c + 1, *place)): value for (o, c, *place), value in np.ndenumerate(weight)}
    values |= {("b", (o + 1,)): value for (o,), value in np.ndenumerate(bias)}
    sizes = {
        derivation.stride: stride,
        **dict(zip((derivation.filters, derivation.rows, derivation.columns), shape, strict=True)),
        **dict(zip((derivation.channels, derivation.high, derivation.wide), weight.shape[1:], strict=True)),
    }
    reading = Reading(World(sizes, {}, {}, given=(derivation.forward,), values=values), Exact())
    found = np.empty(shape, dtype=object)
    for o, i, j in np.ndindex(shape):
        found[o, i, j] = reading.entry(("Y", (o + 1, i, j)))
    return found


def differs(layer, shape):
    """Whether the layer's formula is another polynomial than the derivation's, at any unit."""
    kernel, stride, padding = layer.per_axis
    params = {key: symbols(key, size) for key, size in layer.parameter_shapes(shape).items()}
    x = symbols("x", shape)
    site = Site(Explicit({}), tree.Path("params"), 0)
    z = ConvolutionFormula(layer, shape).forward(params, x, site)
    flat = len(kernel) == 1  # one axis is two of which the second has length 1
    theirs = by_the_derivation(
        params["weight"][..., None] if flat else params["weight"],
        params["bias"],
        x[..., None] if flat else x,
        stride[0],
        (*padding, 0) if flat else padding,
        (*z.shape, 1) if flat else z.shape,
    )
    return any(sympy.expand(a - b) != 0 for a, b in zip(z.flat, theirs.flat, strict=True))


CONVOLUTIONS = [
    (Conv2d(2, (2, 3)), (2, 3, 4)),
    (Conv2d(2, (3, 2), stride=2, padding=(1, 2)), (1, 4, 3)),
    (Conv2d(1, (1, 2), stride=3, padding=(0, 1)), (2, 5, 3)),  # pixels that no window shows
    (Conv1d(2, 3, stride=2, padding=1), (2, 6)),
    (Conv1d(1, 2, padding=2), (1, 3)),  # windows that show the border alone
]


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS, ids=str)
def test_a_convolution_is_the_one_of_the_derivation(layer, shape):
    assert not differs(layer, shape)


@pytest.mark.parametrize(
    "place",
    [
        lambda s, i, k, n, size: i + k - n,
        lambda s, i, k, n, size: s * i + k,
        lambda s, i, k, n, size: s * i + size - 1 - k - n,
    ],
    ids=["the stride is forgotten", "the padding is forgotten", "the kernel is flipped"],
)
def test_a_planted_wrong_place_is_another_formula(place, monkeypatch):
    def wrong(self, p, q):
        kernel, stride, padding = self.spec.per_axis
        return [place(*of) for of in zip(stride, p, q, padding, kernel, strict=True)]

    monkeypatch.setattr(ConvolutionFormula, "_place", wrong)
    assert differs(*CONVOLUTIONS[1])
    assert differs(*CONVOLUTIONS[3])


def test_variables_have_an_index_for_each_axis_and_the_book_number_of_their_layer():
    network = Architecture((1, 2, 2), (Skip((Conv2d(1, 1),)), Conv2d(2, 2), Flatten(), Dense(1)))
    c = symbolic.cost(network, batch=1)
    assert str(c.params[1]["weight"][1, 0, 0, 1]) == "W3_2_1_1_2"
    assert str(c.params[1]["bias"][1]) == "b3_2"
    assert str(c.params[3]["weight"][0, 1]) == "W4_1_2"  # flattening is not counted
    assert str(c.x[0, 0, 1, 1]) == "x_1_1_2_2"


def test_it_prints_as_it_is_written():
    c = symbolic.cost(Architecture((1, 2), (Conv1d(1, 2, stride=2, padding=1), Flatten())), batch=1)
    assert str(c) == ("(W2_1_1_1*x_1_1_2 + b2_1 - y_1_2)**2/2 + (W2_1_1_2*x_1_1_1 + b2_1 - y_1_1)**2/2")


def test_what_a_convolution_costs():
    """3 × 3 positions of 2 channels, each a sum of 8 products and a bias; two ways from each pixel by the skip."""
    conv = Conv2d(2, 2, activation="tanh")
    network = Architecture((2, 4, 4), (Skip((Conv2d(2, 1),)), conv, Flatten(), Dense(5)))
    parameters = 6 + 18 + 5 * 18 + 5
    connections = 2 * 16 * 3 + 2 * 9 * 9 + 5 * 19
    work = parameters * connections * 10 * 3
    with pytest.raises(InputError, match=f"× connections × batch × layers is {work:,}, the limit 500,000"):
        refuse_much_work(network, 10, "symengine")
    paths = 10 * (1 + 2) * 8 * 18 * 5
    with pytest.raises(InputError, match=f"paths from input to output is {paths:,}, the limit 5,000"):
        refuse_large_formula(network, 10)


def test_a_unit_of_a_convolution_at_its_kink_is_named_by_its_indices():
    network = Architecture((1, 1, 3), (Conv2d(2, 1, activation="relu"), Flatten(), Dense(1)))
    params = [
        {"weight": [[[[1.0]]], [[[1.0]]]], "bias": [0.5, -3.0]},
        {},
        {"weight": [[1.0] * 6], "bias": [0.0]},
    ]
    case = Case(network, params, [[[[1.0, 2.0, 3.0]]]], [[0.0]])
    message = r"unit \(1, 0, 2\) of params\[0\] \(relu\), example 0: it is exactly at its kink"
    with pytest.raises(InputError, match=message):
        symbolic.testify(case)


@dataclass(frozen=True)
class Doubled(LayerSpec):
    """2x: a kind of layer that no wing knows."""

    kind = "doubled"

    def output_shape(self, shape):
        return shape


def test_a_kind_that_it_lacks():
    network = Architecture((2,), (Skip((Dense(2), Doubled())), Dense(1)))
    message = (
        r"the symbolic witness does not know the layer Doubled\(\); it knows Dense, Skip, Flatten, Conv1d, Conv2d\. "
        r"Use the numeric witness, which needs no formula: bpcheck\.check_gradient\."
    )
    with pytest.raises(InputError, match=message):
        symbolic.testify(case_from_seed(network, 1, 1))
    with pytest.raises(InputError, match=message):
        symbolic.cost(network, 1)


@dataclass(frozen=True)
class TwoWeights(Doubled):
    """Two parameters of one role."""

    roles = {"u": "weight", "v": "weight"}  # noqa: RUF012

    def parameter_shapes(self, shape):
        return {"u": (1,), "v": (1,)}


def test_two_parameters_of_one_role_are_two_variables(monkeypatch):
    class Formula:
        paths = connections = 2

        def forward(self, params, x, site):
            return params["u"] * x + params["v"]

    from bpcheck.symbolic.layers import kinds

    monkeypatch.setattr(kinds, "LAYERS", {TwoWeights: lambda spec, shape: Formula()})
    c = symbolic.cost(Architecture((1,), (TwoWeights(),)), 1)
    assert len(c.expression.free_symbols) == 4
    assert str(c.params[0]["v"][0]) == "params[0]['v']_1"
