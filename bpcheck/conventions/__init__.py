"""Conventions: how a subject lays out its parameters and counts its loss. A convention is not a bug."""

from bpcheck.conventions.value import PRESETS, Conventions

__all__ = ["PRESETS", "Conventions"]
