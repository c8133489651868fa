"""Witness 1: backpropagation by the four equations, in NumPy, with a bound on its own rounding."""

from bpcheck.reference.network import Enclosure, Network, Trace, build
from bpcheck.reference.perturbations import Perturbations

__all__ = ["Enclosure", "Network", "Perturbations", "Trace", "build"]
