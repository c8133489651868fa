"""All bugs by slug. To add one: a value in the file of its family; it is listed here by itself.

To add a family (the updates of training; convolution, normalisation, recurrence, attention with their layers): a file
with a tuple ``BUGS``, and its name in ``FAMILIES``. A layer of another kind brings the steps of its own backward pass
with it (:class:`~bpcheck.diagnosis.backward.Rules` are those of dense layers); a bug whose ``predict`` returns None for
networks that it knows nothing of is never named there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bpcheck.diagnosis import bias, contract, cost, hidden, output, penalty, weight
from bpcheck.diagnosis.bug import Bug

__all__ = ["CATALOGUE"]

FAMILIES = (output, hidden, bias, weight, penalty, cost, contract)

CATALOGUE: Mapping[str, Bug] = MappingProxyType({bug.slug: bug for family in FAMILIES for bug in family.BUGS})
