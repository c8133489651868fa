"""Networks to ask about: unequal widths, batches of more than one, and z and a with their rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcheck.course.exercise import exact
from bpcheck.network.architecture import Architecture, mlp
from bpcheck.network.case import Case
from bpcheck.reference.layers.dense import DenseLayer
from bpcheck.reference.layers.layer import Context
from bpcheck.reference.numbers.ball import Ball
from bpcheck.strategies.numbers import fill, random_targets, readable

__all__ = ["dense_layer", "draw_case", "draw_widths", "enclosed_forward"]

# No width twice and no batch as large as a width: a transposed matrix or a batch along the wrong axis
# then never fits by accident.
WIDTHS = np.arange(2, 7)


def draw_widths(rng: np.random.Generator, layers: int) -> tuple[list[int], int]:
    """Pairwise different widths, and a batch size of its own.

    Examples
    --------
    >>> widths, batch = draw_widths(np.random.default_rng(0), 3)
    >>> len({*widths, batch})
    4
    """
    drawn = [int(n) for n in rng.permutation(WIDTHS)[: layers + 1]]
    return drawn[:layers], drawn[layers]


def draw_case(rng: np.random.Generator, layers: int, *, batch: int | None = None, **options: Any) -> Case:
    """A random dense network of L layers, the input counted, with a batch; no bias is zero.

    A batch that is not given is drawn, and different from every width; options are those of :func:`bpcheck.mlp`.

    Examples
    --------
    >>> from bpcheck.network.dense_chain import dense_chain
    >>> case = draw_case(np.random.default_rng(0), 3)
    >>> len(case.params), case.batch in dense_chain(case.architecture).widths
    (2, False)
    """
    widths, drawn = draw_widths(rng, layers)
    architecture = mlp(widths, **options)
    examples = drawn if batch is None else batch
    params = fill(architecture, lambda _, shape: readable(rng, shape, 0.1, 1.5))
    x = readable(rng, (examples, widths[0]), 0.1, 2.0)
    return Case(architecture, params, x, random_targets(rng, architecture.loss, (examples, widths[-1])))


def dense_layer(spec: Any, params: Any, x: Any) -> tuple[Ball, Ball]:
    """Z and a of one dense layer of the reference, with a bound on their rounding.

    Examples
    --------
    >>> from bpcheck.network.layers import Dense
    >>> z, a = dense_layer(Dense(1, "tanh"), {"weight": [[2.0]], "bias": [1.0]}, [[3.0]])
    >>> z.mid, bool(z.rad < 1e-14)
    (array([[7.]]), True)
    """
    balls = {name: exact(array) for name, array in params.items()}
    given = x if isinstance(x, Ball) else exact(x)
    _, residuals, _ = DenseLayer(spec).forward(balls, given, Context())
    return residuals.pre_activation, residuals.activation


def enclosed_forward(architecture: Architecture, params: Any, x: Any) -> tuple[list[Ball], list[Ball]]:
    """Z and a of every layer, with a bound on their rounding.

    Examples
    --------
    >>> case = draw_case(np.random.default_rng(0), 3)
    >>> z, a = enclosed_forward(case.architecture, case.params, case.x)
    >>> len(z), bool(a[-1].rad.max() < 1e-13)
    (2, True)
    """
    zs: list[Ball] = []
    activations: list[Ball] = []
    a: Any = x
    with np.errstate(all="ignore"):
        for spec, layer in zip(architecture.layers, params, strict=True):
            z, a = dense_layer(spec, layer, a)
            zs.append(z)
            activations.append(a)
    return zs, activations
