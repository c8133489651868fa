"""Notebook 3's checkers, with checkers among the answers: those must be judged as bpcheck judges."""

from functools import cache

import numpy as np
import pytest

from bpcheck import check_gradient
from bpcheck.course import State
from bpcheck.course import checking_a_gradient as check
from bpcheck.course.checking_a_gradient import FAR, NEAR, _step_jury, _tolerance_jury


def central(f, x, h, *, divisor=2.0, weights=(1, -1)):
    slopes = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = h
        slopes[index] = (f(x + weights[0] * step) - f(x + weights[1] * step)) / (divisor * h)
    return slopes


def back_and_forth(f, x, h):
    moved, slopes = x.copy(), np.empty_like(x)
    for index in np.ndindex(x.shape):
        moved[index] = x[index] + h
        up = f(moved)
        moved[index] = x[index] - h
        slopes[index] = 0.5 * (up - f(moved)) / h
        moved[index] = x[index]
    return slopes


def flat(f, x, h):
    unit = np.eye(x.size).reshape(x.size, *x.shape)
    return np.array([(f(x + h * e) - f(x - h * e)) / h / 2 for e in unit]).reshape(x.shape)


@pytest.mark.parametrize("function", [central, back_and_forth, flat, check.differences])
def test_central_differences_in_several_styles(function):
    assert check.central_gradient(function).ok


def in_place(f, x, h):
    slopes = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        x[index] += h
        slopes[index] = f(x)
    return slopes


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda f, x, h: central(f, x, h, divisor=1), "2h apart"),
        (lambda f, x, h: central(f, x, h, divisor=1, weights=(1, 0)), "forward difference"),
        (lambda f, x, h: central(f, x, h, divisor=1, weights=(0, -1)), "backward difference"),
        (lambda f, x, h: -central(f, x, h), "sign"),
        (lambda f, x, h: central(f, x, h) * h * h, "multiply by h"),
        (lambda f, x, h: (f(x + h) - f(x - h)) / (2 * h), "one entry at a time"),
        (lambda f, x, h: np.full(x.shape, (f(x + h) - f(x - h)) / (2 * h)), "one entry at a time"),
        (lambda f, x, h: (4 * central(f, x, h) - central(f, x, 2 * h)) / 3, "higher order"),
        (lambda f, x, h: central(f, x, h).ravel(), "shape of x"),
        (lambda f, x, h: central(f, x, 1.5 * h), "the slope"),
        (lambda f, x, h: central(f, x, 1e-5), "the slope"),
        (lambda f, x, h: f(x[0] + h), "ValueError"),
        (in_place, "changes x in place"),
    ],
)
def test_wrong_differences_are_refused_and_named(function, words):
    said = check.central_gradient(function)
    assert not said.ok
    assert words in f"{said.reason} {said.hint}", said


def best(value, second, third, u):
    return 2 * np.sqrt(u * abs(value / second)), (3 * u * abs(value / third)) ** (1 / 3)


def test_the_best_steps():
    assert check.best_steps(best).ok
    # without the constants the steps are as good as it matters
    assert check.best_steps(lambda v, s, t, u: [np.sqrt(u * abs(v / s)), np.cbrt(u * abs(v / t))]).ok


def searched(value, second, third, u):
    steps = np.logspace(-16, 6, 2000)
    forward = steps * abs(second) / 2 + 2 * u * abs(value) / steps
    return steps[np.argmin(forward)], steps[np.argmin(steps**2 * abs(third) / 6 + u * abs(value) / steps)]


def test_a_search_instead_of_a_formula():
    assert check.best_steps(searched).ok


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda v, s, t, u: best(v, s, t, u)[::-1], "swapped"),
        (lambda v, s, t, u: (u**0.5, u ** (1 / 3)), "Put their sizes in"),
        (lambda v, s, t, u: (1e-5, 1e-5), "knows nothing"),
        (lambda v, s, t, u: (u, u), "smallest step is not the best"),
        (lambda v, s, t, u: (best(v, s, t, u)[0],) * 2, "cube root"),
        (lambda v, s, t, u: (np.sqrt(u * abs(s / v)), np.cbrt(u * abs(t / v))), "upside down"),
        (lambda v, s, t, u: (best(v, s, t, u)[0] * 100, best(v, s, t, u)[1]), "truncation and rounding"),
        (lambda v, s, t, u: best(v, s, t, u)[0], "Two positive numbers"),
        (lambda v, s, t, u: (-1.0, 1.0), "Two positive numbers"),
        (lambda v, s, t, u: (np.nan, 1.0), "Two positive numbers"),
        (lambda v, s, t, u: ("a", "b"), "Two positive numbers"),
    ],
)
def test_wrong_steps(function, words):
    said = check.best_steps(function)
    assert said.state is State.WRONG
    assert words in f"{said.reason} {said.hint}", said


def test_unfinished_steps():
    assert check.best_steps(lambda v, s, t, u: (..., ...)).state is State.NOT_DONE


def relative_steps(f, gradient, x, *, divided_by=lambda h: 2 * h):
    claimed = gradient(x)
    for i in range(len(x)):
        h = 1e-6 * max(1.0, abs(x[i]))
        e = np.eye(len(x))[i] * h
        if not abs((f(x + e) - f(x - e)) / divided_by(h) - claimed[i]) <= 1e-5 * np.max(abs(claimed)):
            return False
    return True


def of_bpcheck(f, gradient, x):
    return check_gradient(f, gradient, x, seed=1).ok


def by_norm(f, gradient, x):
    slopes = check.differences(f, x, 1e-6)
    return np.linalg.norm(gradient(x) - slopes) <= 1e-5 * np.linalg.norm(slopes)


@pytest.mark.parametrize("checker", [relative_steps, of_bpcheck, by_norm])
def test_mended_steps(checker):
    assert check.mended_step(checker).ok


@pytest.mark.parametrize(
    ("checker", "words"),
    [
        (lambda f, g, x: relative_steps(f, g, x, divided_by=lambda h: h), "not h"),
        (lambda f, g, x: True, "yes to everything"),
        (lambda f, g, x: False, "no to everything"),
        (lambda f, g, x: 1.0, "True or False"),
        (lambda f, g, x: np.array([True]), "True or False"),
        (lambda f, g, x: relative_steps(f, lambda x: 2 * g(x), x), "refuses a right gradient"),
    ],
)
def test_steps_that_are_not_mended(checker, words):
    said = check.mended_step(checker)
    assert said.state is State.WRONG
    assert words in f"{said.reason} {said.hint}", said


def test_the_handed_out_step_is_not_done():
    said = check.mended_step(lambda f, g, x: relative_steps(f, g, x, divided_by=lambda h: 2e-6))
    assert said.state is State.NOT_DONE
    assert "right gradient, with parameters around 100" in said.reason


def largest(f, gradient, x):
    claimed, slopes = gradient(x), check.differences(f, x, 1e-6)
    return all(abs(c - s) <= 1e-5 * max(abs(slopes)) for c, s in zip(claimed, slopes, strict=True))


@pytest.mark.parametrize("checker", [largest, of_bpcheck, by_norm])
def test_mended_tolerances(checker):
    assert check.mended_tolerance(checker).ok


def by(refuse):
    def checker(f, gradient, x):
        c, s = gradient(x), check.differences(f, x, 1e-6)
        return not bool(np.any(refuse(abs(c - s), abs(c - s) / np.maximum(abs(c), abs(s)), c, s)))

    return checker


@pytest.mark.parametrize(
    ("checker", "words"),
    [
        (by(lambda a, r, c, s: ~((a <= 1e-5) | (r <= 1e-5))), "NaN is caught now"),
        (by(lambda a, r, c, s: ~(a <= 1e-5)), "absolute tolerance"),
        (by(lambda a, r, c, s: ~(r <= 1e-5)), "own size"),
        (by(lambda a, r, c, s: r > 1e-5), "NaN passes"),
        (by(lambda a, r, c, s: a > 1e-5 * max(abs(s))), "NaN is never refused"),
        (lambda f, g, x: True, "yes to everything"),
        (lambda f, g, x: bool(np.allclose(g(x), check.differences(f, x, 1e-6))), "It passes"),
        (lambda f, g, x: g(x)[7] > 0, "IndexError"),
    ],
)
def test_tolerances_that_are_not_mended(checker, words):
    said = check.mended_tolerance(checker)
    assert said.state in (State.WRONG, State.RAISED)
    assert words in f"{said.reason} {said.hint}", said


def test_the_handed_out_tolerance_is_not_done():
    assert check.mended_tolerance(by(lambda a, r, c, s: (a > 1e-5) & (r > 1e-5))).state is State.NOT_DONE


def test_the_juries_hold_right_and_wrong_gradients_as_they_say():
    # "right" is written into the text of each claim; bpcheck must have come to the same
    for jury in (_step_jury(), _tolerance_jury()):
        said = {claim.about: claim.is_right for claim in jury}
        assert {about for about, right in said.items() if right} == {
            about for about in said if about.startswith("a right gradient")
        }
    assert max(abs(NEAR)) < 1 < min(abs(FAR))


@cache
def report_on(suspect):
    return check_gradient(suspect.loss, suspect.gradient, suspect.params, seed=3)


@cache
def suspect_of(seed):
    return check.suspect(seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.full)])
def test_the_wrong_entry_is_found_in_every_form(seed):
    suspect = suspect_of(seed)
    report = report_on(suspect)
    worst = max(report.comparisons, key=lambda c: c.verdict.severity)
    assert [c.verdict.ok for c in report.comparisons].count(False) == 1
    number, name = int(worst.path[7]), worst.path[11:-2]
    forms = [worst, report, (worst.path, worst.worst_index), (worst.path, list(worst.worst_index)),
             f"params[{number}]['{name}'][{', '.join(map(str, worst.worst_index))}]",
             (f'params[{number}]["{name}"]', tuple(np.int64(i) for i in worst.worst_index))]  # fmt: skip
    for form in forms:
        assert check.wrong_entry(form, of=suspect).ok, form


@pytest.mark.full
def test_other_entries_are_refused():
    suspect = suspect_of(0)
    worst = max(report_on(suspect).comparisons, key=lambda c: c.verdict.severity)
    other = next(c.path for c in report_on(suspect).comparisons if c.path != worst.path)
    assert "agrees" in check.wrong_entry((other, (0, 0))).reason
    for index in np.ndindex(worst.actual.shape):
        assert check.wrong_entry((worst.path, index), of=suspect).ok is (index == worst.worst_index)
    assert "names no entry" in check.wrong_entry("the second one").reason
    assert check.wrong_entry((3, 4)).state is State.WRONG
    for undone in (..., None, ("params[0]['weight']", ...)):
        assert check.wrong_entry(undone).state is State.NOT_DONE


def test_row_and_column_exchanged_is_named():
    suspect = next(s for s in map(suspect_of, range(20)) if len(s._spot[2]) == len(set(s._spot[2])) == 2)
    number, name, index = suspect._spot
    said = check.wrong_entry((f"params[{number}]['{name}']", index[::-1]), of=suspect)
    assert "other way round" in said.reason
