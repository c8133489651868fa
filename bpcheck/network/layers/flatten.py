"""All numbers of an example in one row."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bpcheck.network.layers.spec import LayerSpec, Shape

__all__ = ["Flatten"]


@dataclass(frozen=True)
class Flatten(LayerSpec):
    """All numbers of one example in a row, the last axis running fastest.

    Examples
    --------
    >>> Flatten().output_shape((2, 3, 4))
    (24,)
    """

    kind = "flatten"
    is_numbered = False

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one example after this layer."""
        return (math.prod(shape),)
