"""The table of the kinds that the page can show; a kind is a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from bpcheck.network.architecture import Architecture
from bpcheck.network.layers import Conv1d, Conv2d, Dense, Flatten, LayerSpec, Skip
from bpcheck.report.page.layers.convolution import ConvolutionKind
from bpcheck.report.page.layers.dense import DenseKind
from bpcheck.report.page.layers.flatten import FlattenKind
from bpcheck.report.page.layers.kind import Kind
from bpcheck.report.page.layers.skip import SkipKind

__all__ = ["KINDS", "kind_of", "unknown", "weights_of"]

KINDS: Mapping[type[LayerSpec], Kind] = MappingProxyType(
    {
        Dense: DenseKind(),
        Skip: SkipKind(),
        Flatten: FlattenKind(),
        Conv1d: ConvolutionKind(),
        Conv2d: ConvolutionKind(),
    }
)


def kind_of(spec: LayerSpec) -> Kind:
    """How layers of this kind are shown."""
    return KINDS[type(spec)]


def weights_of(spec: LayerSpec) -> str:
    """What the symbol of a weight means; empty for a layer without weights, or one that the page does not know."""
    return KINDS[type(spec)].weights(spec) if type(spec) in KINDS else ""


def unknown(architecture: Architecture) -> tuple[str, ...]:
    """Names of the kinds in a network that the page cannot show.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> unknown(mlp([2, 3, 1]))
    ()
    """
    kinds = (type(spec) for spec in _specs(architecture.layers))
    return tuple(dict.fromkeys(kind.__name__ for kind in kinds if kind not in KINDS))


def _specs(layers: Sequence[LayerSpec]) -> Iterator[LayerSpec]:
    for spec in layers:
        yield spec
        yield from _specs(spec.inner)
