"""What an optimiser is tried on: random trees; gradients that are zero, sparse, tiny, huge; a restart; a long run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.tree import Tree

__all__ = ["NESTINGS", "ORDINARY", "Scenario", "scenarios"]

SHAPES = ((3, 4), (3,), (3, 3), (3,))
"""Weights and biases of two layers: several tensors, so that what is done to one and not to another is seen; two of them
of one shape, so that a memory that is kept by shape is."""

NESTINGS = ("[{weight, bias}]", "{W1, b1, W2, b2}", "[W1, b1, W2, b2]", "one array")
"""How they are handed over, in the order in which they are tried."""

SHORT, LONG = 12, 200
"""Steps. A bias correction shows in the first few; its end, and whatever drifts, in the long run: 0.999^200 = 0.82."""

DECADES = (-5, 2)
"""Sizes of gradients, 10^k: from about the ε of practice to where a limit on the norm counts."""

TINY, HUGE = (-12.0, -5.0), (2.0, 7.0)
"""Of each entry's own size where all are tiny, and where all are huge: thresholds of 1e-8 and of 1e4 lie inside."""

ORDINARY = 10.0 ** (DECADES[1] + 1)
"""Entries of gradients that are larger are huge."""

SMALL = 2.0**-7
"""Size of weights beside which a step of 1e-3 can be seen in float32, whose rounding of weights of size 1 hides it."""

SPARSE = 0.15
"""Share of entries that are not zero where a gradient is sparse, as rows of an embedding are."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """Parameters to begin at, and a gradient for each step.

    Attributes
    ----------
    name : str
        As the report says it: "random gradients".
    params : tree of arrays
    gradients : list of trees
    saved_after : int or None
        The optimiser is saved and restored after so many steps.
    beside : bool
        A second model is trained in turn with the first, by an optimiser of its own.
    same_arrays : bool
        Each gradient is written into the arrays of the one before.
    """

    name: str
    params: Tree
    gradients: list[Tree]
    saved_after: int | None = None
    beside: bool = False
    same_arrays: bool = False


def _nested(nesting: str, arrays: list[Any]) -> Tree:
    if nesting == "[{weight, bias}]":
        return [{"weight": arrays[i], "bias": arrays[i + 1]} for i in (0, 2)]
    if nesting == "{W1, b1, W2, b2}":
        return dict(zip(("W1", "b1", "W2", "b2"), arrays, strict=True))
    return arrays[0] if nesting == "one array" else list(arrays)


def scenarios(
    rng: np.random.Generator, nesting: str, dtype: Any, *, like: Tree = None, saves: bool = True
) -> Iterator[Scenario]:
    """All of them, the plainest first.

    Parameters
    ----------
    rng : numpy.random.Generator
    nesting : str
        One of ``NESTINGS``; for parameters of our own.
    dtype : dtype
    like : tree of arrays, optional
        Parameters of the caller's, whose nesting and shapes count then.
    saves : bool
        Whether the optimiser's state can be saved.
    """
    shapes = SHAPES if like is None else tuple(np.shape(leaf) for _, leaf in tree.leaves(like))

    def drawn(scale: float, *, share: float = 1.0) -> Tree:
        arrays = [
            np.asarray(rng.normal(size=shape) * scale * (rng.random(shape) < share)).astype(dtype)
            for shape in shapes
        ]
        return _nested(nesting, arrays) if like is None else tree.restore(like, arrays)

    def entries(decades: tuple[float, float]) -> Tree:
        """Each entry of a size of its own."""
        arrays = [
            np.asarray(rng.normal(size=shape) * 10.0 ** rng.uniform(*decades, size=shape)).astype(dtype)
            for shape in shapes
        ]
        return _nested(nesting, arrays) if like is None else tree.restore(like, arrays)

    def sizes() -> float:
        return float(10.0 ** rng.integers(DECADES[0], DECADES[1] + 1))

    yield Scenario("gradients of size 1", drawn(1.0), [drawn(1.0) for _ in range(SHORT)])
    yield Scenario("gradients of all sizes", drawn(1.0), [drawn(sizes()) for _ in range(SHORT)])
    small = sizes()
    yield Scenario("one gradient again and again", drawn(SMALL), [drawn(small)] * SHORT)
    zero = [drawn(0.0) if i % 3 == 0 else drawn(1.0) for i in range(SHORT)]
    yield Scenario("gradients that are zero at the first step and at every third", drawn(1.0), zero)
    yield Scenario("sparse gradients", drawn(1.0), [drawn(1.0, share=SPARSE) for _ in range(SHORT)])
    if saves:
        yield Scenario(
            "saved and restored", drawn(1.0), [drawn(1.0) for _ in range(SHORT)], saved_after=SHORT // 2
        )
    yield Scenario("two models in turn", drawn(1.0), [drawn(1.0) for _ in range(SHORT)], beside=True)
    yield Scenario(f"{LONG} steps", drawn(1.0), [drawn(1.0) for _ in range(LONG)])
    yield Scenario("tiny gradients", drawn(SMALL), [entries(TINY) for _ in range(SHORT)])
    yield Scenario("huge gradients", drawn(1.0), [entries(HUGE) for _ in range(SHORT)])
    same = [drawn(1.0) for _ in range(SHORT)]
    yield Scenario("gradients in the same arrays at every step", drawn(1.0), same, same_arrays=True)
