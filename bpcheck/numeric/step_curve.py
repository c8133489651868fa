r"""Error of a central difference against its step: the V of truncation, h², and rounding, 1/h."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bpcheck.errors import InputError
from bpcheck.numeric.central import Central
from bpcheck.numeric.noise import UNIT_ROUNDOFF, measure_noise
from bpcheck.numeric.scheme import Phi
from bpcheck.result import Estimate
from bpcheck.tree import FloatArray, freeze

__all__ = ["StepErrors", "step_errors"]

LARGEST_STEP, SMALLEST_STEP = 0.5, 2.0**-50
"""Of the default steps: half of a relative step of 1, and four units in the last place of float64."""

STEPS_A_DECADE = 4
"""Enough for the eye to see the V and the scatter of its left arm."""


@dataclass(frozen=True, eq=False)
class StepErrors:
    """Error of the plain central difference, step by step, with the adaptive estimate beside it.

    Attributes
    ----------
    steps : (n,) array
        h, the largest first.
    errors : (n,) array
        |(φ(h) − φ(−h)) / 2h − ``reference``|; NaN where φ has no value.
    reference : float
        The exact derivative if it was given, the adaptive estimate if not.
    is_exact : bool
        Whether the reference was given. If not, errors below ``estimate.error`` mean little.
    estimate : Estimate
        Of :class:`~bpcheck.numeric.central.Central`, with the step that it chose and its bar.
    noise : float
        Standard deviation of the noise of φ.
    """

    steps: FloatArray
    errors: FloatArray
    reference: float
    is_exact: bool
    estimate: Estimate
    noise: float

    @property
    def best(self) -> tuple[float, float]:
        """Step and error of the best plain difference, which nobody knows beforehand."""
        index = int(np.nanargmin(self.errors))
        return float(self.steps[index]), float(self.errors[index])


def step_errors(
    phi: Phi,
    *,
    exact: float | None = None,
    steps: Sequence[float] | None = None,
    roundoff: float = UNIT_ROUNDOFF,
) -> StepErrors:
    """Difference ``phi`` with many steps.

    Parameters
    ----------
    phi : callable
        φ(t) = f(θ + t·v), scaled so that t = 1 is a relative step of about 1.
    exact : float, optional
        φ'(0), if it is known.
    steps : sequence of float, optional
        From 0.5 down to 9e-16, four a decade, if not given.
    roundoff : float
        u of the arithmetic in which ``phi`` computes.

    Returns
    -------
    StepErrors

    Raises
    ------
    InputError
        If φ(0) is not finite, or a step makes no sense.

    Examples
    --------
    >>> found = step_errors(np.exp, exact=1.0)
    >>> coarse, middle, fine = found.errors[[0, 20, 50]].tolist()  # h = 0.5, 5e-6 and 2e-13
    >>> middle < 1e-10 < 1e-5 < fine < coarse
    True
    >>> found.estimate.error < 1e-11  # extrapolation does better than the bottom of the V
    True
    """
    if steps is None:
        decades = math.log10(LARGEST_STEP / SMALLEST_STEP)
        h = np.geomspace(LARGEST_STEP, SMALLEST_STEP, 1 + round(STEPS_A_DECADE * decades))
    else:
        h = np.asarray(steps, dtype=float)
        if h.ndim != 1 or len(h) < 2 or not (np.isfinite(h).all() and (h > 0.0).all()):
            raise InputError(f"steps is {steps!r}; give two or more positive numbers.")
        h = np.sort(h)[::-1]
    sigma = measure_noise(phi, roundoff=roundoff)
    estimate = Central(noise=sigma, roundoff=roundoff)(phi)
    reference = estimate.value if exact is None else float(exact)
    with np.errstate(all="ignore"):
        slopes = np.array([(float(phi(float(t))) - float(phi(-float(t)))) / (2.0 * t) for t in h])
        errors = abs(slopes - reference)
    if not np.isfinite(errors).any():
        raise InputError("no step gives a finite difference: is the function finite around the parameters?")
    errors = np.where(np.isfinite(errors), errors, math.nan)
    return StepErrors(freeze(h), freeze(errors), reference, exact is not None, estimate, sigma)
