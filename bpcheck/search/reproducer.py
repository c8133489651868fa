"""What to paste to see a case again."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from dataclasses import replace

from bpcheck.check.declared import EXACT, Declared
from bpcheck.conventions import Conventions
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.layers import LayerSpec

__all__ = ["reproducer"]

OURS = Conventions()

# Longer than this, a case is no longer something to paste.
PASTEABLE = 1500


def reproducer(case: Case, typed: str, conventions: Conventions = OURS, declared: Declared = EXACT) -> str:
    """A snippet that compares the subject on one case again; ``typed`` is what its caller calls it, if that is known."""
    said = "" if conventions == OURS else f", conventions=bpcheck.{conventions!r}"
    for option, named in (("ignore", declared.ignore), ("approximate", declared.approximate)):
        said += f", {option}={sorted(named)!r}" if named else ""
    case = replace(case, architecture=conventions.as_given(case.architecture))
    called = typed if typed.isidentifier() and not hasattr(builtins, typed) else "your_subject"
    text = repr(case)
    if len(text) > PASTEABLE:
        return (
            f"# too long to paste: the case is report.counterexample, and stands in the report's JSON\n"
            f"print(bpcheck.compare({called}, cases=[report.counterexample]{said}))"
        )
    for word in (", params=", ", x=", ", y=", ", seed="):
        text = text.replace(word, f",\n    {word[2:]}", 1)
    text = text.replace("Case(", "Case(\n    ", 1)[:-1] + ",\n)"
    numpy = "import numpy as np\n" if "np." in text else ""
    return (
        f"{numpy}import bpcheck\n{_imports(case.architecture)}\n\ncase = {text}\n"
        f"print(bpcheck.compare({called}, cases=[case]{said}))"
    )


def _imports(architecture: Architecture) -> str:
    """What the text of a network needs."""
    if repr(architecture).startswith("mlp("):
        return "from bpcheck import Case, mlp"
    used = sorted({type(layer).__name__ for layer in _with_inner(architecture.layers)})
    return f"from bpcheck import Architecture, Case\nfrom bpcheck.layers import {', '.join(used)}"


def _with_inner(layers: Iterable[LayerSpec]) -> Iterator[LayerSpec]:
    for layer in layers:
        yield layer
        yield from _with_inner(layer.inner)
