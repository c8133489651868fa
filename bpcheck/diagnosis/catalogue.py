"""All bugs by slug. To add one: a value in the file of its family; it is listed here by itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bpcheck.diagnosis import bias, hidden, output, penalty, weight
from bpcheck.diagnosis.bug import Bug

__all__ = ["CATALOGUE"]

CATALOGUE: Mapping[str, Bug] = MappingProxyType(
    {bug.slug: bug for family in (output, hidden, bias, weight, penalty) for bug in family.BUGS}
)
