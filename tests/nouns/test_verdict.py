"""Verdicts: six words with an order, and a remedy for each."""

import itertools

import pytest

from bpcheck import Verdict

BY_SEVERITY = ["WRONG_STRUCTURE", "NONFINITE", "DISAGREES", "INCONCLUSIVE", "AGREES_AT_KINK", "AGREES"]


def test_the_order_is_that_of_the_definition():
    assert [verdict.name for verdict in Verdict] == BY_SEVERITY
    assert [verdict.severity for verdict in Verdict] == [5, 4, 3, 2, 1, 0]


def test_the_worst_of_any_pair_is_the_more_severe_in_any_order():
    for (i, first), (j, second) in itertools.product(enumerate(Verdict), repeat=2):
        assert Verdict.worst([first, second]) is (first if i <= j else second)
    assert Verdict.worst(reversed(Verdict)) is Verdict.WRONG_STRUCTURE
    assert Verdict.worst(iter([Verdict.AGREES] * 3)) is Verdict.AGREES


def test_the_worst_of_nothing_is_no_pass():
    assert Verdict.worst([]) is Verdict.INCONCLUSIVE


def test_only_two_are_ok():
    assert [verdict.name for verdict in Verdict if verdict.ok] == ["AGREES_AT_KINK", "AGREES"]


@pytest.mark.parametrize("verdict", Verdict)
def test_each_has_a_sentence_and_a_remedy(verdict):
    assert verdict.remedy.endswith(".")
    assert len(verdict.value) > 20
    assert repr(verdict) == f"<Verdict.{verdict.name}>"
