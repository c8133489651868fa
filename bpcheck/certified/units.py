"""Activations of whole layers in the reverse pass, and the units that have a kink."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bpcheck.certified.activation import LOW_SLOPE, SMOOTH, softmax, softmax_pullback
from bpcheck.network.layers.spec import Shape
from bpcheck.tree import Path

__all__ = ["Unit", "Units"]


@dataclass(frozen=True, order=True)
class Unit:
    """A unit of relu or leaky_relu in one example, for what happens at its kink.

    Attributes
    ----------
    path : Path
        Of its layer.
    example : int
    index : tuple of int
        Within the layer's output for one example.
    activation : str
    """

    path: Path
    example: int
    index: tuple[int, ...]
    activation: str

    @property
    def slopes(self) -> tuple[float, float]:
        """The one-sided derivatives at z = 0."""
        return LOW_SLOPE[self.activation], 1.0

    def __str__(self) -> str:
        name = self.index if len(self.index) > 1 else self.index[0]
        return f"unit {name} of {self.path} ({self.activation}), example {self.example}"


@dataclass(eq=False)
class Units:
    """Every σ of one pass.

    Parameters
    ----------
    numbers : Balls, Working or Rationals
    chosen : mapping of Unit to float or None
        σ' to take for some units, whatever their z is; None for a ball from one one-sided derivative to the other.

    Attributes
    ----------
    slopes : dict of Unit to float
        σ' of every unit that has a kink and is certainly not at it.
    kinks : dict of Unit to bool
        Units whose z may be 0, and whether it certainly is.
    """

    numbers: Any
    chosen: Mapping[Unit, float | None]
    slopes: dict[Unit, float] = field(default_factory=dict)
    kinks: dict[Unit, bool] = field(default_factory=dict)

    def activate(self, name: str, z: Any, path: Path, shape: Shape) -> tuple[Any, Callable[[Any], Any]]:
        """σ(z), and ∂C/∂a ↦ ∂C/∂z.

        Parameters
        ----------
        name : str
        z : matrix
            One example a row.
        path : Path
            Of the layer.
        shape : tuple of int
            Of one example.
        """
        if name == "identity":
            return z, lambda g: g
        if name == "softmax":
            return self._softmax(z)
        numbers, size = self.numbers, (z.nrows(), math.prod(shape))
        values, slopes = self._bent(name, z, path, shape) if name in LOW_SLOPE else self._smooth(name, z)

        def multiply(g: Any) -> Any:
            products = [a * b for a, b in zip(g.entries(), slopes, strict=True)]
            return numbers.matrix(*size, numbers.stored(products))

        return numbers.matrix(*size, values), multiply

    def _softmax(self, z: Any) -> tuple[Any, Callable[[Any], Any]]:
        numbers, size = self.numbers, (z.nrows(), z.ncols())
        p = [numbers.stored(softmax(row)[0]) for row in numbers.rows(z)]

        def back(g: Any) -> Any:
            pairs = zip(p, numbers.rows(g), strict=True)
            rows = [numbers.stored(softmax_pullback(*pair)) for pair in pairs]
            return numbers.matrix(*size, _flat(rows))

        return numbers.matrix(*size, _flat(p)), back

    def _bent(self, name: str, z: Any, path: Path, shape: Shape) -> tuple[list[Any], list[Any]]:
        """Values and slopes of an activation that has a kink."""
        low, entries = self.numbers.number(LOW_SLOPE[name]), z.entries()
        values = [self.numbers.above(value, low) for value in entries]
        places = [Unit(path, i, index, name) for i in range(z.nrows()) for index in np.ndindex(shape)]
        return values, [self._slope(*pair) for pair in zip(places, entries, strict=True)]

    def _smooth(self, name: str, z: Any) -> tuple[list[Any], list[Any]]:
        """Values and slopes of an activation that has none."""
        numbers, smooth, entries = self.numbers, SMOOTH[name], z.entries()
        values = numbers.evaluated([smooth.value(value) for value in entries], entries)
        pairs = zip(entries, values, strict=True)
        return values, numbers.evaluated([smooth.slope(value, a) for value, a in pairs], entries)

    def _slope(self, unit: Unit, z: Any) -> Any:
        """σ' of a unit that has a kink at z = 0."""
        side = self.numbers.side(z)
        if side:
            self.slopes[unit] = unit.slopes[side > 0]
        else:
            self.kinks[unit] = side == 0
        chosen = self.chosen.get(unit, self.slopes.get(unit))
        return self.numbers.between(*unit.slopes) if chosen is None else self.numbers.number(chosen)


def _flat(rows: list[list[Any]]) -> list[Any]:
    return [value for row in rows for value in row]
