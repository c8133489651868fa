"""Where in the caller's code something happens: the innermost place that is neither ours nor NumPy's."""

from __future__ import annotations

import os
import sys
import traceback

import numpy as np

from bpcheck.check.contract import OURS

__all__ = ["place_of", "place_that_asks"]

NOT_THEIRS = (OURS, os.path.dirname(np.__file__))

Line = tuple[str, int]


NAMING = (KeyError, NameError, AttributeError)
"""What names a thing that is missing: two that name other things are two mistakes, be it in one line."""


def place_of(error: BaseException) -> tuple[type, str, Line | None]:
    """What was raised, about which name, in which line of whose code (None: before any was reached)."""
    frames = [
        (frame.filename, frame.lineno or 0)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(NOT_THEIRS)
    ]
    name = str(error) if isinstance(error, NAMING) else ""
    return type(error), name, frames[-1] if frames else None


def place_that_asks() -> tuple[str, int, int] | None:
    """File, line and instruction of the caller's code that is being run: a line may ask several times."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(NOT_THEIRS):
        frame = frame.f_back  # type: ignore[assignment]
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno, frame.f_lasti)
