"""taylor_remainder() and step_curve(): what a gradient and a step size look like, as numbers and as pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.contract import Clock, ask
from bpcheck.check.options import seed_or_drawn
from bpcheck.check.structure import scalar_loss
from bpcheck.errors import InputError
from bpcheck.numeric.noise import UNIT_ROUNDOFF
from bpcheck.numeric.perturbation import Line, line, random_direction, real_phi, relative_step
from bpcheck.numeric.step_curve import StepErrors, step_errors
from bpcheck.numeric.taylor import ABOVE_NOISE, Remainders, remainders
from bpcheck.report import plots
from bpcheck.subject import from_parts
from bpcheck.tree import FloatArray, Tree

__all__ = ["StepCurve", "TaylorRemainder", "step_curve", "taylor_remainder"]


@dataclass(frozen=True, eq=False)
class TaylorRemainder(Remainders):
    """Taylor remainders of a loss along a direction; prints itself, and :meth:`plot` draws it.

    Attributes
    ----------
    seed : int or None
        Of the random direction, None if the direction was given.
    """

    seed: int | None = None

    def plot(self, ax: Any = None) -> Any:
        """Draw both remainders against the step, with the noise and the orders.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure if not given.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InputError
            If matplotlib is not installed.
        """
        return plots.taylor(
            self.steps,
            self.first,
            self.second,
            ABOVE_NOISE * self.floor,
            orders=(str(self.first_order), str(self.second_order)),
            ax=ax,
        )


@dataclass(frozen=True, eq=False)
class StepCurve(StepErrors):
    """Error of a central difference against its step; :meth:`plot` draws the V.

    Attributes
    ----------
    seed : int or None
        Of the random direction, None if the direction was given.
    """

    seed: int | None = None

    def plot(self, ax: Any = None) -> Any:
        """Draw the errors against the step, with the step and the bar of the adaptive estimate.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure if not given.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InputError
            If matplotlib is not installed.
        """
        return plots.step_curve(
            self.steps,
            self.errors,
            step=self.estimate.step,
            bar=self.estimate.error,
            noise=self.noise,
            is_exact=self.is_exact,
            ax=ax,
        )


def taylor_remainder(
    loss: Callable[..., Any],
    gradient: Callable[..., Any],
    params: Tree,
    *args: Any,
    direction: Tree | None = None,
    seed: int | None = None,
    steps: Sequence[float] | None = None,
) -> TaylorRemainder:
    """Taylor remainders of a loss with its claimed gradient: orders of convergence, and a picture.

    A look, not a verdict: slopes accept gradients that are wrong by less than ``visible_error``.
    :func:`bpcheck.check_gradient` decides.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args) -> number``.
    gradient : callable
        ``gradient(params, *args)``, nested and shaped as ``params``.
    params : tree of float arrays
    *args
        Handed on unchanged (as copies).
    direction : tree, optional
        Nested and shaped as ``params``; Gaussian, in proportion to the parameters, if not given.
    seed : int, optional
        For the direction; drawn and reported if not given.
    steps : sequence of float, optional
        In units of the direction; by default 14 of them, from a relative step of about 0.3 down.

    Returns
    -------
    TaylorRemainder

    Raises
    ------
    InputError
        If an argument cannot be used as given, or the gradient has another form than the parameters.
    SubjectError
        If one of the functions raises.

    Notes
    -----
    Source: see :func:`bpcheck.numeric.taylor.remainders`.

    Examples
    --------
    >>> w = np.array([0.3, -1.0, 2.0])
    >>> found = taylor_remainder(lambda w: np.sum(np.sin(w)), np.cos, w, seed=0)
    >>> round(found.second_order.value, 1)
    2.0
    >>> wrong = taylor_remainder(lambda w: np.sum(np.sin(w)), lambda w: 1.01 * np.cos(w), w, seed=0)
    >>> round(wrong.second_order.value, 1)
    1.0
    """
    unit, scale, used = _line(params, direction, seed)
    f = _loss(loss, args)
    asked = ask(from_parts(loss=loss, gradient=gradient), params, args, clock=Clock())
    if asked.findings:
        first = asked.findings[0]
        raise InputError(f"the gradient cannot be used: {first.path}: {first.reason}.")
    slope = math.fsum(
        float(np.sum(g * v)) for g, v in zip(asked.gradient.values(), unit.direction, strict=True)
    )
    found = remainders(real_phi(f, unit), slope, steps=_steps(steps, scale), roundoff=_roundoff(unit))
    rescaled = {
        "steps": tree.freeze(found.steps * scale),
        "slope": found.slope / scale,
        "visible_error": found.visible_error / scale,
        "evaluations": found.evaluations + 2,
    }
    return TaylorRemainder(**{**_fields(found), **rescaled}, seed=used)


def step_curve(
    f: Callable[..., Any],
    at: Tree,
    *args: Any,
    direction: Tree | None = None,
    exact: float | None = None,
    seed: int | None = None,
    steps: Sequence[float] | None = None,
) -> StepCurve:
    """Error of a central difference against its step size: the V, with the step and the bar that bpcheck takes.

    Parameters
    ----------
    f : callable
        ``f(at, *args) -> number``.
    at : tree of float arrays
    *args
        Handed on unchanged (as copies).
    direction : tree, optional
        Nested and shaped as ``at``; Gaussian, in proportion to the parameters, if not given.
    exact : float, optional
        The derivative along ``direction``, if it is known; the adaptive estimate takes its place if not.
    seed : int, optional
        For the direction; drawn and reported if not given.
    steps : sequence of float, optional
        In units of the direction.

    Returns
    -------
    StepCurve

    Raises
    ------
    InputError
        If an argument cannot be used as given.
    SubjectError
        If ``f`` raises.

    Notes
    -----
    Source: error h² φ'''/6 + σ / (√2 h) of a central difference, see any text on numerical analysis; the bar
    is that of :class:`bpcheck.numeric.Central`.

    Examples
    --------
    >>> curve = step_curve(np.exp, 1.0, direction=1.0, exact=float(np.e))
    >>> abs(curve.estimate.value - curve.reference) <= curve.estimate.error < 1e-11
    True
    """
    if exact is not None and direction is None:
        raise InputError("exact is the derivative along a direction: give the direction too.")
    unit, scale, used = _line(at, direction, seed)
    found = step_errors(
        real_phi(_loss(f, args), unit),
        exact=None if exact is None else exact * scale,
        steps=_steps(steps, scale),
        roundoff=_roundoff(unit),
    )
    estimate = type(found.estimate)(
        found.estimate.value / scale,
        found.estimate.truncation / scale,
        found.estimate.rounding / scale,
        found.estimate.step * scale,
        found.estimate.order,
        found.estimate.evaluations,
        found.estimate.regime,
    )
    rescaled = {
        "steps": tree.freeze(found.steps * scale),
        "errors": tree.freeze(found.errors / scale),
        "reference": found.reference / scale,
        "estimate": estimate,
    }
    return StepCurve(**{**_fields(found), **rescaled}, seed=used)


def _fields(found: Any) -> dict[str, Any]:
    return {field.name: getattr(found, field.name) for field in fields(found)}


def _line(at: Tree, direction: Tree | None, seed: int | None) -> tuple[Line, float, int | None]:
    """The line through ``at``, scaled to relative steps; what a direction given was multiplied by; the seed."""
    if direction is not None:
        path = line(at, direction)
        scale = relative_step(path)
        return Line(path.like, path.point, [scale * step for step in path.direction]), scale, None
    used = seed_or_drawn(seed)
    point: list[FloatArray] = list(tree.arrays(at).values())
    path = Line(at, point, random_direction(point, np.random.default_rng(used)))
    scale = relative_step(path)
    # a random direction has no units of its own: the scaled one is the direction
    return Line(path.like, path.point, [scale * step for step in path.direction]), 1.0, used


def _loss(loss: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[Tree], float]:
    if not callable(loss):
        raise InputError(f"the loss is {tree.describe(loss)}; a function is needed.")

    def f(params: Tree) -> float:
        value, fault = scalar_loss(loss(params, *map(tree.copy, args)))
        if fault:
            raise InputError(f"the loss cannot be differenced: {fault}.")
        return value

    return f


def _roundoff(path: Line) -> float:
    return max(UNIT_ROUNDOFF, *(float(np.finfo(leaf.dtype).eps) / 2.0 for leaf in path.point))


def _steps(steps: Any, scale: float) -> list[float] | None:
    """The caller's steps in units of the line."""
    if steps is None:
        return None
    try:
        return [float(step) / scale for step in np.asarray(steps, dtype=float).ravel()]
    except (TypeError, ValueError):
        raise InputError(f"steps is {steps!r:.80}; give numbers above zero, such as [1e-1, 1e-2].") from None
