"""One tensor of the parameters while it is looked at, and what has been mended in its claimed gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from bpcheck.numeric.locate.blocks import blocks
from bpcheck.numeric.locate.direction import draw, typical
from bpcheck.tree import FloatArray, Path

__all__ = ["Block", "Index", "Weights"]

Index: TypeAlias = tuple[int | slice, ...]
"""A number for every axis (an entry), or ``slice(None)`` for the axes that are whole."""

Weights: TypeAlias = tuple[FloatArray | None, ...]
"""One factor for each index of each axis; None is 1 everywhere, 0 leaves parameters where they are."""


@dataclass(eq=False)
class Block:
    """A tensor and the gradient that is claimed for it.

    Attributes
    ----------
    path : Path
    theta : array
        The parameters; never written to.
    claimed : array
        The gradient as it was claimed; never written to. Directions are drawn after it.
    rounding : float
        u of the arithmetic that the claim was computed in.
    error : array or None
        Further error of each entry that the owner of the claim admits.
    seed : numpy.random.SeedSequence
        Of this tensor's directions.
    claim : array
        The same, but 0 where it is not finite: no direction moves these entries.
    excluded : list of Index
        Parts found to be wrong: no direction moves them from then on.
    step : float or None
        The coarsest of three rungs that suits this tensor, once known.
    curvature : float or None
        c of the error c·h² along its directions, where they are smooth.
    entry_step : float or None
        As ``step``, where a single entry moves.
    """

    path: Path
    theta: FloatArray
    claimed: FloatArray
    rounding: float
    error: FloatArray | None
    seed: np.random.SeedSequence
    excluded: list[Index] = field(default_factory=list)
    step: float | None = None
    curvature: float | None = None
    entry_step: float | None = None
    families: int = 0

    def __post_init__(self) -> None:
        self.size = _size(self.theta)
        self.middle = typical(self.claimed)
        self.largest = max(
            (float(abs(self.claimed[piece]).max(initial=0.0)) for piece in blocks(self.shape)), default=0.0
        )
        self.claim = self.claimed
        self._drawn: tuple[int, FloatArray] | None = None
        if not math.isfinite(self.largest):
            self.claim = np.where(np.isfinite(self.claimed), self.claimed, 0.0)
            self.largest = float(abs(self.claim).max())

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return self.theta.shape

    def new_family(self) -> int:
        """The number of a direction that was not used yet."""
        self.families += 1
        return self.families - 1

    def direction(self, family: int) -> FloatArray:
        """r∘s of this number, a float32 array; only the last one asked for is kept."""
        if self._drawn is None or self._drawn[0] != family:
            self._drawn = None  # its memory first
            seed = np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, family))
            drawn = draw(self.claimed, self.middle, seed)
            for place in self.excluded:
                drawn[place] = 0.0
            self._drawn = (family, drawn)
        return self._drawn[1]

    def exclude(self, index: Index) -> None:
        """Leave a part alone from here on."""
        self.excluded.append(index)
        if self._drawn is not None:
            self._drawn[1][index] = 0.0

    def release(self) -> None:
        """Give the memory of the direction back."""
        self._drawn = None


def _size(theta: FloatArray) -> float:
    """What counts as a relative step of 1: the root mean square, 1 if it is zero."""
    top = max((float(abs(theta[piece]).max(initial=0.0)) for piece in blocks(theta.shape)), default=0.0)
    if top == 0.0:
        return 1.0
    total = sum(
        float(np.sum((np.asarray(theta[piece], dtype=np.float64) / top) ** 2))
        for piece in blocks(theta.shape)
    )
    return top * math.sqrt(total / theta.size)
