"""Architectures: their repr is their constructor, JSON brings them back, and what makes no sense is refused."""

import json
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given

from bpcheck import Architecture, mlp
from bpcheck.errors import ArchitectureError, BpcheckError, InputError
from bpcheck.network.architecture import DEFAULT_OUTPUT, LOSSES
from bpcheck.network.dense_chain import dense_chain, is_dense_chain
from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.network.layers.kinds import from_data
from bpcheck.network.names import book_name, number_of, places, role_of
from bpcheck.strategies import architectures

NAMES = {"mlp": mlp, "Architecture": Architecture, "Dense": Dense, "Skip": Skip}

SKIP = Architecture(
    (3,), (Skip((Dense(4, "tanh"), Skip((Dense(4),)), Dense(3))), Dense(2)), "mse", "sum", 0.5, 0.25, True
)
EXAMPLES = [
    mlp([2, 1]),
    mlp([2, 3, 1]),
    mlp([4, 5, 6, 3], activation="relu", loss="cross_entropy", reduction="sum"),
    mlp([2, 2], loss="binary_cross_entropy", output="identity"),
    mlp([2, 3, 2], l1=0.1, l2=1e-4, penalize_bias=True),
    mlp([2, 3, 2], penalize_bias=True),
    Architecture((2,), (Dense(3, "tanh"), Dense(3, "relu"), Dense(1))),
    SKIP,
]


@pytest.mark.parametrize("architecture", EXAMPLES, ids=repr)
def test_repr_is_the_constructor(architecture):
    again = eval(repr(architecture), dict(NAMES))
    assert again == architecture
    assert repr(again) == repr(architecture)
    assert hash(again) == hash(architecture)


@given(architectures(kinds=["dense", "skip"]))
def test_repr_json_and_pickle_bring_every_architecture_back(architecture):
    assert eval(repr(architecture), dict(NAMES)) == architecture
    text = architecture.to_json()
    assert Architecture.from_json(text) == architecture
    assert json.loads(text)["loss"] == architecture.loss
    assert pickle.loads(pickle.dumps(architecture)) == architecture


def test_plain_networks_are_shown_short_and_mixed_ones_in_full():
    assert repr(mlp([2, 3, 1])) == (
        "mlp([2, 3, 1], activation='tanh', output='identity', loss='half_mse', reduction='mean')"
    )
    assert repr(mlp([2, 1])) == "mlp([2, 1], output='identity', loss='half_mse', reduction='mean')"
    assert "l1" not in repr(mlp([2, 1], l2=0.5))
    assert repr(EXAMPLES[-2]).startswith("Architecture(input_shape=(2,), layers=(Dense(")


def test_the_same_json_comes_out_whatever_numbers_went_in():
    first, second = mlp([2, 3, 1], l2=1), mlp(np.array([2, 3, 1]), l2=1.0)
    assert first == second
    assert first.to_json() == second.to_json()


def test_what_an_architecture_says_about_itself():
    assert SKIP.output_shape == (2,)
    assert SKIP.output == "identity"
    assert not is_dense_chain(SKIP)
    assert SKIP.parameter_shapes == [
        [
            {"weight": (4, 3), "bias": (4,)},
            [{"weight": (4, 4), "bias": (4,)}],
            {"weight": (3, 4), "bias": (3,)},
        ],
        {"weight": (2, 3), "bias": (2,)},
    ]
    chain = mlp([4, 5, 3], loss="cross_entropy")
    assert (dense_chain(chain).widths, chain.output, is_dense_chain(chain)) == ((4, 5, 3), "softmax", True)
    assert Architecture((2,), (Dense(2, "tanh"), Skip((Dense(2, "tanh"),)))).output == "identity"


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_has_its_own_output_and_the_probability_losses_no_other(loss):
    assert mlp([2, 2], loss=loss).output == DEFAULT_OUTPUT[loss]
    for output in ACTIVATIONS:
        if loss in ("cross_entropy", "binary_cross_entropy") and output not in (
            "identity",
            DEFAULT_OUTPUT[loss],
        ):
            with pytest.raises(ArchitectureError, match=r"needs probabilities.*identity.*logits"):
                mlp([2, 2], loss=loss, output=output)
        else:
            assert mlp([2, 2], loss=loss, output=output).output == output


def test_architectures_are_immutable_and_can_be_keys():
    architecture = mlp([2, 1])
    with pytest.raises(FrozenInstanceError):
        architecture.loss = "mse"
    assert {architecture: 1}[mlp([2, 1])] == 1
    assert isinstance(Architecture((2,), [Dense(1)]).layers, tuple)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mlp([2]), r"widths is \[2\]; give at least input and output"),
        (lambda: mlp([]), r"widths is \[\]"),
        (lambda: mlp(3), r"widths is 3; give a list such as \[2, 3, 1\]"),
        (lambda: mlp("23"), "widths is '23'; give a list"),
        (lambda: mlp(None), "widths is None"),
        (lambda: mlp([2, 0, 1]), "a width is 0; a layer needs .* 1 or more"),
        (lambda: mlp([2, -1]), "a width is -1"),
        (lambda: mlp([2, 1.0]), "a width is 1.0"),
        (lambda: mlp([2, True]), "a width is True"),
        (lambda: mlp([2, "3"]), "a width is '3'"),
        (lambda: mlp([2, 1], activation="tan"), "activation is 'tan'; choose one of .*'tanh'"),
        (lambda: mlp([2, 3, 1], activation=None), "activation is None"),
        (lambda: mlp([2, 1], activation=["tanh"]), "activation is"),
        (lambda: mlp([2, 1], output="linear"), "output is 'linear'; choose one of .*'identity'"),
        (lambda: mlp([2, 1], loss="l2"), "loss is 'l2'; choose one of .*'half_mse'"),
        (lambda: mlp([2, 1], reduction="none"), "reduction is 'none'; choose one of 'mean', 'sum'"),
        (lambda: mlp([2, 1], l2=-0.1), "l2 is -0.1; a penalty factor is a finite number, 0 or more"),
        (lambda: mlp([2, 1], l1=float("nan")), "l1 is nan"),
        (lambda: mlp([2, 1], l1=float("inf")), "l1 is inf"),
        (lambda: mlp([2, 1], l2=True), "l2 is True"),
        (lambda: mlp([2, 1], l2="0.1"), "l2 is '0.1'"),
        (lambda: mlp([2, 1], penalize_bias=1), "penalize_bias is 1; give True or False"),
        (lambda: Architecture((2,), ()), "there are no layers"),
        (
            lambda: Architecture((2,), ("tanh",)),
            r"a layer is 'tanh'; use one of bpcheck\.layers",
        ),
        (lambda: Architecture((0,), (Dense(1),)), "input_shape is 0"),
        (lambda: Architecture((2, 2), (Dense(1),)), r"flat inputs of shape \(n,\), given \(2, 2\)"),
        (lambda: Architecture((2,), (Skip((Dense(3),)),)), r"shape \(2,\) to an output of shape \(3,\)"),
        (lambda: Skip(()), "there are no layers"),
        (lambda: Dense(0), "units is 0"),
        (lambda: Dense(2, "tan"), "activation is 'tan'"),
        (
            lambda: Architecture.from_json('{"input_shape": [2], "layers": [{"kind": "conv"}]}'),
            "kind of layer 'conv'",
        ),
        (lambda: Architecture.from_json("not json"), "JSON"),
        (lambda: Architecture.from_json('{"layers": []}'), "input_shape"),
        (lambda: Architecture.from_json("[1, 2]"), "JSON"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_was_given_and_what_is_possible(make, message):
    with pytest.raises(ArchitectureError, match=message) as caught:
        make()
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, BpcheckError)


def test_book_names_count_the_input_as_layer_one():
    deep = mlp([1] * 10)
    assert book_name(deep, "params[0]['weight']") == "W²"
    assert book_name(deep, "params[8]['bias']") == "b¹⁰"
    for other in ("params[0][0]['weight']", "params[0]['scale']", "params[9]['bias']", "params", "", "x"):
        assert book_name(deep, other) == ""


def test_books_count_through_skip_connections_and_leave_out_flattening():
    network = Architecture(
        (2, 5),
        (Conv1d(2, 3, padding=1), Skip((Conv1d(2, 1), Conv1d(2, 1))), Flatten(), Dense(3, "tanh"), Dense(1)),
    )
    assert [place.number for place in places(network)] == [2, 3, 4, None, 5, 6]
    assert book_name(network, "params[1][1]['weight']") == "W⁴"
    assert number_of(network, "params[3]['bias']") == 5
    assert role_of(network, "params[3]['bias']") == "bias"
    assert role_of(network, "params[2]['bias']") is None


def test_a_dense_chain_refuses_any_other_network():
    assert dense_chain(mlp([4, 5, 3])).widths == (4, 5, 3)
    with pytest.raises(ArchitectureError, match=r"no plain chain of dense layers: it has Skip"):
        dense_chain(SKIP)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Conv2d(3, 3).output_shape((5,)),
            r"Conv2d needs inputs of shape \(channels, height, width\)",
        ),
        (lambda: Conv2d(3, 3).output_shape((1, 2, 5)), "the kernel is 3 long, the input with its padding 2"),
        (lambda: Conv1d(3, 0), "kernel is 0; the size of a kernel"),
        (lambda: Conv1d(3, 2, stride=0), "stride is 0"),
        (lambda: Conv1d(3, 2, padding=-1), "padding is -1"),
        (lambda: Conv2d(3, (2, 2, 2)), r"kernel is \(2, 2, 2\); give one number, or 2"),
        (lambda: Conv2d(3, 2, activation="softmax"), "activation is 'softmax'; choose one of"),
        (lambda: Architecture((2, 4), (Conv1d(1, 2),)), "the losses need flat outputs"),
        (lambda: Architecture((2, 4), (Dense(1),)), r"put bpcheck.layers.Flatten\(\) before it"),
    ],
)
def test_a_layer_that_does_not_fit_says_what_it_needs(make, message):
    with pytest.raises(ArchitectureError, match=message):
        make()


@pytest.mark.parametrize(
    "layer", [Conv1d(3, 2, stride=2, padding=1), Conv2d(3, (2, 1), activation="relu"), Flatten()]
)
def test_every_kind_of_layer_can_be_written_down_and_read_again(layer):
    assert from_data(json.loads(json.dumps(layer.to_data()))) == layer
    assert eval(repr(layer)) == layer
