"""What the page asks of a kind of layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from bpcheck.network.case import Case
from bpcheck.network.layers import LayerSpec
from bpcheck.report.page.markup import Html
from bpcheck.report.page.replayed import Layer, Replay
from bpcheck.report.page.sketch import Sketch
from bpcheck.report.page.station import Numbers, Station
from bpcheck.report.page.step import Step

__all__ = ["Kind"]


class Kind(ABC):
    """How the page shows the layers of one kind.

    Attributes
    ----------
    legend : str
        One sentence on what is drawn between a layer of this kind and the one below.
    channel : int
        Pixels between its column and the one before.
    """

    legend: str = ""
    channel: int = 0

    def weights(self, spec: LayerSpec) -> str:
        """What the symbol of a weight means in a formula with indices from 1; empty if there are none."""
        return ""

    @abstractmethod
    def forward(self, found: Replay, layer: Layer) -> Sequence[Step]:
        """The steps that compute what leaves the layer; those of inner layers come before."""

    @abstractmethod
    def backward(self, found: Replay, layer: Layer, above: str, inner: str) -> Sequence[Step]:
        """The steps that come down through the layer; those of inner layers come before.

        ``above`` and ``inner`` are formulas: of ∂C/∂a, and for a layer made of others of what came down through them.
        """

    def arrival(self, found: Replay, layer: Layer, above: str) -> Sequence[Step]:
        """What is said before the inner layers' steps of the way down."""
        return ()

    def below(self, layer: Layer) -> str:
        """A formula of what comes down to the layer below; its name if a step of its own computes it."""
        return layer.below_name

    def read_off(self, layer: Layer, case: Case, factor: float) -> Any:
        """The caller's δ where the gradients of a single example give it away, otherwise None."""
        return None

    @abstractmethod
    def station(self, found: Replay, layer: Layer, numbers: Numbers) -> Station:
        """What is drawn in the layer's column."""

    def looks_at(self, layer: Layer) -> tuple[int, ...] | None:
        """Map and place below that are shown in numbers: they are drawn, whatever is left out."""
        return None

    def gap(self, layer: Layer) -> int:
        """Pixels between its column and the one before."""
        return self.channel

    @abstractmethod
    def joins(self, found: Replay, layer: Layer, sketch: Sketch) -> Sequence[Html]:
        """What is drawn between the column of what enters and its own."""

    def marks(self, layer: Layer, sketch: Sketch) -> Sequence[Html | None]:
        """What is drawn on top of the boxes."""
        return ()
