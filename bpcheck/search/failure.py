"""What to do with a failure: make it small, find out where and what it is, say it again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from bpcheck.case import Case
from bpcheck.check.contract import HungError
from bpcheck.diagnosis import diagnose as explain
from bpcheck.diagnosis.locate import locate
from bpcheck.errors import InputError, SubjectError
from bpcheck.result import Diagnosis
from bpcheck.search.judging import Judge, Judged
from bpcheck.search.sample import random_architecture, random_case
from bpcheck.search.shrink import shrink
from bpcheck.search.sources import Source
from bpcheck.verdict import Verdict

__all__ = ["Investigation"]

# A bug is named only if it reproduces the numbers on the failing case and on this many fresh ones.
FRESH_NETWORKS = 4

CAST = "cast-to-float32"
CAST_HINT = (
    "Storing the input, the parameters or the gradient in float32 gives exactly these numbers. Compute in float64 "
    "throughout (a NumPy float64 scalar or a cast may have changed the type), or return float32 to be judged as such."
)


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

    def identity(self, judged: Judged) -> tuple[str, str]:
        """What counts as failing in the same way: verdict and equation, not the place."""
        if not judged.failed:
            return ("", "")
        located = locate(judged.case, judged.comparisons)
        return (judged.verdict.name, located.equation)

    def smallest(self, judged: Judged) -> tuple[Judged, bool]:
        """The smallest case that fails alike, judged once more, and whether it failed again."""
        calls = 2 if judged.first_call_ok else 1
        identity = self.identity(judged)

        def fails_alike(candidate: Case) -> bool:
            try:
                return self.identity(self.judge(candidate, calls=calls)) == identity
            except (SubjectError, InputError):  # it does not take networks of that shape
                return False

        smallest = shrink(judged.case, fails_alike, free=self.judge.subject.takes_architecture)
        final = self.judge(smallest, calls=calls)
        return (final, True) if self.identity(final) == identity else (judged, False)

    def diagnose(self, judged: Judged, smallest: Judged) -> tuple[Diagnosis, ...]:
        """Locate on the smallest case, name by reproduction on that one, the one found and fresh ones."""
        observations: list[Any] = []
        chains = judged.case.architecture.is_chain
        ours = self.judge.reference is None  # against another's gradient a bug of ours explains nothing
        if judged.verdict is Verdict.DISAGREES and chains and ours and not judged.first_call_ok:
            seen = [judged, smallest]
            try:
                if self.source is not None:
                    seen += [self.judge(self.source(index)) for index in range(1, FRESH_NETWORKS + 1)]
            except (SubjectError, InputError, HungError):
                pass  # what was seen so far is evidence enough; the failure itself is already known
            observations = self._observations(seen)
        diagnoses = explain(smallest.case, smallest.comparisons, observations)
        rounded = bool(observations) and self.judge.single_precision_on_the_way(judged)
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
        seen = list({repr(j.case): j for j in seen}.values())  # the caller's cases come round again
        return [
            (
                j.case,
                {path: array / factor(j.case.architecture) for path, array in j.claimed.items()},
                {path: array / factor(j.case.architecture) for path, array in j.right.items()},
            )
            for j in seen
            if len(j.claimed) == len(j.right) and all(np.isfinite(a).all() for a in j.claimed.values())
        ]

    def raised(self, case: Case, error: SubjectError, *, note: str = "") -> NoReturn:
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
            smallest = shrink(case, raises_alike, free=self.judge.subject.takes_architecture)
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
        if self.source is None:  # raised before it was known what the subject computes
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
        diagnoses = explain(wrong[0].case, wrong[0].comparisons, self._observations(observed))
        first = diagnoses[0]
        name = f", {first.bug}" if first.bug else ""
        return (
            f"\nOn networks of equal widths, where its shapes happen to fit, the gradient is wrong: "
            f"{first.equation or 'equation unknown'}{name}. {first.hint}"
        ).rstrip()
