"""check_gradient(): the caller's own loss against the caller's own gradient, with no reference and no layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.again import ask_again
from bpcheck.check.agreement import detection_limit, judge
from bpcheck.check.beside import beside_a_difference, beside_a_kink
from bpcheck.check.block import Block
from bpcheck.check.call_forms import parse
from bpcheck.check.claim import Claim
from bpcheck.check.contract import Asked, Clock, HungError, ask, guarded
from bpcheck.check.declared import EXACT, Declared, declared, set_aside_in_short, spoken_of
from bpcheck.check.doubt import confirmed
from bpcheck.check.kinks import confirm_kinks
from bpcheck.check.lines import every_entry, random_lines
from bpcheck.check.locate import locate_in
from bpcheck.check.location import Location, sizes_of
from bpcheck.check.options import resolution_or_default, seed_or_drawn
from bpcheck.check.power import check_power
from bpcheck.check.problem import Problem, aside, moved, pasteable
from bpcheck.check.reading import exact
from bpcheck.check.recognise import recognise
from bpcheck.check.remedy import remedies
from bpcheck.diagnosis.diagnose import by_numbers, named
from bpcheck.diagnosis.locate import locate
from bpcheck.errors import InputError, SubjectError
from bpcheck.numeric import complex_step
from bpcheck.report.progress import Progress, progress_bar
from bpcheck.result import Comparison, Diagnosis, Report, SetAside
from bpcheck.tree import FloatArray, Path
from bpcheck.verdict import Verdict

__all__ = ["assert_gradient", "check_gradient"]

# Up to here every entry is differenced on its own (about 13 evaluations each: seconds at most for a
# loss of some 100 µs); beyond, random directions say as much about errors at a fixed price.
EVERY_ENTRY_UP_TO = 600

# Gaussian directions for each tensor, and the chance with which an error of the stated size may slip
# through all of them (see bpcheck.check.power: 8 directions see 8.9 bars, 16 only 3.6, at twice the price).
DIRECTIONS = 8
MISS_PROBABILITY = 1e-6

# Evaluations spent on finding the wrong entries: some 200 for one, some 800 for a wrong row or layer
# (benchmarks/speed/locate.py), and as many as the check itself took for two tensors.
MOST_TO_LOCATE = 1000

# Findings that a report lists, as many as fit on a screen with the table below; bpcheck.locate() has them all.
MOST_TOLD = 5

ONE_FACTOR = (
    "Loss and gradient differ by one common factor, the same in every tensor: find the sum, mean or constant that only "
    "one of the two has."
)

OPTIONS = (
    "resolution",
    "seed",
    "time_limit",
    "progress",
    "miss_probability",
    "directions",
    "method",
    "ignore",
    "approximate",
)
METHODS = ("auto", "central", "line", "complex")


def check_gradient(
    *arguments: Any,
    resolution: float | None = None,
    miss_probability: float = MISS_PROBABILITY,
    directions: int | None = None,
    method: str = "auto",
    ignore: Any = None,
    approximate: Any = None,
    seed: int | None = None,
    time_limit: float | None = None,
    progress: Any = None,
    **named: Any,
) -> Report:
    """Hold a gradient against its own loss, judged by error bars that are measured on the way.

    Call it as ``check_gradient(loss, gradient, params, *args)``, or as
    ``check_gradient(subject, params, *args)`` with any Subject or a function that returns
    ``(loss, gradient)``.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args) -> number``.
    gradient : callable
        ``gradient(params, *args)``, nested and shaped as ``params``.
    params : tree of float arrays
        Any nesting of dict, list, tuple, dataclass; or one array.
    *args
        Handed on unchanged (as copies).
    resolution : float, optional
        Relative error of an entry (of its tensor's root mean square) that must be visible for AGREES;
        1e-3. Not a tolerance: differences are judged by their error bars alone.
    miss_probability : float
        Chance with which an error as large as the stated limit may slip through random directions.
    directions : int, optional
        Random directions for each tensor. By default every entry is looked at up to 600 parameters, and
        8 directions beyond.
    method : {"auto", "central", "line", "complex"}
        Central differences of the loss; the line integral of the gradient against the change of the loss
        (for noisy losses and float32: bars 10 to 100 times narrower, some 60 gradients a line); the
        complex step (for a loss that takes complex parameters and is analytic). ``"auto"`` takes
        differences first, and the others where differences cannot see what is asked for.
    ignore : list of str, optional
        Paths of tensors, as reports name them (``"params['w']"``), that are not judged: frozen ones, say. The report
        says so.
    approximate : list of str, optional
        Paths of tensors whose gradient is an approximation on purpose (truncated, clipped): measured, but no
        difference fails, unless the gradient is absent, zero, not finite, or of another shape.
    seed : int, optional
        For the random directions; drawn and reported if not given.
    time_limit : float, optional
        Seconds, after which what is known is reported as INCONCLUSIVE.
    progress : bool or callable, optional
        As for :func:`bpcheck.compare`.

    Returns
    -------
    Report
        ``detection_limit`` says how small an error would have been seen, in every tensor, with which
        probability; ``remedies`` what would help where nothing could be decided.

    Raises
    ------
    InputError
        If an argument cannot be used as given.
    SubjectError
        If one of the functions raises.

    Notes
    -----
    DISAGREES needs a second measurement with noise measured anew and other steps, and for random
    directions a fresh direction that shows the error too. Every AGREES has passed a control: an error
    of twice the limit, planted in the claim, is seen with the numbers at hand.

    The limit is conditional on the error bars, whose coverage is measured in benchmarks/calibration.
    At a kink (|w| at 0) any value between the one-sided derivatives is right.

    Examples
    --------
    >>> import numpy as np
    >>> def loss(w):
    ...     return float(np.sum(np.sin(w)))
    >>> check_gradient(loss, np.cos, np.array([0.3, 1.0]), seed=0).verdict
    <Verdict.AGREES>
    >>> check_gradient(loss, np.sin, np.array([0.3, 1.0]), seed=0).verdict
    <Verdict.DISAGREES>
    """
    subject, params, args = parse(arguments, named, function="check_gradient", options=OPTIONS)
    wanted = resolution_or_default(resolution)
    check_power(1 if directions is None else directions, miss_probability)
    if method not in METHODS:
        raise InputError(f"method is {method!r}; give one of {', '.join(map(repr, METHODS))}.")
    used = seed_or_drawn(seed)
    if subject.loss is None:
        raise InputError(
            f"{subject.name} has no loss to difference; give one, for example from_step(step, loss=loss)."
        )
    problem = Problem(
        subject,
        params,
        args,
        tree.arrays(params),
        np.random.default_rng(used),
        Clock.start(time_limit),
    )
    loose = declared(ignore, approximate)
    if unknown := loose.unknown(map(str, problem.theta)):
        raise InputError(unknown)
    if loose.ignore.issuperset(str(path) for path, array in problem.theta.items() if array.size):
        raise InputError(
            "ignore= names every tensor: nothing is left to judge. Leave out those that are to be checked."
        )
    settings = _Settings(
        wanted,
        float(miss_probability),
        None if directions is None else int(directions),
        method,
        used,
        loose,
    )
    with guarded(), progress_bar(progress, "differencing") as bar:
        report = _Check(problem, settings, bar).run()
    return replace(report, seed=used)


def assert_gradient(*arguments: Any, **options: Any) -> Report:
    """:func:`check_gradient` for tests: raises unless the gradient agrees.

    Parameters
    ----------
    *arguments, **options
        As for :func:`check_gradient`.

    Returns
    -------
    Report

    Raises
    ------
    GradientMismatch
        With the report as its text.
    GradientInconclusive
        If nothing could be decided: a test must not pass on that.

    Examples
    --------
    >>> import numpy as np
    >>> assert_gradient(lambda w: np.sum(w**2), lambda w: 2 * w, np.array([1.0, 2.0]), seed=0).ok
    True
    """
    __tracebackhide__ = True  # pytest then shows the caller's line and the report, not these
    try:
        report = check_gradient(*arguments, **options)
    except (InputError, SubjectError) as error:  # its text says it all; our frames say nothing more
        raise error.with_traceback(None) from error.__cause__
    report.raise_for_disagreement()
    return report


@dataclass(frozen=True)
class _Settings:
    resolution: float
    miss_probability: float
    directions: int | None
    method: str
    seed: int
    declared: Declared = EXACT


@dataclass(eq=False)
class _Check:
    """One run of check_gradient()."""

    problem: Problem
    settings: _Settings
    bar: Progress
    beside: bool = False
    blocks: list[Block] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stopped: str = ""
    location: Location | None = None
    set_aside: list[SetAside] = field(default_factory=list)
    bug: str = ""

    def run(self) -> Report:
        try:
            return self._run()
        except HungError:
            return self.report(
                Verdict.INCONCLUSIVE,
                self._compared(),
                summary=self.stopped or "Stopped: the subject did not return within the time limit.",
            )

    def _run(self) -> Report:
        problem = self.problem
        snippet = pasteable(problem.subject.name, problem.params)
        first = ask(
            problem.subject,
            problem.params,
            problem.args,
            clock=problem.clock,
            reproducer=snippet,
            keep=not self.beside,
        )
        first = self.settings.declared.without_ignored(
            first, {str(path): str(path) for path in problem.theta}
        )
        problem.evaluations += 1
        self.warnings += [*problem.subject.notes, *first.warnings]
        findings = list(first.findings)
        if any(finding.path in ("loss", "return value") for finding in findings):
            return self.report(Verdict.worst(f.verdict for f in findings), tuple(findings))
        value = problem.loss(problem.theta, watch=findings)
        if not np.isfinite(value):
            findings.append(
                Comparison("loss", Verdict.NONFINITE, f"the loss is {value} at the given parameters")
            )
        findings += [
            judge(path, claim, np.zeros_like(claim), np.full_like(claim, np.finfo(float).max))
            for path, claim in first.gradient.items()
            if not np.isfinite(claim).all()
        ]
        if findings:
            return self.report(Verdict.worst(f.verdict for f in findings), tuple(findings))
        self.stopped = (
            "Stopped by the time limit before the noise of the loss was known: nothing can be said yet."
        )
        problem.measure()
        self._lay_out(first)
        self._read()
        known = problem.has_tables
        comparisons = [self._controlled(block, confirmed(block)) for block in self.blocks]
        if problem.has_tables and not known:  # found in one tensor, it counts for those before it too
            comparisons = [self._controlled(block, confirmed(block)) for block in self.blocks]
        if not self.beside:
            comparisons = self._with_what_lies_beside(comparisons)
            comparisons = self._exactly(comparisons)
            if self.blocks and Verdict.worst(c.verdict for c in comparisons).ok:
                again = ask_again(self.problem, self.blocks, first, self.settings.declared)
                comparisons += again.findings
                self.warnings += again.warnings
                self.bug = again.bug
        self._locate(comparisons)
        return self.report(Verdict.worst(c.verdict for c in comparisons), tuple(comparisons))

    def _locate(self, comparisons: Sequence[Comparison]) -> None:
        """Random lines say that a tensor is wrong; where it is wrong takes some more evaluations."""
        wrong = [
            block.path
            for block, comparison in zip(self.blocks, comparisons, strict=False)
            if comparison.verdict is Verdict.DISAGREES and not block.lines.entries
        ]
        if not wrong or self.beside:
            return
        problem, claim = self.problem, self.blocks[0].claim

        def evaluate(arrays: Mapping[Path, FloatArray]) -> float:
            return problem.loss({**problem.theta, **arrays})

        self.location = locate_in(
            problem.subject.name,
            {path: problem.theta[path] for path in wrong},
            {path: claim.gradient[path] for path in wrong},
            evaluate=evaluate,
            rounding=claim.roundoff,
            error={path: claim.extra[path] for path in wrong},
            args=problem.args,
            noise=max(map(problem.noise_of, wrong)),
            claim=self._claimed,
            seed=self.settings.seed,
            max_evaluations=MOST_TO_LOCATE,
        )

    def _claimed(self, arrays: Mapping[Path, FloatArray]) -> Mapping[Path, FloatArray]:
        """The gradient of some tensors, claimed at moved parameters."""
        found = self.problem.claim({**self.problem.theta, **arrays})
        return {path: found[path] for path in arrays}

    def _lay_out(self, first: Asked) -> None:
        """One block for each tensor: a line for every entry, or random ones."""
        problem, settings = self.problem, self.settings
        claim = Claim(problem, first)
        few = problem.count <= EVERY_ENTRY_UP_TO and settings.directions is None
        for number, path in enumerate(first.gradient):
            theta = problem.theta[path]
            lines = (
                every_entry(theta)
                if few or not theta.size
                else random_lines(theta, (settings.seed, number), settings.directions or DIRECTIONS)
            )
            block = Block(
                problem,
                claim,
                path,
                lines,
                settings.resolution,
                settings.miss_probability,
                problem.rng,
                settings.method,
            )
            self.blocks.append(block)
        if not all(block.lines.entries for block in self.blocks):
            claim.measure()

    def _read(self) -> None:
        """Every line of every tensor; random lines in turn, so that a time limit leaves some of each."""
        total, done = sum(block.lines.count for block in self.blocks), 0
        self.stopped = f"Stopped by the time limit: 0 of {total} lines were measured."
        method = "central" if self.settings.method == "auto" else self.settings.method
        if method == "complex" and all(block.lines.entries for block in self.blocks):
            self._read_complex()
            return
        order = [(i, number) for number, block in enumerate(self.blocks) for i in range(block.lines.count)]
        if not all(block.lines.entries for block in self.blocks):
            order.sort()
        for i, number in order:
            self.blocks[number].read(i, method)
            done += 1
            self.stopped = (
                f"Stopped by the time limit: {done} of {total} lines were measured; the limits are those of "
                "what was."
            )
            self.bar.advance(done, total, evaluations=self.problem.evaluations)
        if self.settings.method == "auto":
            for block in self.blocks:
                for left in block.sharpen():
                    self.bar.advance(done, total + left, evaluations=self.problem.evaluations)
        self.stopped = "Stopped by the time limit: what was measured could not be confirmed in time."
        for block in self.blocks:
            confirm_kinks(block)

    def _read_complex(self) -> None:
        """Every entry by the complex step, ten evaluations each and one cross-check for all."""
        problem = self.problem
        told = complex_step(problem.complex_loss, problem.params, rng=problem.rng)
        for block in self.blocks:
            value, error = told.gradient[block.path].ravel(), told.error[block.path].ravel()
            for i in range(block.lines.count):
                unit = block.lines.unit(i)
                block.readings[i] = exact(problem, float(value[i]) * unit, float(error[i]) * unit)

    def _compared(self) -> tuple[Comparison, ...]:
        """What is known when the time is up; a difference that nothing confirmed is no verdict."""
        comparisons = []
        for block in self.blocks:
            comparison = block.compare()
            if comparison.verdict.severity > Verdict.INCONCLUSIVE.severity:
                reason = f"{comparison.reason}, but there was no time to confirm it"
                comparison = replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason)
            comparisons.append(comparison)
        return tuple(comparisons)

    def _controlled(self, block: Block, comparison: Comparison) -> Comparison:
        """AGREES only if an error planted on purpose would not have been AGREES too."""
        if not comparison.verdict.ok or block.control():
            return comparison
        reason = "self-test failed: a deliberate error of twice the stated limit went unnoticed, so no verdict is given"
        return replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason)

    def _exactly(self, comparisons: Sequence[Comparison]) -> list[Comparison]:
        """What is held to be exact; approximate tensors are set aside, with what was measured on the way."""
        names = {c.path: str(block.path) for c, block in zip(comparisons, self.blocks, strict=True)}
        claims = {str(block.path): block.claim.gradient[block.path] for block in self.blocks}
        loose = self.settings.declared.approximate
        away = {
            str(block.path): block.away()
            for block, comparison in zip(self.blocks, comparisons, strict=True)
            if str(block.path) in loose and not comparison.verdict.ok
        }
        kept, aside = self.settings.declared.split(comparisons, names, claims, away)
        self.set_aside += aside
        gone = {one.path for one in aside}
        self.blocks = [block for block in self.blocks if str(block.path) not in gone]
        return list(kept)

    # --- beside the point ------------------------------------------------------------------------

    def _with_what_lies_beside(self, comparisons: list[Comparison]) -> list[Comparison]:
        """Check again at parameters moved by 0.1 %, to tell a kink from a bug, before anything is called wrong."""
        kinked = [any(r.half > 0.0 for r in block.readings.values()) for block in self.blocks]
        wrong = [c.verdict is Verdict.DISAGREES for c in comparisons]
        if not any(kinked) and not any(wrong):
            return comparisons
        there = self._beside()
        return [
            beside_a_difference(self.blocks[k], c, None if there is None else there[k])
            if wrong[k]
            else beside_a_kink(self.blocks[k], c, None if there is None else there[k], warnings=self.warnings)
            if kinked[k]
            else c
            for k, c in enumerate(comparisons)
        ]

    def _beside(self) -> list[Comparison] | None:
        """The same check at parameters moved a little; None if nothing can be asked there."""
        problem = self.problem
        theta = {path: moved(array, aside(array, problem.rng)) for path, array in problem.theta.items()}
        params = tree.restore(problem.params, list(theta.values()))
        there = Problem(
            problem.subject, params, problem.args, tree.arrays(params), problem.rng, problem.clock
        )
        check = _Check(there, self.settings, Progress(), beside=True)
        try:
            report = check._run()
        except (SubjectError, InputError):
            return None
        problem.evaluations += there.evaluations
        found = list(report.comparisons)
        return found if len(found) == len(self.blocks) else None

    # --- the rest --------------------------------------------------------------------------------

    def _diagnosis(self, comparisons: tuple[Comparison, ...]) -> Diagnosis:
        """Which tensors are wrong, and which of their entries where that was looked for."""
        diagnosis = locate(None, comparisons)
        bug, said = recognise(comparisons, sizes_of(self.problem.args))
        if self.bug:
            return named(diagnosis, self.bug, "the first call, with arrays in C order, was right")
        if bug:
            diagnosis = by_numbers(diagnosis, bug)
        diagnosis = replace(diagnosis, evidence=(*diagnosis.evidence, *said))
        if (
            not diagnosis.hint
            and len(said) == 1
            and said[0].startswith("every tensor is ")
            and " times" in said[0]
        ):
            diagnosis = replace(diagnosis, hint=ONE_FACTOR)
        if self.location is None or not self.location.findings:
            return diagnosis
        findings = self.location.findings
        told = [f"{finding.place}: {finding.text}" for finding in findings[:MOST_TOLD]]
        if len(findings) > MOST_TOLD:
            told.append(f"and {len(findings) - MOST_TOLD} more: bpcheck.locate() finds them all")
        return replace(diagnosis, evidence=(*diagnosis.evidence, *told))

    def report(
        self, verdict: Verdict, comparisons: tuple[Comparison, ...] = (), *, summary: str = ""
    ) -> Report:
        """The report of this check."""
        ignored = sorted(self.settings.declared.ignore)
        aside = (*(SetAside(path, "ignored") for path in ignored), *self.set_aside)
        diagnoses: tuple[Diagnosis, ...] = ()
        advice: tuple[str, ...] = ()
        if verdict.severity > Verdict.INCONCLUSIVE.severity:
            diagnoses = (self._diagnosis(comparisons),)
        elif verdict is Verdict.INCONCLUSIVE:
            open_ = [b for b, c in zip(self.blocks, comparisons, strict=False) if not c.verdict.ok]
            advice = remedies(self.problem, open_, self.settings.resolution) if open_ else ()
        if not summary:
            bad = [c for c in comparisons if c.verdict is verdict]
            if verdict.ok:
                which = " that is held to be exact" if aside else ""
                summary = (
                    f"Every tensor of the gradient{which} lies within the error bars measured on the loss."
                    + set_aside_in_short(aside)
                )
            elif not comparisons and self.set_aside:
                summary = (
                    "No tensor was held to be exact: all of them are ignored or approximate. Leave one out of approximate=, "
                    "or check the gradient before it is approximated (before clipping, say)."
                )
            elif verdict is Verdict.INCONCLUSIVE and bad:
                summary = f"{bad[0].label}: {bad[0].reason}." + ("" if advice else f" {verdict.remedy}")
            elif bad:
                tensors = (
                    f"{len(bad)} of {len(comparisons)} tensors" if len(comparisons) > 1 else "The gradient"
                )
                summary = f"{tensors}: {verdict.value}."
        random = any(not block.lines.entries for block in self.blocks)
        return Report(
            subject=self.problem.subject.name,
            verdict=verdict,
            comparisons=comparisons,
            diagnoses=diagnoses,
            detection_limit=detection_limit(
                comparisons, miss_probability=self.settings.miss_probability if random else 0.0
            ),
            warnings=(*dict.fromkeys(self.warnings), *spoken_of(aside, comparisons)),
            set_aside=aside,
            examples=1,
            evaluations=self.problem.evaluations,
            summary=summary,
            remedies=advice,
        )
