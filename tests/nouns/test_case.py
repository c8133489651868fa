"""Cases: validated once, immutable for ever, and printed as what makes them again."""

import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given

import bpcheck
from bpcheck import Architecture, Case, mlp, tree
from bpcheck.errors import InputError
from bpcheck.network.layers import Dense, Skip
from bpcheck.strategies import cases

PLAIN = mlp([2, 3, 1])


def parts():
    params = [
        {"weight": np.ones((3, 2)), "bias": np.zeros(3)},
        {"weight": np.ones((1, 3)), "bias": np.zeros(1)},
    ]
    return params, np.ones((4, 2)), np.zeros((4, 1))


@given(cases(kinds=["dense", "skip"]))
def test_repr_is_the_constructor(case):
    names = {"Case": Case, "mlp": mlp, "Architecture": Architecture, "Dense": Dense, "Skip": Skip}
    again = eval(repr(case), names)
    assert again == case
    assert hash(again) == hash(case)
    assert repr(again) == repr(case)
    for (_, a), (_, b) in zip(tree.leaves(again.params), tree.leaves(case.params), strict=True):
        np.testing.assert_array_equal(a, b)
    assert pickle.loads(pickle.dumps(case)) == case


def test_nested_lists_and_whole_numbers_become_float_arrays():
    case = Case(mlp([1, 1]), [{"weight": [[2]], "bias": [1]}], x=[[3]], y=[[True]])
    for array in (case.params[0]["weight"], case.params[0]["bias"], case.x, case.y):
        assert array.dtype == np.float64
    assert case.y.tolist() == [[1.0]]


def test_a_case_keeps_the_precision_of_its_arrays():
    params, x, y = parts()
    case = Case(
        PLAIN, tree.restore(params, [leaf.astype(np.float32) for _, leaf in tree.leaves(params)]), x, y
    )
    assert case.params[0]["weight"].dtype == np.float32
    assert case.x.dtype == np.float64


def test_a_case_shares_nothing_with_what_it_was_made_of():
    params, x, y = parts()
    case = Case(PLAIN, params, x, y)
    params[0]["weight"][...] = 9.0
    params.pop()
    x[...] = 9.0
    y[...] = 9.0
    assert case == Case(PLAIN, *parts())


def test_a_case_cannot_be_changed():
    case = Case(PLAIN, *parts())
    with pytest.raises(FrozenInstanceError):
        case.x = np.ones((4, 2))
    for array in (case.x, case.y, *(leaf for _, leaf in tree.leaves(case.params))):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1.0


def test_mutable_copies_are_writable_and_independent():
    case = Case(PLAIN, *parts())
    params, x, y = case.mutable()
    params[0]["weight"][...] = 9.0
    x[...] = 9.0
    y[...] = 9.0
    assert case == Case(PLAIN, *parts())
    assert case.mutable()[0][0]["weight"].max() == 1.0


def test_a_case_can_be_varied_and_counts_its_batch():
    case = Case(PLAIN, *parts(), seed=5)
    assert (case.batch, case.seed) == (4, 5)
    smaller = replace(case, x=case.x[:1], y=case.y[:1], seed=None)
    assert smaller.batch == 1
    assert smaller != case
    assert "seed" not in repr(smaller)
    assert case != "a case"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": [2, 3, 1]}, r"architecture is \[2, 3, 1\]; make one with bpcheck\.mlp"),
        ({"architecture": None}, "architecture is None"),
        ({"x": np.ones(2)}, r"x has shape \(2,\).*x\[None, :\]"),
        ({"x": 1.0}, r"x has shape \(\)"),
        ({"x": np.ones((4, 3))}, r"x has shape \(4, 3\).*needs \(batch, 2\)"),
        ({"x": np.ones((4, 2, 1))}, r"x has shape \(4, 2, 1\)"),
        ({"x": np.ones((0, 2)), "y": np.ones((0, 1))}, "x has shape .*the batch is empty"),
        ({"x": None}, "x is None"),
        ({"x": {"a": 1}}, "x is dict"),
        ({"x": [["a", "b"]] * 4}, "x is list"),
        ({"x": [[1.0, 2.0], [1.0]]}, "x is not a rectangular array"),
        ({"x": np.full((4, 2), np.nan)}, "x holds nan"),
        ({"x": np.ones((4, 2)) * 1j}, "x is complex128 array"),
        ({"y": np.zeros((3, 1))}, r"y has shape \(3, 1\), but \(4, 1\) is needed"),
        ({"y": np.zeros(4)}, r"y has shape \(4,\).*y\[None, :\]"),
        ({"y": np.full((4, 1), np.inf)}, "y holds inf"),
        ({"params": []}, "params is a list of 0.*list of 2"),
        ({"params": None}, "params is a NoneType.*list of 2"),
        ({"params": {"weight": 1.0}}, "params is a dict"),
        ({"params": [1.0, 2.0]}, r"params\[0\] is float.*\['bias', 'weight'\]"),
        ({"params": [[1.0], [2.0]]}, r"params\[0\] is list"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(change, message):
    params, x, y = parts()
    with pytest.raises(InputError, match=message):
        Case(**{"architecture": PLAIN, "params": params, "x": x, "y": y, **change})


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("bad", [-0.5, 1.5, 2.0])
def test_targets_of_a_probability_loss_lie_between_zero_and_one(loss, bad):
    architecture = mlp([1, 2], loss=loss)
    params = [{"weight": [[1.0], [2.0]], "bias": [0.0, 0.0]}]
    Case(architecture, params, [[1.0]], [[0.25, 0.75]])
    with pytest.raises(InputError, match=rf"y has values outside \[0, 1\].*{loss}"):
        Case(architecture, params, [[1.0]], [[bad, 0.0]])


def test_parameters_of_skips_are_nested_lists():
    architecture = Architecture((1,), (Skip((Dense(1, "tanh"),)), Dense(1)))
    layer = {"weight": [[1.0]], "bias": [0.5]}
    assert Case(architecture, [[layer], layer], [[1.0]], [[0.0]]).params[0][0]["bias"].tolist() == [0.5]
    with pytest.raises(InputError, match=r"params\[0\] is a dict, .*a list of 1"):
        Case(architecture, [layer, layer], [[1.0]], [[0.0]])
    with pytest.raises(InputError, match=r"params\[0\]\[0\]\['bias'\] has shape \(2,\)"):
        Case(architecture, [[{**layer, "bias": [1.0, 2.0]}], layer], [[1.0]], [[0.0]])


def test_a_case_is_the_same_from_the_top_of_the_package():
    assert bpcheck.Case is Case


def test_the_repr_keeps_single_precision():
    architecture = mlp([1, 1])
    params = [{"weight": np.float32([[0.1]]), "bias": np.float32([0.2])}]
    case = Case(architecture, params, x=np.float32([[0.3]]), y=[[0.5]])
    again = eval(repr(case), {"Case": Case, "mlp": mlp, "np": np})
    assert again == case
    assert again.params[0]["weight"].dtype == np.float32
    assert again.y.dtype == np.float64
