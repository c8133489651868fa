"""Momentum, in its three forms, and Nesterov's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpcheck import tree
from bpcheck.options import one_of, share
from bpcheck.reference.optimizer.arithmetic import constant
from bpcheck.reference.optimizer.rule import Rule, Slots, State
from bpcheck.tree import Tree

__all__ = ["FORMS", "Momentum", "Nesterov"]

FORMS = ("sum", "average", "velocity")


@dataclass(frozen=True, kw_only=True)
class Momentum(Rule):
    """A running sum, or average, of the gradients takes the gradient's place.

    ============  ====================================  ====================================================
    ``form``      equations                             where
    ============  ====================================  ====================================================
    ``sum``       v ← μv + g,         w ← w − ηv        ``torch.optim.SGD`` (Polyak's heavy ball)
    ``average``   v ← μv + (1 − μ)g,  w ← w − ηv        courses, Adam's first half
    ``velocity``  v ← μv − ηg,        w ← w + v         Sutskever et al. 2013, Keras
    ============  ====================================  ====================================================

    At a constant η the first and the third are the same; where η changes, the third carries the old η along. The
    average is the sum with η(1 − μ) for η. torch's ``dampening`` = μ is the average but for its start: the first gradient
    enters whole, v₁ = g₁.

    Parameters
    ----------
    momentum : float
        μ, at least 0 and below 1.
    form : {"sum", "average", "velocity"}
    lr, weight_decay, decoupled, l1
        See :class:`~bpcheck.reference.optimizer.rule.Rule`.

    Notes
    -----
    Sources: Polyak, *Some methods of speeding up the convergence of iteration methods*, USSR Computational Mathematics
    and Mathematical Physics 4, 1964; Sutskever et al., *On the importance of initialization and momentum in deep
    learning*, ICML 2013. Why v is an average: ``derivations/momentum_average.py``.

    Examples
    --------
    >>> import numpy as np
    >>> rule = Momentum(lr=1.0, momentum=0.5)
    >>> w, state = np.array([0.0]), rule.init(np.array([0.0]))
    >>> for g in (1.0, 0.0, 0.0):
    ...     w, state = rule.step(w, np.array([g]), state)
    ...     print(float(w[0]))
    -1.0
    -1.5
    -1.75
    """

    momentum: float = 0.9
    form: str = "sum"

    @property
    def names(self) -> tuple[str, ...]:
        """The running sum v."""
        return ("v",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._settle(share, "momentum")
        one_of("form", self.form, FORMS)

    def leaf(self, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
        """The table's equations."""
        mu, eta = constant(self.momentum, w), constant(lr, w)
        if self.form == "velocity":
            v = slots["v"] * mu - eta * g
            return w + v, {"v": v}
        v = slots["v"] * mu + ((1 - mu) * g if self.form == "average" else g)
        return w - eta * v, {"v": v}


@dataclass(frozen=True, kw_only=True)
class Nesterov(Momentum):
    """Momentum whose gradient is taken where the momentum alone would lead.

    Written for the point w at which the gradient is asked for (Bengio et al., below), so that it takes the same
    arguments as every other rule: v ← μv + g, w ← w − η(g + μv); with ``form="velocity"`` v ← μv − ηg, w ← w + μv − ηg.

    Parameters
    ----------
    momentum, form, lr, weight_decay, decoupled, l1
        See :class:`Momentum`.

    Notes
    -----
    Sources: Nesterov, *A method of solving a convex programming problem with convergence rate O(1/k²)*, Soviet
    Mathematics Doklady 27, 1983; Sutskever et al. 2013; Bengio, Boulanger-Lewandowski and Pascanu, *Advances in
    optimizing recurrent networks*, ICASSP 2013, for the form used here.

    Examples
    --------
    >>> import numpy as np
    >>> rule = Nesterov(lr=1.0, momentum=0.5)
    >>> w, _ = rule.step(np.array([0.0]), np.array([1.0]), rule.init(np.array([0.0])))
    >>> float(w[0])
    -1.5
    """

    def leaf(self, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
        """W − η(g + μv), the gradient standing for itself as it does in the form of v."""
        mu, eta = constant(self.momentum, w), constant(lr, w)
        if self.form == "velocity":
            v = slots["v"] * mu - eta * g
            return w + (mu * v - eta * g), {"v": v}
        own = (1 - mu) * g if self.form == "average" else g
        v = slots["v"] * mu + own
        return w - eta * (g + mu * v), {"v": v}

    def underlying(self, params: Tree, state: State, *, lr: float | None = None) -> Tree:
        """Where the iterates of Nesterov's original form stand: the gradient is taken ahead of them by the momentum."""
        eta = self.lr if lr is None else lr
        sign = 1.0 if self.form == "velocity" else -eta
        ahead = [leaf for _, leaf in tree.leaves(state.slots["v"])]
        moved = [w - sign * self.momentum * v for (_, w), v in zip(tree.leaves(params), ahead, strict=True)]
        return tree.restore(params, moved)
