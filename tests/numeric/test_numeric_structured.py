"""The structured complex step: every entry within its error, and a structure that lies is found out."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from choosing import product

from bpcheck import Case, certified, mlp, tree
from bpcheck.errors import InputError
from bpcheck.network.architecture import LOSSES, Architecture
from bpcheck.network.layers import Dense, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.numeric import Contradiction, complex_step, structured_step
from bpcheck.reference import Perturbations, build, perturbations
from bpcheck.reference.layers import dense
from bpcheck.reference.layers.chain import Chain
from bpcheck.reference.touching import imaginary
from bpcheck.reference.touching.touch import Column, Entries, Touch
from bpcheck.search.cases.sample import STRATA, random_architecture, random_case

MOST = 2.0**-30  # of a tensor's largest entry: no bound of a small network is wider


def rng(*seed):
    return np.random.default_rng(seed or 0)


def step(case, *, network=None, **options):
    function = Perturbations(network or build(case.architecture), case.params, case.x, case.y)
    return structured_step(function, rng=rng(7), **options)


def at_random(architecture, *seed, batch=3):
    """A case with numbers of many digits, away from kinks."""
    r = rng(*seed)
    params = build(architecture).init(r)
    params = tree.restore(
        params, [leaf + 0.3 * r.standard_normal(leaf.shape) for _, leaf in tree.leaves(params)]
    )
    x = r.standard_normal((batch, *architecture.input_shape))
    y = r.random((batch, *architecture.output_shape))
    if architecture.loss == "cross_entropy":
        y = y / y.sum(axis=1, keepdims=True)
    return Case(architecture, params, x, y)


def assert_right(testimony, case):
    right = certified.testify(case)
    assert abs(testimony.loss - right.loss) <= testimony.loss_error + right.loss_error
    assert testimony.gradient.keys() == right.gradient.keys()
    for path, true in right.gradient.items():
        gap = abs(testimony.gradient[path] - true)
        assert (gap <= testimony.error[path] + right.error[path]).all(), path
    largest = max(abs(true).max() for true in right.gradient.values())
    assert max(error.max() for error in testimony.error.values()) <= MOST * max(largest, 1.0)


@pytest.mark.parametrize("kind", STRATA)
def test_random_networks_against_ball_arithmetic(kind):
    checked = 0
    for seed in range(5):
        r = rng(seed, len(kind))
        case = random_case(r, random_architecture(r, kind), kind)
        if Perturbations(build(case.architecture), case.params, case.x, case.y).kinks():
            continue  # no derivative: tests of kinks are below
        assert_right(step(case), case)
        checked += 1
    assert checked >= 2


@pytest.mark.parametrize(("activation", "loss"), product(ACTIVATIONS, LOSSES))
def test_every_activation_with_every_loss(activation, loss):
    case = at_random(
        mlp([3, 2, 2, 2], activation=activation, loss=loss, l2=0.1), len(activation), len(loss), batch=2
    )
    assert_right(step(case), case)


@pytest.mark.parametrize("output", ACTIVATIONS)
def test_every_output_activation(output):
    case = at_random(mlp([3, 4, 3], output=output, loss="mse", reduction="sum"), len(output))
    assert_right(step(case), case)


@pytest.mark.parametrize("batch", [1, 2, 17])
def test_skip_connections_and_penalties(batch):
    inner = Skip((Dense(4, "softmax"), Dense(4, "silu")))
    layers = (
        Skip((Dense(5, "tanh"), inner_of(5, inner), Dense(3, "gelu"))),
        Dense(4, "sigmoid"),
        inner,
        Dense(2),
    )
    architecture = Architecture((3,), layers, l1=0.05, l2=0.3, penalize_bias=True)
    case = at_random(architecture, 5, batch=batch)
    assert_right(step(case), case)


def inner_of(width, skip):
    """A skip inside a skip."""
    return Skip((Dense(4, "tanh"), skip, Dense(width, "leaky_relu")))


def test_it_agrees_with_the_complex_step_that_knows_no_structure():
    case = at_random(mlp([4, 5, 3], loss="cross_entropy", l1=0.1), 1)
    network = build(case.architecture)
    plain = complex_step(lambda p: network.cost(p, case.x, case.y), case.params, rng=rng())
    structured = step(case)
    assert structured.evaluations == sum(leaf.size for _, leaf in tree.leaves(case.params)) + 1
    assert plain.evaluations > 9 * structured.evaluations
    for path, value in structured.gradient.items():
        assert (abs(value - plain.gradient[path]) <= structured.error[path] + plain.error[path]).all()


@pytest.mark.parametrize(("block", "columns"), [(1, 1), (24, 2), (2**17, 64)])
def test_blocks_of_any_size_say_the_same(monkeypatch, block, columns):
    case = at_random(mlp([5, 4, 3, 2], activation="softmax"), 2, batch=7)
    whole = step(case)
    monkeypatch.setattr(perturbations, "BLOCK", block)
    monkeypatch.setattr(perturbations, "COLUMNS", columns)
    parts = step(case)
    assert_right(parts, case)
    for path, value in whole.gradient.items():
        assert (abs(value - parts.gradient[path]) <= whole.error[path]).all()


def test_saturated_units_do_not_cost_digits():
    """σ' is 1e-17 here, where 1 − tanh² has none left: relative accuracy is kept all the same."""
    params = [
        {"weight": np.array([[20.0], [-19.0]]), "bias": np.array([0.5, 0.25])},
        {"weight": np.array([[1.0, -2.0]]), "bias": np.zeros(1)},
    ]
    case = Case(mlp([1, 2, 1]), params, [[1.0]], [[1.0]])
    testimony, right = step(case), certified.testify(case)
    for path, true in right.gradient.items():
        assert testimony.gradient[path] == pytest.approx(true, rel=1e-13)
        assert (testimony.error[path] <= 1e-12 * abs(true)).all()


# ---- layers that do not state what they touch ------------------------------------------------------


@dataclass(frozen=True)
class Plain:
    """A dense layer that states nothing."""

    layer: Any
    encloses: bool = True
    separates_examples: bool = False

    def init(self, *args):
        return self.layer.init(*args)

    def forward(self, params, x, context):
        return self.layer.forward(params, x, context)

    def pullback(self, *args):
        return self.layer.pullback(*args)


@dataclass(frozen=True)
class Centred(Plain):
    """The same with the mean over the batch taken off its output: examples mix."""

    encloses: bool = False

    def forward(self, params, x, context):
        y, residuals, state = self.layer.forward(params, x, context)
        return y - y.mean(axis=0), residuals, state


def with_layers(case, *wrappers):
    network = build(case.architecture)
    layers = [wrap(layer) for wrap, layer in zip(wrappers, network.chain.layers, strict=True)]
    return replace(network, _chain=Chain(layers))


def as_it_is(layer):
    return layer


@pytest.mark.parametrize(("separates", "place"), product([False, True], range(3)))
def test_a_layer_that_states_nothing_is_evaluated_again(place, separates):
    case = at_random(mlp([3, 4, 3, 2], loss="cross_entropy", l2=0.1), 3)
    wrappers = [as_it_is] * 3
    wrappers[place] = lambda layer: Plain(layer, separates_examples=separates)
    testimony = step(case, network=with_layers(case, *wrappers))
    assert_right(testimony, case)  # the errors are measured: at ten points and one a tensor
    count = sum(leaf.size for _, leaf in tree.leaves(case.params))
    assert testimony.evaluations == (count + 1) * (1 + 10 + 6)


def test_a_layer_that_mixes_examples():
    case = at_random(mlp([3, 4, 2]), 4)
    network = with_layers(case, as_it_is, Centred)
    testimony = step(case, network=network)
    plain = complex_step(lambda p: network.cost(p, case.x, case.y), case.params, rng=rng())
    for path, value in testimony.gradient.items():
        assert (abs(value - plain.gradient[path]) <= testimony.error[path] + plain.error[path]).all()
    with pytest.raises(Contradiction):  # it says that it does not mix them
        step(case, network=with_layers(case, as_it_is, lambda layer: Centred(layer, separates_examples=True)))


# ---- negative controls: a structured evaluation that is wrong ----------------------------------------


def touches_the_next_unit(self, params, known, step, columns):
    """W_jk said to move z_{j+1}."""
    for touch in RIGHT_TOUCHED(self, params, known, step, columns):
        unit = (touch.moved.unit + 1) % self.spec.units
        yield Touch(touch.entries, Column(unit, touch.moved.imaginary))


def filed_under_another_unit(self, params, known, step, columns):
    """Right numbers, wrong places."""
    for touch in RIGHT_TOUCHED(self, params, known, step, columns):
        moved = tuple(
            Entries(run.keys, ((run.index[0] + 1) % self.spec.units, *run.index[1:]), run.count)
            for run in touch.entries
        )
        yield Touch(moved, touch.moved)


def one_input_scaled(self, params, known, step, columns):
    """The last parameter of the last unit of each block off by 1e-5."""
    for touch in RIGHT_TOUCHED(self, params, known, step, columns):
        imaginary = touch.moved.imaginary.copy()
        if touch.moved.unit == self.spec.units - 1:
            imaginary[:, -1] *= 1 + 1e-5
        yield Touch(touch.entries, Column(touch.moved.unit, imaginary))


def first_example_forgotten(self, params, known, step, columns):
    for touch in RIGHT_TOUCHED(self, params, known, step, columns):
        imaginary = touch.moved.imaginary.copy()
        imaginary[0] = 0
        yield Touch(touch.entries, Column(touch.moved.unit, imaginary))


RIGHT_TOUCHED = dense.DenseLayer.touched
RIGHT_FOLLOW = dense.DenseLayer.follow


@pytest.mark.parametrize(
    "wrong", [touches_the_next_unit, filed_under_another_unit, one_input_scaled, first_example_forgotten]
)
def test_a_wrong_touched_set_is_noticed(monkeypatch, wrong):
    for seed in range(5):
        case = at_random(mlp([6, 5, 4, 3], loss="cross_entropy"), seed)
        step(case)
        with monkeypatch.context() as patch:
            patch.setattr(dense.DenseLayer, "touched", wrong)
            with pytest.raises(Contradiction, match="touch"):
                step(case)


def test_a_wrong_way_up_is_noticed(monkeypatch):
    case = at_random(mlp([6, 5, 5, 3]), 1)

    def row_instead_of_column(self, params, known, moved):
        if isinstance(moved, Column) and params["weight"].shape == (5, 5):
            params = {**params, "weight": params["weight"].T}
        return RIGHT_FOLLOW(self, params, known, moved)

    monkeypatch.setattr(dense.DenseLayer, "follow", row_instead_of_column)
    with pytest.raises(Contradiction):
        step(case)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "silu"])
def test_an_identity_that_does_not_hold_is_noticed(monkeypatch, name):
    case = at_random(mlp([6, 5, 3], activation=name), 1)
    right = imaginary.at

    def wrong(name, x, undecided=False):
        return lambda y: right(name, x, undecided)(y) * (1 + 1e-6)

    monkeypatch.setattr(imaginary, "at", wrong)
    with pytest.raises(Contradiction):
        step(case)


def test_the_negative_controls_are_noticed_in_what_was_evaluated_when_time_is_up(monkeypatch):
    case = at_random(mlp([6, 5, 3]), 1)
    monkeypatch.setattr(dense.DenseLayer, "touched", first_example_forgotten)
    with pytest.raises(Contradiction):
        step(case, stop=lambda: True)


# ---- limits -----------------------------------------------------------------------------------------


def test_what_is_not_evaluated_when_time_is_up_is_nan():
    case = at_random(mlp([6, 5, 3]), 1)
    told = []
    testimony = step(
        case, stop=lambda: len(told) >= 5, advance=lambda done, total: told.append((done, total))
    )
    right = step(case)
    count = sum(leaf.size for _, leaf in tree.leaves(case.params))
    known = {path: np.isfinite(value) for path, value in testimony.gradient.items()}
    assert sum(int(where.sum()) for where in known.values()) == told[-1][0] < count == told[-1][1]
    assert testimony.evaluations == told[-1][0] + 1
    for path, where in known.items():
        assert (testimony.gradient[path][where] == right.gradient[path][where]).all()
        assert (np.isinf(testimony.error[path]) == ~where).all()


def test_when_time_is_up_before_the_errors_are_measured_they_are_infinite():
    case = at_random(mlp([3, 4, 2]), 3)
    told = []
    testimony = step(
        case,
        network=with_layers(case, as_it_is, Plain),
        stop=lambda: len(told) > 6,
        advance=lambda *done: told.append(done),
    )
    assert all(np.isinf(error).all() for error in testimony.error.values())


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_at_a_kink_the_middle_of_the_interval_is_given(activation):
    params = [
        {"weight": np.array([[1.0, -2.0], [0.5, 1.0]]), "bias": np.zeros(2)},
        {"weight": np.array([[1.0, 3.0]]), "bias": np.zeros(1)},
    ]
    case = Case(mlp([2, 2, 1], activation=activation), params, [[2.0, 1.0]], [[0.0]])  # z = (0, 2)
    function = Perturbations(build(case.architecture), case.params, case.x, case.y)
    gradient, half = structured_step(function, rng=rng()).gradient, function.kinks()
    low, high = (0.0, 1.0) if activation == "relu" else (0.01, 1.0)
    path = next(iter(gradient))
    assert gradient[path][0] == pytest.approx(6 * np.array([2.0, 1.0]) * (low + high) / 2)
    assert half[path][0] == pytest.approx(6 * np.array([2.0, 1.0]) * (high - low) / 2)
    assert (half[path][1] == 0).all()
    away = replace(case, x=[[2.0, 1.5]])
    assert not Perturbations(build(case.architecture), away.params, away.x, away.y).kinks()


def test_numbers_too_large_for_the_step_are_refused():
    case = at_random(mlp([3, 4, 2]), 3)
    huge = tree.restore(case.params, [1e60 * leaf for _, leaf in tree.leaves(case.params)])
    with pytest.raises(InputError, match="scale them down"):
        Perturbations(build(case.architecture), huge, case.x, case.y)


def test_nothing_of_the_callers_is_changed_and_results_are_frozen():
    case = at_random(mlp([3, 4, 2]), 3)
    params, x, y = case.mutable()
    testimony = structured_step(Perturbations(build(case.architecture), params, x, y), rng=rng())
    for (_, now), (_, before) in zip(
        tree.leaves([params, x, y]), tree.leaves([case.params, case.x, case.y]), strict=True
    ):
        assert (now == before).all()
    assert not any(array.flags.writeable for array in testimony.gradient.values())


def test_a_gradient_that_is_zero():
    case = Case(mlp([2, 1]), [{"weight": [[1.0, 2.0]], "bias": [0.0]}], [[1.0, 1.0]], [[3.0]])
    testimony = step(case)
    assert all((value == 0).all() for value in testimony.gradient.values())
    assert all((error < 1e-14).all() for error in testimony.error.values())


def test_verdicts_are_not_a_matter_of_the_seed():
    case = at_random(mlp([3, 4, 2]), 3)
    function = Perturbations(build(case.architecture), case.params, case.x, case.y)
    first, second = (structured_step(function, rng=rng(seed)) for seed in (1, 2))
    assert all((first.gradient[path] == second.gradient[path]).all() for path in first.gradient)
