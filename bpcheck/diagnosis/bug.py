"""What a bug is: its name, its words, and the step of the backward pass that it replaces."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

from bpcheck.diagnosis.step import Rules, Step
from bpcheck.network.architecture import Architecture

__all__ = ["Bug", "Family", "Hints", "Program"]

Program: TypeAlias = Callable[[Any, Any, Any, Architecture], tuple[Any, Any]]
"""Somebody's code: ``program(params, x, y, architecture) -> (loss, gradient)``."""

Hints: TypeAlias = tuple[str, str, str]
"""Each telling more than the one before: what is seen, and what still is right; which equation to read again, as a
question; what to write in the line that is wrong."""


@dataclass(frozen=True)
class Bug:
    """A known mistake in a backward pass; :class:`~bpcheck.diagnosis.mutant.Mutant` runs it.

    Attributes
    ----------
    slug : str
        Stable name, ``hidden-derivative-missing``.
    title : str
        The same in words.
    equation : str
        Name of the equation of the step that it replaces (BP1, kernel gradient), loss, penalty or contract; ``""`` where it
        is that of the tensor in which it is seen.
    explanation : str
        One line for a student.
    hints : Hints
    rules : Rules or None
        The backward pass with the mistake in it; None where the mistake is no wrong formula (an argument
        changed, a sum that is never reset): then ``plant`` alone shows what it does.
    silent : str
        Where it cannot be seen.
    confused : tuple of str
        Slugs that give the same numbers on some networks.
    plant : callable or None
        ``plant(right) -> program`` with the mistake, for mistakes that ``rules`` cannot express.
    needs : frozenset of str
        What the mistake is about (:attr:`~bpcheck.diagnosis.observation.Observation.traits`): where there is nothing of
        the kind, it is no explanation, whatever the numbers are.
    """

    slug: str
    title: str
    equation: str
    explanation: str
    hints: Hints
    rules: Rules | None = None
    silent: str = ""
    confused: tuple[str, ...] = ()
    plant: Callable[[Program], Program] | None = None
    needs: frozenset[str] = frozenset()

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of layers whose steps it replaces; empty where it is about none in particular."""
        changed = () if self.rules is None else self.rules.changed
        return frozenset(step.kind for step in changed if step.kind != "network")

    @property
    def hint(self) -> str:
        """The last hint: the line."""
        return self.hints[-1]


@dataclass(frozen=True)
class Family:
    """What bugs that replace the same step have in common.

    Attributes
    ----------
    step : Step
    symptom : str
        The first hint.
    read : str
        What to read again; with a bug's own question it is the second hint.
    needs : frozenset of str
        As of each bug.
    """

    step: Step
    symptom: str
    read: str
    needs: frozenset[str] = frozenset()

    def bug(
        self,
        slug: str,
        title: str,
        explanation: str,
        question: str,
        line: str,
        rule: Callable[..., Any],
        *,
        silent: str = "",
        confused: tuple[str, ...] = (),
        needs: Set[str] = frozenset(),
    ) -> Bug:
        """The bug that has ``rule`` in place of the step; ``line`` is the last hint."""
        equation = self.step.name if self.step.equation is None else self.step.equation.name
        hints = (self.symptom, f"{self.read}: {question}", line)
        rules = Rules().but(self.step, rule)
        return Bug(
            slug, title, equation, explanation, hints, rules, silent, confused, needs=self.needs | needs
        )
