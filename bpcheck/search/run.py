"""compare(): the door to the search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from bpcheck.architecture import Architecture
from bpcheck.case import Case
from bpcheck.check.agreement import RESOLUTION, detection_limit
from bpcheck.check.contract import Clock, HungError, guarded
from bpcheck.conventions import Conventions
from bpcheck.diagnosis import diagnose
from bpcheck.diagnosis.locate import locate
from bpcheck.errors import InputError, SubjectError
from bpcheck.report.progress import Progress, progress_bar
from bpcheck.result import Comparison, Diagnosis, Report
from bpcheck.search.infer import Inference, infer, observe
from bpcheck.search.judging import Judge, Judged, reproducer
from bpcheck.search.sample import STRATA, jittered, random_architecture, random_case, stratum
from bpcheck.search.shrink import shrink
from bpcheck.subject import Subject, as_subject
from bpcheck.verdict import Verdict

__all__ = ["Pins", "compare", "search"]

# A probe whose right answer is itself lost in rounding is drawn again, this often at most.
REDRAWS = 20

# The first cases are asked twice: enough to see state kept between calls, at little cost.
CASES_ASKED_TWICE = 3

# A bug is named only if it reproduces the numbers on the failing case and on this many fresh ones.
FRESH_NETWORKS = 4

CAST = "cast-to-float32"
CAST_HINT = (
    "The differences are as large as float32 rounding makes them: somewhere on the way numbers are stored in "
    "single precision. Compute in float64 throughout, or return float32 to be judged as such."
)

# If fewer than this share of the examples could be decided, an AGREES would promise too much.
LEAST_DECIDED = 0.5


def compare(
    subject: Any,
    *,
    reference: Any = None,
    architectures: Any = None,
    cases: Any = None,
    conventions: Conventions | None = None,
    resolution: float | None = None,
    examples: int = 100,
    seed: int | None = None,
    time_limit: float | None = None,
    progress: Any = None,
) -> Report:
    """Hold a hand-written backprop of a dense network against the reference, over random cases.

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
        Pins the networks. Without it (and without ``architecture`` parameter or ``cases``)
        activation, output, loss and reduction are inferred from the subject's loss.
    cases : Case or list of Case, optional
        Real data and real parameters: exactly these are compared.
    conventions : Conventions, optional
        Layout of the subject; only the default exists so far.
    resolution : float, optional
        Relative error (of a tensor's root mean square) that must be visible for AGREES; 1e-3.
    examples : int
        Number of random cases.
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
        seed=seed,
        time_limit=time_limit,
        progress=progress,
    )


@dataclass(frozen=True)
class Pins:
    """What the command line can fix besides what compare() takes.

    Attributes
    ----------
    template : Architecture or None
        Activation, output, loss, reduction; its widths do not count.
    widths : tuple of int or None
    batch : int or None
    """

    template: Architecture | None = None
    widths: tuple[int, ...] | None = None
    batch: int | None = None


def search(
    subject: Any,
    *,
    reference: Any = None,
    architectures: Any = None,
    cases: Any = None,
    conventions: Conventions | None = None,
    resolution: float | None = None,
    examples: int = 100,
    seed: int | None = None,
    time_limit: float | None = None,
    progress: Any = None,
    pins: Pins = Pins(),
    announce: Callable[[Case], None] | None = None,
) -> Report:
    """:func:`compare`, with what the command line needs: pinned widths and batch, and word of each case."""
    wanted = _resolution(resolution)
    if isinstance(examples, bool) or not isinstance(examples, int | np.integer) or examples < 1:
        raise InputError(f"examples is {examples!r}; give the number of random cases, 1 or more.")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
        raise InputError(f"seed is {seed!r}; give a whole number, 0 or more, or None.")
    if conventions is not None and not isinstance(conventions, Conventions):
        raise InputError(f"conventions is {conventions!r}; give bpcheck.Conventions() or None.")
    if cases is not None and architectures is not None:
        raise InputError("both cases= and architectures= are given; a case already holds its architecture.")
    used = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)
    judge = Judge(
        as_subject(subject),
        wanted,
        Clock.start(time_limit),
        reference=None if reference is None else as_subject(reference),
        announce=announce,
    )
    given = None if cases is None else _cases(cases)
    with guarded(), progress_bar(progress, "comparing") as bar:
        return _Comparison(judge, np.random.default_rng(used), used, int(examples), bar, pins).run(
            given, architectures
        )


def _resolution(resolution: float | None) -> float:
    if resolution is None:
        return RESOLUTION
    if isinstance(resolution, bool) or not isinstance(resolution, int | float) or not 0 < resolution < 1:
        raise InputError(
            f"resolution is {resolution!r}; give the relative error that must be seen, such as 1e-3 "
            "(between 0 and 1)."
        )
    return float(resolution)


def _cases(cases: Any) -> list[Case]:
    found = [cases] if isinstance(cases, Case) else list(cases) if isinstance(cases, Iterable) else None
    if not found or not all(isinstance(case, Case) for case in found):
        raise InputError(
            f"cases is {cases!r:.80}; give a bpcheck.Case(architecture, params, x, y) or a list of them."
        )
    return found


@dataclass(eq=False)
class _Comparison:
    """One run of compare()."""

    judge: Judge
    rng: np.random.Generator
    seed: int
    examples: int
    bar: Progress
    pins: Pins
    warnings: list[str] = field(default_factory=list)
    inferred: str = ""
    comparisons: list[Comparison] = field(default_factory=list)
    judged: int = 0
    undecided: int = 0
    at_kink: int = 0
    decisive: Judged | None = None
    draw: Callable[[int], Case] | None = None

    @property
    def subject(self) -> Subject:
        return self.judge.subject

    def run(self, given: list[Case] | None, architectures: Any) -> Report:
        self.warnings += self.subject.notes
        try:
            if given is not None:
                self.draw = lambda index: given[index % len(given)]
                return self._look(iter(given), len(given), jitter=True)
            if architectures is not None:
                self.draw = self._pinned(architectures)
            elif self.pins.template is not None:
                self.draw = self._templated(self.pins.template)
            elif self.subject.takes_architecture:
                self.draw = self._templated(None)
            else:
                failure = self._infer()
                if failure is not None:
                    return failure
            if self.examples < 5 * (len(STRATA) - 1):
                self.warnings.append(
                    f"{self.examples} examples do not visit all kinds of network "
                    f"({5 * (len(STRATA) - 1)} do): some bugs show only in special ones"
                )
            return self._look(self._drawn(), self.examples, jitter=True)
        except HungError:
            return self._out_of_time(
                "the subject did not return within the time limit (Python cannot end a thread: the call is left "
                "running; `bpcheck compare` runs the subject in a process that it can end)"
            )

    # --- where cases come from -------------------------------------------------------------------

    def _drawn(self) -> Iterator[Case]:
        assert self.draw is not None
        index = 0
        while True:
            for attempt in range(REDRAWS):
                case = self.draw(index)
                if self.judge.resolvable(case) or attempt == REDRAWS - 1:
                    break
            yield case
            index += 1

    def _templated(
        self, template: Architecture | None, depths: tuple[int, ...] = (1, 2, 3, 4)
    ) -> Callable[[int], Case]:
        """Random widths (unless pinned) for one kind of network, or for any kind."""

        def make(index: int) -> Case:
            kind = stratum(index)
            architecture = random_architecture(
                self.rng, kind, template=template, depths=depths, widths=self.pins.widths
            )
            return random_case(self.rng, architecture, kind, batch=self.pins.batch)

        return make

    def _pinned(self, architectures: Any) -> Callable[[int], Case]:
        from bpcheck.strategies.draw import drawer, is_strategy

        if is_strategy(architectures):
            draw = drawer(architectures)
        else:
            pinned = [architectures] if isinstance(architectures, Architecture) else architectures
            listed = list(pinned) if isinstance(pinned, Iterable) else []
            if not listed or not all(isinstance(a, Architecture) for a in listed):
                raise InputError(
                    f"architectures is {architectures!r:.80}; give bpcheck.mlp([...]), a list of such, or a "
                    "Hypothesis strategy of them."
                )
            counter = iter(range(10**9))

            def draw(rng: np.random.Generator) -> Any:
                return listed[next(counter) % len(listed)]

        def make(index: int) -> Case:
            drawn = draw(self.rng)
            if isinstance(drawn, Case):
                return drawn
            if not isinstance(drawn, Architecture):
                raise InputError(f"the strategy drew {drawn!r:.80}; it must draw bpcheck.Architecture.")
            return random_case(self.rng, drawn, stratum(index))

        return make

    def _infer(self) -> Report | None:
        """Fix the template, or say why it cannot be done."""
        if self.subject.loss is None:
            return self._report(
                Verdict.INCONCLUSIVE,
                summary=(
                    "The subject has no loss to infer its network from. Give architectures=bpcheck.mlp([...]) "
                    "with its activation and loss, or a loss= to the subject."
                ),
            )
        observations, fault = observe(self.judge, self.rng, widths=self.pins.widths, batch=self.pins.batch)
        if fault:
            path, _, reason = fault.partition(": ")
            finding = Comparison(path, Verdict.WRONG_STRUCTURE, reason)
            return self._report(
                Verdict.WRONG_STRUCTURE,
                comparisons=(finding,),
                diagnoses=(locate(None, [finding]),),
                summary="Nothing could be compared.",
            )
        answered = [o for o in observations if o.error is None]
        if not answered:
            error = observations[0].error
            assert error is not None
            note = (
                "\nIt raised on every network tried, with 1 to 4 weight layers. If it is made for one shape only, "
                "give architectures=bpcheck.mlp([...])."
            )
            self._raised(observations[0].cases[0], error, note=note)
        inference = infer(self.judge, observations)
        if inference is None:
            return self._nothing_fits(answered)
        deeper = [o for o in observations if o.depth > 1 and o.equal and o.error is not None]
        if inference.depths == (1,) and deeper:
            # Code that only works without a hidden layer is far more often broken than meant so.
            note = (
                "\nWithout a hidden layer it answers. If it is meant for that alone, give "
                "architectures=bpcheck.mlp([4, 3], loss=…)."
            )
            self._raised(deeper[0].cases[0], deeper[0].error or SubjectError(""), note=note)
        self._apply(inference)
        return None

    def _apply(self, inference: Inference) -> None:
        self.judge.scaling = inference.scaling
        self.inferred = inference.text
        self.warnings += inference.warnings
        self.draw = self._templated(inference.template, inference.depths)

    def _nothing_fits(self, answered: list[Any]) -> Report:
        loss, case = answered[0].losses[0], answered[0].cases[0]
        if not np.isfinite(loss):
            finding = Comparison("loss", Verdict.NONFINITE, f"the loss is {loss} on a small random network")
            return self._report(
                Verdict.NONFINITE,
                comparisons=(finding,),
                diagnoses=(locate(None, [finding]),),
                counterexample=case,
                summary="Nothing could be compared.",
            )
        return self._report(
            Verdict.INCONCLUSIVE,
            summary=(
                f"The loss ({loss:.6g} on the case below) fits no network that was tried: 9 activations × "
                "9 outputs × 5 losses × mean or sum, with factors 1, 2, ½ and 1/outputs. Say what your function "
                "computes with architectures=bpcheck.mlp([...], activation=…, loss=…, l2=…), or check it against "
                "its own loss with bpcheck.check_gradient(your_function, params, x, y)."
            ),
            counterexample=case,
        )

    # --- looking ---------------------------------------------------------------------------------

    def _look(self, cases: Iterator[Case], total: int, *, jitter: bool) -> Report:
        attempts = 0
        for case in cases:
            if self.judge.clock.struck:
                return self._out_of_time(
                    f"the time limit ended the search after {self.judged} of {total} cases"
                )
            calls = 2 if attempts < CASES_ASKED_TWICE else 1
            attempts += 1
            try:
                judged = self.judge(case, calls=calls)
                if jitter and judged.verdict is Verdict.AGREES_AT_KINK:
                    self.at_kink += 1
                    moved = self.judge(jittered(case, self.rng))
                    judged = moved if moved.failed else judged
            except SubjectError as error:
                self._raised(case, error)
            if judged.failed:
                return self._failed(judged)
            self._count(judged)
            self.bar.advance(self.judged + self.undecided, total)
            if self.judged >= total or attempts >= 2 * total:
                break
        return self._passed(attempts)

    def _count(self, judged: Judged) -> None:
        for warning in judged.warnings:
            if warning not in self.warnings:
                self.warnings.append(warning)
        if judged.verdict is Verdict.INCONCLUSIVE:
            self.undecided += 1
        else:
            self.judged += 1
            self.comparisons += judged.comparisons
        if self.decisive is None or judged.verdict.severity > self.decisive.verdict.severity:
            self.decisive = judged

    def _passed(self, attempts: int) -> Report:
        assert self.decisive is not None
        verdict = Verdict.AGREES_AT_KINK if self.at_kink else Verdict.AGREES
        decided = self.judged >= LEAST_DECIDED * attempts if self.judged else False
        if self.undecided and not decided:
            worst = next(c for c in self.decisive.comparisons if c.verdict is Verdict.INCONCLUSIVE)
            return self._report(
                Verdict.INCONCLUSIVE,
                comparisons=self.decisive.comparisons,
                counterexample=self.decisive.case,
                summary=f"{self.undecided} of {attempts} cases could not be decided. {worst.label}: {worst.reason}.",
            )
        if self.undecided:
            self.warnings.append(
                f"{self.undecided} of {attempts} cases could not be decided at this precision"
            )
        networks = "case" if self.judged == 1 else "cases"
        summary = f"Loss and every gradient entry lie within their error bounds in {self.judged} {networks}."
        if self.at_kink:
            summary += (
                f" In {self.at_kink} of them a unit sits exactly at a kink, where any value between the one-sided "
                "derivatives is right; a hair beside it the gradient agrees too."
            )
        return self._report(verdict, comparisons=self.decisive.comparisons, summary=summary)

    def _out_of_time(self, why: str) -> Report:
        return self._report(
            Verdict.INCONCLUSIVE,
            summary=f"Stopped: {why}. Nothing wrong was seen in {self.judged} cases; give more time or fewer examples.",
        )

    # --- failing ---------------------------------------------------------------------------------

    def _identity(self, judged: Judged) -> tuple[str, str]:
        """What counts as failing in the same way: verdict and equation, not the place."""
        if not judged.failed:
            return ("", "")
        located = locate(judged.case, judged.comparisons)
        return (judged.verdict.name, located.equation)

    def _smallest(self, judged: Judged) -> tuple[Judged, bool]:
        """The smallest case that fails alike, judged once more, and whether it failed again."""
        calls = 2 if judged.first_call_ok else 1
        identity = self._identity(judged)

        def fails_alike(candidate: Case) -> bool:
            try:
                return self._identity(self.judge(candidate, calls=calls)) == identity
            except (SubjectError, InputError):  # it does not take networks of that shape
                return False

        smallest = shrink(judged.case, fails_alike, free=self.subject.takes_architecture)
        final = self.judge(smallest, calls=calls)
        return (final, True) if self._identity(final) == identity else (judged, False)

    def _failed(self, judged: Judged) -> Report:
        try:
            smallest, steady = self._smallest(judged)
        except HungError:
            smallest, steady = judged, True
        if not steady:
            self.warnings.append(
                "the smallest case did not fail again: the subject answers differently from call to call"
            )
        for warning in (*judged.warnings, *smallest.warnings):
            if warning not in self.warnings:
                self.warnings.append(warning)
        diagnoses = self._diagnose(judged, smallest)
        tried = self.judged + self.undecided
        after = (
            f"Right in {tried} case{'s' * (tried != 1)}, wrong in the next"
            if tried
            else "Wrong in the first case"
        )
        shrunk = smallest.case is not judged.case
        summary = f"{after}; {'the smallest that fails alike' if shrunk else 'that case'} is shown below."
        return self._report(
            smallest.verdict,
            comparisons=smallest.comparisons,
            diagnoses=diagnoses,
            counterexample=smallest.case,
            summary=summary,
        )

    def _diagnose(self, judged: Judged, smallest: Judged) -> tuple[Diagnosis, ...]:
        """Locate on the smallest case, name by reproduction on that one, the one found and fresh ones."""
        observations: list[Any] = []
        chains = judged.case.architecture.is_chain
        if judged.verdict is Verdict.DISAGREES and chains and not judged.first_call_ok:
            seen = [judged, smallest]
            try:
                for index in range(FRESH_NETWORKS if self.draw is not None else 0):
                    assert self.draw is not None
                    seen.append(self.judge(self.draw(index + 1)))
            except (SubjectError, InputError, HungError):
                pass  # what was seen so far is evidence enough; the failure itself is already known
            observations = self._observations(seen)
        diagnoses = diagnose(smallest.case, smallest.comparisons, observations)
        rounded = bool(observations) and self.judge.fits_single_precision(judged)
        if rounded and not diagnoses[0].bug:
            diagnoses = (replace(diagnoses[0], equation="", bug=CAST, hint=CAST_HINT),)
        first = locate(judged.case, judged.comparisons)
        widths = judged.case.architecture.widths
        if smallest.case is judged.case or not first.path or widths == smallest.case.architecture.widths:
            return diagnoses
        layer = f", layer {first.layer}" if first.layer is not None else ""
        seen_at = f"first seen in a network of widths {list(widths)}, at {first.path}{layer}"
        return tuple(replace(d, evidence=(*d.evidence, seen_at)) for d in diagnoses)

    def _observations(self, seen: list[Judged]) -> list[Any]:
        """What diagnosis needs of judged cases, with the subject's own factor taken out."""
        factor = self.judge.scaling.factor
        return [
            (
                j.case,
                {path: array / factor(j.case.architecture) for path, array in j.claimed.items()},
                {path: array / factor(j.case.architecture) for path, array in j.right.items()},
            )
            for j in seen
            if len(j.claimed) == len(j.right) and all(np.isfinite(a).all() for a in j.claimed.values())
        ]

    def _raised(self, case: Case, error: SubjectError, *, note: str = "") -> NoReturn:
        """Shrink a case at which the subject raises, and raise with the smallest one."""
        kind = type(error.__cause__)

        def raises_alike(candidate: Case) -> bool:
            try:
                self.judge(candidate)
            except SubjectError as again:
                return type(again.__cause__) is kind
            except InputError:
                return False
            return False

        found = error
        try:
            smallest = shrink(case, raises_alike, free=self.subject.takes_architecture)
            self.judge(smallest)
        except SubjectError as again:
            if type(again.__cause__) is kind:
                found = again
        message, _, _ = str(found).partition("\n\nTo see it again:")
        raise SubjectError(
            message + (self._where_shapes_fit(case) or note), reproducer=found.reproducer
        ) from found.__cause__

    def _where_shapes_fit(self, case: Case) -> str:
        """What is wrong on networks of equal widths, if the subject answers there: often the reason it raises."""
        architecture = case.architecture
        if self.draw is None:  # raised before it was known what the subject computes
            return ""
        if not architecture.is_chain or len(set(architecture.widths)) == 1:
            return ""
        observed = []
        try:
            for _ in range(FRESH_NETWORKS):
                template = random_architecture(
                    self.rng,
                    "equal widths",
                    template=architecture,
                    depths=(max(2, len(architecture.layers)),),
                )
                observed.append(self.judge(random_case(self.rng, template, "equal widths")))
        except (SubjectError, InputError, HungError):
            return ""
        wrong = [judged for judged in observed if judged.verdict is Verdict.DISAGREES]
        if not wrong:
            return ""
        diagnoses = diagnose(wrong[0].case, wrong[0].comparisons, self._observations(observed))
        first = diagnoses[0]
        name = f", {first.bug}" if first.bug else ""
        return (
            f"\nOn networks of equal widths, where its shapes happen to fit, the gradient is wrong: "
            f"{first.equation or 'equation unknown'}{name}. {first.hint}"
        ).rstrip()

    def _report(
        self,
        verdict: Verdict,
        *,
        comparisons: tuple[Comparison, ...] = (),
        diagnoses: tuple[Diagnosis, ...] = (),
        counterexample: Case | None = None,
        summary: str = "",
    ) -> Report:
        return Report(
            subject=self.subject.name,
            verdict=verdict,
            comparisons=tuple(comparisons),
            diagnoses=diagnoses,
            counterexample=counterexample,
            reproducer="" if counterexample is None else reproducer(counterexample, self.subject.name),
            detection_limit=detection_limit(self.comparisons or comparisons),
            warnings=tuple(self.warnings),
            inferred=self.inferred,
            examples=self.judged + self.undecided + (not verdict.ok and verdict is not Verdict.INCONCLUSIVE),
            evaluations=self.judge.evaluations,
            seed=self.seed,
            summary=summary,
        )
