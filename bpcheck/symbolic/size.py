"""How large a network may be before its formula gets out of hand, and what to use instead.

Two numbers predict the time (measured on two cores of a small server, SymPy 1.14, symengine 0.15):

- work, parameters × connections × batch × layers: so many derivatives, each of which goes through all later weights
  (a connection is a parameter used once; a convolution uses its own at every position);
- paths, batch × the number of ways from an input to an output: how long the formula would be if it were
  printed. SymPy walks expressions as trees, so it counts although subexpressions are shared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bpcheck.errors import InputError
from bpcheck.network.architecture import Architecture
from bpcheck.network.names import places
from bpcheck.symbolic.layers.chain import Chain
from bpcheck.symbolic.layers.kinds import chain_of

__all__ = ["FORMULA_LIMIT", "refuse_large_formula", "refuse_much_work", "ways"]


# Each limit holds the first call below about 4 s with symengine and 10 s with SymPy.
#   symengine: 8-8-8-4, batch 3 (work 291 600): tanh 0.4 s, softmax everywhere 1.6 s;
#              10-10-10-5, batch 3 (work 680 625): tanh 1.2 s, softmax everywhere 4 to 7 s, refused;
#              11 times 3, batch 3 (work 432 000): tanh 0.5 s, softmax everywhere 1.8 s
#              two convolutions of 3 × 3 and 3 channels on 2 × 6 × 6, batch 3 (work 5 856 300): 1.2 s; refused, though
#              parameters that reach few units are cheap
#   sympy:     2-3-2, batch 3 (work 1 734): tanh 0.5 s, softmax everywhere (432 paths) 1.8 s;
#              4-5-3, batch 3 (work 11 094): tanh 1.3 s, silu and softmax (720 paths) 7 s,
#              softmax everywhere (4 320 paths) 30 s, refused
WORK_LIMITS: Mapping[str, int] = MappingProxyType({"symengine": 500_000, "sympy": 12_000})
PATH_LIMITS: Mapping[str, int] = MappingProxyType({"sympy": 1_000})  # symengine does not mind them

# Paths of a cost that is only written down: 8-8-4 with relu, batch 3 (768) takes 2.5 s, 4-5-3 with softmax
# (4 320) 0.1 s and prints as 80 000 characters. Nobody reads more.
FORMULA_LIMIT = 5_000


def _sizes(shapes: Any) -> list[int]:
    """Number of entries of every parameter tensor."""
    if isinstance(shapes, tuple):
        return [math.prod(shapes)]
    children = shapes.values() if isinstance(shapes, dict) else shapes
    return [size for child in children for size in _sizes(child)]


def _work(architecture: Architecture, batch: int) -> int:
    parameters = sum(_sizes(architecture.parameter_shapes))
    layers = sum(place.number is not None for place in places(architecture))
    return parameters * _chain(architecture).connections * batch * layers


def ways(architecture: Architecture, batch: int) -> int:
    """How many ways lead from an input to an output, times the examples: how long the cost is when it is printed."""
    return batch * _chain(architecture).paths * architecture.outputs


def _chain(architecture: Architecture) -> Chain:
    return chain_of(architecture.layers, architecture.input_shape)


def _refuse(architecture: Architecture, batch: int, what: str, size: int, limit: int, remedy: str) -> None:
    if size > limit:
        raise InputError(
            f"{architecture!r} with a batch of {batch} is too large for the symbolic witness: {what} is "
            f"{size:,}, the limit {limit:,}. Take a smaller network or batch, {remedy}or a witness that takes every "
            "parameter of larger networks: the certified one (bpcheck.certify judges a gradient by it, "
            "bpcheck.certified.testify speaks for itself) or the numeric one (complex step, bpcheck.numeric)."
        )


def refuse_large_formula(architecture: Architecture, batch: int) -> None:
    """Raise InputError for a cost that is too long to be written down."""
    paths = ways(architecture, batch)
    _refuse(architecture, batch, "its number of paths from input to output", paths, FORMULA_LIMIT, "")


def refuse_much_work(architecture: Architecture, batch: int, engine: str) -> None:
    """Raise InputError for a cost that the engine would differentiate for too long."""
    remedy = "the engine 'symengine' (pip install symengine), " if engine == "sympy" else ""
    work = _work(architecture, batch)
    _refuse(
        architecture, batch, "parameters × connections × batch × layers", work, WORK_LIMITS[engine], remedy
    )
    if engine in PATH_LIMITS:
        paths = ways(architecture, batch)
        _refuse(
            architecture,
            batch,
            "its number of paths from input to output",
            paths,
            PATH_LIMITS[engine],
            remedy,
        )
