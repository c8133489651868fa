"""Counterexamples are small, fail in the same way, and keep their kind of targets."""

import numpy as np
import pytest
from students import make

import bpcheck
from bpcheck import Case, mlp
from bpcheck.network.dense_chain import dense_chain
from bpcheck.search.cases.shrink import shrink


@pytest.mark.parametrize(
    ("bug", "depth", "batch"),
    [
        ("hidden-derivative-missing", 2, 1),
        ("sum-for-mean", 1, 2),
        ("weight-not-transposed", 2, 1),
        *(
            pytest.param(*case, marks=pytest.mark.full)
            for case in (
                ("output-derivative-missing", 1, 1),
                ("bias-not-summed", 1, 2),
                ("last-sample-wins", 1, 2),
                ("pre-activation-for-activation", 2, 1),
            )
        ),
    ],
)
@pytest.mark.parametrize("seed", [1, *(pytest.param(s, marks=pytest.mark.full) for s in (0, 2))])
def test_known_bugs_shrink_to_their_smallest_network(bug, depth, batch, seed):
    output = "sigmoid" if bug.startswith("output") else "identity"
    report = bpcheck.compare(make(bug), architectures=mlp([5, 4, 4, 3], output=output), seed=seed)
    case = report.counterexample
    assert len(case.architecture.layers) == depth, str(report)
    assert case.batch == batch
    assert sum(dense_chain(case.architecture).widths) <= (6 if bug == "weight-not-transposed" else 3)
    numbers = np.concatenate([np.ravel(a) for layer in case.params for a in layer.values()])
    assert np.array_equal(numbers, np.round(numbers, 1))


def test_shrinking_stays_within_its_budget():
    case = bpcheck.search.cases.sample.random_case(np.random.default_rng(0), mlp([6, 6, 6, 6]), "generic")
    calls = []

    def always(candidate):
        calls.append(candidate)
        return True

    smallest = shrink(case, always)
    assert len(calls) <= bpcheck.search.cases.shrink.MAX_EVALUATIONS
    assert dense_chain(smallest.architecture).widths == (1, 1)
    assert smallest.batch == 1
    assert all((array == 0).all() for layer in smallest.params for array in layer.values())


def test_a_case_that_nothing_makes_smaller_is_returned_as_it_is():
    case = bpcheck.search.cases.sample.random_case(np.random.default_rng(0), mlp([3, 4, 2]), "generic")
    assert shrink(case, lambda candidate: False) is case


def test_targets_of_cross_entropy_stay_one_hot():
    case = bpcheck.search.cases.sample.random_case(
        np.random.default_rng(0), mlp([4, 5, 4], loss="cross_entropy"), "generic"
    )
    seen = []

    def look(candidate):
        seen.append(candidate)
        return len(dense_chain(candidate.architecture).widths) > 2

    shrink(case, look)
    assert seen
    for candidate in seen:
        np.testing.assert_array_equal(candidate.y.sum(axis=1), 1.0)
        assert candidate.architecture.outputs >= 2


def test_candidates_near_a_kink_do_not_count():
    architecture = mlp([1, 1, 1], activation="relu")
    case = Case(
        architecture,
        [{"weight": [[1.0]], "bias": [0.5]}, {"weight": [[1.0]], "bias": [0.3]}],
        x=[[1.0]],
        y=[[0.2]],
    )
    smallest = shrink(case, lambda candidate: candidate.architecture == architecture)
    z = smallest.x @ smallest.params[0]["weight"].T + smallest.params[0]["bias"]
    assert abs(z).min() >= 1e-3


def test_a_subject_of_fixed_widths_still_gets_a_counterexample():
    core = make("sign-flipped")

    def backprop(params, x, y):
        assert params[0]["weight"].shape == (4, 3)
        assert params[1]["weight"].shape == (2, 4)
        return core(params, x, y, mlp([3, 4, 2]))

    report = bpcheck.compare(backprop, architectures=mlp([3, 4, 2]), seed=0)
    assert dense_chain(report.counterexample.architecture).widths == (3, 4, 2)
    assert report.counterexample.batch == 1
