"""Plant every bug of the catalogue and see what is said: ``python -m benchmarks.mutants --write``.

Takes some ten minutes on two cores; ``--rounds 1 --correct 500`` a third of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import bpcheck
from benchmarks.mutants import figure, tables
from benchmarks.mutants.cell import Setting, measure
from benchmarks.mutants.correct import STYLES, make
from benchmarks.mutants.settings import PLANTED, settings
from bpcheck import Case, tree
from bpcheck.search.cases.sample import random_architecture, random_case, stratum

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "python -m benchmarks.mutants"

DEFAULT_SEED = 20261129
ROUNDS, CORRECT = 2, 5_000

CHUNK = 50
"""Right networks a task: a second or two."""

KINKED_EVERY = 7
"""Every so many networks have a first example of zeros and zero biases below: their ReLUs are at 0 exactly."""


def _cell(task: tuple[str, Setting]) -> dict[str, Any]:
    slug, setting = task
    return {**asdict(measure(slug, setting)), "setting": asdict(setting)}


def _at_kinks(case: Case) -> Case:
    x = np.array(case.x)
    x[0] = 0.0
    params = tree.copy(case.params)
    params[0]["bias"][...] = 0.0
    return Case(case.architecture, params, x, case.y, seed=None)


def _right(task: tuple[int, int, int]) -> list[tuple[str, str]]:
    """Style and verdict of right code on random networks."""
    seed, first, count = task
    rng, found = np.random.default_rng([seed, first]), []
    for i in range(first, first + count):
        kind = stratum(i)
        case = random_case(rng, random_architecture(rng, kind), kind)
        case = _at_kinks(case) if i % KINKED_EVERY == 0 else case
        style = STYLES[i % len(STYLES)]
        report = bpcheck.compare(make(style), cases=[case], seed=i)
        found.append((style, report.verdict.name))
    return found


def _summed(verdicts: Sequence[tuple[str, str]]) -> dict[str, Any]:
    wrong = Counter(
        style for style, name in verdicts if name in ("DISAGREES", "NONFINITE", "WRONG_STRUCTURE")
    )
    undecided = Counter(style for style, name in verdicts if name == "INCONCLUSIVE")
    return {
        "runs": len(verdicts),
        "styles": list(STYLES),
        "flagged": sum(wrong.values()),
        "flagged by style": dict(wrong),
        "inconclusive": sum(undecided.values()),
        "inconclusive by style": ", ".join(f"{style}: {n}" for style, n in undecided.items()),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, sum up, write."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="times every activation × loss")
    parser.add_argument("--correct", type=int, default=CORRECT, help="random networks of right code")
    parser.add_argument("--only", default="", help="slugs, separated by commas")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true", help="write tables and picture")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    slugs = [slug for slug in PLANTED if not options.only or slug in options.only.split(",")]
    rng = np.random.default_rng(options.seed)
    tasks = [(slug, setting) for slug in slugs for setting in settings(rng, rounds=options.rounds)]
    chunks = [
        (options.seed, first, min(CHUNK, options.correct - first))
        for first in range(0, options.correct, CHUNK)
    ]
    with ProcessPoolExecutor(options.workers) as pool:
        cells = list(pool.map(_cell, tasks, chunksize=8))
        correct = _summed([one for found in pool.map(_right, chunks) for one in found])
    given = sys.argv[1:] if arguments is None else arguments
    header = {"command": " ".join([COMMAND, *given]), "seed": options.seed, "bpcheck": bpcheck.__version__}
    text = tables.page(header, cells, correct)
    if options.write:
        results = ROOT / "benchmarks" / "results"
        (results / "mutants.md").write_text(text, encoding="utf-8")
        kept = {
            "header": header,
            "totals": tables.totals(cells),
            "correct": correct,
            "not as it should be": [cell for cell in cells if cell["outcome"] not in tables.AS_IT_SHOULD_BE],
        }
        (results / "mutants.json").write_text(
            json.dumps(kept, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )
        figure.draw(cells, ROOT / "docs" / "figures" / "mutants.svg")
    else:
        print(text)
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
