"""Errors that bpcheck raises on purpose: each says what was given, what is needed and how to fix it.

Every one derives from :class:`BpcheckError`, and from the built-in class that a caller would
expect (``ValueError``, ``AssertionError``, ...), so that both ways of catching work.
"""

from __future__ import annotations

__all__ = [
    "ArchitectureError",
    "BpcheckError",
    "GradientInconclusive",
    "GradientMismatch",
    "InputError",
    "SubjectError",
]


class BpcheckError(Exception):
    """Base class of all errors raised by bpcheck itself."""


class InputError(BpcheckError, ValueError):
    """An argument cannot be used as given; the message names its path and the remedy."""


class ArchitectureError(InputError):
    """A network description makes no sense (a zero width, an unknown activation, ...)."""


class SubjectError(BpcheckError):
    """The code being checked raised; the original exception is chained as ``__cause__``.

    Attributes
    ----------
    reproducer : str
        A snippet that calls the subject in the same way, ready to paste (empty if there is none).
    """

    def __init__(self, message: str, *, reproducer: str = "") -> None:
        self.reproducer = reproducer
        super().__init__(f"{message}\n\nTo see it again:\n{reproducer}" if reproducer else message)


class GradientMismatch(BpcheckError, AssertionError):
    """A gradient is not what it should be; the message is the whole report.

    Attributes
    ----------
    report : Report
        The result that was not ok.
    """

    def __init__(self, report: object) -> None:
        self.report = report
        super().__init__(str(report))


class GradientInconclusive(GradientMismatch):
    """The check could not decide; a CI run must not read that as a pass."""
