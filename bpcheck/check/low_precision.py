"""check_low_precision(): a gradient that was computed in float32, float16 or bfloat16, against float64.

Worst-case bounds are useless there: for a network of 100 units they are 10³ to 10⁶ times wider than the errors
that rounding makes. So the difference is held against what rounding *probably* does: a standard deviation for
each entry, from a model carried through the equations (:mod:`bpcheck.reference.numbers.variance`) or, for any other
NumPy function, from runs in simulated low precision (:mod:`bpcheck.numeric.monte_carlo`).

A probability proves nothing wrong, and errors that add up defeat it. Hence three answers:

- AGREES: every entry lies within SURE standard deviations, and the tensor as a whole is no further off than its
  entries' deviations and their measured correlation explain;
- DISAGREES: some entry, or the tensor as a whole, lies beyond twice that, *and* beyond everything seen in runs
  whose roundings are LOUD times larger, *or* beyond the worst-case bound, where there is one;
- INCONCLUSIVE in between, and where what could be seen is coarser than the resolution asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.check.agreement import RESOLUTION, detection_limit, judge
from bpcheck.check.contract import from_its_own_frame, where_raised
from bpcheck.check.options import seed_or_drawn
from bpcheck.check.structure import match
from bpcheck.errors import InputError, SubjectError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.names import book_name
from bpcheck.numeric.monte_carlo import Arithmetic, simulate, smoothed_variance
from bpcheck.precision import FORMATS, FloatFormat, coarsest, format_of, rounded, widened
from bpcheck.reference import Enclosure, build
from bpcheck.result import Comparison, Report
from bpcheck.tree import FloatArray, Path, Tree, rms
from bpcheck.verdict import Verdict

__all__ = ["SURE", "LowPrecision", "check_low_precision", "default_resolution", "of_case", "of_function"]

# Standard deviations within which an entry agrees, and beyond which it may be called wrong. Measured by
# `python -m benchmarks.calibration.low_precision` (benchmarks/results/low_precision.md): in float32 no entry of 3
# million lay beyond 3.0; in PyTorch's float16 and bfloat16 the furthest of 1.7 million lay at 5.0.
SURE = 6.0
WRONG = 12.0

# How much larger than its modelled standard deviation a tensor's discrepancy may be as a whole (root mean square
# of the standardised entries) before its size alone speaks against it, its own scatter apart. In float32 no tensor
# of 2,000 exceeded 1.14 (same table); errors that add up, 3.2 in bfloat16, are seen by the simulated runs too.
WHOLE = 1.5

# Roundings are made this many times larger to see what the honest ones might reach on a bad day: a unit on the
# other side of its kink, errors that add up. A claim is called wrong only if it lies beyond AMPLE times that.
LOUD = 8.0
AMPLE = 1.5

# Runs in simulated low precision. The prototype of the method took three, which is enough for a variance steadied
# by its rows and columns; for the largest of several runs, and for what whole tensors do, eight are better.
SAMPLES = 8

# A unit k standard deviations from its kink crosses it in a run with roundings 8 times larger with probability
# Φ(−k/8): 0.35 at k = 3. Four times as many of these runs miss it with probability 0.65³² = 1e-6.
FOR_KINKS = 4

# What LOUD roundings do in proportion reaches some two standard deviations in the furthest of 32 runs, three at most.
NOT_A_JUMP = 3.0

# The least number of simulated runs from which a standard deviation can be had at all.
FEWEST_SAMPLES = 3

# What must be visible in one entry before AGREES may be said, relative to the tensor's root mean square: float32
# can meet the resolution of all checks; the others cannot, at best they show errors of some tens of roundoffs.
# Measured (same table): limits of 99 tensors in 100 are below 0.16 in float16 and 0.82 in bfloat16.
HALF_RESOLUTION = {"float16": 0.2, "bfloat16": 1.0}

# A value of the float64 reference is zero to rounding below so many times what float64 rounding of the same kind would
# leave: its own sums are in another order than the deviations assume. Far above what honest code needs
# (tens, benchmarks/rounding_bound.py), far below where rounding of float32 begins (2^29).
ZERO = 2.0**10

# A factor 1/m or 2/n is rounded once, alike for all entries; a kernel may scale the loss, and scale back.
SHARED_ROUNDINGS = 2


def default_resolution(precision: Any) -> float:
    """The relative error of an entry that must be visible in a format for AGREES.

    Examples
    --------
    >>> default_resolution("float32"), default_resolution("bfloat16")
    (0.001, 1.0)
    """
    return HALF_RESOLUTION.get(format_of(precision).name, RESOLUTION)


Gradients = Mapping[Path, FloatArray]

DOUBT = "too large to agree, too small to be called wrong"
"""How the reason of an INCONCLUSIVE ends that comes from the numbers, not from a coarse limit."""


@dataclass(frozen=True, eq=False)
class LowPrecision:
    """What is known about correct answers in low precision: values, deviations, and how to simulate more.

    Attributes
    ----------
    form : FloatFormat
        What the answer was stored in.
    values : mapping of Path to float64 array
    deviations : mapping of Path to float64 array
        Standard deviations of the rounding error.
    runs : callable or None
        ``runs(amplification, count)``: errors of answers with simulated roundings ``amplification`` times larger.
    settled : callable or None
        Gives the deviations without units that may lie on either side of a kink.
    shared : float
        Relative error that all entries of a tensor may have in common.
    extra : mapping of Path to float64 array
        Absolute error that the way of asking brought in.
    worst : callable or None
        Gives the worst-case bounds (an Enclosure at the same point).
    samples, loud_samples : int
        Simulated runs with roundings of their true size, and larger ones.
    """

    form: FloatFormat
    values: Gradients
    deviations: Gradients
    runs: Callable[[float, int], Sequence[Gradients]] | None = None
    settled: Callable[[], Gradients] | None = None
    shared: float = 0.0
    extra: Gradients = field(default_factory=dict)
    worst: Callable[[], Enclosure] | None = None
    samples: int = SAMPLES
    loud_samples: int = SAMPLES

    @cached_property
    def quiet(self) -> Sequence[Gradients]:
        """Deviations of simulated runs from the values, with roundings of their true size."""
        return self._seen(1.0)

    @cached_property
    def loud(self) -> Sequence[Gradients]:
        """The same with roundings LOUD times larger."""
        return self._seen(LOUD, self.loud_samples)

    def _seen(self, amplification: float, count: int = 0) -> Sequence[Gradients]:
        if self.runs is None:
            return ()
        with np.errstate(all="ignore"):
            return self.runs(amplification, count or self.samples)

    @cached_property
    def enclosure(self) -> Enclosure | None:
        """Worst-case bounds."""
        return None if self.worst is None else self.worst()  # not the field: computed once, when asked for

    @cached_property
    def without_kinks(self) -> Gradients | None:
        """Deviations that units near a kink do not widen."""
        return None if self.settled is None else self.settled()

    def standardised(self, path: Path, actual: FloatArray) -> FloatArray:
        """(actual − value) / deviation, the extra error taken off; 0 where both are 0."""
        return _over(self._difference(path, actual), self.deviations[path])

    def _difference(self, path: Path, actual: FloatArray) -> FloatArray:
        difference = actual - self.values[path]
        return np.asarray(
            np.sign(difference) * np.maximum(abs(difference) - self.extra.get(path, np.zeros(())), 0.0)
        )

    def distance(self, claimed: Gradients) -> float:
        """How far a claim is off at the most, in standard deviations."""
        with np.errstate(all="ignore"):
            worst = (np.max(abs(self.standardised(path, a)), initial=0.0) for path, a in claimed.items())
            return float(np.nan_to_num(max(worst, default=0.0), nan=np.inf))

    def judge(
        self,
        path: Path,
        actual: FloatArray,
        *,
        resolution: float,
        fallback: float,
        whole: bool,
        name: str = "",
    ) -> Comparison:
        """One tensor.

        Parameters
        ----------
        path : Path
        actual : array
        resolution, fallback : float
            As for :func:`bpcheck.check.agreement.judge`.
        whole : bool
            Whether the tensor is tested as a whole too; that needs simulated runs.
        name : str

        Returns
        -------
        Comparison
        """
        with np.errstate(all="ignore"):
            return self._judge(path, np.asarray(actual, dtype=float), resolution, fallback, whole, name)

    def _judge(
        self, path: Path, actual: FloatArray, resolution: float, fallback: float, whole: bool, name: str
    ) -> Comparison:
        extra = self.extra.get(path, np.zeros(()))
        value, deviation = self.values[path], self.deviations[path]
        # a structural zero is one in float64 too: what only drowns in this format's rounding is none
        if not np.all(abs(value) <= ZERO * (2.0**-53 / self.form.roundoff) * SURE * deviation):
            fallback = rms(value)

        def held(bound: Any, kink: Any = 0.0) -> Comparison:
            return judge(
                path, actual, value, bound, kink=kink, resolution=resolution, fallback=fallback, name=name
            )

        bound = SURE * deviation + extra
        first = held(bound)
        if first.verdict is Verdict.NONFINITE:
            return first
        if first.verdict is Verdict.DISAGREES:
            proved = self._proved(path, first)
            if proved is not None:
                return proved
            if self.runs is None:
                beyond = WRONG * deviation + extra
                return self._told(first, held(beyond), "")
            # errors that add up are no surprise if the simulated runs have them too
            bound = np.maximum(bound, self._reach(path) + extra)
            first = held(bound)
            if first.verdict is Verdict.DISAGREES:
                told = self._told(first, held(self._beyond(path, bound)), "")
                if told.verdict is Verdict.DISAGREES or not (whole and value.size > 1):
                    return told
                # many entries in doubt may be wrong together
                fault, sure = self._as_a_whole(path, actual)
                return self._told(first, None, fault) if sure else told
        if whole and self.runs is not None and value.size > 1:
            fault, sure = self._as_a_whole(path, actual)
            if fault:
                return self._told(first, None if sure else first, fault)
        if first.verdict is Verdict.INCONCLUSIVE and self.without_kinks is not None:
            settled = np.minimum(SURE * self.without_kinks[path] + extra, bound)
            return held(settled, bound - settled)
        return first

    def _proved(self, path: Path, found: Comparison) -> Comparison | None:
        """The comparison, if no rounding at all explains the difference."""
        if self.enclosure is None:
            return None
        ball = self.enclosure.gradient[path]
        assert found.actual is not None
        # the balls are those of any correct code that was given the parameters unrounded or rounded
        allowed = 2 * ball.rad + ball.kink + self.extra.get(path, np.zeros(()))
        if np.any(np.isfinite(allowed) & ~(abs(found.actual - ball.mid) <= allowed)):
            return found
        return None

    def _reach(self, path: Path) -> FloatArray:
        """What SURE standard deviations are if those of the simulated runs count too, or the furthest of them."""
        seen = np.stack([run[path] for run in self.quiet])
        deviation = np.maximum(self.deviations[path], np.sqrt(smoothed_variance(seen)))
        return np.asarray(np.maximum(SURE * deviation, WHOLE * np.max(abs(seen), axis=0)))

    def _beyond(self, path: Path, bound: FloatArray) -> FloatArray:
        """Where a difference is called wrong."""
        loudest = np.max([abs(run[path]) for run in self.loud], axis=0)
        return np.asarray(np.maximum(WRONG / SURE * bound, AMPLE * loudest))

    def _as_a_whole(self, path: Path, actual: FloatArray) -> tuple[str, bool]:
        """What is wrong with the tensor as a whole ("" if nothing), and whether it is sure."""
        value = self.values[path]
        deviation = np.maximum(
            self.deviations[path], np.sqrt(smoothed_variance(np.stack([r[path] for r in self.quiet])))
        )
        difference = self._difference(path, actual)
        quiet = [run[path] for run in self.quiet]
        size, sizes = (
            rms(_over(difference, deviation)),
            np.array([rms(_over(d, deviation)) for d in quiet]),
        )
        allowed = WHOLE * max(1.0, float(sizes.mean() + SURE * sizes.std(ddof=1)))
        if not size <= allowed:
            loudest = max(rms(_over(run[path], deviation)) for run in self.loud)
            fault = f"the errors are {size:.1f} standard deviations in the mean, {allowed:.1f} are explained"
            return fault, size > max(WRONG / SURE * allowed, AMPLE * loudest)
        slope, slopes = (
            _slope(difference, value, deviation),
            np.array([_slope(d, value, deviation) for d in quiet]),
        )
        explained = self.shared + SURE * rms(slopes)
        if not abs(slope) <= explained:
            loudest = max(abs(_slope(run[path], value, deviation)) for run in self.loud)
            fault = f"all entries together are larger by a factor of 1 {slope:+.1e}, ±{explained:.1e} is explained"
            return fault, abs(slope) > max(WRONG / SURE * explained, AMPLE * loudest)
        return "", False

    def factor_limit(self, path: Path) -> float:
        """The smallest common factor (less 1) on a tensor that cannot agree; infinite without simulated runs."""
        if self.runs is None:
            return np.inf
        deviation = np.maximum(
            self.deviations[path], np.sqrt(smoothed_variance(np.stack([r[path] for r in self.quiet])))
        )
        slopes = np.array([_slope(run[path], self.values[path], deviation) for run in self.quiet])
        return 2 * (self.shared + SURE * rms(slopes))

    def _told(self, found: Comparison, beyond: Comparison | None, fault: str) -> Comparison:
        """DISAGREES where even the wider bound is passed (or without one), else INCONCLUSIVE."""
        off = self.form.name
        if beyond is None or beyond.verdict is Verdict.DISAGREES:
            reason = fault or re.sub("(its bound|their bounds)$", f"{off} rounding can explain", found.reason)
            return replace(found, verdict=Verdict.DISAGREES, reason=reason)
        doubt = fault or f"a difference of more than {SURE:g} standard deviations of {off} rounding"
        return replace(
            found,
            verdict=Verdict.INCONCLUSIVE,
            reason=f"{doubt}: {DOUBT}",
        )


def _over(difference: FloatArray, deviation: FloatArray) -> FloatArray:
    return np.asarray(
        np.where(difference == 0, 0.0, difference / np.maximum(deviation, np.finfo(float).tiny))
    )


def _slope(difference: FloatArray, value: FloatArray, deviation: FloatArray) -> float:
    """C − 1 of the weighted fit value + difference ≈ c·value, every entry weighted by 1/variance.

    No entry weighs more than one of the tensor's median deviation does: what is known too well is known by luck.
    """
    floor = np.median(deviation[deviation > 0]) if (deviation > 0).any() else 1.0
    weight = (floor / np.maximum(deviation, floor)) ** 2
    norm = float(np.sum(weight * value**2))
    return float(np.sum(weight * difference * value)) / norm if norm > 0 else 0.0


def _heavy_tailed(seen: FloatArray) -> bool:
    """Whether a run, judged by the others, is further off than SURE standard deviations allow: jumps, not a walk."""
    furthest = 0.0
    for left_out in range(len(seen)):
        deviation = np.sqrt(smoothed_variance(np.delete(seen, left_out, axis=0)))
        furthest = max(furthest, float(np.max(abs(_over(seen[left_out], deviation)), initial=0.0)))
    return not furthest <= SURE


# --- our own networks --------------------------------------------------------------------------------


def of_case(
    case: Case,
    claimed: Gradients,
    precision: Any,
    *,
    compute: Any = None,
    sums: Any = None,
    factor: float = 1.0,
    extra: Gradients | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> LowPrecision:
    """What a network's gradient may be in low precision, at the inputs that the claim was computed from.

    A claim in low precision was computed from rounded parameters. They are part of the problem, not of the
    error: the gradient is taken at them. Whether all of them were rounded, and how, is not known; of the few
    possibilities the one nearest to the claim counts.

    Parameters
    ----------
    case : Case
    claimed : mapping of Path to array
    precision : FloatFormat, dtype or name
    compute, sums : dtype or name, optional
        As for :meth:`bpcheck.reference.Network.noisy`.
    factor : float
        Loss and gradient are this times the reference's.
    extra : mapping of Path to array, optional
        Absolute error that the way of asking brought in.
    samples, seed : int
        For simulated runs.

    Returns
    -------
    LowPrecision
    """
    form = format_of(precision)
    best: LowPrecision | None = None
    for candidate in _as_rounded(case, form):
        found = _at(candidate, case, form, (compute, sums), factor, extra or {}, samples, seed)
        if best is None or found.distance(claimed) < best.distance(claimed):
            best = found
        if best.distance(claimed) <= SURE:
            break
    assert best is not None
    return best


def _as_rounded(case: Case, form: FloatFormat) -> Sequence[Case]:
    """The case with its numbers rounded in the ways that code does it, as given last."""

    def once(array: Any) -> FloatArray:
        return rounded(array, form)

    def by_float32(
        array: Any,
    ) -> FloatArray:  # as PyTorch and ml_dtypes do, and all code that starts in float32
        return rounded(rounded(array, "float32"), form)

    def kept(array: Any) -> FloatArray:
        return np.asarray(array, dtype=float)

    found: list[Case] = []
    for of_params, of_x, of_y in (
        (by_float32, by_float32, by_float32),
        (once, once, once),
        (by_float32, by_float32, kept),
        (kept, kept, kept),
    ):
        params = tree.restore(case.params, [of_params(leaf) for _, leaf in tree.leaves(case.params)])
        try:
            candidate = Case(case.architecture, params, of_x(case.x), of_y(case.y), case.seed)
        except InputError:  # a number too large for the format
            continue
        if not any(_same(candidate, other) for other in found):
            found.append(candidate)
    return found


def _same(first: Case, second: Case) -> bool:
    return (
        np.array_equal(first.x, second.x)
        and np.array_equal(first.y, second.y)
        and all(
            np.array_equal(a, b)
            for (_, a), (_, b) in zip(tree.leaves(first.params), tree.leaves(second.params), strict=True)
        )
    )


LOSS = Path("loss")
"""Where the loss stands among the tensors of a gradient."""


def _at(
    case: Case,
    given: Case,
    form: FloatFormat,
    inside: tuple[Any, Any],
    factor: float,
    extra: Gradients,
    samples: int,
    seed: int,
) -> LowPrecision:
    """The model at one case; ``given`` is the case before its numbers were rounded."""
    network = build(case.architecture)
    inputs = (case.params, case.x, case.y)
    compute, sums = inside

    def deviations(kinks: bool) -> tuple[Gradients, Gradients]:
        loss, gradient = network.noisy(*inputs, dtype=form, compute=compute, sums=sums, kinks=kinks)
        told = {LOSS: loss, **gradient}
        return (
            {path: factor * noisy.value for path, noisy in told.items()},
            {path: abs(factor) * noisy.deviation for path, noisy in told.items()},
        )

    def answer(params: Tree, x: Any, y: Any) -> Tree:
        loss, gradient = network.evaluate(params, x, y)
        return [np.reshape(loss, ()) * factor, *(leaf * factor for _, leaf in tree.leaves(gradient))]

    paths = [LOSS, *(path for path, _ in tree.leaves(case.params))]

    def runs(amplification: float, count: int) -> Sequence[Gradients]:
        errors = []
        for number in range(count):
            how = Arithmetic.of(form, compute, sums=sums, seed=seed + number, amplification=amplification)
            told = dict(zip(paths, simulate(answer, inputs, how).values(), strict=True))
            errors.append({path: told[path] - value for path, value in values.items()})
        return errors

    def enclosure() -> Enclosure:
        told = network.enclose(given.params, given.x, given.y, dtype=form)
        balls = {path: ball * factor for path, ball in {LOSS: told.loss, **told.gradient}.items()}
        return Enclosure(balls[LOSS], balls)

    values, spread = deviations(True)
    return LowPrecision(
        form,
        values,
        spread,
        runs,
        lambda: deviations(False)[1],
        _shared(case.architecture, len(case.x), form) + _drift(len(case.x), form, sums or compute),
        extra,
        enclosure,
        samples,
    )


def _shared(architecture: Architecture, examples: int, form: FloatFormat) -> float:
    """Relative error of the scalars that a gradient is multiplied by, 1/m and 2/n, if they are rounded."""
    scalars = [1.0 / examples] if architecture.reduction == "mean" else []
    if architecture.loss == "mse":
        outputs = architecture.outputs
        # apart or together: mean over all entries of the output
        scalars += [2.0 / outputs, 1.0 / outputs, 1.0 / (outputs * examples)]
    return float(sum(abs(rounded(s, form) - s) / s for s in scalars))


def _drift(terms: int, form: FloatFormat, inside: Any) -> float:
    """Relative error of a sum of equal terms, added one after the other: every rounding may go the same way.

    |Σ_k u k t| / (n t) ≤ n u / 2; a bias whose errors δ are all ±1/m (Huber's loss) comes near it.
    """
    return terms / 2 * Arithmetic.of(form, inside).computed.roundoff


# --- the door ----------------------------------------------------------------------------------------


def check_low_precision(
    claimed: Tree,
    reference: Any,
    *args: Any,
    dtype: Any = None,
    variance: Tree = None,
    compute: Any = None,
    samples: int = SAMPLES,
    resolution: float | None = None,
    seed: int | None = None,
) -> Report:
    """Hold a gradient that was computed in float32, float16 or bfloat16 against a float64 reference.

    Parameters
    ----------
    claimed : tree of arrays
        The gradient in low precision: NumPy float32 or float16, ``ml_dtypes`` bfloat16, or float32 and float64
        arrays that hold coarser values (say so with ``dtype``). Of PyTorch tensors give
        ``tensor.float().cpu().numpy()``.
    reference : callable, Case or tree of arrays
        One of three. A function, called as ``reference(*args)``, that computes the same gradient with NumPy: it
        is run in float64 for the values, and in simulated low precision for the deviations. A
        :class:`bpcheck.Case` of a network that bpcheck knows: values and deviations come from the reference
        network. The right values themselves, with ``variance``.
    *args : trees of arrays
        What ``reference`` is called with, all arrays that the gradient depends on. Numbers that ``dtype`` cannot
        hold are rounded to it first, as the code that made the claim did.
    dtype : dtype or name, optional
        Format in which results are stored; None means the coarsest dtype in ``claimed``.
    variance : tree of arrays, optional
        Variances of the rounding error, nested as the values in ``reference``.
    compute : dtype or name, optional
        Format of sums and elementary functions inside an operation. None means float32, as in GEMM and attention
        kernels; give ``dtype`` itself for code that adds up in low precision.
    samples : int
        Simulated runs, 3 or more.
    resolution : float, optional
        Relative error of an entry (in units of its tensor's root mean square) that must be visible for AGREES;
        None means 1e-3 in float32, 0.2 in float16, 1.0 in bfloat16. Errors of a whole tensor show far earlier.
    seed : int, optional
        For the simulated runs; drawn and reported if not given.

    Returns
    -------
    Report
        AGREES: each entry lies within 6 standard deviations of its rounding error. DISAGREES: an entry or a
        whole tensor lies beyond 12, and beyond all that roundings eight times as large would do in simulation.
        INCONCLUSIVE in between, and where rounding hides more than ``resolution``.

    Raises
    ------
    InputError
        If an argument cannot be used as given, or ``reference`` cannot be run in simulated low precision.

    Examples
    --------
    >>> def reference(w, x):  # the gradient of Σ tanh(x w)²/2, in NumPy
    ...     a = np.tanh(x @ w)
    ...     return x.T @ (a * (1 - a**2))
    >>> rng = np.random.default_rng(0)
    >>> w, x = rng.standard_normal((8, 4)), rng.standard_normal((32, 8))
    >>> claimed = reference(w.astype(np.float32), x.astype(np.float32))
    >>> check_low_precision(claimed, reference, w, x, seed=0).verdict
    <Verdict.AGREES>
    >>> check_low_precision(claimed * np.float32(1.0001), reference, w, x, seed=0).verdict
    <Verdict.DISAGREES>

    With variances of one's own:

    >>> right, deviation = reference(w, x), np.full((8, 4), 1e-6)
    >>> check_low_precision(claimed, right, variance=deviation**2, seed=0).verdict
    <Verdict.AGREES>
    """
    wanted, count, used = _options(resolution, samples, seed)
    if callable(claimed):
        raise InputError(
            "claimed is a function: call it, and give the gradient that it returns in low precision (the function that "
            "is called here is the reference)."
        )
    if isinstance(reference, Case):
        if args or variance is not None:
            raise InputError("a Case is the whole reference: give neither further arguments nor variance=.")
        like: Tree = reference.params
    elif callable(reference):
        if variance is not None:
            raise InputError("variance= belongs to given values; for a function it is found by simulation.")
        if not args:
            raise InputError(
                "the reference function is given no arrays: pass all that it computes from, as "
                "check_low_precision(claimed, reference, params, x, y)."
            )
        like = _answer(reference, args)
    else:
        if variance is None or args:
            raise InputError(
                f"reference is {tree.describe(reference)}: give a NumPy function with its arguments, a bpcheck.Case, "
                "or the right values together with variance=."
            )
        like = reference
    matched = match(claimed, like)
    if matched.findings:
        return _report(Verdict.WRONG_STRUCTURE, matched.findings, used, "Nothing could be compared.")
    found = {path: np.asarray(leaf, dtype=float) for path, leaf in matched.arrays.items()}
    form = _format(dtype, [leaf.dtype for leaf in matched.arrays.values()])
    wanted = default_resolution(form) if wanted is None else wanted
    runs = f"{count} runs of the reference in simulated {form}"
    if isinstance(reference, Case):
        what = "a model of rounding errors carried through the equations"
    else:
        what = runs if callable(reference) else "the variances that were given"

    def look(inside: Any) -> tuple[LowPrecision, tuple[Comparison, ...]]:
        if isinstance(reference, Case):
            model = of_case(reference, found, form, compute=inside, samples=count, seed=used)
        elif callable(reference):
            model = of_function(reference, args, found, form, compute=inside, samples=count, seed=used)
        else:
            model = _of_values(like, variance, form)
        names = reference.architecture if isinstance(reference, Case) else None
        return model, judge_all(model, found, wanted, whole=True, names=names)

    model, comparisons = look(compute)
    inside_too = False
    half = form.digits < FORMATS["float32"].digits
    if half and compute is None and model.runs is not None and any(_doubted(c) for c in comparisons):
        # no entry beyond its bound is enough: sums kept in a short format may leave nothing to be seen
        inside_too = not any(_objects(c) for c in look(form)[1])
        if inside_too:
            comparisons = tuple(_in_doubt(c) for c in comparisons)
    verdict = Verdict.worst(c.verdict for c in comparisons)
    note = f"judged as {form} by {what}: {SURE:g} standard deviations an entry"
    if inside_too:
        note += f"; sums kept in {form} would explain it: pass compute={form.name!r} if they are"
    if model.runs is not None:
        factor = max(model.factor_limit(path) for path in found)
        note += f"; a common factor on a tensor shows from 1 ± {factor:.0e}"
    return _report(verdict, comparisons, used, _summary(verdict, comparisons, form), (note,))


def judge_all(
    model: LowPrecision,
    claimed: Gradients,
    resolution: float,
    *,
    whole: bool,
    names: Architecture | None = None,
) -> tuple[Comparison, ...]:
    """Every tensor of a claim; ``names`` is the network whose names they get."""
    largest = max((rms(model.values[path]) for path in claimed), default=0.0) or 1.0
    return tuple(
        model.judge(
            path,
            actual,
            resolution=resolution,
            fallback=largest,
            whole=whole,
            name="" if names is None else book_name(names, path),
        )
        for path, actual in claimed.items()
    )


def _doubted(comparison: Comparison) -> bool:
    """Whether the numbers speak against the claim, surely or not (a coarse limit does not)."""
    return comparison.verdict is Verdict.DISAGREES or comparison.reason.endswith(DOUBT)


def _objects(comparison: Comparison) -> bool:
    """Whether the claim is called wrong, or some entry of it is further off than its bound."""
    if comparison.verdict is Verdict.DISAGREES:
        return True
    actual, expected, bound = comparison.actual, comparison.expected, comparison.bound
    if actual is None or expected is None or bound is None:
        return True
    return not bool(np.all(abs(actual - expected) <= bound))


def _in_doubt(comparison: Comparison) -> Comparison:
    """DISAGREES taken back to INCONCLUSIVE: another way to compute explains the difference."""
    if comparison.verdict is not Verdict.DISAGREES:
        return comparison
    return replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=f"{comparison.reason}: {DOUBT}")


def of_function(
    function: Callable[..., Tree],
    args: tuple[Any, ...],
    claimed: Gradients,
    precision: Any,
    *,
    compute: Any = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> LowPrecision:
    """What a function's gradient may be in low precision; parameters as for :func:`check_low_precision`."""
    form = format_of(precision)

    def once(array: Any) -> FloatArray:
        return rounded(array, form)

    def by_float32(array: Any) -> FloatArray:
        return rounded(rounded(array, "float32"), form)

    def kept(array: Any) -> FloatArray:
        return np.asarray(array, dtype=float)

    def values(arguments: tuple[Any, ...]) -> Gradients:
        answer = tree.leaves(_answer(function, arguments))
        return {path: np.asarray(leaf, dtype=float) for path, leaf in answer}

    variants = [_changed(args, how) for how in (by_float32, once, kept)]
    base = values(variants[0])

    def runs(amplification: float, count: int) -> Sequence[Gradients]:
        errors = []
        for number in range(count):
            how = Arithmetic.of(form, compute, seed=seed + number, amplification=amplification)
            try:
                told = simulate(function, _copies(variants[0]), how)
            except InputError:
                raise
            except Exception as error:
                raise InputError(
                    f"the reference cannot be run in simulated low precision: it raised {type(error).__name__}: {error}. "
                    "It is handed a subclass of numpy.ndarray; write it with NumPy functions and operators alone."
                ) from error
            errors.append({path: told[path] - value for path, value in base.items()})
        return errors

    seen = runs(1.0, samples)
    stacked = {path: np.stack([run[path] for run in seen]) for path in base}
    deviations = {path: np.sqrt(smoothed_variance(runs_of)) for path, runs_of in stacked.items()}
    settled = {
        path: np.minimum(np.sqrt(smoothed_variance(runs_of, typical=True)), deviations[path])
        for path, runs_of in stacked.items()
    }
    if any(_heavy_tailed(runs_of) for runs_of in stacked.values()):
        # where larger roundings do far more than in proportion, a unit changes sides
        loud = runs(LOUD, FOR_KINKS * samples)
        jumps = {
            path: np.maximum(
                np.max([abs(run[path]) for run in loud], axis=0) - NOT_A_JUMP * LOUD * deviation, 0.0
            )
            for path, deviation in deviations.items()
        }
        deviations = {path: deviation + jumps[path] / SURE for path, deviation in deviations.items()}
    longest = max((max(np.shape(leaf), default=1) for a in args for _, leaf in tree.leaves(a)), default=1)
    shared = SHARED_ROUNDINGS * form.roundoff + _drift(longest, form, compute)
    model = LowPrecision(
        form,
        base,
        deviations,
        runs,
        lambda: settled,
        shared,
        samples=samples,
        loud_samples=FOR_KINKS * samples,
    )
    for variant in variants[1:]:
        if model.distance(claimed) <= SURE:
            break
        other = replace(model, values=values(variant))
        model = min(model, other, key=lambda candidate: candidate.distance(claimed))
    return model


def _of_values(values: Tree, variance: Tree, form: FloatFormat) -> LowPrecision:
    matched = match(variance, values)
    if matched.findings:
        raise InputError(
            f"variance does not fit the values: {matched.findings[0].path}: {matched.findings[0].reason}."
        )
    spread = {path: np.asarray(leaf, dtype=float) for path, leaf in matched.arrays.items()}
    for path, leaf in spread.items():
        if not np.all(leaf >= 0):
            raise InputError(
                f"the variance at {path} has negative entries or NaN; give squared standard deviations."
            )
    right = {path: np.asarray(leaf, dtype=float) for path, leaf in tree.leaves(values)}
    return LowPrecision(form, right, {path: np.sqrt(leaf) for path, leaf in spread.items()})


def _options(resolution: Any, samples: Any, seed: Any) -> tuple[float | None, int, int]:
    if resolution is not None and not (
        isinstance(resolution, int | float) and not isinstance(resolution, bool) and resolution > 0
    ):
        raise InputError(f"resolution is {resolution!r}; give the relative error to see, such as 1e-3.")
    if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < FEWEST_SAMPLES:
        raise InputError(
            f"samples is {samples!r}; give the number of simulated runs, {FEWEST_SAMPLES} or more."
        )
    return None if resolution is None else float(resolution), int(samples), seed_or_drawn(seed)


def _format(dtype: Any, dtypes: Sequence[Any]) -> FloatFormat:
    form = coarsest(d for d in dtypes if d.name in FORMATS) if dtype is None else format_of(dtype)
    if form.name == "float64":
        raise InputError(
            "the claimed gradient is float64: say which precision it was computed in with dtype='bfloat16' (or "
            "'float16', 'float32'), or use bpcheck.check_gradient for float64."
        )
    return form


def _changed(args: tuple[Any, ...], how: Callable[[Any], FloatArray]) -> tuple[Any, ...]:
    """The arguments with every float array in them rounded; the caller's stay as they are."""

    def change(leaf: Any) -> Any:
        leaf = widened(leaf)
        floats = isinstance(leaf, float) or (
            isinstance(leaf, np.ndarray | np.generic) and leaf.dtype.kind == "f"
        )
        return how(leaf) if floats else leaf

    return tuple(tree.restore(a, [change(leaf) for _, leaf in tree.leaves(a)]) for a in args)


def _answer(reference: Callable[..., Tree], args: tuple[Any, ...]) -> Tree:
    """What the reference says, its own errors told as such."""
    try:
        return reference(*_copies(args))
    except Exception as error:
        raise SubjectError(
            f"the reference raised {type(error).__name__}: {error}{where_raised(error)}"
        ) from from_its_own_frame(error)


def _copies(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(tree.copy(a) for a in args)


def _summary(verdict: Verdict, comparisons: Sequence[Comparison], form: FloatFormat) -> str:
    if verdict.ok:
        return f"Every entry lies within what rounding in {form} explains."
    worst = next(c for c in comparisons if c.verdict is verdict)
    if verdict is not Verdict.INCONCLUSIVE:
        return f"{worst.label}: {worst.reason}."
    remedy = (
        f"Compute in a finer precision, pass compute={form.name!r} if sums are kept in {form.name}, or ask for a coarser "
        "resolution."
    )
    return f"{worst.label}: {worst.reason}. {remedy}"


def _report(
    verdict: Verdict, comparisons: Sequence[Comparison], seed: int, summary: str, notes: tuple[str, ...] = ()
) -> Report:
    return Report(
        "claimed gradient",
        verdict,
        tuple(comparisons),
        detection_limit=detection_limit(comparisons),
        warnings=notes,
        examples=1,
        seed=seed,
        summary=summary,
    )
