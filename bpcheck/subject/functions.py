"""Plain functions as subjects: loss and gradient from one, or from two."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.subject.value import Answer, Subject

__all__ = [
    "NotAPair",
    "as_subject",
    "from_joint",
    "from_parts",
    "has_parameter",
    "name_of",
    "require_callable",
]


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
    require_callable(f, "the subject", "(params, x, y) -> (loss, gradient)")

    def answer(params: Any, *args: Any, **options: Any) -> Answer:
        returned = f(params, *args, **options)
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            raise NotAPair(
                f"{name_of(f)} returned {tree.describe(returned)}; it must return the pair (loss, gradient)."
            )
        return Answer(returned[0], returned[1])

    def loss(params: Any, *args: Any, **options: Any) -> Any:
        return answer(params, *args, **options).loss

    name = name_of(f)
    return Subject(name, answer, loss, takes_architecture=has_parameter(f, "architecture"), typed=name)


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
    require_callable(loss, "loss", "(params, *args) -> number")
    require_callable(gradient, "gradient", "(params, *args) -> gradient")
    loss_named, gradient_named = has_parameter(loss, "architecture"), has_parameter(gradient, "architecture")

    def ask_loss(params: Any, *args: Any, architecture: Any = None) -> Any:
        return loss(params, *args, **({"architecture": architecture} if loss_named else {}))

    def answer(params: Any, *args: Any, architecture: Any = None) -> Answer:
        named = {"architecture": architecture} if gradient_named else {}
        found = gradient(params, *args, **named)
        # The loss comes last: what it changes in place cannot spoil the gradient, and is still seen.
        return Answer(ask_loss(params, *args, architecture=architecture), found)

    return Subject(name_of(gradient), answer, ask_loss, takes_architecture=loss_named or gradient_named)


def as_subject(subject: Any) -> Subject:
    """A subject as it is, an object of one's own that has an ``answer``, or a callable through :func:`from_joint`."""
    if isinstance(subject, Subject):
        return subject
    if hasattr(subject, "answer") and not callable(subject):
        return Subject(
            **{f.name: getattr(subject, f.name) for f in fields(Subject) if hasattr(subject, f.name)}
        )
    if hasattr(subject, "named_parameters"):  # a torch.nn.Module, recognised without importing torch
        raise InputError(
            f"{type(subject).__name__} is a PyTorch module, which has no loss; give bpcheck.from_torch(module, loss), with "
            "architectures= of the module's widths for compare()."
        )
    return from_joint(subject)


def name_of(function: Any) -> str:
    """What a function is called, or the class of a callable object."""
    return str(getattr(function, "__name__", type(function).__name__))


def require_callable(function: Any, what: str, signature: str) -> None:
    """Refuse what cannot be called, with what is needed instead."""
    if not callable(function):
        raise InputError(f"{what} is {tree.describe(function)}; pass a function {signature}.")


def has_parameter(function: Any, name: str) -> bool:
    """Whether a function can be given an argument by a name."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins and C functions have no signature
        return False
