"""What every kind of layer says about itself: shapes, parameters with their roles, and nothing that computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from bpcheck.errors import ArchitectureError

__all__ = ["WEIGHT_AND_BIAS", "LayerSpec", "Role", "Shape", "check_choice", "check_layers", "whole_number"]

Shape: TypeAlias = tuple[int, ...]

Role: TypeAlias = Literal["weight", "bias", "gain", "shift", "table", "state"]
"""What a parameter is for. Penalties, initialisers, names and reports ask this, never the key it is kept under."""

WEIGHT_AND_BIAS: Mapping[str, Role] = MappingProxyType({"weight": "weight", "bias": "bias"})


class LayerSpec(ABC):
    """A layer as pure data: a frozen dataclass whose fields are numbers, words, tuples or layers.

    Attributes
    ----------
    kind : str
        The name in :data:`bpcheck.network.layers.kinds.KINDS`, and in JSON.
    roles : mapping of str to Role
        What each parameter is for, by its key.
    is_numbered : bool
        Whether books count this layer (those with parameters and an activation); flattening, for one, is not.
    """

    kind: ClassVar[str]
    roles: ClassVar[Mapping[str, Role]] = MappingProxyType({})
    is_numbered: ClassVar[bool] = True

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one example after this layer, for an example of ``shape`` before it.

        Raises
        ------
        ArchitectureError
            If the layer does not take such inputs.
        """

    def parameter_shapes(self, shape: Shape) -> Any:
        """Shapes of the parameters for inputs of ``shape``: a dict by key, a list for a layer made of layers."""
        self.output_shape(shape)
        return {}

    @property
    def inner(self) -> tuple[LayerSpec, ...]:
        """The layers that this one is made of."""
        return ()

    @property
    def output_activation(self) -> str:
        """σ of what comes out."""
        return "identity"

    def before_activation(self) -> LayerSpec:
        """The same layer with the identity as activation."""
        return replace(self, activation="identity") if self.output_activation != "identity" else self  # type: ignore[type-var]

    def to_data(self) -> dict[str, Any]:
        """Kind and fields as JSON has them; :func:`bpcheck.network.layers.kinds.from_data` reads them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {"kind": self.kind, **{name: _plain(value) for name, value in values.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, LayerSpec):
        return value.to_data()
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def check_choice(name: str, value: object, options: Sequence[str]) -> str:
    """``value``, if it is one of ``options``."""
    if value not in options:
        raise ArchitectureError(f"{name} is {value!r}; choose one of {', '.join(map(repr, options))}.")
    return str(value)


def whole_number(name: str, value: object, *, least: int = 1, what: str = "a layer needs units") -> int:
    """``value`` as an int, if it is a whole number and at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArchitectureError(f"{name} is {value!r}; {what}, a whole number, {least} or more.")
    return int(value)


def check_layers(layers: Iterable[LayerSpec]) -> tuple[LayerSpec, ...]:
    """The layers, if there is at least one and all are layers."""
    found = tuple(layers)
    if not found:
        raise ArchitectureError("there are no layers; give at least one.")
    for layer in found:
        if not isinstance(layer, LayerSpec):
            raise ArchitectureError(
                f"a layer is {layer!r}; use one of bpcheck.layers, such as Dense(3, 'tanh')."
            )
    return found
