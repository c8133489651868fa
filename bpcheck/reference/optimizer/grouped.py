"""Parameter groups: another rule for some of the parameters."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.reference.optimizer.arithmetic import zeros_like
from bpcheck.reference.optimizer.rule import Rule, Slots, State
from bpcheck.reference.optimizer.sgd import SGD
from bpcheck.tree import Tree

__all__ = ["Grouped"]


@dataclass(frozen=True, kw_only=True)
class Grouped(Rule):
    """One rule for most parameters and others for some, as weight decay for weights and none for biases.

    Parameters
    ----------
    rule : Rule
        For all parameters that no group takes. Its rate and decay count: ``lr`` is that rate,
        and a decay of this object does nothing.
    groups : tuple of (str, Rule)
        A parameter belongs to the first group whose text stands in its path: ``"bias"`` in ``params[0]['bias']``.

    Examples
    --------
    >>> import numpy as np
    >>> rule = Grouped(rule=SGD(lr=1.0, weight_decay=0.5), groups=(("bias", SGD(lr=1.0)),))
    >>> params = {"weight": np.array([4.0]), "bias": np.array([4.0])}
    >>> still = {"weight": np.array([0.0]), "bias": np.array([0.0])}
    >>> rule.step(params, still, rule.init(params))[0]
    {'weight': array([2.]), 'bias': array([4.])}
    """

    lr: float = dataclasses.field(init=False, repr=False)
    rule: Rule = dataclasses.field(default_factory=SGD)
    groups: tuple[tuple[str, Rule], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", self.rule.lr)
        super().__post_init__()
        for group in self.groups:
            if not (
                isinstance(group, tuple)
                and len(group) == 2
                and isinstance(group[0], str)
                and isinstance(group[1], Rule)
            ):
                raise InputError(f"groups holds {group!r}; give pairs (text of the path, rule).")

    @property
    def names(self) -> tuple[str, ...]:
        """Those of all the rules."""
        every = [name for rule in (self.rule, *(r for _, r in self.groups)) for name in rule.names]
        return tuple(dict.fromkeys(every))

    def rule_of(self, path: tree.Path) -> Rule:
        """The rule of one parameter."""
        return next((rule for text, rule in self.groups if text in str(path)), self.rule)

    def step(
        self, params: Tree, gradient: Tree, state: State, *, lr: float | None = None
    ) -> tuple[Tree, State]:
        """One step, each parameter by the rule of its group; ``lr``, if given, is for all of them."""
        paths = [path for path, _ in tree.leaves(params)]
        slopes = self._matching(paths, gradient, "gradient")
        kept = {
            name: self._matching(paths, state.slots.get(name), f"state.slots[{name!r}]")
            for name in self.names
        }
        new: list[Any] = []
        slots: dict[str, list[Any]] = {name: [] for name in self.names}
        for i, (path, w) in enumerate(tree.leaves(params)):
            rule = self.rule_of(path)
            own = State(state.step, {name: [kept[name][i]] for name in rule.names})
            moved, after = rule.step([w], [slopes[i]], own, lr=lr)
            new += moved
            for name in self.names:
                slots[name].append(after.slots[name][0] if name in after.slots else zeros_like(w))
        remembered = {name: tree.restore(params, values) for name, values in slots.items()}
        return tree.restore(params, new), State(state.step + 1, remembered)

    def leaf(self, w: Any, g: Any, slots: Slots, t: int, lr: float) -> tuple[Any, Slots]:
        """That of the rule: an array alone does not say to which group it belongs."""
        return self.rule.leaf(w, g, slots, t, lr)
