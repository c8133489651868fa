"""A report as plain text: the verdict, the one thing to do, then where, why, and how to see it again."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

from bpcheck.result import Comparison, Diagnosis, Report
from bpcheck.verdict import Verdict

__all__ = [
    "ALLOWED",
    "EQUATIONS",
    "MEANINGS",
    "TITLES",
    "footer",
    "hint",
    "limits",
    "meaning",
    "render",
    "to_do",
]

WIDTH = 80
INDENT = "  "

# More rows than this bury the one that matters; the JSON report has them all.
MOST_ROWS = 12

SYMPTOM, QUESTION = 0, 1
"""Places in ``Diagnosis.hints``."""

ALLOWED = "The worst entry of each tensor; allowed is what rounding alone can explain."

TITLES = {
    Verdict.WRONG_STRUCTURE: "WRONG STRUCTURE",
    Verdict.NONFINITE: "NOT FINITE",
    Verdict.DISAGREES: "DISAGREES",
    Verdict.INCONCLUSIVE: "INCONCLUSIVE",
    Verdict.AGREES_AT_KINK: "AGREES (at a kink)",
    Verdict.AGREES: "AGREES",
}

EQUATIONS = {
    "BP1": "BP1, error of the output: δ^L = ∇_a C ⊙ σ'(z^L)",
    "BP2": "BP2, error of a hidden layer: δ^l = ((W^{l+1})ᵀ δ^{l+1}) ⊙ σ'(z^l)",
    "BP3": "BP3, bias gradient: ∂C/∂b^l = Σ δ^l over the batch",
    "BP4": "BP4, weight gradient: ∂C/∂W^l = Σ δ^l (a^{l-1})ᵀ over the batch",
    "loss": "the loss, not the gradient",
    "penalty": "the weight penalty: λ₁ sign(W) + λ₂ W",
    "contract": "no equation: how a function treats what it is given, and what it returns",
    "update": "the update rule, not the gradient",
}

MEANINGS = {
    "BP1": "δ is ∂C/∂z, how the cost C moves with the sum z of a unit; ⊙ multiplies entry by entry",
    "BP2": "δ is ∂C/∂z; it comes down from the layer above, through the weights and then the slope σ'",
    "BP3": "a bias is added to z, so its gradient is the error δ of its unit",
    "BP4": "a weight multiplies an activation a, so its gradient is the error δ above times the a below",
    "loss": "the number returned as loss is not the cost that the gradient belongs to",
    "penalty": "what a cost on large weights adds to their gradient",
    "contract": "the same numbers give the same gradient, call after call, and the caller's arrays stay as they were",
    "update": "what is done with the gradient once it is right: how far and where each parameter moves",
}
"""Each equation in one line, for somebody who meets it for the first time."""


def render(report: Report) -> str:
    """The whole report as text.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str

    Examples
    --------
    >>> from bpcheck.result import Report
    >>> print(render(Report("backprop", Verdict.AGREES, summary="All is well.", seed=0)))
    bpcheck: backprop  AGREES
    <BLANKLINE>
      All is well.
    <BLANKLINE>
      seed 0
    """
    advice = dict.fromkeys((*to_do(report), *report.remedies))
    count = len(report.diagnoses)
    blocks = [
        _head(report, meaning(report)),
        _rows("to do", "or", advice),
        _fill(report.summary),
        _row("network", report.inferred),
        *(_diagnosis(diagnosis, number, count) for number, diagnosis in enumerate(report.diagnoses)),
        "" if report.ok else _table(report),
        _reproducer(report),
        _row("limit", limits(report)),
        *(_row("note", warning) for warning in report.warnings),
        _fill(footer(report)),
    ]
    return "\n\n".join(filter(None, blocks))


def hint(report: Report, verbosity: str = "hint") -> str:
    """The report for somebody who should find the mistake alone: no right number, no case to run.

    Parameters
    ----------
    report : Report
    verbosity : {"hint", "equation", "symptom"}
        How much of it.

    Returns
    -------
    str

    Examples
    --------
    >>> from bpcheck.result import Report
    >>> print(hint(Report("backprop", Verdict.AGREES, summary="All is well.", seed=0)))
    bpcheck: backprop  AGREES
    <BLANKLINE>
      All is well.
    """
    wrong = report.verdict.severity > Verdict.INCONCLUSIVE.severity
    symptoms, questions = (
        dict.fromkeys(d.hints[place] for d in report.diagnoses if d.hints) for place in (SYMPTOM, QUESTION)
    )
    equations = dict.fromkeys(d.equation for d in report.diagnoses)
    if verbosity == "symptom":
        equations, questions = {}, {}
    # where no bug has a name there is one hint alone; the symptom of a wrong gradient is the verdict itself
    advice = to_do(report) if verbosity == "hint" or not wrong else ()
    blocks = [
        # of a wrong gradient, a summary may say by how much; then the verdict has to speak for itself
        _head(report, report.verdict.value if wrong else meaning(report)),
        "" if wrong else _fill(report.summary),
        _rows("seen", "or", symptoms),
        "\n".join(filter(None, map(_equation, equations))),
        _rows("ask", "or", questions),
        _rows("hint", "or", advice),
        # no form of a report may agree without saying what it did not look at
        _rows("note", "", (f"{one.kind}, as declared: {one.path}" for one in report.set_aside)),
    ]
    return "\n\n".join(filter(None, blocks))


def to_do(report: Report) -> tuple[str, ...]:
    """The one thing to do: a sentence; several only where several bugs explain the same numbers.

    Parameters
    ----------
    report : Report

    Returns
    -------
    tuple of str
        Empty where nothing is to be done.

    Examples
    --------
    >>> from bpcheck.result import Diagnosis, Report
    >>> to_do(Report("f", Verdict.DISAGREES, diagnoses=(Diagnosis("BP4", hint="Swap the factors."),)))
    ('Swap the factors.',)
    """
    if report.verdict.ok:
        return ()
    if report.verdict is Verdict.INCONCLUSIVE:  # where there is no remedy, the summary says what would help
        return report.remedies[:1]
    hints = tuple(dict.fromkeys(d.hint for d in report.diagnoses if d.hint))
    return hints or (_where_to_look(report),)


def _where_to_look(report: Report) -> str:
    if report.verdict is not Verdict.DISAGREES:
        return report.verdict.remedy
    first = (*report.diagnoses, Diagnosis(""))[0]
    if first.equation.startswith("BP"):
        layer = f" in layer {first.layer}" if first.layer is not None else ""
        return f"Look at how your code computes {first.equation}{layer}, then run the same case again."
    wrong = [c.path for c in report.comparisons if c.verdict is Verdict.DISAGREES]
    path = (first.path or "".join(wrong[:1])) or "the gradient"
    return f"Look at the lines of your code that compute {_quantity(path, wrong)}."


def _quantity(path: str, wrong: Sequence[str]) -> str:
    """What is computed at a path, and whether the mistake need not be there."""
    if path.startswith("params"):
        # the first wrong tensor need not be where the mistake is: an error goes down to all that come before
        before = ", and at the backward steps that lead to it" if len(wrong) > 1 else ""
        return f"the gradient of {path}{before}"
    tensor, colon, _ = path.partition(": ")  # z: every entry of the Jacobian
    return f"the derivatives with respect to {tensor}" if colon else path


def meaning(report: Report) -> str:
    """What the verdict means in one line; empty where the summary says it already.

    Examples
    --------
    >>> from bpcheck.result import Report
    >>> meaning(Report("f", Verdict.INCONCLUSIVE))
    'the numbers cannot decide'
    """
    known = report.verdict is Verdict.AGREES or report.verdict.value in report.summary
    return "" if known else report.verdict.value


def _head(report: Report, said: str) -> str:
    first = f"bpcheck: {report.subject}  {TITLES[report.verdict]}"
    return f"{first}\n{_fill(said)}" if said else first


def _equation(name: str) -> str:
    """Nothing where the name is that of no equation."""
    return _rows("equation", "", filter(None, (EQUATIONS.get(name), MEANINGS.get(name))))


def _reproducer(report: Report) -> str:
    wrong = report.verdict.severity > Verdict.INCONCLUSIVE.severity
    title = f"{INDENT}{'the smallest case' if wrong else 'the case'}, to paste:"
    return report.reproducer and f"{title}\n\n{textwrap.indent(report.reproducer, INDENT * 2)}"


def _fill(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)


def _row(label: str, text: str, bullet: str = "") -> str:
    """Nothing where there is no text."""
    head = f"{INDENT}{label:<9}{bullet}"
    return textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head))


def _rows(first: str, others: str, texts: Iterable[str]) -> str:
    return "\n".join(_row(others if i else first, text) for i, text in enumerate(texts))


def _diagnosis(diagnosis: Diagnosis, number: int, total: int) -> str:
    rows = []
    if number == 0 or total == 1:
        layer = f" (layer {diagnosis.layer})" if diagnosis.layer is not None else ""
        rows += [_equation(diagnosis.equation), _row("where", diagnosis.path and f"{diagnosis.path}{layer}")]
    rows.append(_row("bug" if total == 1 else f"bug {number + 1}/{total}", diagnosis.bug))
    if number == 0:
        rows += [_row("" if i else "because", text, "- ") for i, text in enumerate(diagnosis.evidence)]
    return "\n".join(filter(None, rows))


def _table(report: Report) -> str:
    """Yours against right, for the worst entry of every tensor."""
    every = [c for c in report.comparisons if c.actual is not None or c.reason]
    shown = every[:MOST_ROWS]
    if all(c.actual is None for c in shown):
        return "\n".join(_row("found", f"{c.label}: {c.reason}") for c in shown)
    rows = [("", "yours", "right", "difference", "allowed", ""), *map(_cells, shown)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers, word in rows:
        cells = [cell.rjust(width) for cell, width in zip(numbers, widths[1:-1], strict=True)]
        lines.append("  ".join((INDENT + name.ljust(widths[0]), *cells, word)).rstrip())
    if len(every) > MOST_ROWS:
        lines.append(f"{INDENT}… and {len(every) - MOST_ROWS} more")
    return "\n".join((*lines, INDENT + ALLOWED))


def _cells(comparison: Comparison) -> tuple[str, str, str, str, str, str]:
    word = "ok" if comparison.verdict.ok else TITLES[comparison.verdict].lower()
    if comparison.actual is None or comparison.expected is None or comparison.bound is None:
        return comparison.label, "", "", "", "", word
    if not comparison.actual.size:
        return comparison.label, "", "", "", "", "no entries"
    index = comparison.worst_index
    place = f"[{', '.join(map(str, index))}]" if index else ""
    name = f" ({comparison.name})" if comparison.name else ""
    return (
        f"{comparison.path}{place}{name}",
        f"{float(comparison.actual[index]):.6g}",
        f"{float(comparison.expected[index]):.6g}",
        f"{abs(float(comparison.actual[index]) - float(comparison.expected[index])):.1e}",
        f"{float(comparison.bound[index]):.1e}",
        word,
    )


def limits(report: Report) -> str:
    """What an AGREES could have missed, in a sentence or two; empty for other verdicts.

    Examples
    --------
    >>> from bpcheck.result import DetectionLimit, Report
    >>> limits(Report("f", Verdict.AGREES, detection_limit=DetectionLimit({"w": 1e-9})))[:44]
    'An entry that is wrong by more than 1.0e-09 '
    """
    limit = report.detection_limit.maximum
    if not report.ok or math.isnan(limit):
        return ""
    worst = max(report.detection_limit, key=lambda path: report.detection_limit[path])
    many = report.examples > 1
    chance = report.detection_limit.miss_probability
    text = (
        f"An entry that is wrong by more than {limit:.1e} of its tensor's root mean square would have been seen"
        f"{' in every case' if many else ''}{f' with probability 1 - {chance:.0e}' if chance else ''} "
        f"(the coarsest is {worst})."
    )
    zero = [c.label for c in report.comparisons if c.reason.startswith("zero to within")]
    if zero:
        more = f" and {len(zero) - 1} more" if len(zero) > 1 else ""
        text += (
            f" {zero[0]}{more}: zero as far as can be seen; there the limit is relative to the size that would be "
            "natural for it, and an error smaller than that shows nowhere."
        )
    if many:
        text += " Networks of other kinds than those compared were not looked at."
    return text


def footer(report: Report) -> str:
    """Cases, calls and the seed in a line.

    Examples
    --------
    >>> from bpcheck.result import Report
    >>> footer(Report("f", Verdict.AGREES, examples=1, seed=0))
    '1 case, seed 0'
    """
    parts = []
    if report.examples:
        parts.append(f"{report.examples} case{'s' * (report.examples != 1)}")
    if report.evaluations:
        parts.append(f"{report.evaluations} calls")
    if report.seed is not None:
        parts.append(f"seed {report.seed}")
    return ", ".join(parts)
