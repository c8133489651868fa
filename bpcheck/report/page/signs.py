"""What a verdict looks like, and how much of a report a page shows."""

from __future__ import annotations

from collections.abc import Sequence

from bpcheck.report.text import TITLES
from bpcheck.result import Comparison
from bpcheck.verdict import Verdict

__all__ = ["MOST_TENSORS", "SIGNS", "has_numbers", "most_severe", "word"]

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


def most_severe(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """As many as are shown, in the order in which they came.

    Examples
    --------
    >>> [c.path for c in most_severe([Comparison("w", Verdict.AGREES), Comparison("b", Verdict.DISAGREES)])]
    ['w', 'b']
    """
    order = sorted(range(len(comparisons)), key=lambda i: -comparisons[i].verdict.severity)
    return [comparisons[i] for i in sorted(order[:MOST_TENSORS])]


def word(comparison: Comparison) -> str:
    """The verdict within a sentence.

    Examples
    --------
    >>> word(Comparison("w", Verdict.AGREES)), word(Comparison("w", Verdict.NONFINITE))
    ('ok', 'not finite')
    """
    return "ok" if comparison.verdict is Verdict.AGREES else TITLES[comparison.verdict].lower()
