"""check_every_entry(): each number of a gradient of one of our networks, against the structured complex step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.agreement import detection_limit, entries, judge
from bpcheck.check.contract import Asked, Clock, HungError, ask, guarded
from bpcheck.check.options import resolution_or_default, seed_or_drawn
from bpcheck.diagnosis import Observation, diagnose
from bpcheck.diagnosis.layers.kinds import knows
from bpcheck.diagnosis.locate import locate
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.names import book_name
from bpcheck.numeric import Contradiction, structured_step
from bpcheck.numeric.complex_step import entry_errors, points_around
from bpcheck.reference import Network, Perturbations
from bpcheck.reference.network import as_network
from bpcheck.report.progress import Progress, progress_bar
from bpcheck.result import Comparison, Diagnosis, Report, Testimony
from bpcheck.subject import Answer, Subject
from bpcheck.tree import FloatArray, Path, Tree, rms
from bpcheck.verdict import Verdict

__all__ = ["check_every_entry"]


def check_every_entry(
    network: Network | Architecture,
    params: Tree,
    x: Any,
    y: Any,
    *,
    resolution: float | None = None,
    gradient: Any = None,
    time_limit: float | None = None,
    progress: Any = None,
    seed: int | None = None,
) -> Report:
    """Check every entry of a gradient of a network by the complex step.

    Each parameter is moved by ih, h = 2^−400, and what it touches is evaluated again in complex arithmetic: no
    difference is taken and no step has to be chosen, so that each derivative is right to about the last digit.
    All 79,510 parameters of a 784-100-10 network with a batch of 32 take some 0.2 s
    (``benchmarks/speed/every_entry.py``).

    Parameters
    ----------
    network : Network or Architecture
        From :func:`bpcheck.mlp`, or what ``bpcheck.reference.build`` makes of one.
    params : list
        With the shapes of ``architecture.parameter_shapes``; for dense networks
        ``[{"weight": (out, in), "bias": (out,)}, …]``. Not changed, nor are x and y.
    x : array of shape (batch, *architecture.input_shape)
        (batch, in) for dense networks, (batch, channels, height, width) for images.
    y : array of shape (batch, out)
    resolution : float, optional
        Relative error (of a tensor's root mean square) that must be visible for AGREES; 1e-3. It is a demand,
        not a tolerance: what agrees is decided by the bounds, about 1e-10.
    gradient : callable or list, optional
        The gradient to check: a function ``gradient(params, x, y)``, or its answer, nested and shaped as ``params``.
        None checks the network's own.
    time_limit : float, optional
        Seconds, after which the entries not yet evaluated are INCONCLUSIVE.
    progress : bool or callable, optional
        As for :func:`bpcheck.compare`: by default a bar after two seconds if stderr is a terminal.
    seed : int, optional
        For the direction of the cross-check; drawn and reported if not given.

    Returns
    -------
    Report
        One comparison a tensor: AGREES, DISAGREES, NONFINITE, WRONG_STRUCTURE; AGREES_AT_KINK where a unit is so near
        its kink that correct code may have it on either side, and the entry lies between the one-sided
        derivatives (``expected`` is their middle); INCONCLUSIVE when time was up, numbers overflow, or the
        cross-check voids the check. ``bound`` is that of the complex step plus what rounding may do to the claim
        in its own precision, whatever the order of its sums (:meth:`bpcheck.reference.Network.enclose`). Where these
        bounds are too wide for ``resolution``, as in deep networks, and the gradient is a function, the errors of
        both sides are measured at points around ``params``, as :func:`bpcheck.numeric.complex_step` does.

    Raises
    ------
    InputError
        If an argument cannot be used as given.
    SubjectError
        If ``gradient`` raises.

    Notes
    -----
    Source: Squire and Trapp, *Using complex variables to estimate derivatives of real functions*, SIAM Review 40, 1998;
    what a parameter touches, and what of the real parts is reused, in :mod:`bpcheck.reference.touching.imaginary` and
    :mod:`bpcheck.numeric.structured`.

    Examples
    --------
    >>> import bpcheck
    >>> network = bpcheck.mlp([1, 1])
    >>> params, x, y = [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]]
    >>> check_every_entry(network, params, x, y, seed=0).verdict
    <Verdict.AGREES>
    >>> wrong = [{"weight": np.array([[6.0 + 1e-11]]), "bias": np.array([2.0])}]
    >>> check_every_entry(network, params, x, y, gradient=wrong, seed=0).comparisons[0].reason
    'it differs by more than its bound'
    """
    built = as_network(network)
    case = Case(built.architecture, params, x, y)
    wanted, used = resolution_or_default(resolution), seed_or_drawn(seed)
    subject = _subject(gradient, built)
    clock = Clock.start(time_limit)

    def without_verdict(summary: str, *warnings: str) -> Report:
        verdict = Verdict.INCONCLUSIVE
        return Report(subject.name, verdict, warnings=warnings, examples=1, seed=used, summary=summary)

    with guarded(), progress_bar(progress, "perturbing") as bar:
        try:
            asked = ask(subject, case.params, (case.x, case.y), clock=clock)
        except HungError:
            return without_verdict("Stopped: the gradient did not return within the time limit.")
        if not asked.gradient:
            return _report(subject, case, asked, asked.findings, seed=used)
        try:
            check = _checked(built, case, asked, wanted, np.random.default_rng(used), clock, bar)
            if callable(gradient) or gradient is None:
                check = check.measured(subject, clock, bar)
        except Contradiction as contradiction:
            void = (
                "Self-test failed: two ways to compute the same derivatives contradict one another, so no verdict is given. "
                "Please report it."
            )
            return without_verdict(void, str(contradiction))
    return _report(subject, case, asked, (*asked.findings, *check.comparisons), check, seed=used)


def _subject(gradient: Any, network: Network) -> Subject:
    """Who is asked: a function, a ready answer, or the network itself."""
    if gradient is None:

        def own(params: Tree, x: Any, y: Any) -> Answer:
            with np.errstate(all="ignore"):
                return Answer(None, network.gradient(params, x, y))

        return Subject("network.gradient", own)
    if callable(gradient):
        name = getattr(gradient, "__name__", type(gradient).__name__)
        return Subject(name, lambda params, x, y: Answer(None, gradient(params, x, y)))
    return Subject("gradient", lambda params, x, y: Answer(None, gradient))


@dataclass(frozen=True, eq=False)
class _Check:
    """The claim against what the complex step says.

    Attributes
    ----------
    case : Case
    asked : Asked
    function : Perturbations
    right : Testimony
    rounding : mapping of Path to array
        What rounding may do to the claim.
    resolution : float
    rng : numpy.random.Generator
    evaluations : int
    """

    case: Case
    asked: Asked
    function: Perturbations
    right: Testimony
    rounding: Mapping[Path, FloatArray]
    resolution: float
    rng: np.random.Generator
    evaluations: int

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """One comparison for each tensor that has the right form."""
        known = {
            path: np.where(np.isfinite(array), array, 0.0) for path, array in self.right.gradient.items()
        }
        fallback = max((rms(array) for array in known.values()), default=0.0) or 1.0
        return tuple(self._one(path, claim, fallback) for path, claim in self.asked.gradient.items())

    def _one(self, path: Path, claim: FloatArray, fallback: float) -> Comparison:
        expected = self.right.gradient[path]
        found = judge(
            path,
            claim,
            expected,
            self.right.error[path] + self.rounding[path] + self.asked.error[path],
            kink=self.function.kinks().get(path, 0.0),
            resolution=self.resolution,
            fallback=fallback,
            name=book_name(self.function.network.architecture, path),
        )
        missing = int(np.isnan(expected).sum())
        if found.verdict is Verdict.INCONCLUSIVE and missing:
            done = expected.size - missing
            reason = entries(done, expected.size, "was measured, and agrees", "were measured, and agree")
            found = replace(found, reason=reason if done else "no entry could be measured")
        return found

    def measured(self, subject: Subject, clock: Clock, bar: Progress) -> _Check:
        """The same with all errors measured, if only the width of their bounds is in the way.

        In a deep network what a bound a priori allows grows with each layer, and what rounding does, does not.
        """
        too_wide = any(c.verdict is Verdict.INCONCLUSIVE for c in self.comparisons)
        failed = any(c.verdict.severity > Verdict.INCONCLUSIVE.severity for c in self.comparisons)
        all_known = all(np.isfinite(array).all() for array in self.right.gradient.values())
        in_doubles = self.asked.dtype == np.float64
        if not too_wide or failed or not all_known or not in_doubles or self.function.kinks():
            return self
        leaves = [leaf for _, leaf in tree.leaves(self.function.params)]
        around = points_around(leaves, self.rng)
        seen: list[Mapping[Path, FloatArray]] = []
        try:
            for point in around:
                params = tree.restore(self.function.params, point)
                asked = ask(subject, params, (self.case.x, self.case.y), clock=clock)
                if asked.findings:
                    return self
                seen.append(asked.gradient)
            values = [np.stack([one[path] for one in seen], axis=-1) for path in self.right.gradient]
        except (HungError, KeyError):
            return self
        right = structured_step(
            self.function, rng=self.rng, measured=True, stop=lambda: clock.struck, advance=bar.advance
        )
        if not all(np.isfinite(error).all() for error in right.error.values()):
            return self  # time was up
        rounding = dict(zip(self.right.gradient, entry_errors(leaves, values), strict=True))
        evaluations = self.evaluations + right.evaluations + len(around)
        return replace(self, right=right, rounding=rounding, evaluations=evaluations)

    @property
    def summary(self) -> str:
        """How many entries, how far apart, how well known."""
        gaps, errors, largest, count, missing = 0.0, 0.0, 0.0, 0, 0
        for path, claim in self.asked.gradient.items():
            expected, error = self.right.gradient[path], self.right.error[path]
            known = np.isfinite(expected) & np.isfinite(error) & np.isfinite(claim)
            gaps = max(gaps, float(np.max(abs(claim - expected), where=known, initial=0.0)))
            errors = max(errors, float(np.max(error, where=known, initial=0.0)))
            largest = max(largest, float(np.max(abs(expected), where=known, initial=0.0)))
            count += expected.size
            missing += int(np.isnan(expected).sum())
        many = f"{count:,} {'entry was' if count == 1 else 'entries were'}"
        if missing:
            return f"{count - missing:,} of {count:,} entries were evaluated by the complex step."
        if not largest:
            return f"{many} evaluated by the complex step; all derivatives are 0."
        return (
            f"{many} evaluated by the complex step, each known to within {errors / largest:.0e} of the "
            f"largest; the gradient differs by {gaps / largest:.0e} of it at most."
        )


def _checked(
    network: Network,
    case: Case,
    asked: Asked,
    resolution: float,
    rng: np.random.Generator,
    clock: Clock,
    bar: Progress,
) -> _Check:
    """The complex step, and what rounding in the claim's precision may do to any correct code."""
    function = Perturbations(network, case.params, case.x, case.y, dtype=asked.dtype)
    right = structured_step(function, rng=rng, stop=lambda: clock.struck, advance=bar.advance)
    rounding = {path: ball.rad for path, ball in function.enclosure.gradient.items()}
    return _Check(case, asked, function, right, rounding, resolution, rng, right.evaluations + 1)


def _report(
    subject: Subject,
    case: Case,
    asked: Asked,
    comparisons: tuple[Comparison, ...],
    check: _Check | None = None,
    *,
    seed: int,
) -> Report:
    verdict = Verdict.worst(comparison.verdict for comparison in comparisons)
    diagnoses: tuple[Diagnosis, ...] = ()
    if verdict is Verdict.DISAGREES and knows(case.architecture.layers) and check is not None:
        right = check.right.gradient
        complete = all(np.isfinite(array).all() for array in right.values())
        observed = [Observation(case, asked.gradient, right)] if complete and not asked.findings else []
        diagnoses = diagnose(case, comparisons, observed)
    elif verdict.severity > Verdict.INCONCLUSIVE.severity:
        diagnoses = (locate(None, comparisons),)
    return Report(
        subject=subject.name,
        verdict=verdict,
        comparisons=comparisons,
        diagnoses=diagnoses,
        detection_limit=detection_limit(comparisons),
        counterexample=case.if_small if verdict.severity > Verdict.INCONCLUSIVE.severity else None,
        warnings=asked.warnings,
        examples=1,
        evaluations=1 if check is None else check.evaluations,
        seed=seed,
        summary="" if check is None else check.summary,
    )
