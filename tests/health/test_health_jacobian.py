"""The Jacobians and their products are the derivatives of the network itself, by the complex step."""

import numpy as np
import pytest
from choosing import product

from bpcheck import Architecture, Case, gradient_health, mlp
from bpcheck.errors import InputError
from bpcheck.network.layers import Conv2d, Dense, Flatten, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.reference import build, jacobian
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.layers.dense import DenseLayer
from bpcheck.reference.network import TRAINING
from bpcheck.strategies.values import case_from_seed

STEP = 1e-60  # h² is far below the last bit, and nothing is subtracted: the derivative is right to rounding
NETWORKS = {
    "chain": mlp([3, 4, 5, 2], activation="tanh"),
    "relu": mlp([3, 6, 5, 4, 2], activation="relu", loss="cross_entropy"),
    "softmax inside": mlp([3, 4, 3, 2], activation="softmax"),
    "sigmoid output": mlp([3, 4, 2], activation="gelu", output="sigmoid"),
    "skip": Architecture((3,), (Dense(4, "tanh"), Skip((Dense(4, "sigmoid"),)), Dense(2)), "mse"),
    "skips in a row": Architecture(
        (3,), (*[Skip((Dense(5, "relu"), Dense(3)))] * 3, Dense(2, "tanh")), "huber"
    ),
    "nested": Architecture(
        (3,), (Dense(3, "silu"), Skip((Dense(2, "sigmoid"), Skip((Dense(2, "softmax"),)), Dense(3)))), "mse"
    ),
    "one layer": mlp([3, 2]),
    **{name: mlp([2, 3, 3, 2], activation=name) for name in ACTIVATIONS},
}


def cut_of(architecture, seed=3):
    case = case_from_seed(architecture, 4, seed)
    network = build(architecture)
    return network, case, jacobian.nodes(network, case.params, case.x, case.y)


def s_values(network, params, x):
    """s of every layer: z of a dense one, the output of a skip connection."""
    found, a = [], x
    for layer, own in zip(network.chain.layers, params, strict=True):
        before = a
        a, _, _ = layer.forward(own, before, TRAINING)
        found.append(before @ own["weight"].T + own["bias"] if isinstance(layer, DenseLayer) else a)
    return found


def from_node(network, params, k, s):
    """The last s as a function of s^k, by the forward pass alone."""
    layers = network.chain.layers
    a = ACTIVATION[layers[k].spec.activation].value(s) if isinstance(layers[k], DenseLayer) else s
    for layer, own in zip(layers[k + 1 :], params[k + 1 :], strict=True):
        before = a
        a, _, _ = layer.forward(own, before, TRAINING)
        s = before @ own["weight"].T + own["bias"] if isinstance(layer, DenseLayer) else a
    return s


def by_complex_step(network, params, k, s):
    columns = []
    for j in range(s.shape[1]):
        moved = s.astype(complex)
        moved[:, j] += 1j * STEP
        columns.append(from_node(network, params, k, moved).imag / STEP)
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_products_are_the_derivatives_of_the_network_from_each_layer_to_the_last(name):
    network, case, cut = cut_of(NETWORKS[name])
    products = jacobian.products(jacobian.step_jacobians(cut, examples=4))
    assert len(products) == len(cut) - 1
    s = s_values(network, case.params, case.x)
    for k, cut_product in enumerate(products):
        expected = by_complex_step(network, case.params, k, s[k])
        # twenty roundings or so of numbers of the size of the largest entry
        assert abs(cut_product - expected).max() <= 1e-13 * max(1.0, abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_the_error_goes_down_by_the_transposed_jacobian(name):
    _, _, cut = cut_of(NETWORKS[name])
    for low, high, j in zip(cut[:-1], cut[1:], jacobian.step_jacobians(cut, examples=4), strict=True):
        carried = np.einsum("mij,mi->mj", j, high.error)
        assert np.allclose(low.error, carried, rtol=1e-12, atol=1e-13 * abs(carried).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_errors_and_gradients_are_those_of_the_network(name):
    network, case, cut = cut_of(NETWORKS[name])
    gradient, trace = (
        network.gradient(case.params, case.x, case.y),
        network.trace(case.params, case.x, case.y),
    )

    def flat(node, kind):
        return [leaf for one in node for leaf in flat(one, kind)] if isinstance(node, list) else [node]

    deltas = flat(trace.deltas, "delta")
    flows = [flow for node in cut for flow in node.dense]
    assert len(deltas) == len(flows)
    for flow, delta in zip(flows, deltas, strict=True):
        assert np.array_equal(flow.delta, delta)
        own = eval(str(flow.path), {"params": gradient})
        assert np.array_equal(flow.weight_gradient, own["weight"])
        assert np.array_equal(flow.bias_gradient, own["bias"])


def test_penalties_are_left_out():
    plain, penalised = mlp([2, 3, 1]), mlp([2, 3, 1], l2=5.0)
    case = case_from_seed(plain, 3, 0)
    a = jacobian.nodes(build(plain), case.params, case.x, case.y)
    b = jacobian.nodes(build(penalised), case.params, case.x, case.y)
    assert np.array_equal(a[0].dense[0].weight_gradient, b[0].dense[0].weight_gradient)


def test_a_skip_connection_adds_one():
    weight = np.array([[0.5, -1.0], [2.0, 0.25]])
    one = {"weight": weight, "bias": np.zeros(2)}
    architecture = Architecture((2,), (Dense(2), Skip((Dense(2),)), Skip((Dense(2), Dense(2)))))
    case = Case(architecture, [one, [one], [one, one]], [[1.0, 2.0]], [[0.0, 0.0]])
    cut = jacobian.nodes(build(architecture), case.params, case.x, case.y)
    first, second = jacobian.step_jacobians(cut, examples=1)
    assert np.array_equal(first[0], np.eye(2) + weight)
    assert np.array_equal(second[0], np.eye(2) + weight @ weight)
    assert np.array_equal(jacobian.products([first, second])[0][0], second[0] @ first[0])


def test_at_zero_a_sigmoid_passes_a_quarter_and_never_more():
    architecture = mlp([3, 3, 3], activation="sigmoid")
    rng = np.random.default_rng(0)
    params = [{"weight": rng.normal(size=(3, 3)), "bias": np.zeros(3)} for _ in range(2)]
    for x, equal in ((np.zeros((2, 3)), True), (rng.normal(size=(2, 3)), False)):
        cut = jacobian.nodes(build(architecture), params, x, np.ones((2, 3)))
        (j,) = jacobian.step_jacobians(cut, examples=2)
        largest = np.linalg.norm(params[1]["weight"], 2) / 4
        norms = jacobian.spectral_norms(j)
        assert np.allclose(norms, largest, rtol=1e-14) if equal else (norms < largest).all()


def test_the_norm_of_the_product_is_not_the_product_of_the_norms():
    # two projections on directions at a right angle: each passes 1, together nothing
    a, b = np.array([[[1.0, 0.0], [0.0, 0.0]]]), np.array([[[0.0, 0.0], [0.0, 1.0]]])
    assert jacobian.spectral_norms(a) == jacobian.spectral_norms(b) == 1.0
    assert jacobian.spectral_norms(jacobian.products([a, b])[0]) == 0.0


THEORY = {
    "equal widths": (mlp([30, 30, 30], activation="relu"), 0.05),
    "wider above": (mlp([30, 20, 60], activation="relu"), 0.05),
    "narrower above": (mlp([30, 60, 20], activation="tanh"), 0.05),
    "a skip connection": (
        Architecture((30,), (Dense(30, "relu"), Skip((Dense(30, "relu"),)), Dense(30))),
        0.05,
    ),
    "softmax below": (mlp([30, 30, 30], activation="softmax"), 0.05),
}


@pytest.mark.parametrize(
    ("size", "shape"), product([1e-300, 1e-160, 1.0, 1e160, 1e300], [(5, 5), (1, 7), (7, 3), (40, 60)])
)
def test_norms_are_largest_singular_values_at_every_scale(shape, size):
    matrices = size * np.random.default_rng(0).normal(size=(6, *shape))
    matrices[1] = 0.0
    matrices[2, 0, 0] = np.nan
    norms = jacobian.spectral_norms(matrices)
    assert norms[1] == 0.0
    assert np.isnan(norms[2])
    others = [0, 3, 4, 5]
    right = np.linalg.svd(matrices[others] / size, compute_uv=False)[:, 0] * size
    assert np.allclose(norms[others], right, rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("name", THEORY)
def test_theory_expects_what_many_draws_average_to(name):
    # The targets are large so that the last error, z − y, hardly depends on the last weights: of independent weights
    # theory speaks. Of 400 draws the mean is good to 1 or 2 %.
    architecture, within = THEORY[name]
    network, rng = build(architecture), np.random.default_rng(0)
    x, y = rng.normal(size=(8, 30)), 1e3 * rng.normal(size=(8, architecture.outputs))
    seen, theory = [], []
    for _ in range(400):
        low, high, *_ = jacobian.nodes(network, network.init(rng), x, y)
        seen.append(np.mean(low.error**2) / np.mean(high.error**2))
        theory.append(jacobian.expected_factors([low, high])[0] ** 2)
    assert np.mean(theory) == pytest.approx(np.mean(seen), rel=within)


IMAGES = (Conv2d(3, 2, activation="relu"), Flatten(), Dense(2))


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        (IMAGES, r"Conv2d\(3, 2, activation='relu'\)"),
        ((Skip((Conv2d(1, 1),)), Flatten(), Dense(2)), r"Conv2d\(1, 1\)"),
    ],
)
def test_a_network_with_other_layers_is_refused_by_name_and_its_gradient_taken(layers, named):
    architecture = Architecture((1, 3, 3), layers)
    with pytest.raises(
        InputError, match=rf"^gradient_health\(\) does not know the layer {named}; it knows Dense, Skip\."
    ):
        gradient_health(architecture, seed=0)
    # what the sentence says to do instead
    case = case_from_seed(architecture, 4, 0)
    health = gradient_health(gradients=build(architecture).gradient(case.params, case.x, case.y))
    assert len(health.tensors) == 4
