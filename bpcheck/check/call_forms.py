"""The two ways to call a check: with a loss and a gradient, or with a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bpcheck.errors import InputError
from bpcheck.subject import Subject, as_subject, from_parts
from bpcheck.tree import Tree

__all__ = ["parse"]

NAMES = frozenset({"subject", "loss", "gradient", "params"})


def parse(
    arguments: Sequence[Any], named: Mapping[str, Any], *, function: str, options: Sequence[str]
) -> tuple[Subject, Tree, tuple[Any, ...]]:
    """Take ``(loss, gradient, params, *args)`` or ``(subject, params, *args)`` apart, positional or by name.

    Parameters
    ----------
    arguments : sequence
        Positional arguments of the call.
    named : mapping
        What it was given by name and is no option.
    function : str
        Its name, for messages.
    options : sequence of str
        Its options, for messages.

    Returns
    -------
    subject : Subject
    params : tree
    args : tuple

    Raises
    ------
    InputError
        If something is missing, or has a name that nothing has.

    Examples
    --------
    >>> subject, params, args = parse((abs, abs, 3.0, 1), {}, function="check", options=["seed"])
    >>> subject.name, params, args
    ('abs', 3.0, (1,))
    >>> parse((), {"sed": 1}, function="check", options=["seed"])
    Traceback (most recent call last):
    bpcheck.errors.InputError: unknown option 'sed'; the option is seed.
    """
    unknown = sorted(set(named) - NAMES)
    if unknown:
        *most, last = options
        listed = f"options are {', '.join(most)} and {last}" if most else f"option is {last}"
        raise InputError(f"unknown option {unknown[0]!r}; the {listed}.")
    rest = list(arguments)

    def take(name: str) -> Any:
        if name in named:
            return named[name]
        if not rest:
            raise InputError(
                f"{name} is missing: call {function}(loss, gradient, params, *args) or "
                f"{function}(subject, params, *args)."
            )
        return rest.pop(0)

    two_functions = "subject" not in named and len(rest) > 1 and callable(rest[1])
    if "loss" in named or "gradient" in named or two_functions:
        loss, gradient = take("loss"), take("gradient")
        subject = from_parts(loss=loss, gradient=gradient)
    else:
        subject = as_subject(take("subject"))
    return subject, take("params"), tuple(rest)
