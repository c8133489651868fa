"""Somebody's optimiser against the rule that it should be."""

from bpcheck.check.update.compare import compare_update

__all__ = ["compare_update"]
