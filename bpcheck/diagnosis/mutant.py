"""Bugs that run: the gradient that code with a bug returns, and such code itself."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from bpcheck import tree
from bpcheck.diagnosis.bug import Bug, Program
from bpcheck.diagnosis.step import Gradient, Rules
from bpcheck.diagnosis.steps import backward, forward
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.reference import build
from bpcheck.subject import from_step

__all__ = ["Mutant", "program_of", "right_program"]


@dataclass(frozen=True)
class Mutant(Bug):
    """A bug of the catalogue, able to predict the gradient it gives.

    Examples
    --------
    >>> from bpcheck.diagnosis import CATALOGUE
    >>> bug = CATALOGUE["hidden-derivative-missing"]
    >>> bug.equation, bug.title
    ('BP2', "σ' forgotten in the hidden layers")
    """

    @classmethod
    def of(cls, bug: Bug) -> Mutant:
        """The same bug, able to run."""
        return cls(**{field.name: getattr(bug, field.name) for field in fields(bug)})

    def predict(self, case: Case, rate: float | None = None) -> Gradient | None:
        """The gradient that code with this bug returns on a case (recovered from a step at a rate).

        None if the code would raise there, or if the bug is no wrong formula. On networks without the step that the
        bug replaces it is the right one.
        """
        return None if self.rules is None else backward(forward(case, rate=rate), self.rules)

    def program(self) -> Program:
        """Code with this bug, for any network: a mutant.

        It runs the mutated backward pass in the precision of its parameters, and raises a ValueError where the shapes
        of the mistake do not fit, as NumPy does.

        Returns
        -------
        callable
            ``program(params, x, y, architecture) -> (loss, gradient)``.
        """
        return self.plant(right_program) if self.plant is not None else program_of(self.rules or Rules())

    def subject(self) -> Any:
        """The mutant as :func:`bpcheck.compare` takes it: an update step, for a mistake of one."""
        program = self.program()
        if "step" not in self.needs:
            return program

        def loss(params: Any, x: Any, y: Any, architecture: Architecture) -> Any:
            return program(params, x, y, architecture)[0]

        def step(params: Any, x: Any, y: Any, lr: float, architecture: Architecture) -> Any:
            _, gradient = program(params, x, y, architecture)
            return tree.mapped(lambda w, g: w - lr * g, params, gradient)

        return from_step(step, loss=loss)


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
