"""What every kind of layer gives to the symbolic witness: its forward pass, and how long a formula that is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from bpcheck.symbolic.activation import softmax
from bpcheck.symbolic.algebra import Algebra
from bpcheck.tree import Path

__all__ = ["Expressions", "LayerFormula", "Site", "activated"]

Expressions: TypeAlias = Any
"""An object array of expressions."""


@dataclass(frozen=True)
class Site:
    """Where in the network a formula stands (the path is that of the layer's parameters), and what it is made of."""

    algebra: Algebra
    path: Path
    example: int

    def item(self, index: int) -> Site:
        """The layer at ``index`` of a layer made of layers."""
        return replace(self, path=self.path.item(index))


class LayerFormula(Protocol):
    """A layer for inputs of a known shape."""

    def forward(self, params: Any, x: Expressions, site: Site) -> Expressions:
        """The output for one example, from parameters and input as arrays of expressions."""
        ...

    @property
    def paths(self) -> int:
        """In how many ways inputs reach one unit of the output: how often it would name them if printed."""
        ...

    @property
    def connections(self) -> int:
        """How often a parameter is used for one example."""
        ...


def activated(name: str, z: Expressions, site: Site) -> Expressions:
    """σ(z) of a layer."""
    if name == "identity":
        return z
    a = np.empty(z.shape, dtype=object)
    if name == "softmax":
        a[:] = softmax(list(z), site.algebra.exp)
        return a
    for index, value in np.ndenumerate(z):
        unit = index if len(index) > 1 else index[0]
        place = f"unit {unit} of {site.path} ({name}), example {site.example}"
        a[index] = site.algebra.apply(name, value, place)
    return a
