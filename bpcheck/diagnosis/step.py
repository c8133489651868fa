"""The nouns of a backward pass: steps with names, the rules that replace them, and a layer that ran forward.

A bug is predicted by *running* a backward pass with one of its steps replaced, never by patching numbers: what it gives
on any network is then what somebody's code with that bug gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from bpcheck.network.case import Case
from bpcheck.network.layers.spec import LayerSpec, Role
from bpcheck.subject import STEP_RATES
from bpcheck.tree import FloatArray, Path

__all__ = ["Equation", "Forward", "Gradient", "Kind", "Layer", "Rules", "Run", "Step"]

Gradient = dict[Path, FloatArray]


@dataclass(frozen=True)
class Equation:
    """What a step computes, in words and symbols: what a diagnosis names.

    Attributes
    ----------
    name : str
        ``BP3``, ``kernel gradient``.
    title : str
        The equation itself.
    meaning : str
        In one line, for somebody who meets it for the first time.
    phrase : str
        How it is spoken of within a sentence, ``the kernel gradient``; the name itself where there is none.
    whole : bool
        Of the error of a layer: whether it says too how the layer above, of the same kind, sends it down.
    """

    name: str
    title: str
    meaning: str
    phrase: str = ""
    whole: bool = False

    @property
    def spoken(self) -> str:
        """The phrase, or the name."""
        return self.phrase or self.name


@dataclass(frozen=True, eq=False)
class Step:
    """A step of a backward pass, which a bug may replace.

    Attributes
    ----------
    kind : str
        Of the layers that have it, ``dense``; ``network`` for what is done once.
    name : str
        ``hidden error``.
    equation : Equation or None
        None where it is no equation (the order in which gradients are returned, the penalty).
    right : callable
        ``right(run, layer, …)``, or ``right(run, …)`` for a step that is done once. What comes after is said by
        each kind.
    once : bool
        Whether it is done once a network and not once a layer.
    where : str
        The place of a mistake that is made in one layer only, ``in {layer} only``.
    """

    kind: str
    name: str
    equation: Equation | None
    right: Callable[..., Any]
    once: bool = False
    where: str = "in {layer} only"

    def __repr__(self) -> str:
        return f"<step {self.name!r} of {self.kind}>"


@dataclass(frozen=True, eq=False)
class Rules:
    """A backward pass: the right steps, but for those that are replaced.

    Attributes
    ----------
    replaced : mapping of Step to callable
    """

    replaced: Mapping[Step, Callable[..., Any]] = field(default_factory=lambda: MappingProxyType({}))

    def __getitem__(self, step: Step) -> Callable[..., Any]:
        return self.replaced.get(step, step.right)

    def but(self, step: Step, function: Callable[..., Any]) -> Rules:
        """These rules with one step replaced."""
        return Rules(MappingProxyType({**self.replaced, step: function}))

    @property
    def changed(self) -> frozenset[Step]:
        """Steps that are not the right ones."""
        return frozenset(self.replaced)

    @property
    def equations(self) -> frozenset[Equation | str]:
        """What the changed steps belong to: their equations, or the names of those that have none."""
        return frozenset(step.equation or step.name for step in self.replaced)

    def only(self, where: Callable[[Layer], bool]) -> Rules:
        """These rules in some layers, the right ones in the others; what is done once stays as it is."""

        def chosen(step: Step, function: Callable[..., Any]) -> Callable[..., Any]:
            if step.once:
                return function
            return lambda run, layer, *rest: (function if where(layer) else step.right)(run, layer, *rest)

        return Rules(MappingProxyType({step: chosen(step, own) for step, own in self.replaced.items()}))

    def with_(self, other: Rules) -> Rules:
        """These rules with the other's changes too; where both change a step, the other's counts."""
        return Rules(MappingProxyType({**self.replaced, **other.replaced}))


@dataclass(frozen=True, eq=False)
class Kind:
    """What diagnosis knows of the layers of one kind.

    Attributes
    ----------
    noun : str
        What one of them is called among the others of its kind, ``skip connection``; empty for layers that books number.
    pullback : callable
        ``pullback(run, layer, error) -> error below``: runs the steps; ``error`` is ∂C/∂(output), and what is returned
        counts only if ``layer.sends_down``.
    steps : tuple of Step
        In the order in which they are run.
    error : Equation or None
        Of δ, which the gradients of all its parameters share; None for a layer without parameters.
    gradients : mapping of Role to Equation
        Of the gradient of each parameter.
    nouns : mapping of Role to str
        What the parameters are called, ``biases``.
    passed : str
        Said of an error that comes down from one layer with parameters to the next, with one of this kind between.
    """

    noun: str
    pullback: Callable[[Run, Layer, FloatArray], FloatArray]
    steps: tuple[Step, ...]
    error: Equation | None = None
    gradients: Mapping[Role, Equation] = field(default_factory=lambda: MappingProxyType({}))
    nouns: Mapping[Role, str] = field(default_factory=lambda: MappingProxyType({}))
    passed: str = ""

    @property
    def equations(self) -> tuple[Equation, ...]:
        """All that its steps and gradients belong to, each once."""
        named = [step.equation for step in self.steps] + [self.error, *self.gradients.values()]
        return tuple(dict.fromkeys(equation for equation in named if equation is not None))


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a network that ran forward.

    Attributes
    ----------
    kind : Kind
    spec : LayerSpec
    path : Path
        Of its parameters.
    params : tree
    x : array
        What came in.
    saved : object
        What the reference's layer of this kind keeps for the way back.
    index, count : int
        Its place, from 0, and how many there are: among the layers that books number, or among those of its own kind.
    is_output : bool
        Whether it is the last of the layers that books number.
    below : Layer or None
        The nearest layer below that has parameters.
    inner : tuple of Layer
        What it is made of.
    """

    kind: Kind
    spec: LayerSpec
    path: Path
    params: Any
    x: FloatArray
    saved: Any
    index: int
    count: int
    is_output: bool
    below: Layer | None = None
    inner: tuple[Layer, ...] = ()

    @property
    def sends_down(self) -> bool:
        """Whether a layer below has parameters."""
        return self.below is not None

    def place(self, key: str) -> Path:
        """Path of a parameter."""
        return self.path.item(key)


@dataclass(frozen=True, eq=False)
class Forward:
    """What is known before the backward pass.

    Attributes
    ----------
    case : Case
    layers : tuple of Layer
        As the architecture lists them.
    leaves : tuple of Layer
        Those that are not made of others, from the input up.
    output : array
        a^L, whether or not its activation is computed inside the loss.
    logits : array
        What comes out of the last layer where its activation is computed inside the loss; otherwise the same as ``output``.
    cost_gradient : array
        ∂C/∂a^L (∂C/∂z^L if fused), the 1/m of a mean included.
    fused : bool
        Whether softmax or sigmoid at the output is computed inside the loss.
    rate : float
        The learning rate of the step from which the gradient was recovered, in units of this cost.
    """

    case: Case
    layers: tuple[Layer, ...]
    leaves: tuple[Layer, ...]
    output: FloatArray
    logits: FloatArray
    cost_gradient: FloatArray
    fused: bool
    rate: float = STEP_RATES[0]

    @property
    def numbered(self) -> tuple[Layer, ...]:
        """The layers that books number, from the input up."""
        return tuple(layer for layer in self.leaves if layer.spec.is_numbered)

    @property
    def every(self) -> tuple[Layer, ...]:
        """All layers, and those inside of them."""

        def those(layers: tuple[Layer, ...]) -> list[Layer]:
            return [one for layer in layers for one in (layer, *those(layer.inner))]

        return tuple(those(self.layers))


@dataclass(eq=False)
class Run:
    """A backward pass on its way.

    Attributes
    ----------
    forward : Forward
    rules : Rules
    errors : dict of Path to array
        δ of every layer that has one, by the path of its parameters.
    below : dict of Path to array
        ∂C/∂(input) of every layer that sends it down.
    gradient : dict of Path to array
        Of the data term.
    """

    forward: Forward
    rules: Rules
    errors: dict[Path, FloatArray] = field(default_factory=dict)
    below: dict[Path, FloatArray] = field(default_factory=dict)
    gradient: Gradient = field(default_factory=dict)

    def step(self, step: Step, *given: Any) -> Any:
        """What a step gives."""
        return self.rules[step](self, *given)

    def down(self, layers: tuple[Layer, ...], error: FloatArray) -> FloatArray:
        """∂C/∂(output) of a chain taken down to its input."""
        for layer in reversed(layers):
            error = layer.kind.pullback(self, layer, error)
            if not layer.sends_down:
                break
            self.below[layer.path] = np.asarray(error)
        return error

    def keep(self, layer: Layer, delta: FloatArray) -> FloatArray:
        """Remember the δ of a layer, and hand it back."""
        self.errors[layer.path] = np.asarray(delta)
        return delta
