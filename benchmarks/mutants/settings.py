"""Which networks a bug is planted in: every activation with every loss, the other factors drawn at random."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.mutants.cell import Setting
from bpcheck.diagnosis import CATALOGUE
from bpcheck.network.architecture import DEFAULT_OUTPUT, LOSSES, PROBABILITY_LOSSES, REDUCTIONS
from bpcheck.network.layers.activations import ACTIVATIONS

__all__ = ["PLANTED", "settings"]

PLANTED = tuple(slug for slug, bug in CATALOGUE.items() if bug.kinds <= {"dense"})
"""Bugs that can show in these networks, which have dense layers alone."""

WIDTHS = ((3, 5, 4, 2), (2, 4, 3), (3, 3, 3, 3), (4, 4, 4))
"""Two networks of distinct widths and two of equal ones, with one hidden layer and with two."""

BATCHES = (1, 4)
EQUAL_BATCH = 4
"""With equal widths also that many examples as units, where a sum over the wrong axis fits."""


def settings(rng: np.random.Generator, *, rounds: int = 1) -> Iterator[Setting]:
    """Every activation × loss, ``rounds`` times; widths, batch, precision, reduction, output, penalty drawn each time."""
    for _ in range(rounds):
        for activation in ACTIVATIONS:
            for loss in LOSSES:
                widths = WIDTHS[int(rng.integers(len(WIDTHS)))]
                equal = len(set(widths)) == 1
                batch = int(rng.choice(BATCHES))
                if equal and batch > 1:
                    batch = widths[0]
                output = DEFAULT_OUTPUT[loss]
                if loss not in PROBABILITY_LOSSES and rng.random() < 0.5:
                    output = str(rng.choice(["sigmoid", "tanh", "softmax"]))
                yield Setting(
                    activation,
                    output,
                    loss,
                    str(rng.choice(REDUCTIONS)),
                    widths,
                    batch,
                    "float32" if rng.random() < 0.25 else "float64",
                    bool(rng.random() < 0.5),
                    bool(rng.random() < 0.5),
                    int(rng.integers(2**31)),
                )
