"""Experiments: networks on which two explanations of the same wrong numbers would give different ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from bpcheck.diagnosis.hypothesis import Hypothesis
from bpcheck.diagnosis.observation import Observation
from bpcheck.network.architecture import Architecture
from bpcheck.network.case import Case
from bpcheck.network.dense_chain import is_dense_chain
from bpcheck.network.layers import Dense
from bpcheck.network.names import in_words
from bpcheck.search.cases.plan import planned
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
    case: Case, source: Source | None, rng: np.random.Generator, *, free: bool
) -> Iterator[Experiment]:
    """Networks to try: fresh ones of the caller's kind, then variations of one that failed.

    Parameters
    ----------
    case : Case
        One that failed.
    source : Source or None
    rng : numpy.random.Generator
    free : bool
        Whether penalties and kinds of layers may vary too (the subject reads the architecture).
    """
    if source is not None:
        for index in range(FRESH):
            fresh = source(index)
            yield f"{in_words(fresh.architecture)} and a batch of {fresh.batch}", fresh
    for words, network, size in _variations(case, free=free):
        if network is not None:
            yield words, random_case(rng, network, GENERIC, batch=size)


def _variations(case: Case, *, free: bool) -> Iterator[tuple[str, Architecture | None, int]]:
    """Other sizes of a network, in words, with a batch for it."""
    architecture = case.architecture
    batch = BATCH if case.batch != BATCH else BATCH + 1
    outputs = OUTPUTS if architecture.outputs != OUTPUTS else OUTPUTS + 1
    others = _with_outputs(architecture, outputs)
    yield f"a batch of {batch} examples", architecture, batch
    yield f"a network with {outputs} outputs", others, case.batch
    yield f"a network with {outputs} outputs and a batch of {batch}", others, batch
    yield "a network with one more hidden layer", _with_one_more_layer(architecture, any_layer=free), batch
    for penalty in (1.7, 0.3) if free and (architecture.l1 or architecture.l2) else ():
        stronger = replace(architecture, l1=penalty * architecture.l1, l2=penalty * architecture.l2)
        yield f"a penalty {penalty:g} times as strong", stronger, batch


def _with_outputs(architecture: Architecture, outputs: int) -> Architecture | None:
    plan = planned(architecture)
    other = plan.of_widths([*plan.widths[:-1], outputs]).architecture()
    return None if other is None or other.outputs != outputs else other


def _with_one_more_layer(architecture: Architecture, *, any_layer: bool) -> Architecture | None:
    """One more dense layer below the output, like those that are there; of other kinds only where they are read."""
    below, last = architecture.layers[:-1], architecture.layers[-1]
    if not isinstance(last, Dense) or not (any_layer or is_dense_chain(architecture)):
        return None
    units = max(planned(architecture).widths[:-1]) + 1
    hidden = next((layer for layer in below if isinstance(layer, Dense)), Dense(units, "tanh"))
    return replace(architecture, layers=(*below, replace(hidden, units=units), last))


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
