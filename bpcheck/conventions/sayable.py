"""What a layout can say of a case: class indices need one-hot rows, a layout without biases biases of 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bpcheck.conventions.value import Conventions
from bpcheck.errors import InputError
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import is_dense_chain

__all__ = ["require_sayable", "sayable"]


@dataclass(frozen=True)
class _Limit:
    """Something that a layout cannot say; ``fit`` gives the nearest case that keeps within it, if there is one."""

    applies: Callable[[Conventions], bool]
    holds: Callable[[Case], bool]
    fit: Callable[[Case], Case] | None
    remedy: str


def _is_one_hot(case: Case) -> bool:
    return bool(np.isin(case.y, (0.0, 1.0)).all() and (case.y.sum(axis=1) == 1).all())


def _one_hot(case: Case) -> Case:
    return replace(case, y=np.eye(case.y.shape[1])[case.y.argmax(axis=1)])


def _is_a_share(case: Case) -> bool:
    return bool(((case.y >= 0) & (case.y <= 1)).all())


def _signs(case: Case) -> Case:
    return replace(case, y=(case.y > 0).astype(float))


def _is_without_biases(case: Case) -> bool:
    return not is_dense_chain(case.architecture) or not any(layer["bias"].any() for layer in case.params)


def _without_biases(case: Case) -> Case:
    return replace(case, params=[{**layer, "bias": 0.0 * layer["bias"]} for layer in case.params])


_LIMITS = (
    _Limit(
        lambda conventions: conventions.targets == "flat",
        lambda case: case.y.shape[1] == 1,
        None,
        "targets='flat' is one number for each example, but the network has {outputs} outputs: choose "
        "targets='as given', or a network with one output.",
    ),
    _Limit(
        lambda conventions: conventions.targets == "index",
        _is_one_hot,
        _one_hot,
        "targets='index' needs one-hot rows (one 1, otherwise 0) in y: only those are class indices. Give such "
        "targets, or choose targets='as given'.",
    ),
    _Limit(
        lambda conventions: conventions.targets == "±1",
        _is_a_share,
        _signs,
        "targets='±1' stands for y of 0 and 1, but y has values outside [0, 1]. Give such targets, or choose "
        "targets='as given'.",
    ),
    _Limit(
        lambda conventions: conventions.bias == "none",
        _is_without_biases,
        _without_biases,
        "bias='none' says that the function has no biases, but the case has some that are not 0. Set them to 0, or say "
        "where they are.",
    ),
)


def sayable(conventions: Conventions, case: Case) -> Case:
    """The case, or the nearest one that can be said in a layout.

    Raises
    ------
    InputError
        If no case of this shape can be said.

    Examples
    --------
    >>> from bpcheck import mlp
    >>> case = Case(mlp([1, 2]), [{"weight": [[1.0], [2.0]], "bias": [0.0, 0.0]}], [[1.0]], [[0.3, 0.7]])
    >>> sayable(Conventions(targets="index"), case).y
    array([[0., 1.]])
    """
    for limit in _LIMITS:
        if limit.applies(conventions) and not limit.holds(case):
            if limit.fit is None:
                raise InputError(limit.remedy.format(outputs=case.y.shape[1]))
            case = limit.fit(case)
    return case


def require_sayable(conventions: Conventions, case: Case) -> None:
    """Refuse a case of the caller's that cannot be said in the layout as it is."""
    for limit in _LIMITS:
        if limit.applies(conventions) and not limit.holds(case):
            raise InputError(limit.remedy.format(outputs=case.y.shape[1]))
