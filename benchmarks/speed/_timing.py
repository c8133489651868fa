"""Times that can be compared: alternating repeats in one process, CPU time, the least of each, ratios.

Other programs on the machine slow everything down together, for a while: repeats that alternate let no
contender have the quiet moments alone, and the least of several is what the work takes. CPU time, of all threads of the
process, leaves out waiting for a core.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["alternate", "once", "ratio", "seconds"]


def once(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one call, and what it returned."""
    gc.collect()
    started = time.process_time()
    value = work()
    return time.process_time() - started, value


def alternate(
    contenders: Mapping[str, Callable[[], Any]], *, repeats: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """The least CPU time of each contender in ``repeats`` rounds, and what each returned last."""
    least = dict.fromkeys(contenders, float("inf"))
    returned: dict[str, Any] = {}
    for _ in range(repeats):
        for name, work in contenders.items():
            spent, returned[name] = once(work)
            least[name] = min(least[name], spent)
    return least, returned


def seconds(value: float) -> str:
    """``0.063 s``, ``13 s``."""
    return f"{value:.3g} s"


def ratio(value: float) -> str:
    """``1``, ``2.4``, ``31``, ``310``: two digits."""
    return f"{value:.1f}" if value < 10 else f"{float(f'{value:.2g}'):.0f}"
