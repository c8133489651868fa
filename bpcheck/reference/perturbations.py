"""A network's cost with every parameter perturbed by ih, block by block, and a bound on the rounding in it.

This is what :func:`bpcheck.numeric.structured_step` asks for. It evaluates the network's own function at complex
arguments: no δ, no σ', no derivative of a loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.network.case import Case
from bpcheck.network.names import places
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.loss import LOSS, reduce
from bpcheck.reference.network import TRAINING, Enclosure, Network, ball_of
from bpcheck.reference.numbers.ball import EVALUATION_ULPS, Ball, gamma, unit_roundoff
from bpcheck.reference.penalty import penalty
from bpcheck.reference.touching.imaginary import LARGEST_IMAGINARY, STEP
from bpcheck.reference.touching.imaginary_cost import LOSS_AT, penalty_at
from bpcheck.reference.touching.touch import Column, Entries, Known, Moved
from bpcheck.tree import FloatArray, Path, Tree

__all__ = ["Perturbations"]

BLOCK = 2**17
"""Numbers a block: 1 MiB, so that a block and what is made of it stay in a core's own cache. Measured
(``benchmarks/speed/every_entry.py --blocks``): flat within 20 % from 2^16 to 2^20, three times slower at 2^13."""

COLUMNS = 64
"""Perturbations a block, at least, where there are so many: NumPy's inner loops run along them. A layer of 1,000
units and 32 examples would leave 4 of them to a block of that size; then fewer examples go into it."""

SMALLEST = 2.0**-500
"""Error that a bound has at least: products that underflow are off by 2^−1074, that is by 2^−674 of a derivative, times
less than 2^100 for what comes above."""

STEEPEST = 1.13
"""max |σ'| of all activations (gelu)."""


class Perturbations:
    """The cost of one network at one point, with each parameter moved by ih.

    Parameters
    ----------
    network : Network
    params, x, y
        As for :meth:`bpcheck.reference.Network.loss`.
    dtype : dtype
        Precision of the code whose gradient is looked at: units that it may have on either side of their kink
        are put in the middle of it.

    Attributes
    ----------
    params : list
        In float64.
    step : float
        h.

    Raises
    ------
    InputError
        If something does not fit the network, or is so large that h would not be small.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> from bpcheck.reference import build
    >>> network = build(mlp([1, 1]))
    >>> every = Perturbations(network, [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    >>> [(runs, imaginary)] = every.blocks()
    >>> [str(path) for path, index, count in runs], imaginary / every.step
    (["params[0]['weight']", "params[0]['bias']"], array([6., 2.]))
    """

    step = STEP

    def __init__(self, network: Network, params: Tree, x: Any, y: Any, *, dtype: Any = np.float64) -> None:
        case = Case(network.architecture, params, x, y)
        self.network, self._dtype = network, dtype
        self.params = tree.restore(case.params, [leaf.astype(float) for _, leaf in tree.leaves(case.params)])
        self._x, self._y = case.x.astype(float), case.y.astype(float)
        self._u = unit_roundoff(np.float64)
        # the units of the first weights move one at a time: what is wide there is not held in a block
        widths = [math.prod(place.layer.output_shape(place.shape)) for place in places(network.architecture)]
        widest = max(widths[1:], default=widths[0])
        rows = len(self._x)
        if network.chain.touches:  # only layers that do are sure not to mix examples
            rows = min(rows, max(1, BLOCK // (widest * COLUMNS)))
        self._columns = max(COLUMNS, BLOCK // (widest * rows))
        self._units = max(1, BLOCK // (max(widths) * rows))
        with np.errstate(all="ignore"):
            self._penalty = penalty_at(self.params, network.architecture, STEP)
            self._parts = [self._part(slice(start, start + rows)) for start in range(0, len(self._x), rows)]
            self._refuse_too_large()

    def _part(self, rows: slice) -> tuple[Ball, Any, FloatArray]:
        """Output, what the layers keep, and targets of some examples."""
        x, y = self._x[rows], self._y[rows]
        params, given = self.params, x
        if self._has_kinks and self.network.chain.encloses:  # how near to its kink is too near?
            balls = [
                ball_of(leaf, self._dtype, unit_roundoff(self._dtype)) for _, leaf in tree.leaves(params)
            ]
            params, given = tree.restore(params, balls), ball_of(x, self._dtype, unit_roundoff(self._dtype))
        _, residuals, _ = self.network.chain.forward(params, given, TRAINING)
        output, known = self.network.chain.known(self.params, Ball.exact(x, self._u), residuals)
        return output, known, y

    @property
    def _has_kinks(self) -> bool:
        layers = [place.layer for place in places(self.network.architecture)]
        return any(ACTIVATION[layer.output_activation].kink is not None for layer in layers)

    def _refuse_too_large(self) -> None:
        """Raise if an imaginary part could be too large for sin y = y."""
        largest = max([1.0, float(abs(self._x).max()), *(_largest(known) for _, known, _ in self._parts)])
        reach = np.log2(largest)
        for _, leaf in tree.leaves(self.params):
            if leaf.ndim > 1:
                reach += np.log2(1.0 + STEEPEST * abs(leaf).reshape(len(leaf), -1).sum(axis=1).max())
        if not reach + np.log2(STEP) <= np.log2(LARGEST_IMAGINARY):
            raise InputError(
                f"parameters and inputs are so large that a derivative could reach 10^{reach * np.log10(2):.0f}, "
                "for which the complex step is not small; scale them down."
            )

    def blocks(self) -> Iterator[tuple[list[tuple[Path, Any, int]], FloatArray]]:
        """Every parameter once: where it stands, and the imaginary part of the cost with it moved by ih.

        Yields
        ------
        runs : list of (Path, index, count)
            ``leaf[index]`` for each leaf concerned, in order.
        imaginary : (P,) array
        """
        m = len(self._x)
        architecture = self.network.architecture
        losses = [LOSS_AT[architecture.loss](output.mid, y) for output, _, y in self._parts]
        chain, params, width = self.network.chain, self.params, architecture.output_shape[0]
        touched = [chain.touched(params, known, STEP, self._columns) for _, known, _ in self._parts]
        for touches in zip(*touched, strict=True):
            total: Any = 0.0
            for loss, touch in zip(losses, touches, strict=True):
                total = total + loss(_full(touch.moved, width)).sum(axis=0)
            if architecture.reduction == "mean":
                total = total / m
            runs, start = [], 0
            for entries in touches[0].entries:
                path = _path(entries)
                if path in self._penalty:
                    stop = start + entries.count
                    total[start:stop] += self._penalty[path][0][entries.index].ravel()
                start += entries.count
                runs.append((path, entries.index, entries.count))
            yield runs, total

    def plain(self, direction: Tree) -> tuple[float, float]:
        """Im C(θ + ihv) / h, all of the network in complex arithmetic with nothing reused, and its rounding.

        The rounding is what any correct code may be off by, whatever the order of its sums; 0 if some layer has
        no such bound.
        """
        moved = [
            leaf + 1j * STEP * along
            for (_, leaf), (_, along) in zip(tree.leaves(self.params), tree.leaves(direction), strict=True)
        ]
        cost = self.network.cost(tree.restore(self.params, moved), self._x, self._y)
        rounding = 0.0
        if self.network.chain.encloses:
            own = self.enclosure if self._dtype == np.float64 else self._enclose(np.float64)
            for path, along in tree.leaves(direction):
                rounding += float((own.gradient[path].rad * abs(along)).sum())
        return float(np.imag(cost)) / STEP, rounding

    @cached_property
    def enclosure(self) -> Enclosure:
        """Loss and gradient by backpropagation on balls of the precision ``dtype``."""
        return self._enclose(self._dtype)

    def _enclose(self, dtype: Any) -> Enclosure:
        return self.network.enclose(self.params, self._x, self._y, dtype=dtype)

    def rounding(self) -> Mapping[Path, FloatArray] | None:
        """Bound on |imaginary / h − derivative|, for each parameter; None if some layer cannot tell.

        Derived: balls go the same way as the imaginary parts, once for each unit of each example. What a
        weight of that unit touches is a_k times as much, and so is the error.
        """
        if not self.network.chain.touches:
            return None
        architecture, m = self.network.architecture, len(self._x)
        bound = {path: np.full(leaf.shape, SMALLEST) for path, leaf in tree.leaves(self.params)}
        scale = 1.0 / m if architecture.reduction == "mean" else 1.0
        for output, known, y in self._parts:
            loss = LOSS_AT[architecture.loss](output, Ball.exact(y, self._u))
            for seed in self.network.chain.seeds(self.params, known, STEP, self._units):
                cost = loss(seed.moved)
                cost = cost.widened(gamma(len(self._parts), self._u) * abs(cost.mid))
                for entries, wrong in seed.gather(cost):
                    bound[_path(entries)][entries.index] += scale * wrong / STEP
        for path, (_, wrong) in self._penalty.items():
            bound[path] += wrong / STEP
        return bound

    def loss(self) -> tuple[float, float]:
        """The cost, and a bound on its rounding (infinite where a layer has none)."""
        architecture = self.network.architecture
        values = [
            LOSS[architecture.loss].value(output, Ball.exact(y, self._u)) for output, _, y in self._parts
        ]
        every = Ball(
            np.concatenate([value.mid for value in values]),
            np.concatenate([value.rad for value in values]),
            np.concatenate([value.kink for value in values]),
            self._u,
        )
        cost = reduce(every, architecture.reduction)
        extra = float(penalty(self.params, architecture))
        count = sum(leaf.size for _, leaf in tree.leaves(self.params))
        rounding = EVALUATION_ULPS * self._u * abs(extra) * (1 + count) + self._u * abs(
            float(cost.mid) + extra
        )
        error = float(cost.rad + cost.kink) + rounding if self.network.chain.touches else np.inf
        return float(cost.mid) + extra, error

    def kinks(self) -> Mapping[Path, FloatArray]:
        """Half-widths of the intervals between one-sided derivatives; empty where nothing is at a kink."""
        architecture = self.network.architecture
        tied = architecture.l1 > 0 and any((leaf == 0).any() for _, leaf in tree.leaves(self.params))
        if not tied and not any(_undecided(known) for _, known, _ in self._parts):
            return {}
        # the middle is what layers that state what they touch give; others give one of the ends
        sides = 1.0 if self.network.chain.touches else 2.0
        return {path: sides * ball.kink for path, ball in self.enclosure.gradient.items()}

    def at(self, params: Tree) -> Perturbations:
        """The same network and batch at other parameters."""
        return Perturbations(self.network, params, self._x, self._y, dtype=self._dtype)


def _path(entries: Entries) -> Path:
    return Path("params", entries.keys)


def _full(moved: Moved, width: int) -> Any:
    return moved.full(width) if isinstance(moved, Column) else moved


def _affine(known: Any) -> Iterator[Known]:
    if isinstance(known, list):
        for inner in known:
            yield from _affine(inner)
    elif isinstance(known, Known):
        yield known


def _largest(known: Any) -> float:
    return max((float(abs(layer.previous.mid).max()) for layer in _affine(known)), default=0.0)


def _undecided(known: Any) -> bool:
    return any(bool(layer.undecided.any()) for layer in _affine(known))
