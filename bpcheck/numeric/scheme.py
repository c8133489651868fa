"""What a scheme is: a function that differentiates φ(t) = f(θ + t·v) at t = 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from bpcheck.result import Estimate

__all__ = ["Phi", "Scheme"]

Phi: TypeAlias = Callable[[float], float]


class Scheme(Protocol):
    """A way to differentiate at a point, as a value: settings in its fields, work in its call.

    Errors of φ pass through unchanged.

    Examples
    --------
    >>> from bpcheck.numeric import Central
    >>> scheme: Scheme = Central()
    >>> estimate = scheme(lambda t: (1.0 + t) ** 2)
    >>> abs(estimate.value - 2.0) <= estimate.error < 1e-12
    True
    """

    def __call__(self, phi: Phi, /) -> Estimate:
        """Differentiate ``phi`` at 0."""
        ...
