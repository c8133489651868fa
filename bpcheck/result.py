"""Results: what an estimate, a comparison and a whole report hold. All are immutable."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, ClassVar, overload

import numpy as np

from bpcheck.errors import GradientInconclusive, GradientMismatch, InputError
from bpcheck.network.case import Case
from bpcheck.rendering import rendering
from bpcheck.tree import FloatArray, Path
from bpcheck.verdict import Verdict

SCHEMA_VERSION = 1
"""Of the JSON that a report writes. It goes up by one whenever a reader of the old form would misread the new
one; a field more is no reason. ``bpcheck.report.schema()`` is the schema."""

__all__ = [
    "SCHEMA_VERSION",
    "Comparison",
    "DetectionLimit",
    "Diagnosis",
    "Estimate",
    "Report",
    "SetAside",
    "Testimony",
]


@dataclass(frozen=True)
class Estimate:
    """A derivative found by evaluating a function, with its error.

    Attributes
    ----------
    value : float
    truncation : float
        Bound on the part of the error that comes from a step that is not zero.
    rounding : float
        Bound on the part that comes from noise in the function's values.
    step : float
        Step size used.
    order : int
        Order of convergence of the entry used.
    evaluations : int
        How often the function was called.
    regime : {"smooth", "noise", "rough", "kink", "exact"}
        What the function looked like at this point.
    interval : (float, float) or None
        One-sided derivatives, in order, where a kink was seen.

    Examples
    --------
    >>> Estimate(2.0, truncation=1e-12, rounding=1e-13, step=0.1).error
    1.1e-12
    """

    value: float
    truncation: float
    rounding: float
    step: float = math.nan
    order: int = 2
    evaluations: int = 0
    regime: str = "smooth"
    interval: tuple[float, float] | None = None

    @property
    def error(self) -> float:
        """Bound on |value − derivative|."""
        return self.truncation + self.rounding


@dataclass(frozen=True, eq=False)
class Testimony:
    """What one witness says about a case: loss and gradient, each with a bound on its error.

    Attributes
    ----------
    witness : str
        ``"analytic"``, ``"symbolic"``, ``"numeric"`` or ``"certified"``.
    loss, loss_error : float
    gradient : mapping of Path to float64 array
        Paths start with ``params``.
    error : mapping of Path to float64 array
        Bound on |gradient − exact|, entry by entry.
    evaluations : int
        Evaluations of the cost that it took (0 if none).
    """

    __test__: ClassVar[bool] = False  # no test class, though its name begins like one

    witness: str
    loss: float
    loss_error: float
    gradient: Mapping[Path, FloatArray]
    error: Mapping[Path, FloatArray]
    evaluations: int = 0


@dataclass(frozen=True, eq=False)
class Comparison:
    """One tensor of a gradient (or the loss) held against what it should be.

    Attributes
    ----------
    path : str
        As the caller would write it: ``params[0]['weight']``.
    verdict : Verdict
    reason : str
        One sentence that says why.
    actual, expected, bound : array or None
        The claim, the right value and the largest difference that rounding explains, entry by
        entry; None where the structure is wrong.
    worst_index : tuple of int
        Entry with the largest difference in units of its bound.
    scale : float
        c = <actual, expected> / <expected, expected>: 1 for a right gradient, the batch size where a
        mean was forgotten.
    residual : float
        ‖actual − c·expected‖ / ‖expected‖, what a wrong scale does not explain.
    detection_limit : float
        The smallest relative error of an entry, in units of the tensor's root mean square, that is
        certain to be seen.
    name : str
        The book's name for the tensor, ``W²`` or ``b³``, where it has one.
    reference_size : float
        What ``detection_limit`` is relative to: the tensor's root mean square; where the tensor is zero to
        rounding, the size that would be natural for it (judged by the loss or by the other tensors).
    ours : Comparison or None
        The same tensor in bpcheck's own layout, where the caller's is another one.
    """

    path: str
    verdict: Verdict
    reason: str = ""
    actual: FloatArray | None = None
    expected: FloatArray | None = None
    bound: FloatArray | None = None
    worst_index: tuple[int, ...] = ()
    scale: float = math.nan
    residual: float = math.nan
    detection_limit: float = math.nan
    name: str = ""
    reference_size: float = math.nan
    ours: Comparison | None = field(default=None, repr=False)

    @property
    def in_our_layout(self) -> Comparison:
        """The comparison in bpcheck's own layout, in which a network is drawn."""
        return self if self.ours is None else self.ours

    @property
    def label(self) -> str:
        """Path and book name: ``params[0]['weight'] (W²)``."""
        return f"{self.path} ({self.name})" if self.name else self.path

    def _worst(self, values: FloatArray | None) -> float | None:
        return None if values is None or not values.size else float(values[self.worst_index])

    def to_data(self) -> dict[str, Any]:
        """The comparison as plain data; arrays are summed up by their worst entry."""
        return {
            "path": self.path,
            "name": self.name,
            "verdict": self.verdict.name,
            "reason": self.reason,
            "worst_index": list(self.worst_index),
            "actual": _finite(self._worst(self.actual)),
            "expected": _finite(self._worst(self.expected)),
            "bound": _finite(self._worst(self.bound)),
            "scale": _finite(self.scale),
            "residual": _finite(self.residual),
            "detection_limit": _finite(self.detection_limit),
            "reference_size": _finite(self.reference_size),
        }


@dataclass(frozen=True)
class Diagnosis:
    """Where a wrong gradient goes wrong, and which bug it is if a bug reproduces it.

    Attributes
    ----------
    equation : str
        ``"BP1"`` … ``"BP4"``, that of another layer's step (``"kernel gradient"``, ``"skip path"``), ``"loss"``,
        ``"penalty"``, ``"contract"``, or ``""`` if unknown.
    path : str
        The tensor where it is seen.
    bug : str
        Slug of the bug that reproduces the numbers, or ``""``.
    evidence : tuple of str
        What was observed, one sentence each.
    hint : str
        What to look at in the code.
    hints : tuple of str
        Where the bug has a name: what is seen, which equation to read again, what to write in the line. Each tells
        more than the one before.
    layer : int or None
        The layer l of the book: 2 is the first one with weights, L the output.
    explanation : int
        Diagnoses of one number are at work at the same time; those of different numbers are alternatives, which
        give the same wrong numbers.
    apart : str
        Where there are alternatives, the experiment that would tell them apart.
    """

    equation: str
    path: str = ""
    bug: str = ""
    evidence: tuple[str, ...] = ()
    hint: str = ""
    layer: int | None = None
    hints: tuple[str, ...] = ()
    explanation: int = 0
    apart: str = ""


@dataclass(frozen=True)
class SetAside:
    """A tensor that decides no verdict, because the caller declared it so.

    Attributes
    ----------
    path : str
        As it was declared.
    kind : str
        ``"ignored"`` or ``"approximate"``.
    error : float
        Of an approximate tensor: the largest error of an entry, relative to the tensor's root mean square.
    exact : bool
        Whether an approximate tensor lay within its bounds everywhere.
    away : float
        Share of the cases in which an approximate tensor points away from the right one (more than 90°): a step of
        gradient descent with it raises the loss. NaN where that is not known.
    """

    path: str
    kind: str
    error: float = math.nan
    exact: bool = False
    away: float = math.nan

    def to_data(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "path": self.path,
            "kind": self.kind,
            "error": _finite(self.error),
            "exact": self.exact,
            "away": _finite(self.away),
        }


class DetectionLimit(Mapping[str, float]):
    """Path → smallest relative error that is certain to be seen there.

    Relative to the tensor's root mean square. An error ten times smaller may pass; that is what an
    AGREES could have missed. Where a check looks along random directions, certain means: but for
    ``miss_probability``.

    Examples
    --------
    >>> limit = DetectionLimit({"params[0]": 1e-9, "params[1]": 1e-7})
    >>> limit["params[0]"], limit.maximum
    (1e-09, 1e-07)
    """

    def __init__(self, limits: Mapping[str, float], *, miss_probability: float = 0.0) -> None:
        self._limits = dict(limits)
        self._miss_probability = float(miss_probability)

    @property
    def miss_probability(self) -> float:
        """Chance with which an error as large as the limit slips through; 0 where every entry was looked at.

        Conditional on the error bars holding.
        """
        return self._miss_probability

    @property
    def maximum(self) -> float:
        """The worst of them; NaN when nothing could be judged."""
        return max(self._limits.values(), default=math.nan)

    def __getitem__(self, path: str) -> float:
        if str(path) not in self._limits:  # "params along 8 random directions" answers to "params"
            for known, limit in self._limits.items():
                if known.startswith(f"{path} along "):
                    return limit
        return self._limits[str(path)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._limits)

    def __len__(self) -> int:
        return len(self._limits)

    def __repr__(self) -> str:
        return f"DetectionLimit({self._limits!r})"


@dataclass(frozen=True, eq=False)
class Report:
    """The answer of a check. ``bool(report)`` is True only for AGREES and AGREES_AT_KINK.

    Attributes
    ----------
    subject : str
        Name of what was checked.
    verdict : Verdict
        The most severe of all comparisons.
    comparisons : tuple of Comparison
        Every tensor of the case that decides the verdict.
    diagnoses : tuple of Diagnosis
        The likeliest first.
    counterexample : Case or None
        The smallest case found that fails in the same way.
    reproducer : str
        A snippet that runs the counterexample again.
    detection_limit : DetectionLimit
        What an AGREES could have missed.
    warnings : tuple of str
        What is odd though right, and what to know about how the check was done.
    unchecked : tuple of str
        What the check could not look at: an AGREES says nothing about it.
    inferred : str
        What was assumed about the subject because nobody said.
    examples : int
        Number of cases compared.
    evaluations : int
        Calls of the subject (and of its loss).
    seed : int
        Gives the same report again.
    summary : str
        One sentence under the verdict.
    remedies : tuple of str
        What would help where nothing could be decided, the most helpful first.
    set_aside : tuple of SetAside
        Tensors that the caller declared frozen or approximate, which decide nothing.
    """

    subject: str
    verdict: Verdict
    comparisons: tuple[Comparison, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    counterexample: Case | None = None
    reproducer: str = ""
    detection_limit: DetectionLimit = field(default_factory=lambda: DetectionLimit({}))
    warnings: tuple[str, ...] = ()
    inferred: str = ""
    examples: int = 0
    evaluations: int = 0
    seed: int | None = None
    summary: str = ""
    remedies: tuple[str, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the gradient agrees (also at a kink)."""
        return self.verdict.ok

    def __bool__(self) -> bool:
        return self.ok

    def raise_for_disagreement(self) -> None:
        """Raise unless the report is ok.

        Raises
        ------
        GradientInconclusive
            If nothing could be decided.
        GradientMismatch
            For any other verdict that is not ok.
        """
        __tracebackhide__ = True  # pytest then shows the caller's line and the report, not this one
        if self.ok:
            return
        raise (GradientInconclusive if self.verdict is Verdict.INCONCLUSIVE else GradientMismatch)(self)

    def to_text(self, *, verbosity: str = "full") -> str:
        """The report as plain text of 80 columns.

        Parameters
        ----------
        verbosity : {"full", "hint", "equation", "symptom"}
            ``"full"`` is what ``print(report)`` shows. The others are for a course and tell less and less, never the right
            numbers nor the case that shows the mistake: ``"hint"`` says what to write, ``"equation"`` which equation to
            read again, ``"symptom"`` what is seen.

        Returns
        -------
        str

        Raises
        ------
        InputError
            If ``verbosity`` is something else.

        Examples
        --------
        >>> report = Report("backprop", Verdict.DISAGREES, diagnoses=(Diagnosis("BP3", hint="Sum δ over the batch."),))
        >>> print(report.to_text(verbosity="hint"))
        bpcheck: backprop  DISAGREES
          the difference is larger than all rounding together can explain
        <BLANKLINE>
          equation BP3, bias gradient: ∂C/∂b^l = Σ δ^l over the batch
                   a bias is added to z, so its gradient is the error δ of its unit
        <BLANKLINE>
          hint     Sum δ over the batch.
        <BLANKLINE>
          symbols  L is the output layer, l any layer; δ is ∂C/∂z; z = W a + b, a = σ(z)
        """
        if verbosity not in ("full", "hint", "equation", "symptom"):
            raise InputError(
                f"verbosity is {verbosity!r}; give 'full', or for less and less 'hint', 'equation' or 'symptom'."
            )
        return rendering("text")(self) if verbosity == "full" else rendering("hint")(self, verbosity)

    @overload
    def to_html(self, path: None = None) -> str: ...

    @overload
    def to_html(self, path: str | os.PathLike[str]) -> None: ...

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str | None:
        """The report as one page that needs no network: written to a file, or returned.

        The smallest failing network is drawn with its numbers and can be walked through, forward and backward; every
        tensor is shown beside what it should be, with the wrong entries marked.

        Parameters
        ----------
        path : path, optional
            Where to write it; a file that is there is replaced. Without it the page is returned as text.

        Returns
        -------
        str or None

        Raises
        ------
        InputError
            If the file cannot be written.

        Examples
        --------
        >>> Report("backprop", Verdict.AGREES).to_html()[:15]
        '<!doctype html>'
        """
        if path is None:
            return rendering("page")(self)
        try:
            target = FilePath(path)
        except TypeError:
            raise InputError(f"path is {path!r}; give the name of a file, such as 'report.html'.") from None
        # looked at before the page is made, which takes a second
        if target.is_dir():
            raise InputError(f"path is {str(path)!r}, a folder; name a file in it, such as 'report.html'.")
        if not target.resolve().parent.is_dir():
            raise InputError(
                f"path is {str(path)!r}, but there is no folder {str(target.resolve().parent)!r}; make it first."
            )
        page = rendering("page")(self)
        try:
            target.write_text(page, encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"path is {str(path)!r}, which cannot be written ({error.strerror}); choose a place where you may write."
            ) from error
        return None

    def _repr_html_(self) -> str:
        """What Jupyter shows."""
        return rendering("notebook")(self)

    def to_json(self) -> str:
        """The report as a JSON object (strict: NaN and infinity become null).

        ``schema_version`` says which form it has; :func:`bpcheck.report.schema` gives the schema of that form.

        Examples
        --------
        >>> json.loads(Report("backprop", Verdict.AGREES).to_json())["schema_version"]
        1
        """
        case = self.counterexample
        return json.dumps(
            {
                "schema_version": SCHEMA_VERSION,
                "subject": self.subject,
                "verdict": self.verdict.name,
                "ok": self.ok,
                "summary": self.summary,
                "seed": self.seed,
                "examples": self.examples,
                "evaluations": self.evaluations,
                "inferred": self.inferred,
                "warnings": list(self.warnings),
                "unchecked": list(self.unchecked),
                "remedies": list(self.remedies),
                "detection_limit": {
                    "maximum": _finite(self.detection_limit.maximum),
                    "paths": {path: _finite(limit) for path, limit in self.detection_limit.items()},
                },
                "miss_probability": self.detection_limit.miss_probability,
                "comparisons": [comparison.to_data() for comparison in self.comparisons],
                "set_aside": [one.to_data() for one in self.set_aside],
                "diagnoses": [
                    {
                        "equation": diagnosis.equation,
                        "layer": diagnosis.layer,
                        "path": diagnosis.path,
                        "bug": diagnosis.bug,
                        "evidence": list(diagnosis.evidence),
                        "hint": diagnosis.hint,
                        "hints": list(diagnosis.hints),
                        "explanation": diagnosis.explanation,
                        "apart": diagnosis.apart,
                    }
                    for diagnosis in self.diagnoses
                ],
                "counterexample": None if case is None else _case_data(case),
                "reproducer": self.reproducer,
            },
            indent=2,
            allow_nan=False,
        )

    def __str__(self) -> str:
        return self.to_text()


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _case_data(case: Case) -> dict[str, Any]:
    from bpcheck import tree

    return {
        "architecture": json.loads(case.architecture.to_json()),
        "params": tree.restore(case.params, [leaf.tolist() for _, leaf in tree.leaves(case.params)]),
        "x": case.x.tolist(),
        "y": case.y.tolist(),
        "seed": case.seed,
    }
