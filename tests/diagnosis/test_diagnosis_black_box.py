"""check_gradient knows no network: what it still can tell of a wrong gradient."""

import numpy as np
import pytest
from choosing import some

from bpcheck import Verdict, check_gradient

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((7, 4)), RNG.standard_normal((7, 4))
PARAMS = {"v": RNG.standard_normal((4, 4)), "w": RNG.standard_normal((4, 4)), "b": RNG.standard_normal(4)}


def loss(p, x, y):
    return float(np.sum((np.tanh(x @ p["v"] + p["b"]) @ p["w"] - y) ** 2)) / (2 * len(x))


def gradient(p, x, y):
    a = np.tanh(x @ p["v"] + p["b"])
    delta = (a @ p["w"] - y) / len(x)
    back = (delta @ p["w"].T) * (1.0 - a * a)
    return {"v": x.T @ back, "w": a.T @ delta, "b": back.sum(axis=0)}


def only(name, change):
    return lambda g: {**g, name: change(g[name])}


def at(index, change):
    def changed(array):
        array = np.array(array)
        array[index] = change(array[index])
        return array

    return changed


def every(change):
    return lambda g: {name: change(value) for name, value in g.items()}


# One of each kind: a factor, a mean, tensors exchanged, a format.
ONE_OF_EACH = {
    "every tensor is -1 times", "axis 0 of args[0] is 7", "holds the gradient of params['w']", "rounded to float16",
}  # fmt: skip


def told(change):
    report = check_gradient(loss, lambda p, x, y: change(gradient(p, x, y)), PARAMS, X, Y, seed=0)
    assert report.verdict is Verdict.DISAGREES
    (diagnosis,) = report.diagnoses
    return diagnosis.bug, " ".join(diagnosis.evidence)


def test_the_gradient_itself_is_right():
    assert check_gradient(loss, gradient, PARAMS, X, Y, seed=0).ok


@pytest.mark.parametrize(
    ("change", "slug", "words"),
    some(
        [
            (every(lambda g: -g), "sign-flipped", "every tensor is -1 times"),
            (every(lambda g: 2.0 * g), "factor-two", "every tensor is 2 times"),
            (every(lambda g: 0.5 * g), "factor-half", "every tensor is 1/2 times"),
            (every(lambda g: 7.0 * g), "sum-for-mean", "axis 0 of args[0] is 7"),
            (every(lambda g: g / 7.0), "averaged-twice", "1/7 times"),
            (every(lambda g: 1.3 * g), "", "every tensor is 1.3 times"),
            (only("b", lambda g: 2.0 * g), "factor-two", "['b'] is 2 times"),
            (lambda g: {"v": 2.0 * g["v"], "w": g["w"], "b": 3.0 * g["b"]}, "", "3 times"),
            (only("w", np.zeros_like), "", "is 0 everywhere"),
            (only("w", lambda g: g.T), "outer-transposed", "the transpose"),
            (
                lambda g: {**g, "v": g["w"], "w": g["v"]},
                "swapped-layers",
                "holds the gradient of params['w']",
            ),
            (only("v", at((2, 3), lambda e: 1.1 * e)), "one-entry-wrong", "[2, 3]"),
            (only("v", at((2, 3), lambda e: 0.0)), "never-written-entry", "[2, 3]"),
            (only("v", at(1, np.cos)), "", "is wrong in row 1 alone"),
            (only("v", at((slice(None), 2), np.cos)), "", "is wrong in column 2 alone"),
            (every(lambda g: g.astype(np.float16).astype(float)), "cast-to-float16", "rounded to float16"),
            (every(np.cos), "", "every entry"),
        ],
        default=lambda change, slug, words: words in ONE_OF_EACH,
    ),
)
def test_what_numbers_alone_tell(change, slug, words):
    bug, evidence = told(change)
    assert bug == slug, evidence
    assert words in evidence or words == "every entry", evidence


@pytest.mark.full
def test_a_factor_without_a_name_is_still_the_thing_to_do():
    def report(change):
        return check_gradient(loss, lambda p, x, y: change(gradient(p, x, y)), PARAMS, X, Y, seed=0).to_text()

    assert "one common factor" in report(every(lambda g: 1.3 * g))
    assert "one common factor" not in report(every(np.cos))


def test_a_factor_that_only_nearly_holds_is_not_told():
    bug, evidence = told(only("w", lambda g: 2.0 * g * (1.0 + 1e-4 * np.sin(np.arange(16.0)).reshape(4, 4))))
    assert bug == ""
    assert "times what it should be" not in evidence
