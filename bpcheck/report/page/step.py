"""A step of a pass through the network: its equation, its meaning, and its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bpcheck.report.page.markup import Html

__all__ = ["Step"]

BACKWARD = ("delta", "gradient", "arrival", "down")


@dataclass(frozen=True, eq=False)
class Step:
    """One step.

    Attributes
    ----------
    kind : {"input", "z", "a", "flatten", "sum", "cost", "delta", "gradient", "arrival", "down"}
    layer : int
        The book's number.
    equation : str
    meaning : str
        One sentence.
    wrong : bool
        Whether something that the caller computed in this step is wrong.
    key : str
        Path of the layer; empty for the input and the cost.
    place : str
        What the step is about, where it is not simply layer l.
    of_example : callable or None
        The numbers of an example of the batch, counted from 0.
    of_all : Html or None
        What is said of the whole batch.
    """

    kind: str
    layer: int
    equation: str
    meaning: str
    wrong: bool = False
    key: str = ""
    place: str = ""
    of_example: Callable[[int], Html] | None = None
    of_all: Html | None = None

    @property
    def phase(self) -> str:
        """``"forward"`` or ``"backward"``."""
        return "backward" if self.kind in BACKWARD else "forward"

    @property
    def title(self) -> str:
        """Direction and place: ``forward, layer 2``."""
        return f"{self.phase}, {self.place or f'layer {self.layer}'}"
