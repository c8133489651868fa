"""One case judged: ask the subject, run the reference, compare every tensor within the bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.contract import KEPT_BETWEEN_CALLS, Asked, Clock, ask
from bpcheck.check.declared import EXACT, Declared
from bpcheck.check.low_precision import DOUBT, SURE, LowPrecision, default_resolution, of_case
from bpcheck.conventions import Conventions
from bpcheck.conventions.convert import paths
from bpcheck.conventions.sayable import sayable
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain, is_dense_chain
from bpcheck.precision import FORMATS
from bpcheck.reference import Enclosure
from bpcheck.reference.numbers.ball import unit_roundoff
from bpcheck.result import Comparison, SetAside
from bpcheck.search.reproducer import reproducer
from bpcheck.search.scaling import UNSCALED, Scaling, network_of
from bpcheck.search.standard import Standard, numbers_told
from bpcheck.strategies.numbers import fitting_targets
from bpcheck.subject import Subject
from bpcheck.tree import FloatArray, Path, rms
from bpcheck.verdict import Verdict

__all__ = ["OURS", "Judge", "Judged"]

OURS = Conventions()

SPOKEN = (
    "A reference= is asked in bpcheck's own layout (params[k]['weight'] of shape (out, in), examples as rows), whatever "
    "layout your function has: conventions= speaks of your function alone."
)
"""Why a reference may raise where the function beside it does not."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What came out for one case.

    Attributes
    ----------
    case : Case
    comparisons : tuple of Comparison
    warnings : tuple of str
    claimed, right : mapping of Path to array
        The subject's gradient and the one of our own reference.
    first_call_ok : bool
        Whether the first of several calls agreed.
    suspicious : bool
        Whether a difference was too large for low precision to agree, though too small to be called wrong.
    roundoff : float
        u of the precision of the answer.
    set_aside : tuple of SetAside
        Tensors declared frozen or approximate: in none of the above.
    """

    case: Case
    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...] = ()
    claimed: Mapping[Path, FloatArray] = field(default_factory=dict)
    right: Mapping[Path, FloatArray] = field(default_factory=dict)
    first_call_ok: bool = False
    suspicious: bool = False
    roundoff: float = 2.0**-53
    set_aside: tuple[SetAside, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The most severe."""
        return Verdict.worst(c.verdict for c in self.comparisons)

    @property
    def failed(self) -> bool:
        """Whether something is wrong (INCONCLUSIVE is not)."""
        return self.verdict.severity > Verdict.INCONCLUSIVE.severity


@dataclass(eq=False)
class Judge:
    """Judges cases for one subject; counts evaluations.

    Attributes
    ----------
    subject : Subject
    resolution : float
    clock : Clock
    scaling : Scaling
    reference : Subject or None
        Somebody else's gradient to use as the right one; its error is bounded as the subject's is.
    announce : callable or None
        Told each case before the subject is called on it, so that a hang can be reported.
    by_precision : bool
        Whether the resolution is a default, which answers in float16 and bfloat16 have another of.
    conventions : Conventions
        The layout that ``subject`` translates from and into; only said again in what is to be pasted.
    declared : Declared
        Tensors that are not held to be exact.
    known : set of str
        The caller's names of all tensors met so far.
    by_outputs : mapping of int to Architecture
        What else the subject computes where there are so many outputs.
    """

    subject: Subject
    resolution: float
    clock: Clock
    scaling: Scaling = UNSCALED
    reference: Subject | None = None
    announce: Callable[[Case], None] | None = None
    by_precision: bool = False
    conventions: Conventions = OURS
    evaluations: int = 0
    declared: Declared = EXACT
    known: set[str] = field(default_factory=set)
    by_outputs: Mapping[int, Architecture] = field(default_factory=dict)

    def enclose(self, case: Case, dtype: Any = np.float64) -> Enclosure:
        """The right answer with what correct code in ``dtype`` may answer."""
        enclosure = network_of(case.architecture).enclose(case.params, case.x, case.y, dtype=dtype)
        factor = self.scaling.factor(case.architecture)
        if factor == 1.0:
            return enclosure
        return Enclosure(
            enclosure.loss * factor, {path: ball * factor for path, ball in enclosure.gradient.items()}
        )

    def resolvable(self, case: Case) -> bool:
        """Whether the reference's own bound is narrow enough here; nothing of the subject enters."""
        case = self.fitted(case)
        enclosure = self.enclose(case)
        sizes = {path: rms(ball.mid) for path, ball in enclosure.gradient.items()}
        largest = max(sizes.values(), default=0.0)
        loss = enclosure.loss
        if not np.isfinite(largest) or largest == 0.0 or not np.isfinite(loss.mid):
            return False
        if not 4 * float(loss.rad) <= self.resolution * abs(float(loss.mid)):
            return False
        for path, ball in enclosure.gradient.items():
            widest = 4 * float(ball.rad.max(initial=0.0))
            zero = bool(np.all(abs(ball.mid) <= 2 * ball.rad + ball.kink))
            if not widest <= self.resolution * (largest if zero else sizes[path]):
                return False
        return True

    def fitted(self, case: Case) -> Case:
        """The case, or the nearest one that can be put to the subject.

        One-hot rows for indices, no biases where it has none, and the network that it computes for so many outputs.
        """
        if self.conventions is OURS and not self.by_outputs:
            return case
        other = self.by_outputs.get(case.architecture.outputs)
        if other is not None and is_dense_chain(case.architecture):
            meant = dense_chain(other).with_widths(dense_chain(case.architecture).widths)
            if meant != case.architecture:
                case = Case(meant, case.params, case.x, fitting_targets(meant.loss, case.y), seed=case.seed)
        return sayable(self.conventions, case)

    def ask(self, case: Case, *, subject: Subject | None = None, keep: bool = False) -> Asked:
        """One call of the subject, or of what stands in its place; ``keep`` holds on to the arrays it returns."""
        case = self.fitted(case)
        if self.announce is not None:
            self.announce(case)
        self.evaluations += 1
        try:
            asked = ask(
                self.subject if subject is None else subject,
                case.params,
                (case.x, case.y),
                clock=self.clock,
                architecture=self._as_given(case),
                keep=keep,
            )
        except SubjectError as error:  # what there is to paste takes longer than most subjects
            told = reproducer(case, self.subject.typed, self.conventions, self.declared)
            raise SubjectError(str(error), reproducer=told) from error.__cause__
        return asked if self.conventions.bias != "none" else _without_biases(asked)

    def _as_given(self, case: Case) -> Architecture | None:
        """The description of the network, as the subject counts its cost, if it is handed one."""
        return self.conventions.as_given(case.architecture) if self.subject.takes_architecture else None

    def rate(self, case: Case) -> float | None:
        """The learning rate of the subject's step, in units of the cost that the case describes; None if it takes none."""
        if self.subject.rate is None:
            return None
        size = case.batch if self.conventions.times_batch else 1
        return self.subject.rate * self.scaling.factor(case.architecture) / size

    def of(self, subject: Subject, case: Case) -> Judged:
        """What another subject that speaks our layout answers, judged as the one under comparison is."""
        return self._judge(self.fitted(case), self.ask(case, subject=subject))

    def __call__(self, case: Case, *, calls: int = 1) -> Judged:
        """Ask ``calls`` times and judge every answer; the first wrong one decides."""
        case = self.fitted(case)
        result = self._judge(case, self.ask(case))
        for _ in range(calls - 1):
            if result.failed:
                break
            again = self._judge(case, self.ask(case))
            if again.failed:
                note = KEPT_BETWEEN_CALLS
                return replace(again, warnings=(*again.warnings, note), first_call_ok=True)
        return result

    def single_precision_on_the_way(self, judged: Judged) -> bool:
        """Whether storing x, the parameters or the gradient in float32 gives exactly the claimed numbers."""
        case = judged.case

        def stored(values: Any) -> Any:
            return np.asarray(np.asarray(values).astype(np.float32), dtype=float)

        single = tree.restore(case.params, [stored(leaf) for _, leaf in tree.leaves(case.params)])
        for params, x in ((case.params, stored(case.x)), (single, case.x), (single, stored(case.x))):
            told = self.enclose(replace(case, params=params, x=x))
            if any(
                not np.array_equal(told.gradient[path].mid, judged.right[path]) for path in judged.claimed
            ) and all(
                np.all(
                    abs(claim - told.gradient[path].mid)
                    <= 2 * told.gradient[path].rad + told.gradient[path].kink
                )
                for path, claim in judged.claimed.items()
            ):
                return True
        # a stored gradient: every number is a float32 exactly, and within one rounding of the right one
        u = unit_roundoff(np.float32)
        return all(
            np.array_equal(stored(claim), claim) and np.all(abs(claim - right) <= 2 * u * abs(right))
            for claim, right in ((claim, judged.right[path]) for path, claim in judged.claimed.items())
        )

    def _judge(self, case: Case, asked: Asked) -> Judged:
        """Every tensor judged, but for those that the caller declared frozen or approximate."""
        if not self.declared:
            return self._hold(case, asked)
        names = self._names(case)
        self.known |= set(names.values())
        ignored = {path for path, name in names.items() if name in self.declared.ignore}
        loose = ignored | {path for path, name in names.items() if name in self.declared.approximate}
        judged = self._hold(case, self.declared.without_ignored(asked, names))
        kept, aside = self.declared.split(judged.comparisons, names)
        return replace(
            judged,
            comparisons=kept,
            claimed={path: leaf for path, leaf in judged.claimed.items() if str(path) not in loose},
            right={path: leaf for path, leaf in judged.right.items() if str(path) not in loose},
            set_aside=(*(SetAside(names[path], "ignored") for path in names if path in ignored), *aside),
        )

    def _names(self, case: Case) -> dict[str, str]:
        """What the caller calls each tensor of a case, by our path."""
        theirs = {}
        if not self.conventions.is_ours and is_dense_chain(case.architecture):
            theirs = paths(self.conventions, len(case.params))
        ours = [str(path) for path, _ in tree.leaves(case.params)]
        return {path: theirs.get(path, path) for path in ours}

    def _hold(self, case: Case, asked: Asked) -> Judged:
        exact = self.enclose(case)
        low = asked.precision.name != "float64"
        own = Standard.of(case, exact, self.enclose(case, asked.precision) if low else exact)
        told = numbers_told(asked)
        judged = Judged(
            case,
            asked.findings,
            (*asked.warnings, *self._on_precision(case, asked)),
            asked.gradient,
            {path: own.right[path] for path in exact.gradient if self._is_spoken(path)},
            roundoff=unit_roundoff(asked.precision),
        )
        if self.reference is not None:
            other = self._reference_answer(case)
            its = exact if other.precision.name == "float64" else self.enclose(case, other.precision)
            own = own.by(other, exact, its)
        comparisons = (*asked.findings, *own.compare(told, asked.error, self.resolution))
        if not low or self.reference is not None:
            return replace(judged, comparisons=comparisons)
        model = of_case(
            case,
            told,
            asked.precision,
            sums=asked.precision,  # products of matrices add up in float32 everywhere, np.sum does not
            factor=self.scaling.factor(case.architecture),
            extra=asked.error,
            seed=case.seed or 0,
        )
        sharp = [self._sharper(comparison, model, told, own.largest, asked) for comparison in comparisons]
        return replace(
            judged, comparisons=tuple(c for c, _ in sharp), suspicious=any(doubt for _, doubt in sharp)
        )

    def _is_spoken(self, path: Path) -> bool:
        """Whether the layout has this tensor."""
        return self.conventions.bias != "none" or not _is_bias(path)

    def _on_precision(self, case: Case, asked: Asked) -> tuple[str, ...]:
        """What to say of an answer that is coarser than its parameters."""
        if asked.precision.name == "float64":
            return ()
        if not all(leaf.dtype == np.float64 for _, leaf in tree.leaves(case.params)):
            return ()
        return (
            f"the answer is {asked.precision} though the parameters are float64; it was judged by what rounding "
            f"probably does, {SURE:g} standard deviations an entry, not by a worst-case bound",
        )

    def _sharper(
        self,
        comparison: Comparison,
        model: LowPrecision,
        told: Mapping[Path, FloatArray],
        largest: float,
        asked: Asked,
    ) -> tuple[Comparison, bool]:
        """A comparison within worst-case bounds, judged by the variance model; and whether that leaves a doubt.

        What the worst case excludes is wrong whatever a model says; where the model sees too little (a unit at
        its kink), the worst case may still be narrow enough.
        """
        if comparison.actual is None or comparison.verdict in (Verdict.DISAGREES, Verdict.NONFINITE):
            return comparison, False
        path = next(path for path in told if str(path) == comparison.path)
        half = asked.precision.digits < FORMATS["float32"].digits
        found = model.judge(
            path,
            told[path],
            resolution=default_resolution(asked.precision) if self.by_precision else self.resolution,
            fallback=largest,
            whole=half,
            name=comparison.name,
        )
        if found.verdict is not Verdict.INCONCLUSIVE:
            return found, False
        if found.reason.endswith(DOUBT):
            return found, True
        return (comparison if comparison.verdict.ok else found), False

    def _reference_answer(self, case: Case) -> Asked:
        """What the caller's own reference says; a fault of its form is an error, not a verdict on the subject."""
        assert self.reference is not None
        try:
            other = ask(
                self.reference,
                case.params,
                (case.x, case.y),
                clock=self.clock,
                architecture=case.architecture,
            )
        except SubjectError as error:
            raise InputError(f"the reference cannot be compared with: {error}\n{SPOKEN}") from error.__cause__
        if other.findings:
            fault = other.findings[0]
            raise InputError(
                f"the reference {self.reference.name} cannot be compared with: {fault.path}: {fault.reason}. "
                f"{SPOKEN}"
            )
        if not all(np.isfinite(array).all() for array in other.gradient.values()):
            raise InputError(f"the reference {self.reference.name} answers NaN or infinity at {case!r:.200}.")
        return other


def _is_bias(path: Path) -> bool:
    return bool(path.keys) and path.keys[-1] == "['bias']"


def _without_biases(asked: Asked) -> Asked:
    """An answer of a subject that has no biases, without the zeros that stand for them."""
    return replace(
        asked, gradient={path: leaf for path, leaf in asked.gradient.items() if not _is_bias(path)}
    )
