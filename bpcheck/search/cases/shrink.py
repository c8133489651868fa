"""Make a failing case small: fewer layers, examples and units, then simpler numbers.

A greedy search to a fixpoint over a fixed list of moves, of which those about one kind of layer stand in
``layers/<kind>.py``. A move is kept only if the smaller case fails *in the same way*, otherwise shrinking slips from
one bug to another.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.network.case import Case
from bpcheck.network.layers import LayerSpec
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.network.names import Place, places
from bpcheck.reference.activation import ACTIVATION
from bpcheck.reference.layers.kinds import layer_of
from bpcheck.reference.network import TRAINING
from bpcheck.search.cases.layers.kinds import moves_of
from bpcheck.search.cases.layers.moves import Piece
from bpcheck.search.cases.passed import pre_activations
from bpcheck.search.cases.plan import Plan, changed, planned

__all__ = ["shrink"]

# Enough for every fixpoint seen in tests (at most some 600 evaluations) without making anybody wait.
MAX_EVALUATIONS = 1500
MAX_SECONDS = 10.0

# A case this near to a kink is a poor example: a reader cannot tell which side a unit is on.
KINK_DISTANCE = 1e-3

SIMPLE = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


@dataclass(eq=False)
class _Search:
    case: Case
    fails_alike: Callable[[Case], bool]
    evaluations: int
    deadline: float

    @property
    def exhausted(self) -> bool:
        return self.evaluations >= MAX_EVALUATIONS or time.monotonic() > self.deadline

    def attempt(self, candidate: Case | None) -> bool:
        """Keep the candidate if it is different and fails alike."""
        if candidate is None or self.exhausted or repr(candidate) == repr(self.case) or _near_kink(candidate):
            return False
        self.evaluations += 1
        if not self.fails_alike(candidate):
            return False
        self.case = candidate
        return True


def _near_kink(case: Case) -> bool:
    if not any(_is_bent(place) for place in places(case.architecture)):
        return False
    return any(
        _is_bent(place) and z is not None and bool(np.any(abs(z) < KINK_DISTANCE))
        for place, z in pre_activations(case)
    )


def _is_bent(place: Place) -> bool:
    return ACTIVATION[place.layer.output_activation].kink is not None


def shrink(
    case: Case, fails_alike: Callable[[Case], bool], *, free: bool = False, told: bool = False
) -> Case:
    """The smallest case found that still fails in the same way.

    Parameters
    ----------
    case : Case
        A failing case.
    fails_alike : callable
        Whether a candidate fails with the same identity.
    free : bool
        Whether all may change that the shapes of parameters and input do not tell: activations, penalties, strides,
        padding (the subject reads the architecture).
    told : bool
        Whether ``fails_alike`` sees that a subject computes another network than the candidate's (its loss tells).

    Returns
    -------
    Case
    """
    search = _Search(case, fails_alike, 0, time.monotonic() + MAX_SECONDS)
    while not search.exhausted:
        before = repr(search.case)
        for moves in (_structure(search, free, told), _numbers(search)):
            for _ in moves:
                if search.exhausted:
                    break
        if repr(search.case) == before:
            break
    shrunk = search.case
    return shrunk if shrunk is case else replace(shrunk, seed=None)  # no seed draws it any more


def _structure(search: _Search, free: bool, told: bool) -> Iterator[None]:
    """Moves that make the network or the batch smaller; restart after a success."""
    changed = True
    while changed and not search.exhausted:
        changed = False
        for candidate in _smaller(search.case, free, told):
            if search.attempt(candidate):
                changed = True
                break
            yield
    yield


def _smaller(case: Case, free: bool, told: bool) -> Iterator[Case | None]:
    plan = planned(case.architecture)
    # what code without a description does in a layer it can only know from the layer's place, unless all are alike
    if free or told or len({place.layer.output_activation for place in places(case.architecture)[:-1]}) <= 1:
        yield from _fewer_layers(case, plan)
    yield from _fewer_examples(case)
    if free:  # before images shrink: one position of two says more than one with padding beside it
        for pieces in _with_one_plainer(plan.pieces):
            yield replace(plan, pieces=pieces).of(case)
    yield from _narrower(case, plan)
    if free:
        yield from _plainer(case, plan)


def _fewer_examples(case: Case) -> Iterator[Case]:
    m = case.batch
    for batch in dict.fromkeys((1, m // 2, m - 1)):
        if 0 < batch < m:
            yield replace(case, x=case.x[:batch], y=case.y[:batch])
            yield replace(case, x=case.x[-batch:], y=case.y[-batch:])


def _fewer_layers(case: Case, plan: Plan) -> Iterator[Case | None]:
    """Without one layer, from the output down; each also with fresh numbers, where slicing loses the failure."""
    yield _from_above(case)
    for pieces in _with_one_replaced(plan.pieces):
        shorter = replace(plan, pieces=pieces)
        architecture = shorter.architecture()
        if architecture is None or architecture.output != case.architecture.output:
            continue
        for seed in (None, 1, 2):
            yield shorter.of(case, rng=None if seed is None else np.random.default_rng(seed))


def _with_one_replaced(pieces: tuple[Piece, ...]) -> Iterator[tuple[Piece, ...]]:
    for number in reversed(range(len(pieces))):
        piece, before, after = pieces[number], pieces[:number], pieces[number + 1 :]
        for instead in moves_of(piece.layer).without(piece):
            yield (*before, *instead, *after)
        for inner in _with_one_replaced(piece.inner):
            yield (*before, replace(piece, inner=inner), *after)


def _from_above(case: Case) -> Case | None:
    """The case without its first layer, if that has no parameters: its output is the input then."""
    a = case.architecture
    if len(a.layers) == 1 or a.parameter_shapes[0]:
        return None
    x, _, _ = layer_of(a.layers[0]).forward(case.params[0], case.x, TRAINING)
    shorter = replace(a, input_shape=x.shape[1:], layers=a.layers[1:])
    return replace(case, architecture=shorter, params=case.params[1:], x=x)


def _narrower(case: Case, plan: Plan) -> Iterator[Case | None]:
    """All sizes bounded, then smaller ones one by one and together."""
    for top in (1, 2, 3):
        if max(plan.sizes) > top:
            clamped = plan.resized([min(size, top) for size in plan.sizes])
            yield clamped.of(case)
            yield clamped.of(case, rng=np.random.default_rng(1))
    for sizes in (*_one_size_smaller(plan.sizes), *_several_sizes_smaller(plan)):
        yield plan.resized(sizes).of(case)


def _one_size_smaller(sizes: tuple[int, ...]) -> Iterator[list[int]]:
    """Each alone to 1, half and one less."""
    for i, size in enumerate(sizes):
        for smaller in dict.fromkeys((1, size // 2, size - 1)):
            if 0 < smaller < size:
                yield [*sizes[:i], smaller, *sizes[i + 1 :]]


def _several_sizes_smaller(plan: Plan) -> Iterator[list[int]]:
    """Equal neighbours together, all where all are equal, and an image with a kernel."""
    sizes = plan.sizes
    # an image and a kernel leave as many positions as before: outputs that were not there have no targets
    spans = [i for i, is_width in enumerate(plan.which_are_widths) if not is_width and sizes[i] > 1]
    together: list[Sequence[int]] = [
        (i, i + 1) for i in range(len(sizes) - 1) if sizes[i] == sizes[i + 1] > 1
    ]
    together += [range(len(sizes))] if len(set(sizes)) == 1 < sizes[0] else []
    for chosen in (*together, *combinations(spans, 2)):
        yield [size - (i in chosen) for i, size in enumerate(sizes)]


def _plainer(case: Case, plan: Plan) -> Iterator[Case | None]:
    """What only the description of the whole network tells: no penalty, simpler activations below the output."""
    a = case.architecture
    if a.l1 or a.l2:
        yield replace(case, architecture=replace(a, l1=0.0, l2=0.0, penalize_bias=False))
        if a.l1:
            yield replace(case, architecture=replace(a, l1=0.0))
    hidden = [piece.layer for piece in plan.leaves if piece is not plan.pieces[-1]]
    for used in dict.fromkeys(layer.output_activation for layer in hidden):
        for name in ACTIVATIONS[: ACTIVATIONS.index(used)]:
            yield replace(plan, pieces=_activated(plan.pieces, used, name)).of(case)


def _with_one_plainer(pieces: tuple[Piece, ...]) -> Iterator[tuple[Piece, ...]]:
    for number, piece in enumerate(pieces):
        before, after = pieces[:number], pieces[number + 1 :]
        for layer in moves_of(piece.layer).plainer(piece.layer):
            yield (*before, replace(piece, layer=layer), *after)
        for inner in _with_one_plainer(piece.inner):
            yield (*before, replace(piece, inner=inner), *after)


def _activated(pieces: tuple[Piece, ...], used: str, name: str) -> tuple[Piece, ...]:
    """The pieces below the output with one activation in the place of another."""

    def change(layer: LayerSpec) -> LayerSpec:
        return replace(layer, activation=name) if layer.output_activation == used else layer  # type: ignore[type-var]

    below, last = pieces[:-1], pieces[-1]
    return (*changed(below, change), *(changed((last,), change) if last.inner else (last,)))


def _numbers(search: _Search) -> Iterator[None]:
    """Moves that make the numbers shorter, coarse ones first."""
    for decimals in (0, 1, 2, 3):
        if search.attempt(_replaced(search.case, "", functools.partial(_rounded, decimals=decimals))):
            break
        yield
    names = [str(path) for path, _ in _tensors(search.case)]
    for name in names:
        yield from _one_value(search, name)
    for name in names:
        for index in range(_tensor(search.case, name).size):
            yield from _simple_entry(search, name, index)
    yield


def _one_value(search: _Search, name: str) -> Iterator[None]:
    """A tensor of zeros or of ones."""
    for value in (0.0, 1.0):
        if np.all(_tensor(search.case, name) == value):
            return  # already as simple as this value: trying the next would go round in circles
        if search.attempt(_replaced(search.case, name, functools.partial(np.full_like, fill_value=value))):
            return
        yield


def _simple_entry(search: _Search, name: str, index: int) -> Iterator[None]:
    """One number of a tensor, to the simplest that does."""
    current = _tensor(search.case, name).flat[index]
    rank = SIMPLE.index(current) if current in SIMPLE else len(SIMPLE)
    for value in SIMPLE[:rank]:

        def change(values: Any, value: float = value) -> Any:
            copied = values.copy()
            copied.flat[index] = value
            return copied

        if search.attempt(_replaced(search.case, name, change)):
            return
        yield


def _rounded(values: Any, decimals: int) -> Any:
    return np.round(values, decimals) + 0.0  # no −0.0


def _tensors(case: Case) -> list[tuple[tree.Path, Any]]:
    found = [*tree.leaves(case.params), (tree.Path("x"), case.x)]
    # targets of a cross-entropy are distributions: they stay as they are
    return found if case.architecture.loss.endswith("cross_entropy") else [*found, (tree.Path("y"), case.y)]


def _tensor(case: Case, name: str) -> Any:
    return next(values for path, values in _tensors(case) if str(path) == name)


def _replaced(case: Case, name: str, change: Callable[[Any], Any]) -> Case | None:
    """The case with one tensor (or all, for an empty name) changed."""
    new = {str(p): change(v) if name in ("", str(p)) else v for p, v in _tensors(case)}
    params = tree.restore(case.params, [new[str(path)] for path, _ in tree.leaves(case.params)])
    return replace(case, params=params, x=new["x"], y=new.get("y", case.y))
