"""The layouts that are known: which containers, shapes and ways to hand over examples people write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from bpcheck.conventions import Conventions
from bpcheck.conventions.nesting import DEFAULT_NAMES, NESTINGS, NUMBERED, VECTORS, WEIGHTS_ALONE
from bpcheck.tree import Tree

__all__ = ["KEYS", "Candidate", "candidates", "gradient_readings", "known_layouts"]

# What people hand over part by part, f(weights, biases, x, y) or f(W1, b1, W2, b2, x, y).
SPREAD = ("([W], [b])", "([b], [W])", "[W1, b1, W2, b2]", "[W1, W2, b1, b2]")

KEYS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "[{W, b}]": (("W", "b"), ("w", "b"), ("weights", "biases")),
    "{[W], [b]}": (("W", "b"), ("coefs", "intercepts")),
    "{W1, b1, W2, b2}": (("w{}", "b{}"), ("weight{}", "bias{}")),
    "{W1, W2}": (("w{}", "b{}"),),
}
"""Common keys, for a function that goes through all keys there are instead of asking for its own."""

# How biases are shaped beside examples that come as rows, as columns, one at a time; the likeliest first.
BIASES: Mapping[str, tuple[str, ...]] = {
    "first": ("vector", "row", "column"),
    "last": ("column", "vector", "row"),
    "one": ("vector", "column", "row"),
    "one column": ("column", "vector", "row"),
    "one row": ("vector", "row", "column"),
}
INSIDE = ("none", "folded first", "folded last")
"""Where biases are, if no tensor of their own."""

ORIENTATIONS = ("out, in", "in, out")


@dataclass(frozen=True)
class Candidate:
    """A layout that may be tried, by what a function can ask about it.

    Attributes
    ----------
    params, number_from, spread
        The structure, as in :class:`bpcheck.Conventions`; what keys are called is not guessed but heard.
    weight, bias, batch, targets : str
    """

    params: str
    number_from: int
    spread: bool
    weight: str
    bias: str
    batch: str
    targets: str

    def conventions(self, names: tuple[str, str] | None = None) -> Conventions:
        """The layout, with the keys that were heard."""
        return Conventions(
            params=self.params,
            number_from=self.number_from,
            spread=self.spread,
            weight=self.weight,
            bias=self.bias,
            batch=self.batch,
            targets=self.targets,
            names=names,
        )

    @property
    def structure(self) -> tuple[Any, ...]:
        """Containers, and how they are handed over."""
        return self.params, self.number_from, self.spread

    def about(self, asked: frozenset[str], depth: int, names: tuple[str, str] | None) -> tuple[Any, ...]:
        """Everything that these questions can tell of it: the same answers, the same outcome."""
        told: tuple[Any, ...] = (self._arguments(depth),)
        if asked & {"structure", "weight", "bias"}:
            told += self.structure
        if "keys" in asked:
            told += ("keys", names)
        if "weight" in asked:
            told += ("weight", self.weight, self.bias if self.params in WEIGHTS_ALONE else "")
        if "bias" in asked:
            told += ("bias", self.bias)
        if "x" in asked:
            told += ("x", self.batch)
        if "y" in asked:
            told += ("y", self.batch, self.targets)
        return told

    def _arguments(self, depth: int) -> tuple[int, str]:
        """What a function can tell without asking: how many arguments the parameters are, and of which type.

        ``type`` and ``match`` look at the type of an argument, and no argument can take note of it.
        """
        opening = self.params[0]
        if not self.spread:
            return 1, opening
        return (2, "[") if opening == "(" else (2 * depth, "array")


def candidates(*, outputs: int, vectors: bool) -> Iterator[Candidate]:
    """Every layout, structure by structure, bpcheck's own first.

    Parameters
    ----------
    outputs : int
        With one output there are no classes, but numbers (m,).
    vectors : bool
        One array for all parameters, which only code takes that knows its widths; or all other structures.
    """
    targets = ("as given", "flat" if outputs == 1 else "index")
    for params in NESTINGS:
        if (params in VECTORS) is not vectors:
            continue
        spreads, numbers = (False, True)[: 1 + (params in SPREAD)], (1, 0)[: 1 + (params in NUMBERED)]
        for spread, first, said, batch in product(spreads, numbers, targets, BIASES):
            for bias, weight in product(_places_of_biases(params, batch), ORIENTATIONS):
                yield Candidate(params, first, spread, weight, bias, batch, said)


def _places_of_biases(params: str, batch: str) -> tuple[str, ...]:
    if params in WEIGHTS_ALONE:
        return INSIDE
    return ("vector",) if params in VECTORS else BIASES[batch]


@lru_cache(maxsize=1)
def known_layouts() -> tuple[Conventions, ...]:
    """All of them as conventions, with the keys that these have by themselves."""
    return tuple(candidate.conventions() for candidate in candidates(outputs=2, vectors=False))


def gradient_readings(conventions: Conventions, returned: Tree) -> Iterator[Conventions]:
    """The same layout with the gradient nested in other ways; its arrays are never reshaped.

    The keys of a dict are read off what was returned: ``dW1``, ``W1_grad``.
    """
    for nesting in NESTINGS:
        if nesting in VECTORS or (nesting in WEIGHTS_ALONE) == conventions.has_biases:
            continue
        other = conventions.but(gradients="" if nesting == conventions.params else nesting)
        if nesting not in DEFAULT_NAMES:
            yield other
            continue
        for named in _names(other, nesting):
            for pattern in _patterns(named, nesting, returned):
                yield named.but(gradient_names=pattern)


def _names(conventions: Conventions, nesting: str) -> Iterator[Conventions]:
    """With the keys of the parameters, or, where they have none, with such as people give to gradients."""
    if conventions.params in DEFAULT_NAMES or conventions.names is not None:
        yield conventions
        return
    numbered = nesting in NUMBERED
    for pair in (None, ("W", "b"), ("w", "b"), ("weight", "bias"), ("weights", "biases")):
        names = pair and (f"{pair[0]}{{}}", f"{pair[1]}{{}}") if numbered else pair
        for first in (1, 0) if numbered else (1,):
            yield conventions.but(names=names, number_from=first)


def _patterns(conventions: Conventions, nesting: str, returned: Tree) -> list[str]:
    """What the keys of a gradient make of those of a parameter, as far as keys that were returned show it."""
    names = conventions.names or DEFAULT_NAMES[nesting]
    keys = {name.format(conventions.number_from) for name in names}
    found = ["{}"]
    for key in _keys(returned):
        for name in keys:
            before, there, after = key.partition(name)
            pattern = f"{before}{{}}{after}"
            if there and pattern not in found and pattern.count("{") == pattern.count("}") == 1:
                found.append(pattern)
    return found


def _keys(returned: Tree) -> list[str]:
    """The keys of the outermost dict, or of the first dict in a list."""
    if isinstance(returned, list | tuple) and returned:
        returned = returned[0]
    return [key for key in returned if isinstance(key, str)] if isinstance(returned, Mapping) else []
