"""The derivative of any function of a tree of parameters, along one direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bpcheck.numeric.central import FIRST_STEP, Central
from bpcheck.numeric.noise import UNIT_ROUNDOFF
from bpcheck.numeric.perturbation import Line, line, real_phi, relative_step
from bpcheck.numeric.scheme import Scheme
from bpcheck.result import Estimate
from bpcheck.tree import Tree

__all__ = ["derivative"]


def derivative(
    f: Callable[[Tree], Any], at: Tree, direction: Tree, *, scheme: Scheme | None = None
) -> Estimate:
    """Differentiate ``f`` at ``at`` along ``direction``, with a bound on the error.

    Parameters
    ----------
    f : callable
        Takes a tree like ``at`` and returns one number.
    at : tree of float arrays, array or float
        The point.
    direction : tree
        Of the same structure and shapes; its length counts: twice the direction, twice the result.
    scheme : Scheme, optional
        How to differentiate along the line; adaptive central differences by default.

    Returns
    -------
    Estimate
        ``step`` is in units of ``direction``.

    Raises
    ------
    InputError
        If ``at`` and ``direction`` do not fit together, a value is not finite, the direction is zero,
        or ``f`` does not return one finite number at ``at``.
    SubjectError
        If ``f`` raises; the exception is chained.

    Notes
    -----
    Source: see :class:`~bpcheck.numeric.central.Central`. Perturbs copies. Parameters keep their
    precision: float32 ones are moved to the nearest float32, and what that rounding does to f is
    part of the noise that is measured.

    Examples
    --------
    >>> estimate = derivative(lambda w: np.sum(w**2), np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    >>> abs(estimate.value - 2.0) <= estimate.error < 1e-12
    True
    """
    path = line(at, direction)
    scale = relative_step(path)
    unit = Line(path.like, path.point, [scale * step for step in path.direction])
    estimate = (_default(path, scale) if scheme is None else scheme)(real_phi(f, unit))
    interval = None
    if estimate.interval is not None:
        interval = (estimate.interval[0] / scale, estimate.interval[1] / scale)
    return Estimate(
        estimate.value / scale,
        estimate.truncation / scale,
        estimate.rounding / scale,
        estimate.step * scale,
        estimate.order,
        estimate.evaluations,
        estimate.regime,
        interval,
    )


def _default(path: Line, scale: float) -> Central:
    roundoff = max(float(np.finfo(leaf.dtype).eps) / 2.0 for leaf in path.point)
    longest = scale * max(float(abs(step).max(initial=0.0)) for step in path.direction)
    # near 0 the size of θ says little about the scale of f: the ladder may climb to a step of about 1
    limit = FIRST_STEP * max(1.0, 1.0 / longest)
    return Central(largest_step=limit, roundoff=max(roundoff, UNIT_ROUNDOFF))
