"""The exercises of notebook 4, *From gradient to learning*.

The update rules that a reader writes are judged by :func:`bpcheck.compare_update`, and a mistake is named as it names
it, by reproducing every step; the hints are those of ``bpcheck.diagnosis.UPDATES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.update import compare_update
from bpcheck.course.answer import Answer, State
from bpcheck.course.exercise import (
    SEED,
    Mistakes,
    Trial,
    call,
    exact,
    first_hint,
    hold,
    is_stub,
    not_done,
    unusable,
)
from bpcheck.course.experiments import DEEP, EXAMPLES, two_minima
from bpcheck.course.prediction import hold_predictions
from bpcheck.data import load_digits
from bpcheck.diagnosis import UPDATES
from bpcheck.errors import InputError, SubjectError
from bpcheck.health import gradient_health
from bpcheck.numeric.noise import UNIT_ROUNDOFF
from bpcheck.reference import build
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.optimizer import SGD, Adam, Clipped, Momentum, Nesterov, Rule
from bpcheck.result import Diagnosis, Report
from bpcheck.tree import FloatArray

__all__ = [
    "MINIMA",
    "adam_step",
    "bowl_rates",
    "layer_factor",
    "mended_optimizer",
    "momentum_step",
    "predicted_minima",
]


# --- 1. learning rates in a bowl -------------------------------------------------------------------------

BOWLS = ((1.0, 10.0), (0.5, 8.0), (2.0, 3.0), (0.01, 1.0))
"""Curvatures (low, high)."""


def _limits(low: float, high: float) -> list[tuple[float, str]]:
    """The right bound of η, and wrong ones with a hint."""
    return [
        (2 / high, ""),
        (
            1 / high,
            "At η = 1/h the steep direction arrives in one step: |1 − ηh| = 0. It diverges where |1 − ηh| > 1.",
        ),
        (2 / low, "You took the shallow direction for the limit. The steep one diverges first."),
        (1 / low, "|1 − ηh| < 1 must hold in both directions; the steep one diverges first, beyond 2/h."),
        (2 / (low + high), "That is the best rate, not the largest one."),
    ]


def _bests(low: float, high: float) -> list[tuple[float, str]]:
    """The same of the best η."""
    return [
        (2 / (low + high), ""),
        (1 / high, "At 1/high the steep direction arrives at once, and the shallow one shrinks by 1 − low/high only: "
                   "a larger η lowers the larger of the two factors."),
        (1 / (low + high), "A factor of 2 is missing: solve 1 − η·low = η·high − 1."),
        (2 / high, "At 2/high the steep direction never comes closer: its factor is −1."),
        (1 / low, "At 1/low the steep direction diverges if high is more than twice low."),
        (1 / (low * high) ** 0.5, "The geometric mean it is not: solve 1 − η·low = η·high − 1."),
        ((1 / low + 1 / high) / 2, "The mean of 1/low and 1/high diverges. Solve 1 − η·low = η·high − 1."),
    ]  # fmt: skip


def _bowl_mistakes() -> Mistakes:
    def wrong(limit: int, best: int) -> Callable[..., Any]:
        return lambda low, high: (_limits(low, high)[limit][0], _bests(low, high)[best][0])

    listed: dict[str, Callable[..., Any]] = {
        "The two are swapped: return the largest rate first.": lambda low, high: (2 / (low + high), 2 / high)
    }
    for limit, best in product(range(len(_limits(1, 1))), range(len(_bests(1, 1)))):
        hints = (_limits(1, 1)[limit][1], _bests(1, 1)[best][1])
        if any(hints):
            listed[" ".join(filter(None, hints))] = wrong(limit, best)
    return listed


def bowl_rates(function: Any) -> Answer:
    """``bowl_rates(low, high)`` → the η beyond which descent diverges, and the best η, for curvatures low ≤ high.

    Examples
    --------
    >>> bowl_rates(lambda low, high: (2 / high, 2 / (low + high))).ok
    True
    """
    trials = []
    for low, high in BOWLS:
        right = [exact(2.0) / exact(high), exact(2.0) / (exact(low) + exact(high))]
        names = ("the largest η", "the best η")
        trials.append(Trial.enclosed(f"for curvatures {low:g} and {high:g}", (low, high), right, names))
    return hold("bowl_rates", function, trials, _bowl_mistakes(), checked=f"{len(trials)} bowls.")


# --- 2 and 3. momentum and Adam --------------------------------------------------------------------------

ETA, MU = 0.05, 0.8
BETA_1, BETA_2, EPSILON = 0.8, 0.95, 1e-6
"""Not the usual numbers: whoever writes 0.9 into the function is found out."""

SHAPE = (2, 3)


def momentum_step(function: Any) -> Answer:
    """``momentum_step(w, g, v, eta, mu)`` → (w, v): one step of momentum, v ← μv + g; v is zeros before the first.

    Only w is judged: how the past is kept is the reader's choice.

    Examples
    --------
    >>> momentum_step(lambda w, g, v, eta, mu: (w - eta * (mu * v + g), mu * v + g)).ok
    True
    """
    asked = _Step("momentum_step", function, ("w", "v"), np.zeros_like, (ETA, MU))
    return asked.judged(Momentum(lr=ETA, momentum=MU), MOMENTUM_MISTAKES)


MOMENTUM_MISTAKES: Mapping[str, Rule] = {
    "Every step is one of plain gradient descent: the old v is not used, or what you return is not the new one.": (
        SGD(lr=ETA)
    ),
    "η and μ have changed places.": Momentum(lr=MU, momentum=ETA),
    "That is Nesterov's momentum. It is a good one; here the plain one is asked for.": (
        Nesterov(lr=ETA, momentum=MU)
    ),
    "Use the mu that the function is given, not 0.9.": Momentum(lr=ETA, momentum=0.9),
    "v itself is right. The step is η v, without 1/(1 − μ).": Momentum(lr=ETA / (1 - MU), momentum=MU),
}


def adam_step(function: Any) -> Answer:
    """``adam_step(w, g, state, eta, beta1, beta2, epsilon)`` → (w, state), where state is (m, v, t) and begins with zeros.

    Examples
    --------
    >>> def right(w, g, state, eta, beta1, beta2, epsilon):
    ...     m, v, t = state
    ...     m, v, t = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2, t + 1
    ...     return w - eta * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon), (m, v, t)
    >>> adam_step(right).ok
    True
    """

    def start(like: Any) -> tuple[Any, Any, int]:
        return np.zeros_like(like), np.zeros_like(like), 0

    asked = _Step("adam_step", function, ("w", "state"), start, (ETA, BETA_1, BETA_2, EPSILON))
    rule = Adam(lr=ETA, beta1=BETA_1, beta2=BETA_2, epsilon=EPSILON)
    return asked.judged(rule, {hint: rule.but(**change) for hint, change in ADAM_MISTAKES.items()})


ADAM_MISTAKES: Mapping[str, Mapping[str, float]] = {
    "ε is missing: a gradient of 0 divides 0 by 0.": {"epsilon": 0.0},
    "Use the epsilon that the function is given, not 1e-8.": {"epsilon": 1e-8},
    "Use the betas that the function is given, not 0.9 and 0.999.": {"beta1": 0.9, "beta2": 0.999},
    "m is not used, or not kept: that is RMSprop with a correction.": {"beta1": 0.0},
}


@dataclass(frozen=True)
class _Step:
    """A step that a reader wrote: what it returns, what it remembers at first, and the numbers that it is given."""

    exercise: str
    function: Any
    parts: tuple[str, str]
    start: Callable[[Any], Any]
    numbers: tuple[float, ...]

    def __call__(self, params: Any, gradient: Any, state: Any) -> tuple[Any, Any]:
        before = self.start(params) if state is None else state
        returned = self.function(params, gradient, before, *self.numbers)
        return np.asarray(returned[0]), returned[1]

    def judged(self, rule: Rule, others: Mapping[str, Rule]) -> Answer:
        refused = self._unusable()
        if refused is not None:
            return refused
        return _judged(self.exercise, self, rule, np.zeros(SHAPE), others=others)

    def _unusable(self) -> Answer | None:
        """The answer to what need not be compared: a stub, an error, no pair, arguments changed in place."""
        exercise, parts = self.exercise, self.parts
        refused = unusable(exercise, self.function)
        if refused is not None:
            return refused
        rng = np.random.default_rng(SEED)
        w, g = rng.normal(size=SHAPE), rng.normal(size=SHAPE)
        with np.errstate(all="ignore"):  # what a wrong step divides by is part of the question
            outcome = call(self.function, (w, g, self.start(w), *self.numbers))
        refused = outcome.refusal(exercise, "in the first step")
        if refused is not None:
            return refused
        value, wanted = outcome.value, f"({parts[0]}, {parts[1]})"
        if not isinstance(value, tuple) or len(value) != len(parts):
            reason = f"Two things are needed, {wanted}; this is {tree.describe(value)}."
            return Answer(exercise, State.WRONG, reason, hint="The next step needs what this one remembers.")
        shape = np.shape(value[0]) if isinstance(value[0], np.ndarray) else None
        if shape != SHAPE:
            what = "no array" if shape is None else f"of shape {shape}"
            reason = f"The new {parts[0]} is {what}; an array of the shape of {parts[0]}, {SHAPE}, is needed."
            return Answer(exercise, State.WRONG, reason, hint=f"Return {wanted}, in this order.")
        if not np.isfinite(value[0]).all():
            hint = "t is 0 before the first step, and 1 − β⁰ is 0. Count the step before the corrections."
            reason = f"The new {parts[0]} holds NaN or infinity after the first step."
            return Answer(exercise, State.WRONG, reason, hint=hint if parts[1] == "state" else "")
        return None


def _judged(
    exercise: str,
    step: Any,
    rule: Rule,
    params: Any,
    *,
    others: Mapping[str, Rule],
    handed_out: str = "",
) -> Answer:
    """What bpcheck.compare_update says; ``others`` are no bugs, and whoever has the one ``handed_out`` is not done."""
    try:
        report = _compared(step, rule, params)
    except SubjectError as error:
        cause = error.__cause__ or error
        reason = f"{type(cause).__name__}: {cause}, in one of the steps that bpcheck tries."
        return Answer(exercise, State.RAISED, reason)
    except InputError as error:
        return Answer(exercise, State.WRONG, str(error))
    if report.ok:
        limit = report.detection_limit.maximum
        checked = (
            f"{report.summary} A step that is wrong by more than {limit:.0e} of itself would have been seen."
        )
        return Answer(exercise, State.RIGHT, checked=checked)
    hint = first_hint(others, lambda rule: _compared(step, rule, params).ok)
    if hint:
        return Answer(exercise, State.WRONG, _where(report), hint=hint)
    found = (*report.diagnoses, Diagnosis(""))[0]
    bug = UPDATES.get(found.bug)
    if bug is None:
        return Answer(exercise, State.WRONG, _where(report), hint=found.hint)
    if bug.slug == handed_out:
        hint = f"{bug.symptom} {bug.question}"
        return Answer(exercise, State.NOT_DONE, _where(report), hint=hint)
    return Answer(exercise, State.WRONG, _where(report), hint=f"{bug.sentence} {bug.line}")


def _compared(step: Any, rule: Rule, params: Any) -> Report:
    with np.errstate(all="ignore"):
        return compare_update(step, rule=rule, params=params, seed=SEED, progress=False)


def _where(report: Report) -> str:
    """The first wrong step, in numbers."""
    worst = max(report.comparisons, key=lambda c: c.verdict.severity)
    if worst.actual is None or worst.expected is None or worst.worst_index is None or not report.diagnoses:
        return f"{worst.path}: {worst.reason}." if worst.reason else report.summary
    index = worst.worst_index
    place = report.diagnoses[0].evidence[0].removesuffix(" is the first that is wrong")
    entry = f"{worst.path.replace('params', 'w')}[{', '.join(map(str, index))}]"
    return (
        f"Where bpcheck tries {place}: {entry} changes by {float(worst.actual[index]):.6g}, "
        f"but {float(worst.expected[index]):.6g} is right."
    )


# --- 4. an optimiser to mend -----------------------------------------------------------------------------

CLIP_AT = 1.0
MENDED = Clipped(rule=Momentum(lr=0.1, momentum=0.9), by="global norm", limit=CLIP_AT)
HANDED_OUT = "clip-per-tensor-for-global"

MENDED_MISTAKES: Mapping[str, Rule] = {
    "That clips every entry for itself, and changes the direction. The norm of all of them is asked for.": (
        MENDED.but(by="value")
    ),
    "The clipping is right now, and v has become an average.": (
        MENDED.but(rule=Momentum(lr=0.1, momentum=0.9, form="average"))
    ),
    "The clipping is right now, and the momentum is gone: keep self.v.": MENDED.but(rule=SGD(lr=0.1)),
}


def mended_optimizer(optimizer: Any) -> Answer:
    """A class with ``update(params, gradients)``, lists of arrays: clip to a global norm of 1, momentum 0.9, η = 0.1.

    It is handed out clipping each array by its own norm.

    Examples
    --------
    >>> class Right:
    ...     def __init__(self):
    ...         self.v = None
    ...     def update(self, params, gradients):
    ...         norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    ...         v = self.v or [0.0] * len(params)
    ...         self.v = [0.9 * a + g / max(norm, 1.0) for a, g in zip(v, gradients)]
    ...         return [w - 0.1 * a for w, a in zip(params, self.v)]
    >>> mended_optimizer(Right).ok
    True
    """
    exercise = "mended_optimizer"
    if is_stub(optimizer):
        return not_done(exercise)
    params = [np.zeros((3, 4)), np.zeros(3), np.zeros((2, 3)), np.zeros(2)]
    return _judged(exercise, optimizer, MENDED, params, others=MENDED_MISTAKES, handed_out=HANDED_OUT)


# --- 5. the factor a layer -------------------------------------------------------------------------------

LAYER_TRIALS = ((64, 1 / 64, 0.0, 5), (10, 0.05, 1.0, 40), (64, 2 / 64, 0.5, 30), (30, 0.1, 2.0, 50))
"""(units above, variance of their weights, spread of z, how many z)."""

MEASURED_AT = 10
"""The layer at which a right answer is held against gradient_health, as books count: in the middle of 20."""


def _slope(z: Any) -> Any:
    return ACTIVATION["sigmoid"].derivative(z, ACTIVATION["sigmoid"].value(z))


def _factor(units: Any, variance: Any, z: Any) -> Any:
    return np.sqrt(units * variance * np.mean(_slope(z) ** 2))


def layer_factor(function: Any) -> Answer:
    """``layer_factor(units, variance, z)``: by what a sigmoid layer multiplies the size of an error, as theory has it.

    ``units`` is the number of units of the layer above, ``variance`` that of their weights, ``z`` an array of the layer's
    own pre-activations.

    Examples
    --------
    >>> def right(units, variance, z):
    ...     s = 1 / (1 + np.exp(-z))
    ...     return np.sqrt(units * variance * np.mean((s * (1 - s)) ** 2))
    >>> layer_factor(right).ok
    True
    """
    rng = np.random.default_rng(SEED)
    trials = []
    for units, variance, spread, count in LAYER_TRIALS:
        z = spread * rng.normal(size=count)
        right = np.asarray(_factor(units, variance, z))
        # All terms are positive, so relative errors do not grow in the sum: one for each addition, some for the formula;
        # 1 − σ loses what σ has in front of it, e^|z| at most.
        roundings = (count + ROUNDINGS) * (1 + float(np.exp(np.max(abs(z)))))
        about = f"for {units} units above, weights of variance {variance:.3g}, and z of spread {spread:g}"
        trials.append(
            Trial(about, (units, variance, z), right, 2 * roundings * UNIT_ROUNDOFF * right, ("the factor",))
        )
    said = hold("layer_factor", function, trials, LAYER_FACTOR, checked=f"{len(trials)} layers.")
    if not said.ok:
        return said
    return Answer(said.exercise, said.state, checked=f"{said.checked} {_on_digits(function)}")


ROUNDINGS = 16


def _on_digits(function: Callable[..., Any]) -> str:
    """The reader's function beside what gradient_health measures, in the middle of a deep network."""
    architecture, _ = DEEP["sigmoid"]
    data, network = load_digits(), build(architecture)
    params = network.init(np.random.default_rng(SEED))
    x, y = data.images[:EXAMPLES], data.one_hot[:EXAMPLES]
    z = network.trace(params, x, y).pre_activations[MEASURED_AT - 2]
    above: FloatArray = params[MEASURED_AT - 1]["weight"]
    predicted = float(function(len(above), float(np.var(above)), np.asarray(z).ravel()))
    health = gradient_health(network, params, x, y, jacobians=0, seed=SEED)
    measured = next(layer.factor for layer in health.layers if layer.number == MEASURED_AT)
    depth = len(architecture.layers)
    return (
        f"In layer {MEASURED_AT} of {depth} layers of sigmoids, on digits, your function predicts {predicted:.3f}; "
        f"gradient_health measures {measured:.3f}. {depth - 1} such layers leave {predicted ** (depth - 1):.0e} of an error."
    )


LAYER_FACTOR: Mistakes = {
    "That is the factor of the variance. Take the root.": lambda n, v, z: _factor(n, v, z) ** 2,
    "σ stands there for σ': how much passes is decided by the slope, σ(z)(1 − σ(z)).": (
        lambda n, v, z: np.sqrt(n * v * np.mean(ACTIVATION["sigmoid"].value(z) ** 2))
    ),
    "1/4 is the largest slope, at z = 0. Away from it, less passes.": lambda n, v, z: np.sqrt(n * v) / 4,
    "Mean of σ', then squared: the other way round. Errors add up in their squares, so it is the mean of σ'².": (
        lambda n, v, z: np.sqrt(n * v) * np.mean(_slope(z))
    ),
    "The number of units is missing: an error comes down by as many paths as there are units above.": (
        lambda n, v, z: np.sqrt(v * np.mean(_slope(z) ** 2))
    ),
    "The variance is used as if it were the spread: it stands under the root.": (
        lambda n, v, z: np.sqrt(n * np.mean(_slope(z) ** 2)) * v
    ),
    "n stands under the root: independent paths add up in their squares.": (
        lambda n, v, z: n * np.sqrt(v * np.mean(_slope(z) ** 2))
    ),
    "The slopes are missing: the factor σ' of BP2.": lambda n, v, z: np.sqrt(n * v),
    "A mean over z is needed, not a sum: one unit of the layer has one slope.": (
        lambda n, v, z: np.sqrt(n * v * np.sum(_slope(z) ** 2))
    ),
    "That is one number for each z. Take the mean of σ'² over all z.": (
        lambda n, v, z: np.sqrt(n * v) * _slope(z)
    ),
}


# --- 6. two minima, predicted ----------------------------------------------------------------------------

MINIMA: Mapping[str, Callable[[], bool]] = {
    "plain descent ends in the valley it starts in": lambda: not _moved(SGD(lr=0.01)),
    "momentum 0.9 leaves the higher minimum from some starts": lambda: (
        two_minima(Momentum(lr=0.01, momentum=0.9)).left_bad > 0
    ),
    "momentum 0.9 leaves the lower minimum from some starts": lambda: (
        two_minima(Momentum(lr=0.01, momentum=0.9)).left_good > 0
    ),
    "with a tenth of the rate, momentum 0.9 still does": lambda: _moved(Momentum(lr=0.001, momentum=0.9)),
}
"""Sentences about :func:`bpcheck.course.experiments.two_minima`, and the runs that decide them."""


def _moved(rule: Rule) -> bool:
    counts = two_minima(rule, steps=10_000)
    return counts.left_bad + counts.left_good > 0


def predicted_minima(prediction: Any) -> Answer:
    """A dict with True or False for each sentence of ``MINIMA``: whether it holds.

    Examples
    --------
    >>> predicted_minima({}).state.value
    'not done yet'
    """
    return hold_predictions(
        "predicted_minima",
        prediction,
        MINIMA,
        _holds,
        key="sentence",
        named=lambda sentence: f"“{sentence}”",
        hint="A ball that is fast enough to roll over a hill does not ask which valley is the deeper one.",
        checked="All four were run, from 401 starting points each.",
    )


def _holds(sentence: str) -> tuple[bool, str]:
    holds = MINIMA[sentence]()
    return holds, f"“{sentence}”: {'it does' if holds else 'it does not'}."
