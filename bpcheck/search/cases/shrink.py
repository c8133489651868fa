"""Make a failing case small: fewer layers, examples and units, then simpler numbers.

A greedy search to a fixpoint over a fixed list of moves. A move is kept only if the smaller case
fails *in the same way*, otherwise shrinking slips from one bug to another.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain, is_dense_chain
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.reference import build
from bpcheck.reference.activation import ACTIVATION

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
    layers = case.architecture.layers
    if not any(ACTIVATION[getattr(layer, "activation", "relu")].kink for layer in layers):
        return False
    with np.errstate(all="ignore"):
        trace = build(case.architecture).trace(case.params, case.x, case.y)
    for layer, z in zip(layers, trace.pre_activations, strict=True):
        kink = getattr(layer, "activation", None)
        if kink and ACTIVATION[kink].kink and np.any(abs(z) < KINK_DISTANCE):
            return True
    return False


def shrink(case: Case, fails_alike: Callable[[Case], bool], *, free: bool = False) -> Case:
    """The smallest case found that still fails in the same way.

    Parameters
    ----------
    case : Case
        A failing case of a dense chain (others are returned as they are).
    fails_alike : callable
        Whether a candidate fails with the same identity.
    free : bool
        Whether the activation and penalties may change too (the subject reads the architecture).

    Returns
    -------
    Case
    """
    if not is_dense_chain(case.architecture):
        return case
    search = _Search(case, fails_alike, 0, time.monotonic() + MAX_SECONDS)
    while not search.exhausted:
        before = repr(search.case)
        for moves in (_structure(search, free), _numbers(search)):
            for _ in moves:
                if search.exhausted:
                    break
        if repr(search.case) == before:
            break
    shrunk = search.case
    return shrunk if shrunk is case else replace(shrunk, seed=None)  # no seed draws it any more


def _structure(search: _Search, free: bool) -> Iterator[None]:
    """Moves that make the network or the batch smaller; restart after a success."""
    changed = True
    while changed and not search.exhausted:
        changed = False
        for candidate in _smaller(search.case, free):
            if search.attempt(candidate):
                changed = True
                break
            yield
    yield


def _smaller(case: Case, free: bool) -> Iterator[Case | None]:
    widths = list(dense_chain(case.architecture).widths)
    for k in range(len(widths) - 2, 0, -1):
        for seed in (None, 1, 2):
            yield _resized(case, widths[:k] + widths[k + 1 :], drop=k, seed=seed)
    m = case.batch
    for batch in dict.fromkeys((1, m // 2, m - 1)):
        if 0 < batch < m:
            yield replace(case, x=case.x[:batch], y=case.y[:batch])
            yield replace(case, x=case.x[-batch:], y=case.y[-batch:])
    for top in (1, 2, 3):
        if max(widths) > top:
            yield _resized(case, [min(width, top) for width in widths])
            yield _resized(case, [min(width, top) for width in widths], seed=1)
    for i, width in enumerate(widths):
        for smaller in dict.fromkeys((1, width // 2, width - 1)):
            if 0 < smaller < width:
                yield _resized(case, [*widths[:i], smaller, *widths[i + 1 :]])
    for i in range(len(widths) - 1):
        if widths[i] == widths[i + 1] > 1:
            pair = [widths[i] - 1] * 2
            yield _resized(case, [*widths[:i], *pair, *widths[i + 2 :]])
    if len(set(widths)) == 1 and widths[0] > 1:
        yield _resized(case, [widths[0] - 1] * len(widths))
    if free:
        yield from _plainer(case)


def _plainer(case: Case) -> Iterator[Case | None]:
    a = case.architecture
    if a.l1 or a.l2:
        yield _with(case, replace(a, l1=0.0, l2=0.0, penalize_bias=False))
        if a.l1:
            yield _with(case, replace(a, l1=0.0))
    if len(a.layers) > 1:
        for name in ACTIVATIONS[: ACTIVATIONS.index(dense_chain(a).hidden)]:
            yield _with(case, dense_chain(a).with_widths(dense_chain(a).widths, activation=name))


def _with(case: Case, architecture: Architecture) -> Case | None:
    try:
        return replace(case, architecture=architecture)
    except InputError:
        return None


def _resized(
    case: Case, widths: list[int], *, drop: int | None = None, seed: int | None = None
) -> Case | None:
    """The case on other widths: leading slices, or fresh readable numbers (``seed``) where slicing loses the failure.

    ``drop`` is the index of the hidden width that was removed; its weights go with it.
    """
    a = case.architecture
    hidden = {getattr(layer, "activation", "") for layer in a.layers[:-1]}
    if len(hidden) > 1:
        return None
    if a.loss == "cross_entropy" and widths[-1] < 2:
        return None
    rng = np.random.default_rng(seed)
    layers = [layer for k, layer in enumerate(case.params) if k != (None if drop is None else drop - 1)]

    def fit(values: Any, shape: tuple[int, ...]) -> Any:
        fresh = np.round(rng.uniform(0.5, 1.5, shape), 1) * np.where(rng.random(shape) < 0.5, -1.0, 1.0)
        if seed is not None:
            return fresh.astype(values.dtype)
        overlap = tuple(slice(0, min(old, new)) for old, new in zip(values.shape, shape, strict=True))
        # where the new array is larger (a layer was dropped) ones fill the gap: no random number is needed
        filled = np.ones(shape, values.dtype)
        filled[overlap] = values[overlap]
        return filled

    params = [
        {"weight": fit(layer["weight"], (after, before)), "bias": fit(layer["bias"], (after,))}
        for layer, before, after in zip(layers, widths[:-1], widths[1:], strict=True)
    ]
    y = case.y[:, : widths[-1]].copy()
    if a.loss == "cross_entropy":
        y[y.sum(axis=1) == 0, 0] = 1.0  # the class that was cut away becomes the first one
    return Case(dense_chain(a).with_widths(widths), params, case.x[:, : widths[0]], y, seed=case.seed)


def _numbers(search: _Search) -> Iterator[None]:
    """Moves that make the numbers shorter, coarse ones first."""
    for decimals in (0, 1, 2, 3):
        if search.attempt(_replaced(search.case, "", functools.partial(_rounded, decimals=decimals))):
            break
        yield
    names = [str(path) for path, _ in _tensors(search.case)]
    for name in names:
        for value in (0.0, 1.0):
            if np.all(_tensor(search.case, name) == value):
                break  # already as simple as this value: trying the next would go round in circles
            if search.attempt(
                _replaced(search.case, name, functools.partial(np.full_like, fill_value=value))
            ):
                break
            yield
    for name in names:
        for index in range(_tensor(search.case, name).size):
            current = _tensor(search.case, name).flat[index]
            rank = SIMPLE.index(current) if current in SIMPLE else len(SIMPLE)
            for value in SIMPLE[:rank]:

                def change(v: Any, index: int = index, value: float = value) -> Any:
                    copied = v.copy()
                    copied.flat[index] = value
                    return copied

                if search.attempt(_replaced(search.case, name, change)):
                    break
                yield
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
