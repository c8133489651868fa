"""Convolution and flattening in the reference: held against plain loops, the complex step, and their own bounds."""

import itertools

import numpy as np
import pytest
from choosing import some

import bpcheck
from bpcheck import Architecture, check_every_entry, numeric, reference, tree
from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, Skip
from bpcheck.reference.layers.convolution import error_below, laid_out
from bpcheck.reference.layers.kinds import layer_of
from bpcheck.reference.layers.layer import Context
from bpcheck.reference.numbers.ball import Ball, unit_roundoff
from bpcheck.reference.numbers.variance import Noisy, Rounding
from bpcheck.reference.numbers.verbs import contracted, dilated, padded, rearranged, windows

U = unit_roundoff(np.float64)

NETWORKS = {
    "1-D, stride and padding": Architecture(
        (2, 7),
        (
            Conv1d(3, 3, stride=2, padding=1, activation="tanh"),
            Conv1d(2, 2, activation="relu"),
            Flatten(),
            Dense(2, "sigmoid"),
        ),
    ),
    "2-D, not square, in a skip": Architecture(
        (2, 5, 4),
        (
            Conv2d(2, (3, 2), stride=(2, 1), padding=(1, 2), activation="gelu"),
            Skip((Conv2d(2, 3, padding=1, activation="tanh"),)),
            Conv2d(2, 2, stride=3),
            Flatten(),
            Dense(3, "softmax"),
        ),
        loss="cross_entropy",
        l2=0.3,
    ),
    "a stride that leaves a border out": Architecture(
        (1, 6, 6), (Conv2d(2, 2, stride=3), Flatten()), reduction="sum"
    ),
    "a kernel smaller than its stride": Architecture((1, 8), (Conv1d(1, 2, stride=3, padding=2), Flatten())),
}


def problem(architecture, batch=3, seed=0):
    rng = np.random.default_rng(seed)
    network = reference.build(architecture)
    shapes = network.init(rng)
    params = tree.restore(shapes, [rng.normal(size=leaf.shape) for _, leaf in tree.leaves(shapes)])
    y = np.eye(architecture.outputs)[rng.integers(architecture.outputs, size=batch)]
    return network, params, rng.normal(size=(batch, *architecture.input_shape)), y


def by_loops(x, weight, bias, stride, padding):
    """The definition, one number at a time."""
    axes = x.ndim - 2
    sizes = [
        (n + 2 * p - k) // s + 1
        for n, p, k, s in zip(x.shape[2:], padding, weight.shape[2:], stride, strict=True)
    ]
    z = np.zeros((len(x), len(weight), *sizes))
    for m, o, *place in itertools.product(range(len(x)), range(len(weight)), *map(range, sizes)):
        z[(m, o, *place)] = bias[o]
        for c, *q in itertools.product(range(x.shape[1]), *map(range, weight.shape[2:])):
            at = [place[a] * stride[a] + q[a] - padding[a] for a in range(axes)]
            if all(0 <= i < n for i, n in zip(at, x.shape[2:], strict=True)):
                z[(m, o, *place)] += weight[(o, c, *q)] * x[(m, c, *at)]
    return z


@pytest.mark.parametrize(
    "spec",
    [
        Conv1d(2, 3),
        Conv1d(2, 3, stride=2, padding=2),
        Conv2d(2, (2, 3), stride=(3, 1), padding=(0, 2)),
        Conv2d(1, 1, stride=2),
    ],
    ids=repr,
)
def test_the_forward_pass_is_the_definition(spec):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 3, 6, 5)[: 2 + spec.axes])
    params = {
        "weight": rng.normal(size=(spec.channels, 3, *spec.per_axis[0])),
        "bias": rng.normal(size=spec.channels),
    }
    z, _, _ = layer_of(spec).forward(params, x, Context())
    right = by_loops(x, params["weight"], params["bias"], *spec.per_axis[1:])
    np.testing.assert_allclose(z, right, rtol=0, atol=64 * U * np.abs(right).max())
    flipped, _, _ = layer_of(spec).forward({**params, "weight": params["weight"][:, ::-1]}, x, Context())
    assert not np.allclose(flipped, right)


@pytest.mark.parametrize("name", some(NETWORKS, default=lambda name: name == "1-D, stride and padding"))
def test_the_gradient_is_that_of_the_complex_step_and_lies_in_its_own_ball(name):
    network, params, x, y = problem(NETWORKS[name])
    gradient = dict(tree.leaves(network.gradient(params, x, y)))
    measured = numeric.complex_step(
        lambda p: network.cost(p, x, y), params, rng=np.random.default_rng(0)
    ).gradient
    enclosure = network.enclose(params, x, y)
    for path, ball in enclosure.gradient.items():
        size = np.abs(measured[path]).max()
        assert np.all(np.abs(gradient[path] - measured[path]) <= ball.rad + 16 * U * size)
        assert ball.rad.max() <= 1e-8 * size  # narrow enough to say something


def test_a_flipped_kernel_in_the_error_sent_down_leaves_the_ball():
    spec = Conv1d(2, 3, padding=1)
    rng = np.random.default_rng(0)
    weight, delta = rng.normal(size=(2, 2, 3)), rng.normal(size=(1, 2, 5))
    right = error_below(Ball.exact(weight, U), Ball.exact(delta, U), spec, (1, 2, 5))
    wrong = error_below(weight[:, :, ::-1], delta, spec, (1, 2, 5))
    assert np.all(np.abs(error_below(weight, delta, spec, (1, 2, 5)) - right.mid) <= right.rad)
    assert np.any(np.abs(wrong - right.mid) > 1e6 * right.rad)


@pytest.mark.parametrize("name", list(NETWORKS)[:2])
def test_float32_stays_within_what_the_variance_model_says(name):
    network, params, x, y = problem(NETWORKS[name])
    single = tree.restore(params, [leaf.astype(np.float32) for _, leaf in tree.leaves(params)])
    x, y = x.astype(np.float32), y.astype(np.float32)
    _, noisy = network.noisy(single, x, y)
    gradient = dict(tree.leaves(network.gradient(single, x, y)))
    for path, model in noisy.items():
        known = model.deviation > 0
        assert gradient[path].dtype == np.float32
        assert np.all(np.abs(gradient[path] - model.value)[known] <= 6 * model.deviation[known])
        assert np.all(model.deviation <= 1e-4 * np.abs(model.value).max())
        # a factor of 1.001 is far outside
        assert np.any(np.abs(1.001 * model.value - model.value)[known] > 6 * model.deviation[known])


@pytest.mark.parametrize("name", some(NETWORKS, default=lambda name: name == "1-D, stride and padding"))
def test_every_entry_is_checked_and_one_wrong_digit_seen(name):
    network, params, x, y = problem(NETWORKS[name])
    right = network.gradient(params, x, y)
    assert check_every_entry(network, params, x, y, gradient=right, seed=0).verdict.name == "AGREES"
    wrong = tree.copy(right)
    wrong[0]["weight"].flat[1] += 1e-6 * np.abs(wrong[0]["weight"]).max()
    assert check_every_entry(network, params, x, y, gradient=wrong, seed=0).verdict.name == "DISAGREES"


@pytest.mark.parametrize(
    "name", some(list(NETWORKS)[:3], default=lambda name: name == "1-D, stride and padding")
)
def test_what_a_parameter_touches_is_bounded_as_it_is_computed(name):
    network, params, x, y = problem(NETWORKS[name])
    every = reference.Perturbations(network, params, x, y)
    bound = every.rounding()
    right = numeric.complex_step(
        lambda p: network.cost(p, x, y), params, rng=np.random.default_rng(0)
    ).gradient
    seen = {path: np.zeros(leaf.shape, dtype=int) for path, leaf in right.items()}
    for runs, imaginary in every.blocks():
        start = 0
        for path, index, count in runs:
            found = np.ravel(right[path][index])
            error = np.abs(imaginary[start : start + count] / every.step - found)
            assert np.all(error <= np.ravel(bound[path][index]) + 16 * U * np.abs(right[path]).max())
            seen[path][index] += 1
            start += count
    assert all((times == 1).all() for times in seen.values())  # every parameter once


def test_flattening_keeps_the_order_and_gives_it_back():
    layer, x = layer_of(Flatten()), np.arange(12.0).reshape(2, 2, 3)
    y, shape, _ = layer.forward({}, x, Context())
    assert y.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert np.array_equal(layer.pullback({}, shape, y)[1], x)


VERBS = {
    "a view": lambda n: rearranged(n, lambda array: array.transpose(0, 2, 1)),
    "zeros around": lambda n: padded(n, [(0, 0), (1, 0), (0, 2)]),
    "zeros between": lambda n: dilated(n, [2, 3], first=1),
    "places of a kernel": lambda n: windows(n, [2, 2], [1, 2], first=1),
    "a product": lambda n: contracted("mcx,ocx->mo", n, np.linspace(-1, 1, 24).reshape(2, 3, 4)),
    "a product from the left": lambda n: contracted(
        "ocx,mcx->om", np.linspace(-1, 1, 24).reshape(2, 3, 4), n
    ),
    "a sum": lambda n: n.sum(axis=(0, 2)),
}


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_does_the_same_to_every_kind_of_number(name):
    verb, x = VERBS[name], np.random.default_rng(0).normal(size=(2, 3, 4))
    plain, ball = verb(x), verb(Ball.exact(x, U))
    noisy, moved = verb(Noisy.exact(x, Rounding.of("float32"))), verb(x + 1j)
    assert np.all(np.abs(ball.mid - plain) <= ball.rad)
    assert np.all(np.abs(noisy.value - plain) <= 8 * U * np.abs(plain).max())
    np.testing.assert_allclose(moved.real, plain, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "numbers", [Ball.exact(np.ones(2), U), Noisy.exact(np.ones(2), Rounding.of("float32"))]
)
@pytest.mark.parametrize(
    "careless", [lambda n: np.pad(n, 1), lambda n: np.stack([n, n]), lambda n: np.where(True, n, 0)]
)
def test_numbers_with_bounds_do_not_become_arrays_in_silence(numbers, careless):
    with pytest.raises(TypeError, match=r"use the verbs of bpcheck\.reference\.numbers\.verbs"):
        careless(numbers)


def test_what_the_kernel_sees_of_perturbations_keeps_them_behind_the_places():
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 4))
    spec = Conv1d(1, 3, stride=2)
    together = laid_out(x, spec)
    assert together.shape == (2, 3, 2, 4, 3)
    assert all(np.array_equal(together[:, :, :, k], laid_out(x[..., k], spec)) for k in range(4))


def test_rows_may_be_flattened_between_dense_layers():
    """Where one unit alone has moved, below a flattening that changes nothing."""
    layers = (Dense(4, "tanh"), Flatten(), Skip((Flatten(),)), Skip((Flatten(), Dense(4))), Dense(2))
    network, params, x, y = problem(Architecture((3,), layers))
    right = network.gradient(params, x, y)
    assert check_every_entry(network, params, x, y, gradient=right, seed=0).verdict.name == "AGREES"
    wrong = tree.mapped(lambda g: g.copy(), right)
    wrong[0]["weight"][2, 1] *= 1.001
    report = check_every_entry(network, params, x, y, gradient=wrong, seed=0)
    assert [c.path for c in report.comparisons if c.verdict.name == "DISAGREES"] == ["params[0]['weight']"]


def by_fourier_transform(params, x, y):
    """Right code: the gradient of the kernel by way of Fourier transforms, which leave rounding where all products are 0."""
    weight, bias = params[0]["weight"], params[0]["bias"]
    a = np.maximum(by_loops(x, weight, bias, (1,), (0,)), 0)
    residual = a.reshape(len(x), -1) - y
    delta = (residual / len(x)).reshape(a.shape) * (a > 0)
    spectra = np.fft.rfft(delta, 16).conj(), np.fft.rfft(x, 16)
    kernel = np.fft.irfft(np.einsum("mof,mcf->ocf", *spectra), 16)[..., : weight.shape[-1]]
    gradient = [{"weight": kernel, "bias": delta.sum(axis=(0, 2))}, {}]
    return 0.5 * np.sum(residual**2) / len(x), gradient


@pytest.mark.parametrize("off", [0.0, 1e-12])
def test_a_gradient_by_fourier_transforms_is_right_also_where_its_products_are_all_zero(off):
    network = Architecture((2, 7), (Conv1d(2, 2, activation="relu"), Flatten()))
    x = np.zeros((1, 2, 7))
    x[0, :, 0] = 1.3, 0.7  # the second entry of a kernel never meets it
    params = [{"weight": [[[0.3, -0.2], [0.7, 0.1]], [[0.5, 0.4], [-0.6, 0.9]]], "bias": [0.31, 0.17]}, {}]
    case = bpcheck.Case(network, params, x, np.linspace(0.1, 1.2, 12)[None])

    def subject(params, x, y):
        loss, gradient = by_fourier_transform(params, x, y)
        gradient[0]["weight"][0, 0, 1] += off
        return loss, gradient

    assert by_fourier_transform(case.params, case.x, case.y)[1][0]["weight"][
        ..., 1
    ].any()  # rounding, and not 0
    assert bpcheck.compare(subject, cases=case, seed=0).ok is (off == 0)
