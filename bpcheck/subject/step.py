"""An update step as a subject: the gradient is what the parameters lost, divided by the learning rate."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.subject.functions import has_parameter, name_of, require_callable
from bpcheck.subject.value import Answer, Subject
from bpcheck.tree import FloatArray, Tree

__all__ = ["STEP_RATES", "from_step"]

# The two learning rates at which a step is probed. Powers of two: multiplying by them is exact.
# The larger one keeps digits; a gradient that differs between them was not taken at the old weights.
STEP_RATES = (0.5, 0.0078125)

# What a fixed rate given by the caller is divided by for the second probe; a power of two.
RATE_RATIO = 64

# An error proportional to the rate doubles with it; half-way between that and no growth at all.
GROWS = 1.5

# Adam's first step is lr · g / (|g| + ε): 1 to within ε / |g|, 1e-5 for ε = 1e-8 and |g| = 1e-3.
SIGN_STEP = 1e-3
# So many entries that all move by the rate itself are no accident.
LEAST_SIGNS = 4

# An update that came too early shows as an error in proportion to the rate; what a step loses to rounding is some
# u / rate. Below this the one is not a hundred times the other.
LEAST_RATE = 1e-7

MEMORY = (
    "the same step from the same parameters gave another result when it was asked again: is there momentum? (Or a "
    "running average, or a random number.) What was compared is not a gradient then; let each step start afresh"
)
EARLY = (
    "the step divided by the learning rate is not the same at two rates, and what it is off by grows with the rate: are "
    "weights updated before δ was propagated through them? Compute the whole gradient first, then update"
)
OTHER_RATE = (
    "the step divided by the learning rate is not the same at two rates, and the difference does not grow with the rate: "
    "is the step clipped, decayed or scheduled? What was compared is not a gradient then"
)
NOTHING = (
    "the step changed no parameter: does it bind new arrays to its own names (w = w - lr * g) and then return nothing? "
    "Change the arrays in place (w -= lr * g), or return the new parameters"
)
TOO_SMALL = (
    "at a learning rate of {lr:g}, weights that are updated before δ was propagated through them change the gradient less "
    "than rounding does, so this mistake cannot be seen: let the step take a larger rate (0.1, say)"
)
SIGNS = (
    "every parameter moves by the learning rate itself, whatever its gradient: is this Adam, RMSprop or a sign step? A "
    "gradient can be recovered from plain gradient descent only"
)


def from_step(
    step: Callable[..., Any], *, lr: float | None = None, loss: Callable[..., Any] | None = None
) -> Subject:
    """A subject from an update step: the gradient is (before − after) / learning rate.

    The step runs on copies, twice, at two learning rates. Where these differ by more than rounding, it
    is asked again, to tell memory (momentum) from weights that are updated too early; the gradient at
    the larger rate, where this shows most, is what is judged. A step that changes nothing, or moves
    every parameter by the rate itself, is noted too. Whether η/m was applied to what is a mean already
    is seen by :func:`bpcheck.compare`, which knows the right gradient.

    Parameters
    ----------
    step : callable
        ``step(params, x, y, lr)``, returning the new parameters or changing them in place. If
        ``lr=`` is given, ``step(params, x, y)`` at that fixed rate.
    lr : float, optional
        The learning rate inside ``step``, when it has no parameter for it.
    loss : callable, optional
        ``loss(params, x, y)``; without it compare() needs ``architectures=``.

    Returns
    -------
    Subject

    Raises
    ------
    InputError
        If ``step`` or ``loss`` is not callable, or ``lr`` is not positive.

    Examples
    --------
    >>> subject = from_step(lambda w, lr: w - lr * 2 * w)
    >>> float(subject.answer(3.0).gradient)
    6.0
    """
    require_callable(step, "step", "(params, x, y, lr) -> new params")
    if loss is not None:
        require_callable(loss, "loss", "(params, x, y) -> number")
    if lr is not None and (isinstance(lr, bool) or not isinstance(lr, Real) or not 0 < lr < float("inf")):
        raise InputError(f"lr is {lr!r}; give the positive learning rate that the step uses.")
    taken = _Step(step, None if lr is None else float(lr), loss)
    told = [] if loss is not None else ["the subject has no loss, so only its gradient was compared"]
    told += [TOO_SMALL.format(lr=taken.rate)] if taken.rate < LEAST_RATE else []
    return Subject(
        name_of(step),
        taken.answer,
        loss,
        takes_architecture=has_parameter(step, "architecture"),
        notes=tuple(told),
        gradient_like_params=True,
        function=taken.run,
        rate=taken.rate,
    )


@dataclass(frozen=True, eq=False)
class _Step:
    """A step, and how the gradient is recovered from it.

    Attributes
    ----------
    step : callable
    lr : float or None
        The rate inside it.
    loss : callable or None
    """

    step: Callable[..., Any]
    lr: float | None
    loss: Callable[..., Any] | None

    @property
    def takes_rate(self) -> bool:
        """Whether it can be told which rate to use."""
        return self.lr is None or has_parameter(self.step, "lr")

    @property
    def rate(self) -> float:
        """The larger of the two at which it is probed: it keeps digits, and shows early updates most."""
        return STEP_RATES[0] if self.lr is None else self.lr

    @property
    def other_rate(self) -> float:
        """The second one; at a rate that cannot be chosen, it can only show memory."""
        if self.lr is None:
            return STEP_RATES[1]
        return self.lr / RATE_RATIO if self.takes_rate else self.lr

    def run(self, params: Tree, *args: Any, **options: Any) -> None:
        """One step and one loss, as ``answer`` asks for them, on the very arguments."""
        self._take(params, args, self.rate, options)
        self._value(params, args, options)

    def answer(self, params: Tree, *args: Any, **options: Any) -> Answer:
        """Two steps from the same parameters, or more where these do not tell the same."""
        # Copies first: the first call gets the arguments themselves, so that a change of them is seen.
        copies = [tuple(tree.copy(a) for a in args) for _ in range(3)]
        first = self._probe(params, args, self.rate, options)
        second = self._probe(params, copies[0], self.other_rate, options)
        value = self._value(params, args, options)
        notes = _remarks(first, second)
        if not notes and first.differs(second):
            if self.rate == self.other_rate or first.differs(
                self._probe(params, copies[1], self.rate, options)
            ):
                notes = (MEMORY,)
            else:
                between = self._probe(params, copies[2], self.rate / 2, options)
                grows = first.distance(second) >= GROWS * between.distance(second)
                notes = (EARLY if grows else OTHER_RATE,)
        return Answer(value, first.gradient, first.error, notes)

    def _value(self, params: Tree, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if self.loss is None:
            return None
        return self.loss(params, *args, **(options if has_parameter(self.loss, "architecture") else {}))

    def _take(self, params: Tree, args: tuple[Any, ...], rate: float, options: dict[str, Any]) -> Any:
        rates = (rate,) if self.takes_rate else ()
        if rates and not _fits(self.step, (params, *args, rate)) and _fits(self.step, (params, *args)):
            raise InputError(
                f"{name_of(self.step)} takes no learning rate: say which one stands inside it, "
                f"from_step({name_of(self.step)}, lr=0.1), or give it a last parameter lr."
            )
        return self.step(params, *args, *rates, **options)

    def _probe(self, params: Tree, args: tuple[Any, ...], rate: float, options: dict[str, Any]) -> _Probe:
        """One step from a copy of the parameters."""
        before = [np.array(leaf, dtype=float) for _, leaf in tree.leaves(params)]
        work = tree.copy(params)
        returned = self._take(work, args, rate, options)
        if _is_number(returned) and not _is_number(params):
            raise InputError(
                f"the step returned {tree.describe(returned)}; return the new parameters, or None if it changes them "
                "in place (a loss can be given as from_step(step, loss=...))."
            )
        after_tree = work if returned is None else returned
        after = [np.asarray(leaf) for _, leaf in tree.leaves(after_tree)]
        if [a.shape for a in after] != [b.shape for b in before]:
            return _Probe(after_tree, None)  # judged as a wrong structure, with the path
        gradient, error = _recovered(before, after, rate)
        return _Probe(tree.restore(params, gradient), tree.restore(params, error))


def _fits(step: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Whether it can be called with these; of what shows no signature, yes."""
    try:
        inspect.signature(step).bind(*args)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int | np.generic)


def _recovered(
    before: list[FloatArray], after: list[FloatArray], rate: float
) -> tuple[list[FloatArray], list[FloatArray]]:
    """What each tensor lost, divided by the rate, and how far rounding may have moved that."""
    u = max(np.finfo(a.dtype).eps if a.dtype.kind == "f" else np.finfo(float).eps for a in after) / 2
    # The gradient was computed in the precision of the new parameters, and is to be judged so.
    kinds = [a.dtype if a.dtype in (np.float16, np.float32) else float for a in after]
    gradient = [((b - a) / rate).astype(kind) for a, b, kind in zip(after, before, kinds, strict=True)]
    # Storing the new parameter and forming the difference each round once; a factor 3 covers
    # the product lr·g, and the rounding of the gradient itself, as well.
    return gradient, [3 * u * (abs(a) + abs(b)) / rate for a, b in zip(after, before, strict=True)]


@dataclass(frozen=True, eq=False)
class _Probe:
    """What one step at one rate says; without an error if its parameters came back in another form."""

    gradient: Tree
    error: Tree | None

    def _arrays(self) -> list[FloatArray]:
        return [np.asarray(leaf) for _, leaf in tree.leaves(self.gradient)]

    def _errors(self) -> list[FloatArray]:
        return [np.asarray(leaf) for _, leaf in tree.leaves(self.error)]

    def differs(self, other: _Probe) -> bool:
        """Whether the two gradients differ by more than the digits that the steps lost."""
        if self.error is None or other.error is None:
            return False
        return not all(
            bool(np.all(abs(a - b) <= own + its))
            for a, b, own, its in zip(
                self._arrays(), other._arrays(), self._errors(), other._errors(), strict=True
            )
        )

    def distance(self, other: _Probe) -> float:
        """The largest difference."""
        return max(
            float(np.max(abs(a - b), initial=0.0))
            for a, b in zip(self._arrays(), other._arrays(), strict=True)
        )


def _remarks(first: _Probe, second: _Probe) -> tuple[str, ...]:
    """What the gradients themselves look like: nothing at all, or signs."""
    if first.error is None or second.error is None:
        return ()
    entries = np.concatenate([array.ravel() for array in (*first._arrays(), *second._arrays())])
    if entries.size and not entries.any():
        return (NOTHING,)
    moved = entries[entries != 0]
    if moved.size >= LEAST_SIGNS and np.all(abs(abs(moved) - 1) <= SIGN_STEP):
        return (SIGNS,)
    return ()
