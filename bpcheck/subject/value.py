"""What a subject is, and what it answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bpcheck import tree
from bpcheck.errors import InputError

__all__ = ["Answer", "Subject", "has_parameter", "name_of", "require_callable"]


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
    returned : tree or None
        The very arrays that the subject returned, where ``gradient`` is a translation of them.
    """

    loss: Any
    gradient: Any
    error: Any = None
    notes: tuple[str, ...] = ()
    precision: str = ""
    faults: tuple[tuple[str, str], ...] = ()
    returned: Any = None


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
    is_step : bool
        Whether it is an update step, from which the gradient is recovered.
    """

    name: str
    answer: Callable[..., Answer]
    loss: Callable[..., Any] | None = None
    takes_architecture: bool = False
    notes: tuple[str, ...] = field(default=())
    gradient_like_params: bool = False
    is_step: bool = False


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
