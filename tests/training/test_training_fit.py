"""The training loop: the same from the same seed, exactly the same after a restart, and honest about what went wrong."""

import json
import pickle
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bpcheck import mlp, tree
from bpcheck.data import load_digits
from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.layers import Conv2d, Dense, Flatten, Skip
from bpcheck.reference import Network, build
from bpcheck.reference.optimizer import (
    SGD,
    Adam,
    Clipped,
    Grouped,
    Momentum,
    cosine,
    global_norm,
    warm_up,
)
from bpcheck.training import EarlyStopping, accuracy, fit, load

NETWORK = mlp([3, 5, 2], activation="tanh")


NOT_A_NUMBER = build(NETWORK).init(np.random.default_rng(0))
NOT_A_NUMBER[0]["weight"][0, 0] = np.nan


def data(n=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return x, np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)


def same(a, b):
    return all(np.array_equal(p, q) for (_, p), (_, q) in zip(tree.leaves(a), tree.leaves(b), strict=True))


def run(**options):
    x, y = data()
    return fit(NETWORK, x, y, **{"rule": Adam(lr=0.01), "epochs": 6, "batch": 7, "seed": 4, **options})


def test_the_same_seed_gives_the_same_run_and_another_one_another():
    first, second, other = run(), run(), run(seed=5)
    assert same(first.params, second.params)
    assert first.history == second.history
    assert not same(first.params, other.params)
    assert first.seed == 4
    assert run(seed=None).seed is not None


@pytest.mark.parametrize(
    "rule", [SGD(lr=0.1), Momentum(lr=0.05), Adam(amsgrad=True), Clipped(rule=Adam(), limit=0.1)]
)
def test_a_run_that_was_saved_goes_on_as_if_it_had_never_stopped(rule, tmp_path):
    options = {"rule": rule, "schedule": warm_up(cosine(0.1, steps=30), steps=5), "held_out": data(9, 1)}
    whole = run(**options)
    half = run(**options, epochs=3)
    path = half.save(tmp_path / "run.npz")
    loaded = load(path, build(NETWORK), rule)
    assert loaded.history == half.history
    rest = run(**options, seed=None, resume=loaded)
    assert same(rest.params, whole.params)
    assert same(rest.best, whole.best)
    assert rest.history == whole.history
    assert rest.state.step == whole.state.step
    assert same(dict(rest.state.slots), dict(whole.state.slots))


def test_a_step_is_the_rules_step_on_the_batch_that_was_drawn():
    """One full batch: the order of examples is only rounding."""
    x, y = data()
    network = build(NETWORK)
    params = network.init(np.random.default_rng(3))
    kept = tree.copy(params)
    once = fit(NETWORK, x, y, rule=SGD(lr=0.1), epochs=1, batch=40, params=params, seed=0)
    gradient = network.gradient(params, x, y)
    for (_, new), (_, old), (_, g) in zip(
        tree.leaves(once.params), tree.leaves(params), tree.leaves(gradient), strict=True
    ):
        np.testing.assert_allclose(new, old - 0.1 * g, rtol=1e-12)
    assert same(params, kept)
    assert once.last.gradient_norms == pytest.approx([global_norm(layer) for layer in gradient], rel=1e-12)
    assert once.last.loss == pytest.approx(network.loss(params, x, y), rel=1e-12)
    a = np.tanh(x @ params[0]["weight"].T + params[0]["bias"])
    assert once.last.activation_norms[0] == pytest.approx(np.sqrt(np.mean(a**2)), rel=1e-12)


@pytest.mark.parametrize("batch", [1, 7, 40, 1000])
def test_every_example_is_seen_once_an_epoch(batch):
    """With a gradient that only counts: a linear unit without input, whose bias gradient is a sum over the batch."""
    network = mlp([1, 1], reduction="sum", loss="half_mse")
    y = np.arange(40.0)[:, None]
    once = fit(
        network,
        np.zeros((40, 1)),
        1e6 * y,
        rule=SGD(lr=2.0**-20),
        epochs=1,
        batch=batch,
        params=[{"weight": np.zeros((1, 1)), "bias": np.zeros(1)}],
        seed=0,
    )
    steps = -(-40 // batch)
    assert once.state.step == steps
    assert float(once.params[0]["bias"][0]) == pytest.approx(1e6 * y.sum() * 2.0**-20, rel=1e-4)


def test_every_epoch_has_an_order_of_its_own(monkeypatch):
    seen, evaluate = [], Network.evaluate

    def watched(network, params, x, y):
        seen.append(x[:, 0].copy())
        return evaluate(network, params, x, y)

    monkeypatch.setattr(Network, "evaluate", watched)
    x = np.arange(10.0)[:, None]
    fit(mlp([1, 1]), x, x, rule=SGD(lr=1e-6), epochs=2, batch=4, seed=0)
    assert [len(part) for part in seen] == [4, 4, 2, 4, 4, 2]
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second) != list(range(10))


def test_nothing_of_the_callers_is_changed():
    x, y = data()
    start = build(NETWORK).init(np.random.default_rng(3))
    before = (tree.copy(start), x.copy(), y.copy(), random.getstate(), repr(np.random.get_state()))  # noqa: NPY002
    fit(NETWORK, x, y, rule=SGD(lr=0.1), epochs=2, batch=7, params=start)
    after = (start, x, y, random.getstate(), repr(np.random.get_state()))  # noqa: NPY002
    assert same(list(before[:3]), list(after[:3]))
    assert before[3:] == after[3:]


def test_the_schedule_counts_steps_over_all_epochs():
    seen = []

    def schedule(step):
        seen.append(step)
        return 0.01

    run(schedule=schedule, epochs=2)
    assert seen == list(range(12))
    assert run(schedule=lambda step: 0.5 / (step + 1), epochs=2).last.learning_rate == 0.5 / 12


def test_early_stopping_keeps_the_best_epoch():
    x, y = data(12)
    held = data(200, 9)
    ended = fit(
        mlp([3, 40, 2], activation="tanh"),
        x,
        y,
        rule=Adam(lr=0.03),
        epochs=400,
        held_out=held,
        stop=EarlyStopping(patience=10),
        seed=0,
    )
    losses = [epoch.held_out_loss for epoch in ended.history]
    assert len(losses) < 400
    assert "10 epochs were no better" in ended.stopped
    assert int(np.argmin(losses)) == len(losses) - 11
    assert ended.network.loss(ended.best, *held) == min(losses)
    assert ended.network.loss(ended.params, *held) == losses[-1]


def test_a_run_that_diverges_ends_and_says_what_helps():
    x, y = data()
    ended = fit(NETWORK, 1e150 * x, y, rule=SGD(lr=1e200), epochs=10, seed=0)
    assert "not finite any more" in ended.stopped
    assert "Lower the learning rate" in ended.stopped
    assert len(ended.history) < 10


def test_accuracy_is_told_for_classes_only():
    x, _ = data()
    assert run(held_out=data(8)).last.held_out_accuracy is None
    classes = np.eye(2)[(x[:, 0] > 0).astype(int)]
    network = mlp([3, 2], loss="cross_entropy")
    ended = fit(network, x, classes, rule=SGD(lr=1.0), epochs=30, held_out=(x, classes), seed=0)
    assert ended.last.held_out_accuracy > 0.95
    assert "right" in str(ended)


def test_accuracy_is_the_share_of_right_classes():
    x = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0], [0.0, 0.5]])
    params = [{"weight": np.eye(2), "bias": np.zeros(2)}]
    assert accuracy(build(mlp([2, 2])), params, x, np.eye(2)[[0, 1, 1, 1]]) == 0.75


def test_networks_with_skips_are_trained_and_saved(tmp_path):
    network = Architecture((3,), (Dense(4, "tanh"), Skip((Dense(4, "tanh"),)), Dense(2)), loss="half_mse")
    x, y = data()
    ended = fit(network, x, y, rule=Adam(), epochs=2, seed=0)
    assert len(ended.last.gradient_norms) == len(ended.last.activation_norms) == 3
    assert same(load(ended.save(tmp_path / "a.npz"), build(network), Adam()).params, ended.params)


def test_the_history_has_the_layers_that_books_number():
    """Flatten is none, and a skip connection is counted through: the numbers are those of W², W³ … in a report."""
    layers = (
        Conv2d(3, 3, activation="relu"),
        Flatten(),
        Skip((Dense(5, "tanh"), Dense(48))),
        Dense(2, "softmax"),
    )
    network = build(Architecture((1, 6, 6), layers, loss="cross_entropy"))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 1, 6, 6)), np.eye(2)[[0, 1, 1, 0]]
    params = network.init(rng)
    ended = fit(network, x, y, rule=SGD(lr=0.1), epochs=1, params=params, seed=0)
    convolution, _, (inner, outer), top = network.gradient(params, x, y)
    norms = [global_norm(one) for one in (convolution, inner, outer, top)]
    assert ended.last.gradient_norms == pytest.approx(norms, rel=1e-12)
    convolution, _, (inner, outer), top = network.trace(params, x, y).activations
    sizes = [np.sqrt(np.mean(a**2)) for a in (convolution, inner, outer, top)]
    assert ended.last.activation_norms == pytest.approx(sizes, rel=1e-12)
    rows = str(ended).splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["2", "3", "4", "5"]
    assert "nan" not in str(ended)


@pytest.mark.parametrize(
    ("rule", "rate"),
    [
        (SGD(lr=0.5), 0.5),
        (Clipped(rule=Adam(lr=0.1)), 0.1),
        (Clipped(rule=Clipped(rule=Adam(lr=0.1)), by="value"), 0.1),
        (Grouped(rule=SGD(lr=0.25), groups=(("bias", SGD(lr=0.5)),)), 0.25),
    ],
)
def test_the_rate_in_the_history_is_the_one_that_steps(rule, rate):
    ended = run(rule=rule, epochs=1, batch=40)
    assert ended.last.learning_rate == rate
    told = run(rule=rule, epochs=1, batch=40, schedule=lambda step: rate)
    assert np.array_equal(ended.params[0]["weight"], told.params[0]["weight"])
    assert run(rule=rule, epochs=1, schedule=lambda step: 0.75).last.learning_rate == 0.75


def test_a_rule_around_another_takes_no_rate_of_its_own():
    for rule in (Clipped, Grouped):
        with pytest.raises(TypeError, match="lr"):
            rule(rule=SGD(lr=0.5), lr=0.1)


def test_the_digits_are_read_in_seconds():
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.images))
    x, y = digits.images[order], digits.one_hot[order]
    ended = fit(
        mlp([64, 32, 10], activation="relu", loss="cross_entropy"),
        x[:1500],
        y[:1500],
        rule=Momentum(lr=0.1),
        epochs=12,
        held_out=(x[1500:], y[1500:]),
        seed=0,
    )
    assert ended.last.held_out_accuracy >= 0.95


def test_plain_descent_learns_the_digits_and_its_loss_falls_every_epoch():
    digits = load_digits()
    x, y, network = digits.images, digits.one_hot, build(mlp([64, 16, 10], loss="cross_entropy"))
    ended = fit(network, x[:300], y[:300], rule=SGD(lr=0.5), epochs=8, held_out=(x[300:], y[300:]), seed=0)
    losses = [epoch.loss for epoch in ended.history]
    assert all(later < earlier for earlier, later in pairwise(losses))
    assert losses[-1] < 0.2 * losses[0]
    assert accuracy(network, network.init(np.random.default_rng(0)), x[:300], y[:300]) < 0.3
    assert accuracy(network, ended.params, x[:300], y[:300]) > 0.95
    assert ended.last.held_out_accuracy > 0.8


def test_progress_counts_epochs():
    seen = []
    run(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 6) for i in range(1, 7)]


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rule": "adam"}, "rule is str 'adam'"),
        ({"epochs": 0}, "epochs is 0; give a whole number"),
        ({"epochs": 2.5}, "epochs is 2.5; give a whole number"),
        ({"epochs": "3"}, "epochs is '3'; give a whole number"),
        ({"epochs": True}, "epochs is True; give a whole number"),
        ({"batch": 0}, "batch is 0; give a whole number"),
        ({"batch": -4}, "batch is -4; give a whole number"),
        ({"batch": 1.0}, "batch is 1.0; give a whole number"),
        ({"batch": None}, "batch is None; give a whole number"),
        ({"held_out": 3}, "held_out is int 3"),
        (
            {"held_out": (np.ones((2, 3)), np.ones((3, 2)))},
            r"held_out\[0\] has 2 examples and held_out\[1\] 3",
        ),
        ({"stop": EarlyStopping()}, "stop= needs held_out="),
        ({"params": [np.ones(2)]}, "params does not fit"),
    ],
)
def test_what_cannot_be_used_is_told(options, words):
    with pytest.raises(InputError, match=words):
        run(**options)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.ones((4, 2)), np.ones((4, 2)), r"x has shape \(4, 2\); \(examples, 3\) is needed"),
        (np.ones((4, 3)), np.ones(4), r"y has shape \(4,\)"),
        (np.full((4, 3), np.nan), np.ones((4, 2)), "x holds NaN"),
        ([["a", "b", "c"]], np.ones((1, 2)), "x is list"),
        (np.ones((0, 3)), np.ones((0, 2)), r"x has shape \(0, 3\)"),
        (np.ones((4, 3)), np.ones((3, 2)), "x has 4 examples and y 3"),
    ],
)
def test_data_that_do_not_fit_are_told(x, y, words):
    with pytest.raises(InputError, match=words):
        fit(NETWORK, x, y, rule=SGD(), epochs=1)


def test_a_run_cannot_go_on_as_another_one(tmp_path):
    half = run(epochs=3)
    for options, words in (
        ({"seed": 4}, "seed= and resume="),
        ({"seed": None, "rule": SGD()}, "another rule"),
        ({"seed": None, "epochs": 3}, "has 3 already"),
    ):
        with pytest.raises(InputError, match=words):
            run(resume=half, **options)
    x, y = data(40, 8)
    with pytest.raises(InputError, match="other data"):
        fit(NETWORK, x, y, rule=Adam(lr=0.01), epochs=6, batch=7, resume=half)
    path = half.save(tmp_path / "run.npz")
    with pytest.raises(InputError, match="trained with the rule Adam"):
        load(path, build(NETWORK), SGD())
    with pytest.raises(InputError, match="trained with the architecture"):
        load(path, build(mlp([3, 6, 2])), Adam(lr=0.01))


def test_files_that_are_none_are_told(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "none.npz", build(NETWORK), SGD())
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match="no saved training run"):
        load(tmp_path / "text.npz", build(NETWORK), SGD())
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    with pytest.raises(InputError, match="no saved training run"):
        load(tmp_path / "other.npz", build(NETWORK), SGD())
    path = run().save(tmp_path / "run.npz")
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    held["about"] = np.array(json.dumps({**json.loads(str(held["about"])), "format": 99}))
    np.savez(path, **held)
    with pytest.raises(InputError, match="has the format 99"):
        load(path, build(NETWORK), Adam(lr=0.01))
    with pytest.raises(InputError, match="cannot be written"):
        run().save(tmp_path / "no" / "such" / "place.npz")


def test_a_file_that_is_there_is_only_replaced_by_a_whole_one(tmp_path, monkeypatch):
    path = run().save(tmp_path / "run.npz")
    before = path.read_bytes()

    def broken(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", broken)
    with pytest.raises(InputError, match="No space left"):
        run(seed=9).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


def test_numbers_of_numpy_are_numbers():
    ended = run(epochs=np.int64(1), batch=np.int32(20), rule=SGD(lr=np.float32(0.5)))
    assert (len(ended.history), ended.state.step, ended.last.learning_rate) == (1, 2, 0.5)


def test_a_run_is_immutable():
    with pytest.raises(AttributeError):
        run().stopped = "x"
    assert replace(run().last, loss=0.0).loss == 0.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedule": lambda step: float("nan")}, r"schedule\(0\) is nan"),
        ({"schedule": lambda step: None}, r"schedule\(0\) is None"),
        ({"schedule": 0.1}, "schedule is"),
        ({"stop": 3, "held_out": data(5)}, "stop is"),
        ({"resume": 3, "seed": None}, "resume is"),
        (
            {
                "params": [
                    {"weight": np.full((5, 3), np.nan), "bias": np.zeros(5)},
                    {"weight": np.zeros((2, 5)), "bias": np.zeros(2)},
                ]
            },
            "params holds NaN",
        ),
    ],
)
def test_options_of_a_wrong_kind_are_told(options, words):
    with pytest.raises(InputError, match=words):
        run(**options)


def test_a_run_is_read_only_and_goes_on_from_where_it_stood():
    half, kept = run(epochs=3), run(epochs=3).params
    for array in (half.params[0]["weight"], half.best[0]["bias"], half.state.slots["m"][0]["weight"]):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0
    with pytest.raises(TypeError):
        half.random_state["state"]["state"] = 0
    copied = pickle.loads(pickle.dumps(half))
    assert same(run(epochs=6, resume=copied, seed=None).params, run().params)
    assert same(half.params, kept)


def test_a_run_goes_on_with_its_own_batch_only(tmp_path):
    half = load(run(epochs=3).save(tmp_path / "run.npz"), NETWORK, Adam(lr=0.01))
    assert half.batch == 7
    with pytest.raises(InputError, match="batch is 8, and resume= was trained with 7"):
        run(epochs=6, resume=half, seed=None, batch=8)


@pytest.mark.parametrize("change", ["missing", "shape", "number", "list", "short", "array"])
def test_a_broken_file_is_told(change, tmp_path):
    path = run(epochs=1).save(tmp_path / "run.npz")
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    name = next(name for name in held if name.startswith("params"))
    if change == "missing":
        del held[name]
    elif change in ("shape", "number"):
        held[name] = np.ones((1, 1)) if change == "shape" else held[name].astype(int)
    else:
        held["about"] = np.array("[1]" if change == "list" else '{"format": 1}')
    np.savez(path, **held)
    if change == "array":
        np.save(path.with_suffix(".npy"), np.ones(3))
        path = path.with_suffix(".npy")
    with pytest.raises(InputError, match=r"is no (saved|whole) training run|was trained with"):
        load(path, NETWORK, Adam(lr=0.01))


def test_paths_and_networks_that_are_none_are_told(tmp_path):
    done = run(epochs=1)
    for path in ("", None, 3):
        with pytest.raises(InputError, match="give the name of a file"):
            done.save(path)
    with pytest.raises(InputError, match="network is None"):
        load(done.save(tmp_path / "run.npz"), None, Adam(lr=0.01))
    with pytest.raises(InputError, match="least is"):
        EarlyStopping(least="a")
