"""What a bug of the catalogue is."""

from __future__ import annotations

from dataclasses import dataclass

from bpcheck.case import Case
from bpcheck.diagnosis.backward import Rules, backward, forward
from bpcheck.tree import FloatArray, Path

__all__ = ["Bug"]


@dataclass(frozen=True)
class Bug:
    """A known mistake in a backward pass, able to predict the gradient it gives.

    Attributes
    ----------
    slug : str
        Stable name, ``hidden-derivative-missing``.
    equation : str
        BP1, BP2, BP3, BP4 or penalty.
    explanation : str
        One line for a student.
    hint : str
        What to look at.
    rules : Rules
        The backward pass with the mistake in it.
    silent : str
        Where it cannot be seen.

    Examples
    --------
    >>> from bpcheck.diagnosis import CATALOGUE
    >>> CATALOGUE["hidden-derivative-missing"].equation
    'BP2'
    """

    slug: str
    equation: str
    explanation: str
    hint: str
    rules: Rules
    silent: str = ""

    def predict(self, case: Case) -> dict[Path, FloatArray] | None:
        """The gradient that code with this bug returns on a case of dense layers; None if it would raise."""
        return backward(forward(case), self.rules)
