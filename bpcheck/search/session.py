"""One run of compare()."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bpcheck.check.agreement import detection_limit
from bpcheck.check.contract import HungError
from bpcheck.check.declared import AWAY, merged, mostly_away, set_aside_in_short, spoken_of
from bpcheck.diagnosis.locate import locate
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import is_dense_chain
from bpcheck.network.layers import Dense
from bpcheck.report.progress import Progress
from bpcheck.result import Comparison, Diagnosis, Report, SetAside
from bpcheck.search.cases.degenerate import hidden_by
from bpcheck.search.cases.plan import planned
from bpcheck.search.cases.sample import GENERIC, SPECIAL, SPECIAL_EVERY, jittered, random_case
from bpcheck.search.cases.sources import Pins, Source, given, pinned, resolvable_cases, templated
from bpcheck.search.cost.infer import Inference, Observed, infer, observe
from bpcheck.search.cost.other_count import counted_otherwise
from bpcheck.search.dialect.callers_words import in_callers_words
from bpcheck.search.dialect.candidates import fitted
from bpcheck.search.dialect.layout import Reading, settle_cost, settle_known, settle_unknown
from bpcheck.search.failure import Investigation
from bpcheck.search.judging import Judge, Judged, reproducer, scaling_of
from bpcheck.search.probes import Broken, Probes
from bpcheck.subject import Subject
from bpcheck.verdict import Verdict

__all__ = ["Session"]

# The first cases are asked twice: enough to see state kept between calls, at little cost.
CASES_ASKED_TWICE = 3

# If fewer than this share of the random cases could be decided, an AGREES would promise too much.
LEAST_DECIDED = 0.5
MOST_ATTEMPTS = 2  # so that many attempts an example are enough to tell

AVERAGED_TWICE = (
    "The step moves by the right gradient divided by the batch size once more. Is the rate η/m applied to a gradient that "
    "is a mean over the batch already? Then apply η."
)
"""The hint of the bug ``averaged-twice`` where the gradient was recovered from a step."""
COUNTED_OTHERWISE = Diagnosis(
    "loss",
    "loss",
    evidence=("loss and gradient are those of the same network with another scale or penalty convention",),
    hint=(
        "The cost differs from the one that was said in scale or penalty convention alone: a sum or a mean, a factor, what "
        "stands before the penalty. Say how with conventions= (a note below says which), or change loss and gradient."
    ),
)
# Examples in a second case, to tell a factor m from a factor 2: one of them is not that of the first.
FRESH_BATCHES = (5, 7)

ROWS = (
    "the gradient of a bias has shape (1, n), so biases were handed over in this shape; if yours are (n,), the gradient "
    "of a bias must be (n,) as well"
)
OTHER_LAYOUTS = (
    "\nIt raised in every other layout that was tried too (weights (in, out), examples as columns or one at a time, "
    "class indices, …); if yours is another, say it with conventions=bpcheck.Conventions(...)."
)

ONE_LAYOUT = (
    "\nOther layouts were not tried: a network with other layers than dense ones is handed over in bpcheck's own layout, "
    "params[k] being the layer's: a dict by key, {} for a layer without parameters, a list for a skip connection."
)

VISIT_ALL = SPECIAL_EVERY * len(SPECIAL)


@dataclass(eq=False)
class Session:
    """One run of compare(): looks at case after case and writes the report."""

    judge: Judge
    rng: np.random.Generator
    seed: int
    examples: int
    bar: Progress
    pins: Pins
    warnings: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    inferred: str = ""
    comparisons: list[Comparison] = field(default_factory=list)
    judged: int = 0
    undecided: int = 0
    at_kink: int = 0
    decisive: Judged | None = None
    unresolved: Judged | None = None
    layout: str = ""
    settled: bool = False
    spoken: Subject | None = None
    right: list[Case] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    turned: dict[str, Case] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.investigation = Investigation(self.judge, self.rng)
        self.spoken = self.spoken or self.judge.subject

    @property
    def subject(self) -> Subject:
        """What is being compared."""
        return self.judge.subject

    def run(self, cases: list[Case] | None, architectures: Any) -> Report:
        """Choose where cases come from, look at them, report."""
        self.unchecked += self.subject.notes
        try:
            if cases is not None:
                meant = [self._meant(case) for case in cases]
                self.investigation.source = given(meant)
                self.unchecked += hidden_by(meant)
                return self._look(lambda: iter(meant), len(meant), every_one=True)
            if architectures is not None:
                source = self._described(pinned(self.rng, architectures))
            elif self.pins.template is not None:
                source = self._described(templated(self.rng, self.pins, self.pins.template))
            elif self.subject.takes_architecture:
                source = self._described(templated(self.rng, self.pins, None))
            else:
                inferred = self._infer()
                if isinstance(inferred, Report):
                    return inferred
                source = templated(self.rng, self.pins, inferred.template, inferred.depths)
            source = self._sayable(source)
            self.investigation.source = source
            if self.examples < VISIT_ALL:
                self.unchecked.append(
                    f"{self.examples} examples do not visit all kinds of network ({VISIT_ALL} do): "
                    "some bugs show only in special ones"
                )
            return self._look(lambda: resolvable_cases(source, self.judge), self.examples)
        except HungError:
            return self._out_of_time(
                "the subject did not return within the time limit (Python cannot end a thread: the call is left "
                "running; `bpcheck compare` runs the subject in a process that it can end)"
            )

    def _meant(self, case: Case) -> Case:
        """A case of the caller's, which counts its cost as the subject does, in our words."""
        self._check_layout(case.architecture)
        return replace(case, architecture=self.judge.conventions.describe(case.architecture))

    def _check_layout(self, architecture: Architecture) -> None:
        """Refuse conventions that lay out dense layers for a network that has others."""
        said = self.judge.conventions
        if not (is_dense_chain(architecture) or said.is_ours):
            other = next(layer for layer in architecture.layers if not isinstance(layer, Dense))
            raise InputError(
                f"conventions={said!r} lay out dense layers alone, and this network has {other!r}: leave them out, and "
                "take params as a list with one entry a layer (a dict by key, {} for a layer without parameters, a list "
                "for a skip connection)."
            )

    def _described(self, source: Source) -> Source:
        return lambda index: self._meant(source(index))

    def _sayable(self, source: Source) -> Source:
        """The same cases with targets that the subject's convention can say."""
        return lambda index: fitted(source(index), self.judge.conventions)

    def _adopt(self, reading: Reading) -> None:
        """From here on the subject is asked in the layout that was found."""
        assert reading.trial is not None
        trial = reading.trial
        self.settled = True
        self.judge.subject = trial.judge.subject
        self.judge.conventions = trial.conventions
        if not trial.conventions.is_ours:
            self.layout = reading.text
        if reading.warning:
            self.warnings.append(reading.warning)
        if trial.conventions.bias == "row" and trial.conventions.batch == "first":
            self.warnings.append(ROWS)

    def _settle(self, case: Case) -> Report | bool:
        """Find the layout of a subject that goes wrong in ours; whether there is one, or a question."""
        self.settled = True
        if not is_dense_chain(case.architecture):
            return False
        reading = settle_known(self.judge, self.seed, case)
        if reading.trial is None:
            self.warnings += [reading.warning] if reading.warning else []
            return self._report(Verdict.INCONCLUSIVE, summary=reading.text) if reading.text else False
        if reading.trial.conventions.is_ours:
            return False
        self._adopt(reading)
        return True

    def _infer(self) -> Inference | Report:
        """What the subject computes, or a report that says why that cannot be told."""
        if self.subject.loss is None:
            return self._report(
                Verdict.INCONCLUSIVE,
                summary=(
                    "The subject has no loss to infer its network from. Give architectures=bpcheck.mlp([...]) "
                    "with its activation and loss, or a loss= to the subject."
                ),
            )
        observations, fault = observe(self.judge, self.rng, widths=self.pins.widths, batch=self.pins.batch)
        apart = any(o.error is None and not o.equal for o in observations)
        if not (self.settled or fault or apart):
            reading = settle_unknown(self.judge, self.seed, widths=self.pins.widths, batch=self.pins.batch)
            if reading.trial is not None and not reading.trial.conventions.is_ours:
                return self._infer_anew(reading)
            if reading.trial is None and reading.text:
                return self._report(Verdict.INCONCLUSIVE, summary=reading.text)
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
            self.investigation.raised(observations[0].cases[0], error, note=note)
        inference = infer(self.judge, self.rng, observations)
        if isinstance(inference, str):
            other = None if self.settled else settle_cost(self.judge, self.seed)
            if other is not None:
                return self._infer_anew(other)
            return self._nothing_fits(answered, inference)
        deeper = [o for o in observations if o.depth > 1 and o.equal and o.error is not None]
        if inference.depths == (1,) and deeper:
            # Code that only works without a hidden layer is far more often broken than meant so.
            note = (
                "\nWithout a hidden layer it answers. If it is meant for that alone, give "
                "architectures=bpcheck.mlp([4, 3], loss=…)."
            )
            self.investigation.raised(deeper[0].cases[0], deeper[0].error or SubjectError(""), note=note)
        return self._taken(inference)

    def _infer_anew(self, reading: Reading) -> Inference | Report:
        """What the subject computes in the layout that was found for it."""
        self._adopt(reading)
        assert reading.trial is not None
        return self._infer() if reading.trial.inference is None else self._taken(reading.trial.inference)

    def _taken(self, inference: Inference) -> Inference:
        """Go on with what was inferred, as far as the caller has not said otherwise."""
        said = self.judge.conventions
        self.inferred = inference.text
        if said.times_batch:
            self.inferred += "; that is m times the cost, a mean over the batch with a penalty of ½λ‖W‖²/m"
        template = inference.template
        if said.reduction is not None or said.factor is not None or said.penalize_bias is not None:
            template = replace(
                template,
                reduction=("sum" if said.times_batch else said.reduction) or template.reduction,
                penalize_bias=template.penalize_bias if said.penalize_bias is None else said.penalize_bias,
            )
            # A pinned reduction means that nothing else stands before the loss, unless that is pinned too.
            self.judge.scaling = scaling_of(said)
            self.inferred += ", but held to what conventions= says"
        else:
            self.judge.scaling = inference.scaling
            self.warnings += inference.warnings
            self.unchecked += inference.unchecked
        return replace(inference, template=template)

    def _nothing_fits(self, answered: list[Observed], why: str) -> Report:
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
        tried = (
            f"Its loss ({loss:.6g} on the case below) fits no network that was tried: every activation and output of "
            "bpcheck.mlp with every loss, mean or sum, with or without a squared penalty, times 1, 2, ½ or 1/outputs."
        )
        remedy = (
            "Say what your function computes with architectures=bpcheck.mlp([...], activation=…, loss=…), or check it "
            "against its own loss with bpcheck.check_gradient(your_function, params, x, y)."
        )
        summary = (
            f"It cannot be told what the function computes: {why}. {remedy}" if why else f"{tried} {remedy}"
        )
        return self._report(Verdict.INCONCLUSIVE, summary=summary, counterexample=case)

    def _look(self, draw: Callable[[], Iterator[Case]], total: int, *, every_one: bool = False) -> Report:
        """Judge cases until ``total`` are decided; with ``every_one``, none of them may stay undecided."""
        attempts = 0
        for case in draw():
            if self.judge.clock.struck:
                return self._out_of_time(
                    f"the time limit ended the search after {self.judged} of {total} cases"
                )
            calls = 2 if attempts < CASES_ASKED_TWICE else 1
            attempts += 1
            try:
                judged = self.judge(case, calls=calls)
                if judged.verdict is Verdict.AGREES_AT_KINK:
                    self.at_kink += 1
                    moved = self.judge(jittered(case, self.rng))
                    judged = moved if moved.failed else judged
            except (SubjectError, InputError) as error:
                found = False if self.settled else self._settle(case)
                if found is False:
                    if isinstance(error, InputError):
                        raise
                    note = OTHER_LAYOUTS if is_dense_chain(case.architecture) else ONE_LAYOUT
                    self.investigation.raised(
                        case, error, note=note if self.judge.conventions.is_ours else ""
                    )
                return (
                    found if isinstance(found, Report) else self._look_again(draw, total, every_one=every_one)
                )
            if judged.failed:
                found = self._settle(case) if not self.settled and _may_be_layout(judged) else False
                if found is not False:
                    return (
                        found
                        if isinstance(found, Report)
                        else self._look_again(draw, total, every_one=every_one)
                    )
                return self._failed(judged)
            self._count(judged)
            self.bar.advance(self.judged + self.undecided, total)
            if self.judged >= total or attempts >= MOST_ATTEMPTS * total:
                break
        return self._passed(attempts, every_one=every_one)

    def _look_again(self, draw: Callable[[], Iterator[Case]], total: int, *, every_one: bool) -> Report:
        """From the start, in the layout that was found: nothing seen in another one counts."""
        self.comparisons, self.judged, self.undecided, self.at_kink, self.right = [], 0, 0, 0, []
        self.decisive = self.unresolved = None
        self.set_aside, self.turned = [], {}
        return self._look(draw, total, every_one=every_one)

    def _count(self, judged: Judged) -> None:
        for warning in judged.warnings:
            if warning not in self.warnings:
                self.warnings.append(warning)
        if judged.verdict is Verdict.INCONCLUSIVE:
            self.undecided += 1
            if judged.suspicious or self.unresolved is None:
                self.unresolved = judged
            return
        self.judged += 1
        self.set_aside += judged.set_aside
        for one in judged.set_aside:
            if one.away > 0.0:
                self.turned.setdefault(one.path, judged.case)
        self.right.append(judged.case)
        self.comparisons += judged.comparisons
        if self.decisive is None or judged.verdict.severity > self.decisive.verdict.severity:
            self.decisive = judged

    def _passed(self, attempts: int, *, every_one: bool) -> Report:
        too_few = self.judged < (attempts if every_one else LEAST_DECIDED * attempts)
        too_few = too_few or (self.unresolved is not None and self.unresolved.suspicious)
        if self.unresolved is not None and (too_few or self.decisive is None):
            worst = next(c for c in self.unresolved.comparisons if c.verdict is Verdict.INCONCLUSIVE)
            return self._report(
                Verdict.INCONCLUSIVE,
                comparisons=self.unresolved.comparisons,
                counterexample=self.unresolved.case,
                summary=(
                    f"{self.undecided} of {attempts} cases could not be decided. {worst.label}: {worst.reason}. "
                    f"{Verdict.INCONCLUSIVE.remedy}"
                ),
            )
        assert self.decisive is not None
        if told := self._nothing_exact():
            return self._report(Verdict.INCONCLUSIVE, summary=told)
        broken = self._pointing_away() or self._broken(own=every_one)
        if broken is not None:
            return self._report(
                broken.judged.verdict,
                comparisons=broken.judged.comparisons,
                diagnoses=(broken.diagnosis,),
                counterexample=broken.judged.case,
                summary=broken.summary,
            )
        if self.undecided:
            self.unchecked.append(
                f"{self.undecided} of {attempts} random cases could not be decided at this precision and were replaced"
            )
        verdict = self.decisive.verdict
        networks = "case" if self.judged == 1 else "cases"
        which = " that was held to be exact" if self.judge.declared else ""
        what = (
            f"Every gradient entry{which} lies within its error bound"
            if self.subject.loss is None
            else f"Loss and every gradient entry{which} lie within their error bounds"
        )
        summary = f"{what} in {self.judged} {networks}.{set_aside_in_short(merged(self.set_aside))}"
        if self.at_kink:
            summary += (
                f" {'There' if self.judged == 1 else f'In {self.at_kink} of them'} a unit sits exactly at a corner of its "
                "activation (as ReLU at 0), where any value between the one-sided derivatives is right; moved slightly off "
                "it, nothing is wrong either."
            )
        return self._report(verdict, comparisons=self.decisive.comparisons, summary=summary)

    def _nothing_exact(self) -> str:
        """Why an AGREES would say nothing, or an empty string.

        Raises
        ------
        InputError
            If a declared tensor is in none of the networks, or if nothing at all was looked at.
        """
        declared = self.judge.declared
        if declared and (unknown := declared.unknown(sorted(self.judge.known))):
            raise InputError(unknown)
        if not declared or any(comparison.path != "loss" for comparison in self.comparisons):
            return ""
        if all(one.kind == "ignored" for one in self.set_aside):
            raise InputError(
                "ignore= names every tensor of the gradient: nothing is left to judge. Leave out those that are to be "
                "checked."
            )
        return (
            "No tensor was held to be exact: all of them are ignored or approximate. Leave one out of approximate=, or "
            "check the gradient before it is approximated (before clipping, say)."
        )

    def _pointing_away(self) -> Broken | None:
        """A tensor declared approximate that mostly points away from the right one."""
        for one in merged(self.set_aside):
            if not mostly_away(one, self.judged):
                continue
            declared = replace(self.judge.declared, approximate=self.judge.declared.approximate - {one.path})
            held = replace(self.judge, declared=declared, evaluations=0)
            judged = held(self.turned[one.path])
            self.judge.evaluations += held.evaluations
            place = locate(judged.case, judged.comparisons)
            return Broken(
                judged,
                f"Everything else is right, but {one.path} is declared approximate and, in {one.away:.0%} of "
                f"{self.judged} case{'s' * (self.judged != 1)}, points away from the right gradient; the first of them is "
                "shown below.",
                replace(place, hint=f"{one.path} {AWAY}."),
            )
        return None

    def _broken(self, *, own: bool) -> Broken | None:
        """A promise besides the numbers that is not kept; what is only odd goes into the warnings."""
        assert self.spoken is not None
        probes = Probes(self.judge, self.spoken, self.rng)
        broken = probes(self.right, own=own)
        self.warnings += [warning for warning in probes.warnings if warning not in self.warnings]
        return broken

    def _out_of_time(self, why: str) -> Report:
        return self._report(
            Verdict.INCONCLUSIVE,
            summary=f"Stopped: {why}. {_seen_so_far(self.judged)} Give more time or fewer examples.",
        )

    def _failed(self, judged: Judged) -> Report:
        try:
            smallest, steady = self.investigation.smallest(judged)
        except HungError:
            smallest, steady = judged, True
        if not steady:
            self.warnings.append(
                "the smallest case did not fail again: the subject answers differently from call to call"
            )
        self.set_aside += [*judged.set_aside, *smallest.set_aside]
        if self.judge.declared and (unknown := self.judge.declared.unknown(sorted(self.judge.known))):
            self.warnings.append(unknown)
        # what is odd at the smallest case need not be: a step that was made to change nothing there, say
        self.warnings += [warning for warning in judged.warnings if warning not in self.warnings]
        other = self._counted_otherwise(judged)
        if other:
            self.warnings.append(other)
            diagnoses: tuple[Diagnosis, ...] = (COUNTED_OTHERWISE,)  # a convention has no bug's name
        else:
            diagnoses = self.investigation.diagnose(judged, smallest)
            if self.subject.is_step:
                diagnoses = tuple(
                    replace(d, hint=AVERAGED_TWICE) if d.bug == "averaged-twice" else d for d in diagnoses
                )
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

    def _counted_otherwise(self, judged: Judged) -> str:
        """How else the cost may be counted, where the loss is wrong as well as the gradient."""
        wrong = {c.path for c in judged.comparisons if not c.verdict.ok}
        if "loss" not in wrong or wrong == {"loss"} or judged.verdict is not Verdict.DISAGREES:
            return ""
        case, batch = judged.case, next(b for b in FRESH_BATCHES if b != judged.case.batch)
        rng = np.random.default_rng([self.seed, *planned(case.architecture).sizes])
        try:
            fresh = fitted(random_case(rng, case.architecture, GENERIC, batch=batch), self.judge.conventions)
            return counted_otherwise(self.judge, [case, fresh])
        except (SubjectError, InputError, HungError):
            return ""

    def _report(
        self,
        verdict: Verdict,
        *,
        comparisons: tuple[Comparison, ...] = (),
        diagnoses: tuple[Diagnosis, ...] = (),
        counterexample: Case | None = None,
        summary: str = "",
    ) -> Report:
        conventions = self.judge.conventions
        inferred = [text for text in (self.inferred, self.layout) if text]
        shown = counterexample and replace(
            counterexample, architecture=conventions.as_given(counterexample.architecture)
        )
        aside = merged(self.set_aside)
        report = Report(
            subject=self.subject.name,
            verdict=verdict,
            comparisons=tuple(comparisons),
            diagnoses=diagnoses,
            counterexample=shown,
            reproducer=""
            if counterexample is None
            else reproducer(counterexample, self.subject.name, conventions, self.judge.declared),
            detection_limit=detection_limit(self.comparisons or comparisons),
            warnings=tuple(self.warnings),
            unchecked=tuple(self.unchecked),
            set_aside=aside,
            inferred="; ".join(inferred),
            examples=self.judged + self.undecided + (verdict.severity > Verdict.INCONCLUSIVE.severity),
            evaluations=self.judge.evaluations,
            seed=self.seed,
            summary=summary,
        )
        report = in_callers_words(report, conventions)
        spoken = spoken_of(aside, report.comparisons, cases=self.judged)
        return replace(report, warnings=(*report.warnings, *spoken))


def _seen_so_far(judged: int) -> str:
    if not judged:
        return "Nothing was compared by then."
    return f"Nothing wrong was seen in {judged} case{'s' * (judged != 1)}."


def _may_be_layout(judged: Judged) -> bool:
    """Whether a wrong layout could look like this: another form, or another forward value."""
    return any(
        c.verdict is Verdict.WRONG_STRUCTURE or (c.path == "loss" and not c.verdict.ok)
        for c in judged.comparisons
    )
