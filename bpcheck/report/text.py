"""A report as plain text: the verdict, the one thing to do, then where, why, and how to see it again."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence

from bpcheck.diagnosis.layers.kinds import EQUATIONS as STEPS
from bpcheck.precision import told_apart
from bpcheck.result import Comparison, Diagnosis, Report
from bpcheck.verdict import Verdict

__all__ = [
    "ALLOWED",
    "EQUATIONS",
    "MEANINGS",
    "TITLES",
    "advice",
    "equation",
    "footer",
    "hint",
    "indexed",
    "limits",
    "meaning",
    "render",
    "symbols",
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
    **{name: equation.title for name, equation in STEPS.items()},
    "loss": "the loss: which cost is computed",
    "penalty": "the weight penalty",
    "contract": "none of the equations: what is returned, or what is done to the arguments",
    "update": "the update rule, not the gradient",
}

MEANINGS = {
    **{name: equation.meaning for name, equation in STEPS.items()},
    "loss": "loss and gradient do not both belong to the cost that was asked for",
    "penalty": "what a cost on large weights adds to their gradient",
    "contract": "gradients are finite, as exact as the parameters, shaped and ordered like them, the same at every "
    "call; each example counts alike; arguments stay as they were",
    "update": "what is done with the gradient once it is right: how far and where each parameter moves",
}
"""Each equation in one line, for somebody who meets it for the first time."""

SYMBOLS = (
    (
        "[Wb][⁰¹²³⁴⁵⁶⁷⁸⁹]",
        "W² and b² are the weights and biases of layer 2, the first above the input x; the raised number is the layer, "
        "not a power",
    ),
    (r"\^(L|l|\{l)", "L is the output layer, l any layer"),
    ("δ", "δ is ∂C/∂z"),
    (r"z\^|∂z|sum z", "z = W a + b, a = σ(z)"),
    ("∇_a C", "∇_a C is ∂C/∂a"),
    ("σ'", "σ' is the derivative of the activation σ"),
    ("⊙", "⊙ multiplies entry by entry"),
    ("ᵀ", "ᵀ transposes"),
    (r"1/m\b|\bm times", "m is the batch size"),
    ("λ", "λ is the strength of the penalty"),
    (r"[δW]\[o", "o is a channel of the convolution, p a place in it"),
    (r"\[c, |, c, ", "c is a channel of its input x"),
    (r"\[c, i\]", "i is a place in x"),
    (r"W\[o, c, q\]|entry q", "q is a place in the kernel"),
    (r"s·p", "s is the stride"),
    (r"f\(x\)", "x and y are what enters and leaves the skip connection, f what it skips"),
)
"""What stands in a report about a network, and what it means; what is said of one may name those that come later."""


def symbols(text: str) -> str:
    """What the symbols in a text mean, those apart that it explains itself; empty where there are none.

    Examples
    --------
    >>> symbols("δ is ∂C/∂z; what stands beside δ in the gradient of W?"), symbols("δ^L is 0")
    ('z = W a + b, a = σ(z)', 'L is the output layer, l any layer; δ is ∂C/∂z; z = W a + b, a = σ(z)')
    """
    flat, said = " ".join(text.split()), ""
    for pattern, meaning in SYMBOLS:
        if re.search(pattern, flat + said) and meaning not in flat:
            said += f"; {meaning}"
    return said.removeprefix("; ")


def equation(name: str, report: Report) -> str:
    """An equation as a heading; of a penalty, that of the network at hand.

    Examples
    --------
    >>> from bpcheck.result import Report
    >>> equation("BP3", Report("f", Verdict.DISAGREES))
    'BP3, bias gradient: ∂C/∂b^l = Σ δ^l over the batch'
    """
    if name != "penalty" or report.counterexample is None:
        return EQUATIONS[name]
    network = report.counterexample.architecture
    forms = {
        (False, True): ": ½λ‖W‖² adds λ W to the gradient of W",
        (True, False): ": λ‖W‖₁ adds λ sign(W) to the gradient of W",
        (True, True): ": λ₁‖W‖₁ + ½λ₂‖W‖² adds λ₁ sign(W) + λ₂ W to the gradient of W",
    }
    return EQUATIONS[name] + forms.get((bool(network.l1), bool(network.l2)), "")


def render(report: Report) -> str:
    """The whole report as text.

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
    said = advice(report)
    told = [text for _, text in said]
    others = [("or", text) for text in dict.fromkeys(report.remedies) if text not in told]
    body = [
        _head(report, meaning(report)),
        _labelled((*said, *others)),
        _fill(report.summary),
        _row("network" if _is_of_a_network(report) else "assumed", report.inferred),
        *(_diagnosis(report, number) for number in range(len(report.diagnoses))),
        "" if report.ok else _table(report),
    ]
    limit = limits(report)
    blocks = [
        *body,
        _symbols(report, (*body, limit)),
        _reproducer(report),
        _row("limit", limit),
        *(_row("note", warning) for warning in report.warnings),
        *(_row("unseen", sentence) for sentence in report.unchecked),
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

    Examples
    --------
    >>> from bpcheck.result import Report
    >>> print(hint(Report("backprop", Verdict.AGREES, summary="All is well.", seed=0)))
    bpcheck: backprop  AGREES
    <BLANKLINE>
      All is well.
    """
    wrong = report.verdict.severity > Verdict.INCONCLUSIVE.severity
    asks = verbosity != "symptom"
    # where no bug has a name there is one hint alone; the symptom of a wrong gradient is the verdict itself
    said = advice(report, "hint") if verbosity == "hint" or not wrong else ()
    equations = (_equation(name, report) for name in dict.fromkeys(d.equation for d in report.diagnoses))
    blocks = [
        # of a wrong gradient, a summary may say by how much; then the verdict has to speak for itself
        _head(report, report.verdict.value if wrong else meaning(report)),
        "" if wrong else _fill(report.summary),
        _rows("seen", "or", _hints(report, SYMPTOM)),
        "\n".join(filter(None, equations)) if asks else "",
        _rows("ask", "or", _hints(report, QUESTION)) if asks else "",
        _labelled(said),
    ]
    # no form of a report may agree without saying what it did not look at
    aside = _rows("note", "", (f"{one.kind}, as declared: {one.path}" for one in report.set_aside))
    return "\n\n".join(filter(None, (*blocks, _symbols(report, blocks), aside)))


def _hints(report: Report, place: int) -> dict[str, None]:
    return dict.fromkeys(d.hints[place] for d in report.diagnoses if d.hints)


def to_do(report: Report) -> tuple[str, ...]:
    """The one thing to do: a sentence; several only where several bugs explain the same numbers.

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
    if first.equation in STEPS:
        layer = f" in layer {first.layer}" if first.layer is not None else ""
        step = STEPS[first.equation].spoken
        return f"Look at how your code computes {step}{layer}, then run the same case again."
    wrong = [c.path for c in report.comparisons if c.verdict is Verdict.DISAGREES]
    path = ((first.path or "".join(wrong[:1])) or "the gradient").partition(" along ")[0]
    return f"Look at the lines of your code that compute {_quantity(path, wrong)}."


def _quantity(path: str, wrong: Sequence[str]) -> str:
    """What is computed at a path, and whether the mistake need not be there."""
    if path.startswith("params"):
        # the first wrong tensor need not be where the mistake is: an error goes down to all that come before
        before = ", and at the backward steps that lead to it" if len(wrong) > 1 else ""
        return f"the gradient of {path}{before}"
    tensor, colon, _ = path.partition(": ")  # z: every entry of the Jacobian
    return f"the derivatives with respect to {tensor}" if colon else path


def advice(report: Report, label: str = "to do") -> tuple[tuple[str, str], ...]:
    """What to do, each sentence with the word that leads to it: "and" for mistakes made at once, "or" for alternatives.

    Examples
    --------
    >>> from bpcheck.result import Diagnosis, Report
    >>> two = (Diagnosis("BP3", hint="Sum δ."), Diagnosis("BP4", hint="Sum δ aᵀ.", explanation=1, apart="Try 2 examples."))
    >>> for row in advice(Report("f", Verdict.DISAGREES, diagnoses=two)):
    ...     print(row)
    ('to do', 'Sum δ.')
    ('or', 'Sum δ aᵀ.')
    ('which?', 'Try 2 examples.')
    """
    first = {d.hint: d.explanation for d in reversed(report.diagnoses)}
    rows: list[tuple[str, str]] = []
    for text in to_do(report):
        same = bool(rows) and first.get(text) == first.get(rows[-1][1])
        rows.append(("and" if same else "or", text) if rows else (label, text))
    apart = next((d.apart for d in report.diagnoses if d.apart), "")
    return (*rows, ("which?", apart)) if apart and len(rows) > 1 else tuple(rows)


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


def _is_of_a_network(report: Report) -> bool:
    """Whether a report speaks of a network's layers and equations."""
    return (
        report.counterexample is not None
        or any(c.name for c in report.comparisons)
        or any(d.equation in STEPS for d in report.diagnoses)
    )


def _symbols(report: Report, blocks: Iterable[str]) -> str:
    return _row("symbols", symbols("\n".join(blocks)) if _is_of_a_network(report) else "")


def _equation(name: str, report: Report) -> str:
    """Nothing where the name is that of no equation."""
    return _rows("equation", "", (equation(name, report), MEANINGS[name]) if name in EQUATIONS else ())


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


def _labelled(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(_row(label, text) for label, text in rows)


def _diagnosis(report: Report, number: int) -> str:
    diagnosis = report.diagnoses[number]
    new = diagnosis.equation not in {d.equation for d in report.diagnoses[:number]}
    rows = [_equation(diagnosis.equation, report) if new else ""]
    if number == 0:
        layer = f" (layer {diagnosis.layer})" if diagnosis.layer is not None else ""
        rows.append(_row("where", diagnosis.path and f"{diagnosis.path}{layer}"))
    rows.append(_row(_numbered(report.diagnoses, number), diagnosis.bug))
    if number == 0:
        rows += [_row("" if i else "because", text, "- ") for i, text in enumerate(diagnosis.evidence)]
    return "\n".join(filter(None, rows))


def _numbered(diagnoses: Sequence[Diagnosis], number: int) -> str:
    """``bug``, ``bug 2/3`` of three alternatives, ``and bug`` for what is wrong at the same time."""
    explanation = diagnoses[number].explanation
    if any(d.explanation == explanation for d in diagnoses[:number]):
        return "and bug"
    alternatives = list(dict.fromkeys(d.explanation for d in diagnoses))
    return (
        f"bug {alternatives.index(explanation) + 1}/{len(alternatives)}" if len(alternatives) > 1 else "bug"
    )


def _table(report: Report) -> str:
    """Yours against right, for the worst entry of every tensor."""
    every = [c for c in report.comparisons if c.actual is not None or c.reason]
    shown = every[:MOST_ROWS]
    if all(c.actual is None for c in shown):
        return "\n".join(_row("found", f"{c.label}: {c.reason}") for c in shown)
    lines = _aligned([("", "yours", "right", "difference", "allowed", ""), *map(_cells, shown)])
    if len(every) > MOST_ROWS:
        lines.append(f"… and {len(every) - MOST_ROWS} more")
    return textwrap.indent("\n".join((*lines, ALLOWED)), INDENT)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Names to the left, numbers to the right, and a word behind them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers, word in rows:
        cells = [cell.rjust(width) for cell, width in zip(numbers, widths[1:-1], strict=True)]
        lines.append("  ".join((name.ljust(widths[0]), *cells, word)).rstrip())
    return lines


def _cells(comparison: Comparison) -> tuple[str, str, str, str, str, str]:
    word = "ok" if comparison.verdict.ok else TITLES[comparison.verdict].lower()
    if comparison.actual is None or comparison.expected is None or comparison.bound is None:
        return comparison.label, "", "", "", "", word
    if not comparison.actual.size:
        return comparison.label, "", "", "", "", "no entries"
    index = comparison.worst_index
    name = f" ({comparison.name})" if comparison.name else ""
    actual, expected = float(comparison.actual[index]), float(comparison.expected[index])
    wrong = comparison.verdict.severity > Verdict.INCONCLUSIVE.severity
    yours, right = told_apart(actual, expected) if wrong else (f"{actual + 0.0:.6g}", f"{expected + 0.0:.6g}")
    return (
        f"{comparison.path}{indexed(index)}{name}",
        yours,
        right,
        f"{abs(actual - expected):.1e}",
        f"{float(comparison.bound[index]):.1e}",
        word,
    )


def indexed(index: Iterable[int]) -> str:
    """The place of an entry, as in code; empty for a single number.

    Examples
    --------
    >>> indexed((0, 2)), indexed(())
    ('[0, 2]', '')
    """
    place = ", ".join(map(str, index))
    return f"[{place}]" if place else ""


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
    zero = [c.label for c in report.comparisons if c.reason.startswith("zero to within")]
    text = _seen(report, limit, alone=not zero)
    if zero:
        more = f" and {len(zero) - 1} more" if len(zero) > 1 else ""
        text += (
            f" {zero[0]}{more}: zero as far as can be seen; there the limit is relative to the size that would be "
            "natural for it, and an error smaller than that shows nowhere."
        )
    if report.examples > 1:
        text += " Networks of other kinds than those compared were not looked at."
    return text


def _seen(report: Report, limit: float, *, alone: bool) -> str:
    """How small an error would have been seen; of a single number (``alone``: which is not zero) relative to itself."""
    chance = report.detection_limit.miss_probability
    often = " in every case" if report.examples > 1 else ""
    seen = f"would have been seen{often}{f' with probability 1 - {chance:.0e}' if chance else ''}"
    if not limit:
        return f"Any wrong entry {seen}."
    tensors = len(report.detection_limit)
    if (
        alone
        and tensors == 1
        and [c.expected.size for c in report.comparisons if c.expected is not None] == [1]
    ):
        return f"A derivative that is wrong by more than {limit:.1e} of itself {seen}."
    worst = max(report.detection_limit, key=lambda path: report.detection_limit[path])
    coarsest = f" (the coarsest is {worst})" if tensors > 1 else ""
    return (
        f"An entry that is wrong by more than {limit:.1e} of its tensor's root mean square {seen}{coarsest}."
    )


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
        parts.append(f"{report.evaluations} call{'s' * (report.evaluations != 1)}")
    if report.seed is not None:
        parts.append(f"seed {report.seed}")
    return ", ".join(parts)
