"""Witness 2: the cost of a small network as a formula, differentiated by SymPy or symengine."""

from bpcheck.symbolic.formula import SymbolicCost, cost
from bpcheck.symbolic.oracle import testify

__all__ = ["SymbolicCost", "cost", "testify"]
