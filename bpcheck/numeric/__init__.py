"""Witness 3: derivatives by evaluation, each with a bound on its error.

It asks the function itself and nothing else: central differences for any function, the complex
step for one that accepts complex numbers.
"""

from bpcheck.numeric.central import Central
from bpcheck.numeric.complex_scheme import Complex
from bpcheck.numeric.complex_step import complex_derivative, complex_step
from bpcheck.numeric.derivative import derivative
from bpcheck.numeric.line_integral import LineIntegral, line_integral
from bpcheck.numeric.noise import measure_noise
from bpcheck.numeric.one_sided import Forward, OneSided
from bpcheck.numeric.scheme import Scheme
from bpcheck.numeric.structured import Contradiction, Structured, structured_step

__all__ = [
    "Central",
    "Complex",
    "Contradiction",
    "Forward",
    "LineIntegral",
    "OneSided",
    "Scheme",
    "Structured",
    "complex_derivative",
    "complex_step",
    "derivative",
    "line_integral",
    "measure_noise",
    "structured_step",
]
