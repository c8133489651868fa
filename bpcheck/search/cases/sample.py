"""Where to look: random cases in strata. Four in five are generic, one in five hides no bug on purpose.

Each special stratum is there because it, or its absence, hid a real bug: equal widths hide a lost
transpose, a batch of one hides a lost 1/m, small inputs hide what saturates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.network.architecture import (
    DEFAULT_OUTPUT,
    LOSSES,
    PROBABILITY_LOSSES,
    REDUCTIONS,
    Architecture,
    mlp,
)
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain, is_dense_chain
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.network.layers.spec import Role
from bpcheck.network.names import places, role_of
from bpcheck.search.cases.passed import largest_logit
from bpcheck.search.cases.plan import planned
from bpcheck.strategies.numbers import DECIMALS, fill, random_targets, readable
from bpcheck.tree import FloatArray

__all__ = ["STRATA", "Stratum", "jittered", "random_architecture", "random_case", "stratum"]

Stratum = str

GENERIC: Stratum = "generic"
SPECIAL: tuple[Stratum, ...] = (
    "equal widths",
    "batch of one",
    "no hidden layer",
    "one output",
    "pre-activations of one sign",
    "saturated",
)
STRATA = (GENERIC, *SPECIAL)

# One probe in five is special: enough to visit all six in 30 examples, few enough that most probes
# can see every bug at once.
SPECIAL_EVERY = 5

# |z| of the saturated stratum reaches 10 to 20: tanh' is below 1e-8 there, yet textbook code with
# log(1 − a) or 1/(1 + exp(−z)) still has digits left, which it has not beyond |z| = 36.
SATURATED_INPUT = 4.0
LARGEST_LOGIT = 20.0
SATURATED_LOGITS = (9.0, 18.0)

# An image of a network of a stratum is larger than the template's by so much at most, along each axis.
WIDER_IMAGES = 2

# How far a case is moved off its kinks, relative to each number: far beyond rounding, and near enough
# for the gradient to be the one beside the kink.
JITTER = 1e-3


def stratum(index: int) -> Stratum:
    """The stratum of the ``index``-th example.

    Examples
    --------
    >>> [stratum(i) for i in range(5)]
    ['generic', 'generic', 'generic', 'generic', 'equal widths']
    """
    if index % SPECIAL_EVERY != SPECIAL_EVERY - 1:
        return GENERIC
    return SPECIAL[index // SPECIAL_EVERY % len(SPECIAL)]


def _widths(rng: np.random.Generator, kind: Stratum, depths: Sequence[int], least_output: int) -> list[int]:
    deep = [d for d in depths if d >= 3] or [max(depths)]
    depth = int(rng.choice(deep if kind in (GENERIC, "equal widths") else list(depths)))
    if kind == "no hidden layer" and 1 in depths:
        depth = 1
    if kind == "equal widths":
        return [int(rng.integers(2, 5))] * (depth + 1)
    # pairwise distinct, as far as there are enough small numbers
    pool = rng.permutation(np.arange(2, max(6, depth + 2) + 1))[: depth + 1]
    widths = [int(width) for width in pool]
    if kind == "one output":
        widths[-1] = least_output
    return widths


def random_architecture(
    rng: np.random.Generator,
    kind: Stratum,
    *,
    template: Architecture | None = None,
    depths: Sequence[int] = (1, 2, 3, 4),
    widths: Sequence[int] | None = None,
) -> Architecture:
    """A network of a stratum.

    Parameters
    ----------
    rng : numpy.random.Generator
    kind : Stratum
    template : Architecture, optional
        Takes activation, output, loss, reduction and penalties from it; None draws them too. One with other layers than
        dense ones keeps its layers, and is drawn with other numbers of units and channels and other images.
    depths : sequence of int
        Numbers of weight layers to choose from, for dense networks.
    widths : sequence of int, optional
        Fixes the widths of a dense network.

    Returns
    -------
    Architecture
    """
    if template is None:
        draw = _any_cost(rng)
    elif is_dense_chain(template):
        draw = {
            "activation": dense_chain(template).hidden,
            "output": template.output,
            "loss": template.loss,
            "reduction": template.reduction,
            "l1": template.l1,
            "l2": template.l2,
            "penalize_bias": template.penalize_bias,
        }
    else:
        return _alike(rng, kind, template)
    least = 2 if "softmax" in (draw["output"], draw["activation"]) or draw["loss"] == "cross_entropy" else 1
    return mlp(_widths(rng, kind, depths, least) if widths is None else widths, **draw)


def _any_cost(rng: np.random.Generator) -> dict[str, Any]:
    """Activations, loss, reduction and penalties."""
    loss = str(rng.choice(LOSSES))
    output = None
    if loss not in PROBABILITY_LOSSES and rng.random() < 0.5:
        output = str(rng.choice(ACTIVATIONS))
    elif rng.random() < 0.25:
        output = "identity"
    penalties = {"l1": 0.0, "l2": 0.0, "penalize_bias": False}
    if rng.random() < 0.5:
        penalties = {
            "l1": float(rng.choice([0.0, 0.05])),
            "l2": float(rng.choice([0.1, 0.3])),
            "penalize_bias": bool(rng.random() < 0.3),
        }
    return {
        "activation": str(rng.choice(ACTIVATIONS)),
        "output": DEFAULT_OUTPUT[loss] if output is None else output,
        "loss": loss,
        "reduction": str(rng.choice(REDUCTIONS)),
        **penalties,
    }


def _alike(rng: np.random.Generator, kind: Stratum, template: Architecture) -> Architecture:
    """The layers of a network with other units, channels and images: kernels, strides and padding stay."""
    plan = planned(template)
    count = len(plan.widths)
    if kind == "equal widths":
        widths = [int(rng.integers(2, 5))] * count
    else:
        widths = [int(width) for width in rng.permutation(np.arange(2, max(6, count + 1) + 1))[:count]]
    uses_softmax = any(layer.output_activation == "softmax" for layer in template.layers)
    if kind == "one output":
        widths[-1] = 2 if uses_softmax or template.loss == "cross_entropy" else 1
    images = [size + int(rng.integers(WIDER_IMAGES + 1)) for size in template.input_shape[1:]]
    if kind == "equal widths":
        images = images[:1] * len(images)
    resized = plan.of_widths(widths)
    resized = replace(resized, input_shape=(resized.input_shape[0], *images))
    return resized.architecture() or template


def random_case(
    rng: np.random.Generator, architecture: Architecture, kind: Stratum, *, batch: int | None = None
) -> Case:
    """A batch and parameters for an architecture: nothing is zero, signs are mixed, numbers are short.

    Parameters
    ----------
    rng : numpy.random.Generator
    architecture : Architecture
    kind : Stratum
    batch : int, optional
        Fixes the number of examples.

    Returns
    -------
    Case
    """
    seed = int(rng.integers(2**32))
    rng = np.random.default_rng(seed)
    if batch is None:
        batch = 1 if kind == "batch of one" else int(rng.integers(3, 6))
        if kind == "equal widths":  # and as many examples: a sum over the wrong axis then fits
            batch = architecture.outputs
    one_sign = kind == "pre-activations of one sign"

    def make(role: Role, shape: tuple[int, ...]) -> FloatArray:
        # weights shrink with the number of inputs of a unit, so that z stays of order one from layer to layer
        high = 1.6 / np.sqrt(np.prod(shape[1:])) if role == "weight" else 1.0
        values = readable(rng, shape, 0.1, max(high, 0.2))
        return abs(values) if one_sign else values

    params = fill(architecture, make)
    x = readable(rng, (batch, *architecture.input_shape), 0.1, 2.0)
    if one_sign:
        x = abs(x)
    if kind == "saturated":
        # some examples, not all: a batch that is saturated throughout has no gradient to look at
        rows = rng.random(batch) < 0.5
        x[rows] *= SATURATED_INPUT
        params = _scaled(architecture, params, 2.0)
    y = random_targets(rng, architecture.loss, (batch, architecture.outputs))
    case = Case(architecture, params, x, y, seed=seed)
    largest = largest_logit(case)
    if kind == "saturated" and 0 < largest < LARGEST_LOGIT:
        # behind bounded hidden units logits stay small: the last layer makes up for it
        return _stretched(case, rng.uniform(*SATURATED_LOGITS) / largest)
    if architecture.loss in PROBABILITY_LOSSES and largest > LARGEST_LOGIT:
        return _stretched(case, LARGEST_LOGIT / largest)
    return case


def _stretched(case: Case, factor: float) -> Case:
    """The case with its last parameters multiplied, rounded towards zero: |z^L| ends at or below the aim."""
    last = [place.path for place in places(case.architecture) if place.parameters][-1]
    params = [
        np.trunc(values * factor * 10**DECIMALS) / 10**DECIMALS if path.keys[:-1] == last.keys else values
        for path, values in tree.leaves(case.params)
    ]
    return replace(case, params=tree.restore(case.params, params))


def _scaled(architecture: Architecture, params: Any, factor: float) -> Any:
    """Parameters with their weights multiplied."""
    return tree.restore(
        params,
        [
            np.round(values * (factor if role_of(architecture, path) == "weight" else 1.0), DECIMALS)
            for path, values in tree.leaves(params)
        ],
    )


def jittered(case: Case, rng: np.random.Generator) -> Case:
    """The same case moved off its kinks: every parameter and input by about a relative 1e-3.

    (Numerics of kinks: a claim inside the one-sided interval is checked once more nearby, because
    the interval is wider than the set of valid choices when several units tie.)
    """

    def move(values: FloatArray) -> FloatArray:
        size = np.maximum(abs(values), float(np.sqrt(np.mean(values**2))) or 1.0)
        return np.asarray(values + JITTER * size * rng.standard_normal(values.shape), dtype=values.dtype)

    params = tree.restore(case.params, [move(leaf) for _, leaf in tree.leaves(case.params)])
    return replace(case, params=params, x=move(case.x))
