"""What to do with a failure: make it small, find out where and what it is, say it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np

from bpcheck.check.contract import ALIASED, HungError
from bpcheck.diagnosis import CATALOGUE, Observation
from bpcheck.diagnosis import diagnose as explain
from bpcheck.diagnosis.cost import logarithm
from bpcheck.diagnosis.diagnose import named
from bpcheck.diagnosis.hypothesis import Hypothesis, standing
from bpcheck.diagnosis.layers.kinds import EQUATIONS, knows
from bpcheck.diagnosis.locate import locate
from bpcheck.diagnosis.pattern import pattern
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain, is_dense_chain
from bpcheck.network.names import in_words, places
from bpcheck.result import Diagnosis
from bpcheck.search.cases.experiment import Experiment, experiments, separating
from bpcheck.search.cases.plan import planned
from bpcheck.search.cases.sample import jittered, random_architecture, random_case
from bpcheck.search.cases.shrink import shrink
from bpcheck.search.cases.sources import Source
from bpcheck.search.cases.sweep import depth, sweep
from bpcheck.search.judging import Judge, Judged
from bpcheck.search.place import place_of
from bpcheck.verdict import Verdict

__all__ = ["Investigation"]

# A bug is named only if it reproduces the numbers on the failing case and on this many fresh ones.
FRESH_NETWORKS = 4

UNIT_ROUNDOFF = 2.0**-53
"""u of float64."""

CASTS = "cast-to-"
CAST = f"{CASTS}float32"
CAST_EVIDENCE = "storing the input, the parameters or the gradient in float32 gives exactly these numbers"

DEPTH = "right-only-for-depth-1"

ALONE = "with two examples it is right, with one alone it is not"
SQUEEZED = (
    "Look at what happens when the batch holds one example: squeeze() and x[i] drop the axis of the batch, x[i:i + 1] and "
    "keepdims=True keep it."
)

MOST_EXPERIMENTS = 3
"""Of three explanations two experiments leave one; a third is for an answer that was no help."""


@dataclass(eq=False)
class Investigation:
    """Looks into failures of one subject.

    Attributes
    ----------
    judge : Judge
    rng : numpy.random.Generator
    source : Source or None
        For fresh networks; None while it is not known what the subject computes.
    """

    judge: Judge
    rng: np.random.Generator
    source: Source | None = None
    _seen: list[Judged] = field(default_factory=list)
    _hypotheses: list[Hypothesis] = field(default_factory=list)
    _pattern: bool = False
    _advice: str = ""
    _apart: str = ""

    def identity(self, judged: Judged) -> tuple[str, ...]:
        """What counts as failing in the same way: verdict, equation, and the same bug or pattern; not the place."""
        if not judged.failed:
            return ("", "", "")
        located = locate(judged.case, judged.comparisons)
        return (judged.verdict.name, located.equation, self._mark(judged))

    def _mark(self, judged: Judged) -> str:
        """The first explanation that holds for these numbers too, or the pattern that they show."""
        observations = self._observations([judged]) if knows(judged.case.architecture.layers) else []
        if not observations or judged.first_call_ok:
            return ""
        if self._hypotheses:
            bugs = self._hypotheses[0].bugs
            # a bug that was seen in one layer of some networks may be in all layers of others
            rate = self.judge.rate(judged.case)
            predictions = [
                self._hypotheses[0].predict(judged.case, rate),
                *(bug.predict(judged.case, rate) for bug in bugs),
            ]
            explained = any(p is not None and observations[0].is_reproduced_by(p) for p in predictions)
            return bugs[0].slug if explained and observations[0].wrong else "another"
        # of a small network one entry is soon alone: only what was seen before counts
        found = pattern(observations) if self._pattern else None
        return "" if found is None else found[0]

    def look(self, judged: Judged) -> None:
        """Ask on fresh networks, and further ones while several bugs explain everything; before anything is shrunk."""
        if judged.verdict is not Verdict.DISAGREES or judged.first_call_ok or not self._is_ours(judged):
            return
        self._seen = [judged]
        try:
            if self.source is not None:
                self._seen += [self.judge(self.source(index)) for index in range(1, FRESH_NETWORKS + 1)]
        except (SubjectError, InputError, HungError):
            pass  # what was seen so far is evidence enough; the failure itself is already known
        observations = self._observations(self._seen)
        self._hypotheses = standing(observations, CATALOGUE.values())
        if len(self._hypotheses) > 1:
            self._tell_apart(judged)
        self._pattern = bool(observations) and not self._hypotheses and pattern(observations) is not None

    def _is_ours(self, judged: Judged) -> bool:
        """Whether the catalogue speaks of such code: layers of kinds that it knows, held against our own gradient."""
        return knows(judged.case.architecture.layers) and self.judge.reference is None

    def _experiments(self, case: Case) -> Iterator[Experiment]:
        # code that is not handed the network's description has its penalty inside
        return experiments(case, self.source, self.rng, free=self.judge.subject.takes_architecture)

    def _tell_apart(self, judged: Judged) -> None:
        """Look for networks on which the explanations differ, and ask there."""
        known = repr(judged.case)
        candidates = separating(self._hypotheses, self._experiments(judged.case))
        for _, (words, case) in zip(range(MOST_EXPERIMENTS), candidates, strict=False):
            if repr(case) == known:
                continue
            try:
                self._seen.append(self.judge(case))
            except (SubjectError, InputError, HungError):
                self._apart = (
                    f"Compare on {words}, which this code did not take: there they give other numbers."
                )
                continue
            before, left = self._hypotheses, standing(self._observations(self._seen), CATALOGUE.values())
            self._hypotheses = left
            if not left:  # what explained everything so far does not hold here: then it is no explanation
                slugs = sorted({bug.slug for hypothesis in before for bug in hypothesis.bugs})
                self._advice = f"{', '.join(slugs)} gave these numbers too, until {words} was tried"
                return
            if len(left) == 1:
                self._advice = f"{words}, which was tried, tells this from the other explanations"
                return
        if len(self._hypotheses) > 1 and not self._apart:
            self._apart = "No network that was tried tells them apart."

    def smallest(self, judged: Judged) -> tuple[Judged, bool]:
        """The smallest case that fails alike, judged once more, and whether it failed again."""
        calls = 2 if judged.first_call_ok else 1
        self.look(judged)
        identity = self.identity(judged)

        told = _is_loss_right(judged)

        def fails_alike(candidate: Case) -> bool:
            try:
                answer = self.judge(candidate, calls=calls)
            except (SubjectError, InputError):  # it does not take networks of that shape
                return False
            # where the loss was right and no longer is, the subject computes another network than the candidate's
            return self.identity(answer) == identity and (_is_loss_right(answer) or not told)

        smallest = shrink(judged.case, fails_alike, free=self.judge.subject.takes_architecture, told=told)
        final = self.judge(smallest, calls=calls)
        return (final, True) if self.identity(final) == identity else (judged, False)

    def diagnose(self, judged: Judged, smallest: Judged) -> tuple[Diagnosis, ...]:
        """Locate on the smallest case, name by reproduction on that one, the one found and fresh ones."""
        if judged.first_call_ok:
            return (self._kept_between_calls(judged, smallest),)
        diagnoses = self._explained(judged, smallest)
        first = diagnoses[0]
        if not first.bug and judged.verdict is Verdict.DISAGREES and self._is_ours(judged):
            diagnoses = (self._without_a_formula(judged, smallest, first),)
        if first.bug == "input-mutated" and any(ALIASED in warning for warning in judged.warnings):
            alone = replace(first, evidence=first.evidence[:1])
            diagnoses = (named(alone, "gradient-aliases-parameter", ""),)
        if self._right_for_two(judged.case):
            diagnoses = _also(diagnoses, ALONE, hint=SQUEEZED)
        return _also(diagnoses, *_first_seen(judged, smallest))

    def _explained(self, judged: Judged, smallest: Judged) -> tuple[Diagnosis, ...]:
        """What explains the smallest case and all that was seen, and what came of telling explanations apart."""
        if smallest.case is not judged.case and judged.verdict.severity > Verdict.DISAGREES.severity:
            return (_by_the_first(judged, smallest),)
        observations = self._observations([*self._seen, smallest] if self._seen else [])
        diagnoses = explain(smallest.case, smallest.comparisons, observations)
        if self._advice:
            diagnoses = _also(diagnoses, self._advice)
        return (
            _also(diagnoses, apart=self._apart) if len({d.explanation for d in diagnoses}) > 1 else diagnoses
        )

    def _right_for_two(self, case: Case) -> bool:
        """Whether it fails for a batch of one and works for two: the same example, and one a little off it."""
        if case.batch != 1:
            return False
        beside = jittered(case, self.rng)
        two = replace(
            case, x=np.concatenate([case.x, beside.x]), y=np.concatenate([case.y, case.y]), seed=None
        )
        try:
            return self.judge(two).verdict.ok
        except (SubjectError, InputError, HungError):
            return False

    def _without_a_formula(self, judged: Judged, smallest: Judged, first: Diagnosis) -> Diagnosis:
        """What no wrong formula explains: rounding, chance, the loss's logarithm, or inputs of one kind only."""
        if first.equation == "contract":
            return first
        double = judged.roundoff == UNIT_ROUNDOFF and first.equation != "loss"
        if double and self._seen and self.judge.single_precision_on_the_way(judged):
            return named(replace(first, evidence=()), CAST, CAST_EVIDENCE)
        try:
            if first.equation == "loss":
                found = logarithm(
                    [(j.case, *losses) for j in [judged, smallest] if (losses := _losses(j)) is not None],
                    roundoff=judged.roundoff,
                )
            else:
                found = (
                    self._by_chance(judged) or self._rounded_one_by_one(judged) or self._swept(judged, first)
                )
        except (SubjectError, InputError, HungError):
            return first
        return first if found is None else named(first, *found)

    def _rounded_one_by_one(self, judged: Judged) -> tuple[str, str] | None:
        """Code that takes one example at a time may round each answer: of their mean nothing shows that."""
        case = judged.case
        if not self.judge.conventions.per_example or case.batch == 1:
            return None
        alone = [
            self.judge(replace(case, x=case.x[i : i + 1], y=case.y[i : i + 1], seed=None))
            for i in range(case.batch)
        ]
        found = pattern(self._observations(alone))
        return found if found is not None and found[0].startswith(CASTS) else None

    def _swept(self, judged: Judged, first: Diagnosis) -> tuple[str, str] | None:
        found = sweep(self.judge, judged.case, self.rng)
        # without a hidden layer there is no BP2, and no second layer: that a bug of either does not show there says nothing
        absent = first.equation == "BP2" or _is_right_in_a_layer(judged)
        # … nor does it where only some networks with a hidden layer are wrong: then it is something else about them
        some = any(not j.failed for j in self._seen if depth(j.case.architecture) > 1)
        return None if found is not None and found[0] == DEPTH and (absent or some) else found

    def _by_chance(self, judged: Judged) -> tuple[str, str] | None:
        """Whether the same question is answered otherwise now."""
        again = self.judge(judged.case)
        if all(np.array_equal(again.claimed[path], values) for path, values in judged.claimed.items()):
            return None
        return "nondeterministic", "two calls with the same arguments gave two different gradients"

    def _kept_between_calls(self, judged: Judged, smallest: Judged) -> Diagnosis:
        """A first call that is right and a second one that is not: a sum that is never reset, or chance."""
        located = replace(locate(smallest.case, smallest.comparisons), evidence=(), layer=None)
        try:
            answers = [
                self.judge(judged.case).claimed for _ in range(4)
            ]  # with nothing else asked between them
        except (SubjectError, InputError, HungError):
            answers = []
        grows = [
            Observation(judged.case, later, judged.right, judged.roundoff).is_reproduced_by(
                {path: earlier[path] + right for path, right in judged.right.items()}
            )
            for earlier, later in pairwise(answers)
        ]
        if grows and all(grows) and any(right.any() for right in judged.right.values()):
            return named(
                located,
                "accumulated",
                "the first call is right, and each later one adds the same gradient to the last answer",
            )
        return named(
            located,
            "nondeterministic",
            "the first call is right, the second one with the same arguments is not",
        )

    def _observations(self, seen: list[Judged]) -> list[Observation]:
        """What diagnosis needs of judged cases, with the subject's own factor taken out."""
        factor = self.judge.scaling.factor
        seen = list({repr(j.case): j for j in seen}.values())  # the caller's cases come round again
        return [
            Observation(
                j.case,
                {path: array / factor(j.case.architecture) for path, array in j.claimed.items()},
                {path: array / factor(j.case.architecture) for path, array in j.right.items()},
                j.roundoff,
                self.judge.rate(j.case),
            )
            for j in seen
            if len(j.claimed) == len(j.right) and all(np.isfinite(a).all() for a in j.claimed.values())
        ]

    def raised(self, case: Case, error: SubjectError, *, note: str = "") -> NoReturn:
        """Shrink a case at which the subject raises, and raise with the smallest one."""
        place = place_of(error.__cause__ or error)

        def raises_alike(candidate: Case) -> bool:
            try:
                self.judge(candidate)
            except SubjectError as again:
                return place_of(again.__cause__ or again) == place
            except InputError:
                return False
            return False

        found = error
        start = next((least for least in _least(case) if raises_alike(least)), case)
        try:
            smallest = shrink(start, raises_alike, free=self.judge.subject.takes_architecture)
            self.judge(smallest)
        except SubjectError as again:
            if place_of(again.__cause__ or again) == place:
                found = again
        message, _, _ = str(found).partition("\n\nTo see it again:")
        if self._right_for_two(case):
            note = f"\nIt raises for one example, and answers rightly for two. {SQUEEZED}"
        else:
            note = self._where_shapes_fit(case) or note
        raise SubjectError(message + note, reproducer=found.reproducer) from found.__cause__

    def _where_shapes_fit(self, case: Case) -> str:
        """What is wrong on networks of equal widths, if the subject answers there: often the reason it raises."""
        architecture = case.architecture
        if self.source is None:  # raised before it was known what the subject computes
            return ""
        if len(set(planned(architecture).widths)) == 1:
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
        diagnoses = explain(wrong[0].case, wrong[0].comparisons, self._observations(observed))
        first = diagnoses[0]
        equation = first.equation if first.equation in EQUATIONS else ""
        said = ", ".join(text for text in (equation, first.bug) if text)
        return (
            "\nOn networks of equal widths, where its shapes happen to fit, the gradient is wrong"
            f"{f' ({said})' if said else ''}. {first.hint}"
        ).rstrip()


def _also(diagnoses: tuple[Diagnosis, ...], *evidence: str, **changes: Any) -> tuple[Diagnosis, ...]:
    return tuple(replace(d, evidence=(*d.evidence, *evidence), **changes) for d in diagnoses)


def _by_the_first(judged: Judged, smallest: Judged) -> Diagnosis:
    """Of a small network one entry is soon all there is: the one found first says what kind of fault it is."""
    whole = explain(judged.case, judged.comparisons)[0]
    place = locate(smallest.case, smallest.comparisons)
    told = [f"where it was seen first: {text}" for text in whole.evidence] if whole.bug else []
    return replace(whole, path=place.path, evidence=(*place.evidence, *told))


def _first_seen(judged: Judged, smallest: Judged) -> tuple[str, ...]:
    """Where it was seen first, if that is another network than the smallest one."""
    located = locate(judged.case, judged.comparisons)
    network = in_words(judged.case.architecture)
    if not located.path or network == in_words(smallest.case.architecture):
        return ()
    layer = f", layer {located.layer}" if located.layer is not None else ""
    return (f"first seen in {network}, at {located.path}{layer}",)


def _least(case: Case) -> Iterator[Case]:
    """One unit in every layer, one example, zeros: what has nothing to do with shapes is raised there too."""
    if not is_dense_chain(case.architecture):
        return
    for layers_used in {1, len(case.params)}:
        try:
            architecture = dense_chain(case.architecture).with_widths([1] * (layers_used + 1))
            layers = [{"weight": [[0.0]], "bias": [0.0]}] * layers_used
            y = [[1.0 if case.architecture.loss == "cross_entropy" else 0.0]]
            yield Case(architecture, layers, [[0.0]], y)
        except InputError:  # softmax needs two
            return


def _is_right_in_a_layer(judged: Judged) -> bool:
    """Whether some layer's gradient is right though the whole is not."""
    wrong = {c.path for c in judged.comparisons if not c.verdict.ok}
    layers = [place for place in places(judged.case.architecture) if place.parameters]
    return not all(any(str(path) in wrong for path in layer.parameters) for layer in layers)


def _is_loss_right(judged: Judged) -> bool:
    return any(c.path == "loss" and c.verdict.ok for c in judged.comparisons)


def _losses(judged: Judged) -> tuple[float, float] | None:
    """The loss as it was returned and the right one."""
    loss = next((c for c in judged.comparisons if c.path == "loss"), None)
    if loss is None or loss.actual is None or loss.expected is None:
        return None
    return float(loss.actual), float(loss.expected)
