"""What notebook 4 says about its experiments, held against the experiments; and those that can be known, against theory."""

import re
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from bpcheck.course import experiments
from bpcheck.errors import InputError
from bpcheck.reference.optimizer import SGD, Adam, Clipped, Momentum, Nesterov, RMSprop
from bpcheck.training import EarlyStopping

TEXT = (Path(__file__).parents[2] / "notebooks" / "source" / "04_updates.py").read_text(encoding="utf-8")


@pytest.mark.full
def test_noise_falls_with_the_root_and_vanishes_with_all_examples():
    found = experiments.gradient_noise((1, 4, 64, 1400))
    for size in (1, 4, 64):
        # a root mean square over 200 draws of a vector: within 5 %, three times that here
        assert found[size][0] == pytest.approx(found[size][1], rel=0.15)
    assert found[1][1] / found[4][1] == pytest.approx(2, rel=0.002)
    assert found[1400][0] < 1e-12
    assert found[1400][1] == 0


def test_the_minima_and_the_hill():
    for minimum in experiments.MINIMA:
        assert abs(experiments.slope_of_tilted(minimum)) < 1e-3
    low, high = experiments.MINIMA
    assert experiments.tilted(low) < experiments.tilted(high) < experiments.tilted(0.075)
    h = 1e-6
    w = np.linspace(-2, 2, 9)
    differences = (experiments.tilted(w + h) - experiments.tilted(w - h)) / (2 * h)
    assert np.allclose(differences, experiments.slope_of_tilted(w), atol=1e-8)


def test_momentum_leaves_both_minima():
    plain = experiments.two_minima(SGD(lr=0.01))
    fast = experiments.two_minima(Momentum(lr=0.01, momentum=0.9))
    slow = experiments.two_minima(Momentum(lr=0.001, momentum=0.9), steps=10_000)
    assert (plain.left_bad, plain.left_good, plain.lost) == (0, 0, 0)
    assert (fast.left_bad, fast.left_good, fast.lost) == (40, 24, 0)
    assert (plain.ended_good, fast.ended_good, slow.ended_good) == (208, 224, 208)
    for counts in (plain, fast, slow):
        assert (
            counts.stayed_good + counts.stayed_bad + counts.left_good + counts.left_bad + counts.lost == 401
        )


XOR_RULES = {
    "SGD": [SGD(lr=rate) for rate in (0.5, 1.0, 4.0)],
    "momentum": [Momentum(lr=rate) for rate in (0.1, 0.3, 1.0)],
    "RMSprop": [RMSprop(lr=rate) for rate in (0.01, 0.05, 0.1)],
    "Adam": [Adam(lr=rate) for rate in (0.01, 0.1, 0.3)],
}


@pytest.mark.full
def test_no_rule_finds_xor_from_much_more_than_half_of_the_starts():
    best = {name: max(experiments.xor(rule, hidden=2) for rule in rules) for name, rules in XOR_RULES.items()}
    assert max(best.values()) < 115
    assert 0 <= best["momentum"] - best["SGD"] < 2 * np.sqrt(200 * 0.5 * 0.5)
    assert max(best["RMSprop"], best["Adam"]) <= best["momentum"]
    assert {experiments.xor(rules[0], hidden=8) for rules in XOR_RULES.values()} == {200}


def test_the_gradient_of_xor_is_that_of_the_reference():
    import bpcheck

    architecture = bpcheck.mlp([2, 3, 1], activation="tanh", output="sigmoid", loss="binary_cross_entropy")
    network = bpcheck.reference.build(architecture)

    class Stop(SGD):
        def step(self, params, gradient, state, *, lr=None):
            self.seen.append((params, gradient))
            return super().step(params, gradient, state, lr=lr)

        seen: ClassVar = []

    experiments.xor(Stop(lr=0.5), hidden=3, runs=2, steps=2)
    params, gradient = Stop.seen[1]
    for run in range(2):
        own = [
            {"weight": params["W"][run], "bias": params["b"][run, :, 0]},
            {"weight": params["u"][run], "bias": params["c"][run, :, 0]},
        ]
        right = network.gradient(own, experiments.XOR_X, experiments.XOR_Y[:, None])
        for ours, (weight, bias) in zip(right, (("W", "b"), ("u", "c")), strict=True):
            assert np.allclose(ours["weight"], gradient[weight][run], rtol=1e-12)
            assert np.allclose(ours["bias"], gradient[bias][run, :, 0], rtol=1e-12)


def test_speed_helps_at_a_saddle():
    steps = [
        experiments.saddle(rule) for rule in (SGD(lr=0.1), Momentum(lr=0.1), Nesterov(lr=0.1), Adam(lr=0.1))
    ]
    assert steps == sorted(steps, reverse=True)
    # by hand: v grows by 1.1 a step from 1e-6, so that it takes log(½ · 1e6)/log 1.1 steps, and few more at the end
    assert 0 <= steps[0] - np.log(0.5e6) / np.log(1.1) < 3
    assert experiments.saddle(SGD(lr=0.1), offset=0.0, most=50) == 50


@pytest.mark.full
def test_small_batches_win_by_examples_and_large_ones_by_steps():
    runs = [
        experiments.progress_of(1, 0.1, steps=2800),
        experiments.progress_of(16, 0.5, steps=256, looks=[0, 174, 256]),
        experiments.progress_of(1400, 1.0, steps=256),
    ]
    by_examples = [run.after(examples=2800) for run in runs]
    by_steps = [run.after(steps=256) for run in runs]
    assert by_examples == sorted(by_examples)
    assert by_steps == sorted(by_steps, reverse=True)
    assert by_examples[2] > 10 * by_examples[0]
    one_rate = [experiments.progress_of(batch, 1.0, steps=256).after(steps=256) for batch in (1, 16)]
    assert one_rate[0] > 2
    assert one_rate[0] > one_rate[1] > by_steps[2]
    with pytest.raises(InputError, match="1 to 1400"):
        experiments.progress_of(0, 0.1, steps=1)


@pytest.mark.full
def test_the_full_batch_is_gradient_descent():
    run = experiments.progress_of(1400, 0.5, steps=3)
    x, y, _ = experiments.digits()
    network = experiments.build(experiments.NETWORK)
    params = network.init(np.random.default_rng(0))
    for _ in range(3):
        params = [
            {name: layer[name] - 0.5 * slope[name] for name in layer}
            for layer, slope in zip(params, network.gradient(params, x, y), strict=True)
        ]
    assert run.losses[-1] == pytest.approx(float(network.loss(params, x, y)), rel=1e-12)


@pytest.mark.full
def test_the_floor_is_in_proportion_to_the_rate_and_to_one_over_the_batch():
    first, half, quarter, sixteen, decayed = experiments.noise_floor().values()
    assert first / half == pytest.approx(2, rel=0.15)
    assert half / quarter == pytest.approx(2, rel=0.15)
    assert first / sixteen == pytest.approx(16, rel=0.25)
    assert 0 < decayed < sixteen


@pytest.mark.full
def test_a_penalty_does_nothing_about_an_explosion():
    norm, factor, loss = experiments.explosion(SGD(lr=0.01))
    held, same, still = experiments.explosion(SGD(lr=0.01), penalty=1.0)
    assert np.isnan(loss)
    assert np.isnan(still)
    assert held == pytest.approx(norm, rel=1e-3)
    assert same == factor > 1.4
    # at a rate with which the run survives: λ = 1 changes little; λ = 100 shrinks the weights, and helps
    survives, little, absurd = (
        experiments.explosion(SGD(lr=1e-4), penalty=penalty)[2] for penalty in (0.0, 1.0, 100.0)
    )
    assert 0.9 < little / survives < 1
    assert np.log(10) < absurd < survives / 4
    clipped = experiments.explosion(Clipped(rule=SGD(lr=0.01)))
    assert np.isfinite(clipped[2])
    assert clipped[2] > np.log(10)  # alive, and worse than chance
    assert clipped[1] == factor
    small = experiments.explosion(SGD(lr=0.3), small=True)
    assert 0.8 < small[1] < 1
    assert small[2] < np.log(10)
    assert experiments.explosion(Clipped(rule=SGD(lr=0.3)), small=True)[2] < small[2]


def test_rare_gradients_by_hand():
    assert experiments.rare_gradients(SGD(lr=0.5), every=10, size=2.0, steps=100) == 20
    for rule, share in ((SGD(lr=1.0), 100), (RMSprop(lr=1.0), 31.8), (Adam(lr=1.0), 10.6)):
        often, rarely = (experiments.rare_gradients(rule, every=k) for k in (1, 100))
        assert often / rarely == pytest.approx(share, rel=0.01)
        tenth = experiments.rare_gradients(rule, every=100, size=0.1)
        assert tenth == pytest.approx(rarely * (0.1 if isinstance(rule, SGD) else 1), rel=1e-4)
    # RMSprop alone: v has forgotten the last gradient, so each step is η/√(1 − ρ), 20 of them
    assert experiments.rare_gradients(RMSprop(lr=1.0), every=100) == pytest.approx(20 * 10**0.5, rel=1e-3)


@pytest.mark.full
def test_early_stopping_is_before_the_end():
    whole = experiments.overfitted(Momentum(lr=0.05))
    stopped = experiments.overfitted(Momentum(lr=0.05), stop=EarlyStopping(patience=5))
    assert stopped.stopped.startswith("stopped early")
    held = [epoch.held_out_loss for epoch in whole.history]
    assert stopped.last.number < len(held) == 40
    assert whole.last.loss < 0.5 * whole.history[len(stopped.history) - 6].loss
    assert held[-1] > 1.3 * min(held)


def test_the_five_networks_are_those_of_the_page_on_health():
    page = (Path(__file__).parents[2] / "docs" / "gradient_health.md").read_text(encoding="utf-8")
    for name in experiments.DEEP:
        row = re.search(rf"^{re.escape(name)} {{2,}}(\w+) +([\d.]+) ", page, re.MULTILINE)
        found = experiments.health(name)
        assert row[1] == found.verdict
        assert float(row[2]) == pytest.approx(found.factor, rel=0.05)


@pytest.mark.full
def test_no_rule_is_best_by_more_than_the_spread_of_its_seeds():
    found = experiments.optimizers()
    best = {name: max(rates.values(), key=lambda one: one[1].mean()) for name, rates in found.items()}
    means = [right.mean() for _, right in best.values()]
    assert max(means) - min(means) < 0.01
    assert max(right.std(ddof=1) for _, right in best.values()) >= 0.8 * (max(means) - min(means))
    losses = [loss.mean() for loss, _ in best.values()]
    for rates in found.values():
        within = [loss.mean() for loss, _ in rates.values()]
        assert max(within) - min(within) > max(losses) - min(losses)
    default = np.mean([experiments.train(Adam(), seed=seed).last.held_out_accuracy for seed in range(2)])
    assert default < max(means) - 0.01


# --- numbers that stand in the prose ---


def test_the_bowl_diverges_where_the_text_says():
    w = np.array([1.0, 1.0])
    for _ in range(50):
        w = w - 0.21 * np.array([1.0, 10.0]) * w
    assert abs(w[1]) > 100 > 1 > abs(w[0])
    assert "at $\\eta = 0.21$" in TEXT


def test_adams_corrections_matter_for_a_thousand_steps():
    def step(t):
        return (1 - 0.9**t) / np.sqrt(1 - 0.999**t)

    assert step(1) == pytest.approx(3.16, abs=0.01)
    assert 1.2 < step(1000) < 1.3
    assert step(5000) < 1.01


def test_quotations_of_the_seeds_are_short():
    quoted = re.findall(r"“([^”]+)”", TEXT)
    assert quoted
    assert max(len(words.split()) for words in quoted) <= 11
