"""Dense errors: the claimed gradient times a number, transposed, rolled, from another tensor, and the like.

Every candidate is held against what the probes measured, ⟨g, v_j⟩, without evaluating the loss again.
A candidate with a free factor spends one probe on it; each further one that it meets within the bars
is evidence, and a number says how likely all of it is by accident.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bpcheck.numeric.locate.block import Block, Index
from bpcheck.numeric.locate.blocks import dot
from bpcheck.numeric.locate.probe import Probe
from bpcheck.tree import FloatArray, Path

__all__ = ["Explanation", "explanations"]


SLACK = 1e-9
"""Where intervals of factors touch, rounding must not tear them apart."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """The right gradient of a tensor, or of a part, as a formula of the claimed one.

    Attributes
    ----------
    hypothesis : str
        What the claimed gradient is: ``"scaled"``, ``"transposed"``, ``"off by a multiple of the parameters"``, …
    factor : float
        Claimed over right where the claim is scaled; the multiple where something is added; 1 otherwise.
    error : float
        Of the factor; 0 where it was not fitted.
    values : float64 array
        The right gradient, to the accuracy of the factor.
    accident : float
        How likely a wrong formula meets the probes so well.
    """

    hypothesis: str
    factor: float
    error: float
    values: FloatArray
    accident: float

    def meets(self, block: Block, index: Index, probe: Probe) -> bool:
        """Whether a further probe of the same part agrees."""
        direction = block.direction(probe.family)[index]
        predicted = dot(self.values, direction)
        doubt = abs(predicted) * self.error / abs(self.factor) if self.factor else 0.0
        return abs(predicted - probe.measured) <= probe.bar + doubt


@dataclass(frozen=True, eq=False)
class _Form:
    """g = base + s·values, s free or not."""

    hypothesis: str
    values: FloatArray
    base: FloatArray | None = None
    free: bool = False


def explanations(
    block: Block, index: Index, probes: Sequence[Probe], others: Mapping[Path, FloatArray]
) -> list[Explanation]:
    """All formulas that meet every probe, the likeliest first.

    Parameters
    ----------
    block : Block
    index : Index
        The part that the probes moved: all of the tensor, or a slice.
    probes : sequence of Probe
        Two or more, of weights 1 within the part.
    others : mapping of Path to array
        Claimed gradients of the other tensors.

    Returns
    -------
    list of Explanation
    """
    claim, theta = block.claim[index], np.asarray(block.theta[index])
    forms = list(_forms(claim, theta, others if _is_whole(index) else {}))
    forms += [_Form(f"{name}, scaled", values, free=True) for name, values in _moved(claim)]
    sums = [_Sums() for _ in forms]
    # one direction at a time: each is drawn once, and none is kept
    for probe in probes:
        direction = block.direction(probe.family)[index]
        base: float | None = None
        for form, total in zip(forms, sums, strict=True):
            if form.base is not None and base is None:
                base = dot(form.base, direction)
            rest = probe.measured - (base or 0.0 if form.base is not None else 0.0)
            total.add(dot(form.values, direction), rest, probe)
    found = [
        explained
        for form, total in zip(forms, sums, strict=True)
        if (explained := total.explain(form)) is not None
    ]
    return sorted(found, key=lambda explanation: explanation.accident)


def _is_whole(index: Index) -> bool:
    return all(isinstance(part, slice) for part in index)


def _moved(claim: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """The claim with its entries in other places."""
    if claim.ndim >= 2:
        swapped = np.swapaxes(claim, 0, 1)
        if swapped.shape == claim.shape:
            yield "transposed", swapped
        else:
            yield "transposed and reshaped", _undo_transposed_reshape(claim)
        if claim.ndim == 2 and swapped.shape != claim.shape:
            # a row-major array read as column-major
            yield "reshaped in the other order", claim.reshape(-1).reshape(claim.shape, order="F")
    for axis in range(claim.ndim):
        if claim.shape[axis] > 1:
            yield f"flipped along axis {axis}", np.flip(claim, axis)
    if claim.ndim >= 2:
        last = tuple(range(claim.ndim - 2, claim.ndim))
        if min(claim.shape[-2:]) > 1:
            yield "rotated by 180°", np.flip(claim, last)
        if claim.ndim > 2 and claim.shape[-1] == claim.shape[-2]:
            yield "transposed in its last two axes", np.swapaxes(claim, -1, -2)
    for axis in range(claim.ndim):
        for shift in (1, -1):
            if claim.shape[axis] > 2:
                yield f"shifted by {shift} along axis {axis}", np.roll(claim, -shift, axis)


def _undo_transposed_reshape(claim: FloatArray) -> FloatArray:
    """G where the claim is g.T.reshape(g.shape)."""
    turned = claim.shape[:2][::-1] + claim.shape[2:]
    return np.swapaxes(claim.reshape(turned), 0, 1)


def _forms(claim: FloatArray, theta: FloatArray, others: Mapping[Path, FloatArray]) -> Iterator[_Form]:
    if claim.any():
        yield _Form("scaled", claim, free=True)
    for name, values in _moved(claim):
        yield _Form(name, values)
    for path, other in others.items():
        if other.shape == claim.shape:
            yield _Form(f"that of {path}", other)
        if other.ndim == 2 and other.shape == claim.shape[::-1]:
            yield _Form(f"that of {path}, transposed", other.T)
    if theta.any():
        yield _Form("off by a multiple of the parameters", theta, base=claim, free=True)
        yield _Form("off by a multiple of the signs of the parameters", np.sign(theta), base=claim, free=True)
    yield _Form("off by a constant", np.broadcast_to(1.0, claim.shape), base=claim, free=True)


class _Sums:
    """What one form says about all probes."""

    def __init__(self) -> None:
        self.predicted: list[float] = []
        self.measured: list[float] = []
        self.bars: list[float] = []
        self.off: list[float] = []

    def add(self, predicted: float, measured: float, probe: Probe) -> None:
        self.predicted.append(predicted)
        self.measured.append(measured)
        self.bars.append(probe.bar)
        self.off.append(abs(probe.value))

    def explain(self, form: _Form) -> Explanation | None:
        x, y, bars = np.array(self.predicted), np.array(self.measured), np.array(self.bars)
        if not x.any() or not np.isfinite(bars).all():
            return None
        factor, doubt = 1.0, 0.0
        if form.free:
            # every probe leaves an interval of factors; what all of them leave is known better than by one
            with np.errstate(divide="ignore", invalid="ignore"):
                middle, half = y / x, bars / abs(x)
            best = int(np.argmin(np.where(x != 0.0, half, np.inf)))
            low, high = np.nanmax(middle - half), np.nanmin(middle + half)
            factor, doubt = float(low + high) / 2.0, float(high - low) / 2.0
            if not abs(factor) > doubt >= 0.0:
                return None  # no factor meets all of them; or nothing is left, and anything times 0 would do
        if not (abs(y - factor * x) <= bars * (1.0 + SLACK) + doubt * abs(x)).all():
            return None
        # how much of the discrepancy a formula could have missed and still have met the bar
        chance = np.minimum(1.0, (bars + doubt * abs(x)) / np.maximum(self.off, np.finfo(float).tiny))
        accident = float(np.prod(np.delete(chance, best) if form.free else chance))
        scaled = factor * np.asarray(form.values, dtype=np.float64)
        if form.base is not None:
            return Explanation(form.hypothesis, -factor, doubt, form.base + scaled, accident)
        if form.free:
            inverse = 1.0 / factor if factor else math.inf
            return Explanation(form.hypothesis, inverse, doubt * inverse**2, scaled, accident)
        return Explanation(form.hypothesis, 1.0, 0.0, scaled, accident)
