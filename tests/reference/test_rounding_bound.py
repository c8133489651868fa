"""Network.enclose is sound: no correct implementation leaves its ball, whatever its order of sums and formulas.

Truth is the same network in 60-digit arithmetic, itself held against the symbolic witness. The
implementations are the ones that students and frameworks write: textbook formulas, fused or not,
loops over examples, sums from the other end, float32.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
from choosing import product
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from bpcheck import Case, mlp, symbolic, tree
from bpcheck.data import load_digits
from bpcheck.errors import InputError
from bpcheck.network.architecture import LOSSES, Architecture
from bpcheck.network.dense_chain import is_dense_chain
from bpcheck.network.layers import Dense, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.reference import build
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.layers.chain import Chain
from bpcheck.reference.numbers.ball import Ball, gamma, underflow, unit_roundoff
from bpcheck.search.cases.sample import random_architecture, random_case, stratum
from bpcheck.strategies.values import case_from_seed

mp = mpmath.mp.clone()
mp.dps = 60

U = 2.0**-53


# --- one network, in any arithmetic ----------------------------------------------------------------


@dataclass(frozen=True)
class Arithmetic:
    """How an implementation computes: its numbers, its sums, its formulas."""

    array: Any
    matmul: Any
    sigma: Any  # name -> (value(z), slope(z, a)); slope None for softmax
    softmax: Any
    log: Any
    logs: Any  # ln σ and ln(1 − σ), from z and σ(z)
    fused: bool


def forward(layers, params, a, how):
    tape = []
    for layer, p in zip(layers, params, strict=True):
        if isinstance(layer, Skip):
            out, inner = forward(layer.layers, p, a, how)
            tape.append(inner)
            a = a + out
        else:
            z = how.matmul(a, p["weight"].T) + p["bias"]
            out = how.softmax(z) if layer.activation == "softmax" else how.sigma[layer.activation][0](z)
            tape.append((a, z, out))
            a = out
    return a, tape


def slope_times(name, z, a, upstream, how):
    if name == "softmax":
        # Σ_k u_k p_k (1[k=j] − p_j) = p_j (u_j − Σ_k u_k p_k)
        return a * (upstream - (upstream * a).sum(axis=1)[:, None])
    return upstream * how.sigma[name][1](z, a)


def backward(layers, params, tape, upstream, how, delta=None):
    """Gradients, and ∂C/∂(input); ``delta`` replaces the last layer's σ' ⊙ upstream if it is fused."""
    gradients = []
    for layer, p, saved in zip(reversed(layers), reversed(params), reversed(tape), strict=True):
        if isinstance(layer, Skip):
            gradient, through = backward(layer.layers, p, saved, upstream, how)
            gradients.append(gradient)
            upstream = upstream + through
            continue
        below, z, a = saved
        d = slope_times(layer.activation, z, a, upstream, how) if delta is None else delta
        delta = None
        gradients.append({"weight": how.matmul(d.T, below), "bias": d.sum(axis=0)})
        upstream = how.matmul(d, p["weight"])
    return gradients[::-1], upstream


def cost_and_gradient(case, how, *, examples=None):
    """The cost without its penalty, summed over the given examples, and its gradient."""
    architecture = case.architecture
    params = tree.restore(case.params, [how.array(leaf) for _, leaf in tree.leaves(case.params)])
    x, y = how.array(case.x), how.array(case.y)
    if examples is not None:
        x, y = x[examples], y[examples]
    a, tape = forward(architecture.layers, params, x, how)
    name, outputs = architecture.loss, a.shape[1]
    logits = architecture.output == "identity"
    delta = None
    if name in ("half_mse", "mse"):
        r = a - y
        upstream = r if name == "half_mse" else r * 2 / outputs
        cost = (r * r).sum() / 2 if name == "half_mse" else (r * r).sum() / outputs
    elif name == "huber":
        r = a - y
        small = abs(r) <= 1
        upstream = np.where(small, r, np.where(r > 0, 1 + 0 * r, -1 + 0 * r))
        cost = np.where(
            small, r * r / 2, abs(r) - r.dtype.type(1) / 2 if r.dtype != object else abs(r) - mp.mpf(0.5)
        )
        cost = cost.sum()
    else:
        binary = name == "binary_cross_entropy"
        p = a if not logits else (how.sigma["sigmoid"][0](a) if binary else how.softmax(a))
        z = a if logits else tape[-1][1]
        if binary:
            log_p, log_not_p = how.logs(z, p)
            terms = np.where(y > 0, y * log_p, 0 * y) + np.where(y < 1, (1 - y) * log_not_p, 0 * y)
            unfused = (p - y) / (p * (1 - p)) if not (how.fused or logits) else None
        else:
            terms = np.where(y > 0, y * how.log(p), 0 * y)
            unfused = -y / p if not (how.fused or logits) else None
        cost = -terms.sum()
        if unfused is None:
            # p − y is what people write; it supposes Σy = 1, which the truth must not
            share = y.sum(axis=1)[:, None] if y.dtype == object and not binary else 1
            upstream = delta = p * share - y
        else:
            upstream = unfused
    gradient, _ = backward(architecture.layers, params, tape, upstream, how, delta)
    return cost, gradient, params


def implementation(case, how, *, by_example=False):
    """Loss and gradient by path, as an implementation in that arithmetic returns them."""
    with np.errstate(all="ignore"):
        return _implementation(case, how, by_example)


def _implementation(case, how, by_example):
    architecture, m = case.architecture, case.batch
    if by_example:
        cost, total, params = 0, None, None
        for i in range(m):
            one, gradient, params = cost_and_gradient(case, how, examples=[i])
            leaves = [leaf for _, leaf in tree.leaves(gradient)]
            total = leaves if total is None else [t + g for t, g in zip(total, leaves, strict=True)]
            cost = cost + one
    else:
        cost, gradient, params = cost_and_gradient(case, how)
        total = [leaf for _, leaf in tree.leaves(gradient)]
    if architecture.reduction == "mean":
        cost, total = cost / m, [g / m for g in total]
    paths = [path for path, _ in tree.leaves(case.params)]
    weights = [leaf for _, leaf in tree.leaves(params)]
    result = {}
    l1, l2 = (w * weights[0].flat[0] ** 0 for w in (architecture.l1, architecture.l2))
    for path, w, g in zip(paths, weights, total, strict=True):
        if (architecture.l1 or architecture.l2) and (
            architecture.penalize_bias or path.keys[-1] == "['weight']"
        ):
            sign = np.where(w > 0, 1 + 0 * w, np.where(w < 0, -1 + 0 * w, 0 * w))
            g = g + l1 * sign + l2 * w
            cost = cost + l1 * abs(w).sum() + l2 / 2 * (w * w).sum()
        result[path] = g
    return cost, result


# --- exact -----------------------------------------------------------------------------------------


def _each(function):
    return lambda z: np.frompyfunc(function, 1, 1)(z)


def _exact_softmax(z):
    weights = _each(mp.exp)(z)
    return weights / weights.sum(axis=1)[:, None]


def _fraction(v):
    return mp.mpf(v.numerator) / v.denominator


_one, _half = mp.mpf(1), mp.mpf(1) / 2
_leak = mp.mpf(0.01)


def _sig(v):
    return 1 / (1 + mp.exp(-v))


EXACT = Arithmetic(
    array=lambda a: np.frompyfunc(lambda v: mp.mpf(float(v)), 1, 1)(a).astype(object),
    matmul=np.matmul,
    sigma={
        "identity": (lambda z: z, lambda z, a: 0 * z + 1),
        "tanh": (_each(mp.tanh), lambda z, a: _each(lambda v: mp.sech(v) ** 2)(z)),
        "sigmoid": (_each(_sig), lambda z, a: _each(lambda v: _sig(v) * _sig(-v))(z)),
        "relu": (_each(lambda v: max(v, 0 * v)), lambda z, a: _each(lambda v: _one * (v > 0))(z)),
        "leaky_relu": (
            _each(lambda v: v if v > 0 else _leak * v),
            lambda z, a: _each(lambda v: _one if v > 0 else _leak)(z),
        ),
        "softplus": (_each(lambda v: mp.log1p(mp.exp(v))), lambda z, a: _each(_sig)(z)),
        "gelu": (
            _each(lambda v: v * mp.erfc(-v / mp.sqrt(2)) / 2),
            lambda z, a: _each(lambda v: mp.erfc(-v / mp.sqrt(2)) / 2 + v * mp.npdf(v))(z),
        ),
        "silu": (
            _each(lambda v: v * _sig(v)),
            lambda z, a: _each(lambda v: _sig(v) * (1 + v * _sig(-v)))(z),
        ),
    },
    softmax=_exact_softmax,
    log=_each(mp.log),
    logs=lambda z, p: (-_each(lambda v: mp.log1p(mp.exp(-v)))(z), -_each(lambda v: mp.log1p(mp.exp(v)))(z)),
    fused=True,
)


def _split(value):
    """A 60-digit number as an unevaluated sum of two doubles: exact to 2^-106 of itself."""
    high = float(value)
    return high, float(value - mp.mpf(high))


@cache
def truth(case):
    """Loss and gradient by path, each as a pair of float64 arrays (high, low)."""
    loss, gradient = implementation(case, EXACT)

    def pair(array):
        parts = [_split(v) for v in np.asarray(array, dtype=object).flat]
        return tuple(np.array(part).reshape(np.shape(array)) for part in zip(*parts, strict=True))

    return pair(loss), {path: pair(array) for path, array in gradient.items()}


# --- floating point --------------------------------------------------------------------------------


def _textbook_sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _phi(z):
    return np.exp(-z * z / 2) / z.dtype.type(np.sqrt(2 * np.pi))


def _cdf(z):
    return (1 + erf(z / z.dtype.type(np.sqrt(2)))) / 2


def _tanh_by_exp(z):
    return 2 / (1 + np.exp(-2 * z)) - 1


TEXTBOOK = {
    "identity": (lambda z: z, lambda z, a: np.ones_like(z)),
    "tanh": (np.tanh, lambda z, a: 1 - a**2),
    "sigmoid": (_textbook_sigmoid, lambda z, a: a * (1 - a)),
    "relu": (lambda z: np.maximum(z, 0), lambda z, a: (a > 0).astype(z.dtype)),
    "leaky_relu": (
        lambda z: np.where(z > 0, z, z.dtype.type(0.01) * z),
        lambda z, a: np.where(z > 0, z.dtype.type(1), z.dtype.type(0.01)),
    ),
    "softplus": (lambda z: np.log(1 + np.exp(z)), lambda z, a: _textbook_sigmoid(z)),
    "gelu": (lambda z: z * _cdf(z), lambda z, a: _cdf(z) + z * _phi(z)),
    "silu": (
        lambda z: z * _textbook_sigmoid(z),
        lambda z, a: a + _textbook_sigmoid(z) * (1 - a),
    ),
}
OTHER_FORMULAS = {
    **TEXTBOOK,
    "tanh": (_tanh_by_exp, lambda z, a: 1 / np.cosh(z) ** 2),
    "sigmoid": (lambda z: (1 + np.tanh(z / 2)) / 2, lambda z, a: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "relu": (lambda z: z * (z > 0), lambda z, a: (z >= 0).astype(z.dtype)),
    "softplus": (lambda z: np.logaddexp(z.dtype.type(0), z), lambda z, a: 1 - np.exp(-a)),
    "silu": (
        lambda z: z / (1 + np.exp(-z)),
        lambda z, a: _textbook_sigmoid(z) * (1 + z * (1 - _textbook_sigmoid(z))),
    ),
}


def _plain_softmax(z):
    weights = np.exp(z)
    return weights / weights.sum(axis=1, keepdims=True)


def _shifted_softmax(z):
    return _plain_softmax(z - z.max(axis=1, keepdims=True))


def _from_the_end(a, b):
    """a @ b, the last product first, one addition at a time."""
    total = np.zeros((a.shape[0], b.shape[1]), dtype=a.dtype)
    for k in reversed(range(a.shape[1])):
        total = total + a[:, k : k + 1] * b[k]
    return total


def arithmetic(dtype, **changes):
    how = Arithmetic(
        array=lambda a: np.array(a, dtype=dtype),
        matmul=np.matmul,
        sigma=TEXTBOOK,
        softmax=_shifted_softmax,
        log=np.log,
        logs=lambda z, p: (np.log(p), np.log(1 - p)),
        fused=True,
    )
    return replace(how, **changes)


def variants(dtype):
    """Implementations that are all correct: name -> function of a case."""
    plain = arithmetic(dtype)
    unfused = arithmetic(dtype, fused=False, softmax=_plain_softmax)
    unfused_from_z = arithmetic(dtype, fused=False, sigma=OTHER_FORMULAS)
    backwards = arithmetic(dtype, matmul=_from_the_end, sigma=OTHER_FORMULAS)
    return {
        "textbook": lambda case: implementation(case, plain),
        "unfused": lambda case: implementation(case, unfused),
        "unfused, σ' from z": lambda case: implementation(case, unfused_from_z),
        "other formulas, sums from the end": lambda case: implementation(case, backwards),
        "one example at a time": lambda case: implementation(case, plain, by_example=True),
        "batch and units reversed": lambda case: _reversed_units(case, plain),
    }


def _reversed_units(case, how):
    """The network with its hidden units and its batch in reverse order, put back afterwards."""
    if not is_dense_chain(case.architecture):
        turned = replace(case, x=case.x[::-1], y=case.y[::-1])
        return implementation(turned, how)
    last = len(case.params) - 1

    def turn(index, layer):
        rows = slice(None) if index == last else slice(None, None, -1)
        columns = slice(None) if index == 0 else slice(None, None, -1)
        return {"weight": layer["weight"][rows, columns], "bias": layer["bias"][rows]}

    params = [turn(i, layer) for i, layer in enumerate(case.params)]
    loss, gradient = implementation(replace(case, params=params, x=case.x[::-1], y=case.y[::-1]), how)
    layers = tree.restore(case.params, list(gradient.values()))
    back = [turn(i, layer) for i, layer in enumerate(layers)]
    return loss, dict(tree.leaves(back))


def reference(case):
    network = build(case.architecture)
    gradient = network.gradient(case.params, case.x, case.y)
    return network.loss(case.params, case.x, case.y), dict(tree.leaves(gradient))


def reference_in_double(case):
    """The reference on the same numbers, held in float64."""
    params = tree.restore(case.params, [leaf.astype(float) for _, leaf in tree.leaves(case.params)])
    return reference(replace(case, params=params, x=case.x.astype(float), y=case.y.astype(float)))


# --- cases -----------------------------------------------------------------------------------------


def _skips():
    return [
        Architecture(
            (2,), (Skip((Dense(3, "tanh"), Dense(2, "softplus"))), Dense(3, "softmax")), "cross_entropy"
        ),
        Architecture(
            (3,), (Dense(2, "gelu"), Skip((Dense(2, "sigmoid"), Skip((Dense(2, "silu"),))))), "huber"
        ),
        Architecture((2,), (Skip((Dense(2, "relu"),)), Dense(1, "sigmoid")), "binary_cross_entropy", l2=0.25),
    ]


@cache
def cases():
    """Strata of compare(), the strategy's own cases, and hard ones; all of them seeded."""
    found = []
    for index in range(90):  # three rounds of all strata
        rng = np.random.default_rng([7, index])
        kind = stratum(index)
        found.append(random_case(rng, random_architecture(rng, kind), kind))
    for index, (activation, loss) in enumerate((a, b) for a in ACTIVATIONS for b in LOSSES):
        reduction, l1 = ("mean", "sum")[index % 2], (0.0, 0.25)[index % 3 == 0]
        widths = [2, 4, 3, 2] if index % 2 else [3, 2, 4]
        architecture = mlp(widths, activation=activation, loss=loss, reduction=reduction, l1=l1, l2=l1)
        found.append(case_from_seed(architecture, 1 + index % 4, index))
    found += [case_from_seed(architecture, 3, 5) for architecture in _skips()]
    # saturated: |z| up to some hundred in the hidden layers and the logits
    for index, (activation, loss) in enumerate((a, b) for a in ACTIVATIONS for b in LOSSES):
        case = case_from_seed(mlp([3, 4, 2], activation=activation, loss=loss), 3, 100 + index)
        factor = (3.0, 10.0, 40.0)[index % 3]
        params = [{"weight": layer["weight"] * factor, "bias": layer["bias"]} for layer in case.params]
        found.append(replace(case, params=params))
    return found


def excess(ball, claim, exact):
    """Largest |claim − exact| / (rad + 2 kink); 0/0 counts as 0."""
    high, low = exact
    claim = np.asarray(claim, dtype=float)
    assert claim.shape == high.shape == ball.shape
    distance = abs((claim - high) - low)
    # a claim and the truth may sit at opposite ends of the interval at a kink
    allowed = ball.rad + 2 * ball.kink
    with np.errstate(all="ignore"):
        return float(np.max(np.where(distance > 0, distance / allowed, 0.0)))


def excesses(enclosure, answer, exact):
    (loss, gradient), (exact_loss, exact_gradient) = answer, exact
    yield "loss", excess(enclosure.loss, loss, exact_loss)
    for path, ball in enclosure.gradient.items():
        yield str(path), excess(ball, gradient[path], exact_gradient[path])


def middle(enclosure):
    """The middle of the balls as an answer: it must lie within their own radius too."""
    return enclosure.loss.mid, {path: ball.mid for path, ball in enclosure.gradient.items()}


def is_finite(answer):
    loss, gradient = answer
    return np.isfinite(float(loss)) and all(np.isfinite(np.asarray(g)).all() for g in gradient.values())


def single(case):
    """The case in numbers that float32 holds exactly."""
    params = tree.restore(case.params, [leaf.astype(np.float32) for _, leaf in tree.leaves(case.params)])
    return replace(case, params=params, x=case.x.astype(np.float32), y=case.y.astype(np.float32))


@dataclass(frozen=True)
class Found:
    """Largest ratio of an answer, and where."""

    ratio: float
    where: str


def survey(dtype, drawn):
    """One entry for each answer of each implementation that is finite, and how many are not."""
    found, lost = [], 0
    for index, case in enumerate(drawn):
        enclosure = build(case.architecture).enclose(case.params, case.x, case.y, dtype=dtype)
        implementations = variants(dtype)
        if dtype == np.float64:
            implementations["reference"] = reference
            implementations["middle"] = lambda _, enclosure=enclosure: middle(enclosure)
        for name, implement in implementations.items():
            answer = implement(case)
            if not is_finite(answer):
                lost += 1  # log(0) or 0/0 in a textbook formula: wrong there, and not what is bounded
                continue
            path, ratio = max(excesses(enclosure, answer, truth(case)), key=lambda pair: pair[1])
            found.append(Found(ratio, f"case {index}, {name}, {path}: {case!r:.600}"))
    return found, lost


# the 60 digits take their time: half of the cases, two by two, and in full all of them
@pytest.fixture(
    scope="module",
    params=[
        pytest.param((dtype, every), marks=pytest.mark.full if every or dtype == np.float32 else ())
        for dtype in (np.float64, np.float32)
        for every in (False, True)
    ],
    ids=lambda param: ("all in " if param[1] else "") + param[0].__name__,
)
def answers(request):
    dtype, every = request.param
    drawn = [case for i, case in enumerate(cases()) if every or i % 4 < 2]
    if dtype == np.float32:
        # every other case holds numbers that float32 must round first, as a float32 subject of compare() does
        drawn = [single(case) if i % 2 else case for i, case in enumerate(drawn)]
    return *survey(dtype, drawn), len(drawn)


# --- soundness -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "activation"), product(LOSSES, ACTIVATIONS))
def test_truth_is_what_the_symbolic_witness_says(activation, loss):
    case = case_from_seed(mlp([2, 3, 2], activation=activation, loss=loss, l1=0.5, l2=0.25), 2, 9)
    said = symbolic.testify(case)
    (exact, _), gradient = truth(case)
    assert abs(exact - said.loss) <= said.loss_error + U * abs(exact)
    for path, (high, _) in gradient.items():
        assert (abs(high - said.gradient[path]) <= said.error[path] + U * abs(high)).all()


def test_no_correct_implementation_leaves_its_ball(answers, record_property):
    found, lost, drawn = answers
    largest = max(found, key=lambda f: f.ratio)
    record_property("largest_ratio", largest.ratio)
    record_property("where", largest.where)
    assert largest.ratio <= 1.0, largest.where
    # textbook formulas fail in a few saturated cases; if many did, nothing would be compared
    assert lost <= 0.1 * len(found)
    assert len(found) >= 5 * 0.82 * drawn
    assert drawn >= 90


def test_the_bound_is_reached_to_within_a_factor_of_ten(answers):
    assert max(f.ratio for f in answers[0]) >= 0.1


def test_a_radius_a_million_times_smaller_is_refuted(answers):
    # negative control: the comparison above can fail, and in nearly every single answer
    refuted = sum(f.ratio * 1e6 > 1.0 for f in answers[0])
    assert refuted >= 0.97 * len(answers[0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_middle_is_the_reference_in_float64(dtype):
    for case in cases()[:20]:
        enclosure = build(case.architecture).enclose(case.params, case.x, case.y, dtype=dtype)
        loss, gradient = reference(case)
        assert abs(enclosure.loss.mid - loss) <= 1e-12 * max(1.0, abs(loss))
        for path, ball in enclosure.gradient.items():
            np.testing.assert_allclose(ball.mid, gradient[path], rtol=1e-9, atol=1e-14)


def test_the_digits_network_stays_in_its_ball_in_double_and_single():
    digits = load_digits()
    architecture = mlp([64, 12, 10], activation="tanh", loss="cross_entropy", l2=0.01)
    params = build(architecture).init(np.random.default_rng(0))
    case = Case(architecture, params, digits.images[:16], digits.one_hot[:16])
    for dtype in (np.float64, np.float32):
        enclosure = build(architecture).enclose(case.params, case.x, case.y, dtype=dtype)
        for implement in variants(dtype).values():
            for path, ratio in excesses(enclosure, implement(case), truth(case)):
                assert ratio <= 1.0, path
        # the a-priori bound is wide, and still far below any bug that somebody would write
        for ball in enclosure.gradient.values():
            assert ball.rad.max() <= 1e-11 / U * unit_roundoff(dtype) * np.sqrt(np.mean(ball.mid**2))


# --- what an implementation may meet and the bound must know ---------------------------------------


@pytest.mark.parametrize(
    ("dtype", "gap"), [(np.float32, 95), (np.float32, 110), (np.float64, 720), (np.float64, 800)]
)
def test_probabilities_that_underflow_are_within_the_bound(dtype, gap):
    # e^{−gap} is subnormal or zero in this format: its relative error is anything, its absolute one is not
    params = [{"weight": [[1.0], [0.5], [-float(gap)]], "bias": [0.0, 0.25, 0.0]}]
    case = Case(mlp([1, 3], loss="cross_entropy"), params, [[1.0]], [[0.0, 1.0, 0.0]])
    enclosure = build(case.architecture).enclose(case.params, case.x, case.y, dtype=dtype)
    for name in ("textbook", "other formulas, sums from the end", "one example at a time"):
        for path, ratio in excesses(enclosure, variants(dtype)[name](case), truth(case)):
            assert ratio <= 1.0, (name, path)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("loss", "y"), [("cross_entropy", [[1.0, 0.0]]), ("binary_cross_entropy", [[1.0, 0.0]])]
)
def test_a_sure_and_right_answer_has_a_tiny_loss_that_textbook_code_knows_absolutely(dtype, loss, y):
    # ln p with p = 1 − 1e-6: the digits of the loss are those that 1 − p has left
    params = [{"weight": [[7.3], [-6.9]], "bias": [0.013, -0.027]}]
    case = Case(mlp([1, 2], loss=loss), params, [[1.0]], y)
    enclosure = build(case.architecture).enclose(case.params, case.x, case.y, dtype=dtype)
    for name, implement in variants(dtype).items():
        for path, ratio in excesses(enclosure, implement(case), truth(case)):
            assert ratio <= 1.0, (name, path)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("z", [5.1, 7.7, 10.3, 15.2, 20.1, 30.4])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_sigmoid_slopes_of_another_formula_do_not_cancel_the_error_of_a_rounded_probability(dtype, z, y):
    # (a − y) / (a (1 − a)) has the error u/(1 − a) of its denominator unless σ' is formed from the same a
    z = z if y == 0 else -z
    case = Case(
        mlp([1, 1], loss="binary_cross_entropy"), [{"weight": [[1.0]], "bias": [z - 1]}], [[1.0]], [[y]]
    )
    enclosure = build(case.architecture).enclose(case.params, case.x, case.y, dtype=dtype)
    for name, implement in variants(dtype).items():
        answer = implement(case)
        if is_finite(answer):
            for path, ratio in excesses(enclosure, answer, truth(case)):
                assert ratio <= 1.0, (name, path)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "cross_entropy"])
def test_beyond_the_reach_of_textbook_code_the_bound_is_narrow_again(dtype, loss):
    # at |z| = 1e4 only stable formulas answer at all: nothing must be left open for others
    params = [{"weight": [[1e4], [-1e4]], "bias": [0.0, 0.0]}]
    case = Case(mlp([1, 2], loss=loss), params, [[1.0]], [[0.0, 1.0]])
    enclosure = build(case.architecture).enclose(case.params, case.x, case.y, dtype=dtype)
    assert enclosure.loss.mid == 2e4
    assert enclosure.loss.rad <= 100 * unit_roundoff(dtype) * 2e4
    for ball in enclosure.gradient.values():
        assert abs(ball.mid).tolist() in ([[1.0], [1.0]], [1.0, 1.0])
        assert (ball.rad <= 30 * unit_roundoff(dtype) * 1e4).all()  # z itself is off by some u |z|


def test_numbers_that_float32_cannot_hold_are_within_its_bound():
    # bias and target nearly cancel: what is left is mostly the rounding of the numbers themselves
    rng = np.random.default_rng(0)
    architecture, worst = mlp([1, 1]), 0.0
    for _ in range(100):
        bias = rng.uniform(0.1, 2)
        y = bias * (1 + 1e-2 * rng.normal())
        case = Case(architecture, [{"weight": [[0.001]], "bias": [bias]}], [[0.01]], [[y]])
        enclosure = build(architecture).enclose(case.params, case.x, case.y, dtype=np.float32)
        answer = variants(np.float32)["textbook"](case)
        worst = max(worst, *(ratio for _, ratio in excesses(enclosure, answer, truth(case))))
    assert 0.1 <= worst <= 1.0


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_parameters_and_targets_are_bounded_in_float64_too(loss):
    # penalty and Σy must not be formed in float32 when a float64 answer is to be judged
    drawn = case_from_seed(mlp([3, 4, 2], loss=loss, l1=0.1, l2=0.3), 3, 1)
    case = replace(single(drawn), y=np.array([[0.1, 0.9], [0.3, 0.7], [0.2, 0.8]], dtype=np.float32))
    enclosure = build(case.architecture).enclose(case.params, case.x, case.y)
    implementations = {**variants(np.float64), "reference": reference_in_double}
    if loss == "cross_entropy":  # p − y supposes that Σy = 1, which these targets are not to float64
        implementations = {name: implementations[name] for name in ("unfused", "reference")}
    for path, ratio in excesses(enclosure, middle(enclosure), truth(case)):
        assert ratio <= 1.0, path
    for implement in implementations.values():
        for path, ratio in excesses(enclosure, implement(case), truth(case)):
            assert ratio <= 1.0, path


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
@pytest.mark.parametrize("mid", [0.0, 1.5, -1.5])
def test_either_slope_is_allowed_where_rounding_may_have_crossed_the_kink(name, mid):
    # |mid| = 1.5 rad: the exact z may be 0.5 rad and another implementation's −0.5 rad
    sigma = ACTIVATION[name]
    z = Ball(np.array([mid * 1e-3]), np.array([1e-3]), np.zeros(1), U)
    _, slope = sigma.enclose(z)
    low, high = sigma.kink
    reach = slope.rad + slope.kink
    assert slope.mid - reach <= low
    assert high <= slope.mid + reach


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_away_from_the_kink_the_slope_is_certain(name):
    sigma = ACTIVATION[name]
    z = Ball(np.array([-2.1e-3, 2.1e-3]), np.full(2, 1e-3), np.zeros(2), U)
    _, slope = sigma.enclose(z)
    assert slope.mid.tolist() == list(sigma.kink)
    assert not slope.kink.any()
    assert (slope.rad <= U).all()


def test_an_l1_penalty_at_weight_zero_leaves_any_value_between_minus_and_plus_lambda():
    case = Case(mlp([1, 1], l1=0.5), [{"weight": [[0.0]], "bias": [0.0]}], [[1.0]], [[0.0]])
    ball = (
        build(case.architecture)
        .enclose(case.params, case.x, case.y)
        .gradient[tree.Path("params").item(0).item("weight")]
    )
    assert (ball.mid.item(), ball.kink.item()) == (0.0, 0.5)


def test_a_layer_without_a_bound_is_refused_by_name():
    class Unbounded:
        def init(self, rng, shape):
            return {}, None, shape

    network = build(mlp([2, 2]))
    without = replace(network, _chain=Chain([*network._chain.layers, Unbounded()]))
    with pytest.raises(InputError, match="rounding bound"):
        without.enclose(network.init(np.random.default_rng(0)), [[1.0, 2.0]], [[0.0, 0.0]])


# --- ball arithmetic -------------------------------------------------------------------------------

# The radius itself is computed in float64: its own rounding is not part of the claim.
RADIUS_ROUNDING = 1 + 1e-12


def test_an_exact_ball_has_no_radius():
    ball = Ball.exact([[1, 2]], U)
    assert ball.mid.dtype == np.float64
    assert (ball.shape, ball.ndim) == ((1, 2), 2)
    assert not ball.rad.any()
    assert not ball.kink.any()


def test_sums_add_radii_and_round_once():
    a = Ball(np.array([1.0]), np.array([0.25]), np.array([0.5]), U)
    b = Ball(np.array([2.0]), np.array([0.125]), np.array([1.0]), U)
    for total, mid in ((a + b, 3.0), (a - b, -1.0), (b - a, 1.0), (1.0 - b, -1.0), (b + 1.0, 3.0)):
        assert total.mid.item() == mid
    assert (a + b).rad.item() == 0.375 + 3 * U
    assert (a - b).rad.item() == 0.375 + U
    assert (a + b).kink.item() == 1.5
    assert (-a).mid.item() == -1.0
    assert (-a).rad.item() == 0.25


def test_products_of_uncertain_factors():
    a = Ball(np.array([3.0]), np.array([0.5]), np.array([0.0]), U)
    b = Ball(np.array([-2.0]), np.array([0.25]), np.array([0.0]), U)
    product = a * b
    assert product.mid.item() == -6.0
    # both factors' exact values are one radius from the middle, both claims one more beyond
    extreme = abs(4.0 * -2.5 - 3.5 * -2.25)
    assert extreme <= product.rad.item() <= 3 * 0.25 + 0.5 * 2 + 3 * 0.125 + 7 * U
    assert extreme <= (a[None] @ b[:, None]).rad.item() <= 3 * 0.25 + 0.5 * 2 + 3 * 0.125 + 100 * U


def test_dividing_scales_everything():
    a = Ball(np.array([3.0]), np.array([0.5]), np.array([0.25]), U) / 4
    assert a.mid.item() == 0.75
    assert a.rad.item() == pytest.approx(0.125)
    assert a.kink.item() == 0.0625


def test_exact_products_and_sums_carry_the_textbook_constant():
    a, b = Ball.exact(np.ones((2, 10)), U), Ball.exact(np.ones((10, 3)), U)
    for multiplied in (a @ b, a @ b.mid, a.mid @ b):
        assert isinstance(multiplied, Ball)
        np.testing.assert_allclose(multiplied.rad, gamma(16, U) * 10, rtol=1e-12)
    np.testing.assert_allclose(a.sum(axis=1).rad, gamma(16, U) * 10, rtol=1e-12)
    assert a.sum().mid == 20.0
    assert a.T.shape == (10, 2)
    assert a[:, 0].shape == (2,)


def test_gamma_is_infinite_when_nothing_is_left():
    assert gamma(2, 2.0**-1) == np.inf
    assert gamma(1, 2.0**-53) >= 2.0**-53


def test_unit_roundoff_and_underflow_of_the_formats():
    for dtype in (np.float16, np.float32, np.float64):
        u = unit_roundoff(dtype)
        one = np.dtype(dtype).type(1)
        assert one + np.dtype(dtype).type(2 * u) > one
        assert underflow(u) >= np.finfo(dtype).smallest_subnormal


NUMBERS = st.floats(-1e3, 1e3, allow_nan=False).map(lambda v: round(v, 6))
RADII = st.one_of(st.just(0.0), st.floats(1e-12, 1e2))
SHIFTS = st.floats(-1, 1)


@st.composite
def uncertain(draw, shape):
    """A ball with, inside it, the exact value (fractions) and what another implementation holds."""
    mid, rad, exact, claim = (np.empty(shape, dtype=object) for _ in range(4))
    for index in np.ndindex(shape):
        mid[index], rad[index] = draw(NUMBERS), draw(RADII)
        exact[index] = Fraction(mid[index]) + Fraction(draw(SHIFTS)) * Fraction(rad[index])
        wanted = exact[index] + Fraction(draw(SHIFTS)) * Fraction(rad[index])
        claim[index] = float(wanted)
        if abs(Fraction(claim[index]) - exact[index]) > Fraction(rad[index]):
            claim[index], exact[index] = mid[index], Fraction(mid[index])
    ball = Ball(mid.astype(float), rad.astype(float), np.zeros(shape), U)
    return ball, exact, claim.astype(float)


def assert_inside(result, exact, claim):
    for rad, mid, e, c in zip(
        result.rad.flat, result.mid.flat, np.asarray(exact).flat, np.asarray(claim).flat, strict=True
    ):
        allowed = Fraction(float(rad)) * Fraction(RADIUS_ROUNDING)
        assert abs(Fraction(float(c)) - e) <= allowed
        assert abs(Fraction(float(mid)) - e) <= allowed


@settings(max_examples=60, deadline=None, database=None)
@given(uncertain((2,)), uncertain((2,)))
def test_elementwise_results_hold_every_implementation(a, b):
    (A, a_exact, a_claim), (B, b_exact, b_claim) = a, b
    assert_inside(A + B, a_exact + b_exact, a_claim + b_claim)
    assert_inside(A - B, a_exact - b_exact, a_claim - b_claim)
    assert_inside(A * B, a_exact * b_exact, a_claim * b_claim)
    assert_inside(A / 3, a_exact / 3, a_claim / 3)


@settings(max_examples=40, deadline=None, database=None)
@given(uncertain((2, 3)), uncertain((3, 2)), st.permutations(range(3)))
def test_matrix_products_and_sums_hold_every_order(a, b, order):
    (A, a_exact, a_claim), (B, b_exact, b_claim) = a, b
    order = list(order)
    assert_inside(A @ B, a_exact @ b_exact, a_claim[:, order] @ b_claim[order])
    sequential = np.zeros((2, 2))
    for k in order:
        sequential = sequential + np.outer(a_claim[:, k], b_claim[k])
    assert_inside(A @ B, a_exact @ b_exact, sequential)
    assert_inside(A.sum(axis=1), a_exact.sum(axis=1), a_claim[:, order].sum(axis=1))
    assert_inside(A.sum(), a_exact.sum(), a_claim[::-1].sum())


@settings(max_examples=60, deadline=None, database=None)
@given(uncertain((1, 3)))
def test_activations_hold_every_implementation(drawn):
    ball, exact, claim = drawn
    how = arithmetic(np.float64)
    scaled = Ball(ball.mid / 64, ball.rad / 64, ball.kink, U)  # |z| up to 16; a power of two rounds nothing
    for name, sigma in ACTIVATION.items():
        value, slope = sigma.enclose(scaled)
        with np.errstate(all="ignore"):
            at = claim / 64 if np.all(abs(claim / 64 - ball.mid / 64) <= ball.rad / 64) else scaled.mid
            # not by way of a float: its rounding may be a part of the radius that counts
            at_exact = EXACT.array(at) if not ball.rad.any() else _each(_fraction)(exact / 64)
            if name == "softmax":
                pairs = [(value, how.softmax(at), EXACT.softmax(at_exact))]
            else:
                computed = how.sigma[name][0](at)
                right = EXACT.sigma[name][0](at_exact)
                pairs = [
                    (value, computed, right),
                    (slope, how.sigma[name][1](at, computed), EXACT.sigma[name][1](at_exact, right)),
                ]
        for enclosed, claimed, right in pairs:
            high, low = (
                np.array(part).reshape(np.shape(right))
                for part in zip(*(_split(v) for v in np.asarray(right).flat), strict=True)
            )
            assert excess(enclosed, claimed, (high, low)) <= RADIUS_ROUNDING, name
