"""The symbolic witness against numbers that were found in other ways."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import mpmath
import numpy as np
import pytest
import scipy.special
import sympy
from choosing import product

from bpcheck import Case, InputError, mlp, symbolic, tree
from bpcheck.network.architecture import Architecture
from bpcheck.network.layers import Dense, Skip
from bpcheck.symbolic import activation

DIGITS = 80


def draw(architecture: Architecture, batch: int = 2, seed: int = 0, dtype: type = np.float64) -> Case:
    rng = np.random.default_rng(seed)

    def fill(shapes):
        if isinstance(shapes, tuple):
            return rng.normal(size=shapes).astype(dtype)
        if isinstance(shapes, dict):
            return {key: fill(shape) for key, shape in shapes.items()}
        return [fill(shape) for shape in shapes]

    params = fill(architecture.parameter_shapes)
    x = rng.normal(size=(batch, *architecture.input_shape))
    y = rng.uniform(size=(batch, *architecture.output_shape))
    if architecture.loss == "cross_entropy":
        y /= y.sum(axis=1, keepdims=True)
    return Case(architecture, params, x, y)


def unit(name: str, z: float, y: float = 0.0, **options) -> Case:
    """One unit at pre-activation z: C = ½ (σ(z) − y)², and ∂C/∂b = (σ(z) − y) σ'(z)."""
    architecture = mlp([1, 1], output=name, **options)
    return Case(architecture, [{"weight": [[0.0]], "bias": [z]}], x=[[1.0]], y=[[y]])


def flat(testimony) -> list[float]:
    return [float(v) for array in testimony.gradient.values() for v in array.flat]


def errors(testimony) -> list[float]:
    return [float(v) for array in testimony.error.values() for v in array.flat]


def holds(value: float, error: float, exact) -> bool:
    """Whether the exact number lies within the bound."""
    return abs(mpmath.mpf(value) - exact) <= mpmath.mpf(error)


# ---------------------------------------------------------------- closed forms


def test_numbers_worked_out_by_hand():
    # z = 2·3 + 1 = 7, C = ½ (7 − 5)² = 2, ∂C/∂b = 2, ∂C/∂w = 2·3
    case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], x=[[3.0]], y=[[5.0]])
    testimony = symbolic.testify(case)
    assert (testimony.witness, testimony.loss, testimony.loss_error) == ("symbolic", 2.0, 0.0)
    assert flat(testimony) == [6.0, 2.0]
    assert errors(testimony) == [0.0, 0.0]


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 0.5), ("sum", 1.0)])
def test_the_batch_is_reduced(reduction, factor):
    # residuals 2·1 − 0 = 2 and 2·3 − 2 = 4
    case = Case(
        mlp([1, 1], reduction=reduction),
        [{"weight": [[2.0]], "bias": [0.0]}],
        x=[[1.0], [3.0]],
        y=[[0.0], [2.0]],
    )
    testimony = symbolic.testify(case)
    assert testimony.loss == factor * (0.5 * 2**2 + 0.5 * 4**2)
    assert flat(testimony) == [factor * (2 * 1 + 4 * 3), factor * (2 + 4)]


FORMULAS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: (1 + mpmath.tanh(z / 2)) / 2,
    "tanh": lambda z: (mpmath.exp(2 * z) - 1) / (mpmath.exp(2 * z) + 1),
    "relu": lambda z: (z + abs(z)) / 2,
    "leaky_relu": lambda z: z if z > 0 else mpmath.mpf(0.01) * z,
    "softplus": lambda z: z / 2 + mpmath.log(2 * mpmath.cosh(z / 2)),
    "gelu": lambda z: z * mpmath.ncdf(z),
    "silu": lambda z: z * mpmath.exp(z) / (1 + mpmath.exp(z)),
}


def agrees_with_formula(name: str, z: float) -> bool:
    """σ(z) and σ'(z) of the witness against other formulas, σ' by mpmath's numerical derivative."""
    testimony = symbolic.testify(unit(name, z, y=-1.0))
    with mpmath.workdps(DIGITS):
        a = FORMULAS[name](mpmath.mpf(z)) + 1
        with mpmath.workdps(2 * DIGITS):
            slope = mpmath.diff(FORMULAS[name], mpmath.mpf(z))
        # mpmath.diff leaves about half of its digits
        return holds(testimony.loss, testimony.loss_error, a**2 / 2) and holds(
            flat(testimony)[1], errors(testimony)[1] * (1 + 1e-9) + 1e-60, a * slope
        )


@pytest.mark.parametrize(("z", "name"), product([-7.5, -0.3, 0.1, 2.0, 12.0], FORMULAS))
def test_activation(name, z):
    assert agrees_with_formula(name, z)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("tanh", lambda z: sympy.tanh(z) * (1 + sympy.Rational(1, 10**14))),
        ("sigmoid", lambda z: 1 / (1 + sympy.exp(-2 * z))),
        ("relu", lambda z: sympy.Max(0, z) + sympy.Rational(1, 10**15)),
        ("gelu", lambda z: z / (1 + sympy.exp(-sympy.Rational(1.702) * z))),
    ],
)
def test_a_planted_wrong_formula_is_caught(monkeypatch, name, wrong):
    assert agrees_with_formula(name, 2.0)
    monkeypatch.setattr(activation, "ACTIVATION", {**activation.ACTIVATION, name: wrong})
    assert not agrees_with_formula(name, 2.0)


def test_softmax_with_squares():
    testimony = symbolic.testify(
        Case(
            mlp([1, 2], output="softmax"),
            [{"weight": [[0.0], [0.0]], "bias": [0.3, -1.2]}],
            [[1.0]],
            [[0.0, 0.0]],
        )
    )
    with mpmath.workdps(DIGITS):
        p = 1 / (1 + mpmath.exp(mpmath.mpf(-1.2) - mpmath.mpf(0.3)))
        q = 1 - p
        assert holds(testimony.loss, testimony.loss_error, (p**2 + q**2) / 2)
        bias = flat(testimony)[2:], errors(testimony)[2:]
        for value, error, exact in zip(*bias, (p * q * (p - q), p * q * (q - p)), strict=True):
            assert holds(value, error, exact)


OUTPUTS = np.array([[0.3, -2.5, 1.0], [4.0, 0.0, -0.25]])
TARGETS = np.array([[0.0, 1.0, 0.0], [0.25, 0.5, 0.25]])
LOSSES = {
    "half_mse": lambda a, y: 0.5 * ((a - y) ** 2).sum(1),
    "mse": lambda a, y: ((a - y) ** 2).mean(1),
    "huber": lambda a, y: scipy.special.huber(1.0, a - y).sum(1),
    "binary_cross_entropy": lambda z, y: (
        scipy.special.log1p(np.exp(-abs(z))) + np.maximum(z, 0) - y * z
    ).sum(1),
    "cross_entropy": lambda z, y: -(y * scipy.special.log_softmax(z, axis=1)).sum(1),
}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", LOSSES)
def test_loss(loss, reduction):
    """Inputs pass an identity layer, so the outputs are as given."""
    architecture = mlp([3, 3], output="identity", loss=loss, reduction=reduction)
    case = Case(architecture, [{"weight": np.eye(3), "bias": np.zeros(3)}], OUTPUTS, TARGETS)
    expected = getattr(LOSSES[loss](OUTPUTS, TARGETS), reduction)()
    assert symbolic.testify(case).loss == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "cross_entropy"])
def test_logits_and_probabilities_are_the_same_network(loss):
    given = draw(mlp([2, 3], loss=loss))
    logits = Case(mlp([2, 3], loss=loss, output="identity"), given.params, given.x, given.y)
    one, other = symbolic.testify(given), symbolic.testify(logits)
    assert one.loss == other.loss
    assert flat(one) == flat(other)


def test_against_high_precision_differences():
    """A cost written directly in mpmath, differenced at 160 digits; every parameter."""
    architecture = mlp([2, 2, 2], loss="cross_entropy", l1=0.1, l2=0.3, penalize_bias=True)
    case = draw(architecture, batch=2, seed=3)
    names = [(path, index) for path, leaf in tree.leaves(case.params) for index in np.ndindex(leaf.shape)]
    start = [mpmath.mpf(float(v)) for _, leaf in tree.leaves(case.params) for v in leaf.flat]

    def direct(v):
        w1, b1, w2, b2 = v[0:4], v[4:6], v[6:10], v[10:12]
        total = mpmath.mpf(0)
        for x, y in zip(case.x, case.y, strict=True):
            h = [mpmath.tanh(w1[2 * j] * x[0] + w1[2 * j + 1] * x[1] + b1[j]) for j in range(2)]
            z = [w2[2 * j] * h[0] + w2[2 * j + 1] * h[1] + b2[j] for j in range(2)]
            normal = mpmath.log(mpmath.exp(z[0]) + mpmath.exp(z[1]))
            total += sum(mpmath.mpf(y[j]) * (normal - z[j]) for j in range(2)) / 2
        l1, l2 = mpmath.mpf(0.1), mpmath.mpf(0.3)
        return total + l1 * sum(abs(p) for p in v) + l2 / 2 * sum(p * p for p in v)

    testimony = symbolic.testify(case)
    with mpmath.workdps(160):
        h = mpmath.mpf(10) ** -40
        assert holds(testimony.loss, testimony.loss_error, direct(start))
        for k, (path, index) in enumerate(names):
            up, down = list(start), list(start)
            up[k] += h
            down[k] -= h
            slope = (direct(up) - direct(down)) / (2 * h)
            value, error = testimony.gradient[path][index], testimony.error[path][index]
            assert holds(float(value), float(error) * (1 + 1e-9) + 1e-60, slope), path


# ---------------------------------------------------------------- structure


ARCHITECTURES = [
    mlp([2, 2, 1]),
    pytest.param(mlp([1, 2, 2], activation="softmax", loss="huber"), marks=pytest.mark.full),
    mlp([2, 2], loss="binary_cross_entropy", l1=0.1, l2=0.2),
    mlp([2, 2, 2], activation="relu", loss="mse", reduction="sum"),
    mlp([1, 2, 1], activation="gelu", l1=0.5, penalize_bias=True),
    Architecture((2,), (Skip((Dense(2, "silu"), Dense(2, "softplus"))), Dense(1, "leaky_relu"))),
]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=repr)
def test_the_engines_agree_to_the_last_bit(architecture):
    case = draw(architecture)
    fast, slow = (symbolic.testify(case, engine=name) for name in ("symengine", "sympy"))
    assert (fast.loss, flat(fast)) == (slow.loss, flat(slow))
    assert list(fast.gradient) == list(slow.gradient) == [path for path, _ in tree.leaves(case.params)]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=repr)
def test_the_bound_is_half_an_ulp(architecture):
    testimony = symbolic.testify(draw(architecture))
    for value, error in [
        (testimony.loss, testimony.loss_error),
        *zip(flat(testimony), errors(testimony), strict=True),
    ]:
        assert 0 <= error <= 0.5000001 * np.spacing(abs(value))


def test_a_skip_connection_adds_its_input():
    # x + (w x + b) with w = 2, b = 1, x = 3: a = 10; C = ½ (10 − 4)² = 18
    architecture = Architecture((1,), (Skip((Dense(1),)),))
    testimony = symbolic.testify(Case(architecture, [[{"weight": [[2.0]], "bias": [1.0]}]], [[3.0]], [[4.0]]))
    assert testimony.loss == 18.0
    assert {str(path): value.tolist() for path, value in testimony.gradient.items()} == {
        "params[0][0]['weight']": [[18.0]],
        "params[0][0]['bias']": [6.0],
    }


@pytest.mark.parametrize("penalize_bias", [False, True])
def test_penalties(penalize_bias):
    # the target is met, so only the penalty is left; it is not divided by the batch of 2
    architecture = mlp([1, 1], l1=0.5, l2=0.25, penalize_bias=penalize_bias)
    case = Case(architecture, [{"weight": [[-2.0]], "bias": [4.0]}], [[1.0], [1.0]], [[2.0], [2.0]])
    testimony = symbolic.testify(case)
    assert testimony.loss == (0.5 * 2 + 0.125 * 4) + penalize_bias * (0.5 * 4 + 0.125 * 16)
    assert flat(testimony) == [-0.5 + 0.25 * -2.0, penalize_bias * (0.5 + 0.25 * 4.0)]


def test_penalty_factors_are_the_doubles_given():
    testimony = symbolic.testify(
        Case(mlp([1, 1], l1=0.1), [{"weight": [[1.0]], "bias": [0.0]}], [[0.0]], [[0.0]])
    )
    assert (testimony.loss, testimony.loss_error) == (0.1, 0.0)


def test_float32_parameters_are_taken_as_they_are():
    single = draw(mlp([2, 2, 1]), dtype=np.float32)
    assert single.params[0]["weight"].dtype == np.float32
    double = Case(
        single.architecture,
        tree.restore(single.params, [leaf.astype(float) for _, leaf in tree.leaves(single.params)]),
        single.x,
        single.y,
    )
    one, other = symbolic.testify(single), symbolic.testify(double)
    assert (one.loss, flat(one)) == (other.loss, flat(other))
    assert all(array.dtype == np.float64 and not array.flags.writeable for array in one.gradient.values())


def test_a_long_chain_does_not_exhaust_the_stack():
    layers = [{"weight": [[1.0]], "bias": [0.0]}] * 45
    testimony = symbolic.testify(Case(mlp([1] * 46, activation="identity"), layers, [[1.0]], [[0.0]]))
    assert flat(testimony) == [1.0] * 90


def test_depth_does_not_explode():
    """Ten layers of three: 59 049 paths, which took seconds while symengine searched them for a free name."""
    case = draw(mlp([3] * 10, activation="silu"), batch=1)
    testimony = symbolic.testify(case)
    assert np.isfinite(flat(testimony)).all()
    assert len(flat(testimony)) == 108


# ---------------------------------------------------------------- saturation


@pytest.mark.parametrize("z", [800.0, -800.0])
@pytest.mark.parametrize("name", [name for name in FORMULAS if name != "identity"])
def test_saturated_units(name, z):
    testimony = symbolic.testify(unit(name, z, y=-1.0))
    with mpmath.workdps(1000):
        a = FORMULAS[name](mpmath.mpf(z)) + 1
        assert holds(testimony.loss, testimony.loss_error, a**2 / 2)
    assert np.isfinite(flat(testimony)).all()
    assert max(errors(testimony)) <= 1e-13


def test_two_precisions_that_agree_on_a_wrong_zero():
    """1 − tanh²(200) is 0 at 200 bits and at 400; the derivative is 7.7e-174 all the same."""
    testimony = symbolic.testify(unit("tanh", 200.0))
    with mpmath.workdps(400):
        exact = mpmath.tanh(200) * mpmath.sech(200) ** 2
        assert holds(flat(testimony)[1], errors(testimony)[1], exact)
    assert flat(testimony)[1] > 7e-174


@pytest.mark.parametrize(("z", "y", "loss"), [(800.0, 1.0, 0.0), (-800.0, 1.0, 800.0), (800.0, 0.0, 800.0)])
def test_saturated_binary_cross_entropy(z, y, loss):
    testimony = symbolic.testify(unit("sigmoid", z, y, loss="binary_cross_entropy"))
    assert testimony.loss == loss
    assert flat(testimony)[1] == (0.0 if loss == 0 else np.sign(z))


def test_what_float64_cannot_hold_is_refused():
    with pytest.raises(InputError, match="cost is beyond the range of float64"):
        symbolic.testify(unit("identity", 1e300))


def test_what_no_precision_settles_is_refused():
    # 1 − σ(10⁶) takes 1.44 million bits
    with pytest.raises(InputError, match="25600 bits do not settle"):
        symbolic.testify(unit("sigmoid", 1e6, 0.0, loss="binary_cross_entropy"))


# ---------------------------------------------------------------- kinks


@pytest.mark.parametrize("engine", ["symengine", "sympy"])
@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_a_unit_at_its_kink_is_refused(name, engine):
    case = Case(
        mlp([1, 2, 1], activation=name),
        [
            {"weight": [[1.0], [2.0]], "bias": [0.0, -6.0]},
            {"weight": [[1.0, 1.0]], "bias": [0.0]},
        ],
        x=[[1.0], [3.0]],
        y=[[0.0], [0.0]],
    )
    message = rf"unit 1 of params\[0\] \({name}\), example 1: it is exactly at its kink.*interval.*numeric"
    with pytest.raises(InputError, match=message):
        symbolic.testify(case, engine=engine)


def test_next_to_a_kink_is_not_at_it():
    tiny = np.nextafter(0.0, 1.0)
    assert flat(symbolic.testify(unit("relu", tiny, y=-1.0)))[1] == 1.0
    assert flat(symbolic.testify(unit("relu", -tiny, y=-1.0)))[1] == 0.0
    # 1 + 1e-300 − 1: exact, though no 200 bits hold the sum
    case = Case(
        mlp([3, 1], output="relu"), [{"weight": [[1.0, 1e-300, -1.0]], "bias": [0.0]}], [[1.0] * 3], [[-1.0]]
    )
    assert flat(symbolic.testify(case))[3] == 1.0


def test_a_kink_that_only_more_bits_could_tell_is_refused():
    # tanh(1) − tanh(1): zero, but no precision proves it
    case = Case(
        mlp([1, 2, 1], output="relu"),
        [{"weight": [[1.0], [0.0]], "bias": [0.0, 1.0]}, {"weight": [[1.0, -1.0]], "bias": [0.0]}],
        [[1.0]],
        [[1.0]],
    )
    with pytest.raises(InputError, match=r"params\[1\] \(relu\).*cannot be told apart from its kink"):
        symbolic.testify(case)


def test_a_zero_weight_under_an_l1_penalty_is_refused():
    case = Case(mlp([2, 1], l1=0.1), [{"weight": [[1.0, 0.0]], "bias": [0.0]}], [[1.0, 1.0]], [[0.0]])
    with pytest.raises(
        InputError, match=r"params\[0\]\['weight'\]\[0, 1\] under the l1 penalty: it is exactly"
    ):
        symbolic.testify(case)


def test_a_zero_bias_is_fine_unless_it_is_penalised():
    params = [{"weight": [[1.0]], "bias": [0.0]}]
    assert symbolic.testify(Case(mlp([1, 1], l1=0.5), params, [[1.0]], [[1.0]])).loss == 0.5
    with pytest.raises(InputError, match=r"params\[0\]\['bias'\]\[0\]"):
        symbolic.testify(Case(mlp([1, 1], l1=0.5, penalize_bias=True), params, [[1.0]], [[1.0]]))


@pytest.mark.parametrize("z", [1.0, -1.0])
def test_huber_has_no_kink(z):
    testimony = symbolic.testify(unit("identity", z, loss="huber"))
    assert testimony.loss == 0.5
    assert flat(testimony)[1] == z


# ---------------------------------------------------------------- refusals and surroundings


@pytest.mark.parametrize(
    ("engine", "widths", "size", "limit"),
    [
        ("symengine", [784, 30, 10], "1,138,599,200", "500,000"),
        ("sympy", [8, 8, 4], "23,328", "12,000"),
    ],
)
def test_large_networks_are_refused(engine, widths, size, limit):
    case = draw(mlp(widths), batch=1)
    with pytest.raises(InputError, match=f"is {size}, the limit {limit}.*complex step, bpcheck.numeric"):
        symbolic.testify(case, engine=engine)


def test_a_softmax_counts_for_more_in_sympy():
    case = draw(mlp([4, 5, 3], activation="softmax", loss="cross_entropy"), batch=3)
    with pytest.raises(InputError, match=r"paths .* is 4,320, the limit 1,000.*pip install symengine"):
        symbolic.testify(case, engine="sympy")


def test_without_symengine(monkeypatch):
    case = draw(mlp([1, 1]))
    fast = symbolic.testify(case)
    monkeypatch.setitem(sys.modules, "symengine", None)
    assert flat(symbolic.testify(case)) == flat(fast)
    with pytest.raises(InputError, match="pip install symengine"):
        symbolic.testify(case, engine="symengine")


@pytest.mark.parametrize(
    "options", [{"engine": "maple"}, {"precision": 53}, {"precision": True}, {"precision": 1e3}]
)
def test_wrong_options(options):
    with pytest.raises(InputError, match=next(iter(options))):
        symbolic.testify(draw(mlp([1, 1])), **options)


def test_wrong_case():
    with pytest.raises(InputError, match=r"bpcheck\.Case"):
        symbolic.testify(mlp([1, 1]))


def test_precision_does_not_change_the_answer():
    case = draw(mlp([2, 2, 1], activation="silu"))
    answers = [symbolic.testify(case, precision=bits) for bits in (64, 200, 900)]
    assert flat(answers[0]) == flat(answers[1]) == flat(answers[2])


def test_nobody_elses_precision_is_touched_or_used():
    cases = [draw(mlp([2, 2, 1], activation="gelu"), seed=seed) for seed in range(4)]
    alone = [flat(symbolic.testify(case)) for case in cases]
    with mpmath.workprec(20), ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda case: flat(symbolic.testify(case)), cases))
        assert mpmath.mp.prec == 20
    assert together == alone


@pytest.mark.full
def test_the_other_witnesses_are_not_imported():
    script = (
        "import sys, bpcheck.symbolic; "
        "print([m for m in sys.modules if m.startswith(('bpcheck.reference', 'bpcheck.numeric', 'bpcheck.diagnosis'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
