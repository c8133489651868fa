"""Diagnosis: where a wrong gradient goes wrong, and which known bug reproduces its numbers."""

from bpcheck.diagnosis.catalogue import CATALOGUE
from bpcheck.diagnosis.diagnose import diagnose
from bpcheck.diagnosis.observation import Observation
from bpcheck.diagnosis.update_rules import UPDATES

__all__ = ["CATALOGUE", "UPDATES", "Observation", "diagnose"]
