"""Witness 3: derivatives by evaluation, each with a bound on its error.

It asks the function itself and nothing else: central differences for any function, the complex
step for one that accepts complex numbers.
"""

from bpcheck.numeric.central import Central
from bpcheck.numeric.complex_step import complex_derivative, complex_step
from bpcheck.numeric.derivative import derivative
from bpcheck.numeric.noise import measure_noise
from bpcheck.numeric.scheme import Scheme

__all__ = ["Central", "Scheme", "complex_derivative", "complex_step", "derivative", "measure_noise"]
