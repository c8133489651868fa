"""The network: its gradient against the complex step of its own cost, what trace means, what init draws."""

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pytest

from bpcheck import Case, mlp, tree
from bpcheck.errors import ArchitectureError, InputError
from bpcheck.network.architecture import LOSSES, Architecture
from bpcheck.network.layers import Dense, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.reference import build
from bpcheck.reference.activation import softmax
from bpcheck.reference.initialize import SMALL, glorot, he, lecun, small_random, zeros
from bpcheck.reference.layers.chain import Chain
from bpcheck.reference.layers.dense import DenseLayer
from bpcheck.reference.layers.layer import Context, LayerTrace
from bpcheck.reference.layers.skip import SkipLayer
from bpcheck.reference.network import Network, Trace
from bpcheck.strategies.values import case_from_seed

SKIP = Architecture(
    (3,),
    (Dense(2, "tanh"), Skip((Dense(4, "gelu"), Dense(2, "sigmoid"))), Dense(3, "softmax")),
    "cross_entropy",
)
NESTED = Architecture(
    (2,),
    (Skip((Dense(3, "softplus"), Skip((Dense(3, "silu"), Dense(3, "softmax"))), Dense(2))), Dense(2, "tanh")),
    "huber",
    l1=0.25,
    l2=0.5,
    penalize_bias=True,
)
LAST = Architecture(
    (2,), (Dense(3, "relu"), Skip((Dense(3, "leaky_relu"),))), "cross_entropy", "sum", l2=0.125
)
NETWORKS = [
    *(
        pytest.param(mlp([3, 4, 3, 2], activation=a, loss=loss), id=f"{a}-{loss}")
        for a, loss in zip(ACTIVATIONS, LOSSES * 2, strict=False)
    ),
    pytest.param(mlp([3, 4, 3], output="softmax", loss="mse"), id="softmax under mse"),
    pytest.param(mlp([3, 4, 3], output="identity", loss="cross_entropy"), id="cross-entropy of logits"),
    pytest.param(mlp([3, 2], output="identity", loss="binary_cross_entropy"), id="bce of logits, one layer"),
    pytest.param(mlp([3, 4, 2], reduction="sum", l1=0.25), id="sum, l1"),
    pytest.param(mlp([3, 4, 2], l2=0.5, penalize_bias=True), id="mean, l2, biases too"),
    pytest.param(mlp([2, 3, 1], reduction="sum", l1=0.25, l2=0.5, penalize_bias=True), id="both, biases too"),
    pytest.param(SKIP, id="skip"),
    pytest.param(NESTED, id="nested skips"),
    pytest.param(LAST, id="skip at the output"),
]


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("batch", [1, 4])
def test_the_gradient_is_the_complex_step_of_the_cost(architecture, batch):
    network = build(architecture)
    case = case_from_seed(architecture, batch, 11)
    enclosure = network.enclose(case.params, case.x, case.y)
    gradient = dict(tree.leaves(network.gradient(case.params, case.x, case.y)))
    leaves = dict(tree.leaves(case.params))
    assert gradient.keys() == leaves.keys() == enclosure.gradient.keys()
    for path, leaf in leaves.items():
        assert gradient[path].shape == leaf.shape
        for index in np.ndindex(leaf.shape):
            moved = {p: array.astype(complex) for p, array in leaves.items()}
            moved[path][index] += 1e-200j
            cost = network.cost(tree.restore(case.params, list(moved.values())), case.x, case.y)
            # both are correct computations; SciPy's complex erfc has 1e-13 of its own
            allowed = 2 * enclosure.gradient[path].rad[index] + 1e-13
            assert abs(cost.imag / 1e-200 - gradient[path][index]) <= allowed, (path, index)
    assert network.loss(case.params, case.x, case.y) == pytest.approx(cost.real, rel=1e-12)


def test_the_mean_is_the_sum_over_the_batch_and_the_penalty_is_not_divided():
    case = case_from_seed(mlp([3, 4, 2], l1=0.25, l2=0.5), 4, 2)
    plain = replace(case.architecture, l1=0.0, l2=0.0)
    total = replace(plain, reduction="sum")

    def at(architecture):
        network = build(architecture)
        return network.loss(case.params, case.x, case.y), network.gradient(case.params, case.x, case.y)

    loss, gradient = at(case.architecture)
    data_loss, data_gradient = at(plain)
    sum_loss, sum_gradient = at(total)
    assert sum_loss == pytest.approx(4 * data_loss)
    weights = [layer["weight"] for layer in case.params]
    penalty = sum(0.25 * abs(w).sum() + 0.25 * (w**2).sum() for w in weights)
    assert loss == pytest.approx(data_loss + penalty)
    for layer, data, summed, w in zip(gradient, data_gradient, sum_gradient, weights, strict=True):
        np.testing.assert_allclose(4 * data["weight"], summed["weight"], rtol=1e-12)
        np.testing.assert_allclose(layer["weight"], data["weight"] + 0.25 * np.sign(w) + 0.5 * w, rtol=1e-12)
        np.testing.assert_array_equal(layer["bias"], data["bias"])


def test_penalties_cover_the_biases_only_on_request():
    case = case_from_seed(mlp([2, 2], l2=1.0), 1, 3)
    bias = case.params[0]["bias"]
    without, with_bias = (build(replace(case.architecture, penalize_bias=on)) for on in (False, True))
    difference = with_bias.loss(case.params, case.x, case.y) - without.loss(case.params, case.x, case.y)
    assert difference == pytest.approx(0.5 * (bias**2).sum())


# --- trace -----------------------------------------------------------------------------------------


def test_trace_holds_what_the_book_writes_for_every_layer():
    case = case_from_seed(mlp([3, 4, 2], activation="tanh", loss="half_mse"), 5, 4)
    network = build(case.architecture)
    trace = network.trace(case.params, case.x, case.y)
    W1, b1, W2, b2 = (case.params[i][name] for i in (0, 1) for name in ("weight", "bias"))
    z1 = case.x @ W1.T + b1
    z2 = np.tanh(z1) @ W2.T + b2
    for found, right in zip(trace.pre_activations, (z1, z2), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-14)
    np.testing.assert_allclose(trace.activations[0], np.tanh(z1), rtol=1e-14)
    np.testing.assert_allclose(trace.activations[1], z2, rtol=1e-14)
    delta2 = (z2 - case.y) / 5
    np.testing.assert_allclose(trace.deltas[1], delta2, rtol=1e-12)
    np.testing.assert_allclose(trace.deltas[0], delta2 @ W2 * (1 - np.tanh(z1) ** 2), rtol=1e-12)
    gradient = network.gradient(case.params, case.x, case.y)
    for k, below in enumerate((case.x, trace.activations[0])):
        np.testing.assert_allclose(gradient[k]["bias"], trace.deltas[k].sum(axis=0), rtol=1e-14)
        np.testing.assert_allclose(gradient[k]["weight"], trace.deltas[k].T @ below, rtol=1e-14)


@pytest.mark.parametrize(
    ("loss", "output"), [("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid")]
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_output_of_a_fused_pair_is_the_probability_and_its_delta_a_minus_y(loss, output, reduction):
    case = case_from_seed(mlp([3, 4, 3], loss=loss, reduction=reduction), 4, 5)
    trace = build(case.architecture).trace(case.params, case.x, case.y)
    z, a = trace.pre_activations[-1], trace.activations[-1]
    np.testing.assert_allclose(a, softmax(z) if output == "softmax" else 1 / (1 + np.exp(-z)), rtol=1e-14)
    m = 4 if reduction == "mean" else 1
    np.testing.assert_allclose(trace.deltas[-1], (a - case.y) / m, rtol=1e-12, atol=1e-16)
    logits = build(replace(case.architecture, layers=(case.architecture.layers[0], Dense(3))))
    np.testing.assert_array_equal(logits.trace(case.params, case.x, case.y).activations[-1], z)


def test_trace_of_skips_is_nested_as_the_layers_are():
    case = case_from_seed(NESTED, 2, 6)
    trace = build(NESTED).trace(case.params, case.x, case.y)

    def shapes(node):
        return [shapes(part) if isinstance(part, list) else part.shape for part in node]

    for part in (trace.pre_activations, trace.activations, trace.deltas):
        assert shapes(part) == [[(2, 3), [(2, 3), (2, 3)], (2, 2)], (2, 2)]
    gradient = build(replace(NESTED, l1=0.0, l2=0.0)).gradient(case.params, case.x, case.y)
    for delta, layer in ((trace.deltas[0][0], gradient[0][0]), (trace.deltas[0][1][1], gradient[0][1][1])):
        np.testing.assert_allclose(delta.sum(axis=0), layer["bias"], rtol=1e-12)


# --- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["loss", "gradient", "trace", "enclose"])
def test_arguments_are_not_changed_and_may_be_read_only_or_lists(method):
    case = case_from_seed(SKIP, 3, 7)
    params, x, y = case.mutable()
    before = repr((params, x, y))
    getattr(build(SKIP), method)(params, x, y)
    assert repr((params, x, y)) == before
    getattr(build(SKIP), method)(case.params, case.x, case.y)  # read-only
    lists = tree.restore(params, [leaf.tolist() for _, leaf in tree.leaves(params)])
    getattr(build(SKIP), method)(lists, x.tolist(), y.tolist())


def test_results_are_fresh_writable_arrays():
    case = case_from_seed(mlp([1, 1], output="identity"), 1, 8)
    params, x, y = case.mutable()
    network = build(case.architecture)
    for _, leaf in tree.leaves(network.gradient(params, x, y)):
        assert leaf.flags.writeable
        assert not any(np.shares_memory(leaf, other) for other in (x, y, *params[0].values()))


def test_the_layout_of_memory_does_not_matter():
    case = case_from_seed(mlp([4, 3, 2]), 5, 9)
    network = build(case.architecture)
    params = [
        {"weight": np.asfortranarray(p["weight"]), "bias": np.repeat(p["bias"], 2)[::2]} for p in case.params
    ]
    x = np.repeat(case.x, 3, axis=0)[::3]
    assert not x.flags.c_contiguous
    for (_, a), (_, b) in zip(
        tree.leaves(network.gradient(params, x, case.y)),
        tree.leaves(network.gradient(case.params, case.x, case.y)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-16)


def test_float32_parameters_are_computed_in_float32_to_its_precision():
    case = case_from_seed(mlp([3, 4, 2], l2=0.5), 4, 10)
    small = tree.restore(case.params, [leaf.astype(np.float32) for _, leaf in tree.leaves(case.params)])
    x, y = case.x.astype(np.float32), case.y.astype(np.float32)
    network = build(case.architecture)
    double = tree.restore(small, [leaf.astype(float) for _, leaf in tree.leaves(small)])
    right = dict(tree.leaves(network.gradient(double, x.astype(float), y.astype(float))))
    enclosure = network.enclose(double, x, y, dtype=np.float32)
    for path, leaf in tree.leaves(network.gradient(small, x, y)):
        assert leaf.dtype == np.float32
        assert (abs(leaf - right[path]) <= enclosure.gradient[path].rad).all()
        assert not np.array_equal(leaf, right[path])


GOOD = case_from_seed(mlp([2, 3, 1]), 2, 0)
BAD_ARGUMENTS = [
    pytest.param({"x": np.ones((2, 3))}, r"x has shape \(2, 3\).*\(batch, 2\)", id="x too wide"),
    pytest.param({"x": np.ones(2)}, r"x has shape \(2,\).*x\[None, :\]", id="a single example"),
    pytest.param({"x": np.ones((0, 2)), "y": np.ones((0, 1))}, "x .*empty", id="no example"),
    pytest.param({"x": [[1.0, np.nan], [0.0, 0.0]]}, r"x holds nan at index \(0, 1\)", id="NaN in x"),
    pytest.param({"x": [[1.0, 2.0], [3.0]]}, "x is not a rectangular array", id="ragged x"),
    pytest.param({"x": [["a", "b"], ["c", "d"]]}, "x is .*float", id="strings"),
    pytest.param({"y": np.ones((2, 2))}, r"y has shape \(2, 2\).*\(2, 1\)", id="y too wide"),
    pytest.param({"y": np.ones((3, 1))}, r"y has shape \(3, 1\).*\(2, 1\)", id="y too long"),
    pytest.param({"y": np.ones((2, 1)) * 1j}, "y is complex", id="complex y"),
    pytest.param({"params": GOOD.params[:1]}, "params is a list of 1.*list of 2", id="a layer too few"),
    pytest.param({"params": {"weight": 1}}, "params is a dict", id="params not a list"),
    pytest.param(
        {"params": [{"weight": np.ones((3, 2))}, GOOD.params[1]]}, r"params\[0\].*bias", id="bias missing"
    ),
    pytest.param(
        {"params": [{**GOOD.params[0], "mask": np.ones(3)}, GOOD.params[1]]},
        r"params\[0\].*mask",
        id="extra key",
    ),
    pytest.param(
        {"params": [{**GOOD.params[0], "weight": np.ones((2, 3))}, GOOD.params[1]]},
        r"params\[0\]\['weight'\] has shape \(2, 3\).*\(3, 2\)",
        id="weight transposed",
    ),
    pytest.param(
        {"params": [GOOD.params[0], {**GOOD.params[1], "bias": np.array([np.inf])}]},
        r"params\[1\]\['bias'\] holds inf",
        id="infinite bias",
    ),
]


@pytest.mark.parametrize("method", ["loss", "gradient", "trace", "enclose"])
@pytest.mark.parametrize(("change", "message"), BAD_ARGUMENTS)
def test_what_does_not_fit_is_named_with_its_path(method, change, message):
    arguments = {"params": GOOD.params, "x": GOOD.x, "y": GOOD.y, **change}
    with pytest.raises(InputError, match=message):
        getattr(build(GOOD.architecture), method)(**arguments)


@pytest.mark.parametrize("thing", [None, [2, 3, 1], "mlp", GOOD])
def test_build_takes_an_architecture_only(thing):
    with pytest.raises(InputError, match=r"bpcheck\.mlp"):
        build(thing)


# --- init and initialisers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "architecture", [mlp([4, 6, 3]), SKIP, NESTED, LAST], ids=["chain", "skip", "nested", "last"]
)
def test_init_gives_the_shapes_of_the_architecture_with_zero_biases(architecture):
    params = build(architecture).init(np.random.default_rng(0))
    shapes = tree.restore(params, [leaf.shape for _, leaf in tree.leaves(params)])
    assert shapes == architecture.parameter_shapes
    for path, leaf in tree.leaves(params):
        assert leaf.dtype == np.float64
        assert bool(leaf.any()) is (path.keys[-1] == "['weight']")
    Case(architecture, params, np.ones((1, *architecture.input_shape)), np.eye(1, architecture.outputs))


def test_init_is_reproducible_from_the_generator_alone():
    network = build(mlp([4, 6, 3]))
    np.random.seed(0)  # noqa: NPY002 - the global state must play no part
    first = network.init(np.random.default_rng(5))
    np.random.seed(1)  # noqa: NPY002
    second = network.init(np.random.default_rng(5))
    other = network.init(np.random.default_rng(6))
    assert repr(first) == repr(second) != repr(other)


SHAPE = (200, 300)
N = SHAPE[0] * SHAPE[1]
VARIANCE = {glorot: 2 / 500, he: 2 / 300, lecun: 1 / 300, small_random: SMALL**2}
# Var of the sample variance: (κ − 1)/N · σ⁴ with kurtosis κ = 9/5 (uniform) or 3 (normal). Five of its
# standard deviations are passed by chance once in two million; the seed is fixed besides.
KURTOSIS = {glorot: 1.8, he: 3.0, lecun: 3.0, small_random: 3.0}


@pytest.mark.parametrize("initializer", list(VARIANCE), ids=lambda f: f.__name__)
def test_initialisers_have_mean_zero_and_the_variance_of_their_paper(initializer):
    weights = initializer(np.random.default_rng(42), SHAPE)
    variance = VARIANCE[initializer]
    assert weights.shape == SHAPE
    assert abs(weights.mean()) <= 5 * np.sqrt(variance / N)
    spread = np.sqrt((KURTOSIS[initializer] - 1) / N)
    assert abs(weights.var() / variance - 1) <= 5 * spread
    # the other fan would be told apart
    swapped = initializer(np.random.default_rng(42), SHAPE[::-1])
    if initializer in (he, lecun):
        assert weights.var() / swapped.var() == pytest.approx(200 / 300, rel=10 * spread)


def test_glorot_is_uniform_and_fills_its_interval():
    weights = glorot(np.random.default_rng(1), SHAPE)
    limit = np.sqrt(6 / 500)
    assert limit * (1 - 1e-3) <= abs(weights).max() <= limit
    counts, _ = np.histogram(weights, bins=20, range=(-limit, limit))
    expected = N / 20
    assert abs(counts - expected).max() <= 5 * np.sqrt(expected)


@pytest.mark.parametrize("initializer", [he, lecun, small_random], ids=lambda f: f.__name__)
def test_the_normal_ones_have_the_tails_of_a_normal_distribution(initializer):
    scaled = initializer(np.random.default_rng(2), SHAPE) / np.sqrt(VARIANCE[initializer])
    share = float(np.mean(abs(scaled) > 1.959964))
    assert abs(share - 0.05) <= 5 * np.sqrt(0.05 * 0.95 / N)


def test_zeros_are_zeros_and_draw_nothing():
    rng = np.random.default_rng(3)
    assert not zeros(rng, (3,)).any()
    assert rng.random() == np.random.default_rng(3).random()


@pytest.mark.parametrize(
    ("activation", "variance"),
    [("relu", 2 / 300), ("gelu", 2 / 300), ("tanh", 2 / 500), ("sigmoid", 2 / 500), ("identity", 2 / 500)],
)
def test_rectifiers_start_from_he_and_others_from_glorot(activation, variance):
    params, state, shape = DenseLayer(Dense(200, activation)).init(np.random.default_rng(4), (300,))
    assert (state, shape) == (None, (200,))
    assert params["weight"].var() == pytest.approx(variance, rel=0.05)


def test_an_initialiser_of_ones_own_is_used():
    layer = DenseLayer(Dense(2), initializer=lambda rng, shape: np.full(shape, 7.0))
    params, _, _ = layer.init(np.random.default_rng(0), (3,))
    assert params["weight"].tolist() == [[7.0] * 3] * 2


# --- layers of one's own: the protocol carries state, mode, masks and shapes -------------------------


@dataclass(frozen=True)
class RunningMean:
    """x − mean: of the batch in training (and remembered), the remembered one in inference."""

    momentum: float = 0.5

    def init(self, rng, shape):
        return {}, np.zeros(shape), shape

    def forward(self, params, x, context):
        old = np.zeros(x.shape[1:]) if context.state is None else context.state
        if not context.training:
            return x - old, {"training": False}, old
        mean = x.mean(axis=0)
        return x - mean, {"training": True}, (1 - self.momentum) * old + self.momentum * mean

    def pullback(self, params, residuals, output_cotangent):
        if residuals["training"]:  # the mean depends on every example
            output_cotangent = output_cotangent - output_cotangent.mean(axis=0)
        return {}, output_cotangent


@dataclass(frozen=True)
class Scale:
    """A scalar parameter times x; widths stay, parameters are a bare array."""

    def init(self, rng, shape):
        return np.array(2.0), None, shape

    def forward(self, params, x, context):
        return params * x, x, context.state

    def pullback(self, params, residuals, output_cotangent):
        return np.sum(output_cotangent * residuals), params * output_cotangent


@dataclass(frozen=True)
class MaskedHalf:
    """Drops to the first half of the units, and applies the mask and noise of the context."""

    def init(self, rng, shape):
        return (), None, (shape[0] // 2,)

    def forward(self, params, x, context):
        mask = context.masks.get("keep", np.ones(x.shape[1]))
        noise = context.rng.random() if context.training and context.rng is not None else 1.0
        return (noise * x * mask)[:, : x.shape[1] // 2], (noise * mask, x.shape), context.state

    def pullback(self, params, residuals, output_cotangent):
        factor, shape = residuals
        full = np.zeros(shape)
        full[:, : shape[1] // 2] = output_cotangent
        return (), full * factor


def custom_chain():
    inner = Chain([DenseLayer(Dense(4, "tanh")), Scale()])
    return Chain(
        [RunningMean(), DenseLayer(Dense(4, "sigmoid")), SkipLayer(inner), MaskedHalf(), DenseLayer(Dense(3))]
    )


def test_shapes_flow_through_layers_of_any_kind():
    params, state, shape = custom_chain().init(np.random.default_rng(0), (5,))
    assert shape == (3,)
    assert [leaf.shape for _, leaf in tree.leaves(params)] == [(4, 5), (4,), (4, 4), (4,), (), (3, 2), (3,)]
    np.testing.assert_array_equal(state[0], np.zeros(5))
    assert state[1:] == [None, [None, None], None, None]


def test_state_goes_in_by_the_context_and_comes_out_beside_the_output():
    chain = custom_chain()
    params, state, _ = chain.init(np.random.default_rng(0), (5,))
    x = np.random.default_rng(1).normal(size=(6, 5))
    before = repr(state)
    _, _, first = chain.forward(params, x, Context(state=state))
    assert repr(state) == before  # new state, not a changed one
    np.testing.assert_allclose(first[0], 0.5 * x.mean(axis=0))
    _, _, second = chain.forward(params, x, Context(state=first))
    np.testing.assert_allclose(second[0], 0.75 * x.mean(axis=0))
    _, _, unchanged = chain.forward(params, x, Context(training=False, state=second))
    np.testing.assert_array_equal(unchanged[0], second[0])


def test_mode_masks_and_generator_reach_every_layer():
    chain = custom_chain()
    params, state, _ = chain.init(np.random.default_rng(0), (5,))
    x = np.random.default_rng(1).normal(size=(6, 5))
    train, infer = (chain.forward(params, x, Context(training=on, state=state))[0] for on in (True, False))
    assert not np.allclose(train, infer)
    masks = MappingProxyType({"keep": np.array([0.0, 0.0, 1.0, 1.0])})
    masked, _, _ = chain.forward(params, x, Context(state=state, masks=masks))
    np.testing.assert_allclose(masked, np.broadcast_to(params[-1]["bias"], (6, 3)))
    drawn = [chain.forward(params, x, Context(rng=np.random.default_rng(s)))[0] for s in (3, 3, 4)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2])


@pytest.mark.parametrize("training", [True, False])
def test_the_pullback_of_a_chain_of_any_layers_is_the_derivative_of_its_forward(training):
    chain = custom_chain()
    params, state, _ = chain.init(np.random.default_rng(0), (5,))
    rng = np.random.default_rng(2)
    x, cotangent = rng.normal(size=(6, 5)), rng.normal(size=(6, 3))
    context = Context(training=training, state=state, masks={"keep": np.array([0.5, 2.0, 1.0, 1.0])})
    _, residuals, _ = chain.forward(params, x, context)
    gradient, x_cotangent = chain.pullback(params, residuals, cotangent)
    leaves = [leaf for _, leaf in tree.leaves(params)]

    def along(position, index):
        moved = [leaf.astype(complex) for leaf in leaves]
        moved_x = x.astype(complex)
        target = moved_x if position is None else moved[position]
        target[index] += 1e-200j
        out, _, _ = chain.forward(tree.restore(params, moved), moved_x, context)
        return float((out * cotangent).sum().imag / 1e-200)

    for position, (_, claim) in enumerate(tree.leaves(gradient)):
        for index in np.ndindex(np.shape(claim)):
            assert along(position, index) == pytest.approx(np.asarray(claim)[index], rel=1e-12, abs=1e-13)
    for index in np.ndindex(x.shape):
        assert along(None, index) == pytest.approx(x_cotangent[index], rel=1e-12, abs=1e-13)


def test_a_network_takes_a_chain_with_layers_of_its_own():
    base = build(mlp([4, 3, 2]))
    chain = Chain([Scale(), *base._chain.layers])
    network = Network(base.architecture, chain, False)
    assert not chain.encloses
    params, _, shape = chain.init(np.random.default_rng(0), (4,))
    assert shape == (2,)
    x = np.random.default_rng(1).normal(size=(3, 4))
    loss = network.cost(params, x, np.zeros((3, 2)))
    assert loss == base.cost(params[1:], 2 * x, np.zeros((3, 2)))


def test_traces_of_layers_that_have_none_are_none():
    chain = Chain([Scale(), DenseLayer(Dense(2, "tanh")), RunningMean()])
    params, _, _ = chain.init(np.random.default_rng(0), (3,))
    x = np.random.default_rng(1).normal(size=(4, 3))
    _, residuals, _ = chain.forward(params, x, Context())
    first, dense, last = chain.trace(params, residuals, np.ones((4, 2)))
    assert first is None
    assert last is None
    assert isinstance(dense, LayerTrace)
    assert Trace([first, dense, last]).deltas[::2] == [None, None]


def test_the_wrong_number_of_parameters_is_not_passed_over():
    chain = Chain([Scale(), Scale()])
    with pytest.raises(ValueError, match="zip"):
        chain.forward([np.array(1.0)], np.ones((1, 1)), Context())


def test_architectures_that_cannot_be_built_say_so():
    with pytest.raises(ArchitectureError, match="skip connection adds"):
        build(Architecture((2,), (Skip((Dense(3),)),)))


def test_the_context_reaches_every_layer():
    from bpcheck.reference.layers.chain import Chain
    from bpcheck.reference.layers.dense import DenseLayer
    from bpcheck.reference.layers.layer import Context
    from bpcheck.reference.network import Network

    seen = []

    class Recording(DenseLayer):
        def forward(self, params, x, context):
            seen.append((context.training, context.state, sorted(context.masks)))
            return super().forward(params, x, context)

    architecture = mlp([2, 3, 1])
    network = Network(architecture, Chain([Recording(spec) for spec in architecture.layers]), False)
    params = network.init(np.random.default_rng(0))
    assert network.init_state(np.random.default_rng(0)) == [None, None]
    context = Context(training=False, state=["a", "b"], masks={"padding": 1})
    x, y = np.ones((2, 2)), np.zeros((2, 1))
    network.loss(params, x, y, context=context)
    network.gradient(params, x, y, context=context)
    network.trace(params, x, y, context=context)
    assert seen == [(False, state, ["padding"]) for state in ("a", "b")] * 3
