"""The layouts that are tried: which shapes, containers and keys go together in code that people write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np

from bpcheck.conventions import PRESETS, Conventions
from bpcheck.conventions.nesting import FOLDED, NESTINGS, VECTORS
from bpcheck.network.case import Case

__all__ = ["candidates", "fitted", "flat_vectors", "readings_of_gradients", "tried_on", "variants"]


# Keys that people write; the first of each nesting is what a Conventions value says without names=.
KEYED: dict[str, tuple[tuple[tuple[str, str] | None, int], ...]] = {
    "[{W, b}]": (
        (None, 1),
        (("W", "b"), 1),
        (("w", "b"), 1),
        (("weights", "biases"), 1),
        (("weights", "bias"), 1),
    ),
    "{[W], [b]}": ((None, 1), (("W", "b"), 1), (("coefs", "intercepts"), 1)),
    "{W1, b1, W2, b2}": (
        (None, 1),
        (None, 0),
        (("w{}", "b{}"), 1),
        (("w{}", "b{}"), 0),
        (("weight{}", "bias{}"), 1),
    ),
    "{W1, W2}": ((None, 1), (None, 0), (("w{}", "b{}"), 1)),
}

# What people hand over part by part, f(weights, biases, x, y) or f(W1, b1, W2, b2, x, y).
SPREAD = ("([W], [b])", "([b], [W])", "[W1, b1, W2, b2]", "[W1, W2, b1, b2]")

GRADIENT_KEYS = ("{}", "d{}", "grad_{}", "{}_grad")

# Which shapes go together: a bias that is a column is added to columns, a row to rows.
SHAPES = (
    ("first", ("vector", "row")),
    ("last", ("column", "vector")),
    ("one", ("vector",)),
    ("one column", ("column",)),
    ("one row", ("vector", "row")),
)

ORIENTATIONS = ("out, in", "in, out")


@lru_cache(maxsize=1)
def candidates() -> tuple[Conventions, ...]:
    """Layouts to try, presets first; gradients nested as the parameters.

    Examples
    --------
    >>> [tried.params for tried in candidates()[:3]]
    ['[{W, b}]', '([b], [W])', '[W1, b1, W2, b2]']
    """
    plain = [preset.but(penalty=None) for preset in PRESETS.values()]
    return tuple(dict.fromkeys([Conventions(), *plain, *_combinations()]))


def _combinations() -> Iterator[Conventions]:
    nestings = [nesting for nesting in NESTINGS if nesting not in VECTORS]
    for nesting, targets in product(nestings, ("as given", "index")):
        folded = nesting in FOLDED
        for (batch, shapes), weight in product(SHAPES, ORIENTATIONS):
            for bias in ("folded first", "folded last") if folded else shapes:
                for (names, first), spread in product(KEYED.get(nesting, ((None, 1),)), (False, True)):
                    if spread and nesting not in SPREAD:
                        continue
                    yield Conventions(
                        weight=weight,
                        bias=bias,
                        batch=batch,
                        params=nesting,
                        names=names,
                        number_from=first,
                        targets=targets,
                        spread=spread,
                    )


def flat_vectors() -> Iterator[Conventions]:
    """One array for all parameters: only code that knows its widths takes that."""
    batches = ("first", "last", "one", "one column")
    for params, weight, batch, targets in product(VECTORS, ORIENTATIONS, batches, ("as given", "index")):
        yield Conventions(params=params, weight=weight, batch=batch, targets=targets)


def tried_on(case: Case) -> Iterator[Conventions]:
    """The layouts to try on a case: with one output there are no classes, but numbers (m,); flat vectors come last."""
    one = case.architecture.outputs == 1
    for conventions in (*candidates(), *flat_vectors()):
        yield conventions.but(targets="flat") if one and conventions.targets == "index" else conventions


def readings_of_gradients(conventions: Conventions) -> Iterator[Conventions]:
    """The same layout with the gradient nested in other ways; its arrays are never reshaped."""
    for nesting in NESTINGS:
        if nesting in VECTORS or (nesting in FOLDED) != conventions.folded:
            continue
        own = "" if nesting == conventions.params else nesting
        if nesting not in KEYED:
            yield conventions.but(gradients=own)
            continue
        given = ((conventions.names, conventions.number_from),)
        for names, first in given if conventions.params in KEYED else KEYED[nesting]:
            for pattern in GRADIENT_KEYS:
                yield conventions.but(gradients=own, gradient_names=pattern, names=names, number_from=first)


def variants(conventions: Conventions) -> list[Conventions]:
    """What the loss may show beside the layout: targets of −1 and 1, a penalty divided by the batch size."""
    signs = [conventions.but(targets="±1")] if conventions.targets == "as given" else []
    return signs if conventions.per_example else [*signs, conventions.but(penalty="λ/2m")]


def fitted(case: Case, conventions: Conventions) -> Case:
    """The case with targets that the convention can say: one-hot rows for indices, 0 and 1 for ±1.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> case = Case(mlp([1, 2]), [{"weight": [[1.0], [2.0]], "bias": [0.0, 0.0]}], [[1.0]], [[0.3, 0.7]])
    >>> fitted(case, Conventions(targets="index")).y
    array([[0., 1.]])
    """
    if conventions.targets == "index":
        return replace(case, y=np.eye(case.y.shape[1])[case.y.argmax(axis=1)])
    if conventions.targets == "±1":
        return replace(case, y=(case.y > 0).astype(float))
    return case
