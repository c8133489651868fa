"""How large a network may be before its formula gets out of hand, and what to use instead."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from bpcheck import tree
from bpcheck.architecture import Architecture
from bpcheck.errors import InputError

__all__ = ["FORMULA_LIMIT", "WORK_LIMIT", "refuse_large_formula", "refuse_much_work"]

FORMULA_LIMIT = 10**9
WORK_LIMIT: Mapping[str, int] = MappingProxyType({"symengine": 10**12, "sympy": 10**12})


def _parameters(architecture: Architecture) -> int:
    def count(node: object) -> int:
        if isinstance(node, tuple):
            return math.prod(node)
        children = node.values() if isinstance(node, dict) else node
        return sum(count(child) for child in children)
    return count(architecture.parameter_shapes)


def refuse_large_formula(architecture: Architecture, batch: int) -> None:
    pass


def refuse_much_work(architecture: Architecture, batch: int, engine: str) -> None:
    pass
