"""One case judged: ask the subject, run the reference, compare every tensor within the bounds."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.agreement import judge
from bpcheck.check.contract import KEPT_BETWEEN_CALLS, Asked, Clock, ask
from bpcheck.check.declared import EXACT, Declared
from bpcheck.check.low_precision import DOUBT, LOSS, SURE, ZERO, LowPrecision, default_resolution, of_case
from bpcheck.conventions import Conventions
from bpcheck.conventions.convert import paths
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import is_dense_chain
from bpcheck.network.layers import LayerSpec
from bpcheck.network.names import book_name
from bpcheck.precision import FORMATS
from bpcheck.reference import Enclosure, Network, build
from bpcheck.reference.numbers.ball import unit_roundoff
from bpcheck.result import Comparison, SetAside
from bpcheck.subject import Subject
from bpcheck.tree import FloatArray, Path, rms
from bpcheck.verdict import Verdict

__all__ = ["UNSCALED", "Judge", "Judged", "Scaling", "network_of", "reproducer", "scaling_of"]

OURS = Conventions()

# Longer than this, a case is no longer something to paste.
PASTEABLE = 1500

SPOKEN = (
    "A reference= is asked in bpcheck's own layout (params[k]['weight'] of shape (out, in), examples as rows), whatever "
    "layout your function has: conventions= speaks of your function alone."
)
"""Why a reference may raise where the function beside it does not."""


@dataclass(frozen=True)
class Scaling:
    """A factor that loss and gradient share: a convention, not a bug.

    Attributes
    ----------
    label : str
        ``""``, ``"2 × "``, …
    factor : callable
        From an architecture to the number.
    """

    label: str
    factor: Callable[[Architecture], float]


def _one(architecture: Architecture) -> float:
    return 1.0


UNSCALED = Scaling("", _one)


def scaling_of(conventions: Conventions) -> Scaling:
    """The factor that conventions pin; 1 if they pin none.

    Examples
    --------
    >>> scaling_of(Conventions(factor=2)).label
    '2 × '
    """
    factor = conventions.factor
    if factor is None or factor == 1:
        return UNSCALED
    if isinstance(factor, str):
        return Scaling("1/outputs × ", lambda a: 1.0 / a.outputs)
    value = float(factor)
    return Scaling(f"{value:g} × ", lambda a: value)


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


# Inference runs through some 300 templates at each of four depths, again and again.
@lru_cache(maxsize=2048)
def network_of(architecture: Architecture) -> Network:
    """The reference network, built once."""
    return build(architecture)


def reproducer(case: Case, name: str, conventions: Conventions = OURS, declared: Declared = EXACT) -> str:
    """A snippet that compares the subject on one case again."""
    said = "" if conventions == OURS else f", conventions=bpcheck.{conventions!r}"
    for option, named in (("ignore", declared.ignore), ("approximate", declared.approximate)):
        said += f", {option}={sorted(named)!r}" if named else ""
    case = replace(case, architecture=conventions.as_given(case.architecture))
    called = name if name.isidentifier() and not hasattr(builtins, name) else "your_function"
    text = repr(case)
    if len(text) > PASTEABLE:
        return (
            f"# too long to paste: the case is report.counterexample, and stands in the report's JSON\n"
            f"print(bpcheck.compare({called}, cases=[report.counterexample]{said}))"
        )
    for word in (", params=", ", x=", ", y=", ", seed="):
        text = text.replace(word, f",\n    {word[2:]}", 1)
    text = text.replace("Case(", "Case(\n    ", 1)[:-1] + ",\n)"
    numpy = "import numpy as np\n" if "np." in text else ""
    return (
        f"{numpy}import bpcheck\n{_imports(case.architecture)}\n\ncase = {text}\n"
        f"print(bpcheck.compare({called}, cases=[case]{said}))"
    )


def _imports(architecture: Architecture) -> str:
    """What the text of a network needs."""
    if repr(architecture).startswith("mlp("):
        return "from bpcheck import Case, mlp"
    used = sorted({type(layer).__name__ for layer in _with_inner(architecture.layers)})
    return f"from bpcheck import Architecture, Case\nfrom bpcheck.layers import {', '.join(used)}"


def _with_inner(layers: Iterable[LayerSpec]) -> Iterator[LayerSpec]:
    for layer in layers:
        yield layer
        yield from _with_inner(layer.inner)


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

    def ask(self, case: Case, *, subject: Subject | None = None, keep: bool = False) -> Asked:
        """One call of the subject, or of what stands in its place; ``keep`` holds on to the arrays it returns."""
        if self.announce is not None:
            self.announce(case)
        self.evaluations += 1
        return ask(
            self.subject if subject is None else subject,
            case.params,
            (case.x, case.y),
            clock=self.clock,
            architecture=self.conventions.as_given(case.architecture),
            reproducer=reproducer(case, self.subject.name, self.conventions, self.declared),
            keep=keep,
        )

    def of(self, subject: Subject, case: Case) -> Judged:
        """What another subject that speaks our layout answers, judged as the one under comparison is."""
        return self._judge(case, self.ask(case, subject=subject))

    def __call__(self, case: Case, *, calls: int = 1) -> Judged:
        """Ask ``calls`` times and judge every answer; the first wrong one decides."""
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
        ours = [str(path) for path, _ in tree.leaves(case.params)]
        if self.conventions.is_ours or not is_dense_chain(case.architecture):
            return {path: path for path in ours}
        theirs = paths(self.conventions, len(case.params))
        slots = [f"{slot}{k}" for k in range(len(case.params)) for slot in ("W", "b")]
        by_kind = [
            str(path)
            for k in range(len(case.params))
            for path in (tree.Path("params").item(k).item(name) for name in ("weight", "bias"))
        ]
        return {path: theirs.get(slot, path) for path, slot in zip(by_kind, slots, strict=True)}

    def _hold(self, case: Case, asked: Asked) -> Judged:
        enclosure = self.enclose(case)
        low = asked.precision.name != "float64"
        claim = self.enclose(case, asked.precision) if low else enclosure
        warnings = list(asked.warnings)
        if low and all(leaf.dtype == np.float64 for _, leaf in tree.leaves(case.params)):
            warnings.append(
                f"the answer is {asked.precision} though the parameters are float64; it was judged by what rounding "
                f"probably does, {SURE:g} standard deviations an entry, not by a worst-case bound"
            )
        right = {path: ball.mid for path, ball in enclosure.gradient.items()}
        right_loss = float(enclosure.loss.mid)
        own, rounding, choices = dict(right), 0.0, 1.0
        extra = {path: 0.0 * ball.mid for path, ball in enclosure.gradient.items()}
        if self.reference is not None:
            other = self._reference_answer(case)
            right.update(other.gradient)
            right_loss = right_loss if other.loss is None else other.loss
            its = enclosure if other.precision.name == "float64" else self.enclose(case, other.precision)
            rounding = float(its.loss.rad)
            extra = {path: ball.rad + other.error[path] for path, ball in its.gradient.items()}
            choices = 2.0  # at a kink each of the two may have made another choice
        comparisons = list(asked.findings)
        structural = {finding.path for finding in asked.findings}
        if asked.loss is not None and "loss" not in structural:
            comparisons.append(
                judge(
                    "loss",
                    asked.loss,
                    right_loss,
                    enclosure.loss.rad + claim.loss.rad + rounding,
                    kink=choices * enclosure.loss.kink,
                    resolution=self.resolution,
                )
            )
        largest = max((rms(array) for array in right.values()), default=0.0) or 1.0
        for path, actual in asked.gradient.items():
            ball = enclosure.gradient[path]
            # a structural zero is one in float64 too: what only drowns in float32 is held to its own size
            zero = bool(np.all(abs(right[path]) <= ZERO * ball.rad + ball.kink))
            comparisons.append(
                judge(
                    path,
                    actual,
                    right[path],
                    ball.rad + claim.gradient[path].rad + asked.error[path] + extra[path],
                    kink=choices * np.maximum(ball.kink, claim.gradient[path].kink),
                    resolution=self.resolution,
                    fallback=largest if zero else rms(right[path]),
                    name=book_name(case.architecture, path),
                )
            )
        if not low or self.reference is not None:
            return Judged(
                case,
                tuple(comparisons),
                tuple(warnings),
                asked.gradient,
                own,
                roundoff=unit_roundoff(asked.precision),
            )
        told = dict(asked.gradient)
        if asked.loss is not None and "loss" not in structural:
            told[LOSS] = np.asarray(asked.loss, dtype=float)
        model = of_case(
            case,
            told,
            asked.precision,
            sums=asked.precision,  # products of matrices add up in float32 everywhere, np.sum does not
            factor=self.scaling.factor(case.architecture),
            extra=asked.error,
            seed=case.seed or 0,
        )
        sharp = [self._sharper(comparison, model, told, largest, asked) for comparison in comparisons]
        suspicious = any(doubt for _, doubt in sharp)
        return Judged(
            case,
            tuple(c for c, _ in sharp),
            tuple(warnings),
            asked.gradient,
            own,
            suspicious=suspicious,
            roundoff=unit_roundoff(asked.precision),
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
