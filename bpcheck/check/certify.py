"""certify(): every entry of a gradient proved inside its bound, or proved outside."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.certified import penalty
from bpcheck.certified.forward import confirm as confirm_entries
from bpcheck.certified.proof import MOST_UNITS, Proof, allowance, near_kinks, prove, sides
from bpcheck.certified.units import Unit
from bpcheck.certified.working import bits_of, rounded_sum
from bpcheck.check.agreement import RESOLUTION, detection_limit, entries, judge
from bpcheck.check.structure import Matched, match
from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.names import book_name
from bpcheck.result import Comparison, Report
from bpcheck.tree import FloatArray, Path, Tree, rms
from bpcheck.verdict import Verdict

__all__ = ["certify"]

# Rounding of a coarser precision is looked for in these: what float32 code leaves in float64, and float64 code
# in long double. Half precision is not among them, for 11 bits would explain errors of 1e-3.
COARSER = (np.dtype(np.float64), np.dtype(np.float32))

# The median relative error of a gradient that was computed in a precision, in its unit roundoffs u. Rounding a
# number once is off by ⅓u in the median, so that less than u/8 is no rounding of that precision. Correct code
# has a few u; 1,024 is 6e-5 in float32, and no error as large as that is explained away.
LEAST_ROUNDING, MOST_ROUNDING = 1 / 8, 1024


def certify(
    network: Architecture | Any,
    params: Tree,
    x: Any,
    y: Any,
    gradient: Tree,
    *,
    bound: Any = None,
    resolution: float | None = None,
    confirm: bool | Sequence[tuple[str, Sequence[int]]] = False,
) -> Report:
    """Prove each entry of a gradient right, or prove it wrong, in ball arithmetic.

    The exact derivative is enclosed at 128 bits, or at as many as it takes, so that of every entry it is
    certain whether it lies within its bound. By default the bound says how far off correct code may be there: the
    radius of the same computation in balls of its own precision (53 bits for float64, 24 for float32), which
    grows where the entry is badly conditioned, times a measured factor of 4. That precision is the gradient's
    dtype; or the coarsest dtype among gradient, params and x, if the gradient does not hold in the first.

    Parameters
    ----------
    network : Architecture
        From :func:`bpcheck.mlp`; or an object that has one as ``architecture``, as
        ``bpcheck.reference.build`` makes.
    params : list
        With the shapes of ``architecture.parameter_shapes``; for dense networks
        ``[{"weight": (out, in), "bias": (out,)}, …]``.
    x : array of shape (batch, *architecture.input_shape)
        (batch, in) for dense networks, (batch, channels, height, width) for images.
    y : array of shape (batch, out)
    gradient : list
        What is to be certified, nested and shaped as ``params``; arrays (or lists) of float64, float32 or any
        other float.
    bound : float or list, optional
        The largest distance allowed from the exact derivative, absolute: one number, or arrays nested and
        shaped as ``params``.
    resolution : float, optional
        Relative error (of a tensor's root mean square) that must be visible for AGREES; 1e-3. A float32
        gradient of a large or deep network may need 1e-2, see below.
    confirm : bool or sequence of (path, index)
        True holds the enclosure itself, entry by entry, against a second route that knows no derivative of
        an activation (:func:`bpcheck.certified.confirm`; a forward pass an entry); or only the entries
        named, such as ``[("params[0]['weight']", (2, 1))]``.

    Returns
    -------
    Report
        One comparison a tensor. AGREES: every entry is proved inside, and the bound is narrow enough to mean
        it. DISAGREES: an entry is proved outside. AGREES_AT_KINK: some entry depends on a unit at its kink
        (or on a weight of 0 under an l1 penalty) and lies between its one-sided derivatives; each entry is judged
        alone, jointly they need not be one subgradient. INCONCLUSIVE: the bound is too wide to mean much, or all
        errors look like the rounding of a coarser precision than the dtypes say. The summary has the errors in
        units in the last place too; they decide nothing, for a correct gradient may be off by hundreds of them
        where terms cancel.

    Raises
    ------
    InputError
        If an argument cannot be used as given, or python-flint is missing
        (``pip install 'bpcheck[certify]'``).

    Notes
    -----
    The 23,860 entries of a 784-30-10 network take 0.2 s, with a batch of 32 0.5 s; an entry of typical size (as
    large as the root mean square of its tensor) that is changed by a relative 1e-10 of itself is refuted there,
    and so is one changed by 1e-11 (``benchmarks/certified_bound.py``).

    In float32 the bounds are a few 1e-4 of a tensor's root mean square for 784-30-10 and a batch of 32. Where more
    numbers are added up, or terms cancel, 24 bits do not resolve the 1e-3 that AGREES asks for, and a correct
    gradient is INCONCLUSIVE: pass ``resolution=1e-2``, or compute it in float64 for the check.

    Precision is global in python-flint: it is put back, but a thread that computes with flint meanwhile sees
    ours.

    Examples
    --------
    >>> import bpcheck
    >>> network = bpcheck.mlp([1, 1])
    >>> params, x, y = [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]]
    >>> right = [{"weight": np.array([[6.0]]), "bias": np.array([2.0])}]
    >>> certify(network, params, x, y, right).verdict
    <Verdict.AGREES>
    >>> wrong = [{"weight": np.array([[6.0 + 1e-12]]), "bias": np.array([2.0])}]
    >>> certify(network, params, x, y, wrong).comparisons[0].reason
    'it is proved outside its bound, with 128 bits'
    """
    with np.errstate(all="ignore"):  # whatever the caller's settings are: what overflows is looked at
        return _certify(_architecture(network), params, x, y, gradient, bound, resolution, confirm)


def _certify(
    network: Architecture,
    params: Any,
    x: Any,
    y: Any,
    gradient: Any,
    bound: Any,
    resolution: Any,
    confirm: Any,
) -> Report:
    _usable(params, x, y)
    case = Case(network, params, x, y)
    wanted = _resolution(resolution)
    given = None if bound is None else _bounds(bound, case)
    matched = match(_as_arrays(gradient, case.params, tree.Path("gradient")), case.params)
    check, found = _judged(case, matched, wanted, given)
    comparisons = [*matched.findings, *found]
    verdict = Verdict.worst(comparison.verdict for comparison in comparisons)
    summary = check.summary()
    if confirm is not None and not (isinstance(confirm, bool | np.bool_) and not confirm):
        contradiction, sentence = _confirmed(case, confirm)
        summary = f"{summary} {sentence}".strip()
        verdict = Verdict.INCONCLUSIVE if contradiction else verdict
    return Report(
        "gradient",
        verdict,
        tuple(comparisons),
        detection_limit=detection_limit(comparisons),
        counterexample=case.if_small if verdict.severity > Verdict.INCONCLUSIVE.severity else None,
        warnings=tuple(check.warnings),
        examples=1,
        summary=summary,
    )


def _architecture(network: Any) -> Architecture:
    found = network if isinstance(network, Architecture) else getattr(network, "architecture", None)
    if not isinstance(found, Architecture):
        raise InputError(
            f"network is {tree.describe(network)}; give a bpcheck.Architecture, such as bpcheck.mlp([4, 5, 3]), or "
            "what bpcheck.reference.build makes of one."
        )
    return found


def _usable(params: Any, x: Any, y: Any) -> None:
    """Refuse what a Case would take in another sense than the caller's, or speak of in other words."""
    for name, given in [("params", params), ("x", x), ("y", y)]:
        for path, leaf in tree.leaves(given, name):
            _refuse_masked(leaf, path)
            if getattr(leaf, "requires_grad", False) and hasattr(leaf, "detach"):
                raise InputError(f"{path} is a tensor that records its gradient; call .detach() on it.")
            if (
                name != "params"
                and isinstance(leaf, np.ndarray | np.floating | float)
                and np.asarray(leaf).dtype.kind == "f"
                and not np.isfinite(leaf).all()
            ):
                array = np.asarray(leaf)
                index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
                place = f" at index {index}" if index else ""
                raise InputError(
                    f"{path} holds {array[index]}{place}; inputs and targets have to be finite numbers."
                )


def _refuse_masked(leaf: Any, path: Path) -> None:
    if isinstance(leaf, np.ma.MaskedArray):
        raise InputError(
            f"{path} is a masked array, and its mask would be lost: pass .filled(value), or .data for what lies "
            "under the mask."
        )


def _as_arrays(given: Any, like: Any, path: Path) -> Any:
    """The same tree, with arrays for nested lists of numbers; what is no array is left for match() to name."""
    _refuse_masked(given, path)
    if isinstance(like, Mapping) and isinstance(given, Mapping):
        return {
            key: _as_arrays(value, like[key], path.item(key)) if key in like else value
            for key, value in given.items()
        }
    if isinstance(like, list) and isinstance(given, list | tuple):
        return [
            _as_arrays(value, like[index], path.item(index)) if index < len(like) else value
            for index, value in enumerate(given)
        ]
    if isinstance(like, np.ndarray) and isinstance(given, list):
        try:
            array = np.array(given)
        except (TypeError, ValueError, OverflowError):  # ragged, or no numbers
            return given
        return array if array.dtype.kind in "fiu" else given
    return given


def _judged(
    case: Case, matched: Matched, resolution: float, given: Mapping[Path, FloatArray] | None
) -> tuple[_Check, list[Comparison]]:
    """The gradient held against the rounding of its precision; of several, the finest in which it holds.

    Its computation is as coarse as the coarsest of its tensors (all share their δ), and may be as coarse as params
    or x. Targets and whole numbers do not count: they are 0 and 1 in any dtype, or were rounded once.
    """
    own = _coarsest(a.dtype for a in matched.arrays.values())
    dtypes = [own]
    if given is None:  # what the caller allows is a distance from the exact derivative, no rounding
        others = [case.x.dtype, *(leaf.dtype for _, leaf in tree.leaves(case.params))]
        dtypes += sorted({dtype for dtype in others if _eps(dtype) > _eps(own)}, key=_eps)
    for dtype in dtypes:
        check = _Check(case, matched, resolution, given, dtype)
        found = check.compare()
        if all(comparison.verdict.ok for comparison in found):
            break
    if check.dtype is not own:
        check.warnings.append(
            f"the gradient is {own.name}, but not all of params and x are: it was judged as computed in "
            f"{check.dtype.name}."
        )
    if given is None and any(comparison.verdict is Verdict.DISAGREES for comparison in found):
        found = _explained(check, found)
    check.warn_of_targets()
    return check, found


def _explained(check: _Check, found: list[Comparison]) -> list[Comparison]:
    """DISAGREES withdrawn where all errors look like the rounding of a coarser precision, and none is larger."""
    for dtype in COARSER:
        if _eps(dtype) > _eps(check.dtype) and check.looks_computed_in(dtype):
            other = _Check(check.case, check.matched, check.resolution, None, dtype)
            other.compare()
            if any((p.outside & other.finite(path)).any() for path, p in other.proofs.items()):
                continue
            check.coarser = dtype
            reason = (
                f"all entries fit {dtype.name} rounding; was part of it computed in {dtype.name}? Give the "
                f"gradient as {dtype.name} to have it judged so"
            )
            return [
                replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason)
                if comparison.verdict is Verdict.DISAGREES
                else comparison
                for comparison in found
            ]
    return found


def _eps(dtype: Any) -> float:
    return float(np.finfo(dtype).eps)


def _coarsest(dtypes: Iterable[Any]) -> Any:
    return max((dtype for dtype in dtypes if dtype.kind == "f"), key=_eps, default=np.dtype(np.float64))


def _resolution(value: Any) -> float:
    if value is None:
        return RESOLUTION
    number = _number(value)
    if not 0 < number < math.inf:
        raise InputError(f"resolution is {value!r}; give a positive number, such as {RESOLUTION}.")
    return number


def _number(value: Any) -> float:
    """A real number in any form as a float; NaN for anything else, and infinity for what is too large."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _bounds(bound: Any, case: Case) -> dict[Path, FloatArray]:
    """The caller's bounds, one array a tensor."""
    leaves = dict(tree.leaves(case.params))
    _refuse_masked(bound, tree.Path("bound"))
    is_number = isinstance(bound, int | float | np.integer | np.floating) and not isinstance(bound, bool)
    if is_number or (isinstance(bound, np.ndarray) and bound.ndim == 0 and not math.isnan(_number(bound))):
        found = {path: np.full(leaf.shape, _number(bound)) for path, leaf in leaves.items()}
    else:
        bound = _as_arrays(bound, case.params, tree.Path("bound"))
        matched = match(bound, case.params)
        if matched.findings:
            first = matched.findings[0]
            reason = first.reason.replace("gradient", "bound")
            raise InputError(
                f"bound does not fit the parameters: for {first.path} {reason}. Give one number, or arrays nested "
                "and shaped as params."
            )
        found = {path: np.asarray(array, dtype=float) for path, array in matched.arrays.items()}
    for path, array in found.items():
        if not (np.isfinite(array) & (array >= 0)).all():
            wrong = array[~(np.isfinite(array) & (array >= 0))].flat[0]
            raise InputError(
                f"the bound for {path} holds {float(wrong)}; a bound is a finite distance, 0 or more: nothing is "
                "proved by an infinite one."
            )
    return found


def _confirmed(case: Case, confirm: Any) -> tuple[bool, str]:
    """Whether the second route contradicts, and what it says."""
    try:
        done = confirm_entries(case, None if isinstance(confirm, bool | np.bool_) else confirm)
    except InputError as error:
        raise InputError(f"confirm: {error}") from None
    if done.contradicted:
        path, index = done.contradicted[0]
        return True, (
            f"The two routes of the enclosure contradict one another at {path}{list(index)}: this is a defect of "
            "bpcheck, please report it."
        )
    tail = f"; {len(done.undecided)} could not be, for want of a derivative" if done.undecided else ""
    return False, f"A second route, forward, confirms {done.confirmed:,} enclosures{tail}."


@dataclass(eq=False)
class _Check:
    """One run of certify()."""

    case: Case
    matched: Matched
    resolution: float
    given: Mapping[Path, FloatArray] | None
    dtype: Any

    def __post_init__(self) -> None:
        self.warnings: list[str] = []
        self.proofs: dict[Path, Proof] = {}
        self.coarser: Any = None
        self.hull = False
        # what is not finite is judged as such; its proof is not looked at
        self.claims = {
            path: np.where(np.isfinite(claim), claim, 0) for path, claim in self.matched.arrays.items()
        }

    def looks_computed_in(self, dtype: Any) -> bool:
        """Whether what is wrong here looks like the rounding of a coarser dtype, and not like a bug.

        That an error is small enough for that rounding is not sufficient: one entry that is off by a relative
        1e-10 would pass for float32. Rounding leaves one of two traces. The wrong entries are numbers of the
        coarser dtype themselves, which one in 2^29 float64 numbers is (a float32 result stored as float64). Or
        it is everywhere, in more than half of the entries that are not 0 and more than one, and of the size
        that rounding has: a bug that changes single entries fails in the first, and one that changes all of
        them by 1e-10 or by 1e-3 in the second.
        """
        u = 2.0 ** -bits_of(dtype)
        wrong, relative, nonzero = [], [], 0
        for path, proof in self.proofs.items():
            claim, where = self.matched.arrays[path], proof.outside & self.finite(path)
            nonzero += int((claim != 0).sum())
            wrong.append(claim[where].astype(np.longdouble))
            relative.append(proof.error[where] / abs(proof.expected[where]))
        values, errors = np.concatenate(wrong), np.concatenate(relative)
        if not values.size:
            return False
        if ((values.astype(dtype) == values) & (values != 0)).all():
            return True
        is_everywhere = values.size > 1 and 2 * values.size > nonzero
        return is_everywhere and bool(LEAST_ROUNDING * u <= np.median(errors) <= MOST_ROUNDING * u)

    def warn_of_targets(self) -> None:
        """A word on targets whose sum is visibly not 1: what the derivative is there, and what was accepted."""
        if self.given is not None or self.case.architecture.loss != "cross_entropy":
            return
        u = 2.0 ** -bits_of(self.dtype)
        worst, example, accepted = 0.0, 0, True
        for number, row in enumerate(self.case.y):
            off = abs(math.fsum(row.tolist()) - 1.0)
            if off > (len(row) + 1) * u and off > worst:
                worst, example, accepted = off, number, off <= rounded_sum(row, u)
        if worst:
            self.warnings.append(
                f"Σy differs from 1 by {worst:.1e} (example {example}), and the derivative is p Σy − y: "
                + ("p − y was accepted for it." if accepted else "p − y is not accepted for it.")
            )

    def compare(self) -> list[Comparison]:
        """One comparison for each tensor that has the right form."""
        if not self.claims:
            return []
        exact = sides(self.case)
        units = list(exact.kinks)
        known: dict[Unit, float] = dict(exact.slopes)
        if not units and not self._weights_at_kink():
            self.bounds = self._allowed(known)
            self.proofs = prove(self.case, self.claims, self.bounds, slopes=known)
            if all(proof.inside.all() for proof in self.proofs.values()):
                return self._judge(hull=False)
        if self.given is None:  # what the caller allows is a distance from the exact derivative, no rounding
            units += [unit for unit in near_kinks(self.case, self.dtype, known) if unit not in units]
        if not units and not self._weights_at_kink():
            return self._judge(hull=False)
        hull = len(units) > MOST_UNITS
        if hull:
            self.warnings.append(
                f"{len(units)} units lie at a kink, or so near that rounding may put them on either side "
                f"(the first is {units[0]}): an entry could be proved wrong, but not right."
            )
        self.bounds = self._allowed({**known, **dict.fromkeys(units)}, units if not hull else ())
        self.proofs = prove(self.case, self.claims, self.bounds, slopes=known, units=units, hull=hull)
        return self._judge(hull=hull)

    def _weights_at_kink(self) -> bool:
        return any(where.any() for where in penalty.at_kink(self.case).values())

    def _allowed(
        self, slopes: Mapping[Unit, float | None], units: Sequence[Unit] = ()
    ) -> Mapping[Path, FloatArray]:
        """The bounds; at a kink the widest over all slopes low and all high, which pass most errors down."""
        if self.given is not None:
            return self.given
        if not units:
            return allowance(self.case, self.dtype, slopes)
        found: dict[Path, FloatArray] = {}
        for side in (0, 1):
            chosen = {**slopes, **{unit: unit.slopes[side] for unit in units}}
            for path, bound in allowance(self.case, self.dtype, chosen).items():
                found[path] = np.maximum(found.get(path, 0.0), bound)
        return found

    def _judge(self, *, hull: bool) -> list[Comparison]:
        self.hull = hull
        fallback = max((rms(proof.expected) for proof in self.proofs.values()), default=0.0) or 1.0
        return [
            self._comparison(path, proof, fallback=fallback, hull=hull) for path, proof in self.proofs.items()
        ]

    def _comparison(self, path: Path, proof: Proof, *, fallback: float, hull: bool) -> Comparison:
        claim, bound = self.matched.arrays[path], self.bounds[path]
        finite = np.isfinite(claim)
        # a long double beyond the range of float64 is a number still
        top = np.finfo(float).max
        shown = np.where(finite, np.clip(claim, -top, top), claim).astype(float)
        proof = replace(proof, inside=proof.inside & finite, outside=proof.outside & finite)
        found = judge(
            path,
            shown,
            proof.expected,
            bound,
            kink=proof.kink,
            resolution=self.resolution,
            fallback=fallback,
            name=book_name(self.case.architecture, path),
        )
        size, bits = proof.inside.size, f"with {proof.bits} bits"
        if found.verdict is Verdict.NONFINITE:
            return found
        if proof.outside.any():
            count, worst = int(proof.outside.sum()), _worst(proof, bound)
            said = entries(count, size, "is proved outside its bound", "are proved outside their bounds")
            reason = f"{said}, {bits}"
            return replace(found, verdict=Verdict.DISAGREES, reason=reason, worst_index=worst)
        if hull:
            reason = "too many units lie at their corners to enclose which slopes are valid there"
            return replace(found, verdict=Verdict.INCONCLUSIVE, reason=reason)
        if not np.isfinite(proof.expected).all():
            reason = "the right value is beyond the range of float64"
            return replace(found, verdict=Verdict.INCONCLUSIVE, reason=reason)
        if not np.isfinite(bound).all():
            return replace(
                found,
                verdict=Verdict.INCONCLUSIVE,
                reason=f"rounding in {self.dtype.name} may do anything here: balls of that precision are infinite",
            )
        if not proof.inside.all():
            count = int((~proof.inside).sum())
            said = entries(
                count,
                size,
                "is proved neither inside its bound nor outside",
                "are proved neither inside their bounds nor outside",
            )
            reason = f"{said}, {bits}"
            return replace(found, verdict=Verdict.INCONCLUSIVE, reason=reason)
        # judge() has only rounded numbers for the difference: the proof replaces that, and nothing else
        if not found.detection_limit <= self.resolution:
            limit = f"{found.detection_limit:.1e}"
            reason = f"nothing lies outside its bound, but only relative errors above {limit} are visible"
            return replace(
                found,
                verdict=Verdict.INCONCLUSIVE,
                reason=f"{reason}, {self.resolution:.1e} is asked for{self._remedy(found.detection_limit)}",
            )
        if proof.kink.any():
            count = int((proof.kink > 0).sum())
            said = entries(count, size, "depends", "depend")
            reason = f"{said} on a corner of the loss (as ReLU at 0); each is proved to be a valid slope there, {bits}"
            return replace(found, verdict=Verdict.AGREES_AT_KINK, reason=reason)
        reason = (
            f"{entries(size, size, 'is proved inside its bound', 'are proved inside their bounds')}, {bits}"
        )
        return replace(found, verdict=Verdict.AGREES, reason=reason)

    def _remedy(self, limit: float) -> str:
        if not 0 < limit < 1:
            return ""
        enough = f": pass resolution={10.0 ** math.ceil(math.log10(limit)):.0e} to be content with that"
        if self.given is not None:
            return f"{enough}, or a narrower bound"
        return enough + (
            ", or a gradient computed in float64" if _eps(self.dtype) > np.finfo(float).eps else ""
        )

    def summary(self) -> str:
        """How many entries are proved, and how far off they are in units in the last place."""
        if not self.proofs:
            return ""
        proofs = self.proofs.values()
        total = sum(proof.inside.size for proof in proofs)
        inside = sum(int((p.inside & self.finite(path)).sum()) for path, p in self.proofs.items())
        outside = sum(int((p.outside | ~self.finite(path)).sum()) for path, p in self.proofs.items())
        bits = max(proof.bits for proof in proofs)
        if self.hull:  # the intervals are too wide to be inside of, and there is no one number to be off from
            return f"{outside:,} of {total:,} entries are proved wrong, with {bits} bits; none could be proved right."
        text = f"{inside:,} of {total:,} entries are proved inside their bounds, {outside:,} outside, with {bits} bits"
        text += f"; none is outside those of {self.coarser.name}." if self.coarser else "."
        ulps: dict[str, list[FloatArray]] = {}
        for path, proof in self.proofs.items():
            kind, found = self._ulps(path, proof)
            ulps.setdefault(kind.name, []).append(found)
        each = [
            f"({name}) they are off by {np.median(all_of):.2g} in the median and {np.max(all_of):.2g} at worst"
            for name, all_of in ((name, np.concatenate(parts)) for name, parts in ulps.items())
            if all_of.size
        ]
        return f"{text} In units in the last place {', '.join(each)}." if each else text

    def finite(self, path: Path) -> Any:
        return np.isfinite(self.matched.arrays[path])

    def _ulps(self, path: Path, proof: Proof) -> tuple[Any, FloatArray]:
        """The dtype, and errors in its ulps of the right value: without a kink, and where nothing underflows."""
        claim = self.matched.arrays[path]
        kind = claim.dtype if claim.dtype.kind == "f" else self.dtype
        with np.errstate(all="ignore"):
            right = abs(proof.expected).astype(kind)
            counted = (
                (right >= np.finfo(kind).tiny) & np.isfinite(right) & np.isfinite(claim) & (proof.kink == 0)
            )
            ulps = proof.error[counted] / np.spacing(right[counted]).astype(float)
        return kind, np.asarray(ulps, dtype=float)


def _worst(proof: Proof, bound: FloatArray) -> tuple[int, ...]:
    """The entry proved outside that is farthest out, in units of what was allowed."""
    with np.errstate(all="ignore"):
        allowed = np.maximum(bound + proof.kink, np.finfo(float).tiny)
        ratio = np.where(proof.outside, np.nan_to_num(proof.error / allowed, nan=0.0), -1.0)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(ratio)), ratio.shape))
