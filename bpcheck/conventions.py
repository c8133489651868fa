"""Conventions: how a subject lays out its parameters and counts its loss.

Only the default exists so far, the layout of :func:`bpcheck.mlp`. Other layouts (weights stored
(in, out), column vectors, index targets, …) fit behind this value without a change elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from bpcheck.errors import InputError

__all__ = ["Conventions"]


@dataclass(frozen=True)
class Conventions:
    """The layout that :func:`bpcheck.compare` speaks.

    Parameters
    ----------
    weight : {"out, in"}
        Orientation of weight matrices.
    batch : {"first"}
        Axis of the examples.

    Examples
    --------
    >>> Conventions()
    Conventions(weight='out, in', batch='first')
    """

    weight: str = "out, in"
    batch: str = "first"

    def __post_init__(self) -> None:
        if (self.weight, self.batch) != ("out, in", "first"):
            raise InputError(
                f"conventions {self!r} are not supported: pass weights as (out, in) and examples as rows, "
                "or wrap your function in one that transposes."
            )
