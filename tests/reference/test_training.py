"""Plain mini-batch gradient descent: it learns the digits, repeats itself, and touches nothing it was given."""

import random
from itertools import pairwise

import numpy as np
import pytest

from bpcheck import mlp, tree
from bpcheck.data import load_digits
from bpcheck.errors import InputError
from bpcheck.reference import accuracy, build, train
from bpcheck.reference.training import sgd_step

NETWORK = build(mlp([64, 16, 10], activation="tanh", loss="cross_entropy"))


@pytest.fixture(scope="module")
def data():
    digits = load_digits()
    return digits.images[:300], digits.one_hot[:300]


def run(data, *, seed=0, epochs=3, batch=32, learning_rate=0.5, params=None):
    rng = np.random.default_rng(seed)
    start = NETWORK.init(rng) if params is None else params
    return list(
        train(NETWORK, start, *data, epochs=epochs, batch=batch, learning_rate=learning_rate, rng=rng)
    )


def flat(params):
    return np.concatenate([leaf.ravel() for _, leaf in tree.leaves(params)])


def test_the_loss_falls_and_the_digits_are_learnt(data):
    results = run(data, epochs=8)
    losses = [result.loss for result in results]
    assert [result.epoch for result in results] == list(range(1, 9))
    assert all(later < earlier for earlier, later in pairwise(losses))
    assert losses[-1] < 0.2 * losses[0]
    untrained = accuracy(NETWORK, NETWORK.init(np.random.default_rng(0)), *data)
    assert untrained < 0.3
    assert accuracy(NETWORK, results[-1].params, *data) > 0.95
    digits = load_digits()  # and it holds for digits that were not trained on
    assert accuracy(NETWORK, results[-1].params, digits.images[300:], digits.one_hot[300:]) > 0.8


def test_the_reported_loss_is_the_mean_over_the_mini_batches_before_their_update(data):
    rng = np.random.default_rng(0)
    start = NETWORK.init(rng)
    (only,) = train(NETWORK, start, *data, epochs=1, batch=300, learning_rate=0.5, rng=rng)
    assert only.loss == pytest.approx(NETWORK.loss(start, *data))


def test_the_same_seed_gives_the_same_numbers_and_another_seed_does_not(data):
    first, second, other = (flat(run(data, seed=s, epochs=1)[-1].params) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_every_example_is_used_once_an_epoch_in_a_new_order_each_time(data):
    seen = []

    class Spy:
        def loss(self, params, x, y):
            seen.append(x[:, 0].copy())
            return 0.0

        def gradient(self, params, x, y):
            return [{"w": np.zeros(1)}]

    x = np.arange(10.0)[:, None]
    list(
        train(
            Spy(),
            [{"w": np.zeros(1)}],
            x,
            x,
            epochs=2,
            batch=4,
            learning_rate=1.0,
            rng=np.random.default_rng(0),
        )
    )
    assert [len(part) for part in seen] == [4, 4, 2, 4, 4, 2]
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second) != list(range(10))


def test_nothing_of_the_callers_is_changed(data):
    x, y = (np.array(part) for part in data)
    start = NETWORK.init(np.random.default_rng(3))
    before = (flat(start).copy(), x.copy(), y.copy(), random.getstate(), repr(np.random.get_state()))  # noqa: NPY002
    run((x, y), params=start, epochs=2)
    after = (flat(start), x, y, random.getstate(), repr(np.random.get_state()))  # noqa: NPY002
    for old, new in zip(before[:3], after[:3], strict=True):
        np.testing.assert_array_equal(old, new)
    assert before[3:] == after[3:]


def test_results_of_earlier_epochs_stay_as_they_were(data):
    rng = np.random.default_rng(0)
    epochs = train(NETWORK, NETWORK.init(rng), *data, epochs=2, batch=64, learning_rate=0.5, rng=rng)
    first = next(epochs)
    kept = flat(first.params).copy()
    second = next(epochs)
    np.testing.assert_array_equal(flat(first.params), kept)
    assert not np.array_equal(flat(second.params), kept)


# --- one step --------------------------------------------------------------------------------------


def test_a_step_goes_against_the_gradient_by_the_learning_rate():
    params = [{"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])}]
    gradient = [{"weight": np.array([[10.0, -10.0]]), "bias": np.array([0.0])}]
    stepped = sgd_step(params, gradient, 0.125)
    assert stepped[0]["weight"].tolist() == [[-0.25, 3.25]]
    assert stepped[0]["bias"].tolist() == [3.0]
    assert params[0]["weight"].tolist() == [[1.0, 2.0]]
    assert not np.shares_memory(stepped[0]["bias"], params[0]["bias"])


def test_a_step_of_the_whole_batch_lowers_the_cost_to_first_order(data):
    params = NETWORK.init(np.random.default_rng(5))
    gradient = NETWORK.gradient(params, *data)
    rate = 1e-4
    fall = NETWORK.loss(params, *data) - NETWORK.loss(sgd_step(params, gradient, rate), *data)
    assert fall == pytest.approx(rate * float(flat(gradient) @ flat(gradient)), rel=1e-2)


def test_a_gradient_of_another_form_is_refused():
    with pytest.raises(ValueError, match="zip"):
        sgd_step([np.ones(2), np.ones(2)], [np.ones(2)], 0.1)


# --- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        pytest.param("epochs", 0, id="no epoch"),
        pytest.param("epochs", 2.5, id="half an epoch"),
        pytest.param("epochs", "3", id="epochs as text"),
        pytest.param("epochs", True, id="epochs True"),
        pytest.param("batch", 0, id="empty mini-batch"),
        pytest.param("batch", -4, id="negative mini-batch"),
        pytest.param("batch", 1.0, id="mini-batch as float"),
        pytest.param("batch", None, id="no mini-batch"),
        pytest.param("learning_rate", 0.0, id="rate zero"),
        pytest.param("learning_rate", -0.1, id="rate negative"),
        pytest.param("learning_rate", float("nan"), id="rate NaN"),
        pytest.param("learning_rate", float("inf"), id="rate infinite"),
        pytest.param("learning_rate", "0.1", id="rate as text"),
    ],
)
def test_a_bad_option_is_refused_at_the_call_by_name(data, option, value):
    options = {"epochs": 1, "batch": 8, "learning_rate": 0.1, option: value}
    with pytest.raises(InputError, match=f"{option} is .*(positive|whole)"):
        train(NETWORK, NETWORK.init(np.random.default_rng(0)), *data, **options, rng=np.random.default_rng(0))


def test_no_example_or_unequal_numbers_of_them_are_refused_at_the_call(data):
    x, y = data
    options = {"epochs": 1, "batch": 8, "learning_rate": 0.1, "rng": np.random.default_rng(0)}
    params = NETWORK.init(np.random.default_rng(0))
    with pytest.raises(InputError, match="x has 0 examples"):
        train(NETWORK, params, x[:0], y[:0], **options)
    with pytest.raises(InputError, match=r"300 examples.*y.*299"):
        train(NETWORK, params, x, y[:299], **options)


def test_whole_numbers_of_numpy_are_whole_numbers(data):
    (result,) = run(data, epochs=np.int64(1), batch=np.int32(100), learning_rate=np.float32(0.5))
    assert result.epoch == 1


def test_accuracy_is_the_share_of_right_classes():
    network = build(mlp([2, 2], loss="cross_entropy"))
    params = [{"weight": np.eye(2), "bias": np.zeros(2)}]
    x = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0], [0.0, 0.5]])
    y = np.eye(2)[[0, 1, 1, 1]]
    assert accuracy(network, params, x, y) == 0.75
