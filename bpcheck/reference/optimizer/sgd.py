"""Gradient descent, plain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpcheck.reference.optimizer.arithmetic import constant
from bpcheck.reference.optimizer.rule import Rule, Slots

__all__ = ["SGD"]


@dataclass(frozen=True, kw_only=True)
class SGD(Rule):
    """w ← w − η g.

    *Stochastic* where g is the gradient at one example or at a mini-batch drawn at random; the rule is the same. The
    gradient of a mean over the mini-batch already holds the 1/m: η is not divided by m again.

    Parameters
    ----------
    lr, weight_decay, decoupled, l1
        See :class:`~bpcheck.reference.optimizer.rule.Rule`.

    Notes
    -----
    Source: Robbins and Monro, *A stochastic approximation method*, Annals of Mathematical Statistics 22, 1951. Derived as
    the steepest descent under a quadratic penalty in ``derivations/steepest_descent.py``.

    Examples
    --------
    >>> import numpy as np
    >>> rule = SGD(lr=0.25)
    >>> params, state = rule.step([np.array([1.0])], [np.array([2.0])], rule.init([np.array([1.0])]))
    >>> params
    [array([0.5])]
    """

    def leaf(self, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
        """W − η g."""
        return w - constant(lr, w) * g, slots
