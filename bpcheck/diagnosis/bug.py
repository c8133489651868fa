"""What a bug is: its name, its words, and the step of the backward pass that it replaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from bpcheck.diagnosis.step import Rules
from bpcheck.network.architecture import Architecture

__all__ = ["Bug", "Hints", "Program"]

Program: TypeAlias = Callable[[Any, Any, Any, Architecture], tuple[Any, Any]]
"""Somebody's code: ``program(params, x, y, architecture) -> (loss, gradient)``."""


@dataclass(frozen=True)
class Hints:
    """Three hints, each telling more than the one before.

    Attributes
    ----------
    symptom : str
        What is seen, and what still is right.
    equation : str
        Which equation to read again, as a question.
    line : str
        What to write in the line that is wrong.
    """

    symptom: str
    equation: str
    line: str

    @property
    def ladder(self) -> tuple[str, str, str]:
        """All three, in order."""
        return self.symptom, self.equation, self.line


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
        return self.hints.line
