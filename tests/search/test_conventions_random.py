"""Random layouts, right and with planted bugs, all inferred: none that is right may fail, none that is wrong may pass."""

import itertools

import numpy as np
import pytest
from students import BUGS, make

import bpcheck
from bpcheck import Verdict, mlp, tree
from bpcheck.conventions.convert import params_into, tensors_back
from bpcheck.conventions.nesting import slots
from bpcheck.search.dialect.candidates import known_layouts

NETWORKS = (
    {"activation": "tanh"},
    {"activation": "relu", "loss": "cross_entropy"},
    {"activation": "sigmoid", "output": "sigmoid", "loss": "mse"},
    {"activation": "relu", "reduction": "sum"},
    {"activation": "tanh", "loss": "cross_entropy", "l2": 0.1},
)

# What dicts call weights and biases; None: as bpcheck does by itself.
KEYS = {
    "[{W, b}]": (None, ("W", "b"), ("W", "b"), ("weights", "biases")),
    "{[W], [b]}": (None, ("W", "b"), ("coefs", "intercepts")),
    "{W1, b1, W2, b2}": (None, ("w{}", "b{}"), ("weight{}", "bias{}")),
    "{W1, W2}": (None, ("w{}", "b{}")),
}

# One example at a time these change nothing.
NEED_A_BATCH = {"sum-for-mean", "bias-not-summed", "bias-mean-weight-sum", "last-sample-wins"}


def strict(conventions, bug, options):
    """A student's function that takes one layout and nothing else, whatever NumPy would broadcast."""
    core = make(bug)

    def backprop(*arguments):
        *params, x, y = arguments
        params = params if conventions.spread else params[0]
        given = {str(path): leaf for path, leaf in tree.leaves(params)}
        depth = len(given) // 2 if conventions.has_biases else len(given)
        plan = slots(conventions.params, depth, names=conventions.names, first=conventions.number_from)
        assert list(given) == [str(path) for path, _ in tree.leaves(plan)]
        tensors = {slot: given[str(path)] for path, slot in tree.leaves(plan)}
        for slot, array in tensors.items():
            n = array.size
            if slot.startswith("b"):
                assert array.shape == {"vector": (n,), "column": (n, 1), "row": (1, n)}[conventions.bias]
        ours = tensors_back(conventions, tensors)
        widths = [ours[0]["weight"].shape[1], *(len(layer["bias"]) for layer in ours)]
        shapes = [layer["weight"].shape for layer in ours]
        assert shapes == [(out, into) for into, out in itertools.pairwise(widths)]
        x, y = rows(x, widths[0]), targets(y, widths[-1])
        loss, gradient = core(ours, x, y, mlp(widths, **options))
        return loss, params_into(conventions, gradient)

    def rows(x, width):
        if conventions.per_example:
            shape = {"one": (width,), "one column": (width, 1), "one row": (1, width)}[conventions.batch]
            assert x.shape == shape
            return x.reshape(1, -1)
        x = x.T if conventions.batch == "last" else x
        assert x.shape[1] == width
        return x

    def targets(y, width):
        if conventions.targets == "index":
            return np.eye(width)[np.atleast_1d(y)]
        return rows(y, width)

    return backprop


def draw(rng):
    """A layout, a network that can be said in it, and a bug that shows there (or none)."""
    conventions = known_layouts()[rng.integers(len(known_layouts()))]
    if conventions.params in KEYS:
        keys = KEYS[conventions.params]
        conventions = conventions.but(names=keys[rng.integers(len(keys))])
    options = NETWORKS[rng.integers(len(NETWORKS))]
    if conventions.targets == "index" and options.get("loss") != "cross_entropy":
        options = NETWORKS[1]
    if conventions.per_example and options.get("reduction") == "sum":
        options = NETWORKS[0]
    bug = str(rng.choice([*BUGS])) if rng.random() < 0.6 else None
    silent = {
        "output-derivative-twice": options.get("loss") != "cross_entropy",
        "output-derivative-missing": "output" not in options,
        "penalty-missing": "l2" not in options,
        "derivative-of-activation": options["activation"] == "relu",
        "sum-for-mean": options.get("reduction") == "sum",
    }
    about_biases = {"bias-not-summed", "bias-mean-weight-sum"}
    if conventions.bias == "none" and bug in about_biases:
        bug = "sign-flipped"
    if silent.get(bug, False) or (conventions.per_example and bug in NEED_A_BATCH):
        bug = "sign-flipped"
    return conventions, options, bug


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.full) for s in range(1, 60))])
def test_a_random_layout_is_inferred_and_hides_no_bug(seed):
    conventions, options, bug = draw(np.random.default_rng([seed, 77]))
    report = bpcheck.compare(strict(conventions, bug, options), examples=30, seed=seed)
    if bug is None:
        assert report.verdict is Verdict.AGREES, (conventions, options, str(report))
    else:
        assert report.verdict is Verdict.DISAGREES, (conventions, options, bug, str(report))
