"""The exercises of notebook 3, *Checking a gradient*.

Two of them judge checkers: a jury of gradients, right and wrong, is put to the reader's checker, and
:func:`bpcheck.check_gradient` says which of them are right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.gradient import check_gradient
from bpcheck.course.answer import Answer, State
from bpcheck.course.exercise import (
    SEED,
    Mistakes,
    Trial,
    call,
    first_hint,
    hold,
    holds_ellipsis,
    not_done,
    unusable,
)
from bpcheck.course.networks import draw_case
from bpcheck.network.case import Case
from bpcheck.numeric import complex_derivative
from bpcheck.numeric.noise import UNIT_ROUNDOFF
from bpcheck.reference import Network, build
from bpcheck.result import Comparison, Report
from bpcheck.tree import FloatArray

__all__ = [
    "Suspect",
    "best_steps",
    "central_gradient",
    "differences",
    "mended_step",
    "mended_tolerance",
    "suspect",
    "wrong_entry",
]


# --- 1. central differences ------------------------------------------------------------------------

SHAPES: tuple[tuple[int, ...], ...] = ((3,), (2, 3), (4,), (1, 2))
STEPS = (2.0**-3, 2.0**-2, 2.0**-5, 2.0**-4)
GRID = 4
"""Points are quarters, steps powers of two, coefficients whole numbers: a cubic is then computed without
any rounding, and a difference quotient is exactly what its formula says, not merely close to it."""


class _Cubic:
    """Σ c₃x³ + c₂x² + c₁x, plus the product of neighbours: every entry matters, no two alike."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.c = rng.permutation(np.arange(1, 3 * int(np.prod(shape)) + 1)).reshape(3, *shape)

    def __call__(self, x: Any) -> float:
        x = np.asarray(x)
        if x.shape != self.shape:
            raise ValueError(
                f"f was given an array of shape {x.shape}, but it takes the shape of x, {self.shape}"
            )
        flat = x.ravel()
        return float(
            np.sum(self.c[0] * x**3 + self.c[1] * x**2 + self.c[2] * x) + np.sum(flat[1:] * flat[:-1])
        )


def central_gradient(function: Any) -> Answer:
    """``central_gradient(f, x, h)``: the central difference for every entry of the array x.

    Examples
    --------
    >>> def right(f, x, h):
    ...     slopes = np.zeros(x.shape)
    ...     for index in np.ndindex(x.shape):
    ...         step = np.zeros(x.shape)
    ...         step[index] = h
    ...         slopes[index] = (f(x + step) - f(x - step)) / (2 * h)
    ...     return slopes
    >>> central_gradient(right).ok
    True
    """
    rng = np.random.default_rng(SEED)
    trials = []
    for shape, h in zip(SHAPES, STEPS, strict=True):
        f = _Cubic(rng, shape)
        x = rng.integers(-2 * GRID, 2 * GRID + 1, shape) / GRID
        about = f"for x of shape {shape} and h = {h:g}"
        trials.append(Trial.exact(about, (f, x, h), differences(f, x, h), ("the slope",)))
    return hold(
        "central_gradient",
        function,
        trials,
        CENTRAL_GRADIENT,
        checked=f"{len(trials)} cubics on which floating-point arithmetic makes no error.",
    )


def _stencil(f: Callable[[Any], float], x: FloatArray, h: float, weights: Mapping[int, float]) -> FloatArray:
    """Σ w_k f(x + k h) / h for every entry."""
    slopes = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        for k, weight in weights.items():
            moved = np.array(x, dtype=float)
            moved[index] += k * h
            slopes[index] += weight * f(moved) / h
    return slopes


def _together(f: Any, x: Any, h: float) -> Any:
    return (f(x + h) - f(x - h)) / (2 * h)


CENTRAL_GRADIENT: Mistakes = {
    "You divide by h, but the two points are 2h apart.": (
        lambda f, x, h: _stencil(f, x, h, {1: 1.0, -1: -1.0})
    ),
    "That is the forward difference: f(x + h) − f(x). Go to both sides.": (
        lambda f, x, h: _stencil(f, x, h, {1: 1.0, 0: -1.0})
    ),
    "That is the backward difference: f(x) − f(x − h). Go to both sides.": (
        lambda f, x, h: _stencil(f, x, h, {0: 1.0, -1: -1.0})
    ),
    "The forward difference lies between points h apart: it is divided by h. And go to both sides.": (
        lambda f, x, h: _stencil(f, x, h, {1: 0.5, 0: -0.5})
    ),
    "The sign is turned: f(x + h) comes first.": lambda f, x, h: -differences(f, x, h),
    "You multiply by h where you should divide: (…) / 2 * h is ((…) / 2) · h. Write (…) / (2 * h).": (
        lambda f, x, h: differences(f, x, h) * h * h
    ),
    "f(x + h) moves all entries at once and gives one number. Move one entry at a time.": (_together),
    "Every entry holds the same number: f(x + h) moves all entries at once. Move one entry at a time.": (
        lambda f, x, h: np.full(x.shape, _together(f, x, h))
    ),
    "That is a formula of higher order, with points at ±h and ±2h. It is a good one; here the plain one is asked for.": (
        lambda f, x, h: _stencil(f, x, h, {1: 2 / 3, -1: -2 / 3, 2: -1 / 12, -2: 1 / 12})
    ),
    "The gradient has the shape of x. np.zeros(x.shape) makes a place for it.": (
        lambda f, x, h: differences(f, x, h).ravel()
    ),
}


def differences(f: Callable[[FloatArray], float], x: FloatArray, h: float) -> FloatArray:
    """Central differences of f for every entry of x, with one step h for all.

    Examples
    --------
    >>> differences(lambda x: float(np.sum(x**2)), np.array([1.0, 2.0]), 2.0**-10)
    array([2., 4.])
    """
    return _stencil(f, x, h, {1: 0.5, -1: -0.5})


# --- 2. the best step ------------------------------------------------------------------------------

ONE_DIGIT = 10.0
"""The V is flat at the bottom: a step counts as found if it costs no more than one decimal digit."""

WAVES = ((1.0, 0.0), (1e3, 0.0), (1e-3, 0.0), (1.0, 1e6), (30.0, 10.0))
"""(frequency, offset) of sin(frequency · x) + offset. 1 and 0 is where the rules of thumb come from."""

AT = 0.7
"""Where: sine and cosine are both far from 0."""


def _bounds(h: float, value: float, second: float, third: float, u: float) -> tuple[float, float]:
    """Error bounds of the forward and the central difference: truncation, and rounding of the values."""
    forward = h * abs(second) / 2 + 2 * u * abs(value) / h
    central = h**2 * abs(third) / 6 + u * abs(value) / h
    return forward, central


def _lowest(value: float, second: float, third: float, u: float) -> tuple[float, float]:
    """The steps with the smallest bounds: where the derivatives of the two sums are zero."""
    return (
        2 * float(np.sqrt(u * abs(value / second))),
        float(np.cbrt(3 * u * abs(value / third))),
    )


def best_steps(function: Any) -> Answer:
    """``best_steps(value, second, third, u)`` → the best h of the forward and of the central difference.

    ``value``, ``second`` and ``third`` are f, f'' and f''' at the point, u is the unit roundoff.

    Examples
    --------
    >>> def right(value, second, third, u):
    ...     return 2 * np.sqrt(u * abs(value / second)), np.cbrt(3 * u * abs(value / third))
    >>> best_steps(right).ok
    True
    """
    exercise = "best_steps"
    refused = unusable(exercise, function)
    if refused is not None:
        return refused
    asked = []
    for frequency, offset in WAVES:
        x = AT / frequency
        value = float(np.sin(frequency * x)) + offset
        second, third = -(frequency**2) * float(np.sin(AT)), -(frequency**3) * float(np.cos(AT))
        asked.append(((value, second, third, UNIT_ROUNDOFF), frequency, offset, x))
    outcomes = [call(function, arguments) for arguments, *_ in asked]
    shown = ""
    for (arguments, frequency, offset, x), outcome in zip(asked, outcomes, strict=True):
        text = f"sin({frequency:g} x)" + (f" + {offset:g}" if offset else "")
        refused = outcome.refusal(exercise, f"for {text}")
        if refused is not None:
            return refused
        steps = _two_numbers(outcome.value)
        if steps is None:
            reason = f"Two positive numbers are needed, forward and central; this is {tree.describe(outcome.value)}."
            return Answer(exercise, State.WRONG, reason)
        best = _lowest(*arguments)
        for which, name in enumerate(("forward", "central")):
            yours = _bounds(steps[which], *arguments)[which]
            lowest = _bounds(best[which], *arguments)[which]
            if not yours <= ONE_DIGIT * lowest:
                reason = (
                    f"For {text} at x = {x:g} you choose h = {steps[which]:.1e} for the {name} difference. Its error may "
                    f"then be {yours:.0e}; with a better h it is at most {lowest:.0e}."
                )
                return Answer(exercise, State.WRONG, reason, hint=_step_hint(asked, outcomes))
        shown = _measured(frequency, offset, x, steps[1])
    checked = f"{len(asked)} waves, fast and slow, near 0 and far from it. {shown}"
    return Answer(exercise, State.RIGHT, checked=checked)


def _two_numbers(value: Any) -> tuple[float, float] | None:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return None
    if array.shape != (2,) or not np.all((array > 0) & np.isfinite(array)):
        return None
    return float(array[0]), float(array[1])


def _measured(frequency: float, offset: float, x: float, h: float) -> str:
    """The central difference with this h against the complex step."""

    def f(t: Any) -> Any:
        return np.sin(frequency * t) + offset

    truth = complex_derivative(f, x, 1.0)
    error = abs(float(f(x + h) - f(x - h)) / (2 * h) - truth.value) / abs(truth.value)
    return f"The last one, measured against the complex step: your h = {h:.1e} gives a relative error of {error:.0e}."


STEP_MISTAKES: Mistakes = {
    "The two are swapped: return the forward step first.": (
        lambda value, second, third, u: _lowest(value, second, third, u)[::-1]
    ),
    "√u and ∛u hold where f, f'' and f''' are all about 1. Put their sizes in.": (
        lambda value, second, third, u: (np.sqrt(u), np.cbrt(u))
    ),
    "√ε and ∛ε hold where f, f'' and f''' are all about 1. Put their sizes in.": (
        lambda value, second, third, u: (np.sqrt(2 * u), np.cbrt(2 * u))
    ),
    "√u is the forward difference's, where f and f'' are about 1. Each of the two has its own balance.": (
        lambda value, second, third, u: (np.sqrt(u), np.sqrt(u))
    ),
    "1e-5 knows nothing of the function. Balance truncation and rounding instead.": (
        lambda value, second, third, u: (1e-5, 1e-5)
    ),
    "The smallest step is not the best: at h = u nothing is left of the difference but rounding.": (
        lambda value, second, third, u: (u, u)
    ),
    "The ratio is upside down: a function that bends more wants a smaller step, a large value a larger one.": (
        lambda value, second, third, u: (np.sqrt(u * abs(second / value)), np.cbrt(u * abs(third / value)))
    ),
    "The central difference's truncation is h²|f'''|/6: its balance gives a cube root, with f'''.": (
        lambda value, second, third, u: (np.sqrt(u * abs(value / second)), np.sqrt(u * abs(value / second)))
    ),
}


def _step_hint(asked: list[Any], outcomes: list[Any]) -> str:
    """The mistake whose steps cost the same, within a digit, for every function."""
    chosen = [_two_numbers(outcome.value) for outcome in outcomes]

    def costs_the_same(wrong: Callable[..., tuple[float, float]]) -> bool:
        return all(
            steps is not None
            and all(
                1 / ONE_DIGIT <= mine / theirs <= ONE_DIGIT
                for mine, theirs in zip(steps, wrong(*arguments), strict=True)
            )
            for (arguments, *_), steps in zip(asked, chosen, strict=True)
        )

    return first_hint(STEP_MISTAKES, costs_the_same) or (
        "Write down the two parts of the error, truncation and rounding, and find the h at which their sum is smallest."
    )


# --- 3 and 4. broken checkers ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Case:
    """A loss, and what somebody says is its gradient, at a point."""

    about: str
    f: Callable[[FloatArray], float]
    gradient: Callable[[FloatArray], FloatArray]
    x: FloatArray

    @cached_property
    def is_right(self) -> bool:
        """What bpcheck says."""
        return check_gradient(self.f, self.gradient, self.x, seed=SEED, progress=False).ok


def _smooth(scale: float) -> tuple[Callable[[FloatArray], float], Callable[[FloatArray], FloatArray]]:
    def f(x: FloatArray) -> float:
        return float(scale * (np.sum(np.sin(x)) + np.sum(x**2) / 4))

    def gradient(x: FloatArray) -> FloatArray:
        return scale * (np.cos(x) + x / 2)

    return f, gradient


# Sizes at which an absolute tolerance, be it 1e-8 or 1e-5, passes anything and refuses everything.
SMALL, LARGE = 1e-12, 1e6

NEAR = np.array([0.3, -0.8, 0.6])
FAR = np.array([30.0, -75.0, 120.0])


@lru_cache(maxsize=1)
def _step_jury() -> tuple[_Case, ...]:
    f, g = _smooth(1.0)
    return (
        _Case("a right gradient, with parameters below 1", f, g, NEAR),
        _Case("a right gradient, with parameters around 100", f, g, FAR),
        _Case("a gradient with one entry 2 % too large", f, lambda x: g(x) * np.array([1, 1.02, 1]), NEAR),
        _Case(
            "a gradient that is multiplied by |x| where |x| > 1",
            f,
            lambda x: g(x) * np.maximum(1, abs(x)),
            FAR,
        ),
        _Case("a gradient that is half of the right one", f, lambda x: g(x) / 2, NEAR),
        _Case(
            "a gradient that is twice the right one, with parameters around 100", f, lambda x: 2 * g(x), FAR
        ),
    )


@lru_cache(maxsize=1)
def _tolerance_jury() -> tuple[_Case, ...]:
    f, g = _smooth(1.0)
    small, its = _smooth(SMALL)
    large, its_too = _smooth(LARGE)

    def uneven(x: FloatArray) -> float:
        return float(np.sin(x[0]) + 1e-7 * np.sin(x[1]) + np.sin(x[2]))

    def of_uneven(x: FloatArray) -> FloatArray:
        return np.array([1, 1e-7, 1]) * np.cos(x)

    def with_nan(x: FloatArray) -> FloatArray:
        return np.where(np.arange(len(x)) == 1, np.nan, g(x))

    return (
        _Case("a right gradient", f, g, NEAR),
        _Case("a right gradient of a loss that is about 1e-12", small, its, NEAR),
        _Case("a right gradient of a loss that is about 1e6", large, its_too, NEAR),
        _Case("a right gradient with one entry that is 1e-7 of the others", uneven, of_uneven, NEAR),
        _Case("a gradient with a NaN in it", f, with_nan, NEAR),
        _Case("a gradient of NaN alone", f, lambda x: np.full(x.shape, np.nan), NEAR),
        _Case("a gradient of zeros, for a loss that is about 1e-12", small, np.zeros_like, NEAR),
        _Case(
            "a gradient with the wrong sign, for a loss that is about 1e-12", small, lambda x: -its(x), NEAR
        ),
        _Case("a gradient with one entry 2 % too large", f, lambda x: g(x) * np.array([1, 1.02, 1]), NEAR),
        _Case("an infinite gradient", f, lambda x: np.full(x.shape, np.inf), NEAR),
    )


def mended_step(checker: Any) -> Answer:
    """``checker(f, gradient, x)`` → True or False; handed out with a step that does not fit its divisor.

    Examples
    --------
    >>> from bpcheck import check_gradient
    >>> mended_step(lambda f, gradient, x: check_gradient(f, gradient, x).ok).ok
    True
    """
    return _try("mended_step", checker, _step_jury(), STEP_CHECKERS)


def mended_tolerance(checker: Any) -> Answer:
    """``checker(f, gradient, x)`` → True or False; handed out with "absolute or relative" and blind to NaN.

    Examples
    --------
    >>> from bpcheck import check_gradient
    >>> mended_tolerance(lambda f, gradient, x: check_gradient(f, gradient, x).ok).ok
    True
    """
    return _try("mended_tolerance", checker, _tolerance_jury(), TOLERANCE_CHECKERS)


def _try(exercise: str, checker: Any, jury: tuple[_Case, ...], known: Mistakes) -> Answer:
    said = _asked(exercise, checker, jury)
    if isinstance(said, Answer):
        return said
    reason = _faults(jury, said)
    if not reason:
        count = sum(case.is_right for case in jury)
        checked = (
            f"It accepts {count} right gradients and refuses {len(jury) - count} wrong ones, "
            "as bpcheck.check_gradient() does."
        )
        return Answer(exercise, State.RIGHT, checked=checked)
    hint = first_hint(known, lambda wrong: _verdicts(wrong, jury) == said)
    state = State.NOT_DONE if hint == next(iter(known)) else State.WRONG
    return Answer(exercise, state, reason, hint=hint)


def _faults(jury: tuple[_Case, ...], said: list[bool]) -> str:
    """The first cases that a checker is wrong on, and how many more there are."""
    wrong = [(yes, case.about) for case, yes in zip(jury, said, strict=True) if yes != case.is_right]
    refuses = [f"It refuses {about}." for yes, about in wrong if not yes][:2]
    passes = [f"It passes {about}." for yes, about in wrong if yes][:2]
    more = len(wrong) - len(refuses) - len(passes)
    return " ".join([*refuses, *passes, *([f"It is wrong on {more} more."] if more else [])])


def _asked(exercise: str, checker: Any, jury: tuple[_Case, ...]) -> list[bool] | Answer:
    """What a reader's checker says of each case, or what keeps it from saying anything."""
    refused = unusable(exercise, checker)
    if refused is not None:
        return refused
    said = []
    for case in jury:
        with np.errstate(all="ignore"):  # NaN and infinity are part of the question
            outcome = call(checker, (case.f, case.gradient, case.x))
        refused = outcome.refusal(exercise, f"on {case.about}")
        if refused is not None:
            return refused
        if not isinstance(outcome.value, bool | np.bool_):
            found = tree.describe(outcome.value)
            reason = f"Your checker returns {found} on {case.about}; return True or False."
            return Answer(exercise, State.WRONG, reason)
        said.append(bool(outcome.value))
    return said


def _verdicts(checker: Callable[..., Any], jury: tuple[_Case, ...]) -> list[bool]:
    with np.errstate(all="ignore"):
        return [bool(checker(case.f, case.gradient, case.x)) for case in jury]


# The numbers of the checkers as they are handed out in the notebook.
HANDED_OUT_STEP = 1e-6
HANDED_OUT_TOLERANCE = 1e-5


def _by_step(f: Any, gradient: Any, x: Any, *, divided_by: Callable[[Any], Any]) -> bool:
    """Steps relative to the parameters; what they are divided by is where it may go wrong."""
    given = gradient(x)
    for i in range(len(x)):
        h = HANDED_OUT_STEP * max(1.0, abs(x[i]))
        there, back = x.copy(), x.copy()
        there[i] += h
        back[i] -= h
        slope = (f(there) - f(back)) / divided_by(h)
        if not abs(slope - given[i]) <= HANDED_OUT_TOLERANCE * np.max(abs(given)):
            return False
    return True


ALWAYS_THE_SAME: Mistakes = {
    "It says yes to everything.": lambda f, g, x: True,
    "It says no to everything.": lambda f, g, x: False,
}

# The first of each is the one that is handed out: whoever still has it is not done yet.
STEP_CHECKERS: Mistakes = {
    "Follow h through the code: where is it made, and where should it be used?": (
        lambda f, g, x: _by_step(f, g, x, divided_by=lambda h: 2 * HANDED_OUT_STEP)
    ),
    "The two points lie 2h apart, not h.": lambda f, g, x: _by_step(f, g, x, divided_by=lambda h: h),
    **ALWAYS_THE_SAME,
}


Refusal = Callable[[Any, Any, Any], Any]
"""Which entries a checker refuses, from their absolute errors, their relative errors and the slopes."""

REFUSALS: Mapping[str, Refusal] = {
    "Follow one NaN through the comparisons. Then follow a gradient of zeros for a slope of 1e-12.": (
        lambda absolute, relative, _: (absolute > HANDED_OUT_TOLERANCE) & (relative > HANDED_OUT_TOLERANCE)
    ),
    "NaN is caught now. What is left: any gradient of a small loss has a small absolute error. Let no absolute "
    "number decide; hold the difference against the size of the gradient.": (
        lambda absolute, relative, _: (
            ~((absolute <= HANDED_OUT_TOLERANCE) | (relative <= HANDED_OUT_TOLERANCE))
        )
    ),
    "An absolute tolerance knows nothing of the size of the gradient: of a loss around 1e-12 it passes anything.": (
        lambda absolute, relative, _: ~(absolute <= HANDED_OUT_TOLERANCE)
    ),
    "NaN > tolerance is False, so NaN is never refused. Ask the other way round: `if not error <= tolerance`.": (
        lambda absolute, _, slopes: absolute > HANDED_OUT_TOLERANCE * np.nanmax(abs(slopes))
    ),
    "Each entry is held against its own size, but an entry that is 1e-7 of the others is lost in their rounding: "
    "its slope has no five digits. Hold every difference against the largest entry of the gradient.": (
        lambda absolute, relative, _: ~(relative <= HANDED_OUT_TOLERANCE)
    ),
    "NaN passes, and each entry is held against its own size, where a tiny one is all rounding.": (
        lambda absolute, relative, _: relative > HANDED_OUT_TOLERANCE
    ),
}


def _by_tolerance(f: Any, gradient: Any, x: Any, *, refuse: Refusal) -> bool:
    given, slopes = gradient(x), differences(f, x, HANDED_OUT_STEP)
    absolute = abs(given - slopes)
    return not np.any(refuse(absolute, absolute / np.maximum(abs(given), abs(slopes)), slopes))


TOLERANCE_CHECKERS: Mistakes = {
    **{hint: partial(_by_tolerance, refuse=refuse) for hint, refuse in REFUSALS.items()},
    **ALWAYS_THE_SAME,
}


# --- 5. find the wrong entry -------------------------------------------------------------------------

WRONG_BY = 1.03
"""The planted entry is 3 % too large: nothing that one sees by looking at numbers."""


WEIGHT_SHARE = 0.8
"""Mostly in a weight: there are more of them, and an index of two numbers is more to find."""


@dataclass(frozen=True, eq=False)
class Suspect:
    """A loss, a gradient with one wrong entry, and the parameters to look at it."""

    params: Any
    _network: Network
    _case: Case
    _spot: tuple[int, str, tuple[int, ...]]

    def loss(self, params: Any) -> float:
        """The loss of a small network on a batch that belongs to it."""
        return float(self._network.cost(params, self._case.x, self._case.y))

    def gradient(self, params: Any) -> Any:
        """Its gradient, but for one entry."""
        gradient = self._network.gradient(params, self._case.x, self._case.y)
        number, name, index = self._spot
        gradient[number][name] = np.array(gradient[number][name])
        gradient[number][name][index] *= WRONG_BY
        return gradient


def suspect(seed: int = SEED) -> Suspect:
    """A gradient with one entry that is 3 % too large, somewhere: another seed, another network and another entry.

    Examples
    --------
    >>> them = suspect()
    >>> [layer["weight"].shape for layer in them.gradient(them.params)] == [
    ...     layer["weight"].shape for layer in them.params
    ... ]
    True
    """
    rng = np.random.default_rng([SEED, seed])
    case = draw_case(rng, 3, activation="tanh", loss="cross_entropy")
    network = build(case.architecture)
    gradient = network.gradient(case.params, case.x, case.y)
    number = int(rng.integers(len(gradient)))
    name = "weight" if rng.random() < WEIGHT_SHARE else "bias"
    # an entry of ordinary size: 3 % of nothing would be nothing to find
    size = abs(gradient[number][name])
    large = np.argwhere(size >= np.median(size))
    index = tuple(int(i) for i in large[rng.integers(len(large))])
    return Suspect(tree.copy(case.params), network, case, (number, name, index))


@lru_cache(maxsize=1)
def _default() -> Suspect:
    return suspect()


def wrong_entry(found: Any, of: Suspect | None = None) -> Answer:
    """Where the entry is that is wrong in the gradient of :func:`suspect`: ``("params[1]['weight']", (2, 0))``.

    A Comparison of a report names one too.

    Examples
    --------
    >>> from bpcheck import check_gradient
    >>> them = suspect()
    >>> report = check_gradient(them.loss, them.gradient, them.params, seed=0)
    >>> wrong_entry(max(report.comparisons, key=lambda c: c.verdict.severity)).ok
    True
    """
    exercise = "wrong_entry"
    if found is None or holds_ellipsis(found):
        return not_done(exercise)
    them = _default() if of is None else of
    report = _report(them)
    bad = [c for c in report.comparisons if not c.verdict.ok]
    given = _spot(found)
    if given is None:
        reason = f"This names no entry: {found!s:.80}"
        return Answer(exercise, State.WRONG, reason, hint="Write (\"params[0]['weight']\", (1, 0)).")
    path, index = given
    right = bad[0]
    if path != right.path:
        return Answer(exercise, State.WRONG, f"Every entry of {path} agrees.", hint=_HOW)
    if index == right.worst_index:
        checked = (
            f"{path}{list(index)} is {float(right.actual[index]):.6g}, and differences say "  # type: ignore[index]
            f"{float(right.expected[index]):.6g}, give or take {float(right.bound[index]):.0e}."  # type: ignore[index]
        )
        return Answer(exercise, State.RIGHT, checked=checked)
    turned = (
        " Is it row, column that you wrote the other way round?" if index[::-1] == right.worst_index else ""
    )
    return Answer(exercise, State.WRONG, f"The tensor is right, the entry is not.{turned}", hint=_HOW)


@lru_cache(maxsize=4)
def _report(them: Suspect) -> Report:
    return check_gradient(them.loss, them.gradient, them.params, seed=SEED, progress=False)


_HOW = "print(report) shows the worst entry of every tensor; so does comparison.worst_index."


def _spot(found: Any) -> tuple[str, tuple[int, ...]] | None:
    """Path and index out of whatever form a reader gave them in."""
    if isinstance(found, Report):
        found = max(found.comparisons, key=lambda c: c.verdict.severity, default=None)
    if isinstance(found, Comparison):
        return found.path, found.worst_index
    text = repr(found) if not isinstance(found, str) else found
    match = re.search(r"params\[(\d+)\]\[\\?['\"](weight|bias)\\?['\"]\]", text)
    if match is None:
        return None
    numbers = re.findall(r"\d+", re.sub(r"np\.int\d+", "", text[match.end() :]))
    return f"params[{match[1]}]['{match[2]}']", tuple(int(n) for n in numbers)
