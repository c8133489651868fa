"""locate(): planted errors are found where they are, nothing else is, and the caller's own things stay as they were."""

import itertools
import json
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from choosing import product, some

import bpcheck
from bpcheck import from_step, locate, tree
from bpcheck.check.locate import locate_in
from bpcheck.check.location import Location, place
from bpcheck.errors import InputError, SubjectError

ALL = slice(None)
BATCH = 9


@dataclass
class Network:
    """A network with its loss and gradient, for any tree of the same leaves."""

    params: Any
    x: Any
    target: Any
    activation: str = "tanh"

    @classmethod
    def draw(cls, widths, seed, activation="tanh", dtype=float, batch=BATCH):
        rng = np.random.default_rng(seed)
        params = [
            {
                "weight": (rng.standard_normal((n, m)) / np.sqrt(m)).astype(dtype),
                "bias": (0.3 * rng.standard_normal(n)).astype(dtype),
            }
            for m, n in pairwise(widths)
        ]
        x = rng.standard_normal((batch, widths[0])).astype(dtype)
        return cls(params, x, rng.standard_normal((batch, widths[-1])).astype(dtype), activation)

    def forward(self, params):
        a, z = [self.x], []
        for layer in params:
            z.append(a[-1] @ layer["weight"].T + layer["bias"])
            a.append(np.tanh(z[-1]) if self.activation == "tanh" else np.maximum(z[-1], 0))
        return a, z

    def loss(self, params):
        return np.sum((self.forward(params)[0][-1] - self.target) ** 2) / (2 * len(self.x))

    def gradient(self, params):
        a, z = self.forward(params)
        delta, found = (a[-1] - self.target) / len(self.x), []
        for k in reversed(range(len(params))):
            slope = 1 - a[k + 1] ** 2 if self.activation == "tanh" else (z[k] > 0).astype(z[k].dtype)
            delta = delta * slope
            found.append({"weight": delta.T @ a[k], "bias": delta.sum(axis=0)})
            delta = delta @ params[k]["weight"]
        return found[::-1]

    def locate(self, change=lambda g, p: None, **options):
        claimed = self.gradient(self.params)
        change(claimed, self.params)
        return locate(
            self.loss, lambda params: claimed, self.params, **{"seed": 0, "progress": False, **options}
        )


NET = Network.draw((12, 17, 17, 5), 0)
W, B = "params[1]['weight']", "params[1]['bias']"


def places(location):
    return {finding.place for finding in location.findings}


def at(index, change):
    def plant(g, p):
        g[1]["weight"][index] = change(g[1]["weight"][index])

    return plant


def several(count, seed):
    rng = np.random.default_rng(seed)
    chosen = [(int(i) // 17, int(i) % 17) for i in rng.choice(289, count, replace=False)]

    def plant(g, p):
        for index in chosen:
            g[1]["weight"][index] *= 1.1

    return {place(W, index) for index in chosen}, plant


def one_in_each(g, p):
    for layer in g:
        layer["weight"][2, 3] *= 1.01
        layer["bias"][1] += 0.01


def two(first, second):
    def plant(g, p):
        g[1]["weight"][first] *= 1.5
        g[1]["weight"][second] = 0.0

    return plant


def add(path, index, values):
    def plant(g, p):
        g[1][path][index] += values

    return plant


def swap_rows(g, p):
    g[1]["weight"][[2, 9]] = g[1]["weight"][[9, 2]]


def put(make):
    def plant(g, p):
        g[1]["weight"] = np.ascontiguousarray(make(g[1]["weight"], p[1]["weight"]))

    return plant


NOISE = np.random.default_rng(7).standard_normal((17, 17))

ENTRIES = {
    "relative 1e-3": ({place(W, (4, 11))}, at((4, 11), lambda g: g * 1.001)),
    "relative 1e-6": ({place(W, (4, 11))}, at((4, 11), lambda g: g * (1 + 1e-6))),
    "wrong sign": ({place(W, (0, 0))}, at((0, 0), lambda g: -g)),
    "zero": ({place(W, (16, 16))}, at((16, 16), lambda g: 0 * g)),
    "huge": ({place(W, (8, 2))}, at((8, 2), lambda g: 1e6)),
    "bias": ({place(B, (5,))}, add("bias", 5, 1e-3)),
    "three": several(3, 1),
    "ten": several(10, 2),
    "one in each tensor": (
        {place(f"params[{k}]['weight']", (2, 3)) for k in range(3)}
        | {place(f"params[{k}]['bias']", (1,)) for k in range(3)},
        one_in_each,
    ),
    "two in a row": ({place(W, (3, 1)), place(W, (3, 15))}, two((3, 1), (3, 15))),
    "two in a column": ({place(W, (1, 6)), place(W, (12, 6))}, two((1, 6), (12, 6))),
}
SLICES = {
    "row zero": ({place(W, (6, ALL))}, at((6, ALL), lambda g: 0 * g)),
    "row scaled": ({place(W, (6, ALL))}, at((6, ALL), lambda g: 1.01 * g)),
    "row of noise": ({place(W, (6, ALL))}, add("weight", (6, ALL), 0.1 * NOISE[0])),
    "column zero": ({place(W, (ALL, 16))}, at((ALL, 16), lambda g: 0 * g)),
    "column of the wrong sign": ({place(W, (ALL, 0))}, at((ALL, 0), lambda g: -g)),
    "column of noise": ({place(W, (ALL, 3))}, add("weight", (ALL, 3), 0.1 * NOISE[0])),
    "two rows": ({place(W, (0, ALL)), place(W, (9, ALL))}, two((0, ALL), (9, ALL))),
    "two columns": ({place(W, (ALL, 1)), place(W, (ALL, 8))}, two((ALL, 1), (ALL, 8))),
    "rows swapped": ({place(W, (2, ALL)), place(W, (9, ALL))}, swap_rows),
}
TENSORS = {
    "-1 times": ("scaled", put(lambda g, p: -g)),
    "2 times": ("scaled", put(lambda g, p: 2 * g)),
    "1/2 times": ("scaled", put(lambda g, p: g / 2)),
    "9 times what it should be (axis 0 of args[0] is 9)": ("scaled", put(lambda g, p: 9 * g)),
    "1/9 times what it should be (axis 0 of args[0] is 9)": ("scaled", put(lambda g, p: g / 9)),
    "1.001 times": ("scaled", put(lambda g, p: 1.001 * g)),
    "claimed to be 0": ("zero", put(lambda g, p: 0 * g)),
    "is transposed": ("transposed", put(lambda g, p: g.T)),
    "is flipped along axis 0": ("flipped along axis 0", put(lambda g, p: g[::-1])),
    "is rotated by 180°": ("rotated by 180°", put(lambda g, p: g[::-1, ::-1])),
    "is shifted by 1 along axis 1": ("shifted by 1 along axis 1", put(lambda g, p: np.roll(g, 1, 1))),
    "weight decay": ("off by a multiple of the parameters", put(lambda g, p: g - 1e-2 * p)),
    "an L1 penalty": (
        "off by a multiple of the signs of the parameters",
        put(lambda g, p: g + 1e-2 * np.sign(p)),
    ),
    "every entry of the tensor is off by 0.01": ("off by a constant", put(lambda g, p: g + 0.01)),
    "by no rule known here": ("", put(lambda g, p: g + 0.01 * NOISE)),
}


@pytest.mark.parametrize(("expected", "plant"), ENTRIES.values(), ids=ENTRIES.keys())
def test_wrong_entries_are_found_and_nothing_else(expected, plant):
    location = NET.locate(plant)
    assert places(location) == expected
    assert location.complete
    right = dict(tree.leaves(NET.gradient(NET.params)))
    for finding in location.findings:
        truth = next(leaf for path, leaf in right.items() if str(path) == finding.path)[finding.index]
        assert finding.kind == "entry"
        assert abs(finding.expected - truth) <= finding.error < 1e-6 * abs(truth) + 1e-9
        assert not abs(finding.claimed - finding.expected) <= finding.error


@pytest.mark.parametrize(("expected", "plant"), SLICES.values(), ids=SLICES.keys())
def test_wrong_rows_and_columns_are_found_as_such(expected, plant):
    location = NET.locate(plant)
    assert places(location) == expected
    assert location.complete
    for finding in location.findings:
        assert finding.kind == ("row" if isinstance(finding.index[0], int) else "column")


@pytest.mark.parametrize(("text", "case"), TENSORS.items(), ids=TENSORS.keys())
def test_wrong_tensors_are_explained(text, case):
    hypothesis, plant = case
    claimed = NET.gradient(NET.params)
    plant(claimed, NET.params)

    def loss(params, x):
        return NET.loss(params)

    location = locate(loss, lambda params, x: claimed, NET.params, NET.x, seed=0, progress=False)
    (finding,) = location.findings
    assert (finding.path, finding.kind, finding.index) == (W, "tensor", (ALL, ALL))
    assert finding.hypothesis == hypothesis
    assert text in str(finding)
    assert location.complete
    assert location.evaluations < 260
    for example in finding.examples:
        truth = NET.gradient(NET.params)[1]["weight"][example.index]
        assert abs(example.expected - truth) <= example.error


def test_exchanged_tensors_are_told():
    def swap(g, p):
        g[0]["weight"], g[1]["weight"] = g[1]["weight"], g[0]["weight"]

    location = Network.draw((7, 7, 7, 3), 1).locate(swap)
    assert [f.hypothesis for f in location.findings] == [
        "that of params[1]['weight']",
        "that of params[0]['weight']",
    ]


def test_a_slice_of_many_axes_and_an_entry_of_one():
    rng = np.random.default_rng(0)
    theta, c = rng.standard_normal((2, 6, 5, 3, 3)), rng.uniform(1, 2, (6, 5, 3, 3))
    location = locate(
        lambda w: np.sum(c * np.sin(w[0])) + np.sum(w[1] ** 3),
        lambda w: np.stack([_with(c * np.cos(w[0]), (4,), 1.5), _with(3 * w[1] ** 2, (1, 2, 0, 2), 2)]),
        theta,
        seed=0,
    )
    assert places(location) == {"params[0, 4, :, :, :]", "params[1, 1, 2, 0, 2]"}
    assert {finding.kind for finding in location.findings} == {"slice", "entry"}
    assert "params[0, 4, :, :, :]: the slice is 1.5 times what it should be" in str(location)


def _with(array, index, factor):
    array = np.array(array)
    array[index] *= factor
    return array


# --- right gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "widths", "dtype"),
    product(["tanh", "relu"], [(3, 4, 2), (12, 9, 9, 4), (1, 1)], [np.float64, np.float32], together=2),
)
def test_nothing_is_found_in_a_right_gradient(activation, widths, dtype):
    for seed in range(2):
        location = Network.draw(widths, seed, activation, dtype, batch=1 + 7 * seed).locate(seed=seed)
        assert location.findings == ()
        assert location.limit
        assert not location


@pytest.mark.parametrize(
    "spoil",
    {
        "noise 1e-3": lambda f, rng: f * (1 + 1e-3 * rng.standard_normal()),
        "noise 1e-9": lambda f, rng: f * (1 + 1e-9 * rng.standard_normal()),
        "heavy tails": lambda f, rng: f + 1e-8 * rng.standard_t(2),
        "a large constant": lambda f, rng: f + 1e8,
        "rounded to six digits": lambda f, rng: round(float(f), 6),
    }.items(),
    ids=lambda item: item[0],
)
def test_nothing_is_found_where_the_loss_is_spoilt(spoil):
    rng, claimed = np.random.default_rng(0), NET.gradient(NET.params)
    location = locate(lambda p: spoil[1](NET.loss(p), rng), lambda p: claimed, NET.params, seed=1)
    assert location.findings == ()
    assert max(limit.relative for limit in location.limit.values()) > 1e-5


def test_what_is_wrong_by_much_is_found_in_spite_of_noise():
    rng, claimed = np.random.default_rng(0), NET.gradient(NET.params)
    claimed[1]["weight"] *= 3
    claimed[2]["bias"][2] += 10
    location = locate(
        lambda p: NET.loss(p) * (1 + 1e-4 * rng.standard_normal()), lambda p: claimed, NET.params, seed=0
    )
    assert str(location.findings[0]).startswith("params[1]['weight']: the tensor is")
    assert location.findings[0].factor == pytest.approx(3, rel=0.1)
    assert place("params[2]['bias']", (2,)) in places(location)


def test_a_choice_at_a_kink_is_not_wrong():
    claimed = {"w": np.array([0.3, -1.0, 1.0, 0.0]), "v": np.cos(np.arange(1.0, 9.0))}
    location = locate(
        lambda p: np.sum(abs(p["w"])) + np.sum(np.sin(p["v"])),
        lambda p: claimed,
        {"w": np.zeros(4), "v": np.arange(1.0, 9.0)},
        seed=0,
    )
    assert location.findings == ()


def test_zeros_that_are_right_are_left_alone():
    params = {
        "used": np.arange(1.0, 7.0),
        "unused": np.ones((3, 4)),
        "empty": np.zeros((0, 3)),
        "number": 0.5,
    }

    def gradient(p):
        return {
            "used": np.cos(p["used"]), "unused": np.zeros((3, 4)), "empty": np.zeros((0, 3)), "number": 1.0,
        }  # fmt: skip

    location = locate(lambda p: np.sum(np.sin(p["used"])) + p["number"] ** 2, gradient, params, seed=0)
    assert location.findings == ()
    assert location.complete
    assert set(location.limit) == {"params['used']", "params['unused']", "params['number']"}
    assert location.limit["params['unused']"].relative == np.inf


def test_one_number():
    location = locate(lambda w: w**3, lambda w: 2 * w**2, 0.5, seed=0)
    assert str(location.findings[0]) == "params: claimed 0.5, should be 0.75 ± 1e-13 (0.667 times)" or (
        location.findings[0].expected == pytest.approx(0.75)
        and location.findings[0].kind in ("entry", "tensor")
    )
    assert location.complete


# --- what is claimed is no number, or everything is wrong -----------------------------------------------


def test_nan_is_told_without_evaluations_and_the_rest_is_searched():
    def plant(g, p):
        g[1]["weight"][3, 4] = np.nan
        g[1]["weight"][7, 7] *= 2
        g[0]["bias"][:] = np.inf
        g[2]["weight"][:, 9] = -np.inf

    location = NET.locate(plant)
    column = {place("params[2]['weight']", (k, 9)) for k in range(5)}
    assert places(location) == {place(W, (3, 4)), place(W, (7, 7)), "params[0]['bias']"} | column
    assert "params[1]['weight'][3, 4]: claimed nan" in str(location)
    assert NET.locate(plant, max_evaluations=1).findings[0].hypothesis == "not finite"
    json.dumps(location.to_data(), allow_nan=False)


def test_everything_wrong():
    def plant(g, p):
        rng = np.random.default_rng(3)
        for layer in g:
            for name in layer:
                layer[name] = rng.standard_normal(layer[name].shape)

    location = NET.locate(plant)
    assert {finding.path for finding in location.findings} == {
        str(path) for path, _ in tree.leaves(NET.params)
    }
    assert {finding.kind for finding in location.findings} <= {"tensor", "entry", "row", "column"}


# --- budgets, seeds, text -----------------------------------------------------------------------------


def test_one_entry_of_a_hundred_thousand_takes_less_than_two_hundred_evaluations():
    network = Network.draw((300, 300, 30), 0, batch=2)
    calls = []

    def loss(params):
        calls.append(1)
        return network.loss(params)

    claimed = network.gradient(network.params)
    claimed[0]["weight"][211, 17] *= 1.001
    location = locate(loss, lambda params: claimed, network.params, seed=0)
    assert places(location) == {place("params[0]['weight']", (211, 17))}
    assert location.complete
    assert location.evaluations == len(calls) <= 200


@pytest.mark.parametrize("most", [1, 30, 80, 120])
def test_a_budget_is_kept_and_said(most):
    location = NET.locate(ENTRIES["ten"][1], max_evaluations=most)
    assert location.evaluations <= most + 2
    assert not location.complete
    assert f"stopped after {most} evaluations" in str(location)
    assert places(location) <= ENTRIES["ten"][0]


def test_a_time_limit_is_kept_even_by_a_loss_that_hangs():
    started, calls = time.monotonic(), []

    def loss(params):
        calls.append(1)
        if len(calls) > 20:
            time.sleep(5)
        return NET.loss(params)

    claimed = NET.gradient(NET.params)
    location = locate(loss, lambda params: claimed, NET.params, seed=0, time_limit=0.3)
    assert time.monotonic() - started < 3
    assert not location.complete
    assert "time limit" in str(location)


def test_a_resolution_spares_what_lies_below_and_says_what_is_not_visible():
    plant = at((4, 11), lambda g: g * (1 + 1e-7))
    assert NET.locate(plant).findings
    location = NET.locate(plant, resolution=1e-3)
    assert location.findings == ()
    assert location.complete
    assert 1e-9 < location.limit[W].relative < 1e-3
    rng, claimed = np.random.default_rng(0), NET.gradient(NET.params)
    blind = locate(
        lambda p: NET.loss(p) * (1 + 1e-3 * rng.standard_normal()),
        lambda p: claimed,
        NET.params,
        seed=0,
        resolution=1e-3,
    )
    assert not blind.complete
    assert "1.0e-03 was asked for" in str(blind)


def test_the_same_seed_gives_the_same_answer_and_none_is_drawn_and_told():
    first, again = (NET.locate(ENTRIES["three"][1], seed=5).to_json() for _ in range(2))
    assert first == again
    drawn = NET.locate(seed=None)
    assert drawn.to_json() == NET.locate(seed=drawn.seed).to_json()


def test_the_text_says_where_what_and_how_sure():
    location = NET.locate(at((4, 11), lambda g: 2 * g))
    text = str(location)
    assert "1 finding" in text
    assert "params[1]['weight'][4, 11]: claimed" in text
    assert "should be" in text
    assert "(2 times)" in text
    assert "Everything else is right as far as can be seen" in text
    assert "evaluations, seed 0" in text
    assert "nothing wrong found" in str(NET.locate())
    limit = location.limit[W]
    assert limit.entry < limit.likely < limit.sure
    assert limit.likely == pytest.approx(10 / 2 * limit.entry)  # 1 % by two directions


def test_progress_is_told():
    told = []
    NET.locate(progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert all(done <= total for done, total in told)


# --- the caller's own things --------------------------------------------------------------------------


def test_nothing_of_the_callers_is_changed_or_written_to():
    network = Network.draw((12, 17, 5), 0)
    before = tree.copy(network.params)
    x = network.x.copy()

    def loss(params, x):
        assert not any(
            np.shares_memory(a, b) for (_, a) in tree.leaves(params) for (_, b) in tree.leaves(network.params)
        )
        return network.loss(params)

    claimed = network.gradient(network.params)
    locate(loss, lambda params, x: claimed, network.params, network.x, seed=0)
    for (_, old), (_, new) in zip(tree.leaves(before), tree.leaves(network.params), strict=True):
        np.testing.assert_array_equal(old, new)
        assert new.flags.writeable
    np.testing.assert_array_equal(x, network.x)


def in_place(params):
    params[1]["weight"] *= 2
    value = NET.loss(params)
    params[1]["weight"] /= 2
    return value


def by_force(params):
    params[1]["weight"].setflags(write=True)
    params[1]["weight"] += 0.125
    return NET.loss(params)


@pytest.mark.parametrize("loss", [in_place, by_force])
def test_a_loss_that_writes_into_its_parameters_gets_copies(loss):
    before = tree.copy(NET.params)
    truth = tree.copy(NET.params)
    truth[1]["weight"] = truth[1]["weight"] * 2 if loss is in_place else truth[1]["weight"] + 0.125
    claimed = NET.gradient(truth)
    if loss is in_place:
        claimed[1]["weight"] *= 2
    claimed[0]["weight"][3, 3] *= 1.5
    location = locate(loss, lambda params: claimed, NET.params, seed=0)
    assert places(location) == {place("params[0]['weight']", (3, 3))}
    assert "copies" in str(location)
    np.testing.assert_array_equal(before[1]["weight"], NET.params[1]["weight"])


def test_a_subject_a_joint_function_and_a_step():
    claimed = NET.gradient(NET.params)
    claimed[0]["weight"][3, 3] *= 1.5
    joint = locate(lambda params: (NET.loss(params), claimed), NET.params, seed=0)
    named = locate(loss=NET.loss, gradient=lambda params: claimed, params=NET.params, seed=0)

    def step(params, lr):
        return [
            {k: v - lr * g[k] for k, v in layer.items()} for layer, g in zip(params, claimed, strict=True)
        ]

    stepped = locate(from_step(step, loss=NET.loss), NET.params, seed=0)
    for location in (joint, named, stepped):
        assert places(location) == {place("params[0]['weight']", (3, 3))}
        assert location.complete


def test_a_gradient_in_float32_of_a_loss_in_float64_is_not_wrong():
    claimed = [{k: v.astype(np.float32) for k, v in layer.items()} for layer in NET.gradient(NET.params)]
    for again in (claimed, [{k: v.astype(float) for k, v in layer.items()} for layer in claimed]):
        location = locate(NET.loss, lambda params, again=again: again, NET.params, seed=0)
        assert location.findings == ()
        assert location.complete
    claimed[1]["weight"][2, 2] *= np.float32(1.05)
    assert places(locate(NET.loss, lambda params: claimed, NET.params, seed=0)) == {place(W, (2, 2))}


def test_the_function_for_other_checks():
    theta, claimed = tree.arrays(NET.params), tree.arrays(NET.gradient(NET.params))
    path = next(path for path in theta if str(path) == W)
    claimed[path][4, 11] *= 1.5
    calls = []

    def evaluate(arrays):
        calls.append(1)
        return float(NET.loss(tree.restore(NET.params, list(arrays.values()))))

    location = locate_in("mine", theta, claimed, evaluate=evaluate, noise=1e-15, seed=3)
    assert isinstance(location, Location)
    assert places(location) == {place(W, (4, 11))}
    assert len(calls) < 130  # the noise is known
    assert claimed[path][4, 11] == 1.5 * NET.gradient(NET.params)[1]["weight"][4, 11]


# --- bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 0}, "resolution is 0"),
        ({"resolution": True}, "resolution is True"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"time_limit": 0}, "time_limit is 0"),
        ({"max_evaluations": 0}, "max_evaluations is 0"),
        ({"max_evaluations": 1.5}, "max_evaluations is 1.5"),
        ({"progress": "yes"}, "progress is 'yes'"),
        ({"tolerance": 1}, "unknown option 'tolerance'; the options are resolution, seed"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(InputError, match=message):
        NET.locate(**options)


def test_calls_that_make_no_sense():
    with pytest.raises(InputError, match=r"params is missing: call locate\(loss, gradient, params"):
        locate(NET.loss, NET.gradient)
    with pytest.raises(InputError, match="has no loss"):
        locate(from_step(lambda w, lr: w), np.ones(2))
    with pytest.raises(InputError, match="int64 array"):
        locate(NET.loss, NET.gradient, np.arange(3))
    with pytest.raises(InputError, match="the gradient cannot be searched"):
        locate(lambda w: np.sum(w), lambda w: np.ones(3), np.ones(2))
    with pytest.raises(InputError, match="the loss is nan at the given parameters"):
        locate(lambda w: np.nan, lambda w: np.ones(2), np.ones(2))
    with pytest.raises(InputError, match="one number is needed"):
        locate(lambda w: w, lambda w: np.ones(2), np.ones(2))
    with pytest.raises(SubjectError, match="ZeroDivisionError"):
        locate(lambda w: 1 / 0, lambda w: np.ones(2), np.ones(2))


def test_a_loss_with_holes_is_said_to_be_unusable_not_wrong():
    def loss(w):
        return float(np.sum(w)) if (w == 1.0).all() else float("nan")

    location = locate(loss, lambda w: np.ones(4), np.ones(4), seed=0)
    assert location.findings == ()
    assert not location.complete


def test_the_names_are_public():
    assert bpcheck.locate is locate
    assert bpcheck.Location is Location


# relu(0·W + b)·v: a padded example and a zero bias; the jumps of the units have signs and cancel along a direction
@pytest.mark.parametrize("seed", some([2, *range(10, 16)], default=lambda seed: seed == 2))
def test_kinks_that_meet_are_no_wrong_gradient(seed):
    v = np.random.default_rng(seed).standard_normal(16)

    def padded(b):
        return float(v @ np.maximum(b, 0.0))

    location = bpcheck.locate(padded, lambda b: v * (b > 0.0), np.zeros(16), seed=seed)
    assert not location.findings


# … and what is wrong beside the kinks too is wrong: a dense layer with zero biases and a padded example
@pytest.mark.parametrize(
    ("where", "factor"),
    some(
        itertools.product([slice(None), 2], [2.0, 0.0, -1.0, 1.3]),
        default=lambda where, factor: (where, factor) in ((slice(None), 1.3), (2, 0.0)),
    ),
)
def test_kinks_that_meet_hide_no_wrong_gradient(where, factor):
    rng = np.random.default_rng(5)
    w, x, y = rng.standard_normal((6, 5)), rng.standard_normal((8, 5)), rng.standard_normal((8, 6))
    x[0] = 0.0
    params = {"w": w, "b": np.zeros(6)}

    def loss(p):
        return float(np.sum((np.maximum(x @ p["w"].T + p["b"], 0.0) - y) ** 2) / 2.0)

    def wrong(p):
        z = x @ p["w"].T + p["b"]
        delta = (np.maximum(z, 0.0) - y) * (z > 0.0)
        b = delta.sum(axis=0)
        b[where] *= factor
        return {"w": delta.T @ x, "b": b}

    findings = bpcheck.locate(loss, wrong, params, seed=0).findings
    assert findings
    assert all(finding.place.startswith("params['b']") for finding in findings)


def test_one_unit_at_its_kink_does_not_hide_a_wrong_entry():
    rng = np.random.default_rng(3)
    w, x, y = rng.standard_normal((6, 5)), rng.standard_normal((8, 5)), rng.standard_normal((8, 6))
    x[0] = 0.0
    params = {"w": w, "b": np.zeros(6)}

    def loss(p):
        return float(np.sum((np.maximum(x @ p["w"].T + p["b"], 0.0) - y) ** 2) / 2.0)

    def gradient(p):
        z = x @ p["w"].T + p["b"]
        delta = (np.maximum(z, 0.0) - y) * (z > 0.0)
        return {"w": delta.T @ x, "b": delta.sum(axis=0)}

    def wrong(p):
        claim = gradient(p)
        claim["w"][2, 3] += 0.1
        return claim

    assert [f.place for f in bpcheck.locate(loss, wrong, params, seed=0).findings] == ["params['w'][2, 3]"]
