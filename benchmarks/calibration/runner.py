"""Runs tasks over processes, writes each result at once, goes on where a run was stopped."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from benchmarks.calibration.measure import Task, measure

__all__ = ["fingerprint", "read", "run"]

TASKS_A_PROCESS = 200
"""A worker is replaced after so many tasks: torch and jax do not give back everything."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread a worker: the matrices are small."""

SAYS = 5.0
"""Seconds between two lines of progress."""

NOT_MEASURING = {"__main__.py", "runner.py", "summary.py", "tables.py", "figure.py", "low_precision.py"}
"""They arrange numbers and change none."""

MEASURED = sorted(
    Path(str(module.__file__)) for name, module in sys.modules.items() if name.split(".")[0] == "bpcheck"
)
"""What the checks and schemes load of bpcheck."""


def fingerprint(*, others: bool = False) -> str:
    """What the numbers depend on, as a short hash: the code that is measured, and the code that measures.

    Comments and docstrings do not count; for numbers of ``others``, other tools, nor does bpcheck.
    """
    own = [path for path in sorted(Path(__file__).parent.glob("*.py")) if path.name not in NOT_MEASURING]
    digest = hashlib.sha256()
    for path in own if others else (*MEASURED, *own):
        digest.update(path.name.encode() + _code(path).encode())
    return digest.hexdigest()[:12]


def _code(path: Path) -> str:
    """The syntax tree of a file, without its docstrings."""
    parsed = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(parsed):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                line
                for line in body
                if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            ]
    return ast.dump(parsed)


def read(state: Path) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Header and rows by task key; a last line cut short is dropped."""
    header: dict[str, Any] = {}
    rows: dict[str, list[Any]] = {}
    if state.exists():
        for line in state.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                entry = json.loads(line)
                if "task" in entry:
                    rows[entry["task"]] = entry["rows"]
                else:
                    header = entry
    return header, rows


def _header(seed: int) -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "scipy")}
    versions["python"] = ".".join(map(str, sys.version_info[:3]))
    return {
        "seed": seed,
        "fingerprint": fingerprint(),
        "fingerprint_others": fingerprint(others=True),
        "versions": versions,
    }


def _open(state: Path, seed: int, fresh: bool) -> TextIO:
    header, rows = read(state)
    wanted = _header(seed)
    if fresh or not header:
        state.parent.mkdir(parents=True, exist_ok=True)
        out = state.open("w")
        out.write(json.dumps(wanted) + "\n")
        if header == {**wanted, "fingerprint": header.get("fingerprint")}:
            # only bpcheck is another one: what was measured of other tools stands
            for key, found in rows.items():
                if key.startswith("peer "):
                    out.write(json.dumps({"task": key, "rows": found}) + "\n")
        out.flush()
        return out
    if header != wanted:
        differs = ", ".join(key for key in wanted if header.get(key) != wanted[key])
        raise SystemExit(
            f"{state} was made with another {differs}: results of two states of the code are not mixed. "
            "Give --fresh to begin anew, or --state for another file."
        )
    # a line that was cut short is ended, so that the next one stands alone
    out = state.open("a")
    if not state.read_text().endswith("\n"):
        out.write("\n")
    return out


def _work(arguments: tuple[Task, int]) -> tuple[Task, list[Any]]:
    task, seed = arguments
    return task, measure(task, seed)


@contextlib.contextmanager
def _results(todo: list[Task], seed: int, workers: int) -> Iterator[Iterator[tuple[Task, list[Any]]]]:
    arguments = [(task, seed) for task in todo]
    if workers <= 1:
        yield map(_work, arguments)
        return
    for name in THREADS:  # read by the children when they load NumPy
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, maxtasksperchild=TASKS_A_PROCESS) as pool:
        yield pool.imap_unordered(_work, arguments)


def run(
    todo: list[Task], *, seed: int, workers: int, state: Path, fresh: bool = False, quiet: bool = False
) -> None:
    """Do what is not in ``state`` yet, and add it there, line by line."""
    out = _open(state, seed, fresh)
    done = read(state)[1]
    left = [task for task in todo if task.key not in done]
    # in random order, so that the time left can be told from the time gone
    random.Random(seed).shuffle(left)
    total = sum(task.stop - task.start for task in left)
    if not quiet and len(left) < len(todo):
        print(f"{len(todo) - len(left)} of {len(todo)} tasks are in {state} already", file=sys.stderr)
    start, said, problems, bad = time.monotonic(), 0.0, 0, 0
    with out, _results(left, seed, workers) as results:
        for task, rows in results:
            out.write(json.dumps({"task": task.key, "rows": rows}) + "\n")
            out.flush()
            problems += len(rows)
            bad += _violations(task, rows)
            now = time.monotonic() - start
            if not quiet and (now - said >= SAYS or problems == total):
                said = now
                left_time = now / problems * (total - problems)
                print(
                    f"{problems:7d} of {total} problems, {_clock(now)} gone, {_clock(left_time)} left, "
                    f"{bad} violations so far",
                    file=sys.stderr,
                    flush=True,
                )


def _violations(task: Task, rows: list[Any]) -> int:
    if task.kind == "check":
        return sum(not row[1] for row in rows)
    if task.kind == "power":
        return sum(len(row["violations"]) for row in rows if row)
    return 0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
