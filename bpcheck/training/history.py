"""What a training run leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

from bpcheck import tree
from bpcheck.reference.network import Network
from bpcheck.reference.optimizer import Rule, State
from bpcheck.tree import Tree

__all__ = ["Epoch", "Training"]


@dataclass(frozen=True)
class Epoch:
    """One pass over the data.

    Attributes
    ----------
    number : int
        Counts from 1.
    loss : float
        Mean over the mini-batches, each taken before its update; larger than at the end of the epoch.
    learning_rate : float
        η of its last step.
    gradient_norms : tuple of float
        For each layer, ‖∂C/∂(W, b)‖₂ as root mean square over the mini-batches, from the input up.
    activation_norms : tuple of float
        For each layer, the root mean square of its activations for the last mini-batch.
    held_out_loss, held_out_accuracy : float or None
        On the data held out, after the epoch; accuracy where the targets are one-hot.
    """

    number: int
    loss: float
    learning_rate: float
    gradient_norms: tuple[float, ...]
    activation_norms: tuple[float, ...]
    held_out_loss: float | None = None
    held_out_accuracy: float | None = None


def _frozen(params: Tree) -> Tree:
    return tree.restore(params, [tree.freeze(leaf) for _, leaf in tree.leaves(params)])


def _read_only(values: Any) -> Any:
    if not isinstance(values, Mapping):
        return values
    return MappingProxyType({name: _read_only(value) for name, value in values.items()})


def plain(values: Any) -> Any:
    """Mappings within mappings as dicts of our own."""
    return {name: plain(value) for name, value in values.items()} if isinstance(values, Mapping) else values


@dataclass(frozen=True, eq=False)
class Training:
    """Where a training run stands: enough to go on as if it had never stopped.

    Attributes
    ----------
    network : Network
    rule : Rule
    params : list
        After the last step.
    best : list
        Of the epoch with the lowest loss on the data held out; ``params`` where nothing was held out.
    state : State
        Of the rule.
    history : tuple of Epoch
    stopped : str
        Why it ended before the last epoch, or ``""``.
    seed : int
    random_state : mapping
        Of the generator that shuffles.
    data : str
        A fingerprint of x and y.
    batch : int
        Examples a step.

    All arrays are read-only, so that the run goes on from where it stood: copy what you want to change.
    """

    network: Network
    rule: Rule
    params: Tree
    best: Tree
    state: State
    history: tuple[Epoch, ...]
    stopped: str
    seed: int
    random_state: Mapping[str, Any]
    data: str
    batch: int

    def __post_init__(self) -> None:
        slots = {name: _frozen(slot) for name, slot in self.state.slots.items()}
        for name, value in (
            ("params", _frozen(self.params)),
            ("best", _frozen(self.best)),
            ("state", State(self.state.step, slots)),
            ("random_state", _read_only(self.random_state)),
        ):
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """To be copied and pickled, which a mapping proxy alone cannot be."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Training, (*{**values, "random_state": plain(self.random_state)}.values(),)

    @property
    def last(self) -> Epoch:
        """The last epoch."""
        return self.history[-1]

    def save(self, path: str | FilePath) -> FilePath:
        """Write everything to an ``.npz`` file; :func:`bpcheck.training.load` reads it.

        Parameters
        ----------
        path : str or Path
            Replaced if it is there, but only by a complete file.

        Returns
        -------
        Path
        """
        from bpcheck.training.saved import save  # what is saved knows this class

        return save(self, path)

    def __str__(self) -> str:
        last = self.last
        held = "" if last.held_out_loss is None else f", held out {last.held_out_loss:.4g}"
        right = "" if last.held_out_accuracy is None else f", {last.held_out_accuracy:.1%} right"
        lines = [f"{last.number} epochs, loss {last.loss:.4g}{held}{right}, seed {self.seed}"]
        if self.stopped:
            lines.append(self.stopped)
        lines.append("layer  ‖∂C/∂(W, b)‖  activations")
        for k, (slope, size) in enumerate(zip(last.gradient_norms, last.activation_norms, strict=True)):
            lines.append(f"{k + 2:5d}  {slope:12.3g}  {size:11.3g}")
        return "\n".join(lines)
