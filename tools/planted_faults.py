"""Does the default test suite notice? Thirty faults, planted in bpcheck one at a time, each in a copy of the tree.

``python tools/planted_faults.py`` runs the default suite on each, the tests that are nearest first, and says for each
fault whether a test failed (killed) or none did (survived). ``--only WORD`` picks faults by a word of what they are,
``--tree FOLDER`` plants them in another tree, and ``--near`` runs the nearest tests alone. It takes a while: a fault that
is killed costs what its folder costs, one that survives the whole suite.

A fault is a piece of text that stands once in the package, and what takes its place; where it stands is looked up, so
that a module may move.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("bpcheck", "derivations", "tests", "examples", "benchmarks", "notebooks", "docs", "tools")
FILES = ("pyproject.toml", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    what : str
        In words.
    text, planted : str
        What stands in the package, once, and what takes its place.
    near : tuple of str
        The tests that should notice, as arguments of pytest.
    """

    what: str
    text: str
    planted: str
    near: tuple[str, ...]


REFERENCE, NOUNS, NUMERIC, CHECK, SEARCH = (
    (f"tests/{name}",) for name in ("reference", "nouns", "numeric", "check", "search")
)

FAULTS = (
    # --- the four equations, activations, losses, penalties ---
    Fault(
        "BP2 multiplies by W in place of its transpose where W is square",
        "bracket = delta @ weight  #",
        "bracket = delta @ (weight.T if weight.shape[0] == weight.shape[1] else weight)  #",
        REFERENCE,
    ),
    Fault(
        "BP3 takes the mean over the batch",
        "return delta.sum(axis=0)  # type: ignore",
        "return delta.sum(axis=0) / delta.shape[0]  # type: ignore",
        REFERENCE,
    ),
    Fault(
        "small: the slope of silu is off by a relative 1e-9",
        "return s + z * s * (1.0 - s)",
        "return (s + z * s * (1.0 - s)) * (1.0 + 1e-9)",
        (*REFERENCE, "tests/property"),
    ),
    Fault(
        "small: half_mse is off by a relative 2e-10",
        "return (r * r).sum(axis=1) * 0.5",
        "return (r * r).sum(axis=1) * (0.5 + 1e-10)",
        (*REFERENCE, "tests/property"),
    ),
    Fault(
        "the gradient of the L1 penalty has no sign",
        "gradients.append(architecture.l1 * np.sign(w) + architecture.l2 * w)",
        "gradients.append(architecture.l1 * np.sign(abs(w)) + architecture.l2 * w)",
        (*REFERENCE, "tests/test_house.py::test_every_witness_knows_skip_connections_and_penalties"),
    ),
    # --- bounds, and what is decided by them ---
    Fault(
        "small: the ball of a product does not count its own rounding",
        "self.kink * b.rad + self.u * abs(mid)",
        "self.kink * b.rad",
        REFERENCE,
    ),
    Fault(
        "γ_n counts half of the roundings",
        "return n * u / (1 - n * u) if n * u < 1",
        "return 0.5 * n * u / (1 - n * u) if n * u < 1",
        REFERENCE,
    ),
    Fault(
        "the ball of a quotient forgets the divisor's radius",
        "rad = (self.rad + largest * b.rad) / np.maximum",
        "rad = self.rad / np.maximum",
        (*REFERENCE, "tests/optimizer"),
    ),
    Fault(
        "NaN passes",
        "nonfinite = ~np.isfinite(actual) & np.isfinite(expected)\n    beyond = known & ~(difference <= bound + kink)",
        "nonfinite = np.isinf(actual) & np.isfinite(expected)\n    beyond = known & (difference > bound + kink)",
        (*NOUNS, "tests/bad_input"),
    ),
    Fault(
        "the limit of what would have been seen is half of what it is",
        "limit = 2.0 * widest / reference_size",
        "limit = 1.0 * widest / reference_size",
        (*REFERENCE, *NOUNS, "tests/certified"),
    ),
    Fault(
        "what cannot be resolved agrees",
        "if not limit <= resolution:\n        reason",
        "if limit == np.inf:\n        reason",
        (*NOUNS, *SEARCH),
    ),
    Fault(
        "float32 counts as having a digit more",
        "return 2.0**-self.digits",
        "return 2.0 ** -(self.digits + 1)",
        (*NOUNS, *REFERENCE, "tests/check/test_check_low_precision.py"),
    ),
    # --- the other witnesses ---
    Fault(
        "the bars of differences are a sixteenth of what they are",
        'CONFIDENCE = 4.0\n"""Standard deviations of propagated noise in the bar (tuned',
        'CONFIDENCE = 0.25\n"""Standard deviations of propagated noise in the bar (tuned',
        NUMERIC,
    ),
    Fault(
        "small: the complex scheme is off by a relative 1e-12",
        "slopes = np.array([value.imag / STEP for value in values])",
        "slopes = np.array([value.imag / STEP * (1.0 + 1e-12) for value in values])",
        (*NUMERIC, *CHECK),
    ),
    Fault(
        "random directions are said to see twice as much as they do",
        "return float(math.sqrt(2.0) / erfinv(miss_probability **",
        "return float(math.sqrt(0.5) / erfinv(miss_probability **",
        CHECK,
    ),
    Fault(
        "small: the formula of gelu has √2 wrong in the seventh digit",
        '"gelu": lambda z: z * (1 + sympy.erf(z / sympy.sqrt(2))) / 2',
        '"gelu": lambda z: z * (1 + sympy.erf(z / sympy.sqrt(2) * sympy.Rational(10000001, 10000000))) / 2',
        ("tests/symbolic", "tests/test_house.py::test_every_witness_knows_every_activation"),
    ),
    Fault(
        "certified cross-entropy takes targets for distributions",
        "slope = [mass * q - t for q, t in zip(p, targets, strict=True)]",
        "slope = [q - t for q, t in zip(p, targets, strict=True)]",
        ("tests/certified",),
    ),
    # --- optimisers ---
    Fault(
        "Adam corrects v for the step that comes next",
        "square / (1 - power(beta2, t))\n        root",
        "square / (1 - power(beta2, t + 1))\n        root",
        ("tests/optimizer",),
    ),
    # --- diagnosis ---
    Fault(
        "a hypothesis that was never visible stands",
        "visible = visible or wrong",
        "visible = True",
        ("tests/diagnosis", *SEARCH),
    ),
    Fault(
        "a prediction that is off by a tenth reproduces",
        "REPRODUCTION = 1e-8",
        "REPRODUCTION = 1e-1",
        ("tests/diagnosis", *SEARCH),
    ),
    # --- the search ---
    Fault(
        "shrinking keeps cases that do not fail",
        "if not self.fails_alike(candidate):\n            return False",
        "self.fails_alike(candidate)",
        ("tests/search/test_shrinking.py", *SEARCH),
    ),
    Fault(
        "a batch of one is not said to hide anything",
        "if all(case.batch == 1 for case in cases):",
        "if all(case.batch == 0 for case in cases):",
        ("tests/search/test_degenerate.py", *SEARCH),
    ),
    Fault(
        "weights stored (in, out) come back transposed where they are square",
        'weight = weight.T if conventions.weight == "in, out" else weight\n        if conventions.folded',
        'weight = weight.T if conventions.weight == "in, out" and len(set(weight.shape)) > 1 else weight\n'
        "        if conventions.folded",
        ("tests/search/test_conventions.py", *SEARCH),
    ),
    Fault(
        "layers are counted from 1",
        "FIRST_LAYER = 2\n",
        "FIRST_LAYER = 1\n",
        (*NOUNS, "tests/report"),
    ),
    # --- reports and doors ---
    Fault(
        "a page takes a caller's words for markup",
        "part if isinstance(part, Html) else escape(str(part)) for part in parts",
        "part if isinstance(part, Html) else str(part) for part in parts",
        ("tests/report",),
    ),
    Fault(
        "the command line exits with 0 where nothing was decided",
        "verdict is Verdict.INCONCLUSIVE:\n        return UNDECIDED",
        "verdict is Verdict.INCONCLUSIVE:\n        return AGREES",
        ("tests/cli",),
    ),
    Fault(
        "what a subject draws from the global generators is not given back",
        "            _set_states(before)\n\n",
        "            pass\n\n",
        ("tests/bad_input", "tests/search/test_surroundings.py"),
    ),
    # --- around it ---
    Fault(
        "the derivative of a power forgets its exponent in front",
        "return exponent * base ** (exponent - 1) * d(base)",
        "return base ** (exponent - 1) * d(base)",
        ("tests/symbolic_index", "tests/derivations"),
    ),
    Fault(
        "early stopping waits an epoch too long",
        "if waited < self.patience:",
        "if waited <= self.patience:",
        ("tests/training", "bpcheck/training"),
    ),
    Fault(
        "gradient_health clips small gradients up",
        "scale = min(1.0, limit / norm) if norm else 1.0",
        "scale = limit / norm if norm else 1.0",
        ("tests/health",),
    ),
)


def place_of(fault: Fault, tree: Path) -> Path:
    """The one module in which the fault's text stands."""
    found = [
        file
        for file in sorted((tree / "bpcheck").rglob("*.py"))
        for _ in range(file.read_text(encoding="utf-8").count(fault.text))
    ]
    if len(found) != 1:
        raise LookupError(f"stands {len(found)} times in the package: {fault.text!r}")
    return found[0]


def copied(tree: Path, folder: Path) -> Path:
    """A copy of what the suite needs."""
    for name in COPIED:
        shutil.copytree(tree / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in FILES:
        shutil.copy(tree / name, folder / name)
    return folder


def fails(tree: Path, tests: tuple[str, ...], *options: str) -> str:
    """The first test that fails, or nothing."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "--no-header",
            "-p",
            "no:cacheprovider",
            *options,
            *tests,
        ],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].split(" - ")[0] if lines else f"pytest ended with {done.returncode}"


def killed_by(fault: Fault, tree: Path, *, near_only: bool) -> str:
    """Plant a fault in a copy; the test that noticed, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(tree, Path(folder))
        module = copy / place_of(fault, tree).relative_to(tree)
        module.write_text(
            module.read_text(encoding="utf-8").replace(fault.text, fault.planted), encoding="utf-8"
        )
        return fails(copy, fault.near, "-n", "0") or ("" if near_only else fails(copy, ()))


def main(argv: list[str]) -> int:
    """Plant the faults one after another; 1 if one survives."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="a word of what the faults are")
    parser.add_argument("--tree", type=Path, default=ROOT, help="where to plant them")
    parser.add_argument("--near", action="store_true", help="run the nearest tests alone")
    options = parser.parse_args(argv)
    if not options.near:
        with tempfile.TemporaryDirectory() as folder:
            red = fails(copied(options.tree.resolve(), Path(folder)), ())
        if red:
            print(f"without a fault the suite is red already, so it proves nothing: {red}")
            return 1
    survived = 0
    for fault in FAULTS:
        if options.only not in fault.what:
            continue
        began = time.monotonic()
        try:
            by = killed_by(fault, options.tree.resolve(), near_only=options.near)
        except LookupError as error:
            by = f"not planted: it {error}"
        survived += not by
        print(f"{by or 'SURVIVED'}  <- {fault.what} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{survived} survived")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
