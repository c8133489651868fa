"""Fail where a function of the package is too complex, and say how many are complex.

Run it with ``python tools/complexity.py``; it needs radon. A function's number is one and its branches (McCabe 1976).
"""

from __future__ import annotations

import sys
from pathlib import Path

from radon.complexity import cc_visit
from radon.visitors import Class

ROOT = Path(__file__).parents[1]
MOST = 15
"""Above it, a function is taken apart."""
COMPLEX = 10
"""McCabe's own limit; few functions are above it."""
LATER = (ROOT / "bpcheck" / "check", ROOT / "bpcheck" / "numeric")
"""Still as they are: one engine is to take their place."""


def functions() -> list[tuple[int, str]]:
    """The number of each function and method, and where it stands; with it the branches of what is nested in it."""
    found = []
    for folder in ("bpcheck", "derivations"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if any(file.is_relative_to(later) for later in LATER):
                continue
            for block in cc_visit(file.read_text(encoding="utf-8")):
                if not isinstance(block, Class):
                    place = f"{file.relative_to(ROOT)}:{block.lineno} {block.fullname}"
                    found.append((block.complexity, place))
    return sorted(found, reverse=True)


def main() -> int:
    """Print what is above ``MOST`` and the share above ``COMPLEX``."""
    found = functions()
    above = [(number, place) for number, place in found if number > MOST]
    for number, place in above:
        print(f"{number:4d}  {place}")
    share = sum(number > COMPLEX for number, _ in found) / len(found)
    print(f"{len(above)} of {len(found)} functions above {MOST}, {share:.1%} above {COMPLEX}")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
