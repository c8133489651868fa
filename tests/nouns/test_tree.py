"""Trees: paths as one would write them, copies that share nothing, restoring what was taken apart."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.tree import Path

Pair = namedtuple("Pair", "weight bias")


@dataclass
class Layer:
    weight: Any
    bias: Any = field(default=0.0)


def paths(node, root="params"):
    return [str(path) for path, _ in tree.leaves(node, root)]


# --- paths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (1.0, ["params"]),
        ([1.0, [2.0, 3.0]], ["params[0]", "params[1][0]", "params[1][1]"]),
        ({"a": 1.0, 2: 3.0, (1, "b"): 4.0}, ["params['a']", "params[2]", "params[(1, 'b')]"]),
        (Pair(1.0, [2.0]), ["params.weight", "params.bias[0]"]),
        (Layer(1.0, {"c": 2.0}), ["params.weight", "params.bias['c']"]),
        ((MappingProxyType({"it's": 1.0}),), ['params[0]["it\'s"]']),
        ([], []),
        ([{}, ()], []),
        ("text", ["params"]),
        (None, ["params"]),
        (Layer, ["params"]),  # a class is not an instance of it
    ],
)
def test_paths_are_what_one_would_write(node, expected):
    assert paths(node) == expected


def test_a_path_is_python_that_leads_there():
    params = {"layers": [Pair(np.ones(2), Layer(np.zeros(1), [3.0]))], 7: 1.0}
    for path, leaf in tree.leaves(params):
        assert eval(str(path), {"params": params}) is leaf


def test_paths_can_be_made_compared_and_looked_up():
    path = Path("params").item(2).item("weight").attribute("data")
    assert str(path) == "params[2]['weight'].data"
    assert path == Path("params", ("[2]", "['weight']", ".data"))
    assert {path: 1}[Path("params").item(2).item("weight").attribute("data")] == 1
    assert sorted([Path("params").item("b"), Path("params").item("a")])[0].keys == ("['a']",)


def test_the_root_can_be_named():
    assert paths([1.0], "gradient") == ["gradient[0]"]


def test_a_structure_that_contains_itself_is_refused():
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InputError, match=r"params is nested deeper than 64 levels: does it contain itself\?"):
        list(tree.leaves(loop))
    deep: Any = 1.0
    for _ in range(64):
        deep = [deep]
    assert len(list(tree.leaves(deep))) == 1
    with pytest.raises(InputError, match="deeper"):
        list(tree.leaves([deep]))


# --- taking apart and putting together -------------------------------------------------------------

LEAVES = st.floats(-1e6, 1e6, allow_nan=False)
TREES = st.recursive(
    LEAVES,
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.lists(children, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), children, max_size=3),
        st.tuples(children, children).map(lambda pair: Pair(*pair)),
        st.tuples(children, children).map(lambda pair: Layer(*pair)),
    ),
    max_leaves=12,
)


@given(TREES)
def test_restoring_the_leaves_gives_the_tree_back(node):
    leaves = [leaf for _, leaf in tree.leaves(node)]
    assert tree.restore(node, leaves) == node
    assert tree.copy(node) == node
    assert len(set(paths(node))) == len(leaves)
    shifted = tree.restore(node, [leaf + 1.0 for leaf in leaves])
    assert paths(shifted) == paths(node)
    assert [leaf for _, leaf in tree.leaves(shifted)] == [leaf + 1.0 for leaf in leaves]


@pytest.mark.parametrize(
    "node", [[1.0], (1.0,), {"a": 1.0}, Pair(1.0, 2.0), Layer(1.0, 2.0)], ids=lambda node: type(node).__name__
)
def test_restore_keeps_the_kind_of_container(node):
    rebuilt = tree.restore(node, [leaf for _, leaf in tree.leaves(node)])
    assert type(rebuilt) is type(node)
    assert rebuilt is not node


def test_other_mappings_come_back_as_dicts_in_their_order():
    rebuilt = tree.restore(OrderedDict(b=1.0, a=2.0), [3.0, 4.0])
    assert rebuilt == {"b": 3.0, "a": 4.0}
    assert list(rebuilt) == ["b", "a"]


def test_plain_numbers_come_back_as_plain_numbers():
    rebuilt = tree.restore({"a": 1.0, "b": np.float32(2.0), "c": np.array(3.0)}, [np.array(5.0)] * 3)
    assert type(rebuilt["a"]) is float
    assert isinstance(rebuilt["b"], np.ndarray)
    assert isinstance(rebuilt["c"], np.ndarray)


def test_a_copy_shares_no_container_and_no_array():
    original = {"w": [np.zeros(2), (np.ones(1),)], "n": Layer(np.zeros(1), "name")}
    copied = tree.copy(original)
    assert copied["n"].bias == "name"
    for (_, a), (_, b) in zip(tree.leaves(original), tree.leaves(copied), strict=True):
        if isinstance(a, np.ndarray):
            assert not np.shares_memory(a, b)
            assert b.flags.writeable
    copied["w"][0][0] = 5.0
    copied["w"].append(1.0)
    assert original["w"][0][0] == 0.0
    assert len(original["w"]) == 2


@pytest.mark.parametrize(
    "array", [np.asfortranarray(np.ones((2, 3))), np.arange(8.0)[::2], np.ones(2, ">f4"), np.array(1)]
)
def test_a_copy_keeps_dtype_and_values(array):
    copied = tree.copy([array])[0]
    assert copied.dtype == array.dtype
    np.testing.assert_array_equal(copied, array)


# --- arrays ----------------------------------------------------------------------------------------


def test_arrays_are_fresh_and_keep_their_precision():
    given_arrays = {"a": np.ones(2, np.float32), "b": 0.5, "c": np.float16(1.0)}
    found = tree.arrays(given_arrays)
    assert [array.dtype for array in found.values()] == [np.float32, np.float64, np.float16]
    found[Path("params").item("a")][0] = 9.0
    assert given_arrays["a"][0] == 1.0


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (np.array([1, 2]), r"w'\] is int64 array of shape \(2,\).*\.astype\(float\)"),
        (3, r"w'\] is int 3.*numpy\.asarray"),
        (True, r"w'\] is bool True"),
        (None, r"w'\] is None"),
        ("w", r"w'\] is str 'w'"),
        (1j, r"w'\] is complex 1j"),
        (np.array([1j]), r"w'\] is complex128 array.*real and imaginary parts"),
        (np.array([None]), r"w'\] is object array"),
        (np.array(["a"]), r"w'\] is <U1 array"),
        (np.array([1.0, np.nan]), r"w'\] holds nan at index \(1,\).*finite"),
        (np.array([[1.0], [-np.inf]]), r"w'\] holds -inf at index \(1, 0\)"),
        (float("nan"), r"w'\] holds nan at index \(\)"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value),
)
def test_a_leaf_that_cannot_be_perturbed_is_named(leaf, message):
    with pytest.raises(InputError, match=message):
        tree.arrays({"w": leaf})


@pytest.mark.parametrize("empty", [[], {}, (), [[], {}]])
def test_a_tree_without_leaves_is_refused(empty):
    with pytest.raises(InputError, match="params is empty"):
        tree.arrays(empty)


def test_a_tree_without_numbers_is_refused_but_one_empty_leaf_is_not():
    with pytest.raises(InputError, match="size zero"):
        tree.arrays([np.zeros((0, 2)), np.zeros(0)])
    assert len(tree.arrays([np.zeros((0, 2)), np.zeros(1)])) == 2


# --- small things ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leaf", "text"),
    [
        (None, "None"),
        (np.zeros((3, 2), np.float32), "float32 array of shape (3, 2)"),
        (np.array(1), "int64 array of shape ()"),
        ("abc", "str 'abc'"),
        (2, "int 2"),
        ([1.0] * 50, "list [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1...."),
    ],
)
def test_a_leaf_is_described_in_one_short_phrase(leaf, text):
    described = tree.describe(leaf)
    assert described == text if len(text) < 40 else described.startswith(text[:30])
    assert len(described) <= 60
    assert "\n" not in described


def test_frozen_arrays_are_read_only_copies():
    array = np.zeros(2)
    frozen = tree.freeze(array)
    with pytest.raises(ValueError, match="read-only"):
        frozen[0] = 1.0
    array[0] = 5.0
    assert frozen[0] == 0.0
    assert array.flags.writeable


@given(st.lists(st.floats(-1e300, 1e300, allow_nan=False), max_size=8), st.sampled_from([1e-300, 1.0, 1e150]))
def test_rms_is_the_root_mean_square_without_overflow(values, scale):
    array = np.array(values, dtype=float) / 1e150 * scale
    size = tree.rms(array)
    top = float(np.max(abs(array), initial=0.0))
    assert 0.0 <= size <= top * (1 + 1e-12)
    if top:
        assert size == pytest.approx(top * np.sqrt(np.mean((array / top) ** 2)), rel=1e-12)


def test_rms_of_nothing_zeros_and_what_is_not_finite():
    assert tree.rms(np.zeros(0)) == tree.rms(np.zeros(3)) == 0.0
    assert tree.rms(np.array([1e300, 1e300])) == pytest.approx(1e300)
    assert tree.rms(np.array([1.0, np.inf])) == np.inf
    assert np.isnan(tree.rms(np.array([1.0, np.nan])))
