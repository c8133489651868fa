"""What a verdict looks like, and how much of a report a page shows."""

from __future__ import annotations

from bpcheck.result import Comparison
from bpcheck.verdict import Verdict

__all__ = ["MOST_TENSORS", "SIGNS", "has_numbers"]

SIGNS = {
    Verdict.WRONG_STRUCTURE: ("✗", "bad"),
    Verdict.NONFINITE: ("✗", "bad"),
    Verdict.DISAGREES: ("✗", "bad"),
    Verdict.INCONCLUSIVE: ("?", "open"),
    Verdict.AGREES_AT_KINK: ("✓", "fine"),
    Verdict.AGREES: ("✓", "fine"),
}
"""A sign beside the word, for eyes that do not tell the colours apart, and the class that has the colour."""

MOST_TENSORS = 24
"""Tensors shown: two for each of twelve layers. The JSON report has a line for every one."""


def has_numbers(comparison: Comparison) -> bool:
    """Whether there is something to show besides a sentence.

    Examples
    --------
    >>> has_numbers(Comparison("w", Verdict.WRONG_STRUCTURE))
    False
    """
    return comparison.actual is not None and comparison.expected is not None and comparison.expected.size > 0
