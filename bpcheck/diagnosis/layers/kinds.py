"""What diagnosis knows of each kind of layer: a line a kind."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bpcheck.diagnosis.layers.convolution import CONVOLUTION
from bpcheck.diagnosis.layers.dense.steps import BP1, DENSE
from bpcheck.diagnosis.layers.flatten import FLATTEN
from bpcheck.diagnosis.layers.skip import SKIP
from bpcheck.diagnosis.step import Equation, Kind
from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, LayerSpec, Skip
from bpcheck.network.layers.kinds import of_kind

__all__ = ["EQUATIONS", "KINDS", "OUTPUT", "kind_of", "knows"]

KINDS: Mapping[type[LayerSpec], Kind] = MappingProxyType(
    {Dense: DENSE, Skip: SKIP, Flatten: FLATTEN, Conv1d: CONVOLUTION, Conv2d: CONVOLUTION}
)

OUTPUT = BP1
"""The error of the output, whatever the kind of the last layer."""

EQUATIONS: Mapping[str, Equation] = MappingProxyType(
    {equation.name: equation for kind in KINDS.values() for equation in (OUTPUT, *kind.equations)}
)
"""All equations of all kinds, by name."""


def kind_of(spec: LayerSpec) -> Kind:
    """What diagnosis knows of a layer's kind."""
    return of_kind(
        KINDS, spec, wing="diagnosis", instead="Its gradients are compared, and no bug of it has a name."
    )


def knows(layers: tuple[LayerSpec, ...]) -> bool:
    """Whether every layer, and every layer inside of one, is of a kind that has steps here.

    Examples
    --------
    >>> knows((Skip((Dense(2),)), Dense(1)))
    True
    """
    return all(type(layer) in KINDS and knows(layer.inner) for layer in layers)
