"""The failing case once more as nouns: what goes up and comes down through every layer, and the caller's δ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from bpcheck.network.case import Case
from bpcheck.network.layers import LayerSpec
from bpcheck.network.layers.spec import Role
from bpcheck.report.page.compared import NOTHING, Compared
from bpcheck.report.page.wrong import wrong_entries
from bpcheck.result import Comparison
from bpcheck.tree import Path

__all__ = ["Layer", "Replay", "walked"]


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer at the failing case; of a batch, the first axis counts the examples."""

    path: Path  # of its parameters
    spec: LayerSpec
    # the book's: 2 is the first layer that has weights. A layer that is not counted, or is made of others, has the
    # number of the last one counted up to it
    number: int
    name: str  # what a formula calls the numbers that leave the layer
    before: str  # key of the layer whose numbers enter; empty for the input
    entering: str  # what a formula calls the numbers that enter
    x: Any  # the numbers that enter
    a: Any  # the numbers that leave
    z: Any = None  # a layer without an activation has no z and no δ
    delta: Compared = NOTHING  # ∂C/∂z
    down: Compared = NOTHING  # ∂C/∂a
    below: Compared = NOTHING  # ∂C/∂x
    inner: tuple[Layer, ...] = ()  # the layers that it is made of
    # of the first of the layers that a skip connection passes: those layers in words, for what comes down to what
    # enters them has come through them, and another part past them
    through: str = ""
    # whether a layer with parameters comes before it, so that a backward pass needs ``below``
    has_below: bool = True
    is_output: bool = False  # whether what leaves it is the network's output
    params: Mapping[Role, Any] = field(default_factory=lambda: MappingProxyType({}))
    # what was said of its gradients, in the caller's layout
    comparisons: Mapping[Role, Comparison] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def key(self) -> str:
        """The path as text: what steps and drawings know the layer by."""
        return str(self.path)

    @property
    def below_name(self) -> str:
        """What comes down to what enters, as a formula."""
        return self.below_of(self.entering)

    def below_of(self, entering: str) -> str:
        """The same of an entry: ``∂C/∂a¹[c, x]``."""
        return f"∂C/∂{entering}{self.through and f' through {self.through}'}"

    @property
    def passed(self) -> str:
        """The layers that it is made of, in words."""
        numbers = [one.number for one in walked(self.inner)]
        first, last = numbers[0], numbers[-1]
        if first != last:
            return f"layers {first} {'and' if last == first + 1 else 'to'} {last}"
        return f"layer {first}{' and its skip connection' if self.inner[0].inner else ''}"

    @property
    def activation(self) -> str:
        """Name of σ."""
        return self.spec.output_activation

    def wrong_gradient(self, role: Role) -> Any:
        """The wrong entries of a parameter's gradient as a mask, in our layout."""
        comparison, shape = self.comparisons.get(role), np.shape(self.params[role])
        wrong = np.zeros(shape, dtype=bool)
        if comparison is not None:
            found = wrong_entries(comparison.in_our_layout)
            wrong = found if found.shape == shape else wrong
        return wrong

    @property
    def has_wrong_gradient(self) -> bool:
        """Whether the gradient of one of its parameters is wrong."""
        return any(bool(wrong_entries(comparison).any()) for comparison in self.comparisons.values())

    @property
    def is_wrong(self) -> bool:
        """Whether something that the caller computed here is wrong."""
        return self.has_wrong_gradient or self.delta.is_wrong or self.below.is_wrong


def walked(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Every layer in the order of the forward pass, those that another one is made of before it."""
    for layer in layers:
        yield from walked(layer.inner)
        yield layer


@dataclass(frozen=True, eq=False)
class Replay:
    """The whole case."""

    case: Case
    layers: tuple[Layer, ...]  # from the input up, layers made of others as one
    cost: float
    source: str  # where the caller's δ comes from, in words

    @property
    def every(self) -> tuple[Layer, ...]:
        """Every layer in the order of the forward pass."""
        return tuple(walked(self.layers))

    @property
    def culprit(self) -> Layer | None:
        """The topmost layer with something wrong: errors come down, so it is where they begin."""
        return next((layer for layer in reversed(self.every) if layer.is_wrong), None)
