"""Every rule and option that torch.optim has too, and Keras's, over 200 steps: to rounding."""

import os

import numpy as np
import pytest

import bpcheck
from bpcheck import Verdict
from bpcheck.check.update.trajectory import FORMULATIONS
from bpcheck.reference.optimizer import SGD, Adam, AdamW, Clipped, Grouped, Momentum, Nesterov, RMSprop

pytestmark = [
    pytest.mark.torch,
    # Keras asks torch for an array in a way that NumPy 2 warns of; both are somebody else's
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

# One line an option; λ, ε and the βs are not the defaults wherever they could be mistaken for them.
TORCH = [
    (SGD(lr=0.1), "SGD", {"lr": 0.1}),
    (SGD(lr=0.1, weight_decay=0.3), "SGD", {"lr": 0.1, "weight_decay": 0.3}),
    (Momentum(lr=0.1, momentum=0.8), "SGD", {"lr": 0.1, "momentum": 0.8}),
    (
        Momentum(lr=0.1, momentum=0.8, weight_decay=0.2),
        "SGD",
        {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.2},
    ),
    (
        Nesterov(lr=0.1, momentum=0.8, weight_decay=0.1),
        "SGD",
        {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    ),
    (RMSprop(lr=0.1, decay=0.99), "RMSprop", {"lr": 0.1}),
    (RMSprop(lr=0.1, decay=0.8, epsilon=1e-3), "RMSprop", {"lr": 0.1, "alpha": 0.8, "eps": 1e-3}),
    (
        RMSprop(lr=0.1, decay=0.9, momentum=0.7, weight_decay=0.2),
        "RMSprop",
        {"lr": 0.1, "alpha": 0.9, "momentum": 0.7, "weight_decay": 0.2},
    ),
    (
        RMSprop(lr=0.1, decay=0.9, centered=True, epsilon=1e-3),
        "RMSprop",
        {"lr": 0.1, "alpha": 0.9, "centered": True, "eps": 1e-3},
    ),
    (Adam(), "Adam", {}),
    (Adam(lr=0.1, beta1=0.5, beta2=0.9, epsilon=1e-3), "Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}),
    (Adam(lr=0.1, amsgrad=True), "Adam", {"lr": 0.1, "amsgrad": True}),
    (Adam(lr=0.1, weight_decay=0.1), "Adam", {"lr": 0.1, "weight_decay": 0.1}),
    (AdamW(lr=0.1), "AdamW", {"lr": 0.1}),
    (
        AdamW(lr=0.1, amsgrad=True, weight_decay=0.3),
        "AdamW",
        {"lr": 0.1, "amsgrad": True, "weight_decay": 0.3},
    ),
]

# η as float32 holds it exactly: Keras keeps it in float32 whatever the variables are.
KERAS = [
    (SGD(lr=0.125), "SGD", {}),
    (SGD(lr=0.125, weight_decay=0.25), "SGD", {"weight_decay": 0.25}),
    (Momentum(lr=0.125, momentum=0.8, form="velocity"), "SGD", {"momentum": 0.8}),
    (Nesterov(lr=0.125, momentum=0.8, form="velocity"), "SGD", {"momentum": 0.8, "nesterov": True}),
    (RMSprop(lr=0.125, epsilon=1e-7, epsilon_at="inside"), "RMSprop", {}),
    (
        RMSprop(lr=0.125, epsilon=1e-3, epsilon_at="inside", momentum=0.5, form="velocity"),
        "RMSprop",
        {"epsilon": 1e-3, "momentum": 0.5},
    ),
    (
        RMSprop(lr=0.125, epsilon=1e-3, epsilon_at="inside", centered=True),
        "RMSprop",
        {"epsilon": 1e-3, "centered": True},
    ),
    (Adam(lr=0.125, epsilon=1e-7, epsilon_at="uncorrected"), "Adam", {}),
    (
        Adam(lr=0.125, epsilon=1e-7, epsilon_at="uncorrected", amsgrad=True),
        "Adam",
        {"amsgrad": True},
    ),
    (
        AdamW(lr=0.125, epsilon=1e-7, epsilon_at="uncorrected", weight_decay=0.25),
        "AdamW",
        {"weight_decay": 0.25},
    ),
]


def label(value):
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("rule", "name", "options"), TORCH, ids=label)
def test_torch_takes_the_same_steps(rule, name, options, dtype):
    import torch

    step = bpcheck.from_torch_optimizer(lambda p: getattr(torch.optim, name)(p, **options))
    report = bpcheck.compare_update(step, rule=rule, dtype=dtype, seed=1)
    assert report.verdict is Verdict.AGREES, str(report)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("rule", "name", "options"), KERAS, ids=label)
def test_keras_takes_the_same_steps(rule, name, options, dtype):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    decay = {"weight_decay": 0.0} if name == "AdamW" and "weight_decay" not in options else {}
    decoupled = rule.but(decoupled=True) if rule.weight_decay else rule  # always so in Keras
    step = bpcheck.from_keras_optimizer(lambda: getattr(keras.optimizers, name)(0.125, **options, **decay))
    report = bpcheck.compare_update(step, rule=decoupled, dtype=dtype, seed=1)
    assert report.verdict is Verdict.AGREES, str(report)


def test_an_optimizer_of_torch_is_inferred():
    import torch

    report = bpcheck.compare_update(
        bpcheck.from_torch_optimizer(lambda p: torch.optim.AdamW(p, lr=0.02, betas=(0.8, 0.99))), seed=0
    )
    assert report.verdict is Verdict.AGREES
    assert "Adam(lr=0.02, weight_decay=0.01, decoupled=True, beta1=0.8, beta2=0.99)" in report.inferred


def test_another_option_than_the_one_that_was_said_is_named():
    import torch

    step = bpcheck.from_torch_optimizer(lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.1))
    report = bpcheck.compare_update(step, rule=AdamW(lr=0.1, weight_decay=0.1), seed=0)
    assert report.diagnoses[0].bug == "weight-decay-coupled"


def test_keras_keeps_its_rate_in_float32():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    step = bpcheck.from_keras_optimizer(lambda: keras.optimizers.SGD(0.1))
    report = bpcheck.compare_update(step, rule=SGD(lr=0.1), seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert report.comparisons[0].scale == pytest.approx(float(np.float32(0.1)) / 0.1, abs=1e-12)


def test_parameter_groups_of_torch():
    import torch

    def make(p):
        biases = {"params": p[1::2], "weight_decay": 0.0, "lr": 0.05}
        return torch.optim.AdamW([{"params": p[::2]}, biases], lr=0.1, weight_decay=0.2)

    rule = Grouped(rule=AdamW(lr=0.1, weight_decay=0.2), groups=(("bias", AdamW(lr=0.05, weight_decay=0.0)),))
    assert bpcheck.compare_update(bpcheck.from_torch_optimizer(make), rule=rule, seed=0).ok
    report = bpcheck.compare_update(
        bpcheck.from_torch_optimizer(lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.2)),
        rule=rule,
        seed=0,
    )
    assert report.diagnoses[0].bug == "groups-ignored"


def test_torch_clips_the_norm_of_all():
    import torch

    class Clipping(torch.optim.SGD):
        def step(self, closure=None):
            parameters = [p for group in self.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, 0.5)
            return super().step(closure)

    rule = Clipped(rule=SGD(lr=0.1), by="global norm", limit=0.5)
    report = bpcheck.compare_update(
        bpcheck.from_torch_optimizer(lambda p: Clipping(p, lr=0.1)), rule=rule, seed=0
    )
    # torch divides by ‖g‖ + 1e-6
    assert report.verdict is Verdict.DISAGREES
    report = bpcheck.compare_update(
        bpcheck.from_torch_optimizer(lambda p: Clipping(p, lr=0.1)), rule=rule.but(margin=1e-6), seed=0
    )
    assert report.verdict is Verdict.AGREES, str(report)


def test_the_bound_is_not_narrower_than_it_has_to_be_nor_much_wider():
    """The constant FORMULATIONS: what torch uses of the bound."""
    import torch

    from bpcheck.check.update.forms import Run, optimizer_of
    from bpcheck.check.update.scenario import scenarios
    from bpcheck.check.update.trajectory import Step, Trajectory, judged

    used = 0.0
    for rule, name, options in TORCH:
        made = bpcheck.from_torch_optimizer(lambda p, n=name, o=options: getattr(torch.optim, n)(p, **o))
        for scenario in scenarios(np.random.default_rng(3), "[W1, b1, W2, b2]", np.float64):
            run, params, steps = (
                Run(optimizer_of(made).fresh(), name, bpcheck.check.contract.Clock()),
                scenario.params,
                [],
            )
            for gradient in scenario.gradients:
                new = run(params, gradient)
                steps.append(Step(params, gradient, new))
                params = new
            for step in judged(rule, Trajectory(scenario.name, tuple(steps))):
                for c in step:
                    used = max(used, float(np.max(abs(c.actual - c.expected) / np.maximum(c.bound, 1e-300))))
    print(f"torch.optim uses {used:.2f} of the bound, with FORMULATIONS = {FORMULATIONS}")
    assert 0.1 < used < 0.5


def test_the_examples_of_the_docstrings():
    import doctest

    from bpcheck.adapters import optimizer

    os.environ.setdefault("KERAS_BACKEND", "torch")
    outcome = doctest.testmod(optimizer)
    assert outcome.attempted > 0
    assert outcome.failed == 0
