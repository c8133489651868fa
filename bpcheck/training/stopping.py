"""Early stopping: no more epochs when those held out are read no better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpcheck.options import non_negative, whole
from bpcheck.training.history import Epoch

__all__ = ["EarlyStopping"]


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stop after some epochs without a lower loss on the data held out.

    The parameters of the best epoch are ``Training.best``. The data held out have then been used to choose: a figure for
    data never seen needs a third set.

    Parameters
    ----------
    patience : int
        Epochs without improvement that are waited for.
    least : float
        How much lower a loss must be to count.

    Notes
    -----
    Source: Prechelt, *Early stopping, but when?*, in *Neural networks: tricks of the trade*, 1998; this is his criterion UP
    with a minimum instead of strips.

    Examples
    --------
    >>> losses = [1.0, 0.5, 0.6, 0.7]
    >>> epochs = [Epoch(i + 1, 0.0, 0.1, (), (), held_out_loss=loss) for i, loss in enumerate(losses)]
    >>> EarlyStopping(patience=2)(epochs)
    'stopped early: epoch 2 was the best, and 2 epochs were no better'
    >>> EarlyStopping(patience=3)(epochs)
    ''
    """

    patience: int = 5
    least: float = 0.0

    def __post_init__(self) -> None:
        whole("patience", self.patience, of="epochs")
        non_negative("least", self.least)

    def __call__(self, history: Sequence[Epoch]) -> str:
        """Why to stop now, or ``""``."""
        best, at = float("inf"), 0
        for epoch in history:
            if epoch.held_out_loss is not None and epoch.held_out_loss < best - self.least:
                best, at = epoch.held_out_loss, epoch.number
        waited = history[-1].number - at if history else 0
        if waited < self.patience:
            return ""
        return f"stopped early: epoch {at} was the best, and {waited} epochs were no better"
