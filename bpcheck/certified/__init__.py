"""Witness 4: backpropagation in ball arithmetic, with a radius that is a proof.

It computes with python-flint (``pip install 'bpcheck[certify]'``), which is imported when it is first needed.
Precision belongs to the whole process there: it is set for each pass and put back, and passes of several
threads take turns.
"""

from bpcheck.certified.exact import Exact, exact
from bpcheck.certified.forward import Confirmation, Route, confirm
from bpcheck.certified.oracle import testify

__all__ = ["Confirmation", "Exact", "Route", "confirm", "exact", "testify"]
