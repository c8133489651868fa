"""python-flint: imported when it is first needed, and its precision put back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bpcheck.errors import InputError

__all__ = ["flint", "precision"]

# Precision belongs to the whole process in flint, not to a thread: two of our passes must not overlap. A
# thread of the caller's that computes with flint at the same time would see ours all the same.
_LOCK = threading.RLock()

# Terms that a truncated power series keeps: the value and the first derivative.
SERIES_LENGTH = 2


def flint() -> Any:
    """The module ``flint``.

    Raises
    ------
    InputError
        If python-flint is not installed.

    Examples
    --------
    >>> flint().fmpq(1, 2) + 1
    3/2
    """
    try:
        import flint as module
    except ImportError:
        raise InputError(
            "the certified witness computes with python-flint, which is not installed here: "
            "pip install 'bpcheck[certify]'."
        ) from None
    return module


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Compute with ``bits`` bits inside; whatever happens, the caller's settings come back.

    Examples
    --------
    >>> before = flint().ctx.prec
    >>> with precision(200):
    ...     print(flint().ctx.prec)
    200
    >>> flint().ctx.prec == before
    True
    """
    context = flint().ctx
    with _LOCK:
        # by hand, for ctx.workprec() came with python-flint 0.7, and says nothing of the length of a series
        before = context.prec, context.cap
        context.prec, context.cap = bits, SERIES_LENGTH
        try:
            yield
        finally:
            context.prec, context.cap = before
