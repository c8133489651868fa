"""How an optimiser is written: a function with its state, a function without one, an object, a class."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.contract import Clock, HungError, from_its_own_frame, guarded_call, where_raised
from bpcheck.errors import InputError, SubjectError
from bpcheck.tree import Tree

__all__ = ["METHODS", "Optimizer", "Run", "optimizer_of"]

METHODS = ("update", "step", "apply")
"""Names of the method that takes ``(params, gradient)``, in the order in which they are looked for."""

GRADIENT_NAMES = {"g", "gs", "grad", "grads", "gradient", "gradients", "updates", "slope", "slopes"}
"""Names of a first parameter that say that the gradient comes first and the parameters second."""

STATE_NAMES = {"s", "memory", "cache", "slots"}
"""Names of a third parameter that is a state, whatever its default; and all with "state" in them."""

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
    same_arrays: bool = False
    held: Tree = None
    slope: Tree = None

    def __call__(self, params: Tree, gradient: Tree) -> Tree:
        """One step from copies; the new parameters.

        From the second step on it gets the very arrays that it left at the step before, as in a training loop: what it
        remembers may hang on them. ``same_arrays`` also writes each gradient into the arrays of the one before.

        Raises
        ------
        SubjectError
            If it raises, or returns something of another form.
        HungError
        """
        given = tree.copy(params) if self.held is None else self.held
        slope = self._slope(gradient)
        try:
            new, self.state = guarded_call(lambda: self.step(given, slope, self.state), self.clock)
        except (HungError, InputError):
            raise
        except (Exception, SystemExit) as error:
            raise SubjectError(
                f"{self.name} raised {type(error).__name__}: {error}{where_raised(error)}"
            ) from from_its_own_frame(error)
        self.gradient_changed |= not _same(gradient, slope)
        # a number is no parameters, but what is returned beside a change in place: a norm, or that all went well
        in_place = new is None or (
            isinstance(new, bool | int | float | str) and not isinstance(given, np.ndarray)
        )
        self.held = given if in_place else new
        return self.held

    def _slope(self, gradient: Tree) -> Tree:
        if not self.same_arrays or self.slope is None:
            self.slope = tree.copy(gradient)
            return self.slope
        for (_, kept), (_, leaf) in zip(tree.leaves(self.slope), tree.leaves(gradient), strict=False):
            if isinstance(kept, np.ndarray) and kept.shape == leaf.shape:
                kept[...] = leaf
        return self.slope if _same(gradient, self.slope) else tree.copy(gradient)


def _same(one: Tree, other: Tree) -> bool:
    """The same entries at the same places; a step may have emptied what it was given."""
    a, b = dict(tree.leaves(one)), dict(tree.leaves(other))
    return a.keys() == b.keys() and all(np.array_equal(leaf, b[path]) for path, leaf in a.items())


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
    if callable(getattr(step, "init", None)) and _first_is_gradient(getattr(step, "update", None)):
        return Optimizer(
            name, "init(params), update(gradient, state, params)", lambda: _chained(step), True, True
        )
    if any(callable(getattr(step, method, None)) for method in METHODS):
        _bound(step, name)  # says at once what is wrong with it
        return Optimizer(
            name, "an object, copied for each run", lambda: _bound(_copied(step, name), name), True, False
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
    if _most(step) == 0:
        return Optimizer(name, f"what {name}() makes", lambda: _bound(_made(step, name), name), True, False)
    if inspect.isfunction(step) or inspect.isbuiltin(step):
        return Optimizer(name, "(params, gradient) -> params", lambda: _without(step), False, False)
    return Optimizer(  # a method is copied with its object
        name, "an object, copied for each run", lambda: _without(_copied(step, name)), True, False
    )


def _copied(step: Any, name: str) -> Any:
    try:
        return copy.deepcopy(step)
    except (TypeError, copy.Error) as error:
        raise InputError(
            f"{name} cannot be copied ({error}), and each run needs one of its own: give a function without arguments that "
            "makes one, such as lambda: MyOptimizer(lr=0.1)."
        ) from error


def _made(kind: Callable[[], Any], name: str) -> Any:
    try:
        return kind()
    except TypeError as error:
        raise InputError(
            f"{name}() cannot be called without arguments ({error}); give a function that makes one, such as "
            f"lambda: {name}(…), or an object, {name}(…), which is copied for each run. For torch.optim there is "
            "bpcheck.from_torch_optimizer, for Keras bpcheck.from_keras_optimizer."
        ) from error


def _bound(made: Any, name: str) -> Callable[[Tree, Tree, Any], tuple[Tree, Any]]:
    method = next((m for m in METHODS if callable(getattr(made, m, None))), None)
    if method is None and not callable(made):
        raise InputError(f"{name} has no method {', '.join(METHODS)}, and cannot be called.")
    if method is not None and _most(getattr(made, method)) < 2:
        raise InputError(
            f"{name}.{method}() does not take (params, gradient). Give a class or an object whose {method} does; for "
            "torch.optim there is bpcheck.from_torch_optimizer, for Keras bpcheck.from_keras_optimizer."
        )
    return _without(made if method is None else getattr(made, method))


def _without(step: Callable[..., Any]) -> Callable[[Tree, Tree, Any], tuple[Tree, Any]]:
    if _first_is_gradient(step):
        return lambda params, gradient, state: (step(gradient, params), None)
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


def _chained(step: Any) -> Callable[[Tree, Tree, Any], tuple[Tree, Any]]:
    """``update`` gives what is to be added to the parameters, as in optax."""

    def one(params: Tree, gradient: Tree, state: Any) -> tuple[Tree, Any]:
        state = step.init(params) if state is None else state
        rest = (params,) if _most(step.update) >= WITH_STATE else ()
        updates, state = step.update(gradient, state, *rest)
        moves = [np.asarray(leaf) for _, leaf in tree.leaves(updates)]
        moved = [
            np.asarray(w + move).astype(move.dtype)
            for (_, w), move in zip(tree.leaves(params), moves, strict=True)
        ]
        return tree.restore(params, moved), state

    return one


POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _parameters(step: Any) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(step).parameters.values())
    except (TypeError, ValueError):
        return None


def _takes(step: Callable[..., Any]) -> int:
    """How many it must be given; a state that may be left out, ``state=None``, counts too."""
    parameters = [p for p in _parameters(step) or [] if p.kind in POSITIONAL]
    third = parameters[WITH_STATE - 1].name.lower() if len(parameters) >= WITH_STATE else ""
    if "state" in third or third in STATE_NAMES:
        return WITH_STATE
    return sum(p.default is inspect.Parameter.empty for p in parameters)


def _most(step: Any) -> float:
    """How many it can be given."""
    parameters = _parameters(step)
    if parameters is None or any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return math.inf
    return sum(p.kind in POSITIONAL for p in parameters)


def _first_is_gradient(step: Any) -> bool:
    names = [p.name.lower().strip("_") for p in _parameters(step) or [] if p.kind in POSITIONAL]
    return len(names) >= 2 and names[0] in GRADIENT_NAMES and names[1] not in GRADIENT_NAMES
