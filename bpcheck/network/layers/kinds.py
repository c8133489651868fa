"""The table of all kinds of layers. A kind is a line here; the other wings have tables of the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from bpcheck.errors import ArchitectureError, InputError
from bpcheck.network.layers.convolution import Conv1d, Conv2d
from bpcheck.network.layers.dense import Dense
from bpcheck.network.layers.flatten import Flatten
from bpcheck.network.layers.skip import Skip
from bpcheck.network.layers.spec import LayerSpec

__all__ = ["KINDS", "from_data", "of_kind"]

Value = TypeVar("Value")

KINDS: Mapping[str, type[LayerSpec]] = MappingProxyType(
    {layer.kind: layer for layer in (Dense, Skip, Flatten, Conv1d, Conv2d)}
)


def from_data(data: Mapping[str, Any]) -> LayerSpec:
    """The layer that :meth:`LayerSpec.to_data` wrote.

    Examples
    --------
    >>> from_data(Skip((Dense(2, "tanh"),)).to_data())
    Skip(layers=(Dense(units=2, activation='tanh'),))
    """
    values = dict(data)
    kind = values.pop("kind")
    if kind not in KINDS:
        raise ArchitectureError(
            f"unknown kind of layer {kind!r} in the JSON text; known are {', '.join(KINDS)}."
        )
    return KINDS[kind](**{name: _value(value) for name, value in values.items()})


def of_kind(table: Mapping[type[LayerSpec], Value], layer: LayerSpec, *, wing: str, instead: str) -> Value:
    """What a wing's table of kinds holds for a layer.

    Parameters
    ----------
    table : mapping of layer classes
    layer : LayerSpec
    wing : str
        What lacks the kind if it is not there, "the symbolic witness".
    instead : str
        What to use then, a whole sentence.

    Raises
    ------
    InputError
        If the wing has nothing for layers of this kind.

    Examples
    --------
    >>> of_kind({Dense: "fully connected"}, Dense(2), wing="the example", instead="")
    'fully connected'
    """
    if type(layer) not in table:
        known = ", ".join(kind.__name__ for kind in table)
        raise InputError(f"{wing} does not know the layer {layer!r}; it knows {known}. {instead}".rstrip())
    return table[type(layer)]


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return from_data(value)
    return tuple(_value(one) for one in value) if isinstance(value, list) else value
