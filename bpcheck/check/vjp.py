"""check_vjp() and check_jvp(): the derivative of a function of arrays, as a map of cotangents or of tangents.

Both hold the same numbers against each other: ⟨ȳ, Jv⟩, with Jv from finite differences of f, and what is
claimed for it, ⟨vjp(ȳ), v⟩ or ⟨ȳ, jvp(v)⟩.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.agreement import detection_limit
from bpcheck.check.arguments import parse
from bpcheck.check.contract import Clock, HungError, guarded
from bpcheck.check.linear_map import KEPT, MapCheck
from bpcheck.check.options import resolution_or_default, seed_or_drawn
from bpcheck.check.power import check_power
from bpcheck.check.questions import Questions
from bpcheck.errors import InputError
from bpcheck.report.progress import progress_bar
from bpcheck.result import Comparison, Diagnosis, Report
from bpcheck.verdict import Verdict

__all__ = ["check_jvp", "check_vjp"]

# Gaussian directions for each tensor, and as many cotangents for each output: 8 × 8 pairs see an error of
# 8.9 bars with a miss probability of 1e-6 (bpcheck.check.power).
DIRECTIONS = 8
MISS_PROBABILITY = 1e-6

# Two numbers count as the same factor if they agree to this (as in diagnosis/locate.py).
SAME_FACTOR = 1e-8


def check_vjp(
    f: Callable[..., Any],
    vjp: Callable[..., Any],
    at: Any,
    *,
    wrt: Any = None,
    jvp: Callable[..., Any] | None = None,
    resolution: float | None = None,
    miss_probability: float = MISS_PROBABILITY,
    directions: int | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
    progress: Any = None,
) -> Report:
    """Check a vector-Jacobian product (pullback, backward pass) of a function of arrays.

    Parameters
    ----------
    f : callable
        ``f(*at)``: returns an array or any nesting of arrays.
    vjp : callable
        ``vjp(*at, cotangent)``: the cotangent (nested and shaped as ``f``'s output) pulled back, nested and
        shaped as the argument; for several arguments a tuple, one for each of ``wrt``.
    at : tuple of arguments, or one argument
        Where. Each argument is an array, a number, or any nesting of them. Integers, None and flags are
        handed on; their cotangent may be None.
    wrt : int, str or a sequence of them, optional
        Which arguments to differentiate, by position or name; all that hold floats by default.
    jvp : callable, optional
        ``jvp(*at, tangent)``. If given, ⟨ȳ, jvp(v)⟩ = ⟨vjp(ȳ), v⟩ is checked too, whose two sides differ by
        rounding only.
    resolution : float, optional
        Relative error that must be visible for AGREES; 1e-3.
    miss_probability : float
        The chance with which an error as large as the stated limit may slip through random directions.
    directions : int, optional
        Random directions for each tensor, and random cotangents for each output; 8.
    seed : int, optional
        For the directions; drawn and reported if not given.
    time_limit : float, optional
        Seconds, after which the answer is INCONCLUSIVE unless an error has been found.
    progress : bool or callable, optional
        As for :func:`bpcheck.compare`.

    Returns
    -------
    Report
        One comparison for each tensor and output. Up to 600 entries the whole Jacobian is checked; beyond,
        Gaussian cotangents against Gaussian directions. The limit then says which error of one entry of a
        cotangent, relative to its root mean square, would have been seen.

    Raises
    ------
    InputError
        If an argument cannot be used as given, or ``f`` returns anything but real arrays of one form.
    SubjectError
        If one of the functions raises.

    Notes
    -----
    Source: the forward-reverse dot test, as in Griewank and Walther, *Evaluating Derivatives* (2008); error
    bars by :class:`bpcheck.numeric.Central`; the limit is derived in :mod:`bpcheck.check.power`.

    Examples
    --------
    >>> def f(W, x):
    ...     return np.tanh(W @ x)
    >>> def pullback(W, x, y_bar):
    ...     z_bar = y_bar * (1 - np.tanh(W @ x) ** 2)
    ...     return np.outer(z_bar, x), W.T @ z_bar
    >>> at = (np.array([[0.1, 0.2, 0.3], [-0.5, 0.4, 0.1]]), np.array([1.0, -2.0, 0.5]))
    >>> check_vjp(f, pullback, at, seed=0).verdict
    <Verdict.AGREES>
    >>> report = check_vjp(f, lambda W, x, y_bar: pullback(W, x, np.ones(2)), at, seed=0)
    >>> report.verdict
    <Verdict.DISAGREES>
    """
    return _check(
        f, vjp, jvp, True, at, wrt, resolution, miss_probability, directions, seed, time_limit, progress
    )


def check_jvp(
    f: Callable[..., Any],
    jvp: Callable[..., Any],
    at: Any,
    *,
    wrt: Any = None,
    vjp: Callable[..., Any] | None = None,
    resolution: float | None = None,
    miss_probability: float = MISS_PROBABILITY,
    directions: int | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
    progress: Any = None,
) -> Report:
    """Check a Jacobian-vector product (pushforward, tangent) of a function of arrays.

    Parameters
    ----------
    f : callable
        ``f(*at)``: returns an array or any nesting of arrays.
    jvp : callable
        ``jvp(*at, tangent)``: nested and shaped as ``f``'s output. The tangent is nested as ``at``; if
        ``at`` is a tuple, it is a tuple with one entry for each argument of ``wrt`` (None for integers).
    at, wrt, resolution, miss_probability, directions, seed, time_limit, progress
        As for :func:`check_vjp`.
    vjp : callable, optional
        If given, ⟨ȳ, jvp(v)⟩ = ⟨vjp(ȳ), v⟩ is checked too.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If an argument cannot be used as given, or ``f`` returns anything but real arrays of one form.
    SubjectError
        If one of the functions raises.

    Notes
    -----
    Source: see :func:`check_vjp`.

    Examples
    --------
    >>> x = np.array([0.3, 1.0, -2.0])
    >>> check_jvp(np.sin, lambda x, v: np.cos(x) * v, x, seed=0).verdict
    <Verdict.AGREES>
    >>> check_jvp(np.sin, lambda x, v: np.cos(x) * v**2, x, seed=0).verdict
    <Verdict.DISAGREES>
    """
    return _check(
        f, vjp, jvp, False, at, wrt, resolution, miss_probability, directions, seed, time_limit, progress
    )


def _check(
    f: Any,
    vjp: Any,
    jvp: Any,
    reverse: bool,
    at: Any,
    wrt: Any,
    resolution: Any,
    miss_probability: Any,
    directions: Any,
    seed: Any,
    time_limit: Any,
    progress: Any,
) -> Report:
    for name, function in (("f", f), ("vjp", vjp), ("jvp", jvp)):
        if not callable(function) and (
            function is not None or name == ("vjp" if reverse else "jvp") or name == "f"
        ):
            raise InputError(f"{name} is {tree.describe(function)}; a function is needed.")
    wanted = resolution_or_default(resolution)
    count = DIRECTIONS if directions is None else directions
    check_power(count, miss_probability)
    used = seed_or_drawn(seed)
    with guarded(), progress_bar(progress, "differencing") as bar:
        asked = Questions(f, vjp, jvp, parse(f, at, wrt), Clock.start(time_limit))
        check = MapCheck(
            asked=asked,
            reverse=reverse,
            count=int(count),
            rng=np.random.default_rng(used),
            bar=bar,
            resolution=wanted,
            miss_probability=float(miss_probability),
        )
        stopped = False
        try:
            check.run()
        except HungError:
            stopped = True
    return _report(check, used, stopped=stopped)


def _report(check: MapCheck, seed: int, *, stopped: bool) -> Report:
    """Everything found."""
    comparisons = tuple(check.asked.findings)
    verdict = Verdict.worst(c.verdict for c in comparisons)
    if stopped and verdict.ok:
        verdict = Verdict.INCONCLUSIVE
    name = "vjp" if check.reverse else "jvp"
    bad = [c for c in comparisons if c.verdict is verdict]
    limits = detection_limit(comparisons, miss_probability=0.0 if check.whole else check.miss_probability)
    tensor = "a cotangent" if check.reverse else "a tangent"
    if stopped and verdict is Verdict.INCONCLUSIVE:
        summary = "Stopped: the time limit was reached before everything was looked at."
    elif verdict.ok and check.whole:
        summary = (
            f"Every entry of the Jacobian of {name} lies within the error bars of finite differences of f."
        )
    elif verdict.ok:
        summary = (
            f"{name} agrees with finite differences of f along {check.count} random directions of each tensor and "
            f"{check.count} random cotangents. An entry of {tensor} that is wrong by more than {limits.maximum:.1e} of "
            f"its root mean square is missed with probability {check.miss_probability:g} at most, if the error bars hold."
        )
    elif verdict is Verdict.INCONCLUSIVE:
        summary = f"{bad[0].label}: {bad[0].reason}. {verdict.remedy}"
    else:
        summary = f"{bad[0].label}: {bad[0].reason}."
    return Report(
        subject=name,
        verdict=verdict,
        comparisons=comparisons,
        diagnoses=_diagnoses(check, name, verdict, comparisons),
        detection_limit=limits,
        warnings=tuple(check.asked.warnings),
        examples=1,
        evaluations=check.asked.evaluations,
        seed=seed,
        summary=summary,
    )


def _diagnoses(
    check: MapCheck, name: str, verdict: Verdict, comparisons: tuple[Comparison, ...]
) -> tuple[Diagnosis, ...]:
    """What can be said about a wrong map from the numbers at hand."""
    if not verdict.severity > Verdict.INCONCLUSIVE.severity:
        return ()
    wrong = [c for c in comparisons if c.verdict.severity > Verdict.INCONCLUSIVE.severity]
    evidence = [f"{c.label}: {c.reason}" for c in wrong if c.reason]
    hint, slug = "", ""
    if any(" after the call" in c.path for c in wrong):
        hint, slug = "Work on copies of the arguments.", "input-mutated"
    elif all(c.path.endswith("at once") for c in wrong):
        kind = "cotangents" if check.reverse else "tangents"
        hint = f"{name} is right for {kind} of one entry or argument alone, wrong for sums of them: it is not linear."
    elif KEPT in check.asked.warnings:
        hint = f"Let {name} start from zero at every call."
    factors = {round(c.scale, 6) for c in wrong if math.isfinite(c.scale) and c.residual <= SAME_FACTOR}
    if len(factors) == 1 and factors != {1.0}:
        factor = factors.pop()
        times = f"{factor:g} times the right value" if factor else "0 where it should not be"
        evidence.append(f"what {name} gives is {times}")
    return (Diagnosis("", wrong[0].path, slug, tuple(evidence), hint),)
