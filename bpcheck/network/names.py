"""Where the layers of a network stand, and the names that books give to their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from bpcheck.network.architecture import Architecture
from bpcheck.network.dense_chain import dense_chain, is_dense_chain
from bpcheck.network.layers.spec import LayerSpec, Role, Shape
from bpcheck.tree import Path

__all__ = [
    "FIRST_LAYER",
    "LETTERS",
    "Place",
    "book_name",
    "in_words",
    "is_penalised",
    "number_of",
    "places",
    "role_of",
    "walk",
]

FIRST_LAYER = 2
"""Books count the input as layer 1, so ``params[0]`` holds W² and b²."""

LETTERS: Mapping[Role, str] = MappingProxyType(
    {"weight": "W", "bias": "b", "gain": "γ", "shift": "β", "table": "E", "state": "s"}
)

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Place:
    """A layer that is not made of others, within its network.

    Attributes
    ----------
    path : Path
        Of its parameters.
    layer : LayerSpec
    shape : tuple of int
        Of one example before it.
    number : int or None
        As books count: the input is layer 1, and skip connections are counted through. None for a layer that is not
        counted.
    """

    path: Path
    layer: LayerSpec
    shape: Shape
    number: int | None

    @property
    def parameters(self) -> dict[Path, Role]:
        """Its parameters and what they are for."""
        return {self.path.item(key): role for key, role in self.layer.roles.items()}


@lru_cache(maxsize=256)
def places(architecture: Architecture) -> tuple[Place, ...]:
    """Every layer that is not made of others, from the input up.

    Examples
    --------
    >>> from bpcheck.network.architecture import mlp
    >>> [(str(place.path), place.number) for place in places(mlp([2, 3, 1]))]
    [('params[0]', 2), ('params[1]', 3)]
    """
    found: list[Place] = []
    for path, layer, shape in walk(architecture):
        if not layer.inner:
            counted = sum(place.number is not None for place in found) + FIRST_LAYER
            found.append(Place(path, layer, shape, counted if layer.is_numbered else None))
    return tuple(found)


def walk(architecture: Architecture) -> Iterator[tuple[Path, LayerSpec, Shape]]:
    """Every layer with the path of its parameters and the shape of one example before it; what it is made of after it."""
    yield from _walk(architecture.layers, Path("params"), architecture.input_shape)


def _walk(layers: Sequence[LayerSpec], path: Path, shape: Shape) -> Iterator[tuple[Path, LayerSpec, Shape]]:
    for index, layer in enumerate(layers):
        yield path.item(index), layer, shape
        yield from _walk(layer.inner, path.item(index), shape)
        shape = layer.output_shape(shape)


@lru_cache(maxsize=256)
def _parameters(architecture: Architecture) -> Mapping[str, tuple[Place, Role]]:
    return {
        str(path): (place, role) for place in places(architecture) for path, role in place.parameters.items()
    }


def role_of(architecture: Architecture, path: Path | str) -> Role | None:
    """What a parameter is for; None if ``path`` is no parameter of this network."""
    found = _parameters(architecture).get(str(path))
    return None if found is None else found[1]


def number_of(architecture: Architecture, path: Path | str) -> int | None:
    """The layer that a parameter belongs to, as books count; None if ``path`` is no parameter of this network."""
    found = _parameters(architecture).get(str(path))
    return None if found is None else found[0].number


def book_name(architecture: Architecture, path: Path | str) -> str:
    """The name that a book gives to a parameter, layer 1 being the input.

    Parameters
    ----------
    architecture : Architecture
    path : Path or str
        ``params[0]['weight']``.

    Returns
    -------
    str
        ``W²``; empty if ``path`` is no parameter of this network.

    Examples
    --------
    >>> from bpcheck.network.architecture import mlp
    >>> network = mlp([2, 3, 1])
    >>> book_name(network, "params[0]['weight']"), book_name(network, "params[1]['bias']"), book_name(network, "loss")
    ('W²', 'b³', '')
    """
    role, number = role_of(architecture, path), number_of(architecture, path)
    return "" if role is None or number is None else LETTERS[role] + str(number).translate(_SUPERSCRIPTS)


def is_penalised(architecture: Architecture, path: Path | str) -> bool:
    """Whether the penalty on large weights covers a parameter.

    It covers weights and tables, biases if the architecture says so, and never the gain and shift of a normalisation.
    """
    role = role_of(architecture, path)
    return role in ("weight", "table") or (role == "bias" and architecture.penalize_bias)


def in_words(architecture: Architecture) -> str:
    """What a network is, for a sentence.

    Examples
    --------
    >>> from bpcheck.network.architecture import mlp
    >>> from bpcheck.network.layers import Conv1d, Dense, Flatten
    >>> in_words(mlp([2, 3, 1]))
    'a network of widths [2, 3, 1]'
    >>> in_words(Architecture((1, 4), (Conv1d(2, 3), Flatten(), Dense(1))))
    "a network of Conv1d(2, 3), Flatten(), Dense(units=1, activation='identity') for inputs of shape (1, 4)"
    """
    if is_dense_chain(architecture):
        return f"a network of widths {list(dense_chain(architecture).widths)}"
    layers = ", ".join(map(repr, architecture.layers))
    return f"a network of {layers} for inputs of shape {architecture.input_shape}"
