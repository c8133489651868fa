"""A rule that clips its gradient first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.options import one_of, positive
from bpcheck.reference.numbers.ball import Ball
from bpcheck.reference.optimizer.arithmetic import constant, sqrt
from bpcheck.reference.optimizer.clipping import clip_by_global_norm, clip_by_norm, clip_by_value
from bpcheck.reference.optimizer.rule import Rule, Slots, State
from bpcheck.reference.optimizer.sgd import SGD
from bpcheck.tree import Tree

__all__ = ["WAYS", "Clipped"]

WAYS: dict[str, Callable[..., Tree]] = {
    "value": clip_by_value,
    "norm": clip_by_norm,
    "global norm": clip_by_global_norm,
}


@dataclass(frozen=True, kw_only=True)
class Clipped(Rule):
    """Clip the gradient, then do what another rule does.

    Parameters
    ----------
    rule : Rule
        What is done with the clipped gradient. Its rate and decay count: ``lr`` is that rate,
        and a decay of this object does nothing.
    by : {"value", "norm", "global norm"}
        See :mod:`bpcheck.reference.optimizer.clipping`.
    limit : float
        Positive.
    margin : float
        What is added to the norm before it is divided by; torch's ``clip_grad_norm_`` adds 1e-6. Not for "value".

    Examples
    --------
    >>> import numpy as np
    >>> rule = Clipped(rule=SGD(lr=1.0), by="global norm", limit=2.5)
    >>> params = [np.array([0.0]), np.array([0.0])]
    >>> rule.step(params, [np.array([3.0]), np.array([4.0])], rule.init(params))[0]
    [array([-1.5]), array([-2.])]
    """

    lr: float = dataclasses.field(init=False, repr=False)
    rule: Rule = dataclasses.field(default_factory=SGD)
    by: str = "global norm"
    limit: float = 1.0
    margin: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", self.rule.lr)
        super().__post_init__()
        one_of("by", self.by, WAYS)
        self._settle(positive, "limit")

    def init(self, params: Tree) -> State:
        """The state of the rule."""
        return self.rule.init(params)

    def step(
        self, params: Tree, gradient: Tree, state: State, *, lr: float | None = None
    ) -> tuple[Tree, State]:
        """One step with the clipped gradient."""
        listed = [leaf for _, leaf in tree.leaves(gradient)]
        if any(isinstance(leaf, Ball) for leaf in listed):
            clipped = tree.restore(gradient, _balls(listed, self.by, self.limit, self.margin))
        elif self.by == "value":
            clipped = clip_by_value(gradient, self.limit)
        else:
            clipped = WAYS[self.by](gradient, self.limit, margin=self.margin)
        return self.rule.step(params, clipped, state, lr=lr)

    def leaf(self, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
        """That of the rule: one array alone cannot be clipped by the norm of all."""
        return self.rule.leaf(w, g, slots, t, lr)


def _balls(leaves: list[Any], by: str, limit: float, margin: float) -> list[Any]:
    """The same on balls around an exact gradient."""
    if by == "value":
        return [Ball.exact(np.clip(leaf.mid, -limit, limit), leaf.u) for leaf in leaves]
    squares = [(leaf * leaf).sum() for leaf in leaves]
    if by == "global norm":
        total = squares[0]
        for square in squares[1:]:
            total = total + square
        squares = [total] * len(leaves)
    return [leaf * _factor(square, limit, margin) for leaf, square in zip(leaves, squares, strict=True)]


def _factor(square: Ball, limit: float, margin: float) -> Any:
    norm = sqrt(square) + constant(margin, square)
    scaled = constant(limit, norm) / norm if norm.mid > 0 else None
    if scaled is None or norm.mid + norm.rad <= limit:
        return 1.0
    if norm.mid - norm.rad > limit:
        return scaled
    # so near the limit that rounding decides: anything between the factor and 1
    return Ball(np.minimum(scaled.mid, 1.0), scaled.rad + abs(1.0 - scaled.mid), norm.kink, norm.u)
