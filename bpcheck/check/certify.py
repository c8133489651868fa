"""certify(): every entry of a gradient proved inside its bound, or proved outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.architecture import Architecture, book_name
from bpcheck.case import Case
from bpcheck.certified import penalty
from bpcheck.certified.forward import confirm as confirm_entries
from bpcheck.certified.proof import MOST_UNITS, Proof, allowance, near_kinks, prove, sides
from bpcheck.certified.reverse import Unit
from bpcheck.check.agreement import RESOLUTION, detection_limit, judge
from bpcheck.check.structure import Matched, match
from bpcheck.errors import InputError
from bpcheck.result import Comparison, Report
from bpcheck.tree import FloatArray, Path, Tree, rms
from bpcheck.verdict import Verdict

__all__ = ["certify"]


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
    radius of the same computation in balls of the gradient's own precision (53 bits for float64, 24 for
    float32), which grows where the entry is badly conditioned, times a measured factor of 4.

    Parameters
    ----------
    network : Architecture
        From :func:`bpcheck.mlp`; or an object that has one as ``architecture``, as
        ``bpcheck.reference.build`` makes.
    params : list
        For dense networks ``[{"weight": (out, in), "bias": (out,)}, …]``.
    x : array of shape (batch, in)
    y : array of shape (batch, out)
    gradient : list
        What is to be certified, nested and shaped as ``params``; float64, float32 or any other float.
    bound : float or list, optional
        The largest distance allowed from the exact derivative, absolute: one number, or arrays nested and
        shaped as ``params``.
    resolution : float, optional
        Relative error (of a tensor's root mean square) that must be visible for AGREES; 1e-3.
    confirm : bool or sequence of (path, index)
        True holds the enclosure itself, entry by entry, against a second route that knows no derivative of
        an activation (:func:`bpcheck.certified.confirm`; a forward pass an entry); or only the entries
        named, such as ``[("params[0]['weight']", (2, 1))]``.

    Returns
    -------
    Report
        One comparison a tensor. AGREES: every entry is proved inside, and the bound is narrow enough to mean
        it. DISAGREES: an entry is proved outside. AGREES_AT_KINK: some entry depends on a unit at its kink
        (or on a weight of 0 under an l1 penalty) and lies between its one-sided derivatives. The summary has
        the errors in units in the last place too; they decide nothing, for a correct gradient may be off by
        hundreds of them where terms cancel.

    Raises
    ------
    InputError
        If an argument cannot be used as given, or python-flint is missing
        (``pip install 'bpcheck[certify]'``).

    Notes
    -----
    The 23,860 entries of a 784-30-10 network take 0.1 s, with a batch of 32 0.25 s; an entry of typical size (as
    large as the root mean square of its tensor) that is changed by a relative 1e-10 of itself is refuted there,
    and so is one changed by 1e-11 (``benchmarks/certified_bound.py``). A badly conditioned float32 gradient may
    be INCONCLUSIVE: 24 bits then do not resolve 1e-3. Precision is global in python-flint: it is put back, but a thread that
    computes with flint meanwhile sees ours.

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
    '1 of 1 entries are proved outside their bound, with 128 bits'
    """
    case = Case(_architecture(network), params, x, y)
    wanted = _resolution(resolution)
    given = None if bound is None else _bounds(bound, case)
    matched = match(gradient, case.params)
    check = _Check(case, matched, wanted, given)
    comparisons = [*matched.findings, *check.compare()]
    verdict = Verdict.worst(comparison.verdict for comparison in comparisons)
    summary = check.summary()
    if confirm is not False and confirm is not None:
        contradiction, sentence = _confirmed(case, confirm)
        summary = f"{summary} {sentence}".strip()
        verdict = Verdict.INCONCLUSIVE if contradiction else verdict
    return Report(
        "gradient",
        verdict,
        tuple(comparisons),
        detection_limit=detection_limit(comparisons),
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


def _resolution(value: Any) -> float:
    if value is None:
        return RESOLUTION
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InputError(f"resolution is {value!r}; give a positive number, such as {RESOLUTION}.")
    return float(value)


def _bounds(bound: Any, case: Case) -> dict[Path, FloatArray]:
    """The caller's bounds, one array a tensor."""
    leaves = dict(tree.leaves(case.params))
    if isinstance(bound, int | float | np.number) and not isinstance(bound, bool):
        found = {path: np.full(leaf.shape, float(bound)) for path, leaf in leaves.items()}
    else:
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
    done = confirm_entries(case, None if confirm is True else confirm)
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

    def __post_init__(self) -> None:
        self.warnings: list[str] = []
        self.proofs: dict[Path, Proof] = {}
        # Rounding is as coarse as the coarsest tensor: all of them share their δ.
        kinds = [a.dtype for a in self.matched.arrays.values() if a.dtype.kind == "f"]
        self.dtype = max(kinds, key=lambda kind: float(np.finfo(kind).eps), default=np.dtype(np.float64))
        # what is not finite is judged as such; its proof is not looked at
        self.claims = {
            path: np.where(np.isfinite(claim), claim, 0) for path, claim in self.matched.arrays.items()
        }

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
        fallback = max((rms(proof.expected) for proof in self.proofs.values()), default=0.0) or 1.0
        return [
            self._comparison(path, proof, fallback=fallback, hull=hull) for path, proof in self.proofs.items()
        ]

    def _comparison(self, path: Path, proof: Proof, *, fallback: float, hull: bool) -> Comparison:
        claim, bound = self.matched.arrays[path], self.bounds[path]
        finite = np.isfinite(claim)
        proof = replace(proof, inside=proof.inside & finite, outside=proof.outside & finite)
        found = judge(
            path,
            claim,
            proof.expected,
            bound,
            kink=proof.kink,
            resolution=self.resolution,
            fallback=fallback,
            name=book_name(str(path)),
        )
        size, bits = proof.inside.size, f"with {proof.bits} bits"
        if found.verdict is Verdict.NONFINITE:
            return found
        if proof.outside.any():
            count, worst = int(proof.outside.sum()), _worst(proof, bound)
            reason = f"{count:,} of {size:,} entries are proved outside their bound, {bits}"
            return replace(found, verdict=Verdict.DISAGREES, reason=reason, worst_index=worst)
        if hull:
            reason = "too many units lie at their kinks for the intervals between one-sided derivatives"
            return replace(found, verdict=Verdict.INCONCLUSIVE, reason=reason)
        if not np.isfinite(proof.expected).all():
            reason = "the right value is beyond the range of float64"
            return replace(found, verdict=Verdict.INCONCLUSIVE, reason=reason)
        if not np.isfinite(bound).all():
            return replace(
                found,
                verdict=Verdict.INCONCLUSIVE,
                reason=f"rounding in {self.dtype} may do anything here: balls of that precision are infinite",
            )
        if not proof.inside.all():
            count = int((~proof.inside).sum())
            reason = (
                f"{count:,} of {size:,} entries are neither proved inside their bound nor outside, {bits}"
            )
            return replace(found, verdict=Verdict.INCONCLUSIVE, reason=reason)
        # judge() has only rounded numbers for the difference: the proof replaces that, and nothing else
        if not found.detection_limit <= self.resolution:
            limit = f"{found.detection_limit:.1e}"
            reason = f"all entries are inside, but only relative errors above {limit} are visible"
            return replace(
                found,
                verdict=Verdict.INCONCLUSIVE,
                reason=f"{reason}, {self.resolution:.1e} is asked for",
            )
        if proof.kink.any():
            count = int((proof.kink > 0).sum())
            reason = f"{count:,} of {size:,} entries depend on a kink; all are proved inside their intervals, {bits}"
            return replace(found, verdict=Verdict.AGREES_AT_KINK, reason=reason)
        reason = f"all {size:,} entries are proved inside their bounds, {bits}"
        return replace(found, verdict=Verdict.AGREES, reason=reason)

    def summary(self) -> str:
        """How many entries are proved, and how far off they are in units in the last place."""
        if not self.proofs:
            return ""
        proofs = self.proofs.values()
        total = sum(proof.inside.size for proof in proofs)
        inside = sum(int((p.inside & self._finite(path)).sum()) for path, p in self.proofs.items())
        outside = sum(int((p.outside | ~self._finite(path)).sum()) for path, p in self.proofs.items())
        bits = max(proof.bits for proof in proofs)
        text = f"{inside:,} of {total:,} entries are proved inside their bounds, {outside:,} outside, with {bits} bits."
        ulps = np.concatenate([self._ulps(path, proof) for path, proof in self.proofs.items()])
        if ulps.size:
            text += (
                f" In units in the last place ({self.dtype}) they are off by {np.median(ulps):.2g} in the median and "
                f"{np.max(ulps):.2g} at worst."
            )
        return text

    def _finite(self, path: Path) -> Any:
        return np.isfinite(self.matched.arrays[path])

    def _ulps(self, path: Path, proof: Proof) -> FloatArray:
        """Errors in ulps of the right value; without a kink, and where neither number is lost in underflow."""
        claim = self.matched.arrays[path]
        kind = claim.dtype if claim.dtype.kind == "f" else self.dtype
        with np.errstate(all="ignore"):
            right = abs(proof.expected).astype(kind)
            counted = (
                (right >= np.finfo(kind).tiny) & np.isfinite(right) & np.isfinite(claim) & (proof.kink == 0)
            )
            ulps = proof.error[counted] / np.spacing(right[counted]).astype(float)
        return np.asarray(ulps, dtype=float)


def _worst(proof: Proof, bound: FloatArray) -> tuple[int, ...]:
    """The entry proved outside that is farthest out, in units of what was allowed."""
    with np.errstate(all="ignore"):
        allowed = np.maximum(bound + proof.kink, np.finfo(float).tiny)
        ratio = np.where(proof.outside, np.nan_to_num(proof.error / allowed, nan=0.0), -1.0)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(ratio)), ratio.shape))
