"""What a subject is, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Subject"]


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
        What cannot be looked at in this subject, a sentence each; a report repeats them.
    gradient_like_params : bool
        Whether the gradient comes back nested as the parameters were given, whatever a convention says.
    function : callable or None
        The caller's own code, called as ``answer`` is, where ``answer`` hands it copies: what it asks of its arguments can
        be watched.
    rate : float or None
        The learning rate of the update step from which the gradient is recovered; None if it is recovered from none.
    typed : str
        What the caller writes to hand it over; empty where an adapter stands between and its call is not known.
    """

    name: str
    answer: Callable[..., Answer]
    loss: Callable[..., Any] | None = None
    takes_architecture: bool = False
    notes: tuple[str, ...] = field(default=())
    gradient_like_params: bool = False
    function: Callable[..., Any] | None = None
    rate: float | None = None
    typed: str = ""
