"""What has been seen so far: how many cases, what was decided, and what decides the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

from bpcheck.network.case import Case
from bpcheck.result import Comparison, SetAside
from bpcheck.search.judging import Judged
from bpcheck.verdict import Verdict

__all__ = ["Tally"]

# If fewer than this share of the random cases could be decided, an AGREES would promise too much.
LEAST_DECIDED = 0.5


@dataclass(eq=False)
class Tally:
    """Cases that were looked at and did not fail.

    Attributes
    ----------
    judged, undecided, at_kink : int
        How many could be decided, how many could not, and in how many a unit sat at a kink.
    comparisons : list of Comparison
        Of all that were decided.
    right : list of Case
        Those that agreed.
    decisive, unresolved : Judged or None
        The most severe of those that were decided; one that was not.
    set_aside : list of SetAside
    turned : dict of str to Case
        By tensors that are declared approximate: the first case in which one points away from the right gradient.
    """

    judged: int = 0
    undecided: int = 0
    at_kink: int = 0
    comparisons: list[Comparison] = field(default_factory=list)
    right: list[Case] = field(default_factory=list)
    decisive: Judged | None = None
    unresolved: Judged | None = None
    set_aside: list[SetAside] = field(default_factory=list)
    turned: dict[str, Case] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        """Cases that were looked at."""
        return self.judged + self.undecided

    def count(self, judged: Judged) -> None:
        """One more case."""
        if judged.verdict is Verdict.INCONCLUSIVE:
            self.undecided += 1
            if judged.suspicious or self.unresolved is None:
                self.unresolved = judged
            return
        self.judged += 1
        self.set_aside += judged.set_aside
        for one in judged.set_aside:
            if one.away > 0.0:
                self.turned.setdefault(one.path, judged.case)
        self.right.append(judged.case)
        self.comparisons += judged.comparisons
        if self.decisive is None or judged.verdict.severity > self.decisive.verdict.severity:
            self.decisive = judged

    def in_doubt(self, attempts: int, *, every_one: bool) -> Judged | None:
        """The case that stayed undecided, where so many did that nothing can be promised."""
        if self.unresolved is None:
            return None
        too_few = self.judged < (attempts if every_one else LEAST_DECIDED * attempts)
        return self.unresolved if too_few or self.unresolved.suspicious or self.decisive is None else None
