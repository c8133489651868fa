"""A network as a plain chain of dense layers: a view that refuses every other network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpcheck.errors import ArchitectureError
from bpcheck.network.architecture import Architecture, mlp
from bpcheck.network.layers.dense import Dense

__all__ = ["DenseChain", "dense_chain", "is_dense_chain"]


@dataclass(frozen=True)
class DenseChain:
    """What can be said of a chain of dense layers alone; made by :func:`dense_chain`.

    Attributes
    ----------
    architecture : Architecture
    layers : tuple of Dense
    """

    architecture: Architecture
    layers: tuple[Dense, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of units of the input and of every layer."""
        return (*self.architecture.input_shape, *(layer.units for layer in self.layers))

    @property
    def hidden(self) -> str:
        """Activation of the first hidden layer; tanh (as for :func:`bpcheck.mlp`) if there is none."""
        return self.layers[0].activation if len(self.layers) > 1 else "tanh"

    def with_widths(self, widths: Sequence[int], *, activation: str | None = None) -> Architecture:
        """A chain of other widths with the same hidden activation (or another), output, cost and penalty."""
        given = self.architecture
        return mlp(
            widths,
            activation=self.hidden if activation is None else activation,
            output=given.output,
            loss=given.loss,
            reduction=given.reduction,
            l1=given.l1,
            l2=given.l2,
            penalize_bias=given.penalize_bias,
        )


def is_dense_chain(architecture: Architecture) -> bool:
    """Whether every layer is dense."""
    return all(isinstance(layer, Dense) for layer in architecture.layers)


def dense_chain(architecture: Architecture) -> DenseChain:
    """The network as a chain of dense layers.

    Parameters
    ----------
    architecture : Architecture

    Returns
    -------
    DenseChain

    Raises
    ------
    ArchitectureError
        If a layer is of another kind.

    Examples
    --------
    >>> chain = dense_chain(mlp([4, 5, 3], activation="relu"))
    >>> chain.widths, chain.hidden
    ((4, 5, 3), 'relu')
    """
    layers = tuple(layer for layer in architecture.layers if isinstance(layer, Dense))
    if len(layers) != len(architecture.layers):
        other = next(layer for layer in architecture.layers if not isinstance(layer, Dense))
        raise ArchitectureError(f"{architecture!r} is no plain chain of dense layers: it has {other!r}.")
    return DenseChain(architecture, layers)
