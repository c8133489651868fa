"""Weight penalties: λ₁‖W‖₁ + ½λ₂‖W‖², not divided by the batch size."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.network.architecture import Architecture
from bpcheck.network.names import is_penalised
from bpcheck.reference.numbers.ball import EXTRA_ROUNDINGS, Ball
from bpcheck.reference.numbers.variance import Noisy
from bpcheck.tree import Tree

__all__ = ["penalty", "penalty_gradient"]


def penalty(params: Tree, architecture: Architecture) -> Any:
    """λ₁ Σ|W| + ½ λ₂ Σ W²; also for complex parameters."""
    total: Any = 0.0
    if not (architecture.l1 or architecture.l2):
        return total
    for path, w in tree.leaves(params):
        if is_penalised(architecture, path):
            total = total + architecture.l1 * np.where(w.real >= 0, w, -w).sum()
            total = total + 0.5 * architecture.l2 * (w * w).sum()
    return total


def penalty_gradient(params: Tree, architecture: Architecture) -> Tree | None:
    """λ₁ sign(W) + λ₂ W for each tensor, None for those without a penalty.

    At W = 0 exactly, ‖·‖₁ has a kink: any value in [−λ₁, λ₁] is right, 0 is ours.
    """
    if not (architecture.l1 or architecture.l2):
        return None
    gradients: list[Any] = []
    for path, w in tree.leaves(params):
        if not is_penalised(architecture, path):
            gradients.append(None)
        elif isinstance(w, Ball):
            at_kink = np.where(w.mid == 0, architecture.l1, 0.0)
            sign = Ball(architecture.l1 * np.sign(w.mid), np.zeros(w.shape), at_kink, w.u)
            # other code may write ½λ·2W, or add the penalty before a division: each step rounds once
            rounding = EXTRA_ROUNDINGS * w.u * (architecture.l1 + architecture.l2 * abs(w.mid))
            gradients.append((sign + w * architecture.l2).widened(rounding))
        elif isinstance(w, Noisy):
            lasso = Noisy(architecture.l1 * np.sign(w.value), w.rounding.storing(architecture.l1), w.rounding)
            # λ₂ is rounded too, then the product; ½λ₂·2W rounds once more
            product = w * architecture.l2
            gradients.append(lasso + product.noisier(2 * w.rounding.storing(product.value)))
        else:
            gradients.append(architecture.l1 * np.sign(w) + architecture.l2 * w)
    return tree.restore(params, gradients)
