"""Which layouts a subject accepts: asked first what it looks at, then tried in those that can make a difference.

Every layout is a :class:`Candidate`. One in which the subject raises is asked again, with arguments that take notes of its
questions; whatever would have given the same answers would have raised alike, and is not tried. So a misspelt key costs
a call or two for each container, and not one for each shape of everything in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bpcheck.check.contract import Asked, HungError, ask, guarded_call
from bpcheck.conventions import Conventions
from bpcheck.conventions.convert import carry_x, carry_y, params_into, plan_of, tensors_into
from bpcheck.conventions.nesting import VECTORS
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.case import Case
from bpcheck.result import Comparison
from bpcheck.search.dialect.candidates import KEYS, Candidate, candidates, gradient_readings
from bpcheck.search.dialect.questions import Questions, array, parts, watched
from bpcheck.search.dialect.translate import Form
from bpcheck.search.dialect.trial import Trial, judge_of
from bpcheck.search.judging import Judge
from bpcheck.search.place import place_of
from bpcheck.subject import Answer

__all__ = ["Furthest", "Hearing", "hear"]

# Where a finding says that there is no loss to look at.
NUMBERLESS = ("loss", "return value")

STRUCTURE = frozenset({"structure"})
ASPECTS = frozenset({"structure", "keys", "weight", "bias", "x", "y"})
"""What a layout can differ in for a function that is called with it."""

PAIR = "it must return the pair (loss, gradient)"
RETURNED = (
    "In most layouts the function raises. With conventions=bpcheck.{!r} it returns, but {}: {}. Where loss and "
    "gradient are two functions, give bpcheck.from_parts(loss=..., gradient=...)."
)


@dataclass(frozen=True, eq=False)
class Furthest:
    """The attempt that got furthest before it raised.

    Attributes
    ----------
    conventions : Conventions
    case : Case
    error : Exception
    places : int
        In how many places the function had asked something of its arguments by then.
    of_depth : bool
        Whether the last of them was how many layers there are.
    """

    conventions: Conventions
    case: Case
    error: Exception
    places: int
    of_depth: bool

    def is_the_same(self, other: Furthest | None) -> bool:
        """Whether another attempt, on a network of another depth, met the same fate."""
        if other is None or self.of_depth or other.of_depth:
            return False
        first, second = (one.error.__cause__ or one.error for one in (self, other))
        return place_of(first) == place_of(second) and str(first) == str(second)


@dataclass(eq=False)
class Hearing:
    """What is known of the layouts of a subject.

    Attributes
    ----------
    trials : list of Trial
        Those in which it answers, each with the first nesting that its gradient has.
    returned : str
        Where there is none, what is wrong with what it returned in the first in which it returned at all.
    furthest : Furthest or None
        Of those in which it raised.
    elsewhere : bool
        Whether a network of another depth may be another matter: not if it never asked how many layers there are, and
        looked at no array.
    """

    trials: list[Trial] = field(default_factory=list)
    returned: str = ""
    furthest: Furthest | None = None
    elsewhere: bool = True


def hear(judge: Judge, cases: Iterator[Case] | Sequence[Case]) -> tuple[Hearing, Case | None]:
    """The layouts that a subject accepts on the first case, of several, on which it accepts any.

    Parameters
    ----------
    judge : Judge
        Of the subject itself: nothing is translated yet.
    cases : iterable of Case

    Returns
    -------
    Hearing
    Case or None
        The one that was accepted.
    """
    ruled_out: set[tuple[Any, ...]] = set()
    furthest: Furthest | None = None
    returned = ""
    hearing = Hearing()
    for case in cases:
        one = _OneCase(judge, case, ruled_out)
        hearing = one.hear()
        if hearing.trials:
            return hearing, case
        again = furthest is not None and furthest.is_the_same(hearing.furthest)
        furthest = furthest or hearing.furthest
        returned = returned or hearing.returned
        if again or not hearing.elsewhere:
            break
    return replace(hearing, furthest=furthest, returned=returned), None


@dataclass(eq=False)
class _OneCase:
    """The layouts tried on one case.

    ``ruled_out`` holds structures that raise whatever the depth, and outlives the case.
    """

    judge: Judge
    case: Case
    ruled_out: set[tuple[Any, ...]]
    failed: dict[frozenset[str], set[tuple[Any, ...]]] = field(default_factory=dict)
    names: dict[tuple[Any, ...], tuple[str, str]] = field(default_factory=dict)
    returned: list[tuple[Conventions, Comparison]] = field(default_factory=list)
    listed: set[tuple[Any, ...]] = field(default_factory=set)
    furthest: Furthest | None = None
    looked: bool = False
    batched: bool = False

    def hear(self) -> Hearing:
        """All layouts; one array for everything only where nothing else will do."""
        found = self._try_all(vectors=False) or self._under_other_keys() or self._try_all(vectors=True)
        kept = [trial for trial in found if not (self.batched and trial.conventions.per_example)]
        text = ""
        if not kept and self.returned and not self.returned[0][0].is_ours:  # in ours it is looked at anyway
            conventions, finding = self.returned[0]
            reason = finding.reason.rstrip(".")
            wrong = reason if PAIR in reason else f"{reason}; {PAIR}"
            text = RETURNED.format(conventions, finding.path, wrong)
        return Hearing(kept, text, self.furthest, self.looked or bool(text))

    def _try_all(self, *, vectors: bool) -> list[Trial]:
        outputs = self.case.architecture.outputs
        return [t for c in candidates(outputs=outputs, vectors=vectors) for t in self._attempt(c)]

    def _under_other_keys(self) -> list[Trial]:
        """For a function that goes through all the keys there are: it asks for none that could be heard."""
        outputs = self.case.architecture.outputs
        found: list[Trial] = []
        for candidate in candidates(outputs=outputs, vectors=False):
            if candidate.structure in self.listed:
                for names in KEYS[candidate.params]:
                    self.names[candidate.structure] = names
                    found += self._attempt(candidate)
        return found

    def _is_known_to_raise(self, candidate: Candidate) -> bool:
        depth, names = len(self.case.params), self.names.get(candidate.structure)
        if candidate.about(STRUCTURE, depth, names) in self.ruled_out:
            return True
        return any(candidate.about(asked, depth, names) in seen for asked, seen in self.failed.items())

    def _attempt(self, candidate: Candidate) -> list[Trial]:
        """The trial, if the subject answers with a number."""
        if self._is_known_to_raise(candidate):
            return []
        conventions = candidate.conventions(self.names.get(candidate.structure))
        answer = self._try(conventions)
        if isinstance(answer, Exception):
            return self._again(candidate, conventions, answer)
        asked, raw = answer
        if asked.loss is None or np.isnan(asked.loss):
            # Something that is no number came back for a whole batch: it runs on batches, and is held to them.
            self.batched = self.batched or not conventions.per_example
            amiss = [f for f in asked.findings if f.path in NUMBERLESS]
            if amiss:
                self.returned.append((conventions, amiss[0]))
                return []
        conventions, wrong = self._read(conventions, raw)
        return [Trial(conventions, judge_of(self.judge, conventions), not wrong)]

    def _again(self, candidate: Candidate, conventions: Conventions, error: Exception) -> list[Trial]:
        """After an error: with the keys that it asks for, if these are others; else that is what is known."""
        questions, alike = self._questions(conventions, error)
        names = questions.named(conventions).names
        if names and names != conventions.names and candidate.structure not in self.names:
            self.names[candidate.structure] = names
            return self._attempt(candidate)
        told = questions if alike else Questions.about_everything()
        self._rule_out(candidate, conventions, told)
        if self.furthest is None or len(told.places) > self.furthest.places:
            of_depth = "depth" in told.last
            self.furthest = Furthest(conventions, self.case, error, len(told.places), of_depth)
        return []

    def _try(self, conventions: Conventions) -> tuple[Asked, Answer] | Exception:
        """One answer and what it was before it was translated, or what was raised."""
        if self.judge.clock.struck:
            raise HungError
        self.judge.evaluations += 1
        heard: list[Answer] = []

        def listened(*arguments: Any, **options: Any) -> Answer:
            heard.append(self.judge.subject.answer(*arguments, **options))
            return heard[-1]

        judge = replace(self.judge, subject=replace(self.judge.subject, answer=listened))
        try:
            judge = judge_of(judge, conventions)
            case = judge.fitted(self.case)
            if judge.announce is not None:
                judge.announce(case)
            # without the text of a reproducer, which takes longer than most subjects
            asked = ask(
                judge.subject,
                case.params,
                (case.x, case.y),
                clock=judge.clock,
                architecture=case.architecture,
            )
        except (SubjectError, InputError) as error:
            return error
        return asked, heard[-1] if heard else Answer(None, None)

    def _questions(self, conventions: Conventions, error: Exception) -> tuple[Questions, bool]:
        """What the subject asks of its arguments, and whether it then raises what it raised before."""
        subject = self.judge.subject
        function = subject.function or subject.answer
        case = judge_of(self.judge, conventions).fitted(self.case)
        questions = Questions()
        plan = plan_of(conventions, len(case.params))
        params = watched(conventions, params_into(conventions, case.params), plan, questions)
        x = array(carry_x(conventions, case.x)[0], questions, "x")
        y = array(carry_y(conventions, case.y)[0], questions, "y")
        handed = parts(params) if conventions.spread else (params,)
        options = {"architecture": case.architecture} if subject.takes_architecture else {}
        self.judge.evaluations += 1
        try:
            guarded_call(lambda: function(*handed, x, y, **options), self.judge.clock)
        except HungError:
            raise
        except (Exception, SystemExit) as again:
            return questions, place_of(again) == place_of(error.__cause__ or error)
        return questions, False

    def _rule_out(self, candidate: Candidate, conventions: Conventions, questions: Questions) -> None:
        """Whatever gives the same answers to these questions."""
        asked, depth = frozenset(questions.asked) & ASPECTS, len(self.case.params)
        self.failed.setdefault(asked, set()).add(candidate.about(asked, depth, conventions.names))
        if "keys" in asked and candidate.params in KEYS and not questions.names:
            self.listed.add(candidate.structure)
        if questions.asked <= STRUCTURE:
            self.ruled_out.add(candidate.about(STRUCTURE, depth, conventions.names))
        elif conventions.params not in VECTORS:
            self.looked = True

    def _read(self, conventions: Conventions, raw: Answer) -> tuple[Conventions, int]:
        """The layout with the first nesting that the gradient has, and how many tensors are amiss in that."""
        ignore = self.judge.declared.ignore
        like = tensors_into(conventions, self.case.params)
        as_params = self.judge.subject.gradient_like_params
        wrong = Form(conventions, like, as_params=as_params).amiss(raw.gradient, ignore)
        if not wrong or as_params:
            return conventions, wrong
        for other in gradient_readings(conventions, raw.gradient):
            fewer = Form(other, like, as_params=False).amiss(raw.gradient, ignore)
            if fewer < wrong:  # else what is said about the form would be said about the wrong containers
                conventions, wrong = other, fewer
            if not wrong:
                break
        return conventions, wrong
