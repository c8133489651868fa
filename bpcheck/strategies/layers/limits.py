"""What the layers of a drawn network share: how large they may be, and what takes an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bpcheck.network.layers import Conv1d, Conv2d
from bpcheck.network.layers.activations import ELEMENTWISE

__all__ = ["CONVOLUTIONS", "Limits"]

CONVOLUTIONS: Mapping[int, type[Conv1d] | type[Conv2d]] = MappingProxyType({2: Conv1d, 3: Conv2d})
"""What takes an image, by the number of axes of one example."""


@dataclass(frozen=True)
class Limits:
    """What all layers of a network have in common.

    Attributes
    ----------
    activation : str
        σ of the layers below the output.
    max_width : int
        Units of a dense layer.
    max_channels : int
        Of an image.
    """

    activation: str
    max_width: int
    max_channels: int

    @property
    def elementwise(self) -> str:
        """The activation where only one that acts on single numbers will do."""
        return self.activation if self.activation in ELEMENTWISE else "identity"
