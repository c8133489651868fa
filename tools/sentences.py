"""Print every sentence that a report can hold, with its place: to be read through whenever sentences change.

    python tools/sentences.py             # all of them
    python tools/sentences.py diagnosis   # those of one room

A sentence is a string of two words and more, an f-string with its fields in braces, that is no docstring, no message of
an error that is raised, and no pattern. What a report holds is put together from these: ``tests/report/test_sentences.py``
asks of whole reports whether they are true.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1] / "bpcheck"

ROOMS = (
    "result", "verdict", "report", "diagnosis", "search", "check", "numeric", "health", "symbolic", "certified",
    "reference", "conventions", "adapters", "subject", "process", "cli", "demo",
)  # fmt: skip
"""Modules and packages whose strings can reach a report. (Not ``course``: its texts are pages, not reports.)"""

WORDS = re.compile(r"[^\W\d_]{2,}")
"""A word has two letters at least."""

NO_PROSE = re.compile(r"\\[bdsw(\[]|^[\w.\-/]+$|^\s*(import|from) ")
"""Patterns, names and lines of code."""


class Sentence(NamedTuple):
    """One string as it stands in the code."""

    file: str
    line: int
    text: str


def sentences(room: str, package: Path = PACKAGE) -> Iterator[Sentence]:
    """The sentences of a module or package of bpcheck, in the order in which they stand there."""
    place = package / room
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in _strings(tree):
            text = " ".join(_text(node).split())
            if len(WORDS.findall(text)) >= 2 and " " in text and not NO_PROSE.search(text):
                yield Sentence(str(path.relative_to(package.parent)), node.lineno, text)


def _strings(node: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Strings that are used: no docstrings, nothing that is raised, no f-string's parts a second time."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Raise) or (
            isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        ):
            continue
        if isinstance(child, ast.JoinedStr) or (
            isinstance(child, ast.Constant) and isinstance(child.value, str)
        ):
            yield child
        else:
            yield from _strings(child)


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    """A string as it reads, with the fields of an f-string in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"
        for part in node.values
        if isinstance(part, ast.Constant | ast.FormattedValue)
    )


def main(rooms: list[str]) -> None:
    """Print the sentences of some rooms, or of all."""
    found = [sentence for room in rooms or ROOMS for sentence in sentences(room)]
    for sentence in found:
        print(f"{sentence.file}:{sentence.line}: {sentence.text}")
    print(f"{len(found)} sentences", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
