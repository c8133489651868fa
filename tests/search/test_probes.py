"""What a function owes its callers besides the right numbers: each broken promise is found, and right code keeps them."""

import math

import numpy as np
import pytest
from choosing import product, some
from students import make

import bpcheck
from bpcheck import Verdict, mlp
from bpcheck.diagnosis import CATALOGUE

DEEP = mlp([3, 4, 2])
SOFTMAX = mlp([3, 4, 2], loss="cross_entropy")
right = make()


def compare(backprop, architectures=DEEP, **options):
    given = {"examples": 30, "seed": 0, "conventions": bpcheck.Conventions(), **options}
    return bpcheck.compare(backprop, architectures=architectures, **given)


def a_case(architecture=DEEP, batch=3, seed=5):
    from bpcheck.search.cases.sample import random_case

    return random_case(np.random.default_rng(seed), architecture, "generic", batch=batch)


# --- right code that looks odd ------------------------------------------------------------------------------------


def with_buffers(params, x, y, architecture, kept={}):  # noqa: B006
    """Works in arrays that it keeps, and returns copies of them."""
    loss, gradient = right(params, x, y, architecture)
    for k, layer in enumerate(gradient):
        for name, values in layer.items():
            buffer = kept.setdefault((k, name, values.shape), np.empty(values.shape))
            buffer[...] = values
            layer[name] = buffer.copy()
    return loss, gradient


def in_fortran_order(params, x, y, architecture):
    loss, gradient = right(params, x, y, architecture)
    return loss, [{name: np.asfortranarray(values) for name, values in layer.items()} for layer in gradient]


def in_float32(params, x, y, architecture):
    single = [{name: values.astype(np.float32) for name, values in layer.items()} for layer in params]
    loss, gradient = right(single, x.astype(np.float32), y.astype(np.float32), architecture)
    return np.float32(loss), gradient


def by_pointer(params, x, y, architecture):
    """Reads memory as C code does, of what it has made contiguous."""
    flat = np.ascontiguousarray(x)
    again = np.frombuffer(flat.tobytes()).reshape(x.shape)
    return right(params, again, y, architecture)


@pytest.mark.parametrize(
    ("backprop", "architecture"),
    product([right, with_buffers, in_fortran_order, by_pointer], [DEEP, SOFTMAX]),
)
def test_right_code_keeps_every_promise(backprop, architecture):
    report = compare(backprop, architecture)
    assert report.verdict is Verdict.AGREES, str(report)
    assert report.warnings == ()


@pytest.mark.parametrize(
    "architecture",
    some([DEEP, SOFTMAX], default=lambda architecture: architecture is DEEP),
    ids=["squares", "softmax"],
)
def test_right_code_in_float32_keeps_every_promise(architecture):
    report = compare(in_float32, architecture)
    assert report.ok, str(report)
    assert all("float32" in warning for warning in report.warnings)


# --- memory ---------------------------------------------------------------------------------------------------------


def reading_parameters(params, x, y, architecture):
    flat = [{n: v.ravel(order="K").reshape(v.shape) for n, v in layer.items()} for layer in params]
    return right(flat, x, y, architecture)


def reading_gaps(params, x, y, architecture):
    """A pointer and a count, as C code has them: strides are not looked at."""
    if not x.flags.forc:
        x = np.lib.stride_tricks.as_strided(x, x.shape, (x.shape[1] * x.itemsize, x.itemsize))
    return right(params, x, y, architecture)


@pytest.mark.parametrize("backprop", [reading_parameters, CATALOGUE["memory-order-assumed"].program()])
def test_memory_read_in_the_wrong_order_is_found_and_named(backprop):
    report = compare(backprop)
    assert report.verdict is Verdict.DISAGREES, str(report)
    assert [d.bug for d in report.diagnoses] == ["memory-order-assumed"]
    assert "Fortran order" in report.summary
    assert "ascontiguousarray" in report.to_text()


def test_gaps_that_are_read_are_found():
    report = compare(reading_gaps)
    assert report.verdict.severity >= Verdict.DISAGREES.severity, str(report)
    assert [d.bug for d in report.diagnoses] == ["memory-order-assumed"]
    assert "view with gaps" in report.summary


def test_what_raises_for_a_layout_is_warned_of():
    def strict(params, x, y, architecture):
        if not x.flags.c_contiguous:
            raise ValueError("x must be C-contiguous")
        return right(params, x, y, architecture)

    report = compare(strict)
    assert report.ok
    assert len(report.warnings) == 2
    assert all("x must be C-contiguous" in w and "ascontiguousarray" in w for w in report.warnings)


def test_the_snippet_of_such_a_report_shows_it_again():
    report = compare(reading_parameters)
    again = bpcheck.compare(reading_parameters, cases=[report.counterexample], seed=1)
    assert [d.bug for d in again.diagnoses] == ["memory-order-assumed"]


# --- earlier results ------------------------------------------------------------------------------------------------


def reusing(params, x, y, architecture, kept={}):  # noqa: B006
    loss, gradient = right(params, x, y, architecture)
    for k, layer in enumerate(gradient):
        for name, values in layer.items():
            buffer = kept.setdefault((k, name, values.shape), np.empty(values.shape))
            buffer[...] = values
            layer[name] = buffer
    return loss, gradient


def test_an_earlier_result_that_changes_is_warned_of():
    report = compare(reusing)
    assert report.ok
    assert len(report.warnings) == 1
    assert "gradient[0]['weight'] of an earlier call changed" in report.warnings[0]
    assert "Return new arrays" in report.warnings[0]


def test_an_earlier_result_in_another_layout_is_named_as_the_caller_knows_it():
    kept = {}

    def columns(params, x, y):
        W, b = params[0]
        residual = W @ x + b - y
        for name, values in (("W", residual @ x.T / x.shape[1]), ("b", residual.mean(axis=1, keepdims=True))):
            kept.setdefault((name, values.shape), np.empty(values.shape))[...] = values
        gradient = [(kept["W", W.shape], kept["b", b.shape])]
        return 0.5 * np.sum(residual**2) / x.shape[1], gradient

    layout = bpcheck.Conventions(batch="last", bias="column", params="[(W, b)]")
    report = compare(columns, mlp([3, 2]), conventions=layout)
    assert report.ok, str(report)
    assert any("gradient[0][0] of an earlier call changed" in warning for warning in report.warnings)


# --- order of examples ----------------------------------------------------------------------------------------------


def test_an_example_that_is_dropped_is_found_where_the_cases_hide_it():
    """The caller's last example is fitted exactly: it adds nothing to the gradient, until it is no longer the last."""
    case = a_case(mlp([3, 2]))
    fitted = np.array(case.y)
    fitted[-1] = case.params[0]["weight"] @ case.x[-1] + case.params[0]["bias"]
    case = bpcheck.Case(case.architecture, case.params, case.x, fitted)

    def dropping(params, x, y):
        residual = x @ params[0]["weight"].T + params[0]["bias"] - y
        loss = 0.5 * np.sum(residual**2) / len(x)
        residual = residual[:-1]
        return loss, [{"weight": residual.T @ x[:-1] / len(x), "bias": residual.sum(axis=0) / len(x)}]

    report = bpcheck.compare(dropping, cases=[case], seed=0)
    assert report.verdict is Verdict.DISAGREES, str(report)
    assert "another order" in report.summary
    assert "place in the batch" in report.diagnoses[0].hint


def test_what_is_only_random_is_not_blamed_on_memory():
    calls = []

    def flaky(params, x, y, architecture):
        calls.append(1)
        loss, gradient = right(params, x, y, architecture)
        if len(calls) > 8:  # after all cases: 1 case twice, then the probes
            gradient[0]["bias"] = gradient[0]["bias"] + len(calls)
        return loss, gradient

    report = bpcheck.compare(flaky, cases=[a_case()] * 5, seed=0)
    assert [d.bug for d in report.diagnoses] in (["nondeterministic"], ["accumulated"]), str(report)


# --- large logits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", some([None, "identity"], default=lambda output: output is None))
def test_a_softmax_without_its_shift_is_found_and_named(output):
    def unshifted(params, x, y):
        hidden = np.tanh(x @ params[0]["weight"].T + params[0]["bias"])
        z = hidden @ params[1]["weight"].T + params[1]["bias"]
        with np.errstate(all="ignore"):
            p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            loss = -np.sum(y * np.log(p)) / len(x)
        delta = (p - y) / len(x)
        down = (delta @ params[1]["weight"]) * (1 - hidden**2)
        return loss, [
            {"weight": down.T @ x, "bias": down.sum(axis=0)},
            {"weight": delta.T @ hidden, "bias": delta.sum(axis=0)},
        ]

    options = {} if output is None else {"output": output}
    report = compare(unshifted, mlp([3, 4, 2], activation="tanh", loss="cross_entropy", **options))
    assert report.verdict is Verdict.NONFINITE, str(report)
    assert [d.bug for d in report.diagnoses] == ["no-max-shift"]
    assert "z.max(axis=1, keepdims=True)" in report.to_text()
    assert "no-max-shift" in report.to_html()


def test_a_softmax_that_raises_at_its_overflow_is_named_alike():
    def unshifted(params, x, y):
        z = x @ params[0]["weight"].T + params[0]["bias"]
        p = np.array([[math.exp(value) for value in row] for row in z])
        p /= p.sum(axis=1, keepdims=True)
        delta = (p - y) / len(x)
        return -np.sum(y * np.log(p)) / len(x), [{"weight": delta.T @ x, "bias": delta.sum(axis=0)}]

    report = compare(unshifted, mlp([3, 2], loss="cross_entropy"))
    assert report.verdict is Verdict.NONFINITE, str(report)
    assert [d.bug for d in report.diagnoses] == ["no-max-shift"]
    assert "OverflowError" in report.to_text()


def test_code_that_refuses_such_logits_itself_agrees_and_is_told_so():
    def refusing(params, x, y):
        z = x @ params[0]["weight"].T + params[0]["bias"]
        if abs(z).max() > 500:
            raise ValueError("logits too large")
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        delta = (p - y) / len(x)
        return -np.sum(y * np.log(p)) / len(x), [{"weight": delta.T @ x, "bias": delta.sum(axis=0)}]

    report = compare(refusing, mlp([3, 2], loss="cross_entropy"))
    assert report.verdict is Verdict.AGREES, str(report)
    assert any("raised ValueError: logits too large. In training" in warning for warning in report.warnings)


def test_a_refusal_without_a_word_is_one_sentence():
    def strict(params, x, y):
        if not params[0]["weight"].flags.c_contiguous:
            raise TypeError
        residual = (x @ params[0]["weight"].T + params[0]["bias"] - y) / len(x)
        return 0.5 * np.sum(residual**2) * len(x), [{"weight": residual.T @ x, "bias": residual.sum(axis=0)}]

    report = compare(strict, mlp([3, 2]))
    assert report.ok
    assert any("raised TypeError. Where" in warning for warning in report.warnings), report.warnings


# --- a batch of one -------------------------------------------------------------------------------------------------


def test_code_that_raises_for_one_example_is_told_so():
    def squeezing(params, x, y):
        x, y = np.squeeze(x, axis=0) if len(x) == 1 else x, y
        residual = x @ params[0]["weight"].T + params[0]["bias"] - y
        return 0.5 * np.sum(residual**2) / len(y), [
            {"weight": np.einsum("mj,mk->jk", residual, x) / len(y), "bias": residual.mean(axis=0)}
        ]

    with pytest.raises(
        bpcheck.SubjectError, match="raises for one example, and answers rightly for two"
    ) as caught:
        compare(squeezing, mlp([3, 2]))
    assert "keepdims=True" in str(caught.value)


def test_a_gradient_of_another_shape_for_one_example_is_told_so():
    def squeezing(params, x, y):
        residual = x @ params[0]["weight"].T + params[0]["bias"] - y
        weight = residual.T @ x / len(x)
        return 0.5 * np.sum(residual**2) / len(x), [
            {"weight": weight[None] if len(x) == 1 else weight, "bias": residual.mean(axis=0)}
        ]

    report = compare(squeezing, mlp([3, 2]))
    assert report.verdict is Verdict.WRONG_STRUCTURE
    assert any("with one alone it is not" in text for text in report.diagnoses[0].evidence)
    assert "squeeze()" in report.diagnoses[0].hint


def test_a_number_that_is_wrong_for_one_example_is_told_so():
    def unbiased(params, x, y):
        residual = x @ params[0]["weight"].T + params[0]["bias"] - y
        m = max(len(x), 2)
        return 0.5 * np.sum(residual**2) / len(x), [
            {"weight": residual.T @ x / m, "bias": residual.sum(axis=0) / m}
        ]

    report = compare(unbiased, mlp([3, 2]))
    assert report.verdict is Verdict.DISAGREES
    assert any("with one alone it is not" in text for text in report.diagnoses[0].evidence)


def test_a_bug_that_shows_everywhere_is_not_blamed_on_the_batch_of_one():
    report = bpcheck.compare(make("sign-flipped"), cases=[a_case(batch=1)], seed=0)
    assert [d.bug for d in report.diagnoses] == ["sign-flipped"]
    assert not any("alone" in text for text in report.diagnoses[0].evidence)
