"""Peeling: test a tensor, find what one direction sees, leave it out, test again until nothing is seen.

A direction that sees an error is decoded along each axis. All axes known: an entry, which is then
measured on its own. Some known: a row, a column, a slice. None: the formulas for dense errors are
tried on the probes at hand, two entries are looked at for whether everything is wrong, and if not, the
error is several: a random half of an axis is probed, the other half follows by subtraction, for
⟨e, v⟩ is linear in v, and each is decoded in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bpcheck.numeric.locate.block import Block, Index
from bpcheck.numeric.locate.decode import Part, decode, halves, one
from bpcheck.numeric.locate.fault import Fault, Sight
from bpcheck.numeric.locate.hypotheses import Explanation, explanations
from bpcheck.numeric.locate.probe import CLEAR, Entry, Probe, Prober
from bpcheck.tree import FloatArray, Path

__all__ = ["Search"]

DIRECTIONS = 2
"""Fresh directions that must see nothing more before a tensor is left. One misses no single entry; two
bring the largest error of several that may hide with probability 1 % from 200 bars down to 20."""

MOST_FAULTS = 64
"""Entries, rows and columns told of one tensor; a tensor with more is wrong as a whole."""

MOST_SPLITS = 48
"""Halvings in a row that find nothing, after which the error is called scattered. Ten wrong entries
need 4 before the first is alone, a hundred need 8."""

DEEPEST = 14
"""Halvings of one part. 2^14 errors in a tensor are not a few."""

ACCIDENT = 1e-6
"""Largest probability that a formula meets all probes by accident; there are some 25 formulas."""

MOST_PROBES = 16
"""Probes spent on telling a formula from an accident: enough where each is but 2.5 bars off."""

LIKELY = 1e-2
"""The same where MOST_PROBES are spent and noise has left it at that."""

EXAMPLES = 4
"""Entries drawn at random to see whether everything in a part is wrong: if half of it is, all four are hit
once in 16 times. Of ten wrong entries in 10^4 even the first is hit once in 1000."""

IN_A_LINE = 3
"""So many wrong entries found in one row or column: all of it is looked at. Ten errors at random in a
matrix of 100 columns have three in one column with a chance of about 1 %."""

FEW = 12
"""A part of so few entries is looked at entry by entry: three times the price of EXAMPLES."""

STRIKES = 2
"""Directions that see something which nothing explains, the noise measured anew between them."""


class Search:
    """Looks for what is wrong in a claimed gradient; what it has found so far stands in its attributes.

    Parameters
    ----------
    prober : Prober
    tensors : sequence of Block
    rng : numpy.random.Generator
        For what is split and which entries are looked at.
    resolution : float, optional
        Errors below this share of a typical entry are not pursued.
    beside : callable, optional
        The same tensor beside θ, with the gradient claimed there, and what probes it: asked where kinks at θ might
        explain what looks wrong.

    Attributes
    ----------
    faults : list of Fault
    sights : dict of Path to Sight
        Of the tensors that were looked at to the end.
    blind : dict of Path to str
        Why a tensor could not be looked at.
    """

    def __init__(
        self,
        prober: Prober,
        tensors: Sequence[Block],
        rng: np.random.Generator,
        *,
        resolution: float | None = None,
        beside: Callable[[Block], tuple[Prober, Block] | None] | None = None,
    ) -> None:
        self.beside = beside
        self.prober, self.tensors, self.rng = prober, list(tensors), rng
        self.resolution = resolution
        self.faults: list[Fault] = []
        self.sights: dict[Path, Sight] = {}
        self.blind: dict[Path, str] = {}
        self._looked_again: set[Path] = set()

    def run(self) -> None:
        """Look at every tensor in turn."""
        tensors = [block for block in self.tensors if block.theta.size]
        if tensors and self.prober.noise == 0.0:
            self.prober.measure_noise(max(tensors, key=lambda block: block.theta.size))
        for block in tensors:
            self._examine(block)
            block.release()

    # --- one tensor -------------------------------------------------------------------------------

    def _examine(self, block: Block) -> None:
        clean: list[float] = []
        strikes, clear = 0, True
        whole = (slice(None),) * len(block.shape)
        while True:
            probe = self.prober.surely(block, block.new_family())
            if not math.isfinite(probe.bar):
                self.blind[block.path] = "the loss has no derivative that finite differences could find here"
                return
            if not probe.seen or self._is_small(block, probe):
                clean.append(probe.bar + (abs(probe.value) if probe.seen else 0.0))
                if len(clean) == DIRECTIONS:
                    self.sights[block.path] = Sight(max(clean), block.middle, DIRECTIONS)
                    return
                continue
            clean.clear()
            count = len(self.faults)
            if self._explain(block, probe):
                if any(fault.path == block.path and fault.index == whole for fault in self.faults[count:]):
                    return
                of_this = sum(fault.path == block.path for fault in self.faults)
                if of_this <= MOST_FAULTS:
                    continue
                self.blind[block.path] = (
                    f"more than {MOST_FAULTS} parts of it are wrong; the rest was not looked at"
                )
                return
            strikes += 1
            clear = clear and probe.clear
            if strikes == 1:
                self.prober.measure_noise(block)
                continue
            if strikes >= STRIKES and self._is_kinked(block, whole):
                return
            if strikes >= STRIKES and clear:
                self.faults.append(Fault(block.path, whole, probe_value=probe.value, probe_bar=probe.bar))
                self.blind[block.path] = "it is wrong, in a way that was not recognised"
                return
            if strikes >= STRIKES:
                self.blind[block.path] = (
                    f"something is off by {abs(probe.value) / probe.bar:.1f} error bars, too little to be found"
                )
                return

    def _is_kinked(self, block: Block, index: Index) -> bool:
        """Whether several kinks at θ explain what looks wrong: there no gradient is wrong that is right beside them."""
        weights = _weights(block, index)
        kinked = self.prober.is_kinked(block, weights)
        if kinked and self.beside is not None and (other := self.beside(block)) is not None:
            # what is wrong beside the kinks too is wrong
            prober, there = other
            kinked = not prober.surely(there, there.new_family(), weights).seen
        if kinked:
            self.blind[block.path] = (
                "several kinks meet at the parameters themselves, where the conventions of a right gradient may "
                "add up to what looks wrong: look again with all parameters moved by 0.1 %"
            )
        return kinked

    def _is_small(self, block: Block, probe: Probe) -> bool:
        if self.resolution is None:
            return False
        return abs(probe.value) + probe.bar <= 0.5 * self.resolution * block.middle

    # --- what one direction sees ------------------------------------------------------------------

    def _explain(self, block: Block, probe: Probe) -> bool:
        """Whether anything was found that explains it, or a part of it."""
        found_any, fruitless = False, 0
        family, whole = probe.family, (slice(None),) * len(block.shape)
        stack = [Part(probe)]
        while stack and fruitless < MOST_SPLITS:
            part = stack.pop()
            if not part.probe.seen:
                continue
            found = decode(self.prober, block, part)
            known = [i is not None for i in found.index]
            if all(known):
                at = tuple(int(i) for i in found.index if i is not None)
                entry, foretold = self._entry(block, at, found.probe)
                # an entry that is wrong, but not by what was seen: is it one of many?
                if (
                    entry is not None
                    and not foretold
                    and part.depth == 0
                    and self._part(block, whole, family, part.probe)
                ):
                    return True
                if entry is not None:
                    self._take_out(block, at, entry, family, [part, *stack])
                    found_any, fruitless = True, 0
                    if self._is_a_line(block, at) or len(self.faults) > MOST_FAULTS:
                        return True
                    stack.append(part)
                    continue
            elif any(k and n > 1 for k, n in zip(known, block.shape, strict=True)):
                index = tuple(
                    slice(None) if i is None or n == 1 else i
                    for i, n in zip(found.index, block.shape, strict=True)
                )
                if self._part(block, index, family):
                    return True
            if part.depth == 0 and self._part(block, whole, family, part.probe):
                return True
            fruitless += 1
            if part.depth < DEEPEST:
                stack += halves(self.prober, block, part, self.rng)
        return found_any

    def _look_again(self, block: Block) -> None:
        """Before the first finding in a tensor the noise is measured anew, along a direction of it."""
        if block.path not in self._looked_again:
            self._looked_again.add(block.path)
            self.prober.measure_noise(block, looks=1)

    # --- an entry -----------------------------------------------------------------------------------

    def _entry(self, block: Block, index: tuple[int, ...], probe: Probe) -> tuple[Entry | None, bool]:
        """Measure one entry on its own: it, if it is wrong, and whether it is off by what the probe saw."""
        along = float(block.direction(probe.family)[index])
        if along == 0.0:
            return None, False
        self._look_again(block)
        entry = self.prober.entry(block, index)
        if not entry.wrong:
            return None, False
        seen, off = probe.value / along, entry.claimed - entry.value
        doubt = entry.bar + probe.bar / abs(along)
        agrees = abs(off - seen) <= doubt
        if agrees and CLEAR * doubt < abs(off):  # two measurements say so, and neither is vague
            return entry, True
        again = self.prober.entry(block, index, again=True)
        if not again.wrong or not abs(again.value - entry.value) <= again.bar + entry.bar:
            return None, False
        return entry, agrees

    def _take_out(
        self, block: Block, index: tuple[int, ...], entry: Entry, family: int, parts: list[Part]
    ) -> None:
        """Record a wrong entry, and take it out of everything still to be explained."""
        along = float(block.direction(family)[index])
        for part in parts:
            part.take_out(index, along, entry, block.shape)
        kinked = self._is_kinked(block, index)
        block.exclude(index)
        if kinked:
            return
        factor = entry.claimed / entry.value if not abs(entry.value) <= entry.bar else math.nan
        error = abs(factor) * entry.bar / abs(entry.value) if math.isfinite(factor) else 0.0
        self.faults.append(Fault(block.path, index, "", factor, error, ((index, entry),)))

    def _is_a_line(self, block: Block, index: tuple[int, ...]) -> bool:
        """Whether the entries found so far are the first of a row or column that is wrong throughout."""
        if len(block.shape) < 2:
            return False
        for axis, (at, length) in enumerate(zip(index, block.shape, strict=True)):
            line: Index = (*(slice(None),) * axis, at, *(slice(None),) * (len(index) - axis - 1))
            inside = [f for f in self.faults if f.path == block.path and f.entries and f.index[axis] == at]
            if length == 1 or block.theta.size // length <= IN_A_LINE or len(inside) != IN_A_LINE:
                continue
            if self._part(block, line, block.new_family()):
                return True
        return False

    # --- a slice, or all of the tensor --------------------------------------------------------------

    def _part(self, block: Block, index: Index, family: int, probe: Probe | None = None) -> bool:
        """Whether everything in a part is wrong, and by which formula."""
        weights = _weights(block, index)
        if probe is None:
            probe = self.prober.surely(block, family, weights)
        if not probe.seen:
            return False
        self._look_again(block)
        fresh = self.prober.surely(block, block.new_family(), weights)
        if not fresh.seen or not (probe.clear or fresh.clear):
            return False
        if not block.claim[index].any():
            self._wrong(block, index, Fault(block.path, index, "zero", 0.0), fresh)
            return True
        probes = [probe, fresh]
        explained = self._formula(block, index, weights, probes)
        if explained is not None:
            e = explained
            fault = Fault(block.path, index, e.hypothesis, e.factor, e.error, accident=e.accident)
            self._wrong(block, index, fault, probes[-1])
            return True
        entries = self._examples(block, index)
        if entries is None:
            return False
        self._wrong(block, index, Fault(block.path, index, entries=tuple(entries)), fresh)
        return True

    def _wrong(self, block: Block, index: Index, fault: Fault, probe: Probe) -> None:
        """Record a wrong part, which stands for entries of it that were found before, and leave it alone."""
        if self._is_kinked(block, index):
            block.exclude(index)
            return
        self.faults = [
            f
            for f in self.faults
            if f.path != block.path
            or any(isinstance(i, int) and i != k for i, k in zip(index, f.index, strict=True))
        ]
        self.faults.append(replace(fault, probe_value=probe.value, probe_bar=probe.bar))
        block.exclude(index)

    def _formula(
        self, block: Block, index: Index, weights: tuple[FloatArray | None, ...], probes: list[Probe]
    ) -> Explanation | None:
        others: Mapping[Path, FloatArray] = {
            other.path: other.claim for other in self.tensors if other is not block
        }
        while True:
            found = explanations(block, index, probes, others)
            if not found or (len(probes) >= MOST_PROBES and found[0].accident > LIKELY):
                return None
            further = self.prober.probe(block, block.new_family(), weights)
            sure = found[0].accident <= ACCIDENT or len(probes) >= MOST_PROBES
            meets = found[0].meets(block, index, further)
            probes.append(further)
            if sure:
                return found[0] if meets else None

    def _examples(self, block: Block, index: Index) -> list[tuple[tuple[int, ...], Entry]] | None:
        """Entries of a part, returned if all are wrong; None if one is right, or cannot be seen to be wrong."""
        lengths = [1 if isinstance(i, int) else n for i, n in zip(index, block.shape, strict=True)]
        size = math.prod(lengths)
        draws = self.rng.permutation(size) if size <= FEW else self.rng.integers(size, size=EXAMPLES)
        entries = []
        for draw in draws:
            inside = np.unravel_index(int(draw), lengths)
            at = tuple(i if isinstance(i, int) else int(k) for i, k in zip(index, inside, strict=True))
            entry = self.prober.entry(block, at)
            if not entry.wrong:
                return None
            entries.append((at, entry))
        return entries


def _weights(block: Block, index: Index) -> tuple[FloatArray | None, ...]:
    """What moves a part of a tensor alone."""
    return tuple(None if isinstance(i, slice) else one(i, n) for i, n in zip(index, block.shape, strict=True))
