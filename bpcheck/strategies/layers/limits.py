"""How large the layers of a drawn network may be."""

from __future__ import annotations

from dataclasses import dataclass

from bpcheck.network.layers.activations import ELEMENTWISE

__all__ = ["Limits"]


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
