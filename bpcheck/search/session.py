"""One run of compare()."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bpcheck.case import Case
from bpcheck.check.agreement import detection_limit
from bpcheck.check.contract import HungError
from bpcheck.diagnosis.locate import locate
from bpcheck.errors import SubjectError
from bpcheck.report.progress import Progress
from bpcheck.result import Comparison, Diagnosis, Report
from bpcheck.search.degenerate import hidden_by
from bpcheck.search.failure import Investigation
from bpcheck.search.infer import Inference, Observed, infer, observe
from bpcheck.search.judging import Judge, Judged, reproducer
from bpcheck.search.sample import SPECIAL, SPECIAL_EVERY, jittered
from bpcheck.search.sources import Pins, given, pinned, resolvable_cases, templated
from bpcheck.subject import Subject
from bpcheck.verdict import Verdict

__all__ = ["Session"]

# The first cases are asked twice: enough to see state kept between calls, at little cost.
CASES_ASKED_TWICE = 3

# If fewer than this share of the random cases could be decided, an AGREES would promise too much.
LEAST_DECIDED = 0.5
MOST_ATTEMPTS = 2  # so that many attempts an example are enough to tell

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
    inferred: str = ""
    comparisons: list[Comparison] = field(default_factory=list)
    judged: int = 0
    undecided: int = 0
    at_kink: int = 0
    decisive: Judged | None = None
    unresolved: Judged | None = None

    def __post_init__(self) -> None:
        self.investigation = Investigation(self.judge, self.rng)

    @property
    def subject(self) -> Subject:
        """What is being compared."""
        return self.judge.subject

    def run(self, cases: list[Case] | None, architectures: Any) -> Report:
        """Choose where cases come from, look at them, report."""
        self.warnings += self.subject.notes
        try:
            if cases is not None:
                self.investigation.source = given(cases)
                self.warnings += hidden_by(cases)
                return self._look(iter(cases), len(cases), every_one=True)
            if architectures is not None:
                source = pinned(self.rng, architectures)
            elif self.pins.template is not None:
                source = templated(self.rng, self.pins, self.pins.template)
            elif self.subject.takes_architecture:
                source = templated(self.rng, self.pins, None)
            else:
                inferred = self._infer()
                if isinstance(inferred, Report):
                    return inferred
                source = templated(self.rng, self.pins, inferred.template, inferred.depths)
            self.investigation.source = source
            if self.examples < VISIT_ALL:
                self.warnings.append(
                    f"{self.examples} examples do not visit all kinds of network ({VISIT_ALL} do): "
                    "some bugs show only in special ones"
                )
            return self._look(resolvable_cases(source, self.judge), self.examples)
        except HungError:
            return self._out_of_time(
                "the subject did not return within the time limit (Python cannot end a thread: the call is left "
                "running; `bpcheck compare` runs the subject in a process that it can end)"
            )

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
            return self._nothing_fits(answered, inference)
        deeper = [o for o in observations if o.depth > 1 and o.equal and o.error is not None]
        if inference.depths == (1,) and deeper:
            # Code that only works without a hidden layer is far more often broken than meant so.
            note = (
                "\nWithout a hidden layer it answers. If it is meant for that alone, give "
                "architectures=bpcheck.mlp([4, 3], loss=…)."
            )
            self.investigation.raised(deeper[0].cases[0], deeper[0].error or SubjectError(""), note=note)
        self.judge.scaling = inference.scaling
        self.inferred = inference.text
        self.warnings += inference.warnings
        return inference

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

    def _look(self, cases: Iterator[Case], total: int, *, every_one: bool = False) -> Report:
        """Judge cases until ``total`` are decided; with ``every_one``, none of them may stay undecided."""
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
                if judged.verdict is Verdict.AGREES_AT_KINK:
                    self.at_kink += 1
                    moved = self.judge(jittered(case, self.rng))
                    judged = moved if moved.failed else judged
            except SubjectError as error:
                self.investigation.raised(case, error)
            if judged.failed:
                return self._failed(judged)
            self._count(judged)
            self.bar.advance(self.judged + self.undecided, total)
            if self.judged >= total or attempts >= MOST_ATTEMPTS * total:
                break
        return self._passed(attempts, every_one=every_one)

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
        if self.undecided:
            self.warnings.append(
                f"{self.undecided} of {attempts} random cases could not be decided at this precision and were replaced"
            )
        verdict = self.decisive.verdict
        networks = "case" if self.judged == 1 else "cases"
        what = (
            "Every gradient entry lies within its error bound"
            if self.subject.loss is None
            else ("Loss and every gradient entry lie within their error bounds")
        )
        summary = f"{what} in {self.judged} {networks}."
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

    def _failed(self, judged: Judged) -> Report:
        try:
            smallest, steady = self.investigation.smallest(judged)
        except HungError:
            smallest, steady = judged, True
        if not steady:
            self.warnings.append(
                "the smallest case did not fail again: the subject answers differently from call to call"
            )
        for warning in (*judged.warnings, *smallest.warnings):
            if warning not in self.warnings:
                self.warnings.append(warning)
        diagnoses = self.investigation.diagnose(judged, smallest)
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
            examples=self.judged + self.undecided + (verdict.severity > Verdict.INCONCLUSIVE.severity),
            evaluations=self.judge.evaluations,
            seed=self.seed,
            summary=summary,
        )
