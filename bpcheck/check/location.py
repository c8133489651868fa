"""What locate() answers: where a claimed gradient is wrong, by how much, and what it could not have seen."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from bpcheck import tree
from bpcheck.numeric.locate import Fault, Index, Sight
from bpcheck.precision import told_apart
from bpcheck.tree import Path

__all__ = ["Example", "Finding", "Limit", "Location", "finding", "sizes_of", "times"]

Kind: TypeAlias = Literal["entry", "row", "column", "slice", "tensor"]

# The chance with which an error as large as `Limit.sure` may slip through; `Limit.likely` is for 1 %.
MISS_PROBABILITY = 1e-6
LIKELY = 1e-2

# More findings than this bury the first; to_data() has them all.
MOST_PRINTED = 20

# A factor is called 2, −1 or 1/32 if it is, to its own error and this relative one.
SAME_FACTOR = 1e-9

# A factor is only looked for among the lengths of the arguments' axes if it is no small number.
SMALL_FACTOR = 2


@dataclass(frozen=True)
class Example:
    """One entry of a wrong part, measured on its own.

    Attributes
    ----------
    index : tuple of int
    claimed, expected, error : float
        The right value is ``expected`` ± ``error``.
    """

    index: tuple[int, ...]
    claimed: float
    expected: float
    error: float


@dataclass(frozen=True, eq=False)
class Finding:
    """Something in a claimed gradient that is wrong.

    Attributes
    ----------
    path : str
        As the caller would write it: ``params[2]['weight']``.
    kind : {"entry", "row", "column", "slice", "tensor"}
        A row has the first index fixed, a column the last one, of two; a slice is one of more axes.
    index : tuple of int or slice
    claimed, expected, error : float
        Of an entry: the right value is ``expected`` ± ``error``. NaN for anything larger.
    factor : float
        Claimed over right where the two are in proportion; NaN where not.
    hypothesis : str
        What the claimed part is, where that was recognised: ``"zero"``, ``"scaled"``, ``"transposed"``, …
    examples : tuple of Example
        Entries of a larger part that were measured on their own.
    evidence : tuple of str
        How it was found to be wrong, one sentence each.
    text : str
        The finding in one line.
    """

    path: str
    kind: Kind
    index: Index
    claimed: float = math.nan
    expected: float = math.nan
    error: float = math.nan
    factor: float = math.nan
    hypothesis: str = ""
    examples: tuple[Example, ...] = ()
    evidence: tuple[str, ...] = ()
    text: str = ""

    @property
    def place(self) -> str:
        """Path and index as one writes them: ``params[2]['weight'][17, :]``."""
        return place(self.path, self.index)

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"

    def to_data(self) -> dict[str, Any]:
        """The finding as plain data; ``None`` for an axis that is whole, and for NaN."""
        return {
            "path": self.path,
            "kind": self.kind,
            "index": [i if isinstance(i, int) else None for i in self.index],
            "claimed": _finite(self.claimed),
            "expected": _finite(self.expected),
            "error": _finite(self.error),
            "factor": _finite(self.factor),
            "hypothesis": self.hypothesis,
            "examples": [
                {"index": list(e.index), "claimed": e.claimed, "expected": e.expected, "error": e.error}
                for e in self.examples
            ],
            "evidence": list(self.evidence),
            "text": self.text,
        }


@dataclass(frozen=True)
class Limit:
    """How small an error of one tensor would have been seen, beside what was found.

    For an entry as large as ``typical`` or up to ten times smaller or larger, limits are relative to the
    entry (times ``typical``); below, they are those of an entry of a tenth.

    Attributes
    ----------
    entry : float
        One wrong entry, off by so much, is seen for certain.
    likely : float
        Where several are wrong and may cancel: the largest of them is this large, and all slip
        through with probability 1 % at most.
    sure : float
        The same for one in a million.
    typical : float
        Median size of the entries of the claimed gradient, 0 if all are 0.

    Notes
    -----
    All three hold if the error bars do.
    """

    entry: float
    likely: float
    sure: float
    typical: float

    @property
    def relative(self) -> float:
        """``entry`` in units of ``typical``; infinite for a gradient that is claimed to be 0."""
        return self.entry / self.typical if self.typical > 0.0 else math.inf

    @classmethod
    def of(cls, sight: Sight) -> Limit:
        """From what the search measured."""
        return cls(sight.single(), sight.several(LIKELY), sight.several(MISS_PROBABILITY), sight.typical)


@dataclass(frozen=True, eq=False)
class Location:
    """Where a claimed gradient is wrong. ``bool(location)`` is True if anything was found.

    Attributes
    ----------
    findings : tuple of Finding
        Each confirmed by a measurement of its own.
    complete : bool
        Whether all else was looked at, and is right up to ``limit``.
    limit : mapping of str to Limit
        By path, for the tensors that were looked at to the end.
    evaluations : int
        Calls of the loss (and one of the gradient).
    seed : int
        Gives the same answer again.
    warnings : tuple of str
        What could not be looked at, and why.

    Examples
    --------
    >>> import bpcheck
    >>> location = bpcheck.locate(lambda w: np.sum(w**2), lambda w: 2 * w, np.arange(6.0), seed=0)
    >>> location.findings, location.complete
    ((), True)
    """

    findings: tuple[Finding, ...]
    complete: bool
    limit: Mapping[str, Limit]
    evaluations: int
    seed: int
    warnings: tuple[str, ...] = ()
    subject: str = ""
    miss_probability: float = field(default=MISS_PROBABILITY)

    def __bool__(self) -> bool:
        return bool(self.findings)

    def to_data(self) -> dict[str, Any]:
        """All of it as plain data, ready for JSON."""
        return {
            "subject": self.subject,
            "findings": [finding.to_data() for finding in self.findings],
            "complete": self.complete,
            "limit": {
                path: {"entry": lim.entry, "likely": lim.likely, "sure": lim.sure, "typical": lim.typical}
                for path, lim in self.limit.items()
            },
            "miss_probability": self.miss_probability,
            "evaluations": self.evaluations,
            "seed": self.seed,
            "warnings": list(self.warnings),
        }

    def to_json(self) -> str:
        """The location as a JSON object."""
        return json.dumps(self.to_data(), indent=2, allow_nan=False)

    def __str__(self) -> str:
        count = len(self.findings)
        head = "nothing wrong found" if not count else f"{count} finding{'s' if count > 1 else ''}"
        lines = [f"locate: {self.subject}  {head}", ""]
        lines += [f"  {finding}" for finding in self.findings[:MOST_PRINTED]]
        if count > MOST_PRINTED:
            lines.append(f"  … and {count - MOST_PRINTED} more")
        if count:
            lines.append("")
        if self.limit:
            widest = max(self.limit, key=lambda path: self.limit[path].relative)
            relative = self.limit[widest].relative
            rest = "Everything else" if count else "The gradient"
            if not self.complete:
                rest = "What was looked at to the end"
            seen = (
                f"off by more than {relative:.1e} of itself" if math.isfinite(relative) else "that is not 0"
            )
            lines.append(f"  {rest} is right as far as can be seen: one entry {seen} would have shown")
            lines.append(f"  (in {widest}; entries below a tenth of the median count as a tenth).")
        if not self.complete:
            lines.append("  This is not all: see the warnings.")
        lines += [f"  warning: {warning}." for warning in self.warnings]
        lines += ["", f"  {self.evaluations} evaluations, seed {self.seed}"]
        return "\n".join(lines)


def place(path: str, index: Index) -> str:
    """``params['w'][17, :]``; the path alone for all of a tensor.

    Examples
    --------
    >>> place("w", (17, slice(None))), place("w", (slice(None),))
    ('w[17, :]', 'w')
    """
    if all(isinstance(i, slice) for i in index):
        return path
    return f"{path}[{', '.join(str(i) if isinstance(i, int) else ':' for i in index)}]"


def kind(index: Index) -> Kind:
    """What an index takes in.

    Examples
    --------
    >>> kind((1, 2)), kind((1, slice(None))), kind((slice(None), 1)), kind((slice(None),))
    ('entry', 'row', 'column', 'tensor')
    """
    fixed = [isinstance(i, int) for i in index]
    if all(fixed):
        return "entry"
    if not any(fixed):
        return "tensor"
    if len(index) == 2:
        return "row" if fixed[0] else "column"
    return "slice"


def finding(fault: Fault, sizes: Mapping[str, int]) -> Finding:
    """Put a fault into words.

    Parameters
    ----------
    fault : Fault
    sizes : mapping of str to int
        Lengths that a factor may be equal to, by what they are lengths of.

    Returns
    -------
    Finding
    """
    which = kind(fault.index)
    examples = tuple(Example(at, e.claimed, e.value, e.bar) for at, e in fault.entries)
    if which == "entry":
        (example,) = examples
        text = f"claimed {_as_exact(example)}, should be {_with_error(example.expected, example.error)}"
        if math.isfinite(fault.factor) and fault.factor != 0.0:
            text += f" ({times(fault.factor, fault.factor_error, sizes)})"
        evidence = (
            "seen along a random direction, found by its moments, and measured on its own: "
            f"the claim is {abs(example.claimed - example.expected) / example.error:.1g} error bars off",
        )
        return Finding(
            str(fault.path), which, fault.index, example.claimed, example.expected, example.error,
            fault.factor, "", (), evidence, text,
        )  # fmt: skip
    part = {"tensor": "the tensor", "row": "the row", "column": "the column", "slice": "the slice"}[which]
    told = [
        f"along a fresh random direction of {part} the claim is off by "
        f"{abs(fault.probe_value) / fault.probe_bar if fault.probe_bar > 0.0 else math.inf:.1g} error bars"
    ]
    if fault.hypothesis and fault.hypothesis != "zero":
        told.append(
            "the rule holds within the error bars along every direction that was measured; "
            f"a wrong one would with probability {fault.accident:.0e} at most"
        )
    return Finding(
        str(fault.path), which, fault.index, math.nan, math.nan, math.nan, _proportion(fault),
        fault.hypothesis, examples, tuple(told), _sentence(fault, part, examples, sizes),
    )  # fmt: skip


def _proportion(fault: Fault) -> float:
    return fault.factor if "scaled" in fault.hypothesis or fault.hypothesis == "zero" else math.nan


def _sentence(fault: Fault, part: str, examples: Sequence[Example], sizes: Mapping[str, int]) -> str:
    rule = fault.hypothesis
    if rule == "zero":
        return f"{part} is claimed to be 0, and is not"
    if rule == "scaled":
        return f"{part} {as_factor(times(fault.factor, fault.factor_error, sizes))}"
    if rule.endswith(", scaled"):
        said = as_factor(times(fault.factor, fault.factor_error, sizes))
        return f"{part} is {rule.removesuffix(', scaled')}, and {said}"
    if rule.startswith("off by a multiple of the "):
        what = rule.removeprefix("off by a multiple of the ")
        hint = "weight decay" if what == "parameters" else "an L1 penalty"
        return f"{part} is off by {fault.factor:.6g} times the {what}: is {hint} missing, or counted twice?"
    if rule == "off by a constant":
        return f"every entry of {part} is off by {fault.factor:.6g}"
    if rule.startswith("that of "):
        return f"{part} holds the gradient of {rule.removeprefix('that of ')}"
    if rule:
        return f"{part} is {rule}"
    text = f"{part} is wrong, by no rule known here"
    if examples:
        first = examples[0]
        shown = f"[{', '.join(map(str, first.index))}]"
        text += (
            f"; for example {shown}: claimed {_as_exact(first)}, "
            f"should be {_with_error(first.expected, first.error)}"
        )
    return text


def _with_error(value: float, error: float) -> str:
    digits = 6
    if error > 0.0 and value != 0.0:
        digits = min(15, max(2, math.ceil(math.log10(abs(value) / error)) + 1)) if abs(value) > error else 2
    return f"{value:.{digits}g} ± {error:.0e}"


def _as_exact(example: Example) -> str:
    """The claim with six digits, and with more where it takes more to tell it from the right value."""
    return told_apart(example.claimed, example.expected)[0]


def times(factor: float, error: float, sizes: Mapping[str, int]) -> str:
    """``2 times``, ``-1 times``, ``1/32 times (the length of axis 0 of args[0])``, ``1.001 times``."""
    if factor == 0.0 or not math.isfinite(factor):
        return f"{factor:g} times"
    doubt = error / abs(factor) + SAME_FACTOR
    sign = "-" if factor < 0.0 else ""
    for value, form in ((abs(factor), "{}"), (1.0 / abs(factor), "1/{}")):
        whole = round(value)
        if whole >= 1 and abs(value - whole) <= doubt * whole:
            named = [name for name, size in sizes.items() if size == whole] if whole > SMALL_FACTOR else []
            hint = f" ({named[0]} is {whole})" if named else ""
            return f"{sign}{form.format(whole)} times{hint}"
    digits = min(12, max(3, math.ceil(-math.log10(doubt))))
    return f"{factor:.{digits}g} times"


def as_factor(words: str) -> str:
    """What is said of a part that is so many times the right one.

    Examples
    --------
    >>> as_factor("7 times (axis 0 of args[0] is 7)")
    'is 7 times what it should be (axis 0 of args[0] is 7)'
    """
    count, space, hint = words.partition(" (")
    return f"is {count} what it should be{space}{hint}"


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def nonfinite(path: Path, index: Index, claimed: float, text: str) -> Finding:
    """A finding for entries that are NaN or infinite: no evaluation is needed to see these."""
    return Finding(str(path), kind(index), index, claimed, hypothesis="not finite", text=text)


def sizes_of(args: tuple[Any, ...]) -> dict[str, int]:
    """Lengths of the axes of the arguments, by name."""
    sizes: dict[str, int] = {}
    for number, argument in enumerate(args):
        for path, leaf in tree.leaves(argument, f"args[{number}]"):
            if isinstance(leaf, np.ndarray):
                for axis, length in enumerate(leaf.shape):
                    sizes[f"axis {axis} of {path}"] = length
    return sizes
