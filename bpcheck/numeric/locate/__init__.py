"""Where a claimed gradient is wrong, in far fewer evaluations than it has entries.

``direction`` draws what to probe along, ``probe`` measures, ``decode`` finds one error by moments,
``hypotheses`` tries formulas for dense errors, ``peel`` puts them together.
"""

from bpcheck.numeric.locate.block import Block, Index
from bpcheck.numeric.locate.fault import Fault, Sight
from bpcheck.numeric.locate.peel import Search
from bpcheck.numeric.locate.probe import Entry, Evaluate, Probe, Prober, SpentError

__all__ = ["Block", "Entry", "Evaluate", "Fault", "Index", "Probe", "Prober", "Search", "Sight", "SpentError"]
