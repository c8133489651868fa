"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpcheck.errors import ArchitectureError
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.network.layers.spec import WEIGHT_AND_BIAS, LayerSpec, Shape, check_choice, whole_number

__all__ = ["Dense"]


@dataclass(frozen=True)
class Dense(LayerSpec):
    """A fully connected layer: z = W a + b, a = σ(z).

    Parameters
    ----------
    units : int
        Number of neurons n; weight has shape (n, inputs), bias (n,).
    activation : str
        One of ``bpcheck.network.layers.activations.ACTIVATIONS``.

    Examples
    --------
    >>> Dense(3, "relu").parameter_shapes((2,))
    {'weight': (3, 2), 'bias': (3,)}
    """

    units: int
    activation: str = "identity"

    kind = "dense"
    roles = WEIGHT_AND_BIAS

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", whole_number("units", self.units))
        check_choice("activation", self.activation, ACTIVATIONS)

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one example after this layer."""
        if len(shape) != 1:
            raise ArchitectureError(
                f"a dense layer needs flat inputs of shape (n,), given {shape}; put bpcheck.layers.Flatten() before it."
            )
        return (self.units,)

    def parameter_shapes(self, shape: Shape) -> Any:
        """Shapes of weight and bias for inputs of ``shape``."""
        self.output_shape(shape)
        return {"weight": (self.units, shape[0]), "bias": (self.units,)}

    @property
    def output_activation(self) -> str:
        """σ."""
        return self.activation
