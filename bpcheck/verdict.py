"""The six things that a check can say, by severity, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

__all__ = ["Verdict"]


class Verdict(Enum):
    """What a comparison says; the most severe first.

    Attributes
    ----------
    ok : bool
        True for AGREES and AGREES_AT_KINK.
    remedy : str
        What to do next, in one sentence.

    Examples
    --------
    >>> Verdict.worst([Verdict.AGREES, Verdict.INCONCLUSIVE])
    <Verdict.INCONCLUSIVE>
    >>> bool(Verdict.INCONCLUSIVE.ok)
    False
    """

    WRONG_STRUCTURE = "the answer does not have the form of the parameters"
    NONFINITE = "the answer holds NaN or infinity where the right value is finite"
    DISAGREES = "the difference is larger than all rounding together can explain"
    INCONCLUSIVE = "the numbers cannot decide"
    AGREES_AT_KINK = "the loss has a corner here (as ReLU at 0), and the answer is one of its valid slopes"
    AGREES = "the difference lies within the error bound"

    @property
    def ok(self) -> bool:
        """Whether a caller may go on: AGREES or AGREES_AT_KINK."""
        return self in (Verdict.AGREES, Verdict.AGREES_AT_KINK)

    @property
    def severity(self) -> int:
        """5 for WRONG_STRUCTURE down to 0 for AGREES."""
        return len(Verdict) - 1 - list(Verdict).index(self)

    @property
    def remedy(self) -> str:
        """What to do next."""
        return _REMEDIES[self]

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The most severe of several; INCONCLUSIVE if there are none, for nothing was looked at."""
        return max(verdicts, key=lambda verdict: verdict.severity, default=cls.INCONCLUSIVE)

    def __repr__(self) -> str:
        return f"<Verdict.{self.name}>"


_REMEDIES = {
    Verdict.WRONG_STRUCTURE: "Return one gradient array for each parameter, nested and shaped as the parameters are.",
    Verdict.NONFINITE: "Look for a division by zero, log(0), or an exponential that overflows.",
    Verdict.DISAGREES: "Correct what the report names, then run the same case again.",
    Verdict.INCONCLUSIVE: "Compute in float64 if that is not done yet, ask for a coarser resolution, or move to parameters "
    "that are better scaled.",
    Verdict.AGREES_AT_KINK: "Nothing to correct: at a corner of the loss every value between its one-sided derivatives is a "
    "valid choice.",
    Verdict.AGREES: "Nothing to correct.",
}
