"""scikit-learn's own backward pass agrees with the reference on digits, and planted faults do not."""

import numpy as np
import pytest

import bpcheck
from bpcheck import tree
from bpcheck.reference import build
from bpcheck.search.dialect.translate import translated

SKLEARN = bpcheck.Conventions.preset("sklearn")


@pytest.fixture(scope="module")
def example(load):
    return load("sklearn_mlp")


def excess(backprop, case):
    """Largest distance from the reference for each tensor, and for the loss, in units of the allowed one."""
    answer = translated(bpcheck.from_joint(backprop), SKLEARN).answer(*case.mutable())
    loss, gradient = answer.loss, answer.gradient
    # in bpcheck's words: m times a mean with a penalty ½ alpha ‖W‖² / m
    enclosure = build(SKLEARN.describe(case.architecture)).enclose(case.params, case.x, case.y)
    found = {"loss": abs(loss - enclosure.loss.mid) / (2 * enclosure.loss.rad)}
    for path, leaf in tree.leaves(gradient):
        ball = enclosure.gradient[path]
        distance, allowed = abs(leaf - ball.mid), 2 * (ball.rad + ball.kink)
        # pixels that are white in the whole batch: both sides are exactly equal there
        found[str(path)] = float(np.max(distance[distance > 0] / allowed[distance > 0], initial=0.0))
    return found


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
def test_the_classifier_agrees_within_rounding(example, activation):
    case = example.classifier_case(activation=activation)
    assert max(excess(example.backprop_of(example.classifier(case)), case).values()) <= 1


def test_a_single_example_agrees_too(example):
    case = example.classifier_case(batch=1)
    assert max(excess(example.backprop_of(example.classifier(case)), case).values()) <= 1


def test_an_alpha_that_is_off_by_a_factor_shows_in_loss_and_weights_and_not_in_biases(example):
    case = example.classifier_case()
    found = excess(example.backprop_of(example.classifier(case, alpha=1.001 * example.ALPHA)), case)
    assert all(value <= 1 for path, value in found.items() if "bias" in path)
    assert all(value > 1e3 for path, value in found.items() if "bias" not in path)


def test_a_wrong_derivative_inside_scikit_learn_is_caught(example, monkeypatch):
    from sklearn.neural_network import _multilayer_perceptron as inside

    def forgotten(_, delta):
        """What DERIVATIVES would hold if somebody forgot to multiply by tanh'."""

    case = example.classifier_case()
    model = example.classifier(case)
    monkeypatch.setitem(inside.DERIVATIVES, "tanh", forgotten)
    found = excess(example.backprop_of(model), case)
    assert found["loss"] <= 1
    assert found["params[2]['weight']"] <= 1
    assert min(found["params[0]['weight']"], found["params[1]['bias']"]) > 1e3


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_the_regressors_gradient_is_too_large_for_its_loss_by_the_number_of_outputs(example, outputs):
    case = example.regressor_case(outputs)
    regressor = translated(
        bpcheck.from_joint(example.backprop_of(example.regressor(case))), SKLEARN.but(penalty=None)
    )
    answer = regressor.answer(*case.mutable())
    loss, gradient = answer.loss, answer.gradient
    network = build(case.architecture)
    # half_mse sums over the outputs; scikit-learn's loss takes their mean, its gradient does not
    assert loss * outputs == pytest.approx(network.loss(case.params, case.x, case.y), rel=1e-13)
    for (_, actual), (_, expected) in zip(
        tree.leaves(gradient), tree.leaves(network.gradient(case.params, case.x, case.y)), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-14)


class TestReports:
    """The same through the front doors."""

    @pytest.mark.parametrize("conventions", ["sklearn", SKLEARN])
    def test_compare_passes_the_classifier(self, example, conventions):
        case = example.classifier_case()
        assert bpcheck.compare(
            example.backprop_of(example.classifier(case)), cases=[case], conventions=conventions
        ).ok

    @pytest.mark.parametrize("conventions", ["sklearn", pytest.param("infer", marks=pytest.mark.full)])
    def test_compare_catches_a_wrong_alpha(self, example, conventions):
        case = example.classifier_case()
        model = example.classifier(case, alpha=2 * example.ALPHA)
        assert not bpcheck.compare(example.backprop_of(model), cases=[case], conventions=conventions).ok

    @pytest.mark.parametrize(("outputs", "ok"), [(1, True), (3, False)])
    def test_check_gradient_finds_the_regressors_factor(self, example, outputs, ok):
        case = example.regressor_case(outputs)
        few = {"directions": 6, "miss_probability": 1e-2}  # scikit-learn takes its time for each evaluation
        report = bpcheck.check_gradient(
            example.backprop_of(example.regressor(case)), *example.in_its_layout(case), seed=0, **few
        )
        assert report.ok is ok
        if not ok:
            assert all(comparison.scale == pytest.approx(3, rel=1e-6) for comparison in report.comparisons)
