"""What a function owes its callers besides the right numbers, asked once, when every case agreed.

The same numbers in another order in memory, the same examples in another order, an earlier result after a later call,
logits that only a shifted softmax survives: no random case asks this, and a few more calls do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bpcheck import tree
from bpcheck.check.memory import LAYOUTS, laid_out, overwritten, refused
from bpcheck.diagnosis.diagnose import named
from bpcheck.diagnosis.locate import locate
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.case import Case
from bpcheck.network.names import places
from bpcheck.result import Comparison, Diagnosis
from bpcheck.search.cases.sample import jittered
from bpcheck.search.dialect.translate import translated
from bpcheck.search.judging import Judge, Judged
from bpcheck.subject import Subject
from bpcheck.verdict import Verdict

__all__ = ["Broken", "Probes"]

LOGIT = 1000.0
"""What is added to every logit: exp overflows in float64 beyond 709.8. Softmax does not change by it, so right code has
its right answer there, with all digits but three (1000 is 2^10, and the rounding of a logit grows by that)."""


REFUSED = (
    f"where all logits are {LOGIT:g} larger, which changes no probability, {{error}}. In training such logits do come up; "
    "softmax and its loss are computed for any with z - z.max(axis=1, keepdims=True) in place of z"
)
"""The warning about code that raises there, other than by an overflow: no wrong gradient."""

OVERFLOWS = (OverflowError, FloatingPointError, RuntimeWarning)
"""What an overflow raises: math.exp always, NumPy where np.seterr or a filter of warnings says so."""


@dataclass(frozen=True, eq=False)
class Broken:
    """A promise that was not kept.

    Attributes
    ----------
    judged : Judged
        What came out.
    summary : str
        When it is wrong.
    diagnosis : Diagnosis
    """

    judged: Judged
    summary: str
    diagnosis: Diagnosis


@dataclass(eq=False)
class Probes:
    """The questions, for one subject that agreed.

    Attributes
    ----------
    judge : Judge
    spoken : Subject
        The subject in its own layout: memory is that of the arrays it is really handed.
    rng : numpy.random.Generator
    warnings : list of str
        What is odd, though no wrong gradient.
    """

    judge: Judge
    spoken: Subject
    rng: np.random.Generator
    warnings: list[str] = field(default_factory=list)

    def __call__(self, cases: Sequence[Case], *, own: bool) -> Broken | None:
        """The first broken promise, asked at cases that agreed; ``own`` says that they are the caller's.

        Of the caller's own cases only what leaves the numbers as they are is asked.
        """
        case = next((case for case in cases if case.batch > 1), cases[0])
        self._earlier_results(case)
        found = self._in_memory(case) or self._in_another_order(case)
        has_bias = self.judge.conventions.bias != "none"  # which is what is shifted
        shifted = next((case for case in cases if has_bias and _has_softmax(case)), None)
        if found is None and not own and shifted is not None and self.judge.reference is None:
            found = self._at_large_logits(shifted)
        return found

    def _earlier_results(self, case: Case) -> None:
        """Hold on to what a call returned while the function is called at other parameters."""
        try:
            kept = self.judge.ask(case, keep=True).kept
            self.judge.ask(jittered(case, self.rng))
        except (
            SubjectError,
            InputError,
        ):  # it took these shapes before: chance, which is looked for elsewhere
            return
        if told := overwritten(kept):
            self.warnings.append(told)

    def _in_memory(self, case: Case) -> Broken | None:
        """The same numbers in other memory: as a transpose or a slice has them."""
        conventions = self.judge.conventions
        for layout in LAYOUTS:
            asked = laid_out(self.spoken, layout)
            try:
                judged = self.judge.of(asked if conventions.is_ours else translated(asked, conventions), case)
            except (SubjectError, InputError) as error:
                self.warnings.append(refused(self.spoken.name, layout, error))
                continue
            if judged.failed:
                said = f"right for arrays in C order, wrong for the same numbers {layout.words}"
                place = replace(locate(case, judged.comparisons), path="", evidence=(), layer=None)
                return self._by_chance(case) or Broken(
                    judged,
                    f"Right in every case, but wrong when the same numbers are handed over {layout.words}.",
                    named(place, "memory-order-assumed", said),
                )
        return None

    def _in_another_order(self, case: Case) -> Broken | None:
        """The same examples, the last one first: a mean or a sum does not know their order."""
        if case.batch == 1:
            return None
        judged = self.judge(replace(case, x=case.x[::-1], y=case.y[::-1], seed=None))
        if not judged.failed:
            return None
        place = replace(locate(judged.case, judged.comparisons), layer=None)
        said = "with the examples in the order given the answer was right, with the last one first it is not"
        return self._by_chance(case) or Broken(
            judged,
            "Right in every case, but wrong when the examples of a batch come in another order.",
            replace(
                place,
                evidence=(said, *place.evidence),
                hint="Treat all examples alike: look for loops over them that begin or end one too early, and for "
                "examples that are picked by their place in the batch.",
            ),
        )

    def _by_chance(self, case: Case) -> Broken | None:
        """Whether a question that was answered rightly before is not so now: then nothing else explains anything."""
        again = self.judge(case)
        if not again.failed:
            return None
        place = replace(locate(case, again.comparisons), evidence=(), layer=None)
        said = "a case that was answered rightly is not when it is asked again"
        return Broken(again, f"{said[:1].upper()}{said[1:]}.", named(place, "nondeterministic", said))

    def _at_large_logits(self, case: Case) -> Broken | None:
        """Every logit larger by the same amount: softmax stays what it is, unless exp overflows on the way."""
        bias = _bias_of_logits(case)
        shifted = [values + LOGIT if path == bias else values for path, values in tree.leaves(case.params)]
        case = replace(case, params=tree.restore(case.params, shifted), seed=None)
        try:
            judged = self.judge(case)
        except SubjectError as error:
            if not isinstance(error.__cause__, OVERFLOWS):  # it refuses such logits, and says so itself
                self.warnings.append(REFUSED.format(error=str(error).splitlines()[0].rstrip(" .:")))
                return None
            reason = f"{type(error.__cause__).__name__}: {error.__cause__}"
            judged = Judged(case, (Comparison("loss", Verdict.NONFINITE, reason),))
        if judged.verdict is not Verdict.NONFINITE:
            return None
        place = replace(locate(judged.case, judged.comparisons), path="", evidence=())
        said = f"{LOGIT:g} more in every logit changes no probability, yet the answer is no longer finite"
        return Broken(
            judged,
            f"Right in every case, but NaN or infinite where the logits are {LOGIT:g} larger.",
            named(place, "no-max-shift", said),
        )


def _has_softmax(case: Case) -> bool:
    """Whether probabilities are made by softmax, in the last layer or inside the loss, of logits that a bias shifts."""
    softmax = case.architecture.output == "softmax" or case.architecture.loss == "cross_entropy"
    return softmax and _bias_of_logits(case) is not None


def _bias_of_logits(case: Case) -> tree.Path | None:
    """The bias that is added to the logits with nothing done to them afterwards, None if there is none."""
    layers = places(case.architecture)
    last = [place for place in layers if place.parameters][-1]
    is_output = last is layers[-1] and len(last.path.keys) == 1  # its activation is softmax, or none
    if last.layer.output_activation != "identity" and not is_output:
        return None
    return next((path for path, role in last.parameters.items() if role == "bias"), None)
