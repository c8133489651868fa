"""The complex step as a scheme, for a φ that accepts a complex t."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bpcheck.errors import InputError
from bpcheck.numeric.central import Central
from bpcheck.numeric.complex_step import SPACING, STEP, unexplained, value_error
from bpcheck.numeric.noise import SAMPLES
from bpcheck.result import Estimate

__all__ = ["Complex"]


@dataclass(frozen=True)
class Complex:
    """The complex step: φ(ih) = φ(0) + ih φ'(0), with h so small that its square is lost.

    Parameters
    ----------
    cross_check : bool
        Hold the answer against :class:`~bpcheck.numeric.central.Central`, for ``abs``, ``max``, comparisons
        and casts break the complex step without a sound.

    Raises
    ------
    InputError
        If φ does not return one number, is not finite at 0, or its complex derivative contradicts its own
        differences.

    Notes
    -----
    Source: Squire and Trapp, *Using complex variables to estimate derivatives of real functions*, SIAM Review
    40, 1998. The error is what the derivative jitters by at nine points around 0, as in
    :func:`~bpcheck.numeric.complex_step.complex_derivative`, which also sees units that are saturated at θ:
    it may move θ itself, a scheme may move t only.

    Examples
    --------
    >>> estimate = Complex()(lambda t: np.exp(1.0 + t))
    >>> abs(estimate.value - np.e) <= estimate.error < 2e-14
    True
    """

    cross_check: bool = True

    def __call__(self, phi: Callable[[complex], complex], /) -> Estimate:
        """Differentiate ``phi`` at 0."""
        middle = SAMPLES // 2
        with np.errstate(all="ignore"):
            values = [_value(phi, complex((k - middle) * SPACING, STEP)) for k in range(SAMPLES)]
        slopes = np.array([value.imag / STEP for value in values])
        center = values[middle]
        if not math.isfinite(center.real):
            raise InputError("the function is not finite at step 0: a derivative needs a value there.")
        slope, error = float(slopes[middle]), value_error(slopes)
        evaluations = SAMPLES
        if self.cross_check:
            real = Central()(lambda t: _value(phi, complex(t, 0.0)).real)
            evaluations += real.evaluations
            error = max(error, unexplained(real, slope, error))
        return Estimate(slope, 0.0, error, STEP, 2, evaluations, "exact")


def _value(phi: Callable[[complex], complex], t: complex) -> complex:
    returned = phi(t)
    if np.size(returned) != 1:
        raise InputError(f"the function returned {np.size(returned)} numbers, but one is needed.")
    return complex(np.asarray(returned).reshape(()))
