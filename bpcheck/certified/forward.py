"""The second route: the derivative by one parameter, forward, along a power series of that parameter.

It shares with :mod:`~bpcheck.certified.reverse` neither a formula nor a loop. It knows σ and the loss; that
the derivative comes out is the arithmetic of ``arb_series``. One entry costs one forward pass from the layer
it belongs to, so this is the route for confirming chosen entries, or all of a small network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index as int_index
from typing import Any, TypeAlias

import numpy as np

from bpcheck import tree
from bpcheck.certified.balls import Balls, exactly
from bpcheck.certified.engine import SERIES_LENGTH, flint
from bpcheck.certified.engine import precision as with_precision
from bpcheck.certified.kink import refuse_weights
from bpcheck.certified.layers.kinds import chain_of
from bpcheck.certified.oracle import MAX_PRECISION, SETTLED, SMALLEST, START, checked
from bpcheck.certified.reverse import propagate
from bpcheck.certified.series import HALF, LOSS, constant, first, to_probabilities
from bpcheck.errors import InputError
from bpcheck.network.architecture import PROBABILITY_LOSSES
from bpcheck.network.case import Case
from bpcheck.network.names import is_penalised
from bpcheck.tree import Path

__all__ = ["Confirmation", "Route", "confirm"]

Entry: TypeAlias = tuple[str, tuple[int, ...]]
"""The path of a parameter, and the index of one number of it."""


@dataclass(frozen=True)
class Confirmation:
    """What became of the entries that were asked for.

    Attributes
    ----------
    confirmed : int
        Entries that both routes enclose in balls that overlap and are narrow enough to settle a float64.
    contradicted, undecided : tuple of (path, index)
        Entries where the balls are apart (one route is wrong), and where a ball stays wide (a kink).
    """

    confirmed: int
    contradicted: tuple[Entry, ...] = ()
    undecided: tuple[Entry, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every entry was confirmed."""
        return not self.contradicted and not self.undecided

    def __bool__(self) -> bool:
        return self.ok


class Route:
    """Forward derivatives of one case at one precision.

    Parameters
    ----------
    case : Case
    bits : int

    Examples
    --------
    >>> from bpcheck import Case, mlp
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], x=[[3.0]], y=[[5.0]])
    >>> route = Route(case, 128)
    >>> route.cost(), route.derivative("params[0]['weight']", (0, 0))
    (2.00000000000000, 6.00000000000000)
    """

    def __init__(self, case: Case, bits: int) -> None:
        self.case, self.bits = case, bits
        self.leaves = {str(path): (path, _numbers(leaf)) for path, leaf in tree.leaves(case.params)}
        self.params = tree.restore(case.params, [leaf for _, leaf in self.leaves.values()])
        self.targets = [list(row) for row in _numbers(case.y)]
        self.layers = chain_of(case.architecture.layers, case.architecture.input_shape).layers
        with with_precision(bits):
            self.inputs = [list(_numbers(case.x))]
            for layer, params in zip(self.layers, self.params, strict=True):
                self.inputs.append([layer.forward(params, a) for a in self.inputs[-1]])
            self.before = [
                [layer.pre_activation(params, a) for a in batch]
                for layer, params, batch in zip(self.layers, self.params, self.inputs, strict=False)
            ]

    def cost(self) -> Any:
        """The cost of the batch."""
        with with_precision(self.bits):
            total = self._cost(self.inputs[-1])
            for path, leaf in self.leaves.values():
                total = sum((self._penalty(path, w) for w in leaf.flat), total)
            return constant(total)

    def derivative(self, path: Path | str, index: Sequence[int]) -> Any:
        """∂(cost)/∂(one entry), a ball; not a number where the entry moves a unit at its kink."""
        where, leaf = self._leaf(path, index)
        with with_precision(self.bits):
            moved = leaf.copy()
            moved[tuple(index)] = flint().arb_series([leaf[tuple(index)], 1], prec=SERIES_LENGTH)
            values = [moved if other == where else same for other, same in self.leaves.values()]
            params = tree.restore(self.params, values)
            start = int(where.keys[0][1:-1])
            batch = [
                self.layers[start].moved(params[start], a, before, index)
                for a, before in zip(self.inputs[start], self.before[start], strict=True)
            ]
            for layer, own in zip(self.layers[start + 1 :], params[start + 1 :], strict=True):
                batch = [layer.forward(own, a) for a in batch]
            return first(self._cost(batch) + self._penalty(where, moved[tuple(index)]))

    def _leaf(self, path: Path | str, index: Sequence[int]) -> tuple[Path, Any]:
        if str(path) not in self.leaves:
            raise InputError(f"there is no {path}; the parameters are {', '.join(self.leaves)}.")
        where, leaf = self.leaves[str(path)]
        inside = len(index) == leaf.ndim and all(0 <= i < n for i, n in zip(index, leaf.shape, strict=True))
        if not inside:
            raise InputError(f"index {tuple(index)} does not lie in {where}, which has shape {leaf.shape}.")
        return where, leaf

    def _cost(self, outputs: list[Any]) -> Any:
        network, batch = self.case.architecture, [list(a) for a in outputs]
        if network.loss in PROBABILITY_LOSSES and network.output == "identity":
            batch = [to_probabilities(network.loss, a) for a in batch]
        losses = [LOSS[network.loss](a, y) for a, y in zip(batch, self.targets, strict=True)]
        total = sum(losses[1:], losses[0])
        return total * (1 / flint().arb(len(losses))) if network.reduction == "mean" else total

    def _penalty(self, path: Path, w: Any) -> Any:
        network = self.case.architecture
        if not is_penalised(network, path):
            return flint().arb(0)
        size = -w if constant(w) < 0 else w
        return exactly(network.l1) * size + exactly(network.l2) * w * w * HALF


def _numbers(array: Any) -> Any:
    found = np.empty(array.shape, dtype=object)
    for index, value in np.ndenumerate(array):
        found[index] = exactly(value)
    return found


def confirm(
    case: Case, entries: Iterable[tuple[Path | str, Sequence[int]]] | None = None, *, precision: int = START
) -> Confirmation:
    """Hold the reverse pass against the forward route, which knows σ but no σ' and no δ.

    Parameters
    ----------
    case : Case
    entries : iterable of (path, index), optional
        Pairs such as ``("params[0]['weight']", (2, 1))``; all of them if not given, which is one forward pass
        each: fine for a small network, some 40 s for the 23,860 of 784-30-10.
    precision : int
        Bits to begin with; doubled for entries whose ball stays wide.

    Returns
    -------
    Confirmation
        Truthy if all balls are narrow and overlap.

    Raises
    ------
    InputError
        If there is no such entry, at a weight of 0 under an l1 penalty, or if python-flint is missing.

    Examples
    --------
    >>> from bpcheck import Case, mlp
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], x=[[3.0]], y=[[5.0]])
    >>> confirm(case)
    Confirmation(confirmed=2, contradicted=(), undecided=())
    """
    with np.errstate(all="ignore"):  # whatever the caller's settings are
        return _confirm(case, entries, precision)


def _confirm(case: Case, entries: Any, precision: int) -> Confirmation:
    checked(case, precision)
    refuse_weights(case)
    left = _every(case) if entries is None else _named(entries)
    asked = len(left)
    contradicted: list[Entry] = []
    while left and precision <= MAX_PRECISION:
        apart, left = _held(case, left, precision)
        contradicted += apart
        precision *= 2
    return Confirmation(asked - len(contradicted) - len(left), tuple(contradicted), tuple(left))


def _every(case: Case) -> list[Entry]:
    return [(str(path), index) for path, leaf in tree.leaves(case.params) for index in np.ndindex(leaf.shape)]


def _held(case: Case, entries: list[Entry], precision: int) -> tuple[list[Entry], list[Entry]]:
    """Entries for which the two routes contradict one another, and entries whose balls stay wide."""
    route = Route(case, precision)
    found = {str(path): m.entries() for path, m in propagate(case, Balls(precision)).gradient.items()}
    apart, wide = [], []
    for path, index in entries:
        forward = route.derivative(path, index)
        reverse = found[path][np.ravel_multi_index(index, route.leaves[path][1].shape)]
        if not forward.is_nan() and not forward.overlaps(reverse):
            apart.append((path, index))
        elif not (_is_narrow(forward) and _is_narrow(reverse)):
            wide.append((path, index))
    return apart, wide


def _named(entries: Any) -> list[Entry]:
    """Entries as a caller names them; the index into a vector may be a plain number."""
    if isinstance(entries, str) or not isinstance(entries, Iterable):
        raise _not_named(entries)
    found = []
    for entry in entries:
        try:
            path, index = entry
            places = tuple(int_index(i) for i in (index if isinstance(index, tuple | list) else [index]))
        except (TypeError, ValueError):
            raise _not_named(entry) from None
        found.append((str(path), places))
    return found


def _not_named(what: object) -> InputError:
    return InputError(
        f"{tree.describe(what)} names no entries of the gradient; give pairs of a path and an index, such as "
        "[(\"params[0]['weight']\", (2, 1))]."
    )


def _is_narrow(ball: Any) -> bool:
    return bool(float(ball.rad()) <= max(SETTLED * abs(float(ball)), SMALLEST))
