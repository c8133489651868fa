"""compare(): a subject against the reference over random cases, with shrinking.

A package of this name, because a module named compare would shadow the function.
"""

from bpcheck.search.explain import diagnose
from bpcheck.search.run import compare

__all__ = ["compare", "diagnose"]
