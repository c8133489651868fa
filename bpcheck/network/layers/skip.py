"""The residual connection, a layer made of layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpcheck.errors import ArchitectureError
from bpcheck.network.layers.spec import LayerSpec, Shape, check_layers

__all__ = ["Skip"]


@dataclass(frozen=True)
class Skip(LayerSpec):
    """A residual connection: x + f(x), with f the inner layers.

    Parameters
    ----------
    layers : tuple of layers
        f; it must return the shape that it takes.

    Examples
    --------
    >>> from bpcheck.network.layers.dense import Dense
    >>> Skip((Dense(3, "tanh"), Dense(3))).output_shape((3,))
    (3,)
    """

    layers: tuple[LayerSpec, ...]

    kind = "skip"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", check_layers(self.layers))

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
        shapes = []
        for layer in self.layers:
            shapes.append(layer.parameter_shapes(shape))
            shape = layer.output_shape(shape)
        return shapes

    @property
    def inner(self) -> tuple[LayerSpec, ...]:
        """F."""
        return self.layers
