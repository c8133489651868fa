"""Whatever goes in, a verdict or an error with a path and a remedy comes out, and nothing of the caller's changes."""

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

import bpcheck
from bpcheck import Case, Verdict, mlp
from bpcheck.errors import ArchitectureError, InputError, SubjectError
from bpcheck.network.dense_chain import dense_chain
from bpcheck.reference import build

ARCHITECTURE = mlp([2, 3, 2], activation="tanh")

WRONG_STRUCTURE, NONFINITE, DISAGREES, INCONCLUSIVE, AGREES = (
    Verdict.WRONG_STRUCTURE,
    Verdict.NONFINITE,
    Verdict.DISAGREES,
    Verdict.INCONCLUSIVE,
    Verdict.AGREES,
)


def right(params, x, y):
    """Loss and gradient of the network above, by hand; silent where a number is not finite."""
    with np.errstate(all="ignore"):
        return _right(params, x, y)


def _right(params, x, y):
    first, second = params
    a = np.tanh(x @ first["weight"].T + first["bias"])
    r = (a @ second["weight"].T + second["bias"] - y) / len(x)
    loss = 0.5 * len(x) * np.sum(r**2)
    d = (r @ second["weight"]) * (1 - a**2)
    return loss, [
        {"weight": d.T @ x, "bias": d.sum(axis=0)},
        {"weight": r.T @ a, "bias": r.sum(axis=0)},
    ]


# --- what is watched -------------------------------------------------------------------------------


@dataclass
class World:
    """A caller's data, and everything of the caller's that must be as it was afterwards."""

    params: Any
    x: Any
    y: Any
    before: Any = None

    @classmethod
    def fresh(cls):
        rng = np.random.default_rng(7)

        def draw(*shape):
            return np.round(rng.normal(size=shape), 2)

        params = [
            {"weight": draw(3, 2), "bias": draw(3)},
            {"weight": draw(2, 3), "bias": draw(2)},
        ]
        return cls(params, draw(4, 2), draw(4, 2))

    def state(self):
        return {
            "params": repr_of(self.params),
            "x": repr_of(self.x),
            "y": repr_of(self.y),
            "NumPy's error state": np.geterr(),
            "NumPy's random state": repr(np.random.get_state()),  # noqa: NPY002
            "Python's random state": random.getstate(),
            "the folder": sorted(os.listdir()),
            "print options": np.get_printoptions(),
            "recursion limit": sys.getrecursionlimit(),
        }


def repr_of(value, depth=0):
    """A text of every bit of a tree, that a tree which contains itself does not hang."""
    if depth > 4:
        return "..."
    if isinstance(value, np.ndarray):
        return (
            id(value),
            value.dtype.str,
            value.shape,
            value.strides,
            value.tobytes() if value.dtype != object else repr(value),
        )
    if isinstance(value, dict):
        return (id(value), {key: repr_of(child, depth + 1) for key, child in value.items()})
    if isinstance(value, list | tuple):
        return (id(value), [repr_of(child, depth + 1) for child in value])
    return repr(value)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """The caller's data in an empty folder; the test fails if anything of the caller's is not as it was."""
    monkeypatch.chdir(tmp_path)
    with np.errstate(divide="warn", under="ignore"):
        made = World.fresh()
        yield made
        if made.before is not None:
            after = made.state()
            assert {what: after[what] for what in made.before} == made.before


def through(front, world, subject, **options):
    """The subject at the caller's data, through one of the two front doors."""
    world.before = world.state()
    if front == "compare":
        case = Case(ARCHITECTURE, world.params, world.x, world.y)
        pinned = {"seed": 0, "conventions": bpcheck.Conventions()}  # the layout is not in question here
        return bpcheck.compare(subject, cases=case, **{**pinned, **options})
    return bpcheck.check_gradient(subject, world.params, world.x, world.y, **{"seed": 0, **options})


@dataclass(frozen=True)
class Row:
    """One bad input and what must be said about it.

    ``expected`` is a verdict or a class of errors; ``says`` are pieces of the text (the path and the
    remedy). A tuple (compare, check_gradient) where the two doors differ.
    """

    name: str
    expected: Any
    says: Any
    subject: Any = right
    change: Callable[[World], None] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    doors: tuple[str, ...] = ("compare", "check_gradient")


def rows(table):
    return [pytest.param(door, row, id=f"{row.name}-{door}") for row in table for door in row.doors]


def of(door, value):
    """The entry of a (compare, check_gradient) pair for a door."""
    if isinstance(value, tuple) and len(value) == 2 and not all(isinstance(v, str) for v in value):
        return value[door == "check_gradient"]
    return value


def check(door, world, row):
    if row.change is not None:
        row.change(world)
    expected, says = of(door, row.expected), of(door, row.says)
    if isinstance(expected, Verdict):
        report = through(door, world, row.subject, **row.options)
        text = str(report)
        assert report.verdict is expected, text
        assert bool(report) is expected.ok
        report.to_json()
    else:
        with pytest.raises(expected) as caught:
            through(door, world, row.subject, **row.options)
        text = str(caught.value)
    flat = " ".join(text.split())
    for piece in [says] if isinstance(says, str) else says:
        assert piece in flat, text


# --- answers of a wrong form -----------------------------------------------------------------------


def answering(change):
    """A subject whose right answer is changed on the way out."""

    def subject(params, x, y):
        return change(*right(params, x, y))

    return subject


def with_leaf(layer, name, change):
    """The right answer with one leaf changed."""

    def subject(params, x, y):
        loss, grads = right(params, x, y)
        grads[layer] = {**grads[layer], name: change(grads[layer][name])}
        return loss, grads

    return subject


def without_bias(loss, grads):
    return loss, [grads[0], {"weight": grads[1]["weight"]}]


REMEDY = "Return one gradient array for each parameter"

ANSWERS = [
    Row(
        "a layer missing",
        WRONG_STRUCTURE,
        ["params[1]", "no gradient", "length 1", REMEDY],
        answering(lambda c, g: (c, g[:1])),
    ),
    Row(
        "a layer too many",
        WRONG_STRUCTURE,
        ["params[2]", "no such parameter", REMEDY],
        answering(lambda c, g: (c, [*g, g[1]])),
    ),
    Row(
        "a bias missing",
        WRONG_STRUCTURE,
        ["params[1]['bias']", "no gradient", "the keys are", REMEDY],
        answering(without_bias),
    ),
    Row(
        "a key too many",
        WRONG_STRUCTURE,
        ["params[0]['mask']", "no such parameter", REMEDY],
        answering(lambda c, g: (c, [{**g[0], "mask": np.ones(3)}, g[1]])),
    ),
    Row(
        "no gradient at all",
        WRONG_STRUCTURE,
        ["params", "None", "a list of 2 is needed", REMEDY],
        answering(lambda c, g: (c, None)),
    ),
    Row(
        "a dict for the list",
        WRONG_STRUCTURE,
        ["params", "dict", "a list of 2 is needed"],
        answering(lambda c, g: (c, {"w1": g[0]})),
    ),
    Row(
        "a flat array",
        WRONG_STRUCTURE,
        ["params", "float64 array of shape (15,)"],
        answering(lambda c, g: (c, np.ones(15))),
    ),
    Row(
        "text for the gradient",
        WRONG_STRUCTURE,
        ["params", "str 'grads'"],
        answering(lambda c, g: (c, "grads")),
    ),
    Row(
        "None for a leaf",
        WRONG_STRUCTURE,
        ["params[0]['bias']", "None", REMEDY],
        with_leaf(0, "bias", lambda g: None),
    ),
    Row(
        "text for a leaf",
        WRONG_STRUCTURE,
        ["params[0]['bias']", "str 'db'", "not an array"],
        with_leaf(0, "bias", lambda g: "db"),
    ),
    Row(
        "a list for a leaf",
        WRONG_STRUCTURE,
        ["params[0]['bias']", "list", "not an array"],
        with_leaf(0, "bias", lambda g: g.tolist()),
    ),
    Row(
        "a weight transposed",
        WRONG_STRUCTURE,
        (
            [
                "params[1]['weight']",
                "has shape",
                "but the parameter has shape",
                "first seen in a network of widths [2, 3, 2]",
            ],
            ["params[1]['weight']", "(3, 2)", "(2, 3)", REMEDY],
        ),
        with_leaf(1, "weight", lambda g: g.T),
    ),
    Row(
        "a column for a bias",
        WRONG_STRUCTURE,
        (
            [
                "params[0]['bias']",
                "has shape",
                "but the parameter has shape",
                "first seen in a network of widths [2, 3, 2]",
            ],
            ["params[0]['bias']", "(3, 1)", "(3,)", REMEDY],
        ),
        with_leaf(0, "bias", lambda g: g[:, None]),
    ),
    Row(
        "one sum for all biases",
        WRONG_STRUCTURE,
        (
            [
                "params[0]['bias']",
                "has shape",
                "but the parameter has shape",
                "first seen in a network of widths [2, 3, 2]",
            ],
            ["params[0]['bias']", "()", "(3,)"],
        ),
        with_leaf(0, "bias", lambda g: g.sum()),
    ),
    Row(
        "a plain number for a bias",
        WRONG_STRUCTURE,
        (
            [
                "params[0]['bias']",
                "has shape",
                "but the parameter has shape",
                "first seen in a network of widths [2, 3, 2]",
            ],
            ["params[0]['bias']", "()", "(3,)"],
        ),
        with_leaf(0, "bias", lambda g: 0.5),
    ),
    Row(
        "an empty array",
        WRONG_STRUCTURE,
        (
            [
                "params[0]['bias']",
                "has shape",
                "but the parameter has shape",
                "first seen in a network of widths [2, 3, 2]",
            ],
            ["params[0]['bias']", "(0,)", "(3,)"],
        ),
        with_leaf(0, "bias", lambda g: g[:0]),
    ),
    Row(
        "a complex gradient",
        WRONG_STRUCTURE,
        ["params[0]['weight']", "complex", "return the real gradient"],
        with_leaf(0, "weight", lambda g: g + 0j),
    ),
    Row(
        "an array of objects",
        WRONG_STRUCTURE,
        ["params[0]['weight']", "object", "floats"],
        with_leaf(0, "weight", lambda g: g.astype(object)),
    ),
    Row(
        "an array of truth values",
        WRONG_STRUCTURE,
        ["params[0]['weight']", "bool", "floats"],
        with_leaf(0, "weight", lambda g: g > 0),
    ),
    Row(
        "a gradient rounded to whole numbers",
        DISAGREES,
        ["params[0]['weight']"],
        with_leaf(0, "weight", lambda g: g.astype(int)),
    ),
    Row(
        "NaN in the gradient",
        NONFINITE,
        ["params[1]['bias']", "NaN", "division by zero"],
        with_leaf(1, "bias", lambda g: g * np.nan),
    ),
    Row(
        "infinity in the gradient",
        NONFINITE,
        ["params[1]['bias']", "infinite"],
        with_leaf(1, "bias", lambda g: g + np.inf),
    ),
    Row(
        "NaN for one entry",
        NONFINITE,
        (["params[0]['weight']", "NaN or infinite"], ["params[0]['weight']", "1 of 6 entries"]),
        with_leaf(0, "weight", lambda g: np.where(g == g.max(), np.nan, g)),
    ),
    Row("NaN for the loss", NONFINITE, ["loss"], answering(lambda c, g: (np.nan, g))),
    Row("infinite loss", NONFINITE, ["loss"], answering(lambda c, g: (-np.inf, g))),
    Row(
        "one loss an example",
        WRONG_STRUCTURE,
        ["loss", "shape (4,)", "reduce it over the batch"],
        answering(lambda c, g: (np.full(4, c), g)),
    ),
    Row("no loss", WRONG_STRUCTURE, ["loss", "None", "one real number"], answering(lambda c, g: (None, g))),
    Row(
        "text for the loss",
        WRONG_STRUCTURE,
        ["loss", "str '1.0'", "one real number"],
        answering(lambda c, g: ("1.0", g)),
    ),
    Row(
        "a complex loss",
        WRONG_STRUCTURE,
        ["loss", "complex", "one real number"],
        answering(lambda c, g: (c + 0j, g)),
    ),
    Row(
        "a truth value for the loss",
        WRONG_STRUCTURE,
        ["loss", "bool", "one real number"],
        answering(lambda c, g: (True, g)),
    ),
    Row("an empty loss", WRONG_STRUCTURE, ["loss", "(0,)"], answering(lambda c, g: (np.array([]), g))),
    Row("loss and gradient swapped", WRONG_STRUCTURE, ["loss", "params"], answering(lambda c, g: (g, c))),
    Row(
        "nothing returned",
        WRONG_STRUCTURE,
        ["return value", "None", "the pair (loss, gradient)"],
        answering(lambda c, g: None),
    ),
    Row(
        "only the gradient",
        WRONG_STRUCTURE,
        ["return value", "the pair (loss, gradient)"],
        answering(lambda c, g: g[0]),
    ),
    Row(
        "three things",
        WRONG_STRUCTURE,
        ["return value", "the pair (loss, gradient)"],
        answering(lambda c, g: (c, g, "more")),
    ),
    Row(
        "an array for the pair",
        WRONG_STRUCTURE,
        ["return value", "the pair (loss, gradient)"],
        answering(lambda c, g: np.ones(2)),
    ),
    # odd, but right
    Row("a loss in an array of one", AGREES, "AGREES", answering(lambda c, g: (np.array([[c]]), g))),
    Row("a list for the pair", AGREES, "AGREES", answering(lambda c, g: [c, g])),
    Row("tuples for lists", AGREES, "AGREES", answering(lambda c, g: (c, tuple(g)))),
    Row("Fortran order", AGREES, "AGREES", with_leaf(0, "weight", np.asfortranarray)),
    Row("a strided view", AGREES, "AGREES", with_leaf(0, "bias", lambda g: np.repeat(g, 2)[::2])),
]


@pytest.mark.parametrize(("door", "row"), rows(ANSWERS))
def test_an_answer_of_a_wrong_form_is_a_verdict_with_a_path(world, door, row):
    check(door, world, row)


# --- behaviour -------------------------------------------------------------------------------------


class Boom(Exception):
    pass


def raising(params, x, y):
    raise Boom("the matrix is singular")


def exiting(params, x, y):
    sys.exit(3)


def reading_wrong_key(params, x, y):
    return params[0]["W"].sum(), None


def printing(params, x, y):
    print("epoch 1")
    return right(params, x, y)


def changing_weights(params, x, y):
    loss, grads = right(params, x, y)
    for layer, grad in zip(params, grads, strict=True):
        layer["weight"] -= 0.1 * grad["weight"]
    return loss, grads


def rebinding_weights(params, x, y):
    loss, grads = right(params, x, y)
    params[0]["weight"] = params[0]["weight"] - 0.1 * grads[0]["weight"]
    return loss, grads


def adding_a_cache(params, x, y):
    params[0]["cache"] = x
    return right([{k: layer[k] for k in ("weight", "bias")} for layer in params], x, y)


def renaming(params, x, y):
    answer = right(params, x, y)
    params[0]["W"] = params[0].pop("weight")
    return answer


def reordering(params, x, y):
    params[0]["weight"] = params[0].pop("weight")
    return right(params, x, y)


def popping_layers(params, x, y):
    answer = right(params, x, y)
    params.pop()
    return answer


def normalising_x(params, x, y):
    answer = right(params, x, y)
    x -= x.mean()
    return answer


def clipping_y(params, x, y):
    answer = right(params, x, y)
    np.clip(y, 0.1, 0.9, out=y)
    return answer


def resizing_x(params, x, y):
    answer = right(params, x, y)
    x.resize((2, 4), refcheck=False)
    return answer


@pytest.mark.parametrize("time_limit", [None, 60])
@pytest.mark.parametrize("door", ["compare", "check_gradient"])
def test_every_call_starts_in_the_callers_error_state(world, door, time_limit):
    seen = []

    def setting(params, x, y):
        seen.append(np.geterr())
        np.seterr(all="raise", under="ignore")
        return right(params, x, y)

    with np.errstate(over="print", divide="call", invalid="ignore"):
        callers = np.geterr()
        assert through(door, world, setting, time_limit=time_limit).verdict is AGREES
        assert np.geterr() == callers
    world.before = None
    assert len(seen) >= 2
    assert all(state == callers for state in seen)


def test_the_watch_itself_sees_every_kind_of_change(tmp_path, monkeypatch):
    # a negative control of the fixture: each of these would fail the test that does it
    monkeypatch.chdir(tmp_path)
    world = World.fresh()
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    changes = {
        "params": lambda: world.params[0]["bias"].__setitem__(0, 9.0),
        "x": lambda: world.x.__setitem__((0, 0), 9.0),
        "y": lambda: world.y.__setitem__((0, 0), 9.0),
        "NumPy's error state": lambda: np.seterr(over="ignore"),
        "NumPy's random state": lambda: np.random.random(),  # noqa: NPY002
        "Python's random state": lambda: random.random(),
        "the folder": lambda: (tmp_path / ".hypothesis").mkdir(),
    }
    with np.errstate():
        for what, change in changes.items():
            before = world.state()
            change()
            after = world.state()
            assert [name for name in before if before[name] != after[name]] == [what]
    np.random.set_state(numpy_state)  # noqa: NPY002
    random.setstate(python_state)


class Accumulating:
    """The second call returns the sum of two gradients."""

    def __init__(self):
        self.total = None

    def __call__(self, params, x, y):
        loss, grads = right(params, x, y)
        if self.total is not None:
            for layer, old in zip(grads, self.total, strict=True):
                for name in layer:
                    layer[name] = layer[name] + old[name]
        self.total = grads
        return loss, grads


def guessing(params, x, y):
    loss, grads = right(params, x, y)
    grads[0]["weight"] = grads[0]["weight"] + 1e-4 * np.random.standard_normal((3, 2))  # noqa: NPY002
    return loss, grads


def guessing_by_python(params, x, y):
    loss, grads = right(params, x, y)
    grads[0]["bias"] = grads[0]["bias"] * random.uniform(0.5, 1.5)
    return loss, grads


def seeding(params, x, y):
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    return right(params, x, y)


def setting_errors(params, x, y):
    np.seterr(all="raise", under="ignore")
    return right(params, x, y)


def dividing_under_a_set_error_state(params, x, y):
    np.seterr(all="ignore")
    np.log(np.zeros(1))
    return right(params, x, y)


BEHAVIOUR = [
    Row("raises", SubjectError, ["raising raised Boom: the matrix is singular"], raising),
    Row("exits", SubjectError, ["exiting raised SystemExit: 3"], exiting),
    Row("reads a key that is not there", SubjectError, ["raised KeyError: 'W'"], reading_wrong_key),
    Row(
        "changes weights in place",
        DISAGREES,
        ["params[0]['weight']", "changed its argument in place", "copy"],
        changing_weights,
    ),
    Row(
        "rebinds weights",
        DISAGREES,
        ["params[0]['weight']", "changed its argument", "copy"],
        rebinding_weights,
    ),
    Row("adds a cache to params", DISAGREES, ["params", "added or removed"], adding_a_cache),
    Row("renames a key of params", DISAGREES, ["params", "added or removed"], renaming),
    Row("puts a key last", AGREES, "AGREES", reordering),
    Row("removes a layer of params", DISAGREES, ["params", "added or removed"], popping_layers),
    Row("normalises x in place", DISAGREES, ["x after the call", "copy"], normalising_x),
    Row("clips y in place", DISAGREES, ["y after the call", "copy"], clipping_y),
    Row("resizes x in place", DISAGREES, ["x after the call", "copy"], resizing_x),
    Row("guesses with NumPy's generator", DISAGREES, ["params[0]['weight']"], guessing),
    Row("guesses with Python's generator", DISAGREES, ["params[0]['bias']"], guessing_by_python),
    Row("seeds the global generators", AGREES, "AGREES", seeding),
    Row("sets NumPy's error state", AGREES, "AGREES", setting_errors),
    Row("ignores NumPy's errors", AGREES, "AGREES", dividing_under_a_set_error_state),
]


@pytest.mark.parametrize(("door", "row"), rows(BEHAVIOUR))
def test_what_a_subject_does_besides_computing_is_found_and_undone(world, door, row):
    check(door, world, row)


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
def test_an_accumulating_subject_is_caught_at_its_second_call(world, door):
    report = through(door, world, Accumulating())
    assert report.verdict is DISAGREES
    assert "second" in str(report)
    assert "kept between calls" in " ".join(str(report).split())


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
@pytest.mark.parametrize(
    ("subject", "kind"), [(raising, Boom), (exiting, SystemExit), (reading_wrong_key, KeyError)]
)
def test_an_error_of_the_subject_is_chained(world, door, subject, kind):
    with pytest.raises(SubjectError) as caught:
        through(door, world, subject)
    assert isinstance(caught.value.__cause__, kind)
    assert caught.value.__cause__.__traceback__ is not None


def test_an_error_in_compare_comes_with_a_case_to_paste(world):
    with pytest.raises(SubjectError) as caught:
        through("compare", world, raising)
    assert "To see it again:" in str(caught.value)
    names = {}
    # what is printed runs as it stands, the caller's own function being there
    with pytest.raises(SubjectError, match="the matrix is singular"):
        exec(caught.value.reproducer, {"raising": raising, "bpcheck": bpcheck}, names)
    assert isinstance(names["case"], Case)
    assert dense_chain(names["case"].architecture).widths == (1, 1) or len(names["case"].params) <= 2


def test_an_error_in_check_gradient_comes_with_the_parameters_to_paste(world):
    with pytest.raises(SubjectError, match="To see it again:") as caught:
        through("check_gradient", world, raising)
    names = {}
    exec(caught.value.reproducer, names)
    for layer, given in zip(names["params"], world.params, strict=True):
        for name in layer:
            np.testing.assert_array_equal(layer[name], given[name])
    world.params[0]["weight"] = np.ones((1000, 2))
    with pytest.raises(SubjectError, match="too many to print"):
        bpcheck.check_gradient(raising, world.params, world.x, world.y)
    world.before = None  # it was changed here


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
def test_ctrl_c_is_not_swallowed(world, door):
    def interrupted(params, x, y):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        through(door, world, interrupted)


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
@pytest.mark.parametrize("progress", [None, True, False])
def test_stdout_holds_what_the_subject_prints_and_nothing_else(world, door, progress, capsys):
    report = through(door, world, printing, progress=progress)
    assert report.verdict is AGREES
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert set(lines) == {"epoch 1"}
    through(door, world, right, progress=progress)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
@pytest.mark.parametrize("when", [1, 3])
def test_a_subject_that_never_returns_is_given_up(world, door, when):
    calls = []

    def hanging(params, x, y):
        calls.append(1)
        while len(calls) >= when and not stop:
            time.sleep(0.01)
        return right(params, x, y)

    stop = []
    started = time.monotonic()
    # several cases, so that compare() calls three times at least
    report = (
        through(door, world, hanging, time_limit=0.4)
        if door == "check_gradient"
        else bpcheck.compare(hanging, architectures=ARCHITECTURE, examples=5, seed=0, time_limit=0.4)
    )
    elapsed = time.monotonic() - started
    stop.append(True)  # the thread that was left behind ends
    assert report.verdict is INCONCLUSIVE
    assert not report
    assert "time" in report.summary
    assert elapsed < 2.0


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
def test_a_subject_that_was_given_up_does_not_turn_back_the_callers_random_numbers_later(world, door):
    stop = threading.Event()

    def hanging(params, x, y):
        np.random.random(3)  # noqa: NPY002
        random.random()
        stop.wait(5)
        return right(params, x, y)

    started = np.random.get_state()  # noqa: NPY002
    assert through(door, world, hanging, time_limit=0.2).verdict is INCONCLUSIVE
    assert world.state() == world.before  # what it drew before it hung is given back
    first = (np.random.random(2).tolist(), random.random())  # noqa: NPY002 - the caller goes on drawing
    stop.set()
    for thread in threading.enumerate():
        if thread.name == "bpcheck subject":
            thread.join(5)
    second = (np.random.random(2).tolist(), random.random())  # noqa: NPY002
    assert first != second
    expected = np.random.RandomState()
    expected.set_state(started)
    assert first[0] + second[0] == expected.random_sample(4).tolist()
    world.before = None  # drawn from by the test itself


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
def test_a_time_limit_that_is_not_reached_changes_nothing(world, door):
    assert through(door, world, right, time_limit=np.inf).verdict is AGREES
    with pytest.raises(SubjectError) as caught:
        through(door, world, raising, time_limit=60)
    assert isinstance(caught.value.__cause__, Boom)


# --- bare compare(), where the network is inferred first -------------------------------------------


def _any_depth(params, x, y):
    network = build(mlp([params[0]["weight"].shape[1], *(len(layer["bias"]) for layer in params)]))
    return network.loss(params, x, y), network.gradient(params, x, y)


BARE = [
    Row("no pair", WRONG_STRUCTURE, ["return value", "the pair (loss, gradient)"], lambda params, x, y: 1.0),
    Row("no loss", WRONG_STRUCTURE, ["loss", "one real number"], lambda params, x, y: (None, params)),
    Row(
        "a loss an example",
        WRONG_STRUCTURE,
        ["loss", "reduce it over the batch"],
        lambda params, x, y: (x[:, 0], params),
    ),
    Row("NaN for the loss", NONFINITE, ["loss", "nan"], lambda params, x, y: (np.nan, params)),
    Row(
        "a loss of nothing known",
        INCONCLUSIVE,
        ["fits no network", "architectures=bpcheck.mlp", "check_gradient"],
        lambda params, x, y: (42.0, params),
    ),
    Row("raises", SubjectError, ["raised Boom", "To see it again"], raising),
    Row(
        "no gradient",
        WRONG_STRUCTURE,
        ["params", "None", REMEDY],
        lambda params, x, y: (_any_depth(params, x, y)[0], None),
    ),
    Row(
        "changes x",
        DISAGREES,
        ["x after the call", "copy"],
        lambda params, x, y: (_any_depth(params, x, y), x.fill(0))[0],
    ),
]


@pytest.mark.parametrize("row", BARE, ids=lambda row: row.name)
def test_bad_subjects_are_told_without_any_word_about_their_network(world, row):
    world.before = world.state()
    if isinstance(row.expected, Verdict):
        report = bpcheck.compare(row.subject, seed=0, examples=6)
        text = str(report)
        assert report.verdict is row.expected, text
        report.to_json()
    else:
        with pytest.raises(row.expected) as caught:
            bpcheck.compare(row.subject, seed=0, examples=6)
        text = str(caught.value)
    for piece in row.says:
        assert piece in " ".join(text.split()), text


def test_a_subject_that_hangs_while_its_network_is_inferred_is_given_up(world):
    stop = []

    def hanging(params, x, y):
        while not stop:
            time.sleep(0.01)

    world.before = world.state()
    report = bpcheck.compare(hanging, time_limit=0.3)
    stop.append(True)
    assert report.verdict is INCONCLUSIVE
    assert "time" in report.summary


# --- views of the caller's memory ------------------------------------------------------------------


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
def test_a_gradient_that_is_the_parameter_itself_agrees_with_a_warning(tmp_path, monkeypatch, door):
    monkeypatch.chdir(tmp_path)
    # C = ½w² + ½(wx + b − y)² at x = 0, y = b: ∂C/∂w = w
    weight, bias = np.array([[0.5]]), np.array([0.25])
    params, x, y = [{"weight": weight, "bias": bias}], np.array([[0.0]]), np.array([[-1.75]])

    def ridge(params, x, y):
        w, b = params[0]["weight"], params[0]["bias"]
        r = x @ w.T + b - y
        loss = 0.5 * np.sum(r**2) + 0.5 * np.sum(w**2)
        return loss, [{"weight": w, "bias": r[0]}]

    if door == "compare":
        report = bpcheck.compare(ridge, cases=Case(mlp([1, 1], l2=1.0), params, x, y), seed=0)
    else:
        report = bpcheck.check_gradient(ridge, params, x, y, seed=0)
    assert report.verdict is AGREES, report
    text = " ".join(str(report).split())
    assert "gradient[0]['weight'] shares its memory with a parameter" in text
    assert "Return a new array" in text
    assert (weight.item(), bias.item()) == (0.5, 0.25)


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
def test_a_gradient_written_into_the_parameters_is_a_mutation(world, door):
    def overwriting(params, x, y):
        loss, grads = right(params, x, y)
        for layer, grad in zip(params, grads, strict=True):
            for name in layer:
                layer[name][...] = grad[name]
        return loss, params

    report = through(door, world, overwriting)
    assert report.verdict is DISAGREES
    assert "shares its memory" in " ".join(str(report).split())
    assert "after the call" in str(report)


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
def test_read_only_data_is_enough(world, door):
    for array in (world.x, world.y, *(a for layer in world.params for a in layer.values())):
        array.setflags(write=False)
    assert through(door, world, right).verdict is AGREES


# --- arguments -------------------------------------------------------------------------------------


def put(layer, name, value):
    """A change of one of the caller's parameters."""

    def change(world):
        old = world.params[layer][name]
        world.params[layer][name] = value(old) if callable(value) else value

    return change


def replacing(**new):
    def change(world):
        for name, value in new.items():
            setattr(world, name, value(getattr(world, name)) if callable(value) else value)

    return change


def itself(_):
    loop = []
    loop.append(loop)
    return loop


FLOATS = "float"

ARGUMENTS = [
    Row(
        "integer weights",
        (AGREES, InputError),
        ("AGREES", ["params[0]['weight']", "int64", ".astype(float)"]),
        change=put(0, "weight", lambda w: np.round(3 * w).astype(int) + 1),
    ),
    Row(
        "complex weights",
        InputError,
        ["params[0]['weight']", "complex", "real and imaginary parts"],
        change=put(0, "weight", lambda w: w + 0j),
    ),
    Row(
        "truth values for weights",
        (AGREES, InputError),
        ("AGREES", ["params[0]['weight']", "bool"]),
        change=put(0, "weight", lambda w: w > 0),
    ),
    Row(
        "NaN in a weight",
        InputError,
        ["params[0]['weight']", "nan at index (0, 0)", "finite"],
        change=put(0, "weight", lambda w: np.where(np.arange(6).reshape(3, 2) == 0, np.nan, w)),
    ),
    Row(
        "infinite bias",
        InputError,
        ["params[1]['bias']", "inf at index", "finite"],
        change=put(1, "bias", lambda b: b + np.inf),
    ),
    Row(
        "None for a weight",
        InputError,
        ["params[0]['weight']", "None", FLOATS],
        change=put(0, "weight", None),
    ),
    Row(
        "text for a weight", InputError, ["params[0]['weight']", "str", FLOATS], change=put(0, "weight", "W1")
    ),
    Row(
        "objects for a weight",
        InputError,
        ["params[0]['weight']", "object", FLOATS],
        change=put(0, "weight", lambda w: w.astype(object)),
    ),
    Row(
        "a set for a weight",
        InputError,
        ["params[0]['weight']", "set", FLOATS],
        change=put(0, "weight", {1.0}),
    ),
    Row("params None", InputError, ["params", "None"], change=replacing(params=None)),
    Row("params text", InputError, ["params", "str"], change=replacing(params="weights.npz")),
    Row("params a number", InputError, ["params"], change=replacing(params=3)),
    Row("params an empty list", InputError, ["params", "list"], change=replacing(params=lambda _: [])),
    Row("params an empty dict", InputError, ["params", "dict"], change=replacing(params=lambda _: {})),
    Row("params contains itself", InputError, ["params", "list"], change=replacing(params=itself)),
    Row(
        "params a generator",
        InputError,
        ["params", "generator"],
        change=replacing(params=lambda p: (layer for layer in p)),
    ),
    Row(
        "weights of width zero",
        InputError,
        ["params[0]['weight']"],
        change=put(0, "weight", np.ones((0, 2))),
        doors=("compare",),
    ),
    Row(
        "a layer missing",
        InputError,
        ["params", "list of 2"],
        change=replacing(params=lambda p: p[:1]),
        doors=("compare",),
    ),
    Row(
        "a weight transposed",
        InputError,
        ["params[0]['weight']", "(2, 3)", "needs (3, 2)"],
        change=put(0, "weight", lambda w: w.T),
        doors=("compare",),
    ),
    Row(
        "a bias as a column",
        InputError,
        ["params[0]['bias']", "(3, 1)", "needs (3,)"],
        change=put(0, "bias", lambda b: b[:, None]),
        doors=("compare",),
    ),
    Row(
        "a name misspelt",
        InputError,
        ["params[0]", "['bias', 'weight']"],
        change=lambda w: w.params[0].update(weigth=w.params[0].pop("weight")),
        doors=("compare",),
    ),
    Row(
        "empty batch",
        InputError,
        ["x", "empty", "at least one example"],
        change=replacing(x=lambda x: x[:0], y=lambda y: y[:0]),
        doors=("compare",),
    ),
    Row(
        "x too wide",
        InputError,
        ["x has shape (4, 3)", "needs (batch, 2)"],
        change=replacing(x=np.ones((4, 3))),
        doors=("compare",),
    ),
    Row(
        "x one example flat",
        InputError,
        ["x has shape (2,)", "x[None, :]"],
        change=replacing(x=np.ones(2)),
        doors=("compare",),
    ),
    Row(
        "y as class indices",
        InputError,
        ["y has shape (4,)", "y[None, :]"],
        change=replacing(y=np.array([0, 1, 1, 0])),
        doors=("compare",),
    ),
    Row(
        "y too short",
        InputError,
        ["y has shape (3, 2)", "one row per example"],
        change=replacing(y=np.ones((3, 2))),
        doors=("compare",),
    ),
    Row(
        "NaN in x",
        (InputError, NONFINITE),
        (["x", "nan", "finite"], ["loss", "nan"]),
        change=replacing(x=lambda x: x * np.nan),
    ),
    Row(
        "infinity in y",
        (InputError, NONFINITE),
        (["y", "inf", "finite"], ["loss"]),
        change=replacing(y=lambda y: y + np.inf),
    ),
    Row(
        "text in x",
        (InputError, SubjectError),
        (["x", FLOATS], ["raised"]),
        change=replacing(x=np.array([["a", "b"]] * 4)),
    ),
    Row(
        "None for x",
        (InputError, SubjectError),
        (["x", "None"], ["right raised"]),
        change=replacing(x=None),
    ),
    Row("complex x", InputError, ["x", "complex"], change=replacing(x=lambda x: x + 0j), doors=("compare",)),
    Row(
        "ragged x",
        InputError,
        ["x is not a rectangular array"],
        change=replacing(x=lambda _: [[1.0, 2.0], [3.0]]),
        doors=("compare",),
    ),
    Row(
        "integer x and y",
        AGREES,
        "AGREES",
        change=replacing(x=lambda x: np.round(3 * x).astype(int), y=lambda y: np.round(y).astype(int)),
    ),
    Row(
        "nested lists",
        AGREES,
        "AGREES",
        change=replacing(x=lambda x: x.tolist(), y=lambda y: y.tolist()),
        doors=("compare",),
    ),
    Row("a batch of one", AGREES, "AGREES", change=replacing(x=lambda x: x[:1], y=lambda y: y[:1])),
]


@pytest.mark.parametrize(("door", "row"), rows(ARGUMENTS))
def test_an_argument_that_cannot_be_used_is_named_with_the_remedy(world, door, row):
    check(door, world, row)


@pytest.mark.parametrize("width", [0, -1, 2.5, "3", None, True])
def test_a_layer_of_no_width_is_refused_where_it_is_described(width):
    with pytest.raises(ArchitectureError, match="1 or more"):
        mlp([2, width, 1])


def test_check_gradient_passes_over_a_tensor_without_entries_among_others():
    def loss(params):
        return float(np.sum(params["w"] ** 2))

    params = {"w": np.array([0.5, 2.0]), "none": np.zeros((0, 3))}
    report = bpcheck.check_gradient(
        loss, lambda p: {"w": 2 * p["w"], "none": np.zeros((0, 3))}, params, seed=0
    )
    assert report.verdict is AGREES, report
    with pytest.raises(InputError, match="no numbers"):
        bpcheck.check_gradient(loss, lambda p: p, {"w": np.zeros((0, 2))}, seed=0)
    wrong = bpcheck.check_gradient(
        loss, lambda p: {"w": 2 * p["w"], "none": np.zeros((3, 0))}, params, seed=0
    )
    assert wrong.verdict is WRONG_STRUCTURE


# --- options ---------------------------------------------------------------------------------------


def option(name, value, says, doors=("compare", "check_gradient")):
    shown = "an object" if callable(value) else repr(value)
    return Row(f"{name}={shown}", InputError, [name, *says], options={name: value}, doors=doors)


OPTIONS = [
    *(
        option("resolution", value, ["relative error", "1e-3"])
        for value in (0, -1e-3, 1.0, 2, "fine", True, float("nan"), 1e-3j)
    ),
    *(option("seed", value, ["whole number"]) for value in (-1, 1.5, "0", True, [1])),
    *(
        option("time_limit", value, ["positive number of seconds"])
        for value in (0, -1, "1s", True, float("nan"))
    ),
    *(option("progress", value, ["None, True, False or a function"]) for value in ("yes", 2, [1])),
    *(option("examples", value, ["1 or more"], ("compare",)) for value in (0, -3, 2.5, "10", None, True)),
    *(option("conventions", value, ["Conventions()"], ("compare",)) for value in ("numpy", {}, 1)),
    option("examples", 10, ["unknown option", "resolution, seed, time_limit"], ("check_gradient",)),
    option("tolerance", 1e-6, ["unknown option", "resolution, seed, time_limit"], ("check_gradient",)),
    option("eps", 1e-6, ["unknown option", "resolution, seed, time_limit"], ("check_gradient",)),
]


@pytest.mark.parametrize(("door", "row"), rows(OPTIONS))
def test_a_wrong_option_is_refused_by_name(world, door, row):
    check(door, world, row)


def squares(w):
    return float(np.sum(w**2))


def doubled(w, *cotangent):
    return 2 * w


POINT = np.array([0.5, 2.0, -1.0])
ONE_UNIT = mlp([1, 1]), [{"weight": [[1.0]], "bias": [0.5]}], [[1.0]], [[0.5]]
TIMED = ("resolution", "seed", "time_limit", "progress")
# The other front doors, each at something right, and which of those options they have.
DOORS = {
    "check_vjp": (lambda **o: bpcheck.check_vjp(np.square, lambda w, g: 2 * w * g, POINT, **o), TIMED),
    "check_jvp": (lambda **o: bpcheck.check_jvp(np.square, lambda w, v: 2 * w * v, POINT, **o), TIMED),
    "locate": (lambda **o: bpcheck.locate(squares, doubled, POINT, **o), TIMED),
    "check_every_entry": (lambda **o: bpcheck.check_every_entry(*ONE_UNIT, **o), TIMED),
    "check_low_precision": (
        lambda **o: bpcheck.check_low_precision(np.float32(2 * POINT), doubled, POINT, **o),
        ("resolution", "seed"),
    ),
    "taylor_remainder": (lambda **o: bpcheck.taylor_remainder(squares, doubled, POINT, **o), ("seed",)),
    "step_curve": (lambda **o: bpcheck.step_curve(squares, POINT, **o), ("seed",)),
}
NAMED = [
    pytest.param(door, row, id=f"{row.name}-{door}")
    for door, (_, names) in DOORS.items()
    for row in OPTIONS
    if next(iter(row.options)) in names
    # what a coarse format can show may well be more than the whole gradient: 1 and 2 are answers there
    and not (
        door == "check_low_precision"
        and row.options.get("resolution") in (1.0, 2)
        and "=True" not in row.name
    )
]


@pytest.mark.parametrize("door", DOORS)
def test_every_door_is_open_to_what_is_right(door):
    call, names = DOORS[door]
    assert (
        call(**{"seed": 0, **({"progress": False, "time_limit": 60} if "progress" in names else {})})
        is not None
    )


@pytest.mark.parametrize(("door", "row"), NAMED)
def test_a_wrong_option_is_refused_by_name_at_every_door(door, row):
    with pytest.raises(InputError) as caught:
        DOORS[door][0](**row.options)
    for piece in row.says:
        assert piece in str(caught.value)


@pytest.mark.parametrize("door", DOORS)
def test_an_unknown_option_is_named_at_every_door(door):
    # InputError where options come with arguments of any name, Python's own error elsewhere
    with pytest.raises(InputError if door == "locate" else TypeError, match="tolerance"):
        DOORS[door][0](tolerance=1e-6)


def test_an_option_that_compare_does_not_have_is_pythons_own_error(world):
    with pytest.raises(TypeError, match="tolerance"):
        through("compare", world, right, tolerance=1e-6)


@pytest.mark.parametrize("value", [None, 3, "mlp", [], [None], {"widths": [2, 1]}, Case])
def test_architectures_that_are_none_are_refused(world, value):
    if value is None:
        return
    with pytest.raises(InputError, match=r"architectures is .*bpcheck\.mlp"):
        bpcheck.compare(right, architectures=value, seed=0, examples=2)


@pytest.mark.parametrize("value", [[], [None], "case", 3, ARCHITECTURE])
def test_cases_that_are_none_are_refused(world, value):
    with pytest.raises(InputError, match=r"cases is .*bpcheck\.Case"):
        bpcheck.compare(right, cases=value, seed=0)


def test_cases_and_architectures_together_are_refused(world):
    case = Case(ARCHITECTURE, world.params, world.x, world.y)
    with pytest.raises(InputError, match="both cases= and architectures="):
        bpcheck.compare(right, cases=case, architectures=ARCHITECTURE)


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
@pytest.mark.parametrize(
    "subject", [None, 3, "backprop", [right], np.ones(3)], ids=lambda s: type(s).__name__
)
def test_a_subject_that_cannot_be_called_is_refused(world, door, subject):
    with pytest.raises(InputError, match=r"the subject is .*\(loss, gradient\)"):
        through(door, world, subject)


def test_a_reference_that_cannot_be_called_is_refused(world):
    with pytest.raises(InputError, match="pass a function"):
        through("compare", world, right, reference=3)


def test_check_gradient_without_enough_arguments_says_how_to_call_it():
    for arguments in ((), (right,), (np.sum, np.ones_like)):
        with pytest.raises(InputError, match=r"is missing: call check_gradient\(loss, gradient, params"):
            bpcheck.check_gradient(*arguments)


def test_check_gradient_with_a_loss_that_answers_wrongly_only_elsewhere():
    calls = []

    def loss(w):
        calls.append(1)
        return float(np.sum(w**2)) if len(calls) < 5 else None

    with pytest.raises(InputError, match=r"cannot be differenced.*None"):
        bpcheck.check_gradient(loss, lambda w: 2 * w, np.array([1.0, 2.0]), seed=0)


def test_the_loss_of_check_gradient_may_raise_and_is_named():
    def loss(w):
        raise Boom("no data")

    with pytest.raises(SubjectError, match="raised Boom: no data") as caught:
        bpcheck.check_gradient(loss, lambda w: 2 * w, np.array([1.0, 2.0]), seed=0)
    assert isinstance(caught.value.__cause__, Boom)


@pytest.mark.parametrize("door", ["compare", "check_gradient"])
def test_the_same_seed_gives_the_same_report(world, door):
    first, second = (through(door, world, with_leaf(0, "weight", lambda g: 2 * g), seed=4) for _ in range(2))
    assert str(first) == str(second)
    assert first.to_json() == second.to_json()
    assert first.seed == 4


def test_a_seed_that_was_drawn_is_reported_and_gives_the_report_again(world):
    first = through("check_gradient", world, right, seed=None)
    assert through("check_gradient", world, right, seed=first.seed).to_json() == first.to_json()


def test_a_list_of_cases_may_be_any_iterable(world):
    case = Case(ARCHITECTURE, world.params, world.x, world.y)
    other = replace(case, x=2 * case.x)
    for cases in ([case, other], (case, other), iter([case, other])):
        report = bpcheck.compare(right, cases=cases, seed=0)
        assert (report.verdict, report.examples) == (AGREES, 2)
