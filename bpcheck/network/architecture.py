"""Architectures: a network as pure data, without any arithmetic.

Every witness reads the same description and gives it a meaning of its own; nothing here
computes an activation, a loss or a derivative.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, TypeAlias

import numpy as np

from bpcheck.errors import ArchitectureError

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "REDUCTIONS",
    "Architecture",
    "Dense",
    "LayerSpec",
    "Skip",
    "book_name",
    "mlp",
]

ACTIVATIONS = (
    "identity",
    "tanh",
    "sigmoid",
    "relu",
    "leaky_relu",
    "softplus",
    "gelu",
    "silu",
    "softmax",
)
"""Simplest first: shrinking tries them in this order."""

LOSSES = ("half_mse", "mse", "huber", "binary_cross_entropy", "cross_entropy")
REDUCTIONS = ("mean", "sum")

Shape: TypeAlias = tuple[int, ...]

FIRST_LAYER = 2
"""Books count the input as layer 1, so ``params[0]`` holds W² and b²."""

# The output activation a loss is made for, and what else it accepts. The two cross-entropies need
# probabilities: from their own activation, or from logits (output "identity").
DEFAULT_OUTPUT = {
    "half_mse": "identity",
    "mse": "identity",
    "huber": "identity",
    "binary_cross_entropy": "sigmoid",
    "cross_entropy": "softmax",
}
PROBABILITY_LOSSES = ("binary_cross_entropy", "cross_entropy")


def _choice(name: str, value: object, options: Sequence[str]) -> str:
    if value not in options:
        raise ArchitectureError(f"{name} is {value!r}; choose one of {', '.join(map(repr, options))}.")
    return str(value)


def _width(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ArchitectureError(f"{name} is {value!r}; a layer needs a whole number of units, 1 or more.")
    return int(value)


@dataclass(frozen=True)
class Dense:
    """A fully connected layer: z = W a + b, a = σ(z).

    Parameters
    ----------
    units : int
        Number of neurons n; weight has shape (n, inputs), bias (n,).
    activation : str
        One of ``bpcheck.network.architecture.ACTIVATIONS``.

    Examples
    --------
    >>> Dense(3, "relu").parameter_shapes((2,))
    {'weight': (3, 2), 'bias': (3,)}
    """

    units: int
    activation: str = "identity"

    kind: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", _width("units", self.units))
        _choice("activation", self.activation, ACTIVATIONS)

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one example after this layer."""
        if len(shape) != 1:
            raise ArchitectureError(f"a dense layer needs flat inputs of shape (n,), given {shape}.")
        return (self.units,)

    def parameter_shapes(self, shape: Shape) -> Any:
        """Shapes of the parameters, as a tree, for inputs of ``shape``."""
        self.output_shape(shape)
        return {"weight": (self.units, shape[0]), "bias": (self.units,)}


@dataclass(frozen=True)
class Skip:
    """A residual connection: x + f(x), with f the inner layers.

    Parameters
    ----------
    layers : tuple of layers
        f; it must return the shape that it takes.

    Examples
    --------
    >>> Skip((Dense(3, "tanh"), Dense(3))).output_shape((3,))
    (3,)
    """

    layers: tuple[LayerSpec, ...]

    kind: ClassVar[str] = "skip"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _layers(self.layers))

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one example after this layer: the same as before."""
        inner = shape
        for layer in self.layers:
            inner = layer.output_shape(inner)
        if inner != shape:
            raise ArchitectureError(
                f"a skip connection adds its input of shape {shape} to an output of shape {inner}; "
                "make the last inner layer as wide as the input."
            )
        return shape

    def parameter_shapes(self, shape: Shape) -> Any:
        """Shapes of the inner layers' parameters, a list with one entry a layer."""
        self.output_shape(shape)
        return _parameter_shapes(self.layers, shape)


LayerSpec: TypeAlias = Dense | Skip


def _layers(layers: Iterable[LayerSpec]) -> tuple[LayerSpec, ...]:
    found = tuple(layers)
    if not found:
        raise ArchitectureError("there are no layers; give at least one.")
    for layer in found:
        if not isinstance(layer, Dense | Skip):
            raise ArchitectureError(f"a layer is {layer!r}; use bpcheck.network.architecture.Dense or Skip.")
    return found


def _parameter_shapes(layers: Sequence[LayerSpec], shape: Shape) -> list[Any]:
    shapes = []
    for layer in layers:
        shapes.append(layer.parameter_shapes(shape))
        shape = layer.output_shape(shape)
    return shapes


@dataclass(frozen=True)
class Architecture:
    """A network and its cost as pure data; :func:`mlp` is the short way to make one.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one example.
    layers : tuple of layers
        :class:`Dense` and :class:`Skip`.
    loss : str
        One of ``bpcheck.network.architecture.LOSSES``, for one example.
    reduction : {"mean", "sum"}
        How the examples of a batch are put together.
    l1, l2 : float
        Penalty λ₁‖W‖₁ + ½λ₂‖W‖², added once, not divided by the batch size.
    penalize_bias : bool
        Whether the penalty covers biases too.

    Raises
    ------
    ArchitectureError
        With the field, what was given and what is possible.

    Examples
    --------
    >>> mlp([2, 3, 1], activation="relu")
    mlp([2, 3, 1], activation='relu', output='identity', loss='half_mse', reduction='mean')
    >>> Architecture.from_json(mlp([2, 1]).to_json()) == mlp([2, 1])
    True
    """

    input_shape: Shape
    layers: tuple[LayerSpec, ...]
    loss: str = "half_mse"
    reduction: str = "mean"
    l1: float = 0.0
    l2: float = 0.0
    penalize_bias: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(_width("input width", n) for n in self.input_shape))
        object.__setattr__(self, "layers", _layers(self.layers))
        _choice("loss", self.loss, LOSSES)
        _choice("reduction", self.reduction, REDUCTIONS)
        for name in ("l1", "l2"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise ArchitectureError(
                    f"{name} is {value!r}; a penalty factor is a finite number, 0 or more."
                )
            object.__setattr__(self, name, float(value))
        if not isinstance(self.penalize_bias, bool):
            raise ArchitectureError(f"penalize_bias is {self.penalize_bias!r}; give True or False.")
        if len(self.output_shape) != 1:
            raise ArchitectureError(f"the losses need flat outputs of shape (n,), not {self.output_shape}.")
        accepted = ("identity", DEFAULT_OUTPUT[self.loss])
        if self.loss in PROBABILITY_LOSSES and self.output not in accepted:
            raise ArchitectureError(
                f"loss {self.loss!r} with output {self.output!r}: this loss needs probabilities. "
                f"Use output {accepted[1]!r}, or 'identity' to give it logits."
            )

    @property
    def output_shape(self) -> Shape:
        """Shape of one example at the output."""
        shape = self.input_shape
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    @property
    def output(self) -> str:
        """Activation of the last layer (identity after a skip connection)."""
        last = self.layers[-1]
        return last.activation if isinstance(last, Dense) else "identity"

    @property
    def hidden(self) -> str:
        """Activation of the first hidden layer of a chain; tanh (as for :func:`mlp`) if it has none."""
        first = self.layers[0]
        return first.activation if len(self.layers) > 1 and isinstance(first, Dense) else "tanh"

    def with_widths(self, widths: Sequence[int], *, activation: str | None = None) -> Architecture:
        """A chain of other widths with the same activations (or another hidden one), cost and penalty."""
        return mlp(
            widths,
            activation=self.hidden if activation is None else activation,
            output=self.output,
            loss=self.loss,
            reduction=self.reduction,
            l1=self.l1,
            l2=self.l2,
            penalize_bias=self.penalize_bias,
        )

    @property
    def is_chain(self) -> bool:
        """Whether the network is a plain chain of dense layers."""
        return all(isinstance(layer, Dense) for layer in self.layers)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of units of the input and after every layer."""
        shape = self.input_shape
        widths = [shape[0]]
        for layer in self.layers:
            shape = layer.output_shape(shape)
            widths.append(shape[0])
        return tuple(widths)

    @property
    def parameter_shapes(self) -> list[Any]:
        """Shapes of all parameters: a list with one entry a layer, ``{"weight": …, "bias": …}`` for dense."""
        return _parameter_shapes(self.layers, self.input_shape)

    def _as_mlp(self) -> str | None:
        """The call of :func:`mlp` that builds this network, if there is one."""
        if not self.is_chain or len(self.input_shape) != 1:
            return None
        activations = [layer.activation for layer in self.layers if isinstance(layer, Dense)]
        hidden = set(activations[:-1])
        if len(hidden) > 1:
            return None
        words = [str(list(self.widths))]
        if hidden:
            words.append(f"activation={hidden.pop()!r}")
        words.append(f"output={activations[-1]!r}")
        words += [f"loss={self.loss!r}", f"reduction={self.reduction!r}"]
        words += [f"{name}={getattr(self, name)!r}" for name in ("l1", "l2") if getattr(self, name)]
        if self.penalize_bias:
            words.append("penalize_bias=True")
        return f"mlp({', '.join(words)})"

    def __repr__(self) -> str:
        short = self._as_mlp()
        if short is not None:
            return short
        return (
            f"Architecture(input_shape={self.input_shape!r}, layers={self.layers!r}, loss={self.loss!r}, "
            f"reduction={self.reduction!r}, l1={self.l1!r}, l2={self.l2!r}, "
            f"penalize_bias={self.penalize_bias!r})"
        )

    def to_json(self) -> str:
        """The architecture as a JSON object, read back by :meth:`from_json`."""
        return json.dumps(
            {
                "input_shape": list(self.input_shape),
                "layers": [_layer_to_data(layer) for layer in self.layers],
                "loss": self.loss,
                "reduction": self.reduction,
                "l1": self.l1,
                "l2": self.l2,
                "penalize_bias": self.penalize_bias,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read what :meth:`to_json` wrote."""
        try:
            data = json.loads(text)
            data["input_shape"] = tuple(data["input_shape"])
            data["layers"] = tuple(_layer_from_data(layer) for layer in data["layers"])
            return cls(**data)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ArchitectureError(
                f"this is not the JSON text of an architecture ({type(error).__name__}: {error}); "
                "Architecture.to_json() writes one."
            ) from error


def _layer_to_data(layer: LayerSpec) -> dict[str, Any]:
    if isinstance(layer, Dense):
        return {"kind": layer.kind, "units": layer.units, "activation": layer.activation}
    return {"kind": layer.kind, "layers": [_layer_to_data(inner) for inner in layer.layers]}


def _layer_from_data(data: dict[str, Any]) -> LayerSpec:
    if data["kind"] == Dense.kind:
        return Dense(data["units"], data["activation"])
    if data["kind"] == Skip.kind:
        return Skip(tuple(_layer_from_data(inner) for inner in data["layers"]))
    raise ArchitectureError(f"unknown kind of layer {data['kind']!r} in the JSON text.")


def mlp(
    widths: Sequence[int],
    *,
    activation: str = "tanh",
    output: str | None = None,
    loss: str = "half_mse",
    reduction: str = "mean",
    l1: float = 0.0,
    l2: float = 0.0,
    penalize_bias: bool = False,
) -> Architecture:
    """A plain dense network.

    Parameters
    ----------
    widths : sequence of int
        Units of the input, of every hidden layer and of the output, two numbers or more.
    activation : str
        σ of the hidden layers: identity, sigmoid, tanh, relu, leaky_relu (slope 0.01), softplus,
        gelu (the exact one, zΦ(z)), silu, softmax.
    output : str, optional
        σ of the output. None means identity for half_mse, mse and huber, sigmoid for
        binary_cross_entropy, softmax for cross_entropy. With ``"identity"`` the two cross-entropies
        take logits.
    loss : str
        Loss of one example: half_mse ½‖a−y‖², mse ‖a−y‖²/n, huber (δ = 1, summed),
        binary_cross_entropy (summed over outputs), cross_entropy −Σ y ln a.
    reduction : {"mean", "sum"}
        Over the examples of the batch.
    l1, l2 : float
        Penalty λ₁‖W‖₁ and ½λ₂‖W‖², not divided by the batch size.
    penalize_bias : bool
        Whether biases are penalised too.

    Returns
    -------
    Architecture

    Raises
    ------
    ArchitectureError
        For unknown names, widths below 1, or fewer than two widths.

    Examples
    --------
    >>> mlp([4, 5, 3], loss="cross_entropy").output
    'softmax'
    """
    if isinstance(widths, str | int) or not hasattr(widths, "__iter__"):
        raise ArchitectureError(f"widths is {widths!r}; give a list such as [2, 3, 1].")
    sizes = [_width("a width", width) for width in widths]
    if len(sizes) < 2:
        raise ArchitectureError(
            f"widths is {list(widths)!r}; give at least input and output, such as [2, 1]."
        )
    _choice("loss", loss, LOSSES)
    names = [activation] * (len(sizes) - 2) + [DEFAULT_OUTPUT[loss] if output is None else output]
    _choice("activation", activation, ACTIVATIONS)
    _choice("output", names[-1], ACTIVATIONS)
    return Architecture(
        input_shape=(sizes[0],),
        layers=tuple(Dense(after, name) for (_, after), name in zip(pairwise(sizes), names, strict=True)),
        loss=loss,
        reduction=reduction,
        l1=l1,
        l2=l2,
        penalize_bias=penalize_bias,
    )


def book_name(path: str) -> str:
    """The name that a book gives to a parameter of a dense network, layer 1 being the input.

    Parameters
    ----------
    path : str
        ``params[0]['weight']``.

    Returns
    -------
    str
        ``W²``; empty if the path is not that of a dense network's parameter.

    Examples
    --------
    >>> book_name("params[0]['weight']"), book_name("params[9]['bias']"), book_name("params['w']")
    ('W²', 'b¹¹', '')
    """
    found = re.fullmatch(r"params\[(\d+)\]\['(weight|bias)'\]", path)
    if found is None:
        return ""
    layer = str(int(found[1]) + FIRST_LAYER).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return ("W" if found[2] == "weight" else "b") + layer
