"""Every derivation holds, refuses its planted mistakes, and ends at code that computes its last line."""

import fractions
import importlib
import pathlib
import re
import runpy
import sys

import numpy as np
import pytest
from choosing import some

import derivations
from bpcheck import mlp, reference
from bpcheck.network.layers import Conv2d
from bpcheck.reference.layers.convolution import laid_out
from bpcheck.symbolic.index import (
    Digits,
    Exact,
    Index,
    MutantSurvives,
    World,
    as_latex,
    check_line,
    html_page,
    text,
)
from bpcheck.symbolic.index import check as check_module
from bpcheck.symbolic.index.interpret import Reading, points, symbols_of
from bpcheck.symbolic.index.term import Layer, Size
from derivations import COURSE, load

FOUR_EQUATIONS = COURSE[:4]
EVERYTHING = [(name, place) for name in COURSE for place in range(len(load(name)))]
# The four equations, softmax, and one of each page on updates; `python -m derivations` checks all of them in the same way,
# and is a step of `.ci/run`.
QUICK = {
    ("bp1_output_error", 0), ("bp2_hidden_error", 0), ("bp3_bias_gradient", 0), ("bp4_weight_gradient", 0),
    ("steepest_descent", 0), ("momentum_average", 3), ("adam_bias_correction", 2),
}  # fmt: skip


def test_every_file_is_listed():
    files = {path.stem for path in pathlib.Path(derivations.__file__).parent.glob("*.py")}
    assert files - {"__init__", "__main__", "run", "notation"} == set(COURSE)


@pytest.mark.parametrize(("name", "place"), some(EVERYTHING, default=lambda *key: key in QUICK))
def test_it_holds_and_refuses_its_mistakes(name, place):
    derivation = load(name)[place]
    proof = derivation.check(seed=place)
    assert len(proof.lines) == len(derivation.steps)
    assert all(line.canonical and line.instances and line.digits for line in proof.lines)
    assert len(proof.refused) == len(derivation.mutants) >= 1
    assert not any(line.canonical or line.instances or line.digits for line in proof.refused)
    assert all(line.counterexample is not None for line in proof.refused)


@pytest.mark.parametrize("name", FOUR_EQUATIONS)
def test_the_four_equations_are_general(name):
    """No width, layer number, activation or cost in them is a number or a known function."""
    derivation = load(name)[0]
    widths = [i.upper for i in symbols_of([derivation.start, derivation.result], Index)]
    assert widths
    assert all(str(width).startswith("n(") for width in widths)
    assert len(derivation.mutants) >= 3


@pytest.mark.parametrize(
    "blind", some(["is_zero", "Exact", "Digits"], default=lambda blind: blind == "is_zero")
)
def test_a_blind_check_is_found_out(blind, monkeypatch):
    derivation = load("bp2_hidden_error")[0]
    if blind == "is_zero":
        monkeypatch.setattr(check_module, "is_zero", lambda *_: True)
        expected = (MutantSurvives, check_module.Contradiction)
    else:
        right = getattr(check_module, blind)
        blinded = type(blind, (right,), {"same": lambda *_: True})
        monkeypatch.setattr(check_module, blind, blinded)
        expected = MutantSurvives
    with pytest.raises(expected):
        derivation.check()


# --- the code at the end of a derivation -----------------------------------------------------------


class Instance:
    """A derivation at random sizes: its formulas as arrays of floats."""

    def __init__(self, derivation, seed):
        rng = np.random.default_rng(seed)
        parts = check_module._parts(derivation.start, derivation.result, derivation.given)
        layers = dict(zip(symbols_of(parts, Layer), (3, 7), strict=False))
        sizes = {size: int(rng.integers(1, 6)) for size in symbols_of(parts, Size)}
        widths = {("n", layer): int(rng.integers(1, 6)) for layer in range(1, 9)}
        self.world = World(sizes, layers, widths, seed, derivation.given)
        self.reading = Reading(self.world, Digits())

    def array(self, expression, *indices):
        shape = [len(self.world.range_of(index, {})) for index in indices]
        values = [float(self.reading.value(expression, at)) for at in points(indices, self.world)]
        return np.array(values).reshape(shape)


def resolve(path):
    """``bpcheck.reference.loss.LOSS['mse'].gradient`` as the object it names."""
    module, _, rest = path.partition(".reference.")
    name, _, attribute = rest.partition(".")
    found = importlib.import_module(f"{module}.reference.{name}")
    for key, part in re.findall(r"\['(\w+)'\]|\.?(\w+)", attribute):
        found = found[key] if key else getattr(found, part)
    return found


@pytest.mark.parametrize("path", sorted({p for n, i in EVERYTHING for p in load(n)[i].implemented_by}))
def test_the_code_that_is_named_exists(path):
    assert callable(resolve(path))


def bp1_elementwise(case, d, code):
    from derivations.bp1_output_error import j, slope
    from derivations.notation import L, sigma, z

    return code(case.array(slope(j), j)[None], case.array(sigma.prime(z[L, j]), j)[None])[0], [j]


def bp1_jacobian(case, d, code):
    from derivations.bp1_output_error import f, j, k, slope, units
    from derivations.notation import L, z

    jacobian = case.array(f.partial(j, of=z[L, units], over=units, component=k), k, j)
    return code(case.array(slope(k), k)[None], jacobian[None])[0], [j]


def softmax_jacobian(case, d, code):
    from derivations.bp1_output_error import j, k
    from derivations.notation import L, a, z

    return code(case.array(z[L, k], k)[None], case.array(a[L, k], k)[None])[0], [k, j]


def bp1_softmax(case, d, code):
    from derivations.bp1_output_error import j, k, slope
    from derivations.notation import L, a, z

    activation = reference.activation.ACTIVATION["softmax"]
    jacobian = activation.derivative(case.array(z[L, k], k)[None], case.array(a[L, k], k)[None])
    return code(case.array(slope(k), k)[None], jacobian)[0], [j]


def bp2(case, d, code):
    from derivations.bp2_hidden_error import W, delta, j, k, l, sigma, z

    weight, error = case.array(W[l + 1, k, j], k, j), case.array(delta[l + 1, k], k)
    return code(weight, error[None], case.array(sigma.prime(z[l, j]), j)[None])[0], [j]


def bp3(case, d, code):
    from derivations.bp3_bias_gradient import delta, j, l

    return code(case.array(delta[l, j], j)[None]), [j]


def bp4(case, d, code):
    from derivations.bp4_weight_gradient import a, delta, j, k, l

    return code(case.array(delta[l, j], j)[None], case.array(a[l - 1, k], k)[None]), [j, k]


def batch_bias(case, d, code):
    from derivations.batch_and_penalty import delta, i, j

    return code(case.array(delta[i, j], i, j)), [j]


def batch_weight(case, d, code):
    from derivations.batch_and_penalty import a, delta, i, j, k

    return code(case.array(delta[i, j], i, j), case.array(a[i, k], i, k)), [j, k]


def penalised(case, d, code):
    """Both functions that are named: BP4 and the penalty's gradient, added."""
    from derivations.batch_and_penalty import W, a, delta, i, j, k, penalty

    bp4_code, penalty_code = map(resolve, d.implemented_by)
    weight, factor = case.array(W[j, k], j, k), float(case.array(penalty))
    params = [{"weight": weight, "bias": np.zeros(len(weight))}]
    added = penalty_code(params, mlp([weight.shape[1], weight.shape[0]], l2=factor))
    return bp4_code(case.array(delta[i, j], i, j), case.array(a[i, k], i, k)) + added[0]["weight"], [j, k]


def cross_entropy(case, d, code):
    from derivations.softmax_cross_entropy import j, y, z

    return code(case.array(z[j], j)[None], case.array(y[j], j)[None])[0], [j]


def sigmoid_slope(case, d, code):
    from derivations.sigmoid_cross_entropy import a, j, k, z

    # off the diagonal it is 0: the code keeps the diagonal alone
    return np.diag(code(case.array(z[j], j), case.array(a[j], j))), [k, j]


def binary_cross_entropy(case, d, code):
    from derivations.sigmoid_cross_entropy import j, y, z

    return code(case.array(z[j], j)[None], case.array(y[j], j)[None])[0], [j]


def convolution(case):
    """The layer whose sizes these are, its kernel, its input and its error, for a batch of one image."""
    from derivations.convolution import K, X, Y_bar, c, filters, high, i, j, o, stride, u, v, wide, x, y

    size = case.world.sizes
    spec = Conv2d(size[filters], (size[high], size[wide]), stride=size[stride])
    kernel, image = case.array(K[o, c, u, v], o, c, u, v), case.array(X[c, x, y], c, x, y)
    return spec, kernel, image[None], case.array(Y_bar[o, i, j], o, i, j)[None]


def convolution_kernel(case, d, code):
    from derivations.convolution import c_, o_, u_, v_

    spec, _, image, delta = convolution(case)
    return code(delta, laid_out(image, spec)), [o_, c_, u_, v_]


def convolution_bias(case, d, code):
    from derivations.convolution import o_

    return code(convolution(case)[-1]), [o_]


def convolution_input(case, d, code):
    from derivations.convolution import c_, x, y

    spec, kernel, image, delta = convolution(case)
    return code(kernel, delta, spec, image.shape)[0], [c_, x, y]


CODE = {
    ("bp1_output_error", 0): bp1_elementwise,
    ("bp1_output_error", 1): bp1_jacobian,
    ("bp1_output_error", 2): softmax_jacobian,
    ("bp1_output_error", 3): bp1_softmax,
    ("bp2_hidden_error", 0): bp2,
    ("bp3_bias_gradient", 0): bp3,
    ("bp4_weight_gradient", 0): bp4,
    ("softmax_cross_entropy", 0): cross_entropy,
    ("softmax_cross_entropy", 1): cross_entropy,
    ("sigmoid_cross_entropy", 0): sigmoid_slope,
    ("sigmoid_cross_entropy", 1): binary_cross_entropy,
    ("batch_and_penalty", 0): batch_bias,
    ("batch_and_penalty", 1): batch_weight,
    ("batch_and_penalty", 2): penalised,
    ("convolution", 0): convolution_kernel,
    ("convolution", 1): convolution_bias,
    ("convolution", 2): convolution_input,
}

# The numbers are of size 1 and the formulas have some tens of operations: a few hundred roundings at most.
ROUNDING = 1e-13


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.full) for s in (1, 2))])
@pytest.mark.parametrize(("name", "place"), CODE)
def test_the_code_computes_the_last_line(name, place, seed):
    derivation = load(name)[place]
    case = Instance(derivation, seed)
    computed, indices = CODE[name, place](case, derivation, resolve(derivation.implemented_by[0]))
    derived = case.array(derivation.result, *indices)
    assert computed.shape == derived.shape
    assert np.all(abs(computed - derived) <= ROUNDING * np.maximum(1, abs(derived).max()))


def test_the_skip_layer_computes_the_last_line():
    """Its f is a layer, so the Jacobian is taken of that layer: by the complex step."""
    from bpcheck import Architecture
    from bpcheck.network.layers import Dense, Skip
    from bpcheck.reference.layers.layer import Context

    rng = np.random.default_rng(0)
    network = reference.build(
        Architecture((3,), (Skip((Dense(4, "tanh"), Dense(3, "sigmoid"))),), "half_mse")
    )
    params, layer = network.init(rng), network._chain.layers[0]
    x, y_bar = rng.normal(size=(1, 3)), rng.normal(size=(1, 3))

    def f(x):
        return layer.inner.forward(params[0], x, Context())[0]

    step = 1e-30
    jacobian = np.stack([f(x + 1j * step * e).imag[0] / step for e in np.eye(3)], axis=1)
    _, residuals, _ = layer.forward(params[0], x, Context())
    _, x_bar = layer.pullback(params[0], residuals, y_bar)
    assert np.all(abs(x_bar[0] - (y_bar[0] + jacobian.T @ y_bar[0])) <= ROUNDING)
    assert not np.all(abs(x_bar[0] - (y_bar[0] + jacobian @ y_bar[0])) <= ROUNDING)


def test_the_four_results_of_bptt_hold_for_a_real_recurrent_network():
    """What the derivation assumes (δ^t is the total derivative) is measured: by the complex step through all steps."""
    from derivations.recurrent import delta, f, h, j, k, t, x

    rng, units, inputs, steps, step = np.random.default_rng(0), 3, 2, 4, 1e-30
    W, U, b = rng.normal(size=(units, units)), rng.normal(size=(units, inputs)), rng.normal(size=units)
    xs, start = rng.normal(size=(steps, inputs)), rng.normal(size=units)
    targets = rng.normal(size=(steps, units))

    def run(W, U, b, push):
        state, states, cost = start, [start], 0.0
        for now in range(steps):
            state = np.tanh(W @ state + U @ xs[now] + b + push[now])
            states.append(state)
            cost = cost + 0.5 * ((state - targets[now]) ** 2).sum()  # a loss at every step
        return cost, states

    def slopes(function, array):
        found = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            moved = array.astype(complex)
            moved[index] += 1j * step
            found[index] = function(moved)[0].imag / step
        return found

    still = np.zeros((steps, units))
    states = np.array(run(W, U, b, still)[1])
    # the recursion of the first derivation, from the last step to the first
    errors, later = np.zeros((steps, units)), np.zeros(units)
    for now in reversed(range(steps)):
        errors[now] = ((states[now + 1] - targets[now]) + W.T @ later) * (1 - states[now + 1] ** 2)
        later = errors[now]
    assert np.all(abs(errors - slopes(lambda push: run(W, U, b, push), still)) <= ROUNDING)

    values = {}
    for tensor, array, first in ((delta, errors, 1), (h, states, 0), (x, xs, 1)):
        for at in np.ndindex(array.shape):
            values[tensor.name, (at[0] + first, at[1] + 1)] = fractions.Fraction(float(array[at]))
    sizes = {index.upper: size for index, size in ((j, units), (f, inputs), (t, steps))}
    reading = Reading(World(sizes, {}, {}, values=values), Exact())
    measured = (
        slopes(lambda W: run(W, U, b, still), W),
        slopes(lambda U: run(W, U, b, still), U),
        slopes(lambda b: run(W, U, b, still), b),
    )
    derivations_ = load("recurrent")[1:]
    for derivation, indices, right in zip(derivations_, ((j, k), (j, f), (j,)), measured, strict=True):
        derived = [float(reading.value(derivation.result, at)) for at in points(indices, reading.world)]
        assert np.all(abs(np.reshape(derived, right.shape) - right) <= ROUNDING)


def test_every_derivation_that_names_code_is_held_against_it():
    named = {key for key in EVERYTHING if load(key[0])[key[1]].implemented_by}
    assert named == {*CODE, ("skip", 0)}


# --- printing --------------------------------------------------------------------------------------


def test_a_file_prints_its_steps_when_run(capsys, monkeypatch):
    file = importlib.import_module("derivations.bp3_bias_gradient").__file__
    monkeypatch.setattr(sys, "argv", [file])
    runpy.run_path(file, run_name="__main__")
    out, err = capsys.readouterr()
    assert err == ""
    derivation = load("bp3_bias_gradient")[0]
    assert out.strip() == str(derivation)
    for step in derivation.steps:
        assert text(step.after) in out


def test_a_file_is_checked_when_asked(capsys):
    from derivations.run import main

    with pytest.raises(SystemExit) as ended:
        main(load("bp3_bias_gradient"), ["--check"])
    assert ended.value.code == 0
    assert "4 steps, 3 planted mistakes refused" in capsys.readouterr().out


def test_a_wrong_derivation_fails_when_run(capsys):
    import dataclasses

    from derivations.run import main

    right = load("bp3_bias_gradient")[0]
    wrong = dataclasses.replace(right, steps=(*right.steps[:3], dataclasses.replace(right.steps[3], after=0)))
    with pytest.raises(SystemExit) as ended:
        main((right, wrong), ["--check"])
    assert ended.value.code == 1
    printed = capsys.readouterr().out
    assert "FAILS" in printed
    assert "step 4 does not hold" in printed


@pytest.mark.full
def test_the_documents_hold_every_step(capsys):
    from derivations.run import main_course

    main_course(["--latex"])
    document = capsys.readouterr().out
    assert document.count(r"\section{") == len(EVERYTHING)
    for name, place in EVERYTHING:
        assert as_latex(load(name)[place]) in document
    page = html_page([load(name)[place] for name, place in EVERYTHING], "All")
    assert page.count("<h2") == len(EVERYTHING)
    steps = sum(len(load(name)[place].steps) for name, place in EVERYTHING)
    assert page.count('class="because"') == steps
    assert not re.search(r"(src|href)=\"(?!#)", page)  # nothing is fetched
    assert "<script" not in page


def test_a_line_with_the_index_of_another_layer_is_refused():
    """The commonest mistake on paper: W^l in the place of W^{l+1}."""
    from derivations.bp2_hidden_error import W, delta, hidden_error, j, k, l, sigma, total, z

    line = check_line(
        hidden_error.start, total(W[l, k, j] * delta[l + 1, k], k) * sigma.prime(z[l, j]), hidden_error.given
    )
    assert not line
    assert line.counterexample is not None
