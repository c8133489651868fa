"""Witness 1: backpropagation by the four equations, in NumPy, with a bound on its own rounding."""

from bpcheck.reference.network import Enclosure, Network, Trace, build
from bpcheck.reference.perturbations import Perturbations
from bpcheck.reference.training import EpochResult, accuracy, train

__all__ = ["Enclosure", "EpochResult", "Network", "Perturbations", "Trace", "accuracy", "build", "train"]
