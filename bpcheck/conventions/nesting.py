"""Nestings: in which containers, and in which order, the weights and biases of a network are kept.

A nesting is a tree with a *slot* at each leaf: ``"W0"`` is the weight of the first layer, ``"b0"`` its
bias. The same tree says how to put parameters together, how to read a gradient, and what the caller
calls each tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from bpcheck.tree import Tree

__all__ = ["DEFAULT_NAMES", "NESTINGS", "NUMBERED", "VECTORS", "WEIGHTS_ALONE", "slots"]

_Make = Callable[[list[str], list[str], Callable[[str, int], str]], Any]
"""From the slots of weights and biases, and what names them, to the tree."""


def _interleaved(first: list[str], second: list[str]) -> list[str]:
    return [slot for pair in zip(first, second, strict=True) for slot in pair]


NESTINGS: Mapping[str, _Make] = MappingProxyType(
    {
        "[{W, b}]": lambda W, b, name: [
            {name("W", k): w, name("b", k): v} for k, (w, v) in enumerate(zip(W, b, strict=True))
        ],
        "[(W, b)]": lambda W, b, _: list(zip(W, b, strict=True)),
        "[(b, W)]": lambda W, b, _: list(zip(b, W, strict=True)),
        "[W1, b1, W2, b2]": lambda W, b, _: _interleaved(W, b),
        "[b1, W1, b2, W2]": lambda W, b, _: _interleaved(b, W),
        "[W1, W2, b1, b2]": lambda W, b, _: [*W, *b],
        "[b1, b2, W1, W2]": lambda W, b, _: [*b, *W],
        "([W], [b])": lambda W, b, _: (W, b),
        "([b], [W])": lambda W, b, _: (b, W),
        "{[W], [b]}": lambda W, b, name: {name("W", 0): W, name("b", 0): b},
        "{W1, b1, W2, b2}": lambda W, b, name: {
            **{name("W", k): w for k, w in enumerate(W)},
            **{name("b", k): v for k, v in enumerate(b)},
        },
        "[W1, W2]": lambda W, b, _: W,
        "{W1, W2}": lambda W, b, name: {name("W", k): w for k, w in enumerate(W)},
        "vector W1 b1 W2 b2": lambda W, b, _: _interleaved(W, b),
        "vector W1 W2 b1 b2": lambda W, b, _: [*W, *b],
    }
)
"""Every nesting by name; the name is written as the thing looks for two layers."""

WEIGHTS_ALONE = ("[W1, W2]", "{W1, W2}")
"""Nestings without biases: those are a column of the weights, or there are none."""

NUMBERED = ("{W1, b1, W2, b2}", "{W1, W2}")
"""Nestings whose keys hold the number of the layer."""

VECTORS = ("vector W1 b1 W2 b2", "vector W1 W2 b1 b2")
"""One flat array, each tensor row by row."""

DEFAULT_NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "[{W, b}]": ("weight", "bias"),
        "{[W], [b]}": ("weights", "biases"),
        "{W1, b1, W2, b2}": ("W{}", "b{}"),
        "{W1, W2}": ("W{}", "b{}"),
    }
)
"""Keys of the dicts, where nobody names others; ``{}`` stands for the number of the layer."""


def slots(
    nesting: str, count: int, *, names: tuple[str, str] | None = None, first: int = 1, pattern: str = "{}"
) -> Tree:
    """The nesting of a network with ``count`` weight layers, a slot at each leaf.

    ``names`` are the keys of weights and biases, ``first`` is the number of the first layer in such a key, and ``pattern``
    is what the key of a gradient makes of the key of its parameter.

    Examples
    --------
    >>> slots("([b], [W])", 2)
    (['b0', 'b1'], ['W0', 'W1'])
    >>> slots("{W1, b1, W2, b2}", 1, pattern="d{}")
    {'dW1': 'W0', 'db1': 'b0'}
    """
    keys = dict(zip("Wb", names or DEFAULT_NAMES.get(nesting, ("", "")), strict=True))

    def name(kind: str, k: int) -> str:
        return pattern.format(keys[kind].format(k + first))

    return NESTINGS[nesting]([f"W{k}" for k in range(count)], [f"b{k}" for k in range(count)], name)
