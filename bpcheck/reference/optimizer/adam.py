"""Adam and AdamW: momentum and RMSprop, each corrected for its start at zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpcheck.options import non_negative, one_of, share
from bpcheck.reference.optimizer.arithmetic import constant, maximum, power, sqrt
from bpcheck.reference.optimizer.rule import Rule, Slots

__all__ = ["EPSILON_AT", "Adam", "AdamW"]

EPSILON_AT = ("outside", "inside", "uncorrected")


@dataclass(frozen=True, kw_only=True)
class Adam(Rule):
    """m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², w ← w − η m̂ / (√v̂ + ε) with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    Parameters
    ----------
    beta1, beta2 : float
        β₁, β₂.
    epsilon : float
        ε.
    epsilon_at : {"outside", "inside", "uncorrected"}
        √v̂ + ε as in the paper's algorithm and in torch; √(v̂ + ε); or the paper's second form, which Keras has: the
        corrections are multiplied into η and ε stands beside the uncorrected root, η √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m / (√v + ε).
    bias_correction : bool
        Without it (not Adam, but often met) m and v themselves stand for m̂ and v̂.
    amsgrad : bool
        The largest v so far for v (Reddi, Kale and Kumar, *On the convergence of Adam and beyond*, ICLR 2018); as torch
        and Keras do, before the correction.
    lr, weight_decay, decoupled, l1
        See :class:`~bpcheck.reference.optimizer.rule.Rule`.

    Notes
    -----
    Source: Kingma and Ba, *Adam: a method for stochastic optimization*, ICLR 2015, algorithm 1. Where the corrections
    come from: ``derivations/adam_bias_correction.py``.

    Examples
    --------
    >>> import numpy as np
    >>> rule = Adam(lr=1.0, epsilon=0.0)
    >>> w, _ = rule.step(np.array([0.0]), np.array([7.0]), rule.init(np.array([0.0])))
    >>> float(w[0])
    -1.0
    """

    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_at: str = "outside"
    bias_correction: bool = True
    amsgrad: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The mean m, the mean square v; its largest value so far for AMSGrad."""
        return ("m", "v", "largest") if self.amsgrad else ("m", "v")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._settle(share, "beta1", "beta2")
        self._settle(non_negative, "epsilon")
        one_of("epsilon_at", self.epsilon_at, EPSILON_AT)

    def leaf(self, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
        """The equations above."""
        beta1, beta2 = constant(self.beta1, w), constant(self.beta2, w)
        eps, eta = constant(self.epsilon, w), constant(lr, w)
        m = slots["m"] * beta1 + (1 - beta1) * g
        v = slots["v"] * beta2 + (1 - beta2) * (g * g)
        kept, square = {"m": m, "v": v}, v
        if self.amsgrad:
            kept["largest"] = square = maximum(slots["largest"], v)
        if self.bias_correction and self.epsilon_at == "uncorrected":
            alpha = eta * sqrt(1 - power(beta2, t)) / (1 - power(beta1, t))
            return w - alpha * m / (sqrt(square) + eps), kept
        if self.bias_correction:
            m, square = m / (1 - power(beta1, t)), square / (1 - power(beta2, t))
        root = sqrt(square + eps) if self.epsilon_at == "inside" else sqrt(square) + eps
        return w - eta * m / root, kept


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam with a weight decay that does not pass through m and v: w ← w − η(m̂/(√v̂ + ε) + λw).

    Parameters
    ----------
    weight_decay : float
        λ; 0.01.
    lr, beta1, beta2, epsilon, epsilon_at, bias_correction, amsgrad
        See :class:`Adam`.

    Notes
    -----
    Source: Loshchilov and Hutter, *Decoupled weight decay regularization*, ICLR 2019, algorithm 2, with the rate η inside
    the decay as torch and Keras have it.

    Examples
    --------
    >>> import numpy as np
    >>> rule = AdamW(lr=0.5, weight_decay=0.5)
    >>> w, _ = rule.step(np.array([4.0]), np.array([0.0]), rule.init(np.array([4.0])))
    >>> float(w[0])
    3.0
    """

    weight_decay: float = 0.01
    decoupled: bool = True
