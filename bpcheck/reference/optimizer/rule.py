"""What an update rule is: a pure function from parameters, gradient and state to new parameters and new state."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.options import non_negative
from bpcheck.reference.optimizer.arithmetic import sign, zeros_like
from bpcheck.tree import Tree

__all__ = ["Rule", "Slots", "State"]

Slots = Mapping[str, Any]
"""What a rule keeps of one parameter array: name → array."""


@dataclass(frozen=True, eq=False)
class State:
    """What an update rule remembers between two steps.

    Attributes
    ----------
    step : int
        How many steps were taken.
    slots : mapping of str to Tree
        Running sums and averages, each nested and shaped as the parameters: ``{"m": …, "v": …}``.

    Examples
    --------
    >>> from bpcheck.reference.optimizer import Adam
    >>> state = Adam().init([1.0])
    >>> state.step, sorted(state.slots)
    (0, ['m', 'v'])
    """

    step: int = 0
    slots: Mapping[str, Tree] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", MappingProxyType(dict(self.slots)))

    def __reduce__(self) -> tuple[type[State], tuple[int, dict[str, Tree]]]:
        """To be copied and pickled, which a mapping proxy alone cannot be."""
        return State, (self.step, dict(self.slots))


@dataclass(frozen=True, kw_only=True)
class Rule(ABC):
    """An update rule with its hyperparameters: the state goes in and comes out, nothing is changed in place.

    Parameters
    ----------
    lr : float
        Learning rate η.
    weight_decay : float
        λ. Zero for none.
    decoupled : bool
        False: λw is added to the gradient, as if ½λ‖w‖² stood in the cost, and goes through everything that the rule
        does with a gradient. True: w shrinks by ηλw beside the step (Loshchilov and Hutter, *Decoupled weight decay
        regularization*, ICLR 2019). For plain gradient descent both are the same.
    l1 : float
        λ₁. λ₁ sign(w) is added to the gradient, as if λ₁‖w‖₁ stood in the cost; 0 at w = 0.
    """

    lr: float = 0.01
    weight_decay: float = 0.0
    decoupled: bool = False
    l1: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the slots that the rule keeps."""
        return ()

    def __post_init__(self) -> None:
        self._settle(non_negative, "lr", "weight_decay", "l1")

    def _settle(self, accept: Callable[[str, Any], float], *names: str) -> None:
        """Hyperparameters as Python's floats, which leave the dtype of an array as it is, or an error."""
        for name in names:
            object.__setattr__(self, name, accept(name, getattr(self, name)))

    def init(self, params: Tree) -> State:
        """The state before the first step: zeros.

        Parameters
        ----------
        params : tree of arrays

        Returns
        -------
        State
        """
        zeros = [zeros_like(leaf) for _, leaf in tree.leaves(params)]
        return State(0, {name: tree.restore(params, zeros) for name in self.names})

    def step(
        self, params: Tree, gradient: Tree, state: State, *, lr: float | None = None
    ) -> tuple[Tree, State]:
        """One step.

        Parameters
        ----------
        params : tree of arrays
        gradient : tree of arrays
            Nested and shaped as ``params``.
        state : State
            From :meth:`init` or from the step before.
        lr : float, optional
            η of this step, where a schedule says so.

        Returns
        -------
        (params, state)
            New ones; the old ones are as they were.

        Raises
        ------
        InputError
            If gradient or state are not nested as the parameters are.
        """
        paths = [path for path, _ in tree.leaves(params)]
        weights = [leaf for _, leaf in tree.leaves(params)]
        slopes = self._matching(paths, gradient, "gradient")
        kept = {
            name: self._matching(paths, state.slots.get(name), f"state.slots[{name!r}]")
            for name in self.names
        }
        eta = self.lr if lr is None else lr
        new: list[Any] = []
        slots: dict[str, list[Any]] = {name: [] for name in self.names}
        for i, (w, g) in enumerate(zip(weights, slopes, strict=True)):
            moved, remembered = self._decayed(
                w, g, {name: kept[name][i] for name in self.names}, state.step + 1, eta
            )
            new.append(moved)
            for name in self.names:
                slots[name].append(remembered[name])
        after = {name: tree.restore(params, values) for name, values in slots.items()}
        return tree.restore(params, new), State(state.step + 1, after)

    def _decayed(self, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
        if self.l1:
            g = g + sign(w) * self.l1
        if not self.weight_decay:
            return self.leaf(w, g, slots, t, lr)
        if self.decoupled:
            moved, remembered = self.leaf(w, g, slots, t, lr)
            return moved - w * (lr * self.weight_decay), remembered
        return self.leaf(w, g + w * self.weight_decay, slots, t, lr)

    @abstractmethod
    def leaf(self, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
        """The equation of the rule, for one array; ``t`` counts from 1.

        It is written with +, −, ·, / and the functions of :mod:`.arithmetic` alone, so that it runs on arrays and on
        balls, which bound its rounding, alike.
        """

    def but(self, **changes: Any) -> Rule:
        """The same rule with some hyperparameters changed."""
        return dataclasses.replace(self, **changes)

    def _matching(self, paths: Sequence[tree.Path], other: Tree, name: str) -> list[Any]:
        """The leaves of another tree in the order of the parameters'."""
        found = {path.keys: leaf for path, leaf in tree.leaves({} if other is None else other, name)}
        values = []
        for path in paths:
            if path.keys not in found:
                raise InputError(
                    f"{name}{''.join(path.keys)} is missing; {name} must be nested as the parameters are."
                )
            values.append(found.pop(path.keys))
        if found:
            extra = "".join(next(iter(found)))
            raise InputError(f"{name}{extra} has no parameter; {name} must be nested as the parameters are.")
        return values
