"""Architectures: a network as pure data, without any arithmetic.

Every witness reads the same description and gives it a meaning of its own; nothing here
computes an activation, a loss or a derivative.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from bpcheck.errors import ArchitectureError
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.network.layers.dense import Dense
from bpcheck.network.layers.kinds import from_data
from bpcheck.network.layers.spec import LayerSpec, Shape, check_choice, check_layers, whole_number

__all__ = ["DEFAULT_OUTPUT", "LOSSES", "PROBABILITY_LOSSES", "REDUCTIONS", "Architecture", "mlp"]

LOSSES = ("half_mse", "mse", "huber", "binary_cross_entropy", "cross_entropy")
REDUCTIONS = ("mean", "sum")

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


@dataclass(frozen=True)
class Architecture:
    """A network and its cost as pure data; :func:`mlp` is the short way to make one.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one example.
    layers : tuple of layers
        Of :mod:`bpcheck.layers`.
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
        object.__setattr__(
            self,
            "input_shape",
            tuple(whole_number("input_shape", n, what="an input needs units") for n in self.input_shape),
        )
        object.__setattr__(self, "layers", check_layers(self.layers))
        check_choice("loss", self.loss, LOSSES)
        check_choice("reduction", self.reduction, REDUCTIONS)
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
        """Activation of the last layer (identity for a layer without one, such as a skip connection)."""
        return self.layers[-1].output_activation

    @property
    def outputs(self) -> int:
        """Number of output units."""
        return self.output_shape[0]

    @property
    def without_penalty(self) -> Architecture:
        """The same network, its cost the loss alone."""
        return replace(self, l1=0.0, l2=0.0, penalize_bias=False)

    @property
    def parameter_shapes(self) -> list[Any]:
        """Shapes of all parameters: a list with one entry a layer, ``{"weight": …, "bias": …}`` for dense."""
        shapes, shape = [], self.input_shape
        for layer in self.layers:
            shapes.append(layer.parameter_shapes(shape))
            shape = layer.output_shape(shape)
        return shapes

    def _as_mlp(self) -> str | None:
        """The call of :func:`mlp` that builds this network, if there is one."""
        dense = [layer for layer in self.layers if isinstance(layer, Dense)]
        if len(dense) != len(self.layers):
            return None
        activations = [layer.activation for layer in dense]
        hidden = set(activations[:-1])
        if len(hidden) > 1:
            return None
        words = [str([*self.input_shape, *(layer.units for layer in dense)])]
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
                "layers": [layer.to_data() for layer in self.layers],
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
            data["layers"] = tuple(from_data(layer) for layer in data["layers"])
            return cls(**data)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ArchitectureError(
                f"this is not the JSON text of an architecture ({type(error).__name__}: {error}); "
                "Architecture.to_json() writes one."
            ) from error


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
    sizes = [whole_number("a width", width) for width in widths]
    if len(sizes) < 2:
        raise ArchitectureError(
            f"widths is {list(widths)!r}; give at least input and output, such as [2, 1]."
        )
    check_choice("loss", loss, LOSSES)
    names = [activation] * (len(sizes) - 2) + [DEFAULT_OUTPUT[loss] if output is None else output]
    check_choice("activation", activation, ACTIVATIONS)
    check_choice("output", names[-1], ACTIVATIONS)
    return Architecture(
        input_shape=(sizes[0],),
        layers=tuple(Dense(after, name) for (_, after), name in zip(pairwise(sizes), names, strict=True)),
        loss=loss,
        reduction=reduction,
        l1=l1,
        l2=l2,
        penalize_bias=penalize_bias,
    )
