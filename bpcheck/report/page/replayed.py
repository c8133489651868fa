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
from bpcheck.report.page.wrong import wrong_entries
from bpcheck.result import Comparison
from bpcheck.tree import Path

__all__ = ["Layer", "Replay", "close", "rounding", "walked"]

# Two δ count as the same up to this fraction of the layer's size: the same line as for naming a bug
# (bpcheck.diagnosis.diagnose: rounding is about 1e-13, other hypotheses differ by 1e-3 and more).
SAME = 1e-8


def close(first: Any, second: Any, slack: float = 0.0) -> Any:
    """True where two arrays agree but for rounding; NaN agrees with nothing.

    Examples
    --------
    >>> close(np.array([1.0, np.nan]), np.array([1.0 + 1e-12, 1.0]))
    array([ True, False])
    """
    with np.errstate(all="ignore"):
        size = max(float(np.max(abs(second), initial=0.0)), float(np.finfo(float).tiny))
        return abs(first - second) <= SAME * size + slack


def rounding(comparison: Comparison | None) -> float:
    """What rounding explains in a tensor: far below ``SAME`` in float64, far above it in float32."""
    if comparison is None or comparison.bound is None:
        return 0.0
    bound = np.asarray(comparison.bound)
    return float(np.max(bound[np.isfinite(bound)], initial=0.0))


def _wrong(claimed: Any, right: Any, slack: float = 0.0) -> Any:
    """True where what is known of the caller's numbers is wrong."""
    return np.zeros(np.shape(right), dtype=bool) if claimed is None else ~close(claimed, right, slack)


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer at the failing case; of a batch, the first axis counts the examples.

    Attributes
    ----------
    path : Path
        Of its parameters.
    spec : LayerSpec
    number : int
        The book's: 2 is the first layer that has weights. A layer that is not counted, or is made of others, has
        the number of the last one counted up to it.
    name, entering : str
        What a formula calls the numbers that leave the layer and those that enter it.
    x, a : arrays
        The numbers that enter and that leave.
    down, below : arrays
        ∂C/∂a and ∂C/∂x.
    z, delta : arrays or None
        Of a layer with an activation; δ is the right one.
    claimed, claimed_down, claimed_below : arrays or None
        The caller's δ, ∂C/∂a and ∂C/∂x, where they are known.
    inner : tuple of Layer
        The layers that it is made of.
    through : str
        Of the first of the layers that a skip connection passes: those layers in words. What comes down to what enters
        them has come through them, and another part past them.
    has_below : bool
        Whether a layer with parameters comes before it, so that a backward pass needs ``below``.
    is_output : bool
        Whether what leaves it is the network's output.
    params : mapping of Role to array
    comparisons : mapping of Role to Comparison
        What was said of its gradients, in the caller's layout.
    """

    path: Path
    spec: LayerSpec
    number: int
    name: str
    entering: str
    x: Any
    a: Any
    down: Any
    below: Any
    z: Any = None
    delta: Any = None
    claimed: Any = None
    claimed_down: Any = None
    claimed_below: Any = None
    inner: tuple[Layer, ...] = ()
    through: str = ""
    has_below: bool = True
    is_output: bool = False
    params: Mapping[Role, Any] = field(default_factory=lambda: MappingProxyType({}))
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

    @property
    def wrong_delta(self) -> Any:
        """True where the caller's δ is known and wrong."""
        return _wrong(self.claimed, self.delta, rounding(self.comparisons.get("bias")))

    @property
    def deltas(self) -> tuple[Any, Any, Any]:
        """δ: the right one, the caller's if it is known, and where that is wrong."""
        return self.delta, self.claimed, self.wrong_delta

    @property
    def comes_down(self) -> tuple[Any, Any, Any]:
        """∂C/∂a in the same way."""
        return self.down, self.claimed_down, self.wrong_down

    @property
    def goes_below(self) -> tuple[Any, Any, Any]:
        """∂C/∂x in the same way."""
        return self.below, self.claimed_below, self.wrong_below

    @property
    def wrong_down(self) -> Any:
        """True where the caller's ∂C/∂a is known and wrong."""
        return _wrong(self.claimed_down, self.down)

    @property
    def wrong_below(self) -> Any:
        """True where the caller's ∂C/∂x is known and wrong."""
        return _wrong(self.claimed_below, self.below)

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
        return self.has_wrong_gradient or bool(self.wrong_delta.any()) or bool(self.wrong_below.any())


def walked(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Every layer in the order of the forward pass, those that another one is made of before it."""
    for layer in layers:
        yield from walked(layer.inner)
        yield layer


@dataclass(frozen=True, eq=False)
class Replay:
    """The whole case.

    Attributes
    ----------
    case : Case
    layers : tuple of Layer
        From the input up, layers made of others as one.
    cost : float
    source : str
        Where the caller's δ comes from, in words.
    """

    case: Case
    layers: tuple[Layer, ...]
    cost: float
    source: str

    @property
    def every(self) -> tuple[Layer, ...]:
        """Every layer in the order of the forward pass."""
        return tuple(walked(self.layers))

    @property
    def culprit(self) -> Layer | None:
        """The topmost layer with something wrong: errors come down, so it is where they begin."""
        return next((layer for layer in reversed(self.every) if layer.is_wrong), None)
