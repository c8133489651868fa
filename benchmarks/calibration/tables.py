"""The summary as Markdown: calibration.md for bpcheck, peers.md for the other tools."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.calibration.families import FIRST_REPORTING_SEED
from benchmarks.calibration.summary import upper_bound
from benchmarks.calibration.verdicts import SIZES

__all__ = ["calibration", "peers"]

Record = dict[str, Any]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    aligned = ["---", *["---:"] * (len(head) - 1)]
    lines = [head, aligned, *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _share(part: float, digits: int = 0) -> str:
    """Percent, never rounded to 0 or 100 unless it is that."""
    text = f"{100 * part:.{digits}f}"
    if (float(text) == 100 and part < 1) or (float(text) == 0 and part > 0):
        text = f"{100 * part:.{digits + 2}f}"
    return f"{text} %"


def _bound(misses: int, of: int) -> str:
    return f"{100 * upper_bound(misses, of):.2g} %" if of else "–"


def _title(record: Record) -> str:
    name = str(record["family"]).replace("|", "\\|")
    return f"{name}{' ᴴ' if record['split'] == 'held out' else ''}, {record['precision']}"


def _made(header: Record) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in header["versions"].items())
    text = (
        f"Made by `{header['command']}`: bpcheck {header['bpcheck']} (sources {header['fingerprint']}), "
        f"seed {header['seed']}, {versions}. Every problem can be made again from its family, precision and number "
        "(`--replay`). Times are not compared here: machines differ, evaluations do not.\n"
    )
    if header["seed"] < FIRST_REPORTING_SEED:
        text += f"\n**Development run: seeds below {FIRST_REPORTING_SEED} were seen while constants were chosen.**\n"
    return text


# --- bpcheck ----------------------------------------------------------------------------------------------


def _groups(records: list[Record]) -> list[tuple[str, list[Record]]]:
    def smooth(record: Record, precision: str, split: str) -> bool:
        return bool(record["smooth"]) and record["precision"] == precision and record["split"] == split

    named = [
        (f"smooth, {precision}, {split}", [r for r in records if smooth(r, precision, split)])
        for precision in ("float64", "float32")
        for split in ("tuning", "held out")
    ]
    return [*named, ("kinks, steps, flat, heavy tails, bf16", [r for r in records if not r["smooth"]])]


def _coverage_totals(records: list[Record]) -> str:
    schemes = list(dict.fromkeys(name for record in records for name in record["schemes"]))
    rows = []
    for title, group in _groups(records):
        for scheme in schemes:
            cells = [record["schemes"][scheme] for record in group if scheme in record["schemes"]]
            asked, answers = sum(c["asked"] for c in cells), sum(c["answers"] for c in cells)
            misses = sum(c["misses"] for c in cells)
            if asked:
                rows.append(
                    [title, scheme, f"{asked}", f"{asked - answers}", f"{misses}", _bound(misses, answers)]
                )
    return _table(
        ["problems", "scheme", "estimates", "no bar", "true value outside", "share outside, at most (95 %)"],
        rows,
    )


def _coverage(records: list[Record]) -> str:
    schemes = list(dict.fromkeys(name for record in records for name in record["schemes"]))
    head = ["family, precision", "estimates"]
    for scheme in schemes:
        head += [f"{scheme}: outside", "bar", "calls"]
    rows = []
    for record in records:
        cells = [_title(record), str(record["problems"])]
        for scheme in schemes:
            entry = record["schemes"].get(scheme)
            if entry is None:
                cells += ["", "", ""]
                continue
            silent = entry["asked"] - entry["answers"]
            note = f" (no bar: {silent})" if silent else ""
            cells += [f"{entry['misses']}{note}", _number(entry["bar"]), f"{entry['evaluations']:.0f}"]
        rows.append(cells)
    return _table(head, rows)


def _verdict_totals(checks: list[Record]) -> str:
    rows = []
    everything = ("all", checks)
    for title, group in [*_groups(checks), everything]:
        count = sum(r["checks"] for r in group)
        if count:
            alarms = sum(r["false_alarms"] for r in group)
            others = sum(r["violations"] for r in group) - alarms
            silent = sum(r["inconclusive"] * r["checks"] for r in group) / count
            rows.append([title, f"{count}", f"{alarms}", _bound(alarms, count), f"{others}", _share(silent)])
    return _table(
        [
            "problems",
            "right gradients",
            "called wrong",
            "share, at most (95 %)",
            "other verdicts that do not fit",
            "INCONCLUSIVE",
        ],
        rows,
    )


def _verdicts(checks: list[Record], powers: list[Record]) -> str:
    by_who = {(r["family"], r["precision"]): r for r in powers if r["problems"]}
    head = [
        "family, precision",
        "right gradients",
        "called wrong",
        "other misfits",
        "INCONCLUSIVE",
        "at a kink",
    ]
    head += ["calls", "limit stated", "found with p = 0.99", *(f"found at {_number(s)}" for s in SIZES)]
    head += ["wrong, passed above limit"]
    rows = []
    for record in checks:
        verdicts = record["verdicts"]
        cells = [
            _title(record),
            str(record["checks"]),
            str(record["false_alarms"]),
            str(record["violations"] - record["false_alarms"]),
            _share(record["inconclusive"]),
            _share(verdicts.get("AGREES_AT_KINK", 0) / record["checks"]),
            f"{record['evaluations']:.0f}",
            _number(record["limit"]),
        ]
        power = by_who.get((record["family"], record["precision"]))
        if power is None:
            cells += [""] * (2 + len(SIZES))
        else:
            cells += [_number(power["smallest"]), *(_share(power["found"][str(s)]) for s in SIZES)]
            cells += [f"{power['problems_violated']} of {power['problems']}"]
        rows.append(cells)
    return _table(head, rows)


NOTES = """## Of the held-out families

What was found on them in development runs, and mended:

- *heavy tails*: one measurement in some thousands saw a kink; kinks are measured twice now. No constant was chosen.
- *table*, *max-pool tie*, *step at θ*: how far a loss that stands still is followed (`FAR_OUTWARD`), when a claim may have
  chosen a side of several kinks (`AROUND`, `UNSEEN`) and what is a part in a coarser format (`SEVERAL`) were chosen
  with failures on them in sight. They count as tuning families since.
"""


def calibration(header: Record, summary: dict[str, list[Record]]) -> str:
    """The tables of bpcheck."""
    estimates, checks = summary.get("estimate", []), summary.get("check", [])
    parts = [
        "# Calibration\n",
        _made(header),
        "ᴴ marks held-out families: no constant was chosen by looking at them (the rule stands in "
        "`benchmarks/calibration/families.py`). What each family is stands at the end.\n",
    ]
    if estimates:
        parts += [
            "## Does the bar hold?\n",
            "A random direction on each problem; its exact derivative is known to 19 digits. *Outside*: not within "
            "value ± error. *No bar*: the scheme said that it knows nothing (error infinite). *Bar*: the median, relative "
            "to √Σ(gᵢvᵢ)². *Calls*: evaluations of the loss, median; `derivative` measures the noise of the loss each time, "
            "the schemes marked *noise known* are given it, as within a check. `line_integral` asks the right gradient too "
            "(calls of both are counted): *outside* means that its residual was not 0 within its error.\n",
            _coverage_totals(estimates),
            _coverage(estimates),
        ]
    if checks:
        parts += [
            "## Is right called wrong, and how small an error is found?\n",
            "`check_gradient` with default options. *Called wrong*: DISAGREES (or worse) on a right gradient, as its "
            "author would compute it in that precision. *Other misfits*: a verdict that the problem does not allow, such as "
            "a kink claimed where there is none. *Limit*: the median of the stated detection limits. *Found*: one entry (in "
            "units of its tensor's root mean square) or a whole tensor is off by that much, and the verdict is DISAGREES; "
            "the rest is INCONCLUSIVE or lies below the stated limit, except for the last column: wrong gradients that "
            "passed although the error is above the limit stated in the same report.\n",
            _verdict_totals(checks),
            _verdicts(checks, summary.get("power", [])),
            _examples(checks, summary.get("power", [])),
        ]
    parts += [NOTES]
    parts += ["## Families\n", _families([*estimates, *checks])]
    return "\n".join(parts)


def _examples(checks: list[Record], powers: list[Record]) -> str:
    lines = [
        f"- `--replay 'check/{r['family']}/{r['precision']}/{index}'`: {verdict} on a right gradient"
        for r in checks
        for index, verdict in r["examples"]
    ]
    lines += [
        f"- `--replay 'power/{r['family']}/{r['precision']}/{index}'`: an error of {_number(size)} ({kind}, {path}) "
        f"passed as {verdict}; limit {_number(limit)}"
        for r in powers
        if r["problems"]
        for index, size, limit, kind, path, verdict in r["examples"]
    ]
    return ("What did not fit:\n\n" + "\n".join(lines) + "\n") if lines else "Nothing did not fit.\n"


def _families(records: list[Record]) -> str:
    rows = {
        r["family"]: [r["family"].replace("|", "\\|"), r["split"], r["meaning"].replace("|", "\\|")]
        for r in records
    }
    return _table(["family", "split", "what it is"], rows.values()).replace("---:", "---")


# --- peers --------------------------------------------------------------------------------------------------


def peers(header: Record, summary: dict[str, list[Record]]) -> str:
    """The tables of the other tools, beside bpcheck's."""
    estimates, theirs = summary.get("estimate", []), summary.get("peer estimate", [])
    powers, checks = summary.get("power", []), summary.get("peer check", [])
    parts = ["# Other tools on the same problems\n", _made(header)]
    if theirs:
        parts += [
            "## Error estimates\n",
            "Share of true values outside value ± the tool's own error estimate, and the median of that estimate, relative. "
            "Default settings, on the line φ(t) = f(θ + t·v) scaled so that t = 1 is a relative step of about one. "
            "None of the others promises that its estimate is a bound; this is what it is worth as one. Cells: outside / "
            "bar / calls. *no bar*: share of infinite or missing answers, where above 0.\n",
            _estimators(estimates, theirs),
        ]
    if checks:
        parts += [
            "## Verdicts\n",
            "First cell: share of right gradients rejected. Then the share of problems told apart: the right gradient is "
            "not rejected *and* the same one with an error of that relative size is. A tool that rejects everything tells "
            "nothing apart. Default settings; `scipy.optimize.check_grad` returns a number, which we hold against 1e-6; "
            "`approx_fprime` is compared by `numpy.allclose` with its defaults. bpcheck's third verdict, INCONCLUSIVE, "
            "counts as not rejected and not told apart. The loss and gradient are NumPy functions, wrapped as each tool's "
            "own kind of function with a hand-written derivative.\n",
            _checkers(summary.get("check", []), powers, checks),
        ]
    return "\n".join(parts)


def _cell(entry: Record) -> str:
    if not entry["answers"]:
        return "no bar"
    silent = 1 - entry["answers"] / entry["asked"]
    note = f", no bar {_share(silent)}" if silent else ""
    outside = _share(entry["misses"] / entry["answers"])
    return f"{outside} / {_number(entry['bar'])} / {entry['evaluations']:.0f}{note}"


def _estimators(ours: list[Record], theirs: list[Record]) -> str:
    by_who = {(r["family"], r["precision"]): r for r in ours}
    names = list(dict.fromkeys(name for record in theirs for name in record["schemes"]))
    head = ["family, precision", "problems", *(["bpcheck.derivative"] if ours else []), *names]
    rows = []
    for record in theirs:
        cells = [_title(record), str(record["problems"])]
        own = by_who.get((record["family"], record["precision"]))
        if ours:
            cells.append(_cell(own["schemes"]["derivative"]) if own else "")
        rows.append(cells + [_cell(record["schemes"][name]) for name in names])
    return _table(head, rows)


def _checkers(checks: list[Record], powers: list[Record], theirs: list[Record]) -> str:
    own_checks = {(r["family"], r["precision"]): r for r in checks}
    own_power = {(r["family"], r["precision"]): r["found"] for r in powers if r["problems"]}
    names = list(dict.fromkeys(name for record in theirs for name in record["checkers"]))
    head = ["family, precision", "problems", *(["bpcheck"] if checks else []), *names]
    rows = []
    for record in theirs:
        who = record["family"], record["precision"]
        own = [_own_cell(own_checks.get(who), own_power.get(who, {}))] if checks else []
        cells = [_peer_cell(record["checkers"][name]) for name in names]
        rows.append([_title(record), str(record["problems"]), *own, *cells])
    caption = f"Each cell: right rejected; told apart at {', '.join(_number(s) for s in SIZES)}.\n\n"
    return caption + _table(head, rows)


def _own_cell(check: Record | None, found: dict[str, float]) -> str:
    return "" if check is None else _verdict_cell(check["false_alarms"] / check["checks"], found)


def _peer_cell(entry: Record) -> str:
    if not entry["ran"]:
        return "raises " + ", ".join(entry["raised"])
    note = f" (raised {sum(entry['raised'].values())})" if entry["raised"] else ""
    return _verdict_cell(entry["false_alarms"] / entry["ran"], entry["told_apart"]) + note


def _verdict_cell(rejected: float, told: dict[str, float]) -> str:
    shares = " ".join(f"{100 * told[str(size)]:.0f}" for size in SIZES) if told else "–"
    return f"{_share(rejected)}; {shares}"
