"""What does the subject compute, and in which layout? Asked once before the first case, or where a case goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bpcheck.errors import InputError, SubjectError
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import is_dense_chain
from bpcheck.result import Comparison, Report
from bpcheck.search.cases.sources import Pins
from bpcheck.search.cost.infer import Inference, infer, words
from bpcheck.search.cost.observe import OUTPUTS, Observed, observe
from bpcheck.search.dialect.hearing import Furthest
from bpcheck.search.dialect.layout import Reading, settle_cost, settle_known, settle_unknown
from bpcheck.search.dialect.trial import judge_of
from bpcheck.search.failure import Investigation
from bpcheck.search.judging import Judge, Judged
from bpcheck.search.notes import ConcludedError, Notes
from bpcheck.search.scaling import Scaling, scaling_of
from bpcheck.verdict import Verdict

__all__ = ["Inquiry"]

ROWS = (
    "the gradient of a bias has shape (1, n), so biases were handed over in this shape; if yours are (n,), the gradient "
    "of a bias must be (n,) as well"
)
OTHER_LAYOUTS = (
    "\nIn every other layout that is known (weights (in, out), examples as columns or one at a time, class indices, …) it "
    "raises too, and no later; if yours is another, say it with conventions=bpcheck.Conventions(...)."
)
FURTHEST = (
    "\nIt was called with {words}: in this layout it gets furthest, and in none that is known does it answer as it should. "
    "If yours is another, say it with conventions=bpcheck.Conventions(...)."
)
NO_LOSS = (
    "The subject has no loss to infer its network from. Give architectures=bpcheck.mlp([...]) "
    "with its activation and loss, or a loss= to the subject."
)
ONE_LAYOUT = (
    "\nOther layouts were not tried: a network with other layers than dense ones is handed over in bpcheck's own layout, "
    "params[k] being the layer's: a dict by key, {} for a layer without parameters, a list for a skip connection."
)
ALL_DEPTHS = "\nIt raised on every network tried, with 1 to 4 weight layers."
ONE_SHAPE = " If it is made for one shape only, give architectures=bpcheck.mlp([...])."
ANSWERED = "\nOn other networks it answers, and its loss is that of a network with {text}."
# Code that only works without a hidden layer is far more often broken than meant so.
ONE_LAYER = (
    "\nWithout a hidden layer it answers. If it is meant for that alone, give "
    "architectures=bpcheck.mlp([4, 3], loss=…)."
)
REMEDY = (
    "Say what your function computes with architectures=bpcheck.mlp([...], activation=…, loss=…), or check it "
    "against its own loss with bpcheck.check_gradient(your_function, params, x, y)."
)

NUMBERS: Mapping[int, str] = {1: "one output", 2: "two outputs"}


@dataclass(eq=False)
class Inquiry:
    """Finds out what nobody said.

    Attributes
    ----------
    judge : Judge
        Is asked in the layout that was found from then on.
    rng : numpy.random.Generator
    notes : Notes
    investigation : Investigation
        For a subject that raises.
    pins : Pins
    settled : bool
        Whether the layout is known, or was looked for already.
    inference : Inference or None
        What the subject computes, where it was inferred.
    """

    judge: Judge
    rng: np.random.Generator
    notes: Notes
    investigation: Investigation
    pins: Pins
    settled: bool
    inference: Inference | None = None

    # --- before the first case ------------------------------------------------------------------------------------

    def infer(self) -> Inference:
        """What the subject computes.

        Raises
        ------
        ConcludedError
            If it cannot be told.
        SubjectError
            If it raises on every network.
        """
        if self.judge.subject.loss is None:
            raise ConcludedError(self.notes.report(Verdict.INCONCLUSIVE, summary=NO_LOSS))
        observations = observe(self.judge, self.rng, widths=self.pins.widths, batch=self.pins.batch)
        if observations.fault:
            path, _, reason = observations.fault.partition(": ")
            raise ConcludedError(self.notes.faulty(Comparison(path, Verdict.WRONG_STRUCTURE, reason)))
        reading = Reading(None, "")
        if not self.settled and not observations.distinct:
            reading = self._in_another_layout()
        if reading.trial is not None:
            return self._infer_anew(reading)
        if not observations.answered:
            pinned = self.pins.widths is not None
            note, advice = ("", "") if pinned else (ALL_DEPTHS, ONE_SHAPE)
            self._raised_on(observations.seen[0], reading.furthest, note, advice)
        inference = infer(self.judge, self.rng, observations)
        if isinstance(inference, str):
            return self._infer_anew(self._with_signs(observations.answered[0], inference))
        if inference.depths == (1,) and observations.raised_deeper:
            self._raised_on(observations.raised_deeper[0], None, ONE_LAYER)
        return self._taken(inference)

    def _in_another_layout(self) -> Reading:
        """The layout of a subject that does not answer in ours; without a trial, if there is none."""
        reading = settle_unknown(self.judge, self.notes.seed, widths=self.pins.widths, batch=self.pins.batch)
        if reading.trial is None and reading.text:
            raise ConcludedError(self.notes.report(Verdict.INCONCLUSIVE, summary=reading.text))
        ours = reading.trial is not None and reading.trial.conventions.is_ours
        return replace(reading, trial=None) if ours else reading

    def _with_signs(self, observed: Observed, why: str) -> Reading:
        """The reading with targets of −1 and 1, where the loss fits nothing with 0 and 1."""
        reading = None if self.settled else settle_cost(self.judge, self.notes.seed)
        if reading is None:
            raise ConcludedError(self._nothing_fits(observed, why))
        return reading

    def _infer_anew(self, reading: Reading) -> Inference:
        """What the subject computes in the layout that was found for it."""
        self._adopt(reading)
        assert reading.trial is not None
        return self.infer() if reading.trial.inference is None else self._taken(reading.trial.inference)

    def _taken(self, inference: Inference) -> Inference:
        """Go on with what was inferred, as far as the caller has not said otherwise."""
        said = self.judge.conventions
        self.notes.inferred = inference.text
        if said.times_batch and not inference.divided:
            self.notes.inferred += (
                "; that is m times the cost, a mean over the batch with a penalty of ½λ‖W‖²/m"
            )
        if inference.divided and not said.times_batch:
            self._speak(judge_of(self.judge, said.but(penalty="λ/2m")))
        if said.reduction is None and said.factor is None and said.penalize_bias is None:
            self.judge.scaling = inference.scaling
            self.notes.warn(*inference.warnings)
            self.notes.left_out(*inference.unchecked)
            self.inference = inference
        else:
            # A pinned reduction means that nothing else stands before the loss, unless that is pinned too.
            self.judge.scaling = scaling_of(said)
            self.notes.inferred += ", but held to what conventions= says"
            template = self.judge.conventions.held_to(inference.template)
            self.inference = replace(inference, template=template)
        return self.inference

    def _nothing_fits(self, observed: Observed, why: str) -> Report:
        loss, case = observed.losses[0], observed.cases[0]
        if not np.isfinite(loss):
            finding = Comparison("loss", Verdict.NONFINITE, f"the loss is {loss} on a small random network")
            return self.notes.faulty(finding, case)
        tried = (
            f"Its loss ({loss:.6g} on the case below) fits no network that was tried: every activation and output of "
            "bpcheck.mlp with every loss, mean or sum, with or without a penalty, times 1, 2, ½ or 1/outputs."
        )
        summary = (
            f"It cannot be told what the function computes: {why}. {REMEDY}" if why else f"{tried} {REMEDY}"
        )
        return self.notes.report(Verdict.INCONCLUSIVE, summary=summary, counterexample=case)

    # --- where a case goes wrong ----------------------------------------------------------------------------------

    def explains_an_error(self, case: Case, error: SubjectError | InputError) -> bool:
        """Whether another layout was found, in which the subject does not raise.

        Raises
        ------
        SubjectError, InputError
            If it raises in all of them.
        ConcludedError
            If nothing tells which one it is.
        """
        furthest, note = None, ""
        if (
            self.inference is not None
        ):  # the loss was right on networks of distinct widths: this is the layout
            note = ANSWERED.format(text=self.inference.text)
        elif not self.settled:
            reading = self._settle(case)
            if reading.trial is not None:
                return True
            furthest = reading.furthest
        if isinstance(error, InputError):
            raise error
        self.raised(case, error, furthest, note=note)
        return False

    def explains(self, judged: Judged) -> bool:
        """Whether what is wrong is another layout, or another network for this number of outputs; it is adopted then."""
        if not self.settled and _may_be_layout(judged) and self._settle(judged.case).trial is not None:
            return True
        return _loss_is_wrong(judged) and self._is_another_network(judged.case.architecture.outputs)

    def raised(
        self, case: Case, error: SubjectError, furthest: Furthest | None, *, note: str = "", advice: str = ""
    ) -> None:
        """Raise with the smallest case, in the layout in which the subject gets furthest; ``advice`` goes with any note."""
        if (
            furthest is not None
            and not furthest.conventions.is_ours
            and isinstance(furthest.error, SubjectError)
        ):
            self._speak(judge_of(self.judge, furthest.conventions))
            case, error = furthest.case, furthest.error
            note = FURTHEST.format(words=furthest.conventions.words)
        elif not note and self.judge.conventions.is_ours:
            note = OTHER_LAYOUTS if is_dense_chain(case.architecture) else ONE_LAYOUT
        self.investigation.raised(case, error, note=note + advice)

    def _raised_on(self, observed: Observed, furthest: Furthest | None, note: str, advice: str = "") -> None:
        assert observed.error is not None
        self.raised(observed.cases[0], observed.error, furthest, note=note, advice=advice)

    def _settle(self, case: Case) -> Reading:
        """Find the layout of a subject that goes wrong in ours."""
        self.settled = True
        if not is_dense_chain(case.architecture):
            return Reading(None, "")
        reading = settle_known(self.judge, self.notes.seed, case)
        if reading.trial is None:
            self.notes.warn(reading.warning)
            if reading.text:
                raise ConcludedError(self.notes.report(Verdict.INCONCLUSIVE, summary=reading.text))
            return reading
        if reading.trial.conventions.is_ours:
            return replace(reading, trial=None)
        self._adopt(reading)
        return reading

    def _adopt(self, reading: Reading) -> None:
        """From here on the subject is asked in the layout that was found."""
        assert reading.trial is not None
        conventions = reading.trial.conventions
        self.settled = True
        self._speak(reading.trial.judge)
        if not conventions.is_ours:
            self.notes.layout = reading.text
        self.notes.warn(reading.warning)
        if conventions.bias == "row" and conventions.batch == "first":
            self.notes.warn(ROWS)

    def _speak(self, judge: Judge) -> None:
        self.judge.subject, self.judge.conventions = judge.subject, judge.conventions

    def _is_another_network(self, outputs: int) -> bool:
        """Whether the loss is that of another network where there are so many outputs; it is compared with that then.

        The forward value decides what the network is: with two outputs, many functions compute a logistic loss in place
        of softmax.
        """
        main = self.inference
        if main is None or outputs == OUTPUTS or outputs in self.judge.by_outputs or self.pins.widths:
            return False
        found = self._network_for(outputs)
        if found is None or found.divided != main.divided or words(found) == words(main):
            return False
        if not set(main.depths) <= set(found.depths):
            return False
        self.judge.by_outputs = {**self.judge.by_outputs, outputs: found.template}
        self.judge.scaling = _scaling_by_outputs(self.judge.scaling, found.scaling, outputs)
        where = NUMBERS.get(outputs, f"{outputs} outputs")
        others = "more" if outputs < OUTPUTS else str(OUTPUTS)
        self.notes.inferred += f"; it is another network for {where} than for {others}: {found.text}"
        return True

    def _network_for(self, outputs: int) -> Inference | None:
        """What the subject computes for so many outputs, if it can be told."""
        try:
            seen = observe(self.judge, self.rng, batch=self.pins.batch, outputs=outputs)
            found = seen.fault or infer(self.judge, self.rng, seen)
        except (SubjectError, InputError):
            return None
        return None if isinstance(found, str) else found


def _scaling_by_outputs(scaling: Scaling, other: Scaling, outputs: int) -> Scaling:
    return Scaling(scaling.label, lambda a: other.factor(a) if a.outputs == outputs else scaling.factor(a))


def _loss_is_wrong(judged: Judged) -> bool:
    return any(c.path == "loss" and c.verdict is Verdict.DISAGREES for c in judged.comparisons)


def _may_be_layout(judged: Judged) -> bool:
    """Whether a wrong layout could look like this: another form, or another forward value."""
    return any(
        c.verdict is Verdict.WRONG_STRUCTURE or (c.path == "loss" and not c.verdict.ok)
        for c in judged.comparisons
    )
