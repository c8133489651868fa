"""A factor that loss and gradient share, and the reference network that both are held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from bpcheck.conventions import Conventions
from bpcheck.network.architecture import Architecture
from bpcheck.reference import Network, build

__all__ = ["UNSCALED", "Scaling", "network_of", "scaling_of"]


@dataclass(frozen=True)
class Scaling:
    """A factor that loss and gradient share: a convention, not a bug.

    Attributes
    ----------
    label : str
        ``""``, ``"2 × "``, …
    factor : callable
        From an architecture to the number.
    """

    label: str
    factor: Callable[[Architecture], float]


def _one(architecture: Architecture) -> float:
    return 1.0


UNSCALED = Scaling("", _one)


def scaling_of(conventions: Conventions) -> Scaling:
    """The factor that conventions pin; 1 if they pin none.

    Examples
    --------
    >>> scaling_of(Conventions(factor=2)).label
    '2 × '
    """
    factor = conventions.factor
    if factor is None or factor == 1:
        return UNSCALED
    if isinstance(factor, str):
        return Scaling("1/outputs × ", lambda a: 1.0 / a.outputs)
    value = float(factor)
    return Scaling(f"{value:g} × ", lambda a: value)


# Inference runs through some 300 templates at each of four depths, again and again.
@lru_cache(maxsize=2048)
def network_of(architecture: Architecture) -> Network:
    """The reference network, built once."""
    return build(architecture)
