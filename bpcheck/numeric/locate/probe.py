"""Probes: how far the claimed gradient is off along one direction of one tensor, with a bar."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from bpcheck.numeric.central import FIRST_STEP, Central
from bpcheck.numeric.locate.block import Block, Weights
from bpcheck.numeric.locate.blocks import blocks
from bpcheck.numeric.locate.rungs import first_of_three, one_rung, pair_error, three_rungs
from bpcheck.numeric.noise import PART_SPACINGS, coarse_part, measure_noise
from bpcheck.numeric.scheme import Phi
from bpcheck.result import Estimate
from bpcheck.tree import FloatArray, Path

__all__ = ["CLEAR", "Entry", "Evaluate", "Probe", "Prober", "SpentError"]

Evaluate: TypeAlias = Callable[[Mapping[Path, FloatArray]], float]
"""The loss at moved parameters, one array for each path."""

REACH = 4.0
"""A step of 1 moves the tensor by its own root mean square, and no entry by more than this many of it."""

ROUNDINGS = 64.0
"""Rounding of the claim itself that a probe allows for, in units of u·(‖ĝ∘v‖₂ + |⟨ĝ, v⟩|): entries that
are each off at random, and a δ off by rounding that all entries of a column share. Gradients of tanh and
ReLU networks of 2 to 6 layers in float32 needed 9 for a batch of 8, 11 for 64 and 18 for 512."""

ENTRY_ROUNDINGS = 64.0
"""Rounding of one claimed entry, in units of u·max|ĝ| of its tensor: the same networks needed 9, 10 and 21."""

ADMITTED = 6.0
"""Standard deviations of the errors that the owner of the claim admits: independent roundings."""

UNSUITED = 16.0
"""Truncation so many times the noise means that the step, another tensor's, does not suit this one."""

TRIES = 3
"""Steps tried on a tensor, each by what the one before says, until a full ladder is asked."""

CLEAR = 4.0
"""Bars from which a discrepancy alone is believed. Of bars by six evaluations or more none of 32,600 failed on
right gradients in float64 and in float32 with tanh; in float32 with ReLU 10 of 11,500 did, by up to 3 times
(benchmarks/speed/locate.py --coverage)."""

DECISIVE = 30.0
"""A discrepancy of so many bars needs no full ladder to be believed (and is confirmed later in any case)."""

AGAIN = 0.7
"""A second measurement of an entry starts from this share of the first step: other rungs, other kinks."""


KINK_DIRECTIONS = 4
"""Directions along which a kink is looked for before something is called wrong: the jumps Σ v|r| of 16 units, of random
sign, are below KINK_SHARE of the ½|Σ v r| that they hide along 3.6 % of directions, along all four in 5 of 10^5
(20,000 simulated; 4.0 % for 100 units)."""

KINK_STEP, KINK_ROOM = 2.0**-20, 16.0
"""Relative step at which a kink counts as at θ: far below the thousandth by which parameters are moved to look beside one,
and so wide that a jump shows from 1e-9 of the loss on (48 u/h). In float32, whose noise would hide it there, √u/16 = 2^−16,
where it shows from 0.2 on: only jumps that large are known."""

KINK_SIGNIFICANT = 48.0
"""The jump 2 S(h/2) − S(h), of six values with weights up to 8, has a noise of 8 σ/h; six of these."""

KINK_SHARE = 1.0 / 8.0
"""A jump at θ of less than this share of a discrepancy is no explanation of it: see KINK_DIRECTIONS for what slips
through, and one unit of eight or more at its kink does not excuse an error of the others."""


class SpentError(Exception):
    """All evaluations that were allowed are used up."""


@dataclass(frozen=True, eq=False)
class Probe:
    """⟨claim − g, v∘w⟩ along one direction.

    Attributes
    ----------
    family : int
        Which direction v of the tensor.
    weights : Weights
        What it was multiplied by, axis by axis.
    value : float
        As measured, for the claim as it stood.
    bar : float
        Bound on its error, rounding of the claim included; infinite where nothing can be said.
    measured : float
        ⟨g, v∘w⟩: what the loss alone says.
    """

    family: int
    weights: Weights
    value: float
    bar: float
    measured: float

    @property
    def seen(self) -> bool:
        """Whether the claim is off by more than the bar."""
        return math.isfinite(self.bar) and not abs(self.value) <= self.bar

    @property
    def clear(self) -> bool:
        """Whether it is off by so much that a bar that fails now and then does not matter."""
        return math.isfinite(self.bar) and not abs(self.value) <= CLEAR * self.bar


@dataclass(frozen=True)
class Entry:
    """One entry of the gradient, measured on its own.

    Attributes
    ----------
    claimed, value, bar : float
        ``bar`` includes what rounding may have done to the claim.
    """

    claimed: float
    value: float
    bar: float

    @property
    def wrong(self) -> bool:
        """Whether the bar excludes the claim."""
        return math.isfinite(self.bar) and not abs(self.claimed - self.value) <= self.bar


@dataclass(frozen=True, eq=False)
class _Line:
    """φ(t) = f(θ + t·scale·v) on a working copy, which ``rest`` puts back.

    Attributes
    ----------
    phi : callable
    linear : callable
        ⟨claim, θ(t) − θ⟩ for the step last made, θ(t) as it was stored.
    scale : float
    claimed : float
        ⟨claim, v⟩.
    rounding : float
        What rounding of the claim may do to that.
    """

    phi: Phi
    linear: Callable[[float], float]
    rest: Callable[[], None]
    scale: float
    claimed: float
    rounding: float
    stands: list[float]

    def psi(self, t: float) -> float:
        """φ(t) − φ(0)'s claimed change: its slope is what the claim is off by, with the sign turned."""
        value = self.phi(t)
        return value - self.linear(t) if t else value


class Prober:
    """Evaluates the loss along directions of one tensor at a time, whose only moved copy it keeps.

    Parameters
    ----------
    theta : mapping of Path to array
    evaluate : callable
        The loss at such a mapping.
    center : float
        Its value at ``theta``.
    noise : float
        σ of its values, if known.
    most : int, optional
        Evaluations allowed.
    advance : callable, optional
        Told the number of evaluations so far.
    """

    def __init__(
        self,
        theta: Mapping[Path, FloatArray],
        evaluate: Evaluate,
        *,
        center: float,
        noise: float = 0.0,
        most: int | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> None:
        self.theta = dict(theta)
        self.center, self.noise = center, noise
        self.evaluations = 0
        self._evaluate, self._most, self._advance = evaluate, most, advance
        self._moved: tuple[Path, FloatArray] | None = None
        self._step: float | None = None
        # float32 parameters stay float32: the loss is as coarse as the coarsest of them
        self.roundoff = max(float(np.finfo(array.dtype).eps) for array in self.theta.values()) / 2.0

    # --- the loss along a line ------------------------------------------------------------------

    def _at(self, path: Path, moved: FloatArray) -> float:
        if self._most is not None and self.evaluations >= self._most:
            raise SpentError
        self.evaluations += 1
        if self._advance is not None:
            self._advance(self.evaluations)
        shown = moved.view()
        shown.setflags(write=False)
        return self._evaluate({**self.theta, path: shown})

    def _copy_of(self, block: Block) -> FloatArray:
        if self._moved is None or self._moved[0] != block.path:
            self._moved = None  # its memory first
            self._moved = (block.path, np.array(block.theta, order="C"))
        return self._moved[1]

    def _line(self, block: Block, box: tuple[slice, ...], direction: FloatArray) -> _Line | None:
        """Lay a line along ``direction``, which moves the box alone; None if it moves nothing."""
        inner: Any = (*box, ...)  # so that a single number is a view as well
        claim, at_rest = block.claim[inner], block.theta[inner]
        error = None if block.error is None else np.broadcast_to(block.error, block.shape)[inner]
        square = spread = admitted = top = 0.0
        shares = []
        for piece in blocks(direction.shape):
            wide = direction[piece].astype(np.float64)
            top = max(top, float(abs(wide).max(initial=0.0)))
            square += float(np.sum(wide * wide))
            if error is not None:
                admitted += float(np.sum((error[piece] * wide) ** 2))
            wide *= claim[piece]
            shares.append(float(np.sum(wide)))
            spread += float(np.sum(wide * wide))
        if not top > 0.0:
            return None
        claimed = math.fsum(shares)
        rounding = ROUNDINGS * block.rounding * (math.sqrt(spread) + abs(claimed))
        rounding += ADMITTED * math.sqrt(admitted)
        scale = block.size * min(math.sqrt(block.theta.size / square), REACH / top)
        moved = self._copy_of(block)
        inside = moved[inner]
        # in float64 the step made is the step asked for, but for the noise that was measured
        realised = block.theta.dtype.itemsize < np.dtype(np.float64).itemsize

        along: list[float] = []
        stands: list[float] = []

        def phi(t: float) -> float:
            if t == 0.0:
                return self.center
            step = np.float64(t * scale)
            along.clear()
            for piece in blocks(direction.shape):
                inside[piece] = at_rest[piece] + step * direction[piece]
                if realised:
                    went = inside[piece].astype(np.float64) - at_rest[piece]
                    along.append(float(np.sum(went * claim[piece])))
            value = self._at(block.path, moved)
            if value == self.center:
                stands.append(t)
            return value

        def linear(t: float) -> float:
            return math.fsum(along) if realised else t * scale * claimed

        def rest() -> None:
            inside[...] = at_rest

        return _Line(phi, linear, rest, scale, claimed, rounding, stands)

    def _weighted(self, block: Block, family: int, weights: Weights) -> _Line | None:
        box = _box(weights, block.shape)
        if box is None:
            return None
        inner: Any = (*box, ...)
        direction = block.direction(family)[inner]
        for axis, along in enumerate(weights):
            if along is not None:
                shape = [1] * len(weights)
                shape[axis] = -1
                direction = direction * along[box[axis]].astype(np.float32).reshape(shape)
        return self._line(block, box, direction)

    # --- probes -----------------------------------------------------------------------------------

    def measure_noise(self, block: Block, *, looks: int | None = None) -> None:
        """σ of the loss along a new direction of ``block``; the larger of this and what was known counts."""
        line = self._weighted(block, block.new_family(), (None,) * len(block.shape))
        if line is None:
            return
        try:
            found = measure_noise(
                line.phi, roundoff=self.roundoff, center=self.center, looks=looks, parts=False
            )
            self.noise = max(self.noise, found)
            if looks is None:
                # a part in float32 beside one in float64 (eight evaluations; shorter formats would cost as many again)
                part = coarse_part(
                    line.phi, self.center, self.noise, self.roundoff, spacings=PART_SPACINGS[:1]
                )
                self.noise = max(self.noise, part)
        finally:
            line.rest()

    def probe(
        self,
        block: Block,
        family: int,
        weights: Weights | None = None,
        *,
        full: bool = False,
        target: float = 0.0,
    ) -> Probe:
        """Measure ⟨claim − g, v∘w⟩.

        Parameters
        ----------
        block : Block
        family : int
        weights : Weights, optional
        full : bool
            A whole ladder of steps, some fifteen evaluations. Without it six, where a step is known
            and suits.
        target : float
            A bar that is narrow enough: two evaluations where they can reach it.
        """
        weights = (None,) * len(block.shape) if weights is None else weights
        line = self._weighted(block, family, weights)
        if line is None:
            return Probe(family, weights, 0.0, 0.0, 0.0)
        try:
            estimate = self._slope(line, block, full=full, target=(target - line.rounding) * line.scale)
        finally:
            line.rest()
        value, bar = -estimate.value / line.scale, estimate.error / line.scale + line.rounding
        if not math.isfinite(value):
            value, bar = 0.0, math.inf
        return Probe(family, weights, value, bar, line.claimed - value)

    def surely(self, block: Block, family: int, weights: Weights | None = None) -> Probe:
        """A probe, by a whole ladder too where six evaluations see something, but not clearly."""
        probe = self.probe(block, family, weights)
        if probe.seen and not abs(probe.value) > DECISIVE * probe.bar:
            return self.probe(block, family, weights, full=True)
        return probe

    def _slope(self, line: _Line, block: Block, *, full: bool, target: float) -> Estimate:
        """ψ'(0), by two, six or some fifteen evaluations."""
        if not full and block.curvature is not None and pair_error(block.curvature, self.noise) <= target:
            estimate = one_rung(line.psi, block.curvature, noise=self.noise, roundoff=self.roundoff)
            if estimate.error <= target and not line.stands:
                return estimate
        step = block.step or self._step
        for tried in range(0 if full or step is None else TRIES):
            assert step is not None
            rungs = three_rungs(line.psi, step, noise=self.noise, roundoff=self.roundoff)
            estimate, suited = rungs.estimate, block.step is not None
            # where f stands still, it may be a table of values: the full ladder looks for its steps
            if not math.isfinite(estimate.error) or line.stands:
                break
            step = block.step = self._step = min(rungs.next_step, FIRST_STEP)
            block.curvature = (
                None if rungs.curvature is None else max(rungs.curvature, block.curvature or 0.0)
            )
            if estimate.truncation <= UNSUITED * estimate.rounding or (suited and tried):
                return estimate
        return self._ladder(line, FIRST_STEP)

    def _ladder(self, line: _Line, first_step: float) -> Estimate:
        """ψ'(0) by a whole ladder: of φ itself, so that the ladder sees whether f moves at all."""
        central = Central(noise=self.noise, roundoff=self.roundoff, first_step=first_step)
        estimate = central(line.phi)
        if self._step is None and math.isfinite(estimate.error) and estimate.regime != "exact":
            self._step = first_of_three(estimate)
        return replace(estimate, value=estimate.value - line.claimed * line.scale)

    def entry(self, block: Block, index: tuple[int, ...], *, again: bool = False) -> Entry:
        """Measure one entry of the gradient on its own.

        Parameters
        ----------
        block : Block
        index : tuple of int
        again : bool
            By a whole ladder, along other rungs than the first time.
        """
        box = tuple(slice(i, i + 1) for i in index)
        line = self._line(block, box, np.ones((1,) * len(index), np.float32))
        assert line is not None
        try:
            if block.entry_step is not None and not again:
                step = block.entry_step
                rungs = three_rungs(line.psi, step, noise=self.noise, roundoff=self.roundoff)
                entry = self._entry(block, index, line, rungs.estimate)
                if abs(entry.claimed - entry.value) > DECISIVE * entry.bar and not line.stands:
                    return entry
            estimate = self._ladder(line, FIRST_STEP * (AGAIN if again else 1.0))
        finally:
            line.rest()
        if math.isfinite(estimate.error) and estimate.regime == "smooth":
            block.entry_step = first_of_three(estimate)
        return self._entry(block, index, line, estimate)

    def is_kinked(self, block: Block, weights: Weights) -> bool:
        """Whether the slope jumps at θ itself by so much that this may be what the claim is off by.

        Where several units are at their kinks, valid choices add up, along a line, to what lies outside its
        one-sided derivatives: the jumps have signs and cancel, but not along each of several directions.
        """
        single = all(along is not None for along in weights)
        for _ in range(1 if single else KINK_DIRECTIONS):
            line = self._weighted(block, block.new_family(), weights)
            if line is None:
                return False
            try:
                h = max(KINK_STEP, math.sqrt(self.roundoff) / KINK_ROOM)
                (up, down), (near, under) = [(line.phi(t), line.phi(-t)) for t in (h, h / 2.0)]
            finally:
                line.rest()
            noise = max(self.noise, self.roundoff * max(abs(up), abs(down), abs(self.center)))
            jumps = [
                ((a - self.center) + (b - self.center)) / t
                for a, b, t in ((up, down, h), (near, under, h / 2.0))
            ]
            jump = abs(2.0 * jumps[1] - jumps[0])  # a curvature is taken off
            off = abs((near - under) / h - line.claimed * line.scale)
            if jump > max(KINK_SIGNIFICANT * noise / h, KINK_SHARE * off):
                return True
        return False

    def _entry(self, block: Block, index: tuple[int, ...], line: _Line, estimate: Estimate) -> Entry:
        claimed = float(block.claimed[index])
        value = float(block.claim[index]) + estimate.value / line.scale
        if not math.isfinite(value):
            return Entry(claimed, math.nan, math.inf)
        rounding = ENTRY_ROUNDINGS * block.rounding * block.largest
        if block.error is not None:
            rounding += float(np.broadcast_to(block.error, block.shape)[index])
        return Entry(claimed, value, estimate.error / line.scale + rounding)


def _box(weights: Weights, shape: tuple[int, ...]) -> tuple[slice, ...] | None:
    """The smallest box outside which all weights are 0, or None if they are 0 everywhere."""
    box = []
    for along, length in zip(weights, shape, strict=True):
        if along is None:
            box.append(slice(0, length))
            continue
        used = np.flatnonzero(along)
        if not used.size:
            return None
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)
