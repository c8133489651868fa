"""compare(): the door to the search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from bpcheck.check.contract import Clock, guarded
from bpcheck.check.declared import EXACT, declared
from bpcheck.check.options import resolution_or_default, seed_or_drawn
from bpcheck.conventions import PRESETS, Conventions
from bpcheck.errors import InputError
from bpcheck.network.case import Case
from bpcheck.report.progress import progress_bar
from bpcheck.result import Report
from bpcheck.search.cases.sources import Pins
from bpcheck.search.dialect.trial import judge_of
from bpcheck.search.judging import Judge
from bpcheck.search.scaling import scaling_of
from bpcheck.search.session import Session
from bpcheck.subject import as_subject

__all__ = ["compare", "search"]


def compare(
    subject: Any,
    *,
    reference: Any = None,
    architectures: Any = None,
    cases: Any = None,
    conventions: Conventions | str | None = "infer",
    resolution: float | None = None,
    examples: int = 100,
    ignore: Any = None,
    approximate: Any = None,
    seed: int | None = None,
    time_limit: float | None = None,
    progress: Any = None,
) -> Report:
    """Hold a hand-written backprop against the reference, over random cases.

    Parameters
    ----------
    subject : callable or Subject
        ``subject(params, x, y) -> (loss, grads)`` with ``params`` =
        ``[{"weight": (out, in), "bias": (out,)}, …]``, ``x`` (batch, in), ``y`` (batch, out), or
        what :func:`bpcheck.from_parts`, :func:`bpcheck.from_step` or :func:`bpcheck.from_torch`
        returns. If it has a parameter named ``architecture`` it is handed each network's description.
    reference : callable or Subject, optional
        Another implementation to compare with instead of bpcheck's own gradient; the error bounds
        still come from the network's description.
    architectures : Architecture, list of Architecture or Hypothesis strategy, optional
        Pins the networks, of any layers; with other ones than dense layers, ``params`` has one entry a layer (a dict
        by key, ``{}`` for a layer without parameters, a list for a skip connection). Without it (and without
        ``architecture`` parameter or ``cases``) activation, output, loss and reduction are inferred from the
        subject's loss.
    cases : Case or list of Case, optional
        Real data and real parameters: exactly these are compared.
    conventions : Conventions or str, optional
        Layout of the subject: a :class:`bpcheck.Conventions`, the name of a preset (``"nielsen"``,
        ``"torch"``, ``"keras"``, ``"sklearn"``, ``"cs231n"``), or ``"infer"``: bpcheck's own layout, and
        where the subject does not answer in it, or its loss does not fit, whichever it accepts. The
        report says what was inferred, and from what.
    resolution : float, optional
        Relative error (of a tensor's root mean square) that must be visible for AGREES; 1e-3.
    examples : int
        Number of random cases.
    ignore : list of str, optional
        Paths of tensors, as reports name them (``"params[0]['weight']"``), that are not judged: frozen ones, say.
        The report says so.
    approximate : list of str, optional
        Paths of tensors whose gradient is an approximation on purpose (truncated, clipped): measured, but no
        difference fails, unless the gradient is absent, zero, not finite, or of another shape.
    seed : int, optional
        The same seed gives the same report; drawn and reported if not given.
    time_limit : float, optional
        Seconds, after which what is known is reported.
    progress : bool or callable, optional
        None shows a bar on a terminal for anything longer than two seconds; a callable gets
        ``(done, total)``.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If an argument cannot be used as given.
    SubjectError
        If the subject raises; the message holds the smallest case found and the cause is chained.

    Examples
    --------
    >>> import numpy as np, bpcheck
    >>> def linear(params, x, y):
    ...     r = x @ params[0]["weight"].T + params[0]["bias"] - y
    ...     loss = 0.5 * np.mean(np.sum(r**2, axis=1))
    ...     return loss, [{"weight": r.T @ x / len(x), "bias": r.mean(axis=0)}]
    >>> report = bpcheck.compare(linear, architectures=bpcheck.mlp([3, 2]), seed=0)
    >>> report.verdict
    <Verdict.AGREES>
    """
    return search(
        subject,
        reference=reference,
        architectures=architectures,
        cases=cases,
        conventions=conventions,
        resolution=resolution,
        examples=examples,
        ignore=ignore,
        approximate=approximate,
        seed=seed,
        time_limit=time_limit,
        progress=progress,
    )


def search(
    subject: Any,
    *,
    reference: Any = None,
    architectures: Any = None,
    cases: Any = None,
    conventions: Conventions | str | None = "infer",
    resolution: float | None = None,
    examples: int = 100,
    ignore: Any = None,
    approximate: Any = None,
    seed: int | None = None,
    time_limit: float | None = None,
    progress: Any = None,
    pins: Pins = Pins(),  # noqa: B008 (frozen)
    announce: Callable[[Case], None] | None = None,
) -> Report:
    """:func:`compare`, with what the command line needs: pinned widths and batch, and word of each case."""
    if isinstance(examples, bool) or not isinstance(examples, int | np.integer) or examples < 1:
        raise InputError(f"examples is {examples!r}; give the number of random cases, 1 or more.")
    if cases is not None and architectures is not None:
        raise InputError("both cases= and architectures= are given; a case already holds its architecture.")
    pinned, asked, used = _said(conventions), as_subject(subject), seed_or_drawn(seed)
    loose = EXACT if ignore is None and approximate is None else declared(ignore, approximate)
    judge = Judge(
        asked,
        resolution_or_default(resolution),
        Clock.start(time_limit),
        reference=None if reference is None else as_subject(reference),
        announce=announce,
        by_precision=resolution is None,
        declared=loose,
    )
    if pinned is not None:
        judge = replace(judge_of(judge, pinned), scaling=scaling_of(pinned))
    given = None if cases is None else _cases(cases)
    with guarded(), progress_bar(progress, "comparing") as bar:
        return Session(
            judge,
            np.random.default_rng(used),
            used,
            int(examples),
            bar,
            pins,
            spoken=asked,
            settled=pinned is not None,
        ).run(given, architectures)


def _cases(cases: Any) -> list[Case]:
    found = [cases] if isinstance(cases, Case) else list(cases) if isinstance(cases, Iterable) else None
    if not found or not all(isinstance(case, Case) for case in found):
        raise InputError(
            f"cases is {cases!r:.80}; give a bpcheck.Case(architecture, params, x, y) or a list of them."
        )
    return found


def _said(conventions: Any) -> Conventions | None:
    """What the caller gave: a value, the name of a preset, or None for "infer".

    Raises
    ------
    InputError
        If it is anything else.
    """
    if conventions is None or (isinstance(conventions, str) and conventions == "infer"):
        return None
    if isinstance(conventions, Conventions):
        return conventions
    if isinstance(conventions, str) and conventions in PRESETS:
        return PRESETS[conventions]
    raise InputError(
        f"conventions is {conventions!r}; give bpcheck.Conventions() or another such value, one of "
        f"{', '.join(map(repr, PRESETS))}, or 'infer'."
    )
