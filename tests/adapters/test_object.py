"""from_object: attributes in and out, aliases kept, nothing of the caller's changed, every fault said."""

import itertools
import threading

import numpy as np
import pytest
from choosing import some

import bpcheck
from bpcheck import Verdict, from_object, mlp
from bpcheck.adapters.object import parameters_of


class Net:
    """Two layers, (out, in), tanh, ½‖·‖² averaged; gradients in attributes."""

    def __init__(self, widths=(3, 4, 2), *, bug=None):
        rng = np.random.default_rng(0)
        a, b, c = widths
        self.W1, self.b1 = rng.normal(size=(b, a)), rng.normal(size=b)
        self.W2, self.b2 = rng.normal(size=(c, b)), rng.normal(size=c)
        self.bug = bug

    def cost(self, x, y):
        self.x, self.a = x, np.tanh(x @ self.W1.T + self.b1)
        self.r = self.a @ self.W2.T + self.b2 - y
        return 0.5 * np.sum(self.r**2) / len(x)

    def backward(self):
        r = self.r / len(self.x)
        d = (r @ self.W2) * (1 if self.bug == "hidden" else 1 - self.a**2)
        dW2 = r.T @ self.a
        if self.bug == "accumulated" and hasattr(self, "dW2"):
            dW2 = self.dW2 + dW2 if self.dW2.shape == dW2.shape else dW2
        self.dW1, self.db1, self.dW2, self.db2 = d.T @ self.x, d.sum(0), dW2, r.sum(0)
        if self.bug == "no bias":
            del self.db1
        if self.bug == "steps":
            self.W1 -= 0.1 * self.dW1

    def gradients(self, x, y):
        self.cost(x, y)
        self.backward()
        return {"W1": self.dW1, "b1": self.db1, "W2": self.dW2, "b2": self.db2}


NAMES = ["W1", "b1", "W2", "b2"]


def compare(net, **options):
    given = {"params": NAMES, "gradients": "d{}", "loss": "cost", "backward": "backward", **options}
    return bpcheck.compare(from_object(net, **given), architectures=mlp([3, 4, 2]), seed=0, examples=6)


@pytest.mark.parametrize(
    "options",
    some(
        [
            {},
            {"gradients": ["dW1", "db1", "dW2", "db2"]},
            {"gradients": "gradients", "backward": None},
            {"gradients": lambda net, x, y: list(net.gradients(x, y).values()), "backward": None},
            {"loss": lambda net, x, y: net.cost(x, y)},
            {"loss": None, "backward": lambda net, x, y: net.gradients(x, y)},
        ],
        default=lambda options: (
            options in ({}, {"gradients": "gradients", "backward": None}) or options.get("loss", 0) is None
        ),
    ),
)
def test_every_way_to_name_the_parts_agrees_and_sees_a_bug(options):
    assert compare(Net(), **options).verdict is Verdict.AGREES
    assert compare(Net(bug="hidden"), **options).verdict is Verdict.DISAGREES


@pytest.mark.parametrize(
    ("bug", "verdict", "says"),
    [
        ("accumulated", Verdict.DISAGREES, "kept between calls"),
        ("no bias", Verdict.WRONG_STRUCTURE, "params[0]['bias']"),
        ("steps", Verdict.DISAGREES, "after the call"),
    ],
)
def test_what_an_object_does_wrong_is_found(bug, verdict, says):
    report = compare(Net(bug=bug))
    assert report.verdict is verdict, report
    assert says in " ".join(str(report).split())


def test_the_callers_object_stays_as_it_was():
    net = Net()
    before = {name: np.array(value) for name, value in vars(net).items() if name != "bug"}
    compare(net)
    assert vars(net).keys() == {*before, "bug"}
    assert all(np.array_equal(getattr(net, name), value) for name, value in before.items())


class Flat(Net):
    """Parameters are views into one buffer, and the forward pass reads the buffer."""

    def __init__(self, order="C"):
        super().__init__()
        self.theta = np.concatenate([getattr(self, name).ravel() for name in NAMES])
        self.inner = {"again": self.theta}
        start = 0
        for name in NAMES:
            shape = getattr(self, name).shape
            size = int(np.prod(shape))
            setattr(self, name, self.theta[start : start + size].reshape(shape))
            start += size

    def cost(self, x, y):
        theta = self.inner["again"]
        kept = self.W1, self.b1, self.W2, self.b2
        self.W1, self.b1 = theta[:12].reshape(4, 3), theta[12:16]
        self.W2, self.b2 = theta[16:24].reshape(2, 4), theta[24:]
        value = super().cost(x, y)
        self.W1, self.b1, self.W2, self.b2 = kept
        return value


def test_views_into_one_buffer_stay_views_in_the_copy():
    net = Flat()
    before = net.theta.copy()
    assert compare(net).verdict is Verdict.AGREES
    assert np.array_equal(net.theta, before)
    assert np.shares_memory(net.W1, net.theta)


def test_lists_and_inner_objects_and_numbers():
    class Unit:
        def __init__(self, w, b):
            self.w, self.b = np.array(w), b

    class Chain:
        def __init__(self):
            self.units, self.scale = [Unit([1.0, 2.0], 0.5), Unit([0.3, -1.0], -0.2)], [2.0, 3.0]

        def cost(self, x):
            self.x = x
            return float(
                sum(s * (np.sin(u.w @ x) + u.b**2) for s, u in zip(self.scale, self.units, strict=True))
            )

    names = ["units.0.w", "units.0.b", "units.1.w", "units.1.b", "scale"]

    def gradients(chain, x):
        found = []
        for s, u in zip(chain.scale, chain.units, strict=True):
            found += [s * np.cos(u.w @ x) * x, 2 * s * u.b]
        return [*found, [float(np.sin(u.w @ x) + u.b**2) for u in chain.units]]

    chain, x = Chain(), np.array([0.4, -0.7])
    subject = from_object(chain, params=names, gradients=gradients, loss="cost")
    assert bpcheck.check_gradient(subject, parameters_of(chain, names), x, seed=0).ok
    wrong = from_object(
        chain, params=names, gradients=lambda c, x: [*gradients(c, x)[:-1], [0.0, 1.0]], loss="cost"
    )
    assert not bpcheck.check_gradient(wrong, parameters_of(chain, names), x, seed=0).ok
    assert chain.units[0].b == 0.5


def test_other_widths_are_refused_with_the_remedy():
    subject = from_object(Net(), params=NAMES, gradients="d{}", loss="cost", backward="backward")
    with pytest.raises(bpcheck.InputError, match=r"widths are fixed: with compare\(\), pass architectures="):
        bpcheck.compare(subject, architectures=mlp([5, 3, 2]), seed=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"params": "W1"}, "list of names"),
        ({"params": []}, "list of names"),
        ({"params": ["W3"]}, "has no 'W3'"),
        ({"params": ["bug"]}, "Net.bug is None"),
        ({"loss": "costs"}, "has no 'costs'"),
        ({"loss": 3}, "loss is int 3"),
        ({"gradients": ["dW1"]}, "a name for each of"),
        ({"gradients": 1}, "a name for each of"),
    ],
    ids=repr,
)
def test_wrong_names_are_refused_at_once(change, says):
    with pytest.raises(bpcheck.InputError) as caught:
        from_object(Net(), **{"params": NAMES, "gradients": "d{}", "loss": "cost", **change})
    assert says in str(caught.value)


def test_an_object_that_cannot_be_copied_is_refused():
    net = Net()
    net.lock = threading.Lock()
    with pytest.raises(bpcheck.InputError, match="cannot be copied"):
        from_object(net, params=NAMES, gradients="d{}", loss="cost")


def test_integer_parameters_are_refused():
    net = Net()
    net.b1 = np.array([1, 2, 3, 4])
    with pytest.raises(bpcheck.InputError, match="b1"):
        from_object(net, params=NAMES, gradients="d{}", loss="cost")


class Named(Net):
    """Square, so that shapes tell nothing; the method returns a dict with keys of its own."""

    def __init__(self, keys, swapped=False):
        super().__init__((3, 3, 3))
        self.keys, self.swapped = keys, swapped

    def gradients(self, x, y):
        found = super().gradients(x, y)
        if self.swapped:
            found["W1"], found["W2"] = found["W2"], found["W1"]
        return {key: found[name] for key, name in self.keys.items()}


@pytest.mark.parametrize(
    ("pattern", "order"),
    some(
        itertools.product(["d{}", "{}_grad", "{}"], [NAMES, NAMES[::-1], ["W2", "b1", "W1", "b2"]]),
        default=lambda pattern, order: pattern == "{}_grad" and order[:2] == ["W2", "b1"],
    ),
)
def test_a_dict_of_gradients_is_read_by_its_keys_whatever_their_order(pattern, order):
    keys = {pattern.format(name): name for name in order}

    def verdict(net):
        subject = from_object(net, params=NAMES, gradients="gradients", loss="cost")
        return bpcheck.compare(subject, architectures=mlp([3, 3, 3]), seed=0, examples=6).verdict

    assert verdict(Named(keys)) is Verdict.AGREES
    assert verdict(Named(keys, swapped=True)) is Verdict.DISAGREES


def test_keys_that_do_not_tell_are_refused():
    keys = dict(zip(["first", "second", "third", "fourth"], NAMES, strict=True))
    subject = from_object(Named(keys), params=NAMES, gradients="gradients", loss="cost")
    with pytest.raises(bpcheck.InputError, match=r"\['first', .*cannot be told"):
        bpcheck.compare(subject, architectures=mlp([3, 3, 3]), seed=0, examples=6)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"gradients": "d{}{}"}, "once"),
        ({"gradients": "d{x}{}"}, "once"),
        ({"gradients": "W1"}, "a single name is that of a method"),
        ({"loss": "W1"}, "a single name is that of a method"),
        ({"params": ["W1", "W1"]}, "each name once"),
        ({"params": ["pair"]}, "inside a tuple"),
    ],
    ids=repr,
)
def test_names_that_cannot_be_meant_are_refused_at_once(options, says):
    net = Net()
    net.pair = (1.0, 2.0)
    with pytest.raises(bpcheck.InputError) as caught:
        from_object(net, **{"params": NAMES, "gradients": "d{}", "loss": "cost", **options})
    assert says in str(caught.value)


def test_a_method_that_needs_more_than_x_and_y_is_not_called_without_them():
    class Penalised(Net):
        def cost(self, x, y, reg):
            return super().cost(x, y)

    with pytest.raises(bpcheck.SubjectError, match="missing 1 required positional argument: 'reg'"):
        compare(Penalised())


class Holder:
    """All parameters in one dict, weights (in, out); the gradients in another, or returned."""

    def __init__(self, *, bug=False, keys=("W1", "b1", "W2", "b2")):
        rng = np.random.default_rng(0)
        shapes = {"W1": (3, 4), "b1": (4,), "W2": (4, 2), "b2": (2,)}
        self.params = {key: rng.normal(size=shapes[key]) for key in keys}
        self.grads, self.bug = {}, bug

    def loss(self, x, y):
        p, m = self.params, len(x)
        h = np.tanh(x @ p["W1"] + p["b1"])
        d = (h @ p["W2"] + p["b2"] - y) / m
        e = (d @ p["W2"].T) * (1 if self.bug else 1 - h**2)
        self.grads = {"b2": d.sum(0), "W2": h.T @ d, "b1": e.sum(0), "W1": x.T @ e}
        return 0.5 * np.sum(d**2) * m

    def gradient(self, x, y):
        self.loss(x, y)
        return {f"d{key}": value for key, value in self.grads.items()}


@pytest.mark.parametrize(
    ("gradients", "keys"),
    some(
        itertools.product(
            ["grads", "gradient", lambda net, x, y: net.gradient(x, y)],
            [("W1", "b1", "W2", "b2"), ("b2", "W1", "W2", "b1")],
        ),
        default=lambda gradients, keys: (gradients, keys[0]) == ("grads", "W1"),
    ),
)
def test_one_attribute_holds_a_dict_of_all_parameters(gradients, keys):
    x, y = np.random.default_rng(1).normal(size=(5, 3)), np.ones((5, 2))
    for bug in (False, True):
        net = Holder(bug=bug, keys=keys)
        subject = from_object(net, params="params", gradients=gradients, loss="loss")
        assert bpcheck.check_gradient(subject, parameters_of(net, "params"), x, y, seed=0).ok is not bug
        if keys[0] == "W1":  # compare() hands them over by their order
            report = bpcheck.compare(subject, architectures=mlp([3, 4, 2]), seed=0, examples=6)
            assert report.verdict is (Verdict.DISAGREES if bug else Verdict.AGREES), report


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"params": "bug"}, "which is bool False in Holder; name the attribute of a dict"),
        ({"params": "grads"}, "give a list of names of attributes: params=['grads']"),
        ({"gradients": "bug"}, "a single name is that of a method, or of an attribute with all gradients"),
    ],
    ids=repr,
)
def test_an_attribute_that_holds_no_dict_is_refused(options, says):
    with pytest.raises(bpcheck.InputError) as caught:
        from_object(Holder(), **{"params": "params", "gradients": "grads", "loss": "loss", **options})
    assert says in str(caught.value)


def test_a_class_in_place_of_an_object_is_refused():
    with pytest.raises(
        bpcheck.InputError, match=r"Net is a class: give an object of it, from_object\(Net\(…\), …\)"
    ):
        from_object(Net, params=["W1", "b1", "W2", "b2"], gradients="d{}", loss="cost")
