r"""Kinks, where the slope jumps.

.. math:: S(h) = \frac{φ(h) + φ(−h) − 2φ(0)}{h} = J + h φ'' + h³ φ''''/12 + …

with J = φ'(0+) − φ'(0−). Where φ is smooth, J = 0 and S dies with h; a jump stays. Richardson's
weights for the powers h, h³, … leave J. A kink at a distance δ looks like one at θ for h ≫ δ and is
gone for h < δ, so that J of the finest rungs tells the two apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bpcheck.numeric.richardson import weights, windows
from bpcheck.numeric.scheme import Phi
from bpcheck.tree import FloatArray

__all__ = ["Jumps", "is_discontinuous", "jumps"]

SIGNIFICANT = 6.0
"""A jump counts if it is this many standard deviations of its noise. Jumps are looked at in every
entry of the table, a hundred in all: 6 leaves a false alarm below 1e-7."""

STEP_HALVINGS = 4
"""A change that has not shrunk as its end came nearer so many times is a step: anything that is
differentiable, or leaves a plateau as t^p, has shrunk by then."""

STEP_SHARE = 0.9
"""What counts as not shrunk: t^0.05 would have to 0.87 if each time were a halving."""

MOST_HALVINGS = 40
"""Down to 2^−40 of the interval; beyond, t itself has no digits left."""


@dataclass(frozen=True, eq=False)
class Jumps:
    """J for every entry (rung, column) of a ladder.

    Attributes
    ----------
    value, noise, truncation : (rungs, columns) arrays
        NaN where there is no such entry; ``noise`` is a standard deviation, ``truncation`` the
        largest difference to the neighbours.
    """

    value: FloatArray
    noise: FloatArray
    truncation: FloatArray

    def column(self, rung: int) -> int:
        """Choose the column that knows J best at this rung."""
        doubt = SIGNIFICANT * self.noise[rung] + self.truncation[rung]
        return int(np.argmin(np.where(np.isnan(doubt), np.inf, doubt)))

    def significance(self, rung: int) -> float:
        """|J| in units of its doubt."""
        column = self.column(rung)
        doubt = SIGNIFICANT * self.noise[rung, column] + self.truncation[rung, column]
        size = abs(self.value[rung, column])
        return math.inf if doubt == 0.0 < size else float(size / doubt) if size > 0.0 else 0.0

    def significant(self, rung: int) -> bool:
        """Whether the slope jumps, as far as this rung can see."""
        return self.significance(rung) > 1.0


def jumps(
    steps: FloatArray, up: FloatArray, down: FloatArray, center: float, sigma: FloatArray, columns: int
) -> Jumps:
    """J at every entry of the ladder.

    Parameters
    ----------
    steps, up, down : (rungs,) arrays
        h, φ(h), φ(−h), the coarsest first, each half the one before.
    center : float
        φ(0).
    sigma : (rungs,) array
        Standard deviation of the noise in φ(±h).
    columns : int
        Highest column.

    Returns
    -------
    Jumps

    Notes
    -----
    φ(0) enters every rung: its noise is common to them and is summed before it is squared.

    Examples
    --------
    >>> h = 0.5 ** np.arange(4)
    >>> jumps(h, abs(h), abs(h), 0.0, np.zeros(4), 1).value[3]
    array([2., 2.])
    """
    quotient = ((up - center) + (down - center)) / steps
    shape = (len(steps), columns + 1)
    value, noise = np.full(shape, np.nan), np.full(shape, np.nan)
    for q, w in enumerate(weights(columns, 1)[: len(steps)]):
        value[q:, q] = windows(quotient, q) @ w
        own = np.hypot.reduce(windows(math.sqrt(2.0) * sigma / steps, q) * w, axis=1)
        common = abs(windows(2.0 / steps, q) @ w) * sigma.min()
        noise[q:, q] = np.hypot(own, common)
    truncation = np.full(shape, np.inf)
    # one neighbour may agree by accident (a curvature that two powers of h happen to balance), two do not
    truncation[1:, 1:] = np.maximum(abs(np.diff(value, axis=1))[1:], abs(np.diff(value, axis=0))[:, 1:])
    for q in range(1, min(columns + 1, len(steps))):  # the top of a column has none above it
        truncation[q, q] = max(abs(value[q, q] - value[q, q - 1]), abs(value[q, q] - value[q - 1, q - 1]))
    return Jumps(value, noise, np.where(np.isnan(value), np.nan, truncation))


def is_discontinuous(phi: Phi, center: float, still: float, moved: float, noise: float) -> bool:
    """Whether φ leaves the value ``center`` by a step between ``still`` and ``moved``.

    A function rounded to a table of values is flat between steps, with a derivative of exactly 0
    that means nothing; a dead unit is flat as well, but it leaves the plateau continuously.

    Parameters
    ----------
    phi : callable
    center : float
        φ(0) = φ(still).
    still, moved : float
        Points at which φ is, and is not, ``center``.
    noise : float
        Changes up to this size say nothing.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_discontinuous(lambda t: float(t >= 0.7), 0.0, 0.5, 1.0, 1e-16)
    True
    >>> is_discontinuous(lambda t: max(t - 0.7, 0.0), 0.0, 0.5, 1.0, 1e-16)
    False
    """
    changes = [abs(phi(moved) - center)]
    for _ in range(MOST_HALVINGS):
        if not changes[-1] > noise:
            return False
        if len(changes) > STEP_HALVINGS and changes[-1] >= STEP_SHARE * changes[-1 - STEP_HALVINGS]:
            return True
        middle = 0.5 * (still + moved)
        at_middle = abs(phi(middle) - center)
        if at_middle == 0.0:
            still = middle
        else:
            moved = middle
            changes.append(at_middle)
    return len(changes) <= STEP_HALVINGS  # what shrank as long as one could look is no step
