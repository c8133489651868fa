"""Make notebooks/NN_name.ipynb from notebooks/source/NN_name.py.

Run it with ``python tools/make_notebooks.py`` (it needs jupytext); with ``--check`` it writes nothing
and fails if a notebook is not what its source gives. The same source gives the same bytes: a cell's id is
a digest of its text, so that an edit changes the id of that cell and of no other, and there are no
outputs, no counters and nothing of the machine in it.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from pathlib import Path

import jupytext
import nbformat

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SOURCES = NOTEBOOKS / "source"

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# Of 40 hexadecimal digits: no two cells of a course will share them by accident.
ID_DIGITS = 12


def notebook(source: Path) -> str:
    """The text of the .ipynb file that belongs to a source."""
    read = jupytext.read(source, fmt="py:percent")
    seen: Counter[str] = Counter()
    cells = []
    for cell in read.cells:
        digest = hashlib.sha1(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:ID_DIGITS]
        seen[digest] += 1
        make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        tags = cell.metadata.get("tags", [])
        cells.append(
            make(
                cell.source,
                id=digest if seen[digest] == 1 else f"{digest}-{seen[digest]}",
                metadata={"tags": tags} if tags else {},
            )
        )
    made = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    nbformat.validate(made)
    return str(nbformat.writes(made, version=4)) + "\n"


def main() -> None:
    """Read the command line, then write or compare every notebook."""
    parser = argparse.ArgumentParser(description="Make the notebooks from their sources.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if one is out of date")
    check = parser.parse_args().check
    stale = []
    for source in sorted(SOURCES.glob("*.py")):
        target = NOTEBOOKS / f"{source.stem}.ipynb"
        text = notebook(source)
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        stale.append(target.name)
        if not check:
            target.write_text(text, encoding="utf-8")
    if check and stale:
        sys.exit(f"out of date: {', '.join(stale)}; run python tools/make_notebooks.py")
    print("up to date" if not stale else f"written: {', '.join(stale)}")


if __name__ == "__main__":
    main()
