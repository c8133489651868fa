"""from_layer: both cotangents of a layer, against a cotangent that is random and never ones."""

import numpy as np
import pytest
from choosing import some

import bpcheck
from bpcheck import Verdict, from_layer

RNG = np.random.default_rng(0)
AT = {"params": {"W": RNG.normal(size=(4, 3)), "b": RNG.normal(size=4)}, "x": RNG.normal(size=(5, 3))}


def forward(params, x):
    z = x @ params["W"].T + params["b"]
    return np.tanh(z), (x, z)


def backward(params, residuals, cotangent, bug=None):
    x, z = residuals
    if bug == "ones":
        cotangent = np.ones_like(cotangent)
    delta = cotangent * (1 - np.tanh(z) ** 2)
    down = delta @ (np.abs(params["W"]) if bug == "x" else params["W"])
    bias = np.full(4, delta.sum() / 4) if bug == "bias" else delta.sum(axis=0)
    return {"W": 2 * delta.T @ x if bug == "W" else delta.T @ x, "b": bias}, down


def check(bug=None, **options):
    return bpcheck.check_gradient(
        from_layer(forward, lambda p, r, c: backward(p, r, c, bug), **options), AT, seed=0
    )


def test_a_right_layer_agrees_at_every_seed():
    assert all(check(seed=seed).verdict is Verdict.AGREES for seed in (0, 1))


@pytest.mark.parametrize(
    ("bug", "where"),
    some(
        [
            ("W", {"params['params']['W']"}),
            ("bias", {"params['params']['b']"}),
            ("x", {"params['x']"}),
            ("ones", {"params['params']['W']", "params['params']['b']", "params['x']"}),
        ],
        default=lambda bug, where: bug in ("bias", "x"),
    ),
)
def test_each_cotangent_is_looked_at(bug, where):
    report = check(bug)
    assert report.verdict is Verdict.DISAGREES, report
    assert {c.path for c in report.comparisons if not c.verdict.ok} == where


def test_the_cotangent_is_random_and_the_same_at_every_call():
    seen = []

    def watching(params, residuals, cotangent):
        seen.append(cotangent.copy())
        return backward(params, residuals, cotangent)

    subject = from_layer(forward, watching)
    for _ in range(2):
        subject.answer(AT)
    assert np.array_equal(seen[0], seen[1])
    assert np.unique(seen[0]).size == seen[0].size
    from_layer(forward, watching, seed=1).answer(AT)
    assert not np.array_equal(seen[0], seen[2])


def test_a_layer_without_parameters():
    def relu(params, x):
        return np.maximum(x, 0), x > 0

    subject = from_layer(relu, lambda params, mask, c: ((), c * mask))
    assert bpcheck.check_gradient(subject, {"params": (), "x": AT["x"]}, seed=0).ok
    leak = from_layer(relu, lambda params, mask, c: ((), c * np.where(mask, 1, 0.01)))
    assert not bpcheck.check_gradient(leak, {"params": (), "x": AT["x"]}, seed=0).ok


def test_a_cotangent_that_is_changed_in_place_is_noted():
    def spoiling(params, residuals, cotangent):
        answer = backward(params, residuals, cotangent)
        cotangent *= 0
        return answer

    report = bpcheck.check_gradient(from_layer(forward, spoiling), AT, seed=0)
    assert any("changed the cotangent" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("parts", "at", "says"),
    [
        ((forward, None), AT, "backward is None"),
        ((forward, backward), AT["x"], "{'params': params, 'x': x}"),
        ((lambda p, x: x, backward), AT, "the pair (y, residuals)"),
        ((lambda p, x: ("a", x), backward), AT, "an array of floats"),
        ((forward, lambda p, r, c: c), AT, "the pair (cotangent of the parameters"),
    ],
)
def test_what_is_no_layer_is_refused(parts, at, says):
    with pytest.raises(bpcheck.InputError) as caught:
        from_layer(*parts).answer(at)
    assert says in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(bpcheck.InputError, match="whole number"):
        from_layer(forward, backward, seed=seed)


def test_a_layer_that_keeps_the_inputs_it_saw_first_is_found_out():
    kept = {}

    def caching(params, x):
        kept.setdefault("x", x)
        return x @ params["W"].T + params["b"], None

    def from_cache(params, _, cotangent):
        down = cotangent @ params["W"]
        return {"W": cotangent.T @ kept["x"], "b": cotangent.sum(axis=0)}, down

    report = bpcheck.check_gradient(from_layer(caching, from_cache), AT, seed=0)
    assert report.verdict is Verdict.DISAGREES, report
