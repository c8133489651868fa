"""The certified witness against numbers that were found in other ways."""

import subprocess
import sys
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from choosing import product

from bpcheck import Architecture, Case, InputError, certified, mlp, symbolic, tree
from bpcheck.certified import activation, oracle
from bpcheck.check.agreement import agree
from bpcheck.network.architecture import LOSSES
from bpcheck.network.layers import Dense, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.strategies.values import case_from_seed

# Central differences with a step of 1e-40 at 130 digits: off by some 1e-80, far below every bound here.
DIGITS = 130
STEP = mpmath.mpf(10) ** -40
NEGLIGIBLE = mpmath.mpf(10) ** -60


def by_hand(reduction="mean", **options):
    # residuals 2·1 − 0 = 2 and 2·3 − 2 = 4
    network = mlp([1, 1], reduction=reduction, **options)
    return Case(network, [{"weight": [[2.0]], "bias": [0.0]}], x=[[1.0], [3.0]], y=[[0.0], [2.0]])


def flat(testimony):
    return [float(v) for array in testimony.gradient.values() for v in array.flat]


# --- the whole cost once more, in mpmath ---------------------------------------------------------

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


def squash(name, z):
    if name == "softmax":
        return [1 / mpmath.fsum(mpmath.exp(other - own) for other in z) for own in z]
    return [FORMULAS[name](value) for value in z]


def loss_of(name, a, y):
    pairs = list(zip(a, y, strict=True))
    if name in ("half_mse", "mse"):
        return mpmath.fsum((p - q) ** 2 for p, q in pairs) / (2 if name == "half_mse" else len(a))
    if name == "huber":
        return mpmath.fsum((p - q) ** 2 / 2 if abs(p - q) <= 1 else abs(p - q) - 0.5 for p, q in pairs)
    if name == "cross_entropy":
        return -mpmath.fsum(q * mpmath.log(p) for p, q in pairs if q)
    return -mpmath.fsum(q * mpmath.log(p) + (1 - q) * mpmath.log(1 - p) for p, q in pairs)


def cost(case, params):
    network, total = case.architecture, mpmath.mpf(0)
    for x, y in zip(case.x.tolist(), case.y.tolist(), strict=True):
        a = [mpmath.mpf(v) for v in x]
        for spec, layer in zip(network.layers, params, strict=True):
            rows = zip(layer["weight"], layer["bias"], strict=True)
            a = squash(spec.activation, [mpmath.fdot(row, a) + b for row, b in rows])
        if network.output == "identity" and network.loss in ("cross_entropy", "binary_cross_entropy"):
            a = squash("softmax" if network.loss == "cross_entropy" else "sigmoid", a)
        total += loss_of(network.loss, a, y)
    total /= case.batch if network.reduction == "mean" else 1
    for layer in params:
        for name, leaf in layer.items():
            if name == "weight" or network.penalize_bias:
                total += mpmath.mpf(network.l1) * mpmath.fsum(abs(w) for w in leaf.flat)
                total += mpmath.mpf(network.l2) * mpmath.fsum(w**2 for w in leaf.flat) / 2
    return total


def exact_array(leaf):
    return np.array([mpmath.mpf(float(v)) for v in leaf.flat], dtype=object).reshape(leaf.shape)


def check_against_mpmath(case, *, digits=DIGITS, most=8):
    """Loss and up to ``most`` entries, within the bounds that the witness states. False if one is outside."""
    testimony = certified.testify(case)
    with mpmath.workdps(digits):
        params = [{name: exact_array(leaf) for name, leaf in layer.items()} for layer in case.params]
        right = abs(mpmath.mpf(testimony.loss) - cost(case, params)) <= testimony.loss_error + NEGLIGIBLE
        entries = [(p, k) for p, leaf in testimony.gradient.items() for k in np.ndindex(leaf.shape)]
        for path, index in entries[:: max(1, len(entries) // most)]:
            leaf = params[int(path.keys[0][1:-1])][path.keys[1][2:-2]]
            here = leaf[index]
            leaf[index] = here + STEP
            above = cost(case, params)
            leaf[index] = here - STEP
            slope = (above - cost(case, params)) / (2 * STEP)
            leaf[index] = here
            error = abs(mpmath.mpf(float(testimony.gradient[path][index])) - slope)
            right = right and error <= testimony.error[path][index] + NEGLIGIBLE
    return bool(right)


@pytest.mark.parametrize("place", ["hidden", "output"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name, place):
    options = {"activation": name} if place == "hidden" else {"output": name}
    assert check_against_mpmath(case_from_seed(mlp([2, 2, 2], **options), 2, 1))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("options", [{}, {"output": "identity", "reduction": "sum"}], ids=repr)
def test_every_loss(loss, options):
    case = case_from_seed(mlp([1, 2, 3], loss=loss, l1=0.1, l2=0.3, penalize_bias=True, **options), 2, 2)
    assert check_against_mpmath(case)


def test_huber_inside_at_and_outside_its_corner():
    # z = x, so the residuals are 0.5, 1 and −3; the slopes 0.5, 1 and −1
    network = mlp([1, 1], loss="huber", reduction="sum")
    case = Case(network, [{"weight": [[1.0]], "bias": [0.0]}], [[0.5], [1.0], [-3.0]], np.zeros((3, 1)))
    testimony = certified.testify(case)
    assert testimony.loss == 0.125 + 0.5 + 2.5
    assert flat(testimony) == [0.25 + 1.0 + 3.0, 0.5 + 1.0 - 1.0]


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "gelu", "silu"])
def test_a_planted_wrong_slope_leaves_the_bounds(name, monkeypatch):
    case = case_from_seed(mlp([2, 2, 2], activation=name), 2, 1)
    right = activation.SMOOTH[name]
    wrong = activation.Smooth(right.value, lambda z, a: right.slope(z, a) * (1 + 2**-50 * z))
    monkeypatch.setattr("bpcheck.certified.units.SMOOTH", {**activation.SMOOTH, name: wrong})
    assert not check_against_mpmath(case)


# --- closed forms --------------------------------------------------------------------------------


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 0.5), ("sum", 1.0)])
def test_numbers_worked_out_by_hand(reduction, factor):
    testimony = certified.testify(by_hand(reduction))
    assert testimony.witness == "certified"
    assert (testimony.loss, testimony.loss_error) == (factor * (0.5 * 2**2 + 0.5 * 4**2), 0.0)
    assert flat(testimony) == [factor * (2 * 1 + 4 * 3), factor * (2 + 4)]
    assert all((error == 0).all() for error in testimony.error.values())


def test_an_error_is_about_half_an_ulp_and_never_too_small():
    testimony = certified.testify(case_from_seed(mlp([3, 4, 2], activation="gelu"), 3, 5))
    for path, values in testimony.gradient.items():
        ulps = testimony.error[path] / np.spacing(abs(values))
        assert (ulps <= 0.5001).all()
        assert (ulps > 0.49).all()


def two_units(name, z, factor):
    """C = ½ softplus(factor · (σ(z) + σ(−z)))²."""
    layers = [
        {"weight": [[0.0], [0.0]], "bias": [z, -z]},
        {"weight": [[factor, factor]], "bias": [0.0]},
    ]
    return Case(mlp([1, 2, 1], activation=name, output="softplus"), layers, [[1.0]], [[0.0]])


@pytest.mark.parametrize(("z", "name"), product([-800.0, -40.0, 40.0, 800.0], ACTIVATIONS))
def test_saturated_units(name, z):
    assert check_against_mpmath(two_units(name, z, 1.0))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_enormous_numbers_do_not_overflow(name):
    testimony = certified.testify(two_units(name, 1e300, 1e-300))
    into = {"identity": 0.0, "tanh": 0.0, "sigmoid": 0.0, "softmax": 0.0, "leaky_relu": 1.0 - 0.01}.get(
        name, 1.0
    )
    assert testimony.loss == pytest.approx(0.5 * np.log1p(np.exp(into)) ** 2, rel=1e-15)


@pytest.mark.parametrize("z", [50.0, 500.0])
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "cross_entropy"])
def test_confident_and_wrong_outputs(loss, z):
    """1 − σ(500) is e⁻⁵⁰⁰: the probability rounds to 1, and its logarithm must not be lost."""
    network = mlp([1, 2], loss=loss)
    case = Case(network, [{"weight": [[0.0], [0.0]], "bias": [z, -z]}], [[1.0]], [[0.0, 1.0]])
    testimony = certified.testify(case)
    assert testimony.loss == pytest.approx(2 * z, rel=1e-15)
    assert check_against_mpmath(case, digits=1000)


@pytest.mark.parametrize("scale", [1e-150, 1e-20, 1e20, 1e100])
def test_magnitudes(scale):
    case = Case(
        mlp([2, 2, 1], activation="relu", loss="mse"),
        [
            {"weight": [[scale, 1.0], [-1.0, scale]], "bias": [1.0, 0.5]},
            {"weight": [[1.0, -2.0]], "bias": [0.0]},
        ],
        [[1.0, 2.0]],
        [[scale]],
    )
    said = certified.testify(case), symbolic.testify(case)
    for path, values in said[0].gradient.items():
        assert (abs(values - said[1].gradient[path]) <= said[0].error[path] + said[1].error[path]).all()
        assert (said[0].error[path] <= np.spacing(abs(values))).all()


def test_what_float64_cannot_hold_is_refused():
    case = Case(mlp([1, 1]), [{"weight": [[1e200]], "bias": [0.0]}], [[1e200]], [[0.0]])
    with pytest.raises(InputError, match="beyond the range of float64"):
        certified.testify(case)


def test_an_exact_zero_is_zero_and_a_gradient_below_every_double_is_not_called_exact():
    case = Case(
        mlp([2, 1], output="tanh"), [{"weight": [[1.0, 1.0]], "bias": [800.0]}], [[0.0, 1.0]], [[0.0]]
    )
    testimony = certified.testify(case)
    weight, error = (next(iter(found.values())) for found in (testimony.gradient, testimony.error))
    assert weight.tolist() == [[0.0, 0.0]]
    assert error[0, 0] == 0.0  # the input is 0
    assert 0.0 < error[0, 1] <= 1e-323  # 4 e⁻¹⁶⁰² is not


def test_precision_is_raised_until_the_number_is_settled():
    """(1 + 2⁻¹⁰⁰) − 1 in one unit's z: 64 bits see nothing of it, and do not stop there."""
    params = [{"weight": [[1.0, 2.0**-100, -1.0]], "bias": [0.0]}]
    case = Case(mlp([3, 1], output="tanh"), params, [[1.0, 1.0, 1.0]], [[0.0]])
    testimony = certified.testify(case, precision=64)
    assert flat(testimony)[3] == 2.0**-100
    assert list(testimony.error.values())[1][0] <= 2.0**-152


def test_numbers_longer_than_a_double_are_taken_as_they_are():
    if np.finfo(np.longdouble).nmant <= np.finfo(float).nmant:  # the platform has none
        assert np.dtype(np.longdouble).itemsize == 8
        return
    third = np.longdouble(1) / 3
    case = Case(mlp([1, 1]), [{"weight": np.array([[third]]), "bias": np.zeros(1)}], [[3.0]], [[1.0]])
    # 3·⅓ − 1 is what rounding ⅓ left, and would be another number in float64
    left = float(3 * Fraction(*third.as_integer_ratio()) - 1)
    assert abs(left) <= 2.0**-64
    assert flat(certified.testify(case)) == [3 * left, left]


def test_float32_parameters():
    case = case_from_seed(mlp([2, 3, 2]), 2, 3)
    small = [{k: v.astype(np.float32) for k, v in layer.items()} for layer in case.params]
    assert check_against_mpmath(Case(case.architecture, small, case.x.astype(np.float32), case.y))


@pytest.mark.parametrize("loss", ["half_mse", "cross_entropy"])
def test_skip_connections_and_penalties(loss):
    layers = (Dense(3, "tanh"), Skip((Dense(2, "sigmoid"), Skip((Dense(2, "silu"),)), Dense(3))), Dense(2))
    case = case_from_seed(Architecture((2,), layers, loss, l1=0.25, l2=0.5, penalize_bias=True), 2, 9)
    assert all(c.verdict.ok for c in agree(certified.testify(case), symbolic.testify(case)))


def test_a_network_that_ends_in_a_skip_connection():
    layers = (Dense(3, "tanh"), Skip((Dense(3, "sigmoid"),)))
    case = case_from_seed(Architecture((2,), layers, "cross_entropy"), 2, 9)
    assert all(c.verdict.ok for c in agree(certified.testify(case), symbolic.testify(case)))


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_a_unit_exactly_at_its_kink(name):
    params = [{"weight": [[1.0], [1.0]], "bias": [0.5, -1.0]}, {"weight": [[1.0, 1.0]], "bias": [0.0]}]
    case = Case(mlp([1, 2, 1], activation=name), params, [[2.0], [1.0]], [[9.0], [9.0]])
    message = rf"unit 1 of params\[0\] \({name}\), example 1: it is exactly at its kink.*bpcheck\.certify"
    with pytest.raises(InputError, match=message):
        certified.testify(case)


def test_a_kink_that_only_more_bits_tell_apart():
    """Z = 2⁻³⁰⁰, hidden behind 1 − 1."""
    params = [{"weight": [[1.0, 2.0**-300, -1.0]], "bias": [0.0]}, {"weight": [[1.0]], "bias": [0.0]}]
    case = Case(mlp([3, 1, 1], activation="relu"), params, [[1.0, 1.0, 1.0]], [[1.0]])
    assert flat(certified.testify(case))[3] == -1.0
    turned = [{"weight": -np.array(params[0]["weight"]), "bias": [0.0]}, params[1]]
    other = Case(case.architecture, turned, case.x, case.y)
    assert flat(certified.testify(other))[3] == 0.0


def test_a_kink_that_no_precision_tells_apart(monkeypatch):
    monkeypatch.setattr(oracle, "MAX_PRECISION", 512)
    # tanh(1) − tanh(1) is 0, and no number of digits proves it
    layers = [{"weight": [[1.0], [1.0]], "bias": [0.0, 0.0]}, {"weight": [[1.0, -1.0]], "bias": [0.0]}]
    network = Architecture((1,), (Dense(2, "tanh"), Dense(1, "relu")))
    with pytest.raises(InputError, match=r"cannot be told apart from its kink with 512 bits"):
        certified.testify(Case(network, layers, [[1.0]], [[1.0]]))


def test_a_weight_of_zero_under_an_l1_penalty():
    case = Case(mlp([2, 1], l1=0.5), [{"weight": [[1.0, 0.0]], "bias": [0.0]}], [[1.0, 1.0]], [[0.0]])
    with pytest.raises(InputError, match=r"params\[0\]\['weight'\]\[0, 1\] under the l1 penalty"):
        certified.testify(case)


@pytest.mark.parametrize("precision", [10, 2**20, 128.0, True, None])
def test_a_precision_that_makes_no_sense(precision):
    with pytest.raises(InputError, match="give bits between 64 and 8192"):
        certified.testify(by_hand(), precision=precision)


def test_what_is_no_case():
    with pytest.raises(InputError, match=r"case is list \[1\]; make one with bpcheck\.Case"):
        certified.testify([1])


# --- manners -------------------------------------------------------------------------------------


def test_it_stands_on_its_own_and_flint_is_loaded_late():
    code = (
        "import sys, bpcheck, bpcheck.certified\n"
        "assert 'flint' not in sys.modules\n"
        "case = bpcheck.Case(bpcheck.mlp([1, 1]), [{'weight': [[2.0]], 'bias': [1.0]}], [[3.0]], [[5.0]])\n"
        "bpcheck.certified.testify(case)\n"
        "assert 'flint' in sys.modules\n"
        "wings = ('reference', 'symbolic', 'numeric', 'diagnosis', 'check', 'search')\n"
        "print([m for m in sys.modules if m.startswith(tuple('bpcheck.' + wing for wing in wings))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_python_flint_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"pip install 'bpcheck\[certify\]'"):
        certified.testify(by_hand())


def test_the_answer_is_read_only_and_the_case_is_left_alone():
    case = case_from_seed(mlp([2, 3, 2]), 2, 3)
    before = tree.copy(case.params)
    testimony = certified.testify(case)
    for (_, old), (_, new) in zip(tree.leaves(before), tree.leaves(case.params), strict=True):
        assert np.array_equal(old, new)
    with pytest.raises(ValueError, match="read-only"):
        next(iter(testimony.gradient.values()))[0, 0] = 1.0
