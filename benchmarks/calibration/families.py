"""The families, split: TUNING may be looked at when a constant is chosen, HELD_OUT never.

How the split is kept honest:

- ``--tune`` runs the tuning families alone, with a seed below ``FIRST_REPORTING_SEED``; reported tables
  come from seeds at or above it.
- A held-out family on which a *constant* was changed moves to TUNING in the same commit. A plain bug found
  on one is mended, kept as a test, and said so in the table's notes.
- The prototype behind ``bpcheck.numeric`` and ``benchmarks/numeric_coverage.py`` were tuned on networks, kinks,
  noise, poles, oscillation, the logistic and Rosenbrock's function, offsets and badly scaled parameters:
  these are TUNING, whatever seed they are run with.
"""

from __future__ import annotations

from benchmarks.calibration import classical, hostile, networks
from benchmarks.calibration.problem import Family

__all__ = ["FAMILIES", "FIRST_REPORTING_SEED", "HELD_OUT", "TUNING", "find"]

FIRST_REPORTING_SEED = 1000
"""Seeds below are for development; they never stand in a published table."""

TUNING: tuple[Family, ...] = (*networks.TUNING, *classical.TUNING, *hostile.TUNING)
HELD_OUT: tuple[Family, ...] = (*networks.HELD_OUT, *classical.HELD_OUT, *hostile.HELD_OUT)
FAMILIES: tuple[Family, ...] = (*TUNING, *HELD_OUT)


def find(name: str) -> Family:
    """The family of this name."""
    for family in FAMILIES:
        if family.name == name:
            return family
    raise SystemExit(f"no family {name!r}; there are: {', '.join(f.name for f in FAMILIES)}")
