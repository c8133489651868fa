"""Three ways through one network: reverse in balls, forward along a series, and fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import event, given, settings

from bpcheck import Architecture, Case, InputError, certified, mlp, strategies, tree
from bpcheck.certified import activation, engine, loss, reverse, units
from bpcheck.certified.balls import Balls
from bpcheck.certified.exact import is_rational
from bpcheck.certified.forward import Route
from bpcheck.certified.layers import affine
from bpcheck.network.architecture import LOSSES
from bpcheck.network.layers import Dense, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.strategies.values import case_from_seed


def with_skip(name, **options):
    layers = (Skip((Dense(2, name), Skip((Dense(2, name),)), Dense(3))), Dense(2, name))
    return Architecture((3,), layers, **options)


# --- forward confirms reverse --------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("kind", ["chain", "skip"])
def test_forward_confirms_every_entry_of_every_activation(name, kind):
    network = mlp([2, 3, 2], activation=name, output=name) if kind == "chain" else with_skip(name)
    case = case_from_seed(network, 2, 4)
    count = sum(leaf.size for _, leaf in tree.leaves(case.params))
    assert certified.confirm(case) == certified.Confirmation(count)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("options", [{}, {"output": "identity", "reduction": "sum"}], ids=repr)
def test_forward_confirms_every_loss_and_its_value(name, options):
    case = case_from_seed(mlp([2, 2, 3], loss=name, l1=0.1, l2=0.3, penalize_bias=True, **options), 2, 5)
    assert certified.confirm(case).ok
    assert Route(case, 128).cost().overlaps(reverse.propagate(case, Balls(128)).loss)


@settings(max_examples=15)
@given(strategies.cases(kinds=["dense", "skip"], max_width=3, max_depth=3, max_batch=2))
def test_forward_confirms_random_networks(case):
    try:
        found = certified.confirm(case)
    except InputError:
        event("an l1 penalty at 0")
        return
    assert not found.contradicted
    if found.undecided:
        with pytest.raises(InputError, match="kink"):
            certified.testify(case)


CASE = case_from_seed(mlp([2, 3, 2], activation="tanh", loss="mse", l2=0.5), 3, 1)


def _worse(function, factor):
    return lambda *arguments: function(*arguments) * factor


@pytest.mark.parametrize("name", ["_weight_gradient", "_bias_gradient", "_error_below"])
@pytest.mark.parametrize("error", [2.0**-90, 1.0, -2.0])
def test_a_planted_fault_in_each_equation_is_contradicted(name, error, monkeypatch):
    with engine.precision(256):
        factor = 1 + engine.flint().arb(error)
    monkeypatch.setattr(affine, name, _worse(getattr(affine, name), factor))
    found = certified.confirm(CASE)
    assert not found
    assert found.contradicted


def test_a_planted_wrong_derivative_is_contradicted(monkeypatch):
    wrong = activation.Smooth(activation.SMOOTH["tanh"].value, lambda z, a: 1 - a)
    monkeypatch.setattr(units, "SMOOTH", {**activation.SMOOTH, "tanh": wrong})
    assert certified.confirm(CASE).contradicted


def test_a_planted_wrong_activation_is_contradicted_by_the_other_formula(monkeypatch):
    """Here the reverse pass is consistent with itself: only a second formula for σ can see it."""
    right = activation.SMOOTH["tanh"]
    scale = 1 + 2.0**-40
    wrong = activation.Smooth(
        lambda z: right.value(z) * scale, lambda z, a: right.slope(z, a / scale) * scale
    )
    monkeypatch.setattr(units, "SMOOTH", {**activation.SMOOTH, "tanh": wrong})
    assert certified.confirm(CASE).contradicted


def test_a_planted_wrong_loss_slope_is_contradicted(monkeypatch):
    def forgot_the_two(a, y, numbers):
        total, slopes = loss.LOSS["mse"](a, y, numbers)
        return total, [[value / 2 for value in row] for row in slopes]

    monkeypatch.setattr(reverse, "LOSS", {**loss.LOSS, "mse": forgot_the_two})
    assert certified.confirm(CASE).contradicted


def test_a_planted_forgotten_penalty_is_contradicted(monkeypatch):
    monkeypatch.setattr(reverse.penalty, "add", lambda case, gradient, numbers: numbers.number(0))
    found = certified.confirm(CASE)
    assert {path for path, _ in found.contradicted} == {"params[0]['weight']", "params[1]['weight']"}


def test_chosen_entries():
    chosen = [("params[0]['weight']", (2, 1)), ("params[1]['bias']", [0])]
    assert certified.confirm(CASE, chosen) == certified.Confirmation(2)
    assert certified.confirm(CASE, []) == certified.Confirmation(0)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            ("params[7]['weight']", (0, 0)),
            r"there is no params\[7\]\['weight'\]; the parameters are params\[0\]",
        ),
        (("params[0]['weight']", (3, 0)), r"index \(3, 0\) does not lie in .* shape \(3, 2\)"),
        (("params[0]['weight']", (0,)), r"index \(0,\) does not lie in .* shape \(3, 2\)"),
        (("params[0]['weight']", (-1, 0)), r"index \(-1, 0\) does not lie in"),
    ],
)
def test_entries_that_do_not_exist(entry, message):
    with pytest.raises(InputError, match=message):
        certified.confirm(CASE, [entry])


def test_at_a_kink_the_entries_that_do_not_move_the_unit_are_confirmed():
    """Unit 1 has z = 0: its own bias has no derivative, the other unit's has."""
    params = [{"weight": [[1.0], [1.0]], "bias": [0.5, -1.0]}, {"weight": [[1.0, 3.0]], "bias": [0.0]}]
    case = Case(mlp([1, 2, 1], activation="relu"), params, [[1.0]], [[9.0]])
    found = certified.confirm(case)
    assert not found.ok
    assert set(found.undecided) == {("params[0]['weight']", (1, 0)), ("params[0]['bias']", (1,))}
    assert found.confirmed == 5
    assert not found.contradicted


def test_saturated_units_take_more_bits_and_get_them():
    network = mlp([1, 1], loss="binary_cross_entropy")
    case = Case(network, [{"weight": [[1.0]], "bias": [150.0]}], [[1.0]], [[0.0]])
    assert not Route(case, 128).derivative("params[0]['bias']", (0,)).is_finite()  # ln(1 − a) is lost
    assert certified.confirm(case).ok


# --- fractions -----------------------------------------------------------------------------------

RATIONAL = [
    mlp([2, 3, 2], activation="relu"),
    mlp([2, 3, 2], activation="leaky_relu", loss="mse", reduction="sum"),
    mlp([2, 2, 3], activation="relu", loss="huber", l1=0.1, l2=0.3, penalize_bias=True),
    with_skip("relu", loss="mse", l2=0.1),
    mlp([3, 2]),
]


def overlaps(ball, fraction):
    with engine.precision(4000):  # flint rounds a fraction to the precision that it finds
        return ball.overlaps(engine.flint().arb(fraction.numerator) / fraction.denominator)


@pytest.mark.parametrize("network", RATIONAL, ids=lambda network: f"{network.loss}-{network.l2}")
def test_fractions_lie_in_the_balls_and_the_floats_are_the_nearest(network):
    case = case_from_seed(network, 3, 7)
    exact, said = certified.exact(case), certified.testify(case)
    found = reverse.propagate(case, Balls(128))
    for path, fractions in exact.gradient.items():
        for fraction, ball in zip(fractions.flat, found.gradient[path].entries(), strict=True):
            assert overlaps(ball, fraction)
            assert not fraction or not overlaps(ball, fraction * (1 + Fraction(1, 2**100)))
        for fraction, value in zip(fractions.flat, said.gradient[path].flat, strict=True):
            assert float(fraction) == value
    assert float(exact.loss) == said.loss


def test_without_a_division_the_balls_are_the_fractions():
    """Sum over the batch: every number is a float of some hundred bits, and 1024 hold it."""
    case = case_from_seed(mlp([2, 3, 2], activation="relu", reduction="sum"), 3, 7)
    exact, found = certified.exact(case), reverse.propagate(case, Balls(1024))
    for path, fractions in exact.gradient.items():
        for fraction, ball in zip(fractions.flat, found.gradient[path].entries(), strict=True):
            assert ball.is_exact()
            assert overlaps(ball, fraction)


def test_fractions_worked_out_by_hand():
    case = Case(mlp([1, 1]), [{"weight": [[1.0]], "bias": [0.0]}], [[1.0]] * 3, [[0.0], [0.0], [1.0]])
    found = certified.exact(case)
    assert found.loss == Fraction(1, 3)
    assert [value.item() for value in found.gradient.values()] == [Fraction(2, 3), Fraction(2, 3)]


def test_a_planted_fault_leaves_the_fractions(monkeypatch):
    case = case_from_seed(RATIONAL[0], 3, 7)
    exact = certified.exact(case)
    monkeypatch.setattr(affine, "_bias_gradient", _worse(affine._bias_gradient, 1 + 2.0**-45))
    said = certified.testify(case)
    path = next(path for path in said.gradient if path.keys[-1] == "['bias']")
    assert [float(f) for f in exact.gradient[path]] != said.gradient[path].tolist()


@pytest.mark.parametrize("network", [mlp([2, 3, 1]), mlp([2, 2], loss="cross_entropy")], ids=repr)
def test_what_has_no_fractions(network):
    assert not is_rational(network)
    with pytest.raises(InputError, match=r"identity, relu, leaky_relu and the losses half_mse, mse, huber"):
        certified.exact(case_from_seed(network, 2, 1))


def test_fractions_at_a_kink():
    case = Case(mlp([1, 1], output="relu"), [{"weight": [[1.0]], "bias": [-3.0]}], [[3.0]], [[1.0]])
    with pytest.raises(InputError, match="exactly at its kink"):
        certified.exact(case)
    zero = Case(mlp([1, 1], l1=1.0), [{"weight": [[0.0]], "bias": [0.0]}], [[3.0]], [[1.0]])
    with pytest.raises(InputError, match="l1 penalty"):
        certified.exact(zero)


def test_fractions_are_read_only():
    found = certified.exact(case_from_seed(RATIONAL[0], 3, 7))
    with pytest.raises(ValueError, match="read-only"):
        next(iter(found.gradient.values()))[0, 0] = Fraction(0)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "gelu", "silu", "softmax"])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e200])
def test_saturated_units_do_not_overflow_in_the_second_route(name, scale):
    params = [
        {"weight": np.array([[1.0], [-1.0]]), "bias": np.array([0.25, 0.5])},
        {"weight": np.array([[2.0, -1.0]]), "bias": np.array([0.5])},
    ]
    case = Case(mlp([1, 2, 1], activation=name), params, np.array([[scale]]), np.array([[3.0]]))
    found = certified.confirm(case)
    assert not found.contradicted
    assert found.confirmed + len(found.undecided) == 7
    assert found.ok or scale == 1e200


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e200])
def test_saturated_logits_do_not_overflow_in_the_second_route(loss, scale):
    params = [{"weight": np.array([[1.0], [-2.0]]), "bias": np.array([0.25, 0.5])}]
    case = Case(mlp([1, 2], loss=loss), params, np.array([[scale]]), np.array([[0.0, 1.0]]))
    found = certified.confirm(case)
    assert not found.contradicted
    assert found.ok or scale == 1e200
