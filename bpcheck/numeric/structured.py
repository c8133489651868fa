r"""The structured complex step: every parameter of a function that states what each of them touches.

:func:`~bpcheck.numeric.complex_step` evaluates all of f for each parameter. Where a parameter touches one unit of
one layer, all below stays what it was, and h is so small (2^−400) that every real part stays what it was,
too: C(θ + ihe_p) differs from C(θ) by its imaginary part alone, in the last bit of which h² does not show. So f
hands out, block by block, the imaginary parts of C(θ + ihe_p), having evaluated only what p touches.

What makes it a witness: it is the function, evaluated at complex arguments. No derivative of any of its
parts is written down, no δ goes backwards, and nothing is shared between two parameters but the unperturbed
real parts. And it is checked each time: the whole function in plain complex arithmetic, with nothing reused,
along a random direction v must give Σ g_p v_p. A parameter whose touched set is wrong, an identity that does not
hold, a block that was left out or filed under another parameter show there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bpcheck import tree
from bpcheck.errors import BpcheckError
from bpcheck.numeric.complex_step import entry_errors, points_around, value_error
from bpcheck.numeric.perturbation import random_direction
from bpcheck.result import Testimony
from bpcheck.tree import FloatArray, Path, Tree

__all__ = ["Contradiction", "Structured", "structured_step"]


class Contradiction(BpcheckError):
    """The structured evaluation and the plain one of the same function do not agree: neither is to be trusted."""


class Structured(Protocol):
    """A real function that can evaluate what each of its parameters touches.

    Attributes
    ----------
    params : tree of float64 arrays
        Where.
    step : float
        h.
    """

    params: Tree
    step: float

    def blocks(self) -> Iterator[tuple[Sequence[tuple[Path, Any, int]], FloatArray]]:
        """Every parameter once, in blocks: runs (path, index, count) and Im f(θ + ihe_p) for each of their p."""
        ...

    def plain(self, direction: Tree) -> tuple[float, float]:
        """Im f(θ + ihv) / h, evaluated as a whole, and a bound on its rounding (0 if there is none)."""
        ...

    def rounding(self) -> Mapping[Path, FloatArray] | None:
        """Bound on the rounding of each derivative, None if there is none."""
        ...

    def loss(self) -> tuple[float, float]:
        """F(θ) and a bound on its rounding (infinite if there is none)."""
        ...

    def kinks(self) -> Mapping[Path, FloatArray]:
        """How far another choice at a kink may move each derivative; empty where there is none."""
        ...

    def at(self, params: Tree) -> Structured:
        """The same function elsewhere."""
        ...


def structured_step(
    function: Structured,
    *,
    rng: np.random.Generator,
    measured: bool = False,
    stop: Callable[[], bool] | None = None,
    advance: Callable[[int, int], Any] | None = None,
) -> Testimony:
    """Loss and gradient with respect to every parameter, each with its error.

    Parameters
    ----------
    function : Structured
        ``bpcheck.reference.Perturbations(network, params, x, y)`` for a network of ours.
    rng : numpy.random.Generator
        For the direction of the cross-check (and the line on which noise is measured, if it must be).
    measured : bool
        Measure the errors even where ``function`` has bounds: in deep networks those are far too wide.
    stop : callable, optional
        Asked after each block; what is not evaluated by then is NaN with an infinite error.
    advance : callable, optional
        Told ``(done, total)`` parameters after each block.

    Returns
    -------
    Testimony
        Witness ``"numeric"``. ``evaluations`` counts each perturbed parameter and the cross-check. Where ``function``
        bounds its rounding, that is the error; else it is measured as :func:`~bpcheck.numeric.complex_step` does, by
        evaluating all of it at ten points around θ and one more for each tensor. What a choice at a kink may
        change is not in it.

    Raises
    ------
    Contradiction
        If the cross-check fails.

    Notes
    -----
    Source: Squire and Trapp, *Using complex variables to estimate derivatives of real functions*, SIAM Review 40,
    1998, for the step; the structure is our own.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> from bpcheck.reference import Perturbations, build
    >>> network, rng = build(mlp([1, 1])), np.random.default_rng(0)
    >>> params = [{"weight": [[2.0]], "bias": [1.0]}]
    >>> testimony = structured_step(Perturbations(network, params, [[3.0]], [[5.0]]), rng=rng)
    >>> {str(path): gradient.tolist() for path, gradient in testimony.gradient.items()}
    {"params[0]['weight']": [[6.0]], "params[0]['bias']": [2.0]}
    """
    with np.errstate(all="ignore"):
        return _structured_step(
            function, rng, measured, stop or (lambda: False), advance or (lambda done, total: None)
        )


def _structured_step(
    function: Structured,
    rng: np.random.Generator,
    measured: bool,
    stop: Callable[[], bool],
    advance: Callable[[int, int], Any],
) -> Testimony:
    leaves = dict(tree.leaves(function.params))
    loss, loss_error = function.loss()
    bound = None if measured else function.rounding()
    around = points_around(list(leaves.values()), rng) if bound is None else []
    total = (1 + len(around)) * sum(leaf.size for leaf in leaves.values())
    gradient = _evaluate(function, stop, lambda done: advance(done, total))
    evaluations = sum(int(np.isfinite(array).sum()) for array in gradient.values())
    if bound is None:
        bound, loss_error, spent = _measured(function, leaves, around, stop, advance, total)
        evaluations += spent
    error = {path: np.where(np.isnan(array), np.inf, bound[path]) for path, array in gradient.items()}
    known = {path: np.isfinite(array) & np.isfinite(error[path]) for path, array in gradient.items()}
    evaluations += _cross_check(function, gradient, error, known, around, rng)
    return Testimony(
        "numeric",
        loss,
        loss_error,
        {path: tree.freeze(array) for path, array in gradient.items()},
        {path: tree.freeze(array) for path, array in error.items()},
        evaluations,
    )


def _evaluate(
    function: Structured, stop: Callable[[], bool], tell: Callable[[int], Any]
) -> dict[Path, FloatArray]:
    """The derivatives of all blocks; NaN where time was up."""
    gradient: dict[Path, FloatArray] = {
        path: np.full(leaf.shape, np.nan) for path, leaf in tree.leaves(function.params)
    }
    done = 0
    for runs, imaginary in function.blocks():
        start = 0
        for path, index, count in runs:
            array = gradient[path]
            array[index] = (imaginary[start : start + count] / function.step).reshape(array[index].shape)
            start += count
        done += len(imaginary)
        tell(done)
        if stop():
            break
    return gradient


def _measured(
    function: Structured,
    leaves: Mapping[Path, FloatArray],
    around: list[list[FloatArray]],
    stop: Callable[[], bool],
    advance: Callable[[int, int], Any],
    total: int,
) -> tuple[dict[Path, FloatArray], float, int]:
    """Errors from the noise of the derivatives at the points around θ; infinite if time is up."""
    size = total // (len(around) + 1)
    seen: list[dict[Path, FloatArray]] = []
    losses = []
    for number, point in enumerate(around, start=1):
        if stop():
            return (
                {path: np.full(leaf.shape, np.inf) for path, leaf in leaves.items()},
                math.inf,
                size * len(seen),
            )
        moved = function.at(tree.restore(function.params, point))
        losses.append(moved.loss()[0])

        def tell(done: int, before: int = number * size) -> None:
            advance(before + done, total)

        seen.append(_evaluate(moved, stop, tell))
    values = [np.stack([one[path] for one in seen], axis=-1) for path in leaves]
    errors = entry_errors(list(leaves.values()), values)
    return dict(zip(leaves, errors, strict=True)), value_error(np.array(losses)), size * len(seen)


def _cross_check(
    function: Structured,
    gradient: Mapping[Path, FloatArray],
    error: Mapping[Path, FloatArray],
    known: Mapping[Path, Any],
    around: list[list[FloatArray]],
    rng: np.random.Generator,
) -> int:
    """The whole function along a random direction of all that was evaluated; returns its evaluations."""
    wide: list[FloatArray] = [leaf for _, leaf in tree.leaves(function.params)]
    along = [
        np.where(where, step, 0.0)
        for where, step in zip(known.values(), random_direction(wide, rng), strict=True)
    ]
    expected = doubt = 0.0
    choices = function.kinks()
    for (path, slope), step in zip(gradient.items(), along, strict=True):
        moves = known[path] & (step != 0)
        expected += float(np.sum(slope * step, where=moves))
        doubt += float(np.sum(error[path] * abs(step), where=moves))
        if path in choices:
            doubt += float(np.sum(choices[path] * abs(step), where=moves))
    if not any(where.any() for where in known.values()):
        return 0  # nothing is claimed
    direction = tree.restore(function.params, along)
    found, rounding = function.plain(direction)
    if around:
        nearby = (function.at(tree.restore(function.params, point)) for point in around)
        rounding = value_error(np.array([one.plain(direction)[0] for one in nearby]))
    # measured (benchmarks/structured_bound.py): correct answers differ by at most 0.1 of this
    doubt += rounding
    if not abs(found - expected) <= doubt:
        raise Contradiction(
            f"the structured complex step gives {expected:.15g} along a random direction, but the same function "
            f"evaluated as a whole gives {found:.15g} (± {doubt:.1g}): a layer states something "
            "wrong about what its parameters touch, or this is a defect of bpcheck. Its answer is not used."
        )
    return 1 + len(around)
