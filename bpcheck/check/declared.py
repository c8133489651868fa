"""Tensors that the caller says are frozen, or approximate on purpose: not held to the right value, and never hidden."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bpcheck.check.contract import Asked
from bpcheck.errors import InputError
from bpcheck.result import Comparison, SetAside
from bpcheck.tree import FloatArray, rms
from bpcheck.verdict import Verdict

__all__ = [
    "AWAY",
    "EXACT",
    "Declared",
    "declared",
    "merged",
    "mostly_away",
    "set_aside_in_short",
    "spoken_of",
]

MOST_LISTED = 8
"""Paths in one sentence: more are counted."""

AWAY = (
    "points away from the right gradient (by more than 90°): a step of gradient descent with it raises the loss, which no "
    "approximation should do. Look for its sign; if it is meant so, say ignore= instead of approximate="
)
"""Why a tensor is no approximation, however crude one may be."""

CHANCE = 0.5
"""Share of the cases in which even random numbers point away."""

DEVIATIONS = 3.0
"""An approximation may point away in an unlucky case. One that does in all cases, or in more than random numbers do by so
many standard deviations (½/√cases each), is none."""

RIGHT_ANGLE = -1e-6
"""Cosines above it are those of a right angle, or less: rounding apart."""


@dataclass(frozen=True)
class Declared:
    """Which tensors are not held to be exact, by their paths in the report.

    Attributes
    ----------
    ignore : frozenset of str
        Not judged at all.
    approximate : frozenset of str
        Measured; only what no approximation is (absent, of wrong shape, NaN, zero) still fails.
    """

    ignore: frozenset[str] = frozenset()
    approximate: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.ignore or self.approximate)

    def unknown(self, known: Iterable[str]) -> str:
        """What is wrong with the names, given those that exist; empty if nothing."""
        there = list(dict.fromkeys(known))
        for option, paths in (("ignore", self.ignore), ("approximate", self.approximate)):
            missing = sorted(paths - set(there))
            if missing:
                return f"{option}= names {missing[0]!r}, but there is no such tensor. There are: {_listed(there)}."
        return ""

    def without_ignored(self, asked: Asked, names: Mapping[str, str]) -> Asked:
        """An answer without what is not looked at: its numbers, and what is wrong with its form.

        Parameters
        ----------
        asked : Asked
        names : mapping of str to str
            From the path of a tensor to its path in the report.

        Returns
        -------
        Asked
        """
        ignored = {path for path, name in names.items() if name in self.ignore}

        def is_ignored(fault: str) -> bool:
            if fault in ignored | {names[path] for path in ignored}:
                return True
            # a layer for which None came back, all of whose tensors are ignored
            inside = [path for path in names if path.startswith((f"{fault}[", f"{fault}."))]
            return bool(inside) and ignored.issuperset(inside)

        return replace(
            asked,
            gradient={path: leaf for path, leaf in asked.gradient.items() if str(path) not in ignored},
            findings=tuple(finding for finding in asked.findings if not is_ignored(finding.path)),
        )

    def split(
        self,
        comparisons: Sequence[Comparison],
        names: Mapping[str, str] | None = None,
        claims: Mapping[str, FloatArray] | None = None,
        away: Mapping[str, float] | None = None,
    ) -> tuple[tuple[Comparison, ...], tuple[SetAside, ...]]:
        """What still decides the verdict, and what is set aside.

        Parameters
        ----------
        comparisons : sequence of Comparison
        names : mapping of str to str, optional
            From the path of a comparison to the path of its tensor in the report, where they differ.
        claims : mapping of str to array, optional
            The whole claim of a tensor, where a comparison holds only numbers made of it.
        away : mapping of str to float, optional
            By its path in the report, 1 for a tensor that was measured to point away from the right one, 0 for one that
            was measured not to. Those fail. Where nothing is given, the numbers of a comparison say it and fail nothing:
            of many cases one may be unlucky.

        Returns
        -------
        tuple of Comparison
        tuple of SetAside
            Of approximate tensors: those that are ignored never came to be compared.

        Examples
        --------
        >>> off = Comparison("w", Verdict.DISAGREES, "", np.array([2.0]), np.array([1.0]), np.array([0.0]))
        >>> Declared(approximate=frozenset({"w"})).split([off])[1][0].error
        1.0
        """
        kept, aside = [], []
        for comparison in comparisons:
            name = (names or {}).get(comparison.path, comparison.path)
            if name not in self.approximate:
                kept.append(comparison)
                continue
            claim = (claims or {}).get(name, comparison.actual)
            fault = _no_approximation(comparison, claim)
            turned = _away(comparison) if away is None else away.get(name, math.nan)
            if fault:
                reason = f"{comparison.reason}; it is declared approximate, but {fault} is no approximation"
                kept.append(replace(comparison, reason=reason))
            elif away is not None and turned > CHANCE:
                reason = f"it is declared approximate, but {AWAY}"
                kept.append(replace(comparison, verdict=Verdict.DISAGREES, reason=reason))
            else:
                ok = comparison.verdict.ok
                aside.append(SetAside(name, "approximate", _error(comparison), ok, turned))
        return tuple(kept), tuple(aside)


EXACT = Declared()
"""Nothing is declared: every tensor is held to its right value."""


def declared(ignore: Any, approximate: Any) -> Declared:
    """The caller's ``ignore=`` and ``approximate=``, looked at.

    Raises
    ------
    InputError
        If they are no lists of paths, or share one.

    Examples
    --------
    >>> declared(["params[0]"], None).ignore
    frozenset({'params[0]'})
    >>> declared("params[0]", None)
    Traceback (most recent call last):
    bpcheck.errors.InputError: ignore is 'params[0]'; give a list of paths as they stand in a report: ['params[0]'].
    """
    found = Declared(_paths(ignore, "ignore"), _paths(approximate, "approximate"))
    both = sorted(found.ignore & found.approximate)
    if both:
        raise InputError(f"{both[0]!r} stands in ignore= and in approximate=; say one of them.")
    return found


def _paths(given: Any, option: str) -> frozenset[str]:
    if given is None:
        return frozenset()
    if isinstance(given, str):
        raise InputError(
            f"{option} is {given!r}; give a list of paths as they stand in a report: [{given!r}]."
        )
    listed = list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(path, str) for path in listed):
        raise InputError(
            f"{option} is {given!r:.80}; give a list of paths as they stand in a report, "
            "such as [\"params[0]['weight']\"]."
        )
    return frozenset(listed)


def _no_approximation(comparison: Comparison, claim: FloatArray | None) -> str:
    """What a tensor is, if even an approximation is not that; empty otherwise."""
    if comparison.verdict is Verdict.WRONG_STRUCTURE:
        return "what is absent or has another shape"
    if comparison.verdict is Verdict.NONFINITE:
        return "what is not finite"
    if comparison.verdict is Verdict.DISAGREES and claim is not None and not np.any(claim):
        return "zero"
    return ""


def _error(comparison: Comparison) -> float:
    """The largest difference, relative to the size of the tensor."""
    if comparison.actual is None or comparison.expected is None:
        return float("nan")
    size = comparison.reference_size if comparison.reference_size > 0 else 1.0
    return float(np.max(abs(comparison.actual - comparison.expected), initial=0.0)) / size


def _away(comparison: Comparison) -> float:
    """1 if a tensor points away from the right one, 0 if not, NaN if one of them is zero or not known."""
    if comparison.actual is None or comparison.expected is None:
        return math.nan
    actual, expected = (np.asarray(a, dtype=float).ravel() for a in (comparison.actual, comparison.expected))
    sizes = rms(actual), rms(expected)
    if not all(0.0 < size < math.inf for size in sizes):
        return math.nan
    cosine = float(np.mean(actual / sizes[0] * (expected / sizes[1])))
    return float(cosine < RIGHT_ANGLE)


def mostly_away(one: SetAside, cases: int) -> bool:
    """Whether a tensor points away from the right one in more cases than chance explains.

    Examples
    --------
    >>> [mostly_away(SetAside("w", "approximate", 1.0, away=away), cases=100) for away in (0.6, 0.7)]
    [False, True]
    """
    return one.away == 1.0 or one.away > CHANCE + DEVIATIONS * 0.5 / math.sqrt(cases)


def merged(seen: Sequence[SetAside]) -> tuple[SetAside, ...]:
    """One for each tensor of many cases, with the largest error.

    Examples
    --------
    >>> merged([SetAside("w", "approximate", 0.1, False, 1.0), SetAside("w", "approximate", 0.0, True, 0.0)])
    (SetAside(path='w', kind='approximate', error=0.1, exact=False, away=0.5),)
    """
    found: dict[str, SetAside] = {}
    turned: dict[str, list[float]] = {}
    for one in seen:
        before = found.get(one.path, one)
        worse = (
            one if not one.error <= before.error else before
        )  # an error that is not known counts as the worst
        found[one.path] = replace(worse, exact=one.exact and before.exact)
        turned.setdefault(one.path, [])
        if math.isfinite(one.away):
            turned[one.path].append(one.away)
    return tuple(
        replace(one, away=float(np.mean(turned[path])) if turned[path] else math.nan)
        for path, one in found.items()
    )


def set_aside_in_short(aside: Sequence[SetAside]) -> str:
    """Which tensors an AGREES says nothing about, for its first sentence; empty if there is none.

    Examples
    --------
    >>> set_aside_in_short([SetAside("w", "ignored"), SetAside("v", "approximate", 0.25, False)])
    ' Not held to it, as declared: w (ignored), v (approximate, off by up to 0.25 times its root mean square).'
    """
    told = [
        f"{one.path} (ignored)" if one.kind == "ignored" else f"{one.path} (approximate{_by(one)})"
        for one in aside
    ]
    return f" Not held to it, as declared: {_listed(told)}." if told else ""


def _by(one: SetAside) -> str:
    if one.exact or not np.isfinite(one.error):
        return ""
    return f", off by up to {one.error:.2g} times its root mean square"


def spoken_of(
    aside: Sequence[SetAside], comparisons: Sequence[Comparison], *, cases: int = 1
) -> tuple[str, ...]:
    """The sentences of a report about what was not held to be exact, and about what was."""
    said = []
    ignored = [one.path for one in aside if one.kind == "ignored"]
    if ignored:
        said.append(f"not judged, because ignore= says so: {_listed(ignored)}")
    said += [
        f"approximate, as declared: {one.path} is {_off(one, cases)}"
        for one in aside
        if one.kind == "approximate"
    ]
    exact = [c.path for c in comparisons if c.verdict.ok and c.path != "loss"]
    if aside and exact:
        said.append(f"exact, within their bounds: {_listed(exact)}")
    return tuple(said)


def _off(one: SetAside, cases: int) -> str:
    if one.exact:
        return "within its bounds, so that it need not be declared"
    if not np.isfinite(one.error):
        return "off by an amount that could not be measured"
    where = f" in {cases} cases" if cases > 1 else ""
    said = f"off by up to {one.error:.1e} of the tensor's root mean square{where}"
    if cases > 1 and one.away > 0.0:
        said += f"; in {one.away:.0%} of them it points away from the right gradient"
    return said


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - MOST_LISTED} more" if len(paths) > MOST_LISTED else ""
    return ", ".join(paths[:MOST_LISTED]) + more
