"""reference=: somebody else's gradient as the right one, held to the same bounds and the same form."""

import numpy as np
import pytest
from students import make

import bpcheck
from bpcheck import Case, Verdict, mlp

ARCHITECTURE = mlp([3, 4, 2], activation="relu")


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda params, x, y: "junk", marks=pytest.mark.full),
        lambda params, x, y: (1.0, [None] * len(params)),
        lambda params, x, y: (1.0, [{k: np.full_like(v, np.nan) for k, v in p.items()} for p in params]),
    ],
    ids=["no pair", "no gradient", "nan"],
)
def test_a_broken_reference_is_an_error_about_the_reference(broken):
    with pytest.raises(bpcheck.InputError, match="the reference"):
        bpcheck.compare(
            make(),
            reference=broken,
            architectures=ARCHITECTURE,
            conventions=bpcheck.Conventions(),
            seed=0,
        )


@pytest.mark.parametrize("conventions", ["keras", pytest.param("infer", marks=pytest.mark.full)])
def test_a_reference_in_the_callers_layout_is_told_which_one_it_is_asked_in(conventions):
    def keras(params, x, y):
        hidden = np.tanh(x @ params[0] + params[1])
        residual = (hidden @ params[2] + params[3] - y) / len(x)
        down = residual @ params[2].T * (1 - hidden**2)
        loss = 0.5 * np.sum(residual**2) * len(x)
        return loss, [x.T @ down, down.sum(0), hidden.T @ residual, residual.sum(0)]

    with pytest.raises(bpcheck.InputError, match="the reference cannot be compared with") as caught:
        bpcheck.compare(
            keras,
            reference=keras,
            conventions=conventions,
            architectures=mlp([3, 4, 2], activation="tanh"),
            seed=0,
        )
    assert "A reference= is asked in bpcheck's own layout" in str(caught.value)


def test_two_conventions_at_a_kink_agree():
    case = Case(
        mlp([1, 1, 1], activation="relu"),
        [{"weight": [[1.0]], "bias": [-2.0]}, {"weight": [[1.0]], "bias": [1.0]}],
        x=[[2.0]],
        y=[[0.5]],
    )

    def with_slope(slope):
        def backprop(params, x, y):
            z = x @ params[0]["weight"].T + params[0]["bias"]
            a = np.maximum(z, 0)
            r = a @ params[1]["weight"].T + params[1]["bias"] - y
            d = r @ params[1]["weight"] * np.where(z == 0, slope, z > 0)
            return 0.5 * np.sum(r**2), [
                {"weight": d.T @ x, "bias": d.sum(0)},
                {"weight": r.T @ a, "bias": r.sum(0)},
            ]

        return backprop

    report = bpcheck.compare(with_slope(1.0), reference=with_slope(0.0), cases=case, seed=0)
    assert report.verdict is Verdict.AGREES_AT_KINK, str(report)


def test_a_float32_reference_does_not_make_right_code_wrong():
    right = make()

    def single(params, x, y, architecture):
        down = [{k: v.astype(np.float32) for k, v in layer.items()} for layer in params]
        return right(down, x.astype(np.float32), y.astype(np.float32), architecture)

    report = bpcheck.compare(right, reference=single, architectures=ARCHITECTURE, seed=0, examples=20)
    assert report.verdict.severity <= Verdict.INCONCLUSIVE.severity, str(report)


def test_no_bug_of_ours_is_named_against_another_reference():
    right = make()

    def doubled(params, x, y, architecture):
        loss, grads = right(params, x, y, architecture)
        return loss, [{k: 2 * v for k, v in g.items()} for g in grads]

    report = bpcheck.compare(right, reference=doubled, architectures=ARCHITECTURE, seed=0)
    assert report.verdict is Verdict.DISAGREES
    assert [d.bug for d in report.diagnoses] == [""]
