"""Experiments: networks on which two explanations of the same wrong numbers would give different ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from bpcheck.diagnosis.hypothesis import Hypothesis
from bpcheck.diagnosis.observation import Observation
from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import dense_chain
from bpcheck.search.cases.sample import GENERIC, random_case
from bpcheck.search.cases.sources import Source

__all__ = ["Experiment", "experiments", "separating"]

Experiment = tuple[str, Case]
"""What is tried, in words, and the case."""

FRESH = 30
"""Random networks looked through for one that tells two explanations apart: all strata of compare() come round once."""

BATCH, OUTPUTS = 5, 4
"""Sizes that the variations use: unlike those of most networks, and unlike one another."""


def experiments(
    case: Case, source: Source | None, rng: np.random.Generator, *, penalties: bool
) -> Iterator[Experiment]:
    """Networks to try: fresh ones of the caller's kind, then variations of one that failed.

    Parameters
    ----------
    case : Case
        One that failed.
    source : Source or None
    rng : numpy.random.Generator
    penalties : bool
        Whether the penalty may vary too.
    """
    if source is not None:
        for index in range(FRESH):
            fresh = source(index)
            yield (
                f"a network of widths {list(dense_chain(fresh.architecture).widths)} and a batch of {fresh.batch}",
                fresh,
            )
    architecture = case.architecture
    widths = list(dense_chain(architecture).widths)
    batch = BATCH if case.batch != BATCH else BATCH + 1
    outputs = OUTPUTS if widths[-1] != OUTPUTS else OUTPUTS + 1
    hidden = [*widths[:-1], max(widths[:-1]) + 1, widths[-1]]
    for words, shape, size in (
        (f"a batch of {batch} examples", widths, batch),
        (f"{outputs} outputs", [*widths[:-1], outputs], case.batch),
        (f"{outputs} outputs and a batch of {batch}", [*widths[:-1], outputs], batch),
        ("one more hidden layer", hidden, batch),
    ):
        with_shape = _with_widths(architecture, shape)
        if with_shape is not None:
            yield words, random_case(rng, with_shape, GENERIC, batch=size)
    if not penalties or not (architecture.l1 or architecture.l2):
        return
    for penalty in (1.7, 0.3):
        stronger = replace(architecture, l1=penalty * architecture.l1, l2=penalty * architecture.l2)
        yield f"a penalty {penalty:g} times as strong", random_case(rng, stronger, GENERIC, batch=batch)


def _with_widths(architecture: Architecture, widths: Sequence[int]) -> Architecture | None:
    try:
        return dense_chain(architecture).with_widths(tuple(widths))
    except InputError:
        return None


def separating(hypotheses: Sequence[Hypothesis], candidates: Iterator[Experiment]) -> Iterator[Experiment]:
    """Those on which not all hypotheses predict the same gradient.

    Parameters
    ----------
    hypotheses : sequence of Hypothesis
        Two or more.
    candidates : iterator of Experiment
    """
    for words, case in candidates:
        predicted = [h.predict(case) for h in hypotheses]
        answers = [p for p in predicted if p is not None]
        if len(answers) < 2:
            continue
        first = Observation(case, answers[0], answers[0])
        if not all(first.is_reproduced_by(other) for other in answers[1:]):
            yield words, case
