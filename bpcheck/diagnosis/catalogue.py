"""All bugs by slug. To add one: a value in the file of its family; it is listed here by itself.

To add a family: a file with a tuple ``BUGS``, and its name in ``FAMILIES``. A layer of another kind brings the steps of its
own backward pass with it, in a file of ``layers/`` with a line in ``layers/kinds.py``; a bug that replaces a step which a
network does not have predicts the right gradient there, and is never named.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bpcheck.diagnosis import cost, penalty, promises
from bpcheck.diagnosis.layers import convolution, flatten, skip
from bpcheck.diagnosis.layers.dense import bp1_output, bp2_hidden, bp3_bias, bp4_weight
from bpcheck.diagnosis.mutant import Mutant

__all__ = ["CATALOGUE"]

FAMILIES = (bp1_output, bp2_hidden, bp3_bias, bp4_weight, penalty, cost, promises, skip, flatten, convolution)

CATALOGUE: Mapping[str, Mutant] = MappingProxyType(
    {bug.slug: Mutant.of(bug) for family in FAMILIES for bug in family.BUGS}
)
