"""One run of compare(): case after case, until one fails or enough have agreed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bpcheck.check.contract import HungError
from bpcheck.check.declared import AWAY, merged, mostly_away, set_aside_in_short
from bpcheck.conventions.sayable import require_sayable
from bpcheck.diagnosis.locate import locate
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import is_dense_chain
from bpcheck.network.layers import Dense
from bpcheck.report.progress import Progress
from bpcheck.result import Diagnosis, Report
from bpcheck.search.cases.degenerate import hidden_by
from bpcheck.search.cases.plan import planned
from bpcheck.search.cases.sample import GENERIC, SPECIAL, SPECIAL_EVERY, jittered, random_case
from bpcheck.search.cases.sources import Pins, Source, given, listed, pinned, resolvable_cases, templated
from bpcheck.search.cost.other_count import counted_otherwise
from bpcheck.search.failure import Investigation
from bpcheck.search.inquiry import Inquiry
from bpcheck.search.judging import Judge, Judged
from bpcheck.search.notes import ConcludedError, Notes
from bpcheck.search.probes import Broken, Probes
from bpcheck.search.tally import Tally
from bpcheck.subject import Subject
from bpcheck.verdict import Verdict

__all__ = ["Session"]

# The first cases are asked twice: enough to see state kept between calls, at little cost.
CASES_ASKED_TWICE = 3

MOST_ATTEMPTS = 2  # so many attempts an example are enough to tell

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

VISIT_ALL = SPECIAL_EVERY * len(SPECIAL)

HUNG = (
    "the subject did not return within the time limit (Python cannot end a thread: the call is left "
    "running; `bpcheck compare` runs the subject in a process that it can end)"
)


class _AnewError(Exception):
    """The subject is asked in another way from here on: nothing that was seen before counts."""


@dataclass(eq=False)
class Session:
    """One run of compare(): looks at case after case and writes the report.

    Attributes
    ----------
    judge : Judge
    rng : numpy.random.Generator
    seed, examples : int
    bar : Progress
    pins : Pins
    spoken : Subject
        The subject in its own layout.
    settled : bool
        Whether the caller said what that layout is.
    """

    judge: Judge
    rng: np.random.Generator
    seed: int
    examples: int
    bar: Progress
    pins: Pins
    spoken: Subject
    settled: bool
    notes: Notes = field(init=False)
    investigation: Investigation = field(init=False)
    inquiry: Inquiry = field(init=False)

    def __post_init__(self) -> None:
        self.notes = Notes(self.judge, self.seed, unchecked=list(self.judge.subject.notes))
        self.investigation = Investigation(self.judge, self.rng)
        self.inquiry = Inquiry(self.judge, self.rng, self.notes, self.investigation, self.pins, self.settled)

    @property
    def tally(self) -> Tally:
        """What has been seen so far."""
        return self.notes.tally

    def run(self, cases: list[Case] | None, architectures: Any) -> Report:
        """Choose where cases come from, look at them, report."""
        try:
            if cases is not None:
                return self._look_at(cases)
            source = self._source(architectures)
            self.investigation.source = source
            if self.examples < VISIT_ALL:
                self.notes.left_out(
                    f"{self.examples} examples do not visit all kinds of network ({VISIT_ALL} do): "
                    "some bugs show only in special ones"
                )
            return self._look(lambda: resolvable_cases(source, self.judge), self.examples)
        except ConcludedError as concluded:
            return concluded.args[0]  # type: ignore[no-any-return]
        except HungError:
            return self._out_of_time(HUNG)

    def _look_at(self, cases: list[Case]) -> Report:
        """The caller's own cases, as they are."""
        meant = [self._meant(case) for case in cases]
        self.investigation.source = given(meant)
        self.notes.left_out(*hidden_by(meant))

        def draw() -> Iterator[Case]:
            for case in meant:
                require_sayable(self.judge.conventions, case)
                yield case

        return self._look(draw, len(meant), every_one=True)

    def _source(self, architectures: Any) -> Source:
        """Where random cases come from."""
        if architectures is not None:
            if several := listed(architectures):
                rng = np.random.default_rng(self.seed)  # the numbers of the cases themselves stay as they are
                where = "the network given" if len(several) == 1 else "the networks given"
                hidden = hidden_by([random_case(rng, one, GENERIC) for one in several])
                self.notes.left_out(*(f"in {where}, {text}" for text in hidden))
            return self._described(pinned(self.rng, architectures))
        if self.pins.template is not None or self.judge.subject.takes_architecture:
            return self._described(templated(self.rng, self.pins, self.pins.template))
        inferred = self.inquiry.infer()
        return templated(self.rng, self.pins, inferred.template, inferred.depths)

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

    # --- looking --------------------------------------------------------------------------------------------------

    def _look(self, draw: Callable[[], Iterator[Case]], total: int, *, every_one: bool = False) -> Report:
        """Judge cases until ``total`` are decided; with ``every_one``, none of them may stay undecided."""
        while True:
            try:
                return self._pass(draw(), total, every_one=every_one)
            except _AnewError:
                self.notes.tally = Tally()

    def _pass(self, cases: Iterator[Case], total: int, *, every_one: bool) -> Report:
        attempts = 0
        for case in cases:
            if self.judge.clock.struck:
                seen = self.tally.judged
                return self._out_of_time(f"the time limit ended the search after {seen} of {total} cases")
            judged = self._judged(case, calls=2 if attempts < CASES_ASKED_TWICE else 1)
            attempts += 1
            if judged.failed:
                if self.inquiry.explains(judged):
                    raise _AnewError
                return self._failed(judged)
            self.notes.warn(*judged.warnings)
            self.tally.count(judged)
            self.bar.advance(self.tally.seen, total)
            if self.tally.judged >= total or attempts >= MOST_ATTEMPTS * total:
                break
        return self._passed(attempts, every_one=every_one)

    def _judged(self, case: Case, *, calls: int) -> Judged:
        """One case, and where a unit sits at a kink one beside it."""
        try:
            judged = self.judge(case, calls=calls)
            if judged.verdict is Verdict.AGREES_AT_KINK:
                self.tally.at_kink += 1
                moved = self.judge(jittered(case, self.rng))
                judged = moved if moved.failed else judged
        except (SubjectError, InputError) as error:
            self.inquiry.explains_an_error(case, error)
            raise _AnewError from error
        return judged

    # --- all agreed -----------------------------------------------------------------------------------------------

    def _passed(self, attempts: int, *, every_one: bool) -> Report:
        tally = self.tally
        doubt = tally.in_doubt(attempts, every_one=every_one)
        if doubt is not None:
            worst = next(c for c in doubt.comparisons if c.verdict is Verdict.INCONCLUSIVE)
            return self.notes.report(
                Verdict.INCONCLUSIVE,
                comparisons=doubt.comparisons,
                counterexample=doubt.case,
                summary=(
                    f"{tally.undecided} of {attempts} cases could not be decided. {worst.label}: {worst.reason}. "
                    f"{Verdict.INCONCLUSIVE.remedy}"
                ),
            )
        assert tally.decisive is not None
        if told := self._nothing_exact():
            return self.notes.report(Verdict.INCONCLUSIVE, summary=told)
        broken = self._pointing_away() or self._broken(own=every_one)
        if broken is not None:
            return self.notes.report(
                broken.judged.verdict,
                comparisons=broken.judged.comparisons,
                diagnoses=(broken.diagnosis,),
                counterexample=broken.judged.case,
                summary=broken.summary,
            )
        if tally.undecided:
            self.notes.left_out(
                f"{tally.undecided} of {attempts} random cases could not be decided at this precision and were replaced"
            )
        return self.notes.report(
            tally.decisive.verdict, comparisons=tally.decisive.comparisons, summary=self._all_is_well()
        )

    def _all_is_well(self) -> str:
        tally = self.tally
        networks = "case" if tally.judged == 1 else "cases"
        which = " that was held to be exact" if self.judge.declared else ""
        what = (
            f"Every gradient entry{which} lies within its error bound"
            if self.judge.subject.loss is None
            else f"Loss and every gradient entry{which} lie within their error bounds"
        )
        summary = f"{what} in {tally.judged} {networks}.{set_aside_in_short(merged(tally.set_aside))}"
        if tally.at_kink:
            summary += (
                f" {'There' if tally.judged == 1 else f'In {tally.at_kink} of them'} a unit sits exactly at a corner of its "
                "activation (as ReLU at 0), where any value between the one-sided derivatives is right; moved slightly off "
                "it, nothing is wrong either."
            )
        return summary

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
        if not declared or any(comparison.path != "loss" for comparison in self.tally.comparisons):
            return ""
        if all(one.kind == "ignored" for one in self.tally.set_aside):
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
        for one in merged(self.tally.set_aside):
            if not mostly_away(one, self.tally.judged):
                continue
            declared = replace(self.judge.declared, approximate=self.judge.declared.approximate - {one.path})
            held = replace(self.judge, declared=declared, evaluations=0)
            judged = held(self.tally.turned[one.path])
            self.judge.evaluations += held.evaluations
            place = locate(judged.case, judged.comparisons)
            return Broken(
                judged,
                f"Everything else is right, but {one.path} is declared approximate and, in {one.away:.0%} of "
                f"{self.tally.judged} case{'s' * (self.tally.judged != 1)}, points away from the right gradient; the first "
                "of them is shown below.",
                replace(place, hint=f"{one.path} {AWAY}."),
            )
        return None

    def _broken(self, *, own: bool) -> Broken | None:
        """A promise besides the numbers that is not kept; what is only odd goes into the warnings."""
        probes = Probes(self.judge, self.spoken, self.rng)
        broken = probes(self.tally.right, own=own)
        self.notes.warn(*probes.warnings)
        return broken

    def _out_of_time(self, why: str) -> Report:
        return self.notes.report(
            Verdict.INCONCLUSIVE,
            summary=f"Stopped: {why}. {_seen_so_far(self.tally.judged)} Give more time or fewer examples.",
        )

    # --- one failed -----------------------------------------------------------------------------------------------

    def _failed(self, judged: Judged) -> Report:
        try:
            smallest, steady = self.investigation.smallest(judged)
        except HungError:
            smallest, steady = judged, True
        if not steady:
            self.notes.warn(
                "the smallest case did not fail again: the subject answers differently from call to call"
            )
        self.tally.set_aside += [*judged.set_aside, *smallest.set_aside]
        if self.judge.declared:
            self.notes.warn(self.judge.declared.unknown(sorted(self.judge.known)))
        # what is odd at the smallest case need not be: a step that was made to change nothing there, say
        self.notes.warn(*judged.warnings)
        other = self._counted_otherwise(judged)
        self.notes.warn(other)
        # a convention has no bug's name
        diagnoses = (COUNTED_OTHERWISE,) if other else self._diagnosed(judged, smallest)
        tried = self.tally.seen
        after = (
            f"Right in {tried} case{'s' * (tried != 1)}, wrong in the next"
            if tried
            else "Wrong in the first case"
        )
        shrunk = smallest.case is not judged.case
        summary = f"{after}; {'the smallest that fails alike' if shrunk else 'that case'} is shown below."
        return self.notes.report(
            smallest.verdict,
            comparisons=smallest.comparisons,
            diagnoses=diagnoses,
            counterexample=smallest.case,
            summary=summary,
        )

    def _diagnosed(self, judged: Judged, smallest: Judged) -> tuple[Diagnosis, ...]:
        found = self.investigation.diagnose(judged, smallest)
        if self.judge.subject.rate is None:
            return found
        return tuple(replace(d, hint=AVERAGED_TWICE) if d.bug == "averaged-twice" else d for d in found)

    def _counted_otherwise(self, judged: Judged) -> str:
        """How else the cost may be counted, where the loss is wrong as well as the gradient."""
        wrong = {c.path for c in judged.comparisons if not c.verdict.ok}
        if "loss" not in wrong or wrong == {"loss"} or judged.verdict is not Verdict.DISAGREES:
            return ""
        case, batch = judged.case, next(b for b in FRESH_BATCHES if b != judged.case.batch)
        rng = np.random.default_rng([self.seed, *planned(case.architecture).sizes])
        try:
            fresh = self.judge.fitted(random_case(rng, case.architecture, GENERIC, batch=batch))
            return counted_otherwise(self.judge, [case, fresh])
        except (SubjectError, InputError, HungError):
            return ""


def _seen_so_far(judged: int) -> str:
    if not judged:
        return "Nothing was compared by then."
    return f"Nothing wrong was seen in {judged} case{'s' * (judged != 1)}."
