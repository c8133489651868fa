"""The strategies themselves: widths as a list, simplest names first, parameters from an integer seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bpcheck.network.architecture import (
    DEFAULT_OUTPUT,
    LOSSES,
    PROBABILITY_LOSSES,
    REDUCTIONS,
    Architecture,
    mlp,
)
from bpcheck.network.case import Case
from bpcheck.network.layers import Dense, Skip
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.strategies.numbers import fill, random_targets, readable

__all__ = ["architectures", "cases"]

# Large enough for every bug of the catalogue to show, small enough for the symbolic witness.
MAX_WIDTH = 5
MAX_DEPTH = 4
MAX_BATCH = 4


@st.composite
def architectures(
    draw: Any,
    *,
    activations: Sequence[str] = ACTIVATIONS,
    outputs: Sequence[str] | None = None,
    losses: Sequence[str] = LOSSES,
    reductions: Sequence[str] = REDUCTIONS,
    max_width: int = MAX_WIDTH,
    max_depth: int = MAX_DEPTH,
    penalties: bool = True,
    skips: bool = False,
) -> Architecture:
    """Random dense networks; shrinks towards one narrow tanh layer with half MSE.

    Parameters
    ----------
    activations, losses, reductions : sequence of str
        What to choose from, simplest first.
    outputs : sequence of str, optional
        Output activations; the default is every one that suits the loss.
    max_width, max_depth : int
        Units a layer; weight layers.
    penalties : bool
        Whether L1 and L2 penalties occur.
    skips : bool
        Whether some networks have a skip connection.

    Returns
    -------
    strategy of Architecture

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5, database=None)
    ... @given(architectures(losses=["mse"], max_depth=2))
    ... def widths_are_small(architecture):
    ...     assert len(dense_chain(architecture).widths) <= 3
    >>> widths_are_small()
    """
    widths = draw(st.lists(st.integers(1, max_width), min_size=2, max_size=max_depth + 1))
    loss = draw(st.sampled_from(list(losses)))
    suitable: Sequence[str] = ACTIVATIONS
    if loss in PROBABILITY_LOSSES:
        suitable = (DEFAULT_OUTPUT[loss], "identity")
    allowed = [name for name in suitable if outputs is None or name in outputs]
    with_penalty = penalties and draw(st.booleans())
    options: dict[str, Any] = {}
    if with_penalty:
        options = {
            "l1": draw(st.sampled_from([0.0, 0.25])),
            "l2": draw(st.sampled_from([0.5, 0.125])),
            "penalize_bias": draw(st.booleans()),
        }
    architecture = mlp(
        widths,
        activation=draw(st.sampled_from(list(activations))),
        output=draw(st.sampled_from(allowed)),
        loss=loss,
        reduction=draw(st.sampled_from(list(reductions))),
        **options,
    )
    if skips and draw(st.booleans()):
        width = widths[0]
        inner = draw(st.integers(1, max_width))
        name = draw(st.sampled_from(list(activations)))
        block = Skip((Dense(inner, name), Dense(width, "identity")))
        architecture = replace(architecture, layers=(block, *architecture.layers))
    return architecture


@st.composite
def cases(draw: Any, networks: Any = None, *, max_batch: int = MAX_BATCH, **options: Any) -> Case:
    """Random cases: a network, a batch, and readable parameters from one integer seed.

    Parameters
    ----------
    networks : strategy of Architecture, optional
        :func:`architectures` with ``options`` if not given.
    max_batch : int
        Examples a batch.

    Returns
    -------
    strategy of Case

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5, database=None)
    ... @given(cases(max_batch=2, max_width=2))
    ... def batches_are_small(case):
    ...     assert case.batch <= 2
    >>> batches_are_small()
    """
    architecture = draw(architectures(**options) if networks is None else networks)
    batch = draw(st.integers(1, max_batch))
    seed = draw(st.integers(0, 2**32 - 1))
    return case_from_seed(architecture, batch, seed)


def case_from_seed(architecture: Architecture, batch: int, seed: int) -> Case:
    """The case that a seed stands for: every number nonzero, of mixed sign, with two decimals."""
    rng = np.random.default_rng(seed)
    params = fill(architecture.parameter_shapes, lambda _, shape: readable(rng, shape, 0.1, 1.5))
    x = readable(rng, (batch, *architecture.input_shape), 0.1, 2.0)
    y = random_targets(rng, architecture.loss, (batch, architecture.outputs))
    return Case(architecture, params, x, y, seed=seed)
