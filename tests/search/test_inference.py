"""compare(my_backprop) with nothing else: what the subject computes is read off its loss."""

import numpy as np
import pytest
from choosing import product
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


@pytest.mark.parametrize("examples", [6, pytest.param(30, marks=pytest.mark.full)])
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
def test_the_network_is_inferred_and_said(options, examples):
    report = bpcheck.compare(fixed(**options), examples=examples, seed=2)
    assert report.ok, str(report)
    assert f"{options['activation']} hidden layers" in report.inferred
    assert options.get("loss", "half_mse") in report.inferred
    assert report.inferred in str(report).replace("\n           ", " ")


@pytest.mark.parametrize(("factor", "word"), [(2.0, "2 × half_mse"), (0.5, "½ × half_mse")])
def test_a_factor_that_loss_and_gradient_share_is_a_convention(factor, word):
    report = bpcheck.compare(fixed(factor), examples=6, seed=2)
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
    assert sum("were not checked" in sentence for sentence in report.unchecked) == 3


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


# Every output with every loss, and both reductions with every one of them; the other half is full.
LOOK_ALIKE = product(
    ("sigmoid", "softmax", "tanh", "identity"), ("huber", "half_mse", "mse"), ("mean", "sum")
)


@pytest.mark.parametrize(("output", "loss", "reduction"), LOOK_ALIKE)
def test_losses_that_look_alike_on_one_hot_targets_are_told_apart(output, loss, reduction):
    subject = fixed(activation="tanh", output=output, loss=loss, reduction=reduction)
    report = bpcheck.compare(subject, examples=3, seed=13)  # the network is inferred before the first of them
    assert report.ok, str(report)
    assert f" {loss} loss, {reduction} over" in report.inferred


@pytest.mark.full
@pytest.mark.parametrize("activation", bpcheck.network.layers.activations.ACTIVATIONS)
@pytest.mark.parametrize("loss", bpcheck.network.architecture.LOSSES)
def test_every_combination_is_inferred(activation, loss):
    outputs = (
        (None, "identity")
        if loss in bpcheck.network.architecture.PROBABILITY_LOSSES
        else bpcheck.network.layers.activations.ACTIVATIONS
    )
    for output in outputs:
        for reduction in ("mean", "sum"):
            subject = fixed(activation=activation, output=output, loss=loss, reduction=reduction)
            report = bpcheck.compare(subject, examples=5, seed=3)
            assert report.ok, (output, reduction, str(report))


@pytest.mark.parametrize(("l2", "biases", "examples"), product([1e-5, 1e-3, 0.3], [False, True], [5, 20]))
def test_weight_decay_inside_the_function_is_inferred(l2, biases, examples):
    subject = fixed(activation="relu", loss="cross_entropy", l2=l2, penalize_bias=biases)
    report = bpcheck.compare(subject, examples=examples, seed=0)
    assert report.ok, str(report)
    assert f"l2={l2:g}{' on biases too' if biases else ''}" in report.inferred


def elu_network(params, x, y):
    """A network that bpcheck does not know, with a hidden backward pass that is plainly wrong."""
    a = [x]
    for layer in params[:-1]:
        z = a[-1] @ layer["weight"].T + layer["bias"]
        a.append(np.where(z > 0, z, np.expm1(np.minimum(z, 0))))
    r = (a[-1] @ params[-1]["weight"].T + params[-1]["bias"] - y) / len(x)
    loss, gradients = 0.5 * np.sum(r**2) * len(x), []
    for k in range(len(params) - 1, -1, -1):
        gradients.insert(0, {"weight": r.T @ a[k], "bias": r.sum(0)})
        r = (r @ params[k]["weight"]) * -7.0
    return loss, gradients


def test_an_unknown_activation_does_not_pass_as_a_network_without_hidden_layers():
    report = bpcheck.compare(elu_network, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "but not with 2, 3 and 4 weight layers" in report.summary


@pytest.mark.parametrize("slope", [0.011, 0.2])
def test_another_slope_is_not_taken_for_leaky_relu(slope):
    def backprop(params, x, y):
        z = x @ params[0]["weight"].T + params[0]["bias"]
        a = np.where(z > 0, z, slope * z)
        r = (a @ params[1]["weight"].T + params[1]["bias"] - y) / len(x)
        d = (r @ params[1]["weight"]) * np.where(z > 0, 1, slope)
        assert len(params) == 2
        return 0.5 * np.sum(r**2) * len(x), [
            {"weight": d.T @ x, "bias": d.sum(0)},
            {"weight": r.T @ a, "bias": r.sum(0)},
        ]

    assert bpcheck.compare(backprop, seed=0).verdict is Verdict.INCONCLUSIVE


def test_a_loss_that_is_always_zero_tells_nothing():
    report = bpcheck.compare(
        lambda params, x, y: (0.0, [{k: 0 * v for k, v in p.items()} for p in params]), seed=0
    )
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "is 0 on every network" in report.summary
