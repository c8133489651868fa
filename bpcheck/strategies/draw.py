"""Values out of a Hypothesis strategy without Hypothesis' engine: no files, no global seed, nestable.

The engine writes ``.hypothesis``, reseeds the global random state and refuses to run inside another
``@given``; a collector that only stores what is drawn, fed with random bytes, does none of that.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from bpcheck.errors import InputError

__all__ = ["drawer", "is_strategy"]

# Bytes for one draw: an architecture takes some tens.
BYTES = 8192
# Random bytes do not always make a valid example; a strategy that fails this often is broken.
ATTEMPTS = 10

_LOCK = threading.Lock()


def is_strategy(value: Any) -> bool:
    """Whether a value is a Hypothesis strategy, without importing Hypothesis for it."""
    module = sys.modules.get("hypothesis.strategies")
    return module is not None and isinstance(value, module.SearchStrategy)


def drawer(strategy: Any) -> Callable[[np.random.Generator], Any]:
    """A function of a generator that draws from a strategy.

    Parameters
    ----------
    strategy : hypothesis.strategies.SearchStrategy

    Returns
    -------
    callable
        ``draw(rng) -> value``; raises InputError if the strategy yields nothing.
    """
    import hypothesis

    drawn: list[Any] = []

    def collect(value: Any) -> None:
        drawn.append(value)

    decorated: list[Any] = []

    def decorate() -> None:
        settings = hypothesis.settings(
            database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
        )
        decorated.append(settings(hypothesis.given(strategy)(collect)))

    # Inside somebody's @given, decorating in the same thread is refused: a short-lived one is outside.
    thread = threading.Thread(target=decorate)
    thread.start()
    thread.join()

    def draw(rng: np.random.Generator) -> Any:
        with _LOCK:
            for _ in range(ATTEMPTS):
                drawn.clear()
                decorated[0].hypothesis.fuzz_one_input(rng.bytes(BYTES))
                if drawn:
                    return drawn[-1]
        raise InputError(
            f"the strategy {strategy!r:.80} drew nothing in {ATTEMPTS} attempts; is it filtered too hard?"
        )

    return draw
