"""A derivation: lines that are equal one to the next, the reason for each, and mistakes it must refuse."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy

from bpcheck.errors import BpcheckError, InputError
from bpcheck.rendering import rendering
from bpcheck.symbolic.index.check import Line, check_line
from bpcheck.symbolic.index.given import Given, validate
from bpcheck.symbolic.index.render import text

__all__ = ["RULES", "Derivation", "Mutant", "MutantSurvives", "Proof", "Step", "StepFails"]

RULES = {
    "definition": "a definition is written out, or used backwards to name what it defines",
    "chain rule": "what depends on something through others: the sum over all ways",
    "sum rule": "the derivative of a sum is the sum of the derivatives",
    "product rule": "d(uv) = du v + u dv",
    "quotient rule": "d(u/v) = (du v − u dv)/v²",
    "derivative": "the derivative of a known function, or of a coordinate by a coordinate: [j = k]",
    "delta": "[j = k] under a sum over j leaves the term j = k",
    "last term": "a sum up to t + 1 is the sum up to t, and its last term; a sum up to 1 is one term",
    "geometric sum": "Σ β^{t−i} over i = 1 … t is (1 − β^t)/(1 − β), as all but two of its differences cancel",
    "algebra": "distribute, collect, cancel, rename a summation index",
    "fact": "something that is given",
}


@dataclass(frozen=True)
class Step:
    """One line: what the line before is equal to, by which rule, and a sentence for the reader.

    Parameters
    ----------
    after : term
    rule : str
        One of :data:`RULES`.
    because : str
    """

    after: Any
    rule: str
    because: str

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InputError(f"rule {self.rule!r} is unknown; take one of {', '.join(RULES)}.")
        if isinstance(self.after, str):
            raise InputError(f"a step holds an expression of bpcheck.symbolic.index; given: {self.after!r}.")
        object.__setattr__(self, "after", sympy.sympify(self.after))


@dataclass(frozen=True)
class Mutant:
    """A line with a mistake. Each of the three checks must refuse it.

    Parameters
    ----------
    mistake : str
        In a few words: "σ' is missing".
    step : int
        Which step it replaces; the first is 1.
    after : term
    """

    mistake: str
    step: int
    after: Any


class StepFails(BpcheckError, AssertionError):
    """A step does not hold.

    Attributes
    ----------
    number : int
        The first step is 1.
    line : Line
        Both sides, and what each check says.
    """

    def __init__(self, title: str, number: int, line: Line) -> None:
        self.number, self.line = number, line
        checks = {
            "canonical form": line.canonical,
            "instances in plain SymPy": line.instances,
            "60-digit numbers": line.digits,
        }
        failed = [name for name, held in checks.items() if not held]
        super().__init__(
            f"{title}, step {number} does not hold ({', '.join(failed)}):\n"
            f"  before  {text(line.before)}\n  after   {text(line.after)}\n  {line.counterexample or ''}".rstrip()
        )


class MutantSurvives(BpcheckError, AssertionError):
    """A check accepts a line with a mistake in it: the check is blind."""


@dataclass(frozen=True)
class Proof:
    """A derivation that was checked.

    Attributes
    ----------
    derivation : Derivation
    lines : tuple of Line
        One for each step.
    refused : tuple of Line
        One for each mutant.
    seconds : float
        For the steps, without the mutants.
    """

    derivation: Derivation
    lines: tuple[Line, ...]
    refused: tuple[Line, ...]
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.derivation.title}: {len(self.lines)} steps hold, each checked three ways "
            f"({self.seconds:.2f} s); {len(self.refused)} planted mistakes refused"
        )


@dataclass(frozen=True, eq=False)
class Derivation:
    """A chain of equal lines, from what is asked to what is used.

    Parameters
    ----------
    title : str
    start : term
        The first line, what is asked.
    steps : tuple of Step
    given : tuple of Definition and TotalIs
        What may be used.
    assumes : tuple of str
        What is used and cannot be checked here.
    mutants : tuple of Mutant
    implemented_by : tuple of str
        Functions of :mod:`bpcheck.reference` that compute the last line; empty where there is none yet.
    about : str
        A paragraph in front.
    name : term or None
        The left side of the result, if it has a shorter name than the first line: δ^l_j.

    Examples
    --------
    >>> from bpcheck.symbolic.index import Diff, Index, Size, Tensor, total
    >>> n, x = Size("n"), Tensor("x")
    >>> j, k = Index("j", n), Index("k", n)
    >>> square = Derivation(
    ...     "The gradient of a square",
    ...     Diff(total(x[k] ** 2, k), x[j]),
    ...     (
    ...         Step(total(Diff(x[k] ** 2, x[j]), k), "sum rule", "Term by term."),
    ...         Step(2 * x[j], "delta", "Only k = j names x_j."),
    ...     ),
    ...     mutants=(Mutant("a sum left over", 2, 2 * total(x[k], k)),),
    ... )
    >>> [line.ok for line in square.check().lines]
    [True, True]
    """

    title: str
    start: Any
    steps: tuple[Step, ...]
    given: Given = ()
    assumes: tuple[str, ...] = ()
    mutants: tuple[Mutant, ...] = ()
    implemented_by: tuple[str, ...] = ()
    about: str = ""
    name: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", validate(self.given))
        for name, kind in (("steps", Step), ("mutants", Mutant)):
            items = getattr(self, name)
            if not isinstance(items, (tuple, list)) or not all(isinstance(item, kind) for item in items):
                raise InputError(
                    f"{self.title}: {name} is a tuple of {kind.__name__}, ({kind.__name__}(…),)."
                )
        if not self.steps:
            raise InputError(f"{self.title}: a derivation needs at least one step.")
        for mutant in self.mutants:
            if not 1 <= mutant.step <= len(self.steps):
                raise InputError(
                    f"{self.title}: mutant {mutant.mistake!r} replaces step {mutant.step} of {len(self.steps)}."
                )

    @property
    def result(self) -> Any:
        """The last line."""
        return self.steps[-1].after

    def pairs(self) -> Iterator[tuple[Any, Step]]:
        """Each step with the line before it."""
        before = self.start
        for step in self.steps:
            yield before, step
            before = step.after

    def check(self, *, seed: int = 0) -> Proof:
        """Check every step in three ways, and that each check refuses every mutant.

        Raises
        ------
        StepFails
            At the first step that does not hold, with its number, both sides and a counterexample.
        MutantSurvives
            If a check accepts a mutant.
        """
        started = time.perf_counter()
        lines = []
        for number, (before, step) in enumerate(self.pairs(), start=1):
            line = check_line(before, step.after, self.given, seed=seed)
            if not line.ok:
                raise StepFails(self.title, number, line)
            lines.append(line)
        seconds = time.perf_counter() - started
        befores = [before for before, _ in self.pairs()]
        refused = []
        for mutant in self.mutants:
            line = check_line(befores[mutant.step - 1], mutant.after, self.given, seed=seed)
            if line.canonical or line.instances or line.digits:
                raise MutantSurvives(
                    f"{self.title}: the mistake {mutant.mistake!r} in step {mutant.step} is accepted: {line}"
                )
            refused.append(line)
        return Proof(self, tuple(lines), tuple(refused), seconds)

    def __str__(self) -> str:
        return rendering("derivation")(self)
