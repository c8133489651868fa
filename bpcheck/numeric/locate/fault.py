"""What a search found to be wrong, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bpcheck.numeric.locate.block import Index
from bpcheck.numeric.locate.probe import Entry
from bpcheck.tree import Path

__all__ = ["Fault", "Sight"]


@dataclass(frozen=True, eq=False)
class Fault:
    """One wrong entry, slice or tensor.

    Attributes
    ----------
    path : Path
    index : Index
        The entry, or the slice; all slices for a tensor.
    hypothesis : str
        What the claimed part is, where that was recognised; empty otherwise.
    factor : float
        Claimed over right; the multiple where something was added; NaN where neither is known.
    factor_error : float
    entries : tuple of (index, Entry)
        Entries of the part that were measured on their own; of a wrong entry, itself.
    probe_value, probe_bar : float
        The discrepancy along a fresh direction of the part, and its bar.
    accident : float
        How likely a wrong hypothesis had met every direction.
    """

    path: Path
    index: Index
    hypothesis: str = ""
    factor: float = float("nan")
    factor_error: float = 0.0
    entries: tuple[tuple[tuple[int, ...], Entry], ...] = ()
    probe_value: float = float("nan")
    probe_bar: float = float("nan")
    accident: float = 1.0


@dataclass(frozen=True)
class Sight:
    """How small an error of one tensor would have been seen.

    Attributes
    ----------
    bar : float
        The widest bar of the directions that saw nothing more, in units of one entry of typical
        gradient: an error of it changes ⟨e, v⟩ by itself times |r|.
    typical : float
        Median of the claimed gradient (over entries that are not 0).
    directions : int
    """

    bar: float
    typical: float
    directions: int

    def single(self) -> float:
        """An error of one entry as large as this is seen for certain, the bars holding."""
        return 2.0 * self.bar / 0.5

    def several(self, miss_probability: float) -> float:
        """Of several errors, the largest is this large: missed with at most this probability."""
        return float(2.0 * self.bar * np.power(miss_probability, -1.0 / self.directions))
