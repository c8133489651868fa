"""Subjects: whatever is being checked, behind one small interface.

:func:`from_joint`, :func:`from_parts` and :func:`from_step` wrap plain functions; adapters for
frameworks live in ``bpcheck.adapters``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError

__all__ = ["Answer", "Subject", "as_subject", "from_joint", "from_parts", "from_step"]

# The two learning rates at which a step is probed. Powers of two: multiplying by them is exact.
# The larger one keeps digits; a gradient that differs between them was not taken at the old weights.
STEP_RATES = (0.5, 0.0078125)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a subject says at one point.

    Attributes
    ----------
    loss : object
        As the subject returned it; None if the subject has no loss.
    gradient : tree
        As the subject returned it.
    error : tree or None
        Extra absolute error of each entry that the way of asking brought in.
    notes : tuple of str
        What was odd about this answer, one sentence each.
    precision : str
        The format it was computed in (``"bfloat16"``, …), where the dtype of the arrays does not say so.
    faults : tuple of (str, str)
        What is wrong with the form of the gradient, path and reason, where the gradient could not be
        translated and is None.
    """

    loss: Any
    gradient: Any
    error: Any = None
    notes: tuple[str, ...] = ()
    precision: str = ""
    faults: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Subject:
    """Something that claims a gradient.

    Attributes
    ----------
    name : str
    answer : callable
        ``answer(params, *args) -> Answer``; may be given ``architecture=`` as a keyword if
        ``takes_architecture``.
    loss : callable or None
        ``loss(params, *args) -> number``.
    takes_architecture : bool
    notes : tuple of str
        Sentences that a report repeats as warnings.
    gradient_like_params : bool
        Whether the gradient comes back nested as the parameters were given, whatever a convention says.
    """

    name: str
    answer: Callable[..., Answer]
    loss: Callable[..., Any] | None = None
    takes_architecture: bool = False
    notes: tuple[str, ...] = field(default=())
    gradient_like_params: bool = False


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _callable(function: Any, what: str, signature: str) -> None:
    if not callable(function):
        raise InputError(f"{what} is {tree.describe(function)}; pass a function {signature}.")


def _takes(function: Any, name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins and C functions have no signature
        return False


class NotAPair(InputError):
    """A joint subject returned something else than ``(loss, gradient)``."""


def from_joint(f: Callable[..., Any]) -> Subject:
    """A subject from one function that returns loss and gradient together.

    Parameters
    ----------
    f : callable
        ``f(params, x, y) -> (loss, gradient)``, the gradient nested as the parameters are. If it
        has a parameter named ``architecture``, compare() hands it the network's description.

    Returns
    -------
    Subject

    Raises
    ------
    InputError
        If ``f`` is not callable.

    Examples
    --------
    >>> subject = from_joint(lambda params: (params["w"] ** 2, {"w": 2 * params["w"]}))
    >>> subject.answer({"w": 3.0}).gradient
    {'w': 6.0}
    """
    _callable(f, "the subject", "(params, x, y) -> (loss, gradient)")

    def answer(params: Any, *args: Any, **options: Any) -> Answer:
        returned = f(params, *args, **options)
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            raise NotAPair(
                f"{_name(f)} returned {tree.describe(returned)}; it must return the pair (loss, gradient)."
            )
        return Answer(returned[0], returned[1])

    def loss(params: Any, *args: Any, **options: Any) -> Any:
        return answer(params, *args, **options).loss

    return Subject(_name(f), answer, loss, takes_architecture=_takes(f, "architecture"))


def from_parts(*, loss: Callable[..., Any], gradient: Callable[..., Any]) -> Subject:
    """A subject from two functions.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args) -> number``.
    gradient : callable
        ``gradient(params, *args) -> tree`` nested as the parameters are.

    Returns
    -------
    Subject

    Raises
    ------
    InputError
        If one of them is not callable.

    Examples
    --------
    >>> subject = from_parts(loss=lambda w: w**2, gradient=lambda w: 2 * w)
    >>> subject.answer(3.0).gradient
    6.0
    """
    _callable(loss, "loss", "(params, *args) -> number")
    _callable(gradient, "gradient", "(params, *args) -> gradient")
    loss_named, gradient_named = _takes(loss, "architecture"), _takes(gradient, "architecture")

    def ask_loss(params: Any, *args: Any, architecture: Any = None) -> Any:
        return loss(params, *args, **({"architecture": architecture} if loss_named else {}))

    def answer(params: Any, *args: Any, architecture: Any = None) -> Answer:
        named = {"architecture": architecture} if gradient_named else {}
        found = gradient(params, *args, **named)
        # The loss comes last: what it changes in place cannot spoil the gradient, and is still seen.
        return Answer(ask_loss(params, *args, architecture=architecture), found)

    return Subject(_name(gradient), answer, ask_loss, takes_architecture=loss_named or gradient_named)


def from_step(
    step: Callable[..., Any], *, lr: float | None = None, loss: Callable[..., Any] | None = None
) -> Subject:
    """A subject from an update step: the gradient is (before − after) / learning rate.

    The step runs on copies, twice, at two learning rates. A gradient that differs between them by
    more than rounding was not taken at the old weights ("weights updated before δ was propagated"):
    the one at the larger rate, where this shows most, is what is judged.

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
    _callable(step, "step", "(params, x, y, lr) -> new params")
    if loss is not None:
        _callable(loss, "loss", "(params, x, y) -> number")
    if lr is not None and (
        isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < float("inf")
    ):
        raise InputError(f"lr is {lr!r}; give the positive learning rate that the step uses.")
    takes_rate = lr is None or _takes(step, "lr")
    rates = STEP_RATES if lr is None else ((lr, lr / 64) if takes_rate else (lr,))
    takes_architecture = _takes(step, "architecture")
    loss_named = loss is not None and _takes(loss, "architecture")

    def at_rate(params: Any, args: tuple[Any, ...], rate: float, options: dict[str, Any]) -> tuple[Any, Any]:
        before = [np.array(leaf, dtype=float) for _, leaf in tree.leaves(params)]
        work = tree.copy(params)
        returned = step(work, *args, rate, **options) if takes_rate else step(work, *args, **options)
        if isinstance(returned, float | int | np.generic) and not isinstance(
            params, float | int | np.generic
        ):
            raise InputError(
                f"the step returned {tree.describe(returned)}; return the new parameters, or None if it changes them "
                "in place (a loss can be given as from_step(step, loss=...))."
            )
        after_tree = work if returned is None else returned
        after = [np.asarray(leaf) for _, leaf in tree.leaves(after_tree)]
        if [a.shape for a in after] != [b.shape for b in before]:
            return after_tree, None  # judged as a wrong structure, with the path
        u = max(np.finfo(a.dtype).eps if a.dtype.kind == "f" else np.finfo(float).eps for a in after) / 2
        # The gradient was computed in the precision of the new parameters, and is to be judged so.
        kinds = [a.dtype if a.dtype in (np.float16, np.float32) else float for a in after]
        gradient = [((b - a) / rate).astype(kind) for a, b, kind in zip(after, before, kinds, strict=True)]
        # Storing the new parameter and forming the difference each round once; a factor 3 covers
        # the product lr·g, and the rounding of the gradient itself, as well.
        error = [3 * u * (abs(a) + abs(b)) / rate for a, b in zip(after, before, strict=True)]
        return tree.restore(params, gradient), tree.restore(params, error)

    def answer(params: Any, *args: Any, **options: Any) -> Answer:
        copies = [args] + [tuple(tree.copy(a) for a in args) for _ in rates[1:]]
        # the first call gets the arguments themselves, so that a change of them is seen
        probes = [at_rate(params, given, rate, options) for given, rate in zip(copies, rates, strict=True)]
        gradient, error = probes[0]
        value = None if loss is None else loss(params, *args, **(options if loss_named else {}))
        return Answer(value, gradient, error, _rate_dependence(probes, rates))

    notes = () if loss is not None else ("the subject has no loss, so only its gradient was compared",)
    return Subject(_name(step), answer, loss, takes_architecture=takes_architecture, notes=notes)


def _rate_dependence(probes: list[tuple[Any, Any]], rates: tuple[float, ...]) -> tuple[str, ...]:
    """A note if the recovered gradient depends on the learning rate."""
    if len(probes) < 2 or any(error is None for _, error in probes):
        return ()
    at_large, at_small = ([leaf for _, leaf in tree.leaves(gradient)] for gradient, _ in probes)
    allowed = [
        a + b for (_, a), (_, b) in zip(tree.leaves(probes[0][1]), tree.leaves(probes[1][1]), strict=True)
    ]
    same = all(
        bool(np.all(abs(a - b) <= bound)) for a, b, bound in zip(at_large, at_small, allowed, strict=True)
    )
    if same:
        return ()
    return (
        f"the step divided by the learning rate is not the same at rates {rates[0]:g} and {rates[1]:g}: "
        "are weights updated before δ was propagated through them, or is there momentum?",
    )


def as_subject(subject: Any) -> Subject:
    """A subject as it is, or a bare callable through :func:`from_joint`."""
    if isinstance(subject, Subject):
        return subject
    if hasattr(subject, "answer") and not callable(subject):
        return subject  # type: ignore[no-any-return]
    return from_joint(subject)
