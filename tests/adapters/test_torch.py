"""PyTorch modules as subjects: autograd and our four equations agree, and wrong backwards are caught."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

import bpcheck
from bpcheck import mlp, tree
from bpcheck.adapters.torch import from_torch, parameters
from bpcheck.errors import InputError
from bpcheck.reference import build

pytestmark = pytest.mark.torch

ACTIVATIONS = {
    "identity": "Identity",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "gelu": "GELU",
    "silu": "SiLU",
}
LOSSES = {
    "half_mse": lambda _: lambda a, y: 0.5 * ((a - y) ** 2).sum() / len(y),
    "mse": lambda nn: nn.MSELoss(),
    "cross_entropy": lambda nn: nn.CrossEntropyLoss(),
    "binary_cross_entropy": lambda nn: lambda z, y: nn.BCEWithLogitsLoss(reduction="sum")(z, y) / len(y),
    "huber": lambda nn: lambda a, y: nn.HuberLoss(reduction="sum")(a, y) / len(y),
}
WIDTHS = [4, 6, 5, 3]


@pytest.fixture(scope="module")
def torch():
    import torch  # missing is a failure of this tier, not a skip

    return torch


@pytest.fixture(scope="module")
def nn(torch):
    return torch.nn


@pytest.fixture
def rng():
    return np.random.default_rng(20260101)


def sequential(nn, widths, activation):
    """Linear layers of these widths with an activation between them, none at the output."""
    pieces = []
    for before, after in pairwise(widths):
        pieces += [nn.Linear(before, after), activation()]
    return nn.Sequential(*pieces[:-1])


def draw(rng, architecture, batch=7):
    """Parameters that are nonzero everywhere, inputs on both sides of zero, targets that the loss takes."""
    params = [
        {"weight": rng.normal(0, 0.7, shapes["weight"]), "bias": rng.normal(0, 0.5, shapes["bias"])}
        for shapes in architecture.parameter_shapes
    ]
    x = rng.normal(0, 1.5, (batch, architecture.input_shape[0]))
    shape = (batch, architecture.outputs)
    if architecture.loss == "cross_entropy":
        y = rng.dirichlet(np.ones(shape[1]), size=batch)
    elif architecture.loss == "binary_cross_entropy":
        y = rng.uniform(0, 1, shape)
    else:
        y = rng.normal(0, 2, shape)
    return params, x, y


def assert_within(answer, enclosure):
    """Both are implementations of one function: each lies within the radius, so they differ by twice that."""
    for path, gradient in tree.leaves(answer.gradient):
        ball = enclosure.gradient[path]
        assert gradient.shape == ball.mid.shape
        assert np.all(abs(gradient - ball.mid) <= 2 * (ball.rad + ball.kink)), path
    assert abs(answer.loss - enclosure.loss.mid) <= 2 * (enclosure.loss.rad + enclosure.loss.kink)


def test_importing_the_adapter_does_not_import_torch():
    code = (
        "import sys, bpcheck.adapters.torch, bpcheck; bpcheck.from_torch; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "softplus"])
def test_autograd_and_the_four_equations_agree_within_the_rounding_bound(nn, rng, activation, loss):
    # PyTorch's softplus is by default the identity from z = 20 on, wrong by 2e-9 there; 40 is exact enough.
    make = (
        (lambda: nn.Softplus(threshold=40))
        if activation == "softplus"
        else getattr(nn, ACTIVATIONS[activation])
    )
    architecture = mlp(WIDTHS, activation=activation, loss=loss)
    subject = from_torch(sequential(nn, WIDTHS, make), LOSSES[loss](nn))
    params, x, y = draw(rng, architecture)
    enclosure = build(architecture).enclose(params, x, y)
    assert max(np.max(ball.rad) for ball in enclosure.gradient.values()) < 1e-9
    assert_within(subject.answer(params, x, y), enclosure)
    assert subject.loss(params, x, y) == subject.answer(params, x, y).loss


def test_a_gradient_that_is_wrong_in_one_digit_leaves_the_bound(nn, rng):
    architecture = mlp(WIDTHS)
    params, x, y = draw(rng, architecture)
    answer = from_torch(sequential(nn, WIDTHS, nn.Tanh), LOSSES["half_mse"](nn)).answer(params, x, y)
    answer.gradient[1]["weight"][2, 3] *= 1 + 1e-8
    with pytest.raises(AssertionError, match="weight"):
        assert_within(answer, build(architecture).enclose(params, x, y))


def test_float32_parameters_are_computed_in_float32(nn, rng):
    architecture = mlp(WIDTHS)
    params, x, y = draw(rng, architecture)
    narrow = [{name: array.astype(np.float32) for name, array in layer.items()} for layer in params]
    x, y = x.astype(np.float32), y.astype(np.float32)
    module = sequential(nn, WIDTHS, nn.Tanh).double()
    answer = from_torch(module, LOSSES["half_mse"](nn)).answer(narrow, x, y)
    assert {gradient.dtype for _, gradient in tree.leaves(answer.gradient)} == {np.dtype(np.float32)}
    enclosure = build(architecture).enclose(narrow, x, y, dtype=np.float32)
    assert_within(answer, enclosure)
    assert next(module.parameters()).dtype.itemsize == 8


def test_parameters_are_copies_in_float64_and_leave_frozen_ones_out(nn, torch):
    module = sequential(nn, [2, 3, 1], nn.Tanh)
    module[0].bias.requires_grad_(False)
    found = parameters(module)
    assert list(found) == ["0.weight", "2.weight", "2.bias"]
    assert {array.dtype for array in found.values()} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(found["0.weight"], module[0].weight.detach().numpy())
    found["0.weight"][:] = 7
    assert not (module[0].weight == 7).any()
    assert parameters(module, dtype=np.float32)["2.bias"].dtype == np.float32
    assert parameters(nn.Linear(2, 1).to(torch.bfloat16))["weight"].dtype == np.float64


def test_names_and_layers_give_the_same_gradient(nn, rng):
    subject = from_torch(sequential(nn, WIDTHS, nn.ReLU), nn.MSELoss())
    params, x, y = draw(rng, mlp(WIDTHS))
    # biases first: the keys decide, not their order
    layers = [{"bias": layer["bias"], "weight": layer["weight"]} for layer in params]
    names = {f"{2 * i}.{key}": array for i, layer in enumerate(params) for key, array in layer.items()}
    by_layer, by_name = subject.answer(layers, x, y), subject.answer(names, x, y)
    assert by_layer.loss == by_name.loss
    assert [list(layer) for layer in by_layer.gradient] == [["bias", "weight"]] * 3
    for i, layer in enumerate(by_layer.gradient):
        for key, gradient in layer.items():
            np.testing.assert_array_equal(gradient, by_name.gradient[f"{2 * i}.{key}"])


def test_nothing_of_the_caller_changes(nn, torch, rng):
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    module[0].eval()
    module(torch.ones(2, 4)).sum().backward()
    values = {name: value.clone() for name, value in module.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in module.parameters()]
    modes = [inner.training for inner in module.modules()]
    random_state, dtype = torch.get_rng_state(), torch.get_default_dtype()

    subject, params = from_torch(module, nn.MSELoss()), parameters(module)
    before = tree.copy(params)
    x, y = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    x.setflags(write=False)
    first, second = subject.answer(params, x, y), subject.answer(params, x, y)

    assert first.loss == second.loss == subject.loss(params, x, y)
    assert not np.array_equal(first.gradient["0.weight"], 0 * first.gradient["0.weight"])
    assert all(torch.equal(value, values[name]) for name, value in module.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(module.parameters(), gradients, strict=True))
    assert [inner.training for inner in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.get_default_dtype() == dtype
    assert all(np.array_equal(params[name], before[name]) for name in params)


def test_later_changes_of_the_module_do_not_reach_the_subject(nn, torch):
    module = nn.Sequential(nn.Linear(2, 1))
    module[0].bias.requires_grad_(False)
    subject, params = from_torch(module, nn.MSELoss()), parameters(module)
    x, y = np.ones((3, 2)), np.zeros((3, 1))
    before = subject.loss(params, x, y)
    with torch.no_grad():
        module[0].bias += 10
    assert subject.loss(params, x, y) == before


@pytest.mark.parametrize("context", ["no_grad", "inference_mode"])
def test_gradients_come_even_where_the_caller_has_switched_them_off(nn, torch, context):
    module = nn.Linear(2, 1)
    subject, params = from_torch(module, nn.MSELoss()), parameters(module)
    with getattr(torch, context)():
        answer = subject.answer(params, np.ones((3, 2)), np.zeros((3, 1)))
    assert answer.gradient["weight"].shape == (1, 2)


def test_tensors_made_inside_the_module_get_the_dtype_of_the_check(nn, torch):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.RNNCell(2, 3)

        def forward(self, x):
            h = torch.zeros(len(x), 3)
            for t in range(x.shape[1]):
                h = self.cell(x[:, t], h)
            return h

    module = Recurrent()
    x, y = np.ones((4, 2, 2)), np.zeros((4, 3))
    answer = from_torch(module, nn.MSELoss()).answer(parameters(module), x, y)
    assert {gradient.dtype for gradient in answer.gradient.values()} == {np.dtype(np.float64)}


def test_class_indices_and_class_weights(nn, torch):
    module = nn.Linear(2, 3)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
    answer = from_torch(module, loss).answer(parameters(module), np.ones((4, 2)), np.array([0, 1, 2, 1]))
    assert np.isfinite(answer.loss)
    assert loss.weight.dtype == torch.float32


def test_tied_weights_are_one_parameter(nn):
    module = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    module[2].weight = module[0].weight
    assert list(parameters(module)) == ["0.weight", "0.bias", "2.bias"]
    params = parameters(module)
    gradient = from_torch(module, nn.MSELoss()).answer(params, np.eye(3), np.ones((3, 3))).gradient
    # the sum over the two places: what an untied copy gives for each
    untied = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    apart = from_torch(untied, nn.MSELoss()).answer(
        {**params, "2.weight": params["0.weight"]}, np.eye(3), np.ones((3, 3))
    )
    np.testing.assert_allclose(
        gradient["0.weight"], apart.gradient["0.weight"] + apart.gradient["2.weight"], rtol=1e-13, atol=1e-15
    )


class TestMissingGradients:
    def test_an_unused_parameter_has_gradient_none(self, nn):
        module = with_a_spare_parameter(nn)
        answer = from_torch(module, nn.MSELoss()).answer(
            parameters(module), np.ones((3, 2)), np.zeros((3, 1))
        )
        assert answer.gradient["spare.weight"] is None
        assert answer.gradient["used.weight"].shape == (1, 2)

    def test_a_frozen_parameter_that_is_asked_for_has_gradient_none(self, nn):
        module = sequential(nn, [2, 3, 1], nn.Tanh)
        params = [
            {"weight": np.ones((3, 2)), "bias": np.ones(3)},
            {"weight": np.ones((1, 3)), "bias": np.ones(1)},
        ]
        module[0].weight.requires_grad_(False)
        gradient = from_torch(module, nn.MSELoss()).answer(params, np.ones((3, 2)), np.zeros((3, 1))).gradient
        assert gradient[0]["weight"] is None
        assert gradient[0]["bias"] is not None

    def test_a_loss_that_left_the_graph_gives_none_everywhere(self, nn):
        module = nn.Linear(2, 1)
        subject = from_torch(module, lambda a, y: ((a.detach() - y) ** 2).mean())
        answer = subject.answer(parameters(module), np.ones((3, 2)), np.zeros((3, 1)))
        assert answer.gradient == {"weight": None, "bias": None}
        report = bpcheck.check_gradient(subject, parameters(module), np.ones((3, 2)), np.zeros((3, 1)))
        assert report.verdict is bpcheck.Verdict.WRONG_STRUCTURE


def with_a_spare_parameter(nn):
    """A module with a parameter that its output does not depend on."""

    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(2, 1), nn.Linear(2, 1)

        def forward(self, x):
            return self.used(x)

    return Module()


class TestErrors:
    """Each message names what was given, what is needed, and how to get there."""

    @pytest.fixture
    def subject(self, nn):
        return from_torch(sequential(nn, [2, 3, 1], nn.Tanh), nn.MSELoss())

    def ask(self, subject, params):
        return subject.answer(params, np.ones((4, 2)), np.ones((4, 1)))

    def test_wrong_shape(self, subject):
        params = [
            {"weight": np.ones((5, 2)), "bias": np.ones(5)},
            {"weight": np.ones((1, 5)), "bias": np.ones(1)},
        ]
        with pytest.raises(
            InputError, match=r"params\[0\]\['weight'\] has shape \(5, 2\).*'0.weight'.*\(3, 2\)"
        ) as e:
            self.ask(subject, params)
        assert "architectures=" in str(e.value)

    def test_wrong_number_of_layers(self, subject):
        with pytest.raises(InputError, match=r"params has 1 layers, but the module has 2 .*'0', '2'"):
            self.ask(subject, [{"weight": np.ones((3, 2)), "bias": np.ones(3)}])

    def test_wrong_key_in_a_layer(self, subject):
        layers = [{"weight": np.ones((3, 2)), "bias": np.ones(3)}, {"w": np.ones((1, 3)), "bias": np.ones(1)}]
        with pytest.raises(
            InputError, match=r"params\[1\] has the keys .*missing: \['weight'\], unknown: \['w'\]"
        ):
            self.ask(subject, layers)

    def test_missing_and_unknown_names(self, subject):
        with pytest.raises(InputError, match=r"missing: \['0.bias', '0.weight'.*unknown: \['first'\]"):
            self.ask(subject, {"first": np.ones(3)})

    def test_neither_names_nor_layers(self, subject):
        with pytest.raises(InputError, match="dict of names"):
            self.ask(subject, np.ones(3))

    def test_nested_too_deeply(self, subject):
        layers = [
            {"weight": [np.ones((3, 2))], "bias": np.ones(3)},
            {"weight": np.ones((1, 3)), "bias": np.ones(1)},
        ]
        with pytest.raises(InputError, match="nested too deeply"):
            self.ask(subject, layers)

    def test_no_target(self, subject):
        with pytest.raises(InputError, match=r"\(params, x, y\)"):
            subject.answer([{"weight": np.ones((3, 2)), "bias": np.ones(3)}], np.ones((4, 2)))

    def test_loss_that_is_no_scalar(self, nn):
        module = nn.Linear(2, 1)
        with pytest.raises(InputError, match=r"tensor of shape \(4, 1\)"):
            self.ask(from_torch(module, lambda a, y: a - y), parameters(module))
        with pytest.raises(InputError, match=r"returned 1\.5"):
            self.ask(from_torch(module, lambda *_: 1.5), parameters(module))

    def test_dtypes_that_torch_has_not(self, subject):
        with pytest.raises(InputError, match="float64 or float32"):
            self.ask(subject, {"0.weight": np.ones((3, 2), dtype=np.longdouble)})
        with pytest.raises(InputError, match="arrays of real numbers"):
            subject.loss(
                [
                    {"weight": np.ones((3, 2)), "bias": np.ones(3)},
                    {"weight": np.ones((1, 3)), "bias": np.ones(1)},
                ],
                np.ones((4, 2), dtype=complex),
                np.ones((4, 1)),
            )

    def test_no_module_no_loss_no_parameters(self, nn):
        with pytest.raises(InputError, match=r"pass a torch\.nn\.Module"):
            from_torch(lambda x: x, nn.MSELoss())
        with pytest.raises(InputError, match="scalar tensor"):
            from_torch(nn.Linear(1, 1), None)
        with pytest.raises(InputError, match="no trainable parameters"):
            parameters(nn.Tanh())

    def test_a_module_that_holds_a_result(self, nn, torch):
        module = nn.Linear(2, 1)
        module.last_output = module(torch.ones(1, 2))
        with pytest.raises(InputError, match="cannot be copied"):
            from_torch(module, nn.MSELoss())

    def test_without_pytorch(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(InputError, match="pip install torch"):
            from_torch(object(), print)


def cube_module(torch, backward_factor):
    """y = (W x)³ with a backward written by hand; the right factor is 3."""

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z**3

        @staticmethod
        def backward(ctx, gradient):
            (z,) = ctx.saved_tensors
            return gradient * backward_factor * z**2

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)

        def forward(self, x):
            return self.second(Cube.apply(self.first(x)))

    return Network()


@pytest.mark.parametrize(("factor", "ok"), [(3, True), (2, False), (3 * (1 + 1e-5), False)])
def test_check_gradient_catches_a_wrong_backward_and_passes_the_right_one(torch, rng, factor, ok):
    torch.manual_seed(1)
    module = cube_module(torch, factor)
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    report = bpcheck.check_gradient(from_torch(module, torch.nn.MSELoss()), parameters(module), x, y)
    assert report.ok is ok, str(report)
    # below the faulty function the gradient is wrong, above it right
    verdicts = {comparison.path: comparison.verdict.ok for comparison in report.comparisons}
    assert verdicts["params['second.weight']"]
    assert verdicts["params['first.weight']"] is ok


def test_compare_holds_a_module_against_the_reference(nn):
    subject = from_torch(sequential(nn, WIDTHS, nn.Tanh), LOSSES["half_mse"](nn))
    assert bpcheck.compare(subject, architectures=[mlp(WIDTHS)]).ok
    assert not bpcheck.compare(subject, architectures=[mlp(WIDTHS, activation="sigmoid")]).ok


def test_the_examples_in_the_docstrings_run():
    import doctest

    import bpcheck.adapters.torch as adapter

    outcome = doctest.testmod(adapter)
    assert outcome.attempted >= 7
    assert outcome.failed == 0


@pytest.mark.parametrize("form", ["float32", "float16", "bfloat16"])
def test_a_module_is_compared_in_the_precision_asked_for(form):
    import torch
    from torch import nn

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(24, 16), nn.Tanh(), nn.Linear(16, 5))
    subject = from_torch(module, nn.MSELoss(), dtype=getattr(torch, form))
    report = bpcheck.compare(subject, architectures=bpcheck.mlp([24, 16, 5], loss="mse"), examples=6, seed=0)
    assert report.ok, str(report)
    assert report.detection_limit.maximum <= {"float32": 1e-4, "float16": 0.2, "bfloat16": 1.0}[form]
    assert any(warning.startswith(f"the answer is {form}") for warning in report.warnings)


@pytest.mark.parametrize("form", ["float32", "float16", "bfloat16"])
def test_gradients_of_torch_in_low_precision_are_checked_against_numpy(form):
    import torch

    torch.manual_seed(1)
    x, w, y = torch.randn(32, 12), torch.randn(12, 7), torch.randn(32, 7)

    def reference(w, x, y):
        a = np.tanh(x @ w)
        return x.T @ ((a - y) / len(x) * (1 - a**2))

    low = w.to(getattr(torch, form)).requires_grad_()
    cost = 0.5 * ((torch.tanh(x.to(low.dtype) @ low) - y.to(low.dtype)) ** 2).sum() / 32
    cost.backward()
    claimed = low.grad.float().numpy()
    arrays = [v.detach().double().numpy() for v in (w, x, y)]
    assert bpcheck.check_low_precision(claimed, reference, *arrays, dtype=low.dtype, seed=0).ok
    wrong = claimed.copy()
    wrong[:, 3] = 0.0
    report = bpcheck.check_low_precision(wrong, reference, *arrays, dtype=low.dtype, seed=0)
    assert report.verdict is bpcheck.Verdict.DISAGREES, str(report)


def test_sums_that_torch_keeps_in_bfloat16_are_not_called_wrong():
    import torch

    def reference(scale, shift, x, w):
        d = x - x.mean(axis=1, keepdims=True)
        z = d / np.sqrt((d * d).mean(axis=1, keepdims=True) + 1e-5)
        return [(w * z).sum(axis=0), w.sum(axis=0)]

    rng = np.random.default_rng(0)
    x, w = (torch.tensor(rng.standard_normal((4096, 32)) + m).to(torch.bfloat16) for m in (0.0, 0.3))
    scale = torch.ones(32, dtype=torch.bfloat16, requires_grad=True)
    shift = torch.zeros(32, dtype=torch.bfloat16, requires_grad=True)
    torch.nn.functional.layer_norm(x, (32,), scale, shift).backward(w)
    claim = [scale.grad.float().numpy(), shift.grad.float().numpy()]
    arrays = np.ones(32), np.zeros(32), x.double().numpy(), w.double().numpy()
    report = bpcheck.check_low_precision(claim, reference, *arrays, dtype="bfloat16", seed=0)
    assert report.verdict is bpcheck.Verdict.INCONCLUSIVE
    assert "compute='bfloat16'" in " ".join(report.warnings)
    zeroed = [0.0 * claim[0], claim[1]]
    report = bpcheck.check_low_precision(zeroed, reference, *arrays, dtype="bfloat16", seed=0)
    assert not report.ok


def test_a_loss_that_is_still_a_tensor_is_told_how_to_become_a_number():
    import torch

    def backprop(params, x, y):
        return torch.tensor(1.0, requires_grad=True), params

    report = bpcheck.compare(backprop, seed=0)
    assert report.verdict is bpcheck.Verdict.WRONG_STRUCTURE
    assert "call .item() on it" in report.comparisons[0].reason
