"""The index calculus: derivations for any width, any activation and any cost, checked line by line.

A term is a SymPy expression over tensors with indices. :func:`canonical` rewrites it into a form that decides
equality; :func:`evaluate` reads it at concrete sizes and shares no code with the rewriter; :func:`check_line`
asks both; a :class:`Derivation` is a chain of such lines.
"""

from bpcheck.symbolic.index.canonical import canonical, is_zero
from bpcheck.symbolic.index.check import Contradiction, Counterexample, Line, check_line
from bpcheck.symbolic.index.derivation import (
    RULES,
    Derivation,
    Mutant,
    MutantSurvives,
    Proof,
    Step,
    StepFails,
)
from bpcheck.symbolic.index.document import as_html, as_latex, as_text, html_page, latex_page
from bpcheck.symbolic.index.domain import Digits, Exact
from bpcheck.symbolic.index.given import Definition, TotalIs
from bpcheck.symbolic.index.interpret import World, evaluate
from bpcheck.symbolic.index.render import latex, mathml, text
from bpcheck.symbolic.index.term import (
    Diff,
    Index,
    Layer,
    Member,
    Size,
    Tensor,
    Unknown,
    UnknownValue,
    VectorFunction,
    VectorValue,
    Widths,
    kronecker,
    total,
)

__all__ = [
    "RULES",
    "Contradiction",
    "Counterexample",
    "Definition",
    "Derivation",
    "Diff",
    "Digits",
    "Exact",
    "Index",
    "Layer",
    "Line",
    "Member",
    "Mutant",
    "MutantSurvives",
    "Proof",
    "Size",
    "Step",
    "StepFails",
    "Tensor",
    "TotalIs",
    "Unknown",
    "UnknownValue",
    "VectorFunction",
    "VectorValue",
    "Widths",
    "World",
    "as_html",
    "as_latex",
    "as_text",
    "canonical",
    "check_line",
    "evaluate",
    "html_page",
    "is_zero",
    "kronecker",
    "latex",
    "latex_page",
    "mathml",
    "text",
    "total",
]
