"""check_gradient(): any tree of parameters, kinks, noise, zeros, sizes; right is never called wrong."""

import itertools
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from choosing import some

import bpcheck
import bpcheck.check.gradient as gradient_module
from bpcheck import Verdict, assert_gradient, check_gradient, tree
from bpcheck.errors import GradientInconclusive, GradientMismatch, InputError, SubjectError

Pair = namedtuple("Pair", "weight bias")


@dataclass
class Layer:
    weight: Any
    bias: Any


A = np.array([[0.5, -1.25, 2.0], [1.5, 0.75, -0.5]])
B = np.array([0.3, -0.8])


def smooth(params):
    """Σ sin(leaf) · position, of any tree."""
    return float(sum((k + 1) * np.sum(np.sin(leaf)) for k, (_, leaf) in enumerate(tree.leaves(params))))


def smooth_gradient(params):
    leaves = [leaf for _, leaf in tree.leaves(params)]
    return tree.restore(params, [(k + 1) * np.cos(leaf) for k, leaf in enumerate(leaves)])


TREES = {
    "one array": A,
    "one number": 0.5,
    "a list": [A, B],
    "a tuple": (A, B),
    "a dict": {"weight": A, "bias": B},
    "an ordered dict": OrderedDict(weight=A, bias=B),
    "a namedtuple": Pair(A, B),
    "a dataclass": Layer(A, B),
    "a list of dicts": [{"weight": A, "bias": B}, {"weight": A.T, "bias": B[:1]}],
    "all of them": {"layers": [Pair(A, B), (Layer(B, [0.25, A]),)], "temperature": 1.5},
    "numbers of NumPy": {"a": np.float64(0.5), "b": np.array(0.25)},
    "names that are numbers": {0: A, (1, 2): B},
    "many axes": np.linspace(-1, 1, 24).reshape(2, 3, 1, 4),
    "Fortran order": np.asfortranarray(A),
    "a strided view": np.linspace(-2, 2, 24).reshape(4, 6)[::2, ::-3],
    "read-only": np.broadcast_to(0.5, (2, 2)),
    "big-endian": A.astype(">f8"),
}


WRONG_IN = ("one number", "a strided view")


@pytest.mark.parametrize("params", TREES.values(), ids=TREES.keys())
def test_every_kind_of_tree_is_taken_apart_and_put_together(params):
    report = check_gradient(smooth, smooth_gradient, params, seed=0)
    assert report.verdict is Verdict.AGREES, report
    assert [c.path for c in report.comparisons] == [str(path) for path, _ in tree.leaves(params)]
    assert report.detection_limit.maximum <= 1e-8


@pytest.mark.parametrize(
    "params",
    [
        pytest.param(params, id=name, marks=() if name in WRONG_IN else pytest.mark.full)
        for name, params in TREES.items()
    ],
)
def test_a_wrong_leaf_is_found_in_every_kind_of_tree(params):
    paths = [str(path) for path, _ in tree.leaves(params)]

    def wrong(params):
        leaves = [leaf for _, leaf in tree.leaves(smooth_gradient(params))]
        return tree.restore(params, [*leaves[:-1], leaves[-1] * 1.01])

    report = check_gradient(smooth, wrong, params, seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert [c.path for c in report.comparisons if c.verdict is Verdict.DISAGREES] == paths[-1:]
    assert paths[-1] in str(report)


def test_both_call_forms_by_position_and_by_name():
    def joint(params):
        return smooth(params), smooth_gradient(params)

    forms = [
        check_gradient(smooth, smooth_gradient, A, seed=0),
        check_gradient(joint, A, seed=0),
        check_gradient(bpcheck.from_joint(joint), A, seed=0),
        check_gradient(bpcheck.from_parts(loss=smooth, gradient=smooth_gradient), A, seed=0),
        check_gradient(loss=smooth, gradient=smooth_gradient, params=A, seed=0),
        check_gradient(A, loss=smooth, gradient=smooth_gradient, seed=0),
        check_gradient(subject=joint, params=A, seed=0),
    ]
    assert {report.verdict for report in forms} == {Verdict.AGREES}


def test_further_arguments_are_handed_on_as_copies():
    x, y = np.array([[1.0, 2.0, 3.0]]), {"target": np.array([[0.5, -0.5]])}

    def joint(w, x, y, power):
        r = x @ w.T - y["target"]
        x[...] = np.nan  # caught, and no other call sees it
        return float(np.sum(r**power)), power * (r ** (power - 1)).T @ np.array([[1.0, 2.0, 3.0]])

    report = check_gradient(joint, A, x, y, 2, seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert "args[0] after the call" in str(report)
    assert x.tolist() == [[1.0, 2.0, 3.0]]


def test_changed_numbers_are_found_as_changed_arrays_are():
    def joint(params, settings):
        w, b = params["w"], params["b"]
        params["b"] = b - 0.1
        settings["rates"][0] *= 0.5
        return float(np.sum(w**2) + b**2), {"w": 2 * w, "b": 2 * b}

    settings = {"rates": [0.1, 0.2], "name": "run"}
    report = check_gradient(joint, {"w": A, "b": 0.5}, settings, seed=0)
    assert report.verdict is Verdict.DISAGREES
    found = {c.path for c in report.comparisons if c.verdict is Verdict.DISAGREES}
    assert {"params['b'] after the call", "args[0]['rates'][0] after the call"} <= found
    assert any("in the loss" in path for path in found)  # the loss is the same function, and does it too
    assert settings == {"rates": [0.1, 0.2], "name": "run"}


# --- assert_gradient -------------------------------------------------------------------------------


def test_assert_gradient_returns_the_report_of_a_right_gradient():
    assert assert_gradient(smooth, smooth_gradient, A, seed=3).seed == 3


def test_assert_gradient_raises_with_the_report_as_its_text():
    with pytest.raises(GradientMismatch) as caught:
        assert_gradient(smooth, lambda p: 2 * smooth_gradient(p), A, seed=0)
    assert isinstance(caught.value, AssertionError)
    assert not isinstance(caught.value, GradientInconclusive)
    assert str(caught.value) == str(caught.value.report)
    assert "DISAGREES" in str(caught.value)


def test_assert_gradient_does_not_pass_on_what_cannot_be_decided():
    with pytest.raises(GradientInconclusive, match="INCONCLUSIVE") as caught:
        assert_gradient(smooth, smooth_gradient, A, seed=0, resolution=1e-15)
    assert isinstance(caught.value, GradientMismatch)
    assert caught.value.report.verdict is Verdict.INCONCLUSIVE
    text = " ".join(str(caught.value).split())
    assert "1.0e-15 is asked for" in text
    assert "coarser resolution" in text


# --- what a report says ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "said"),
    [(2.0, "2 times the right value"), (-1.0, "-1 times the right value"), (0.25, "0.25 times")],
)
def test_a_factor_is_named(factor, said):
    report = check_gradient(smooth, lambda p: factor * smooth_gradient(p), A, seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert said in " ".join(str(report).split())
    assert report.comparisons[0].scale == pytest.approx(factor, rel=1e-9)


def test_right_tensors_are_told_from_wrong_ones():
    def half_wrong(params):
        gradient = smooth_gradient(params)
        return {"weight": gradient["weight"], "bias": gradient["bias"] + 0.1}

    report = check_gradient(smooth, half_wrong, {"weight": A, "bias": B}, seed=0)
    verdicts = {c.path: c.verdict for c in report.comparisons}
    assert verdicts == {"params['weight']": Verdict.AGREES, "params['bias']": Verdict.DISAGREES}
    assert "1 of 2 tensors" in report.summary


def test_an_error_above_the_stated_detection_limit_would_have_been_seen():
    report = check_gradient(smooth, smooth_gradient, A, seed=0)
    size = np.sqrt(np.mean(np.cos(A) ** 2))
    for index in np.ndindex(A.shape):

        def nudged(params, index=index):
            gradient = smooth_gradient(params)
            gradient[index] += 1.1 * report.detection_limit.maximum * size
            return gradient

        assert check_gradient(smooth, nudged, A, seed=0).verdict is Verdict.DISAGREES


# --- precision -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gradient_dtype", "seed"),
    some(
        itertools.product([np.float32, np.float64], range(4)),
        default=lambda dtype, seed: (dtype, seed) == (np.float32, 0),
    ),
)
def test_a_right_float32_gradient_is_never_called_wrong(gradient_dtype, seed):
    rng = np.random.default_rng(seed)
    params = {"w": rng.normal(size=(4, 3)).astype(np.float32), "b": rng.normal(size=4).astype(np.float32)}
    x = rng.normal(size=(5, 3)).astype(np.float32)

    def joint(params, x):
        a = np.tanh(x @ params["w"].T + params["b"])
        d = a * (1 - a**2) / np.float32(len(x))
        assert a.dtype == np.float32
        loss = (a * a).sum() / np.float32(2 * len(x))
        return loss, {"w": (d.T @ x).astype(gradient_dtype), "b": d.sum(axis=0).astype(gradient_dtype)}

    report = check_gradient(joint, params, x, seed=seed)
    assert report.verdict in (Verdict.AGREES, Verdict.INCONCLUSIVE), report
    doubled = check_gradient(
        lambda p, x: (joint(p, x)[0], {k: 2 * g for k, g in joint(p, x)[1].items()}), params, x, seed=seed
    )
    assert doubled.verdict is Verdict.DISAGREES


def test_a_float32_gradient_of_a_float64_loss_is_judged_as_float32():
    report = check_gradient(smooth, lambda p: smooth_gradient(p).astype(np.float32), A, seed=0)
    assert report.verdict is Verdict.AGREES, report


def test_a_large_offset_of_the_loss_is_noise_and_not_an_error():
    report = check_gradient(lambda p: 1e8 + smooth(p), smooth_gradient, A, seed=0)
    assert report.verdict in (Verdict.AGREES, Verdict.INCONCLUSIVE), report
    wrong = check_gradient(lambda p: 1e8 + smooth(p), lambda p: 1.5 * smooth_gradient(p), A, seed=0)
    assert wrong.verdict is Verdict.DISAGREES


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.full) for s in (1, 2))])
@pytest.mark.parametrize("size", [1e-9, 1e-6, 1e-3, 1.0])
def test_a_noisy_loss_makes_no_right_gradient_wrong(size, seed):
    rng = np.random.default_rng(seed)

    def noisy(params):
        return smooth(params) + size * rng.uniform(-1, 1)

    report = check_gradient(noisy, smooth_gradient, A, seed=seed)
    assert report.verdict in (Verdict.AGREES, Verdict.INCONCLUSIVE), report


@pytest.mark.parametrize("scale", some([1e-12, 1e-6, 1e6, 1e12], default=lambda scale: scale in (1e-12, 1e6)))
def test_small_and_large_parameters_and_losses(scale):
    def loss(w):
        return float(scale * np.sum(np.sin(w / scale)))

    def gradient(w):
        return np.cos(w / scale)

    report = check_gradient(loss, gradient, A * scale, seed=0)
    assert report.verdict is Verdict.AGREES, report
    assert check_gradient(loss, lambda w: 1.01 * gradient(w), A * scale, seed=0).verdict is Verdict.DISAGREES


# --- zeros -----------------------------------------------------------------------------------------


def test_a_parameter_that_does_nothing_has_gradient_zero():
    params = {"used": A, "unused": B}

    def loss(params):
        return float(np.sum(np.sin(params["used"])))

    def gradient(value):
        return lambda params: {"used": np.cos(params["used"]), "unused": np.full(2, value)}

    report = check_gradient(loss, gradient(0.0), params, seed=0)
    assert report.verdict is Verdict.AGREES, report
    assert report.comparisons[1].reason.startswith("zero to within")
    for value in (1e-3, -1e-6, 1e-8):
        assert check_gradient(loss, gradient(value), params, seed=0).verdict is Verdict.DISAGREES


def test_a_gradient_that_vanishes_by_cancellation_is_a_structural_zero():
    # the sum of a softmax is 1: its gradient is zero up to rounding, on both sides
    def loss(params):
        p = np.exp(params["z"] - params["z"].max())
        return float((p / p.sum()).sum() + np.sum(np.sin(params["w"])))

    def gradient(value):
        return lambda params: {"z": np.full_like(B, value), "w": np.cos(params["w"])}

    for rounded in (0.0, 1e-17):
        report = check_gradient(loss, gradient(rounded), {"z": B, "w": A}, seed=0)
        assert report.verdict is Verdict.AGREES, report
    assert check_gradient(loss, gradient(1e-6), {"z": B, "w": A}, seed=0).verdict is Verdict.DISAGREES


def test_a_constant_loss_refutes_any_gradient_but_confirms_none():
    # It may be constant, or its change may be lost in rounding, as in float32(1 + 1e-8 w): who can tell?
    report = check_gradient(lambda w: 3.0, np.zeros_like, A, seed=0)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "no size is known" in report.summary
    assert check_gradient(lambda w: 3.0, np.ones_like, A, seed=0).verdict is Verdict.DISAGREES


@pytest.mark.parametrize(
    "loss",
    [
        lambda w: 1e-7 * float(np.sum(np.sin(w))) + 1e8,
        lambda w: np.float32(1 + 1e-8 * np.sum(w)),
        lambda w: float(np.sum(np.sin(w))) * 1e-12 + 1.0,
    ],
    ids=["below a large offset", "below float32 rounding", "tiny beside one"],
)
def test_a_claim_of_zero_does_not_pass_where_the_loss_cannot_tell(loss):
    """The yardstick of a zero is how much the loss changes, never the claim itself."""
    assert check_gradient(loss, lambda w: 0 * w, B, seed=0).verdict is not Verdict.AGREES


def test_a_minimum_is_a_point_like_others():
    def loss(w):
        return float(np.sum((w - A) ** 2))

    assert check_gradient(loss, lambda w: 2 * (w - A), A, seed=0).verdict is Verdict.AGREES
    assert check_gradient(loss, lambda w: 2 * (w - A) + 1e-3, A, seed=0).verdict is Verdict.DISAGREES


def test_parameters_that_are_all_zero():
    report = check_gradient(smooth, smooth_gradient, {"w": np.zeros((2, 3)), "b": np.zeros(2)}, seed=0)
    assert report.verdict is Verdict.AGREES, report


# --- kinks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claim", some([-1.0, -0.3, 0.0, 0.5, 1.0], default=lambda claim: claim in (-1.0, 0.5))
)
def test_any_value_between_the_one_sided_derivatives_agrees_at_a_kink(claim):
    report = check_gradient(
        lambda w: float(np.sum(abs(w))), lambda w: np.array([claim]), np.array([0.0]), seed=0
    )
    assert report.verdict is Verdict.AGREES_AT_KINK, report
    assert report


@pytest.mark.parametrize(
    "claim", some([2.0, -2.0, 1.01, -1.0001], default=lambda claim: claim in (2.0, -1.0001))
)
def test_a_value_outside_the_interval_of_a_kink_disagrees(claim):
    report = check_gradient(
        lambda w: float(np.sum(abs(w))), lambda w: np.array([claim]), np.array([0.0]), seed=0
    )
    assert report.verdict is Verdict.DISAGREES, report


@pytest.mark.full
@pytest.mark.parametrize(
    "slope", [0.0, *(pytest.param(slope, marks=pytest.mark.full) for slope in (0.5, 1.0))]
)
def test_one_unit_at_its_kink_among_others(slope):
    w = np.array([[0.5, -1.0], [2.0, 1.0]])  # z = W(2, 1) = (0, 5)
    x = np.array([2.0, 1.0])

    def loss(w):
        return float(np.sum(np.maximum(w @ x, 0.0)))

    def gradient(w):
        z = w @ x
        return np.where(z > 0, 1.0, np.where(z == 0, slope, 0.0))[:, None] * x

    report = check_gradient(loss, gradient, w, seed=0)
    assert report.verdict is Verdict.AGREES_AT_KINK, report
    wrong = check_gradient(loss, lambda w: gradient(w) + np.array([[0.0, 0.0], [0.1, 0.0]]), w, seed=0)
    assert wrong.verdict is Verdict.DISAGREES


@pytest.mark.parametrize("distance", [1e-3, 1e-6, 1e-9])
def test_near_a_kink_the_slope_of_this_side_is_not_called_wrong(distance):
    def joint(w):
        return float(np.sum(abs(w))), np.sign(w)

    report = check_gradient(joint, np.array([distance, 1.0]), seed=0)
    assert report.verdict.severity <= Verdict.INCONCLUSIVE.severity, report


# --- many parameters -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(0)
    return {"w": rng.normal(size=(40, 30)), "b": rng.normal(size=40)}


def test_many_parameters_are_checked_along_directions(many):
    report = check_gradient(smooth, smooth_gradient, many, seed=0)
    assert report.verdict is Verdict.AGREES, report
    assert report.evaluations < 1240
    assert all("random directions" in c.path for c in report.comparisons)
    assert report.detection_limit.maximum <= 1e-6


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.full) for s in (1, 2, 3, 4))])
def test_one_wrong_entry_among_many_is_seen(many, seed):
    def off(params):
        gradient = smooth_gradient(params)
        gradient["w"][17, 23] += 1e-3
        return gradient

    report = check_gradient(smooth, off, many, seed=seed)
    assert report.verdict is Verdict.DISAGREES, report
    assert [c.verdict for c in report.comparisons] == [Verdict.DISAGREES, Verdict.AGREES]
    assert report.comparisons[0].path.startswith("params['w']")


def test_entries_exchanged_among_many_are_seen(many):
    def exchanged(params):
        gradient = smooth_gradient(params)
        gradient["w"][[0, 1]] = gradient["w"][[1, 0]]
        return gradient

    assert check_gradient(smooth, exchanged, many, seed=0).verdict is Verdict.DISAGREES


@pytest.mark.parametrize(("count", "each"), [(20, True), (21, False)])
def test_up_to_the_limit_every_entry_is_checked(monkeypatch, count, each):
    monkeypatch.setattr(gradient_module, "EVERY_ENTRY_UP_TO", 20)
    report = check_gradient(smooth, smooth_gradient, np.linspace(-1, 1, count), seed=0)
    assert report.verdict is Verdict.AGREES, report
    assert (report.comparisons[0].actual.shape == (count,)) is each


# --- odds and ends ---------------------------------------------------------------------------------


def test_what_raises_at_moved_parameters_can_be_pasted():
    def loss(params):
        if params["w"][0] != 0.25:
            raise ValueError("only there")
        return 1.0

    with pytest.raises(SubjectError, match="only there") as caught:
        check_gradient(loss, lambda p: p, {"w": np.array([0.25, 0.5]), "b": np.float32([1.0])}, seed=0)
    names = {}
    exec(caught.value.reproducer, names)
    assert names["params"]["w"].shape == (2,)
    assert names["params"]["b"].dtype == np.float32
    with pytest.raises(ValueError, match="only there"):
        loss(names["params"])


def test_a_subject_without_a_loss_is_sent_back_with_the_remedy():
    subject = bpcheck.from_step(lambda w, lr: w - lr * w)
    with pytest.raises(InputError, match=r"has no loss.*from_step\(step, loss=loss\)"):
        check_gradient(subject, A)


def test_progress_is_told_to_a_function():
    told = []
    check_gradient(
        smooth,
        smooth_gradient,
        {"w": A, "b": B},
        seed=0,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(k, 8) for k in range(1, 9)]


def test_the_loss_of_a_step_subject_is_used():
    def step(w, lr):
        return w - lr * np.cos(w)

    subject = bpcheck.from_step(step, loss=lambda w: float(np.sum(np.sin(w))))
    assert check_gradient(subject, A, seed=0).verdict is Verdict.AGREES
    wrong = bpcheck.from_step(lambda w, lr: w + lr * np.cos(w), loss=lambda w: float(np.sum(np.sin(w))))
    assert check_gradient(wrong, A, seed=0).verdict is Verdict.DISAGREES


def test_a_time_limit_ends_a_slow_check():
    import time

    def slow(w):
        time.sleep(0.02)
        return float(np.sum(np.sin(w)))

    report = check_gradient(slow, np.cos, np.linspace(0, 1, 50), seed=0, time_limit=0.3)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "time limit" in report.summary


@pytest.mark.full
def test_a_choice_at_ties_of_both_curvatures_is_not_called_wrong():
    # the first of two equal columns wins every example; sin bends the tie of one up and that of another down
    x = np.array([[0.56432588, 0.17597161], [-1.76537829, -0.39495912], [-3.33440534, 0.65099767]])
    w = np.array([[0.29843609, 0.29843609, 0.28416949], [-1.08159175, -1.08159175, -1.50242324]])

    def pooled(w):
        return float(np.sum(np.sin((x @ w).max(axis=1))) / 3.0)

    def first(w):
        z = x @ w
        return x.T @ (np.eye(3)[z.argmax(axis=1)] * np.cos(z.max(axis=1))[:, None] / 3.0)

    assert check_gradient(pooled, first, w, seed=1738144487).verdict is Verdict.INCONCLUSIVE
