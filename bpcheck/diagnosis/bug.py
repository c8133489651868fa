"""What a bug of the catalogue is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis.layers.dense.steps import Gradient, Rules, backward, forward
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.reference import build

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
    """A known mistake in a backward pass, able to predict the gradient it gives.

    Attributes
    ----------
    slug : str
        Stable name, ``hidden-derivative-missing``.
    title : str
        The same in words.
    equation : str
        BP1, BP2, BP3, BP4, loss, penalty or contract; ``""`` where it is that of the tensor in which it is seen.
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

    Examples
    --------
    >>> from bpcheck.diagnosis import CATALOGUE
    >>> bug = CATALOGUE["hidden-derivative-missing"]
    >>> bug.equation, bug.title
    ('BP2', "σ' forgotten in the hidden layers")
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

    @property
    def hint(self) -> str:
        """The last hint: the line."""
        return self.hints.line

    def predict(self, case: Case) -> Gradient | None:
        """The gradient that code with this bug returns on a case of dense layers.

        None if the code would raise there, or if the bug is no wrong formula.
        """
        return None if self.rules is None else backward(forward(case), self.rules)

    def program(self) -> Program:
        """Code with this bug, for any dense network: a mutant.

        It runs the mutated backward pass in the precision of its parameters, and raises a ValueError where the shapes
        of the mistake do not fit, as NumPy does.

        Returns
        -------
        callable
            ``program(params, x, y, architecture) -> (loss, gradient)``.
        """
        return self.plant(right_program) if self.plant is not None else program_of(self.rules or Rules())


def program_of(rules: Rules) -> Program:
    """Code that runs a backward pass with these rules."""

    def program(params: Any, x: Any, y: Any, architecture: Architecture) -> tuple[Any, Any]:
        case = Case(architecture, params, x, y)
        dtype = np.result_type(*(leaf.dtype for _, leaf in tree.leaves(case.params)))
        gradient = backward(forward(case), rules)
        if gradient is None:
            raise ValueError("operands could not be broadcast together: the shapes do not fit")
        loss = build(architecture).loss(case.params, case.x, case.y)
        leaves = [np.array(gradient[path], dtype=dtype) for path, _ in tree.leaves(params)]
        return dtype.type(loss), tree.restore(params, leaves)

    return program


right_program = program_of(Rules())
"""Right code, for mistakes to be planted in."""
