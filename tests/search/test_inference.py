"""compare(my_backprop) with nothing else: what the subject computes is read off its loss."""

import numpy as np
import pytest
from students import make

import bpcheck
from bpcheck import Verdict, mlp


def fixed(factor=1.0, **options):
    """A student's function with one network kind built in and no parameter for it."""
    core = make()

    def backprop(params, x, y):
        widths = [params[0]["weight"].shape[1], *(len(layer["bias"]) for layer in params)]
        loss, grads = core(params, x, y, mlp(widths, **options))
        return factor * loss, [{name: factor * value for name, value in layer.items()} for layer in grads]

    return backprop


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "tanh"},
        {"activation": "relu", "reduction": "sum"},
        {"activation": "sigmoid", "output": "sigmoid", "loss": "mse"},
        {"activation": "leaky_relu", "loss": "huber"},
        {"activation": "gelu", "loss": "cross_entropy"},
        {"activation": "silu", "loss": "binary_cross_entropy", "reduction": "sum"},
        {"activation": "softplus", "output": "softmax"},
        {"activation": "softmax", "output": "tanh"},
        {"activation": "relu", "output": "identity", "loss": "cross_entropy"},
        {"activation": "identity", "output": "relu"},
    ],
    ids=lambda options: " ".join(options.values()),
)
def test_the_network_is_inferred_and_said(options):
    report = bpcheck.compare(fixed(**options), examples=30, seed=2)
    assert report.ok, str(report)
    assert f"{options['activation']} hidden layers" in report.inferred
    assert options.get("loss", "half_mse") in report.inferred
    assert report.inferred in str(report).replace("\n           ", " ")


@pytest.mark.parametrize(("factor", "word"), [(2.0, "2 × half_mse"), (0.5, "½ × half_mse")])
def test_a_factor_that_loss_and_gradient_share_is_a_convention(factor, word):
    report = bpcheck.compare(fixed(factor), examples=30, seed=2)
    assert report.ok
    assert word in report.inferred
    assert any("convention, not a bug" in warning for warning in report.warnings)


def test_a_factor_in_the_gradient_alone_is_a_bug():
    core = fixed()

    def backprop(params, x, y):
        loss, grads = core(params, x, y)
        return loss, [{name: 2 * value for name, value in layer.items()} for layer in grads]

    report = bpcheck.compare(backprop, seed=2)
    assert report.verdict is Verdict.DISAGREES
    assert "factor-two" in [d.bug for d in report.diagnoses]


def test_nothing_fits_is_inconclusive_and_says_what_was_tried():
    core = fixed()

    def backprop(params, x, y):
        loss, grads = core(params, x, y)
        return loss**1.5, grads

    report = bpcheck.compare(backprop, seed=2)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "fits no network that was tried" in report.summary
    assert "architectures=" in report.summary


def test_an_epsilon_in_the_logarithm_is_found_in_the_loss():
    def backprop(params, x, y):
        z = x @ params[0]["weight"].T + params[0]["bias"]
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        d = (p - y) / len(x)
        loss = -np.mean(np.sum(y * np.log(p + 1e-8), axis=1))
        return loss, [{"weight": d.T @ x, "bias": d.sum(0)}] if len(params) == 1 else None

    report = bpcheck.compare(backprop, seed=2)
    assert report.verdict is Verdict.DISAGREES
    assert report.diagnoses[0].equation == "loss"
    assert any("ε" in warning for warning in report.warnings)


def test_code_for_two_layers_only_is_served_and_the_rest_is_said():
    core = fixed(activation="tanh")

    def backprop(params, x, y):
        first, second = params
        return core([first, second], x, y)

    report = bpcheck.compare(backprop, examples=40, seed=2)
    assert report.ok
    assert sum("were not checked" in warning for warning in report.warnings) == 3


def test_code_that_breaks_in_its_hidden_layers_does_not_pass_on_the_rest():
    core = fixed(activation="tanh")

    def backprop(params, x, y):
        if len(params) > 1:
            raise NameError("name 'detla' is not defined")
        return core(params, x, y)

    with pytest.raises(bpcheck.SubjectError, match="detla"):
        bpcheck.compare(backprop, seed=2)


def test_without_a_loss_the_network_must_be_given():
    core = fixed(activation="tanh")

    def step(params, x, y, lr):
        _, grads = core(params, x, y)
        return [
            {name: layer[name] - lr * g[name] for name in layer}
            for layer, g in zip(params, grads, strict=True)
        ]

    report = bpcheck.compare(bpcheck.from_step(step), seed=2)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "architectures=" in report.summary
    assert bpcheck.compare(bpcheck.from_step(step), architectures=mlp([3, 4, 2]), seed=2).ok


def test_pinning_another_loss_disagrees():
    report = bpcheck.compare(fixed(activation="tanh"), architectures=mlp([3, 4, 3], loss="mse"), seed=2)
    assert report.verdict is Verdict.DISAGREES
    assert not report.inferred
