"""The command line of ``python -m derivations`` and of each of its files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bpcheck.errors import BpcheckError
from bpcheck.symbolic.index import Derivation, html_page, latex_page
from derivations import COURSE, load

__all__ = ["main", "main_course"]

TITLE = "Backpropagation, derived and checked line by line"


def main(derivations: Sequence[Derivation], arguments: Sequence[str] | None = None) -> None:
    """Print, check or typeset the derivations of one file; exits with 1 if a check fails."""
    options = _options("Print a derivation and its steps.").parse_args(arguments)
    if options.check:
        held = [_checked(derivation) for derivation in derivations]  # all of them, also after a failure
        sys.exit(0 if all(held) else 1)
    if options.latex or options.html:
        sys.stdout.write(_page(derivations, options, derivations[0].title))
        return
    print("\n\n\n".join(str(derivation) for derivation in derivations))


def main_course(arguments: Sequence[str] | None = None) -> None:
    """All of them: a list with status and time, or one document."""
    options = _options("All derivations: a list with their status and time, or one document.").parse_args(
        arguments
    )
    everything = [derivation for name in COURSE for derivation in load(name)]
    if options.latex or options.html:
        sys.stdout.write(_page(everything, options, TITLE))
        return
    held = []
    for name in COURSE:
        print(f"\nderivations.{name}", flush=True)
        held += [_checked(derivation) for derivation in load(name)]
    print("\nAll hold." if all(held) else "\nNot all hold.")
    sys.exit(0 if all(held) else 1)


def _options(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--check", action="store_true", help="check every step and every planted mistake")
    kinds.add_argument("--latex", action="store_true", help="print a LaTeX document")
    kinds.add_argument("--html", action="store_true", help="print a web page that needs no network")
    return parser


def _checked(derivation: Derivation) -> bool:
    try:
        proof = derivation.check()
    except BpcheckError as failure:
        print(f"  FAILS  {failure}", flush=True)
        return False
    steps, mistakes = len(proof.lines), len(proof.refused)
    print(
        f"  holds  {proof.seconds:5.2f} s  {steps} steps, {mistakes} planted mistakes refused  {derivation.title}",
        flush=True,
    )
    return True


def _page(derivations: Sequence[Derivation], options: argparse.Namespace, title: str) -> str:
    if options.latex:
        return latex_page(derivations, title)
    statuses = [str(derivation.check()) for derivation in derivations]
    return html_page(derivations, title, statuses=statuses)
