"""The strategies themselves: layer upon layer, simplest names first, parameters from an integer seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bpcheck.errors import InputError
from bpcheck.network.architecture import (
    DEFAULT_OUTPUT,
    LOSSES,
    PROBABILITY_LOSSES,
    REDUCTIONS,
    Architecture,
)
from bpcheck.network.case import Case
from bpcheck.network.layers import Dense, Flatten, LayerSpec
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.network.layers.spec import Role, Shape
from bpcheck.strategies.layers.kinds import AXES, LAYERS
from bpcheck.strategies.layers.limits import Limits
from bpcheck.strategies.numbers import fill, random_targets, readable
from bpcheck.tree import FloatArray

__all__ = ["architectures", "cases"]

# Large enough for every bug of the catalogue to show, small enough for the symbolic witness.
MAX_WIDTH = 5
MAX_DEPTH = 4
MAX_BATCH = 4
MAX_IMAGE = 5
MAX_CHANNELS = 3

MAX_WEIGHT = 1.5
"""Size of a weight, of units with MAX_WIDTH inputs and fewer; with more, weights shrink so that z stays of its order."""


def architectures(
    *,
    kinds: Sequence[str] = ("dense",),
    activations: Sequence[str] = ACTIVATIONS,
    outputs: Sequence[str] | None = None,
    losses: Sequence[str] = LOSSES,
    reductions: Sequence[str] = REDUCTIONS,
    max_width: int = MAX_WIDTH,
    max_depth: int = MAX_DEPTH,
    max_image: int = MAX_IMAGE,
    penalties: bool = True,
) -> Any:
    """Random networks; shrinks towards one narrow dense layer with half MSE.

    Parameters
    ----------
    kinds : sequence of str
        Kinds of layers that occur below the output layer: "dense", "skip", "flatten", "conv1d", "conv2d". The last
        layer is dense, with images flattened before it.
    activations, losses, reductions : sequence of str
        What to choose from, simplest first.
    outputs : sequence of str, optional
        Output activations; the default is every one that suits the loss.
    max_width, max_depth, max_image : int
        Units a layer (channels: three at most); layers; positions of the input along each axis.
    penalties : bool
        Whether L1 and L2 penalties occur.

    Returns
    -------
    strategy of Architecture

    Raises
    ------
    InputError
        For a kind that is not known.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5, database=None)
    ... @given(architectures(losses=["mse"], max_depth=2))
    ... def networks_are_small(architecture):
    ...     assert len(architecture.layers) <= 2
    >>> networks_are_small()
    """
    if isinstance(kinds, str) or not kinds or not all(kind in LAYERS for kind in kinds):
        raise InputError(f"kinds is {kinds!r}; give a list of some of {', '.join(map(repr, LAYERS))}.")
    return _networks(
        tuple(kinds),
        activations=list(activations),
        outputs=list(ACTIVATIONS if outputs is None else outputs),
        losses=list(losses),
        reductions=list(reductions),
        penalties=penalties,
        largest=(max_width, max_depth, max_image),
    )


@st.composite
def _networks(
    draw: Any,
    kinds: Sequence[str],
    *,
    activations: list[str],
    outputs: list[str],
    losses: list[str],
    reductions: list[str],
    penalties: bool,
    largest: tuple[int, int, int],
) -> Architecture:
    max_width, max_depth, max_image = largest
    limits = Limits(draw(st.sampled_from(activations)), max_width, min(max_width, MAX_CHANNELS))
    shape = draw(_inputs(kinds, limits, max_image))
    layers = draw(_below_the_output(kinds, limits, max_depth - 1, shape))
    loss = draw(st.sampled_from(losses))
    suitable = (DEFAULT_OUTPUT[loss], "identity") if loss in PROBABILITY_LOSSES else ACTIVATIONS
    allowed = [name for name in suitable if name in outputs]
    options: dict[str, Any] = {}
    if penalties and draw(st.booleans()):
        options = {
            "l1": draw(st.sampled_from([0.0, 0.25])),
            "l2": draw(st.sampled_from([0.5, 0.125])),
            "penalize_bias": draw(st.booleans()),
        }
    return Architecture(
        shape,
        (*layers, Dense(draw(st.integers(1, max_width)), draw(st.sampled_from(allowed)))),
        loss=loss,
        reduction=draw(st.sampled_from(reductions)),
        **options,
    )


@st.composite
def _inputs(draw: Any, kinds: Sequence[str], limits: Limits, max_image: int) -> Shape:
    """Flat ones, or images unlike along their axes."""
    axes = draw(st.sampled_from(sorted({number for kind in kinds for number in AXES[kind]})))
    if axes == 1:
        return (draw(st.integers(1, limits.max_width)),)
    return (
        draw(st.integers(1, limits.max_channels)),
        *(draw(st.integers(1, max_image)) for _ in range(axes - 1)),
    )


@st.composite
def _below_the_output(
    draw: Any, kinds: Sequence[str], limits: Limits, most: int, shape: Shape
) -> tuple[LayerSpec, ...]:
    """Layers whose outputs are flat; with dense ones among them images are flattened sooner or later."""
    layers: list[LayerSpec] = []
    usable = dict.fromkeys((*kinds, "flatten") if "dense" in kinds else kinds)
    for _ in range(draw(st.integers(0 if len(shape) == 1 else 1, max(most, 1)))):
        able = [drawn for kind in usable if (drawn := LAYERS[kind](shape, limits)) is not None]
        if able:
            layers.append(draw(st.one_of(able)))
            shape = layers[-1].output_shape(shape)
    return tuple(layers) if len(shape) == 1 else (*layers, Flatten())


def cases(networks: Any = None, *, max_batch: int = MAX_BATCH, **options: Any) -> Any:
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
    return _cases(architectures(**options) if networks is None else networks, max_batch)


@st.composite
def _cases(draw: Any, networks: Any, max_batch: int) -> Case:
    batch = draw(st.integers(1, max_batch))
    seed = draw(st.integers(0, 2**32 - 1))
    return case_from_seed(draw(networks), batch, seed)


def case_from_seed(architecture: Architecture, batch: int, seed: int) -> Case:
    """The case that a seed stands for: every number nonzero, of mixed sign, with two decimals."""
    rng = np.random.default_rng(seed)

    def make(role: Role, shape: tuple[int, ...]) -> FloatArray:
        inputs = float(np.prod(shape[1:]))
        high = MAX_WEIGHT * min(1.0, np.sqrt(MAX_WIDTH / inputs)) if role == "weight" else MAX_WEIGHT
        return readable(rng, shape, 0.1, max(high, 0.2))

    params = fill(architecture, make)
    x = readable(rng, (batch, *architecture.input_shape), 0.1, 2.0)
    y = random_targets(rng, architecture.loss, (batch, architecture.outputs))
    return Case(architecture, params, x, y, seed=seed)
