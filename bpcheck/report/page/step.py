"""A step of a pass through the network: its equation, its meaning, and its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bpcheck.report.page.markup import Html

__all__ = ["Step"]

BACKWARD = ("delta", "gradient", "arrival", "down")


@dataclass(frozen=True, eq=False)
class Step:
    """One step."""

    kind: str  # "input", "z", "a", "flatten", "sum", "cost", or one of BACKWARD
    layer: int  # the book's number
    equation: str
    meaning: str  # one sentence
    wrong: bool = False  # whether something that the caller computed in this step is wrong
    key: str = ""  # path of the layer; empty for the input and the cost
    place: str = ""  # what the step is about, where it is not simply layer l
    of_example: Callable[[int], Html] | None = None  # the numbers of an example of the batch, counted from 0
    of_all: Html | None = None  # what is said of the whole batch

    @property
    def phase(self) -> str:
        """``"forward"`` or ``"backward"``."""
        return "backward" if self.kind in BACKWARD else "forward"

    @property
    def title(self) -> str:
        """Direction and place: ``forward, layer 2``."""
        return f"{self.phase}, {self.place or f'layer {self.layer}'}"
