"""gradient_health(): planted networks are called what they are, and bad input is refused in words."""

import json
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from bpcheck import Architecture, GradientHealth, InputError, gradient_health, mlp
from bpcheck.health import findings, measure
from bpcheck.network.layers import Dense, Skip
from bpcheck.reference import build
from bpcheck.reference.initialize import INITIALIZERS, initializer, orthogonal

WIDTH = 8


def linear(depth, c, *, seed=0):
    """A linear network whose weights are orthogonal matrices times c: every error changes by c a layer, exactly."""
    return gradient_health(
        mlp([WIDTH] * (depth + 1), activation="identity"), initialization=f"orthogonal({c})", seed=seed
    )


def assert_every_factor_is(c, depth=12):
    health = linear(depth, c)
    for layer in health.layers[:-1]:
        assert layer.factor == pytest.approx(c, rel=1e-12)
        assert layer.jacobian == pytest.approx(c, rel=1e-12) == layer.jacobian_max
        assert layer.product == pytest.approx(c ** (depth + 1 - layer.number), rel=1e-12)
        # theory: n Var(W) = c² for an orthogonal matrix times c
        assert layer.expected == pytest.approx(c, rel=1e-12)
    assert health.factor == pytest.approx(c, rel=1e-12)
    assert health.total == pytest.approx(c ** (depth - 1), rel=1e-12)


@pytest.mark.parametrize("c", [0.25, 0.9, 1.0, 1.5])
def test_orthogonal_weights_times_c_change_an_error_by_c(c):
    assert_every_factor_is(c)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda below, above: above / below,
        lambda below, above: (below / above) ** 2,
        lambda below, above: below - above,
        lambda below, above: 1.001 * below / above,
    ],
)
def test_a_wrong_factor_would_be_seen(monkeypatch, mutant):
    monkeypatch.setattr(measure, "_ratio", mutant)
    with pytest.raises(AssertionError):
        assert_every_factor_is(0.25)


@pytest.mark.parametrize("mutant", [lambda js: js, lambda js: [j.swapaxes(1, 2) * 1.01 for j in js]])
def test_a_wrong_product_would_be_seen(monkeypatch, mutant):
    monkeypatch.setattr(measure, "products", mutant)
    with pytest.raises(AssertionError):
        assert_every_factor_is(0.25)


# 2^−14 over the steps is the limit of vanishing, 2^10 that of exploding: planted on either side of both
@pytest.mark.parametrize(
    ("exponent", "verdict"), [(-14.1, "vanishing"), (-13.9, "healthy"), (9.9, "healthy"), (10.1, "exploding")]
)
@pytest.mark.parametrize("depth", [3, 8, 20])
def test_the_verdict_depends_on_the_whole_way_down(exponent, verdict, depth):
    health = linear(depth, 2.0 ** (exponent / (depth - 1)))
    assert health.verdict == verdict
    assert health.ok is (verdict == "healthy")
    assert health.words.startswith(f"{verdict}: ")
    assert f"over {depth - 1} layers" in health.words


def test_the_constants_are_what_their_derivation_says():
    assert findings.VANISHED * findings.TYPICAL_UPDATE == 2.0**-24
    assert findings.EXPLODED * findings.TYPICAL_UPDATE == 1.0
    # a step of 2^-10 of the last weights times VANISHED is rounded away in float32, twice that is not
    one = np.float32(1.0)
    step = findings.TYPICAL_UPDATE * findings.VANISHED
    assert one + np.float32(step) == one
    assert one + np.float32(2.001 * step) > one


def test_healthy_networks_say_where_they_would_cease_to_be():
    health = linear(5, 0.4)
    assert (
        health.words
        == "healthy: 0.4 a layer, 0.026 over 4 layers; at that rate it would vanish over 11 layers"
    )
    assert linear(12, 0.4).verdict == "vanishing"
    assert linear(11, 0.4).verdict == "healthy"


def test_deep_sigmoid_vanishes_relu_does_not_and_skips_rescue_the_sigmoid():
    sigmoid = gradient_health(mlp([32] * 21, activation="sigmoid"), seed=1)
    assert sigmoid.verdict == "vanishing"
    assert 0.2 < sigmoid.factor < 0.26
    assert any("slope of sigmoid is 0.25" in text for text in sigmoid.remedies)
    assert findings.CLIPPING_IS_NO_HELP in sigmoid.remedies
    assert gradient_health(mlp([32] * 21, activation="relu"), seed=1).ok
    skips = Architecture((32,), (*[Skip((Dense(32, "sigmoid"),))] * 19, Dense(32)))
    assert gradient_health(skips, seed=1).ok


def test_small_weights_vanish_in_relu_too_and_the_remedy_says_how_much_larger():
    health = gradient_health(mlp([50] * 8, activation="relu"), initialization="small_random", seed=0)
    assert health.verdict == "vanishing"
    # he draws sqrt(2/50) = 0.2 where 0.01 was drawn
    text = next(text for text in health.remedies if text.startswith("Initialisation"))
    assert float(text.split(" times as large")[0].split()[-1]) == pytest.approx(20, rel=0.15)


def test_large_weights_explode():
    health = gradient_health(mlp([50] * 8, activation="relu"), initialization="normal(1)", seed=0)
    assert health.verdict == "exploding"
    assert health.factor == pytest.approx(5, rel=0.3)
    assert any(text.startswith("Clip the gradient by its norm") for text in health.remedies)
    assert findings.CLIPPING_IS_NO_HELP not in health.remedies


def planted_dead(count, depth=3, units=100):
    architecture = mlp([5, *[units] * depth, 2], activation="relu")
    params = build(architecture).init(np.random.default_rng(0))
    params[1]["bias"][:count] = -1e3
    params[2]["bias"][:] = 0.1  # else the layer above, which then gets zeros alone, would be off as well
    return architecture, params


def test_dead_units_are_counted_and_named_only_where_chance_does_not_explain_them():
    architecture, params = planted_dead(90)
    health = gradient_health(architecture, params, seed=0, jacobians=0)
    assert health.layers[1].dead >= 0.9
    assert health.verdict == "dead"
    assert "of the units of layer 3 never pass an error" in health.words
    healthy = gradient_health(*planted_dead(0), seed=0, jacobians=0)
    assert healthy.ok
    assert healthy.layers[1].dead < 0.2


def test_a_layer_that_is_wholly_dead_is_named_before_the_zero_below_it():
    health = gradient_health(*planted_dead(100), seed=0, jacobians=0)
    assert health.verdict == "dead"
    assert "all of the units of layer 3" in health.words
    assert "vanishing: exactly 0 from layer 3 down" in [finding.text for finding in health.findings]
    assert health.layers[0].error_rms == 0.0
    assert health.layers[0].factor != health.layers[0].factor  # 0 over 0


def test_saturated_units_are_named():
    architecture = mlp([5, 60, 60, 2], activation="tanh")
    params = build(architecture).init(np.random.default_rng(0))
    params[1]["bias"][:] = 8.0
    health = gradient_health(architecture, params, seed=0)
    assert "saturated" in [finding.rule for finding in health.findings]
    assert health.layers[1].saturated == 1.0
    assert health.layers[1].dead == 0.0


def test_one_layer_has_nothing_on_the_way_down():
    health = gradient_health(mlp([3, 2]), seed=0)
    assert health.verdict == "healthy"
    assert "one layer" in health.words
    assert health.total == 1.0
    assert math.isnan(health.factor)
    json.loads(health.to_json())


def test_an_exact_fit_has_no_error():
    params = [{"weight": [[0.0]], "bias": [1.0]}] * 2
    health = gradient_health(mlp([1, 1, 1]), params, [[2.0]], [[1.0]])
    assert health.verdict == "no error"


def test_activations_that_overflow_are_named_and_warn_nobody():
    params = [{"weight": [[1e200]], "bias": [0.0]}] * 3
    health = gradient_health(mlp([1, 1, 1, 1], activation="relu"), params, [[1e10]], [[1.0]])
    assert health.verdict == "not finite"
    assert "activations of layer 3 overflow" in health.words
    assert "not finite" in str(health)
    json.loads(health.to_json())


def test_an_error_that_overflows_on_its_way_down_is_named():
    architecture = mlp([1, 1, 1, 1], activation="identity")
    params = [{"weight": [[w]], "bias": [0.0]} for w in (1e-200, 1e200, 1e200)]
    health = gradient_health(architecture, params, [[1e-200]], [[1e10]])
    assert health.verdict == "not finite"
    assert "on the way down" in health.words


def test_clipping_bounds_the_step_and_not_the_ratio():
    health = gradient_health(mlp([32] * 21, activation="sigmoid"), seed=1, clip_norm=1e-3, clip_value=1e-4)
    norm, value = health.clipping
    assert norm.norm_after == pytest.approx(1e-3)
    assert norm.ratio_after == pytest.approx(norm.ratio_before)
    assert value.ratio_after > value.ratio_before
    whole = math.sqrt(sum(tensor.norm**2 for tensor in health.tensors))
    assert norm.norm_before == value.norm_before == pytest.approx(whole)
    assert "clipping its norm to 0.001" in str(health)
    untouched = gradient_health(mlp([2, 2, 1]), seed=0, clip_norm=1e9).clipping[0]
    assert untouched.changed == 0.0
    assert untouched.norm_before == untouched.norm_after


def test_clipping_by_value_cuts_on_both_sides():
    found = measure.clipped({"low": np.array([[3.0, -3.0]]), "top": np.array([[0.5, -2.0]])}, "value", 1.0)
    assert found.norm_after == pytest.approx(math.sqrt(1 + 1 + 0.25 + 1))
    assert found.changed == 0.75


def test_norms_are_a_median_and_a_maximum_over_the_examples():
    # one ReLU unit with weights of 1 above: J is 1 for an example that turns it on, 0 for one that does not
    one = {"weight": [[1.0]], "bias": [0.0]}
    x = [[1.0], [-1.0], [-2.0], [3.0], [-1.0]]
    health = gradient_health(mlp([1, 1, 1], activation="relu"), [one, one], x, [[9.0]] * 5)
    low = health.layers[0]
    assert (low.jacobian, low.jacobian_max, low.product, low.product_max) == (0.0, 1.0, 0.0, 1.0)
    assert health.examples == 5
    first = gradient_health(mlp([1, 1, 1], activation="relu"), [one, one], x, [[9.0]] * 5, jacobians=1)
    assert (first.layers[0].jacobian, first.examples) == (1.0, 1)


# --- a gradient alone ---------------------------------------------------------------------------------


def test_a_gradient_alone_is_judged_by_its_weights():
    rng = np.random.default_rng(0)
    sizes = [1e-8, 1e-4, 1.0]
    gradient = [{"w": size * rng.normal(size=(9, 9)), "b": np.full(9, 1e6)} for size in sizes]
    health = gradient_health(gradients=gradient)
    assert health.verdict == "vanishing"
    assert "over 2 tensors" in health.words
    assert health.factor == pytest.approx(1e-4, rel=0.2)
    below = next(line for line in str(health).splitlines() if line.strip().startswith("gradients[0]['w']"))
    assert float(below.split()[-3]) == pytest.approx(health.tensors[0].rms / health.tensors[2].rms, rel=0.05)
    assert [tensor.path for tensor in health.tensors][:2] == ["gradients[0]['w']", "gradients[0]['b']"]
    assert (
        gradient_health(gradients={"a": np.full((2, 2), 2.0**11), "b": np.ones((2, 2))}).verdict
        == "exploding"
    )
    assert gradient_health(gradients=[np.ones(3, dtype=np.float32), np.ones(2)]).ok


def test_a_gradient_alone_has_norms_zeros_and_what_is_not_finite():
    array = np.array([[3.0, 0.0], [np.nan, -4.0]])
    health = gradient_health(gradients=[array, np.ones((2, 2))])
    (tensor, _) = health.tensors
    assert (tensor.norm, tensor.largest, tensor.zeros, tensor.nonfinite) == (pytest.approx(5.0), 4.0, 0.25, 1)
    assert health.verdict == "not finite"
    assert "gradients[0] has 1 entries" in health.words
    assert str(health).count("gradients[") >= 2


def test_a_gradient_is_not_changed():
    array = np.ones((2, 2))
    gradient_health(gradients=[array, array], clip_norm=0.1)
    assert np.array_equal(array, np.ones((2, 2)))
    assert array.flags.writeable


# --- what is drawn, and initialisations -----------------------------------------------------------------


def test_what_is_drawn_is_said_and_can_be_drawn_again():
    network = mlp([4, 5, 3], activation="relu", loss="cross_entropy")
    health = gradient_health(network)
    assert isinstance(health.seed, int)
    assert repr(gradient_health(network, seed=health.seed)) == repr(health)
    assert f"seed {health.seed}" in str(health)
    params = build(network).init(np.random.default_rng(0))
    given = gradient_health(network, params, np.ones((2, 4)), np.eye(3)[:2])
    assert given.seed is None
    assert given.drawn == ()
    assert "drawn" not in str(given)


@pytest.mark.parametrize("name", [*INITIALIZERS, "normal(0.5)", "orthogonal(1.4)", "normal(1e-3)"])
def test_every_initialisation_has_a_name(name):
    health = gradient_health(mlp([4, 6, 3]), initialization=name, seed=0)
    assert name in health.drawn[0]


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3)])
def test_orthogonal_weights_are_orthonormal_and_take_all_directions(shape):
    rng = np.random.default_rng(0)
    weight = orthogonal(rng, shape)
    small = weight @ weight.T if shape[0] <= shape[1] else weight.T @ weight
    assert np.allclose(small, np.eye(min(shape)), atol=1e-14)
    # the first entry of a random orthogonal matrix is as often negative as positive; QR alone has one sign only
    signs = sum(orthogonal(rng, (3, 3))[0, 0] > 0 for _ in range(200))
    assert 60 < signs < 140


# --- the result -----------------------------------------------------------------------------------------


def test_the_result_is_frozen_and_prints_on_a_screen():
    health = gradient_health(mlp([16] * 21, activation="relu"), seed=0)
    with pytest.raises(FrozenInstanceError):
        health.seed = 3
    with pytest.raises(FrozenInstanceError):
        health.layers[0].factor = 3.0
    skips = Architecture((8,), (Dense(60, "leaky_relu"), *[Skip((Dense(60, "leaky_relu"),))] * 9, Dense(2)))
    for network in (mlp([16] * 21, activation="relu"), mlp([60] * 21, activation="sigmoid"), skips):
        # 60 units, not 100: OpenBLAS starts threads for larger matrices, which takes seconds on a busy machine
        text = str(gradient_health(network, seed=0, clip_norm=1.0, jacobians=2))
        assert max(map(len, text.splitlines())) <= 80
    deep = str(gradient_health(mlp([4] * 101, activation="tanh"), seed=0, jacobians=0))
    assert len(deep.splitlines()) <= 50
    assert "⋮" in deep


def test_json_holds_everything():
    health = gradient_health(mlp([4, 4, 4], activation="relu"), seed=0, clip_norm=1.0)
    data = json.loads(health.to_json())
    assert data == json.loads(json.dumps(health.to_dict()))
    assert data["layers"][0]["factor"] == health.layers[0].factor
    assert data["layers"][-1]["factor"] is None
    assert data["layers"][0]["dense"][0]["path"] == "params[0]"
    assert data["verdict"] == health.verdict
    assert data["clipping"][0]["rule"] == "norm"


def test_jacobians_can_be_left_out():
    health = gradient_health(mlp([4, 4, 4]), seed=0, jacobians=0)
    assert math.isnan(health.layers[0].jacobian)
    assert health.layers[0].factor == gradient_health(mlp([4, 4, 4]), seed=0).layers[0].factor


def test_arguments_are_not_changed():
    architecture = mlp([2, 3, 1])
    params = build(architecture).init(np.random.default_rng(0))
    before = repr(params)
    x, y = np.ones((3, 2)), np.zeros((3, 1))
    gradient_health(build(architecture), params, x, y)
    assert repr(params) == before
    assert x.flags.writeable


NETWORK = mlp([2, 3, 1])
PARAMS = build(NETWORK).init(np.random.default_rng(0))
BAD = [
    (lambda: gradient_health(), "network is None"),
    (lambda: gradient_health("resnet"), "network is str 'resnet'"),
    (lambda: gradient_health(NETWORK, y=[[1.0]]), "y was given without x"),
    (lambda: gradient_health(NETWORK, PARAMS, [[1.0]], [[1.0]]), r"x has shape \(1, 1\)"),
    (lambda: gradient_health(NETWORK, PARAMS, [[np.nan, 1.0]], [[1.0]]), "x holds nan"),
    (lambda: gradient_health(NETWORK, PARAMS[:1]), "needs a list of 2"),
    (
        lambda: gradient_health(
            NETWORK, [{"weight": np.full((3, 2), np.inf), "bias": np.zeros(3)}, PARAMS[1]]
        ),
        "holds inf",
    ),
    (lambda: gradient_health(NETWORK, PARAMS, initialization="he"), "both given"),
    (
        lambda: gradient_health(NETWORK, initialization="xavier"),
        "no initialisation 'xavier'; choose 'glorot'",
    ),
    (lambda: gradient_health(NETWORK, initialization="normal(1.2.3)"), "no initialisation"),
    (lambda: gradient_health(NETWORK, initialization=3), "no initialisation 3"),
    (lambda: gradient_health(NETWORK, seed=-1), "seed is -1"),
    (lambda: gradient_health(NETWORK, jacobians=1.5), r"jacobians is 1\.5"),
    (lambda: gradient_health(NETWORK, clip_norm=0), "clip_norm is 0"),
    (lambda: gradient_health(NETWORK, clip_value=np.inf), "clip_value is inf"),
    (lambda: gradient_health(NETWORK, gradients=[np.ones(2)]), "network too"),
    (lambda: gradient_health(gradients=[]), "gradients is empty"),
    (lambda: gradient_health(gradients=[np.ones(2), None]), r"gradients\[1\] is None"),
    (lambda: gradient_health(gradients={"w": "text"}), r"gradients\['w'\] is str 'text'"),
    (lambda: gradient_health(gradients=[np.ones(2, dtype=complex)]), "real array"),
    (lambda: gradient_health(gradients=[np.ones(0)]), "with numbers in it"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_initializer_gives_the_rule_of_the_name():
    assert initializer("he") is INITIALIZERS["he"]


def test_a_result_can_be_made_by_hand():
    health = GradientHealth((findings.Finding("healthy", "healthy: so it seems"),))
    with pytest.raises(InputError, match="no layers to draw"):
        health.plot()
