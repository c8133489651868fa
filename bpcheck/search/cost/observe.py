"""The losses of a subject on small random networks of several depths: all that its cost is inferred from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck.errors import SubjectError
from bpcheck.network.architecture import Architecture, mlp
from bpcheck.network.case import Case
from bpcheck.network.layers.spec import Role
from bpcheck.search.judging import Judge
from bpcheck.strategies.numbers import DECIMALS, fill, readable
from bpcheck.tree import FloatArray

__all__ = ["DEPTHS", "OUTPUTS", "WIDTHS", "Observations", "Observed", "observe", "probe_case"]

# Depths to try, the commonest student's network first.
DEPTHS = (2, 3, 1, 4)

# One probe for each of these batch sizes: all different, and none equal to the number of outputs, so
# that a mean over examples, a mean over outputs and a sum cannot be mistaken for one another.
BATCHES = (4, 5, 7, 9)
PROBES = 3
OUTPUTS = 3

# Widths of hidden layers and input, shuffled: distinct from one another and from OUTPUTS.
WIDTHS = (4, 5, 6, 2, 7)

# The largest weight of a layer with one input, as in random cases.
LARGEST = 1.6

# The first probe's last layer is stretched by this, so that some residuals exceed Huber's δ = 1.
STRETCH = 3.0


@dataclass(frozen=True, eq=False)
class Observed:
    """Losses of the subject on probes of one depth, or the error that it raised.

    Attributes
    ----------
    depth : int
        Number of weight layers.
    cases : tuple of Case
    losses : tuple of float
    error : SubjectError or None
    precisions : tuple of dtype
        What each loss was computed in.
    equal : bool
        Whether all widths are equal: asked only where distinct widths raise, to tell code for another
        depth from code with a bug in its shapes.
    """

    depth: int
    cases: tuple[Case, ...]
    losses: tuple[float, ...] = ()
    error: SubjectError | None = None
    equal: bool = False
    precisions: tuple[Any, ...] = ()


@dataclass(frozen=True, eq=False)
class Observations:
    """What was observed at several depths.

    Attributes
    ----------
    seen : tuple of Observed
    fault : str
        What is wrong with the return value, if there is something: then nothing more was asked.
    """

    seen: tuple[Observed, ...]
    fault: str = ""

    @property
    def answered(self) -> list[Observed]:
        """Those in which the subject did not raise."""
        return [observed for observed in self.seen if observed.error is None]

    @property
    def distinct(self) -> list[Observed]:
        """Those in which it answered for widths that differ."""
        return [observed for observed in self.answered if not observed.equal]

    @property
    def raised_deeper(self) -> list[Observed]:
        """Those in which it raised for a network with hidden layers, whatever the widths."""
        return [o for o in self.seen if o.error is not None and o.depth > 1 and o.equal]


class _NoNumberError(Exception):
    """What came back is no pair, or its loss no number."""


def observe(
    judge: Judge,
    rng: np.random.Generator,
    *,
    widths: Sequence[int] | None = None,
    batch: int | None = None,
    outputs: int | None = None,
) -> Observations:
    """Call the subject on probes of several depths.

    The targets are one-hot rows, which every loss accepts.

    Parameters
    ----------
    judge : Judge
    rng : numpy.random.Generator
    widths : sequence of int, optional
        The only widths that it takes.
    batch : int, optional
        The only number of examples that it takes.
    outputs : int, optional
        Of networks with so many outputs; 3, where nothing else is said.
    """
    found: list[Observed] = []
    if outputs is None:
        outputs = OUTPUTS + 1 if batch == OUTPUTS else OUTPUTS
    for depth in DEPTHS if widths is None else (len(widths) - 1,):
        distinct = widths or [*_hidden(rng, depth, outputs), outputs]
        # equal widths go with as many examples: then a sum over the wrong axis fits too
        for equal, drawn, size in (
            (False, distinct, None),
            (True, widths or [outputs] * (depth + 1), outputs),
        ):
            sizes = [batch or size or other for other in _other_than(outputs)]
            try:
                found.append(_asked(judge, depth, _probes(rng, mlp(drawn), sizes), equal=equal))
            except _NoNumberError as fault:
                return Observations(tuple(found), str(fault))
            if found[-1].error is None:
                break
    return Observations(tuple(found))


def _hidden(rng: np.random.Generator, depth: int, outputs: int) -> list[int]:
    """Widths of the input and the hidden layers: unlike one another, and unlike the output's."""
    return [int(width) for width in rng.permutation([w for w in WIDTHS if w != outputs])[:depth]]


def _asked(judge: Judge, depth: int, probes: Iterator[Case], *, equal: bool) -> Observed:
    cases: list[Case] = []
    losses: list[float] = []
    precisions: list[Any] = []
    for probe in probes:
        cases.append(judge.fitted(probe))
        try:
            asked = judge.ask(cases[-1])
        except SubjectError as error:
            return Observed(depth, tuple(cases), error=error, equal=equal)
        for finding in asked.findings:
            if finding.path in ("loss", "return value"):
                raise _NoNumberError(f"{finding.path}: {finding.reason}")
        losses.append(float("nan") if asked.loss is None else asked.loss)
        precisions.append(asked.precision)
    return Observed(depth, tuple(cases), tuple(losses), equal=equal, precisions=tuple(precisions))


def _other_than(outputs: int) -> list[int]:
    return [size for size in BATCHES if size != outputs][:PROBES]


def _probes(rng: np.random.Generator, architecture: Architecture, sizes: Sequence[int]) -> Iterator[Case]:
    """One for each size, made when it is asked for; what is drawn does not depend on how many are."""
    drawn = [_draw(rng, architecture, size) for size in sizes]
    for index, (seed, classes) in enumerate(drawn):
        yield _case(seed, classes, architecture, STRETCH if index == 0 else 1.0)


def probe_case(rng: np.random.Generator, architecture: Architecture, batch: int, stretch: float) -> Case:
    """A case with one-hot targets: weights of order one over the width, so that z stays of order one."""
    return _case(*_draw(rng, architecture, batch), architecture, stretch)


def _draw(rng: np.random.Generator, architecture: Architecture, batch: int) -> tuple[int, Any]:
    """A seed for the numbers, and the class of each example."""
    return int(rng.integers(2**32)), rng.integers(architecture.outputs, size=batch)


def _case(seed: int, classes: Any, architecture: Architecture, stretch: float) -> Case:
    rng = np.random.default_rng(seed)

    def make(role: Role, shape: tuple[int, ...]) -> FloatArray:
        return readable(rng, shape, 0.1, max(LARGEST / np.sqrt(shape[1]), 0.2) if role == "weight" else 1.0)

    params = fill(architecture, make)
    params[-1]["weight"] = np.round(params[-1]["weight"] * stretch, DECIMALS)
    x = readable(rng, (len(classes), *architecture.input_shape), 0.1, 2.0)
    y = np.eye(architecture.outputs)[classes]
    if architecture.outputs == 1:  # no class to choose from: zeros and ones
        y = rng.integers(0, 2, size=(len(classes), 1)).astype(float)
    return Case(architecture, params, x, y)
