"""Optimisers of PyTorch and Keras, for compare_update()."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.tree import Tree

__all__ = ["from_keras_optimizer", "from_torch_optimizer"]


def from_torch_optimizer(make: Callable[[list[Any]], Any]) -> Any:
    """A ``torch.optim`` optimiser, or somebody's subclass of ``torch.optim.Optimizer``, for :func:`bpcheck.compare_update`.

    Parameters
    ----------
    make : callable
        ``make(parameters) -> optimizer``, such as ``lambda p: torch.optim.Adam(p, lr=0.01)``. Called once for each run
        with new parameters; clipping or schedules may be part of what it returns.

    Returns
    -------
    object
        With a method ``update(params, gradient)``.

    Raises
    ------
    InputError
        If ``make`` is not callable.

    Examples
    --------
    >>> import bpcheck, torch
    >>> from bpcheck.reference.optimizer import Adam
    >>> step = bpcheck.from_torch_optimizer(lambda p: torch.optim.Adam(p, lr=0.01))
    >>> bpcheck.compare_update(step, rule=Adam(lr=0.01), seed=0).verdict
    <Verdict.AGREES>
    """
    _need_callable(make, "(parameters) -> optimizer")
    return _Torch(make)


def from_keras_optimizer(make: Callable[[], Any]) -> Any:
    """A Keras optimiser for :func:`bpcheck.compare_update`.

    Parameters
    ----------
    make : callable
        ``make() -> optimizer``, such as ``lambda: keras.optimizers.Adam(0.01)``. Called once for each run.

    Returns
    -------
    object
        With a method ``update(params, gradient)``.

    Raises
    ------
    InputError
        If ``make`` is not callable.

    Notes
    -----
    Where Keras differs from torch: momentum has the form ``velocity``; Nesterov likewise; RMSprop's ε stands under the
    root; Adam's beside the uncorrected one, and is 1e-7; ``weight_decay`` is decoupled in every optimiser. Keras computes
    with numbers of its own float32 inside (η, β), whatever the dtype of the variables.

    Examples
    --------
    >>> import bpcheck, keras
    >>> from bpcheck.reference.optimizer import SGD
    >>> step = bpcheck.from_keras_optimizer(lambda: keras.optimizers.SGD(0.5))
    >>> bpcheck.compare_update(step, rule=SGD(lr=0.5), seed=0).verdict
    <Verdict.AGREES>
    """
    _need_callable(make, "() -> optimizer")
    return _Keras(make)


class _Torch:
    def __init__(self, make: Callable[[list[Any]], Any]) -> None:
        self.make = make
        self.made: Any = None
        self.parameters: list[Any] = []
        self.__name__ = getattr(make, "__name__", "optimizer")

    def update(self, params: Tree, gradient: Tree) -> Tree:
        """One step of the framework's optimiser, from these parameters."""
        import torch

        weights = _arrays(params)
        if self.made is None:
            self.parameters = [torch.nn.Parameter(torch.from_numpy(w)) for w in weights]
            self.made = self.make(self.parameters)
        with torch.no_grad():
            for parameter, w, g in zip(self.parameters, weights, _arrays(gradient), strict=True):
                parameter.copy_(torch.from_numpy(w))
                parameter.grad = torch.from_numpy(g)
        self.made.step()
        return tree.restore(params, [p.detach().numpy().copy() for p in self.parameters])


class _Keras:
    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.made: Any = None
        self.variables: list[Any] = []
        self.__name__ = getattr(make, "__name__", "optimizer")

    def update(self, params: Tree, gradient: Tree) -> Tree:
        """One step of the framework's optimiser, from these parameters."""
        import keras

        weights = _arrays(params)
        if self.made is None:
            self.variables = [keras.Variable(w, dtype=w.dtype.name) for w in weights]
            self.made = self.make()
            self.made.build(self.variables)
        for variable, w in zip(self.variables, weights, strict=True):
            variable.assign(w)
        slopes = [keras.ops.convert_to_tensor(g, dtype=g.dtype.name) for g in _arrays(gradient)]
        self.made.apply(slopes, self.variables)
        return tree.restore(params, [np.array(keras.ops.convert_to_numpy(v)) for v in self.variables])


def _arrays(given: Tree) -> Sequence[Any]:
    return [np.array(leaf) for _, leaf in tree.leaves(given)]


def _need_callable(make: Any, form: str) -> None:
    if not callable(make):
        raise InputError(
            f"make is {tree.describe(make)}; give a function {form}: each run needs an optimiser of its own."
        )
