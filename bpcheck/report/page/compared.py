"""Numbers of a backward pass: the right ones, the caller's where they are known, and where those are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.result import Comparison

__all__ = ["NOTHING", "SAME", "Compared", "close", "rounding"]

# Two δ count as the same up to this fraction of the layer's size: the same line as for naming a bug
# (bpcheck.diagnosis.diagnose: rounding is about 1e-13, other hypotheses differ by 1e-3 and more).
SAME = 1e-8


def close(first: Any, second: Any, slack: float = 0.0) -> Any:
    """True where two arrays agree but for rounding; NaN agrees with nothing.

    Examples
    --------
    >>> close(np.array([1.0, np.nan]), np.array([1.0 + 1e-12, 1.0]))
    array([ True, False])
    """
    with np.errstate(all="ignore"):
        size = max(float(np.max(abs(second), initial=0.0)), float(np.finfo(float).tiny))
        return abs(first - second) <= SAME * size + slack


def rounding(comparison: Comparison | None) -> float:
    """What rounding explains in a tensor: far below ``SAME`` in float64, far above it in float32."""
    if comparison is None or comparison.bound is None:
        return 0.0
    bound = np.asarray(comparison.bound)
    return float(np.max(bound[np.isfinite(bound)], initial=0.0))


@dataclass(frozen=True, eq=False)
class Compared:
    """An array that comes down, or a part of it."""

    right: Any = None
    yours: Any = None  # the caller's, if it is known
    wrong: Any = False

    @staticmethod
    def of(right: Any, yours: Any = None, slack: float = 0.0) -> Compared:
        """Both arrays; ``slack`` is what rounding explains besides :data:`SAME`."""
        wrong = np.zeros(np.shape(right), dtype=bool) if yours is None else ~close(yours, right, slack)
        return Compared(right, yours, wrong)

    def __getitem__(self, index: Any) -> Compared:
        """An example, or one of its units or maps."""
        return Compared(
            self.right[index], None if self.yours is None else self.yours[index], self.wrong[index]
        )

    @property
    def is_wrong(self) -> bool:
        """Whether one of the caller's numbers is known to be wrong."""
        return bool(np.any(self.wrong))


NOTHING = Compared()
"""Of a layer that has no such numbers."""
