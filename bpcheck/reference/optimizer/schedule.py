"""Learning rates that change: functions of the number of steps taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from bpcheck.options import whole

__all__ = ["Schedule", "constant_rate", "cosine", "step_decay", "warm_up"]

Schedule: TypeAlias = Callable[[int], float]
"""η of step t, where t counts from 0."""


def constant_rate(lr: float) -> Schedule:
    """η at every step.

    Examples
    --------
    >>> constant_rate(0.5)(100)
    0.5
    """
    return lambda step: lr


def step_decay(lr: float, *, every: int, factor: float = 0.1) -> Schedule:
    """η · factor^⌊t / every⌋.

    Parameters
    ----------
    lr : float
    every : int
        Steps between two drops.
    factor : float
        What each drop multiplies by.

    Examples
    --------
    >>> [step_decay(1.0, every=2, factor=0.5)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    whole("every", every)
    return lambda step: lr * factor ** (step // every)


def cosine(lr: float, *, steps: int, least: float = 0.0) -> Schedule:
    """From η down to ``least`` along half a cosine: least + ½(η − least)(1 + cos(πt / steps)), then ``least``.

    Notes
    -----
    Source: Loshchilov and Hutter, *SGDR: stochastic gradient descent with warm restarts*, ICLR 2017, equation 5, without
    restarts.

    Examples
    --------
    >>> [round(cosine(1.0, steps=4)(t), 3) for t in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    whole("steps", steps)
    return lambda step: least + 0.5 * (lr - least) * (1.0 + math.cos(math.pi * min(step, steps) / steps))


def warm_up(schedule: Schedule, *, steps: int) -> Schedule:
    """The first ``steps`` steps rise evenly to what the schedule has there: (t + 1)/steps of it.

    Notes
    -----
    Source: Goyal et al., *Accurate, large minibatch SGD: training ImageNet in 1 hour*, 2017, section 2.2.

    Examples
    --------
    >>> [warm_up(constant_rate(1.0), steps=4)(t) for t in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    whole("steps", steps)
    return lambda step: schedule(step) * min(1.0, (step + 1) / steps)
