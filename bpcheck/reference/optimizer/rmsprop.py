"""RMSprop: each parameter with a step of its own size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpcheck.options import non_negative, one_of, share
from bpcheck.reference.optimizer.arithmetic import constant, sqrt
from bpcheck.reference.optimizer.rule import Rule, Slots

__all__ = ["RMSprop"]


@dataclass(frozen=True, kw_only=True)
class RMSprop(Rule):
    """v ← ρv + (1 − ρ)g², w ← w − η g / (√v + ε).

    Parameters
    ----------
    decay : float
        ρ (torch: ``alpha``, Keras: ``rho``).
    epsilon : float
        ε.
    epsilon_at : {"outside", "inside"}
        √v + ε, as torch has it, or √(v + ε), as Keras has it.
    centered : bool
        Subtract the square of the running mean, m ← ρm + (1 − ρ)g: √(v − m²) for √v.
    momentum : float
        μ. The steps are summed: b ← μb + g/(√v + ε), w ← w − ηb; with ``form="velocity"`` η stands inside b.
    form : {"sum", "velocity"}
    lr, weight_decay, decoupled, l1
        See :class:`~bpcheck.reference.optimizer.rule.Rule`.

    Notes
    -----
    Source: Tieleman and Hinton, lecture 6.5 of *Neural networks for machine learning*, 2012, which is a slide and fixes
    neither the place of ε nor its size; centred: Graves, *Generating sequences with recurrent neural networks*, 2013.
    Without a correction for its start at 0, v is too small at first: the first step is 1/√(1 − ρ) of what it is
    later, 3.2 times at ρ = 0.9 and 10 times at torch's 0.99.

    Examples
    --------
    >>> import numpy as np
    >>> rule = RMSprop(lr=1.0, decay=0.75, epsilon=0.0)
    >>> w, _ = rule.step(np.array([0.0]), np.array([7.0]), rule.init(np.array([0.0])))
    >>> float(w[0])
    -2.0
    """

    decay: float = 0.9
    epsilon: float = 1e-8
    epsilon_at: str = "outside"
    centered: bool = False
    momentum: float = 0.0
    form: str = "sum"

    @property
    def names(self) -> tuple[str, ...]:
        """The mean square v; the mean m if centred; the sum of steps b with momentum."""
        return ("v", *(("m",) if self.centered else ()), *(("b",) if self.momentum else ()))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._settle(share, "decay", "momentum")
        self._settle(non_negative, "epsilon")
        one_of("epsilon_at", self.epsilon_at, ("outside", "inside"))
        one_of("form", self.form, ("sum", "velocity"))

    def leaf(self, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
        """The equations above."""
        rho, eps, eta = constant(self.decay, w), constant(self.epsilon, w), constant(lr, w)
        kept = {"v": slots["v"] * rho + (1 - rho) * (g * g)}
        square = kept["v"]
        if self.centered:
            kept["m"] = slots["m"] * rho + (1 - rho) * g
            square = square - kept["m"] * kept["m"]
        root = sqrt(square + eps) if self.epsilon_at == "inside" else sqrt(square) + eps
        if not self.momentum:
            return w - eta * g / root, kept
        mu = constant(self.momentum, w)
        if self.form == "velocity":
            kept["b"] = slots["b"] * mu + eta * g / root
            return w - kept["b"], kept
        kept["b"] = slots["b"] * mu + g / root
        return w - eta * kept["b"], kept
