"""Run the calibration and write its tables.

python -m benchmarks.calibration                  everything: some two hours on two cores
python -m benchmarks.calibration --quick          every family, a few problems: about two minutes
python -m benchmarks.calibration --tune --only relu --levels check --checks 500
python -m benchmarks.calibration --replay 'check/max-pool tie/float64/6' --seed 0

A run that was stopped goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import bpcheck
from benchmarks.calibration import figure, runner, tables
from benchmarks.calibration.families import FIRST_REPORTING_SEED, find
from benchmarks.calibration.measure import KINDS, tasks
from benchmarks.calibration.problem import wide_enough
from benchmarks.calibration.summary import summarize

ROOT = Path(__file__).resolve().parents[2]
FULL = {"estimate": 200, "check": 100_000, "power": 14, "peer estimate": 200, "peer check": 24}
QUICK = {"estimate": 4, "check": 120, "power": 1, "peer estimate": 3, "peer check": 1}
DEFAULT_SEED = 20261

COMMAND = "python -m benchmarks.calibration"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few problems of each family")
    parser.add_argument("--levels", default="", help=f"some of: {', '.join(KINDS)} (default: all)")
    parser.add_argument("--checks", type=int, help="right gradients checked, in all (100,000)")
    parser.add_argument("--estimates", type=int, help="estimates, each family and precision (200)")
    parser.add_argument(
        "--power", type=int, help="problems with planted errors, each family and precision (14)"
    )
    parser.add_argument("--peer-estimates", type=int, help="the same for other tools (200)")
    parser.add_argument("--peer-checks", type=int, help="the same for other tools (24)")
    parser.add_argument("--only", default="", help="parts of family names, separated by commas")
    parser.add_argument("--precision", default="", help="float64, float32, bfloat16")
    parser.add_argument("--seed", type=int, help=f"{DEFAULT_SEED}; with --tune 0")
    parser.add_argument(
        "--tune", action="store_true", help="tuning families alone, with a seed for development"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--state", type=Path, help="file of single results (benchmarks/results/.calibration-SEED.jsonl)"
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="forget what the state file holds of bpcheck, and of other tools if they were measured in another way",
    )
    parser.add_argument(
        "--tables", action="store_true", help="measure nothing: tables of what the state file holds"
    )
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder for the tables"
    )
    parser.add_argument(
        "--figure", type=Path, help="picture to write (docs/figures/calibration.svg after a full run)"
    )
    parser.add_argument(
        "--replay", help="kind/family/precision/number: measure one problem again and print it"
    )
    return parser.parse_args(arguments)


def _amounts(options: argparse.Namespace) -> dict[str, int]:
    amounts = dict(QUICK if options.quick else FULL)
    given = {
        "estimate": options.estimates,
        "check": options.checks,
        "power": options.power,
        "peer estimate": options.peer_estimates,
        "peer check": options.peer_checks,
    }
    amounts |= {kind: amount for kind, amount in given.items() if amount is not None}
    if options.levels:
        wanted = [level.strip().rstrip("s") for level in options.levels.split(",")]
        unknown = [level for level in wanted if level not in KINDS]
        if unknown:
            raise SystemExit(f"no level {unknown[0]!r}; there are: {', '.join(KINDS)}")
        amounts = {kind: amounts[kind] for kind in KINDS if kind in wanted}
    return amounts


def _seed(options: argparse.Namespace) -> int:
    seed: int = options.seed if options.seed is not None else (0 if options.tune else DEFAULT_SEED)
    if options.tune and seed >= FIRST_REPORTING_SEED:
        raise SystemExit(
            f"--tune takes a seed below {FIRST_REPORTING_SEED}: the others are kept for reports."
        )
    return seed


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def main(arguments: list[str] | None = None) -> None:
    """Measure, sum up, write."""
    options = _options(arguments)
    seed = _seed(options)
    if not wide_enough():
        raise SystemExit(
            "long double is no wider than float64 here: the truth would not be known. Use x86-64 Linux."
        )
    if options.replay:
        replay(options.replay, seed)
        return
    state = options.state or ROOT / "benchmarks" / "results" / f".calibration-{seed}.jsonl"
    todo = tasks(
        _amounts(options), tune=options.tune, only=_parts(options.only), precisions=_parts(options.precision)
    )
    if not todo:
        raise SystemExit(f"--only {options.only!r} leaves no family.")
    start = time.monotonic()
    if not options.tables:
        runner.run(todo, seed=seed, workers=options.workers, state=state, fresh=options.fresh)
    header, rows = runner.read(state)
    keys = {task.key for task in todo}
    summary = summarize({key: found for key, found in rows.items() if key in keys})
    given = sys.argv[1:] if arguments is None else arguments
    header |= {"command": " ".join([COMMAND, *given]), "bpcheck": bpcheck.__version__}
    if any(kind.startswith("peer") for kind in summary):
        from benchmarks.calibration.peers import PACKAGES

        header["versions"] = header["versions"] | {
            name: importlib.metadata.version(name) for name in PACKAGES
        }
    for path in _write(options, header, summary):
        print(path)
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)


def _write(options: argparse.Namespace, header: dict[str, Any], summary: dict[str, Any]) -> list[Path]:
    options.out.mkdir(parents=True, exist_ok=True)
    data = options.out / "calibration.json"
    data.write_text(json.dumps({**header, **summary}, indent=1, allow_nan=False) + "\n")
    written = [data]
    if any(kind in summary for kind in ("estimate", "check", "power")):
        written.append(options.out / "calibration.md")
        written[-1].write_text(tables.calibration(header, summary))
    if any(kind.startswith("peer") for kind in summary):
        written.append(options.out / "peers.md")
        written[-1].write_text(tables.peers(header, summary))
    if options.figure:
        figure.draw(summary, options.figure)
        written.append(options.figure)
    return written


def replay(name: str, seed: int) -> None:
    """Print one problem: parameters, exact gradient, and what was measured; reports in full."""
    try:
        kind, family, precision, index = name.split("/")
        number = int(index)
    except ValueError:
        raise SystemExit(
            f"--replay {name!r}: give kind/family/precision/number, such as check/rnn/float64/3"
        ) from None
    from benchmarks.calibration.measure import measurement
    from benchmarks.calibration.verdicts import check_problem

    problem = find(family).problem(precision, kind, number, seed)
    print("params", problem.params, "\nargs", problem.args, "\nexact", problem.exact)
    if kind == "check":
        check_problem(problem, lambda *given, **named: _shown(bpcheck.check_gradient(*given, **named)))
    else:
        print(json.dumps(measurement(kind)(problem), indent=1))


def _shown(report: Any) -> Any:
    print(report)
    return report


if __name__ == "__main__":
    main()
