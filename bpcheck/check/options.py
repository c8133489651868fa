"""Options that all checks share: what a caller may give, and what is used where nothing was given."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck.check.agreement import RESOLUTION
from bpcheck.errors import InputError

__all__ = ["resolution_or_default", "seed_or_drawn"]


def resolution_or_default(resolution: Any) -> float:
    """The relative error that must be visible for AGREES; 1e-3 where nothing was said.

    Raises
    ------
    InputError
        Unless it lies between 0 and 1.

    Examples
    --------
    >>> resolution_or_default(None)
    0.001
    """
    if resolution is None:
        return RESOLUTION
    number = isinstance(resolution, int | float | np.floating) and not isinstance(resolution, bool)
    if not number or not 0 < resolution < 1:
        raise InputError(
            f"resolution is {resolution!r}; give the relative error to see, such as 1e-3 (between 0 and 1)."
        )
    return float(resolution)


def seed_or_drawn(seed: Any) -> int:
    """The seed that is used, and reported: the caller's, or a fresh one.

    Raises
    ------
    InputError
        Unless it is a whole number, 0 or more, or None.

    Examples
    --------
    >>> seed_or_drawn(7)
    7
    """
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed is {seed!r}; give a whole number, 0 or more, or None.")
    return int(seed)
