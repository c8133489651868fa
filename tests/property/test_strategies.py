"""The strategies draw what they promise: every kind of layer, unequal along the axes, and nothing that was not asked for."""

import numpy as np
import pytest
from choosing import some
from hypothesis import given, settings

from bpcheck import InputError, strategies, tree
from bpcheck.network.dense_chain import dense_chain, is_dense_chain
from bpcheck.network.layers import KINDS, Conv1d, Conv2d, Dense, Flatten, Skip
from bpcheck.network.names import places
from bpcheck.strategies.draw import drawer
from bpcheck.strategies.layers.kinds import AXES, LAYERS

DRAWS = 150


def drawn(**options):
    draw, rng = drawer(strategies.architectures(**options)), np.random.default_rng(0)
    return [draw(rng) for _ in range(DRAWS)]


@settings(max_examples=20)
@given(strategies.cases(max_batch=3))
def test_dense_cases_are_small_and_hold_no_zero(case):
    assert case.batch <= 3
    assert max(dense_chain(case.architecture).widths) <= 5
    assert all((array != 0).all() for layer in case.params for array in layer.values())


@settings(max_examples=20)
@given(strategies.cases(kinds=list(KINDS), max_width=2, max_depth=3, max_image=4, max_batch=2))
def test_cases_of_every_kind_are_small_and_hold_no_zero(case):
    assert isinstance(case.architecture.layers[-1], Dense)
    assert max(case.architecture.input_shape) <= 4
    assert case.batch <= 2
    assert len(case.architecture.layers) <= 4  # two below the output, perhaps a Flatten, and the output
    assert all((array != 0).all() for _, array in tree.leaves(case.params))


def test_every_kind_can_be_drawn():
    assert set(LAYERS) == set(AXES) == set(KINDS)


@pytest.mark.parametrize(
    "kind", some([kind for kind in KINDS if kind != "dense"], default=lambda kind: kind == "skip")
)
def test_a_kind_that_is_asked_for_occurs_and_no_other_does(kind):
    networks = drawn(kinds=[kind])
    allowed = {KINDS[kind], Dense, Flatten, *((Conv1d, Conv2d) if kind == "flatten" else ())}
    found = [{type(layer) for layer in network.layers} for network in networks]
    assert sum(KINDS[kind] in types for types in found) > DRAWS / 3
    assert all(types <= allowed for types in found)


def test_without_being_asked_nothing_but_dense_layers_is_drawn():
    assert all(is_dense_chain(network) for network in drawn())


def test_images_strides_and_padding_are_unlike_along_their_axes():
    layers = [
        place
        for network in drawn(kinds=["conv1d", "conv2d", "skip"])
        for place in places(network)
        if isinstance(place.layer, Conv1d | Conv2d)
    ]
    images = [place for place in layers if isinstance(place.layer, Conv2d)]
    assert any(place.shape[1] != place.shape[2] for place in images)
    for number in range(3):  # kernel, stride, padding
        assert any(len(set(place.layer.per_axis[number])) == 2 for place in images)
    assert any(place.shape[0] > 1 and place.layer.channels > 1 for place in layers)
    assert any(
        (place.shape[1] + 2 * place.layer.padding[0] - place.layer.kernel[0]) % place.layer.stride[0]
        for place in layers
    )


def test_skip_connections_go_around_convolutions_too():
    networks = drawn(kinds=["conv2d", "skip"])
    inside = {
        type(layer.layers[0]) for network in networks for layer in network.layers if isinstance(layer, Skip)
    }
    assert inside == {Dense, Conv2d}


@pytest.mark.parametrize("kinds", ["dense", [], ["recurrent"], ["dense", None]])
def test_kinds_that_are_none_are_refused_at_once(kinds):
    with pytest.raises(InputError, match=r"kinds is .*'conv2d'"):
        strategies.architectures(kinds=kinds)
    with pytest.raises(InputError, match=r"kinds is .*'conv2d'"):
        strategies.cases(kinds=kinds)
