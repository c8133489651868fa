r"""Moment decoding: where along an axis an error sits, from how a ramp changes the probe.

If all of the error lies at one index x of an axis, then for weights w along that axis

.. math:: \frac{⟨e, v∘w⟩}{⟨e, v⟩} = w(x),

whatever the error is. A ramp from −1 to 1 gives x as exactly as the two probes are known; where they
leave several candidates, the next ramp runs over these alone. A quotient that fits no index says that
the error lies at several: then the axis is no help yet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bpcheck.numeric.locate.block import Block, Weights
from bpcheck.numeric.locate.probe import Entry, Probe, Prober
from bpcheck.tree import FloatArray

__all__ = ["Found", "Part", "decode", "halves", "one", "only", "support"]

RAMP_ROUNDING = 2.0**-22
"""v∘w is rounded to float32: twice 2^−23 for the quotient."""

SHRINKING = 0.6
"""A ramp must leave less than this share of the candidates, or the error is too faint to be followed."""

MOST_RAMPS = 40
"""Ramps for one axis. 0.6^40 = 1e-9: longer axes do not exist."""

ENOUGH = 1.0 / 8.0
"""A bar is narrow enough that moves the quotient by this share of the distance of two indices."""

FAINT = 10.0
"""What subtraction leaves is measured on its own unless it is this many bars."""


@dataclass(eq=False)
class Part:
    """A part of a tensor in which an error is seen; its weights are 0 and 1.

    Attributes
    ----------
    probe : Probe
    moments : dict of int to Probe
        The same with a ramp over the whole axis.
    depth : int
        How often the tensor was halved.
    """

    probe: Probe
    moments: dict[int, Probe] = field(default_factory=dict)
    depth: int = 0

    def take_out(self, index: tuple[int, ...], along: float, entry: Entry, shape: tuple[int, ...]) -> None:
        """Take an entry that is known now out; ``along`` is the direction there."""
        inside = along * math.prod(
            1.0 if w is None else float(w[i]) for w, i in zip(self.probe.weights, index, strict=True)
        )
        self.probe = _without(self.probe, entry, inside)
        for axis, moment in self.moments.items():
            share = inside * float(_ramp(shape[axis])[index[axis]])
            self.moments[axis] = _without(moment, entry, share)


@dataclass(frozen=True, eq=False)
class Found:
    """What an axis-by-axis search found.

    Attributes
    ----------
    index : tuple of int or None
        The index along each axis where all of the error seems to sit at one, None elsewhere.
    probe : Probe
        The last one that says how large the error is.
    """

    index: tuple[int | None, ...]
    probe: Probe


def support(along: FloatArray | None, length: int) -> Any:
    """Indices of an axis where the weights are not 0."""
    return np.arange(length) if along is None else np.flatnonzero(along)


def one(index: int, length: int) -> FloatArray:
    """Weights of one index of an axis."""
    along = np.zeros(length)
    along[index] = 1.0
    return along


def only(weights: Weights, axis: int, indices: FloatArray, length: int) -> Weights:
    """The same weights, but 1 at ``indices`` of one axis and 0 elsewhere."""
    along = np.zeros(length)
    along[indices] = 1.0
    return (*weights[:axis], along, *weights[axis + 1 :])


def decode(prober: Prober, block: Block, part: Part) -> Found:
    """Find the index of the error along each axis, as far as it has one.

    Parameters
    ----------
    prober : Prober
    block : Block
    part : Part
        In which an error is seen.

    Returns
    -------
    Found
    """
    probe, shape = part.probe, block.shape
    target = abs(probe.value) * ENOUGH * 2.0 / max((*shape, 2))
    left: list[FloatArray | None] = []
    for axis, length in enumerate(shape):
        candidates = support(probe.weights[axis], length)
        if len(candidates) > 1:
            if axis not in part.moments:
                weights = _tilted(probe.weights, axis, _ramp(length))
                part.moments[axis] = prober.probe(block, probe.family, weights, target=target)
            candidates = _meeting(part.moments[axis], probe, candidates, _ramp(length)[candidates])
        left.append(candidates if len(candidates) else None)
    weights = probe.weights
    for axis, candidates_left in enumerate(left):
        if candidates_left is not None:
            weights = only(weights, axis, candidates_left, shape[axis])
    index = [None if c is None else int(c[0]) if len(c) == 1 else -1 for c in left]
    if -1 in index:
        # fewer parameters move: the same error is seen more clearly, if it is there
        again = prober.probe(block, probe.family, weights)
        if not again.seen or not abs(again.value - probe.value) <= again.bar + probe.bar:
            return Found((None,) * len(shape), probe)
        probe = again
        for axis in sorted(range(len(shape)), key=lambda k: 0 if left[k] is None else -len(left[k])):  # type: ignore[arg-type]
            if index[axis] == -1:
                index[axis], probe = _narrow(prober, block, probe, axis)
        return Found(tuple(index), probe)
    return Found(tuple(index), replace(probe, weights=weights))


def _narrow(prober: Prober, block: Block, probe: Probe, axis: int) -> tuple[int | None, Probe]:
    """Ramps over the candidates of one axis alone, until one is left."""
    length = block.shape[axis]
    candidates, start = support(probe.weights[axis], length), probe
    for _ in range(MOST_RAMPS):
        if len(candidates) == 1:
            return int(candidates[0]), replace(probe, weights=only(probe.weights, axis, candidates, length))
        ramp = np.linspace(-1.0, 1.0, len(candidates))
        along = np.zeros(length)
        along[candidates] = ramp
        target = abs(probe.value) * ENOUGH * 2.0 / len(candidates)
        tilted = prober.probe(block, probe.family, _tilted(probe.weights, axis, along), target=target)
        left = _meeting(tilted, probe, candidates, ramp)
        if not len(left) or not len(left) <= max(1, SHRINKING * len(candidates)):
            return None, start
        candidates = left
        if len(candidates) > 1:
            again = prober.probe(block, probe.family, only(probe.weights, axis, candidates, length))
            if not again.seen or not abs(again.value - probe.value) <= again.bar + probe.bar:
                return None, start
            probe = again
    return None, start


def halves(prober: Prober, block: Block, part: Part, rng: np.random.Generator) -> list[Part]:
    """A random half of one axis of a part, probed, and the other, by subtraction; empty halves left out."""
    probe, shape = part.probe, block.shape
    supports = [support(along, n) for along, n in zip(probe.weights, shape, strict=True)]
    wide = [axis for axis, indices in enumerate(supports) if len(indices) > 1]
    if not wide:
        return []
    axis = wide[part.depth % len(wide)]
    shuffled = rng.permutation(supports[axis])
    middle, length = len(shuffled) // 2, shape[axis]
    weights = only(probe.weights, axis, shuffled[:middle], length)
    rest = only(probe.weights, axis, shuffled[middle:], length)
    target = abs(probe.value) * ENOUGH * 2.0 / max((*shape, 2))
    first = Part(prober.probe(block, probe.family, weights, target=target), {}, part.depth + 1)
    second = Part(_minus(probe, first.probe, rest), {}, part.depth + 1)
    if not abs(second.probe.value) > FAINT * second.probe.bar:
        second.probe = prober.probe(block, probe.family, rest)
    elif first.probe.seen:
        for k, moment in part.moments.items():
            along = _ramp(shape[k])
            tilted = prober.probe(block, probe.family, _tilted(weights, k, along), target=target)
            first.moments[k] = tilted
            second.moments[k] = _minus(moment, tilted, _tilted(rest, k, along))
    else:
        second.moments = {
            k: replace(m, weights=_tilted(rest, k, _ramp(shape[k]))) for k, m in part.moments.items()
        }
    both = [half for half in (first, second) if half.probe.seen]
    return sorted(both, key=lambda half: abs(half.probe.value))


def _meeting(tilted: Probe, probe: Probe, candidates: FloatArray, ramp: FloatArray) -> FloatArray:
    """The candidates that the quotient of two probes leaves."""
    quotient = tilted.value / probe.value
    doubt = (tilted.bar + abs(quotient) * probe.bar) / abs(probe.value) + RAMP_ROUNDING
    return np.asarray(candidates[abs(ramp - quotient) <= doubt])


def _ramp(length: int) -> FloatArray:
    return np.linspace(-1.0, 1.0, length)


def _tilted(weights: Weights, axis: int, along: FloatArray) -> Weights:
    was = weights[axis]
    return (*weights[:axis], along if was is None else along * was, *weights[axis + 1 :])


def _without(probe: Probe, entry: Entry, share: float) -> Probe:
    return replace(
        probe,
        value=probe.value - (entry.claimed - entry.value) * share,
        bar=probe.bar + entry.bar * abs(share),
        measured=probe.measured - entry.value * share,
    )


def _minus(whole: Probe, first: Probe, weights: Weights) -> Probe:
    """What is left of a probe without a part of it."""
    return Probe(
        whole.family,
        weights,
        whole.value - first.value,
        whole.bar + first.bar,
        whole.measured - first.measured,
    )
