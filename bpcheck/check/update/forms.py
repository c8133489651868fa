"""How an optimiser is written: a function with its state, a function without one, an object, a class."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bpcheck import tree
from bpcheck.check.contract import Clock, HungError, from_its_own_frame, guarded_call, where_raised
from bpcheck.errors import InputError, SubjectError
from bpcheck.tree import Tree

__all__ = ["METHODS", "Optimizer", "Run", "optimizer_of"]

METHODS = ("update", "step", "apply")
"""Names of the method that takes ``(params, gradient)``, in the order in which they are looked for."""

WITH_STATE = 3
"""Positional parameters of ``step(params, gradient, state)``."""


@dataclass(frozen=True, eq=False)
class Optimizer:
    """Somebody's optimiser, able to begin anew.

    Attributes
    ----------
    name : str
    form : str
        In words.
    fresh : callable
        A function ``(params, gradient, state) -> (params, state)`` that has seen nothing yet.
    begins_anew : bool
        Whether ``fresh`` can promise that.
    keeps_state : bool
        Whether the state is handed out, so that it can be saved and given back.
    """

    name: str
    form: str
    fresh: Callable[[], Callable[[Tree, Tree, Any], tuple[Tree, Any]]]
    begins_anew: bool
    keeps_state: bool


@dataclass(eq=False)
class Run:
    """One run of an optimiser: parameters, its own copy of them, and its state."""

    step: Callable[[Tree, Tree, Any], tuple[Tree, Any]]
    name: str
    clock: Clock
    state: Any = None
    gradient_changed: bool = False

    def __call__(self, params: Tree, gradient: Tree) -> Tree:
        """One step from copies; the new parameters.

        Raises
        ------
        SubjectError
            If it raises, or returns something of another form.
        HungError
        """
        given, slope = tree.copy(params), tree.copy(gradient)
        try:
            new, self.state = guarded_call(lambda: self.step(given, slope, self.state), self.clock)
        except (HungError, InputError):
            raise
        except (Exception, SystemExit) as error:
            raise SubjectError(
                f"{self.name} raised {type(error).__name__}: {error}{where_raised(error)}"
            ) from from_its_own_frame(error)
        before = [leaf for _, leaf in tree.leaves(gradient)]
        after = [leaf for _, leaf in tree.leaves(slope)]
        self.gradient_changed |= any(not bool((a == b).all()) for a, b in zip(before, after, strict=True))
        return given if new is None else new


def optimizer_of(step: Any) -> Optimizer:
    """Find out how it is to be called.

    Parameters
    ----------
    step : callable, object or class

    Returns
    -------
    Optimizer

    Raises
    ------
    InputError
        If it is none of these.
    """
    if isinstance(step, type):
        name = step.__name__
        return Optimizer(name, f"a class, {name}()", lambda: _bound(_made(step, name), name), True, False)
    name = getattr(step, "__name__", type(step).__name__)
    if any(callable(getattr(step, method, None)) for method in METHODS):
        return Optimizer(
            name, "an object, copied for each run", lambda: _bound(copy.deepcopy(step), name), True, False
        )
    if not callable(step):
        raise InputError(
            f"step is {tree.describe(step)}; give a function step(params, gradient, state) -> (params, state), a class "
            f"or an object with a method {' or '.join(METHODS)}(params, gradient)."
        )
    if _takes(step) >= WITH_STATE:
        return Optimizer(
            name, "(params, gradient, state) -> (params, state)", lambda: _pure(step, name), True, True
        )
    if inspect.isfunction(step) or inspect.isbuiltin(step) or inspect.ismethod(step):
        return Optimizer(name, "(params, gradient) -> params", lambda: _without(step), False, False)
    return Optimizer(
        name, "an object, copied for each run", lambda: _without(copy.deepcopy(step)), True, False
    )


def _made(kind: type, name: str) -> Any:
    try:
        return kind()
    except TypeError as error:
        raise InputError(
            f"{name}() cannot be called without arguments ({error}); give a function that makes one, as a class: or an "
            f"object, {name}(…), which is copied for each run."
        ) from error


def _bound(made: Any, name: str) -> Callable[[Tree, Tree, Any], tuple[Tree, Any]]:
    method = next((m for m in METHODS if callable(getattr(made, m, None))), None)
    if method is None and not callable(made):
        raise InputError(f"{name} has no method {', '.join(METHODS)}, and cannot be called.")
    return _without(made if method is None else getattr(made, method))


def _without(step: Callable[..., Any]) -> Callable[[Tree, Tree, Any], tuple[Tree, Any]]:
    return lambda params, gradient, state: (step(params, gradient), None)


def _pure(step: Callable[..., Any], name: str) -> Callable[[Tree, Tree, Any], tuple[Tree, Any]]:
    def one(params: Tree, gradient: Tree, state: Any) -> tuple[Tree, Any]:
        returned = step(params, gradient, state)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise InputError(
                f"{name} returned {tree.describe(returned)}; return (params, state). The first state it is given is None."
            )
        return returned

    return one


def _takes(step: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(step).parameters.values()
    except (TypeError, ValueError):
        return 2
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in parameters)
