"""check_gradient(): the caller's own loss against the caller's own gradient, with no reference and no layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from bpcheck import tree
from bpcheck.check.agreement import RESOLUTION, detection_limit, judge
from bpcheck.check.contract import (
    KEPT_BETWEEN_CALLS,
    Asked,
    Clock,
    HungError,
    ask,
    changed,
    guarded,
    guarded_call,
    where_raised,
)
from bpcheck.check.structure import scalar_loss
from bpcheck.diagnosis.locate import locate
from bpcheck.errors import InputError, SubjectError
from bpcheck.numeric import Central, measure_noise
from bpcheck.report.progress import Progress, progress_bar
from bpcheck.result import Comparison, Diagnosis, Estimate, Report
from bpcheck.subject import Subject, as_subject, from_parts
from bpcheck.tree import FloatArray, Path, Tree, rms
from bpcheck.verdict import Verdict

__all__ = ["assert_gradient", "check_gradient"]

# Up to here every entry is differenced on its own (about 13 evaluations each: seconds at most for a
# loss of some 100 µs); beyond, random directions say as much about errors at a fixed price.
EVERY_ENTRY_UP_TO = 600

# Gaussian directions for each tensor, and the chance with which an error of the stated size may slip
# through all of them. With m directions a miss needs every |<e, r>| small: P = erf-like^m, so
# c = 2 / Φ⁻¹((1 + δ^{1/m}) / 2) bars are seen with probability 1 − δ.
DIRECTIONS = 8
MISS_PROBABILITY = 1e-6

# Noise is measured along this many directions and the largest value counts: one may run along a
# flat valley of the loss.
NOISE_DIRECTIONS = 3

# More parameters than this are no longer something to paste.
MOST_TO_PASTE = 100

# Relative steps at which it is seen how much the loss changes at all: a zero is held against that, not
# against anything claimed. Large enough to leave a stationary point, smaller if the loss ends there.
VARIATION_STEPS = (1 / 8, 1 / 64, 1 / 512)

# f cannot tell apart parameters that change it by less than its noise: so many standard deviations,
# as many as numeric/central.py propagates into its own bar.
NOISE_MARGIN = 4

# An entry near zero is stepped as if it were a tenth of its tensor's root mean square: a step relative
# to the entry itself would drown in rounding.
SMALLEST_SHARE = 10.0

# A difference is only called wrong after a second measurement with another step and fresh noise; if
# the first suspect entries of a tensor do not stand up to it, the next ones are tried, up to this many.
CONFIRMATIONS = 8
SECOND_STEP = 0.7


def check_gradient(
    *arguments: Any,
    resolution: float | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
    progress: Any = None,
    **named: Any,
) -> Report:
    """Hold a gradient against finite differences of its own loss, judged by their error bars.

    Call it as ``check_gradient(loss, gradient, params, *args)``, or as
    ``check_gradient(subject, params, *args)`` with any Subject or a function that returns
    ``(loss, gradient)``.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args) -> number``.
    gradient : callable
        ``gradient(params, *args)``, nested and shaped as ``params``.
    params : tree of float arrays
        Any nesting of dict, list, tuple, dataclass; or one array.
    *args
        Handed on unchanged (as copies).
    resolution : float, optional
        Relative error (of a tensor's root mean square) that must be visible for AGREES; 1e-3.
    seed : int, optional
        For the random directions; drawn and reported if not given.
    time_limit : float, optional
        Seconds, after which the answer is INCONCLUSIVE.
    progress : bool or callable, optional
        As for :func:`bpcheck.compare`.

    Returns
    -------
    Report
        Up to 600 parameters every entry is checked; beyond, each tensor along 8 random directions
        (an error as large as ``detection_limit`` is then missed with probability 1e-6 at most).

    Raises
    ------
    InputError
        If an argument cannot be used as given.
    SubjectError
        If one of the functions raises.

    Examples
    --------
    >>> import numpy as np
    >>> def loss(w):
    ...     return float(np.sum(np.sin(w)))
    >>> check_gradient(loss, np.cos, np.array([0.3, 1.0]), seed=0).verdict
    <Verdict.AGREES>
    >>> check_gradient(loss, np.sin, np.array([0.3, 1.0]), seed=0).verdict
    <Verdict.DISAGREES>
    """
    subject, params, args = _parse(arguments, named)
    if resolution is not None and not (
        isinstance(resolution, int | float) and not isinstance(resolution, bool) and 0 < resolution < 1
    ):
        raise InputError(f"resolution is {resolution!r}; give the relative error to see, such as 1e-3.")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
        raise InputError(f"seed is {seed!r}; give a whole number, 0 or more, or None.")
    used = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)
    if subject.loss is None:
        raise InputError(
            f"{subject.name} has no loss to difference; give one, for example from_step(step, loss=loss)."
        )
    with guarded(), progress_bar(progress, "differencing") as bar:
        check = _Check(
            subject,
            params,
            args,
            tree.arrays(params),
            RESOLUTION if resolution is None else float(resolution),
            np.random.default_rng(used),
            Clock.start(time_limit),
            bar,
        )
        try:
            report = check.run()
        except HungError:
            report = check.report(
                Verdict.INCONCLUSIVE, summary="Stopped: the subject did not return within the time limit."
            )
    return replace(report, seed=used)


def assert_gradient(*arguments: Any, **options: Any) -> Report:
    """:func:`check_gradient` for tests: raises unless the gradient agrees.

    Parameters
    ----------
    *arguments, **options
        As for :func:`check_gradient`.

    Returns
    -------
    Report

    Raises
    ------
    GradientMismatch
        With the report as its text.
    GradientInconclusive
        If nothing could be decided: a test must not pass on that.

    Examples
    --------
    >>> import numpy as np
    >>> assert_gradient(lambda w: np.sum(w**2), lambda w: 2 * w, np.array([1.0, 2.0]), seed=0).ok
    True
    """
    report = check_gradient(*arguments, **options)
    report.raise_for_disagreement()
    return report


def _parse(arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Subject, Tree, tuple[Any, ...]]:
    """Both call forms, positional or by name."""
    unknown = sorted(set(named) - {"subject", "loss", "gradient", "params"})
    if unknown:
        raise InputError(
            f"unknown option {unknown[0]!r}; the options are resolution, seed, time_limit and progress."
        )
    rest = list(arguments)

    def take(name: str) -> Any:
        if name in named:
            return named[name]
        if not rest:
            raise InputError(
                f"{name} is missing: call check_gradient(loss, gradient, params, *args) or "
                "check_gradient(subject, params, *args)."
            )
        return rest.pop(0)

    if (
        "loss" in named
        or "gradient" in named
        or ("subject" not in named and len(rest) > 1 and callable(rest[1]))
    ):
        loss, gradient = take("loss"), take("gradient")
        subject = from_parts(loss=loss, gradient=gradient)
    else:
        subject = as_subject(take("subject"))
    return subject, take("params"), tuple(rest)


@dataclass(eq=False)
class _Check:
    """One run of check_gradient()."""

    subject: Subject
    params: Tree
    args: tuple[Any, ...]
    theta: dict[Path, FloatArray]
    resolution: float
    rng: np.random.Generator
    clock: Clock
    bar: Progress
    evaluations: int = 0
    noise: float = 0.0
    variation: float = 0.0
    warnings: list[str] = field(default_factory=list)

    # --- evaluating the caller's loss ------------------------------------------------------------

    def loss(self, arrays: Mapping[Path, FloatArray], *, watch: list[Comparison] | None = None) -> float:
        """The caller's loss at perturbed copies; ``watch`` collects arguments that it changes."""
        if self.clock.struck:
            raise HungError
        self.evaluations += 1
        params = tree.restore(self.params, [np.array(array) for array in arrays.values()])
        args = tuple(tree.copy(argument) for argument in self.args)
        evaluate = self.subject.loss
        assert evaluate is not None
        try:
            value = guarded_call(lambda: evaluate(params, *args), self.clock)
        except (HungError, InputError):
            raise
        except (Exception, SystemExit) as error:
            raise SubjectError(
                f"the loss of {self.subject.name} raised {type(error).__name__}: {error}{where_raised(error)}",
                reproducer=_reproducer(f"loss of {self.subject.name}", params),
            ) from error
        if watch is not None:
            given = tree.restore(self.params, list(arrays.values()))
            watch += changed(given, params, "params in the loss")
            watch += changed(list(self.args), list(args), "args of the loss")
        number, fault = scalar_loss(value)
        if fault:
            raise InputError(f"the loss of {self.subject.name} cannot be differenced: {fault}.")
        return number

    def along(self, path: Path, direction: FloatArray) -> Callable[[float], float]:
        """φ(t) = loss(θ + t·direction), moving one tensor only."""

        def phi(t: float) -> float:
            moved = dict(self.theta)
            moved[path] = _moved(self.theta[path], t * direction)
            return self.loss(moved)

        return phi

    @property
    def roundoff(self) -> float:
        """U of the coarsest parameter."""
        return max(float(np.finfo(array.dtype).eps) for array in self.theta.values()) / 2

    # --- the check -------------------------------------------------------------------------------

    def run(self) -> Report:
        snippet = _reproducer(self.subject.name, self.params)
        first = ask(self.subject, self.params, self.args, clock=self.clock, reproducer=snippet)
        self.evaluations += 1
        self.warnings += [*self.subject.notes, *first.warnings]
        findings = list(first.findings)
        if any(finding.path in ("loss", "return value") for finding in findings):
            return self.report(Verdict.worst(f.verdict for f in findings), tuple(findings))
        value = self.loss(self.theta, watch=findings)
        if not np.isfinite(value):
            findings.append(
                Comparison("loss", Verdict.NONFINITE, f"the loss is {value} at the given parameters")
            )
        findings += [
            judge(path, claim, np.zeros_like(claim), np.full_like(claim, np.finfo(float).max))
            for path, claim in first.gradient.items()
            if not np.isfinite(claim).all()
        ]
        if findings:
            return self.report(Verdict.worst(f.verdict for f in findings), tuple(findings))
        self.noise = max(self._measure_noise() for _ in range(NOISE_DIRECTIONS))
        self.variation = max(self._vary(value) for _ in range(NOISE_DIRECTIONS))
        comparisons = list(self._compare(first))
        comparisons += self._second_call(first, comparisons)
        verdict = Verdict.worst(c.verdict for c in comparisons)
        return self.report(verdict, tuple(comparisons))

    def _measure_noise(self) -> float:
        directions = {path: _size(a) * self.rng.standard_normal(a.shape) for path, a in self.theta.items()}

        def phi(t: float) -> float:
            return self.loss({path: _moved(a, t * directions[path]) for path, a in self.theta.items()})

        return measure_noise(phi, roundoff=self.roundoff)

    def _vary(self, value: float) -> float:
        """How much the loss changes per relative step of one, along a random direction of all parameters."""
        directions = {path: _size(a) * self.rng.standard_normal(a.shape) for path, a in self.theta.items()}
        for step in VARIATION_STEPS:
            moved = self.loss({path: _moved(a, step * directions[path]) for path, a in self.theta.items()})
            if np.isfinite(moved):
                return float(abs(moved - value)) / step
        return 0.0

    def _compare(self, asked: Asked) -> list[Comparison]:
        count = sum(array.size for array in self.theta.values())
        natural = self.variation / np.sqrt(count)
        floor_u = max(float(np.finfo(asked.dtype).eps) / 2, self.roundoff)
        numbers = count + sum(
            leaf.size
            for argument in self.args
            for _, leaf in tree.leaves(argument)
            if isinstance(leaf, np.ndarray)
        )
        comparisons: list[Comparison] = []
        every_entry = count <= EVERY_ENTRY_UP_TO
        total, done = (count if every_entry else DIRECTIONS * len(self.theta)), 0
        for path, claim in asked.gradient.items():
            # The claim itself was rounded, in at most as many sums and products as numbers went in.
            rounding = numbers * floor_u * float(np.max(abs(claim), initial=0.0)) + asked.error[path]
            compare = self._by_entry if every_entry else self._by_direction
            comparison, done = compare(path, claim, rounding, natural / _size(self.theta[path]), done, total)
            comparisons.append(comparison)
        return comparisons

    def _by_entry(
        self, path: Path, claim: FloatArray, rounding: FloatArray, natural: float, done: int, total: int
    ) -> tuple[Comparison, int]:
        expected, bound, kink = (np.zeros(claim.shape) for _ in range(3))
        for index in np.ndindex(claim.shape):
            estimate, scale = self._entry(path, index)
            expected[index], bound[index], kink[index] = _parts(estimate, scale)
            # f itself cannot tell apart parameters that change it by less than its noise
            bound[index] += NOISE_MARGIN * self.noise / scale
            done += 1
            self.bar.advance(done, total)
        bound = bound + rounding

        def confirm(index: tuple[int, ...]) -> tuple[float, float, float]:
            estimate, scale = self._entry(path, index, again=True)
            value, error, half = _parts(estimate, scale)
            extra = np.broadcast_to(rounding, claim.shape)[index] + NOISE_MARGIN * self.noise / scale
            return value, error + float(extra), half

        return self._confirmed(str(path), claim, expected, bound, kink, natural, confirm), done

    def _by_direction(
        self, path: Path, claim: FloatArray, rounding: FloatArray, natural: float, done: int, total: int
    ) -> tuple[Comparison, int]:
        size = _size(self.theta[path])
        directions = [size * self.rng.standard_normal(claim.shape) for _ in range(DIRECTIONS)]
        central = Central(noise=self.noise, roundoff=self.roundoff)
        actual, expected, bound, kink = (np.zeros(DIRECTIONS) for _ in range(4))
        extra = np.broadcast_to(rounding, claim.shape)
        for i, direction in enumerate(directions):
            actual[i] = float(np.sum(claim * direction))
            expected[i], bound[i], kink[i] = _parts(central(self.along(path, direction)), 1.0)
            bound[i] += float(np.sum(extra * abs(direction))) + NOISE_MARGIN * self.noise
            done += 1
            self.bar.advance(done, total)

        def confirm(index: tuple[int, ...]) -> tuple[float, float, float]:
            i = index[0]
            again = Central(
                noise=self._measure_noise(),
                first_step=SECOND_STEP * central.first_step,
                roundoff=self.roundoff,
            )
            value, error, half = _parts(again(self.along(path, directions[i])), 1.0)
            return value, error + float(np.sum(extra * abs(directions[i]))) + NOISE_MARGIN * self.noise, half

        label = f"{path} along {DIRECTIONS} random directions"
        comparison = self._confirmed(label, actual, expected, bound, kink, natural * size, confirm)
        # An error of one entry, in units of the tensor's rms, that the directions see with the stated chance.
        per_bar = 2.0 / float(ndtri((1.0 + MISS_PROBABILITY ** (1.0 / DIRECTIONS)) / 2.0))
        scale = rms(expected) / size or natural
        limit = per_bar * float(bound.max()) / (size * scale) if size * scale > 0 else np.inf
        comparison = replace(comparison, detection_limit=limit)
        if comparison.verdict.ok and not limit <= self.resolution:
            reason = f"only relative errors above {limit:.1e} are visible, {self.resolution:.1e} is asked for"
            comparison = replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason)
        return comparison, done

    def _entry(self, path: Path, index: tuple[int, ...], *, again: bool = False) -> tuple[Estimate, float]:
        """Derivative by one entry, along a step that is relative to the entry."""
        theta = self.theta[path]
        scale = max(abs(float(theta[index])), _size(theta) / SMALLEST_SHARE)
        direction = np.zeros(theta.shape)
        direction[index] = scale
        phi = self.along(path, direction)
        if not again:
            return Central(noise=self.noise, roundoff=self.roundoff)(phi), scale
        start = Central().first_step * SECOND_STEP
        return Central(noise=self._measure_noise(), first_step=start, roundoff=self.roundoff)(phi), scale

    def _confirmed(
        self,
        path: str,
        claim: FloatArray,
        expected: FloatArray,
        bound: FloatArray,
        kink: FloatArray,
        natural: float,
        confirm: Callable[[tuple[int, ...]], tuple[float, float, float]],
    ) -> Comparison:
        """Judge, and believe DISAGREES only if a second measurement says so too."""
        for _ in range(CONFIRMATIONS):
            comparison = judge(
                path, claim, expected, bound, kink=kink, resolution=self.resolution, fallback=natural
            )
            if comparison.verdict is not Verdict.DISAGREES:
                return comparison
            worst = comparison.worst_index
            value, error, half = confirm(worst)
            same = abs(value - expected[worst]) <= error + bound[worst] + half + kink[worst]
            wrong_again = not abs(claim[worst] - value) <= error + half
            if same and wrong_again:
                return comparison
            # The two measurements contradict each other: this entry cannot be decided.
            expected[worst], bound[worst], kink[worst] = value, np.inf, half
        return judge(path, claim, expected, bound, kink=kink, resolution=self.resolution, fallback=natural)

    def _second_call(self, first: Asked, comparisons: list[Comparison]) -> list[Comparison]:
        """A second answer must lie as near to the truth as the first."""
        if not Verdict.worst(c.verdict for c in comparisons).ok:
            return []
        second = ask(self.subject, self.params, self.args, clock=self.clock)
        self.evaluations += 1
        findings = list(second.findings)
        for comparison, (path, claim) in zip(comparisons, first.gradient.items(), strict=True):
            again = second.gradient.get(path)
            if again is None or np.array_equal(again, claim):
                continue
            allowed = 2 * float(np.max(comparison.bound)) if comparison.bound is not None else 0.0
            size = (
                _size(self.theta[path])
                if comparison.actual is not None and comparison.actual.shape != claim.shape
                else 1.0
            )
            if not np.max(abs(again - claim)) <= allowed / size:
                self.warnings.append(KEPT_BETWEEN_CALLS)
                findings.append(
                    judge(f"{path} at the second call", again, claim, np.full(claim.shape, allowed / size))
                )
        return findings

    def report(
        self, verdict: Verdict, comparisons: tuple[Comparison, ...] = (), *, summary: str = ""
    ) -> Report:
        """The report of this check."""
        diagnoses: tuple[Diagnosis, ...] = ()
        if verdict.severity > Verdict.INCONCLUSIVE.severity:
            diagnoses = (locate(None, comparisons),)
        if not summary:
            bad = [c for c in comparisons if c.verdict is verdict]
            if verdict.ok:
                summary = "Every tensor of the gradient lies within the error bars of finite differences of the loss."
            elif verdict is Verdict.INCONCLUSIVE and bad:
                summary = f"{bad[0].label}: {bad[0].reason}. {verdict.remedy}"
            elif bad:
                tensors = (
                    f"{len(bad)} of {len(comparisons)} tensors" if len(comparisons) > 1 else "The tensor"
                )
                summary = f"{tensors}: {verdict.value}."
        return Report(
            subject=self.subject.name,
            verdict=verdict,
            comparisons=comparisons,
            diagnoses=diagnoses,
            detection_limit=detection_limit(comparisons),
            warnings=tuple(dict.fromkeys(self.warnings)),
            examples=1,
            evaluations=self.evaluations,
            summary=summary,
        )


def _reproducer(name: str, params: Tree) -> str:
    """The parameters at which something raised, to paste, unless they are too many."""
    text = "...  # those of the call, too many to print"
    if sum(np.size(leaf) for _, leaf in tree.leaves(params)) <= MOST_TO_PASTE:
        with np.printoptions(floatmode="unique", threshold=MOST_TO_PASTE):
            text = repr(params).replace("array(", "np.array(").replace("dtype=float", "dtype=np.float")
    return f"import numpy as np\n\nparams = {text}\n# call the {name} with params and your further arguments"


def _moved(theta: FloatArray, step: FloatArray) -> FloatArray:
    """θ + step, rounded once to the precision of the parameter; what that does to f is measured as noise."""
    return np.asarray(np.asarray(theta, dtype=float) + step).astype(theta.dtype)


def _size(theta: FloatArray) -> float:
    """What counts as a relative step of 1 for a tensor: its root mean square, 1 if it is zero."""
    return rms(np.asarray(theta, dtype=float)) or 1.0


def _parts(estimate: Estimate, scale: float) -> tuple[float, float, float]:
    """Value, error and half-width of the kink's interval, per unit of the parameter."""
    if estimate.interval is None:
        return estimate.value / scale, estimate.error / scale, 0.0
    low, high = estimate.interval
    half = (high - low) / 2.0
    # the estimate's error reaches from the middle past both ends: what exceeds the half is uncertainty
    return (low + high) / 2.0 / scale, max(estimate.error - half, 0.0) / scale, half / scale
