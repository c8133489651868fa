"""Diagnosis: where a wrong gradient goes wrong, and which known bug reproduces its numbers."""

from bpcheck.diagnosis.catalogue import CATALOGUE
from bpcheck.diagnosis.diagnose import diagnose

__all__ = ["CATALOGUE", "diagnose"]
