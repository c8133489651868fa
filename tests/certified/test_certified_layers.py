"""The kinds of layers in balls: convolutions by hand, at a kink, through certify(), and a kind that is lacking."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from bpcheck import Architecture, Case, InputError, Verdict, certified, certify, reference, tree
from bpcheck.certified.balls import Balls
from bpcheck.certified.proof import sides
from bpcheck.certified.reverse import propagate
from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, LayerSpec, Skip
from bpcheck.strategies.values import case_from_seed


def test_numbers_worked_out_by_hand():
    """x = (0 |) 1 2 3 (| 0) in windows of two, two apart: z = 3·0 + 5·1 = 5 and 3·2 + 5·3 = 21; residuals 4 and 1."""
    network = Architecture((1, 3), (Conv1d(1, 2, stride=2, padding=1), Flatten()))
    case = Case(network, [{"weight": [[[3.0, 5.0]]], "bias": [0.0]}, {}], [[[1.0, 2.0, 3.0]]], [[1.0, 20.0]])
    said = certified.testify(case)
    assert said.loss == (16 + 1) / 2
    assert {str(path): value.tolist() for path, value in said.gradient.items()} == {
        "params[0]['weight']": [[[4 * 0 + 1 * 2, 4 * 1 + 1 * 3]]],
        "params[0]['bias']": [4 + 1],
    }
    assert all((error == 0).all() for error in said.error.values())
    assert certified.exact(case).loss == Fraction(17, 2)


def test_the_input_below_a_convolution_by_hand():
    """The first layer only multiplies each number by 2: its own slope is Σ_i x_i Σ (windows that show i)."""
    layers = (Conv1d(1, 1), Conv1d(1, 2, padding=1), Flatten())
    params = [{"weight": [[[2.0]]], "bias": [0.0]}, {"weight": [[[3.0, 5.0]]], "bias": [0.0]}, {}]
    # z = (5·2, 3·2 + 5·4, 3·4) = (10, 26, 12); the targets leave residuals 1, 1, 2
    case = Case(Architecture((1, 2), layers), params, [[[1.0, 2.0]]], [[9.0, 25.0, 10.0]])
    gradient = {str(path): value.tolist() for path, value in certified.testify(case).gradient.items()}
    below = (5 * 1 + 3 * 1, 5 * 1 + 3 * 2)
    assert gradient["params[0]['weight']"] == [[[1 * below[0] + 2 * below[1]]]]
    assert gradient["params[0]['bias']"] == [sum(below)]


AT_KINK = Case(
    Architecture((1, 1, 3), (Conv2d(2, 1, activation="relu"), Flatten(), Dense(1))),
    [
        {"weight": [[[[1.0]]], [[[1.0]]]], "bias": [0.5, -3.0]},
        {},
        {"weight": [[1.0, 1.0, 1.0, 1.0, 1.0, 2.0]], "bias": [0.0]},
    ],
    [[[[1.0, 2.0, 3.0]]]],
    [[0.0]],
)


def test_a_unit_of_a_convolution_at_its_kink_is_named_by_its_indices():
    assert [str(unit) for unit in sides(AT_KINK).kinks] == [
        "unit (1, 0, 2) of params[0] (relu), example 0",
    ]
    message = r"unit \(1, 0, 2\) of params\[0\] \(relu\), example 0: it is exactly at its kink"
    with pytest.raises(InputError, match=message):
        certified.testify(AT_KINK)
    with pytest.raises(InputError, match=message):
        certified.exact(AT_KINK)


def test_either_slope_at_the_kink_is_certified_and_nothing_beyond():
    (unit,) = sides(AT_KINK).kinks
    for slope, verdict in [
        (0.0, Verdict.AGREES_AT_KINK),
        (1.0, Verdict.AGREES_AT_KINK),
        (1.5, Verdict.DISAGREES),
    ]:
        found = propagate(AT_KINK, Balls(128), slopes={unit: slope})
        gradient = tree.restore(
            AT_KINK.params,
            [
                np.array([float(ball) for ball in found.gradient[path].entries()]).reshape(leaf.shape)
                for path, leaf in tree.leaves(AT_KINK.params)
            ],
        )
        report = certify(AT_KINK.architecture, AT_KINK.params, AT_KINK.x, AT_KINK.y, gradient)
        assert report.verdict is verdict, slope


NETWORKS = [
    Architecture(
        (2, 5, 4),
        (
            Conv2d(3, (3, 2), stride=(2, 1), padding=(1, 0), activation="tanh"),
            Skip((Conv2d(3, 3, padding=1, activation="relu"),)),
            Flatten(),
            Dense(3, "softmax"),
        ),
        "cross_entropy",
        l2=0.1,
    ),
    Architecture(
        (3, 9), (Conv1d(4, 3, stride=2, activation="gelu"), Conv1d(2, 2, padding=1), Flatten()), "mse"
    ),
]


# 24 bits leave little after four layers of which one is saturated: the caller is content with a tenth
ASKED = [
    (0, np.float64, 1e-3, 1e-10),
    (1, np.float64, 1e-3, 1e-10),
    (0, np.float32, 0.1, 0.1),
    (1, np.float32, 1e-3, 1e-3),
]


@pytest.mark.parametrize(("number", "dtype", "resolution", "off"), ASKED)
def test_a_right_gradient_is_proved_and_one_wrong_entry_refuted(number, dtype, resolution, off):
    network = NETWORKS[number]
    case = case_from_seed(network, 3, 4)
    params = tree.restore(case.params, [leaf.astype(dtype) for _, leaf in tree.leaves(case.params)])
    gradient = reference.build(network).gradient(params, case.x.astype(dtype), case.y.astype(dtype))
    report = certify(network, params, case.x, case.y, gradient, resolution=resolution)
    assert report.verdict is Verdict.AGREES, report
    wrong = tree.copy(gradient)
    wrong[0]["weight"].flat[2] *= 1 + off
    refuted = certify(network, params, case.x, case.y, wrong, resolution=resolution)
    assert refuted.verdict is Verdict.DISAGREES
    index = tuple(int(i) for i in np.unravel_index(2, wrong[0]["weight"].shape))
    bad = [(c.path, c.worst_index) for c in refuted.comparisons if not c.verdict.ok]
    assert bad == [("params[0]['weight']", index)]


@dataclass(frozen=True)
class Doubled(LayerSpec):
    """2x: a kind of layer that no wing knows."""

    kind = "doubled"

    def output_shape(self, shape):
        return shape


@pytest.mark.parametrize("ask", [certified.testify, certified.exact, certified.confirm])
def test_a_kind_that_it_lacks(ask):
    case = case_from_seed(Architecture((2,), (Skip((Dense(2), Doubled())), Dense(1))), 1, 1)
    message = (
        r"the certified witness does not know the layer Doubled\(\); it knows Dense, Skip, Flatten, Conv1d, Conv2d\. "
        r"Use the numeric witness, which needs no method of a layer: bpcheck\.check_gradient\."
    )
    with pytest.raises(InputError, match=message):
        ask(case)
    with pytest.raises(InputError, match=message):
        certify(case.architecture, case.params, case.x, case.y, case.params)
