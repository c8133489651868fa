"""Cost and gradient as fractions: for networks of rational functions nothing has to be rounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.certified.activation import LOW_SLOPE
from bpcheck.certified.kink import refuse, refuse_weights
from bpcheck.certified.oracle import START, checked
from bpcheck.certified.rationals import Rationals
from bpcheck.certified.reverse import propagate
from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.names import places
from bpcheck.tree import Path

__all__ = ["Exact", "exact", "is_rational"]

RATIONAL_ACTIVATIONS = ("identity", *LOW_SLOPE)
RATIONAL_LOSSES = ("half_mse", "mse", "huber")


@dataclass(frozen=True, eq=False)
class Exact:
    """Cost and gradient of a case without any error.

    Attributes
    ----------
    loss : Fraction
    gradient : mapping of Path to object array of Fraction
        Shaped as the parameters.
    """

    loss: Fraction
    gradient: Mapping[Path, Any]


def is_rational(architecture: Architecture) -> bool:
    """Whether cost and gradient are quotients of whole numbers wherever the parameters are.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> is_rational(mlp([2, 3, 1], activation="relu")), is_rational(mlp([2, 3, 1], activation="tanh"))
    (True, False)
    """
    activations = {place.layer.output_activation for place in places(architecture)}
    return architecture.loss in RATIONAL_LOSSES and activations <= set(RATIONAL_ACTIVATIONS)


def exact(case: Case) -> Exact:
    """The exact cost and gradient, as fractions.

    Parameters
    ----------
    case : Case
        Activations identity, relu, leaky_relu; losses half_mse, mse, huber. Every float is the fraction
        that it stands for.

    Returns
    -------
    Exact

    Raises
    ------
    InputError
        For other activations and losses, at a kink, or if python-flint is missing.

    Examples
    --------
    >>> from bpcheck import Case, mlp
    >>> found = exact(Case(mlp([1, 1]), [{"weight": [[0.5]], "bias": [0.25]}], [[3.0], [1.0]], [[0.0], [1.0]]))
    >>> print(found.loss, *[value.item() for value in found.gradient.values()])
    25/32 5/2 3/4
    """
    with np.errstate(all="ignore"):  # whatever the caller's settings are
        return _exact(case)


def _exact(case: Case) -> Exact:
    checked(case, START)
    if not is_rational(case.architecture):
        raise InputError(
            f"{case.architecture!r} has no exact gradient in fractions: that takes the activations "
            f"{', '.join(RATIONAL_ACTIVATIONS)} and the losses {', '.join(RATIONAL_LOSSES)}. "
            "Use bpcheck.certified.testify, which encloses every other one."
        )
    refuse_weights(case)
    found = propagate(case, Rationals())
    if found.kinks:
        raise refuse(next(iter(found.kinks)))
    gradient = {
        path: _fractions(found.gradient[path].entries(), leaf.shape)
        for path, leaf in tree.leaves(case.params)
    }
    return Exact(_fraction(found.loss), gradient)


def _fraction(value: Any) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def _fractions(entries: list[Any], shape: tuple[int, ...]) -> Any:
    array = np.empty(shape, dtype=object)
    array.ravel()[:] = [_fraction(value) for value in entries]  # a view: the array is fresh
    array.setflags(write=False)
    return array
