"""All bugs by slug. To add one: a value in the file of its family; it is listed here by itself.

To add a family (the updates of training; convolution, normalisation, recurrence, attention with their layers): a file
with a tuple ``BUGS``, and its name in ``FAMILIES``. A layer of another kind brings the steps of its own backward pass
with it (:class:`~bpcheck.diagnosis.layers.dense.steps.Rules` are those of dense layers); a bug whose ``predict``
returns None for networks that it knows nothing of is never named there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bpcheck.diagnosis import cost, penalty, promises
from bpcheck.diagnosis.bug import Bug
from bpcheck.diagnosis.layers.dense import bp1_output, bp2_hidden, bp3_bias, bp4_weight

__all__ = ["CATALOGUE"]

FAMILIES = (bp1_output, bp2_hidden, bp3_bias, bp4_weight, penalty, cost, promises)

CATALOGUE: Mapping[str, Bug] = MappingProxyType({bug.slug: bug for family in FAMILIES for bug in family.BUGS})
