"""What a run has to say besides its verdict, and the report that it all goes into."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from bpcheck.check.agreement import detection_limit
from bpcheck.check.declared import merged, spoken_of
from bpcheck.diagnosis.locate import locate
from bpcheck.network.case import Case
from bpcheck.result import Comparison, Diagnosis, Report
from bpcheck.search.dialect.callers_words import in_callers_words
from bpcheck.search.judging import Judge
from bpcheck.search.reproducer import reproducer
from bpcheck.search.tally import Tally
from bpcheck.verdict import Verdict

__all__ = ["ConcludedError", "Notes"]


class ConcludedError(Exception):
    """Nothing is left to ask: the report is in ``args[0]``."""


@dataclass(eq=False)
class Notes:
    """Warnings, and what was inferred.

    Attributes
    ----------
    judge : Judge
    seed : int
    tally : Tally
    warnings : list of str
    unchecked : list of str
        What was not looked at.
    inferred : str
        What the subject computes.
    layout : str
        How it lays out its numbers.
    """

    judge: Judge
    seed: int
    tally: Tally = field(default_factory=Tally)
    warnings: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    inferred: str = ""
    layout: str = ""

    def warn(self, *warnings: str) -> None:
        """Each once; an empty one not at all."""
        self.warnings += [
            warning for warning in dict.fromkeys(warnings) if warning and warning not in self.warnings
        ]

    def left_out(self, *told: str) -> None:
        """Each thing that was not looked at once."""
        self.unchecked += [one for one in dict.fromkeys(told) if one not in self.unchecked]

    def faulty(self, finding: Comparison, case: Case | None = None) -> Report:
        """The report about a fault before any number could be compared."""
        return self.report(
            finding.verdict,
            comparisons=(finding,),
            diagnoses=(locate(None, [finding]),),
            counterexample=case,
            summary="Nothing could be compared.",
        )

    def report(
        self,
        verdict: Verdict,
        *,
        comparisons: Iterable[Comparison] = (),
        diagnoses: tuple[Diagnosis, ...] = (),
        counterexample: Case | None = None,
        summary: str = "",
    ) -> Report:
        """The report, in the caller's words."""
        judge, tally = self.judge, self.tally
        conventions, comparisons = judge.conventions, tuple(comparisons)
        aside = merged(tally.set_aside)
        report = Report(
            subject=judge.subject.name,
            verdict=verdict,
            comparisons=comparisons,
            diagnoses=diagnoses,
            counterexample=counterexample
            and replace(counterexample, architecture=conventions.as_given(counterexample.architecture)),
            reproducer=""
            if counterexample is None
            else reproducer(counterexample, judge.subject.typed, conventions, judge.declared),
            detection_limit=detection_limit(tally.comparisons or comparisons),
            warnings=tuple(self.warnings),
            unchecked=tuple(self.unchecked),
            set_aside=aside,
            inferred="; ".join(text for text in (self.inferred, self.layout) if text),
            examples=tally.seen + (verdict.severity > Verdict.INCONCLUSIVE.severity),
            evaluations=judge.evaluations,
            seed=self.seed,
            summary=summary,
        )
        report = in_callers_words(report, conventions)
        spoken = spoken_of(aside, report.comparisons, cases=tally.judged)
        return replace(report, warnings=(*report.warnings, *spoken))
