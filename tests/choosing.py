"""What of a product of cases the default suite runs. The rest is marked ``full``, and ``pytest -m full`` runs it.

A case stays in the default suite because it is the readable one of its behaviour, or because a mistake could hide in
the meeting of two values; never because of its place in a list.
"""

import itertools

import pytest


def some(cases, *, default):
    """The cases, those for which ``default(*values)`` is false marked ``full``."""
    return [_case(values, default(*values)) for values in map(_values, cases)]


def each(cases, *, of):
    """The cases, those marked ``full`` of which each trait in ``of(*values)`` has been shown by one before."""
    seen, marked = set(), []
    for values in map(_values, cases):
        new = set(of(*values)) - seen
        seen |= new
        marked.append(_case(values, new))
    return marked


def seeds(default, full):
    """Two cases: the seeds below ``default``, and marked ``full`` those from there to below ``full``."""
    return [
        pytest.param(range(default), id=f"{default} seeds"),
        pytest.param(range(default, full), id=f"{full - default} more", marks=pytest.mark.full),
    ]


def product(*axes, together=1):
    """Every combination of the axes' values; by default so few that any ``together`` values of different axes meet.

    With 1, each value occurs; with 2, each pair of values of two axes does.
    """
    axes = [list(axis) for axis in axes]
    combinations = list(itertools.product(*(range(len(axis)) for axis in axes)))

    def meetings(row):
        return set(itertools.combinations(enumerate(row), together))

    wanted = set().union(*map(meetings, combinations))
    chosen = set()
    while wanted:
        best = max(combinations, key=lambda row: len(meetings(row) & wanted))
        chosen.add(best)
        wanted -= meetings(best)
    return [
        _case([axis[i] for axis, i in zip(axes, row, strict=True)], row in chosen) for row in combinations
    ]


def _values(case):
    return case if isinstance(case, tuple) else (case,)


def _case(values, default):
    return pytest.param(*values, marks=() if default else pytest.mark.full)
