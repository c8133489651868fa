"""Hypothesis strategies for networks and cases (extra ``test``)."""

from __future__ import annotations

from typing import Any

from bpcheck.errors import InputError

__all__ = ["architectures", "cases"]


def architectures(**options: Any) -> Any:
    """Strategy of :class:`bpcheck.Architecture`; see :func:`bpcheck.strategies.values.architectures`."""
    return _values().architectures(**options)


def cases(networks: Any = None, **options: Any) -> Any:
    """Strategy of :class:`bpcheck.Case`; see :func:`bpcheck.strategies.values.cases`."""
    return _values().cases(networks, **options)


def _values() -> Any:
    try:
        from bpcheck.strategies import values
    except ModuleNotFoundError as error:
        raise InputError("bpcheck.strategies needs Hypothesis: pip install 'bpcheck[test]'.") from error
    return values
