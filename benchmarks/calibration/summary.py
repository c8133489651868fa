"""Rows of single problems summed up to one record for each family and precision."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any

import numpy as np
from scipy.special import betaincinv

from benchmarks.calibration.families import FAMILIES, find
from benchmarks.calibration.problem import Family
from benchmarks.calibration.verdicts import SIZES

__all__ = ["MOST_EXAMPLES", "summarize", "upper_bound"]

MOST_EXAMPLES = 20
"""Violations kept by name for each family: each can be looked at with --replay."""

FOUND_WITH = 0.99
"""The smallest error found is stated for this probability."""

Groups = dict[tuple[str, str], list[tuple[int, Any]]]


def upper_bound(misses: int, of: int, confidence: float = 0.95) -> float:
    """Clopper and Pearson's one-sided upper bound on a share; 3/n where nothing was seen."""
    return 1.0 if of == misses else float(betaincinv(misses + 1, of - misses, confidence))


def summarize(rows: dict[str, list[Any]]) -> dict[str, list[dict[str, Any]]]:
    """For each kind of measurement a list of records, in the order of the families."""
    by_kind: dict[str, Groups] = defaultdict(lambda: defaultdict(list))
    for key, found in rows.items():
        # family names may hold anything but a slash
        kind, family, precision, span = key.split("/")
        start = int(span.split("-")[0])
        by_kind[kind][family, precision] += [(start + k, row) for k, row in enumerate(found)]
    order = {family.name: number for number, family in enumerate(FAMILIES)}
    summed = {}
    for kind, groups in by_kind.items():
        summary = _SUMMARIES[kind]
        summed[kind] = [
            {**_who(find(name), precision), **summary(sorted(group, key=lambda pair: pair[0]))}
            for (name, precision), group in sorted(
                groups.items(),
                key=lambda item: (order[item[0][0]], find(item[0][0]).precisions.index(item[0][1])),
            )
        ]
    return summed


def _who(family: Family, precision: str) -> dict[str, Any]:
    return {
        "family": family.name,
        "precision": precision,
        "split": "held out" if family.held_out else "tuning",
        "smooth": family.smooth and precision != "bfloat16",
        "meaning": family.meaning,
    }


def _estimates(group: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    schemes: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for index, row in group:
        for name, entry in row.items():
            schemes[name].append((index, entry))
    return {"problems": len(group), "schemes": {name: _scheme(entries) for name, entries in schemes.items()}}


def _scheme(entries: list[tuple[int, Any]]) -> dict[str, Any]:
    answers = [(index, entry) for index, entry in entries if entry[0] is not None]
    missed = [index for index, entry in answers if not entry[0]]
    bars = [entry[1] for _, entry in entries]
    return {
        "asked": len(entries),
        "answers": len(answers),
        "misses": len(missed),
        "missed": missed[:MOST_EXAMPLES],
        "bar": _finite(float(np.median(bars))),
        "evaluations": float(np.median([entry[2] for _, entry in entries])),
        "regimes": dict(Counter(entry[3] for _, entry in entries)),
    }


def _checks(group: list[tuple[int, list[Any]]]) -> dict[str, Any]:
    verdicts = Counter(row[0] for _, row in group)
    limits = [row[2] for _, row in group if row[2] is not None]
    return {
        "checks": len(group),
        "verdicts": dict(verdicts),
        "violations": sum(not row[1] for _, row in group),
        "false_alarms": verdicts["DISAGREES"] + verdicts["NONFINITE"] + verdicts["WRONG_STRUCTURE"],
        "crashes": sum(count for verdict, count in verdicts.items() if ":" in verdict),
        "examples": [[index, row[0]] for index, row in group if not row[1]][:MOST_EXAMPLES],
        "inconclusive": verdicts["INCONCLUSIVE"] / len(group),
        "limit": _finite(float(np.median(limits))) if limits else None,
        "evaluations": float(np.median([row[3] for _, row in group])),
    }


def _power(group: list[tuple[int, dict[str, Any] | None]]) -> dict[str, Any]:
    usable = [(index, row) for index, row in group if row is not None]
    if not usable:
        return {"problems": 0}
    thresholds = sorted(math.inf if row["smallest"] is None else row["smallest"] for _, row in usable)
    at = math.ceil(FOUND_WITH * len(thresholds)) - 1
    return {
        "problems": len(usable),
        "found": _by_size([row["found"] for _, row in usable]),
        "passed": _by_size([row["passed"] for _, row in usable]),
        "smallest": _finite(thresholds[at]),
        "thresholds": [_finite(value) for value in thresholds],
        "violations": sum(len(row["violations"]) for _, row in usable),
        "problems_violated": sum(bool(row["violations"]) for _, row in usable),
        "examples": [[index, *row["violations"][0]] for index, row in usable if row["violations"]][
            :MOST_EXAMPLES
        ],
    }


def _peer_checks(group: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    checkers: dict[str, list[Any]] = defaultdict(list)
    for _, row in group:
        for name, entry in row.items():
            checkers[name].append(entry)
    return {
        "problems": len(group),
        "checkers": {name: _checker(entries) for name, entries in checkers.items()},
    }


def _checker(entries: list[Any]) -> dict[str, Any]:
    ran = [entry for entry in entries if not isinstance(entry[0], str)]
    raised = Counter(entry[0].split(":")[0] for entry in entries if isinstance(entry[0], str))
    if not ran:
        return {"ran": 0, "raised": dict(raised)}
    planted = [(entry[0] == 1, np.equal(entry[1], 1)) for entry in ran if entry[1] is not None]
    return {
        "ran": len(ran),
        "raised": dict(raised),
        "false_alarms": sum(1 - entry[0] for entry in ran),
        "told_apart": _by_size([right & hits for right, hits in planted]),
        "rejected": _by_size([hits for _, hits in planted]),
    }


def _by_size(rows: list[Any]) -> dict[str, float]:
    """The mean over rows, for each size of a planted error."""
    return dict(zip(map(str, SIZES), np.mean(rows, axis=0), strict=True)) if rows else {}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


_SUMMARIES: dict[str, Any] = {
    "estimate": _estimates,
    "check": _checks,
    "power": _power,
    "peer estimate": _estimates,
    "peer check": _peer_checks,
}
