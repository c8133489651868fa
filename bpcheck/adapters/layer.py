"""A single layer as a subject: forward and backward, with respect to parameters and to the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.errors import InputError
from bpcheck.options import whole
from bpcheck.subject import Answer, Subject

__all__ = ["from_layer"]

# Far enough to be seen, near enough for whatever takes the inputs themselves to take these as well.
ASIDE = 1.0 + 2.0**-6


def from_layer(forward: Callable[..., Any], backward: Callable[..., Any], *, seed: int = 0) -> Subject:
    """A subject from the forward and the backward pass of one layer.

    The loss is Σ ȳ ⊙ y with a random cotangent ȳ, the same at every call. Cotangents of ones would
    hide much: a backward pass that ignores its cotangent, or sums it over the wrong axis, may be right
    for them alone.

    Parameters
    ----------
    forward : callable
        ``forward(params, x) -> (y, residuals)``; ``residuals`` is whatever ``backward`` needs.
    backward : callable
        ``backward(params, residuals, cotangent) -> (params_cotangent, x_cotangent)``.
    seed : int
        For the cotangent.

    Returns
    -------
    Subject
        For :func:`bpcheck.check_gradient`, at ``{"params": params, "x": x}``: the cotangents of both
        are checked. A layer without parameters is given ``{"params": (), "x": x}``.

    Raises
    ------
    InputError
        If one of them is not callable, or ``seed`` is no whole number.

    Examples
    --------
    >>> import bpcheck
    >>> def forward(params, x):
    ...     return np.tanh(x @ params["W"].T), x
    >>> def backward(params, x, cotangent):
    ...     delta = cotangent * (1 - np.tanh(x @ params["W"].T) ** 2)
    ...     return {"W": delta.T @ x}, delta @ params["W"]
    >>> at = {"params": {"W": np.array([[0.1, 0.2], [-0.5, 0.4]])}, "x": np.array([[1.0, -2.0], [0.5, 3.0]])}
    >>> bpcheck.check_gradient(from_layer(forward, backward), at, seed=0).ok
    True
    """
    for name, function in (("forward", forward), ("backward", backward)):
        if not callable(function):
            raise InputError(f"{name} is {tree.describe(function)}; pass a function, see bpcheck.from_layer.")
    layer = _Layer(forward, backward, whole("seed", seed, least=0))
    name = str(getattr(backward, "__name__", type(backward).__name__))
    return Subject(name, layer.answer, layer.loss)


@dataclass(frozen=True, eq=False)
class _Layer:
    """Both passes, with the loss Σ ȳ ⊙ y."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    seed: int

    def run(self, at: Any, args: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        """The loss, the residuals and the cotangent."""
        if not isinstance(at, Mapping) or set(at) != {"params", "x"}:
            raise InputError(
                f"a layer is checked at {{'params': params, 'x': x}}, not at {tree.describe(at)}: the cotangents of both "
                "are looked at."
            )
        y, residuals = _pair(self.forward(at["params"], at["x"], *args), "forward", "(y, residuals)")
        array = np.asarray(y)
        if array.dtype.kind != "f" or not array.size:
            raise InputError(f"forward returned y = {tree.describe(y)}; an array of floats is needed.")
        rng = np.random.default_rng([self.seed, *array.shape])
        cotangent = np.asarray(rng.standard_normal(array.shape), dtype=array.dtype)
        # Summed in float64: the sum is ours, its rounding must not be taken for the layer's.
        return np.sum(cotangent.astype(float) * array), residuals, cotangent

    def loss(self, at: Any, *args: Any) -> Any:
        """Σ ȳ ⊙ y."""
        return self.run(at, args)[0]

    def answer(self, at: Any, *args: Any) -> Answer:
        """The loss with the cotangents of the parameters and of the input."""
        if isinstance(at, Mapping) and "x" in at:
            # Other inputs first: a layer that keeps what it saw first, and not what it saw last, is found out.
            other = [np.asarray(leaf) * ASIDE for _, leaf in tree.leaves(at["x"])]
            self.run({**at, "x": tree.restore(at["x"], other)}, args)
        value, residuals, cotangent = self.run(at, args)
        handed = cotangent.copy()
        needed = "(cotangent of the parameters, cotangent of x)"
        params, x = _pair(self.backward(at["params"], residuals, handed), "backward", needed)
        notes: tuple[str, ...] = ()
        if not np.array_equal(handed, cotangent):
            notes = ("backward changed the cotangent that it was given in place: work on a copy",)
        return Answer(value, {"params": params, "x": x}, notes=notes)


def _pair(returned: Any, name: str, needed: str) -> tuple[Any, Any]:
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        raise InputError(f"{name} returned {tree.describe(returned)}; it must return the pair {needed}.")
    return returned[0], returned[1]
